"""The books in the formats of two plain-text accounting programs, so that others' arithmetic can check ours.

``hledger check --strict`` and ``bean-check`` must accept the files; both end with a balance assertion for every account, to
the minor unit. One transfer is one transaction of two postings. Debit accounts stand under Assets, credit accounts under
Liabilities (with negative amounts, as both programs write credits).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TextIO

from sqlalchemy import Connection, text

from ledger.model import Side
from ledger.reading import trial_balance
from money import exponent_of, format_minor_units
from reports.tabular import whole_file

Format = Literal["hledger", "beancount"]
FILE_NAMES: dict[Format, str] = {"hledger": "books.journal", "beancount": "books.beancount"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the file, its accounts and transfers."""

    path: Path
    accounts: int
    transfers: int


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    currency: str
    opened_on: date
    minor_units: int


def export_plain_text(
    conn: Connection,
    out: Path,
    format_: Format,
    *,
    as_of: date | None = None,
    known_at: datetime | None = None,
    institution_ids: Collection[int] | None = None,
) -> Exported:
    """Write the books into folder ``out`` (made when missing), whole or not at all: through a business day if given, as known at
    an instant if given, of some institutions if given.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / FILE_NAMES[format_]
    accounts = _accounts(conn, as_of, known_at, institution_ids)
    write = _write_hledger if format_ == "hledger" else _write_beancount
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as stream:
        transfers = write(stream, accounts, lambda: _transfers(conn, as_of, known_at, institution_ids))
    return Exported(path, len(accounts), transfers)


def account_name(normal_side: Side, custody_account_id: int, kind: str, subject: str) -> str:
    """The account's name in both programs: ``Assets:C3:Receipts-In-Transit:S-wechat``.

    Different accounts always get different names: see ``_component``.
    """
    root = "Assets" if normal_side is Side.DEBIT else "Liabilities"
    name = f"{root}:C{custody_account_id}:" + "-".join(word.capitalize() for word in kind.split("_"))
    return f"{name}:S-{_component(subject)}" if subject else name


def _component(subject: str) -> str:
    """A subject in the characters beancount allows (ASCII letters, digits, dashes), reversibly.

    Letters and digits stay; a dash between two of them stays; anything else becomes ``--<code point in hex>-``.
    """
    return _OTHER.sub(lambda found: f"--{ord(found[0]):x}-", subject)


_OTHER = re.compile(r"(?<![A-Za-z0-9])-|-(?![A-Za-z0-9])|[^A-Za-z0-9-]", re.ASCII)


def _accounts(
    conn: Connection, as_of: date | None, known_at: datetime | None, institution_ids: Collection[int] | None
) -> dict[int, _Named]:
    opened = {row.account_id: row.opened_on for row in conn.execute(text("SELECT account_id, opened_on FROM account"))}
    found = {}
    for row in trial_balance(conn, as_of=as_of, known_at=known_at, institution_ids=institution_ids):
        assert row.account_id is not None and row.custody_account_id is not None  # noqa: S101, PT018  rows are by account
        found[row.account_id] = _Named(
            account_name(row.normal_side, row.custody_account_id, row.kind, row.subject),
            row.debit.currency,
            opened[row.account_id],
            (row.debit - row.credit).minor_units,
        )
    return found


_TRANSFERS = text("""
    SELECT t.transfer_id, t.debit_account_id, t.credit_account_id, t.amount_minor_units, t.currency, t.booking_date, t.reason,
        t.source_kind, t.source_ref
    FROM transfer t
    WHERE t.booking_date <= :as_of
        AND (CAST(:institutions AS integer[]) IS NULL OR t.institution_id = ANY (:institutions))
        AND (CAST(:known_at AS timestamptz) IS NULL OR EXISTS (
            SELECT FROM posting_batch b
            WHERE b.institution_id = t.institution_id AND b.batch_id = t.batch_id AND b.recorded_at <= :known_at))
    ORDER BY t.booking_date, t.institution_id, t.batch_id, t.line
