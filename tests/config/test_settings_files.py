"""The product's own settings, and the mistakes their readers notice."""

from __future__ import annotations

from datetime import date, timedelta

import chinese_calendar
import pytest

from config.banks import load_banks
from config.calendars import load_calendar
from config.channels import load_channels
from config.loading import ConfigRefused
from config.policies import load_policies
from config.profiles import load_profiles
from escrow.schedule import ReleaseMode


def test_every_jurisdiction_has_rules_today_and_the_reported_numbers():
    policies = load_policies()
    today = date(2026, 3, 2)

    days = {code: policies.policy_for(code, today).release.deemed_after_working_days for code in policies.jurisdictions}
    modes = {code: policies.policy_for(code, today).release.mode for code in policies.jurisdictions}

    assert days == {"000000": 15, "110000": 15, "120116": 15, "330000": 7, "330100": 7, "340200": 15, "510100": 15}
    assert (modes["340200"], modes["120116"]) == (ReleaseMode.ORDER_COMPLETE, ReleaseMode.TRANCHES)
    limits = policies.policy_for("330100", today).limits
    assert (limits.period_months, limits.class_hours, limits.amount_minor_units) == (3, 60, 500_000)
    assert policies.policy_for("330100", today).refund.deemed_agreed_after_working_days == 5


def test_the_policy_books_version_changes_with_any_byte_of_it(tmp_path):
    text = 'code: "000000"\nname_en: China\nname_zh: 全国\nversions: []\n'
    (tmp_path / "000000.yaml").write_text(text, encoding="utf-8")
    before = load_policies(tmp_path).version
    (tmp_path / "000000.yaml").write_text(text + "# a word more\n", encoding="utf-8")

    assert load_policies(tmp_path).version != before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('code: "110000"\nname_en: x\nname_zh: x\nversions: []', "code: 110000 stands in the file of 000000"),
        ('code: "00"\nname_en: x\nname_zh: x\nversions: []', "code: '00' is not a code of six digits"),
        ('code: "000000"\nname_en: x\nname_zh: x\nparent: "990000"\nversions: []', "parent: jurisdiction 990000 is not known"),
        ('code: "000000"\nname_en: x\nname_zh: x\nversions:\n  - {in_force_from: 2025-01-01}', "versions[0].source: is missing"),
        (
            'code: "000000"\nname_en: x\nname_zh: x\nversions:\n  - {in_force_from: 2025-01-01, source: s, release: {mode: tranches}}',
            "versions[0].release.tranches: belong to the mode",
        ),
        (
            'code: "000000"\nname_en: x\nname_zh: x\nversions:\n  - {in_force_from: 2025-01-01, source: s, charging: {amount: "1.005"}}',
            "versions[0].charging.amount: '1.005' has more than 2 decimals",
        ),
        (
            'code: "000000"\nname_en: x\nname_zh: x\nversions:\n  - {in_force_from: 2025-01-01, source: s}\n  - {in_force_from: 2025-01-01, source: s}',
            "versions: 2025-01-01 does not come after 2025-01-01",
        ),
        (
            'code: "000000"\nname_en: x\nname_zh: x\nversions:\n  - {in_force_from: 2025-01-01, source: s, confirmation: {deemed_after_days: 7}}',
            "versions[0].confirmation.deemed_after_days: is not a known key here",
        ),
    ],
)
def test_a_mistake_in_a_jurisdiction_is_said_with_its_key(tmp_path, text, says):
    (tmp_path / "000000.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigRefused) as refused:
        load_policies(tmp_path)

    assert says in str(refused.value)


def test_the_calendar_agrees_with_an_independent_one_on_every_day_both_cover():
    calendar = load_calendar()
    known_to = min(calendar.covered_to, date(max(day.year for day in chinese_calendar.constants.holidays), 12, 31))
    day, compared = calendar.covered_from, 0
    while day <= known_to:
        assert calendar.is_working_day(day) == chinese_calendar.is_workday(day), day
        day += timedelta(days=1)
        compared += 1
    assert compared > 1000


@pytest.mark.parametrize(
    ("holidays", "makeup_days", "says"),
    [
        ("[2025-03-01]", "[]", "holidays: 2025-03-01 is a Saturday"),
        ("[]", "[2025-03-03]", "makeup_days: 2025-03-03 is a Monday"),
        ("[2025-03-03, 2025-03-03]", "[]", "holidays: 2025-03-03 is given twice"),
        ("[2026-03-03]", "[]", "holidays: 2026-03-03 is outside"),
    ],
)
def test_a_slip_in_the_calendar_is_refused(tmp_path, holidays, makeup_days, says):
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "china.yaml").write_text(
        f"name: china\ncovered_from: 2025-01-01\ncovered_to: 2025-12-31\nholidays: {holidays}\nmakeup_days: {makeup_days}\n"
    )

    with pytest.raises(ConfigRefused) as refused:
        load_calendar(folder=tmp_path)

    assert says in str(refused.value)


def test_every_bank_has_a_layout_for_its_statements():
    profiles = {profile.id for profile in load_profiles()}

    assert {bank.profile for bank in load_banks().values()} <= profiles
    assert set(load_banks()) == {"NRB", "LCB", "HBB", "SWB", "ISB"}


def test_channels_settle_on_the_next_day():
    channels = load_channels()

    assert {channel.due_date(date(2025, 3, 3)) for channel in channels.values()} == {date(2025, 3, 4)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "banks:\n  - {bank_code: A, name_en: a, name_zh: a, profile: p, sender_id: s, business_day_cut: '25:00'}",
            "banks[0].business_day_cut",
        ),
        (
            "banks:\n  - &a {bank_code: A, name_en: a, name_zh: a, profile: p, sender_id: s, business_day_cut: '23:00'}\n  - *a",
            "banks[1].bank_code: A is listed twice",
        ),
    ],
)
def test_a_mistake_in_the_banks_is_said_with_its_key(tmp_path, text, says):
    path = tmp_path / "banks.yaml"
    path.write_text(text)

    with pytest.raises(ConfigRefused) as refused:
        load_banks(path)

    assert says in str(refused.value)
