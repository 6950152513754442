"""The journal, page by page in posting order, institution by institution."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from money import Money


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

    ``after`` is (institution_id, batch_id, line) of the last line seen. A page costs the same wherever in the journal it lies.
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
    query = text(_page_of(frozenset(name for name, value in asked.items() if value is not None)))
    wanted = None if institution_ids is None else set(institution_ids)
    if institution_id is not None:
        wanted = {institution_id} if wanted is None else wanted & {institution_id}
    found: list[JournalLine] = []
    for institution in conn.scalars(_INSTITUTIONS, {"first": start[0], "wanted": None if wanted is None else list(wanted)}).all():
        left = None if limit is None else limit - len(found)
        if left == 0:
            break
        batch, line = start[1:] if institution == start[0] else (0, 0)
        values = {**asked, "institution": institution, "after_batch": batch, "after_line": line, "limit": left}
        found += [_journal_line(row) for row in conn.execute(query, values)]
    return found


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


def _page_of(filters: frozenset[str]) -> str:
    """The query of a page. It holds the filters that are asked for and no others, so that it is planned for those; and one
    institution's transfers, so that they are read from their place on in the order of their numbers.
    """
    conditions = "".join(f" AND {rule}" for name, rule in _FILTERS.items() if name in filters)
    return f"""
        WITH page AS MATERIALIZED (
            SELECT t.institution_id, t.batch_id, t.line, t.transfer_id, t.booking_date, t.debit_account_id, t.credit_account_id,
                t.amount_minor_units, t.currency, t.reason, t.source_kind, t.source_ref, t.reverses
            FROM transfer t
            WHERE t.institution_id = :institution AND (t.batch_id, t.line) > (:after_batch, :after_line){conditions}
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
