"""The attacks on the books, as data: what is tried, as whom, and what must come of it. docs/attacks.md is written from here.

Each is tried on books that hold an order paid, taught and released, a hold, and a seal (``tests.storage.test_attack_table``).
``REFUSED``: the database does not do it, and says so with these words. ``NAMED``: whoever may do it leaves a trace, and
``escrow ledger verify`` exits 3 naming it with these words.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.storage.test_catalogue import WEAKENED

POSTER, OWNER, SUPERUSER, SUPERVISOR = "escrow_poster", "escrow_owner", "superuser", "escrow_supervisor"
PERSON, MIGRATOR = "escrow_person", "escrow_migrator"

REFUSED, NAMED = "refused", "named by verify"


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. ``sql``: statements, divided by a semicolon at the end of a line."""

    what: str
    role: str
    guard: str
    sql: str
    result: str
    words: str


_HISTORY = "trigger refuse_change, ENABLE ALWAYS"
_GRANTS = "grants of the role"
_PROJECTION = "trigger ledger_guard_projection asks for the role its guards run as"
_SHOWN = "verify derives it from other evidence"
_FILE = "verify: every imported row came with an import of its file"
_LOG = "verify: the audit log and the acts tell of each other"
_CHAIN = "verify: chain of the audit log"
_ASLEEP = "SET LOCAL session_replication_role = replica;\n"
_OFF = "ALTER TABLE {0} DISABLE TRIGGER USER;\n"
_ON = (
    ";\nALTER TABLE {0} ENABLE TRIGGER USER;\nALTER TABLE {0} ENABLE ALWAYS TRIGGER {0}_refuse_change;\n"
    "ALTER TABLE {0} ENABLE ALWAYS TRIGGER {0}_refuse_truncate"
)


def _tampered(table: str, statement: str) -> str:
    """Change rows of a table with its own triggers and foreign keys asleep, and wake them again as they were."""
    return _ASLEEP + _OFF.format(table) + statement + _ON.format(table) + ";\nSET LOCAL session_replication_role = origin"


HISTORY = (
    Attack("UPDATE a release", POSTER, _GRANTS, "UPDATE release SET amount_minor_units = 1", REFUSED, "permission denied for table release"),
    Attack("UPDATE a release", OWNER, _HISTORY, "UPDATE release SET amount_minor_units = 1", REFUSED, "UPDATE of release refused"),
    Attack("UPDATE as a replica", SUPERUSER, _HISTORY, _ASLEEP + "UPDATE release SET amount_minor_units = 1", REFUSED, "UPDATE of release refused"),
    Attack("DELETE a release", OWNER, _HISTORY, "DELETE FROM release", REFUSED, "DELETE of release refused"),
    Attack("TRUNCATE transfers", OWNER, "trigger refuse_truncate, ENABLE ALWAYS", "TRUNCATE transfer CASCADE", REFUSED, "TRUNCATE of"),
    Attack("MERGE ... DELETE", OWNER, _HISTORY, "MERGE INTO release USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE", REFUSED, "DELETE of release refused"),
    Attack("writable CTE", OWNER, _HISTORY, "WITH gone AS (DELETE FROM release RETURNING 1) SELECT * FROM gone", REFUSED, "DELETE of release refused"),
    Attack(
        "ON CONFLICT DO UPDATE", OWNER, _HISTORY,
        "INSERT INTO funding SELECT * FROM funding ON CONFLICT (institution_id, order_id) DO UPDATE SET funded_on = '2020-01-01'",
        REFUSED, "UPDATE of funding refused",
    ),
    Attack("ON CONFLICT DO UPDATE", POSTER, _GRANTS,
        "INSERT INTO funding SELECT * FROM funding ON CONFLICT (institution_id, order_id) DO UPDATE SET funded_on = '2020-01-01'",
        REFUSED, "permission denied for table funding"),
    Attack("UPDATE through a view", OWNER, _HISTORY, "UPDATE hold_in_force SET reason = 'x'", REFUSED, "UPDATE of hold refused"),
    Attack("DELETE a referred row to take others along", OWNER, _HISTORY, "DELETE FROM prepayment", REFUSED, "prepayment"),
    Attack("a foreign key that cascades", POSTER, "ownership", "ALTER TABLE release ADD FOREIGN KEY (institution_id, order_id) REFERENCES orders ON DELETE CASCADE", REFUSED, "must be owner"),
    Attack("LOCK the journal", POSTER, _GRANTS, "LOCK TABLE transfer IN ACCESS EXCLUSIVE MODE", REFUSED, "permission denied for table transfer"),
    Attack("switch a guard off", POSTER, "ownership", "ALTER TABLE transfer DISABLE TRIGGER ALL", REFUSED, "must be owner of table transfer"),
    Attack("pretend to be a replica", POSTER, "only a superuser may", "SET LOCAL session_replication_role = replica", REFUSED, "permission denied to set parameter"),
    Attack("set a sequence back", POSTER, _GRANTS, "SELECT setval('hold_hold_id_seq', 1, false)", REFUSED, "permission denied for sequence"),
    Attack(
        "set a sequence back, then write", OWNER, "primary key",
        "SELECT setval('import_report_import_report_id_seq', 1, false);\n"
        "INSERT INTO import_report (kind, file_name, sha256, byte_count, actor, imported_at, row_count, accepted_count, "
        "repeated_count, refused_count) VALUES ('orders', 'x', sha256('x'), 1, 'x', now(), 0, 0, 0, 0)",
        REFUSED, "pk_import_report",
    ),
    Attack("choose recorded_at, below a seal", OWNER, "trigger stamp_digest sets it",
        "INSERT INTO hold (institution_id, scope, order_id, stops_release, stops_refund, reason, placed_by, placed_at, recorded_at) "
        "SELECT institution_id, 'order', order_id, true, false, 'x', 'x', now(), '2020-01-01' FROM orders;\n"
        "SELECT 1 / count(*) FROM hold WHERE recorded_at = '2020-01-01'", REFUSED, "division by zero"),
    Attack("COPY rows over others", POSTER, "primary key",
        "INSERT INTO prepayment SELECT * FROM prepayment", REFUSED, "pk_prepayment"),
)  # fmt: skip

