"""In which line an element of an XML file begins, also in files of more lines than the parser's nodes can hold."""

from __future__ import annotations

from lxml import etree

#: libxml2 keeps lines in 16 bits. From this one on it tells where the first text behind the start tag ends: one line late
#: wherever a file is indented.
_MOST_HELD = 65_535


def line_of(element: etree._Element | None) -> int | None:
    """The 1-based line an element begins in, None for no element."""
    if element is None:
        return None
    line: int | None = element.sourceline  # type: ignore[assignment]  # the stubs have an ellipsis
    if line is None or line < _MOST_HELD:
        return line
    return line - _line_ends_to_text(element)


def _line_ends_to_text(element: etree._Element) -> int:
    """Line ends of the text that libxml2 takes the line of ``element`` from."""
    node: etree._Element | None = element
    while node is not None:
        if node.text:
            return node.text.count("\n")
        if len(node):
            node = node[0]
        elif node.tail:
            return node.tail.count("\n")
        else:
            node = node.getnext()
    return 0  # from a text before it, which ends where the element begins
