"""A bank's deadline passes: one discrepancy an account and day, with its evidence, and none once the statement has come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from bank_adapters.model import Statement, StatementKind
from bank_adapters.writing.mt940 import write_mt940
from calendars import BUSINESS_TIME_ZONE, start_of_business_date
from config.profiles import load_profiles
from entrypoints.bootstrap import job_settings
from entrypoints.settings import Settings
from jobs.daily import JOBS
from jobs.directory import account_directory
from jobs.runner import run_job
from jobs.settings import JobSettings
from jobs.verifying import faults_in_books
from money import Money
from reconciliation.arrivals import came
from reconciliation.model import CustodyAccountRef
from reconciliation.overdue import missing_id
from reconciliation.receiving import receive_statement_file
from reconciliation.sign_off import what_stands_against
from storage.roles import Role
from tests.escrow.conftest import District

MONDAY, TUESDAY, WEDNESDAY, FRIDAY, SATURDAY = (date(2025, 3, day) for day in (3, 4, 5, 7, 8))
NORTH, CIRCLE = "6010000000000001", "6222000000000002"
NOTHING_COLLECTED = {
    "files_accepted": 0,
    "files_refused": 0,
    "files_held": 0,
    "files": [],
    "passed_over": [],
    "passed_over_zh": [],
}


def shanghai(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=BUSINESS_TIME_ZONE)


class Desk:
    """Two accounts at two banks under supervision since Monday, and a clock that tests set."""

    def __init__(self, engine: Engine, told: JobSettings) -> None:
        self.engine = engine
        self.told = told
        self.numbers = {NORTH: 0, CIRCLE: 0}
        with engine.connect() as connection:
            self.refs = {ref.account_number: ref for ref in account_directory(connection).values()}

    def job(self, name: str, day: date, at: str) -> dict[str, Any]:
        return dict(run_job(self.engine, JOBS[name], day, self.told, clock=lambda: shanghai(at), again=True).result)

    def deliver(self, number: str, day: date, at: str) -> str:
        """The bank's statement of a day on which nothing moved; returns what became of it."""
        self.numbers[number] += 1
        nothing = Money(0)
        one = Statement(
            StatementKind.STATEMENT, number, "CNY", "S", str(self.numbers[number]), nothing, day, nothing, day, (), True
        )
        ref = self.refs[number]
        with self.engine.begin() as connection:
            receipt = receive_statement_file(
                connection,
                write_mt940([one]),
                f"{number}-{day}.sta",
                sender_bank=ref.bank_code,
                directory=account_directory(connection),
                profiles=load_profiles(),
                now=shanghai(at),
                actor="bank",
            )
        return str(receipt.statements[0].outcome)

    def missing(self) -> list[tuple[str, str, str]]:
        """(account, day, state) of every STATEMENT_MISSING."""
        query = """
            SELECT account_number, CAST(since AS text), state FROM discrepancy_state
            JOIN custody_account USING (institution_id, custody_account_id) WHERE kind = 'STATEMENT_MISSING' ORDER BY 2, 1
        """
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def faults(self) -> list[str]:
        with self.engine.connect() as connection:
            return [f"{one.table}: {one.row}: {one.what}" for one in faults_in_books(connection)]


@pytest.fixture
def desk(books: Engine, tmp_path: Path) -> Desk:
    with books.begin() as connection:
        district = District(connection)
        district.found(1, bank_code="NRB", account_number=NORTH, opened_on="2025-03-01")
        district.found(2, bank_code="SWB", account_number=CIRCLE, opened_on="2025-03-01")
    made = Desk(books, job_settings(Settings(data_folder=tmp_path, books="books"), "system"))
    for number in (NORTH, CIRCLE):
        assert made.deliver(number, MONDAY, "2025-03-03 20:00") == "counted"
    return made


