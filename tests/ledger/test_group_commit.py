"""Many callers, one transaction: each gets its own answer, nobody pays for another, and nothing is posted twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from ledger.group_commit import GroupCommit, GroupCommitClosed, QueueFull
from ledger.model import Clearing, PostingCall, PostingRefused, RefusalCode, Transfer
from ledger.store import balance, verify
from money import Money
from tests.ledger.conftest import NOW, Desk
from tests.ledger.test_posting import CASH, HELD_A, codes
from tests.ledger.test_properties import replace_conn

BY: dict[str, Any] = {"now": NOW, "actor": "t", "reason": "r", "rule_version": "1"}


@dataclass
class Counter:
    """Books with one hot account, and a way to post to it."""

    books: Engine
    desk: Desk

    def transfer(self, fen: int, ref: str, *, out: bool = False) -> Transfer:
        debit, credit = (HELD_A, CASH) if out else (CASH, HELD_A)
        return self.desk.transfer(debit, credit, fen, ref)

    def held(self) -> Money:
        with self.books.connect() as conn:
            assert verify(conn) == []
            return balance(conn, self.desk.ids[HELD_A])


@pytest.fixture
def counter(books: Engine) -> Counter:
    with books.begin() as conn:
        desk = Desk(conn)
        desk.open_orders("A")
    return Counter(books, desk)


def test_callers_share_commits_and_each_gets_its_own_outcome(counter: Counter) -> None:
    with GroupCommit(counter.books) as group, ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(lambda n: group.post(PostingCall([counter.transfer(1, f"n{n}")]), **BY), range(200)))
    assert [outcome.posted for outcome in outcomes] == [(counter.transfer(1, f"n{n}").transfer_id,) for n in range(200)]
    assert group.commits < group.calls == 200
    assert counter.held() == Money(200)


def test_a_refused_caller_takes_no_other_down(counter: Counter) -> None:
    good, whole = counter.transfer(5, "good"), [counter.transfer(7, "w1"), counter.transfer(100, "w2", out=True)]
    with GroupCommit(counter.books) as group:
        futures = [
            group.submit(PostingCall([transfer]), **BY)
            for transfer in (good, counter.transfer(0, "zero"), counter.transfer(6, "over", out=True))
        ]
        futures.append(group.submit(PostingCall(whole), **BY))
        futures.append(group.submit(PostingCall(whole), **BY, whole=False))
        first, zero, over, all_or_nothing, each = [future.result() for future in futures]
        with pytest.raises(PostingRefused, match="below_floor"):
            group.post(PostingCall(whole[1:]), **BY)
    assert first.posted == (good.transfer_id,)
    assert (codes(zero), zero.batch_id) == ([RefusalCode.ZERO_AMOUNT], None)
    assert codes(over) == [RefusalCode.BELOW_FLOOR]
    assert codes(all_or_nothing) == [RefusalCode.LINKED_REFUSED, RefusalCode.BELOW_FLOOR]
    assert (each.posted, codes(each)) == ((whole[0].transfer_id,), [RefusalCode.BELOW_FLOOR])
    assert counter.held() == Money(12)


def test_one_event_given_by_many_callers_at_once_is_posted_once(counter: Counter) -> None:
    transfer = counter.transfer(3, "same")
    with GroupCommit(counter.books) as group:
        outcomes = [f.result() for f in [group.submit(PostingCall([transfer]), **BY) for _ in range(20)]]
    assert sum(len(outcome.posted) for outcome in outcomes) == 1
    assert sum(len(outcome.already_posted) for outcome in outcomes) == 19
    assert counter.held() == Money(3)


def test_an_item_is_cleared_by_one_of_the_callers_who_want_to(counter: Counter) -> None:
    with counter.books.begin() as conn:
        desk = replace_conn(counter.desk, conn)
        paid, item = desk.paid("A", 500)
        desk.post(paid, open_items=[item])
        received = [desk.received(f"r{n}", 500, item) for n in range(3)]
    with GroupCommit(counter.books) as group:
        futures = [group.submit(PostingCall([transfer], clearings=[clearing]), **BY) for transfer, clearing in received]
        found = [codes(future.result()) for future in futures]
    assert found == [[], [RefusalCode.ALREADY_CLEARED], [RefusalCode.ALREADY_CLEARED]]


def test_a_call_that_contradicts_itself_is_its_callers_alone(counter: Counter) -> None:
    stray = Clearing(7, counter.transfer(1, "x").transfer_id, counter.transfer(1, "y").transfer_id)
    with GroupCommit(counter.books) as group:
        with pytest.raises(ValueError, match="not in the call"):
            group.submit(PostingCall([counter.transfer(1, "z")], clearings=[stray]), **BY)
        assert len(group.post(PostingCall([counter.transfer(1, "z")]), **BY).posted) == 1


def test_who_comes_too_late_or_too_many_is_turned_away(counter: Counter) -> None:
    with counter.books.begin() as blocker:  # holds the head, so that nothing is posted meanwhile
        blocker.execute(text("SELECT FROM journal_head FOR UPDATE"))
        group = GroupCommit(counter.books, most_waiting=2)
        taken = group.submit(PostingCall([counter.transfer(1, "taken")]), **BY)
        while group._waiting:  # the worker has it
            time.sleep(0.01)
        waiting = [group.submit(PostingCall([counter.transfer(1, f"w{n}")]), **BY) for n in range(2)]
        with pytest.raises(QueueFull, match="2 callers wait"):
            group.submit(PostingCall([counter.transfer(1, "too many")]), **BY)
    group.close()
    assert all(len(future.result().posted) == 1 for future in (taken, *waiting))
    with pytest.raises(GroupCommitClosed):
        group.submit(PostingCall([counter.transfer(1, "late")]), **BY)
    assert counter.held() == Money(3)


@pytest.fixture
def named_engine(books_url: str) -> Iterator[Engine]:
    engine = create_engine(books_url, connect_args={"application_name": "poster"})
    yield engine
    engine.dispose()


def test_a_lost_connection_is_tried_again_and_posts_once(counter: Counter, named_engine: Engine) -> None:
    """Sessions of the worker are ended over and over while callers post: before, while and after their commits."""
    stop = threading.Event()

    def cut() -> None:
        while not stop.is_set():
            with counter.books.begin() as conn:
                conn.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poster'"))
            stop.wait(0.4)

    cutter = threading.Thread(target=cut)
    with GroupCommit(named_engine, tries=50, pause_seconds=0.001) as group, ThreadPoolExecutor(8) as pool:
        cutter.start()
        try:
            outcomes = list(pool.map(lambda n: group.post(PostingCall([counter.transfer(1, f"n{n}")]), **BY), range(300)))
        finally:
            stop.set()
            cutter.join()
    assert all(len(outcome.posted) + len(outcome.already_posted) == 1 for outcome in outcomes)
    assert counter.held() == Money(300)


def test_posters_to_overlapping_institutions_do_not_wait_in_a_circle(books: Engine) -> None:
    """Two at a time, each over both institutions, naming them in opposite orders."""
    with books.begin() as conn:
        one, two = Desk(conn), Desk(conn, institution=8, custody_account=80)
        one.open_orders("A")
        two.open_orders("A")

    def both(worker: int) -> None:
        for number in range(12):
            pair = [desk.transfer(CASH, HELD_A, 1, f"w{worker}n{number}") for desk in (one, two)]
            with books.begin() as conn:
                replace_conn(one, conn).post(*(pair if worker % 2 else pair[::-1]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(both, range(4)))
    with books.connect() as conn:
        assert [balance(conn, desk.ids[HELD_A]) for desk in (one, two)] == [Money(48), Money(48)]
        assert verify(conn) == []
