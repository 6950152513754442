"""Matches and discrepancies as the frames other programs read: members by id, amounts, a reason in words."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from money import exponent_of, format_minor_units
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.matching.figures import Named, figures_of
from reconciliation.matching.frames import day_text
from reconciliation.matching.outcome import DISCREPANCY_COLUMNS, MATCH_COLUMNS, discrepancy_id, match_ids
from reconciliation.matching.rules import Rule
from reconciliation.matching.state import Accepted, Comparison


def plain_amounts(minor_units: Iterable[int], currency: str) -> list[str]:
    """Decimal text of a few amounts of one currency."""
    exponent = exponent_of(currency)
    return [format_minor_units(units, exponent) for units in minor_units]


def decimal_column(minor_units: pd.Series, currency: pd.Series) -> pd.Series:
    """Decimal text of a whole column of minor units, without a loop over rows (``-5`` of CNY -> ``-0.05``)."""
    units = minor_units.to_numpy(dtype=np.int64)
    exponents = currency.map({code: exponent_of(code) for code in currency.unique()}).to_numpy()
    text = pd.Series("", index=minor_units.index, dtype="str")
    for exponent in np.unique(exponents):
        chosen = exponents == exponent
        whole, rest = np.divmod(np.abs(units[chosen]), 10 ** int(exponent))
        shown = pd.Series(whole).astype("str")
        if exponent:
            shown = shown.str.cat(pd.Series(rest).astype("str").str.zfill(int(exponent)), sep=".")
        sign = pd.Series(np.where(units[chosen] < 0, "-", ""), dtype="str")
        text[chosen] = sign.str.cat(shown).to_numpy()
    return text


def match_rows(state: Comparison) -> pd.DataFrame:
    """One row per member of every match (outcome.MATCH_COLUMNS)."""
    parts = [_accepted(state, accepted) for accepted in state.accepted]
    parts += [_totals(state), _reversals(state), _suggested(state)]
    parts = [part for part in parts if not part.empty]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype="Int64" if name == "amount" else "str") for name in MATCH_COLUMNS})
    rows = pd.concat(parts, ignore_index=True)
    rows["amount"] = rows["amount"].astype("Int64")
    return rows


def _members(state: Comparison, heads: pd.DataFrame, lines: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Rows of all members. heads: match_id, rule, status, explanation by row; lines and items: head, at."""
    bank = heads.iloc[lines["head"].to_numpy()].reset_index(drop=True)
    bank["side"] = "bank"
    bank["member_id"] = state.lines["line_id"].iloc[lines["at"].to_numpy()].to_numpy()
    bank["amount"] = state.lines["amount"].to_numpy()[lines["at"].to_numpy()]
    book = heads.iloc[items["head"].to_numpy()].reset_index(drop=True)
    book["side"] = "book"
    book["member_id"] = state.items["item_id"].iloc[items["at"].to_numpy()].to_numpy()
    book["amount"] = state.items["amount"].to_numpy()[items["at"].to_numpy()]
    return pd.concat([bank, book], ignore_index=True)[list(MATCH_COLUMNS)]


def _line_words(state: Comparison, at: np.ndarray) -> pd.Series:
    rows = state.lines.iloc[at].reset_index(drop=True)
    direction = pd.Series(np.where(rows["inward"], "IN ", "OUT "), dtype="str")
    words = direction.str.cat(rows["currency"]).str.cat(decimal_column(rows["amount"], rows["currency"]), sep=" ")
    return words.str.cat(day_text(rows["booked"]), sep=", booked ")