def test_a_deadline_that_passes_opens_one_discrepancy_an_account_and_day_and_never_a_second(desk: Desk) -> None:
    desk.deliver(NORTH, TUESDAY, "2025-03-05 11:59")

    at_the_deadline = desk.job("overdue", TUESDAY, "2025-03-05 12:00:00")
    a_second_later = desk.job("overdue", TUESDAY, "2025-03-05 12:00:01")
    once_more = desk.job("overdue", TUESDAY, "2025-03-05 17:00")

    named = NOTHING_COLLECTED | {"statements_overdue": [f"{CIRCLE} 2025-03-04"], "outstanding": True}
    assert at_the_deadline["statements_overdue"] == []
    assert a_second_later == named | {"discrepancies_opened": 1}
    assert once_more == named | {"discrepancies_opened": 0}
    assert desk.missing() == [(CIRCLE, "2025-03-04", "open")]
    assert desk.rows("SELECT state, deadline_at, noticed_at, actor FROM statement_overdue") == [
        ("overdue", shanghai("2025-03-05 12:00"), shanghai("2025-03-05 12:00:01"), "system")
    ]
    assert desk.faults() == []


@pytest.mark.parametrize("order", [("reconcile", "overdue"), ("overdue", "reconcile")])
def test_the_job_and_a_run_of_the_day_name_the_same_thing_once(desk: Desk, order: tuple[str, str]) -> None:
    for job in order:
        desk.job(job, TUESDAY, "2025-03-05 13:00")

    assert desk.missing() == [(NORTH, "2025-03-04", "open"), (CIRCLE, "2025-03-04", "open")]
    ref = desk.refs[CIRCLE]
    assert desk.rows(f"SELECT count(*) FROM discrepancy WHERE discrepancy_id = '{missing_id(ref, TUESDAY)}'") == [(1,)]
    assert desk.rows("SELECT count(*) FROM statement_overdue") == [(2,)]
    assert desk.rows("SELECT count(*) FROM discrepancy_event") == [(2,)]
    assert desk.faults() == []


def test_it_blocks_the_sign_off_and_the_statement_closes_it(desk: Desk) -> None:
    ref, now = desk.refs[CIRCLE], shanghai("2025-03-05 14:00")
    desk.job("overdue", TUESDAY, "2025-03-05 12:05")
    desk.job("reconcile", TUESDAY, "2025-03-05 13:00")

    def against() -> list[str]:
        with desk.engine.connect() as connection:
            return [said.en for said in what_stands_against(connection, ref, TUESDAY, calendar=desk.told.calendar, now=now)]

    assert any("STATEMENT_MISSING" in reason for reason in against())
    assert desk.deliver(CIRCLE, TUESDAY, "2025-03-05 13:30") == "counted"
    desk.job("reconcile", TUESDAY, "2025-03-05 13:40")

    assert desk.missing() == [(NORTH, "2025-03-04", "open"), (CIRCLE, "2025-03-04", "cleared")]
    assert not any("STATEMENT_MISSING" in reason for reason in against())
    assert desk.job("overdue", TUESDAY, "2025-03-06 12:05")["discrepancies_opened"] == 0, "it does not open again"
    assert desk.faults() == []


def test_a_day_a_later_statement_continues_is_not_named(desk: Desk) -> None:
    desk.deliver(CIRCLE, WEDNESDAY, "2025-03-05 20:00")

    assert desk.job("overdue", WEDNESDAY, "2025-03-06 12:05")["statements_overdue"] == [
        f"{NORTH} 2025-03-04", f"{NORTH} 2025-03-05",
    ]  # fmt: skip


def test_a_weekend_owes_nothing_and_friday_is_owed_until_monday(desk: Desk) -> None:
    for number in (NORTH, CIRCLE):
        desk.deliver(number, date(2025, 3, 6), "2025-03-06 20:00")

    assert desk.job("overdue", SATURDAY, "2025-03-09 12:05")["statements_overdue"] == []
    assert desk.job("overdue", SATURDAY, "2025-03-10 12:05")["statements_overdue"] == [
        f"{NORTH} 2025-03-07",
        f"{CIRCLE} 2025-03-07",
    ]


def test_what_was_noticed_of_a_day_that_counted_is_a_fault(desk: Desk, books: Engine) -> None:
    desk.job("overdue", TUESDAY, "2025-03-05 12:05")
    with books.begin() as connection:
        connection.execute(
            text(
                """
                INSERT INTO statement_overdue (institution_id, custody_account_id, business_date, discrepancy_id, state,
                    deadline_at, noticed_at, rules_version, actor)
                SELECT institution_id, custody_account_id, DATE '2025-03-03', discrepancy_id, state, deadline_at, noticed_at,
                    rules_version, actor FROM statement_overdue LIMIT 1
                """
            )
        )

    (fault,) = desk.faults()
    assert fault.startswith("statement_overdue: ")
    assert "a statement for that day or a later one counted when it was noticed" in fault


