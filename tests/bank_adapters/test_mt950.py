"""MT950 as SWIFT's Standards MT Category 9 writes it: no :86:, at most one supplementary line of :61:, otherwise as MT940."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_adapters.model import Direction, Severity, Statement, StatementKind
from bank_adapters.pages import join_pages
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()
IN, OUT = Direction.IN, Direction.OUT


def envelope(text: str, trailer: str = "") -> str:
    return f"{{1:F01BKCHCNBJAXXX0000000000}}{{2:I950DEUTDEFFXXXXN}}{{3:{{108:REF}}}}{{4:\r\n{text}-}}{trailer}".replace(
        "\r\n", "\n"
    ).replace("\n", "\r\n")


def read(text: str) -> tuple[Statement, ...]:
    reading = read_statement_file(text.encode("ascii"), "statement.fin", PROFILES)
    assert [finding.code for finding in reading.findings if finding.severity is not Severity.NOTE] == []
    assert reading.accepted
    return reading.statements


FIRST = """:20:123456
:25:123-304958
:28C:102/1
:60F:C251226EUR3723495,
:61:251227D1,2FCHG494935/DEV//67914
:61:251228D30,2NCHK78911//123464
:61:251228D250,NCHK67822//123460
:61:2512281229RC450,S103494933/DEV//PO64118
FAVOUR K. DESMID
:61:251229RD1,05NCHG494911/DEV
:61:260102C1058,47S202456//UMBRELLA
:62F:C260102EUR3723823,12
:64:C260102EUR3723823,12
"""


def test_a_statement_message_is_read_line_by_line() -> None:
    (statement,) = read(envelope(FIRST, "{5:{CHK:24857F4599E7}}"))
    assert (statement.kind, statement.account, statement.currency, statement.statement_id) == (
        StatementKind.STATEMENT, "123-304958", "EUR", "123456",
    )  # fmt: skip
    assert (statement.sequence, statement.page, statement.opening_date, statement.closing_date) == (
        "102", 1, date(2025, 12, 26), date(2026, 1, 2),
    )  # fmt: skip
    assert statement.opening_balance is not None
    assert statement.closing_balance is not None
    assert statement.closing_balance.minor_units == 3_723_823_12
    found = [
        (
            line.booking_date, line.value_date, line.direction, line.amount.minor_units, line.reversal, line.transaction_code,
            line.bank_reference, line.line,
        )
        for line in statement.lines
    ]  # fmt: skip
    day27, day28, day29, new_year = date(2025, 12, 27), date(2025, 12, 28), date(2025, 12, 29), date(2026, 1, 2)
    assert found == [
        (day27, day27, OUT, 1_20, False, "FCHG", "67914", 6),
        (day28, day28, OUT, 30_20, False, "NCHK", "123464", 7),
        (day28, day28, OUT, 250_00, False, "NCHK", "123460", 8),
        (day29, day28, OUT, 450_00, True, "S103", "PO64118", 9),
        (day29, day29, IN, 1_05, True, "NCHG", None, 11),
        (new_year, new_year, IN, 1_058_47, False, "S202", "UMBRELLA", 12),
    ]
    assert statement.lines[3].description == "FAVOUR K. DESMID"
    assert "494933/DEV" in statement.lines[3].references


def test_the_pages_of_a_statement_message_make_one_statement() -> None:
    one = ":20:1\n:25:123\n:28C:7/1\n:60F:D260103CNY100,\n:61:2601040104C40,NTRFA//1\n:62M:D260104CNY60,\n"
    two = ":20:1\n:25:123\n:28C:7/2\n:60M:D260104CNY60,\n:61:2601050104C80,NTRFB//2\n:62F:C260105CNY20,\n"
    pages = read(envelope(one) + "\r\n" + envelope(two))
    (whole,) = join_pages(pages)
    assert whole.opening_balance is not None
    assert whole.closing_balance is not None
    assert (whole.opening_balance.minor_units, whole.closing_balance.minor_units, len(whole.lines)) == (-100_00, 20_00, 2)


def test_the_bank_of_an_account_stands_below_it_in_25p() -> None:
    text = FIRST.replace(":25:123-304958", ":25P:123-304958\nDEUTDEFFXXX")
    (statement,) = read(envelope(text))
    assert statement.account == "123-304958"
    refused = read_statement_file(envelope(text.replace("DEUTDEFFXXX", "DEUT lost words")).encode(), "x", PROFILES)
    assert [(finding.code, finding.line) for finding in refused.findings] == [("unknown_content", 4)]


@pytest.mark.parametrize(
    ("then", "now", "code"),
    [
        (":62F:C260102EUR3723823,12", ":62F:C260102EUR3723823,13", "balance_identity"),
        (":61:251228D250,NCHK67822//123460\n", "", "balance_identity"),
        ("RC450,", "C450,", "balance_identity"),
        ("EUR3723823,12\n:64", "USD3723823,12\n:64", "currency_differs"),
    ],
)
def test_what_does_not_add_up_is_refused(then: str, now: str, code: str) -> None:
    assert FIRST.count(then) == 1
    reading = read_statement_file(envelope(FIRST.replace(then, now)).encode(), "x", PROFILES)
    assert not reading.accepted
    assert code in {finding.code for finding in reading.findings}


MARKS = {"C": 1, "D": -1, "RC": -1, "RD": 1}
MOVEMENTS = st.lists(
    st.tuples(
        st.dates(date(2026, 1, 2), date(2026, 1, 30)), st.booleans(), st.sampled_from(sorted(MARKS)), st.sampled_from(["", "Y"]),
        st.integers(1, 10**11), st.sampled_from(["NTRF", "S103", "FCHG"]), st.text("ABC0123456789/-", min_size=1, max_size=16).filter(
            lambda text: "//" not in text and text.strip("/") == text and text not in ("N", "0", "-")
        ),
        st.none() | st.text("ABC0123456789", min_size=1, max_size=16).filter(lambda text: text not in ("N", "0")),
    ),
    max_size=8,
)  # fmt: skip


@given(MOVEMENTS, st.integers(-(10**11), 10**11))
def test_every_movement_a_bank_may_write_comes_back(movements: list[tuple[date, bool, str, str, int, str, str, str | None]], opening: int) -> None:  # fmt: skip
    """Written here after the standard's own grammar: 6!n[4!n]2a[1!a]15d1!a3!c16x[//16x]."""

    def amount(units: int) -> str:
        return f"{units // 100},{units % 100:02}".rstrip("0")

    def balance(units: int) -> str:
        return f"{'D' if units < 0 else 'C'}260131CNY{amount(abs(units))}"

    lines, closing = [], opening
    for day, entry, mark, funds, units, code, own, bank in movements:
        closing += MARKS[mark] * units
        lines.append(f":61:{day:%y%m%d}{day:%m%d}" if entry else f":61:{day:%y%m%d}")
        lines[-1] += f"{mark}{funds}{amount(units)}{code}{own}" + (f"//{bank}" if bank else "")
    text = "".join(
        f"{each}\n" for each in (":20:S", ":25:1", ":28C:1", f":60F:{balance(opening)}", *lines, f":62F:{balance(closing)}")
    )
    (statement,) = read(envelope(text))
    assert statement.opening_balance is not None
    assert statement.closing_balance is not None
    assert (statement.opening_balance.minor_units, statement.closing_balance.minor_units) == (opening, closing)
    assert [
        (
            line.value_date,
            line.booking_date,
            line.direction,
            line.amount.minor_units,
            line.reversal,
            line.transaction_code,
            line.bank_reference,
        )
        for line in statement.lines
    ] == [
        (day, day, IN if MARKS[mark] > 0 else OUT, units, mark[0] == "R", code, bank)
        for day, _, mark, _, units, code, _, bank in movements
    ]
    assert all(own in line.references for line, (*_, own, _) in zip(statement.lines, movements, strict=True))
