"""The guard of transfers moves balances and day sums in one statement, and leaves are joined by one call.

What is refused, and as what, is as before. Deployed beside the old program, which posts through the same trigger.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

revision = "0026_posting_in_one_pass"
down_revision = "0025_statement_overdue"
branch_labels = None
depends_on = None

#: The bytes of migration 0002's, for which every field was joined to what came before it one by one. STABLE because concat_ws and
#: convert_to are: only so is the body put into the query that calls it. Its columns are numbers, ids and text, which no setting
#: renders otherwise.
TRANSFER_LEAF = r"""
CREATE OR REPLACE FUNCTION transfer_leaf_v1(
    institution_id integer, transfer_id uuid, batch_id bigint, line integer, debit_account_id bigint,
    credit_account_id bigint, amount_minor_units bigint, currency text, booking_date date, reason text, source_kind text,
    source_ref text, reverses uuid, debit_seq bigint, debit_balance_minor_units bigint, credit_seq bigint,
    credit_balance_minor_units bigint
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(decode('00', 'hex') || convert_to(concat_ws('|', 'v1', institution_id, transfer_id, batch_id, line,
        debit_account_id, credit_account_id, amount_minor_units, currency, booking_date - date '2000-01-01',
        octet_length(reason) || ':' || reason, octet_length(source_kind) || ':' || source_kind,
        octet_length(source_ref) || ':' || source_ref, coalesce(reverses::text, '-'), debit_seq, debit_balance_minor_units,
        credit_seq, credit_balance_minor_units), 'UTF8'))
$$
"""

#: As migration 0019 has it, but: an account's run of new postings is made once and goes straight into both projections, where it was
#: kept in arrays in between; a day's sums that are there are updated and the others inserted, where each row was first tried as new;
#: and what one currency and one day make certain is not asked of every posting.
GUARD_TRANSFER = r"""
CREATE OR REPLACE FUNCTION ledger_guard_transfer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
    batch record;
    head record;
    runs integer;
    moved integer;
    first_day date;
    last_day date;
    several_days boolean;
    least_currency text;
    greatest_currency text;
    several_currencies boolean;
    run_of_postings text;
    late_accounts bigint[];
    late_after date[];
    moved_accounts bigint[];
    reversing boolean := false;
BEGIN
    FOR batch IN EXECUTE
        'SELECT institution_id, min(batch_id) AS first_id, max(batch_id) AS last_id, min(booking_date) AS first_day,
            max(booking_date) AS last_day, count(*) AS size, sum(amount_minor_units)::bigint AS total,
            min(line) AS first_line, max(line) AS last_line, count(DISTINCT line) AS lines,
            array_agg(leaf ORDER BY line) AS leaves, bool_or(reverses IS NOT NULL) AS reversing,
            min(currency COLLATE "C") AS least_currency, max(currency COLLATE "C") AS greatest_currency
        FROM new_transfers GROUP BY 1 ORDER BY 1'
    LOOP
        SELECT * INTO head FROM journal_head WHERE institution_id = batch.institution_id FOR UPDATE;
        IF NOT FOUND THEN
            PERFORM refuse_posting('unknown_account', format('institution %s has no accounts', batch.institution_id));
        ELSIF batch.first_id <> batch.last_id OR batch.first_id <> head.last_batch_id + 1 THEN
            PERFORM refuse_posting('batch_out_of_order', format(
                'the next batch of institution %s is %s, not %s',
                batch.institution_id, head.last_batch_id + 1,
                CASE batch.first_id WHEN head.last_batch_id + 1 THEN batch.last_id ELSE batch.first_id END));
        END IF;
        -- One statement a batch: what its header is checked against is what was seen here, over all partitions at once.
        IF head.written_batch_id = batch.first_id THEN
            PERFORM refuse_posting('batch_in_pieces', format('batch %s of institution %s is written in more than one statement',
                batch.first_id, batch.institution_id));
        ELSIF batch.first_line <> 1 OR batch.last_line <> batch.size OR batch.lines <> batch.size THEN
            PERFORM refuse_posting('batch_lines', format('the lines of batch %s of institution %s are not 1 to %s',
                batch.first_id, batch.institution_id, batch.size));
        END IF;
        reversing := reversing OR batch.reversing;
        first_day := least(first_day, batch.first_day);
        last_day := greatest(last_day, batch.last_day);
        least_currency := least(least_currency, batch.least_currency);
        greatest_currency := greatest(greatest_currency, batch.greatest_currency);
        -- Whether a closed month lies within the batch's days is one question a batch; its rows are asked only then.
        IF EXISTS (
            SELECT FROM closed_period p WHERE p.institution_id = batch.institution_id
                AND p.month BETWEEN date_trunc('month', batch.first_day)::date AND batch.last_day) THEN
            EXECUTE $q$
                SELECT n.transfer_id, n.booking_date FROM new_transfers n JOIN closed_period p
                    ON p.institution_id = n.institution_id AND p.month = date_trunc('month', n.booking_date)::date
                LIMIT 1 $q$ INTO wrong;
            IF wrong.transfer_id IS NOT NULL THEN
                PERFORM refuse_posting('closed_period', format('transfer %s is booked on %s, in a month that is closed',
                    wrong.transfer_id, wrong.booking_date));
            END IF;
        END IF;
        UPDATE journal_head SET written_batch_id = batch.first_id, written_count = batch.size,
            written_minor_units = batch.total, written_root = merkle_root(batch.leaves) WHERE institution_id = batch.institution_id;
    END LOOP;

    EXECUTE $q$
        SELECT transfer_id FROM new_transfers
        WHERE leaf <> transfer_leaf_v1(
            institution_id, transfer_id, batch_id, line, debit_account_id, credit_account_id, amount_minor_units, currency,
            booking_date, reason, source_kind, source_ref, reverses, debit_seq, debit_balance_minor_units, credit_seq,
            credit_balance_minor_units)
        LIMIT 1 $q$ INTO wrong;
    IF wrong.transfer_id IS NOT NULL THEN
        PERFORM refuse_posting('wrong_leaf', format('the leaf of transfer %s is not the digest of its columns', wrong.transfer_id));
    END IF;

    IF reversing THEN
        EXECUTE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            LEFT JOIN transfer o ON o.institution_id = n.institution_id AND o.transfer_id = n.reverses
                AND o.debit_account_id = n.credit_account_id AND o.credit_account_id = n.debit_account_id
                AND o.amount_minor_units = n.amount_minor_units
            WHERE n.reverses IS NOT NULL AND o.transfer_id IS NULL
            LIMIT 1 $q$ INTO wrong;
        IF wrong.transfer_id IS NOT NULL THEN
            PERFORM refuse_posting('reversal_mismatch', format(
                'transfer %s is not the mirror of a transfer %s', wrong.transfer_id, wrong.reverses));
        END IF;
        -- Each partition's index sees its own reversals only. The lock on the head lets no other posting in between.
        EXECUTE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            JOIN transfer o ON o.institution_id = n.institution_id AND o.reverses = n.reverses AND o.transfer_id <> n.transfer_id
            LIMIT 1 $q$ INTO wrong;
        IF wrong.transfer_id IS NOT NULL THEN
            PERFORM refuse_posting('already_reversed', format('transfer %s is reversed already, and by transfer %s again',
                wrong.reverses, wrong.transfer_id));
        END IF;
    END IF;

    -- Every account's run of new postings in the order of their numbers: what it starts from, where it ends, what it touches on
    -- the way, and whether each posting follows from the one before. Within one day none of them can be late.
    several_days := first_day <> last_day;
    several_currencies := least_currency <> greatest_currency;
    run_of_postings := format($f$
        SELECT institution_id, account_id, min(seq) AS first_seq, max(seq) AS last_seq,
            min(balance - delta) FILTER (WHERE place = 1) AS opening,
            (min(balance - delta) FILTER (WHERE place = 1) + sum(delta))::bigint AS closing,
            min(balance) AS lowest, max(balance) AS highest,
            max(seq - place) = min(seq - place) AND bool_and(place = 1 OR balance - delta = previous_balance) AS chained,
            count(*) AS size, sum(greatest(delta, 0))::bigint AS debits,
            (sum(greatest(delta, 0)) - sum(delta))::bigint AS credits, %s AS currency, %s
        FROM (
            SELECT leg.*, row_number() OVER run AS place, lag(balance) OVER run AS previous_balance%s
            FROM (
                SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, amount_minor_units AS delta,
                    debit_balance_minor_units AS balance, currency, booking_date FROM new_transfers
                UNION ALL
                SELECT institution_id, credit_account_id, credit_seq, -amount_minor_units,
                    credit_balance_minor_units, currency, booking_date FROM new_transfers
            ) AS leg
            WINDOW run AS (PARTITION BY account_id, institution_id ORDER BY seq)
        ) AS linked
        GROUP BY account_id, institution_id $f$,
        CASE WHEN several_currencies THEN $f$CASE WHEN min(currency) = max(currency) THEN min(currency) ELSE '' END$f$
            ELSE format('%L::text', least_currency) END,
        CASE WHEN several_days THEN $f$min(booking_date) AS first_day, max(booking_date) AS last_day,
            min(seq) FILTER (WHERE booking_date < previous_day) AS late$f$
            ELSE format('%L::date AS first_day, %1$L::date AS last_day, NULL::bigint AS late', first_day) END,
        CASE WHEN several_days THEN ', lag(booking_date) OVER run AS previous_day' ELSE '' END);

    -- One statement moves balances and day sums. All of it reads the books as they were before.
    -- first_late_seq: below it the account's postings are in the order of their days (see balance_at).
    EXECUTE format($q$
        WITH run AS MATERIALIZED (%s), moved AS (
            UPDATE account_balance b SET last_seq = r.last_seq, balance_minor_units = r.closing,
                last_booking_date = greatest(b.last_booking_date, r.last_day),
                first_late_seq = coalesce(
                    b.first_late_seq, CASE WHEN r.first_day < b.last_booking_date THEN r.first_seq ELSE r.late END)
            FROM run r
            JOIN account a ON a.institution_id = r.institution_id AND a.account_id = r.account_id
            WHERE b.institution_id = r.institution_id AND b.account_id = r.account_id
                AND r.chained AND b.last_seq = r.first_seq - 1 AND b.balance_minor_units = r.opening
                AND a.currency = r.currency AND a.opened_on <= r.first_day
                AND (a.floor_minor_units IS NULL
                    OR CASE a.normal_side WHEN 'DEBIT' THEN r.lowest - b.pending_credits_minor_units
                        ELSE -r.highest - b.pending_debits_minor_units END >= a.floor_minor_units)
                AND NOT EXISTS (
                    SELECT FROM account_closing c
                    WHERE c.institution_id = r.institution_id AND c.account_id = r.account_id AND c.closed_on <= r.last_day)
            RETURNING b.institution_id, b.account_id, b.first_late_seq
        ), day_moved AS (
            UPDATE account_day d SET debits_minor_units = d.debits_minor_units + r.debits,
                credits_minor_units = d.credits_minor_units + r.credits, last_seq = r.last_seq, balance_minor_units = r.closing
            FROM run r
            WHERE r.first_day = r.last_day
                AND d.institution_id = r.institution_id AND d.account_id = r.account_id AND d.booking_date = r.first_day
            RETURNING d.institution_id, d.account_id
        ), day_new AS (
            INSERT INTO account_day (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units, first_seq,
                last_seq, balance_minor_units)
            SELECT institution_id, account_id, first_day, debits, credits, first_seq, last_seq, closing FROM run
            WHERE first_day = last_day
                AND (institution_id, account_id) NOT IN (SELECT institution_id, account_id FROM day_moved)
        )
        SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM moved),
            CASE WHEN (SELECT count(*) FROM moved) <> (SELECT count(*) FROM run) THEN (SELECT array_agg(account_id) FROM moved) END,
            late.accounts, late.after
        FROM (
            SELECT array_agg(m.account_id) AS accounts, array_agg(before.last_booking_date) AS after
            FROM moved m JOIN account_balance before USING (institution_id, account_id) WHERE m.first_late_seq IS NOT NULL
        ) AS late $q$, run_of_postings)
    INTO runs, moved, moved_accounts, late_accounts, late_after;

    IF moved <> runs THEN
        EXECUTE format($q$
            SELECT r.institution_id, r.account_id, CASE
                    WHEN a.account_id IS NULL THEN 'unknown_account'
                    WHEN a.opened_on > r.first_day OR EXISTS (
                        SELECT FROM account_closing c WHERE c.institution_id = r.institution_id AND c.account_id = r.account_id
                            AND c.closed_on <= r.last_day) THEN 'closed_account'
                    WHEN a.currency <> r.currency THEN 'currency'
                    WHEN b.last_seq <> r.first_seq - 1 OR (r.last_seq - r.first_seq + 1) <> r.size THEN 'skipped_seq'
                    WHEN b.balance_minor_units <> r.opening OR NOT r.chained THEN 'wrong_running_balance'
                    ELSE 'below_floor'
                END AS rule
            FROM (%s) AS r
            LEFT JOIN account a ON a.institution_id = r.institution_id AND a.account_id = r.account_id
            LEFT JOIN account_balance b ON b.institution_id = r.institution_id AND b.account_id = r.account_id
            WHERE a.account_id IS NULL OR r.account_id NOT IN (SELECT unnest($1))
            ORDER BY r.institution_id, r.account_id LIMIT 1 $q$, run_of_postings)
        INTO wrong USING moved_accounts;
        PERFORM refuse_posting(coalesce(wrong.rule, 'unknown_account'), format(
            'the new postings of account %s of institution %s do not follow from its books', wrong.account_id, wrong.institution_id));
    END IF;

    -- Nearly no account was ever posted to late.
    IF late_accounts IS NOT NULL THEN
        EXECUTE $q$
            INSERT INTO account_late (institution_id, account_id, first_seq, last_seq, booking_date, units_minor_units)
            SELECT institution_id, account_id, min(seq), max(seq), booking_date, sum(delta)
            FROM (
                SELECT *, seq - row_number() OVER (PARTITION BY institution_id, account_id, booking_date ORDER BY seq) AS run
                FROM (
                    SELECT leg.*, greatest(before.day, max(booking_date) OVER (
                        PARTITION BY institution_id, account_id ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                    )) AS newest_day
                    FROM (
                        SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, amount_minor_units AS delta,
                            booking_date FROM new_transfers WHERE debit_account_id = ANY ($1)
                        UNION ALL
                        SELECT institution_id, credit_account_id, credit_seq, -amount_minor_units, booking_date
                        FROM new_transfers WHERE credit_account_id = ANY ($1)
                    ) AS leg
                    JOIN unnest($1, $2) AS before(account_id, day) USING (account_id)
                ) AS leg
                WHERE booking_date < newest_day
            ) AS late
            GROUP BY institution_id, account_id, booking_date, run
            ORDER BY institution_id, account_id, min(seq) $q$
        USING late_accounts, late_after;
    END IF;

    -- An account's run is its day's sums when it lies within one day; only the others are summed by day again.
    IF several_days THEN
        EXECUTE $q$
            INSERT INTO account_day AS d (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units,
                first_seq, last_seq, balance_minor_units)
            SELECT institution_id, account_id, booking_date, sum(greatest(delta, 0)), sum(greatest(-delta, 0)), min(seq), max(seq),
                (array_agg(balance ORDER BY seq DESC))[1]
            FROM (
                SELECT *, min(booking_date) OVER of_account AS first_day, max(booking_date) OVER of_account AS last_day
                FROM (
                    SELECT institution_id, debit_account_id AS account_id, booking_date, amount_minor_units AS delta,
                        debit_seq AS seq, debit_balance_minor_units AS balance
                    FROM new_transfers
                    UNION ALL
                    SELECT institution_id, credit_account_id, booking_date, -amount_minor_units, credit_seq,
                        credit_balance_minor_units FROM new_transfers
                ) AS leg
                WINDOW of_account AS (PARTITION BY account_id, institution_id)
            ) AS leg
            WHERE first_day <> last_day
            GROUP BY institution_id, account_id, booking_date
            ORDER BY institution_id, account_id, booking_date
            ON CONFLICT (institution_id, account_id, booking_date) DO UPDATE SET
                debits_minor_units = d.debits_minor_units + excluded.debits_minor_units,
                credits_minor_units = d.credits_minor_units + excluded.credits_minor_units,
                last_seq = excluded.last_seq, balance_minor_units = excluded.balance_minor_units $q$;
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Replace both functions."""
    for function in (TRANSFER_LEAF, GUARD_TRANSFER):
        op.execute(sa.text(function.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    leaf: str = importlib.import_module("migrations.versions.0002_ledger").TRANSFER_LEAF
    guard: str = importlib.import_module("migrations.versions.0019_late_postings").guard_transfer()
    for function in (leaf.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), guard):
        op.execute(sa.text(function.replace(":", "\\:")))
