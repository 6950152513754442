"""Release class-hours: their money ceases to be the payer's and is owed to the institution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from escrow.policy import PolicyBook
from escrow.schedule import ReleaseMode, ReleaseSchedule, parse_tranches
from escrow.staging import copy_rows, take_turn
from ledger.model import Transfer, transfer_id
from ledger.store import post
from money import Money


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What a day's release did. ``amount_minor_units`` in fen.

    ``withheld``: class-hours confirmed by ``as_of`` but not released, counted by the first reason that stops them: disputed,
    on_hold, unfunded, voided.
    """

    as_of: date
    class_hours: int
    amount_minor_units: int
    withheld: Mapping[str, int] = field(default_factory=dict)


_CONFIRMED = """
    SELECT p.institution_id, p.order_id, p.custody_account_id, p.held_account_id, p.amount_minor_units, p.class_hours,
        p.release_mode, p.release_tranches, a.currency, payable.account_id AS payable_account_id, c.class_hour_no, c.basis,
        (SELECT count(*) FROM release r WHERE r.institution_id = p.institution_id AND r.order_id = p.order_id) AS released_before,
        CASE
            WHEN EXISTS (
                SELECT FROM class_hour_event e
                WHERE e.institution_id = c.institution_id AND e.order_id = c.order_id AND e.class_hour_no = c.class_hour_no
                    AND e.event = 'disputed')
                AND NOT EXISTS (
                SELECT FROM class_hour_event e
                WHERE e.institution_id = c.institution_id AND e.order_id = c.order_id AND e.class_hour_no = c.class_hour_no
                    AND e.event = 'dispute_withdrawn') THEN 'disputed'
            WHEN EXISTS (
                SELECT FROM hold_in_force h
                WHERE h.institution_id = p.institution_id AND h.stops_release
                    AND (h.custody_account_id = p.custody_account_id
                        OR (h.order_id = p.order_id AND coalesce(h.class_hour_no, c.class_hour_no) = c.class_hour_no)))
                THEN 'on_hold'
            WHEN EXISTS (
                SELECT FROM transfer v WHERE v.institution_id = p.institution_id AND v.reverses = p.receipt_item_id) THEN 'voided'
            WHEN u.order_id IS NULL OR back.item_id IS NOT NULL THEN 'unfunded'
        END AS stopped_by
    FROM (
        SELECT e.institution_id, e.order_id, e.class_hour_no,
            CASE WHEN bool_or(e.event = 'confirmed') THEN 'payer' ELSE 'deemed' END AS basis
        FROM class_hour_event e
        WHERE e.event IN ('confirmed', 'deemed_confirmed') AND e.event_on <= :as_of
            AND NOT EXISTS (
                SELECT FROM release r
                WHERE r.institution_id = e.institution_id AND r.order_id = e.order_id AND r.class_hour_no = e.class_hour_no)
        GROUP BY e.institution_id, e.order_id, e.class_hour_no
    ) c
    JOIN class_hour_event t ON t.institution_id = c.institution_id AND t.order_id = c.order_id
        AND t.class_hour_no = c.class_hour_no AND t.event = 'taught' AND t.event_on <= :as_of
    JOIN prepayment p ON p.institution_id = c.institution_id AND p.order_id = c.order_id
    JOIN custody_account a ON a.institution_id = p.institution_id AND a.custody_account_id = p.custody_account_id
    JOIN account payable ON payable.institution_id = p.institution_id AND payable.custody_account_id = p.custody_account_id
        AND payable.kind = 'payable_to_institution' AND payable.subject = ''
    LEFT JOIN funding u ON u.institution_id = p.institution_id AND u.order_id = p.order_id AND u.funded_on <= :as_of
    LEFT JOIN receipt_taken_back back ON back.institution_id = p.institution_id AND back.item_id = p.receipt_item_id
    ORDER BY p.institution_id, p.order_id, c.class_hour_no
"""
_COLUMNS = (
    "institution_id", "order_id", "class_hour_no", "instalment_no", "amount_minor_units", "transfer_id", "released_on", "basis",
    "confirmation_event",
)  # fmt: skip
#: Rows fetched at once, and class-hours written at once: some 200 MB however many a day has.
_READ_AT_ONCE = 10_000
_WRITTEN_AT_ONCE = 100_000
_CONFIRMATION = {"payer": "confirmed", "deemed": "deemed_confirmed"}


