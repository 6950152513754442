"""Two people close a day: discrepancies are resolved by one and approved by the other, then the day is signed off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import sqlalchemy as sa

from jobs.settings import JobSettings
from reconciliation.discrepancy import Act, DiscrepancyKind, DiscrepancyRecord, DiscrepancyState
from reconciliation.discrepancy_store import records
from reconciliation.model import CustodyAccountRef
from reconciliation.resolving import Actor, approve_resolution, prepare_resolution
from reconciliation.sign_off import SignOffRefused, approve_sign_off, prepare_sign_off
from reports.certificate import certificate, render
from reports.coverage import custody_account_refs
from storage.roles import EVERYWHERE, become_person, within

PREPARER = Actor("zhang.prepare", "supervisor")
APPROVER = Actor("li.approve", "approver")

#: How the demonstration's supervisor closes what the first days bring; other kinds stay open for the user to work.
_USUAL_ACT = {
    DiscrepancyKind.UNIDENTIFIED_RECEIPT: (Act.POST_TO_SUSPENSE, "no payer named; kept as unidentified until the bank answers"),
    DiscrepancyKind.MISSING_IN_LEDGER: (Act.POST_TO_SUSPENSE, "the platform was asked for the lost order; kept as unidentified"),
    DiscrepancyKind.BANK_INTEREST: (Act.BOOK_BANK_INTEREST, "interest of the bank"),
    DiscrepancyKind.BANK_CHARGE: (Act.BOOK_BANK_CHARGE, "charge of the bank, to be claimed under the custody agreement"),
    DiscrepancyKind.LATE: (Act.ACCEPT_LATE, "same reference and amount, only late"),
}

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class DaySigned:
    """What two people did about a day: discrepancies resolved, account numbers signed off, certificates written, why not all."""

    day: date
    resolved: tuple[str, ...]
    signed: tuple[str, ...]
    refused: tuple[str, ...]
    certificates: tuple[Path, ...]

    @property
    def signed_certificates(self) -> list[Path]:
        """The certificates of the accounts that are signed off."""
        return [path for path in self.certificates if path.stem in self.signed]


def close_day(
    engine: sa.Engine, day: date, settings: JobSettings, clock: Clock, folder: Path, *, reconcile_again: Callable[[], object]
) -> DaySigned:
    """Resolve what can be resolved by a usual act, sign off every account that allows it, write all certificates.

    ``reconcile_again`` runs after resolutions, because a sign-off accepts the newest run.
    """
    resolved = _resolve(engine, day, clock)
    if resolved:
        reconcile_again()
    with engine.connect() as connection:
        accounts = [ref for ref in custody_account_refs(connection) if ref.opened_on <= day]
    refused: list[str] = []
    signed: list[str] = []
    for ref in accounts:
        try:
            _sign(engine, ref, day, settings, clock)
            signed.append(ref.account_number)
        except SignOffRefused as refusal:
            refused.append(str(refusal))
    written = write_certificates(engine, accounts, day, settings, clock=clock, folder=folder)
    return DaySigned(day, tuple(resolved), tuple(signed), tuple(refused), written)


def _resolve(engine: sa.Engine, day: date, clock: Clock) -> list[str]:
    with engine.connect() as connection:
        waiting = records(connection, states=[DiscrepancyState.OPEN], since_until=day)
    return [_resolve_one(engine, record, clock) for record in waiting if record.discrepancy.kind in _USUAL_ACT]


def _resolve_one(engine: sa.Engine, record: DiscrepancyRecord, clock: Clock) -> str:
    one = record.discrepancy
    act, reason = _USUAL_ACT[one.kind]
    with engine.begin() as connection:
        within(connection, EVERYWHERE)
        prepare_resolution(connection, one.discrepancy_id, act, by=PREPARER, now=clock(), reason=reason)
    with engine.begin() as connection:
        within(connection, EVERYWHERE)
        approve_resolution(connection, one.discrepancy_id, by=APPROVER, now=clock())
    return f"{one.kind} {one.discrepancy_id[:8]}: {act}, prepared by {PREPARER.user}, approved by {APPROVER.user}"


def _sign(engine: sa.Engine, ref: CustodyAccountRef, day: date, settings: JobSettings, clock: Clock) -> None:
    with engine.begin() as connection:
        within(connection, EVERYWHERE)
        become_person(connection)
        prepare_sign_off(connection, ref, day, by=PREPARER, calendar=settings.calendar, now=clock())
    with engine.begin() as connection:
        within(connection, EVERYWHERE)
        become_person(connection)
        approve_sign_off(connection, ref, day, by=APPROVER, calendar=settings.calendar, now=clock())


def write_certificates(
    engine: sa.Engine, accounts: Sequence[CustodyAccountRef], day: date, settings: JobSettings, *, clock: Clock, folder: Path
) -> tuple[Path, ...]:
    """Write the day's certificate of every account as ``<folder>/<day>/<account>.html``."""
    target = folder / day.isoformat()
    target.mkdir(parents=True, exist_ok=True)
    written = []
    with engine.connect() as connection:
        for ref in accounts:
            made = certificate(connection, ref, day, rules=settings.rules, calendar=settings.calendar, now=clock())
            path = target / f"{ref.account_number}.html"
            path.write_text(render(made), encoding="utf-8")
            written.append(path)
    return tuple(written)
