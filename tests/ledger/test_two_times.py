"""Balances at any pair of times equal a replay of what was booked through the one and recorded by the other."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from ledger.model import Side, Transfer
from ledger.period import keep_balances
from ledger.store import balance, find_account, trial_balance, verify
from tests.ledger.conftest import DAY, Desk
from tests.ledger.test_properties import fresh_desk

CASH, HELD_A, HELD_B = ("custody_cash", ""), ("prepayment_held", "A"), ("prepayment_held", "B")

#: Batches of (order, fen, days after DAY): booking days jump backwards and forwards, inside a batch and between batches.
batches = st.lists(
    st.tuples(
        st.booleans(),
        st.lists(st.tuples(st.sampled_from([HELD_A, HELD_B]), st.integers(1, 50), st.integers(-3, 3)), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=6,
)


def replayed(history: list[tuple[datetime, Transfer]], as_of: date | None, known_at: datetime | None) -> dict[int, int]:
    """Debits minus credits of every account that was posted to."""
    found: dict[int, int] = defaultdict(int)
    for recorded, t in history:
        if (as_of is None or t.booking_date <= as_of) and (known_at is None or recorded <= known_at):
            found[t.debit_account_id] += t.amount.minor_units
            found[t.credit_account_id] -= t.amount.minor_units
    return found


@settings(max_examples=8)
@given(batches)
def test_any_pair_of_times_gives_what_a_replay_gives(
    books: Engine, wanted: list[tuple[bool, list[tuple[tuple[str, str], int, int]]]]
) -> None:
    with fresh_desk(books) as desk:
        history: list[tuple[datetime, Transfer]] = []
        instants: list[datetime] = [desk.conn.execute(text("SELECT clock_timestamp()")).scalar_one()]
        for number, (kept, batch) in enumerate(wanted):
            transfers = [
                desk.transfer(CASH, held, fen, f"b{number}l{line}", day=DAY + timedelta(days=days))
                for line, (held, fen, days) in enumerate(batch)
            ]
            desk.post(*transfers)
            recorded = desk.conn.execute(text("SELECT max(recorded_at) FROM posting_batch")).scalar_one()
            history += [(recorded, transfer) for transfer in transfers]
            instants.append(recorded)
            if kept:
                keep_balances(desk.conn)
        days = [None, *(DAY + timedelta(days=n) for n in range(-4, 5))]
        for known_at in (None, *instants):
            for as_of in days:
                expected = replayed(history, as_of, known_at)
                for name in (CASH, HELD_A, HELD_B):
                    sign = 1 if find_account(desk.conn, desk.ids[name]).normal_side is Side.DEBIT else -1
                    shown = balance(desk.conn, desk.ids[name], as_of=as_of, known_at=known_at)
                    assert shown.minor_units == sign * expected.get(desk.ids[name], 0)
                rows = trial_balance(desk.conn, as_of=as_of, known_at=known_at)
                shown_all = {row.account_id: (row.debit - row.credit).minor_units for row in rows}
                assert shown_all == expected
        assert verify(desk.conn) == []


def test_late_postings_are_kept_in_runs_that_verify_holds_to_the_transfers(books: Engine) -> None:
    with books.connect() as conn:
        desk = Desk(conn)
        desk.open_orders("A")
        days = ((5, 3, 3, 4), (2, 7, 6), (8,))
        for number, batch in enumerate(days):
            desk.post(
                *(desk.transfer(CASH, HELD_A, 10 + day, f"b{number}l{line}", day=DAY + timedelta(days=day))
                  for line, day in enumerate(batch))
            )  # fmt: skip
        kept = conn.execute(
            text(
                "SELECT first_seq, last_seq, booking_date, units_minor_units FROM account_late WHERE account_id = :a ORDER BY 1"
            ),
            {"a": desk.ids[CASH]},
        ).all()
        assert [tuple(row) for row in kept] == [
            (2, 3, DAY + timedelta(days=3), 26), (4, 4, DAY + timedelta(days=4), 14), (5, 5, DAY + timedelta(days=2), 12),
            (7, 7, DAY + timedelta(days=6), 16),
        ]  # fmt: skip
        assert verify(conn) == []
        conn.execute(text("ALTER TABLE account_late DISABLE TRIGGER account_late_guard"))
        for change in (
            "UPDATE account_late SET units_minor_units = units_minor_units + 1 WHERE first_seq = 4",
            "UPDATE account_late SET booking_date = booking_date + 1 WHERE first_seq = 4",
            "UPDATE account_late SET last_seq = last_seq + 1 WHERE first_seq = 4",
            "DELETE FROM account_late WHERE first_seq = 4",
            "INSERT INTO account_late SELECT institution_id, account_id, 8, 8, booking_date, 18 FROM account_late WHERE first_seq = 7",
        ):
            with conn.begin_nested() as attempt:
                conn.execute(text(change))
                found = [fault for fault in verify(conn) if fault.table == "account_late"]
                attempt.rollback()
            assert any("posting 4" in fault.row or "posting 8" in fault.row for fault in found), change


def test_recording_time_never_runs_backwards_in_a_chain(books: Engine) -> None:
    """A header is recorded after the one before it even when the database's clock was set back in between."""
    with books.connect() as conn:
        desk = Desk(conn)
        desk.open_orders("A")
        # A clock that stood an hour ahead when the first batch was recorded.
        desk.post(desk.transfer(CASH, HELD_A, 1, "one"))
        conn.execute(text("ALTER TABLE posting_batch DISABLE TRIGGER posting_batch_refuse_change"))
        conn.execute(text("UPDATE posting_batch SET recorded_at = recorded_at + interval '1 hour'"))
        desk.post(desk.transfer(CASH, HELD_A, 2, "two"))
        first, second = conn.execute(text("SELECT recorded_at FROM posting_batch ORDER BY batch_id")).scalars()
        assert first < second < first + timedelta(seconds=1)
        assert balance(conn, desk.ids[HELD_A], known_at=first).minor_units == 1
