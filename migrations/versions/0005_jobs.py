"""Tables of the jobs package."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005_jobs"
down_revision = "0004_reconciliation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of job runs."""
    op.create_table(
        "job_run",
        sa.Column("job", sa.Text, nullable=False, comment="name of the job, as in escrow job list"),
        sa.Column("as_of", sa.Date, nullable=False, comment="business day (Asia/Shanghai) the run is for"),
        sa.Column("status", sa.Text, nullable=False, comment="running, done or failed"),
        sa.Column("attempts", sa.Integer, nullable=False, comment="how often this slot was started"),
        sa.Column("owner", sa.Text, nullable=False, comment="host:process:thread of the newest attempt"),
        sa.Column("actor", sa.Text, nullable=False, comment="user the job acts as"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="start of the newest attempt (UTC)"),
        sa.Column("finished_at", sa.DateTime(timezone=True), comment="end of the newest attempt (UTC)"),
        sa.Column("result", JSONB, comment="what the job reports of itself"),
        sa.Column("error", sa.Text, comment="why the newest attempt failed"),
        sa.PrimaryKeyConstraint("job", "as_of", name=op.f("pk_job_run")),
        sa.CheckConstraint("status IN ('running', 'done', 'failed')", name=op.f("ck_job_run_status_known")),
        sa.CheckConstraint("attempts >= 1", name=op.f("ck_job_run_attempts_positive")),
        sa.CheckConstraint("(status = 'running') = (finished_at IS NULL)", name=op.f("ck_job_run_finished_when_not_running")),
        comment="executions of scheduled jobs, one slot a job and business day",
    )


def downgrade() -> None:
    """Drop the table of job runs."""
    op.drop_table("job_run")
