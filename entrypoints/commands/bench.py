"""``escrow bench``: benchmarks that prove their result right before they print how fast it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from benchmarks.growth import GrowthFigures
    from benchmarks.posting import PostingFigures
    from benchmarks.rates import Goal

bench_app = typer.Typer(
    help=(
        "Measure on this machine, in a scratch database that is dropped afterwards; your books are not touched.\n\n"
        "Example:\n\n"
        "  escrow bench post --rows 200000\n\n"
        "  escrow bench report --rows 500000"
    ),
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(bench_app, name="bench")


@bench_app.command("post")
def post_command(  # noqa: PLR0917  typer's options
    rows: Annotated[int, typer.Option("--rows", help="Transfers posted in batches.", min=1, max=20_000_000)] = 200_000,
    batch: Annotated[int, typer.Option("--batch", help="Transfers a batch.", min=1, max=1_000_000)] = 100_000,
    naive_rows: Annotated[int, typer.Option("--naive-rows", help="Transfers posted one a commit.", min=1, max=100_000)] = 1_000,
    accounts: Annotated[
        int, typer.Option("--accounts", help="Order accounts the transfers go round.", min=1, max=1_000_000)
    ] = 50_000,
    callers: Annotated[int, typer.Option("--callers", help="Interactive callers at once.", min=1, max=80)] = 64,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each interactive way runs.", min=0.1, max=600)] = 4.0,
    stored: Annotated[
        int | None,
        typer.Option(
            "--stored", help="Also: the cost of a transfer with this many stored beside 100,000.", min=100_000, max=100_000_000
        ),
    ] = None,
    pgledger: Annotated[
        Path | None,
        typer.Option(
            "--pgledger", metavar="PATH", help="A checkout of pgledger, to measure it in a scratch database beside ours."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Post in batches, by many callers at once and one a commit; beside a bare COPY, a naive path and pgledger.

    Everything runs with all guards, running balances, day sums and seals on, and is verified before figures appear.

    With --stored, two more sets of books are built and posted to in turns; ten million take about ten minutes and 15 GB.

    Examples: escrow bench post --rows 200000 --json; escrow bench post --stored 10000000;
    escrow bench post --pgledger ../pgledger
    """
    from benchmarks.growth import measure_growth
    from benchmarks.peers import pgledger_files
    from benchmarks.posting import PostingPlan, measure_posting
    from config.chart import load_chart

    files = None if pgledger is None else pgledger_files(pgledger)
    plan = PostingPlan(
        rows=rows,
        batch_rows=min(batch, rows),
        naive_rows=naive_rows,
        accounts=accounts,
        callers=callers,
        interactive_seconds=seconds,
        pgledger=files,
    )
    with scratch_books() as engine:
        figures = measure_posting(engine, load_chart(), plan)
        growth = None if stored is None else measure_growth(engine, load_chart(), stored=stored, accounts=accounts)
    missing = None
    if files is None:
        missing = (
            "pgledger was NOT measured: give a checkout of it with --pgledger PATH"
            if pgledger is None
            else f"pgledger was NOT measured: {pgledger} does not hold pgledger.sql and vendor/scoville-pgsql-ulid/*.sql"
        )
    if as_json:
        grown = None if growth is None else {**growth.as_json(), "goals": [goal.as_json() for goal in growth.goals]}
        typer.echo(json.dumps({**figures.as_json(), "growth": grown, "not_measured": missing}))
    else:
        _print(figures)
        if growth is not None:
            _print_growth(growth)
        if missing:
            typer.echo(missing)


