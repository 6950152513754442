"""SM2 signatures (GB/T 32918.2-2016) with SM3 over the curve of GB/T 32918.5, as Chinese banks sign files with.

The arithmetic is gmalg's, which is pure Python; SM3 is cryptography's, since files are large. Keys are PEM with the OID of the
curve, 1.2.156.10197.1.301: SubjectPublicKeyInfo for banks, PKCS #8 as OpenSSL writes it for ours. A signature is DER (GM/T 0009:
SEQUENCE of r and s) or 64 bytes, r then s. The signer's id is the one of GM/T 0009, 1234567812345678.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from gmalg.base import Hash  # type: ignore[import-untyped]
from gmalg.ellipticcurve import ECDLP  # type: ignore[import-untyped]
from gmalg.sm2 import SM2Core  # type: ignore[import-untyped]

SIGNER_ID = b"1234567812345678"
_LENGTH = 32
_RAW_LENGTH = 2 * _LENGTH
#: What stands before the point and the secret in the two forms of a key; everything else in them is fixed (RFC 5480, RFC 5958).
_BEFORE_POINT = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
_BEFORE_SECRET = bytes.fromhex("308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b0201010420")
_BETWEEN = bytes.fromhex("a144034200")


class Sm2KeyRefused(ValueError):
    """This is no SM2 key in the form we read; the message says what is expected."""


class _Sm3(Hash):  # type: ignore[misc]
    """SM3 by the library that has it in C, in the form gmalg asks for."""

    def __init__(self) -> None:
        self.reset()

    @classmethod
    def hash_length(cls) -> int:
        return _LENGTH

    def reset(self) -> None:
        self.state = hashes.Hash(hashes.SM3())

    def update(self, data: bytes) -> None:
        self.state.update(data)

    def value(self) -> bytes:
        return self.state.copy().finalize()


def _core() -> SM2Core:
    """The scheme over the curve of GB/T 32918.5-2017."""
    curve = ECDLP(
        0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF,
        0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC,
        0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93,
        (
            0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
            0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
        ),
        0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123,
    )
    return SM2Core(curve, _Sm3())


@dataclass(frozen=True, slots=True)
class Sm2PublicKey:
    """A point of the curve."""

    x: int
    y: int

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise InvalidSignature unless ``signature`` is this key's of ``data``."""
        try:
            r, s = _parts(signature)
        except ValueError:
            raise InvalidSignature from None
        if not _core().verify(data, r, s, SIGNER_ID, (self.x, self.y)):
            raise InvalidSignature

    def pem(self) -> str:
        return _pem("PUBLIC KEY", _BEFORE_POINT + self.point())

    def point(self) -> bytes:
        return b"\x04" + self.x.to_bytes(_LENGTH, "big") + self.y.to_bytes(_LENGTH, "big")


@dataclass(frozen=True, slots=True)
class Sm2PrivateKey:
    """Our own key. Signing takes time that depends on the secret (pure Python): keep it off machines strangers share."""

    secret: int = field(repr=False)
    public: Sm2PublicKey

    def sign(self, data: bytes) -> bytes:
        """A signature in DER; another one each time."""
        r, s = _core().sign(data, self.secret, SIGNER_ID, (self.public.x, self.public.y))
        return encode_dss_signature(r, s)

    def public_key(self) -> Sm2PublicKey:
        return self.public

    def pem(self) -> str:
        return _pem("PRIVATE KEY", _BEFORE_SECRET + self.secret.to_bytes(_LENGTH, "big") + _BETWEEN + self.public.point())


def new_private_key() -> Sm2PrivateKey:
    """A new key, by the system's random numbers."""
    secret, (x, y) = _core().generate_keypair()
    return Sm2PrivateKey(secret, Sm2PublicKey(x, y))


def is_sm2(pem: str) -> bool:
    """Whether a PEM text, whole or not, names the curve of SM2."""
    try:
        return b"\x06\x08\x2a\x81\x1c\xcf\x55\x01\x82\x2d" in _content(pem)
    except ValueError:
        return False


def load_public_key(pem: str) -> Sm2PublicKey:
    """The key of a SubjectPublicKeyInfo with an uncompressed point. Raises Sm2KeyRefused, also for a point off the curve."""
    try:
        content = _content(pem)
    except ValueError:
        content = b""
    if not pem.strip().startswith("-----BEGIN PUBLIC KEY-----") or not content.startswith(_BEFORE_POINT):
        raise Sm2KeyRefused(
            "an SM2 public key must be PEM (BEGIN PUBLIC KEY) with the OID of the curve and an uncompressed point"
        )
    return _public(content[len(_BEFORE_POINT) :])


def load_private_key(pem: str) -> Sm2PrivateKey:
    """The key of a PKCS #8 text without passphrase, as OpenSSL writes it. Raises Sm2KeyRefused (also: two halves)."""
    try:
        content = _content(pem)
    except ValueError:
        content = b""
    secret = content[len(_BEFORE_SECRET) :][:_LENGTH]
    rest = content[len(_BEFORE_SECRET) + _LENGTH :]
    if not content.startswith(_BEFORE_SECRET) or not rest.startswith(_BETWEEN):
        raise Sm2KeyRefused("an SM2 private key must be PKCS #8 without passphrase, as openssl pkcs8 -topk8 -nocrypt writes it")
    number, public = int.from_bytes(secret, "big"), _public(rest[len(_BETWEEN) :])
    if tuple(_core().generate_pk(number)) != (public.x, public.y):
        raise Sm2KeyRefused("the two halves of the SM2 key do not belong together; restore it from its backup")
    return Sm2PrivateKey(number, public)


def _public(point: bytes) -> Sm2PublicKey:
    key = Sm2PublicKey(int.from_bytes(point[1 : 1 + _LENGTH], "big"), int.from_bytes(point[1 + _LENGTH :], "big"))
    field_size = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
    if len(point) != 1 + _RAW_LENGTH or point[0] != 4 or key.x >= field_size or key.y >= field_size:
        raise Sm2KeyRefused("an SM2 public key must be an uncompressed point of 65 bytes")
    if not _core().verify_pk((key.x, key.y)):
        raise Sm2KeyRefused("the point is not one of the SM2 curve; ask for the key again")
    return key


def _parts(signature: bytes) -> tuple[int, int]:
    if len(signature) == _RAW_LENGTH:
        return int.from_bytes(signature[:_LENGTH], "big"), int.from_bytes(signature[_LENGTH:], "big")
    return decode_dss_signature(signature)


def _content(pem: str) -> bytes:
    found = re.fullmatch(r"\s*-----BEGIN [A-Z ]+-----([A-Za-z0-9+/=\s]+)-----END [A-Z ]+-----\s*", pem)
    if found is None:
        raise ValueError("no PEM")
    return base64.b64decode("".join(found[1].split()), validate=True)


def _pem(what: str, content: bytes) -> str:
    text = base64.b64encode(content).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {what}-----", *lines, f"-----END {what}-----", ""])
