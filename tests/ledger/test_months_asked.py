"""Questions look into the months they are about, however many the journal has, and answer what a replay answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from ledger.journal import journal
from ledger.known import driver_cursor, transfers_in_books
from ledger.model import Transfer
from ledger.months import by_month, first_id, following, ids_of, month_of
from ledger.reading import balance
from ledger.reversal import reverse
from ledger.statement import account_statement
from ledger.store import verify
from tests.ledger.conftest import NOW, Desk
from tests.ledger.test_properties import fresh_desk
from tests.ledger.test_two_times import replayed

CASH, HELD_A = ("custody_cash", ""), ("prepayment_held", "A")
FIRST, MONTHS = date(2025, 1, 1), 62


@pytest.fixture
def many_months(desk: Desk) -> tuple[Desk, list[datetime]]:
    """Two postings a month over 62 months in the order of their days, then one that is four years late; when each was recorded."""
    desk.open_orders("A")
    for number in range(MONTHS):
        month = following(FIRST, number)
        for day in (3, 20):
            desk.post(desk.transfer(CASH, HELD_A, 100 + number, f"{number} {day}", day=month.replace(day=day)))
    desk.post(desk.transfer(CASH, HELD_A, 7, "late", day=date(2026, 2, 5)))
    desk.conn.commit()
    instants = list(desk.conn.scalars(text("SELECT recorded_at FROM posting_batch ORDER BY batch_id")))
    desk.conn.execute(text("ANALYZE"))
    desk.conn.commit()
    return desk, instants


def scans(conn: Connection) -> dict[str, int]:
    """How often this session has read each month, by index or whole, including within functions."""
    rows = conn.execute(
        text(
            "SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'transfer\\_2%'"
        )
    )
    return {row[0]: row[1] for row in rows}


def months_read(conn: Connection, ask: Callable[[], Any]) -> list[str]:
    ask()  # plans are made now
    before = scans(conn)
    ask()
    return sorted(name for name, count in scans(conn).items() if count > before.get(name, 0))


def test_a_balance_at_two_times_reads_the_months_it_halves_between(many_months: tuple[Desk, list[datetime]]) -> None:
    desk, instants = many_months
    cash = desk.ids[CASH]
    instant = instants[2 * 40]  # the first posting of the 41st month is known, its second is not
    known = months_read(desk.conn, lambda: balance(desk.conn, cash, known_at=instant))
    both = months_read(desk.conn, lambda: balance(desk.conn, cash, as_of=date(2026, 3, 1), known_at=instant))

    assert balance(desk.conn, cash, known_at=instant).minor_units == sum(2 * (100 + n) for n in range(40)) + 140
    assert (
        balance(desk.conn, cash, as_of=date(2026, 3, 1), known_at=instants[-1]).minor_units
        == sum(2 * (100 + n) for n in range(14)) + 7
    )
    assert "transfer_2028_05" in known
    assert len(known) <= 7  # 62 months are halved six times
    assert len(both) <= 8


def test_a_page_reads_its_own_months_and_the_plan_of_one_posting_holds_one(many_months: tuple[Desk, list[datetime]]) -> None:
    desk, _ = many_months
    cash = desk.ids[CASH]
    first = months_read(desk.conn, lambda: account_statement(desk.conn, cash, limit=4))
    middle = months_read(desk.conn, lambda: account_statement(desk.conn, cash, after=60, limit=4))
    by_day = months_read(desk.conn, lambda: account_statement(desk.conn, cash, date(2029, 7, 1), date(2029, 7, 31)))

    assert first == ["transfer_2025_01", "transfer_2025_02"]
    assert middle == ["transfer_2027_07", "transfer_2027_08"]
    assert by_day == ["transfer_2029_07"]
    last = account_statement(desk.conn, cash, after=2 * MONTHS - 1)
    assert [(line.seq, line.booking_date) for line in last] == [(124, date(2030, 2, 20)), (125, date(2026, 2, 5))]
    assert account_statement(desk.conn, cash, after=125) == []
    assert account_statement(desk.conn, desk.ids["bank_charges", ""]) == []
    plan = "\n".join(
        desk.conn.scalars(
            text(
                "EXPLAIN SELECT FROM transfer WHERE institution_id = 7 AND debit_account_id = 1 AND debit_seq = 2"
                " AND transfer_id >= first_transfer_id('2027-03-01') AND transfer_id < first_transfer_id('2027-04-01')"
            )
        )
    )
    assert "transfer_2027_03" in plan
    assert "transfer_2027_02" not in plan
    assert "transfer_2027_04" not in plan


def test_a_page_of_the_journal_reads_the_months_its_batches_lie_in(many_months: tuple[Desk, list[datetime]]) -> None:
    desk, _ = many_months

    def page(after: int, **asked: Any) -> list[str]:
        return [line.source_ref for line in journal(desk.conn, after=(7, after, 1), limit=4, **asked)]

    assert page(59) == ["29 20", "30 3", "30 20", "31 3"]
    middle = months_read(desk.conn, lambda: page(59))
    last = months_read(desk.conn, lambda: page(2 * MONTHS - 1))
    by_day = months_read(desk.conn, lambda: page(0, from_=date(2029, 7, 1), to=date(2029, 7, 31)))

    assert page(2 * MONTHS - 1) == ["61 20", "late"]
    assert middle == ["transfer_2027_06", "transfer_2027_07", "transfer_2027_08", "transfer_2027_09"]  # four months at first
    assert last == ["transfer_2026_02", "transfer_2030_02"]
    assert by_day == ["transfer_2029_07"]
    runs = desk.conn.execute(text("SELECT first_batch_id, months FROM batch_months ORDER BY 1")).all()
    assert [run.first_batch_id for run in runs] == [*range(1, 2 * MONTHS, 2), 2 * MONTHS + 1]
    assert runs[-1].months == [date(2026, 2, 1)]


def test_transfers_of_far_months_are_found_in_those_two_and_reversed_once(many_months: tuple[Desk, list[datetime]]) -> None:
    desk, _ = many_months
    wanted = [
        (desk.institution, desk.transfer(CASH, HELD_A, 1, ref, day=day).transfer_id)
        for ref, day in (("0 3", date(2025, 1, 3)), ("61 20", date(2030, 2, 20)), ("61 20", date(2030, 3, 20)))
    ]
    with driver_cursor(desk.conn) as cursor:
        read = months_read(desk.conn, lambda: transfers_in_books(cursor, wanted))
        assert [len(transfers_in_books(cursor, [key])) for key in wanted] == [1, 1, 0]
        assert transfers_in_books(cursor, []) == {}
    assert read == ["transfer_2025_01", "transfer_2030_02"]

    original = desk.transfer(CASH, HELD_A, 100, "0 3", day=date(2025, 1, 3)).transfer_id
    by: dict[str, Any] = {"now": NOW, "actor": "tester", "reason": "test", "rule_version": "rules-1"}
    assert len(reverse(desk.conn, desk.institution, [original], booking_date=date(2030, 2, 21), **by).posted) == 1
    assert len(reverse(desk.conn, desk.institution, [original], booking_date=date(2030, 2, 21), **by).already_posted) == 1
    assert verify(desk.conn) == []


def test_a_reversal_reads_the_months_of_its_original_and_of_itself(many_months: tuple[Desk, list[datetime]]) -> None:
    desk, _ = many_months
    originals = iter(desk.transfer(CASH, HELD_A, 100 + n, f"{n} 3", day=following(FIRST, n).replace(day=3)) for n in (0, 1, 2))
    by: dict[str, Any] = {"now": NOW, "actor": "tester", "reason": "test", "rule_version": "rules-1"}

    def undo() -> None:
        reverse(desk.conn, desk.institution, [next(originals).transfer_id], booking_date=date(2030, 2, 21), **by)

    undo()  # what it costs to plan for the first time
    assert months_read(desk.conn, undo) == ["transfer_2025_03", "transfer_2030_02"]
    assert desk.conn.execute(text("SELECT count(*) FROM reversal")).scalar_one() == 3
    assert verify(desk.conn) == []


#: Batches of months after FIRST, one transfer each: forwards and far backwards, inside a batch and between batches.
month_jumps = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([2, 15])), min_size=1, max_size=4), min_size=1, max_size=6
)


@settings(max_examples=8)
@given(month_jumps)
def test_over_months_any_pair_of_times_and_any_page_is_what_a_replay_gives(
    books: Engine, wanted: list[list[tuple[int, int]]]
) -> None:
    with fresh_desk(books) as desk:
        history: list[tuple[datetime, Transfer]] = []
        for number, batch in enumerate(wanted):
            transfers = [
                desk.transfer(CASH, HELD_A, 1 + line, f"b{number}l{line}", day=following(FIRST, ahead).replace(day=day))
                for line, (ahead, day) in enumerate(batch)
            ]
            desk.post(*transfers)
            recorded = desk.conn.execute(text("SELECT max(recorded_at) FROM posting_batch")).scalar_one()
            history += [(recorded, transfer) for transfer in transfers]
        cash, days = desk.ids[CASH], [following(FIRST, ahead).replace(day=9) for ahead in range(10)]
        for known_at in (None, *sorted({recorded for recorded, _ in history})):
            for as_of in (None, *days):
                expected = replayed(history, as_of, known_at).get(cash, 0)
                assert balance(desk.conn, cash, as_of=as_of, known_at=known_at).minor_units == expected
        refs = [transfer.source_ref for _, transfer in history]
        pages: list[str] = []
        while page := account_statement(desk.conn, cash, after=len(pages), limit=3):
            pages += [line.source_ref for line in page]
        assert pages == refs
        for day in days:
            shown = [line.source_ref for line in account_statement(desk.conn, cash, day, following(day.replace(day=1), 2))]
            assert shown == [t.source_ref for _, t in history if day <= t.booking_date <= following(day.replace(day=1), 2)]
        assert pages_of_journal(desk) == refs
        whole = [line.source_ref for line in journal(desk.conn, limit=None)]
        assert whole == refs
        for month in (following(FIRST, ahead) for ahead in range(10)):
            booked = {"from_": month.replace(day=2), "to": following(month)}
            expected = [t.source_ref for _, t in history if booked["from_"] <= t.booking_date <= booked["to"]]
            assert pages_of_journal(desk, **booked) == expected
            assert pages_of_journal(desk, from_=month.replace(day=9)) == [
                t.source_ref for _, t in history if t.booking_date >= month.replace(day=9)
            ]
        assert pages_of_journal(desk, source_kind="test", source_ref=refs[-1]) == refs[-1:]
        for known_at in {recorded for recorded, _ in history}:
            expected = [t.source_ref for recorded, t in history if recorded <= known_at]
            assert pages_of_journal(desk, known_at=known_at) == expected
        assert verify(desk.conn) == []


def pages_of_journal(desk: Desk, **asked: Any) -> list[str]:
    """What all pages of two lines show, one after the other."""
    shown: list[str] = []
    after = None
    while page := journal(desk.conn, after=after, limit=2, **asked):
        shown += [line.source_ref for line in page]
        after = (page[-1].institution_id, page[-1].batch_id, page[-1].line)
    return shown


def test_ranges_of_ids_hold_their_months_and_no_others() -> None:
    months = [following(FIRST, ahead) for ahead in (5, 0, 1, 2, 9)]
    ranges = ids_of(months)
    assert ranges == [(first_id(following(FIRST, a)), first_id(following(FIRST, b))) for a, b in ((0, 3), (5, 6), (9, 10))]
    assert ids_of([]) == []


def test_ids_are_sorted_into_their_months_and_those_of_none_are_left_out() -> None:
    ends = [first_id(FIRST), first_id(following(FIRST))]
    keys = [(7, ends[0]), (7, ends[1]), (8, type(ends[0])(int=ends[1].int - 1)), (7, type(ends[0])(int=2**128 - 1))]
    assert list(by_month(keys)) == [
        (ends[0], ends[1], [keys[0], keys[2]]),
        (ends[1], first_id(date(2025, 3, 1)), [keys[1]]),
    ]
    assert month_of(date(2025, 1, 31)) == FIRST
