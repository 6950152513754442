"""A program that posts batch after batch and writes down what was acknowledged, until it is killed (test_crash.py).

``python -m tests.ledger.crash_poster FOLDER ACKNOWLEDGED``: batch n is the same transfers whoever posts it, so whoever takes over
after a crash delivers the newest acknowledged batch once more and goes on.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from ledger.group_commit import GroupCommit
from ledger.model import PostingCall, Transfer, transfer_id
from ledger.store import account_ids, post
from money import Money
from storage.embedded import embedded_server

DATABASE, INSTITUTION, SIZE = "crash", 1, 300
DAY = date(2025, 3, 3)


def batch(cash: int, held: int, number: int) -> list[Transfer]:
    """The transfers of a batch: 1 fen each."""
    return [
        Transfer(
            transfer_id(INSTITUTION, DAY, "crash", f"{number}/{line}"),
            INSTITUTION,
            cash,
            held,
            Money(1),
            DAY,
            "crash",
            "crash",
            f"{number}/{line}",
        )
        for line in range(SIZE)
    ]


def last_acknowledged(file: Path) -> int:
    """Number of the newest batch whose commit was heard of; 0 for none."""
    lines = file.read_text().split() if file.exists() else []
    return int(lines[-1]) if lines else 0


def main(folder: str, acknowledged: Path) -> None:
    """Post until killed."""
    header = {"actor": "crash", "reason": "crash", "rule_version": "1"}
    with embedded_server(folder) as server, acknowledged.open("a") as heard:
        engine: Engine = create_engine(server.url(DATABASE))
        with engine.connect() as conn:
            custody = conn.execute(text("SELECT min(custody_account_id) FROM account")).scalar_one()
            ids = account_ids(conn, institution_id=INSTITUTION, custody_account_id=custody)
        cash, held = ids["custody_cash", ""], ids["unidentified_receipts", ""]
        number = max(last_acknowledged(acknowledged), 1)
        with GroupCommit(engine, tries=1) as group:
            while True:
                transfers, now = batch(cash, held, number), datetime.now(UTC)
                if number % 2:
                    with engine.begin() as conn:
                        post(conn, transfers, now=now, **header)
                else:
                    parts = [transfers[start : start + 30] for start in range(0, SIZE, 30)]
                    for future in [group.submit(PostingCall(part), now=now, **header) for part in parts]:
                        future.result()
                heard.write(f"{number}\n")
                heard.flush()
                os.fsync(heard.fileno())
                number += 1


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
