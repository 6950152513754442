"""Signed checkpoints over all journals and evidence: keys, the checkpoint log, counter-signatures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0007_checkpoints"
down_revision = "0006_superseded"
branch_labels = None
depends_on = None

TABLES = ("evidence_key", "evidence_key_retirement", "checkpoint", "checkpoint_entry", "checkpoint_cosignature")


def upgrade() -> None:
    """Create the tables of checkpoints; nothing stored before is touched."""
    op.create_table(
        "evidence_key",
        sa.Column("key_name", sa.Text(), nullable=False, comment="name of the key in signature lines"),
        sa.Column("key_id", sa.LargeBinary(), nullable=False, comment="first four bytes of SHA-256 over name, type and key"),
        sa.Column(
            "signature_type",
            sa.Integer(),
            nullable=False,
            comment="1 signs checkpoints, 4 counter-signs them (c2sp.org/signed-note)",
        ),
        sa.Column("public_key", sa.LargeBinary(), nullable=False, comment="Ed25519 public key, 32 bytes"),
        sa.Column("party", sa.Text(), nullable=False, comment="whose key it is: the operator, a bank, an authority"),
        sa.Column("valid_from", sa.Date(), nullable=False, comment="first business day it may sign for"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who recorded it"),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("key_name", "key_id"),
        sa.CheckConstraint("signature_type IN (1, 4)", name=op.f("ck_evidence_key_signature_type_known")),
        sa.CheckConstraint("octet_length(public_key) = 32", name=op.f("ck_evidence_key_public_key_length")),
        sa.CheckConstraint(
            r"key_id = substring(sha256(decode(replace(key_name, '\', '\\'), 'escape') || '\x0a'::bytea"
            r" || set_byte('\x00'::bytea, 0, signature_type) || public_key) for 4)",
            name=op.f("ck_evidence_key_key_id_follows_from_key"),
        ),
        comment="public keys whose signatures under checkpoints count; private keys are never here",
    )
    op.create_table(
        "evidence_key_retirement",
        sa.Column("key_name", sa.Text(), nullable=False, comment="name of the key"),
        sa.Column("key_id", sa.LargeBinary(), nullable=False, comment="id of the key"),
        sa.Column("retired_on", sa.Date(), nullable=False, comment="first business day it may not sign for any more"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who retired it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why: rotation, loss, disclosure"),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("key_name", "key_id"),
        sa.ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
        comment="that a key signs no more; what it signed before stays valid",
    )
    op.create_table(
        "checkpoint",
        sa.Column("checkpoint_no", sa.BigInteger(), nullable=False, autoincrement=False, comment="1, 2, 3 ... without a gap"),
        sa.Column("previous_no", sa.BigInteger(), comment="checkpoint_no - 1; null for the first"),
        sa.Column(
            "first_entry", sa.BigInteger(), nullable=False, comment="number of its first entry: the tree size of the one before"
        ),
        sa.Column("tree_size", sa.BigInteger(), nullable=False, comment="entries of the checkpoint log with it"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="business day it closes (Asia/Shanghai)"),
        sa.Column(
            "seal_seq",
            sa.BigInteger(),
            sa.ForeignKey("evidence_seal.seq"),
            nullable=False,
            comment="the seal whose cut bounds it",
        ),
        sa.Column(
            "root", sa.LargeBinary(), nullable=False, comment="Merkle tree hash (RFC 6962) of the checkpoint log at tree_size"
        ),
        sa.Column(
            "frontier", sa.LargeBinary(), nullable=False, comment="roots of its whole subtrees, from which the log grows on"
        ),
        sa.Column("key_name", sa.Text(), nullable=False, comment="name of the key that signed"),
        sa.Column("key_id", sa.LargeBinary(), nullable=False, comment="id of the key that signed"),
        sa.Column(
            "note", sa.Text(), nullable=False, comment="the checkpoint with the log's own signature (c2sp.org/tlog-checkpoint)"
        ),
        sa.Column("actor", sa.Text(), nullable=False, comment="user or job that made it"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, comment="the caller's now (UTC instant)"),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("checkpoint_no"),
        sa.UniqueConstraint("checkpoint_no", "tree_size"),
        sa.ForeignKeyConstraint(["previous_no", "first_entry"], ["checkpoint.checkpoint_no", "checkpoint.tree_size"]),
        sa.ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
        sa.CheckConstraint(
            "(checkpoint_no = 1) = (previous_no IS NULL) AND checkpoint_no >= 1", name=op.f("ck_checkpoint_first_one")
        ),
        sa.CheckConstraint("previous_no IS NULL OR previous_no = checkpoint_no - 1", name=op.f("ck_checkpoint_unbroken")),
        sa.CheckConstraint(
            "(previous_no IS NULL) = (first_entry = 0) AND tree_size >= first_entry", name=op.f("ck_checkpoint_grows")
        ),
        sa.CheckConstraint("octet_length(root) = 32", name=op.f("ck_checkpoint_root_length")),
        comment="signed checkpoints over all institutions' journals and evidence",
    )
    op.create_table(
        "checkpoint_entry",
        sa.Column(
            "entry_no",
            sa.BigInteger(),
            nullable=False,
            autoincrement=False,
            comment="0, 1, 2 ... its place in the checkpoint log",
        ),
        sa.Column(
            "checkpoint_no",
            sa.BigInteger(),
            sa.ForeignKey("checkpoint.checkpoint_no"),
            nullable=False,
            comment="when it was appended",
        ),
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whom it is about"),
        sa.Column(
            "custody_account_id",
            sa.BigInteger(),
            comment="the custody account whose liabilities it states; null for a log's state",
        ),
        sa.Column("log_size", sa.BigInteger(), nullable=False, comment="batches of the institution it covers"),
        sa.Column("body", sa.Text(), nullable=False, comment="the entry in its canonical form (ledger.checkpoint)"),
        sa.Column(
            "frontier", sa.LargeBinary(), nullable=False, comment="of the institution's log at log_size; empty for liabilities"
        ),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("entry_no"),
        sa.CheckConstraint("entry_no >= 0", name=op.f("ck_checkpoint_entry_entry_no_from_zero")),
        comment="the checkpoint log: states of institutions' journals, and what custody accounts owe",
    )
    op.create_table(
        "checkpoint_cosignature",
        sa.Column(
            "checkpoint_no",
            sa.BigInteger(),
            sa.ForeignKey("checkpoint.checkpoint_no"),
            nullable=False,
            comment="what was counter-signed",
        ),
        sa.Column("key_name", sa.Text(), nullable=False, comment="name of the cosigner's key"),
        sa.Column("key_id", sa.LargeBinary(), nullable=False, comment="id of the cosigner's key"),
        sa.Column(
            "signature", sa.LargeBinary(), nullable=False, comment="8 bytes of time and 64 of Ed25519 (c2sp.org/tlog-cosignature)"
        ),
        sa.Column("actor", sa.Text(), nullable=False, comment="who brought it in"),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("checkpoint_no", "key_name", "key_id"),
        sa.ForeignKeyConstraint(["key_name", "key_id"], ["evidence_key.key_name", "evidence_key.key_id"]),
        sa.CheckConstraint("octet_length(signature) = 72", name=op.f("ck_checkpoint_cosignature_signature_length")),
        comment="counter-signatures by banks and authorities: after them the operator alone cannot tell another past",
    )
    op.create_index("ix_checkpoint_business_date", "checkpoint", ["business_date"])
    op.create_index("ix_checkpoint_entry_institution_id_checkpoint_no", "checkpoint_entry", ["institution_id", "checkpoint_no"])
    op.create_index("ix_checkpoint_entry_checkpoint_no", "checkpoint_entry", ["checkpoint_no"])
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)


def downgrade() -> None:
    """Drop the tables of checkpoints; only for an empty development database."""
    for table in reversed(TABLES):
        op.drop_table(table)
