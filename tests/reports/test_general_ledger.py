"""The general ledger adds up: against the postings, from period to period, as of a date and as it was known."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from ledger.model import Side
from ledger.reading import balance
from reports.general_ledger import GeneralLedgerLine, Period, general_ledger
from reports.journal import whole_journal
from tests.ledger.conftest import DAY, NOW, Desk


@pytest.fixture
def told(connection: Connection) -> Desk:
    """Two institutions; postings over three months, one of them booked back, posted on two days."""
    desk = Desk(connection)
    desk.story()
    other = Desk(connection, institution=8, custody_account=80)
    for number, day in enumerate((date(2025, 1, 31), date(2025, 3, 4), date(2025, 3, 31), date(2025, 4, 1))):
        for at in (desk, other):
            paid, item = at.paid(f"late {number}", 1_000 + number, day=day)
            at.post(paid, open_items=[item], now=NOW + timedelta(days=number))
    return desk


def lines(desk: Desk, **asked: object) -> list[GeneralLedgerLine]:
    return list(general_ledger(desk.conn, **asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("period", ["day", "month", "quarter", "year", "whole"])
@pytest.mark.parametrize("known", [False, True])
def test_every_period_opens_as_the_one_before_closed_and_equals_the_journal(told: Desk, period: Period, known: bool) -> None:
    recorded = told.conn.execute(text("SELECT recorded_at FROM posting_batch WHERE institution_id = 7 ORDER BY batch_id"))
    known_at = recorded.scalars().all()[3] if known else None
    moved: dict[int, list[tuple[date, int]]] = defaultdict(list)
    for line in whole_journal(told.conn, known_at=known_at):
        moved[line.debit_account_id].append((line.booking_date, line.amount.minor_units))
        moved[line.credit_account_id].append((line.booking_date, -line.amount.minor_units))
    found: dict[int, list[GeneralLedgerLine]] = defaultdict(list)
    for one in lines(told, period=period, known_at=known_at):
        found[one.account_id].append(one)

    assert found.keys() == moved.keys()
    for account, periods in found.items():
        opening = 0
        for one in periods:
            inside = [units for day, units in moved[account] if one.first <= day <= one.last]
            sign = 1 if one.normal_side is Side.DEBIT else -1
            assert one.opening.minor_units == opening
            assert one.debits.minor_units == sum(units for units in inside if units > 0)
            assert one.credits.minor_units == -sum(units for units in inside if units < 0)
            opening += sign * sum(inside)
            assert one.closing.minor_units == opening
        assert opening == abs(opening)
        assert sum(len([1 for day, _ in moved[account] if one.first <= day <= one.last]) for one in periods) == len(
            moved[account]
        )


@given(first=st.integers(-40, 40), length=st.integers(0, 90), period=st.sampled_from(["day", "month", "quarter", "whole"]))
@settings(max_examples=60)
def test_any_range_opens_and_closes_with_the_balances_of_those_days(told: Desk, first: int, length: int, period: Period) -> None:
    from_ = DAY + timedelta(days=first)
    to = from_ + timedelta(days=length)
    seen: dict[int, list[GeneralLedgerLine]] = defaultdict(list)
    for one in lines(told, from_=from_, to=to, period=period):
        assert from_ <= one.first <= one.last <= to
        seen[one.account_id].append(one)
    for account, periods in seen.items():
        assert periods[0].opening == balance(told.conn, account, from_ - timedelta(days=1))
        assert periods[-1].closing == balance(told.conn, account, to)
        assert all(one.closing == next_one.opening for one, next_one in pairwise(periods))
    for account in told.ids.values():
        assert account in seen or not balance(told.conn, account, to)


def test_debits_equal_credits_in_every_month(told: Desk) -> None:
    sums: dict[date, int] = defaultdict(int)
    for one in lines(told):
        sums[one.first] += one.debits.minor_units - one.credits.minor_units
    assert len(sums) == 3
    assert set(sums.values()) == {0}


def test_only_the_institutions_and_kinds_asked_for_are_shown(told: Desk) -> None:
    assert {one.institution_id for one in lines(told, institution_ids=(8,))} == {8}
    assert lines(told, institution_ids=()) == []
    assert {one.kind for one in lines(told, kind="prepayment_held")} == {"prepayment_held"}
    assert {one.custody_account_id for one in lines(told, custody_account_id=80)} == {80}
