"""Tables of two-phase transfers. Their triggers are in migrations/versions/0011_posting.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata

pending_transfer = Table(
    "pending_transfer",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("pending_id", Uuid, nullable=False, comment="deterministic id of the source event: the idempotency key"),
    Column("debit_account_id", BigInteger, nullable=False, comment="account that will be debited"),
    Column("credit_account_id", BigInteger, nullable=False, comment="account that will be credited"),
    Column("amount_minor_units", BigInteger, nullable=False, comment="the most that can be posted, minor units, above 0"),
    Column("currency", Text, nullable=False, comment="ISO 4217 code, that of both accounts"),
    Column("booking_date", Date, nullable=False, comment="business day it was reserved on"),
    Column("expires_on", Date, comment="last business day on which it can be posted; null when it waits for ever"),
    Column("reason", Text, nullable=False, comment="name of the event"),
    Column("source_kind", Text, nullable=False, comment="kind of the source event"),
    Column("source_ref", Text, nullable=False, comment="key of the source event"),
    Column("actor", Text, nullable=False, comment="who or which job reserved it"),
    Column("rule_version", Text, nullable=False, comment="version of the rules the decision was made by"),
    Column("pending_at", DateTime(timezone=True), nullable=False, comment="instant of reserving as the caller gave it, UTC"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "pending_id"),
    ForeignKeyConstraint(["institution_id", "debit_account_id"], ["account.institution_id", "account.account_id"]),
    ForeignKeyConstraint(["institution_id", "credit_account_id"], ["account.institution_id", "account.account_id"]),
    CheckConstraint("amount_minor_units > 0", name="amount_above_zero"),
    CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    CheckConstraint("expires_on >= booking_date", name="expires_after_booking"),
    Index(None, "institution_id", "expires_on"),
    info=APPEND_ONLY,
    comment="money reserved for a transfer that is posted, voided or expires later; floors count it at once",
)

pending_resolution = Table(
    "pending_resolution",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("pending_id", Uuid, nullable=False, comment="the pending transfer, resolved at most once"),
    Column("outcome", Text, nullable=False, comment="posted, voided or expired"),
    Column("transfer_id", Uuid, comment="the transfer that posted it, maybe for less; null when voided or expired"),
    Column("resolved_on", Date, nullable=False, comment="business day of the resolution; booking date of that transfer"),
    Column("actor", Text, nullable=False, comment="who or which job resolved it"),
    Column("reason", Text, nullable=False, comment="why"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "pending_id"),
    UniqueConstraint("institution_id", "transfer_id"),
    ForeignKeyConstraint(["institution_id", "pending_id"], ["pending_transfer.institution_id", "pending_transfer.pending_id"]),
    # Written before its transfer, so that the money is free when the transfer's floor is checked.
    ForeignKeyConstraint(
        ["institution_id", "transfer_id"],
        ["transfer.institution_id", "transfer.transfer_id"],
        deferrable=True,
        initially="DEFERRED",
    ),
    CheckConstraint("outcome IN ('posted', 'voided', 'expired')", name="outcome"),
    CheckConstraint("(outcome = 'posted') = (transfer_id IS NOT NULL)", name="transfer_when_posted"),
    info=APPEND_ONLY,
    comment="how a pending transfer ended; what was not posted of it is free again",
)
