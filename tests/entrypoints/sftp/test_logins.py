"""Who may log in to the SFTP server, with which keys, how often; and the command that serves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from entrypoints.sftp.keys import KeyRefused, add_key, host_key, keys_of, remove_key
from entrypoints.sftp.limits import Limits
from tests.entrypoints.sftp.conftest import SMALL, Place, write

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
        ("PuTTY-User-Key-File-3: ssh-ed25519", "must begin with"),
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
                await write(sftp, "/incoming/a.sta")
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
