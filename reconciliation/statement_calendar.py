"""For which days a bank owes a statement, until when, and where each day stands. Pure; the clock is an argument.

A rule says how often an account is reported and by when (DOMAIN.md 2.5: every day covered, also one without movements; 2.8: what
has not come by 12:00 of the next day is overdue). What is judged is when the bank's file came, not when somebody looked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from calendars import BUSINESS_TIME_ZONE, CalendarNotCovered, WorkingCalendar, start_of_business_date
from reconciliation.model import Arrival, Came, CustodyAccountRef

_SUNDAY = 6


class Cadence(StrEnum):
    """For which days a statement is owed. A day without movements is no exception: its statement closes as it opens."""

    EVERY_DAY = "every_day"
    WORKING_DAYS = "working_days"
    WEEKLY = "weekly"  # one a week (Monday to Sunday): of its last working day, or of a day between that and Sunday
    MONTHLY = "monthly"  # one a month: of its last working day, or of a day between that and the month's last


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """What a level (all banks, one bank, one account) says from a business day on; None is left to the level above.

    ``in_force_until``: its last business day; without one it stands until the level's next version.
    """

    in_force_from: date
    in_force_until: date | None = None
    cadence: Cadence | None = None
    after_working_days: int | None = None
    at: time | None = None

    def covers(self, day: date) -> bool:
        """Whether it is in force on a business day, later versions of its level apart."""
        return self.in_force_from <= day and (self.in_force_until is None or day <= self.in_force_until)


@dataclass(frozen=True, slots=True)
class StatementRule:
    """The rule of an account and day: the deadline is ``at`` (Shanghai) on the ``after_working_days``-th working day after it."""

    cadence: Cadence
    after_working_days: int
    at: time


@dataclass(frozen=True, slots=True)
class StatementRules:
    """Every rule, inherited field by field: the account's (by bank code and number), else its bank's, else everybody's.

    ``version`` names the settings they were read from.
    """

    version: str
    everybody: tuple[RuleVersion, ...]
    banks: Mapping[str, tuple[RuleVersion, ...]]
    accounts: Mapping[tuple[str, str], tuple[RuleVersion, ...]]

    def rule_of(self, ref: CustodyAccountRef, day: date) -> StatementRule | None:
        """The rule in force for an account on a business day; None before everybody's first."""
        levels = (
            self.accounts.get((ref.bank_code, ref.account_number), ()),
            self.banks.get(ref.bank_code, ()),
            self.everybody,
        )
        found = [one for one in (_in_force(level, day) for level in levels) if one is not None]
        cadence = next((one.cadence for one in found if one.cadence is not None), None)
        after = next((one.after_working_days for one in found if one.after_working_days is not None), None)
        at = next((one.at for one in found if one.at is not None), None)
        return StatementRule(cadence, after, at) if cadence is not None and after is not None and at is not None else None


def _in_force(versions: tuple[RuleVersion, ...], day: date) -> RuleVersion | None:
    """The level's version for a day: the newest that has begun, if it has not ended. A later one replaces an earlier whole."""
    begun = [one for one in versions if one.in_force_from <= day]
    return begun[-1] if begun and begun[-1].covers(day) else None


