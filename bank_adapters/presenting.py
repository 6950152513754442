"""A reading as the plain data ``escrow parse --json`` prints: names and shapes other programs rely on."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import islice
from typing import Any

from bank_adapters.model import Finding, Statement, StatementFileReading, StatementLine
from money import Money


def presented(reading: StatementFileReading, file: str) -> dict[str, Any]:
    """One file's reading. Amounts are decimal strings, positive on lines and signed on balances; dates are ISO."""
    return {
        "file": file,
        "format": reading.format,
        "profile": reading.profile,
        "encoding": reading.encoding,
        "accepted": reading.accepted,
        "statements": [_statement(statement) for statement in reading.statements],
        "findings": [_finding(finding) for finding in reading.findings],
    }


def presented_pieces(reading: StatementFileReading, file: str, *, chinese: bool = False) -> Iterator[str]:
    """The JSON text of ``presented`` piece by piece, so that a long statement is never held whole."""
    empty = replace(reading, statements=tuple(replace(statement, lines=()) for statement in reading.statements))
    content = presented(empty, file)
    if chinese:
        for finding in content["findings"]:
            finding["message"] = finding["message_zh"] or finding["message"]
    statements = content.pop("statements")
    yield _json(content)[:-1] + ', "statements": ['
    for index, (statement, head) in enumerate(zip(reading.statements, statements, strict=True)):
        head.pop("lines")
        yield (", " if index else "") + _json(head)[:-1] + ', "lines": ['
        lines = iter(statement.lines)
        first = True
        while batch := [_line(line) for line in islice(lines, _LINES_A_PIECE)]:
            yield ("" if first else ", ") + _json(batch)[1:-1]
            first = False
        yield "]}"
    yield "]}"


_LINES_A_PIECE = 500
_json = functools.partial(json.dumps, ensure_ascii=False)


def _amount(amount: Money | None) -> str | None:
    return None if amount is None else amount.plain


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _statement(statement: Statement) -> dict[str, Any]:
    return {
        "account": statement.account,
        "account_name": statement.account_name,
        "currency": statement.currency,
        "statement_id": statement.statement_id,
        "sequence": statement.sequence,
        "page": statement.page,
        "last_page": statement.last_page,
        "kind": statement.kind.value,
        "opening_balance": statement.opening_finer or _amount(statement.opening_balance),
        "opening_date": _day(statement.opening_date),
        "closing_balance": statement.closing_finer or _amount(statement.closing_balance),
        "closing_date": _day(statement.closing_date),
        "accepted": statement.accepted,
        "newest_first": statement.newest_first,
        "line": statement.line,
        "lines": [_line(line) for line in statement.lines],
    }


def _line(line: StatementLine) -> dict[str, Any]:
    return {
        "booking_date": _day(line.booking_date),
        "value_date": _day(line.value_date),
        "booked_at": line.booked_at.isoformat() if line.booked_at else None,
        "direction": line.direction.value,
        "amount": line.exact_amount,
        "currency": line.amount.currency,
        "status": line.status.value,
        "bank_reference": line.bank_reference,
        "end_to_end_reference": line.end_to_end_reference,
        "references": list(line.references),
        "counterparty_name": line.counterparty_name,
        "counterparty_account": line.counterparty_account,
        "description": line.description,
        "reversal": line.reversal,
        "transaction_code": line.transaction_code,
        "running_balance": _amount(line.running_balance),
        "line": line.line,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "statement": finding.statement,
        "line": finding.line,
        "offset": finding.offset,
        "field": finding.field,
        "member": finding.member,
        "message": finding.message,
        "message_zh": finding.message_zh,
        "excerpt": finding.excerpt,
    }
