"""The books as tables: journal with sources, trial balance, general ledger, open items; as CSV files or one workbook."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import Connection

from ledger.chart import Chart
from ledger.model import OpenItem
from ledger.store import open_items
from reports.general_ledger import general_ledger, general_ledger_table
from reports.journal import journal_table, whole_journal, with_sources
from reports.report_table import Column, ColumnType, Fact, Language, ReportTable
from reports.tabular import write_report_csv
from reports.trial_balance import trial_balance_report, trial_balance_table
from reports.workbook import Written, write_workbook

_ITEM_COLUMNS = (
    Column("custody_account_id", "custody account", "托管账户", ColumnType.INTEGER),
    Column("item_id", "item", "未达项编号"),
    Column("kind", "kind", "类别"),
    Column("direction", "direction", "方向"),
    Column("amount", "amount", "金额", ColumnType.MONEY),
    Column("currency", "currency", "币种"),
    Column("booking_date", "booked", "记账日", ColumnType.DATE),
    Column("due_date", "due", "应达日", ColumnType.DATE),
    Column("references", "references", "参考号"),
    Column("group_key", "group", "结算批次"),
    Column("counterparty_name", "counterparty", "对方户名"),
    Column("counterparty_account", "counterparty account", "对方账号"),
)


@dataclass(frozen=True, slots=True)
class BooksAsked:
    """Which books, for when and for whom: through ``as_of``, as known at ``known_at``, of ``institution_ids`` (None: all)."""

    as_of: date | None = None
    known_at: datetime | None = None
    institution_ids: Collection[int] | None = None
    language: Language = "en"
    facts: tuple[Fact, ...] = field(default=())


def export_csv(conn: Connection, chart: Chart, out: Path, asked: BooksAsked) -> list[tuple[Path, int]]:
    """Write journal.csv, trial_balance.csv, general_ledger.csv and open_items.csv into ``out`` (made when missing); each path
    and its rows. Amounts are decimal text.
    """
    out.mkdir(parents=True, exist_ok=True)
    tables = _tables(conn, chart, asked)
    return [(out / f"{table.key}.csv", write_report_csv(table, out / f"{table.key}.csv")) for table in tables]


def export_workbook(conn: Connection, chart: Chart, out: Path, asked: BooksAsked) -> tuple[Path, list[Written]]:
    """Write books.xlsx with the same tables into ``out`` (made when missing): its path, and the sheets and rows of each."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "books.xlsx"
    return path, write_workbook(path, _tables(conn, chart, asked), language=asked.language)


def _tables(conn: Connection, chart: Chart, asked: BooksAsked) -> Iterator[ReportTable]:
    """One after the other: each is read when its turn comes."""
    as_of, known_at, institutions = asked.as_of, asked.known_at, asked.institution_ids
    balances = trial_balance_report(conn, chart, as_of=as_of, known_at=known_at, institution_ids=institutions, by="account")
    yield trial_balance_table(balances, chart, asked.language, asked.facts)
    ledger = general_ledger(conn, to=as_of, known_at=known_at, institution_ids=institutions)
    yield general_ledger_table(ledger, chart, asked.language, asked.facts)
    yield _open_items_table(open_items(conn, as_of=as_of, known_at=known_at, institution_ids=institutions), asked.facts)
    lines = whole_journal(conn, to=as_of, known_at=known_at, institution_ids=institutions)
    yield journal_table(with_sources(conn, lines), asked.facts)


def _open_items_table(items: Sequence[OpenItem], facts: tuple[Fact, ...]) -> ReportTable:
    rows = tuple(
        (
            item.custody_account_id, item.item_id, item.kind, item.direction, item.amount, item.amount.currency,
            item.booking_date, item.due_date, " | ".join(item.references), item.group_key,
            item.counterparty_name, item.counterparty_account,
        )
        for item in items
    )  # fmt: skip
    return ReportTable("open_items", "Open items", "未达账项", _ITEM_COLUMNS, rows, facts)
