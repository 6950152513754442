"""``escrow scheduler``: the process that runs the jobs on the business calendar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jobs.schedule import ScheduledJob


def register(app: typer.Typer) -> None:
    """Add ``scheduler`` to the program."""
    app.command("scheduler", epilog="Example: escrow scheduler --once --look-back-days 3")(scheduler)


def scheduler(
    once: Annotated[bool, typer.Option("--once", help="Run what is due now, then end (for cron or a test).")] = False,
    look_back_days: Annotated[int, typer.Option(min=1, max=31, help="Catch up slots missed in the last N days.")] = 3,
) -> None:
    """Run the jobs at the times of config/jobs.yaml (Asia/Shanghai) until stopped; missed slots are caught up."""
    from datetime import timedelta

    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import job_settings, open_books
    from entrypoints.clock import utc_now
    from entrypoints.scheduler import run_due, serve
    from entrypoints.settings import read_settings
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.RUN_JOB)
    look_back = timedelta(days=look_back_days)
    with open_books(settings) as engine:
        told = job_settings(settings, principal.user)
        schedule = _schedule()
        if once:
            now = utc_now()
            outcomes = run_due(engine, told, schedule, since=now - look_back, until=now, clock=utc_now)
            _print(outcomes)
            if any(outcome.startswith("failed") for _, _, outcome in outcomes):
                raise typer.Exit(1)
            return
        typer.echo("scheduler running; stop it with Ctrl-C")
        serve(engine, told, schedule, look_back=look_back, clock=utc_now, report=_print)


def _schedule() -> tuple[ScheduledJob, ...]:
    from config.jobs import load_job_times
    from jobs.schedule import ScheduledJob

    return tuple(ScheduledJob(*row) for row in load_job_times())


def _print(outcomes: list[tuple[str, str, str]]) -> None:
    for job, as_of, outcome in outcomes:
        typer.echo(f"{as_of} {job}: {outcome}")
