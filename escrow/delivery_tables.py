"""Tables of what was delivered beside orders: settlements, opening balances, every import with its findings. Append-only."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import amount_column, day_column, instant_column, institution_column, one_of, source_columns, text_column
from storage.metadata import metadata

channel_settlement = Table(
    "channel_settlement",
    metadata,
    institution_column(),
    Column("custody_account_id", Integer, nullable=False, comment="where the channel pays"),
    text_column("channel", "the payment channel"),
    text_column("settlement_batch", "the channel's number of the batch, which arrives as one bank line"),
    day_column("settled_on", "the day the channel pays"),
    amount_column("gross_minor_units", "what payers paid"),
    amount_column("fee_minor_units", "what the channel keeps back"),
    amount_column("net_minor_units", "what arrives"),
    Column("item_count", Integer, nullable=False, comment="orders in the batch"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of all rows of the batch"),
    *source_columns(),
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
    institution_column(),
    text_column("order_id", "the order"),
    Column("custody_account_id", Integer, nullable=False, comment="where the channel pays"),
    text_column("channel", "the payment channel"),
    text_column("settlement_batch", "the batch the order is settled in"),
    text_column("channel_reference", "the channel's own number of the payment"),
    amount_column("gross_minor_units", "what the payer paid"),
    amount_column("fee_minor_units", "what the channel keeps back"),
    amount_column("net_minor_units", "what arrives"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row as given"),
    *source_columns(),
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
    institution_column(),
    Column("custody_account_id", Integer, nullable=False, comment="the account that had money before supervision began"),
    Column("version", Integer, nullable=False, comment="1, and one more for every correction before a statement counted"),
    day_column("as_of", "the day that opened with it"),
    amount_column("amount_minor_units", "what the bank held at the beginning of that day"),
    text_column("reason", "where the figure comes from, in the sender's words"),
    Column("transfer_id", Uuid, nullable=False, comment="the transfer from unidentified receipts to custody cash"),
    Column("content_digest", LargeBinary, nullable=False, comment="SHA-256 of the row's values in canonical form"),
    *source_columns(),
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
    text_column("kind", "what was imported"),
    text_column("file_name", "name of the file as given"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of the file"),
    Column("byte_count", BigInteger, nullable=False, comment="its length"),
    text_column("actor", "who imported it"),
    instant_column("imported_at", "when"),
    Column("row_count", Integer, nullable=False, comment="data rows read"),
    Column("accepted_count", Integer, nullable=False, comment="rows taken"),
    Column("repeated_count", Integer, nullable=False, comment="rows taken before with the same content"),
    Column("refused_count", Integer, nullable=False, comment="rows refused, each with a finding"),
    *evidence_columns(),
    PrimaryKeyConstraint("import_report_id"),
    one_of("kind", ["institutions", "orders", "class-hours", "refund-requests", "channel-settlements", "opening-balances"]),
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
    text_column("field", "the column concerned; empty for the whole row"),
    text_column("code", "what kind of fault"),
    text_column("reason", "what is wrong, in a sentence"),
    Column("refused", Boolean, nullable=False, comment="whether the row was refused, or taken and flagged"),
    Column("subject", ARRAY(Text), nullable=False, comment="the row's own key, as far as it could be read"),
    *evidence_columns(),
    PrimaryKeyConstraint("import_report_id", "finding_no"),
    ForeignKeyConstraint(["import_report_id"], ["import_report.import_report_id"]),
    info=APPEND_ONLY,
    comment="what was wrong with imported rows, kept so that a refused payment never vanishes",
)
