"""People's acts that move no money get a role of their own; the audit log and the imports are read by who sees everything.

Deployed beside the old program: that one writes such acts as the poster, which goes on working. Nothing stands here: role, grants
and policies are derived for every table at the end of an upgrade (``privileges``), and this revision makes an upgrade due.
"""

from __future__ import annotations

revision = "0016_person_role"
down_revision = "0015_instruction_guards"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See above."""


def downgrade() -> None:
    """Only for an empty development database; the role stays, other databases of the server may use it."""
