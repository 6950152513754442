"""Long batches are written while they are judged; what becomes of them is what becomes of short ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Literal

import pytest
from sqlalchemy import text

from ledger.model import PostingRefused, RefusalCode, Transfer
from ledger.store import account_statement, balance, verify
from money import Money
from tests.ledger.conftest import Desk
from tests.ledger.test_posting import CASH

#: More than a batch that is written in one go may have.
LONG = 4_500
HELD = ("prepayment_held", "A")


def march(day: int) -> date:
    return date(2025, 3, day)


def long_call(desk: Desk, name: str, *, too_much_at: int | None = None) -> list[Transfer]:
    """Money in, one fen a transfer; at one place a journal entry of two, the second of which takes more than there is."""
    if HELD not in desk.ids:
        desk.open_orders("A")
    call = []
    for number in range(LONG):
        ref = f"{name} {number}" if number % 7 else f"{name} \\ \t{number}\n王"
        call.append(desk.transfer(CASH, HELD, 1, ref))
        if number == too_much_at:
            call.append(desk.transfer(HELD, ("payable_to_institution", ""), 10**9, ref, leg=2))
    return call


def test_a_long_batch_is_the_same_journal_as_one_judged_first(desk: Desk) -> None:
    call = long_call(desk, "first")
    outcome = desk.post(*call)

    assert outcome.posted == tuple(transfer.transfer_id for transfer in call)
    assert balance(desk.conn, desk.ids[HELD]).minor_units == LONG
    page = account_statement(desk.conn, desk.ids[CASH], after=LONG - 2, limit=9)
    assert [(line.seq, line.balance.minor_units, line.source_ref) for line in page] == [
        (LONG - 1, LONG - 1, call[-2].source_ref),
        (LONG, LONG, call[-1].source_ref),
    ]
    assert desk.post(*call).already_posted == outcome.posted
    assert desk.conn.execute(text("SELECT count(*) FROM posting_batch")).scalar_one() == 1
    assert verify(desk.conn) == []


@pytest.mark.parametrize("place", [0, 3_000, LONG - 1])
def test_a_refusal_anywhere_in_a_long_call_takes_all_of_it_back_and_leaves_the_transaction_usable(desk: Desk, place: int) -> None:
    call = long_call(desk, "refused", too_much_at=place)
    desk.post(desk.transfer(CASH, HELD, 5, "before"))
    with pytest.raises(PostingRefused) as caught:
        desk.post(*call)
    desk.post(desk.transfer(CASH, HELD, 7, "after"))
    desk.conn.commit()

    assert [refusal.code for refusal in caught.value.refusals] == [RefusalCode.LINKED_REFUSED, RefusalCode.BELOW_FLOOR]
    assert balance(desk.conn, desk.ids[HELD]).minor_units == 12
    assert verify(desk.conn) == []


def test_a_long_call_that_may_be_posted_in_part_names_what_it_leaves_out(desk: Desk) -> None:
    call = long_call(desk, "reported", too_much_at=2_000)
    outcome = desk.post(*call, on_refusal="report")

    assert len(outcome.posted) == LONG - 1
    assert {refusal.transfer_id for refusal in outcome.refused} == {call[2_000].transfer_id, call[2_001].transfer_id}
    assert balance(desk.conn, desk.ids[HELD]).minor_units == LONG - 1
    assert verify(desk.conn) == []


def test_a_long_batch_over_several_days_some_late_keeps_its_day_sums(desk: Desk) -> None:
    desk.open_orders("A", "B")
    days = [3, 1, 5, 5, 2, 9]
    call = [
        desk.transfer(CASH, ("prepayment_held", "AB"[number % 2]), 1 + number % 5, f"{number}", day=march(days[number % 6]))
        for number in range(LONG)
    ]
    desk.post(*call[: LONG // 2], on_refusal="report")
    desk.post(*call)

    for day in range(1, 10):
        booked = sum(t.amount.minor_units for t in call if t.booking_date <= march(day))
        assert balance(desk.conn, desk.ids[CASH], as_of=march(day)).minor_units == booked
    assert verify(desk.conn) == []


#: A place in a long call that is not among the few that are looked up before it is judged.
UNLOOKED = 1


@pytest.mark.parametrize("place", [0, UNLOOKED, LONG - 1])
def test_what_was_posted_before_is_told_wherever_it_stands_in_a_long_call(desk: Desk, place: int) -> None:
    call = long_call(desk, "again")
    desk.post(call[place])
    outcome = desk.post(*call)

    assert outcome.already_posted == (call[place].transfer_id,)
    assert set(outcome.posted) == {transfer.transfer_id for transfer in call} - {call[place].transfer_id}
    assert balance(desk.conn, desk.ids[HELD]).minor_units == LONG
    assert verify(desk.conn) == []


def test_what_was_posted_before_with_other_content_is_refused_in_a_long_call(desk: Desk) -> None:
    call = long_call(desk, "other")
    desk.post(replace(call[UNLOOKED], amount=Money(3)))
    with pytest.raises(PostingRefused) as caught:
        desk.post(*call)
    outcome = desk.post(*call, on_refusal="report")

    assert [refusal.code for refusal in caught.value.refusals] == [RefusalCode.EXISTS_WITH_OTHER_CONTENT]
    assert [refusal.transfer_id for refusal in outcome.refused] == [call[UNLOOKED].transfer_id]
    assert balance(desk.conn, desk.ids[HELD]).minor_units == LONG - 1 + 3
    assert verify(desk.conn) == []


@pytest.mark.parametrize("on_refusal", ["raise", "report"])
def test_what_was_posted_before_is_no_refusal_in_a_long_call_though_there_would_be_no_money_for_it(
    desk: Desk, on_refusal: Literal["raise", "report"]
) -> None:
    call = long_call(desk, "spent")
    paid_out = desk.transfer(HELD, ("payable_to_institution", ""), 50, "paid out")
    desk.post(desk.transfer(CASH, HELD, 50, "in"), paid_out)
    call.insert(UNLOOKED, paid_out)
    outcome = desk.post(*call, on_refusal=on_refusal)

    assert (outcome.already_posted, outcome.refused) == ((paid_out.transfer_id,), ())
    assert balance(desk.conn, desk.ids[HELD]).minor_units == LONG
    assert verify(desk.conn) == []
