"""The scheduler process: APScheduler is only the clock, every run is a slot of ``job_run`` (DEPENDENCIES: crash-safe jobs).

A tick asks which slots became due since the last look-back and runs those not done yet, oldest first. A missed night
is caught up by the same question; a second scheduler beside this one finds the slots held or done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobs.daily import JOBS
from jobs.runner import JobBusy, run_job
from jobs.schedule import ScheduledJob, due_slots

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from jobs.settings import JobSettings

logger = logging.getLogger(__name__)


def run_due(
    engine: Engine,
    settings: JobSettings,
    schedule: tuple[ScheduledJob, ...],
    *,
    since: datetime,
    until: datetime,
    clock: Callable[[], datetime],
) -> list[tuple[str, str, str]]:
    """Run every slot due in (since, until] that is not done; (job, business day, outcome) for each.

    A job that fails is recorded and reported; the ones after it still run, and the next tick tries it again.
    """
    outcomes: list[tuple[str, str, str]] = []
    for slot in due_slots(schedule, settings.calendar, since, until):
        try:
            run = run_job(engine, JOBS[slot.job], slot.as_of, settings, clock=clock)
        except JobBusy:
            outcome = "held by another process"
        except Exception as failure:
            logger.exception("job failed")
            outcome = f"failed: {failure}"
        else:
            outcome = "done" if run.fresh else "done before"
        outcomes.append((slot.job, slot.as_of.isoformat(), outcome))
    return outcomes


def serve(
    engine: Engine,
    settings: JobSettings,
    schedule: tuple[ScheduledJob, ...],
    *,
    look_back: timedelta,
    clock: Callable[[], datetime],
    report: Callable[[list[tuple[str, str, str]]], None],
) -> None:
    """Tick every minute until the process is stopped, looking back ``look_back`` for slots that were missed."""
    from apscheduler.schedulers.blocking import BlockingScheduler
    from apscheduler.triggers.interval import IntervalTrigger

    def tick() -> None:
        now = clock()
        outcomes = run_due(engine, settings, schedule, since=now - look_back, until=now, clock=clock)
        report([outcome for outcome in outcomes if outcome[2] != "done before"])

    scheduler = BlockingScheduler(timezone="Asia/Shanghai")
    # APScheduler drops a job that starts over a second late unless told otherwise; a tick asks about the past anyway.
    scheduler.add_job(
        tick, IntervalTrigger(minutes=1), next_run_time=clock(), misfire_grace_time=None, coalesce=True, max_instances=1
    )
    scheduler.start()
