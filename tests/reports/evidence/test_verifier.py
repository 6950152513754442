"""The verifier inside a pack is one file of the standard library, and its cryptography is the maintained library's."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import tree
from reports.evidence import verify

SOURCE = Path(verify.__file__).read_text(encoding="utf-8")

#: RFC 8032 section 7.1, tests 1 to 3: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

pytestmark = pytest.mark.filterwarnings("error")


def library_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_it_is_python_3_9_and_imports_the_standard_library_only() -> None:
    parsed = ast.parse(SOURCE, feature_version=(3, 9))

    imported = {
        name.split(".")[0]
        for node in ast.walk(parsed)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert imported <= {*sys.stdlib_module_names}
    assert not [
        node for node in ast.walk(parsed) if isinstance(node, ast.keyword) and node.arg == "strict" and _is_zip(parsed, node)
    ]


def _is_zip(parsed: ast.AST, keyword: ast.keyword) -> bool:
    """zip(strict=...) came with Python 3.10."""
    return any(
        isinstance(node, ast.Call) and keyword in node.keywords and isinstance(node.func, ast.Name) and node.func.id == "zip"
        for node in ast.walk(parsed)
    )


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032_verify(public: str, message: str, signature: str) -> None:
    assert verify.ed25519_verifies(*map(bytes.fromhex, (public, message, signature)))
    assert not verify.ed25519_verifies(bytes.fromhex(public), bytes.fromhex(message) + b"x", bytes.fromhex(signature))


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_a_signature_whose_s_is_not_reduced_is_refused(public: str, message: str, signature: str) -> None:
    """S + L satisfies the equation: accepting it would let anybody make a second signature out of a first."""
    content = bytes.fromhex(signature)
    malleable = content[:32] + (int.from_bytes(content[32:], "little") + verify.L).to_bytes(32, "little")

    assert not verify.ed25519_verifies(bytes.fromhex(public), bytes.fromhex(message), malleable)
    assert not library_verifies(bytes.fromhex(public), bytes.fromhex(message), malleable)


@pytest.mark.parametrize(
    "public", [(verify.P + 1).to_bytes(32, "little"), b"\xff" * 32, (1 | 1 << 255).to_bytes(32, "little"), b"x" * 31]
)
def test_a_key_in_no_canonical_form_verifies_nothing(public: bytes) -> None:
    assert not verify.ed25519_verifies(public, b"", bytes.fromhex(RFC_8032[0][2]))


@settings(max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_it_agrees_with_the_maintained_library(secret: bytes, message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(secret)
    public, signature = key.public_key().public_bytes_raw(), bytearray(key.sign(message))

    assert verify.ed25519_verifies(public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert (
        verify.ed25519_verifies(public, message, bytes(signature)) == library_verifies(public, message, bytes(signature)) is False
    )


@given(st.integers(1, 40), st.data())
def test_its_trees_are_the_ledgers(size: int, data: st.DataObject) -> None:
    leaves = [verify.sha256(str(n).encode()) for n in range(size)]
    whole, own = tree.WholeTree(leaves), verify.Tree()
    for leaf in leaves:
        own.append(leaf)
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))

    assert own.root() == whole.root()
    assert verify.root_from_inclusion(leaves[index], index, size, whole.inclusion(index)) == whole.root()
    assert verify.consistent(first, size, whole.root(first), whole.root(), whole.consistency(first))
    assert not verify.consistent(first, size, b"x" * 32, whole.root(), whole.consistency(first)) or not first
    assert not verify.consistent(first, size, whole.root(first), whole.root(), [*whole.consistency(first), whole.root()])


@given(
    st.one_of(st.none(), st.text(max_size=8)),
    st.text(max_size=8),
    st.sampled_from(["\\N", "'", "=1", "-1", "@x", "'\\N", ",", '"', "()", " "]),
)
def test_cells_keep_their_values(one: str | None, other: str, awkward: str) -> None:
    from reports.evidence.tables import _FORMULA_HERE

    for value in (other, awkward, *([] if one is None else [one])):
        cell = f"'{value}" if _FORMULA_HERE.match(value) else value
        assert verify.plain_cell(cell) == value
    assert verify.plain_cell("\\N") is None


@pytest.mark.parametrize(
    ("units", "exponent", "text"), [(0, 2, "0.00"), (-5, 2, "-0.05"), (123456, 2, "1234.56"), (-7, 0, "-7"), (1234, 3, "1.234")]
)
def test_amounts_are_written_without_a_float(units: int, exponent: int, text: str) -> None:
    assert verify.decimal_text(units, exponent) == text


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{\n "format": "x"\n}\n', '{\n "format": "prepaid-escrow balance proof v1"\n}\n']
)
def test_what_is_no_proof_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "p.json").write_text(content)

    with pytest.raises(verify.Broken):
        verify.verify_file(str(tmp_path / "p.json"), [])


@pytest.mark.parametrize("opening", ["{", '{"a":', "[", '{\n"a":['])
def test_brackets_without_end_are_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], opening: str) -> None:
    (tmp_path / "p.json").write_text(opening * 100_000)

    assert verify.main([str(tmp_path / "p.json")]) == 3
    assert "BROKEN" in capsys.readouterr().err


def test_wrong_usage_is_not_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main(["/nonexistent/pack.zip"]) == 2
    assert "No such file" in capsys.readouterr().err
