"""A small district told to its end, and an evidence pack of one of its custody accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.signing_keys import SigningKeys, read_signing_keys

ROOT = Path(__file__).resolve().parents[3]
FIRST, LAST = "2026-03-02", "2026-03-31"


@dataclass(frozen=True, slots=True)
class Told:
    """The data folder of a demonstration, its signing keys, a custody account, and its pack."""

    data: Path
    account: str
    pack: Path

    @property
    def keys(self) -> SigningKeys:
        found = read_signing_keys(self.data / "demo" / "keys")
        assert found is not None
        return found

    @property
    def log_key(self) -> str:
        return str(self.keys.key.public_key)

    def escrow(self, *arguments: str, user: str = "") -> subprocess.CompletedProcess[str]:
        return escrow(self.data, *(("--as", user) if user else ()), "--books", "demo", *arguments)


def escrow(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "entrypoints.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "ESCROW_DATA": str(data), "ESCROW_DATABASE_URL": "", "ESCROW_KEYS": "", "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def told() -> Iterator[Told]:
    folder = Path(tempfile.mkdtemp(prefix="escrow-evidence-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        ended = escrow(folder, "demo", "--seed", "3", "--institutions", "2", "--orders", "60", "--days", "8")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        account = min((folder / "demo" / "certificates").glob("*/*.html")).stem
        made = Told(folder, account, folder / "pack.zip")
        packed = made.escrow(
            "evidence", "pack", "--account", account, "--from", FIRST, "--to", LAST, "--with-personal-data", "--out",
            str(made.pack), user="auditor.wu",
        )  # fmt: skip
        assert packed.returncode == 0, packed.stderr
        yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
