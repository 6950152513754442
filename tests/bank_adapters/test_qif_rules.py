"""Rules of QIF: what the file says, what only a profile can say, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest

from bank_adapters.dates import DateUnreadable
from bank_adapters.model import Direction, Severity, StatementFileReading, StatementKind
from bank_adapters.profile import DateOrder, Profile, ProfileFormat, QifLayout
from bank_adapters.qif import read_qif_date
from bank_adapters.reading import read_statement_file

LAYOUT = QifLayout(currency="USD", date_order=DateOrder.MDY)
PROFILE = Profile(id="quicken", version=1, title="Quicken", format=ProfileFormat.QIF, qif=LAYOUT)
GOOD = """!Account
NMain account
TBank
^
!Type:Bank
D3/1'26
T1,000.00
POpening Balance
L[Main account]
^
D3/2'26
T-1,890.50
N000417
PSchool of Music
MPAY-20260302 spring
Srent
$-1,890.00
Sfee
$-0.50
^
D3/3/26
U25.00
T25.00
PWang Fang
^
"""


def read(text: str, *profiles: Profile) -> StatementFileReading:
    return read_statement_file(text.encode(), "sample.qif", profiles)


def test_records_become_lines_and_the_opening_balance_is_none_of_them() -> None:
    reading = read(GOOD, PROFILE)
    (statement,) = reading.statements
    assert reading.accepted
    assert (statement.account, statement.currency, statement.kind) == ("Main account", "USD", StatementKind.INTRADAY)
    assert statement.opening_balance is not None
    assert (statement.opening_balance.plain, statement.opening_date) == ("1000.00", date(2026, 3, 1))
    out, incoming = statement.lines
    assert (out.direction, out.amount.plain, out.booking_date, out.line) == (Direction.OUT, "1890.50", date(2026, 3, 2), 11)
    assert (out.references, out.counterparty_name) == (("000417", "PAY-20260302"), "School of Music")
    assert (incoming.direction, incoming.amount.plain) == (Direction.IN, "25.00")


def test_without_a_profile_nothing_is_guessed() -> None:
    reading = read(GOOD)
    assert not reading.accepted
    assert [finding.code for finding in reading.findings] == ["qif_profile"]


@pytest.mark.parametrize(
    ("old", "new", "code", "line"),
    [
        ("T-1,890.50", "T-1,890.51", "control_total", 11),
        ("T-1,890.50", "T-1.890,50", "amount_unreadable", 12),
        ("T-1,890.50", "TNaN", "amount_unreadable", 12),
        ("T-1,890.50", "T-1,890.505", "amount_decimals", 12),
        ("U25.00\nT25.00\n", "", "amount_missing", 21),
        ("D3/3/26", "D13/3/26", "date_unreadable", 21),
        ("D3/3/26", "D2/30/26", "date_clamped", 21),
        ("PWang Fang", "?Wang Fang", "unknown_content", 24),
        ("PWang Fang\n^\n", "PWang Fang\n", "truncated", 25),
        ("!Account", "x\n!Account", "no_adapter", 1),
        ("!Type:Bank", "!Type:Invst", "section_skipped", 5),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old: str, new: str, code: str, line: int) -> None:
    reading = read(GOOD.replace(old, new, 1), PROFILE)
    found = {(finding.code, finding.line): finding for finding in reading.findings}
    assert (code, line) in found
    assert found[code, line].message_zh
    assert not reading.accepted or found[code, line].severity is not Severity.ERROR


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("7/16/14", DateOrder.MDY, date(2014, 7, 16)), ("16/7'14", DateOrder.DMY, date(2014, 7, 16)),
        ("2014/7/16", DateOrder.DMY, date(2014, 7, 16)), (" 7/ 6'98", DateOrder.MDY, date(2098, 7, 6)),
        ("7/6/98", DateOrder.MDY, date(1998, 7, 6)), ("16.07.2014", DateOrder.DMY, date(2014, 7, 16)),
    ],
)  # fmt: skip
def test_dates(text: str, order: DateOrder, expected: date) -> None:
    assert read_qif_date(text, order).day == expected


@pytest.mark.parametrize("text", ["7/16/14", "16/7", "1/1/1", "1/1/123", "", "2014/7/163"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(DateUnreadable):
        read_qif_date(text, DateOrder.YMD)


def test_no_cut_raises_or_is_taken_for_the_whole() -> None:
    whole = read(GOOD, PROFILE)
    for length in range(len(GOOD)):
        reading = read(GOOD[:length], PROFILE)
        assert "internal_error" not in {finding.code for finding in reading.findings}
        if reading.accepted:  # cut behind a record: nothing in the format says that more should follow
            assert reading.statements[0].lines == whole.statements[0].lines[: len(reading.statements[0].lines)]


def test_quicken_pads_one_figure_years_and_leaves_out_a_leading_zero() -> None:
    assert read_qif_date("7/ 4' 1", DateOrder.MDY).day == date(2001, 7, 4)
    with pytest.raises(DateUnreadable):
        read_qif_date("7/4/1", DateOrder.MDY)
    reading = read(GOOD.replace("T25.00\n", "T.50\nF\n").replace("U25.00", "U.50"), PROFILE)
    assert reading.accepted
    assert reading.statements[0].lines[-1].amount.minor_units == 50
