"""Is the money there? What a custody account must hold against what the bank says it holds, item by item.

Source: DOMAIN.md 3.4 (coverage), DESIGN.md invariant 7. Amounts in minor units (fen). A surplus at one account never covers
another: there is no function here that adds accounts up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd
from sqlalchemy import Connection, text

from calendars import WorkingCalendar
from ledger.store import open_items, trial_balance
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind, DiscrepancyState
from reconciliation.discrepancy_store import open_as_known, records
from reconciliation.matching import MatchingRules
from reconciliation.model import CustodyAccountRef
from reconciliation.run_store import StatementSummary, counted_statements
from reconciliation.sides import open_bank_lines

#: Kinds of account whose balances must be covered by cash.
REQUIRED_KINDS = (
    "prepayment_held",
    "payable_to_institution",
    "disbursements_in_transit",
    "refunds_in_transit",
    "unidentified_receipts",
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of one custody account at the end of one business day; all figures in minor units of ``currency``.

    Requirement: ``held`` (per order, each at least 0) + ``payable`` + ``disbursements_in_transit`` + ``refunds_in_transit`` +
    ``unidentified`` + ``open_receipts`` (bank lines IN nobody has explained and no held prepayment stands for yet) -
    ``open_payments`` (bank lines OUT that stand for an item still counted in transit). Resource: ``bank_closing``; with what
    is proven in transit: + ``proven_in_transit`` (receipts within their time for which no line has come).
    ``closing_date``: the statement it is from.
    """

    account: CustodyAccountRef
    as_of: date
    currency: str
    closing_date: date | None
    bank_closing: int
    held: int
    payable: int
    disbursements_in_transit: int
    refunds_in_transit: int
    unidentified: int
    open_receipts: int
    open_payments: int
    proven_in_transit: int
    overdue_in_transit: int
    fee_receivable: int
    receivable_from_bank: int
    unexplained_payments: int

    @property
    def requirement(self) -> int:
        return (
            self.held
            + self.payable
            + self.disbursements_in_transit
            + self.refunds_in_transit
            + self.unidentified
            + self.open_receipts
            - self.open_payments
        )

    @property
    def strict_surplus(self) -> int:
        """Bank cash alone less the requirement; below zero while receipts are on their way."""
        return self.bank_closing - self.requirement

    @property
    def surplus(self) -> int:
        """Bank cash and proven in-transit less the requirement: the first missing fen makes it negative."""
        return self.strict_surplus + self.proven_in_transit

    @property
    def shortfall(self) -> int:
        return max(-self.surplus, 0)

    @property
    def covered(self) -> bool:
        return self.surplus >= 0


