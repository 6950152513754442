"""``escrow demo``: the whole story on a simulated district, and how it compares with the simulation's own answer key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.simulate import DefectProfile

if TYPE_CHECKING:
    from rich.console import Console

    from simulation.district import District

#: Days on which the demonstration's two people close the books; later days are left for the user.
_DAYS_CLOSED = 2

_BOOKS = "demo"


def register(app: typer.Typer) -> None:
    """Add ``demo`` to the program."""
    app.command("demo", epilog="Example: escrow demo --seed 7")(demo)


def demo(
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another district.")] = 1,
    institutions: Annotated[int, typer.Option(min=1, max=200, help="Institutions, each with a custody account.")] = 8,
    orders: Annotated[int, typer.Option(min=1, max=200_000, help="Orders paid within the days.")] = 4000,
    days: Annotated[int, typer.Option(min=1, max=120, help="Working days.")] = 20,
    defects: Annotated[DefectProfile, typer.Option(help="How many defects the files have.")] = DefectProfile.STANDARD,
) -> None:
    """Simulate a district, run every day of it through the engine, and hold the result against the answer key.

    Writes to the data folder only, into books called "demo" that every run makes anew. Exit 1 when the engine and the key
    differ, 3 when the books do not verify.
    """
    from entrypoints.bootstrap import job_settings, open_books
    from entrypoints.demonstration.clock import StoryClock
    from entrypoints.demonstration.display import closing_panel, days_table, score_table, show
    from entrypoints.demonstration.found import found_in_books
    from entrypoints.demonstration.signing import DaySigned, close_day
    from entrypoints.demonstration.story import DayTold, DistrictStory
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from jobs.daily import JOBS
    from jobs.runner import run_job
    from jobs.verifying import faults_in_books
    from simulation.key_reading import read_key
    from simulation.scoring import score
    from storage.engine import drop_embedded_database

    console = screen()
    settings = replace(read_settings(books=_BOOKS), database_url=None)  # the demonstration never touches a server's books
    district_folder = settings.data_folder / _BOOKS / "district"
    certificates_folder = settings.data_folder / _BOOKS / "certificates"
    clock = StoryClock()

    console.print(
        f"[bold]1. Simulating a district[/bold] (seed {seed}): truth first, then files with defects, the answer key apart"
    )
    district = _simulate(
        seed=seed, institutions=institutions, orders=orders, days=days, defects=defects.value, folder=district_folder
    )
    console.print(
        f"   {len(district.institutions)} institutions, {len(district.reported)} orders, "
        f"{len(district.class_hour_events)} class-hour events, {len(district.movements)} bank lines in {district_folder}"
    )
    drop_embedded_database(settings.database)
    with open_books(settings, make=True) as engine:
        told = job_settings(settings, "system")
        _empty(told.inbox)
        _empty(told.outbox)
        story = DistrictStory(engine, district_folder / "inputs", told, clock)
        console.print(
            "[bold]2. Running every day through the engine[/bold]: import, reconcile, confirm, release, refund, disburse, seal"
        )
        story_days = list(district.span.days)
        clock.set_day(story_days[0])
        story.open_institutions()
        lines: list[DayTold] = []
        closed: list[DaySigned] = []
        with _progress(console, len(story_days)) as advance:
            for day in story_days:
                clock.set_day(day)
                lines.append(story.tell(day))
                if told.calendar.is_working_day(day) and len(closed) < _DAYS_CLOSED:

                    def reconcile_again(day: date = day) -> object:
                        return run_job(engine, JOBS["reconcile"], day, told, clock=clock, again=True)

                    closed.append(close_day(engine, day, told, clock, certificates_folder, reconcile_again=reconcile_again))
                advance(day)
        with engine.connect() as connection:
            found = found_in_books(connection, story.findings, story.covered)
            compared = score(read_key(district_folder / "answer-key"), found)
            faults = faults_in_books(connection)
    show(console, days_table(lines), score_table(compared))
    for one in closed:
        console.print(
            f"{one.day}: {len(one.signed)} custody accounts signed off by two people", *one.resolved, *one.refused, sep="\n   "
        )
    verdict = (
        f"[red]{len(faults)} faults[/red]"
        if faults
        else "[green]every balance, digest and chain derived again and found equal[/green]"
    )
    console.print(f"The books verify: {verdict}")
    for fault in faults[:10]:
        console.print(f"   {fault.table} {fault.row}: {fault.what}")
    certificates = [path for one in reversed(closed) for path in one.signed_certificates]
    console.print(
        closing_panel(
            _shown(certificates),
            _next_commands(story_days, settings.data_folder, certificates[0].stem if certificates else "ACCOUNT"),
        )
    )
    if faults:
        raise typer.Exit(3)
    if not compared.perfect:
        raise typer.Exit(1)


def _simulate(*, seed: int, institutions: int, orders: int, days: int, defects: str, folder: Path) -> District:
    from config.profiles import load_profiles
    from entrypoints.commands.simulate import terms_from_config
    from simulation import DEFAULT_START, simulate, write_district

    district = simulate(
        seed=seed,
        institutions=institutions,
        orders=orders,
        days=days,
        terms=terms_from_config(DEFAULT_START),
        defects=defects,
        start=DEFAULT_START,
    )
    write_district(district, folder, {profile.id: profile for profile in load_profiles()}, replace=True)
    return district


def _empty(folder: Path) -> None:
    """Remove what an earlier demonstration left in its own drop folders."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[date], None]]:
    """A progress bar over the days on a terminal, a line a day elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if not console.is_terminal:
        yield lambda day: console.print(f"   {day} done")
        return
    columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("days", total=total)
        yield lambda day: bar.update(task, advance=1, description=f"{day}")


def _shown(paths: Sequence[Path]) -> list[Path]:
    """Paths as a person would type them: relative to here where that is shorter."""
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]


def _next_commands(days: Sequence[date], data_folder: Path, account: str) -> list[tuple[str, str]]:
    last = days[-1].isoformat()
    elsewhere = "" if data_folder == Path.cwd() / "var" else f" --data {_shown([data_folder])[0]}"
    # The demonstration's books are embedded ones: where the environment names a server, the commands must not go there.
    embedded = "env -u ESCROW_DATABASE_URL " if os.environ.get("ESCROW_DATABASE_URL") else ""
    full = f"{embedded}{_shown([Path(sys.argv[0]).resolve()])[0]}{elsewhere} --books {_BOOKS}"
    # Messages name commands without the books they were asked of; after this setting they run as they stand.
    setting = f'export ESCROW_BOOKS={_BOOKS} PATH="{Path(sys.argv[0]).resolve().parent}:$PATH"'
    plain = not elsewhere and not embedded
    program = "escrow" if plain else full
    return [
        *([(setting, "")] if plain else []),
        (f"{program} discrepancy list --open", "what nobody has resolved yet"),
        (f"{program} reconciliation show --date {last}", "the last day, account by account"),
        (f"{program} ledger trial-balance --as-of {last}", "the books; debits equal credits"),
        (f"{program} ledger coverage --as-of {last}", "is the money there, per custody account"),
        (f"{program} ledger verify", "prove it; exits 3 when a byte was changed"),
        (f"{program} export hledger --out var/export", "then: hledger check --strict -f var/export/books.journal"),
        (
            f"{program} evidence pack --account {account} --from {days[0]} --to {last} --out var/pack.zip",
            "for an auditor; then: python3 var/pack.zip",
        ),
    ]
