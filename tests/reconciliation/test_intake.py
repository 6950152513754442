"""Stories of statement files: what counts, what waits, what is refused and why; the bytes are kept in every case."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from bank_adapters.model import Direction
from bank_adapters.writing.delimited import write_delimited
from bank_adapters.writing.mt940 import write_mt940
from config.profiles import load_profiles
from money import Money
from reconciliation.discrepancy import Act
from reconciliation.intake import Link, judge
from reconciliation.model import CustodyAccountRef, Receipt, StatementOutcome
from reconciliation.resolving import Actor, approve_resolution, prepare_resolution
from tests.reconciliation.conftest import MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT


def outcomes(receipt: Receipt) -> list[tuple[str, str | None]]:
    return [(str(one.outcome), one.kind) for one in receipt.statements]


def states(town: Town) -> set[tuple[object, ...]]:
    return set(town.query("SELECT kind, state FROM discrepancy_state"))


def counted(town: Town) -> list[object]:
    return [row[0] for row in town.query("SELECT business_date FROM statement_counted ORDER BY link")]


def test_bytes_are_kept_with_digest_and_sender_even_when_refused(town: Town) -> None:
    data = b"this is no statement"
    receipt = town.deliver_bytes(data, "junk.txt")
    assert receipt.refused
    assert town.query("SELECT file_name, sender_bank, encode(sha256, 'hex'), content FROM statement_file") == [
        ("junk.txt", "SWB", hashlib.sha256(data).hexdigest(), data)
    ]


def test_the_same_bytes_again_count_nothing_and_point_at_the_first_file(town: Town) -> None:
    data = write_mt940([town.statement(MONDAY, (IN, 500, "ORD20250001"))])
    first = town.deliver_bytes(data, "a.sta")
    again = town.deliver_bytes(data, "b.sta")
    assert outcomes(again) == [("duplicate", "DUPLICATE_FILE")]
    assert again.same_as_file_id == first.statement_file_id
    assert town.query("SELECT count(*) FROM statement_line") == [(1,)]
    assert ("DUPLICATE_FILE", "cleared") in states(town)
    assert town.query("SELECT count(*) FROM statement_file WHERE content IS NULL") == [(1,)]


def test_the_same_content_in_another_format_is_the_same_statement(town: Town) -> None:
    statement = town.statement(MONDAY, (IN, 500, "ORD20250001"))
    first = town.deliver(statement, name="a.sta")
    profile = next(one for one in load_profiles() if one.id == "north-river")
    named = dataclasses.replace(statement, account_name="Sunrise Custody")
    again = town.deliver_bytes(write_delimited(named, profile), "b.csv")
    assert outcomes(again) == [("duplicate", "DUPLICATE_FILE")], again
    assert again.same_as_file_id in (None, first.statement_file_id)
    assert town.query("SELECT count(*) FROM statement_line") == [(1,)]


def test_other_content_for_a_day_already_received_is_held_back_as_restated(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "A12345678")))
    town.balance, town.sequence = 0, 0
    receipt = town.deliver(town.statement(MONDAY, (IN, 600, "A12345678")))
    assert outcomes(receipt) == [("quarantined", "RESTATED")]
    assert ("RESTATED", "open") in states(town)
    assert town.query("SELECT sum(amount_minor_units) FROM statement_line") == [(500,)]


def test_a_statement_that_comes_too_early_waits_and_counts_when_the_gap_is_filled(town: Town) -> None:
    monday, tuesday, wednesday = (
        town.statement(day, (IN, amount, "")) for day, amount in ((MONDAY, 1), (TUESDAY, 2), (WEDNESDAY, 3))
    )
    assert outcomes(town.deliver(monday)) == [("counted", None)]
    early = town.deliver(wednesday)
    assert outcomes(early) == [("waiting", "STATEMENT_GAP")]
    assert not early.refused
    assert "number 2 is missing" in early.statements[0].reasons[0].en
    assert town.reconcile(WEDNESDAY).bank_lines == 1, "lines of a waiting statement do not count"

    assert outcomes(town.deliver(tuesday)) == [("counted", None)]

    assert counted(town) == [MONDAY, TUESDAY, WEDNESDAY]
    assert ("STATEMENT_GAP", "cleared") in states(town)


def test_an_opening_that_is_not_the_previous_closing_is_refused_and_a_corrected_file_accepted(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    broken = town.statement(TUESDAY, (IN, 100, ""), opening=450)
    receipt = town.deliver(broken)
    assert outcomes(receipt) == [("refused", "CONTINUITY_BREAK")]
    assert town.query("SELECT kind, difference_minor_units FROM discrepancy") == [("CONTINUITY_BREAK", -50)]

    town.balance, town.sequence = 500, 1
    assert outcomes(town.deliver(town.statement(TUESDAY, (IN, 100, "")))) == [("counted", None)]
    assert states(town) == {("CONTINUITY_BREAK", "cleared")}


def test_figures_that_do_not_add_up_inside_the_file_are_refused(town: Town) -> None:
    good = town.statement(MONDAY, (IN, 500, ""))
    data = write_mt940([good]).replace(b"C250303CNY5,00", b"C250303CNY6,00")
    receipt = town.deliver_bytes(data, "broken.sta")
    assert outcomes(receipt) == [("refused", "BALANCE_BREAK")]
    assert town.query("SELECT count(*) FROM statement") == [(0,)]
    assert town.query("SELECT amount_minor_units, difference_minor_units FROM discrepancy") == [(100, 100)], "one yuan off"


def test_a_bank_may_only_deliver_its_own_accounts_and_only_filed_ones(town: Town) -> None:
    statement = town.statement(MONDAY)
    foreign = town.deliver(statement, sender="NRB")
    assert outcomes(foreign) == [("quarantined", None)]
    assert "NRB may not deliver" in foreign.statements[0].reasons[0].en
    unknown = town.deliver(dataclasses.replace(statement, account="999"))
    assert "not filed" in unknown.statements[0].reasons[0].en
    assert outcomes(town.deliver(statement)) == [("counted", None)], (
        "bytes held back for another sender may come from the right one"
    )


def test_another_currency_than_the_accounts_is_refused(town: Town) -> None:
    usd = dataclasses.replace(
        town.statement(MONDAY), currency="USD", opening_balance=Money(0, "USD"), closing_balance=Money(0, "USD")
    )
    receipt = town.deliver(usd)
    assert outcomes(receipt) == [("refused", None)]
    assert "kept in CNY" in receipt.statements[0].reasons[0].en


def test_equal_lines_are_as_many_movements_as_there_are_lines(town: Town) -> None:
    twins = [(IN, 500, ""), (IN, 500, ""), (IN, 500, "")]
    statement = town.statement(MONDAY, *twins)
    same = tuple(dataclasses.replace(line, bank_reference=None, references=()) for line in statement.lines)
    town.deliver(dataclasses.replace(statement, lines=same))
    assert town.query("SELECT ordinal FROM statement_line ORDER BY ordinal") == [(1,), (2,), (3,)]
    assert len(set(town.query("SELECT line_id FROM statement_line"))) == 3


def test_identities_follow_from_content_not_from_the_file(town: Town) -> None:
    statement = town.statement(THURSDAY, (IN, 500, ""), (OUT, 200, "DI2025030600000017"))
    town.deliver(statement, name="x.sta")
    town.reconcile(THURSDAY)
    ids = town.query("SELECT line_id FROM statement_line ORDER BY position")
    assert all(len(str(row[0])) == 32 for row in ids)


REF = CustodyAccountRef(1, 1, "B", "1", "CNY", MONDAY)


@pytest.mark.parametrize(
    ("last", "one", "counts", "kind"),
    [
        (None, Link(MONDAY, "61", 0, 5), True, None),
        (None, Link(MONDAY, "61", 7, 5), False, "STATEMENT_GAP"),
        (Link(MONDAY, "1", 0, 5), Link(TUESDAY, "2", 5, 5), True, None),
        (Link(MONDAY, "1", 0, 5), Link(TUESDAY, "2", 6, 6), False, "CONTINUITY_BREAK"),
        (Link(MONDAY, "1", 0, 5), Link(THURSDAY, "4", 5, 5), False, "STATEMENT_GAP"),
        (Link(MONDAY, None, 0, 5), Link(THURSDAY, None, 5, 5), True, None),
        (Link(MONDAY, None, 0, 5), Link(THURSDAY, None, 6, 6), False, "STATEMENT_GAP"),
        (Link(MONDAY, None, 0, 5), Link(TUESDAY, None, 6, 6), False, "CONTINUITY_BREAK"),
        (Link(TUESDAY, "2", 0, 5), Link(MONDAY, "1", 0, 0), False, "RESTATED"),
        (Link(MONDAY.replace(year=2024, month=12, day=31), "250", 0, 5), Link(MONDAY, "1", 5, 5), True, None),
        (Link(MONDAY, "5", 0, 5), Link(TUESDAY, "3", 5, 5), False, "STATEMENT_GAP"),
        (Link(MONDAY, "5", 0, 5), Link(TUESDAY, "5", 5, 5), False, "STATEMENT_GAP"),
        (Link(MONDAY, "00012/001", 0, 5), Link(TUESDAY, "00013/001", 5, 5), True, None),
    ],
)
def test_what_continues_a_chain(last: Link | None, one: Link, counts: bool, kind: str | None) -> None:
    verdict = judge(last, one, books_cash=0, currency="CNY")
    assert verdict.counts is counts
    assert (str(verdict.kind) if verdict.kind else None) == kind


def test_every_verdict_that_stops_a_statement_says_what_to_do_next() -> None:
    monday = Link(MONDAY, "5", 0, 5)
    stopped = [
        judge(None, Link(MONDAY, "1", 7, 7), books_cash=0, currency="CNY"),
        judge(monday, Link(MONDAY, "6", 5, 5), books_cash=0, currency="CNY"),
        judge(monday, Link(THURSDAY, "8", 5, 5), books_cash=0, currency="CNY"),
        judge(monday, Link(TUESDAY, "4", 5, 5), books_cash=0, currency="CNY"),
        judge(monday, Link(TUESDAY, "6", 6, 6), books_cash=0, currency="CNY"),
        judge(Link(MONDAY, None, 0, 5), Link(THURSDAY, None, 6, 6), books_cash=0, currency="CNY"),
    ]
    assert all(one.fault is not None and "ask the bank" in one.fault.reason.en for one in stopped), stopped


def test_numbers_that_run_backwards_are_held_back_until_two_people_say_the_bank_began_anew(town: Town) -> None:
    town.sequence = 8
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.sequence = 2
    restarted = town.statement(TUESDAY, (IN, 100, ""))
    receipt = town.deliver(restarted)
    assert outcomes(receipt) == [("quarantined", "STATEMENT_GAP")]
    assert "number 3 for 2025-03-04, but number 9 for 2025-03-03 counts already" in receipt.statements[0].reasons[0].en
    assert town.query("SELECT count(*) FROM statement") == [(1,)], "nothing waits for ever"

    (gap,) = town.query("SELECT discrepancy_id FROM discrepancy WHERE kind = 'STATEMENT_GAP'")
    with town.engine.begin() as conn:
        preparer, approver = Actor("zhang.prepare", "supervisor"), Actor("li.approve", "approver")
        prepare_resolution(conn, str(gap[0]), Act.EXPLAIN, by=preparer, now=town.now(), reason="the bank's system was replaced")
        approve_resolution(conn, str(gap[0]), by=approver, now=town.now())

    assert outcomes(town.deliver(restarted)) == [("counted", None)]


def test_a_line_dated_outside_its_statement_is_flagged_and_counts(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 1, "")))
    statement = town.statement(TUESDAY, (IN, 500, ""), (IN, 600, ""))
    early, late = (
        dataclasses.replace(line, booking_date=day) for line, day in zip(statement.lines, (MONDAY, WEDNESDAY), strict=True)
    )
    receipt = town.deliver(dataclasses.replace(statement, lines=(early, late)))

    assert outcomes(receipt) == [("counted", None)]
    assert [(one.code, one.severity) for one in receipt.findings if one.code == "line_outside_period"] == [
        ("line_outside_period", "warning")
    ] * 2


def test_outcomes_are_the_words_other_programs_read() -> None:
    assert {str(one) for one in StatementOutcome} == {
        "counted", "waiting", "quarantined", "refused", "duplicate", "information",
    }  # fmt: skip
