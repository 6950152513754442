"""What a comparison knows at each moment: which lines and items are used, which are named, and why.

Positions are those of the sorted frames. Nothing here decides; the steps (engine.py) and the classification do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.matching.groups import components
from reconciliation.matching.references import reference_table
from reconciliation.matching.rules import MatchingRules, Rule

Flags = np.ndarray

_UNIT_FACTS = ["account_code", "currency", "inward", "expected", "expected_too", "gross", "fee", "due", "until"]


@dataclass(frozen=True, slots=True)
class Units:
    """What single bank lines may explain: one row per unit in ``frame`` (index = unit number).

    Columns: account_code, currency, inward, ``expected`` (minor units the bank should show), ``expected_too`` (the same when a
    batch's fee is given once and repeated on its items), gross, fee, due, until, is_group. ``references``: at (unit),
    reference. ``members``: unit, item.
    """

    frame: pd.DataFrame
    references: pd.DataFrame
    members: pd.DataFrame

    def items_of(self, wanted: Iterable[int]) -> dict[int, list[int]]:
        """The items of each wanted unit, in the order of their ids."""
        unit, item = self.members["unit"].to_numpy(), self.members["item"].to_numpy()
        if not (unit[1:] >= unit[:-1]).all():
            order = np.lexsort((item, unit))
            unit, item = unit[order], item[order]
        return {
            one: item[np.searchsorted(unit, one, "left") : np.searchsorted(unit, one, "right")].tolist() for one in set(wanted)
        }

    @classmethod
    def none(cls) -> Units:
        """No units at all."""
        return cls(pd.DataFrame(), pd.DataFrame(), pd.DataFrame())


def item_units(items: pd.DataFrame, references: pd.DataFrame) -> Units:
    """Each item by itself, known under ``references`` (at, reference)."""
    frame = items[["account_code", "currency", "inward", "amount", "fee", "due", "until"]].rename(columns={"amount": "gross"})
    frame = frame.assign(expected=frame["gross"] - frame["fee"], is_group=False)
    frame["expected_too"] = frame["expected"]
    members = pd.DataFrame({"unit": items["at"].to_numpy(), "item": items["at"].to_numpy()})
    return Units(frame, references, members)


@dataclass(slots=True)
class Naming:
    """Discrepancies found so far, as parallel lists: kind, positions of lines and items, what is expected of the lines where
    the items do not say it (figures.py), reason.
    """

    kinds: list[DiscrepancyKind] = field(default_factory=list)
    lines: list[tuple[int, ...]] = field(default_factory=list)
    items: list[tuple[int, ...]] = field(default_factory=list)
    expected: list[int | None] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Confirmed pairs of one step: ``pairs`` (line, unit, reference) and ``members`` (unit, item)."""

    rule: Rule
    pairs: pd.DataFrame
    members: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Hits:
    """Pairs of one step that share a reference (pairs columns: see Comparison.pairs) and the units they point at."""

    rule: Rule
    pairs: pd.DataFrame
    units: Units


@dataclass(frozen=True, slots=True)
class Total:
    """A confirmed match by total: lines and items of one reference, several on one of the two sides."""

    lines: tuple[int, ...]
    items: tuple[int, ...]
    reference: str


@dataclass(frozen=True, slots=True)
class Label:
    """References shared too widely to prove anything: who carries them, as columns ``key`` and ``line`` or ``item``."""

    lines: pd.DataFrame
    items: pd.DataFrame


@dataclass(slots=True)
class Comparison:
    """One comparison in progress.

    ``line_used``/``item_used``: consumed by a confirmed match now or (context) in an earlier run. ``line_named``/
    ``item_named``: a discrepancy names it. ``has_hit``: a reference of the line names something in the books.
    """

    lines: pd.DataFrame
    items: pd.DataFrame
    rules: MatchingRules
    as_of_days: np.ndarray
    line_used: Flags
    item_used: Flags
    line_named: Flags
    item_named: Flags
    has_hit: Flags
    naming: Naming = field(default_factory=Naming)
    accepted: list[Accepted] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    reversal_pairs: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"back": [], "forth": [], "reference": []}))
    hits: list[Hits] = field(default_factory=list)
    suggestions: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"line": [], "item": []}))
    book_shapes: pd.DataFrame = field(default_factory=pd.DataFrame)
    line_references: pd.DataFrame = field(default_factory=pd.DataFrame)
    item_references: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(cls, lines: pd.DataFrame, items: pd.DataFrame, rules: MatchingRules, as_of: date | None) -> Comparison:
        """Begin a comparison. Adds ``account_code`` to both frames; the cut-off of an account is ``as_of`` or its latest
        booking date, or its latest due date when the bank has shown no line at all.
        """
        codes, accounts = pd.factorize(pd.concat([lines["account"], items["account"]], ignore_index=True))
        lines["account_code"] = codes[: len(lines)].astype(np.int64)
        items["account_code"] = codes[len(lines) :].astype(np.int64)
        cut = np.full(len(accounts), -(2**62), dtype=np.int64)
        if as_of is not None:
            cut[:] = (as_of - date(1970, 1, 1)).days
        else:
            np.maximum.at(cut, lines["account_code"].to_numpy(), lines["booked"].to_numpy())
            due = np.full(len(accounts), -(2**62), dtype=np.int64)
            np.maximum.at(due, items["account_code"].to_numpy(), items["due"].to_numpy())
            cut = np.where(cut == -(2**62), due, cut)
        return cls(
            lines,
            items,
            rules,
            cut,
            lines["consumed"].to_numpy(dtype=bool).copy(),
            items["consumed"].to_numpy(dtype=bool).copy(),
            np.zeros(len(lines), dtype=bool),
            np.zeros(len(items), dtype=bool),
            np.zeros(len(lines), dtype=bool),
        )

    @property
    def open_lines(self) -> Flags:
        flags: Flags = ~self.line_used & ~self.line_named
        return flags

    @property
    def open_items(self) -> Flags:
        flags: Flags = ~self.item_used & ~self.item_named
        return flags

    def line_open(self, at: pd.Series) -> Flags:
        found: Flags = self.open_lines[at.to_numpy()]
        return found

    def keyed(self, table: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
        """A reference table of lines with what a pair of lines must share."""
        facts = lines[["account", "currency", "amount", "inward"]].iloc[table["at"].to_numpy()].reset_index(drop=True)
        return pd.concat([table.reset_index(drop=True), facts], axis=1)

    def pairs(self, references: pd.DataFrame, units: Units) -> pd.DataFrame:
        """Open lines and units of the same account that share a reference; one row per pair.

        Columns: line, unit, reference (the first in text order), same_currency, same_direction, same_amount, in_time,
        fits (all four), unit_consumed. References shared too widely to prove anything are left out (``labels``).
        """
        left = references[self.open_lines[references["at"].to_numpy()]]
        right = units.references
        codes, _ = pd.factorize(pd.concat([left["reference"], right["reference"]], ignore_index=True))
        span = np.int64(codes.max() + 1 if len(codes) else 1)
        left_account = self.lines["account_code"].to_numpy()[left["at"].to_numpy()]
        right_account = units.frame["account_code"].to_numpy()[right["at"].to_numpy()]
        left = left.assign(key=left_account * span + codes[: len(left)]).rename(columns={"at": "line"})
        right = pd.DataFrame({"unit": right["at"].to_numpy(), "key": right_account * span + codes[len(left) :]})
        left, right = self._without_labels(left, right, units)
        found = left.merge(right, on="key", sort=False).drop(columns="key")
        if found.empty:
            return found
        several = found.duplicated(["line", "unit"], keep=False)
        if several.any():
            found = found.sort_values(["line", "unit", "reference"], kind="stable").drop_duplicates(["line", "unit"])
        self.has_hit[found["line"].to_numpy()] = True
        return self._judged(found.reset_index(drop=True), units)

    def _without_labels(self, left: pd.DataFrame, right: pd.DataFrame, units: Units) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Set aside references shared too widely; a line's other references still count."""
        both = left["key"].value_counts(sort=False).to_frame("lines").join(right["key"].value_counts(sort=False), how="inner")
        wide = both.index[(both["lines"] * both["count"]) > self.rules.shared_by_at_most]
        if not len(wide):
            return left, right
        hidden, labelled = left["key"].isin(wide), right["key"].isin(wide)
        carriers = right[labelled].merge(units.members, on="unit")[["key", "item"]]
        self.labels.append(Label(left.loc[hidden, ["key", "line"]], carriers))
        self.has_hit[left.loc[hidden, "line"].to_numpy()] = True
        return left[~hidden], right[~labelled]

    def _judged(self, found: pd.DataFrame, units: Units) -> pd.DataFrame:
        line, unit = found["line"].to_numpy(), found["unit"].to_numpy()
        facts = {name: units.frame[name].to_numpy()[unit] for name in _UNIT_FACTS}
        lines = self.lines
        amount, booked = lines["amount"].to_numpy()[line], lines["booked"].to_numpy()[line]
        found["same_currency"] = np.asarray(lines["currency"].to_numpy()[line] == facts["currency"], dtype=bool)
        found["same_direction"] = lines["inward"].to_numpy()[line] == facts["inward"]
        found["same_amount"] = (amount == facts["expected"]) | (amount == facts["expected_too"])
        found["in_time"] = (booked <= facts["until"]) & (booked >= facts["due"] - self.rules.early_days)
        found["fits"] = found["same_currency"] & found["same_direction"] & found["same_amount"] & found["in_time"]
        found["unit_consumed"] = self.unit_closed(units)[unit]
        return found

    def unit_closed(self, units: Units, *, used_only: bool = False) -> Flags:
        """Per unit: whether one of its items is used (or, unless ``used_only``, named by a discrepancy)."""
        closed = np.zeros(len(units.frame), dtype=bool)
        shut = self.item_used if used_only else self.item_used | self.item_named
        closed[units.members["unit"].to_numpy()[shut[units.members["item"].to_numpy()]]] = True
        return closed

    def remember(self, rule: Rule, pairs: pd.DataFrame, units: Units) -> None:
        self.hits.append(Hits(rule, pairs, units))

    def group_units(self) -> Units:
        """Settlement batches: per account, currency, direction and batch number the open items, or all when none is open."""
        items = self.items
        table = reference_table(items["group_key"], self.rules)
        if table.empty:
            return Units.none()
        item = table["at"].to_numpy()
        rows = items.iloc[item][["account_code", "currency", "inward", "amount", "fee", "due", "until"]].reset_index(drop=True)
        rows["reference"] = table["reference"]
        rows["item"] = item
        rows["open"] = self.open_items[item]
        key = ["account_code", "currency", "inward", "reference"]
        any_open = rows.groupby(key, sort=False)["open"].transform("any")
        rows = rows[rows["open"] | ~any_open].reset_index(drop=True)
        grouped = rows.groupby(key, sort=True)
        rows["unit"] = grouped.ngroup()
        frame = grouped.agg(
            gross=("amount", "sum"),
            fee=("fee", "sum"),
            smallest_fee=("fee", "min"),
            largest_fee=("fee", "max"),
            count=("item", "size"),
            due=("due", "max"),
            until=("until", "max"),
        ).reset_index()
        frame["expected"] = frame["gross"] - frame["fee"]
        once = (frame["smallest_fee"] == frame["largest_fee"]) & (frame["count"] > 1)
        frame["expected_too"] = np.where(once, frame["gross"] - frame["largest_fee"], frame["expected"])
        frame["is_group"] = True
        references = pd.DataFrame({"at": np.arange(len(frame), dtype=np.int64), "reference": frame["reference"]})
        return Units(frame, references, rows[["unit", "item"]].sort_values(["unit", "item"], ignore_index=True))

    def confirm(self, rule: Rule, pairs: pd.DataFrame, units: Units) -> None:
        """Take unique pairs (line, unit, reference) as matches: their lines and items are used."""
        if pairs.empty:
            return
        chosen = np.zeros(len(units.frame), dtype=bool)
        chosen[pairs["unit"].to_numpy()] = True
        members = units.members[chosen[units.members["unit"].to_numpy()]]
        lines, items = pairs["line"].to_numpy(), members["item"].to_numpy()
        if self.line_used[lines].any() or self.item_used[items].any() or len(np.unique(lines)) != len(lines):
            raise AssertionError("a line or an item would be consumed twice")
        self.line_used[lines] = True
        self.item_used[items] = True
        self.accepted.append(Accepted(rule, pairs[["line", "unit", "reference"]].reset_index(drop=True), members))

    def confirm_total(self, total: Total) -> None:
        """Take lines and items of one reference as one match: what they come to agrees."""
        lines, items = list(total.lines), list(total.items)
        if self.line_used[lines].any() or self.item_used[items].any():
            raise AssertionError("a line or an item would be consumed twice")
        self.totals.append(total)
        self.line_used[lines] = True
        self.item_used[items] = True

    def confirm_reversals(self, pairs: pd.DataFrame) -> None:
        """Take pairs of lines (back, forth, reference) that undo each other as matches without book items."""
        if pairs.empty:
            return
        self.reversal_pairs = pairs[["back", "forth", "reference"]].reset_index(drop=True)
        self.line_used[pairs["back"].to_numpy()] = True
        self.line_used[pairs["forth"].to_numpy()] = True

    def name(
        self,
        kind: DiscrepancyKind,
        lines: Iterable[int],
        items: Iterable[int],
        reason: str,
        *,
        expected: int | None = None,
        settled: Iterable[int] = (),
    ) -> None:
        """Say what open lines (and the items they concern) are; each line is named at most once.

        ``expected``: what the books expect of these lines, signed, where it is not the sum of the items named that are still
        open. ``settled``: named items that stay open, because the discrepancy is that others repeat them.
        """
        on_bank, on_book = tuple(sorted(set(lines))), tuple(sorted(set(items)))
        if any(self.line_named[line] or self.line_used[line] for line in on_bank):
            raise AssertionError("a line would be named twice")
        self.naming.kinds.append(kind)
        self.naming.lines.append(on_bank)
        self.naming.items.append(on_book)
        self.naming.expected.append(expected)
        self.naming.reasons.append(reason)
        self.line_named[list(on_bank)] = True
        stay = set(settled)
        for item in on_book:
            if not self.item_used[item] and item not in stay:
                self.item_named[item] = True

    def name_undecided(self, pairs: pd.DataFrame, units: Units) -> None:
        """Lines that fit several units, or units that several such lines fit: nobody may choose for the payer.

        Everything that hangs together by such fits is one discrepancy, with all its lines and items.
        """
        if pairs.empty:
            return
        members = units.items_of(pairs["unit"].tolist())
        signatures = self._signatures([item for items in members.values() for item in items])
        is_group = units.frame["is_group"].to_numpy()
        group = components(pairs["line"].to_numpy(), pairs["unit"].to_numpy())
        for _, rows in pairs.groupby(group, sort=True):
            claimed = sorted(set(rows["unit"].tolist()))
            lines = sorted(set(rows["line"].tolist()))
            items = [item for unit in claimed for item in members[unit]]
            shown = rows["reference"].min()
            twins = len(lines) == 1 and not is_group[claimed].any() and len({signatures[item] for item in items}) == 1
            if twins:
                why = f"the books hold {len(items)} equal items under reference {shown}; none may be chosen without a person"
                self.name(DiscrepancyKind.DUPLICATE_LEDGER, lines, items, why)
                continue
            several = "the line fits" if len(lines) == 1 else f"each of {len(lines)} lines fits"
            why = f"{several} {len(items)} book items under reference {shown}; none may be chosen without a person"
            self.name(DiscrepancyKind.AMBIGUOUS, lines, items, why)

    def _signatures(self, items: list[int]) -> dict[int, tuple[str, ...]]:
        """What makes two items the same thing twice: references, kind and batch, whatever their ids."""
        columns = self.items[["references", "kind", "group_key", "counterparty_account"]].iloc[items]
        return {
            item: ("|".join(sorted(set(references.upper().split("|")))), kind, group, account)
            for item, references, kind, group, account in zip(items, *(columns[name].tolist() for name in columns), strict=True)
        }
