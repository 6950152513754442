"""Pages of one statement as one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bank_adapters.model import Statement, StatementFileReading


def join_pages(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Statements with pages (same account and sequence, ``last_page`` false on all but the last) joined into one each.

    The first page gives the opening, the last the closing balance; lines follow in order. Accepted only when every page is.
    """
    return tuple(statement for statement, _ in _joined(statements))


def join_reading(reading: StatementFileReading) -> StatementFileReading:
    """The reading with every statement's pages joined; findings belong to the joined statements."""
    joined = _joined(reading.statements)
    if len(joined) == len(reading.statements):
        return reading
    new_index = {old: new for new, (_, parts) in enumerate(joined) for old in parts}
    findings = tuple(
        finding if finding.statement is None else replace(finding, statement=new_index[finding.statement])
        for finding in reading.findings
    )
    return replace(reading, statements=tuple(statement for statement, _ in joined), findings=findings)


def _joined(statements: Sequence[Statement]) -> list[tuple[Statement, list[int]]]:
    """Each statement with the indexes of the pages it is made of."""
    joined: list[Statement] = []
    parts: list[list[int]] = []
    unfinished: dict[tuple[str | None, str | None], int] = {}
    for index, statement in enumerate(statements):
        key = (statement.account, statement.sequence or statement.statement_id)
        at = unfinished.pop(key, None)
        if at is None:
            joined.append(statement)
            parts.append([index])
            at = len(joined) - 1
        else:
            before = joined[at]
            parts[at].append(index)
            joined[at] = replace(
                before,
                closing_balance=statement.closing_balance,
                closing_date=statement.closing_date,
                lines=(*before.lines, *statement.lines),
                accepted=before.accepted and statement.accepted,
                last_page=statement.last_page,
            )
        if not statement.last_page:
            unfinished[key] = at
    return list(zip(joined, parts, strict=True))
