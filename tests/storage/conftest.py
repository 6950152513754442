"""Storage knows nothing of the packages above it, so its tests stand on its own migration alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from migrations import runner
from storage.append_only import LOCK_EVIDENCE_DDL
from storage.embedded import EmbeddedServer

_number = itertools.count(1)


@pytest.fixture
def foundation(server: EmbeddedServer) -> Iterator[Engine]:
    """A fresh database with the tables of migration 0001_foundation only."""
    name = f"foundation_{next(_number)}"
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(server.url(name))
    with engine.connect() as connection:
        runner.upgrade(connection, "0001_foundation")
        connection.execute(text(LOCK_EVIDENCE_DDL))
        connection.commit()
    yield engine
    engine.dispose()
    with administration.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    administration.dispose()


@pytest.fixture
def on_foundation(foundation: Engine) -> Iterator[Connection]:
    with foundation.connect() as connection:
        yield connection
