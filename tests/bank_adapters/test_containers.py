"""Files inside files: zip and gzip, several XML documents, pages, tables called .xls. Also that memory stays flat."""

from __future__ import annotations

import gzip
import io
import zipfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bank_adapters.line_store import LineStore
from bank_adapters.model import Direction, LineStatus, StatementFileReading, StatementLine
from bank_adapters.packing import pack_line
from bank_adapters.pages import join_reading
from bank_adapters.reading import read_statement_file
from benchmarks.statement_files import WRITERS, truth_of
from config.profiles import load_profiles
from money import Money

PROFILES = load_profiles()
GOLDEN = Path(__file__).parent / "golden"


def read(data: bytes | Path, name: str = "f") -> StatementFileReading:
    return read_statement_file(data, name, PROFILES)


def errors(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings if finding.severity == "error"]


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


CAMT = (GOLDEN / "camt053.xml").read_bytes()


def test_each_file_of_a_zip_is_read_and_a_bad_one_takes_no_other_down() -> None:
    plain = read(CAMT)
    reading = read(zipped(A__XML=CAMT, notes__txt=b"no statement at all\n", b__sta=(GOLDEN / "mt940-pages.sta").read_bytes()))
    pages = read((GOLDEN / "mt940-pages.sta").read_bytes())
    assert [one.accepted for one in reading.statements] == [
        *(one.accepted for one in plain.statements), False, *(one.accepted for one in pages.statements),
    ]  # fmt: skip
    assert not reading.accepted
    stand_in = len(plain.statements)
    (unread,) = [finding for finding in reading.findings if finding.severity == "error"]
    assert (unread.code, unread.statement, unread.member) == ("no_adapter", stand_in, "notes.txt")
    assert reading.statements[0] == plain.statements[0]


@pytest.mark.parametrize(
    "packed", [zipped(A__XML=CAMT), gzip.compress(CAMT), gzip.compress(CAMT[:500]) + gzip.compress(CAMT[500:])]
)
def test_a_packed_file_says_what_the_plain_one_says(packed: bytes) -> None:
    plain, reading = read(CAMT), read(packed)
    assert (reading.statements, reading.format, reading.accepted) == (plain.statements, "camt", plain.accepted)


def bomb() -> bytes:
    return zipped(a__xml=b" " * 60_000_000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bomb(), "archive_refused"),
        (gzip.compress(b" " * 60_000_000), "archive_refused"),
        (zipped(), "archive_empty"),
        (zipped(inner__zip=zipped(a__xml=CAMT)), "nested_archive"),
        (zipped(a__xml=CAMT)[:-40], "archive_refused"),
        (gzip.compress(CAMT)[:-20], "archive_refused"),
        (zipped(**{f"a{n}__txt": b"x" for n in range(1_001)}), "archive_refused"),
    ],
    ids=["zip bomb", "gzip bomb", "empty", "nested", "cut zip", "cut gzip", "too many files"],
)
def test_a_hostile_archive_is_a_finding(data: bytes, code: str) -> None:
    assert code in errors(read(data))


def test_an_encrypted_archive_is_refused_by_name() -> None:
    data = bytearray(zipped(a__xml=CAMT))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    reading = read(bytes(data))
    assert errors(reading) == ["archive_refused"]
    assert "encrypted" in reading.findings[0].message


def test_several_documents_in_one_file_are_all_read_with_true_line_numbers() -> None:
    one = CAMT.decode()
    two = one + "\n" + one.replace("<Id>", "<Id>X", 1)
    single, reading = read(CAMT), read(two.encode())
    assert len(reading.statements) == 2 * len(single.statements)
    shift = one.count("\n") + 1
    assert [line.line for line in reading.statements[-1].lines] == [line.line + shift for line in single.statements[-1].lines]
    assert "unknown_content" in errors(read((one + "stray").encode()))


ENVELOPE = (
    '<Saa:DataPDU xmlns:Saa="urn:swift:saa:xsd:saa.2.0"><Saa:Header/><Saa:Body>'
    '<AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.02"><MsgDefIdr>camt.053.001.08</MsgDefIdr></AppHdr>'
    "{document}</Saa:Body></Saa:DataPDU>"
)


def test_an_envelope_around_a_document_changes_nothing() -> None:
    body = CAMT.decode().partition("?>")[2].strip()
    plain = read(CAMT)
    for wrapped in (ENVELOPE.format(document=body), f"<BizMsgEnvlp>{body}</BizMsgEnvlp>"):
        reading = read(wrapped.encode())
        assert [len(one.lines) for one in reading.statements] == [len(one.lines) for one in plain.statements]
        assert reading.accepted == plain.accepted


