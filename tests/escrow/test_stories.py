"""What is promised to payers and institutions, told as stories."""

from __future__ import annotations

import hashlib
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bank_adapters.instructions import read_instruction_csv
from escrow import handlers, store
from escrow.hold import HoldRefused, HoldScope
from ledger.store import reverse


def test_a_paid_order_is_held_and_waits_for_the_bank(school):
    school.paid("ORD1", amount="1000.00")

    position = school.position()
    assert (position.paid_minor_units, position.held_minor_units, position.funded_on) == (100_000, 100_000, None)
    item = school.conn.execute(text("SELECT * FROM open_item")).one()
    assert (item.kind, item.direction, item.amount_minor_units) == ("receipt", "IN", 100_000)
    assert str(item.booking_date) == "2025-03-03"
    assert str(item.due_date) == "2025-03-04"
    assert item.item_references == ["ORD1", "42000ORD1"]


def test_a_confirmed_class_hour_is_released_in_exact_proportion(school):
    school.paid("ORD1", amount="1000.00", class_hours="7")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2], "2025-03-05")
    school.confirmed("ORD1", [1, 2], "2025-03-05")

    report = school.released("2025-03-05")

    assert (report.class_hours, report.amount_minor_units) == (2, 28_571)  # floor(100000 * 2 / 7)
    position = school.position()
    assert (position.held_minor_units, position.released_minor_units) == (71_429, 28_571)


def test_money_not_yet_seen_at_the_bank_is_never_paid_out(school):
    school.paid("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")

    assert school.released("2025-03-05").withheld == {"unfunded": 1}
    assert school.refunded("2025-03-05").withheld == {"unfunded": 1}
    assert school.instructed("2025-03-05").files == ()

    school.bank_shows("ORD1", on="2025-03-06")
    assert school.released("2025-03-06").class_hours == 1
    assert school.refunded("2025-03-06").refunds == 1


def test_a_payer_who_stays_silent_is_deemed_to_confirm_on_the_fifteenth_working_day(school):
    # Test vector 5: taught on Friday 26 September 2025. Sunday 28 is worked (调休), 1 to 8 October is a holiday, Saturday
    # 11 October is worked. Working days: 28,29,30 September, 9,10,11,13,14,15,16,17,20,21,22,23 October.
    school.paid("ORD1", paid_at="2025-09-20T10:00:00+08:00", course_starts_on="2025-09-20", course_ends_on="2025-12-01")
    school.bank_shows("ORD1", on="2025-09-21")
    school.taught("ORD1", 1, "2025-09-26")

    assert school.deemed("2025-10-22") == 0
    assert school.released("2025-10-22").class_hours == 0
    assert school.deemed("2025-10-23") == 1
    assert school.released("2025-10-23").class_hours == 1

    event = school.conn.execute(text("SELECT * FROM class_hour_event WHERE event = 'deemed_confirmed'")).one()
    assert (event.reported_by, str(event.event_on)) == ("system", "2025-10-23")
    assert school.conn.execute(text("SELECT basis FROM release")).scalar_one() == "deemed"


def test_in_hangzhou_seven_working_days_of_silence_are_enough(district):
    district.found(1, jurisdiction="330100")
    district.paid("ORD1")
    district.taught("ORD1", 1, "2025-03-05")  # Wednesday; the 7th working day after is Friday 14

    assert district.deemed("2025-03-13") == 0
    assert district.deemed("2025-03-14") == 1


def test_a_late_run_deems_on_the_day_the_deadline_passed(school):
    school.paid("ORD1")
    school.taught("ORD1", 1, "2025-03-05")  # 15th working day after: 26 March

    assert school.deemed("2025-04-30") == 1

    assert str(school.conn.execute(text("SELECT max(event_on) FROM class_hour_event")).scalar_one()) == "2025-03-26"


def test_a_disputed_class_hour_is_not_paid_out(school):
    # Test vector 16.
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2], "2025-03-05")
    school.confirmed("ORD1", 2, "2025-03-05")
    school.reported("ORD1", 2, "disputed", "2025-03-06")
    school.reported("ORD1", 1, "disputed", "2025-03-06")

    assert school.deemed("2025-04-30") == 0
    report = school.released("2025-04-30")

    assert (report.class_hours, report.withheld) == (0, {"disputed": 1})


