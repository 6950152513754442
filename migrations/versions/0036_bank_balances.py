"""A bank reads the balances of its own accounts, and no longer those of the institution's accounts at other banks.

Deployed beside the old program: that one reads the balances of a bank's own accounts only. Nothing stands here: policies are derived
for every table at the end of an upgrade (``privileges``), and this revision makes an upgrade due.
"""

from __future__ import annotations

revision = "0036_bank_balances"
down_revision = "0035_overlap"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See above."""


def downgrade() -> None:
    """Only for an empty development database."""
