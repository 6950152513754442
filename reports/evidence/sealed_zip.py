"""A zip file of which no byte can change unnoticed: always the same for the same members, and sealed in its comment.

The seal is a signed note in the zip's comment. It names the digest of the manifest and the digest of every byte before the
comment, so members, headers and directory are all covered, and other programs open the file as any zip.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ledger.signed_note import Note

#: Every member bears this time, the earliest a zip can hold: the same books give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)
_COMMENT_LENGTH_BYTES = 2


def write_sealed_zip(path: Path, members: Mapping[str, Path | bytes], seal: Callable[[str], Note]) -> str:
    """Write members by name, then the note ``seal(digest of all bytes before it)`` as the comment; that digest in hex.

    The note's length must not depend on the digest. Writes beside ``path`` and renames, so a broken run leaves nothing.
    """
    half = path.with_name(f".{path.name}.part")
    length = len(str(seal("0" * 64)).encode())
    try:
        with zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for name, content in sorted(members.items()):
                about = zipfile.ZipInfo(name, _TIME)
                about.compress_type, about.external_attr, about.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
                with archive.open(about, "w", force_zip64=True) as stream:
                    if isinstance(content, bytes):
                        stream.write(content)
                        continue
                    with content.open("rb") as source:
                        while block := source.read(1 << 20):
                            stream.write(block)
        digest = _promise_comment(half, length)
        with half.open("ab") as end:
            end.write(str(seal(digest)).encode())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
    return digest


def _promise_comment(path: Path, length: int) -> str:
    """Say in the zip's end record that a comment of that length follows; the digest of the file so far."""
    with path.open("r+b") as stream:
        stream.seek(-_COMMENT_LENGTH_BYTES, 2)
        stream.write(length.to_bytes(_COMMENT_LENGTH_BYTES, "little"))
        stream.seek(0)
        return hashlib.file_digest(stream, "sha256").hexdigest()
