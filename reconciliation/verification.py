"""Proving intake, runs and sign-offs: everything that follows from something else is derived again and compared.

That rows are as they were written is storage's to check (row digests); here is what rows must say about each other: bytes
and digests, statements and lines, chain, matches and ledger, runs and their output hash, approvals and their makers.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from ledger.model import Fault
from reconciliation import overdue, overlap_store, quarantine_store
from reconciliation.matching.outcome import match_ids, output_hash
from reconciliation.run_store import stored_outcome

#: A check stops naming rows here.
MOST_NAMED = 100

#: Every act of a person and every file taken in stands in the audit log, and the log tells of nothing else: (table, its rows as
#: object, person and instant, and the act that tells of them).
_ACTS = """
    SELECT 'sign_off_event' AS table_name, 'reconciliation:sign_off:' || event AS act,
        custody_account_id || '/' || business_date AS object_id, actor, event_at AS at,
        format('institution %s, account %s, day %s, event %s', institution_id, custody_account_id, business_date, event_no) AS row
    FROM sign_off_event
    UNION ALL
    SELECT 'discrepancy_event', 'reconciliation:discrepancy:' || event, discrepancy_id, actor, event_at,
        format('institution %s, discrepancy %s, event %s', institution_id, discrepancy_id, event_no)
    FROM discrepancy_event WHERE event IN ('assigned', 'commented', 'prepared', 'approved', 'rejected')
    UNION ALL
    SELECT 'statement_file', 'intake:statement_file:' || CASE WHEN r.accepted THEN 'received' ELSE 'refused' END,
        f.statement_file_id::text, f.received_by, f.received_at, 'file ' || f.statement_file_id
    FROM statement_file f LEFT JOIN statement_file_reading r USING (statement_file_id)
    UNION ALL
    SELECT 'quarantine_event', 'intake:quarantine:' || event, quarantine_id::text, actor, event_at,
        format('quarantine %s, event %s', quarantine_id, event_no)
    FROM quarantine_event
