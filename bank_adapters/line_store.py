"""Lines of a statement being read: the first thousands in memory, further ones packed into a temporary file nobody can name.

So the memory a reading takes does not grow with the file. A store is read like a tuple: by position, from both ends, again and
again. It packs what a line says with ``marshal``: plain values only, nothing is executed when they come back.
"""

from __future__ import annotations

import marshal
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, overload

from bank_adapters.limits import LINES_IN_MEMORY
from bank_adapters.model import StatementLine
from bank_adapters.packing import PackedLine, pack_line, unpack_line
from bank_adapters.tally import Tally
from money.amount import LARGEST_MINOR_UNITS

_BATCH = 1_000


class LineStore(Sequence[StatementLine]):
    """An append-only sequence of lines."""

    def __init__(self, in_memory: int = LINES_IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._kept: list[StatementLine] = []  # the first ones
        self._open: list[PackedLine] = []  # the last ones, not written yet
        self._uncounted = 0  # the first of them that the tally has not seen
        self._batches: list[tuple[int, int]] = []  # offset and length of each batch of _BATCH lines
        self._file: IO[bytes] | None = None
        self._end = 0
        self._tally = Tally()

    def append(self, line: StatementLine) -> None:
        """Add a line."""
        if len(self._kept) < self._in_memory:
            self._tally.add(line)
            self._kept.append(line)
        else:
            self.append_packed(pack_line(line))

    def append_packed(self, values: PackedLine) -> None:
        """Add a line given as its plain values: beyond those in memory no ``StatementLine`` is made of it."""
        if len(self._kept) < self._in_memory:
            self.append(unpack_line(values))
            return
        if values[3] > LARGEST_MINOR_UNITS:
            unpack_line(values)  # Money refuses it here and not when the line is read back
        self._open.append(values)
        if len(self._open) >= _BATCH:
            self._write()

    @property
    def tally(self) -> Tally:
        """Counts and sums of the lines so far."""
        if self._uncounted < len(self._open):
            self._tally.add_packed(self._open[self._uncounted :])
            self._uncounted = len(self._open)
        return self._tally

    def _write(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="escrow-lines-")  # noqa: SIM115 - lives as long as the store
            weakref.finalize(self, self._file.close)
        self._tally.add_packed(self._open[self._uncounted :])
        packed = marshal.dumps(self._open)
        self._file.seek(self._end)
        self._file.write(packed)
        self._batches.append((self._end, len(packed)))
        self._end += len(packed)
        self._open, self._uncounted = [], 0

    def _values(self, index: int) -> list[PackedLine]:
        if self._file is None:
            return []
        offset, length = self._batches[index]
        self._file.seek(offset)
        values: list[PackedLine] = marshal.loads(self._file.read(length))  # noqa: S302 - written above
        return values

    def _batch(self, index: int) -> list[StatementLine]:
        return [unpack_line(values) for values in self._values(index)]

    def settled(self) -> Sequence[StatementLine]:
        """The lines as a finished statement holds them: a tuple when all are in memory."""
        return self if self._file is not None or self._open else tuple(self._kept)

    def handed_over(self, path: Path) -> tuple[Any, ...]:
        """Plain values and, at ``path``, the packed lines: what another process needs to take the store over."""
        with path.open("wb") as copy:
            if self._file is not None:
                self._file.seek(0)
                shutil.copyfileobj(self._file, copy, 1 << 20)
        return [pack_line(line) for line in self._kept], self._open, self._batches, self._end

    @classmethod
    def taken_over(cls, values: tuple[Any, ...], path: Path) -> LineStore:
        """A store another process handed over. The file stays open, its name may go."""
        store = cls()
        kept, rest, batches, end = values
        store._kept = [unpack_line(each) for each in kept]
        store._open, store._uncounted = rest, len(rest)
        store._batches = [(offset, length) for offset, length in batches]
        store._end = end
        store._file = path.open("rb")
        weakref.finalize(store, store._file.close)
        return store

    def __len__(self) -> int:
        return len(self._kept) + len(self._batches) * _BATCH + len(self._open)

    def __iter__(self) -> Iterator[StatementLine]:
        yield from self._kept
        for index in range(len(self._batches)):
            yield from self._batch(index)
        yield from map(unpack_line, self._open)

    def packed(self, *, newest_first: bool = False) -> Iterator[PackedLine]:
        """The plain values of each line, from the last to the first with ``newest_first``."""
        if newest_first:
            yield from reversed(self._open)
            for index in reversed(range(len(self._batches))):
                yield from reversed(self._values(index))
            yield from map(pack_line, reversed(self._kept))
        else:
            yield from map(pack_line, self._kept)
            for index in range(len(self._batches)):
                yield from self._values(index)
            yield from self._open

    def __reversed__(self) -> Iterator[StatementLine]:
        yield from map(unpack_line, reversed(self._open))
        for index in reversed(range(len(self._batches))):
            yield from reversed(self._batch(index))
        yield from reversed(self._kept)

    @overload
    def __getitem__(self, index: int) -> StatementLine: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StatementLine]: ...
    def __getitem__(self, index: int | slice) -> StatementLine | Sequence[StatementLine]:
        if isinstance(index, slice):
            if (index.start, index.stop, index.step) == (None, None, -1):
                return Reversed(self)
            return tuple(self[each] for each in range(*index.indices(len(self))))
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(index)
        if at < len(self._kept):
            return self._kept[at]
        batch, within = divmod(at - len(self._kept), _BATCH)
        return self._batch(batch)[within] if batch < len(self._batches) else unpack_line(self._open[within])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # grows


class Reversed(Sequence[StatementLine]):
    """The lines of a store from last to first, without a copy."""

    def __init__(self, store: LineStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[StatementLine]:
        return reversed(self._store)

    @overload
    def __getitem__(self, index: int) -> StatementLine: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StatementLine]: ...
    def __getitem__(self, index: int | slice) -> StatementLine | Sequence[StatementLine]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        return self._store[-1 - index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
