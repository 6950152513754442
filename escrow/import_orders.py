"""Take orders: each accepted one opens a prepayment by a journal entry and waits for its money at the bank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from calendars import business_date
from escrow.channel import Channel
from escrow.import_layouts import ORDERS, ReadRow, read_file
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.order import Charge, Outstanding, breaches
from escrow.policy import BreachAction, OutstandingScope, Policy, PolicyBook, PolicyNotInForce
from escrow.schedule import tranches_text
from escrow.staging import copy_rows, stage, take_turn
from ledger.accounts import open_accounts
from ledger.chart import Chart
from ledger.model import NewAccount, OpenItem, Transfer, transfer_id
from ledger.store import post
from money import Money

#: How far ahead of the import an instant may lie: clocks differ, and a day's file may be taken before its day ends.
FUTURE_DAYS = 1

#: (institution, student, course name, or '' when all courses count together)
_StudentKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class _Sale:
    """A row with what the database knows about it."""

    row: ReadRow
    institution_id: int
    custody_account_id: int
    transit_account_id: int
    policy: Policy
    paid_on: date


def import_orders(
    conn: Connection,
    data: bytes,
    name: str,
    *,
    chart: Chart,
    channels: Mapping[str, Channel],
    policies: PolicyBook,
    now: datetime,
    actor: str,
    role: str = "system",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a file of orders; every accepted order is posted as receipts in transit against prepayment held.

    Charging limits are those of the policy in force at the institution's place on the day of payment; whether a breach is
    refused or flagged is the policy's word. A second payment of a known order is refused by name, so that the bank's line
    about it stays a line nobody expects. Raises PostingRefused when the books refuse (nothing is taken then).
    """
    take_turn(conn)
    reading = read_file(data, ORDERS, progress)
    verdicts = Verdicts(reading, ORDERS)
    sales = _sales(conn, reading.rows, verdicts, channels=channels, policies=policies, today=business_date(now))
    accepted = _within_limits(conn, sales, verdicts)
    _write(conn, accepted, reading.sha256, chart=chart, channels=channels, policies=policies, now=now, actor=actor)
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


_LOOKED_UP = ("institution_code", "account_number", "order_id", "channel")
_FACTS = """
    SELECT s.line, i.institution_id, i.jurisdiction_code, a.custody_account_id, a.currency, a.opened_on, o.content_digest,
        t.account_id AS transit_account_id
    FROM staged_order s
    LEFT JOIN institution i ON i.institution_code = s.institution_code
    LEFT JOIN custody_account a ON a.institution_id = i.institution_id AND a.account_number = s.account_number
    LEFT JOIN orders o ON o.institution_id = i.institution_id AND o.order_id = s.order_id
    LEFT JOIN account t ON t.institution_id = a.institution_id AND t.custody_account_id = a.custody_account_id
        AND t.kind = 'receipts_in_transit' AND t.subject = s.channel
"""


def _sales(
    conn: Connection,
    rows: list[ReadRow],
    verdicts: Verdicts,
    *,
    channels: Mapping[str, Channel],
    policies: PolicyBook,
    today: date,
) -> list[_Sale]:
    """The rows that are sound by themselves and by what the database knows, the limits aside."""
    stage(
        conn,
        "staged_order",
        {"line": "integer"} | dict.fromkeys(_LOOKED_UP, "text"),
        ((row.line, *(row.values[name] for name in _LOOKED_UP)) for row in rows),
    )
    facts = {found.line: found for found in conn.execute(text(_FACTS))}
    sales = []
    for row in rows:
        known = facts[row.line]
        if known.content_digest is not None:
            verdicts.known_before(row, known.content_digest)
            continue
        paid_on = business_date(row.values["paid_at"])
        faults = _faults(row, known, channels, paid_on, today)
        policy = None
        if not faults:
            try:
                policy = policies.policy_for(known.jurisdiction_code, paid_on)
            except PolicyNotInForce as missing:
                faults.append(("paid_at", "no_policy", str(missing)))
        for fault in faults:
            verdicts.refuse(row, *fault)
        if policy is not None:
            sale = _Sale(row, known.institution_id, known.custody_account_id, known.transit_account_id, policy, paid_on)
            sales.append(sale)
    return sales


