"""Posting transfers: the only way into the books.

``post`` locks the institutions' heads in the order of their ids (so an institution's batches queue up, their chain has no
branches, and overlapping calls cannot wait for each other in a circle), reads what the call touches, lets
``ledger.posting.deciding`` judge it, and streams the accepted transfers in with one COPY. The database's own triggers
then prove the whole set, move balances and day sums, and seal the batch.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Literal

from psycopg import Cursor
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection

from ledger.known import LOCK_HEADS, driver_cursor, known_books, transfers_in_books
from ledger.model import (
    Clearing,
    Correction,
    OpenItem,
    PostingCall,
    PostingOutcome,
    PostingRefused,
    Refusal,
    Resolution,
    Transfer,
)
from ledger.posting import Decision, JournalEntries, Verdict, deciding, journal_entries
from ledger.transfer_rows import BEGINNING, END, TransferRows

#: Rows sent at once: what a socket holds, so that the server works on them while we render the next ones.
_ROWS_PER_WRITE = 250

#: Up to so many transfers the server's usual working memory (4 MB) holds a batch.
_SHORT_BATCH = 4_096


def post(
    conn: Connection,
    transfers: Sequence[Transfer],
    *,
    now: datetime,
    actor: str,
    reason: str,
    rule_version: str,
    open_items: Sequence[OpenItem] = (),
    clearings: Sequence[Clearing] = (),
    resolutions: Sequence[Resolution] = (),
    corrections: Sequence[Correction] = (),
    on_refusal: Literal["raise", "report"] = "raise",
) -> PostingOutcome:
    """Post transfers in one batch per institution, inside the caller's transaction.

    Transfers that share (institution, source kind, source ref) are one journal entry: all or nothing. One that is in the
    books already with the same content counts as ``already_posted``; so posting a call twice changes nothing. An open
    item belongs to the transfer whose id it carries; a clearing, resolution or correction to the transfer it names, which must be
    in the call. ``now`` is the instant of posting as the caller sees it; ``actor``, ``reason`` and ``rule_version`` are kept with
    the batch.

    With ``on_refusal='raise'`` any refusal raises PostingRefused and nothing is posted; with ``'report'`` the other journal
    entries are posted and the outcome names each refusal. Raises ValueError for a naive ``now``.
    """
    call = PostingCall(transfers, open_items, clearings, resolutions, corrections)
    (outcome,) = post_calls(conn, [call], now=now, actor=actor, reason=reason, rule_version=rule_version, any_refusal=on_refusal)
    return outcome


def post_calls(
    conn: Connection,
    calls: Sequence[PostingCall],
    *,
    now: datetime,
    actor: str,
    reason: str,
    rule_version: str,
    any_refusal: Literal["raise", "report"] = "report",
) -> list[PostingOutcome]:
    """Post several callers' calls in one batch per institution; each call's own outcome, in their order.

    Each is judged as if it came alone, after those before it. ``any_refusal='raise'`` raises PostingRefused when any
    transfer of any call is refused, and nothing is posted. Otherwise see ``post``.
    """
    if now.tzinfo is None:
        raise ValueError(f"the instant of posting {now} has no time zone")
    for call in calls:
        if not call.transfers and (call.open_items or call.clearings or call.resolutions or call.corrections):
            raise ValueError("open items, clearings, resolutions and corrections need the transfers they belong to")
    institutions = sorted({transfer.institution_id for call in calls for transfer in call.transfers})
    if not institutions:
        return [PostingOutcome((), (), (), None, None) for _ in calls]
    heads = {row.institution_id: row.last_batch_id for row in conn.execute(LOCK_HEADS, {"institutions": institutions})}
    all_or_nothing = any_refusal == "raise"
    with driver_cursor(conn) as cursor, _collection_paused():
        _allow_memory(cursor, sum(len(call.transfers) for call in calls))
        decision = None
        if _is_long(calls, institutions):
            batch = (institutions[0], heads[institutions[0]] + 1)
            decision = _write_while_deciding(cursor, calls[0], batch, all_or_nothing=all_or_nothing)
        if decision is None:
            decision = _decide_then_write(cursor, calls, heads, (actor, reason), all_or_nothing=all_or_nothing)
        batches = _batches(decision, heads)
        for institution, batch_id in batches:
            lines = decision.accepted[institution]
            total = sum(line[0].amount.minor_units for line in lines)
            cursor.execute(_INSERT_HEADER, (institution, batch_id, len(lines), total, actor, reason, rule_version, now))
        _write_attached(cursor, decision)
    if len(calls) == 1:
        return [_outcome(decision.verdicts[0], batches, now)]
    by_institution = dict(batches)
    return [
        _outcome(
            verdict,
            tuple((i, by_institution[i]) for i in sorted({t.institution_id for t in call.transfers}) if i in by_institution),
            now,
        )
        for call, verdict in zip(calls, decision.verdicts, strict=True)
    ]


def _outcome(verdict: Verdict, batches: tuple[tuple[int, int], ...], now: datetime) -> PostingOutcome:
    written = bool(verdict.posted)
    return PostingOutcome(
        posted=tuple(verdict.posted),
        already_posted=tuple(verdict.already_posted),
        refused=tuple(verdict.refused),
        batch_id=batches[0][1] if written else None,
        posted_at=now if written else None,
        batches=batches if written else (),
    )


def _is_long(calls: Sequence[PostingCall], institutions: Sequence[int]) -> bool:
    """Whether it is written while it is judged: one long batch of which nothing has to be written before its transfers."""
    return len(calls) == len(institutions) == 1 and len(calls[0].transfers) > _SHORT_BATCH and not calls[0].resolutions


def _allow_memory(cursor: Cursor[Any], transfers: int) -> None:
    """Let the server hold a long batch in memory while its trigger goes over it, until the transaction ends: a kilobyte a
    transfer, 256 MB at most, never less than it is set to. On disk the same batch took an eighth longer.
    """
    if transfers > _SHORT_BATCH:
        cursor.execute(
            "SELECT set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, %s)::text, true)",
            (min(transfers, 256 * 1024),),
        )


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: a batch is hundreds of thousands of tuples without a cycle, and walking them again
    and again took a third of the client's time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_COPY_TRANSFERS = """
    COPY transfer (institution_id, transfer_id, batch_id, line, debit_account_id, credit_account_id, amount_minor_units,
        currency, booking_date, reason, source_kind, source_ref, reverses, debit_seq, debit_balance_minor_units, credit_seq,
        credit_balance_minor_units, leaf) FROM STDIN (FORMAT binary)
