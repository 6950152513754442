"""What is owed to one is in the total, provably, and nobody's share can be negative, doubled or guessed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.sum_tree import (
    LARGEST_SUM,
    NOTHING_OWED,
    SumNode,
    joined,
    liability_leaf,
    nonce_of,
    root_from_sum_proof,
    sum_proof,
    sum_root,
)
from ledger.tree import ProofRefused

amounts = st.lists(st.integers(0, 10**12), min_size=1, max_size=40)


def leaves_of(owed: list[int]) -> list[SumNode]:
    return [
        liability_leaf(nonce_of(b"s" * 32, 3, 7, "prepayment_held", f"ORD{n}"), "prepayment_held", f"ORD{n}", amount)
        for n, amount in enumerate(owed)
    ]


@given(amounts, st.data())
def test_every_leaf_is_proved_to_be_in_the_total(owed: list[int], data: st.DataObject) -> None:
    leaves, index = leaves_of(owed), data.draw(st.integers(0, len(owed) - 1))
    root, path = sum_root(leaves), sum_proof(leaves, index)

    assert root.minor_units == sum(owed)
    assert root_from_sum_proof(leaves[index], index, len(leaves), path) == root
    for wrong in (path[:-1], [*path, root]):
        if wrong != path:
            with pytest.raises(ProofRefused):
                root_from_sum_proof(leaves[index], index, len(leaves), wrong)


@given(amounts, st.data())
def test_a_sibling_told_with_another_sum_leads_elsewhere(owed: list[int], data: st.DataObject) -> None:
    leaves, index = leaves_of(owed), data.draw(st.integers(0, len(owed) - 1))
    path = sum_proof(leaves, index)
    if not path:
        return
    at = data.draw(st.integers(0, len(path) - 1))
    lied = [*path[:at], SumNode(path[at].digest, path[at].minor_units + 1), *path[at + 1 :]]

    assert root_from_sum_proof(leaves[index], index, len(leaves), lied).digest != sum_root(leaves).digest


def test_moving_a_sum_between_two_children_changes_the_node() -> None:
    """Committing to the total alone would let two people be shown two different splits of it (the flaw of the first proposals)."""
    one, other = leaves_of([10, 20])

    assert joined(one, other).digest != joined(SumNode(one.digest, 20), SumNode(other.digest, 10)).digest


def test_the_encoding_is_as_documented() -> None:
    nonce = bytes(range(16))
    leaf = liability_leaf(nonce, "prepayment_held", "订单1", 12345)
    other = SumNode(b"\x11" * 32, 5)

    assert leaf.digest == hashlib.sha256(b"\0" + f"liability v1|{nonce.hex()}|prepayment_held|7:订单1|12345".encode()).digest()
    assert (
        joined(leaf, other).digest
        == hashlib.sha256(b"\1" + leaf.digest + (12345).to_bytes(8, "big") + other.digest + (5).to_bytes(8, "big")).digest()
    )


@pytest.mark.parametrize("amount", [-1, LARGEST_SUM + 1])
def test_no_amount_outside_its_bounds_becomes_a_leaf(amount: int) -> None:
    with pytest.raises(ProofRefused):
        liability_leaf(b"n" * 16, "prepayment_held", "A", amount)


def test_a_sum_that_would_wrap_is_refused() -> None:
    with pytest.raises(ProofRefused):
        joined(SumNode(b"a" * 32, LARGEST_SUM), SumNode(b"b" * 32, 1))


def test_an_account_that_owes_nothing_has_a_root() -> None:
    assert sum_root([]) == NOTHING_OWED


def test_equal_balances_of_two_days_have_different_leaves() -> None:
    nonces = {nonce_of(b"s" * 32, account, size, "prepayment_held", "A") for account in (1, 2) for size in (1, 2)}

    assert len(nonces) == 4
