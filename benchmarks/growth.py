"""What a transfer costs when many are stored, beside what it costs when few are: two sets of books, posted to in turns.

Both hold the same accounts on the same server and differ in their history alone, so whatever else the machine does falls on both
alike. Before anything is returned both are proved: counts, conservation, every balance, and the books' own verification.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, create_engine, text

from benchmarks.peers import scratch_database
from benchmarks.posting import NOW, BenchBooks, open_bench_books
from benchmarks.rates import BenchmarkWrong, Goal, quantile
from ledger.chart import Chart
from ledger.model import Transfer, transfer_id
from ledger.store import post, verify
from migrations import runner
from money import Money

#: What the books that few transfers are stored in hold.
FEW = 100_000
_FIRST = date(2024, 1, 1)
#: The history lies on so many business days; what is measured, on the day after.
_DAYS = 300
_BATCH, _ROUNDS, _SINGLES = 20_000, 7, 200
_BUILD_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class GrowthFigures:
    """Seconds of each measured batch and of each single commit, with few transfers stored and with many."""

    stored: int
    megabytes: int
    build_seconds: float
    verify_seconds: float
    batches: tuple[tuple[float, ...], tuple[float, ...]]
    singles: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def goals(self) -> tuple[Goal, ...]:
        few, many = (quantile(seconds, 0.5) for seconds in self.batches)
        one_few, one_many = (quantile(seconds, 0.5) for seconds in self.singles)
        stored = f"{self.stored:,} stored / {FEW:,} stored"
        return (
            Goal(f"cost of a transfer in batches, {stored}", many / few, 1.3, most=True),
            Goal(f"cost of one transfer a commit, {stored}", one_many / one_few, 1.3, most=True),
        )

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``: medians, microseconds a transfer."""
        return {
            "stored": self.stored,
            "stored_before": FEW,
            "table_megabytes": self.megabytes,
            "build_seconds": round(self.build_seconds, 1),
            "verify_seconds": round(self.verify_seconds, 1),
            "batch_microseconds": [round(quantile(seconds, 0.5) / _BATCH * 1e6, 2) for seconds in self.batches],
            "single_microseconds": [round(quantile(seconds, 0.5) * 1e6) for seconds in self.singles],
        }


@dataclass(slots=True)
class _Side:
    """One set of books, and what has been posted into it."""

    engine: Engine
    books: BenchBooks
    posted: int = 0
    balances: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def post(self, count: int, day: date) -> float:
        """Post so many transfers of a day in one batch; seconds from asking for a connection to the commit's return."""
        transfers = [self._transfer(n, day) for n in range(self.posted, self.posted + count)]
        started = perf_counter()
        with self.engine.begin() as conn:
            outcome = post(conn, transfers, now=NOW, actor="bench", reason="benchmark", rule_version="bench")
        seconds = perf_counter() - started
        if len(outcome.posted) != count:
            raise BenchmarkWrong(f"{count} transfers were given, {len(outcome.posted)} were posted")
        for transfer in transfers:
            self.balances[transfer.debit_account_id] += transfer.amount.minor_units
            self.balances[transfer.credit_account_id] -= transfer.amount.minor_units
        self.posted += count
        return seconds

    def _transfer(self, n: int, day: date) -> Transfer:
        debit, credit = self.books.cash, self.books.orders[n * 7919 % len(self.books.orders)]
        identity = transfer_id(1, day, "growth", str(n))
        return Transfer(identity, 1, debit, credit, Money(100 + n % 997), day, "receipt_matched", "growth", str(n))

    def build(self, count: int) -> None:
        """Post a history of so many transfers, in order of their days; then what autovacuum does."""
        while self.posted < count:
            size = min(_BUILD_BATCH, count - self.posted)
            self.post(size, _FIRST + timedelta(days=self.posted * _DAYS // count))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(text("VACUUM ANALYZE"))

    def prove(self) -> None:
        """Raises BenchmarkWrong unless everything posted is there and the books verify."""
        with self.engine.connect() as conn:
            count = conn.execute(text("SELECT count(*) FROM transfer")).scalar_one()
            stored = conn.execute(text("SELECT account_id, balance_minor_units FROM account_balance WHERE last_seq > 0")).all()
            if count != self.posted or {row[0]: row[1] for row in stored} != self.balances or sum(self.balances.values()):
                raise BenchmarkWrong(f"{self.posted} transfers were posted; the books hold {count}, or other balances")
            faults = verify(conn)
        if faults:
            raise BenchmarkWrong(f"the books do not verify: {faults[0].table} {faults[0].row}: {faults[0].what}")


def measure_growth(server: Engine, chart: Chart, *, stored: int, accounts: int) -> GrowthFigures:
    """Build books of ``stored`` transfers and books of FEW beside them on the server of ``server``, then post to both in turns.

    Raises BenchmarkWrong.
    """
    with _side(server, chart, "bench_few", accounts) as few, _side(server, chart, "bench_many", accounts) as many:
        started = perf_counter()
        few.build(FEW)
        many.build(stored)
        build_seconds = perf_counter() - started
        day = _FIRST + timedelta(days=_DAYS)
        batches: tuple[list[float], list[float]] = ([], [])
        singles: tuple[list[float], list[float]] = ([], [])
        for side in (few, many):  # plans and pages of the first are not counted
            side.post(_BATCH, day)
        for turn in range(_ROUNDS):
            for place in (0, 1) if turn % 2 else (1, 0):
                batches[place].append((few, many)[place].post(_BATCH, day))
        for _ in range(_SINGLES):
            for place in (0, 1):
                singles[place].append((few, many)[place].post(1, day))
        with many.engine.connect() as conn:
            size = conn.execute(
                text("SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'transfer%' AND relkind = 'r'")
            ).scalar_one()
        started = perf_counter()
        few.prove()
        many.prove()
        return GrowthFigures(
            stored,
            int(size) // 1_000_000,
            build_seconds,
            perf_counter() - started,
            (tuple(batches[0]), tuple(batches[1])),
            (tuple(singles[0]), tuple(singles[1])),
        )


@contextmanager
def _side(server: Engine, chart: Chart, name: str, accounts: int) -> Iterator[_Side]:
    """Empty books at head in a database of their own on the same server, dropped afterwards."""
    with scratch_database(server.url, name) as url:
        engine = create_engine(url, connect_args={"options": "-c timezone=UTC"})
        try:
            with engine.connect() as conn:
                runner.upgrade(conn)
            yield _Side(engine, open_bench_books(engine, chart, accounts))
        finally:
            engine.dispose()
