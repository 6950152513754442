"""``escrow statement``: take in banks' statement files, and see which have come."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands import statement_calendar, statement_quarantine, statement_versions
from entrypoints.commands.reading import Lang, Language

if TYPE_CHECKING:
    from reconciliation.model import Receipt

statement_app = typer.Typer(name="statement", help="Take in statement files; see which have come.", no_args_is_help=True)

_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

#: Working days the arrival grid shows when no start is given.
DAYS_SHOWN = 15


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    statement_quarantine.add_to(statement_app)
    statement_versions.add_to(statement_app)
    statement_calendar.add_to(statement_app)
    app.add_typer(statement_app)


@statement_app.command(
    "receive",
    epilog="Example: escrow statement receive --sender NRB statements/NRB/2026-03-02/*.csv",
)
def receive(  # noqa: PLR0917 - the command line is the signature
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Statement files; - reads standard input.")],
    sender: Annotated[str, typer.Option(help="The bank that delivers them: its code or sender id (config/banks.yaml).")],
    profile: Annotated[str | None, typer.Option(help="Read by this profile instead of asking which claims the file.")] = None,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Store statement files and let their statements count, wait for earlier ones, be held back, or be refused with every reason.

    The bytes are kept whatever follows. The same file again, or the same content under another name, counts nothing twice.
    Exit 1 when anything was refused or held back.
    """
    from bank_adapters.detached import PROOF_ENDINGS
    from config.banks import load_banks
    from config.profiles import load_profiles
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from jobs.directory import account_directory
    from jobs.drop_folder import beside, read_beside
    from reconciliation.receiving import receive_statement_file
    from supervision.rights import Right, require_bank

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.RECEIVE_STATEMENT)
    banks = load_banks()
    bank = next((one.bank_code for one in banks.values() if sender in (one.bank_code, one.sender_id)), None)
    if bank is None:
        known = ", ".join(f"{one.bank_code} ({one.sender_id})" for one in banks.values())
        raise typer.BadParameter(f"no bank {sender!r}; there are: {known} (config/banks.yaml)", param_hint="--sender")
    require_bank(principal, bank)
    profiles = load_profiles()
    if profile is not None and profile not in {one.id for one in profiles}:
        names = ", ".join(one.id for one in profiles)
        raise typer.BadParameter(f"no profile {profile!r}; there are: {names}", param_hint="--profile")
    beside_files = tuple(PROOF_ENDINGS)
    named = [
        path for path in files if not path.name.endswith(beside_files)
    ]  # a wildcard gives them too; they are read with theirs
    if not named:
        raise typer.BadParameter(
            "only digests, signatures or manifests are given; name the files they belong to", param_hint="FILE"
        )
    contents = [(_name(path), _read(path), read_beside(beside(path)) if str(path) != "-" else {}) for path in named]
    refused = False
    # A bank takes in its own files as itself; anybody else's delivery is the system's work.
    with open_books(settings, session=reading_session(principal) if principal.bank_code else None) as engine:
        for name, data, proofs in contents:
            with engine.begin() as connection:
                receipt = receive_statement_file(
                    connection,
                    data,
                    name,
                    sender_bank=bank,
                    directory=account_directory(connection),
                    profiles=profiles,
                    now=utc_now(),
                    actor=principal.user,
                    role=principal.role,
                    profile_id=profile,
                    beside=proofs,
                    demand=banks[bank].proofs,
                )
            refused = refused or receipt.refused
            _show(receipt, lang, as_json=as_json)
    raise typer.Exit(1 if refused else 0)


def _name(path: Path) -> str:
    # A name that is not text is kept readable: the books hold text only.
    from bank_adapters.archives import visible_name

    return "standard input" if str(path) == "-" else visible_name(path.name)


