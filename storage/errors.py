"""What storage refuses, in words a user can act on."""

from __future__ import annotations


class StorageRefused(Exception):
    """The database cannot be used as asked; the message says what is wrong and what to do next."""


class EmbeddedServerRefused(StorageRefused):
    """The embedded PostgreSQL server cannot be prepared, started or stopped."""


class DatabaseUnreachable(StorageRefused):
    """No usable database answers at the given address."""


class BooksNotThere(StorageRefused):
    """No embedded books of that name were made in that data folder; the message names both and the command that makes them."""
