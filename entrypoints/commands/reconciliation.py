"""``escrow reconciliation``: where the day stands, its sign-off by two persons, its certificate."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date as Date  # noqa: N812 - the option is called date

    from sqlalchemy import Connection

    from reconciliation.model import CustodyAccountRef
    from reconciliation.resolving import Actor
    from reconciliation.sign_off import SignOff

reconciliation_app = typer.Typer(
    name="reconciliation", help="The day's reconciliation: state, sign-off by two persons, certificate.", no_args_is_help=True
)

_Day = Annotated[datetime, typer.Option("--date", formats=["%Y-%m-%d"], help="Business day.")]
_Account = Annotated[str | None, typer.Option(help="Account number; all accounts when left out.")]
_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs, one object per account.")]
_Prepare = Annotated[bool, typer.Option("--prepare", help="First person: propose.")]
_Approve = Annotated[bool, typer.Option("--approve", help="Second person: accept what another has proposed.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(reconciliation_app)


@reconciliation_app.command("show", epilog="Example: escrow reconciliation show --date 2026-03-20")
def show(date: _Day, account: _Account = None, as_user: _AsUser = None, as_json: _Json = False) -> None:
    """Where a day stands, account by account. Exit 1 while any account is not signed off."""
    from rich.table import Table

    from config.calendars import load_calendar
    from config.matching import load_matching_rules
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from money import Money
    from reports.certificate import certificate
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    acting_principal(settings, Right.READ_LEDGER)
    rules, calendar, now = load_matching_rules(), load_calendar(), utc_now()
    with open_books(settings) as engine, engine.connect() as connection:
        made = [
            certificate(connection, ref, date.date(), rules=rules, calendar=calendar, now=now)
            for ref in chosen_accounts(connection, account)
        ]
    table = Table(title=f"Reconciliation of {date:%Y-%m-%d}")
    for name in ("account", "bank", "statement", "lines", "closing", "books' cash", "unexplained", "open", "covered", "sign-off"):
        table.add_column(name, justify="left" if name in ("account", "bank", "statement", "covered", "sign-off") else "right")
    for one in made:
        state = "signed_off" if one.signed_off else one.sign_off.state
        figures = [Money(units, one.account.currency) for units in (one.closing, one.ledger_cash, one.unexplained)]
        if as_json:
            body = {
                "account": one.account.account_number,
                "bank": one.account.bank_code,
                "date": one.day.isoformat(),
                "statement_received": not one.carried_forward,
                "lines": one.lines_of_day,
                "lines_matched": one.lines_matched,
                "opening": Money(one.opening, one.account.currency).plain,
                "closing": figures[0].plain,
                "ledger_cash": figures[1].plain,
                "unexplained": figures[2].plain,
                "open_discrepancies": len(one.open_discrepancies),
                "covered": one.coverage.covered,
                "sign_off": state,
                "prepared_by": one.sign_off.prepared_by,
                "approved_by": one.sign_off.approved_by,
                "output_hash": one.run.output_hash if one.run else None,
                "rules_version": one.run.rules_version if one.run else None,
                "against_sign_off": list(one.reasons),
            }
            typer.echo(json.dumps(body, ensure_ascii=False))
            continue
        table.add_row(
            one.account.account_number,
            one.account.bank_code,
            "[red]missing[/red]" if one.carried_forward else "received",
            f"{one.lines_matched}/{one.lines_of_day}",
            *(figure.grouped for figure in figures),
            str(len(one.open_discrepancies)),
            "yes" if one.coverage.covered else "[bold red]no[/bold red]",
            state.replace("_", " "),
        )
    if not as_json:
        screen().print(table)
        for one in made:
            for reason in one.reasons:
                typer.echo(f"{one.account.account_number}: {reason}")
    raise typer.Exit(0 if all(one.signed_off for one in made) else 1)


@reconciliation_app.command(
    "sign-off",
    epilog="Examples: escrow reconciliation sign-off --date 2026-03-20 --prepare --as zhang.prepare  |  "
    "escrow reconciliation sign-off --date 2026-03-20 --approve --as li.approve",
)
def sign_off(  # noqa: PLR0917 - the command line is the signature
    date: _Day,
    account: _Account = None,
    prepare: _Prepare = False,
    approve: _Approve = False,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Sign a day off: one person prepares, another approves. Accounts that cannot be are listed with every reason; exit 1."""
    from config.calendars import load_calendar
    from reconciliation.sign_off import approve_sign_off, prepare_sign_off
    from supervision.rights import Right

    if prepare == approve:
        typer.echo("say --prepare (first person) or --approve (second person)", err=True)
        raise typer.Exit(2)
    calendar = load_calendar()

    def act(connection: Connection, ref: CustodyAccountRef, day: Date, by: Actor, now: datetime) -> SignOff:
        handler = prepare_sign_off if prepare else approve_sign_off
        return handler(connection, ref, day, by=by, calendar=calendar, now=now)

    right = Right.PREPARE_SIGN_OFF if prepare else Right.APPROVE_SIGN_OFF
    _for_each(right, date, account, as_user, act, as_json=as_json)


