"""The manifest beside a statement file (``FILE.ok`` or ``FILE.manifest``): digest, counts, sums and balances it must have.

Source: DOMAIN.md 2.5. One fact a line, ``key: value`` or ``key=value``; figures are of all statements of the file together:

    sha256, sm3                      digest of the file's bytes
    rows, in_count, out_count        booked lines; money in; money out
    in_sum, out_sum                  their sums
    opening, closing, statement_no, previous_statement_no      of the file's one statement

An empty ``.ok`` says that the file is complete and proves nothing. A key nobody knows is a fault: what it says may matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, parse_point_amount
from bank_adapters.detached import PROOF_ENDINGS, DigestKind, ProofDemand, ProofFault, ProofKind, check_proofs, digest_of
from bank_adapters.model import Direction, LineStatus, Statement, StatementFileReading
from money import Money
from money.amount import AmountRefused, format_minor_units


def unproved(
    data: bytes, name: str, beside: Mapping[str, bytes], demand: ProofDemand, reading: StatementFileReading
) -> list[ProofFault]:
    """Everything that keeps a file from being proved by what lies beside it (ending -> bytes); empty when all of it fits."""
    faults = check_proofs(data, name, beside, demand)
    for ending, content in sorted(beside.items()):
        if PROOF_ENDINGS[ending] is ProofKind.MANIFEST:
            demanded = ProofKind.MANIFEST in demand.required
            faults += check_manifest(content, data, name, reading, demanded=demanded)
    return faults


@dataclass(slots=True)
class _Totals:
    rows: int = 0
    in_count: int = 0
    out_count: int = 0
    in_sum: int = 0
    out_sum: int = 0


def check_manifest(content: bytes, data: bytes, name: str, reading: StatementFileReading, *, demanded: bool) -> list[ProofFault]:
    """What the manifest says and the file is not. ``demanded``: whether an empty one, or one without totals, is a fault."""
    told, faults = _facts(content, name)
    if faults:
        return faults
    if demanded and not (told.keys() & {"sha256", "sm3"} and "rows" in told and told.keys() & {"closing", "in_sum", "out_sum"}):
        what = f"the manifest of {name} must give sha256 or sm3, rows, and sums or the closing balance; {_AGAIN}"
        return [
            ProofFault("manifest_incomplete", what, f"{name} 的清单须含 sha256 或 sm3、rows，以及合计或期末余额；{_AGAIN_ZH}")
        ]
    found = _found(data, reading)
    for key, said in told.items():
        value = found[key]()
        if value is None:
            what = f"the manifest of {name} gives {key}, but the file has no such figure; {_AGAIN}"
            faults.append(ProofFault("manifest_beyond_file", what, f"{name} 的清单给出 {key}，文件中没有；{_AGAIN_ZH}"))
        elif not _same(key, said, value, reading):
            what = f"{key}: the manifest of {name} says {said}, the file has {value}; {_AGAIN}"
            faults.append(ProofFault("manifest_differs", what, f"{key}：{name} 的清单为 {said}，文件为 {value}；{_AGAIN_ZH}"))
    return faults


_AGAIN, _AGAIN_ZH = "ask the bank for both again", "请银行将文件与清单一并重送"
_KEYS = (
    "sha256", "sm3", "rows", "in_count", "out_count", "in_sum", "out_sum", "opening", "closing", "statement_no",
    "previous_statement_no",
)  # fmt: skip
_MOST_NUMBER_DIGITS = 18
_AMOUNTS = ("in_sum", "out_sum", "opening", "closing")


def _facts(content: bytes, name: str) -> tuple[dict[str, str], list[ProofFault]]:
    told: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), 1):
        if not line.strip():
            continue
        key, mark, value = line.partition("=") if "=" in line else line.partition(":")
        key, value = key.strip().lower(), value.strip()
        if not mark or key not in _KEYS or key in told or not value:
            what = f"line {number} of the manifest of {name} is not one of {', '.join(_KEYS)} with its value, each once; {_AGAIN}"
            what_zh = f"{name} 的清单第 {number} 行无法识别或重复，只能是 {'、'.join(_KEYS)} 及其值，各一次；{_AGAIN_ZH}"
            return {}, [ProofFault("manifest_unreadable", what, what_zh)]
        told[key] = value
    return told, []


def _found(data: bytes, reading: StatementFileReading) -> Mapping[str, Callable[[], str | None]]:
    totals, exponent = _totals(reading), _exponent(reading)
    one = reading.statements[0] if len(reading.statements) == 1 else None
    return {
        "sha256": lambda: digest_of(data, DigestKind.SHA256),
        "sm3": lambda: digest_of(data, DigestKind.SM3),
        "rows": lambda: str(totals.rows),
        "in_count": lambda: str(totals.in_count),
        "out_count": lambda: str(totals.out_count),
        "in_sum": lambda: format_minor_units(totals.in_sum, exponent),
        "out_sum": lambda: format_minor_units(totals.out_sum, exponent),
        "opening": lambda: _plain(one.opening_balance if one else None),
        "closing": lambda: _plain(one.closing_balance if one else None),
        "statement_no": lambda: one.sequence if one else None,
        "previous_statement_no": lambda: _previous(one),
    }


def _plain(balance: Money | None) -> str | None:
    return None if balance is None else balance.plain


def _totals(reading: StatementFileReading) -> _Totals:
    totals = _Totals()
    for statement in reading.statements:
        for line in statement.lines:
            if line.status is not LineStatus.BOOKED or line.direction is Direction.NONE:
                continue
            totals.rows += 1
            if line.direction is Direction.IN:
                totals.in_count += 1
                totals.in_sum += line.amount.minor_units
            else:
                totals.out_count += 1
                totals.out_sum += line.amount.minor_units
    return totals


def _previous(one: Statement | None) -> str | None:
    number = (one.sequence or "").strip() if one else ""
    return str(int(number) - 1) if number.isascii() and number.isdigit() and len(number) <= _MOST_NUMBER_DIGITS else None


def _exponent(reading: StatementFileReading) -> int:
    return exponent_or_two(reading.statements[0].currency if reading.statements else None)


def _same(key: str, said: str, value: str, reading: StatementFileReading) -> bool:
    if key in _AMOUNTS:
        exponent = _exponent(reading)
        try:
            return parse_point_amount(said, exponent) == parse_point_amount(value, exponent)
        except (AmountUnreadable, AmountRefused):
            return False
    if key in ("sha256", "sm3"):
        return said.lower() == value
    return said == value or (said.isascii() and said.isdigit() and said.lstrip("0") == value.lstrip("0"))
