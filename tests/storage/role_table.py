"""What each role may read and add, table by table, as the database answers when it is tried; the second half of docs/attacks.md."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from migrations.schema import load_all_tables
from storage.roles import Role

DOCUMENT = Path("docs/attacks.md")
HEAD = """
## What each role may read and add

Written by `python -m tests.storage.role_table`, which tries each role on each table with a row in it; a test holds it equal to what
the database answers. `read`: every row. `read own`: the rows within `escrow.jurisdictions` or `escrow.bank`, none when nothing is
set. `add`: a new row, as far as the table's guards take it. `add own`: likewise, and only rows within that scope, of the kinds
`migrations.privileges.MAY_TELL` names. `change`: work state that is no evidence. `-`: nothing. No role changes or removes evidence
(`tests/storage/test_roles.py` tries all of them).

"""


def role_table(connection: Connection) -> str:
    """The section of the document; ``connection`` is a superuser's, on books with a row in every table (nothing is kept)."""
    found = [f"| table | {' | '.join(role.removeprefix('escrow_') for role in Role)} |", "|---" * (len(Role) + 1) + "|"]
    tables = sorted(one.name for one in load_all_tables().sorted_tables)
    found += [f"| {table} | {' | '.join(_cell(connection, role, table) for role in Role)} |" for table in tables]
    return HEAD + "\n".join(found) + "\n"


def _cell(connection: Connection, role: Role, table: str) -> str:
    read = _tried(connection, role, f"SELECT 1 / count(*) FROM {table}")
    added = _tried(connection, role, f"INSERT INTO {table} DEFAULT VALUES")
    changed = _tried(connection, role, f"DELETE FROM {table} WHERE false")
    owned = "must be owner" not in _tried(connection, role, f"COMMENT ON TABLE {table} IS 'x'")
    told = [
        "owns" if owned else "",
        "" if "permission denied" in read else "read own" if "division by zero" in read else "read",
        "" if "permission denied" in added else "add own" if "row-level security" in added else "add",
        "change" if not changed and not owned else "",
    ]
    return ", ".join(one for one in told if one) or "-"


def _tried(connection: Connection, role: Role, statement: str) -> str:
    """What the database says to a statement of a role whose scope is empty; empty when it does it."""
    attempt = connection.begin_nested()
    try:
        connection.execute(text(f"SET LOCAL ROLE {role}"))
        connection.execute(text(statement))
    except DBAPIError as error:
        return str(error.orig)
    finally:
        attempt.rollback()
    return ""


def write() -> None:
    """Write the section anew, below the attacks."""
    import shutil
    import tempfile

    from sqlalchemy import create_engine

    from migrations import runner
    from storage.embedded import embedded_server
    from tests.storage.attacks import document
    from tests.storage.test_roles import a_row_in_every_table

    folder = Path(tempfile.mkdtemp(prefix="escrow-roles-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with embedded_server(folder, durable=False) as server:
            engine = create_engine(server.url("postgres"))
            with engine.connect() as connection:
                runner.upgrade(connection)
                connection.commit()
                a_row_in_every_table(connection)
                DOCUMENT.write_text(document() + role_table(connection), encoding="utf-8")
            engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    write()
