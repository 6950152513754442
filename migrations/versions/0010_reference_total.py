"""Matches by total: a movement that one side has split in parts.

Only widens a CHECK, so older code keeps working beside it. The new one is added without a scan and validated afterwards,
which blocks no writer.
"""

from __future__ import annotations

from alembic import op

revision = "0010_reference_total"
down_revision = "0009_roles"
branch_labels = None
depends_on = None

_ACTS = (
    "post_to_suspense",
    "accept_late",
    "match_manually",
    "reverse",
    "book_bank_interest",
    "book_bank_charge",
    "claim_from_bank",
    "charge_fee_to_institution",
)
_RULES = ("reference", "group_total", "original_reference", "reference_in_text", "reversal_pair")


def upgrade() -> None:
    """Allow the rule ``reference_total``."""
    _replace("reference", "group_total", "reference_total", *_RULES[2:], *_ACTS)


def downgrade() -> None:
    """Forbid it again; fails while a match by total is stored, because history is not rewritten."""
    _replace(*_RULES, *_ACTS)


def _replace(*words: str) -> None:
    op.execute("ALTER TABLE match DROP CONSTRAINT ck_match_rule_known")
    listed = ", ".join(repr(word) for word in words)
    op.execute(f"ALTER TABLE match ADD CONSTRAINT ck_match_rule_known CHECK (rule IN ({listed})) NOT VALID")
    op.execute("ALTER TABLE match VALIDATE CONSTRAINT ck_match_rule_known")
