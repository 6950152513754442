"""``verify`` names the row, whoever changed it; the owner of the database can switch guards off, not the arithmetic."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from escrow.hold import HoldScope


@pytest.fixture
def lived(school, request):
    """An order with releases, a refund and instructions, all sound; the fixture's own last check is told to expect a fault."""
    school.paid("ORD1", amount="1000.00", class_hours="7")
    school.paid("ORD2")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2, 3], "2025-03-05")
    school.confirmed("ORD1", [1, 2, 3], "2025-03-05")
    school.released("2025-03-05")
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")
    school.refunded("2025-03-05")
    school.instructed("2025-03-05")
    assert school.faults() == []
    outer = school.conn.begin_nested()
    yield school
    outer.rollback()


def tamper(district, *statements: str) -> list[str]:
    """What verify says after the owner of the database switched all guards off and changed rows by hand."""
    district.conn.execute(text("SET session_replication_role = replica"))
    for table in (
        "release",
        "refund",
        "prepayment",
        "orders",
        "funding",
        "instruction_file",
        "class_hour_event",
        "disbursement_instruction",
    ):
        district.conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    for statement in statements:
        district.conn.execute(text(statement))
    return district.faults()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE release SET amount_minor_units = amount_minor_units + 1 WHERE class_hour_no = 2", "class-hour 2: released 14287, the schedule gives 14286"),
        ("DELETE FROM release WHERE class_hour_no = 2", "class-hour 3: instalment 3 is the 2. released class-hour of 7"),
        ("UPDATE release SET released_on = '2025-03-04' WHERE class_hour_no = 1", "class-hour 1: released before it was taught"),
        ("UPDATE release SET transfer_id = gen_random_uuid() WHERE class_hour_no = 1", "does not move 14285 out of its prepayment"),
        ("DELETE FROM class_hour_event WHERE class_hour_no = 1 AND event = 'taught'", "class-hour 1: released before it was taught"),
        ("DELETE FROM class_hour_event WHERE class_hour_no = 1 AND event = 'confirmed'", "class-hour 1: released before it was confirmed"),
        ("UPDATE class_hour_event SET event = 'disputed' WHERE class_hour_no = 1 AND event = 'confirmed'", "class-hour 1: released although disputed"),
        ("DELETE FROM funding", "released before its money was seen at the bank"),
        ("UPDATE funding SET transfer_id = gen_random_uuid()", "its receipt was not cleared by transfer"),
        ("UPDATE refund SET amount_minor_units = amount_minor_units + 1", "refund request R1: its transfer"),
        ("UPDATE refund SET amount_minor_units = 99999999", "with none below zero"),
        ("UPDATE prepayment SET amount_minor_units = 100001 WHERE order_id = 'ORD2'", "order ORD2: held 100001, but its ledger account"),
        ("UPDATE orders SET class_hours = 8 WHERE order_id = 'ORD2'", "order ORD2: differs from its order"),
        ("UPDATE disbursement_instruction SET amount_minor_units = 1", "instruction DI2025030500000001: its transfer"),
        ("UPDATE instruction_file SET order_count = 2 WHERE kind = 'refund'", "says 2 orders of 57143 in all; its instructions are 1 of 57143"),
    ],
)  # fmt: skip
def test_a_hand_made_change_is_named(lived, statement, named):
    told = tamper(lived, statement)

    assert any(named in one for one in told), told


def test_changed_bytes_of_an_instruction_file_are_named(lived):
    told = tamper(
        lived,
        "ALTER TABLE instruction_file DROP CONSTRAINT ck_instruction_file_sha256_of_content",
        "UPDATE instruction_file SET content = content || 'x' WHERE kind = 'disbursement'",
    )

    assert told == ["instruction_file: NRB NRB-disbursement-20250305-01.csv of 2025-03-05: its bytes do not have its digest"]


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_any_order_of_confirmations_releases_the_same_total(school, seed):
    rng = random.Random(seed)
    name = f"N{school.count('orders')}"
    hours = rng.randint(1, 12)
    school.paid(name, amount=f"{rng.randint(1, 400_000) / 100:.2f}", class_hours=str(hours))
    school.bank_shows(name)
    school.taught(name, list(range(1, hours + 1)), "2025-03-05")
    total = school.position(name).paid_minor_units
    confirmed = rng.sample(range(1, hours + 1), hours)
    done = 0
    while confirmed:
        some = [confirmed.pop() for _ in range(rng.randint(1, len(confirmed)))]
        school.confirmed(name, some, "2025-03-05")
        school.released("2025-03-05")
        done += len(some)
        assert school.position(name).released_minor_units == total * done // hours
    assert school.position(name).held_minor_units == 0


def test_a_hold_placed_for_nothing_or_on_nothing_is_refused(school):
    from escrow.hold import HoldRefused

    school.paid("ORD1")
    for named in (
        {"scope": HoldScope.ORDER},
        {"scope": HoldScope.ORDER, "order_id": "NONE"},
        {"scope": HoldScope.CLASS_HOUR, "order_id": "ORD1"},
        {"scope": HoldScope.CLASS_HOUR, "order_id": "ORD1", "class_hour_no": 11},
        {"scope": HoldScope.CUSTODY_ACCOUNT, "custody_account_id": 999},
        {"scope": HoldScope.ORDER, "order_id": "ORD1", "stops_release": False},
    ):
        with pytest.raises(HoldRefused):
            school.hold(**named)
    assert school.count("hold") == 0
