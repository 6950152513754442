"""A discrepancy may be closed by settling its item out of suspense."""

from __future__ import annotations

from alembic import op

revision = "0013_settle_from_suspense"
down_revision = "0012_kept_evidence"
branch_labels = None
depends_on = None

_ACTS = (
    "post_to_suspense", "accept_late", "match_manually", "reverse", "book_bank_interest", "book_bank_charge", "claim_from_bank",
    "charge_fee_to_institution",
)  # fmt: skip


def upgrade() -> None:
    """Admit the act; no row is changed."""
    _constrain((*_ACTS, "settle_from_suspense", "explain"))


def downgrade() -> None:
    """Admit it no longer; only for an empty development database."""
    _constrain((*_ACTS, "explain"))


def _constrain(acts: tuple[str, ...]) -> None:
    name = op.f("ck_discrepancy_event_act_known")
    op.drop_constraint(name, "discrepancy_event", type_="check")
    op.create_check_constraint(name, "discrepancy_event", f"act IN ({', '.join(repr(act) for act in acts)})")
