"""What is left is named: each open line exactly once, each open item at least once, by the strongest evidence there is."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd

from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.matching.frames import day_text
from reconciliation.matching.groups import components
from reconciliation.matching.propose import propose_by_amount_and_date
from reconciliation.matching.references import says, shape
from reconciliation.matching.render import discrepancy_rows, plain_amounts
from reconciliation.matching.state import Comparison
from reconciliation.matching.unique import resolve

_K = DiscrepancyKind

#: A reference carried by more items than this names something else than the one movement.
_TWINS_AT_MOST = 3


def classify(state: Comparison) -> pd.DataFrame:
    """Name every open line and item; returns the discrepancies (outcome.DISCREPANCY_COLUMNS), amounts in minor units."""
    _late_twins(state)
    _same_reference(state)
    _labelled(state)
    quiet = _by_text(state)
    ours = _names_something_of_ours(state)
    propose_by_amount_and_date(state, quiet, ours)
    _unmatched_lines(state, ours)
    _ledger_twins(state)
    return discrepancy_rows(state, _unmatched_items(state))


def _hits(state: Comparison) -> pd.DataFrame:
    """All remembered pairs of still open lines, with the facts of their unit; columns of Comparison.pairs and more."""
    parts = []
    for number, hits in enumerate(state.hits):
        pairs = hits.pairs[state.open_lines[hits.pairs["line"].to_numpy()]]
        if pairs.empty:
            continue
        unit = pairs["unit"].to_numpy()
        facts = hits.units.frame[["expected", "gross", "fee", "is_group"]].iloc[unit].reset_index(drop=True)
        pairs = pd.concat([pairs.reset_index(drop=True), facts], axis=1)
        pairs["step"] = number
        pairs["used"] = state.unit_closed(hits.units, used_only=True)[unit]
        pairs["closed"] = state.unit_closed(hits.units)[unit]
        parts.append(pairs)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _late_twins(state: Comparison) -> None:
    """Same reference, direction, amount and currency, but out of time: late when unique, undecided otherwise."""
    for hits in list(state.hits):
        pairs = hits.pairs
        late = pairs["same_currency"] & pairs["same_direction"] & pairs["same_amount"] & ~pairs["in_time"]
        late &= ~state.unit_closed(hits.units)[pairs["unit"].to_numpy()] & state.open_lines[pairs["line"].to_numpy()]
        if not late.any():
            continue
        found = resolve(pairs[late], state)
        members = hits.units.items_of(found.unique["unit"].tolist())
        until, booked = hits.units.frame["until"].to_numpy(), state.lines["booked"].to_numpy()
        for line, unit, reference in found.unique[["line", "unit", "reference"]].itertuples(index=False):
            days = int(booked[line] - until[unit])
            when = f"{days} days after its window ended" if days > 0 else "long before it was due"
            state.name(_K.LATE, [line], members[unit], f"reference {reference} and amount agree, but it was booked {when}")
        state.name_undecided(found.undecided, hits.units)


def _labelled(state: Comparison) -> None:
    """Lines whose only references are shared too widely to prove anything, with all open items that share them."""
    for label in state.labels:
        lines = label.lines[state.open_lines[label.lines["line"].to_numpy()]]
        if lines.empty:
            continue
        items = label.items[state.open_items[label.items["item"].to_numpy()]]
        group = components(lines["line"].to_numpy(), lines["key"].to_numpy())
        for _, rows in lines.groupby(group, sort=True):
            sharing = items.loc[items["key"].isin(rows["key"]), "item"].tolist()
            why = "a reference shared by too many lines and items proves nothing"
            state.name(_K.AMBIGUOUS, rows["line"].tolist(), sharing, why)


def _same_reference(state: Comparison) -> None:
    """Lines whose reference names something in the books that they do not fit."""
    hits = _hits(state)
    if hits.empty:
        return
    marked = state.lines["reversal"].to_numpy()[hits["line"].to_numpy()]
    same, alike = hits["same_currency"], hits["same_amount"]
    onward, used = hits["same_direction"], hits["used"]
    rank = np.select(
        [
            same & onward & alike & used,
            same & ~onward & ((used & (alike | marked)) | marked),
            same & onward & ~used,
            same & ~onward & ~used,
            ~same & ~used,
            same & onward,
            same & ~onward,
        ],
        [0, 1, 2, 3, 4, 5, 6],
        default=7,
    )
    hits = hits.assign(rank=rank)
    hits = hits[hits["rank"] == hits.groupby("line")["rank"].transform("min")]
    members = [
        state.hits[step].units.items_of(hits.loc[hits["step"] == step, "unit"].tolist()) for step in range(len(state.hits))
    ]
    ordered = hits.sort_values(["line", "step", "unit"], kind="stable")[list(_Hit._fields)]
    rows = [_Hit(*row) for row in zip(*(ordered[name].tolist() for name in _Hit._fields), strict=True)]
    facts = _Facts.of(state)
    for line, pairs in groupby(rows, key=lambda hit: hit.line):
        _name_by_rank(state, facts, line, list(pairs), members)


class _Hit(NamedTuple):
    """One line and one unit its reference names, as far as naming needs it."""

    line: int
    step: int
    unit: int
    rank: int
    reference: str
    expected: int
    gross: int
    fee: int
    is_group: bool
    used: bool
    closed: bool


class _Facts(NamedTuple):
    """Columns of both sides as arrays, for looking up single rows."""

    amount: np.ndarray
    currency: np.ndarray
    line_inward: np.ndarray
    item_inward: np.ndarray
    net: np.ndarray

    @classmethod
    def of(cls, state: Comparison) -> _Facts:
        lines, items = state.lines, state.items
        return cls(
            lines["amount"].to_numpy(),
            lines["currency"].to_numpy(),
            lines["inward"].to_numpy(),
            items["inward"].to_numpy(),
            items["amount"].to_numpy() - items["fee"].to_numpy(),
        )


_KIND_BY_RANK = {
    0: _K.DUPLICATE_BANK,
    1: _K.RETURNED,
    2: _K.AMOUNT_MISMATCH,
    3: _K.DIRECTION_MISMATCH,
    4: _K.CURRENCY_MISMATCH,
    5: _K.AMOUNT_MISMATCH,
    6: _K.DIRECTION_MISMATCH,
    7: _K.CURRENCY_MISMATCH,
}


def _name_by_rank(state: Comparison, facts: _Facts, line: int, pairs: list[_Hit], items_of: list[dict[int, list[int]]]) -> None:
    first, rank = pairs[0], pairs[0].rank
    kind = _KIND_BY_RANK[rank]
    amount, currency = int(facts.amount[line]), str(facts.currency[line])
    members = [item for hit in pairs for item in items_of[hit.step][hit.unit]]
    reference, alone = first.reference, len(pairs) == 1
    shown = plain_amounts((amount, first.expected, amount - first.expected), currency)
    why = f"reference {reference}: bank {shown[0]}, books {shown[1]}"
    expected: int | None = None
    if rank in (2, 3) and alone and not first.closed:
        expected = first.expected if facts.item_inward[members[0]] else -first.expected
    if kind is _K.DUPLICATE_BANK:
        why = f"reference {reference} was booked before with the same amount; this is a further one"
    elif kind is _K.RETURNED:
        why = f"reference {reference} came back: {shown[0]} in the opposite direction"
        if not first.used:
            members = []
    elif kind is _K.DIRECTION_MISMATCH:
        why = f"reference {reference}: the books expect the opposite direction of {shown[0]}"
    elif kind is _K.CURRENCY_MISMATCH:
        why = f"reference {reference}: the bank's line is in {currency}, the books' item is not"
    elif rank == 2 and alone:
        kind, why = _fee_or_amount(state, facts, first, members, f"{why}, difference {shown[2]}")
    if rank == 5:
        why += " (already matched with another line)"
    if not alone:
        why += f"; {len(pairs)} candidates share the reference"
    state.name(kind, [line], members, why, expected=expected)


def _fee_or_amount(state: Comparison, facts: _Facts, hit: _Hit, members: list[int], why: str) -> tuple[DiscrepancyKind, str]:
    """Whether a settlement's difference is another fee, or money that is missing or too much."""
    amount = int(facts.amount[hit.line])
    if hit.is_group and len(members) > 1:
        alone = np.flatnonzero(np.abs(facts.net[members]) == abs(amount - hit.expected))
        if len(alone):
            names = ", ".join(state.items["item_id"].iloc[np.array(members)[alone]].tolist()[:3])
            return _K.AMOUNT_MISMATCH, f"{why}, which is the amount of {names}"
    largest = max(hit.fee, hit.gross * state.rules.largest_fee_basis_points // 10_000)
    if facts.line_inward[hit.line] and (hit.is_group or hit.fee > 0) and 0 <= hit.gross - amount <= largest:
        kept = plain_amounts((hit.gross - amount, hit.fee), str(facts.currency[hit.line]))
        return _K.FEE_VARIANCE, f"{why}: a fee of {kept[0]} was kept back, {kept[1]} was expected"
    return _K.AMOUNT_MISMATCH, why


def _by_text(state: Comparison) -> np.ndarray:
    """Interest, charges and returns named by their text; returns the positions of lines no text names."""
    open_at = np.flatnonzero(state.open_lines)
    if not len(open_at):
        return open_at
    rows = state.lines.iloc[open_at]
    texts = rows["description"].str.cat(rows["transaction_code"], sep=" ")
    inward = rows["inward"].to_numpy()
    interest = says(texts, state.rules.interest)
    charge = says(texts, state.rules.charge)
    marked = rows["reversal"].to_numpy()
    choices = [(marked, _K.RETURNED), (interest & inward, _K.BANK_INTEREST), (charge & ~inward, _K.BANK_CHARGE)]
    named = np.zeros(len(open_at), dtype=bool)
    for chosen, kind in choices:
        for line in open_at[chosen & ~named].tolist():
            state.name(kind, [line], (), _TEXT_REASONS[kind])
        named |= chosen
    return open_at[~named]


_TEXT_REASONS = {
    _K.RETURNED: "the bank marks this line as a reversal or return, and nothing in the books names its original",
    _K.BANK_INTEREST: "the bank's text says interest",
    _K.BANK_CHARGE: "the bank's text says charge",
}


def _names_something_of_ours(state: Comparison) -> np.ndarray:
    """Per line: it carries a reference of the shape our own references have (in its account, or by the rules)."""
    answer = np.zeros(len(state.lines), dtype=bool)
    table = state.line_references
    if table.empty:
        return answer
    table = table[state.open_lines[table["at"].to_numpy()]]
    lines = state.lines.iloc[table["at"].to_numpy()]
    own = (lines["bank_reference"] != "").to_numpy() & (
        table["reference"].to_numpy() == _plain(lines["bank_reference"]).to_numpy()
    )
    table = table[~own].assign(account=lines["account"].to_numpy()[~own])
    if table.empty:
        return answer
    table["shape"] = shape(table["reference"])
    known = table.merge(state.book_shapes.assign(known=True), on=["account", "shape"], how="left")["known"].notna().to_numpy()
    by_rule = says(table["reference"], state.rules.our_references)
    blank_books = ~table["account"].isin(set(state.book_shapes["account"])).to_numpy()
    answer[table["at"].to_numpy()[known | by_rule | blank_books]] = True
    return answer


def _plain(values: pd.Series) -> pd.Series:
    return values.str.upper().str.replace(r"[^0-9A-Z]+", "", regex=True)


def _unmatched_lines(state: Comparison, ours: np.ndarray) -> None:
    for line in np.flatnonzero(state.open_lines).tolist():
        if ours[line]:
            kind, why = _K.MISSING_IN_LEDGER, "its reference looks like ours, but the books hold no such item"
        elif state.lines["inward"].iloc[line]:
            kind, why = _K.UNIDENTIFIED_RECEIPT, "money came in without a reference the books know"
        else:
            kind, why = _K.UNEXPLAINED_PAYMENT, "money left without an instruction the books know"
        state.name(kind, [line], (), why)


def _ledger_twins(state: Comparison) -> None:
    """Open items that share a reference, direction and amount with another item: the books hold the movement twice."""
    table = state.item_references
    if table.empty:
        return
    # An item that stands for another one again (its clearing was reversed) shares its references by right.
    table = table[(state.items["original_item_id"] == "").to_numpy()[table["at"].to_numpy()]]
    facts = state.items[["account_code", "currency", "inward", "amount", "kind"]].iloc[table["at"].to_numpy()]
    table = pd.concat([table.reset_index(drop=True), facts.reset_index(drop=True)], axis=1)
    shared = table.groupby(["account_code", "reference"])["at"].transform("size")
    table = table[(shared > 1) & (shared <= _TWINS_AT_MOST)]
    if table.empty:
        return
    key = ["account_code", "reference", "currency", "inward", "amount", "kind"]
    table = table[table.groupby(key)["at"].transform("size") > 1]
    seen: set[frozenset[int]] = set()
    for (_, reference, *_rest), rows in table.groupby(key, sort=True):
        twins = frozenset(rows["at"].tolist())
        still = sorted(item for item in twins if state.open_items[item])
        if twins in seen or not still or (len(still) == 1 and len(twins) == 1):
            continue
        seen.add(twins)
        # One of them stands for the movement: the one something else names or has matched, otherwise the first by its id.
        first = still[:1] if len(still) == len(twins) else []
        if len(still) > len(first):
            names = ", ".join(state.items["item_id"].iloc[item] for item in sorted(twins))
            why = f"the books hold one movement under reference {reference} {len(twins)} times: {names}"
            state.name(_K.DUPLICATE_LEDGER, (), twins, why, settled=first)


def _unmatched_items(state: Comparison) -> pd.DataFrame:
    """Open items without a bank line: carried while in time (TIMING), missing in the bank afterwards. Columns: item, kind.

    A settlement batch comes or fails to come as a whole: it is carried until the time of its last item has run out, and
    then its open items are missing together, as one discrepancy named here.
    """
    _missing_batches(state)
    at = np.flatnonzero(state.open_items)
    rows = state.items.iloc[at]
    overdue = _overdue(state, rows)
    return pd.DataFrame({"item": at, "kind": np.where(overdue, str(_K.MISSING_IN_BANK), str(_K.TIMING))})


def _overdue(state: Comparison, rows: pd.DataFrame) -> np.ndarray:
    """Per row of open items: the time of the item, or of the last item of its batch, has run out."""
    until = rows["until"]
    if (rows["group_key"] != "").any():
        batch = until.groupby([rows[name] for name in _BATCH]).transform("max")
        until = until.where(rows["group_key"] == "", batch)
    late: np.ndarray = until.to_numpy() < state.as_of_days[rows["account_code"].to_numpy()]
    return late


_BATCH = ["account_code", "currency", "inward", "group_key"]


def _missing_batches(state: Comparison) -> None:
    """Batches of several items of which no line has come in time: missing once, with their total."""
    rows = state.items.iloc[np.flatnonzero(state.open_items & (state.items["group_key"] != "").to_numpy())]
    if rows.empty:
        return
    rows = rows[_overdue(state, rows)]
    rows = rows[rows.groupby(_BATCH)["at"].transform("size") > 1]
    for (*_, batch), members in rows.groupby(_BATCH, sort=True):
        ended = day_text(np.array([members["until"].max()])).iloc[0]
        why = f"the bank has not shown batch {batch} of {len(members)} items; its time ended on {ended}"
        state.name(_K.MISSING_IN_BANK, (), members["at"].tolist(), why)
