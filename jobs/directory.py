"""The custody accounts as reconciliation knows them: who owns an account number, and at which bank."""

from __future__ import annotations

import sqlalchemy as sa

from reconciliation.model import AccountDirectory
from reports.coverage import custody_account_refs


def account_directory(connection: sa.Connection) -> AccountDirectory:
    """Every filed custody account by (bank code, account number)."""
    return {(ref.bank_code, ref.account_number): ref for ref in custody_account_refs(connection)}
