"""Judging one statement of a file: it counts, waits, is held back, or is refused with every reason.

A gate that two persons may overrule (``Gate``) holds a statement back; everything else that is wrong refuses it for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from bank_adapters.model import Finding, Severity, Statement, StatementFileReading, StatementKind
from reconciliation import intake_store, quarantine_store
from reconciliation.chain import Chain
from reconciliation.discrepancy import DiscrepancyKind, DiscrepancyState
from reconciliation.discrepancy_store import condition_id, records
from reconciliation.intake import (
    Fault,
    Link,
    balance_off_by,
    booked_lines,
    business_date_of,
    content_key,
    counts_at_all,
    faults_of,
    figures_of,
    find_account,
    is_balance_break,
    judge_late,
    outside_period,
    settled,
)
from reconciliation.intake_store import Neighbour, WaitingStatement
from reconciliation.line_store import lines_of
from reconciliation.model import AccountDirectory, CustodyAccountRef, Gate, StatementOutcome, StatementReceipt
from reconciliation.overlap import Absorption, Contradiction, absorbed_reason, as_counted, ends_alike, export_of, reported_reason
from reconciliation.overlap_store import kept_statement
from reconciliation.quarantine_store import Held, QuarantineState, waits_for_two
from reconciliation.reasons import Reason, ReasonCode, because, of_finding
from reconciliation.version_store import version_of_day


class _Outcome(Protocol):
    """Makes the receipt of the statement at hand."""

    def __call__(self, what: StatementOutcome, *reasons: Reason, kind: DiscrepancyKind | None = None) -> StatementReceipt: ...


class Taking:
    """The statements of one delivery in one database transaction."""

    def __init__(self, conn: Connection, sender_bank: str, directory: AccountDirectory, now: datetime, actor: str) -> None:
        self.conn = conn
        self.sender = sender_bank
        self.directory = directory
        self.now = now
        self.chain = Chain(conn, now, actor)
        #: What is remarkable about statements that count or wait all the same.
        self.remarks: list[Finding] = []

    def take(
        self, file_id: int, number: int, one: Statement, reading: StatementFileReading, *, unproved: Sequence[Reason] = ()
    ) -> StatementReceipt:
        """Judge one statement and keep it when it may count now or later. ``unproved``: what its digest, signature or manifest
        does not prove; ``reading`` without these findings.
        """
        one = settled(one)
        day = business_date_of(one)
        found = find_account(self.directory, self.sender, one.account or "")
        ref, why = (None, [found]) if isinstance(found, Reason) else (found, [])
        kept_elsewhere = find_account(self.directory, self.sender, one.account or "", any_sender=True)
        account = None if isinstance(kept_elsewhere, Reason) else kept_elsewhere
        if account is not None and ref is None and self._let_through(one, Gate.WRONG_SENDER):
            ref, why = account, []

        def outcome(what: StatementOutcome, *reasons: Reason, kind: DiscrepancyKind | None = None) -> StatementReceipt:
            lines = booked_lines(one)
            named = str(kind) if kind else None
            figures = figures_of(one, lines)
            return StatementReceipt(number, one.account, day, what, reasons, named, len(lines), ref, figures)

        errors = [found for found in reading.findings if found.severity is Severity.ERROR and found.statement in (None, number)]
        if account is None:
            return outcome(StatementOutcome.REFUSED, *why, *unproved, *(of_finding(one) for one in errors))
        intake_store.lock_account(self.conn, account)
        faults = self._faults(one, account, day, errors)
        if faults:
            kind = next((fault.kind for fault in faults if fault.kind is not None), None)
            said = [fault.reason for fault in faults]
            if kind is not None and ref is not None and not unproved:
                difference = balance_off_by(one)
                self.chain.open(ref, kind, day or self.chain.today, str(day), said[0].en, file_id=file_id, difference=difference)
            return outcome(StatementOutcome.REFUSED, *why, *unproved, *said, kind=kind)
        if not counts_at_all(one):
            if unproved or ref is None:
                return outcome(StatementOutcome.REFUSED, *why, *unproved)
            intraday = one.kind is StatementKind.INTRADAY
            return outcome(StatementOutcome.INFORMATION, because(ReasonCode.INTRADAY if intraday else ReasonCode.NOTIFICATION))
        if unproved and not self._let_through(one, Gate.UNPROVED):
            held = self._hold(one, Gate.UNPROVED, account, unproved, file_id=file_id, number=number)
            return _held(outcome, held)
        if ref is None:
            held = self._hold(one, Gate.WRONG_SENDER, account, why, file_id=file_id, number=number)
            return _held(outcome, held)
        assert day is not None  # noqa: S101  faults_of has refused a statement without a day
        return self._chain(one, ref, day, outcome, file_id=file_id, number=number, profile=reading.profile)

    def _faults(self, one: Statement, ref: CustodyAccountRef, day: date | None, errors: Sequence[Finding]) -> list[Fault]:
        """What is wrong with a statement that nobody can overrule."""
        faults = [
            Fault(DiscrepancyKind.BALANCE_BREAK if is_balance_break(found.code) else None, of_finding(found)) for found in errors
        ]
        if not errors and not one.accepted:
            faults.append(Fault(None, because(ReasonCode.READER_REFUSED)))
        if counts_at_all(one) and not faults:
            faults = faults_of(one, ref)
        if day is not None and day > self.chain.today:
            faults.append(Fault(None, because(ReasonCode.DAY_TO_COME, day=day, today=self.chain.today)))
        if errors:
            faults.append(Fault(None, because(ReasonCode.CORRECTED_FILE_WANTED)))
        return faults

    def _let_through(self, one: Statement, gate: Gate) -> bool:
        return quarantine_store.released(self.conn, one, gate)

    def _hold(
        self, one: Statement, gate: Gate, ref: CustodyAccountRef, reasons: Sequence[Reason], *, file_id: int, number: int
    ) -> Held:
        return quarantine_store.hold_back(
            self.conn, one, gate, file_id=file_id, position=number, ref=ref, reasons=reasons, now=self.now
        )

    def _chain(
        self,
        one: Statement,
        ref: CustodyAccountRef,
        day: date,
        outcome: _Outcome,
        *,
        file_id: int,
        number: int,
        profile: str | None,
    ) -> StatementReceipt:
        last = intake_store.last_counted(self.conn, ref)
        before = intake_store.said_before(self.conn, ref, one, day, profile)
        if before is not None:
            return self._duplicate(ref, day, because(ReasonCode.SAME_STATEMENT, file=before[0]), outcome, file_id, number)
        assert one.opening_balance is not None and one.closing_balance is not None  # noqa: S101, PT018  see faults_of
        link = Link(day, one.sequence, one.opening_balance.minor_units, one.closing_balance.minor_units)
        end = last[1] if last else None
        again = self.chain.told_again(ref, one, link, end, profile)
        if isinstance(again, Contradiction):
            kind = self.chain.name_contradiction(ref, again, day, file_id)
            return outcome(StatementOutcome.REFUSED, *(fault.reason for fault in again.faults), kind=kind)
        if again is not None and end is not None and again.repeated:
            if day <= end.business_date:
                return self._duplicate(ref, day, reported_reason(again), outcome, file_id, number)
            return self._absorb(one, ref, link, end, again, outcome, file_id=file_id, number=number)
        verdict = self.chain.judge(ref, end, link)
        waits = [each for each in intake_store.waiting_statements(self.conn, ref) if each.link.business_date == day]
        if verdict.kind is DiscrepancyKind.RESTATED and version_of_day(self.conn, ref, day) is None:
            return self._late(one, ref, link, again, outcome, file_id=file_id, number=number)
        if verdict.waits and waits:
            beside, longer = self._beside_what_waits(one, ref, link, waits, profile)
            if beside is not None:
                reason = because(ReasonCode.REPORTED_BY_WHAT_WAITS, count=len(booked_lines(one)), file=beside)
                return self._duplicate(ref, day, reason, outcome, file_id, number)
            waits = [] if longer else waits
        if verdict.kind is DiscrepancyKind.RESTATED or (verdict.waits and waits):
            code = ReasonCode.RESTATES_WHAT_WAITS if waits else ReasonCode.RESTATES_WHAT_COUNTS
            return self._restated(one, ref, day, outcome, code, file_id=file_id, number=number)
        fault = verdict.fault
        if fault is not None and not verdict.waits:
            self.chain.name(ref, fault, day, file_id)
            if _only_its_number(fault, link, last):
                held = self._hold(one, Gate.SEQUENCE, ref, [fault.reason], file_id=file_id, number=number)
                return _held(outcome, held, fault.kind)
            return outcome(StatementOutcome.REFUSED, fault.reason, kind=fault.kind)
        intake_store.store_statement(self.conn, ref, one, file_id=file_id, index=number, day=day)
        self.remarks += outside_period(one, number, day, last[1].business_date if last else None)
        if fault is not None:
            self.chain.name(ref, fault, day, file_id)
            waiting = outcome(StatementOutcome.WAITING, fault.reason, kind=fault.kind)
            if not _only_its_number(fault, link, last):
                return waiting
            held = self._hold(one, Gate.SEQUENCE, ref, [fault.reason], file_id=file_id, number=number)
            return replace(waiting, reasons=(*waiting.reasons, waits_for_two(held)), quarantine_id=held.quarantine_id)
        self.chain.advance(ref)
        return outcome(StatementOutcome.COUNTED)

    def _duplicate(  # noqa: PLR0917 - what became of it, of what and where
        self, ref: CustodyAccountRef, day: date, reason: Reason, outcome: _Outcome, file_id: int, number: int
    ) -> StatementReceipt:
        self.chain.name_duplicate(ref, day, (file_id, number), reason.en)
        return outcome(StatementOutcome.DUPLICATE, reason, kind=DiscrepancyKind.DUPLICATE_FILE)

    def _absorb(  # noqa: PLR0917 - what it says, and what is known of it
        self,
        one: Statement,
        ref: CustodyAccountRef,
        link: Link,
        end: Link,
        again: Absorption,
        outcome: _Outcome,
        *,
        file_id: int,
        number: int,
    ) -> StatementReceipt:
        """An export that is proved to repeat what counts: its new lines count, when its number follows."""
        said = absorbed_reason(again)
        fault = self.chain.judge(ref, end, replace(link, opening=end.closing)).fault
        if fault is not None:
            self.chain.name(ref, fault, link.business_date, file_id)
            held = self._hold(one, Gate.SEQUENCE, ref, [fault.reason], file_id=file_id, number=number)
            return _held(outcome, held, fault.kind)
        self.chain.absorb(ref, one, link, again, place=(file_id, number))
        lines = booked_lines(one)
        rest = replace(one, lines=tuple(lines[place] for place in again.new), newest_first=False)
        self.remarks += outside_period(rest, number, link.business_date, end.business_date - timedelta(days=1))
        self.chain.advance(ref)
        return replace(outcome(StatementOutcome.COUNTED, said), lines_absorbed=len(again.repeated))

    def _beside_what_waits(
        self, one: Statement, ref: CustodyAccountRef, link: Link, waits: Sequence[WaitingStatement], profile: str | None
    ) -> tuple[int | None, bool]:
        """Beside statements of its day that wait: the file of one that tells all of it; else whether it tells all of each."""
        mine = export_of(ref.custody_account_id, link, booked_lines(one), profile)
        longer = True
        for waiting in waits:
            said, _, by = kept_statement(self.conn, ref, waiting.newest_id)
            theirs = export_of(ref.custody_account_id, waiting.link, booked_lines(said), by)
            alike = waiting.link.closing == link.closing
            if alike and ends_alike(as_counted(theirs, waiting.statement_file_id), mine):
                return waiting.statement_file_id, False
            longer = longer and alike and ends_alike(as_counted(mine, 0), theirs)
        return None, longer

    def _restated(
        self,
        one: Statement,
        ref: CustodyAccountRef,
        day: date,
        outcome: _Outcome,
        code: ReasonCode,
        *,
        file_id: int,
        number: int,
    ) -> StatementReceipt:
        """Other content for a day: a proposed new version of the statement that counts or waits."""
        kind = DiscrepancyKind.RESTATED
        reason = because(code, day=day)
        held = self._hold(one, Gate.RESTATED, ref, [reason], file_id=file_id, number=number)
        self.chain.open(ref, kind, day, f"{day}/{held.statement_file_id}", reason.en, file_id=held.statement_file_id)
        return _held(outcome, held, kind)

    def _late(
        self,
        one: Statement,
        ref: CustodyAccountRef,
        link: Link,
        again: Absorption | None,
        outcome: _Outcome,
        *,
        file_id: int,
        number: int,
    ) -> StatementReceipt:
        """A statement for a day that was skipped, after a later one counts: it counts when it fits between its neighbours.

        ``again``: it tells no line, as what counts tells none of its day.
        """
        day = link.business_date
        before, after = intake_store.neighbours(self.conn, ref, day)
        assert after is not None  # noqa: S101  a later statement counts, else it would not be late
        explained = self.chain.gap_explained(ref, day)
        previous = before.link if before is not None else None
        fault = judge_late(previous, link, after.link, currency=ref.currency, number_explained=explained)
        if fault is None or fault.kind is DiscrepancyKind.STATEMENT_GAP:
            fault = self._reported_beside(one, ref, (before, after), after.link.business_date) or fault
        if fault is not None and fault.kind is DiscrepancyKind.RESTATED and again is not None:
            return self._duplicate(ref, day, reported_reason(again), outcome, file_id, number)
        if fault is not None and fault.kind is DiscrepancyKind.STATEMENT_GAP:
            self.chain.name(ref, fault, day, file_id)
            return _held(outcome, self._hold(one, Gate.SEQUENCE, ref, [fault.reason], file_id=file_id, number=number), fault.kind)
        if fault is not None:
            reasons = [fault.reason, because(ReasonCode.NOTHING_TO_REPLACE, day=day)]
            kind = DiscrepancyKind.RESTATED
            self.chain.open(ref, kind, day, f"{day}/{file_id}", "; ".join(each.en for each in reasons), file_id=file_id)
            return outcome(StatementOutcome.REFUSED, *reasons, kind=kind)
        kept = intake_store.store_statement(self.conn, ref, one, file_id=file_id, index=number, day=day)
        self.remarks += outside_period(one, number, day, previous.business_date if previous is not None else None)
        last = intake_store.last_counted(self.conn, ref)
        assert last is not None  # noqa: S101  see after
        intake_store.count_statement(self.conn, ref, kept, day, last[0] + 1)
        self.chain.settled(ref, day)
        self._close_what_was_late(ref, day, after.link.business_date)
        return outcome(StatementOutcome.COUNTED)

    def _reported_beside(
        self, one: Statement, ref: CustodyAccountRef, beside: Sequence[Neighbour | None], after: date
    ) -> Fault | None:
        """Lines of a late statement that the statement before or after it has reported: they would count twice."""
        mine = Counter(content_key(ref.custody_account_id, line) for line in booked_lines(one))
        for neighbour in beside if mine else ():
            if neighbour is None:
                continue
            kept = lines_of(self.conn, ref.institution_id, neighbour.statement_id)
            twice = mine & Counter(content_key(ref.custody_account_id, each.line) for each in kept)
            if twice:
                reported = neighbour.link.business_date
                reason = because(ReasonCode.LATE_LINES, after=after, count=twice.total(), reported=reported)
                return Fault(DiscrepancyKind.RESTATED, reason)
        return None

    def _close_what_was_late(self, ref: CustodyAccountRef, day: date, after: date) -> None:
        """The late statement fills the gap the one after it was named for, and answers files for its day that did not fit."""
        unfit = records(
            self.conn,
            custody_account_id=ref.custody_account_id,
            kinds=[str(DiscrepancyKind.RESTATED)],
            states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED],
            on=day,
        )
        ids = [condition_id(DiscrepancyKind.STATEMENT_GAP, ref, str(after)), *(one.discrepancy.discrepancy_id for one in unfit)]
        self.chain.clear(ids, f"the statement for {day} that was missing counts now")


def _only_its_number(fault: Fault, link: Link, last: tuple[int, Link] | None) -> bool:
    """Whether a statement continues the balance and only its number does not follow."""
    return fault.kind is DiscrepancyKind.STATEMENT_GAP and last is not None and link.opening == last[1].closing


def _held(outcome: _Outcome, held: Held, kind: DiscrepancyKind | None = None) -> StatementReceipt:
    made = outcome(StatementOutcome.QUARANTINED, *held.reasons, waits_for_two(held), kind=kind)
    return replace(made, quarantine_id=held.quarantine_id, turned_down=held.state is QuarantineState.REJECTED)
