"""Archived months: what may be archived, that the file proves itself, that no byte of it can change, and that verify asks for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from entrypoints.cli import app
from jobs.archiving import archive_closed_months
from jobs.verifying import faults_in_books
from ledger.archive import Archive, ArchiveRefused, archives, record_archive, require_archivable
from ledger.checkpoints import last_checkpoint
from ledger.period import close_period, prepare_reopening, reopen_period
from ledger.store import verify
from migrations import runner
from reports.evidence.archive import WrittenArchive, write_archive
from reports.evidence.verify import Broken, Key, verify_file
from storage.backup import back_up, read_backup, restore
from storage.catalogue import schema_faults
from storage.embedded import EmbeddedServer
from tests.ledger.test_checkpoints import KEY, Log, log

__all__ = ["log"]  # a fixture

MARCH, APRIL = date(2025, 3, 1), date(2025, 4, 7)
LATER = datetime(2025, 5, 2, 9, 0, tzinfo=UTC)
CASH, HELD_A = ("custody_cash", ""), ("prepayment_held", "A")
TRUSTED = [Key(str(KEY.public_key))]


@pytest.fixture
def march(log: Log) -> Log:
    """Five transfers of March in four batches, one batch shared with April; March closed and under the checkpoint."""
    desk = log.desk
    desk.post(desk.transfer(CASH, HELD_A, 7, "m"), desk.transfer(CASH, HELD_A, 5, "a", day=APRIL))
    close_period(log.conn, 7, MARCH, now=LATER, actor="li", reason="over")
    log.closed(date(2025, 4, 30))
    log.conn.commit()
    return log


def written(log: Log, out: Path) -> tuple[WrittenArchive, int]:
    point = last_checkpoint(log.conn)
    assert point is not None
    require_archivable(log.conn, MARCH, point.checkpoint_no)
    return write_archive(log.conn, MARCH, point, out), point.checkpoint_no


def recorded(log: Log, out: Path, **changed: Any) -> Archive:
    one, checkpoint = written(log, out)
    given: dict[str, Any] = {
        "month": MARCH, "edition": 0, "checkpoint_no": checkpoint, "transfer_count": one.transfers, "leaves": one.leaves,
        "file_name": out.name, "file_sha256": one.file_sha256, "file_bytes": one.file_bytes, "actor": "li", "made_at": LATER,
    }  # fmt: skip
    return record_archive(log.conn, Archive(**(given | changed)))


def test_an_archive_holds_every_transfer_of_the_month_and_proves_each_offline(march: Log, tmp_path: Path) -> None:
    out = tmp_path / "march.jsonl"
    one, _ = written(march, out)
    of_march = march.conn.execute(
        text("SELECT transfer_id::text FROM transfer WHERE booking_date < '2025-04-01' ORDER BY institution_id, batch_id, line")
    ).scalars()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]

    assert [line["transfer"]["transfer_id"] for line in lines if "transfer" in line] == list(of_march)
    proved = verify_file(str(out), TRUSTED)
    assert (proved["month"], proved["transfers"], proved["leaves"]) == ("2025-03", one.transfers, one.leaves.hex())
    assert one.transfers == 6
    assert one.file_bytes == out.stat().st_size
    with pytest.raises(FileExistsError):
        written(march, out)


def test_no_byte_of_an_archive_changes_unnoticed(march: Log, tmp_path: Path) -> None:
    out, forged = tmp_path / "march.jsonl", tmp_path / "forged.jsonl"
    written(march, out)
    right = out.read_bytes()
    chosen = random.Random(5).sample(range(len(right)), 150)
    for at in chosen:
        forged.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
        with pytest.raises(Broken):
            verify_file(str(forged), TRUSTED)
    rows = right.splitlines(keepends=True)
    for gone in range(len(rows)):
        forged.write_bytes(b"".join(rows[:gone] + rows[gone + 1 :]))
        with pytest.raises(Broken):
            verify_file(str(forged), TRUSTED)
    forged.write_bytes(right + b"x")
    with pytest.raises(Broken):
        verify_file(str(forged), TRUSTED)


def test_a_forger_who_counts_anew_is_named_by_the_signed_log(march: Log, tmp_path: Path) -> None:
    """Amount, count, leaves and the last line's digest all made to fit: the batch is not the one that was signed."""
    from hashlib import sha256

    from reports.evidence.verify import archive_line, transfer_leaf

    out = tmp_path / "march.jsonl"
    written(march, out)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    leaves, batch = sha256(), 0
    changed = next(line for line in lines if "transfer" in line)
    changed["transfer"]["amount_minor_units"] += 1
    for line in lines:
        batch = line["batch"]["batch_id"] if "batch" in line else batch
        if "transfer" in line:
            leaves.update(transfer_leaf(7, batch, line["transfer"]))
    lines[-2]["leaves"] = leaves.hexdigest()
    lines[-1]["sha256"] = sha256(b"".join(archive_line(line) for line in lines[:-1])).hexdigest()
    out.write_bytes(b"".join(archive_line(line) for line in lines))
    with pytest.raises(Broken, match="is not in the log that was signed"):
        verify_file(str(out), TRUSTED)


