"""A running SFTP server and the keys of two banks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sqlalchemy import Engine, text

from entrypoints.sftp.connection import Desk
from entrypoints.sftp.folders import BankFolders
from entrypoints.sftp.keys import add_key, host_key
from entrypoints.sftp.limits import FailedLogins, Limits
from entrypoints.sftp.server import serve
from entrypoints.sftp.trail import Trail

NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
SMALL = replace(
    Limits(), statement_bytes=50_000, proof_bytes=200, connections_of_a_bank=2, open_files_of_a_bank=3, idle_seconds=30.0,
    login_seconds=5.0, failed_logins=3, stop_seconds=3.0,
)  # fmt: skip


class Place:
    """A running server, in a thread of its own, and the banks' keys."""

    def __init__(self, books: Engine, folder: Path, limits: Limits) -> None:
        self.books, self.folder, self.limits = books, folder, limits
        self.inbox, self.outbox = folder / "inbox", folder / "outbox"
        self.keys = {code: asyncssh.generate_private_key("ssh-ed25519") for code in ("SWB", "NRB")}
        for code, key in self.keys.items():
            add_key(folder / "keys", code, key.export_public_key().decode())
        self.host_key = host_key(folder / "host.key")
        self.now = 0.0
        self.port = 0
        self.loop = asyncio.new_event_loop()
        self.stop = asyncio.Event()
        self.desk = Desk(
            {code: BankFolders(code, self.inbox, self.outbox, limits) for code in ("SWB", "NRB", "HBB")},
            folder / "keys",
            limits,
            Trail(books, lambda: NOW),
            FailedLogins(limits, lambda: self.now),
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self) -> None:
        def ready(port: int) -> None:
            self.port = port
            self._ready.set()

        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(serve(self.desk, "127.0.0.1", 0, [self.host_key], stop=self.stop, ready=ready))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def end(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.stop.set)
            self._thread.join(30)
        assert not self._thread.is_alive()

    def connect(self, bank: str = "SWB", key: asyncssh.SSHKey | None = None, **more: Any) -> Any:
        told = {
            "username": bank,
            "client_keys": [key or self.keys[bank]],
            "known_hosts": None,
            "config": None,
            "agent_path": None,
        }
        return asyncssh.connect("127.0.0.1", self.port, **{**told, **more})

    def as_bank(self, act: Callable[[asyncssh.SFTPClient], Awaitable[Any]], bank: str = "SWB") -> Any:
        async def run() -> Any:
            async with self.connect(bank) as connection, connection.start_sftp_client() as sftp:
                return await act(sftp)

        return asyncio.run(run())

    def put(self, name: str, content: bytes, bank: str = "SWB") -> None:
        async def act(sftp: asyncssh.SFTPClient) -> None:
            async with sftp.open(name, "wb") as stream:
                await stream.write(content)

        self.as_bank(act, bank)

    def refused(self, act: Callable[[asyncssh.SFTPClient], Awaitable[Any]], why: str | None = None, bank: str = "SWB") -> None:
        with pytest.raises(asyncssh.SFTPError, match=why):
            self.as_bank(act, bank)

    def login_fails(self, **how: Any) -> None:
        async def run() -> None:
            async with self.connect(**how):
                pass

        with pytest.raises((asyncssh.DisconnectError, asyncssh.ConnectionLost, OSError)):
            asyncio.run(run())
        until = time.monotonic() + 10
        while self.desk.connections and time.monotonic() < until:  # the server sees the end a moment after the client
            time.sleep(0.01)

    def seen(self, folder: str = "SWB") -> list[str]:
        """Files in the real inbox of a bank, hidden ones too."""
        return sorted(one.name for one in (self.inbox / folder).iterdir() if one.is_file() or one.is_symlink())

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        with self.books.connect() as connection:
            rows = connection.execute(
                text("SELECT act, object_id, details FROM audit_event WHERE act LIKE 'sftp:%' ORDER BY seq")
            )
            return [(act, about, details) for act, about, details in rows]


@pytest.fixture
def started(books: Engine, tmp_path: Path) -> Iterator[Callable[[Limits], Place]]:
    places: list[Place] = []

    def start(limits: Limits) -> Place:
        places.append(Place(books, tmp_path, limits))
        return places[-1]

    yield start
    for one in places:
        one.end()


@pytest.fixture
def place(started: Callable[[Limits], Place]) -> Place:
    return started(SMALL)


async def write(sftp: asyncssh.SFTPClient, path: str, mode: str = "wb", content: bytes = b"x") -> None:
    async with sftp.open(path, mode) as stream:
        await stream.write(content)


async def read(sftp: asyncssh.SFTPClient, path: str | bytes) -> bytes:
    async with sftp.open(path, "rb") as stream:
        return await stream.read()
