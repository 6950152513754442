"""Approvals are told by the role of people's acts alone: no longer by the poster, who bypasses the policies that judge them.

Since migration 0027 a person's session tells of the approval and the poster books what follows, but the poster could still have
told of it himself, past the policy that wants the newest proposal of another person. Its right to add to these tables stays, because
jobs add other events to them. Deploy it after the program that knows ``deciding`` (since 0027) has replaced the older one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034_approved_by_persons"
down_revision = "0033_months_made"
branch_labels = None
depends_on = None

#: A superuser passes: nothing stops one, and the tests and a restore work as one.
REFUSE = """
CREATE FUNCTION refuse_unless_by_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'escrow_person' AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION 'approval in % by % refused: who approves is a person, within the own jurisdictions',
            TG_TABLE_NAME, current_user
            USING ERRCODE = 'restrict_violation', TABLE = TG_TABLE_NAME,
                  HINT = 'Approve by the command of that name, as the person who approves: escrow --as USER ...';
    END IF;
    RETURN NEW;
END $$
"""

#: By table: which of its rows are approvals; None when all are.
APPROVALS = {
    "discrepancy_event": "NEW.event = 'approved'",
    "quarantine_event": "NEW.event = 'approved'",
    "instruction_event": "NEW.event = 'returned'",
    "sign_off_event": "NEW.event IN ('approved', 'reopened')",
    "period_event": "NEW.event = 'reopened'",
    "hold_lift": None,
}


def upgrade() -> None:
    """Create the function and hang it on each table."""
    op.execute(sa.text(REFUSE.replace(":", "\\:")))
    for table, which in APPROVALS.items():
        when = f"WHEN ({which}) " if which else ""
        op.execute(
            f"CREATE TRIGGER {table}_by_person BEFORE INSERT ON {table} FOR EACH ROW {when}"
            "EXECUTE FUNCTION refuse_unless_by_person()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_by_person")


def downgrade() -> None:
    """Only for an empty development database."""
    for table in APPROVALS:
        op.execute(f"DROP TRIGGER {table}_by_person ON {table}")
    op.execute("DROP FUNCTION refuse_unless_by_person")
