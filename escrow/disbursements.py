"""Instruct the banks: pay out what has been released, and return what has been refunded."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, text

from bank_adapters.instruction_layout import SELF_PROVING, InstructionLayout, why_unwritable, write_instructions
from bank_adapters.instructions import InstructionFile, PaymentOrder
from calendars import WorkingCalendar
from escrow.disbursement import disbursement_id, refund_reference
from escrow.policy import PolicyBook
from escrow.staging import copy_rows, take_turn
from escrow.tables import instruction_file
from ledger.model import OpenItem, Transfer, transfer_id
from ledger.store import post
from money import Money


@dataclass(frozen=True, slots=True)
class DisbursementReport:
    """What was instructed on a day. Amounts in fen; ``files`` names the new files.

    ``on_hold``: custody accounts with money to pay out, and refunds, that a hold stops. ``unwritable``: what the bank's layout
    cannot carry, each with its reference and the reason; nothing was put in transit for it.
    """

    as_of: date
    disbursements: int
    disbursed_minor_units: int
    refunds: int
    refunded_minor_units: int
    files: tuple[str, ...]
    on_hold: int
    unwritable: tuple[str, ...] = ()


#: What is payable is the smaller of the balance as of the day and the balance now: a day run again after a later one must not
#: pay out what the later one has paid.
_PAYABLE = """
    SELECT a.institution_id, a.custody_account_id, a.bank_code, a.account_number, a.account_name, a.currency, a.beneficiary_name,
        a.beneficiary_account, a.beneficiary_bank, payable.account_id AS payable_account_id,
        transit.account_id AS transit_account_id, least(-b.balance_minor_units, d.balance)::bigint AS amount_minor_units,
        EXISTS (
            SELECT FROM hold_in_force h
            WHERE h.institution_id = a.institution_id AND h.stops_release AND h.custody_account_id = a.custody_account_id
        ) AS on_hold
    FROM custody_account a
    JOIN account payable ON payable.institution_id = a.institution_id AND payable.custody_account_id = a.custody_account_id
        AND payable.kind = 'payable_to_institution' AND payable.subject = ''
    JOIN account transit ON transit.institution_id = a.institution_id AND transit.custody_account_id = a.custody_account_id
        AND transit.kind = 'disbursements_in_transit' AND transit.subject = ''
    JOIN account_balance b ON b.institution_id = payable.institution_id AND b.account_id = payable.account_id
    JOIN LATERAL (
        SELECT sum(y.credits_minor_units - y.debits_minor_units) AS balance FROM account_day y
        WHERE y.institution_id = payable.institution_id AND y.account_id = payable.account_id AND y.booking_date <= :as_of
    ) d ON true
    WHERE least(-b.balance_minor_units, d.balance) > 0
        AND NOT EXISTS (
            SELECT FROM disbursement_instruction i
            WHERE i.institution_id = a.institution_id AND i.custody_account_id = a.custody_account_id
                AND i.instruction_date = :as_of)
    ORDER BY a.bank_code, a.account_number
"""
_REFUNDS = """
    SELECT f.institution_id, f.refund_request_id, f.order_id, f.amount_minor_units, f.payee_name, f.payee_account,
        a.bank_code, a.account_number, a.account_name, a.currency,
        EXISTS (
            SELECT FROM hold_in_force h
            WHERE h.institution_id = f.institution_id AND h.stops_refund
                AND (h.custody_account_id = p.custody_account_id OR h.order_id = f.order_id)
        ) AS on_hold
    FROM refund f
    JOIN prepayment p ON p.institution_id = f.institution_id AND p.order_id = f.order_id
    JOIN custody_account a ON a.institution_id = p.institution_id AND a.custody_account_id = p.custody_account_id
    WHERE f.amount_minor_units > 0 AND f.approved_on <= :as_of
        AND NOT EXISTS (
            SELECT FROM refund_instruction i
            WHERE i.institution_id = f.institution_id AND i.refund_request_id = f.refund_request_id)
        AND NOT EXISTS (
            SELECT FROM reversal b WHERE b.institution_id = f.institution_id AND b.original_id = f.transfer_id)
    ORDER BY a.bank_code, a.account_number, f.refund_request_id
