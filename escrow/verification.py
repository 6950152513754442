"""Prove that what is promised and what the books hold agree: every figure is derived a second time, in SQL.

Releases are decided by the Python noun (``schedule.ReleaseSchedule``) and re-derived here by another text of the same closed
form, so that one mistake cannot hide in both.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from ledger.model import Fault

#: Each check yields (table, row, what) of every row that is not as it must be.
_POSITIONS = """
    SELECT 'prepayment', format('institution %s, order %s', institution_id, order_id),
        format('paid %s is not held %s + released %s + refunded %s with none below zero', paid_minor_units, held_minor_units,
            released_minor_units, refunded_minor_units)
    FROM order_position
    WHERE paid_minor_units <> held_minor_units + released_minor_units + refunded_minor_units
        OR least(paid_minor_units, held_minor_units, released_minor_units, refunded_minor_units) < 0
"""
_ORDERS = """
    SELECT 'prepayment', format('institution %s, order %s', coalesce(o.institution_id, p.institution_id),
            coalesce(o.order_id, p.order_id)),
        'differs from its order in amount, class-hours, custody account or day of payment'
    FROM orders o FULL JOIN prepayment p ON p.institution_id = o.institution_id AND p.order_id = o.order_id
    WHERE (o.amount_minor_units, o.class_hours, o.custody_account_id, (o.paid_at AT TIME ZONE 'Asia/Shanghai')::date)
        IS DISTINCT FROM (p.amount_minor_units, p.class_hours, p.custody_account_id, p.opened_on)
"""
_HELD = """
    SELECT 'prepayment', format('institution %s, order %s', o.institution_id, o.order_id),
        format('held %s, but its ledger account %s holds %s', o.held_minor_units, o.held_account_id,
            coalesce((-b.balance_minor_units)::text, 'nothing'))
    FROM order_position o
    LEFT JOIN account_balance b ON b.institution_id = o.institution_id AND b.account_id = o.held_account_id
    WHERE o.held_minor_units <> coalesce(-b.balance_minor_units, 0)
"""
_CONTROL = """
    SELECT 'account', format('custody account %s', coalesce(a.custody_account_id, o.custody_account_id)),
        format('prepayments held by orders sum to %s, the ledger''s to %s', coalesce(o.held, 0), coalesce(a.held, 0))
    FROM (
        SELECT a.custody_account_id, -sum(b.balance_minor_units) AS held
        FROM account a JOIN account_balance b USING (institution_id, account_id)
        WHERE a.kind = 'prepayment_held' GROUP BY a.custody_account_id
    ) a
    FULL JOIN (
        SELECT custody_account_id, sum(held_minor_units) AS held FROM order_position GROUP BY custody_account_id
    ) o ON o.custody_account_id = a.custody_account_id
    WHERE coalesce(o.held, 0) <> coalesce(a.held, 0)
