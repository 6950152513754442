"""One or more XML documents of a file as one stream for the parser: declarations taken out, one root around all of them.

Banks put several documents one behind another, each with its own declaration, which no XML parser takes. The text is decoded
already (a declared encoding may lie), so it is handed on as UTF-8, without the entries ``ordinary`` cuts out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bank_adapters.camt.ordinary import Ordinary

ROOT = "_"
_DECLARATION = re.compile(r"<\?xml\s[^<>]*\?>", re.IGNORECASE)
_LONGEST_TAG = 1 << 20


class OneRoot:
    """A file-like object that gives the bytes of the stream. Line ends stay where they are, so line numbers stay true."""

    def __init__(self, pieces: Iterable[str], ordinary: Ordinary | None = None) -> None:
        self._pieces = iter(pieces)
        self._ordinary = ordinary
        self._held = ""  # an entry not ended yet
        self._rest = f"<{ROOT}>"
        self._ready = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; b'' at the end.

        Not more is made ready than is there: of entries cut out hardly a byte is left, and they must not pile up.
        """
        while not self._ended and (size < 0 or not self._ready):
            self._more()
        if size < 0:
            size = len(self._ready)
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def _more(self) -> None:
        piece = next(self._pieces, None)
        if piece is None:
            self._ended = True
            text, self._rest = f"{self._rest}</{ROOT}>", ""
        else:
            text = self._rest + piece
            cut = text.rfind("<")  # half a declaration may stand there
            if cut < 0 or ">" in text[cut:] or len(text) - cut > _LONGEST_TAG:
                cut = len(text)
            text, self._rest = text[:cut], text[cut:]
        if "<?" in text:
            text = _DECLARATION.sub(_line_breaks_of, text)
        if self._ordinary is not None:
            text, self._held = self._ordinary.cut(self._held + text, last=self._ended)
        self._ready += text.encode("utf-8", "surrogatepass")


def _line_breaks_of(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")
