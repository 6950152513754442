"""``escrow match`` as other programs use it: files in, files out, exit codes, and what bad input says."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from entrypoints.cli import app
from reconciliation.matching.files import (
    BANK_COLUMNS,
    BOOK_COLUMNS,
    MatchFileRefused,
    Side,
    read_bank_lines,
    read_book_lines,
)

BANK = """line_id,account,currency,direction,amount,booking_date,value_date,references,counterparty_name,counterparty_account,description
000123,A,CNY,IN,1234567890123456.78,2025-03-04,2025-03-04,ORD20250001|NA,,,
L2,A,CNY,IN,100.00,2025-03-04,,ORD20250002,,,
"""
BOOK = """item_id,account,currency,direction,amount,due_date,references
I1,A,CNY,IN,1234567890123456.78,2025-03-04,ORD20250001
I2,A,CNY,IN,100.01,2025-03-04,ORD20250002
"""


def run(folder: Path, bank: str = BANK, book: str = BOOK, *more: str) -> Result:
    (folder / "bank.csv").write_text(bank, encoding="utf-8")
    (folder / "book.csv").write_text(book, encoding="utf-8")
    paths = ["--bank-lines", str(folder / "bank.csv"), "--book-lines", str(folder / "book.csv"), "--out", str(folder / "out")]
    return CliRunner().invoke(app, ["match", *paths, *more])


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "out" / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_files_say_what_matched_and_what_did_not(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1, result.output
    members = {(row["side"], row["member_id"], row["amount"]) for row in rows(tmp_path, "matches.csv")}
    assert members == {("bank", "000123", "1234567890123456.78"), ("book", "I1", "1234567890123456.78")}
    (one,) = rows(tmp_path, "discrepancies.csv")
    assert (one["kind"], one["member_ids"], one["amount"], one["difference"]) == ("AMOUNT_MISMATCH", "L2|I2", "100.00", "-0.01")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"]["matches_confirmed"] == 1
    assert len(summary["output_hash"]) == 64


def test_a_side_without_any_line_is_a_quiet_day_not_a_fault(tmp_path: Path) -> None:
    quiet_bank = run(tmp_path, BANK.splitlines()[0] + "\n")
    assert quiet_bank.exit_code == 0, "due today and not here yet is in time"
    assert {(row["kind"], row["member_ids"]) for row in rows(tmp_path, "discrepancies.csv")} == {
        ("TIMING", "I1"),
        ("TIMING", "I2"),
    }

    quiet_books = run(tmp_path, BANK, BOOK.splitlines()[0] + "\n")
    assert quiet_books.exit_code == 1, quiet_books.output
    assert {row["member_ids"] for row in rows(tmp_path, "discrepancies.csv")} == {"000123", "L2"}


def test_everything_explained_exits_with_zero(tmp_path: Path) -> None:
    assert run(tmp_path, BANK.replace("100.00", "100.01")).exit_code == 0


def test_shuffled_rows_parquet_and_workers_give_the_same_hash(tmp_path: Path) -> None:
    def digest() -> str:
        return str(json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["output_hash"])

    run(tmp_path)
    first = digest()
    head, *body = BANK.splitlines()
    run(tmp_path, "\n".join([head, *reversed(body)]) + "\n")
    assert digest() == first
    frame = pd.read_csv(tmp_path / "bank.csv", dtype=str, keep_default_na=False)
    frame.to_parquet(tmp_path / "bank.parquet")
    arguments = ["--bank-lines", str(tmp_path / "bank.parquet"), "--book-lines", str(tmp_path / "book.csv")]
    CliRunner().invoke(app, ["match", *arguments, "--out", str(tmp_path / "out"), "--workers", "2"])
    assert digest() == first


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("L9,A,CNY,IN,1.005,2025-03-04,,,,,", "amount"),
        ("L9,A,CNY,IN,-5.00,2025-03-04,,,,,", "amount"),
        ("L9,A,CNY,IN,1e3,2025-03-04,,,,,", "amount"),
        ("L9,A,CNY,UP,5.00,2025-03-04,,,,,", "direction"),
        ("L9,A,yuan,IN,5.00,2025-03-04,,,,,", "currency"),
        ("L9,A,CNY,IN,5.00,2025-02-30,,,,,", "booking_date"),
        ("L9,,CNY,IN,5.00,2025-03-04,,,,,", "account"),
        ("L2,A,CNY,IN,5.00,2025-03-04,,,,,", "line_id"),
        ("L9,A,CNY,IN", ""),
    ],
)
def test_a_bad_row_is_left_out_and_named_by_line_and_field(tmp_path: Path, row: str, field: str) -> None:
    result = run(tmp_path, BANK + row + "\n")
    assert result.exit_code == 1
    (finding,) = rows(tmp_path, "findings.csv")
    assert (finding["line"], finding["field"]) == ("4", field)
    assert len(rows(tmp_path, "matches.csv")) == 2


@pytest.mark.parametrize("bank", ["", "a,b\n1,2\n", "line_id,account\nx"])
def test_a_file_without_the_needed_columns_is_refused_by_name(tmp_path: Path, bank: str) -> None:
    result = run(tmp_path, bank)
    assert result.exit_code == 1
    assert "bank.csv" in result.output
    assert "Traceback" not in result.output


def test_output_is_safe_to_open_in_a_spreadsheet(tmp_path: Path) -> None:
    run(tmp_path, BANK.replace("L2,A", "=HYPERLINK(1),A"))
    (one,) = rows(tmp_path, "discrepancies.csv")
    assert one["member_ids"].startswith("'=")


def columns_in_help(option: str) -> tuple[set[str], set[str]]:
    """What ``escrow match --help`` says a side needs, and everything it names for it."""
    shown = CliRunner().invoke(app, ["match", "--help"], env={"COLUMNS": "100", "TERM": "dumb"}).output
    text = " ".join(re.sub(r"[│╭╰─╮╯*]", " ", shown).split())
    about = re.split(r" --[a-z]", text.split(f" {option} <path> ", 1)[1], maxsplit=1)[0].removesuffix(" [required]")
    needed, also = about.split("Needed: ", 1)[1].split(". Also: ")
    words = [set(re.findall(r"[a-z]+(?:_[a-z]+)*", part)) for part in (re.sub(r"\(.*?\)", "", needed), also)]
    return words[0], words[0] | words[1]


@pytest.mark.parametrize(
    ("option", "columns", "read"),
    [("--bank-lines", BANK_COLUMNS, read_bank_lines), ("--book-lines", BOOK_COLUMNS, read_book_lines)],
)
def test_help_lists_every_column_and_which_are_needed(
    tmp_path: Path, option: str, columns: tuple[str, ...], read: Callable[[Path], Side]
) -> None:
    needed, named = columns_in_help(option)
    assert named == set(columns)

    file = tmp_path / "lines.csv"
    file.write_text(",".join(sorted(needed)) + "\n", encoding="utf-8")
    assert read(file).findings == ()
    for left_out in needed:
        file.write_text(",".join(sorted(needed - {left_out})) + "\n", encoding="utf-8")
        with pytest.raises(MatchFileRefused, match=left_out):
            read(file)
