"""Taking and reading checkpoints, and storing the counter-signatures others give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from ledger.checkpoint import CheckpointText, InstitutionEntry, LiabilitiesEntry, TableRows, batch_leaf, entry_leaf
from ledger.evidence_keys import CheckpointRefused, RecordedKey, recorded_keys, take_turn
from ledger.liabilities import liabilities, liability_leaves
from ledger.recorded_rows import rows_recorded_between
from ledger.signed_note import COSIGNATURE, ED25519, Note, PrivateKey, PublicKey, Signature, check_signature, parse_note
from ledger.sum_tree import sum_root
from ledger.tree import Frontier


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as stored: its note with the log's signature, and the counter-signatures received so far."""

    checkpoint_no: int
    business_date: date
    first_entry: int
    tree_size: int
    root: bytes
    frontier: bytes
    seal_seq: int
    cut: datetime
    note: Note
    cosignatures: tuple[Signature, ...]

    @property
    def whole_note(self) -> Note:
        """The note with all signatures, as others should get it."""
        return Note(self.note.text, (*self.note.signatures, *self.cosignatures))


_CHECKPOINTS = """
    SELECT c.checkpoint_no, c.business_date, c.first_entry, c.tree_size, c.root, c.frontier, c.seal_seq, s.cut, c.note
    FROM checkpoint c JOIN evidence_seal s ON s.seq = c.seal_seq
"""


def checkpoints(conn: Connection, *, through: date | None = None, after_no: int = 0) -> list[StoredCheckpoint]:
    """Checkpoints in their order; those of business days through a day, or after a number, when given."""
    rows = conn.execute(
        text(
            f"{_CHECKPOINTS} WHERE c.checkpoint_no > :after AND c.business_date <= coalesce(CAST(:through AS date), 'infinity')"
            " ORDER BY c.checkpoint_no"
        ),
        {"after": after_no, "through": through},
    ).all()
    return _with_cosignatures(conn, rows)


def last_checkpoint(conn: Connection, *, through: date | None = None) -> StoredCheckpoint | None:
    """The newest checkpoint; the newest of business days through a day when given."""
    rows = conn.execute(
        text(
            f"{_CHECKPOINTS} WHERE c.business_date <= coalesce(CAST(:through AS date), 'infinity')"
            " ORDER BY c.checkpoint_no DESC LIMIT 1"
        ),
        {"through": through},
    ).all()
    return next(iter(_with_cosignatures(conn, rows)), None)


def checkpoint_by_no(conn: Connection, checkpoint_no: int) -> StoredCheckpoint:
    """One checkpoint. Raises CheckpointRefused when there is none of that number."""
    rows = conn.execute(text(f"{_CHECKPOINTS} WHERE c.checkpoint_no = :no"), {"no": checkpoint_no}).all()
    if not rows:
        raise CheckpointRefused(f"there is no checkpoint {checkpoint_no}; see: escrow evidence checkpoint list")
    return _with_cosignatures(conn, rows)[0]


def _with_cosignatures(conn: Connection, rows: Iterable[Any]) -> list[StoredCheckpoint]:
    found = list(rows)
    given: dict[int, list[Signature]] = defaultdict(list)
    for row in conn.execute(
        text("""
            SELECT checkpoint_no, key_name, key_id, signature FROM checkpoint_cosignature
            WHERE checkpoint_no = ANY(:numbers) ORDER BY checkpoint_no, recorded_at, key_name
        """),
        {"numbers": [row.checkpoint_no for row in found]},
    ):
        given[row.checkpoint_no].append(Signature(row.key_name, bytes(row.key_id), bytes(row.signature)))
    return [
        StoredCheckpoint(
            row.checkpoint_no, row.business_date, row.first_entry, row.tree_size, bytes(row.root), bytes(row.frontier),
            row.seal_seq, row.cut, parse_note(row.note), tuple(given[row.checkpoint_no]),
        )
        for row in found
    ]  # fmt: skip


def entry_leaves(conn: Connection, tree_size: int) -> list[bytes]:
    """The leaves of the checkpoint log up to a size."""
    rows = conn.execute(text("SELECT body FROM checkpoint_entry WHERE entry_no < :size ORDER BY entry_no"), {"size": tree_size})
    return [entry_leaf(body) for body in rows.scalars()]


