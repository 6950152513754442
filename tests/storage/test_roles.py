"""What each role of the books can reach: its scope to read, nothing of evidence to change, and no way round by a table of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from config.roles import load_roster
from entrypoints.acting import reading_session
from escrow.hold import HoldScope
from escrow.holds import HoldRefused, place_hold
from jobs.verifying import faults_in_books
from migrations import runner
from migrations.schema import load_all_tables
from reconciliation.superseding import supersede
from storage.engine import DatabaseSettings, engine_as, open_engine
from storage.errors import DatabaseUnreachable
from storage.roles import EVERYWHERE, MEMBER_OF, Role, RolesRefused, Session, roles_at_fault
from storage.schema_trap import TRIGGERS
from tests.escrow.conftest import District
from wording import Said

#: A value of each type that a row made up for an attack can hold.
VALUES = {
    "integer": "1", "bigint": "1", "text": "'x'", "date": "'2025-03-03'", "boolean": "true", "bytea": r"'\x00'", "jsonb": "'{}'",
    "uuid": "'00000000-0000-0000-0000-000000000001'", "timestamp with time zone": "'2025-03-03'", "text[]": "'{}'", "smallint": "1",
    "numeric": "1", "uuid[]": "'{}'", "bytea[]": "'{}'", "bigint[]": "'{}'", "integer[]": "'{}'", "date[]": "'{}'", "character varying(32)": "'x'",
}  # fmt: skip


@contextmanager
def working_as(connection: Connection, session: Session) -> Iterator[None]:
    """A transaction of a connection as a role, within a scope; undone afterwards."""
    attempt = connection.begin_nested()
    connection.execute(text(f"SET LOCAL ROLE {session.role}"))
    for name, value in (("jurisdictions", ",".join(session.jurisdictions)), ("bank", session.bank or "")):
        connection.execute(text("SELECT set_config('escrow.' || :name, :value, true)"), {"name": name, "value": value})
    yield
    attempt.rollback()


def refused(connection: Connection, statement: str) -> str:
    """The error by which the database refuses a statement; empty when it does not."""
    attempt = connection.begin_nested()
    try:
        connection.execute(text(statement.replace(":", "\\:")))
    except DBAPIError as error:
        return str(error.orig)
    finally:
        attempt.rollback()
    return ""


def trap_off(connection: Connection) -> None:
    """Look at what holds behind the trap against changes of the schema, which a superuser alone can switch off."""
    for name in TRIGGERS:
        connection.execute(text(f"ALTER EVENT TRIGGER {name} DISABLE"))


def a_row_in_every_table(connection: Connection) -> list[str]:
    """Put one made-up row into every table of schema public, partitions included, with all guards off and then on again as before."""
    connection.execute(text("SELECT ledger_add_month('2000-01-01')"))
    relations = connection.execute(
        text(
            "SELECT oid::regclass::text, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND relname <> 'alembic_version' ORDER BY 1"
        )
    ).all()
    checks = connection.execute(
        text(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND coninhcount = 0 "
            "AND connamespace = 'public'::regnamespace"
        )
    ).all()
    for table, check in checks:
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {check}"))
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for table in (table for table, kind in relations if kind == "r"):  # a partition's row is its table's as well
        columns = connection.execute(
            text(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = CAST(:t AS regclass) AND attnum > 0 AND NOT attisdropped"
            ),
            {"t": table},
        ).all()
        always = list(
            connection.scalars(
                text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:t AS regclass) AND tgenabled = 'A'"), {"t": table}
            )
        )
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        names, values = ", ".join(name for name, _ in columns), ", ".join(VALUES[kind] for _, kind in columns)
        connection.execute(text(f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"))
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))
        for trigger in always:
            connection.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}"))
    connection.execute(text("SET LOCAL session_replication_role = origin"))
    return [table for table, _ in relations]


def test_no_role_changes_removes_or_empties_any_row_of_any_table(connection: Connection) -> None:
    """Every table there is (a new one or a partition too), with a row in it, by every role, the tables' owners and the superuser."""
    tables = a_row_in_every_table(connection)
    guarded = connection.scalars(
        text(
            "SELECT t.tgrelid::regclass::text FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "WHERE p.proname = 'ledger_guard_projection'"
        )
    )
    #: Work state such as job_run, which says in its tables.py that it holds no evidence: its writer may change it.
    may_change = {table.name for table in load_all_tables().sorted_tables if not table.info.get("append_only")} - set(guarded)
    login = connection.execute(text("SELECT session_user")).scalar_one()
    reached = []
    for role in (*Role, login):
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        for table in tables:
            if table in may_change and role in (Role.POSTER, Role.OWNER, Role.MIGRATOR, login):
                continue
            column = connection.execute(
                text(
                    "SELECT min(attname) FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0 AND attidentity = ''"
                ),
                {"t": table},
            ).scalar_one()
            for replica in (False, True) if role == login else (False,):
                for statement in (
                    f"UPDATE {table} SET {column} = {column}",
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table} CASCADE",
                    f"MERGE INTO {table} USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
                    f"WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone",
                ):
                    with_mode = connection.begin_nested()
                    if replica:
                        connection.execute(text("SET LOCAL session_replication_role = replica"))
                    said = refused(connection, statement)
                    with_mode.rollback()
                    if not re.search("permission denied|its rows are evidence|moves only with them|must be owner", said):
                        reached.append((role, statement, said))
        connection.execute(text("RESET ROLE"))

    assert reached == []


