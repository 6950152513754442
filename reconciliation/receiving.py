"""The act of taking in a bank's statement file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Protocol

from sqlalchemy import Connection, text

from bank_adapters.detached import NOTHING_DEMANDED, ProofDemand
from bank_adapters.manifest import unproved
from bank_adapters.model import Finding, Severity, Statement, StatementFileReading
from bank_adapters.pages import join_reading
from bank_adapters.profile import Profile
from bank_adapters.worker import read_isolated
from calendars import business_date
from reconciliation import intake_store
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind, DiscrepancyState
from reconciliation.discrepancy_store import clear_condition, condition_id, record_found, records
from reconciliation.intake import (
    Link,
    Verdict,
    balance_off_by,
    booked_lines,
    business_date_of,
    content_digest,
    counts_at_all,
    faults_of,
    figures_of,
    find_account,
    is_balance_break,
    judge,
    outside_period,
)
from reconciliation.model import AccountDirectory, CustodyAccountRef, Receipt, StatementOutcome, StatementReceipt
from reconciliation.superseding import supersede
from reconciliation.wording import statement_afterwards
from storage import audit


def receive_statement_file(
    conn: Connection,
    data: bytes,
    name: str,
    *,
    sender_bank: str,
    directory: AccountDirectory,
    profiles: Sequence[Profile],
    now: datetime,
    actor: str,
    role: str = "system",
    profile_id: str | None = None,
    beside: Mapping[str, bytes] | None = None,
    demand: ProofDemand = NOTHING_DEMANDED,
) -> Receipt:
    """Store a file's bytes, read it, and let each statement count, wait or be refused.

    ``beside``: digests, signature and manifest delivered with the file (ending -> bytes), ``demand``: which of them this sender
    owes. A file they do not prove is kept and refused whole.

    The bytes are stored whatever follows. The same bytes, or the same content under another name or encoding, count
    nothing twice and point at the first file. A statement that comes before its predecessor is kept and waits; it counts
    by itself as soon as the gap is filled. Discrepancies about files (gap, break, restated, duplicate) are recorded.
    """
    reception = _Reception(conn, sender_bank, directory, now, actor, (beside or {}, demand))
    return reception.receive(data, name, profiles, profile_id, role)


def count_waiting(conn: Connection, ref: CustodyAccountRef, *, now: datetime, actor: str) -> None:
    """Count the account's waiting statements that may count now, say because two people have explained a gap in numbers."""
    _Reception(conn, ref.bank_code, {}, now, actor).advance(ref)


class _Outcome(Protocol):
    """Makes the receipt of the statement at hand."""

    def __call__(self, what: StatementOutcome, *reasons: str, kind: DiscrepancyKind | None = None) -> StatementReceipt: ...


