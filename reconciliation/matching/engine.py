"""Compares bank lines with book items: a pure function of two frames, the rules and a cut-off day.

Evidence is used in order of strength, and every step is set-based. A *unit* is what one bank line may explain: a single
book item, or all open items of one settlement batch. Steps:

1. same reference, direction and amount, in time, and unique on both sides: confirmed;
2. a batch's total less its expected fee against a line with the batch's number: confirmed;
3. the reference of the original for a refund or reversal that points at it; then whole words of the description, for
   lines whose references named nothing: confirmed under the same conditions;
4. one line against several items of its references, or several lines of one item's or batch's reference, when none of them
   fits alone and their totals agree to the last minor unit (totals.py): confirmed as one match;
5. two lines of the bank that undo each other: confirmed as a pair;
6. everything else is classified (classify.py), never scored. Amount and date alone only propose.

Nothing crosses an account, so the outcome of an account does not depend on other accounts: partitions by account may be
compared in any number of workers and merged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from reconciliation.matching.classify import classify
from reconciliation.matching.frames import canonical_bank, canonical_book
from reconciliation.matching.outcome import Outcome, canonical
from reconciliation.matching.references import reference_table, shape, text_token_table
from reconciliation.matching.render import match_rows
from reconciliation.matching.rules import MatchingRules, Rule
from reconciliation.matching.state import Comparison, Units, item_units
from reconciliation.matching.totals import confirm_totals
from reconciliation.matching.unique import resolve

__all__ = ["match_frames"]


def match_frames(bank: pd.DataFrame, book: pd.DataFrame, rules: MatchingRules, as_of: date | None = None) -> Outcome:
    """Compare the two sides (columns: frames.py) and say what became of every line and every item.

    ``as_of`` is the business day up to which bank lines have been received; without it, each account's latest booking
    date. Each bank line is in exactly one confirmed match or exactly one discrepancy. Raises FrameRefused.
    """
    lines = canonical_bank(bank, rules)
    items = canonical_book(book, rules)
    state = Comparison.of(lines, items, rules, as_of)
    _Steps(state).run()
    discrepancies = classify(state)
    return canonical(match_rows(state), discrepancies, rules.version)


@dataclass(slots=True)
class _Steps:
    """The confirming steps over one comparison."""

    state: Comparison
    line_references: pd.DataFrame = field(init=False)
    item_references: pd.DataFrame = field(init=False)

    def run(self) -> None:
        state = self.state
        self.line_references = reference_table(state.lines["references"], state.rules)
        own = reference_table(state.items["references"], state.rules)
        state.book_shapes = _shapes(own, state)
        self.item_references = self._without_own_group(own)
        singles = item_units(state.items, self.item_references)
        self._match(Rule.REFERENCE, self.line_references, singles)
        self._match(Rule.GROUP_TOTAL, self.line_references, self._groups())
        self._match(Rule.ORIGINAL_REFERENCE, self.line_references, self._inheriting())
        self._match_words(singles)
        confirm_totals(state)
        self._reversal_pairs()
        state.line_references = self.line_references
        state.item_references = self.item_references

    def _without_own_group(self, own: pd.DataFrame) -> pd.DataFrame:
        """References of items, less the number of their own batch: that names the batch, not the item."""
        if not (self.state.items["group_key"] != "").any():
            return own
        groups = reference_table(self.state.items["group_key"], self.state.rules).assign(group=True)
        marked = own.merge(groups, on=["at", "reference"], how="left")
        return own[marked["group"].isna().to_numpy()].reset_index(drop=True)

    def _match(self, rule: Rule, references: pd.DataFrame, units: Units) -> None:
        """Confirm every unique fit of open lines and open units by shared reference; name duplicates and ambiguity."""
        if units.frame.empty or references.empty:
            return
        pairs = self.state.pairs(references, units)
        if pairs.empty:
            return
        fits = pairs[pairs["fits"] & ~pairs["unit_consumed"]]
        if not fits.empty:
            found = resolve(fits, self.state)
            self.state.confirm(rule, found.unique, units)
            self.state.name_undecided(found.undecided, units)
        self.state.remember(rule, pairs[self.state.line_open(pairs["line"])], units)

    def _groups(self) -> Units:
        return self.state.group_units()

    def _inheriting(self) -> Units:
        """Open items that point at an original, under the original's references."""
        items = self.state.items
        pointing = items[(items["original_item_id"] != "")]
        if pointing.empty:
            return Units.none()
        originals = pointing[["at", "original_item_id"]].merge(
            items[["at", "item_id", "account"]].rename(columns={"at": "original"}),
            left_on="original_item_id",
            right_on="item_id",
        )
        originals = originals[items["account"].to_numpy()[originals["at"]] == originals["account"].to_numpy()]
        inherited = originals[["at", "original"]].merge(self.item_references.rename(columns={"at": "original"}), on="original")[
            ["at", "reference"]
        ]
        known = self.item_references.assign(known=True)
        fresh = inherited.merge(known, on=["at", "reference"], how="left")
        return item_units(items, inherited[fresh["known"].isna().to_numpy()].reset_index(drop=True))

    def _match_words(self, singles: Units) -> None:
        """Words of the description, only for open lines whose references named nothing at all."""
        state = self.state
        quiet = np.flatnonzero(state.open_lines & ~state.has_hit & (state.lines["description"] != "").to_numpy())
        if not len(quiet):
            return
        words = text_token_table(state.lines["description"].iloc[quiet], state.rules)
        words["at"] = quiet[words["at"].to_numpy()]
        self._match(Rule.REFERENCE_IN_TEXT, words, singles)
        quiet_still = pd.Series(state.open_lines & ~state.has_hit)
        self._match(Rule.GROUP_TOTAL, words[quiet_still.iloc[words["at"]].to_numpy()], self._groups())

    def _reversal_pairs(self) -> None:
        """Two open lines of one reference and amount that undo each other, one of them marked as a reversal."""
        state = self.state
        lines = state.lines
        table = self.line_references
        table = table[state.open_lines[table["at"]]]
        marked = lines["reversal"].to_numpy()[table["at"]]
        if not marked.any():
            return
        left = state.keyed(table[marked], lines).rename(columns={"at": "back"})
        right = state.keyed(table[~marked], lines).rename(columns={"at": "forth"})
        right["inward"] = ~right["inward"]
        pairs = left.merge(right, on=["account", "reference", "currency", "amount", "inward"])
        pairs = pairs.drop_duplicates(["back", "forth"])
        alone = (pairs.groupby("back")["forth"].transform("size") == 1) & (pairs.groupby("forth")["back"].transform("size") == 1)
        state.confirm_reversals(pairs[alone])


def _shapes(own: pd.DataFrame, state: Comparison) -> pd.DataFrame:
    """The shapes of the books' references in each account (columns account, shape)."""
    with_groups = pd.concat([own, reference_table(state.items["group_key"], state.rules)], ignore_index=True)
    return pd.DataFrame(
        {"account": state.items["account"].to_numpy()[with_groups["at"]], "shape": shape(with_groups["reference"])}
    ).drop_duplicates(ignore_index=True)