"""
_RELEASES = """
    WITH derived AS (
        SELECT r.institution_id, r.order_id, r.class_hour_no, r.instalment_no AS k, r.amount_minor_units AS amount,
            r.transfer_id, r.released_on, p.held_account_id, p.class_hours::bigint AS n, p.amount_minor_units AS total,
            p.release_mode, p.release_tranches,
            row_number() OVER (PARTITION BY r.institution_id, r.order_id ORDER BY r.instalment_no) AS place
        FROM release r JOIN prepayment p USING (institution_id, order_id)
    ),
    closed_form AS (
        SELECT d.*,
            CASE release_mode
                WHEN 'per_class_hour' THEN div(total::numeric * k, n) - div(total::numeric * (k - 1), n)
                WHEN 'order_complete' THEN CASE WHEN k = n THEN total ELSE 0 END
                ELSE (
                    SELECT div(total::numeric * coalesce(max(percent) FILTER (WHERE k * den >= num * n), 0), 100)
                        - div(total::numeric * coalesce(max(percent) FILTER (WHERE (k - 1) * den >= num * n), 0), 100)
                    FROM (
                        SELECT split_part(step, '/', 1)::bigint AS num,
                            split_part(split_part(step, '/', 2), ':', 1)::bigint AS den,
                            split_part(step, ':', 2)::bigint AS percent
                        FROM unnest(string_to_array(release_tranches, ',')) AS step
                    ) steps)
            END AS expected
        FROM derived d
    )
    SELECT 'release', format('institution %s, order %s, class-hour %s', c.institution_id, c.order_id, c.class_hour_no),
        CASE
            WHEN c.place <> c.k OR c.k > c.n THEN format('instalment %s is the %s. released class-hour of %s', c.k, c.place, c.n)
            WHEN c.expected <> c.amount THEN format('released %s, the schedule gives %s', c.amount, c.expected)
            ELSE format('its transfer %s does not move %s out of its prepayment on %s', c.transfer_id, c.amount, c.released_on)
        END
    FROM closed_form c
    LEFT JOIN transfer t ON t.institution_id = c.institution_id AND t.transfer_id = c.transfer_id
    WHERE c.place <> c.k OR c.k > c.n OR c.expected <> c.amount
        OR (c.amount > 0 AND (t.amount_minor_units, t.debit_account_id, t.booking_date)
            IS DISTINCT FROM (c.amount, c.held_account_id, c.released_on))
"""
_UNEARNED = """
    SELECT 'release', format('institution %s, order %s, class-hour %s', r.institution_id, r.order_id, r.class_hour_no),
        CASE
            WHEN s.disputed THEN 'released although disputed'
            WHEN s.taught_on IS NULL OR s.taught_on > r.released_on THEN 'released before it was taught'
            WHEN coalesce(least(s.confirmed_on, s.deemed_on), 'infinity') > r.released_on THEN 'released before it was confirmed'
            ELSE 'released before its money was seen at the bank'
        END
    FROM release r
    LEFT JOIN class_hour_state s USING (institution_id, order_id, class_hour_no)
    LEFT JOIN funding u USING (institution_id, order_id)
    WHERE s.disputed IS DISTINCT FROM false OR coalesce(s.taught_on, 'infinity') > r.released_on
        OR coalesce(least(s.confirmed_on, s.deemed_on), 'infinity') > r.released_on
        OR coalesce(u.funded_on, 'infinity') > r.released_on
"""
_FUNDING = """
    SELECT 'funding', format('institution %s, order %s', u.institution_id, u.order_id),
        format('its receipt was not cleared by transfer %s on %s', u.transfer_id, u.funded_on)
    FROM funding u
    JOIN prepayment p USING (institution_id, order_id)
    LEFT JOIN open_item_clearing c ON c.institution_id = p.institution_id AND c.item_id = p.receipt_item_id
    WHERE c.clearing_transfer_id IS DISTINCT FROM u.transfer_id OR c.cleared_on > u.funded_on
"""
_REFUNDS = """
    SELECT 'refund', format('institution %s, refund request %s', f.institution_id, f.refund_request_id),
        format('its transfer %s does not move %s out of its prepayment on %s', f.transfer_id, f.amount_minor_units, f.approved_on)
    FROM refund f
    JOIN prepayment p USING (institution_id, order_id)
    LEFT JOIN transfer t ON t.institution_id = f.institution_id AND t.transfer_id = f.transfer_id
    WHERE f.amount_minor_units > 0 AND (t.amount_minor_units, t.debit_account_id, t.booking_date)
        IS DISTINCT FROM (f.amount_minor_units, p.held_account_id, f.approved_on)
"""
_INSTRUCTIONS = """
    SELECT 'disbursement_instruction', format('institution %s, instruction %s', d.institution_id, d.instruction_id),
        format('its transfer %s does not move %s on %s', d.transfer_id, d.amount_minor_units, d.instruction_date)
    FROM disbursement_instruction d
    LEFT JOIN transfer t ON t.institution_id = d.institution_id AND t.transfer_id = d.transfer_id
    WHERE (t.amount_minor_units, t.booking_date) IS DISTINCT FROM (d.amount_minor_units, d.instruction_date)
