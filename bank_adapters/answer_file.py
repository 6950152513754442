"""The answers of a bank in either of the two forms that are read.

- ISO 20022 pain.002, CustomerPaymentStatusReport, of every version, by local names (``payment_status``).
- A table (CSV): a header row and one row an instruction. Headings in English or Chinese: ``reference`` (业务编号) and ``status``
  (状态) must be there; ``file``, ``reason_code``, ``reason``, ``bank_reference`` and ``amount`` may be. A heading nobody knows is
  refused: it may be the one that takes the answer back.

Reading never raises; what is wrong comes back as findings, and a file with a finding is refused whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from bank_adapters.amounts import AmountUnreadable, parse_point_amount
from bank_adapters.bank_answers import MOST_ANSWER_BYTES, Answer, AnswerFile, AnswerFinding, BankAnswer, refused_file
from bank_adapters.payment_status import read_pain002
from money import Money
from money.amount import AmountRefused

_HEADINGS = {
    "reference": ("reference", "end_to_end_reference", "业务编号", "指令编号", "端到端编号"),
    "status": ("status", "状态", "处理结果", "处理状态", "交易状态"),
    "file": ("file", "instruction_file", "指令文件", "文件名"),
    "reason_code": ("reason_code", "原因代码", "返回码", "错误码"),
    "reason": ("reason", "原因", "失败原因", "返回信息"),
    "bank_reference": ("bank_reference", "银行流水号", "流水号"),
    "amount": ("amount", "金额"),
}
_FIELD_OF = {heading: field for field, headings in _HEADINGS.items() for heading in headings}
_WORDS = {
    Answer.ACCEPTED: ("accepted", "成功", "交易成功", "已受理", "受理成功"),
    Answer.REJECTED: ("rejected", "失败", "交易失败", "拒绝", "已拒绝"),
    Answer.PENDING: ("pending", "处理中", "待处理", "已接收"),
}
_ANSWER_OF = {word: answer for answer, words in _WORDS.items() for word in words}


def read_answer_file(data: bytes) -> AnswerFile:
    """The answers in ``data``; never raises."""
    if len(data) > MOST_ANSWER_BYTES:
        why = f"the file has {len(data)} bytes; at most {MOST_ANSWER_BYTES} are read"
        return refused_file("unknown", None, why, f"文件有 {len(data)} 字节，超过上限 {MOST_ANSWER_BYTES}")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return read_pain002(data)
    return _read_table(data)


def _read_table(data: bytes) -> AnswerFile:
    try:
        text = _text(data)
        first = text.split("\n", 1)[0]
        delimiter = max(",|\t;", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as problem:
        return refused_file("csv", None, f"not a table of text: {problem}", f"不是文本表格：{problem}")
    rows = [[cell.strip() for cell in row] for row in rows]
    if not rows or not any(rows[0]):
        return refused_file("csv", 1, "the file is empty", "文件为空")
    fields = [_FIELD_OF.get(cell.lower(), "") for cell in rows[0]]
    unknown = [cell for cell, field in zip(rows[0], fields, strict=True) if not field]
    if unknown or len(set(fields)) < len(fields) or not {"reference", "status"} <= set(fields):
        known = ", ".join(headings[0] for headings in _HEADINGS.values())
        what = f"unknown or repeated headings {', '.join(unknown) or rows[0]}" if unknown else f"headings {rows[0]}"
        return refused_file(
            "csv", 1, f"{what}; a table of answers has reference and status, and may have: {known}",
            f"表头 {rows[0]} 不符；必须有“业务编号”和“状态”，可有：{known}",
        )  # fmt: skip
    answers: list[BankAnswer] = []
    findings: list[AnswerFinding] = []
    for number, row in enumerate(rows[1:], 2):
        if any(row):
            read = _row(dict(zip(fields, row, strict=False)), number) if len(row) == len(fields) else None
            if isinstance(read, BankAnswer):
                answers.append(read)
            else:
                findings.append(read or AnswerFinding(number, f"{len(row)} cells under {len(fields)} headings", "列数与表头不符"))
    if not answers and not findings:
        findings.append(AnswerFinding(None, "the table holds no answer", "表格中没有回执"))
    return AnswerFile("csv", "", tuple(answers), tuple(findings))


def _text(data: bytes) -> str:
    """UTF-8, or GB18030 as Chinese banks' tables are; the headings must be known words, so a wrong guess is refused."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def _row(cells: Mapping[str, str], number: int) -> BankAnswer | AnswerFinding:
    answer = _ANSWER_OF.get(cells["status"].lower())
    if answer is None:
        words = ", ".join(_ANSWER_OF)
        return AnswerFinding(number, f"status {cells['status']!r} is none of {words}", f"状态“{cells['status']}”不是：{words}")
    if not cells["reference"]:
        return AnswerFinding(number, "no reference", "缺少业务编号")
    amount = None
    if cells.get("amount"):
        try:
            amount = Money(parse_point_amount(cells["amount"], 2), "CNY")
        except (AmountUnreadable, AmountRefused) as problem:
            return AnswerFinding(number, f"amount {cells['amount']!r}: {problem}", f"金额无法识别：{cells['amount']}")
    return BankAnswer(
        answer=answer,
        reference=cells["reference"],
        file=cells.get("file", "").rsplit(".", 1)[0],
        reason_code=cells.get("reason_code", ""),
        reason=cells.get("reason", ""),
        bank_reference=cells.get("bank_reference", ""),
        amount=amount,
        line=number,
    )
