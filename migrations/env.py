"""Alembic's entry: migrates the connection it is given, or the server named in ESCROW_DATABASE_URL."""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from migrations.privileges import apply_privileges
from migrations.runner import WAIT_SECONDS, UpgradeRefused, head_revision
from migrations.schema import load_all_tables
from storage.roles import create_roles
from storage.schema_trap import set_trap


def wait_for_others(connection: Connection) -> None:
    """Two upgrades at once: the second waits for the first, which may take many steps, then finds nothing left to do.

    Raises UpgradeRefused when that takes longer than runner.WAIT_SECONDS.
    """
    connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0))"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":
            raise
        raise UpgradeRefused(
            "another upgrade, a restore or a session that adds months of the journal has been at work for more than "
            f"{WAIT_SECONDS // 60} min, so this upgrade stopped waiting and changed nothing; it ran no step. See what runs "
            "(SELECT pid, state, query FROM pg_stat_activity), then run: escrow db upgrade"
        ) from error
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    connection.execute(text("SET LOCAL statement_timeout = '10min'"))


def run_on(connection: Connection) -> None:
    """Migrate in one transaction: a failed migration leaves the schema as it was."""
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.execute(text("SET statement_timeout = '10min'"))
    create_roles(connection)
    connection.commit()
    metadata = load_all_tables()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        wait_for_others(connection)
        before = context.get_context().get_current_heads()
        context.run_migrations()
        moved = context.get_context().get_current_heads() != before
        if moved and connection.scalar(text("SELECT to_regprocedure('institutions_in_scope()')")) is not None:
            apply_privileges(connection, metadata)
        if context.get_context().get_current_heads() == (head_revision(),):
            set_trap(connection)


given = context.config.attributes.get("connection")
if given is not None:
    run_on(given)
elif url := os.environ.get("ESCROW_DATABASE_URL"):
    with create_engine(url).connect() as connection:
        run_on(connection)
else:
    raise CommandError("run escrow db upgrade, or name a server in ESCROW_DATABASE_URL")
