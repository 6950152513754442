"""What a command was told: read once from the environment and the command line, then passed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.engine import DatabaseSettings

#: Environment variable, default, meaning: the list the documentation repeats (docs/operating.md).
VARIABLES = (
    ("ESCROW_DATA", "./var", "data folder: the embedded database, stored statements, outgoing files"),
    ("ESCROW_BOOKS", "escrow", "name of the database inside the embedded server"),
    ("ESCROW_DATABASE_URL", "", "a PostgreSQL server to use instead: postgresql+psycopg://user:password@host/database"),
    ("ESCROW_KEYS", "", "folder of the key that signs checkpoints (else <data folder>/<books>/keys)"),
    ("ESCROW_USER", "", "the person acting, as registered in config/roles.yaml"),
    ("ESCROW_LANG", "en", "language of answers to people: en or zh"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a command takes from outside besides its own arguments.

    ``data_folder`` is absolute. ``database_url`` wins over the embedded server; None means embedded. ``user`` is the
    acting person's login name, None when nobody said.
    """

    data_folder: Path
    books: str
    database_url: str | None = None
    user: str | None = None
    keys_folder: Path | None = None

    @property
    def keys(self) -> Path:
        """The folder of the key that signs checkpoints: outside the database, and best backed up apart from it."""
        return self.keys_folder or self.data_folder / self.books / "keys"

    @property
    def database(self) -> DatabaseSettings:
        """The part storage needs."""
        from storage.engine import DatabaseSettings

        return DatabaseSettings(
            self.data_folder,
            self.books,
            self.database_url,
            application_name=f"escrow/{self.user}" if self.user else "escrow",
        )


def read_settings(
    *,
    data_folder: Path | None = None,
    books: str | None = None,
    database_url: str | None = None,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Settings from options first, then the environment, then the defaults; empty text counts as not given."""
    given = os.environ if environment is None else environment
    folder = data_folder or Path(given.get("ESCROW_DATA") or "var").expanduser()
    return Settings(
        data_folder=Path(os.path.abspath(folder)),
        books=books or given.get("ESCROW_BOOKS") or "escrow",
        database_url=database_url or given.get("ESCROW_DATABASE_URL") or None,
        user=user or given.get("ESCROW_USER") or None,
        keys_folder=Path(os.path.abspath(Path(given["ESCROW_KEYS"]).expanduser())) if given.get("ESCROW_KEYS") else None,
    )
