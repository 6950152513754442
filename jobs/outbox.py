"""Write instruction files to the banks' drop folders: whole or not at all, and never other bytes under a known name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class OutboxConflict(FileExistsError):
    """A file of this name with other content lies in the outbox; somebody changed it. Move it away and run again."""


def place_file(folder: Path, name: str, content: bytes) -> bool:
    """Put ``content`` at ``folder/name`` by an atomic rename; False when the same bytes are there already.

    Raises OutboxConflict when the file exists with other bytes: what a bank may have fetched is never overwritten.
    """
    target = folder / name
    if target.exists():
        if hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest():
            return False
        raise OutboxConflict(f"{target} exists with other content; move it away, ask who changed it, and run the job again")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    with part.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(target)
    return True