@reconciliation_app.command(
    "reopen",
    epilog='Examples: escrow reconciliation reopen --date 2026-03-20 --account 62.. --prepare --reason "late correction" '
    "--as zhang.prepare  |  escrow reconciliation reopen --date 2026-03-20 --account 62.. --approve --as li.approve",
)
def reopen_command(  # noqa: PLR0917 - the command line is the signature
    date: _Day,
    account: Annotated[str, typer.Option(help="Account number.")],
    prepare: _Prepare = False,
    approve: _Approve = False,
    reason: Annotated[str, typer.Option(help="Why (with --prepare).")] = "",
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Open a signed-off day again: one person proposes with a reason, another approves. The history stays."""
    from reconciliation.sign_off import prepare_reopening, reopen
    from supervision.rights import Right

    if prepare == approve:
        typer.echo("say --prepare --reason WHY (first person) or --approve (second person)", err=True)
        raise typer.Exit(2)

    def act(connection: Connection, ref: CustodyAccountRef, day: Date, by: Actor, now: datetime) -> SignOff:
        if prepare:
            return prepare_reopening(connection, ref, day, by=by, now=now, reason=reason)
        return reopen(connection, ref, day, by=by, now=now)

    right = Right.PREPARE_SIGN_OFF if prepare else Right.REOPEN_DAY
    _for_each(right, date, account, as_user, act, as_json=as_json)


def _for_each(
    right: Any,
    date: datetime,
    account: str | None,
    as_user: str | None,
    act: Callable[[Connection, CustodyAccountRef, Date, Actor, datetime], SignOff],
    *,
    as_json: bool,
) -> None:
    """One act on each account, each in its own transaction; exit 1 when any was refused."""
    from entrypoints.acting import acting_principal, in_scope, require_in_scope
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.settings import read_settings
    from reconciliation.resolving import Actor
    from reconciliation.sign_off import SignOffRefused

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, right)
    refused = 0
    with open_books(settings) as engine:
        with engine.connect() as connection:
            accounts = [ref for ref in chosen_accounts(connection, account) if ref.opened_on <= date.date()]
            if account is None:  # all accounts of the day means all the user supervises
                accounts = [ref for ref in accounts if in_scope(connection, principal, ref.custody_account_id)]
            for ref in accounts:
                require_in_scope(connection, principal, ref.custody_account_id)
        for ref in accounts:
            reasons: tuple[str, ...] = ()
            state = ""
            try:
                with engine.begin() as connection:
                    done = act(connection, ref, date.date(), Actor(principal.user, principal.role), utc_now())
                    state = done.last_event
            except SignOffRefused as refusal:
                reasons = refusal.reasons
                refused += 1
            if as_json:
                body = {
                    "account": ref.account_number,
                    "date": f"{date:%Y-%m-%d}",
                    "done": state or None,
                    "refused": list(reasons),
                }
                typer.echo(json.dumps(body, ensure_ascii=False))
            elif reasons:
                typer.echo(f"{ref.account_number}: refused")
                for reason in reasons:
                    typer.echo(f"  {reason}")
            else:
                typer.echo(f"{ref.account_number}: {state.replace('_', ' ')} by {principal.user}")
    if not accounts:
        typer.echo(f"no custody account that {principal.user} supervises was open on {date:%Y-%m-%d}", err=True)
    raise typer.Exit(1 if refused or not accounts else 0)


@reconciliation_app.command(
    "certificate", epilog="Example: escrow reconciliation certificate --date 2026-03-20 --out certificates/"
)
def certificate_command(
    date: _Day,
    account: _Account = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("certificates"),
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Write the daily certificate of each account as one HTML file. Exit 1 while any day is not signed off."""
    from config.calendars import load_calendar
    from config.matching import load_matching_rules
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.settings import read_settings
    from reports.certificate import certificate, render
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    acting_principal(settings, Right.READ_LEDGER)
    rules, calendar, now = load_matching_rules(), load_calendar(), utc_now()
    unsigned = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        with open_books(settings) as engine, engine.connect() as connection:
            for ref in chosen_accounts(connection, account):
                if ref.opened_on > date.date():
                    continue
                made = certificate(connection, ref, date.date(), rules=rules, calendar=calendar, now=now)
                path = out / f"certificate-{ref.account_number}-{date:%Y-%m-%d}.html"
                path.write_text(render(made), encoding="utf-8")
                unsigned += not made.signed_off
                state = "signed off" if made.signed_off else "NOT signed off"
                if as_json:
                    body = {
                        "account": ref.account_number,
                        "date": f"{date:%Y-%m-%d}",
                        "file": str(path),
                        "signed_off": made.signed_off,
                    }
                    typer.echo(json.dumps(body, ensure_ascii=False))
                else:
                    typer.echo(f"{path}  ({state})")
    except PermissionError as error:
        typer.echo(f"cannot write to {out}: {error.strerror}; choose another --out", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(1 if unsigned else 0)
