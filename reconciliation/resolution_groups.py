"""Resolutions of discrepancies with several lines or items: which twins to reverse, which line of a group clears which item."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from money import Money
from reconciliation import resolution_wording as say
from reconciliation.discrepancy import Act, DiscrepancyRecord, ResolutionRefused
from reconciliation.entries import Books, Entry, Item, Line, suspense_of


def twins_to_reverse(conn: Connection, record: DiscrepancyRecord, chosen: tuple[UUID, ...]) -> tuple[UUID, ...]:
    """Which twins to reverse: those named, or the open ones when the bank has shown another. One of them always stays."""
    one = record.discrepancy
    twins = tuple(UUID(item) for item in one.item_ids)
    rows = conn.execute(
        text(
            """
            SELECT i.item_id, i.amount_minor_units FROM open_item i
            LEFT JOIN open_item_clearing k USING (institution_id, item_id)
            WHERE i.institution_id = :institution AND i.item_id = ANY (:items) AND k.item_id IS NULL ORDER BY i.item_id
            """
        ),
        {"institution": one.institution_id, "items": list(twins)},
    )
    amounts = {row.item_id: int(row.amount_minor_units) for row in rows}
    wanted = chosen or tuple(amounts)
    if not set(wanted) <= set(twins):
        raise ResolutionRefused(say.other_twins(one))
    if sum(amounts.get(item, 0) for item in wanted) > one.amount_minor_units:
        raise ResolutionRefused(say.one_twin_stays(list(amounts)))
    return wanted


def paired_by_hand(record: DiscrepancyRecord, books: Books, lines: list[Line], items: Sequence[Item]) -> Entry:
    """A group of lines matched by hand: each item, in the order named, is cleared by the first line of its amount that is left;
    lines nobody claims go to suspense. Raises ResolutionRefused when an item has no line of its amount.
    """
    entry, left = Entry(), list(lines)
    for item in items:
        line = next((one for one in left if (one.amount, one.direction) == (item.amount, item.direction)), None)
        if line is None:
            amount = Money(item.amount, record.discrepancy.currency)
            raise ResolutionRefused(say.no_line_left(item.item_id, amount, len(lines)))
        left.remove(line)
        entry.extend(books.clear(line, [item], str(Act.MATCH_MANUALLY)))
    for line in left:
        entry.extend(books.against(line, suspense_of(line.direction), str(Act.MATCH_MANUALLY)))
    return entry
