"""What ``escrow ledger``, ``escrow export`` and ``escrow bench`` print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from benchmarks.posting import PostingPlan, measure_posting
from benchmarks.reports import measure_reports
from config.chart import load_chart
from entrypoints.cli import app
from storage.embedded import EmbeddedServer
from tests.ledger.conftest import Desk

Run = Callable[..., Result]


@pytest.fixture
def run(books: Engine, books_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on books with a story in them (orders as the ledger knows them; no escrow rows)."""
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_USER", "")  # --as sets it for the process; this puts it back
    with books.begin() as conn:
        Desk(conn).story()
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_trial_balance_shows_equal_totals_in_both_languages(run: Run) -> None:
    english, chinese = run("ledger", "trial-balance"), run("ledger", "trial-balance", "--lang", "zh", "--by", "account")
    assert english.exit_code == chinese.exit_code == 0
    assert "Prepayment held" in english.stdout
    assert "300.00 │ 300.00 │ CNY" in english.stdout
    assert "预收费托管余额" in chinese.stdout
    report = json.loads(run("ledger", "trial-balance", "--json", "--as-of", "2025-03-03").stdout)
    assert report["totals"] == [{"currency": "CNY", "debit": "300.00", "credit": "300.00", "equal": True}]
    assert json.loads(run("ledger", "trial-balance", "--json", "--as-of", "2025-03-02").stdout)["rows"] == []
    # The books were written now, whatever instant their writer claimed.
    now = datetime.now(UTC)
    for known_at, known in ((now - timedelta(minutes=5), False), (now + timedelta(seconds=1), True)):
        rows = json.loads(run("ledger", "trial-balance", "--json", "--known-at", known_at.isoformat()).stdout)["rows"]
        assert bool(rows) is known


def test_what_stands_below_a_report_is_in_its_language(run: Run) -> None:
    """Commands stay commands; the words before them are the reader's."""
    for command, english, chinese in (
        (["trial-balance"], "debits equal credits", "借贷平衡"),
        (["journal", "--limit", "1"], "more: escrow ledger journal", "下一页: escrow ledger journal"),
        (["account", "70:prepayment_held:A", "--limit", "1"], "more: escrow ledger account", "下一页: escrow ledger account"),
        (["general-ledger"], "a line's postings: escrow", "某行的分录: escrow"),
        (["ageing", "--as-of", "2025-03-10"], "an item's story: escrow", "某笔的来龙去脉: escrow"),
    ):
        assert english in run("ledger", *command).stdout, command
        said = run("ledger", *command, "--lang", "zh").stdout
        assert chinese in said, command
        assert english not in said, command


def test_a_period_that_ends_before_it_begins_is_wrong_usage(run: Run) -> None:
    for command in (["ledger", "account", "70:prepayment_held:A"], ["ledger", "journal"]):
        ended = run(*command, "--from", "2025-03-10", "--to", "2025-03-05")
        assert ended.exit_code == 2
        assert "2025-03-10 is after 2025-03-05" in ended.output


def test_a_number_no_account_can_have_is_refused_in_words(run: Run) -> None:
    refused = run("ledger", "account", "9" * 30)
    assert refused.exit_code == 1
    assert isinstance(refused.exception, LookupError)
    assert "9999" in str(refused.exception)


def test_an_account_can_be_named_and_paged(run: Run) -> None:
    first = json.loads(run("ledger", "account", "70:prepayment_held:A", "--limit", "1", "--json").stdout)
    second = json.loads(run("ledger", "account", first["account_id"], "--after", first["next_after"], "--json").stdout)
    assert [line["balance"] for line in first["lines"] + second["lines"]] == ["100.00", "66.67"]
    assert (first["closing_balance"], second["next_after"]) == ("66.67", None)
    assert "release/A#1" in run("ledger", "account", "70:prepayment_held:A").stdout


