"""Guards that were taken away, weakened or replaced are named; a server that holds more than our books raises no alarm."""

from __future__ import annotations

from sqlalchemy import Connection, text

from jobs.verifying import faults_in_books
from migrations.schema import load_all_tables
from storage.catalogue import expected, schema_faults

#: What is done to the schema, by its owner; the object that must be named; a word of what must be said of it.
WEAKENED: tuple[tuple[str, str, str], ...] = (
    (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "function refuse_change()",
        "body",
    ),
    ("ALTER FUNCTION ledger_guard_transfer() SECURITY INVOKER", "function ledger_guard_transfer()", "settings"),
    ("ALTER FUNCTION ledger_guard_transfer() SET session_replication_role = replica", "function ledger_guard_transfer()", "settings"),
    ("CREATE FUNCTION merkle_root(leaves text[]) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$", "function merkle_root(", "no migration"),
    ("ALTER TABLE transfer DISABLE TRIGGER transfer_guard", "trigger transfer.transfer_guard", "fires never, not always"),
    ("ALTER TABLE transfer ENABLE TRIGGER transfer_guard", "trigger transfer.transfer_guard", "unless-replica, not always"),
    (
        """DROP TRIGGER release_refuse_change ON release;
        CREATE TRIGGER release_refuse_change BEFORE UPDATE OR DELETE ON release FOR EACH ROW WHEN (false)
            EXECUTE FUNCTION refuse_change();
        ALTER TABLE release ENABLE ALWAYS TRIGGER release_refuse_change""",
        "trigger release.release_refuse_change",
        "WHEN (false)",
    ),
    (
        """CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        DROP TRIGGER refund_refuse_change ON refund;
        CREATE TRIGGER refund_refuse_change BEFORE UPDATE OR DELETE ON refund FOR EACH ROW EXECUTE FUNCTION nothing();
        ALTER TABLE refund ENABLE ALWAYS TRIGGER refund_refuse_change""",
        "trigger refund.refund_refuse_change",
        "nothing()",
    ),
    (
        """CREATE SCHEMA elsewhere;
        CREATE FUNCTION elsewhere.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
        DROP TRIGGER refund_refuse_change ON refund;
        CREATE TRIGGER refund_refuse_change BEFORE UPDATE OR DELETE ON refund FOR EACH ROW
            EXECUTE FUNCTION elsewhere.refuse_change();
        ALTER TABLE refund ENABLE ALWAYS TRIGGER refund_refuse_change""",
        "trigger refund.refund_refuse_change",
        "elsewhere",
    ),
    ("DROP TRIGGER audit_event_link ON audit_event", "trigger audit_event.audit_event_link", "missing"),
    ("DROP TRIGGER release_refuse_unearned ON release", "trigger release.release_refuse_unearned", "missing"),
    (
        """CREATE FUNCTION silent() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER aaa BEFORE INSERT ON discrepancy FOR EACH ROW EXECUTE FUNCTION silent()""",
        "trigger discrepancy.aaa",
        "no migration",
    ),
    ("CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING", "rule audit_event.quiet", "no migration"),
    ("ALTER TABLE transfer DROP CONSTRAINT ck_transfer_amount_above_zero", "constraint transfer.ck_transfer_amount_above_zero", "missing"),
    (
        """ALTER TABLE transfer DROP CONSTRAINT ck_transfer_amount_above_zero;
        ALTER TABLE transfer ADD CONSTRAINT ck_transfer_amount_above_zero CHECK (amount_minor_units > -1000000)""",
        "constraint transfer.ck_transfer_amount_above_zero",
        "1000000",
    ),
    (
        """ALTER TABLE transfer DROP CONSTRAINT ck_transfer_two_accounts;
        ALTER TABLE transfer ADD CONSTRAINT ck_transfer_two_accounts CHECK (debit_account_id <> credit_account_id) NOT VALID""",
        "constraint transfer.ck_transfer_two_accounts",
        "not valid",
    ),
    ("ALTER TABLE transfer DROP CONSTRAINT pk_transfer CASCADE", "constraint transfer.pk_transfer", "missing"),
    (
        "ALTER TABLE statement_line DROP CONSTRAINT fk_statement_line_institution_id_statement_id_statement",
        "constraint statement_line.fk_statement_line_institution_id_statement_id_statement",
        "missing",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nALTER TABLE transfer_2025_03 DROP CONSTRAINT uq_transfer_2025_03_debit",
        "constraint transfer_2025_03.uq_transfer_2025_03_debit",
        "missing",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nDROP INDEX uq_transfer_2025_03_reverses",
        "index transfer_2025_03.uq_transfer_2025_03_reverses",
        "missing",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nALTER TABLE transfer_2025_03 DROP CONSTRAINT ck_transfer_2025_03_booked",
        "constraint transfer_2025_03.ck_transfer_2025_03_booked",
        "missing",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nDROP TRIGGER transfer_2025_03_refuse_direct ON transfer_2025_03",
        "trigger transfer_2025_03.transfer_2025_03_refuse_direct",
        "missing",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nALTER TABLE transfer_2025_03 DISABLE TRIGGER transfer_refuse_change",
        "trigger transfer_2025_03.transfer_refuse_change",
        "never",
    ),
    (
        "SELECT ledger_add_month('2025-03-01');\nALTER TABLE transfer_2025_03 ENABLE TRIGGER transfer_2025_03_refuse_truncate",
        "trigger transfer_2025_03.transfer_2025_03_refuse_truncate",
        "unless-replica",
    ),
    ("SELECT ledger_add_month('2025-03-01');\nGRANT INSERT ON transfer_2025_03 TO escrow_poster", "grants transfer_2025_03", "INSERT"),
    (
        "CREATE TABLE transfer_2025_03 PARTITION OF transfer FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        "bound transfer_2025_03",
        "MINVALUE",
    ),
    (
        "CREATE TABLE anything PARTITION OF transfer FOR VALUES FROM (MINVALUE) TO (MAXVALUE)",
        "partition anything",
        "no month of transfer",
    ),
    ("ALTER TABLE statement_line DISABLE TRIGGER ALL", "asleep statement_line.", "not enforced"),
    ("ALTER TABLE transfer ALTER COLUMN reason SET DEFAULT 'bonus'", "column transfer.reason", "bonus"),
    ("ALTER TABLE transfer ALTER COLUMN reason DROP NOT NULL", "column transfer.reason", "NOT NULL"),
    ("ALTER TABLE release ADD COLUMN extra text", "column release.extra", "no migration"),
    ("CREATE POLICY hidden ON transfer USING (false)", "policy transfer.hidden", "false"),
    ("ALTER TABLE transfer DISABLE ROW LEVEL SECURITY", "table transfer", "row security"),
    ("ALTER TABLE audit_event SET UNLOGGED", "table audit_event", "unlogged"),
    ("GRANT UPDATE ON transfer TO PUBLIC", "grants transfer", "PUBLIC: UPDATE"),
    ("GRANT UPDATE (reason) ON transfer TO PUBLIC", "grants transfer", "UPDATE(reason)"),
    ("CREATE TABLE shadow () INHERITS (discrepancy)", "heir discrepancy.shadow", "inherits"),
    ("DROP TABLE job_run CASCADE", "table job_run", "missing"),
    ("ALTER SEQUENCE hold_hold_id_seq MINVALUE -5 CYCLE", "sequence hold_hold_id_seq", "round again"),
    ("GRANT UPDATE ON SEQUENCE hold_hold_id_seq TO escrow_poster", "grants hold_hold_id_seq", "escrow_poster: UPDATE"),
    (
        """CREATE FUNCTION differs(text, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
        CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = bigint, FUNCTION = differs)""",
        "operator <>(text,bigint)",
        "it runs differs(text,bigint)",
    ),
    (
        """CREATE FUNCTION any_day(text) RETURNS date LANGUAGE sql IMMUTABLE AS $$ SELECT date '2025-03-01' $$;
        CREATE CAST (text AS date) WITH FUNCTION any_day(text) AS IMPLICIT""",
        "cast text as date",
        "no migration",
    ),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "creator PUBLIC", "may make objects"),
    ("GRANT CREATE ON SCHEMA public TO escrow_poster", "creator escrow_poster", "may make objects"),
    (
        """CREATE OR REPLACE VIEW hold_in_force AS SELECT h.institution_id, h.hold_id, h.scope, h.order_id, h.class_hour_no,
            h.custody_account_id, h.stops_release, h.stops_refund, h.reason, h.placed_by, h.placed_at FROM hold h WHERE false""",
        "view hold_in_force",
        "WHERE false",
    ),
)  # fmt: skip


