"""Rules of the BAI2 standard, each with the smallest file that shows it."""

from __future__ import annotations

import time
from datetime import date

import pytest

from bank_adapters.model import Direction, StatementFileReading, StatementKind
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()


def account(*body: str, total: int, header: str = "03,100,CNY,010,1000,,,015,1500,,/", records: int | None = None) -> list[str]:
    return [header, *body, f"49,{total},{records or 2 + len(body)}/"]


def file_of(*accounts: list[str], total: int, status: str = "1", modifier: str = "") -> str:
    lines = [line for each in accounts for line in each]
    return "\n".join([
        "01,BANK,US,260303,0600,7,,,2/", f"02,US,BANK,{status},260302,2400,CNY,{modifier}/", *lines,
        f"98,{total},{len(accounts)},{len(lines) + 2}/", f"99,{total},1,{len(lines) + 4}/", "",
    ])  # fmt: skip


def read(text: str) -> StatementFileReading:
    return read_statement_file(text.encode(), "sample.bai", PROFILES)


def codes(reading: StatementFileReading) -> set[str]:
    return {finding.code for finding in reading.findings}


def one(*body: str, total: int = 3000) -> StatementFileReading:
    return read(file_of(account(*body, total=total), total=total))


def test_a_statement_balances_and_its_type_codes_give_the_directions() -> None:
    reading = one("16,195,700,V,260304,,BR1,CR1,in, with comma/", "16,475,200,0,BR2,CR2,out/", total=3400)
    (statement,) = reading.statements
    assert reading.accepted
    assert (statement.kind, statement.closing_date, statement.statement_id) == (StatementKind.STATEMENT, date(2026, 3, 2), "7")
    first, second = statement.lines
    assert (first.direction, first.value_date, first.description) == (Direction.IN, date(2026, 3, 4), "in, with comma")
    assert first.references == ("BR1", "CR1")
    assert (second.direction, second.amount.minor_units, second.bank_reference) == (Direction.OUT, 200, "BR2")


def test_88_continues_a_summary_between_type_code_and_amount() -> None:
    reading = read(file_of(account("88,1500,,/", "16,195,500,,,,/", total=3000, header="03,100,CNY,010,1000,,,015/"), total=3000))
    assert reading.accepted
    assert reading.statements[0].closing_balance is not None
    assert reading.statements[0].closing_balance.minor_units == 1500


def test_text_runs_over_continuations_with_slashes_and_commas() -> None:
    reading = one("16,195,500,S,,500,,BR,CR,paid 1/2", "88,/for May, June")
    assert reading.statements[0].lines[0].description == "paid 1/2 /for May, June"
    assert reading.accepted


@pytest.mark.parametrize("code", ["195", "399", "920"])
def test_credits(code: str) -> None:
    assert one(f"16,{code},500,,,,/").statements[0].lines[0].direction is Direction.IN


@pytest.mark.parametrize("code", ["700", "890x", "", "050"])
def test_a_code_that_says_no_direction_is_refused(code: str) -> None:
    assert "direction_unreadable" in codes(one(f"16,{code},500,,,,/"))


def test_the_currency_implies_the_decimals() -> None:
    text = file_of(account("16,195,500,,,,/", total=3000, header="03,100,JPY,010,1000,,,015,1500,,/"), total=3000)
    assert read(text).statements[0].lines[0].amount.plain == "500"


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (("49,3000,3", "49,3001,3"), "control_total", 5),
        (("49,3000,3", "49,3000,4"), "control_count", 5),
        (("98,3000,1,5", "98,3000,2,5"), "control_count", 6),
        (("98,3000,1,5", "98,3010,1,5"), "control_total", 6),
        (("99,3000,1,7", "99,3000,1,6"), "control_count", 7),
        (("99,3000,1,7/\n", ""), "truncated", 7),
        (("49,3000,3/\n", ""), "truncated", 5),
        (("16,195,500", "16,195,5.00"), "amount_unreadable", 4),
        (("16,195,500", "16,195,-500"), "amount_unreadable", 4),
        (("16,195,500,", "16,195,500,Q"), "field_unreadable", 4),
        (("260302", "261302"), "date_unreadable", 2),
        (("CNY,010", "C1Y,010"), "currency_unknown", 3),
        (("015,1500", "015,1400"), "balance_identity", 3),
        (("16,195", "17,195"), "unknown_content", 4),
        (("02,US,BANK,1", "02,US,BANK,2"), "group_not_data", 3),
        (("02,US,BANK,1", "02,US,BANK,9"), "field_unreadable", 2),
        (("03,100", "03,"), "account_missing", 3),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(change: tuple[str, str], code: str, line: int) -> None:
    text = file_of(account("16,195,500,,,,/", total=3000), total=3000)
    assert read(text).accepted
    reading = read(text.replace(*change, 1))
    assert not reading.accepted
    assert (code, line) in {(finding.code, finding.line) for finding in reading.findings}
    assert all(finding.message_zh for finding in reading.findings)


def test_a_refused_account_leaves_its_neighbour_readable() -> None:
    good = account("16,195,500,,,,/", total=3000)
    reading = read(file_of(good, account("16,195,400,,,,/", total=2900), total=5900))
    assert [statement.accepted for statement in reading.statements] == [True, False]


def test_interim_groups_and_accounts_without_ledgers_close_no_day() -> None:
    interim = read(file_of(account("16,195,500,,,,/", total=3000), total=3000, modifier="3"))
    assert interim.statements[0].kind is StatementKind.INTRADAY
    summary = read(file_of(account("16,195,500,,,,/", total=900, header="03,100,,040,400,,/"), total=900))
    assert summary.accepted
    assert summary.statements[0].kind is StatementKind.INTRADAY
    assert "report_only" in codes(summary)


def test_a_non_monetary_record_is_no_line() -> None:
    reading = one("16,195,500,,,,/", "16,890,,,,,rates on request/")
    assert reading.accepted
    assert len(reading.statements[0].lines) == 1


def test_several_records_on_one_line_are_told_apart() -> None:
    text = file_of(account("16,195,500,,,,text/", total=3000), total=3000).replace("text/\n", "text/   ")
    assert read(text).accepted
    assert len(read(text).statements[0].lines) == 1


@pytest.mark.parametrize("filler", ["88,more text/\n", "88,100,1,,,/\n", "16,195,1,,,,/ ", "/ ", "03,1,,010,1,,/\n"])
def test_hostile_text_takes_no_long_time(filler: str) -> None:
    head = "".join(line + "\n" for line in file_of(account("16,195,500,,,,/", total=3000), total=3000).split("\n")[:4])
    started = time.process_time()
    assert not read(head + filler * 20_000).accepted
    assert time.process_time() - started < 2
