"""Which months of the journal were made: a month that held nothing and is gone is missed by ``verify``.

Until now the months were whatever partitions there were, so an empty one that a superuser dropped was missed by nobody, and what belongs
into it was refused or lay elsewhere. Deployed beside the old program, which adds months through the same function.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl

revision = "0033_months_made"
down_revision = "0032_months_of_batches"
branch_labels = None
depends_on = None

#: A month is on record because it is there; nobody can put another one on record, which ``verify`` would then miss.
GUARD = """
CREATE FUNCTION ledger_guard_month() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_inherits i WHERE i.inhparent = 'public.transfer'::regclass
            AND i.inhrelid = to_regclass('public.' || quote_ident(NEW.partition_name)) AND NOT i.inhdetachpending) THEN
        PERFORM refuse_posting('no_such_month', format('the journal has no partition %s', NEW.partition_name));
    END IF;
    RETURN NEW;
END $$
"""

#: What migration 0024's function says, and what it says now.
_CHANGES = (
    (
        "        name, first_transfer_id(first), first_transfer_id(next));\n    RETURN true;\n",
        """        name, first_transfer_id(first), first_transfer_id(next));
    INSERT INTO journal_month (partition_name) VALUES (name);
    RETURN true;
""",
    ),
)


def add_month() -> str:
    """The function of migration 0024."""
    source: str = importlib.import_module("migrations.versions.0017_monthly_partitions").ADD_MONTH
    changes = importlib.import_module("migrations.versions.0024_schema_trap")._CHANGES  # noqa: SLF001 - that migration is history
    for old, new in changes:
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Record the months there are, then have the function record those to come."""
    op.create_table(
        "journal_month",
        sa.Column("partition_name", sa.Text(), nullable=False, comment="the partition of transfer: its month is in its name"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.PrimaryKeyConstraint("partition_name", name=op.f("pk_journal_month")),
        comment="months of the journal that were made; each must be there",
    )
    op.execute(sa.text(GUARD.replace(":", "\\:")))
    for statement in append_only_ddl("journal_month"):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER journal_month_guard BEFORE INSERT ON journal_month FOR EACH ROW EXECUTE FUNCTION ledger_guard_month()"
    )
    op.execute("ALTER TABLE journal_month ENABLE ALWAYS TRIGGER journal_month_guard")
    op.execute("LOCK TABLE transfer IN SHARE UPDATE EXCLUSIVE MODE")  # no month is added meanwhile
    op.execute(
        """
        INSERT INTO journal_month (partition_name)
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'transfer'\\:\\:regclass ORDER BY c.relname
        """
    )
    source = add_month()
    for old, new in _CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"ledger_add_month of migration 0024 has not exactly one {old!r}")
        source = source.replace(old, new)
    op.execute(sa.text(source.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    op.execute(sa.text(add_month().replace(":", "\\:")))
    op.drop_table("journal_month")
    op.execute("DROP FUNCTION ledger_guard_month")
