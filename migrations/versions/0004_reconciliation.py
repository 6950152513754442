"""Tables of the reconciliation package."""

from __future__ import annotations

revision = "0004_reconciliation"
down_revision = "0003_escrow"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""


def downgrade() -> None:
    """Drop the tables."""