""")


def _transfers(
    conn: Connection, as_of: date | None, known_at: datetime | None, institution_ids: Collection[int] | None
) -> Iterator[Any]:
    """Transfers by booking date; streamed, because the books may be larger than memory."""
    streamed = _TRANSFERS.execution_options(stream_results=True, max_row_buffer=5000)
    asked = {
        "as_of": as_of or date.max,
        "known_at": known_at,
        "institutions": None if institution_ids is None else list(institution_ids),
    }
    with conn.execute(streamed, asked) as rows:
        yield from rows


def _currencies(accounts: dict[int, _Named]) -> list[str]:
    return sorted({account.currency for account in accounts.values()})


def _amount(minor_units: int, currency: str) -> str:
    return f"{format_minor_units(minor_units, exponent_of(currency))} {currency}"


#: ``;`` starts a comment and ``|`` splits payee from note in hledger; line breaks would start another line in both.
_NOT_IN_A_LINE = re.compile(r"[;|\s\x00-\x1f\x7f\x85\u2028\u2029]+")


def _one_line(value: str) -> str:
    return _NOT_IN_A_LINE.sub(" ", value).strip()


def _write_hledger(stream: TextIO, accounts: dict[int, _Named], transfers: Callable[[], Iterator[Any]]) -> int:
    stream.writelines(f"commodity 1000.{'0' * exponent_of(currency)} {currency}\n" for currency in _currencies(accounts))
    stream.write("decimal-mark .\n\n")
    stream.writelines(f"account {account.name}\n" for account in accounts.values())
    count, last_day = 0, date.min
    for row in transfers():
        debit, credit = accounts[row.debit_account_id], accounts[row.credit_account_id]
        stream.write(
            f"\n{row.booking_date} * ({row.transfer_id}) {_one_line(f'{row.reason} {row.source_kind} {row.source_ref}')}\n"
            f"    {debit.name}  {_amount(row.amount_minor_units, row.currency)}\n"
            f"    {credit.name}  {_amount(-row.amount_minor_units, row.currency)}\n"
        )
        count, last_day = count + 1, row.booking_date
    if accounts:
        stream.write(f"\n{last_day} * balances\n")
    stream.writelines(
        f"    {account.name}  {_amount(0, account.currency)} = {_amount(account.minor_units, account.currency)}\n"
        for account in accounts.values()
    )
    return count


def _write_beancount(stream: TextIO, accounts: dict[int, _Named], transfers: Callable[[], Iterator[Any]]) -> int:
    stream.write('option "title" "Prepaid escrow books"\n')
    stream.writelines(f'option "operating_currency" "{currency}"\n' for currency in _currencies(accounts))
    stream.write("\n")
    stream.writelines(f"{account.opened_on} open {account.name} {account.currency}\n" for account in accounts.values())
    count, last_day = 0, date.min
    for row in transfers():
        debit, credit = accounts[row.debit_account_id], accounts[row.credit_account_id]
        narration = _one_line(f"{row.reason} {row.source_kind} {row.source_ref}").replace("\\", "\\\\").replace('"', '\\"')
        stream.write(
            f'\n{row.booking_date} * "{narration}"\n  transfer: "{row.transfer_id}"\n'
            f"  {debit.name}  {_amount(row.amount_minor_units, row.currency)}\n"
            f"  {credit.name}  {_amount(-row.amount_minor_units, row.currency)}\n"
        )
        count, last_day = count + 1, row.booking_date
    if accounts:
        stream.write("\n")
    # A beancount assertion holds at the beginning of its day, and allows a fen's difference unless told not to.
    for account in accounts.values():
        number = format_minor_units(account.minor_units, exponent_of(account.currency))
        stream.write(f"{last_day + timedelta(days=1)} balance {account.name}  {number} ~ 0 {account.currency}\n")
    return count
