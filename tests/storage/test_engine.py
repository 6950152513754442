"""Opening the books: embedded by default, a server by address, and a sentence for everything that can be wrong."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from entrypoints.bootstrap import SchemaNotAtHead, open_books
from entrypoints.settings import Settings, read_settings
from migrations import runner
from storage.embedded import EmbeddedServer
from storage.engine import DatabaseSettings, open_engine, server_address
from storage.errors import BooksNotThere, DatabaseUnreachable


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="escrow-engine-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_an_embedded_database_is_made_on_first_use_and_its_sessions_run_in_utc(folder: Path) -> None:
    settings = DatabaseSettings(folder, "books_a", durable=False, statement_timeout_seconds=7, application_name="escrow/wang")
    with open_engine(settings) as engine, engine.connect() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("timezone", "application_name", "statement_timeout", "datestyle")
        }
    assert shown == {"timezone": "UTC", "application_name": "escrow/wang", "statement_timeout": "7s", "datestyle": "ISO, YMD"}


def test_two_books_in_one_data_folder_are_apart(folder: Path) -> None:
    with open_engine(DatabaseSettings(folder, "books_a", durable=False)) as a, a.begin() as connection:
        connection.execute(text("CREATE TABLE only_in_a ()"))
    with open_engine(DatabaseSettings(folder, "books_b", durable=False)) as b, b.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('only_in_a')")) is None


@pytest.mark.parametrize("name", ["", "Escrow", "with space", "1st", "postgres;drop", "a" * 64])
def test_a_name_that_is_no_database_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot name a database"), open_engine(DatabaseSettings(folder, name)):
        pass


def test_a_server_by_address_is_used_as_it_is(server: EmbeddedServer, books_url: str, folder: Path) -> None:
    unused = folder / "unused"
    with open_engine(DatabaseSettings(unused, url=books_url)) as engine, engine.connect() as connection:
        assert connection.scalar(text("SHOW data_directory")) == str(server.data_folder / "postgres" / "cluster")
        assert connection.scalar(text("SHOW timezone")) == "UTC"
    assert not unused.exists()


def test_a_server_can_be_reached_over_tcp(books_url: str, server: EmbeddedServer) -> None:
    """The embedded server opens no port, so a relay stands between TCP and its socket."""
    with _relay(server) as port:
        url = make_url(books_url).set(host="127.0.0.1", port=port, query={}).render_as_string(hide_password=False)
        with open_books(Settings(Path("/nowhere"), "unused", url)) as engine, engine.connect() as connection:
            assert runner.current_revision(connection) == runner.head_revision()


class _relay:  # noqa: N801 - reads as a sentence in ``with``
    def __init__(self, server: EmbeddedServer) -> None:
        self.target = str(server.socket_folder / ".s.PGSQL.5432")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.pumps: list[threading.Thread] = []
        self.open: list[socket.socket] = []

    def __enter__(self) -> int:
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self.listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.listener.close()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for pump in self.pumps:
            pump.join(10)
        for one in self.open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self.target)
            self.open += [client, upstream]
            for source, sink in ((client, upstream), (upstream, client)):
                pump = threading.Thread(target=self._pump, args=(source, sink), daemon=True)
                self.pumps.append(pump)
                pump.start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_statement_that_runs_too_long_is_cancelled(books_url: str) -> None:
    settings = DatabaseSettings(Path("/nowhere"), url=books_url, statement_timeout_seconds=1)
    with (
        open_engine(settings) as engine,
        engine.connect() as connection,
        pytest.raises(OperationalError, match="statement timeout"),
    ):
        connection.execute(text("SELECT pg_sleep(5)"))


def _with(url: str, **changed: object) -> str:
    return make_url(url).set(**changed).render_as_string(hide_password=False)  # type: ignore[arg-type]


def test_a_wrong_password_is_told_without_printing_it(books_url: str) -> None:
    settings = DatabaseSettings(Path("/nowhere"), url=_with(books_url, password="guess-work"))
    with (
        pytest.raises(DatabaseUnreachable, match="refuses the user or password; correct ESCROW_DATABASE_URL") as refused,
        open_engine(settings),
    ):
        pass
    assert "guess-work" not in str(refused.value)
    assert "guess-work" not in repr(settings)


def test_a_database_that_is_not_there_is_told_with_the_command_that_makes_it(books_url: str) -> None:
    settings = DatabaseSettings(Path("/nowhere"), url=_with(books_url, database="nowhere"))
    with pytest.raises(DatabaseUnreachable, match=r"no such database; create it \(createdb nowhere\)"), open_engine(settings):
        pass


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://u:p@127.0.0.1:9/books", "no PostgreSQL server answers at"),
        ("postgresql+psycopg://u:p@/books?host=/nowhere", "no PostgreSQL server answers at"),
        ("mysql://u:p@localhost/books", r"names mysql; the books need PostgreSQL 15 or newer"),
        ("postgresql+psycopg2://u:p@localhost/books", r"names postgresql\+psycopg2"),
        ("postgresql+psycopg://u:p@localhost", "names no database"),
        ("books", "is not a database address"),
    ],
)
def test_a_bad_address_is_told_in_a_sentence(url: str, said: str) -> None:
    with pytest.raises(DatabaseUnreachable, match=said), open_engine(DatabaseSettings(Path("/nowhere"), url=url)):
        pass


def test_an_address_without_a_driver_gets_ours() -> None:
    assert server_address("postgresql://u@h/d").drivername == "postgresql+psycopg"
    assert server_address("postgres://u@h/d").drivername == "postgresql+psycopg"


def test_books_open_at_head_and_an_empty_embedded_database_is_brought_there(folder: Path) -> None:
    settings = Settings(folder, "books_c")
    for _ in range(2):
        with open_books(settings, make=True) as engine, engine.connect() as connection:
            assert runner.current_revision(connection) == runner.head_revision()


def test_embedded_books_that_do_not_exist_are_refused_and_nothing_is_made(folder: Path) -> None:
    never, elsewhere = Settings(folder, "mistyped"), Settings(folder / "nowhere", "escrow")
    with open_books(Settings(folder, "books_d"), make=True):
        pass

    with pytest.raises(BooksNotThere, match=r"no books 'mistyped' in .*books there: .*books_d.*import institutions FILE"):
        open_books(never).__enter__()
    with pytest.raises(BooksNotThere, match=r"no books 'escrow' in .*nowhere"):
        open_books(elsewhere).__enter__()

    assert not (folder / "nowhere").exists()


def test_books_of_another_revision_are_refused_with_the_next_step(books_url: str) -> None:
    settings = Settings(Path("/nowhere"), "unused", books_url)
    owner = create_engine(books_url)
    with owner.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001_foundation'"))
    owner.dispose()
    said = r"revision 0001_foundation, the program expects .*; run: escrow db upgrade"
    with pytest.raises(SchemaNotAtHead, match=said), open_books(settings):
        pass


def test_an_empty_database_on_a_server_is_not_filled_unasked(books_url: str) -> None:
    settings = Settings(Path("/nowhere"), "unused", _with(books_url, database="postgres"))
    with pytest.raises(SchemaNotAtHead, match=r"has no schema yet.*run: escrow db upgrade"), open_books(settings):
        pass


def test_settings_come_from_options_then_environment_then_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(environment={}) == Settings(tmp_path / "var", "escrow", None, None)
    environment = {"ESCROW_DATA": "elsewhere", "ESCROW_BOOKS": "b", "ESCROW_DATABASE_URL": "", "ESCROW_USER": "wang"}
    assert read_settings(environment=environment) == Settings(tmp_path / "elsewhere", "b", None, "wang")
    assert read_settings(user="li", books="c", environment=environment).user == "li"