LEDGER = (
    Attack("move a balance by hand", POSTER, _GRANTS, "UPDATE account_balance SET balance_minor_units = 0", REFUSED, "permission denied for table account_balance"),
    Attack("move a balance by hand", OWNER, "the tables' owner does not own the projections", "UPDATE account_balance SET balance_minor_units = 0", REFUSED, "permission denied for table account_balance"),
    Attack("move a balance by hand", SUPERUSER, _PROJECTION, "UPDATE account_balance SET balance_minor_units = 0", REFUSED, "ledger_projection"),
    Attack("move a balance from a trigger of one's own", SUPERUSER, _PROJECTION,
        "CREATE TEMPORARY TABLE mine (id int);\n"
        "CREATE FUNCTION pg_temp.deep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE public.account_balance SET balance_minor_units = 0; RETURN NULL; END $$;\n"
        "CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pg_temp.deep();\n"
        "INSERT INTO mine VALUES (1)", REFUSED, "ledger_projection"),
    Attack("forget that a transfer was reversed", POSTER, _GRANTS, "DELETE FROM reversal", REFUSED, "permission denied for table reversal"),
    Attack("forget that a transfer was reversed", OWNER, "the tables' owner does not own the projections", "DELETE FROM reversal", REFUSED, "permission denied for table reversal"),
    Attack("forget that a transfer was reversed", SUPERUSER, _PROJECTION, _ASLEEP + "DELETE FROM reversal", REFUSED, "ledger_projection"),
    Attack("say that a transfer was reversed, so that nobody can reverse it", SUPERUSER, _SHOWN,
        "ALTER TABLE reversal DISABLE TRIGGER USER;\n"
        "INSERT INTO reversal SELECT institution_id, transfer_id, transfer_id FROM transfer LIMIT 1;\n"
        "ALTER TABLE reversal ENABLE ALWAYS TRIGGER reversal_guard", NAMED, "in the journal by none"),
    Attack("hang a guard on a table of one's own", POSTER, "no EXECUTE on what triggers call",
        "CREATE TEMPORARY TABLE mine (LIKE transfer);\n"
        "CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS new_transfers FOR EACH STATEMENT "
        "EXECUTE FUNCTION ledger_guard_transfer()", REFUSED, "permission denied for function ledger_guard_transfer"),
    Attack("spoof the mark of the batch being written", POSTER, _PROJECTION,
        "UPDATE journal_head SET institution_id = institution_id", REFUSED, "ledger_projection"),
    Attack("a transfer outside the order of batches", POSTER, "statement trigger transfer_guard",
        "INSERT INTO transfer SELECT institution_id, first_transfer_id(booking_date), batch_id + 100, line, debit_account_id, credit_account_id, "
        "amount_minor_units, currency, booking_date, reason, source_kind, source_ref, reverses, debit_seq + 100, "
        "debit_balance_minor_units, credit_seq + 100, credit_balance_minor_units, leaf FROM transfer LIMIT 1", REFUSED, "ledger_batch_out_of_order"),
    Attack("the same transfer twice", POSTER, "primary key", "INSERT INTO transfer SELECT * FROM transfer LIMIT 1", REFUSED, "pk_transfer"),
    Attack("write into a month of the journal, past what proves it", POSTER, _GRANTS,
        "INSERT INTO transfer_2025_03 SELECT * FROM transfer", REFUSED, "permission denied for table transfer_2025_03"),
    Attack("write into a month of the journal, past what proves it", OWNER, "trigger ledger_refuse_direct of each month, ENABLE ALWAYS",
        "INSERT INTO transfer_2025_03 SELECT * FROM transfer", REFUSED, "ledger_not_through_transfer"),
    Attack("write into a month of the journal as a replica", SUPERUSER, "trigger ledger_refuse_direct of each month, ENABLE ALWAYS",
        _ASLEEP + "INSERT INTO transfer_2025_03 SELECT * FROM transfer", REFUSED, "ledger_not_through_transfer"),
    Attack("UPDATE a month of the journal", OWNER, _HISTORY, "UPDATE transfer_2025_03 SET reason = 'x'", REFUSED, "UPDATE of transfer_2025_03 refused"),
    Attack("TRUNCATE a month of the journal", OWNER, "trigger refuse_truncate of each month, ENABLE ALWAYS",
        "TRUNCATE transfer_2025_03 CASCADE", REFUSED, "TRUNCATE of"),
    Attack("read a month past the policies of its table", SUPERVISOR, _GRANTS, "SELECT FROM transfer_2025_03", REFUSED, "permission denied for table transfer_2025_03"),
    Attack("move a transfer to another month", SUPERUSER, "CHECK of each month",
        _ASLEEP + "ALTER TABLE transfer DISABLE TRIGGER USER;\nUPDATE transfer SET booking_date = '2025-05-01'", REFUSED, "ck_transfer_2025_03_booked"),
    Attack("detach a month", SUPERUSER, "foreign keys to its rows", "ALTER TABLE transfer DETACH PARTITION transfer_2025_03", REFUSED, "violates foreign key constraint"),
    Attack("drop a month that holds nothing", SUPERUSER, "verify: every month that was made is there",
        "SELECT ledger_add_month('2031-05-01');\nALTER TABLE transfer DETACH PARTITION transfer_2031_05;\nDROP TABLE transfer_2031_05", NAMED,
        "journal_month partition transfer_2031_05: it was made and is no part of the journal any more"),
    Attack("drop a month that holds nothing, and what tells of it", SUPERUSER, "verify: seals",
        _tampered("journal_month", "DELETE FROM journal_month"), NAMED, "journal_month"),
    Attack("put a month on record that is not there", POSTER, "trigger journal_month_guard", "INSERT INTO journal_month (partition_name) VALUES ('transfer_2031_05')", REFUSED, "ledger_no_such_month"),
    Attack("a month beyond the calendar", POSTER, "function ledger_add_month", "SELECT ledger_add_month('3000-01-01')", REFUSED, "ledger_out_of_calendar"),
    Attack("a header without transfers", POSTER, "trigger posting_batch_seal",
        "INSERT INTO posting_batch (institution_id, batch_id, encoding, transfer_count, total_minor_units, actor, reason, "
        "rule_version, posted_at) SELECT institution_id, max(batch_id) + 1, 'v1', 1, 1, 'x', 'x', 'x', now() FROM posting_batch "
        "GROUP BY 1", REFUSED, "ledger_batch_count"),
    Attack("release a class-hour twice", POSTER, "primary key", "INSERT INTO release SELECT * FROM release", REFUSED, "pk_release"),
    Attack("release a class-hour that is disputed", POSTER, "trigger release_refuse_unearned",
        "INSERT INTO class_hour_event (institution_id, order_id, class_hour_no, event, event_at, event_on, reported_by, content_digest, "
        "source_file_sha256, source_line) SELECT institution_id, order_id, 3, event, now(), current_date, 'payer', sha256('d'), "
        "sha256('d'), 1 FROM orders CROSS JOIN (VALUES ('disputed'), ('confirmed')) AS e (event) WHERE order_id = 'ORD1';\n"
        "INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, released_on, basis, "
        "confirmation_event) SELECT institution_id, order_id, 3, 3, 0, current_date, 'payer', 'confirmed' FROM orders "
        "WHERE order_id = 'ORD1'", REFUSED, "it is disputed"),
    Attack("release what is not funded", POSTER, "foreign key to funding",
        "INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, released_on, basis, "
        "confirmation_event) SELECT institution_id, order_id, 1, 1, 0, '2020-01-01', 'payer', 'confirmed' FROM orders "
        "WHERE order_id = 'ORD2'", REFUSED, "violates foreign key constraint"),
    Attack("lift a hold alone (maker = checker)", PERSON, "CHECK",
        "SELECT set_config('escrow.jurisdictions', '*', true);\n"
        "INSERT INTO hold_lift_proposal (institution_id, hold_id, prepared_by, prepared_at, reason) "
        "SELECT institution_id, hold_id, 'mallory', now(), 'x' FROM hold;\n"
        "INSERT INTO hold_lift (institution_id, hold_id, prepared_by, approved_by, approved_at) "
        "SELECT institution_id, hold_id, 'mallory', 'mallory', now() FROM hold", REFUSED, "ck_hold_lift"),
    Attack("read another jurisdiction", SUPERVISOR, "row-level policy scope_of_person",
        "SELECT 1 / count(*) FROM orders", REFUSED, "division by zero"),
    Attack("approve a resolution past the policies of people's acts", POSTER, "trigger discrepancy_event_by_person, ENABLE ALWAYS",
        "INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor, prepared_event_no, "
        "prepared_by) VALUES (1, 'd', 2, 'approved', now(), '2025-03-05', 'x', 1, 'y')", REFUSED, "who approves is a person"),
    Attack("approve a resolution past the policies of people's acts", OWNER, "trigger discrepancy_event_by_person, ENABLE ALWAYS",
        "INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor, prepared_event_no, "
        "prepared_by) VALUES (1, 'd', 2, 'approved', now(), '2025-03-05', 'x', 1, 'y')", REFUSED, "who approves is a person"),
    Attack("let a held statement through", POSTER, "trigger quarantine_event_by_person, ENABLE ALWAYS",
        "INSERT INTO quarantine_event (quarantine_id, event_no, event, event_at, actor, reason, prepared_event_no, prepared_by) "
        "VALUES (1, 2, 'approved', now(), 'x', 'x', 1, 'y')", REFUSED, "who approves is a person"),
    Attack("sign a day off", POSTER, "trigger sign_off_event_by_person, ENABLE ALWAYS",
        "INSERT INTO sign_off_event SELECT (jsonb_populate_record(NULL::sign_off_event, '{\"event\": \"approved\"}')).*", REFUSED, "who approves is a person"),
    Attack("put the money of an instruction back", POSTER, "trigger instruction_event_by_person, ENABLE ALWAYS",
        "INSERT INTO instruction_event SELECT (jsonb_populate_record(NULL::instruction_event, '{\"event\": \"returned\"}')).*", REFUSED, "who approves is a person"),
    Attack("open a closed month", POSTER, "trigger period_event_by_person, ENABLE ALWAYS",
        "INSERT INTO period_event SELECT (jsonb_populate_record(NULL::period_event, '{\"event\": \"reopened\"}')).*", REFUSED, "who approves is a person"),
    Attack("lift a hold", POSTER, "trigger hold_lift_by_person, ENABLE ALWAYS",
        "INSERT INTO hold_lift (institution_id, hold_id, prepared_by, approved_by, approved_at) SELECT institution_id, hold_id, 'x', 'y', now() FROM hold",
        REFUSED, "who approves is a person"),
    Attack("approve, as the role that may propose", PERSON, "row-level policy told_by_person",
        "SELECT set_config('escrow.jurisdictions', '*', true);\n"
        "INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor, "
        "prepared_event_no, prepared_by) VALUES (1, 'x', 2, 'approved', now(), current_date, 'x', 1, 'y')", REFUSED, "row-level security"),
    Attack("hold money in another jurisdiction", PERSON, "row-level policy scope_of_person",
        "SELECT set_config('escrow.jurisdictions', '330100', true);\n"
        "INSERT INTO hold (institution_id, scope, order_id, stops_release, stops_refund, reason, placed_by, placed_at) "
        "VALUES (1, 'order', 'ORD1', true, false, 'x', 'x', now())", REFUSED, "row-level security"),
    Attack("post, as the role of people's acts", PERSON, _GRANTS, "INSERT INTO transfer SELECT * FROM transfer", REFUSED, "permission denied for table transfer"),
    Attack("tell the audit log of another's act, as a reader", SUPERVISOR, "row-level policy told_by_supervisor",
        "INSERT INTO audit_event (at, actor, role, act, object_kind, object_id, details) VALUES (now(), 'li.approve', 'approver', "
        "'reconciliation:sign_off:approved', 'sign_off', '1/2025-03-03', '{}')", REFUSED, "row-level security"),
    Attack("read what another city's audit log says", SUPERVISOR, "row-level policy scope_of_person",
        "SELECT set_config('escrow.jurisdictions', '330100', true);\nSELECT 1 / count(*) FROM audit_event", REFUSED, "division by zero"),
    Attack("write as a reader", SUPERVISOR, _GRANTS, "INSERT INTO funding SELECT * FROM funding", REFUSED, "permission denied for table funding"),
)  # fmt: skip

