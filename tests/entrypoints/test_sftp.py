"""The SFTP server over a real socket with a real client: what a bank may do, and what nobody may."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sqlalchemy import Engine, text

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.bootstrap import job_settings
from entrypoints.settings import read_settings
from entrypoints.sftp import session as sftp_session
from entrypoints.sftp.folders import BankFolders
from entrypoints.sftp.keys import KeyRefused, add_key, host_key, keys_of, remove_key
from entrypoints.sftp.limits import FailedLogins, Limits
from entrypoints.sftp.server import Desk, serve
from entrypoints.sftp.trail import Trail
from jobs.collect import collect_statements
from money import Money
from tests.escrow.conftest import District

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
ACCOUNT = "6222000000000001"
SMALL = replace(
    Limits(), statement_bytes=50_000, proof_bytes=200, connections_of_a_bank=2, open_files_of_a_bank=3, idle_seconds=30.0,
    login_seconds=5.0, failed_logins=3, stop_seconds=3.0,
)  # fmt: skip


def a_statement() -> bytes:
    line = StatementLine(
        booking_date=DAY, value_date=DAY, direction=Direction.IN, amount=Money(12_345), status=LineStatus.BOOKED, line=1,
        bank_reference="B1",
    )  # fmt: skip
    zero, closing = Money(0), Money(12_345)
    return write_mt940([Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", "S1", "1", zero, DAY, closing, DAY, (line,), True)])


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
        receipt, own, instructions = [await _read(sftp, path) for path in wanted]
        return names, receipt, own, instructions

    names, receipt, own, instructions = place.as_bank(fetch)
    assert names == ["a.sta", "a.sta.receipt.json", "a.sta.sha256"]
    assert (json.loads(receipt)["sha256"], own, instructions) == (digest, data, b"pay,1\n")
    acts = [(act, about) for act, about, _ in place.events()]
    assert ("sftp:file:uploaded", "SWB/incoming/a.sta") in acts
    assert ("sftp:file:fetched", "SWB/accepted/a.sta.receipt.json") in acts
    assert [details["sha256"] for act, about, details in place.events() if about == "SWB/incoming/a.sta"] == [digest]


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


# -- other people's folders and the machine ------------------------------------------------------------------------------


def test_nothing_is_read_but_files_in_the_banks_own_folders(place: Place) -> None:
    accepted = place.inbox / "SWB" / "accepted"
    (place.inbox / "NRB" / "secret.sta").write_bytes(b"secret")
    (accepted / ".hidden").write_bytes(b"secret")
    (accepted / "link.sta").symlink_to(place.inbox / "NRB" / "secret.sta")
    (accepted / "folder").mkdir()
    os.mkfifo(accepted / "pipe")
    paths = (
        "/../NRB/secret.sta", "/incoming/../../NRB/secret.sta", "../../NRB/secret.sta", "/etc/passwd", "/NRB/secret.sta",
        "/accepted/../../../../../etc/passwd", "/accepted/..\\..\\secret.sta", "/accepted/.hidden", "/accepted/link.sta",
        "/accepted/folder", "/accepted/pipe", "/accepted/", "/incoming/accepted/a.sta", "/nowhere/a", "/accepted/a\x00b",
        b"/accepted/\xff", str(place.inbox / "NRB" / "secret.sta"),
    )  # fmt: skip

    async def act(sftp: asyncssh.SFTPClient) -> None:
        for path in paths:
            with pytest.raises(asyncssh.SFTPError):
                await _read(sftp, path)
        assert [name for name in await sftp.listdir("/accepted") if name not in (".", "..")] == []

    place.as_bank(act)


def test_two_banks_see_two_worlds(place: Place) -> None:
    place.put("/incoming/a.sta", b"of SWB", "SWB")
    place.put("/incoming/a.sta", b"of NRB", "NRB")

    async def tree(sftp: asyncssh.SFTPClient) -> dict[str, list[str]]:
        folders = ["/", "/incoming", "/answers", "/..", "/incoming/../.."]
        return {one: sorted(str(name) for name in await sftp.listdir(one) if name not in (".", "..")) for one in folders}

    top = ["accepted", "answers", "incoming", "outbox", "refused"]
    assert place.as_bank(tree) == {
        "/": top, "/incoming": ["a.sta"], "/answers": ["accepted", "refused"], "/..": top, "/incoming/../..": top,
    }  # fmt: skip
    assert (place.inbox / "SWB" / "a.sta").read_bytes() == b"of SWB"
    assert (place.inbox / "NRB" / "a.sta").read_bytes() == b"of NRB"


async def _hole(sftp: asyncssh.SFTPClient) -> None:
    async with sftp.open("/incoming/hole.sta", "wb") as stream:
        await stream.write(b"begin", 0)
        await stream.write(b"end", 100)


async def _write(sftp: asyncssh.SFTPClient, path: str, mode: str = "wb", content: bytes = b"x") -> None:
    async with sftp.open(path, mode) as stream:
        await stream.write(content)


FORBIDDEN: tuple[tuple[Callable[[asyncssh.SFTPClient], Any], str], ...] = (
    (lambda sftp: sftp.remove("/incoming/there.sta"), "ever deleted"),
    (lambda sftp: sftp.remove("/accepted/there.sta"), "ever deleted"),
    (lambda sftp: sftp.rmdir("/accepted"), "ever deleted"),
    (lambda sftp: sftp.mkdir("/incoming/new"), "no folders"),
    (lambda sftp: sftp.symlink("/etc/passwd", "/incoming/link.sta"), "no links"),
    (lambda sftp: sftp.link("/accepted/there.sta", "/incoming/link.sta"), "no links"),
    (lambda sftp: sftp.readlink("/incoming/there.sta"), "no links"),
    (lambda sftp: sftp.rename("/incoming/there.sta", "/incoming/other.sta"), "only a file whose name ends"),
    (lambda sftp: sftp.rename("/incoming/unfinished.part", "/incoming/there.sta"), "exists"),
    (lambda sftp: sftp.posix_rename("/incoming/unfinished.part", "/incoming/there.sta"), "exists"),
    (lambda sftp: sftp.rename("/incoming/unfinished.part", "/answers/other.csv"), "where it was delivered"),
    (lambda sftp: sftp.rename("/accepted/there.sta", "/incoming/other.sta"), "where it was delivered"),
    (lambda sftp: sftp.rename("/incoming/unfinished.part", "/incoming/.other"), "no such file"),
    (lambda sftp: sftp.truncate("/incoming/there.sta", 0), "keeps its size"),
    (lambda sftp: sftp.setstat("/accepted/there.sta", asyncssh.SFTPAttrs(permissions=0o777)), "may be changed"),
    (lambda sftp: sftp.statvfs("/"), "disk is ours"),
    (lambda sftp: _write(sftp, "/incoming/there.sta"), "never overwritten"),
    (lambda sftp: _write(sftp, "/incoming/there.sta", "xb"), "never overwritten"),
    (lambda sftp: _write(sftp, "/incoming/there.sta", "ab"), "delivered whole"),
    (lambda sftp: _write(sftp, "/incoming/there.sta", "r+b"), "delivered whole"),
    (lambda sftp: _write(sftp, "/incoming/accepted"), "folder|name of ours"),
    (lambda sftp: _write(sftp, "/accepted/new.sta"), "nothing may be written"),
    (lambda sftp: _write(sftp, "/accepted/there.sta.receipt.json"), "nothing may be written"),
    (lambda sftp: _write(sftp, "/outbox/new.csv"), "nothing may be written"),
    (lambda sftp: _write(sftp, "/new.sta"), "no such file"),
    (lambda sftp: _write(sftp, "/incoming/.hidden"), "no such file"),
    (lambda sftp: _write(sftp, "/incoming/a.receipt.json"), "name of ours"),
    (lambda sftp: _write(sftp, "/incoming/ blank"), "does not begin"),
    (lambda sftp: _write(sftp, "/incoming/" + "n" * 200), "at most 180 bytes"),
    (lambda sftp: _write(sftp, "/incoming/a\x1b[2Jb"), "no such file"),
    (lambda sftp: _write(sftp, "/incoming/\u202egpj.sta"), "no such file"),
    (lambda sftp: _write(sftp, "/incoming/large.sta", content=b"x" * 50_001), "more than 50000 bytes"),
    (lambda sftp: _write(sftp, "/incoming/large.sta.sig", content=b"x" * 201), "more than 200 bytes"),
    (lambda sftp: _write(sftp, "/incoming/large.sta.sig.part", content=b"x" * 201), "more than 200 bytes"),
    (_hole, "never came"),
    (lambda sftp: _read(sftp, "/incoming/there.sta"), "read by us only"),
)


def test_what_a_bank_may_not_do_is_refused_and_changes_nothing(place: Place) -> None:
    own = place.inbox / "SWB"
    (own / "there.sta").write_bytes(b"there")
    (own / "unfinished.part").write_bytes(b"half")
    (own / "accepted" / "there.sta").write_bytes(b"there")

    def files() -> dict[Path, bytes]:
        return {one: one.read_bytes() for one in sorted(place.folder.rglob("*")) if one.is_file()}

    before = files()

    async def act(sftp: asyncssh.SFTPClient) -> None:
        for forbidden, why in FORBIDDEN:
            with pytest.raises(asyncssh.SFTPError, match=why):
                await forbidden(sftp)
            assert files() == before, why

    place.as_bank(act)
    place.end()
    ended = [details for act, _, details in place.events() if act == "sftp:session:ended"]
    assert ended[0]["refused_acts"] > 15


async def _read(sftp: asyncssh.SFTPClient, path: str | bytes) -> bytes:
    async with sftp.open(path, "rb") as stream:
        return await stream.read()


def test_every_act_the_library_knows_is_decided_here() -> None:
    """A new version of the library may learn new acts; whatever reaches the machine's files must be decided by us."""
    harmless = {
        "channel",
        "connection",
        "env",
        "logger",
        "convert_attrs",
        "format_user",
        "format_group",
        "format_longname",
        "exit",
    }
    known = {name for name in vars(asyncssh.SFTPServer) if not name.startswith("_")}

    assert known - harmless - set(vars(sftp_session.BankSession)) == set()


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


