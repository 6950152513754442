"""Tables of the jobs package."""

from __future__ import annotations

revision = "0005_jobs"
down_revision = "0004_reconciliation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""


def downgrade() -> None:
    """Drop the tables."""