def test_the_journal_of_one_event_leads_to_its_batch(run: Run) -> None:
    (line,) = [json.loads(row) for row in run("ledger", "journal", "--source", "release/A#1", "--json").stdout.splitlines()]
    assert (line["debit"], line["amount"], line["batch_id"], line["actor"]) == ("70:prepayment_held:A", "33.33", 2, "tester")
    assert "more: escrow ledger journal --limit 1 --after 7.1.1" in run("ledger", "journal", "--limit", "1").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["ledger", "trial-balance", "--as-of", "2025-02-30"], 2),
        (["ledger", "trial-balance", "--known-at", "noon"], 2),
        (["ledger", "journal", "--after", "1.2"], 2),
        (["export", "hledger"], 2),
    ],
)
def test_wrong_arguments_end_with_2(run: Run, arguments: list[str], exit_code: int) -> None:
    assert run(*arguments).exit_code == exit_code


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ledger", "account", "999"], "no account 999"),
        (["ledger", "account", "70:prepayment_held:nobody"], "70:prepayment_held:A"),
        (["ledger", "account", "nonsense"], "CUSTODY:KIND"),
        (["ledger", "trial-balance", "--account", "6222"], "not a custody account"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(run: Run, arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert isinstance(result.exception, LookupError)  # the program's outermost fence prints it and ends with 1
    assert says in str(result.exception)


def test_a_bank_operator_may_not_read_the_books(run: Run) -> None:
    result = run("--as", "bank.north", "ledger", "trial-balance")
    assert result.exit_code != 0
    assert "may not do ledger.read" in str(result.exception)


def test_verify_ends_with_3_and_names_a_row_changed_by_the_owner(run: Run, books: Engine) -> None:
    with books.begin() as conn:
        changed = conn.execute(text("SELECT transfer_id FROM transfer WHERE batch_id = 2 AND line = 1")).scalar_one()
        conn.execute(text("ALTER TABLE transfer DISABLE TRIGGER ALL"))
        conn.execute(text("UPDATE transfer SET source_ref = 'forged' WHERE transfer_id = :id"), {"id": changed})
        conn.execute(text("ALTER TABLE transfer ENABLE TRIGGER ALL"))
        for name in ("guard", "refuse_change", "refuse_truncate"):
            conn.execute(text(f"ALTER TABLE transfer ENABLE ALWAYS TRIGGER transfer_{name}"))
    result = run("ledger", "verify")
    assert result.exit_code == 3
    assert f"transfer: institution 7, transfer {changed}: batch 2 line 1 (receipt forged" in result.stdout
    assert "NOT VERIFIED" in result.stdout
    report = json.loads(run("ledger", "verify", "--json").stdout)
    assert report["verified"] is False
    assert any(str(changed) in fault["row"] for fault in report["faults"])


def test_verify_of_untouched_books_finds_nothing_wrong_in_the_ledger_and_its_evidence(run: Run) -> None:
    """Escrow and reconciliation have no rows here, so escrow rightly misses the orders the ledger holds money for."""
    checks = {check["name"]: check["wrong"] for check in json.loads(run("ledger", "verify", "--json").stdout)["checks"]}
    assert {name for name, wrong in checks.items() if wrong} <= {"escrow"}
    assert "seals over all evidence" in checks


def test_the_exports_say_how_to_check_them(run: Run, tmp_path: Path) -> None:
    for format_, name in (("hledger", "books.journal"), ("beancount", "books.beancount"), ("csv", "journal.csv")):
        result = run("export", format_, "--out", tmp_path / "new" / format_)
        assert result.exit_code == 0
        assert (tmp_path / "new" / format_ / name).is_file()
        assert name in result.stdout


def test_the_benchmark_proves_what_it_measured(books: Engine) -> None:
    plan = PostingPlan(rows=300, batch_rows=120, naive_rows=5, accounts=20, callers=4, interactive_seconds=0.1)
    figures = measure_posting(books, load_chart(), plan)
    assert [figures.rates[name].rows for name in ("hot", "spread", "single", "floor", "naive")] == [300, 300, 5, 300, 5]
    funding = 1_000
    interactive = figures.rates["direct"].rows + figures.rates["group"].rows
    assert figures.verified_postings == 2 * (300 + 300 + 5 + funding + interactive)
    assert {goal["what"] for goal in figures.as_json()["goals"]} >= {"batch / bare COPY into the same indexed table"}
    assert figures.durable is False  # the tests' own server forgets; the command's does not


def test_answers_at_any_two_times_are_compared_before_they_are_timed(books: Engine) -> None:
    figures = measure_reports(books, load_chart(), rows=1_000, batch_rows=100, accounts=20)
    assert set(figures.milliseconds) >= {
        "hot account, as of and known at",
        "all accounts, known at",
        "statement page of 50, last",
    }


def test_bench_leaves_no_database_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: EmbeddedServer) -> None:
    """On the tests' own embedded server, which runs already."""
    monkeypatch.setenv("ESCROW_DATA", str(server.data_folder))
    result = CliRunner().invoke(
        app,
        ["bench", "post", "--rows", "50", "--naive-rows", "2", "--accounts", "5", "--callers", "2", "--seconds", "0.1", "--json"],
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rates"]["hot"]["rows"] == 50
    from sqlalchemy import create_engine

    assert "pgledger was NOT measured" in json.loads(result.stdout)["not_measured"]
    engine = create_engine(server.url("postgres"))
    with engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM pg_database WHERE datname LIKE 'bench%'")).scalar_one() == 0
    engine.dispose()