"""
_FILES = """
    SELECT 'instruction_file', format('%s %s of %s', f.bank_code, f.file_name, f.business_date),
        CASE
            WHEN sha256(f.content) <> f.sha256 THEN 'its bytes do not have its digest'
            ELSE format('says %s orders of %s in all; its instructions are %s of %s', f.order_count, f.total_minor_units,
                coalesce(m.orders, 0), coalesce(m.total, 0))
        END
    FROM instruction_file f
    LEFT JOIN (
        SELECT instruction_file_id, count(*) AS orders, sum(amount_minor_units) AS total
        FROM (
            SELECT instruction_file_id, amount_minor_units FROM disbursement_instruction
            UNION ALL
            SELECT i.instruction_file_id, r.amount_minor_units
            FROM refund_instruction i JOIN refund r USING (institution_id, refund_request_id)
        ) instructions
        GROUP BY instruction_file_id
    ) m USING (instruction_file_id)
    WHERE sha256(f.content) <> f.sha256 OR (f.order_count, f.total_minor_units) IS DISTINCT FROM (m.orders, m.total)
"""
_RETURNS = """
    SELECT 'instruction_event', format('institution %s, instruction %s, event %s', e.institution_id, e.reference, e.event_no),
        format('its transfer %s does not put the instruction''s money back', e.transfer_id)
    FROM instruction_event e
    LEFT JOIN instruction i ON i.institution_id = e.institution_id AND i.reference = e.reference
    LEFT JOIN transfer t ON t.institution_id = e.institution_id AND t.transfer_id = e.transfer_id
    WHERE e.event = 'returned' AND (t.reverses IS NULL OR t.reverses IS DISTINCT FROM i.item_id)
    UNION ALL
    SELECT 'instruction_answer_file', format('%s of %s', file_name, bank_code), 'its bytes do not have its digest'
    FROM instruction_answer_file WHERE sha256(content) <> sha256
"""
_SETTLEMENTS = """
    SELECT 'channel_settlement_item', format('institution %s, order %s', s.institution_id, s.order_id),
        format('says %s was paid, the order %s', s.gross_minor_units, p.amount_minor_units)
    FROM channel_settlement_item s JOIN prepayment p USING (institution_id, order_id)
    WHERE s.gross_minor_units <> p.amount_minor_units
"""

_OPENINGS = """
    SELECT 'opening_balance', format('institution %s, custody account %s, version %s', o.institution_id, o.custody_account_id,
            o.version),
        CASE
            WHEN t.transfer_id IS NULL OR d.kind <> 'custody_cash' OR c.kind <> 'unidentified_receipts'
                OR (d.custody_account_id, c.custody_account_id) <> (o.custody_account_id, o.custody_account_id)
                THEN 'no transfer moved it from unidentified receipts to custody cash'
            WHEN (t.amount_minor_units, t.booking_date) <> (o.amount_minor_units, o.as_of)
                THEN format('says %s on %s, its transfer %s on %s', o.amount_minor_units, o.as_of, t.amount_minor_units,
                    t.booking_date)
            WHEN o.latest THEN 'it is the newest, yet its transfer was reversed'
            ELSE 'it was corrected, yet its transfer was not reversed'
        END
    FROM (
        SELECT *, version = max(version) OVER (PARTITION BY institution_id, custody_account_id) AS latest FROM opening_balance
    ) o
    LEFT JOIN transfer t ON t.institution_id = o.institution_id AND t.transfer_id = o.transfer_id
    LEFT JOIN account d ON d.institution_id = t.institution_id AND d.account_id = t.debit_account_id
    LEFT JOIN account c ON c.institution_id = t.institution_id AND c.account_id = t.credit_account_id
    LEFT JOIN transfer b ON b.institution_id = o.institution_id AND b.reverses = o.transfer_id
    WHERE t.transfer_id IS NULL OR d.kind <> 'custody_cash' OR c.kind <> 'unidentified_receipts'
        OR (d.custody_account_id, c.custody_account_id) <> (o.custody_account_id, o.custody_account_id)
        OR (t.amount_minor_units, t.booking_date) <> (o.amount_minor_units, o.as_of)
        OR o.latest = (b.transfer_id IS NOT NULL)
