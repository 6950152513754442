"""What has become of a file since it came: what was held back may have been let through, turned down, or said by another file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.model import Finding, Severity
from bank_adapters.profile import Profile
from reconciliation.intake import booked_lines, figures_of
from reconciliation.model import Receipt, StatementOutcome, StatementReceipt
from reconciliation.quarantine_store import Held, QuarantineState, held, waits_for_two
from reconciliation.reasons import ReasonCode, because, from_store
from reconciliation.receiving import read_again


def file_number(conn: Connection, sha256: bytes, sender_bank: str, name: str) -> int | None:
    """The newest arrival of these bytes from this bank, under this name if it ever came so; None when they never came from it."""
    found: int | None = conn.execute(
        text(
            """
            SELECT statement_file_id FROM statement_file WHERE sha256 = :sha256 AND sender_bank = :bank
            ORDER BY file_name = :name DESC, statement_file_id DESC LIMIT 1
            """
        ),
        {"sha256": sha256, "bank": sender_bank, "name": name},
    ).scalar_one_or_none()
    return found


def let_through_after_all(conn: Connection, sender_bank: str) -> list[tuple[str, bytes]]:
    """Name and SHA-256 of the files of a bank of which something was turned down first and then let through."""
    rows = conn.execute(
        text(
            """
            SELECT DISTINCT f.file_name, f.sha256 FROM quarantine_state q JOIN statement_file f USING (statement_file_id)
            WHERE q.state = 'released' AND f.sender_bank = :bank AND EXISTS (
                SELECT FROM quarantine_event e WHERE e.quarantine_id = q.quarantine_id AND e.event = 'rejected')
            """
        ),
        {"bank": sender_bank},
    )
    return [(row.file_name, bytes(row.sha256)) for row in rows]


def statements_now(conn: Connection, statement_file_id: int) -> list[StatementReceipt]:
    """Each statement of a file as it stands; without figures. Raises LookupError."""
    stored = conn.execute(
        text("SELECT statements FROM statement_file_reading WHERE statement_file_id = :id"), {"id": statement_file_id}
    ).scalar_one_or_none()
    if stored is None:
        raise LookupError(f"no statement file {statement_file_id}; escrow statement list shows them")
    numbers = [one["quarantine_id"] for one in stored if one.get("quarantine_id")]
    named = {one.quarantine_id: one for one in held(conn, quarantine_ids=numbers)}
    found = []
    for one in stored:
        told = StatementReceipt(
            index=one["index"],
            account=one["account"],
            business_date=date.fromisoformat(one["business_date"]) if one["business_date"] else None,
            outcome=StatementOutcome(one["outcome"]),
            reasons=from_store(one.get("told"), one["reasons"]),
            kind=one["kind"],
            quarantine_id=one.get("quarantine_id"),
            lines_absorbed=one.get("lines_absorbed", 0),
        )
        about = named.get(told.quarantine_id or 0)
        if about is not None and told.outcome is StatementOutcome.QUARANTINED:
            told = _decided(conn, told, about, statement_file_id)
        found.append(told)
    return found


def _decided(conn: Connection, told: StatementReceipt, about: Held, statement_file_id: int) -> StatementReceipt:
    """A statement that was held back, as people or another file have decided since."""
    number = about.quarantine_id
    if about.state is QuarantineState.REJECTED:
        return replace(told, reasons=(*about.reasons, waits_for_two(about)), turned_down=True)
    if about.state is QuarantineState.OVERTAKEN:
        overtaken = because(ReasonCode.OVERTAKEN, number=number)
        return replace(told, outcome=StatementOutcome.DUPLICATE, reasons=(overtaken,))
    if about.state is not QuarantineState.RELEASED:
        return told
    kept = _kept(conn, about.statement_file_id, about.position_in_file)
    if kept is not None and about.statement_file_id != statement_file_id:
        same = because(ReasonCode.SAME_STATEMENT, file=about.statement_file_id)
        return replace(told, outcome=StatementOutcome.DUPLICATE, reasons=(same,))
    if kept is not None:
        return replace(told, outcome=kept, reasons=(because(ReasonCode.LET_THROUGH, number=number),))
    later = [one for one in held(conn, statement_file_id=about.statement_file_id) if _comes_after(one, about)]
    if later:  # another gate held it back then
        again = replace(told, reasons=(*later[-1].reasons, waits_for_two(later[-1])), quarantine_id=later[-1].quarantine_id)
        return _decided(conn, again, later[-1], statement_file_id)
    in_vain = because(ReasonCode.LET_THROUGH_IN_VAIN, number=number)
    return replace(told, outcome=StatementOutcome.REFUSED, reasons=(in_vain,))


def _comes_after(one: Held, about: Held) -> bool:
    return one.position_in_file == about.position_in_file and one.quarantine_id > about.quarantine_id


def _kept(conn: Connection, statement_file_id: int, position: int) -> StatementOutcome | None:
    """Whether a statement of a file counts, first or as a later version, or waits; None when it is not kept."""
    counts = conn.execute(
        text(
            """
            SELECT bool_or(c.statement_id IS NOT NULL OR v.statement_id IS NOT NULL) FROM statement s
            LEFT JOIN statement_counted c USING (institution_id, statement_id)
            LEFT JOIN statement_version v USING (institution_id, statement_id)
            WHERE s.statement_file_id = :file AND s.position_in_file = :position
            """
        ),
        {"file": statement_file_id, "position": position},
    ).scalar_one()
    if counts is None:
        return None
    return StatementOutcome.COUNTED if counts else StatementOutcome.WAITING


def receipt_now(conn: Connection, statement_file_id: int, profiles: Sequence[Profile]) -> Receipt:
    """The receipt of a file as it stands: its findings as they were told, its figures read once more from the bytes kept.

    Raises LookupError.
    """
    statements = statements_now(conn, statement_file_id)
    _, name, reading = read_again(conn, statement_file_id, profiles)
    row = conn.execute(
        text(
            "SELECT f.sha256, r.findings FROM statement_file f JOIN statement_file_reading r USING (statement_file_id)"
            " WHERE statement_file_id = :id"
        ),
        {"id": statement_file_id},
    ).one()
    read = dict(enumerate(reading.statements))
    lines: Mapping[int, Any] = {index: booked_lines(one) for index, one in read.items()}
    return Receipt(
        statement_file_id=statement_file_id,
        file_name=name,
        sha256=bytes(row.sha256).hex(),
        format=reading.format,
        profile=reading.profile,
        statements=tuple(
            replace(one, line_count=len(lines[one.index]), figures=figures_of(read[one.index], lines[one.index]))
            if one.index in read
            else one
            for one in statements
        ),
        findings=tuple(
            Finding(
                Severity(one["severity"]),
                one["code"],
                one["message"],
                statement=one["statement"],
                line=one["line"],
                field=one["field"],
                message_zh=one.get("message_zh"),
            )
            for one in row.findings
        ),
    )
