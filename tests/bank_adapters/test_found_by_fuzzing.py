"""Files that broke a promise once: found by damaging samples, by the guided fuzzer, or by looking for what they could not reach."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from pathlib import Path

import pytest

from bank_adapters.delimited.sheets import SheetRefused, sheets_of
from bank_adapters.model import StatementFileReading
from bank_adapters.reading import read_statement_file
from bank_adapters.worker import Limits, ReadingWorker
from config.profiles import load_profiles

PROFILES = load_profiles()
GOLDEN = Path(__file__).parent / "golden"


def read(data: bytes) -> StatementFileReading:
    return read_statement_file(data, "found", PROFILES)


def errors(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings if finding.severity == "error"]


@pytest.mark.parametrize("many", ["<!---->", "<?a?>", "<!---->\n<?a?>"])
@pytest.mark.parametrize("after", ["x", "<x", "<table", "<!DOCTYPE x>"])
def test_many_comments_before_a_page_or_a_document_type_take_no_time(many: str, after: str) -> None:
    """Two to the power of their number ways to tell them apart were tried: forty would have taken hours."""
    started = time.process_time()
    assert not read((many * 4_000 + after).encode()).accepted
    assert time.process_time() - started < 2


@pytest.mark.parametrize("mark", ["<!--", "<?", "<", "<NAME>", "<A "])
def test_unclosed_marks_in_ofx_take_no_time(mark: str) -> None:
    """Each was searched to the end of the text, and text without a tag was read again with every piece of the file."""
    data = ("OFXHEADER:100\n\n<OFX>" + mark * (1_500_000 // len(mark))).encode()
    started = time.process_time()
    assert "truncated" in errors(read(data))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("broken", ["<![", "<![x", "<!x[", "<![if"])
def test_a_broken_declaration_in_html_is_a_finding(broken: str) -> None:
    """The standard library's tokenizer raises an AssertionError for it."""
    assert errors(read(f"<html><table><tr><td>a</td></tr>{broken}</table>".encode())) in (["sheet_unreadable"], ["no_adapter"])


def test_an_interim_report_cut_anywhere_is_never_taken_with_fewer_lines() -> None:
    whole = (GOLDEN / "mt942.sta").read_bytes()
    lines = read(whole).statements[0].lines
    taken = [cut for cut in range(len(whole)) if (reading := read(whole[:cut])).accepted and reading.statements[0].lines != lines]
    assert taken == []


@pytest.mark.parametrize("blank", ["\x0c", " ", "\t", "\u00a0"])
def test_a_blank_before_a_statement_line_of_mt940_is_a_finding(blank: str) -> None:
    """The line reads without it, and what it was joined with was looked for among no lines."""
    data = (GOLDEN / "mt942.sta").read_text(encoding="utf-8").replace(":61:", f":61:{blank}", 1)
    assert errors(read(data.encode())) == ["line_unreadable", "control_count", "control_total"]


@pytest.mark.parametrize("code", ["CIiNY", "cny", "人民币", "E UR", "X" * 5_000])
@pytest.mark.parametrize("place", ["<Ccy>CNY</Ccy>", 'Ccy="CNY"'])
def test_a_currency_that_is_none_is_a_finding_wherever_camt_has_it(code: str, place: str) -> None:
    """The account's currency was taken unread, and the decimals of a control sum asked for by it."""
    data = (GOLDEN / "camt053.xml").read_text(encoding="utf-8")
    data = data.replace("</Acct>", "<Ccy>CNY</Ccy></Acct>", 1) if "<Ccy>" not in data else data
    assert place in data
    reading = read(data.replace(place, place.replace("CNY", code)).encode())
    assert "currency_unknown" in errors(reading)
    assert "internal_error" not in errors(reading)


