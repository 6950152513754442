"""Stories of groups: twins, split payments, batches that never come; one name each, whatever the days in between."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from bank_adapters.model import Direction
from reconciliation.discrepancy import Act, DiscrepancyKind, DiscrepancyRecord, DiscrepancyState
from reconciliation.discrepancy_store import records
from reconciliation.model import SettlementItem
from reconciliation.resolving import Actor, ResolutionRefused, prepare_resolution
from tests.reconciliation.conftest import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town
from tests.reconciliation.test_run import books_balance, found, kinds_and_amounts, nothing_is_wrong, resolve

IN, OUT = Direction.IN, Direction.OUT
ZHANG = Actor("zhang.prepare", "supervisor")
_K = DiscrepancyKind


def history(town: Town, kind: DiscrepancyKind) -> list[DiscrepancyRecord]:
    """Every discrepancy of a kind there has ever been, whatever its state."""
    with town.engine.connect() as conn:
        return records(conn, kinds=[str(kind)])


def test_twins_in_the_books_keep_one_name_whichever_of_them_the_bank_shows(town: Town) -> None:
    first = town.order("ORD20250001", 120000, MONDAY, "WX4200001")
    second = town.order("ORD20250002", 120000, MONDAY, "WX4200001")
    before = town.day(MONDAY)
    assert kinds_and_amounts(before) == {("DUPLICATE_LEDGER", 120000)}

    # The engine holds the first by its id for the true one; the bank then shows the other.
    other = "ORD20250001" if str(first) > str(second) else "ORD20250002"
    after = town.day(TUESDAY, (IN, 120000, other))
    later = town.day(WEDNESDAY)

    assert (after.matches, later.matches) == (1, 0)
    (only,) = history(town, _K.DUPLICATE_LEDGER)
    assert only.state is DiscrepancyState.OPEN
    assert set(only.discrepancy.item_ids) == {str(first), str(second)}
    assert (only.discrepancy.amount_minor_units, only.discrepancy.difference_minor_units) == (120000, -120000)
    assert only.discrepancy.discrepancy_id not in {*after.auto_cleared, *later.auto_cleared}

    resolve(town, only, Act.REVERSE)
    held = {name: books_balance(town, "prepayment_held", name) for name in ("ORD20250001", "ORD20250002")}
    assert held.pop(other) == 120000, "the one the bank has shown stays"
    assert list(held.values()) == [0]
    assert town.reconcile(WEDNESDAY).open_discrepancies == 0
    assert nothing_is_wrong(town)


def test_one_of_two_open_twins_must_stay(town: Town) -> None:
    items = [town.order(f"ORD2025000{n}", 120000, MONDAY, "WX4200001") for n in (1, 2)]
    town.day(MONDAY)
    (one,) = found(town, _K.DUPLICATE_LEDGER)
    with town.engine.begin() as conn, pytest.raises(ResolutionRefused, match="one of the twins must stay"):
        prepare_resolution(conn, one.discrepancy.discrepancy_id, Act.REVERSE, by=ZHANG, now=town.now(), reason="x")
    resolve(town, one, Act.REVERSE, items[1])
    assert books_balance(town, "prepayment_held", "ORD20250001") == 120000
    assert books_balance(town, "prepayment_held", "ORD20250002") == 0
    assert town.reconcile(MONDAY).open_discrepancies == 0


def test_a_line_that_fits_both_twins_joins_their_discrepancy_and_can_be_matched_through_it(town: Town) -> None:
    items = [town.order(f"ORD2025000{n}", 120000, MONDAY, "WX4200001") for n in (1, 2)]
    town.day(MONDAY)
    (before,) = found(town, _K.DUPLICATE_LEDGER)

    town.day(TUESDAY, (IN, 120000, "WX4200001"))

    twins = found(town, _K.DUPLICATE_LEDGER, _K.AMBIGUOUS)
    if [one.discrepancy.kind for one in twins] == [_K.DUPLICATE_LEDGER]:
        assert twins[0].discrepancy.discrepancy_id == before.discrepancy.discrepancy_id
    (with_line,) = [one for one in twins if one.discrepancy.line_ids]
    resolve(town, with_line, Act.MATCH_MANUALLY, items[0])
    assert town.reconcile(TUESDAY).open_discrepancies == 1, "the other twin is still one too many"
    (left,) = found(town, _K.DUPLICATE_LEDGER)
    assert left.discrepancy.amount_minor_units == 120000
    resolve(town, left, Act.REVERSE, items[1])
    assert town.reconcile(TUESDAY).open_discrepancies == 0
    assert books_balance(town, "custody_cash") == 120000
    assert nothing_is_wrong(town)


def test_indistinguishable_lines_and_items_are_one_discrepancy_that_two_people_pair(town: Town) -> None:
    items = [town.order(f"ORD2025000{n}", 120000, MONDAY, "WX4200001") for n in (1, 2)]
    result = town.day(MONDAY, (IN, 120000, "WX4200001"), (IN, 120000, "WX4200001"))
    assert kinds_and_amounts(result) == {("AMBIGUOUS", 240000)}
    (one,) = found(town, _K.AMBIGUOUS)
    assert (len(one.discrepancy.line_ids), set(one.discrepancy.item_ids)) == (2, {str(item) for item in items})
    assert one.discrepancy.difference_minor_units == 0

    resolve(town, one, Act.MATCH_MANUALLY, items[1], items[0])

    assert books_balance(town, "custody_cash") == 240000
    assert books_balance(town, "receipts_in_transit", "bank_transfer") == 0
    assert town.reconcile(MONDAY).open_discrepancies == 0
    assert nothing_is_wrong(town)


def test_a_line_of_a_group_that_nobody_claims_goes_to_suspense(town: Town) -> None:
    item = town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, ""), (IN, 120000, ""))
    (one,) = found(town, _K.AMBIGUOUS)
    assert (one.discrepancy.amount_minor_units, one.discrepancy.difference_minor_units) == (240000, 120000)

    resolve(town, one, Act.MATCH_MANUALLY, item)

    assert books_balance(town, "unidentified_receipts") == 120000
    assert books_balance(town, "custody_cash") == 240000
    assert town.reconcile(TUESDAY).open_discrepancies == 0
    assert nothing_is_wrong(town)


@pytest.mark.parametrize("direction", [IN, OUT])
def test_a_payment_in_two_parts_is_a_difference_first_and_a_match_when_the_rest_comes(town: Town, direction: Direction) -> None:
    if direction is OUT:
        town.order("ORD20250009", 120000, MONDAY)
        town.day(TUESDAY, (IN, 120000, "ORD20250009"))
        name, item = "DI2025030400000017", town.disbursement("DI2025030400000017", 120000, TUESDAY, "ORD20250009")
    else:
        name, item = "ORD20250001", town.order("ORD20250001", 120000, MONDAY)
        town.day(TUESDAY)
    part = town.day(WEDNESDAY, (direction, 50000, name))
    assert kinds_and_amounts(part) == {("AMOUNT_MISMATCH", 50000)}
    (one,) = found(town, _K.AMOUNT_MISMATCH)
    assert one.discrepancy.difference_minor_units == (-70000 if direction is IN else 70000)

    rest = town.day(THURSDAY, (direction, 70000, name))

    assert item in {cleared.item_id for cleared in rest.cleared}
    assert (rest.matches, rest.open_discrepancies) == (1, 0)
    assert one.discrepancy.discrepancy_id in rest.auto_cleared
    assert books_balance(town, "unidentified_receipts") == books_balance(town, "unexplained_payments") == 0
    assert books_balance(town, "custody_cash") == (120000 if direction is IN else 0)
    assert nothing_is_wrong(town)


def test_a_batch_that_never_comes_is_missing_once_with_its_total_and_reversed_whole(town: Town) -> None:
    items = [town.order(f"ORD2025000{n}", 100000, MONDAY + timedelta(days=n - 1)) for n in (1, 2)]
    town.settlements = [SettlementItem(item, "WX20250304") for item in items]
    saturday = FRIDAY + timedelta(days=1)  # the time of the first order ended on Friday, that of the second ends now
    for day in (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, saturday):
        assert "MISSING_IN_BANK" not in {kind for kind, _ in kinds_and_amounts(town.day(day))}, day
    sunday = saturday + timedelta(days=1)
    result = town.day(sunday)
    assert kinds_and_amounts(result) == {("MISSING_IN_BANK", 200000)}
    (one,) = found(town, _K.MISSING_IN_BANK)
    assert (one.discrepancy.difference_minor_units, one.discrepancy.since) == (-200000, sunday)
    assert set(one.discrepancy.item_ids) == {str(item) for item in items}

    resolve(town, one, Act.REVERSE)

    assert [books_balance(town, "prepayment_held", f"ORD2025000{n}") for n in (1, 2)] == [0, 0]
    assert town.reconcile(sunday).open_discrepancies == 0


def test_three_days_at_once_give_what_three_runs_give(town: Town) -> None:
    """A number used again two days later: a run a day has matched the first payment before the second was known."""
    first = town.order("ORD20250001", 120000, MONDAY, "WX4200001")
    town.deliver(town.statement(MONDAY))
    town.deliver(town.statement(TUESDAY, (IN, 120000, "WX4200001")))
    second = town.order("ORD20250002", 120000, WEDNESDAY, "WX4200001")
    town.deliver(town.statement(WEDNESDAY))
    town.deliver(town.statement(THURSDAY, (IN, 120000, "WX4200001")))

    result = town.reconcile(THURSDAY)

    assert {one.item_id for one in result.cleared} == {first, second}
    matched = town.query(
        "SELECT i.item_id, l.booking_date FROM match_book_item i JOIN match_bank_line b USING (institution_id, match_id)"
        " JOIN statement_line l USING (institution_id, line_id)"
    )
    assert set(matched) == {(first, TUESDAY), (second, THURSDAY)}
    assert nothing_is_wrong(town)


def days_of(town: Town, grouped: list[list[date]]) -> tuple[set[tuple[object, ...]], set[tuple[object, ...]]]:
    """What is confirmed and what is open after the bank's week has been reconciled in these groups of days."""
    lines: dict[date, list[tuple[Direction, int, str]]] = {
        MONDAY: [],
        TUESDAY: [(IN, 120000, "ORD20250001"), (IN, 500, "")],
        WEDNESDAY: [(IN, 120000, "ORD20250001"), (IN, 80000, "WX4200002"), (IN, 80000, "WX4200002")],
        THURSDAY: [(IN, 60000, "ORD20250004"), (OUT, 300, "")],
        FRIDAY: [(IN, 40000, "ORD20250004"), (IN, 90000, "WX4200001")],
    }
    orders = {
        MONDAY: [("ORD20250001", 120000, "WX4200001"), ("ORD20250002", 80000, "WX4200002"), ("ORD20250003", 80000, "WX4200002")],
        TUESDAY: [("ORD20250004", 100000, "WX4200004")],
        THURSDAY: [("ORD20250005", 90000, "WX4200001")],
    }
    for days in grouped:
        for day in days:
            for name, amount, reference in orders.get(day, []):
                town.order(name, amount, day, reference)
            town.deliver(town.statement(day, *lines[day]))
        town.reconcile(days[-1])
    confirmed = town.query(
        "SELECT m.rule, array_agg(l.bank_reference ORDER BY l.bank_reference), array_agg(DISTINCT t.source_ref)"
        " FROM match m JOIN match_bank_line b USING (institution_id, match_id)"
        " JOIN statement_line l USING (institution_id, line_id)"
        " JOIN match_book_item i ON i.institution_id = m.institution_id AND i.match_id = m.match_id"
        " JOIN transfer t ON t.institution_id = i.institution_id AND t.transfer_id = i.item_id GROUP BY m.match_id, m.rule"
    )
    named = town.query(
        "SELECT discrepancy_id, kind, since, amount_minor_units, difference_minor_units FROM discrepancy_state"
        " WHERE state = 'open' AND kind NOT IN ('COVERAGE_SHORTFALL')"
    )
    return {(rule, *lines, *items) for rule, lines, items in confirmed}, set(named)  # type: ignore[misc]


