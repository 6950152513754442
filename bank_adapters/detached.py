"""Digests and signatures that lie beside a file: ``FILE.sha256``, ``FILE.sm3``, ``FILE.sig``.

A digest file is one line as ``sha256sum`` writes it: hexadecimal digest, two blanks, file name. A signature file is the
signature of the file's raw bytes in base64. SHA-256 is FIPS 180-4, SM3 is GB/T 32905-2016, Ed25519 is RFC 8032.
"""

from __future__ import annotations

import base64
from enum import StrEnum

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class DigestKind(StrEnum):
    """Digests we know; the value is the ending of the file that holds one."""

    SHA256 = "sha256"
    SM3 = "sm3"


_ALGORITHMS = {DigestKind.SHA256: hashes.SHA256, DigestKind.SM3: hashes.SM3}


def digest_of(data: bytes, kind: DigestKind) -> str:
    """The digest in lower-case hexadecimal digits."""
    state = hashes.Hash(_ALGORITHMS[kind]())
    state.update(data)
    return state.finalize().hex()


def digest_file(data: bytes, name: str, kind: DigestKind) -> bytes:
    """What ``name.<kind>`` holds."""
    return f"{digest_of(data, kind)}  {name}\n".encode()


def sign_detached(data: bytes, key: Ed25519PrivateKey) -> bytes:
    """What ``FILE.sig`` holds: the Ed25519 signature of the bytes. Ed25519 is deterministic, so signing again changes nothing."""
    return base64.b64encode(key.sign(data)) + b"\n"
