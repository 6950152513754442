"""Tables of intake, runs, discrepancies and sign-off. All are append-only: states are read from events (store.py).

Maker is never checker: an approval names the event it approves and that event's actor (a foreign key proves it), and a CHECK
refuses the same person. A bank line and a book item are consumed at most once: they are primary keys of their member tables.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from reconciliation.discrepancy import Act, DiscrepancyKind, EventKind
from storage.append_only import APPEND_ONLY, evidence_columns
from storage.metadata import metadata


def _text(name: str, comment: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable, comment=comment)


def _amount(name: str, comment: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, comment=f"{comment}, in minor units (fen)")


def _day(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, Date, nullable=nullable, comment=f"{comment} (business day, Asia/Shanghai)")


def _instant(name: str, comment: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, comment=f"{comment} (UTC instant)")


def _institution() -> Column[int]:
    return Column("institution_id", Integer, nullable=False, comment="the institution whose data this is")


def _account() -> Column[int]:
    return Column("custody_account_id", BigInteger, nullable=False, comment="the real bank account")


def _number(name: str, comment: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, comment=comment)


def _one_of(column: str, words: list[str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")


statement_file = Table(
    "statement_file",
    metadata,
    Column("statement_file_id", BigInteger, Identity(always=True), nullable=False, comment="our number of the arrival"),
    _text("file_name", "name the sender gave it"),
    _text("sender_bank", "bank that delivered it"),
    _text("received_by", "user or job that took it in"),
    _instant("received_at", "when it arrived"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of the bytes as received"),
    Column("size_bytes", BigInteger, nullable=False, comment="number of bytes"),
    Column("content", LargeBinary, comment="the bytes as received; null when same_bytes_as holds them"),
    _number("same_bytes_as", "the first arrival of the very same bytes", nullable=True),
    *evidence_columns(),
    PrimaryKeyConstraint("statement_file_id"),
    ForeignKeyConstraint(["same_bytes_as"], ["statement_file.statement_file_id"]),
    CheckConstraint("octet_length(sha256) = 32", name="sha256_length"),
    CheckConstraint("(content IS NULL) = (same_bytes_as IS NOT NULL)", name="bytes_kept_once"),
    CheckConstraint("content IS NULL OR sha256 = sha256(content)", name="sha256_is_of_content"),
    Index("uq_statement_file_first", "sha256", unique=True, postgresql_where=text("content IS NOT NULL")),
    info=APPEND_ONLY,
    comment="every file a bank delivered, as received, also the refused ones",
)

statement_file_reading = Table(
    "statement_file_reading",
    metadata,
    _number("statement_file_id", "the file"),
    Column("accepted", Boolean, nullable=False, comment="whether every statement in it counts or waits"),
    _text("format", "mt940, camt, delimited ..."),
    _text("profile", "layout it was read by", nullable=True),
    _text("encoding", "encoding it was read in", nullable=True),
    Column("content_digest", LargeBinary, comment="SHA-256 of what it says, whatever name, format or encoding; null if unread"),
    _number("same_content_as", "an earlier file that says the same", nullable=True),
    Column("statements", JSONB, nullable=False, comment="what happened to each statement: account, day, outcome, reasons"),
    Column("findings", JSONB, nullable=False, comment="what is wrong inside the file: severity, code, line, field, message"),
    *evidence_columns(),
    PrimaryKeyConstraint("statement_file_id"),
    ForeignKeyConstraint(["statement_file_id"], ["statement_file.statement_file_id"]),
    ForeignKeyConstraint(["same_content_as"], ["statement_file.statement_file_id"]),
    Index(None, "content_digest"),
    info=APPEND_ONLY,
    comment="what was read in a file and what became of it",
)

statement = Table(
    "statement",
    metadata,
    _institution(),
    Column("statement_id", BigInteger, Identity(always=True), nullable=False, comment="our number of the statement"),
    _account(),
    _number("statement_file_id", "the file it came in"),
    Column("position_in_file", Integer, nullable=False, comment="0-based index in the file"),
    _day("business_date", "the day it closes"),
    _text("bank_statement_id", "the bank's own id of it", nullable=True),
    _text("sequence", "the bank's number of it", nullable=True),
    _text("currency", "ISO 4217 code"),
    _amount("opening_minor_units", "opening balance"),
    _amount("closing_minor_units", "closing balance"),
    Column("line_count", Integer, nullable=False, comment="number of booked lines"),
    _amount("in_minor_units", "sum of lines IN"),
    _amount("out_minor_units", "sum of lines OUT"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id"),
    UniqueConstraint("statement_file_id", "position_in_file"),
    ForeignKeyConstraint(["statement_file_id"], ["statement_file.statement_file_id"]),
    CheckConstraint("opening_minor_units + in_minor_units - out_minor_units = closing_minor_units", name="balance_identity"),
    CheckConstraint("in_minor_units >= 0 AND out_minor_units >= 0 AND line_count >= 0", name="sums_not_negative"),
    Index(None, "institution_id", "custody_account_id", "business_date"),
    info=APPEND_ONLY,
    comment="statements whose own figures agree; one counts once it continues the one before (statement_counted)",
)

statement_counted = Table(
    "statement_counted",
    metadata,
    _institution(),
    _number("statement_id", "the statement that counts"),
    _account(),
    _day("business_date", "the day it closes"),
    Column("link", Integer, nullable=False, comment="1 for the account's first statement, then 2, 3 ... without a gap"),
    Column("previous_link", Integer, comment="link - 1; null for the first"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "statement_id"),
    UniqueConstraint("institution_id", "custody_account_id", "business_date"),
    UniqueConstraint("institution_id", "custody_account_id", "link"),
    ForeignKeyConstraint(["institution_id", "statement_id"], ["statement.institution_id", "statement.statement_id"]),
    ForeignKeyConstraint(
        ["institution_id", "custody_account_id", "previous_link"],
        ["statement_counted.institution_id", "statement_counted.custody_account_id", "statement_counted.link"],
    ),
    CheckConstraint("link >= 1 AND (link = 1) = (previous_link IS NULL)", name="first_link"),
    CheckConstraint("previous_link IS NULL OR previous_link = link - 1", name="unbroken"),
    info=APPEND_ONLY,
    comment="the unbroken chain of statements of an account; lines count from here on",
)

statement_line = Table(
    "statement_line",
    metadata,
    _institution(),
    _text("line_id", "digest of account, booking date, direction, amount, bank reference or text, and ordinal among equals"),
    _number("statement_id", "the statement that reports it"),
    _account(),
    Column("position", Integer, nullable=False, comment="0-based place in the statement, oldest first"),
    Column("ordinal", Integer, nullable=False, comment="1 for the first line of this content in the account, then 2, 3 ..."),
    _day("booking_date", "day the bank booked it"),
    _day("value_date", "day it counts as funds", nullable=True),
    _text("direction", "IN: into the custody account; OUT: out of it"),
    _amount("amount_minor_units", "amount"),
    _text("currency", "ISO 4217 code"),
    _text("bank_reference", "the bank's own id of the line", nullable=True),
    Column("line_references", ARRAY(Text), nullable=False, comment="every reference a matcher may use"),
    _text("counterparty_name", "who paid or was paid", nullable=True),
    _text("counterparty_account", "their account", nullable=True),
    _text("description", "the bank's text", nullable=True),
    _text("transaction_code", "the bank's code for the kind of movement", nullable=True),
    Column("reversal", Boolean, nullable=False, comment="the bank marks it as a reversal"),
    _amount("running_balance_minor_units", "the bank's balance after it", nullable=True),
    Column("file_line", Integer, nullable=False, comment="1-based line in the file"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "line_id"),
    UniqueConstraint("institution_id", "statement_id", "position"),
    ForeignKeyConstraint(["institution_id", "statement_id"], ["statement.institution_id", "statement.statement_id"]),
    CheckConstraint("direction IN ('IN', 'OUT')", name="direction_known"),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    CheckConstraint("ordinal >= 1", name="ordinal_from_one"),
    Index(None, "institution_id", "custody_account_id", "booking_date"),
    info=APPEND_ONLY,
    comment="movements the banks reported as booked",
)

reconciliation_run = Table(
    "reconciliation_run",
    metadata,
    _institution(),
    Column("run_id", BigInteger, Identity(always=True), nullable=False, comment="our number of the run"),
    _account(),
    _day("business_date", "the day it reconciled"),
    _text("rules_version", "version of the matching rules"),
    Column("input_digest", LargeBinary, nullable=False, comment="SHA-256 of the lines and items it compared"),
    _text("output_hash", "SHA-256 over the matches and discrepancies it found"),
    _number("statement_id", "the newest counted statement it saw", nullable=True),
    _amount("opening_minor_units", "the day's opening balance at the bank", nullable=True),
    _amount("closing_minor_units", "the bank's closing balance it compared with", nullable=True),
    _amount("ledger_cash_minor_units", "custody cash in the books after it"),
    _amount("open_lines_minor_units", "bank lines not matched yet, IN less OUT"),
    _instant("ran_at", "when it ran"),
    _text("actor", "user or job that ran it"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "run_id"),
    CheckConstraint("octet_length(input_digest) = 32", name="input_digest_length"),
    CheckConstraint("output_hash ~ '^[0-9a-f]{64}$'", name="output_hash_form"),
    Index(None, "institution_id", "custody_account_id", "business_date"),
    info=APPEND_ONLY,
    comment="comparisons of one custody account's bank side with its book side, up to one day",
)

match = Table(
    "match",
    metadata,
    _institution(),
    _text("match_id", "digest of the rule and the sorted members"),
    _account(),
    _number("run_id", "the run that found it; null for a person's decision", nullable=True),
    _text("rule", "rule that proved it, or the act that resolved it"),
    _text("rules_version", "version of the matching rules"),
    _text("explanation", "why, in words"),
    _text("matched_by", "user or job"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "match_id"),
    ForeignKeyConstraint(["institution_id", "run_id"], ["reconciliation_run.institution_id", "reconciliation_run.run_id"]),
    _one_of(
        "rule",
        [
            "reference",
            "group_total",
            "reference_total",
            "original_reference",
            "reference_in_text",
            "reversal_pair",
            *(str(act) for act in Act if act not in (Act.EXPLAIN, Act.SETTLE_FROM_SUSPENSE)),
        ],
    ),
    Index(None, "institution_id", "run_id"),
    info=APPEND_ONLY,
    comment="bank lines and book items judged the same movement, or a line a person has disposed of",
)

match_bank_line = Table(
    "match_bank_line",
    metadata,
    _institution(),
    _text("line_id", "the bank line; consumed at most once"),
    _text("match_id", "the match"),
    _amount("amount_minor_units", "its amount"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "line_id"),
    ForeignKeyConstraint(["institution_id", "line_id"], ["statement_line.institution_id", "statement_line.line_id"]),
    ForeignKeyConstraint(["institution_id", "match_id"], ["match.institution_id", "match.match_id"]),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    Index(None, "institution_id", "match_id"),
    info=APPEND_ONLY,
    comment="bank lines of matches",
)

match_book_item = Table(
    "match_book_item",
    metadata,
    _institution(),
    Column("item_id", Uuid, nullable=False, comment="the open item; consumed at most once"),
    _text("match_id", "the match"),
    _amount("amount_minor_units", "its amount"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "item_id"),
    ForeignKeyConstraint(["institution_id", "item_id"], ["open_item.institution_id", "open_item.item_id"]),
    ForeignKeyConstraint(["institution_id", "match_id"], ["match.institution_id", "match.match_id"]),
    CheckConstraint("amount_minor_units > 0", name="amount_positive"),
    Index(None, "institution_id", "match_id"),
    info=APPEND_ONLY,
    comment="book items of matches",
)

discrepancy = Table(
    "discrepancy",
    metadata,
    _institution(),
    _text("discrepancy_id", "digest of the kind and the lines or items it is about"),
    _account(),
    _text("kind", "what could not be explained"),
    _day("since", "the day it dates from"),
    _text("currency", "ISO 4217 code"),
    _amount("amount_minor_units", "what is affected"),
    _amount("difference_minor_units", "bank minus books"),
    Column("line_ids", ARRAY(Text), nullable=False, comment="bank lines it is about"),
    Column("item_ids", ARRAY(Uuid), nullable=False, comment="open items it is about"),
    _number("statement_file_id", "the file it is about", nullable=True),
    _text("explanation", "why, in words"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "discrepancy_id"),
    ForeignKeyConstraint(["statement_file_id"], ["statement_file.statement_file_id"]),
    CheckConstraint("amount_minor_units >= 0", name="amount_not_negative"),
    _one_of("kind", [str(kind) for kind in DiscrepancyKind if kind is not DiscrepancyKind.TIMING]),
    Index(None, "institution_id", "custody_account_id", "since"),
    info=APPEND_ONLY,
    comment="differences no rule could explain; their state is read from discrepancy_event",
)

discrepancy_event = Table(
    "discrepancy_event",
    metadata,
    _institution(),
    _text("discrepancy_id", "the discrepancy"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within the discrepancy"),
    _text("event", "what happened"),
    _instant("event_at", "when"),
    _day("business_date", "the day it belongs to"),
    _text("actor", "user or job"),
    _text("owner", "who works on it from now on (assigned)", nullable=True),
    _text("act", "the proposed resolution (prepared)", nullable=True),
    Column("item_ids", ARRAY(Uuid), comment="items the proposal would clear or reverse (prepared)"),
    _text("reason", "why, in words", nullable=True),
    Column("prepared_event_no", Integer, comment="the proposal decided on (approved, rejected)"),
    _text("prepared_by", "who proposed it (approved, rejected)", nullable=True),
    _number("run_id", "the run that found or cleared it", nullable=True),
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
    _one_of("event", [str(kind) for kind in EventKind]),
    _one_of("act", [str(act) for act in Act]),
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
    _institution(),
    _number("run_id", "the run"),
    _text("discrepancy_id", "what it found open"),
    _text("kind", "what could not be explained"),
    _text("side", "bank, book or both"),
    _amount("amount_minor_units", "what is affected"),
    _amount("difference_minor_units", "bank minus books"),
    _text("line_ids", "bank lines, joined by |"),
    _text("item_ids", "open items, joined by |"),
    _text("suggested_item_ids", "an item of the same amount that was due, for a person to judge", nullable=True),
    _text("explanation", "why, in words"),
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
    _institution(),
    _account(),
    _day("business_date", "the day signed off"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within the account and day"),
    _text("event", "prepared, approved, reopen_prepared, reopened, superseded"),
    _instant("event_at", "when"),
    _text("actor", "who"),
    _number("run_id", "the run accepted", nullable=True),
    _text("reason", "why (reopening)", nullable=True),
    Column("prepared_event_no", Integer, comment="the proposal approved"),
    _text("prepared_by", "who proposed it", nullable=True),
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
    _one_of("event", ["prepared", "approved", "reopen_prepared", "reopened", "superseded"]),
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
