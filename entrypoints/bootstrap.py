"""Wires what commands need: the books, opened and known to have the schema this program expects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from entrypoints.settings import Settings
from storage.errors import StorageRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine


class SchemaNotAtHead(StorageRefused):
    """The database was made by another version of this program."""


@contextmanager
def open_books(settings: Settings) -> Iterator[Engine]:
    """An engine on books at head. An embedded database without any schema is brought there first.

    Raises SchemaNotAtHead, and what ``storage.engine.open_engine`` raises: all are ``StorageRefused``, with a message
    that says what to do next.
    """
    from migrations import runner
    from storage.engine import open_engine

    with open_engine(settings.database) as engine:
        with engine.connect() as connection:
            current = runner.current_revision(connection)
            head = runner.head_revision()
            if current is None and settings.database_url is None:
                connection.rollback()
                runner.upgrade(connection)
            elif current != head:
                what = "has no schema yet" if current is None else f"has the schema of revision {current}"
                raise SchemaNotAtHead(f"this database {what}, the program expects {head}; run: escrow db upgrade")
        yield engine
