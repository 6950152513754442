"""${message}

A migration is deployed beside the old code: for a while both run on the new schema. Add columns as nullable or with a
default; remove or rename a column only in a later deploy, after no running code names it. The runner gives up after
lock_timeout (5 s) rather than queue every writer behind this migration; a long statement needs its own
SET LOCAL statement_timeout and a sentence saying why.

A new append-only table carries *evidence_columns() and calls append_only_ddl; any other table says why it may change
with projection(...) in its tables.py.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Say what changes and why."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo it on an empty development database."""
    ${downgrades if downgrades else "pass"}
