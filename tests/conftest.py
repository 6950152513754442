"""The database of the tests: one embedded server a session, one fresh database a test, cloned from a migrated template."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Connection, Engine, create_engine, text

from migrations import runner
from storage.embedded import EmbeddedServer, embedded_server

#: The same examples every time, so a red run can be repeated; ``HYPOTHESIS_PROFILE=explore`` looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.register_profile(
    "explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: ``make soak``: the state machine of the books for 10,000 steps, other properties as in ``explore``.
settings.register_profile("soak", settings.get_profile("explore"))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

TEMPLATE = "template_books"
_database_number = itertools.count(1)


@pytest.fixture(autouse=True)
def nobody_in_particular() -> Iterator[None]:
    """``--as`` and ``--lang`` hold for the whole process; what a test told a command inside its own must not hold for the next."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    for name in ("ESCROW_USER", "ESCROW_LANG"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """An embedded server that forgets everything; its folder is one the server user can enter, also under root."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-tests-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with embedded_server(folder, durable=False) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """The name of a database migrated to head, from which the tests' own are cloned."""
    _execute(server, f"CREATE DATABASE {TEMPLATE}")
    engine = create_engine(server.url(TEMPLATE))
    with engine.connect() as connection:
        runner.upgrade(connection)
    engine.dispose()
    return TEMPLATE


@pytest.fixture
def books_url(server: EmbeddedServer, template: str) -> Iterator[str]:
    """The address of this test's own fresh database at head, for tests that start other processes."""
    name = f"books_{next(_database_number)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def books(books_url: str) -> Iterator[Engine]:
    """An engine on this test's own fresh database at head; sessions run in UTC."""
    engine = create_engine(books_url, connect_args={"options": "-c timezone=UTC"})
    yield engine
    engine.dispose()


@pytest.fixture
def connection(books: Engine) -> Iterator[Connection]:
    """An open connection to ``books``; what a test does not commit is lost, like the database itself."""
    with books.connect() as opened:
        yield opened


def _execute(server: EmbeddedServer, statement: str) -> None:
    engine = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
