"""Lays the discrepancies an engine named beside the defects of the key, and judges each by everything it says.

A defect is right when exactly one discrepancy names it: its kind, amount, difference, day, account, bank lines and book items,
all as the key has them. Nothing is forgiven; what the key calls a consequence must carry the defect's own amount.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from simulation.found import NAMELESS, FoundDiscrepancy, Tally, few
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


class Naming:
    """The comparison of all discrepancies; its attributes are those of scoring.Score."""

    def __init__(self, key: ScoringKey, found: Sequence[FoundDiscrepancy]) -> None:
        self.key = key
        self.by_reference: dict[tuple[str, str], list[KeyDefect]] = defaultdict(list)
        self.by_day: dict[tuple[str, date], list[KeyDefect]] = defaultdict(list)
        for defect in key.defects:
            for reference in {*defect.references, *defect.bank_references, *defect.bank_members, *defect.book_members}:
                if reference != NAMELESS:
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
        self.misnamed: list[str] = []
        self.misstated: list[str] = []
        self.carried = self.consequences = 0
        self.named: dict[str, list[FoundDiscrepancy]] = defaultdict(list)
        self.otherwise: dict[str, list[FoundDiscrepancy]] = defaultdict(list)
        self.sprung: set[str] = set()
        self.followed: set[tuple[str, str]] = set()
        for each in found:
            self._lay(each)
        for defect in key.defects:
            self._judge(defect)
        self.traps.right = self.traps.expected - self.traps.wrong

    def _tally(self, kind: str) -> Tally:
        return self.by_kind.setdefault(kind, Tally(kind))

    def _candidates(self, each: FoundDiscrepancy) -> list[KeyDefect]:
        """Defects of the account this may be about, those that agree in most things first."""
        if each.kind in STATEMENT_KINDS:
            found = self.by_day.get((each.account_number, each.business_date), [])
        else:
            told = (*each.references, *each.bank_members, *each.book_members)
            found = [defect for one in told for defect in self.by_reference.get((each.account_number, one), [])]
        distinct = {defect.defect_id: defect for defect in found}.values()
        return sorted(distinct, key=lambda defect: (len(list(_faults(defect, each))), defect.defect_id))

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
        if same and not list(_faults(same[0], each)):
            self.named[same[0].defect_id].append(each)
            return
        foreseen = [(defect.defect_id, each.kind) for defect in candidates if _follows(each, defect)]
        first = next((one for one in foreseen if one not in self.followed), None)
        if first is not None:
            self.followed.add(first)
            self.consequences += 1
        elif same:
            self.named[same[0].defect_id].append(each)
        elif candidates and each.kind not in STATEMENT_KINDS:
            self.otherwise[candidates[0].defect_id].append(each)
        else:
            self._invented(each)

    def _invented(self, each: FoundDiscrepancy, why: str = "is no defect") -> None:
        about = few((*each.book_members, *each.bank_members, *each.references))
        text = f"{each.kind} at {each.account_number} on {each.business_date}: {about} {why}"
        self.total.fault("invented", each.amount, text)
        self._tally(each.kind).fault("invented", each.amount, text)
        for reference in (*each.book_members, *each.references):
            trap = self.trapped.get((each.account_number, reference))
            if trap is not None and trap.sentence not in self.sprung:
                self.sprung.add(trap.sentence)
                self.traps.fault("wrong", each.amount, f"{each.kind}: {trap.sentence}")

    def _judge(self, defect: KeyDefect) -> None:
        tally = self._tally(defect.kind)
        tally.expected += 1
        named, otherwise = self.named.get(defect.defect_id, []), self.otherwise.get(defect.defect_id, [])
        who = f"{defect.defect_id} {defect.kind} on {defect.business_date}"
        if named:
            best, *more = sorted(named, key=lambda each: len(list(_faults(defect, each))))
            faults = list(_faults(defect, best))
            if faults:
                text = f"{who}: named, but {'; '.join(faults)}. {defect.sentence}"
                self.misstated.append(text)
                self._fault(tally, "wrong", defect, text)
            else:
                self.total.right += 1
                tally.right += 1
            for each in more:
                self._invented(each, f"names {defect.defect_id} again")
            for each in otherwise:
                self._invented(each, f"also names {defect.defect_id} {defect.kind}")
        elif otherwise:
            kinds = ", ".join(sorted({each.kind for each in otherwise}))
            text = f"{who}: called {kinds}. {defect.sentence}"
            self.misnamed.append(text)
            self._fault(tally, "wrong", defect, text)
        else:
            self._fault(tally, "missed", defect, f"{who}: not named. {defect.sentence}")
        for kind in sorted({each.kind for each in otherwise}):
            self.confusion[defect.kind, kind] += 1
        if not defect.resolvable:
            if named:
                self.undecidable.right += 1
            else:
                self.undecidable.fault("missed", defect.amount, defect.sentence)

    def _fault(self, tally: Tally, what: str, defect: KeyDefect, text: str) -> None:
        self.total.fault(what, defect.amount, text)
        tally.fault(what, defect.amount, text)


def _follows(each: FoundDiscrepancy, defect: KeyDefect) -> bool:
    """Whether this is a consequence the key foresees: of files on the defect's own day; of money about the very same items with
    their amount, not after the defect itself.
    """
    if each.kind not in defect.also_expected:
        return False
    if each.kind in STATEMENT_KINDS:
        return each.business_date == defect.business_date
    same = each.amount == defect.amount and sorted(each.book_members) == sorted(defect.book_members)
    return same and each.business_date <= defect.business_date


def _faults(defect: KeyDefect, each: FoundDiscrepancy) -> Iterator[str]:
    """Everything this discrepancy says otherwise than the key, as parts of a sentence."""
    if each.amount != defect.amount:
        yield f"amount {each.amount} instead of {defect.amount} fen"
    if each.difference != defect.difference:
        yield f"difference {each.difference} instead of {defect.difference} fen"
    if each.business_date != defect.business_date:
        yield f"on {each.business_date} instead of {defect.business_date}"
    if each.account_number != defect.account_number:
        yield f"at account {each.account_number} instead of {defect.account_number}"
    if each.kind not in STATEMENT_KINDS:
        if sorted(each.bank_members) != sorted(defect.bank_members):
            yield f"with bank lines {few(each.bank_members)} instead of {few(defect.bank_members)}"
        if sorted(each.book_members) != sorted(defect.book_members):
            yield f"with book items {few(sorted(each.book_members))} instead of {few(sorted(defect.book_members))}"
