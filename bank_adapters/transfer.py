"""A reading as plain values and back, to cross from one process to another. Lines of long statements travel as files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from bank_adapters.line_store import LineStore
from bank_adapters.model import Finding, Severity, Statement, StatementFileReading, StatementKind, StatementLine
from bank_adapters.packing import pack_line, unpack_line
from money import Money

_FINDING = tuple(field.name for field in dataclasses.fields(Finding))
_STATEMENT = tuple(field.name for field in dataclasses.fields(Statement))
_MONEY = frozenset({"opening_balance", "closing_balance"})
_DATES = frozenset({"opening_date", "closing_date"})


def packed(reading: StatementFileReading, folder: Path) -> tuple[Any, ...]:
    """Plain values; stores of lines are written to ``folder``."""
    return (
        reading.format,
        reading.profile,
        reading.encoding,
        reading.accepted,
        [_statement(statement, folder / f"lines-{index}") for index, statement in enumerate(reading.statements)],
        [tuple(str(getattr(finding, name)) if name == "severity" else getattr(finding, name) for name in _FINDING)
         for finding in reading.findings],
        dict(reading.facts),
    )  # fmt: skip


def unpacked(values: tuple[Any, ...], folder: Path) -> StatementFileReading:
    """The reading again. Files in ``folder`` are opened, so that the folder may go."""
    format_, profile, encoding, accepted, statements, findings, facts = values
    return StatementFileReading(
        format=format_,
        profile=profile,
        encoding=encoding,
        accepted=accepted,
        statements=tuple(_read_statement(each, folder / f"lines-{index}") for index, each in enumerate(statements)),
        findings=tuple(_read_finding(given) for given in findings),
        facts=facts,
    )


def _read_finding(values: tuple[Any, ...]) -> Finding:
    given: dict[str, Any] = dict(zip(_FINDING, values, strict=True))
    return Finding(**{**given, "severity": Severity(given["severity"])})


def _statement(statement: Statement, path: Path) -> list[Any]:
    found: list[Any] = []
    for name in _STATEMENT:
        value = getattr(statement, name)
        if name == "lines":
            value = _lines(value, path)
        elif name == "kind":
            value = value.value
        elif name in _MONEY and value is not None:
            value = (value.minor_units, value.currency)
        elif name in _DATES and value is not None:
            value = value.toordinal()
        found.append(value)
    return found


def _read_statement(values: list[Any], path: Path) -> Statement:
    given: dict[str, Any] = {}
    for name, value in zip(_STATEMENT, values, strict=True):
        if name == "lines":
            given[name] = _read_lines(value, path)
        elif name == "kind":
            given[name] = StatementKind(value)
        elif name in _MONEY and value is not None:
            given[name] = Money(*value)
        elif name in _DATES and value is not None:
            given[name] = date.fromordinal(value)
        else:
            given[name] = value
    return Statement(**given)


def _lines(lines: Sequence[StatementLine], path: Path) -> Any:
    if isinstance(lines, LineStore):
        return lines.handed_over(path)
    return [pack_line(line) for line in lines]


def _read_lines(value: Any, path: Path) -> Sequence[StatementLine]:
    if isinstance(value, list):
        return tuple(unpack_line(each) for each in value)
    return LineStore.taken_over(value, path)
