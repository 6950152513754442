"""Statements sent in pages: interim balances (:62M: of one page, :60M: of the next) must chain, and no page may be missing.

Each page stays a ``Statement`` of its own, as the bank wrote it; ``bank_adapters.pages.join_pages`` makes one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bank_adapters.findings import Findings
from bank_adapters.model import Statement, StatementKind


@dataclass(frozen=True, slots=True)
class PageMark:
    """Whether a page opens or closes with an interim balance, and where these stand."""

    opening_interim: bool
    closing_interim: bool
    opening_line: int | None
    closing_line: int | None


def check_pages(statements: Sequence[Statement], marks: Sequence[PageMark], findings: Findings) -> tuple[Statement, ...]:
    """Check page chains, then set ``accepted``: the pages of one statement stand or fall together."""
    group_of: dict[int, int] = {}
    open_page: dict[tuple[str | None, str | None], int] = {}
    for index, (statement, mark) in enumerate(zip(statements, marks, strict=True)):
        group_of[index] = index
        if statement.kind is StatementKind.INTRADAY:
            continue
        key = (statement.account, statement.sequence)
        before = open_page.pop(key, None)
        findings.statement = index
        if mark.opening_interim:
            if before is None:
                _missing(statement, (statement.page or 2) - 1, mark.opening_line, findings)
            else:
                group_of[index] = group_of[before]
                _check_chain(statements[before], statement, mark, findings)
        elif before is not None:
            findings.statement = before
            _missing(statements[before], (statements[before].page or 1) + 1, marks[before].closing_line, findings)
        if mark.closing_interim:
            open_page[key] = index
    for index in open_page.values():
        findings.statement = index
        _missing(statements[index], (statements[index].page or 1) + 1, marks[index].closing_line, findings)
    refused_groups = {group_of[index] for index in group_of if findings.errors_in(index)}
    finished: list[Statement] = []
    for index, statement in enumerate(statements):
        if group_of[index] in refused_groups and not findings.errors_in(index):
            findings.statement = index
            findings.add("page_refused", line=statement.line)
        finished.append(replace(statement, accepted=not findings.errors_in(index)))
    findings.statement = None
    return tuple(finished)


def _missing(statement: Statement, page: int, line: int | None, findings: Findings) -> None:
    findings.add("page_missing", line=line, field="28C", page=page or "?", sequence=statement.sequence or "?")


def _check_chain(before: Statement, statement: Statement, mark: PageMark, findings: Findings) -> None:
    if before.page is not None and statement.page is not None:
        if statement.page > before.page + 1:
            _missing(statement, before.page + 1, mark.opening_line, findings)
        elif statement.page <= before.page:
            findings.add("page_unnumbered", line=mark.opening_line, field="28C")
    opening, closing = statement.opening_balance, before.closing_balance
    if opening is not None and closing is not None and opening != closing:
        findings.add(
            "page_chain", line=mark.opening_line, field="60M", page=statement.page or "?",
            opening=opening.plain, closing=closing.plain,
        )  # fmt: skip
