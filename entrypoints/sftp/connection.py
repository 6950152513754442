"""Who may log in and how many at once. Public keys only; no passwords. What all connections share is the ``Desk``."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from calendars import business_date
from entrypoints.sftp.folders import BankFolders
from entrypoints.sftp.keys import KeyRefused, keys_of
from entrypoints.sftp.limits import DayTotals, FailedLogins, Limits
from entrypoints.sftp.trail import Event, Trail

logger = logging.getLogger(__name__)


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
    being_recorded: set[asyncio.Task[None]] = field(default_factory=set)
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

    def recorded(self, task: asyncio.Task[None]) -> None:
        """An event is in the audit log, or could not be written there."""
        self.being_recorded.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("an event could not be recorded", exc_info=task.exception())

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
        self.desk.being_recorded.add(task)
        task.add_done_callback(self.desk.recorded)

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

    async def admit_session(self) -> BankFolders:
        """The folders of the bank that has logged in, once it is let in. Raises DisconnectError for anybody else."""
        self.sessions += 1
        if not await self.admitted or self.desk.stopping or self.sessions > self.desk.limits.sessions_of_a_connection:
            raise asyncssh.DisconnectError(asyncssh.DISC_TOO_MANY_CONNECTIONS, "not served now; try again later")
        return self.desk.folders[self.bank_code]
