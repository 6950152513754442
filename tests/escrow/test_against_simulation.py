"""The simulation works out by its own arithmetic what the rules make due; escrow must come to the same, fen by fen."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from config.calendars import load_calendar
from config.profiles import load_profiles
from escrow import handlers
from money import format_minor_units
from simulation.district import simulate
from simulation.terms import default_terms
from simulation.writing import write_district


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("seed", [7])
def test_releases_refunds_and_disbursements_are_those_of_the_simulations_own_arithmetic(district, tmp_path, seed):
    made = simulate(seed=seed, institutions=3, orders=70, days=13, terms=default_terms(load_calendar()), defects="none")
    write_district(made, tmp_path, {profile.id: profile for profile in load_profiles()})
    inputs, key = tmp_path / "inputs", tmp_path / "answer-key"
    arrived: dict[str, list[str]] = {}
    for row in _rows(key / "expected_matches.csv"):
        if row["purpose"] in ("order", "settlement"):
            arrived.setdefault(row["readable_on"], []).extend(row["book_references"].split("|"))

    assert district.import_institutions((inputs / "institutions.csv").read_bytes()).all_taken
    days = sorted({date.fromisoformat(path.stem) for path in (inputs / "orders").glob("*.csv")})
    day, last = days[0], date.fromisoformat(max(row["date"] for row in _rows(key / "expected_balances.csv")))
    while day <= last:
        _live_one_day(district, inputs, day, arrived.get(day.isoformat(), []))
        day += timedelta(days=1)

    assert _releases(district) == _expected(key / "expected_releases.csv", "released_on")
    assert _refunds(district) == _expected(key / "expected_refunds.csv", "approved_on", drop=("instructed_on", "executed_on"))
    assert _disbursements(district) == _expected(key / "expected_disbursements.csv", "instructed_on", drop=("executed_on",))
    assert len(_releases(district)) > 50


def _live_one_day(district: Any, inputs: Path, day: date, order_ids: list[str]) -> None:
    district.now = datetime.combine(day, time(15, 0), UTC)
    for folder, act in (
        ("orders", district.import_orders),
        ("class-hours", district.import_class_hours),
        (
            "refund-requests",
            lambda data: handlers.import_refund_requests(district.conn, data, "r", now=district.now, actor="platform"),
        ),
    ):
        path = inputs / folder / f"{day}.csv"
        if path.exists():
            report = act(path.read_bytes())
            assert report.all_taken, report.findings
    if order_ids:
        district.bank_shows(*order_ids, on=day.isoformat())
    district.deemed(day.isoformat())
    district.released(day.isoformat())
    district.refunded(day.isoformat())
    district.instructed(day.isoformat())


def _expected(path: Path, day_column: str, drop: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    rows = _rows(path)
    assert all(row[day_column] for row in rows)
    return {tuple(value for name, value in row.items() if name not in drop) for row in rows}


def _told(district: Any, query: str) -> set[tuple[str, ...]]:
    return {
        tuple(format_minor_units(value) if name == "amount" else str(value) for name, value in row._mapping.items())
        for row in district.conn.execute(text(query))
    }


def _releases(district: Any) -> set[tuple[str, ...]]:
    return _told(
        district,
        """SELECT institution_code, order_id, class_hour_no, instalment_no, amount_minor_units AS amount, released_on, basis
        FROM release JOIN institution USING (institution_id)""",
    )


def _refunds(district: Any) -> set[tuple[str, ...]]:
    return _told(
        district,
        """SELECT institution_code, refund_request_id, order_id, amount_minor_units AS amount, approved_on, basis
        FROM refund JOIN institution USING (institution_id) WHERE amount_minor_units > 0""",
    )


def _disbursements(district: Any) -> set[tuple[str, ...]]:
    return _told(
        district,
        """SELECT institution_code, instruction_id, account_number, amount_minor_units AS amount, instruction_date
        FROM disbursement_instruction JOIN custody_account USING (institution_id, custody_account_id)
        JOIN institution USING (institution_id)""",
    )
