"""Reserving, posting, voiding and expiring: each once, within floors, and held by the database too."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ledger.model import PendingTransfer, PostingRefused, RefusalCode, transfer_id
from ledger.pending import available, expire_pending, pending_transfers, post_pending, reserve, void_pending
from ledger.store import balance, close_account, verify
from money import Money
from tests.ledger.conftest import DAY, NOW, Desk
from tests.ledger.test_posting import CASH, HELD_A, codes

BY: dict[str, Any] = {"now": NOW, "actor": "t", "rule_version": "1"}


def pending(desk: Desk, fen: int, ref: str = "p", *, expires_on: date | None = None) -> PendingTransfer:
    """Money of order A that will go back to cash."""
    return PendingTransfer(
        transfer_id(7, DAY, "instruct", ref),
        7,
        desk.ids[HELD_A],
        desk.ids[CASH],
        Money(fen),
        DAY,
        expires_on,
        "r",
        "instruct",
        ref,
    )


@pytest.fixture
def funded(desk: Desk) -> Desk:
    """Order A holds 100 fen."""
    desk.open_orders("A")
    desk.post(desk.transfer(CASH, HELD_A, 100, "start"))
    return desk


def refused(act: Any) -> list[RefusalCode]:
    with pytest.raises(PostingRefused) as caught:
        act()
    return codes(caught.value)


def test_what_is_reserved_is_not_available_but_still_booked(funded: Desk) -> None:
    conn, held = funded.conn, funded.ids[HELD_A]
    one = pending(funded, 60)
    assert reserve(conn, [one], **BY) == (one.pending_id,)
    assert reserve(conn, [one], **BY) == ()
    assert (balance(conn, held), available(conn, held)) == (Money(100), Money(40))
    # Cash would be credited, which takes from it too; what a reservation would bring counts nowhere yet.
    assert (balance(conn, funded.ids[CASH]), available(conn, funded.ids[CASH])) == (Money(100), Money(40))

    assert refused(lambda: reserve(conn, [pending(funded, 41, "q")], **BY)) == [RefusalCode.BELOW_FLOOR]
    assert codes(funded.post(funded.transfer(HELD_A, CASH, 41, "x"), on_refusal="report")) == [RefusalCode.BELOW_FLOOR]
    assert len(funded.post(funded.transfer(HELD_A, CASH, 40, "y")).posted) == 1
    assert available(conn, held) == Money(0)
    assert verify(conn) == []


def test_posting_all_or_part_frees_the_reservation_once(funded: Desk) -> None:
    conn, held = funded.conn, funded.ids[HELD_A]
    whole, part = pending(funded, 60, "whole"), pending(funded, 40, "part")
    reserve(conn, [whole, part], **BY)
    again = {"booking_date": DAY, "reason": "instructed", **BY}
    assert refused(lambda: post_pending(conn, 7, part.pending_id, amount=Money(41), **again)) == [RefusalCode.RESOLUTION_MISMATCH]
    assert post_pending(conn, 7, whole.pending_id, **again).posted == (whole.pending_id,)
    assert post_pending(conn, 7, part.pending_id, amount=Money(25), **again).posted == (part.pending_id,)
    assert (balance(conn, held), available(conn, held)) == (Money(15), Money(15))

    assert post_pending(conn, 7, whole.pending_id, **again).already_posted == (whole.pending_id,)
    other = RefusalCode.EXISTS_WITH_OTHER_CONTENT
    assert refused(lambda: post_pending(conn, 7, part.pending_id, amount=Money(15), **again)) == [other]
    assert refused(lambda: void_pending(conn, 7, [part.pending_id], resolved_on=DAY, actor="t", reason="r")) == [
        RefusalCode.ALREADY_RESOLVED
    ]
    unknown = transfer_id(7, DAY, "no", "such")
    assert refused(lambda: post_pending(conn, 7, unknown, **again)) == [RefusalCode.UNKNOWN_PENDING]
    assert verify(conn) == []


def test_a_voided_one_is_free_again_and_cannot_be_posted(funded: Desk) -> None:
    conn, one = funded.conn, pending(funded, 100)
    reserve(conn, [one], **BY)
    undo = {"resolved_on": DAY, "actor": "t", "reason": "withdrawn"}
    assert void_pending(conn, 7, [one.pending_id], **undo) == (one.pending_id,)
    assert void_pending(conn, 7, [one.pending_id], **undo) == ()
    assert available(conn, funded.ids[HELD_A]) == Money(100)
    assert refused(lambda: post_pending(conn, 7, one.pending_id, booking_date=DAY, reason="r", **BY)) == [
        RefusalCode.ALREADY_RESOLVED
    ]
    assert reserve(conn, [one], **BY) == ()  # its id is used up
    assert verify(conn) == []


def test_expiry_takes_what_is_past_its_last_day_and_nothing_else(funded: Desk) -> None:
    conn, last = funded.conn, DAY + timedelta(days=2)
    short, long, endless = pending(funded, 30, "s", expires_on=last), pending(funded, 30, "l", expires_on=date(2026, 1, 1)), None
    endless = pending(funded, 30, "e")
    reserve(conn, [short, long, endless], **BY)
    assert expire_pending(conn, last, actor="system") == 0
    late = {"booking_date": last + timedelta(days=1), "reason": "r", **BY}
    assert refused(lambda: post_pending(conn, 7, short.pending_id, **late)) == [RefusalCode.PENDING_EXPIRED]
    assert expire_pending(conn, last + timedelta(days=1), actor="system") == 1
    assert expire_pending(conn, last + timedelta(days=1), actor="system") == 0
    assert available(conn, funded.ids[HELD_A]) == Money(40)
    assert [s.outcome for s in pending_transfers(conn, ids=[short.pending_id])] == ["expired"]
    assert {s.pending.pending_id for s in pending_transfers(conn, only_open=True)} == {long.pending_id, endless.pending_id}
    assert verify(conn) == []


def test_reservations_are_refused_by_name(funded: Desk) -> None:
    good = pending(funded, 10)
    funded.open_orders("closed")
    closed = funded.ids["prepayment_held", "closed"]
    close_account(funded.conn, institution_id=7, account_id=closed, closed_on=DAY, actor="t", reason="r")
    cases = {
        RefusalCode.ZERO_AMOUNT: replace(good, amount=Money(0)),
        RefusalCode.SAME_ACCOUNT: replace(good, credit_account_id=good.debit_account_id),
        RefusalCode.UNKNOWN_ACCOUNT: replace(good, debit_account_id=999),
        RefusalCode.CLOSED_ACCOUNT: replace(good, debit_account_id=closed),
        RefusalCode.CURRENCY: replace(good, amount=Money(10, "USD")),
        RefusalCode.PENDING_EXPIRED: replace(good, expires_on=DAY - timedelta(days=1)),
    }
    for code, wrong in cases.items():
        assert refused(lambda wrong=wrong: reserve(funded.conn, [wrong], **BY)) == [code]
    reserve(funded.conn, [good], **BY)
    other = replace(good, amount=Money(11))
    assert refused(lambda: reserve(funded.conn, [other], **BY)) == [RefusalCode.EXISTS_WITH_OTHER_CONTENT]


#: Attack in SQL -> the rule that refuses it. {p}: a pending transfer of 60, {x}: one that has expired by DAY + 1.
ATTACKS = {
    "reserve more than is available": (
        (
            "INSERT INTO pending_transfer (institution_id, pending_id, debit_account_id, credit_account_id, amount_minor_units, currency,"
            " booking_date, reason, source_kind, source_ref, actor, rule_version, pending_at) SELECT institution_id, gen_random_uuid(),"
            " debit_account_id, credit_account_id, 41, currency, booking_date, '', '', '', '', '', pending_at FROM pending_transfer"
            " WHERE pending_id = :p"
        ),
        "ledger_below_floor",
    ),
    "say it was posted without a transfer": (
        (
            "INSERT INTO pending_resolution (institution_id, pending_id, outcome, transfer_id, resolved_on, actor, reason)"
            " VALUES (7, :p, 'posted', gen_random_uuid(), '2025-03-03', '', '')"
        ),
        "fk_pending_resolution_institution_id_transfer_id_transfer",
    ),
    "say it was posted by another transfer": (
        (
            "INSERT INTO pending_resolution (institution_id, pending_id, outcome, transfer_id, resolved_on, actor, reason)"
            " SELECT 7, :p, 'posted', transfer_id, '2025-03-03', '', '' FROM transfer LIMIT 1"
        ),
        "ledger_resolution_mismatch",
    ),
    "resolve it twice": (
        (
            "INSERT INTO pending_resolution (institution_id, pending_id, outcome, resolved_on, actor, reason)"
            " VALUES (7, :x, 'voided', '2025-03-03', '', '')"
        ),
        "pk_pending_resolution",
    ),
    "let it expire before its time": (
        (
            "INSERT INTO pending_resolution (institution_id, pending_id, outcome, resolved_on, actor, reason)"
            " VALUES (7, :p, 'expired', '2099-01-01', '', '')"
        ),
        "ledger_pending_not_expired",
    ),
    "free it by hand": ("UPDATE account_balance SET pending_debits_minor_units = 0", "ledger_projection"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_database_refuses_by_itself(funded: Desk, attack: str) -> None:
    one, expired = pending(funded, 60), pending(funded, 40, "x", expires_on=DAY)
    reserve(funded.conn, [one, expired], **BY)
    expire_pending(funded.conn, DAY + timedelta(days=1), actor="system")
    funded.conn.commit()
    statement, rule = ATTACKS[attack]
    with pytest.raises(IntegrityError) as caught:  # noqa: PT012  the statement or the commit
        funded.conn.execute(text(statement), {"p": one.pending_id, "x": expired.pending_id})
        funded.conn.commit()
    funded.conn.rollback()
    assert caught.value.orig.diag.constraint_name == rule  # type: ignore[union-attr]
    assert verify(funded.conn) == []


def test_an_account_with_a_reservation_cannot_close(funded: Desk) -> None:
    """Cash would be credited: nothing is booked on the empty account, but something waits for it."""
    funded.open_orders("B")
    waiting = replace(pending(funded, 10), credit_account_id=funded.ids["prepayment_held", "B"])
    reserve(funded.conn, [waiting], **BY)
    with pytest.raises(IntegrityError, match="pending transfers"):
        close_account(
            funded.conn,
            institution_id=7,
            account_id=funded.ids["prepayment_held", "B"],
            closed_on=DAY + timedelta(days=9),
            actor="t",
            reason="r",
        )
