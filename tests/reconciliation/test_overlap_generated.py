"""Any true chain of lines, cut into overlapping exports that come in any order: each line counts once; a false export never counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from bank_adapters.model import Statement, StatementFileReading
from money import Money
from reconciliation import intake_store
from reconciliation.model import StatementOutcome, StatementReceipt
from reconciliation.taking import Taking
from reconciliation.verification import verify
from tests.reconciliation.conftest import BANK, MONDAY, Town
from tests.reconciliation.test_overlap import Bank, fact_of

pytestmark = pytest.mark.usefixtures("books")
#: Each example is one transaction that is taken back, so the town stays as it was.
ONE_TOWN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: An export: from place to place in the truth, as of a day.
Span = tuple[int, int, date]


class Desk:
    """Takes in statements as they are read, all in one transaction; no worker, no bytes."""

    def __init__(self, conn: Connection, town: Town) -> None:
        self.conn, self.town, self.files = conn, town, 0

    def take(self, one: Statement, profile: str = "test") -> StatementReceipt:
        self.files += 1
        now = self.town.now()
        stored = intake_store.store_file(
            self.conn, str(self.files).encode(), f"{self.files}.csv", sender_bank=BANK, now=now, actor="bank"
        )
        reading = StatementFileReading("test", profile, None, True, (one,))
        taking = Taking(self.conn, BANK, {(BANK, self.town.ref.account_number): self.town.ref}, now, "bank")
        receipt = taking.take(stored.statement_file_id, 0, one, reading)
        intake_store.store_reading(
            self.conn, stored.statement_file_id, reading, digest=None, same_content_as=None, accepted=True, statements=[receipt]
        )
        return receipt

    def counted(self) -> Counter[tuple[object, ...]]:
        rows = self.conn.execute(
            text(
                "SELECT booking_date, CASE direction WHEN 'IN' THEN amount_minor_units ELSE -amount_minor_units END,"
                " coalesce(bank_reference, '~' || description) FROM line_in_force"
            )
        )
        return Counter(tuple(row) for row in rows)

    def closing(self) -> int:
        last = intake_store.last_counted(self.conn, self.town.ref)
        return last[1].closing if last else 0

    def faults(self) -> list[str]:
        # Audit events belong to the act around what is taken in here.
        return [f"{one.table}: {one.row}: {one.what}" for one in verify(self.conn) if "statement_file" not in one.table]


def facts(bank: Bank, end: int) -> Counter[tuple[object, ...]]:
    return Counter(bank.fact(place) for place in range(end))


#: Movements: days after the one before, fen, and a name; few names, so that twins are many.
MOVEMENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 1, 2]), st.integers(-3, 5).filter(bool), st.sampled_from(["~fee", "~rent", "own", "own"])
    ),
    min_size=1,
    max_size=10,
)


def bank_of(movements: list[tuple[int, int, str]]) -> Bank:
    day, told = MONDAY, []
    for number, (after, units, name) in enumerate(movements):
        day += timedelta(days=after)
        told.append((day, units, f"R{number}" if name == "own" else name))
    return Bank(told)


@st.composite
def exports(draw: st.DrawFn, *, whole_days: bool, distinct: bool) -> tuple[Bank, list[Span]]:
    """A bank and exports of it, some of them twice, in any order. ``whole_days``: they begin and end with a day."""
    bank = bank_of(draw(MOVEMENTS))
    size = len(bank.truth)
    if distinct:
        assume(len({bank.balance(place) for place in range(size + 1)}) == size + 1)
    begins = [place for place in range(size) if place == 0 or bank.day(place) != bank.day(place - 1)]
    ends = [*(place for place in begins if place), size] if whole_days else list(range(1, size + 1))
    starts = begins if whole_days else list(range(size))
    found = []
    for _ in range(draw(st.integers(1, 6))):
        start, end = draw(st.sampled_from(starts)), draw(st.sampled_from(ends))
        if start < end:
            later = draw(st.integers(0, 1)) if end in begins or end == size else 0
            day = bank.day(end - 1) + timedelta(days=later)
            free = end == size or day < bank.day(end)
            found.append((start, end, day if free else bank.day(end - 1)))
    return bank, found


@ONE_TOWN
@given(exports(whole_days=True, distinct=True))
def test_exports_of_whole_days_in_any_order_count_every_line_once(town: Town, given_: tuple[Bank, list[Span]]) -> None:
    bank, some = given_
    with town.engine.connect() as conn:
        desk = Desk(conn, town)
        for one in some:
            desk.take(bank.export(*one))
            assert desk.counted() == facts(bank, bank.place_of(desk.closing())), "a true beginning, each line once"
        reached = bank.place_of(desk.closing())
        assert reached == _reachable(some)
        last = desk.take(bank.export(0, len(bank.truth), bank.day(-1) + timedelta(days=9)))
        assert last.outcome is StatementOutcome.COUNTED, last.reasons
        assert desk.counted() == facts(bank, len(bank.truth))
        assert intake_store.waiting_statements(conn, town.ref) == [], "what waited is absorbed"
        assert desk.faults() == []
        conn.rollback()


def _reachable(some: list[Span]) -> int:
    """How far the exports lead from the beginning, each joined to what is reached; a place in the truth."""
    reached = 0
    while (further := max((end for start, end, _ in some if start <= reached), default=0)) > reached:
        reached = further
    return reached


@ONE_TOWN
@given(exports(whole_days=False, distinct=True))
def test_exports_cut_anywhere_never_count_anything_but_a_true_beginning(town: Town, given_: tuple[Bank, list[Span]]) -> None:
    bank, some = given_
    with town.engine.connect() as conn:
        desk = Desk(conn, town)
        for one in [*some, *some]:
            desk.take(bank.export(*one))
            assert desk.counted() == facts(bank, bank.place_of(desk.closing()))
        desk.take(bank.export(0, len(bank.truth), bank.day(-1) + timedelta(days=9)))
        assert desk.counted() == facts(bank, len(bank.truth))
        assert desk.faults() == []
        conn.rollback()


@ONE_TOWN
@given(exports(whole_days=False, distinct=False))
def test_where_balances_return_to_what_they_were_nothing_counts_twice(town: Town, given_: tuple[Bank, list[Span]]) -> None:
    bank, some = given_
    with town.engine.connect() as conn:
        desk = Desk(conn, town)
        for one in [*some, *some]:
            desk.take(bank.export(*one))
            assert desk.counted() <= facts(bank, len(bank.truth)), "no line more often than it is true"
        assert desk.faults() == []
        conn.rollback()


@st.composite
def false_exports(draw: st.DrawFn) -> tuple[Bank, int, Statement]:
    """A bank, how much of it counts, and an export over that with one line of a closed day left out, changed or added."""
    bank = bank_of(draw(MOVEMENTS.filter(lambda told: len(told) > 2)))
    size = len(bank.truth)
    assume(len({bank.balance(place) for place in range(size + 1)}) == size + 1)
    known = draw(st.integers(2, size))
    start = draw(st.integers(0, known - 1))
    begins = start == 0 or bank.day(start) != bank.day(start - 1)
    assume(begins)
    export = bank.export(start, size, bank.day(-1) + timedelta(days=3))
    lines = list(export.lines)
    at = draw(st.integers(0, known - 1 - start))
    damage = draw(st.sampled_from(["left out", "another amount", "another reference", "another day", "added"]))
    line = lines[at]
    assert line.booking_date is not None
    if damage == "left out":
        del lines[at]
    elif damage == "another amount":
        lines[at] = replace(line, amount=Money(line.amount.minor_units + draw(st.integers(1, 9))))
    elif damage == "another reference":
        lines[at] = replace(line, bank_reference="OTHER")
    elif damage == "another day":
        lines[at] = replace(line, booking_date=line.booking_date + timedelta(days=draw(st.sampled_from([-1, 1]))))
    else:
        assume(line.booking_date < bank.day(known - 1))
        lines.insert(at, replace(line, bank_reference="NEVER SAID"))
    else_said = Counter(map(fact_of, lines))
    assume(damage == "added" or not Counter(bank.fact(place) for place in range(start, known)) <= else_said)  # a twin stands in
    moved = sum(one.amount.minor_units if one.direction == "IN" else -one.amount.minor_units for one in lines)
    return bank, known, replace(export, lines=tuple(lines), closing_balance=Money(bank.balance(start) + moved))


@ONE_TOWN
@given(false_exports())
def test_an_export_that_tells_a_closed_day_otherwise_never_counts(town: Town, given_: tuple[Bank, int, Statement]) -> None:
    bank, known, false = given_
    with town.engine.connect() as conn:
        desk = Desk(conn, town)
        desk.take(bank.export(0, known, bank.day(known - 1)))
        assert desk.counted() == facts(bank, known)

        receipt = desk.take(false)

        assert receipt.outcome in (StatementOutcome.REFUSED, StatementOutcome.QUARANTINED), receipt
        assert desk.counted() == facts(bank, known)
        right = desk.take(bank.export(0, len(bank.truth), bank.day(-1) + timedelta(days=3)))
        assert right.outcome is StatementOutcome.COUNTED, right.reasons
        assert desk.counted() == facts(bank, len(bank.truth))
        states = conn.execute(text("SELECT kind, state FROM discrepancy_state WHERE kind <> 'DUPLICATE_FILE'")).all()
        assert {state for _, state in states} == {"cleared"}, states
        conn.rollback()
