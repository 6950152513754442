"""``escrow statement calendar``: what each bank owes until when, what came in time, late or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.reading import Lang, Language, readable_accounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table
    from sqlalchemy import Connection

    from reconciliation.discrepancy import DiscrepancyRecord
    from reconciliation.model import CustodyAccountRef
    from reconciliation.statement_calendar import CalendarDay, StatementRules

_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, one object per account.")]

#: Days shown when no first day is given: a month, so that its end is seen as well.
DAYS_SHOWN = 31
#: Weeks a screen has room for.
WEEKS_SHOWN = 10
#: Days from which on a calendar is no longer readable as one row an account.
MOST_DAYS = 400


def add_to(app: typer.Typer) -> None:
    """Add the command to ``escrow statement``."""
    app.command(
        "calendar",
        epilog="Examples: escrow statement calendar  |  "
        "escrow statement calendar --account 62.. --from 2026-03-01 --to 2026-03-31 --lang zh",
    )(calendar)


def calendar(  # noqa: PLR0917 - the command line is the signature
    account: Annotated[str | None, typer.Option(help="Account number, for its months as a picture; all when left out.")] = None,
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day shown.")] = None,
    to: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; today when left out.")] = None,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """For each account and day: is a statement owed, until when, has it come, in time or how late. Exit 1 when one is overdue.

    The deadlines are those of config/statement_calendar.yaml; a bank sees its own accounts.
    """
    from calendars import business_date
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from reconciliation.calendar_wording import LEGEND, nothing_owed, overdue_days, told

    settings = read_settings(user=as_user)
    principal = acting_principal(settings)
    rules, now = statement_rules(), utc_now()
    last = to.date() if to else business_date(now)
    first = from_.date() if from_ else last - timedelta(days=DAYS_SHOWN - 1)
    _check(first, last)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        shown = account_calendars(
            connection, readable_accounts(connection, principal, account), first, last, rules=rules, now=now
        )
    overdue = any(one.overdue for each in shown for one in each.days)
    if as_json:
        for each in shown:
            typer.echo(json.dumps(_as_json(each, rules.version, now), ensure_ascii=False))
        raise typer.Exit(1 if overdue else 0)
    if not shown:
        typer.echo("there is no custody account to show; escrow import institutions FILE opens them", err=True)
        raise typer.Exit(1)
    for table in _months(shown[0], lang) if account is not None else _grids(shown, first, last, lang):
        screen().print(table)
    typer.echo(LEGEND.text(lang))
    for each in shown:
        owing = [one for one in each.days if one.overdue]
        if len(owing) > 1:
            typer.echo(overdue_days(each.ref, owing, now).text(lang))
        for one in each.days if len(owing) <= 1 else [one for one in each.days if not one.overdue]:
            said = told(each.ref, one, now, each.missing.get(one.day))
            if said is not None:
                typer.echo(said.text(lang))
    if not any(one.owed for each in shown for one in each.days):
        typer.echo(nothing_owed(first, last).text(lang))
    raise typer.Exit(1 if overdue else 0)


@dataclass(frozen=True, slots=True)
class AccountCalendar:
    """The days of one account, and by day the discrepancy that says its statement is missing."""

    ref: CustodyAccountRef
    days: Sequence[CalendarDay]
    missing: Mapping[date, DiscrepancyRecord]


def statement_rules() -> StatementRules:
    """The deadlines in force (config/statement_calendar.yaml)."""
    from config.banks import load_banks
    from config.statement_calendar import load_statement_rules

    return load_statement_rules(load_banks())


def account_calendars(
    connection: Connection, refs: Sequence[CustodyAccountRef], first: date, last: date, *, rules: StatementRules, now: datetime
) -> list[AccountCalendar]:
    """The calendar of each account."""
    from config.calendars import load_calendar
    from reconciliation.arrivals import came, supervised_since
    from reconciliation.discrepancy import DiscrepancyKind
    from reconciliation.discrepancy_store import records
    from reconciliation.statement_calendar import calendar_of

    working_days, found = load_calendar(), []
    for ref in refs:
        since = supervised_since(connection, ref)
        arrived = came(connection, ref, first, date.max)
        days = calendar_of(rules, working_days, ref, arrived, first, last, now=now, since=since)
        kinds = [str(DiscrepancyKind.STATEMENT_MISSING)]
        told = records(connection, custody_account_id=ref.custody_account_id, kinds=kinds, since_until=last)
        missing = {one.discrepancy.since: one for one in told}
        found.append(AccountCalendar(ref, days, missing))
    return found


def _check(first: date, last: date) -> None:
    if last < first:
        raise typer.BadParameter(f"--to {last} lies before the first day, {first}; name a later one, or an earlier --from")
    if (last - first).days >= MOST_DAYS:
        raise typer.BadParameter(f"{first} to {last} are more than {MOST_DAYS} days; ask for a year at most")


def _as_json(each: AccountCalendar, rules_version: str, now: datetime) -> dict[str, Any]:
    return {
        "account": each.ref.account_number,
        "bank": each.ref.bank_code,
        "as_of": now.isoformat(),
        "rules_version": rules_version,
        "overdue": sum(one.overdue for one in each.days),
        "days": [
            {
                "date": one.day.isoformat(),
                "state": str(one.state),
                "owed": one.owed,
                "deadline": one.deadline.isoformat() if one.deadline else None,
                "came_at": one.came_at.isoformat() if one.came_at else None,
                "late_seconds": int(one.late_by.total_seconds()) if one.late_by is not None else None,
                "covered_by": one.covered_by.isoformat() if one.covered_by else None,
                "overdue": one.overdue,
                "discrepancy": each.missing[one.day].discrepancy.discrepancy_id if one.day in each.missing else None,
                "discrepancy_state": str(each.missing[one.day].state) if one.day in each.missing else None,
            }
            for one in each.days
        ],
    }


def _styled(one: CalendarDay) -> str:
    from reconciliation.calendar_wording import LATE_MARK, mark_of

    mark = mark_of(one)
    style = {"+": "green", LATE_MARK: "yellow", "w": "yellow", "q": "yellow", "x": "red", "!": "bold red"}
    return f"[{style[mark]}]{mark}[/{style[mark]}]" if mark in style else mark


def _grids(shown: Sequence[AccountCalendar], first: date, last: date, lang: str) -> list[Table]:
    """Accounts down, weeks across, a mark a day from Monday to Sunday; as many tables as weeks need."""
    from rich.table import Table

    from reports.wording import word

    monday = first - timedelta(days=first.weekday())
    weeks = [monday + timedelta(days=n) for n in range(0, (last - monday).days + 1, 7)]
    found = []
    for start in range(0, len(weeks), WEEKS_SHOWN):
        some = weeks[start : start + WEEKS_SHOWN]
        title = f"对账单日历 {first} 至 {last}" if lang == "zh" else f"Statement calendar {first} to {last}"
        table = Table(title=title)
        table.add_column(word("account", lang), no_wrap=True)
        table.add_column(word("bank", lang), no_wrap=True)
        for week in some:
            table.add_column(f"{week:%m-%d}", no_wrap=True, min_width=7)
        for each in shown:
            by_day = {one.day: _styled(one) for one in each.days}
            cells = ["".join(by_day.get(week + timedelta(days=n), " ") for n in range(7)) for week in some]
            table.add_row(each.ref.account_number, each.ref.bank_code, *cells)
        found.append(table)
    return found


def _months(each: AccountCalendar, lang: str) -> list[Table]:
    """One account as the leaves of a wall calendar."""
    from itertools import groupby

    from rich.table import Table

    from reconciliation.calendar_wording import WEEKDAYS

    found = []
    for month, group in groupby(each.days, key=lambda one: one.day.replace(day=1)):
        title = f"{each.ref.account_number} {each.ref.bank_code} {month:%Y-%m}"
        table = Table(title=title, show_lines=True)
        for name in WEEKDAYS.text(lang).split():
            table.add_column(name, justify="center", min_width=4)
        week = [""] * 7
        for one in group:
            week[one.day.weekday()] = f"{one.day.day:2d} {_styled(one)}"
            if one.day.weekday() == 6:
                table.add_row(*week)
                week = [""] * 7
        if any(week):
            table.add_row(*week)
        found.append(table)
    return found
