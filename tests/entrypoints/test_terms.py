"""A person with a term acts and reads within it, to the day; what is tried outside it is refused and written down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from typer.testing import CliRunner, Result

import entrypoints.clock
from config.loading import ConfigRefused
from config.roles import load_roster
from entrypoints.acting import reading_session
from entrypoints.cli import app
from storage.engine import DatabaseSettings, engine_as
from storage.roles import Role, Session
from supervision.rights import OutsideTerm, Principal, require_term
from tests.escrow.conftest import District

WU = replace(load_roster().principal("auditor.wu"), first_day=date(2026, 4, 1), last_day=date(2026, 6, 30))


@pytest.mark.parametrize(
    ("today", "refused"),
    [
        ("2026-03-31", "may act from 2026-04-01 on"),
        ("2026-04-01", ""),
        ("2026-06-30", ""),
        ("2026-07-01", "could act through 2026-06-30"),
    ],
)
def test_both_days_of_a_term_are_within_it(today: str, refused: str) -> None:
    if not refused:
        require_term(WU, date.fromisoformat(today))
        return
    with pytest.raises(OutsideTerm, match=refused):
        require_term(WU, date.fromisoformat(today))


def test_who_has_no_term_acts_at_any_time() -> None:
    require_term(load_roster().principal("zhang.prepare"), date(1999, 1, 1))


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("{role: auditor, from: 2026-01-01}", "users.wu.until: is missing; an auditor looks for a time"),
        ("{role: auditor, until: 2026-01-01}", "users.wu.from: is missing; an auditor looks for a time"),
        ("{role: auditor, from: 2026-01-02, until: 2026-01-01}", "2026-01-01 lies before 2026-01-02"),
        ("{role: supervisor, until: tomorrow}", "users.wu.until"),
    ],
)
def test_an_auditor_without_a_term_is_no_setting(tmp_path: Path, user: str, said: str) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(f"roles:\n  auditor: [ledger.read]\n  supervisor: [ledger.read]\nusers:\n  wu: {user}\n", encoding="utf-8")

    with pytest.raises(ConfigRefused, match=said):
        load_roster(file)


def test_the_auditor_shipped_has_a_term() -> None:
    shipped = load_roster().principal("auditor.wu")

    assert shipped.first_day is not None
    assert shipped.last_day is not None


@pytest.fixture
def told(connection: Connection) -> Connection:
    district = District(connection)
    district.found(1, jurisdiction="330100")
    district.paid("ORD1")
    connection.commit()
    return connection


def _tried(engine: Engine, at: datetime, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("ESCROW_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setattr(entrypoints.clock, "utc_now", lambda: at)
    return CliRunner().invoke(app, ["--as", "auditor.wu", "ledger", "trial-balance", "--json"])


#: The last instant of 2030-12-31 in Shanghai, and the first after it.
@pytest.mark.parametrize(
    ("at", "ends"),
    [
        (datetime(2024, 12, 31, 15, 59, 59, tzinfo=UTC), 1),
        (datetime(2024, 12, 31, 16, 0, tzinfo=UTC), 0),
        (datetime(2030, 12, 31, 15, 59, 59, tzinfo=UTC), 0),
        (datetime(2030, 12, 31, 16, 0, tzinfo=UTC), 1),
    ],
)
def test_an_auditor_is_refused_outside_the_term_and_that_is_written_down(
    books: Engine, told: Connection, monkeypatch: pytest.MonkeyPatch, at: datetime, ends: int
) -> None:
    # The database has its own clock, which stands where it does; what it refuses is tried below.
    shipped = load_roster().principal("auditor.wu")
    monkeypatch.setattr("entrypoints.acting.reading_session", lambda _: Session(Role.AUDITOR, ("*",)))
    tried = _tried(books, at, monkeypatch)

    assert tried.exit_code == ends, (tried.output, tried.exception)
    written = told.execute(
        text("SELECT actor, role, act, details->>'why' AS why FROM audit_event WHERE act LIKE 'cli:access:%'")
    ).all()
    if not ends:
        assert written == []
        return
    assert isinstance(tried.exception, OutsideTerm)
    assert [(row.actor, row.role, row.act) for row in written] == [("auditor.wu", "auditor", "cli:access:refused")]
    assert written[0].why == str(tried.exception)
    assert str(shipped.first_day if at.year < 2026 else shipped.last_day) in written[0].why


def _session_of(principal: Principal, books: Engine) -> Iterator[Connection]:
    settings = DatabaseSettings(Path("/nonexistent"), url=books.url.render_as_string(hide_password=False))
    with engine_as(books, settings, reading_session(principal)) as engine, engine.connect() as connection:
        yield connection


@pytest.mark.parametrize(
    ("first", "last", "seen"),
    [("2020-01-01", "2099-12-31", 1), ("2020-01-01", "2020-12-31", 0), ("2099-01-01", "2099-12-31", 0)],
)
@pytest.mark.parametrize("user", ["auditor.wu", "wang.hangzhou", "bank.north"])
def test_the_database_shows_nothing_outside_the_term_of_a_session(
    books: Engine, told: Connection, user: str, first: str, last: str, seen: int
) -> None:
    """The second fence: also for a session that was opened in time and stayed open."""
    bank = told.execute(text("SELECT bank_code FROM custody_account")).scalar_one()
    one = load_roster().principal(user)
    term = {"first_day": date.fromisoformat(first), "last_day": date.fromisoformat(last)}
    for connection in _session_of(replace(one, bank_code=bank if one.bank_code else None, **term), books):
        assert len(connection.execute(text("SELECT FROM custody_account")).all()) == seen
        assert len(connection.execute(text("SELECT FROM institution")).all()) == seen


def test_the_term_of_a_session_begins_and_ends_at_midnight_in_shanghai() -> None:
    session = reading_session(WU)

    assert session.starts == datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    assert session.ends == datetime(2026, 6, 30, 16, 0, tzinfo=UTC)


def test_the_instant_a_term_ends_at_is_outside_it(connection: Connection) -> None:
    connection.execute(text("SELECT set_config('escrow.from', statement_timestamp()::text, true)"))
    within = text("SELECT within_term()")
    assert connection.execute(within).scalar_one()
    connection.execute(text("SELECT set_config('escrow.until', statement_timestamp()::text, true)"))
    assert not connection.execute(within).scalar_one()
