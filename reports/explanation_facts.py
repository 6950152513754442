"""What is recorded of a thing a report names: one question for each kind of thing, down to file, digest and line.

Every question is asked for one institution (``:institution``) and several things (``:ids``, text) and answers with ``thing`` (its
id) and its facts by name. A fact ``amount_minor_units`` is told as an amount of the fact ``currency``.
"""

from __future__ import annotations

from collections.abc import Mapping

from reports.evidence.tables import PERSONAL as PERSONAL_COLUMNS

_ACCOUNT = "{0}.custody_account_id || ':' || {0}.kind || CASE {0}.subject WHEN '' THEN '' ELSE ':' || {0}.subject END"

FACTS: Mapping[str, str] = {
    "transfer": f"""
        SELECT t.transfer_id::text AS thing, t.institution_id || '.' || t.batch_id || '.' || t.line AS at, t.booking_date,
            {_ACCOUNT.format("d")} AS debit_account, {_ACCOUNT.format("c")} AS credit_account, t.amount_minor_units, t.currency,
            t.reason, t.source_kind || '/' || t.source_ref AS source, t.reverses, r.transfer_id AS reversed_by, b.actor,
            b.rule_version, b.posted_at, b.recorded_at
        FROM transfer t JOIN posting_batch b ON b.institution_id = t.institution_id AND b.batch_id = t.batch_id
        JOIN account d ON d.institution_id = t.institution_id AND d.account_id = t.debit_account_id
        JOIN account c ON c.institution_id = t.institution_id AND c.account_id = t.credit_account_id
        LEFT JOIN transfer r ON r.institution_id = t.institution_id AND r.reverses = t.transfer_id
        WHERE t.institution_id = :institution AND t.transfer_id = ANY (CAST(:ids AS uuid[]))
        ORDER BY t.batch_id, t.line
    """,
    "batch": """
        SELECT b.institution_id || '.' || b.batch_id AS thing, b.transfer_count AS transfers,
            encode(b.root, 'hex') AS root, b.actor, b.reason, b.rule_version, b.posted_at, b.recorded_at,
            (SELECT min(e.checkpoint_no) FROM checkpoint_entry e WHERE e.institution_id = b.institution_id
                AND e.custody_account_id IS NULL AND e.log_size >= b.batch_id) AS checkpoint
        FROM posting_batch b
        WHERE b.institution_id = :institution AND b.institution_id || '.' || b.batch_id = ANY (:ids)
            AND b.batch_id = ANY (SELECT split_part(w, '.', 2)::bigint FROM unnest(CAST(:ids AS text[])) AS w)
        ORDER BY b.batch_id
    """,
    "account": f"""
        SELECT {_ACCOUNT.format("a")} AS thing, a.account_id AS number, a.normal_side, a.currency, a.opened_on FROM account a
        WHERE a.institution_id = :institution AND a.account_id = ANY (CAST(:ids AS bigint[])) ORDER BY a.account_id
    """,
    "order": """
        SELECT o.order_id AS thing, o.course_name, o.class_hours, o.amount_minor_units, a.currency, o.channel,
            o.channel_reference, o.paid_at, p.jurisdiction_code, p.policy_version AS rule_version, p.release_mode, f.funded_on,
            encode(o.source_file_sha256, 'hex') AS file_sha256, o.source_line AS file_line
        FROM orders o JOIN custody_account a USING (institution_id, custody_account_id)
        LEFT JOIN prepayment p USING (institution_id, order_id) LEFT JOIN funding f USING (institution_id, order_id)
        WHERE o.institution_id = :institution AND o.order_id = ANY (:ids) ORDER BY o.order_id
    """,
    "class_hour": """
        SELECT e.order_id || '#' || e.class_hour_no AS thing, e.event, e.event_on, e.reported_by AS actor,
            CASE e.event WHEN r.confirmation_event THEN r.released_on END AS released_on,
            CASE e.event WHEN r.confirmation_event THEN r.basis END AS basis,
            encode(e.source_file_sha256, 'hex') AS file_sha256, e.source_line AS file_line
        FROM class_hour_event e LEFT JOIN release r USING (institution_id, order_id, class_hour_no)
        WHERE e.institution_id = :institution
            AND e.order_id = ANY (SELECT left(w, length(w) - strpos(reverse(w), '#')) FROM unnest(CAST(:ids AS text[])) AS w)
            AND e.order_id || '#' || e.class_hour_no = ANY (:ids)
        ORDER BY e.order_id, e.class_hour_no, e.recorded_at
    """,
    "refund_request": """
        SELECT q.refund_request_id AS thing, q.order_id AS order, q.requested_on, q.institution_response, q.responded_on,
            q.reason, r.approved_on, r.basis, r.amount_minor_units, a.currency, q.payee_name, q.payee_account,
            encode(q.source_file_sha256, 'hex') AS file_sha256, q.source_line AS file_line
        FROM refund_request q JOIN orders o USING (institution_id, order_id)
        JOIN custody_account a USING (institution_id, custody_account_id)
        LEFT JOIN refund r USING (institution_id, refund_request_id)
        WHERE q.institution_id = :institution AND q.refund_request_id = ANY (:ids) ORDER BY 1
    """,
    "instruction": """
        SELECT d.instruction_id AS thing, d.instruction_date, d.amount_minor_units, a.currency, d.beneficiary_name, f.file_name,
            encode(f.sha256, 'hex') AS file_sha256
        FROM disbursement_instruction d JOIN custody_account a USING (institution_id, custody_account_id)
        JOIN instruction_file f USING (instruction_file_id)
        WHERE d.institution_id = :institution AND d.instruction_id = ANY (:ids) ORDER BY 1
    """,
    "opening_balance": """
        SELECT o.transfer_id::text AS thing, o.as_of, o.amount_minor_units, a.currency, o.reason,
            encode(o.source_file_sha256, 'hex') AS file_sha256, o.source_line AS file_line
        FROM opening_balance o JOIN custody_account a USING (institution_id, custody_account_id)
        WHERE o.institution_id = :institution AND o.transfer_id = ANY (CAST(:ids AS uuid[])) ORDER BY 1
    """,
    "line": """
        SELECT l.line_id AS thing, l.booking_date, l.value_date, l.direction, l.amount_minor_units, l.currency, l.bank_reference,
            array_to_string(l.line_references, ' | ') AS "references", s.business_date AS statement_of,
            s.sequence AS statement_sequence, l.counterparty_name, l.counterparty_account, l.description, f.file_name,
            encode(f.sha256, 'hex') AS file_sha256, l.file_line, f.received_by AS actor, f.received_at
        FROM statement_line l JOIN statement s USING (institution_id, statement_id)
        JOIN statement_file f USING (statement_file_id)
        WHERE l.institution_id = :institution AND l.line_id = ANY (:ids) ORDER BY l.booking_date, l.line_id
    """,
    "match": """
        SELECT m.match_id AS thing, m.rule, m.rules_version AS rule_version, m.explanation, m.matched_by AS actor,
            r.business_date AS run_of, r.ran_at
        FROM match m LEFT JOIN reconciliation_run r USING (institution_id, run_id)
        WHERE m.institution_id = :institution AND m.match_id = ANY (:ids) ORDER BY 1
    """,
    "item": """
        SELECT i.item_id::text AS thing, i.kind, i.direction, i.amount_minor_units, i.currency, i.booking_date, i.due_date,
            array_to_string(i.item_references, ' | ') AS "references", i.counterparty_name, i.counterparty_account,
            k.clearing_transfer_id AS cleared_by, k.cleared_on
        FROM open_item i LEFT JOIN open_item_clearing k USING (institution_id, item_id)
        WHERE i.institution_id = :institution AND i.item_id = ANY (CAST(:ids AS uuid[])) ORDER BY i.booking_date, 1
    """,
    "discrepancy": """
        SELECT s.discrepancy_id AS thing, s.kind, s.since, s.amount_minor_units, s.difference_minor_units, s.currency, s.state,
            s.state_on, s.owner, s.act, s.prepared_by, s.acted_by AS actor, coalesce(s.proposal_reason, s.reason) AS reason,
            s.explanation, f.file_name, encode(f.sha256, 'hex') AS file_sha256
        FROM discrepancy_state s LEFT JOIN statement_file f USING (statement_file_id)
        WHERE s.institution_id = :institution AND s.discrepancy_id = ANY (:ids) ORDER BY s.since, 1
    """,
    "event": """
        SELECT e.discrepancy_id AS thing, e.event, e.event_at, e.actor, e.act, e.owner, e.reason
        FROM discrepancy_event e
        WHERE e.institution_id = :institution AND e.discrepancy_id = ANY (:ids) ORDER BY e.discrepancy_id, e.event_no
    """,
}

