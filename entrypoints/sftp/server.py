"""The server: who may log in, how many at once, and an end in order. Public keys only; no shell, no forwarding, no passwords."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path

import asyncssh

from calendars import BUSINESS_TIME_ZONE, business_date
from entrypoints.sftp import files
from entrypoints.sftp.folders import BankFolders, Use
from entrypoints.sftp.keys import KeyRefused, keys_of
from entrypoints.sftp.limits import DayTotals, FailedLogins, Limits
from entrypoints.sftp.session import BankSession
from entrypoints.sftp.trail import Event, Trail

logger = logging.getLogger(__name__)

_CLEANING_SECONDS = 5.0
_VERSION = 3  # of SFTP: what every bank's program speaks


@dataclass(slots=True)
class Desk:
    """What all connections share: the banks' folders and keys, who is here, and the audit log."""

    folders: Mapping[str, BankFolders]
    keys: Path
    limits: Limits
    trail: Trail
    failures: FailedLogins
    connections: set[BankConnection] = field(default_factory=set)
    open_files: Counter[str] = field(default_factory=Counter)
    stopping: bool = False
    arrived: DayTotals = field(init=False)

    def __post_init__(self) -> None:
        self.arrived = DayTotals(self.limits, lambda: business_date(self.trail.clock()))

    def take_file(self, bank_code: str) -> bool:
        """Count one more open file of a bank; False when it has as many as it may."""
        if self.open_files[bank_code] >= self.limits.open_files_of_a_bank:
            return False
        self.open_files[bank_code] += 1
        return True

    def give_file_back(self, bank_code: str) -> None:
        self.open_files[bank_code] -= 1

    def connections_of(self, bank_code: str) -> int:
        return sum(one.bank_code == bank_code for one in self.connections)


class BankConnection(asyncssh.SSHServer):
    """One connection, logged in or not."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.connection: asyncssh.SSHServerConnection | None = None
        self.address = ""
        self.asked_for = ""  # the bank somebody says to be
        self.bank_code = ""  # the bank that has proved it
        self.key = ""
        self.attempts = 0
        self.refused = 0
        self.sessions = 0
        self.admitted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.last = 0.0

    # -- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn
        self.address = str((conn.get_extra_info("peername") or ("",))[0])
        if (
            self.desk.stopping
            or len(self.desk.connections) >= self.desk.limits.connections
            or self.desk.failures.blocked(self.address)
        ):
            conn.abort()
            return
        self.desk.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        self.connection = None
        self.desk.connections.discard(self)
        if not self.admitted.done():
            self.admitted.cancel()
        if self.bank_code:
            if self.refused:
                self._later(Event(self.bank_code, "session:ended", details={"refused_acts": self.refused}))
        elif self.asked_for:
            count = self.desk.failures.add(self.address)
            logger.warning("a login failed from %s (%d within the window)", self.address, count)
            known = self.asked_for if self.asked_for in self.desk.folders else "?"
            if count <= self.desk.limits.failed_logins:  # then the address is not served, so the log cannot be flooded from it
                details = {"from": self.address, "failures": count, "blocked": count >= self.desk.limits.failed_logins}
                self._later(Event(known, "login:failed", details=details))

    def touch(self) -> None:
        """The bank did something."""
        self.last = asyncio.get_running_loop().time()

    def _watch(self) -> None:
        """End the connection when nothing was asked for too long; looks again when that may next be so."""
        loop = asyncio.get_running_loop()
        if self.connection is None:
            return
        left = self.last + self.desk.limits.idle_seconds - loop.time()
        if left <= 0:
            self.connection.abort()
        else:
            loop.call_later(left, self._watch)

    def end_for(self, event: Event) -> None:
        """End the connection and record why."""
        self._later(event)
        if self.connection is not None:
            self.connection.abort()

    def _later(self, event: Event) -> None:
        """Record where nobody waits for it; a failure is logged, never lost silently."""
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(self.desk.trail.record, event))
        _PENDING.add(task)
        task.add_done_callback(_recorded)

    # -- logging in --------------------------------------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        self.asked_for = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    def host_based_auth_supported(self) -> bool:
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the key is one of the bank's. That the other side holds its private half is proved by the library."""
        self.attempts += 1
        if self.attempts > self.desk.limits.key_attempts:
            if self.connection is not None:
                self.connection.abort()
            return False
        if username not in self.desk.folders:
            return False
        try:
            known = keys_of(self.desk.keys, username)
        except (KeyRefused, OSError) as problem:
            logger.error("%s cannot log in: %s", username, problem)  # noqa: TRY400 - the sentence says it all
            return False
        found = next((one for one in known if one.key == key), None)
        if found is None:
            return False
        self.asked_for, self.key = username, found.fingerprint
        return True

    async def auth_completed(self) -> None:
        """The bank is who it says. It is let in once that is in the audit log and it has not too many connections."""
        admitted = False
        if self.connection is not None and self.asked_for in self.desk.folders and self.key:
            admitted = self.desk.connections_of(self.asked_for) < self.desk.limits.connections_of_a_bank
            self.bank_code = self.asked_for
            details = {"key": self.key, "from": self.address}
            try:
                event = Event(self.bank_code, "login:made" if admitted else "login:too_many", details=details)
                await asyncio.to_thread(self.desk.trail.record, event)
            except Exception:
                logger.exception("a login could not be recorded, so it is refused")
                admitted = False
        if not self.admitted.done():
            self.admitted.set_result(admitted)
        self.touch()
        self._watch()  # until here the library counts ``login_seconds``
        if not admitted and self.connection is not None:
            self.connection.disconnect(
                asyncssh.DISC_TOO_MANY_CONNECTIONS, "not served now; close other connections, or try later"
            )

    async def session(self, chan: asyncssh.SSHServerChannel[bytes]) -> BankSession:
        """An SFTP session of the bank that has logged in, once it is let in. Raises DisconnectError for anybody else."""
        self.sessions += 1
        if not await self.admitted or self.desk.stopping or self.sessions > self.desk.limits.sessions_of_a_connection:
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, "not served now; try again later")
        return BankSession(chan, self, self.desk.folders[self.bank_code])


