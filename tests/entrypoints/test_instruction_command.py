"""``escrow instruction``: a bank's answer from file to ledger, by the people who may, in words that say what comes next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text
from typer.testing import CliRunner, Result

from bank_adapters.answer_file import read_answer_file
from bank_adapters.detached import DigestKind, digest_of
from entrypoints.cli import _sentence
from tests.escrow.conftest import District

DISBURSED = "DI2025030500000001"


@pytest.fixture
def url(books: Engine, books_url: str) -> str:
    """NRB and LCB were each told on 5 March 2025 to pay out 100.00."""
    with books.begin() as connection:
        district = District(connection)
        for number, bank in ((1, "NRB"), (2, "LCB")):
            district.found(number, bank_code=bank)
            order = district.paid(f"ORD{number}", number)
            district.bank_shows(order)
            district.taught(order, 1, "2025-03-05")
            district.confirmed(order, 1, "2025-03-05")
        district.released("2025-03-05")
        district.instructed("2025-03-05")
    return books_url


@pytest.fixture
def run(url: str, tmp_path: Path):
    def command(user: str, *arguments: object) -> Result:
        from entrypoints.cli import app

        told = {"ESCROW_DATABASE_URL": url, "ESCROW_DATA": str(tmp_path), "ESCROW_USER": ""}
        return CliRunner().invoke(app, ["--as", user, "instruction", *map(str, arguments)], env=told)

    return command


def states(run) -> dict[str, str]:
    shown = run("li.approve", "list", "--json")
    return {one["reference"]: one["state"] for one in map(json.loads, shown.stdout.splitlines())}


def answer(tmp_path: Path, reference: str, status: str, reason: str = "") -> Path:
    path = tmp_path / f"{reference}-{status}.csv"
    path.write_text(f"业务编号,状态,失败原因\n{reference},{status},{reason}\n", encoding="gb18030")
    return path


def test_a_rejection_goes_from_the_banks_file_to_the_ledger_by_three_people(run, books: Engine, tmp_path: Path) -> None:
    taken = run("bank.north", "acknowledge", "--sender", "north-river", answer(tmp_path, DISBURSED, "失败", "账户已销户"))
    assert (taken.exit_code, "rejected, recorded" in taken.stdout) == (0, True), taken.output
    shown = run("zhang.prepare", "show", DISBURSED)
    assert "账户已销户" in shown.stdout
    assert f"instruction return {DISBURSED} --prepare" in shown.stdout

    assert run("zhang.prepare", "return", DISBURSED, "--prepare", "--reason", "账户已销户").exit_code == 0
    assert run("zhang.prepare", "return", DISBURSED, "--approve").exit_code != 0
    done = run("li.approve", "return", DISBURSED, "--approve", "--date", "2025-03-06")

    assert "went back" in done.stdout, (done.output, done.exception)
    assert states(run) == {DISBURSED: "returned", "DI2025030500000002": "unanswered"}
    with books.connect() as connection:
        booked = connection.execute(text("SELECT reason, booking_date::text FROM transfer WHERE reverses IS NOT NULL")).one()
    assert tuple(booked) == ("instruction_rejected", "2025-03-06")


def test_a_bank_answers_for_itself_alone_and_sees_its_own_alone(run, tmp_path: Path) -> None:
    file = answer(tmp_path, "DI2025030500000002", "成功")

    assert run("bank.north", "acknowledge", "--sender", "LCB", file).exit_code != 0
    assert run("bank.north", "acknowledge", "--sender", "NRB", file).exit_code == 1, (
        "another bank's instruction is refused by name"
    )
    seen = run("bank.north", "list", "--json")
    assert [json.loads(line)["reference"] for line in seen.stdout.splitlines()] == [DISBURSED]
    assert run("bank.north", "show", "DI2025030500000002").exit_code != 0
    shown = json.loads(run("bank.north", "show", DISBURSED, "--json").stdout)
    assert (shown["state"], shown["amount"]) == ("unanswered", "100.00")
    late = run("bank.north", "query", "--date", "2025-03-10", "--json")
    assert [json.loads(line)["reference"] for line in late.stdout.splitlines()] == [DISBURSED], late.exception


def test_a_bank_reads_its_instructions_in_its_own_session(run) -> None:
    roles = set()

    def remember(connection, cursor, statement, *_rest) -> None:
        if "instruction_states_of_bank" in statement:
            cursor.execute("SELECT current_user")
            roles.add(cursor.fetchone()[0])
            cursor.execute(statement, _rest[0])

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        listed = run("bank.north", "list")
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
    assert (listed.exit_code, roles) == (0, {"escrow_bank"}), listed.exception


def test_whom_nobody_answered_is_asked_in_a_table_the_bank_fills_in(run, tmp_path: Path) -> None:
    waiting = run("zhang.prepare", "query", "--date", "2025-03-10", "--write")

    assert waiting.exit_code == 1
    folder = tmp_path / "escrow" / "outbox" / "NRB"
    asked = (folder / "NRB-query-20250310-01.csv").read_bytes()
    assert (folder / "NRB-query-20250310-01.csv.sha256").read_text().startswith(digest_of(asked, DigestKind.SHA256))
    assert read_answer_file(asked).refused, "an unfilled question answers nothing"
    filled = tmp_path / "filled.csv"
    filled.write_bytes(asked.replace(b"100.00,,", b"100.00,accepted,"))
    assert run("bank.north", "acknowledge", "--sender", "NRB", filled).exit_code == 0
    assert states(run)[DISBURSED] == "accepted"
    assert run("zhang.prepare", "query", "--date", "2025-03-06").exit_code == 0, "nobody has waited too long by then"


def test_the_chinese_view_says_state_and_next_step_in_chinese(run) -> None:
    shown = run("auditor.wu", "show", DISBURSED, "--lang", "zh")

    assert "未答复" in shown.stdout
    assert "下一步：向银行查询" in shown.stdout


def test_a_refusal_of_the_books_themselves_reads_as_one(books: Engine, url: str) -> None:
    from psycopg.errors import RestrictViolation

    with books.connect() as connection, pytest.raises(Exception, match="refused") as told:
        connection.execute(text("DELETE FROM instruction_file"))

    assert isinstance(told.value.orig, RestrictViolation)  # type: ignore[attr-defined]
    assert _sentence(told.value).startswith("error: the books refuse it: DELETE of instruction_file refused")
    assert "Correct a mistake by adding" in _sentence(told.value)


def test_the_key_is_made_once_and_only_its_public_half_is_printed(run, tmp_path: Path) -> None:
    made = run("platform", "keygen")

    assert made.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    assert run("platform", "keygen", "--show").stdout == made.stdout
    assert "exists" in str(run("platform", "keygen").exception)
    assert run("zhang.prepare", "keygen", "--show").exit_code != 0
