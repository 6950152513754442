"""Lines of findings and movements in files that hold more of them than an XML node can (65,535), or all rows in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bank_adapters.delimited.markup import markup_sheets
from bank_adapters.reading import read_statement_file
from benchmarks.statement_files import WRITERS
from config.profiles import load_profiles

PROFILES = load_profiles()


@pytest.mark.parametrize("careful", [False, True])
def test_entries_of_an_indented_camt_file_stand_where_they_are_said_to(tmp_path: Path, careful: bool) -> None:
    WRITERS["camt"](tmp_path / "x", 120)
    text = (tmp_path / "x").read_text(encoding="utf-8").replace("<BkToCstmrStmt>", "<BkToCstmrStmt>" + "\n" * 200_000, 1)
    text = re.sub(r"><(?!/)", ">\n\n  <", text)
    if careful:
        text = text.replace("<BkTxCd>", "<!-- not cut out -->\n<BkTxCd>")
    last = text.rindex("<Ntry>")
    broken = text[:last] + text[last:].replace("<BookgDt>", "<BookgDt>\n<!-- x -->", 1).replace("<Dt>2026-01", "<Dt>2026-13", 1)
    for each, codes in ((text, set()), (broken, {"date_unreadable"})):
        reading = read_statement_file(each.encode(), "x", PROFILES)
        (statement,) = reading.statements
        assert [line.line for line in statement.lines] == [
            each.count("\n", 0, at.start()) + 1 for at in re.finditer("<Ntry>", each)
        ]
        assert {finding.code for finding in reading.findings} == codes
    assert [finding.line for finding in reading.findings] == [broken.count("\n", 0, broken.index("<BookgDt>", last)) + 1]


def test_rows_of_a_long_spreadsheetml_file_stand_where_they_are_said_to() -> None:
    row = '<Row>\n<Cell><Data ss:Type="String">a</Data></Cell>\n</Row>\n'
    text = (
        '<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
        'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet ss:Name="a"><Table>\n'
        + row * 30_000 + "</Table></Worksheet></Workbook>"
    )  # fmt: skip
    (sheet,) = markup_sheets(text, "spreadsheetml")
    assert [each.line for each in sheet.rows] == list(range(2, 90_002, 3))


def test_a_page_in_one_line_is_read_like_one_in_many() -> None:
    rows = (Path(__file__).parent / "golden" / "lotus.csv").read_text(encoding="utf-8-sig").splitlines()
    cells = [re.findall(r'"[^"]*"|[^,]+|(?<=,)(?=,|$)', row) for row in rows]
    page = ["<tr>" + "".join(f"<td>{cell.strip(chr(34))}</td>" for cell in row) + "</tr>" for row in cells]
    many, one = (
        read_statement_file(f"<html><body><table>{end.join(page)}</table></body></html>".encode(), "x", PROFILES)
        for end in ("\n", "")
    )
    assert many.accepted
    assert one.accepted
    assert [(line.amount, line.direction, line.booked_at) for line in one.statements[0].lines] == [
        (line.amount, line.direction, line.booked_at) for line in many.statements[0].lines
    ]
