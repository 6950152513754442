"""The journal's months: where a transfer lies, how months come to be, and that nothing is true of a month less than of the whole."""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.known import known_books
from ledger.model import PostingRefused, RefusalCode, transfer_id
from ledger.months import END_DAY, FIRST_DAY, following, id_fits_day, in_calendar, month_of
from ledger.partitions import MonthsBusy, add_months
from ledger.pending import post_pending, reserve
from ledger.reversal import reverse
from ledger.store import post, verify
from storage.catalogue import schema_faults
from storage.trying_again import committed
from tests.ledger.conftest import DAY, NOW, Desk
from tests.ledger.test_attacks import HEADER, insert_sql, raw_transfer
from tests.ledger.test_pending import pending

CASH, HELD_A = ("custody_cash", ""), ("prepayment_held", "A")
BY: dict[str, Any] = {"now": NOW, "actor": "tester", "reason": "test", "rule_version": "rules-1"}
APRIL = date(2025, 4, 7)

days = st.dates(date(1999, 1, 1), date(2101, 12, 31))


@given(st.dates(FIRST_DAY, date(2099, 12, 31)), days)
def test_an_id_fits_the_days_of_its_month_and_no_others(made_for: date, booked: date) -> None:
    identity = transfer_id(7, made_for, "test", "x")
    assert id_fits_day(identity, booked) == (month_of(made_for) == month_of(booked))


@given(days, st.integers(0, 400))
def test_following_months_have_no_gap(day: date, ahead: int) -> None:
    month = month_of(day)
    assert following(month, ahead + 1) == following(following(month, ahead))
    assert (following(month, ahead).year - month.year) * 12 + following(month, ahead).month - month.month == ahead


def test_the_calendar_ends_where_the_database_says(connection: Connection) -> None:
    for day, inside in ((FIRST_DAY, True), (date(2099, 12, 31), True), (END_DAY, False), (date(1999, 12, 31), False)):
        attempt = connection.begin_nested()
        if inside:
            connection.execute(text("SELECT ledger_add_month(:day)"), {"day": day})
        else:
            with pytest.raises(DBAPIError, match="out_of_calendar"):
                connection.execute(text("SELECT ledger_add_month(:day)"), {"day": day})
        attempt.rollback()
        assert in_calendar(day) == inside


def places(conn: Connection) -> dict[UUID, str]:
    return {row[0]: row[1] for row in conn.execute(text("SELECT transfer_id, tableoid::regclass::text FROM transfer"))}


def months(conn: Connection) -> list[str]:
    return list(
        conn.scalars(text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'transfer'::regclass ORDER BY 1"))
    )


def test_a_posting_into_a_month_that_is_not_there_adds_it_and_a_retry_finds_it(desk: Desk) -> None:
    desk.open_orders("A")
    assert months(desk.conn) == []
    march, april = desk.transfer(CASH, HELD_A, 100, "m"), desk.transfer(CASH, HELD_A, 50, "a", day=APRIL)
    desk.post(april, march)
    assert places(desk.conn) == {march.transfer_id: "transfer_2025_03", april.transfer_id: "transfer_2025_04"}
    assert set(desk.post(march, april).already_posted) == {march.transfer_id, april.transfer_id}
    other = replace(april, amount=march.amount)
    with pytest.raises(PostingRefused, match="exists_with_other_content"):
        desk.post(other)
    assert months(desk.conn) == ["transfer_2025_03", "transfer_2025_04"]
    assert verify(desk.conn) == []
    assert schema_faults(desk.conn) == []


def test_months_are_added_ahead_once(desk: Desk) -> None:
    assert add_months(desk.conn, date(2025, 11, 30), 3) == (
        date(2025, 11, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)
    )  # fmt: skip
    assert add_months(desk.conn, date(2025, 12, 1), 3) == (date(2026, 3, 1),)
    assert schema_faults(desk.conn) == []


def test_two_who_add_months_at_once_make_each_once(books: Engine) -> None:
    added: list[date] = []
    ready = threading.Barrier(3)

    def add() -> None:
        with books.begin() as conn:
            ready.wait()
            added.extend(add_months(conn, DAY, 5))

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [date(2025, month, 1) for month in range(3, 9)]


def test_a_detached_month_is_named_even_when_it_is_empty(desk: Desk) -> None:
    add_months(desk.conn, DAY, 1)
    desk.conn.commit()
    desk.conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0))"))  # as a migration would
    desk.conn.execute(text("ALTER TABLE transfer DETACH PARTITION transfer_2025_04"))
    assert [(fault.kind, fault.name) for fault in schema_faults(desk.conn)] == [("partition", "transfer_2025_04")]
    desk.conn.rollback()
    assert schema_faults(desk.conn) == []


