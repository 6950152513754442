"""``escrow run-day`` and ``escrow job``: the day's work, as the scheduler does it, by hand."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from jobs.runner import JobRun

job_app = typer.Typer(name="job", help="List jobs and their runs; run one by name.", no_args_is_help=True)

_Day = Annotated[datetime, typer.Argument(metavar="DATE", formats=["%Y-%m-%d"], help="Business day, such as 2026-03-02.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Again = Annotated[bool, typer.Option("--again/--once", help="Repeat finished jobs (they add what came since), or skip them.")]


def register(app: typer.Typer) -> None:
    """Add ``run-day`` and ``job`` to the program."""
    app.command("run-day", epilog="Example: escrow run-day 2026-03-02")(run_day)
    app.add_typer(job_app)


def run_day(day: _Day, again: _Again = True, json: _Json = False) -> None:
    """Run all jobs of a business day in their order: collect, reconcile, overdue, confirm, release, refund, disburse, send,
    age, seal, checkpoint, archive.

    Safe to repeat: what was done stays done, what arrived since is added. Exit 1 when something is outstanding.
    """
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import job_settings, open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from jobs.daily import DAY_ORDER, JOBS
    from jobs.runner import run_job
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.RUN_JOB)
    with open_books(settings) as engine:
        told = job_settings(settings, principal.user)
        runs: list[JobRun] = []
        try:
            for name in DAY_ORDER:
                runs.append(run_job(engine, JOBS[name], day.date(), told, clock=utc_now, again=again))  # noqa: PERF401 - kept job by job
        except BaseException:
            # Each job is kept as it ends: a refusal or Ctrl-C in a later one takes nothing back, and the reader must know.
            if runs:
                _show(runs, as_json=json)
            raise
    _show(runs, as_json=json)
    if any(run.result.get("outstanding") for run in runs):
        typer.echo(
            f"something is outstanding; see: escrow discrepancy list --open, escrow reconciliation show --date {day:%Y-%m-%d}, "
            "escrow statement list",
            err=True,
        )
        raise typer.Exit(1)
    if not json:
        typer.echo(f"nothing is outstanding; next: escrow --as USER reconciliation sign-off --date {day:%Y-%m-%d} --prepare")


@job_app.command("list", epilog="Example: escrow job list --as-of 2026-03-02")
def list_jobs(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs for this business day.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many runs to show, newest first.")] = 20,
    json: _Json = False,
) -> None:
    """The jobs, what they do, and their newest runs."""
    import json as json_text

    from rich.table import Table

    from entrypoints.acting import whole_books_session
    from entrypoints.bootstrap import open_books
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from jobs.daily import JOBS
    from jobs.runner import job_runs

    with open_books(read_settings(), session=whole_books_session()) as engine, engine.connect() as connection:
        rows = job_runs(connection, as_of=as_of.date() if as_of else None, limit=limit)
    if json:
        jobs = [{"job": job.name, "title": job.title} for job in JOBS.values()]
        typer.echo(json_text.dumps({"jobs": jobs, "runs": [row._asdict() for row in rows]}, default=str, ensure_ascii=False))
        return
    console = screen()
    table = Table("job", "what it does", title="Jobs, in the order of a day")
    for job in JOBS.values():
        table.add_row(job.name, job.title)
    console.print(table)
    runs = Table("job", "business day", "status", "attempts", "by", "finished (UTC)", "error", title="Newest runs")
    for row in rows:
        finished = f"{row.finished_at:%Y-%m-%d %H:%M:%S}" if row.finished_at else "-"
        runs.add_row(row.job, str(row.as_of), row.status, str(row.attempts), row.actor, finished, row.error or "")
    console.print(runs)
    unfinished = next((row for row in rows if row.status != "done"), None)
    if not rows:
        typer.echo("no job has run yet; next: escrow run-day DATE")
    elif unfinished is not None:
        typer.echo(
            f"{unfinished.job} for {unfinished.as_of} is {unfinished.status}; mend what its error says, then: "
            f"escrow job run {unfinished.job} --as-of {unfinished.as_of}"
        )
    else:
        typer.echo(f"next: escrow reconciliation show --date {rows[0].as_of}, escrow discrepancy list --open")


@job_app.command("run", epilog="Example: escrow job run reconcile --as-of 2026-03-02")
def run_one(
    name: Annotated[str, typer.Argument(help="A job of escrow job list.")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Business day the run is for.")],
    again: _Again = True,
    json: _Json = False,
) -> None:
    """Run one job for one business day."""
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import job_settings, open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from jobs.daily import JOBS
    from jobs.runner import run_job
    from supervision.rights import Right

    if name not in JOBS:
        raise typer.BadParameter(f"no job {name!r}; there are: {', '.join(JOBS)}", param_hint="NAME")
    settings = read_settings()
    principal = acting_principal(settings, Right.RUN_JOB)
    with open_books(settings) as engine:
        run = run_job(engine, JOBS[name], as_of.date(), job_settings(settings, principal.user), clock=utc_now, again=again)
    _show([run], as_json=json)
    if run.result.get("outstanding"):
        typer.echo(f"something is outstanding; see: {_LOOK_AT.get(name, 'escrow discrepancy list --open')}", err=True)
        raise typer.Exit(1)


#: What shows more of what a job has left outstanding; discrepancies otherwise.
_LOOK_AT = {
    "collect": "the receipts beside the files in the banks' refused/ and held/ folders, escrow statement list|quarantine",
    "overdue": "escrow statement calendar",
    "verify": "escrow ledger verify, which exits 3; stop payments and compare with a backup",
}


def _show(runs: list[JobRun], *, as_json: bool) -> None:
    import json as json_text

    from rich.table import Table

    from entrypoints.screen import screen

    if as_json:
        rows = [
            {"job": r.job, "as_of": str(r.as_of), "attempts": r.attempts, "fresh": r.fresh, "result": dict(r.result)}
            for r in runs
        ]
        typer.echo(json_text.dumps(rows, ensure_ascii=False, default=str))
        return
    table = Table("job", "attempt", "what it did", title=f"Business day {runs[0].as_of}")
    for run in runs:
        table.add_row(run.job, str(run.attempts) if run.fresh else f"{run.attempts} (done before)", _in_words(run.result))
    screen().print(table)
    for run in runs:
        for file in run.result.get("files", ()):
            reasons = f": {'; '.join(file['reasons'])}" if file["reasons"] else ""
            typer.echo(f"{file['file']} {file['outcome']}{reasons}")
        for line in run.result.get("passed_over", ()):
            typer.echo(f"passed over: {line}")


def _in_words(result: Any) -> str:
    from money import format_minor_units

    parts = []
    for key, value in result.items():
        if value in (0, [], {}, None, "", False) or key in ("outstanding", "files", "passed_over"):
            continue
        if key.endswith("_minor_units"):
            parts.append(f"{key.removesuffix('_minor_units').replace('_', ' ')} CNY {format_minor_units(value, grouped=True)}")
        elif isinstance(value, dict):
            parts.append(
                f"{key.replace('_', ' ')}: " + ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in value.items())
            )
        elif isinstance(value, list):
            parts.append(f"{key.replace('_', ' ')}: " + ", ".join(map(str, value)))
        else:
            parts.append(f"{key.replace('_', ' ')} {value}")
    if result.get("passed_over"):
        parts.append(f"{len(result['passed_over'])} things passed over")
    return "; ".join(parts) or "nothing to do"
