"""Pages of one statement as one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bank_adapters.model import Statement


def join_pages(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Statements with pages (same account and sequence, ``last_page`` false on all but the last) joined into one each.

    The first page gives the opening, the last the closing balance; lines follow in order. Accepted only when every page is.
    """
    joined: list[Statement] = []
    unfinished: dict[tuple[str | None, str | None], int] = {}
    for statement in statements:
        key = (statement.account, statement.sequence)
        at = unfinished.pop(key, None)
        if at is None:
            joined.append(statement)
            at = len(joined) - 1
        else:
            before = joined[at]
            joined[at] = replace(
                before,
                closing_balance=statement.closing_balance,
                closing_date=statement.closing_date,
                lines=before.lines + statement.lines,
                accepted=before.accepted and statement.accepted,
                last_page=statement.last_page,
            )
        if not statement.last_page:
            unfinished[key] = at
    return tuple(joined)
