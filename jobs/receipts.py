"""The receipt beside a collected file, for the bank's people and programs: what was read of it and what became of it.

JSON, UTF-8. Every figure is the one we read, so a bank compares it with its own; sentences stand in English and Chinese.
"""

from __future__ import annotations

import json
from typing import Any

from bank_adapters.model import Severity
from jobs.drop_folder import ACCEPTED, HELD, REFUSED, FileOutcome
from money import Money
from money.amount import exponent_of, format_minor_units
from reconciliation.model import Receipt, StatementFigures, StatementOutcome, StatementReceipt
from reconciliation.reasons import in_both, of_finding
from wording import Said

_OUTCOMES = {
    StatementOutcome.COUNTED: ("counted", "已入账核对"),
    StatementOutcome.WAITING: ("kept; waits for the statements before it", "已接收，等待之前的对账单"),
    StatementOutcome.QUARANTINED: ("held back; two people decide whether it counts", "已隔离，由两人决定是否采用"),
    StatementOutcome.REFUSED: ("refused; nothing of it counts, send a corrected file", "已拒收，均未采用，请更正后重送"),
    StatementOutcome.DUPLICATE: ("received before; nothing counts twice", "此前已接收，不重复计入"),
    StatementOutcome.INFORMATION: ("kept as information; it has no booked balances", "仅作参考：没有记账余额"),
}


_TURNED_DOWN = ("turned down; nothing of it counts", "已退回，未采用")

#: What happens next to a file, by the folder it lies in.
_NEXT = {
    ACCEPTED: Said("nothing is left to do", "无需再办"),
    REFUSED: Said("send a corrected file", "请更正后重送"),
    HELD: Said(
        "two people of the supervisor let it through, or one turns it down; the file then moves to accepted/ or refused/, with a "
        "new receipt. Send nothing again, unless you know that it is wrong: then send a corrected file",
        "由监管方两人放行，或由一人退回；之后文件移至 accepted/ 或 refused/，并附新的回执。"
        "无需重送；如确知有误，请送更正后的文件",
    ),
}


def receipt_text(receipt: Receipt) -> bytes:
    """The receipt of a file that was read: per statement outcome, counts, sums and balances; all findings."""
    refused = sum(one.refused for one in receipt.statements)
    held = sum(one.held_back for one in receipt.statements)
    held_en, held_zh = (f", held back: {held}", f"，隔离 {held} 份") if held else ("", "")
    count = len(receipt.statements)
    return _json(
        {
            "file": receipt.file_name,
            "sha256": receipt.sha256,
            "format": receipt.format,
            "state": receipt.folder,
            "refused": receipt.refused,
            "next_en": _NEXT[receipt.folder].en,
            "next_zh": _NEXT[receipt.folder].zh,
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


def file_outcome(receipt: Receipt) -> FileOutcome:
    """What became of a file of statements."""
    if not receipt.statements:
        said = [of_finding(found).said for found in receipt.findings if found.severity is Severity.ERROR]
        return FileOutcome(REFUSED, [one.en for one in said], [one.zh for one in said])
    told = [
        (f"{one.account or '?'} {one.business_date or '?'}: ", reason.said)
        for one in receipt.statements
        for reason in one.reasons
    ]
    outcomes = ", ".join(sorted({str(one.outcome) for one in receipt.statements}))
    where = receipt.folder
    reasons, reasons_zh = [about + said.en for about, said in told], [about + said.zh for about, said in told]
    return FileOutcome(outcomes if where == ACCEPTED else where, reasons, reasons_zh)


def unread_receipt(name: str, size: int, limit: int) -> bytes:
    """The receipt of a file too large to be read."""
    return _json(
        {
            "file": name,
            "state": REFUSED,
            "refused": True,
            "next_en": _NEXT[REFUSED].en,
            "next_zh": _NEXT[REFUSED].zh,
            "summary_en": f"refused unread: {size} bytes are more than the {limit} allowed; send one file a day",
            "summary_zh": f"未读即拒收：文件 {size} 字节，超过上限 {limit}；请按日分文件报送",
            "statements": [],
            "findings": [],
        }
    )


def _statement(one: StatementReceipt) -> dict[str, Any]:
    outcome_en, outcome_zh = _TURNED_DOWN if one.turned_down else _OUTCOMES[one.outcome]
    told = {
        "account": one.account,
        "date": str(one.business_date),
        "outcome": str(one.outcome),
        "outcome_en": outcome_en,
        "outcome_zh": outcome_zh,
        "lines": one.line_count,
        **in_both(one.reasons),
    }
    if one.lines_absorbed:
        told |= {"lines_absorbed": one.lines_absorbed, "lines_new": one.line_count - one.lines_absorbed}
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
