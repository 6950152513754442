"""Tables of the signed checkpoints: the keys that sign, the checkpoint log, and other parties' counter-signatures.

All are append-only and small, and shared by all institutions: the checkpoint log is one log for the whole database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata

evidence_key = Table(
    "evidence_key",
    metadata,
    Column("key_name", Text, nullable=False, comment="name of the key in signature lines"),
    Column("key_id", LargeBinary, nullable=False, comment="first four bytes of SHA-256 over name, type and key"),
    Column("signature_type", Integer, nullable=False, comment="1 signs checkpoints, 4 counter-signs them (c2sp.org/signed-note)"),
    Column("public_key", LargeBinary, nullable=False, comment="Ed25519 public key, 32 bytes"),
    Column("party", Text, nullable=False, comment="whose key it is: the operator, a bank, an authority"),
    Column("valid_from", Date, nullable=False, comment="first business day it may sign for"),
    Column("actor", Text, nullable=False, comment="who recorded it"),
    *evidence_columns(),
    PrimaryKeyConstraint("key_name", "key_id"),
    CheckConstraint("signature_type IN (1, 4)", name="signature_type_known"),
    CheckConstraint("octet_length(public_key) = 32", name="public_key_length"),
    CheckConstraint(
        r"key_id = substring(sha256(decode(replace(key_name, '\', '\\'), 'escape') || '\x0a'::bytea"
        r" || set_byte('\x00'::bytea, 0, signature_type) || public_key) for 4)",
        name="key_id_follows_from_key",
    ),
    info=APPEND_ONLY,
    comment="public keys whose signatures under checkpoints count; private keys are never here",
)

evidence_key_retirement = Table(
    "evidence_key_retirement",
    metadata,
    Column("key_name", Text, nullable=False, comment="name of the key"),
    Column("key_id", LargeBinary, nullable=False, comment="id of the key"),
    Column("retired_on", Date, nullable=False, comment="first business day it may not sign for any more"),
    Column("actor", Text, nullable=False, comment="who retired it"),
    Column("reason", Text, nullable=False, comment="why: rotation, loss, disclosure"),
    *evidence_columns(),
    PrimaryKeyConstraint("key_name", "key_id"),
    ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
    info=APPEND_ONLY,
    comment="that a key signs no more; what it signed before stays valid",
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("checkpoint_no", BigInteger, nullable=False, autoincrement=False, comment="1, 2, 3 ... without a gap"),
    Column("previous_no", BigInteger, comment="checkpoint_no - 1; null for the first"),
    Column("first_entry", BigInteger, nullable=False, comment="number of its first entry: the tree size of the one before"),
    Column("tree_size", BigInteger, nullable=False, comment="entries of the checkpoint log with it"),
    Column("business_date", Date, nullable=False, comment="business day it closes (Asia/Shanghai)"),
    Column("seal_seq", BigInteger, ForeignKey("evidence_seal.seq"), nullable=False, comment="the seal whose cut bounds it"),
    Column("root", LargeBinary, nullable=False, comment="Merkle tree hash (RFC 6962) of the checkpoint log at tree_size"),
    Column("frontier", LargeBinary, nullable=False, comment="roots of its whole subtrees, from which the log grows on"),
    Column("key_name", Text, nullable=False, comment="name of the key that signed"),
    Column("key_id", LargeBinary, nullable=False, comment="id of the key that signed"),
    Column("note", Text, nullable=False, comment="the checkpoint with the log's own signature (c2sp.org/tlog-checkpoint)"),
    Column("actor", Text, nullable=False, comment="user or job that made it"),
    Column("made_at", DateTime(timezone=True), nullable=False, comment="the caller's now (UTC instant)"),
    *evidence_columns(),
    PrimaryKeyConstraint("checkpoint_no"),
    UniqueConstraint("checkpoint_no", "tree_size"),
    ForeignKeyConstraint(["previous_no", "first_entry"], ["checkpoint.checkpoint_no", "checkpoint.tree_size"]),
    ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
    CheckConstraint("(checkpoint_no = 1) = (previous_no IS NULL) AND checkpoint_no >= 1", name="first_one"),
    CheckConstraint("previous_no IS NULL OR previous_no = checkpoint_no - 1", name="unbroken"),
    CheckConstraint("(previous_no IS NULL) = (first_entry = 0) AND tree_size >= first_entry", name="grows"),
    CheckConstraint("octet_length(root) = 32", name="root_length"),
    Index(None, "business_date"),
    info=APPEND_ONLY,
    comment="signed checkpoints over all institutions' journals and evidence",
)

checkpoint_entry = Table(
    "checkpoint_entry",
    metadata,
    Column("entry_no", BigInteger, nullable=False, autoincrement=False, comment="0, 1, 2 ... its place in the checkpoint log"),
    Column("checkpoint_no", BigInteger, ForeignKey("checkpoint.checkpoint_no"), nullable=False, comment="when it was appended"),
    Column("institution_id", Integer, nullable=False, comment="whom it is about"),
    Column("custody_account_id", BigInteger, comment="the custody account whose liabilities it states; null for a log's state"),
    Column("log_size", BigInteger, nullable=False, comment="batches of the institution it covers"),
    Column("body", Text, nullable=False, comment="the entry in its canonical form (ledger.checkpoint)"),
    Column("frontier", LargeBinary, nullable=False, comment="of the institution's log at log_size; empty for liabilities"),
    *evidence_columns(),
    PrimaryKeyConstraint("entry_no"),
    CheckConstraint("entry_no >= 0", name="entry_no_from_zero"),
    Index(None, "institution_id", "checkpoint_no"),
    Index(None, "checkpoint_no"),
    info=APPEND_ONLY,
    comment="the checkpoint log: states of institutions' journals, and what custody accounts owe",
)

checkpoint_cosignature = Table(
    "checkpoint_cosignature",
    metadata,
    Column(
        "checkpoint_no", BigInteger, ForeignKey("checkpoint.checkpoint_no"), nullable=False, comment="what was counter-signed"
    ),
    Column("key_name", Text, nullable=False, comment="name of the cosigner's key"),
    Column("key_id", LargeBinary, nullable=False, comment="id of the cosigner's key"),
    Column("signature", LargeBinary, nullable=False, comment="8 bytes of time and 64 of Ed25519 (c2sp.org/tlog-cosignature)"),
    Column("actor", Text, nullable=False, comment="who brought it in"),
    *evidence_columns(),
    PrimaryKeyConstraint("checkpoint_no", "key_name", "key_id"),
    ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
    CheckConstraint("octet_length(signature) = 72", name="signature_length"),
    info=APPEND_ONLY,
    comment="counter-signatures by banks and authorities: after them the operator alone cannot tell another past",
)

#: In an order in which referenced tables come first.
TABLES = (evidence_key, evidence_key_retirement, checkpoint, checkpoint_entry, checkpoint_cosignature)
