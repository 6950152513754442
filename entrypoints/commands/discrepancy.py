"""``escrow discrepancy``: see what could not be explained, work on it, close it by two persons."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from entrypoints.commands.reading import Lang, Language, readable_accounts
from reconciliation.discrepancy import Act, DiscrepancyKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from reconciliation.discrepancy import DiscrepancyRecord
    from reconciliation.resolution_posting import ProposedLeg
    from reconciliation.resolving import Actor

discrepancy_app = typer.Typer(
    name="discrepancy", help="Differences no rule could explain: see them, work on them, close them.", no_args_is_help=True
)

_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or at least the first 6 characters.")]
_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class StateFilter(StrEnum):
    """Which states a list shows."""

    OPEN = "open"
    PREPARED = "prepared"
    RESOLVED = "resolved"
    CLEARED = "cleared"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(discrepancy_app)


@discrepancy_app.command("list", epilog="Example: escrow discrepancy list --open --kind AMOUNT_MISMATCH")
def list_discrepancies(  # noqa: PLR0917 - the command line is the signature
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only those that date from this day.")] = None,
    account: Annotated[str | None, typer.Option(help="Account number.")] = None,
    kind: Annotated[list[DiscrepancyKind] | None, typer.Option(help="Only this kind; may be repeated.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those not closed yet.")] = False,
    state: Annotated[StateFilter | None, typer.Option(help="Only this state.")] = None,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """List discrepancies by account and day, oldest first. Exit 1 when any of those listed is open; show says what to do."""
    from rich.table import Table

    from config.calendars import load_calendar
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from money import Money
    from reconciliation.discrepancy import DiscrepancyState
    from reconciliation.discrepancy_store import records
    from reconciliation.resolution_posting import latest_day
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_DISCREPANCY)
    standing = [DiscrepancyState.OPEN, DiscrepancyState.PREPARED]
    states = [DiscrepancyState(state)] if state else standing if only_open else None
    calendar = load_calendar()
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        refs = {ref.custody_account_id: ref for ref in readable_accounts(connection, principal, account)}
        found = [
            one
            for one in records(
                connection,
                kinds=[str(one) for one in kind] if kind else None,
                states=states,
                on=date.date() if date else None,
            )
            if one.discrepancy.custody_account_id in refs
        ]
        until = {one.discrepancy.custody_account_id: latest_day(connection, one) for one in found}
    table = Table()
    for name in ("id", "account", "since", "kind", "amount", "difference", "age", "state", "owner"):
        table.add_column(word(name, lang), justify="right" if name in ("amount", "difference", "age") else "left")
    for one in found:
        what = one.discrepancy
        end = one.state_on if one.state not in standing else until[what.custody_account_id]
        age = calendar.working_days_between(what.since, end)
        if as_json:
            typer.echo(json.dumps(_as_json(one, refs[what.custody_account_id].account_number, age), ensure_ascii=False))
            continue
        amounts = [Money(units, what.currency).grouped for units in (what.amount_minor_units, what.difference_minor_units)]
        number = refs[what.custody_account_id].account_number
        kind_shown = what.kind.title_zh if lang is Language.ZH else str(what.kind)
        table.add_row(
            what.discrepancy_id[:8],
            number,
            str(what.since),
            kind_shown,
            *amounts,
            str(age),
            word(one.state, lang),
            one.owner or "",
        )
    if not as_json:
        screen().print(table if found else word("no discrepancies", lang))
        if found:
            typer.echo(word(f"what each is and how it may be closed: escrow discrepancy show {_short(found[0])}", lang))
    raise typer.Exit(1 if any(one.state in standing for one in found) else 0)


def _short(one: DiscrepancyRecord) -> str:
    return one.discrepancy.discrepancy_id[:8]


def _as_json(one: DiscrepancyRecord, account: str, age: int) -> dict[str, Any]:
    from money import Money

    what = one.discrepancy
    return {
        "id": what.discrepancy_id,
        "account": account,
        "since": what.since.isoformat(),
        "kind": str(what.kind),
        "title_en": what.kind.title_en,
        "title_zh": what.kind.title_zh,
        "currency": what.currency,
        "amount": Money(what.amount_minor_units, what.currency).plain,
        "difference": Money(what.difference_minor_units, what.currency).plain,
        "age_working_days": age,
        "state": str(one.state),
        "owner": one.owner,
        "act": str(one.act) if one.act else None,
        "prepared_by": one.prepared_by,
        "line_ids": list(what.line_ids),
        "item_ids": list(what.item_ids),
        "explanation": what.explanation,
    }


@discrepancy_app.command("show", epilog="Example: escrow discrepancy show 3f9a01 --lang zh")
def show(
    identity: _Id,
    personal: Annotated[
        bool, typer.Option("--personal", help="Show what names payers too (--json); who looked is written into the audit log.")
    ] = False,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """One discrepancy: what it is, its evidence down to the line of the bank's file, its history, what can be done.

    What names payers is masked: --personal shows it to a person with the right to see it.
    """
    from config.calendars import load_calendar
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.personal_data import record_reading
    from entrypoints.settings import read_settings
    from reconciliation import wording
    from reconciliation.discrepancy import ACTS_BY_KIND, DiscrepancyState
    from reconciliation.discrepancy_store import events_of, find_record
    from reconciliation.evidence import evidence_of
    from reconciliation.resolution_posting import latest_day, preview
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_DISCREPANCY)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        one = find_record(connection, identity)
        custody = str(one.discrepancy.custody_account_id)
        (ref,) = readable_accounts(connection, principal, custody)
        of_bank = principal.bank_code is not None  # a bank sees its own lines, not the supervisor's books
        if personal:
            about = one.discrepancy
            command = "escrow discrepancy show"
            record_reading(
                engine, principal, utc_now(), "discrepancy", about.discrepancy_id,
                institution_id=about.institution_id, command=command,
            )  # fmt: skip
        evidence = evidence_of(connection, one.discrepancy, books=not of_bank, personal=personal)
        events = events_of(connection, one.discrepancy.institution_id, one.discrepancy.discrepancy_id)
        standing = one.state in (DiscrepancyState.OPEN, DiscrepancyState.PREPARED)
        until = latest_day(connection, one) if standing else one.state_on
        age = load_calendar().working_days_between(one.discrepancy.since, until)
        legs = preview(connection, one, one.proposal.act, one.proposal.item_ids) if one.proposal and not of_bank else []
    body = _as_json(one, ref.account_number, age)
    body["evidence"] = evidence
    body["history"] = [
        {
            "event": str(e.event),
            "at": e.event_at.isoformat(),
            "actor": e.actor,
            "act": e.act,
            "owner": e.owner,
            "reason": e.reason,
        }
        for e in events
    ]
    body["possible_acts"] = sorted(str(act) for act in ACTS_BY_KIND[one.discrepancy.kind])
    body["entry"] = _legs_json(legs)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False, default=str))
        return
    _echo_what(one, body, lang)
    for line in evidence["lines"]:
        typer.echo(
            f"  {word('bank line', lang)} {line['line_id'][:8]}: {line['direction']} {line['amount']} "
            f"{word('booked', lang)} {line['booking_date']}, "
            f"{line['file']} {word('line', lang)} {line['file_line']}, sha256 {line['sha256'][:16]}..."
        )
    for item in evidence["items"]:
        typer.echo(
            f"  {word('book item', lang)} {item['item_id']}: {word(item['kind'], lang)} {item['direction']} {item['amount']} "
            f"{word('due', lang)} {item['due_date']}, "
            f"{item['source']}" + (f" ({word('cleared', lang)})" if item["cleared"] else "")
        )
    for event in events:
        extra = " ".join(part for part in (event.act, event.owner and f"to {event.owner}", event.reason) if part)
        typer.echo(f"  {wording.clock(event.event_at)} {word(event.event, lang)}: {event.actor} {extra}".rstrip())
    _echo_legs(legs, lang)
    typer.echo(wording.discrepancy_standing(one).text(lang))


def _echo_what(one: DiscrepancyRecord, body: dict[str, Any], lang: str) -> None:
    """What it is, in one language; the kind's name in both, because files and letters use either."""
    from reconciliation import wording
    from reports.wording import word

    typer.echo(f"{body['id']}\n{body['kind']}: {body['title_en']} {body['title_zh']}")
    facts = (
        ("account", body["account"]),
        ("since", body["since"]),
        ("age", body["age_working_days"]),
        ("state", word(body["state"], lang)),
        ("owner", one.owner or "-"),
        ("amount", f"{body['amount']} {body['currency']}"),
        ("bank less books", body["difference"]),
    )
    typer.echo(", ".join(f"{word(name, lang)} {value}" for name, value in facts))
    typer.echo(wording.explanation(one.discrepancy, lang))


