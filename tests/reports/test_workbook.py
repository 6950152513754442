"""Workbooks hold exact amounts, real dates and no formula, however long the report is."""

from __future__ import annotations

import re
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from money import Money, exponent_of
from money.amount import LARGEST_MINOR_UNITS
from reports.report_table import Column, ColumnType, Fact, ReportTable
from reports.tabular import write_report_csv
from reports.workbook import write_workbook

COLUMNS = (
    Column("what", "what", "内容"),
    Column("amount", "amount", "金额", ColumnType.MONEY),
    Column("on", "on", "日期", ColumnType.DATE),
    Column("at", "at", "时刻", ColumnType.INSTANT),
)
DANGEROUS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1", '=HYPERLINK("http://x")', "http://example.org", "123", "")  # fmt: skip


def table(rows: object, **more: object) -> ReportTable:
    return ReportTable("told", "Told", "所述", COLUMNS, rows, **more)  # type: ignore[arg-type]


def cells(path: Path, sheet: int = 0) -> list[list[object]]:
    return CalamineWorkbook.from_path(str(path)).get_sheet_by_index(sheet).to_python()


def amount_read(cell: object, currency: str) -> Money:
    """What a reader of the workbook takes from a cell: a double rounded to the decimals shown, or text with separators."""
    if isinstance(cell, str):
        return Money.parse(cell.replace(",", ""), currency)
    assert isinstance(cell, float)
    return Money(int(round(Decimal(repr(cell)), exponent_of(currency)).scaleb(exponent_of(currency))), currency)


@given(
    st.lists(
        st.builds(
            Money,
            st.integers(-LARGEST_MINOR_UNITS, LARGEST_MINOR_UNITS) | st.integers(-(10**15), 10**15),
            st.sampled_from(["CNY", "JPY", "BHD"]),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_every_amount_of_the_books_is_read_back_to_the_fen(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[Money]
) -> None:
    path = tmp_path_factory.mktemp("workbook") / "amounts.xlsx"
    write_workbook(path, [table([("x", amount, None, None) for amount in amounts])])

    read = [row[1] for row in cells(path) if row[0] == "x"]
    assert [amount_read(cell, amount.currency) for cell, amount in zip(read, amounts, strict=True)] == amounts
    for cell, amount in zip(read, amounts, strict=True):
        assert isinstance(cell, float) == (len(str(abs(amount.minor_units))) <= 15)


def test_amounts_a_spreadsheet_would_round_are_text_and_the_sheet_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    write_workbook(path, [table([("x", Money(LARGEST_MINOR_UNITS), None, None), ("x", Money(10**15 - 1), None, None)])])

    (largest, kept) = [row[1] for row in cells(path) if row[0] == "x"]
    assert (largest, kept) == ("92,233,720,368,547,758.07", 9999999999999.99)
    assert any("1 numbers have more than 15 digits" in str(row[0]) for row in cells(path))


def test_nothing_in_a_workbook_is_a_formula_or_a_link(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    write_workbook(path, [table([(text, Money(1), None, None) for text in DANGEROUS], facts=(Fact("k", "k", "k", "=1+1"),))])

    with zipfile.ZipFile(path) as parts:
        sheet = parts.read("xl/worksheets/sheet1.xml").decode()
        assert not any(
            "hyperlink" in parts.read(name).decode("utf-8", "replace").lower() for name in parts.namelist() if "rels" in name
        )
    assert re.search(r"<f[ >]", sheet) is None
    found = [row[0] for row in cells(path)]
    assert all(text in found for text in DANGEROUS if text.strip() and "\r" not in text)


def test_dates_and_instants_are_real_ones_in_shanghai(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    write_workbook(path, [table([("x", None, date(2025, 2, 28), datetime(2025, 2, 28, 16, 0, 5, tzinfo=UTC))])])
    (row,) = [row for row in cells(path) if row[0] == "x"]
    assert row[2:] == [date(2025, 2, 28), datetime(2025, 3, 1, 0, 0, 5)]


def test_a_report_longer_than_a_sheet_goes_on_visibly_and_loses_no_row(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    (written,) = write_workbook(
        path, [table((("r", Money(number), None, None) for number in range(25)), totals=(("total", Money(300), None, None),))],
        rows_of_a_sheet=15,
    )  # fmt: skip

    sheets = [cells(path, number) for number in range(len(written.sheets))]
    assert written.sheets == ("Told", "Told (2)", "Told (3)")
    assert all(len(sheet) <= 15 for sheet in sheets)
    assert [amount_read(row[1], "CNY").minor_units for sheet in sheets for row in sheet if row[0] == "r"] == list(range(25))
    assert "continues on sheet Told (2)" in sheets[0][-1]
    assert [row[1] for row in sheets[-1] if row[0] == "total"] == [3.0]


def test_headings_are_frozen_and_speak_both_languages(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    write_workbook(
        path, [table([("x", Money(1), None, None)], facts=(Fact("as_of", "as of", "截至", "2025-03-31"),))], language="zh"
    )
    with zipfile.ZipFile(path) as parts:
        assert 'state="frozen"' in parts.read("xl/worksheets/sheet1.xml").decode()
    rows = cells(path)
    assert rows[0][0] == "所述"
    assert rows[1][:2] == ["截至", "2025-03-31"]
    assert [column.zh for column in COLUMNS] in rows


def test_a_text_too_long_for_a_cell_is_cut_visibly_and_whole_in_the_csv(tmp_path: Path) -> None:
    long = "长" * 40_000
    write_workbook(tmp_path / "x.xlsx", [table([(long, None, None, None)])])
    write_report_csv(table([(long, None, None, None)]), tmp_path / "x.csv")
    assert any(str(row[0]).endswith("长…") for row in cells(tmp_path / "x.xlsx"))
    assert any("1 texts are longer" in str(row[0]) for row in cells(tmp_path / "x.xlsx"))
    assert long in (tmp_path / "x.csv").read_text(encoding="utf-8-sig")


def test_what_is_interrupted_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("before")

    def broken() -> object:
        yield ("x", Money(1), None, None)
        raise RuntimeError("the server went away")

    for write in (lambda: write_report_csv(table(broken()), path), lambda: write_workbook(path, [table(broken())])):
        with pytest.raises(RuntimeError):
            write()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["x.csv"]
