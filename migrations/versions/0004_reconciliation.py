"""Tables of the reconciliation package: intake, runs, discrepancies, sign-off. All of them append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.append_only import append_only_ddl

revision = "0004_reconciliation"
down_revision = "0003_escrow"
branch_labels = None
depends_on = None

TABLES = (
    "statement_file",
    "statement_file_reading",
    "statement",
    "statement_counted",
    "statement_line",
    "reconciliation_run",
    "match",
    "match_bank_line",
    "match_book_item",
    "discrepancy",
    "discrepancy_event",
    "run_discrepancy",
    "sign_off_event",
)


#: Where every discrepancy stands: the last event that changes a state decides; owner and proposal are the last given.
DISCREPANCY_STATE = """
CREATE VIEW discrepancy_state AS
SELECT d.institution_id, d.discrepancy_id, d.custody_account_id, d.kind, d.since, d.currency, d.amount_minor_units,
    d.difference_minor_units, d.line_ids, d.item_ids, d.statement_file_id, d.explanation,
    CASE s.event WHEN 'prepared' THEN 'prepared' WHEN 'approved' THEN 'resolved' WHEN 'auto_cleared' THEN 'cleared'
        ELSE 'open' END AS state,
    s.business_date AS state_on, s.event_at AS state_at, s.actor AS acted_by, s.reason,
    o.owner, p.event_no AS proposal_event_no, p.act, p.item_ids AS proposed_item_ids, p.actor AS prepared_by,
    p.reason AS proposal_reason, n.last_event_no
FROM discrepancy d
CROSS JOIN LATERAL (
    SELECT e.event, e.event_no, e.business_date, e.event_at, e.actor, e.reason, e.prepared_event_no FROM discrepancy_event e
    WHERE e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id
      AND e.event NOT IN ('assigned', 'commented')
    ORDER BY e.event_no DESC LIMIT 1
) s
CROSS JOIN LATERAL (
    SELECT max(e.event_no) AS last_event_no FROM discrepancy_event e
    WHERE e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id
) n
LEFT JOIN LATERAL (
    SELECT e.owner FROM discrepancy_event e
    WHERE e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id AND e.event = 'assigned'
    ORDER BY e.event_no DESC LIMIT 1
) o ON true
LEFT JOIN discrepancy_event p ON p.institution_id = d.institution_id AND p.discrepancy_id = d.discrepancy_id
    AND p.event_no = CASE s.event WHEN 'prepared' THEN s.event_no WHEN 'approved' THEN s.prepared_event_no END
"""

#: Where the sign-off of every account and day stands.
SIGN_OFF_STATE = """
CREATE VIEW sign_off_state AS
SELECT DISTINCT ON (institution_id, custody_account_id, business_date)
    institution_id, custody_account_id, business_date, event_no,
    CASE event WHEN 'approved' THEN 'signed_off' WHEN 'prepared' THEN 'prepared' WHEN 'reopen_prepared' THEN 'signed_off'
        ELSE 'open' END AS state,
    event, event_at, actor, run_id, reason, prepared_event_no, prepared_by
