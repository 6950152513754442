"""``escrow export``: the books for other programs."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.ledger_options import AsOf, KnownAt
from entrypoints.commands.reading import Lang, Language

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from entrypoints.report_desk import ReportDesk
    from reports.plain_text import Exported, Format

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write into; made when missing.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(export_app, name="export")


export_app = typer.Typer(
    help=(
        "Write the books for other programs, whose arithmetic then checks ours.\n\n"
        "Examples:\n\n"
        "  escrow export hledger --out exported && hledger -f exported/books.journal check --strict\n\n"
        "  escrow export beancount --out exported && bean-check exported/books.beancount\n\n"
        "  escrow export csv --out exported --as-of 2025-03-31\n\n"
        "  escrow export xlsx --out exported --lang zh"
    ),
    no_args_is_help=True,
)


@export_app.command("hledger")
def hledger_command(out: Out, as_of: AsOf = None, known_at: KnownAt = None) -> None:
    """A journal for hledger, with a balance assertion for every account.

    Example: escrow export hledger --out exported && hledger -f exported/books.journal check --strict
    """
    exported = _plain_text("hledger", out, as_of, known_at)
    typer.echo(f"{exported.path}: {exported.transfers:,} transfers on {exported.accounts:,} accounts")
    typer.echo(f"check it: hledger -f {exported.path} check --strict")


@export_app.command("beancount")
def beancount_command(out: Out, as_of: AsOf = None, known_at: KnownAt = None) -> None:
    """A ledger for beancount, with a balance assertion for every account.

    Example: escrow export beancount --out exported && bean-check exported/books.beancount
    """
    exported = _plain_text("beancount", out, as_of, known_at)
    typer.echo(f"{exported.path}: {exported.transfers:,} transfers on {exported.accounts:,} accounts")
    typer.echo(f"check it: bean-check {exported.path}")


@export_app.command("csv")
def csv_command(out: Out, as_of: AsOf = None, known_at: KnownAt = None, lang: Lang = Language.EN) -> None:
    """Journal, trial balance, general ledger and open items as CSV that opens in a spreadsheet without running formulas.

    Example: escrow export csv --out exported --as-of 2025-03-31
    """
    from config.chart import load_chart
    from reports.books_tables import BooksAsked, export_csv

    chart = load_chart()
    with _leaving("csv", out, as_of, known_at) as desk:
        facts = desk.facts(as_of=as_of, known_at=known_at)
        asked = BooksAsked(as_of, known_at, desk.institution_ids, lang.value, facts)
        for path, rows in export_csv(desk.connection, chart, out, asked):
            typer.echo(f"{path}: {rows:,} rows")


@export_app.command("xlsx")
def xlsx_command(out: Out, as_of: AsOf = None, known_at: KnownAt = None, lang: Lang = Language.EN) -> None:
    """Journal, trial balance, general ledger and open items as one Excel workbook with typed cells and no formulas.

    Example: escrow export xlsx --out exported --as-of 2025-03-31 --lang zh
    """
    from config.chart import load_chart
    from reports.books_tables import BooksAsked, export_workbook

    chart = load_chart()
    with _leaving("xlsx", out, as_of, known_at) as desk:
        facts = desk.facts(as_of=as_of, known_at=known_at)
        asked = BooksAsked(as_of, known_at, desk.institution_ids, lang.value, facts)
        path, written = export_workbook(desk.connection, chart, out, asked)
    for one in written:
        typer.echo(f"{path}: {one.rows:,} rows on {', '.join(one.sheets)}")


def _plain_text(format_: Format, out: Path, as_of: date | None, known_at: datetime | None) -> Exported:
    from reports.plain_text import export_plain_text

    with _leaving(format_, out, as_of, known_at) as desk:
        return export_plain_text(
            desk.connection, out, format_, as_of=as_of, known_at=known_at, institution_ids=desk.institution_ids
        )


@contextmanager
def _leaving(format_: str, out: Path, as_of: date | None, known_at: datetime | None) -> Iterator[ReportDesk]:
    """A desk for books that are carried away, which is written down first."""
    from entrypoints.report_desk import record_export, report_desk
    from entrypoints.settings import read_settings

    with report_desk(read_settings(), export=True) as desk:
        details = {"format": format_, "folder": str(out), "as_of": as_of, "known_at": known_at}
        record_export(desk.engine, desk.principal, desk.now, "books", details)
        yield desk
