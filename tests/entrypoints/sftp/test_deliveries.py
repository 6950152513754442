"""The SFTP server over a real socket with a real client: deliveries, fetches, and what breaks off."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import asyncssh
import pytest
from sqlalchemy import Engine

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.bootstrap import job_settings
from entrypoints.settings import read_settings
from entrypoints.sftp.limits import Limits
from jobs.collect import collect_statements
from money import Money
from tests.entrypoints.sftp.conftest import NOW, SMALL, Place, read
from tests.escrow.conftest import District

DAY = date(2026, 3, 2)
ACCOUNT = "6222000000000001"


def a_statement() -> bytes:
    line = StatementLine(
        booking_date=DAY, value_date=DAY, direction=Direction.IN, amount=Money(12_345), status=LineStatus.BOOKED, line=1,
        bank_reference="B1",
    )  # fmt: skip
    zero, closing = Money(0), Money(12_345)
    return write_mt940([Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", "S1", "1", zero, DAY, closing, DAY, (line,), True)])


def test_a_bank_delivers_a_statement_and_reads_its_receipt(place: Place, books: Engine) -> None:
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    (place.outbox / "SWB" / "SWB-refund-20260302-01.csv").write_bytes(b"pay,1\n")
    data = a_statement()
    digest = hashlib.sha256(data).hexdigest()
    place.put("/incoming/a.sta.sha256", f"{digest}  a.sta\n".encode())
    place.put("/incoming/a.sta", data)
    assert place.seen() == ["a.sta", "a.sta.sha256"]

    told = replace(job_settings(read_settings(), "test"), inbox=place.inbox)
    with books.connect() as connection:
        (one,) = collect_statements(connection, DAY, told, NOW)["files"]
    assert (one["file"], one["outcome"]) == ("SWB/a.sta", "counted")

    async def fetch(sftp: asyncssh.SFTPClient) -> tuple[list[str], bytes, bytes, bytes]:
        names = sorted(str(name) for name in await sftp.listdir("/accepted") if not str(name).startswith("."))
        wanted = ("/accepted/a.sta.receipt.json", "accepted/a.sta", "/outbox/SWB-refund-20260302-01.csv")
        receipt, own, instructions = [await read(sftp, path) for path in wanted]
        return names, receipt, own, instructions

    names, receipt, own, instructions = place.as_bank(fetch)
    assert names == ["a.sta", "a.sta.receipt.json", "a.sta.sha256"]
    assert (json.loads(receipt)["sha256"], own, instructions) == (digest, data, b"pay,1\n")
    acts = [(act, about) for act, about, _ in place.events()]
    assert ("sftp:file:uploaded", "SWB/incoming/a.sta") in acts
    assert ("sftp:file:fetched", "SWB/accepted/a.sta.receipt.json") in acts
    assert [details["sha256"] for act, about, details in place.events() if about == "SWB/incoming/a.sta"] == [digest]


def test_a_bank_reads_that_its_file_is_held_and_why_and_writes_nothing_there(place: Place, books: Engine) -> None:
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    place.put("/incoming/a.sta.sha256", b"0" * 64)
    place.put("/incoming/a.sta", a_statement())
    told = replace(job_settings(read_settings(), "test"), inbox=place.inbox)
    with books.connect() as connection:
        collect_statements(connection, DAY, told, NOW)

    async def fetch(sftp: asyncssh.SFTPClient) -> bytes:
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            await sftp.open("/held/b.sta", "wb")
        return await read(sftp, "/held/a.sta.receipt.json")

    receipt = json.loads(place.as_bank(fetch))
    assert (receipt["state"], receipt["statements"][0]["outcome"]) == ("held", "quarantined")
    assert "两人" in receipt["next_zh"]


def test_every_login_is_recorded_with_the_fingerprint_of_its_key_and_no_secret(place: Place) -> None:
    place.as_bank(lambda sftp: sftp.listdir("/"))

    (login,) = [one for one in place.events() if one[0] == "sftp:login:made"]
    assert login == ("sftp:login:made", "SWB", {"key": place.keys["SWB"].get_fingerprint(), "from": "127.0.0.1"})


def test_long_numbers_in_names_are_masked_in_the_audit_log(place: Place) -> None:
    place.put("/incoming/6222020000000012345.sta", b"x")

    assert [about for act, about, _ in place.events() if act == "sftp:file:uploaded"] == ["SWB/incoming/***************2345.sta"]


def test_a_program_that_uploads_under_another_name_renames_it_when_it_is_whole(place: Place) -> None:
    async def act(sftp: asyncssh.SFTPClient) -> None:
        for content in (b"half", b"whole"):  # the second try after a first one that was not renamed
            async with sftp.open("/incoming/a.sta.part", "wb") as stream:
                await stream.write(content)
        await sftp.rename("/incoming/a.sta.part", "/incoming/a.sta")

    place.as_bank(act)

    assert place.seen() == ["a.sta"]
    assert (place.inbox / "SWB" / "a.sta").read_bytes() == b"whole"


def test_ordinary_transfer_programs_work(place: Place, tmp_path: Path) -> None:
    """put and get of a client that sets times, asks for the size afterwards and sends pieces at once."""
    (tmp_path / "b.sta").write_bytes(os.urandom(40_000))

    async def act(sftp: asyncssh.SFTPClient) -> int | None:
        await sftp.put(str(tmp_path / "b.sta"), "/incoming/b.sta", preserve=True, block_size=3_000)
        assert await sftp.getcwd() == "/"
        await sftp.chdir("incoming")
        return (await sftp.stat("b.sta")).size

    assert place.as_bank(act) == 40_000
    assert (place.inbox / "SWB" / "b.sta").read_bytes() == (tmp_path / "b.sta").read_bytes()
    (place.inbox / "SWB" / "accepted" / "b.sta").write_bytes(b"y" * 300_000)
    place.as_bank(lambda sftp: sftp.get("/accepted/b.sta", str(tmp_path / "fetched")))
    assert (tmp_path / "fetched").read_bytes() == b"y" * 300_000


@pytest.mark.skipif(not Path("/usr/bin/sftp").exists(), reason="OpenSSH's sftp is not installed here")
def test_the_client_of_openssh_works(place: Place, tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_bytes(place.keys["SWB"].export_private_key())
    key.chmod(0o600)
    (tmp_path / "a.sta").write_bytes(a_statement())
    (tmp_path / "batch").write_text(f"put {tmp_path}/a.sta incoming/a.sta\nls incoming\n")
    options = ["-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
    done = subprocess.run(
        ["/usr/bin/sftp", *options, "-P", str(place.port), "-b", str(tmp_path / "batch"), "SWB@127.0.0.1"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (place.inbox / "SWB" / "a.sta").read_bytes() == a_statement()


# -- half uploads --------------------------------------------------------------------------------------------------------


def test_a_half_upload_is_never_collected_whichever_way_it_breaks_off(place: Place) -> None:
    async def run(how: str) -> None:
        connection = await place.connect()
        sftp = await connection.start_sftp_client()
        stream = await sftp.open("/incoming/a.sta", "wb")
        await stream.write(a_statement()[:50])
        assert [name for name in place.seen() if not name.startswith(".upload-")] == []
        if how == "abort":
            connection.abort()
        elif how == "close":
            connection.close()
        elif how == "end of channel":
            sftp._handler._writer.write_eof()
        else:
            sftp.exit()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not place.seen():
                break
        connection.abort()
        await connection.wait_closed()
        assert place.seen() == [], how

    ways = ("abort", "close", "end of channel", "close of session")
    for how in ways:
        asyncio.run(run(how))

    place.end()
    assert place.seen() == []
    assert [act for act, _, _ in place.events()].count("sftp:upload:broken_off") == len(ways)


def test_what_a_killed_server_left_half_done_is_taken_away_a_day_later(
    started: Callable[[Limits], Place], tmp_path: Path
) -> None:
    own = tmp_path / "inbox" / "SWB"
    own.mkdir(parents=True)
    for name in (".upload-old.part", ".upload-new.part", "old.sta.part"):
        (own / name).write_bytes(b"half")
    for name in (".upload-old.part", "old.sta.part"):
        os.utime(own / name, (0, 0))

    assert started(SMALL).seen() == [".upload-new.part", "old.sta.part"]


def test_stopping_lets_an_upload_end_and_takes_nobody_new(started: Callable[[Limits], Place]) -> None:
    place = started(replace(SMALL, stop_seconds=20.0))  # long enough on a busy machine; it waits no longer than the upload takes

    async def run() -> None:
        async with place.connect() as connection, connection.start_sftp_client() as sftp:
            stream = await sftp.open("/incoming/a.sta", "wb")
            await stream.write(b"be")
            place.loop.call_soon_threadsafe(place.stop.set)
            await asyncio.sleep(0.3)
            with pytest.raises(OSError):  # noqa: PT011 - nobody listens any more
                await place.connect("NRB")
            with pytest.raises(asyncssh.SFTPError, match="being stopped"):
                await sftp.open("/incoming/b.sta", "wb")
            await stream.write(b"gin")
            await stream.close()

    asyncio.run(run())
    place.end()

    assert (place.inbox / "SWB" / "a.sta").read_bytes() == b"begin"


def test_stopping_waits_only_so_long_and_drops_what_was_not_closed(started: Callable[[Limits], Place]) -> None:
    place = started(replace(SMALL, stop_seconds=0.2))

    async def run() -> None:
        connection = await place.connect()
        sftp = await connection.start_sftp_client()
        stream = await sftp.open("/incoming/a.sta", "wb")
        await stream.write(b"be")
        place.loop.call_soon_threadsafe(place.stop.set)
        await connection.wait_closed()

    asyncio.run(run())
    place.end()

    assert place.seen() == []
