"""The table of deadlines that passed: the evidence of a scheduled job for the discrepancies it opens."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table

from reconciliation.statement_calendar import DayState
from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import account_column, day_column, instant_column, institution_column, one_of, text_column
from storage.metadata import metadata

statement_overdue = Table(
    "statement_overdue",
    metadata,
    institution_column(),
    account_column(),
    day_column("business_date", "the day whose statement had not come"),
    text_column("discrepancy_id", "the STATEMENT_MISSING of that day, whoever opened it"),
    text_column("state", "overdue: nothing had come; refused: what had come was refused"),
    instant_column("deadline_at", "the last instant at which it would have been in time"),
    instant_column("noticed_at", "when it was noticed"),
    text_column("rules_version", "version of the rules that give the deadline"),
    text_column("actor", "user or job"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "custody_account_id", "business_date"),
    ForeignKeyConstraint(["institution_id", "discrepancy_id"], ["discrepancy.institution_id", "discrepancy.discrepancy_id"]),
    one_of("state", [str(DayState.OVERDUE), str(DayState.REFUSED)]),
    CheckConstraint("noticed_at > deadline_at", name="after_the_deadline"),
    Index(None, "institution_id", "discrepancy_id"),
    info=APPEND_ONLY,
    comment="days whose statement had not come when its deadline had passed",
)
