"""Posting transfers and reversing them: the only way into the books.

``post`` locks the institutions' heads (so an institution's batches queue up and their chain has no branches), reads what
the call touches, lets ``ledger.posting.decide`` judge it, and streams the accepted transfers in with one COPY. The
database's own triggers then prove the whole set, move balances and day sums, and seal the batch.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from psycopg import Cursor
from sqlalchemy import Connection, text

from ledger.encoding import LeafWriter, uuid_text
from ledger.model import Clearing, OpenItem, PostingOutcome, PostingRefused, Refusal, RefusalCode, Transfer, transfer_id
from ledger.posting import UNBOUNDED, AccountState, Decision, KnownBooks, NumberedTransfer, TransferKey, decide
from money import Money

#: Rows of COPY text sent at once: what a socket holds, so that the server works on them while we render the next ones.
_ROWS_PER_WRITE = 250


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
    on_refusal: Literal["raise", "report"] = "raise",
) -> PostingOutcome:
    """Post transfers in one batch per institution, inside the caller's transaction.

    Transfers that share (institution, source kind, source ref) are one journal entry: all or nothing. One that is in the
    books already with the same content counts as ``already_posted``; so posting a call twice changes nothing. An open
    item belongs to the transfer whose id it carries; a clearing to its clearing transfer, which must be in the call.
    ``now`` is the instant of posting; ``actor``, ``reason`` and ``rule_version`` are kept with the batch.

    With ``on_refusal='raise'`` any refusal raises PostingRefused and nothing is posted; with ``'report'`` the other journal
    entries are posted and the outcome names each refusal. Raises ValueError for a naive ``now``.
    """
    if now.tzinfo is None:
        raise ValueError(f"the instant of posting {now} has no time zone")
    if not transfers:
        if open_items or clearings:
            raise ValueError("open items and clearings need the transfers they belong to")
        return PostingOutcome((), (), (), None, None)
    institutions = sorted({transfer.institution_id for transfer in transfers})
    heads = {row.institution_id: row.last_batch_id for row in conn.execute(_LOCK_HEADS, {"institutions": institutions})}
    with _cursor(conn) as cursor, _collection_paused():
        decision = decide(transfers, _known_books(cursor, transfers, clearings), open_items, clearings)
        if decision.refused and on_refusal == "raise":
            raise PostingRefused(tuple(decision.refused))
        batches = tuple((institution, heads[institution] + 1) for institution in sorted(decision.accepted))
        if batches:
            _write_transfers(cursor, decision, batches)
            for institution, batch_id in batches:
                lines = decision.accepted[institution]
                total = sum(line[0].amount.minor_units for line in lines)
                cursor.execute(_INSERT_HEADER, (institution, batch_id, len(lines), total, actor, reason, rule_version, now))
            _write_items(cursor, decision)
    return PostingOutcome(
        posted=decision.posted,
        already_posted=tuple(decision.already_posted),
        refused=tuple(decision.refused),
        batch_id=batches[0][1] if batches else None,
        posted_at=now if batches else None,
        batches=batches,
    )


def reverse(
    conn: Connection,
    institution_id: int,
    transfer_ids: Sequence[UUID],
    *,
    now: datetime,
    booking_date: date,
    actor: str,
    reason: str,
    rule_version: str,
) -> PostingOutcome:
    """Undo transfers by posting their mirrors, booked on ``booking_date``; a journal entry's mirrors are one entry again.

    An open item that a reversed transfer opened is cleared by the mirror; a clearing that is reversed leaves a new open item
    pointing at the old one, so money in transit always equals its open items. Safe to repeat with the same booking date.
    Raises PostingRefused: unknown_original, already_reversed, below_floor, or already_cleared when a transfer's open item
    was cleared since (reverse the clearing first).
    """
    with _cursor(conn) as cursor:
        originals = _transfers(cursor, [(institution_id, one) for one in transfer_ids])
        items = _items(cursor, [(institution_id, one) for one in transfer_ids])
        cleared_by = _clearings_of(cursor, list(items))
        clears = _items_cleared_by(cursor, [(institution_id, one) for one in transfer_ids])
    mirrors, reopened, clearings, refusals = [], [], [], []
    for one in dict.fromkeys(transfer_ids):
        key = (institution_id, one)
        original = originals.get(key)
        if original is None:
            refusals.append(Refusal(one, RefusalCode.UNKNOWN_ORIGINAL, f"transfer {one} is not in the books"))
            continue
        mirror_id = transfer_id(institution_id, booking_date, "reversal", one.hex)
        mirrors.append(
            Transfer(
                transfer_id=mirror_id,
                institution_id=institution_id,
                debit_account_id=original.credit_account_id,
                credit_account_id=original.debit_account_id,
                amount=original.amount,
                booking_date=booking_date,
                reason=reason,
                source_kind="reversal",
                source_ref=f"{original.source_kind}/{original.source_ref}",
                reverses=one,
            )
        )
        if key in items:
            if cleared_by.get(key, mirror_id) != mirror_id:
                message = f"its open item was cleared by transfer {cleared_by[key]}; reverse that one first"
                refusals.append(Refusal(one, RefusalCode.ALREADY_CLEARED, message))
            clearings.append(Clearing(institution_id, one, mirror_id))
        if key in clears:
            reopened.append(_reopened(clears[key], mirror_id, booking_date))
    if refusals:
        raise PostingRefused(tuple(refusals))
    return post(
        conn,
        mirrors,
        now=now,
        actor=actor,
        reason=reason,
        rule_version=rule_version,
        open_items=reopened,
        clearings=clearings,
    )


def _reopened(item: OpenItem, item_id: UUID, booking_date: date) -> OpenItem:
    return OpenItem(
        item_id=item_id,
        institution_id=item.institution_id,
        custody_account_id=item.custody_account_id,
        account_id=item.account_id,
        kind=item.kind,
        direction=item.direction,
        amount=item.amount,
        booking_date=booking_date,
        due_date=item.due_date,
        references=item.references,
        group_key=item.group_key,
        expected_fee=item.expected_fee,
        counterparty_name=item.counterparty_name,
        counterparty_account=item.counterparty_account,
        original_item_id=item.item_id,
    )


# --- What the books hold ---------------------------------------------------------------------------------------------

_LOCK_HEADS = text("""
    SELECT institution_id, last_batch_id FROM journal_head WHERE institution_id = ANY(:institutions)
    ORDER BY institution_id FOR UPDATE
