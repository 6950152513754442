"""``escrow ledger``: read the books and prove them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from entrypoints.report_desk import CsvFile, ReportDesk, XlsxFile, report_desk

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy import Connection

    from ledger.model import Fault
    from reports.report_table import ReportTable
    from storage.verification import WrongRow

#: Exit code when the books or the evidence do not verify.
DOES_NOT_VERIFY = 3

Answer = TypeVar("Answer")


class Language(StrEnum):
    """Language of account names."""

    EN = "en"
    ZH = "zh"


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
        "  escrow ledger verify"
    ),
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    from entrypoints.commands.coverage import add_coverage

    add_coverage(ledger_app)
    app.add_typer(ledger_app, name="ledger")


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a date such as 2026-03-27") from None


def _instant(value: str) -> datetime:
    from calendars import BUSINESS_TIME_ZONE

    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not an instant such as 2026-03-27T18:00+08:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=BUSINESS_TIME_ZONE)


AsOf = Annotated[
    date | None, typer.Option("--as-of", parser=_day, metavar="DATE", help="Balances through this business day; else everything.")
]
KnownAt = Annotated[
    datetime | None,
    typer.Option(
        "--known-at", parser=_instant, metavar="INSTANT", help="Only what was posted by then (Shanghai time if no offset)."
    ),
]
CustodyAccount = Annotated[
    str | None, typer.Option("--account", metavar="CUSTODY", help="One custody account: the bank's number of it, or ours.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Lang = Annotated[Language, typer.Option("--lang", help="Language of account names.")]
#: Larger than any number the books give out.
_MOST = 2**62

From = Annotated[date | None, typer.Option("--from", parser=_day, metavar="DATE", help="First booking date.")]
To = Annotated[
    date | None, typer.Option("--to", "--as-of", parser=_day, metavar="DATE", help="Only what is booked through this day.")
]


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

    chart = load_chart()
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        report = trial_balance_report(
            desk.connection,
            chart,
            as_of=as_of,
            known_at=known_at,
            custody_account_id=_custody_account(desk, account),
            institution_ids=desk.institution_ids,
            by=(by or By.KIND).value,
        )
        table = trial_balance_table(report, chart, lang.value, desk.facts(as_of=as_of, known_at=known_at))
        if not desk.hand_over(lambda: table, csv_file=csv_file, xlsx_file=xlsx_file, language=lang.value):
            if as_json:
                typer.echo(json.dumps(report.as_json(chart), ensure_ascii=False))
            else:
                desk.show(table, lang.value)
                typer.echo(
                    "debits equal credits" if report.balances else "DEBITS DO NOT EQUAL CREDITS; run: escrow ledger verify"
                )
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
    after: Annotated[int | None, typer.Option("--after", metavar="N", help="Continue after posting N.", min=0, max=_MOST)] = None,
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

    _in_order(from_, to)
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
        asked = _options({"--from": from_, "--as-of": to, "--known-at": known_at, "--limit": limit})
        typer.echo(f"more: escrow ledger account {report.account.account_id}{asked} --after {report.next_after}")


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

    _in_order(from_, to)
    kind, _, ref = (source or "").partition("/")
    start = _journal_key(after)
    with report_desk(read_settings(), export=bool(csv_file or xlsx_file)) as desk:
        asked: dict[str, Any] = {
            "institution_ids": desk.institution_ids,
            "custody_account_id": _custody_account(desk, account),
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
        again = _options(
            {"--from": from_, "--as-of": to, "--known-at": known_at, "--account": account, "--source": source, "--limit": limit}
        )
        typer.echo(f"more: escrow ledger journal{again} --after {last.institution_id}.{last.batch_id}.{last.line}")


@ledger_app.command("verify")
def verify_command(as_json: AsJson = False) -> None:
    """Derive everything again that follows from something else, and check every row's digest, every seal and the audit log.

    Exit code 0: everything follows; 3: something does not, and every row is named.

    Example: escrow ledger verify
    """
    checks = _with_books(run_all_checks, whole=True)
    faults = [fault for check in checks for fault in check["faults"]]
    if as_json:
        typer.echo(json.dumps({"verified": not faults, "checks": checks, "faults": faults}, ensure_ascii=False))
    else:
        _print_checks(checks)
    if faults:
        raise typer.Exit(DOES_NOT_VERIFY)


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


def _custody_account(desk: ReportDesk, wanted: str | None) -> int | None:
    """Our number of the custody account asked for, which the person must supervise. Raises LookupError and NotAllowed."""
    if wanted is None:
        return None
    found = custody_account_id(desk.connection, wanted)
    desk.require_custody_account(found)
    return found


def _options(given: dict[str, object]) -> str:
    """Options as one would type them again; what was not given is left out."""
    import shlex

    def said(value: object) -> str:
        return shlex.quote(value.isoformat() if isinstance(value, date) else str(value))

    return "".join(f" {name} {said(value)}" for name, value in given.items() if value is not None)


def _in_order(first: date | None, last: date | None) -> None:
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{first} is after {last}", param_hint="--from")


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


def custody_account_id(conn: Connection, wanted: str) -> int:
    """Our number of a custody account, given by the bank's number of it or by ours. Raises LookupError."""
    from sqlalchemy import or_, select

    from escrow.tables import custody_account

    by_number = custody_account.c.account_number == wanted
    numeric = wanted.isascii() and wanted.isdecimal() and len(wanted) <= 9
    found = conn.execute(
        select(custody_account.c.custody_account_id, by_number).where(
            or_(by_number, custody_account.c.custody_account_id == int(wanted)) if numeric else by_number
        )
    ).all()
    exact = [row[0] for row in found if row[1]] or [row[0] for row in found]
    if len(exact) != 1:
        known = (
            conn.execute(select(custody_account.c.account_number).order_by(custody_account.c.account_number).limit(5))
            .scalars()
            .all()
        )
        what = "is kept by more than one bank; give our own number" if exact else "is not a custody account of these books"
        raise LookupError(f"{wanted} {what}" + (f"; there are, for example: {', '.join(known)}" if known and not exact else ""))
    return int(exact[0])


