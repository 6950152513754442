"""Rules of OFX, each with the smallest change of one good file that shows it."""

from __future__ import annotations

import time

import pytest

from bank_adapters.amounts import AmountTooFine, AmountUnreadable
from bank_adapters.model import LineStatus, Severity, StatementFileReading, StatementKind
from bank_adapters.ofx.reader import parse_ofx_amount
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()
GOOD = """<?xml version="1.0"?>
<?OFX OFXHEADER="200" VERSION="211"?>
<OFX>
<BANKMSGSRSV1><STMTTRNRS><STATUS><CODE>0</CODE><SEVERITY>INFO</SEVERITY></STATUS>
<STMTRS><CURDEF>EUR</CURDEF>
<BANKACCTFROM><ACCTID>100</ACCTID></BANKACCTFROM>
<BANKTRANLIST><DTSTART>20260301</DTSTART><DTEND>20260302</DTEND>
<STMTTRN><TRNTYPE>CREDIT</TRNTYPE><DTPOSTED>20260301</DTPOSTED><TRNAMT>5.00</TRNAMT><FITID>1</FITID></STMTTRN>
<STMTTRN><TRNTYPE>DEBIT</TRNTYPE><DTPOSTED>20260302</DTPOSTED><TRNAMT>-2.00</TRNAMT><FITID>2</FITID></STMTTRN>
</BANKTRANLIST>
<LEDGERBAL><BALAMT>13.00</BALAMT><DTASOF>20260302</DTASOF></LEDGERBAL>
</STMTRS></STMTTRNRS></BANKMSGSRSV1>
</OFX>
"""


def read(text: str) -> StatementFileReading:
    return read_statement_file(text.encode(), "sample.ofx", PROFILES)


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("</OFX>\n", "", "truncated", 12),
        ("</BANKTRANLIST>\n", "", "truncated", 11),
        ("</STMTTRN>\n<STMTTRN>", "\n<STMTTRN>", "truncated", 9),
        ("</FITID></STMTTRN>\n</B", "</FITID>\n</B", "truncated", 10),
        ("<STMTTRN><TRNTYPE>DEBIT", "<STMXTRN><TRNTYPE>DEBIT", "unknown_content", 9),
        ("-2.00", "$2.00", "amount_unreadable", 9),
        ("-2.00", "NaN", "amount_unreadable", 9),
        ("-2.00", "-2.005", "amount_decimals", 9),
        ("<TRNAMT>-2.00</TRNAMT>", "", "amount_missing", 9),
        ("<DTPOSTED>20260302</DTPOSTED>", "", "date_unreadable", 9),
        ("<DTPOSTED>20260302", "<DTPOSTED>20261302", "date_unreadable", 9),
        ("<DTPOSTED>20260302", "<DTPOSTED>20260231", "date_clamped", 9),
        ("<FITID>2", "<FITID>1", "reference_repeated", 9),
        ("<FITID>2</FITID>", "<FITID>2</FITID><CORRECTFITID>1<CORRECTACTION>DELETE", "correction", 9),
        ("13.00", "", "amount_missing", 11),
        ("<ACCTID>100</ACCTID>", "", "account_missing", 5),
        ("<CURDEF>EUR</CURDEF>", "", "currency_missing", 5),
        ("<CURDEF>EUR", "<CURDEF>E1R", "currency_unknown", 5),
        ("<FITID>2", "<CURRENCY><CURSYM>USD</CURSYM></CURRENCY><FITID>2", "currency_differs", 9),
        ("INFO", "ERROR", "bank_error", 4),
        ("<DTASOF>20260302", "<DTASOF>20260303", "report_only", 5),
        ("</STMTRS>", "</STMTRS></STMTRS>", "record_order", 12),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, code: str, line: int) -> None:
    assert read(GOOD).accepted
    assert old in GOOD
    reading = read(GOOD.replace(old, new, 1))
    found = {(finding.code, finding.line): finding for finding in reading.findings}
    assert (code, line) in found
    assert found[code, line].message_zh
    assert reading.accepted == (found[code, line].severity is not Severity.ERROR)