def release_due(conn: Connection, as_of: date, *, policies: PolicyBook, now: datetime, actor: str = "system") -> ReleaseReport:
    """Release every class-hour confirmed (by the payer, or deemed) by ``as_of`` that nothing stops.

    The instalment is the next of the order's schedule, so what is released in all depends only on how many class-hours are,
    not on their order. Booked on ``as_of``. Safe to repeat: a class-hour is released once.
    """
    take_turn(conn)
    part = _Part(conn, as_of, now, actor, policies.version)
    withheld: Counter[str] = Counter()
    order: tuple[int, str] | None = None
    instalment_no = 0
    for found in conn.execute(text(_CONFIRMED), {"as_of": as_of}, execution_options={"yield_per": _READ_AT_ONCE}):
        if found.stopped_by is not None:
            withheld[found.stopped_by] += 1
            continue
        if (found.institution_id, found.order_id) != order:
            order, instalment_no = (found.institution_id, found.order_id), found.released_before
        instalment_no += 1
        amount = _instalment(
            found.amount_minor_units, found.class_hours, found.release_mode, found.release_tranches, instalment_no
        )
        part.add(found, order, instalment_no, amount)
    part.write()
    return ReleaseReport(as_of, part.class_hours, part.amount_minor_units, dict(sorted(withheld.items())))


class _Part:
    """Class-hours on their way into the books: a day may have millions, so they are written part by part. The caller's
    transaction keeps all parts or none.
    """

    def __init__(self, conn: Connection, as_of: date, now: datetime, actor: str, rule_version: str) -> None:
        self.conn, self.as_of, self.now, self.actor, self.rule_version = conn, as_of, now, actor, rule_version
        self.rows: list[tuple[Any, ...]] = []
        self.transfers: list[Transfer] = []
        self.class_hours = 0
        self.amount_minor_units = 0

    def add(self, found: Any, order: tuple[int, str], instalment_no: int, amount: int) -> None:
        """Release one class-hour; an instalment of nothing moves nothing."""
        posted = self._transfer(found, amount) if amount else None
        basis, confirmation = found.basis, _CONFIRMATION[found.basis]
        self.rows.append((*order, found.class_hour_no, instalment_no, amount, posted, self.as_of, basis, confirmation))
        self.class_hours += 1
        self.amount_minor_units += amount
        if len(self.rows) >= _WRITTEN_AT_ONCE:
            self.write()

    def _transfer(self, found: Any, amount: int) -> UUID:
        source_ref = f"{found.order_id}#{found.class_hour_no}"
        posted = transfer_id(found.institution_id, self.as_of, "release", source_ref)
        self.transfers.append(
            Transfer(
                transfer_id=posted,
                institution_id=found.institution_id,
                debit_account_id=found.held_account_id,
                credit_account_id=found.payable_account_id,
                amount=Money(amount, found.currency),
                booking_date=self.as_of,
                reason="class_hour_released",
                source_kind="release",
                source_ref=source_ref,
            )
        )
        return posted

    def write(self) -> None:
        """Append what has gathered to ``release`` and the journal."""
        if self.rows:
            copy_rows(self.conn, "release", _COLUMNS, self.rows)
        if self.transfers:
            post(
                self.conn, self.transfers, now=self.now, actor=self.actor, reason="class-hours released",
                rule_version=self.rule_version,
            )  # fmt: skip
        self.rows, self.transfers = [], []


@lru_cache(maxsize=65_536)
def _schedule(total: int, class_hours: int, mode: str, tranches: str) -> ReleaseSchedule:
    return ReleaseSchedule(total, class_hours, ReleaseMode(mode), parse_tranches(tranches))


def _instalment(total: int, class_hours: int, mode: str, tranches: str, instalment_no: int) -> int:
    return _schedule(total, class_hours, mode, tranches).instalment(instalment_no)
