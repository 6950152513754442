"""Rules of CODA, CFONB120 and Norma 43: each good sample with one thing wrong, and the finding that must name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bank_adapters.model import Direction, Severity, StatementFileReading
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()
GOLDEN = Path(__file__).parent / "golden"


def lines_of(name: str) -> list[str]:
    text = (GOLDEN / name).read_bytes().decode().replace("\r\n", "\n")
    if name.endswith(".cfo"):
        return [text[at : at + 120] for at in range(0, len(text), 120)]
    return text.splitlines()


def read(lines: list[str]) -> StatementFileReading:
    return read_statement_file("\n".join([*lines, ""]).encode(), "sample", PROFILES)


def changed(name: str, line: int, column: int, text: str) -> list[str]:
    """The sample with ``text`` from ``column`` of ``line`` on (both 1-based)."""
    lines = lines_of(name)
    padded = lines[line - 1].ljust(128 if name.endswith("cod") else 80)
    lines[line - 1] = padded[: column - 1] + text + padded[column - 1 + len(text) :]
    return lines


@pytest.mark.parametrize(
    ("name", "line", "column", "text", "code", "at"),
    [
        ("globalised.cod", 3, 33, "000000000250600", "balance_identity", 10),
        ("globalised.cod", 3, 33, "000000000250501", "amount_decimals", 3),
        ("globalised.cod", 3, 33, "00000000025050X", "amount_unreadable", 3),
        ("globalised.cod", 3, 32, "7", "direction_unreadable", 3),
        ("globalised.cod", 3, 48, "300226", "date_clamped", 3),
        ("globalised.cod", 3, 116, "031326", "date_unreadable", 3),
        ("globalised.cod", 2, 40, "E1R", "currency_unknown", 2),
        ("globalised.cod", 2, 43, "1", "balance_identity", 10),
        ("globalised.cod", 6, 1, "39", "unknown_content", 6),
        ("globalised.cod", 11, 17, "000008", "control_count", 11),
        ("globalised.cod", 11, 23, "000000000100010", "control_total", 11),
        ("globalised.cod", 11, 38, "000000000250510", "control_total", 11),
        ("globalised.cod", 11, 128, "1", "part_missing", 11),
        ("globalised.cod", 1, 17, "D", "copy", 1),
        ("no-line-ends.cfo", 2, 104, "F", "balance_identity", 6),
        ("no-line-ends.cfo", 2, 104, "5", "direction_unreadable", 2),
        ("no-line-ends.cfo", 2, 91, "000000000250X", "amount_unreadable", 2),
        ("no-line-ends.cfo", 2, 35, "031326", "date_unreadable", 2),
        ("no-line-ends.cfo", 2, 22, "00012345679", "account_differs", 2),
        ("no-line-ends.cfo", 2, 17, "USD", "currency_differs", 2),
        ("no-line-ends.cfo", 2, 1, "05", "record_order", 2),
        ("no-line-ends.cfo", 6, 1, "04", "truncated", 6),
        ("no-line-ends.cfo", 6, 1, "31", "unknown_content", 6),
        ("overdrawn.n43", 2, 29, "00000000025056", "control_total", 6),
        ("overdrawn.n43", 2, 28, "0", "direction_unreadable", 2),
        ("overdrawn.n43", 2, 11, "261302", "date_unreadable", 2),
        ("overdrawn.n43", 1, 33, "2", "balance_identity", 6),
        ("overdrawn.n43", 1, 48, "999", "currency_unknown", 1),
        ("overdrawn.n43", 6, 11, "0512345679", "account_differs", 6),
        ("overdrawn.n43", 6, 21, "00002", "control_count", 6),
        ("overdrawn.n43", 5, 1, "23", "control_count", 6),
        ("overdrawn.n43", 7, 21, "000009", "control_count", 7),
        ("overdrawn.n43", 7, 1, "55", "unknown_content", 7),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(name: str, line: int, column: int, text: str, code: str, at: int) -> None:
    assert read(lines_of(name)).accepted
    reading = read(changed(name, line, column, text))
    found = {(finding.code, finding.line): finding for finding in reading.findings}
    assert (code, at) in found
    assert found[code, at].message_zh
    assert reading.accepted == (found[code, at].severity is not Severity.ERROR)


@pytest.mark.parametrize("name", ["globalised.cod", "no-line-ends.cfo", "overdrawn.n43"])
def test_a_file_without_its_last_records_is_refused(name: str) -> None:
    lines = lines_of(name)
    for count in range(1, len(lines)):
        assert not read(lines[:count]).accepted, count


@pytest.mark.parametrize("name", ["globalised.cod", "no-line-ends.cfo", "overdrawn.n43"])
def test_trimmed_and_over_long_lines_give_the_same_answer(name: str) -> None:
    lines = lines_of(name)
    trimmed, wide = read([line.rstrip() for line in lines]), read([f"{line}   " for line in lines])
    assert trimmed.accepted
    assert trimmed == wide or trimmed.statements == wide.statements


def test_text_beyond_the_width_is_refused() -> None:
    lines = lines_of("globalised.cod")
    lines[2] += " more"
    assert {finding.code for finding in read(lines).findings} >= {"record_width"}


def test_a_refused_movement_does_not_make_its_details_misplaced() -> None:
    codes = [finding.code for finding in read(changed("globalised.cod", 3, 33, "00000000025050X")).findings]
    assert "record_order" not in codes


def test_a_cancelled_movement_is_a_reversal_by_its_effect() -> None:
    line = read(changed("globalised.cod", 3, 54, "00149000")).statements[0].lines[0]
    assert (line.reversal, line.direction) == (True, Direction.IN)


def test_without_decimals_the_last_digits_are_whole_units() -> None:
    lines = [line[:16] + "XPF0" + line[20:] for line in lines_of("no-line-ends.cfo")]
    statement = read(lines).statements[0]
    assert statement.opening_balance is not None
    assert (statement.opening_balance.plain, statement.lines[0].amount.plain) == ("100000", "25055")


def test_a_zero_amount_may_count_on_either_side() -> None:
    lines = lines_of("overdrawn.n43")
    lines.insert(5, lines[4].replace("00000000000790", "00000000000000"))
    for side, count in (("out", "00002"), ("in", "00001")):
        totals = lines[6].ljust(80)
        other = "00001" if side == "out" else "00002"
        again = [*lines[:6], totals[:20] + count + totals[25:39] + other + totals[44:], lines[7].replace("000006", "000007")]
        assert read(again).accepted, side


@pytest.mark.parametrize("records", ["000006", "000005", "000007"])
def test_banks_count_records_with_or_without_equivalents_and_the_end(records: str) -> None:
    assert read(changed("overdrawn.n43", 7, 21, records)).accepted


def coda_of(*movement: str) -> list[str]:
    """The golden file with other records behind its first movement, and a trailer that fits."""
    lines = lines_of("globalised.cod")
    first = next(index for index, line in enumerate(lines) if line.startswith("21"))
    last = first
    while lines[last + 1][:2] in ("22", "23", "31", "32", "33") and lines[last + 1][2:6] == lines[first][2:6]:
        last += 1
    changed_lines = [*lines[: first + 1], *movement, *lines[last + 1 :]]
    trailer = next(index for index, line in enumerate(changed_lines) if line.startswith("9"))
    counted = sum(line[0] in "1238" for line in changed_lines)
    changed_lines[trailer] = changed_lines[trailer][:16] + f"{counted:06d}" + changed_lines[trailer][22:]
    return changed_lines


def with_text(lines: list[str], kind: str, text: str) -> list[str]:
    """The communication of the first movement: its kind in column 62, its text from column 63 on."""
    first = next(index for index, line in enumerate(lines) if line.startswith("21"))
    padded = lines[first].ljust(128)
    lines[first] = padded[:61] + kind + text.ljust(53) + padded[115:]
    return lines


def test_a_communication_of_coda_is_one_text_wherever_the_columns_cut_it() -> None:
    text = "SECOND INSTALMENT OF THE WINTER COURSE, ORDER ORD-20260302-000017, PAID FOR LI MING BY HIS FATHER"
    lines = with_text(coda_of("2200010000" + text[53:].ljust(118)), "0", text[:53])
    reading = read(lines)
    line = reading.statements[0].lines[0]
    assert reading.accepted
    assert line.description == text
    assert "ORD-20260302-000017" in line.references


def test_a_direct_debit_of_coda_gives_its_mandate_and_what_the_creditor_wrote() -> None:
    content = "030326" + "110" + "BE69ZZZ050D000000008".ljust(35) + "MANDATE-17".ljust(35) + "FEE OF MARCH".ljust(62) + "0"
    text = "127" + content
    reading = read(
        with_text(
            coda_of("2200010000" + text[53:106].ljust(118), "2300010000" + " " * 72 + text[106:149].ljust(46)), "1", text[:53]
        )
    )
    line = reading.statements[0].lines[0]
    assert reading.accepted
    assert line.description == "FEE OF MARCH"
    assert "MANDATE-17" in line.references


def test_information_of_coda_names_the_counterparty_and_its_address_is_no_text() -> None:
    structured = ("3100010001".ljust(39) + "1" + "001LI MING".ljust(88), "3200010001" + "HILL STREET 1".ljust(118))
    free = ("3100010002".ljust(39) + "0" + "FREE".ljust(88), "3200010002" + "TEXT".ljust(118))
    line = read(with_text(coda_of(*structured, *free), "0", "COURSE")).statements[0].lines[0]
    assert line.counterparty_name == "LI MING"
    assert (line.description or "").split() == ["COURSE", "FREE", "TEXT"]


def cfonb_record(code: str, **cells: tuple[int, str]) -> str:
    """A record of 120 columns of one account; each cell is its first column (1-based) and its text."""
    record = f"{code}30004    00820EUR2 0001234567A".ljust(120)
    for first, text in cells.values():
        record = record[: first - 1] + text + record[first - 1 + len(text) :]
    return record


def cfonb_day(amount: str, closing: str, *details: tuple[str, str]) -> list[str]:
    return [
        cfonb_record("01", date=(35, "020326"), amount=(91, "0000000000000{")),
        cfonb_record("04", interbank=(33, "05"), date=(35, "030326"), value=(43, "030326"), amount=(91, amount)),
        *(
            cfonb_record("05", interbank=(33, "05"), date=(35, "030326"), qualifier=(46, q), text=(49, text))
            for q, text in details
        ),
        cfonb_record("07", date=(35, "030326"), amount=(91, closing)),
    ]


@pytest.mark.parametrize(
    ("amount", "name", "account"), [("0000000000500{", "LI MING", "FR01"), ("0000000000500}", "SCHOOL", "FR02")]
)  # fmt: skip
def test_the_counterparty_of_cfonb_is_the_payer_of_money_in_and_the_payee_of_money_out(
    amount: str, name: str, account: str
) -> None:
    both = [("NPY", "LI MING"), ("CPY", "FR01"), ("NBE", "SCHOOL"), ("CBE", "FR02")]
    for details in (both, both[::-1]):
        line = read(cfonb_day(amount, amount, *details)).statements[0].lines[0]
        assert (line.counterparty_name, line.counterparty_account) == (name, account)


def test_a_purpose_of_cfonb_goes_on_in_lc2_and_mandate_and_structured_purpose_are_references() -> None:
    text = "SECOND INSTALMENT OF THE WINTER COURSE AT THE RIVER SCHOOL, ORDER ORD-20260302-000017"
    details = [("LCC", text[:70]), ("LC2", text[70:]), ("LCS", "RF18539007547034"), ("RUM", "MANDATE-17".ljust(35) + "RCUR")]
    reading = read(cfonb_day("0000000000500{", "0000000000500{", *details))
    line = reading.statements[0].lines[0]
    assert reading.accepted
    assert line.description == f"{text} RF18539007547034"
    assert {"ORD-20260302-000017", "RF18539007547034", "MANDATE-17"} <= set(line.references)


def test_the_new_balance_of_cfonb_is_in_the_currency_of_the_old_one_and_has_its_own_decimals() -> None:
    lines = cfonb_day("0000000000500{", "0000000000500{")
    other = [*lines[:-1], lines[-1].replace("EUR2", "USD2")]
    assert [finding.code for finding in read(other).findings] == ["currency_differs"]
    three = [*lines[:-1], cfonb_record("07", date=(35, "030326"), amount=(91, "0000000005000{")).replace("EUR2", "EUR3")]
    assert read(three).accepted


def test_an_account_of_norma43_may_be_in_any_currency_of_the_list() -> None:
    lines = [line.replace("978", "788") if line[:2] in ("11", "33") else line for line in lines_of("overdrawn.n43")]
    assert read(lines).statements[0].currency == "TND"
