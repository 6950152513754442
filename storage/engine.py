"""Opening the database: an embedded server under the data folder, or a server by address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import BooksNotThere, DatabaseUnreachable
from storage.postgres_binaries import OLDEST_MAJOR

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from storage.roles import Session

_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Which database to open. ``url`` (a server) wins over the embedded server under ``data_folder``."""

    data_folder: Path
    database: str = "escrow"
    url: str | None = field(default=None, repr=False)
    durable: bool = True
    #: A statement running longer is cancelled by the server; None lets it run.
    statement_timeout_seconds: int | None = None
    application_name: str = "escrow"


@contextmanager
def open_engine(settings: DatabaseSettings, *, make: bool = True) -> Iterator[Engine]:
    """An engine whose sessions run in UTC; an embedded database that does not exist yet is created, empty, or, without
    ``make``, refused before anything is written.

    Raises DatabaseUnreachable (no server, wrong password, no such database, older than PostgreSQL 15), BooksNotThere and
    EmbeddedServerRefused.
    """
    if settings.url is not None:
        yield from _engine_on(server_address(settings.url), settings)
        return
    if not _DATABASE_NAME.fullmatch(settings.database):
        raise DatabaseUnreachable(
            f"{settings.database!r} cannot name a database: use small letters, digits and _, a letter first (ESCROW_BOOKS)"
        )
    from sqlalchemy import make_url

    from storage.cluster_home import holds_a_cluster
    from storage.embedded import embedded_server

    if not make and not holds_a_cluster(settings.data_folder):
        raise BooksNotThere(_no_books(settings, []))
    with embedded_server(settings.data_folder, durable=settings.durable) as server:
        if make:
            _create_database(server.url("postgres"), settings.database)
        elif settings.database not in (there := _databases(server.url("postgres"))):
            raise BooksNotThere(_no_books(settings, there))
        yield from _engine_on(make_url(server.url(settings.database)), settings)


def server_address(text: str) -> URL:
    """A server's address from ESCROW_DATABASE_URL, with the driver we use. Raises DatabaseUnreachable."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    example = "postgresql+psycopg://user:password@host:5432/database"
    try:
        url = make_url(text)
    except ArgumentError:
        raise DatabaseUnreachable(f"ESCROW_DATABASE_URL is not a database address; it looks like {example}") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername != "postgresql+psycopg":
        raise DatabaseUnreachable(
            f"ESCROW_DATABASE_URL names {url.drivername}; the books need PostgreSQL {OLDEST_MAJOR} or newer: {example}"
        )
    if not url.database:
        raise DatabaseUnreachable(f"ESCROW_DATABASE_URL names no database; it looks like {example}")
    return url


@contextmanager
def engine_as(engine: Engine, settings: DatabaseSettings, session: Session) -> Iterator[Engine]:
    """An engine on the same database whose sessions work as a role of the books, within a person's scope (``storage.roles``);
    on the embedded server by the program's own login (``storage.program_login``), which can become nothing else.

    They start that way, so RESET leads back to it, and a pooled connection carries nothing over. Raises DatabaseUnreachable when
    the login may not work as that role.
    """
    from sqlalchemy.exc import OperationalError

    from storage.program_login import program_url
    from storage.roles import creation_sql

    url = engine.url if settings.url is not None else program_url(engine.url)
    limited = _new_engine(url, settings, session.options())
    try:
        try:
            limited.connect().close()
        except OperationalError as error:
            login = url.username or "?"
            where = address_without_password(url)
            raise DatabaseUnreachable(
                f"{where}: {login} may not work as {session.role}; let an administrator of the server run: "
                f'GRANT {session.role} TO "{login}"; or, if there is no such role: {creation_sql(login)}'
            ) from error
        yield limited
    finally:
        limited.dispose()


def _new_engine(url: URL, settings: DatabaseSettings, more_options: list[str]) -> Engine:
    from sqlalchemy import create_engine

    options = ["-c timezone=UTC", "-c datestyle=ISO,YMD", *more_options]
    if settings.statement_timeout_seconds is not None:
        options.append(f"-c statement_timeout={settings.statement_timeout_seconds * 1000}")
    return create_engine(
        url,
        pool_pre_ping=settings.url is not None,
        connect_args={"application_name": settings.application_name, "options": " ".join(options), "connect_timeout": 10},
    )


def _engine_on(url: URL, settings: DatabaseSettings) -> Iterator[Engine]:
    from sqlalchemy.exc import OperationalError

    engine = _new_engine(url, settings, [])
    try:
        try:
            with engine.connect() as connection:
                version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10000
        except OperationalError as error:
            raise DatabaseUnreachable(_unreachable(url, error)) from error
        if version < OLDEST_MAJOR:
            raise DatabaseUnreachable(
                f"{address_without_password(url)} runs PostgreSQL {version}; the books need {OLDEST_MAJOR} or newer"
            )
        yield engine
    finally:
        engine.dispose()


def address_without_password(url: URL) -> str:
    """The address as it may be shown."""
    return url.render_as_string(hide_password=True)


def _unreachable(url: URL, error: Exception) -> str:
    where = address_without_password(url)
    said = " ".join(str(getattr(error, "orig", error)).split())
    if "password authentication failed" in said or "no password supplied" in said:
        return f"{where} refuses the user or password; correct ESCROW_DATABASE_URL"
    if "does not exist" in said and "database" in said:
        return f"{where}: there is no such database; create it (createdb {url.database}) or correct ESCROW_DATABASE_URL"
    return (
        f"no PostgreSQL server answers at {where} ({said}); "
        "start it, correct ESCROW_DATABASE_URL, or unset it to use the embedded one"
    )


def _no_books(settings: DatabaseSettings, there: list[str]) -> str:
    others = f" (books there: {', '.join(there)})" if there else ""
    return (
        f"there are no books {settings.database!r} in {settings.data_folder}{others}; give the right --books NAME and "
        f"--data FOLDER, or make them with: escrow --data {settings.data_folder} --books {settings.database} "
        "import institutions FILE (or: db upgrade)"
    )


def _databases(maintenance_url: str) -> list[str]:
    """The books of an embedded server, by name."""
    import psycopg

    with psycopg.connect(maintenance_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY datname"
        )
        return [str(name) for (name,) in found.fetchall()]


def _create_database(maintenance_url: str, name: str) -> None:
    """Create a database unless it exists. Two commands may try at once: the loser finds it there."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(maintenance_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
            return
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return


def drop_embedded_database(settings: DatabaseSettings) -> None:
    """Remove an embedded database with everything in it, if it exists. Raises DatabaseUnreachable for a server's database."""
    import psycopg
    from psycopg import sql

    from storage.embedded import embedded_server

    if settings.url is not None:
        raise DatabaseUnreachable("a database on a server is never dropped by this program; ask its administrator")
    with (
        embedded_server(settings.data_folder, durable=settings.durable) as server,
        psycopg.connect(server.url("postgres").replace("+psycopg", "", 1), autocommit=True) as connection,
    ):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(settings.database)))