#: Facts that name, or may name, payers and students: the columns evidence packs mask.
PERSONAL: Mapping[str, tuple[str, ...]] = {
    "line": PERSONAL_COLUMNS["statement_line"],
    "item": PERSONAL_COLUMNS["open_item"],
    "refund_request": PERSONAL_COLUMNS["refund_request"],
}


def _linked(column: str, table: str, by: str) -> str:
    """What rows of a table name, by something else they name."""
    kind = "uuid" if by == "item_id" else "text"
    return f"""
        SELECT DISTINCT m.{column}::text FROM {table} m
        WHERE m.institution_id = :institution AND m.{by} = ANY (CAST(:ids AS {kind}[])) ORDER BY 1
    """


#: Ids of things that belong to others, as text.
LINKS: Mapping[str, str] = {
    # The transfers written together as one journal entry.
    "entry of transfers": """
        SELECT s.transfer_id::text FROM transfer t JOIN transfer s ON s.institution_id = t.institution_id
            AND s.batch_id = t.batch_id AND s.source_kind = t.source_kind AND s.source_ref = t.source_ref
        WHERE t.institution_id = :institution AND t.transfer_id = ANY (CAST(:ids AS uuid[]))
        GROUP BY s.transfer_id, s.batch_id, s.line ORDER BY s.batch_id, s.line
    """,
    "transfers of batches": """
        SELECT t.transfer_id::text FROM transfer t WHERE t.institution_id = :institution
            AND t.batch_id = ANY (SELECT split_part(w, '.', 2)::bigint FROM unnest(CAST(:ids AS text[])) AS w)
        ORDER BY t.batch_id, t.line
    """,
    # Whatever moved on the order's own account, and what took its receipt out of transit.
    "transfers of orders": """
        SELECT t.transfer_id::text FROM (
            SELECT t.transfer_id, t.batch_id, t.line FROM prepayment p JOIN transfer t ON t.institution_id = p.institution_id
                AND t.debit_account_id = p.held_account_id
            WHERE p.institution_id = :institution AND p.order_id = ANY (:ids)
            UNION
            SELECT t.transfer_id, t.batch_id, t.line FROM prepayment p JOIN transfer t ON t.institution_id = p.institution_id
                AND t.credit_account_id = p.held_account_id
            WHERE p.institution_id = :institution AND p.order_id = ANY (:ids)
            UNION
            SELECT t.transfer_id, t.batch_id, t.line FROM prepayment p
            JOIN open_item_clearing k ON k.institution_id = p.institution_id AND k.item_id = p.receipt_item_id
            JOIN transfer t ON t.institution_id = k.institution_id AND t.transfer_id = k.clearing_transfer_id
            WHERE p.institution_id = :institution AND p.order_id = ANY (:ids)
        ) AS t ORDER BY t.batch_id, t.line
    """,
    "transfers of class_hours": """
        SELECT r.transfer_id::text FROM release r WHERE r.institution_id = :institution AND r.transfer_id IS NOT NULL
            AND r.order_id = ANY (SELECT left(w, length(w) - strpos(reverse(w), '#')) FROM unnest(CAST(:ids AS text[])) AS w)
            AND r.order_id || '#' || r.class_hour_no = ANY (:ids) ORDER BY 1
    """,
    "transfers of refund_requests": """
        SELECT r.transfer_id::text FROM refund r WHERE r.institution_id = :institution AND r.transfer_id IS NOT NULL
            AND r.refund_request_id = ANY (:ids) ORDER BY 1
    """,
    "transfers of instructions": """
        SELECT d.transfer_id::text FROM disbursement_instruction d WHERE d.institution_id = :institution
            AND d.instruction_id = ANY (:ids) ORDER BY 1
    """,
    "transfers that clear items": """
        SELECT k.clearing_transfer_id::text FROM open_item_clearing k
        WHERE k.institution_id = :institution AND k.item_id = ANY (CAST(:ids AS uuid[])) ORDER BY 1
    """,
    "class_hours of orders": """
        SELECT DISTINCT e.order_id || '#' || e.class_hour_no FROM class_hour_event e
        WHERE e.institution_id = :institution AND e.order_id = ANY (:ids) ORDER BY 1
    """,
    "refund_requests of orders": """
        SELECT q.refund_request_id FROM refund_request q
        WHERE q.institution_id = :institution AND q.order_id = ANY (:ids) ORDER BY 1
    """,
    "items of orders": """
        SELECT p.receipt_item_id::text FROM prepayment p
        WHERE p.institution_id = :institution AND p.order_id = ANY (:ids) ORDER BY 1
    """,
    # An item is named by the transfer that put it in transit.
    "items of transfers": """
        SELECT i.item_id::text FROM open_item i
        WHERE i.institution_id = :institution AND i.item_id = ANY (CAST(:ids AS uuid[]))
        UNION SELECT k.item_id::text FROM open_item_clearing k
        WHERE k.institution_id = :institution AND k.clearing_transfer_id = ANY (CAST(:ids AS uuid[])) ORDER BY 1
    """,
    "accounts of transfers": """
        SELECT DISTINCT leg.account_id::text FROM transfer t
        CROSS JOIN LATERAL (VALUES (t.debit_account_id), (t.credit_account_id)) AS leg(account_id)
        WHERE t.institution_id = :institution AND t.transfer_id = ANY (CAST(:ids AS uuid[])) ORDER BY 1
    """,
    "batches of transfers": """
        SELECT DISTINCT t.institution_id || '.' || t.batch_id FROM transfer t
        WHERE t.institution_id = :institution AND t.transfer_id = ANY (CAST(:ids AS uuid[])) ORDER BY 1
    """,
    "matches of lines": _linked("match_id", "match_bank_line", "line_id"),
    "matches of items": _linked("match_id", "match_book_item", "item_id"),
    "lines of matches": _linked("line_id", "match_bank_line", "match_id"),
    "items of matches": _linked("item_id", "match_book_item", "match_id"),
    "lines of discrepancies": """
        SELECT DISTINCT unnest(d.line_ids) FROM discrepancy d
        WHERE d.institution_id = :institution AND d.discrepancy_id = ANY (:ids) ORDER BY 1
    """,
    "items of discrepancies": """
        SELECT DISTINCT unnest(d.item_ids)::text FROM discrepancy d
        WHERE d.institution_id = :institution AND d.discrepancy_id = ANY (:ids) ORDER BY 1
    """,
    "discrepancies of lines": """
        SELECT d.discrepancy_id FROM discrepancy d
        WHERE d.institution_id = :institution AND d.line_ids && CAST(:ids AS text[]) ORDER BY 1
    """,
    "discrepancies of items": """
        SELECT d.discrepancy_id FROM discrepancy d
        WHERE d.institution_id = :institution AND d.item_ids && CAST(:ids AS uuid[]) ORDER BY 1
    """,
}
