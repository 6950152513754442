"""The key files of the checkpoints: what signs them, and the secret that blinds liabilities. They never enter the database.

A key folder holds ``checkpoint.key`` (one line, as ``sumdb/note`` writes it) and ``liabilities.secret`` (64 hexadecimal
digits), readable by their owner only. As with a server's host keys, the first use makes them; once a key is recorded in
the books, a lost file is never silently replaced.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import sqlalchemy as sa

from ledger.evidence_keys import CheckpointRefused, record_key, recorded_keys, retire_key
from ledger.signed_note import ED25519, NoteRefused, PrivateKey, new_key, parse_private_key

KEY_FILE = "checkpoint.key"
SECRET_FILE = "liabilities.secret"  # noqa: S105  the name of a file

#: The log's name when nobody gives one: c2sp.org/signed-note recommends a name like an address without its scheme.
DEFAULT_NAME = "prepaid-escrow.example/checkpoints"

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What a checkpoint needs: the log's private key, and the secret that blinds what is owed to whom."""

    key: PrivateKey
    secret: bytes = field(repr=False)


def read_signing_keys(folder: Path) -> SigningKeys | None:
    """The keys of a folder, None without a key file. Raises CheckpointRefused for files others can read or damaged ones."""
    if not (folder / KEY_FILE).exists():
        return None
    try:
        key = parse_private_key(read_private_file(folder / KEY_FILE))
    except NoteRefused as refused:
        raise CheckpointRefused(f"{folder / KEY_FILE}: {refused}; restore it from its backup") from None
    if key.kind != ED25519:
        raise CheckpointRefused(
            f"{folder / KEY_FILE} holds a counter-signing key; the log signs with a key made by: escrow evidence keygen"
        )
    secret = read_private_file(folder / SECRET_FILE).strip()
    if not re.fullmatch(r"[0-9a-f]{64}", secret):
        raise CheckpointRefused(
            f"{folder / SECRET_FILE} is damaged: it should hold 64 hexadecimal digits; restore it from its backup"
        )
    return SigningKeys(key, bytes.fromhex(secret))


def signing_keys(folder: Path) -> SigningKeys:
    """The keys of a folder. Raises CheckpointRefused when there are none."""
    found = read_signing_keys(folder)
    if found is None:
        raise CheckpointRefused(
            f"{folder / KEY_FILE} is missing; set ESCROW_KEYS to the folder of the key these books are signed with (the first "
            "checkpoint of new books makes one: escrow run-day DATE)"
        )
    return found


def keys_for_signing(connection: sa.Connection, folder: Path, *, day: date, actor: str) -> SigningKeys:
    """The keys to sign with; made and recorded on first use. Raises CheckpointRefused when a recorded key's file is missing."""
    found = read_signing_keys(folder)
    known = [one for one in recorded_keys(connection) if one.key.kind == ED25519]
    if found is not None:
        if not known:  # books made anew beside their key, or a first use that did not end
            record_key(connection, found.key.public_key, party="operator", valid_from=day, actor=actor)
        return found
    if known:
        raise CheckpointRefused(
            f"{folder / KEY_FILE} is missing, but these books have a signing key; restore the file from its backup, set "
            "ESCROW_KEYS to its folder, or replace the key: escrow evidence keygen --rotate"
        )
    return make_keys(connection, folder, name=DEFAULT_NAME, party="operator", day=day, actor=actor)


def make_keys(connection: sa.Connection, folder: Path, *, name: str, party: str, day: date, actor: str) -> SigningKeys:
    """Make the log's key and secret, and record the public key as valid from ``day``.

    Raises CheckpointRefused when the folder has a key already.
    """
    if (folder / KEY_FILE).exists():
        raise CheckpointRefused(f"{folder / KEY_FILE} exists; to replace it: escrow evidence keygen --rotate")
    key = new_key(name, ED25519)
    record_key(connection, key.public_key, party=party, valid_from=day, actor=actor)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private_file(folder / KEY_FILE, key.written())
    if not (folder / SECRET_FILE).exists():
        write_private_file(folder / SECRET_FILE, secrets.token_hex(32) + "\n")
    return SigningKeys(key, bytes.fromhex(read_private_file(folder / SECRET_FILE).strip()))


def rotate_keys(connection: sa.Connection, folder: Path, *, day: date, actor: str, reason: str) -> SigningKeys:
    """Replace the log's key from a business day on; the old one's file is kept beside it, its signatures stay valid.

    A lost key is replaced the same way. Raises CheckpointRefused when these books never had one.
    """
    known = [one for one in recorded_keys(connection) if one.key.kind == ED25519 and one.retired_on is None]
    if not known:
        raise CheckpointRefused("these books have no signing key to replace; make one: escrow evidence keygen")
    for one in known:
        retire_key(connection, one.key, retired_on=day, actor=actor, reason=reason)
    path = folder / KEY_FILE
    if path.exists():
        path.rename(path.with_name(f"checkpoint-{known[-1].key.key_id.hex()}.retired"))
    return make_keys(connection, folder, name=known[-1].key.name, party=known[-1].party, day=day, actor=actor)


def read_private_file(path: Path) -> str:
    """Text of a file only its owner may read. Raises CheckpointRefused when others may, or it is missing."""
    try:
        mode = path.stat().st_mode
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        reason = getattr(failure, "strerror", None) or "it is not text"
        raise CheckpointRefused(f"{path} cannot be read ({reason}); restore it from its backup, or set ESCROW_KEYS") from None
    if stat.S_IMODE(mode) & 0o077:
        raise CheckpointRefused(f"{path} can be read by others; make it yours alone: chmod 600 {path}")
    return content


def write_private_file(path: Path, content: str) -> None:
    """Write a new file that only its owner may read; it must not exist."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
