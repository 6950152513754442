"""How fast the books answer: now, as of a day, as known at an instant; pages; and what a back-dated posting costs.

Each answer is compared with a replay of all transfers before its time is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, text

from benchmarks.posting import NOW, BenchBooks, open_bench_books
from benchmarks.rates import BenchmarkWrong, Goal, quantile
from ledger.chart import Chart
from ledger.model import Transfer, transfer_id
from ledger.period import keep_balances
from ledger.store import account_statement, balance, journal, post, trial_balance, verify
from money import Money

_FIRST = date(2024, 1, 1)
_DAYS = 300
#: Balances are kept as a nightly job would, ten times over the whole history.
_KEPT = 10


@dataclass(frozen=True, slots=True)
class ReportFigures:
    """Medians in milliseconds by question, seconds to build, and the goals of the design."""

    rows: int
    accounts: int
    server: str
    build_seconds: float
    first_batch_seconds: float
    last_batch_seconds: float
    milliseconds: dict[str, float]
    goals: tuple[Goal, ...]

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {
            "rows": self.rows,
            "accounts": self.accounts,
            "server": self.server,
            "build_seconds": round(self.build_seconds, 2),
            "first_batch_seconds": round(self.first_batch_seconds, 3),
            "last_batch_seconds": round(self.last_batch_seconds, 3),
            "milliseconds": {name: round(value, 3) for name, value in self.milliseconds.items()},
            "goals": [goal.as_json() for goal in self.goals],
        }


class _Replay:
    """Balances of an account or of all, from the transfers themselves."""

    def __init__(self) -> None:
        self.transfers: list[tuple[datetime, date, int, int, int]] = []

    def balances(self, as_of: date | None, known_at: datetime | None) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        for recorded, day, debit, credit, units in self.transfers:
            if (as_of is None or day <= as_of) and (known_at is None or recorded <= known_at):
                found[debit] += units
                found[credit] -= units
        return found


def measure_reports(engine: Engine, chart: Chart, *, rows: int, batch_rows: int, accounts: int) -> ReportFigures:
    """Post ``rows`` transfers over 300 business days into an empty database, then ask. Every transfer debits one hot account.

    Raises BenchmarkWrong when an answer is not what a replay gives.
    """
    books = open_bench_books(engine, chart, accounts)
    replay, seconds = _build(engine, books, rows, batch_rows)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))
    milliseconds: dict[str, float] = {}
    with engine.connect() as conn:
        server = str(conn.execute(text("SHOW server_version")).scalar_one())
        instants = sorted({recorded for recorded, *_ in replay.transfers})
        middle_day, middle = _FIRST + timedelta(days=_DAYS // 2), instants[int(len(instants) * 0.55)]
        for what, account in (("hot account", books.cash), ("cold account", books.orders[len(books.orders) // 2])):
            _ask_account(conn, milliseconds, what, account, replay, middle_day, middle)
        _ask_pages(conn, milliseconds, books.cash, rows)
        _ask_journal(conn, milliseconds)
        _ask_all(conn, milliseconds, replay, middle_day, middle)
    for what, debit, credit in (
        ("hot account with all its history", books.cash, books.orders[0]),
        ("accounts with almost none", books.quiet, books.spread[0]),
    ):
        milliseconds[f"back-dated posting, {what}"] = _back_dated(engine, debit, credit, replay)
    with engine.connect() as conn:
        _ask_account(conn, milliseconds, "back-dated hot account", books.cash, replay, middle_day, middle)
    with engine.connect() as conn:
        faults = verify(conn)
    if faults:
        raise BenchmarkWrong(f"the books do not verify: {faults[0].table} {faults[0].row}: {faults[0].what}")
    return ReportFigures(
        rows, accounts, server, sum(seconds), seconds[0], seconds[-1], milliseconds, _goals(milliseconds, seconds)
    )


def _build(engine: Engine, books: BenchBooks, rows: int, batch_rows: int) -> tuple[_Replay, list[float]]:
    replay, seconds = _Replay(), []
    starts = list(range(0, rows, batch_rows))
    for turn, start in enumerate(starts):
        transfers = [
            _transfer(
                books.cash,
                books.orders[n * 7919 % len(books.orders)],
                _FIRST + timedelta(days=n * _DAYS // rows),
                f"{n}",
            )
            for n in range(start, min(start + batch_rows, rows))
        ]
        began = perf_counter()
        with engine.begin() as conn:
            outcome = post(conn, transfers, now=NOW, actor="bench", reason="benchmark", rule_version="bench")
        seconds.append((perf_counter() - began) * batch_rows / len(transfers))
        if len(outcome.posted) != len(transfers):
            raise BenchmarkWrong(f"{len(transfers)} transfers were given, {len(outcome.posted)} were posted")
        with engine.begin() as conn:
            recorded = conn.execute(text("SELECT max(recorded_at) FROM posting_batch")).scalar_one()
            if turn % max(1, len(starts) // _KEPT) == 0:
                keep_balances(conn)
        replay.transfers += [
            (recorded, t.booking_date, t.debit_account_id, t.credit_account_id, t.amount.minor_units) for t in transfers
        ]
    return replay, seconds


def _transfer(debit: int, credit: int, day: date, ref: str) -> Transfer:
    number = int(ref) if ref.isdecimal() else 0
    identity = transfer_id(1, day, "report", ref)
    return Transfer(identity, 1, debit, credit, Money(100 + number % 997), day, "receipt_matched", "report", ref)


def _timed(act: Callable[[], object], times: int = 15) -> float:
    """Median milliseconds; the first, which plans and warms, is not counted."""
    act()
    taken = []
    for _ in range(times):
        began = perf_counter()
        act()
        taken.append((perf_counter() - began) * 1000)
    return quantile(taken, 0.5)


def _ask_account(  # noqa: PLR0917  whose balance, when, and where the time goes
    conn: Connection, into: dict[str, float], what: str, account: int, replay: _Replay, day: date, instant: datetime
) -> None:
    for name, as_of, known_at in (
        ("now", None, None), ("as of", day, None), ("known at", None, instant), ("as of and known at", day, instant),
    ):  # fmt: skip
        shown = balance(conn, account, as_of=as_of, known_at=known_at).minor_units
        expected = replay.balances(as_of, known_at)[account]
        if abs(shown) != abs(expected):
            raise BenchmarkWrong(f"{what}, {name}: {shown} instead of {expected}")
        into[f"{what}, {name}"] = _timed(lambda as_of=as_of, known_at=known_at: balance(conn, account, as_of, known_at))  # type: ignore[misc]


def _ask_pages(conn: Connection, into: dict[str, float], account: int, rows: int) -> None:
    for name, after in (("first", 0), ("middle", rows // 2), ("last", rows - 50)):
        page = account_statement(conn, account, after=after, limit=50)
        if [line.seq for line in page] != list(range(after + 1, min(after + 50, rows) + 1)):
            raise BenchmarkWrong(f"the {name} page of the hot account does not follow posting {after}")
        into[f"statement page of 50, {name}"] = _timed(lambda after=after: account_statement(conn, account, after=after))  # type: ignore[misc]
    day = _FIRST + timedelta(days=_DAYS - 2)
    into["statement page of 50, by a late day"] = _timed(lambda: account_statement(conn, account, from_=day, to=day))


def _ask_journal(conn: Connection, into: dict[str, float]) -> None:
    last = conn.execute(text("SELECT max(batch_id) FROM posting_batch")).scalar_one()
    for name, after in (("first", (1, 1, 0)), ("middle", (1, last // 2, 10)), ("last", (1, last, 10))):
        page = journal(conn, after=after, limit=50)
        lines = [(line.batch_id, line.line) for line in page]
        if lines != sorted(lines) or lines[0] != (after[1], after[2] + 1) or len(lines) > 50:
            raise BenchmarkWrong(f"the {name} page of the journal does not follow {after}")
        into[f"journal page of 50, {name}"] = _timed(lambda after=after: journal(conn, after=after, limit=50))  # type: ignore[misc]


_FULL_SUM = """
    SELECT account_id, sum(units) FROM (
        SELECT debit_account_id AS account_id, amount_minor_units AS units FROM transfer
        UNION ALL SELECT credit_account_id, -amount_minor_units FROM transfer) AS leg
    GROUP BY account_id
