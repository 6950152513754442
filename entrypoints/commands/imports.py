"""``escrow import``: take what platforms and channels send, row by row, and say what became of every row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from escrow.import_report import ImportReport

imports = typer.Typer(
    no_args_is_help=True,
    help="Take institutions, opening balances, orders, class-hours, refund requests and channel settlements.",
)

#: Smaller files are taken before a progress bar could be read.
PROGRESS_FROM_BYTES = 500_000
#: So many findings are printed for people; --json has them all.
FINDINGS_SHOWN = 50

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="CSV with a header line, or JSON lines; - reads standard input.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per file and line.")]
#: (connection, bytes, name, progress, now, actor) -> report
_Act = Callable[..., "ImportReport"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(imports, name="import")


def _examples(kind: str, file: str) -> str:
    return f"Examples: [bold]escrow import {kind} {file}[/bold] | [bold]escrow import {kind} --json {file}[/bold]"


@imports.command(epilog=_examples("institutions", "institutions.csv"))
def institutions(files: Files, as_json: AsJson = False) -> None:
    """Take institutions and their custody accounts (one row an account) and open the accounts' books."""
    from config.banks import load_banks
    from config.channels import load_channels
    from config.chart import load_chart
    from config.policies import load_policies
    from escrow.handlers import import_institutions

    told = {"chart": load_chart(), "banks": load_banks(), "jurisdictions": load_policies(), "channels": load_channels()}
    _import(files, import_institutions, told, as_json=as_json, make=True)


@imports.command(epilog=_examples("orders", "2025-03-03.csv"))
def orders(files: Files, as_json: AsJson = False) -> None:
    """Take orders; each opens a prepayment that waits for its money at the bank. Charging limits are checked."""
    from config.channels import load_channels
    from config.chart import load_chart
    from config.policies import load_policies
    from escrow.handlers import import_orders

    _import(
        files,
        import_orders,
        {"chart": load_chart(), "channels": load_channels(), "policies": load_policies()},
        as_json=as_json,
    )


@imports.command("class-hours", epilog=_examples("class-hours", "2025-03-03.csv"))
def class_hours(files: Files, as_json: AsJson = False) -> None:
    """Take reports of class-hours: taught, confirmed by the payer, disputed, and how disputes ended."""
    from escrow.handlers import import_class_hours

    _import(files, import_class_hours, {}, as_json=as_json)


@imports.command("refund-requests", epilog=_examples("refund-requests", "2025-03-03.csv"))
def refund_requests(files: Files, as_json: AsJson = False) -> None:
    """Take payers' requests to have the untaught rest back, with the institution's answer or its silence."""
    from escrow.handlers import import_refund_requests

    _import(files, import_refund_requests, {}, as_json=as_json)


@imports.command("channel-settlements", epilog=_examples("channel-settlements", "wechat-2025-03-04.csv"))
def channel_settlements(files: Files, as_json: AsJson = False) -> None:
    """Take payment channels' settlement files: which orders arrive together as one bank line, and the fee kept back."""
    from config.channels import load_channels
    from escrow.handlers import import_channel_settlements

    _import(files, import_channel_settlements, {"channels": load_channels()}, as_json=as_json)


@imports.command("opening-balances", epilog=_examples("opening-balances", "opening-balances.csv"))
def opening_balances(files: Files, as_json: AsJson = False) -> None:
    """Take what accounts held before their first statement, which proves it by opening with it. Owed in full as unidentified."""
    from escrow.handlers import import_opening_balances
    from reconciliation.arrivals import counted_accounts

    def act(connection: Connection, data: bytes, name: str, **told: Any) -> ImportReport:
        return import_opening_balances(connection, data, name, proven=counted_accounts(connection), **told)

    _import(files, act, {}, as_json=as_json)


def _import(files: Sequence[Path], act: _Act, told: dict[str, Any], *, as_json: bool, make: bool = False) -> None:
    """Import each file in its own transaction; exit 1 when any row, or any file, was refused. ``make``: new books if none."""
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from storage.trying_again import committed
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.IMPORT_ORDERS)
    refused = False
    contents = [(str(path), _read(path)) for path in files]
    with open_books(settings, make=make) as engine:
        for name, data in contents:
            who = {"actor": principal.user, "role": principal.role}
            one = partial(_import_one, act=act, told={**told, **who}, name=name, data=data, now=utc_now())
            report = committed(engine, one)
            refused = refused or not report.all_taken
            if as_json:
                typer.echo(json.dumps(_as_json(report), ensure_ascii=False))
            else:
                _show(report)
    if refused:
        raise typer.Exit(1)


def _import_one(
    connection: Connection, *, act: _Act, told: dict[str, Any], name: str, data: bytes, now: datetime
) -> ImportReport:
    with _progress(name, data) as progress:
        return act(connection, data, Path(name).name, **told, now=now, progress=progress)


def _read(path: Path) -> bytes:
    """At most one byte more than the largest file an import takes, so that a larger one is refused and not swallowed."""
    import sys

    from escrow.import_reading import LARGEST_FILE_BYTES

    if str(path) == "-":
        return sys.stdin.buffer.read(LARGEST_FILE_BYTES + 1)
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST_FILE_BYTES + 1)
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or failure
        typer.echo(f"error: {path} cannot be read ({why}); nothing was taken; give the path of a file", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _progress(name: str, data: bytes) -> Iterator[Callable[[int], None] | None]:
    """A bar of rows read on a terminal's stderr, for files worth one."""
    import sys

    if len(data) < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"reading {Path(name).name}", total=data.count(b"\n"))
        yield lambda rows: bar.update(task, completed=rows)


def _as_json(report: ImportReport) -> dict[str, Any]:
    return {
        "file": report.file,
        "kind": report.kind,
        "sha256": report.sha256,
        "rows": report.rows,
        "accepted": report.accepted,
        "repeated": report.repeated,
        "refused": report.refused,
        "findings": [
            {
                "line": one.line or None,
                "field": one.field or None,
                "code": one.code,
                "reason": one.reason,
                "refused": one.refused,
                "subject": list(one.subject),
            }
            for one in report.findings
        ],
    }


def _show(report: ImportReport) -> None:
    from rich.table import Table
    from rich.text import Text

    from entrypoints.screen import screen

    console = screen(highlight=False)
    if report.file_refused:
        console.print(f"{report.file}: refused, nothing of it was taken", markup=False, soft_wrap=True)
        for one in report.findings[:FINDINGS_SHOWN]:
            where = f"line {one.line}: " if one.line else ""
            console.print(f"  {where}{one.reason} [{one.code}]", markup=False, soft_wrap=True)
        return
    console.print(
        f"{report.file}: {report.rows:,} rows: {report.accepted:,} taken, {report.repeated:,} known already, "
        f"{report.refused:,} refused",
        markup=False,
        soft_wrap=True,
    )
    if not report.findings:
        return
    table = Table("line", "column", "code", "what is wrong", box=None, pad_edge=False)
    for one in report.findings[:FINDINGS_SHOWN]:
        reason = one.reason if one.refused else f"{one.reason} (taken all the same)"
        table.add_row(*(Text(cell) for cell in (str(one.line), one.field or "-", one.code, reason)))
    console.print(table)
    if len(report.findings) > FINDINGS_SHOWN:
        console.print(f"... and {len(report.findings) - FINDINGS_SHOWN:,} more; --json prints them all", markup=False)
    if not report.all_taken:
        console.print("Correct the refused rows and import the file again: rows taken before are not taken twice.", markup=False)