def _legs_json(legs: Sequence[ProposedLeg]) -> list[dict[str, str]]:
    return [
        {"debit": leg.debit, "credit": leg.credit, "amount": leg.amount.plain, "booking_date": leg.booking_date.isoformat()}
        for leg in legs
    ]


def _echo_legs(legs: Sequence[ProposedLeg], lang: str = "en") -> None:
    from reports.wording import word

    for leg in legs:
        sides = f"{word('debit', lang)} {leg.debit}, {word('credit', lang)} {leg.credit}"
        typer.echo(f"  {word('would post', lang)} {leg.booking_date}: {sides}, {leg.amount}")


@discrepancy_app.command("assign", epilog="Example: escrow discrepancy assign 3f9a01 --to zhang.prepare --as li.approve")
def assign_command(
    identity: _Id,
    to: Annotated[str, typer.Option(help="Who works on it from now on.")],
    as_user: _AsUser = None,
    lang: Lang = Language.EN,
) -> None:
    """Make a known user the owner of a discrepancy."""
    from config.roles import load_roster
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import assign
    from supervision.rights import NotAllowed, Right
    from wording import Said

    roster = load_roster()
    if Right.ASSIGN_DISCREPANCY not in roster.principal(to).rights:
        able = ", ".join(sorted(user for user, one in roster.principals.items() if Right.ASSIGN_DISCREPANCY in one.rights))
        role = roster.principal(to).role
        raise NotAllowed(
            Said(f"{to} ({role}) works on no discrepancies; give one of: {able}", f"{to}（{role}）不办理差错；可指派：{able}")
        )

    def act(connection: Connection, by: Actor, now: datetime) -> str:
        one = assign(connection, identity, to, by=by, now=now)
        return say.assigned(one).text(lang)

    _do(Right.ASSIGN_DISCREPANCY, as_user, identity, act)


