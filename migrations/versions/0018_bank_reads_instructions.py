"""A bank reads the instructions that went out to it, and what it answered to them.

Deployed beside the old program, which reads these as the poster. Nothing stands here: grants and policies are derived for every
table at the end of an upgrade (``privileges``), and this revision makes an upgrade due.
"""

from __future__ import annotations

revision = "0018_bank_reads_instructions"
down_revision = "0017_monthly_partitions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """See above."""


def downgrade() -> None:
    """Only for an empty development database."""
