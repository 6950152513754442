"""Checks an evidence pack or a proof of a prepaid-fund escrow, offline and without trusting who made it. 离线核验证据包。

    python3 verify.py PACK.zip --key log.pub      (or: python3 PACK.zip --key log.pub)
    python3 verify.py PROOF.json --key log.pub      (or a month of the journal: ARCHIVE.jsonl)

One file, the standard library only (Python 3.9 or newer). Everything is derived again: digests of rows, leaves of
transfers, roots of batches, the institution's log, the checkpoint log, signatures, running balances, statements,
matches, releases, approvals.
Exit 0: every fact holds. Exit 3: the first broken fact is named (file, row, what). Exit 2: wrong usage.
The formats are described in the README of the pack.
"""

from __future__ import annotations

import argparse
import base64
import bisect
import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest

TYPE_CHECKING = False
if TYPE_CHECKING:  # names for readers and type checkers; older Pythons never look at them
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any, TextIO

    Point = tuple[int, int, int, int]
    SumNode = tuple[bytes, int]
    Cells = list[str | None]
    Move = tuple[str, str, str, str, str, int, str]
    SheetCell = tuple[str, str]

OLDEST_PYTHON = (3, 9)
PACK_FORMAT = "prepaid-escrow evidence pack v1"
LIABILITY_KINDS = (
    "prepayment_held", "payable_to_institution", "disbursements_in_transit", "refunds_in_transit", "unidentified_receipts",
)  # fmt: skip
#: What is owed, and the receipts on their way to cover it: with the bank's closing balance they say whether the money is there.
COVER_KINDS = (*LIABILITY_KINDS, "receipts_in_transit")
LARGEST_SUM = 2**63 - 1
EMPTY = hashlib.sha256().digest()


class Broken(Exception):
    """A fact that does not hold: in which file, at which row, and what."""

    def __init__(self, file: str, row: str, what: str) -> None:
        super().__init__(f"{file}{f', {row}' if row else ''}: {what}")
        self.file, self.row, self.what = file, row, what


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


# -- Ed25519 (RFC 8032), verification only ---------------------------------------------------------------------------------
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)


def _point(encoded: bytes) -> Point | None:
    """A point in extended coordinates from its 32 bytes; None when they encode none, or not in the one canonical way."""
    number = int.from_bytes(encoded, "little")
    y, sign = number & ((1 << 255) - 1), number >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def _add(one: Point, other: Point) -> Point:
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(factor: int, point: Point) -> Point:
    total = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = _add(total, point)
        point = _add(point, point)
        factor >>= 1
    return total


_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is right; an S that is not reduced (malleable) or a point in another encoding is wrong."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, s = _point(public), int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], a[2], P - a[3])
    r = _add(_times(s, BASE), _times(k, minus_a))
    z = pow(r[2], P - 2, P)
    x, y = r[0] * z % P, r[1] * z % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little") == signature[:32]


# -- signed notes (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature) -------------------------------------------------
def strict_base64(text: str) -> bytes:
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise ValueError("not canonical")
    return content


class Key:
    """A public key: <name>+<id>+<base64 of type and key>, and the business days it signs for."""

    def __init__(self, line: str, party: str = "", valid_from: str = "", retired_on: str = "") -> None:
        try:
            self.name, key_id, encoded = line.strip().split("+", 2)
            content = strict_base64(encoded)
            self.kind, self.public = content[0], content[1:]
            self.key_id = sha256(self.name.encode() + b"\n" + content)[:4]
            if self.key_id.hex() != key_id or len(self.public) != 32 or self.kind not in (1, 4):
                raise ValueError
        except (ValueError, IndexError):
            raise Broken("key", "", f"this is no public key: {line.strip()[:100]}") from None
        self.line, self.party, self.valid_from, self.retired_on = line.strip(), party, valid_from, retired_on

    def signs_for(self, day: str) -> bool:
        return (not self.valid_from or self.valid_from <= day) and (not self.retired_on or day < self.retired_on)


def parse_note(content: str, file: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """(text, [(name, key id, signature)]) of a note."""
    text, blank, lines = content.rpartition("\n\n")
    found = []
    if not blank or not lines.endswith("\n"):
        raise Broken(file, "", "it is not a signed note")
    for number, line in enumerate(lines[:-1].split("\n"), 1):
        match = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})", line)
        try:
            signature = strict_base64(match.group(2)) if match else b""
        except ValueError:
            signature = b""
        if match is None or len(signature) < 5:
            raise Broken(file, f"signature line {number}", "it is not a signature line")
        found.append((match.group(1), signature[:4], signature[4:]))
    return text + "\n", found


def check_note(content: str, keys: list[Key], file: str, day: str = "") -> tuple[str, Key, list[Key]]:
    """The text of a note signed by the log; with it the cosigners. Every signature must be right and by a known key."""
    text, signatures = parse_note(content, file)
    by_log, cosigned = None, []
    for name, key_id, signature in signatures:
        key = next((one for one in keys if one.name == name and one.key_id == key_id), None)
        if key is None:
            raise Broken(
                file, f"signature of {name}", f"no key with id {key_id.hex()} is trusted; its public key is needed (--key)"
            )
        message = text.encode()
        if key.kind == 4:
            message = b"cosignature/v1\ntime %d\n" % int.from_bytes(signature[:8], "big") + message
            signature = signature[8:]  # noqa: PLW2901
        if not ed25519_verifies(key.public, message, signature):
            raise Broken(file, f"signature of {name}", "the signature is wrong")
        if day and not key.signs_for(day):
            raise Broken(file, f"signature of {name}", f"the key does not sign for {day}")
        if key.kind == 1:
            by_log = key
        else:
            cosigned.append(key)
    if by_log is None:
        raise Broken(file, "", "it bears no signature of the log")
    return text, by_log, cosigned


CHECKPOINT = re.compile(
    r"([^\s+]+)\n(0|[1-9]\d*)\n([A-Za-z0-9+/]{43}=)\nbusiness-date (\d{4}-\d\d-\d\d)\nseal (\d+) ([0-9a-f]{64})\nrules ([^\n]+)\n"
)


class Checkpoint:
    """A checkpoint whose signatures were checked."""

    def __init__(self, content: str, keys: list[Key], file: str) -> None:
        text, _ = parse_note(content, file)
        match = CHECKPOINT.fullmatch(text)
        if not match:
            raise Broken(file, "", "it is not the text of a checkpoint")
        self.number, self.cut = 0, ""  # told by the pack, not by the note
        self.origin, self.size, self.day, self.rules = match.group(1), int(match.group(2)), match.group(4), match.group(7)
        self.seal = int(match.group(5)), match.group(6)
        self.root = strict_base64(match.group(3))
        _, self.key, self.cosigners = check_note(content, keys, file, self.day)
        if self.key.name != self.origin:
            raise Broken(file, "", "it is signed by another log than it names")


# -- trees (RFC 6962) ------------------------------------------------------------------------------------------------------
def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right)


class Tree:
    """A growing tree, kept as the roots of its whole subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self.subtrees: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        size = self.size
        while size & 1:
            leaf = node_hash(self.subtrees.pop(), leaf)
            size >>= 1
        self.subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self.subtrees:
            return EMPTY
        node = self.subtrees[-1]
        for left in reversed(self.subtrees[:-1]):
            node = node_hash(left, node)
        return node


def hashes(values: list[str]) -> list[bytes]:
    found = [bytes.fromhex(one) for one in values]
    if any(len(one) != 32 or one.hex() != text for one, text in zip(found, values)):
        raise ValueError("a hash is not 64 small hexadecimal digits")
    return found


def root_from_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.3.2; ValueError when the path cannot be one."""
    if not 0 <= index < size:
        raise ValueError("the place lies outside the tree")
    last, node = size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("the proof is too long")
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        index >>= 1
        last >>= 1
    if last:
        raise ValueError("the proof is too short")
    return node


