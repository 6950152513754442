"""``escrow parse`` as other programs and people use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = ":20:R\n:25:7\n:28C:1/1\n:60F:C260301CNY0,00\n:61:260302C1,00NTRFX//B1\n:86:/EREF/E1/NAME/[bold]A[/bold]\n:62F:C260302CNY1,00\n-\n"
STATEMENT_KEYS = {
    "account", "currency", "statement_id", "sequence", "kind", "opening_balance", "opening_date", "closing_balance",
    "closing_date", "accepted", "lines",
}  # fmt: skip
LINE_KEYS = {
    "booking_date", "value_date", "direction", "amount", "currency", "status", "bank_reference", "end_to_end_reference",
    "references", "counterparty_name", "counterparty_account", "description", "reversal", "line",
}  # fmt: skip
FINDING_KEYS = {"severity", "code", "statement", "line", "field", "message", "offset", "message_zh"}


def escrow(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from entrypoints.cli import main; main()", "parse"]
    return subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.sta").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.sta").write_text(GOOD.replace("CNY1,00", "CNY2,00"), encoding="utf-8")
    return tmp_path


def objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_json_is_one_object_a_file_with_the_promised_names(folder: Path) -> None:
    names = [str(folder / "good.sta"), str(folder / "bad.sta"), str(folder / "absent"), str(folder)]
    done = escrow("--json", *names)
    found = objects(done.stdout)
    assert done.returncode == 1
    assert done.stderr == ""
    assert [each["file"] for each in found] == names
    assert [each["accepted"] for each in found] == [True, False, False, False]
    assert found[0]["format"] == "mt940"
    assert found[0]["profile"] == "mt940"
    (statement,) = found[0]["statements"]
    (line,) = statement["lines"]
    assert set(statement) >= STATEMENT_KEYS
    assert set(line) >= LINE_KEYS
    assert (statement["opening_balance"], statement["closing_balance"], statement["closing_date"]) == (
        "0.00",
        "1.00",
        "2026-03-02",
    )
    assert (line["amount"], line["direction"], line["status"], line["line"]) == ("1.00", "IN", "BOOKED", 5)
    assert (line["bank_reference"], line["end_to_end_reference"]) == ("B1", "E1")
    for each in found[1:]:
        assert each["findings"]
        assert all(set(finding) >= FINDING_KEYS for finding in each["findings"])


def test_exit_codes_are_0_accepted_1_refused_2_usage(folder: Path) -> None:
    assert escrow(str(folder / "good.sta")).returncode == 0
    assert escrow(str(folder / "bad.sta")).returncode == 1
    assert escrow("--profile", "atlantis", str(folder / "good.sta")).returncode == 2
    assert escrow().returncode == 2
    assert escrow("--profile", "north-river", str(folder / "good.sta")).returncode == 1


def test_an_unknown_profile_is_answered_with_those_there_are(folder: Path) -> None:
    done = escrow("--profile", "atlantis", str(folder / "good.sta"))
    assert "north-river" in done.stderr
    assert "Traceback" not in done.stderr


def test_people_get_a_table_with_findings_in_their_language(folder: Path) -> None:
    english, chinese = escrow(str(folder / "bad.sta")), escrow("--lang", "zh", str(folder / "bad.sta"))
    assert "REFUSED" in english.stdout
    assert "closing balance" in english.stdout
    assert "拒收" in chinese.stdout
    assert "期末余额" in chinese.stdout
    assert "[bold]A[/bold]" in re.sub(r"\s", "", english.stdout)  # a bank's text is never taken for markup
    zh = objects(escrow("--json", "--lang", "zh", str(folder / "bad.sta")).stdout)
    assert any("期末余额" in finding["message"] for finding in zh[0]["findings"])


def test_a_file_that_may_not_be_opened_does_not_stop_the_others(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "link")
    found = objects(escrow("--json", str(folder / "link"), "/dev/null", str(folder / "good.sta")).stdout)
    assert [each["accepted"] for each in found] == [False, False, True]


def test_help_has_examples() -> None:
    assert "Examples" in escrow("--help").stdout
