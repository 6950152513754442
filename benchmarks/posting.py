"""How fast transfers are posted: in batches, one a commit, and against the floor of COPY into the same indexed columns.

Every figure comes from one run on one database with its durability as it is configured. Before anything is returned the books are
proved: all rows are there, all balances sum to zero, everything stored equals what replaying the transfers gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, text

from ledger.chart import Chart
from ledger.model import NewAccount, Transfer, transfer_id
from ledger.store import open_accounts, open_chart, post, verify
from money import Money

_DAY = date(2025, 3, 3)
_NOW = datetime(2025, 3, 3, 12, tzinfo=UTC)
_INSTITUTION = 1


class BenchmarkWrong(AssertionError):
    """The result of a benchmarked run is not right, so its speed means nothing."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``rows`` transfers in ``seconds``; ``what`` says how."""

    what: str
    rows: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {"what": self.what, "rows": self.rows, "seconds": round(self.seconds, 4), "per_second": round(self.per_second, 1)}


@dataclass(frozen=True, slots=True)
class PostingFigures:
    """What one run measured. ``batches`` is our batch posting, ``naive`` one transfer a commit by the same function, ``floor``
    COPY of the same rows into the same columns and indexes without guards, balances or seals.
    """

    batch_rows: int
    accounts: int
    server: str
    durable: bool
    batches: Rate
    naive: Rate
    floor: Rate
    verified_postings: int
    verify_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {
            "batch_rows": self.batch_rows,
            "accounts": self.accounts,
            "server": self.server,
            "durable": self.durable,
            "batches": self.batches.as_json(),
            "naive": self.naive.as_json(),
            "floor": self.floor.as_json(),
            "batches_over_naive": round(self.batches.per_second / self.naive.per_second, 1),
            "batches_over_floor": round(self.batches.per_second / self.floor.per_second, 3),
            "verified_postings": self.verified_postings,
            "verify_seconds": round(self.verify_seconds, 3),
        }


def measure_posting(
    engine: Engine, chart: Chart, *, rows: int, batch_rows: int, naive_rows: int, accounts: int
) -> PostingFigures:
    """Post ``rows`` transfers in batches and ``naive_rows`` one a commit into an empty database at head.

    Every transfer debits one hot account (custody cash) and credits one of ``accounts`` order accounts in turn, each with a
    floor. Building the transfers is not timed, as the escrow's handlers have them anyway. Raises BenchmarkWrong.
    """
    with engine.begin() as conn:
        ids = open_chart(conn, chart, _INSTITUTION, _INSTITUTION, "CNY", ["wechat"], _DAY)
        orders = [f"O{number}" for number in range(accounts)]
        wanted = [NewAccount(_INSTITUTION, _INSTITUTION, "prepayment_held", order, "CNY", _DAY) for order in orders]
        opened = open_accounts(conn, chart, wanted)
        held = [opened[_INSTITUTION, "prepayment_held", order] for order in orders]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE account"))
        conn.execute(text("VACUUM ANALYZE account_balance"))
        server = str(conn.execute(text("SHOW server_version")).scalar_one())
        durable = all(conn.execute(text(f"SHOW {name}")).scalar_one() == "on" for name in ("fsync", "synchronous_commit"))
    transfers = [_transfer(ids["custody_cash", ""], held[n % accounts], n) for n in range(rows + naive_rows)]

    # In turns, so that whatever else the machine does meanwhile falls on all three alike.
    batch_seconds = naive_seconds = floor_seconds = 0.0
    starts = range(0, rows, batch_rows)
    with engine.connect() as conn:
        conn.execute(text("CREATE TABLE bench_floor (LIKE transfer INCLUDING ALL)"))
        conn.commit()
        for turn, start in enumerate(starts):
            batch_seconds += _timed_post(engine, transfers[start : min(start + batch_rows, rows)])
            floor_seconds += _copy_last_batch(conn)
            singles = transfers[rows:][turn * naive_rows // len(starts) : (turn + 1) * naive_rows // len(starts)]
            naive_seconds += sum(_timed_post(engine, [transfer]) for transfer in singles)
        copied = conn.execute(text("SELECT count(*) FROM bench_floor")).scalar_one()
        if copied != rows:
            raise BenchmarkWrong(f"the floor copied {copied} rows instead of {rows}")
    batches = Rate(f"batches of {batch_rows:,}", rows, batch_seconds)
    naive = Rate("one transfer a commit, same guards", naive_rows, naive_seconds)
    floor = Rate("bare COPY into the same columns and indexes", rows, floor_seconds)
    with engine.connect() as conn:
        started = perf_counter()
        _assert_right(conn, rows + naive_rows, transfers)
        verify_seconds = perf_counter() - started
    return PostingFigures(batch_rows, accounts, server, durable, batches, naive, floor, 2 * (rows + naive_rows), verify_seconds)


def _transfer(debit: int, credit: int, number: int) -> Transfer:
    return Transfer(
        transfer_id(_INSTITUTION, _DAY, "bench", str(number)),
        _INSTITUTION,
        debit,
        credit,
        Money(100 + number % 997),
        _DAY,
        "receipt_matched",
        "bench",
        str(number),
    )


def _timed_post(engine: Engine, transfers: Sequence[Transfer]) -> float:
    """Seconds from asking for a connection to the commit's return."""
    started = perf_counter()
    with engine.begin() as conn:
        outcome = post(conn, transfers, now=_NOW, actor="bench", reason="benchmark", rule_version="bench")
    seconds = perf_counter() - started
    if len(outcome.posted) != len(transfers):
        raise BenchmarkWrong(f"{len(transfers)} transfers were given, {len(outcome.posted)} were posted")
    return seconds


def _copy_last_batch(conn: Connection) -> float:
    """Seconds to COPY the newest batch into a table with the same columns, checks and indexes, and nothing else."""
    batch_id = conn.execute(text("SELECT max(batch_id) FROM posting_batch")).scalar_one()
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        with cursor.copy(f"COPY (SELECT * FROM transfer WHERE batch_id = {batch_id} ORDER BY line) TO STDOUT") as source:
            content = b"".join(bytes(block) for block in source)
        started = perf_counter()
        with cursor.copy("COPY bench_floor FROM STDIN") as target:
            target.write(content)
        conn.commit()
        return perf_counter() - started


def _assert_right(conn: Connection, expected: int, transfers: Sequence[Transfer]) -> None:
    """Counts, conservation, and replayed = stored; raises BenchmarkWrong."""
    count = conn.execute(text("SELECT count(*) FROM transfer")).scalar_one()
    if count != expected:
        raise BenchmarkWrong(f"{expected} transfers were posted, the journal holds {count}")
    total = conn.execute(text("SELECT sum(balance_minor_units) FROM account_balance")).scalar_one()
    if total != 0:
        raise BenchmarkWrong(f"all balances sum to {total} instead of 0")
    cash = conn.execute(text("SELECT max(balance_minor_units) FROM account_balance")).scalar_one()
    if cash != sum(transfer.amount.minor_units for transfer in transfers):
        raise BenchmarkWrong(f"the hot account holds {cash}")
    faults = verify(conn)
    if faults:
        raise BenchmarkWrong(f"the books do not verify: {faults[0].table} {faults[0].row}: {faults[0].what}")
