"""Run a job for a business day: hold its slot, do the work in one transaction, record what it did.

The slot is a transaction-scoped advisory lock of the connection that does the work, so it ends with the work or with
the process, however that dies: no lease to wait for, nothing to take over. Work and final record share one
transaction; a process killed half-way leaves its work undone and a row that still says running, which the next
attempt replaces. Work that the server ended because of others (a deadlock, a lock not had in time) is done again at once.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from calendars import business_date
from jobs.settings import JobSettings
from jobs.tables import job_run
from storage.trying_again import PAUSE_SECONDS, TRIES, lost_race
from wording import Refused, Said

#: A job: (connection, business day, settings, now) -> what it reports of itself (JSON). Safe to run twice.
JobFunction = Callable[[sa.Connection, date, JobSettings, datetime], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """A job by name. ``every_day`` runs on weekends and holidays too, else on working days only."""

    name: str
    title: Said
    function: JobFunction
    every_day: bool


@dataclass(frozen=True, slots=True)
class JobRun:
    """One execution that is done. ``fresh`` is False when an earlier run's answer is given again."""

    job: str
    as_of: date
    attempts: int
    result: Mapping[str, Any]
    fresh: bool


class JobBusy(RuntimeError):
    """Another process is running this job for this day; it will finish by itself, so try again later."""


class DayNotCome(Refused):
    """A job was asked for a business day after today."""


def process_name() -> str:
    """Who runs an attempt: host, process and thread."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"


def _hold_slot(connection: sa.Connection, job: Job, as_of: date) -> None:
    """Take the slot for this transaction. Raises JobBusy when another transaction has it."""
    slot = f"job:{job.name}:{as_of.isoformat()}"
    if not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtextextended(slot, 0)))):
        holder = connection.scalar(sa.select(job_run.c.owner).where(job_run.c.job == job.name, job_run.c.as_of == as_of))
        raise JobBusy(f"{job.name} for {as_of} is being run by {holder or 'another process'}; try again when it has finished")


def _write(connection: sa.Connection, job: Job, as_of: date, **values: Any) -> None:
    """Insert or replace the row of the slot."""
    row = {"job": job.name, "as_of": as_of, **values}
    connection.execute(insert(job_run).values(row).on_conflict_do_update(index_elements=["job", "as_of"], set_=values))


def run_job(
    engine: sa.Engine, job: Job, as_of: date, settings: JobSettings, *, clock: Callable[[], datetime], again: bool = False
) -> JobRun:
    """Run ``job`` for the business day ``as_of``; give the first answer again when it is done already.

    ``again`` repeats a finished slot (jobs are idempotent: what was done stays done, what came since is added).
    Raises DayNotCome, JobBusy, or whatever the job itself refuses, after recording the failure.
    """
    if as_of > business_date(clock()):
        raise DayNotCome(
            Said(
                f"{as_of} has not come; a job for it would deem, release and instruct early. Name today or an earlier day",
                f"{as_of} 尚未到来；提前运行会提前确认、释放和发指令。请给出今天或更早的日期",
            )
        )
    with engine.connect() as connection, connection.begin():
        _hold_slot(connection, job, as_of)
        earlier = connection.execute(sa.select(job_run).where(job_run.c.job == job.name, job_run.c.as_of == as_of)).one_or_none()
        if earlier is not None and earlier.status == "done" and not again:
            return JobRun(job.name, as_of, earlier.attempts, earlier.result or {}, fresh=False)
        attempt: dict[str, Any] = {
            "attempts": 1 if earlier is None else earlier.attempts + 1,
            "owner": process_name(),
            "actor": settings.actor,
            "started_at": clock(),
        }
        with engine.begin() as announcement:
            _write(announcement, job, as_of, **attempt, status="running", finished_at=None, result=None, error=None)

        def work() -> dict[str, Any]:
            done = dict(job.function(connection, as_of, settings, clock()))
            _write(connection, job, as_of, **attempt, status="done", finished_at=clock(), result=done, error=None)
            connection.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
            return done

        try:
            result = _in_savepoint(connection, work)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:2000]
            _write(connection, job, as_of, **attempt, status="failed", finished_at=clock(), result=None, error=error)
            connection.commit()
            raise
    return JobRun(job.name, as_of, attempt["attempts"], result, fresh=True)


def _in_savepoint(connection: sa.Connection, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What the work gives; when it raises, nothing of it stays. Work that the server ended because of others is done again, in
    the same slot: going back to the savepoint gives up every lock it had taken.
    """
    pause = PAUSE_SECONDS
    for left in range(TRIES - 1, -1, -1):
        savepoint = connection.begin_nested()
        try:
            result = work()
            savepoint.commit()
        except Exception as failure:
            if savepoint.is_active:
                savepoint.rollback()
            if not left or not lost_race(failure):
                raise
        else:
            return result
        time.sleep(pause)
        pause *= 2
    raise AssertionError("unreachable: the last try returns or raises")


def job_runs(connection: sa.Connection, *, as_of: date | None = None, limit: int = 50) -> list[sa.Row[Any]]:
    """Newest job runs first; of one business day when given."""
    query = sa.select(job_run).order_by(job_run.c.started_at.desc(), job_run.c.job).limit(limit)
    return list(connection.execute(query if as_of is None else query.where(job_run.c.as_of == as_of)))
