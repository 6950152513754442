"""Statements held back until two persons decide, and restated statements as new versions beside the old ones.

New tables, views and guards. An older program beside it goes on reading the first versions: stop it before the first restated
statement is approved.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0022_quarantine"
down_revision = "0021_journal_archive"
branch_labels = None
depends_on = None

TABLES = ("quarantined_statement", "quarantine_event", "statement_version", "statement_line_kept", "match_undone")

VIEWS = (
    # Functions that are inlined, so that an index serves them as it serves the tables: no settings, no rights of their own.
    """
    CREATE FUNCTION statements_in_force(known_at timestamptz) RETURNS TABLE (institution_id integer, statement_id bigint,
        custody_account_id bigint, business_date date, link integer, first_statement_id bigint, version integer)
    LANGUAGE sql STABLE AS $$
        SELECT c.institution_id, c.statement_id, c.custody_account_id, c.business_date, c.link, c.statement_id, 1
        FROM statement_counted c
        WHERE c.recorded_at <= known_at AND NOT EXISTS (
            SELECT FROM statement_version v
            WHERE v.institution_id = c.institution_id AND v.first_statement_id = c.statement_id AND v.recorded_at <= known_at)
        UNION ALL
        SELECT c.institution_id, v.statement_id, c.custody_account_id, c.business_date, c.link, c.statement_id, v.version
        FROM statement_counted c
        JOIN statement_version v ON v.institution_id = c.institution_id AND v.first_statement_id = c.statement_id
        WHERE c.recorded_at <= known_at AND v.recorded_at <= known_at AND NOT EXISTS (
            SELECT FROM statement_version later
            WHERE later.institution_id = v.institution_id AND later.first_statement_id = v.first_statement_id
                AND later.version > v.version AND later.recorded_at <= known_at)
    $$
    """,
    """
    CREATE FUNCTION lines_in_force(known_at timestamptz) RETURNS TABLE (institution_id integer, line_id text,
        custody_account_id bigint, statement_id bigint, business_date date, link integer, "position" integer,
        booking_date date, value_date date, direction text, amount_minor_units bigint, currency text, bank_reference text,
        line_references text[], counterparty_name text, counterparty_account text, description text, transaction_code text,
        reversal boolean)
    LANGUAGE sql STABLE AS $$
        SELECT l.institution_id, l.line_id, l.custody_account_id, f.statement_id, f.business_date, f.link, l.position,
            l.booking_date, l.value_date, l.direction, l.amount_minor_units, l.currency, l.bank_reference, l.line_references,
            l.counterparty_name, l.counterparty_account, l.description, l.transaction_code, l.reversal
        FROM statement_line l
        JOIN statements_in_force(known_at) f ON f.institution_id = l.institution_id AND f.statement_id = l.statement_id
        UNION ALL
        SELECT k.institution_id, k.line_id, k.custody_account_id, f.statement_id, f.business_date, f.link, k.position,
            l.booking_date, l.value_date, l.direction, l.amount_minor_units, l.currency, l.bank_reference, l.line_references,
            l.counterparty_name, l.counterparty_account, l.description, l.transaction_code, l.reversal
        FROM statement_line_kept k
        JOIN statements_in_force(known_at) f ON f.institution_id = k.institution_id AND f.statement_id = k.statement_id
        JOIN statement_line l ON l.institution_id = k.institution_id AND l.line_id = k.line_id
    $$
    """,
    "CREATE VIEW statement_in_force AS SELECT * FROM statements_in_force('infinity')",
    """COMMENT ON VIEW statement_in_force IS
       'the chain of statements that count, each by the newest version two persons have approved'""",
    "CREATE VIEW line_in_force AS SELECT * FROM lines_in_force('infinity')",
    "COMMENT ON VIEW line_in_force IS 'bank lines that count: those of the statements in force, repeated ones included'",
    """
    CREATE VIEW quarantine_state AS
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
        END AS state
    FROM quarantined_statement q
    JOIN statement_file f USING (statement_file_id)
    LEFT JOIN LATERAL (
        SELECT * FROM quarantine_event e WHERE e.quarantine_id = q.quarantine_id ORDER BY event_no DESC LIMIT 1
    ) e ON true
    LEFT JOIN quarantine_event p ON p.quarantine_id = q.quarantine_id
        AND p.event_no = CASE e.event WHEN 'prepared' THEN e.event_no WHEN 'approved' THEN e.prepared_event_no END
    """,
    """COMMENT ON VIEW quarantine_state IS
       'where everything held back stands: held, prepared, released, rejected, or overtaken by another file that said the same'""",
)

GUARDS = (
    """
    CREATE FUNCTION refuse_unprepared_release() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        last record;
        why text;
    BEGIN
        SELECT event_no, event, plan_digest INTO last FROM quarantine_event e
        WHERE e.quarantine_id = NEW.quarantine_id ORDER BY event_no DESC LIMIT 1;
        IF NEW.event_no <> coalesce(last.event_no, 0) + 1 THEN
            why := format('event %s does not follow event %s', NEW.event_no, coalesce(last.event_no, 0));
        ELSIF last.event = 'approved' THEN
            why := 'it was let through already';
        ELSIF NEW.event = 'approved' AND (last.event IS DISTINCT FROM 'prepared' OR NEW.prepared_event_no <> last.event_no) THEN
            why := 'it approves something that is not the newest proposal';
        ELSIF NEW.event = 'approved' AND NEW.plan_digest <> last.plan_digest THEN
            why := 'it approves something else than was proposed';
        END IF;
        IF why IS NOT NULL THEN
            RAISE EXCEPTION '% of quarantine % refused: %', NEW.event, NEW.quarantine_id, why
                USING ERRCODE = 'restrict_violation', TABLE = 'quarantine_event';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER quarantine_event_guard BEFORE INSERT ON quarantine_event
        FOR EACH ROW EXECUTE FUNCTION refuse_unprepared_release()
    """,
    "ALTER TABLE quarantine_event ENABLE ALWAYS TRIGGER quarantine_event_guard",
    """
    CREATE FUNCTION refuse_wrong_version() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        newest record;
        why text;
    BEGIN
        SELECT s.statement_id, 1 + count(v.statement_id) AS versions,
            coalesce((array_agg(v.statement_id ORDER BY v.version DESC))[1], s.statement_id) AS in_force,
            s.custody_account_id, s.business_date INTO newest
        FROM statement s
        LEFT JOIN statement_version v ON v.institution_id = s.institution_id AND v.first_statement_id = s.statement_id
        WHERE s.institution_id = NEW.institution_id AND s.statement_id = NEW.first_statement_id
        GROUP BY s.institution_id, s.statement_id, s.custody_account_id, s.business_date;
        IF NEW.version <> newest.versions + 1 OR NEW.replaces_statement_id <> newest.in_force THEN
            why := format('version %s does not follow version %s', NEW.version, newest.versions);
        ELSIF NOT EXISTS (
            SELECT FROM statement s
            WHERE s.institution_id = NEW.institution_id AND s.statement_id = NEW.statement_id
                AND (s.custody_account_id, s.business_date) = (newest.custody_account_id, newest.business_date)
                AND (NEW.custody_account_id, NEW.business_date) = (newest.custody_account_id, newest.business_date)) THEN
            why := 'it is of another account or day';
        ELSIF NOT EXISTS (
            SELECT FROM quarantined_statement q
            WHERE q.quarantine_id = NEW.quarantine_id AND q.gate = 'restated' AND q.held_account_id = NEW.custody_account_id) THEN
            why := 'the proposal it names restates nothing of this account';
        END IF;
        IF why IS NOT NULL THEN
            RAISE EXCEPTION 'version of statement % refused: %', NEW.first_statement_id, why
                USING ERRCODE = 'restrict_violation', TABLE = 'statement_version';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER statement_version_guard BEFORE INSERT ON statement_version
        FOR EACH ROW EXECUTE FUNCTION refuse_wrong_version()
    """,
    "ALTER TABLE statement_version ENABLE ALWAYS TRIGGER statement_version_guard",
)


def upgrade() -> None:
    """Create the tables, the triggers that make them append-only, the guards and the views."""
    op.add_column(
        "statement",
        sa.Column(
            "again",
            sa.Integer(),
            nullable=True,
            comment="2, 3 ... when its lines were opened again although its own figures stand; else null",
        ),
    )
    op.drop_constraint(op.f("uq_statement_statement_file_id_position_in_file"), "statement", type_="unique")
    op.create_index(
        "uq_statement_place", "statement", ["statement_file_id", "position_in_file"], unique=True,
        postgresql_where=sa.text("again IS NULL"),
    )  # fmt: skip
    op.create_index(
        "uq_statement_place_again", "statement", ["statement_file_id", "position_in_file", "again"], unique=True,
        postgresql_where=sa.text("again IS NOT NULL"),
    )  # fmt: skip
    _create_tables()
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)
    for statement in (*VIEWS, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    for view in ("quarantine_state", "line_in_force", "statement_in_force"):
        op.execute(f"DROP VIEW {view}")
    for function in ("lines_in_force(timestamptz)", "statements_in_force(timestamptz)"):
        op.execute(f"DROP FUNCTION {function}")
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in ("refuse_wrong_version", "refuse_unprepared_release"):
        op.execute(f"DROP FUNCTION {function}()")
    op.drop_index("uq_statement_place_again", "statement")
    op.drop_index("uq_statement_place", "statement")
    op.create_unique_constraint(
        op.f("uq_statement_statement_file_id_position_in_file"), "statement", ["statement_file_id", "position_in_file"]
    )
    op.drop_column("statement", "again")


def _create_tables() -> None:
    op.create_table(
        "quarantined_statement",
        sa.Column(
            "quarantine_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="our number of what is held back"
        ),
        sa.Column(
            "statement_file_id",
            sa.BigInteger(),
            nullable=False,
            comment="the file it came in; its bytes are read again when it is let through",
        ),
        sa.Column("position_in_file", sa.Integer(), nullable=False, comment="0-based index in the file"),
        sa.Column("gate", sa.Text(), nullable=False, comment="what holds it back"),
        sa.Column("account", sa.Text(), nullable=True, comment="the account as the file names it"),
        sa.Column(
            "held_account_id",
            sa.BigInteger(),
            nullable=True,
            comment="the custody account it would count for, where one is known",
        ),
        sa.Column("business_date", sa.Date(), nullable=True, comment="the day it closes (business day, Asia/Shanghai)"),
        sa.Column(
            "statement_digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of its balances and lines: the same again is this one",
        ),
        sa.Column("opening_minor_units", sa.BigInteger(), nullable=True, comment="opening balance, in minor units (fen)"),
        sa.Column("closing_minor_units", sa.BigInteger(), nullable=True, comment="closing balance, in minor units (fen)"),
        sa.Column("reasons", sa.ARRAY(sa.Text()), nullable=False, comment="why, in words"),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False, comment="when it was held back (UTC instant)"),
        *evidence_columns(),
        sa.CheckConstraint(
            "gate IN ('restated', 'sequence', 'unproved', 'wrong_sender')", name=op.f("ck_quarantined_statement_gate_known")
        ),
        sa.CheckConstraint("cardinality(reasons) > 0", name=op.f("ck_quarantined_statement_says_why")),
        sa.CheckConstraint("octet_length(statement_digest) = 32", name=op.f("ck_quarantined_statement_digest_length")),
        sa.ForeignKeyConstraint(
            ["statement_file_id"],
            ["statement_file.statement_file_id"],
            name=op.f("fk_quarantined_statement_statement_file_id_statement_file"),
        ),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantined_statement")),
        sa.UniqueConstraint(
            "quarantine_id", "statement_file_id", name=op.f("uq_quarantined_statement_quarantine_id_statement_file_id")
        ),
        sa.UniqueConstraint(
            "statement_file_id",
            "position_in_file",
            "gate",
            name=op.f("uq_quarantined_statement_statement_file_id_position_in_file_gate"),
        ),
        comment="statements held back by a gate that two persons may overrule",
    )
    op.create_index(
        op.f("ix_quarantined_statement_held_account_id_business_date"),
        "quarantined_statement",
        ["held_account_id", "business_date"],
        unique=False,
    )
    op.create_index(
        op.f("ix_quarantined_statement_statement_digest"), "quarantined_statement", ["statement_digest"], unique=False
    )
    op.create_table(
        "quarantine_event",
        sa.Column("quarantine_id", sa.BigInteger(), nullable=False, comment="what is held back"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="1, 2, 3 ... within it"),
        sa.Column("statement_file_id", sa.BigInteger(), nullable=False, comment="the file it came in"),
        sa.Column("event", sa.Text(), nullable=False, comment="what happened"),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why, in words"),
        sa.Column("prepared_event_no", sa.Integer(), nullable=True, comment="the proposal approved"),
        sa.Column("prepared_by", sa.Text(), nullable=True, comment="who proposed it (approved)"),
        sa.Column(
            "together_with",
            sa.ARRAY(sa.BigInteger()),
            nullable=True,
            comment="everything the proposal lets through at once, itself too (prepared)",
        ),
        sa.Column(
            "plan_digest",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of what letting it through would do (prepared, approved)",
        ),
        *evidence_columns(),
        sa.CheckConstraint(
            "(event = 'approved') = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)",
            name=op.f("ck_quarantine_event_approves_a_proposal"),
        ),
        sa.CheckConstraint(
            "(event = 'prepared') = (together_with IS NOT NULL) AND (together_with IS NULL OR quarantine_id = ANY (together_with))",
            name=op.f("ck_quarantine_event_names_what_it_lets_through"),
        ),
        sa.CheckConstraint(
            "(event = 'rejected') = (plan_digest IS NULL)", name=op.f("ck_quarantine_event_says_what_it_would_do")
        ),
        sa.CheckConstraint("btrim(reason) <> ''", name=op.f("ck_quarantine_event_reason_given")),
        sa.CheckConstraint("event IN ('prepared', 'approved', 'rejected')", name=op.f("ck_quarantine_event_event_known")),
        sa.CheckConstraint("event_no >= 1", name=op.f("ck_quarantine_event_event_no_from_one")),
        sa.CheckConstraint(
            "prepared_by IS NULL OR prepared_by <> actor", name=op.f("ck_quarantine_event_approver_is_not_preparer")
        ),
        sa.CheckConstraint(
            "prepared_event_no IS NULL OR prepared_event_no < event_no", name=op.f("ck_quarantine_event_after_its_proposal")
        ),
        sa.ForeignKeyConstraint(
            ["quarantine_id", "prepared_event_no", "prepared_by"],
            ["quarantine_event.quarantine_id", "quarantine_event.event_no", "quarantine_event.actor"],
            name="fk_quarantine_event_prepared_by_its_actor",
        ),
        sa.ForeignKeyConstraint(
            ["quarantine_id", "statement_file_id"],
            ["quarantined_statement.quarantine_id", "quarantined_statement.statement_file_id"],
            name="fk_quarantine_event_of_its_file",
        ),
        sa.PrimaryKeyConstraint("quarantine_id", "event_no", name=op.f("pk_quarantine_event")),
        sa.UniqueConstraint("quarantine_id", "event_no", "actor", name=op.f("uq_quarantine_event_quarantine_id_event_no_actor")),
        sa.UniqueConstraint("quarantine_id", "event_no", "event", "actor", "prepared_by", name="uq_quarantine_event_decision"),
        comment="who proposed to let through what is held back, and who approved or turned it down",
    )
    op.create_table(
        "statement_version",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("statement_id", sa.BigInteger(), nullable=False, comment="the statement that is the new version"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column(
            "business_date",
            sa.Date(),
            nullable=False,
            comment="the day it closes, that of every version (business day, Asia/Shanghai)",
        ),
        sa.Column(
            "first_statement_id",
            sa.BigInteger(),
            nullable=False,
            comment="the first version; it stands in the chain for all of them",
        ),
        sa.Column("version", sa.Integer(), nullable=False, comment="2, 3 ...; the first version has no row here"),
        sa.Column("replaces_statement_id", sa.BigInteger(), nullable=False, comment="the version before"),
        sa.Column("quarantine_id", sa.BigInteger(), nullable=False, comment="the proposal two persons decided on"),
        sa.Column("approved_event_no", sa.Integer(), nullable=False, comment="the event by which the second person approved it"),
        sa.Column("approval", sa.Text(), nullable=False, comment="always 'approved': the foreign key admits no other event"),
        sa.Column("prepared_by", sa.Text(), nullable=False, comment="who proposed it"),
        sa.Column("approved_by", sa.Text(), nullable=False, comment="who approved it: another person"),
        *evidence_columns(),
        sa.CheckConstraint(
            "approval = 'approved' AND approved_by <> prepared_by", name=op.f("ck_statement_version_approved_by_two")
        ),
        sa.CheckConstraint(
            "statement_id <> first_statement_id AND statement_id <> replaces_statement_id",
            name=op.f("ck_statement_version_another_statement"),
        ),
        sa.CheckConstraint("version >= 2", name=op.f("ck_statement_version_after_the_first")),
        sa.ForeignKeyConstraint(
            ["institution_id", "first_statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name="fk_statement_version_first",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "replaces_statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name="fk_statement_version_replaces",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement.institution_id", "statement.statement_id"],
            name="fk_statement_version_statement",
        ),
        sa.ForeignKeyConstraint(
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
        sa.PrimaryKeyConstraint("institution_id", "statement_id", name=op.f("pk_statement_version")),
        sa.UniqueConstraint(
            "institution_id",
            "first_statement_id",
            "version",
            name=op.f("uq_statement_version_institution_id_first_statement_id_version"),
        ),
        sa.UniqueConstraint(
            "institution_id", "replaces_statement_id", name=op.f("uq_statement_version_institution_id_replaces_statement_id")
        ),
        comment="statements a bank restated: which version took the place of which, and who approved it",
    )
    op.create_table(
        "statement_line_kept",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("statement_id", sa.BigInteger(), nullable=False, comment="the new version"),
        sa.Column("line_id", sa.Text(), nullable=False, comment="the line of an earlier version that it repeats unchanged"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column("position", sa.Integer(), nullable=False, comment="0-based place in the new version, oldest first"),
        sa.Column(
            "running_balance_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="the bank's balance after it, in the new version, in minor units (fen)",
        ),
        sa.Column("file_line", sa.Integer(), nullable=False, comment="1-based line in the new version's file"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["institution_id", "line_id"],
            ["statement_line.institution_id", "statement_line.line_id"],
            name="fk_statement_line_kept_line",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement_version.institution_id", "statement_version.statement_id"],
            name="fk_statement_line_kept_version",
        ),
        sa.PrimaryKeyConstraint("institution_id", "statement_id", "line_id", name=op.f("pk_statement_line_kept")),
        sa.UniqueConstraint(
            "institution_id", "statement_id", "position", name=op.f("uq_statement_line_kept_institution_id_statement_id_position")
        ),
        comment="lines a new version repeats: they keep their identity, and with it their match and their postings",
    )
    op.create_index(
        op.f("ix_statement_line_kept_institution_id_line_id"), "statement_line_kept", ["institution_id", "line_id"], unique=False
    )
    op.create_table(
        "match_undone",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("match_id", sa.Text(), nullable=False, comment="the match; undone at most once"),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account"),
        sa.Column(
            "statement_id",
            sa.BigInteger(),
            nullable=False,
            comment="the new version of a statement that took one of its lines away",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="why, in words"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["institution_id", "match_id"], ["match.institution_id", "match.match_id"], name="fk_match_undone_match"
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "statement_id"],
            ["statement_version.institution_id", "statement_version.statement_id"],
            name="fk_match_undone_version",
        ),
        sa.PrimaryKeyConstraint("institution_id", "match_id", name=op.f("pk_match_undone")),
        comment="matches that fell because the bank restated a line of theirs: their postings are reversed, the rest is open again",
    )
    op.create_index(
        op.f("ix_match_undone_institution_id_statement_id"), "match_undone", ["institution_id", "statement_id"], unique=False
    )
