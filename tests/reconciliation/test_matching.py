"""The matcher: golden tables for each kind, and properties that hold whatever the rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.matching import load_matching_rules
from reconciliation.matching import FrameRefused, Outcome, match_frames, merged
from reconciliation.matching.outcome import of_account
from reconciliation.matching.workers import match_in_workers

RULES = load_matching_rules()
BANK = {"account": "A", "currency": "CNY", "direction": "IN", "amount": 100, "booking_date": "2025-03-04", "references": ""}
BOOK = {"account": "A", "currency": "CNY", "direction": "IN", "amount": 100, "due_date": "2025-03-04", "references": ""}


def side(rows: list[dict[str, Any]], identity: str) -> pd.DataFrame:
    columns = sorted({name for row in rows for name in row} | {identity, *BANK, "due_date"})
    frame = pd.DataFrame([{**dict.fromkeys(columns), **row} for row in rows], columns=columns)
    frame["amount"] = pd.Series([row["amount"] for row in rows], dtype="Int64")
    if "expected_fee" in frame:
        frame["expected_fee"] = pd.Series([row.get("expected_fee", 0) for row in rows], dtype="Int64")
    return frame.dropna(axis="columns", how="all") if rows else frame


def bank(*rows: dict[str, Any]) -> pd.DataFrame:
    return side([{"line_id": f"L{n}", **BANK, **row} for n, row in enumerate(rows, 1)], "line_id")


def book(*rows: dict[str, Any]) -> pd.DataFrame:
    return side([{"item_id": f"I{n}", **BOOK, **row} for n, row in enumerate(rows, 1)], "item_id")


def pairs(outcome: Outcome, status: str = "confirmed") -> set[frozenset[str]]:
    rows = outcome.matches[outcome.matches["status"] == status]
    return {frozenset(members) for _, members in rows.groupby("match_id")["member_id"]}


def named(outcome: Outcome) -> set[tuple[str, str, str, int]]:
    return {(row.kind, row.line_ids, row.item_ids, int(row.difference)) for row in outcome.discrepancies.itertuples(index=False)}


R = "ORD20250001"
GOLDEN: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], set[frozenset[str]], set[tuple[str, str, str, int]]]] = {
    "same reference, direction, amount": ([{"references": R}], [{"references": R}], {frozenset({"L1", "I1"})}, set()),
    "written in another way": (
        [{"references": "ｏｒｄ－2025 0001"}],
        [{"references": "ORD-2025-0001"}],
        {frozenset({"L1", "I1"})},
        set(),
    ),
    "a reference inside a longer number proves nothing": (
        [{"references": "9123456789"}],
        [{"references": "12345678"}],
        set(),
        {("UNIDENTIFIED_RECEIPT", "L1", "", 100), ("TIMING", "", "I1", -100)},
    ),
    "placeholders are no references": (
        [{"references": "NOTPROVIDED|000000|-"}],
        [{"references": "NOTPROVIDED|000000|-"}],
        set(),
        {("UNIDENTIFIED_RECEIPT", "L1", "", 100), ("TIMING", "", "I1", -100)},
    ),
    "another amount": ([{"references": R, "amount": 90}], [{"references": R}], set(), {("AMOUNT_MISMATCH", "L1", "I1", -10)}),
    "the other direction": (
        [{"references": R, "direction": "OUT"}],
        [{"references": R}],
        set(),
        {("DIRECTION_MISMATCH", "L1", "I1", -200)},
    ),
    "another currency": (
        [{"references": R, "currency": "USD"}],
        [{"references": R}],
        set(),
        {("CURRENCY_MISMATCH", "L1", "I1", 0)},
    ),
    "too late": ([{"references": R, "booking_date": "2025-03-20"}], [{"references": R}], set(), {("LATE", "L1", "I1", 0)}),
    "booked twice by the bank": (
        [{"references": R}, {"references": R, "booking_date": "2025-03-05"}],
        [{"references": R}],
        {frozenset({"L1", "I1"})},
        {("DUPLICATE_BANK", "L2", "I1", 100)},
    ),
    "twice in the books": (
        [{"references": R}],
        [{"references": R}, {"references": R}],
        set(),
        {("DUPLICATE_LEDGER", "L1", "I1|I2", -100)},
    ),
    "two orders claim one channel number": (
        [{"references": "WX1234567"}],
        [{"references": "WX1234567|ORD1000001"}, {"references": "WX1234567|ORD1000002"}],
        set(),
        {("AMBIGUOUS", "L1", "I1|I2", -100)},
    ),
    "identical twins without a reference": (
        [{}, {}],
        [{"references": R}, {"references": "ORD20250002"}],
        set(),
        {("AMBIGUOUS", "L1|L2", "I1|I2", 0)},
    ),
    "a batch by its total": (
        [{"references": "BATCH77", "amount": 297}],
        [
            {"references": "ORD1000001", "group_key": "BATCH77", "expected_fee": 1},
            {"references": "ORD1000002", "group_key": "BATCH77", "expected_fee": 2, "amount": 200},
        ],
        {frozenset({"L1", "I1", "I2"})},
        set(),
    ),
    "a batch with an unexpected fee": (
        [{"references": "BATCH77", "amount": 29950}],
        [
            {"references": "ORD1000001", "group_key": "BATCH77", "amount": 10000},
            {"references": "ORD1000002", "group_key": "BATCH77", "amount": 20000},
        ],
        set(),
        {("FEE_VARIANCE", "L1", "I1|I2", -50)},
    ),
    "a batch without one of its orders": (
        [{"references": "BATCH77", "amount": 20000}],
        [
            {"references": "ORD1000001", "group_key": "BATCH77", "amount": 10000},
            {"references": "ORD1000002", "group_key": "BATCH77", "amount": 20000},
        ],
        set(),
        {("AMOUNT_MISMATCH", "L1", "I1|I2", -10000)},
    ),
    "a refund under its payment's number": (
        [{"references": R}, {"references": R, "direction": "OUT", "amount": 40, "booking_date": "2025-03-05"}],
        [{"references": R}, {"references": "RF900001", "direction": "OUT", "amount": 40, "original_item_id": "I1"}],
        {frozenset({"L1", "I1"}), frozenset({"L2", "I2"})},
        set(),
    ),
    "a payment that came back": (
        [{"references": R, "direction": "OUT"}, {"references": R, "booking_date": "2025-03-05", "description": "退汇"}],
        [{"references": R, "direction": "OUT"}],
        {frozenset({"L1", "I1"})},
        {("RETURNED", "L2", "I1", 100)},
    ),
    "a duplicate the bank reverses itself": (
        [{"references": R}, {"references": R}, {"references": R, "direction": "OUT", "description": "冲正"}],
        [{"references": R}],
        {frozenset({"L1", "I1"}), frozenset({"L2", "L3"})},
        set(),
    ),
    "the reference stands in the text": (
        [{"description": f"付款 订单 {R} 谢谢"}],
        [{"references": R}],
        {frozenset({"L1", "I1"})},
        set(),
    ),
    "one line pays all the items it names": (
        [{"references": "ORD1000001|ORD1000002", "amount": 300}],
        [{"references": "ORD1000001"}, {"references": "ORD1000002", "amount": 200}],
        {frozenset({"L1", "I1", "I2"})},
        set(),
    ),
    "one line pays several items of one reference": (
        [{"references": R, "amount": 300}],
        [{"references": R}, {"references": R, "amount": 200}],
        {frozenset({"L1", "I1", "I2"})},
        set(),
    ),
    "several lines pay one item": (
        [{"references": R, "amount": 70}, {"references": R, "amount": 30, "booking_date": "2025-03-05"}],
        [{"references": R}],
        {frozenset({"L1", "L2", "I1"})},
        set(),
    ),
    "several lines pay one item but for a fen": (
        [{"references": R, "amount": 70}, {"references": R, "amount": 29}],
        [{"references": R}],
        set(),
        {("AMOUNT_MISMATCH", "L1", "I1", -30), ("AMOUNT_MISMATCH", "L2", "I1", -71)},
    ),
    "several lines pay one batch": (
        [{"references": "BATCH77", "amount": 150}, {"references": "BATCH77", "amount": 147}],
        [
            {"references": "ORD1000001", "group_key": "BATCH77", "expected_fee": 1},
            {"references": "ORD1000002", "group_key": "BATCH77", "expected_fee": 2, "amount": 200},
        ],
        {frozenset({"L1", "L2", "I1", "I2"})},
        set(),
    ),
    "part of a total in the other direction is no part of it": (
        [{"references": R, "amount": 70}, {"references": R, "amount": 30, "direction": "OUT"}],
        [{"references": R}],
        set(),
        {("AMOUNT_MISMATCH", "L1", "I1", -30), ("DIRECTION_MISMATCH", "L2", "I1", -130)},
    ),
    "a batch that never came": (
        [{"references": "ORD1000009", "booking_date": "2025-03-20"}],
        [
            {"references": "ORD1000009", "due_date": "2025-03-20"},
            {"references": "ORD1000001", "group_key": "BATCH77"},
            {"references": "ORD1000002", "group_key": "BATCH77", "amount": 200},
        ],
        {frozenset({"L1", "I1"})},
        {("MISSING_IN_BANK", "", "I2|I3", -300)},
    ),
    "twins in the books of which the bank shows one": (
        [{"references": "ORD1000002"}],
        [{"references": "WX7777777|ORD1000001"}, {"references": "WX7777777|ORD1000002"}],
        {frozenset({"L1", "I2"})},
        {("DUPLICATE_LEDGER", "", "I1|I2", -100)},
    ),
    "a payment booked out again": (
        [{"references": R, "direction": "OUT"}, {"references": R, "direction": "OUT"}],
        [{"references": R, "direction": "OUT"}],
        {frozenset({"L1", "I1"})},
        {("DUPLICATE_BANK", "L2", "I1", -100)},
    ),
    "interest and charges": (
        [{"description": "结息", "amount": 3}, {"description": "账户管理费", "direction": "OUT", "amount": 5}],
        [],
        set(),
        {("BANK_INTEREST", "L1", "", 3), ("BANK_CHARGE", "L2", "", -5)},
    ),
    "still in time, and past it": (
        [{"references": "ORD1000009", "booking_date": "2025-03-12"}],
        [{"references": "ORD1000009", "due_date": "2025-03-12"}, {"due_date": "2025-03-11"}, {"due_date": "2025-03-04"}],
        {frozenset({"L1", "I1"})},
        {("TIMING", "", "I2", -100), ("MISSING_IN_BANK", "", "I3", -100)},
    ),
}


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_golden(case: str) -> None:
    lines, items, matched, differences = GOLDEN[case]
    outcome = match_frames(bank(*lines), book(*items), RULES)
    assert pairs(outcome) == matched
    assert named(outcome) == differences


def test_amount_and_date_alone_are_only_proposed() -> None:
    outcome = match_frames(bank({}), book({"references": R}), RULES)
    assert pairs(outcome) == set()
    assert pairs(outcome, "suggested") == {frozenset({"L1", "I1"})}
    assert {row[0] for row in named(outcome)} == {"UNIDENTIFIED_RECEIPT", "TIMING"}


def test_a_line_that_names_another_order_casts_no_doubt_on_one_that_names_none() -> None:
    outcome = match_frames(bank({}, {"references": "ORD20259999"}), book({"references": R}), RULES)
    assert pairs(outcome, "suggested") == {frozenset({"L1", "I1"})}
    assert {row[:2] for row in named(outcome)} == {("UNIDENTIFIED_RECEIPT", "L1"), ("MISSING_IN_LEDGER", "L2"), ("TIMING", "")}


def test_amounts_beyond_a_floats_precision_are_told_apart() -> None:
    lines = bank({"references": R, "amount": 2**53 + 1})
    assert pairs(match_frames(lines, book({"references": R, "amount": 2**53 + 1}), RULES)) == {frozenset({"L1", "I1"})}
    assert pairs(match_frames(lines, book({"references": R, "amount": 2**53}), RULES)) == set()


def test_amounts_that_passed_through_a_float_are_refused() -> None:
    lines = bank({"references": R})
    with pytest.raises(FrameRefused, match="whole minor units"):
        match_frames(lines.assign(amount=lines["amount"].astype(float)), book(), RULES)


def test_a_reference_shared_by_very_many_is_a_label() -> None:
    few = dataclasses.replace(RULES, shared_by_at_most=3)
    outcome = match_frames(
        bank({"references": "CAMPUS01"}, {"references": "CAMPUS01"}),
        book({"references": "CAMPUS01"}, {"references": "CAMPUS01"}),
        few,
    )
    assert pairs(outcome) == set()
    assert named(outcome) == {("AMBIGUOUS", "L1|L2", "I1|I2", 0)}


def test_a_line_with_a_label_is_still_matched_by_a_reference_of_its_own() -> None:
    few = dataclasses.replace(RULES, shared_by_at_most=3)
    names = [f"CAMPUS01|ORD100000{n}" for n in (1, 2)]
    outcome = match_frames(bank(*({"references": name} for name in names)), book(*({"references": name} for name in names)), few)
    assert pairs(outcome) == {frozenset({"L1", "I1"}), frozenset({"L2", "I2"})}


def test_many_lines_and_items_of_one_amount_are_one_group_whether_or_not_its_pairs_can_be_listed() -> None:
    for most in (3, 100):
        rules = dataclasses.replace(RULES, candidates_at_most=most)
        outcome = match_frames(bank({}, {}, {}), book({}, {}), rules)
        assert named(outcome) == {("AMBIGUOUS", "L1|L2|L3", "I1|I2", 100)}


_reference = st.sampled_from(["", "ORD1000001", "ORD1000002", "ORD1000003|ORD1000001", "BATCH001", "000000", "WX7777777"])
_row = {
    "account": st.sampled_from(["A", "B"]),
    "currency": st.sampled_from(["CNY", "CNY", "CNY", "USD"]),
    "direction": st.sampled_from(["IN", "IN", "OUT"]),
    "amount": st.sampled_from([100, 200, 300, 299]),
    "references": _reference,
}
_lines = st.lists(
    st.fixed_dictionaries(
        {
            **_row,
            "booking_date": st.sampled_from(["2025-03-03", "2025-03-04", "2025-03-20"]),
            "description": st.sampled_from(["", "冲正", "结息"]),
        }
    ),
    max_size=8,
)
_items = st.lists(
    st.fixed_dictionaries(
        {
            **_row,
            "due_date": st.sampled_from(["2025-03-03", "2025-03-04", "2025-03-10"]),
            "group_key": st.sampled_from(["", "", "BATCH001"]),
            "expected_fee": st.sampled_from([0, 1]),
        }
    ),
    max_size=8,
)


def frames(lines: list[dict[str, Any]], items: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return bank(*lines), book(*items)


@given(_lines, _items, st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_rows_and_a_second_run_change_nothing(lines: Any, items: Any, random: Any) -> None:
    left, right = frames(lines, items)
    expected = match_frames(left, right, RULES).output_hash
    shuffled = [frame.sample(frac=1, random_state=random.randrange(10**6)) for frame in (left, right)]
    assert match_frames(*shuffled, RULES).output_hash == expected
    assert match_frames(left, right, RULES).output_hash == expected


@given(_lines, _items)
@settings(max_examples=25)
def test_every_line_is_in_one_match_or_one_discrepancy_and_sums_agree(lines: Any, items: Any) -> None:
    left, right = frames(lines, items)
    outcome = match_frames(left, right, RULES)
    confirmed = outcome.confirmed
    for which, frame, identity in (("bank", left, "line_id"), ("book", right, "item_id")):
        members = confirmed.loc[confirmed["side"] == which, "member_id"].tolist()
        assert len(members) == len(set(members)), "consumed at most once"
        column = "line_ids" if which == "bank" else "item_ids"
        open_ids = [one for ids in outcome.discrepancies[column] for one in ids.split("|") if one]
        ids = set(frame[identity]) if len(frame) else set()
        assert set(members) | set(open_ids) == ids, "everything is matched or named"
        if which == "bank":
            assert sorted(members + open_ids) == sorted(ids), "and a bank line exactly once"
            amounts = dict(zip(frame["line_id"], frame["amount"], strict=True)) if len(frame) else {}
            assert sum(amounts.values()) == sum(amounts[one] for one in members) + sum(amounts[one] for one in open_ids)


@given(_lines, _items)
@settings(max_examples=12)
def test_accounts_do_not_know_of_each_other(lines: Any, items: Any) -> None:
    left, right = frames(lines, items)
    whole = match_frames(left, right, RULES)
    for name in ("A", "B"):
        own = left[left["account"] == name] if len(left) else left
        alone = match_frames(own, right[right["account"] == name] if len(right) else right, RULES)
        assert of_account(whole, name, set(own["line_id"])).output_hash == alone.output_hash
    parts = merged(
        match_frames(
            left[left["account"] == name] if len(left) else left, right[right["account"] == name] if len(right) else right, RULES
        )
        for name in ("A", "B")
    )
    assert parts.output_hash == whole.output_hash


@given(_lines, _items)
@settings(max_examples=12)
def test_other_names_for_lines_and_items_give_the_same_result_under_those_names(lines: Any, items: Any) -> None:
    left, right = frames(lines, items)
    renamed = left.assign(line_id="x" + left["line_id"].astype(str)), right.assign(item_id="y" + right["item_id"].astype(str))
    before, after = match_frames(left, right, RULES), match_frames(*renamed, RULES)
    assert {frozenset(one[1:] for one in pair) for pair in pairs(after)} == pairs(before)
    assert sorted(before.discrepancies["kind"]) == sorted(after.discrepancies["kind"])


@given(_lines, _items, st.integers(0, 7))
@settings(max_examples=25)
def test_a_decoy_item_may_cast_doubt_but_never_take_another_items_place(lines: Any, items: Any, which: int) -> None:
    left, right = frames(lines, items)
    before = pairs(match_frames(left, right, RULES))
    if not len(right):
        return
    decoy = right.iloc[[which % len(right)]].assign(item_id="DECOY")
    after = pairs(match_frames(left, pd.concat([right, decoy], ignore_index=True), RULES))
    partner = {line: pair for pair in before for line in pair if line.startswith("L")}
    for pair in after:
        for line in (one for one in pair if one.startswith("L")):
            if line in partner:
                assert pair == partner[line], "a decoy turned one match into another"


def test_workers_change_nothing() -> None:
    lines = [{"account": f"A{n % 5}", "references": f"ORD{1000000 + n}"} for n in range(40)]
    items = [{"account": f"A{n % 5}", "references": f"ORD{1000000 + n + n % 7 // 6}"} for n in range(40)]
    left, right = frames(lines, items)
    assert match_in_workers(left, right, RULES, 2).output_hash == match_frames(left, right, RULES).output_hash
