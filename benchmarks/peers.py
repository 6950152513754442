"""Other ways to post, measured beside ours on the same server: the naive path, and pgledger when its SQL is at hand.

Each lives in a scratch database of its own and asserts its own result: counts, sum of balances, stored = replayed.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import psycopg
from psycopg import sql
from sqlalchemy import URL, BigInteger, Column, Connection, ForeignKey, MetaData, Table, create_engine, insert, select, text
from sqlalchemy import Text as SqlText

from benchmarks.rates import BenchmarkWrong, Rate

#: Where a checkout of pgledger keeps what its own schema needs, relative to pgledger.sql.
_ULID_FILES = ("vendor/scoville-pgsql-ulid/ulid-to-uuid.sql", "vendor/scoville-pgsql-ulid/uuid-to-ulid.sql")


@contextmanager
def scratch_database(maintenance: URL, name: str) -> Iterator[URL]:
    """An empty database on the same server, dropped afterwards."""
    address = maintenance.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield maintenance.set(database=name)
        finally:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def pgledger_files(given: Path) -> list[Path] | None:
    """Its SQL files in the order of loading, from a checkout or the path of pgledger.sql; None when they are not there."""
    main = given / "pgledger.sql" if given.is_dir() else given
    files = [*(main.parent / name for name in _ULID_FILES), main]
    return files if all(file.is_file() for file in files) else None


def measure_pgledger(
    maintenance: URL, files: Sequence[Path], *, accounts: int, seconds: float, clients: int, together: int
) -> tuple[Rate, Rate, Rate]:
    """Its single call with ``clients`` clients, the same all on one account, and its call over an array of ``together``.

    Transfers go from one account to ``accounts`` in turn except in the first rate, where sources are spread as well.
    """
    with scratch_database(maintenance, "bench_pgledger") as url:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address) as conn:
            for file in files:
                conn.execute(file.read_text(encoding="utf-8"))
            created = "SELECT id FROM generate_series(1, %s) AS n, LATERAL pgledger_create_account('a' || n, 'CNY') AS made"
            ids = [row[0] for row in conn.execute(created, (accounts + 100,))]
            conn.commit()
            conn.autocommit = True
            conn.execute("VACUUM ANALYZE")
        hot, spread, targets = ids[0], ids[:100], ids[100:]
        single = _pgledger_clients(address, spread, targets, seconds, clients, f"pgledger, {clients} clients")
        one_hot = _pgledger_clients(address, [hot], targets, seconds, clients, f"pgledger, {clients} clients, one hot account")
        array = _pgledger_array(address, hot, targets, seconds, together)
        with psycopg.connect(address) as conn:
            _assert_pgledger(conn, single.rows + one_hot.rows + array.rows)
    return single, one_hot, array


def _pgledger_clients(  # noqa: PLR0917  whose transfers, how long, by how many
    address: str, sources: Sequence[str], targets: Sequence[str], seconds: float, clients: int, what: str
) -> Rate:
    done = [0] * clients

    def run(client: int) -> None:
        with psycopg.connect(address, autocommit=True) as conn:
            ready.wait()
            for n in itertools.count(client, clients):
                conn.execute(
                    "SELECT FROM pgledger_create_transfer(%s, %s, 100)",
                    (sources[n % len(sources)], targets[n * 7919 % len(targets)]),
                )
                done[client] += 1
                if perf_counter() > end[0]:
                    return

    end = [0.0]
    ready = threading.Barrier(clients + 1)
    threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    end[0] = perf_counter() + seconds
    ready.wait()
    started = perf_counter()
    for thread in threads:
        thread.join()
    return Rate(what, sum(done), perf_counter() - started)


def _pgledger_array(address: str, hot: str, targets: Sequence[str], seconds: float, together: int) -> Rate:
    rows = 0
    with psycopg.connect(address, autocommit=True) as conn:
        started = perf_counter()
        while perf_counter() - started < seconds:
            wanted = [targets[n * 7919 % len(targets)] for n in range(rows, rows + together)]
            conn.execute(
                "SELECT FROM pgledger_create_transfers("
                "(SELECT array_agg((%s, id, 100)::transfer_request) FROM unnest(%s::text[]) AS id))",
                (hot, wanted),
            )
            rows += together
        return Rate(f"pgledger, arrays of {together:,}", rows, perf_counter() - started)


def _assert_pgledger(conn: psycopg.Connection, rows: int) -> None:
    count = conn.execute("SELECT count(*) FROM pgledger_transfers").fetchone()
    total = conn.execute("SELECT sum(balance) FROM pgledger_accounts").fetchone()
    wrong = conn.execute(
        "SELECT count(*) FROM pgledger_accounts a WHERE balance <> (SELECT coalesce(sum(amount), 0) FROM pgledger_entries e"
        " WHERE e.account_id = a.id)"
    ).fetchone()
    if (count, total, wrong) != ((rows,), (0,), (0,)):
        raise BenchmarkWrong(f"pgledger: {rows} transfers were made; it holds {count}, balances sum to {total}, {wrong} wrong")


def measure_naive(maintenance: URL, *, rows: int, accounts: int) -> Rate:
    """What one would write first: SQLAlchemy Core, a header, two postings and two balances in one commit each. No other rule."""
    metadata = MetaData()
    balance = Table("balance", metadata, Column("id", BigInteger, primary_key=True), Column("units", BigInteger, nullable=False))
    entry = Table(
        "entry",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("key", SqlText, nullable=False, unique=True),
        Column("reason", SqlText, nullable=False),
    )
    posting = Table(
        "posting",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("entry_id", ForeignKey("entry.id"), nullable=False, index=True),
        Column("account_id", ForeignKey("balance.id"), nullable=False, index=True),
        Column("units", BigInteger, nullable=False),
    )

    def post_one(conn: Connection, number: int) -> None:
        made = conn.execute(insert(entry).values(key=f"n{number}", reason="naive").returning(entry.c.id)).scalar_one()
        for account, units in ((0, 100), (1 + number % accounts, -100)):
            now = conn.execute(select(balance.c.units).where(balance.c.id == account).with_for_update()).scalar_one()
            conn.execute(balance.update().where(balance.c.id == account).values(units=now + units))
            conn.execute(insert(posting).values(entry_id=made, account_id=account, units=units))

    with scratch_database(maintenance, "bench_naive") as url:
        engine = create_engine(url)
        try:
            with engine.begin() as conn:
                metadata.create_all(conn)
                conn.execute(text("INSERT INTO balance SELECT n, 0 FROM generate_series(0, :n) AS n"), {"n": accounts})
            started = perf_counter()
            for number in range(rows):
                with engine.begin() as conn:
                    post_one(conn, number)
            seconds = perf_counter() - started
            with engine.connect() as conn:
                found = conn.execute(text("SELECT count(*), (SELECT sum(units) FROM balance) FROM posting")).one()
        finally:
            engine.dispose()
    if tuple(found) != (2 * rows, 0):
        raise BenchmarkWrong(f"naive: {rows} entries were made; postings and sum of balances are {tuple(found)}")
    return Rate("naive: header, two postings, two balances, one commit each", rows, seconds)