@pytest.mark.parametrize("gone", ["DROP TABLE transfer_2025_04", "ALTER TABLE transfer_2025_04 RENAME TO elsewhere"])
def test_a_month_that_held_nothing_and_is_gone_is_missed(desk: Desk, gone: str) -> None:
    add_months(desk.conn, DAY, 1)
    desk.conn.commit()
    assert verify(desk.conn) == []
    desk.conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0))"))  # as a migration would
    desk.conn.execute(text("ALTER TABLE transfer DETACH PARTITION transfer_2025_04"))
    desk.conn.execute(text(gone))
    (fault,) = verify(desk.conn)
    assert (fault.table, fault.row) == ("journal_month", "partition transfer_2025_04")
    assert "was made and is no part of the journal any more" in fault.what


def test_only_a_month_that_is_there_is_put_on_record_and_once(two_months: Desk) -> None:
    recorded = "SELECT partition_name FROM journal_month ORDER BY 1"
    assert list(two_months.conn.scalars(text(recorded))) == ["transfer_2025_03", "transfer_2025_04"]
    insert = "INSERT INTO journal_month (partition_name) VALUES (:name)"
    for name in ("transfer_2025_05", "transfer", "account", "x; DROP"):
        assert _refused(two_months, insert, name=name) == "ledger_no_such_month"
    assert _refused(two_months, insert, name="transfer_2025_03") == "pk_journal_month"


