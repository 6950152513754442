"""The daily certificate of one custody account: everything a supervisor signs, on one page that needs nothing but itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Connection, text

from calendars import BUSINESS_TIME_ZONE, WorkingCalendar
from ledger.model import OpenItem
from ledger.store import account_ids, balance, open_items
from money import exponent_of, format_minor_units
from reconciliation.coverage import Coverage, coverage_of
from reconciliation.discrepancy import DiscrepancyRecord, DiscrepancyState
from reconciliation.discrepancy_store import records
from reconciliation.matching import MatchingRules
from reconciliation.model import CustodyAccountRef
from reconciliation.run_store import RunRecord, StatementSummary, counted_statements, latest_run
from reconciliation.sides import open_bank_lines, signed_sum
from reconciliation.sign_off import SignOff, sign_off_of, what_stands_against
from reconciliation.wording import ACT_TITLES, explanation
from reports.wording import item_titles
from wording import Said

#: Items in transit listed one by one; beyond that the page gives their number and sum.
ITEMS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class TransitItem:
    """An item in transit as the page shows it; ``age`` in working days since it was due (0 when not due yet)."""

    reference: str
    kind: str
    amount: int
    due: date
    age: int
    in_time: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """All figures of one account and day; amounts in minor units of ``account.currency``.

    ``statement`` is the newest one through the day (None: none ever came), ``carried_forward`` says it is not of this day.
    ``reasons`` says why the day is not signed off; empty when nothing stands against it.
    """

    account: CustodyAccountRef
    day: date
    made_at: datetime
    statement: StatementSummary | None
    carried_forward: bool
    opening: int
    total_in: int
    total_out: int
    closing: int
    lines_of_day: int
    lines_matched: int
    ledger_cash: int
    open_lines: int
    coverage: Coverage
    receipts: tuple[TransitItem, ...]
    payments: tuple[TransitItem, ...]
    open_discrepancies: tuple[DiscrepancyRecord, ...]
    closed_discrepancies: tuple[DiscrepancyRecord, ...]
    ages: dict[str, int]
    run: RunRecord | None
    files: tuple[StatementSummary, ...]
    sign_off: SignOff
    reasons: tuple[Said, ...]

    @property
    def unexplained(self) -> int:
        """Bank closing less open lines less the books' cash: what has no line. Zero on a proven day."""
        return self.closing - self.open_lines - self.ledger_cash

    @property
    def signed_off(self) -> bool:
        return self.sign_off.state == "signed_off"


def certificate(
    conn: Connection, account: CustodyAccountRef, day: date, *, rules: MatchingRules, calendar: WorkingCalendar, now: datetime
) -> Certificate:
    """Gather the certificate of an account and business day from the books as they stand."""
    newest = counted_statements(conn, account, day)
    statement = newest[0] if newest else None
    of_day = statement is not None and statement.business_date == day
    lines, matched = _lines_of_day(conn, account, day)
    items = open_items(conn, custody_account_id=account.custody_account_id, as_of=day)
    shown = [(item, _transit_item(item, day, rules, calendar)) for item in items]
    standing = [DiscrepancyState.OPEN, DiscrepancyState.PREPARED]
    open_ones = records(conn, custody_account_id=account.custody_account_id, states=standing, since_until=day)
    closed = [
        one
        for one in records(
            conn,
            custody_account_id=account.custody_account_id,
            states=[DiscrepancyState.RESOLVED, DiscrepancyState.CLEARED],
            since_until=day,
        )
        if day in (one.discrepancy.since, one.state_on)
    ]
    signed = sign_off_of(conn, account, day)
    return Certificate(
        account=account,
        day=day,
        made_at=now,
        statement=statement,
        carried_forward=not of_day,
        opening=(statement.opening if of_day else statement.closing) if statement else 0,
        total_in=statement.total_in if statement and of_day else 0,
        total_out=statement.total_out if statement and of_day else 0,
        closing=statement.closing if statement else 0,
        lines_of_day=lines,
        lines_matched=matched,
        ledger_cash=_ledger_cash(conn, account, day),
        open_lines=signed_sum(open_bank_lines(conn, account, day)),
        coverage=coverage_of(conn, account, day, rules, calendar),
        receipts=tuple(one for item, one in shown if item.direction == "IN"),
        payments=tuple(one for item, one in shown if item.direction == "OUT"),
        open_discrepancies=tuple(open_ones),
        closed_discrepancies=tuple(closed),
        ages={
            one.discrepancy.discrepancy_id: calendar.working_days_between(one.discrepancy.since, day)
            for one in (*open_ones, *closed)
        },
        run=latest_run(conn, account, day),
        files=tuple(one for one in counted_statements(conn, account, day, newest=5) if one.business_date == day),
        sign_off=signed,
        reasons=() if signed.state == "signed_off" else what_stands_against(conn, account, day, calendar=calendar, now=now),
    )