def coverage_of(
    conn: Connection,
    ref: CustodyAccountRef,
    as_of: date,
    rules: MatchingRules,
    calendar: WorkingCalendar,
    *,
    found: Sequence[Discrepancy] | None = None,
    lines: pd.DataFrame | None = None,
    known_at: datetime | None = None,
) -> Coverage:
    """Coverage of an account at the end of a business day, against the newest statement through it (0 without any).

    ``found`` and ``lines``: what a run, not written yet, has just found open; by default what is open in the database.
    ``known_at``: as somebody asking at that instant was answered: statements that counted, lines that were matched, batches and
    discrepancies that were recorded by then, whatever came later. The windows are those of ``rules``, today's as a rule.
    """
    newest: list[StatementSummary] = counted_statements(conn, ref, as_of, known_at=known_at)
    account = ref.custody_account_id
    balances = {
        row.kind: row.balance.minor_units
        for row in trial_balance(conn, as_of=as_of, known_at=known_at, custody_account_id=account, by="kind")
    }
    in_transit = open_items(conn, custody_account_id=account, as_of=as_of, known_at=known_at)
    receipts = [item for item in in_transit if item.direction == "IN"]
    in_time = {
        item.item_id: rules.window(item.kind).ends(item.due_date, calendar) >= as_of and item.due_date >= item.booking_date
        for item in receipts
    }
    proven = sum(item.amount.minor_units for item in receipts if in_time[item.item_id])
    overdue = sum(item.amount.minor_units for item in receipts) - proven
    lines = open_bank_lines(conn, ref, as_of, known_at=known_at) if lines is None else lines
    inward = (lines["direction"] == "IN").to_numpy(dtype=bool)
    if found is None and known_at is not None:
        found = open_as_known(conn, account, known_at)
    elif found is None:
        states = [DiscrepancyState.OPEN, DiscrepancyState.PREPARED]
        found = [one.discrepancy for one in records(conn, custody_account_id=account, states=states)]
    stands = _standing_for(conn, ref, found, dict(zip(lines["line_id"], lines["amount"], strict=True)), known_at)
    proven -= sum(item.amount.minor_units for item in receipts if in_time[item.item_id] and str(item.item_id) in stands.arrived)
    return Coverage(
        account=ref,
        as_of=as_of,
        currency=ref.currency,
        closing_date=newest[0].business_date if newest else None,
        bank_closing=newest[0].closing if newest else 0,
        held=balances.get("prepayment_held", 0),
        payable=balances.get("payable_to_institution", 0),
        disbursements_in_transit=balances.get("disbursements_in_transit", 0),
        refunds_in_transit=balances.get("refunds_in_transit", 0),
        unidentified=balances.get("unidentified_receipts", 0),
        open_receipts=int(lines.loc[inward, "amount"].sum()) - stands.for_receipts,
        open_payments=stands.for_payments,
        proven_in_transit=proven,
        overdue_in_transit=overdue,
        fee_receivable=balances.get("fee_receivable", 0),
        receivable_from_bank=balances.get("receivable_from_bank", 0),
        unexplained_payments=balances.get("unexplained_payments", 0),
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """Minor units of open lines IN and OUT that stand for items counted elsewhere, and the items they have come for."""

    for_receipts: int
    for_payments: int
    arrived: frozenset[str]


def _standing_for(
    conn: Connection,
    ref: CustodyAccountRef,
    found: Sequence[Discrepancy],
    open_lines: Mapping[str, int],
    known_at: datetime | None,
) -> _Standing:
    """What the open bank lines already stand for.

    A line that came late or with another amount for a receipt pays for a prepayment counted as held, and the receipt is no
    longer on its way: what the line lacks is missing from that day on. One that went out for an instruction still in transit
    has paid what is counted as in transit.
    """
    totals = {"IN": 0, "OUT": 0}
    arrived: set[str] = set()
    pairs = [
        one
        for one in found
        if one.kind in _PAYS_FOR_ITS_ITEM and one.item_ids and one.line_ids and set(one.line_ids) <= open_lines.keys()
    ]
    if not pairs:
        return _Standing(0, 0, frozenset())
    items = _still_open(conn, ref, sorted({item for one in pairs for item in one.item_ids}), known_at)
    # Each item is stood for at most once, whichever lines claim it: otherwise one receipt could hide two missing ones.
    for one in sorted(pairs, key=lambda pair: pair.discrepancy_id):
        left = sum(int(open_lines[line]) for line in one.line_ids)
        for item in sorted(set(one.item_ids) & items.keys()):
            direction, amount = items[item]
            took = min(left, amount)
            items[item] = (direction, amount - took)
            totals[direction] += took
            left -= took
            if took:
                arrived.add(item)
    return _Standing(totals["IN"], totals["OUT"], frozenset(arrived))


def _still_open(
    conn: Connection, ref: CustodyAccountRef, wanted: Sequence[str], known_at: datetime | None
) -> dict[str, tuple[str, int]]:
    """Direction and minor units of those of the items that nothing has cleared, by id; ``known_at``: nothing recorded by then."""
    if known_at is not None:
        known = {str(item.item_id): item for item in open_items(conn, institution_id=ref.institution_id, known_at=known_at)}
        return {item: (known[item].direction, known[item].amount.minor_units) for item in wanted if item in known}
    rows = conn.execute(
        text(
            """
            SELECT CAST(i.item_id AS text), i.direction, i.amount_minor_units FROM open_item i
            LEFT JOIN open_item_clearing k USING (institution_id, item_id)
            WHERE i.institution_id = :institution AND i.item_id = ANY (CAST(:items AS uuid[])) AND k.item_id IS NULL
            """
        ),
        {"institution": ref.institution_id, "items": wanted},
    )
    return {item: (direction, int(amount)) for item, direction, amount in rows}


_PAYS_FOR_ITS_ITEM = frozenset(
    {
        DiscrepancyKind.LATE,
        DiscrepancyKind.AMOUNT_MISMATCH,
        DiscrepancyKind.FEE_VARIANCE,
        DiscrepancyKind.AMBIGUOUS,
        DiscrepancyKind.DUPLICATE_LEDGER,
    }
)
