"""What every table stands on: append-only rows, their digests, the audit log and the seals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.append_only import FUNCTIONS_DDL, append_only_ddl, evidence_columns

revision = "0001_foundation"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the functions, then the audit log and the seals."""
    for statement in FUNCTIONS_DDL:
        op.execute(statement)
    op.create_table(
        "audit_event",
        sa.Column(
            "seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3, ... set by trigger; a gap is a removal"
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when the act happened (UTC instant)"),
        sa.Column("actor", sa.Text, nullable=False, comment="login name, or job name for an unattended act"),
        sa.Column("role", sa.Text, nullable=False, comment="the role the actor used"),
        sa.Column("act", sa.Text, nullable=False, comment="source:subject:action, such as console:refund:approved"),
        sa.Column("object_kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False, server_default="{}"),
        sa.Column("previous_digest", sa.LargeBinary, nullable=False, comment="row_digest of the event before; set by trigger"),
        *evidence_columns(),
        sa.CheckConstraint("act ~ '^[^:[:space:]]+:[^:[:space:]]+:[^:[:space:]]+$'", name="act_has_three_parts"),
        sa.CheckConstraint("actor <> ''", name="actor_named"),
        sa.CheckConstraint("seq > 0", name="seq_positive"),
        sa.Index(None, "object_kind", "object_id"),
        comment="who did what to what, when",
    )
    op.execute(
        # Triggers of one kind fire in the order of their names: the link is made before the digest is stamped.
        "CREATE TRIGGER audit_event_link BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION link_audit_event()"
    )
    op.create_table(
        "evidence_seal",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False, comment="the caller's now"),
        sa.Column(
            "cut", sa.DateTime(timezone=True), nullable=False, unique=True, comment="rows with recorded_at < cut are sealed"
        ),
        sa.Column(
            "previous_digest", sa.LargeBinary, nullable=False, comment="digest of the seal before; 32 zero bytes for the first"
        ),
        sa.Column("digest", sa.LargeBinary, nullable=False, comment="SHA-256 over this seal, its members and previous_digest"),
        *evidence_columns(),
        sa.CheckConstraint("octet_length(digest) = 32 AND octet_length(previous_digest) = 32", name="digests_are_sha256"),
        comment="a fixed point after which no sealed row can change, vanish or be slipped in unseen",
    )
    op.create_table(
        "evidence_seal_member",
        sa.Column("seq", sa.BigInteger, sa.ForeignKey("evidence_seal.seq"), primary_key=True, autoincrement=False),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False, comment="SHA-256 over the row digests, see storage.seal"),
        *evidence_columns(),
        sa.CheckConstraint("row_count >= 0", name="row_count_not_negative"),
        sa.CheckConstraint("octet_length(root) = 32", name="root_is_sha256"),
        comment="what one seal covers of one append-only table: the rows recorded since the seal before",
    )
    for table in ("audit_event", "evidence_seal", "evidence_seal_member"):
        for statement in append_only_ddl(table):
            op.execute(statement)


def downgrade() -> None:
    """Drop everything again; refuses nothing, so only for an empty development database."""
    for table in ("evidence_seal_member", "evidence_seal", "audit_event"):
        op.drop_table(table)
    for function in ("link_audit_event", "stamp_digest", "refuse_change"):
        op.execute(f"DROP FUNCTION {function}()")
