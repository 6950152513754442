"""A backup as one file: a tar archive whose every byte follows from the dump and the manifest in it.

``books.dump`` (PostgreSQL's custom format), ``manifest.json``, ``SHA256SUMS``, in this order. Anyone opens it with ``tar xf``,
checks it with ``sha256sum -c SHA256SUMS`` and loads it with ``pg_restore``. Headers and padding carry no facts of their own (no
times, no owners), so a changed byte anywhere is found: each part is compared with what it must be.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from storage.errors import StorageRefused
from storage.file_lock import try_lock

DUMP = "books.dump"
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_BLOCK = 512
_PIECE = 1 << 20
#: Two empty blocks end a tar archive.
_END = bytes(2 * _BLOCK)
#: A manifest is some hundred lines; what claims to be longer is not one.
_LONGEST_MANIFEST = 64 << 20

Told = Callable[[int], None]


class BackupRefused(StorageRefused):
    """A backup cannot be written, or what is given is not a whole and unchanged backup."""


class BackupWriter:
    """Takes the dump piece by piece, then the manifest. Made by ``new_backup``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._size = 0
        stream.write(bytes(_BLOCK))  # the dump's header, whose size is known at its end

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._size += len(piece)
        self._stream.write(piece)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest and the sums, and make all of it durable."""
        described = manifest_bytes({**manifest, "dump_bytes": self._size, "dump_sha256": self._digest.hexdigest()})
        self._stream.write(_padding(self._size))
        for name, content in ((MANIFEST, described), (SUMS, _sums(self._digest.hexdigest(), described))):
            self._stream.write(_header(name, len(content)) + content + _padding(len(content)))
        self._stream.write(_END)
        self._stream.seek(0)
        self._stream.write(_header(DUMP, self._size))
        self._stream.flush()
        os.fsync(self._stream.fileno())


@contextmanager
def new_backup(path: Path) -> Iterator[BackupWriter]:
    """A new backup file: at ``path`` when the block ends well, and nothing of it there otherwise, also after kill -9.

    Raises BackupRefused when ``path`` exists (a backup is never overwritten) or another backup is being written to it.
    """
    _refuse_existing(path)
    unfinished = path.with_name(f".{path.name}.part")
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=_PIECE) as stream:
        if not try_lock(stream.fileno(), shared=False):
            raise BackupRefused(f"another backup is being written to {path}; wait for it, or give another --out")
        # What a killed backup left behind is written over.
        stream.truncate(0)
        try:
            yield BackupWriter(stream)
            _put_in_place(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Give the finished file its name, unless something has it: a link fails where a rename would overwrite."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        _refuse_existing(path)
        raise
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
            raise
        _refuse_existing(path)  # a file system without hard links
        unfinished.rename(path)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise BackupRefused(f"{path} exists, and a backup is never overwritten; give another name with --out")


def read_manifest(path: Path, told: Told = lambda _: None) -> dict[str, Any]:
    """Read the whole file and return its manifest. Raises BackupRefused naming the part that is not as it was written.

    ``told`` is given the number of bytes read since it was told last.
    """
    with path.open("rb") as stream:
        size = _member_size(stream, path, DUMP)
        digest = hashlib.sha256()
        left = size
        while left:
            piece = stream.read(min(left, _PIECE))
            if not piece:
                raise BackupRefused(f"{path} ends within {DUMP}: the file is cut off; use another copy of this backup")
            digest.update(piece)
            told(len(piece))
            left -= len(piece)
        _expect(stream, path, _padding(size), DUMP)
        described = _small_member(stream, path, MANIFEST)
        sums = _small_member(stream, path, SUMS)
        _expect(stream, path, _END, "its end")
        if stream.read(1):
            raise BackupRefused(f"{path}: something follows the end of the backup; use another copy of it")
    told_sums = [line.split("  ", 1) for line in sums.decode("utf-8", "replace").splitlines() if "  " in line]
    expected = {name: value for value, name in told_sums}
    found = {DUMP: digest.hexdigest(), MANIFEST: hashlib.sha256(described).hexdigest()}
    changed = [name for name, value in found.items() if expected.get(name) != value]
    if changed or sums != _sums(found[DUMP], described):
        what = " and ".join(changed) if len(changed) == 1 else SUMS
        raise BackupRefused(f"{path}: {what} is not as it was written (its SHA-256 differs); use another copy of this backup")
    manifest: dict[str, Any] = json.loads(described)
    if manifest.get("dump_sha256") != found[DUMP] or manifest.get("dump_bytes") != size:
        raise BackupRefused(f"{path}: {MANIFEST} describes another dump; use another copy of this backup")
    return manifest


@contextmanager
def open_dump(path: Path) -> Iterator[int]:
    """A descriptor that stands at the beginning of the dump, as pg_restore wants its standard input."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.lseek(descriptor, _BLOCK, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """The manifest as it stands in the file: readable, one form only."""
    return (json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _sums(dump_sha256: str, described: bytes) -> bytes:
    return f"{dump_sha256}  {DUMP}\n{hashlib.sha256(described).hexdigest()}  {MANIFEST}\n".encode("ascii")


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _member_size(stream: BinaryIO, path: Path, name: str) -> int:
    found = stream.read(_BLOCK)
    try:
        size = tarfile.TarInfo.frombuf(found, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError):
        size = -1
    if size < 0 or found != _header(name, size):
        if name == DUMP:
            raise BackupRefused(f"{path} is not a backup of this program, or its first bytes were changed; give a file that "
                                "escrow db backup wrote")  # fmt: skip
        raise BackupRefused(f"{path}: the header of {name} is not as it was written; use another copy of this backup")
    return size


def _small_member(stream: BinaryIO, path: Path, name: str) -> bytes:
    size = _member_size(stream, path, name)
    if size > _LONGEST_MANIFEST:
        raise BackupRefused(f"{path}: {name} is too long to be one; use another copy of this backup")
    content = stream.read(size)
    if len(content) < size:
        raise BackupRefused(f"{path} ends within {name}: the file is cut off; use another copy of this backup")
    _expect(stream, path, _padding(size), name)
    return content


def _expect(stream: BinaryIO, path: Path, expected: bytes, name: str) -> None:
    if stream.read(len(expected)) != expected:
        raise BackupRefused(f"{path}: the bytes after {name} are not as they were written; use another copy of this backup")