"""

#: Rows that came with a file, by the kind of their import. An institution's row brings the institution, its account, or both.
_IMPORTED = """
    SELECT 'institution' AS table_name, 'institutions' AS kind, source_file_sha256 AS sha256, source_line AS line, recorded_at,
        format('institution %s', institution_id) AS row FROM institution
    UNION ALL SELECT 'custody_account', 'institutions', source_file_sha256, source_line, recorded_at,
        format('institution %s, custody account %s', institution_id, custody_account_id) FROM custody_account
    UNION ALL SELECT 'orders', 'orders', source_file_sha256, source_line, recorded_at,
        format('institution %s, order %s', institution_id, order_id) FROM orders
    UNION ALL SELECT 'class_hour_event', 'class-hours', source_file_sha256, source_line, recorded_at,
        format('institution %s, order %s, class-hour %s, %s', institution_id, order_id, class_hour_no, event)
        FROM class_hour_event WHERE source_file_sha256 IS NOT NULL
    UNION ALL SELECT 'refund_request', 'refund-requests', source_file_sha256, source_line, recorded_at,
        format('institution %s, refund request %s', institution_id, refund_request_id) FROM refund_request
    UNION ALL SELECT 'channel_settlement', 'channel-settlements', source_file_sha256, source_line, recorded_at,
        format('institution %s, %s settlement %s', institution_id, channel, settlement_batch) FROM channel_settlement
    UNION ALL SELECT 'channel_settlement_item', 'channel-settlements', source_file_sha256, source_line, recorded_at,
        format('institution %s, order %s', institution_id, order_id) FROM channel_settlement_item
    UNION ALL SELECT 'opening_balance', 'opening-balances', source_file_sha256, source_line, recorded_at,
        format('institution %s, custody account %s, version %s', institution_id, custody_account_id, version) FROM opening_balance
"""
#: An import ends with its report, in the same transaction; a row slipped in later is younger than every import of its file.
_UNIMPORTED = f"""
    SELECT i.table_name, i.row, CASE
        WHEN r.sha256 IS NULL THEN format('it names a file of %s that was never imported', i.kind)
        WHEN r.last < i.recorded_at THEN 'it was recorded after the last import of the file it names'
        ELSE format('it names line %s of a file with %s rows', i.line, r.rows) END
    FROM ({_IMPORTED}) AS i
    LEFT JOIN (SELECT kind, sha256, max(recorded_at) AS last, max(row_count) AS rows FROM import_report
        WHERE accepted_count > 0 OR kind = 'channel-settlements' GROUP BY kind, sha256) AS r
        ON r.kind = i.kind AND r.sha256 = i.sha256
    WHERE r.sha256 IS NULL OR r.last < i.recorded_at OR i.line IS NULL OR i.line < 1
"""
#: Of these every row accepted is one row kept.
_ACCEPTED = f"""
    SELECT 'import_report', format('%s, file %s', r.kind, left(encode(r.sha256, 'hex'), 16)),
        format('it took %s rows, %s are there', r.accepted, coalesce(i.rows, 0))
    FROM (SELECT kind, sha256, sum(accepted_count) AS accepted FROM import_report
        WHERE kind IN ('orders', 'class-hours', 'refund-requests') GROUP BY kind, sha256) AS r
    LEFT JOIN (SELECT kind, sha256, count(*) AS rows FROM ({_IMPORTED}) AS one GROUP BY kind, sha256) AS i
        ON i.kind = r.kind AND i.sha256 = r.sha256
    WHERE r.accepted <> coalesce(i.rows, 0)