def consistent(first: int, second: int, first_root: bytes, second_root: bytes, path: list[bytes]) -> bool:
    """RFC 9162 section 2.1.4.2: whether the larger tree begins with the smaller one."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not path and (first_root == second_root if first == second else first_root == EMPTY)
    nodes = ([first_root] if first & (first - 1) == 0 else []) + path
    if not nodes:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        position >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def sized(text: str) -> str:
    return f"{len(text.encode())}:{text}"


def liability_leaf(nonce: str, kind: str, subject: str, amount: int) -> SumNode:
    return sha256(b"\0" + f"liability v1|{nonce}|{kind}|{sized(subject)}|{amount}".encode()), amount


def sum_node(left: SumNode, right: SumNode) -> SumNode:
    if not (0 <= left[1] <= LARGEST_SUM and 0 <= right[1] <= LARGEST_SUM and left[1] + right[1] <= LARGEST_SUM):
        raise ValueError("a sum of liabilities is out of bounds")
    content = b"\1" + left[0] + left[1].to_bytes(8, "big") + right[0] + right[1].to_bytes(8, "big")
    return sha256(content), left[1] + right[1]


def entry_leaf(body: str) -> bytes:
    return sha256(b"\0" + body.encode())


class Entry:
    """An entry of the checkpoint log: the state of an institution's log, or a custody account's liabilities."""

    def __init__(self, body: str, file: str, row: str) -> None:
        lines = body.split("\n")
        try:
            kind = lines[0].split(" ")
            self.institution = int(kind[2])
            self.tables, self.account = {}, None
            if kind[:2] == ["institution", "v1"]:
                word, size, root = lines[1].split(" ")
                self.log_size, self.log_root = int(size), bytes.fromhex(root)
                for line in lines[2:-1]:
                    word, name, count, root = line.split(" ")
                    self.tables[name] = (int(count), root)
            elif kind[:2] == ["liabilities", "v1"]:
                self.account, self.log_size = int(kind[3]), int(lines[1].split(" ")[1])
                self.currency = lines[2].split(" ")[1]
                word, count, total, root = lines[3].split(" ")
                self.count, self.total, self.root = int(count), int(total), bytes.fromhex(root)
            else:
                raise ValueError(word)
            if lines[-1]:
                raise ValueError
        except (ValueError, IndexError, UnboundLocalError):
            raise Broken(file, row, "it is not an entry of a checkpoint log") from None


# -- the canonical text of a row -------------------------------------------------------------------------------------------
_QUOTED = re.compile(r'[ \t\n\v\f\r"\\(),]')


def row_digest(cells: Cells, digest_at: int) -> bytes:
    """SHA-256 of "v1" and the row as PostgreSQL writes it (row_digest itself empty), without closing commas and bracket."""
    parts = []
    for position, cell in enumerate(cells):
        if cell is None or position == digest_at:
            parts.append("")
        elif not cell or _QUOTED.search(cell):
            parts.append('"' + cell.replace("\\", "\\\\").replace('"', '""') + '"')
        else:
            parts.append(cell)
    return hashlib.sha256(("v1(" + ",".join(parts)).rstrip(",)").encode()).digest()


def instant(text: str) -> str:
    """An instant as PostgreSQL writes it in UTC, so that texts order as times do."""
    whole, _, fraction = text[:-3].partition(".")
    return f"{whole}.{fraction.ljust(6, '0')}"


_MARKS = ("'", "\\")


def plain_cell(cell: str) -> str | None:
    """The value of a cell: \\N is no value; a leading apostrophe keeps spreadsheets from running it and is taken off."""
    if cell == "\\N":
        return None
    return cell[1:] if cell[:1] == "'" else cell


# -- the pack --------------------------------------------------------------------------------------------------------------
SEAL = re.compile(
    rf"{PACK_FORMAT}\naccount (\S+)\nfrom (\S+) to (\S+)\ncheckpoint (\d+)\nmanifest ([0-9a-f]{{64}})\ncontent ([0-9a-f]{{64}})\n"
)
TOLD_EVERY = 20_000  # rows of a table between two words to who waits
LARGEST_MANIFEST = 1 << 28  # of a zip nobody vouched for yet: a few bytes of it may unpack to any number
_END = 22  # bytes of a zip's end record without its comment


class Pack:
    """The file: its bytes, its members, its tables. Opening it checks that not a byte differs from what was sealed."""

    zip: zipfile.ZipFile
    told: Callable[[str], None] | None = None

    def __init__(self, path: str, trusted: list[Key], told: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.told = told
        self.strangers: set[str] = set()
        self.streams: list[TextIO] = []
        try:
            self._check(trusted)
        except Broken:
            self.close()
            raise

    def progress(self, what: str) -> None:
        """Tell whoever waits what is being read."""
        if self.told is not None:
            self.told(what)

    def close(self) -> None:
        for stream in self.streams:  # also those a broken fact left half read
            stream.close()
        if "zip" in vars(self):
            self.zip.close()

    def _check(self, trusted: list[Key]) -> None:
        note, content_size = self._comment()
        text, signatures = parse_note(note, "seal of the pack")
        seal = SEAL.fullmatch(text)
        if not seal:
            raise Broken("seal of the pack", "", "it is not the seal of an evidence pack")
        if trusted:  # before anything of a stranger's zip is unpacked
            self._sealed_by(trusted, note, signatures)
        try:
            self._open(seal)
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001  a damaged zip raises whatever its reader stumbled over
            raise Broken("pack", "", f"it is not a whole zip file: {error}") from None
        if self._content_digest(content_size) != seal.group(6):
            raise Broken("pack", "", "a byte between its members, or in their headers, is not the one that was sealed")
        self.keys = self._keys(trusted)
        self._sealed_by(self.keys, note, signatures)
        about = self.manifest
        if (about["account"]["number"], about["from"], about["to"], str(about["closing_checkpoint"])) != seal.group(1, 2, 3, 4):
            raise Broken("manifest.json", "", "it tells of another account or period than was sealed")

    def _sealed_by(self, keys: list[Key], note: str, signatures: list[tuple[str, bytes, bytes]]) -> None:
        """The log sealed it, with one of these keys."""
        if not any(name == key.name and key_id == key.key_id and key.kind == 1 for name, key_id, _ in signatures for key in keys):
            raise Broken("seal of the pack", "", "it is not signed with the log's key you trust")
        check_note(note, keys, "seal of the pack")

    def _open(self, seal: re.Match[str]) -> None:
        """Members and manifest are those that were sealed."""
        self.zip = zipfile.ZipFile(self.path)
        names = set[str]()
        for name in self.zip.namelist():  # somebody else's zip may name a million: each is looked up once
            if name in names:
                raise Broken(name, "", "the pack holds this member twice")
            names.add(name)
        if "manifest.json" not in names:
            raise Broken("manifest.json", "", "this member is missing")
        with self.zip.open("manifest.json") as stream:
            manifest = stream.read(LARGEST_MANIFEST)
        if sha256(manifest).hex() != seal.group(5):
            raise Broken("manifest.json", "", "its SHA-256 is not the one that was sealed")
        self.manifest = json.loads(manifest)
        self._check_members(names)

    def _comment(self) -> tuple[str, int]:
        """The note in the zip's comment, and how many bytes come before it."""
        with open(self.path, "rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(max(0, size - _END - 65535))
            tail = stream.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END or int.from_bytes(tail[at + 20 : at + 22], "little") != len(tail) - at - _END:
            raise Broken("pack", "", "it is not a whole zip file: its end is missing or changed")
        try:
            return tail[at + _END :].decode(), size - (len(tail) - at - _END)
        except UnicodeDecodeError:
            raise Broken("seal of the pack", "", "it is not text") from None

    def _content_digest(self, size: int) -> str:
        digest = hashlib.sha256()
        with open(self.path, "rb") as stream:
            while size:
                block = stream.read(min(size, 1 << 20))
                digest.update(block)
                size -= len(block)
        return digest.hexdigest()

    def whole(self, name: str) -> bytes:
        return self.zip.read(name)

    def _check_members(self, names: set[str]) -> None:
        told = self.manifest["members"]
        for name in told:
            if name not in names:
                raise Broken(name, "", "this member is missing")
        for name in sorted(names):
            if name not in told and name != "manifest.json":
                raise Broken(name, "", "the manifest does not know this member")
        for name, said in told.items():
            self.progress(name)
            digest, size = hashlib.sha256(), 0
            try:
                with self.zip.open(name) as stream:
                    for block in iter(lambda: stream.read(1 << 20), b""):
                        digest.update(block)
                        size += len(block)
                        if size > said["bytes"]:
                            break
            except Exception as error:  # noqa: BLE001  zlib's own error among them
                raise Broken(name, "", f"it cannot be unpacked: {error}") from None
            if size != said["bytes"] or digest.hexdigest() != said["sha256"]:
                raise Broken(name, "", "its SHA-256 is not the one in the manifest")

    def _keys(self, trusted: list[Key]) -> list[Key]:
        own = [
            Key(one["key"], one["party"], one["valid_from"], one["retired_on"] or "")
            for one in json.loads(self.whole("keys.json"))
        ]
        if not trusted:
            return own
        lines = {key.line for key in trusted}
        self.strangers = {key.line for key in own if key.line not in lines and key.kind == 4}
        # A cosigner nobody vouched for proves nothing, but its signature must still be right.
        return [key for key in own if key.line in lines or key.kind == 4]

    def text(self, name: str) -> str:
        return self.whole(name).decode()

    def json(self, name: str) -> Any:
        return json.loads(self.whole(name))

    def lines(self, name: str) -> TextIO:
        self.streams.append(io.TextIOWrapper(self.zip.open(name), encoding="utf-8", newline=""))
        return self.streams[-1]

    def rows(self, table: str) -> Iterator[tuple[int, Any]]:
        """Every row of a table: (its line in the file, its cells)."""
        name, said = f"tables/{table}.csv", self.manifest["tables"][table]
        width, count = len(said["columns"]), 0
        with self.lines(name) as stream:
            reader = csv.reader(stream, strict=True)
            if next(reader, None) != said["columns"]:
                raise Broken(name, "line 1", "its columns are not those of the manifest")
            for cells in reader:
                count += 1
                if not count % TOLD_EVERY:
                    self.progress(f"{name} {count:,} / {said['rows']:,}")
                if len(cells) != width:
                    raise Broken(name, f"line {reader.line_num}", "it has another number of cells than columns")
                yield reader.line_num, [plain_cell(cell) if cell[:1] in _MARKS else cell for cell in cells]
        if count != said["rows"]:
            raise Broken(name, "", f"it has {count} rows, the manifest says {said['rows']}")

    def dicts(self, table: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every row as (line, {column: value})."""
        columns = self.manifest["tables"][table]["columns"]
        for line, cells in self.rows(table):
            yield line, dict(zip(columns, cells))


def broken_row(table: str, line: int, key: str, what: str) -> Broken:
    return Broken(f"tables/{table}.csv", f"line {line} ({key})", what)


class Account:
    """One account of the books while its postings are replayed; balances are debits minus credits in minor units."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.kind, self.subject, self.currency, self.opened_on = row["kind"], row["subject"], row["currency"], row["opened_on"]
        self.custody, self.side = int(row["custody_account_id"]), 1 if row["normal_side"] == "DEBIT" else -1
        self.floor = None if row["floor_minor_units"] is None else int(row["floor_minor_units"])
        self.seq = self.balance = self.opening = self.opening_seq = 0
        self.name = ""


class Replay:
    """The facts of a pack, derived one after the other; the first that does not hold is raised."""

    def __init__(self, pack: Pack) -> None:
        self.pack, self.about = pack, pack.manifest
        self.institution = self.about["institution"]["institution_id"]
        self.summary: dict[str, Any] = {}
        self.points: dict[int, Checkpoint] = {}
        self.states: dict[int, Entry] = {}
        self.owed: dict[tuple[int, int, str], Entry] = {}
        self.accounts: dict[str, Account] = {}
        self.posted: dict[str, tuple[str, str, int]] = {}
        self.reversed: set[str] = set()
        self.moved: dict[tuple[int, str], int] = defaultdict(int)
        self.bank_lines: dict[str, int] = {}
        self.in_force: set[str] = set()
        self.closing_of: dict[tuple[str, str], int] = {}

    def run(self) -> dict[str, Any]:
        for step in (
            self.checkpoints, self.entries, self.evidence_rows, self.seals, self.audit_chain, self.batches, self.transfers,
            self.openings, self.balances, self.liabilities,
            self.journals, self.workbook, self.orders, self.statements, self.matches, self.approvals, self.signed_days,
            self.policies,
        ):  # fmt: skip
            self.pack.progress(step.__name__.replace("_", " "))
            step()
        return self.summary

    def who(self, key: Key) -> str:
        return f"{key.party} ({key.name}{', key not given with --key' if key.line in self.pack.strangers else ''})"

    # -- what was signed -----------------------------------------------------------------------------------------------
    def checkpoints(self) -> None:
        """Signatures of every checkpoint, and that each begins with the one before it."""
        proofs, cosigners = self.pack.json("proofs.json"), set[str]()
        before: Checkpoint | None = None
        for said in proofs["checkpoints"]:
            number = said["checkpoint"]
            file = f"checkpoints/{number:06d}.note"
            point = Checkpoint(self.pack.text(file), self.pack.keys, file)
            point.cut, point.number = said["cut"], number
            if before is None:
                if number != 1:
                    raise Broken(file, "", "the pack does not begin with the first checkpoint")
            else:
                path = hashes(said["consistency"])
                if number != before.number + 1 or point.day < before.day or point.cut <= before.cut:
                    raise Broken(file, "", "it does not follow the checkpoint before it")
                if point.origin != before.origin or not consistent(before.size, point.size, before.root, point.root, path):
                    raise Broken(file, "", f"its log is not the log of checkpoint {before.number} continued")
            self.points[number] = before = point
            cosigners.update(self.who(key) for key in point.cosigners)
        closing = self.about["closing_checkpoint"]
        if before is None or before.number != closing:
            raise Broken("proofs.json", "", f"the closing checkpoint {closing} is not the last one")
        self.closing = before
        if not (before.day <= self.about["to"] and before.day >= self.about["from"]):
            raise Broken("manifest.json", "", f"the closing checkpoint is of {before.day}, outside the period")
        self.summary.update(checkpoints=len(self.points), cosigners=sorted(cosigners))

    def entries(self) -> None:
        """Every entry about the institution is in the log whose root was signed; each checkpoint has one state of its log."""
        for said in self.pack.json("proofs.json")["entries"]:
            row = f"entry {said['entry_no']}"
            entry, number = Entry(said["body"], "proofs.json", row), said["checkpoint"]
            try:
                root = root_from_inclusion(entry_leaf(said["body"]), said["entry_no"], self.closing.size, hashes(said["path"]))
            except ValueError as error:
                raise Broken("proofs.json", row, str(error)) from None
            if root != self.closing.root:
                raise Broken("proofs.json", row, "its proof does not lead to the signed root of the closing checkpoint")
            before = self.points[number - 1].size if number > 1 else 0
            if not before <= said["entry_no"] < self.points[number].size or entry.institution != self.institution:
                raise Broken("proofs.json", row, f"it is not an entry of checkpoint {number} about this institution")
            if entry.account is None:
                if number in self.states:
                    raise Broken("proofs.json", row, f"checkpoint {number} states the institution's log twice")
                self.states[number] = entry
            else:
                self.owed[number, entry.account, entry.currency] = entry
        opened = min(self.states, default=self.closing.number + 1)
        for number in range(opened, self.closing.number + 1):
            if number not in self.states:
                raise Broken("proofs.json", "", f"the institution's entry of checkpoint {number} is missing")
        if self.closing.number not in self.states:
            raise Broken("proofs.json", "", "the closing checkpoint does not know this institution")

    def evidence_rows(self) -> None:
        """Each row is as it was recorded, and none recorded about the institution was left out, table by table and day by day."""
        cuts = [self.points[number].cut for number in sorted(self.points)]  # by number, and so by time
        recorded: Any = defaultdict(lambda: defaultdict(set))
        owners: Any = defaultdict(set)
        shared_digests, masked = {}, 0
        links = self.about["links"]
        shared_tables = {link[2] for link in links}
        for table, said in self.about["tables"].items():
            if "row_digest" not in said["columns"]:
                continue
            columns = said["columns"]
            digest_at, at = columns.index("row_digest"), columns.index("recorded_at")
            own = [(link[2], columns.index(link[1])) for link in links if link[0] == table]
            key_at = next((columns.index(link[3]) for link in links if link[2] == table), 0)
            for line, cells in self.pack.rows(table):
                digest = cells[digest_at]
                if said["masked"]:
                    masked += 1
                elif "\\x" + row_digest(self._whole_cells(table, cells), digest_at).hex() != digest:
                    raise broken_row(
                        table, line, f"{columns[0]}={cells[0]}", "the row is not as it was recorded: its digest is another"
                    )
                if table in shared_tables:
                    shared_digests[table, cells[key_at]] = bytes.fromhex(digest[2:])
                    continue
                window = bisect.bisect_right(cuts, instant(cells[at]))
                if window == len(cuts):
                    raise broken_row(table, line, f"{columns[0]}={cells[0]}", "it was recorded after the closing checkpoint")
                if "institution_id" in columns:
                    recorded[window][table].add(bytes.fromhex(digest[2:]))
                for shared, column in own:
                    if cells[column] is not None:
                        owners[window, shared].add(cells[column])
        for (window, shared), keys in owners.items():
            for key in keys:
                if (shared, key) not in shared_digests:
                    raise Broken(f"tables/{shared}.csv", "", f"row {key} is missing")
                recorded[window][shared].add(shared_digests[shared, key])
        outside = set()
        for number, entry in sorted(self.states.items()):
            here = recorded[number - 1]
            for table in sorted({*entry.tables, *here}):
                if table not in self.about["tables"]:
                    outside.add(table)
                    continue
                digests = sorted(here.get(table, ()))
                if entry.tables.get(table) != ((len(digests), sha256(b"".join(digests)).hex()) if digests else None):
                    signed = entry.tables.get(table, (0,))[0]
                    raise Broken(
                        f"tables/{table}.csv", f"rows of checkpoint {number}",
                        f"{signed} rows were signed; these are {len(digests)}, or others",
                    )  # fmt: skip
        self.summary.update(
            rows=sum(said["rows"] for said in self.about["tables"].values()), masked=masked, outside=sorted(outside)
        )

    def seals(self) -> None:
        """Every seal follows the one before it, and each checkpoint signs the digest of its own."""
        signed = {point.seal[0]: point for point in self.points.values()}
        self.sealed: dict[int, dict[str, list[Any]]] = {}
        previous = bytes(32)
        for number, told in enumerate(self.pack.json("seals.json"), 1):
            row, sealed_at = f"seal {number}", told["sealed_at"]
            if told["seal"] != number:
                raise Broken("seals.json", row, "it is missing")
            head = [f"v1 seal {number}"] if sealed_at is None else [f"v2 seal {number}", f"sealed_at {sealed_at}"]
            tables = [f"{table} {count} {root}" for table, (count, root) in sorted(told["tables"].items())]
            previous = sha256("\n".join([*head, f"cut {told['cut']}", f"previous {previous.hex()}", *tables]).encode())
            point = signed.pop(number, None)
            if point is not None:
                if previous.hex() != point.seal[1]:
                    raise Broken("seals.json", row, f"its digest is not the one checkpoint {point.number} signs")
                if told["cut"] != point.cut.replace(" ", "T") + "+00:00":
                    raise Broken("proofs.json", f"checkpoint {point.number}", "its cut is not the one that was sealed")
            self.sealed[number] = told["tables"]
        if signed or max(self.sealed) != self.closing.seal[0]:
            raise Broken("seals.json", "", "they do not end with the seal of the closing checkpoint")

    def audit_chain(self) -> None:
        """Every event of the audit log is here or is shown as left out by its digest: as many as were sealed, and those."""
        digests: list[bytes] = []
        by_seal: dict[int, list[bytes]] = defaultdict(list)
        for line, row in self.pack.dicts("audit_chain"):
            if row["seq"] != str(len(digests) + 1):
                raise broken_row("audit_chain", line, f"seq={row['seq']}", f"event {len(digests) + 1} should stand here")
            digests += hashes([row["digest"]])
            by_seal[int(row["seal"])].append(digests[-1])
        for number, tables in self.sealed.items():
            found = by_seal.pop(number, [])
            count, root = tables.get("audit_event", (0, EMPTY.hex()))
            buckets: dict[int, list[bytes]] = defaultdict(list)
            for digest in sorted(found):
                buckets[digest[0]].append(digest)
            if len(found) != count or sha256(b"".join(sha256(b"".join(one)) for _, one in sorted(buckets.items()))).hex() != root:
                raise Broken(
                    "tables/audit_chain.csv", f"seal {number}", f"{count} events were sealed; these are {len(found)}, or others"
                )
        if by_seal:
            raise Broken("tables/audit_chain.csv", f"seal {min(by_seal)}", "there is no such seal")
        whole = 0
        for line, row in self.pack.dicts("audit_event"):
            number, whole = int(row["seq"]), whole + 1
            before = digests[number - 2] if number > 1 else bytes(32)
            if not 0 < number <= len(digests) or row["row_digest"] != "\\x" + digests[number - 1].hex():
                raise broken_row("audit_event", line, f"seq={number}", "it is not the event the audit log has there")
            if row["previous_digest"] != "\\x" + before.hex():
                raise broken_row("audit_event", line, f"seq={number}", "it does not follow the event before it")
        self.summary.update(audit_events=whole, audit_left_out=len(digests) - whole)

    def _whole_cells(self, table: str, cells: Cells) -> Cells:
        """The row with the bytes that stand in members of their own."""
        for column, member in self.about["tables"][table].get("members", {}).items():
            at = self.about["tables"][table]["columns"].index(column)
            if cells[at] is not None:
                name = f"{member}/{cells[at]}"
                if name not in self.about["members"]:
                    raise Broken(name, "", "this member is missing")
                cells = [*cells[:at], "\\x" + self.pack.whole(name).hex(), *cells[at + 1 :]]
        return cells

    # -- the journal ---------------------------------------------------------------------------------------------------
    def batches(self) -> None:
        """The institution's log over all its batches leads to the root of every checkpoint."""
        log, sizes = Tree(), defaultdict(list)
        for number, entry in sorted(self.states.items()):
            sizes[entry.log_size].append((number, entry))
        self.headers = {}
        for number, entry in sizes.pop(0, ()):
            self._check_log(log, number, entry)
        for line, row in self.pack.dicts("posting_batch"):
            batch = int(row["batch_id"])
            if batch != log.size + 1 or int(row["institution_id"]) != self.institution:
                raise broken_row("posting_batch", line, f"batch_id={batch}", f"batch {log.size + 1} should stand here")
            text = (
                f"batch v1|{self.institution}|{batch}|{row['transfer_count']}|{row['total_minor_units']}"
                f"|{row['root'][2:]}|{row['row_digest'][2:]}"
            )
            log.append(sha256(b"\0" + text.encode()))
            self.headers[batch] = (int(row["transfer_count"]), int(row["total_minor_units"]), row["root"][2:], row["encoding"])
            for number, entry in sizes.pop(batch, ()):
                self._check_log(log, number, entry)
        if sizes:
            raise Broken("tables/posting_batch.csv", "", f"{log.size} batches are here, {max(sizes)} were signed")
        self.opening_batch = self.about["opening_batch"]
        opening = self.about["opening_checkpoint"]
        if self.opening_batch != (self.states[opening].log_size if opening in self.states else 0):
            raise Broken("manifest.json", "", "the period does not begin where its opening checkpoint ends")
        if opening is not None and self.points[opening].day >= self.about["from"]:
            raise Broken("manifest.json", "", "the opening checkpoint lies within the period")

    def _check_log(self, log: Tree, number: int, entry: Entry) -> None:
        if log.size != entry.log_size or log.root() != entry.log_root:
            raise Broken(
                "tables/posting_batch.csv", f"batches 1 to {entry.log_size}",
                f"they do not lead to the root of the institution's log signed in checkpoint {number}",
            )  # fmt: skip

    def transfers(self) -> None:
        """Leaves, roots of batches, gapless numbers and running balances of every transfer of the period."""
        columns = self.about["tables"]["transfer"]["columns"]
        (
            institution, ident, batch_at, line_at, debit, credit, amount_at, currency, day_at, reason, kind, ref, reverses,
            d_seq, d_balance, c_seq, c_balance, leaf_at,
        ) = (columns.index(name) for name in (
            "institution_id", "transfer_id", "batch_id", "line", "debit_account_id", "credit_account_id", "amount_minor_units",
            "currency", "booking_date", "reason", "source_kind", "source_ref", "reverses", "debit_seq",
            "debit_balance_minor_units", "credit_seq", "credit_balance_minor_units", "leaf",
        ))  # fmt: skip
        self.read_accounts()
        accounts, moved = self.accounts, self.moved
        days: dict[str, int] = {}
        names: dict[str, str] = {}
        batch, total, count = self.opening_batch, 0, 0
        tree: Tree | None = None
        seen = set()
        wanted = self._transfers_others_point_to()
        for line, row in self.pack.rows("transfer"):
            place = f"transfer_id={row[ident]}"
            day = days.get(row[day_at])
            if day is None:
                day = days[row[day_at]] = (date.fromisoformat(row[day_at]) - date(2000, 1, 1)).days
            for value in (row[reason], row[kind]):
                if value not in names:
                    names[value] = sized(value)
            text = (
                f"\0v1|{row[institution]}|{row[ident]}|{row[batch_at]}|{row[line_at]}|{row[debit]}|{row[credit]}|{row[amount_at]}"
                f"|{row[currency]}|{day}|{names[row[reason]]}|{names[row[kind]]}|{sized(row[ref])}|{row[reverses] or '-'}"
                f"|{row[d_seq]}|{row[d_balance]}|{row[c_seq]}|{row[c_balance]}"
            )
            leaf = hashlib.sha256(text.encode()).digest()
            if row[leaf_at] != "\\x" + leaf.hex():
                raise broken_row("transfer", line, place, "its leaf is not the digest of its columns")
            if int(row[batch_at]) != batch:
                if tree is not None:
                    self._check_batch(batch, tree, total)
                batch, tree, total = batch + 1, Tree(), 0
            if tree is None or int(row[batch_at]) != batch or int(row[line_at]) != tree.size + 1:
                raise broken_row("transfer", line, place, f"batch {batch}, line {tree.size + 1 if tree else 1} should stand here")
            tree.append(leaf)
            amount = int(row[amount_at])
            total += amount
            if amount <= 0 or row[debit] == row[credit] or int(row[institution]) != self.institution:
                raise broken_row("transfer", line, place, "it moves nothing, or nowhere, or another institution's money")
            for account_id, sign, seq, balance in ((row[debit], 1, d_seq, d_balance), (row[credit], -1, c_seq, c_balance)):
                account = accounts.get(account_id)
                if account is None or account.currency != row[currency] or row[day_at] < account.opened_on:
                    raise broken_row(
                        "transfer", line, place, f"account {account_id} is unknown, not open yet, or of another currency"
                    )
                account.seq += 1
                account.balance += sign * amount
                if account.kind in COVER_KINDS:
                    moved[account.custody, row[day_at]] += sign * amount
                if int(row[seq]) != account.seq:
                    raise broken_row("transfer", line, place, f"posting {account.seq} of account {account_id} should stand here")
                if int(row[balance]) != account.balance:
                    raise broken_row(
                        "transfer", line, place, f"account {account_id} holds {account.balance} after it, not {row[balance]}"
                    )
                if account.floor is not None and account.side * account.balance < account.floor:
                    raise broken_row("transfer", line, place, f"account {account_id} falls below its floor")
            if row[reverses]:
                self.reversed.add(row[reverses])
            if row[ident] in wanted or row[reverses]:
                self.posted[row[ident]] = (row[debit], row[credit], amount)
            number = int(row[ident].replace("-", ""), 16)  # half the memory of its text
            if number in seen:
                raise broken_row("transfer", line, place, "this transfer stands here twice")
            seen.add(number)
            count += 1
        if tree is not None:
            self._check_batch(batch, tree, total)
        if batch != len(self.headers):
            raise Broken("tables/transfer.csv", "", f"it ends with batch {batch}, there are {len(self.headers)} batches")
        self.summary["transfers"] = count

    def _check_batch(self, batch: int, tree: Tree, total: int) -> None:
        count, said_total, root, encoding = self.headers[batch]
        if encoding != "v1":
            raise Broken("tables/posting_batch.csv", f"batch_id={batch}", f"this verifier does not know encoding {encoding}")
        if tree.size != count or total != said_total:
            raise Broken(
                "tables/transfer.csv",
                f"batch {batch}",
                f"{tree.size} transfers of {total} minor units are not what its header says",
            )
        if tree.root().hex() != root:
            raise Broken("tables/transfer.csv", f"batch {batch}", "its transfers do not lead to the root in its header")

    def read_accounts(self) -> None:
        for _, row in self.pack.dicts("account"):
            self.accounts[row["account_id"]] = Account(row)
        self.said_balances = {}
        for line, row in self.pack.dicts("balances"):
            if row["account_id"] not in self.accounts:
                raise broken_row("balances", line, f"account_id={row['account_id']}", "no such account")
            one = self.accounts[row["account_id"]]
            one.seq, one.balance, one.name = int(row["opening_seq"]), int(row["opening_minor_units"]), row["name"]
            one.opening, one.opening_seq = one.balance, one.seq
            if self.opening_batch == 0 and (one.seq or one.balance):
                raise broken_row(
                    "balances", line, f"account_id={row['account_id']}", "the books begin in this pack, so it opens at 0"
                )
            self.said_balances[row["account_id"]] = (line, int(row["closing_seq"]), int(row["closing_minor_units"]))
        if set(self.said_balances) != set(self.accounts):
            raise Broken("tables/balances.csv", "", "it does not state every account")
        if sum(one.opening for one in self.accounts.values()):
            raise Broken("tables/balances.csv", "", "debits and credits brought forward differ")

    def openings(self) -> None:
        """Each balance brought forward is what the account's last posting before the period left it with, in the signed log; and
        no posting is passed over: there are two for each transfer of the batches before.
        """
        if not self.opening_batch:
            return
        if "opening" not in self.about["tables"]:
            raise Broken("tables/opening.csv", "", "it is missing, so nothing proves the balances brought forward")
        proved = set()
        for line, row in self.pack.dicts("opening"):
            account, batch, place = row["account_id"], int(row["batch_id"]), f"account_id={row['account_id']}"
            one = self.accounts.get(account)
            if one is None or account in proved or not 0 < batch <= self.opening_batch:
                raise broken_row("opening", line, place, "no such account, one that stands here twice, or a batch of the period")
            proved.add(account)
            told = {**row, "reverses": None if row["reverses"] == "-" else row["reverses"]}
            leaf = transfer_leaf(self.institution, batch, told)
            count, _, root, encoding = self.headers[batch]
            path = hashes(row["path"].split(" ")) if row["path"] else []
            if encoding != "v1" or root_from_inclusion(leaf, int(row["line"]) - 1, count, path).hex() != root:
                raise broken_row("opening", line, place, f"its posting is not in batch {batch} of the institution's log")
            side = "debit" if row["debit_account_id"] == account else "credit"
            if row[f"{side}_account_id"] != account:
                raise broken_row("opening", line, place, "its posting is of other accounts")
            seq, balance = int(row[f"{side}_seq"]), int(row[f"{side}_balance_minor_units"])
            if (seq, balance) != (one.opening_seq, one.opening):
                raise broken_row(
                    "opening", line, place,
                    f"it held {balance} after posting {seq}; {one.opening} after {one.opening_seq} is brought forward",
                )  # fmt: skip
        for account, one in self.accounts.items():
            if account not in proved and (one.opening_seq or one.opening):
                raise Broken("tables/opening.csv", f"account_id={account}", "nothing proves the balance it brings forward")
        counted = sum(one.opening_seq for one in self.accounts.values())
        made = 2 * sum(header[0] for batch, header in self.headers.items() if batch <= self.opening_batch)
        if counted != made:
            raise Broken("tables/opening.csv", "", f"the accounts bring forward {counted} postings, {made} were made before")
        self.summary["openings"] = len(proved)

    def _transfers_others_point_to(self) -> set[str]:
        wanted: set[str] = set()
        for table, column in (
            ("prepayment", "receipt_item_id"), ("release", "transfer_id"), ("refund", "transfer_id"), ("open_item", "item_id"),
            ("open_item_clearing", "clearing_transfer_id"), ("disbursement_instruction", "transfer_id"),
            ("funding", "transfer_id"),
        ):  # fmt: skip
            wanted.update(row[column] for _, row in self.pack.dicts(table) if row[column])
        return wanted

    def balances(self) -> None:
        """Opening plus transfers is closing, of every account; all accounts together are zero."""
        for account_id, (line, seq, balance) in self.said_balances.items():
            one = self.accounts[account_id]
            if (one.seq, one.balance) != (seq, balance):
                raise broken_row(
                    "balances", line, f"account_id={account_id}",
                    f"opening and transfers give {one.balance} after {one.seq} postings, not {balance} after {seq}",
                )  # fmt: skip
        if sum(one.balance for one in self.accounts.values()):
            raise Broken("tables/balances.csv", "", "debits and credits differ")
        self.summary["accounts"] = len(self.accounts)

    def liabilities(self) -> None:
        """What is owed after the closing batch is what was signed: every account's total, and this account leaf by leaf."""
        owed: Any = defaultdict(int)
        counts: Any = defaultdict(int)
        for one in self.accounts.values():
            if one.kind in LIABILITY_KINDS:
                owed[one.custody, one.currency] -= one.balance
                counts[one.custody, one.currency] += one.balance != 0
        for (number, custody, currency), entry in sorted(self.owed.items()):
            total, count = owed[custody, currency], counts[custody, currency]
            if number == self.closing.number and (total, count) != (entry.total, entry.count):
                what = f"it owes {total} to {count}, but {entry.total} to {entry.count} was signed"
                raise Broken("tables/balances.csv", f"custody account {custody}", what)
        wanted = self.about["account"]["custody_account_id"]
        trees = {key: entry for key, entry in self.owed.items() if key[:2] == (self.closing.number, wanted)}
        if not trees:
            raise Broken("proofs.json", "", "the closing checkpoint does not state what this custody account owes")
        by_name = {(one.custody, one.currency, one.kind, one.subject): -one.balance for one in self.accounts.values()}
        nodes = defaultdict(list)
        for line, row in self.pack.dicts("liabilities"):
            amount = int(row["amount_minor_units"])
            if by_name.get((wanted, row["currency"], row["kind"], row["subject"])) != amount:
                raise broken_row("liabilities", line, f"{row['kind']} {row['subject']}", "the account holds another amount")
            nodes[row["currency"]].append(liability_leaf(row["nonce"], row["kind"], row["subject"], amount))
        for (_, _, currency), entry in trees.items():
            level = nodes[currency]
            if len(level) != entry.count:
                raise Broken("tables/liabilities.csv", "", f"{len(level)} liabilities are here, {entry.count} were signed")
            while len(level) > 1:
                level = [sum_node(*pair) for pair in zip(level[::2], level[1::2])] + (level[-1:] if len(level) % 2 else [])
            if (level[0] if level else (EMPTY, 0)) != (entry.root, entry.total):
                raise Broken("tables/liabilities.csv", "", "they do not lead to the root of the Merkle-sum tree that was signed")
            self.summary["owed"] = entry.total

    # -- the same books in other forms ---------------------------------------------------------------------------------
    def moves(self) -> Iterator[Move]:
        """The period's transfers as the journals show them: (date, id, text, debit name, credit name, minor units, currency)."""
        columns = self.about["tables"]["transfer"]["columns"]
        at = [columns.index(name) for name in MOVE_COLUMNS]
        for _, row in self.pack.rows("transfer"):
            yield move_of([row[position] for position in at], lambda account_id: self.accounts[account_id].name)

    def books(self) -> list[Book]:
        return [
            Book(one.name, one.currency, one.opened_on, one.opening, one.balance) for one in self.accounts.values()
        ]  # in the order of account.csv

    def journals(self) -> None:
        """The hledger and beancount journals say what the transfers say, line by line."""
        for name, lines in (("books.journal", hledger_lines), ("books.beancount", beancount_lines)):
            expected = lines(self.books(), self.moves, self.about["exponents"])
            with self.pack.lines(name) as stream:
                for number, (found, wanted) in enumerate(zip_longest(stream, expected), 1):
                    if found != wanted:
                        shown = (wanted or "the end of the file").strip()[:200]
                        raise Broken(name, f"line {number}", f"it does not follow from tables/transfer.csv, which gives: {shown}")

    def workbook(self) -> None:
        """The workbook shows the same accounts, transfers and statements, cell by cell."""
        with zipfile.ZipFile(io.BytesIO(self.pack.whole("workbook.xlsx"))) as book:
            for number, (title, rows) in enumerate(workbook_sheets(self), 1):
                found = sheet_rows(book, f"xl/worksheets/sheet{number}.xml")
                for line, (cells, wanted) in enumerate(zip_longest(found, rows), 1):
                    if cells is None or wanted is None or len(cells) != len(wanted):
                        raise Broken(
                            "workbook.xlsx", f"sheet {title}, row {line}", "it has more or fewer rows or cells than the tables"
                        )
                    for column, (cell, value) in enumerate(zip(cells, wanted), 1):
                        if not same_cell(cell, value):
                            raise Broken(
                                "workbook.xlsx", f"sheet {title}, row {line}, column {column}",
                                f"it shows {cell[1]!r}, the tables give {value[1]!r}",
                            )  # fmt: skip

    # -- what the money was for ----------------------------------------------------------------------------------------
    def _taken(self, place: tuple[str, int, str], transfer_id: str, debit: str, amount: int) -> None:
        """The transfer a business row points to, when it lies in the period, takes that amount from that account."""
        posted = self.posted.get(transfer_id)
        if posted is None:
            if self.opening_batch == 0:
                raise broken_row(*place, f"its transfer {transfer_id} is not in the books")
        elif posted[0] != debit or posted[2] != amount:
            raise broken_row(*place, f"its transfer {transfer_id} moves another amount, or from another account")

    def orders(self) -> None:
        """Paid = held + released + refunded of every order; nothing released before it was taught, confirmed and at the bank."""
        released: Any = defaultdict(int)
        refunded: Any = defaultdict(int)
        events = {
            (row["order_id"], row["class_hour_no"], row["event"]): row["event_on"]
            for _, row in self.pack.dicts("class_hour_event")
        }
        funded = {row["order_id"]: row["funded_on"] for _, row in self.pack.dicts("funding")}
        prepaid = {row["order_id"]: (line, row) for line, row in self.pack.dicts("prepayment")}
        hours = set()
        for line, row in self.pack.dicts("release"):
            order, hour, day = row["order_id"], row["class_hour_no"], row["released_on"]
            key = f"order_id={order}, class_hour_no={hour}"
            if (order, hour) in hours:
                raise broken_row("release", line, key, "this class-hour was released before")
            hours.add((order, hour))
            for event, what in (("taught", "taught"), (row["confirmation_event"], "confirmed")):
                if events.get((order, hour, event), "9999") > day:
                    raise broken_row("release", line, key, f"it was released on {day}, before it was {what}")
            withdrawn = (order, hour, "dispute_withdrawn") in events
            if events.get((order, hour, "disputed"), "9999") <= day and not withdrawn:
                raise broken_row("release", line, key, "it is disputed")
            if funded.get(order, "9999") > day:
                raise broken_row("release", line, key, f"it was released on {day}, before the bank had shown the money")
            amount = int(row["amount_minor_units"])
            released[order] += amount
            if row["transfer_id"]:
                self._taken(("release", line, key), row["transfer_id"], prepaid[order][1]["held_account_id"], amount)
            elif amount:
                raise broken_row("release", line, key, "an amount was released without a transfer")
        for line, row in self.pack.dicts("refund"):
            amount, key = int(row["amount_minor_units"]), f"refund_request_id={row['refund_request_id']}"
            if row["transfer_id"]:
                self._taken(("refund", line, key), row["transfer_id"], prepaid[row["order_id"]][1]["held_account_id"], amount)
            if row["transfer_id"] not in self.reversed:
                refunded[row["order_id"]] += amount
        for order, (line, row) in prepaid.items():
            item, account = row["receipt_item_id"], self.accounts.get(row["held_account_id"])
            if account is None:
                raise broken_row("prepayment", line, f"order_id={order}", "its account is not in the books")
            if self.opening_batch and item not in self.posted:
                continue  # begun before the period: its balance is proved, its beginning is in an earlier pack
            if item not in self.posted:
                raise broken_row("prepayment", line, f"order_id={order}", f"its receipt {item} is not in the books")
            paid = 0 if item in self.reversed else int(row["amount_minor_units"])
            held = -account.balance
            if paid != held + released[order] + refunded[order] or held < 0:
                raise broken_row(
                    "prepayment", line, f"order_id={order}",
                    f"paid {paid} is not held {held} + released {released[order]} + refunded {refunded[order]}",
                )  # fmt: skip
        self.summary.update(orders=len(prepaid), class_hours=len(hours))

    def _told(self, table: str) -> list[tuple[int, dict[str, Any]]]:
        """The rows of a table that packs of older books do not have."""
        return list(self.pack.dicts(table)) if table in self.about["tables"] else []

    def statements(self) -> None:
        """Opening balance plus lines is closing balance of every statement, and each begins where the one before ended."""
        sums: Any = defaultdict(lambda: [0, 0, 0])
        way, lines_of = {}, defaultdict(set)
        for line, row in self.pack.dicts("statement_line"):
            key = f"line_id={row['line_id']}"
            if row["line_id"] in self.bank_lines:
                raise broken_row("statement_line", line, key, "this line stands here twice")
            amount = int(row["amount_minor_units"])
            self.bank_lines[row["line_id"]] = amount
            way[row["line_id"]] = row["direction"]
            lines_of[row["statement_id"]].add(row["line_id"])
            if row["direction"] in ("IN", "OUT"):
                sums[row["statement_id"]][row["direction"] == "OUT"] += amount
                sums[row["statement_id"]][2] += 1
        for line, row in self._told("statement_line_kept"):
            if row["line_id"] not in way:
                raise broken_row("statement_line_kept", line, f"line_id={row['line_id']}", "no statement before it has this line")
            lines_of[row["statement_id"]].add(row["line_id"])
            sums[row["statement_id"]][way[row["line_id"]] == "OUT"] += self.bank_lines[row["line_id"]]
            sums[row["statement_id"]][2] += 1
        self._absorbed_lines(way, lines_of)
        newest: dict[str, str] = {}
        numbers: dict[str, int] = {}
        for line, row in sorted(self._told("statement_version"), key=lambda each: int(each[1]["version"])):
            key, first = f"statement_id={row['statement_id']}", row["first_statement_id"]
            if row["prepared_by"] == row["approved_by"]:
                raise broken_row("statement_version", line, key, f"{row['approved_by']} approved what they prepared")
            if newest.get(first, first) != row["replaces_statement_id"]:
                raise broken_row("statement_version", line, key, "it does not replace the version before it")
            numbers[first] = numbers.get(first, 1) + 1
            if int(row["version"]) != numbers[first]:
                raise broken_row("statement_version", line, key, f"version {numbers[first]} should stand here")
            newest[first] = row["statement_id"]
        self.bank = {}
        for line, row in self.pack.dicts("statement"):
            key = f"statement_id={row['statement_id']}"
            opening, closing = int(row["opening_minor_units"]), int(row["closing_minor_units"])
            came, went, count = sums.get(row["statement_id"], (0, 0, 0))
            if opening + int(row["in_minor_units"]) - int(row["out_minor_units"]) != closing:
                raise broken_row("statement", line, key, "opening balance plus lines is not its closing balance")
            if row["statement_id"] in sums and (came, went) != (int(row["in_minor_units"]), int(row["out_minor_units"])):
                raise broken_row("statement", line, key, f"its lines sum to {came} in and {went} out, it says otherwise")
            self.bank[row["statement_id"]] = (row["custody_account_id"], row["business_date"], opening, closing, count)
        for line, row in self._told("statement_version"):
            key, days = f"statement_id={row['statement_id']}", (row["custody_account_id"], row["business_date"])
            for each in (row["statement_id"], row["first_statement_id"]):
                if each not in self.bank:
                    raise broken_row("statement_version", line, key, f"{each} is not a statement of this account")
                if self.bank[each][:2] != days:
                    raise broken_row("statement_version", line, key, f"statement {each} is of another account or day")
        links: dict[str, int] = {}
        chain: dict[str, list[tuple[str, int, str, int, int]]] = {}
        counted = sorted(
            self.pack.dicts("statement_counted"), key=lambda each: (int(each[1]["custody_account_id"]), int(each[1]["link"]))
        )
        for line, row in counted:
            in_force = newest.get(row["statement_id"], row["statement_id"])
            account, day, opening, closing, _ = self.bank[in_force]
            self.in_force |= lines_of[in_force]
            key = f"statement_id={in_force}"
            if self.bank[row["statement_id"]][:2] != (account, day):
                raise broken_row("statement_counted", line, key, "the version in force is of another account or day")
            if in_force not in sums and opening != closing:
                raise broken_row("statement_counted", line, key, "the lines of this counted statement are missing")
            link = links.get(account, 0) + 1
            if int(row["link"]) != link:
                raise broken_row("statement_counted", line, key, f"statement {link} of the account should stand here")
            links[account] = link
            chain.setdefault(account, []).append((day, line, key, opening, closing))
            self.closing_of[account, day] = closing
        for placed in chain.values():
            last = None  # balances follow each other by day: a late statement for a skipped day was counted after a later one
            for _, line, key, opening, closing in sorted(placed):
                if last is not None and opening != last:
                    raise broken_row(
                        "statement_counted", line, key, f"it opens with {opening}, the one before closed with {last}"
                    )
                last = closing
        self.summary.update(statements=len(self.bank), bank_lines=len(self.bank_lines))

    def _absorbed_lines(self, way: dict[str, str], lines_of: dict[str, set[str]]) -> None:
        """What an export repeats was reported by another statement, and leads from its opening to where its new lines begin."""
        repeated: Any = defaultdict(lambda: [0, 0, 0])
        for line, row in self._told("statement_line_absorbed"):
            key = f"line_id={row['line_id']}"
            if row["line_id"] not in way or row["line_id"] in lines_of[row["statement_id"]]:
                raise broken_row("statement_line_absorbed", line, key, "no other statement has reported this line")
            told = repeated[row["statement_id"]]
            told[way[row["line_id"]] == "OUT"] += self.bank_lines[row["line_id"]]
            told[2] += 1
        begins = {row["statement_id"]: int(row["opening_minor_units"]) for _, row in self.pack.dicts("statement")}
        known = set()
        for line, row in self._told("statement_overlap"):
            key = f"statement_id={row['statement_id']}"
            known.add(row["statement_id"])
            came, went, count = repeated[row["statement_id"]]
            said = [int(row[f"absorbed_{name}"]) for name in ("in_minor_units", "out_minor_units", "count")]
            if [came, went, count] != said:
                raise broken_row("statement_overlap", line, key, f"its repeated lines are {count}, {came} in and {went} out")
            if int(row["declared_opening_minor_units"]) + came - went != begins.get(row["statement_id"]):
                raise broken_row("statement_overlap", line, key, "its repeated lines do not lead to where its new lines begin")
        for each in set(repeated) - known:
            raise Broken(
                "tables/statement_line_absorbed.csv", f"statement_id={each}", "no export says that it repeats these lines"
            )

    def matches(self) -> None:
        """A bank line and a book item are consumed at most once, with their own amounts."""
        matches = {row["match_id"] for _, row in self.pack.dicts("match")}
        undone = set()
        for line, row in self._told("match_undone"):
            if row["match_id"] not in matches or row["match_id"] in undone:
                raise broken_row("match_undone", line, f"match_id={row['match_id']}", "it is undone twice, or was never made")
            undone.add(row["match_id"])
        items = {row["item_id"]: int(row["amount_minor_units"]) for _, row in self.pack.dicts("open_item")}
        for table, column, known in (("match_bank_line", "line_id", self.bank_lines), ("match_book_item", "item_id", items)):
            consumed = set()
            for line, row in self.pack.dicts(table):
                key = f"{column}={row[column]}"
                if row[column] in consumed:
                    raise broken_row(table, line, key, "it is consumed a second time")
                consumed.add(row[column])
                if known.get(row[column]) != int(row["amount_minor_units"]) or row["match_id"] not in matches:
                    raise broken_row(table, line, key, "its match or its amount is not what the other tables say")
                if column == "line_id" and (row["line_id"] in self.in_force) == (row["match_id"] in undone):
                    what = "its match was undone, it is in force" if row["match_id"] in undone else "matched and not in force"
                    raise broken_row(table, line, key, what)
        cleared = set()
        for line, row in self.pack.dicts("open_item_clearing"):
            key = f"item_id={row['item_id']}"
            if row["item_id"] in cleared or row["item_id"] not in items:
                raise broken_row("open_item_clearing", line, key, "it is cleared twice, or was never open")
            cleared.add(row["item_id"])
            posted = self.posted.get(row["clearing_transfer_id"])
            if posted is not None and posted[2] != items[row["item_id"]]:
                raise broken_row("open_item_clearing", line, key, "it is cleared by another amount")
        self.summary["matches"] = len(matches)

    def approvals(self) -> None:
        """What one person prepared another approved."""
        decisions = 0
        for table, keys, deciding in (
            ("discrepancy_event", ("discrepancy_id",), ("approved", "rejected")),
            ("sign_off_event", ("custody_account_id", "business_date"), ("approved", "reopened")),
        ):
            prepared = {}
            for line, row in self.pack.dicts(table):
                about = tuple(row[key] for key in keys)
                key = f"{', '.join(about)}, event_no={row['event_no']}"
                prepared[(*about, row["event_no"])] = row["actor"]
                if row["event"] in deciding and row["prepared_event_no"]:
                    decisions += 1
                    if prepared.get((*about, row["prepared_event_no"])) != row["prepared_by"]:
                        raise broken_row(table, line, key, f"{row['prepared_by']} did not prepare it")
                    if row["actor"] == row["prepared_by"] and row["event"] != "rejected":
                        raise broken_row(table, line, key, f"{row['actor']} approved what {row['actor']} prepared")
        for line, row in self.pack.dicts("period_event") if "period_event" in self.about["tables"] else ():
            decisions += row["prepared_by"] is not None
            if row["prepared_by"] == row["actor"]:
                raise broken_row("period_event", line, f"month={row['month']}", f"{row['actor']} approved what they prepared")
        for line, row in self.pack.dicts("hold_lift"):
            decisions += 1
            if row["prepared_by"] == row["approved_by"]:
                raise broken_row(
                    "hold_lift", line, f"hold_id={row['hold_id']}", f"{row['approved_by']} approved what they prepared"
                )
        self.summary["decisions"] = decisions

    def signed_days(self) -> None:
        """On every signed-off day the bank's closing balance is the books' cash plus the lines that are named as open.

        Days on which bank and receipts on their way are less than what is owed are told, not refused: a shortfall is a fact.
        """
        runs = {row["run_id"]: row for _, row in self.pack.dicts("reconciliation_run")}
        newest = {}
        for line, row in self.pack.dicts("sign_off_event"):
            if row["event"] in ("approved", "reopened"):
                newest[row["custody_account_id"], row["business_date"]] = (line, row)
        days, short = 0, []
        for (account, day), (line, row) in sorted(newest.items()):
            if row["event"] != "approved":
                continue
            run, key = runs.get(row["run_id"]), f"{account}, {day}"
            if run is None or run["business_date"] != day or run["custody_account_id"] != account:
                raise broken_row("sign_off_event", line, key, "the run it accepts is not one of that day")
            if run["closing_minor_units"] is None:
                continue
            bank, cash, opened = (
                int(run[name]) for name in ("closing_minor_units", "ledger_cash_minor_units", "open_lines_minor_units")
            )
            if bank != cash + opened:
                raise broken_row(
                    "reconciliation_run",
                    line,
                    f"run_id={row['run_id']}",
                    f"the bank has {bank}, books and open lines {cash + opened}",
                )
            if self.closing_of.get((account, day), bank) != bank:
                raise broken_row(
                    "reconciliation_run",
                    line,
                    f"run_id={row['run_id']}",
                    "it compared with another closing balance than the statement's",
                )
            days += 1
            if bank < -self._uncovered(int(account), day):
                short.append(f"{day} ({account})")
        self.summary.update(signed_days=days, short_days=short)

    def _uncovered(self, custody: int, day: str) -> int:
        """Receipts on their way less what is owed, by what is booked through a day; debits minus credits."""
        opening = sum(one.opening for one in self.accounts.values() if one.custody == custody and one.kind in COVER_KINDS)
        return opening + sum(amount for (account, booked), amount in self.moved.items() if account == custody and booked <= day)

    def policies(self) -> None:
        """The rules in the pack are those the closing checkpoint names."""
        digest = hashlib.sha256()
        for name in sorted(name for name in self.about["members"] if name.startswith("policies/")):
            digest.update(name.partition("/")[2].encode() + b"\0" + self.pack.whole(name) + b"\0")
        self.summary["policies"] = f"policies-{digest.hexdigest()[:16]}"
        if self.about["policies_are_those_signed"] != (self.summary["policies"] in self.closing.rules.split(" ")):
            raise Broken(
                "policies", "", f"they are {self.summary['policies']}, the closing checkpoint was made under {self.closing.rules}"
            )


# -- the books in plain text and in a workbook: written by the packing program with these same functions -------------------
MOVE_COLUMNS = (
    "booking_date", "transfer_id", "reason", "source_kind", "source_ref", "debit_account_id", "credit_account_id",
    "amount_minor_units", "currency",
)  # fmt: skip
_NOT_IN_A_LINE = re.compile(r"[;|\s\x00-\x1f\x7f\x85\u2028\u2029]+")


class Book:
    """An account as the journals show it; balances are debits minus credits in minor units."""

    def __init__(self, name: str, currency: str, opened_on: str, opening: int, closing: int) -> None:
        self.name, self.currency, self.opened_on, self.opening, self.closing = name, currency, opened_on, opening, closing


def move_of(cells: Any, name_of: Callable[[str], str]) -> Move:
    day, ident, reason, kind, ref, debit, credit, amount, currency = cells
    text = _NOT_IN_A_LINE.sub(" ", f"{reason} {kind} {ref}").strip()
    return day, ident, text, name_of(debit), name_of(credit), int(amount), currency


def decimal_text(minor_units: int, exponent: int) -> str:
    digits = str(abs(minor_units)).rjust(exponent + 1, "0")
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits


def _opening_day(books: list[Book]) -> str:
    return max((book.opened_on for book in books if book.opening), default="")


def hledger_lines(books: list[Book], moves: Callable[[], Iterable[Move]], exponents: dict[str, int]) -> Iterator[str]:
    """The lines of books.journal; ``moves`` is called for the transfers in their order."""
    for currency in sorted({book.currency for book in books}):
        yield f"commodity 1000.{'0' * exponents[currency]} {currency}\n"
    yield "decimal-mark .\n"
    yield "\n"
    for book in books:
        yield f"account {book.name}\n"
    last = _opening_day(books)
    if last:
        yield "\n"
        yield f"{last} * opening balances\n"
        for book in books:
            if book.opening:
                yield f"    {book.name}  {decimal_text(book.opening, exponents[book.currency])} {book.currency}\n"
    for day, ident, text, debit, credit, amount, currency in moves():
        shown = decimal_text(amount, exponents[currency])
        yield "\n"
        yield f"{day} * ({ident}) {text}\n"
        yield f"    {debit}  {shown} {currency}\n"
        yield f"    {credit}  -{shown} {currency}\n"
        last = max(last or day, day)
    if last:
        yield "\n"
        yield f"{last} * balances\n"
        for book in books:
            zero, closing = (decimal_text(units, exponents[book.currency]) for units in (0, book.closing))
            yield f"    {book.name}  {zero} {book.currency} = {closing} {book.currency}\n"


def beancount_lines(books: list[Book], moves: Callable[[], Iterable[Move]], exponents: dict[str, int]) -> Iterator[str]:
    """The lines of books.beancount."""
    yield 'option "title" "Prepaid escrow books"\n'
    for currency in sorted({book.currency for book in books}):
        yield f'option "operating_currency" "{currency}"\n'
    yield "\n"
    for book in books:
        yield f"{book.opened_on} open {book.name} {book.currency}\n"
    last = _opening_day(books)
    if last:
        yield "\n"
        yield f'{last} * "opening balances"\n'
        for book in books:
            if book.opening:
                yield f"  {book.name}  {decimal_text(book.opening, exponents[book.currency])} {book.currency}\n"
    for day, ident, text, debit, credit, amount, currency in moves():
        shown = decimal_text(amount, exponents[currency])
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        yield "\n"
        yield f'{day} * "{quoted}"\n'
        yield f'  transfer: "{ident}"\n'
        yield f"  {debit}  {shown} {currency}\n"
        yield f"  {credit}  -{shown} {currency}\n"
        last = max(last or day, day)
    if last:
        yield "\n"
        after = date.fromisoformat(last) + timedelta(days=1)
        for book in books:
            yield f"{after} balance {book.name}  {decimal_text(book.closing, exponents[book.currency])} ~ 0 {book.currency}\n"


#: A workbook holds the transfers themselves up to this number; more are in tables/transfer.csv only.
MOST_ROWS_IN_WORKBOOK = 100_000
_LARGEST_EXACT = 10**15  # beyond fifteen digits a spreadsheet's number is not exact: such an amount is text


def _amount_cell(minor_units: int, exponent: int) -> SheetCell:
    return ("number" if abs(minor_units) < _LARGEST_EXACT else "text", decimal_text(minor_units, exponent))


def workbook_sheets(replay: Replay) -> list[tuple[str, Iterator[list[SheetCell]]]]:
    """The sheets of workbook.xlsx: (title, rows of (type, value)); types are text, number, date and empty."""
    exponents = replay.about["exponents"]

    def texts(*values: str) -> list[SheetCell]:
        return [("text", value) for value in values]

    def accounts() -> Iterator[list[SheetCell]]:
        yield texts("account", "currency", "opening", "closing")
        for book in replay.books():
            exponent = exponents[book.currency]
            yield [*texts(book.name, book.currency), _amount_cell(book.opening, exponent), _amount_cell(book.closing, exponent)]

    def transfers() -> Iterator[list[SheetCell]]:
        yield texts("booking date", "transfer", "what", "debit", "credit", "amount", "currency")
        if replay.about["tables"]["transfer"]["rows"] <= MOST_ROWS_IN_WORKBOOK:
            for day, ident, text, debit, credit, amount, currency in replay.moves():
                yield [
                    ("date", day),
                    *texts(ident, text, debit, credit),
                    _amount_cell(amount, exponents[currency]),
                    ("text", currency),
                ]

    def statements() -> Iterator[list[SheetCell]]:
        yield texts("business date", "custody account", "statement", "opening", "in", "out", "closing", "currency")
        for _, row in replay.pack.dicts("statement"):
            amounts = [
                _amount_cell(int(row[f"{name}_minor_units"]), exponents[row["currency"]])
                for name in ("opening", "in", "out", "closing")
            ]
            yield [
                ("date", row["business_date"]), *texts(row["custody_account_id"], row["statement_id"]), *amounts,
                ("text", row["currency"]),
            ]  # fmt: skip

    return [("accounts", accounts()), ("transfers", transfers()), ("statements", statements())]


def sheet_rows(book: zipfile.ZipFile, name: str) -> Iterator[list[SheetCell]]:
    """The rows of a worksheet as (type, text) cells; strings stand in the cells themselves."""
    from xml.etree import ElementTree as ET

    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with book.open(name) as stream:
        for _, row in ET.iterparse(stream):  # noqa: S314  its bytes are sealed; entities stay unexpanded for want of a DTD
            if row.tag != f"{space}row":
                continue
            cells = []
            for cell in row:
                if cell.get("t") == "inlineStr":
                    cells.append(("text", "".join(part.text or "" for part in cell.iter(f"{space}t"))))
                else:
                    value = cell.find(f"{space}v")
                    cells.append(("number", (value.text if value is not None else "") or ""))
            yield cells
            row.clear()


def same_cell(cell: SheetCell, value: SheetCell) -> bool:
    kind, text = value
    if kind == "date":
        kind, text = "number", str((date.fromisoformat(text) - date(1899, 12, 30)).days)
    if cell[0] != kind:
        return False
    return Decimal(cell[1]) == Decimal(text) if kind == "number" else cell[1] == text


# -- single proofs ---------------------------------------------------------------------------------------------------------
BALANCE_PROOF = "prepaid-escrow balance proof v1"
TRANSFER_PROOF = "prepaid-escrow transfer proof v1"
CONSISTENCY_PROOF = "prepaid-escrow consistency proof v1"
ARCHIVE = "prepaid-escrow journal archive v1"
_LARGEST_LINE = 50_000_000


def canonical_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def proof_keys(proof: Any, trusted: list[Key]) -> list[Key]:
    """The keys to believe: those given, and cosigners of the proof itself, who add nothing but must have signed rightly."""
    own = [Key(line) for line in proof["keys"]]
    return trusted + [key for key in own if key.kind == 4 or not trusted]


def check_proof(content: str, trusted: list[Key]) -> dict[str, Any]:
    """What a balance, transfer or consistency proof proves, in words."""
    try:
        proof = json.loads(content)
        if canonical_json(proof) != content:
            raise Broken("proof", "", "it is not written in its one canonical form")
        check = {BALANCE_PROOF: check_balance, TRANSFER_PROOF: check_transfer, CONSISTENCY_PROOF: check_two}[proof["format"]]
        return check(proof, proof_keys(proof, trusted))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        raise Broken("proof", "", f"it is damaged: {error}") from None


def check_entry(proof: Any, keys: list[Key]) -> tuple[Checkpoint, Entry]:
    """The signed checkpoint, and the entry that is proved to be in its log."""
    point, entry = Checkpoint(proof["checkpoint"], keys, "checkpoint"), Entry(proof["entry"]["body"], "entry", "")
    root = root_from_inclusion(
        entry_leaf(proof["entry"]["body"]), proof["entry"]["entry_no"], point.size, hashes(proof["entry"]["path"])
    )
    if root != point.root:
        raise Broken("entry", "", "it is not in the log the checkpoint signs")
    return point, entry


def check_balance(proof: Any, keys: list[Key]) -> dict[str, Any]:
    point, entry = check_entry(proof, keys)
    if entry.account is None:
        raise Broken("entry", "", "it states no liabilities")
    node = liability_leaf(proof["nonce"], proof["kind"], proof["subject"], proof["amount_minor_units"])
    if not re.fullmatch(r"[0-9a-f]{32}", proof["nonce"]):
        raise ValueError("the nonce is not 32 hexadecimal digits")
    index, size, siblings = proof["index"], entry.count, list(proof["siblings"])
    if not 0 <= index < size:
        raise Broken("proof", "", "its place lies outside the tree")
    while size > 1:
        if index ^ 1 < size:
            digest, total = siblings.pop(0)
            sibling = hashes([digest])[0], total
            node = sum_node(sibling, node) if index & 1 else sum_node(node, sibling)
        index, size = index >> 1, (size + 1) >> 1
    if siblings or node != (entry.root, entry.total) or proof["currency"] != entry.currency:
        raise Broken("proof", "", "the balance is not in the total that was signed")
    return {
        "business_date": point.day, "kind": proof["kind"], "subject": proof["subject"],
        "amount_minor_units": proof["amount_minor_units"], "currency": entry.currency,
        "total_minor_units": entry.total, "liabilities": entry.count,
        "cosigners": [key.name for key in point.cosigners], "log": point.origin,
    }  # fmt: skip


def transfer_leaf(institution: int, batch: int, row: Any) -> bytes:
    """Leaf v1 of a transfer as proofs and archives tell it."""
    text = "|".join(
        str(part)
        for part in (
            "\0v1", institution, row["transfer_id"], batch, row["line"], row["debit_account_id"],
            row["credit_account_id"], row["amount_minor_units"], row["currency"], row["booking_day"], sized(row["reason"]),
            sized(row["source_kind"]), sized(row["source_ref"]), row["reverses"] or "-", row["debit_seq"],
            row["debit_balance_minor_units"], row["credit_seq"], row["credit_balance_minor_units"],
        )
    )  # fmt: skip
    return hashlib.sha256(text.encode()).digest()


def check_transfer(proof: Any, keys: list[Key]) -> dict[str, Any]:
    point, entry = check_entry(proof, keys)
    header, row = proof["batch"], proof["transfer"]
    if entry.account is not None or entry.institution != row["institution_id"] or header["batch_id"] != row["batch_id"]:
        raise Broken("entry", "", "it is not about this institution's log")
    leaf = transfer_leaf(row["institution_id"], row["batch_id"], row)
    root = root_from_inclusion(leaf, row["line"] - 1, header["transfer_count"], hashes(proof["batch_path"]))
    text = (
        f"batch v1|{row['institution_id']}|{header['batch_id']}|{header['transfer_count']}|{header['total_minor_units']}"
        f"|{root.hex()}|{header['row_digest']}"
    )
    log = root_from_inclusion(sha256(b"\0" + text.encode()), header["batch_id"] - 1, entry.log_size, hashes(proof["log_path"]))
    if log != entry.log_root:
        raise Broken("proof", "", "the transfer is not in the institution's log that was signed")
    return {
        "business_date": point.day, "transfer_id": row["transfer_id"], "amount_minor_units": row["amount_minor_units"],
        "currency": row["currency"], "batch": row["batch_id"], "cosigners": [key.name for key in point.cosigners],
        "log": point.origin,
    }  # fmt: skip


def archive_line(content: dict[str, Any]) -> bytes:
    """A line of an archive in its one canonical form."""
    return (json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n").encode()


class Archive:
    """A month of the journal, read line by line: every transfer of it is proved to be under the signed checkpoint."""

    def __init__(self, stream: IO[bytes], trusted: list[Key]) -> None:
        self.stream, self.number = stream, 0
        self.digest, self.leaves = hashlib.sha256(), hashlib.sha256()
        head = self.line()
        self.month, self.note = head["month"], head["checkpoint"]
        self.keys = proof_keys(head, trusted)
        self.point = Checkpoint(self.note, self.keys, "checkpoint")
        first = date(int(self.month[:4]), int(self.month[5:]), 1)
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        self.days = range((first - date(2000, 1, 1)).days, (after - date(2000, 1, 1)).days)
        self.count = 0

    def line(self) -> Any:
        raw = self.stream.readline(_LARGEST_LINE)
        self.number += 1
        content = json.loads(raw)
        if archive_line(content) != raw:
            raise Broken("archive", f"line {self.number}", "it is not written in its one canonical form")
        if "sha256" not in content:
            self.digest.update(raw)
        return content

    def run(self) -> dict[str, Any]:
        content = self.line()
        entry, before = None, (0, 0)
        while "transfers" not in content:
            if "entry" in content:
                _, entry = check_entry({"checkpoint": self.note, "entry": content["entry"]}, self.keys)
                content = self.line()
                continue
            if entry is None or entry.account is not None or "batch" not in content:
                raise Broken(
                    "archive", f"line {self.number}", "a batch follows its institution's entry, and transfers their batch"
                )
            place = (entry.institution, content["batch"]["batch_id"])
            if place <= before:
                raise Broken("archive", f"line {self.number}", "institutions and batches are not in their order, or come twice")
            before, content = place, self.batch(entry, content)
        if (content["transfers"], content["leaves"]) != (self.count, self.leaves.hexdigest()):
            raise Broken("archive", f"line {self.number}", "it counts or digests other transfers than there are")
        if self.line() != {"sha256": self.digest.hexdigest()} or self.stream.read(1):
            raise Broken("archive", f"line {self.number}", "the digest of the lines before is another, or more follows")
        return {
            "month": self.month, "business_date": self.point.day, "transfers": self.count, "leaves": self.leaves.hexdigest(),
            "cosigners": [key.name for key in self.point.cosigners], "log": self.point.origin,
        }  # fmt: skip

    def batch(self, entry: Entry, told: Any) -> Any:
        """Check one batch with its transfers; the line that follows them."""
        header, at = told["batch"], self.number
        size = header["transfer_count"]
        found = {int(line): hashes([leaf])[0] for line, leaf in told["others"].items()}
        content, last_line = self.line(), 0
        while "transfer" in content:
            row = content["transfer"]
            if row["booking_day"] not in self.days or row["line"] <= last_line or row["line"] in found:
                raise Broken("archive", f"line {self.number}", "it is booked in another month, or out of order in its batch")
            last_line = row["line"]
            found[last_line] = transfer_leaf(entry.institution, header["batch_id"], row)
            self.leaves.update(found[last_line])
            self.count += 1
            content = self.line()
        if sorted(found) != list(range(1, size + 1)):
            raise Broken("archive", f"line {at}", f"its batch has not the lines 1 to {size}")
        tree = Tree()
        for line in range(1, size + 1):
            tree.append(found[line])
        text = (
            f"batch v1|{entry.institution}|{header['batch_id']}|{size}|{header['total_minor_units']}|{tree.root().hex()}"
            f"|{header['row_digest']}"
        )
        path = hashes(told["path"])
        if root_from_inclusion(sha256(b"\0" + text.encode()), header["batch_id"] - 1, entry.log_size, path) != entry.log_root:
            raise Broken("archive", f"line {at}", "a transfer of its batch, or its header, is not in the log that was signed")
        return content


def check_archive(stream: IO[bytes], trusted: list[Key]) -> dict[str, Any]:
    """What an archive of a month proves, in words."""
    try:
        return Archive(stream, trusted).run()
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError, RecursionError) as error:
        raise Broken("archive", "", f"it is damaged: {error}") from None


def check_two(proof: Any, keys: list[Key]) -> dict[str, Any]:
    first, second = (Checkpoint(proof[which], keys, which) for which in ("first", "second"))
    if first.origin != second.origin or not consistent(first.size, second.size, first.root, second.root, hashes(proof["path"])):
        raise Broken("proof", "", "the later checkpoint's log does not begin with the earlier one's")
    return {
        "log": first.origin, "from": first.day, "to": second.day, "entries": second.size,
        "cosigners": sorted({key.name for key in [*first.cosigners, *second.cosigners]}),
    }  # fmt: skip


# -- the program -----------------------------------------------------------------------------------------------------------
WORDS = {
    "checkpoints": ("signed checkpoints", "签名检查点"),
    "transfers": ("transfers replayed", "重放分录"),
    "accounts": ("accounts", "账户"),
    "openings": ("balances brought forward, proved", "已证明的期初余额"),
    "audit_events": ("events of the audit log", "审计日志事件"),
    "audit_left_out": (
        "events of the audit log left out (about others; digests only)",
        "未收入的审计日志事件（涉及他方，仅列摘要）",
    ),
    "rows": ("rows of evidence", "证据行"),
    "masked": ("of them masked (digest only)", "其中脱敏（仅校验摘要）"),
    "orders": ("orders", "订单"),
    "class_hours": ("class-hours released", "已拨付课时"),
    "statements": ("bank statements", "银行对账单"),
    "bank_lines": ("bank lines", "银行流水"),
    "matches": ("matches", "勾对"),
    "decisions": ("decisions by two people", "双人复核"),
    "signed_days": ("days signed off", "已复核日"),
    "short_days": ("signed-off days short of cover", "复核日资金缺口"),
    "owed": ("owed by the custody account, minor units", "托管账户负债（分）"),
    "outside": ("signed tables not in this pack", "未收入本包的表"),
    "cosigners": ("counter-signed by", "会签方"),
    "policies": ("rules", "规则"),
    "business_date": ("business day", "业务日"),
    "month": ("month", "月份"),
    "leaves": ("digest of the leaves", "叶哈希摘要"),
    "kind": ("kind", "类别"),
    "subject": ("order", "订单"),
    "amount_minor_units": ("amount, minor units", "金额（分）"),
    "currency": ("currency", "币种"),
    "total_minor_units": ("part of the total, minor units", "所在总额（分）"),
    "liabilities": ("balances in that total", "总额内余额数"),
    "log": ("log", "日志"),
    "transfer_id": ("transfer", "分录"),
    "batch": ("batch", "批次"),
    "from": ("from", "起"),
    "to": ("to", "止"),
    "entries": ("entries", "条目"),
}


def tell_progress(what: str) -> None:
    """One line on a terminal, written over by the next; an empty one clears it."""
    sys.stderr.write(f"\r{what[:78]:<78}" if what else f"\r{'':<78}\r")
    sys.stderr.flush()


def verify_file(path: str, trusted: list[Key], told: Callable[[str], None] | None = None) -> dict[str, Any]:
    """What the file proves. Raises Broken naming the first fact that does not hold. ``told`` hears what is being checked."""
    with open(path, "rb") as stream:
        start = stream.read(2)
        if start == b'{"':  # one object a line; a proof has each part on its own
            stream.seek(0)
            return check_archive(stream, trusted)
        if start[:1] == b"{":
            try:
                return check_proof((start + stream.read(50_000_000)).decode(), trusted)
            except UnicodeDecodeError:
                raise Broken("proof", "", "it is not text") from None
    try:
        pack = Pack(path, trusted, told)
        try:
            return Replay(pack).run()
        finally:
            pack.close()
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, csv.Error, zipfile.BadZipFile, RecursionError) as error:
        raise Broken("pack", "", f"its content is not formed as it must be: {type(error).__name__}: {error}") from None


def read_keys(values: list[str]) -> list[Key]:
    keys = []
    for value in values:
        try:
            with open(value, encoding="utf-8") as stream:
                keys += [Key(line) for line in stream if line.strip()]
        except OSError:
            keys.append(Key(value))
    return keys


def main(arguments: list[str] | None = None) -> int:
    if sys.version_info < OLDEST_PYTHON:
        print("This needs Python 3.9 or newer; nothing was checked. 需要 Python 3.9 或更新版本，未作核验。", file=sys.stderr)
        return 2
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    csv.field_size_limit(1 << 30)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own = sys.argv[0] if sys.argv and zipfile.is_zipfile(sys.argv[0]) else None
    parser.add_argument("file", nargs="?" if own else None, default=own, help="evidence pack (.zip) or proof (.json)")
    parser.add_argument("--key", action="append", default=[], metavar="KEY", help="a public key you trust, or a file with some")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--lang", choices=("zh", "en"), help="language of the summary (default: both)")
    told = parser.parse_args(arguments)
    try:
        trusted = read_keys(told.key)
        hears = tell_progress if sys.stderr.isatty() else None
        try:
            summary = verify_file(told.file, trusted, hears)
        finally:
            if hears:
                hears("")
    except OSError as error:
        print(f"error: {told.file}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Broken as broken:
        if told.json:
            print(
                json.dumps({"verified": False, "file": broken.file, "row": broken.row, "what": broken.what}, ensure_ascii=False)
            )
        print(f"BROKEN 不成立: {broken}", file=sys.stderr)
        print("Rely on nothing in this file: keep it as it is and ask its maker for it again.", file=sys.stderr)
        print("请勿采信此文件：原样保存，并请出具方重新提供。", file=sys.stderr)
        return 3
    if told.json:
        print(json.dumps({"verified": True, "keys_given": bool(trusted), **summary}, ensure_ascii=False))
        return 0
    for name, value in summary.items():
        english, chinese = WORDS.get(name, (name, name))
        shown = ", ".join(value) or "-" if isinstance(value, list) else f"{value:,}" if isinstance(value, int) else value
        print(f"  {chinese if told.lang == 'zh' else english if told.lang == 'en' else f'{english} {chinese}'}: {shown}")
    print("VERIFIED: every fact above was derived again and holds. 核验通过：以上事实均已重新推导且成立。")
    if not trusted:
        print(
            "WARNING: the public keys come from this file itself, so it only proves that it agrees with itself. Get the log's\n"
            "key from the authority and run again with --key.\n"
            "警告：公钥取自本文件，仅证明其自洽；请向主管部门索取公钥，并以 --key 重新核验。",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
