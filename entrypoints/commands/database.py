"""``escrow db``: the schema of the books, where they are, and whether history is protected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from entrypoints.settings import Settings

database = typer.Typer(no_args_is_help=True, help="The database: its schema and whether history is protected.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_NO_TRAP = (
    "no trap     who owns the tables could switch guards off, and verify would say so only afterwards; "
    "let an administrator of the server run what this prints: escrow db trap"
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    from entrypoints.commands.backup import add_backup

    add_backup(database)
    app.add_typer(database, name="db")


@database.command(
    epilog="Examples: [bold]escrow db upgrade[/bold] | "
    "[bold]ESCROW_DATABASE_URL=postgresql+psycopg://escrow:...@db.example/escrow escrow db upgrade[/bold]"
)
def upgrade(as_json: AsJson = False) -> None:
    """Bring the schema to the revision this program expects: all of it or nothing. Safe to run again."""
    from entrypoints.acting import acting_principal
    from entrypoints.settings import read_settings
    from migrations import runner
    from storage.engine import open_engine
    from storage.schema_trap import trap
    from supervision.rights import Right

    settings = read_settings()
    if settings.user:  # whoever installs the program upgrades without a name; a named person needs the right
        acting_principal(settings, Right.CONFIGURE)
    with open_engine(settings.database) as engine, engine.connect() as connection:
        before = runner.current_revision(connection)
        connection.rollback()
        runner.upgrade(connection)
        after = runner.current_revision(connection)
        is_set = trap(connection).set
        where = _where(settings)
    if as_json:
        typer.echo(json.dumps({"before": before, "revision": after, "where": where, "schema_trap": is_set}, ensure_ascii=False))
        return
    if before == after:
        typer.echo(f"{where} is at {after} already; nothing to do.")
    else:
        typer.echo(f"{where}: upgraded from {before or 'empty'} to {after}.")
    if not is_set:
        typer.echo(_NO_TRAP)


@database.command("trap", epilog="Example: [bold]escrow db trap | psql -v ON_ERROR_STOP=1 -d escrow[/bold]")
def trap_command() -> None:
    """Print the SQL by which an administrator of the server sets the trap against changes of the schema.

    For a server where this program's user is no superuser; elsewhere escrow db upgrade sets it.
    """
    from storage.schema_trap import installation_statements

    typer.echo("BEGIN;\n" + ";\n".join(installation_statements()) + ";\nCOMMIT;")


@database.command(epilog="Examples: [bold]escrow db status[/bold] | [bold]escrow db status --json[/bold]")
def status(as_json: AsJson = False) -> None:
    """Show revision, server and protection. Exit 1: not at head (upgrade); exit 3: history is not protected."""
    from entrypoints.settings import read_settings
    from storage.engine import open_engine

    settings = read_settings()
    with open_engine(settings.database, make=False) as engine, engine.connect() as connection:
        found = _status(connection, settings)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in _told(found):
            typer.echo(line)
    if found["unprotected"]:
        raise typer.Exit(3)
    if not found["at_head"]:
        raise typer.Exit(1)


def _status(connection: Connection, settings: Settings) -> dict[str, Any]:
    from migrations import runner
    from migrations.schema import load_all_tables
    from storage.append_only import append_only_tables
    from storage.catalogue import schema_faults
    from storage.schema_trap import trap
    from storage.verification import unprotected_tables

    revision, head = runner.current_revision(connection), runner.head_revision()
    tables = [table.name for table in append_only_tables(load_all_tables())] if revision == head else []
    return {
        "revision": revision,
        "head": head,
        "at_head": revision == head,
        "where": _where(settings),
        "server_version": connection.exec_driver_sql("SHOW server_version").scalar_one(),
        "append_only_tables": sorted(tables),
        "unprotected": unprotected_tables(connection, tables)
        + ([str(fault) for fault in schema_faults(connection)] if revision == head else []),
        "schema_trap": trap(connection).set,
    }


def _told(found: dict[str, Any]) -> list[str]:
    lines = [
        f"books       {found['where']}",
        f"server      PostgreSQL {found['server_version']}",
        f"revision    {found['revision'] or 'none: empty'}" + (" (head)" if found["at_head"] else f"; head is {found['head']}"),
    ]
    if not found["at_head"]:
        return [*lines, "next        run: escrow db upgrade"]
    if found["unprotected"]:
        return [
            *lines,
            *(f"UNPROTECTED {line}" for line in found["unprotected"]),
            "next        someone changed guards: run escrow ledger verify, and restore them as the migrations give them",
        ]
    lines.append(f"protected   all {len(found['append_only_tables'])} append-only tables refuse UPDATE, DELETE and TRUNCATE")
    trapped = "trap        the server refuses changes of the schema outside migrations, to the owner of the tables as well"
    return [*lines, trapped if found["schema_trap"] else _NO_TRAP]


def _where(settings: Settings) -> str:
    """Where the books are, never with a password."""
    if settings.database_url is None:
        return f"embedded, {settings.data_folder}, database {settings.books}"
    from storage.engine import address_without_password, server_address

    return address_without_password(server_address(settings.database_url))
