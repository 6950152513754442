"""The act of taking in a bank's statement file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, text

from bank_adapters.detached import NOTHING_DEMANDED, ProofDemand
from bank_adapters.manifest import unproved
from bank_adapters.model import Finding, Severity, StatementFileReading
from bank_adapters.pages import join_reading
from bank_adapters.profile import Profile
from bank_adapters.worker import read_isolated
from reconciliation import intake_store
from reconciliation.chain import Chain
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.intake import account_delivered, business_date_of, content_digest, counts_at_all, faults_of
from reconciliation.intake_store import StoredFile
from reconciliation.model import AccountDirectory, CustodyAccountRef, Receipt, StatementOutcome, StatementReceipt
from reconciliation.reasons import ReasonCode, because, told
from reconciliation.superseding import supersede
from reconciliation.taking import Taking
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
    delivered_at: datetime | None = None,
) -> Receipt:
    """Store a file's bytes, read it, and let each statement count, wait, be held back or be refused.

    ``beside``: digests, signature and manifest delivered with the file (ending -> bytes), ``demand``: which of them this sender
    owes. A file they do not prove is kept, and of its statements nothing counts before two persons let them through.
    ``delivered_at``: when the bank had put it where it was collected; a deadline is held against that, not against ``now``.

    The bytes are stored whatever follows. The same bytes, or the same content under another name or encoding, count
    nothing twice and point at the first file. A statement that comes before its predecessor is kept and waits; it counts
    by itself as soon as the gap is filled. Discrepancies about files (gap, break, restated, duplicate) are recorded.
    """
    reception = _Reception(conn, sender_bank, directory, now, actor, (beside or {}, demand))
    return reception.receive(data, name, profiles, profile_id, role, delivered_at=delivered_at)


def count_waiting(conn: Connection, ref: CustodyAccountRef, *, now: datetime, actor: str) -> None:
    """Count the account's waiting statements that may count now, say because two people have explained a gap in numbers."""
    Chain(conn, now, actor).advance(ref)


def take_on(
    conn: Connection,
    statement_file_id: int,
    position: int,
    reading: StatementFileReading,
    *,
    sender_bank: str,
    ref: CustodyAccountRef,
    directory: AccountDirectory,
    now: datetime,
    actor: str,
) -> StatementReceipt:
    """Let a statement that was held back go on as if it had passed: it is judged again, knowing what two persons decided."""
    reception = _Reception(conn, sender_bank, directory, now, actor)
    if not intake_store.is_stored(conn, statement_file_id, position):
        receipt = reception.taking.take(statement_file_id, position, reading.statements[position], reading)
    else:  # it waits already, with its lines
        one, waits = reading.statements[position], StatementOutcome.WAITING
        reception.taking.chain.advance(ref)
        day = business_date_of(one)
        still = any(each.statement_file_id == statement_file_id for each in intake_store.waiting_statements(conn, ref))
        receipt = StatementReceipt(position, one.account, day, waits if still else StatementOutcome.COUNTED, ref=ref)
    reception.supersede([receipt], statement_file_id)
    return receipt


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
        self.taking = Taking(conn, sender_bank, directory, now, actor)

    def receive(
        self,
        data: bytes,
        name: str,
        profiles: Sequence[Profile],
        profile_id: str | None,
        role: str,
        *,
        delivered_at: datetime | None,
    ) -> Receipt:
        conn = self.conn
        stored = intake_store.store_file(
            conn, data, name, sender_bank=self.sender, now=self.now, actor=self.actor, delivered_at=delivered_at
        )
        reading = join_reading(read_isolated(data, name, profiles, profile_id))
        digest = content_digest(reading)
        faults = unproved(data, name, self.beside, self.demand, reading)
        same = None if faults else self._said_before(stored, reading, digest)
        if same is not None:
            statements = self._duplicates(reading, stored.statement_file_id, same, stored.same_bytes_as is not None)
        else:
            said = [told(fault.message, fault.message_zh) for fault in faults]
            statements = [
                self.taking.take(stored.statement_file_id, number, one, reading, unproved=said)
                for number, one in enumerate(reading.statements)
            ]
            reading = replace(reading, findings=(*reading.findings, *self.taking.remarks))
        if faults:
            unsound = [Finding(Severity.ERROR, one.code, one.message, message_zh=one.message_zh) for one in faults]
            reading = replace(reading, accepted=False, findings=(*unsound, *reading.findings))
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
            self.supersede(statements, stored.statement_file_id)
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

    def _said_before(self, stored: StoredFile, reading: StatementFileReading, digest: bytes | None) -> int | None:
        """The accepted file that brought the same bytes or content, unless the bank has said something else since then."""
        same = stored.same_bytes_as
        if same is not None and not intake_store.first_reading_accepted(self.conn, same, self.sender):
            same = None
        if same is None:
            same = intake_store.file_saying_the_same(self.conn, digest, self.sender)
        if same is None:
            return None
        for one in reading.statements:
            ref, day = account_delivered(self.directory, self.sender, one.account or ""), business_date_of(one)
            if ref is None or day is None or not counts_at_all(one) or faults_of(one, ref):
                continue
            if intake_store.said_before(self.conn, ref, one, day, reading.profile) is None:
                return None
        return same

    def supersede(self, statements: Sequence[StatementReceipt], file_id: int) -> None:
        """What a bank says about a signed-off day, accepted or not, opens the day again."""
        for one in statements:
            if one.outcome in _SAYS_SOMETHING_NEW and one.ref is not None and one.business_date is not None:
                reason = statement_afterwards(one.business_date, file_id, str(one.outcome))
                ids = (one.ref.institution_id, one.ref.custody_account_id)
                supersede(self.conn, *ids, one.business_date, reason=reason, now=self.now, actor=self.actor)

    def _duplicates(self, reading: StatementFileReading, file_id: int, first: int, same_bytes: bool) -> list[StatementReceipt]:
        reason = because(ReasonCode.SAME_BYTES if same_bytes else ReasonCode.SAME_CONTENT, file=first)
        found = []
        for number, one in enumerate(reading.statements):
            ref, day = account_delivered(self.directory, self.sender, one.account or ""), business_date_of(one)
            if ref is not None:
                self.taking.chain.name_duplicate(ref, day or self.taking.chain.today, (file_id, number), reason.en)
            found.append(
                StatementReceipt(
                    number, one.account, day, StatementOutcome.DUPLICATE, (reason,), str(DiscrepancyKind.DUPLICATE_FILE), ref=ref
                )
            )
        return found


_SAYS_SOMETHING_NEW = (
    StatementOutcome.COUNTED,
    StatementOutcome.WAITING,
    StatementOutcome.QUARANTINED,
    StatementOutcome.REFUSED,
)


def read_again(conn: Connection, statement_file_id: int, profiles: Sequence[Profile]) -> tuple[str, str, StatementFileReading]:
    """A file as kept, read once more by the profile it was read by: its sender, its name, what it says. Raises LookupError."""
    data = stored_bytes(conn, statement_file_id)
    row = conn.execute(
        text(
            """
            SELECT f.sender_bank, f.file_name, r.profile FROM statement_file f
            LEFT JOIN statement_file_reading r USING (statement_file_id) WHERE f.statement_file_id = :id
            """
        ),
        {"id": statement_file_id},
    ).one()
    known = row.profile if row.profile in {one.id for one in profiles} else None
    return row.sender_bank, row.file_name, join_reading(read_isolated(data, row.file_name, profiles, known))


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
