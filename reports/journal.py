"""The journal as a report: every transfer in posting order, each with the file and line it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from ledger.journal import JournalLine, journal
from reports.report_table import Cell, Column, ColumnType, Fact, ReportTable
from reports.sources import Source, sources_of

#: Lines read at once, and sources looked up at once.
PAGE = 20_000

COLUMNS = (
    Column("at", "at", "凭证号"),
    Column("transfer_id", "transfer", "转账编号", on_screen=False),
    Column("booking_date", "booked", "记账日", ColumnType.DATE),
    Column("posted_at", "posted", "录入时刻", ColumnType.INSTANT, on_screen=False),
    Column("debit_account_id", "debit no.", "借方科目号", ColumnType.INTEGER, on_screen=False),
    Column("debit_account", "debit", "借方科目"),
    Column("credit_account_id", "credit no.", "贷方科目号", ColumnType.INTEGER, on_screen=False),
    Column("credit_account", "credit", "贷方科目"),
    Column("amount", "amount", "金额", ColumnType.MONEY),
    Column("currency", "currency", "币种", on_screen=False),
    Column("reason", "reason", "事由", on_screen=False),
    Column("source_kind", "source kind", "来源类别", on_screen=False),
    Column("source_ref", "source", "来源编号"),
    Column("source_file_sha256", "source file SHA-256", "来源文件 SHA-256", on_screen=False),
    Column("source_file", "source file", "来源文件", on_screen=False),
    Column("source_line", "source line", "来源行号", ColumnType.INTEGER, on_screen=False),
    Column("reverses", "reverses", "冲销", on_screen=False),
    Column("actor", "actor", "经办", on_screen=False),
    Column("rule_version", "rules", "规则版本", on_screen=False),
)


def journal_table(lines: Iterable[tuple[JournalLine, Source | None]], facts: tuple[Fact, ...] = ()) -> ReportTable:
    """Journal lines with their sources as a report; ``lines`` may be a stream."""
    return ReportTable("journal", "Journal", "日记账", COLUMNS, (_row(line, source) for line, source in lines), facts)


def _row(line: JournalLine, source: Source | None) -> Sequence[Cell]:
    return (
        f"{line.institution_id}.{line.batch_id}.{line.line}", line.transfer_id, line.booking_date, line.posted_at,
        line.debit_account_id, line.debit_account, line.credit_account_id, line.credit_account, line.amount,
        line.amount.currency, line.reason, line.source_kind, line.source_ref, source.sha256 if source else None,
        source.file_name if source else None, source.line if source else None, line.reverses, line.actor, line.rule_version,
    )  # fmt: skip


def journal_line_as_json(line: JournalLine, source: Source | None) -> dict[str, Any]:
    """A journal line as ``--json`` prints it: amounts as decimal strings, ``source`` null for an event without a file."""
    return {
        "institution_id": line.institution_id,
        "batch_id": line.batch_id,
        "line": line.line,
        "transfer_id": str(line.transfer_id),
        "booking_date": line.booking_date.isoformat(),
        "posted_at": line.posted_at.isoformat(),
        "debit": line.debit_account,
        "debit_account_id": line.debit_account_id,
        "credit": line.credit_account,
        "credit_account_id": line.credit_account_id,
        "amount": line.amount.plain,
        "currency": line.amount.currency,
        "reason": line.reason,
        "source_kind": line.source_kind,
        "source_ref": line.source_ref,
        "source": source and {"about": source.about, "sha256": source.sha256, "file": source.file_name, "line": source.line},
        "reverses": line.reverses and str(line.reverses),
        "actor": line.actor,
        "rule_version": line.rule_version,
    }


def with_sources(conn: Connection, lines: Iterable[JournalLine]) -> Iterator[tuple[JournalLine, Source | None]]:
    """Each line with the file and line its event was read from, looked up a page at a time."""
    stream = iter(lines)
    while page := list(islice(stream, PAGE)):
        found = sources_of(conn, ((line.institution_id, line.source_kind, line.source_ref) for line in page))
        for line in page:
            yield line, found.get((line.institution_id, line.source_kind, line.source_ref))


def whole_journal(
    conn: Connection,
    *,
    institution_ids: Collection[int] | None = None,
    custody_account_id: int | None = None,
    source_kind: str | None = None,
    source_ref: str | None = None,
    from_: date | None = None,
    to: date | None = None,
    known_at: datetime | None = None,
) -> Iterator[JournalLine]:
    """All lines that are asked for, in posting order, page by page: memory stays the same however many there are.

    Read it in one REPEATABLE READ transaction, or lines posted meanwhile may be in it.
    """
    after: tuple[int, int, int] | None = None
    while True:
        page = journal(
            conn,
            institution_ids=institution_ids,
            custody_account_id=custody_account_id,
            source_kind=source_kind,
            source_ref=source_ref,
            from_=from_,
            to=to,
            known_at=known_at,
            after=after,
            limit=PAGE,
        )
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].institution_id, page[-1].batch_id, page[-1].line)
