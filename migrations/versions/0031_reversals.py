"""An original is reversed at most once: a primary key over all months, kept by the guard of transfers.

Until now the guard asked every month whether another transfer reverses the same original, so a reversal cost what there are months:
15 ms with 60 of them. Deployed beside the old program: that one asks ``reversal_of``, which answers from the new table now.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

revision = "0031_reversals"
down_revision = "0030_asked_by_months"
branch_labels = None
depends_on = None

#: What the table holds for reversals posted before there was it. More than one of an original were refused then, too.
FILL = """
    INSERT INTO reversal (institution_id, original_id, reversal_id)
    SELECT institution_id, reverses, transfer_id FROM transfer WHERE reverses IS NOT NULL
"""

#: The transfer that reverses another one, but for one that is just being written.
REVERSAL_OF = """
CREATE OR REPLACE FUNCTION reversal_of(of_institution integer, original uuid, but uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN (SELECT r.reversal_id FROM reversal r WHERE r.institution_id = of_institution AND r.original_id = original
        AND r.reversal_id IS DISTINCT FROM but);
END $$
"""

#: What migration 0030's guard says, and what it says now (each found exactly once).
_GUARD_CHANGES = (
    (
        """        -- Each partition's index sees its own reversals only. The lock on the head lets no other posting in between.
        EXECUTE CASE WHEN reversing <= 20 THEN $q$
            SELECT transfer_id, reverses FROM new_transfers
            WHERE reverses IS NOT NULL AND reversal_of(institution_id, reverses, transfer_id) IS NOT NULL LIMIT 1 $q$
        ELSE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            JOIN transfer o ON o.institution_id = n.institution_id AND o.reverses = n.reverses AND o.transfer_id <> n.transfer_id
            LIMIT 1 $q$ END INTO wrong;
        IF wrong.transfer_id IS NOT NULL THEN
""",
        """        -- Each partition's index sees its own reversals only; this key is over all months.
        EXECUTE $q$
            INSERT INTO reversal (institution_id, original_id, reversal_id)
            SELECT institution_id, reverses, transfer_id FROM new_transfers WHERE reverses IS NOT NULL
            ORDER BY institution_id, reverses ON CONFLICT DO NOTHING $q$;
        GET DIAGNOSTICS reversed = ROW_COUNT;
        IF reversed <> reversing THEN
            EXECUTE $q$
                SELECT n.transfer_id, n.reverses FROM new_transfers n
                LEFT JOIN reversal r ON r.institution_id = n.institution_id AND r.original_id = n.reverses
                    AND r.reversal_id = n.transfer_id
                WHERE n.reverses IS NOT NULL AND r.reversal_id IS NULL
                LIMIT 1 $q$ INTO wrong;
""",
    ),
    ("    reversing bigint := 0;\n", "    reversing bigint := 0;\n    reversed bigint;\n"),
)


def guard_transfer() -> str:
    """The guard of migration 0030 with the changes above."""
    source: str = importlib.import_module("migrations.versions.0030_asked_by_months").guard_transfer()
    for old, new in _GUARD_CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"the guard of migration 0030 has not exactly one {old!r}")
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Create and fill the table while nobody posts (readers go on), then replace what writes and reads it."""
    op.execute("LOCK TABLE transfer IN SHARE MODE")
    op.create_table(
        "reversal",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("original_id", sa.Uuid(), nullable=False, comment="the transfer that is undone, at most once"),
        sa.Column("reversal_id", sa.Uuid(), nullable=False, comment="the transfer that undoes it"),
        sa.PrimaryKeyConstraint("institution_id", "original_id", name=op.f("pk_reversal")),
        comment="which transfer reverses which, over all months of the journal",
        info={"projection": "the reversals of transfer, written only by the trigger that checks new transfers"},
    )
    op.execute(FILL)
    op.execute(
        "CREATE TRIGGER reversal_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON reversal"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_projection()"
    )
    op.execute("ALTER TABLE reversal ENABLE ALWAYS TRIGGER reversal_guard")
    for function in (REVERSAL_OF, guard_transfer()):
        op.execute(sa.text(function.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    before = importlib.import_module("migrations.versions.0030_asked_by_months")
    for function in (before.REVERSAL_OF.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), before.guard_transfer()):
        op.execute(sa.text(function.replace(":", "\\:")))
    op.drop_table("reversal")
