"""``escrow ledger general-ledger`` and ``escrow ledger ageing``."""

from __future__ import annotations

import json
from datetime import date
from enum import StrEnum
from typing import Annotated

import typer

from entrypoints.commands.ledger_options import AsJson, AsOf, CustodyAccount, From, KnownAt, To, custody_account_asked, in_order
from entrypoints.commands.reading import Lang, Language
from entrypoints.report_desk import CsvFile, XlsxFile, report_desk


class Period(StrEnum):
    """How long a line of the general ledger is."""

    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    WHOLE = "whole"


def add_ledger_reports(ledger_app: typer.Typer) -> None:
    """Add the commands to the ledger's commands."""
    ledger_app.command("general-ledger")(general_ledger_command)
    ledger_app.command("ageing")(ageing_command)


def general_ledger_command(  # noqa: PLR0917  typer's options
    from_: From = None,
    to: To = None,
    known_at: KnownAt = None,
    account: CustodyAccount = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="One kind of account, such as prepayment_held.")
    ] = None,
    period: Annotated[Period, typer.Option("--by", help="Length of a line.")] = Period.MONTH,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """For every account and period: opening balance, debits, credits, closing balance.

    Examples: escrow ledger general-ledger --kind custody_cash --by day; escrow ledger general-ledger --xlsx general-ledger.xlsx
    """
    from config.chart import load_chart
    from entrypoints.settings import read_settings
    from reports.general_ledger import general_ledger, general_ledger_table
    from reports.report_table import ReportTable
    from reports.wording import word

    in_order(from_, to)
    chart = load_chart()
    if kind is not None and kind not in {one.kind for one in chart.kinds}:
        raise typer.BadParameter(f"{kind!r} is not one of: {', '.join(one.kind for one in chart.kinds)}", param_hint="--kind")
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        custody = custody_account_asked(desk, account)

        def make() -> ReportTable:
            lines = general_ledger(
                desk.connection,
                from_=from_,
                to=to,
                known_at=known_at,
                period=period.value,
                custody_account_id=custody,
                institution_ids=desk.institution_ids,
                kind=kind,
            )
            return general_ledger_table(lines, chart, lang.value, desk.facts(as_of=to, known_at=known_at))

        if desk.hand_over(make, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            return
        if as_json:
            for row in make().json_rows():
                typer.echo(json.dumps(row, ensure_ascii=False))
        else:
            desk.show(make(), lang.value)
            typer.echo(word("a line's postings", lang.value) + ": escrow ledger account NUMBER --from DATE --as-of DATE")


def ageing_command(  # noqa: PLR0917  typer's options
    as_of: AsOf = None,
    known_at: KnownAt = None,
    account: CustodyAccount = None,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """What is still open, by working days waited: items in transit, discrepancies, class-hours not released, prepayments held.

    Items in transit wait since they were due, class-hours since they were taught, prepayments since they were paid.

    Examples: escrow ledger ageing --as-of 2026-03-27; escrow ledger ageing --account 6222020001 --csv ageing.csv
    """
    from calendars import business_date
    from config.calendars import load_calendar
    from entrypoints.settings import read_settings
    from reports.ageing import ageing, ageing_table
    from reports.wording import word

    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        day: date = as_of or business_date(desk.now)
        lines = ageing(
            desk.connection,
            load_calendar(),
            as_of=day,
            known_at=known_at,
            custody_account_id=custody_account_asked(desk, account),
            institution_ids=desk.institution_ids,
        )
        table = ageing_table(lines, lang.value, desk.facts(as_of=day, known_at=known_at))
        if desk.hand_over(lambda: table, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            return
        if as_json:
            typer.echo(json.dumps(table.as_json(), ensure_ascii=False))
        else:
            desk.show(table, lang.value)
            typer.echo(
                word("an item's story", lang.value) + ": escrow ledger journal --source KIND/REF; escrow discrepancy show ID"
            )
