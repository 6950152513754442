"""A late statement for a skipped day may count after a later one: the chain is by days, and the database holds each to its neighbours.

No row is rewritten, two comments say more. An older program beside it takes the last link for the end of the chain: stop it before
the first late statement comes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029_late_statement"
down_revision = "0028_bank_instruction_states"
branch_labels = None
depends_on = None

#: A statement counts only where its balances meet those beside it, whoever writes the row.
GUARD = (
    """
    CREATE FUNCTION refuse_broken_chain() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        own record;
        before bigint;
        after bigint;
    BEGIN
        SELECT opening_minor_units AS opening, closing_minor_units AS closing INTO own FROM statement s
        WHERE s.institution_id = NEW.institution_id AND s.statement_id = coalesce((
            SELECT v.statement_id FROM statement_version v
            WHERE v.institution_id = NEW.institution_id AND v.first_statement_id = NEW.statement_id
            ORDER BY v.version DESC LIMIT 1), NEW.statement_id);
        SELECT s.closing_minor_units INTO before FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)
        WHERE f.institution_id = NEW.institution_id AND f.custody_account_id = NEW.custody_account_id
            AND f.business_date < NEW.business_date ORDER BY f.business_date DESC LIMIT 1;
        SELECT s.opening_minor_units INTO after FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)
        WHERE f.institution_id = NEW.institution_id AND f.custody_account_id = NEW.custody_account_id
            AND f.business_date > NEW.business_date ORDER BY f.business_date LIMIT 1;
        IF own.opening <> coalesce(before, after, own.opening) OR own.closing <> coalesce(after, own.closing) THEN
            RAISE EXCEPTION 'statement % refused: it opens with % and closes with %, beside it stand % and %',
                NEW.statement_id, own.opening, own.closing, before, after
                USING ERRCODE = 'restrict_violation', TABLE = 'statement_counted';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER statement_counted_guard BEFORE INSERT ON statement_counted
        FOR EACH ROW EXECUTE FUNCTION refuse_broken_chain()
    """,
    "ALTER TABLE statement_counted ENABLE ALWAYS TRIGGER statement_counted_guard",
)

_TABLE = (
    "the unbroken chain of statements of an account; lines count from here on",
    "the statements of an account that count, an unbroken chain by their days; lines count from here on",
)
_LINK = (
    "1 for the account's first statement, then 2, 3 ... without a gap",
    "1, 2, 3 ... without a gap, in the order in which they came to count",
)


def upgrade() -> None:
    """Say what the numbers mean, and create the guard."""
    op.create_table_comment("statement_counted", _TABLE[1], existing_comment=_TABLE[0])
    op.alter_column(
        "statement_counted",
        "link",
        existing_type=sa.Integer(),
        existing_nullable=False,
        comment=_LINK[1],
        existing_comment=_LINK[0],
    )
    for statement in GUARD:
        op.execute(statement)


def downgrade() -> None:
    """Drop the guard again; only for an empty development database."""
    op.execute("DROP TRIGGER statement_counted_guard ON statement_counted")
    op.execute("DROP FUNCTION refuse_broken_chain()")
    op.alter_column(
        "statement_counted",
        "link",
        existing_type=sa.Integer(),
        existing_nullable=False,
        comment=_LINK[0],
        existing_comment=_LINK[1],
    )
    op.create_table_comment("statement_counted", _TABLE[0], existing_comment=_TABLE[1])
