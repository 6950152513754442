"""How fast a day's class-hours are released, beside transfers between the same accounts posted as batches of their own.

The district is made through the program's own imports: orders paid, their money shown by the bank, class-hours taught and
confirmed. Before a figure is returned every order's released money is compared with the closed form of its schedule, a
repeated release must find nothing to do, and the books and what they promise must verify.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Engine, text

from benchmarks.rates import BenchmarkWrong, Goal, Rate
from escrow import handlers
from escrow.channel import Channel
from escrow.institution import uscc_check_character
from escrow.policy import PolicyBook
from escrow.verification import verify as verify_promises
from ledger.chart import Chart
from ledger.model import Clearing, Transfer, transfer_id
from ledger.store import post, verify
from money import Money

PAID, TAUGHT = date(2025, 3, 3), date(2025, 3, 10)
NOW = datetime(2025, 3, 10, 14, tzinfo=UTC)
CLASS_HOURS = 60
_ORDERS_A_FILE = 20_000
_PRICES = (299_987, 240_001, 199_900, 123_457)
_CODE = "91330106000000001"
_ACCOUNT = "6222000000000001"


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """What the program would be configured with."""

    chart: Chart
    banks: Mapping[str, Any]
    channels: Mapping[str, Channel]
    policies: PolicyBook


@dataclass(frozen=True, slots=True)
class ReleaseFigures:
    """What one run measured. ``batch``: as many transfers between the same accounts, in any order, of no release."""

    server: str
    prepayments: int
    class_hours: int
    release: Rate
    batch: Rate
    goals: tuple[Goal, ...]
    setup_seconds: float
    verify_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {
            "server": self.server,
            "prepayments": self.prepayments,
            "class_hours_due": self.class_hours,
            "class_hours_sold": self.prepayments * CLASS_HOURS,
            "rates": {"release": self.release.as_json(), "batch": self.batch.as_json()},
            "goals": [goal.as_json() for goal in self.goals],
            "setup_seconds": round(self.setup_seconds, 1),
            "verify_seconds": round(self.verify_seconds, 1),
        }


def measure_release(engine: Engine, told: ReleaseSettings, *, prepayments: int, hours_each: int) -> ReleaseFigures:
    """Sell ``prepayments`` of 60 class-hours, confirm the first ``hours_each`` of each on one day, and release that day.

    The database must be empty and at head. Raises BenchmarkWrong.
    """
    started = perf_counter()
    with engine.connect() as conn:
        server = str(conn.execute(text("SHOW server_version")).scalar_one())
    _sell(engine, told, prepayments)
    _show_at_the_bank(engine)
    _teach(engine, prepayments, hours_each)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE"))
    setup = perf_counter() - started

    release = _timed_release(engine, told, prepayments * hours_each)
    started = perf_counter()
    with engine.begin() as conn:
        _assert_released(conn, told, prepayments, hours_each)
    proving = perf_counter() - started
    batch = _timed_batch(engine, prepayments * hours_each)
    started = perf_counter()
    with engine.connect() as conn:
        _assert_none(verify(conn))
    return ReleaseFigures(
        server=server,
        prepayments=prepayments,
        class_hours=prepayments * hours_each,
        release=release,
        batch=batch,
        goals=(Goal("day's release / batch posting, per class-hour", release.per_second / batch.per_second, 1.3),),
        setup_seconds=setup,
        verify_seconds=proving + perf_counter() - started,
    )


# -- the district ------------------------------------------------------------------------------------------------------


def _sell(engine: Engine, told: ReleaseSettings, prepayments: int) -> None:
    institution = {
        "institution_code": _CODE + uscc_check_character(_CODE), "name": "晨光培训", "jurisdiction_code": "110000",
        "bank_code": "NRB", "account_number": _ACCOUNT, "account_name": "晨光培训预收费资金托管专户", "currency": "CNY",
        "opened_on": "2024-01-01", "beneficiary_name": "晨光培训", "beneficiary_account": "9559000000000001",
        "beneficiary_bank": "北江银行",
    }  # fmt: skip
    with engine.begin() as conn:
        _taken(
            handlers.import_institutions(
                conn, _lines([institution]), "institutions.jsonl", chart=told.chart, banks=told.banks,
                jurisdictions=told.policies, channels=told.channels, now=NOW, actor="bench",
            )
        )  # fmt: skip
    for number, rows in enumerate(_files(_order(n, institution["institution_code"]) for n in range(prepayments))):
        with engine.begin() as conn:
            _taken(
                handlers.import_orders(
                    conn, _lines(rows), f"orders-{number}.jsonl", chart=told.chart, channels=told.channels,
                    policies=told.policies, now=NOW, actor="bench",
                )
            )  # fmt: skip


def _order(number: int, institution_code: str) -> dict[str, str]:
    return {
        "institution_code": institution_code, "account_number": _ACCOUNT, "order_id": f"B{number:08d}",
        "payer_token": f"payer-{number}", "student_token": f"student-{number}", "course_name": "书法",
        "class_hours": str(CLASS_HOURS), "amount": Money(_price(number)).plain, "currency": "CNY", "channel": "wechat",
        "channel_reference": f"4200{number:08d}", "paid_at": f"{PAID}T09:00:00+08:00", "course_starts_on": "2025-03-05",
        "course_ends_on": "2025-05-30",
    }  # fmt: skip


def _price(number: int) -> int:
    """Fen; odd amounts, so that instalments differ by a fen."""
    return _PRICES[number % len(_PRICES)]


def _show_at_the_bank(engine: Engine) -> None:
    """Clear every receipt against cash, as matching does, and mark the orders funded."""
    with engine.begin() as conn:
        rows = conn.execute(
            text(
                """
                SELECT p.institution_id, p.order_id, p.receipt_item_id, p.amount_minor_units, i.account_id AS transit,
                    c.account_id AS cash
                FROM prepayment p
                JOIN open_item i ON i.institution_id = p.institution_id AND i.item_id = p.receipt_item_id
                JOIN account c ON c.custody_account_id = p.custody_account_id AND c.kind = 'custody_cash'
                """
            )
        ).all()
        transfers, clearings = [], []
        for row in rows:
            moved = transfer_id(row.institution_id, PAID, "match", row.order_id)
            amount = Money(row.amount_minor_units)
            transfers.append(
                Transfer(moved, row.institution_id, row.cash, row.transit, amount, PAID, "receipt_matched", "match", row.order_id)
            )
            clearings.append(Clearing(row.institution_id, row.receipt_item_id, moved))
        post(conn, transfers, now=NOW, actor="bench", reason="match", rule_version="bench", clearings=clearings)
        handlers.fund_cleared_receipts(conn, PAID)


def _teach(engine: Engine, prepayments: int, hours_each: int) -> None:
    code = _CODE + uscc_check_character(_CODE)
    for event, at in (("taught", "10:00"), ("confirmed", "20:00")):
        events = (
            {
                "institution_code": code, "order_id": f"B{number:08d}", "class_hour_no": hour, "event": event,
                "event_at": f"{TAUGHT}T{at}:00+08:00", "reported_by": "platform",
            }
            for number in range(prepayments)
            for hour in range(1, hours_each + 1)
        )  # fmt: skip
        for part, rows in enumerate(_files(events)):
            with engine.begin() as conn:
                name = f"{event}-{part}.jsonl"
                _taken(handlers.import_class_hours(conn, _lines(rows), name, now=NOW, actor="bench"))


def _files(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while part := list(islice(rows, _ORDERS_A_FILE)):
        yield part


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _taken(report: handlers.ImportReport) -> None:
    if not report.all_taken:
        raise BenchmarkWrong(f"the benchmark's own file was refused: {report.findings[:3]}")


# -- what is timed -----------------------------------------------------------------------------------------------------


def _timed_release(engine: Engine, told: ReleaseSettings, due: int) -> Rate:
    started = perf_counter()
    with engine.begin() as conn:
        report = handlers.release_due(conn, TAUGHT, policies=told.policies, now=NOW, actor="bench")
    seconds = perf_counter() - started
    if report.class_hours != due or report.withheld:
        raise BenchmarkWrong(f"{due} class-hours were due, {report.class_hours} were released, withheld: {report.withheld}")
    return Rate("class-hours released, with all they prove", due, seconds)


def _timed_batch(engine: Engine, rows: int) -> Rate:
    """The same number of transfers between the same accounts in batches of 100,000, visited in no order."""
    with engine.connect() as conn:
        held = conn.execute(
            text("SELECT institution_id, held_account_id FROM prepayment ORDER BY institution_id, order_id")
        ).all()
        payable = conn.execute(text("SELECT account_id FROM account WHERE kind = 'payable_to_institution'")).scalar_one()
    chosen = [held[number % len(held)] for number in range(rows)]
    random.Random(7).shuffle(chosen)
    transfers = [
        Transfer(
            transfer_id(institution, TAUGHT, "bench", str(number)), institution, account, payable, Money(1), TAUGHT,
            "benchmark", "bench", str(number),
        )
        for number, (institution, account) in enumerate(chosen)
    ]  # fmt: skip
    started = perf_counter()
    for start in range(0, rows, 100_000):
        with engine.begin() as conn:
            given = transfers[start : start + 100_000]
            outcome = post(conn, given, now=NOW, actor="bench", reason="benchmark", rule_version="bench")
            if len(outcome.posted) != len(given):
                raise BenchmarkWrong(f"{len(given)} transfers were given, {len(outcome.posted)} were posted")
    return Rate("plain transfers between the same accounts, in batches", rows, perf_counter() - started)


# -- what is proved ----------------------------------------------------------------------------------------------------


def _assert_released(conn: Connection, told: ReleaseSettings, prepayments: int, hours_each: int) -> None:
    released = conn.execute(
        text(
            """
            SELECT r.order_id, count(*), sum(r.amount_minor_units)::bigint, max(r.instalment_no),
                sum(t.amount_minor_units)::bigint
            FROM release r LEFT JOIN transfer t ON t.institution_id = r.institution_id AND t.transfer_id = r.transfer_id
                AND t.source_kind = 'release'
            GROUP BY r.order_id ORDER BY r.order_id
            """
        )
    ).all()
    expected = [
        (f"B{number:08d}", hours_each, due, hours_each, due)
        for number in range(prepayments)
        for due in [_price(number) * hours_each // CLASS_HOURS]
    ]
    if [tuple(row) for row in released] != expected:
        raise BenchmarkWrong("what was released is not what the closed form of the schedules says")
    future = conn.execute(text("SELECT count(*) FROM class_hour_event")).scalar_one()
    if future != 2 * prepayments * hours_each:
        raise BenchmarkWrong(f"{future} events of class-hours are stored; there should be two for each that was given")
    again = handlers.release_due(conn, TAUGHT, policies=told.policies, now=NOW, actor="bench")
    if again.class_hours:
        raise BenchmarkWrong(f"a repeated release released {again.class_hours} class-hours once more")
    _assert_none(verify_promises(conn))


def _assert_none(faults: Sequence[object]) -> None:
    if faults:
        raise BenchmarkWrong(f"the books do not verify: {faults[:3]}")
