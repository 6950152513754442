"""How fast transfers are posted: in batches, by many callers at once, one a commit, and beside a floor and other ways.

Every figure comes from one run on one server with its durability as it is configured. Before anything is returned the books are
proved: all rows are there, all balances sum to zero, everything stored equals what replaying the transfers gives.
"""

from __future__ import annotations

import gc
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.peers import measure_naive, measure_pgledger
from benchmarks.rates import BenchmarkWrong, Goal, Rate, quantile
from ledger.chart import Chart
from ledger.group_commit import GroupCommit
from ledger.model import NewAccount, PostingCall, Transfer, transfer_id
from ledger.store import open_accounts, open_chart, post, verify
from money import Money

OPENED, DAY = date(2024, 1, 1), date(2025, 3, 3)
NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
_INSTITUTION = 1
#: As many counter accounts as PERFORMANCE measured with; the batches that are not hot go from one of these to an order's.
_SPREAD = 1_000


@dataclass(frozen=True, slots=True)
class PostingPlan:
    """What to measure. ``pgledger``: files of its SQL in order, None to leave it out."""

    rows: int
    batch_rows: int
    naive_rows: int = 1_000
    accounts: int = 50_000
    callers: int = 64
    interactive_seconds: float = 4.0
    pgledger: Sequence[Path] | None = None