"""

#: The root and the link to the batch before are filled in by the trigger that checks the header against its transfers.
_INSERT_HEADER = """
    INSERT INTO posting_batch (institution_id, batch_id, encoding, transfer_count, total_minor_units, actor, reason,
        rule_version, posted_at)
    VALUES (%s, %s, 'v1', %s, %s, %s, %s, %s, %s)
"""

_COPY_ITEMS = """
    COPY open_item (item_id, institution_id, custody_account_id, account_id, kind, direction, amount_minor_units, currency,
        booking_date, due_date, item_references, group_key, expected_fee_minor_units, counterparty_name,
        counterparty_account, original_item_id) FROM STDIN
"""

_COPY_RESOLUTIONS = """
    COPY pending_resolution (institution_id, pending_id, outcome, transfer_id, resolved_on, actor, reason) FROM STDIN
"""
_COPY_CORRECTIONS = "COPY correction (institution_id, transfer_id, corrects) FROM STDIN"
_COPY_CLEARINGS = "COPY open_item_clearing (institution_id, item_id, clearing_transfer_id, cleared_on) FROM STDIN"


def _refuse_any(decision: Decision) -> None:
    if refused := decision.refused:
        raise PostingRefused(tuple(refused))


def _batches(decision: Decision, heads: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    """The batch that is written at each institution with accepted transfers."""
    return tuple((institution, heads[institution] + 1) for institution in sorted(decision.accepted))


def _decide_then_write(
    cursor: Cursor[Any], calls: Sequence[PostingCall], heads: Mapping[int, int], by: tuple[str, str], *, all_or_nothing: bool
) -> Decision:
    """Judge everything, then write what was accepted. ``by``: actor and reason."""
    known, decision = known_books(cursor, calls), Decision()
    for _ in deciding(calls, [journal_entries(call.transfers) for call in calls], known, decision):
        pass
    if all_or_nothing:
        _refuse_any(decision)
    if decision.accepted:
        for month in known.missing_months:  # the job of the day adds them ahead; a posting that comes first does not fail
            cursor.execute("SELECT ledger_add_month(%s)", (month,))
        _write_resolutions(cursor, decision, *by)
        rows = TransferRows(cursor.connection.info.encoding)
        with cursor.copy(_COPY_TRANSFERS) as copy:
            copy.write(BEGINNING)
            for institution, batch_id in _batches(decision, heads):
                lines = decision.accepted[institution]
                for start in range(0, len(lines), _ROWS_PER_WRITE):
                    copy.write(rows.rendered(lines[start : start + _ROWS_PER_WRITE], batch_id, start + 1))
            copy.write(END)
    return decision


class _PostedBefore(Exception):
    """A transfer that was presumed to be new stands in the books."""


def _write_while_deciding(
    cursor: Cursor[Any], call: PostingCall, batch: tuple[int, int], *, all_or_nothing: bool
) -> Decision | None:
    """Write what is accepted while the rest is still judged: the server stores the one as we judge the other. None when the
    journal lacks a month, which must be added first.

    The call is presumed to be new: for what it writes the primary key proves that, and what it refuses is looked up. To look up
    every id beforehand took a sixth of the time. When something was posted before, all is judged again, with every id looked up.
    """
    entries: list[JournalEntries] = []
    known = known_books(cursor, [call], presumed_new=True, meanwhile=lambda: entries.append(journal_entries(call.transfers)))
    if known.missing_months:
        return None
    if not known.posted or not any((t.institution_id, t.transfer_id) in known.posted for t in call.transfers):
        with suppress(_PostedBefore):
            steps = deciding([call], entries, known, decision := Decision())
            _write_steps(cursor, steps, decision, batch, all_or_nothing=all_or_nothing, presumed_new=True)
            return decision
    steps = deciding([call], entries, known_books(cursor, [call]), decision := Decision())
    _write_steps(cursor, steps, decision, batch, all_or_nothing=all_or_nothing, presumed_new=False)
    return decision


def _write_steps(
    cursor: Cursor[Any],
    steps: Iterable[None],
    decision: Decision,
    batch: tuple[int, int],
    *,
    all_or_nothing: bool,
    presumed_new: bool,
) -> None:
    """Go through the steps and write what they accept. Raises PostingRefused and _PostedBefore with nothing written."""
    try:
        with _taken_back(cursor):
            _copy_steps(cursor, steps, decision, batch, all_or_nothing=all_or_nothing)
            if presumed_new:
                _require_new(cursor, batch[0], decision.refused)
    except PostingRefused as refused:
        if presumed_new:
            _require_new(cursor, batch[0], refused.refusals)
        raise
    except UniqueViolation as violation:
        if presumed_new and (violation.diag.constraint_name or "").startswith("pk_transfer"):
            raise _PostedBefore from violation
        raise


def _copy_steps(
    cursor: Cursor[Any], steps: Iterable[None], decision: Decision, batch: tuple[int, int], *, all_or_nothing: bool
) -> None:
    """``all_or_nothing``: at the first refusal writing ends, judging goes on, and PostingRefused is raised."""
    institution, batch_id = batch
    rows, lines, written = TransferRows(cursor.connection.info.encoding), decision.accepted.setdefault(institution, []), 0
    with cursor.copy(_COPY_TRANSFERS) as copy:
        copy.write(BEGINNING)
        for _ in steps:
            if len(lines) - written >= _ROWS_PER_WRITE and not (all_or_nothing and decision.verdicts[0].refused):
                copy.write(rows.rendered(lines[written:], batch_id, written + 1))
                written = len(lines)
        if all_or_nothing:
            _refuse_any(decision)
        copy.write(rows.rendered(lines[written:], batch_id, written + 1) + END)
    if not lines:
        del decision.accepted[institution]


def _require_new(cursor: Cursor[Any], institution: int, refused: Iterable[Refusal]) -> None:
    """A transfer that is refused must not be one that was posted before, which is no refusal. Raises _PostedBefore."""
    if transfers_in_books(cursor, [(institution, refusal.transfer_id) for refusal in refused]):
        raise _PostedBefore


@contextmanager
def _taken_back(cursor: Cursor[Any]) -> Iterator[None]:
    """What is written here is taken back when it is refused or was posted before; the caller's transaction goes on."""
    cursor.execute("SAVEPOINT long_batch")
    try:
        yield
    except (PostingRefused, UniqueViolation, _PostedBefore):
        cursor.execute("ROLLBACK TO SAVEPOINT long_batch")
        raise
    cursor.execute("RELEASE SAVEPOINT long_batch")