def _faults(
    row: ReadRow, known: Row[Any], channels: Mapping[str, Channel], paid_on: date, today: date
) -> list[tuple[str, str, str]]:
    values = row.values
    if known.institution_id is None:
        code = values["institution_code"]
        return [("institution_code", "unknown_institution", f"no institution {code}; import institutions first")]
    if known.custody_account_id is None:
        return [
            (
                "account_number",
                "unknown_account",
                f"account {values['account_number']} is not filed for this institution; import institutions first",
            )
        ]
    faults = []
    if values["channel"] not in channels:
        faults.append(
            (
                "channel",
                "unknown_channel",
                f"{values['channel']} is not one of {', '.join(channels)}; correct it, or add it to config/channels.yaml",
            )
        )
    elif known.transit_account_id is None:
        faults.append(
            (
                "channel",
                "unknown_channel",
                f"the books of this account know no channel {values['channel']}; correct it, or open another account",
            )
        )
    if values["currency"] != known.currency:
        faults.append(("currency", "currency", f"the account is kept in {known.currency}, not {values['currency']}"))
    if values["course_ends_on"] < values["course_starts_on"]:
        faults.append(("course_ends_on", "dates_out_of_order", "the course ends before it starts"))
    if paid_on > today + timedelta(days=FUTURE_DAYS):
        faults.append(("paid_at", "in_the_future", f"paid on {paid_on}, which has not come yet"))
    if paid_on < known.opened_on:
        faults.append(("paid_at", "account_not_open", f"the account was opened on {known.opened_on}, after the payment"))
    return faults


_OUTSTANDING = """
    SELECT o.institution_id, o.student_token, o.course_name,
        sum(o.class_hours - coalesce(t.hours, 0))::bigint AS class_hours,
        sum(o.amount_minor_units - o.amount_minor_units * coalesce(t.hours, 0) / o.class_hours)::bigint AS amount_minor_units
    FROM orders o
    LEFT JOIN LATERAL (
        SELECT count(*) AS hours FROM class_hour_event e
        WHERE e.institution_id = o.institution_id AND e.order_id = o.order_id AND e.event = 'taught'
    ) t ON true
    WHERE (o.institution_id, o.student_token) IN (SELECT institution_id, student_token FROM staged_student)
        AND NOT EXISTS (
            SELECT FROM refund f WHERE f.institution_id = o.institution_id AND f.order_id = o.order_id)
    GROUP BY o.institution_id, o.student_token, o.course_name
"""


def _within_limits(conn: Connection, sales: list[_Sale], verdicts: Verdicts) -> list[_Sale]:
    """The sales the limits let pass, judged in the order of payment whatever the order of rows; fills ``verdicts``."""
    stage(
        conn,
        "staged_student",
        {"institution_id": "integer", "student_token": "text"},
        {(sale.institution_id, sale.row.values["student_token"]) for sale in sales},
    )
    outstanding: defaultdict[_StudentKey, Outstanding] = defaultdict(Outstanding)
    for found in conn.execute(text(_OUTSTANDING)):
        for course in (found.course_name, ""):
            key = (found.institution_id, found.student_token, course)
            outstanding[key] = outstanding[key].plus(found.class_hours, found.amount_minor_units)
    accepted = []
    for sale in sorted(sales, key=lambda one: (one.row.values["paid_at"], one.institution_id, one.row.values["order_id"])):
        values = sale.row.values
        by_course = sale.policy.limits.outstanding_scope is OutstandingScope.COURSE
        key = (sale.institution_id, values["student_token"], values["course_name"] if by_course else "")
        charge = Charge(
            values["class_hours"], values["amount"], sale.paid_on, values["course_starts_on"], values["course_ends_on"]
        )
        found_breaches = breaches(charge, sale.policy.limits, outstanding[key])
        refused = any(breach.action is BreachAction.REFUSE for breach in found_breaches)
        for breach in found_breaches:
            (verdicts.refuse if refused else verdicts.flag)(sale.row, breach.field, breach.code, breach.reason)
        if refused:
            continue
        for course in (values["course_name"], ""):
            scope = (sale.institution_id, values["student_token"], course)
            outstanding[scope] = outstanding[scope].plus(charge.class_hours, charge.amount_minor_units)
        accepted.append(sale)
        verdicts.accepted.append(sale.row)
    return accepted


