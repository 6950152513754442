"""Where a file's bytes come from: memory or a path. Readers ask for a stream and never for the whole, so memory stays flat."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


class Source:
    """Bytes that can be read again from the start. ``progress`` is told how many bytes were read in all."""

    def __init__(self, origin: bytes | Path, progress: Callable[[int], None] | None = None) -> None:
        self._origin = origin
        self._progress = progress
        self._read = 0
        self.size = len(origin) if isinstance(origin, bytes) else origin.stat().st_size

    def open(self) -> BinaryIO:
        """A new stream at the first byte; the caller closes it. Raises OSError."""
        if isinstance(self._origin, bytes):
            return io.BytesIO(self._origin)
        if self._progress is None:
            return self._origin.open("rb")
        return io.BufferedReader(_Watched(self._origin, self._advance), 1 << 16)

    def _advance(self, count: int) -> None:
        self._read += count
        if self._progress is not None:
            self._progress(self._read)

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


class _Watched(io.FileIO):
    """A file that tells how many bytes were read from it."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        super().__init__(path, "rb")
        self._advance = advance

    def readinto(self, buffer: Any) -> int | None:
        """Read and tell."""
        count = super().readinto(buffer)
        if count:
            self._advance(count)
        return count
