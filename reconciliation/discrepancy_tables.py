"""Tables of discrepancies and sign-off. All are append-only: states are read from events (discrepancy_store.py).

Maker is never checker: an approval names the event it approves and that event's actor (a foreign key proves it), and a CHECK
refuses the same person.
"""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from reconciliation.discrepancy import Act, DiscrepancyKind, EventKind
from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import (
    account_column,
    amount_column,
    day_column,
    instant_column,
    institution_column,
    number_column,
    one_of,
    text_column,
)
from storage.metadata import metadata

discrepancy = Table(
    "discrepancy",
    metadata,
    institution_column(),
    text_column("discrepancy_id", "digest of the kind and the lines or items it is about"),
    account_column(),
    text_column("kind", "what could not be explained"),
    day_column("since", "the day it dates from"),
    text_column("currency", "ISO 4217 code"),
    amount_column("amount_minor_units", "what is affected"),
    amount_column("difference_minor_units", "bank minus books"),
    Column("line_ids", ARRAY(Text), nullable=False, comment="bank lines it is about"),
    Column("item_ids", ARRAY(Uuid), nullable=False, comment="open items it is about"),
    number_column("statement_file_id", "the file it is about", nullable=True),
    text_column("explanation", "why, in words"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "discrepancy_id"),
    ForeignKeyConstraint(["statement_file_id"], ["statement_file.statement_file_id"]),
    CheckConstraint("amount_minor_units >= 0", name="amount_not_negative"),
    one_of("kind", [str(kind) for kind in DiscrepancyKind if kind is not DiscrepancyKind.TIMING]),
    Index(None, "institution_id", "custody_account_id", "since"),
    info=APPEND_ONLY,
    comment="differences no rule could explain; their state is read from discrepancy_event",
)

discrepancy_event = Table(
    "discrepancy_event",
    metadata,
    institution_column(),
    text_column("discrepancy_id", "the discrepancy"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within the discrepancy"),
    text_column("event", "what happened"),
    instant_column("event_at", "when"),
    day_column("business_date", "the day it belongs to"),
    text_column("actor", "user or job"),
    text_column("owner", "who works on it from now on (assigned)", nullable=True),
    text_column("act", "the proposed resolution (prepared)", nullable=True),
    Column("item_ids", ARRAY(Uuid), comment="items the proposal would clear or reverse (prepared)"),
    text_column("reason", "why, in words", nullable=True),
    Column("prepared_event_no", Integer, comment="the proposal decided on (approved, rejected)"),
    text_column("prepared_by", "who proposed it (approved, rejected)", nullable=True),
    number_column("run_id", "the run that found or cleared it", nullable=True),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "discrepancy_id", "event_no"),
    UniqueConstraint("institution_id", "discrepancy_id", "event_no", "actor"),
    ForeignKeyConstraint(["institution_id", "discrepancy_id"], ["discrepancy.institution_id", "discrepancy.discrepancy_id"]),
    ForeignKeyConstraint(
        ["institution_id", "discrepancy_id", "prepared_event_no", "prepared_by"],
        [
            "discrepancy_event.institution_id",
            "discrepancy_event.discrepancy_id",
            "discrepancy_event.event_no",
            "discrepancy_event.actor",
        ],
        name="fk_discrepancy_event_prepared_by_its_actor",
    ),
    one_of("event", [str(kind) for kind in EventKind]),
    one_of("act", [str(act) for act in Act]),
    CheckConstraint(
        "event NOT IN ('approved', 'rejected') OR (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL"
        " AND prepared_event_no < event_no)",
        name="decides_on_a_proposal",
    ),
    CheckConstraint("event <> 'approved' OR prepared_by <> actor", name="approver_is_not_preparer"),
    CheckConstraint("event <> 'prepared' OR act IS NOT NULL", name="proposal_names_an_act"),
    CheckConstraint("event <> 'rejected' OR reason IS NOT NULL", name="rejection_says_why"),
    CheckConstraint("event_no >= 1", name="event_no_from_one"),
    info=APPEND_ONLY,
    comment="what happened to each discrepancy",
)

run_discrepancy = Table(
    "run_discrepancy",
    metadata,
    institution_column(),
    number_column("run_id", "the run"),
    text_column("discrepancy_id", "what it found open"),
    text_column("kind", "what could not be explained"),
    text_column("side", "bank, book or both"),
    amount_column("amount_minor_units", "what is affected"),
    amount_column("difference_minor_units", "bank minus books"),
    text_column("line_ids", "bank lines, joined by |"),
    text_column("item_ids", "open items, joined by |"),
    text_column("suggested_item_ids", "an item of the same amount that was due, for a person to judge", nullable=True),
    text_column("explanation", "why, in words"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "run_id", "discrepancy_id"),
    ForeignKeyConstraint(["institution_id", "run_id"], ["reconciliation_run.institution_id", "reconciliation_run.run_id"]),
    ForeignKeyConstraint(["institution_id", "discrepancy_id"], ["discrepancy.institution_id", "discrepancy.discrepancy_id"]),
    info=APPEND_ONLY,
    comment="what each run found open, as it saw it",
)

sign_off_event = Table(
    "sign_off_event",
    metadata,
    institution_column(),
    account_column(),
    day_column("business_date", "the day signed off"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within the account and day"),
    text_column("event", "prepared, approved, reopen_prepared, reopened, superseded"),
    instant_column("event_at", "when"),
    text_column("actor", "who"),
    number_column("run_id", "the run accepted", nullable=True),
    text_column("reason", "why (reopening)", nullable=True),
    Column("prepared_event_no", Integer, comment="the proposal approved"),
    text_column("prepared_by", "who proposed it", nullable=True),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "custody_account_id", "business_date", "event_no"),
    UniqueConstraint("institution_id", "custody_account_id", "business_date", "event_no", "actor"),
    ForeignKeyConstraint(["institution_id", "run_id"], ["reconciliation_run.institution_id", "reconciliation_run.run_id"]),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id", "business_date", "prepared_event_no", "prepared_by"],
        [
            "sign_off_event.institution_id",
            "sign_off_event.custody_account_id",
            "sign_off_event.business_date",
            "sign_off_event.event_no",
            "sign_off_event.actor",
        ],
        name="fk_sign_off_event_prepared_by_its_actor",
    ),
    one_of("event", ["prepared", "approved", "reopen_prepared", "reopened", "superseded"]),
    CheckConstraint(
        "(event IN ('approved', 'reopened')) = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)",
        name="decides_on_a_proposal",
    ),
    CheckConstraint("prepared_event_no IS NULL OR prepared_event_no < event_no", name="after_its_proposal"),
    CheckConstraint("prepared_by IS NULL OR prepared_by <> actor", name="approver_is_not_preparer"),
    CheckConstraint("event NOT IN ('prepared', 'approved') OR run_id IS NOT NULL", name="accepts_a_run"),
    CheckConstraint("event NOT IN ('reopen_prepared', 'superseded') OR reason IS NOT NULL", name="reopening_says_why"),
    info=APPEND_ONLY,
    comment="who prepared and who approved each day of each custody account, and what reopened it",
)