def batch_leaves(conn: Connection, institution_id: int, *, after: int = 0, through: int) -> Iterator[bytes]:
    """The leaves of an institution's log: its batches after one and through another."""
    rows = conn.execute(
        text("""
            SELECT institution_id, batch_id, transfer_count, total_minor_units, root, row_digest FROM posting_batch
            WHERE institution_id = :institution AND batch_id > :after AND batch_id <= :through ORDER BY batch_id
        """).execution_options(stream_results=True, max_row_buffer=10_000),
        {"institution": institution_id, "after": after, "through": through},
    )
    for institution, batch_id, count, total, root, digest in rows:
        yield batch_leaf(institution, batch_id, count, total, bytes(root), bytes(digest))


def take_checkpoint(
    conn: Connection, business_date: date, *, key: PrivateKey, secret: bytes, rules_version: str, now: datetime, actor: str
) -> StoredCheckpoint | None:
    """Append every institution's state to the checkpoint log as of the newest seal, and sign the log.

    None when nothing was sealed since the last checkpoint, or a later day has its checkpoint already.
    Raises CheckpointRefused: no seal, a key that is unknown or not valid on that day, a stored log that is not what was signed.
    """
    take_turn(conn)
    seal = conn.execute(text("SELECT seq, cut, digest FROM evidence_seal ORDER BY seq DESC LIMIT 1")).one_or_none()
    if seal is None:
        raise CheckpointRefused(f"nothing is sealed yet; run: escrow job run seal --as-of {business_date}")
    last = last_checkpoint(conn)
    if last is not None and (last.seal_seq >= seal.seq or last.business_date > business_date):
        return None
    _check_key(conn, key.public_key, business_date)
    log = _log_to_grow(conn, last)
    number, first_entry = (1, 0) if last is None else (last.checkpoint_no + 1, last.tree_size)
    rows = rows_recorded_between(conn, last.cut if last else None, seal.cut)
    entries: list[dict[str, Any]] = []
    for institution_id in _institutions(conn, seal.cut):
        for body, custody, size, frontier in _entries(conn, institution_id, rows.get(institution_id, {}), seal.cut, secret):
            log.append(entry_leaf(body))
            entries.append(
                {
                    "entry_no": first_entry + len(entries), "checkpoint_no": number, "institution_id": institution_id,
                    "custody_account_id": custody, "log_size": size, "body": body, "frontier": frontier,
                }
            )  # fmt: skip
    said = CheckpointText(key.name, log.size, log.root(), business_date, seal.seq, bytes(seal.digest), rules_version)
    note = Note(str(said), (key.sign(str(said)),))
    conn.execute(
        text("""
            INSERT INTO checkpoint (checkpoint_no, previous_no, first_entry, tree_size, business_date, seal_seq, root, frontier,
                key_name, key_id, note, actor, made_at)
            VALUES (:no, :previous, :first, :size, :day, :seal, :root, :frontier, :name, :id, :note, :actor, :now)
        """),
        {
            "no": number, "previous": number - 1 or None, "first": first_entry, "size": log.size, "day": business_date,
            "seal": seal.seq, "root": said.root, "frontier": log.to_bytes(), "name": key.name, "id": key.public_key.key_id,
            "note": str(note), "actor": actor, "now": now,
        },
    )  # fmt: skip
    if entries:
        conn.execute(
            text("""
                INSERT INTO checkpoint_entry (
                    entry_no, checkpoint_no, institution_id, custody_account_id, log_size, body, frontier)
                VALUES (:entry_no, :checkpoint_no, :institution_id, :custody_account_id, :log_size, :body, :frontier)
            """),
            entries,
        )
    return checkpoint_by_no(conn, number)


