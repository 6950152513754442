"""The journal, page by page in posting order, institution by institution."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.months import following, ids_of
from money import Money

#: How many months the first question of a page looks into at most, unless one batch lies in more; each next one twice as many.
_FEW_MONTHS = 4

#: How many runs of batches are looked through for one question.
_RUNS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One transfer as it stands in the journal, with the batch that says who wrote it, when and by which rules."""

    institution_id: int
    batch_id: int
    line: int
    transfer_id: UUID
    booking_date: date
    posted_at: datetime
    debit_account_id: int
    debit_account: str
    credit_account_id: int
    credit_account: str
    amount: Money
    reason: str
    source_kind: str
    source_ref: str
    reverses: UUID | None
    actor: str
    rule_version: str


def journal(
    conn: Connection,
    *,
    institution_id: int | None = None,
    institution_ids: Collection[int] | None = None,
    custody_account_id: int | None = None,
    source_kind: str | None = None,
    source_ref: str | None = None,
    from_: date | None = None,
    to: date | None = None,
    known_at: datetime | None = None,
    after: tuple[int, int, int] | None = None,
    limit: int | None = 50,
) -> list[JournalLine]:
    """A page of the journal in posting order per institution; all filters are optional, ``limit`` None gives everything.

    ``after`` is (institution_id, batch_id, line) of the last line seen. A page costs the same wherever in the journal it lies and
    however many months that has: only those that its batches lie in are asked.
    """
    start = after or (0, 0, 0)
    asked: dict[str, Any] = {
        "custody_account": custody_account_id,
        "source_kind": source_kind,
        "source_ref": source_ref,
        "from_": from_,
        "to": to,
        "known_at": known_at,
    }
    filters = frozenset(name for name, value in asked.items() if value is not None)
    wanted = None if institution_ids is None else set(institution_ids)
    if institution_id is not None:
        wanted = {institution_id} if wanted is None else wanted & {institution_id}
    found: list[JournalLine] = []
    for institution in conn.scalars(_INSTITUTIONS, {"first": start[0], "wanted": None if wanted is None else list(wanted)}).all():
        batch, line = start[1:] if institution == start[0] else (0, 0)
        for first, last, months in _stretches(conn, institution, batch, asked):
            left = None if limit is None else limit - len(found)
            if left == 0:
                return found
            values = {
                **asked,
                "institution": institution,
                "first_batch": first,
                "last_batch": last,
                "after_batch": batch,
                "after_line": line,
                "limit": left,
            }
            found += [_journal_line(row) for row in conn.execute(text(_page_of(filters, months)), values)]
    return found


def _stretches(
    conn: Connection, institution: int, first: int, asked: Mapping[str, Any]
) -> Iterator[tuple[int, int, AbstractSet[date]]]:
    """An institution's batches from ``first`` on, some at a time: the first and the last of them, and the months to look into.

    Stretches without a month that is asked for are left out.
    """
    most, begins, end = _FEW_MONTHS, first, False
    while not end:
        runs = conn.execute(_RUNS, {"institution": institution, "first": begins, "limit": _RUNS_AT_ONCE}).all()
        months: set[date] = set()
        last = _NO_BATCH_BEYOND
        for number, run in enumerate(runs):
            of_run = _of_those_asked(run.months, asked)
            if number and len(months | of_run) > most:
                last = run.first_batch_id - 1
                break
            months |= of_run
        else:
            if len(runs) == _RUNS_AT_ONCE:  # how long the last one is tells the next one
                last = runs[-1].first_batch_id - 1
            else:
                end = True
        if months:
            yield begins, last, months
        begins, most = last + 1, 2 * most


def _of_those_asked(months: Sequence[date], asked: Mapping[str, Any]) -> set[date]:
    """All months of a run of batches, if any transfer of it may be booked in the days asked for."""
    from_, to = asked["from_"] or date.min, asked["to"] or date.max
    return set(months) if any(month <= to and from_ < following(month) for month in months) else set()