@dataclass(frozen=True, slots=True)
class PostingFigures:
    """What one run measured. ``floor`` is COPY of the hot rows into the same columns and indexes, without guards or seals."""

    plan: PostingPlan
    server: str
    durable: bool
    rates: dict[str, Rate]
    latencies_ms: dict[str, float]
    verified_postings: int
    verify_seconds: float
    calls_a_commit: float
    goals: tuple[Goal, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {
            "batch_rows": self.plan.batch_rows,
            "accounts": self.plan.accounts,
            "server": self.server,
            "durable": self.durable,
            "rates": {name: rate.as_json() for name, rate in self.rates.items()},
            "latencies_ms": {name: round(value, 2) for name, value in self.latencies_ms.items()},
            "calls_a_commit": round(self.calls_a_commit, 1),
            "goals": [goal.as_json() for goal in self.goals],
            "verified_postings": self.verified_postings,
            "verify_seconds": round(self.verify_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class BenchBooks:
    """Accounts of the scratch books: one for cash, many orders'; ``quiet`` is never posted to, ``spread`` are order
    accounts that batches can draw on.
    """

    cash: int
    quiet: int
    orders: list[int]
    spread: list[int]


def open_bench_books(engine: Engine, chart: Chart, accounts: int) -> BenchBooks:
    """Open one custody account's books with ``accounts`` order accounts; statistics are taken, as autovacuum would."""
    with engine.begin() as conn:
        ids = open_chart(conn, chart, _INSTITUTION, _INSTITUTION, "CNY", ["wechat"], OPENED)
        names = [f"O{number}" for number in range(accounts)] + [f"S{number}" for number in range(_SPREAD)]
        wanted = [NewAccount(_INSTITUTION, _INSTITUTION, "prepayment_held", name, "CNY", OPENED) for name in names]
        opened = open_accounts(conn, chart, wanted)
        held = [opened[_INSTITUTION, "prepayment_held", name] for name in names]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE account"))
        conn.execute(text("VACUUM ANALYZE account_balance"))
    return BenchBooks(ids["custody_cash", ""], ids["bank_charges", ""], held[:accounts], held[accounts:])


def measure_posting(engine: Engine, chart: Chart, plan: PostingPlan) -> PostingFigures:
    """Measure into an empty database at head; building the transfers is not timed. Raises BenchmarkWrong.

    A hot batch debits cash in every transfer and credits the order accounts in turn, each with a floor; a spread one
    debits a thousand funded accounts in turn instead. Turns are taken, so that whatever else the machine does falls on all alike.
    """
    books = open_bench_books(engine, chart, plan.accounts)
    with engine.connect() as conn:
        server = str(conn.execute(text("SHOW server_version")).scalar_one())
        durable = all(conn.execute(text(f"SHOW {name}")).scalar_one() == "on" for name in ("fsync", "synchronous_commit"))
    posted = [_transfer(books.cash, account, n, "fund", 10**9) for n, account in enumerate(books.spread)]
    _timed_post(engine, posted)
    _create_floor(engine)
    starts = range(0, plan.rows, plan.batch_rows)
    seconds = dict.fromkeys(("hot", "spread", "single", "floor"), 0.0)
    for turn, start in enumerate(starts):
        numbers = range(start, min(start + plan.batch_rows, plan.rows))
        hot = [_transfer(books.cash, books.orders[n % plan.accounts], n, "hot") for n in numbers]
        spread = [_transfer(books.spread[n % _SPREAD], books.orders[n % plan.accounts], n, "spread") for n in numbers]
        singles = range(turn * plan.naive_rows // len(starts), (turn + 1) * plan.naive_rows // len(starts))
        single = [_transfer(books.cash, books.orders[n % plan.accounts], n, "single") for n in singles]
        seconds["hot"] += _timed_post(engine, hot)
        seconds["floor"] += _copy_last_batch(engine)
        seconds["spread"] += _timed_post(engine, spread)
        seconds["single"] += sum(_timed_post(engine, [transfer]) for transfer in single)
        posted += hot + spread + single
    rates = {
        "hot": Rate(f"ours, batches of {plan.batch_rows:,}, one hot account", plan.rows, seconds["hot"]),
        "spread": Rate(
            f"ours, batches of {plan.batch_rows:,}, {_SPREAD:,} accounts to {plan.accounts:,}", plan.rows, seconds["spread"]
        ),
        "single": Rate("ours, one transfer a commit", plan.naive_rows, seconds["single"]),
        "floor": Rate("bare COPY into the same columns and indexes", plan.rows, seconds["floor"]),
    }
    gc.freeze()  # what this program keeps for its proof would stop all callers for half a second whenever garbage is looked for
    rates["direct"], direct = _direct_callers(engine, books, plan)
    rates["group"], latencies, grouped, calls_a_commit = _grouped_callers(engine, books, plan)
    posted += direct + grouped
    rates["naive"] = measure_naive(engine.url, rows=plan.naive_rows, accounts=1_000)
    if plan.pgledger is not None:
        rates["pgledger_single"], rates["pgledger_hot"], rates["pgledger_array"] = measure_pgledger(
            engine.url,
            plan.pgledger,
            accounts=min(plan.accounts, 10_000),
            seconds=plan.interactive_seconds,
            clients=8,
            together=1_000,
        )
    gc.unfreeze()
    with engine.connect() as conn:
        started = perf_counter()
        _assert_right(conn, posted, plan.rows)
        verify_seconds = perf_counter() - started
    return PostingFigures(
        plan=plan,
        server=server,
        durable=durable,
        rates=rates,
        latencies_ms={"p50": quantile(latencies, 0.5) * 1000, "p99": quantile(latencies, 0.99) * 1000},
        verified_postings=2 * len(posted),
        verify_seconds=verify_seconds,
        calls_a_commit=calls_a_commit,
        goals=_goals(rates, quantile(latencies, 0.99) * 1000),
    )


def _goals(rates: dict[str, Rate], p99_ms: float) -> tuple[Goal, ...]:
    """The ratios the design asks for (DESIGN.md 6), with what this run reached."""
    of = {name: rate.per_second for name, rate in rates.items()}
    goals = [
        Goal("batch / bare COPY into the same indexed table", of["hot"] / of["floor"], 0.30),
        Goal("batch on one hot account / spread batch", of["hot"] / of["spread"], 0.9),
        Goal("batch / naive one commit each", of["hot"] / of["naive"], 100),
        Goal("callers together / the same callers one commit each", of["group"] / of["direct"], 20),
        Goal("p99 of callers together, ms", p99_ms, 50, most=True),
    ]
    if "pgledger_single" in of:
        goals += [
            Goal("batch / pgledger with 8 clients", of["hot"] / of["pgledger_single"], 15),
            Goal("batch / pgledger's own array of 1,000", of["hot"] / of["pgledger_array"], 8),
        ]
    return tuple(goals)


def _transfer(debit: int, credit: int, number: int, kind: str, units: int | None = None) -> Transfer:
    return Transfer(
        transfer_id(_INSTITUTION, DAY, kind, str(number)),
        _INSTITUTION,
        debit,
        credit,
        Money(100 + number % 997 if units is None else units),
        DAY,
        "receipt_matched",
        kind,
        str(number),
    )


def _timed_post(engine: Engine, transfers: Sequence[Transfer]) -> float:
    """Seconds from asking for a connection to the commit's return."""
    started = perf_counter()
    with engine.begin() as conn:
        outcome = post(conn, transfers, now=NOW, actor="bench", reason="benchmark", rule_version="bench")
    seconds = perf_counter() - started
    if len(outcome.posted) != len(transfers):
        raise BenchmarkWrong(f"{len(transfers)} transfers were given, {len(outcome.posted)} were posted")
    return seconds


def _create_floor(engine: Engine) -> None:
    """An empty table with the columns, checks and indexes of that which holds the transfers posted so far, without triggers."""
    with engine.begin() as conn:
        stored_in = conn.execute(text("SELECT tableoid::regclass::text FROM transfer LIMIT 1")).scalar_one()
        conn.execute(text(f"CREATE TABLE bench_floor (LIKE {stored_in} INCLUDING ALL)"))


def _copy_last_batch(engine: Engine) -> float:
    """Seconds to COPY the newest batch, in the binary format that ours is sent in, into a table with the same columns, checks and
    indexes, and nothing else.
    """
    with engine.connect() as conn:
        batch_id = conn.execute(text("SELECT max(batch_id) FROM posting_batch")).scalar_one()
        driver = conn.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor:
            with cursor.copy(
                f"COPY (SELECT * FROM transfer WHERE batch_id = {batch_id} ORDER BY line) TO STDOUT (FORMAT binary)"
            ) as source:
                content = b"".join(bytes(block) for block in source)
            started = perf_counter()
            with cursor.copy("COPY bench_floor FROM STDIN (FORMAT binary)") as target:
                target.write(content)
            conn.commit()
            return perf_counter() - started


def _direct_callers(engine: Engine, books: BenchBooks, plan: PostingPlan) -> tuple[Rate, list[Transfer]]:
    """The callers, each posting to one hot account in transactions of its own."""
    own = create_engine(engine.url, pool_size=plan.callers, connect_args={"options": "-c timezone=UTC"})
    try:
        calls = _run_callers(books, plan, "direct", lambda transfer: _timed_post(own, [transfer]))
    finally:
        own.dispose()
    transfers = [transfer for transfer, _ in calls.made]
    return Rate(f"ours, {plan.callers} callers on one hot account, one commit each", len(transfers), calls.seconds), transfers


def _grouped_callers(engine: Engine, books: BenchBooks, plan: PostingPlan) -> tuple[Rate, list[float], list[Transfer], float]:
    """The same callers through group commit: rate, seconds each call waited, what they posted, calls a commit held."""
    with GroupCommit(engine) as group:

        def one(transfer: Transfer) -> None:
            outcome = group.post(PostingCall([transfer]), now=NOW, actor="bench", reason="benchmark", rule_version="bench")
            if len(outcome.posted) != 1:
                raise BenchmarkWrong(f"transfer {transfer.transfer_id} was not posted")

        calls = _run_callers(books, plan, "group", one)
    transfers = [transfer for transfer, _ in calls.made]
    rate = Rate(f"ours, {plan.callers} callers on one hot account, group commit", len(transfers), calls.seconds)
    return rate, [waited for _, waited in calls.made], transfers, group.calls / max(group.commits, 1)


@dataclass(frozen=True, slots=True)
class _Calls:
    """What all callers posted with the seconds each call took, and how long it took them together."""

    made: list[tuple[Transfer, float]]
    seconds: float


def _run_callers(books: BenchBooks, plan: PostingPlan, kind: str, one: Callable[[Transfer], object]) -> _Calls:
    """Callers that post one transfer after another until the time is over; the first error of any is raised."""
    made: list[list[tuple[Transfer, float]]] = [[] for _ in range(plan.callers)]
    errors: list[BaseException] = []
    ready = threading.Barrier(plan.callers + 1)
    end = [0.0]

    def run(caller: int) -> None:
        ready.wait()
        try:
            for n in itertools.count():
                number = caller + n * plan.callers
                transfer = _transfer(books.cash, books.orders[number * 7919 % plan.accounts], number, kind)
                started = perf_counter()
                one(transfer)
                now = perf_counter()
                made[caller].append((transfer, now - started))
                if now > end[0]:
                    return
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that measures
            errors.append(error)

    threads = [threading.Thread(target=run, args=(caller,)) for caller in range(plan.callers)]
    for thread in threads:
        thread.start()
    end[0] = perf_counter() + plan.interactive_seconds
    started = perf_counter()
    ready.wait()
    for thread in threads:
        thread.join()
    seconds = perf_counter() - started
    if errors:
        raise errors[0]
    return _Calls([call for caller in made for call in caller], seconds)


def _assert_right(conn: Connection, posted: Sequence[Transfer], floor_rows: int) -> None:
    """Counts, conservation, every account replayed = stored, and the books' own verification; raises BenchmarkWrong."""
    count, copied = conn.execute(text("SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM bench_floor)")).one()
    if (count, copied) != (len(posted), floor_rows):
        raise BenchmarkWrong(f"{len(posted)} transfers were posted and {floor_rows} copied; found {count} and {copied}")
    replayed: dict[int, int] = defaultdict(int)
    for transfer in posted:
        replayed[transfer.debit_account_id] += transfer.amount.minor_units
        replayed[transfer.credit_account_id] -= transfer.amount.minor_units
    stored = conn.execute(text("SELECT account_id, balance_minor_units FROM account_balance WHERE last_seq > 0")).all()
    if {row[0]: row[1] for row in stored} != replayed or sum(replayed.values()) != 0:
        raise BenchmarkWrong("stored balances are not what replaying the transfers gives")
    faults = verify(conn)
    if faults:
        raise BenchmarkWrong(f"the books do not verify: {faults[0].table} {faults[0].row}: {faults[0].what}")
