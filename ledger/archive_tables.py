"""The table of archived months: which file holds a month of the journal, and what it must say."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata

journal_archive = Table(
    "journal_archive",
    metadata,
    Column("month", Date, nullable=False, comment="first day of the month the transfers are booked in"),
    Column("edition", Integer, nullable=False, comment="1, 2, 3 ... of the month, filled in by trigger; the newest counts"),
    Column(
        "checkpoint_no",
        BigInteger,
        ForeignKey("checkpoint.checkpoint_no"),
        nullable=False,
        comment="the checkpoint under which each transfer of it is proved",
    ),
    Column(
        "transfer_count", BigInteger, nullable=False, comment="transfers booked in the month, in batches the checkpoint covers"
    ),
    Column("leaves", LargeBinary, nullable=False, comment="SHA-256 over their leaves by institution, batch and line"),
    Column("file_name", Text, nullable=False, comment="name of the file when it was written"),
    Column("file_sha256", LargeBinary, nullable=False, comment="SHA-256 of the file"),
    Column("file_bytes", BigInteger, nullable=False, comment="its length in bytes"),
    Column("actor", Text, nullable=False, comment="who archived it"),
    Column("made_at", DateTime(timezone=True), nullable=False, comment="the caller's now (UTC instant)"),
    *evidence_columns(),
    PrimaryKeyConstraint("month", "edition"),
    CheckConstraint("EXTRACT(day FROM month) = 1", name="first_day_of_month"),
    CheckConstraint("edition > 0 AND transfer_count >= 0 AND file_bytes > 0", name="numbers"),
    CheckConstraint("octet_length(leaves) = 32 AND octet_length(file_sha256) = 32", name="digests"),
    info=APPEND_ONLY,
    comment="closed months of the journal that were written to a file and proved there",
)
