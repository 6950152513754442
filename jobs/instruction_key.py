"""The key that signs instruction files: ``instructions.key`` in the key folder, PKCS #8 PEM, readable by its owner only.

It is Ed25519, or SM2 where the banks ask for it, and optional. Once it is there, every instruction file is sent with a ``.sig``
beside it; the bank gets the public key once, by a way of its own.
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

from bank_adapters import sm2
from jobs.signing_keys import read_private_file, write_private_file

KEY_FILE = "instructions.key"


class InstructionKeyRefused(ValueError):
    """The key file cannot be made or used; the message says what to do."""


InstructionKey = Ed25519PrivateKey | sm2.Sm2PrivateKey


def read_instruction_key(folder: Path) -> InstructionKey | None:
    """The key of a folder, None when there is none. Raises InstructionKeyRefused, CheckpointRefused (others can read it)."""
    path = folder / KEY_FILE
    if not path.exists():
        return None
    text = read_private_file(path)
    try:
        if sm2.is_sm2(text):
            return sm2.load_private_key(text)
        key = load_pem_private_key(text.encode(), password=None)
    except ValueError:
        raise InstructionKeyRefused(f"{path} is no key in PEM form; restore it from its backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InstructionKeyRefused(f"{path} is no Ed25519 or SM2 key; make one: escrow instruction keygen")
    return key


def make_instruction_key(folder: Path, *, with_sm2: bool = False) -> InstructionKey:
    """Make the key, Ed25519 or SM2. Raises InstructionKeyRefused when there is one: move it away first."""
    path = folder / KEY_FILE
    if path.exists():
        raise InstructionKeyRefused(f"{path} exists; to replace it, move it away, run this again and give the banks the new key")
    key = sm2.new_private_key() if with_sm2 else Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if isinstance(key, sm2.Sm2PrivateKey):
        write_private_file(path, key.pem())
    else:
        write_private_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"))
    return key


def public_key_text(key: InstructionKey) -> str:
    """The public key as PEM, for the banks."""
    if isinstance(key, sm2.Sm2PrivateKey):
        return key.public_key().pem()
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
