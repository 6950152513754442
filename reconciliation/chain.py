"""The chain of an account's statements: what counts next, what an export adds to it, what is named when one does not fit."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import Connection

from bank_adapters.model import Statement
from calendars import business_date
from reconciliation import intake_store, overlap_store, quarantine_store
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind, DiscrepancyState
from reconciliation.discrepancy_store import clear_condition, condition_id, record_found, records
from reconciliation.intake import Fault, Link, Verdict, booked_lines, judge
from reconciliation.intake_store import WaitingStatement
from reconciliation.model import CustodyAccountRef, StatementOutcome
from reconciliation.overlap import Absorption, Contradiction, export_of, first_day_of, overlap_of, reported_already
from reconciliation.reasons import ReasonCode, because
from reconciliation.superseding import supersede
from reconciliation.wording import statement_afterwards


class Chain:
    """Acts on the chain of an account in one database transaction."""

    def __init__(self, conn: Connection, now: datetime, actor: str) -> None:
        self.conn = conn
        self.now = now
        self.actor = actor
        self.today = business_date(now)

    def judge(self, ref: CustodyAccountRef, last: Link | None, link: Link) -> Verdict:
        """Whether a statement continues the chain that ends with ``last``."""
        return judge(
            last,
            link,
            books_cash=intake_store.books_cash(self.conn, ref),
            currency=ref.currency,
            gap_explained=self.gap_explained(ref, link.business_date),
        )

    def gap_explained(self, ref: CustodyAccountRef, day: date) -> bool:
        """Whether two people have explained the number of a day's statement."""
        identity = condition_id(DiscrepancyKind.STATEMENT_GAP, ref, str(day))
        return bool(
            records(self.conn, discrepancy_ids=[identity], states=[DiscrepancyState.RESOLVED])
        ) or quarantine_store.number_released(self.conn, ref, day)

    def told_again(
        self, ref: CustodyAccountRef, said: Statement, link: Link, last: Link | None, profile: str | None
    ) -> Absorption | Contradiction | None:
        """What a statement repeats of what counts; None when nothing, or when it is another version of a day that counts."""
        if last is None:
            return None
        lines = booked_lines(said)
        first = first_day_of(lines)
        later = link.business_date > last.business_date
        if later and (first is None or first > last.business_date):
            return None
        export = export_of(ref.custody_account_id, link, lines, profile)
        start = min(first or link.business_date, link.business_date)
        chain = overlap_store.stretch(self.conn, ref, start, link.business_date, len(export.lines))
        if chain is None:
            return None
        return overlap_of(chain, export) if later else reported_already(chain, export)

    def advance(self, ref: CustodyAccountRef) -> None:
        """Count every waiting statement that now continues the chain, and clear what was open about its day."""
        while self._count_next(ref):
            pass

    def _count_next(self, ref: CustodyAccountRef) -> bool:
        """Count or absorb the first waiting statement that may be; whether there was one."""
        last = intake_store.last_counted(self.conn, ref)
        end = last[1] if last else None
        for waiting in intake_store.waiting_statements(self.conn, ref):
            link, file_id = waiting.link, waiting.statement_file_id
            verdict = self.judge(ref, end, link)
            if end is not None and self._may_tell_again(ref, waiting, end, counts=verdict.counts):
                said, place, profile = overlap_store.kept_statement(self.conn, ref, waiting.newest_id)
                found = self.told_again(ref, said, link, end, profile)
                if isinstance(found, Contradiction):
                    self.name_contradiction(ref, found, link.business_date, file_id)
                    continue
                if found is not None and self._absorb_waiting(ref, waiting, said, found, end, place):
                    return True
                if found is not None:
                    continue
            if verdict.counts:
                intake_store.count_statement(self.conn, ref, waiting.statement_id, link.business_date, last[0] + 1 if last else 1)
                self.settled(ref, link.business_date)
                return True
            self._name_waiting(ref, verdict, link.business_date, file_id)
        return False

    def _may_tell_again(self, ref: CustodyAccountRef, waiting: WaitingStatement, end: Link, *, counts: bool) -> bool:
        """Whether the lines of a waiting statement must be looked at: one of them may be booked on a day that counts."""
        begun = waiting.first_booked
        if waiting.link.business_date <= end.business_date or (begun is not None and begun <= end.business_date):
            return True
        first = overlap_store.first_booked(self.conn, ref, waiting.newest_id) if counts else None
        return first is not None and first <= end.business_date

    def _absorb_waiting(  # noqa: PLR0917 - the statement as kept, as said and as found
        self,
        ref: CustodyAccountRef,
        waiting: WaitingStatement,
        said: Statement,
        found: Absorption,
        end: Link,
        place: tuple[int, int],
    ) -> bool:
        """Absorb a waiting export; False when its balance follows and its number does not."""
        link = waiting.link
        if link.business_date > end.business_date:
            verdict = self.judge(ref, end, replace(link, opening=end.closing))
            if verdict.fault is not None:
                self.name(ref, verdict.fault, link.business_date, waiting.statement_file_id)
                return False
            self.absorb(ref, said, link, found, place=place, waited_as=waiting.statement_id)
        else:
            overlap_store.keep_rest(self.conn, ref, said, link, found, link.closing, place=place, waited_as=waiting.statement_id)
            self.settled(ref, link.business_date)
        return True

    def _name_waiting(self, ref: CustodyAccountRef, verdict: Verdict, day: date, file_id: int) -> None:
        """Name why a waiting statement will never count as it stands."""
        if verdict.fault is None or verdict.waits:
            return
        if verdict.kind is DiscrepancyKind.RESTATED:
            reason = because(ReasonCode.RESTATES_WHAT_COUNTS, day=day)
            self.open(ref, DiscrepancyKind.RESTATED, day, f"{day}/{file_id}", reason.en, file_id=file_id)
        elif verdict.kind in (DiscrepancyKind.CONTINUITY_BREAK, DiscrepancyKind.STATEMENT_GAP):
            self.name(ref, verdict.fault, day, file_id)

    def absorb(
        self,
        ref: CustodyAccountRef,
        said: Statement,
        link: Link,
        found: Absorption,
        *,
        place: tuple[int, int],
        waited_as: int | None = None,
    ) -> None:
        """Let the new lines of an export count after what counts; what it repeats is kept beside them.

        A new line of the last day that counts (the statement before was made during it) opens that day again.
        """
        last = intake_store.last_counted(self.conn, ref)
        assert last is not None  # noqa: S101  something of it counts
        number = overlap_store.keep_rest(self.conn, ref, said, link, found, last[1].closing, place=place, waited_as=waited_as)
        intake_store.count_statement(self.conn, ref, number, link.business_date, last[0] + 1)
        self.settled(ref, link.business_date)
        lines = booked_lines(said)
        before = [day for one in found.new if (day := lines[one].booking_date) is not None and day <= last[1].business_date]
        if before:
            reason = statement_afterwards(min(before), place[0], str(StatementOutcome.COUNTED))
            ids = ref.institution_id, ref.custody_account_id
            supersede(self.conn, *ids, min(before), reason=reason, now=self.now, actor=self.actor)

    def name(self, ref: CustodyAccountRef, fault: Fault, day: date, file_id: int) -> None:
        """Record what is wrong with a day's place in the chain."""
        assert fault.kind is not None  # noqa: S101  judge names every fault
        self.open(ref, fault.kind, day, str(day), fault.reason.en, file_id=file_id, difference=fault.difference)

    def name_contradiction(self, ref: CustodyAccountRef, found: Contradiction, day: date, file_id: int) -> DiscrepancyKind:
        """Record that an export tells otherwise what counts; returns the kind of discrepancy."""
        kind = found.faults[0].kind
        assert kind is not None  # noqa: S101  overlap_of names every fault
        key = str(day) if kind is DiscrepancyKind.CONTINUITY_BREAK else _overlap_key(day)
        told = "; ".join(fault.reason.en for fault in found.faults)
        difference = sum(fault.difference for fault in found.faults)
        self.open(ref, kind, day, key, told, file_id=file_id, difference=difference)
        return kind

    def settled(self, ref: CustodyAccountRef, day: date) -> None:
        """Clear what was open about a day because its statement did not count."""
        kinds = (
            DiscrepancyKind.STATEMENT_GAP,
            DiscrepancyKind.CONTINUITY_BREAK,
            DiscrepancyKind.BALANCE_BREAK,
            DiscrepancyKind.STATEMENT_MISSING,
        )
        ids = [condition_id(kind, ref, str(day)) for kind in kinds]
        self.clear([*ids, condition_id(DiscrepancyKind.RESTATED, ref, _overlap_key(day))], f"a statement for {day} counts now")

    def clear(self, identities: list[str], reason: str) -> None:
        """Close discrepancies that what counts now explains; those nobody opened are passed over."""
        for identity in identities:
            clear_condition(self.conn, identity, now=self.now, business_date=self.today, actor=self.actor, reason=reason)

    def open(
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
        """Record a discrepancy about a file, a day or a figure; returns its id."""
        identity = condition_id(kind, ref, key)
        found = Discrepancy(
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
        record_found(self.conn, [found], now=self.now, business_date=self.today, actor=self.actor, statement_file_id=file_id)
        return identity

    def name_duplicate(self, ref: CustodyAccountRef, day: date, place: tuple[int, int], explanation: str) -> None:
        """Record that a statement was said before, and that nothing follows from it."""
        file_id, index = place
        identity = self.open(ref, DiscrepancyKind.DUPLICATE_FILE, day, f"{file_id}/{index}", explanation, file_id=file_id)
        self.clear([identity], "nothing counted twice")


def _overlap_key(day: date) -> str:
    """What a contradiction between an export and what counts is known by, so that a corrected export closes it."""
    return f"{day}/overlap"
