"""What ``verify`` asks of reversals, reservations, corrections, periods and kept balances: name, table, query of wrong rows, rows
counted.

``verified_leg`` holds both postings of every transfer with the numbers and balances its account's history gives them.
"""

from __future__ import annotations

TIME_QUESTIONS = (
    (
        "every reversal is the mirror of its original",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', r.institution_id, r.transfer_id) AS row,
            format('it is not the mirror of transfer %s', r.reverses) AS what
        FROM transfer r LEFT JOIN transfer o ON o.institution_id = r.institution_id AND o.transfer_id = r.reverses
        WHERE r.reverses IS NOT NULL AND (o.debit_account_id = r.credit_account_id AND o.credit_account_id = r.debit_account_id
            AND o.amount_minor_units = r.amount_minor_units) IS NOT TRUE
        UNION ALL
        SELECT format('institution %s, transfer %s', institution_id, reverses), format('%s transfers reverse it', count(*))
        FROM transfer WHERE reverses IS NOT NULL GROUP BY institution_id, reverses HAVING count(*) > 1
        """,
        "transfer WHERE reverses IS NOT NULL",
    ),
    (
        "every reversal is on record, and no other",
        "reversal",
        """
        SELECT format('institution %s, original %s', coalesce(k.institution_id, t.institution_id),
                coalesce(k.original_id, t.reverses)) AS row,
            format('on record as reversed by %s; in the journal by %s', coalesce(k.reversal_id::text, 'none'),
                coalesce(t.transfer_id::text, 'none')) AS what
        FROM reversal k FULL JOIN (SELECT institution_id, transfer_id, reverses FROM transfer WHERE reverses IS NOT NULL) AS t
            ON t.institution_id = k.institution_id AND t.reverses = k.original_id AND t.transfer_id = k.reversal_id
        WHERE k.reversal_id IS NULL OR t.transfer_id IS NULL
        """,
        "reversal",
    ),
    (
        "every month that was made is there, and no other",
        "journal_month",
        """
        SELECT format('partition %s', coalesce(k.partition_name, m.relname)) AS row,
            CASE WHEN m.relname IS NULL THEN 'it was made and is no part of the journal any more: dropped, renamed or detached'
                ELSE 'it is a part of the journal and was not made as one' END AS what
        FROM journal_month k FULL JOIN (
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass('public.transfer') AND NOT i.inhdetachpending
        ) AS m ON m.relname = k.partition_name
        WHERE k.partition_name IS NULL OR m.relname IS NULL
        """,
        "journal_month",
    ),
    (
        "months of every batch",
        "batch_months",
        """
        SELECT format('institution %s, batch %s', coalesce(k.institution_id, b.institution_id),
                coalesce(k.first_batch_id, b.batch_id)) AS row,
            format('on record as of months %s; its transfers, and the batch before, give %s', k.months, b.months) AS what
        FROM batch_months k FULL JOIN (
            SELECT institution_id, batch_id, months FROM (
                SELECT *, lag(months) OVER (PARTITION BY institution_id ORDER BY batch_id) AS months_before
                FROM (
                    SELECT institution_id, batch_id, array_agg(DISTINCT month ORDER BY month) AS months
                    FROM (
                        SELECT DISTINCT institution_id, batch_id, date_trunc('month', booking_date::timestamp)::date AS booked,
                            month_of_transfer_id(transfer_id) AS filed FROM transfer
                    ) AS t CROSS JOIN LATERAL (VALUES (booked), (filed)) AS both_months(month)
                    GROUP BY institution_id, batch_id
                ) AS batch
            ) AS batch WHERE months IS DISTINCT FROM months_before
        ) AS b ON b.institution_id = k.institution_id AND b.batch_id = k.first_batch_id
        WHERE k.months IS DISTINCT FROM b.months
        """,
        "batch_months",
    ),
    (
        "order of days and reservations of every account",
        "account_balance",
        """
        SELECT format('institution %s, account %s', b.institution_id, b.account_id) AS row,
            format('last booked %s, first late posting %s; its postings give %s, %s', b.last_booking_date, b.first_late_seq,
                l.last_day, l.first_late_seq) AS what
        FROM account_balance b LEFT JOIN (
            SELECT institution_id, account_id, max(newest_day) AS last_day,
                min(seq) FILTER (WHERE booking_date < newest_day) AS first_late_seq
            FROM (
                SELECT *, max(booking_date) OVER (PARTITION BY institution_id, account_id ORDER BY seq) AS newest_day
                FROM verified_leg
            ) AS leg GROUP BY 1, 2
        ) AS l ON l.institution_id = b.institution_id AND l.account_id = b.account_id
        -- The trigger may put it a little low: at the first posting of the batch that brought the first late one.
        WHERE b.last_booking_date IS DISTINCT FROM l.last_day
            OR coalesce(b.first_late_seq > l.first_late_seq, b.first_late_seq IS NULL AND l.first_late_seq IS NOT NULL)
            OR (b.first_late_seq IS NOT NULL AND l.first_late_seq IS NULL)
        UNION ALL
        SELECT format('institution %s, account %s', b.institution_id, b.account_id),
            format('reserved: debits %s, credits %s; its pending transfers sum to %s, %s', b.pending_debits_minor_units,
                b.pending_credits_minor_units, coalesce(p.debits, 0), coalesce(p.credits, 0))
        FROM account_balance b LEFT JOIN (
            SELECT institution_id, account_id, sum(debit) AS debits, sum(credit) AS credits FROM (
                SELECT institution_id, pending_id, debit_account_id AS account_id, amount_minor_units AS debit, 0 AS credit
                FROM pending_transfer
                UNION ALL
                SELECT institution_id, pending_id, credit_account_id, 0, amount_minor_units FROM pending_transfer
            ) AS leg
            WHERE NOT EXISTS (
                SELECT FROM pending_resolution r WHERE r.institution_id = leg.institution_id AND r.pending_id = leg.pending_id)
            GROUP BY 1, 2
        ) AS p ON p.institution_id = b.institution_id AND p.account_id = b.account_id
        WHERE b.pending_debits_minor_units <> coalesce(p.debits, 0) OR b.pending_credits_minor_units <> coalesce(p.credits, 0)
        """,
        "account_balance",
    ),
    (
        "late postings of every account",
        "account_late",
        """
        SELECT format('institution %s, account %s, posting %s', coalesce(k.institution_id, l.institution_id),
                coalesce(k.account_id, l.account_id), coalesce(k.first_seq, l.first_seq)) AS row,
            format('%s to %s, booked %s, %s minor units; its postings give %s to %s, booked %s, %s', k.first_seq, k.last_seq,
                k.booking_date, k.units_minor_units, l.first_seq, l.last_seq, l.booking_date, l.units) AS what
        FROM account_late k FULL JOIN (
            SELECT institution_id, account_id, booking_date, min(right_seq) AS first_seq, max(right_seq) AS last_seq,
                sum(delta) AS units
            FROM (
                SELECT *, right_seq - row_number() OVER (
                    PARTITION BY institution_id, account_id, batch_id, booking_date ORDER BY right_seq) AS run
                FROM (
                    SELECT *, max(booking_date) OVER (PARTITION BY institution_id, account_id ORDER BY right_seq) AS newest_day
                    FROM verified_leg
                ) AS leg WHERE booking_date < newest_day
            ) AS late GROUP BY institution_id, account_id, batch_id, booking_date, run
        ) AS l ON l.institution_id = k.institution_id AND l.account_id = k.account_id AND l.first_seq = k.first_seq
        WHERE (k.last_seq, k.booking_date, k.units_minor_units) IS DISTINCT FROM (l.last_seq, l.booking_date, l.units)
        """,
        "account_late",
    ),
    (
        "every pending transfer that was posted has its transfer",
        "pending_resolution",
        """
        SELECT format('institution %s, pending %s', r.institution_id, r.pending_id) AS row,
            format('transfer %s on %s has other accounts, currency or day, or moves more than was reserved', r.transfer_id,
                r.resolved_on) AS what
        FROM pending_resolution r
        LEFT JOIN pending_transfer p ON p.institution_id = r.institution_id AND p.pending_id = r.pending_id
        LEFT JOIN transfer t ON t.institution_id = r.institution_id AND t.transfer_id = r.transfer_id
        WHERE p.pending_id IS NULL OR (r.outcome = 'posted' AND (t.debit_account_id = p.debit_account_id
            AND t.credit_account_id = p.credit_account_id AND t.currency = p.currency AND t.booking_date = r.resolved_on
            AND t.amount_minor_units <= p.amount_minor_units
            AND (p.expires_on IS NULL OR r.resolved_on <= p.expires_on)) IS NOT TRUE)
            OR (r.outcome = 'expired' AND (p.expires_on < r.resolved_on) IS NOT TRUE)
        """,
        "pending_resolution",
    ),
    (
        "every correction follows what it corrects",
        "correction",
        """
        SELECT format('institution %s, transfer %s', c.institution_id, c.transfer_id) AS row,
            format('it does not come after transfer %s', c.corrects) AS what
        FROM correction c
        LEFT JOIN transfer n ON n.institution_id = c.institution_id AND n.transfer_id = c.transfer_id
        LEFT JOIN transfer o ON o.institution_id = c.institution_id AND o.transfer_id = c.corrects
        WHERE ((o.batch_id, o.line) < (n.batch_id, n.line)) IS NOT TRUE
        """,
        "correction",
    ),
    (
        "nothing was booked in a month while it was closed",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', t.institution_id, t.transfer_id) AS row,
            format('batch %s booked it on %s, after %s had closed with batch %s', t.batch_id, t.booking_date,
                to_char(e.month, 'YYYY-MM'), e.last_batch_id) AS what
        FROM period_event e
        JOIN transfer t ON t.institution_id = e.institution_id AND t.batch_id > e.last_batch_id
            AND t.booking_date >= e.month AND t.booking_date < e.month + interval '1 month'
        WHERE e.event = 'closed' AND NOT EXISTS (
            SELECT FROM period_event o WHERE o.institution_id = e.institution_id AND o.month = e.month AND o.event_no > e.event_no
                AND o.event = 'reopened' AND o.last_batch_id < t.batch_id)
        """,
        "period_event",
    ),
    (
        "months open and close in order, reopened by two people",
        "period_event",
        """
        SELECT format('institution %s, %s, event %s', institution_id, to_char(month, 'YYYY-MM'), event_no) AS row,
            format('%s by %s does not follow from %s by %s', event, actor, coalesce(before, 'nothing'), before_actor) AS what
        FROM (
            SELECT *, lag(event) OVER steps AS before, lag(actor) OVER steps AS before_actor,
                row_number() OVER steps AS right_no, lag(last_batch_id, 1, 0::bigint) OVER steps AS before_batch
            FROM period_event WINDOW steps AS (PARTITION BY institution_id, month ORDER BY event_no)
        ) AS step
        WHERE event_no <> right_no OR last_batch_id < before_batch OR CASE event
            WHEN 'closed' THEN before = 'closed'
            WHEN 'reopen_prepared' THEN before IS DISTINCT FROM 'closed'
            ELSE before IS DISTINCT FROM 'reopen_prepared' OR before_actor <> prepared_by OR actor = prepared_by END
        """,
        "period_event",
    ),
    (
        "what every closed month reported",
        "period_balance",
        """
        SELECT format('institution %s, %s, closing %s, account %s', coalesce(k.institution_id, l.institution_id),
                to_char(coalesce(k.month, l.month), 'YYYY-MM'), coalesce(k.event_no, l.event_no),
                coalesce(k.account_id, l.account_id)) AS row,
            format('it was reported as %s, its postings then give %s', k.balance_minor_units, l.balance) AS what
        FROM period_balance k FULL JOIN (
            SELECT e.institution_id, e.month, e.event_no, l.account_id, sum(l.delta) AS balance
            FROM period_event e JOIN verified_leg l ON l.institution_id = e.institution_id AND l.batch_id <= e.last_batch_id
                AND l.booking_date < e.month + interval '1 month'
            WHERE e.event = 'closed' GROUP BY 1, 2, 3, 4
        ) AS l ON l.institution_id = k.institution_id AND l.month = k.month AND l.event_no = k.event_no
            AND l.account_id = k.account_id
        WHERE k.balance_minor_units IS DISTINCT FROM l.balance
        """,
        "period_balance",
    ),
    (
        "balances kept after a batch",
        "balance_snapshot",
        """
        SELECT format('institution %s, batch %s, account %s', k.institution_id, k.batch_id, k.account_id) AS row,
            format('balance %s after posting %s was kept; that posting, of batch %s, left %s, and the next is of batch %s',
                k.balance_minor_units, k.last_seq, l.batch_id, l.right_balance, n.batch_id) AS what
        FROM balance_snapshot k
        LEFT JOIN verified_leg l ON l.institution_id = k.institution_id AND l.account_id = k.account_id
            AND l.right_seq = k.last_seq
        LEFT JOIN verified_leg n ON n.institution_id = k.institution_id AND n.account_id = k.account_id
            AND n.right_seq = k.last_seq + 1
        WHERE (l.right_balance = k.balance_minor_units AND l.batch_id <= k.batch_id) IS NOT TRUE OR n.batch_id <= k.batch_id
        UNION ALL
        SELECT format('institution %s, batch %s, account %s', s.institution_id, s.batch_id, f.account_id), 'it was not kept'
        FROM balance_snapshot_taken s
        JOIN verified_leg f ON f.institution_id = s.institution_id AND f.right_seq = 1 AND f.batch_id <= s.batch_id
        LEFT JOIN balance_snapshot k ON k.institution_id = s.institution_id AND k.batch_id = s.batch_id
            AND k.account_id = f.account_id
        WHERE k.account_id IS NULL
        """,
        "balance_snapshot",
    ),
)
