"""Storage's own tables: the audit log and the seals over all evidence."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Index, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3, ... set by trigger; a gap is a removal"),
    Column("at", DateTime(timezone=True), nullable=False, comment="when the act happened (UTC instant)"),
    Column("actor", Text, nullable=False, comment="login name, or job name for an unattended act"),
    Column("role", Text, nullable=False, comment="the role the actor used"),
    Column("act", Text, nullable=False, comment="source:subject:action, such as console:refund:approved"),
    Column("object_kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    Column("previous_digest", LargeBinary, nullable=False, comment="row_digest of the event before; set by trigger"),
    *evidence_columns(),
    CheckConstraint("act ~ '^[^:[:space:]]+:[^:[:space:]]+:[^:[:space:]]+$'", name="act_has_three_parts"),
    CheckConstraint("actor <> ''", name="actor_named"),
    CheckConstraint("seq > 0", name="seq_positive"),
    Index(None, "object_kind", "object_id"),
    info=APPEND_ONLY,
    comment="who did what to what, when",
)

evidence_seal = Table(
    "evidence_seal",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False, comment="the caller's now"),
    Column("cut", DateTime(timezone=True), nullable=False, unique=True, comment="rows with recorded_at < cut are sealed"),
    Column("previous_digest", LargeBinary, nullable=False, comment="digest of the seal before; 32 zero bytes for the first"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 over this seal, its members and previous_digest"),
    *evidence_columns(),
    CheckConstraint("octet_length(digest) = 32 AND octet_length(previous_digest) = 32", name="digests_are_sha256"),
    info=APPEND_ONLY,
    comment="a fixed point after which no sealed row can change, vanish or be slipped in unseen",
)

evidence_seal_member = Table(
    "evidence_seal_member",
    metadata,
    Column("seq", BigInteger, ForeignKey("evidence_seal.seq"), primary_key=True, autoincrement=False),
    Column("table_name", Text, primary_key=True),
    Column("row_count", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False, comment="SHA-256 over the row digests, see storage.seal"),
    *evidence_columns(),
    CheckConstraint("row_count >= 0", name="row_count_not_negative"),
    CheckConstraint("octet_length(root) = 32", name="root_is_sha256"),
    info=APPEND_ONLY,
    comment="what one seal covers of one append-only table: the rows recorded since the seal before",
)