""")

_ACCOUNTS = f"""
    SELECT a.institution_id, a.account_id, concat_ws(':', a.custody_account_id, a.kind, nullif(a.subject, '')),
        a.custody_account_id, a.currency, a.in_transit, a.opened_on, c.closed_on,
        CASE a.normal_side WHEN 'DEBIT' THEN coalesce(a.floor_minor_units, -{UNBOUNDED}) ELSE -{UNBOUNDED} END,
        CASE a.normal_side WHEN 'CREDIT' THEN coalesce(-a.floor_minor_units, {UNBOUNDED}) ELSE {UNBOUNDED} END,
        b.last_seq, b.balance_minor_units
    FROM unnest(%s::integer[], %s::bigint[]) AS w(institution_id, account_id)
    JOIN account a ON a.institution_id = w.institution_id AND a.account_id = w.account_id
    JOIN account_balance b ON b.institution_id = w.institution_id AND b.account_id = w.account_id
    LEFT JOIN account_closing c ON c.institution_id = w.institution_id AND c.account_id = w.account_id
"""

TRANSFER_COLUMNS = """t.transfer_id, t.institution_id, t.debit_account_id, t.credit_account_id, t.amount_minor_units, t.currency,
    t.booking_date, t.reason, t.source_kind, t.source_ref, t.reverses"""

ITEM_COLUMNS = """i.item_id, i.institution_id, i.custody_account_id, i.account_id, i.kind, i.direction, i.amount_minor_units,
    i.currency, i.booking_date, i.due_date, i.item_references, i.group_key, i.expected_fee_minor_units, i.counterparty_name,
    i.counterparty_account, i.original_item_id"""

_WANTED = "unnest(%s::integer[], %s::uuid[]) AS w(institution_id, id)"


def transfer_of(row: Sequence[Any]) -> Transfer:
    """A row of TRANSFER_COLUMNS as the noun."""
    return Transfer(row[0], row[1], row[2], row[3], Money(row[4], row[5]), *row[6:11])


def open_item_of(row: Sequence[Any]) -> OpenItem:
    """A row of ITEM_COLUMNS as the noun."""
    fields: tuple[Any, ...] = (*row[:6], Money(row[6], row[7]), row[8], row[9], tuple(row[10]), *row[11:16])
    return OpenItem(*fields)


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


def _cursor(conn: Connection) -> Any:
    """A driver cursor in the caller's transaction. Before writing through it SQLAlchemy must have executed something (``post``
    locks the heads): it commits only a transaction it knows has begun.
    """
    driver = conn.connection.driver_connection
    assert driver is not None  # noqa: S101  a connection that has just answered has a driver connection
    return driver.cursor()


def _known_books(cursor: Cursor[Any], transfers: Sequence[Transfer], clearings: Sequence[Clearing]) -> KnownBooks:
    wanted_accounts = {(t.institution_id, t.debit_account_id) for t in transfers}
    wanted_accounts.update((t.institution_id, t.credit_account_id) for t in transfers)
    keys = [(t.institution_id, t.transfer_id) for t in transfers]
    originals = [(t.institution_id, t.reverses) for t in transfers if t.reverses is not None]
    item_keys = [(c.institution_id, c.item_id) for c in clearings]
    posted = _transfers(cursor, keys + originals)
    known = KnownBooks(accounts=_account_states(cursor, wanted_accounts), posted=posted)
    if originals:
        known.reversed_by = {
            (row[0], row[1]): row[2]
            for row in _rows(
                cursor,
                f"SELECT t.institution_id, t.reverses, t.transfer_id FROM {_WANTED} JOIN transfer t"
                " ON t.institution_id = w.institution_id AND t.reverses = w.id",
                originals,
            )
        }
    if item_keys or posted:
        known.items = _items(cursor, item_keys + list(posted))
        known.cleared = _clearings_of(cursor, item_keys)
    return known


def _account_states(cursor: Cursor[Any], keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], AccountState]:
    return {(row[0], row[1]): AccountState(*row[2:]) for row in _rows(cursor, _ACCOUNTS, sorted(keys))}


def _rows(cursor: Cursor[Any], query: str, keys: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows of a query over key pairs given as two arrays. Never prepared: the plan must fit this number of keys."""
    if not keys:
        return iter(())
    first, second = _array(key[0] for key in keys), _array(key[1] for key in keys)
    cursor.execute(query, (first, second), prepare=False, binary=True)
    return iter(cursor.fetchall())