def test_the_database_itself_refuses_to_release_a_disputed_class_hour(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.reported("ORD1", 1, "disputed", "2025-03-06")
    by_hand = text("""
        INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, transfer_id, released_on,
            basis, confirmation_event)
        SELECT institution_id, order_id, 1, 1, 10000, receipt_item_id, '2025-03-07', 'payer', 'confirmed' FROM prepayment
    """)

    with pytest.raises(DBAPIError, match="disputed"), school.conn.begin_nested():
        school.conn.execute(by_hand)


def test_the_database_itself_refuses_to_release_what_is_unfunded_or_unconfirmed(school):
    school.paid("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    by_hand = text("""
        INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, transfer_id, released_on,
            basis, confirmation_event)
        SELECT institution_id, order_id, 1, 1, 10000, receipt_item_id, '2025-03-07', 'payer', 'confirmed' FROM prepayment
    """)

    with pytest.raises(IntegrityError, match="fk_release"), school.conn.begin_nested():
        school.conn.execute(by_hand)
    school.confirmed("ORD1", 1, "2025-03-05")
    with pytest.raises(IntegrityError, match=r"fk_release.*funding"), school.conn.begin_nested():
        school.conn.execute(by_hand)


def test_a_withdrawn_dispute_lets_silence_count_from_the_day_of_teaching(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.reported("ORD1", 1, "disputed", "2025-03-06")
    assert school.deemed("2025-03-31") == 0
    school.reported("ORD1", 1, "dispute_withdrawn", "2025-04-01")

    assert school.deemed("2025-04-01") == 1

    assert str(school.conn.execute(text("SELECT max(event_on) FROM class_hour_event")).scalar_one()) == "2025-04-01"
    assert school.released("2025-04-01").class_hours == 1


def test_an_upheld_dispute_gives_the_class_hours_money_back(school):
    school.paid("ORD1", amount="1000.00", class_hours="10")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2], "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.reported("ORD1", 2, "disputed", "2025-03-06")
    school.reported("ORD1", 2, "dispute_upheld", "2025-03-07")
    school.released("2025-03-07")
    school.asks_refund("R1", "ORD1", "2025-03-07", agreed_on="2025-03-07")

    assert school.refunded("2025-03-07").amount_minor_units == 90_000
    assert school.position().held_minor_units == 0


def test_a_refund_returns_exactly_the_unreleased_rest(school):
    school.paid("ORD1", amount="1000.00", class_hours="7")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2, 3], "2025-03-05")
    school.confirmed("ORD1", [1, 2, 3], "2025-03-05")
    school.released("2025-03-05")
    school.asks_refund("R1", "ORD1", "2025-03-06", agreed_on="2025-03-07")

    assert school.refunded("2025-03-06").refunds == 0
    assert school.refunded("2025-03-07").amount_minor_units == 100_000 - 42_857

    position = school.position()
    assert (position.held_minor_units, position.released_minor_units, position.refunded_minor_units) == (0, 42_857, 57_143)
    item = school.conn.execute(text("SELECT * FROM open_item WHERE kind = 'refund'")).one()
    assert (item.direction, item.item_references, item.amount_minor_units) == ("OUT", ["RFR1"], 57_143)


def test_class_hours_taught_but_not_settled_stay_reserved_in_a_refund(school):
    school.paid("ORD1", amount="1000.00", class_hours="10")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2, 3, 4], "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.reported("ORD1", 2, "disputed", "2025-03-06")
    school.released("2025-03-06")
    school.asks_refund("R1", "ORD1", "2025-03-06", agreed_on="2025-03-06")

    assert school.refunded("2025-03-06").amount_minor_units == 60_000
    school.confirmed("ORD1", [3, 4], "2025-03-07")
    assert school.released("2025-03-07").amount_minor_units == 20_000

    school.reported("ORD1", 2, "dispute_upheld", "2025-03-08")
    school.asks_refund("R2", "ORD1", "2025-03-08", agreed_on="2025-03-08")
    assert school.refunded("2025-03-08").amount_minor_units == 10_000
    assert school.position().held_minor_units == 0


def test_two_requests_for_one_order_return_its_rest_once(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.asks_refund("R1", "ORD1", "2025-03-06", agreed_on="2025-03-06")
    school.asks_refund("R2", "ORD1", "2025-03-06", agreed_on="2025-03-06")

    report = school.refunded("2025-03-06")

    assert (report.refunds, report.empty, report.amount_minor_units) == (2, 1, 100_000)


def test_an_institution_silent_for_five_working_days_agrees_to_the_refund(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.asks_refund("R1", "ORD1", "2025-03-06")  # Thursday; the 5th working day after is Thursday 13

    assert school.refunded("2025-03-12").refunds == 0
    assert school.refunded("2025-03-13").refunds == 1
    assert school.conn.execute(text("SELECT basis FROM refund")).scalar_one() == "deemed"


def test_after_a_refund_no_further_class_hour_can_be_taught(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.asks_refund("R1", "ORD1", "2025-03-06", agreed_on="2025-03-06")
    school.refunded("2025-03-06")

    report = school.import_class_hours([school.event_row("ORD1", 1, "taught", "2025-03-07")])

    assert [finding.code for finding in report.findings] == ["order_refunded"]


def test_the_day_pays_out_all_that_is_payable_in_one_file_a_bank(district):
    for number in (1, 2):
        district.found(number)
        order = district.paid(f"ORD{number}", number, amount="1000.00", class_hours="10")
        district.bank_shows(order)
        district.taught(order, [1, 2], "2025-03-05")
        district.confirmed(order, [1, 2], "2025-03-05")
    district.released("2025-03-05")

    report = district.instructed("2025-03-05")

    assert (report.disbursements, report.disbursed_minor_units) == (2, 40_000)
    assert report.files == ("NRB-disbursement-20250305-01.csv",)
    (stored,) = store.instruction_files(district.conn)
    assert stored.sha256 == hashlib.sha256(stored.content).hexdigest()
    file = read_instruction_csv(stored.content)
    assert [order.end_to_end_reference for order in file.orders] == ["DI2025030500000001", "DI2025030500000002"]
    assert [order.amount.minor_units for order in file.orders] == [20_000, 20_000]
    assert file.orders[0].beneficiary_account == "9559000000000001"
    items = district.conn.execute(text("SELECT item_references FROM open_item WHERE kind = 'disbursement'")).scalars().all()
    assert sorted(items) == [["DI2025030500000001"], ["DI2025030500000002"]]


def test_nothing_is_instructed_on_a_day_that_is_not_worked(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-08")
    school.confirmed("ORD1", 1, "2025-03-08")
    school.asks_refund("R1", "ORD1", "2025-03-08", agreed_on="2025-03-08")
    school.released("2025-03-08")
    school.refunded("2025-03-08")  # Saturday

    assert school.instructed("2025-03-08").files == ()
    monday = school.instructed("2025-03-10")

    assert (monday.disbursed_minor_units, monday.refunded_minor_units) == (10_000, 90_000)
    assert monday.files == ("NRB-disbursement-20250310-01.csv", "NRB-refund-20250310-01.csv")
    due = school.conn.execute(text("SELECT due_date FROM open_item WHERE kind = 'refund'")).scalar_one()
    assert str(due) == "2025-03-10"


def test_every_act_of_a_day_may_be_run_twice(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2], "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")

    def a_day() -> list[int]:
        school.deemed("2025-03-26")
        school.released("2025-03-26")
        school.refunded("2025-03-26")
        school.instructed("2025-03-26")
        return [school.count(table) for table in ("transfer", "release", "refund", "class_hour_event", "instruction_file")]

    assert a_day() == a_day()


def test_a_day_run_again_after_a_later_one_pays_nothing_twice(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.released("2025-03-05")
    assert school.instructed("2025-03-06").disbursed_minor_units == 10_000

    assert school.instructed("2025-03-05").disbursed_minor_units == 0


@pytest.mark.parametrize("scope", list(HoldScope))
def test_a_hold_stops_release_until_two_persons_lift_it(school, scope):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    account_id = school.position().custody_account_id
    named = {
        HoldScope.ORDER: {"order_id": "ORD1"},
        HoldScope.CLASS_HOUR: {"order_id": "ORD1", "class_hour_no": 1},
        HoldScope.CUSTODY_ACCOUNT: {"custody_account_id": account_id},
    }[scope]
    hold_id = school.hold(scope, **named)
    lift = {"institution_id": school.institution_id(), "hold_id": hold_id, "now": school.now}

    assert school.released("2025-03-05").withheld == {"on_hold": 1}
    with pytest.raises(HoldRefused, match="first propose"):
        handlers.approve_hold_lift(school.conn, actor="li", **lift)
    handlers.prepare_hold_lift(school.conn, actor="zhang", reason="已核实", **lift)
    with pytest.raises(HoldRefused, match="another person"):
        handlers.approve_hold_lift(school.conn, actor="zhang", **lift)
    assert school.released("2025-03-05").class_hours == 0

    handlers.approve_hold_lift(school.conn, actor="li", **lift)

    assert school.released("2025-03-05").class_hours == 1


def test_the_database_itself_refuses_one_person_as_maker_and_checker_of_a_lift(school):
    school.paid("ORD1")
    hold_id = school.hold(HoldScope.ORDER, order_id="ORD1")
    institution_id = school.institution_id()
    handlers.prepare_hold_lift(
        school.conn, institution_id=institution_id, hold_id=hold_id, reason="r", actor="zhang", now=school.now
    )

    with pytest.raises(IntegrityError, match="two_persons"), school.conn.begin_nested():
        school.conn.execute(
            text(
                "INSERT INTO hold_lift (institution_id, hold_id, prepared_by, approved_by, approved_at) VALUES (:i, :h, 'zhang', 'zhang', now())"
            ),
            {"i": institution_id, "h": hold_id},
        )


def test_a_hold_on_refunds_stops_refunds_and_nothing_else(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.hold(HoldScope.ORDER, order_id="ORD1", stops_release=False, stops_refund=True)
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")

    assert school.released("2025-03-05").class_hours == 1
    assert school.refunded("2025-03-05").withheld == {"on_hold": 1}


def test_wuhu_releases_all_at_once_when_the_order_is_complete(district):
    district.found(1, jurisdiction="340200")
    district.paid("ORD1", amount="1000.00", class_hours="3")
    district.bank_shows("ORD1")
    district.taught("ORD1", [1, 2, 3], "2025-03-05")
    district.confirmed("ORD1", [1, 2], "2025-03-05")
    assert district.released("2025-03-05").amount_minor_units == 0

    district.confirmed("ORD1", 3, "2025-03-06")
    assert district.released("2025-03-06").amount_minor_units == 100_000


def test_tianjin_binhai_releases_thirty_thirty_forty(district):
    district.found(1, jurisdiction="120116")
    district.paid("ORD1", amount="1000.01", class_hours="10")
    district.bank_shows("ORD1")
    hours = list(range(1, 11))
    district.taught("ORD1", hours, "2025-03-05")
    released = []
    for hour in hours:
        district.confirmed("ORD1", hour, "2025-03-05")
        released.append(district.released("2025-03-05").amount_minor_units)

    assert released == [0, 0, 0, 30_000, 0, 0, 30_000, 0, 0, 40_001]


def test_a_reversed_payment_is_not_paid_and_releases_nothing(school):
    school.paid("ORD1")
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    item_id = school.conn.execute(text("SELECT receipt_item_id FROM prepayment")).scalar_one()
    _reverse(school, item_id, date(2025, 3, 6))

    position = school.position()

    assert (position.voided, position.paid_minor_units, position.held_minor_units) == (True, 0, 0)
    assert school.released("2025-03-06").withheld == {"voided": 1}


def _reverse(school, transfer_id, day: date) -> None:
    reverse(
        school.conn,
        school.institution_id(),
        [transfer_id],
        now=school.now,
        booking_date=day,
        actor="li",
        reason="returned",
        rule_version="test",
    )


def test_money_the_bank_took_back_is_not_paid_out(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.taught("ORD1", [1, 2], "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    clearing = school.conn.execute(text("SELECT transfer_id FROM funding")).scalar_one()
    _reverse(school, clearing, date(2025, 3, 5))
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")

    assert school.released("2025-03-05").withheld == {"unfunded": 1}
    assert school.refunded("2025-03-05").withheld == {"unfunded": 1}


def test_a_reversed_refund_is_held_again_and_can_be_asked_for_again(school):
    school.paid("ORD1")
    school.bank_shows("ORD1")
    school.asks_refund("R1", "ORD1", "2025-03-05", agreed_on="2025-03-05")
    school.refunded("2025-03-05")
    refund = school.conn.execute(text("SELECT transfer_id FROM refund")).scalar_one()
    _reverse(school, refund, date(2025, 3, 6))

    assert school.position().held_minor_units == 100_000
    assert school.instructed("2025-03-06").refunds == 0
    school.asks_refund("R2", "ORD1", "2025-03-07", agreed_on="2025-03-07")
    assert school.refunded("2025-03-07").amount_minor_units == 100_000


def test_the_databases_own_calendar_day_is_shanghais(school):
    school.paid("ORD1", paid_at="2025-03-03T23:59:59+08:00")
    school.paid("ORD2", paid_at="2025-03-03T16:00:00+00:00")  # midnight of the 4th in Shanghai

    days = dict(school.conn.execute(text("SELECT order_id, opened_on::text FROM prepayment")).all())
    assert days == {"ORD1": "2025-03-03", "ORD2": "2025-03-04"}
