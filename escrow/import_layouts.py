"""Which columns each import file has, how each is read, and which of them are the row's key (docs/file-formats.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from escrow import import_cells as cells
from escrow.class_hour import REPORTED_EVENTS
from escrow.import_reading import ColumnsRefused, FileRefused, ImportFinding, RawRow, read_rows


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of import file. ``columns``: reader by name. ``key``: the columns that name the thing the row tells about.

    ``optional`` columns may be left out of the file; they then read as empty.
    """

    kind: str
    columns: dict[str, cells.CellReader]
    key: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(name for name in self.columns if name not in self.optional)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row whose every cell could be read. ``values`` by column name: text, int (fen), date, aware UTC datetime or None.

    ``digest`` is the SHA-256 of the values in canonical form: equal for equal content, whatever the file's format.
    """

    line: int
    values: dict[str, Any]
    key: tuple[str, ...]
    digest: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """All rows of a file: those that could be read (first of each key), how many repeat an earlier row of the same file
    word for word, and the findings; ``refused_lines`` are the lines that were refused.
    """

    sha256: bytes
    rows: list[ReadRow]
    repeated: int
    findings: list[ImportFinding]
    refused_lines: set[int]
    row_count: int


INSTITUTIONS = Layout(
    kind="institutions",
    columns={
        "institution_code": cells.institution_code,
        "name": cells.text,
        "jurisdiction_code": cells.identifier,
        "bank_code": cells.identifier,
        "account_number": cells.account_number,
        "account_name": cells.text,
        "currency": cells.identifier,
        "opened_on": cells.day,
        "beneficiary_name": cells.text,
        "beneficiary_account": cells.account_number,
        "beneficiary_bank": cells.text,
    },
    key=("institution_code", "account_number"),
)

ORDERS = Layout(
    kind="orders",
    columns={
        "institution_code": cells.institution_code,
        "account_number": cells.account_number,
        "order_id": cells.identifier,
        "payer_token": cells.identifier,
        "student_token": cells.identifier,
        "course_name": cells.text,
        "class_hours": cells.whole_number,
        "amount": cells.positive_amount,
        "currency": cells.identifier,
        "channel": cells.identifier,
        "channel_reference": cells.identifier,
        "paid_at": cells.instant,
        "course_starts_on": cells.day,
        "course_ends_on": cells.day,
    },
    key=("institution_code", "order_id"),
)

CLASS_HOURS = Layout(
    kind="class-hours",
    columns={
        "institution_code": cells.institution_code,
        "order_id": cells.identifier,
        "class_hour_no": cells.whole_number,
        "event": cells.one_of(REPORTED_EVENTS, "unknown_event"),
        "event_at": cells.instant,
        "reported_by": cells.identifier,
    },
    key=("institution_code", "order_id", "class_hour_no", "event"),
)

REFUND_REQUESTS = Layout(
    kind="refund-requests",
    columns={
        "institution_code": cells.institution_code,
        "refund_request_id": cells.identifier,
        "order_id": cells.identifier,
        "requested_at": cells.instant,
        "institution_response": cells.one_of(("agreed", "silent"), "unknown_response"),
        "responded_at": cells.optional(cells.instant),
        "reason": cells.text,
        "payee_name": cells.text,
        "payee_account": cells.account_number,
    },
    key=("institution_code", "refund_request_id"),
)

CHANNEL_SETTLEMENTS = Layout(
    kind="channel-settlements",
    columns={
        "channel": cells.identifier,
        "settlement_batch": cells.identifier,
        "settled_on": cells.day,
        "institution_code": cells.institution_code,
        "account_number": cells.account_number,
        "order_id": cells.identifier,
        "channel_reference": cells.identifier,
        "gross": cells.positive_amount,
        "fee": cells.amount,
        "net": cells.amount,
    },
    key=("institution_code", "order_id", "channel_reference"),
)

OPENING_BALANCES = Layout(
    kind="opening-balances",
    columns={
        "institution_code": cells.institution_code,
        "account_number": cells.account_number,
        "as_of": cells.day,
        "amount": cells.positive_amount,
        "currency": cells.identifier,
        "reason": cells.text,
    },
    key=("institution_code", "account_number"),
)

LAYOUTS = {one.kind: one for one in (INSTITUTIONS, ORDERS, CLASS_HOURS, REFUND_REQUESTS, CHANNEL_SETTLEMENTS, OPENING_BALANCES)}


def content_digest(values: Iterable[Any]) -> bytes:
    """SHA-256 over the values in their canonical text, with their boundaries: equal for equal content only."""
    sha = hashlib.sha256()
    for value in values:
        written = "" if value is None else value.isoformat() if isinstance(value, (date, datetime)) else str(value)
        sha.update(f"{len(written)}:{written};".encode())
    return sha.digest()


def read_file(data: bytes, layout: Layout, progress: Callable[[int], None] | None = None) -> Reading:
    """Read every row by its layout. Findings instead of exceptions: a file that cannot be read has them and no rows.

    ``progress`` is called with the number of rows read so far, every thousand rows.
    """
    reading = Reading(hashlib.sha256(data).digest(), [], 0, [], set(), 0)
    rows: list[ReadRow] = []
    first_of_key: dict[tuple[str, ...], ReadRow] = {}
    findings: list[ImportFinding] = []
    repeated = count = 0
    try:
        for raw in read_rows(data, layout.required, layout.optional):
            count += 1
            if progress is not None and count % 1000 == 0:
                progress(count)
            if isinstance(raw, ImportFinding):
                findings.append(raw)
                continue
            row = _read_row(raw, layout, findings)
            if row is None:
                continue
            first = first_of_key.setdefault(row.key, row)
            if first is row:
                rows.append(row)
            elif first.digest == row.digest:
                repeated += 1
            else:
                findings.append(other_content(row, layout, f"line {first.line} of this file"))
    except ColumnsRefused as refused:
        return Reading(reading.sha256, [], 0, _about_columns(refused, layout), set(), 0)
    except FileRefused as refused:
        return Reading(reading.sha256, [], 0, list(refused.findings), set(), 0)
    return Reading(reading.sha256, rows, repeated, findings, {finding.line for finding in findings}, count)


def _about_columns(refused: ColumnsRefused, layout: Layout) -> list[ImportFinding]:
    """One finding for a file of another kind, saying which command takes it; else what is wrong with each column."""
    given = set(refused.names)
    first = refused.findings[0]

    def reason(text: str) -> list[ImportFinding]:
        return [ImportFinding(first.line, "", "wrong_kind_of_file", text)]

    columns = f"the columns of {layout.kind} are {', '.join(layout.required)} (docs/file-formats.md)"
    for other in LAYOUTS.values():
        if other is not layout and given >= set(other.required):
            return reason(f"this is a file of {other.kind}; take it with: escrow import {other.kind} FILE")
    if 2 * len(given & set(layout.required)) < len(layout.required):
        shown = ", ".join(refused.names)
        shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
        return reason(
            f"this does not look like a file of {layout.kind}: its first line says {shown}; {columns}. "
            "A bank's statement is taken with: escrow statement receive FILE --sender BANK"
        )
    told = [*refused.findings[:-1], replace(refused.findings[-1], reason=f"{refused.findings[-1].reason}; {columns}")]
    return list(told)


def other_content(row: ReadRow, layout: Layout, where: str) -> ImportFinding:
    """The refusal of a row whose key is known with another content: the first one given stays."""
    name = " ".join(row.key[1:] if len(row.key) > 1 else row.key)
    reason = (
        f"{layout.key[1].removesuffix('_id').replace('_', ' ')} {name} was given with other content ({where}); the first stays, "
        "ask the sender which is right"
    )
    return ImportFinding(row.line, layout.key[-1], "other_content", reason, subject=row.key)


def _read_row(raw: RawRow, layout: Layout, findings: list[ImportFinding]) -> ReadRow | None:
    values: dict[str, Any] = {}
    subject = tuple(raw.cells.get(name, "")[:64] for name in layout.key)
    sound = True
    for name, reader in layout.columns.items():
        try:
            values[name] = reader(raw.cells.get(name, ""))
        except cells.CellRefused as refused:
            findings.append(ImportFinding(raw.line, name, refused.code, str(refused), subject=subject))
            sound = False
    if not sound:
        return None
    key = tuple(str(values[name]) for name in layout.key)
    return ReadRow(raw.line, values, key, content_digest(values.values()))
