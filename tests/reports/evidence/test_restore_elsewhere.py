"""A backup becomes books on a second server that knows nothing of them: roles first, then the whole chain of checkpoints proved."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from storage.embedded import embedded_server
from storage.program_login import PROGRAM_LOGIN
from storage.roles import Role
from tests.reports.evidence.conftest import Told, escrow


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A data folder whose embedded server is made by the restore."""
    folder = Path(tempfile.mkdtemp(prefix="escrow-second-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def backup(told: Told, name: str, folder: Path) -> Path:
    file = folder / f"{name}.backup"
    made = escrow(told.data, "--books", name, "db", "backup", "--out", str(file))
    assert made.returncode == 0, made.stderr
    return file


def test_roles_are_made_and_the_chain_is_proved_on_a_second_server(told: Told, fresh: Path, tmp_path: Path) -> None:
    with embedded_server(fresh) as server:
        engine = create_engine(server.url("postgres"))
        with engine.connect() as connection:
            assert connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'escrow\\_%'")).all() == []
        engine.dispose()

    restored = escrow(fresh, "--books", "second", "db", "restore", str(backup(told, "demo", tmp_path)))

    assert restored.returncode == 0, restored.stdout + restored.stderr
    here = escrow(fresh, "--books", "second", "evidence", "checkpoint", "list", "--json").stdout
    there = told.escrow("evidence", "checkpoint", "list", "--json").stdout
    assert here == there
    newest = max(json.loads(here), key=lambda one: int(one["checkpoint"]))
    assert f"checkpoints: 1 to {newest['checkpoint']} continue each other" in restored.stdout
    assert escrow(fresh, "--books", "second", "ledger", "verify").returncode == 0
    with embedded_server(fresh) as server:
        engine = create_engine(server.url("second"))
        with engine.connect() as connection:
            made = set(connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'escrow\\_%'")))
            owners = set(connection.scalars(text("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")))
        engine.dispose()
    assert made == {*Role, PROGRAM_LOGIN}, "the roles of the backup, and the login that daily commands made for themselves"
    assert owners == {Role.OWNER, Role.BOOKS}
    asked = escrow(fresh, "--books", "second", "--as", "wang.hangzhou", "ledger", "journal", "--json")
    assert asked.returncode == 0, asked.stderr
    assert len(asked.stdout.splitlines()) > 1, "the scoped reader finds its rows on the second server"


def test_a_chain_that_was_rewritten_is_not_restored(told: Told, fresh: Path, tmp_path: Path) -> None:
    """Somebody with every right on the first server signs nothing, but changes what was signed and stamps the row anew."""
    with embedded_server(told.data) as server:
        administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
        with administration.connect() as connection:
            connection.execute(text("CREATE DATABASE rewritten TEMPLATE demo"))
        try:
            engine = create_engine(server.url("rewritten"))
            with engine.begin() as connection:
                connection.execute(text("SET session_replication_role = replica"))
                connection.execute(text("ALTER TABLE checkpoint DISABLE TRIGGER checkpoint_refuse_change"))
                connection.execute(text("UPDATE checkpoint SET root = sha256('another') WHERE checkpoint_no = 2"))
                connection.execute(text("ALTER TABLE checkpoint ENABLE ALWAYS TRIGGER checkpoint_refuse_change"))
            engine.dispose()
            refused = escrow(fresh, "--books", "second", "db", "restore", str(backup(told, "rewritten", tmp_path)))
        finally:
            with administration.connect() as connection:
                connection.execute(text("DROP DATABASE rewritten WITH (FORCE)"))
            administration.dispose()

    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "checkpoint" in refused.stdout
    assert "nothing was restored" in refused.stdout
    with embedded_server(fresh) as server:
        engine = create_engine(server.url("postgres"))
        with engine.connect() as connection:
            assert connection.scalars(text("SELECT datname FROM pg_database WHERE datname = 'second'")).all() == []
        engine.dispose()
