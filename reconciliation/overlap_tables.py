"""Tables of exports that begin before the end of what counts: the lines they repeat stay as evidence, the new ones count."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import account_column, amount_column, institution_column, number_column, text_column
from storage.metadata import metadata

_STATEMENT = ["statement.institution_id", "statement.statement_id"]

statement_overlap = Table(
    "statement_overlap",
    metadata,
    institution_column(),
    number_column("statement_id", "the statement that holds what is new in the export: it opens where the last one closed"),
    account_column(),
    number_column("waited_as", "the statement as it was kept while the export waited", nullable=True),
    amount_column("declared_opening_minor_units", "the opening balance the export declares"),
    Column("absorbed_count", Integer, nullable=False, comment="number of its lines that were reported before"),
    amount_column("absorbed_in_minor_units", "sum of those of them that are IN"),
    amount_column("absorbed_out_minor_units", "sum of those of them that are OUT"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id"),
    ForeignKeyConstraint(["institution_id", "statement_id"], _STATEMENT, name="fk_statement_overlap_statement"),
    ForeignKeyConstraint(["institution_id", "waited_as"], _STATEMENT, name="fk_statement_overlap_waited_as"),
    CheckConstraint("absorbed_count >= 0", name="count_not_negative"),
    CheckConstraint("absorbed_in_minor_units >= 0 AND absorbed_out_minor_units >= 0", name="sums_not_negative"),
    CheckConstraint("waited_as <> statement_id", name="another_statement"),
    Index(
        "uq_statement_overlap_waited_as",
        "institution_id",
        "waited_as",
        unique=True,
        postgresql_where=text("waited_as IS NOT NULL"),
    ),
    info=APPEND_ONLY,
    comment="exports that repeat lines that count: what they declare, and how much of it was reported before",
)

statement_line_absorbed = Table(
    "statement_line_absorbed",
    metadata,
    institution_column(),
    number_column("statement_id", "the statement that holds what is new in the export"),
    Column("position", Integer, nullable=False, comment="0-based place in the export, oldest first"),
    text_column("line_id", "the line that counts and that it repeats"),
    account_column(),
    amount_column("running_balance_minor_units", "the bank's balance after it, in the export", nullable=True),
    Column("file_line", Integer, nullable=False, comment="1-based line in the export's file"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id", "position"),
    UniqueConstraint("institution_id", "statement_id", "line_id"),
    ForeignKeyConstraint(
        ["institution_id", "statement_id"],
        ["statement_overlap.institution_id", "statement_overlap.statement_id"],
        name="fk_statement_line_absorbed_overlap",
    ),
    ForeignKeyConstraint(
        ["institution_id", "line_id"],
        ["statement_line.institution_id", "statement_line.line_id"],
        name="fk_statement_line_absorbed_line",
    ),
    Index(None, "institution_id", "line_id"),
    info=APPEND_ONLY,
    comment="lines of an export that were reported before: each names the line that counts, and counts nothing itself",
)
