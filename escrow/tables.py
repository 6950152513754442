"""Tables of what is promised to payers and institutions.

Every table is append-only. Status is never stored: what became of an order, a class-hour, a hold or a refund is read from
the rows about it (views ``order_position``, ``class_hour_state``, ``hold_in_force``).
``institution_id`` leads every key of institution data; ``institution``, ``custody_account``, ``instruction_file`` and the
record of imports are small shared tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata


def _amount(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, comment=f"{comment}, in minor units (fen)")


def _text(name: str, comment: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable, comment=comment)


def _instant(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=f"{comment} (UTC instant)")


def _day(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Date, nullable=nullable, comment=f"{comment} (business day, Asia/Shanghai)")


def _institution() -> Column[int]:
    return Column("institution_id", Integer, nullable=False, comment="the institution whose data this is")


def _source() -> tuple[Column[Any], Column[Any]]:
    return (
        Column("source_file_sha256", LargeBinary, nullable=False, comment="SHA-256 of the file this row was read from"),
        Column("source_line", Integer, nullable=False, comment="1-based line of that file"),
    )


def _one_of(column: str, *words: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")


institution = Table(
    "institution",
    metadata,
    Column("institution_id", Integer, Identity(always=True), nullable=False, comment="our own number for the institution"),
    _text("institution_code", "unified social credit code (GB 32100-2015), 18 characters"),
    _text("name", "registered name"),
    _text("jurisdiction_code", "whose rules apply: GB/T 2260 code of six digits"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id"),
    UniqueConstraint("institution_code"),
    CheckConstraint("institution_code ~ '^[0-9A-HJ-NPQRTUWXY]{18}$'", name="institution_code_form"),
    CheckConstraint("jurisdiction_code ~ '^[0-9]{6}$'", name="jurisdiction_code_form"),
    info=APPEND_ONLY,
    comment="who teaches and earns the money",
)

custody_account = Table(
    "custody_account",
    metadata,
    _institution(),
    Column("custody_account_id", Integer, Identity(always=True), nullable=False, comment="our own number for the bank account"),
    _text("bank_code", "the bank that keeps the account (config/banks.yaml)"),
    _text("account_number", "the bank's number of the account"),
    _text("account_name", "name on the account"),
    _text("currency", "ISO 4217 code"),
    _day("opened_on", "first day the account may be used"),
    _text("beneficiary_name", "who is paid what has been released: the institution's own basic account"),
    _text("beneficiary_account", "number of that account"),
    _text("beneficiary_bank", "bank of that account"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "custody_account_id"),
    UniqueConstraint("custody_account_id"),
    UniqueConstraint("bank_code", "account_number"),
    UniqueConstraint("institution_id", "account_number"),
    ForeignKeyConstraint(["institution_id"], ["institution.institution_id"]),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_form"),
    info=APPEND_ONLY,
    comment="the real bank account where held money sits",
)

orders = Table(
    "orders",
    metadata,
    _institution(),
    _text("order_id", "the platform's number of the order"),
    Column("custody_account_id", Integer, nullable=False, comment="where the money must arrive"),
    _text("payer_token", "stands for the payer; no name is kept here"),
    _text("student_token", "stands for the student; no name is kept here"),
    _text("course_name", "what is taught"),
    Column("class_hours", Integer, nullable=False, comment="class-hours sold"),
    _amount("amount_minor_units", "what the payer paid"),
    _text("channel", "payment channel (config/channels.yaml)"),
    _text("channel_reference", "the channel's own number of the payment"),
    _instant("paid_at", "when the payer paid"),
    _day("course_starts_on", "first day of teaching"),
    _day("course_ends_on", "last day of teaching"),
    Column(
        "content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row as given: tells a repeat from a contradiction"
    ),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id"),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id"], ["custody_account.institution_id", "custody_account.custody_account_id"]
    ),
    CheckConstraint("class_hours > 0", name="class_hours_positive"),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    CheckConstraint("course_ends_on >= course_starts_on", name="course_days_in_order"),
    Index("ix_orders_student", "institution_id", "student_token"),
    info=APPEND_ONLY,
    comment="the platform's sales of class-hours to payers",
)

prepayment = Table(
    "prepayment",
    metadata,
    _institution(),
    _text("order_id", "the order it was taken for"),
    Column("custody_account_id", Integer, nullable=False, comment="where the money must arrive"),
    Column("held_account_id", BigInteger, nullable=False, comment="ledger account prepayment_held of this order"),
    Column("receipt_item_id", Uuid, nullable=False, comment="open item (and transfer) of the money on its way to the bank"),
    _amount("amount_minor_units", "what was paid"),
    Column("class_hours", Integer, nullable=False, comment="class-hours it is spread over"),
    _text("jurisdiction_code", "whose rules apply"),
    _text("policy_version", "the rules in force when it was paid"),
    _text("release_mode", "how it is released, fixed when it was paid"),
    _text("release_tranches", "share:percent steps of mode tranches, such as 1/3:30,2/3:60,1/1:100; else empty"),
    _day("opened_on", "when it was paid"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id"),
    UniqueConstraint("institution_id", "receipt_item_id"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["orders.institution_id", "orders.order_id"]),
    _one_of("release_mode", "per_class_hour", "tranches", "order_complete"),
    CheckConstraint("(release_mode = 'tranches') = (release_tranches <> '')", name="tranches_with_mode"),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    CheckConstraint("class_hours > 0", name="class_hours_positive"),
    info=APPEND_ONLY,
    comment="money taken for an order before the teaching, and the rules it was taken under",
)

funding = Table(
    "funding",
    metadata,
    _institution(),
    _text("order_id", "the order whose money the bank has shown"),
    _day("funded_on", "when the bank's line was matched"),
    Column("transfer_id", Uuid, nullable=False, comment="the transfer that cleared the receipt"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["prepayment.institution_id", "prepayment.order_id"]),
    info=APPEND_ONLY,
    comment="prepayments whose money was seen at the bank: only these are released or refunded",
)

class_hour_event = Table(
    "class_hour_event",
    metadata,
    _institution(),
    _text("order_id", "the order"),
    Column("class_hour_no", Integer, nullable=False, comment="which class-hour of the order, 1-based"),
    _text("event", "what happened to the class-hour"),
    _instant("event_at", "when it happened"),
    _day("event_on", "the day it happened"),
    _text("reported_by", "who reported it; 'system' for a confirmation deemed from silence"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row as given"),
    Column("source_file_sha256", LargeBinary, nullable=True, comment="SHA-256 of the file it was read from; null when deemed"),
    Column("source_line", Integer, nullable=True, comment="1-based line of that file; null when deemed"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id", "class_hour_no", "event"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["prepayment.institution_id", "prepayment.order_id"]),
    CheckConstraint("class_hour_no > 0", name="class_hour_no_positive"),
    _one_of("event", "taught", "confirmed", "deemed_confirmed", "disputed", "dispute_withdrawn", "dispute_upheld"),
    CheckConstraint("(event = 'deemed_confirmed') = (source_line IS NULL)", name="deemed_has_no_source"),
    CheckConstraint("(event = 'deemed_confirmed') = (reported_by = 'system')", name="deemed_by_system"),
    CheckConstraint("(source_file_sha256 IS NULL) = (source_line IS NULL)", name="source_whole"),
    info=APPEND_ONLY,
    comment="what happened to each class-hour; each thing happens at most once",
)

release = Table(
    "release",
    metadata,
    _institution(),
    _text("order_id", "the order"),
    Column("class_hour_no", Integer, nullable=False, comment="the class-hour released"),
    Column("instalment_no", Integer, nullable=False, comment="how many class-hours of the order are released with this one"),
    _amount("amount_minor_units", "the instalment by the closed form; may be 0"),
    Column(
        "transfer_id", Uuid, nullable=True, comment="the transfer to the institution's payable; null when the instalment is 0"
    ),
    _day("released_on", "booking date"),
    _text("basis", "confirmed by the payer, or deemed from silence"),
    _text("confirmation_event", "the class_hour_event that allows it"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id", "class_hour_no"),
    UniqueConstraint("institution_id", "order_id", "instalment_no"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["funding.institution_id", "funding.order_id"]),
    ForeignKeyConstraint(
        ["institution_id", "order_id", "class_hour_no", "confirmation_event"],
        [
            "class_hour_event.institution_id",
            "class_hour_event.order_id",
            "class_hour_event.class_hour_no",
            "class_hour_event.event",
        ],
        name="fk_release_confirmation_class_hour_event",
    ),
    CheckConstraint("amount_minor_units >= 0", name="amount_not_negative"),
    CheckConstraint("(amount_minor_units = 0) = (transfer_id IS NULL)", name="transfer_with_amount"),
    CheckConstraint("instalment_no > 0", name="instalment_no_positive"),
    CheckConstraint(
        "(basis, confirmation_event) IN (('payer', 'confirmed'), ('deemed', 'deemed_confirmed'))",
        name="basis_with_confirmation",
    ),
    Index("ix_release_released_on", "released_on"),
    info=APPEND_ONLY,
    comment="class-hours whose money ceased to be the payer's",
)

refund_request = Table(
    "refund_request",
    metadata,
    _institution(),
    _text("refund_request_id", "the platform's number of the request"),
    _text("order_id", "the order"),
    _instant("requested_at", "when the payer asked"),
    _day("requested_on", "the day the payer asked"),
    _text("institution_response", "agreed, or silent so far"),
    _instant("responded_at", "when the institution agreed", nullable=True),
    _day("responded_on", "the day the institution agreed", nullable=True),
    _text("reason", "the payer's reason"),
    _text("payee_name", "who gets the money back"),
    _text("payee_account", "the account it goes back to"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row as given"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "refund_request_id"),
    UniqueConstraint("institution_id", "refund_request_id", "order_id"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["prepayment.institution_id", "prepayment.order_id"]),
    _one_of("institution_response", "agreed", "silent"),
    CheckConstraint(
        "(institution_response = 'agreed') = (responded_at IS NOT NULL) AND (responded_at IS NULL) = (responded_on IS NULL)",
        name="response_dated",
    ),
    Index("ix_refund_request_order", "institution_id", "order_id"),
    info=APPEND_ONLY,
    comment="payers' requests for what is not yet taught",
)

refund = Table(
    "refund",
    metadata,
    _institution(),
    _text("refund_request_id", "the request it answers"),
    _text("order_id", "the order"),
    _amount("amount_minor_units", "what goes back to the payer; 0 when nothing is left"),
    Column("transfer_id", Uuid, nullable=True, comment="the transfer to refunds in transit; null when the amount is 0"),
    _day("approved_on", "booking date"),
    _text("basis", "agreed by the institution, or deemed from its silence"),
    Column("released_hours", Integer, nullable=False, comment="class-hours released when it was approved"),
    Column(
        "reserved_hours",
        Integer,
        nullable=False,
        comment="class-hours taught but not yet settled, whose instalments stay reserved",
    ),
    _text("payee_name", "who gets the money back"),
    _text("payee_account", "the account it goes back to"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "refund_request_id"),
    ForeignKeyConstraint(
        ["institution_id", "refund_request_id", "order_id"],
        ["refund_request.institution_id", "refund_request.refund_request_id", "refund_request.order_id"],
        name="fk_refund_request",
    ),
    ForeignKeyConstraint(["institution_id", "order_id"], ["funding.institution_id", "funding.order_id"]),
    CheckConstraint("amount_minor_units >= 0", name="amount_not_negative"),
    CheckConstraint("(amount_minor_units = 0) = (transfer_id IS NULL)", name="transfer_with_amount"),
    CheckConstraint("released_hours >= 0 AND reserved_hours >= 0", name="hours_not_negative"),
    _one_of("basis", "agreed", "deemed"),
    Index("ix_refund_order", "institution_id", "order_id"),
    Index("ix_refund_transfer", "institution_id", "transfer_id"),
    info=APPEND_ONLY,
    comment="unreleased money returned to payers",
)

hold = Table(
    "hold",
    metadata,
    _institution(),
    Column("hold_id", BigInteger, Identity(always=True), nullable=False, comment="our own number of the hold"),
    _text("scope", "what is stopped: one order, one class-hour, or everything of a custody account"),
    Column("order_id", Text, nullable=True, comment="the order, for scopes order and class_hour"),
    Column("class_hour_no", Integer, nullable=True, comment="the class-hour, for scope class_hour"),
    Column("custody_account_id", Integer, nullable=True, comment="the account, for scope custody_account"),
    Column("stops_release", Boolean, nullable=False, comment="whether releases (and disbursements of an account) are stopped"),
    Column("stops_refund", Boolean, nullable=False, comment="whether refunds are stopped"),
    _text("reason", "why"),
    _text("placed_by", "who placed it"),
    _instant("placed_at", "when it was placed"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "hold_id"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["prepayment.institution_id", "prepayment.order_id"]),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id"], ["custody_account.institution_id", "custody_account.custody_account_id"]
    ),
    _one_of("scope", "order", "class_hour", "custody_account"),
    CheckConstraint(
        "(scope = 'custody_account') = (custody_account_id IS NOT NULL) AND (order_id IS NULL) = (scope = 'custody_account')",
        name="scope_names_its_object",
    ),
    CheckConstraint("(scope = 'class_hour') = (class_hour_no IS NOT NULL)", name="class_hour_named"),
    CheckConstraint("stops_release OR stops_refund", name="stops_something"),
    CheckConstraint("btrim(reason) <> ''", name="reason_given"),
    info=APPEND_ONLY,
    comment="stops on release or refund, with reason and author",
)

hold_lift_proposal = Table(
    "hold_lift_proposal",
    metadata,
    _institution(),
    Column("hold_id", BigInteger, nullable=False, comment="the hold to be lifted"),
    _text("prepared_by", "who proposes to lift it"),
    _instant("prepared_at", "when it was proposed"),
    _text("reason", "why it may be lifted"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "hold_id", "prepared_by"),
    ForeignKeyConstraint(["institution_id", "hold_id"], ["hold.institution_id", "hold.hold_id"]),
    CheckConstraint("btrim(reason) <> ''", name="reason_given"),
    info=APPEND_ONLY,
    comment="proposals to lift a hold, waiting for a second person",
)

hold_lift = Table(
    "hold_lift",
    metadata,
    _institution(),
    Column("hold_id", BigInteger, nullable=False, comment="the hold that is lifted"),
    _text("prepared_by", "who proposed it"),
    _text("approved_by", "who approved it: another person"),
    _instant("approved_at", "when it was lifted"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "hold_id"),
    ForeignKeyConstraint(
        ["institution_id", "hold_id", "prepared_by"],
        ["hold_lift_proposal.institution_id", "hold_lift_proposal.hold_id", "hold_lift_proposal.prepared_by"],
        name="fk_hold_lift_proposal",
    ),
    CheckConstraint("prepared_by <> approved_by", name="two_persons"),
    info=APPEND_ONLY,
    comment="holds that two persons have lifted",
)

instruction_file = Table(
    "instruction_file",
    metadata,
    Column("instruction_file_id", Integer, Identity(always=True), nullable=False, comment="our own number of the file"),
    _text("bank_code", "the bank it is for"),
    _text("kind", "what it orders: disbursements or refunds"),
    _day("business_date", "the day of its instructions"),
    Column("sequence", Integer, nullable=False, comment="1 for the first file of that bank, kind and day"),
    _text("file_name", "name under which the bank gets it"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of content"),
    Column("content", LargeBinary, nullable=False, comment="the bytes as sent"),
    Column("order_count", Integer, nullable=False, comment="payment orders in it"),
    _amount("total_minor_units", "their sum"),
    *evidence_columns(),
    PrimaryKeyConstraint("instruction_file_id"),
    UniqueConstraint("bank_code", "kind", "business_date", "sequence"),
    UniqueConstraint("file_name"),
    _one_of("kind", "disbursement", "refund"),
    CheckConstraint("sequence > 0", name="sequence_positive"),
    CheckConstraint("order_count > 0", name="order_count_positive"),
    CheckConstraint("total_minor_units > 0", name="total_positive"),
    CheckConstraint("sha256 = sha256(content)", name="sha256_of_content"),
    info=APPEND_ONLY,
    comment="what the banks were told to pay, byte for byte",
)

disbursement_instruction = Table(
    "disbursement_instruction",
    metadata,
    _institution(),
    _text("instruction_id", "the number the bank repeats: DI, the day, the last eight digits of the account"),
    Column("custody_account_id", Integer, nullable=False, comment="where the money leaves"),
    _day("instruction_date", "booking date"),
    _amount("amount_minor_units", "all that was payable to the institution"),
    _text("beneficiary_name", "who is paid"),
    _text("beneficiary_account", "the account that is paid"),
    _text("beneficiary_bank", "its bank"),
    Column("transfer_id", Uuid, nullable=False, comment="the transfer to disbursements in transit"),
    Column("instruction_file_id", Integer, nullable=False, comment="the file that carries it"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "instruction_id"),
    UniqueConstraint("institution_id", "custody_account_id", "instruction_date"),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id"], ["custody_account.institution_id", "custody_account.custody_account_id"]
    ),
    ForeignKeyConstraint(["instruction_file_id"], ["instruction_file.instruction_file_id"]),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    Index("ix_disbursement_instruction_transfer", "institution_id", "transfer_id"),
    info=APPEND_ONLY,
    comment="our orders to the banks to pay released money out",
)

refund_instruction = Table(
    "refund_instruction",
    metadata,
    _institution(),
    _text("refund_request_id", "the refund"),
    _day("instruction_date", "the day of the file"),
    Column("instruction_file_id", Integer, nullable=False, comment="the file that carries it"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "refund_request_id"),
    ForeignKeyConstraint(["institution_id", "refund_request_id"], ["refund.institution_id", "refund.refund_request_id"]),
    ForeignKeyConstraint(["instruction_file_id"], ["instruction_file.instruction_file_id"]),
    info=APPEND_ONLY,
    comment="our orders to the banks to pay refunds",
)

channel_settlement = Table(
    "channel_settlement",
    metadata,
    _institution(),
    Column("custody_account_id", Integer, nullable=False, comment="where the channel pays"),
    _text("channel", "the payment channel"),
    _text("settlement_batch", "the channel's number of the batch, which arrives as one bank line"),
    _day("settled_on", "the day the channel pays"),
    _amount("gross_minor_units", "what payers paid"),
    _amount("fee_minor_units", "what the channel keeps back"),
    _amount("net_minor_units", "what arrives"),
    Column("item_count", Integer, nullable=False, comment="orders in the batch"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of all rows of the batch"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "custody_account_id", "channel", "settlement_batch"),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id"], ["custody_account.institution_id", "custody_account.custody_account_id"]
    ),
    CheckConstraint("gross_minor_units > 0", name="gross_positive"),
    CheckConstraint("fee_minor_units >= 0", name="fee_not_negative"),
    CheckConstraint("net_minor_units = gross_minor_units - fee_minor_units", name="net_is_gross_less_fee"),
    CheckConstraint("item_count > 0", name="item_count_positive"),
    info=APPEND_ONLY,
    comment="settlement batches of payment channels, as the channels report them",
)

channel_settlement_item = Table(
    "channel_settlement_item",
    metadata,
    _institution(),
    _text("order_id", "the order"),
    Column("custody_account_id", Integer, nullable=False, comment="where the channel pays"),
    _text("channel", "the payment channel"),
    _text("settlement_batch", "the batch the order is settled in"),
    _text("channel_reference", "the channel's own number of the payment"),
    _amount("gross_minor_units", "what the payer paid"),
    _amount("fee_minor_units", "what the channel keeps back"),
    _amount("net_minor_units", "what arrives"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row as given"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "order_id"),
    ForeignKeyConstraint(["institution_id", "order_id"], ["prepayment.institution_id", "prepayment.order_id"]),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id", "channel", "settlement_batch"],
        [
            "channel_settlement.institution_id",
            "channel_settlement.custody_account_id",
            "channel_settlement.channel",
            "channel_settlement.settlement_batch",
        ],
        name="fk_channel_settlement_item_batch",
    ),
    CheckConstraint("gross_minor_units > 0", name="gross_positive"),
    CheckConstraint("fee_minor_units >= 0", name="fee_not_negative"),
    CheckConstraint("net_minor_units = gross_minor_units - fee_minor_units", name="net_is_gross_less_fee"),
    Index("ix_channel_settlement_item_batch", "institution_id", "custody_account_id", "channel", "settlement_batch"),
    info=APPEND_ONLY,
    comment="which orders a settlement batch pays for",
)

opening_balance = Table(
    "opening_balance",
    metadata,
    _institution(),
    Column("custody_account_id", Integer, nullable=False, comment="the account that had money before supervision began"),
    Column("version", Integer, nullable=False, comment="1, and one more for every correction before a statement counted"),
    _day("as_of", "the day that opened with it"),
    _amount("amount_minor_units", "what the bank held at the beginning of that day"),
    _text("reason", "where the figure comes from, in the sender's words"),
    Column("transfer_id", Uuid, nullable=False, comment="the transfer from unidentified receipts to custody cash"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row's values in canonical form"),
    *_source(),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "custody_account_id", "version"),
    ForeignKeyConstraint(["custody_account_id"], ["custody_account.custody_account_id"]),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    CheckConstraint("version >= 1", name="version_positive"),
    info=APPEND_ONLY,
    comment="money that lay in a custody account before its first statement; that statement proves it by opening with it",
)

import_report = Table(
    "import_report",
    metadata,
    Column("import_report_id", Integer, Identity(always=True), nullable=False, comment="our own number of the import"),
    _text("kind", "what was imported"),
    _text("file_name", "name of the file as given"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of the file"),
    Column("byte_count", BigInteger, nullable=False, comment="its length"),
    _text("actor", "who imported it"),
    _instant("imported_at", "when"),
    Column("row_count", Integer, nullable=False, comment="data rows read"),
    Column("accepted_count", Integer, nullable=False, comment="rows taken"),
    Column("repeated_count", Integer, nullable=False, comment="rows taken before with the same content"),
    Column("refused_count", Integer, nullable=False, comment="rows refused, each with a finding"),
    *evidence_columns(),
    PrimaryKeyConstraint("import_report_id"),
    _one_of("kind", "institutions", "orders", "class-hours", "refund-requests", "channel-settlements", "opening-balances"),
    CheckConstraint("row_count = accepted_count + repeated_count + refused_count", name="rows_accounted_for"),
    info=APPEND_ONLY,
    comment="every import tried, and what became of its rows; the file itself stays with its sender",
)

import_finding = Table(
    "import_finding",
    metadata,
    Column("import_report_id", Integer, nullable=False, comment="the import"),
    Column("finding_no", Integer, nullable=False, comment="1-based"),
    Column("line", Integer, nullable=False, comment="1-based line of the file; 0 for the file as a whole"),
    _text("field", "the column concerned; empty for the whole row"),
    _text("code", "what kind of fault"),
    _text("reason", "what is wrong, in a sentence"),
    Column("refused", Boolean, nullable=False, comment="whether the row was refused, or taken and flagged"),
    Column("subject", ARRAY(Text), nullable=False, comment="the row's own key, as far as it could be read"),
    *evidence_columns(),
    PrimaryKeyConstraint("import_report_id", "finding_no"),
    ForeignKeyConstraint(["import_report_id"], ["import_report.import_report_id"]),
    info=APPEND_ONLY,
    comment="what was wrong with imported rows, kept so that a refused payment never vanishes",
)

#: In an order in which referenced tables come first.
TABLES = (
    institution,
    custody_account,
    orders,
    prepayment,
    funding,
    class_hour_event,
    release,
    refund_request,
    refund,
    hold,
    hold_lift_proposal,
    hold_lift,
    instruction_file,
    disbursement_instruction,
    refund_instruction,
    channel_settlement,
    channel_settlement_item,
    opening_balance,
    import_report,
    import_finding,
)