def add_cosignature(conn: Connection, checkpoint_no: int, signature: Signature, *, actor: str) -> RecordedKey:
    """Store a counter-signature under a checkpoint; whose it is. The same one again changes nothing.

    Raises CheckpointRefused: an unknown key, one that is the log's own, or another signature by that key.
    Raises NoteRefused when the signature is wrong.
    """
    take_turn(conn)
    stored = checkpoint_by_no(conn, checkpoint_no)
    by = next((one for one in recorded_keys(conn) if signature.is_by(one.key)), None)
    if by is None or by.key.kind != COSIGNATURE:
        raise CheckpointRefused(
            f"no counter-signing key {signature.name} ({signature.key_id.hex()}) is recorded; first: escrow evidence key-add KEY"
        )
    if not by.valid_on(stored.business_date):
        raise CheckpointRefused(f"the key of {by.party} does not sign for {stored.business_date}; see: escrow evidence keys")
    check_signature(stored.note.text, signature, by.key)
    for earlier in stored.cosignatures:
        if earlier.is_by(by.key):
            return by
    conn.execute(
        text("""
            INSERT INTO checkpoint_cosignature (checkpoint_no, key_name, key_id, signature, actor)
            VALUES (:no, :name, :id, :signature, :actor)
        """),
        {"no": checkpoint_no, "name": by.key.name, "id": by.key.key_id, "signature": signature.content, "actor": actor},
    )
    return by


def _check_key(conn: Connection, key: PublicKey, day: date) -> None:
    known = next((one for one in recorded_keys(conn) if one.key == key), None)
    if known is None:
        raise CheckpointRefused(
            f"the key {key.name} ({key.key_id.hex()}) is not recorded in these books; set ESCROW_KEYS to the folder of "
            "their key, or replace it: escrow evidence keygen --rotate"
        )
    if not known.valid_on(day):
        raise CheckpointRefused(f"the key {key.name} ({key.key_id.hex()}) does not sign for {day}; see: escrow evidence keys")


def _log_to_grow(conn: Connection, last: StoredCheckpoint | None) -> Frontier:
    """The checkpoint log as it was signed last. A log that was changed since is not signed again."""
    if last is None:
        return Frontier()
    keys = {one.key.key_id: one.key for one in recorded_keys(conn) if one.key.kind == ED25519}
    own = last.note.signatures[0]
    log = Frontier.from_bytes(last.tree_size, last.frontier)
    if own.key_id not in keys or log.root() != last.root:
        raise CheckpointRefused(
            f"checkpoint {last.checkpoint_no} was changed after it was signed, so nothing is signed on top of it; run: "
            "escrow ledger verify"
        )
    check_signature(last.note.text, own, keys[own.key_id])
    return log


def _institutions(conn: Connection, cut: datetime) -> list[int]:
    rows = conn.execute(
        text("SELECT DISTINCT institution_id FROM account WHERE recorded_at < :cut ORDER BY institution_id"), {"cut": cut}
    )
    return list(rows.scalars())


def _entries(
    conn: Connection, institution_id: int, tables: Mapping[str, TableRows], cut: datetime, secret: bytes
) -> Iterator[tuple[str, int | None, int, bytes]]:
    """The entries of one institution: (body, custody account, batches covered, frontier of its log)."""
    before = conn.execute(
        text("""
            SELECT log_size, frontier FROM checkpoint_entry
            WHERE institution_id = :institution AND custody_account_id IS NULL ORDER BY checkpoint_no DESC LIMIT 1
        """),
        {"institution": institution_id},
    ).one_or_none()
    log = Frontier.from_bytes(before.log_size, bytes(before.frontier)) if before else Frontier()
    size = conn.execute(
        text("SELECT coalesce(max(batch_id), 0) FROM posting_batch WHERE institution_id = :institution AND recorded_at < :cut"),
        {"institution": institution_id, "cut": cut},
    ).scalar_one()
    log.extend(batch_leaves(conn, institution_id, after=log.size, through=size))
    yield str(InstitutionEntry(institution_id, log.size, log.root(), tables)), None, log.size, log.to_bytes()
    owed = liabilities(conn, institution_id, log.size)
    accounts = conn.execute(
        text("""
            SELECT DISTINCT custody_account_id, currency FROM account
            WHERE institution_id = :institution AND recorded_at < :cut ORDER BY 1, 2
        """),
        {"institution": institution_id, "cut": cut},
    )
    for custody, currency in accounts:
        leaves = liability_leaves(owed.get((custody, currency), ()), secret, custody, log.size)
        root = sum_root([leaf for leaf, _, _, _ in leaves])
        yield str(LiabilitiesEntry(institution_id, custody, log.size, currency, len(leaves), root)), custody, log.size, b""
