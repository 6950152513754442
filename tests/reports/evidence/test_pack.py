"""A stranger with the pack alone finds every byte that changed and every fact that does not hold."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ledger.signed_note import Note, new_key
from reports.evidence import verify
from reports.evidence.pack import _Unpacked
from reports.evidence.sealed_zip import write_sealed_zip
from reports.evidence.verify import Broken, Key, verify_file
from storage.embedded import embedded_server
from tests.ledger.test_checkpoints import restamp
from tests.reports.evidence.conftest import FIRST, LAST, Told

HLEDGER = shutil.which("hledger")


def whats_broken(path: Path, *keys: str) -> str:
    """The first fact that does not hold; fails when every fact holds."""
    with pytest.raises(Broken) as broken:
        verify_file(str(path), [Key(one) for one in keys])
    return str(broken.value)


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def comment_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.comment


def zipped(path: Path, members: list[tuple[str, bytes]], comment: bytes) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        archive.comment = comment
    return path


def sealed_again(told: Told, path: Path, members: dict[str, bytes], key: object = None) -> Path:
    """As the operator could: members changed, manifest written anew, sealed with the log's own key (or another)."""
    signer = key or told.keys.key
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: {"sha256": verify.sha256(content).hex(), "bytes": len(content)}
        for name, content in members.items()
        if name != "manifest.json"
    }
    written = verify.canonical_json(manifest).encode()

    def seal(digest: str) -> Note:
        said = (
            f"{verify.PACK_FORMAT}\naccount {manifest['account']['number']}\nfrom {manifest['from']} to {manifest['to']}\n"
            f"checkpoint {manifest['closing_checkpoint']}\nmanifest {verify.sha256(written).hex()}\ncontent {digest}\n"
        )
        return Note(said, (signer.sign(said),))  # type: ignore[attr-defined]

    write_sealed_zip(path, {**members, "manifest.json": written}, seal)
    return path


