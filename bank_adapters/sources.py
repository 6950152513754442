"""Where a file's bytes come from: memory or a path. Readers ask for a stream and never for the whole, so memory stays flat."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO


class Source:
    """Bytes that can be read again from the start."""

    def __init__(self, origin: bytes | Path) -> None:
        self._origin = origin
        self.size = len(origin) if isinstance(origin, bytes) else origin.stat().st_size

    def open(self) -> BinaryIO:
        """A new stream at the first byte; the caller closes it. Raises OSError."""
        return io.BytesIO(self._origin) if isinstance(self._origin, bytes) else self._origin.open("rb")

    def head(self, count: int) -> bytes:
        """The first ``count`` bytes."""
        with self.open() as stream:
            return stream.read(count)

    def whole(self) -> bytes:
        """All bytes, for readers of sheets and archives, which jump about in them."""
        if isinstance(self._origin, bytes):
            return self._origin
        with self.open() as stream:
            return stream.read()
