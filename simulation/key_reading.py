"""Reads an answer key back from its folder, as plain records for scoring. Amounts are fen."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from money import parse_minor_units
from simulation.span import SimulationRefused


@dataclass(frozen=True, slots=True)
class KeyMatch:
    """What one bank line truly settles; ``readable`` is False when its statement never arrives."""

    amount: int
    book_references: tuple[str, ...]
    certainty: str
    readable: bool


@dataclass(frozen=True, slots=True)
class KeyDefect:
    """One injected defect (columns: simulation/docs.md, defects.csv)."""

    defect_id: str
    kind: str
    account_number: str
    business_date: date
    amount: int
    difference: int
    references: tuple[str, ...]
    bank_references: tuple[str, ...]
    resolvable: bool
    also_expected: tuple[str, ...]
    sentence: str
    bank_members: tuple[str, ...] = ()
    book_members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyTrap:
    """Something that must not be named."""

    account_number: str
    references: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class KeyBalance:
    """The truth of one account and day."""

    opening: int
    closing: int
    surplus: int
    covered: bool
    clean: bool
    delivered: bool


@dataclass(frozen=True, slots=True)
class ScoringKey:
    """A whole answer key. Matches by (account, booking date, bank reference), balances by (account, day), findings by (file,
    line); releases by ``order id#class-hour``, refunds by request id, disbursements by instruction id, each (fen, day).
    """

    matches: Mapping[tuple[str, date, str], KeyMatch]
    defects: tuple[KeyDefect, ...]
    traps: tuple[KeyTrap, ...]
    releases: dict[str, tuple[int, date]]
    refunds: dict[str, tuple[int, date]]
    disbursements: dict[str, tuple[int, date]]
    balances: Mapping[tuple[str, date], KeyBalance]
    findings: Mapping[tuple[str, int], str]

    def is_clean(self, account_number: str, day: date) -> bool:
        """Whether no defect has touched the account's money up to that day and the day's own statement is sound."""
        known = self.balances.get((account_number, day))
        return known is not None and known.clean


def read_key(folder: Path) -> ScoringKey:
    """Read ``answer-key/`` of a simulated district. Raises SimulationRefused naming the file that is missing."""
    return ScoringKey(
        matches={
            (row["account_number"], _day(row["booking_date"]), row["bank_reference"]): KeyMatch(
                _fen(row["amount"]), _parts(row["book_references"]), row["certainty"], bool(row["readable_on"])
            )
            for row in _rows(folder, "expected_matches.csv")
        },
        defects=tuple(_defect(row) for row in _rows(folder, "defects.csv")),
        traps=tuple(
            KeyTrap(row["account_number"], _parts(row["references"]), row["sentence"]) for row in _rows(folder, "traps.csv")
        ),
        releases={
            f"{row['order_id']}#{row['class_hour_no']}": (_fen(row["amount"]), _day(row["released_on"]))
            for row in _rows(folder, "expected_releases.csv")
        },
        refunds={
            row["refund_request_id"]: (_fen(row["amount"]), _day(row["approved_on"]))
            for row in _rows(folder, "expected_refunds.csv")
        },
        disbursements={
            row["instruction_id"]: (_fen(row["amount"]), _day(row["instructed_on"]))
            for row in _rows(folder, "expected_disbursements.csv")
        },
        balances={
            (row["account_number"], _day(row["date"])): KeyBalance(
                _fen(row["opening"]),
                _fen(row["closing"]),
                _fen(row["surplus"]),
                row["coverage"] == "yes",
                row["clean"] == "yes",
                bool(row["delivered_on"]),
            )
            for row in _rows(folder, "expected_balances.csv")
        },
        findings={(row["file"], int(row["line"])): row["field"] for row in _rows(folder, "expected_import_findings.csv")},
    )


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    path = folder / name
    if not path.is_file():
        raise SimulationRefused(f"{path} is missing; name the answer-key folder that escrow simulate wrote")
    with path.open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _defect(row: Mapping[str, str]) -> KeyDefect:
    return KeyDefect(
        row["defect_id"],
        row["kind"],
        row["account_number"],
        _day(row["business_date"]),
        _fen(row["amount"]),
        _fen(row["difference"]),
        _parts(row["references"]),
        _parts(row["bank_references"]),
        row["resolvable"] == "yes",
        _parts(row["also_expected"]),
        row["sentence"],
        _parts(row["bank_members"]),
        _parts(row["book_members"]),
    )


def _fen(text: str) -> int:
    return parse_minor_units(text, 2)


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)
