"""Instruction files reach the banks in their own layouts, with digests and a signature a bank can check by itself."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from lxml import etree
from sqlalchemy import Connection

from bank_adapters.detached import DigestKind, digest_of
from entrypoints.bootstrap import job_settings
from entrypoints.settings import read_settings
from escrow.instructions import find_instruction
from jobs import daily
from jobs.instruction_key import KEY_FILE, InstructionKeyRefused, make_instruction_key, public_key_text, read_instruction_key
from jobs.settings import JobSettings
from tests.escrow.conftest import District

DAY = date(2025, 3, 5)
NOW = datetime(2025, 3, 5, 8, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> JobSettings:
    return replace(job_settings(read_settings(), "test"), outbox=tmp_path / "outbox", keys=tmp_path / "keys")


@pytest.fixture
def due(connection: Connection) -> District:
    """One class-hour of one order to pay out at each of three banks."""
    district = District(connection)
    for number, bank in enumerate(("NRB", "HBB", "ISB"), 1):
        district.found(number, bank_code=bank)
        order = district.paid(f"ORD{number}", number)
        district.bank_shows(order)
        district.taught(order, 1, "2025-03-05")
        district.confirmed(order, 1, "2025-03-05")
    district.released("2025-03-05")
    return district


def sent(due: District, settings: JobSettings) -> dict[str, bytes]:
    daily.disburse(due.conn, DAY, settings, NOW)
    daily.send(due.conn, DAY, settings, NOW)
    return {path.name: path.read_bytes() for path in settings.outbox.rglob("*") if path.is_file()}


def test_each_bank_gets_its_own_layout_with_digests_beside(due: District, settings: JobSettings) -> None:
    files = sent(due, settings)

    names = ["HBB-disbursement-20250305-01.txt", "ISB-disbursement-20250305-01.xml", "NRB-disbursement-20250305-01.csv"]
    assert sorted(files) == sorted(name + ending for name in names for ending in ("", ".sha256", ".sm3"))
    for name in names:
        assert files[f"{name}.sha256"].decode() == f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n"
        assert files[f"{name}.sm3"].decode() == f"{digest_of(files[name], DigestKind.SM3)}  {name}\n"
    assert "10000" in files["HBB-disbursement-20250305-01.txt"].decode("gb18030")
    (amount,) = etree.fromstring(files["ISB-disbursement-20250305-01.xml"]).iter("{*}InstdAmt")
    assert amount.text == "100.00"
    assert due.faults() == []


@pytest.mark.parametrize(
    ("kind", "of_abc"),
    [
        # FIPS 180-4 and GB/T 32905-2016, example 1 of each
        (DigestKind.SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (DigestKind.SM3, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
    ],
)
def test_digests_are_those_of_the_standards(kind: DigestKind, of_abc: str) -> None:
    assert digest_of(b"abc", kind) == of_abc


@pytest.mark.parametrize("with_sm2", [False, True])
def test_sending_again_changes_nothing(due: District, settings: JobSettings, with_sm2: bool) -> None:
    made = make_instruction_key(settings.keys, with_sm2=with_sm2)
    assert public_key_text(read_instruction_key(settings.keys) or made) == public_key_text(made)
    first = sent(due, settings)

    assert daily.send(due.conn, DAY, settings, NOW) == {"files_placed": 0}
    assert sent(due, settings) == first


def test_a_bank_proves_the_signature_with_the_public_key_alone(due: District, settings: JobSettings) -> None:
    public = load_pem_public_key(public_key_text(make_instruction_key(settings.keys)).encode())

    files = sent(due, settings)

    name = "NRB-disbursement-20250305-01.csv"
    public.verify(base64.b64decode(files[f"{name}.sig"]), files[name])  # type: ignore[union-attr,call-arg,arg-type]
    assert (settings.keys / KEY_FILE).stat().st_mode & 0o077 == 0
    with pytest.raises(InstructionKeyRefused, match="exists"):
        make_instruction_key(settings.keys)


def test_a_refund_whose_number_the_banks_format_cannot_carry_is_named_and_stays(
    connection: Connection, settings: JobSettings
) -> None:
    district = District(connection)
    district.found(1, bank_code="ISB")
    for order, request in (("ORD1", "R" * 34), ("ORD2", "R2")):
        district.paid(order)
        district.bank_shows(order)
        district.asks_refund(request, order, "2025-03-05", agreed_on="2025-03-05")
    district.refunded("2025-03-05")

    result = daily.disburse(connection, DAY, settings, NOW)

    assert (result["refunds"], result["outstanding"]) == (1, True)
    (told,) = result["unwritable"]
    assert told.startswith(f"ISB RF{'R' * 34}: EndToEndId")
    assert district.count("refund_instruction") == 1
    assert district.faults() == []


def test_answers_dropped_by_a_bank_are_taken_in_and_moved_with_a_receipt(
    due: District, settings: JobSettings, tmp_path: Path
) -> None:
    settings = replace(settings, inbox=tmp_path / "inbox")
    sent(due, settings)
    due.conn.commit()
    folder = settings.inbox / "NRB" / "answers"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("reference,status,reason\nDI2025030500000001,rejected,account closed\n")
    (folder / "b.csv").write_text("reference,status\nDI9,accepted\n")

    result = daily.collect(due.conn, DAY, settings, NOW)

    assert [(one["file"], one["outcome"]) for one in result["files"]] == [
        ("NRB/answers/a.csv", "recorded"), ("NRB/answers/b.csv", "refused"),
    ]  # fmt: skip
    assert (result["files_accepted"], result["files_refused"], result["outstanding"], result["passed_over"]) == (1, 1, True, [])
    told = json.loads((folder / "refused" / "b.csv.receipt.json").read_text())
    assert (told["summary_zh"], "no instruction DI9" in told["answers"][0]["why"]) == ("采用 0 条，拒收 1 条", True)
    assert [path.name for path in folder.iterdir() if path.is_file()] == []
    assert find_instruction(due.conn, "DI2025030500000001").state == "rejected"
    again = daily.collect(due.conn, DAY, settings, NOW)
    assert (again["files"], again["outstanding"]) == ([], False)
