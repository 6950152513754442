"""Stories of the sign-off: two persons, every reason named, history kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from bank_adapters.model import Direction
from money import Money
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


def prepare(town: Town, by: Actor = ZHANG, day: date = TUESDAY) -> SignOff:
    with town.engine.begin() as conn:
        return prepare_sign_off(conn, town.ref, day, by=by, calendar=town.calendar, now=town.now())


def approve(town: Town, by: Actor = LI, day: date = TUESDAY) -> SignOff:
    with town.engine.begin() as conn:
        return approve_sign_off(conn, town.ref, day, by=by, calendar=town.calendar, now=town.now())


def sign(town: Town, day: date) -> None:
    prepare(town, day=day)
    approve(town, day=day)


def state(town: Town, day: date) -> SignOff:
    with town.engine.connect() as conn:
        return sign_off_of(conn, town.ref, day)


@pytest.fixture
def clean(town: Town) -> Town:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(MONDAY)
    sign(town, MONDAY)
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
    said = "\n".join(one.en for one in refusal.value.reasons)
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
    assert [one.en for one in reasons] == ["2025-03-03 has not been reconciled; run: escrow run-day 2025-03-03"]


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
    events = clean.query("SELECT event, actor FROM sign_off_event WHERE business_date = '2025-03-04' ORDER BY event_no")
    assert [row[0] for row in events] == ["prepared", "approved", "reopen_prepared", "reopened"]
    assert prepare(clean).state == "prepared"


def test_other_days_are_not_touched(clean: Town) -> None:
    prepare(clean)
    approve(clean)
    with clean.engine.connect() as conn:
        assert sign_off_of(conn, clean.ref, WEDNESDAY).state == "open"


def test_days_are_signed_off_in_order(town: Town) -> None:
    town.day(MONDAY)
    town.day(TUESDAY)
    with pytest.raises(SignOffRefused) as refusal:
        prepare(town)
    (reason,) = refusal.value.reasons
    command = "escrow --as USER reconciliation sign-off --date 2025-03-03 --account 6222000000000017 --prepare"
    assert "2025-03-03 comes before it" in reason.en
    assert command in reason.en
    assert command in reason.zh
    sign(town, MONDAY)
    sign(town, TUESDAY)
    assert state(town, TUESDAY).state == "signed_off"


def test_a_day_without_statement_that_a_later_one_continues_holds_nothing_up(town: Town) -> None:
    town.day(MONDAY)
    sign(town, MONDAY)
    town.reconcile(TUESDAY)
    with pytest.raises(SignOffRefused, match="statement for 2025-03-04 has not been received"):
        prepare(town)
    town.day(WEDNESDAY)
    sign(town, TUESDAY)
    sign(town, WEDNESDAY)
    assert state(town, WEDNESDAY).state == "signed_off"


def test_another_statement_of_a_signed_off_day_opens_it_and_every_later_day(clean: Town) -> None:
    sign(clean, TUESDAY)
    clean.day(WEDNESDAY)
    sign(clean, WEDNESDAY)
    restated = clean.statement(TUESDAY, (IN, 5, ""), opening=0)
    receipt = clean.deliver(restated, name="again.sta")
    assert [str(one.outcome) for one in receipt.statements] == ["quarantined"]
    assert state(clean, MONDAY).state == "signed_off"
    for day in (TUESDAY, WEDNESDAY):
        standing = state(clean, day)
        assert (standing.state, standing.last_event) == ("open", "superseded")
        assert "RESTATED of 2025-03-04" in (standing.superseded or "")
    with pytest.raises(SignOffRefused, match="RESTATED"):
        prepare(clean)
    events = clean.query("SELECT event FROM sign_off_event WHERE business_date = '2025-03-04' ORDER BY event_no")
    assert [row[0] for row in events] == ["prepared", "approved", "superseded"]


def test_a_file_that_is_refused_for_its_currency_opens_its_day_again(clean: Town) -> None:
    """Refused without a discrepancy: what the bank says about a signed day is news all the same."""
    sign(clean, TUESDAY)
    odd = replace(clean.statement(TUESDAY), currency="USD", opening_balance=Money(0, "USD"), closing_balance=Money(0, "USD"))
    receipt = clean.deliver(odd, name="dollars.sta")
    assert [(str(one.outcome), one.kind) for one in receipt.statements] == [("refused", None)]
    assert "came afterwards" in (state(clean, TUESDAY).superseded or "")
    sign(clean, TUESDAY)
    assert state(clean, TUESDAY).state == "signed_off", "two people may accept the day again"


def test_the_same_file_again_opens_nothing(clean: Town) -> None:
    statement = clean.statement(WEDNESDAY)
    clean.deliver(statement)
    clean.reconcile(WEDNESDAY)
    sign(clean, TUESDAY)
    sign(clean, WEDNESDAY)
    receipt = clean.deliver(statement, name="other-name.sta")
    assert [str(one.outcome) for one in receipt.statements] == ["duplicate"]
    assert state(clean, WEDNESDAY).state == "signed_off"


def test_a_discrepancy_found_later_opens_the_day_it_dates_from(clean: Town) -> None:
    sign(clean, TUESDAY)
    clean.reconcile(TUESDAY)
    assert state(clean, TUESDAY).state == "signed_off", "the same again changes nothing"
    clean.order("ORD20250009", 700, MONDAY - timedelta(days=10))  # told late, its window is over
    clean.day(WEDNESDAY)
    ((since,),) = clean.query("SELECT since FROM discrepancy WHERE kind = 'MISSING_IN_BANK'")
    assert isinstance(since, date)
    assert since <= MONDAY
    for day in (MONDAY, TUESDAY):
        assert "MISSING_IN_BANK" in (state(clean, day).superseded or "")
    with pytest.raises(SignOffRefused, match=r"MISSING_IN_BANK .* escrow discrepancy show"):
        prepare(clean, day=MONDAY)


def test_reopening_a_day_opens_the_later_ones(clean: Town) -> None:
    sign(clean, TUESDAY)
    with clean.engine.begin() as conn:
        prepare_reopening(conn, clean.ref, MONDAY, by=ZHANG, now=clean.now(), reason="late correction")
    with clean.engine.begin() as conn:
        reopen(conn, clean.ref, MONDAY, by=LI, now=clean.now())
    assert state(clean, TUESDAY).state == "open"
    assert "2025-03-03, which comes before it, was reopened: late correction" in (state(clean, TUESDAY).superseded or "")


def test_an_act_that_is_done_says_so_and_names_the_next_one(clean: Town) -> None:
    prepare(clean)
    with pytest.raises(SignOffRefused, match=r"prepared by zhang\.prepare on .*\(Shanghai\).*sign-off .* --approve"):
        prepare(clean)
    approve(clean)
    with pytest.raises(SignOffRefused, match=r"signed off by li\.approve .*nothing is left to do.*reopen .* --reason"):
        approve(clean)
