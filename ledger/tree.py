"""Append-only Merkle trees as RFC 6962 section 2.1 draws them: roots, frontiers, inclusion and consistency proofs. Pure.

A *frontier* is what must be kept of a tree to go on growing it: the roots of its whole subtrees, largest first, one for
each 1 in the binary form of its size. Proofs are checked as RFC 9162 section 2.1 says (same trees, stricter wording): a
proof that is too short, too long or for an impossible position is not a proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32

#: The root of a tree without leaves (RFC 6962 section 2.1).
EMPTY_ROOT = hashlib.sha256().digest()


class ProofRefused(ValueError):
    """A proof does not prove what it is shown for."""


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf: SHA-256 of a zero byte and the content, so that no leaf can pass for a node."""
    return hashlib.sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side: SHA-256 of a byte 0x01 and both."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """A growing tree without its leaves: ``append`` costs one hash on average, ``root`` as many as the size has ones."""

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = ()) -> None:
        """Take up a tree again. Raises ValueError when ``subtrees`` cannot be the frontier of a tree of that size."""
        if size < 0 or len(subtrees) != size.bit_count() or any(len(one) != HASH_BYTES for one in subtrees):
            raise ValueError(f"{len(subtrees)} subtrees are not the frontier of a tree of {size} leaves")
        self.size = size
        self._subtrees = list(subtrees)

    @classmethod
    def from_bytes(cls, size: int, packed: bytes) -> Frontier:
        """The inverse of ``to_bytes``."""
        return cls(size, [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)])

    def to_bytes(self) -> bytes:
        """The subtrees' roots one after the other, largest subtree first."""
        return b"".join(self._subtrees)

    def append(self, leaf: bytes) -> None:
        """Add a leaf that is already hashed."""
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self._subtrees.pop(), node)
            size >>= 1
        self._subtrees.append(node)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves in their order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The Merkle tree hash of everything appended so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = node_hash(left, node)
        return node


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """The Merkle tree hash over leaves that are already hashed; of no leaves as RFC 6962 says."""
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()


def _split(size: int) -> int:
    """The largest power of two below ``size`` (2 or more): how many leaves the left subtree has."""
    return 1 << ((size - 1).bit_length() - 1)


class WholeTree:
    """A tree with all its leaves at hand. Every whole subtree is hashed once, so each root and proof costs a few hashes."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """``leaves`` are already hashed."""
        self.size = len(leaves)
        self._levels: list[list[bytes]] = [list(leaves)]
        while len(below := self._levels[-1]) > 1:
            self._levels.append([node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)])

    def _range(self, start: int, end: int) -> bytes:
        """The root over some leaves; ``start`` is a multiple of the smallest power of two not below their number."""
        size = end - start
        if size & (size - 1) == 0:
            level = size.bit_length() - 1
            return self._levels[level][start >> level]
        middle = start + _split(size)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def root(self, size: int | None = None) -> bytes:
        """The Merkle tree hash of the first ``size`` leaves, of all when not given."""
        size = self._checked(self.size if size is None else size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """PATH(index, first ``size`` leaves) of RFC 6962 section 2.1.1: the siblings from the leaf up.

        Raises IndexError outside the tree.
        """
        start, end, path = 0, self._checked(self.size if size is None else size), []
        if not 0 <= index < end:
            raise IndexError(f"a tree of {end} leaves has no leaf {index}")
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, first: int, second: int | None = None) -> list[bytes]:
        """PROOF(first, first ``second`` leaves) of RFC 6962 section 2.1.2: that the smaller tree is the larger one's beginning.

        Raises IndexError when ``first`` is not between 0 and ``second``; 0 and all of them need no hashes.
        """
        start, end, whole, path = 0, self._checked(self.size if second is None else second), True, []
        if not 0 <= first <= end:
            raise IndexError(f"a tree of {end} leaves has no beginning of {first}")
        if first in {0, end}:
            return []
        while first != end:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        if not whole:
            path.append(self._range(start, end))
        return path[::-1]

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise IndexError(f"this tree has {self.size} leaves, not {size}")
        return size


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that ``path`` leads to from a leaf (RFC 9162 section 2.1.3.2).

    Raises ProofRefused when the path cannot belong to leaf ``index`` of a tree of ``size``, whatever the hashes.
    """
    if not 0 <= index < size:
        raise ProofRefused(f"a tree of {size} leaves has no leaf {index}")
    _check_hashes(path)
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofRefused("the inclusion proof is longer than the tree is high")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise ProofRefused("the inclusion proof is shorter than the tree is high")
    return node


def check_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    """Raise ProofRefused unless ``path`` proves that the larger tree begins with the smaller (RFC 9162 section 2.1.4.2)."""
    if not 0 <= first <= second:
        raise ProofRefused(f"a tree of {second} leaves does not begin with one of {first}")
    _check_hashes(path)
    if first in {0, second}:
        if path:
            raise ProofRefused("a consistency proof between these sizes has no hashes")
        if first == second and first_root != second_root:
            raise ProofRefused("two trees of one size have different roots")
        if first == 0 and first_root != EMPTY_ROOT:
            raise ProofRefused("the root of the empty tree is wrong")
        return
    nodes = list(path)
    if first & (first - 1) == 0:
        nodes.insert(0, first_root)
    if not nodes:
        raise ProofRefused("the consistency proof is empty")
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise ProofRefused("the consistency proof is longer than the tree is high")
        if position & 1 or position == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        position >>= 1
        last >>= 1
    if last:
        raise ProofRefused("the consistency proof is shorter than the tree is high")
    if old != first_root:
        raise ProofRefused("the consistency proof does not lead to the smaller tree's root")
    if new != second_root:
        raise ProofRefused("the consistency proof does not lead to the larger tree's root")


def _check_hashes(path: Sequence[bytes]) -> None:
    if any(len(one) != HASH_BYTES for one in path):
        raise ProofRefused("a hash of the proof is not 32 bytes long")
