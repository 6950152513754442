"""``escrow ledger``: read the books and prove them."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.commands.ledger_options import (
    LARGEST_NUMBER,
    AsJson,
    AsOf,
    CustodyAccount,
    From,
    KnownAt,
    To,
    custody_account_asked,
    in_order,
    ledger_account_id,
    options_again,
)
from entrypoints.commands.reading import Lang, Language
from entrypoints.report_desk import CsvFile, XlsxFile, report_desk

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy import Connection

    from ledger.model import Fault
    from reports.report_table import ReportTable
    from storage.verification import WrongRow

#: Exit code when the books or the evidence do not verify.
DOES_NOT_VERIFY = 3

Answer = TypeVar("Answer")


class By(StrEnum):
    """What a row of the trial balance is."""

    KIND = "kind"
    ACCOUNT = "account"


ledger_app = typer.Typer(
    help=(
        "Read the books at any date, follow a figure to its transfers, and prove that nothing was changed.\n\n"
        "Examples:\n\n"
        "  escrow ledger trial-balance --as-of 2026-03-27\n\n"
        "  escrow ledger account 1:custody_cash\n\n"
        "  escrow ledger journal --source order\n\n"
        "  escrow ledger general-ledger --as-of 2026-03-27 --xlsx general-ledger.xlsx\n\n"
        "  escrow ledger ageing --as-of 2026-03-27\n\n"
        "  escrow ledger verify"
    ),
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    from entrypoints.commands.archive import add_archive
    from entrypoints.commands.coverage import add_coverage
    from entrypoints.commands.ledger_reports import add_ledger_reports
    from entrypoints.commands.period import add_periods

    add_ledger_reports(ledger_app)
    add_coverage(ledger_app)
    add_periods(ledger_app)
    add_archive(ledger_app)
    app.add_typer(ledger_app, name="ledger")


@ledger_app.command("trial-balance")
def trial_balance_command(  # noqa: PLR0917  typer's options
    as_of: AsOf = None,
    known_at: KnownAt = None,
    account: CustodyAccount = None,
    by: Annotated[By | None, typer.Option("--by", help="A row for each kind of account, or for each account.")] = None,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """Debits and credits of every account, whose totals are equal.

    Examples: escrow ledger trial-balance --as-of 2026-03-27 --lang zh; escrow ledger trial-balance --by account --xlsx tb.xlsx
    """
    from config.chart import load_chart
    from entrypoints.settings import read_settings
    from reports.trial_balance import trial_balance_report, trial_balance_table
    from reports.wording import word

    chart = load_chart()
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        report = trial_balance_report(
            desk.connection,
            chart,
            as_of=as_of,
            known_at=known_at,
            custody_account_id=custody_account_asked(desk, account),
            institution_ids=desk.institution_ids,
            by=(by or By.KIND).value,
        )
        table = trial_balance_table(report, chart, lang.value, desk.facts(as_of=as_of, known_at=known_at))
        if not desk.hand_over(lambda: table, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            if as_json:
                typer.echo(json.dumps(report.as_json(chart), ensure_ascii=False))
            else:
                desk.show(table, lang.value)
                verdict = "debits equal credits" if report.balances else "DEBITS DO NOT EQUAL CREDITS; run: escrow ledger verify"
                typer.echo(word(verdict, lang.value))
    if not report.balances:
        raise typer.Exit(DOES_NOT_VERIFY)


@ledger_app.command("account")
def account_command(  # noqa: PLR0917  typer's options
    account: Annotated[
        str,
        typer.Argument(
            metavar="ACCOUNT",
            help="Number of the account, or CUSTODY:KIND[:SUBJECT], such as 1:custody_cash (trial-balance --by account).",
        ),
    ],
    from_: From = None,
    to: To = None,
    known_at: KnownAt = None,
    after: Annotated[
        int | None, typer.Option("--after", metavar="N", help="Continue after posting N.", min=0, max=LARGEST_NUMBER)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Postings a page.", min=1, max=100_000)] = 50,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """An account's postings with running balances, page by page; a file holds all of them.

    Examples: escrow ledger account 1:custody_cash; escrow ledger account 17 --as-of 2026-03-27 --after 50
    """
    from entrypoints.settings import read_settings
    from reports.account_statement import account_statement_report, account_statement_table, whole_statement
    from reports.wording import word

    in_order(from_, to)
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        report = account_statement_report(
            desk.connection,
            ledger_account_id(desk.connection, account),
            from_=from_,
            to=to,
            after=after,
            limit=limit,
            known_at=known_at,
        )
        desk.require_custody_account(report.account.custody_account_id)
        facts = desk.facts(as_of=to, known_at=known_at)

        def whole() -> ReportTable:
            return account_statement_table(report, whole_statement(desk.connection, report), facts)

        if desk.hand_over(whole, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            return
        if as_json:
            typer.echo(json.dumps(report.as_json(), ensure_ascii=False))
            return
        desk.show(account_statement_table(report, iter(report.lines), facts), lang.value)
    if report.next_after is not None:
        asked = options_again({"--from": from_, "--as-of": to, "--known-at": known_at, "--limit": limit})
        more = f"escrow ledger account {report.account.account_id}{asked} --after {report.next_after}"
        typer.echo(f"{word('more', lang.value)}: {more}")


@ledger_app.command("journal")
def journal_command(  # noqa: PLR0917  typer's options
    from_: From = None,
    to: To = None,
    known_at: KnownAt = None,
    account: CustodyAccount = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="KIND[/REF]", help="Entries of one kind of event, or of one event: order/ORD-1."),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="I.B.L", help="Continue after this line: institution.batch.line.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Transfers a page.", min=1, max=100_000)] = 50,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
    xlsx_file: XlsxFile = None,
) -> None:
    """The journal: every transfer with its batch, actor and rule version, and the file and line it comes from.

    Examples: escrow ledger journal --source order; escrow ledger journal --from 2026-03-02 --csv march.csv
    """
    from entrypoints.settings import read_settings
    from ledger.store import journal
    from reports.journal import journal_line_as_json, journal_table, whole_journal, with_sources
    from reports.wording import word

    in_order(from_, to)
    kind, _, ref = (source or "").partition("/")
    start = _journal_key(after)
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        asked: dict[str, Any] = {
            "institution_ids": desk.institution_ids,
            "custody_account_id": custody_account_asked(desk, account),
            "source_kind": kind or None,
            "source_ref": ref or None,
            "from_": from_,
            "to": to,
            "known_at": known_at,
        }
        facts = desk.facts(as_of=to, known_at=known_at)

        def whole() -> ReportTable:
            return journal_table(with_sources(desk.connection, whole_journal(desk.connection, **asked)), facts)

        if desk.hand_over(whole, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            return
        lines = list(with_sources(desk.connection, journal(desk.connection, **asked, after=start, limit=limit)))
        if as_json:
            for line, found in lines:
                typer.echo(json.dumps(journal_line_as_json(line, found), ensure_ascii=False))
            return
        desk.show(journal_table(lines, facts), lang.value)
    if len(lines) == limit:
        last = lines[-1][0]
        again = options_again(
            {"--from": from_, "--as-of": to, "--known-at": known_at, "--account": account, "--source": source, "--limit": limit}
        )
        more = f"escrow ledger journal{again} --after {last.institution_id}.{last.batch_id}.{last.line}"
        typer.echo(f"{word('more', lang.value)}: {more}")


@ledger_app.command("verify")
def verify_command(as_json: AsJson = False) -> None:
    """Derive everything again that follows from something else, and check every row's digest, every seal and the audit log.

    Exit code 0: everything follows; 3: something does not, and every row is named.

    Example: escrow ledger verify
    """
    checks, warnings = _with_books(lambda conn: (run_all_checks(conn), _warnings(conn)), whole=True)
    faults = [fault for check in checks for fault in check["faults"]]
    if as_json:
        typer.echo(
            json.dumps({"verified": not faults, "checks": checks, "faults": faults, "warnings": warnings}, ensure_ascii=False)
        )
    else:
        _print_checks(checks)
        for warning in warnings:
            typer.echo(f"warning: {warning}")
    if faults:
        raise typer.Exit(DOES_NOT_VERIFY)


def _warnings(conn: Connection) -> list[str]:
    """What is no fault of the books, but leaves them less guarded than they could be."""
    from storage.schema_trap import trap

    if (found := trap(conn)).set or found.faults:
        return []
    said = (
        "the server has no trap against changes of the schema, so who owns the tables could switch guards off and on again "
        "between two verifications; let an administrator of the server run what this prints: escrow db trap"
    )
    return [said]


def run_all_checks(conn: Connection) -> list[dict[str, Any]]:
    """Every check of the books and of the evidence, on one snapshot: name, rows, seconds and faults (table, row, what)."""
    from time import perf_counter

    from sqlalchemy import text

    from jobs.verifying import CHECKS, facts_looked_at
    from ledger.store import examine

    conn.rollback()
    conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    checks: list[dict[str, Any]] = [
        {
            "name": check.name,
            "rows": check.rows,
            "wrong": check.wrong,
            "seconds": round(check.seconds, 3),
            "faults": _plain(check.faults),
        }
        for check in examine(conn)
    ]
    looked_at = facts_looked_at(conn)
    for name, check in CHECKS.items():
        started = perf_counter()
        faults = check(conn)
        checks.append(
            {
                "name": name,
                "rows": looked_at[name],
                "wrong": len(faults),
                "seconds": round(perf_counter() - started, 3),
                "faults": _plain(faults),
            }
        )
    return checks


def _plain(faults: Any) -> list[dict[str, str]]:
    found: list[Fault | WrongRow] = list(faults)
    return [
        {"table": fault.table, "row": str(getattr(fault, "row", None) or getattr(fault, "key", "")), "what": fault.what}
        for fault in found
    ]


def _print_checks(checks: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("check", title="Verification")
    for name in ("rows", "wrong", "seconds"):
        table.add_column(name, justify="right")
    for check in checks:
        rows = "" if check["rows"] is None else f"{check['rows']:,}"
        table.add_row(
            check["name"], rows, str(check["wrong"]), f"{check['seconds']:.2f}", style="red" if check["wrong"] else None
        )
    _print(table)
    for check in checks:
        for fault in check["faults"]:
            typer.echo(f"{fault['table']}: {fault['row']}: {fault['what']}")
        if check["wrong"] > len(check["faults"]):
            typer.echo(f"{check['name']}: {check['wrong'] - len(check['faults'])} more rows")
    wrong = sum(check["wrong"] for check in checks)
    if wrong:
        typer.echo(
            f"NOT VERIFIED: {wrong} faults. Keep this database as it is, and compare the named rows with the last good backup "
            "and evidence pack."
        )
    else:
        typer.echo("verified: every balance, digest, seal and link follows from the evidence")


def _journal_key(after: str | None) -> tuple[int, int, int] | None:
    if after is None:
        return None
    parts = after.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise typer.BadParameter(f"{after!r} is not institution.batch.line, such as 1.12.3", param_hint="--after")
    return (int(parts[0]), int(parts[1]), int(parts[2]))


def _with_books(read: Callable[[Connection], Answer], *, whole: bool = False) -> Answer:
    from entrypoints.acting import acting_principal, reading_session, whole_books_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.READ_LEDGER)
    session = whole_books_session() if whole else reading_session(principal)
    with open_books(settings, session=session) as engine, engine.connect() as conn:
        return read(conn)


def _print(table: Table) -> None:
    """To a terminal as wide as it is; to a file or pipe wide enough that nothing is cut."""
    from entrypoints.screen import screen

    screen().print(table)
