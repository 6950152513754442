"""MT940 and MT942 rules, each as one small file."""

from __future__ import annotations

from datetime import date

import pytest

from bank_adapters.model import Direction, LineStatus, StatementFileReading, StatementKind
from bank_adapters.reading import read_statement_file


def read(*rows: str, end: str = "\r\n") -> StatementFileReading:
    return read_statement_file("".join(row + end for row in rows).encode(), "file.sta", ())


def statement(*lines: str, opening: str = "C260301CNY1000,00", closing: str = "C260302CNY1000,00") -> StatementFileReading:
    return read(":20:REF", ":25:11020030", ":28C:7/1", f":60F:{opening}", *lines, f":62F:{closing}", "-")


def codes(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings]


@pytest.mark.parametrize(
    ("mark", "direction", "reversal"),
    [
        ("C", Direction.IN, False),
        ("D", Direction.OUT, False),
        ("RC", Direction.OUT, True),
        ("RD", Direction.IN, True),
        ("CY", Direction.IN, False),
        ("DY", Direction.OUT, False),
        ("RCY", Direction.OUT, True),
        ("RDY", Direction.IN, True),
    ],
)
def test_the_mark_gives_the_effect_and_the_third_letter_of_the_currency_is_no_part_of_it(
    mark: str, direction: Direction, reversal: bool
) -> None:
    closing = "C260302CNY1800,00" if direction is Direction.IN else "C260302CNY200,00"
    reading = statement(f":61:2603020302{mark}800,00NTRFNONREF//B1", closing=closing)
    (line,) = reading.statements[0].lines
    assert (line.direction, line.reversal) == (direction, reversal)
    assert line.bank_reference == "B1"
    assert reading.accepted


@pytest.mark.parametrize(
    ("amount", "units"),
    [("10,", 1000), ("0,32", 32), (",32", 32), ("2187,95", 218795), ("000000000300.00", 30000), ("1.234,56", 123456), ("0,0", 0),
     ("5,7", 570), ("18,1500", 1815)],
)  # fmt: skip
def test_amounts_are_read_in_every_form_banks_write(amount: str, units: int) -> None:
    total = 100000 + units
    reading = statement(f":61:260302C{amount}NTRFX", closing=f"C260302CNY{total // 100},{total % 100:02d}")
    assert reading.statements[0].lines[0].amount.minor_units == units
    assert reading.accepted


@pytest.mark.parametrize("amount", ["NaN", "1e3,00", "１２,00", "1_000,00", "12,,0", "1,2.3", "-5,00", "12..3", "18,151"])
def test_what_is_no_amount_is_a_finding_with_its_line(amount: str) -> None:
    reading = statement(f":61:260302C{amount}NTRFX")
    assert not reading.accepted
    assert any(finding.line == 5 and finding.field == "61" for finding in reading.findings)


@pytest.mark.parametrize("balance", ["C260302CNY1000", "C260302CNY", "260302CNY1000,00", "C261302CNY1000,00", "C260302CNY1000,0"])
def test_a_closing_balance_cut_short_is_never_taken_for_a_smaller_one(balance: str) -> None:
    reading = statement(closing=balance)
    assert reading.accepted == (balance == "C260302CNY1000,0")


@pytest.mark.parametrize(
    ("value", "entry", "booked"),
    [("251230", "0102", date(2026, 1, 2)), ("260102", "1231", date(2025, 12, 31)), ("260302", "", date(2026, 3, 2)),
     ("260302", "    ", date(2026, 3, 2)), ("260302", "0000", date(2026, 3, 2))],
)  # fmt: skip
def test_an_entry_date_takes_the_year_nearest_the_value_date(value: str, entry: str, booked: date) -> None:
    (line,) = statement(f":61:{value}{entry}C1,00NTRFX").statements[0].lines
    assert line.booking_date == booked


def test_an_impossible_day_is_clamped_with_a_warning_and_the_statement_lives() -> None:
    reading = statement(":61:2602300301D6,00N024NONREF", closing="C261131CNY994,00")
    assert codes(reading) == ["date_clamped", "date_clamped"]
    assert reading.accepted
    assert reading.statements[0].lines[0].value_date == date(2026, 2, 28)
    assert reading.statements[0].closing_date == date(2026, 11, 30)


