"""Tables of restated statements: a new version beside the old one, the lines it repeats, the matches that fell with it.

Nothing old is touched. The version in force is read (views ``statement_in_force``, ``line_in_force``); a version exists only by
an approval of two persons, to which a foreign key leads.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import (
    account_column,
    amount_column,
    day_column,
    institution_column,
    number_column,
    text_column,
)
from storage.metadata import metadata

_STATEMENT = ["statement.institution_id", "statement.statement_id"]

statement_version = Table(
    "statement_version",
    metadata,
    institution_column(),
    number_column("statement_id", "the statement that is the new version"),
    account_column(),
    day_column("business_date", "the day it closes, that of every version"),
    number_column("first_statement_id", "the first version; it stands in the chain for all of them"),
    Column("version", Integer, nullable=False, comment="2, 3 ...; the first version has no row here"),
    number_column("replaces_statement_id", "the version before"),
    number_column("quarantine_id", "the proposal two persons decided on"),
    Column("approved_event_no", Integer, nullable=False, comment="the event by which the second person approved it"),
    text_column("approval", "always 'approved': the foreign key admits no other event"),
    text_column("prepared_by", "who proposed it"),
    text_column("approved_by", "who approved it: another person"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id"),
    UniqueConstraint("institution_id", "first_statement_id", "version"),
    UniqueConstraint("institution_id", "replaces_statement_id"),
    ForeignKeyConstraint(["institution_id", "statement_id"], _STATEMENT, name="fk_statement_version_statement"),
    ForeignKeyConstraint(["institution_id", "first_statement_id"], _STATEMENT, name="fk_statement_version_first"),
    ForeignKeyConstraint(["institution_id", "replaces_statement_id"], _STATEMENT, name="fk_statement_version_replaces"),
    ForeignKeyConstraint(
        ["quarantine_id", "approved_event_no", "approval", "approved_by", "prepared_by"],
        [
            "quarantine_event.quarantine_id",
            "quarantine_event.event_no",
            "quarantine_event.event",
            "quarantine_event.actor",
            "quarantine_event.prepared_by",
        ],
        name="fk_statement_version_approved",
    ),
    CheckConstraint("version >= 2", name="after_the_first"),
    CheckConstraint("approval = 'approved' AND approved_by <> prepared_by", name="approved_by_two"),
    CheckConstraint("statement_id <> first_statement_id AND statement_id <> replaces_statement_id", name="another_statement"),
    info=APPEND_ONLY,
    comment="statements a bank restated: which version took the place of which, and who approved it",
)

statement_line_kept = Table(
    "statement_line_kept",
    metadata,
    institution_column(),
    number_column("statement_id", "the new version"),
    text_column("line_id", "the line of an earlier version that it repeats unchanged"),
    account_column(),
    Column("position", Integer, nullable=False, comment="0-based place in the new version, oldest first"),
    amount_column("running_balance_minor_units", "the bank's balance after it, in the new version", nullable=True),
    Column("file_line", Integer, nullable=False, comment="1-based line in the new version's file"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id", "line_id"),
    UniqueConstraint("institution_id", "statement_id", "position"),
    ForeignKeyConstraint(
        ["institution_id", "statement_id"],
        ["statement_version.institution_id", "statement_version.statement_id"],
        name="fk_statement_line_kept_version",
    ),
    ForeignKeyConstraint(
        ["institution_id", "line_id"],
        ["statement_line.institution_id", "statement_line.line_id"],
        name="fk_statement_line_kept_line",
    ),
    Index(None, "institution_id", "line_id"),
    info=APPEND_ONLY,
    comment="lines a new version repeats: they keep their identity, and with it their match and their postings",
)

match_undone = Table(
    "match_undone",
    metadata,
    institution_column(),
    text_column("match_id", "the match; undone at most once"),
    account_column(),
    number_column("statement_id", "the new version of a statement that took one of its lines away"),
    text_column("reason", "why, in words"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "match_id"),
    ForeignKeyConstraint(
        ["institution_id", "match_id"], ["match.institution_id", "match.match_id"], name="fk_match_undone_match"
    ),
    ForeignKeyConstraint(
        ["institution_id", "statement_id"],
        ["statement_version.institution_id", "statement_version.statement_id"],
        name="fk_match_undone_version",
    ),
    Index(None, "institution_id", "statement_id"),
    info=APPEND_ONLY,
    comment="matches that fell because the bank restated a line of theirs: their postings are reversed, the rest is open again",
)
