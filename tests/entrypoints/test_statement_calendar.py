"""``escrow statement calendar``: a supervisor sees every account of the own place, a bank its own, and both who is late."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from bank_adapters.model import Statement, StatementKind
from bank_adapters.writing.mt940 import write_mt940
from money import Money
from tests.escrow.conftest import District

MONDAY, TUESDAY, WEDNESDAY = date(2025, 3, 3), date(2025, 3, 4), date(2025, 3, 5)
Run = Callable[..., Result]


def zero_activity(account: str, day: date, number: int) -> bytes:
    """A statement of a day on which nothing moved."""
    nothing = Money(0)
    return write_mt940(
        [Statement(StatementKind.STATEMENT, account, "CNY", "S", str(number), nothing, day, nothing, day, (), True)]
    )


@pytest.fixture
def accounts(books: Engine) -> list[str]:
    """An account at North River Bank in Hangzhou and one at Lotus Bank in Beijing."""
    with books.begin() as connection:
        district = District(connection)
        for number, bank, place in ((1, "NRB", "330100"), (2, "LCB", "110000")):
            district.found(number, bank_code=bank, jurisdiction=place, opened_on="2025-03-01")
    with books.connect() as connection:
        return list(connection.exec_driver_sql("SELECT account_number FROM custody_account ORDER BY bank_code DESC").scalars())


@pytest.fixture
def run(accounts: list[str], books_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    assert accounts
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_DATA", str(tmp_path))
    monkeypatch.setenv("ESCROW_USER", "")  # --as sets it for the process

    def command(user: str, *arguments: object) -> Result:
        from entrypoints.cli import app

        return CliRunner().invoke(app, ["--as", user, "statement", *map(str, arguments)])

    return command


@pytest.fixture
def received(run: Run, accounts: list[str], books: Engine, tmp_path: Path) -> Run:
    """North sends Monday's and Wednesday's statement, Lotus Monday's alone; all of them today."""
    north, lotus = accounts
    for name, account, day, number, bank in (
        ("a.sta", north, MONDAY, 1, "NRB"),
        ("b.sta", north, WEDNESDAY, 2, "NRB"),
        ("c.sta", lotus, MONDAY, 1, "LCB"),
    ):
        (tmp_path / name).write_bytes(zero_activity(account, day, number))
        taken = run("system", "receive", "--sender", bank, tmp_path / name)
        assert taken.exit_code == 0, taken.output
    return run


MONTH = ("calendar", "--from", "2025-03-01", "--to", "2025-03-06")


def states(result: Result) -> dict[str, dict[str, str]]:
    told = [json.loads(line) for line in result.stdout.splitlines()]
    return {one["bank"]: {day["date"][-2:]: day["state"] for day in one["days"]} for one in told}


def test_a_supervisor_sees_who_is_late_and_who_owes(received: Run, accounts: list[str]) -> None:
    shown = received("zhang.prepare", *MONTH, "--json")

    assert states(shown) == {
        "NRB": {
            "01": "not_due", "02": "not_due", "03": "received", "04": "covered", "05": "received", "06": "overdue",
        },
        "LCB": {
            "01": "not_due", "02": "not_due", "03": "received", "04": "overdue", "05": "overdue", "06": "overdue",
        },
    }  # fmt: skip
    assert shown.exit_code == 1, "a script must see that something is overdue"
    days = next(json.loads(line) for line in shown.stdout.splitlines() if "NRB" in line)["days"]
    assert (days[3]["deadline"], days[3]["covered_by"]) == ("2025-03-05T12:00:00+08:00", "2025-03-05")
    assert days[2]["late_seconds"] > 0, "it was taken in long after its deadline"

    table = received("zhang.prepare", *MONTH)
    assert f"{accounts[0]} 2025-03-06: overdue since 2025-03-07 12:00 (Shanghai), by " in table.stdout
    assert "bank NRB owes it: ask, then: escrow statement receive FILE --sender NRB" in table.stdout
    assert f"{accounts[1]} 2025-03-04 to 2025-03-06: 3 statements are overdue, the oldest by " in table.stdout
    assert "lcl!" in table.stdout, "a mark a day: late, continued by a later one, late, overdue"
    zh = received("zhang.prepare", *MONTH, "--account", accounts[1], "--lang", "zh")
    assert f"{accounts[1]} 2025-03-04 至 2025-03-06：3 份对账单逾期未报，最早一份已逾期 " in zh.stdout
    assert " 4 !" in zh.stdout, "the month as a picture"


def test_a_bank_sees_its_own_accounts_and_a_city_its_own(received: Run, accounts: list[str]) -> None:
    north = received("bank.north", *MONTH, "--json")
    assert list(states(north)) == ["NRB"]
    assert states(north) == {
        bank: days for bank, days in states(received("zhang.prepare", *MONTH, "--json")).items() if bank == "NRB"
    }
    assert list(states(received("wang.hangzhou", *MONTH, "--json"))) == ["NRB"]
    other = received("bank.north", *MONTH, "--account", accounts[1])
    assert (other.exit_code, accounts[1] in other.stdout) == (1, False)


def test_nothing_overdue_ends_with_0(received: Run, accounts: list[str]) -> None:
    shown = received("bank.north", "calendar", "--from", "2025-03-01", "--to", "2025-03-05")
    assert (shown.exit_code, "overdue since" in shown.stdout) == (0, False), shown.output
    weekend = received("zhang.prepare", "calendar", "--from", "2025-03-01", "--to", "2025-03-02")
    assert (weekend.exit_code, "nothing is owed for 2025-03-01 to 2025-03-02" in weekend.stdout) == (0, True)


@pytest.mark.parametrize("days", [("--from", "2025-03-06", "--to", "2025-03-01"), ("--from", "2020-01-01", "--to", "2025-03-01")])
def test_days_that_make_no_calendar_are_refused_as_usage(run: Run, days: tuple[str, ...]) -> None:
    refused = run("zhang.prepare", "calendar", *days)

    assert refused.exit_code == 2
    assert "Traceback" not in refused.output


def test_it_tells_when_the_file_came(received: Run, books: Engine) -> None:
    with books.connect() as connection:
        came = connection.execute(text("SELECT min(received_at) FROM statement_file")).scalar_one()
    shown = json.loads(received("bank.north", *MONTH, "--json").stdout.splitlines()[0])
    assert shown["days"][2]["came_at"] == came.isoformat()