def _array(values: Iterable[int | UUID]) -> str:
    """Numbers or ids as the text of a PostgreSQL array: a tenth of the time the driver takes for a list of a hundred thousand."""
    return "{" + ",".join([str(value) if type(value) is int else f"{value.int:032x}" for value in values]) + "}"  # type: ignore[union-attr]


def _transfers(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, Transfer]:
    rows = _rows(
        cursor,
        f"SELECT {TRANSFER_COLUMNS} FROM {_WANTED}"
        " JOIN transfer t ON t.institution_id = w.institution_id AND t.transfer_id = w.id",
        keys,
    )
    return {(row[1], row[0]): transfer_of(row) for row in rows}


def _items(cursor: Cursor[Any], keys: Sequence[TransferKey]) -> dict[TransferKey, OpenItem]:
    rows = _rows(
        cursor,
        f"SELECT {ITEM_COLUMNS} FROM {_WANTED} JOIN open_item i ON i.institution_id = w.institution_id AND i.item_id = w.id",
        keys,
    )
    return {(row[1], row[0]): open_item_of(row) for row in rows}


def _clearings_of(cursor: Cursor[Any], items: Sequence[TransferKey]) -> dict[TransferKey, UUID]:
    rows = _rows(
        cursor,
        f"SELECT c.institution_id, c.item_id, c.clearing_transfer_id FROM {_WANTED} JOIN open_item_clearing c"
        " ON c.institution_id = w.institution_id AND c.item_id = w.id",
        items,
    )
    return {(row[0], row[1]): row[2] for row in rows}