def _read(path: Path) -> bytes:
    """The bytes of a file or of standard input, bounded: a larger one is refused before it fills memory or the database."""
    from jobs.collect import LARGEST_STATEMENT_BYTES

    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as stream:
            data = stream.read(LARGEST_STATEMENT_BYTES + 1)
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or failure
        typer.echo(f"error: {path} cannot be read ({why}); nothing was taken in; give the path of a file", err=True)
        raise typer.Exit(2) from None
    if len(data) > LARGEST_STATEMENT_BYTES:
        typer.echo(f"error: {path} has more than {LARGEST_STATEMENT_BYTES:,} bytes; ask the bank for one file a day", err=True)
        raise typer.Exit(1)
    return data


def _show(receipt: Receipt, lang: Language, *, as_json: bool) -> None:
    from reconciliation.reasons import of_finding
    from reports.wording import word

    if as_json:
        typer.echo(json.dumps(_as_json(receipt), ensure_ascii=False))
        return
    zh = lang is Language.ZH
    number = f"文件 {receipt.statement_file_id}" if zh else f"file {receipt.statement_file_id}"
    typer.echo(f"{receipt.file_name}: {number}, {receipt.format}, sha256 {receipt.sha256[:16]}...")
    if not receipt.statements:
        typer.echo(
            "  已拒收：未能读出对账单；可查看：escrow parse FILE，或请银行另送"
            if zh
            else "  refused: no statement could be read in it; look into it with: escrow parse FILE, or ask the bank for another"
        )
    at_lines = {finding.message for finding in receipt.findings if finding.line}
    for one in receipt.statements:
        lines = f"{one.line_count} 笔" if zh else f"{one.line_count} lines"
        typer.echo(f"  {one.account or '?'} {one.business_date or '?'}: {word(str(one.outcome), lang)}, {lines}")
        for reason in one.reasons:
            if reason.en not in at_lines:  # said below with its line
                typer.echo(f"    {reason.text(lang)}")
    said = {reason.en for one in receipt.statements for reason in one.reasons}
    for finding in receipt.findings:
        if finding.message in said and not finding.line:
            continue
        where = (f" 第 {finding.line} 行" if zh else f" line {finding.line}") if finding.line else ""
        typer.echo(f"  {word(str(finding.severity), lang)}{where}: {of_finding(finding).text(lang)} [{finding.code}]")


def _as_json(receipt: Receipt) -> dict[str, Any]:
    from reconciliation.reasons import in_both

    return {
        "file": receipt.file_name,
        "statement_file_id": receipt.statement_file_id,
        "sha256": receipt.sha256,
        "format": receipt.format,
        "profile": receipt.profile,
        "refused": receipt.refused,
        "same_as_file_id": receipt.same_as_file_id,
        "statements": [
            {
                "account": one.account,
                "business_date": one.business_date.isoformat() if one.business_date else None,
                "outcome": str(one.outcome),
                "kind": one.kind,
                "lines": one.line_count,
                "lines_absorbed": one.lines_absorbed,
                **in_both(one.reasons),
                "quarantine_id": one.quarantine_id,
            }
            for one in receipt.statements
        ],
        "findings": [
            {
                "severity": str(one.severity),
                "code": one.code,
                "statement": one.statement,
                "line": one.line,
                "field": one.field,
                "message": one.message,
                "message_zh": one.message_zh,
            }
            for one in receipt.findings
        ],
    }


