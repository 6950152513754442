"""A bank reads the discrepancies of its own accounts, and no longer the history of those at other banks of the same institution.

Deployed beside the old program: that one never reads them as a bank. Nothing stands here: grants and policies are derived for every
table at the end of an upgrade (``privileges``), and this revision makes an upgrade due.
"""

from __future__ import annotations

revision = "0020_bank_discrepancies"
down_revision = "0019_late_postings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See above."""


def downgrade() -> None:
    """Only for an empty development database."""
