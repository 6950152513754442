"""``escrow reconciliation``: where the day stands, its sign-off by two persons, its certificate."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.reading import Lang, Language, readable_accounts
from entrypoints.commands.statement_calendar import account_calendars, statement_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date as Date  # noqa: N812 - the option is called date

    from sqlalchemy import Connection

    from reconciliation.model import CustodyAccountRef
    from reconciliation.resolving import Actor
    from reconciliation.sign_off import SignOff
    from reconciliation.statement_calendar import CalendarDay
    from reports.certificate import Certificate
    from wording import Said

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


@reconciliation_app.command("show", epilog="Example: escrow reconciliation show --date 2026-03-20 --lang zh")
def show(date: _Day, account: _Account = None, lang: Lang = Language.EN, as_user: _AsUser = None, as_json: _Json = False) -> None:
    """Where a day stands, account by account, and what to do next. Exit 1 while any account is not signed off.

    Named is what the bank shows and the books do not have, line by line, as open discrepancies; unexplained has no line.
    """
    from rich.table import Table

    from config.calendars import load_calendar
    from config.matching import load_matching_rules
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from reports.certificate import certificate
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_LEDGER)
    rules, calendar, now = load_matching_rules(), load_calendar(), utc_now()
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        refs = readable_accounts(connection, principal, account)
        made = [
            certificate(connection, ref, date.date(), rules=rules, calendar=calendar, now=now)
            for ref in refs
            if ref.opened_on <= date.date()
        ]
        then = [one.account for one in made]
        told = account_calendars(connection, then, date.date(), date.date(), rules=statement_rules(), now=now)
    if not made:
        typer.echo(_none_open(refs, date.date()), err=True)
        raise typer.Exit(1)
    due = {one.ref.custody_account_id: one.days[0] for one in told}
    if as_json:
        for one in made:
            typer.echo(json.dumps(_shown_as_json(one, due[one.account.custody_account_id]), ensure_ascii=False))
    else:
        table = Table(title=f"{word('Reconciliation of', lang)} {date:%Y-%m-%d}")
        for name in _COLUMNS:
            table.add_column(word(name, lang), justify="left" if name in _LEFT else "right")
        for one in made:
            table.add_row(*_row(one, due[one.account.custody_account_id], lang))
        screen().print(table)
        for one in made:
            for line in what_next(one, lang):
                typer.echo(f"{one.account.account_number}: {line}")
    raise typer.Exit(0 if all(one.signed_off for one in made) else 1)


_COLUMNS = (
    "account",
    "bank",
    "statement",
    "lines",
    "closing",
    "books' cash",
    "named",
    "unexplained",
    "open",
    "covered",
    "sign-off",
)
_LEFT = ("account", "bank", "statement", "covered", "sign-off")

#: Reasons listed one by one; a list command shows the rest.
_REASONS_SHOWN = 8


def _none_open(refs: Sequence[CustodyAccountRef], day: Date) -> str:
    if not refs:
        return (
            "no custody account to show; file institutions with: escrow import institutions FILE, or act as another (--as USER)"
        )
    first = min(ref.opened_on for ref in refs)
    return f"no custody account was open on {day}; the first one opened on {first}: give that day or a later one"


def _state(one: Certificate) -> str:
    if one.signed_off:
        return "signed_off"
    return "superseded" if one.sign_off.superseded else one.sign_off.state


def _row(one: Certificate, due: CalendarDay, lang: str) -> list[str]:
    from money import Money
    from reconciliation.calendar_wording import short
    from reports.wording import word

    figures = [Money(units, one.account.currency) for units in (one.closing, one.ledger_cash, one.open_lines, one.unexplained)]
    return [
        one.account.account_number,
        one.account.bank_code,
        f"[red]{short(due).text(lang)}[/red]" if due.overdue else short(due).text(lang),
        f"{one.lines_matched}/{one.lines_of_day}",
        *(figure.grouped for figure in figures),
        str(len(one.open_discrepancies)),
        word("yes", lang) if one.coverage.covered else f"[bold red]{word('no', lang)}[/bold red]",
        word(_state(one).replace("_", " "), lang),
    ]


def what_next(one: Certificate, lang: str) -> list[str]:
    """What stands against the sign-off of a day and what takes it away, or the step that comes next; none when signed."""
    from reconciliation import wording

    if one.signed_off:
        return []
    told = [wording.superseded(one.sign_off.superseded).text(lang)] if one.sign_off.superseded else []
    if one.reasons:
        told += [reason.text(lang) for reason in one.reasons[:_REASONS_SHOWN]]
        if len(one.reasons) > _REASONS_SHOWN:
            told.append(wording.more_reasons(one.account, len(one.reasons) - _REASONS_SHOWN).text(lang))
        return told
    if one.sign_off.state == "prepared":
        return [*told, wording.prepared_already(one.account, one.day, one.sign_off.prepared_by, one.sign_off.at).text(lang)]
    return [*told, wording.may_be_prepared(one.account, one.day).text(lang)]


def _shown_as_json(one: Certificate, due: CalendarDay) -> dict[str, Any]:
    from money import Money

    def plain(minor_units: int) -> str:
        return Money(minor_units, one.account.currency).plain

    return {
        "account": one.account.account_number,
        "bank": one.account.bank_code,
        "date": one.day.isoformat(),
        "statement_received": not one.carried_forward,
        "statement": str(due.state),
        "statement_deadline": due.deadline.isoformat() if due.deadline else None,
        "statement_overdue": due.overdue,
        "lines": one.lines_of_day,
        "lines_matched": one.lines_matched,
        "opening": plain(one.opening),
        "closing": plain(one.closing),
        "ledger_cash": plain(one.ledger_cash),
        "named": plain(one.open_lines),
        "unexplained": plain(one.unexplained),
        "open_discrepancies": len(one.open_discrepancies),
        "covered": one.coverage.covered,
        "sign_off": _state(one),
        "superseded": one.sign_off.superseded,
        "prepared_by": one.sign_off.prepared_by,
        "approved_by": one.sign_off.approved_by,
        "output_hash": one.run.output_hash if one.run else None,
        "rules_version": one.run.rules_version if one.run else None,
        "against_sign_off": [reason.en for reason in one.reasons],
        "next": what_next(one, "en"),
    }


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
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Sign a day off: one person prepares, another approves. Accounts that cannot be are listed with every reason; exit 1."""
    from config.calendars import load_calendar
    from reconciliation.sign_off import approve_sign_off, prepare_sign_off
    from supervision.rights import Right

    if prepare == approve:
        raise typer.BadParameter("say --prepare (first person) or --approve (second person)", param_hint="--prepare")
    calendar = load_calendar()

    def act(connection: Connection, ref: CustodyAccountRef, day: Date, by: Actor, now: datetime) -> SignOff:
        handler = prepare_sign_off if prepare else approve_sign_off
        return handler(connection, ref, day, by=by, calendar=calendar, now=now)

    right = Right.PREPARE_SIGN_OFF if prepare else Right.APPROVE_SIGN_OFF
    _for_each(right, date, account, as_user, act, lang=lang, as_json=as_json)


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
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Open a signed-off day again: one person proposes with a reason, another approves. The history stays."""
    from reconciliation.sign_off import prepare_reopening, reopen
    from supervision.rights import Right

    if prepare == approve:
        said = "say --prepare --reason WHY (first person) or --approve (second person)"
        raise typer.BadParameter(said, param_hint="--prepare")

    def act(connection: Connection, ref: CustodyAccountRef, day: Date, by: Actor, now: datetime) -> SignOff:
        if prepare:
            return prepare_reopening(connection, ref, day, by=by, now=now, reason=reason)
        return reopen(connection, ref, day, by=by, now=now)

    right = Right.PREPARE_SIGN_OFF if prepare else Right.REOPEN_DAY
    _for_each(right, date, account, as_user, act, lang=lang, as_json=as_json)


def _for_each(
    right: Any,
    date: datetime,
    account: str | None,
    as_user: str | None,
    act: Callable[[Connection, CustodyAccountRef, Date, Actor, datetime], SignOff],
    *,
    lang: Language,
    as_json: bool,
) -> None:
    """One act on each account, each in its own transaction; exit 1 when any was refused."""
    from entrypoints.acting import acting_principal, in_scope, reading_session, require_in_scope
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.settings import read_settings
    from reconciliation.resolving import Actor
    from reconciliation.sign_off import SignOffRefused
    from storage.roles import become_person

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, right)
    refused = 0
    with open_books(settings, session=reading_session(principal)) as engine:
        with engine.connect() as connection:
            accounts = [ref for ref in chosen_accounts(connection, account) if ref.opened_on <= date.date()]
            if account is None:  # all accounts of the day means all the user supervises
                accounts = [ref for ref in accounts if in_scope(connection, principal, ref.custody_account_id)]
            for ref in accounts:
                require_in_scope(connection, principal, ref.custody_account_id)
        for ref in accounts:
            reasons: tuple[Said, ...] = ()
            state = ""
            try:
                with engine.begin() as connection:
                    become_person(connection)
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
                    "refused": [reason.en for reason in reasons],
                }
                typer.echo(json.dumps(body, ensure_ascii=False))
            elif reasons:
                typer.echo(f"{ref.account_number}: refused")
                for reason in reasons:
                    typer.echo(f"  {reason.text(lang)}")
            else:
                typer.echo(
                    f"{ref.account_number}: {state.replace('_', ' ')} by {principal.user}{_after(ref, date.date(), state)}"
                )
    if not accounts:
        typer.echo(
            f"no custody account that {principal.user} supervises was open on {date:%Y-%m-%d}; "
            "escrow ledger coverage lists them, or act as another (--as USER)",
            err=True,
        )
    raise typer.Exit(1 if refused or not accounts else 0)


def _after(ref: CustodyAccountRef, day: Date, state: str) -> str:
    """What comes after a step of a sign-off."""
    from reconciliation.wording import reopen_command, sign_off_command

    certificate = f"escrow reconciliation certificate --date {day} --account {ref.account_number}"
    return {
        "prepared": f"; another person: {sign_off_command(ref, day, 'approve')}",
        "approved": f"; the page: {certificate}",
        "reopen_prepared": f"; another person: {reopen_command(ref, day, 'approve')}",
        "reopened": f"; then: {sign_off_command(ref, day, 'prepare')}",
    }.get(state, "")


@reconciliation_app.command(
    "certificate", epilog="Example: escrow reconciliation certificate --date 2026-03-20 --out certificates/"
)
def certificate_command(
    date: _Day,
    account: _Account = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to (else certificates/ of these books' data folder).")] = None,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Write the daily certificate of each account as one HTML file. Exit 1 while any day is not signed off."""
    from config.calendars import load_calendar
    from config.matching import load_matching_rules
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from reports.certificate import certificate, render
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_LEDGER)
    out = out or settings.data_folder / settings.books / "certificates"
    rules, calendar, now = load_matching_rules(), load_calendar(), utc_now()
    unsigned = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
            refs = readable_accounts(connection, principal, account)
            open_then = [ref for ref in refs if ref.opened_on <= date.date()]
            if not open_then:
                typer.echo(_none_open(refs, date.date()), err=True)
                raise typer.Exit(1)
            for ref in open_then:
                made = certificate(connection, ref, date.date(), rules=rules, calendar=calendar, now=now)
                path = out / f"certificate-{ref.account_number}-{date:%Y-%m-%d}.html"
                path.write_text(render(made), encoding="utf-8")
                unsigned += not made.signed_off
                step = (what_next(made, "en") or [""])[0]
                state = "signed off" if made.signed_off else f"NOT signed off: {step}"
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
