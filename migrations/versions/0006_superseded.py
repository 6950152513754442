"""A sign-off may be superseded: an event that later evidence writes after it, with its reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_superseded"
down_revision = "0005_jobs"
branch_labels = None
depends_on = None

_EVENTS = ("prepared", "approved", "reopen_prepared", "reopened")


def upgrade() -> None:
    """Admit the event ``superseded``, always with a reason; the view shows such a day as open without being changed."""
    _constrain((*_EVENTS, "superseded"), "event NOT IN ('reopen_prepared', 'superseded') OR reason IS NOT NULL")


def downgrade() -> None:
    """Admit it no longer; only for an empty development database."""
    _constrain(_EVENTS, "event <> 'reopen_prepared' OR reason IS NOT NULL")


def _constrain(events: tuple[str, ...], says_why: str) -> None:
    for name, condition in (
        ("ck_sign_off_event_event_known", f"event IN ({', '.join(repr(event) for event in events)})"),
        ("ck_sign_off_event_reopening_says_why", says_why),
    ):
        op.drop_constraint(op.f(name), "sign_off_event", type_="check")
        op.create_check_constraint(op.f(name), "sign_off_event", condition)
    op.alter_column("sign_off_event", "event", existing_type=sa.Text(), existing_nullable=False, comment=", ".join(events))
