"""Lines of a statement being read: the first thousands in memory, further ones packed into a temporary file nobody can name.

So the memory a reading takes does not grow with the file. A store is read like a tuple: by position, from both ends, again and
again. It keeps blocks of some thousand lines by column, because a column costs a fraction of its lines to count and to write, and
packs them with ``marshal``: plain values only, nothing is executed when they come back.
"""

from __future__ import annotations

import marshal
import shutil
import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, overload

from bank_adapters.limits import LINES_IN_MEMORY
from bank_adapters.model import StatementLine
from bank_adapters.packing import PackedColumns, PackedLine, columns_of, completed, lines_of, pack_line, parted, unpack_line
from bank_adapters.tally import Tally
from money.amount import LARGEST_MINOR_UNITS

_BATCH = 1_000  # lines given one by one that make a block
_UNITS = 3
#: What is followed from line to line: direction, minor units, status, line, running balance and its currency. They are written
#: before the rest of a block, so that a walk over balances need not read texts.
FIGURES = (2, 3, 5, 6, 15, 16)
_REST = tuple(sorted(set(range(20)) - set(FIGURES)))

#: Lines, and either where they stand in the file with the bytes of the figures and of the rest, or the columns themselves.
_Block = tuple[int, tuple[int, int, int] | None, PackedColumns | None]