"""
#: A file refused whole has no rows, and findings about itself.
_FINDINGS = """
    SELECT 'import_report', format('import %s', r.import_report_id),
        format('it refused %s rows and tells of %s; its findings run to %s and are %s', r.refused_count, coalesce(f.refused, 0),
            coalesce(f.last, 0), coalesce(f.found, 0))
    FROM import_report r LEFT JOIN (
        SELECT import_report_id, count(DISTINCT line) FILTER (WHERE refused) AS refused, max(finding_no) AS last,
            count(*) AS found
        FROM import_finding GROUP BY import_report_id
    ) AS f USING (import_report_id)
    WHERE (r.row_count > 0 AND r.refused_count <> coalesce(f.refused, 0)) OR f.last <> f.found
"""
#: Both ways, since imports are told to the audit log: books of before hold imports it never heard of.
_IMPORT_LOG = """
    WITH told AS (SELECT * FROM audit_event WHERE act LIKE 'escrow:import:%')
    SELECT 'import_report', format('import %s', r.import_report_id),
        format('the audit log tells of no import of these %s by %s then', r.kind, r.actor)
    FROM import_report r LEFT JOIN told a ON a.act = 'escrow:import:' || r.kind AND a.object_id = r.import_report_id::text
        AND a.actor = r.actor AND a.at = r.imported_at AND a.details ->> 'sha256' = encode(r.sha256, 'hex')
        AND a.details ->> 'accepted' = r.accepted_count::text AND a.details ->> 'refused' = r.refused_count::text
    WHERE a.seq IS NULL AND r.recorded_at >= (SELECT min(recorded_at) FROM told)
    UNION ALL
    SELECT 'audit_event', 'seq=' || a.seq, format('it tells of %s of %s, of which nothing else is recorded', a.act, a.object_id)
    FROM told a LEFT JOIN import_report r ON a.act = 'escrow:import:' || r.kind AND a.object_id = r.import_report_id::text
    WHERE r.import_report_id IS NULL
"""
#: A settlement counts with the rows we could not take, so its items may be fewer, never more.
_SETTLED = """
    SELECT 'channel_settlement', format('institution %s, %s settlement %s', s.institution_id, s.channel, s.settlement_batch),
        format('it says %s items, gross %s, fee %s; its items are %s, %s, %s', s.item_count, s.gross_minor_units,
            s.fee_minor_units, coalesce(i.items, 0), coalesce(i.gross, 0), coalesce(i.fee, 0))
    FROM channel_settlement s LEFT JOIN (
        SELECT institution_id, custody_account_id, channel, settlement_batch, count(*) AS items, sum(gross_minor_units) AS gross,
            sum(fee_minor_units) AS fee FROM channel_settlement_item GROUP BY 1, 2, 3, 4
    ) AS i USING (institution_id, custody_account_id, channel, settlement_batch)
    WHERE i.items > s.item_count OR i.gross > s.gross_minor_units OR i.fee > s.fee_minor_units
"""
_DEEMED = """
    SELECT 'class_hour_event',
        format('institution %s, order %s, class-hour %s, %s', e.institution_id, e.order_id, e.class_hour_no, e.event),
        'it is deemed confirmed, but was not reported taught before'
    FROM class_hour_event e
    WHERE e.source_file_sha256 IS NULL AND NOT EXISTS (
        SELECT FROM class_hour_event t WHERE t.institution_id = e.institution_id AND t.order_id = e.order_id
            AND t.class_hour_no = e.class_hour_no AND t.event = 'taught' AND t.event_on < e.event_on
            AND t.recorded_at < e.recorded_at)
