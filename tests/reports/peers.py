"""The books in the arithmetic of two strangers: what hledger and beancount make of an exported file."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection

from ledger.store import trial_balance
from money import Money
from reports.plain_text import account_name

HLEDGER = shutil.which("hledger")
needs_hledger = pytest.mark.skipif(HLEDGER is None, reason="hledger is not installed (apt-get install hledger)")


def ours(conn: Connection, as_of: date | None = None) -> dict[str, Money]:
    """Our trial balance under the exported names, debits positive."""
    found = {}
    for row in trial_balance(conn, as_of=as_of):
        assert row.custody_account_id is not None
        name = account_name(row.normal_side, row.custody_account_id, row.kind, row.subject)
        assert name not in found
        found[name] = row.debit - row.credit
    return found


def hledger(path: Path, *arguments: str) -> str:
    """What hledger prints; fails when it refuses."""
    assert HLEDGER is not None
    done = subprocess.run(
        [HLEDGER, "-f", str(path), *arguments], capture_output=True, text=True, env={"LANG": "C.UTF-8"}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def hledger_balances(path: Path) -> dict[str, Money]:
    """Every account's own balance as hledger computes it."""
    rows = csv.DictReader(io.StringIO(hledger(path, "balance", "--flat", "--empty", "--output-format", "csv", "--no-total")))
    found = {}
    for row in rows:
        amount, _, currency = row["balance"].partition(" ")
        found[row["account"]] = Money.parse(amount, currency) if currency else Money(0)
    return found


def beancount_balances(path: Path) -> tuple[dict[str, Money], int]:
    """Every account's own balance as beancount computes it, and its transactions; fails when it finds an error."""
    from beancount import loader
    from beancount.core import realization

    entries, errors, _ = loader.load_file(str(path))
    assert errors == []
    found = {}
    for account in realization.iter_children(realization.realize(entries)):
        if account.txn_postings:
            position = account.balance.get_only_position()
            found[account.account] = Money.parse(str(position.units.number)) if position else Money(0)
    return found, len([entry for entry in entries if type(entry).__name__ == "Transaction"])
