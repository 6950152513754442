"""The embedded PostgreSQL server: started by the first command that needs it, stopped by the last one that leaves.

Every process using the server holds a shared file lock. The operating system drops that lock however the process ends,
so a killed command neither keeps the server running past the next command nor lets anyone stop it under another's feet.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from storage import cluster_home
from storage.cluster_home import PORT, ClusterHome
from storage.errors import EmbeddedServerRefused
from storage.file_lock import PATIENCE_SECONDS, exclusive_lock, open_lock_file, try_lock
from storage.postgres_binaries import Binaries, ServerUser, find_binaries, server_user

#: The role that owns everything in an embedded cluster.
OWNER_ROLE = "escrow"

_SETTINGS_FILE = "prepaid_escrow.conf"
#: A running server that cannot be reached for so long has lost its socket and is restarted.
SILENCE_SECONDS = 3.0

_LOG_SIZE_KEPT = 16 * 1024 * 1024

#: What an embedded server differs in from PostgreSQL's defaults. It listens on a socket in a private folder only.
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
}
#: For tests only: a crash of the machine may lose the cluster.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running embedded server: where its socket is and how to log in."""

    socket_folder: Path
    password: str = field(repr=False)
    data_folder: Path

    def url(self, database: str) -> str:
        """The SQLAlchemy address of one database of this server, password included: never print it."""
        from sqlalchemy import URL

        return URL.create(
            "postgresql+psycopg",
            OWNER_ROLE,
            self.password,
            database=database,
            # The port names the socket; unsaid, the caller's PGPORT would.
            query={"host": str(self.socket_folder), "port": str(PORT)},
        ).render_as_string(hide_password=False)


@contextmanager
def embedded_server(data_folder: Path | str, *, durable: bool = True) -> Iterator[EmbeddedServer]:
    """Have a server for the cluster in a data folder, made if missing; it stops when its last user leaves.

    Raises EmbeddedServerRefused when it cannot be prepared or started; the message says what to do.
    """
    user = server_user()
    private = cluster_home.private_folder(Path(data_folder))
    home: ClusterHome | None = None
    leave = -1
    try:
        with exclusive_lock(cluster_home.start_lock(private)):
            home = cluster_home.locate(private, user)
            leave = open_lock_file(home.users_lock)
            if not try_lock(leave, shared=True):
                raise EmbeddedServerRefused(f"{home.users_lock} is locked by a foreign program; end it and try again")
            password = _ensure_cluster(home, user, durable=durable)
            socket_folder = _ensure_running(home, user, password, durable=durable)
        yield EmbeddedServer(socket_folder, password, home.data_folder)
    finally:
        if home is not None and leave >= 0:
            _leave(home, user, leave)


def _leave(home: ClusterHome, user: ServerUser, descriptor: int) -> None:
    """Give up the shared lock and stop the server unless another process still holds one."""
    with exclusive_lock(home.start_lock):
        # Closing, not unlocking: a forked child that inherited the descriptor goes on holding the lock.
        os.close(descriptor)
        last = open_lock_file(home.users_lock)
        try:
            if try_lock(last, shared=False) and (home.cluster / "postmaster.pid").exists():
                _stop(home, user, "fast")
        finally:
            os.close(last)


