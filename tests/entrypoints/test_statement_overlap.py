"""``escrow statement receive|versions|absorbed`` of overlapping exports, as the bank's own user sees and sends them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.entrypoints.test_statement_quarantine import Run, accounts, run
from tests.reconciliation.conftest import MONDAY, TUESDAY, WEDNESDAY
from tests.reconciliation.test_overlap import WEEK, Bank, write

__all__ = ["accounts", "run"]  # fixtures


def test_a_bank_sends_exports_that_overlap_and_reads_what_was_absorbed(run: Run, accounts: list[str], tmp_path: Path) -> None:
    bank, account = Bank(WEEK), accounts[0]
    for number, (first, last) in enumerate(((MONDAY, TUESDAY), (MONDAY, WEDNESDAY), (TUESDAY, WEDNESDAY)), 1):
        data = write(bank.days(first, last), "psbc").replace(b"6222000000000017", account.encode())
        (tmp_path / f"{number}.csv").write_bytes(data)

    first_told = run("bank.north", "receive", "--sender", "NRB", tmp_path / "1.csv")
    told = run("bank.north", "receive", "--sender", "NRB", "--lang", "zh", tmp_path / "2.csv")
    again = run("bank.north", "receive", "--sender", "NRB", "--json", tmp_path / "3.csv")

    assert (first_told.exit_code, told.exit_code, again.exit_code) == (0, 0, 0), first_told.output + told.output + again.output
    assert "6 笔明细中 5 笔此前已报送（文件 1），不重复计入；新增 1 笔，予以计入" in told.output
    (statement,) = json.loads(again.output)["statements"]
    assert (statement["outcome"], statement["lines"], statement["lines_absorbed"]) == ("duplicate", 4, 0)
    assert statement["reasons"] == ["all its 4 lines were reported before (file 1, 2), line by line; nothing counts twice"]

    asked = ("--account", account, "--date", str(WEDNESDAY))
    assert "1 lines of 6 (5 were reported before and absorbed)" in run("bank.north", "versions", *asked).output
    assert "6 笔中计入 1 笔（其余 5 笔此前已报送）" in run("bank.north", "versions", *asked, "--lang", "zh").output
    assert json.loads(run("bank.north", "versions", *asked, "--json").output)["lines_absorbed"] == 5
    lines = run("bank.north", "absorbed", *asked).output.splitlines()
    assert (len(lines), lines[0]) == (5, "2.csv line 5: 2025-03-03 +5.00, reported for 2025-03-04 in 1.csv line 5")
    assert (
        "2.csv 第 5 行：2025-03-03 +5.00，已在 2025-03-04 的 1.csv 第 5 行报送"
        in run("zhang.prepare", "absorbed", *asked, "--lang", "zh").output
    )
    assert json.loads(run("bank.north", "absorbed", *asked, "--json").output.splitlines()[2])["amount"] == "2.00"
    none = run("bank.north", "absorbed", "--account", account, "--date", str(TUESDAY))
    assert (none.exit_code, "repeats lines reported before" in none.output) == (1, True)
    assert run("bank.lotus", "absorbed", *asked).exit_code != 0, "another bank's account"