class _Reception:
    """One delivery in one database transaction."""

    def __init__(  # noqa: PLR0917 - the delivery's facts
        self,
        conn: Connection,
        sender_bank: str,
        directory: AccountDirectory,
        now: datetime,
        actor: str,
        proofs: tuple[Mapping[str, bytes], ProofDemand] = ({}, NOTHING_DEMANDED),
    ) -> None:
        self.beside, self.demand = proofs
        self.conn = conn
        self.sender = sender_bank
        self.directory = directory
        self.now = now
        self.actor = actor
        self.today = business_date(now)
        #: What is remarkable about statements that count or wait all the same.
        self.remarks: list[Finding] = []

    def receive(self, data: bytes, name: str, profiles: Sequence[Profile], profile_id: str | None, role: str) -> Receipt:
        conn = self.conn
        stored = intake_store.store_file(conn, data, name, sender_bank=self.sender, now=self.now, actor=self.actor)
        reading = join_reading(read_isolated(data, name, profiles, profile_id))
        digest = content_digest(reading)
        faults = unproved(data, name, self.beside, self.demand, reading)
        if faults:
            unsound = [Finding(Severity.ERROR, one.code, one.message, message_zh=one.message_zh) for one in faults]
            reading = replace(reading, accepted=False, findings=(*unsound, *reading.findings))
        same = stored.same_bytes_as
        if same is not None and not intake_store.first_reading_accepted(conn, same, self.sender):
            same = None
        if same is None:
            same = intake_store.file_saying_the_same(conn, digest, self.sender)
        if faults:
            same = None
        if same is not None:
            statements = self._duplicates(reading, stored.statement_file_id, same, stored.same_bytes_as is not None)
        else:
            statements = [
                self._take(stored.statement_file_id, number, one, reading) for number, one in enumerate(reading.statements)
            ]
            reading = replace(reading, findings=(*reading.findings, *self.remarks))
        receipt = Receipt(
            statement_file_id=stored.statement_file_id,
            file_name=name,
            sha256=stored.sha256.hex(),
            format=reading.format,
            profile=reading.profile,
            statements=tuple(statements),
            findings=tuple(reading.findings),
            same_as_file_id=same,
        )
        intake_store.store_reading(
            conn,
            stored.statement_file_id,
            reading,
            digest=digest,
            same_content_as=same,
            accepted=not receipt.refused,
            statements=statements,
        )
        if not faults:  # what is not proved was not said by the bank
            self._supersede(receipt)
        audit.record(
            conn,
            now=self.now,
            actor=self.actor,
            role=role,
            act="intake:statement_file:refused" if receipt.refused else "intake:statement_file:received",
            object_kind="statement_file",
            object_id=str(stored.statement_file_id),
            details={
                "file_name": name,
                "sha256": receipt.sha256,
                "sender_bank": self.sender,
                "outcomes": [str(one.outcome) for one in statements],
                "beside": {ending: content.decode("utf-8", "backslashreplace")[:2000] for ending, content in self.beside.items()},
            },
        )
        return receipt

    def _supersede(self, receipt: Receipt) -> None:
        """What a bank says about a signed-off day, accepted or refused, opens the day again."""
        for one in receipt.statements:
            new = one.outcome in (StatementOutcome.COUNTED, StatementOutcome.WAITING, StatementOutcome.REFUSED)
            if new and one.ref is not None and one.business_date is not None:
                reason = statement_afterwards(one.business_date, receipt.statement_file_id, str(one.outcome))
                ids = (one.ref.institution_id, one.ref.custody_account_id)
                supersede(self.conn, *ids, one.business_date, reason=reason, now=self.now, actor=self.actor)

    def _duplicates(self, reading: StatementFileReading, file_id: int, first: int, same_bytes: bool) -> list[StatementReceipt]:
        what = "the same bytes" if same_bytes else "the same content under another name or encoding"
        reason = f"{what} came before as file {first}; nothing counts twice"
        found = []
        for number, one in enumerate(reading.statements):
            ref = find_account(self.directory, self.sender, one.account or "")[0]
            day = business_date_of(one)
            if ref is not None:
                kind = DiscrepancyKind.DUPLICATE_FILE
                identity = self._open(ref, kind, day or self.today, f"{file_id}/{number}", reason, file_id=file_id)
                clear_condition(
                    self.conn, identity, now=self.now, business_date=self.today, actor=self.actor, reason="nothing counted twice"
                )
            found.append(
                StatementReceipt(
                    number, one.account, day, StatementOutcome.DUPLICATE, (reason,), str(DiscrepancyKind.DUPLICATE_FILE), ref=ref
                )
            )
        return found

    def _take(self, file_id: int, number: int, one: Statement, reading: StatementFileReading) -> StatementReceipt:
        """Judge one statement and keep it when it may count now or later."""
        day = business_date_of(one)
        ref, why = find_account(self.directory, self.sender, one.account or "")

        def outcome(what: StatementOutcome, *reasons: str, kind: DiscrepancyKind | None = None) -> StatementReceipt:
            lines = booked_lines(one)
            why = str(kind) if kind else None
            figures = figures_of(one, lines)
            return StatementReceipt(number, one.account, day, what, reasons, why, len(lines), ref, figures)

        errors = [found for found in reading.findings if found.severity is Severity.ERROR and found.statement in (None, number)]
        if ref is None:
            return outcome(StatementOutcome.REFUSED, why, *(found.message for found in errors))
        intake_store.lock_account(self.conn, ref)
        faults: list[tuple[DiscrepancyKind | None, str]] = [
            (DiscrepancyKind.BALANCE_BREAK if is_balance_break(found.code) else None, found.message) for found in errors
        ]
        if not errors and not one.accepted:
            faults.append((None, "its reader refused it; look into it with: escrow parse FILE"))
        if counts_at_all(one) and not faults:
            faults = faults_of(one, ref)
        if day is not None and day > self.today:
            faults.append((None, f"it is for {day}, which has not come (today is {self.today}); ask the bank for the right file"))
        if errors:
            faults.append(
                (None, "ask the bank for a corrected file and receive that; of this one the bytes are kept, nothing counts")
            )
        if faults:
            kind = next((kind for kind, _ in faults if kind is not None), None)
            if kind is not None:
                difference = balance_off_by(one)
                self._open(ref, kind, day or self.today, str(day), faults[0][1], file_id=file_id, difference=difference)
            return outcome(StatementOutcome.REFUSED, *(text_ for _, text_ in faults), kind=kind)
        if not counts_at_all(one):
            return outcome(StatementOutcome.INFORMATION, f"a report of kind {one.kind} has no booked balances; it never counts")
        assert day is not None  # noqa: S101  faults_of has refused a statement without a day
        return self._chain(one, ref, day, outcome, file_id=file_id, number=number)

    def _chain(
        self,
        one: Statement,
        ref: CustodyAccountRef,
        day: date,
        outcome: _Outcome,
        *,
        file_id: int,
        number: int,
    ) -> StatementReceipt:
        last = intake_store.last_counted(self.conn, ref)
        before = intake_store.said_before(self.conn, ref, one, day)
        if before is not None:
            reason = f"file {before} brought the same statement; nothing counts twice"
            identity = self._open(ref, DiscrepancyKind.DUPLICATE_FILE, day, f"{file_id}/{number}", reason, file_id=file_id)
            clear_condition(
                self.conn, identity, now=self.now, business_date=self.today, actor=self.actor, reason="nothing counted twice"
            )
            return outcome(StatementOutcome.DUPLICATE, reason, kind=DiscrepancyKind.DUPLICATE_FILE)
        assert one.opening_balance is not None and one.closing_balance is not None  # noqa: S101, PT018  see faults_of
        link = Link(day, one.sequence, one.opening_balance.minor_units, one.closing_balance.minor_units)
        verdict = self._judge(ref, last[1] if last else None, link)
        if verdict.kind is not None and not verdict.waits:
            key = f"{day}/{file_id}" if verdict.kind is DiscrepancyKind.RESTATED else str(day)
            self._open(ref, verdict.kind, day, key, verdict.reason, file_id=file_id, difference=verdict.difference)
            return outcome(StatementOutcome.REFUSED, verdict.reason, kind=verdict.kind)
        if verdict.waits and any(
            waiting.link.business_date == day for waiting in intake_store.waiting_statements(self.conn, ref)
        ):
            kind = DiscrepancyKind.RESTATED
            reason = (
                f"another statement for {day} with other content came before and waits to be counted; ask the bank which is right"
            )
            self._open(ref, kind, day, f"{day}/{file_id}", reason, file_id=file_id)
            return outcome(StatementOutcome.REFUSED, reason, kind=kind)
        intake_store.store_statement(self.conn, ref, one, file_id=file_id, index=number, day=day)
        self.remarks += outside_period(one, number, day, last[1].business_date if last else None)
        if verdict.kind is not None:
            self._open(ref, verdict.kind, day, str(day), verdict.reason, file_id=file_id, difference=verdict.difference)
            return outcome(StatementOutcome.WAITING, verdict.reason, kind=verdict.kind)
        self.advance(ref)
        return outcome(StatementOutcome.COUNTED)

    def _judge(self, ref: CustodyAccountRef, last: Link | None, link: Link) -> Verdict:
        return judge(
            last,
            link,
            books_cash=intake_store.books_cash(self.conn, ref),
            currency=ref.currency,
            gap_explained=self._gap_explained(ref, link.business_date),
        )

    def _gap_explained(self, ref: CustodyAccountRef, day: date) -> bool:
        identity = condition_id(DiscrepancyKind.STATEMENT_GAP, ref, str(day))
        return bool(records(self.conn, discrepancy_ids=[identity], states=[DiscrepancyState.RESOLVED]))

    def advance(self, ref: CustodyAccountRef) -> None:
        """Count every waiting statement that now continues the chain, and clear what was open about its day."""
        while True:
            last = intake_store.last_counted(self.conn, ref)
            end = last[1] if last else None
            for waiting in intake_store.waiting_statements(self.conn, ref):
                verdict = self._judge(ref, end, waiting.link)
                if verdict.counts:
                    intake_store.count_statement(self.conn, ref, waiting, last[0] + 1 if last else 1)
                    self._settled(ref, waiting.link.business_date)
                    break
                if verdict.kind in (DiscrepancyKind.CONTINUITY_BREAK, DiscrepancyKind.STATEMENT_GAP) and not verdict.waits:
                    day = waiting.link.business_date
                    self._open(
                        ref,
                        verdict.kind,
                        day,
                        str(day),
                        verdict.reason,
                        file_id=waiting.statement_file_id,
                        difference=verdict.difference,
                    )
            else:
                return

    def _settled(self, ref: CustodyAccountRef, day: date) -> None:
        for kind in (
            DiscrepancyKind.STATEMENT_GAP,
            DiscrepancyKind.CONTINUITY_BREAK,
            DiscrepancyKind.BALANCE_BREAK,
            DiscrepancyKind.STATEMENT_MISSING,
        ):
            clear_condition(
                self.conn,
                condition_id(kind, ref, str(day)),
                now=self.now,
                business_date=self.today,
                actor=self.actor,
                reason=f"a statement for {day} counts now",
            )

    def _open(
        self,
        ref: CustodyAccountRef,
        kind: DiscrepancyKind,
        day: date,
        key: str,
        explanation: str,
        *,
        file_id: int,
        difference: int = 0,
    ) -> str:
        identity = condition_id(kind, ref, key)
        record_found(
            self.conn,
            [
                Discrepancy(
                    identity,
                    ref.institution_id,
                    ref.custody_account_id,
                    kind,
                    day,
                    ref.currency,
                    abs(difference),
                    difference,
                    (),
                    (),
                    explanation,
                )
            ],
            now=self.now,
            business_date=self.today,
            actor=self.actor,
            statement_file_id=file_id,
        )
        return identity


def stored_bytes(conn: Connection, statement_file_id: int) -> bytes:
    """The bytes of a file as received. Raises LookupError."""
    found = conn.execute(
        text(
            """
            SELECT coalesce(f.content, first.content) FROM statement_file f
            LEFT JOIN statement_file first ON first.statement_file_id = f.same_bytes_as WHERE f.statement_file_id = :id
            """
        ),
        {"id": statement_file_id},
    ).scalar_one_or_none()
    if found is None:
        raise LookupError(f"no statement file {statement_file_id}; escrow statement list shows them")
    return bytes(found)
