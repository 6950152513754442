"""Policies: dated, inherited, and which of them a prepayment keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from escrow.policy import (
    BreachAction,
    Jurisdiction,
    OutstandingScope,
    PolicyBook,
    PolicyNotInForce,
    PolicyVersion,
)
from escrow.schedule import ReleaseMode, parse_tranches

COUNTRY = PolicyVersion(
    in_force_from=date(2021, 10, 21),
    mode=ReleaseMode.PER_CLASS_HOUR,
    deemed_after_working_days=15,
    deemed_agreed_after_working_days=5,
    period_months=3,
    class_hours=60,
    amount_minor_units=500_000,
    earliest_months_ahead=1,
    outstanding_scope=OutstandingScope.COURSE,
    breach=BreachAction.REFUSE,
    outstanding_breach=BreachAction.REFUSE,
)


def book(*places: Jurisdiction) -> PolicyBook:
    return PolicyBook([Jurisdiction("000000", "China", "全国", None, (COUNTRY,)), *places], "test")


def place(code: str, parent: str | None, *versions: PolicyVersion) -> Jurisdiction:
    return Jurisdiction(code, code, code, parent, versions)


def test_a_city_without_rules_of_its_own_takes_the_provinces_and_then_the_countrys():
    policies = book(
        place("330000", "000000", PolicyVersion(date(2022, 1, 1), deemed_after_working_days=7)), place("330100", "330000")
    )

    found = policies.policy_for("330100", date(2025, 3, 1))

    assert (found.release.deemed_after_working_days, found.limits.class_hours) == (7, 60)
    assert found.version == "330000@2022-01-01 < 000000@2021-10-21"


def test_a_rule_applies_from_its_first_day_on():
    policies = book(place("330000", "000000", PolicyVersion(date(2022, 1, 1), deemed_after_working_days=7)))

    assert policies.policy_for("330000", date(2021, 12, 31)).release.deemed_after_working_days == 15
    assert policies.policy_for("330000", date(2022, 1, 1)).release.deemed_after_working_days == 7


def test_a_later_text_of_a_place_replaces_its_earlier_one_as_a_whole():
    policies = book(
        place(
            "330000",
            "000000",
            PolicyVersion(date(2022, 1, 1), deemed_after_working_days=7, class_hours=40),
            PolicyVersion(date(2023, 1, 1), class_hours=50),
        )
    )

    found = policies.policy_for("330000", date(2023, 1, 1))

    assert (found.release.deemed_after_working_days, found.limits.class_hours) == (15, 50)


def test_a_place_that_sets_a_mode_takes_no_tranches_from_above():
    thirds = parse_tranches("1/3:30,2/3:60,1/1:100")
    policies = book(
        place("120000", "000000", PolicyVersion(date(2022, 1, 1), mode=ReleaseMode.TRANCHES, tranches=thirds)),
        place("120116", "120000"),
        place("120117", "120000", PolicyVersion(date(2022, 1, 1), mode=ReleaseMode.PER_CLASS_HOUR)),
    )

    assert policies.policy_for("120116", date(2025, 1, 1)).release.tranches == thirds
    assert policies.policy_for("120117", date(2025, 1, 1)).release.tranches == ()


def test_a_day_before_any_rule_and_a_place_without_rules_are_refused():
    policies = book()

    with pytest.raises(PolicyNotInForce, match=r"2021-10-20.*release\.mode"):
        policies.policy_for("000000", date(2021, 10, 20))
    with pytest.raises(PolicyNotInForce, match="999999"):
        policies.policy_for("999999", date(2025, 1, 1))


def test_a_circle_of_parents_and_an_unknown_parent_are_refused():
    with pytest.raises(ValueError, match="inherits from itself"):
        book(place("330000", "330100"), place("330100", "330000"))
    with pytest.raises(PolicyNotInForce, match="340000"):
        book(place("340200", "340000"))


def test_a_prepayment_keeps_the_release_mode_of_the_day_it_was_paid_and_silence_counts_by_the_day_of_teaching(
    district, monkeypatch
):
    changed = PolicyBook(
        [
            Jurisdiction(
                "000000",
                "China",
                "全国",
                None,
                (
                    COUNTRY,
                    replace(
                        COUNTRY,
                        in_force_from=date(2025, 3, 10),
                        mode=ReleaseMode.ORDER_COMPLETE,
                        deemed_after_working_days=7,
                    ),
                ),
            ),
            place("110000", "000000"),
        ],
        "changed",
    )
    monkeypatch.setitem(type(district).deemed.__globals__, "POLICIES", changed)
    district.found()
    district.paid("BEFORE")
    district.paid("AFTER", paid_at="2025-03-10T10:00:00+08:00")
    district.bank_shows("BEFORE", "AFTER", on="2025-03-11")
    district.taught("BEFORE", 1, "2025-03-07")  # Friday, 15 working days by the old rule: 28 March
    district.taught("BEFORE", 2, "2025-03-11")  # Tuesday, 7 working days by the new rule: 20 March
    district.taught("AFTER", 1, "2025-03-11")

    assert district.deemed("2025-03-20") == 2
    report = district.released("2025-03-20")

    assert (report.class_hours, report.amount_minor_units) == (2, 10_000)  # AFTER waits for its last class-hour
    assert district.deemed("2025-03-27") == 0
    assert district.deemed("2025-03-28") == 1
