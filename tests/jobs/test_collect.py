"""Files in the banks' inboxes: every one is named with its outcome, and nothing is passed over silently."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from bank_adapters.model import Statement, StatementKind
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.cli import app
from jobs.daily import JOBS
from jobs.drop_folder import passed_over
from jobs.wording import TITLES
from money import Money
from tests.escrow.conftest import District

DAY = date(2026, 3, 2)
ACCOUNT = "6222000000000001"


@pytest.fixture
def inbox(books: Engine, books_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inbox of a bank whose one custody account is open."""
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_DATA", str(tmp_path))
    monkeypatch.delenv("ESCROW_USER", raising=False)
    monkeypatch.delenv("ESCROW_BOOKS", raising=False)
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    folder = tmp_path / "escrow" / "inbox" / "SWB"
    folder.mkdir(parents=True)
    return folder


def statement(day: date, number: int, opening: int = 0) -> bytes:
    balance = Money(opening)
    return write_mt940(
        [Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", f"S{number}", str(number), balance, day, balance, day, (), True)]
    )


def escrow(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_every_file_is_named_and_a_refused_one_ends_with_1(inbox: Path) -> None:
    (inbox / "a.sta").write_bytes(statement(DAY, 1))
    (inbox / "b.sta").write_bytes(b"this is no statement")
    (inbox / "c.sta").write_bytes(statement(date(2026, 3, 4), 3))

    ended = escrow("job", "run", "collect", "--as-of", "2026-03-04")

    assert ended.exit_code == 1, ended.output
    told = {line.split()[0]: line for line in ended.output.splitlines() if line.startswith("SWB/")}
    assert told["SWB/a.sta"] == "SWB/a.sta counted"
    assert told["SWB/b.sta"].startswith("SWB/b.sta refused: ")
    assert told["SWB/c.sta"].startswith("SWB/c.sta waiting: ")
    assert "number 2 is missing; ask the bank" in told["SWB/c.sta"]
    assert "refused/" in ended.stderr
    assert escrow("job", "run", "collect", "--as-of", "2026-03-04").exit_code == 0, "what was refused is not refused again"


def test_the_arrival_grid_begins_with_the_accounts_and_says_why_a_day_does_not_count(inbox: Path) -> None:
    (inbox / "a.sta").write_bytes(statement(DAY, 1))
    (inbox / "c.sta").write_bytes(statement(date(2026, 3, 4), 3))
    escrow("job", "run", "collect", "--as-of", "2026-03-04")

    ended = escrow("statement", "list")
    told = json.loads(escrow("statement", "list", "--json").output)
    far = escrow("statement", "list", "--from", "2026-12-28", "--to", "2027-01-05")

    assert "Statements 2026-03-02 to 2026-03-04" in ended.output
    assert f"{ACCOUNT} 2026-03-04 waiting (c.sta): it is number 3" in ended.output
    assert told["days"] == {"2026-03-02": "received", "2026-03-03": "missing", "2026-03-04": "waiting"}
    assert told["not_counting"][0]["file"] == "c.sta"
    assert (far.exit_code, "01-04" in far.output) == (1, True), "days past the holiday calendar are shown by weekday"


def test_a_weekend_has_no_statement_to_miss(inbox: Path) -> None:
    (inbox / "a.sta").write_bytes(statement(DAY, 1))
    assert escrow("run-day", "2026-03-02").exit_code == 0
    (inbox / "b.sta").write_bytes(statement(date(2026, 3, 6), 2))  # what is overdue for the week itself is Saturday's as well

    saturday, tuesday = escrow("run-day", "2026-03-07"), escrow("run-day", "2026-03-03")

    assert (saturday.exit_code, "statements missing" in saturday.output) == (0, False), saturday.output
    assert (tuesday.exit_code, "statements missing" in tuesday.output) == (1, True), tuesday.output
    assert "reconciliation sign-off --date 2026-03-07" in saturday.output
    assert "next: escrow reconciliation show" in escrow("job", "list").output


def test_what_is_not_received_is_named_with_the_reason(inbox: Path) -> None:
    (inbox / "half.sta.part").write_bytes(b"x")
    (inbox / ".hidden").write_bytes(b"x")
    (inbox / "sub").mkdir()
    (inbox / "accepted").mkdir()
    (inbox / "link.sta").symlink_to(inbox / "nowhere")
    (inbox.parent / "FOO").mkdir()
    (inbox.parent / "loose.sta").write_bytes(b"x")

    told = passed_over(inbox.parent, ["SWB", "NRB"])

    assert [line.en.split(":")[0] for line in told] == [
        "FOO/", "SWB/.hidden", "SWB/half.sta.part", "SWB/link.sta", "SWB/sub", "loose.sta",
    ]  # fmt: skip
    assert "rename it to one of NRB, SWB" in told[0].en
    ended = escrow("job", "run", "collect", "--as-of", "2026-03-04")
    assert (ended.exit_code, ended.output.count("passed over: ")) == (0, 6), ended.output
    ended = escrow("job", "run", "collect", "--as-of", "2026-03-04", "--lang", "zh")
    assert (ended.exit_code, ended.output.count("跳过: "), "尚未写完" in ended.output) == (0, 6, True), ended.output
    assert {"SWB", "NRB", "LCB"} <= {each.name for each in inbox.parent.iterdir()}, "folders to drop files into are made"


def test_a_day_is_told_in_chinese_down_to_the_last_figure(inbox: Path) -> None:
    (inbox / "a.sta").write_bytes(statement(DAY, 1))

    told = escrow("run-day", "2026-03-02", "--lang", "zh").output

    jobs = [name for name in TITLES if name != "verify"]
    table = [line for line in told.splitlines() if line.startswith("│") and line.split()[1] in jobs]
    english = [word for line in table for word in re.findall("[A-Za-z]{2,}", line) if word not in {*jobs, "CNY"}]
    assert len(table) == len(jobs)
    assert [word for word in english if not re.fullmatch("[a-f]+", word)] == [], "only digests have letters left"
    assert "已计入" in told


def test_every_job_has_a_title_in_both_languages() -> None:
    assert {name: job.title for name, job in JOBS.items()} == TITLES
    assert all(re.search("[\u4e00-\u9fff]", said.zh) for said in TITLES.values())


EXPORT = "账号,{account}\r\n户名,Sunrise\r\n币种,CNY\r\n交易日期,摘要,支出金额,收入金额,账户余额,对方户名,对方账号,交易渠道,备注\r\n{rows}"
ROWS = (
    "20260302,fee,,5.00,5.00,,,,\r\n",
    "20260302,fee,,5.00,10.00,,,,\r\n",
    "20260303,fee,2.50,,7.50,,,,\r\n",
    "20260304,fee,,5.00,12.50,,,,\r\n",
)


def test_the_receipt_of_an_export_that_overlaps_what_counts(inbox: Path) -> None:
    for number, (first, last) in enumerate(((0, 2), (0, 4), (3, 4)), 1):
        text = EXPORT.format(account=ACCOUNT, rows="".join(ROWS[first:last]))
        (inbox / f"{number}.csv").write_bytes(text.encode())

    escrow("job", "run", "collect", "--as-of", "2026-03-04")

    told = json.loads((inbox / "accepted" / "2.csv.receipt.json").read_text())
    assert told["statements"] == [
        {
            "account": ACCOUNT,
            "date": "2026-03-04",
            "outcome": "counted",
            "outcome_en": "counted",
            "outcome_zh": "已入账核对",
            "lines": 4,
            "reasons": ["2 of its 4 lines were reported before (file 1) and are absorbed, 2 are new and count"],
            "reasons_zh": ["4 笔明细中 2 笔此前已报送（文件 1），不重复计入；新增 2 笔，予以计入"],
            "lines_absorbed": 2,
            "lines_new": 2,
            "currency": "CNY",
            "in_count": 3,
            "in_sum": "15.00",
            "out_count": 1,
            "out_sum": "2.50",
            "opening": "0.00",
            "closing": "12.50",
        }
    ]
    (again,) = json.loads((inbox / "accepted" / "3.csv.receipt.json").read_text())["statements"]
    assert (again["outcome"], again["reasons_zh"]) == ("duplicate", ["其 1 笔明细此前均已逐笔报送（文件 2），不重复计入"])
