"""Whatever is posted in whatever order: the books agree with a small model, with their own replay, and with themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from ledger.model import RefusalCode, Transfer
from ledger.store import account_statement, balance, post, trial_balance, verify
from money import Money
from tests.ledger.conftest import DAY, NOW, Desk

#: (kind, subject), side on which it is positive, floor. Few accounts, so that floors are met often.
ACCOUNTS = (
    ("custody_cash", ""),
    ("prepayment_held", "A"),
    ("prepayment_held", "B"),
    ("payable_to_institution", ""),
    ("fee_receivable", ""),
)
SIGN = {name: -1 if name[0] in ("prepayment_held", "payable_to_institution") else 1 for name in ACCOUNTS}
FLOORED = {name for name in ACCOUNTS if name[0] != "custody_cash"}

#: A step: debit, credit, fen, entry it belongs to, days after DAY.
steps = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(0, 60), st.integers(0, 9), st.integers(-2, 2)),
    min_size=1,
    max_size=14,
)
calls = st.lists(steps, min_size=1, max_size=3)


@contextmanager
def fresh_desk(books: Engine) -> Iterator[Desk]:
    """Books of one example; rolled back afterwards."""
    with books.connect() as conn:
        desk = Desk(conn)
        desk.open_orders("A", "B")
        yield desk
        conn.rollback()


def transfers_of(desk: Desk, call: int, wanted: list[tuple[tuple[str, str], tuple[str, str], int, int, int]]) -> list[Transfer]:
    return [
        desk.transfer(debit, credit, fen, f"c{call}e{entry}", day=DAY + timedelta(days=days), leg=leg)
        for leg, (debit, credit, fen, entry, days) in enumerate(wanted)
    ]


def model(balances: dict[int, int], floors: dict[int, int], transfers: list[Transfer]) -> tuple[list[Transfer], dict[int, int]]:
    """What must be posted, and the balances (debits minus credits) after it. ``floors``: account -> sign of its normal side."""
    entries: dict[str, list[Transfer]] = defaultdict(list)
    for transfer in transfers:
        entries[transfer.source_ref].append(transfer)
    posted: list[Transfer] = []
    for entry in entries.values():
        tried = dict(balances)
        good = True
        for t in entry:
            good = good and t.amount.minor_units > 0 and t.debit_account_id != t.credit_account_id
            tried[t.debit_account_id] += t.amount.minor_units
            tried[t.credit_account_id] -= t.amount.minor_units
            good = good and all(tried[account] * sign >= 0 for account, sign in floors.items())
        if good:
            balances = tried
            posted += entry
    return posted, balances


@settings(max_examples=15)
@given(calls)
def test_the_books_do_what_a_small_model_does(
    books: Engine, wanted: list[list[tuple[tuple[str, str], tuple[str, str], int, int, int]]]
) -> None:
    with fresh_desk(books) as desk:
        floors = {desk.ids[name]: SIGN[name] for name in FLOORED}
        balances = {desk.ids[name]: 0 for name in ACCOUNTS}
        history: list[Transfer] = []
        for number, call in enumerate(wanted):
            transfers = transfers_of(desk, number, call)
            expected, balances = model(balances, floors, transfers)
            outcome = desk.post(*transfers, on_refusal="report")
            assert outcome.posted == tuple(t.transfer_id for t in expected)
            assert len(outcome.refused) == len(transfers) - len(expected)
            history += expected
            again = desk.post(*expected)
            assert (again.posted, again.already_posted) == ((), tuple(t.transfer_id for t in expected))
        for name in ACCOUNTS:
            assert balance(desk.conn, desk.ids[name]) == Money(balances[desk.ids[name]] * SIGN[name])
        as_of_equals_replay(desk, history)
        assert verify(desk.conn) == []


def as_of_equals_replay(desk: Desk, history: list[Transfer]) -> None:
    for day in (DAY - timedelta(days=2), DAY, DAY + timedelta(days=1)):
        replayed: dict[int, int] = defaultdict(int)
        for t in history:
            if t.booking_date <= day:
                replayed[t.debit_account_id] += t.amount.minor_units
                replayed[t.credit_account_id] -= t.amount.minor_units
        rows = trial_balance(desk.conn, as_of=day)
        assert {row.account_id: (row.debit - row.credit).minor_units for row in rows} == replayed
        held = desk.ids["prepayment_held", "A"]
        assert balance(desk.conn, held, as_of=day) == Money(-replayed[held])


@settings(max_examples=10)
@given(
    st.lists(st.tuples(st.sampled_from([("A", 1), ("B", 1), ("A", 2)]), st.integers(1, 50)), min_size=2, max_size=8), st.randoms()
)
def test_the_order_of_independent_entries_does_not_change_balances(
    books: Engine, wanted: list[tuple[tuple[str, int], int]], shuffling: object
) -> None:
    """Entries that only add never meet a floor, so any order, in one batch or in many, gives the same balances on every day."""
    found = []
    for variant in range(3):
        with fresh_desk(books) as desk:
            transfers = [
                desk.transfer(("custody_cash", ""), ("prepayment_held", order), fen, f"e{number}", day=DAY + timedelta(days=days))
                for number, ((order, days), fen) in enumerate(wanted)
            ]
            if variant:
                shuffling.shuffle(transfers)  # type: ignore[attr-defined]
            if variant == 1:
                desk.post(*transfers)
            else:
                for transfer in transfers:
                    desk.post(transfer)
            found.append(
                [
                    balance(desk.conn, desk.ids[name], as_of=day)
                    for name in ACCOUNTS
                    for day in (DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))
                ]
            )
    assert found[0] == found[1] == found[2]


@settings(max_examples=10)
@given(steps)
def test_statements_are_gapless_and_end_at_the_balance(
    books: Engine, wanted: list[tuple[tuple[str, str], tuple[str, str], int, int, int]]
) -> None:
    with fresh_desk(books) as desk:
        desk.post(*transfers_of(desk, 0, wanted), on_refusal="report")
        for name in ACCOUNTS:
            lines = account_statement(desk.conn, desk.ids[name], limit=100)
            assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
            assert (lines[-1].balance if lines else Money(0)) == balance(desk.conn, desk.ids[name])


def test_posters_at_the_same_time_queue_up_and_lose_nothing(books: Engine) -> None:
    """Two sessions post to the same accounts; one waits for the other, and every posting gets its own number."""
    from concurrent.futures import ThreadPoolExecutor

    with books.begin() as conn:
        desk = Desk(conn)
        desk.open_orders("A")

    def post_some(worker: int) -> None:
        for number in range(15):
            with books.begin() as conn:
                mine = replace_conn(desk, conn)
                mine.post(mine.transfer(("custody_cash", ""), ("prepayment_held", "A"), 1, f"w{worker}-{number}"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(post_some, range(3)))
    with books.connect() as conn:
        assert balance(conn, desk.ids["prepayment_held", "A"]) == Money(45)
        assert verify(conn) == []


def replace_conn(desk: Desk, conn: Connection) -> Desk:
    other = object.__new__(Desk)
    other.__dict__.update(desk.__dict__, conn=conn)
    return other


def test_a_large_batch_is_checked_without_nested_loops(books: Engine) -> None:
    """20,000 transfers over 4,000 accounts and 40 days: a quadratic plan would need minutes, the session allows seconds."""
    with books.begin() as conn:
        desk = Desk(conn)
        desk.open_orders(*[f"O{n}" for n in range(4_000)])
        conn.execute(text("SET LOCAL statement_timeout = '20s'"))
        transfers = [
            desk.transfer(
                ("custody_cash", ""), ("prepayment_held", f"O{n % 4_000}"), 1 + n % 7, f"n{n}", day=DAY + timedelta(days=n % 40)
            )
            for n in range(20_000)
        ]
        outcome = post(conn, transfers, now=NOW, actor="t", reason="r", rule_version="1")
        assert len(outcome.posted) == 20_000
        assert verify(conn) == []
        refused = desk.post(
            *[replace(t, amount=Money(9)) for t in transfers[:3]],
            desk.transfer(("prepayment_held", "O1"), ("custody_cash", ""), 10**9, "too much"),
            on_refusal="report",
        )
        assert [r.code for r in refused.refused] == [RefusalCode.EXISTS_WITH_OTHER_CONTENT] * 3 + [RefusalCode.BELOW_FLOOR]
