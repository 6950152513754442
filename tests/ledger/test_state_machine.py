"""A small dictionary model against the books, under faults: killed sessions, duplicate delivery, clock jumps, posters at once.

``make soak`` runs 10,000 steps; by default a sample of them. Each example is an institution of its own in one database.

What a killed session leaves behind is a matter of time, so an example may end otherwise when it is tried again: rules have
no preconditions (what may be drawn next must not follow from it), and a failing soak shows its steps as they were.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from ledger.group_commit import GroupCommit
from ledger.model import PendingTransfer, PostingCall, PostingRefused, Transfer, transfer_id
from ledger.pending import available, expire_pending, post_pending, reserve, void_pending
from ledger.period import PeriodRefused, close_period, keep_balances
from ledger.store import balance, post, trial_balance, verify
from money import Money
from tests.ledger.conftest import DAY, Desk

#: Few accounts, so that floors are met; cash has none.
ACCOUNTS = (("custody_cash", ""), ("prepayment_held", "A"), ("prepayment_held", "B"), ("payable_to_institution", ""))
SIGN = {name: 1 if name[0] == "custody_cash" else -1 for name in ACCOUNTS}
FLOORED = ACCOUNTS[1:]
LAST = DAY + timedelta(days=5)

#: (debit, credit, fen, days after DAY, entry). The same entry twice in a call is one journal entry.
legs = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(0, 40), st.integers(-40, 5), st.integers(0, 3)),
    min_size=1,
    max_size=5,
)
faults = st.sampled_from(["none", "none", "redelivered", "killed before commit", "killed at any time"])
_numbers = itertools.count(1)


class Books(RuleBasedStateMachine):
    """What must be true of the books, kept in dictionaries."""

    engine: Engine
    steps = 0

    @initialize()
    def open(self) -> None:
        """New books for this example; the database's other institutions stay."""
        self.institution = 1_000 + next(_numbers)
        with self.engine.begin() as conn:
            self.desk = Desk(conn, institution=self.institution, custody_account=self.institution)
            self.desk.open_orders("A", "B")
        self.ids = {name: self.desk.ids[name] for name in ACCOUNTS}
        self.balances: dict[tuple[str, str], int] = dict.fromkeys(ACCOUNTS, 0)
        self.reserved: dict[tuple[str, str], int] = dict.fromkeys(ACCOUNTS, 0)
        self.history: list[tuple[datetime, tuple[str, str], tuple[str, str], int, date]] = []
        self.waiting: dict[UUID, tuple[PendingTransfer, tuple[str, str], tuple[str, str]]] = {}
        self.closed: set[date] = set()
        self.delivered: list[list[Transfer]] = []
        self.clock = datetime(2025, 3, 3, tzinfo=UTC)
        self.calls = 0

    # --- The model -------------------------------------------------------------------------------------------------------

    def names(self, transfer: Transfer | PendingTransfer) -> tuple[tuple[str, str], tuple[str, str]]:
        of = {number: name for name, number in self.ids.items()}
        return of[transfer.debit_account_id], of[transfer.credit_account_id]

    def room(self, balances: dict[tuple[str, str], int]) -> bool:
        return all(balances[name] * SIGN[name] - self.reserved[name] >= 0 for name in FLOORED)

    def accept(self, transfers: list[Transfer]) -> list[Transfer]:
        """What must be posted of a new call; moves the model."""
        entries: dict[str, list[Transfer]] = defaultdict(list)
        for transfer in transfers:
            entries[transfer.source_ref].append(transfer)
        taken: list[Transfer] = []
        for entry in entries.values():
            tried, good = dict(self.balances), True
            for transfer in entry:
                debit, credit = self.names(transfer)
                good = good and transfer.amount.minor_units > 0 and debit != credit
                good = good and transfer.booking_date.replace(day=1) not in self.closed
                tried[debit] += transfer.amount.minor_units
                tried[credit] -= transfer.amount.minor_units
                good = good and self.room(tried)
            if good:
                self.balances = tried
                taken += entry
        return taken

    def remember(self, conn: Connection, taken: list[Transfer]) -> None:
        for transfer in taken:
            recorded = conn.execute(
                text(
                    "SELECT b.recorded_at FROM transfer t JOIN posting_batch b USING (institution_id, batch_id)"
                    " WHERE institution_id = :i AND transfer_id = :t"
                ),
                {"i": self.institution, "t": transfer.transfer_id},
            ).scalar_one()
            self.history.append((recorded, *self.names(transfer), transfer.amount.minor_units, transfer.booking_date))

    def call(self, wanted: list[tuple[tuple[str, str], tuple[str, str], int, int, int]]) -> list[Transfer]:
        self.calls += 1
        return [
            self.desk.transfer(debit, credit, fen, f"c{self.calls}e{entry}", day=DAY + timedelta(days=days), leg=leg)
            for leg, (debit, credit, fen, days, entry) in enumerate(wanted)
        ]

    def header(self) -> dict[str, Any]:
        return {"now": self.clock, "actor": "soak", "reason": "soak", "rule_version": "1"}

    # --- What happens ----------------------------------------------------------------------------------------------------

    @rule(hours=st.integers(-2_000, 2_000))
    def the_clock_jumps(self, hours: int) -> None:
        """The caller's; the database's own is not trusted to anybody."""
        self.clock += timedelta(hours=hours)

    @rule(wanted=legs, fault=faults, delay=st.floats(0, 0.02))
    def a_call_is_posted(
        self, wanted: list[tuple[tuple[str, str], tuple[str, str], int, int, int]], fault: str, delay: float
    ) -> None:
        transfers = self.call(wanted)
        acknowledged = None
        if fault == "killed before commit":
            with self.engine.connect() as conn:
                post(conn, transfers, **self.header(), on_refusal="report")
                _kill(self.engine, conn)
                try:
                    conn.commit()
                except DBAPIError:
                    conn.invalidate()
        elif fault == "killed at any time":
            conn = self.engine.connect()
            pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
            killer = threading.Timer(delay, _kill_pid, (self.engine, pid))
            killer.start()
            try:
                outcome = post(conn, transfers, **self.header(), on_refusal="report")
                conn.commit()
                acknowledged = outcome.posted
            except (DBAPIError, psycopg.Error):
                pass
            killer.join()
            conn.invalidate()
            conn.close()
        with self.engine.begin() as conn:  # delivered again, as a caller without an answer does
            outcome = post(conn, transfers, **self.header(), on_refusal="report")
        expected = self.accept(transfers)
        if outcome.already_posted:  # the first delivery was kept, so what it refused is judged anew, on top of what it posted
            expected += self.accept([t for t in transfers if t not in expected])
        assert {*outcome.posted, *outcome.already_posted} == {t.transfer_id for t in expected}
        if acknowledged is not None:
            assert set(outcome.already_posted) >= set(acknowledged)
        with self.engine.connect() as conn:
            self.remember(conn, expected)
        if fault == "redelivered":
            self.deliver_again(expected)
        self.delivered.append(expected)

    def deliver_again(self, transfers: list[Transfer]) -> None:
        with self.engine.begin() as conn:
            again = post(conn, transfers, **self.header())
        assert (again.posted, set(again.already_posted)) == ((), {t.transfer_id for t in transfers})

    @rule(which=st.integers(0, 1_000), other=st.booleans())
    def an_old_call_comes_again(self, which: int, other: bool) -> None:
        """With the same content it changes nothing; with another it is refused."""
        filled = [call for call in self.delivered if call]
        if not filled:
            return
        transfers = filled[which % len(filled)]
        self.deliver_again(transfers)
        if other:
            changed = [replace(t, amount=t.amount + Money(1)) for t in transfers]
            with self.engine.begin() as conn:
                outcome = post(conn, changed, **self.header(), on_refusal="report")
            assert not outcome.posted
            assert not outcome.already_posted

    @rule(amounts=st.lists(st.integers(1, 20), min_size=2, max_size=8), to=st.sampled_from(FLOORED), together=st.booleans())
    def several_post_at_once(self, amounts: list[int], to: tuple[str, str], together: bool) -> None:
        """Into a floored account, so the order does not matter; each caller gives its event twice."""
        (calls,) = [self.call([(ACCOUNTS[0], to, fen, 0, n) for n, fen in enumerate(amounts)])]
        if together:
            with GroupCommit(self.engine) as group:
                futures = [group.submit(PostingCall([t]), **self.header()) for t in [*calls, *calls]]
                outcomes = [future.result() for future in futures]
        else:

            def alone(transfer: Transfer) -> Any:
                with self.engine.begin() as conn:
                    return post(conn, [transfer], **self.header(), on_refusal="report")

            with ThreadPoolExecutor(4) as pool:
                outcomes = list(pool.map(alone, [*calls, *calls]))
        expected = self.accept(calls)
        assert sorted(str(i) for o in outcomes for i in o.posted) == sorted(str(t.transfer_id) for t in expected)
        with self.engine.connect() as conn:
            self.remember(conn, expected)

    @rule(
        source=st.sampled_from(FLOORED), to=st.sampled_from(ACCOUNTS), fen=st.integers(1, 30), lasts=st.none() | st.integers(0, 5)
    )
    def money_is_reserved(self, source: tuple[str, str], to: tuple[str, str], fen: int, lasts: int | None) -> None:
        self.calls += 1
        ref = f"p{self.calls}"
        pending = PendingTransfer(
            transfer_id(self.institution, DAY, "pending", ref),
            self.institution,
            self.ids[source],
            self.ids[to],
            Money(fen),
            DAY,
            None if lasts is None else DAY + timedelta(days=lasts),
            "soak",
            "pending",
            ref,
        )
        good = source != to and DAY.replace(day=1) not in self.closed
        good = good and -self.balances[source] - self.reserved[source] >= fen
        try:
            with self.engine.begin() as conn:
                reserve(conn, [pending], now=self.clock, actor="soak", rule_version="1")
        except PostingRefused:
            assert not good
            return
        assert good
        self.reserved[source] += fen
        self.waiting[pending.pending_id] = (pending, source, to)

    @rule(
        which=st.integers(0, 1_000),
        part=st.integers(1, 30),
        day=st.integers(0, 5),
        act=st.sampled_from(["post", "void", "expire"]),
    )
    def a_reservation_ends(self, which: int, part: int, day: int, act: str) -> None:
        if not self.waiting:
            return
        pending, source, to = self.waiting[sorted(self.waiting)[which % len(self.waiting)]]
        on = DAY + timedelta(days=day)
        if act == "expire":
            with self.engine.begin() as conn:
                expire_pending(conn, on, actor="soak")
            for key, (one, owner, _) in list(self.waiting.items()):
                if one.expires_on is not None and one.expires_on < on:
                    self.reserved[owner] -= one.amount.minor_units
                    del self.waiting[key]
            return
        if act == "void":
            with self.engine.begin() as conn:
                void_pending(conn, self.institution, [pending.pending_id], resolved_on=on, actor="soak", reason="soak")
        else:
            good = part <= pending.amount.minor_units and on.replace(day=1) not in self.closed
            good = good and (pending.expires_on is None or on <= pending.expires_on)
            try:
                with self.engine.begin() as conn:
                    post_pending(conn, self.institution, pending.pending_id, booking_date=on, amount=Money(part), **self.header())
            except PostingRefused:
                assert not good
                return
            assert good
            self.balances[source] += part
            self.balances[to] -= part
            with self.engine.connect() as conn:
                posted = self.desk.transfer(source, to, part, "", day=on)
                self.remember(conn, [replace(posted, transfer_id=pending.pending_id)])
        self.reserved[source] -= pending.amount.minor_units
        del self.waiting[pending.pending_id]

    @rule(month=st.sampled_from([date(2025, 1, 1), date(2025, 2, 1)]))
    def a_month_closes(self, month: date) -> None:
        try:
            with self.engine.begin() as conn:
                close_period(conn, self.institution, month, now=datetime(2025, 3, 5, tzinfo=UTC), actor="soak", reason="soak")
        except PeriodRefused:
            assert month in self.closed
        self.closed.add(month)

    @rule()
    def balances_are_kept(self) -> None:
        with self.engine.begin() as conn:
            keep_balances(conn)

    # --- What must be true -----------------------------------------------------------------------------------------------

    @invariant()
    def balances_and_what_is_available_agree(self) -> None:
        if not hasattr(self, "balances"):
            return
        type(self).steps += 1
        with self.engine.connect() as conn:
            for name, number in self.ids.items():
                assert balance(conn, number).minor_units == self.balances[name] * SIGN[name]
                if name in FLOORED:
                    assert available(conn, number).minor_units == self.balances[name] * SIGN[name] - self.reserved[name]

    @rule(moment=st.integers(0, 1_000), days=st.none() | st.integers(-42, 6))
    def any_two_times_agree(self, moment: int, days: int | None) -> None:
        if not self.history:
            return
        known_at = self.history[moment % len(self.history)][0]
        as_of = None if days is None else DAY + timedelta(days=days)
        expected: dict[int, int] = defaultdict(int)
        for recorded, debit, credit, fen, booked in self.history:
            if recorded <= known_at and (as_of is None or booked <= as_of):
                expected[self.ids[debit]] += fen
                expected[self.ids[credit]] -= fen
        with self.engine.connect() as conn:
            rows = trial_balance(conn, as_of=as_of, known_at=known_at, institution_ids=[self.institution])
            found = {row.account_id: (row.debit - row.credit).minor_units for row in rows}
            assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
            for name, number in self.ids.items():
                shown = balance(conn, number, as_of=as_of, known_at=known_at).minor_units
                assert shown == expected.get(number, 0) * SIGN[name]


def _kill(engine: Engine, conn: Connection) -> None:
    """End a session that has answered."""
    _kill_pid(engine, conn.execute(text("SELECT pg_backend_pid()")).scalar_one())


def _kill_pid(engine: Engine, pid: int) -> None:
    with engine.connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_the_books_agree_with_a_dictionary_whatever_happens(books: Engine) -> None:
    soak = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
    examples, steps, wanted = (50, 100, 10_000) if soak else (2, 20, 1)
    of_this_run = {"phases": [Phase.generate], "database": None} if soak else {"derandomize": True}

    class OnThisDatabase(Books):
        engine = books

    while OnThisDatabase.steps < wanted:  # an example may be shorter than it could be
        run_state_machine_as_test(
            OnThisDatabase,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                **of_this_run,
            ),
        )
    with books.connect() as conn:
        assert verify(conn) == []
    print(f"{OnThisDatabase.steps:,} steps")