def test_stopping_lets_an_upload_end_and_takes_nobody_new(place: Place) -> None:
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


# -- logging in ----------------------------------------------------------------------------------------------------------


def test_only_a_banks_own_key_lets_it_in(place: Place) -> None:
    place.login_fails(key=asyncssh.generate_private_key("ssh-ed25519"))
    place.login_fails(bank="SWB", key=place.keys["NRB"])
    assert "sftp:login:made" not in [act for act, _, _ in place.events()]


def test_nobody_logs_in_under_a_name_without_keys(started: Callable[[Limits], Place]) -> None:
    place = started(replace(SMALL, failed_logins=100))
    for bank in ("", "root", "../NRB", "HBB", "swb", "NRB/..", "SWB "):
        place.login_fails(bank=bank, key=place.keys["SWB"])


def test_a_password_is_never_asked_for(place: Place) -> None:
    asked: list[str] = []

    class Client(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            asked.append("password")
            return "secret"

        def kbdint_auth_requested(self) -> str:
            asked.append("keyboard")
            return ""

    place.login_fails(client_keys=[], password="secret", client_factory=Client)

    assert asked == []
    place.end()
    events = place.events()
    assert [act for act, _, _ in events] == ["sftp:login:failed"]
    assert "secret" not in str(events)


def test_an_address_that_fails_too_often_is_not_served_for_a_while(place: Place) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for _ in range(SMALL.failed_logins):
        place.login_fails(key=stranger)
    place.login_fails()  # the right key

    place.now += SMALL.failure_window_seconds + 1
    assert place.as_bank(lambda sftp: sftp.realpath(".")) == "/"
    place.end()
    failures = [details for act, _, details in place.events() if act == "sftp:login:failed"]
    assert [one["blocked"] for one in failures] == [False, False, True]


def test_a_bank_has_only_so_many_connections_and_open_files(place: Place) -> None:
    async def run() -> None:
        async with (
            place.connect() as first,
            place.connect() as second,
            first.start_sftp_client() as sftp,
            second.start_sftp_client() as other,
        ):
            for number in range(SMALL.open_files_of_a_bank - 1):
                await sftp.open(f"/incoming/{number}.sta", "wb")
            await other.open("/incoming/other.sta", "wb")
            with pytest.raises(asyncssh.SFTPError, match="too many files"):
                await sftp.open("/incoming/one-more.sta", "wb")
            third = await place.connect()
            with pytest.raises((asyncssh.Error, OSError)):
                await third.start_sftp_client()
            await third.wait_closed()
            async with place.connect("NRB") as neighbour, neighbour.start_sftp_client() as undisturbed:
                await undisturbed.listdir("/")

    asyncio.run(run())


def test_a_connection_that_asks_nothing_is_ended(started: Callable[[Limits], Place]) -> None:
    place = started(replace(SMALL, idle_seconds=0.3))

    async def run() -> None:
        connection = await place.connect()
        await asyncio.wait_for(connection.wait_closed(), 10)

    asyncio.run(run())


def test_there_is_no_shell_no_command_no_copying_and_no_forwarding(place: Place) -> None:
    async def run() -> None:
        async with place.connect() as connection:
            for act in (
                lambda: connection.run("id"),
                connection.create_process,
                lambda: connection.create_process(subsystem="netconf"),
                lambda: asyncssh.scp((connection, "/accepted/*"), "/tmp/outer-nowhere"),
                lambda: connection.open_connection("127.0.0.1", place.port),
                lambda: connection.open_unix_connection("/tmp/socket"),
            ):
                with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError, OSError)):
                    await act()
            with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError, OSError)):
                await connection.forward_remote_port("", 0, "127.0.0.1", 1)

    asyncio.run(run())