def test_a_file_without_a_name_in_a_zip_is_one_like_others() -> None:
    """The standard library looks at the last letter of a name that has none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", (GOLDEN / "mt942.sta").read_bytes())
    data = buffer.getvalue()
    entry = data.rindex(b"PK\x01\x02")
    nameless = bytearray(data[: entry + 46] + data[entry + 47 :])
    nameless[entry + 28 : entry + 30] = b"\x00\x00"  # the length of the name in the directory
    nameless[-10:-6] = struct.pack("<I", 46)  # the size of the directory
    reading = read(bytes(nameless))
    assert "internal_error" not in errors(reading)
    assert errors(reading) == ["archive_refused"]  # the two places of the name differ


# -- workbooks -----------------------------------------------------------------------------------------------------------


def workbook(sheet: bytes, path: str = "xl/worksheets/sheet1.xml", **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr(path, b"<worksheet><sheetData>" + sheet + b"</sheetData></worksheet>")
        for name, content in more.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "cell",
    [
        b'<c r="IWWWWWWWWW11" t="inlineStr"/>',  # asked for 786 GB
        b'<c r="xfd1048576"/>',
        b"<x:c r = 'XFD1048576'/>",
        b'<c note="' + b"n" * 300 + b'" r="XFD1048576"/>',
        b'<c note=">" r="XFD1048576"/>',
        b'<c note="<" r="XFD1048576"/>',
        b'<c r="XFD&#49;048576"/>',
        b'<c r="A1" r="XFD1048576"/>',
        b'<row r="1048576"><c r="XFD1"/><c/></row>',
    ],
)
@pytest.mark.parametrize("path", ["xl/worksheets/sheet1.xml", "xl/elsewhere.bin"])
def test_a_cell_far_away_is_seen_however_it_is_written_and_wherever_the_sheet_lies(cell: bytes, path: str) -> None:
    with pytest.raises(SheetRefused, match=r"reaches to row|not written plainly"):
        sheets_of(workbook(b'<row r="1"><c r="A1"/>' + cell + b"</row>", path), "xlsx")


def test_many_sheets_together_may_not_hold_more_cells_than_one() -> None:
    corner = b'<sheetData><row r="1"><c r="A1"/></row><row r="40000"><c r="CV40000"/></row></sheetData>'
    with pytest.raises(SheetRefused, match="more than 5000000 cells"):
        sheets_of(workbook(corner, xl__worksheets__sheet2_xml=corner), "xlsx")


def test_a_workbook_of_another_kind_inside_an_xlsx_is_refused() -> None:
    with pytest.raises(SheetRefused, match="not only .xlsx"):
        sheets_of(workbook(b"", xl__workbook_bin=b"x"), "xlsx")


def test_empty_rows_at_the_end_of_a_sheet_count_for_nothing() -> None:
    """Spreadsheet programs write rows that are only hidden or formatted."""
    with pytest.raises(SheetRefused) as refused:
        sheets_of(workbook(b'<row r="1"><c s="1" r="J1"/></row><row r="1048576" hidden="1"/>'), "xlsx")
    assert "reaches" not in str(refused.value)  # the library refuses this small thing for what it lacks


def xls(*cells: tuple[int, int]) -> bytes:
    """A workbook of BIFF8 with one sheet and a number in each of ``cells`` (row, column), in its compound file."""

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    begin = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 1996, 0, 6))
    bound = len(begin) + 4 + 4 + 4 + 1 + 1 + 4
    book = begin + record(0x85, struct.pack("<IBBBB", bound, 0, 0, 1, 0) + b"S") + b"\n\x00\x00\x00"
    book = book.ljust(bound, b"\x00")
    book += record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 1996, 0, 6))
    book += b"".join(record(0x203, struct.pack("<HHHd", row, column, 0, 1.5)) for row, column in cells) + b"\n\x00\x00\x00"
    stream = book.ljust(4096, b"\x00")
    free, end, table = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH6xIIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, end, 0, end, 0, 0)
    )
    header = header.ljust(512, b"\xff")
    chain = struct.pack("<128I", table, end, *range(3, 10), end, *[free] * 118)

    def entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
        text = name.encode("utf-16-le") + b"\x00\x00"
        return text.ljust(64, b"\x00") + struct.pack("<HBBIII36xII4x", len(text), kind, 1, free, free, child, first, size)

    directory = entry("Root Entry", 5, 1, end, 0) + entry("Workbook", 2, free, 2, len(stream)) + bytes(256)
    return header + chain + directory + stream


def test_the_workbook_made_here_is_one() -> None:
    (sheet,) = sheets_of(xls((0, 0), (1, 2)), "xls")
    assert [row.cells for row in sheet.rows] == [("1.5", "", ""), ("", "", "1.5")]


def test_a_panic_of_the_sheet_library_is_a_finding() -> None:
    """A file cut inside its directory: the library panics, and what Rust panics with is no Exception."""
    assert errors(read(xls((0, 0))[:1100])) == ["sheet_unreadable"]


def test_a_sheet_that_would_take_all_memory_ends_the_worker_and_nothing_else() -> None:
    """Five kilobytes whose two cells make the library ask for 100 GB, or for less than what the machine has: both are refused."""
    worker = ReadingWorker(PROFILES, Limits(memory_bytes=256 * 1024 * 1024))
    try:
        assert errors(worker.read(xls((0, 0), (65535, 65535)), "far.xls")) == ["limit_reached"]
        assert errors(worker.read(xls((0, 0), (65535, 255)), "near.xls")) == ["limit_reached"]
        golden = (GOLDEN / "mt942.sta").read_bytes()
        assert worker.read(golden, "next") == read_statement_file(golden, "next", PROFILES)
    finally:
        worker.close()


def test_a_sheet_of_more_cells_than_are_read_is_refused_before_they_become_objects() -> None:
    with pytest.raises(SheetRefused, match="65536 rows and 100 columns"):
        sheets_of(xls((0, 0), (65535, 99)), "xls")


WALLET = """微信支付账单明细,,,,,,,,,,
微信昵称：[测试],,,,,,,,,,
起始时间：[2026-03-01 00:00:00] 终止时间：[2026-03-02 23:59:59],,,,,,,,,,
共3笔记录,,,,,,,,,,
交易时间,交易类型,交易对方,商品,收/支,金额(元),支付方式,当前状态,交易单号,商户单号,备注
2026-03-02 12:00:00,商户消费,甲,课,支出,¥28.16,零钱,支付成功,4201,M1,/
2026-03-01 12:00:00,商户消费,乙,课,支出,¥11.00,零钱,支付成功,4202,M2,/
2026-03-01 11:00:00,商户消费,丙,课,支出,¥12.00,零钱,支付成功,4203,M3,/
"""


@pytest.mark.parametrize(("rows", "told"), [(3, []), (2, ["the head of the file counts 3 rows, 2 are here"])])
def test_rows_a_wallet_counts_in_its_head_are_missed(rows: int, told: list[str]) -> None:
    """A cut export was accepted without a word. Its head is no control total (it counts rows the export leaves out)."""
    reading = read("".join(WALLET.splitlines(keepends=True)[: 5 + rows]).encode())
    assert reading.accepted
    assert [finding.message.split(":")[0] for finding in reading.findings if finding.code == "head_count"] == told
