"""``escrow simulate`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from entrypoints.cli import app

SMALL = ["simulate", "--seed", "4", "--institutions", "3", "--orders", "60", "--days", "10"]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*SMALL, *arguments])
    return result.exit_code, result.output


def test_it_writes_inputs_and_apart_from_them_the_key_and_says_what_to_try_next(tmp_path: Path) -> None:
    code, text = run("--out", str(tmp_path / "d"))
    assert code == 0
    assert sorted(each.name for each in (tmp_path / "d").iterdir()) == ["answer-key", "inputs"]
    assert "Next (" in text
    assert all(f"escrow --books district {each}" in text for each in ("import orders", "statement receive", "run-day"))
    assert "escrow parse" in text


def test_json_counts_what_stands_in_the_folder(tmp_path: Path) -> None:
    code, text = run("--out", str(tmp_path / "d"), "--defects", "none", "--json")
    assert code == 0
    facts = json.loads(text)
    assert facts["defects"] == 0
    assert facts["orders"] == 60
    files = [each for each in (tmp_path / "d/inputs").rglob("*") if each.is_file()]
    assert facts["input_files"] == len(files)
    assert facts["input_bytes"] == sum(each.stat().st_size for each in files)
    assert facts["statement_files"] == 3 * facts["calendar_days"] == 3 * 12


def test_a_folder_with_something_in_it_is_refused_unless_forced_and_what_else_stands_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept", encoding="utf-8")
    code, text = run("--out", str(tmp_path))
    assert code == 1
    assert "not empty" in text
    assert "--force" in text
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]
    for _ in range(2):
        code, _ = run("--out", str(tmp_path), "--force")
        assert code == 0
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "kept"


def test_what_describes_no_district_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for arguments, said in (
        (["--start", "2026-12-28"], "leave the calendar"),
        (["--start", "2030-01-01"], "leave the calendar"),
        (["--out", str(tmp_path / "file")], "is a file"),
    ):
        code, text = run(*(["--out", str(tmp_path / "d")] if "--out" not in arguments else []), *arguments)
        assert code == 1, text
        assert said in text
        assert "Traceback" not in text
    assert run("--out", str(tmp_path / "d"), "--start", "tomorrow")[0] == 2


def test_tiny_districts_of_every_profile_can_be_written(tmp_path: Path) -> None:
    for number, (orders, days) in enumerate(((0, 1), (1, 1), (3, 2), (25, 5))):
        for profile in ("none", "standard", "heavy"):
            result = CliRunner().invoke(
                app,
                ["simulate", "--seed", "8", "--institutions", "2", "--orders", str(orders), "--days", str(days),
                 "--defects", profile, "--out", str(tmp_path / f"{number}{profile}")],
            )  # fmt: skip
            assert result.exit_code == 0, result.output
