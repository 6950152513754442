"""Reconcile every custody account through a day: the one place where promises and bank lines meet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from escrow.store import settled_receipts
from jobs.directory import account_directory
from jobs.settings import JobSettings
from reconciliation.model import SettlementItem
from reconciliation.running import reconcile


def reconcile_through(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:
    """Run one comparison per custody account for ``as_of``; counts of what the runs did, and the accounts without statement."""
    totals = {"accounts": 0, "bank_lines": 0, "matches": 0, "discrepancies_opened": 0, "discrepancies_cleared": 0}
    missing: list[str] = []
    for account in sorted(account_directory(connection).values(), key=lambda ref: ref.custody_account_id):
        if account.opened_on > as_of:
            continue
        result = reconcile(
            connection,
            account,
            as_of,
            rules=settings.rules,
            calendar=settings.calendar,
            now=now,
            actor=settings.actor,
            settlements=[
                SettlementItem(item.item_id, item.settlement_batch, item.fee_minor_units)
                for item in settled_receipts(connection, custody_account_id=account.custody_account_id, settled_to=as_of)
            ],
        )
        totals["accounts"] += 1
        totals["bank_lines"] += result.bank_lines
        totals["matches"] += result.matches
        totals["discrepancies_opened"] += len(result.opened)
        totals["discrepancies_cleared"] += len(result.auto_cleared)
        if not result.statement_received:
            missing.append(account.account_number)
    return {**totals, "statements_missing": missing}
