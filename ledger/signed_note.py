"""Signed notes (c2sp.org/signed-note), checkpoints (c2sp.org/tlog-checkpoint) and cosignatures (c2sp.org/tlog-cosignature).

The log's own signatures are of type 0x01: Ed25519 (RFC 8032) over the note's text. Other parties counter-sign with type
0x04: Ed25519 over ``cosignature/v1``, the time, and the same text, so that a counter-signature says when it was given and
can never pass for the log's own. Keys are written as Go's ``sumdb/note`` writes them, which other programs read:
``<name>+<key id>+<base64 of type and key>``, private ones behind ``PRIVATE+KEY+``. Pure: no SQL, files or clock.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 1
COSIGNATURE = 4
KEY_TYPES = (ED25519, COSIGNATURE)

#: What a note of ours may grow to with counter-signatures; the specification asks for room for 16 signatures at least.
MOST_SIGNATURES = 64
LARGEST_NOTE_BYTES = 64 * 1024

_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 72}
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")


class NoteRefused(ValueError):
    """A note, a key or a signature is not what it must be; the message says which and why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Whose signatures to believe: name, type of signature (0x01 log, 0x04 cosigner) and 32 bytes of Ed25519 public key."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NoteRefused(f"{self.name!r} cannot name a key: it must be one word without spaces and without +")
        if self.kind not in KEY_TYPES:
            raise NoteRefused(f"keys of type {self.kind} are not used here; 1 signs checkpoints, 4 counter-signs them")
        if len(self.public) != 32:
            raise NoteRefused("an Ed25519 public key is 32 bytes long")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 over name, newline, type and key: a short label, not a proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(bytes([self.kind]) + self.public).decode()}"


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """What signs: name, type and the 32 secret bytes. It never shows itself in a traceback."""

    name: str
    kind: int
    secret: bytes

    def __repr__(self) -> str:
        return f"PrivateKey({self.name!r}, {self.kind})"

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.name, self.kind, self._signer().public_key().public_bytes_raw())

    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.secret)

    def written(self) -> str:
        """The one line a key file holds."""
        encoded = base64.b64encode(bytes([self.kind]) + self.secret).decode()
        return f"PRIVATE+KEY+{self.name}+{self.public_key.key_id.hex()}+{encoded}\n"

    def sign(self, text: str) -> Signature:
        """The log's own signature. Raises NoteRefused for a cosigner's key or a text no note can have."""
        if self.kind != ED25519:
            raise NoteRefused(f"the key of {self.name} counter-signs only; checkpoints are signed with a key of type 1")
        _check_text(text)
        return Signature(self.name, self.public_key.key_id, self._signer().sign(text.encode()))

    def cosign(self, text: str, at_seconds: int) -> Signature:
        """A counter-signature given at an instant (whole seconds since 1970). Raises NoteRefused for the log's key."""
        if self.kind != COSIGNATURE:
            raise NoteRefused(f"the key of {self.name} is the log's; counter-signatures are given with a key of type 4")
        _check_text(text)
        signature = self._signer().sign(_cosigned(text, at_seconds))
        return Signature(self.name, self.public_key.key_id, at_seconds.to_bytes(8, "big") + signature)


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note. ``content`` is 64 bytes, or 8 bytes of time and 64 for a counter-signature."""

    name: str
    key_id: bytes
    content: bytes

    @property
    def line(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.content).decode()}\n"

    @property
    def cosigned_at(self) -> int:
        """When a counter-signature was given, in whole seconds since 1970."""
        return int.from_bytes(self.content[:8], "big")

    def is_by(self, key: PublicKey) -> bool:
        """Whether the line names that key; says nothing about the signature being right."""
        return self.name == key.name and self.key_id == key.key_id


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures below it. ``text`` ends in a newline."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)


def new_key(name: str, kind: int) -> PrivateKey:
    """A fresh key from the system's randomness. Raises NoteRefused for a name no key can have."""
    key = PrivateKey(name, kind, Ed25519PrivateKey.generate().private_bytes_raw())
    _ = key.public_key
    return key


def parse_private_key(line: str) -> PrivateKey:
    """The key of a key file. Raises NoteRefused without repeating any of it."""
    name, key_id, encoded = _key_parts(line.strip().removeprefix("PRIVATE+KEY+"), secret=True)
    if not line.startswith("PRIVATE+KEY+"):
        raise NoteRefused("this is not a private key: it does not begin with PRIVATE+KEY+")
    key = PrivateKey(name, encoded[0], encoded[1:])
    if key.public_key.key_id != key_id:
        raise NoteRefused(f"the private key of {name} is damaged: its id does not follow from it")
    return key


