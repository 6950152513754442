"""Compares what an engine found with the answer key: wrong and missed matches, discrepancies named, misnamed, missed, invented.

Pure: plain records in, counts and money out. It never says "right" of something merely absent; every expected thing is
counted once, as right, wrong or missed, and everything found beyond it as invented.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from simulation.key_reading import KeyDefect, ScoringKey

#: Kinds about a statement file, recognised by account and day; all others by the references they name.
STATEMENT_KINDS = frozenset(
    ("STATEMENT_MISSING", "STATEMENT_GAP", "CONTINUITY_BREAK", "BALANCE_BREAK", "RESTATED", "DUPLICATE_FILE")
)
#: Kinds that follow from any open difference of money; they are right wherever the account is not clean.
CONDITION_KINDS = frozenset(("CASH_DIFFERENCE", "COVERAGE_SHORTFALL"))
#: Kinds that say an item is still in time: no discrepancy.
CARRIED_KINDS = frozenset(("TIMING",))

_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FoundMatch:
    """A confirmed match of one bank line. ``book_references``: order ids, instruction id or RF reference it was matched with."""

    account_number: str
    booking_date: date
    bank_reference: str
    amount: int
    book_references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundDiscrepancy:
    """One discrepancy as first named. ``business_date`` is the run's day; ``references`` everything its evidence carries: order
    ids, channel references, batches, instruction ids, bank references. Amounts in fen.
    """

    kind: str
    account_number: str
    business_date: date
    amount: int
    difference: int
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundPayment:
    """A release (``key`` order id#class-hour number), refund (request id) or disbursement (instruction id): fen above zero
    and the day it was released, approved or instructed.
    """

    key: str
    amount: int
    on: date


@dataclass(frozen=True, slots=True)
class FoundBalance:
    """What the engine holds of one account and day: the bank's balances in fen, and whether coverage was proven."""

    account_number: str
    day: date
    opening: int
    closing: int
    covered: bool


@dataclass(frozen=True, slots=True)
class FoundFinding:
    """A refused row: ``file`` as imported (its path relative to ``inputs/``), 1-based line, field."""

    file: str
    line: int
    field: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Everything an engine found in a district. What stays None is not scored."""

    matches: Sequence[FoundMatch]
    discrepancies: Sequence[FoundDiscrepancy]
    releases: Sequence[FoundPayment] | None = None
    refunds: Sequence[FoundPayment] | None = None
    disbursements: Sequence[FoundPayment] | None = None
    balances: Sequence[FoundBalance] | None = None
    findings: Sequence[FoundFinding] | None = None


@dataclass(slots=True)
class Tally:
    """One line of a score. ``expected`` = ``right`` + ``wrong`` + ``missed``, except that wrong also counts what the key does not
    know (``invented``). Money in fen: of what is wrong, missed or invented.
    """

    name: str
    expected: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    invented: int = 0
    money: int = 0
    details: list[str] = field(default_factory=list)

    @property
    def perfect(self) -> bool:
        """Nothing wrong, missed or invented."""
        return not (self.wrong or self.missed or self.invented)

    def fault(self, what: str, amount: int, text: str) -> None:
        """Count one fault (``wrong``, ``missed`` or ``invented``) with its money and a sentence."""
        setattr(self, what, getattr(self, what) + 1)
        self.money += abs(amount)
        self.details.append(text)


@dataclass(frozen=True, slots=True)
class Score:
    """The comparison. ``by_kind``: a tally of every kind of discrepancy. ``confusion``: (expected kind, found kind) -> count of
    defects seen under another name. ``late``: defects named after their day. ``amounts_off``: named with another amount.
    ``carried`` and ``consequences``: found discrepancies that are rightly there without being defects of their own.
    ``shortfalls_unseen``: account-days on which money was truly short and coverage was called proven; told, but no part of
    ``perfect``, because from which day an unresolved difference counts as short is the engine's convention.
    """

    matches: Tally
    discrepancies: Tally
    by_kind: dict[str, Tally]
    confusion: dict[tuple[str, str], int]
    undecidable: Tally
    traps: Tally
    late: tuple[str, ...]
    amounts_off: tuple[str, ...]
    carried: int
    consequences: int
    others: tuple[Tally, ...]
    shortfalls_unseen: tuple[str, ...]

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """All lines of the score, the most important first."""
        return (self.matches, self.discrepancies, self.undecidable, self.traps, *self.others)

    @property
    def perfect(self) -> bool:
        """Everything right, nothing invented, every amount and day as expected."""
        return all(each.perfect for each in self.tallies) and not self.late and not self.amounts_off


def score(key: ScoringKey, found: Found) -> Score:
    """Compare. The order of the found records does not matter."""
    named = _Naming(key, found.discrepancies)
    others: list[Tally] = []
    for name, expected, given in (
        ("releases", key.releases, found.releases),
        ("refunds", key.refunds, found.refunds),
        ("disbursements", key.disbursements, found.disbursements),
    ):
        if given is not None:
            others.append(_payments(name, expected, given))
    if found.balances is not None:
        others += _balances(key, found.balances)
    if found.findings is not None:
        others.append(_findings(key, found.findings))
    return Score(
        matches=_matches(key, found.matches),
        discrepancies=named.total,
        by_kind=named.by_kind,
        confusion=dict(named.confusion),
        undecidable=named.undecidable,
        traps=named.traps,
        late=tuple(named.late),
        amounts_off=tuple(named.amounts_off),
        carried=named.carried,
        consequences=named.consequences,
        others=tuple(others),
        shortfalls_unseen=_shortfalls_unseen(key, found.balances or ()),
    )


def _matches(key: ScoringKey, found: Iterable[FoundMatch]) -> Tally:
    """Every bank line matched with exactly the book items it truly settles."""
    required = {spot: each for spot, each in key.matches.items() if each.certainty == "required" and each.readable}
    tally = Tally("confirmed matches", expected=len(required))
    seen: set[tuple[str, date, str]] = set()
    for match in found:
        spot = (match.account_number, match.booking_date, match.bank_reference)
        truth = key.matches.get(spot)
        where = f"bank line {match.bank_reference} of {match.booking_date}"
        if truth is None:
            tally.fault("wrong", match.amount, f"{where}: matched with {_few(match.book_references)}, but it settles nothing")
        elif spot in seen:
            tally.fault("wrong", match.amount, f"{where}: matched twice")
        elif set(match.book_references) != set(truth.book_references):
            tally.fault(
                "wrong", match.amount, f"{where}: matched with {_few(match.book_references)}, not {_few(truth.book_references)}"
            )
        elif spot in required:
            tally.right += 1
        seen.add(spot)
    for spot, truth in required.items():
        if spot not in seen:
            tally.fault(
                "missed", truth.amount, f"bank line {spot[2]} of {spot[1]}: not matched with {_few(truth.book_references)}"
            )
    return tally


class _Naming:
    """Lays found discrepancies beside the defects of the key."""

    def __init__(self, key: ScoringKey, found: Sequence[FoundDiscrepancy]) -> None:
        self.key = key
        self.by_reference: dict[tuple[str, str], list[KeyDefect]] = defaultdict(list)
        self.by_day: dict[tuple[str, date], list[KeyDefect]] = defaultdict(list)
        for defect in key.defects:
            for reference in (*defect.references, *defect.bank_references):
                self.by_reference[defect.account_number, reference].append(defect)
            if defect.kind in STATEMENT_KINDS:
                for step in (-1, 0, 1):
                    self.by_day[defect.account_number, defect.business_date + step * _A_DAY].append(defect)
        self.trapped = {(each.account_number, reference): each for each in key.traps for reference in each.references}
        self.total = Tally("discrepancies", expected=len(key.defects))
        self.undecidable = Tally("undecidable, called ambiguous", expected=sum(not each.resolvable for each in key.defects))
        self.traps = Tally("traps left alone", expected=len(key.traps))
        self.by_kind: dict[str, Tally] = {}
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.late: list[str] = []
        self.amounts_off: list[str] = []
        self.carried = self.consequences = 0
        self.named: dict[str, list[FoundDiscrepancy]] = defaultdict(list)
        self.otherwise: dict[str, list[FoundDiscrepancy]] = defaultdict(list)
        self.sprung: set[str] = set()
        for each in found:
            self._lay(each)
        for defect in key.defects:
            self._judge(defect)
        self.traps.right = self.traps.expected - self.traps.wrong

    def _tally(self, kind: str) -> Tally:
        return self.by_kind.setdefault(kind, Tally(kind))

    def _candidates(self, each: FoundDiscrepancy) -> list[KeyDefect]:
        if each.kind in STATEMENT_KINDS:
            return self.by_day.get((each.account_number, each.business_date), [])
        known = {
            defect.defect_id: defect
            for ref in each.references
            for defect in self.by_reference.get((each.account_number, ref), [])
        }
        return list(known.values())

    def _lay(self, each: FoundDiscrepancy) -> None:
        if each.kind in CARRIED_KINDS:
            self.carried += 1
            return
        if each.kind in CONDITION_KINDS:
            if self.key.is_clean(each.account_number, each.business_date):
                self._invented(each)
            else:
                self.consequences += 1
            return
        candidates = self._candidates(each)
        same = [defect for defect in candidates if defect.kind == each.kind]
        if same:
            closest = min(same, key=lambda defect: (abs(defect.business_date - each.business_date), defect.defect_id))
            self.named[closest.defect_id].append(each)
        elif any(each.kind in defect.also_expected for defect in candidates):
            self.consequences += 1
        elif candidates and each.kind not in STATEMENT_KINDS:
            self.otherwise[candidates[0].defect_id].append(each)
        else:
            self._invented(each)

    def _invented(self, each: FoundDiscrepancy) -> None:
        text = f"{each.kind} at {each.account_number} on {each.business_date}: {_few(each.references)} is no defect"
        self.total.fault("invented", each.amount, text)
        self._tally(each.kind).fault("invented", each.amount, text)
        for reference in each.references:
            trap = self.trapped.get((each.account_number, reference))
            if trap is not None and trap.sentence not in self.sprung:
                self.sprung.add(trap.sentence)
                self.traps.fault("wrong", each.amount, f"{each.kind}: {trap.sentence}")

    def _judge(self, defect: KeyDefect) -> None:
        tally = self._tally(defect.kind)
        tally.expected += 1
        named, otherwise = self.named.get(defect.defect_id, []), self.otherwise.get(defect.defect_id, [])
        if named:
            self.total.right += 1
            tally.right += 1
            self._amount_and_day(defect, named)
        else:
            what = "wrong" if otherwise else "missed"
            names = ", ".join(sorted({each.kind for each in otherwise})) or "nothing"
            text = f"{defect.defect_id} {defect.kind} on {defect.business_date}: found {names}. {defect.sentence}"
            self.total.fault(what, defect.amount, text)
            tally.fault(what, defect.amount, text)
        for kind in sorted({each.kind for each in otherwise}):
            self.confusion[defect.kind, kind] += 1
            if named:
                text = f"{defect.defect_id} {defect.kind} on {defect.business_date}: also called {kind}. {defect.sentence}"
                self.total.fault("invented", 0, text)
        if not defect.resolvable:
            if named:
                self.undecidable.right += 1
            else:
                self.undecidable.fault("missed", defect.amount, defect.sentence)

    def _amount_and_day(self, defect: KeyDefect, named: list[FoundDiscrepancy]) -> None:
        first = min(each.business_date for each in named)
        if first > defect.business_date:
            self.late.append(f"{defect.defect_id} {defect.kind}: named on {first}, visible on {defect.business_date}")
        if defect.kind in STATEMENT_KINDS and not defect.difference:
            return
        amounts = {sum(abs(each.amount) for each in named), *(abs(each.amount) for each in named)}
        differences = {sum(abs(each.difference) for each in named), *(abs(each.difference) for each in named)}
        if defect.amount not in amounts and not (defect.difference and abs(defect.difference) in differences):
            shown = ", ".join(f"{each.amount} (difference {each.difference})" for each in named)
            expected = f"{defect.amount} (difference {defect.difference}) fen expected"
            self.amounts_off.append(f"{defect.defect_id} {defect.kind}: {expected}, named with {shown}")


def _payments(name: str, expected: dict[str, tuple[int, date]], found: Iterable[FoundPayment]) -> Tally:
    """Releases, refunds or disbursements: the right ones, of the right amount, on the right day, once each."""
    tally = Tally(name, expected=len(expected))
    seen: set[str] = set()
    for each in found:
        truth = expected.get(each.key)
        if truth is None:
            tally.fault("invented", each.amount, f"{each.key}: {each.amount} fen on {each.on} were not due")
        elif each.key in seen:
            tally.fault("invented", each.amount, f"{each.key}: made twice")
        elif truth != (each.amount, each.on):
            text = f"{each.key}: {each.amount} fen on {each.on}, but {truth[0]} fen on {truth[1]} were due"
            tally.fault("wrong", each.amount - truth[0], text)
        else:
            tally.right += 1
        seen.add(each.key)
    for missing, (amount, on) in expected.items():
        if missing not in seen:
            tally.fault("missed", amount, f"{missing}: {amount} fen due on {on} were not made")
    return tally


def _balances(key: ScoringKey, found: Sequence[FoundBalance]) -> list[Tally]:
    """The bank's balances as known in the end, and coverage: proven on every clean day, never claimed where money is missing."""
    readable = {spot: each for spot, each in key.balances.items() if each.delivered}
    balances = Tally("balances", expected=len(readable))
    clean = {spot for spot, each in key.balances.items() if each.clean}
    coverage = Tally("coverage of clean days", expected=len(clean))
    seen: dict[tuple[str, date], FoundBalance] = {(each.account_number, each.day): each for each in found}
    for spot, truth in readable.items():
        given, where = seen.get(spot), f"account {spot[0]} on {spot[1]}"
        if given is None:
            balances.fault("missed", truth.closing, f"{where}: no balance")
        elif (given.opening, given.closing) != (truth.opening, truth.closing):
            text = f"{where}: {given.opening} to {given.closing}, truly {truth.opening} to {truth.closing}"
            balances.fault("wrong", given.closing - truth.closing, text)
        else:
            balances.right += 1
    for spot in sorted(clean):
        given = seen.get(spot)
        if given is None:
            coverage.fault("missed", 0, f"account {spot[0]} on {spot[1]}: nothing said about coverage")
        elif not given.covered:
            coverage.fault("wrong", key.balances[spot].surplus, f"account {spot[0]} on {spot[1]}: covered, but not proven")
        else:
            coverage.right += 1
    return [balances, coverage]


def _shortfalls_unseen(key: ScoringKey, found: Iterable[FoundBalance]) -> tuple[str, ...]:
    """Account-days called covered although the truth is short; by how much, in fen."""
    unseen: list[str] = []
    for each in found:
        truth = key.balances.get((each.account_number, each.day))
        if truth is not None and each.covered and not truth.covered:
            unseen.append(f"account {each.account_number} on {each.day}: {-truth.surplus} fen short, called covered")
    return tuple(sorted(unseen))


def _findings(key: ScoringKey, found: Sequence[FoundFinding]) -> Tally:
    """Refused rows by file and line; a wrong field is counted as wrong."""
    tally = Tally("rows refused", expected=len(key.findings))
    given: dict[tuple[str, int], list[str | None]] = defaultdict(list)
    for each in found:
        given[each.file, each.line].append(each.field)
    for spot, expected_field in key.findings.items():
        fields = given.pop(spot, None)
        if fields is None:
            tally.fault("missed", 0, f"{spot[0]} line {spot[1]}: {expected_field} was not refused")
        elif expected_field not in fields:
            tally.fault("wrong", 0, f"{spot[0]} line {spot[1]}: refused for {fields}, not for {expected_field}")
        else:
            tally.right += 1
    for spot, fields in given.items():
        tally.fault("invented", 0, f"{spot[0]} line {spot[1]}: refused for {fields}, but it is sound")
    return tally


def _few(references: Iterable[str]) -> str:
    """References for a sentence: at most three of them."""
    listed = list(references)
    shown = ", ".join(listed[:3]) or "no reference"
    return f"{shown} and {len(listed) - 3} more" if len(listed) > 3 else shown
