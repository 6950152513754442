"""Every report leaves as CSV and as a workbook, within the asking person's jurisdiction, and the audit log knows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from click.testing import Result
from python_calamine import CalamineWorkbook
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from entrypoints.cli import app
from money import Money
from tests.escrow.conftest import District

Run = Callable[..., Result]

REPORTS = {
    "trial_balance": ("trial-balance", "--by", "account"),
    "account_statement": ("account", "1:receipts_in_transit:wechat"),
    "journal": ("journal",),
    "general_ledger": ("general-ledger",),
    "ageing": ("ageing", "--as-of", "2025-03-10"),
    "coverage": ("coverage", "--as-of", "2025-03-10"),
}


@pytest.fixture
def run(books: Engine, books_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on a district with an institution in Hangzhou (330100) and one in Beijing (110000), an order at each."""
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_USER", "")
    with books.begin() as connection:
        district = District(connection)
        for number, place in ((1, "330100"), (2, "110000")):
            district.found(number, place)
            district.paid(f"ORD{number}", number)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def exports(books: Engine) -> list[tuple[str, str]]:
    with books.connect() as connection:
        rows = connection.execute(text("SELECT actor, object_id FROM audit_event WHERE act = 'cli:report:exported' ORDER BY seq"))
        return [(row.actor, row.object_id) for row in rows]


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_leaves_in_both_forms_with_the_same_rows(run: Run, books: Engine, tmp_path: Path, report: str) -> None:
    files = (tmp_path / "r.csv", tmp_path / "r.xlsx")
    done = run("ledger", *REPORTS[report], "--csv", files[0], "--xlsx", files[1], "--lang", "zh")
    assert done.exit_code == (1 if report == "coverage" else 0), (done.output, done.exception)  # no statement ever came
    with files[0].open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    sheet = CalamineWorkbook.from_path(str(files[1])).get_sheet_by_index(0).to_python()
    assert {"截至", "按当时所知", "管辖范围", "制表人"} <= {row[0] for row in sheet}
    first = next(place for place, row in enumerate(sheet) if all(row) and len(row) == len(rows[0])) + 1
    assert rows
    for told, row in zip(rows, sheet[first:], strict=False):
        for value, cell in zip(told.values(), row, strict=True):
            if isinstance(cell, float):
                assert Money.parse(value) == Money(round(cell * 100))
            elif isinstance(cell, str):
                assert cell == value
    assert exports(books) == [("system", report)]


def test_what_a_city_takes_away_is_its_own(run: Run, books: Engine) -> None:
    def amounts(*arguments: str) -> list[str]:
        done = run(*arguments)
        assert done.exit_code == 0, (done.output, done.exception)
        return [row["amount"] for row in csv.DictReader(io.StringIO(done.stdout))]

    assert amounts("ledger", "journal", "--csv", "-") == ["1000.00", "1000.00"]
    assert amounts("--as", "wang.hangzhou", "ledger", "journal", "--csv", "-") == ["1000.00"]
    assert exports(books)[-1] == ("wang.hangzhou", "journal")
    with books.connect() as connection:
        details = connection.scalar(text("SELECT details FROM audit_event ORDER BY seq DESC LIMIT 1"))
    assert (details["jurisdiction"], details["csv"]) == ("330100", "-")


def test_who_may_not_export_takes_nothing_away(run: Run, books: Engine, tmp_path: Path) -> None:
    refused = run("--as", "bank.north", "ledger", "trial-balance", "--csv", tmp_path / "x.csv")
    assert refused.exit_code == 1
    assert list(tmp_path.iterdir()) == []
    assert exports(books) == []


def test_pages_of_an_account_lead_to_the_next_one_and_end(run: Run, books: Engine) -> None:
    with books.begin() as connection:
        district = District(connection)
        for number in range(5):
            district.paid(f"MORE{number}")
    command: list[str] = ["escrow", "ledger", "account", "1:receipts_in_transit:wechat", "--limit", "2", "--as-of", "2025-03-31"]
    pages = 0
    while command:
        shown = run(*command[1:])
        assert shown.exit_code == 0, shown.output
        pages += 1
        more = [line for line in shown.stdout.splitlines() if line.startswith("more: ")]
        command = more[0].removeprefix("more: ").split() if more else []
        assert not command or command[0] == "escrow"
    assert pages == 3
    whole = run("ledger", "account", "1:receipts_in_transit:wechat", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(whole.stdout)))
    assert [int(row["seq"]) for row in rows] == list(range(1, 7))
    assert all(row["counter_account"] for row in rows)
    assert Money.parse(rows[-1]["balance"]) == Money(600_000)


def reading_commands() -> dict[str, set[str]]:
    """Every command that answers what the books say, with its options."""
    acts = {f"ledger {name}" for name in ("verify", "close-period", "reopen-period", "period", "archive", "archives")}
    found = {}
    for group in ("ledger", "export"):
        commands = typer.main.get_command(app).commands[group].commands  # type: ignore[attr-defined]
        for name, command in commands.items():
            if f"{group} {name}" not in acts:
                found[f"{group} {name}"] = {option for parameter in command.params for option in parameter.opts}
    return found


def test_every_report_can_be_asked_as_of_a_day_and_as_known_at_an_instant() -> None:
    commands = reading_commands()
    assert {f"ledger {arguments[0]}" for arguments in REPORTS.values()} <= set(commands)
    assert {name: options & {"--as-of", "--known-at"} for name, options in commands.items()} == {
        name: {"--as-of", "--known-at"} for name in commands
    }


def test_before_anything_was_filed_there_was_no_coverage_to_tell(run: Run) -> None:
    asked = ("ledger", "coverage", "--as-of", "2025-03-10")
    now = [json.loads(line) for line in run(*asked, "--json").stdout.splitlines()]
    assert {row["known_at"] for row in now} == {None}
    then = run(*asked, "--known-at", "2099-01-01", "--json")
    assert [json.loads(line) | {"known_at": None} for line in then.stdout.splitlines()] == now
    shown = run(*asked, "--known-at", "2099-01-01", "--lang", "zh").output
    assert "2099-01-01T00:00:00+08:00 尚无 2025-03-10 的对账单" in shown.replace("\n", "")
    before = run(*asked, "--known-at", "2001-01-01T00:00+08:00")
    assert before.exit_code == 1
    assert "give a later --as-of or --known-at" in str(before.exception)
    nothing = run("ledger", "coverage", "--known-at", "2001-01-01T00:00+08:00")
    assert "no day had been reconciled by 2001-01-01T00:00:00+08:00" in str(nothing.exception)