FROM sign_off_event
ORDER BY institution_id, custody_account_id, business_date, event_no DESC
"""


def upgrade() -> None:
    """Create the tables, then the triggers that make them append-only, then the views."""
    _create_tables()
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)
    op.execute(DISCREPANCY_STATE)
    op.execute(SIGN_OFF_STATE)


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    op.execute("DROP VIEW sign_off_state")
    op.execute("DROP VIEW discrepancy_state")
    for table in reversed(TABLES):
        op.drop_table(table)


def _create_tables() -> None:
    op.create_table(
        "statement_file",
        sa.Column(
            "statement_file_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="our number of the arrival"
        ),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name the sender gave it"),
        sa.Column("sender_bank", sa.Text(), nullable=False, comment="bank that delivered it"),
        sa.Column("received_by", sa.Text(), nullable=False, comment="user or job that took it in"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, comment="when it arrived (UTC instant)"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the bytes as received"),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False, comment="number of bytes"),
        sa.Column(
            "content", sa.LargeBinary(), nullable=True, comment="the bytes as received; null when same_bytes_as holds them"
        ),
        sa.Column("same_bytes_as", sa.BigInteger(), nullable=True, comment="the first arrival of the very same bytes"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("(content IS NULL) = (same_bytes_as IS NOT NULL)", name=op.f("ck_statement_file_bytes_kept_once")),
        sa.CheckConstraint("content IS NULL OR sha256 = sha256(content)", name=op.f("ck_statement_file_sha256_is_of_content")),
        sa.CheckConstraint("octet_length(sha256) = 32", name=op.f("ck_statement_file_sha256_length")),
        sa.ForeignKeyConstraint(
            ["same_bytes_as"], ["statement_file.statement_file_id"], name=op.f("fk_statement_file_same_bytes_as_statement_file")
        ),
        sa.PrimaryKeyConstraint("statement_file_id", name=op.f("pk_statement_file")),
        comment="every file a bank delivered, as received, also the refused ones",
        info={"append_only": True},
    )
    op.create_index(
        "uq_statement_file_first", "statement_file", ["sha256"], unique=True, postgresql_where=sa.text("content IS NOT NULL")
    )
    op.create_table(
        "statement_file_reading",
        sa.Column("statement_file_id", sa.BigInteger(), nullable=False, comment="the file"),
        sa.Column("accepted", sa.Boolean(), nullable=False, comment="whether every statement in it counts or waits"),
        sa.Column("format", sa.Text(), nullable=False, comment="mt940, camt, delimited ..."),
        sa.Column("profile", sa.Text(), nullable=True, comment="layout it was read by"),
        sa.Column("encoding", sa.Text(), nullable=True, comment="encoding it was read in"),
        sa.Column(
            "content_digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of what it says, whatever name, format or encoding; null if unread",
        ),
        sa.Column("same_content_as", sa.BigInteger(), nullable=True, comment="an earlier file that says the same"),
        sa.Column(
            "statements",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what happened to each statement: account, day, outcome, reasons",
        ),
        sa.Column(
            "findings",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="what is wrong inside the file: severity, code, line, field, message",
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.ForeignKeyConstraint(
            ["same_content_as"],
            ["statement_file.statement_file_id"],
            name=op.f("fk_statement_file_reading_same_content_as_statement_file"),
        ),
        sa.ForeignKeyConstraint(
            ["statement_file_id"],
            ["statement_file.statement_file_id"],
            name=op.f("fk_statement_file_reading_statement_file_id_statement_file"),
        ),
        sa.PrimaryKeyConstraint("statement_file_id", name=op.f("pk_statement_file_reading")),
        comment="what was read in a file and what became of it",
        info={"append_only": True},
    )
    op.create_index(op.f("ix_statement_file_reading_content_digest"), "statement_file_reading", ["content_digest"], unique=False)
    op.create_table(
        "statement",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "statement_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="our number of the statement"
        ),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("statement_file_id", sa.BigInteger(), nullable=False, comment="the file it came in"),
        sa.Column("position_in_file", sa.Integer(), nullable=False, comment="0-based index in the file"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day it closes (business day, Asia/Shanghai)"),
        sa.Column("bank_statement_id", sa.Text(), nullable=True, comment="the bank's own id of it"),
        sa.Column("sequence", sa.Text(), nullable=True, comment="the bank's number of it"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column("opening_minor_units", sa.BigInteger(), nullable=False, comment="opening balance, in minor units (fen)"),
        sa.Column("closing_minor_units", sa.BigInteger(), nullable=False, comment="closing balance, in minor units (fen)"),
        sa.Column("line_count", sa.Integer(), nullable=False, comment="number of booked lines"),
        sa.Column("in_minor_units", sa.BigInteger(), nullable=False, comment="sum of lines IN, in minor units (fen)"),
        sa.Column("out_minor_units", sa.BigInteger(), nullable=False, comment="sum of lines OUT, in minor units (fen)"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "in_minor_units >= 0 AND out_minor_units >= 0 AND line_count >= 0", name=op.f("ck_statement_sums_not_negative")
        ),
        sa.CheckConstraint(
            "opening_minor_units + in_minor_units - out_minor_units = closing_minor_units",
            name=op.f("ck_statement_balance_identity"),
        ),
        sa.ForeignKeyConstraint(
            ["statement_file_id"],
            ["statement_file.statement_file_id"],
            name=op.f("fk_statement_statement_file_id_statement_file"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "statement_id", name=op.f("pk_statement")),
        sa.UniqueConstraint(
            "statement_file_id", "position_in_file", name=op.f("uq_statement_statement_file_id_position_in_file")
        ),
        comment="statements whose own figures agree; one counts once it continues the one before (statement_counted)",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_statement_institution_id_custody_account_id_business_date"),
        "statement",
        ["institution_id", "custody_account_id", "business_date"],
        unique=False,
    )
    op.create_table(
        "statement_counted",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("statement_id", sa.BigInteger(), nullable=False, comment="the statement that counts"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day it closes (business day, Asia/Shanghai)"),
        sa.Column(
            "link", sa.Integer(), nullable=False, comment="1 for the account's first statement, then 2, 3 ... without a gap"
        ),
        sa.Column("previous_link", sa.Integer(), nullable=True, comment="link - 1; null for the first"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("link >= 1 AND (link = 1) = (previous_link IS NULL)", name=op.f("ck_statement_counted_first_link")),
        sa.CheckConstraint("previous_link IS NULL OR previous_link = link - 1", name=op.f("ck_statement_counted_unbroken")),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id", "previous_link"],
            ["statement_counted.institution_id", "statement_counted.custody_account_id", "statement_counted.link"],
            name=op.f("fk_statement_counted_institution_id_custody_account_id_previous_link_statement_counted"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name=op.f("fk_statement_counted_institution_id_statement_id_statement"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "statement_id", name=op.f("pk_statement_counted")),
        sa.UniqueConstraint(
            "institution_id",
            "custody_account_id",
            "business_date",
            name=op.f("uq_statement_counted_institution_id_custody_account_id_business_date"),
        ),
        sa.UniqueConstraint(
            "institution_id",
            "custody_account_id",
            "link",
            name=op.f("uq_statement_counted_institution_id_custody_account_id_link"),
        ),
        comment="the unbroken chain of statements of an account; lines count from here on",
        info={"append_only": True},
    )
    op.create_table(
        "statement_line",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "line_id",
            sa.Text(),
            nullable=False,
            comment="digest of account, booking date, direction, amount, bank reference or text, and ordinal among equals",
        ),
        sa.Column("statement_id", sa.BigInteger(), nullable=False, comment="the statement that reports it"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("position", sa.Integer(), nullable=False, comment="0-based place in the statement, oldest first"),
        sa.Column(
            "ordinal", sa.Integer(), nullable=False, comment="1 for the first line of this content in the account, then 2, 3 ..."
        ),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="day the bank booked it (business day, Asia/Shanghai)"),
        sa.Column("value_date", sa.Date(), nullable=True, comment="day it counts as funds (business day, Asia/Shanghai)"),
        sa.Column("direction", sa.Text(), nullable=False, comment="IN: into the custody account; OUT: out of it"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="amount, in minor units (fen)"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column("bank_reference", sa.Text(), nullable=True, comment="the bank's own id of the line"),
        sa.Column("line_references", sa.ARRAY(sa.Text()), nullable=False, comment="every reference a matcher may use"),
        sa.Column("counterparty_name", sa.Text(), nullable=True, comment="who paid or was paid"),
        sa.Column("counterparty_account", sa.Text(), nullable=True, comment="their account"),
        sa.Column("description", sa.Text(), nullable=True, comment="the bank's text"),
        sa.Column("transaction_code", sa.Text(), nullable=True, comment="the bank's code for the kind of movement"),
        sa.Column("reversal", sa.Boolean(), nullable=False, comment="the bank marks it as a reversal"),
        sa.Column(
            "running_balance_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="the bank's balance after it, in minor units (fen)",
        ),
        sa.Column("file_line", sa.Integer(), nullable=False, comment="1-based line in the file"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("direction IN ('IN', 'OUT')", name=op.f("ck_statement_line_direction_known")),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_statement_line_amount_positive")),
        sa.CheckConstraint("ordinal >= 1", name=op.f("ck_statement_line_ordinal_from_one")),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name=op.f("fk_statement_line_institution_id_statement_id_statement"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "line_id", name=op.f("pk_statement_line")),
        sa.UniqueConstraint(
            "institution_id", "statement_id", "position", name=op.f("uq_statement_line_institution_id_statement_id_position")
        ),
        comment="movements the banks reported as booked",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_statement_line_institution_id_custody_account_id_booking_date"),
        "statement_line",
        ["institution_id", "custody_account_id", "booking_date"],
        unique=False,
    )
    op.create_table(
        "reconciliation_run",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="our number of the run"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day it reconciled (business day, Asia/Shanghai)"),
        sa.Column("rules_version", sa.Text(), nullable=False, comment="version of the matching rules"),
        sa.Column("input_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the lines and items it compared"),
        sa.Column("output_hash", sa.Text(), nullable=False, comment="SHA-256 over the matches and discrepancies it found"),
        sa.Column("statement_id", sa.BigInteger(), nullable=True, comment="the newest counted statement it saw"),
        sa.Column(
            "opening_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="the day's opening balance at the bank, in minor units (fen)",
        ),
        sa.Column(
            "closing_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="the bank's closing balance it compared with, in minor units (fen)",
        ),
        sa.Column(
            "ledger_cash_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="custody cash in the books after it, in minor units (fen)",
        ),
        sa.Column(
            "open_lines_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="bank lines not matched yet, IN less OUT, in minor units (fen)",
        ),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=False, comment="when it ran (UTC instant)"),
        sa.Column("actor", sa.Text(), nullable=False, comment="user or job that ran it"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("output_hash ~ '^[0-9a-f]{64}$'", name=op.f("ck_reconciliation_run_output_hash_form")),
        sa.CheckConstraint("octet_length(input_digest) = 32", name=op.f("ck_reconciliation_run_input_digest_length")),
        sa.PrimaryKeyConstraint("institution_id", "run_id", name=op.f("pk_reconciliation_run")),
        comment="comparisons of one custody account's bank side with its book side, up to one day",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_reconciliation_run_institution_id_custody_account_id_business_date"),
        "reconciliation_run",
        ["institution_id", "custody_account_id", "business_date"],
        unique=False,
    )
    op.create_table(
        "match",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("match_id", sa.Text(), nullable=False, comment="digest of the rule and the sorted members"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="the run that found it; null for a person's decision"),
        sa.Column("rule", sa.Text(), nullable=False, comment="rule that proved it, or the act that resolved it"),
        sa.Column("rules_version", sa.Text(), nullable=False, comment="version of the matching rules"),
        sa.Column("explanation", sa.Text(), nullable=False, comment="why, in words"),
        sa.Column("matched_by", sa.Text(), nullable=False, comment="user or job"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "rule IN ('reference', 'group_total', 'original_reference', 'reference_in_text', 'reversal_pair', 'post_to_suspense', 'accept_late', 'match_manually', 'reverse', 'book_bank_interest', 'book_bank_charge', 'claim_from_bank', 'charge_fee_to_institution')",
            name=op.f("ck_match_rule_known"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "run_id"],
            ["reconciliation_run.institution_id", "reconciliation_run.run_id"],
            name=op.f("fk_match_institution_id_run_id_reconciliation_run"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "match_id", name=op.f("pk_match")),
        comment="bank lines and book items judged the same movement, or a line a person has disposed of",
        info={"append_only": True},
    )
    op.create_index(op.f("ix_match_institution_id_run_id"), "match", ["institution_id", "run_id"], unique=False)
    op.create_table(
        "match_bank_line",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("line_id", sa.Text(), nullable=False, comment="the bank line; consumed at most once"),
        sa.Column("match_id", sa.Text(), nullable=False, comment="the match"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="its amount, in minor units (fen)"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_match_bank_line_amount_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "line_id"],
            ["statement_line.institution_id", "statement_line.line_id"],
            name=op.f("fk_match_bank_line_institution_id_line_id_statement_line"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "match_id"],
            ["match.institution_id", "match.match_id"],
            name=op.f("fk_match_bank_line_institution_id_match_id_match"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "line_id", name=op.f("pk_match_bank_line")),
        comment="bank lines of matches",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_match_bank_line_institution_id_match_id"), "match_bank_line", ["institution_id", "match_id"], unique=False
    )
    op.create_table(
        "match_book_item",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("item_id", sa.Uuid(), nullable=False, comment="the open item; consumed at most once"),
        sa.Column("match_id", sa.Text(), nullable=False, comment="the match"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="its amount, in minor units (fen)"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_match_book_item_amount_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "item_id"],
            ["open_item.institution_id", "open_item.item_id"],
            name=op.f("fk_match_book_item_institution_id_item_id_open_item"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "match_id"],
            ["match.institution_id", "match.match_id"],
            name=op.f("fk_match_book_item_institution_id_match_id_match"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "item_id", name=op.f("pk_match_book_item")),
        comment="book items of matches",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_match_book_item_institution_id_match_id"), "match_book_item", ["institution_id", "match_id"], unique=False
    )
    op.create_table(
        "discrepancy",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("discrepancy_id", sa.Text(), nullable=False, comment="digest of the kind and the lines or items it is about"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("kind", sa.Text(), nullable=False, comment="what could not be explained"),
        sa.Column("since", sa.Date(), nullable=False, comment="the day it dates from (business day, Asia/Shanghai)"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="what is affected, in minor units (fen)"),
        sa.Column("difference_minor_units", sa.BigInteger(), nullable=False, comment="bank minus books, in minor units (fen)"),
        sa.Column("line_ids", sa.ARRAY(sa.Text()), nullable=False, comment="bank lines it is about"),
        sa.Column("item_ids", sa.ARRAY(sa.Uuid()), nullable=False, comment="open items it is about"),
        sa.Column("statement_file_id", sa.BigInteger(), nullable=True, comment="the file it is about"),
        sa.Column("explanation", sa.Text(), nullable=False, comment="why, in words"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "kind IN ('MISSING_IN_BANK', 'MISSING_IN_LEDGER', 'UNIDENTIFIED_RECEIPT', 'UNEXPLAINED_PAYMENT', 'AMOUNT_MISMATCH', 'DIRECTION_MISMATCH', 'CURRENCY_MISMATCH', 'DUPLICATE_BANK', 'DUPLICATE_LEDGER', 'FEE_VARIANCE', 'LATE', 'AMBIGUOUS', 'BANK_INTEREST', 'BANK_CHARGE', 'RETURNED', 'STATEMENT_MISSING', 'STATEMENT_GAP', 'CONTINUITY_BREAK', 'BALANCE_BREAK', 'RESTATED', 'DUPLICATE_FILE', 'CASH_DIFFERENCE', 'COVERAGE_SHORTFALL')",
            name=op.f("ck_discrepancy_kind_known"),
        ),
        sa.CheckConstraint("amount_minor_units >= 0", name=op.f("ck_discrepancy_amount_not_negative")),
        sa.ForeignKeyConstraint(
            ["statement_file_id"],
            ["statement_file.statement_file_id"],
            name=op.f("fk_discrepancy_statement_file_id_statement_file"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "discrepancy_id", name=op.f("pk_discrepancy")),
        comment="differences no rule could explain; their state is read from discrepancy_event",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_discrepancy_institution_id_custody_account_id_since"),
        "discrepancy",
        ["institution_id", "custody_account_id", "since"],
        unique=False,
    )
    op.create_table(
        "discrepancy_event",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("discrepancy_id", sa.Text(), nullable=False, comment="the discrepancy"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="1, 2, 3 ... within the discrepancy"),
        sa.Column("event", sa.Text(), nullable=False, comment="what happened"),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day it belongs to (business day, Asia/Shanghai)"),
        sa.Column("actor", sa.Text(), nullable=False, comment="user or job"),
        sa.Column("owner", sa.Text(), nullable=True, comment="who works on it from now on (assigned)"),
        sa.Column("act", sa.Text(), nullable=True, comment="the proposed resolution (prepared)"),
        sa.Column("item_ids", sa.ARRAY(sa.Uuid()), nullable=True, comment="items the proposal would clear or reverse (prepared)"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why, in words"),
        sa.Column("prepared_event_no", sa.Integer(), nullable=True, comment="the proposal decided on (approved, rejected)"),
        sa.Column("prepared_by", sa.Text(), nullable=True, comment="who proposed it (approved, rejected)"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="the run that found or cleared it"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "act IN ('post_to_suspense', 'accept_late', 'match_manually', 'reverse', 'book_bank_interest', 'book_bank_charge', 'claim_from_bank', 'charge_fee_to_institution', 'explain')",
            name=op.f("ck_discrepancy_event_act_known"),
        ),
        sa.CheckConstraint(
            "event <> 'approved' OR prepared_by <> actor", name=op.f("ck_discrepancy_event_approver_is_not_preparer")
        ),
        sa.CheckConstraint("event <> 'prepared' OR act IS NOT NULL", name=op.f("ck_discrepancy_event_proposal_names_an_act")),
        sa.CheckConstraint("event <> 'rejected' OR reason IS NOT NULL", name=op.f("ck_discrepancy_event_rejection_says_why")),
        sa.CheckConstraint(
            "event IN ('opened', 'assigned', 'commented', 'prepared', 'rejected', 'approved', 'auto_cleared', 'reopened')",
            name=op.f("ck_discrepancy_event_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('approved', 'rejected') OR (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL AND prepared_event_no < event_no)",
            name=op.f("ck_discrepancy_event_decides_on_a_proposal"),
        ),
        sa.CheckConstraint("event_no >= 1", name=op.f("ck_discrepancy_event_event_no_from_one")),
        sa.ForeignKeyConstraint(
            ["institution_id", "discrepancy_id", "prepared_event_no", "prepared_by"],
            [
                "discrepancy_event.institution_id",
                "discrepancy_event.discrepancy_id",
                "discrepancy_event.event_no",
                "discrepancy_event.actor",
            ],
            name="fk_discrepancy_event_prepared_by_its_actor",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "discrepancy_id"],
            ["discrepancy.institution_id", "discrepancy.discrepancy_id"],
            name=op.f("fk_discrepancy_event_institution_id_discrepancy_id_discrepancy"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "discrepancy_id", "event_no", name=op.f("pk_discrepancy_event")),
        sa.UniqueConstraint(
            "institution_id",
            "discrepancy_id",
            "event_no",
            "actor",
            name=op.f("uq_discrepancy_event_institution_id_discrepancy_id_event_no_actor"),
        ),
        comment="what happened to each discrepancy",
        info={"append_only": True},
    )
    op.create_table(
        "run_discrepancy",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("run_id", sa.BigInteger(), nullable=False, comment="the run"),
        sa.Column("discrepancy_id", sa.Text(), nullable=False, comment="what it found open"),
        sa.Column("kind", sa.Text(), nullable=False, comment="what could not be explained"),
        sa.Column("side", sa.Text(), nullable=False, comment="bank, book or both"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="what is affected, in minor units (fen)"),
        sa.Column("difference_minor_units", sa.BigInteger(), nullable=False, comment="bank minus books, in minor units (fen)"),
        sa.Column("line_ids", sa.Text(), nullable=False, comment="bank lines, joined by |"),
        sa.Column("item_ids", sa.Text(), nullable=False, comment="open items, joined by |"),
        sa.Column(
            "suggested_item_ids",
            sa.Text(),
            nullable=True,
            comment="an item of the same amount that was due, for a person to judge",
        ),
        sa.Column("explanation", sa.Text(), nullable=False, comment="why, in words"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "discrepancy_id"],
            ["discrepancy.institution_id", "discrepancy.discrepancy_id"],
            name=op.f("fk_run_discrepancy_institution_id_discrepancy_id_discrepancy"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "run_id"],
            ["reconciliation_run.institution_id", "reconciliation_run.run_id"],
            name=op.f("fk_run_discrepancy_institution_id_run_id_reconciliation_run"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "run_id", "discrepancy_id", name=op.f("pk_run_discrepancy")),
        comment="what each run found open, as it saw it",
        info={"append_only": True},
    )
    op.create_table(
        "sign_off_event",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("business_date", sa.Date(), nullable=False, comment="the day signed off (business day, Asia/Shanghai)"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="1, 2, 3 ... within the account and day"),
        sa.Column("event", sa.Text(), nullable=False, comment="prepared, approved, reopen_prepared, reopened"),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="the run accepted"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why (reopening)"),
        sa.Column("prepared_event_no", sa.Integer(), nullable=True, comment="the proposal approved"),
        sa.Column("prepared_by", sa.Text(), nullable=True, comment="who proposed it"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "(event IN ('approved', 'reopened')) = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)",
            name=op.f("ck_sign_off_event_decides_on_a_proposal"),
        ),
        sa.CheckConstraint("event <> 'reopen_prepared' OR reason IS NOT NULL", name=op.f("ck_sign_off_event_reopening_says_why")),
        sa.CheckConstraint(
            "event IN ('prepared', 'approved', 'reopen_prepared', 'reopened')", name=op.f("ck_sign_off_event_event_known")
        ),
        sa.CheckConstraint(
            "event NOT IN ('prepared', 'approved') OR run_id IS NOT NULL", name=op.f("ck_sign_off_event_accepts_a_run")
        ),
        sa.CheckConstraint(
            "prepared_by IS NULL OR prepared_by <> actor", name=op.f("ck_sign_off_event_approver_is_not_preparer")
        ),
        sa.CheckConstraint(
            "prepared_event_no IS NULL OR prepared_event_no < event_no", name=op.f("ck_sign_off_event_after_its_proposal")
        ),
        sa.ForeignKeyConstraint(
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
        sa.ForeignKeyConstraint(
            ["institution_id", "run_id"],
            ["reconciliation_run.institution_id", "reconciliation_run.run_id"],
            name=op.f("fk_sign_off_event_institution_id_run_id_reconciliation_run"),
        ),
        sa.PrimaryKeyConstraint(
            "institution_id", "custody_account_id", "business_date", "event_no", name=op.f("pk_sign_off_event")
        ),
        sa.UniqueConstraint(
            "institution_id",
            "custody_account_id",
            "business_date",
            "event_no",
            "actor",
            name=op.f("uq_sign_off_event_institution_id_custody_account_id_business_date_event_no_actor"),
        ),
        comment="who prepared and who approved each day of each custody account, and what reopened it",
        info={"append_only": True},
    )