@discrepancy_app.command("comment", epilog='Example: escrow discrepancy comment 3f9a01 "asked the bank" --as zhang.prepare')
def comment_command(
    identity: _Id,
    text: Annotated[str, typer.Argument(help="What to note.")],
    as_user: _AsUser = None,
    lang: Lang = Language.EN,
) -> None:
    """Add a remark to a discrepancy."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import comment
    from supervision.rights import Right

    def act(connection: Connection, by: Actor, now: datetime) -> str:
        return say.noted(comment(connection, identity, text, by=by, now=now)).text(lang)

    _do(Right.ASSIGN_DISCREPANCY, as_user, identity, act)


@discrepancy_app.command(
    "resolve", epilog='Example: escrow discrepancy resolve 3f9a01 --act accept_late --reason "bank confirmed" --as zhang.prepare'
)
def resolve(  # noqa: PLR0917 - the command line is the signature
    identity: _Id,
    act: Annotated[Act, typer.Option(help="How to close it.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    item: Annotated[list[UUID] | None, typer.Option(help="Book item to match with (match_manually); may be repeated.")] = None,
    as_user: _AsUser = None,
    lang: Lang = Language.EN,
    as_json: _Json = False,
) -> None:
    """Propose how to close a discrepancy, and show the entry approval would post. Another person approves."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import prepare_resolution
    from supervision.rights import Right

    def propose(connection: Connection, by: Actor, now: datetime) -> str:
        one, legs = prepare_resolution(connection, identity, act, by=by, now=now, reason=reason, item_ids=item or ())
        if as_json:
            body = {"id": one.discrepancy.discrepancy_id, "state": str(one.state), "act": str(act), "entry": _legs_json(legs)}
            return json.dumps(body, ensure_ascii=False)
        _echo_legs(legs, lang)
        return say.proposed(one, act).text(lang)

    _do(Right.PREPARE_DISCREPANCY, as_user, identity, propose)