"""
_DISBURSEMENT_COLUMNS = (
    "institution_id", "instruction_id", "custody_account_id", "instruction_date", "amount_minor_units", "beneficiary_name",
    "beneficiary_account", "beneficiary_bank", "transfer_id", "instruction_file_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Writing:
    """How each bank takes its files; banks that agreed on nothing take the self-proving CSV."""

    layouts: Mapping[str, InstructionLayout]
    as_of: date
    now: datetime

    def layout(self, bank_code: str) -> InstructionLayout:
        return self.layouts.get(bank_code, SELF_PROVING)

    def orders(self, rows: Iterable[Any], make: Callable[[Any, date], PaymentOrder], refused: list[str]) -> list[_Due]:
        """The rows with their payment orders; what a bank's layout cannot carry goes to ``refused``, and its money stays."""
        found = []
        for row in rows:
            order = make(row, self.as_of)
            reason = why_unwritable(order, self.layout(row.bank_code), self.now)
            if reason is None:
                found.append(_Due(row, order))
            else:
                refused.append(f"{row.bank_code} {order.end_to_end_reference}: {reason}")
        return found


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be instructed: the row that says so and the order it becomes."""

    row: Any
    order: PaymentOrder


def prepare_disbursements(
    conn: Connection,
    as_of: date,
    *,
    policies: PolicyBook,
    calendar: WorkingCalendar,
    now: datetime,
    actor: str = "system",
    layouts: Mapping[str, InstructionLayout] | None = None,
) -> DisbursementReport:
    """Instruct the banks, on a working day, to pay out all that is payable and to return all refunds approved so far.

    One file per bank, day and kind in the bank's layout (``layouts`` by bank code), stored byte for byte;
    ``store.instruction_files`` gives them out. On a day that is not worked nothing is instructed: it waits for the next. A hold
    on a custody account stops its disbursement. Safe to repeat: an account is instructed once a day, a refund once.
    Raises CalendarNotCovered past the calendar's last day.
    """
    take_turn(conn)
    if not calendar.is_working_day(as_of):
        return DisbursementReport(as_of, 0, 0, 0, 0, (), 0)
    writing, unwritable = _Writing(layouts or {}, as_of, now), list[str]()
    payable = conn.execute(text(_PAYABLE), {"as_of": as_of}).all()
    free = [row for row in payable if not row.on_hold]
    due = writing.orders(free, _disbursement_order, unwritable)
    names = _instruct_disbursements(conn, due, writing, policies=policies, actor=actor)
    approved = conn.execute(text(_REFUNDS), {"as_of": as_of}).all()
    released = [row for row in approved if not row.on_hold]
    returned = writing.orders(released, _refund_order, unwritable)
    names += _instruct_refunds(conn, returned, writing)
    return DisbursementReport(
        as_of,
        len(due),
        sum(one.row.amount_minor_units for one in due),
        len(returned),
        sum(one.row.amount_minor_units for one in returned),
        tuple(names),
        len(payable) - len(free) + len(approved) - len(released),
        tuple(unwritable),
    )


def _disbursement_order(row: Any, as_of: date) -> PaymentOrder:
    return PaymentOrder(
        end_to_end_reference=disbursement_id(as_of, row.account_number),
        debit_account=row.account_number,
        amount=Money(row.amount_minor_units, row.currency),
        beneficiary_name=row.beneficiary_name,
        beneficiary_account=row.beneficiary_account,
        beneficiary_bank=row.beneficiary_bank,
        purpose="release of prepaid tuition",
        debit_account_name=row.account_name,
    )


def _refund_order(row: Any, _as_of: date) -> PaymentOrder:
    return PaymentOrder(
        end_to_end_reference=refund_reference(row.refund_request_id),
        debit_account=row.account_number,
        amount=Money(row.amount_minor_units, row.currency),
        beneficiary_name=row.payee_name,
        beneficiary_account=row.payee_account,
        beneficiary_bank="",
        purpose="refund of prepaid tuition",
        debit_account_name=row.account_name,
    )


def _files(due: Iterable[_Due]) -> Iterator[tuple[str, list[_Due]]]:
    """What goes into each file as (bank, orders). Numbers are unique at one institution only, and one file names each number
    once: a number two institutions of a bank share goes into the bank's next file.
    """
    found: defaultdict[tuple[str, int], list[_Due]] = defaultdict(list)
    seen: Counter[tuple[str, str]] = Counter()
    for one in due:
        name = (one.row.bank_code, one.order.end_to_end_reference)
        found[one.row.bank_code, seen[name]].append(one)
        seen[name] += 1
    for bank_code, file_no in sorted(found):
        yield bank_code, found[bank_code, file_no]


def _store_file(conn: Connection, bank_code: str, kind: str, writing: _Writing, due: list[_Due]) -> tuple[int, str]:
    """Write and keep the bank's next file of that kind and day; its number and name."""
    earlier = conn.scalar(
        text("SELECT max(sequence) FROM instruction_file WHERE (bank_code, kind, business_date) = (:bank_code, :kind, :as_of)"),
        {"bank_code": bank_code, "kind": kind, "as_of": writing.as_of},
    )
    orders = tuple(one.order for one in due)
    file = InstructionFile(bank_code, kind, writing.as_of, (earlier or 0) + 1, orders)
    layout = writing.layout(bank_code)
    content = write_instructions(file, layout, writing.now)
    name = f"{file.message_id}.{layout.ending}"
    file_id: int = conn.execute(
        insert(instruction_file)
        .values(
            bank_code=bank_code,
            kind=kind,
            business_date=writing.as_of,
            sequence=file.sequence,
            file_name=name,
            sha256=hashlib.sha256(content).digest(),
            content=content,
            order_count=len(orders),
            total_minor_units=file.total.minor_units,
        )
        .returning(instruction_file.c.instruction_file_id)
    ).scalar_one()
    return file_id, name


