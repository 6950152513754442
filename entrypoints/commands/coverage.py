"""``escrow ledger coverage``: is the money there, account by account?"""

from __future__ import annotations

import json
from datetime import date as Date  # noqa: N812 - a parameter is called date elsewhere
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.ledger_options import KnownAt, day_given
from entrypoints.commands.reading import Lang, Language, readable_accounts
from entrypoints.report_desk import CsvFile, XlsxFile, report_desk

if TYPE_CHECKING:
    from datetime import datetime

    from reports.coverage import CoverageRow


def add_coverage(ledger_app: typer.Typer) -> None:
    """Add the command to the ledger's commands."""
    ledger_app.command("coverage", epilog="Example: escrow ledger coverage --as-of 2026-03-20 --known-at 2026-03-23T18:00+08:00")(
        coverage_command
    )


def coverage_command(  # noqa: PLR0917  typer's options
    as_of: Annotated[
        Date | None,
        typer.Option("--as-of", parser=day_given, metavar="DATE", help="Business day; the newest reconciled one when left out."),
    ] = None,
    known_at: KnownAt = None,
    account: Annotated[str | None, typer.Option(help="Account number; all accounts when left out.")] = None,
    lang: Lang = Language.EN,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per account and line.")] = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """Compare what each custody account must hold with what the bank says it holds.

    Exit 1 on a shortfall, and when no statement covers the day. A surplus at one account never covers another. Strict
    counts bank cash alone; covered also counts receipts proven to be on their way and still in time.
    """
    from calendars import business_date
    from entrypoints.commands.day_argument import business_day
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from reports.coverage import coverage, coverage_table

    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        connection, today = desk.connection, business_date(desk.now)
        day = business_day(connection, as_of, known_at)
        if day > today:
            newest = business_day(connection, None, known_at)
            raise LookupError(f"{day} has not come (today is {today}), so no statement covers it; the newest known day: {newest}")
        refs = readable_accounts(connection, desk.principal, account)
        rows = coverage(connection, day, refs, known_at=known_at)
        if not rows:
            filed, later = (f" or filed by {known_at.isoformat()}", " or --known-at") if known_at else ("", "")
            raise LookupError(
                f"no custody account was open on {day}{filed}; give a later --as-of{later}, "
                "or file one: escrow import institutions"
            )
        table = coverage_table(rows, day, desk.facts(as_of=day, known_at=known_at))
        handed = desk.hand_over(lambda: table, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value)
    if as_json and not handed:
        for row in rows:
            typer.echo(json.dumps(_as_json(row, day, known_at), ensure_ascii=False))
    elif not handed:
        screen().print(_table(rows, day, known_at, lang))
        for row in rows:
            if not row.known:
                typer.echo(_unknown(row, day, lang) if known_at is None else _unknown_then(row, day, known_at, lang))
            elif not row.coverage.covered:
                typer.echo(_short(row, day, lang))
    if any(not row.coverage.covered or not row.known for row in rows):
        raise typer.Exit(1)


def _unknown(row: CoverageRow, day: Date, lang: str) -> str:
    last = row.coverage.closing_date
    command = f"escrow statement receive FILE --sender {row.bank_code}"
    if lang == "zh":
        had = f"最近一份为 {last}" if last else "从未收到"
        return (
            f"{row.account_number}：{day} 无对账单（{had}），该日余额不可知；"
            f"请向银行索取：{command}，再执行：escrow run-day {day}"
        )
    had = f"the last is for {last}" if last else "none has ever come"
    return (
        f"{row.account_number}: no statement covers {day} ({had}), so its balance that day is not known; ask the bank, then: "
        f"{command} and: escrow run-day {day}"
    )


def _unknown_then(row: CoverageRow, day: Date, known_at: datetime, lang: str) -> str:
    """What came since may cover the day, so nobody is sent to the bank."""
    again = f"escrow ledger coverage --as-of {day} --account {row.account_number}"
    if lang == "zh":
        return f"{row.account_number}：截至 {known_at.isoformat()} 尚无 {day} 的对账单，当时余额不可知；现在所知见：{again}"
    return (
        f"{row.account_number}: by {known_at.isoformat()} no statement covered {day}, so its balance was not known; "
        f"what is known now: {again}"
    )


def _short(row: CoverageRow, day: Date, lang: str) -> str:
    command = f"escrow discrepancy list --open --account {row.account_number}"
    if lang == "zh":
        return f"{row.account_number}：{day} 存在缺口；原因见未决差错：{command}"
    return f"{row.account_number}: short on {day}; what is missing is among its open discrepancies: {command}"


def _table(rows: list[CoverageRow], day: Date, known_at: datetime | None, lang: str) -> Any:
    from rich.table import Table

    from money import exponent_of, format_minor_units
    from reports.wording import word

    then = f" ({word('as known at', lang)} {known_at.isoformat()})" if known_at else ""
    table = Table(title=f"{word('Coverage at the end of', lang)} {day}{then}")
    for name in ("account", "bank"):
        table.add_column(word(name, lang))
    for name in ("must be there", "bank balance", "strict", "proven in transit", "surplus"):
        table.add_column(word(name, lang), justify="right")
    table.add_column("")
    for row in rows:
        one = row.coverage
        figures = (one.requirement, one.bank_closing, one.strict_surplus, one.proven_in_transit, one.surplus)
        shown = [format_minor_units(units, exponent_of(one.currency), grouped=True) for units in figures]
        mark = f"[green]{word('covered', lang)}[/green]" if one.covered else f"[bold red]{word('SHORT', lang)}[/bold red]"
        if not row.known:
            mark = f"[bold red]{word('NO STATEMENT', lang)}[/bold red]"
        table.add_row(row.account_number, row.bank_code, *shown, mark)
    return table


def _as_json(row: CoverageRow, day: Date, known_at: datetime | None) -> dict[str, Any]:
    from money import exponent_of, format_minor_units

    exponent = exponent_of(row.coverage.currency)
    return {
        "account": row.account_number,
        "bank": row.bank_code,
        "as_of": day.isoformat(),
        "known_at": known_at.isoformat() if known_at else None,
        "currency": row.coverage.currency,
        "closing_date": row.coverage.closing_date.isoformat() if row.coverage.closing_date else None,
        "statement_covers_day": row.known,
        **{name: format_minor_units(units, exponent) for name, units in row.parts.items()},
        "covered": row.coverage.covered,
    }
