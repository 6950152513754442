"""A bank's operator reads the discrepancies of the bank's own accounts, and nothing else of the books."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest
from click.testing import Result
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.bootstrap import job_settings
from entrypoints.cli import app
from entrypoints.settings import read_settings
from jobs.directory import account_directory
from money import Money
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind
from reconciliation.discrepancy_store import record_found
from reconciliation.receiving import receive_statement_file
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
    "act",
    [
        ("ledger", "journal"),
        ("ledger", "coverage"),
        ("explain", OWN, "--personal"),
        ("discrepancy", "approve", OWN),
        ("discrepancy", "show", OWN, "--personal"),
    ],
)
def test_a_bank_does_nothing_else_with_the_books(run: Run, act: tuple[str, ...]) -> None:
    refused = run("--as", "bank.north", *act)
    assert refused.exit_code == 1
    assert "bank.north (bank_operator) may not do" in str(refused.exception)


def test_a_bank_asks_what_is_behind_an_id_of_its_own_accounts(run: Run) -> None:
    shown = run("--as", "bank.north", "explain", OWN, "--json")
    assert shown.exit_code == 0, (shown.output, shown.exception)
    body = json.loads(shown.stdout)
    assert (body["kind"], body["id"]) == ("discrepancy", OWN)
    assert [one["event"] for one in body["leads_to"]["things"]] == ["opened"]
    assert "transfers" not in body, "the books are not the bank's to see"


def test_what_is_not_the_banks_is_unknown_to_it_and_the_asking_is_on_record(run: Run, books: Engine) -> None:
    asked = (OTHER, "nobody-knows", "1.1.1", "discrepancy/" + OTHER)
    for identity in asked:
        refused = run("--as", "bank.north", "explain", identity)
        assert refused.exit_code == 1
        assert f"nothing is called {identity!r}" in str(refused.exception)
    assert run("--as", "zhang.prepare", "explain", OTHER).exit_code == 0
    with books.connect() as connection:
        rows = connection.execute(
            text("SELECT actor, object_id, details ->> 'bank' FROM audit_event WHERE act = 'cli:explain:unknown'")
        )
        assert sorted(map(tuple, rows)) == [("bank.north", one, "NRB") for one in sorted(asked)]


def test_the_database_hides_the_history_at_other_banks_of_the_same_institution(run: Run, books: Engine) -> None:
    assert run
    with books.begin() as connection:
        connection.execute(text(f"SET LOCAL ROLE {Role.BANK}"))
        connection.execute(text("SELECT set_config('escrow.bank', 'NRB', true)"))
        for table in ("discrepancy", "discrepancy_event", "discrepancy_state"):
            assert connection.scalars(text(f"SELECT discrepancy_id FROM {table}")).all() == [OWN], table
        connection.execute(text("SELECT set_config('escrow.bank', '', true)"))
        assert connection.scalars(text("SELECT discrepancy_id FROM discrepancy_event")).all() == []


def test_what_names_payers_is_masked_for_programs_too_and_shown_to_who_may_with_a_record(run: Run, books: Engine) -> None:
    paid = write_mt940([a_payment("Li Lei")])
    with books.begin() as connection:
        settings = job_settings(read_settings(), "test")
        receive_statement_file(
            connection, paid, "a.sta", sender_bank="NRB", directory=account_directory(connection), profiles=settings.profiles,
            now=NOW, actor="bank.north",
        )  # fmt: skip
        account, line = connection.execute(text("SELECT custody_account_id, line_id FROM statement_line")).one()
        named = Discrepancy(
            "c" * 32, 1, account, DiscrepancyKind.UNIDENTIFIED_RECEIPT, date(2025, 3, 3), "CNY", 100, 100, (line,), (), "x"
        )
        record_found(connection, [named], now=NOW, business_date=date(2025, 3, 3), actor="system")

    plain = run("--as", "zhang.prepare", "discrepancy", "show", "c" * 32, "--json")
    looked = run("--as", "zhang.prepare", "discrepancy", "show", "c" * 32, "--json", "--personal")

    (line_shown,) = json.loads(plain.stdout)["evidence"]["lines"]
    assert "Li Lei" not in plain.stdout
    assert line_shown["description"] == "(masked)"
    assert "Li Lei" in looked.stdout, (looked.output, looked.exception)
    with books.connect() as connection:
        read = connection.execute(
            text("SELECT actor, object_kind, object_id FROM audit_event WHERE act = 'cli:personal_data:read'")
        ).all()
    assert [tuple(row) for row in read] == [("zhang.prepare", "discrepancy", "c" * 32)]


def a_payment(payer: str) -> Statement:
    """A statement with one receipt that names its payer."""
    day, zero, one = date(2025, 3, 3), Money(0), Money(100)
    line = StatementLine(
        booking_date=day, value_date=day, direction=Direction.IN, amount=one, status=LineStatus.BOOKED, line=1,
        bank_reference="B1", description=payer,
    )  # fmt: skip
    return Statement(StatementKind.STATEMENT, "6010000000000001", "CNY", "S1", "1", zero, day, one, day, (line,), True)
