"""Exports that begin before the end of what counts: which lines they repeat, guarded so that nothing counts twice.

Two new tables, two guards; a comment says more. An older program beside it neither writes nor reads them; it takes what waited and was
absorbed for waiting still, so stop it before the first such export comes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0035_overlap"
down_revision = "0034_approved_by_persons"
branch_labels = None
depends_on = None

TABLES = ("statement_overlap", "statement_line_absorbed")

GUARDS = (
    # What is repeated is as much as the export says, and leads from its opening to where what is new begins; none is added later.
    """
    CREATE FUNCTION refuse_wrong_absorption() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        wrong record;
    BEGIN
        SELECT o.statement_id, o.absorbed_count, told.count INTO wrong
        FROM statement_overlap o JOIN statement s USING (institution_id, statement_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS count, coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'IN'), 0) AS came,
                coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'OUT'), 0) AS went,
                bool_and(l.custody_account_id = o.custody_account_id AND a.custody_account_id = o.custody_account_id
                    AND l.statement_id <> o.statement_id AND l.statement_id IS DISTINCT FROM o.waited_as) AS of_others
            FROM statement_line_absorbed a
            JOIN statement_line l ON l.institution_id = a.institution_id AND l.line_id = a.line_id
            WHERE a.institution_id = o.institution_id AND a.statement_id = o.statement_id
        ) AS told
        WHERE (o.institution_id, o.statement_id) IN (SELECT DISTINCT n.institution_id, n.statement_id FROM new_lines n)
            AND NOT (told.of_others AND s.custody_account_id = o.custody_account_id
                AND (told.count, told.came, told.went)
                    = (o.absorbed_count, o.absorbed_in_minor_units, o.absorbed_out_minor_units)
                AND o.declared_opening_minor_units + told.came - told.went = s.opening_minor_units)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'lines absorbed by statement % refused: they do not lead from its declared opening to its new lines',
                wrong.statement_id USING ERRCODE = 'restrict_violation', TABLE = 'statement_line_absorbed';
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER statement_line_absorbed_guard AFTER INSERT ON statement_line_absorbed
        REFERENCING NEW TABLE AS new_lines FOR EACH STATEMENT EXECUTE FUNCTION refuse_wrong_absorption()
    """,
    "ALTER TABLE statement_line_absorbed ENABLE ALWAYS TRIGGER statement_line_absorbed_guard",
    # What an export repeats when its new lines begin to count is all that counts since the place where it begins.
    """
    CREATE FUNCTION refuse_unproved_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        told integer;
        repeated bigint;
        since bigint;
        first_day date;
        first_place integer;
    BEGIN
        SELECT absorbed_count INTO told FROM statement_overlap o
        WHERE o.institution_id = NEW.institution_id AND o.statement_id = NEW.statement_id;
        IF NOT FOUND THEN
            RETURN NEW;
        END IF;
        SELECT f.business_date, f.position, count(*) OVER () INTO first_day, first_place, repeated
        FROM statement_line_absorbed a JOIN line_in_force f USING (institution_id, line_id)
        WHERE a.institution_id = NEW.institution_id AND a.statement_id = NEW.statement_id
            AND f.business_date < NEW.business_date
        ORDER BY f.business_date, f.position LIMIT 1;
        SELECT count(*) INTO since FROM line_in_force f
        WHERE f.institution_id = NEW.institution_id AND f.custody_account_id = NEW.custody_account_id
            AND f.business_date < NEW.business_date
            AND (f.business_date > first_day OR (f.business_date = first_day AND f.position >= first_place));
        IF repeated IS DISTINCT FROM told OR since <> told THEN
            RAISE EXCEPTION 'statement % refused: it repeats % lines, of them % count, and % count since where it begins',
                NEW.statement_id, told, coalesce(repeated, 0), since
                USING ERRCODE = 'restrict_violation', TABLE = 'statement_counted';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER statement_counted_overlap_guard BEFORE INSERT ON statement_counted
        FOR EACH ROW EXECUTE FUNCTION refuse_unproved_overlap()
    """,
    "ALTER TABLE statement_counted ENABLE ALWAYS TRIGGER statement_counted_overlap_guard",
    # A statement that counts as a whole does not become an overlap afterwards.
    """
    CREATE FUNCTION refuse_late_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM statement_counted c
            WHERE c.institution_id = NEW.institution_id AND c.statement_id IN (NEW.statement_id, NEW.waited_as)) THEN
            RAISE EXCEPTION 'overlap of statement % refused: it counts already', NEW.statement_id
                USING ERRCODE = 'restrict_violation', TABLE = 'statement_overlap';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER statement_overlap_guard BEFORE INSERT ON statement_overlap
        FOR EACH ROW EXECUTE FUNCTION refuse_late_overlap()
    """,
    "ALTER TABLE statement_overlap ENABLE ALWAYS TRIGGER statement_overlap_guard",
)

_AGAIN = (
    "2, 3 ... when its lines were opened again although its own figures stand; else null",
    "2, 3 ... when its lines were opened again although its own figures stand, or only its new lines count",
)


def upgrade() -> None:
    """Create the tables, the triggers that make them append-only, and the guards."""
    _create_tables()
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)
    for statement in GUARDS:
        op.execute(statement)
    op.alter_column(
        "statement", "again", existing_type=sa.Integer(), existing_nullable=True, comment=_AGAIN[1], existing_comment=_AGAIN[0]
    )


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    op.alter_column(
        "statement", "again", existing_type=sa.Integer(), existing_nullable=True, comment=_AGAIN[0], existing_comment=_AGAIN[1]
    )
    op.execute("DROP TRIGGER statement_counted_overlap_guard ON statement_counted")
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in ("refuse_wrong_absorption", "refuse_unproved_overlap", "refuse_late_overlap"):
        op.execute(f"DROP FUNCTION {function}()")


def _create_tables() -> None:
    op.create_table(
        "statement_overlap",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "statement_id",
            sa.BigInteger(),
            nullable=False,
            comment="the statement that holds what is new in the export: it opens where the last one closed",
        ),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("waited_as", sa.BigInteger(), nullable=True, comment="the statement as it was kept while the export waited"),
        sa.Column(
            "declared_opening_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="the opening balance the export declares, in minor units (fen)",
        ),
        sa.Column("absorbed_count", sa.Integer(), nullable=False, comment="number of its lines that were reported before"),
        sa.Column(
            "absorbed_in_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="sum of those of them that are IN, in minor units (fen)",
        ),
        sa.Column(
            "absorbed_out_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="sum of those of them that are OUT, in minor units (fen)",
        ),
        *evidence_columns(),
        sa.CheckConstraint("absorbed_count >= 0", name=op.f("ck_statement_overlap_count_not_negative")),
        sa.CheckConstraint(
            "absorbed_in_minor_units >= 0 AND absorbed_out_minor_units >= 0",
            name=op.f("ck_statement_overlap_sums_not_negative"),
        ),
        sa.CheckConstraint("waited_as <> statement_id", name=op.f("ck_statement_overlap_another_statement")),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name="fk_statement_overlap_statement",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "waited_as"],
            ["statement.institution_id", "statement.statement_id"],
            name="fk_statement_overlap_waited_as",
        ),
        sa.PrimaryKeyConstraint("institution_id", "statement_id", name=op.f("pk_statement_overlap")),
        comment="exports that repeat lines that count: what they declare, and how much of it was reported before",
    )
    op.create_index(
        "uq_statement_overlap_waited_as", "statement_overlap", ["institution_id", "waited_as"], unique=True,
        postgresql_where=sa.text("waited_as IS NOT NULL"),
    )  # fmt: skip
    op.create_table(
        "statement_line_absorbed",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "statement_id",
            sa.BigInteger(),
            nullable=False,
            comment="the statement that holds what is new in the export",
        ),
        sa.Column("position", sa.Integer(), nullable=False, comment="0-based place in the export, oldest first"),
        sa.Column("line_id", sa.Text(), nullable=False, comment="the line that counts and that it repeats"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column(
            "running_balance_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="the bank's balance after it, in the export, in minor units (fen)",
        ),
        sa.Column("file_line", sa.Integer(), nullable=False, comment="1-based line in the export's file"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["institution_id", "line_id"],
            ["statement_line.institution_id", "statement_line.line_id"],
            name="fk_statement_line_absorbed_line",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement_overlap.institution_id", "statement_overlap.statement_id"],
            name="fk_statement_line_absorbed_overlap",
        ),
        sa.PrimaryKeyConstraint("institution_id", "statement_id", "position", name=op.f("pk_statement_line_absorbed")),
        sa.UniqueConstraint(
            "institution_id",
            "statement_id",
            "line_id",
            name=op.f("uq_statement_line_absorbed_institution_id_statement_id_line_id"),
        ),
        comment="lines of an export that were reported before: each names the line that counts, and counts nothing itself",
    )
    op.create_index(
        op.f("ix_statement_line_absorbed_institution_id_line_id"),
        "statement_line_absorbed",
        ["institution_id", "line_id"],
        unique=False,
    )
