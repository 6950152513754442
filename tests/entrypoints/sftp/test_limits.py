"""What one bank may take of the SFTP server: bytes a day, and no upload that hardly moves. Over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import asyncssh
import pytest

from entrypoints.sftp.limits import Limits
from tests.entrypoints.sftp.conftest import NOW, SMALL, Place

Start = Callable[[Limits], Place]


def test_a_bank_uploads_only_so_much_a_day_and_other_banks_are_not_touched(started: Start) -> None:
    place = started(replace(SMALL, bytes_a_day=1_000))
    place.put("/incoming/a.sta", b"x" * 600)

    with pytest.raises(asyncssh.SFTPError, match="today's 1,000 bytes are used up"):
        place.put("/incoming/b.sta", b"x" * 600)
    with pytest.raises(asyncssh.SFTPError, match="send the rest tomorrow"):
        place.put("/incoming/c.sta", b"x")
    place.put("/incoming/a.sta", b"x" * 600, bank="NRB")

    assert (place.seen(), place.seen("NRB")) == (["a.sta"], ["a.sta"])
    refused = [
        details["why"] for act, about, details in place.events() if (act, about) == ("sftp:upload:refused", "SWB/incoming/b.sta")
    ]
    assert refused == ["today's 1,000 bytes are used up; send the rest tomorrow, or ask us"]
    place.desk.trail.clock = lambda: NOW + timedelta(days=1)
    place.put("/incoming/c.sta", b"x" * 600)
    assert place.seen() == ["a.sta", "c.sta"], "the next day begins at nothing"


def test_a_server_that_starts_again_remembers_what_came_today(started: Start) -> None:
    first = started(replace(SMALL, bytes_a_day=1_000))
    first.put("/incoming/a.sta", b"x" * 600)
    first.end()
    again = started(replace(SMALL, bytes_a_day=1_000))
    with pytest.raises(asyncssh.SFTPError, match="used up"):
        again.put("/incoming/b.sta", b"x" * 600)
    assert again.seen() == ["a.sta"]


def test_an_upload_that_hardly_moves_ends_its_connection_and_leaves_nothing(started: Start) -> None:
    place = started(replace(SMALL, slow_seconds=0.4, fewest_bytes_a_second=1_000))

    async def run() -> None:
        connection = await place.connect()
        sftp = await connection.start_sftp_client()
        stream = await sftp.open("/incoming/slow.sta", "wb")
        for _ in range(200):  # alive all the time, and a byte now and then
            await stream.write(b"x")
            await asyncio.sleep(0.05)

    with pytest.raises((asyncssh.SFTPError, asyncssh.ConnectionLost)):
        asyncio.run(run())
    place.end()

    assert place.seen() == []
    (event,) = [(about, details) for act, about, details in place.events() if act == "sftp:upload:too_slow"]
    assert event[0] == "SWB/incoming/slow.sta"
    assert event[1]["within_seconds"] == "0.4"


def test_an_upload_that_takes_long_and_moves_is_left_alone(started: Start) -> None:
    place = started(replace(SMALL, slow_seconds=0.4, fewest_bytes_a_second=100))

    async def act(sftp: asyncssh.SFTPClient) -> None:
        async with sftp.open("/incoming/long.sta", "wb") as stream:
            for _ in range(20):
                await stream.write(b"x" * 1_000)
                await asyncio.sleep(0.06)

    place.as_bank(act)

    assert place.seen() == ["long.sta"]
    assert [act for act, _, _ in place.events() if act == "sftp:upload:too_slow"] == []
