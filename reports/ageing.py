"""Ageing: what is still open, by how many working days it has waited."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, text

from calendars import WorkingCalendar
from ledger.store import open_items
from money import Money
from reports.report_table import Column, ColumnType, Fact, Language, ReportTable
from reports.wording import word

#: Working days waited, first and last of each bucket, both included; None for no end. Before the first: not due yet.
BUCKETS: tuple[tuple[int, int | None], ...] = ((0, 1), (2, 3), (4, 5), (6, 10), (11, 20), (21, 60), (61, None))


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits since one day at one custody account. ``what`` says what it is (``receipt``, ``discrepancy missing_in_bank``,
    ``class-hour not released``, ``prepayment held`` ...), ``first_id`` names one of them, ``amount`` is None for class-hours.

    ``since``: an item's due day, a discrepancy's day, the day a class-hour was taught, the day a prepayment was paid.
    """

    custody_account_id: int
    what: str
    since: date
    count: int
    amount: Money | None
    first_id: str


@dataclass(frozen=True, slots=True)
class AgeingLine:
    """All that waits of one kind in one bucket; ``oldest`` is the day it waits since, ``oldest_id`` names it."""

    custody_account_id: int
    what: str
    bucket: int | None
    count: int
    amount: Money | None
    oldest: date
    oldest_id: str


def ageing(
    conn: Connection,
    calendar: WorkingCalendar,
    *,
    as_of: date,
    known_at: datetime | None = None,
    custody_account_id: int | None = None,
    institution_ids: Collection[int] | None = None,
) -> list[AgeingLine]:
    """What is open at the end of ``as_of``, by custody account, kind and bucket of working days; oldest bucket last.

    Raises CalendarNotCovered for days no holiday notice covers.
    """
    found: dict[tuple[int, str, str, int], list[Waiting]] = {}
    days = lru_cache(maxsize=None)(lambda since: calendar.working_days_between(since, as_of))
    for one in waiting(
        conn, as_of=as_of, known_at=known_at, custody_account_id=custody_account_id, institution_ids=institution_ids
    ):
        place = -1 if one.since > as_of else bucket_of(days(one.since))
        found.setdefault((one.custody_account_id, one.what, one.amount.currency if one.amount else "", place), []).append(one)
    lines = []
    for (account, what, currency, place), together in sorted(found.items()):
        oldest = min(together, key=lambda one: (one.since, one.first_id))
        amounts = [one.amount.minor_units for one in together if one.amount]
        lines.append(
            AgeingLine(
                custody_account_id=account,
                what=what,
                bucket=None if place < 0 else place,
                count=sum(one.count for one in together),
                amount=Money(sum(amounts), currency) if currency else None,
                oldest=oldest.since,
                oldest_id=oldest.first_id,
            )
        )
    return lines


def bucket_of(working_days: int) -> int:
    """The place in BUCKETS of something that has waited so many working days."""
    return next(place for place, (_, last) in enumerate(BUCKETS) if last is None or working_days <= last)


def bucket_name(bucket: int | None, language: Language) -> str:
    """A bucket for people: ``4-5``, ``over 60``, ``not due``."""
    if bucket is None:
        return "未到期" if language == "zh" else "not due"
    first, last = BUCKETS[bucket]
    if last is None:
        return f"{first - 1} 日以上" if language == "zh" else f"over {first - 1}"
    return f"{first}-{last}" + (" 日" if language == "zh" else "")


def what_waits(what: str, language: Language) -> str:
    """What waits, for people: ``prepayment held``, ``discrepancy BANK_CHARGE`` with the kind's own code."""
    named, _, kind = what.partition(" ") if what.startswith("discrepancy ") else (what, "", "")
    return f"{word(named, language)} {kind}".rstrip()


def waiting(
    conn: Connection,
    *,
    as_of: date,
    known_at: datetime | None = None,
    custody_account_id: int | None = None,
    institution_ids: Collection[int] | None = None,
) -> Iterator[Waiting]:
    """Everything that is open at the end of a business day, as known at an instant if given; counted by day where it is much."""
    items = open_items(
        conn, custody_account_id=custody_account_id, institution_ids=institution_ids, as_of=as_of, known_at=known_at
    )
    for item in items:
        yield Waiting(item.custody_account_id, item.kind, item.due_date, 1, item.amount, str(item.item_id))
    asked = {
        "as_of": as_of,
        "known_at": known_at,
        "custody_account": custody_account_id,
        "institutions": None if institution_ids is None else list(institution_ids),
    }
    held = _HELD if known_at is None else _HELD_KNOWN_AT
    for question in (_DISCREPANCIES, _CLASS_HOURS, held):
        for row in conn.execute(text(question), asked):
            yield _waiting(row)


def _waiting(row: Any) -> Waiting:
    amount = None if row.minor_units is None else Money(int(row.minor_units), row.currency)
    return Waiting(row.custody_account_id, row.what, row.since, row.number, amount, row.first_id)


