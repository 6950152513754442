"""On the embedded server daily commands work by a login that can become the roles of daily work and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from jobs.verifying import faults_in_books
from storage.engine import DatabaseSettings, engine_as
from storage.program_login import DAILY_ROLES, PROGRAM_LOGIN, ensure_program_login, login_at_fault
from storage.roles import Role, Session
from storage.schema_trap import TRIGGERS, trap

#: Embedded books, as far as the engine asks: no server's address is given.
EMBEDDED = DatabaseSettings(Path("unused"))


@pytest.fixture
def no_login(books: Engine) -> Iterator[Engine]:
    """Books on a server where the login was never made; it is gone again afterwards, because it belongs to the server."""
    _drop(books)
    yield books
    _drop(books)


def _drop(books: Engine) -> None:
    with books.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {PROGRAM_LOGIN}"))


@pytest.fixture
def at_work(no_login: Engine) -> Iterator[Connection]:
    """A session of a daily command, working as the poster."""
    with no_login.connect() as owner:
        ensure_program_login(owner)
    with engine_as(no_login, EMBEDDED, Session(Role.POSTER)) as limited, limited.connect() as connection:
        yield connection


def refusal(connection: Connection, *statements: str) -> str:
    attempt = connection.begin_nested()
    try:
        for statement in statements:
            connection.execute(text(statement))
    except DBAPIError as error:
        return str(error.orig)
    finally:
        attempt.rollback()
    return ""


def test_daily_work_is_the_posters_by_a_login_that_is_no_superuser(at_work: Connection) -> None:
    row = at_work.execute(text("SELECT session_user, current_user, rolsuper FROM pg_roles WHERE rolname = session_user")).one()

    assert tuple(row) == (PROGRAM_LOGIN, str(Role.POSTER), False)


def test_the_way_back_from_the_role_leads_to_nothing(at_work: Connection) -> None:
    assert "permission denied for table transfer" in refusal(at_work, "SET ROLE NONE", "SELECT count(*) FROM transfer")
    assert "permission denied" in refusal(at_work, "SET ROLE NONE", "CREATE TABLE public.mine (id int)")
    assert "permission denied to set session authorization" in refusal(at_work, "SET SESSION AUTHORIZATION escrow")


@pytest.mark.parametrize("role", [Role.OWNER, Role.MIGRATOR, Role.BOOKS, "escrow"])
def test_who_owns_or_changes_tables_is_out_of_reach(at_work: Connection, role: str) -> None:
    assert f'permission denied to set role "{role}"' in refusal(at_work, f"SET ROLE {role}")


@pytest.mark.parametrize("role", DAILY_ROLES)
def test_every_daily_role_is_within_reach(at_work: Connection, role: Role) -> None:
    assert refusal(at_work, f"SET ROLE {role}", "SELECT 1") == ""


def test_a_login_that_came_back_without_a_password_gets_its_own_again(no_login: Engine) -> None:
    with no_login.connect() as owner:
        owner.execute(text(f"CREATE ROLE {PROGRAM_LOGIN} LOGIN"))  # as a restore makes it
        ensure_program_login(owner)

    with engine_as(no_login, EMBEDDED, Session(Role.AUDITOR)) as limited, limited.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar_one() == Role.AUDITOR


def test_what_a_session_of_the_login_keeps_for_itself_is_named_and_taken_back_by_the_next_command(no_login: Engine) -> None:
    """Any login may give itself another password and settings: one session so could lock out, or loosen, all that follow."""
    with no_login.connect() as owner:
        ensure_program_login(owner)
    with engine_as(no_login, EMBEDDED, Session(Role.SUPERVISOR)) as limited, limited.connect() as session:
        database = session.execute(text("SELECT current_database()")).scalar_one()
        session.execute(text("SET ROLE NONE"))
        session.execute(text(f"ALTER ROLE {PROGRAM_LOGIN} PASSWORD 'mine'"))
        session.execute(text(f"ALTER ROLE {PROGRAM_LOGIN} SET synchronous_commit = off"))
        session.execute(text(f"ALTER ROLE {PROGRAM_LOGIN} IN DATABASE {database} SET search_path = mine, public"))
        session.commit()
    with no_login.connect() as owner:
        named = [fault.what for fault in faults_in_books(owner) if fault.table == "schema: setting"]
        ensure_program_login(owner)

        assert [said.split("; ")[0] for said in named] == [
            f"{PROGRAM_LOGIN} keeps the setting search_path=mine, public for its sessions",
            f"{PROGRAM_LOGIN} keeps the setting synchronous_commit=off for its sessions",
        ]
        assert named[0].endswith(f"run: ALTER ROLE {PROGRAM_LOGIN} IN DATABASE {database} RESET search_path")
        assert named[1].endswith(f"run: ALTER ROLE {PROGRAM_LOGIN} RESET synchronous_commit")
        assert faults_in_books(owner) == []
    with engine_as(no_login, EMBEDDED, Session(Role.POSTER)) as limited, limited.connect() as session:
        assert session.execute(text("SELECT session_user, current_setting('search_path')")).one() == (
            PROGRAM_LOGIN,
            '"$user", public',
        )


def test_commands_that_make_it_at_once_all_find_it(no_login: Engine) -> None:
    def make(_number: int) -> None:
        with no_login.connect() as owner:
            ensure_program_login(owner)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(6)))

    with engine_as(no_login, EMBEDDED, Session(Role.PERSON)) as limited, limited.connect() as connection:
        assert connection.execute(text("SELECT session_user")).scalar_one() == PROGRAM_LOGIN


def test_verify_names_a_login_that_was_given_more(at_work: Connection, connection: Connection) -> None:
    assert login_at_fault(at_work) == []
    connection.execute(text(f"ALTER ROLE {PROGRAM_LOGIN} CREATEROLE"))
    connection.execute(text(f"GRANT escrow_owner TO {PROGRAM_LOGIN}"))

    assert login_at_fault(connection) == [
        "escrow_program is able to make roles",
        "escrow_program is a member of escrow_owner",
    ]
    assert PROGRAM_LOGIN in {fault.row for fault in faults_in_books(connection)}
    connection.rollback()


def test_to_daily_work_a_missing_trap_is_a_fault(at_work: Connection, no_login: Engine) -> None:
    assert trap(at_work).faults == ()
    at_work.rollback()
    with no_login.begin() as owner:
        for name in TRIGGERS:
            owner.execute(text(f"DROP EVENT TRIGGER {name}"))
        owner.execute(text("DROP FUNCTION refuse_schema_change()"))

    assert trap(at_work).faults == ("it is missing; run: escrow db upgrade",)


def test_the_owners_password_does_not_follow_from_the_logins(no_login: Engine) -> None:
    with no_login.connect() as owner:
        ensure_program_login(owner)
    with engine_as(no_login, EMBEDDED, Session(Role.POSTER)) as limited:
        as_owner = create_engine(limited.url.set(username=no_login.url.username))
        with pytest.raises(DBAPIError, match="password authentication failed"):
            as_owner.connect()
        as_owner.dispose()
