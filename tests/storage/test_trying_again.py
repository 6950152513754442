"""A transaction the server ended is done again from its beginning; one that may have been committed never is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from storage.trying_again import committed, connection_lost, lost_race


@pytest.fixture
def noted(books: Engine) -> Engine:
    with books.begin() as connection:
        connection.execute(text("CREATE TABLE note (id serial PRIMARY KEY, words text UNIQUE)"))
        connection.execute(text("CREATE TABLE turn (id integer PRIMARY KEY)"))
        connection.execute(text("INSERT INTO turn VALUES (1), (2)"))
    return books


def note(words: str) -> Callable[[Connection], str]:
    def write(connection: Connection) -> str:
        connection.execute(text("INSERT INTO note (words) VALUES (:words)"), {"words": words})
        return words

    return write


def notes(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT words FROM note ORDER BY words")))


def test_two_that_wait_for_each_other_are_both_done_and_once(noted: Engine) -> None:
    ready, tries = threading.Barrier(2), list[int]()

    def work(first: int, second: int) -> None:
        def both(connection: Connection) -> str:
            tries.append(first)
            note(f"began with {first}")(connection)
            connection.execute(text("SELECT FROM turn WHERE id = :id FOR UPDATE"), {"id": first})
            if tries.count(first) == 1:
                ready.wait(20)
            connection.execute(text("SELECT FROM turn WHERE id = :id FOR UPDATE"), {"id": second})
            return "done"

        assert committed(noted, both) == "done"

    threads = [threading.Thread(target=work, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tries) in ([1, 1, 2], [1, 2, 2])
    assert notes(noted) == ["began with 1", "began with 2"]


def terminate(engine: Engine, pid: int) -> None:
    with engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


def pid_of(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")))


def test_a_connection_lost_on_the_way_is_taken_up_again_and_writes_once(noted: Engine) -> None:
    began = []

    def act(connection: Connection) -> str:
        began.append(pid_of(connection))
        if len(began) == 1:
            note("first")(connection)
            terminate(noted, began[0])
        return note("written")(connection)

    assert committed(noted, act) == "written"
    assert len(began) == 2
    assert notes(noted) == ["written"]


def test_a_connection_lost_in_the_commit_is_told_and_nothing_is_done_again(noted: Engine) -> None:
    began = []

    def act(connection: Connection) -> str:
        began.append(pid_of(connection))
        event.listen(connection, "commit", lambda _: terminate(noted, began[0]), once=True)
        return note("perhaps")(connection)

    with pytest.raises(DBAPIError) as caught:
        committed(noted, act)
    assert connection_lost(caught.value)
    assert not lost_race(caught.value)
    assert len(began) == 1


def test_what_is_refused_is_refused_at_once(noted: Engine) -> None:
    began = []

    def act(connection: Connection) -> str:
        began.append(1)
        note("twice")(connection)
        return note("twice")(connection)

    with pytest.raises(DBAPIError, match="uq|unique|duplicate"):
        committed(noted, act)
    assert began == [1]
    assert notes(noted) == []


def test_tries_end_and_the_last_refusal_is_raised(noted: Engine) -> None:
    began = []

    def act(connection: Connection) -> str:
        began.append(1)
        connection.execute(text("SET LOCAL lock_timeout = '10ms'"))
        return note("late")(connection)

    with noted.begin() as holder:
        holder.execute(text("LOCK TABLE note"))
        with pytest.raises(DBAPIError) as caught:
            committed(noted, act, tries=3, pause_seconds=0.01)
    assert lost_race(caught.value)
    assert len(began) == 3


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("the connection is closed"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.ProgrammingError("the last operation didn't produce a result"), False),
        (ValueError("no"), False),
    ],
)
def test_only_a_connection_that_broke_counts_as_lost(error: Exception, lost: bool) -> None:
    assert connection_lost(error) == lost
