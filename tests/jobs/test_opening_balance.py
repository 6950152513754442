"""A custody account that held money before supervision: claimed by a file, proven by the bank's first statement."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from bank_adapters.model import Statement, StatementKind
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.cli import app
from jobs.verifying import faults_in_books
from money import Money
from tests.escrow.conftest import District, uscc

ACCOUNT = "6222000000000001"
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


class Supervision:
    """One account of the Circle Bank, supervised from Monday; commands as a person types them."""

    def __init__(self, books: Engine, folder: Path) -> None:
        self.books, self.folder = books, folder

    def escrow(self, *arguments: object):
        return CliRunner().invoke(app, [str(each) for each in arguments])

    def opening(self, amount: str, as_of: date = MONDAY, account: str = ACCOUNT):
        file = self.folder / "opening.csv"
        row = f"{uscc(1)},{account},{as_of},{amount},CNY,closing balance of the last statement before supervision"
        file.write_text(f"institution_code,account_number,as_of,amount,currency,reason\n{row}\n", encoding="utf-8")
        return self.escrow("import", "opening-balances", file)

    def statement(self, day: date, number: int, balance: int):
        file = self.folder / f"{number}.sta"
        money = Money(balance)
        one = Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", f"S{number}", str(number), money, day, money, day, (), True)
        file.write_bytes(write_mt940([one]))
        return self.escrow("statement", "receive", "--sender", "SWB", file)

    def balances(self) -> dict[str, int]:
        query = "SELECT a.kind, b.balance_minor_units FROM account a JOIN account_balance b USING (institution_id, account_id)"
        with self.books.connect() as connection:
            return {kind: balance for kind, balance in connection.execute(text(query)) if balance}


@pytest.fixture
def supervision(books: Engine, books_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervision:
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_DATA", str(tmp_path))
    monkeypatch.delenv("ESCROW_USER", raising=False)
    (tmp_path / "escrow" / "inbox").mkdir(parents=True)
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    return Supervision(books, tmp_path)


def test_the_first_statement_waits_for_its_opening_balance_and_proves_it(supervision: Supervision) -> None:
    first = supervision.statement(MONDAY, 61, 500_000)
    assert "waiting" in first.output
    assert "escrow import opening-balances FILE" in first.output

    assert supervision.opening("5000.00").exit_code == 0
    day = supervision.escrow("run-day", MONDAY)

    assert day.exit_code == 0, day.output
    assert supervision.balances() == {"custody_cash": 500_000, "unidentified_receipts": -500_000}
    proof = json.loads(supervision.escrow("ledger", "coverage", "--as-of", MONDAY, "--json").output)
    assert proof["covered"] is True, "the bank holds what is owed"
    assert proof["unidentified"] == "5000.00", "and it is owed in full until it is traced to orders"
    assert "counted" in supervision.statement(TUESDAY, 62, 500_000).output
    with supervision.books.connect() as connection:
        assert faults_in_books(connection) == []


def test_a_wrong_figure_is_corrected_until_the_bank_has_proven_one(supervision: Supervision) -> None:
    supervision.opening("4999.99")
    assert "waiting" in supervision.statement(MONDAY, 61, 500_000).output

    corrected, again = supervision.opening("5000.00"), supervision.opening("5000.00")
    supervision.escrow("run-day", MONDAY)
    late = supervision.opening("6000.00")

    assert (corrected.exit_code, again.exit_code, late.exit_code) == (0, 0, 1)
    assert "1 known already" in again.output
    assert "opening_proven" in late.output
    assert supervision.balances() == {"custody_cash": 500_000, "unidentified_receipts": -500_000}
    with supervision.books.connect() as connection:
        assert faults_in_books(connection) == []


@pytest.mark.parametrize(
    ("amount", "as_of", "account", "code"),
    [
        ("5000.00", date(2026, 3, 1), ACCOUNT, "account_not_open"),
        ("5000.00", date(2099, 1, 1), ACCOUNT, "in_the_future"),
        ("5000.00", MONDAY, "6222000000000002", "unknown_account"),
        ("0", MONDAY, ACCOUNT, "bad_amount"),
        ("-1", MONDAY, ACCOUNT, "bad_amount"),
    ],
)
def test_an_opening_balance_that_cannot_be_is_refused(
    supervision: Supervision, amount: str, as_of: date, account: str, code: str
) -> None:
    ended = supervision.opening(amount, as_of, account)

    assert (ended.exit_code, code in ended.output) == (1, True), ended.output
    assert supervision.balances() == {}


def test_a_transfer_that_is_not_the_row_s_is_named(supervision: Supervision) -> None:
    supervision.opening("5000.00")
    with supervision.books.begin() as connection:
        connection.execute(text("ALTER TABLE opening_balance DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE opening_balance SET amount_minor_units = 500001"))
        connection.execute(text("ALTER TABLE opening_balance ENABLE TRIGGER USER"))
        faults = [fault for fault in faults_in_books(connection) if fault.table == "opening_balance"]

    assert any("its transfer 500000" in fault.what for fault in faults), faults
