"""A closed month takes nothing more, keeps what it reported, and is corrected from an open one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from entrypoints.cli import app
from ledger.corrected import as_first_reported, compare_period
from ledger.model import PostingRefused, RefusalCode
from ledger.period import PeriodRefused, close_period, closed_months, period_events, prepare_reopening, reopen_period
from ledger.store import balance, correct, reverse, trial_balance, verify
from money import Money
from tests.ledger.conftest import DAY, Desk
from tests.ledger.test_posting import CASH, HELD_A, codes

MARCH, AFTER = date(2025, 3, 1), datetime(2025, 4, 2, 3, tzinfo=UTC)
APRIL_DAY = date(2025, 4, 2)
BY: dict[str, Any] = {"now": AFTER, "actor": "zhang", "reason": "month over"}
POSTING: dict[str, Any] = {"now": AFTER, "actor": "zhang", "reason": "wrong amount", "rule_version": "1"}


@pytest.fixture
def closed(desk: Desk) -> Desk:
    """March, with 100 fen on order A, is closed."""
    desk.open_orders("A")
    desk.post(desk.transfer(CASH, HELD_A, 100, "march"))
    close_period(desk.conn, 7, MARCH, **BY)
    return desk


def test_nothing_is_booked_in_a_closed_month_and_everything_in_others(closed: Desk) -> None:
    late = closed.transfer(CASH, HELD_A, 1, "late")
    assert codes(closed.post(late, on_refusal="report")) == [RefusalCode.CLOSED_PERIOD]
    for day in (date(2025, 2, 28), date(2025, 4, 1)):
        assert len(closed.post(closed.transfer(CASH, HELD_A, 1, f"{day}", day=day)).posted) == 1
    # What was posted before the closing still counts as posted when it is delivered again.
    assert len(closed.post(closed.transfer(CASH, HELD_A, 100, "march")).already_posted) == 1
    other = Desk(closed.conn, institution=8, custody_account=80)
    other.open_orders("A")
    assert len(other.post(other.transfer(CASH, HELD_A, 1, "elsewhere")).posted) == 1
    assert closed_months(closed.conn, 7) == [MARCH]


def test_the_database_refuses_it_too(closed: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the decision blind to periods, as a poster of another version would be."""
    monkeypatch.setattr("ledger.known._months", lambda *_: (set(), []))
    with pytest.raises(Exception, match="closed_period"):
        closed.post(closed.transfer(CASH, HELD_A, 1, "late", day=date(2025, 3, 31)))


def test_a_month_closes_once_after_its_end_and_reopens_by_two_people(closed: Desk) -> None:
    conn = closed.conn
    with pytest.raises(PeriodRefused, match="closed already"):
        close_period(conn, 7, MARCH, **BY)
    with pytest.raises(PeriodRefused, match="is not over"):
        close_period(conn, 7, date(2025, 4, 1), **BY)
    with pytest.raises(PeriodRefused, match="nobody has prepared"):
        reopen_period(conn, 7, MARCH, **{**BY, "actor": "li"})
    prepare_reopening(conn, 7, MARCH, **BY)
    assert closed_months(conn, 7) == [MARCH]
    with pytest.raises(PeriodRefused, match="another person"):
        reopen_period(conn, 7, MARCH, **BY)
    reopen_period(conn, 7, MARCH, **{**BY, "actor": "li"})
    assert closed_months(conn, 7) == []
    assert len(closed.post(closed.transfer(CASH, HELD_A, 5, "late")).posted) == 1
    close_period(conn, 7, MARCH, **BY)

    assert [event.event for event in period_events(conn, institution_id=7)] == ["closed", "reopen_prepared", "reopened", "closed"]
    assert {row.kind: row.balance for row in as_first_reported(conn, MARCH, by="kind")} == {
        "custody_cash": Money(100),
        "prepayment_held": Money(100),
    }
    assert verify(conn) == []


@pytest.mark.parametrize(
    ("event", "prepared_by", "rule"),
    [
        ("reopened", "zhang", "ledger_reopening_not_prepared"),
        ("reopened", "li", "ck_period_event_reopener_is_not_preparer"),
        ("closed", None, "ledger_period_closed"),
    ],
)
def test_the_database_holds_the_order_of_events(closed: Desk, event: str, prepared_by: str | None, rule: str) -> None:
    if rule.startswith("ck_"):
        prepare_reopening(closed.conn, 7, MARCH, **{**BY, "actor": "li"})
    with pytest.raises(IntegrityError) as caught:
        closed.conn.execute(
            text(
                "INSERT INTO period_event (institution_id, month, event, actor, prepared_by, reason, event_at)"
                " VALUES (7, '2025-03-01', :event, 'li', :prepared_by, '', now())"
            ),
            {"event": event, "prepared_by": prepared_by},
        )
    assert caught.value.orig.diag.constraint_name == rule  # type: ignore[union-attr]


