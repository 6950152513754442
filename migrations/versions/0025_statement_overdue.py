"""Deadlines of statements that passed, and when a bank's file was there.

A new table and a nullable column. An older program beside it goes on working: it neither writes nor reads them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0025_statement_overdue"
down_revision = "0024_schema_trap"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, create the table and the triggers that make it append-only."""
    op.add_column(
        "statement_file",
        sa.Column(
            "delivered_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the bank had put it where it was collected; null: when it was received (UTC instant)",
        ),
    )
    op.create_check_constraint(op.f("ck_statement_file_delivered_first"), "statement_file", "delivered_at <= received_at")
    op.create_table(
        "statement_overdue",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column(
            "business_date",
            sa.Date(),
            nullable=False,
            comment="the day whose statement had not come (business day, Asia/Shanghai)",
        ),
        sa.Column("discrepancy_id", sa.Text(), nullable=False, comment="the STATEMENT_MISSING of that day, whoever opened it"),
        sa.Column("state", sa.Text(), nullable=False, comment="overdue: nothing had come; refused: what had come was refused"),
        sa.Column(
            "deadline_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the last instant at which it would have been in time (UTC instant)",
        ),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False, comment="when it was noticed (UTC instant)"),
        sa.Column("rules_version", sa.Text(), nullable=False, comment="version of the rules that give the deadline"),
        sa.Column("actor", sa.Text(), nullable=False, comment="user or job"),
        *evidence_columns(),
        sa.CheckConstraint("noticed_at > deadline_at", name=op.f("ck_statement_overdue_after_the_deadline")),
        sa.CheckConstraint("state IN ('overdue', 'refused')", name=op.f("ck_statement_overdue_state_known")),
        sa.ForeignKeyConstraint(
            ["institution_id", "discrepancy_id"],
            ["discrepancy.institution_id", "discrepancy.discrepancy_id"],
            name=op.f("fk_statement_overdue_institution_id_discrepancy_id_discrepancy"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "custody_account_id", "business_date", name=op.f("pk_statement_overdue")),
        comment="days whose statement had not come when its deadline had passed",
    )
    op.create_index(
        op.f("ix_statement_overdue_institution_id_discrepancy_id"),
        "statement_overdue",
        ["institution_id", "discrepancy_id"],
        unique=False,
    )
    for statement in append_only_ddl("statement_overdue"):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    op.drop_table("statement_overdue")
    op.drop_constraint(op.f("ck_statement_file_delivered_first"), "statement_file", type_="check")
    op.drop_column("statement_file", "delivered_at")
