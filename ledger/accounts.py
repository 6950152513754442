"""Opening, closing and finding accounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, insert, select, text

from ledger.chart import Chart
from ledger.model import Account, AccountScope, NewAccount, Side
from ledger.tables import account, account_closing

#: (custody_account_id, kind, subject)
AccountName = tuple[int, str, str]


class AccountRefused(ValueError):
    """An account cannot be opened or closed as asked; the message says why."""


def open_accounts(conn: Connection, chart: Chart, wanted: Sequence[NewAccount]) -> dict[AccountName, int]:
    """Open the accounts that are not open yet; the ids of all wanted ones by (custody_account_id, kind, subject).

    Safe to repeat: an account that exists keeps its opening date. Raises UnknownKind, and AccountRefused for an account
    that exists in another currency or institution or whose subject does not fit the kind's scope.
    """
    if not wanted:
        return {}
    for new in wanted:
        has_subject = chart.kind(new.kind).scope is not AccountScope.CUSTODY_ACCOUNT
        if bool(new.subject) != has_subject:
            raise AccountRefused(
                f"an account of kind {new.kind} needs {'a' if has_subject else 'no'} subject; it has {new.subject!r}"
            )
    rows = [
        {
            "institution_id": new.institution_id,
            "custody_account_id": new.custody_account_id,
            "kind": new.kind,
            "subject": new.subject,
            "normal_side": str(chart.kind(new.kind).normal_side),
            "currency": new.currency,
            "floor": chart.kind(new.kind).floor,
            "in_transit": chart.kind(new.kind).in_transit,
            "opened_on": new.opened_on,
        }
        for new in {(n.institution_id, n.custody_account_id, n.kind, n.subject): n for n in wanted}.values()
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    conn.execute(_INSERT_ACCOUNTS, columns)
    found = {(row.custody_account_id, row.kind, row.subject): row for row in conn.execute(_FIND_ACCOUNTS, columns)}
    for new in wanted:
        row = found[new.custody_account_id, new.kind, new.subject]
        if row.currency != new.currency:
            raise AccountRefused(
                f"account {new.custody_account_id}:{new.kind}:{new.subject} holds {row.currency}; "
                f"it cannot be opened in {new.currency}"
            )
    return {name: row.account_id for name, row in found.items()}


# Arrays instead of one statement a row: one round trip, and the planner sees how many there are.
_WANTED = """
    unnest(CAST(:institution_id AS integer[]), CAST(:custody_account_id AS bigint[]), CAST(:kind AS text[]),
        CAST(:subject AS text[]), CAST(:normal_side AS text[]), CAST(:currency AS text[]), CAST(:floor AS bigint[]),
        CAST(:in_transit AS boolean[]), CAST(:opened_on AS date[]))
    AS w(institution_id, custody_account_id, kind, subject, normal_side, currency, floor_minor_units, in_transit, opened_on)
"""
_INSERT_ACCOUNTS = text(f"""
    INSERT INTO account (institution_id, custody_account_id, kind, subject, normal_side, currency, floor_minor_units, in_transit,
        opened_on)
    SELECT * FROM {_WANTED}
    ON CONFLICT (institution_id, custody_account_id, kind, subject) DO NOTHING
""")
_FIND_ACCOUNTS = text(f"""
    SELECT a.account_id, a.custody_account_id, a.kind, a.subject, a.currency FROM {_WANTED}
    JOIN account a ON a.institution_id = w.institution_id AND a.custody_account_id = w.custody_account_id
        AND a.kind = w.kind AND a.subject = w.subject
""")


def open_chart(  # noqa: PLR0917  the order is that of the books' own names
    conn: Connection,
    chart: Chart,
    institution_id: int,
    custody_account_id: int,
    currency: str,
    channels: Iterable[str],
    opened_on: date,
) -> dict[tuple[str, str], int]:
    """Open what every custody account's books hold: the kinds of its own and one per channel; ids by (kind, subject)."""
    wanted = [
        NewAccount(institution_id, custody_account_id, kind.kind, subject, currency, opened_on)
        for scope, subjects in ((AccountScope.CUSTODY_ACCOUNT, [""]), (AccountScope.CHANNEL, sorted(channels)))
        for kind in chart.of_scope(scope)
        for subject in subjects
    ]
    return {(kind, subject): account_id for (_, kind, subject), account_id in open_accounts(conn, chart, wanted).items()}


def account_ids(
    conn: Connection,
    *,
    institution_id: int,
    custody_account_id: int,
    kind: str | None = None,
    subjects: Sequence[str] | None = None,
) -> dict[tuple[str, str], int]:
    """Ids of a custody account's accounts by (kind, subject); of one kind, or of some subjects (orders) when given."""
    wanted = [account.c.institution_id == institution_id, account.c.custody_account_id == custody_account_id]
    if kind is not None:
        wanted.append(account.c.kind == kind)
    if subjects is not None:
        wanted.append(account.c.subject.in_(subjects))
    rows = conn.execute(select(account.c.kind, account.c.subject, account.c.account_id).where(*wanted))
    return {(row.kind, row.subject): row.account_id for row in rows}


def find_account(conn: Connection, account_id: int) -> Account:
    """The account of that number. Raises LookupError."""
    row = conn.execute(_with_closing().where(account.c.account_id == account_id)).one_or_none()
    if row is None:
        raise unknown_account(account_id)
    return _account(row)


def unknown_account(account_id: int) -> LookupError:
    """The error to raise about a number that no account has."""
    return LookupError(f"the books have no account {account_id}; escrow ledger trial-balance lists them")


def accounts(conn: Connection, *, custody_account_id: int | None = None) -> list[Account]:
    """All accounts, or those of one custody account, by custody account, kind, subject and number."""
    query = _with_closing().order_by(account.c.custody_account_id, account.c.kind, account.c.subject, account.c.account_id)
    if custody_account_id is not None:
        query = query.where(account.c.custody_account_id == custody_account_id)
    return [_account(row) for row in conn.execute(query)]


def close_account(conn: Connection, *, institution_id: int, account_id: int, closed_on: date, actor: str, reason: str) -> None:
    """Close an account from a business day on. Raises IntegrityError (``ledger_closing_with_balance``,
    ``ledger_closing_before_posting``, or the primary key when it is closed already).
    """
    conn.execute(
        insert(account_closing).values(
            institution_id=institution_id, account_id=account_id, closed_on=closed_on, actor=actor, reason=reason
        )
    )


def _with_closing() -> Select[Any]:
    joined = account.outerjoin(
        account_closing,
        and_(account.c.institution_id == account_closing.c.institution_id, account.c.account_id == account_closing.c.account_id),
    )
    return select(account, account_closing.c.closed_on).select_from(joined)


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        institution_id=row.institution_id,
        account_id=row.account_id,
        custody_account_id=row.custody_account_id,
        kind=row.kind,
        subject=row.subject,
        normal_side=Side(row.normal_side),
        currency=row.currency,
        floor=row.floor_minor_units,
        opened_on=row.opened_on,
        closed_on=row.closed_on,
    )