def test_a_ledger_balance_of_another_day_closes_nothing() -> None:
    (statement,) = read(GOOD.replace("<DTASOF>20260302", "<DTASOF>20260303")).statements
    assert (statement.kind, statement.closing_balance) == (StatementKind.INTRADAY, None)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("12.3", 1230), ("+12", 1200), ("-,5", -50), (".05", 5), ("1.234,56", 123456), ("1,234.56", 123456), ("12,34", 1234),
        ("- 7.00", -700), ("007.10", 710), ("5.00000", 500),
    ],
)  # fmt: skip
def test_amounts_of_either_decimal_mark(text: str, units: int) -> None:
    assert parse_ofx_amount(text, 2) == units


@pytest.mark.parametrize("text", ["", "$120", "1e3", "1_0", "--5", "1,23,456.00", "12.34.56", "\uff11", "Infinity", "1 000.00"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(AmountUnreadable):
        parse_ofx_amount(text, 2)


def test_a_comma_and_three_digits_is_not_taken_for_thousands() -> None:
    with pytest.raises(AmountTooFine):
        parse_ofx_amount("1,234", 2)


def test_two_statements_in_one_response_and_upper_or_lower_case() -> None:
    begin, end = GOOD.index("<STMTRS>"), GOOD.index("</STMTRS>") + len("</STMTRS>")
    text = GOOD[:end] + GOOD[begin:end].replace("<ACCTID>100", "<ACCTID>200") + GOOD[end:]
    assert [statement.account for statement in read(text).statements] == ["100", "200"]
    assert read(GOOD.lower().replace("eur", "EUR")).accepted


def test_a_card_statement_closed_as_a_bank_statement() -> None:
    assert read(GOOD.replace("<STMTRS>", "<CCSTMTRS>")).accepted


def test_an_investment_statement_is_passed_over_and_named() -> None:
    text = GOOD.replace("</OFX>", "<INVSTMTRS><INVTRANLIST></INVTRANLIST></INVSTMTRS></OFX>")
    reading = read(text)
    assert reading.accepted
    assert "investment_skipped" in {finding.code for finding in reading.findings}


@pytest.mark.parametrize("filler", ["<!--", "<?", "<a ", "&#", "<STMTTRN>", "</STMTTRN>", "<OFX>", "<STATUS>"])
def test_hostile_text_takes_no_long_time(filler: str) -> None:
    started = time.process_time()
    assert not read("<OFX>" + filler * 20_000).accepted
    assert not read("<OFX>" + filler * 1_000 + "</PAYEE>" * 50_000).accepted
    assert time.process_time() - started < 2


def test_expected_transactions_are_pending_and_touch_no_balance() -> None:
    expected = (
        "<BANKTRANLISTP><DTASOF>20260302</DTASOF><STMTTRNP><TRNTYPE>DEBIT</TRNTYPE><DTTRAN>20260302</DTTRAN>"
        "<DTEXPIRE>20260309</DTEXPIRE><TRNAMT>-9.00</TRNAMT><NAME>HOTEL</NAME></STMTTRNP></BANKTRANLISTP>\n<LEDGERBAL>"
    )
    reading = read(GOOD.replace("<LEDGERBAL>", expected))
    (statement,) = reading.statements
    assert reading.accepted
    assert [line.status for line in statement.lines] == [LineStatus.BOOKED, LineStatus.BOOKED, LineStatus.PENDING]
    assert statement.opening_balance == read(GOOD).statements[0].opening_balance
    assert not read(GOOD.replace("<LEDGERBAL>", expected.replace("</STMTTRNP>", ""))).accepted


def test_text_in_a_cdata_section_is_what_stands_in_it() -> None:
    memo = "<FITID>1</FITID><MEMO><![CDATA[ORD-17 &amp; co]]></MEMO>"
    line = read(GOOD.replace("<FITID>1</FITID>", memo)).statements[0].lines[0]
    assert line.description == "ORD-17 &amp; co"
