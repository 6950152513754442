"""Why a statement is held back is kept as codes and facts too, so that it can be told in Chinese.

One nullable column and one column at the end of a view; no row is rewritten. An older program beside it writes rows without, which
are then told in English only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023_reasons_told"
down_revision = "0022_quarantine"
branch_labels = None
depends_on = None

VIEW = """
    CREATE OR REPLACE VIEW quarantine_state AS
    SELECT q.quarantine_id, q.statement_file_id, q.position_in_file, q.gate, q.account, q.held_account_id, q.business_date,
        q.statement_digest, q.opening_minor_units, q.closing_minor_units, q.reasons, q.held_at, f.file_name, f.sender_bank,
        coalesce(e.event_no, 0) AS last_event_no, e.actor AS acted_by, e.event_at AS acted_at, e.reason AS said,
        e.together_with, e.plan_digest, p.actor AS prepared_by, p.reason AS proposal_reason,
        CASE
            WHEN e.event = 'approved' THEN 'released'
            WHEN q.gate <> 'restated' AND EXISTS (
                SELECT FROM statement_in_force c JOIN statement s USING (institution_id, statement_id)
                WHERE c.custody_account_id = q.held_account_id AND c.business_date = q.business_date
                    AND s.opening_minor_units = q.opening_minor_units AND s.closing_minor_units = q.closing_minor_units)
                THEN 'overtaken'
            ELSE coalesce(e.event, 'held')
        END AS state, q.told
    FROM quarantined_statement q
    JOIN statement_file f USING (statement_file_id)
    LEFT JOIN LATERAL (
        SELECT * FROM quarantine_event e WHERE e.quarantine_id = q.quarantine_id ORDER BY event_no DESC LIMIT 1
    ) e ON true
    LEFT JOIN quarantine_event p ON p.quarantine_id = q.quarantine_id
        AND p.event_no = CASE e.event WHEN 'prepared' THEN e.event_no WHEN 'approved' THEN e.prepared_event_no END
    """


def upgrade() -> None:
    """Add the column and show it."""
    op.add_column(
        "quarantined_statement",
        sa.Column(
            "told",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="the same reasons, each its code and facts; null in rows older than this",
        ),
    )
    op.execute(VIEW)


def downgrade() -> None:
    """Only for an empty development database: the view goes with the column and is not made again."""
    op.execute("DROP VIEW quarantine_state")
    op.drop_column("quarantined_statement", "told")
