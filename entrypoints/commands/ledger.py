"""``escrow ledger``: read the books and prove them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.table import Table
    from sqlalchemy import Connection

    from ledger.model import Fault
    from reports.account_statement import AccountStatement
    from reports.trial_balance import TrialBalance
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
        "  escrow ledger trial-balance --as-of 2025-03-31\n\n"
        "  escrow ledger account 3:prepayment_held:ORD-1\n\n"
        "  escrow ledger journal --source order/ORD-1\n\n"
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
        raise typer.BadParameter(f"{value!r} is not a date such as 2025-03-31") from None


def _instant(value: str) -> datetime:
    from calendars import BUSINESS_TIME_ZONE

    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not an instant such as 2025-03-31T18:00+08:00") from None
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
To = Annotated[date | None, typer.Option("--to", parser=_day, metavar="DATE", help="Last booking date.")]


@ledger_app.command("trial-balance")
def trial_balance_command(  # noqa: PLR0917  typer's options
    as_of: AsOf = None,
    known_at: KnownAt = None,
    account: CustodyAccount = None,
    by: Annotated[By | None, typer.Option("--by", help="A row for each kind of account, or for each account.")] = None,
    lang: Lang = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Debits and credits of every account, whose totals are equal.

    Examples: escrow ledger trial-balance --as-of 2025-03-31 --lang zh; escrow ledger trial-balance --account 6222020001
    """
    from config.chart import load_chart
    from reports.trial_balance import trial_balance_report

    chart = load_chart()

    def read(conn: Connection) -> TrialBalance:
        custody = None if account is None else custody_account_id(conn, account)
        return trial_balance_report(
            conn, chart, as_of=as_of, known_at=known_at, custody_account_id=custody, by=(by or By.KIND).value
        )

    report = _with_books(read)
    if as_json:
        typer.echo(json.dumps(report.as_json(chart), ensure_ascii=False))
    else:
        _print(_trial_balance_table(report, chart, lang))
        typer.echo("debits equal credits" if report.balances else "DEBITS DO NOT EQUAL CREDITS; run: escrow ledger verify")
    if not report.balances:
        raise typer.Exit(DOES_NOT_VERIFY)


@ledger_app.command("account")
def account_command(  # noqa: PLR0917  typer's options
    account: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="Number of the account, or CUSTODY:KIND[:SUBJECT], such as 3:custody_cash.")
    ],
    from_: From = None,
    to: To = None,
    after: Annotated[int | None, typer.Option("--after", metavar="N", help="Continue after posting N.", min=0, max=_MOST)] = None,
    limit: Annotated[int, typer.Option("--limit", help="Postings a page.", min=1, max=100_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """An account's postings with running balances, page by page.

    Examples: escrow ledger account 3:prepayment_held:ORD-1; escrow ledger account 17 --from 2025-03-01 --after 50
    """
    from reports.account_statement import account_statement_report

    _in_order(from_, to)
    report = _with_books(
        lambda conn: account_statement_report(
            conn, ledger_account_id(conn, account), from_=from_, to=to, after=after, limit=limit
        )
    )
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False))
        return
    _print(_statement_table(report))
    if report.next_after is not None:
        typer.echo(f"more: add --after {report.next_after}")


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
    as_json: AsJson = False,
) -> None:
    """The journal: every transfer with its source, batch, actor and rule version.

    Examples: escrow ledger journal --source order/ORD-1; escrow ledger journal --from 2025-03-03 --to 2025-03-03 --json
    """
    from ledger.store import journal

    _in_order(from_, to)
    kind, _, ref = (source or "").partition("/")
    start = _journal_key(after)
    lines = _with_books(
        lambda conn: journal(
            conn,
            custody_account_id=None if account is None else custody_account_id(conn, account),
            source_kind=kind or None,
            source_ref=ref or None,
            from_=from_,
            to=to,
            known_at=known_at,
            after=start,
            limit=limit,
        )
    )
    if as_json:
        for line in lines:
            typer.echo(
                json.dumps(
                    {
                        "institution_id": line.institution_id,
                        "batch_id": line.batch_id,
                        "line": line.line,
                        "transfer_id": str(line.transfer_id),
                        "booking_date": line.booking_date.isoformat(),
                        "posted_at": line.posted_at.isoformat(),
                        "debit": line.debit_account,
                        "credit": line.credit_account,
                        "amount": line.amount.plain,
                        "currency": line.amount.currency,
                        "reason": line.reason,
                        "source_kind": line.source_kind,
                        "source_ref": line.source_ref,
                        "reverses": line.reverses and str(line.reverses),
                        "actor": line.actor,
                        "rule_version": line.rule_version,
                    },
                    ensure_ascii=False,
                )
            )
        return
    from rich.table import Table

    table = Table("at", "booked", "debit", "credit", "event", "actor", title="Journal")
    table.add_column("amount", justify="right")
    for line in lines:
        table.add_row(
            f"{line.institution_id}.{line.batch_id}.{line.line}",
            line.booking_date.isoformat(),
            line.debit_account,
            line.credit_account,
            f"{line.source_kind}/{line.source_ref}",
            line.actor,
            str(line.amount),
        )
    _print(table)
    if len(lines) == limit:
        last = lines[-1]
        typer.echo(f"more: add --after {last.institution_id}.{last.batch_id}.{last.line}")


