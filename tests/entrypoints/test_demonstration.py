"""The main job end to end, as a user starts it: a small district told, proved, exported, and then tampered with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from storage.embedded import embedded_server

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """A finished demonstration: its data folder and what it printed."""

    data: Path
    printed: str
    code: int

    def escrow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return escrow(self.data, "--books", "demo", *arguments)


def escrow(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "ESCROW_DATA": str(data), "ESCROW_DATABASE_URL": "", "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def demonstrated() -> Iterator[Demonstrated]:
    folder = Path(tempfile.mkdtemp(prefix="escrow-demo-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        ended = escrow(folder, "demo", "--seed", "5", "--institutions", "4", "--orders", "300", "--days", "8")
        yield Demonstrated(folder, ended.stdout + ended.stderr, ended.returncode)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def owner(demonstrated: Demonstrated) -> Iterator[Engine]:
    """A session of the database's owner on the demonstration's books."""
    with embedded_server(demonstrated.data) as server:
        engine = create_engine(server.url("demo"))
        yield engine
        engine.dispose()


def test_the_engine_agrees_with_the_key_it_never_read(demonstrated: Demonstrated) -> None:
    assert demonstrated.code == 0, demonstrated.printed
    assert "Every defect of the key is named with its kind and amount; no wrong match." in demonstrated.printed
    assert "every balance, digest and chain derived again and found equal" in demonstrated.printed


def test_it_ends_by_naming_a_certificate_and_commands_that_work(demonstrated: Demonstrated) -> None:
    named = [line.strip("│ ").strip() for line in demonstrated.printed.splitlines() if line.rstrip("│ ").endswith(".html")]
    assert named
    assert "Signed off" in (ROOT / named[0]).read_text(encoding="utf-8")

    listed = demonstrated.escrow("discrepancy", "list", "--open", "--json")
    assert listed.returncode in (0, 1), listed.stderr
    assert all(json.loads(line)["kind"] for line in listed.stdout.splitlines())


def test_a_day_told_again_changes_nothing(demonstrated: Demonstrated) -> None:
    before = demonstrated.escrow("ledger", "trial-balance", "--json").stdout

    again = demonstrated.escrow("run-day", "2026-03-11", "--json")

    assert again.returncode in (0, 1), again.stderr
    assert demonstrated.escrow("ledger", "trial-balance", "--json").stdout == before


TAMPERINGS = {
    "a transfer's amount": "UPDATE transfer SET amount_minor_units = amount_minor_units + 1 WHERE ctid = (SELECT min(ctid) FROM transfer)",
    "an account's balance": "UPDATE account_balance SET balance_minor_units = balance_minor_units + 1 WHERE ctid = (SELECT min(ctid) FROM account_balance)",
    "one byte of a statement file": (
        "UPDATE statement_file SET content = set_byte(content, 0, 255 - get_byte(content, 0)) "
        "WHERE ctid = (SELECT min(ctid) FROM statement_file WHERE content IS NOT NULL)"
    ),
    "a statement line's reference": (
        "UPDATE statement_line SET bank_reference = bank_reference || 'X' WHERE ctid = (SELECT min(ctid) FROM statement_line)"
    ),
    "a missing confirmation": "DELETE FROM class_hour_event WHERE ctid = (SELECT max(ctid) FROM class_hour_event)",
    "who approved a sign-off": "UPDATE sign_off_event SET actor = 'somebody' WHERE event = 'approved'",
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_what_the_owner_of_the_database_changes_by_hand_is_named(demonstrated: Demonstrated, owner: Engine, what: str) -> None:
    table = TAMPERINGS[what].split("FROM ")[1].split()[0] if what.startswith("a missing") else TAMPERINGS[what].split()[1]
    from jobs.verifying import faults_in_books

    with owner.connect() as connection:
        assert faults_in_books(connection) == []
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        if table == "statement_file":
            connection.execute(text("ALTER TABLE statement_file DROP CONSTRAINT ck_statement_file_sha256_is_of_content"))
        assert connection.execute(text(TAMPERINGS[what])).rowcount >= 1
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER ALL"))

        faults = faults_in_books(connection)

        assert any(fault.table == table for fault in faults), faults[:5]
        connection.rollback()


def test_a_hand_made_change_makes_the_command_exit_with_3_and_name_the_row(demonstrated: Demonstrated, owner: Engine) -> None:
    with owner.begin() as connection:
        connection.execute(text("ALTER TABLE orders DISABLE TRIGGER ALL"))
        order = connection.scalar(
            text(
                "UPDATE orders SET amount_minor_units = amount_minor_units + 1 WHERE order_id = (SELECT min(order_id) FROM orders) RETURNING order_id"
            )
        )
        connection.execute(text("ALTER TABLE orders ENABLE TRIGGER ALL"))

    ended = demonstrated.escrow("ledger", "verify")

    assert ended.returncode == 3, ended.stdout
    assert str(order) in ended.stdout + ended.stderr
