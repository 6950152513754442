"""``escrow statement quarantine|show|replace|release|reject``: who may do what, in words and in JSON that say what comes next."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from money import Money
from tests.escrow.conftest import District

DAY = date(2025, 3, 3)
Run = Callable[..., Result]


def a_statement(account: str, amount: int) -> bytes:
    line = StatementLine(DAY, DAY, Direction.IN, Money(amount), LineStatus.BOOKED, 1, bank_reference="BK1")
    return write_mt940(
        [Statement(StatementKind.STATEMENT, account, "CNY", "S1", "1", Money(0), DAY, Money(amount), DAY, (line,), True)]
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
def run(accounts: list[str], books_url: str, tmp_path: Path) -> Run:
    def command(user: str, *arguments: object) -> Result:
        from entrypoints.cli import app

        told = {"ESCROW_DATABASE_URL": books_url, "ESCROW_DATA": str(tmp_path), "ESCROW_USER": ""}
        return CliRunner().invoke(app, ["--as", user, "statement", *map(str, arguments)], env=told)

    return command


def test_a_bank_restates_and_two_people_replace(run: Run, accounts: list[str], tmp_path: Path) -> None:
    north, lotus = accounts
    for name, account, amount, bank in (("a.sta", north, 500, "NRB"), ("b.sta", north, 600, "NRB"), ("c.sta", lotus, 7, "LCB")):
        (tmp_path / name).write_bytes(a_statement(account, amount))
        taken = run("system" if bank == "LCB" else "bank.north", "receive", "--sender", bank, tmp_path / name)
        assert taken.exit_code == (1 if name == "b.sta" else 0), taken.output
    (tmp_path / "d.sta").write_bytes(a_statement(lotus, 8))
    run("system", "receive", "--sender", "LCB", tmp_path / "d.sta")

    listed = run("zhang.prepare", "quarantine", "--json")
    assert listed.exit_code == 1
    assert [(one["quarantine_id"], one["gate"], one["bank"]) for one in map(json.loads, listed.stdout.splitlines())] == [
        (1, "restated", "NRB"), (2, "restated", "LCB"),
    ]  # fmt: skip
    for user in ("bank.north", "wang.hangzhou"):
        own = [json.loads(line)["quarantine_id"] for line in run(user, "quarantine", "--json").stdout.splitlines()]
        assert own == [1], f"{user} sees the own ones only"
    hidden = run("bank.north", "show", 2)
    assert hidden.exit_code != 0, hidden.output

    shown = json.loads(run("zhang.prepare", "show", 1, "--json").stdout)
    assert [(one["change"], one["amount"], one["fields"]) for one in shown["lines"]] == [
        ("changed", "6.00", [{"field": "amount", "before": "5.00", "after": "6.00"}])
    ]
    assert (shown["closing_in_force"], shown["closing_proposed"], shown["obstacles"]) == ("5.00", "6.00", [])
    by_bank = run("bank.north", "show", 1)
    assert (by_bank.exit_code, "5.00 -> 6.00" in by_bank.stdout) == (0, True), by_bank.output
    assert "变更" in run("zhang.prepare", "show", 1, "--lang", "zh").stdout

    assert run("bank.north", "replace", 1, "--prepare", "--reason", "ours").exit_code != 0
    assert run("li.approve", "replace", 1, "--prepare", "--reason", "x").exit_code != 0, "an approver prepares nothing"
    assert run("wang.hangzhou", "replace", 2, "--prepare", "--reason", "x").exit_code != 0, "Beijing is not Hangzhou's"
    assert run("zhang.prepare", "replace", 1, "--approve").exit_code != 0, "a preparer approves nothing"
    assert run("zhang.prepare", "replace", 1).exit_code == 2
    prepared = run("wang.hangzhou", "replace", 1, "--prepare", "--reason", "letter of the bank")
    assert (prepared.exit_code, "another person decides" in prepared.stdout) == (0, True), prepared.output
    approved = run("li.approve", "replace", 1, "--approve")
    assert approved.exception is None, approved.exception
    assert (approved.exit_code, "next: escrow run-day 2025-03-03" in approved.stdout) == (0, True), approved.output
    versions = [
        json.loads(line)
        for line in run("bank.north", "versions", "--account", north, "--date", DAY, "--json").stdout.splitlines()
    ]
    assert [(one["version"], one["closing"], one["approved_by"]) for one in versions] == [
        (1, "5.00", None),
        (2, "6.00", "li.approve"),
    ]

    turned_down = run("li.approve", "reject", 2, "--reason", "the bank withdrew it")
    assert turned_down.exit_code == 0, turned_down.output
    done = run("zhang.prepare", "quarantine")
    assert (done.exit_code, "nothing is held back" in done.stdout) == (0, True)
    everything = run("zhang.prepare", "quarantine", "--all")
    assert "turned down" in everything.stdout
    assert "let through" in everything.stdout


def test_what_is_wrong_in_itself_says_that_nobody_can_let_it_through(run: Run, accounts: list[str], tmp_path: Path) -> None:
    broken = a_statement(accounts[0], 500).replace(b"CNY5,00", b"CNY6,00")
    (tmp_path / "broken.sta").write_bytes(broken)
    assert run("bank.north", "receive", "--sender", "NRB", tmp_path / "broken.sta").exit_code == 1
    for user in ("bank.north", "zhang.prepare"):
        said = run(user, "quarantine", "--all").stdout
        assert "never let through" in said, said
    assert "不得放行" in run("zhang.prepare", "quarantine", "--all", "--lang", "zh").stdout
    (told,) = map(json.loads, run("zhang.prepare", "quarantine", "--all", "--json").stdout.splitlines())
    assert (told["may_be_released"], told["state"]) == (False, "refused")