def test_an_open_month_or_one_no_checkpoint_covers_is_not_archived(log: Log, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="2025-03 is not closed at institution 7"):
        written(log, tmp_path / "x")
    with pytest.raises(ArchiveRefused, match="nothing is booked in 2024-01"):
        require_archivable(log.conn, date(2024, 1, 1), 1)
    log.desk.post(log.desk.transfer(CASH, HELD_A, 7, "m"))
    close_period(log.conn, 7, MARCH, now=LATER, actor="li", reason="over")
    with pytest.raises(ArchiveRefused, match="no checkpoint covers"):
        written(log, tmp_path / "x")


def test_the_database_records_no_archive_that_holds_something_else(march: Log, tmp_path: Path) -> None:
    for number, (changed, rule) in enumerate((
        ({"transfer_count": 5}, "holds 6 transfers, its archive 5"),
        ({"leaves": bytes(32)}, "or others than those"),
        ({"checkpoint_no": 1}, "no checkpoint covers yet"),
        ({"month": date(2025, 4, 1)}, "2025-04 is not closed"),
    )):  # fmt: skip
        with pytest.raises(ArchiveRefused, match=rule):
            recorded(march, tmp_path / str(number), **changed)
    for statement in ("UPDATE journal_archive SET file_name = 'x'", "DELETE FROM journal_archive", "TRUNCATE journal_archive"):
        attempt = march.conn.begin_nested()
        recorded(march, tmp_path / statement[:3])
        with pytest.raises(DBAPIError, match="of journal_archive refused"):
            march.conn.execute(text(statement))
        attempt.rollback()


def test_what_is_booked_after_a_reopening_makes_another_edition_and_breaks_none(march: Log, tmp_path: Path) -> None:
    first = recorded(march, tmp_path / "1")
    prepare_reopening(march.conn, 7, MARCH, now=LATER, actor="zhang", reason="late bill")
    reopen_period(march.conn, 7, MARCH, now=LATER, actor="li", reason="late bill")
    march.desk.post(march.desk.transfer(CASH, HELD_A, 9, "late"))
    assert [one.later for one in archives(march.conn)] == [1]
    with pytest.raises(ArchiveRefused, match="is not closed"):
        recorded(march, tmp_path / "2")
    close_period(march.conn, 7, MARCH, now=LATER, actor="li", reason="over again")
    march.closed(date(2025, 5, 2))
    second = recorded(march, tmp_path / "2")

    assert (first.edition, second.edition, second.transfer_count) == (1, 2, first.transfer_count + 1)
    assert [one.later for one in archives(march.conn)] == [1, 0]
    assert verify(march.conn) == []


def test_verify_names_a_month_that_is_no_longer_what_its_archive_says(march: Log, tmp_path: Path) -> None:
    recorded(march, tmp_path / "1")
    assert verify(march.conn) == []
    march.conn.execute(text("ALTER TABLE journal_archive DISABLE TRIGGER USER"))
    march.conn.execute(text("UPDATE journal_archive SET transfer_count = 5"))
    assert "journal_archive" in {fault.table for fault in verify(march.conn)}
    march.conn.rollback()
    recorded(march, tmp_path / "2")
    march.conn.execute(text("ALTER TABLE transfer DISABLE TRIGGER USER"))
    march.conn.execute(text("UPDATE transfer SET leaf = sha256(leaf) WHERE batch_id = 2 AND line = 1"))
    named = [fault for fault in verify(march.conn) if fault.table == "journal_archive"]
    assert [fault.row for fault in named] == ["month 2025-03, edition 1"]
    assert "holds 6 transfers" in named[0].what