"""

#: (table, SQL selecting row and what)
_QUESTIONS: tuple[tuple[str, str], ...] = (
    (
        "sign_off_event, discrepancy_event, statement_file, quarantine_event",
        f"""
        SELECT acts.table_name || ', ' || acts.row, 'the audit log tells of no ' || acts.act || ' by ' || acts.actor || ' then'
        FROM ({_ACTS}) AS acts LEFT JOIN audit_event a
            ON a.act = acts.act AND a.object_id = acts.object_id AND a.at = acts.at AND a.actor = acts.actor
        WHERE a.seq IS NULL
        """,
    ),
    (
        "audit_event",
        f"""
        SELECT 'seq=' || a.seq, 'it tells of ' || a.act || ' of ' || a.object_id || ', of which nothing else is recorded'
        FROM audit_event a LEFT JOIN ({_ACTS}) AS acts
            ON a.act = acts.act AND a.object_id = acts.object_id AND a.at = acts.at AND a.actor = acts.actor
        WHERE (a.act LIKE 'reconciliation:sign_off:%' OR a.act LIKE 'reconciliation:discrepancy:%'
            OR a.act LIKE 'intake:statement_file:%' OR a.act LIKE 'intake:quarantine:%') AND acts.row IS NULL
        """,
    ),
    (
        "discrepancy",
        """
        SELECT 'institution ' || d.institution_id || ', discrepancy ' || d.discrepancy_id,
            CASE WHEN e.discrepancy_id IS NULL THEN 'its history does not begin with its opening'
                ELSE 'no run, no file and no deadline found it when it says it was opened' END
        FROM discrepancy d
        LEFT JOIN discrepancy_event e ON e.institution_id = d.institution_id AND e.discrepancy_id = d.discrepancy_id
            AND e.event_no = 1 AND e.event = 'opened'
        WHERE e.discrepancy_id IS NULL OR NOT (
            EXISTS (SELECT FROM run_discrepancy r
                WHERE r.institution_id = d.institution_id AND r.discrepancy_id = d.discrepancy_id)
            OR EXISTS (SELECT FROM statement_file f
                WHERE f.statement_file_id = d.statement_file_id AND f.received_at = e.event_at)
            -- what waited or was held back is judged again when another file comes, or when two people have decided
            OR EXISTS (SELECT FROM statement_file f
                WHERE f.statement_file_id = d.statement_file_id AND f.received_at < e.event_at
                    AND (EXISTS (SELECT FROM statement_file later WHERE later.received_at = e.event_at)
                        OR EXISTS (SELECT FROM quarantine_event q WHERE q.event = 'approved' AND q.event_at = e.event_at)
                        OR EXISTS (SELECT FROM discrepancy_event g WHERE g.event = 'approved' AND g.event_at = e.event_at)))
            OR EXISTS (SELECT FROM reconciliation_run r WHERE r.institution_id = d.institution_id
                AND r.custody_account_id = d.custody_account_id AND r.ran_at = e.event_at)
            OR EXISTS (SELECT FROM statement_overdue o WHERE o.institution_id = d.institution_id
                AND o.discrepancy_id = d.discrepancy_id AND o.noticed_at = e.event_at))
        """,
    ),
    (
        "discrepancy_event",
        """
        SELECT 'institution ' || institution_id || ', discrepancy ' || discrepancy_id || ', event ' || event_no,
            'its history has a gap before it'
        FROM (SELECT *, row_number() OVER (PARTITION BY institution_id, discrepancy_id ORDER BY event_no) AS place
            FROM discrepancy_event) AS history
        WHERE event_no <> place
        """,
    ),
    (
        "sign_off_event",
        """
        SELECT 'institution ' || institution_id || ', account ' || custody_account_id || ', day ' || business_date
            || ', event ' || event_no, 'its history has a gap before it'
        FROM (SELECT *, row_number() OVER (
                PARTITION BY institution_id, custody_account_id, business_date ORDER BY event_no) AS place
            FROM sign_off_event) AS history
        WHERE event_no <> place
        """,
    ),
    (
        "statement_file",
        """
        SELECT 'file ' || statement_file_id, 'its bytes do not have the digest recorded on arrival'
        FROM statement_file WHERE content IS NOT NULL AND (sha256 <> sha256(content) OR size_bytes <> octet_length(content))
        """,
    ),
    (
        "statement_file",
        """
        SELECT 'file ' || f.statement_file_id, 'it points at file ' || f.same_bytes_as || ', whose bytes are others'
        FROM statement_file f LEFT JOIN statement_file first ON first.statement_file_id = f.same_bytes_as
        WHERE f.same_bytes_as IS NOT NULL AND (first.content IS NULL OR first.sha256 <> f.sha256)
        """,
    ),
    (
        "statement",
        """
        SELECT 'institution ' || s.institution_id || ', statement ' || s.statement_id,
            'it says ' || s.line_count || ' lines, IN ' || s.in_minor_units || ', OUT ' || s.out_minor_units || '; its lines are '
            || count(l.line_id) || ', IN ' || coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'IN'), 0)
            || ', OUT ' || coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'OUT'), 0)
        FROM statement s LEFT JOIN (
            SELECT institution_id, statement_id, line_id, direction, amount_minor_units FROM statement_line
            UNION ALL
            SELECT k.institution_id, k.statement_id, k.line_id, l.direction, l.amount_minor_units
            FROM statement_line_kept k JOIN statement_line l USING (institution_id, line_id)
        ) l USING (institution_id, statement_id)
        GROUP BY s.institution_id, s.statement_id, s.line_count, s.in_minor_units, s.out_minor_units
        HAVING count(l.line_id) <> s.line_count
            OR coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'IN'), 0) <> s.in_minor_units
            OR coalesce(sum(l.amount_minor_units) FILTER (WHERE l.direction = 'OUT'), 0) <> s.out_minor_units
        """,
    ),
    (
        "statement",
        """
        SELECT 'institution ' || institution_id || ', statement ' || statement_id,
            'opening ' || opening_minor_units || ' + in ' || in_minor_units || ' - out ' || out_minor_units
            || ' is not closing ' || closing_minor_units
        FROM statement WHERE opening_minor_units + in_minor_units - out_minor_units <> closing_minor_units
        """,
    ),
    (
        "statement_counted",
        """
        SELECT 'institution ' || institution_id || ', account ' || custody_account_id || ', link ' || link,
            CASE WHEN previous_link IS DISTINCT FROM nullif(link - 1, 0) OR place <> link THEN 'the chain has a gap before it'
                ELSE 'it opens with ' || opening_minor_units || ', the one before it closed with ' || before END
        FROM (
            SELECT c.institution_id, c.custody_account_id, c.link, c.previous_link, s.opening_minor_units,
                row_number() OVER counting AS place, lag(s.closing_minor_units) OVER days AS before
            FROM statement_counted c
            JOIN statement_in_force f ON f.institution_id = c.institution_id AND f.first_statement_id = c.statement_id
            JOIN statement s ON s.institution_id = f.institution_id AND s.statement_id = f.statement_id
            WINDOW counting AS (PARTITION BY c.institution_id, c.custody_account_id ORDER BY c.link),
                days AS (PARTITION BY c.institution_id, c.custody_account_id ORDER BY c.business_date)
        ) AS chain
        WHERE place <> link OR previous_link IS DISTINCT FROM nullif(link - 1, 0)
            OR (before IS NOT NULL AND before <> opening_minor_units)
        """,
    ),
    (
        "match_bank_line",
        """
        SELECT 'institution ' || m.institution_id || ', line ' || m.line_id,
            CASE WHEN m.amount_minor_units <> l.amount_minor_units
                    THEN 'matched with ' || m.amount_minor_units || ', the line is ' || l.amount_minor_units
                WHEN u.match_id IS NULL THEN 'it is matched, but its statement does not count'
                ELSE 'its match was undone, but the line is in force' END
        FROM match_bank_line m JOIN statement_line l USING (institution_id, line_id)
        LEFT JOIN line_in_force f USING (institution_id, line_id)
        LEFT JOIN match_undone u ON u.institution_id = m.institution_id AND u.match_id = m.match_id
        WHERE m.amount_minor_units <> l.amount_minor_units OR (f.line_id IS NULL) <> (u.match_id IS NOT NULL)
        """,
    ),
    (
        "match_bank_line",
        """
        SELECT 'institution ' || m.institution_id || ', line ' || m.line_id,
            'the bank moved ' || moved || ', the books moved custody cash by ' || coalesce(booked, 0) || ' for it'
        FROM match_bank_line m JOIN match ma USING (institution_id, match_id)
        JOIN (
            SELECT institution_id, line_id, CASE direction WHEN 'IN' THEN amount_minor_units ELSE -amount_minor_units END AS moved
            FROM statement_line
        ) line USING (institution_id, line_id)
        LEFT JOIN (
            SELECT t.institution_id, t.source_ref AS line_id,
                sum(CASE WHEN d.kind = 'custody_cash' THEN t.amount_minor_units ELSE 0 END
                    - CASE WHEN c.kind = 'custody_cash' THEN t.amount_minor_units ELSE 0 END) AS booked
            FROM transfer t
            JOIN account d ON d.institution_id = t.institution_id AND d.account_id = t.debit_account_id
            JOIN account c ON c.institution_id = t.institution_id AND c.account_id = t.credit_account_id
            WHERE t.source_kind = 'bank_line' GROUP BY 1, 2
        ) books USING (institution_id, line_id)
        WHERE ma.rule <> 'reverse' AND moved <> coalesce(booked, 0)
        """,
    ),
    (
        "transfer",
        """
        SELECT DISTINCT 'institution ' || t.institution_id || ', transfer ' || t.transfer_id,
            'it is posted for bank line ' || t.source_ref || ', which no match has consumed'
        FROM transfer t LEFT JOIN match_bank_line m ON m.institution_id = t.institution_id AND m.line_id = t.source_ref
        WHERE t.source_kind = 'bank_line' AND m.line_id IS NULL
        """,
    ),
    (
        "match_book_item",
        """
        SELECT 'institution ' || m.institution_id || ', item ' || m.item_id,
            CASE WHEN k.item_id IS NULL THEN 'it is matched, but the books have not cleared it'
                WHEN t.source_kind <> 'bank_line' OR b.line_id IS NULL
                    THEN 'the books cleared it for another reason than its match'
                ELSE 'matched with ' || m.amount_minor_units || ', the item is ' || i.amount_minor_units END
        FROM match_book_item m JOIN open_item i USING (institution_id, item_id)
        LEFT JOIN open_item_clearing k USING (institution_id, item_id)
        LEFT JOIN transfer t ON t.institution_id = k.institution_id AND t.transfer_id = k.clearing_transfer_id
        LEFT JOIN match_bank_line b ON b.institution_id = m.institution_id AND b.match_id = m.match_id
            AND b.line_id = t.source_ref
        WHERE k.item_id IS NULL OR t.source_kind <> 'bank_line' OR b.line_id IS NULL
            OR m.amount_minor_units <> i.amount_minor_units
        """,
    ),
    (
        "open_item_clearing",
        """
        SELECT 'institution ' || k.institution_id || ', item ' || k.item_id,
            'a bank line cleared it, but no match names it'
        FROM open_item_clearing k
        JOIN transfer t ON t.institution_id = k.institution_id AND t.transfer_id = k.clearing_transfer_id
        LEFT JOIN match_book_item m ON m.institution_id = k.institution_id AND m.item_id = k.item_id
        WHERE t.source_kind = 'bank_line' AND m.item_id IS NULL
        """,
    ),
    (
        "match_undone",
        """
        WITH RECURSIVE standing AS (
            SELECT t.institution_id, t.transfer_id, t.transfer_id AS newest, 0 AS reversals, u.match_id
            FROM match_undone u
            JOIN match_bank_line b USING (institution_id, match_id)
            JOIN transfer t ON t.institution_id = b.institution_id AND t.source_kind = 'bank_line' AND t.source_ref = b.line_id
            UNION ALL
            SELECT s.institution_id, s.transfer_id, r.transfer_id, s.reversals + 1, s.match_id
            FROM standing s JOIN transfer r ON r.institution_id = s.institution_id AND r.reverses = s.newest
        )
        SELECT 'institution ' || institution_id || ', match ' || match_id,
            'it was undone, but its transfer ' || transfer_id || ' was not reversed'
        FROM standing GROUP BY institution_id, match_id, transfer_id HAVING max(reversals) % 2 = 0
        """,
    ),
    (
        "statement_version",
        """
        SELECT 'institution ' || v.institution_id || ', statement ' || v.statement_id,
            CASE WHEN s.business_date <> v.business_date OR s.custody_account_id <> v.custody_account_id
                    OR (s.business_date, s.custody_account_id) <> (first.business_date, first.custody_account_id)
                    THEN 'it is of another account or day than the statement it replaces'
                WHEN v.version <> place OR v.replaces_statement_id <> before THEN 'its versions have a gap before it'
                WHEN q.gate <> 'restated' OR e.event <> 'approved' OR p.event IS DISTINCT FROM 'prepared'
                    THEN 'nobody has approved it'
                ELSE 'it was approved by its own proposer ' || e.actor END
        FROM (
            SELECT *, 1 + row_number() OVER w AS place, lag(statement_id, 1, first_statement_id) OVER w AS before
            FROM statement_version
            WINDOW w AS (PARTITION BY institution_id, first_statement_id ORDER BY version)
        ) v
        JOIN statement s ON s.institution_id = v.institution_id AND s.statement_id = v.statement_id
        JOIN statement first ON first.institution_id = v.institution_id AND first.statement_id = v.first_statement_id
        JOIN quarantined_statement q USING (quarantine_id)
        JOIN quarantine_event e ON e.quarantine_id = v.quarantine_id AND e.event_no = v.approved_event_no
        LEFT JOIN quarantine_event p ON p.quarantine_id = e.quarantine_id AND p.event_no = e.prepared_event_no
        WHERE s.business_date <> v.business_date OR s.custody_account_id <> v.custody_account_id
            OR (s.business_date, s.custody_account_id) <> (first.business_date, first.custody_account_id)
            OR v.version <> place OR v.replaces_statement_id <> before
            OR q.gate <> 'restated' OR e.event <> 'approved' OR p.event IS DISTINCT FROM 'prepared' OR p.actor = e.actor
        """,
    ),
    (
        "statement_line_kept",
        """
        SELECT 'institution ' || k.institution_id || ', statement ' || k.statement_id || ', line ' || k.line_id,
            'the version before did not have this line'
        FROM statement_line_kept k JOIN statement_version v USING (institution_id, statement_id)
        WHERE NOT EXISTS (
            SELECT FROM statement_line l WHERE l.institution_id = k.institution_id AND l.line_id = k.line_id
                AND l.statement_id = v.replaces_statement_id)
            AND NOT EXISTS (
                SELECT FROM statement_line_kept o WHERE o.institution_id = k.institution_id AND o.line_id = k.line_id
                    AND o.statement_id = v.replaces_statement_id)
        """,
    ),
    (
        "match",
        """
        SELECT 'institution ' || m.institution_id || ', match ' || m.match_id, 'it has no bank line'
        FROM match m WHERE NOT EXISTS (
            SELECT FROM match_bank_line b WHERE b.institution_id = m.institution_id AND b.match_id = m.match_id)
        """,
    ),
    (
        "discrepancy_event",
        """
        SELECT 'institution ' || e.institution_id || ', discrepancy ' || e.discrepancy_id || ', event ' || e.event_no,
            CASE WHEN p.event_no IS NULL OR p.event <> 'prepared' THEN 'it decides on something that is no proposal'
                ELSE 'approved by its own preparer ' || p.actor END
        FROM discrepancy_event e
        LEFT JOIN discrepancy_event p ON p.institution_id = e.institution_id AND p.discrepancy_id = e.discrepancy_id
            AND p.event_no = e.prepared_event_no
        WHERE e.event IN ('approved', 'rejected')
            AND (p.event_no IS NULL OR p.event <> 'prepared' OR (e.event = 'approved' AND p.actor = e.actor))
        """,
    ),
    (
        "sign_off_event",
        """
        SELECT 'institution ' || e.institution_id || ', account ' || e.custody_account_id || ', day ' || e.business_date
            || ', event ' || e.event_no,
            CASE WHEN p.event_no IS NULL OR p.event NOT IN ('prepared', 'reopen_prepared')
                    THEN 'it decides on something that is no proposal'
                WHEN p.actor = e.actor THEN 'approved by its own preparer ' || p.actor
                ELSE 'it accepts a run of another account or day' END
        FROM sign_off_event e
        LEFT JOIN sign_off_event p ON p.institution_id = e.institution_id AND p.custody_account_id = e.custody_account_id
            AND p.business_date = e.business_date AND p.event_no = e.prepared_event_no
        LEFT JOIN reconciliation_run r ON r.institution_id = e.institution_id AND r.run_id = e.run_id
        WHERE (e.event IN ('approved', 'reopened')
                AND (p.event_no IS NULL OR p.event NOT IN ('prepared', 'reopen_prepared') OR p.actor = e.actor))
            OR (e.event = 'approved'
                AND (r.custody_account_id <> e.custody_account_id OR r.business_date <> e.business_date OR r.run_id <> p.run_id))
        """,
    ),
)


def verify(conn: Connection) -> list[Fault]:
    """Every row of intake, runs, discrepancies and sign-offs that contradicts the rest of the evidence, with both figures."""
    found: list[Fault] = []
    further = (*overdue.QUESTIONS, *quarantine_store.QUESTIONS, *overlap_store.QUESTIONS)
    for table, question in (*_QUESTIONS, *further):
        rows = conn.execute(text(f"SELECT * FROM ({question}) AS wrong ORDER BY 1 LIMIT {MOST_NAMED}"))
        found += [Fault(table, row[0], row[1]) for row in rows]
    found += _match_ids(conn)
    found += _output_hashes(conn)
    return found


def _match_ids(conn: Connection) -> Iterable[Fault]:
    """Matches whose id does not follow from their rule and members: a member was added, taken away or exchanged."""
    rows = conn.execute(
        text(
            """
            SELECT m.institution_id, m.match_id, m.rule, string_agg(member.id, '|' ORDER BY member.id COLLATE "C")
            FROM match m JOIN (
                SELECT institution_id, match_id, 'bank:' || line_id AS id FROM match_bank_line
                UNION ALL SELECT institution_id, match_id, 'book:' || item_id FROM match_book_item
            ) member USING (institution_id, match_id)
            GROUP BY m.institution_id, m.match_id, m.rule ORDER BY 1, 2
            """
        )
    ).all()
    derived = match_ids([row[2] for row in rows], [row[3] for row in rows])
    for (institution, identity, _, _), right in zip(rows, derived, strict=True):
        if identity != right:
            yield Fault("match", f"institution {institution}, match {identity}", "its id does not follow from its members")


def _output_hashes(conn: Connection) -> Iterable[Fault]:
    """Runs whose output hash does not follow from the matches and discrepancies stored with them."""
    runs = conn.execute(text("SELECT institution_id, run_id, output_hash FROM reconciliation_run ORDER BY 1, 2"))
    for institution, run_id, recorded in runs:
        if output_hash(*stored_outcome(conn, institution, run_id)) != recorded:
            what = "its output hash does not follow from what is stored with it"
            yield Fault("reconciliation_run", f"institution {institution}, run {run_id}", what)
