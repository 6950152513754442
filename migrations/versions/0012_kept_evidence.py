"""Evidence that only guards write (closed months) belongs to the tables' owner, like other evidence, so that a seal can lock it.

Changes nothing itself: every revision that moves a database derives owners, grants and policies again (``migrations.privileges``).
"""

from __future__ import annotations

revision = "0012_kept_evidence"
down_revision = "0011_posting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing besides what follows every revision."""


def downgrade() -> None:
    """Nothing."""
