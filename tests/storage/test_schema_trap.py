"""The trap lets migrations, months, temporary tables and other people's tables through, and a login that is no superuser nothing else.

What it refuses to the owner of the tables is in the table of attacks (``tests.storage.attacks``).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from jobs.verifying import faults_in_books
from migrations import runner
from storage.catalogue import schema_faults
from storage.embedded import EmbeddedServer
from storage.roles import Role
from storage.schema_trap import MIGRATION_LOCK, installation_statements, set_trap, trap

LOGIN = "trapped_login"
#: What the program's own login needs for its daily work; the others are for migrations.
DAILY = (Role.POSTER, Role.PERSON, Role.SUPERVISOR, Role.BANK, Role.AUDITOR)


@pytest.fixture
def plain_books(server: EmbeddedServer, template: str, request: pytest.FixtureRequest) -> Iterator[tuple[Engine, Engine]]:
    """Books on a server of which one is no superuser: as the login that migrated them, and as the server's administrator."""
    assert template  # the roles of the books are there
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text(f"CREATE ROLE {LOGIN} LOGIN PASSWORD 'secret'"))
        connection.execute(text(f"GRANT {', '.join(Role)} TO {LOGIN}"))
        connection.execute(text(f"CREATE DATABASE plain_trapped OWNER {LOGIN}"))
    login = create_engine(administration.url.set(username=LOGIN, password="secret", database="plain_trapped"))
    administrator = create_engine(administration.url.set(database="plain_trapped"))
    with login.connect() as connection:
        runner.upgrade(connection, getattr(request, "param", "head"))
    try:
        yield login, administrator
    finally:
        login.dispose()
        administrator.dispose()
        with administration.connect() as connection:
            connection.execute(text("DROP DATABASE plain_trapped WITH (FORCE)"))
            connection.execute(text(f"DROP ROLE {LOGIN}"))
        administration.dispose()


def refusal(connection: Connection, *statements: str, role: str | None = None) -> str:
    """What the database says to statements; empty when it does them. Nothing of them stays."""
    attempt = connection.begin_nested()
    try:
        if role:
            connection.execute(text(f"SET LOCAL ROLE {role}"))
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))
    except DBAPIError as error:
        return str(error.orig)
    finally:
        attempt.rollback()
    return ""


def lock() -> str:
    return f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"


def test_the_trap_is_set_by_every_upgrade_of_a_superuser(connection: Connection) -> None:
    assert trap(connection).set

    connection.execute(text("DROP FUNCTION refuse_schema_change() CASCADE"))
    assert [str(fault) for fault in schema_faults(connection)] == [
        "trap refuse_schema_change: it is missing; run: escrow db upgrade"
    ]
    connection.commit()
    runner.upgrade(connection)

    assert trap(connection).set
    assert faults_in_books(connection) == []


def test_a_second_time_nothing_is_set(connection: Connection) -> None:
    assert not set_trap(connection)


def test_months_are_added_by_the_poster_and_belong_to_the_owner(connection: Connection) -> None:
    said = refusal(connection, "SELECT ledger_add_month('2031-05-01')", role=Role.POSTER)
    assert said == ""
    connection.execute(text(f"SET LOCAL ROLE {Role.POSTER}"))
    connection.execute(text("SELECT ledger_add_month('2031-05-01')"))
    connection.execute(text("RESET ROLE"))

    owner = connection.scalar(text("SELECT relowner::regrole::text FROM pg_class WHERE relname = 'transfer_2031_05'"))
    assert owner == Role.OWNER
    assert schema_faults(connection) == []
    assert "ALTER TABLE" in refusal(connection, "ALTER TABLE transfer_2031_05 DISABLE TRIGGER USER", role=Role.OWNER)


def test_a_poster_who_added_a_month_holds_the_lock_and_has_gained_nothing(connection: Connection) -> None:
    add = "SELECT ledger_add_month('2031-05-01')"

    assert "must be owner" in refusal(connection, add, "ALTER TABLE transfer DISABLE TRIGGER ALL", role=Role.POSTER)
    assert "by escrow_owner refused" in refusal(
        connection, add, f"SET LOCAL ROLE {Role.OWNER}", "ALTER TABLE transfer DISABLE TRIGGER ALL", role=Role.POSTER
    )


@pytest.mark.parametrize("role", [Role.POSTER, Role.AUDITOR, Role.OWNER])
def test_temporary_tables_and_views_are_free(connection: Connection, role: Role) -> None:
    made = (
        "CREATE TEMPORARY TABLE mine (id int PRIMARY KEY, at date DEFAULT '2025-01-01') ON COMMIT DROP",
        "CREATE TEMPORARY TABLE sums AS SELECT id FROM mine",
        "CREATE INDEX ON mine (at)",
        "CREATE TEMPORARY VIEW seen AS SELECT * FROM mine",
        "DROP VIEW seen",
        "DROP TABLE mine",
    )

    assert refusal(connection, *made, role=role) == ""


