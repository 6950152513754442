"""The jobs of a business day, in their order. Each is a plain function of (connection, as_of, settings, now)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bank_adapters.detached import DigestKind, digest_file, is_signed, sign_detached
from escrow.handlers import (
    DisbursementReport,
    RefundReport,
    ReleaseReport,
    approve_refunds,
    deem_confirmations,
    fund_cleared_receipts,
    prepare_disbursements,
    release_due,
)
from escrow.store import StoredInstructionFile, instruction_files
from jobs.archiving import archive_closed_months
from jobs.collect import collect_statements
from jobs.collect_answers import collect_answers
from jobs.drop_folder import REFUSED
from jobs.instruction_key import InstructionKey, public_key_text, read_instruction_key
from jobs.outbox import place_file
from jobs.overdue import name_overdue
from jobs.reconciling import reconcile_through
from jobs.runner import Job
from jobs.settings import JobSettings
from jobs.signing_keys import keys_for_signing
from jobs.verifying import faults_in_books
from jobs.wording import TITLES
from ledger.checkpoints import take_checkpoint
from ledger.partitions import MonthsBusy, add_months
from ledger.pending import expire_pending
from ledger.period import keep_balances
from reconciliation.discrepancy import DiscrepancyState
from reconciliation.discrepancy_store import records
from storage.seal import seal_evidence

Result = Mapping[str, Any]

#: Months the journal has beyond the day's own: a scheduler may stand still for a quarter before a posting adds one itself.
MONTHS_AHEAD = 3


def _as_result(report: ReleaseReport | RefundReport | DisbursementReport) -> Result:
    """The report as JSON: its fields without the day."""
    return {field.name: _plain(getattr(report, field.name)) for field in fields(report) if field.name != "as_of"}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value


def collect(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """Receive the statement files, then the answers to instructions, lying in the banks' drop folders."""
    statements = collect_statements(connection, as_of, settings, now)
    answers = collect_answers(connection, settings, now)
    refused = answers.count(REFUSED)
    return {
        **statements,
        "files": [*statements["files"], *answers.files],
        "files_accepted": statements["files_accepted"] + len(answers.files) - refused,
        "files_refused": statements["files_refused"] + refused,
        "passed_over": [*statements["passed_over"], *(one.en for one in answers.passed_over)],
        "passed_over_zh": [*statements["passed_over_zh"], *(one.zh for one in answers.passed_over)],
        "outstanding": statements["outstanding"] or bool(refused),
    }


