"""The books as CSV files: journal, trial balance, open items."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sqlalchemy import Connection

from ledger.chart import Chart
from ledger.reading import JournalLine, journal, open_items
from reports.tabular import write_csv
from reports.trial_balance import kind_name, trial_balance_report

#: Journal lines read at once.
_PAGE = 20_000

JOURNAL_HEADER = (
    "institution_id", "batch_id", "line", "transfer_id", "booking_date", "posted_at", "debit_account", "credit_account", "amount",
    "currency", "reason", "source_kind", "source_ref", "reverses", "actor", "rule_version",
)  # fmt: skip
TRIAL_BALANCE_HEADER = (
    "custody_account_id", "account_id", "kind", "name_en", "name_zh", "subject", "currency", "debit", "credit",
)  # fmt: skip
OPEN_ITEMS_HEADER = (
    "custody_account_id", "item_id", "kind", "direction", "amount", "currency", "booking_date", "due_date", "references",
    "group_key", "counterparty_name", "counterparty_account",
)  # fmt: skip


def export_csv(conn: Connection, chart: Chart, out: Path, *, as_of: date | None = None) -> list[tuple[Path, int]]:
    """Write journal.csv, trial_balance.csv and open_items.csv into ``out`` (made when missing); each path and its rows.

    Amounts are decimal strings. ``as_of``: only what is booked through that business day.
    """
    out.mkdir(parents=True, exist_ok=True)
    report = trial_balance_report(conn, chart, as_of=as_of, by="account")
    journal_rows = (
        (
            line.institution_id, line.batch_id, line.line, line.transfer_id, line.booking_date, line.posted_at.isoformat(),
            line.debit_account, line.credit_account, line.amount.plain, line.amount.currency, line.reason, line.source_kind,
            line.source_ref, line.reverses, line.actor, line.rule_version,
        )
        for line in _whole_journal(conn, as_of)
    )  # fmt: skip
    balance_rows = (
        (
            row.custody_account_id, row.account_id, row.kind, kind_name(chart, row.kind, "en"), kind_name(chart, row.kind, "zh"),
            row.subject, row.debit.currency, row.debit.plain, row.credit.plain,
        )
        for row in report.rows
    )  # fmt: skip
    item_rows = (
        (
            item.custody_account_id, item.item_id, item.kind, item.direction, item.amount.plain, item.amount.currency,
            item.booking_date, item.due_date, " | ".join(item.references), item.group_key,
            item.counterparty_name, item.counterparty_account,
        )
        for item in open_items(conn, as_of=as_of)
    )  # fmt: skip
    files = (
        ("journal.csv", JOURNAL_HEADER, journal_rows),
        ("trial_balance.csv", TRIAL_BALANCE_HEADER, balance_rows),
        ("open_items.csv", OPEN_ITEMS_HEADER, item_rows),
    )
    return [(out / name, write_csv(out / name, header, rows)) for name, header, rows in files]


def _whole_journal(conn: Connection, as_of: date | None) -> Iterator[JournalLine]:
    after: tuple[int, int, int] | None = None
    while True:
        page = journal(conn, to=as_of, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = (page[-1].institution_id, page[-1].batch_id, page[-1].line)
