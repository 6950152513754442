"""``escrow export``: the books for other programs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from entrypoints.commands.ledger import _day

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

Answer = TypeVar("Answer")

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write into; made when missing.", file_okay=False)]
AsOf = Annotated[date | None, typer.Option("--as-of", parser=_day, metavar="DATE", help="Only what is booked through this day.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(export_app, name="export")


export_app = typer.Typer(
    help=(
        "Write the books for other programs, whose arithmetic then checks ours.\n\n"
        "Examples:\n\n"
        "  escrow export hledger --out exported && hledger -f exported/books.journal check --strict\n\n"
        "  escrow export beancount --out exported && bean-check exported/books.beancount\n\n"
        "  escrow export csv --out exported --as-of 2025-03-31"
    ),
    no_args_is_help=True,
)


@export_app.command("hledger")
def hledger_command(out: Out, as_of: AsOf = None) -> None:
    """A journal for hledger, with a balance assertion for every account.

    Example: escrow export hledger --out exported && hledger -f exported/books.journal check --strict
    """
    from reports.plain_text import export_plain_text

    exported = _with_books(lambda conn: export_plain_text(conn, out, "hledger", as_of=as_of))
    typer.echo(f"{exported.path}: {exported.transfers:,} transfers on {exported.accounts:,} accounts")
    typer.echo(f"check it: hledger -f {exported.path} check --strict")


@export_app.command("beancount")
def beancount_command(out: Out, as_of: AsOf = None) -> None:
    """A ledger for beancount, with a balance assertion for every account.

    Example: escrow export beancount --out exported && bean-check exported/books.beancount
    """
    from reports.plain_text import export_plain_text

    exported = _with_books(lambda conn: export_plain_text(conn, out, "beancount", as_of=as_of))
    typer.echo(f"{exported.path}: {exported.transfers:,} transfers on {exported.accounts:,} accounts")
    typer.echo(f"check it: bean-check {exported.path}")


@export_app.command("csv")
def csv_command(out: Out, as_of: AsOf = None) -> None:
    """Journal, trial balance and open items as CSV that opens in a spreadsheet without running formulas.

    Example: escrow export csv --out exported --as-of 2025-03-31
    """
    from config.chart import load_chart
    from reports.books_csv import export_csv

    chart = load_chart()
    for path, rows in _with_books(lambda conn: export_csv(conn, chart, out, as_of=as_of)):
        typer.echo(f"{path}: {rows:,} rows")


def _with_books(read: Callable[[Connection], Answer]) -> Answer:
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from supervision.rights import Right

    settings = read_settings()
    # A named person needs the right to carry the books away; the unattended default user reads everything anyway.
    acting_principal(settings, Right.EXPORT if settings.user else Right.READ_LEDGER)
    with open_books(settings) as engine, engine.connect() as conn:
        return read(conn)
