"""Digests and signatures that lie beside a file: ``FILE.sha256``, ``FILE.sm3``, ``FILE.sig``.

A digest file is one line as ``sha256sum`` writes it: hexadecimal digest, two blanks, file name. A signature file is the
signature of the file's raw bytes in base64. SHA-256 is FIPS 180-4, SM3 is GB/T 32905-2016, Ed25519 is RFC 8032, SM2 is
GB/T 32918.2-2016.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from bank_adapters import sm2


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


def sign_detached(data: bytes, key: Ed25519PrivateKey | sm2.Sm2PrivateKey) -> bytes:
    """What ``FILE.sig`` holds: the signature of the bytes. With Ed25519 signing again changes nothing; with SM2 it does."""
    return base64.b64encode(key.sign(data)) + b"\n"


def is_signed(data: bytes, content: bytes, public_key: str) -> bool:
    """Whether ``content`` of a ``.sig`` is a signature of ``data`` by the key (PEM). Raises ValueError for a foreign key."""
    return not _signature_faults(data, "", content, public_key)


class ProofKind(StrEnum):
    """What a sender may be held to deliver beside each file; the value is the word of config/banks.yaml."""

    DIGEST = "digest"  # FILE.sha256 or FILE.sm3
    SIGNATURE = "signature"  # FILE.sig
    MANIFEST = "manifest"  # FILE.ok or FILE.manifest: digest and control totals


#: Endings of what may lie beside a file, and what it proves.
PROOF_ENDINGS: Mapping[str, ProofKind] = {
    ".sha256": ProofKind.DIGEST,
    ".sm3": ProofKind.DIGEST,
    ".sig": ProofKind.SIGNATURE,
    ".ok": ProofKind.MANIFEST,
    ".manifest": ProofKind.MANIFEST,
}

#: A digest, a signature or a manifest is a thousandth of this.
MOST_PROOF_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class ProofDemand:
    """What one sender must deliver beside a file, and the public key its signatures are checked with (PEM; '' for none).

    What lies beside a file is checked whether it is demanded or not: a wrong digest is never ignored.
    """

    required: frozenset[ProofKind] = frozenset()
    public_key: str = ""

    def __post_init__(self) -> None:
        if ProofKind.SIGNATURE in self.required and not self.public_key:
            raise ValueError("signatures are demanded, but no public key is given to check them with")
        if self.public_key:
            _public_key(self.public_key)

    def missing(self, beside: Mapping[str, bytes]) -> list[ProofKind]:
        """Kinds of proof that are demanded and not among the files beside (ending -> bytes)."""
        there = {PROOF_ENDINGS[ending] for ending in beside}
        return sorted(self.required - there)


#: A sender that owes nothing beside its files.
NOTHING_DEMANDED = ProofDemand()


@dataclass(frozen=True, slots=True)
class ProofFault:
    """Why a file is not proved."""

    code: str
    message: str
    message_zh: str


def check_proofs(data: bytes, name: str, beside: Mapping[str, bytes], demand: ProofDemand) -> list[ProofFault]:
    """What is wrong with digests and signature beside a file, and what is missing (manifests: ``manifest.check_manifest``).

    ``beside``: ending -> bytes. Nothing to say means: everything demanded is there and everything there fits the bytes.
    """
    faults = []
    for kind in demand.missing(beside):
        endings = " or ".join(f"{name}{ending}" for ending, proves in PROOF_ENDINGS.items() if proves is kind)
        faults.append(
            ProofFault(
                "proof_missing",
                f"this sender must deliver a {kind} with each file, and there is none; ask the bank for {endings}",
                f"该行每个文件须附{_ZH[kind]}，未收到；请银行补送 {endings}",
            )
        )
    for ending, content in sorted(beside.items()):
        if PROOF_ENDINGS[ending] is ProofKind.DIGEST:
            faults += _digest_faults(data, name, DigestKind(ending[1:]), content)
        elif PROOF_ENDINGS[ending] is ProofKind.SIGNATURE:
            faults += _signature_faults(data, name, content, demand.public_key)
    return faults


_ZH = {ProofKind.DIGEST: "摘要文件", ProofKind.SIGNATURE: "签名文件", ProofKind.MANIFEST: "清单文件"}


def _digest_faults(data: bytes, name: str, kind: DigestKind, content: bytes) -> list[ProofFault]:
    words = content.decode("utf-8", "replace").lstrip("\ufeff").split(maxsplit=1)
    told = words[0].lower() if words else ""
    if not re.fullmatch(r"[0-9a-f]{64}", told):
        what = f"{name}.{kind} does not begin with a digest of 64 hexadecimal digits"
        return [ProofFault("digest_unreadable", what, f"{name}.{kind} 的开头不是 64 位十六进制摘要")]
    about = words[1].strip().removeprefix("*").strip() if len(words) > 1 else name
    if about.rsplit("/", 1)[-1] != name:
        return [ProofFault("digest_of_another_file", f"{name}.{kind} is about {about}", f"{name}.{kind} 针对的是 {about}")]
    found = digest_of(data, kind)
    if told != found:
        what = f"{name}.{kind} says {told[:16]}..., the file's digest is {found[:16]}...: it was altered or cut; ask for it again"
        return [
            ProofFault("digest_differs", what, f"{name}.{kind} 为 {told[:16]}…，实际摘要 {found[:16]}…：文件被改动或截断，请重送")
        ]
    return []


def _signature_faults(data: bytes, name: str, content: bytes, public_key: str) -> list[ProofFault]:
    if not public_key:
        what = f"{name}.sig cannot be checked: config/banks.yaml holds no public key of this bank"
        return [ProofFault("signature_without_key", what, f"无法验签 {name}.sig：config/banks.yaml 中没有该行公钥")]
    try:
        signature = base64.b64decode(b"".join(content.split()), validate=True)
    except ValueError:
        return [ProofFault("signature_unreadable", f"{name}.sig is not base64", f"{name}.sig 不是 base64 编码")]
    key = _public_key(public_key)
    try:
        if isinstance(key, (Ed25519PublicKey, sm2.Sm2PublicKey)):
            key.verify(signature, data)
        else:
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        what = f"{name}.sig is not this bank's signature of these bytes; take nothing from the file, ask the bank"
        return [ProofFault("signature_wrong", what, f"{name}.sig 与文件内容或该行公钥不符；请勿采用并与银行核实")]
    return []


def _public_key(pem: str) -> Ed25519PublicKey | RSAPublicKey | sm2.Sm2PublicKey:
    """Ed25519, SM2, or RSA of at least 2048 bits (PKCS #1 v1.5 and SHA-256). Raises ValueError for anything else."""
    if sm2.is_sm2(pem):
        return sm2.load_public_key(pem)
    key = load_pem_public_key(pem.encode())
    if isinstance(key, Ed25519PublicKey):
        return key
    if isinstance(key, RSAPublicKey) and key.key_size >= _FEWEST_RSA_BITS:
        return key
    raise ValueError(f"a public key must be Ed25519, SM2, or RSA of at least {_FEWEST_RSA_BITS} bits")


_FEWEST_RSA_BITS = 2048