@bench_app.command("parse")
def parse_command(
    rows: Annotated[int, typer.Option("--rows", help="Lines of each file.", min=100, max=5_000_000)] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read MT940, camt.053 and a CSV profile beside mt-940, an lxml iterparse sketch and csv.reader.

    Each reader runs in a process of its own; seconds are of the processor, memory is above the interpreter with its imports.
    Counts and sums of every reader, and every field of our lines, are held against the generator's truth before a figure
    appears. No database is used.

    Example: escrow bench parse --rows 100000 --json
    """
    import dataclasses

    from benchmarks.parsing import measure_parsing

    found = measure_parsing(rows)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(each) for each in found]))
        return
    from rich.table import Table

    from entrypoints.screen import screen

    table = Table(title=f"Reading files of {rows:,} lines")
    for name in ("format", "MB", "ours lines/s", "with objects", "ours +MB", "peer", "peer lines/s", "peer +MB", "ratio", "goal"):
        table.add_column(name, justify="left" if name in ("format", "peer") else "right")
    for each in found:
        peer = each.peer
        theirs = (f"{peer.per_second:,.0f}", f"{peer.megabytes:.0f}") if peer else ("skipped: not installed", "")
        ratio = f"{each.ours.per_second / peer.per_second:.2f}" if peer else ""
        table.add_row(
            each.format, f"{each.bytes / 1e6:.1f}", f"{each.ours.per_second:,.0f}",
            f"{rows / (each.ours.seconds + (each.ours.handing_out or 0)):,.0f}", f"{each.ours.megabytes:.0f}", each.peer_name,
            *theirs, ratio, f">= {each.goal}",
        )  # fmt: skip
    screen().print(table)
    typer.echo(
        "proved before printing: number of lines, sum in and sum out of every reader; every line of ours, field by field.\n"
        "with objects: reading, and making an object of every line as the intake does; the ratio is of reading."
    )


@bench_app.command("report")
def report_command(
    rows: Annotated[int, typer.Option("--rows", help="Transfers in the books.", min=1_000, max=50_000_000)] = 500_000,
    batch: Annotated[int, typer.Option("--batch", help="Transfers a batch.", min=100, max=1_000_000)] = 20_000,
    accounts: Annotated[
        int, typer.Option("--accounts", help="Order accounts the transfers go round.", min=1, max=1_000_000)
    ] = 50_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Balances, statements and trial balances at any two times over 300 business days, each compared with a replay.

    Goals over all accounts are for 10 million postings (--rows 5000000); the last batches beside the first show whether
    posting slows down as the books grow.

    Example: escrow bench report --rows 5000000 --batch 100000
    """
    from rich.table import Table

    from benchmarks.reports import measure_reports
    from config.chart import load_chart
    from entrypoints.screen import screen

    with scratch_books() as engine:
        figures = measure_reports(engine, load_chart(), rows=rows, batch_rows=min(batch, rows), accounts=accounts)
    if as_json:
        typer.echo(json.dumps(figures.as_json()))
        return
    table = Table("question", title=f"Reports over {2 * rows:,} postings, PostgreSQL {figures.server}")
    table.add_column("median ms", justify="right")
    for name, value in figures.milliseconds.items():
        table.add_row(name, f"{value:,.2f}")
    screen().print(table)
    _print_goals(figures.goals)
    typer.echo(
        f"built in {figures.build_seconds:.1f} s; {batch:,} transfers took {figures.first_batch_seconds:.2f} s at first, "
        f"{figures.last_batch_seconds:.2f} s at last; every answer was compared with a replay, and the books verify"
    )


@bench_app.command("release")
def release_command(
    prepayments: Annotated[int, typer.Option("--prepayments", help="Orders of 60 class-hours each.", min=1)] = 20_000,
    hours: Annotated[int, typer.Option("--hours", help="Class-hours of each order that are due that day.", min=1, max=60)] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Release a day's class-hours, beside as many plain transfers between the same accounts posted in batches.

    The district is made through the imports; every order's released money is compared with the closed form of its schedule,
    a repeated release must find nothing, and the books must verify before a figure appears. A million prepayments take hours
    to make and some 20 GB.

    Example: escrow bench release --prepayments 100000 --hours 3
    """
    from rich.table import Table

    from benchmarks.release import ReleaseSettings, measure_release
    from config.banks import load_banks
    from config.channels import load_channels
    from config.chart import load_chart
    from config.policies import load_policies
    from entrypoints.screen import screen

    told = ReleaseSettings(load_chart(), load_banks(), load_channels(), load_policies())
    with scratch_books() as engine:
        figures = measure_release(engine, told, prepayments=prepayments, hours_each=hours)
    if as_json:
        typer.echo(json.dumps(figures.as_json()))
        return
    table = Table(title=f"A day's release, {prepayments:,} prepayments of 60 class-hours, PostgreSQL {figures.server}")
    table.add_column("what")
    for name in ("class-hours", "seconds", "a second"):
        table.add_column(name, justify="right")
    for rate in (figures.release, figures.batch):
        table.add_row(rate.what, f"{rate.rows:,}", f"{rate.seconds:.2f}", f"{rate.per_second:,.0f}")
    screen().print(table)
    _print_goals(figures.goals)
    typer.echo(
        "proved before printing: each order's released money = closed form of its schedule, nothing left to release, books and "
        f"promises verify ({figures.verify_seconds:.1f} s); no row for a class-hour that was not given; made in "
        f"{figures.setup_seconds:.0f} s"
    )


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
    for name in ("transfers", "seconds", "transfers/s"):
        table.add_column(name, justify="right")
    for rate in figures.rates.values():
        table.add_row(rate.what, f"{rate.rows:,}", f"{rate.seconds:.2f}", f"{rate.per_second:,.0f}")
    screen().print(table)
    _print_goals(figures.goals)
    typer.echo(
        f"callers together: p50 {figures.latencies_ms['p50']:.1f} ms, p99 {figures.latencies_ms['p99']:.1f} ms, "
        f"{figures.calls_a_commit:.1f} calls a commit"
    )
    typer.echo(
        f"proved before printing: counts, sum of balances 0, and all {figures.verified_postings:,} postings replayed = stored "
        f"({figures.verify_seconds:.1f} s)"
    )


def _print_growth(growth: GrowthFigures) -> None:
    _print_goals(growth.goals)
    found = growth.as_json()
    (few, many), (one_few, one_many) = found["batch_microseconds"], found["single_microseconds"]
    typer.echo(
        f"a transfer costs {few:.1f} us in a batch and {one_few:,} us alone with {found['stored_before']:,} stored,\n"
        f"{many:.1f} us and {one_many:,} us with {growth.stored:,} ({growth.megabytes:,} MB with indexes), built in "
        f"{growth.build_seconds:.0f} s;\ncounts, balances and both books verified ({growth.verify_seconds:.0f} s)"
    )


def _print_goals(goals: Sequence[Goal]) -> None:
    from rich.table import Table

    from entrypoints.screen import screen

    table = Table("ratio of this run", title="Beside the goals of the design")
    for name in ("reached", "goal", ""):
        table.add_column(name, justify="right")
    for goal in goals:
        bound = f"{'<=' if goal.most else '>='} {goal.goal:g}"
        table.add_row(
            goal.what, f"{goal.reached:,.2f}", bound, "met" if goal.met else "MISSED", style=None if goal.met else "red"
        )
    screen().print(table)