_ORDER_COLUMNS = (
    "institution_id", "order_id", "custody_account_id", "payer_token", "student_token", "course_name", "class_hours",
    "amount_minor_units", "channel", "channel_reference", "paid_at", "course_starts_on", "course_ends_on", "content_digest",
    "source_file_sha256", "source_line",
)  # fmt: skip
_PREPAYMENT_COLUMNS = (
    "institution_id", "order_id", "custody_account_id", "held_account_id", "receipt_item_id", "amount_minor_units",
    "class_hours", "jurisdiction_code", "policy_version", "release_mode", "release_tranches", "opened_on",
)  # fmt: skip


def _write(
    conn: Connection,
    sales: list[_Sale],
    sha256: bytes,
    *,
    chart: Chart,
    channels: Mapping[str, Channel],
    policies: PolicyBook,
    now: datetime,
    actor: str,
) -> None:
    if not sales:
        return
    held = open_accounts(
        conn,
        chart,
        [
            NewAccount(
                one.institution_id,
                one.custody_account_id,
                "prepayment_held",
                one.row.values["order_id"],
                one.row.values["currency"],
                one.paid_on,
            )
            for one in sales
        ],
    )
    copy_rows(conn, "orders", _ORDER_COLUMNS, (_order_row(one, sha256) for one in sales))
    transfers, items, prepayments = [], [], []
    for one in sales:
        values = one.row.values
        order_id = values["order_id"]
        held_account_id = held[one.custody_account_id, "prepayment_held", order_id]
        receipt_id = transfer_id(one.institution_id, one.paid_on, "order", order_id)
        money = Money(values["amount"], values["currency"])
        transfers.append(
            Transfer(
                transfer_id=receipt_id,
                institution_id=one.institution_id,
                debit_account_id=one.transit_account_id,
                credit_account_id=held_account_id,
                amount=money,
                booking_date=one.paid_on,
                reason="order_paid",
                source_kind="order",
                source_ref=order_id,
            )
        )
        items.append(
            OpenItem(
                item_id=receipt_id,
                institution_id=one.institution_id,
                custody_account_id=one.custody_account_id,
                account_id=one.transit_account_id,
                kind="receipt",
                direction="IN",
                amount=money,
                booking_date=one.paid_on,
                due_date=channels[values["channel"]].due_date(one.paid_on),
                references=tuple(dict.fromkeys((order_id, values["channel_reference"]))),
            )
        )
        prepayments.append(
            (
                one.institution_id, order_id, one.custody_account_id, held_account_id, receipt_id, values["amount"],
                values["class_hours"], one.policy.jurisdiction_code, one.policy.version, one.policy.release.mode.value,
                tranches_text(one.policy.release.tranches), one.paid_on,
            )
        )  # fmt: skip
    copy_rows(conn, "prepayment", _PREPAYMENT_COLUMNS, prepayments)
    post(conn, transfers, now=now, actor=actor, reason="orders imported", rule_version=policies.version, open_items=items)


def _order_row(one: _Sale, sha256: bytes) -> tuple[Any, ...]:
    values = one.row.values
    return (
        one.institution_id, values["order_id"], one.custody_account_id, values["payer_token"], values["student_token"],
        values["course_name"], values["class_hours"], values["amount"], values["channel"], values["channel_reference"],
        values["paid_at"], values["course_starts_on"], values["course_ends_on"], one.row.digest, sha256, one.row.line,
    )  # fmt: skip
