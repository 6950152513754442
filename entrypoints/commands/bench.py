"""``escrow bench``: benchmarks that prove their result right before they print how fast it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from benchmarks.posting import PostingFigures

bench_app = typer.Typer(
    help=(
        "Measure on this machine, in a scratch database that is dropped afterwards; your books are not touched.\n\n"
        "Example:\n\n"
        "  escrow bench post --rows 200000"
    ),
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(bench_app, name="bench")


@bench_app.command("post")
def post_command(
    rows: Annotated[int, typer.Option("--rows", help="Transfers posted in batches.", min=1, max=20_000_000)] = 200_000,
    batch: Annotated[int, typer.Option("--batch", help="Transfers a batch.", min=1, max=1_000_000)] = 100_000,
    naive_rows: Annotated[int, typer.Option("--naive-rows", help="Transfers posted one a commit.", min=1, max=100_000)] = 1_000,
    accounts: Annotated[
        int, typer.Option("--accounts", help="Order accounts the transfers go round.", min=1, max=1_000_000)
    ] = 50_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Post transfers in batches, one a commit, and against the floor of a bare COPY; verified before figures appear.

    Every transfer touches one hot account and one of many order accounts, with all guards, running balances, day sums and
    seals on.

    Example: escrow bench post --rows 200000 --json
    """
    from benchmarks.posting import measure_posting
    from config.chart import load_chart

    with scratch_books() as engine:
        figures = measure_posting(
            engine, load_chart(), rows=rows, batch_rows=min(batch, rows), naive_rows=naive_rows, accounts=accounts
        )
    if as_json:
        typer.echo(json.dumps(figures.as_json()))
    else:
        _print(figures)


@contextmanager
def scratch_books() -> Iterator[Engine]:
    """An engine on an empty database at head, on the embedded server even when another is configured; dropped afterwards."""
    from sqlalchemy import create_engine, text

    from entrypoints.settings import read_settings
    from migrations import runner
    from storage.embedded import embedded_server

    name = f"bench_{os.getpid()}"
    with embedded_server(read_settings().data_folder) as server:
        maintenance = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
        engine = create_engine(server.url(name), connect_args={"options": "-c timezone=UTC"})
        try:
            with maintenance.connect() as conn:
                conn.execute(text(f"CREATE DATABASE {name}"))
            with engine.connect() as conn:
                runner.upgrade(conn)
            yield engine
        finally:
            engine.dispose()
            with maintenance.connect() as conn:
                conn.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            maintenance.dispose()


def _print(figures: PostingFigures) -> None:
    from rich.table import Table

    from entrypoints.screen import screen

    table = Table(title=f"Posting, PostgreSQL {figures.server}, {'durable' if figures.durable else 'NOT durable'} commits")
    table.add_column("how")
    for name in ("transfers", "seconds", "transfers/s", "of the first"):
        table.add_column(name, justify="right")
    for rate in (figures.batches, figures.naive, figures.floor):
        ratio = rate.per_second / figures.batches.per_second
        table.add_row(rate.what, f"{rate.rows:,}", f"{rate.seconds:.2f}", f"{rate.per_second:,.0f}", f"{ratio:.3f}")
    screen().print(table)
    typer.echo(
        f"batches are {figures.batches.per_second / figures.naive.per_second:.1f} times as fast as one a commit, and reach "
        f"{figures.batches.per_second / figures.floor.per_second:.0%} of the floor"
    )
    typer.echo(
        f"proved before printing: counts, sum of balances 0, and all {figures.verified_postings:,} postings replayed = stored "
        f"({figures.verify_seconds:.1f} s)"
    )
