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
from reconciliation.running import reconcile_accounts
from reconciliation.statement_calendar import is_owed


def reconcile_through(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:
    """One run per custody account for ``as_of``, compared together; counts of what they did, and accounts without statement."""
    accounts = [ref for ref in account_directory(connection).values() if ref.opened_on <= as_of]
    results = reconcile_accounts(
        connection,
        accounts,
        as_of,
        rules=settings.rules,
        calendar=settings.calendar,
        now=now,
        actor=settings.actor,
        settlements={
            account.custody_account_id: [
                SettlementItem(item.item_id, item.settlement_batch, item.fee_minor_units)
                for item in settled_receipts(connection, custody_account_id=account.custody_account_id, settled_to=as_of)
            ]
            for account in accounts
        },
        statement_rules=settings.statement_rules,
    )
    # A day for which none is owed has no statement of its own: none is missing (running.py says the same of discrepancies).
    owed = {ref.custody_account_id for ref in accounts if is_owed(settings.statement_rules, settings.calendar, ref, as_of)}
    return {
        "accounts": len(results),
        "bank_lines": sum(result.bank_lines for result in results),
        "matches": sum(result.matches for result in results),
        "discrepancies_opened": sum(len(result.opened) for result in results),
        "discrepancies_cleared": sum(len(result.auto_cleared) for result in results),
        "statements_missing": [
            result.account.account_number
            for result in results
            if result.account.custody_account_id in owed and not result.statement_received
        ],
    }