def _items_cleared_by(cursor: Cursor[Any], transfers: Sequence[TransferKey]) -> dict[TransferKey, OpenItem]:
    rows = _rows(
        cursor,
        f"SELECT {ITEM_COLUMNS}, w.id FROM {_WANTED} JOIN open_item_clearing c"
        " ON c.institution_id = w.institution_id AND c.clearing_transfer_id = w.id"
        " JOIN open_item i ON i.institution_id = c.institution_id AND i.item_id = c.item_id",
        transfers,
    )
    return {(row[1], row[16]): open_item_of(row) for row in rows}


# --- Writing ---------------------------------------------------------------------------------------------------------

_COPY_TRANSFERS = """
    COPY transfer (institution_id, transfer_id, batch_id, line, debit_account_id, credit_account_id, amount_minor_units,
        currency, booking_date, reason, source_kind, source_ref, reverses, debit_seq, debit_balance_minor_units, credit_seq,
        credit_balance_minor_units, leaf) FROM STDIN
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

_COPY_CLEARINGS = "COPY open_item_clearing (institution_id, item_id, clearing_transfer_id, cleared_on) FROM STDIN"


def _write_transfers(cursor: Cursor[Any], decision: Decision, batches: Iterable[tuple[int, int]]) -> None:
    writer = LeafWriter()
    with cursor.copy(_COPY_TRANSFERS) as copy:
        for institution, batch_id in batches:
            lines = decision.accepted[institution]
            for start in range(0, len(lines), _ROWS_PER_WRITE):
                chunk = lines[start : start + _ROWS_PER_WRITE]
                copy.write("".join([_copy_row(line, batch_id, number, writer) for number, line in enumerate(chunk, start + 1)]))


def _copy_row(numbered: NumberedTransfer, batch_id: int, line: int, writer: LeafWriter) -> str:
    """One transfer in COPY's text format."""
    t, debit_seq, debit_balance, credit_seq, credit_balance = numbered
    identity, amount, reverses = uuid_text(t.transfer_id), t.amount.minor_units, uuid_text(t.reverses) if t.reverses else None
    leaf = writer.leaf(
        t.institution_id,
        identity,
        batch_id,
        line,
        t.debit_account_id,
        t.credit_account_id,
        amount,
        t.amount.currency,
        t.booking_date,
        t.reason,
        t.source_kind,
        t.source_ref,
        reverses,
        debit_seq,
        debit_balance,
        credit_seq,
        credit_balance,
    )
    return (
        f"{t.institution_id}\t{identity}\t{batch_id}\t{line}\t{t.debit_account_id}\t{t.credit_account_id}"
        f"\t{amount}\t{t.amount.currency}\t{t.booking_date}\t{_escaped(t.reason)}\t{_escaped(t.source_kind)}"
        f"\t{_escaped(t.source_ref)}\t{reverses or _NULL}\t{debit_seq}\t{debit_balance}"
        f"\t{credit_seq}\t{credit_balance}\t\\\\x{leaf.hex()}\n"
    )


_NULL = "\\N"
_ESCAPES: Mapping[int, str] = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


_NEEDS_ESCAPE = re.compile(r"[\\\t\n\r]")


def _escaped(value: str) -> str:
    """Text as COPY's text format carries it."""
    return value.translate(_ESCAPES) if _NEEDS_ESCAPE.search(value) else value


def _write_items(cursor: Cursor[Any], decision: Decision) -> None:
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