def _accepted(state: Comparison, accepted: Accepted) -> pd.DataFrame:
    pairs = accepted.pairs
    head_of_unit = np.full(int(pairs["unit"].max()) + 1, -1, dtype=np.int64)
    head_of_unit[pairs["unit"].to_numpy()] = np.arange(len(pairs))
    items = pd.DataFrame({"head": head_of_unit[accepted.members["unit"].to_numpy()], "at": accepted.members["item"].to_numpy()})
    items = items.sort_values(["head", "at"], kind="stable", ignore_index=True)
    line_ids = state.lines["line_id"].iloc[pairs["line"].to_numpy()].reset_index(drop=True)
    item_ids = "book:" + state.items["item_id"].iloc[items["at"].to_numpy()].reset_index(drop=True)
    if len(items) != len(pairs):
        item_ids = item_ids.groupby(items["head"].to_numpy()).agg("|".join).reset_index(drop=True)
        count = items.groupby("head").size().astype("str").reset_index(drop=True)
        due = pd.Series("", index=count.index, dtype="str").str.cat(count, sep="; ").str.cat([" book items"] * len(count))
    else:
        due = pd.Series("; due ", index=line_ids.index, dtype="str").str.cat(
            day_text(state.items["due"].to_numpy()[items["at"].to_numpy()])
        )
    members = "bank:" + line_ids + "|" + item_ids
    heads = pd.DataFrame(
        {
            "match_id": pd.Series(match_ids([str(accepted.rule)] * len(pairs), members.tolist()), dtype="str"),
            "rule": pd.Series(str(accepted.rule), index=line_ids.index, dtype="str"),
            "status": pd.Series("confirmed", index=line_ids.index, dtype="str"),
            "explanation": _REASONS[accepted.rule]
            + pairs["reference"].reset_index(drop=True)
            + "; "
            + _line_words(state, pairs["line"].to_numpy())
            + due,
        }
    )
    lines = pd.DataFrame({"head": np.arange(len(pairs)), "at": pairs["line"].to_numpy()})
    return _members(state, heads, lines, items)


_REASONS = {
    Rule.REFERENCE: "same reference ",
    Rule.GROUP_TOTAL: "total of batch ",
    Rule.ORIGINAL_REFERENCE: "reference of its original ",
    Rule.REFERENCE_IN_TEXT: "reference in the text ",
}


def _totals(state: Comparison) -> pd.DataFrame:
    found = state.totals
    if not found:
        return pd.DataFrame()
    lines = pd.DataFrame([(head, at) for head, total in enumerate(found) for at in total.lines], columns=["head", "at"])
    items = pd.DataFrame([(head, at) for head, total in enumerate(found) for at in total.items], columns=["head", "at"])
    line_id, item_id = state.lines["line_id"].to_numpy(), state.items["item_id"].to_numpy()
    members = [
        "|".join(sorted([f"bank:{line_id[at]}" for at in total.lines] + [f"book:{item_id[at]}" for at in total.items]))
        for total in found
    ]
    heads = pd.DataFrame(
        {
            "match_id": match_ids([str(Rule.REFERENCE_TOTAL)] * len(found), members),
            "rule": str(Rule.REFERENCE_TOTAL),
            "status": "confirmed",
            "explanation": [
                f"same reference {total.reference} and same total: {len(total.lines)} bank lines, {len(total.items)} book items"
                for total in found
            ],
        }
    )
    return _members(state, heads, lines, items)


def _reversals(state: Comparison) -> pd.DataFrame:
    pairs = state.reversal_pairs
    if pairs.empty:
        return pd.DataFrame()
    back, forth = (state.lines["line_id"].iloc[pairs[side].to_numpy()].reset_index(drop=True) for side in ("back", "forth"))
    both = ["|".join(f"bank:{one}" for one in sorted(pair)) for pair in zip(back, forth, strict=True)]
    heads = pd.DataFrame(
        {
            "match_id": match_ids([str(Rule.REVERSAL_PAIR)] * len(pairs), both),
            "rule": str(Rule.REVERSAL_PAIR),
            "status": "confirmed",
            "explanation": "reversed by the bank under reference " + pairs["reference"].reset_index(drop=True),
        }
    )
    number = np.arange(len(pairs))
    lines = pd.DataFrame(
        {"head": np.concatenate([number, number]), "at": np.concatenate([pairs["back"].to_numpy(), pairs["forth"].to_numpy()])}
    )
    return _members(state, heads, lines, pd.DataFrame({"head": number[:0], "at": number[:0]}))


