"""Two versions of one statement side by side, line by line. Pure.

A line is unchanged when the bank says the same of it in everything but its place and the balance after it: those shift when
another line comes or goes. An unchanged line is the same movement and keeps its identity; equal lines are told apart by how
often they occur. What is changed, added or removed is told with the fields that differ.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bank_adapters.model import Statement, StatementLine
from reconciliation.intake import booked_lines, business_date_of, content_key, normal_text, plain_account


class Change(StrEnum):
    """What became of a line in the new version."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a line that differs: its name, what the old and what the new version says."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class LineChange:
    """One line of the comparison. ``old`` and ``new`` are 0-based places in their versions; None where there is no such line."""

    change: Change
    old: int | None
    new: int | None
    fields: tuple[FieldChange, ...] = ()


#: What the bank says of a line, as people call it, with how it is read off a line.
_FIELDS: tuple[tuple[str, Callable[[StatementLine], Any]], ...] = (
    ("booking_date", lambda line: line.booking_date),
    ("value_date", lambda line: line.value_date),
    ("direction", lambda line: str(line.direction)),
    ("amount", lambda line: line.amount.plain),
    ("currency", lambda line: line.amount.currency),
    ("bank_reference", lambda line: line.bank_reference),
    ("references", lambda line: " ".join(sorted(_references(line)))),
    ("counterparty_name", lambda line: line.counterparty_name),
    ("counterparty_account", lambda line: line.counterparty_account),
    ("description", lambda line: line.description),
    ("transaction_code", lambda line: line.transaction_code),
    ("reversal", lambda line: line.reversal),
)


def _references(line: StatementLine) -> set[str]:
    return {one for one in (*line.references, line.end_to_end_reference) if one}


def facts_of(line: StatementLine) -> tuple[str, ...]:
    """Everything the bank says of a line but its place and the balance after it."""
    return tuple("" if (value := read(line)) is None else str(value) for _, read in _FIELDS)


def statement_digest(one: Statement) -> bytes:
    """SHA-256 of what a statement says: account, day, balances and all facts of its booked lines. The same again is the same."""
    balances = [str(balance) for balance in (one.opening_balance, one.closing_balance)]
    said = [
        plain_account(one.account or ""),
        str(business_date_of(one)),
        balances,
        [facts_of(line) for line in booked_lines(one)],
    ]
    return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).digest()


def compare(custody_account_id: int, old: Sequence[StatementLine], new: Sequence[StatementLine]) -> list[LineChange]:
    """What became of each line: those of the new version in its order, each removed one where it stood.

    Paired in this order: equal in everything; of the same identity (account, day, direction, amount, reference or text); with the
    same reference of the bank; with a reference in common that no other line has.
    """
    pairs: dict[int, int] = {}
    left_old, left_new = list(range(len(old))), list(range(len(new)))

    def pair(key: Callable[[StatementLine], Iterable[Hashable]], *, alone: bool) -> None:
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        for place in left_old:
            for one in key(old[place]):
                waiting[one].append(place)
        rivals = Counter(one for place in left_new for one in key(new[place]))
        shared = {one for one, places in waiting.items() if len(places) > 1 or rivals[one] > 1} if alone else set()
        taken: set[int] = set()
        for place in left_new:
            for one in key(new[place]):
                queue = waiting.get(one, deque())
                while queue and queue[0] in taken:
                    queue.popleft()
                if queue and one not in shared:
                    pairs[place] = queue.popleft()
                    taken.add(pairs[place])
                    break
        left_old[:] = [place for place in left_old if place not in taken]
        left_new[:] = [place for place in left_new if place not in pairs]

    pair(lambda line: (facts_of(line),), alone=False)
    unchanged = set(pairs)
    pair(lambda line: (content_key(custody_account_id, line),), alone=False)
    pair(lambda line: (normal_text(line.bank_reference),) if line.bank_reference else (), alone=True)
    pair(_references, alone=True)
    found: list[LineChange] = []
    gone = deque(left_old)
    furthest = -1
    for place in range(len(new)):
        before = pairs.get(place)
        if before is not None:
            furthest = max(furthest, before)
            while gone and gone[0] < furthest:
                found.append(LineChange(Change.REMOVED, gone.popleft(), None))
        if before is None:
            found.append(LineChange(Change.ADDED, None, place))
        elif place in unchanged:
            found.append(LineChange(Change.UNCHANGED, before, place))
        else:
            found.append(LineChange(Change.CHANGED, before, place, _differing(old[before], new[place])))
    return found + [LineChange(Change.REMOVED, place, None) for place in gone]


def _differing(old: StatementLine, new: StatementLine) -> tuple[FieldChange, ...]:
    both = zip(_FIELDS, facts_of(old), facts_of(new), strict=True)
    return tuple(FieldChange(name, before, after) for (name, _), before, after in both if before != after)
