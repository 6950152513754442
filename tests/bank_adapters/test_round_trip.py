"""What a writer writes, the reader reads: model -> bytes -> the same model, for every layout the simulated banks use."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bank_adapters.model import Direction, LineStatus, Severity, Statement, StatementKind, StatementLine
from bank_adapters.pages import join_pages
from bank_adapters.profile import Profile
from bank_adapters.reading import read_statement_file
from bank_adapters.writing import WritingRefused, write_camt053, write_delimited, write_mt940
from config.profiles import load_profiles
from money import Money

PROFILES = load_profiles()
BY_ID = {profile.id: profile for profile in PROFILES}
SHANGHAI = ZoneInfo("Asia/Shanghai")
CREATED = datetime(2026, 3, 2, 20, 0, tzinfo=SHANGHAI)
TABLES = ("north-river", "lotus", "harbour")

# letters, digits, Chinese (one of them needs four bytes in GB18030), and what breaks naive writers
ALPHABET = string.ascii_letters + string.digits + " .,;:()&<>\"'=+@#_-{}?*%张三李四学费退款培训有限公司（）㑇𠮷Üé"
SAFE = string.ascii_letters + string.digits + "张三李四学费"
#: A statement is a large example; forty of them show what a hundred do.
FEW = settings(max_examples=40)

texts = st.text(ALPHABET, min_size=1, max_size=90).filter(lambda text: text == text.strip() and text[0] in SAFE)
tokens = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=32).filter(
    lambda text: (
        text[0] in string.ascii_letters
        and text.upper() not in ("NONREF", "N", "EREF", "KREF", "PREF", "MREF", "NOREF", "NOTPROVIDED")
    )
)
accounts = st.text(string.digits, min_size=8, max_size=24)
days = st.dates(date(2020, 1, 1), date(2035, 12, 31))


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    closing_day = draw(days)
    opening = draw(st.integers(-(10**12), 10**14))
    balance, lines = opening, []
    for number in range(draw(st.integers(0, 5))):
        units = draw(st.integers(1, 10**12))
        direction = draw(st.sampled_from((Direction.IN, Direction.OUT)))
        balance += units if direction is Direction.IN else -units
        booked_at = datetime.combine(closing_day, draw(st.times()).replace(microsecond=0), SHANGHAI)
        lines.append(
            StatementLine(
                booking_date=closing_day,
                value_date=closing_day + timedelta(days=draw(st.integers(-3, 3))),
                direction=direction,
                amount=Money(units),
                status=LineStatus.BOOKED,
                line=number,
                bank_reference=draw(tokens),
                end_to_end_reference=draw(st.none() | tokens),
                counterparty_name=draw(st.none() | texts),
                counterparty_account=draw(st.none() | accounts),
                description=draw(st.none() | texts),
                reversal=draw(st.booleans()),
                running_balance=Money(balance),
                booked_at=draw(st.just(booked_at)),
            )
        )
    return Statement(
        kind=StatementKind.STATEMENT,
        account=draw(accounts),
        currency="CNY",
        statement_id=draw(tokens),
        sequence=str(draw(st.integers(1, 9999))),
        opening_balance=Money(opening),
        opening_date=closing_day - timedelta(days=1),
        closing_balance=Money(balance),
        closing_date=closing_day,
        lines=tuple(lines),
        accepted=True,
        account_name=draw(texts),
    )


def carried(statement: Statement, *absent: str) -> list[object]:
    """The statement's facts and lines without what a format does not carry and where lines stand."""
    head = [
        statement.account, statement.currency, statement.statement_id, statement.sequence, statement.opening_balance,
        statement.opening_date, statement.closing_balance, statement.closing_date, statement.kind,
        None if "account_name" in absent else statement.account_name,
    ]  # fmt: skip
    blank: dict[str, Any] = {"line": 0, "source": None, "references": (), "transaction_code": None}
    blank |= dict.fromkeys(set(absent) - {"account_name"})
    return [*head, *(replace(line, **blank) for line in statement.lines_in_booking_order)]


def read_back(data: bytes, profile: str, count: int) -> tuple[Statement, ...]:
    reading = read_statement_file(data, "file", PROFILES)
    assert [finding.message for finding in reading.findings if finding.severity is not Severity.NOTE] == []
    assert reading.accepted
    assert reading.profile == profile
    assert len(reading.statements) == count
    return reading.statements


@FEW
@given(st.lists(statements(), min_size=1, max_size=2))
def test_mt940_comes_back(given_statements: list[Statement]) -> None:
    data = write_mt940(given_statements)
    for before, after in zip(given_statements, read_back(data, "mt940", len(given_statements)), strict=True):
        absent = ("account_name", "booked_at", "running_balance")
        assert carried(after, *absent) == carried(before, *absent)
        assert all(len(row) <= 130 for row in data.decode().splitlines() if row.startswith(":61:"))


def test_the_tag_of_details_is_no_part_of_a_full_line() -> None:
    """A blank near the end of the first line of :86: moves the cut to where a reader that counts without the tag sees it short."""
    line = StatementLine(
        date(2020, 1, 1), date(2020, 1, 1), Direction.IN, Money(5, "CNY"), LineStatus.BOOKED, 0,
        counterparty_account="0" * 24, counterparty_name="0" * 7, description="00000000000 0",
    )  # fmt: skip
    for more in range(8):
        wider = replace(line, counterparty_name="0" * (7 + more))
        given_statement = Statement(
            StatementKind.STATEMENT, "00000000", "CNY", "A", "1", Money(0, "CNY"), date(2019, 12, 31), Money(5, "CNY"),
            date(2020, 1, 1), (wider,), accepted=True,
        )  # fmt: skip
        (after,) = read_back(write_mt940([given_statement]), "mt940", 1)
        assert after.lines[0].description == line.description