_SCOPE = """
    (CAST(:custody_account AS bigint) IS NULL OR {0}.custody_account_id = :custody_account)
    AND (CAST(:institutions AS integer[]) IS NULL OR {0}.institution_id = ANY (:institutions))
"""
#: A discrepancy's state is that of its newest event; only events of that day or before, and known by then, count.
_DISCREPANCIES = f"""
    SELECT d.custody_account_id, 'discrepancy ' || d.kind AS what, d.since, 1 AS number, d.amount_minor_units AS minor_units,
        d.currency, d.discrepancy_id AS first_id
    FROM discrepancy d CROSS JOIN LATERAL (
        SELECT e.event FROM discrepancy_event e
        WHERE e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id
            AND e.event NOT IN ('assigned', 'commented') AND e.business_date <= :as_of
            AND (CAST(:known_at AS timestamptz) IS NULL OR e.recorded_at <= :known_at)
        ORDER BY e.event_no DESC LIMIT 1
    ) s
    WHERE s.event NOT IN ('approved', 'auto_cleared') AND d.since <= :as_of AND {_SCOPE.format("d")}
"""
#: What was known at an instant goes by the database's own recording time, here as everywhere.
_CLASS_HOURS = f"""
    SELECT p.custody_account_id,
        CASE WHEN disputed THEN 'class-hour disputed' ELSE 'class-hour not released' END AS what,
        t.event_on AS since, count(*) AS number, NULL AS minor_units, NULL AS currency,
        min(t.order_id || '#' || t.class_hour_no) AS first_id
    FROM class_hour_event t
    JOIN prepayment p ON p.institution_id = t.institution_id AND p.order_id = t.order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(e.event = 'disputed') AND NOT bool_or(e.event = 'dispute_withdrawn'), false) AS disputed
        FROM class_hour_event e
        WHERE e.institution_id = t.institution_id AND e.order_id = t.order_id AND e.class_hour_no = t.class_hour_no
            AND e.event_on <= :as_of AND (CAST(:known_at AS timestamptz) IS NULL OR e.recorded_at <= :known_at)
    ) s
    WHERE t.event = 'taught' AND t.event_on <= :as_of
        AND (CAST(:known_at AS timestamptz) IS NULL OR t.recorded_at <= :known_at)
        AND NOT EXISTS (
            SELECT FROM release r
            WHERE r.institution_id = t.institution_id AND r.order_id = t.order_id AND r.class_hour_no = t.class_hour_no
                AND r.released_on <= :as_of AND (CAST(:known_at AS timestamptz) IS NULL OR r.recorded_at <= :known_at))
        AND {_SCOPE.format("p")}
    GROUP BY 1, 2, 3
"""
_HELD_BY_DAY = f"""
    SELECT a.custody_account_id, 'prepayment held' AS what, p.opened_on AS since, count(*) AS number,
        sum(h.minor_units) AS minor_units, a.currency, min(p.order_id) AS first_id
    FROM ({{held}}) AS h
    JOIN account a ON a.institution_id = h.institution_id AND a.account_id = h.account_id
    JOIN prepayment p ON p.institution_id = a.institution_id AND p.order_id = a.subject
    WHERE h.minor_units > 0 AND a.kind = 'prepayment_held' AND {_SCOPE.format("a")}
    GROUP BY 1, 3, 6
"""
_HELD = _HELD_BY_DAY.replace(
    "{held}",
    """
    SELECT institution_id, account_id, sum(credits_minor_units - debits_minor_units) AS minor_units FROM account_day
    WHERE booking_date <= :as_of GROUP BY 1, 2
    """,
)
_HELD_KNOWN_AT = _HELD_BY_DAY.replace(
    "{held}",
    """
    SELECT m.institution_id, m.account_id,
        sum(CASE m.side WHEN 'CREDIT' THEN m.amount_minor_units ELSE -m.amount_minor_units END) AS minor_units
    FROM posting m JOIN posting_batch b ON b.institution_id = m.institution_id AND b.batch_id = m.batch_id
    WHERE m.booking_date <= :as_of AND b.recorded_at <= :known_at GROUP BY 1, 2
    """,
)

COLUMNS = (
    Column("custody_account_id", "custody account", "托管账户", ColumnType.INTEGER),
    Column("what", "what", "内容"),
    Column("working_days", "working days", "工作日账龄"),
    Column("count", "number", "笔数", ColumnType.INTEGER),
    Column("amount", "amount", "金额", ColumnType.MONEY),
    Column("currency", "currency", "币种"),
    Column("oldest", "oldest since", "最早日期", ColumnType.DATE),
    Column("oldest_id", "oldest", "最早一笔"),
)


def ageing_table(lines: Collection[AgeingLine], language: Language, facts: tuple[Fact, ...] = ()) -> ReportTable:
    """The ageing report; each row names its oldest member, which leads to its source."""
    rows = tuple(
        (
            line.custody_account_id, what_waits(line.what, language), bucket_name(line.bucket, language), line.count, line.amount,
            line.amount.currency if line.amount else None, line.oldest, line.oldest_id,
        )
        for line in lines
    )  # fmt: skip
    return ReportTable("ageing", "Ageing in working days", "账龄分析（工作日）", COLUMNS, rows, facts)
