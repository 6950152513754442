"""``escrow parse``: read statement files without a database."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