def reconcile(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """Compare every custody account's bank side with its book side through ``as_of``; mark cleared receipts funded."""
    totals = reconcile_through(connection, as_of, settings, now)
    funded = fund_cleared_receipts(connection, as_of)
    return {**totals, "orders_funded": funded}


def confirm(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Deem confirmed what payers left unanswered past the policy's working days."""
    return {"deemed_confirmed": deem_confirmations(connection, as_of, policies=settings.policies, calendar=settings.calendar)}


def release(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """Release confirmed class-hours of funded orders."""
    report = release_due(connection, as_of, policies=settings.policies, now=now, actor=settings.actor)
    return _as_result(report)


def refund(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """Approve refunds that are agreed, or deemed agreed after silence."""
    report = approve_refunds(
        connection, as_of, policies=settings.policies, calendar=settings.calendar, now=now, actor=settings.actor
    )
    return _as_result(report)


def disburse(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """On a working day, instruct the banks to pay out what is payable and to return approved refunds."""
    report = prepare_disbursements(
        connection,
        as_of,
        policies=settings.policies,
        calendar=settings.calendar,
        now=now,
        actor=settings.actor,
        layouts={bank.bank_code: bank.instructions for bank in settings.banks.values()},
    )
    return {**_as_result(report), "outstanding": bool(report.unwritable)}


def send(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Put the day's instruction files into the banks' outgoing folders, each after its digest and, if there is a key, its
    signature: a bank that sees a file can prove it at once.
    """
    placed = 0
    key = read_instruction_key(settings.keys)
    for file in instruction_files(connection, business_date=as_of):
        folder = settings.outbox / file.bank_code
        for kind in DigestKind:
            place_file(folder, f"{file.file_name}.{kind}", digest_file(file.content, file.file_name, kind))
        if key is not None:
            _place_signature(folder, file, key)
        placed += place_file(folder, file.file_name, file.content)
    return {"files_placed": placed}


def _place_signature(folder: Path, file: StoredInstructionFile, key: InstructionKey) -> None:
    """Put the signature there, unless one lies there that fits: an SM2 signature is another one each time it is made."""
    name = f"{file.file_name}.sig"
    lies_there = folder / name
    if not lies_there.exists() or not is_signed(file.content, lies_there.read_bytes(), public_key_text(key)):
        place_file(folder, name, sign_detached(file.content, key))


def age(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Count what is open and how old it is; the day is outstanding while anything is."""
    found = records(connection, states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED], since_until=as_of)
    oldest = min((item.discrepancy.since for item in found), default=as_of)
    days = settings.calendar.working_days_between(oldest, as_of)
    return {"open_discrepancies": len(found), "oldest_age_working_days": days, "outstanding": bool(found)}


def seal(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Seal the evidence recorded since the last seal."""
    sealed = seal_evidence(connection, now, actor=settings.actor)
    return {"seal": sealed.seq, "digest": sealed.digest.hex()}


def checkpoint(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:
    """Sign where every institution's journal and evidence stand as of the newest seal; the first use makes the key."""
    keys = keys_for_signing(connection, settings.keys, day=as_of, actor=settings.actor)
    version = f"{settings.policies.version} {settings.rules.version}"
    taken = take_checkpoint(
        connection, as_of, key=keys.key, secret=keys.secret, rules_version=version, now=now, actor=settings.actor
    )
    if taken is None:
        return {"checkpoint": None, "note": "nothing new is sealed since the last checkpoint, or a later day has one"}
    return {"checkpoint": taken.checkpoint_no, "entries": taken.tree_size, "root": taken.root.hex()}


def expire(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Free what was reserved by pending transfers whose last day has passed."""
    return {"expired": expire_pending(connection, as_of, actor=settings.actor)}


def keep(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Keep today's balances, so that what is known now is cheap to ask for later."""
    return {"institutions": keep_balances(connection)}


def extend(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Add the coming months to the journal, so that no posting has to."""
    try:
        return {"months_added": [f"{month:%Y-%m}" for month in add_months(connection, as_of, MONTHS_AHEAD)]}
    except MonthsBusy as busy:
        return {"months_added": [], "note": str(busy), "outstanding": True}


def verify(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Result:  # noqa: ARG001 - a job's shape
    """Derive every balance, digest and chain again; what does not agree is named."""
    faults = faults_in_books(connection)
    return {"faults": [f"{fault.table} {fault.row}: {fault.what}" for fault in faults[:100]], "outstanding": bool(faults)}


#: Every job by name, in the order of a day.
JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("collect", TITLES["collect"], collect, every_day=True),
        Job("reconcile", TITLES["reconcile"], reconcile, every_day=True),
        Job("overdue", TITLES["overdue"], name_overdue, every_day=True),
        Job("confirm", TITLES["confirm"], confirm, every_day=True),
        Job("expire", TITLES["expire"], expire, every_day=True),
        Job("release", TITLES["release"], release, every_day=True),
        Job("refund", TITLES["refund"], refund, every_day=True),
        Job("disburse", TITLES["disburse"], disburse, every_day=False),
        Job("send", TITLES["send"], send, every_day=False),
        Job("age", TITLES["age"], age, every_day=True),
        Job("keep", TITLES["keep"], keep, every_day=True),
        Job("extend", TITLES["extend"], extend, every_day=True),
        Job("seal", TITLES["seal"], seal, every_day=True),
        Job("checkpoint", TITLES["checkpoint"], checkpoint, every_day=True),
        Job("archive", TITLES["archive"], archive_closed_months, every_day=True),
        Job("verify", TITLES["verify"], verify, every_day=True),
    )
}

#: What ``escrow run-day`` runs; ``verify`` is the night's job and runs by itself.
DAY_ORDER = tuple(name for name in JOBS if name != "verify")
