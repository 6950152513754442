"""What a discrepancy rests on: the bank's lines down to file, digest and line number; the books' items with their source."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from money import Money
from reconciliation.discrepancy import Discrepancy

#: What stands where a fact that names, or may name, a payer is kept back.
MASKED = "(masked)"


def evidence_of(
    conn: Connection, one: Discrepancy, *, books: bool = True, personal: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """``lines`` and ``items`` of a discrepancy as plain facts; amounts as text. ``books``: with items, else only lines.

    ``personal``: with what names payers (counterparty, the bank's text), else that is masked.
    """

    def kept(fact: str | None) -> str | None:
        return fact if personal or not fact else MASKED

    lines = conn.execute(
        text(
            """
            SELECT l.line_id, l.direction, l.amount_minor_units, l.currency, l.booking_date, l.bank_reference, l.line_references,
                l.counterparty_name, l.description, l.file_line, f.file_name, encode(f.sha256, 'hex') AS sha256,
                r.suggested_item_ids
            FROM statement_line l JOIN statement s USING (institution_id, statement_id)
            JOIN statement_file f USING (statement_file_id)
            LEFT JOIN LATERAL (
                SELECT suggested_item_ids FROM run_discrepancy d
                WHERE d.institution_id = l.institution_id AND d.discrepancy_id = :id ORDER BY run_id DESC LIMIT 1
            ) r ON true
            WHERE l.institution_id = :institution AND l.line_id = ANY (:lines) ORDER BY l.line_id
            """
        ),
        {"institution": one.institution_id, "lines": list(one.line_ids), "id": one.discrepancy_id},
    ).all()
    suggested = [row.suggested_item_ids for row in lines if row.suggested_item_ids]
    items = (
        []
        if not books
        else conn.execute(
            text(
                """
            SELECT i.item_id, i.kind, i.direction, i.amount_minor_units, i.currency, i.due_date, i.booking_date,
                i.item_references,                t.source_kind, t.source_ref, k.item_id IS NOT NULL AS cleared
            FROM open_item i JOIN transfer t ON t.institution_id = i.institution_id AND t.transfer_id = i.item_id
            LEFT JOIN open_item_clearing k ON k.institution_id = i.institution_id AND k.item_id = i.item_id
            WHERE i.institution_id = :institution AND i.item_id = ANY (:items) ORDER BY i.item_id
            """
            ),
            {"institution": one.institution_id, "items": [UUID(item) for item in (*one.item_ids, *suggested)]},
        ).all()
    )
    return {
        "lines": [
            {
                "line_id": row.line_id,
                "direction": row.direction,
                "amount": Money(int(row.amount_minor_units), row.currency).plain,
                "booking_date": row.booking_date.isoformat(),
                "bank_reference": row.bank_reference,
                "references": list(row.line_references),
                "counterparty_name": kept(row.counterparty_name),
                "description": kept(row.description),
                "file": row.file_name,
                "file_line": row.file_line,
                "sha256": row.sha256,
            }
            for row in lines
        ],
        "items": [
            {
                "item_id": str(row.item_id),
                "kind": row.kind,
                "direction": row.direction,
                "amount": Money(int(row.amount_minor_units), row.currency).plain,
                "booking_date": row.booking_date.isoformat(),
                "due_date": row.due_date.isoformat(),
                "references": list(row.item_references),
                "source": f"{row.source_kind} {row.source_ref}",
                "cleared": row.cleared,
                "suggested": str(row.item_id) in suggested,
            }
            for row in items
        ],
    }
