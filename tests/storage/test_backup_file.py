"""A backup file is whole and unchanged, or it is refused by the name of the part that is not."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.backup_file import BackupRefused, new_backup, open_dump, read_manifest


def written(path: Path, dump: bytes = b"PGDMP" + bytes(range(256)) * 5) -> bytes:
    with new_backup(path) as backup:
        backup.write(dump[:100])
        backup.write(dump[100:])
        backup.finish({"format": "x", "说明": "中文"})
    return dump


def test_what_was_written_is_read_back_also_by_tar_and_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    dump = written(path)

    manifest = read_manifest(path)
    assert (manifest["说明"], manifest["dump_bytes"]) == ("中文", len(dump))
    with open_dump(path) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        assert stream.read(len(dump)) == dump
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    assert (tmp_path / "books.dump").read_bytes() == dump
    assert (
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False).returncode == 0
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("backup") / "a.backup"
    written(path)
    return path.read_bytes()


@given(st.data())
def test_a_changed_byte_anywhere_is_refused(whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(1, 255))
    changed = bytearray(whole)
    changed[place] ^= other
    path = tmp_path_factory.mktemp("changed") / "a.backup"
    path.write_bytes(changed)
    with pytest.raises(BackupRefused, match=r"books\.dump|manifest\.json|SHA256SUMS|its end|first bytes"):
        read_manifest(path)


def test_every_byte_of_a_small_backup_counts(tmp_path: Path) -> None:
    """Exhaustively, over a file of a few kilobytes."""
    path = tmp_path / "a.backup"
    written(path, b"PGDMP")
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BackupRefused):
            read_manifest(path)


@given(st.data())
def test_a_file_cut_off_or_continued_is_refused(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.backup"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))] if data.draw(st.booleans()) else whole + b"\0")
    with pytest.raises(BackupRefused):
        read_manifest(path)


def test_the_part_that_was_changed_is_named(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    for place, name in ((600, "books.dump"), (whole.index(b'"dump_bytes"') + 2, "manifest.json"), (len(whole) - 1, "its end")):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BackupRefused, match=f"{name}.* as (it|they) (was|were) written"):
            read_manifest(path)


def half(path: Path, interruption: type[BaseException]) -> None:
    with new_backup(path) as backup:
        backup.write(b"half")
        raise interruption


def test_a_backup_is_never_overwritten_and_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    for interruption in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(interruption):
            half(path, interruption)
        assert list(tmp_path.iterdir()) == []
    written(path)
    before = path.read_bytes()
    with pytest.raises(BackupRefused, match="never overwritten"):
        written(path)
    assert path.read_bytes() == before
    with new_backup(tmp_path / "b.backup"), pytest.raises(BackupRefused, match="another backup is being written"):
        written(tmp_path / "b.backup")


def test_a_file_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PGDMP", bytes(5000), b"<html>" * 300):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(BackupRefused, match="not a backup of this program"):
            read_manifest(tmp_path / "x")
