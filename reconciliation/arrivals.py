"""Which statements have come, account by account and day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from reconciliation.model import Arrival, Came, CustodyAccountRef
from reconciliation.reasons import Reason, from_store

_ORDER = (Arrival.COUNTED, Arrival.WAITING, Arrival.QUARANTINED, Arrival.REFUSED)


def arrivals(conn: Connection, ref: CustodyAccountRef, first: date, last: date) -> dict[date, Arrival]:
    """What came for an account, by business day; days on which nothing came are left out."""
    return {day: one.arrival for day, one in came(conn, ref, first, last).items()}


def came(conn: Connection, ref: CustodyAccountRef, first: date, last: date) -> dict[date, Came]:
    """What came for an account, by business day, and when the bank had put it there: the best, and of equals the earliest."""
    rows = conn.execute(
        text(
            """
            SELECT s.business_date, CASE WHEN coalesce(c.statement_id, o.statement_id) IS NULL THEN 'waiting' ELSE 'received' END,
                coalesce(f.delivered_at, f.received_at)
            FROM statement s LEFT JOIN statement_counted c USING (institution_id, statement_id)
            LEFT JOIN statement_overlap o USING (institution_id, statement_id)
            JOIN statement_file f USING (statement_file_id)
            WHERE s.institution_id = :institution AND s.custody_account_id = :account
              AND s.business_date BETWEEN :first AND :last
            UNION ALL
            SELECT q.business_date, CASE WHEN state = 'rejected' THEN 'refused' ELSE 'quarantined' END,
                coalesce(f.delivered_at, f.received_at)
            FROM quarantine_state q JOIN statement_file f USING (statement_file_id)
            WHERE held_account_id = :account AND business_date BETWEEN :first AND :last
              AND state IN ('held', 'prepared', 'rejected')
            UNION ALL
            SELECT CAST(one ->> 'business_date' AS date), 'refused', coalesce(f.delivered_at, f.received_at)
            FROM statement_file_reading r JOIN statement_file f USING (statement_file_id)
            CROSS JOIN LATERAL jsonb_array_elements(r.statements) AS one
            WHERE one ->> 'outcome' = 'refused' AND CAST(one ->> 'custody_account_id' AS bigint) = :account
              AND CAST(one ->> 'business_date' AS date) BETWEEN :first AND :last
            """
        ),
        {"institution": ref.institution_id, "account": ref.custody_account_id, "first": first, "last": last},
    )
    found: dict[date, Came] = {}
    for day, what, at in rows:
        one = Came(Arrival(what), at)
        before = found.get(day)
        if before is None or _rank(one) < _rank(before):
            found[day] = one
    return found


def _rank(one: Came) -> tuple[int, datetime]:
    return _ORDER.index(one.arrival), one.at


def supervised_since(conn: Connection, ref: CustodyAccountRef) -> date | None:
    """The first business day of an account that a statement or a run is of: what came before is not demanded of its bank."""
    found: date | None = conn.execute(
        text(
            """
            SELECT least(
                (SELECT min(business_date) FROM statement
                    WHERE institution_id = :institution AND custody_account_id = :account),
                (SELECT min(business_date) FROM reconciliation_run
                    WHERE institution_id = :institution AND custody_account_id = :account))
            """
        ),
        {"institution": ref.institution_id, "account": ref.custody_account_id},
    ).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """A statement that does not count: its day, what became of it, the file, and the reasons given when it came."""

    business_date: date
    arrival: Arrival
    file_name: str
    reasons: tuple[Reason, ...]


def not_counting(conn: Connection, ref: CustodyAccountRef, first: date, last: date) -> list[Delivery]:
    """The newest delivery of each business day on which no statement counts, oldest day first."""
    rows = conn.execute(
        text(
            """
            SELECT DISTINCT ON (day) day, one ->> 'outcome' AS outcome, f.file_name, one -> 'reasons' AS reasons,
                one -> 'told' AS told
            FROM statement_file_reading r
            JOIN statement_file f USING (statement_file_id)
            CROSS JOIN LATERAL jsonb_array_elements(r.statements) AS one
            CROSS JOIN LATERAL (SELECT CAST(one ->> 'business_date' AS date) AS day) AS dated
            WHERE one ->> 'outcome' IN ('refused', 'waiting', 'quarantined')
              AND CAST(one ->> 'custody_account_id' AS bigint) = :account
              AND day BETWEEN :first AND :last
              AND NOT EXISTS (
                SELECT FROM statement_counted c
                WHERE c.institution_id = :institution AND c.custody_account_id = :account AND c.business_date = day)
            ORDER BY day, one ->> 'outcome' DESC, r.statement_file_id DESC
            """
        ),
        {"institution": ref.institution_id, "account": ref.custody_account_id, "first": first, "last": last},
    )
    return [Delivery(row.day, Arrival(row.outcome), row.file_name, from_store(row.told, row.reasons)) for row in rows]


def counted_accounts(conn: Connection) -> set[int]:
    """Numbers of the custody accounts of which at least one statement counts: their opening balance is proven."""
    return set(conn.execute(text("SELECT DISTINCT custody_account_id FROM statement_counted")).scalars())


def newest_day(conn: Connection) -> date | None:
    """The newest business day for which any statement was kept."""
    found: date | None = conn.execute(text("SELECT max(business_date) FROM statement")).scalar_one()
    return found