WEEK = [MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]
GROUPINGS = {
    "a day at a time": [[day] for day in WEEK],
    "at once": [WEEK],
    "two and three": [WEEK[:2], WEEK[2:]],
    "four and one": [WEEK[:4], WEEK[4:]],
}

#: What the week's events truly are, worked out by hand: the rule and the members of every match, kind and figures of the rest.
CONFIRMED = {
    ("reference", "BK030402001", "ORD20250001"),
    ("reference_total", "BK030604001", "BK030705001", "ORD20250004"),
    ("reference", "BK030705002", "ORD20250005"),
}
OPEN = {
    ("AMBIGUOUS", WEDNESDAY, 160000, 0),
    ("DUPLICATE_BANK", WEDNESDAY, 120000, 120000),
    ("UNEXPLAINED_PAYMENT", THURSDAY, 300, -300),
    ("UNIDENTIFIED_RECEIPT", TUESDAY, 500, 500),
}


@pytest.mark.parametrize("grouping", GROUPINGS, ids=str)
def test_how_days_are_grouped_into_runs_changes_neither_matches_nor_what_is_open(town: Town, grouping: str) -> None:
    confirmed, named = days_of(town, GROUPINGS[grouping])
    assert confirmed == CONFIRMED
    assert {row[1:] for row in named} == OPEN
    assert nothing_is_wrong(town)
