"""What a bank may not do on the SFTP server: read others' files, overwrite, delete, escape, or anything not allowed by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from entrypoints.sftp import session as sftp_session
from tests.entrypoints.sftp.conftest import Place, read, write


async def hole(sftp: asyncssh.SFTPClient) -> None:
    async with sftp.open("/incoming/hole.sta", "wb") as stream:
        await stream.write(b"begin", 0)
        await stream.write(b"end", 100)


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
                await read(sftp, path)
        assert [name for name in await sftp.listdir("/accepted") if name not in (".", "..")] == []

    place.as_bank(act)


def test_two_banks_see_two_worlds(place: Place) -> None:
    place.put("/incoming/a.sta", b"of SWB", "SWB")
    place.put("/incoming/a.sta", b"of NRB", "NRB")

    async def tree(sftp: asyncssh.SFTPClient) -> dict[str, list[str]]:
        folders = ["/", "/incoming", "/answers", "/..", "/incoming/../.."]
        return {one: sorted(str(name) for name in await sftp.listdir(one) if name not in (".", "..")) for one in folders}

    top = ["accepted", "answers", "held", "incoming", "outbox", "refused"]
    assert place.as_bank(tree) == {
        "/": top, "/incoming": ["a.sta"], "/answers": ["accepted", "refused"], "/..": top, "/incoming/../..": top,
    }  # fmt: skip
    assert (place.inbox / "SWB" / "a.sta").read_bytes() == b"of SWB"
    assert (place.inbox / "NRB" / "a.sta").read_bytes() == b"of NRB"


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
    (lambda sftp: write(sftp, "/incoming/there.sta"), "never overwritten"),
    (lambda sftp: write(sftp, "/incoming/there.sta", "xb"), "never overwritten"),
    (lambda sftp: write(sftp, "/incoming/there.sta", "ab"), "delivered whole"),
    (lambda sftp: write(sftp, "/incoming/there.sta", "r+b"), "delivered whole"),
    (lambda sftp: write(sftp, "/incoming/accepted"), "folder|name of ours"),
    (lambda sftp: write(sftp, "/accepted/new.sta"), "nothing may be written"),
    (lambda sftp: write(sftp, "/accepted/there.sta.receipt.json"), "nothing may be written"),
    (lambda sftp: write(sftp, "/outbox/new.csv"), "nothing may be written"),
    (lambda sftp: write(sftp, "/new.sta"), "no such file"),
    (lambda sftp: write(sftp, "/incoming/.hidden"), "no such file"),
    (lambda sftp: write(sftp, "/incoming/a.receipt.json"), "name of ours"),
    (lambda sftp: write(sftp, "/incoming/ blank"), "does not begin"),
    (lambda sftp: write(sftp, "/incoming/" + "n" * 200), "at most 180 bytes"),
    (lambda sftp: write(sftp, "/incoming/a\x1b[2Jb"), "no such file"),
    (lambda sftp: write(sftp, "/incoming/\u202egpj.sta"), "no such file"),
    (lambda sftp: write(sftp, "/incoming/large.sta", content=b"x" * 50_001), "more than 50000 bytes"),
    (lambda sftp: write(sftp, "/incoming/large.sta.sig", content=b"x" * 201), "more than 200 bytes"),
    (lambda sftp: write(sftp, "/incoming/large.sta.sig.part", content=b"x" * 201), "more than 200 bytes"),
    (hole, "never came"),
    (lambda sftp: read(sftp, "/incoming/there.sta"), "read by us only"),
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
