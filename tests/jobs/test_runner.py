"""A job's slot is held by its process, its work is whole or not at all, and a done slot answers again."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from jobs.runner import DayNotCome, Job, JobBusy, job_runs, run_job
from storage import audit
from wording import Said

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """As much of the job settings as these jobs read."""

    actor: str = "system"


def note(connection: Connection, as_of: date, settings: Any, now: datetime) -> Mapping[str, Any]:
    """A job whose work is one audit event."""
    audit.record(
        connection,
        now=now,
        actor=settings.actor,
        role="system",
        act="test:job:done",
        object_kind="day",
        object_id=str(as_of),
        details={},
    )
    return {"noted": 1}


def fail(connection: Connection, as_of: date, settings: Any, now: datetime) -> Mapping[str, Any]:
    """A job that does its work and then cannot go on."""
    note(connection, as_of, settings, now)
    raise ValueError("the bank's file is torn")


NOTE = Job("note", Said("writes an audit event", "写入审计事件"), note, every_day=True)
FAIL = Job("note", Said("writes an audit event and fails", "写入审计事件后失败"), fail, every_day=True)


def run(engine: Engine, job: Job, *, again: bool = False) -> Any:
    return run_job(engine, job, DAY, Told(), clock=lambda: NOW, again=again)  # type: ignore[arg-type]


def notes(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM audit_event WHERE act = 'test:job:done'")) or 0)


def test_a_done_slot_gives_the_first_answer_again(books: Engine) -> None:
    first, second = run(books, NOTE), run(books, NOTE)

    assert (first.fresh, second.fresh) == (True, False)
    assert first.result == second.result == {"noted": 1}
    assert notes(books) == 1


def test_a_done_slot_is_repeated_on_request_and_counts_its_attempts(books: Engine) -> None:
    run(books, NOTE)

    assert run(books, NOTE, again=True).attempts == 2
    assert notes(books) == 2


def test_a_job_that_fails_leaves_no_work_but_its_reason(books: Engine) -> None:
    with pytest.raises(ValueError, match="torn"):
        run(books, FAIL)

    assert notes(books) == 0
    with books.connect() as connection:
        (row,) = job_runs(connection, as_of=DAY)
    assert (row.status, row.error) == ("failed", "ValueError: the bank's file is torn")


def test_a_failed_slot_runs_again_without_being_asked_twice(books: Engine) -> None:
    with pytest.raises(ValueError, match="torn"):
        run(books, FAIL)

    assert run(books, NOTE).attempts == 2
    assert notes(books) == 1


def test_a_slot_held_by_another_connection_is_busy_and_nothing_is_written(books: Engine) -> None:
    with books.connect() as holder:
        holder.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('job:note:2026-03-02', 0))"))
        with pytest.raises(JobBusy, match="note for 2026-03-02"):
            run(books, NOTE)
    assert notes(books) == 0

    assert run(books, NOTE).fresh


KILLED_HALF_WAY = """
    import os, signal, sys
    from datetime import UTC, date, datetime
    from sqlalchemy import create_engine
    sys.path.insert(0, {tests!r})
    from test_runner import DAY, NOW, Told, note
    from jobs.runner import Job, run_job
    from wording import Said

    def die(connection, as_of, settings, now):
        note(connection, as_of, settings, now)
        os.kill(os.getpid(), signal.SIGKILL)

    run_job(create_engine({url!r}), Job("note", Said("dies", "中断"), die, every_day=True), DAY, Told(), clock=lambda: NOW)
"""


def test_a_process_killed_half_way_leaves_nothing_half_done_and_nothing_to_wait_for(books: Engine, books_url: str) -> None:
    from pathlib import Path

    script = textwrap.dedent(KILLED_HALF_WAY.format(url=books_url, tests=str(Path(__file__).parent)))
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert notes(books) == 0
    with books.connect() as connection:
        (row,) = job_runs(connection, as_of=DAY)
    assert row.status == "running"

    again = run(books, NOTE)

    assert (again.fresh, again.attempts) == (True, 2)
    assert notes(books) == 1


def test_a_day_that_has_not_come_is_refused_before_anything_is_done(books: Engine) -> None:
    with pytest.raises(DayNotCome, match="2026-03-03 has not come"):
        run_job(books, NOTE, date(2026, 3, 3), Told(), clock=lambda: NOW)  # type: ignore[arg-type]

    assert notes(books) == 0


def test_two_jobs_that_wait_for_each_other_are_both_done_at_the_first_attempt(books: Engine) -> None:
    """The server ends one of them; it gives up its locks with its savepoint and is done again in the same slot."""
    with books.begin() as connection:
        connection.execute(text("CREATE TABLE turn AS SELECT generate_series(1, 2) AS id"))
    ready, tries = threading.Barrier(2), list[str]()

    def job(name: str, first: int, second: int) -> Job:
        def work(connection: Connection, as_of: date, settings: Any, now: datetime) -> Mapping[str, Any]:
            tries.append(name)
            connection.execute(text("SELECT FROM turn WHERE id = :id FOR UPDATE"), {"id": first})
            if tries.count(name) == 1:
                ready.wait(20)
            connection.execute(text("SELECT FROM turn WHERE id = :id FOR UPDATE"), {"id": second})
            return note(connection, as_of, settings, now)

        return Job(name, "takes two turns", work, every_day=True)

    threads = [threading.Thread(target=run, args=(books, one)) for one in (job("there", 1, 2), job("back", 2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with books.connect() as connection:
        assert {(one.job, one.status, one.attempts) for one in job_runs(connection)} == {
            ("there", "done", 1),
            ("back", "done", 1),
        }
    assert len(tries) == 3
    assert notes(books) == 2