def page(number: int, *amounts: str, last: bool, balances: str = "") -> str:
    entries = "".join(
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-03-02</Dt></BookgDt></Ntry>'
        for amount in amounts
    )
    return (
        f"<Stmt><Id>S1</Id><StmtPgntn><PgNb>{number}</PgNb><LastPgInd>{'true' if last else 'false'}</LastPgInd></StmtPgntn>"
        f"<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>EUR</Ccy></Acct>{balances}{entries}</Stmt>"
    )


def balance(code: str, amount: str) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
        "<Dt><Dt>2026-03-02</Dt></Dt></Bal>"
    )


def document(*statements: str) -> bytes:
    return f"<Document><BkToCstmrStmt>{''.join(statements)}</BkToCstmrStmt></Document>".encode()


def test_pages_without_balances_between_them_are_joined_and_must_balance_together() -> None:
    data = document(
        page(1, "1.00", last=False, balances=balance("OPBD", "10.00")), page(2, "2.00", last=False),
        page(3, "3.00", last=True, balances=balance("CLBD", "16.00")),
    )  # fmt: skip
    reading = read(data)
    assert (reading.accepted, len(reading.statements)) == (True, 3)
    (joined,) = join_reading(reading).statements
    assert [line.amount.plain for line in joined.lines] == ["1.00", "2.00", "3.00"]
    assert (joined.opening_balance, joined.closing_balance) == (Money(1000, "EUR"), Money(1600, "EUR"))
    wrong = read(data.replace(b"16.00", b"16.01"))
    assert not any(one.accepted for one in wrong.statements)
    assert "balance_identity" in errors(wrong)


def test_a_page_that_never_comes_refuses_the_statement() -> None:
    reading = read(document(page(1, "1.00", last=False, balances=balance("OPBD", "10.00"))))
    assert "page_missing" in errors(reading)


HTML = """<html><head><meta charset="utf-8"><style>td {mso: x}</style></head><body>
<table border=1><tr><td colspan="2">China Construction Bank</td></tr>
<tr><td>币种：</td><td>人民币</td><td>账号：</td><td>6217000000001234567</td></tr>
<tr><th>记账日</th><th>交易日期</th><th>交易时间</th><th>支出</th><th>收入</th><th>账户余额</th><th>币种</th><th>摘要</th><th>对方账号</th>
<th>对方户名</th><th>交易地点</th></tr>
<tr><td>20260302<td>20260302<td>09:00:00<td><td>1,000.00<td>1,500.00<td>人民币元<td>转账&nbsp;存入<td>6222000000000000001<td>王芳 &amp; 李<td></tr>
</table></body></html>
"""


def test_a_table_called_xls_that_is_html_is_read_by_profile() -> None:
    reading = read(HTML.replace("人民币元", "人民币").encode(), "statement.xls")
    assert (reading.format, reading.profile, reading.accepted) == ("html", "ccb", True)
    (line,) = reading.statements[0].lines
    assert (line.direction, line.amount.plain, line.counterparty_name) == (Direction.IN, "1000.00", "王芳 & 李")
    assert "sheet_unreadable" in errors(read(HTML[: HTML.index("</table>")].encode()))


SPREADSHEET = """<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>
<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">
<Worksheet ss:Name="S"><Table>
<Row><Cell><Data ss:Type="String">交易日期</Data></Cell><Cell><Data ss:Type="String">摘要</Data></Cell>
<Cell><Data ss:Type="String">支出金额</Data></Cell><Cell><Data ss:Type="String">收入金额</Data></Cell>
<Cell><Data ss:Type="String">账户余额</Data></Cell><Cell><Data ss:Type="String">对方户名</Data></Cell>
<Cell><Data ss:Type="String">对方账号</Data></Cell><Cell><Data ss:Type="String">交易渠道</Data></Cell>
<Cell><Data ss:Type="String">备注</Data></Cell></Row>
<Row><Cell><Data ss:Type="DateTime">2026-03-02T00:00:00.000</Data></Cell><Cell><Data ss:Type="String">代付</Data></Cell>
<Cell ss:Index="4"><Data ss:Type="Number">12.5</Data></Cell><Cell><Data ss:Type="Number">112.5</Data></Cell></Row>
</Table></Worksheet></Workbook>
"""