def test_what_a_month_reported_is_written_by_its_closing_only(closed: Desk) -> None:
    closed.conn.commit()
    for statement in (
        "INSERT INTO period_balance SELECT institution_id, month, event_no, 999, 1 FROM period_event",
        "UPDATE period_balance SET balance_minor_units = 1",
        "DELETE FROM period_balance",
    ):
        with pytest.raises(IntegrityError):
            closed.conn.execute(text(statement))
        closed.conn.rollback()


def test_a_correction_in_an_open_month_counts_for_the_day_it_corrects(closed: Desk) -> None:
    """100 was wrong: 70 is right. April shows the movement; March, as corrected, shows 70 beside the 100 it reported."""
    conn, wrong = closed.conn, closed.transfer(CASH, HELD_A, 100, "march")
    right = closed.transfer(CASH, HELD_A, 70, "march, right", day=APRIL_DAY)
    act = {"booking_date": APRIL_DAY, **POSTING}
    outcome = correct(conn, 7, wrong.transfer_id, [right], **act)
    assert len(outcome.posted) == 2
    assert correct(conn, 7, wrong.transfer_id, [right], **act).already_posted == outcome.posted
    closed.post(closed.transfer(CASH, HELD_A, 9, "april", day=APRIL_DAY))

    held = closed.ids[HELD_A]
    assert (balance(conn, held, as_of=date(2025, 3, 31)), balance(conn, held)) == (Money(100), Money(79))
    (row,) = [row for row in compare_period(conn, MARCH) if row.row.account_id == held]
    assert (row.first_reported, row.as_corrected, row.difference) == (Money(100), Money(70), Money(-30))

    # The correction was wrong as well: undone, March is corrected to nothing at all.
    reverse(conn, 7, [right.transfer_id], **{**act, "booking_date": APRIL_DAY + timedelta(days=1)})
    (row,) = [row for row in compare_period(conn, MARCH) if row.row.account_id == held]
    assert (row.first_reported, row.as_corrected) == (Money(100), Money(0))
    assert sum((r.debit - r.credit).minor_units for r in trial_balance(conn)) == 0
    assert verify(conn) == []


def test_a_correction_is_whole_or_not_at_all(closed: Desk) -> None:
    wrong = closed.transfer(CASH, HELD_A, 100, "march")
    too_much = closed.transfer(HELD_A, CASH, 1, "march, right", day=APRIL_DAY)
    with pytest.raises(PostingRefused, match="below_floor"):
        correct(closed.conn, 7, wrong.transfer_id, [too_much], booking_date=APRIL_DAY, **POSTING)
    with pytest.raises(PostingRefused, match="closed_period"):
        correct(closed.conn, 7, wrong.transfer_id, [], booking_date=DAY, **POSTING)
    assert balance(closed.conn, closed.ids[HELD_A]) == Money(100)


def test_months_close_and_reopen_from_the_command_line(books: Engine, books_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_USER", "")
    with books.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO institution (institution_id, institution_code, name, jurisdiction_code, source_file_sha256, source_line)"
                " OVERRIDING SYSTEM VALUE VALUES (7, '91330106MA27YGH85T', 'n', '330100', '', 1)"
            )
        )
        desk = Desk(conn)
        desk.open_orders("A")
        desk.post(desk.transfer(CASH, HELD_A, 100, "march"))

    def run(user: str, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["--as", user, "ledger", *arguments])

    assert "period.close" in str(run("li.approve", "close-period", "2025-03").exception)
    closed = run("zhang.prepare", "close-period", "2025-03", "--json")
    assert closed.exit_code == 0, closed.exception
    assert json.loads(closed.stdout)["closed"] == [{"institution": "91330106MA27YGH85T", "month": "2025-03", "last_batch": 1}]
    assert json.loads(run("zhang.prepare", "close-period", "2025-03", "--json").stdout) == {"closed": [], "already_closed": 1}
    report = run("auditor.wu", "period", "2025-03", "--json")
    assert report.exit_code == 0
    assert {row["kind"]: row["first_reported"] for row in json.loads(report.stdout)["rows"]} == {
        "custody_cash": "1.00",
        "prepayment_held": "1.00",
    }
    assert run("auditor.wu", "period", "2025-04").exit_code == 1
    one = ("--institution", "91330106MA27YGH85T")
    assert run("zhang.prepare", "reopen-period", "2025-03", *one, "--prepare", "--reason", "line 4").exit_code == 0
    opened = run("li.approve", "reopen-period", "2025-03", *one, "--approve")
    assert opened.exit_code == 0, opened.exception
    with books.connect() as conn:
        assert closed_months(conn, 7) == []
