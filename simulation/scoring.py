"""Compares what an engine found with the answer key: wrong and missed matches, discrepancies named, misnamed, missed, invented.

Pure: plain records in, counts and money out. It never says "right" of something merely absent; every expected thing is
counted once, as right, wrong or missed, and everything found beyond it as invented.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from simulation.found import (
    Found,
    FoundBalance,
    FoundDiscrepancy,
    FoundFinding,
    FoundMatch,
    FoundPayment,
    Tally,
    few,
)
from simulation.key_reading import ScoringKey
from simulation.naming import CONDITION_KINDS, STATEMENT_KINDS, Naming

__all__ = [
    "CONDITION_KINDS",
    "STATEMENT_KINDS",
    "Found",
    "FoundBalance",
    "FoundDiscrepancy",
    "FoundFinding",
    "FoundMatch",
    "FoundPayment",
    "Score",
    "Tally",
    "score",
]


@dataclass(frozen=True, slots=True)
class Score:
    """The comparison. ``matches``: wrong and missed confirmed matches. ``discrepancies``: a defect is right only when it is named
    once, with its kind, amount, difference, day, account and exactly its lines and items; otherwise it is missed, or wrong:
    ``misnamed`` (seen under another kind) or ``misstated`` (the right kind, something else not). What is named beyond the
    key is invented. ``by_kind``: the same for every kind. ``confusion``: (expected kind, found kind) -> count of defects.

    ``carried`` and ``consequences``: found discrepancies that are rightly there without being defects of their own.
    """

    matches: Tally
    discrepancies: Tally
    by_kind: dict[str, Tally]
    confusion: dict[tuple[str, str], int]
    undecidable: Tally
    traps: Tally
    misnamed: tuple[str, ...]
    misstated: tuple[str, ...]
    carried: int
    consequences: int
    others: tuple[Tally, ...]

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """All lines of the score, the most important first."""
        return (self.matches, self.discrepancies, self.undecidable, self.traps, *self.others)

    @property
    def perfect(self) -> bool:
        """Everything right, nothing wrong, missed or invented."""
        return all(each.perfect for each in self.tallies)


def score(key: ScoringKey, found: Found) -> Score:
    """Compare. The order of the found records does not matter."""
    named = Naming(key, found.discrepancies)
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
        misnamed=tuple(named.misnamed),
        misstated=tuple(named.misstated),
        carried=named.carried,
        consequences=named.consequences,
        others=tuple(others),
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
            tally.fault("wrong", match.amount, f"{where}: matched with {few(match.book_references)}, but it settles nothing")
        elif spot in seen:
            tally.fault("wrong", match.amount, f"{where}: matched twice")
        elif set(match.book_references) != set(truth.book_references):
            tally.fault(
                "wrong", match.amount, f"{where}: matched with {few(match.book_references)}, not {few(truth.book_references)}"
            )
        elif spot in required:
            tally.right += 1
        seen.add(spot)
    for spot, truth in required.items():
        if spot not in seen:
            tally.fault(
                "missed", truth.amount, f"bank line {spot[2]} of {spot[1]}: not matched with {few(truth.book_references)}"
            )
    return tally


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
    return [balances, coverage, _shortfalls(key, seen)]


def _shortfalls(key: ScoringKey, seen: Mapping[tuple[str, date], FoundBalance]) -> Tally:
    """Account-days on which money is truly missing: never called covered."""
    short = {spot: truth for spot, truth in key.balances.items() if truth.delivered and not truth.covered}
    tally = Tally("days short of money, told", expected=len(short))
    for spot, truth in sorted(short.items(), key=lambda each: each[0]):
        given = seen.get(spot)
        if given is None:
            tally.fault("missed", truth.surplus, f"account {spot[0]} on {spot[1]}: {-truth.surplus} fen short, nothing said")
        elif given.covered:
            tally.fault("wrong", truth.surplus, f"account {spot[0]} on {spot[1]}: {-truth.surplus} fen short, called covered")
        else:
            tally.right += 1
    return tally


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
