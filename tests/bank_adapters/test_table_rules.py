"""Delimited files and spreadsheets by profile: claims, directions, totals, order, ragged rows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import date

import pytest

from bank_adapters.amounts import parse_marked_amount
from bank_adapters.delimited.moves import Move, Moves
from bank_adapters.findings import Findings
from bank_adapters.limits import MAX_LINE_CHARACTERS
from bank_adapters.model import Direction, StatementFileReading
from bank_adapters.profile import Column, ColumnField, DirectionRule, Fact, LabelledFact, Profile, ProfileFormat, TableLayout
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()
NORTH = """北江银行对公账户交易明细
账号,110200300
币种,人民币
对账单序号,17
截止日期,2026-03-02
期初余额,"1,000.00"
交易日期,交易时间,流水号,借贷标志,交易金额,账户余额,对方户名,对方账号,商户订单号,摘要
2026-03-02,09:30:01,B1,贷,"1,234.56","2,234.56",张三,622200001111,E-1,学费
2026-03-02,09:31:00,B2,借,34.56,"2,200.00",李四,622200002222,E-2,退费
2026-03-02,09:32:00,B3,借,-34.56,"2,234.56",李四,622200002222,E-2,冲正
合计,合计笔数：3,借方笔数：2,借方金额：0.00,贷方笔数：1,"贷方金额：1,234.56","期末余额：2,234.56"
"""


def read(text: str, profile_id: str | None = None, encoding: str = "gb18030") -> StatementFileReading:
    return read_statement_file(text.encode(encoding), "file.csv", PROFILES, profile_id)


def codes(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings if finding.code != "encoding_guessed"]


def test_a_whole_file_is_read_with_its_facts() -> None:
    reading = read(NORTH)
    (statement,) = reading.statements
    assert (reading.profile, reading.accepted, codes(reading)) == ("north-river", True, [])
    assert (statement.account, statement.currency, statement.sequence) == ("110200300", "CNY", "17")
    assert str(statement.closing_balance) == "CNY 2,234.56"


@pytest.mark.parametrize("day", ["2026/3/2", "2026/03/02", "20260302", "2026.03.02", "2026年3月2日"])
def test_days_a_spreadsheet_wrote_anew_are_read_while_the_year_comes_first(day: str) -> None:
    reading = read(NORTH.replace("\n2026-03-02,", f"\n{day},"))
    assert (reading.accepted, codes(reading)) == (True, [])
    assert [line.booking_date for line in reading.statements[0].lines] == [date(2026, 3, 2)] * 3


@pytest.mark.parametrize("day", ["02/03/2026", "26-03-02", "3/2", "2026-13-02", "46083"])
def test_days_that_could_be_read_in_two_ways_are_refused(day: str) -> None:
    reading = read(NORTH.replace("\n2026-03-02,09:31", f"\n{day},09:31"))
    assert (reading.accepted, codes(reading)) == (False, ["date_unreadable"])


def test_a_negative_debit_is_a_reversal_that_puts_money_back() -> None:
    line = read(NORTH).statements[0].lines[2]
    assert (line.direction, line.reversal, line.amount.minor_units) == (Direction.IN, True, 3456)


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ('34.56,"2,200.00"', '34.57,"2,200.00"', "running_balance", 9),
        ("借方笔数：2", "借方笔数：3", "control_count", 11),
        ("贷方金额：1,234.56", "贷方金额：1,234.57", "control_total", 11),
        ("期末余额：2,234.56", "期末余额：2,234.57", "balance_identity", 11),
        ("B2,借", "B2,付", "direction_unreadable", 9),
        ('34.56,"2,200', '３4.56,"2,200', "amount_unreadable", 9),
        ('34.56,"2,200', 'NaN,"2,200', "amount_unreadable", 9),
        ('34.56,"2,200', '1e3,"2,200', "amount_unreadable", 9),
        ('"1,234.56","2,234', '"12,34.56","2,234', "amount_unreadable", 8),
        ('34.56,"2,200', '34.561,"2,200', "amount_decimals", 9),
        ('34.56,"2,200', ',"2,200', "amount_missing", 9),
        ("2026-03-02,09:31", "2026-13-02,09:31", "date_unreadable", 9),
        ("2026-03-02,09:31", ",09:31", "date_missing", 9),
        (",李四,622200002222,E-2,退费", ",李四", "short_row", 9),
        (",E-2,退费", ",E-2,退费,更多", "long_row", 9),
        ("\n合计,", "\n页码 1/2\n合计,", "short_row", 11),
        ('期初余额,"1,000.00"\n', "", "fact_missing", 6),
        ("622200002222,E-2,退费", "6.222E+15,E-2,退费", "float_reference", 9),
        ("币种,人民币", "币种,金币", "currency_unknown", 3),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_line(old: str, new: str, code: str, line: int) -> None:
    assert old in NORTH
    reading = read(NORTH.replace(old, new, 1))
    assert not reading.accepted
    assert (code, line) in [(finding.code, finding.line) for finding in reading.findings]


def test_a_file_without_its_footer_is_cut_short() -> None:
    reading = read(NORTH[: NORTH.index("合计,")])
    assert {"footer_missing", "fact_missing"} <= set(codes(reading))
    assert not reading.accepted


def test_rows_after_the_footer_are_accounted_for() -> None:
    assert codes(read(NORTH + "2026-03-02,,B4,贷,1.00,1.00,,,,\n")) == ["after_footer"]


def test_two_statements_in_one_file_are_refused_not_merged() -> None:
    reading = read(NORTH + NORTH)
    assert not reading.accepted
    assert {finding.line for finding in reading.findings if finding.code == "after_footer"} == set(range(12, 22))


def test_blank_lines_spaces_tabs_and_full_width_brackets_do_not_matter() -> None:
    padded = NORTH.replace("张三,", " 张三 \t,").replace("B2,", "B2  ,").replace("账户余额", "账户 余额").replace("\n", "\n\n")
    padded = padded.replace('"2,200.00"', '" 2,200.00\t"').replace("借,34", "借 , 34").replace("账号,1", "账　号：,1")
    assert read(padded).accepted


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_encoding_is_found_by_the_bytes(encoding: str, end: str) -> None:
    reading = read(NORTH.replace("\n", end), encoding=encoding)
    assert reading.accepted
    assert reading.statements == read(NORTH).statements


def test_a_column_nobody_knows_means_nobody_claims_the_file() -> None:
    reading = read(NORTH.replace("商户订单号,摘要", "商户订单号,冲正标志"))
    assert codes(reading) == ["no_adapter"]
    assert "north-river" in reading.findings[-1].message
    assert "冲正标志" in reading.findings[-1].message


def test_the_wrong_profile_is_refused_saying_why() -> None:
    reading = read(NORTH, "lotus")
    assert codes(reading) == ["wrong_profile"]
    assert "记账时间" in reading.findings[0].message


def test_an_unknown_profile_is_refused_naming_those_there_are() -> None:
    reading = read(NORTH, "atlantis")
    assert codes(reading) == ["unknown_profile"]
    assert "north-river" in reading.findings[0].message


def test_two_profiles_that_claim_one_file_are_an_error_naming_both() -> None:
    north = next(profile for profile in PROFILES if profile.id == "north-river")
    reading = read_statement_file(NORTH.encode(), "x", (north, replace(north, id="south-river")))
    assert codes(reading) == ["two_adapters"]
    assert "north-river" in reading.findings[0].message
    assert "south-river" in reading.findings[0].message
    assert read_statement_file(NORTH.encode(), "x", (north, replace(north, id="south-river")), "south-river").accepted


SMALL = TableLayout(
    columns=(
        Column(name="date", field=ColumnField.BOOKING_DATE),
        Column(name="in", field=ColumnField.AMOUNT_IN),
        Column(name="out", field=ColumnField.AMOUNT_OUT),
        Column(name="balance", field=ColumnField.RUNNING_BALANCE),
    ),
    direction=DirectionRule.TWO_COLUMNS,
    preamble=(LabelledFact(label="account", fact=Fact.ACCOUNT),),
)


def small(*rows: str, layout: TableLayout = SMALL) -> StatementFileReading:
    profile = Profile(id="small", version=1, title="small", format=ProfileFormat.TABLE, table=layout)
    return read_statement_file("\n".join(("account,7", "date,in,out,balance", *rows, "")).encode(), "x", (profile,))


def test_the_order_is_told_by_the_balances_not_by_the_profile() -> None:
    rows = ("2026-03-01,5.00,,5.00", "2026-03-01,,2.00,3.00", "2026-03-01,1.00,,4.00")
    forwards, backwards = small(*rows), small(*rows[::-1])
    assert forwards.accepted
    assert backwards.accepted
    assert not forwards.statements[0].newest_first
    assert backwards.statements[0].newest_first
    for reading in (forwards, backwards):
        statement = reading.statements[0]
        assert (str(statement.opening_balance), str(statement.closing_balance)) == ("CNY 0.00", "CNY 4.00")
        assert [line.amount.minor_units for line in statement.lines_in_booking_order] == [500, 200, 100]


def test_a_chain_that_fits_no_order_is_refused_and_gives_no_balances() -> None:
    reading = small("2026-03-01,5.00,,5.00", "2026-03-01,,2.00,9.00", "2026-03-01,1.00,,4.00")
    assert {"order_undecided", "running_balance", "opening_missing"} <= set(codes(reading))
    assert reading.statements[0].opening_balance is None


def test_amounts_in_both_columns_are_refused_and_a_zero_beside_an_amount_is_not() -> None:
    assert set(codes(small("2026-03-01,5.00,1.00,5.00"))) == {"both_columns", "opening_missing", "closing_missing"}
    assert small("2026-03-01,5.00,0.00,5.00", "2026-03-01,0,2.00,3.00").accepted


def test_duplicates_are_two_payments() -> None:
    reading = small("2026-03-01,5.00,,5.00", "2026-03-01,5.00,,10.00")
    assert reading.accepted
    assert len(reading.statements[0].lines) == 2


def test_a_quotation_mark_never_closed_is_named_with_its_line() -> None:
    reading = small("2026-03-01,5.00,,5.00", '2026-03-01,"1.00,,6.00', *("2026-03-01,1.00,,7.00",) * 9)
    assert ("unclosed_quote", 4) in [(finding.code, finding.line) for finding in reading.findings]
    assert not reading.accepted


def test_short_rows_are_read_only_where_the_bank_writes_them_so() -> None:
    rows = ("2026-03-01,5.00,,5.00", "2026-03-01,5.00")
    assert not small(*rows).accepted
    assert "short_row_allowed" in codes(small(*rows, layout=replace(SMALL, short_rows=True)))


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in members.items():
            book.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def test_a_spreadsheet_that_inflates_without_end_is_refused() -> None:
    bomb = archive(**{"[Content_Types].xml": b"<x/>", "xl__workbook.xml": b" " * 60_000_000})
    assert len(bomb) < 100_000
    reading = read_statement_file(bomb, "bomb.xlsx", PROFILES)
    assert codes(reading) == ["sheet_unreadable"]
    assert "inflates" in reading.findings[0].message


@pytest.mark.parametrize(
    "data", [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, archive(xl__workbook=b"<x/>"), b"PK\x03\x04 xl/workbook"]
)
def test_a_broken_spreadsheet_is_a_finding(data: bytes) -> None:
    reading = read_statement_file(data, "broken.xls", PROFILES)
    assert codes(reading) == ["sheet_unreadable"]
    assert not reading.accepted


@pytest.mark.parametrize(
    ("cell", "direction"), [("\u00a5 -5.00", Direction.OUT), ("\u00a5-5.00", Direction.OUT), ("\u00a5 5.00", Direction.IN)]
)
def test_a_blank_behind_a_currency_sign_does_not_hide_that_money_went_out(cell: str, direction: Direction) -> None:
    column = Column(name="amount", field=ColumnField.AMOUNT)
    layout = TableLayout(columns=(column,), direction=DirectionRule.SIGNED, amount_signs=("\u00a5",))
    assert Moves(layout, Findings()).read({"amount": cell}, "CNY", 1) == Move(500, direction, reversal=False)


NONSENSE = {
    "empty": b"", "blank": b" \r\n\t", "zeros": b"\x00" * 5000, "noise": bytes(range(256)) * 20, "gzip": b"\x1f\x8b\x08xxxx",
    "pdf": b"%PDF-1.7", "ofx": b"OFXHEADER:100\n", "bai2": b"01,A,B,260302,0000,1,,,2/\n", "html": b"<!DOCTYPE html><table></table>",
    "half utf-16": b"\xff\xfe\x3a", "lone surrogate": ":20:\ud800".encode("utf-16-le", "surrogatepass"),
    "one huge line": b"a" * (MAX_LINE_CHARACTERS + 10), "huge mt940 line": b":20:R\n:86:" + b"x" * (MAX_LINE_CHARACTERS + 10),
    "tags only": b":20:\n" * 3000, "minus signs": b"-\n" * 3000, "braces": b"{1:" * 5000, "quotes": b'"' * 5000, "commas": b"," * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
def test_whatever_the_bytes_there_is_a_finding_and_no_exception(data: bytes) -> None:
    for profile_id in (None, "mt940", "camt053", "north-river"):
        reading = read_statement_file(data, "x", PROFILES, profile_id)
        assert not reading.accepted
        assert reading.findings
        assert "internal_error" not in codes(reading)


def test_a_flood_of_the_same_finding_is_counted_not_listed() -> None:
    reading = small(*("2026-03-01,x,,5.00",) * 500)
    found = [finding for finding in reading.findings if finding.code == "amount_unreadable"]
    assert len(found) == 100
    (more,) = [finding for finding in reading.findings if finding.code == "more_findings"]
    assert "400" in more.message


CONTINENTAL = Profile(
    id="continental", version=1, title="Continental", format=ProfileFormat.TABLE,
    table=TableLayout(
        columns=(
            Column(name="Buchungstag", field=ColumnField.BOOKING_DATE), Column(name="Betrag", field=ColumnField.AMOUNT),
            Column(name="Saldo", field=ColumnField.RUNNING_BALANCE),
        ),
        direction=DirectionRule.SIGNED, delimiter=";", decimal=",", thousands=".", currency="EUR", date_formats=("DD.MM.YYYY",),
        preamble=(
            LabelledFact(label="Konto", fact=Fact.ACCOUNT), LabelledFact(label="Anfangssaldo", fact=Fact.OPENING_BALANCE),
            LabelledFact(label="Endsaldo", fact=Fact.CLOSING_BALANCE),
        ),
    ),
)  # fmt: skip


def continental(amount: str, balance: str = "11.234,56", day: str = "02.03.2026") -> StatementFileReading:
    text = f"Konto;DE89\nAnfangssaldo;10.000,00\nEndsaldo;{balance}\nBuchungstag;Betrag;Saldo\n{day};{amount};{balance}\n"
    return read_statement_file(text.encode(), "f.csv", (CONTINENTAL,))


@pytest.mark.parametrize("amount", ["1.234,56", "1234,56", "+1.234,56"])
def test_a_decimal_comma_and_days_first_are_read_where_the_profile_says_so(amount: str) -> None:
    reading = continental(amount)
    (line,) = reading.statements[0].lines
    assert (reading.accepted, reading.findings) == (True, ())
    assert (line.amount.minor_units, line.booking_date) == (123456, date(2026, 3, 2))


@pytest.mark.parametrize("amount", ["1,234.56", "1.23456", "1.50", "12.34,56", "1..234,56", ".234,56", "1 234,56", "NaN"])
def test_an_amount_with_other_marks_than_the_profile_s_is_refused_never_read_as_another_sum(amount: str) -> None:
    assert "amount_unreadable" in codes(continental(amount))


def test_a_point_between_groups_makes_thousands() -> None:
    reading = continental("1.500", "11.500")
    assert reading.accepted
    assert reading.statements[0].lines[0].amount.minor_units == 150000


@pytest.mark.parametrize("day", ["03/02/2026", "2.3.26", "31.13.2026"])
def test_a_day_in_another_order_than_the_profile_s_is_refused(day: str) -> None:
    assert "date_unreadable" in codes(continental("1.234,56", day=day))


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "units"),
    [
        ("1'234.56", ".", "'", 123456),
        ("1 234,56", ",", " ", 123456),
        ("1\u00a0234,5", ",", " ", 123450),
        ("-1234,56", ",", "", -123456),
    ],
)
def test_marks_of_other_countries(text: str, decimal: str, thousands: str, units: int) -> None:
    assert parse_marked_amount(text, 2, decimal, thousands) == units


def test_a_profile_with_a_decimal_comma_takes_no_numbers_of_a_spreadsheet() -> None:
    rows = ("Konto;DE89", "Anfangssaldo;10000", "Endsaldo;11500", "Buchungstag;Betrag;Saldo", "2026-03-02;1.500;11500")
    cells = ("".join(f'<Cell><Data ss:Type="String">{cell}</Data></Cell>' for cell in row.split(";")) for row in rows)
    table = "".join(f"<Row>{row}</Row>" for row in cells)
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    book = f'<Workbook xmlns="{space}" xmlns:ss="{space}"><Worksheet ss:Name="A"><Table>{table}</Table></Worksheet></Workbook>'
    reading = read_statement_file(f'<?xml version="1.0"?>{book}'.encode(), "f.xls", (CONTINENTAL,))
    assert codes(reading) == ["no_adapter"]


def test_an_account_number_a_spreadsheet_kept_as_a_number_is_refused() -> None:
    reading = read(NORTH.replace("110200300", "6.22202123456789e+18"))
    assert (reading.accepted, codes(reading)) == (False, ["float_reference"])