@ledger_app.command("verify")
def verify_command(as_json: AsJson = False) -> None:
    """Derive everything again that follows from something else, and check every row's digest, every seal and the audit log.

    Exit code 0: everything follows; 3: something does not, and every row is named.

    Example: escrow ledger verify
    """
    checks = _with_books(run_all_checks)
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

    from jobs.verifying import CHECKS
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
    for name, check in CHECKS.items():
        started = perf_counter()
        faults = check(conn)
        checks.append(
            {
                "name": name,
                "rows": None,
                "wrong": len(faults),
                "seconds": round(perf_counter() - started, 3),
                "faults": _plain(faults),
            }
        )
    return checks


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
                f"{wanted!r} is neither an account's number nor CUSTODY:KIND[:SUBJECT], such as 3:prepayment_held:ORD-1"
            )
        if int(wanted) > _MOST:
            raise LookupError(f"there is no account {wanted}; escrow ledger trial-balance --by account lists them")
        return find_account(conn, int(wanted)).account_id
    ours = custody.isascii() and custody.isdecimal() and len(custody) <= 9
    known = accounts(conn, custody_account_id=int(custody)) if ours else []
    known = known or accounts(conn, custody_account_id=custody_account_id(conn, custody))
    for account in known:
        if (account.kind, account.subject) == (kind, subject):
            return account.account_id
    of_kind = [account.code for account in known if account.kind == kind][:5]
    kinds = ", ".join(of_kind or sorted({account.kind for account in known}))
    raise LookupError(
        f"custody account {custody} has no account {kind}{':' + subject if subject else ''}; it has, for example: {kinds}"
    )


def _journal_key(after: str | None) -> tuple[int, int, int] | None:
    if after is None:
        return None
    parts = after.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise typer.BadParameter(f"{after!r} is not institution.batch.line, such as 1.12.3", param_hint="--after")
    return (int(parts[0]), int(parts[1]), int(parts[2]))


def _with_books(read: Callable[[Connection], Answer]) -> Answer:
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.READ_LEDGER)
    with open_books(settings) as engine, engine.connect() as conn:
        return read(conn)


def _trial_balance_table(report: TrialBalance, chart: Any, lang: Language) -> Table:
    from rich.table import Table

    from reports.trial_balance import kind_name

    by_account = any(row.account_id is not None for row in report.rows)
    when = f"as of {report.as_of}" if report.as_of else "now"
    known = f", as known at {report.known_at.isoformat(timespec='minutes')}" if report.known_at else ""
    table = Table(title=f"Trial balance {when}{known}")
    table.add_column("account")
    if by_account:
        table.add_column("number", justify="right")
    else:
        table.add_column("accounts", justify="right")
    table.add_column("debit", justify="right", no_wrap=True)
    table.add_column("credit", justify="right", no_wrap=True)
    for row in report.rows:
        name = kind_name(chart, row.kind, lang.value)
        if by_account:
            name = f"{row.custody_account_id}:{name}" + (f":{row.subject}" if row.subject else "")
        table.add_row(
            name, str(row.account_id or row.accounts), str(row.debit) if row.debit else "", str(row.credit) if row.credit else ""
        )
    table.add_section()
    for debit, credit in report.totals:
        table.add_row("total", "", str(debit), str(credit), style="bold")
    return table


def _statement_table(report: AccountStatement) -> Table:
    from rich.table import Table

    period = f"{report.from_ or 'the beginning'} to {report.to or 'now'}"
    table = Table(title=f"{report.account.code} (account {report.account.account_id}), {period}")
    for name in ("no.", "booked", "event", "other account"):
        table.add_column(name)
    for name in ("debit", "credit", "balance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row("", "", "opening balance", "", "", "", str(report.opening))
    for line in report.lines:
        debit = line.side == "DEBIT"
        table.add_row(
            str(line.seq),
            line.booking_date.isoformat(),
            f"{line.source_kind}/{line.source_ref} ({line.reason})",
            str(line.counter_account_id),
            str(line.amount) if debit else "",
            "" if debit else str(line.amount),
            str(line.balance),
        )
    table.add_row("", "", "closing balance", "", "", "", str(report.closing), style="bold")
    return table


def _print(table: Table) -> None:
    """To a terminal as wide as it is; to a file or pipe wide enough that nothing is cut."""
    from entrypoints.screen import screen

    screen().print(table)