def _instruct_disbursements(
    conn: Connection, due: list[_Due], writing: _Writing, *, policies: PolicyBook, actor: str
) -> list[str]:
    as_of = writing.as_of
    names: list[str] = []
    instructions: list[tuple[Any, ...]] = []
    transfers: list[Transfer] = []
    items: list[OpenItem] = []
    for bank_code, accounts in _files(due):
        file_id, name = _store_file(conn, bank_code, "disbursement", writing, accounts)
        names.append(name)
        for one in accounts:
            row, instruction_id, amount = one.row, one.order.end_to_end_reference, one.order.amount
            moved = transfer_id(row.institution_id, as_of, "disbursement", instruction_id)
            transfers.append(
                Transfer(
                    transfer_id=moved,
                    institution_id=row.institution_id,
                    debit_account_id=row.payable_account_id,
                    credit_account_id=row.transit_account_id,
                    amount=amount,
                    booking_date=as_of,
                    reason="disbursement_instructed",
                    source_kind="disbursement",
                    source_ref=instruction_id,
                )
            )
            items.append(
                OpenItem(
                    item_id=moved,
                    institution_id=row.institution_id,
                    custody_account_id=row.custody_account_id,
                    account_id=row.transit_account_id,
                    kind="disbursement",
                    direction="OUT",
                    amount=amount,
                    booking_date=as_of,
                    due_date=as_of,
                    references=(instruction_id,),
                    counterparty_name=row.beneficiary_name,
                    counterparty_account=row.beneficiary_account,
                )
            )
            instructions.append(
                (
                    row.institution_id, instruction_id, row.custody_account_id, as_of, row.amount_minor_units,
                    row.beneficiary_name, row.beneficiary_account, row.beneficiary_bank, moved, file_id,
                )
            )  # fmt: skip
    if transfers:
        copy_rows(conn, "disbursement_instruction", _DISBURSEMENT_COLUMNS, instructions)
        post(
            conn,
            transfers,
            now=writing.now,
            actor=actor,
            reason="disbursements instructed",
            rule_version=policies.version,
            open_items=items,
        )
    return names


def _instruct_refunds(conn: Connection, due: list[_Due], writing: _Writing) -> list[str]:
    names: list[str] = []
    instructions: list[tuple[Any, ...]] = []
    for bank_code, refunds in _files(due):
        file_id, name = _store_file(conn, bank_code, "refund", writing, refunds)
        names.append(name)
        instructions += [(one.row.institution_id, one.row.refund_request_id, writing.as_of, file_id) for one in refunds]
    copy_rows(
        conn,
        "refund_instruction",
        ("institution_id", "refund_request_id", "instruction_date", "instruction_file_id"),
        instructions,
    )
    return names
