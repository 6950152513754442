"""Proving the books: everything that follows from something else is derived again and compared, set by set.

A change made by hand, by whoever and with triggers off, leaves a row that no longer fits the others; the check that
finds it names the row. Rows' own digests are storage's to check (``storage.verification``); the leaf of a transfer is checked
here, and whoever recomputes that too still has the batch roots, the chain of batches and the running balances against him.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

from sqlalchemy import Connection, text

from ledger.archive import ARCHIVE_QUESTION
from ledger.model import Fault
from ledger.time_questions import TIME_QUESTIONS

#: A check stops naming rows here; it still counts them all.
MOST_NAMED = 100


@dataclass(frozen=True, slots=True)
class Check:
    """What one check looked at and found. ``rows`` is how many rows it examined; ``wrong`` how many were wrong, of which the
    first ``MOST_NAMED`` are in ``faults``.
    """

    name: str
    rows: int
    wrong: int
    faults: tuple[Fault, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Question:
    """``wrong`` selects the columns (row, what) of every wrong row; ``counted`` is the table whose rows are examined."""

    name: str
    table: str
    wrong: str
    counted: str


def verify(conn: Connection) -> list[Fault]:
    """Every fault of the books, at most ``MOST_NAMED`` from each check; an empty list when they verify."""
    return [fault for check in examine(conn) for fault in check.faults]


def examine(conn: Connection) -> list[Check]:
    """Run every check of the books on one snapshot of them."""
    conn.execute(text(_LEGS))
    conn.execute(text("ANALYZE verified_leg"))
    try:
        return [_ask(conn, question) for question in QUESTIONS]
    finally:
        conn.execute(text("DROP TABLE IF EXISTS verified_leg"))


def _ask(conn: Connection, question: _Question) -> Check:
    started = perf_counter()
    rows = conn.execute(text(f"SELECT count(*) FROM {question.counted}")).scalar_one()
    found = conn.execute(
        text(
            f"SELECT wrong.row, wrong.what, count(*) OVER () AS wrong_rows FROM ({question.wrong}) AS wrong"
            f" ORDER BY 1 LIMIT {MOST_NAMED}"
        )
    ).all()
    return Check(
        name=question.name,
        rows=rows,
        wrong=found[0].wrong_rows if found else 0,
        faults=tuple(Fault(question.table, row.row, row.what) for row in found),
        seconds=perf_counter() - started,
    )


def faults_of(checks: Iterable[Check]) -> list[Fault]:
    """The faults of several checks, in their order."""
    return [fault for check in checks for fault in check.faults]


#: Both postings of every transfer with the numbers and balances the account's history gives them, in posting order.
_LEGS = """
    CREATE TEMPORARY TABLE verified_leg ON COMMIT DROP AS
    SELECT *, row_number() OVER run AS right_seq, sum(delta) OVER run AS right_balance
    FROM (
        SELECT institution_id, transfer_id, batch_id, line, debit_account_id AS account_id, 'debit' AS side, debit_seq AS seq,
            debit_balance_minor_units AS balance, amount_minor_units AS delta, booking_date, currency FROM transfer
        UNION ALL
        SELECT institution_id, transfer_id, batch_id, line, credit_account_id, 'credit', credit_seq,
            credit_balance_minor_units, -amount_minor_units, booking_date, currency FROM transfer
    ) AS leg
    WINDOW run AS (PARTITION BY institution_id, account_id ORDER BY batch_id, line)
