"""A bank's operator reads the discrepancies of the bank's own accounts, and nothing else of the books."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from click.testing import Result
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from entrypoints.cli import app
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind
from reconciliation.discrepancy_store import record_found
from storage.roles import Role
from tests.escrow.conftest import District

Run = Callable[..., Result]
NOW = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
OWN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def run(books: Engine, books_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One institution with an account at the North Bank and one elsewhere, a charge in doubt at each."""
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_USER", "")
    with books.begin() as connection:
        district = District(connection)
        district.found(1, bank_code="NRB", account_number="6010000000000001")
        district.found(1, bank_code="SWB", account_number="6222000000000002")
        accounts = dict(
            tuple(row) for row in connection.execute(text("SELECT bank_code, custody_account_id FROM custody_account"))
        )
        for identity, bank in ((OWN, "NRB"), (OTHER, "SWB")):
            one = Discrepancy(
                identity, 1, accounts[bank], DiscrepancyKind.BANK_CHARGE, date(2025, 3, 3), "CNY", 2300, -2300, (), (), "x"
            )
            record_found(connection, [one], now=NOW, business_date=date(2025, 3, 3), actor="system")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_bank_lists_and_shows_what_is_in_doubt_at_its_own_accounts(run: Run) -> None:
    listed = run("--as", "bank.north", "discrepancy", "list", "--json")
    told = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [one["id"] for one in told] == [OWN], (listed.output, listed.exception)
    assert listed.exit_code == 1, "it is open"
    shown = run("--as", "bank.north", "discrepancy", "show", OWN[:8], "--json")
    assert shown.exit_code == 0, (shown.output, shown.exception)
    body = json.loads(shown.stdout)
    assert [event["event"] for event in body["history"]] == ["opened"]
    assert body["evidence"]["items"] == []
    other = run("--as", "bank.north", "discrepancy", "show", OTHER[:8])
    assert other.exit_code == 1
    assert "no discrepancy" in str(other.exception)
    assert [
        json.loads(line)["id"] for line in run("--as", "zhang.prepare", "discrepancy", "list", "--json").stdout.splitlines()
    ] == [OWN, OTHER]


@pytest.mark.parametrize(
    "act", [("ledger", "journal"), ("ledger", "coverage"), ("explain", OWN), ("discrepancy", "approve", OWN)]
)
def test_a_bank_does_nothing_else_with_the_books(run: Run, act: tuple[str, ...]) -> None:
    refused = run("--as", "bank.north", *act)
    assert refused.exit_code == 1
    assert "bank.north (bank_operator) may not do" in str(refused.exception)


def test_the_database_hides_the_history_at_other_banks_of_the_same_institution(run: Run, books: Engine) -> None:
    assert run
    with books.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {Role.BANK}"))
        connection.execute(text("SELECT set_config('escrow.bank', 'NRB', true)"))
        for table in ("discrepancy", "discrepancy_event", "discrepancy_state"):
            assert connection.scalars(text(f"SELECT discrepancy_id FROM {table}")).all() == [OWN], table
        connection.execute(text("SELECT set_config('escrow.bank', '', true)"))
        assert connection.scalars(text("SELECT discrepancy_id FROM discrepancy_event")).all() == []