"""
_ACCOUNTS = """
    SELECT 'account', format('institution %s, account %s', a.institution_id, a.account_id),
        CASE WHEN c.custody_account_id IS NULL THEN format('custody account %s was never filed', a.custody_account_id)
            ELSE format('it holds the prepayment of order %s, which has none', a.subject) END
    FROM account a
    LEFT JOIN custody_account c ON c.institution_id = a.institution_id AND c.custody_account_id = a.custody_account_id
    LEFT JOIN prepayment p ON p.institution_id = a.institution_id AND p.order_id = a.subject
        AND p.held_account_id = a.account_id
    WHERE c.custody_account_id IS NULL OR (a.kind = 'prepayment_held' AND a.subject <> '' AND p.order_id IS NULL)
"""
_HOLD_ACTS = """
    SELECT 'hold' AS table_name, 'escrow:hold:placed' AS act, institution_id, hold_id, placed_by AS actor, placed_at AS at
        FROM hold
    UNION ALL SELECT 'hold_lift_proposal', 'escrow:hold:lift_prepared', institution_id, hold_id, prepared_by, prepared_at
        FROM hold_lift_proposal
    UNION ALL SELECT 'hold_lift', 'escrow:hold:lifted', institution_id, hold_id, approved_by, approved_at FROM hold_lift
"""
_HOLDS = f"""
    SELECT h.table_name, format('institution %s, hold %s', h.institution_id, h.hold_id),
        format('the audit log tells of no %s by %s then', h.act, h.actor)
    FROM ({_HOLD_ACTS}) AS h LEFT JOIN audit_event a ON a.act = h.act AND a.object_id = h.institution_id || '/' || h.hold_id
        AND a.actor = h.actor AND a.at = h.at
    WHERE a.seq IS NULL
    UNION ALL
    SELECT 'audit_event', 'seq=' || a.seq, format('it tells of %s of %s, of which nothing else is recorded', a.act, a.object_id)
    FROM audit_event a LEFT JOIN ({_HOLD_ACTS}) AS h ON a.act = h.act AND a.object_id = h.institution_id || '/' || h.hold_id
        AND a.actor = h.actor
    WHERE a.act LIKE 'escrow:hold:%' AND h.hold_id IS NULL
"""

#: What is proved, in order; read it as a table of contents.
CHECKS = (
    ("every order: paid = held + released + refunded, none below zero", _POSITIONS),
    ("every order has its prepayment", _ORDERS),
    ("every prepayment is what its ledger account holds", _HELD),
    ("prepayments of a custody account sum to the ledger's", _CONTROL),
    ("every release is the schedule's next instalment, and moved by its transfer", _RELEASES),
    ("no release was early, disputed or unfunded", _UNEARNED),
    ("every funding is the clearing of its receipt", _FUNDING),
    ("every refund was moved by its transfer", _REFUNDS),
    ("every disbursement was moved by its transfer", _INSTRUCTIONS),
    ("every instruction file has its digest, and its instructions its totals", _FILES),
    ("every rejected instruction's money went back by its reversal; every answer file has its digest", _RETURNS),
    ("every settled order was settled with what was paid", _SETTLEMENTS),
    ("no settlement's items exceed it", _SETTLED),
    ("every imported row came with an import of its file", _UNIMPORTED),
    ("every row an import took is there", _ACCEPTED),
    ("every row an import refused is told of", _FINDINGS),
    ("every import stands in the audit log, and no other", _IMPORT_LOG),
    ("every class-hour deemed confirmed had been taught", _DEEMED),
    ("every account is of a filed custody account, and an order's of its prepayment", _ACCOUNTS),
    ("every hold stands in the audit log, and no other", _HOLDS),
    ("every opening balance was moved by its transfer, the corrected ones back", _OPENINGS),
)


def verify(conn: Connection) -> list[Fault]:
    """Every row of escrow that is not what the rest of the evidence says it must be; none when all is well."""
    return [Fault(*row) for _, check in CHECKS for row in conn.execute(text(check))]
