"""Files a bank reads, and uploads at work. No link is followed, nothing is overwritten, and a half upload is never seen.

An upload is written under a hidden name beside the place it is meant for; it gets its own name by one atomic act once the bank
has closed it, every byte is there and is on disk.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from entrypoints.sftp.folders import Folder, unfinished
from entrypoints.sftp.limits import Limits

_HIDDEN = ".upload-"
_ENDING = ".part"
_OLD_SECONDS = 24 * 3600
_CHUNK = 1 << 20


class DeliveryRefused(OSError):
    """A delivery that cannot be taken; the error number says which kind, the text what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a bank sees it. ``modified`` in seconds since 1970."""

    name: str
    size: int
    modified: int


def entries(folder: Folder) -> Iterator[Entry]:
    """The files of a folder; hidden ones, links and whatever else is no file are not shown."""
    try:
        found = os.scandir(folder.path)
    except FileNotFoundError:
        return
    with found:
        for one in found:
            if not one.name.startswith(".") and one.is_file(follow_symlinks=False) and one.name.isprintable():
                told = one.stat(follow_symlinks=False)
                yield Entry(one.name, told.st_size, int(told.st_mtime))


def entry(folder: Folder, name: str) -> Entry:
    """One file. Raises FileNotFoundError, also for links."""
    told = (folder.path / name).lstat()
    if not stat.S_ISREG(told.st_mode):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    return Entry(name, told.st_size, int(told.st_mtime))


@dataclass(slots=True, eq=False)
class Reading:
    """A file opened for reading; the bytes handed out are counted."""

    folder: Folder
    name: str
    descriptor: int
    size: int
    given: int = 0

    def read(self, offset: int, size: int) -> bytes:
        data = os.pread(self.descriptor, max(0, min(size, _CHUNK)), offset)
        self.given += len(data)
        return data

    def seek(self, offset: int, whence: int) -> int:
        """Where data or a hole begins: the library answers clients that ask which parts of a file hold anything."""
        return os.lseek(self.descriptor, offset, whence)

    def close(self) -> None:
        os.close(self.descriptor)


def open_to_read(folder: Folder, name: str) -> Reading:
    """Open a file of a folder. Raises FileNotFoundError, also for links, pipes and devices."""
    try:
        descriptor = os.open(folder.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        if failure.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "no such file") from None
        raise
    told = os.fstat(descriptor)
    if not stat.S_ISREG(told.st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no such file")
    return Reading(folder, name, descriptor, told.st_size)


@dataclass(slots=True, eq=False)
class Upload:
    """An upload at work: where it is written, where it is meant to go, and which bytes have come."""

    folder: Folder
    name: str
    largest: int
    hidden: str
    descriptor: int
    have: list[tuple[int, int]] = field(default_factory=list)  # from, to; apart from each other, in order
    received: int = 0  # bytes the bank has sent, those written twice too
    spoiled: str = ""  # why what was written is not what the bank meant to write

    @property
    def size(self) -> int:
        return self.have[-1][1] if self.have else 0

    def write(self, offset: int, data: bytes) -> int:
        """Write at an offset. Raises DeliveryRefused beyond the largest size; whatever is not written spoils the upload."""
        try:
            if offset + len(data) > self.largest:
                why = f"{self.name}: more than {self.largest} bytes; ask us before you send larger files"
                raise DeliveryRefused(errno.EFBIG, why)
            self.received += len(data)
            view, at = memoryview(data), offset
            while view:
                done = os.pwrite(self.descriptor, view, at)
                view, at = view[done:], at + done
            if data:
                self._came(offset, at)
        except OSError as failure:
            self.spoil(failure)
            raise
        return len(data)

    def spoil(self, failure: OSError) -> None:
        """What was written is not what the bank meant to write: it is thrown away when it is closed."""
        self.spoiled = self.spoiled or failure.strerror or "not everything could be written"

    def _came(self, begin: int, end: int) -> None:
        if self.have and self.have[-1][1] == begin:  # nearly always
            self.have[-1] = (self.have[-1][0], end)
            return
        joined: list[tuple[int, int]] = []
        for one in sorted([*self.have, (begin, end)]):
            if joined and one[0] <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(one[1], joined[-1][1]))
            else:
                joined.append(one)
        if len(joined) > _MOST_PIECES:
            raise DeliveryRefused(
                errno.EINVAL, f"{self.name}: written in too many pieces; write it from its beginning to its end"
            )
        self.have = joined

    def whole(self) -> str:
        """Put what was written on disk and give its SHA-256. Raises DeliveryRefused for a spoiled upload or one with holes."""
        if self.spoiled:
            raise DeliveryRefused(errno.EINVAL, self.spoiled)
        if self.have and (len(self.have) > 1 or self.have[0][0] != 0):
            raise DeliveryRefused(errno.EINVAL, f"{self.name}: bytes in the middle never came; send the file again")
        os.fsync(self.descriptor)
        state, at = hashlib.sha256(), 0
        while chunk := os.pread(self.descriptor, _CHUNK, at):
            state.update(chunk)
            at += len(chunk)
        return state.hexdigest()

    def publish(self) -> None:
        """Give the upload its name. Raises FileExistsError; only what is still unfinished may be replaced by its own like."""
        source, target = self.folder.path / self.hidden, self.folder.path / self.name
        if unfinished(self.name):
            source.replace(target)
        else:
            os.link(source, target, follow_symlinks=False)
        _sync(self.folder)

    def discard(self) -> None:
        """Close, and take away the hidden file, published or not."""
        os.close(self.descriptor)
        (self.folder.path / self.hidden).unlink(missing_ok=True)


_MOST_PIECES = 1_000


def begin_upload(folder: Folder, name: str, largest: int, limits: Limits) -> Upload:
    """Begin to write a file. Raises FileExistsError (a file there is never overwritten) and DeliveryRefused (too much waits)."""
    target = folder.path / name
    if os.path.lexists(target) and not (unfinished(name) and not target.is_symlink() and target.is_file()):
        raise FileExistsError(errno.EEXIST, f"{name} is there already; it is never overwritten, send the file under another name")
    waiting = [one.stat(follow_symlinks=False).st_size for one in os.scandir(folder.path) if one.is_file(follow_symlinks=False)]
    if len(waiting) >= limits.waiting_files or sum(waiting) >= limits.waiting_bytes:
        raise DeliveryRefused(errno.EDQUOT, "too much waits here to be collected; try again later, or tell us")
    hidden = f"{_HIDDEN}{secrets.token_hex(8)}{_ENDING}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return Upload(folder, name, largest, hidden, os.open(folder.path / hidden, flags, 0o640))


def finish_name(folder: Folder, old: str, new: str) -> None:
    """Rename an unfinished file to its final name. Raises FileNotFoundError, FileExistsError: nothing is overwritten."""
    entry(folder, old)
    os.link(folder.path / old, folder.path / new, follow_symlinks=False)
    (folder.path / old).unlink()
    _sync(folder)


def remove_old_uploads(folder: Folder, clock: Callable[[], float] = time.time) -> int:
    """Take away hidden files of uploads that a killed server left behind a day ago; returns how many."""
    found = 0
    for one in os.scandir(folder.path):
        if one.name.startswith(_HIDDEN) and one.name.endswith(_ENDING) and one.is_file(follow_symlinks=False):
            if clock() - one.stat(follow_symlinks=False).st_mtime < _OLD_SECONDS:
                continue
            (folder.path / one.name).unlink(missing_ok=True)
            found += 1
    return found


def _sync(folder: Folder) -> None:
    descriptor = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
