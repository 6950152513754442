"""Tables of corrections, periods and kept balances. Their triggers are in migrations/versions/0011_posting.py."""

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
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns, projection
from storage.metadata import metadata

correction = Table(
    "correction",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("transfer_id", Uuid, nullable=False, comment="the transfer that says it right"),
    Column("corrects", Uuid, nullable=False, comment="the transfer that was wrong, or is missing something"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "transfer_id"),
    ForeignKeyConstraint(["institution_id", "transfer_id"], ["transfer.institution_id", "transfer.transfer_id"]),
    ForeignKeyConstraint(["institution_id", "corrects"], ["transfer.institution_id", "transfer.transfer_id"]),
    CheckConstraint("transfer_id <> corrects", name="two_transfers"),
    Index(None, "institution_id", "corrects"),
    info=APPEND_ONLY,
    comment="that a transfer belongs, as corrected, to the day of another; a reversal says so by itself",
)

period_event = Table(
    "period_event",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("month", Date, nullable=False, comment="first day of the month"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... without a gap in each month of an institution"),
    Column("event", Text, nullable=False, comment="closed, reopen_prepared, or reopened by another person"),
    Column("actor", Text, nullable=False, comment="who"),
    Column("prepared_by", Text, comment="who prepared the reopening that this event approves"),
    Column("reason", Text, nullable=False, comment="why"),
    Column("event_at", DateTime(timezone=True), nullable=False, comment="instant as the caller gave it, UTC"),
    Column("last_batch_id", BigInteger, nullable=False, comment="newest batch of the institution then, filled in by trigger"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "month", "event_no"),
    CheckConstraint("event IN ('closed', 'reopen_prepared', 'reopened')", name="event"),
    CheckConstraint("(event = 'reopened') = (prepared_by IS NOT NULL)", name="prepared_by_when_reopened"),
    CheckConstraint("prepared_by <> actor", name="reopener_is_not_preparer"),
    CheckConstraint("EXTRACT(day FROM month) = 1", name="first_day_of_month"),
    CheckConstraint("event_no > 0", name="event_no"),
    info=APPEND_ONLY,
    comment="closing and reopening of months; nothing is booked into a closed one",
)

period_balance = Table(
    "period_balance",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("month", Date, nullable=False, comment="first day of the month"),
    Column("event_no", Integer, nullable=False, comment="the closing"),
    Column("account_id", BigInteger, nullable=False, comment="the account"),
    Column("balance_minor_units", BigInteger, nullable=False, comment="debits minus credits at the month's end, as closed"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "month", "event_no", "account_id"),
    ForeignKeyConstraint(
        ["institution_id", "month", "event_no"],
        ["period_event.institution_id", "period_event.month", "period_event.event_no"],
    ),
    info=APPEND_ONLY,
    comment="the trial balance a month was closed with: what was first reported, whatever is corrected later",
)

balance_snapshot_taken = Table(
    "balance_snapshot_taken",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("batch_id", BigInteger, nullable=False, comment="the newest batch when it was taken, filled in by trigger"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "batch_id"),
    info=APPEND_ONLY,
    comment="that all balances after a batch were kept, as a start for balances known at an earlier instant",
)

balance_snapshot = Table(
    "balance_snapshot",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("batch_id", BigInteger, nullable=False, comment="the newest batch it counts"),
    Column("account_id", BigInteger, nullable=False, comment="the account"),
    Column("last_seq", BigInteger, nullable=False, comment="number of its newest posting then"),
    Column("balance_minor_units", BigInteger, nullable=False, comment="debits minus credits after that batch, minor units"),
    PrimaryKeyConstraint("institution_id", "batch_id", "account_id"),
    info=projection("sums of transfer through a batch, written only by the trigger of balance_snapshot_taken"),
    comment="balances of all accounts after some batches",
)
