"""Opening balances of custody accounts that held money before supervision began.

Additive: one table, and one more word in the kinds of import. The program before this one reads and writes neither.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0008_opening_balance"
down_revision = "0007_checkpoints"
branch_labels = None
depends_on = None

_KINDS = "'institutions', 'orders', 'class-hours', 'refund-requests', 'channel-settlements'"


def upgrade() -> None:
    """Create the table; let import_report name the new kind."""
    op.create_table(
        "opening_balance",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "custody_account_id", sa.Integer(), nullable=False, comment="the account that had money before supervision began"
        ),
        sa.Column(
            "version", sa.Integer(), nullable=False, comment="1, and one more for every correction before a statement counted"
        ),
        sa.Column("as_of", sa.Date(), nullable=False, comment="the day that opened with it (business day, Asia/Shanghai)"),
        sa.Column(
            "amount_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="what the bank held at the beginning of that day, in minor units (fen)",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="where the figure comes from, in the sender's words"),
        sa.Column("transfer_id", sa.Uuid(), nullable=False, comment="the transfer from unidentified receipts to custody cash"),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the row's values in canonical form"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.PrimaryKeyConstraint("institution_id", "custody_account_id", "version", name=op.f("pk_opening_balance")),
        sa.ForeignKeyConstraint(
            ["custody_account_id"],
            ["custody_account.custody_account_id"],
            name=op.f("fk_opening_balance_custody_account_id_custody_account"),
        ),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_opening_balance_amount_positive")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_opening_balance_version_positive")),
        comment="money that lay in a custody account before its first statement; that statement proves it by opening with it",
    )
    for statement in append_only_ddl("opening_balance"):
        op.execute(statement)
    op.drop_constraint(op.f("ck_import_report_kind_known"), "import_report")
    op.create_check_constraint(op.f("ck_import_report_kind_known"), "import_report", f"kind IN ({_KINDS}, 'opening-balances')")


def downgrade() -> None:
    """Undo it on an empty development database."""
    op.drop_constraint(op.f("ck_import_report_kind_known"), "import_report")
    op.create_check_constraint(op.f("ck_import_report_kind_known"), "import_report", f"kind IN ({_KINDS})")
    op.drop_table("opening_balance")
