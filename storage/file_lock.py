"""Advisory file locks that the operating system releases when their holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import EmbeddedServerRefused

#: A start replays the write-ahead log after a crash, which may take minutes; nobody waits longer than this.
PATIENCE_SECONDS = 600.0


def open_lock_file(path: Path) -> int:
    """Open (and create, readable by its owner only) a lock file; closing the descriptor releases its lock."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, shared: bool) -> bool:
    """Take the lock if nobody holds it in the other way; say whether it was taken."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(path: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold a file's lock alone. Raises EmbeddedServerRefused when another process keeps it for too long."""
    descriptor = open_lock_file(path)
    try:
        deadline = time.monotonic() + patience_seconds
        while not try_lock(descriptor, shared=False):
            if time.monotonic() > deadline:
                raise EmbeddedServerRefused(
                    f"another command has been starting or stopping the database for {patience_seconds:.0f} s "
                    f"(it holds {path}); wait for it, or end it, and try again"
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