@FEW
@given(st.lists(statements(), min_size=1, max_size=2))
def test_camt053_comes_back(given_statements: list[Statement]) -> None:
    data = write_camt053(given_statements, CREATED)
    for before, after in zip(given_statements, read_back(data, "camt053", len(given_statements)), strict=True):
        assert carried(after, "running_balance") == carried(before, "running_balance")


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(statement=statements())
def test_a_table_comes_back(name: str, statement: Statement) -> None:
    profile: Profile = BY_ID[name]
    absent = () if name == "harbour" else ("value_date",)
    (after,) = read_back(write_delimited(statement, profile), name, 1)
    assert carried(after, *absent) == carried(statement, *absent)


@pytest.mark.parametrize("name", TABLES)
@FEW
@given(statement=statements())
def test_lines_stand_in_the_file_in_the_order_the_bank_writes_them(name: str, statement: Statement) -> None:
    (after,) = read_back(write_delimited(statement, BY_ID[name]), name, 1)
    assert [line.line for line in after.lines] == sorted(line.line for line in after.lines)


@FEW
@given(statement=statements(), cut=st.integers(0, 8))
def test_pages_join_into_the_statement_they_were_cut_from(statement: Statement, cut: int) -> None:
    cut = min(cut, len(statement.lines))
    between = statement.lines[cut - 1].running_balance if cut else statement.opening_balance
    first = replace(statement, lines=statement.lines[:cut], closing_balance=between, page=1)
    second = replace(statement, lines=statement.lines[cut:], opening_balance=between, page=2)
    data = write_mt940([first, second]).replace(b":62F:", b":62M:", 1)
    at = data.rindex(b":60F:")
    data = data[:at] + b":60M:" + data[at + 5 :]
    (joined,) = join_pages(read_back(data, "mt940", 2))
    absent = ("account_name", "booked_at", "running_balance")
    assert carried(joined, *absent) == carried(statement, *absent)


@FEW
@given(statement=statements(), data=st.data())
def test_a_table_cut_anywhere_is_refused_and_never_raises(statement: Statement, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TABLES))
    whole = write_delimited(statement, BY_ID[name])
    at = data.draw(st.integers(0, len(whole) - 3))  # without the last line's end a file may still be whole
    reading = read_statement_file(whole[:at], "cut", PROFILES)
    lines = sum(len(each.lines) for each in reading.statements)
    assert not reading.accepted or (lines == len(statement.lines) and complete_but_for_text(whole, at))


def complete_but_for_text(whole: bytes, at: int) -> bool:
    """A cut inside the very last cell of a layout whose last column is free text cannot be told from a shorter text."""
    return b"\n" not in whole[at:].rstrip(b"\r\n") and whole[at:].count(b",") == 0


@FEW
@given(statement=statements(), data=st.data())
def test_mt940_and_camt_cut_anywhere_are_refused_and_never_raise(statement: Statement, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([write_mt940([statement]), write_camt053([statement], CREATED)]))
    end = whole.rindex(b"-\r\n") if whole.endswith(b"-\r\n") else len(whole) - 1
    at = data.draw(st.integers(0, end - 3))
    reading = read_statement_file(whole[:at], "cut", PROFILES)
    assert not reading.accepted


@FEW
@given(statement=statements(), data=st.data())
def test_a_flipped_byte_never_raises_and_never_loses_a_line_silently(statement: Statement, data: st.DataObject) -> None:
    files = [write_mt940([statement]), write_camt053([statement], CREATED)]
    files += [write_delimited(statement, BY_ID[name]) for name in TABLES]
    damaged = bytearray(data.draw(st.sampled_from(files)))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    reading = read_statement_file(bytes(damaged), "flipped", PROFILES)
    if reading.accepted:
        (after,) = reading.statements
        assert len(after.lines) == len(statement.lines)
        assert after.closing_balance is not None
        assert after.opening_balance is not None
        moved = sum(line.amount.minor_units * (1 if line.direction is Direction.IN else -1) for line in after.lines)
        assert after.opening_balance.minor_units + moved == after.closing_balance.minor_units


@pytest.mark.parametrize("text", ["two\nlines", " blank before", "tab\tinside", "nul\x00"])
def test_text_a_format_cannot_carry_is_refused_not_bent(text: str) -> None:
    line = StatementLine(date(2026, 3, 2), date(2026, 3, 2), Direction.IN, Money(1), LineStatus.BOOKED, 1, description=text)
    statement = Statement(
        StatementKind.STATEMENT, "1", "CNY", "S", "1", Money(0), date(2026, 3, 1), Money(1), date(2026, 3, 2), (line,), True
    )  # fmt: skip
    with pytest.raises(WritingRefused):
        write_mt940([statement])
    with pytest.raises(WritingRefused):
        write_camt053([statement], CREATED)
    with pytest.raises(WritingRefused):
        write_delimited(statement, BY_ID["harbour"])


@pytest.mark.parametrize("value", ["/EREF/X", "a/REMI/b", "ends/"])
def test_mt940_refuses_text_that_would_be_read_as_its_own_keywords(value: str) -> None:
    line = StatementLine(date(2026, 3, 2), date(2026, 3, 2), Direction.IN, Money(1), LineStatus.BOOKED, 1, description=value)
    statement = Statement(
        StatementKind.STATEMENT, "1", "CNY", "S", "1", Money(0), date(2026, 3, 1), Money(1), date(2026, 3, 2), (line,), True
    )  # fmt: skip
    with pytest.raises(WritingRefused):
        write_mt940([statement])
