"""SM2 signatures: the known answer of the standard, what is refused, and OpenSSL as an independent second opinion."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from bank_adapters import sm2
from bank_adapters.detached import ProofDemand, ProofKind, check_proofs, is_signed, sign_detached

#: GB/T 32918.5-2017, annex A.2: the signature example over the recommended curve, with the id 1234567812345678.
SECRET = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
PUBLIC = sm2.Sm2PublicKey(
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
MESSAGE = b"message digest"
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
KEY = sm2.Sm2PrivateKey(SECRET, PUBLIC)


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@pytest.mark.parametrize("signature", [encode_dss_signature(R, S), raw(R, S)], ids=["DER", "r and s"])
def test_the_example_of_the_standard_verifies_in_both_forms(signature: bytes) -> None:
    PUBLIC.verify(signature, MESSAGE)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        (raw(R, S), b"message digesT"),
        (raw(R, S), b""),
        (raw(R ^ 1, S), MESSAGE),
        (raw(R, S ^ 1), MESSAGE),
        (raw(S, R), MESSAGE),
        (raw(0, S), MESSAGE),
        (raw(R, 0), MESSAGE),
        (raw(R, ORDER), MESSAGE),
        (raw(R, ORDER - R), MESSAGE),  # r + s is nought
        (encode_dss_signature(R + ORDER, S), MESSAGE),
        (encode_dss_signature(R, S) + b"\x00", MESSAGE),
        (encode_dss_signature(R, S)[:-1], MESSAGE),
        (raw(R, S)[:-1], MESSAGE),
        (b"", MESSAGE),
    ],
)
def test_whatever_was_altered_does_not_verify(signature: bytes, message: bytes) -> None:
    with pytest.raises(InvalidSignature):
        PUBLIC.verify(signature, message)


def test_what_is_signed_verifies_with_this_key_and_no_other() -> None:
    signature = KEY.sign(MESSAGE)
    PUBLIC.verify(signature, MESSAGE)
    PUBLIC.verify(raw(*decode_dss_signature(signature)), MESSAGE)
    with pytest.raises(InvalidSignature):
        sm2.new_private_key().public_key().verify(signature, MESSAGE)


def test_keys_are_written_and_read() -> None:
    assert sm2.load_public_key(PUBLIC.pem()) == PUBLIC
    assert sm2.load_private_key(KEY.pem()) == KEY
    assert str(SECRET) not in repr(KEY)


def test_a_key_that_is_none_is_refused() -> None:
    off_the_curve = sm2.Sm2PublicKey(PUBLIC.x, PUBLIC.y ^ 1)
    other_half = sm2.Sm2PrivateKey(SECRET ^ 1, PUBLIC)
    for text, why in (
        (off_the_curve.pem(), "not one of the SM2 curve"),
        (sm2.Sm2PublicKey(0, 0).pem(), "not one of the SM2 curve"),
        (sm2.Sm2PublicKey(2**256 - 1, 1).pem(), "65 bytes"),
        (KEY.pem(), "must be PEM"),
        ("nonsense", "must be PEM"),
    ):
        with pytest.raises(sm2.Sm2KeyRefused, match=why):
            sm2.load_public_key(text)
    with pytest.raises(sm2.Sm2KeyRefused, match="do not belong together"):
        sm2.load_private_key(other_half.pem())
    with pytest.raises(sm2.Sm2KeyRefused, match="PKCS #8"):
        sm2.load_private_key(PUBLIC.pem())


def test_a_bank_may_be_held_to_sign_with_sm2() -> None:
    demand = ProofDemand(frozenset({ProofKind.SIGNATURE}), PUBLIC.pem())
    data = b"a statement" * 1000
    assert check_proofs(data, "a.sta", {".sig": sign_detached(data, KEY)}, demand) == []
    (fault,) = check_proofs(data + b"x", "a.sta", {".sig": sign_detached(data, KEY)}, demand)
    assert fault.code == "signature_wrong"
    assert is_signed(data, sign_detached(data, KEY), PUBLIC.pem())
    assert not is_signed(data, sign_detached(data + b"x", KEY), PUBLIC.pem())
    with pytest.raises(ValueError, match="SM2 curve"):
        ProofDemand(frozenset({ProofKind.SIGNATURE}), sm2.Sm2PublicKey(PUBLIC.x, 5).pem())


def _openssl(*arguments: str) -> bool:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed here")
def test_openssl_agrees_in_both_directions(tmp_path: Path) -> None:
    mine, theirs, data = tmp_path / "mine", tmp_path / "theirs", tmp_path / "data"
    data.write_bytes(MESSAGE * 100)
    how = ["-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-in", str(data)]
    if not _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", str(theirs)):
        pytest.skip("this openssl has no SM2")
    assert _openssl("pkey", "-in", str(theirs), "-pubout", "-out", f"{theirs}.pub")
    assert _openssl("pkeyutl", "-sign", "-inkey", str(theirs), *how, "-out", f"{theirs}.sig")
    sm2.load_public_key(Path(f"{theirs}.pub").read_text()).verify(Path(f"{theirs}.sig").read_bytes(), data.read_bytes())
    assert sm2.load_private_key(theirs.read_text()).public_key().pem() == Path(f"{theirs}.pub").read_text()

    Path(f"{mine}.pub").write_text(PUBLIC.pem())
    Path(f"{mine}.sig").write_bytes(base64.b64decode(sign_detached(data.read_bytes(), KEY)))
    assert _openssl("pkeyutl", "-verify", "-pubin", "-inkey", f"{mine}.pub", *how, "-sigfile", f"{mine}.sig")
