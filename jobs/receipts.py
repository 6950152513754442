"""The receipt beside a collected file, for the bank's people and programs: what was read of it and what became of it.

JSON, UTF-8. Every figure is the one we read, so a bank compares it with its own; sentences stand in English and Chinese.
"""

from __future__ import annotations

import json
from typing import Any

from money import Money
from money.amount import exponent_of, format_minor_units
from reconciliation.model import Receipt, StatementFigures, StatementOutcome, StatementReceipt
from reconciliation.reasons import in_both

_OUTCOMES = {
    StatementOutcome.COUNTED: ("counted", "已入账核对"),
    StatementOutcome.WAITING: ("kept; waits for the statements before it", "已接收，等待之前的对账单"),
    StatementOutcome.QUARANTINED: ("held back; two people decide whether it counts", "已隔离，由两人决定是否采用"),
    StatementOutcome.REFUSED: ("refused; nothing of it counts, send a corrected file", "已拒收，均未采用，请更正后重送"),
    StatementOutcome.DUPLICATE: ("received before; nothing counts twice", "此前已接收，不重复计入"),
    StatementOutcome.INFORMATION: ("kept as information; it has no booked balances", "仅作参考：没有记账余额"),
}


def receipt_text(receipt: Receipt) -> bytes:
    """The receipt of a file that was read: per statement outcome, counts, sums and balances; all findings."""
    refused = sum(one.outcome is StatementOutcome.REFUSED for one in receipt.statements)
    held = sum(one.outcome is StatementOutcome.QUARANTINED for one in receipt.statements)
    held_en, held_zh = (f", held back: {held}", f"，隔离 {held} 份") if held else ("", "")
    count = len(receipt.statements)
    return _json(
        {
            "file": receipt.file_name,
            "sha256": receipt.sha256,
            "format": receipt.format,
            "refused": receipt.refused,
            "summary_en": f"statements read: {count}, refused: {refused}{held_en}"
            if count
            else "refused: no statement could be read",
            "summary_zh": f"读到 {count} 份对账单，拒收 {refused} 份{held_zh}" if count else "已拒收：未能读出对账单",
            "statements": [_statement(one) for one in receipt.statements],
            "findings": [
                {
                    "severity": str(f.severity),
                    "code": f.code,
                    "line": f.line,
                    "field": f.field,
                    "message": f.message,
                    "message_zh": f.message_zh,
                }
                for f in receipt.findings
            ],
        }
    )


def unread_receipt(name: str, size: int, limit: int) -> bytes:
    """The receipt of a file too large to be read."""
    return _json(
        {
            "file": name,
            "refused": True,
            "summary_en": f"refused unread: {size} bytes are more than the {limit} allowed; send one file a day",
            "summary_zh": f"未读即拒收：文件 {size} 字节，超过上限 {limit}；请按日分文件报送",
            "statements": [],
            "findings": [],
        }
    )


def _statement(one: StatementReceipt) -> dict[str, Any]:
    outcome_en, outcome_zh = _OUTCOMES[one.outcome]
    told = {
        "account": one.account,
        "date": str(one.business_date),
        "outcome": str(one.outcome),
        "outcome_en": outcome_en,
        "outcome_zh": outcome_zh,
        "lines": one.line_count,
        **in_both(one.reasons),
    }
    return {**told, **_figures(one.figures)} if one.figures is not None else told


def _figures(read: StatementFigures) -> dict[str, Any]:
    return {
        "currency": read.currency,
        "in_count": read.in_count,
        "in_sum": _sum(read.in_minor_units, read.currency),
        "out_count": read.out_count,
        "out_sum": _sum(read.out_minor_units, read.currency),
        "opening": _balance(read.opening),
        "closing": _balance(read.closing),
    }


def _sum(units: int | None, currency: str | None) -> str | None:
    return None if units is None else format_minor_units(units, exponent_of(currency) if currency else 2)


def _balance(balance: Money | None) -> str | None:
    return None if balance is None else balance.plain


def _json(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()
