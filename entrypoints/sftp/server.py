"""The server: where it listens, what it offers, and an end in order. No shell, no forwarding, no passwords."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, time

import asyncssh

from calendars import BUSINESS_TIME_ZONE, business_date
from entrypoints.sftp import files
from entrypoints.sftp.connection import BankConnection, Desk
from entrypoints.sftp.folders import Use
from entrypoints.sftp.session import BankSession

_CLEANING_SECONDS = 5.0
_VERSION = 3  # of SFTP: what every bank's program speaks


async def _session_of(chan: asyncssh.SSHServerChannel[bytes]) -> BankSession:
    owner = chan.get_connection().get_owner()
    if not isinstance(owner, BankConnection):
        raise asyncssh.DisconnectError(asyncssh.DISC_BY_APPLICATION, "not served")
    return BankSession(chan, owner, await owner.admit_session())


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
    while desk.being_recorded:
        await asyncio.gather(*desk.being_recorded, return_exceptions=True)
