"""The custody accounts as reconciliation knows them: who owns an account number, and at which bank."""

from __future__ import annotations

import sqlalchemy as sa

from escrow.store import custody_accounts
from reconciliation.model import AccountDirectory, CustodyAccountRef


def account_directory(connection: sa.Connection) -> AccountDirectory:
    """Every filed custody account by (bank code, account number)."""
    return {
        (account.bank_code, account.account_number): CustodyAccountRef(
            institution_id=account.institution_id,
            custody_account_id=account.custody_account_id,
            bank_code=account.bank_code,
            account_number=account.account_number,
            currency=account.currency,
            opened_on=account.opened_on,
            account_name=account.account_name,
        )
        for account in custody_accounts(connection)
    }