def test_the_roles_have_no_powers_of_their_own(connection: Connection) -> None:
    assert roles_at_fault(connection) == []


def test_a_role_given_more_power_is_named(connection: Connection) -> None:
    connection.execute(text("ALTER ROLE escrow_auditor SUPERUSER"))
    connection.execute(text("GRANT escrow_owner TO escrow_poster"))

    said = roles_at_fault(connection)

    assert said == ["escrow_auditor is a superuser", "escrow_poster is a member of escrow_owner"]
    assert {fault.row for fault in faults_in_books(connection)} >= {"escrow_auditor", "escrow_poster"}
    connection.rollback()  # roles belong to the server


@pytest.fixture
def two_cities(connection: Connection) -> Connection:
    """An institution in Hangzhou (330100) and one in Beijing (110000), each with an order paid."""
    district = District(connection)
    district.found(1, jurisdiction="330100")
    district.found(2, jurisdiction="110000")
    for number in (1, 2):
        district.paid(f"ORD{number}", number)
    return connection


def _seen(connection: Connection, table: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_supervisor_reads_the_own_jurisdictions_and_nothing_without_any(two_cities: Connection) -> None:
    hangzhou = reading_session(load_roster().principal("wang.hangzhou"))
    country = reading_session(load_roster().principal("zhang.prepare"))
    tables = (
        "institution",
        "custody_account",
        "orders",
        "prepayment",
        "transfer",
        "account_balance",
        "order_position",
        "trial_balance",
    )
    everything = {table: _seen(two_cities, table) for table in tables}

    with working_as(two_cities, hangzhou):
        assert two_cities.scalars(text("SELECT jurisdiction_code FROM institution")).all() == ["330100"]
        assert {table: _seen(two_cities, table) * 2 for table in tables} == everything
    with working_as(two_cities, country):
        assert {table: _seen(two_cities, table) for table in tables} == everything
    with working_as(two_cities, Session(Role.SUPERVISOR)):
        assert {table: _seen(two_cities, table) for table in tables} == dict.fromkeys(tables, 0)


def test_a_scope_widened_by_hand_inside_a_value_widens_nothing(two_cities: Connection) -> None:
    with working_as(two_cities, Session(Role.SUPERVISOR, ("330100' OR true --",))):
        assert _seen(two_cities, "orders") == 0


def test_a_bank_sees_its_own_accounts_and_no_orders(two_cities: Connection) -> None:
    own = two_cities.execute(text("SELECT min(bank_code) FROM custody_account")).scalar_one()
    accounts = two_cities.execute(text("SELECT count(*) FROM custody_account WHERE bank_code = :b"), {"b": own}).scalar_one()
    with working_as(two_cities, Session(Role.BANK, bank=own)):
        assert _seen(two_cities, "custody_account") == accounts
        assert "permission denied" in refused(two_cities, "SELECT * FROM orders")
        assert "permission denied" in refused(two_cities, "SELECT * FROM transfer")
    with working_as(two_cities, Session(Role.BANK, bank="NOBODY")):
        assert _seen(two_cities, "custody_account") == 0
        other = "INSERT INTO statement_file (file_name, sender_bank, received_by, received_at, sha256, size_bytes, content) "
        assert "row-level security" in refused(two_cities, other + f"VALUES ('x', '{own}', 'x', now(), sha256('x'), 1, 'x')")


def test_a_bank_reads_no_balance_of_the_same_institution_at_another_bank(two_cities: Connection) -> None:
    """An institution may keep accounts at several banks."""
    institution, own = two_cities.execute(
        text("SELECT institution_id, bank_code FROM custody_account ORDER BY custody_account_id LIMIT 1")
    ).one()
    balances = "SELECT count(*) FROM account_balance WHERE institution_id = :institution"
    before = two_cities.execute(text(balances), {"institution": institution}).scalar_one()
    two_cities.execute(
        text(
            "INSERT INTO custody_account (institution_id, bank_code, account_number, account_name, currency, opened_on, "
            "beneficiary_name, beneficiary_account, beneficiary_bank, source_file_sha256, source_line) SELECT institution_id, 'OTHER', "
            "'another', account_name, currency, opened_on, beneficiary_name, beneficiary_account, beneficiary_bank, "
            "source_file_sha256, source_line FROM custody_account WHERE institution_id = :institution"
        ),
        {"institution": institution},
    )
    two_cities.execute(
        text(
            "INSERT INTO account (institution_id, custody_account_id, kind, subject, normal_side, currency, in_transit, opened_on) "
            "SELECT institution_id, custody_account_id, 'custody_cash', 'elsewhere', 'DEBIT', currency, false, opened_on "
            "FROM custody_account WHERE bank_code = 'OTHER'"
        )
    )
    for bank, seen in ((own, before), ("OTHER", 1)):
        with working_as(two_cities, Session(Role.BANK, bank=bank)):
            assert two_cities.execute(text(balances), {"institution": institution}).scalar_one() == seen > 0


def test_an_auditor_reads_everything_and_writes_to_the_audit_log_only(two_cities: Connection) -> None:
    orders = _seen(two_cities, "orders")
    with working_as(two_cities, Session(Role.AUDITOR, EVERYWHERE)):
        assert _seen(two_cities, "orders") == orders
        granted = two_cities.scalars(
            text(
                "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' "
                "AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')"
            )
        ).all()
        assert granted == ["audit_event"]
        assert faults_in_books(two_cities) == []


@pytest.mark.parametrize("role", [Role.POSTER, Role.AUDITOR, Role.BANK, Role.SUPERVISOR])
def test_a_session_of_the_program_makes_no_objects_and_takes_no_other_part(connection: Connection, role: Role) -> None:
    with working_as(connection, Session(role)):
        for statement in (
            "CREATE TABLE public.mine (id int)",
            "CREATE SCHEMA mine",
            "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE transfer DISABLE TRIGGER ALL",
            "DROP TABLE transfer",
            "CREATE TRIGGER mine BEFORE INSERT ON transfer FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            "CREATE RULE mine AS ON INSERT TO transfer DO INSTEAD NOTHING",
            "SELECT setval('custody_account_custody_account_id_seq', 1)",
        ):
            assert re.search("permission denied|must be owner", refused(connection, statement)), statement


def test_a_table_of_ones_own_does_not_stand_in_for_the_books(two_cities: Connection) -> None:
    """Temporary tables come first in a session's search path; the guards look elsewhere."""
    with working_as(two_cities, Session(Role.POSTER)):
        for table in ("journal_head", "account_balance", "account", "class_hour_event"):
            two_cities.execute(text(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table}"))
        before = _seen(two_cities, "pg_temp.account_balance")
        account = "INSERT INTO public.account (institution_id, custody_account_id, kind, subject, normal_side, currency, in_transit, opened_on) "
        two_cities.execute(
            text(
                account
                + "SELECT institution_id, custody_account_id, 'x', 'y', 'DEBIT', 'CNY', false, '2025-01-01' FROM public.account LIMIT 1"
            )
        )
        assert _seen(two_cities, "pg_temp.account_balance") == before
        assert _seen(two_cities, "public.account_balance") == before + 1


def test_no_role_hangs_a_guard_of_the_books_on_a_table_of_its_own(connection: Connection) -> None:
    """A guard moves balances for the rows it is shown; shown rows of one's own making it would move them for nothing."""
    hang = (
        "CREATE TRIGGER mine AFTER INSERT ON mine REFERENCING NEW TABLE AS new_transfers FOR EACH STATEMENT "
        "EXECUTE FUNCTION ledger_guard_transfer()"
    )
    with working_as(connection, Session(Role.OWNER)):
        connection.execute(text("CREATE TEMPORARY TABLE mine (LIKE public.transfer)"))
        assert "CREATE TRIGGER by escrow_owner refused" in refused(connection, hang)
    trap_off(connection)
    for role in (Role.POSTER, Role.OWNER):
        with working_as(connection, Session(role)):
            connection.execute(text("CREATE TEMPORARY TABLE mine (LIKE public.transfer)"))
            assert "permission denied for function ledger_guard_transfer" in refused(connection, hang)


@pytest.mark.parametrize("superuser", [True, False])
def test_a_trigger_of_ones_own_moves_no_balance_however_deep(two_cities: Connection, superuser: bool) -> None:
    """Depth alone proves nothing: a trigger on any table that updates a balance is as deep as the books' own."""
    attempt = two_cities.begin_nested()
    if not superuser:
        trap_off(two_cities)  # or the owner could not even make the function
        two_cities.execute(text(f"SET LOCAL ROLE {Role.OWNER}"))
    two_cities.execute(text("CREATE TEMPORARY TABLE mine (id int)"))
    two_cities.execute(
        text(
            "CREATE FUNCTION pg_temp.deep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "UPDATE public.account_balance SET balance_minor_units = 0; RETURN NULL; END $$"
        )
    )
    two_cities.execute(text("CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pg_temp.deep()"))

    said = refused(two_cities, "INSERT INTO mine VALUES (1)")

    assert ("moves only with them" if superuser else "permission denied for table account_balance") in said
    attempt.rollback()


def test_an_own_refusal_on_the_search_path_refuses_nothing_less(two_cities: Connection) -> None:
    attempt = two_cities.begin_nested()
    two_cities.execute(text("CREATE SCHEMA mine"))
    two_cities.execute(
        text("CREATE FUNCTION mine.refuse_posting(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$")
    )
    two_cities.execute(text("SET LOCAL search_path = mine, public"))
    assert "moves only with them" in refused(two_cities, "UPDATE account_balance SET balance_minor_units = 0")
    attempt.rollback()


def test_the_program_s_session_starts_in_its_role_and_reset_leads_back_to_it(books_url: str) -> None:
    settings = DatabaseSettings(Path("/nowhere"), url=books_url)
    session = Session(Role.SUPERVISOR, ("330100", "odd value\\ with 'marks"), None)
    with open_engine(settings) as engine, engine_as(engine, settings, session) as limited, limited.connect() as connection:
        connection.execute(text("RESET ALL"))
        connection.execute(text("RESET ROLE"))
        assert connection.execute(text("SELECT current_user")).scalar_one() == Role.SUPERVISOR
        assert connection.execute(text("SHOW escrow.jurisdictions")).scalar_one() == "330100,odd value\\ with 'marks"


@pytest.fixture
def plain_login(books: Engine, books_url: str) -> Iterator[str]:
    """The address of these books for a login that may do nothing: no role of the books, no right to make any."""
    with books.begin() as connection:
        connection.execute(text("CREATE ROLE plain LOGIN PASSWORD 'plain'"))
    yield make_url(books_url).set(username="plain", password="plain").render_as_string(hide_password=False)
    books.dispose()
    with books.begin() as connection:
        connection.execute(text("DROP OWNED BY plain"))
        connection.execute(text("DROP ROLE plain"))


def test_a_login_outside_the_roles_is_told_what_its_administrator_must_run(plain_login: str) -> None:
    settings = DatabaseSettings(Path("/nowhere"), url=plain_login)
    with open_engine(settings) as engine:
        with (
            pytest.raises(DatabaseUnreachable, match=r'plain may not work as escrow_poster.*GRANT escrow_poster TO "plain"'),
            engine_as(engine, settings, Session(Role.POSTER)),
        ):
            pass
        with (
            engine.connect() as connection,
            pytest.raises(RolesRefused, match=r'plain may not make the roles.*GRANT escrow_owner.* TO "plain"; Then run'),
        ):
            runner.upgrade(connection)


def test_a_login_in_one_role_works_as_that_role_and_no_other(books: Engine, plain_login: str) -> None:
    with books.begin() as connection:
        connection.execute(text("GRANT escrow_auditor TO plain"))
    settings = DatabaseSettings(Path("/nowhere"), url=plain_login)
    with open_engine(settings) as engine:
        with engine_as(engine, settings, Session(Role.AUDITOR, EVERYWHERE)) as limited, limited.connect() as connection:
            assert _seen(connection, "transfer") == 0
            assert refused(connection, "SET ROLE escrow_poster") != ""
        with pytest.raises(DatabaseUnreachable), engine_as(engine, settings, Session(Role.POSTER)):
            pass


def test_every_table_falls_under_the_roles_without_a_line_of_its_own(connection: Connection) -> None:
    """Derived from what the table declares: the poster adds to it, the auditor reads it, an institution's data is fenced."""
    can: Callable[[str, str, str], bool] = lambda role, table, what: bool(  # noqa: E731
        connection.execute(text("SELECT has_table_privilege(:r, :t, :w)"), {"r": role, "t": table, "w": what}).scalar_one()
    )
    fenced = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relrowsecurity")))
    owners = {Role.OWNER, *(member for member, group in MEMBER_OF.items() if group == Role.OWNER)}
    assert owners == {Role.OWNER, Role.MIGRATOR}
    for table in load_all_tables().sorted_tables:
        assert can(Role.AUDITOR, table.name, "SELECT"), table.name
        if table.info.get("append_only"):
            writer = Role.BOOKS if can(Role.BOOKS, table.name, "INSERT") else Role.POSTER  # guards alone write some
            assert can(writer, table.name, "INSERT"), table.name
            assert not any(can(role, table.name, "UPDATE, DELETE, TRUNCATE") for role in Role if role not in owners), table.name
        if "institution_id" in table.columns:
            assert table.name in fenced


def test_a_bank_reopens_a_signed_day_by_what_it_delivers_and_signs_none(two_cities: Connection) -> None:
    """A second statement of a signed-off day supersedes the sign-off, in the bank's own session; more it cannot say of it."""
    institution, account, own = two_cities.execute(
        text("SELECT institution_id, custody_account_id, bank_code FROM custody_account ORDER BY 2 LIMIT 1")
    ).one()
    day, now = date(2025, 3, 3), datetime(2025, 3, 4, tzinfo=UTC)
    event = (
        "INSERT INTO sign_off_event (institution_id, custody_account_id, business_date, event_no, event, event_at, actor, run_id, "
        f"prepared_event_no, prepared_by) VALUES ({institution}, {account}, '{day}', "
    )
    two_cities.execute(text("SET LOCAL session_replication_role = replica"))
    two_cities.execute(text(event + "1, 'prepared', now(), 'a', 1, NULL, NULL)"))
    two_cities.execute(text(event + "2, 'approved', now(), 'b', 1, 1, 'a')"))
    two_cities.execute(text("SET LOCAL session_replication_role = origin"))
    with working_as(two_cities, Session(Role.BANK, bank=own)):
        assert "row-level security" in refused(two_cities, event + "3, 'prepared', now(), 'c', 1, NULL, NULL)")
        gone = supersede(
            two_cities, institution_id=institution, custody_account_id=account, since=day, now=now, actor="bank",
            reason=Said("another statement came", "又收到对账单"),
        )  # fmt: skip
        assert gone == [day]
        assert two_cities.scalar(text("SELECT state FROM sign_off_state")) == "open"
    with working_as(two_cities, Session(Role.BANK, bank="NOBODY")):
        assert "row-level security" in refused(two_cities, event + "3, 'superseded', now(), 'c', NULL, NULL, NULL)")


def test_a_person_s_act_is_written_within_the_own_scope_only_and_moves_no_money(two_cities: Connection) -> None:
    places = dict(
        tuple(row)
        for row in two_cities.execute(
            text("SELECT i.jurisdiction_code, o.order_id FROM orders o JOIN institution i USING (institution_id)")
        )
    )
    own = reading_session(load_roster().principal("wang.hangzhou")).jurisdictions
    with working_as(two_cities, Session(Role.PERSON, own)):
        institution = two_cities.scalar(text("SELECT institution_id FROM institution"))
        who = {
            "institution_id": institution,
            "scope": HoldScope.ORDER,
            "reason": "x",
            "actor": "wang.hangzhou",
            "now": datetime.now(UTC),
        }
        assert place_hold(two_cities, **who, order_id=places["330100"]) > 0
        with pytest.raises(HoldRefused, match="has no order"):
            place_hold(two_cities, **{**who, "institution_id": 2 if institution == 1 else 1}, order_id=places["110000"])
        for table in (
            "transfer",
            "release",
            "refund",
            "disbursement_instruction",
            "orders",
            "statement",
            "match",
            "period_balance",
        ):
            assert "permission denied" in refused(two_cities, f"INSERT INTO {table} DEFAULT VALUES"), table
