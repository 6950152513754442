"""A restated statement: what putting a new version in the place of the old one would change, and doing it.

Unchanged lines keep their identity, their match and their postings. A line that is changed or gone takes its match with it: what
the match had posted is reversed on the day it was booked, its items are open again, and what is left of its lines is opened
again as new lines, so that the next run compares them anew. The plan is made twice, for the person who proposes and for the one
who approves; its digest says whether it is still the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import Connection

from bank_adapters.model import Statement, StatementLine
from bank_adapters.profile import Profile
from calendars import business_date
from ledger.model import PostingRefused, RefusalCode
from ledger.store import reverse
from money import Money
from reconciliation import intake_store, version_store
from reconciliation.discrepancy import DiscrepancyKind, DiscrepancyState, EventKind
from reconciliation.discrepancy_store import add_event, clear_condition, condition_id, records
from reconciliation.intake import booked_lines, business_date_of
from reconciliation.line_store import StoredLine, insert_lines, lines_of
from reconciliation.model import CustodyAccountRef
from reconciliation.quarantine_store import Held
from reconciliation.quarantine_wording import (
    came_again,
    closes_otherwise,
    money_moved_on,
    month_closed,
    opens_otherwise,
    restated_by_two,
    restated_twice,
    reversed_since,
)
from reconciliation.receiving import count_waiting, read_again
from reconciliation.resolving import Actor
from reconciliation.superseding import supersede
from reconciliation.version_store import Booking, StandingMatch, VersionInForce
from reconciliation.versions import Change, LineChange, compare
from wording import Refused, Said

#: The version under which what restating undoes is reversed.
RESTATING = "restated/1"


class RestatingRefused(Refused):
    """A version cannot be replaced now."""


@dataclass(frozen=True, slots=True)
class Approval:
    """The event by which a second person approved, and who had proposed it."""

    event_no: int
    prepared_by: str


@dataclass(frozen=True, slots=True)
class Restatement:
    """One proposed version beside the one in force."""

    held: Held
    proposed: Statement
    in_force: VersionInForce
    old_lines: tuple[StoredLine, ...]
    changes: tuple[LineChange, ...]

    @property
    def gone(self) -> list[str]:
        """The lines in force that the new version does not repeat."""
        return [
            self.old_lines[one.old].line_id for one in self.changes if one.old is not None and one.change is not Change.UNCHANGED
        ]

    @property
    def opening(self) -> int:
        """Opening balance of the new version, in minor units."""
        assert self.proposed.opening_balance is not None  # noqa: S101  a statement without is never held as restated
        return self.proposed.opening_balance.minor_units

    @property
    def closing(self) -> int:
        """Closing balance of the new version, in minor units."""
        assert self.proposed.closing_balance is not None  # noqa: S101  see opening
        return self.proposed.closing_balance.minor_units


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything replacing would do: versions, the matches that fall, the transfers to reverse, the lines opened again (by link)
    of other statements or fallen matches, and why it cannot be done now.
    """

    account: CustodyAccountRef
    restatements: tuple[Restatement, ...]
    matches: tuple[StandingMatch, ...]
    bookings: tuple[Booking, ...]
    opened_again: Mapping[int, list[str]]
    obstacles: tuple[Said, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 of what the plan would do."""
        told = [
            [
                [one.held.quarantine_id, one.in_force.statement_id, one.opening, one.closing, one.gone, len(one.changes)]
                for one in self.restatements
            ],
            [one.match_id for one in self.matches],
            sorted(str(one.transfer_id) for one in self.bookings),
            sorted((link, lines) for link, lines in self.opened_again.items()),
        ]
        return hashlib.sha256(json.dumps(told).encode()).digest()


def restatement_of(conn: Connection, ref: CustodyAccountRef, held: Held, profiles: Sequence[Profile]) -> Restatement | None:
    """A proposed version compared with the one in force; None when no statement of its day counts or waits any more."""
    _, _, reading = read_again(conn, held.statement_file_id, profiles)
    proposed = reading.statements[held.position_in_file]
    day = business_date_of(proposed)
    in_force = version_store.version_of_day(conn, ref, day) if day else None
    if in_force is None:
        return None
    old = tuple(lines_of(conn, ref.institution_id, in_force.statement_id))
    changes = compare(ref.custody_account_id, [one.line for one in old], booked_lines(proposed))
    return Restatement(held, proposed, in_force, old, tuple(changes))


def plan_for(conn: Connection, ref: CustodyAccountRef, restatements: Sequence[Restatement]) -> Plan:
    """What replacing these statements of one account at once would do."""
    ordered = tuple(sorted(restatements, key=lambda one: (one.in_force.business_date, one.held.quarantine_id)))
    gone = {line for one in ordered for line in one.gone}
    matches = tuple(version_store.standing_matches(conn, ref.institution_id, gone))
    left = {line for match in matches for line in match.lines} - gone
    again = version_store.versions_of_lines(conn, ref.institution_id, left)
    bookings, obstacles = _to_reverse(conn, ref, matches)
    return Plan(ref, ordered, matches, bookings, again, (*_breaks(conn, ref, ordered), *obstacles))


def _breaks(conn: Connection, ref: CustodyAccountRef, restatements: Sequence[Restatement]) -> list[Said]:
    """Where the chain of balances would break: each new version against its neighbours, themselves replaced or in force."""
    found: list[Said] = []
    by_day = {one.in_force.business_date: one for one in restatements if one.in_force.link is not None}
    days = [one.in_force.business_date for one in restatements]
    found += [restated_twice(day) for day in sorted({day for day in days if days.count(day) > 1})]
    beside = version_store.versions_beside(conn, ref, by_day)
    for day, one in sorted(by_day.items()):
        before, after = beside[day]
        if before is None and one.opening != one.in_force.opening:
            expected = Money(one.in_force.opening, ref.currency)
            found.append(opens_otherwise(day, Money(one.opening, ref.currency), expected, None))
        for version, mine, side, say in (
            (before, one.opening, "closing", opens_otherwise),
            (after, one.closing, "opening", closes_otherwise),
        ):
            if version is None:
                continue
            other: int = getattr(by_day.get(version.business_date, version), side)
            if mine != other:
                found.append(say(day, Money(mine, ref.currency), Money(other, ref.currency), version.business_date))
    return found


def _to_reverse(
    conn: Connection, ref: CustodyAccountRef, matches: Sequence[StandingMatch]
) -> tuple[tuple[Booking, ...], list[Said]]:
    """What the books still hold because of the matches, and what stands against taking it back.

    A posting that was reversed since is taken back with its reversal when that falls too; otherwise something else rests on it.
    """
    found = {one.transfer_id: one for one in version_store.bookings_of(conn, ref.institution_id, matches)}
    follows: dict[UUID, Booking] = {}
    newest = set(found)
    while newest:
        later = version_store.reversals_of(conn, ref.institution_id, newest)
        follows |= {one.reverses: one for one in later if one.reverses is not None}
        newest = {one.transfer_id for one in later}
    wanted: list[Booking] = []
    obstacles: list[Said] = []
    for one in found.values():
        if one.reverses in found:
            continue  # judged with what it reverses
        chain = [one]
        while chain[-1].transfer_id in follows:
            chain.append(follows[chain[-1].transfer_id])
        stands = len(chain) % 2 == 1
        if stands:
            wanted.append(chain[-1])
        elif one.reverses is None and not any(later.transfer_id in found for later in chain[1:]):
            obstacles.append(reversed_since(Money(one.amount, ref.currency), chain[-1].booking_date))
    return tuple(sorted(wanted, key=lambda each: each.order, reverse=True)), obstacles


def put_in_force(conn: Connection, plan: Plan, approved: Mapping[int, Approval], *, by: Actor, now: datetime) -> None:
    """Replace the versions as planned: keep the new ones, reverse what fell, open again what is left of it.

    ``approved``: by quarantine id, the approval that allows it. Raises RestatingRefused when the books refuse a reversal.
    """
    ref = plan.account
    opened_again = {line for lines in plan.opened_again.values() for line in lines}
    made: dict[int | None, int] = {}
    for one in plan.restatements:
        made[one.in_force.link] = _keep_version(conn, ref, one, opened_again, approved[one.held.quarantine_id], by)
    first = plan.restatements[0]
    others = version_store.versions_at(conn, ref, plan.opened_again)
    for link, version in others.items():
        if link not in made:
            made[link] = _open_again(conn, ref, version, opened_again, first.held, approved[first.held.quarantine_id], by)
    reason = restated_by_two(first.in_force.business_date, approved[first.held.quarantine_id].prepared_by, by.user)
    _reverse(conn, plan, now=now, by=by, reason=reason.en)
    gone = {line for one in plan.restatements for line in one.gone}
    where = {line: made[one.in_force.link] for one in plan.restatements for line in one.gone}
    for match in plan.matches:
        statement_id = next(where[line] for line in match.lines if line in where)
        version_store.undo_match(conn, ref, match.match_id, statement_id, reason.en)
    _clear(conn, plan, gone | opened_again, by=by, now=now, reason=reason.en)
    days = [one.in_force.business_date for one in plan.restatements]
    days += [version.business_date for version in others.values()]
    supersede(conn, ref.institution_id, ref.custody_account_id, min(days), reason=reason, now=now, actor=by.user)
    count_waiting(conn, ref, now=now, actor=by.user)


def _keep_version(  # noqa: PLR0917 - one row of each table
    conn: Connection, ref: CustodyAccountRef, one: Restatement, opened_again: AbstractSet[str], approval: Approval, by: Actor
) -> int:
    number = intake_store.store_figures(
        conn,
        ref,
        one.proposed,
        file_id=one.held.statement_file_id,
        index=one.held.position_in_file,
        day=one.in_force.business_date,
    )
    _insert_version(conn, ref, one.in_force, number, one.held, approval, by)
    said = booked_lines(one.proposed)
    kept: list[tuple[str, int, int | None, int]] = []
    new: list[tuple[int, StatementLine]] = []
    for each in one.changes:
        if each.new is None:
            continue
        line = said[each.new]
        before = one.old_lines[each.old].line_id if each.old is not None else ""
        if each.change is Change.UNCHANGED and before not in opened_again:
            kept.append((before, each.new, _running(line), line.line))
        else:
            new.append((each.new, line))
    version_store.insert_kept(conn, ref, number, kept)
    insert_lines(conn, ref, number, new)
    return number


def _open_again(  # noqa: PLR0917 - one row of each table
    conn: Connection,
    ref: CustodyAccountRef,
    version: VersionInForce,
    lines: AbstractSet[str],
    held: Held,
    approval: Approval,
    by: Actor,
) -> int:
    """Another statement of which lines are opened again: the same figures once more, these lines under new identities."""
    number = version_store.repeat_statement(conn, ref, version.statement_id)
    _insert_version(conn, ref, version, number, held, approval, by)
    stored = lines_of(conn, ref.institution_id, version.statement_id)
    kept = [(one.line_id, one.position, _running(one.line), one.line.line) for one in stored if one.line_id not in lines]
    version_store.insert_kept(conn, ref, number, kept)
    insert_lines(conn, ref, number, [(one.position, one.line) for one in stored if one.line_id in lines])
    return number


def _insert_version(  # noqa: PLR0917 - one row
    conn: Connection,
    ref: CustodyAccountRef,
    replaced: VersionInForce,
    number: int,
    held: Held,
    approval: Approval,
    by: Actor,
) -> None:
    version_store.insert_version(
        conn,
        ref,
        replaced,
        number,
        quarantine_id=held.quarantine_id,
        approved_event_no=approval.event_no,
        prepared_by=approval.prepared_by,
        approved_by=by.user,
    )


def _running(line: StatementLine) -> int | None:
    return line.running_balance.minor_units if line.running_balance is not None else None


def _reverse(conn: Connection, plan: Plan, *, now: datetime, by: Actor, reason: str) -> None:
    ref = plan.account
    for day, group in groupby(plan.bookings, key=lambda one: one.booking_date):
        ids = [one.transfer_id for one in group]
        try:
            reverse(
                conn, ref.institution_id, ids, now=now, booking_date=day, actor=by.user, reason=reason, rule_version=RESTATING
            )
        except PostingRefused as refused:
            codes = {one.code for one in refused.refusals}
            if RefusalCode.CLOSED_PERIOD in codes:
                raise RestatingRefused(month_closed(day)) from refused
            if RefusalCode.BELOW_FLOOR in codes:
                raise RestatingRefused(money_moved_on(str(refused))) from refused
            if RefusalCode.ALREADY_CLEARED in codes:
                raise RestatingRefused(came_again(str(refused))) from refused
            raise


def _clear(conn: Connection, plan: Plan, lines: AbstractSet[str], *, by: Actor, now: datetime, reason: str) -> None:
    """Close what was open about lines that are in force no longer, and the discrepancies that said it was restated."""
    ref, today = plan.account, business_date(now)
    standing = records(
        conn,
        institution_id=ref.institution_id,
        custody_account_id=ref.custody_account_id,
        states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED],
    )
    for one in standing:
        if lines & set(one.discrepancy.line_ids):
            add_event(conn, one, EventKind.AUTO_CLEARED, now=now, business_date=today, actor=by.user, reason=reason)
    for restated in plan.restatements:
        key = f"{restated.in_force.business_date}/{restated.held.statement_file_id}"
        identity = condition_id(DiscrepancyKind.RESTATED, ref, key)
        clear_condition(conn, identity, now=now, business_date=today, actor=by.user, reason=reason)