@statement_app.command("list", epilog="Example: escrow statement list --from 2026-03-02 --to 2026-03-27")
def list_statements(  # noqa: PLR0917 - the command line is the signature
    from_: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day shown.")] = None,
    to: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day; the newest known otherwise.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account number; all accounts when left out.")] = None,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Which statements have come: accounts down, working days across. Exit 1 when one is missing or waits.

    + counts, w waits for an earlier one, q is held back for two people, x was refused, . missing
    """
    from rich.table import Table

    from config.calendars import load_calendar
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from reconciliation.arrivals import arrivals, newest_day, not_counting
    from reconciliation.model import Arrival
    from reconciliation.reasons import in_both
    from reports.wording import word
    from supervision.rights import require_bank

    zh = lang is Language.ZH
    settings = read_settings(user=as_user)
    principal = acting_principal(settings)
    calendar = load_calendar()
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        accounts = [
            ref
            for ref in chosen_accounts(connection, account)
            if principal.bank_code is None or ref.bank_code == principal.bank_code
        ]
        last = to.date() if to else newest_day(connection)
        if last is None:
            typer.echo(
                "尚未收到对账单；接收：escrow statement receive FILE --sender BANK"
                if zh
                else "no statement has come yet; escrow statement receive FILE --sender BANK takes one in"
            )
            return
        if not accounts:
            typer.echo(
                "尚无监管账户；开立：escrow import institutions FILE"
                if zh
                else "there is no custody account yet; escrow import institutions FILE opens them"
            )
            return
        earliest = min(ref.opened_on for ref in accounts)
        first = from_.date() if from_ else max(earliest, last - timedelta(days=DAYS_SHOWN * 7 // 5 + 2))
        if last < first:
            raise typer.BadParameter(f"--to {last} lies before the first day, {first}; name a later one, or an earlier --from")
        found = {ref.custody_account_id: arrivals(connection, ref, first, last) for ref in accounts}
        reasons = {ref.custody_account_id: not_counting(connection, ref, first, last) for ref in accounts}
        came = {day for had in found.values() for day in had}
        days = [day for day in _days(first, last) if calendar.looks_worked(day) or day in came]
    for ref in accounts:
        require_bank(principal, ref.bank_code)
    missing = False
    table = Table(
        title=f"对账单 {first} 至 {last}" if zh else f"Statements {first} to {last}",
        caption="+ 已计入   w 等待   q 已隔离   x 已拒收   . 未收到"
        if zh
        else "+ counts   w waits   q held back   x refused   . missing",
    )
    table.add_column(word("account", lang))
    table.add_column(word("bank", lang))
    for day in days:
        table.add_column(f"{day:%m-%d}", justify="center")
    marks = {
        Arrival.COUNTED: "[green]+[/green]",
        Arrival.WAITING: "[yellow]w[/yellow]",
        Arrival.QUARANTINED: "[yellow]q[/yellow]",
        Arrival.REFUSED: "[red]x[/red]",
    }
    for ref in accounts:
        had = found[ref.custody_account_id]
        worked = {day for day in days if day >= ref.opened_on and (day in had or calendar.looks_worked(day))}
        cells = [" " if day not in worked else marks.get(had.get(day, Arrival.MISSING), "[bold red].[/bold red]") for day in days]
        gaps = [day for day in sorted(worked) if had.get(day) is not Arrival.COUNTED]
        missing = missing or bool(gaps)
        table.add_row(ref.account_number, ref.bank_code, *cells)
        if as_json:
            body = {
                "account": ref.account_number,
                "bank": ref.bank_code,
                "days": {str(day): str(had.get(day, Arrival.MISSING)) for day in sorted(worked)},
                "not_counting": [
                    {
                        "date": str(one.business_date),
                        "outcome": str(one.arrival),
                        "file": one.file_name,
                        **in_both(one.reasons),
                    }
                    for one in reasons[ref.custody_account_id]
                ],
            }
            typer.echo(json.dumps(body, ensure_ascii=False))
    if not as_json:
        screen().print(table)
        for ref in accounts:
            for one in reasons[ref.custody_account_id]:
                why = "; ".join(reason.text(lang) for reason in one.reasons)
                typer.echo(f"{ref.account_number} {one.business_date} {word(str(one.arrival), lang)} ({one.file_name}): {why}")
        if missing:
            typer.echo(
                "下一步：向银行索取缺少的对账单并接收：escrow statement receive FILE --sender BANK"
                if zh
                else "Next: ask the banks for what is missing, and receive it: escrow statement receive FILE --sender BANK"
            )
    raise typer.Exit(1 if missing else 0)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