_TRAP = "event trigger refuse_schema_change, ENABLE ALWAYS"
_LOCKED = "SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0));\n"


def _trapped(what: str, sql: str, tag: str, role: str = OWNER) -> Attack:
    return Attack(what, role, _TRAP, sql, REFUSED, f"{tag} by {role} refused: the schema of the books changes by migrations only")


TRAP = (
    _trapped("switch a guard off", "ALTER TABLE release DISABLE TRIGGER release_refuse_change", "ALTER TABLE"),
    _trapped("switch a guard off, with the lock of a migration", _LOCKED + "ALTER TABLE transfer DISABLE TRIGGER ALL", "ALTER TABLE"),
    _trapped("switch a guard off, saying one is a migration", "SELECT set_config('escrow.migrating', 'on', true), set_config('application_name', 'escrow', true);\nALTER TABLE transfer DISABLE TRIGGER ALL", "ALTER TABLE"),
    _trapped("switch a guard off in a block of code", "DO $$ BEGIN EXECUTE 'ALTER TABLE hold DISABLE TRIGGER USER'; END $$", "ALTER TABLE"),
    _trapped("drop a guard", "DROP TRIGGER hold_refuse_change ON hold", "DROP TRIGGER"),
    _trapped("another guard in place of one", "CREATE OR REPLACE TRIGGER hold_refuse_change BEFORE UPDATE ON hold FOR EACH ROW WHEN (false) EXECUTE FUNCTION refuse_change()", "CREATE TRIGGER"),
    _trapped("another body for a guard", "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$", "CREATE FUNCTION"),
    _trapped("another setting for a guard", "ALTER FUNCTION refuse_change() SET work_mem = '1MB'", "ALTER FUNCTION"),
    _trapped("a guard moved away", "ALTER FUNCTION refuse_change() RENAME TO refuse_nothing", "ALTER FUNCTION"),
    _trapped("drop a guard's function", "DROP FUNCTION refuse_change() CASCADE", "DROP FUNCTION"),
    _trapped("drop a table", "DROP TABLE hold CASCADE", "DROP TABLE"),
    _trapped("drop everything one owns", "DROP OWNED BY escrow_owner CASCADE", "DROP OWNED"),
    _trapped("drop a month of the journal", "DROP TABLE transfer_2025_03 CASCADE", "DROP TABLE"),
    _trapped("detach a month", "ALTER TABLE transfer DETACH PARTITION transfer_2025_03", "ALTER TABLE"),
    _trapped("attach a table as a month", "ALTER TABLE transfer ATTACH PARTITION hold DEFAULT", "ALTER TABLE"),
    _trapped("a month of one's own making", "CREATE TABLE transfer_mine PARTITION OF transfer DEFAULT", "CREATE TABLE"),
    _trapped("a table that inherits", "CREATE TABLE shadow () INHERITS (discrepancy)", "CREATE TABLE"),
    _trapped("a temporary table that inherits", "CREATE TEMPORARY TABLE shadow () INHERITS (discrepancy)", "CREATE TABLE"),
    _trapped("a column's rule", "ALTER TABLE hold ALTER COLUMN reason DROP NOT NULL", "ALTER TABLE"),
    _trapped("drop a constraint", "ALTER TABLE transfer DROP CONSTRAINT ck_transfer_amount_above_zero", "ALTER TABLE"),
    _trapped("write a table anew", "ALTER TABLE hold ALTER COLUMN reason TYPE varchar(3) USING left(reason, 3)", "ALTER TABLE"),
    _trapped("switch row-level security off", "ALTER TABLE transfer NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY", "ALTER TABLE"),
    _trapped("another policy", "CREATE POLICY everybody ON transfer TO PUBLIC USING (true)", "CREATE POLICY"),
    _trapped("a rule that swallows rows", "CREATE RULE quiet AS ON INSERT TO audit_event DO INSTEAD NOTHING", "CREATE RULE"),
    _trapped("give rights away", "GRANT UPDATE, DELETE ON hold TO PUBLIC", "GRANT"),
    _trapped("give a table away", "ALTER TABLE hold OWNER TO escrow_owner", "ALTER TABLE"),
    _trapped("another view of the holds", "CREATE OR REPLACE VIEW hold_in_force AS SELECT * FROM hold WHERE false", "CREATE VIEW"),
    _trapped("a table of one's own beside them", "CREATE TABLE public.mine (id int)", "CREATE TABLE"),
    _trapped("drop the schema", "DROP SCHEMA public CASCADE", "DROP SCHEMA"),
    _trapped("change the schema without the lock of a migration", "ALTER TABLE hold DISABLE TRIGGER USER", "ALTER TABLE", MIGRATOR),
    Attack("switch the trap off", OWNER, "ownership", "ALTER EVENT TRIGGER refuse_schema_change_start DISABLE", REFUSED, "must be owner of event trigger"),
    Attack("drop the trap", OWNER, "ownership", "DROP EVENT TRIGGER refuse_schema_change_start", REFUSED, "must be owner of event trigger"),
    Attack("a trap of one's own", OWNER, "only a superuser may", "CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION refuse_schema_change()", REFUSED, "permission denied to create event trigger"),
    Attack("another body for the trap", MIGRATOR, "ownership",
        _LOCKED + "CREATE OR REPLACE FUNCTION refuse_schema_change() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        REFUSED, "must be owner of function refuse_schema_change"),
    Attack("pretend to be a replica, for the trap", OWNER, "only a superuser may", "SET LOCAL session_replication_role = replica", REFUSED, "permission denied to set parameter"),
    Attack("switch the trap off", SUPERUSER, "verify: every table, rule and guard is as the migrations made it",
        "ALTER EVENT TRIGGER refuse_schema_change_start DISABLE", NAMED, "event trigger refuse_schema_change_start is switched off"),
    Attack("let the trap sleep for replicas", SUPERUSER, "verify: every table, rule and guard is as the migrations made it",
        "ALTER EVENT TRIGGER refuse_schema_change_end ENABLE", NAMED, "event trigger refuse_schema_change_end is asleep"),
    Attack("drop the trap", SUPERUSER, "verify: every table, rule and guard is as the migrations made it",
        "DROP FUNCTION refuse_schema_change() CASCADE", NAMED, "schema: trap refuse_schema_change: it is missing"),
    Attack("another body for the trap", SUPERUSER, "verify: every table, rule and guard is as the migrations made it",
        "CREATE OR REPLACE FUNCTION refuse_schema_change() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$", NAMED, "the body or the settings of function refuse_schema_change()"),
    Attack("give the trap to the owner", SUPERUSER, "verify: every table, rule and guard is as the migrations made it",
        "ALTER FUNCTION refuse_schema_change() OWNER TO escrow_owner", NAMED, "belongs to escrow_owner, who is no superuser"),
)  # fmt: skip

FORGED = (
    Attack("forge an audit event", POSTER, _LOG,
        "INSERT INTO audit_event (at, actor, role, act, object_kind, object_id) VALUES (now(), 'li', 'approver', "
        "'reconciliation:sign_off:approved', 'sign_off', '1/2025-03-03')", NAMED, "tells of reconciliation:sign_off:approved of 1/2025-03-03"),
    Attack("forge a hold", POSTER, _LOG,
        "INSERT INTO hold (institution_id, scope, order_id, stops_release, stops_refund, reason, placed_by, placed_at) "
        "SELECT institution_id, 'order', order_id, true, false, 'x', 'x', now() FROM orders LIMIT 1", NAMED, "the audit log tells of no escrow:hold:placed by x"),
    Attack("forge an order", POSTER, _FILE,
        "INSERT INTO orders SELECT institution_id, 'FORGED', custody_account_id, payer_token, student_token, course_name, class_hours, "
        "amount_minor_units, channel, 'other', paid_at, course_starts_on, course_ends_on, content_digest, source_file_sha256, source_line "
        "FROM orders LIMIT 1", NAMED, "order FORGED: it was recorded after the last import of the file it names"),
    Attack("forge that a class-hour was taught", POSTER, _FILE,
        "INSERT INTO class_hour_event (institution_id, order_id, class_hour_no, event, event_at, event_on, reported_by, content_digest, "
        "source_file_sha256, source_line) SELECT institution_id, order_id, 5, 'taught', now(), current_date, 'institution', "
        "sha256('d'), sha256('d'), 1 FROM orders LIMIT 1", NAMED, "class-hour 5, taught: it names a file of class-hours that was never imported"),
    Attack("forge that a class-hour is deemed confirmed", POSTER, "verify: every class-hour deemed confirmed had been taught",
        "INSERT INTO class_hour_event (institution_id, order_id, class_hour_no, event, event_at, event_on, reported_by, content_digest) "
        "SELECT institution_id, order_id, 6, 'deemed_confirmed', now(), current_date, 'system', sha256('d') FROM orders LIMIT 1",
        NAMED, "class-hour 6, deemed_confirmed: it is deemed confirmed, but was not reported taught before"),
    Attack("forge a refund request", POSTER, _FILE,
        "INSERT INTO refund_request (institution_id, refund_request_id, order_id, requested_at, requested_on, institution_response, "
        "reason, payee_name, payee_account, content_digest, source_file_sha256, source_line) SELECT institution_id, 'R9', order_id, "
        "now(), current_date, 'silent', 'x', 'x', 'x', sha256('d'), sha256('d'), 1 FROM orders LIMIT 1", NAMED,
        "refund request R9: it names a file of refund-requests that was never imported"),
    Attack("forge a custody account", POSTER, _FILE,
        "INSERT INTO custody_account (institution_id, bank_code, account_number, account_name, currency, opened_on, beneficiary_name, "
        "beneficiary_account, beneficiary_bank, source_file_sha256, source_line) SELECT institution_id, bank_code, 'FORGED', 'x', 'CNY', "
        "opened_on, 'x', 'x', 'x', sha256('d'), 1 FROM custody_account LIMIT 1", NAMED, "it names a file of institutions that was never imported"),
    Attack("forge an account of the books", POSTER, "verify: every account is of a filed custody account",
        "INSERT INTO account (institution_id, custody_account_id, kind, subject, normal_side, currency, in_transit, opened_on) "
        "SELECT institution_id, 999, kind, 'x', normal_side, currency, in_transit, opened_on FROM account LIMIT 1", NAMED, "custody account 999 was never filed"),
    Attack("forge an import that took rows", POSTER, "verify: every row an import took is there",
        "INSERT INTO import_report (kind, file_name, sha256, byte_count, actor, imported_at, row_count, accepted_count, "
        "repeated_count, refused_count) VALUES ('orders', 'x', sha256('x'), 1, 'x', now(), 3, 3, 0, 0)", NAMED, "it took 3 rows, 0 are there"),
    Attack("forge an import that took nothing", POSTER, _LOG,
        "INSERT INTO import_report (kind, file_name, sha256, byte_count, actor, imported_at, row_count, accepted_count, "
        "repeated_count, refused_count) VALUES ('orders', 'x', sha256('x'), 1, 'x', now(), 0, 0, 0, 0)",
        NAMED, "the audit log tells of no import of these orders by x then"),
    Attack("forge that something was imported", POSTER, _LOG,
        "INSERT INTO audit_event (at, actor, role, act, object_kind, object_id, details) VALUES (now(), 'x', 'x', "
        "'escrow:import:orders', 'import_report', '999', '{}')", NAMED, "tells of escrow:import:orders of 999, of which nothing else is recorded"),
    Attack("forge a finding of an import", POSTER, "verify: every row an import refused is told of",
        "INSERT INTO import_finding (import_report_id, finding_no, line, field, code, reason, refused, subject) "
        "SELECT min(import_report_id), 77, 1, 'x', 'x', 'x', true, '{}' FROM import_report", NAMED, "its findings run to 77"),
    Attack("forge a statement file", POSTER, _LOG,
        "INSERT INTO statement_file (file_name, sender_bank, received_by, received_at, sha256, size_bytes, content) "
        "VALUES ('x', 'NRB', 'x', now(), sha256('x'), 1, 'x')", NAMED, "the audit log tells of no intake:statement_file:refused by x"),
    Attack("forge a discrepancy", POSTER, "verify: every discrepancy was found by a run or with a file",
        "INSERT INTO discrepancy (institution_id, discrepancy_id, custody_account_id, kind, since, currency, amount_minor_units, "
        "difference_minor_units, line_ids, item_ids, explanation) SELECT institution_id, 'F0', custody_account_id, 'LATE', "
        "current_date, 'CNY', 1, 1, '{}', '{}', 'x' FROM custody_account LIMIT 1", NAMED, "its history does not begin with its opening"),
    Attack("forge the opening of a sign-off", POSTER, _LOG,
        "INSERT INTO sign_off_event (institution_id, custody_account_id, business_date, event_no, event, event_at, actor, reason) "
        "SELECT institution_id, custody_account_id, '2025-03-03', 1, 'reopen_prepared', now(), 'x', 'x' FROM custody_account LIMIT 1",
        NAMED, "tells of no reconciliation:sign_off:reopen_prepared by x"),
    Attack("forge a settlement", POSTER, _FILE,
        "INSERT INTO channel_settlement (institution_id, custody_account_id, channel, settlement_batch, settled_on, gross_minor_units, "
        "fee_minor_units, net_minor_units, item_count, content_digest, source_file_sha256, source_line) SELECT institution_id, "
        "custody_account_id, 'wechat', 'B9', current_date, 2, 1, 1, 1, sha256('d'), sha256('d'), 1 FROM custody_account LIMIT 1",
        NAMED, "settlement B9: it names a file of channel-settlements that was never imported"),
    Attack("remove an order, guards and keys asleep", SUPERUSER, "verify: every reference leads to a row",
        _tampered("orders", "DELETE FROM orders WHERE order_id = 'ORD1'"), NAMED, "orders institution_id=1, order_id=ORD1: it is gone; "),
    Attack("remove an import, guards asleep", SUPERUSER, _FILE,
        _tampered("import_report", "DELETE FROM import_report WHERE kind = 'orders'"), NAMED, "it names a file of orders that was never imported"),
    Attack("change a row, guards asleep", SUPERUSER, "verify: digest of every row of evidence",
        _tampered("hold", "UPDATE hold SET reason = 'other'"), NAMED, "hold institution_id=1, hold_id=1: its content is not what was recorded"),
    Attack("change the instant of a seal, restamped", SUPERUSER, "verify: a seal's digest covers it (version 2)",
        _tampered("evidence_seal", "UPDATE evidence_seal SET sealed_at = '2020-01-01'"), NAMED, "evidence_seal seq=1: it or its members were changed"),
    Attack("remove an audit event, guards asleep", SUPERUSER, _CHAIN,
        _tampered("audit_event", "DELETE FROM audit_event WHERE seq = 1"), NAMED, "audit_event seq=2: event 1 before it removed"),
)  # fmt: skip

_KEPT = "verify: no setting is kept for sessions of the books"
_EVERYBODY = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {0}', current_database()); END $$"
_LEAK = (
    "CREATE FUNCTION pg_temp.tell(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN "
    "RAISE EXCEPTION 'told: %', what; END $$;\nSELECT set_config('escrow.jurisdictions', '999999', true);\n"
)

SESSIONS = (
    Attack("keep foreign keys asleep for everybody who comes", SUPERUSER, _KEPT, _EVERYBODY.format("session_replication_role = replica"),
        NAMED, "keeps the setting session_replication_role=replica for everybody's sessions"),
    Attack("let the server forget what it said was committed", SUPERUSER, _KEPT, "ALTER ROLE ALL SET synchronous_commit = off",
        NAMED, "every role keeps the setting synchronous_commit=off"),
    Attack("let a role look for the tables elsewhere first", SUPERUSER, _KEPT, "ALTER ROLE escrow_poster SET search_path = elsewhere, public",
        NAMED, "escrow_poster keeps the setting search_path=elsewhere, public"),
    Attack("widen the scope of whoever comes without one", SUPERUSER, _KEPT, _EVERYBODY.format("escrow.jurisdictions = ''*''"),
        NAMED, "keeps the setting escrow.jurisdictions=* for everybody's sessions"),
    Attack("a table of one's own in place of the one a guard asks", POSTER, "search path of every guard",
        "INSERT INTO class_hour_event (institution_id, order_id, class_hour_no, event, event_at, event_on, reported_by, content_digest, "
        "source_file_sha256, source_line) SELECT institution_id, order_id, 3, event, now(), current_date, 'payer', sha256('d'), "
        "sha256('d'), 1 FROM orders CROSS JOIN (VALUES ('disputed'), ('confirmed')) AS e (event) WHERE order_id = 'ORD1';\n"
        "CREATE TEMPORARY TABLE class_hour_event AS SELECT * FROM public.class_hour_event WHERE event <> 'disputed';\n"
        "INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, released_on, basis, "
        "confirmation_event) SELECT institution_id, order_id, 3, 3, 0, current_date, 'payer', 'confirmed' FROM orders "
        "WHERE order_id = 'ORD1'", REFUSED, "it is disputed"),
    Attack("put the keys off to the end, and release what is not funded", POSTER, "foreign key to funding, not deferrable",
        "SET CONSTRAINTS ALL DEFERRED;\n"
        "INSERT INTO release (institution_id, order_id, class_hour_no, instalment_no, amount_minor_units, released_on, basis, "
        "confirmation_event) SELECT institution_id, order_id, 1, 1, 0, '2020-01-01', 'payer', 'confirmed' FROM orders "
        "WHERE order_id = 'ORD2'", REFUSED, "violates foreign key constraint"),
    Attack("MERGE ... UPDATE", POSTER, _GRANTS,
        "MERGE INTO release USING (SELECT 1) AS s ON true WHEN MATCHED THEN UPDATE SET amount_minor_units = 1", REFUSED, "permission denied for table release"),
    Attack("a function that tells of rows before a policy hides them", SUPERVISOR, "row-level policy scope_of_person comes first",
        _LEAK + "SELECT 1 / count(*) FROM orders WHERE pg_temp.tell(order_id)", REFUSED, "division by zero"),
    Attack("a function that tells of rows, through a view", SUPERVISOR, "views show what their reader may see",
        _LEAK + "SELECT 1 / count(*) FROM order_position WHERE pg_temp.tell(order_id)", REFUSED, "division by zero"),
    Attack("an error that tells of rows", SUPERVISOR, "row-level policy scope_of_person comes first",
        "SELECT set_config('escrow.jurisdictions', '999999', true);\nSELECT 1 / count(*) FROM orders WHERE order_id::date > '2025-01-01'",
        REFUSED, "division by zero"),
    Attack("close a month in another jurisdiction", PERSON, "row-level policy scope_of_person",
        "SELECT set_config('escrow.jurisdictions', '330100', true);\n"
        "INSERT INTO period_event (institution_id, month, event_no, event, actor, reason, event_at, last_batch_id) "
        "VALUES (1, '2025-02-01', 1, 'closed', 'x', 'x', now(), 1)", REFUSED, "row-level security"),
    Attack("let the server run a program", POSTER, "only a superuser may", "COPY hold FROM PROGRAM 'id'", REFUSED, "permission denied to COPY to or from an external program"),
    Attack("write the books to a file of the server", POSTER, "only a superuser may", "COPY orders TO '/tmp/orders'", REFUSED, "permission denied to COPY to a file"),
    Attack("read a file of the server", POSTER, "only a superuser may", "SELECT pg_read_file('postgresql.conf')", REFUSED, "permission denied for function pg_read_file"),
    Attack("publish every row to another server", OWNER, _TRAP, "CREATE PUBLICATION mine FOR TABLE orders", REFUSED, "CREATE PUBLICATION by escrow_owner refused"),
    Attack("an operator of one's own", OWNER, _TRAP, "CREATE OPERATOR public.<> (LEFTARG = text, RIGHTARG = bigint, FUNCTION = textne)", REFUSED, "CREATE OPERATOR by escrow_owner refused"),
)  # fmt: skip

SCHEMA = tuple(
    Attack(
        " ".join(weakening.split()),
        SUPERUSER,
        "verify: every table, rule and guard is as the migrations made it",
        weakening,
        NAMED,
        named,
    )
    for weakening, named, _ in WEAKENED
)

ATTACKS = (*HISTORY, *LEDGER, *TRAP, *FORGED, *SESSIONS, *SCHEMA)

_HEAD = """# Attacks, guards, results

Written by `python -m tests.storage.role_table` from the suite that tries each of them (`tests/storage/attacks.py`); a test holds this file
equal to it. Further attacks are tried in `tests/ledger/test_attacks.py` (forged transfers, headers, clearings, by the owner and by a
role granted everything), in `tests/storage/test_roles.py` (every table, by every role) and in `tests/storage/test_append_only.py`.

*Refused*: the database does not do it. *Named by verify*: who owns the schema or rules the server can do it, and
`escrow ledger verify` then exits 3 and names it. What nobody can notice inside the database: a superuser who rewrites rows,
digests, batches, seals and checkpoints consistently from some day on. Checkpoints and seal digests kept elsewhere show that.

| attack | tried as | guard | result |
|---|---|---|---|
"""


def document() -> str:
    """The table of docs/attacks.md."""
    lines = [f"| {_cell(one.what)} | {one.role} | {_cell(one.guard)} | {one.result}: {_cell(one.words)} |" for one in ATTACKS]
    return _HEAD + "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return words.replace("|", "\\|")
