"""Months are added as the role that may change the schema, so that the trap can refuse everything else to the owner of the tables.

The trap itself (``storage.schema_trap``) is no migration: only a superuser can make it, so every upgrade by one makes it, and
elsewhere an administrator does. Deployed beside the old program: that one goes on adding months through the same function.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

revision = "0024_schema_trap"
down_revision = "0023_reasons_told"
branch_labels = None
depends_on = None

#: What migration 0017's function says, and what it says now. A migration holds the lock alone, those who add months share it; and
#: a month belongs to the owner of the journal, whoever made it.
_CHANGES = (
    ("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
    (
        "    PERFORM pg_advisory_xact_lock(hashtextextended('ledger_add_month', 0));\n",
        """    PERFORM pg_advisory_xact_lock_shared(hashtextextended('alembic_version', 0));
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger_add_month', 0));
""",
    ),
    (
        "    PERFORM ledger_guard_partition(name);\n",
        "    PERFORM ledger_guard_partition(name);\n    EXECUTE format('ALTER TABLE %I OWNER TO escrow_owner', name);\n",
    ),
)


def upgrade() -> None:
    """Replace the function; who owns it is set with all privileges at the end of the upgrade."""
    source: str = importlib.import_module("migrations.versions.0017_monthly_partitions").ADD_MONTH
    for old, new in _CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"ledger_add_month of migration 0017 has not exactly one {old!r}")
        source = source.replace(old, new)
    op.execute(sa.text(source.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database; the trap goes with it, because the older function is refused by it."""
    for name in ("start", "end", "drop"):
        op.execute(f"DROP EVENT TRIGGER IF EXISTS refuse_schema_change_{name}")
    op.execute("DROP FUNCTION IF EXISTS refuse_schema_change()")
    source: str = importlib.import_module("migrations.versions.0017_monthly_partitions").ADD_MONTH
    op.execute(sa.text(source.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(":", "\\:")))
    op.execute("ALTER FUNCTION ledger_add_month(date) OWNER TO escrow_owner")
