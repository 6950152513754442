"""What custody accounts owe after a batch, account by account, and the leaves of the tree that proves it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ledger.checkpoint import LIABILITY_KINDS, sorted_leaves
from ledger.sum_tree import SumNode, liability_leaf, nonce_of


@dataclass(frozen=True, slots=True)
class Liability:
    """What one account of the books owes, minor units; ``subject`` is the order for money held for one."""

    kind: str
    subject: str
    minor_units: int


def liabilities(
    conn: Connection, institution_id: int, log_size: int, *, custody_account_id: int | None = None
) -> dict[tuple[int, str], list[Liability]]:
    """What each custody account owed after batch ``log_size``, by (custody account, currency); accounts at zero are left out.

    Read backwards from the balances of now, in one statement, so postings that go on meanwhile do not matter.
    """
    rows = conn.execute(
        text("""
            WITH newer AS (
                SELECT account_id, sum(moved) AS moved FROM (
                    SELECT debit_account_id AS account_id, amount_minor_units AS moved FROM transfer
                    WHERE institution_id = :institution AND batch_id > :size
                    UNION ALL
                    SELECT credit_account_id, -amount_minor_units FROM transfer
                    WHERE institution_id = :institution AND batch_id > :size
                ) AS leg GROUP BY account_id
            )
            SELECT a.custody_account_id, a.currency, a.kind, a.subject,
                (coalesce(n.moved, 0) - b.balance_minor_units)::bigint AS owed
            FROM account a
            JOIN account_balance b ON b.institution_id = a.institution_id AND b.account_id = a.account_id
            LEFT JOIN newer n ON n.account_id = a.account_id
            WHERE a.institution_id = :institution AND a.kind = ANY(:kinds)
                AND (CAST(:custody AS bigint) IS NULL OR a.custody_account_id = :custody)
                AND coalesce(n.moved, 0) - b.balance_minor_units <> 0
        """),
        {"institution": institution_id, "size": log_size, "kinds": list(LIABILITY_KINDS), "custody": custody_account_id},
    )
    found: dict[tuple[int, str], list[Liability]] = defaultdict(list)
    for custody, currency, kind, subject, owed in rows:
        found[custody, currency].append(Liability(kind, subject, owed))
    return found


def liability_leaves(
    owed: Iterable[Liability], secret: bytes, custody_account_id: int, log_size: int
) -> list[tuple[SumNode, str, str, bytes]]:
    """The leaves of a custody account's sum tree (leaf, kind, subject, nonce), in tree order."""
    found = []
    for one in owed:
        nonce = nonce_of(secret, custody_account_id, log_size, one.kind, one.subject)
        found.append((liability_leaf(nonce, one.kind, one.subject, one.minor_units), one.kind, one.subject, nonce))
    return sorted_leaves(found)