"""


def _ask_all(conn: Connection, into: dict[str, float], replay: _Replay, day: date, instant: datetime) -> None:
    summed = {row[0]: row[1] for row in conn.execute(text(_FULL_SUM))}
    if summed != replay.balances(None, None):
        raise BenchmarkWrong("a full sum of the transfers is not what replaying them gives")
    into["all accounts, full sum of every posting"] = _timed(lambda: conn.execute(text(_FULL_SUM)).all(), 3)
    for name, as_of, known_at in (("now", None, None), ("as of", day, None), ("known at", None, instant)):
        rows = trial_balance(conn, as_of=as_of, known_at=known_at)
        shown = {row.account_id: (row.debit - row.credit).minor_units for row in rows}
        if shown != replay.balances(as_of, known_at):
            raise BenchmarkWrong(f"all accounts, {name}: not what a replay gives")
        into[f"all accounts, {name}"] = _timed(
            lambda as_of=as_of, known_at=known_at: trial_balance(conn, as_of=as_of, known_at=known_at, by="kind"),  # type: ignore[misc]
            3,
        )


def _back_dated(engine: Engine, debit: int, credit: int, replay: _Replay) -> float:
    """Median milliseconds of one posting booked on the second day, in its own transaction."""
    posted: list[Transfer] = []

    def one() -> None:
        late = _transfer(debit, credit, _FIRST + timedelta(days=1), f"late {debit} {len(posted)}")
        with engine.begin() as conn:
            post(conn, [late], now=NOW, actor="bench", reason="benchmark", rule_version="bench")
        posted.append(late)

    taken = _timed(one)
    with engine.connect() as conn:
        recorded = conn.execute(text("SELECT max(recorded_at) FROM posting_batch")).scalar_one()
    replay.transfers += [
        (recorded, t.booking_date, t.debit_account_id, t.credit_account_id, t.amount.minor_units) for t in posted
    ]
    return taken


def _goals(milliseconds: dict[str, float], seconds: Sequence[float]) -> tuple[Goal, ...]:
    one = max(value for name, value in milliseconds.items() if "account," in name and "posting" not in name)
    pages = {name: value for name, value in milliseconds.items() if name.startswith("statement page")}
    journals = {name: value for name, value in milliseconds.items() if name.startswith("journal page")}
    full = milliseconds["all accounts, full sum of every posting"]
    hot = milliseconds["back-dated posting, hot account with all its history"]
    cold = milliseconds["back-dated posting, accounts with almost none"]
    last, first = quantile(seconds[-3:], 0.5), quantile(seconds[:3], 0.5)
    return (
        Goal("one account at any two times, ms", one, 1, most=True),
        Goal("all accounts as of a day / full sum", milliseconds["all accounts, as of"] / full, 0.4, most=True),
        Goal("all accounts as known at / full sum", milliseconds["all accounts, known at"] / full, 0.4, most=True),
        Goal("deepest statement page / first", max(pages.values()) / pages["statement page of 50, first"], 2, most=True),
        Goal("deepest journal page / first", max(journals.values()) / journals["journal page of 50, first"], 2, most=True),
        Goal("back-dated posting, all history / almost none", hot / cold, 1.3, most=True),
        Goal("last batches of the history / its first", last / first, 1.3, most=True),
    )