# -- it holds ----------------------------------------------------------------------------------------------------------
def test_the_pack_verifies_alone_in_an_empty_folder_with_the_standard_library_only(told: Told, tmp_path: Path) -> None:
    shutil.copy(told.pack, tmp_path / "pack.zip")
    (tmp_path / "verify.py").write_bytes(members_of(told.pack)["verify.py"])

    for program in ("verify.py", "pack.zip"):
        ended = subprocess.run(
            [sys.executable, "-I", "-S", program, "pack.zip", "--key", told.log_key, "--lang", "en"],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert "VERIFIED" in ended.stdout
        assert "WARNING" not in ended.stderr


def test_without_a_key_it_says_loudly_whose_word_it_takes(told: Told) -> None:
    ended = told.escrow("evidence", "verify", str(told.pack))

    assert ended.returncode == 0
    assert "the public keys come from this file itself" in ended.stderr


def test_the_summary_counts_what_the_books_hold(told: Told) -> None:
    ended = told.escrow("evidence", "verify", str(told.pack), "--json", "--key", told.log_key)
    summary = json.loads(ended.stdout)

    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as conn:
            institution = conn.scalar(
                text("SELECT institution_id FROM custody_account WHERE account_number = :n"), {"n": told.account}
            )
            for table, name in (
                ("transfer", "transfers"),
                ("prepayment", "orders"),
                ("release", "class_hours"),
                ("match", "matches"),
            ):
                count = conn.scalar(text(f"SELECT count(*) FROM {table} WHERE institution_id = :id"), {"id": institution})
                assert summary[name] == count > 0, table
            owed = conn.scalar(
                text(
                    "SELECT -sum(b.balance_minor_units) FROM account_balance b JOIN account a USING (institution_id, account_id) "
                    "WHERE a.kind = ANY(:kinds) AND a.institution_id = :id"
                ),
                {"kinds": list(verify.LIABILITY_KINDS), "id": institution},
            )
        engine.dispose()
    assert summary["owed"] == owed
    assert summary["masked"] < summary["rows"]
    assert summary["outside"] == []


def test_the_same_books_give_the_same_bytes(told: Told, tmp_path: Path) -> None:
    again = told.escrow(
        "evidence", "pack", "--account", told.account, "--from", FIRST, "--to", LAST, "--with-personal-data", "--out",
        str(tmp_path / "again.zip"), user="auditor.wu",
    )  # fmt: skip

    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.zip").read_bytes() == told.pack.read_bytes()


def test_a_pack_of_later_days_begins_with_balances_brought_forward(told: Told, tmp_path: Path) -> None:
    later = told.escrow(
        "evidence",
        "pack",
        "--account",
        told.account,
        "--from",
        "2026-03-05",
        "--to",
        "2026-03-06",
        "--out",
        str(tmp_path / "p.zip"),
    )
    assert later.returncode == 0, later.stderr

    summary = verify_file(str(tmp_path / "p.zip"), [Key(told.log_key)])

    whole = verify_file(str(told.pack), [Key(told.log_key)])
    assert 0 < summary["transfers"] < whole["transfers"]
    manifest = json.loads(members_of(tmp_path / "p.zip")["manifest.json"])
    assert manifest["opening_batch"] > 0
    assert b"(masked)" in members_of(tmp_path / "p.zip")["tables/statement_line.csv"]


def test_both_programs_accept_the_journals(told: Told, tmp_path: Path) -> None:
    from beancount import loader

    for name in ("books.journal", "books.beancount"):
        (tmp_path / name).write_bytes(members_of(told.pack)[name])
    assert loader.load_file(str(tmp_path / "books.beancount"))[1] == []
    if HLEDGER is None:
        pytest.skip("hledger is not installed (apt-get install hledger); beancount accepted its journal")
    done = subprocess.run(
        [HLEDGER, "-f", str(tmp_path / "books.journal"), "check", "--strict"], capture_output=True, text=True, check=False,
        env={"LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# -- not a byte --------------------------------------------------------------------------------------------------------
def test_no_single_byte_of_the_file_can_change(told: Told, tmp_path: Path) -> None:
    whole, changed = told.pack.read_bytes(), tmp_path / "changed.zip"
    draw = random.Random(7)
    ends = [*range(8), *range(len(whole) - 1200, len(whole), 7)]
    for position in [*ends, *(draw.randrange(len(whole)) for _ in range(150))]:
        content = bytearray(whole)
        content[position] ^= 1 << draw.randrange(8)
        changed.write_bytes(content)
        assert whats_broken(changed, told.log_key), position


def test_no_single_byte_of_any_member_can_change_even_when_it_is_zipped_again(told: Told, tmp_path: Path) -> None:
    members, comment, draw = members_of(told.pack), comment_of(told.pack), random.Random(8)
    for name, content in members.items():
        for _ in range(1 + (len(content) > 2000)):
            changed = bytearray(content)
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            path = zipped(
                tmp_path / "c.zip", [(one, bytes(changed) if one == name else kept) for one, kept in members.items()], comment
            )
            assert whats_broken(path, told.log_key).startswith(name)


def test_members_cannot_be_removed_added_doubled_or_put_in_another_order(told: Told, tmp_path: Path) -> None:
    members, comment, path = list(members_of(told.pack).items()), comment_of(told.pack), tmp_path / "c.zip"
    for name, _ in members:
        without = [each for each in members if each[0] != name]
        assert name in whats_broken(zipped(path, without, comment), told.log_key)
    assert "does not know this member" in whats_broken(zipped(path, [*members, ("more.csv", b"x")], comment), told.log_key)
    for doubled in (members[3], (members[3][0], b"other")):
        assert "twice" in whats_broken(zipped(path, [*members, doubled], comment), told.log_key)
    assert "between its members" in whats_broken(zipped(path, members[::-1], comment), told.log_key)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_pack_is_refused(told: Told, tmp_path: Path, share: float) -> None:
    whole = told.pack.read_bytes()
    (tmp_path / "c.zip").write_bytes(whole[: int(len(whole) * share)])

    assert whats_broken(tmp_path / "c.zip", told.log_key)


def test_bytes_before_or_after_the_zip_are_refused(told: Told, tmp_path: Path) -> None:
    whole = told.pack.read_bytes()
    for content in (whole + b"\n", b"#!/bin/sh\n" + whole):
        (tmp_path / "c.zip").write_bytes(content)
        assert whats_broken(tmp_path / "c.zip", told.log_key)


def test_a_stranger_s_zip_of_countless_members_is_refused_at_once(told: Told, tmp_path: Path) -> None:
    """Anybody can put a copied seal on a zip of their own; what it unpacks to must cost no more than looking at it."""
    members, comment = list(members_of(told.pack).items()), comment_of(told.pack)
    countless = zipped(tmp_path / "c.zip", [*members, *((f"zz{number}", b"") for number in range(40_000))], comment)
    started = time.monotonic()
    assert whats_broken(countless, told.log_key) == "zz0: the manifest does not know this member"
    assert time.monotonic() - started < 20  # compared each with each it took minutes


def test_a_stranger_s_seal_is_refused_before_anything_is_unpacked(told: Told, tmp_path: Path) -> None:
    seal = comment_of(told.pack).replace(b"\naccount ", b"\naccount 9", 1)

    assert "the signature is wrong" in whats_broken(zipped(tmp_path / "c.zip", [], seal), told.log_key)


def test_a_pack_somebody_else_sealed_is_refused_with_the_key_at_hand(told: Told, tmp_path: Path) -> None:
    forged = sealed_again(told, tmp_path / "c.zip", members_of(told.pack), key=new_key(told.keys.key.name, 1))

    assert "not signed with the log's key" in whats_broken(forged, told.log_key)
    assert "not signed with the log's key" in whats_broken(forged)
    assert "not signed with the log's key" in whats_broken(told.pack, str(new_key("other.example", 1).public_key))


def test_the_command_exits_with_3_and_names_the_fact(told: Told, tmp_path: Path) -> None:
    members = members_of(told.pack)
    members["tables/release.csv"] = members["tables/release.csv"].replace(b"payer", b"payor", 1)
    sealed_again(told, tmp_path / "c.zip", members)

    ended = told.escrow("evidence", "verify", str(tmp_path / "c.zip"), "--key", told.log_key, "--json")

    assert ended.returncode == 3
    named = json.loads(ended.stdout)
    assert named["file"] == "tables/release.csv"
    assert named["row"].startswith("line ")
    assert "digest is another" in named["what"]


# -- not a fact: the operator has the key and seals the changed pack again ----------------------------------------------
def _last_line(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:-1])


FORGERIES = {
    "a transfer's amount": ("tables/transfer.csv", lambda c: c.replace(b",CNY,", b"0,CNY,", 1), "its leaf is not the digest"),
    "a transfer left out": ("tables/transfer.csv", _last_line, "tables/transfer.csv"),
    "a batch left out": ("tables/posting_batch.csv", _last_line, "posting_batch"),
    "a confirmation left out": ("tables/class_hour_event.csv", _last_line, "class_hour_event"),
    "an account's opening": ("tables/balances.csv", lambda c: c.replace(b",0,0,", b",0,1,", 1), "it opens at 0"),
    "a hledger line": ("books.journal", lambda c: c.replace(b".00 CNY", b".01 CNY", 1), "it does not follow from tables/transfer.csv"),
    "a beancount line": ("books.beancount", lambda c: c[:-2] + b"X\n", "it does not follow from tables/transfer.csv"),
    "a note": ("checkpoints/000002.note", lambda c: c.replace(b"2026-03-03", b"2026-03-04"), "the signature is wrong"),
    "a proof": ("proofs.json", lambda c: c.replace(b'"log', b'"Log', 1) if b'"log' in c else c.replace(b"log 1", b"log 2", 1), "proofs.json"),
    "a rule": ("policies/330000.yaml", lambda c: c.replace(b"7", b"8", 1), "policies"),
    "a bank's file": ("statements/", lambda c: c + b" ", "not as it was recorded"),
    "an event of the audit log not told of": ("tables/audit_chain.csv", _last_line, "were sealed; these are"),
    "another event left out": ("tables/audit_chain.csv", lambda c: c[:-2] + (b"0\n" if c[-2:-1] != b"0" else b"1\n"), "were sealed; these are"),
    "an event of the audit log itself": ("tables/audit_event.csv", lambda c: c.replace(b",supervisor,", b",auditor,", 1) if b",supervisor," in c else c.replace(b",system,", b",auditor,", 1), "not as it was recorded"),
    "what was sealed": ("seals.json", lambda c: c.replace(b'"orders": [\n    ', b'"orders": [\n    1', 1), "its digest is not the one"),
    "a nonce": ("tables/liabilities.csv", lambda c: c[:-3] + (b"00\n" if c[-3:-1] != b"00" else b"11\n"), "do not lead to the root"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_the_operator_cannot_tell_another_fact(told: Told, tmp_path: Path, what: str) -> None:
    start, change, expected = FORGERIES[what]
    members = members_of(told.pack)
    name = next(one for one in members if one.startswith(start))
    assert change(members[name]) != members[name]
    members[name] = change(members[name])
    if change is _last_line:
        manifest = json.loads(members["manifest.json"])
        manifest["tables"][name.removeprefix("tables/").removesuffix(".csv")]["rows"] -= 1
        members["manifest.json"] = json.dumps(manifest).encode()

    broken = whats_broken(sealed_again(told, tmp_path / "c.zip", members), told.log_key)

    assert expected in broken


@pytest.fixture(scope="module")
def late(told: Told) -> Path:
    """A pack that begins with balances brought forward."""
    out = told.data / "late.zip"
    packed = told.escrow(
        "evidence", "pack", "--account", told.account, "--from", "2026-03-05", "--to", "2026-03-06", "--out", str(out)
    )
    assert packed.returncode == 0, packed.stderr
    return out


def _cell(member: bytes, row: int, column: str, change: Callable[[str], str]) -> bytes:
    """A table with one cell changed; ``row`` 1 is the first."""
    rows = list(csv.reader(io.StringIO(member.decode(), newline="")))
    at = rows[0].index(column)
    rows[row][at] = change(rows[row][at])
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def test_balances_brought_forward_are_proved(told: Told, late: Path) -> None:
    summary = verify_file(str(late), [Key(told.log_key)])
    balances = list(csv.DictReader(io.StringIO(members_of(late)["tables/balances.csv"].decode())))

    assert summary["openings"] == sum(row["opening_seq"] != "0" for row in balances) > 10
    assert "openings" not in verify_file(str(told.pack), [Key(told.log_key)])


OPENINGS = {
    "amount_minor_units": ("is not in batch", lambda cell: cell + "0"),
    "reason": ("is not in batch", lambda cell: cell + "x"),
    "debit_balance_minor_units": ("is not in batch", lambda cell: str(int(cell) + 1)),
    "credit_seq": ("is not in batch", lambda cell: str(int(cell) + 1)),
    "path": ("is not in batch|too short|too long", lambda cell: cell[:-1] + ("0" if cell[-1:] != "0" else "1") if cell else "00" * 32),
    "line": ("is not in batch|outside|too short|too long", lambda cell: str(int(cell) + 1)),
    "batch_id": ("is not in batch|a batch of the period|too short|too long|outside", lambda cell: str(int(cell) + 1)),
    "account_id": ("of other accounts|stands here twice|no such account", lambda cell: str(int(cell) + 1)),
}  # fmt: skip


@pytest.mark.parametrize("column", OPENINGS)
def test_no_part_of_the_proof_of_an_opening_balance_can_change(told: Told, late: Path, tmp_path: Path, column: str) -> None:
    expected, change = OPENINGS[column]
    members = members_of(late)
    members["tables/opening.csv"] = _cell(members["tables/opening.csv"], 1, column, change)

    assert re.search(expected, whats_broken(sealed_again(told, tmp_path / "c.zip", members), told.log_key))


def test_an_account_cannot_bring_forward_more_than_its_last_posting_left(told: Told, late: Path, tmp_path: Path) -> None:
    """Two accounts, so that debits and credits still agree; and the posting that would say so left out."""
    members = members_of(late)
    rows = list(csv.DictReader(io.StringIO(members["tables/balances.csv"].decode())))
    one, other = [number for number, row in enumerate(rows, 1) if row["opening_seq"] != "0"][:2]
    for row, by in ((one, 1), (other, -1)):
        for column in ("opening_minor_units", "closing_minor_units"):
            members["tables/balances.csv"] = _cell(
                members["tables/balances.csv"], row, column, lambda cell, by=by: str(int(cell) + by)
            )  # type: ignore[misc]
    said = whats_broken(sealed_again(told, tmp_path / "c.zip", members), told.log_key)
    assert "is brought forward" in said or "holds" in said

    manifest = json.loads(members["manifest.json"])
    lines = members["tables/opening.csv"].splitlines(keepends=True)
    kept = [
        line
        for line in lines[1:]
        if not line.startswith((f"{rows[one - 1]['account_id']},".encode(), f"{rows[other - 1]['account_id']},".encode()))
    ]
    manifest["tables"]["opening"]["rows"] = len(kept)
    members |= {"tables/opening.csv": b"".join([lines[0], *kept]), "manifest.json": json.dumps(manifest).encode()}
    said = whats_broken(sealed_again(told, tmp_path / "d.zip", members), told.log_key)
    assert "nothing proves the balance it brings forward" in said or "holds" in said


def test_openings_without_their_proofs_are_refused(told: Told, late: Path, tmp_path: Path) -> None:
    members = members_of(late)
    manifest = json.loads(members["manifest.json"])
    del members["tables/opening.csv"], manifest["tables"]["opening"]
    members["manifest.json"] = json.dumps(manifest).encode()

    assert "nothing proves the balances brought forward" in whats_broken(
        sealed_again(told, tmp_path / "c.zip", members), told.log_key
    )


def test_events_of_the_audit_log_that_are_left_out_are_told_of(told: Told) -> None:
    summary = verify_file(str(told.pack), [Key(told.log_key)])
    members = members_of(told.pack)
    chain = list(csv.DictReader(io.StringIO(members["tables/audit_chain.csv"].decode())))

    assert summary["audit_events"] > 0
    assert summary["audit_left_out"] > 0
    assert summary["audit_events"] + summary["audit_left_out"] == len(chain)
    assert [row["seq"] for row in chain] == [str(number) for number in range(1, len(chain) + 1)]
    assert list(chain[0]) == ["seq", "seal", "digest"], "nothing of the others' events but their digests"


def test_a_workbook_that_shows_another_amount_is_named_by_its_cell(told: Told, tmp_path: Path) -> None:
    members = members_of(told.pack)
    (tmp_path / "book.xlsx").write_bytes(members["workbook.xlsx"])
    sheets = members_of(tmp_path / "book.xlsx")
    changed = sheets["xl/worksheets/sheet2.xml"].replace(b"<v>", b"<v>1", 3)
    assert changed != sheets["xl/worksheets/sheet2.xml"]
    zipped(tmp_path / "book.xlsx", [*{**sheets, "xl/worksheets/sheet2.xml": changed}.items()], b"")
    members["workbook.xlsx"] = (tmp_path / "book.xlsx").read_bytes()

    broken = whats_broken(sealed_again(told, tmp_path / "c.zip", members), told.log_key)

    assert broken.startswith("workbook.xlsx, sheet transfers, row 2, column 1")


def test_a_past_rewritten_in_the_database_contradicts_the_checkpoints_in_the_pack(told: Told, tmp_path: Path) -> None:
    """The owner changes who posted a batch, restamps its digest, and packs with the right key: the signed log tells."""
    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as conn:
            conn.execute(text("ALTER TABLE posting_batch DISABLE TRIGGER ALL"))
            conn.execute(text("UPDATE posting_batch SET actor = 'somebody' WHERE batch_id = 2"))
            restamp(conn, "posting_batch", "batch_id = 2")
            from escrow.store import custody_accounts
            from reports.evidence.pack import write_pack

            (account,) = [one for one in custody_accounts(conn) if one.account_number == told.account]
            from datetime import date

            write_pack(
                conn, account, date.fromisoformat(FIRST), date.fromisoformat(LAST), tmp_path / "c.zip", key=told.keys.key,
                secret=told.keys.secret, personal=False,
            )  # fmt: skip
            conn.rollback()
        engine.dispose()

    assert "posting_batch" in whats_broken(tmp_path / "c.zip", told.log_key)


# -- who may -----------------------------------------------------------------------------------------------------------
def test_personal_data_is_for_those_who_may_see_it_and_every_pack_is_audited(told: Told, tmp_path: Path) -> None:
    arguments = ("evidence", "pack", "--account", told.account, "--from", FIRST, "--to", LAST, "--out", str(tmp_path / "p.zip"))

    refused = told.escrow(*arguments, "--with-personal-data", user="zhang.prepare")
    assert refused.returncode == 1
    assert "may not do ledger.export_personal" in refused.stderr
    outside = told.escrow(*arguments, user="wang.hangzhou")
    assert outside.returncode in (0, 1)

    assert told.escrow(*arguments, user="zhang.prepare").returncode == 0
    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as conn:
            event = conn.execute(
                text(
                    "SELECT actor, object_id, details FROM audit_event WHERE act = 'cli:evidence_pack:exported' ORDER BY seq DESC LIMIT 1"
                )
            ).one()
        engine.dispose()
    assert (event.actor, event.object_id, event.details["personal_data"]) == ("zhang.prepare", told.account, False)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [("2025-01-01", "2025-01-31", "there is no checkpoint from 2025-01-01"), ("2026-03-05", "2026-03-04", "is after")],
)
def test_a_period_without_a_checkpoint_is_refused_with_what_to_do(
    told: Told, tmp_path: Path, first: str, last: str, says: str
) -> None:
    ended = told.escrow(
        "evidence", "pack", "--account", told.account, "--from", first, "--to", last, "--out", str(tmp_path / "p.zip")
    )

    assert ended.returncode in (1, 2)
    assert says in " ".join(ended.stderr.replace("│", " ").split())
    assert not (tmp_path / "p.zip").exists()


def test_who_waits_is_told_what_is_being_done(
    told: Told, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(verify, "TOLD_EVERY", 5)

    verify_file(str(told.pack), [Key(told.log_key)], heard.append)

    assert "tables/transfer.csv" in heard
    assert heard[-1] == "policies", "the last fact that is derived"
    assert any(re.fullmatch(r"tables/transfer.csv 5 / [0-9,]+", one) for one in heard)
    _Unpacked(told.data, {}).progress("a pack that is being written has nobody who waits for its rows")
    verify.tell_progress("transfers")
    verify.tell_progress("")
    assert capsys.readouterr().err.endswith(" " * 78 + "\r")
