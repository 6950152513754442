"""Stories of the sign-off: two persons, every reason named, history kept."""

from __future__ import annotations

import pytest

from bank_adapters.model import Direction
from reconciliation.resolving import Actor
from reconciliation.sign_off import (
    SignOff,
    SignOffRefused,
    approve_sign_off,
    prepare_reopening,
    prepare_sign_off,
    reopen,
    sign_off_of,
    what_stands_against,
)
from tests.reconciliation.conftest import MONDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT
ZHANG, LI = Actor("zhang.prepare", "supervisor"), Actor("li.approve", "approver")


def prepare(town: Town, by: Actor = ZHANG, day: object = TUESDAY) -> SignOff:
    with town.engine.begin() as conn:
        return prepare_sign_off(conn, town.ref, day, by=by, calendar=town.calendar, now=town.now())  # type: ignore[arg-type]


def approve(town: Town, by: Actor = LI) -> SignOff:
    with town.engine.begin() as conn:
        return approve_sign_off(conn, town.ref, TUESDAY, by=by, calendar=town.calendar, now=town.now())


@pytest.fixture
def clean(town: Town) -> Town:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"))
    return town


def test_a_clean_day_is_signed_off_by_two_persons(clean: Town) -> None:
    assert prepare(clean).state == "prepared"
    done = approve(clean)
    assert (done.state, done.prepared_by, done.approved_by) == ("signed_off", "zhang.prepare", "li.approve")


def test_the_same_person_may_not_do_both(clean: Town) -> None:
    prepare(clean)
    with pytest.raises(SignOffRefused, match="another person must approve"):
        approve(clean, by=Actor("zhang.prepare", "approver"))


def test_every_reason_is_named_at_once(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(MONDAY, (IN, 777, ""), (OUT, 55, ""))
    town.reconcile(TUESDAY)
    with pytest.raises(SignOffRefused) as refusal:
        prepare(town)
    said = "\n".join(refusal.value.reasons)
    for part in (
        "statement for 2025-03-04 has not been received",
        "UNIDENTIFIED_RECEIPT CNY 7.77",
        "UNEXPLAINED_PAYMENT CNY 0.55",
    ):
        assert part in said
    with pytest.raises(SignOffRefused, match="in the future"):
        prepare(town, day=MONDAY.replace(year=2025, month=12, day=1))


def test_a_day_that_was_never_reconciled_is_refused(town: Town) -> None:
    town.deliver(town.statement(MONDAY))
    with town.engine.connect() as conn:
        reasons = what_stands_against(conn, town.ref, MONDAY, calendar=town.calendar, now=town.now())
    assert reasons == ("2025-03-03 has not been reconciled; run: escrow run-day 2025-03-03",)


def test_data_that_came_after_the_run_makes_it_out_of_date(clean: Town) -> None:
    clean.order("ORD20250002", 5000, MONDAY.replace(day=1))
    with pytest.raises(SignOffRefused, match="data came after the last run"):
        prepare(clean)


def test_nothing_is_approved_that_nobody_prepared(clean: Town) -> None:
    with pytest.raises(SignOffRefused, match="nobody has prepared it"):
        approve(clean)


def test_a_signed_off_day_is_reopened_by_two_persons_and_keeps_its_history(clean: Town) -> None:
    prepare(clean)
    approve(clean)
    with pytest.raises(SignOffRefused, match=r"signed off by li\.approve"):
        prepare(clean)
    with clean.engine.begin() as conn:
        standing = prepare_reopening(conn, clean.ref, TUESDAY, by=ZHANG, now=clean.now(), reason="late correction")
    assert standing.state == "signed_off", "a proposal alone opens nothing"
    with clean.engine.begin() as conn, pytest.raises(SignOffRefused, match="another person"):
        reopen(conn, clean.ref, TUESDAY, by=ZHANG, now=clean.now())
    with clean.engine.begin() as conn:
        assert reopen(conn, clean.ref, TUESDAY, by=LI, now=clean.now()).state == "open"
    events = clean.query("SELECT event, actor FROM sign_off_event ORDER BY event_no")
    assert [row[0] for row in events] == ["prepared", "approved", "reopen_prepared", "reopened"]
    assert prepare(clean).state == "prepared"


def test_other_days_are_not_touched(clean: Town) -> None:
    prepare(clean)
    approve(clean)
    with clean.engine.connect() as conn:
        assert sign_off_of(conn, clean.ref, WEDNESDAY).state == "open"
