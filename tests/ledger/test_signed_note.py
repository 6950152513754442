"""Notes are those of c2sp.org/signed-note: the vectors of Go's sumdb/note verify here, and nothing that was bent does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.signed_note import (
    COSIGNATURE,
    ED25519,
    Note,
    NoteRefused,
    PrivateKey,
    check_signature,
    new_key,
    parse_note,
    parse_private_key,
    parse_public_key,
    parse_signatures,
    signers,
)

#: From the documentation of golang.org/x/mod/sumdb/note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

LOG = PrivateKey("escrow.example/log", ED25519, b"\x01" * 32)
BANK = PrivateKey("bank.example/nrb", COSIGNATURE, b"\x02" * 32)
TEXT = "escrow.example/log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_a_note_signed_by_go_verifies_here() -> None:
    assert signers(parse_note(GO_NOTE), [parse_public_key(GO_PUBLIC)]) == [parse_public_key(GO_PUBLIC)]


def test_a_note_signed_here_is_the_one_go_would_have_signed() -> None:
    key = parse_private_key(GO_PRIVATE)
    text = parse_note(GO_NOTE).text

    assert str(key.public_key) == GO_PUBLIC
    assert str(Note(text, (key.sign(text),))) == GO_NOTE
    assert key.written() == GO_PRIVATE + "\n"


def test_log_and_cosigner_sign_the_same_text_and_are_told_apart() -> None:
    note = parse_note(str(Note(TEXT, (LOG.sign(TEXT), BANK.cosign(TEXT, 1_700_000_000)))))

    assert signers(note, [LOG.public_key, BANK.public_key]) == [LOG.public_key, BANK.public_key]
    assert note.signatures[1].cosigned_at == 1_700_000_000
    with pytest.raises(NoteRefused, match="counter-signs only"):
        BANK.sign(TEXT)
    with pytest.raises(NoteRefused, match="is the log's"):
        LOG.cosign(TEXT, 1)


def test_the_same_bytes_as_a_key_of_the_other_type_sign_nothing() -> None:
    as_log = PrivateKey(BANK.name, ED25519, BANK.secret)

    assert as_log.public_key.key_id != BANK.public_key.key_id
    with pytest.raises(NoteRefused):
        check_signature(TEXT, BANK.cosign(TEXT, 5), as_log.public_key)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_no_single_bit_of_a_signed_note_can_change(position: int, bit: int) -> None:
    content = bytearray(str(Note(TEXT, (LOG.sign(TEXT),))).encode())
    content[position % len(content)] ^= 1 << bit

    assert not _signed(bytes(content))


def _signed(content: bytes) -> bool:
    try:
        return bool(signers(parse_note(content.decode()), [LOG.public_key]))
    except (NoteRefused, UnicodeDecodeError):
        return False


@given(st.integers(0, 71), st.integers(0, 7))
def test_no_bit_of_a_counter_signature_can_change_nor_its_time(position: int, bit: int) -> None:
    signature = BANK.cosign(TEXT, 1_700_000_000)
    content = bytearray(signature.content)
    content[position] ^= 1 << bit

    with pytest.raises(NoteRefused):
        check_signature(TEXT, type(signature)(signature.name, signature.key_id, bytes(content)), BANK.public_key)


def test_signatures_by_strangers_are_passed_over() -> None:
    stranger = new_key("stranger.example", ED25519)
    note = Note(TEXT, (stranger.sign(TEXT), LOG.sign(TEXT)))

    assert signers(note, [LOG.public_key]) == [LOG.public_key]


@pytest.mark.parametrize(
    "content",
    [
        "", "text\n", "text\n\n", "text\n\nno dash\n", "text\n\n— name\n", "text\n\n— name AAAA\n", "te\txt\n\n— name AAAAAAAA\n",
        "text\n\n— name AAAAAAAA", "text\n\n— na+me AAAAAAAA\n", "text\n\n— name AAAAAAB=\n", "text\n\n- name AAAAAAAA\n",
    ],
)  # fmt: skip
def test_what_is_not_formed_as_a_note_is_refused(content: str) -> None:
    with pytest.raises(NoteRefused):
        parse_note(content)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a+b",
        "name+00000000+AAAA",
        GO_PUBLIC[:-1],
        GO_PUBLIC.replace("c74f20a3", "c74f20a4"),
        GO_PRIVATE,
        "na me" + GO_PUBLIC[12:],
    ],
)
def test_damaged_public_keys_are_refused(key: str) -> None:
    with pytest.raises(NoteRefused):
        parse_public_key(key)


def test_a_damaged_private_key_is_refused_without_being_told(capsys: pytest.CaptureFixture[str]) -> None:
    damaged = GO_PRIVATE.replace("AYEKFALV", "AYEKFALW")

    with pytest.raises(NoteRefused) as refused:
        parse_private_key(damaged)

    assert "FALW" not in str(refused.value)
    assert "FALV" not in repr(parse_private_key(GO_PRIVATE))
    with pytest.raises(NoteRefused):
        parse_private_key(GO_PUBLIC)


def test_a_flood_of_signatures_is_refused() -> None:
    with pytest.raises(NoteRefused, match="at most"):
        parse_signatures(LOG.sign(TEXT).line * 65)
    with pytest.raises(NoteRefused, match="longer than"):
        parse_note("x" * 70_000)
