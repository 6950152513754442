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