class DayState(StrEnum):
    """Where an account and day stand."""

    NOT_DUE = "not_due"  # no statement is owed for the day, or the day is not over
    DUE = "due"  # owed, nothing has come, the deadline has not passed
    RECEIVED = "received"  # a statement counts
    WAITING = "waiting"  # one came, but one before it has not
    QUARANTINED = "quarantined"  # one came and is held back; two people decide
    REFUSED = "refused"  # what came was refused; the bank owes another
    OVERDUE = "overdue"  # the deadline has passed and nothing has come
    COVERED = "covered"  # none came, but a later one that counts continues the balance: nothing moved


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day of an account's calendar.

    ``deadline``: the last instant in time, None when no statement is owed or the holiday calendar does not reach that far.
    ``came_at``: when what the state speaks of came; ``late_by``: how long after the deadline. ``covered_by``: the later day whose
    statement continues the balance. ``overdue``: the deadline has passed and the bank still owes one.
    """

    day: date
    state: DayState
    owed: bool = False
    deadline: datetime | None = None
    came_at: datetime | None = None
    late_by: timedelta | None = None
    covered_by: date | None = None
    overdue: bool = False


def is_owed(rules: StatementRules, calendar: WorkingCalendar, ref: CustodyAccountRef, day: date) -> bool:
    """Whether the bank owes a statement for this day of this account. Days past the holiday calendar: as far as can be told."""
    return day >= ref.opened_on and _period_end(rules.rule_of(ref, day), calendar, day) is not None


def _period_end(rule: StatementRule | None, calendar: WorkingCalendar, day: date) -> date | None:
    """The last day a statement owed for ``day`` may be of; None when none is owed for it."""
    if rule is None:
        return None
    if rule.cadence is Cadence.EVERY_DAY:
        return day
    if not calendar.looks_worked(day):
        return None
    if rule.cadence is Cadence.WORKING_DAYS:
        return day
    end = day + timedelta(days=_SUNDAY - day.weekday()) if rule.cadence is Cadence.WEEKLY else _last_of_month(day)
    later = (day + timedelta(days=n) for n in range(1, (end - day).days + 1))
    return None if any(calendar.looks_worked(one) for one in later) else end


def _last_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def deadline_of(rule: StatementRule, calendar: WorkingCalendar, day: date) -> datetime | None:
    """The last instant (aware, Shanghai) at which the statement of a day is in time; None past the holiday calendar."""
    try:
        due_on = calendar.add_working_days(day, rule.after_working_days)
    except CalendarNotCovered:
        return None
    return datetime.combine(due_on, rule.at, BUSINESS_TIME_ZONE)


def calendar_of(  # noqa: PLR0917 - what is known of an account
    rules: StatementRules,
    calendar: WorkingCalendar,
    ref: CustodyAccountRef,
    came: Mapping[date, Came],
    first: date,
    last: date,
    *,
    now: datetime,
    since: date | None = None,
) -> list[CalendarDay]:
    """Every day from ``first`` to ``last`` of one account, oldest first, as it stands at ``now``.

    ``came``: what came by day, through the newest day there is, since a later statement continues days without one.
    ``since``: the first day under supervision, when that is later than the account's opening; nothing is owed before.
    """
    counted = sorted(day for day, what in came.items() if what.arrival is Arrival.COUNTED)
    begins = max(ref.opened_on, since) if since is not None else ref.opened_on
    found = []
    for day in _between(first, last):
        rule = rules.rule_of(ref, day) if day >= begins else None
        found.append(_day(rule, calendar, came, counted, day, now))
    return found


def _day(  # noqa: PLR0917 - what is known of one day
    rule: StatementRule | None,
    calendar: WorkingCalendar,
    came: Mapping[date, Came],
    counted: list[date],
    day: date,
    now: datetime,
) -> CalendarDay:
    end = _period_end(rule, calendar, day)
    what = came.get(day) if end is None else _best(came, day, end)
    if rule is None or end is None:
        return CalendarDay(day, _STATES[what.arrival], came_at=what.at) if what else CalendarDay(day, DayState.NOT_DUE)
    deadline = deadline_of(rule, calendar, day)
    passed = deadline is not None and now > deadline
    covered_by = next((one for one in counted if one > end), None)
    if what is None:
        if covered_by is not None:
            return CalendarDay(day, DayState.COVERED, owed=True, deadline=deadline, covered_by=covered_by)
        over = now >= start_of_business_date(end + timedelta(days=1))
        state = DayState.OVERDUE if passed else DayState.DUE if over else DayState.NOT_DUE
        return CalendarDay(day, state, owed=True, deadline=deadline, overdue=passed)
    state = _STATES[what.arrival]
    received = state is DayState.RECEIVED
    return CalendarDay(
        day,
        state,
        owed=True,
        deadline=deadline,
        came_at=what.at,
        late_by=what.at - deadline if deadline is not None and what.at > deadline else None,
        covered_by=None if received else covered_by,
        overdue=state is DayState.REFUSED and passed and covered_by is None,
    )


_STATES = {
    Arrival.COUNTED: DayState.RECEIVED,
    Arrival.WAITING: DayState.WAITING,
    Arrival.QUARANTINED: DayState.QUARANTINED,
    Arrival.REFUSED: DayState.REFUSED,
}
_BEST_FIRST = tuple(_STATES)


def _best(came: Mapping[date, Came], day: date, end: date) -> Came | None:
    """The best of what came for a day or, where a period is reported, for its last days; of equals the earliest."""
    found = [came[one] for one in _between(day, end) if one in came]
    return min(found, key=lambda one: (_BEST_FIRST.index(one.arrival), one.at), default=None)


def _between(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))