def parse_public_key(line: str) -> PublicKey:
    """A public key as ``keygen`` prints it. Raises NoteRefused."""
    if line.strip().startswith("PRIVATE+KEY+"):
        raise NoteRefused("this is a private key; keep it to yourself and give the public one")
    name, key_id, encoded = _key_parts(line.strip(), secret=False)
    key = PublicKey(name, encoded[0], encoded[1:])
    if key.key_id != key_id:
        raise NoteRefused(f"the public key of {name} is damaged: its id does not follow from it")
    return key


def _key_parts(line: str, *, secret: bool) -> tuple[str, bytes, bytes]:
    what = "private key" if secret else "public key"
    parts = line.split("+", 2)
    if len(parts) != 3:
        raise NoteRefused(f"this is not a {what}: it should read <name>+<key id>+<base64>")
    try:
        key_id, encoded = bytes.fromhex(parts[1]), _base64(parts[2])
    except ValueError:
        raise NoteRefused(f"this is not a {what}: its id is not hexadecimal, or its key is not base64") from None
    if len(key_id) != 4 or len(encoded) != 33:
        raise NoteRefused(f"this is not a {what} of Ed25519: its length is wrong")
    return parts[0], key_id, encoded


def _base64(text: str) -> bytes:
    """Strict base64: one text for one content, so that no byte of a note can change unnoticed."""
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
    if base64.b64encode(content).decode() != text:
        raise ValueError("base64 with bits set that belong to nothing")
    return content


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(ord(one) < 32 and one != "\n" for one in text):
        raise NoteRefused("a note's text ends in a newline and holds no other control character")


def parse_note(content: str) -> Note:
    """Text and signatures of a note. Raises NoteRefused when it is not formed as the specification says."""
    if len(content.encode()) > LARGEST_NOTE_BYTES:
        raise NoteRefused(f"a note longer than {LARGEST_NOTE_BYTES} bytes is not read")
    text, blank, lines = content.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteRefused("this is not a signed note: an empty line and signature lines must follow the text")
    _check_text(text + "\n")
    return Note(text + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Signature lines, each beginning with an em dash. Raises NoteRefused naming the line."""
    found = []
    for number, line in enumerate(lines.removesuffix("\n").split("\n"), start=1):
        match = _SIGNATURE_LINE.fullmatch(line)
        try:
            content = _base64(match["signature"]) if match else b""
        except ValueError:
            content = b""
        if match is None or len(content) < 5:
            raise NoteRefused(f"signature line {number} does not read: — <key name> <base64>")
        found.append(Signature(match["name"], content[:4], content[4:]))
    if len(found) > MOST_SIGNATURES:
        raise NoteRefused(f"a note has at most {MOST_SIGNATURES} signatures")
    return tuple(found)


def check_signature(text: str, signature: Signature, key: PublicKey) -> None:
    """Raise NoteRefused unless the signature is that key's, over that text."""
    if not signature.is_by(key):
        raise NoteRefused(f"the signature of {signature.name} ({signature.key_id.hex()}) is not by the key {key}")
    if len(signature.content) != _SIGNATURE_BYTES[key.kind]:
        raise NoteRefused(f"the signature of {signature.name} has the wrong length")
    content, message = signature.content, text.encode()
    if key.kind == COSIGNATURE:
        content, message = content[8:], _cosigned(text, signature.cosigned_at)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(content, message)
    except InvalidSignature:
        raise NoteRefused(f"the signature of {signature.name} ({signature.key_id.hex()}) is wrong") from None


def signers(note: Note, keys: Iterable[PublicKey]) -> list[PublicKey]:
    """Which of the trusted keys signed the note. Raises NoteRefused when a trusted key's signature is wrong.

    Signatures by keys nobody trusts are passed over, as the specification demands.
    """
    known = list(keys)
    found = []
    for signature in note.signatures:
        for key in known:
            if signature.is_by(key):
                check_signature(note.text, signature, key)
                found.append(key)
    return found


def _cosigned(text: str, at_seconds: int) -> bytes:
    if not 0 <= at_seconds < 2**63:
        raise NoteRefused("the time of a counter-signature is out of bounds")
    return f"cosignature/v1\ntime {at_seconds}\n{text}".encode()