class LineStore(Sequence[StatementLine]):
    """An append-only sequence of lines."""

    def __init__(self, in_memory: int = LINES_IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._kept: list[StatementLine] = []  # the first ones, where they were given as lines
        self._blocks: list[_Block] = []
        self._starts: list[int] = []  # how many lines stand before each block
        self._open: list[PackedLine] = []  # the last ones, no block yet
        self._uncounted = 0  # the first of them that the tally has not seen
        self._closed = 0  # lines in ``_kept`` and ``_blocks``
        self._file: IO[bytes] | None = None
        self._end = 0
        self._tally = Tally()

    def append(self, line: StatementLine) -> None:
        """Add a line."""
        if self._blocks or self._open or self._closed >= self._in_memory:
            self.append_packed(pack_line(line))
        else:
            self._tally.add(line)
            self._kept.append(line)
            self._closed += 1

    def append_packed(self, values: PackedLine) -> None:
        """Add a line given as its plain values: no ``StatementLine`` is made of it before somebody asks."""
        if values[_UNITS] > LARGEST_MINOR_UNITS:
            unpack_line(values)  # Money refuses it here and not when the line is read back
        self._open.append(values)
        if len(self._open) >= _BATCH:
            self._close_block()

    def append_columns(self, count: int, columns: PackedColumns) -> None:
        """Add ``count`` lines given by column."""
        if max(columns[_UNITS]) > LARGEST_MINOR_UNITS:
            for values in lines_of(count, columns):
                self.append_packed(values)
            return
        self._close_block()
        self._tally.add_columns(count, columns)
        self._add_block(count, columns)

    @property
    def tally(self) -> Tally:
        """Counts and sums of the lines so far."""
        if self._uncounted < len(self._open):
            self._tally.add_packed(self._open[self._uncounted :])
            self._uncounted = len(self._open)
        return self._tally

    def _close_block(self) -> None:
        """Make a block of the lines given one by one."""
        if not self._open:
            return
        columns = columns_of(self._open)
        if self._uncounted:
            self._tally.add_packed(self._open[self._uncounted :])
        else:
            self._tally.add_columns(len(self._open), columns)
        count, self._open, self._uncounted = len(self._open), [], 0
        self._add_block(count, columns)

    def _add_block(self, count: int, columns: PackedColumns) -> None:
        self._starts.append(self._closed)
        self._closed += count
        if self._closed <= self._in_memory:
            self._blocks.append((count, None, columns))
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="escrow-lines-")  # noqa: SIM115 - lives as long as the store
            weakref.finalize(self, self._file.close)
        figures = marshal.dumps([_dense(columns[each]) for each in FIGURES])
        rest = marshal.dumps([_dense(columns[each]) for each in _REST])
        self._file.seek(self._end)
        self._file.write(figures + rest)
        self._blocks.append((count, (self._end, len(figures), len(rest)), None))
        self._end += len(figures) + len(rest)

    def _columns(self, block: _Block) -> PackedColumns:
        """All columns of a block."""
        _, place, columns = block
        if columns is not None or place is None or self._file is None:
            return columns or ()
        offset, figures, rest = place
        self._file.seek(offset)
        packed = self._file.read(figures + rest)
        found: list[Sequence[Any]] = [()] * len(FIGURES + _REST)
        for places, values in ((FIGURES, packed[:figures]), (_REST, packed[figures:])):
            for each, column in zip(places, marshal.loads(values), strict=True):  # noqa: S302 - written above
                found[each] = column
        return tuple(found)

    def _figures(self, block: _Block) -> PackedColumns:
        """The columns ``FIGURES`` of a block."""
        _, place, columns = block
        if columns is not None or place is None or self._file is None:
            return tuple(columns[each] for each in FIGURES) if columns else ()
        self._file.seek(place[0])
        return tuple(parted(column) for column in marshal.loads(self._file.read(place[1])))  # noqa: S302 - written above

    def settled(self) -> Sequence[StatementLine]:
        """The lines as a finished statement holds them: a tuple when all are in memory."""
        return self if len(self) > self._in_memory else tuple(self)

    def handed_over(self, path: Path) -> tuple[Any, ...]:
        """Plain values and, at ``path``, the packed lines: what another process needs to take the store over."""
        with path.open("wb") as copy:
            if self._file is not None:
                self._file.seek(0)
                shutil.copyfileobj(self._file, copy, 1 << 20)
        return [pack_line(line) for line in self._kept], self._open, self._blocks, self._end

    @classmethod
    def taken_over(cls, values: tuple[Any, ...], path: Path) -> LineStore:
        """A store another process handed over. The file stays open, its name may go."""
        store = cls()
        kept, rest, blocks, end = values
        store._kept = [unpack_line(each) for each in kept]
        store._closed = len(kept)
        store._open, store._uncounted = rest, len(rest)
        for count, place, columns in blocks:
            store._starts.append(store._closed)
            store._blocks.append((count, place, columns))
            store._closed += count
        store._end = end
        store._file = path.open("rb")
        weakref.finalize(store, store._file.close)
        return store

    def __len__(self) -> int:
        return self._closed + len(self._open)

    def __iter__(self) -> Iterator[StatementLine]:
        yield from self._kept
        for block in self._blocks:
            yield from map(unpack_line, lines_of(block[0], self._columns(block)))
        yield from map(unpack_line, self._open)

    def figures(self, *, newest_first: bool = False) -> Iterator[tuple[int, PackedColumns]]:
        """Block for block, how many lines it has and their columns ``FIGURES``, from last to first with ``newest_first``."""
        if newest_first:
            for count, columns in self._blockwise_backwards():
                yield count, tuple(column[::-1] for column in columns)
            return
        if self._kept:
            yield len(self._kept), _figures_of(map(pack_line, self._kept))
        for block in self._blocks:
            yield block[0], self._figures(block)
        if self._open:
            yield len(self._open), _figures_of(self._open)

    def _blockwise_backwards(self) -> Iterator[tuple[int, PackedColumns]]:
        if self._open:
            yield len(self._open), _figures_of(self._open)
        for block in reversed(self._blocks):
            yield block[0], self._figures(block)
        if self._kept:
            yield len(self._kept), _figures_of(map(pack_line, self._kept))

    def __reversed__(self) -> Iterator[StatementLine]:
        yield from map(unpack_line, reversed(self._open))
        for block in reversed(self._blocks):
            yield from map(unpack_line, reversed(list(lines_of(block[0], self._columns(block)))))
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
        if at >= self._closed:
            return unpack_line(self._open[at - self._closed])
        number = bisect_right(self._starts, at) - 1
        within = at - self._starts[number]
        block = self._blocks[number]
        columns = completed(block[0], self._columns(block))
        return unpack_line(tuple(column[within if len(column) > 1 else 0] for column in columns))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # grows


def _figures_of(lines: Iterator[PackedLine] | list[PackedLine]) -> PackedColumns:
    columns = columns_of(lines)
    return tuple(columns[each] for each in FIGURES)


def _dense(column: Sequence[Any]) -> Sequence[Any]:
    """A column of texts as one text of lines, which is written and read many times faster; others as they are.

    What is read back tells which it was: see ``packing.parted``.
    """
    if len(column) > 1 and type(column) is not str and type(column[0]) is str:
        try:
            text = "\n".join(column)
        except TypeError:  # some are None
            return column
        if text.count("\n") == len(column) - 1:
            return text
    return column


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
