"""A statement for a day that was skipped comes after the next one counts: it counts when it fits between its neighbours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bank_adapters.model import Direction, Statement
from bank_adapters.writing.camt053 import write_camt053
from bank_adapters.writing.mt940 import write_mt940
from money import Money
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.discrepancy_store import condition_id
from reconciliation.intake import Link, judge_late
from reconciliation.model import Gate, Receipt
from reconciliation.quarantine import QuarantineRefused
from reconciliation.resolving import Actor
from reconciliation.run_store import counted_statements
from reconciliation.sign_off import approve_sign_off, prepare_sign_off, sign_off_of, what_stands_against
from reconciliation.verification import verify
from tests.reconciliation.conftest import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT


def outcome(town: Town, one: Statement, name: str) -> tuple[str, str | None, str]:
    """What became of a statement: outcome, kind of discrepancy, the reasons in English."""
    (receipt,) = deliver(town, one, name).statements
    return str(receipt.outcome), receipt.kind, "; ".join(reason.en for reason in receipt.reasons)


def deliver(town: Town, one: Statement, name: str) -> Receipt:
    """In MT940, which always has a number, or in camt.053 without one."""
    data = write_mt940([one]) if one.sequence else write_camt053([one], town.now())
    return town.deliver_bytes(data, name)


def unnumbered(one: Statement) -> Statement:
    return replace(one, sequence=None)


def faults(town: Town) -> list[str]:
    with town.engine.connect() as conn:
        return [f"{one.table}: {one.what}" for one in verify(conn)]


def state_of(town: Town, kind: DiscrepancyKind, day: object) -> str:
    identity = condition_id(kind, town.ref, str(day))
    rows = town.query(f"SELECT state FROM discrepancy_state WHERE discrepancy_id = '{identity}'")
    return str(rows[0][0]) if rows else "never opened"


@pytest.fixture
def skipped(town: Town) -> Town:
    """Monday counts with 500; Tuesday was skipped and found missing; Wednesday counts with the next balance. No numbers."""
    deliver(town, unnumbered(town.statement(MONDAY, (IN, 500, ""))), "monday.sta")
    town.reconcile(MONDAY)
    town.reconcile(TUESDAY)
    assert state_of(town, DiscrepancyKind.STATEMENT_MISSING, TUESDAY) == "open"
    deliver(town, unnumbered(town.statement(WEDNESDAY, (IN, 70, ""))), "wednesday.sta")
    town.reconcile(WEDNESDAY)
    assert state_of(town, DiscrepancyKind.STATEMENT_MISSING, TUESDAY) == "cleared", "Wednesday continues the balance"
    return town


def test_a_day_without_movements_is_told_late_and_counts(skipped: Town) -> None:
    town = skipped
    late = unnumbered(town.restate(TUESDAY, opening=500, sequence=2))

    assert outcome(town, late, "tuesday.sta") == ("counted", None, "")

    assert town.query("SELECT business_date, link FROM statement_in_force ORDER BY business_date") == [
        (MONDAY, 1), (TUESDAY, 3), (WEDNESDAY, 2),
    ]  # fmt: skip
    assert outcome(town, late, "again.sta")[0] == "duplicate"
    with town.engine.connect() as conn:
        assert [one.business_date for one in counted_statements(conn, town.ref, FRIDAY, newest=3)] == [WEDNESDAY, TUESDAY, MONDAY]
    deliver(town, unnumbered(town.statement(THURSDAY, (IN, 1, ""))), "thursday.sta")
    assert town.query("SELECT max(business_date), max(link) FROM statement_in_force") == [(THURSDAY, 4)], "the chain goes on"
    assert faults(town) == []


def test_what_moved_on_the_late_day_counts_and_its_days_are_reconciled_again(skipped: Town) -> None:
    town = skipped
    town.order("ORD20250001", 900, TUESDAY)
    late = unnumbered(town.restate(TUESDAY, (IN, 900, "ORD20250001"), (OUT, 900, "BACK"), opening=500, sequence=2))

    def against(day: object) -> str:
        with town.engine.connect() as conn:
            told = what_stands_against(conn, town.ref, day, calendar=town.calendar, now=town.now())  # type: ignore[arg-type]
            return "; ".join(said.en for said in told)

    assert outcome(town, late, "tuesday.sta")[0] == "counted"
    assert "data came after the last run of 2025-03-04" in against(TUESDAY)
    assert "data came after the last run of 2025-03-05" in against(WEDNESDAY), "later days rest on it"

    matched = town.reconcile(TUESDAY)
    town.reconcile(WEDNESDAY)

    assert (matched.statement_received, matched.matches) == (True, 1)
    assert "data came after the last run" not in against(TUESDAY) + against(WEDNESDAY)
    assert faults(town) == []


def test_a_signed_off_day_is_open_again_when_its_late_statement_comes(town: Town) -> None:
    for day in (MONDAY, WEDNESDAY):
        deliver(town, unnumbered(town.statement(day)), f"{day}.sta")
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        town.reconcile(day)
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        with town.engine.begin() as conn:
            by = Actor("zhang.prepare", "supervisor")
            prepare_sign_off(conn, town.ref, day, by=by, calendar=town.calendar, now=town.now())
        with town.engine.begin() as conn:
            approve_sign_off(conn, town.ref, day, by=Actor("li.approve", "approver"), calendar=town.calendar, now=town.now())

    assert outcome(town, unnumbered(town.restate(TUESDAY, opening=0, sequence=2)), "tuesday.sta")[0] == "counted"

    with town.engine.connect() as conn:
        assert [sign_off_of(conn, town.ref, day).state for day in (MONDAY, TUESDAY, WEDNESDAY)] == ["signed_off", "open", "open"]


@pytest.mark.parametrize(
    ("lines", "opening", "says"),
    [
        (((IN, 7, ""),), 500, "and closes with 5.07; ask the bank which is right"),
        (((IN, 1, ""),), 499, "opens with 4.99, where the balance was 5.00"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_neighbour_it_contradicts(
    skipped: Town, lines: tuple[tuple[Direction, int, str], ...], opening: int, says: str
) -> None:
    late = unnumbered(skipped.restate(TUESDAY, *lines, opening=opening, sequence=2))

    what, kind, why = outcome(skipped, late, "tuesday.sta")

    assert (what, kind) == ("refused", "RESTATED")
    assert "it comes after the statement for 2025-03-05" in why
    assert says in why
    assert skipped.query("SELECT count(*) FROM statement_counted") == [(2,)]
    assert skipped.query("SELECT state FROM discrepancy_state WHERE kind = 'RESTATED'") == [("open",)]

    right = unnumbered(skipped.restate(TUESDAY, opening=500, sequence=2))
    assert outcome(skipped, right, "right.sta")[0] == "counted"
    assert skipped.query("SELECT state FROM discrepancy_state WHERE kind = 'RESTATED'") == [("cleared",)]
    assert faults(skipped) == []


def test_a_number_between_those_of_its_neighbours_fits_and_any_other_waits_for_two_people(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")), name="1.sta")
    town.sequence = 4  # number 2 to 4 were never used, as two people then say
    wednesday = town.statement(WEDNESDAY, (IN, 70, ""))
    (held,) = town.deliver(wednesday, name="5.sta").statements
    assert held.quarantine_id is not None
    town.release(held.quarantine_id, gates=[Gate.SEQUENCE])
    assert town.query("SELECT count(*) FROM statement_counted") == [(2,)]

    what, kind, why = outcome(town, town.restate(TUESDAY, opening=500, sequence=9), "tuesday.sta")
    assert (what, kind) == ("quarantined", "STATEMENT_GAP")
    assert "its number 9 does not fit between theirs (1 - 5)" in why
    number = town.query("SELECT max(quarantine_id) FROM quarantined_statement")[0][0]
    assert isinstance(number, int)
    town.release(number, gates=[Gate.SEQUENCE])
    assert town.query("SELECT business_date, link FROM statement_counted ORDER BY link DESC LIMIT 1") == [(TUESDAY, 3)]
    assert state_of(town, DiscrepancyKind.STATEMENT_GAP, TUESDAY) == "cleared"
    assert faults(town) == []


def test_a_late_number_inside_the_gap_closes_the_gap_named_for_the_later_day(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")), name="1.sta")
    town.sequence = 2
    (held,) = town.deliver(town.statement(WEDNESDAY, (IN, 70, "")), name="3.sta").statements
    assert held.quarantine_id is not None
    town.release(held.quarantine_id, gates=[Gate.SEQUENCE])

    assert outcome(town, town.restate(TUESDAY, opening=500, sequence=2), "2.sta")[0] == "counted"

    assert state_of(town, DiscrepancyKind.STATEMENT_GAP, WEDNESDAY) == "cleared"
    assert faults(town) == []


def test_lines_the_next_statement_has_reported_do_not_count_twice(town: Town) -> None:
    deliver(town, unnumbered(town.statement(MONDAY, (IN, 500, ""))), "1.sta")
    late = unnumbered(town.restate(TUESDAY, (IN, 90, "X"), (OUT, 90, "Y"), opening=500, sequence=2))
    both = replace(unnumbered(town.statement(WEDNESDAY)), lines=late.lines)
    assert outcome(town, both, "3.sta")[0] == "counted"

    what, kind, why = outcome(town, late, "2.sta")

    assert (what, kind) == ("duplicate", "DUPLICATE_FILE")
    assert why == "all its 2 lines were reported before (file 2), line by line; nothing counts twice"
    assert faults(town) == []


def test_a_late_statement_of_which_only_some_lines_were_reported_is_refused(town: Town) -> None:
    deliver(town, unnumbered(town.statement(MONDAY, (IN, 500, ""))), "1.sta")
    late = unnumbered(town.restate(TUESDAY, (IN, 90, "X"), (OUT, 90, "Y"), opening=500, sequence=2))
    some = replace(unnumbered(town.statement(WEDNESDAY)), lines=late.lines[:1], closing_balance=Money(590))
    assert outcome(town, some, "3.sta")[0] == "counted"

    what, kind, why = outcome(town, late, "2.sta")

    assert (what, kind) == ("refused", "RESTATED")
    assert "1 of its lines were reported by the statement for 2025-03-05 already" in why


def test_the_days_around_a_late_one_are_restated_against_it(skipped: Town) -> None:
    town = skipped
    deliver(town, unnumbered(town.restate(TUESDAY, opening=500, sequence=2)), "tuesday.sta")
    other = unnumbered(town.restate(TUESDAY, (IN, 5, ""), opening=500, sequence=2))
    (held,) = deliver(town, other, "tuesday-2.sta").statements
    assert (str(held.outcome), held.kind) == ("quarantined", "RESTATED")
    assert held.quarantine_id is not None

    with pytest.raises(QuarantineRefused, match="2025-03-05"):
        town.release(held.quarantine_id, gates=[Gate.RESTATED])


def test_the_database_itself_lets_nothing_count_that_does_not_meet_its_neighbours(skipped: Town) -> None:
    town = skipped
    deliver(town, unnumbered(town.restate(TUESDAY, (IN, 7, ""), opening=500, sequence=2)), "refused.sta")
    with town.engine.begin() as conn:
        conn.execute(
            text(
                """
                INSERT INTO statement (institution_id, custody_account_id, statement_file_id, position_in_file, business_date,
                    currency, opening_minor_units, closing_minor_units, line_count, in_minor_units, out_minor_units)
                SELECT institution_id, custody_account_id, statement_file_id, 9, DATE '2025-03-04', currency, 500, 507, 0, 7, 0
                FROM statement LIMIT 1
                """
            )
        )
    counting = """
        INSERT INTO statement_counted (institution_id, statement_id, custody_account_id, business_date, link, previous_link)
        SELECT institution_id, statement_id, custody_account_id, business_date, 3, 2 FROM statement WHERE position_in_file = 9
    """
    with (
        town.engine.begin() as conn,
        pytest.raises(DBAPIError, match="opens with 500 and closes with 507, beside it stand 500 and"),
    ):
        conn.execute(text(counting))


UNITS = st.integers(-10_000, 10_000)


@given(UNITS, UNITS, UNITS, UNITS, st.booleans())
def test_a_late_statement_fits_exactly_when_both_its_balances_meet(
    before: int, opening: int, closing: int, after: int, first: bool
) -> None:
    previous = None if first else Link(MONDAY, None, 0, before)
    one, following = Link(TUESDAY, None, opening, closing), Link(WEDNESDAY, None, after, 0)

    fits = judge_late(previous, one, following, currency="CNY") is None

    assert fits == (opening == (after if first else before) and closing == after)


@given(UNITS, st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_its_number_lies_between_theirs(balance: int, before: int, number: int, after: int) -> None:
    links = [Link(day, str(n), balance, balance) for day, n in ((MONDAY, before), (TUESDAY, number), (WEDNESDAY, after))]
    fault = judge_late(*links, currency="CNY")

    assert (fault is None) == (before < number < after)
    assert fault is None or fault.kind is DiscrepancyKind.STATEMENT_GAP
    assert judge_late(*links, currency="CNY", number_explained=True) is None
