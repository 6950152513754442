"""What lies beside a bank's file must fit it: a digest, a signature, a manifest; what is owed and missing is named."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import Engine, text

from bank_adapters.detached import DigestKind, ProofDemand, ProofKind, check_proofs, digest_of
from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from config.banks import load_banks
from config.loading import ConfigRefused
from entrypoints.bootstrap import job_settings
from entrypoints.settings import read_settings
from jobs.collect import collect_statements
from jobs.settings import JobSettings
from money import Money
from tests.escrow.conftest import District

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
ACCOUNT = "6222000000000001"


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def a_statement() -> bytes:
    line = StatementLine(
        booking_date=DAY, value_date=DAY, direction=Direction.IN, amount=Money(12_345), status=LineStatus.BOOKED, line=1,
        bank_reference="B1",
    )  # fmt: skip
    zero, closing = Money(0), Money(12_345)
    return write_mt940([Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", "S1", "1", zero, DAY, closing, DAY, (line,), True)])


MANIFEST = "rows: 1\nin_count: 1\nin_sum: 123.45\nout_count: 0\nout_sum: 0.00\nopening: 0.00\nclosing: 123.45\nstatement_no: 1\n"


class Place:
    """SWB's inbox, and what the collect job makes of it."""

    def __init__(self, books: Engine, settings: JobSettings) -> None:
        self.books, self.settings = books, settings
        self.folder = settings.inbox / "SWB"
        self.folder.mkdir(parents=True)

    def demands(self, *required: ProofKind, key: str = "") -> None:
        bank = replace(self.settings.banks["SWB"], proofs=ProofDemand(frozenset(required), key))
        self.settings = replace(self.settings, banks={**self.settings.banks, "SWB": bank})

    def drop(self, **endings: str | bytes) -> bytes:
        data = a_statement()
        for ending, content in endings.items():
            (self.folder / f"a.sta.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
        (self.folder / "a.sta").write_bytes(data)
        return data

    def collected(self) -> dict[str, object]:
        with self.books.connect() as connection:
            return dict(collect_statements(connection, DAY, self.settings, NOW))

    def outcome(self) -> tuple[str, str]:
        (one,) = self.collected()["files"]  # type: ignore[misc,has-type]
        return one["outcome"], " ".join(one["reasons"])


@pytest.fixture
def place(books: Engine, tmp_path: Path) -> Place:
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    return Place(books, replace(job_settings(read_settings(), "test"), inbox=tmp_path / "inbox"))


def test_a_file_its_digests_and_manifest_prove_counts_and_they_move_with_it(place: Place) -> None:
    data = a_statement()
    place.demands(ProofKind.DIGEST, ProofKind.MANIFEST)
    place.drop(
        sha256=f"{hashlib.sha256(data).hexdigest()} *a.sta\n",
        sm3=digest_of(data, DigestKind.SM3).upper(),
        ok=f"{MANIFEST}sha256={hashlib.sha256(data).hexdigest()}\nprevious_statement_no: 0000\n",
    )

    outcome, reasons = place.outcome()

    assert outcome == "counted", reasons
    accepted = place.folder / "accepted"
    assert sorted(path.name for path in accepted.iterdir()) == [
        "a.sta", "a.sta.ok", "a.sta.receipt.json", "a.sta.sha256", "a.sta.sm3",
    ]  # fmt: skip
    assert [path.name for path in place.folder.iterdir() if path.is_file()] == []
    with place.books.connect() as connection:
        details = connection.scalar(text("SELECT details FROM audit_event WHERE act = 'intake:statement_file:received'"))
    assert sorted(details["beside"]) == [".ok", ".sha256", ".sm3"], "what proved the file is in the audit log"


def test_the_receipt_tells_the_bank_what_was_read_in_both_languages(place: Place) -> None:
    place.drop()
    place.collected()

    receipt = json.loads((place.folder / "accepted" / "a.sta.receipt.json").read_text())

    assert (receipt["summary_en"], receipt["summary_zh"]) == ("statements read: 1, refused: 0", "读到 1 份对账单，拒收 0 份")
    (one,) = receipt["statements"]
    assert (one["account"], one["date"], one["outcome"], one["outcome_zh"]) == (ACCOUNT, "2026-03-02", "counted", "已入账核对")
    figures = ("currency", "in_count", "in_sum", "out_count", "out_sum", "opening", "closing")
    assert [one[name] for name in figures] == ["CNY", 1, "123.45", 0, "0.00", "0.00", "123.45"]


def test_a_file_too_large_to_read_is_told_so_in_both_languages(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.collect.LARGEST_STATEMENT_BYTES", 10)
    data = place.drop()
    assert place.outcome()[0] == "refused"

    receipt = json.loads((place.folder / "refused" / "a.sta.receipt.json").read_text())

    assert str(len(data)) in receipt["summary_en"]
    assert "拒收" in receipt["summary_zh"]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_signature_is_checked_with_the_banks_own_key(place: Place, kind: str) -> None:
    if kind == "rsa":
        own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signature = own.sign(a_statement(), padding.PKCS1v15(), hashes.SHA256())
    else:
        own = Ed25519PrivateKey.generate()
        signature = own.sign(a_statement())
    demand = ProofDemand(frozenset({ProofKind.SIGNATURE}), pem(own))
    assert check_proofs(a_statement(), "a.sta", {".sig": base64.encodebytes(signature)}, demand) == []
    altered = a_statement().replace(b"123,45", b"923,45")
    assert [one.code for one in check_proofs(altered, "a.sta", {".sig": base64.b64encode(signature)}, demand)] == [
        "signature_wrong"
    ]

    place.demands(ProofKind.SIGNATURE, key=pem(Ed25519PrivateKey.generate()))
    place.drop(sig=base64.b64encode(signature))

    outcome, reasons = place.outcome()
    assert outcome == "held"
    assert "is not this bank's signature" in reasons


@pytest.mark.parametrize(
    ("endings", "says"),
    [
        ({"sha256": "0" * 64}, "it was altered or cut"),
        ({"sm3": "nonsense"}, "does not begin with a digest"),
        ({"sha256": f"{hashlib.sha256(a_statement()).hexdigest()}  b.sta"}, "is about b.sta"),
        ({"sig": "AAAA"}, "holds no public key"),
        ({"ok": MANIFEST.replace("rows: 1", "rows: 2")}, "rows: the manifest of a.sta says 2, the file has 1"),
        ({"ok": MANIFEST.replace("in_sum: 123.45", "in_sum: 123.44")}, "in_sum"),
        ({"ok": MANIFEST.replace("closing: 123.45", "closing: 123.4.5")}, "closing"),
        ({"manifest": "previous_statement_no: 7\n"}, "previous_statement_no"),
        ({"ok": "rows: 1\nrows: 1\n"}, "line 2 of the manifest"),
        ({"ok": "weather: fine\n"}, "line 1 of the manifest"),
        ({"ok": "sha256: " + "0" * 64}, "sha256"),
        ({"ok": "statement_no: " + "9" * 9000}, "statement_no"),
    ],
)
def test_what_does_not_fit_the_file_holds_it_though_nobody_demanded_it(place: Place, endings: dict[str, str], says: str) -> None:
    place.drop(**endings)

    outcome, reasons = place.outcome()

    assert (outcome, says in reasons) == ("held", True), reasons
    receipt = json.loads((place.folder / "held" / "a.sta.receipt.json").read_text())
    assert all(one["message_zh"] for one in receipt["findings"] if one["severity"] == "error")
    with place.books.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM statement_counted")) == 0
        assert connection.scalar(text("SELECT count(*) FROM statement_file")) == 1, "the bytes are kept all the same"


def test_an_empty_ok_says_the_file_is_complete_and_proves_nothing(place: Place) -> None:
    place.drop(ok="")
    assert place.outcome()[0] == "counted"


def test_an_empty_ok_is_not_the_manifest_that_was_demanded(place: Place) -> None:
    place.demands(ProofKind.MANIFEST)
    place.drop(ok="")
    assert "must give sha256 or sm3" in place.outcome()[1]


def test_a_file_waits_for_what_its_sender_owes_and_a_stray_digest_is_named(place: Place) -> None:
    place.demands(ProofKind.DIGEST)
    data = place.drop()
    (place.folder / "z.sta.sha256").write_text("0" * 64)

    waiting = place.collected()

    assert waiting["files"] == []
    assert waiting["passed_over"] == [
        "SWB/z.sta.sha256: belongs to no file here; deliver its file, or remove it",
        "SWB/a.sta: its digest has not come; it is received once that lies beside it",
    ]
    (place.folder / "a.sta.sha256").write_text(hashlib.sha256(data).hexdigest())
    assert place.outcome()[0] == "counted"


def test_held_for_its_signature_it_may_come_again_with_the_right_one(place: Place) -> None:
    own = Ed25519PrivateKey.generate()
    place.demands(ProofKind.SIGNATURE, key=pem(own))
    place.drop(sig=base64.b64encode(b"\0" * 64))
    assert place.outcome()[0] == "held"

    place.drop(sig=base64.b64encode(own.sign(a_statement())))

    assert place.outcome()[0] == "counted"


@pytest.mark.parametrize(
    ("proofs", "says"),
    [
        ("{required: [signature]}", "no public key is given"),
        ("{required: [horoscope]}", "'horoscope' is not one of"),
        ("{required: [], public_key: nonsense}", "public_key"),
    ],
)
def test_demands_that_cannot_be_checked_are_refused_when_read(tmp_path: Path, proofs: str, says: str) -> None:
    path = tmp_path / "banks.yaml"
    path.write_text(
        f'banks:\n  - {{bank_code: X, name_en: X, name_zh: X, profile: mt940, sender_id: x, business_day_cut: "23:00", proofs: {proofs}}}\n'
    )

    with pytest.raises(ConfigRefused, match=says):
        load_banks(path)
