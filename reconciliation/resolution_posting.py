"""What resolving a discrepancy posts: shown before it is proposed, built again and posted when another person approves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import pandas as pd
from sqlalchemy import Connection, text

from ledger.model import PostingRefused, RefusalCode
from ledger.store import post, reverse
from money import Money
from reconciliation import resolution_wording as say
from reconciliation.discrepancy import Act, DiscrepancyKind, DiscrepancyRecord, ResolutionRefused
from reconciliation.entries import Books, Entry, EntryRefused, Item, Line, suspense_of
from reconciliation.matching.outcome import MATCH_COLUMNS, match_ids
from reconciliation.model import ClearedItem, CustodyAccountRef
from reconciliation.resolution_groups import paired_by_hand
from reconciliation.run_store import insert_matches
from reconciliation.sides import books_of
from reconciliation.undoing import first_bookings, undo_bookings

#: The version under which a person's decisions are posted.
BY_HAND = "by-hand/1"

_AGAINST = {
    Act.CLAIM_FROM_BANK: "receivable_from_bank",
    Act.BOOK_BANK_INTEREST: "bank_interest",
    Act.BOOK_BANK_CHARGE: "bank_charges",
}


@dataclass(frozen=True, slots=True)
class ProposedLeg:
    """One transfer a resolution would post, with account codes as reports show them."""

    debit: str
    credit: str
    amount: Money
    booking_date: date


def latest_day(conn: Connection, record: DiscrepancyRecord) -> date:
    """The newest business day reconciled for the discrepancy's account, or the day it dates from."""
    one = record.discrepancy
    found: date | None = conn.execute(
        text("SELECT max(business_date) FROM reconciliation_run WHERE institution_id = :i AND custody_account_id = :a"),
        {"i": one.institution_id, "a": one.custody_account_id},
    ).scalar_one()
    return max(found, one.since) if found else one.since


def account_ref(conn: Connection, record: DiscrepancyRecord) -> CustodyAccountRef:
    """The custody account as entries need it (its bank and number are not looked up)."""
    one = record.discrepancy
    opened: date = conn.execute(
        text("SELECT min(opened_on) FROM account WHERE institution_id = :i AND custody_account_id = :a"),
        {"i": one.institution_id, "a": one.custody_account_id},
    ).scalar_one()
    return CustodyAccountRef(
        one.institution_id, one.custody_account_id, "", str(one.custody_account_id), one.currency, opened or one.since
    )


def preview(conn: Connection, record: DiscrepancyRecord, act: Act, item_ids: Sequence[UUID]) -> list[ProposedLeg]:
    """The entry a resolution would post; empty for an act that posts nothing. Raises ResolutionRefused."""
    if act is Act.EXPLAIN:
        return []
    ref = account_ref(conn, record)
    books = books_of(conn, ref)
    if act is Act.REVERSE:
        transfers = _transfers_to_reverse(conn, record, item_ids)
        day = _reversal_day(conn, record)
        rows = conn.execute(
            text(
                "SELECT credit_account_id, debit_account_id, amount_minor_units FROM transfer"
                " WHERE institution_id = :i AND transfer_id = ANY (:t)"
            ),
            {"i": ref.institution_id, "t": transfers},
        )
        legs = [(row[0], row[1], int(row[2]), day) for row in rows]
    else:
        entry = _entry(conn, record, books, act, item_ids)
        legs = [(t.debit_account_id, t.credit_account_id, t.amount.minor_units, t.booking_date) for t in entry.transfers]
    codes = _codes(conn, ref, {account for leg in legs for account in leg[:2]})
    return [ProposedLeg(codes[debit], codes[credit], Money(units, ref.currency), day) for debit, credit, units, day in legs]


def _codes(conn: Connection, ref: CustodyAccountRef, accounts: set[int]) -> dict[int, str]:
    rows = conn.execute(
        text("SELECT account_id, kind, subject FROM account WHERE institution_id = :i AND account_id = ANY (:a)"),
        {"i": ref.institution_id, "a": sorted(accounts)},
    )
    return {row.account_id: f"{row.kind}:{row.subject}" if row.subject else row.kind for row in rows}


def _line(conn: Connection, record: DiscrepancyRecord) -> Line:
    return _lines(conn, record)[0]