def _transit_item(item: OpenItem, day: date, rules: MatchingRules, calendar: WorkingCalendar) -> TransitItem:
    return TransitItem(
        reference=item.references[0] if item.references else str(item.item_id),
        kind=item.kind,
        amount=item.amount.minor_units,
        due=item.due_date,
        age=calendar.working_days_between(item.due_date, day),
        in_time=rules.window(item.kind).ends(item.due_date, calendar) >= day,
    )


def _ledger_cash(conn: Connection, ref: CustodyAccountRef, day: date) -> int:
    found = account_ids(
        conn, institution_id=ref.institution_id, custody_account_id=ref.custody_account_id, kind="custody_cash"
    ).get(("custody_cash", ""))
    return balance(conn, found, as_of=day).minor_units if found is not None else 0


def _lines_of_day(conn: Connection, ref: CustodyAccountRef, day: date) -> tuple[int, int]:
    row = conn.execute(
        text(
            """
            SELECT count(*), count(m.line_id) FROM line_in_force c
            LEFT JOIN match_bank_line m USING (institution_id, line_id)
            WHERE c.institution_id = :institution AND c.custody_account_id = :account AND c.business_date = :day
            """
        ),
        {"institution": ref.institution_id, "account": ref.custody_account_id, "day": day},
    ).one()
    return int(row[0]), int(row[1])


def render(made: Certificate) -> str:
    """The certificate as one HTML page without outside resources; everything from outside is escaped."""
    currency = made.account.currency

    def money(minor_units: int) -> str:
        return format_minor_units(minor_units, exponent_of(currency), grouped=True)

    def clock(instant: datetime | None) -> str:
        return f"{instant.astimezone(BUSINESS_TIME_ZONE):%Y-%m-%d %H:%M}" if instant else ""

    return (
        _environment()
        .get_template("certificate.html")
        .render(
            c=made,
            money=money,
            clock=clock,
            cover=_bar(made.coverage),
            shown=ITEMS_SHOWN,
            explanation=explanation,
            act_titles=ACT_TITLES,
            item_titles=item_titles,
        )
    )


@dataclass(frozen=True, slots=True)
class _Bar:
    """Widths of the coverage bar in tenths of a percent of the longer side."""

    requirement: int
    bank: int
    transit: int
    percent: str


def _bar(one: Coverage) -> _Bar:
    resource = max(one.bank_closing, 0) + one.proven_in_transit
    longest = max(resource, one.requirement, 1)
    ratio = (max(one.bank_closing, 0) + one.proven_in_transit) * 1000 // one.requirement if one.requirement > 0 else None
    return _Bar(
        requirement=max(one.requirement, 0) * 1000 // longest,
        bank=max(one.bank_closing, 0) * 1000 // longest,
        transit=one.proven_in_transit * 1000 // longest,
        percent="-" if ratio is None else f"{ratio // 10}.{ratio % 10} %",
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
