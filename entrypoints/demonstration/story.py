"""Play a simulated district through the engine, day by day, as platforms, channels, banks and the scheduler would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from escrow.handlers import (
    ImportReport,
    import_channel_settlements,
    import_class_hours,
    import_institutions,
    import_orders,
    import_refund_requests,
)
from jobs.daily import DAY_ORDER, JOBS
from jobs.directory import account_directory
from jobs.runner import run_job
from jobs.settings import JobSettings
from reconciliation.receiving import receive_statement_file
from reports.coverage import coverage
from simulation.scoring import FoundFinding

#: What platforms and channels deliver on a day, in the order it is taken in.
_DAILY_INPUTS = ("orders", "class-hours", "refund-requests", "channel-settlements")

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class DayTold:
    """One line of the demonstration's table. Amounts in fen."""

    day: date
    working_day: bool
    orders: int
    statement_files: int
    bank_lines: int
    matched: int
    discrepancies: Mapping[str, int]
    released: int
    disbursed: int
    accounts_covered: int
    accounts: int


class DistrictStory:
    """The inputs of one district folder, fed to one set of books."""

    def __init__(self, engine: sa.Engine, inputs: Path, settings: JobSettings, clock: Clock) -> None:
        self.engine = engine
        self.inputs = inputs
        self.settings = settings
        self.clock = clock
        self.findings: list[FoundFinding] = []
        self.covered: dict[tuple[str, date], bool] = {}

    def open_institutions(self) -> int:
        """Import the institutions; how many custody accounts have books now."""
        told = self.settings
        report = self._import(
            "institutions.csv",
            import_institutions,
            chart=told.chart,
            banks=told.banks,
            jurisdictions=told.policies,
            channels=told.channels,
        )
        return report.accepted

    def tell(self, day: date) -> DayTold:
        """Everything that arrives on a day, then the day's jobs."""
        orders = self._take_in(day)
        files = self._receive_statements(day)
        results = {
            name: run_job(self.engine, JOBS[name], day, self.settings, clock=self.clock, again=True).result for name in DAY_ORDER
        }
        with self.engine.connect() as connection:
            proofs = coverage(connection, day)
            named = _named_on(connection, day)
        self.covered.update({(proof.account_number, day): proof.coverage.covered for proof in proofs})
        return DayTold(
            day=day,
            working_day=self.settings.calendar.is_working_day(day),
            orders=orders,
            statement_files=files,
            bank_lines=results["reconcile"]["bank_lines"],
            matched=results["reconcile"]["matches"],
            discrepancies=named,
            released=results["release"]["amount_minor_units"],
            disbursed=results["disburse"]["disbursed_minor_units"],
            accounts_covered=sum(proof.coverage.covered for proof in proofs),
            accounts=len(proofs),
        )

    def _take_in(self, day: date) -> int:
        told = self.settings
        acts: dict[str, tuple[Callable[..., ImportReport], dict[str, Any]]] = {
            "orders": (import_orders, {"chart": told.chart, "channels": told.channels, "policies": told.policies}),
            "class-hours": (import_class_hours, {}),
            "refund-requests": (import_refund_requests, {}),
            "channel-settlements": (import_channel_settlements, {"channels": told.channels}),
        }
        orders = 0
        for kind in _DAILY_INPUTS:
            act, more = acts[kind]
            for path in sorted((self.inputs / kind).glob(f"*{day.isoformat()}.csv")):
                report = self._import(path.relative_to(self.inputs).as_posix(), act, **more)
                orders += report.accepted if kind == "orders" else 0
        return orders

    def _import(self, name: str, act: Callable[..., ImportReport], **more: Any) -> ImportReport:
        with self.engine.begin() as connection:
            data = (self.inputs / name).read_bytes()
            report = act(connection, data, Path(name).name, now=self.clock(), actor=self.settings.actor, **more)
        self.findings += [FoundFinding(name, each.line, each.field) for each in report.findings if each.refused and each.line]
        return report

    def _receive_statements(self, day: date) -> int:
        received = 0
        for path in _statement_files(self.inputs, day):
            with self.engine.begin() as connection:
                receive_statement_file(
                    connection,
                    path.read_bytes(),
                    path.name,
                    sender_bank=path.parts[-3],
                    directory=account_directory(connection),
                    profiles=self.settings.profiles,
                    now=self.clock(),
                    actor=self.settings.actor,
                )
            received += 1
        return received


def _statement_files(inputs: Path, day: date) -> list[Path]:
    return sorted((inputs / "statements").glob(f"*/{day.isoformat()}/*"))


def _named_on(connection: sa.Connection, day: date) -> Counter[str]:
    """How many discrepancies of each kind were first named on a business day."""
    rows = connection.execute(
        sa.text(
            "SELECT d.kind, count(*) FROM discrepancy d JOIN discrepancy_event e USING (institution_id, discrepancy_id) "
            "WHERE e.event_no = 1 AND e.business_date = :day GROUP BY d.kind ORDER BY d.kind"
        ),
        {"day": day},
    )
    return Counter(dict(tuple(row) for row in rows))