def test_another_bank_does_not_see_it(desk: Desk, books: Engine) -> None:
    desk.job("overdue", TUESDAY, "2025-03-05 12:05")
    seen = {}
    for bank in ("NRB", "SWB", "LCB"):
        with books.begin() as connection:
            connection.execute(text(f"SET LOCAL ROLE {Role.BANK}"))
            connection.execute(text("SELECT set_config('escrow.bank', :bank, true)"), {"bank": bank})
            seen[bank] = connection.execute(text("SELECT count(*) FROM statement_overdue")).scalar_one()

    assert seen == {"NRB": 1, "SWB": 1, "LCB": 0}


DIES_AT_THE_SECOND_ACCOUNT = """
    import os, signal
    from pathlib import Path
    from sqlalchemy import create_engine
    import jobs.overdue
    from entrypoints.bootstrap import job_settings
    from entrypoints.settings import Settings
    from jobs.daily import JOBS
    from jobs.runner import run_job
    from tests.jobs.test_overdue import TUESDAY, shanghai

    real, seen = jobs.overdue.notice_overdue, []

    def die(connection, ref, *arguments, **more):
        seen.append(ref)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(connection, ref, *arguments, **more)

    jobs.overdue.notice_overdue = die
    told = job_settings(Settings(data_folder=Path({folder!r}), books="books"), "system")
    run_job(create_engine({url!r}), JOBS["overdue"], TUESDAY, told, clock=lambda: shanghai("2025-03-05 12:05"))
"""


def test_a_job_killed_half_way_has_named_nobody_and_the_next_names_all(desk: Desk, books_url: str, tmp_path: Path) -> None:
    script = textwrap.dedent(DIES_AT_THE_SECOND_ACCOUNT.format(folder=str(tmp_path), url=books_url))
    killed = subprocess.run(
        [sys.executable, "-c", script], check=False, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    )
    assert killed.returncode == -signal.SIGKILL
    assert desk.missing() == []

    assert desk.job("overdue", TUESDAY, "2025-03-05 12:10")["discrepancies_opened"] == 2
    assert desk.faults() == []


def test_a_bank_is_judged_by_when_its_file_lay_there_not_by_when_it_was_collected(desk: Desk) -> None:
    ref: CustodyAccountRef = desk.refs[CIRCLE]
    inbox = desk.told.inbox / "SWB"
    inbox.mkdir(parents=True)
    nothing = Money(0)
    one = Statement(StatementKind.STATEMENT, CIRCLE, "CNY", "S", "2", nothing, TUESDAY, nothing, TUESDAY, (), True)
    before = datetime.now(BUSINESS_TIME_ZONE)
    (inbox / "a.sta").write_bytes(write_mt940([one]))
    collected = before + timedelta(days=3)
    clock: Callable[[], datetime] = lambda: collected  # noqa: E731 - a clock

    run_job(desk.engine, JOBS["collect"], TUESDAY, desk.told, clock=clock)

    with desk.engine.connect() as connection:
        arrived = came(connection, ref, TUESDAY, TUESDAY)[TUESDAY].at
    assert before - timedelta(seconds=1) <= arrived <= before + timedelta(minutes=5)
    assert start_of_business_date(TUESDAY) < arrived < collected


def test_a_file_that_lay_in_the_folder_by_the_deadline_is_received_before_anybody_is_called_late(desk: Desk) -> None:
    nothing = Money(0)
    one = Statement(StatementKind.STATEMENT, NORTH, "CNY", "S", "2", nothing, TUESDAY, nothing, TUESDAY, (), True)
    folder = desk.told.inbox / desk.refs[NORTH].bank_code
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tuesday.sta").write_bytes(write_mt940([one]))
    found = desk.job("overdue", TUESDAY, "2025-03-05T12:05:00")
    assert found["files_accepted"] == 1
    assert found["statements_overdue"] == [f"{CIRCLE} {TUESDAY}"]
    assert not list(folder.glob("*.sta"))