def test_a_detail_after_the_closing_balance_belongs_to_the_statement() -> None:
    reading = read(
        ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":61:260302C1,00NTRFX", ":86:own text", ":62F:C260302CNY1,00",
        ":86:about the statement", "-",
    )  # fmt: skip
    assert reading.statements[0].lines[0].description == "own text"
    assert reading.accepted


def test_totals_a_bank_puts_into_the_statements_own_detail_are_checked() -> None:
    good = ["260302C1,00NTRFX", "D000000C000001D0,00C1,00"]
    for totals, accepted in ((good[1], True), ("D000000C000002D0,00C1,00", False), ("/SUM/0/1/0,00/2,00/", False)):
        reading = read(
            ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", f":61:{good[0]}", ":62F:C260302CNY1,00", f":86:{totals}", "-"
        )
        assert reading.accepted is accepted


def test_several_details_of_one_line_are_one_text() -> None:
    (line,) = statement(":61:260302C0,00NTRFX", ":86:first", ":86:second").statements[0].lines
    assert line.description == "first second"


def test_german_subfields_cut_by_the_line_width_are_put_together() -> None:
    (line,) = (
        statement(
            ":61:260302C0,00NTRFNONREF",
            ":86:166?00GUTSCHRIFT?20EREF+ORDER-2026-1?21SVWZ+Tuition fee of spr?2",
            "2ing?30DRESDEFF?31DE1450880?32KARL?33 KAUFMANN",
        )
        .statements[0]
        .lines
    )
    assert line.end_to_end_reference == "ORDER-2026-1"
    assert line.description == "Tuition fee of spring"
    assert (line.counterparty_name, line.counterparty_account) == ("KARL KAUFMANN", "DE1450880")


def test_dutch_keywords_give_reference_party_and_remittance() -> None:
    (line,) = (
        statement(":61:260302C0,00NTRFNONREF", ":86:/TRTP/SEPA/EREF/E-1/CNTP/NL12/ABNANL2A/A B/CITY//REMI/USTD//for spring/")
        .statements[0]
        .lines
    )
    assert (line.end_to_end_reference, line.counterparty_account, line.counterparty_name) == ("E-1", "NL12", "A B")
    assert line.description == "for spring"


def test_text_that_looks_like_a_tag_or_an_end_mark_stays_text() -> None:
    reading = statement(
        ":61:260302C0,00NTRFX",
        ":86:at 2026-03-02T16",
        ":26:37 in the shop",
        "-",
        "-TX more",
        ":12:11 after",
        ":61:260302C0,00NTRFY",
    )
    assert reading.accepted
    first, second = reading.statements[0].lines
    assert "37 in the shop" in (first.description or "")
    assert "-TX more" in (first.description or "")
    assert "11 after" in (first.description or "")
    assert second.line == 11


def test_every_line_outside_a_field_is_accounted_for() -> None:
    reading = read(
        ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", "lost payment 500", ":62F:C260302CNY0,00", "-", "trailing words"
    )
    assert [(finding.code, finding.line) for finding in reading.findings] == [("unknown_content", 5), ("unknown_content", 8)]
    assert not reading.accepted


