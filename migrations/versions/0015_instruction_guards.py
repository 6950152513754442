"""The guards of instructions hold for a session with ``session_replication_role = replica`` too, as all others do."""

from __future__ import annotations

from alembic import op

revision = "0015_instruction_guards"
down_revision = "0014_instruction_answers"
branch_labels = None
depends_on = None

_GUARDS = (("instruction_event", "instruction_event_guard"), ("transfer", "transfer_keeps_instructions"))


def upgrade() -> None:
    """Wake the triggers for every session; no row is touched."""
    for table, trigger in _GUARDS:
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def downgrade() -> None:
    """Let them sleep again; only for an empty development database."""
    for table, trigger in _GUARDS:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
