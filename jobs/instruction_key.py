"""The key that signs instruction files: ``instructions.key`` in the key folder, PKCS #8 PEM, readable by its owner only.

It is optional. Once it is there, every instruction file is sent with a ``.sig`` beside it; the bank gets the public key once,
by a way of its own.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from jobs.signing_keys import read_private_file, write_private_file

KEY_FILE = "instructions.key"


class InstructionKeyRefused(ValueError):
    """The key file cannot be made or used; the message says what to do."""


def read_instruction_key(folder: Path) -> Ed25519PrivateKey | None:
    """The key of a folder, None when there is none. Raises InstructionKeyRefused, CheckpointRefused (others can read it)."""
    path = folder / KEY_FILE
    if not path.exists():
        return None
    try:
        key = load_pem_private_key(read_private_file(path).encode(), password=None)
    except ValueError:
        raise InstructionKeyRefused(f"{path} is no key in PEM form; restore it from its backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InstructionKeyRefused(f"{path} is no Ed25519 key; make one: escrow instruction keygen")
    return key


def make_instruction_key(folder: Path) -> Ed25519PrivateKey:
    """Make the key. Raises InstructionKeyRefused when there is one: move it away to replace it, and tell the banks."""
    path = folder / KEY_FILE
    if path.exists():
        raise InstructionKeyRefused(f"{path} exists; to replace it, move it away, run this again and give the banks the new key")
    key = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"))
    return key


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The public key as PEM, for the banks."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
