"""Coverage as known at an instant is what was answered at that instant, whatever came later."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, datetime

import pytest
from sqlalchemy import text

from bank_adapters.model import Direction
from reconciliation.discrepancy import ACTS_BY_KIND, Act, DiscrepancyState
from reconciliation.discrepancy_store import find_record, records
from reconciliation.resolving import Actor, approve_resolution, prepare_resolution, reject_resolution
from reports.coverage import CoverageRow, coverage
from tests.reconciliation.conftest import FRIDAY, MONDAY, TUESDAY, WEDNESDAY, Town, town

__all__ = ["town"]

#: The last is so far from the first that what was due then has come late.
DAYS = (MONDAY, TUESDAY, WEDNESDAY, date(2025, 3, 11))
#: Business days that are asked about after every step.
ASKED = (TUESDAY, FRIDAY, DAYS[-1])
#: What people may do without naming an item.
ACTS = (Act.POST_TO_SUSPENSE, Act.ACCEPT_LATE, Act.EXPLAIN)
ZHANG, LI = Actor("zhang.prepare", "supervisor"), Actor("li.approve", "approver")


def answers(town: Town, known_at: datetime | None = None) -> dict[date, CoverageRow]:
    with town.engine.connect() as conn:
        return {day: coverage(conn, day, [town.ref], known_at=known_at)[0] for day in ASKED}


def clock(town: Town) -> datetime:
    with town.engine.connect() as conn:
        now: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now


def story(town: Town, seed: int) -> Iterator[str]:
    """A week in which lines come exact, short, late, twice and from nobody, and people act on what is found; a step at a time."""
    chance = random.Random(seed)
    waiting: list[tuple[str, int]] = []
    for number, day in enumerate(DAYS):
        for place in range(2):
            name, amount = f"ORD2025{number}{place:03d}", chance.randrange(100, 900) * 100
            town.order(name, amount, day)
            waiting.append((name, amount))
        yield "orders"
        if number == 0:
            continue
        chance.shuffle(waiting)
        lines: list[tuple[Direction, int, str]] = []
        for name, amount in waiting[: chance.randrange(1, 4)]:
            lines.append((Direction.IN, chance.choice([amount, amount, amount - 100]), name))
            if chance.random() < 0.3:
                lines.append((Direction.IN, amount, name))
        del waiting[: len(lines)]
        if chance.random() < 0.7:
            lines.append((Direction.IN, chance.randrange(1, 99) * 100, f"NOBODY{number}"))
        if chance.random() < 0.3:
            lines.append((Direction.OUT, 100, f"WHY{number}"))
        town.deliver(town.statement(day, *lines))
        yield "statement"
        town.reconcile(day)
        yield "run"
        yield from decide(town, chance)


def decide(town: Town, chance: random.Random) -> Iterator[str]:
    with town.engine.connect() as conn:
        found = records(conn, states=[DiscrepancyState.OPEN])
    for one in found:
        acts = [act for act in ACTS if act in ACTS_BY_KIND[one.discrepancy.kind]]
        if not acts or chance.random() < 0.6:
            continue
        identity = one.discrepancy.discrepancy_id
        with town.engine.begin() as conn:
            prepare_resolution(conn, identity, chance.choice(acts), by=ZHANG, now=town.now(), reason="story")
        yield "prepared"
        with town.engine.begin() as conn:
            if chance.random() < 0.3:
                reject_resolution(conn, identity, by=LI, now=town.now(), reason="story")
            else:
                approve_resolution(conn, identity, by=LI, now=town.now())
            assert find_record(conn, identity).state is not DiscrepancyState.PREPARED
        yield "decided"


@pytest.mark.parametrize("seed", range(2))
def test_every_answer_of_a_week_can_be_given_again(town: Town, seed: int) -> None:
    told = [("before", clock(town), answers(town))]
    told += [(step, clock(town), answers(town)) for step in story(town, seed)]
    assert {"statement", "run", "decided"} <= {step for step, _, _ in told}
    assert len({str(found) for _, _, found in told}) > len(told) // 2, "the story moves coverage"

    for place, (step, instant, found) in enumerate(told):
        assert answers(town, instant) == found, (place, step)
    assert answers(town, clock(town)) == answers(town)


def test_a_line_for_one_of_two_twins_is_known_from_its_run_on(town: Town) -> None:
    """The discrepancy of twins is known by its items; which line has come for them is what the newest run by then saw."""
    told = []
    for day in (MONDAY, TUESDAY):
        town.order("ORD20250001", 50000, day)
    town.day(TUESDAY)
    told.append((clock(town), answers(town)))
    town.day(WEDNESDAY, (Direction.IN, 50000, "ORD20250001"))
    told.append((clock(town), answers(town)))
    lines = town.query("SELECT r.line_ids <> '' FROM run_discrepancy r WHERE kind = 'DUPLICATE_LEDGER' ORDER BY run_id")
    assert lines == [(False,), (True,)]

    assert [answers(town, instant) for instant, _ in told] == [found for _, found in told]
    assert told[0][1] != told[1][1]
