"""config/statement_calendar.yaml: what is wrong in it is refused with file, line, key and what to do."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest

from config.banks import load_banks
from config.loading import ConfigRefused
from config.statement_calendar import load_statement_rules
from reconciliation.model import CustodyAccountRef
from reconciliation.statement_calendar import Cadence

EVERYBODY = """everybody:
  - in_force_from: 2021-10-21
    source: s
    cadence: working_days
    deadline: {at: "12:00", after_working_days: 1}
"""


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "statement_calendar.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigRefused) as refused:
        load_statement_rules(load_banks(), path)
    return str(refused.value)


def test_every_bank_has_a_deadline_from_the_first_day_of_the_rules_on():
    rules = load_statement_rules(load_banks())
    for bank in load_banks():
        rule = rules.rule_of(CustodyAccountRef(1, 1, bank, "1", "CNY", date(2021, 10, 21)), date(2021, 10, 21))
        assert rule is not None
        assert rule.cadence is Cadence.WORKING_DAYS, "also a day without movements has a statement"
    assert rules.version.startswith("statement-calendar-")


def test_an_account_or_a_bank_may_have_a_rule_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "statement_calendar.yaml"
    path.write_text(
        EVERYBODY
        + 'banks:\n  SWB:\n    - {in_force_from: 2026-01-01, source: s, deadline: {at: "09:30:15"}}\n'
        + "accounts:\n  SWB/17:\n    - {in_force_from: 2026-03-01, in_force_until: 2026-03-31, source: s, cadence: weekly}\n",
        encoding="utf-8",
    )
    rules = load_statement_rules(load_banks(), path)

    found = rules.rule_of(CustodyAccountRef(1, 1, "SWB", "17", "CNY", date(2021, 10, 21)), date(2026, 3, 31))
    assert found is not None
    assert (found.cadence, found.at, found.after_working_days) == (Cadence.WEEKLY, time(9, 30, 15), 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (EVERYBODY.replace("cadence: working_days", "cadance: working_days"), "(line "),
        (EVERYBODY.replace("    cadence: working_days\n", ""), "a rule for everybody says cadence"),
        (EVERYBODY.replace('"12:00"', '"25:00"'), "deadline.at: '25:00' is not a time of day"),
        (EVERYBODY.replace('"12:00"', "12:00"), "720 is not text; put it between quotes (line 5)"),
        (EVERYBODY.replace('"12:00"', '"12.30"'), "is not a time of day; write it between quotes"),
        (EVERYBODY.replace("after_working_days: 1", "after_working_days: 0"), "0 is not allowed; it must be 1 to 23 (line 5)"),
        (EVERYBODY.replace("working_days\n", "hourly\n"), "'hourly' is not one of every_day, working_days, weekly, monthly"),
        (EVERYBODY.replace("    source: s\n", ""), "source: is missing"),
        ("everybody: []\n", "has no version"),
        (EVERYBODY + "bancs: {}\n", "bancs: is not a known key here; known are: accounts, banks, everybody (line 6)"),
        (EVERYBODY + "banks:\n  XXX:\n    - {in_force_from: 2026-01-01, source: s}\n", "there is no bank 'XXX'; banks are HBB"),
        (EVERYBODY + "accounts:\n  '17': []\n", "does not name an account; write BANK/NUMBER"),
        (EVERYBODY + "accounts:\n  XXX/17: []\n", "banks.yaml) (line 7)"),
        (
            EVERYBODY + "banks:\n  SWB:\n    - {in_force_from: 2026-01-01, source: s, deadline: {by: '09:30'}}\n",
            "banks.SWB[0].deadline.by: is not a known key here; known are:",
        ),
        (
            EVERYBODY
            + "banks:\n  SWB:\n    - {in_force_from: 2026-02-01, source: s}\n    - {in_force_from: 2026-02-01, source: s}\n",
            "2026-02-01 does not come after 2026-02-01; write the oldest first (line 9)",
        ),
        (
            EVERYBODY + "banks:\n  SWB:\n    - {in_force_from: 2026-01-01, in_force_until: 2026-02-01, source: s}\n"
            "    - {in_force_from: 2026-02-01, source: s}\n",
            "banks.SWB[1].in_force_from: 2026-02-01 overlaps the version before it, in force until 2026-02-01; end that one a day",
        ),
        (
            EVERYBODY + "banks:\n  SWB:\n    - {in_force_from: 2026-01-02, in_force_until: 2026-01-01, source: s}\n",
            "in_force_until: 2026-01-01 lies before in_force_from",
        ),
        (
            EVERYBODY.replace("source: s", "source: s\n    in_force_until: 2026-01-01"),
            "a rule for everybody stands until the next one; add that instead",
        ),
    ],
)
def test_a_mistake_is_said_with_file_line_key_and_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    told = refusal(tmp_path, text)

    assert told.startswith("statement_calendar.yaml: ")
    assert says in told
