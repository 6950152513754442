"""kill -9 of the poster and of the database server in the middle of batches: what was acknowledged is there, and once.

Two rounds by default; ``make crash`` does fifty (CRASH_ROUNDS). The server is durable, unlike that of the other tests.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ledger.store import verify
from storage.embedded import embedded_server
from tests.ledger.crash_poster import DATABASE, SIZE, last_acknowledged

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "2"))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="escrow-crash-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


INSTITUTION_FILE = """institution_code,name,jurisdiction_code,bank_code,account_number,account_name,currency,opened_on,\
beneficiary_name,beneficiary_account,beneficiary_bank
913301065J7AT6DG6L,Music School,330100,NRB,6010000069829372620,Music School custody,CNY,2025-03-01,\
Music School,30000052696486216,North River Bank
"""


def escrow(folder: Path, *arguments: str) -> None:
    """Run the program on the books of the test; it must end with 0."""
    environment = {**os.environ, "ESCROW_DATA": str(folder), "ESCROW_BOOKS": DATABASE}
    environment.pop("ESCROW_DATABASE_URL", None)
    program = [sys.executable, "-c", "from entrypoints.cli import main; main()", *arguments]
    done = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def prepare(folder: Path) -> None:
    """Books at head with one institution, whose accounts the poster uses."""
    file = folder / "institutions.csv"
    file.write_text(INSTITUTION_FILE, encoding="utf-8")
    escrow(folder, "import", "institutions", str(file))


def kill_server(folder: Path) -> None:
    """The postmaster and every process of it, at once."""
    (file,) = folder.glob("**/postmaster.pid")
    postmaster = int(file.read_text().split()[0])
    children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=False).stdout.split()
    for pid in (postmaster, *map(int, children)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def examine(folder: Path, acknowledged: Path) -> None:
    """Every acknowledged batch is whole, nothing is there twice or in part, and the books verify."""
    with embedded_server(folder) as server:
        engine = create_engine(server.url(DATABASE))
        with engine.connect() as conn:
            # A batch that was committed through group commit may be in parts: its callers were told one by one.
            counts = dict(
                conn.execute(
                    text("SELECT split_part(source_ref, '/', 1)::int, count(DISTINCT source_ref) FROM transfer GROUP BY 1")
                ).all()  # type: ignore[arg-type]
            )
            newest = last_acknowledged(acknowledged)
            assert all(counts.get(number) == SIZE for number in range(1, newest + 1)), counts
            assert set(counts) <= set(range(1, newest + 2))
            assert all(counts[number] in (0, SIZE) for number in counts if number % 2)
            booked = conn.execute(text("SELECT max(balance_minor_units), sum(balance_minor_units) FROM account_balance")).one()
            assert tuple(booked) == (sum(counts.values()), 0)
            assert verify(conn) == []
        engine.dispose()


def test_nothing_acknowledged_is_lost_and_nothing_is_posted_twice(folder: Path) -> None:
    prepare(folder)
    acknowledged = folder / "acknowledged"
    chance = random.Random(7)
    for turn in range(ROUNDS):
        before = last_acknowledged(acknowledged)
        with (folder / "poster.log").open("w") as log:
            poster = subprocess.Popen(
                [sys.executable, "-m", "tests.ledger.crash_poster", str(folder), str(acknowledged)], cwd=ROOT, stderr=log
            )
        deadline = time.monotonic() + 120
        while last_acknowledged(acknowledged) < before + 2:
            assert poster.poll() is None, (folder / "poster.log").read_text()
            assert time.monotonic() < deadline, "the poster acknowledges nothing"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.15))
        if turn % 2:
            kill_server(folder)
            time.sleep(0.2)
        poster.kill()
        poster.wait()
        if ROUNDS <= 5 or turn % 5 == 4:
            examine(folder, acknowledged)
    examine(folder, acknowledged)
    escrow(folder, "ledger", "verify")
