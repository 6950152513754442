"""Books full of history are upgraded without a row of it being rewritten, and verify afterwards.

``books-0005.backup`` holds a simulated district (seed 5, 2 institutions, 40 orders, 6 days) as the program of revision
0005_jobs wrote it, dumped from the oldest PostgreSQL that is supported, because a newer one's dump cannot be restored
there. Every later revision must bring it to head.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from jobs.verifying import faults_in_books
from migrations import runner
from migrations.check import differences
from storage.backup import read_backup, restore, table_contents
from storage.embedded import EmbeddedServer

BACKUP = Path(__file__).with_name("books-0005.backup")


def silent(*_: object) -> None:
    """Nobody is told of progress."""


@pytest.fixture(scope="module")
def old_books(server: EmbeddedServer) -> Iterator[Engine]:
    """The books of revision 0005, restored."""
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    engine = create_engine(server.url("old_books"), connect_args={"options": "-c timezone=UTC"})
    with administration.connect() as connection:
        connection.execute(text("CREATE DATABASE old_books"))
    try:
        manifest = read_backup(BACKUP, silent)
        restore(engine, BACKUP, manifest, anchors=lambda _: manifest["anchors"], prove=silent, progress=silent)
        yield engine
    finally:  # a connection left open would be complained of in another test, whichever runs when it is collected
        engine.dispose()
        with administration.connect() as connection:
            connection.execute(text("DROP DATABASE old_books WITH (FORCE)"))
        administration.dispose()


def files(connection: Connection) -> dict[str, int]:
    """The file each table's rows lie in: another number means that every row was written again."""
    rows = connection.execute(
        text(
            """
            SELECT relname::text, relfilenode::bigint FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
            """
        )
    )
    return {name: int(number) for name, number in rows}


def rows_and_places(connection: Connection, table: str) -> tuple[int, str]:
    """How many rows a table holds, and a digest of where they lie and which transactions wrote them."""
    row = connection.execute(
        text(f"SELECT count(*), coalesce(md5(string_agg(ctid::text || xmin || xmax, ',' ORDER BY ctid)), '') FROM \"{table}\"")
    ).one()
    return int(row[0]), str(row[1])


def test_every_revision_since_0005_upgrades_filled_books_without_rewriting_history(old_books: Engine) -> None:
    with old_books.connect() as connection:
        assert runner.current_revision(connection) == "0005_jobs"
        before = files(connection)
        rows = {name: rows_and_places(connection, name) for name in before}
        roots = {name: one for name, one in table_contents(connection, silent).items() if one["root"]}
        connection.rollback()
        assert sum(count for count, _ in rows.values()) > 1_000

        for revision in [name for name in runner.known_revisions() if name > "0005_jobs"]:
            runner.upgrade(connection, revision)
            after = files(connection)
            rewritten = [name for name, file in before.items() if file not in after.values()]  # whatever it is called now
            assert rewritten == [], f"{revision} writes every row of {rewritten} again"
            moved = [name for name in roots if rows_and_places(connection, name) != rows[name]]
            assert moved == [], f"{revision} touches rows of {moved}, which are evidence"
            connection.rollback()

        assert runner.current_revision(connection) == runner.head_revision()
        assert rows_and_places(connection, "transfer_through_2026_03") == rows["transfer"]
        assert differences(connection) == []
        here = table_contents(connection, silent)
        assert {name: here[name] for name in roots} == roots
        assert faults_in_books(connection) == []


def test_a_step_that_takes_too_long_is_given_up_with_advice(old_books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statement timeout is set in migrations/env.py; here a step runs into it."""
    from alembic import command

    def slow(config: object, _revision: str) -> None:
        connection = config.attributes["connection"]  # type: ignore[attr-defined]
        connection.execute(text("SET statement_timeout = '50ms'"))
        connection.execute(text("SELECT pg_sleep(5)"))

    monkeypatch.setattr(command, "upgrade", slow)
    with old_books.connect() as connection, pytest.raises(runner.UpgradeRefused, match="gave up and changed nothing"):
        runner.upgrade(connection)


def test_an_upgrade_sets_both_timeouts_and_takes_them_back(old_books: Engine) -> None:
    seen: list[tuple[str, str]] = []
    with old_books.connect() as connection:
        from sqlalchemy import event

        @event.listens_for(connection, "before_cursor_execute")
        def look(_conn: object, _cursor: object, statement: str, *_: object) -> None:
            if "timeout" in statement:
                seen.append(tuple(statement.split()[1:2] + statement.split()[-1:]))  # type: ignore[arg-type]

        runner.upgrade(connection)
        timeouts = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("lock_timeout", "statement_timeout")]
    assert ("lock_timeout", "'5s'") in seen
    assert ("statement_timeout", "'10min'") in seen
    assert timeouts == ["0", "0"]
