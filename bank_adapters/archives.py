"""Files inside a zip or gzip, inflated against a budget counted byte by byte: what an archive says of its sizes may be a lie.

Names of members are labels and never paths. Archives inside archives and encrypted members are refused.
"""

from __future__ import annotations

import io
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bank_adapters.limits import (
    INFLATION_FLOOR_BYTES,
    MAX_ARCHIVE_MEMBERS,
    MAX_INFLATED_BYTES,
    MAX_INFLATION_RATIO,
    MAX_MEMBER_BYTES,
)

ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 18
#: What file managers leave behind; holds no statement by its nature.
_LITTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")
#: What the libraries raise for an archive that is not whole.
BROKEN_ARCHIVE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, EOFError, ValueError, zlib.error, RuntimeError,
)  # fmt: skip


class ArchiveRefused(ValueError):
    """The archive cannot be read, or is larger than allowed; the message says which."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its label and its bytes."""

    name: str
    data: bytes


def archive_kind(data: bytes) -> str | None:
    """``zip`` or ``gzip`` by the first bytes, None for neither. Sheets (.xlsx) are zips too: ask for those first."""
    return "zip" if data.startswith((ZIP_MAGIC, EMPTY_ZIP)) else "gzip" if data.startswith(GZIP_MAGIC) else None


def members_of(data: bytes, kind: str) -> Iterator[Member]:
    """The files inside, one after another, litter left out. Raises ArchiveRefused, perhaps after some were given."""
    budget = min(MAX_INFLATED_BYTES, max(INFLATION_FLOOR_BYTES, MAX_INFLATION_RATIO * len(data)))
    try:
        if kind == "gzip":
            yield Member("", _gunzipped(data, min(budget, MAX_MEMBER_BYTES)))
            return
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in _files_in(archive):
                content = _inflated(archive, info, min(budget, MAX_MEMBER_BYTES))
                budget -= len(content)
                if content:
                    yield Member(_label(info), content)
    except ArchiveRefused:
        raise
    except BROKEN_ARCHIVE as problem:
        raise ArchiveRefused(f"it is broken ({problem})") from problem


def _files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_ARCHIVE_MEMBERS:
        raise ArchiveRefused(f"an archive of {len(infos)} files; at most {MAX_ARCHIVE_MEMBERS} are read")
    if any(info.flag_bits & 1 for info in infos):
        raise ArchiveRefused("it is encrypted; ask for it without password, or decrypt it first")
    return [info for info in infos if not info.filename.endswith("/") and not any(litter in info.filename for litter in _LITTER)]


def _inflated(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: int) -> bytes:
    content = io.BytesIO()
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            content.write(chunk)
            if content.tell() > budget:
                raise ArchiveRefused(f"it inflates to more than {budget} bytes")
    return content.getvalue()


def _gunzipped(data: bytes, budget: int) -> bytes:
    content = io.BytesIO()
    rest = data
    while rest:
        inflater = zlib.decompressobj(wbits=31)
        while rest and not inflater.eof:
            content.write(inflater.decompress(rest, _CHUNK))
            rest = inflater.unconsumed_tail
            if content.tell() > budget:
                raise ArchiveRefused(f"it inflates to more than {budget} bytes")
            if not rest and not inflater.eof:
                content.write(inflater.flush())
                if not inflater.eof:
                    raise ArchiveRefused("it is cut short")
        rest = inflater.unused_data.lstrip(b"\x00")
    return content.getvalue()


def _label(info: zipfile.ZipInfo) -> str:
    """The member's name; without the UTF-8 flag Chinese programs write GB18030."""
    if info.flag_bits & 0x800:
        return visible_name(info.filename)
    try:
        return visible_name(info.filename.encode("cp437").decode("gb18030"))
    except (UnicodeEncodeError, UnicodeDecodeError):
        return visible_name(info.filename)


def visible_name(name: str) -> str:
    r"""A name for people: what moves the cursor, turns the direction of text or is no character is spelt out (``\u202e``)."""
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()
        for char in name
    )
