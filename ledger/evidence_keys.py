"""The public keys whose signatures under checkpoints count. Private keys are never in the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, text

from ledger.signed_note import ED25519, PublicKey
from storage.errors import StorageRefused


class CheckpointRefused(StorageRefused):
    """A checkpoint, a key or a counter-signature cannot be taken in; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RecordedKey:
    """A public key and when it may sign: business days from ``valid_from`` until before ``retired_on``."""

    key: PublicKey
    party: str
    valid_from: date
    retired_on: date | None

    def valid_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.retired_on is None or day < self.retired_on)


def recorded_keys(conn: Connection) -> list[RecordedKey]:
    """Every public key whose signatures count, the log's first."""
    rows = conn.execute(
        text("""
            SELECT k.key_name, k.signature_type, k.public_key, k.party, k.valid_from, r.retired_on
            FROM evidence_key k LEFT JOIN evidence_key_retirement r USING (key_name, key_id)
            ORDER BY k.signature_type, k.valid_from, k.key_name, k.key_id
        """)
    )
    return [RecordedKey(PublicKey(name, kind, bytes(public)), *rest) for name, kind, public, *rest in rows]


def record_key(conn: Connection, key: PublicKey, *, party: str, valid_from: date, actor: str) -> None:
    """Record a public key; recording it again changes nothing.

    Raises CheckpointRefused when the log has a key of another name: the name is the log's origin and stays.
    """
    take_turn(conn)
    known = recorded_keys(conn)
    if any(one.key == key for one in known):
        return
    origin = next((one.key.name for one in known if one.key.kind == ED25519), key.name)
    if key.kind == ED25519 and key.name != origin:
        raise CheckpointRefused(f"the log of these books is called {origin}; a new key must bear the same name: --name {origin}")
    conn.execute(
        text("""
            INSERT INTO evidence_key (key_name, key_id, signature_type, public_key, party, valid_from, actor)
            VALUES (:name, :id, :kind, :public, :party, :valid_from, :actor)
        """),
        {
            "name": key.name, "id": key.key_id, "kind": key.kind, "public": key.public, "party": party,
            "valid_from": valid_from, "actor": actor,
        },
    )  # fmt: skip


def retire_key(conn: Connection, key: PublicKey, *, retired_on: date, actor: str, reason: str) -> None:
    """Let a key sign no more from a business day on. Raises CheckpointRefused when it is unknown or retired already."""
    take_turn(conn)
    known = next((one for one in recorded_keys(conn) if one.key == key), None)
    if known is None or known.retired_on is not None:
        state = f"was retired on {known.retired_on}" if known else "was never recorded"
        raise CheckpointRefused(f"the key {key.name} ({key.key_id.hex()}) {state}; see: escrow evidence keys")
    conn.execute(
        text("""
            INSERT INTO evidence_key_retirement (key_name, key_id, retired_on, actor, reason)
            VALUES (:name, :id, :retired_on, :actor, :reason)
        """),
        {"name": key.name, "id": key.key_id, "retired_on": retired_on, "actor": actor, "reason": reason},
    )


def take_turn(conn: Connection) -> None:
    """One at a time changes the keys or the checkpoint log; until the transaction ends."""
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('checkpoint', 0))"))