_PENDING: set[asyncio.Task[None]] = set()


def _recorded(task: asyncio.Task[None]) -> None:
    _PENDING.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.error("an event could not be recorded", exc_info=task.exception())


async def _session_of(chan: asyncssh.SSHServerChannel[bytes]) -> BankSession:
    owner = chan.get_connection().get_owner()
    if not isinstance(owner, BankConnection):
        raise asyncssh.DisconnectError(asyncssh.DISC_BY_APPLICATION, "not served")
    return await owner.session(chan)


async def serve(
    desk: Desk,
    host: str,
    port: int,
    host_keys: list[asyncssh.SSHKey],
    *,
    stop: asyncio.Event,
    ready: Callable[[int], None],
) -> None:
    """Serve until ``stop`` is set; ``ready`` is told the port. Uploads at work may then end within ``Limits.stop_seconds``."""
    midnight = datetime.combine(business_date(desk.trail.clock()), time.min, BUSINESS_TIME_ZONE)
    desk.arrived.begin(await asyncio.to_thread(desk.trail.uploaded_since, midnight))
    for folders in desk.folders.values():
        folders.make()
        for folder in folders.folders.values():
            if folder.use is Use.DELIVER:
                files.remove_old_uploads(folder)
    acceptor = await asyncssh.listen(
        host, port, server_factory=lambda: BankConnection(desk), server_host_keys=host_keys, sftp_factory=_session_of,
        sftp_version=_VERSION, allow_scp=False, allow_pty=False, agent_forwarding=False, x11_forwarding=False, line_editor=False,
        gss_host=None, config=None, compression_algs=["none"], login_timeout=desk.limits.login_seconds, keepalive_interval=60,
        server_version="escrow",
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_ended, desk, acceptor)
        ready(acceptor.get_port())
        await stop.wait()


async def _ended(desk: Desk, acceptor: asyncssh.SSHAcceptor) -> None:
    """Take nobody new, let uploads at work end, then end every connection and wait until what they did is recorded."""
    desk.stopping = True
    acceptor.close()
    loop = asyncio.get_running_loop()
    until = loop.time() + desk.limits.stop_seconds
    while sum(desk.open_files.values()) and loop.time() < until:  # noqa: ASYNC110 - asked for some seconds, once, at the end
        await asyncio.sleep(0.05)
    ending = [one.connection for one in desk.connections if one.connection is not None]
    for connection in ending:
        connection.disconnect(asyncssh.DISC_BY_APPLICATION, "the server is being stopped")
    for connection in ending:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(connection.wait_closed(), timeout=5)
    await acceptor.wait_closed()
    until = loop.time() + _CLEANING_SECONDS
    while sum(desk.open_files.values()) and loop.time() < until:  # noqa: ASYNC110 - until what broke off is thrown away
        await asyncio.sleep(0.02)
    while _PENDING:
        await asyncio.gather(*_PENDING, return_exceptions=True)