def test_two_long_transactions_into_a_month_nobody_added_both_get_there(books: Engine) -> None:
    """Each has written open items, which adding a month waits for. The server lets one of them go on; the other is done again."""
    with books.begin() as conn:
        desks = [Desk(conn, institution=number, custody_account=number) for number in (7, 8)]
        for desk in desks:
            desk.open_orders("A", "B")
        add_months(conn, DAY, 0)
    ready, tries = threading.Barrier(2), list[int]()

    def work(own: Desk) -> None:
        def post_twice(conn: Connection) -> int:
            tries.append(own.institution)
            desk = replace_connection(own, conn)
            transfer, item = desk.paid("B", 100)
            desk.post(transfer, open_items=[item])
            if tries.count(own.institution) == 1:
                ready.wait(20)
            return len(desk.post(*(desk.transfer(CASH, HELD_A, 1, f"{number}", day=APRIL) for number in range(300))).posted)

        assert committed(books, post_twice) == 300

    threads = [threading.Thread(target=work, args=(desk,)) for desk in desks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(tries) in ([7, 7, 8], [7, 8, 8])
    with books.connect() as conn:
        assert months(conn) == ["transfer_2025_03", "transfer_2025_04"]
        assert conn.execute(text("SELECT count(*) FROM transfer")).scalar_one() == 602
        assert verify(conn) == []


def replace_connection(desk: Desk, conn: Connection) -> Desk:
    other = copy(desk)
    other.conn = conn
    return other


def test_who_adds_a_month_gives_up_after_5_s_and_says_so(books: Engine) -> None:
    with books.begin() as writer, books.begin() as adder:
        writer.execute(text("LOCK TABLE open_item IN ROW EXCLUSIVE MODE"))
        with pytest.raises(MonthsBusy, match="2025-03 could not be added"):
            add_months(adder, DAY, 0)
        assert months(adder) == []


def test_only_the_months_of_the_ids_are_looked_into(desk: Desk) -> None:
    add_months(desk.conn, DAY, 11)
    one = transfer_id(7, DAY, "test", "x")
    plan = "\n".join(desk.conn.scalars(text(f"EXPLAIN SELECT FROM transfer WHERE transfer_id BETWEEN '{one}' AND '{one}'")).all())
    by_day = "\n".join(desk.conn.scalars(text(f"EXPLAIN SELECT FROM transfer WHERE booking_date = '{APRIL}'")).all())
    assert [name for name in months(desk.conn) if name in plan] == ["transfer_2025_03"]
    assert [name for name in months(desk.conn) if name in by_day] == ["transfer_2025_04"]


def test_a_pending_transfer_posted_in_another_month_is_posted_once(desk: Desk) -> None:
    desk.open_orders("A")
    desk.post(desk.transfer(CASH, HELD_A, 100, "in"))
    one = pending(desk, 40)
    reserve(desk.conn, [one], **{key: BY[key] for key in ("now", "actor", "rule_version")})
    (posted,) = post_pending(desk.conn, 7, one.pending_id, booking_date=APRIL, **BY).posted
    assert places(desk.conn)[posted] == "transfer_2025_04"
    assert post_pending(desk.conn, 7, one.pending_id, booking_date=APRIL, **BY).already_posted == (posted,)
    with pytest.raises(PostingRefused, match="already_resolved"):
        post_pending(desk.conn, 7, one.pending_id, booking_date=date(2025, 5, 2), **BY)
    assert verify(desk.conn) == []


@pytest.fixture
def two_months(desk: Desk) -> Desk:
    """100 fen of A in March, 50 in April."""
    desk.open_orders("A")
    desk.post(desk.transfer(CASH, HELD_A, 100, "m"), desk.transfer(CASH, HELD_A, 50, "a", day=APRIL))
    desk.conn.commit()
    return desk


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that does not see reversals, as a poster of another version might make."""

    def unseeing(*args: Any) -> Any:
        known = known_books(*args)
        known.reversed_by = {}
        return known

    monkeypatch.setattr("ledger.writing.known_books", unseeing)


def test_a_transfer_is_reversed_once_over_all_months(two_months: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    march = transfer_id(7, DAY, "test", "m")
    reverse(two_months.conn, 7, [march], booking_date=DAY, **BY)
    two_months.conn.commit()
    with pytest.raises(PostingRefused, match="already_reversed"):
        reverse(two_months.conn, 7, [march], booking_date=APRIL, **BY)
    two_months.post(two_months.transfer(CASH, HELD_A, 500, "more"))  # else the floor would refuse it
    blind(monkeypatch)
    with pytest.raises(psycopg.Error, match="already_reversed"):
        reverse(two_months.conn, 7, [march], booking_date=APRIL, **BY)


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
def test_two_who_reverse_at_once_in_two_months_do_it_once(
    two_months: Desk, books: Engine, monkeypatch: pytest.MonkeyPatch, level: Any
) -> None:
    march = transfer_id(7, DAY, "test", "m")
    two_months.post(two_months.transfer(CASH, HELD_A, 500, "more"))
    two_months.conn.commit()
    blind(monkeypatch)
    ready, ends = threading.Barrier(2), []

    def undo(day: date) -> None:
        try:
            with books.connect().execution_options(isolation_level=level) as conn:
                conn.execute(text("SELECT count(*) FROM transfer"))  # the snapshot is older than the other's commit
                ready.wait()
                reverse(conn, 7, [march], booking_date=day, **BY)
                conn.commit()
            ends.append("done")
        except (DBAPIError, psycopg.Error) as error:
            ends.append("refused" if "already_reversed" in str(error) or "could not serialize" in str(error) else str(error))

    threads = [threading.Thread(target=undo, args=(day,)) for day in (DAY, APRIL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["done", "refused"]
    assert verify(two_months.conn) == []


def _refused(desk: Desk, *statements: str, **values: Any) -> str:
    attempt = desk.conn.begin_nested()
    with pytest.raises(DBAPIError) as caught:  # noqa: PT012  any of the statements may be what is refused
        for statement in statements:
            desk.conn.execute(text(statement), values)
    attempt.rollback()
    error: Any = caught.value.orig
    return str(error.diag.constraint_name)


def test_numbers_and_lines_are_unique_over_all_months(two_months: Desk) -> None:
    """The next transfer in another month than the last: no index of one month sees what the other holds."""
    desk = two_months
    desk.post(desk.transfer(CASH, HELD_A, 100, "again"), *paid_in_march(desk))
    desk.conn.commit()
    right = raw_transfer(desk, booking_date=date(2025, 4, 3))
    insert = insert_sql("transfer", right)
    for column in ("debit_seq", "credit_seq"):
        again = raw_transfer(desk, booking_date=date(2025, 4, 3), **{column: right[column] - 1})
        assert _refused(desk, insert_sql("transfer", again), **again) == "ledger_skipped_seq"

    march = raw_transfer(desk)
    twice = insert_sql("transfer", march) + ", (" + ", ".join(f":b_{name}" for name in march) + ")"
    second = {f"b_{name}": value for name, value in raw_transfer(
        desk, booking_date=date(2025, 4, 3), debit_seq=march["debit_seq"] + 1, credit_seq=march["credit_seq"] + 1,
        debit_balance_minor_units=march["debit_balance_minor_units"] + 20_000,
        credit_balance_minor_units=march["credit_balance_minor_units"] - 20_000,
    ).items()}  # fmt: skip
    assert _refused(desk, twice, **march, **second) == "ledger_batch_lines"
    assert _refused(desk, insert, insert, **right) == "pk_transfer_2025_04"
    later = raw_transfer(
        desk, line=2, debit_seq=right["debit_seq"] + 1, credit_seq=right["credit_seq"] + 1,
        debit_balance_minor_units=right["debit_balance_minor_units"] + 20_000,
        credit_balance_minor_units=right["credit_balance_minor_units"] - 20_000,
    )  # fmt: skip
    attempt = desk.conn.begin_nested()
    desk.conn.execute(text(insert), right)
    assert _refused(desk, insert_sql("transfer", later), **later) == "ledger_batch_in_pieces"
    desk.conn.execute(text(HEADER.format(count=1, total=20_000)), right)
    attempt.commit()
    assert {fault.table for fault in verify(desk.conn)} == {"account"}  # money in transit without its item, as this test put it


def paid_in_march(desk: Desk) -> tuple[Any, ...]:
    """Money on its way in, so that the raw transfer has something to take out of transit."""
    transit = ("receipts_in_transit", "wechat")
    return (desk.transfer(transit, HELD_A, 50_000, "on its way"),)


def test_what_the_database_would_misplace_is_refused_by_name_before(two_months: Desk) -> None:
    misplaced = replace(two_months.transfer(CASH, HELD_A, 1, "x"), booking_date=APRIL)
    outcome = post(two_months.conn, [misplaced], on_refusal="report", **BY)
    assert [refusal.code for refusal in outcome.refused] == [RefusalCode.ID_OF_OTHER_MONTH]
    raw = raw_transfer(two_months)
    raw["booking_date"] = APRIL
    assert _refused(two_months, insert_sql("transfer", raw), **raw) == "ck_transfer_2025_03_booked"


def test_a_poster_may_add_a_month_and_nothing_else_of_it(two_months: Desk) -> None:
    conn = two_months.conn
    conn.execute(text("SET LOCAL ROLE escrow_poster"))
    assert conn.execute(text("SELECT ledger_add_month('2031-05-17')")).scalar_one()
    for statement in (
        "SELECT FROM transfer_2031_05",
        "INSERT INTO transfer_2031_05 SELECT * FROM transfer",
        "DROP TABLE transfer_2031_05",
    ):
        attempt = conn.begin_nested()
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            conn.execute(text(statement))
        attempt.rollback()
