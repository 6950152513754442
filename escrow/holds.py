"""Place a hold (one person) and lift it (two persons)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_new

from escrow import hold_wording as say
from escrow.hold import HoldRefused, HoldScope
from escrow.staging import take_turn
from escrow.tables import custody_account, hold, hold_lift, hold_lift_proposal, prepayment
from storage import audit


def place_hold(
    conn: Connection,
    *,
    institution_id: int,
    scope: HoldScope,
    reason: str,
    actor: str,
    now: datetime,
    order_id: str | None = None,
    class_hour_no: int | None = None,
    custody_account_id: int | None = None,
    stops_release: bool = True,
    stops_refund: bool = False,
    role: str = "system",
) -> int:
    """Stop releases, refunds or both for an order, a class-hour or a custody account; the hold's number.

    Stopping needs one person, so that money can be stopped at once. Raises HoldRefused.
    """
    take_turn(conn)
    named = {HoldScope.ORDER: (True, False, False), HoldScope.CLASS_HOUR: (True, True, False)}
    given = (order_id is not None, class_hour_no is not None, custody_account_id is not None)
    if given != named.get(scope, (False, False, True)):
        raise HoldRefused(say.names_one_thing(scope.value))
    if not reason.strip():
        raise HoldRefused(say.reason_wanted())
    if not (stops_release or stops_refund):
        raise HoldRefused(say.stops_nothing())
    if order_id is not None:
        hours = conn.scalar(
            select(prepayment.c.class_hours).where(
                prepayment.c.institution_id == institution_id, prepayment.c.order_id == order_id
            )
        )
        if hours is None:
            raise HoldRefused(say.no_order(institution_id, order_id))
        if class_hour_no is not None and not 1 <= class_hour_no <= hours:
            raise HoldRefused(say.no_class_hour(order_id, hours, class_hour_no))
    elif not conn.scalar(
        select(custody_account.c.custody_account_id).where(
            custody_account.c.institution_id == institution_id, custody_account.c.custody_account_id == custody_account_id
        )
    ):
        raise HoldRefused(say.no_account(institution_id, custody_account_id))
    values = {
        "institution_id": institution_id,
        "scope": scope.value,
        "order_id": order_id,
        "class_hour_no": class_hour_no,
        "custody_account_id": custody_account_id,
        "stops_release": stops_release,
        "stops_refund": stops_refund,
        "reason": reason,
        "placed_by": actor,
        "placed_at": now,
    }
    placed: int = conn.execute(insert(hold).values(values).returning(hold.c.hold_id)).scalar_one()
    _audit(conn, "placed", institution_id, placed, reason, now=now, actor=actor, role=role)
    return placed


def prepare_hold_lift(
    conn: Connection, *, institution_id: int, hold_id: int, reason: str, actor: str, now: datetime, role: str = "system"
) -> None:
    """Propose to lift a hold; it stays in force until another person approves. Raises HoldRefused."""
    take_turn(conn)
    _require_in_force(conn, institution_id, hold_id)
    if not reason.strip():
        raise HoldRefused(say.lifting_reason_wanted())
    conn.execute(
        insert_new(hold_lift_proposal)
        .values(institution_id=institution_id, hold_id=hold_id, prepared_by=actor, prepared_at=now, reason=reason)
        .on_conflict_do_nothing()
    )
    _audit(conn, "lift_prepared", institution_id, hold_id, reason, now=now, actor=actor, role=role)


def approve_hold_lift(
    conn: Connection, *, institution_id: int, hold_id: int, actor: str, now: datetime, role: str = "system"
) -> None:
    """Lift a hold another person has proposed to lift. Raises HoldRefused when nobody else has."""
    take_turn(conn)
    _require_in_force(conn, institution_id, hold_id)
    proposals = hold_lift_proposal.c
    prepared_by = conn.scalars(
        select(proposals.prepared_by)
        .where(proposals.institution_id == institution_id, proposals.hold_id == hold_id)
        .order_by(proposals.prepared_at, proposals.prepared_by)
    ).all()
    others = [person for person in prepared_by if person != actor]
    if not others:
        raise HoldRefused(say.another_must_approve(hold_id, actor) if prepared_by else say.nobody_proposed(hold_id))
    conn.execute(
        insert(hold_lift).values(
            institution_id=institution_id, hold_id=hold_id, prepared_by=others[0], approved_by=actor, approved_at=now
        )
    )
    _audit(conn, "lifted", institution_id, hold_id, f"prepared by {others[0]}", now=now, actor=actor, role=role)


def _audit(
    conn: Connection, what: str, institution_id: int, hold_id: int, reason: str, *, now: datetime, actor: str, role: str
) -> None:
    audit.record(
        conn,
        now=now,
        actor=actor,
        role=role,
        act=f"escrow:hold:{what}",
        object_kind="hold",
        object_id=f"{institution_id}/{hold_id}",
        details={"reason": reason},
    )


def _require_in_force(conn: Connection, institution_id: int, hold_id: int) -> None:
    found = conn.scalar(
        text("SELECT 1 FROM hold_in_force WHERE institution_id = :institution_id AND hold_id = :hold_id"),
        {"institution_id": institution_id, "hold_id": hold_id},
    )
    if found is None:
        raise HoldRefused(say.not_in_force(hold_id, institution_id))
