"""The program as people meet it: every command explains itself, is in the README, and ends with the code it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

ROOT = Path(__file__).resolve().parents[2]


def leaf_commands() -> list[str]:
    from entrypoints.cli import app

    found: list[str] = []

    def walk(command: object, path: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found.append(" ".join(path))
        else:
            for name, child in children.items():
                walk(child, (*path, name))

    walk(typer.main.get_command(app), ())
    return sorted(found)


COMMANDS = leaf_commands()


def called_in(text: str, command: str) -> bool:
    """Whether the text shows a call of the command's group, whoever acts on whichever books."""
    return re.search(rf"escrow( --\S+ \S+)* {re.escape(command.split(maxsplit=1)[0])}\b", text) is not None


def escrow(*arguments: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    import os

    environment = {**os.environ, "COLUMNS": "200", **({"ESCROW_DATA": str(data)} if data else {})}
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        cwd=ROOT,
    )


def test_the_commands_other_programs_rely_on_exist() -> None:
    promised = {
        "parse", "match", "demo", "simulate", "db upgrade", "db status", "import orders", "import class-hours",
        "import refund-requests", "import institutions", "statement receive", "run-day", "job list", "job run",
        "reconciliation show", "reconciliation sign-off", "reconciliation certificate", "discrepancy list", "discrepancy show",
        "discrepancy assign", "discrepancy resolve", "discrepancy approve", "ledger trial-balance", "ledger account",
        "ledger journal", "ledger coverage", "ledger verify", "export csv", "export hledger", "export beancount", "scheduler",
        "bench post",
    }  # fmt: skip

    assert promised <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(command: str) -> None:
    from typer.testing import CliRunner

    from entrypoints.cli import app

    shown = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200", "TERM": "dumb"})

    assert shown.exit_code == 0, shown.output
    text = " ".join(re.sub(r"[│╭╰─╮╯]", " ", shown.output).split())
    assert called_in(text.split("Usage:", 1)[1].split("]", 1)[1], command), text


def test_the_readme_names_every_group_of_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [command for command in COMMANDS if not called_in(readme, command)] == []


@pytest.mark.parametrize("arguments", [["no-such-command"], ["run-day"], ["run-day", "yesterday"], ["job", "run", "no-such-job"]])
def test_wrong_usage_ends_with_2_and_no_traceback(arguments: list[str]) -> None:
    ended = escrow(*arguments)

    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-command"], "commands of escrow: demo, simulate, parse, "),
        (["statemnt"], "Did you mean 'statement'?"),
        (["statement", "recieve"], "commands of escrow statement: receive, list"),
        (["run-day", "2026-13-02"], "'2026-13-02' is not a date such as 2026-03-02 (year-month-day); see: escrow run-day --help"),
        (["simulate", "--out", "x", "--defects", "foo"], "'none', 'standard', 'heavy'"),
        (["demo", "--defects", "foo"], "'none', 'standard', 'heavy'"),
        (["statement", "receive", "x", "--sender", "FOO"], "there are: "),
        (["statement", "receive", "x", "--sender", "SWB", "--profile", "foo"], "there are: "),
        (["job", "run", "no-such-job", "--as-of", "2026-03-02"], "there are: collect, reconcile"),
        (["parse", "--profile", "foo", "x"], "there are: "),
    ],
)
def test_wrong_usage_says_what_may_be_given_instead(arguments: list[str], told: str) -> None:
    from typer.testing import CliRunner

    from entrypoints.cli import app

    ended = CliRunner().invoke(app, arguments)

    assert ended.exit_code == 2, ended.output
    assert ended.stderr.startswith("error: ")
    assert told in ended.stderr


def test_books_that_do_not_exist_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    """Reading commands and those that need accounts refuse; ``import institutions``, ``db upgrade`` and ``demo`` make books."""
    for command in (["ledger", "verify"], ["job", "list"], ["run-day", "2026-03-02"], ["statement", "list"], ["db", "status"]):
        ended = escrow(*command, data=tmp_path / "mistyped")

        assert ended.returncode == 1, command
        assert f"there are no books 'escrow' in {tmp_path / 'mistyped'}" in ended.stderr
        assert "import institutions FILE" in ended.stderr
    assert not (tmp_path / "mistyped").exists()


def test_an_option_that_names_embedded_books_is_not_ignored_beside_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCROW_DATABASE_URL", "postgresql+psycopg://nobody@nowhere.invalid/books")

    ended = escrow("--books", "other", "ledger", "verify")

    assert ended.returncode == 2
    assert "ESCROW_DATABASE_URL names a server's" in ended.stderr


def test_start_up_does_not_load_what_a_command_does_not_need() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, entrypoints.cli; print([m for m in ('pandas', 'sqlalchemy', 'lxml', 'alembic') if m in sys.modules])"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip

    assert loaded.stdout.strip() == "[]"
