"""Tables of the quarantine: statements held back by a gate that two persons may overrule, and what they decided.

The proposal and the decision are events; an approval points by foreign key at the proposal and its actor, and a CHECK refuses the
same person. A trigger admits an approval only of the newest proposal and with the digest of what was proposed.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from reconciliation.model import Gate
from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import amount_column, day_column, instant_column, number_column, one_of, text_column
from storage.metadata import metadata

quarantined_statement = Table(
    "quarantined_statement",
    metadata,
    Column("quarantine_id", BigInteger, Identity(always=True), nullable=False, comment="our number of what is held back"),
    number_column("statement_file_id", "the file it came in; its bytes are read again when it is let through"),
    Column("position_in_file", Integer, nullable=False, comment="0-based index in the file"),
    text_column("gate", "what holds it back"),
    text_column("account", "the account as the file names it", nullable=True),
    number_column("held_account_id", "the custody account it would count for, where one is known", nullable=True),
    day_column("business_date", "the day it closes", nullable=True),
    Column(
        "statement_digest", LargeBinary, nullable=False, comment="SHA-256 of its balances and lines: the same again is this one"
    ),
    amount_column("opening_minor_units", "opening balance", nullable=True),
    amount_column("closing_minor_units", "closing balance", nullable=True),
    Column("reasons", ARRAY(Text), nullable=False, comment="why, in words"),
    Column("told", JSONB, comment="the same reasons, each its code and facts; null in rows older than this"),
    instant_column("held_at", "when it was held back"),
    *evidence_columns(),
    PrimaryKeyConstraint("quarantine_id"),
    UniqueConstraint("quarantine_id", "statement_file_id"),
    UniqueConstraint("statement_file_id", "position_in_file", "gate"),
    ForeignKeyConstraint(["statement_file_id"], ["statement_file.statement_file_id"]),
    one_of("gate", [str(gate) for gate in Gate]),
    CheckConstraint("octet_length(statement_digest) = 32", name="digest_length"),
    CheckConstraint("cardinality(reasons) > 0", name="says_why"),
    Index(None, "statement_digest"),
    Index(None, "held_account_id", "business_date"),
    info=APPEND_ONLY,
    comment="statements held back by a gate that two persons may overrule",
)

quarantine_event = Table(
    "quarantine_event",
    metadata,
    number_column("quarantine_id", "what is held back"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within it"),
    number_column("statement_file_id", "the file it came in"),
    text_column("event", "what happened"),
    instant_column("event_at", "when"),
    text_column("actor", "who"),
    text_column("reason", "why, in words"),
    Column("prepared_event_no", Integer, comment="the proposal approved"),
    text_column("prepared_by", "who proposed it (approved)", nullable=True),
    Column("together_with", ARRAY(BigInteger), comment="everything the proposal lets through at once, itself too (prepared)"),
    Column("plan_digest", LargeBinary, comment="SHA-256 of what letting it through would do (prepared, approved)"),
    *evidence_columns(),
    PrimaryKeyConstraint("quarantine_id", "event_no"),
    UniqueConstraint("quarantine_id", "event_no", "actor"),
    UniqueConstraint("quarantine_id", "event_no", "event", "actor", "prepared_by", name="uq_quarantine_event_decision"),
    ForeignKeyConstraint(
        ["quarantine_id", "statement_file_id"],
        ["quarantined_statement.quarantine_id", "quarantined_statement.statement_file_id"],
        name="fk_quarantine_event_of_its_file",
    ),
    ForeignKeyConstraint(
        ["quarantine_id", "prepared_event_no", "prepared_by"],
        ["quarantine_event.quarantine_id", "quarantine_event.event_no", "quarantine_event.actor"],
        name="fk_quarantine_event_prepared_by_its_actor",
    ),
    one_of("event", ["prepared", "approved", "rejected"]),
    CheckConstraint(
        "(event = 'approved') = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)", name="approves_a_proposal"
    ),
    CheckConstraint("prepared_event_no IS NULL OR prepared_event_no < event_no", name="after_its_proposal"),
    CheckConstraint("prepared_by IS NULL OR prepared_by <> actor", name="approver_is_not_preparer"),
    CheckConstraint("btrim(reason) <> ''", name="reason_given"),
    CheckConstraint("(event = 'rejected') = (plan_digest IS NULL)", name="says_what_it_would_do"),
    CheckConstraint(
        "(event = 'prepared') = (together_with IS NOT NULL) AND (together_with IS NULL OR quarantine_id = ANY (together_with))",
        name="names_what_it_lets_through",
    ),
    CheckConstraint("event_no >= 1", name="event_no_from_one"),
    info=APPEND_ONLY,
    comment="who proposed to let through what is held back, and who approved or turned it down",
)
