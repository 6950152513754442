"""The scheduler runs what is due, catches up what was missed, and does nothing twice."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from calendars import BUSINESS_TIME_ZONE
from entrypoints.bootstrap import job_settings
from entrypoints.scheduler import run_due
from entrypoints.settings import Settings
from jobs.schedule import ScheduledJob
from jobs.settings import JobSettings

NIGHT = datetime(2026, 3, 3, 23, 0, tzinfo=BUSINESS_TIME_ZONE)
SCHEDULE = (
    ScheduledJob("reconcile", time(10, 15), for_previous_day=True, every_day=True),
    ScheduledJob("release", time(17, 5), for_previous_day=True, every_day=True),
)


@pytest.fixture
def told(tmp_path: Path) -> JobSettings:
    return job_settings(Settings(data_folder=tmp_path, books="books"), "system")


def tick(
    books: Engine, told: JobSettings, *, days: int = 1, schedule: tuple[ScheduledJob, ...] = SCHEDULE
) -> list[tuple[str, str, str]]:
    return run_due(books, told, schedule, since=NIGHT - timedelta(days=days), until=NIGHT, clock=lambda: NIGHT)


def test_what_is_due_runs_once(books: Engine, told: JobSettings) -> None:
    assert tick(books, told) == [("reconcile", "2026-03-02", "done"), ("release", "2026-03-02", "done")]
    assert tick(books, told) == [("reconcile", "2026-03-02", "done before"), ("release", "2026-03-02", "done before")]


def test_missed_days_are_caught_up_oldest_first(books: Engine, told: JobSettings) -> None:
    tick(books, told)

    caught_up = [(job, as_of) for job, as_of, outcome in tick(books, told, days=3) if outcome == "done"]

    assert caught_up == [(job, day) for day in ("2026-02-28", "2026-03-01") for job in ("reconcile", "release")]


def test_a_slot_another_scheduler_holds_is_left_to_it(books: Engine, told: JobSettings) -> None:
    with books.connect() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('job:reconcile:2026-03-02', 0))"))

        assert tick(books, told)[0] == ("reconcile", "2026-03-02", "held by another process")


def test_a_job_that_fails_is_reported_and_the_next_still_runs(books: Engine, told: JobSettings) -> None:
    # The holiday calendar ends with 2026: what needs a working day past it refuses, what does not goes on.
    beyond = datetime(2027, 1, 5, 23, 0, tzinfo=BUSINESS_TIME_ZONE)
    schedule = (
        ScheduledJob("confirm", time(17, 0), for_previous_day=False, every_day=True),
        ScheduledJob("seal", time(17, 30), for_previous_day=False, every_day=True),
    )

    outcomes = run_due(books, told, schedule, since=beyond - timedelta(days=1), until=beyond, clock=lambda: beyond)

    assert outcomes[0][2].startswith("failed: the china calendar covers")
    assert outcomes[1] == ("seal", "2027-01-05", "done")
