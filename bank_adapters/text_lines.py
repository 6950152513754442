"""A text's lines one by one, with a look at what stands around the current one, for readers that take many lines at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Lines:
    """The lines of a text given in pieces, in turn, with a look at those before and after the current one."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self._rest: str | None = ""  # of the last piece behind its last line end; None when all is in ``_lines``
        self._lines: list[str] = []
        self._unparted: str | None = None  # lines behind those of ``_lines``, as read, without the last line end
        self._next = 0  # of ``_lines``
        self._text = ""  # those of ``_lines`` that a line end follows
        self._offset, self._offset_of = 0, 0  # where in ``_text`` a line of ``_lines`` begins
        self.before = self.current = ""
        self.number = 0  # of the current line, 1-based

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._next >= len(self._lines) and not self._more():
            raise StopIteration
        line = self._lines[self._next]
        self._next += 1
        self.number += 1
        self.before, self.current = self.current, line
        return line

    def _more(self) -> bool:
        """Put lines behind those not read yet; False when there are none."""
        if self._unparted is None and not self._load():
            return False
        text = self._unparted or ""
        kept = self._lines[self._next :]
        self._text = "".join(f"{line}\n" for line in kept) + text + ("" if self._rest is None else "\n")
        self._lines = [*kept, *text.split("\n")]
        self._next = self._offset = self._offset_of = 0
        self._unparted = None
        return True

    def _load(self) -> bool:
        """Read lines without parting them; False when there are none."""
        rest = self._rest
        while rest is not None:
            piece = next(self._pieces, None)
            text = rest if piece is None else rest + piece
            cut = len(text) if piece is None else text.rfind("\n")
            if cut < 0:
                rest = text
                continue
            self._unparted = text[:cut]
            self._rest = None if piece is None else text[cut + 1 :]
            return True
        self._rest = None
        return False

    def ahead(self, count: int) -> list[str]:
        """Up to ``count`` lines after the current one."""
        while self._next + count > len(self._lines) and self._more():
            pass
        return self._lines[self._next : self._next + count]

    def here(self) -> tuple[str, int]:
        """The text in memory and where in it the current line begins; lines but the file's last are whole in it."""
        if not self._next:  # the current line is not in memory any more
            return "", 0
        at = self._next - 1
        self._offset += sum(map(len, self._lines[self._offset_of : at])) + at - self._offset_of
        self._offset_of = at
        return self._text, self._offset

    def whole(self) -> int:
        """How many lines stand in memory behind the current one, some more when there is none; never the file's last line."""
        if self._next >= len(self._lines):
            if self._unparted is None:
                self._load()
            if self._unparted is not None and self._rest is not None:
                return self._unparted.count("\n") + 1
            if self._unparted is not None:
                self._more()
        return len(self._lines) - self._next - (self._rest is None)

    def text_of(self, count: int) -> str:
        """The next ``count`` lines as one text, without its last line end; they stand in memory."""
        if self._unparted is not None and self._next >= len(self._lines):
            if self._unparted.count("\n") + 1 == count:
                return self._unparted
            self._more()
        return "\n".join(self._lines[self._next : self._next + count])

    def skip(self, count: int) -> None:
        """Pass over ``count`` lines behind the current one; they stand in memory."""
        if self._unparted is not None and self._next >= len(self._lines):  # all that ``whole`` told of
            last = self._unparted.rsplit("\n", 2)[-2:]
            self._lines, self._text, self._unparted = [], "", None
            self._next = self._offset = self._offset_of = 0
        else:
            self._next += count
            last = self._lines[max(self._next - 2, 0) : self._next]
        self.before, self.current = last if count > 1 else (self.current, last[-1])
        self.number += count