def test_other_peoples_tables_in_the_same_database_are_their_own(connection: Connection) -> None:
    for statement in (
        "CREATE ROLE somebody_else", "CREATE SCHEMA theirs AUTHORIZATION somebody_else", "SET LOCAL ROLE somebody_else",
        "CREATE TABLE theirs.page (id int)", "ALTER TABLE theirs.page ADD COLUMN text text", "DROP TABLE theirs.page",
    ):  # fmt: skip
        connection.execute(text(statement))
    connection.rollback()


def test_a_migration_in_another_session_gives_the_owner_nothing(books: Engine) -> None:
    with books.connect() as migrating, books.connect() as other:
        migrating.execute(text(lock()))

        assert "refused" in refusal(other, "ALTER TABLE hold DISABLE TRIGGER USER", role=Role.MIGRATOR)


def test_the_lock_of_something_else_is_not_the_lock_of_a_migration(connection: Connection) -> None:
    for other in ("SELECT pg_advisory_xact_lock(1)", "SELECT pg_advisory_xact_lock(0, 0)"):
        assert "refused" in refusal(connection, other, "ALTER TABLE hold DISABLE TRIGGER USER", role=Role.MIGRATOR)

    assert refusal(connection, lock(), "ALTER TABLE hold DISABLE TRIGGER USER", role=Role.MIGRATOR) == ""


def test_where_the_login_is_no_superuser_the_trap_is_a_warning_until_an_administrator_sets_it(
    plain_books: tuple[Engine, Engine],
) -> None:
    login, administrator = plain_books
    with login.connect() as connection:
        assert (trap(connection).set, trap(connection).faults) == (False, ())
        assert not set_trap(connection)
        assert schema_faults(connection) == []
        assert refusal(connection, "ALTER TABLE hold DISABLE TRIGGER USER") == ""
    with administrator.begin() as connection:
        for statement in installation_statements():
            connection.execute(text(statement.replace(":", "\\:")))
    with login.connect() as connection:
        assert trap(connection).set
        assert schema_faults(connection) == []
        for statement in (
            "ALTER TABLE hold DISABLE TRIGGER USER", "DROP TABLE hold CASCADE", "GRANT DELETE ON hold TO PUBLIC",
            "REASSIGN OWNED BY escrow_owner TO escrow_books", "DROP FUNCTION refuse_schema_change() CASCADE",
            "ALTER EVENT TRIGGER refuse_schema_change_drop DISABLE",
        ):  # fmt: skip
            said = refusal(connection, statement, "ALTER TABLE hold DISABLE TRIGGER USER")
            assert "refused" in said or "must be owner" in said, (statement, said)
        assert refusal(connection, "SELECT ledger_add_month('2031-05-01')") == ""


@pytest.mark.parametrize("plain_books", ["0024_schema_trap"], indirect=True)
def test_migrations_of_a_login_that_is_no_superuser_pass_the_trap(plain_books: tuple[Engine, Engine]) -> None:
    login, administrator = plain_books
    with administrator.begin() as connection:
        assert set_trap(connection)
    with login.connect() as connection:
        assert "refused" in refusal(connection, "ALTER TABLE hold DISABLE TRIGGER USER")
        connection.rollback()
        runner.upgrade(connection)

        assert runner.current_revision(connection) == runner.head_revision()
        assert schema_faults(connection) == []


def test_a_login_for_the_daily_work_alone_can_neither_change_the_schema_nor_become_who_can(
    plain_books: tuple[Engine, Engine],
) -> None:
    login, administrator = plain_books
    with administrator.begin() as connection:
        set_trap(connection)
        connection.execute(text(f"ALTER DATABASE plain_trapped OWNER TO {connection.scalar(text('SELECT current_user'))}"))
        connection.execute(text(f"REVOKE {', '.join(set(Role) - set(DAILY))} FROM {LOGIN}"))
    with login.connect() as connection:
        assert "must be owner" in refusal(connection, lock(), "ALTER TABLE hold DISABLE TRIGGER USER")
        for role in set(Role) - set(DAILY):
            assert "permission denied to set role" in refusal(connection, f"SET ROLE {role}")
        assert refusal(connection, "SELECT ledger_add_month('2031-05-01')", role=Role.POSTER) == ""


def test_the_owner_cannot_become_the_role_of_migrations(connection: Connection) -> None:
    for role in set(Role) - {Role.MIGRATOR}:
        assert not connection.scalar(text(f"SELECT pg_has_role('{role}', '{Role.MIGRATOR}', 'MEMBER')"))