def test_an_unknown_tag_is_accounted_for() -> None:
    reading = read(":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":99:X", ":62F:C260302CNY0,00", "-")
    assert ("unknown_content", 5) in [(finding.code, finding.line) for finding in reading.findings]


ENVELOPES = [
    (["{1:F01KNABNL2HAXXX0000000000}{2:I940KNABNL2HXXXXN3020}{4:"], "-}"),
    (["ABNANL2A", "940", "ABNANL2A"], "-"),
    ([":940:"], "-"),
    (["0000 01INGBNL2AXXXX00001", "940 00"], "-XXX"),
    (["\x01"], "-\x03"),
    (["\ufeff"], "-"),
    ([], "-}{5:{CHK:1234567890AB}}{S:{SAC:}}"),
]


@pytest.mark.parametrize(("before", "after"), ENVELOPES)
def test_every_envelope_is_taken_off(before: list[str], after: str) -> None:
    rows = (":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00")
    reading = read(*before, *rows, after, *before, *rows, after)
    assert reading.accepted
    assert len(reading.statements) == 2
    assert codes(reading) == []


def test_messages_on_one_line_and_a_field_behind_the_brace_are_told_apart() -> None:
    reading = read(
        "{1:F01A}{2:O940B}{4:", ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00",
        "-}{5:}{1:F01A}{2:O940B}{4::20:S", ":25:1", ":28C:2/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00", "-}",
    )  # fmt: skip
    assert [each.statement_id for each in reading.statements] == ["R", "S"]
    assert reading.accepted


def test_a_block_never_closed_is_refused() -> None:
    reading = read("{1:F01A}{2:O940B}{4:", ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00")
    assert codes(reading) == ["no_end_mark"]
    assert not reading.accepted


@pytest.mark.parametrize(("text", "sequence"), [("00046/00001", "00046"), ("1", "1"), ("00000/00", "00000"), ("/1", None)])
def test_statement_numbers_are_read_in_every_form(text: str, sequence: str | None) -> None:
    reading = read(":20:R", ":25:1", f":28C:{text}", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00")
    assert reading.statements[0].sequence == sequence
    assert reading.accepted


def test_a_number_broken_over_a_line_is_joined_with_a_warning() -> None:
    reading = read(":20:R", ":25:1", ":28C:0000", "7", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00")
    assert reading.statements[0].sequence == "00007"
    assert reading.accepted


PAGE_ONE = (":20:R", ":25:1", ":28C:5/1", ":60F:C260301CNY0,00", ":61:260302C5,00NTRFX", ":62M:C260302CNY5,00", "-")
PAGE_TWO = (":20:R", ":25:1", ":28C:5/2", ":60M:C260302CNY5,00", ":61:260302RC5,00NTRFX", ":62F:C260302CNY0,00", "-")


def test_pages_chain_and_are_accepted_together() -> None:
    reading = read(*PAGE_ONE, *PAGE_TWO)
    assert reading.accepted
    assert [(each.page, each.last_page) for each in reading.statements] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (PAGE_ONE, "page_missing"),
        (PAGE_TWO, "page_missing"),
        ((*PAGE_ONE, *(row.replace("5/2", "5/3") for row in PAGE_TWO)), "page_missing"),
        ((*PAGE_ONE, *(row.replace("CNY5,00", "CNY6,00").replace("RC5,", "RC6,") for row in PAGE_TWO)), "page_chain"),
    ],
)
def test_a_missing_page_or_a_broken_chain_is_named(rows: tuple[str, ...], code: str) -> None:
    reading = read(*rows)
    assert not reading.accepted
    assert code in codes(reading)
    assert not any(each.accepted for each in reading.statements)


def test_several_numbered_statements_under_one_reference_are_several() -> None:
    reading = read(
        ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00",
        ":28C:2/1", ":60F:C260302CNY0,00", ":61:260303C1,00NTRFX", ":62F:C260303CNY1,00", "-",
    )  # fmt: skip
    assert [(each.account, each.sequence) for each in reading.statements] == [("1", "1"), ("1", "2")]
    assert reading.accepted


def test_one_bad_statement_does_not_take_its_neighbours_down() -> None:
    good = (":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00", "-")
    bad = (":20:R", ":25:2", ":28C:1/1", ":60F:C260301CNY0,00", ":61:260302C1,00NTRFX", ":62F:C260302CNY0,00", "-")
    reading = read(*good, *bad, *good)
    assert [each.accepted for each in reading.statements] == [True, False, True]
    assert not reading.accepted
    assert [finding.statement for finding in reading.findings] == [1]


def test_all_findings_of_a_file_come_together() -> None:
    reading = statement(":61:bad", ":61:260302C1,00NTRFX", ":61:26AA02C1,00NTRFX", closing="C260302CNY5,00")
    assert [(finding.code, finding.line) for finding in reading.findings] == [
        ("line_unreadable", 5), ("line_unreadable", 7), ("balance_identity", 8),
    ]  # fmt: skip
    assert all(finding.message_zh for finding in reading.findings)


def test_a_second_closing_in_another_currency_is_remarked() -> None:
    reading = read(
        ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00", ":62M:C260302USD9,00", "-"
    )  # fmt: skip
    assert codes(reading) == ["balance_other_currency"]
    assert reading.accepted


def test_a_balance_without_currency_takes_the_statements_and_a_blank_in_it_is_no_end() -> None:
    assert statement(closing="C2603021000,00").accepted
    assert statement(opening="C260301CNY11 27421,94", closing="C260302CNY1127421,94").accepted


def test_a_banks_bug_in_a_forward_balance_is_only_remarked() -> None:
    reading = read(
        ":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00", ":65F:Dnullnull7414,3", "-"
    )  # fmt: skip
    assert reading.accepted
    assert codes(reading) == ["field_unreadable"]


@pytest.mark.parametrize("currency", ["JPY", "BHD", "CNY"])
def test_decimals_are_those_of_the_currency(currency: str) -> None:
    text = {"JPY": "5,", "BHD": "0,005", "CNY": "0,05"}[currency]
    reading = statement(f":61:260302C{text}NTRFX", opening=f"C260301{currency}0,", closing=f"C260302{currency}{text}")
    assert reading.accepted
    assert reading.statements[0].lines[0].amount.minor_units == 5
    refused = statement(":61:260302C1,0005NTRFX", opening=f"C260301{currency}0,", closing=f"C260302{currency}1,")
    assert "amount_decimals" in codes(refused)


INTRADAY = (":20:R", ":25:1", ":28C:1/1", ":34F:CNY0,", ":13D:2603021815+0800", ":61:260302C1,50NTRFX", ":61:260302ED9,00NTRFX")


def test_mt942_is_an_interim_report_with_control_totals() -> None:
    reading = read(*INTRADAY, ":90D:1CNY9,00", ":90C:1CNY1,50", "-")
    (report,) = reading.statements
    assert reading.format == "mt942"
    assert reading.accepted
    assert report.kind is StatementKind.INTRADAY
    assert [line.status for line in report.lines] == [LineStatus.BOOKED, LineStatus.PENDING]
    assert report.opening_balance is None


@pytest.mark.parametrize("totals", [":90C:2CNY1,50", ":90C:1CNY1,51", ":90D:0CNY9,00"])
def test_wrong_control_totals_of_mt942_are_refused(totals: str) -> None:
    assert not read(*INTRADAY, totals, "-").accepted


def test_totals_may_count_lines_below_a_floor_limit() -> None:
    rows = [row.replace(":34F:CNY0,", ":34F:CNY1,") for row in INTRADAY]
    reading = read(*rows, ":90C:2CNY2,00", "-")
    assert reading.accepted
    assert set(codes(reading)) == {"control_below_floor"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_do_not_matter(end: str) -> None:
    reading = read(":20:R", ":25:1", ":28C:1/1", ":60F:C260301CNY0,00", ":61:260302C1,00NTRFX", ":62F:C260302CNY1,00", end=end)
    assert reading.accepted
    assert reading.statements[0].lines[0].line == 5


def test_account_numbers_in_findings_are_masked() -> None:
    reading = read(":20:R", ":25:1", ":25:6222000011112222", ":60F:C260301CNY0,00", ":62F:C260302CNY0,00")
    (finding,) = [each for each in reading.findings if each.code == "fact_repeated"]
    assert "6222000011112222" not in finding.message
    assert finding.excerpt == "************2222"


@pytest.mark.parametrize("blank", [" ", "\t", "\u3000"])
def test_a_blank_in_front_of_a_line_is_a_finding_of_its_statement_and_no_failure_of_the_reader(blank: str) -> None:
    reading = statement(f":61:{blank}260302C5,00NTRFX", ":86:text", ":61:260302C7,00NTRFY")
    assert codes(reading)[0] == "line_unreadable"
    assert [line.amount.minor_units for line in reading.statements[0].lines] == [700]
