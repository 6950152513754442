"""What the books hold, in the words of the answer key: read from the evidence, never from what a run printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from simulation.scoring import Found, FoundBalance, FoundDiscrepancy, FoundFinding, FoundMatch, FoundPayment

#: Matches found by runs (a person's resolution is no match of the engine), with the business reference of every item.
_MATCHES = """
    SELECT a.account_number, l.booking_date, l.bank_reference, l.amount_minor_units,
        array_agg(CASE t.source_kind WHEN 'refund' THEN 'RF' || t.source_ref ELSE t.source_ref END ORDER BY t.source_ref)
    FROM match m
    JOIN match_bank_line b USING (institution_id, match_id)
    JOIN statement_line l USING (institution_id, line_id)
    JOIN custody_account a ON a.institution_id = l.institution_id AND a.custody_account_id = l.custody_account_id
    JOIN match_book_item i ON i.institution_id = m.institution_id AND i.match_id = m.match_id
    JOIN transfer t ON t.institution_id = i.institution_id AND t.transfer_id = i.item_id
    WHERE m.run_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM match_undone u WHERE u.institution_id = m.institution_id AND u.match_id = m.match_id)
    GROUP BY a.account_number, l.booking_date, l.bank_reference, l.amount_minor_units, l.line_id
"""

_DISCREPANCIES = """
    SELECT d.kind, a.account_number, e.business_date, d.amount_minor_units, d.difference_minor_units,
        (SELECT coalesce(array_agg(coalesce(l.bank_reference, '-')), '{}') FROM statement_line l
            WHERE l.institution_id = d.institution_id AND l.line_id = ANY(d.line_ids)),
        (SELECT coalesce(array_agg(CASE t.source_kind WHEN 'refund' THEN 'RF' || t.source_ref ELSE t.source_ref END), '{}')
            FROM transfer t WHERE t.institution_id = d.institution_id AND t.transfer_id = ANY(d.item_ids)),
        (SELECT coalesce(array_agg(DISTINCT reference), '{}') FROM (
            SELECT unnest(l.line_references || l.bank_reference) AS reference FROM statement_line l
            WHERE l.institution_id = d.institution_id AND l.line_id = ANY(d.line_ids)
            UNION SELECT unnest(o.item_references || o.group_key) FROM open_item o
            WHERE o.institution_id = d.institution_id AND o.item_id = ANY(d.item_ids)
            UNION SELECT s.settlement_batch FROM prepayment p JOIN channel_settlement_item s
                ON s.institution_id = p.institution_id AND s.order_id = p.order_id
            WHERE p.institution_id = d.institution_id AND p.receipt_item_id = ANY(d.item_ids)
        ) evidence WHERE reference IS NOT NULL)
    FROM discrepancy d
    JOIN custody_account a USING (institution_id, custody_account_id)
    JOIN discrepancy_event e ON e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id AND e.event_no = 1
"""

_RELEASES = "SELECT order_id || '#' || class_hour_no, amount_minor_units, released_on FROM release"

#: A request approved with nothing left to give back is no refund of money.
_REFUNDS = "SELECT refund_request_id, amount_minor_units, approved_on FROM refund WHERE amount_minor_units > 0"

_DISBURSEMENTS = "SELECT instruction_id, amount_minor_units, instruction_date FROM disbursement_instruction"

_BALANCES = """
    SELECT a.account_number, s.business_date, s.opening_minor_units, s.closing_minor_units
    FROM statement_in_force c
    JOIN statement s USING (institution_id, statement_id)
    JOIN custody_account a ON a.institution_id = s.institution_id AND a.custody_account_id = s.custody_account_id
"""


def found_in_books(
    connection: sa.Connection, findings: Sequence[FoundFinding], covered: Mapping[tuple[str, date], bool]
) -> Found:
    """Everything the engine found, as the scoring compares it.

    ``findings`` are the import reports' refused rows; ``covered`` says whether coverage was proven at the end of each day, by
    (account number, day), as the day itself saw it.
    """

    def rows(query: str) -> list[Any]:
        return list(connection.execute(sa.text(query)))

    return Found(
        matches=[FoundMatch(a, day, ref, amount, tuple(books)) for a, day, ref, amount, books in rows(_MATCHES)],
        discrepancies=[
            FoundDiscrepancy(kind, account, day, amount, off, tuple(lines), tuple(items), tuple(references))
            for kind, account, day, amount, off, lines, items, references in rows(_DISCREPANCIES)
        ],
        releases=[FoundPayment(*row) for row in rows(_RELEASES)],
        refunds=[FoundPayment(*row) for row in rows(_REFUNDS)],
        disbursements=[FoundPayment(*row) for row in rows(_DISBURSEMENTS)],
        balances=[
            FoundBalance(number, day, opening, closing, covered.get((number, day), False))
            for number, day, opening, closing in rows(_BALANCES)
        ],
        findings=findings,
    )