def test_a_connection_without_a_login_is_ended(started: Callable[[Limits], Place]) -> None:
    place = started(replace(SMALL, login_seconds=0.5))
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as stranger:
        stranger.sendall(b"SSH-2.0-nobody\r\n")
        while stranger.recv(4096):
            pass


# -- keys ----------------------------------------------------------------------------------------------------------------


def test_a_key_is_changed_without_a_restart(place: Place) -> None:
    old, new = place.keys["SWB"], asyncssh.generate_private_key("ecdsa-sha2-nistp256", comment="2027")
    add_key(place.folder / "keys", "SWB", new.export_public_key().decode())
    place.as_bank(lambda sftp: sftp.listdir("/"))

    remove_key(place.folder / "keys", "SWB", old.get_fingerprint())

    place.login_fails(key=old)
    place.keys["SWB"] = new
    place.as_bank(lambda sftp: sftp.listdir("/"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "ssh-rsa " + asyncssh.generate_private_key("ssh-rsa", key_size=1024).export_public_key().decode().split()[1],
            "2048 bits",
        ),
        ('command="x" ssh-ed25519 AAAA', "options before the key"),
        ("ssh-ed25519 AAAA", "no public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "must begin with"),
        ("ssh-dss AAAA", "must begin with"),
        ("", "must begin with"),
    ],
)
def test_a_weak_or_foreign_key_is_refused(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(KeyRefused, match=why):
        add_key(tmp_path, "SWB", line)
    assert keys_of(tmp_path, "SWB") == []


def test_a_key_belongs_to_one_bank(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    add_key(tmp_path, "SWB", key)
    for bank in ("NRB", "SWB"):
        with pytest.raises(KeyRefused, match="a key of SWB already"):
            add_key(tmp_path, bank, key)


def test_a_file_of_keys_others_may_write_lets_nobody_in(place: Place) -> None:
    (place.folder / "keys" / "SWB").chmod(0o666)
    place.login_fails()


def test_the_host_key_is_made_once_and_never_shown_to_others(tmp_path: Path) -> None:
    made = host_key(tmp_path / "k" / "host.key")
    assert host_key(tmp_path / "k" / "host.key") == made
    assert (tmp_path / "k" / "host.key").stat().st_mode & 0o077 == 0
    (tmp_path / "k" / "host.key").chmod(0o644)
    with pytest.raises(KeyRefused, match="can be read by others"):
        host_key(tmp_path / "k" / "host.key")


# -- the command ---------------------------------------------------------------------------------------------------------


def test_the_command_serves_until_it_is_told_to_stop(books_url: str, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "swb.pub").write_bytes(key.export_public_key())
    environment = {**os.environ, "ESCROW_DATABASE_URL": books_url, "ESCROW_DATA": str(tmp_path), "ESCROW_BOOKS": "b"}
    program = [sys.executable, "-m", "entrypoints.cli"]
    given = subprocess.run(
        [*program, "--as", "platform", "sftp", "add-key", "--bank", "SWB", str(tmp_path / "swb.pub")],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (given.returncode, key.get_fingerprint() in given.stdout) == (0, True), given.stderr
    serving = subprocess.Popen([*program, "sftp", "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert serving.stdout is not None
        port = int(serving.stdout.readline().split(" port ")[1].split(",")[0])

        async def run() -> None:
            told: dict[str, Any] = {
                "username": "SWB",
                "client_keys": [key],
                "known_hosts": None,
                "config": None,
                "agent_path": None,
            }
            async with asyncssh.connect("127.0.0.1", port, **told) as connection, connection.start_sftp_client() as sftp:
                await _write(sftp, "/incoming/a.sta")
                serving.send_signal(signal.SIGTERM)
                await asyncio.wait_for(connection.wait_closed(), 20)

        asyncio.run(run())
        assert (serving.wait(20), "stopped" in serving.stdout.read()) == (0, True)
    finally:
        serving.kill()
        serving.wait()
        assert serving.stdout is not None
        serving.stdout.close()
    assert [one.name for one in (tmp_path / "b" / "inbox" / "SWB").iterdir() if one.is_file()] == ["a.sta"]
