"""Ask a bank what became of instructions: a table it fills in and sends back as its answer.

The headings are those ``bank_answers`` reads, with ``status``, ``reason_code``, ``reason`` and ``bank_reference`` left empty; the
bank writes accepted, rejected or pending (成功, 失败, 处理中). Asking is not instructing: the same references, no new ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from money import Money

HEADINGS = ("file", "reference", "amount", "status", "reason_code", "reason", "bank_reference")


@dataclass(frozen=True, slots=True)
class Question:
    """One instruction asked about; ``file`` is the name of the instruction file without its ending."""

    file: str
    reference: str
    amount: Money


def write_query(questions: Iterable[Question]) -> bytes:
    """The table, UTF-8 with CRLF. References are ours and hold no formula: letters and digits come first."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\r\n")
    rows.writerow(HEADINGS)
    for one in questions:
        rows.writerow([one.file, one.reference, one.amount.plain, "", "", "", ""])
    return out.getvalue().encode("utf-8")
