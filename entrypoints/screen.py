"""Where tables for people are printed: wide enough that no account number or amount is cut."""

from __future__ import annotations

from typing import Any

from rich.console import Console

#: Tables need so many columns. A narrower terminal wraps lines, a file or pipe gets them whole; a cut figure tells nothing.
NARROWEST = 150


def screen(**options: Any) -> Console:
    """A console on standard output, at least NARROWEST wide."""
    console = Console(**options)
    return console if console.width >= NARROWEST else Console(width=NARROWEST, **options)
