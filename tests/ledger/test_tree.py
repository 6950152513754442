"""Trees and proofs agree with the published vectors of RFC 6962, and with a naive tree on everything hypothesis thinks of."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.encoding import merkle_root
from ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    ProofRefused,
    WholeTree,
    check_consistency,
    leaf_hash,
    root_from_inclusion,
    tree_root,
)

#: The leaves, roots and paths every Certificate Transparency implementation is tested with (google/certificate-transparency).
CT_LEAVES = [
    leaf_hash(bytes.fromhex(content))
    for content in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATH_OF_FIRST_IN_EIGHT = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]
CT_CONSISTENCY_SIX_TO_EIGHT = [
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
]

leaves_of = st.integers(1, 70).map(lambda size: [hashlib.sha256(str(n).encode()).digest() for n in range(size)])


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def test_roots_are_the_published_ones() -> None:
    assert [tree_root(CT_LEAVES[:size]).hex() for size in range(1, 9)] == CT_ROOTS
    assert tree_root([]) == EMPTY_ROOT == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def test_proofs_are_the_published_ones() -> None:
    assert [one.hex() for one in WholeTree(CT_LEAVES).inclusion(0)] == CT_PATH_OF_FIRST_IN_EIGHT
    assert [one.hex() for one in WholeTree(CT_LEAVES).consistency(6)] == CT_CONSISTENCY_SIX_TO_EIGHT
    assert [one.hex() for one in WholeTree(CT_LEAVES).consistency(1)] == CT_PATH_OF_FIRST_IN_EIGHT


@given(leaves_of)
def test_three_ways_to_a_root_agree(leaves: list[bytes]) -> None:
    assert tree_root(leaves) == naive_root(leaves) == merkle_root(leaves) == WholeTree(leaves).root()


@given(leaves_of, st.data())
def test_a_log_taken_up_again_grows_as_if_it_had_never_stopped(leaves: list[bytes], data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(leaves)))
    log = Frontier()
    log.extend(leaves[:stop])

    again = Frontier.from_bytes(log.size, log.to_bytes())
    again.extend(leaves[stop:])

    assert again.root() == naive_root(leaves)


@given(leaves_of, st.data())
def test_every_leaf_is_proved_and_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = WholeTree(leaves).inclusion(index), naive_root(leaves)

    assert root_from_inclusion(leaves[index], index, len(leaves), path) == root
    assert root_from_inclusion(b"x" * 32, index, len(leaves), path) != root
    for wrong in (path[:-1], [*path, root]):
        if wrong != path:
            with pytest.raises(ProofRefused):
                root_from_inclusion(leaves[index], index, len(leaves), wrong)
    if path:
        with pytest.raises(ProofRefused):
            root_from_inclusion(leaves[index], index, len(leaves), [path[0][:31], *path[1:]])
    for outside in (-1, len(leaves)):
        with pytest.raises(ProofRefused):
            root_from_inclusion(leaves[index], outside, len(leaves), path)


@given(leaves_of, st.data())
def test_a_beginning_is_proved_and_another_past_is_not(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(leaves)))
    path = WholeTree(leaves).consistency(first)
    old, new = naive_root(leaves[:first]), naive_root(leaves)

    check_consistency(first, len(leaves), old, new, path)

    changed = data.draw(st.integers(0, len(leaves) - 1))
    rewritten = naive_root([*leaves[:changed], b"y" * 32, *leaves[changed + 1 :]])
    if first:
        with pytest.raises(ProofRefused):
            check_consistency(first, len(leaves), b"z" * 32, new, path)
    if changed < first:
        with pytest.raises(ProofRefused):
            check_consistency(first, len(leaves), old, rewritten, path)
    for wrong in (path[:-1], [*path, new], [one[:31] for one in path]):
        if wrong != path:
            with pytest.raises(ProofRefused):
                check_consistency(first, len(leaves), old, new, wrong)
    with pytest.raises(ProofRefused):
        check_consistency(len(leaves) + 1, len(leaves), old, new, path)


@given(leaves_of, st.data())
def test_a_tree_at_hand_proves_its_own_past_as_that_past_would(leaves: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    first, index = data.draw(st.integers(0, size)), data.draw(st.integers(0, size - 1))
    now, then = WholeTree(leaves), WholeTree(leaves[:size])

    assert now.root(size) == then.root() == naive_root(leaves[:size])
    assert now.inclusion(index, size) == then.inclusion(index)
    assert now.consistency(first, size) == then.consistency(first)
    for outside in (len(leaves) + 1, -1):
        with pytest.raises(IndexError):
            now.root(outside)


@given(leaves_of, st.data())
def test_a_changed_bit_of_a_proof_shows(leaves: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(leaves)))
    path = WholeTree(leaves).consistency(first)
    if not path:
        return
    at, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
    node = bytearray(path[at])
    node[bit // 8] ^= 1 << bit % 8

    with pytest.raises(ProofRefused):
        check_consistency(
            first, len(leaves), naive_root(leaves[:first]), naive_root(leaves), [*path[:at], bytes(node), *path[at + 1 :]]
        )


@pytest.mark.parametrize(("size", "subtrees"), [(-1, []), (3, [b"a" * 32]), (1, [b"short"]), (0, [b"a" * 32])])
def test_what_is_no_frontier_is_not_taken_up(size: int, subtrees: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not the frontier"):
        Frontier(size, subtrees)