def _write_attached(cursor: Cursor[Any], decision: Decision) -> None:
    if decision.open_items:
        with cursor.copy(_COPY_ITEMS) as copy:
            for i in decision.open_items:
                copy.write_row(
                    (
                        i.item_id,
                        i.institution_id,
                        i.custody_account_id,
                        i.account_id,
                        i.kind,
                        str(i.direction),
                        i.amount.minor_units,
                        i.amount.currency,
                        i.booking_date,
                        i.due_date,
                        list(i.references),
                        i.group_key,
                        i.expected_fee,
                        i.counterparty_name,
                        i.counterparty_account,
                        i.original_item_id,
                    )
                )
    if decision.clearings:
        with cursor.copy(_COPY_CLEARINGS) as copy:
            for clearing, cleared_on in decision.clearings:
                copy.write_row((clearing.institution_id, clearing.item_id, clearing.clearing_transfer_id, cleared_on))
    if decision.corrections:
        with cursor.copy(_COPY_CORRECTIONS) as copy:
            for correction in decision.corrections:
                copy.write_row((correction.institution_id, correction.transfer_id, correction.corrects))


def _write_resolutions(cursor: Cursor[Any], decision: Decision, actor: str, reason: str) -> None:
    """Before the transfers: what was reserved must be free when their floors are checked."""
    if decision.resolutions:
        with cursor.copy(_COPY_RESOLUTIONS) as copy:
            for resolution, resolved_on in decision.resolutions:
                copy.write_row(
                    (
                        resolution.institution_id,
                        resolution.pending_id,
                        "posted",
                        resolution.transfer_id,
                        resolved_on,
                        actor,
                        reason,
                    )
                )
