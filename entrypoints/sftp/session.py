"""What a bank may ask of its folders over SFTP, version 3. Whatever is not allowed by name here is refused."""

from __future__ import annotations

import asyncio
import errno
import stat
import sys
from collections.abc import AsyncIterator, Callable
from typing import NoReturn, TypeVar

import asyncssh
from asyncssh import SFTPAttrs, SFTPName

from entrypoints.sftp import files
from entrypoints.sftp.connection import BankConnection
from entrypoints.sftp.files import DeliveryRefused, Entry, Reading, Upload
from entrypoints.sftp.folders import (
    BankFolders,
    Folder,
    NameRefused,
    NoSuchPlace,
    Place,
    Use,
    largest_of,
    refuse_name,
    shown_path,
    unfinished,
)
from entrypoints.sftp.trail import Event

_T = TypeVar("_T")
_FOLDER_MODE = stat.S_IFDIR | 0o755
_FILE_MODE = stat.S_IFREG | 0o640
_WRITES = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC | asyncssh.FXF_EXCL


class BankSession(asyncssh.SFTPServer):
    """One SFTP session of a bank that has logged in."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes], connection: BankConnection, folders: BankFolders) -> None:
        super().__init__(chan)
        self.bank = connection
        self.folders = folders
        self.open_files: set[Reading | Upload] = set()

    # -- reading and writing -----------------------------------------------------------------------------------------

    async def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:  # noqa: ARG002 - a bank does not set modes
        self.bank.touch()
        place = self._place(path)
        if place.folder is None or not place.name:
            raise asyncssh.SFTPFailure("this is a folder")
        if self.bank.desk.stopping:
            raise asyncssh.SFTPFailure("the server is being stopped; try again later")
        if not self.bank.desk.take_file(self.folders.bank_code):
            raise asyncssh.SFTPFailure("too many files are open at once; close some, or try again later")
        try:
            opened = await self._opened(place.folder, place.name, pflags)
        except BaseException:
            self.bank.desk.give_file_back(self.folders.bank_code)
            raise
        self.open_files.add(opened)
        if isinstance(opened, Upload):
            self._watch_later(opened, 0)
        return opened

    async def _opened(self, folder: Folder, name: str, pflags: int) -> Reading | Upload:
        if pflags == asyncssh.FXF_READ:
            if folder.use is not Use.READ:
                self._refuse("what was delivered is read by us only; the receipt will tell what was read")
            return await _in_thread(lambda: files.open_to_read(folder, name))
        if not pflags & asyncssh.FXF_WRITE or pflags & ~_WRITES:
            self._refuse("a file is delivered whole, from its beginning: open it for writing, not for reading or appending")
        if folder.use is not Use.DELIVER:
            self._refuse(f"nothing may be written to {folder.shown}; deliver to /incoming or /answers")
        _refuse_name(name)
        self._take_of_the_day(0)
        limits = self.folders.limits
        return await _in_thread(lambda: files.begin_upload(folder, name, largest_of(folder, name, limits), limits))

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        self.bank.touch()
        if not isinstance(file_obj, Reading):
            raise asyncssh.SFTPPermissionDenied("this file is being written")
        return file_obj.read(offset, size)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        self.bank.touch()
        if not isinstance(file_obj, Upload):
            raise asyncssh.SFTPPermissionDenied("this file is open for reading")
        try:
            self._take_of_the_day(len(data))
        except DeliveryRefused as refused:
            file_obj.spoil(refused)
            raise
        return file_obj.write(offset, data)

    def _take_of_the_day(self, count: int) -> None:
        if not self.bank.desk.arrived.take(self.folders.bank_code, count):
            limit = self.folders.limits.bytes_a_day
            raise DeliveryRefused(errno.EDQUOT, f"today's {limit:,} bytes are used up; send the rest tomorrow, or ask us")

    def _watch_later(self, upload: Upload, before: int) -> None:
        """Look again later whether an upload goes on; ``before``: the bytes it had brought by now."""
        seconds = self.folders.limits.slow_seconds
        asyncio.get_running_loop().call_later(seconds, self._watch_upload, upload, before)

    def _watch_upload(self, upload: Upload, before: int) -> None:
        """End the connection of an upload that hardly moves: it would hold a file and a connection for ever."""
        if upload not in self.open_files:
            return
        limits, came = self.folders.limits, upload.received - before
        if came >= limits.slow_seconds * limits.fewest_bytes_a_second:
            self._watch_later(upload, upload.received)
            return
        details = {"bytes": upload.received, "bytes_at_last": came, "within_seconds": f"{limits.slow_seconds:g}"}
        self.bank.end_for(Event(self.folders.bank_code, "upload:too_slow", f"{upload.folder.shown}/{upload.name}", details))

    async def close(self, file_obj: object) -> None:
        """The bank closed a file, or the library does so for a session that broke off.

        The library calls this for both. For a session that broke off it does so while it handles the error that ended it, so an
        exception is at hand; in answer to the bank there is none. An upload that was not closed by the bank is thrown away.
        """
        broken_off = sys.exc_info()[0] is not None or self.channel.is_closing()
        self.bank.touch()
        if not isinstance(file_obj, (Reading, Upload)) or file_obj not in self.open_files:
            return
        self.open_files.discard(file_obj)
        try:
            if isinstance(file_obj, Reading):
                await self._fetched(file_obj)
            elif broken_off:
                await self._record(file_obj, "upload:broken_off", {"bytes": file_obj.size})
            else:
                await self._delivered(file_obj)
        finally:
            self.bank.desk.give_file_back(self.folders.bank_code)
            await asyncio.shield(_in_thread(file_obj.close if isinstance(file_obj, Reading) else file_obj.discard))

    async def _fetched(self, reading: Reading) -> None:
        if reading.given:
            await self._record(reading, "file:fetched", {"bytes": reading.given, "size": reading.size})

    async def _delivered(self, upload: Upload) -> None:
        try:
            digest = await _in_thread(upload.whole)
            details = {"bytes": upload.size, "sha256": digest}
            await self._record(upload, "file:uploaded", details, upload.publish)
        except OSError as refused:
            await self._record(upload, "upload:refused", {"bytes": upload.size, "why": refused.strerror or str(refused)})
            raise

    async def _record(
        self, one: Reading | Upload, act: str, details: dict[str, object], meanwhile: Callable[[], None] | None = None
    ) -> None:
        event = Event(self.folders.bank_code, act, f"{one.folder.shown}/{one.name}", details)
        await _in_thread(lambda: self.bank.desk.trail.record(event, meanwhile))

    def fsync(self, file_obj: object) -> None:
        """A delivered file is put on disk when it is closed."""

    # -- looking -----------------------------------------------------------------------------------------------------

    def lstat(self, path: bytes) -> SFTPAttrs:
        self.bank.touch()
        place = self._place(path)
        if place.folder is None or not place.name:
            return _folder_attrs()
        return _file_attrs(files.entry(place.folder, place.name))

    def stat(self, path: bytes) -> SFTPAttrs:
        return self.lstat(path)

    def fstat(self, file_obj: object) -> SFTPAttrs:
        self.bank.touch()
        size = file_obj.size if isinstance(file_obj, (Reading, Upload)) else 0
        return SFTPAttrs(size=size, permissions=_FILE_MODE)

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        self.bank.touch()
        place = self._place(path)
        if place.name:
            raise asyncssh.SFTPFailure("this is a file")
        for name in (b".", b".."):
            yield SFTPName(name, attrs=_folder_attrs())
        for shown in self.folders.top() if place.folder is None else place.folder.folders:
            yield SFTPName(shown.encode(), attrs=_folder_attrs())
        if place.folder is not None:
            for one in files.entries(place.folder):
                yield SFTPName(one.name.encode(), attrs=_file_attrs(one))

    def realpath(self, path: bytes) -> bytes:
        self.bank.touch()
        try:
            return shown_path(path).encode()
        except NoSuchPlace:
            raise asyncssh.SFTPNoSuchFile("no such file") from None

    # -- changing names and times ------------------------------------------------------------------------------------

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Only the end of an upload: from an unfinished name to the final one, in the same folder, over no other file."""
        self.bank.touch()
        old, new = self._place(oldpath), self._place(newpath)
        folder = old.folder
        if folder is None or folder is not new.folder or folder.use is not Use.DELIVER or not (old.name and new.name):
            self._refuse("a file may only be renamed where it was delivered")
        if not unfinished(old.name) or unfinished(new.name):
            self._refuse("only a file whose name ends in .part, .tmp or .filepart may be renamed, to a name that does not")
        _refuse_name(new.name)
        entry = files.entry(folder, old.name)
        if entry.size > largest_of(folder, new.name, self.folders.limits):
            raise DeliveryRefused(errno.EFBIG, f"{new.name}: more bytes than such a file may have")
        event = Event(
            self.folders.bank_code, "file:delivered", f"{folder.shown}/{new.name}", {"bytes": entry.size, "from": old.name}
        )
        await _in_thread(lambda: self.bank.desk.trail.record(event, lambda: files.finish_name(folder, old.name, new.name)))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self.rename(oldpath, newpath)

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """Times and modes that transfer programs set after an upload are passed over; a size is not."""
        self.bank.touch()
        place = self._place(path)
        if place.folder is None or not place.name or place.folder.use is not Use.DELIVER:
            self._refuse("nothing here may be changed")
        files.entry(place.folder, place.name)
        self._only_times(attrs)

    def lsetstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        self.setstat(path, attrs)

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        self.bank.touch()
        if not isinstance(file_obj, Upload):
            self._refuse("nothing here may be changed")
        self._only_times(attrs)

    def _only_times(self, attrs: SFTPAttrs) -> None:
        if attrs.size is not None:
            self._refuse("a delivered file keeps its size")

    # -- never -------------------------------------------------------------------------------------------------------

    def open56(self, path: bytes, desired_access: int, flags: int, attrs: SFTPAttrs) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        raise asyncssh.SFTPOpUnsupported("SFTP version 3 is spoken here")

    def remove(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("nothing is ever deleted here; ask us when a file was delivered by mistake")

    def rmdir(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("nothing is ever deleted here")

    def mkdir(self, path: bytes, attrs: SFTPAttrs) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("no folders are made here; deliver to /incoming or /answers")

    def readlink(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("there are no links here")

    def symlink(self, oldpath: bytes, newpath: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("no links are made here")

    def link(self, oldpath: bytes, newpath: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("no links are made here")

    def lock(self, file_obj: object, offset: int, length: int, flags: int) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("files are not locked here")

    def unlock(self, file_obj: object, offset: int, length: int) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("files are not locked here")

    def statvfs(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("the disk is ours to watch")

    def fstatvfs(self, file_obj: object) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("the disk is ours to watch")

    def map_path(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        """No path of a bank is ever one of the machine's: whatever of the library would take it for one is refused."""
        self._refuse("no such file")

    def reverse_map_path(self, path: bytes) -> NoReturn:  # noqa: ARG002 - refused whatever it asks
        self._refuse("no such file")

    def _refuse(self, why: str) -> NoReturn:
        self.bank.refused += 1
        raise asyncssh.SFTPPermissionDenied(why)

    def _place(self, path: bytes) -> Place:
        try:
            return self.folders.place(path)
        except NoSuchPlace:
            raise asyncssh.SFTPNoSuchFile("no such file") from None


def _refuse_name(name: str) -> None:
    try:
        refuse_name(name)
    except NameRefused as problem:
        raise asyncssh.SFTPFailure(str(problem)) from None


def _folder_attrs() -> SFTPAttrs:
    return SFTPAttrs(permissions=_FOLDER_MODE, size=0)


def _file_attrs(entry: Entry) -> SFTPAttrs:
    return SFTPAttrs(size=entry.size, permissions=_FILE_MODE, atime=entry.modified, mtime=entry.modified)


async def _in_thread(act: Callable[[], _T]) -> _T:
    """What waits for the disk or the database must not hold up other banks."""
    return await asyncio.to_thread(act)