def _ensure_cluster(home: ClusterHome, user: ServerUser, *, durable: bool) -> str:
    """Make the cluster if there is none; return the owner's password."""
    if home.cluster.exists():
        try:
            return home.password_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise EmbeddedServerRefused(
                f"{home.password_file} is missing, so the database in {home.cluster} cannot be opened; "
                "restore the data folder whole from its backup"
            ) from None
        except PermissionError:
            raise EmbeddedServerRefused(
                f"{home.password_file} belongs to another user; run as that user or choose another folder with ESCROW_DATA"
            ) from None
    for unfinished in home.folder.glob("unfinished-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    binaries = find_binaries(user)
    password = secrets.token_urlsafe(24)
    cluster_home.write_private(home.password_file, password + "\n")
    # initdb works in a folder of another name: a cluster is either whole or not there.
    unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home.folder))
    user.own(unfinished)
    given = unfinished / "password"
    cluster_home.write_private(given, password + "\n")
    user.own(given)
    made = unfinished / "cluster"
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else []
    result = user.run(
        [
            binaries.program("initdb"), "--pgdata", made, "--username", OWNER_ROLE, "--pwfile", given,
            "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8" if not locale else "--locale=C",
            *locale, *([] if durable else ["--no-sync"]),
        ],
        home.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if result.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedServerRefused(f"initdb failed in {home.folder}: {_last_lines(result.stdout)}")
    with (made / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(f"\ninclude_if_exists = '{_SETTINGS_FILE}'\n")
    made.rename(home.cluster)
    if durable:
        cluster_home.sync_folder(home.folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return password


def _ensure_running(home: ClusterHome, user: ServerUser, password: str, *, durable: bool) -> Path:
    """Start the server unless it runs; return the folder of its socket. The caller holds the start lock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    silent_since: float | None = None
    restarted = False
    while True:
        socket_folder = _socket_folder_in_use(home)
        answer = _knock(socket_folder, password) if socket_folder is not None else "no socket"
        if answer is None and socket_folder is not None:
            return socket_folder
        if answer is not None and "password authentication failed" in answer:
            raise EmbeddedServerRefused(
                f"the database in {home.cluster} does not accept the password in {home.password_file}; "
                "restore the data folder whole from its backup"
            )
        if time.monotonic() > deadline:
            raise EmbeddedServerRefused(
                f"the database in {home.cluster} did not become ready in {PATIENCE_SECONDS:.0f} s: {answer} "
                f"(its log is {home.log})"
            )
        running = _postmaster(home)
        if running and answer is not None and re.search(r"starting up|shutting down|recovery|not yet accepting", answer):
            silent_since = None
        elif running:
            # A server without its socket (a cleaner emptied the temporary folder) cannot be reached again: restart it.
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > SILENCE_SECONDS:
                if restarted:
                    raise EmbeddedServerRefused(
                        f"the database in {home.cluster} runs but does not answer: {answer} (its log is {home.log}); "
                        f"end its process {running} and try again"
                    )
                _stop(home, user, "fast")
                restarted, silent_since = True, None
        else:
            _start(home, user, durable=durable)
            continue
        time.sleep(0.05)


def _start(home: ClusterHome, user: ServerUser, *, durable: bool) -> None:
    binaries = _own_binaries(home, user)
    socket_folder = cluster_home.socket_folder(home, user)
    settings = _SETTINGS | ({} if durable else _NOT_DURABLE) | {"unix_socket_directories": str(socket_folder)}
    settings_file = home.cluster / _SETTINGS_FILE
    cluster_home.write_private(settings_file, "".join(f"{name} = '{value}'\n" for name, value in settings.items()))
    user.own(settings_file)
    if home.log.exists() and home.log.stat().st_size > _LOG_SIZE_KEPT:
        home.log.rename(home.log.with_suffix(".previous.log"))
    _remove_stale_pid_file(home)
    deadline = time.monotonic() + 30
    while True:
        log_size = home.log.stat().st_size if home.log.exists() else 0
        # A pipe would be inherited by the server and never close, hence no captured output: the log says what happened.
        result = user.run(
            [
                binaries.program("pg_ctl"), "start", "-w", "-s", "-t", str(int(PATIENCE_SECONDS)),
                "-D", home.cluster, "-l", home.log,
            ],
            home.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if result.returncode == 0:
            return
        said = ""
        if home.log.exists():
            with home.log.open("rb") as file:
                file.seek(log_size)
                said = file.read().decode("utf-8", "replace")
        # After kill -9 of the postmaster its other processes take a moment to notice and leave the shared memory.
        leaving = "shared memory block" in said or "postmaster.pid" in said
        if not leaving or time.monotonic() > deadline:
            raise EmbeddedServerRefused(
                f"PostgreSQL {binaries.major} did not start from {home.cluster}: {_last_lines(said) or 'it said nothing'} "
                f"(whole log: {home.log})"
            )
        time.sleep(0.2)


def _stop(home: ClusterHome, user: ServerUser, mode: str) -> None:
    binaries = _own_binaries(home, user)
    result = user.run(
        [binaries.program("pg_ctl"), "stop", "-w", "-s", "-m", mode, "-t", str(int(PATIENCE_SECONDS)), "-D", home.cluster],
        home.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    if result.returncode != 0 and _postmaster(home):
        raise EmbeddedServerRefused(f"PostgreSQL in {home.cluster} did not stop: {_last_lines(result.stderr)}")


def _own_binaries(home: ClusterHome, user: ServerUser) -> Binaries:
    return find_binaries(user, int((home.cluster / "PG_VERSION").read_text(encoding="ascii")))


def _knock(socket_folder: Path, password: str) -> str | None:
    """Try to log in; None when the server answers, else what it (or the system) said."""
    import psycopg

    try:
        psycopg.connect(
            host=str(socket_folder), port=PORT, user=OWNER_ROLE, password=password, dbname="postgres", connect_timeout=10
        ).close()
    except psycopg.OperationalError as error:
        return str(error)
    return None


def _pid_file_lines(home: ClusterHome) -> list[str]:
    try:
        return (home.cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _socket_folder_in_use(home: ClusterHome) -> Path | None:
    """Line 5 of postmaster.pid: the folder of the socket of the server that runs (or ran last)."""
    lines = _pid_file_lines(home)
    return Path(lines[4]) if len(lines) > 4 and lines[4] else None


def _postmaster(home: ClusterHome) -> int | None:
    """The process id of this cluster's running server, if any."""
    lines = _pid_file_lines(home)
    if not lines or not lines[0].strip().isdigit():
        return None
    pid = int(lines[0])
    working_folder = Path(f"/proc/{pid}/cwd")
    if Path("/proc/self/cwd").exists():
        # After a reboot the number may belong to a stranger; a server works in its own cluster's folder.
        try:
            return pid if Path(os.readlink(working_folder)) == home.cluster.resolve() else None
        except OSError:
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid
    return pid


def _remove_stale_pid_file(home: ClusterHome) -> None:
    """Remove a pid file whose number now belongs to a stranger, which PostgreSQL itself would take for a running server.

    Only when no process at all works in the cluster's folder: surviving children of a killed server must end first, and
    PostgreSQL recognises those by what the file says.
    """
    lines = _pid_file_lines(home)
    if not lines or not lines[0].strip().isdigit() or not Path("/proc/self/cwd").exists():
        return
    if not Path(f"/proc/{lines[0].strip()}").exists():
        return  # PostgreSQL handles a dead owner itself
    cluster = home.cluster.resolve()
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if Path(os.readlink(process / "cwd")) == cluster:
                    return
            except OSError:
                continue
    (home.cluster / "postmaster.pid").unlink(missing_ok=True)
    socket_folder = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    if socket_folder is not None:
        for leftover in socket_folder.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)


def _last_lines(text: str, count: int = 4) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:])