def silent(*_: object) -> None:
    """Nobody is told of progress."""


@contextmanager
def restored(books: Engine, server: EmbeddedServer, file: Path) -> Iterator[Connection]:
    """The same books once more, out of a backup of them."""
    back_up(
        books, file, revision=runner.head_revision(), made_at=LATER, made_by="li", anchors=lambda _: {}, progress=silent
    )  # fmt: skip
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text("CREATE DATABASE archived_again"))
    again = create_engine(server.url("archived_again"), connect_args={"options": "-c timezone=UTC"})
    try:
        restore(again, file, read_backup(file, silent), anchors=lambda _: {}, prove=silent, progress=silent)
        with again.connect() as connection:
            yield connection
    finally:
        again.dispose()
        with administration.connect() as connection:
            connection.execute(text("DROP DATABASE archived_again WITH (FORCE)"))
        administration.dispose()


def test_archives_are_in_a_backup_and_what_they_say_is_proved_after_its_restore(
    march: Log, books: Engine, server: EmbeddedServer, tmp_path: Path
) -> None:
    recorded(march, tmp_path / "1")
    march.conn.commit()
    with restored(books, server, tmp_path / "books.backup") as connection:
        assert archives(connection) == archives(march.conn)
        assert verify(connection) == []
        of_schema = [fault for fault in faults_in_books(connection) if fault.table.startswith(("schema", "pg_"))]
        assert of_schema == []