def ledger_account_id(conn: Connection, wanted: str) -> int:
    """Number of an account given by number or as CUSTODY:KIND[:SUBJECT]. Raises LookupError."""
    from ledger.store import accounts, find_account

    custody, kind, subject = (*wanted.split(":", 2), "", "")[:3]
    if not kind:
        if not (wanted.isascii() and wanted.isdecimal()):
            raise LookupError(
                f"{wanted!r} is neither an account's number nor CUSTODY:KIND[:SUBJECT], such as 1:prepayment_held:ORDER. {_CODES}"
            )
        if int(wanted) > _MOST:
            raise LookupError(f"there is no account {wanted}. {_CODES}")
        try:
            return find_account(conn, int(wanted)).account_id
        except LookupError:
            raise LookupError(f"there is no account {wanted}. {_CODES}") from None
    ours = custody.isascii() and custody.isdecimal() and len(custody) <= 9
    known = accounts(conn, custody_account_id=int(custody)) if ours else []
    known = known or accounts(conn, custody_account_id=custody_account_id(conn, custody))
    for account in known:
        if (account.kind, account.subject) == (kind, subject):
            return account.account_id
    code = f"{known[0].custody_account_id if known else custody}:{kind}" + (f":{subject}" if subject else "")
    near = get_close_matches(code, [account.code for account in known], n=5, cutoff=0.5)
    near = near or sorted({account.code for account in known if not account.subject})
    raise LookupError(f"there is no account {code}; the nearest are: {', '.join(near)}. {_CODES}")


#: Which codes there are, and where they are listed.
_CODES = (
    "Codes: custody_cash, payable_to_institution and the like stand alone; prepayment_held takes the order, "
    "receipts_in_transit the channel. escrow ledger trial-balance --by account lists them"
)


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
