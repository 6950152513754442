"""What a checkpoint says, and the canonical texts of everything below it. Pure: no SQL, no clock.

From a transfer to a signature:

    transfer -> leaf v1 -> root of its batch -> leaf of the batch -> the institution's log -> entry -> the checkpoint log -> note

*Institution log*: an RFC 6962 tree whose leaves are the institution's batches, in their gapless order.
*Checkpoint log*: one RFC 6962 tree for the whole database. Each checkpoint appends an entry for every institution (size and
root of its log, and the evidence recorded about it since the checkpoint before) and one for every custody account
(the Merkle-sum tree of what it owes). A checkpoint is a signed note over that tree, so any two are provably consistent.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from ledger.sum_tree import SumNode
from ledger.tree import leaf_hash

#: Kinds of account whose credit balances are owed to somebody: the leaves of the Merkle-sum tree.
LIABILITY_KINDS = (
    "prepayment_held",
    "payable_to_institution",
    "disbursements_in_transit",
    "refunds_in_transit",
    "unidentified_receipts",
)

_HEX = r"[0-9a-f]{64}"
_INSTITUTION_ENTRY = re.compile(rf"institution v1 (\d+)\nlog (\d+) ({_HEX})\n((?:table [a-z_]+ \d+ {_HEX}\n)*)", re.ASCII)
_LIABILITIES_ENTRY = re.compile(
    rf"liabilities v1 (\d+) (\d+)\nlog (\d+)\ncurrency ([A-Z]{{3}})\nsum (\d+) (\d+) ({_HEX})\n", re.ASCII
)
_TEXT = re.compile(
    r"(?P<origin>[^\s+]+)\n(?P<size>0|[1-9]\d*)\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    rf"business-date (?P<day>\d{{4}}-\d\d-\d\d)\nseal (?P<seal>\d+) (?P<digest>{_HEX})\nrules (?P<rules>[^\n]+)\n",
    re.ASCII,
)


class EntryRefused(ValueError):
    """A text of the checkpoint log is not in its canonical form."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """Evidence of one table: how many rows, and SHA-256 over their row digests, sorted and joined."""

    row_count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class InstitutionEntry:
    """Where an institution's log stands, and what was recorded about it between the last two seals."""

    institution_id: int
    log_size: int
    log_root: bytes
    tables: Mapping[str, TableRows]

    def __str__(self) -> str:
        rows = "".join(f"table {name} {one.row_count} {one.root.hex()}\n" for name, one in sorted(self.tables.items()))
        return f"institution v1 {self.institution_id}\nlog {self.log_size} {self.log_root.hex()}\n{rows}"


@dataclass(frozen=True, slots=True)
class LiabilitiesEntry:
    """What a custody account owes after the institution's batch ``log_size``: accounts, their sum, and the sum tree's root."""

    institution_id: int
    custody_account_id: int
    log_size: int
    currency: str
    account_count: int
    root: SumNode

    def __str__(self) -> str:
        return (
            f"liabilities v1 {self.institution_id} {self.custody_account_id}\nlog {self.log_size}\ncurrency {self.currency}\n"
            f"sum {self.account_count} {self.root.minor_units} {self.root.digest.hex()}\n"
        )


Entry = InstitutionEntry | LiabilitiesEntry


@dataclass(frozen=True, slots=True)
class CheckpointText:
    """The text of a checkpoint note: log, size, root; then business day, newest seal over all evidence, rules in force."""

    origin: str
    tree_size: int
    root: bytes
    business_date: date
    seal_seq: int
    seal_digest: bytes
    rules_version: str

    def __str__(self) -> str:
        return (
            f"{self.origin}\n{self.tree_size}\n{base64.b64encode(self.root).decode()}\n"
            f"business-date {self.business_date.isoformat()}\nseal {self.seal_seq} {self.seal_digest.hex()}\n"
            f"rules {self.rules_version}\n"
        )


def batch_leaf(  # noqa: PLR0917  in the order of the text
    institution_id: int, batch_id: int, transfer_count: int, total_minor_units: int, root: bytes, row_digest: bytes
) -> bytes:
    """The leaf of a batch in its institution's log: SHA-256 of a zero byte and its header as text.

    ``row_digest`` covers the header's other columns: who, why, by which rules, when (storage.append_only).
    """
    text = f"batch v1|{institution_id}|{batch_id}|{transfer_count}|{total_minor_units}|{root.hex()}|{row_digest.hex()}"
    return leaf_hash(text.encode())


def entry_leaf(body: str) -> bytes:
    """The leaf of an entry in the checkpoint log."""
    return leaf_hash(body.encode())


def parse_entry(body: str) -> Entry:
    """An entry from its canonical text. Raises EntryRefused for any other text."""
    found: Entry
    if match := _INSTITUTION_ENTRY.fullmatch(body):
        tables = {}
        for line in match[4].splitlines():
            _, name, count, root = line.split(" ")
            tables[name] = TableRows(int(count), bytes.fromhex(root))
        found = InstitutionEntry(int(match[1]), int(match[2]), bytes.fromhex(match[3]), tables)
    elif match := _LIABILITIES_ENTRY.fullmatch(body):
        node = SumNode(bytes.fromhex(match[7]), int(match[6]))
        found = LiabilitiesEntry(int(match[1]), int(match[2]), int(match[3]), match[4], int(match[5]), node)
    else:
        raise EntryRefused("this is not an entry of a checkpoint log in its canonical form")
    if str(found) != body:
        raise EntryRefused("this entry is not in its canonical form: a number with a leading zero, or tables out of order")
    return found


def parse_checkpoint(text: str) -> CheckpointText:
    """A checkpoint from the text of its note. Raises EntryRefused for any other text."""
    match = _TEXT.fullmatch(text)
    try:
        found = match and CheckpointText(
            match["origin"],
            int(match["size"]),
            base64.b64decode(match["root"], validate=True),
            date.fromisoformat(match["day"]),
            int(match["seal"]),
            bytes.fromhex(match["digest"]),
            match["rules"],
        )
    except ValueError:
        found = None
    if not found or str(found) != text:
        raise EntryRefused("this is not the text of a checkpoint of these books")
    return found


def sorted_leaves(leaves: Sequence[tuple[SumNode, str, str, bytes]]) -> list[tuple[SumNode, str, str, bytes]]:
    """Liabilities (leaf, kind, subject, nonce) in tree order: by hash, so a place in the tree tells nothing of whose it is."""
    return sorted(leaves, key=lambda each: each[0].digest)