def _lines(conn: Connection, record: DiscrepancyRecord) -> list[Line]:
    """The bank lines of a discrepancy, the first booked first. Raises ResolutionRefused: none, or one was restated."""
    one = record.discrepancy
    if not one.line_ids:
        raise ResolutionRefused(say.not_about_a_line(record))
    rows = conn.execute(
        text(
            "SELECT line_id, direction, amount_minor_units, booking_date FROM line_in_force"
            " WHERE institution_id = :i AND line_id = ANY (:l) ORDER BY booking_date, line_id"
        ),
        {"i": one.institution_id, "l": list(one.line_ids)},
    ).all()
    if len(rows) != len(set(one.line_ids)):
        raise ResolutionRefused(say.line_restated(one))
    return [Line(row.line_id, row.direction, int(row.amount_minor_units), row.booking_date) for row in rows]


def _items(conn: Connection, record: DiscrepancyRecord, item_ids: Sequence[UUID]) -> list[Item]:
    one = record.discrepancy
    rows = conn.execute(
        text(
            """
            SELECT i.item_id, i.account_id, i.amount_minor_units, i.direction, k.item_id IS NOT NULL AS cleared
            FROM open_item i LEFT JOIN open_item_clearing k USING (institution_id, item_id)
            WHERE i.institution_id = :institution AND i.custody_account_id = :account AND i.item_id = ANY (:items)
            ORDER BY i.item_id
            """
        ),
        {"institution": one.institution_id, "account": one.custody_account_id, "items": list(item_ids)},
    ).all()
    if not item_ids or len(rows) != len(set(item_ids)):
        raise ResolutionRefused(say.items_wanted())
    for row in rows:
        if row.cleared:
            raise ResolutionRefused(say.item_cleared(row.item_id, one))
    place = {item: number for number, item in enumerate(item_ids)}
    ordered = sorted(rows, key=lambda row: place[row.item_id])
    return [Item(row.item_id, row.account_id, int(row.amount_minor_units), row.direction) for row in ordered]


def _entry(conn: Connection, record: DiscrepancyRecord, books: Books, act: Act, item_ids: Sequence[UUID]) -> Entry:
    if act is Act.SETTLE_FROM_SUSPENSE:
        return books.settle(_items(conn, record, item_ids), latest_day(conn, record), str(act))
    lines = _lines(conn, record)
    entry = Entry()
    try:
        if act is Act.POST_TO_SUSPENSE or act in _AGAINST:
            for line in lines:
                entry.extend(books.against(line, _AGAINST.get(act) or suspense_of(line.direction), str(act)))
            return entry
        items = _items(conn, record, item_ids)
        if len(lines) > 1:
            return paired_by_hand(record, books, lines, items)
        (line,) = lines
        if act is not Act.CHARGE_FEE_TO_INSTITUTION and sum(item.amount for item in items) != line.amount:
            total = Money(sum(item.amount for item in items), record.discrepancy.currency)
            shown = Money(line.amount, record.discrepancy.currency)
            raise ResolutionRefused(say.totals_differ(total, shown))
        return books.clear(line, items, str(act))
    except EntryRefused as refused:
        raise ResolutionRefused(*refused.reasons) from refused


def _transfers_to_reverse(conn: Connection, record: DiscrepancyRecord, item_ids: Sequence[UUID]) -> list[UUID]:
    """What ``reverse`` undoes: the clearing of a returned payment, or the booking of an item the bank will never show."""
    one = record.discrepancy
    if not item_ids:
        raise ResolutionRefused(say.nothing_to_reverse(record))
    if one.kind is not DiscrepancyKind.RETURNED:
        _items(conn, record, item_ids)
        return list(first_bookings(conn, one.institution_id, item_ids).values())
    rows = conn.execute(
        text(
            """
            SELECT k.clearing_transfer_id, i.amount_minor_units, EXISTS (
                SELECT FROM transfer t JOIN account a ON a.institution_id = t.institution_id
                    AND a.account_id IN (t.debit_account_id, t.credit_account_id)
                WHERE t.institution_id = k.institution_id AND t.transfer_id = k.clearing_transfer_id AND a.kind = 'custody_cash')
            FROM open_item_clearing k JOIN open_item i USING (institution_id, item_id)
            WHERE k.institution_id = :i AND k.item_id = ANY (:items)
            """
        ),
        {"i": one.institution_id, "items": list(item_ids)},
    ).all()
    if sum(int(row[1]) for row in rows) != one.amount_minor_units:
        raise ResolutionRefused(say.came_back_otherwise())
    if not all(row[2] for row in rows):
        raise ResolutionRefused(say.paid_in_parts())
    return [row[0] for row in rows]


