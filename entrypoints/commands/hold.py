"""``escrow hold``: stop the money of an order, a class-hour or a custody account, and lift the stop by two people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.reading import Lang, Language, readable_accounts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from escrow.store import HoldInForce, OrderPosition

hold_app = typer.Typer(
    name="hold",
    help="Stop releases or refunds (one person may), and lift the stop again (two people must).",
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Hold = Annotated[int, typer.Argument(metavar="HOLD", help="Number of the hold, as escrow hold list shows it.")]
_Reason = Annotated[str, typer.Option("--reason", help="Why; kept for the auditors.")]


def register(app: typer.Typer) -> None:
    """Add ``hold`` to the program."""
    app.add_typer(hold_app)


@hold_app.command("place", epilog='Example: escrow --as zhang.prepare hold place --order OD1 --reason "complaint 17"')
def place(
    *,
    reason: _Reason,
    order: Annotated[str | None, typer.Option("--order", help="Stop this order.")] = None,
    class_hour: Annotated[int | None, typer.Option("--class-hour", min=1, help="Only this class-hour of the order.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Stop every order of this custody account.")] = None,
    refunds_too: Annotated[bool, typer.Option("--refunds-too", help="Stop refunds as well as releases.")] = False,
    lang: Lang = Language.EN,
    json_: _Json = False,
) -> None:
    """Place a hold. Releases stop at once; refunds go on unless --refunds-too."""
    from entrypoints.acting import acting_principal, reading_session, require_in_scope
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.settings import read_settings
    from escrow.hold import HoldScope
    from escrow.hold_wording import placed
    from escrow.holds import place_hold
    from storage.roles import become_person
    from supervision.rights import Right

    if (order is None) == (account is None):
        raise typer.BadParameter("name either --order or --account", param_hint="--order")
    settings = read_settings()
    principal = acting_principal(settings, Right.PLACE_HOLD)
    with open_books(settings, session=reading_session(principal)) as engine, engine.begin() as connection:
        if account is not None:
            (ref,) = chosen_accounts(connection, account)
            require_in_scope(connection, principal, ref.custody_account_id)
            institution, scope, custody_account = ref.institution_id, HoldScope.CUSTODY_ACCOUNT, ref.custody_account_id
        else:
            found = _position_of(connection, order or "")
            require_in_scope(connection, principal, found.custody_account_id)
            institution, custody_account = found.institution_id, None
            scope = HoldScope.ORDER if class_hour is None else HoldScope.CLASS_HOUR
        become_person(connection)
        number = place_hold(
            connection,
            institution_id=institution,
            scope=scope,
            reason=reason,
            actor=principal.user,
            role=principal.role,
            now=utc_now(),
            order_id=order,
            class_hour_no=class_hour,
            custody_account_id=custody_account,
            stops_refund=refunds_too,
        )
    typer.echo(json.dumps({"hold": number}) if json_ else placed(number).text(lang))


@hold_app.command("lift", epilog='Example: escrow --as zhang.prepare hold lift 3 --prepare --reason "complaint withdrawn"')
def lift(
    hold: _Hold,
    prepare: Annotated[bool, typer.Option("--prepare", help="Propose to lift it (first person).")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Lift it (second person).")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --prepare.")] = "",
    lang: Lang = Language.EN,
) -> None:
    """Lift a hold: one person prepares, another approves. It stays in force until then."""
    from entrypoints.acting import acting_principal, reading_session, require_in_scope
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from escrow.hold_wording import lift_proposed, lifted
    from escrow.holds import approve_hold_lift, prepare_hold_lift
    from storage.roles import become_person
    from supervision.rights import Right

    if prepare == approve:
        raise typer.BadParameter("give either --prepare or --approve", param_hint="--prepare")
    settings = read_settings()
    principal = acting_principal(settings, Right.PREPARE_HOLD_LIFT if prepare else Right.APPROVE_HOLD_LIFT)
    who = {"actor": principal.user, "role": principal.role}
    with open_books(settings, session=reading_session(principal)) as engine, engine.begin() as connection:
        standing = _in_force(connection, hold)
        require_in_scope(connection, principal, _account_of(connection, standing))
        institution = standing.institution_id
        become_person(connection)
        if prepare:
            prepare_hold_lift(connection, institution_id=institution, hold_id=hold, reason=reason, now=utc_now(), **who)
        else:
            approve_hold_lift(connection, institution_id=institution, hold_id=hold, now=utc_now(), **who)
    typer.echo((lift_proposed(hold) if prepare else lifted(hold)).text(lang))


@hold_app.command("list", epilog="Example: escrow hold list --json")
def list_holds(lang: Lang = Language.EN, json_: _Json = False) -> None:
    """The holds in force, oldest first."""
    from rich.table import Table

    from calendars import BUSINESS_TIME_ZONE
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from escrow.store import holds_in_force
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.READ_LEDGER)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        seen = {ref.custody_account_id for ref in readable_accounts(connection, principal)}
        found = [one for one in holds_in_force(connection) if _account_of(connection, one) in seen]
    if json_:
        for one in found:
            typer.echo(json.dumps(_as_json(one), ensure_ascii=False))
        return
    table = Table(*(word(name, lang) for name in ("hold", "what", "stops", "since (Shanghai)", "by", "reason")))
    for one in found:
        stops = " and ".join(name for name, on in (("releases", one.stops_release), ("refunds", one.stops_refund)) if on)
        table.add_row(
            str(one.hold_id),
            _what(one),
            stops,
            f"{one.placed_at.astimezone(BUSINESS_TIME_ZONE):%Y-%m-%d %H:%M}",
            one.placed_by,
            one.reason,
        )
    screen().print(table if found else word("no holds in force", lang))


def _account_of(connection: Connection, one: HoldInForce) -> int:
    """The custody account whose money a hold stops."""
    if one.custody_account_id is not None:
        return one.custody_account_id
    return _position_of(connection, one.order_id or "", one.institution_id).custody_account_id


def _what(one: HoldInForce) -> str:
    if one.custody_account_id is not None:
        return f"custody account {one.custody_account_id}"
    return f"order {one.order_id}" + (f", class-hour {one.class_hour_no}" if one.class_hour_no else "")


def _as_json(one: HoldInForce) -> dict[str, object]:
    return {
        "hold": one.hold_id,
        "scope": one.scope,
        "order_id": one.order_id,
        "class_hour_no": one.class_hour_no,
        "custody_account_id": one.custody_account_id,
        "stops_release": one.stops_release,
        "stops_refund": one.stops_refund,
        "reason": one.reason,
        "placed_by": one.placed_by,
        "placed_at": one.placed_at.isoformat(),
    }


def _position_of(connection: Connection, order_id: str, institution_id: int | None = None) -> OrderPosition:
    from escrow.hold import HoldRefused
    from escrow.hold_wording import which_order
    from escrow.store import order_positions

    found = [
        one
        for one in order_positions(connection, order_ids=[order_id])
        if institution_id is None or one.institution_id == institution_id
    ]
    if len(found) != 1:
        raise HoldRefused(which_order(order_id, len(found)))
    return found[0]


def _in_force(connection: Connection, hold_id: int) -> HoldInForce:
    from escrow.hold import HoldRefused
    from escrow.hold_wording import not_in_force
    from escrow.store import holds_in_force

    for one in holds_in_force(connection):
        if one.hold_id == hold_id:
            return one
    raise HoldRefused(not_in_force(hold_id))
