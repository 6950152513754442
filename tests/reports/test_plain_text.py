"""Two independent accounting programs accept the exported books and arrive at our trial balance, to the fen."""

from __future__ import annotations

import csv
import subprocess
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from ledger.model import Side
from money import Money
from reports.books_tables import BooksAsked, export_csv
from reports.plain_text import account_name, export_plain_text
from reports.tabular import safe_cell
from tests.ledger.conftest import DAY, Desk
from tests.reports.peers import HLEDGER, beancount_balances, hledger, hledger_balances, needs_hledger, ours

#: Order ids as institutions may write them; what would mean something to one of the programs is among them.
ORDERS = ("ORD-1", "ord 1", "ord_1", "-x-", "2025;note", "课时包", "a:b", '"quoted"', "ORD--1", "ORD-2d-1", "x" * 60)


@pytest.fixture
def told(connection: Connection) -> Desk:
    """Books with awkward names, a back-dated posting, and amounts no float holds."""
    desk = Desk(connection)
    desk.story()
    for number, order in enumerate(ORDERS):
        paid, item = desk.paid(order, 100_000_000_000_001 + number, day=date(2025, 3, 10 + number))
        desk.post(paid, open_items=[item])
    desk.open_orders("back-dated")
    desk.post(
        desk.transfer(
            ("custody_cash", ""),
            ("prepayment_held", "back-dated"),
            7,
            "late; note | 'x'",
            day=date(2025, 2, 1),
            reason='say "hi" \\ ;',
        )
    )
    return desk


@needs_hledger
@pytest.mark.parametrize("as_of", [None, DAY, date(2025, 2, 1)])
def test_hledger_accepts_the_books_strictly_and_finds_our_balances(told: Desk, tmp_path: Path, as_of: date | None) -> None:
    exported = export_plain_text(told.conn, tmp_path, "hledger", as_of=as_of)
    for checks in ("--strict", "ordereddates"):
        hledger(exported.path, "check", checks)
    assert hledger_balances(exported.path) == ours(told.conn, as_of)


@pytest.mark.parametrize("as_of", [None, DAY, date(2025, 2, 1)])
def test_beancount_accepts_the_books_and_finds_our_balances(told: Desk, tmp_path: Path, as_of: date | None) -> None:
    exported = export_plain_text(told.conn, tmp_path, "beancount", as_of=as_of)
    found, transactions = beancount_balances(exported.path)

    assert found == ours(told.conn, as_of)
    assert exported.transfers == transactions


def test_bean_check_notices_a_fen_that_is_missing(told: Desk, tmp_path: Path) -> None:
    """The assertions at the end are exact: beancount's usual tolerance would let a fen pass."""
    from beancount import loader

    path = export_plain_text(told.conn, tmp_path, "beancount").path
    text = path.read_text(encoding="utf-8")
    changed = text.replace("Payable-To-Institution  -33.33 CNY", "Payable-To-Institution  -33.34 CNY").replace(
        "S-A  33.33 CNY", "S-A  33.34 CNY"
    )
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    _, errors, _ = loader.load_file(str(path))
    assert len(errors) == 2


@needs_hledger
def test_hledger_notices_a_fen_that_is_missing(told: Desk, tmp_path: Path) -> None:
    path = export_plain_text(told.conn, tmp_path, "hledger").path
    path.write_text(
        path.read_text(encoding="utf-8").replace("  33.33 CNY", "  33.34 CNY").replace("  -33.33 CNY\n\n", "  -33.34 CNY\n\n")
    )
    assert HLEDGER is not None
    assert subprocess.run([HLEDGER, "-f", str(path), "check"], capture_output=True, check=False).returncode != 0


def test_empty_books_can_be_exported(connection: Connection, tmp_path: Path) -> None:
    from beancount import loader

    assert export_plain_text(connection, tmp_path, "hledger").transfers == 0
    assert loader.load_file(str(export_plain_text(connection, tmp_path, "beancount").path))[1] == []


@given(st.text(max_size=12), st.text(max_size=12))
def test_different_subjects_get_different_names_both_programs_allow(one: str, other: str) -> None:
    import re

    names = [account_name(Side.CREDIT, 3, "prepayment_held", subject) for subject in (one, other)]
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert re.fullmatch(r"[A-Z][A-Za-z0-9-]*(:[A-Z0-9][A-Za-z0-9-]*)+", name, re.ASCII)


def test_subjects_that_look_like_escapes_stay_apart() -> None:
    """The alphabet of the escape itself, exhaustively."""
    from itertools import product

    subjects = ["".join(letters) for size in range(1, 6) for letters in product("-2d_", repeat=size)]
    assert len({account_name(Side.CREDIT, 3, "k", subject) for subject in subjects}) == len(subjects)


def test_the_csv_books_hold_every_transfer_and_no_formula(told: Desk, tmp_path: Path) -> None:
    told.open_orders("=cmd|' /C calc'!A0")
    told.post(told.transfer(("custody_cash", ""), ("prepayment_held", "=cmd|' /C calc'!A0"), 5, "=1+1"))
    from config.chart import load_chart

    written = dict(export_csv(told.conn, load_chart(), tmp_path, BooksAsked()))
    with (tmp_path / "journal.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (tmp_path / "trial_balance.csv").open(encoding="utf-8-sig", newline="") as stream:
        balances = list(csv.DictReader(stream))

    assert written[tmp_path / "journal.csv"] == len(rows) == 4 + len(ORDERS) + 2
    assert rows[-1]["source_ref"] == "'=1+1"
    assert not any(cell.startswith(("=", "+", "@")) for row in rows + balances for cell in row.values())
    assert sum(Money.parse(row["debit"]).minor_units - Money.parse(row["credit"]).minor_units for row in balances) == 0


def test_cells_that_spreadsheets_would_run_are_made_text_and_numbers_stay_numbers() -> None:
    assert [safe_cell(value) for value in ("=1", "+1", "-1.50", "-1+2", "@x", "\tx", "＝1", None, 5)] == [
        "'=1", "+1", "-1.50", "'-1+2", "'@x", "'\tx", "'＝1", "", "5",
    ]  # fmt: skip