def _journal_line(row: Any) -> JournalLine:
    return JournalLine(
        institution_id=row.institution_id,
        batch_id=row.batch_id,
        line=row.line,
        transfer_id=row.transfer_id,
        booking_date=row.booking_date,
        posted_at=row.posted_at,
        debit_account_id=row.debit_account_id,
        debit_account=_code(row.debit_custody_account_id, row.debit_kind, row.debit_subject),
        credit_account_id=row.credit_account_id,
        credit_account=_code(row.credit_custody_account_id, row.credit_kind, row.credit_subject),
        amount=Money(row.amount_minor_units, row.currency),
        reason=row.reason,
        source_kind=row.source_kind,
        source_ref=row.source_ref,
        reverses=row.reverses,
        actor=row.actor,
        rule_version=row.rule_version,
    )


def _code(custody_account_id: int, kind: str, subject: str) -> str:
    return f"{custody_account_id}:{kind}:{subject}" if subject else f"{custody_account_id}:{kind}"


_INSTITUTIONS = text("""
    SELECT institution_id FROM journal_head
    WHERE institution_id >= :first AND (CAST(:wanted AS integer[]) IS NULL OR institution_id = ANY (:wanted))
    ORDER BY institution_id
""")

_RUNS = text("""
    SELECT first_batch_id, months FROM batch_months
    WHERE institution_id = :institution AND first_batch_id >= coalesce((
        SELECT max(first_batch_id) FROM batch_months WHERE institution_id = :institution AND first_batch_id <= :first), 0)
    ORDER BY first_batch_id LIMIT :limit
""")
#: Batches are numbered by a BIGINT.
_NO_BATCH_BEYOND = 2**63 - 1

_FILTERS = {
    "custody_account": """EXISTS (
            SELECT FROM account a WHERE a.institution_id = t.institution_id AND a.custody_account_id = :custody_account
                AND a.account_id IN (t.debit_account_id, t.credit_account_id))""",
    "source_kind": "t.source_kind = :source_kind",
    "source_ref": "t.source_ref = :source_ref",
    "from_": "t.booking_date >= :from_",
    "to": "t.booking_date <= :to",
    "known_at": "t.batch_id <= known_batch(:institution, :known_at)",
}


def _page_of(filters: frozenset[str], months: AbstractSet[date]) -> str:
    """The query of a page. It holds the filters that are asked for and no others, so that it is planned for those; the ids of
    some months, so that no other partition is planned for; and one institution's transfers, so that they are read from their
    place on in the order of their numbers.
    """
    conditions = "".join(f" AND {rule}" for name, rule in _FILTERS.items() if name in filters)
    ids = " OR ".join(f"t.transfer_id >= '{first}' AND t.transfer_id < '{beyond}'" for first, beyond in ids_of(months))
    return f"""
        WITH page AS MATERIALIZED (
            SELECT t.institution_id, t.batch_id, t.line, t.transfer_id, t.booking_date, t.debit_account_id, t.credit_account_id,
                t.amount_minor_units, t.currency, t.reason, t.source_kind, t.source_ref, t.reverses
            FROM transfer t
            WHERE t.institution_id = :institution AND (t.batch_id, t.line) > (:after_batch, :after_line)
                AND t.batch_id BETWEEN :first_batch AND :last_batch AND ({ids}){conditions}
            ORDER BY t.batch_id, t.line LIMIT :limit
        )
        SELECT p.*, b.posted_at, b.actor, b.rule_version,
            d.custody_account_id AS debit_custody_account_id, d.kind AS debit_kind, d.subject AS debit_subject,
            c.custody_account_id AS credit_custody_account_id, c.kind AS credit_kind, c.subject AS credit_subject
        FROM page p
        JOIN posting_batch b ON b.institution_id = p.institution_id AND b.batch_id = p.batch_id
        JOIN account d ON d.institution_id = p.institution_id AND d.account_id = p.debit_account_id
        JOIN account c ON c.institution_id = p.institution_id AND c.account_id = p.credit_account_id
        ORDER BY p.batch_id, p.line
    """