def test_the_commands_archive_list_and_check(march: Log, books_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.setenv("ESCROW_USER", "")
    out = tmp_path / "march.jsonl"

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    assert "no month is archived" in run("ledger", "archives").stdout
    made = run("--as", "zhang.prepare", "ledger", "archive", "2025-03", "--out", out, "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["transfers"] == 6
    assert run("evidence", "verify", out).exit_code == 0
    assert "proved" in run("ledger", "archives", "--check", tmp_path).stdout
    right = out.read_bytes()
    out.write_bytes(right.replace(b"receipt", b"receipf", 1))
    changed = run("ledger", "archives", "--check", tmp_path)
    assert (changed.exit_code, "was changed" in changed.stdout) == (3, True)
    assert run("evidence", "verify", out).exit_code == 3
    out.unlink()
    missing = run("ledger", "archives", "--check", tmp_path, "--json")
    assert (missing.exit_code, "is missing" in json.loads(missing.stdout)["archives"][0]["check"]) == (3, True)
    refused = run("--as", "auditor.wu", "ledger", "archive", "2025-03", "--out", out)
    assert "may not do period.close" in str(refused.exception)
    assert not out.exists()


def _job_settings(folder: Path, after_days: int = 30) -> Any:
    return SimpleNamespace(archive=folder, archive_after_days=after_days, actor="system")


#: The month was closed on 2 May in Shanghai (``LATER``).
@pytest.mark.parametrize(("day", "archived"), [(date(2025, 5, 31), []), (date(2025, 6, 1), ["journal-2025-03.jsonl"])])
def test_the_job_archives_a_month_the_configured_days_after_it_was_closed(
    march: Log, tmp_path: Path, day: date, archived: list[str]
) -> None:
    told = archive_closed_months(march.conn, day, _job_settings(tmp_path / "archive"), LATER)

    assert (told["archived"], told["waiting"]) == (archived, [])
    assert [one.file_name for one in archives(march.conn)] == archived
    if archived:
        proved = verify_file(str(tmp_path / "archive" / archived[0]), TRUSTED)
        assert proved["transfers"] == archives(march.conn)[0].transfer_count
        assert archive_closed_months(march.conn, day, _job_settings(tmp_path / "archive"), LATER)["archived"] == [], "once"
        assert verify(march.conn) == []


def test_a_month_that_is_open_somewhere_is_not_archived_by_the_job(march: Log, tmp_path: Path) -> None:
    prepare_reopening(march.conn, 7, MARCH, now=LATER, actor="li", reason="late")
    reopen_period(march.conn, 7, MARCH, now=LATER, actor="wu", reason="approved")

    assert archive_closed_months(march.conn, date(2026, 1, 1), _job_settings(tmp_path), LATER)["archived"] == []


def test_a_month_booked_into_again_gets_another_edition_by_the_job(march: Log, tmp_path: Path) -> None:
    folder, day = tmp_path / "archive", date(2025, 7, 1)
    archive_closed_months(march.conn, day, _job_settings(folder), LATER)
    first = (folder / "journal-2025-03.jsonl").read_bytes()
    prepare_reopening(march.conn, 7, MARCH, now=LATER, actor="li", reason="late")
    reopen_period(march.conn, 7, MARCH, now=LATER, actor="wu", reason="approved")
    march.desk.post(march.desk.transfer(CASH, HELD_A, 3, "late"))
    close_period(march.conn, 7, MARCH, now=LATER, actor="li", reason="over")
    unsigned = archive_closed_months(march.conn, day, _job_settings(folder), LATER)
    assert unsigned["archived"] == []
    assert "no checkpoint covers yet" in unsigned["waiting"][0]
    assert unsigned["outstanding"] is True

    march.closed(date(2025, 7, 1))
    told = archive_closed_months(march.conn, day, _job_settings(folder), LATER)

    assert told["archived"] == ["journal-2025-03-2.jsonl"]
    assert (folder / "journal-2025-03.jsonl").read_bytes() == first, "an edition is never written over"
    assert [one.edition for one in archives(march.conn)] == [1, 2]


def test_a_file_of_a_run_that_was_undone_is_written_anew(march: Log, tmp_path: Path) -> None:
    attempt = march.conn.begin_nested()
    archive_closed_months(march.conn, date(2025, 7, 1), _job_settings(tmp_path), LATER)
    attempt.rollback()
    (tmp_path / "journal-2025-03.jsonl").write_bytes(b"half")

    assert archive_closed_months(march.conn, date(2025, 7, 1), _job_settings(tmp_path), LATER)["archived"] == [
        "journal-2025-03.jsonl"
    ]
    verify_file(str(tmp_path / "journal-2025-03.jsonl"), TRUSTED)


@pytest.fixture
def slow_disk(march: Log, books: Engine) -> Iterator[str]:
    """A tablespace of the server, as an administrator makes one on another disk."""
    name = "slow_disk"
    with books.connect().execution_options(isolation_level="AUTOCOMMIT") as administration:
        administration.execute(text("SET allow_in_place_tablespaces = on"))
        administration.execute(text("SET lock_timeout = '10s'"))  # a failure is told, not waited for
        administration.execute(text(f"CREATE TABLESPACE {name} LOCATION ''"))
        yield name
        march.conn.rollback()  # what the test read last still holds the month
        administration.execute(text("ALTER TABLE transfer_2025_03 SET TABLESPACE pg_default"))
        administration.execute(text(f"DROP TABLESPACE {name}"))


def test_an_archived_month_moves_to_another_disk_and_stays_evidence(
    march: Log, slow_disk: str, books: Engine, server: EmbeddedServer, tmp_path: Path
) -> None:
    """As docs/operating.md says: a superuser moves it, and nothing of the books is another."""
    recorded(march, tmp_path / "march.jsonl")
    conn, place = march.conn, "SELECT reltablespace <> 0 FROM pg_class WHERE relname = 'transfer_2025_03'"
    rows = "SELECT array_agg(t::text ORDER BY t.transfer_id) FROM transfer_2025_03 t"
    held = conn.execute(text(rows)).scalar_one()
    conn.execute(text(f"ALTER TABLE transfer_2025_03 SET TABLESPACE {slow_disk}"))
    conn.commit()
    assert conn.execute(text(place)).scalar_one()
    assert conn.execute(text(rows)).scalar_one() == held
    assert (verify(conn), schema_faults(conn)) == ([], [])

    prepare_reopening(conn, 7, MARCH, now=LATER, actor="li", reason="one came late")
    reopen_period(conn, 7, MARCH, now=LATER, actor="wang", reason="so it did")
    march.desk.post(march.desk.transfer(CASH, HELD_A, 3, "late"))
    conn.commit()
    assert (verify(conn), schema_faults(conn)) == ([], [])
    with restored(books, server, tmp_path / "books.backup") as elsewhere:  # where there is no such disk
        assert not elsewhere.execute(text(place)).scalar_one()
        assert (verify(elsewhere), schema_faults(elsewhere)) == ([], [])
