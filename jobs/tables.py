"""The table of job runs: one row for each job and business day, whatever started it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from storage.append_only import projection
from storage.metadata import metadata

job_run = sa.Table(
    "job_run",
    metadata,
    sa.Column("job", sa.Text, primary_key=True, comment="name of the job, as in escrow job list"),
    sa.Column("as_of", sa.Date, primary_key=True, comment="business day (Asia/Shanghai) the run is for"),
    sa.Column("status", sa.Text, nullable=False, comment="running, done or failed"),
    sa.Column("attempts", sa.Integer, nullable=False, comment="how often this slot was started"),
    sa.Column("owner", sa.Text, nullable=False, comment="host:process:thread of the newest attempt"),
    sa.Column("actor", sa.Text, nullable=False, comment="user the job acts as"),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="start of the newest attempt (UTC)"),
    sa.Column("finished_at", sa.DateTime(timezone=True), comment="end of the newest attempt (UTC)"),
    sa.Column("result", JSONB, comment="what the job reports of itself"),
    sa.Column("error", sa.Text, comment="why the newest attempt failed"),
    sa.CheckConstraint("status IN ('running', 'done', 'failed')", name="status_known"),
    sa.CheckConstraint("attempts >= 1", name="attempts_positive"),
    sa.CheckConstraint("(status = 'running') = (finished_at IS NULL)", name="finished_when_not_running"),
    comment="executions of scheduled jobs, one slot a job and business day",
    info=projection("operational record; holds no money and no evidence: a job's effects are verified where they land"),
)
