"""What an export that begins before the end of what counts tells again, and what it tells anew. Pure.

An export repeats lines that count when three things hold: its opening balance stands in the chain where it begins, every line
that counts from there on is in it, and what is left over is not booked in a day already closed. Lines are told apart by their
content and by how often they occur, as everywhere (``content_key``): three equal lines where two count are two repeated, one new.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from bank_adapters.model import Direction, StatementLine
from money import Money
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.intake import Fault, Link, content_key
from reconciliation.reasons import Reason, ReasonCode, because
from reconciliation.versions import facts_of

#: Lines and files named in a reason; the rest is counted.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class CountedLine:
    """A line that counts, and the file and layout it was reported in."""

    line_id: str
    key: str
    line: StatementLine
    statement_file_id: int
    profile: str | None


class Stretch:
    """A part of an account's chain: what counts, in the order of its days. ``opening``: minor units, before its first line."""

    def __init__(self, opening: int, statements: Sequence[tuple[date, Sequence[CountedLine]]], currency: str) -> None:
        self.currency = currency
        self.days = [day for day, _ in statements]
        self.lines = [line for _, lines in statements for line in lines]
        self.balances = list(accumulate((_signed(one.line) for one in self.lines), initial=opening))
        #: How many lines count through the end of each day's statement.
        self.through = dict(zip(self.days, accumulate(len(lines) for _, lines in statements), strict=True))

    def begins_on(self, day: date) -> int:
        """The place of the first line booked on a day or later."""
        return next((place for place, one in enumerate(self.lines) if _booked(one.line) >= day), len(self.lines))

    def left_out(self, day: date, start: int) -> list[CountedLine]:
        """Lines of the statement for a day that stand before a place; none where the day has no statement of its own."""
        begin = max((through for before, through in self.through.items() if before < day), default=0)
        return self.lines[begin:start] if day in self.through else []

    def ends_of(self, day: date) -> set[int]:
        """The places where a day may end: with its own statement, and with the lines of the next one booked through it."""
        through = self.through.get(day)
        after = min((one for one in self.days if one > day), default=None)
        before = max((self.through[one] for one in self.days if one <= day), default=0)
        found = set() if through is None else {through}
        if after is not None:
            follows = [_booked(one.line) <= day for one in self.lines[before : self.through[after]]]
            booked = sum(follows)
            if all(follows[:booked]):  # in the order of days, or nobody can say where the day ends
                found.add(before + booked)
        return found


@dataclass(frozen=True, slots=True)
class Export:
    """A statement as delivered: its place and declared balances, its booked lines oldest first, the layout it was read by."""

    link: Link
    lines: Sequence[StatementLine]
    keys: Sequence[str]
    profile: str | None

    @property
    def first_day(self) -> date | None:
        """The earliest day a line of it is booked on."""
        return first_day_of(self.lines)


def first_day_of(lines: Iterable[StatementLine]) -> date | None:
    """The earliest day a line is booked on; None without lines."""
    return min(map(_booked, lines), default=None)


def export_of(custody_account_id: int, link: Link, lines: Sequence[StatementLine], profile: str | None) -> Export:
    """An export and the content of its lines."""
    return Export(link, lines, [content_key(custody_account_id, line) for line in lines], profile)


def as_counted(export: Export, statement_file_id: int) -> list[CountedLine]:
    """The lines of an export for comparison with a shorter one."""
    both = enumerate(zip(export.keys, export.lines, strict=True))
    return [CountedLine(str(place), key, line, statement_file_id, export.profile) for place, (key, line) in both]


