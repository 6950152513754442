"""``escrow run-day`` and ``escrow job``: the day's work, as the scheduler does it, by hand."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.reading import Lang, Language
from wording import Said

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


def run_day(day: _Day, again: _Again = True, lang: Lang = Language.EN, json: _Json = False) -> None:
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
                _show(runs, lang, as_json=json)
            raise
    _show(runs, lang, as_json=json)
    if any(run.result.get("outstanding") for run in runs):
        look_at = f"escrow discrepancy list --open, escrow reconciliation show --date {day:%Y-%m-%d}, escrow statement list"
        typer.echo(_outstanding(look_at).text(lang), err=True)
        raise typer.Exit(1)
    if not json:
        command = f"escrow --as USER reconciliation sign-off --date {day:%Y-%m-%d} --prepare"
        typer.echo(Said(f"nothing is outstanding; next: {command}", f"无未决事项；下一步：{command}").text(lang))


@job_app.command("list", epilog="Example: escrow job list --as-of 2026-03-02")
def list_jobs(
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs for this business day.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many runs to show, newest first.")] = 20,
    lang: Lang = Language.EN,
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
    from reports.wording import word

    with open_books(read_settings(), session=whole_books_session()) as engine, engine.connect() as connection:
        rows = job_runs(connection, as_of=as_of.date() if as_of else None, limit=limit)
    if json:
        jobs = [{"job": job.name, "title": job.title.en, "title_zh": job.title.zh} for job in JOBS.values()]
        typer.echo(json_text.dumps({"jobs": jobs, "runs": [row._asdict() for row in rows]}, default=str, ensure_ascii=False))
        return
    console = screen()
    headings = (word(name, lang) for name in ("job", "what it does"))
    table = Table(*headings, title=word("Jobs, in the order of a day", lang))
    for job in JOBS.values():
        table.add_row(job.name, job.title.text(lang))
    console.print(table)
    headings = (word(name, lang) for name in ("job", "business day", "state", "attempts", "by", "finished (UTC)", "error"))
    runs = Table(*headings, title=word("Newest runs", lang))
    for row in rows:
        finished = f"{row.finished_at:%Y-%m-%d %H:%M:%S}" if row.finished_at else "-"
        runs.add_row(row.job, str(row.as_of), row.status, str(row.attempts), row.actor, finished, row.error or "")
    console.print(runs)
    unfinished = next((row for row in rows if row.status != "done"), None)
    if not rows:
        said = Said("no job has run yet; next: escrow run-day DATE", "尚未运行任何作业；下一步：escrow run-day 日期")
    elif unfinished is not None:
        command = f"escrow job run {unfinished.job} --as-of {unfinished.as_of}"
        said = Said(
            f"{unfinished.job} for {unfinished.as_of} is {unfinished.status}; mend what its error says, then: {command}",
            f"{unfinished.as_of} 的 {unfinished.job} 状态为 {unfinished.status}；请先处理其错误，再执行：{command}",
        )
    else:
        command = f"escrow reconciliation show --date {rows[0].as_of}, escrow discrepancy list --open"
        said = Said(f"next: {command}", f"下一步：{command}")
    typer.echo(said.text(lang))


@job_app.command("run", epilog="Example: escrow job run reconcile --as-of 2026-03-02")
def run_one(
    name: Annotated[str, typer.Argument(help="A job of escrow job list.")],
    as_of: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Business day the run is for.")],
    again: _Again = True,
    lang: Lang = Language.EN,
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
    _show([run], lang, as_json=json)
    if run.result.get("outstanding"):
        typer.echo(_outstanding(_LOOK_AT.get(name, "escrow discrepancy list --open")).text(lang), err=True)
        raise typer.Exit(1)


#: What shows more of what a job has left outstanding; discrepancies otherwise.
_LOOK_AT = {
    "collect": "the receipts beside the files in the banks' refused/ and held/ folders, escrow statement list|quarantine",
    "overdue": "escrow statement calendar",
    "verify": "escrow ledger verify, which exits 3; stop payments and compare with a backup",
}


def _outstanding(look_at: str) -> Said:
    return Said(f"something is outstanding; see: {look_at}", f"有未决事项；见：{look_at}")


def _show(runs: list[JobRun], lang: str, *, as_json: bool) -> None:
    import json as json_text

    from rich.table import Table

    from entrypoints.screen import screen
    from reports.wording import word

    if as_json:
        rows = [
            {"job": r.job, "as_of": str(r.as_of), "attempts": r.attempts, "fresh": r.fresh, "result": dict(r.result)}
            for r in runs
        ]
        typer.echo(json_text.dumps(rows, ensure_ascii=False, default=str))
        return
    title = f"{word('Business day', lang)} {runs[0].as_of}"
    table = Table(*(word(name, lang) for name in ("job", "attempt", "what it did")), title=title)
    for run in runs:
        attempts = str(run.attempts) if run.fresh else f"{run.attempts} ({word('done before', lang)})"
        table.add_row(run.job, attempts, _in_words(run.result, lang))
    screen().print(table)
    told = "_zh" if lang == "zh" else ""
    for run in runs:
        for file in run.result.get("files", ()):
            reasons = f": {'; '.join(file[f'reasons{told}'])}" if file["reasons"] else ""
            typer.echo(f"{file['file']} {word(file['outcome'], lang)}{reasons}")
        for line in run.result.get(f"passed_over{told}", ()):
            typer.echo(f"{word('passed over', lang)}: {line}")


def _in_words(result: Any, lang: str) -> str:
    from jobs.wording import figure
    from money import format_minor_units

    parts = []
    for key, value in result.items():
        if value in (0, [], {}, None, "", False) or key in ("outstanding", "files", "passed_over", "passed_over_zh"):
            continue
        if key.endswith("_minor_units"):
            parts.append(f"{figure(key.removesuffix('_minor_units'), lang)} CNY {format_minor_units(value, grouped=True)}")
        elif isinstance(value, dict):
            parts.append(f"{figure(key, lang)}: " + ", ".join(f"{count} {figure(why, lang)}" for why, count in value.items()))
        elif isinstance(value, list):
            parts.append(f"{figure(key, lang)}: " + ", ".join(map(str, value)))
        else:
            parts.append(f"{figure(key, lang)} {value}")
    if passed_over := len(result.get("passed_over", ())):
        parts.append(Said(f"{passed_over} things passed over", f"跳过 {passed_over} 项").text(lang))
    return "; ".join(parts) or Said("nothing to do", "无事可办").text(lang)