@discrepancy_app.command("approve", epilog="Example: escrow discrepancy approve 3f9a01 --as li.approve")
def approve(identity: _Id, as_user: _AsUser = None, lang: Lang = Language.EN, as_json: _Json = False) -> None:
    """Approve another person's proposal: its entry is posted, and the account is reconciled again."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import approve_resolution
    from supervision.rights import Right

    def decide(connection: Connection, by: Actor, now: datetime) -> str:
        one, cleared = approve_resolution(connection, identity, by=by, now=now)
        if as_json:
            body = {
                "id": one.discrepancy.discrepancy_id,
                "state": str(one.state),
                "cleared_items": [str(c.item_id) for c in cleared],
            }
            return json.dumps(body, ensure_ascii=False)
        return say.approved(one, len(cleared)).text(lang)

    _do(Right.APPROVE_DISCREPANCY, as_user, identity, decide, posts=True)


@discrepancy_app.command(
    "reject", epilog='Example: escrow discrepancy reject 3f9a01 --reason "ask the bank first" --as li.approve'
)
def reject(
    identity: _Id,
    reason: Annotated[str, typer.Option(help="Why.")],
    as_user: _AsUser = None,
    lang: Lang = Language.EN,
) -> None:
    """Turn another person's proposal down; the discrepancy is open again."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import reject_resolution
    from supervision.rights import Right

    def decide(connection: Connection, by: Actor, now: datetime) -> str:
        return say.turned_down(reject_resolution(connection, identity, by=by, now=now, reason=reason)).text(lang)

    _do(Right.APPROVE_DISCREPANCY, as_user, identity, decide)


def _do(right: Any, as_user: str | None, identity: str, act: Any, *, posts: bool = False) -> None:
    """Run one act in one transaction as the acting user, and print what it says. ``posts``: the account is reconciled again."""
    from entrypoints.acting import acting_principal, reading_session, require_in_scope
    from entrypoints.bootstrap import job_settings, open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from jobs.reconciling import reconcile_through
    from reconciliation.discrepancy_store import find_record
    from reconciliation.resolution_posting import latest_day
    from reconciliation.resolving import Actor
    from storage.roles import become_person, become_poster
    from storage.trying_again import committed

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, right)
    with open_books(settings, session=reading_session(principal)) as engine:

        def decide(connection: Connection) -> str:
            require_in_scope(connection, principal, find_record(connection, identity).discrepancy.custody_account_id)
            (become_poster if posts else become_person)(connection)
            return str(act(connection, Actor(principal.user, principal.role), utc_now()))

        def reconcile(connection: Connection) -> None:
            become_poster(connection)
            day = latest_day(connection, find_record(connection, identity))
            reconcile_through(connection, day, job_settings(settings, principal.user), utc_now())

        typer.echo(committed(engine, decide))
        if posts:
            committed(engine, reconcile)