def test_every_weakened_guard_is_named(connection: Connection) -> None:
    """On one database, each undone before the next: a database for each would take a second each."""
    unnoticed = []
    for weakening, named, said in WEAKENED:
        attempt = connection.begin_nested()
        for statement in _statements(weakening):
            connection.execute(text(statement.replace(":", "\\:")))
        found = [str(fault) for fault in schema_faults(connection)]
        attempt.rollback()
        if not any(line.startswith(named) and said in line for line in found):
            unnoticed.append((weakening, found))

    assert unnoticed == []
    assert schema_faults(connection) == []


def _statements(block: str) -> list[str]:
    """A block as single statements: a semicolon at the end of a line divides them."""
    return [statement for statement in block.split(";\n") if statement.strip()]


def test_the_books_do_not_verify_on_a_weakened_schema(connection: Connection) -> None:
    connection.execute(text("DROP TRIGGER release_refuse_unearned ON release"))

    faults = faults_in_books(connection)

    assert [(fault.table, fault.row) for fault in faults] == [("schema: trigger", "release.release_refuse_unearned")]


def test_other_things_on_the_same_server_raise_no_alarm(connection: Connection) -> None:
    for statement in (
        "CREATE SCHEMA reporting",
        "CREATE TABLE reporting.transfer (id int)",
        "CREATE FUNCTION reporting.merkle_root() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE TABLE public.somebody_elses (id int CHECK (id > 0))",
        "CREATE VIEW public.somebody_elses_view AS SELECT count(*) FROM transfer",
        "CREATE FUNCTION public.somebody_elses_function() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE TEMPORARY TABLE account (id int)",
        "SET LOCAL search_path = reporting, public",
        "SET LOCAL bytea_output = 'escape'",
        "SET LOCAL datestyle = 'German'",
    ):
        connection.execute(text(statement))

    assert schema_faults(connection) == []
    assert connection.execute(text("SHOW search_path")).scalar_one() == "reporting, public"


def test_every_table_and_every_guard_is_in_the_measure(connection: Connection) -> None:
    """A table or trigger that the measure does not hold could be weakened unseen."""
    named = expected().objects.keys()

    assert {f"table {table}" for table in load_all_tables().tables} <= named
    triggers = connection.execute(
        text("SELECT tgrelid::regclass::text || '.' || tgname FROM pg_trigger WHERE NOT tgisinternal")
    ).scalars()
    assert {f"trigger {name}" for name in triggers} <= named
