"""Tables of what banks were told to pay: the files and the instructions in them. Append-only."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import amount_column, day_column, institution_column, one_of, text_column
from storage.metadata import metadata

instruction_file = Table(
    "instruction_file",
    metadata,
    Column("instruction_file_id", Integer, Identity(always=True), nullable=False, comment="our own number of the file"),
    text_column("bank_code", "the bank it is for"),
    text_column("kind", "what it orders: disbursements or refunds"),
    day_column("business_date", "the day of its instructions"),
    Column("sequence", Integer, nullable=False, comment="1 for the first file of that bank, kind and day"),
    text_column("file_name", "name under which the bank gets it"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of content"),
    Column("content", LargeBinary, nullable=False, comment="the bytes as sent"),
    Column("order_count", Integer, nullable=False, comment="payment orders in it"),
    amount_column("total_minor_units", "their sum"),
    *evidence_columns(),
    PrimaryKeyConstraint("instruction_file_id"),
    UniqueConstraint("bank_code", "kind", "business_date", "sequence"),
    UniqueConstraint("file_name"),
    one_of("kind", ["disbursement", "refund"]),
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
    institution_column(),
    text_column("instruction_id", "the number the bank repeats: DI, the day, the last eight digits of the account"),
    Column("custody_account_id", Integer, nullable=False, comment="where the money leaves"),
    day_column("instruction_date", "booking date"),
    amount_column("amount_minor_units", "all that was payable to the institution"),
    text_column("beneficiary_name", "who is paid"),
    text_column("beneficiary_account", "the account that is paid"),
    text_column("beneficiary_bank", "its bank"),
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
    institution_column(),
    text_column("refund_request_id", "the refund"),
    day_column("instruction_date", "the day of the file"),
    Column("instruction_file_id", Integer, nullable=False, comment="the file that carries it"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "refund_request_id"),
    ForeignKeyConstraint(["institution_id", "refund_request_id"], ["refund.institution_id", "refund.refund_request_id"]),
    ForeignKeyConstraint(["instruction_file_id"], ["instruction_file.instruction_file_id"]),
    info=APPEND_ONLY,
    comment="our orders to the banks to pay refunds",
)