def _suggested(state: Comparison) -> pd.DataFrame:
    found = state.suggestions
    if found.empty:
        return pd.DataFrame()
    line_ids = state.lines["line_id"].iloc[found["line"].to_numpy()].reset_index(drop=True)
    item_ids = state.items["item_id"].iloc[found["item"].to_numpy()].reset_index(drop=True)
    heads = pd.DataFrame(
        {
            "match_id": match_ids([str(Rule.AMOUNT_AND_DATE)] * len(found), ("bank:" + line_ids + "|book:" + item_ids).tolist()),
            "rule": str(Rule.AMOUNT_AND_DATE),
            "status": "suggested",
            "explanation": "only amount and date agree; a person must decide: " + _line_words(state, found["line"].to_numpy()),
        }
    )
    number = np.arange(len(found))
    return _members(
        state,
        heads,
        pd.DataFrame({"head": number, "at": found["line"].to_numpy()}),
        pd.DataFrame({"head": number, "at": found["item"].to_numpy()}),
    )


def discrepancy_rows(state: Comparison, unmatched: pd.DataFrame) -> pd.DataFrame:
    """All discrepancies as rows (outcome.DISCREPANCY_COLUMNS): those named, and the unmatched items (item, kind)."""
    naming = state.naming
    told = Named(naming.kinds, naming.lines, naming.items, naming.expected)
    amounts, differences = (figures.tolist() for figures in figures_of(told, state.lines, state.items, state.item_used))
    of_line, of_item = (
        {name: side[name].to_numpy() for name in (identity, "account", "currency")}
        for side, identity in ((state.lines, "line_id"), (state.items, "item_id"))
    )
    rows = []
    for kind, on_bank, on_book, amount, difference, why in zip(
        naming.kinds, naming.lines, naming.items, amounts, differences, naming.reasons, strict=True
    ):
        lines, members = [of_line["line_id"][at] for at in on_bank], [of_item["item_id"][at] for at in on_book]
        side, at = (of_line, on_bank[0]) if on_bank else (of_item, on_book[0])
        rows.append(
            (
                discrepancy_id(kind, lines, members),
                str(kind),
                side["account"][at],
                side["currency"][at],
                "both" if lines and members else "bank" if lines else "book",
                "|".join(lines),
                "|".join(members),
                amount,
                difference,
                why,
            )
        )
    named = pd.DataFrame(rows, columns=list(DISCREPANCY_COLUMNS))
    for column in DISCREPANCY_COLUMNS:
        named[column] = named[column].astype("Int64" if column in ("amount", "difference") else "str")
    return pd.concat([named, _unmatched_rows(state, unmatched)], ignore_index=True)


def _unmatched_rows(state: Comparison, unmatched: pd.DataFrame) -> pd.DataFrame:
    rows = state.items.iloc[unmatched["item"].to_numpy()].reset_index(drop=True)
    kind = unmatched["kind"].astype("str").reset_index(drop=True)
    until = day_text(rows["until"])
    words = pd.Series(
        np.where(kind == str(DiscrepancyKind.TIMING), "in time until ", "the bank has not shown it; its time ended on "),
        dtype="str",
    )
    signed = np.where(rows["inward"], -rows["amount"], rows["amount"])
    return pd.DataFrame(
        {
            "discrepancy_id": pd.Series(
                [discrepancy_id(k, (), (i,)) for k, i in zip(kind.tolist(), rows["item_id"].tolist(), strict=True)], dtype="str"
            ),
            "kind": kind,
            "account": rows["account"],
            "currency": rows["currency"],
            "side": pd.Series("book", index=rows.index, dtype="str"),
            "line_ids": pd.Series("", index=rows.index, dtype="str"),
            "item_ids": rows["item_id"],
            "amount": rows["amount"].astype("Int64"),
            "difference": pd.Series(signed, dtype="Int64"),
            "explanation": words.str.cat(until),
        }
    )
