"""``escrow discrepancy assign|comment|resolve|approve|reject``: what persons do about a discrepancy."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from entrypoints.commands.reading import Lang, Language
from reconciliation.discrepancy import Act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from reconciliation.resolution_posting import ProposedLeg
    from reconciliation.resolving import Actor

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or at least the first 6 characters.")]
AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to ``escrow discrepancy``."""
    for name, command, example in (
        ("assign", assign_command, "3f9a01 --to zhang.prepare --as li.approve"),
        ("comment", comment_command, '3f9a01 "asked the bank" --as zhang.prepare'),
        ("resolve", resolve, '3f9a01 --act accept_late --reason "bank confirmed" --as zhang.prepare'),
        ("approve", approve, "3f9a01 --as li.approve"),
        ("reject", reject, '3f9a01 --reason "ask the bank first" --as li.approve'),
    ):
        app.command(name, epilog=f"Example: escrow discrepancy {name} {example}")(command)


def legs_json(legs: Sequence[ProposedLeg]) -> list[dict[str, str]]:
    """The entry an approval would post."""
    return [
        {"debit": leg.debit, "credit": leg.credit, "amount": leg.amount.plain, "booking_date": leg.booking_date.isoformat()}
        for leg in legs
    ]


def echo_legs(legs: Sequence[ProposedLeg], lang: str = "en") -> None:
    """Print the entry an approval would post."""
    from reports.wording import word

    for leg in legs:
        sides = f"{word('debit', lang)} {leg.debit}, {word('credit', lang)} {leg.credit}"
        typer.echo(f"  {word('would post', lang)} {leg.booking_date}: {sides}, {leg.amount}")


def assign_command(
    identity: Id,
    to: Annotated[str, typer.Option(help="Who works on it from now on.")],
    as_user: AsUser = None,
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


def comment_command(
    identity: Id,
    text: Annotated[str, typer.Argument(help="What to note.")],
    as_user: AsUser = None,
    lang: Lang = Language.EN,
) -> None:
    """Add a remark to a discrepancy."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import comment
    from supervision.rights import Right

    def act(connection: Connection, by: Actor, now: datetime) -> str:
        return say.noted(comment(connection, identity, text, by=by, now=now)).text(lang)

    _do(Right.ASSIGN_DISCREPANCY, as_user, identity, act)


def resolve(  # noqa: PLR0917 - the command line is the signature
    identity: Id,
    act: Annotated[Act, typer.Option(help="How to close it.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    item: Annotated[list[UUID] | None, typer.Option(help="Book item to match with (match_manually); may be repeated.")] = None,
    as_user: AsUser = None,
    lang: Lang = Language.EN,
    as_json: Json = False,
) -> None:
    """Propose how to close a discrepancy, and show the entry approval would post. Another person approves."""
    from reconciliation import resolution_wording as say
    from reconciliation.resolving import prepare_resolution
    from supervision.rights import Right

    def propose(connection: Connection, by: Actor, now: datetime) -> str:
        one, legs = prepare_resolution(connection, identity, act, by=by, now=now, reason=reason, item_ids=item or ())
        if as_json:
            body = {"id": one.discrepancy.discrepancy_id, "state": str(one.state), "act": str(act), "entry": legs_json(legs)}
            return json.dumps(body, ensure_ascii=False)
        echo_legs(legs, lang)
        return say.proposed(one, act).text(lang)

    _do(Right.PREPARE_DISCREPANCY, as_user, identity, propose)


def approve(identity: Id, as_user: AsUser = None, lang: Lang = Language.EN, as_json: Json = False) -> None:
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


def reject(
    identity: Id,
    reason: Annotated[str, typer.Option(help="Why.")],
    as_user: AsUser = None,
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
