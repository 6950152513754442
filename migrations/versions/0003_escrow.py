"""Tables of the escrow package."""

from __future__ import annotations

revision = "0003_escrow"
down_revision = "0002_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""


def downgrade() -> None:
    """Drop the tables."""
