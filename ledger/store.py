"""The books' questions and commands under one name; each is documented where it is defined.

Writing: ``open_accounts``, ``open_chart``, ``close_account``, ``post``, ``reverse``. Reading: ``account_ids``, ``find_account``,
``accounts``, ``balance``, ``trial_balance``, ``account_statement``, ``journal``, ``open_items``. Proof: ``verify``.
"""

from __future__ import annotations

from ledger.accounts import AccountRefused, account_ids, accounts, close_account, find_account, open_accounts, open_chart
from ledger.journal import journal
from ledger.open_items import open_items
from ledger.reading import balance, trial_balance
from ledger.reversal import correct, reverse
from ledger.statement import account_statement
from ledger.verification import examine, verify
from ledger.writing import post

__all__ = [
    "AccountRefused",
    "account_ids",
    "account_statement",
    "accounts",
    "balance",
    "close_account",
    "correct",
    "examine",
    "find_account",
    "journal",
    "open_accounts",
    "open_chart",
    "open_items",
    "post",
    "reverse",
    "trial_balance",
    "verify",
]
