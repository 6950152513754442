"""``escrow db backup`` and ``restore``: the same books again, proved; all or nothing."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import Result
from sqlalchemy import Engine, create_engine, text
from typer.testing import CliRunner

from entrypoints.cli import app
from jobs.verifying import faults_in_books
from migrations import runner
from storage.audit import record
from storage.backup import read_backup, restore, table_contents
from storage.embedded import EmbeddedServer
from storage.roles import Role
from storage.seal import seal_evidence
from tests.escrow.conftest import District
from tests.ledger.conftest import NOW

Run = Callable[..., Result]
_number = itertools.count(1)
TOP_SECRET = "backup_test_auditor"


@pytest.fixture
def told(books: Engine) -> Engine:
    """Books with postings and a seal."""
    with books.begin() as connection:
        district = District(connection)
        for number in (1, 2):
            district.found(number)
            district.paid(f"ORD{number}", number, course_name="=cmd|'x'!A0 \\N \\. 书法")
        district.taught("ORD1", [1, 2], "2025-03-06")
        record(
            connection,
            now=NOW,
            actor="x",
            role="x",
            act="a:b:c",
            object_kind="\\.\n",
            object_id="\n\\.\nCOPY x FROM stdin;\n\t\\N\r",
        )
    with books.begin() as connection:
        seal_evidence(connection, NOW)
    return books


@pytest.fixture
def elsewhere(server: EmbeddedServer) -> Iterator[Engine]:
    """An empty database."""
    name = f"restored_{next(_number)}"
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(server.url(name), connect_args={"options": "-c timezone=UTC"})
    yield engine
    engine.dispose()
    with administration.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    administration.dispose()


#: A simulated district as the program of revision 0005_jobs wrote it.
OLD_BACKUP = Path(__file__).parents[1] / "migrations" / "books-0005.backup"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    def on(engine: Engine, *arguments: object) -> Result:
        monkeypatch.setenv("ESCROW_DATABASE_URL", engine.url.render_as_string(hide_password=False))
        monkeypatch.setenv("ESCROW_USER", "")
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return on


def contents(engine: Engine) -> dict[str, dict[str, object]]:
    with engine.connect() as connection:
        return table_contents(connection, lambda *_: None)


def relations(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")) or 0)


def test_restored_books_are_the_same_books_and_verify(told: Engine, elsewhere: Engine, run: Run, tmp_path: Path) -> None:
    made = run(told, "db", "backup", "--out", tmp_path / "a.backup", "--json")
    assert made.exit_code == 0, made.output
    manifest = json.loads(made.stdout)
    at_backup = contents(told)
    restored = run(
        elsewhere, "db", "restore", tmp_path / "a.backup", "--expect-seal", manifest["anchors"]["newest seal"]["digest"]
    )

    assert restored.exit_code == 0, restored.output
    assert manifest["anchors"]["newest seal"]["digest"] in restored.stdout
    assert manifest["tables"] == at_backup
    here = contents(elsewhere)
    # The restore itself stands in the restored books' audit log, and nothing else is new.
    assert {name for name in here if here[name] != at_backup[name]} == {"audit_event"}
    with elsewhere.connect() as connection:
        assert faults_in_books(connection) == []
        assert runner.current_revision(connection) == runner.head_revision()
        acts = connection.scalars(text("SELECT act FROM audit_event ORDER BY seq")).all()
    assert acts[-2:] == ["cli:report:exported", "cli:backup:restored"]
    # The restored books go on: identity columns and heads stand where they stood.
    with elsewhere.begin() as connection:
        District(connection).paid("ORD-AFTER")
        assert faults_in_books(connection) == []


def test_roles_grants_and_settings_come_along(told: Engine, elsewhere: Engine, run: Run, tmp_path: Path) -> None:
    with told.begin() as connection:
        connection.execute(text(f"CREATE ROLE {TOP_SECRET} NOLOGIN"))
        connection.execute(text(f"COMMENT ON ROLE {TOP_SECRET} IS 'reads; it''s \"quoted\"'"))
        connection.execute(text(f"CREATE ROLE {TOP_SECRET}_member NOINHERIT IN ROLE {TOP_SECRET}"))
        connection.execute(text(f"GRANT SELECT ON transfer TO {TOP_SECRET}, {TOP_SECRET}_member"))
        connection.execute(text(f"GRANT CONNECT ON DATABASE {told.url.database} TO {TOP_SECRET}"))
        connection.execute(text(f"ALTER ROLE {TOP_SECRET} IN DATABASE {told.url.database} SET statement_timeout = '7s'"))
    # What the books' own check makes of a foreign grant is not this test's matter, so the restore is called without it.
    from storage.backup import read_backup, restore

    assert run(told, "db", "backup", "--out", tmp_path / "a.backup").exit_code == 0
    with told.begin() as connection:
        for role in (TOP_SECRET, f"{TOP_SECRET}_member"):
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"ALTER ROLE {role} RESET ALL"))
            connection.execute(text(f"ALTER ROLE {role} IN DATABASE {told.url.database} RESET ALL"))
            connection.execute(text(f"DROP ROLE {role}"))

    manifest = read_backup(tmp_path / "a.backup", lambda *_: None)
    made = restore(
        elsewhere,
        tmp_path / "a.backup",
        manifest,
        anchors=lambda _: manifest["anchors"],
        prove=lambda _: None,
        progress=lambda *_: None,
    )
    try:
        assert made == [TOP_SECRET, f"{TOP_SECRET}_member"]
        with elsewhere.connect() as connection:
            assert connection.scalar(text(f"SELECT has_table_privilege('{TOP_SECRET}', 'transfer', 'SELECT')"))
            assert not connection.scalar(text(f"SELECT has_table_privilege('{TOP_SECRET}', 'transfer', 'INSERT')"))
            assert connection.scalar(text(f"SELECT pg_has_role('{TOP_SECRET}_member', '{TOP_SECRET}', 'MEMBER')"))
            assert (
                connection.scalar(text(f"SELECT shobj_description('{TOP_SECRET}'::regrole, 'pg_authid')"))
                == 'reads; it\'s "quoted"'
            )
            assert "statement_timeout=7s" in str(
                connection.scalar(text("SELECT array_agg(setconfig::text) FROM pg_db_role_setting"))
            )
    finally:
        with elsewhere.begin() as connection:
            for role in (f"{TOP_SECRET}_member", TOP_SECRET):
                connection.execute(text(f"DROP OWNED BY {role}"))
                connection.execute(text(f"DROP ROLE {role}"))


def test_nothing_is_restored_over_anything(told: Engine, elsewhere: Engine, run: Run, tmp_path: Path) -> None:
    assert run(told, "db", "backup", "--out", tmp_path / "a.backup").exit_code == 0
    before = contents(told)
    refused = run(told, "db", "restore", tmp_path / "a.backup")
    assert refused.exit_code == 1
    assert "not empty" in str(refused.exception)
    assert "create an empty database" in str(refused.exception)
    assert contents(told) == before
    again = run(told, "db", "backup", "--out", tmp_path / "a.backup")
    assert again.exit_code == 1
    assert "never overwritten" in str(again.exception)
    other_seal = run(elsewhere, "db", "restore", tmp_path / "a.backup", "--expect-seal", "00" * 32)
    assert other_seal.exit_code == 1
    assert "it is another backup" in str(other_seal.exception)
    assert relations(elsewhere) == 0


def test_a_changed_backup_is_refused_before_anything_is_loaded(told: Engine, elsewhere: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    assert run(told, "db", "backup", "--out", path).exit_code == 0
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    refused = run(elsewhere, "db", "restore", path)
    assert refused.exit_code == 1
    assert "books.dump is not as it was written" in str(refused.exception)
    assert relations(elsewhere) == 0


def test_books_that_do_not_verify_are_not_restored(told: Engine, elsewhere: Engine, run: Run, tmp_path: Path) -> None:
    with told.begin() as connection:
        connection.execute(text("ALTER TABLE transfer DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE transfer SET amount_minor_units = amount_minor_units + 1 WHERE source_ref = 'ORD2'"))
        connection.execute(text("ALTER TABLE transfer ENABLE TRIGGER ALL"))
    assert run(told, "db", "backup", "--out", tmp_path / "a.backup").exit_code == 0
    refused = run(elsewhere, "db", "restore", tmp_path / "a.backup")
    assert refused.exit_code == 3
    assert "NOT VERIFIED" in refused.stdout
    assert relations(elsewhere) == 0


def test_a_restore_killed_before_its_end_leaves_the_database_empty(
    told: Engine, elsewhere: Engine, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "a.backup"
    assert run(told, "db", "backup", "--out", path).exit_code == 0
    code = (
        "import os, sys; from pathlib import Path; from sqlalchemy import create_engine; from storage.backup import *\n"
        "told = lambda *_: None; manifest = read_backup(Path(sys.argv[2]), told)\n"
        "restore(create_engine(sys.argv[1]), Path(sys.argv[2]), manifest, anchors=lambda _: manifest['anchors'],\n"
        "        prove=lambda _: os.kill(os.getpid(), 9), progress=told)"
    )
    url = elsewhere.url.render_as_string(hide_password=False)
    assert subprocess.run([sys.executable, "-c", code, url, str(path)], check=False).returncode == -signal.SIGKILL
    assert relations(elsewhere) == 0
    again = run(elsewhere, "db", "restore", path)
    assert again.exit_code == 0, again.output


def test_a_backup_killed_before_its_end_leaves_no_file_of_its_name(told: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    code = (
        "import os, sys; from datetime import *; from pathlib import Path; from sqlalchemy import create_engine\n"
        "import storage.backup\n"
        "told = lambda stage, *_: stage == 'copying' and os.kill(os.getpid(), 9)\n"
        "storage.backup.back_up(create_engine(sys.argv[1]), Path(sys.argv[2]), revision='x', made_at=datetime.now(UTC),\n"
        "    made_by='x', anchors=lambda _: {}, progress=told)"
    )
    url = told.url.render_as_string(hide_password=False)
    assert subprocess.run([sys.executable, "-c", code, url, str(path)], check=False).returncode == -signal.SIGKILL
    assert not path.exists()
    assert [one.name for one in tmp_path.iterdir()] == [".a.backup.part"]
    assert run(told, "db", "backup", "--out", path).exit_code == 0
    assert [one.name for one in tmp_path.iterdir()] == ["a.backup"]


def test_a_login_that_is_no_superuser_backs_up_and_restores(
    server: EmbeddedServer, template: str, run: Run, tmp_path: Path
) -> None:
    """As on a server: the login owns its databases and is a member of the roles of the books, nothing more."""
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    # The books of the template were migrated on this server, so the roles of the books are there.
    with administration.connect() as connection:
        connection.execute(text("CREATE ROLE plain_login LOGIN PASSWORD 'secret'"))
        connection.execute(text(f"GRANT {', '.join(Role)} TO plain_login"))
        for name in ("plain_books", "plain_restored"):
            connection.execute(text(f"CREATE DATABASE {name} OWNER plain_login"))
    engines = [
        create_engine(administration.url.set(username="plain_login", password="secret", database=name))
        for name in ("plain_books", "plain_restored")
    ]
    try:
        with engines[0].connect() as connection:
            runner.upgrade(connection)
        assert "no trap" in run(engines[0], "db", "status").stdout
        verified = run(engines[0], "ledger", "verify", "--json")
        assert verified.exit_code == 0
        assert "escrow db trap" in json.loads(verified.stdout)["warnings"][0]
        as_told = run(engines[0], "db", "trap").stdout
        address = administration.url.set(drivername="postgresql", database="plain_books")
        with psycopg.connect(address.render_as_string(hide_password=False)) as administrator:
            administrator.execute(as_told.encode())
        assert json.loads(run(engines[0], "db", "status", "--json").stdout)["schema_trap"] is True
        assert json.loads(run(engines[0], "ledger", "verify", "--json").stdout)["warnings"] == []
        with engines[0].begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {Role.POSTER}"))
            district = District(connection)
            district.found()
            district.paid()
        backed_up = run(engines[0], "db", "backup", "--out", tmp_path / "a.backup")
        assert backed_up.exit_code == 0, (backed_up.output, backed_up.exception)
        restored = run(engines[1], "db", "restore", tmp_path / "a.backup")
        assert restored.exit_code == 0, (restored.output, restored.exception)
        assert contents(engines[1])["transfer"] == contents(engines[0])["transfer"]
        assert json.loads(run(engines[1], "db", "status", "--json").stdout)["schema_trap"] is False  # its own administrator's
    finally:
        for engine in engines:
            engine.dispose()
        with administration.connect() as connection:
            for name in ("plain_books", "plain_restored"):
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
            connection.execute(text("DROP ROLE plain_login"))
        administration.dispose()


def test_books_of_an_older_revision_are_upgraded_and_verified_whole(elsewhere: Engine, run: Run) -> None:
    """Before the upgrade only digests, seals and the audit log can be asked; everything else is asked after it."""
    restored = run(elsewhere, "db", "restore", OLD_BACKUP)

    assert restored.exit_code == 0, (restored.output, restored.exception)
    assert f"upgraded from 0005_jobs to {runner.head_revision()}, and verified again" in restored.stdout
    with elsewhere.connect() as connection:
        assert runner.current_revision(connection) == runner.head_revision()
        assert connection.scalar(text("SELECT count(*) FROM transfer"))
        assert connection.scalar(text("SELECT count(*) FROM audit_event WHERE act = 'cli:backup:restored'")) == 1
    assert run(elsewhere, "ledger", "verify").exit_code == 0
    assert json.loads(run(elsewhere, "db", "status", "--json").stdout)["schema_trap"] is True


def test_a_fault_only_the_whole_verification_sees_is_named_after_the_upgrade(
    server: EmbeddedServer, elsewhere: Engine, run: Run, tmp_path: Path
) -> None:
    """A balance moved by hand at the older revision breaks no digest: what proves it is asked of books at head."""
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text("CREATE DATABASE old_and_wrong"))
    old = create_engine(server.url("old_and_wrong"))
    try:
        manifest = read_backup(OLD_BACKUP, lambda *_: None)
        restore(old, OLD_BACKUP, manifest, anchors=lambda _: manifest["anchors"], prove=lambda _: None, progress=lambda *_: None)
        with old.begin() as connection:
            connection.execute(text("ALTER TABLE account_balance DISABLE TRIGGER ALL"))
            connection.execute(
                text("UPDATE account_balance SET balance_minor_units = balance_minor_units + 1 WHERE balance_minor_units > 0")
            )
            connection.execute(text("ALTER TABLE account_balance ENABLE TRIGGER ALL"))
            guards = connection.scalars(
                text("SELECT tgname FROM pg_trigger WHERE tgrelid = 'account_balance'::regclass AND NOT tgisinternal")
            )
            for guard in guards.all():
                connection.execute(text(f"ALTER TABLE account_balance ENABLE ALWAYS TRIGGER {guard}"))
        assert run(old, "db", "backup", "--out", tmp_path / "wrong.backup").exit_code == 0

        restored = run(elsewhere, "db", "restore", tmp_path / "wrong.backup")

        assert restored.exit_code == 3, (restored.output, restored.exception)
        assert "faults after the upgrade; do not work with these books" in restored.stdout
        assert "account_balance" in restored.stdout
    finally:
        old.dispose()
        with administration.connect() as connection:
            connection.execute(text("DROP DATABASE old_and_wrong WITH (FORCE)"))
        administration.dispose()
