"""From empty to head, and head is what the code declares; what cannot be migrated is refused whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text

from migrations import runner
from migrations.check import differences
from migrations.schema import TABLE_MODULES, load_all_tables
from storage.append_only import append_only_tables
from storage.embedded import EmbeddedServer
from storage.verification import unprotected_tables


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[Engine]:
    """A database nobody has migrated."""
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text("CREATE DATABASE empty_books"))
    engine = create_engine(server.url("empty_books"))
    yield engine
    engine.dispose()
    with administration.connect() as connection:
        connection.execute(text("DROP DATABASE empty_books WITH (FORCE)"))
    administration.dispose()


def test_head_is_what_the_code_declares(connection: Connection) -> None:
    assert differences(connection) == []


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ("ALTER TABLE audit_event ADD COLUMN extra text", "remove_column"),
        ("ALTER TABLE audit_event DROP COLUMN role", "add_column"),
        ("ALTER TABLE audit_event ALTER COLUMN role DROP NOT NULL", "modify_nullable"),
        ("ALTER TABLE audit_event ALTER COLUMN seq TYPE integer", "modify_type"),
        ("ALTER TABLE audit_event DROP CONSTRAINT ck_audit_event_actor_named", "only the code has audit_event.ck_audit_event_actor_named"),
        ("ALTER TABLE audit_event ADD CONSTRAINT extra CHECK (seq < 10)", "only the migrations have audit_event.extra"),
        ("ALTER TABLE evidence_seal_member DROP CONSTRAINT fk_evidence_seal_member_seq_evidence_seal", "fk_evidence_seal_member_seq"),
        ("DROP INDEX ix_audit_event_object_kind_object_id", "add_index"),
        ("CREATE TABLE extra ()", "remove_table"),
        ("DROP TRIGGER audit_event_refuse_change ON audit_event", "audit_event does not refuse UPDATE and DELETE"),
    ],
)  # fmt: skip
def test_drift_of_the_schema_is_found(connection: Connection, drift: str, said: str) -> None:
    connection.execute(text(drift))

    found = differences(connection)

    assert len(found) >= 1
    assert said in " ".join(found)


def test_every_revision_follows_from_the_one_before_and_files_are_named_after_theirs() -> None:
    config = Config()
    config.set_main_option("script_location", "migrations")
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    revisions = [script.revision for script in scripts.walk_revisions()]
    assert scripts.get_heads() == [runner.head_revision()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(script.module.__name__.startswith(script.revision) for script in scripts.walk_revisions())


def test_every_package_s_tables_are_loaded() -> None:
    tables = load_all_tables().tables

    packages = {"storage", "ledger", "escrow", "reconciliation", "jobs"}
    more = {
        "escrow.answer_tables",
        "ledger.checkpoint_tables",
        "ledger.pending_tables",
        "ledger.period_tables",
        "ledger.archive_tables",
        "reconciliation.discrepancy_tables",
        "reconciliation.overdue_tables",
        "reconciliation.overlap_tables",
        "reconciliation.quarantine_tables",
        "reconciliation.version_tables",
    }
    assert set(TABLE_MODULES) == {f"{name}.tables" for name in packages} | more
    assert {"audit_event", "transfer", "checkpoint", "pending_transfer", "orders", "statement_line", "job_run"} <= set(tables)


def test_upgrading_twice_changes_nothing(empty: Engine) -> None:
    with empty.connect() as connection:
        for _ in range(2):
            runner.upgrade(connection)
            assert runner.current_revision(connection) == runner.head_revision()


def test_two_upgrades_at_once_end_at_head(empty: Engine) -> None:
    # Alembic's own context is one per process, so each upgrade runs in another one.
    url = empty.url.render_as_string(hide_password=False)
    code = (
        "import sys; from sqlalchemy import create_engine; from migrations import runner; "
        "runner.upgrade(create_engine(sys.argv[1]).connect())"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, url], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [(process.communicate(timeout=120)[1], process.returncode) for process in others]

    assert [code for _, code in results] == [0, 0], results
    with empty.connect() as connection:
        assert runner.current_revision(connection) == runner.head_revision()


def test_an_upgrade_waits_for_another_one_only_so_long_and_does_not_call_it_a_step(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "WAIT_SECONDS", 1)
    with empty.connect() as other, empty.connect() as connection:
        other.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0))"))
        with pytest.raises(runner.UpgradeRefused, match="another upgrade.*stopped waiting and changed nothing"):
            runner.upgrade(connection)
        other.rollback()
        runner.upgrade(connection)

        assert runner.current_revision(connection) == runner.head_revision()
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "0"


def test_an_upgrade_that_cannot_have_its_lock_changes_nothing_and_says_what_to_do(empty: Engine) -> None:
    with empty.connect() as connection:
        runner.upgrade(connection, "0001_foundation")
    release = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with empty.connect() as other:
            other.execute(text("LOCK TABLE alembic_version IN SHARE MODE"))
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    try:
        with empty.connect() as connection, pytest.raises(runner.UpgradeRefused, match="gave up after 5 s and changed nothing"):
            runner.upgrade(connection)
    finally:
        release.set()
        holder.join()
    with empty.connect() as connection:
        assert runner.current_revision(connection) == "0001_foundation"


def test_a_database_of_a_newer_program_is_refused(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '9999_tomorrow'"))
    connection.commit()

    with pytest.raises(runner.UpgradeRefused, match="revision 9999_tomorrow, which this program does not know"):
        runner.upgrade(connection)


def test_every_append_only_table_refuses_update_delete_and_truncate(connection: Connection) -> None:
    """By its triggers, whatever rows it holds; the attack itself is tried in tests/storage and on truncate here."""
    tables = append_only_tables(load_all_tables())

    assert len(tables) > 10
    assert unprotected_tables(connection, [table.name for table in tables]) == []
    for table in tables:
        with pytest.raises(Exception, match=f"TRUNCATE of {table.name} refused"), connection.begin_nested():
            connection.execute(text(f"TRUNCATE {table.name} CASCADE"))


def test_every_table_that_may_change_says_why() -> None:
    silent = [
        table.name
        for table in load_all_tables().sorted_tables
        if not table.info.get("append_only") and len(table.info.get("projection", "").split()) < 4
    ]
    assert silent == []