def _reversal_day(conn: Connection, record: DiscrepancyRecord) -> date:
    if record.discrepancy.kind is DiscrepancyKind.RETURNED:
        return _line(conn, record).booking_date
    return latest_day(conn, record)


def execute(
    conn: Connection,
    record: DiscrepancyRecord,
    ref: CustodyAccountRef,
    act: Act,
    item_ids: Sequence[UUID],
    *,
    actor: str,
    now: datetime,
) -> tuple[ClearedItem, ...]:
    """Post what a resolution comes to and use up its line and items; the items it has cleared. Raises ResolutionRefused."""
    one = record.discrepancy
    reason = f"{one.kind} {one.discrepancy_id}: {act}"
    if act is Act.EXPLAIN:
        return ()
    lines = _lines(conn, record) if one.line_ids and (act is not Act.REVERSE or one.kind is DiscrepancyKind.RETURNED) else []
    if act is Act.REVERSE:
        transfers = _transfers_to_reverse(conn, record, item_ids)
        undo, ids = (reverse, transfers) if one.kind is DiscrepancyKind.RETURNED else (undo_bookings, item_ids)
        day = _reversal_day(conn, record)
        try:
            undo(conn, ref.institution_id, ids, now=now, booking_date=day, actor=actor, reason=reason, rule_version=BY_HAND)
        except PostingRefused as refused:
            if any(one.code is RefusalCode.BELOW_FLOOR for one in refused.refusals):
                raise ResolutionRefused(say.money_gone(one, str(refused))) from refused
            raise
        _consume(conn, ref, act, lines=lines, items=[], reason=reason, actor=actor)
        return ()
    entry = _entry(conn, record, books_of(conn, ref), act, item_ids)
    items = _items(conn, record, item_ids) if entry.clearings else []
    try:
        post(
            conn,
            entry.transfers,
            now=now,
            actor=actor,
            reason=reason,
            rule_version=BY_HAND,
            clearings=entry.clearings,
        )
    except PostingRefused as refused:
        if act is Act.SETTLE_FROM_SUSPENSE and any(one.code is RefusalCode.BELOW_FLOOR for one in refused.refusals):
            suspense = f"{ref.custody_account_id}:{suspense_of(items[0].direction)}"
            raise ResolutionRefused(say.suspense_too_low(one, suspense, str(refused))) from refused
        raise
    _consume(conn, ref, act, lines=lines, items=items, reason=reason, actor=actor)
    rows = conn.execute(
        text("SELECT item_id, kind FROM open_item WHERE institution_id = :i AND item_id = ANY (:items)"),
        {"i": ref.institution_id, "items": [item.item_id for item in items]},
    )
    kinds: dict[UUID, str] = {row.item_id: row.kind for row in rows}
    booked = {transfer.transfer_id: transfer.booking_date for transfer in entry.transfers}
    return tuple(
        ClearedItem(
            ref.institution_id, made.item_id, kinds[made.item_id], made.clearing_transfer_id, booked[made.clearing_transfer_id]
        )
        for made in entry.clearings
    )


def _consume(
    conn: Connection,
    ref: CustodyAccountRef,
    act: Act,
    *,
    lines: Sequence[Line],
    items: Sequence[Item],
    reason: str,
    actor: str,
) -> None:
    """Record which lines and items a resolution has disposed of; the primary keys refuse a second time."""
    if not lines:
        return
    members = [("bank", line.line_id, line.amount) for line in lines]
    members += [("book", str(item.item_id), item.amount) for item in items]
    key = "|".join(sorted(f"{side}:{member}" for side, member, _ in members))
    identity = match_ids([str(act)], [key])[0]
    frame = pd.DataFrame(
        [(identity, str(act), "confirmed", side, member, amount, reason) for side, member, amount in members],
        columns=list(MATCH_COLUMNS),
    )
    insert_matches(conn, ref, frame, run_id=None, rules_version=BY_HAND, actor=actor)