"""

#: The triggers that guard the books, by table. Switched off, or asleep for a replica's session, one guards nothing.
GUARDS = (
    ("account", "account_refuse_change"),
    ("account", "account_refuse_truncate"),
    ("account", "account_start"),
    ("account_balance", "account_balance_guard"),
    ("account_closing", "account_closing_guard"),
    ("account_closing", "account_closing_refuse_change"),
    ("account_closing", "account_closing_refuse_truncate"),
    ("account_day", "account_day_guard"),
    ("account_late", "account_late_guard"),
    ("balance_snapshot", "balance_snapshot_guard"),
    ("balance_snapshot_taken", "balance_snapshot_taken_guard"),
    ("balance_snapshot_taken", "balance_snapshot_taken_keep"),
    ("balance_snapshot_taken", "balance_snapshot_taken_refuse_change"),
    ("balance_snapshot_taken", "balance_snapshot_taken_refuse_truncate"),
    ("batch_months", "batch_months_guard"),
    ("correction", "correction_guard"),
    ("correction", "correction_refuse_change"),
    ("correction", "correction_refuse_truncate"),
    ("journal_archive", "journal_archive_guard"),
    ("journal_archive", "journal_archive_refuse_change"),
    ("journal_archive", "journal_archive_refuse_truncate"),
    ("journal_head", "journal_head_guard"),
    ("journal_head", "journal_head_header"),
    ("journal_month", "journal_month_guard"),
    ("journal_month", "journal_month_refuse_change"),
    ("journal_month", "journal_month_refuse_truncate"),
    ("open_item", "open_item_guard"),
    ("open_item", "open_item_refuse_change"),
    ("open_item", "open_item_refuse_truncate"),
    ("open_item_clearing", "open_item_clearing_guard"),
    ("open_item_clearing", "open_item_clearing_refuse_change"),
    ("open_item_clearing", "open_item_clearing_refuse_truncate"),
    ("pending_resolution", "pending_resolution_guard"),
    ("pending_resolution", "pending_resolution_posted"),
    ("pending_resolution", "pending_resolution_refuse_change"),
    ("pending_resolution", "pending_resolution_refuse_truncate"),
    ("pending_transfer", "pending_transfer_guard"),
    ("pending_transfer", "pending_transfer_refuse_change"),
    ("pending_transfer", "pending_transfer_refuse_truncate"),
    ("period_balance", "period_balance_guard"),
    ("period_balance", "period_balance_refuse_change"),
    ("period_balance", "period_balance_refuse_truncate"),
    ("period_event", "period_event_by_person"),
    ("period_event", "period_event_guard"),
    ("period_event", "period_event_keep"),
    ("period_event", "period_event_refuse_change"),
    ("period_event", "period_event_refuse_truncate"),
    ("posting_batch", "posting_batch_head"),
    ("posting_batch", "posting_batch_refuse_change"),
    ("posting_batch", "posting_batch_refuse_truncate"),
    ("posting_batch", "posting_batch_seal"),
    ("posting_batch", "posting_batch_stamp_digest_in_order"),
    ("reversal", "reversal_guard"),
    ("transfer", "transfer_guard"),
    ("transfer", "transfer_keeps_instructions"),
    ("transfer", "transfer_refuse_change"),
    ("transfer", "transfer_refuse_truncate"),
)
_GUARD_VALUES = ", ".join(f"('{table}', '{trigger}')" for table, trigger in GUARDS)

QUESTIONS = (
    _Question(
        "guards of the books are on",
        "pg_trigger",
        f"""
        SELECT format('table %s, trigger %s', g.table_name, g.trigger_name) AS row,
            CASE WHEN t.oid IS NULL THEN 'it is missing' ELSE 'it is switched off' END AS what
        FROM (VALUES {_GUARD_VALUES}) AS g (table_name, trigger_name)
        LEFT JOIN pg_trigger t ON t.tgrelid = to_regclass(g.table_name) AND t.tgname = g.trigger_name
        WHERE t.tgenabled IS DISTINCT FROM 'A'
        """,
        f"(VALUES {_GUARD_VALUES}) AS g (table_name, trigger_name)",
    ),
    _Question(
        "leaf of every transfer",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', institution_id, transfer_id) AS row,
            format('batch %s line %s (%s %s, %s): its columns do not give the leaf it was posted with',
                batch_id, line, source_kind, source_ref, reason) AS what
        FROM transfer WHERE leaf IS DISTINCT FROM transfer_leaf_v1(
            institution_id, transfer_id, batch_id, line, debit_account_id, credit_account_id, amount_minor_units, currency,
            booking_date, reason, source_kind, source_ref, reverses, debit_seq, debit_balance_minor_units, credit_seq,
            credit_balance_minor_units)
        """,
        "transfer",
    ),
    _Question(
        "count, total, lines and root of every batch",
        "posting_batch",
        """
        SELECT format('institution %s, batch %s', institution_id, batch_id) AS row,
            format('header: %s transfers, total %s, root %s; its transfers: %s, %s, %s', transfer_count, total_minor_units,
                left(encode(root, 'hex'), 16), size, total, left(encode(right_root, 'hex'), 16)) AS what
        FROM (
            SELECT b.*, coalesce(s.size, 0) AS size, coalesce(s.total, 0) AS total, s.first_line, s.last_line,
                coalesce(merkle_root(s.leaves), '') AS right_root
            FROM posting_batch b LEFT JOIN (
                SELECT institution_id, batch_id, count(*) AS size, sum(amount_minor_units) AS total, min(line) AS first_line,
                    max(line) AS last_line, array_agg(leaf ORDER BY line) AS leaves
                FROM transfer GROUP BY institution_id, batch_id
            ) AS s ON s.institution_id = b.institution_id AND s.batch_id = b.batch_id
        ) AS batch
        WHERE size <> transfer_count OR total <> total_minor_units OR first_line <> 1 OR last_line <> size OR right_root <> root
        """,
        "posting_batch",
    ),
    _Question(
        "chain of batches of every institution",
        "posting_batch",
        """
        SELECT format('institution %s, batch %s', institution_id, batch_id) AS row,
            CASE WHEN batch_id <> right_id THEN format('batch %s is missing', right_id)
                ELSE 'it does not follow the batch before it: that one, or its link to it, was changed' END AS what
        FROM (
            SELECT *, coalesce(lag(batch_id) OVER chain, 0) + 1 AS right_id,
                coalesce(lag(row_digest) OVER chain, decode(repeat('00', 32), 'hex')) AS right_digest
            FROM posting_batch WINDOW chain AS (PARTITION BY institution_id ORDER BY batch_id)
        ) AS link
        WHERE batch_id <> right_id OR previous_digest <> right_digest
        """,
        "posting_batch",
    ),
    _Question(
        "head of every institution's chain",
        "journal_head",
        """
        SELECT format('institution %s', coalesce(h.institution_id, b.institution_id)) AS row,
            format('head: batch %s of %s written, digest %s, %s transfers, %s, root %s; newest batch: %s, digest %s, %s, %s, %s',
                h.last_batch_id, h.written_batch_id, left(encode(h.last_digest, 'hex'), 16), h.written_count,
                h.written_minor_units, left(encode(h.written_root, 'hex'), 16), b.batch_id,
                left(encode(b.row_digest, 'hex'), 16), b.transfer_count, b.total_minor_units,
                left(encode(b.root, 'hex'), 16)) AS what
        FROM journal_head h FULL JOIN (
            SELECT DISTINCT ON (institution_id) institution_id, batch_id, row_digest, transfer_count, total_minor_units, root
            FROM posting_batch ORDER BY institution_id, batch_id DESC
        ) AS b ON b.institution_id = h.institution_id
        WHERE h.last_batch_id IS DISTINCT FROM coalesce(b.batch_id, 0)
            OR h.written_batch_id IS DISTINCT FROM coalesce(b.batch_id, 0)
            OR h.last_digest IS DISTINCT FROM coalesce(b.row_digest, decode(repeat('00', 32), 'hex'))
            OR h.written_count <> b.transfer_count OR h.written_minor_units <> b.total_minor_units OR h.written_root <> b.root
        UNION ALL
        SELECT format('institution %s', institution_id), 'its accounts have no head' FROM account
        WHERE institution_id NOT IN (SELECT institution_id FROM journal_head) GROUP BY institution_id
        """,
        "journal_head",
    ),
    _Question(
        "batch of every transfer",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', t.institution_id, t.transfer_id) AS row,
            format('batch %s does not exist', t.batch_id) AS what
        FROM transfer t LEFT JOIN posting_batch b ON b.institution_id = t.institution_id AND b.batch_id = t.batch_id
        WHERE b.batch_id IS NULL
        """,
        "transfer",
    ),
    _Question(
        "number and running balance of every posting",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', institution_id, transfer_id) AS row,
            format('%s of account %s: posting %s leaves %s, its history gives posting %s leaving %s (debits minus credits)',
                side, account_id, seq, balance, right_seq, right_balance) AS what
        FROM verified_leg WHERE seq <> right_seq OR balance <> right_balance
        """,
        "verified_leg",
    ),
    _Question(
        "account, currency, dates and floor of every posting",
        "transfer",
        """
        SELECT format('institution %s, transfer %s', l.institution_id, l.transfer_id) AS row,
            CASE WHEN a.account_id IS NULL THEN format('account %s does not exist', l.account_id)
                WHEN a.currency <> l.currency
                    THEN format('%s on account %s, which holds %s', l.currency, l.account_id, a.currency)
                WHEN l.booking_date < a.opened_on OR l.booking_date >= c.closed_on
                    THEN format('account %s was not open on %s', l.account_id, l.booking_date)
                ELSE format('account %s fell below its floor', l.account_id) END AS what
        FROM verified_leg l
        LEFT JOIN account a ON a.institution_id = l.institution_id AND a.account_id = l.account_id
        LEFT JOIN account_closing c ON c.institution_id = l.institution_id AND c.account_id = l.account_id
        WHERE a.account_id IS NULL OR a.currency <> l.currency OR l.booking_date < a.opened_on OR l.booking_date >= c.closed_on
            OR CASE a.normal_side WHEN 'DEBIT' THEN l.balance ELSE -l.balance END < a.floor_minor_units
        """,
        "verified_leg",
    ),
    _Question(
        "balance of every account",
        "account_balance",
        """
        SELECT format('institution %s, account %s', coalesce(a.institution_id, b.institution_id),
                coalesce(a.account_id, b.account_id)) AS row,
            format('balance %s after %s postings; its postings sum to %s in %s', b.balance_minor_units, b.last_seq,
                coalesce(l.balance, 0), coalesce(l.size, 0)) AS what
        FROM account a FULL JOIN account_balance b ON b.institution_id = a.institution_id AND b.account_id = a.account_id
        LEFT JOIN (
            SELECT institution_id, account_id, sum(delta) AS balance, count(*) AS size FROM verified_leg GROUP BY 1, 2
        ) AS l ON l.institution_id = a.institution_id AND l.account_id = a.account_id
        WHERE a.account_id IS NULL OR b.balance_minor_units IS DISTINCT FROM coalesce(l.balance, 0)
            OR b.last_seq IS DISTINCT FROM coalesce(l.size, 0)
        """,
        "account",
    ),
    _Question(
        "sums of every account and day",
        "account_day",
        """
        SELECT format('institution %s, account %s, %s', coalesce(d.institution_id, l.institution_id),
                coalesce(d.account_id, l.account_id), coalesce(d.booking_date, l.booking_date)) AS row,
            format('debits %s, credits %s, postings %s to %s leaving %s; its postings give %s, %s, %s to %s leaving %s',
                d.debits_minor_units, d.credits_minor_units, d.first_seq, d.last_seq, d.balance_minor_units,
                coalesce(l.debits, 0), coalesce(l.credits, 0), l.first_seq, l.last_seq, l.balance) AS what
        FROM account_day d FULL JOIN (
            SELECT institution_id, account_id, booking_date, coalesce(sum(delta) FILTER (WHERE side = 'debit'), 0) AS debits,
                coalesce(-sum(delta) FILTER (WHERE side = 'credit'), 0) AS credits, min(right_seq) AS first_seq,
                max(right_seq) AS last_seq, (array_agg(right_balance ORDER BY right_seq DESC))[1] AS balance
            FROM verified_leg GROUP BY 1, 2, 3
        ) AS l ON l.institution_id = d.institution_id AND l.account_id = d.account_id AND l.booking_date = d.booking_date
        WHERE (d.debits_minor_units, d.credits_minor_units, d.first_seq, d.last_seq, d.balance_minor_units)
            IS DISTINCT FROM (l.debits, l.credits, l.first_seq, l.last_seq, l.balance)
        """,
        "account_day",
    ),
    _Question(
        "every open item is what its transfer put in transit",
        "open_item",
        """
        SELECT format('institution %s, item %s', i.institution_id, i.item_id) AS row,
            format('%s %s %s on account %s booked %s is not what transfer %s did', i.direction, i.amount_minor_units, i.currency,
                i.account_id, i.booking_date, i.item_id) AS what
        FROM open_item i
        LEFT JOIN transfer t ON t.institution_id = i.institution_id AND t.transfer_id = i.item_id
        LEFT JOIN account a ON a.institution_id = i.institution_id AND a.account_id = i.account_id
        WHERE (t.amount_minor_units = i.amount_minor_units AND t.currency = i.currency AND t.booking_date = i.booking_date
            AND a.in_transit AND a.custody_account_id = i.custody_account_id
            AND i.account_id = CASE i.direction WHEN 'IN' THEN t.debit_account_id ELSE t.credit_account_id END) IS NOT TRUE
        """,
        "open_item",
    ),
    _Question(
        "every clearing fits its open item",
        "open_item_clearing",
        """
        SELECT format('institution %s, item %s', c.institution_id, c.item_id) AS row,
            format('transfer %s on %s has another amount, account, side or date', c.clearing_transfer_id, c.cleared_on) AS what
        FROM open_item_clearing c
        LEFT JOIN open_item i ON i.institution_id = c.institution_id AND i.item_id = c.item_id
        LEFT JOIN transfer t ON t.institution_id = c.institution_id AND t.transfer_id = c.clearing_transfer_id
        WHERE (t.amount_minor_units = i.amount_minor_units AND t.currency = i.currency AND t.booking_date = c.cleared_on
            AND i.account_id = CASE i.direction WHEN 'IN' THEN t.credit_account_id ELSE t.debit_account_id END) IS NOT TRUE
        """,
        "open_item_clearing",
    ),
    _Question(
        "money in transit is its open items",
        "account",
        """
        SELECT format('institution %s, account %s', a.institution_id, a.account_id) AS row,
            format('%s%s holds %s minor units in transit, its open items are %s', a.kind,
                CASE a.subject WHEN '' THEN '' ELSE ':' || a.subject END, abs(coalesce(l.balance, 0)),
                coalesce(i.amount, 0)) AS what
        FROM account a
        LEFT JOIN (SELECT institution_id, account_id, sum(delta) AS balance FROM verified_leg GROUP BY 1, 2) AS l
            ON l.institution_id = a.institution_id AND l.account_id = a.account_id
        LEFT JOIN (
            SELECT i.institution_id, i.account_id,
                sum(CASE i.direction WHEN 'IN' THEN i.amount_minor_units ELSE -i.amount_minor_units END) AS balance,
                sum(i.amount_minor_units) AS amount
            FROM open_item i LEFT JOIN open_item_clearing c ON c.institution_id = i.institution_id AND c.item_id = i.item_id
            WHERE c.item_id IS NULL GROUP BY 1, 2
        ) AS i ON i.institution_id = a.institution_id AND i.account_id = a.account_id
        WHERE a.in_transit AND coalesce(l.balance, 0) <> coalesce(i.balance, 0)
        """,
        "account WHERE in_transit",
    ),
    _Question(
        "debits equal credits in every currency",
        "account_balance",
        """
        SELECT format('currency %s', a.currency) AS row,
            format('all balances sum to %s minor units, not to 0', sum(b.balance_minor_units)) AS what
        FROM account_balance b JOIN account a ON a.institution_id = b.institution_id AND a.account_id = b.account_id
        GROUP BY a.currency HAVING sum(b.balance_minor_units) <> 0
        """,
        "account_balance",
    ),
    *(_Question(*question) for question in (*TIME_QUESTIONS, ARCHIVE_QUESTION)),
)
