"""What a comparison found, as frames with content-derived ids and one digest over all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reconciliation.discrepancy import DiscrepancyKind

MATCH_COLUMNS = ("match_id", "rule", "status", "side", "member_id", "amount", "explanation")
DISCREPANCY_COLUMNS = (
    "discrepancy_id",
    "kind",
    "account",
    "currency",
    "side",
    "line_ids",
    "item_ids",
    "amount",
    "difference",
    "explanation",
)

_BETWEEN_FIELDS = "\x1f"
_BETWEEN_ROWS = "\x1e"


def rows_of(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows of a small frame as tuples with named fields."""
    yield from frame.itertuples(index=False)


def match_ids(rules: Iterable[str], members: Iterable[str]) -> list[str]:
    """The id of each match: SHA-256 (first 32 hex digits) of its rule and its sorted members.

    ``members``: one text per match, ``bank:<line id>`` and ``book:<item id>`` of all its members, joined by ``|``.
    """
    return [
        hashlib.sha256(f"{rule}{_BETWEEN_FIELDS}{member}".encode()).hexdigest()[:32]
        for rule, member in zip(rules, members, strict=True)
    ]


def discrepancy_id(kind: str, line_ids: Iterable[str], item_ids: Iterable[str]) -> str:
    """The id of a discrepancy: its kind and its bank lines, or its book items when no line is concerned.

    The candidates of an undecided line change from day to day; the discrepancy stays the same one. Twins in the books are
    known by all of them together, so it stays the same whichever of them the bank's line, should one come, is matched with.
    """
    lines = [] if kind == DiscrepancyKind.DUPLICATE_LEDGER else sorted(line_ids)
    of = lines or sorted(item_ids)
    seed = _BETWEEN_FIELDS.join((kind, "bank" if lines else "book", *of))
    return hashlib.sha256(seed.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Matches and discrepancies of one comparison, in canonical order.

    ``matches``: one row per member, MATCH_COLUMNS; ``amount`` in minor units (Int64); ``status`` confirmed or suggested.
    ``discrepancies``: DISCREPANCY_COLUMNS; ``line_ids`` and ``item_ids`` joined by ``|``; ``difference`` is bank minus books.
    Items carried because their time has not run out are rows of kind TIMING. ``output_hash``: SHA-256 over both.
    """

    matches: pd.DataFrame
    discrepancies: pd.DataFrame
    rules_version: str

    @property
    def confirmed(self) -> pd.DataFrame:
        return self.matches[self.matches["status"] == "confirmed"]

    @property
    def output_hash(self) -> str:
        return output_hash(self.matches, self.discrepancies)


def output_hash(matches: pd.DataFrame, discrepancies: pd.DataFrame) -> str:
    """SHA-256 over the rows of both frames, each sorted by its text: the same content gives the same digest."""
    digest = hashlib.sha256()
    for frame, columns in ((matches, MATCH_COLUMNS), (discrepancies, DISCREPANCY_COLUMNS)):
        text = frame[columns[0]].astype("str")
        for column in columns[1:]:
            text = text.str.cat(frame[column].astype("str"), sep=_BETWEEN_FIELDS)
        digest.update(_BETWEEN_ROWS.join(sorted(text.tolist())).encode())
        digest.update(_BETWEEN_ROWS.encode() * 2)
    return digest.hexdigest()


def merged(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcomes of disjoint accounts as one: what one comparison of all of them would have found."""
    parts = list(outcomes)
    if not parts:
        raise ValueError("nothing to merge")
    versions = {part.rules_version for part in parts}
    if len(versions) != 1:
        raise ValueError(f"outcomes of different rules cannot be merged: {sorted(versions)}")
    return canonical(
        pd.concat([part.matches for part in parts], ignore_index=True),
        pd.concat([part.discrepancies for part in parts], ignore_index=True),
        versions.pop(),
    )


def of_account(outcome: Outcome, account: str, line_ids: Container[str]) -> Outcome:
    """The part of an outcome that is one account's, as comparing it alone would have found it.

    ``line_ids``: the account's bank lines; every match has at least one.
    """
    matches = outcome.matches
    on_bank = matches[matches["side"] == "bank"]
    own = set(on_bank.loc[[one in line_ids for one in on_bank["member_id"]], "match_id"])
    return Outcome(
        matches[matches["match_id"].isin(own)].reset_index(drop=True),
        outcome.discrepancies[outcome.discrepancies["account"] == account].reset_index(drop=True),
        outcome.rules_version,
    )


def canonical(matches: pd.DataFrame, discrepancies: pd.DataFrame, rules_version: str) -> Outcome:
    """The outcome with its rows in canonical order."""
    return Outcome(
        matches.sort_values(["match_id", "side", "member_id"], kind="stable", ignore_index=True)[list(MATCH_COLUMNS)],
        discrepancies.sort_values(
            ["account", "currency", "kind", "line_ids", "item_ids", "discrepancy_id"], kind="stable", ignore_index=True
        )[list(DISCREPANCY_COLUMNS)],
        rules_version,
    )


def suggestions(outcome: Outcome) -> dict[str, str]:
    """Line id -> item id of what amount and date propose."""
    pairs = outcome.matches[outcome.matches["status"] == "suggested"]
    found: dict[str, str] = {}
    for _, members in pairs.groupby("match_id", sort=True):
        by_side = dict(zip(members["side"], members["member_id"], strict=True))
        found[by_side["bank"]] = by_side["book"]
    return found
