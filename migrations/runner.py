"""Which revision a database is at, which one the code expects, and bringing the one to the other."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from storage.errors import StorageRefused

_FOLDER = Path(__file__).parent

#: How long an upgrade waits for another one to end.
WAIT_SECONDS = 30 * 60


class UpgradeRefused(StorageRefused):
    """The schema could not be brought to head; it is as it was."""


def head_revision() -> str:
    """The newest revision of this code. A revision's file is named after it and names sort in order (a test holds this)."""
    return max(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def known_revisions() -> list[str]:
    """Every revision this code knows, oldest first."""
    return sorted(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py"))


def current_revision(connection: Connection) -> str | None:
    """The revision a database is at; None when it has no schema."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring a database to a revision, all or nothing. Raises UpgradeRefused."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError
    from sqlalchemy.exc import OperationalError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
        connection.commit()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("RESET statement_timeout"))
        connection.commit()
    except CommandError as error:
        raise UpgradeRefused(
            f"this database is at revision {current_revision(connection)}, which this program does not know ({error}); "
            "use the program version that made it, or a newer one"
        ) from error
    except UpgradeRefused:
        connection.rollback()
        raise
    except OperationalError as error:
        connection.rollback()
        if getattr(error.orig, "sqlstate", None) == "55P03":
            raise UpgradeRefused(
                "another session keeps a table locked, so the upgrade gave up after 5 s and changed nothing; "
                "stop the scheduler and other commands, then run: escrow db upgrade"
            ) from error
        if getattr(error.orig, "sqlstate", None) == "57014":
            raise UpgradeRefused(
                "a step of the upgrade took longer than 10 min, so it gave up and changed nothing; nobody could write meanwhile. "
                "Try again at a quiet hour with nothing else running: escrow db upgrade"
            ) from error
        raise