def test_spreadsheetml_is_read_by_profile_and_refused_with_a_doctype() -> None:
    reading = read(SPREADSHEET.encode(), "statement.xls")
    assert (reading.format, reading.profile) == ("spreadsheetml", "psbc")
    (line,) = reading.statements[0].lines
    assert (line.booking_date, line.direction, line.amount.plain) == (date(2026, 3, 2), Direction.IN, "12.50")
    evil = SPREADSHEET.replace("<Workbook", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><Workbook', 1)
    assert errors(read(evil.replace("代付", "&e;").encode()))


def _lines(count: int) -> list[StatementLine]:
    zone, offset = ZoneInfo("Asia/Shanghai"), timezone(timedelta(hours=2))
    return [
        StatementLine(
            date(2026, 3, 2) if n % 5 else None, date(2026, 3, 3) if n % 7 else None, list(Direction)[n % 3], Money(n, "EUR"),
            list(LineStatus)[n % 3], n, f"B{n}", None, (f"B{n}", "r"), "名", None, "text", bool(n % 2), "NTRF",
            Money(-n, "EUR") if n % 4 else None,
            datetime(2026, 3, 2, 1, 2, 3, n % 1000, tzinfo=(zone, offset, None)[n % 3]) if n % 2 else None, "raw", None,
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("in_memory", [0, 10, 5_000])
def test_a_store_gives_back_every_line_wherever_it_keeps_it(in_memory: int) -> None:
    lines = _lines(2_345)
    store = LineStore(in_memory)
    for line in lines:
        store.append(line)
    assert list(store) == lines
    assert list(reversed(store)) == list(store[::-1]) == lines[::-1]
    assert (store[0], store[-1], store[1_234], store[::-1][0]) == (lines[0], lines[-1], lines[1_234], lines[-1])
    assert store[1_000:1_020] == tuple(lines[1_000:1_020])
    assert store.settled() == tuple(lines)
    with pytest.raises(IndexError):
        _ = store[len(lines)]


@pytest.mark.parametrize("in_memory", [0, 10, 5_000])
def test_lines_given_as_plain_values_are_counted_and_come_back_as_the_same_lines(in_memory: int) -> None:
    lines = _lines(2_345)
    of_lines, of_values = LineStore(5_000), LineStore(in_memory)
    for number, line in enumerate(lines):
        of_lines.append(line)
        of_values.append_packed(pack_line(line))
        if number % 700 == 0:  # a tally asked for in between counts nothing twice
            assert of_values.tally == of_lines.tally
    assert of_values.tally == of_lines.tally
    assert list(of_values) == lines
    assert (of_values[-1], of_values[::-1][1]) == (lines[-1], lines[-2])


@pytest.mark.parametrize("kind", WRITERS)
def test_a_long_file_is_read_exactly_from_its_path(kind: str, tmp_path: Path) -> None:
    rows = 7_000
    path = tmp_path / "long"
    WRITERS[kind](path, rows)
    reading = read(path)
    assert reading.accepted
    (statement,) = reading.statements
    truth = truth_of(rows)
    moved = [(line.direction, line.amount.minor_units) for line in statement.lines]
    assert len(moved) == len(statement.lines) == truth.lines
    assert sum(units for direction, units in moved if direction is Direction.IN) == truth.total_in
    assert sum(units for direction, units in moved if direction is Direction.OUT) == truth.total_out
    assert statement == read(path.read_bytes()).statements[0]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_wrong_running_balance_far_down_a_long_file_is_found_in_its_line(newest_first: bool, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    WRITERS["delimited"](path, 7_500)
    lines = path.read_text(encoding="utf-8").split("\n")
    head = next(index for index, line in enumerate(lines) if line.startswith("txn_date")) + 1
    rows = lines[head:-1][:: -1 if newest_first else 1]
    cells = rows[6_400].split(",")
    cells[6] = "1.00"
    rows[6_400] = ",".join(cells)
    path.write_text("\n".join([*lines[:head], *rows, ""]), encoding="utf-8")
    found = [finding.line for finding in read(path).findings if finding.code == "running_balance"]
    wrong = head + 6_401  # the row itself, and the one that follows it in time
    assert sorted(filter(None, found)) == sorted([wrong, wrong - 1 if newest_first else wrong + 1])


def test_a_sheet_with_two_cells_far_apart_is_refused_before_it_takes_memory() -> None:
    sheet = b'<worksheet><sheetData><row r="1"><c r="A1"/></row><row r="1048576"><c s="1" r="XFD1048576"/></row></sheetData></worksheet>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    reading = read(buffer.getvalue())
    assert errors(reading) == ["sheet_unreadable"]
    assert "reaches to row 1048576" in reading.findings[0].message


def test_a_damaged_stream_inside_a_sheet_is_a_finding() -> None:
    """Found by the damage run: zlib's own error came out of the archive check as internal_error."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(range(256)) * 40)
    data = bytearray(buffer.getvalue())
    at = data.index(b"sheet1.xml") + 12
    for shift in range(40):
        copy = bytearray(data)
        copy[at + shift] ^= 0xFF
        assert errors(read(bytes(copy))) == ["sheet_unreadable"], shift


@pytest.mark.parametrize("data", [b"", b" \n\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_file_of_nothing_is_called_empty(data: bytes) -> None:
    assert errors(read(data)) == ["file_empty"]


def test_a_name_in_an_archive_cannot_play_with_the_screen() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("对账单\u3000\u202egpj.\x1b[2Jxml", b"nothing")
    assert {finding.member for finding in read(buffer.getvalue()).findings} == {"对账单\u3000\\u202egpj.\\x1b[2Jxml"}