@dataclass(frozen=True, slots=True)
class Absorption:
    """Which lines of an export repeat which that count, and which are new; 0-based places in the export, oldest first."""

    repeated: Mapping[int, CountedLine]
    new: tuple[int, ...]

    @property
    def files(self) -> str:
        """Numbers of the files that reported the repeated lines first, the newest few."""
        numbers = sorted({one.statement_file_id for one in self.repeated.values()}, reverse=True)
        return ", ".join(map(str, sorted(numbers[:_MOST_NAMED]))) + (" ..." if len(numbers) > _MOST_NAMED else "")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Why an export that tells again what counts does not agree with it: what is to be said, never empty."""

    faults: tuple[Fault, ...]


def reported_already(chain: Stretch, export: Export) -> Absorption | None:
    """The lines an export repeats when it lies wholly inside what counts; None when it says anything else than what counts.

    Its closing balance stands at the end of its day, and its lines are exactly those that lead there from its opening balance.
    What leaves out a line of its own days that the statement for its very day has is another version of that.
    """
    day = export.link.business_date
    if not export.lines and any(_booked(one.line) == day for one in chain.lines):
        return None
    for end in sorted(chain.ends_of(day)):
        start = end - len(export.lines)
        if start < 0 or chain.balances[end] != export.link.closing or not _came_before(chain.left_out(day, start), export):
            continue
        inside = chain.lines[start:end]
        if Counter(one.key for one in inside) == Counter(export.keys):
            repeated = _pair(inside, export)
            if not _otherwise(repeated, export):
                return Absorption(repeated, ())
    return None


def overlap_of(chain: Stretch, export: Export) -> Absorption | Contradiction | None:
    """What an export that closes on a later day than what counts repeats of it; None when it repeats nothing.

    It may begin where a day begins (then it tells that day whole) or within one. Where several places fit, what lies between them
    moved nothing on balance; then only lines with a reference of the bank are known to be the same movements.
    """
    first, last = export.first_day, chain.days[-1]
    if first is None or first > last:
        return None
    whole, end = chain.begins_on(first), len(chain.lines)
    starts = [place for place, balance in enumerate(chain.balances) if balance == export.link.opening]
    counted = {one.key for one in chain.lines}
    tells_again = any(key in counted for key in export.keys)
    begins_whole = whole in starts and whole < end
    if not tells_again and (not begins_whole or end in starts):
        return None
    if not starts:
        return Contradiction((_opening_unknown(chain, export, first, last),))
    fitting = _fitting(chain, export, starts)
    if not fitting or (begins_whole and whole not in fitting):
        nearest = whole if begins_whole else min(starts, key=lambda place: (len(_missing(chain, export, place)), place))
        return Contradiction(_contradicting(chain, export, nearest))
    start = min(fitting)
    if not all(one.line.bank_reference for one in chain.lines[start : max(fitting)]):
        reason = because(ReasonCode.OVERLAP_AMBIGUOUS, opening=_plain(export.link.opening, chain), last=last)
        return Contradiction((Fault(DiscrepancyKind.RESTATED, reason),))
    if start == end:
        return None
    repeated = _pair(chain.lines[start:], export)
    if told := _otherwise(repeated, export):
        return Contradiction((_told_otherwise(told, first),))
    return Absorption(repeated, tuple(place for place in range(len(export.lines)) if place not in repeated))


def ends_alike(longer: Sequence[CountedLine], shorter: Export) -> bool:
    """Whether of two statements that close alike the shorter tells the end of the longer, and what it leaves out came before."""
    repeated = _pair(longer, shorter)
    if len(repeated) < len(shorter.lines) or _otherwise(repeated, shorter):
        return False
    known = {one.line_id for one in repeated.values()}
    return _came_before([one for one in longer if one.line_id not in known], shorter)


def _came_before(left_out: Iterable[CountedLine], export: Export) -> bool:
    """Whether lines that an export does not tell are of days before those it tells."""
    first = export.first_day or export.link.business_date
    return all(_booked(one.line) < first for one in left_out)


def _fitting(chain: Stretch, export: Export, starts: Sequence[int]) -> list[int]:
    """The starts from which on every line that counts is in the export, and no other line of it is booked before the last day.

    At the very end of what counts nothing is repeated, and a line may be dated before it: see ``intake.outside_period``.
    """
    left = Counter(export.keys)
    early = Counter(key for key, line in zip(export.keys, export.lines, strict=True) if _booked(line) < chain.days[-1])
    found, wanted = [], set(starts)
    for place in range(len(chain.lines), -1, -1):
        if place < len(chain.lines):
            key = chain.lines[place].key
            if not left[key]:
                break
            left[key] -= 1
            early[key] -= 1
        if place in wanted and (place == len(chain.lines) or not +early):
            found.append(place)
    return found


def _pair(counted: Sequence[CountedLine], export: Export) -> dict[int, CountedLine]:
    """Which line of an export repeats which; of equal ones those that are equal in everything, then the first."""
    repeated: dict[int, CountedLine] = {}
    for exactly in (True, False):
        taken = {one.line_id for one in repeated.values()}
        waiting: dict[tuple[str, ...], deque[CountedLine]] = defaultdict(deque)
        for one in counted:
            if one.line_id not in taken:
                waiting[one.key, *(facts_of(one.line) if exactly else ())].append(one)
        for place, (key, line) in enumerate(zip(export.keys, export.lines, strict=True)):
            queue = () if place in repeated else waiting.get((key, *(facts_of(line) if exactly else ())), ())
            if queue:
                repeated[place] = queue.popleft()
    return repeated


def _otherwise(repeated: Mapping[int, CountedLine], export: Export) -> list[StatementLine]:
    """Repeated lines of which the same layout says something else now: that restates them."""
    return [
        one.line
        for place, one in repeated.items()
        if export.profile is not None and one.profile == export.profile and facts_of(one.line) != facts_of(export.lines[place])
    ]


def _missing(chain: Stretch, export: Export, start: int) -> list[StatementLine]:
    """Lines that count from a place on and are not in the export."""
    told = Counter(export.keys)
    found = []
    for one in chain.lines[start:]:
        told[one.key] -= 1
        if told[one.key] < 0:
            found.append(one.line)
    return found


def _contradicting(chain: Stretch, export: Export, start: int) -> tuple[Fault, ...]:
    """What speaks against an export read from a place on: lines it leaves out, lines it adds to days already closed."""
    first, last = export.first_day, chain.days[-1]
    missing, counted = _missing(chain, export, start), Counter(one.key for one in chain.lines[start:])
    unknown = []
    for key, line in zip(export.keys, export.lines, strict=True):
        counted[key] -= 1
        if counted[key] < 0:
            unknown.append(line)
    added = [line for line in unknown if _booked(line) < last]
    gone, moved = Counter(map(_movement, missing)), Counter(map(_movement, unknown))
    if missing and gone <= moved and Counter(map(_movement, added)) <= gone:
        return (_told_otherwise(missing, first),)
    faults = []
    if missing:
        reason = because(ReasonCode.OVERLAP_LEAVES_OUT, count=len(missing), day=first, lines=_named(missing))
        faults.append(Fault(DiscrepancyKind.RESTATED, reason, -sum(map(_signed, missing))))
    if added:
        reason = because(ReasonCode.OVERLAP_ADDS, count=len(added), day=last, lines=_named(added))
        faults.append(Fault(DiscrepancyKind.RESTATED, reason, sum(map(_signed, added))))
    return tuple(faults)


def _told_otherwise(lines: Sequence[StatementLine], first: date | None) -> Fault:
    reason = because(ReasonCode.OVERLAP_TOLD_OTHERWISE, count=len(lines), day=first, lines=_named(lines))
    return Fault(DiscrepancyKind.RESTATED, reason)


def _opening_unknown(chain: Stretch, export: Export, first: date, last: date) -> Fault:
    expected = chain.balances[chain.begins_on(first)]
    difference = export.link.opening - expected
    opening, stood = _plain(export.link.opening, chain), _plain(expected, chain)
    reason = because(ReasonCode.OVERLAP_OPENING, opening=opening, first=first, last=last, expected=stood)
    return Fault(DiscrepancyKind.CONTINUITY_BREAK, reason, difference)


def _named(lines: Iterable[StatementLine]) -> str:
    """Lines as people find them: day, signed amount, the bank's reference."""
    signs = {Direction.IN: "+", Direction.OUT: "-"}
    told = [
        f"{line.booking_date} {signs[line.direction]}{line.amount.plain} {line.bank_reference or ''}".strip() for line in lines
    ]
    return ", ".join(told[:_MOST_NAMED]) + (" ..." if len(told) > _MOST_NAMED else "")


def absorbed_reason(found: Absorption) -> Reason:
    """What is told of an export of which some lines were reported before."""
    repeated, new = len(found.repeated), len(found.new)
    return because(ReasonCode.ABSORBED, count=repeated + new, repeated=repeated, new=new, files=found.files)


def reported_reason(found: Absorption) -> Reason:
    """What is told of an export all lines of which were reported before."""
    if not found.repeated:
        return because(ReasonCode.NOTHING_MOVED_AS_REPORTED)
    return because(ReasonCode.REPORTED_LINE_BY_LINE, count=len(found.repeated), files=found.files)


def _movement(line: StatementLine) -> tuple[date, str, int]:
    return _booked(line), str(line.direction), line.amount.minor_units


def _booked(line: StatementLine) -> date:
    assert line.booking_date is not None  # noqa: S101  faults_of has refused a statement with a line without its day
    return line.booking_date


def _signed(line: StatementLine) -> int:
    units = line.amount.minor_units
    return units if line.direction is Direction.IN else -units


def _plain(units: int, chain: Stretch) -> str:
    return Money(units, chain.currency).plain
