"""A Merkle-sum tree of liabilities: everybody can check that what is owed to them is in the total, and sees nobody else. Pure.

A node is (hash, sum). A leaf's hash commits to whose money it is and how much behind a nonce of its own, so a sibling in
a proof cannot be guessed from a list of order ids; an inner hash commits to both children's hashes *and* sums, so no
child's sum can be told differently to different people. Sums are whole minor units, from 0 to 2^63 - 1.
The shape is RFC 6962's: pairs from the left, an odd last node goes up as it is.

Leaf: SHA-256(0x00 || "liability v1|<nonce hex>|<kind>|<bytes>:<subject>|<amount>").
Node: SHA-256(0x01 || left hash || left sum || right hash || right sum), sums as 8 bytes, big-endian.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.tree import HASH_BYTES, ProofRefused

LARGEST_SUM = 2**63 - 1
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class SumNode:
    """A subtree: its hash, and what all its leaves owe together in minor units."""

    digest: bytes
    minor_units: int

    def __post_init__(self) -> None:
        if not 0 <= self.minor_units <= LARGEST_SUM:
            raise ProofRefused(f"{self.minor_units} is not a sum of liabilities: it must be from 0 to 2^63 - 1")
        if len(self.digest) != HASH_BYTES:
            raise ProofRefused("a hash of the proof is not 32 bytes long")


#: The tree of an account that owes nobody anything.
NOTHING_OWED = SumNode(hashlib.sha256().digest(), 0)


def nonce_of(secret: bytes, custody_account_id: int, log_size: int, kind: str, subject: str) -> bytes:
    """The nonce of one leaf: whoever has the secret can derive it again, nobody else can guess it.

    It changes with every checkpoint (``log_size``), so that equal balances of two days cannot be told to be equal.
    """
    text = f"nonce v1|{custody_account_id}|{log_size}|{kind}|{subject}"
    return hmac.new(secret, text.encode(), hashlib.sha256).digest()[:NONCE_BYTES]


def liability_leaf(nonce: bytes, kind: str, subject: str, minor_units: int) -> SumNode:
    """The leaf that commits to an amount owed. Raises ProofRefused for an amount below zero or a nonce of another length."""
    if len(nonce) != NONCE_BYTES:
        raise ProofRefused(f"a nonce is {NONCE_BYTES} bytes long")
    text = f"liability v1|{nonce.hex()}|{kind}|{len(subject.encode())}:{subject}|{minor_units}"
    return SumNode(hashlib.sha256(b"\0" + text.encode()).digest(), minor_units)


def joined(left: SumNode, right: SumNode) -> SumNode:
    """The node over two subtrees. Raises ProofRefused when the sum would not fit."""
    content = b"\1" + left.digest + left.minor_units.to_bytes(8, "big") + right.digest + right.minor_units.to_bytes(8, "big")
    return SumNode(hashlib.sha256(content).digest(), left.minor_units + right.minor_units)


def _level_above(nodes: Sequence[SumNode]) -> list[SumNode]:
    paired = [joined(left, right) for left, right in zip(nodes[::2], nodes[1::2], strict=False)]
    return [*paired, nodes[-1]] if len(nodes) % 2 else paired


def sum_root(leaves: Sequence[SumNode]) -> SumNode:
    """The root over the leaves in the order given."""
    nodes = list(leaves)
    while len(nodes) > 1:
        nodes = _level_above(nodes)
    return nodes[0] if nodes else NOTHING_OWED


def sum_proof(leaves: Sequence[SumNode], index: int) -> list[SumNode]:
    """The siblings of a leaf, from the leaf up. Raises IndexError outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"a tree of {len(leaves)} leaves has no leaf {index}")
    nodes, path = list(leaves), []
    while len(nodes) > 1:
        sibling = index ^ 1
        if sibling < len(nodes):
            path.append(nodes[sibling])
        nodes, index = _level_above(nodes), index >> 1
    return path


def root_from_sum_proof(leaf: SumNode, index: int, size: int, path: Sequence[SumNode]) -> SumNode:
    """The root the siblings lead to. Raises ProofRefused for a proof of another length, or a sum out of bounds."""
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} leaves has no leaf {index}")
    node, left = leaf, list(path)
    while size > 1:
        if index ^ 1 < size:
            if not left:
                raise ProofRefused("the proof is shorter than the tree is high")
            sibling = left.pop(0)
            node = joined(sibling, node) if index & 1 else joined(node, sibling)
        index, size = index >> 1, (size + 1) >> 1
    if left:
        raise ProofRefused("the proof is longer than the tree is high")
    return node
