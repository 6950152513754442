"""Two-phase transfers, corrections, periods; balances at any point of both times; the order in which batches were recorded."""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

from storage.append_only import _CANONICAL_RENDERING, append_only_ddl

revision = "0011_posting"
down_revision = "0010_reference_total"
branch_labels = None
depends_on = None

HISTORY = (
    "pending_transfer",
    "pending_resolution",
    "correction",
    "period_event",
    "period_balance",
    "balance_snapshot_taken",
)

CLOSED_PERIOD = """
CREATE VIEW closed_period AS
SELECT institution_id, month FROM period_event e
WHERE event <> 'reopened' AND NOT EXISTS (
    SELECT FROM period_event later
    WHERE later.institution_id = e.institution_id AND later.month = e.month AND later.event_no > e.event_no)
"""

#: As migration 0002 has it, and besides: closed months, floors that count what is reserved, and where an account's postings
#: stop being in the order of their days.
GUARD_TRANSFER = r"""
CREATE OR REPLACE FUNCTION ledger_guard_transfer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
    batch record;
    head record;
    runs integer;
    moved integer;
    r_institution integer[]; r_account bigint[]; r_first bigint[]; r_last bigint[]; r_opening bigint[]; r_closing bigint[];
    r_lowest bigint[]; r_highest bigint[]; r_chained boolean[]; r_currency text[]; r_first_day date[]; r_last_day date[]; r_size bigint[];
    r_debits bigint[]; r_credits bigint[]; r_late bigint[];
    moved_accounts bigint[];
BEGIN
    FOR batch IN EXECUTE
        'SELECT institution_id, min(batch_id) AS first_id, max(batch_id) AS last_id, min(booking_date) AS first_day,
            max(booking_date) AS last_day FROM new_transfers GROUP BY 1 ORDER BY 1'
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
        UPDATE journal_head SET written_batch_id = batch.first_id WHERE institution_id = batch.institution_id;
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

    EXECUTE $q$
        SELECT count(*), array_agg(institution_id), array_agg(account_id), array_agg(first_seq), array_agg(last_seq),
            array_agg(opening), array_agg(closing), array_agg(lowest), array_agg(highest), array_agg(chained),
            array_agg(currency), array_agg(first_day), array_agg(last_day), array_agg(size),
            array_agg(debits), array_agg(credits), array_agg(late)
        FROM (
            SELECT institution_id, account_id, min(seq) AS first_seq, max(seq) AS last_seq,
                min(balance - delta) FILTER (WHERE previous_seq IS NULL) AS opening,
                (min(balance - delta) FILTER (WHERE previous_seq IS NULL) + sum(delta))::bigint AS closing,
                min(balance) AS lowest, max(balance) AS highest,
                bool_and(previous_seq IS NULL OR (seq = previous_seq + 1 AND balance = previous_balance + delta)) AS chained,
                CASE WHEN min(currency) = max(currency) THEN min(currency) ELSE '' END AS currency,
                min(booking_date) AS first_day, max(booking_date) AS last_day, count(*) AS size,
                sum(greatest(delta, 0))::bigint AS debits, sum(greatest(-delta, 0))::bigint AS credits,
                min(seq) FILTER (WHERE booking_date < previous_day) AS late
            FROM (
                SELECT *, lag(seq) OVER run AS previous_seq, lag(balance) OVER run AS previous_balance,
                    lag(booking_date) OVER run AS previous_day
                FROM (
                    SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, amount_minor_units AS delta,
                        debit_balance_minor_units AS balance, currency, booking_date FROM new_transfers
                    UNION ALL
                    SELECT institution_id, credit_account_id, credit_seq, -amount_minor_units,
                        credit_balance_minor_units, currency, booking_date FROM new_transfers
                ) AS leg
                WINDOW run AS (PARTITION BY institution_id, account_id ORDER BY seq)
            ) AS linked
            GROUP BY institution_id, account_id
        ) AS run $q$
    INTO runs, r_institution, r_account, r_first, r_last, r_opening, r_closing, r_lowest, r_highest, r_chained, r_currency,
        r_first_day, r_last_day, r_size, r_debits, r_credits, r_late;

    -- first_late_seq: below it the account's postings are in the order of their days (see balance_at).
    EXECUTE $q$
        WITH moved AS (
            UPDATE account_balance b SET last_seq = r.last_seq, balance_minor_units = r.closing,
                last_booking_date = greatest(b.last_booking_date, r.last_day),
                first_late_seq = coalesce(
                    b.first_late_seq, CASE WHEN r.first_day < b.last_booking_date THEN r.first_seq ELSE r.late END)
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) AS r(
                institution_id, account_id, first_seq, last_seq, opening, closing, lowest, highest, chained, currency,
                first_day, last_day, late)
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
            RETURNING b.account_id)
        SELECT count(*), array_agg(account_id) FROM moved $q$
    INTO moved, moved_accounts
    USING r_institution, r_account, r_first, r_last, r_opening, r_closing, r_lowest, r_highest, r_chained, r_currency,
        r_first_day, r_last_day, r_late;

    IF moved <> runs THEN
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
        INTO wrong
        FROM unnest(r_institution, r_account, r_first, r_last, r_opening, r_closing, r_lowest, r_highest, r_chained,
            r_currency, r_first_day, r_last_day, r_size) AS r(
            institution_id, account_id, first_seq, last_seq, opening, closing, lowest, highest, chained, currency,
            first_day, last_day, size)
        LEFT JOIN account a ON a.institution_id = r.institution_id AND a.account_id = r.account_id
        LEFT JOIN account_balance b ON b.institution_id = r.institution_id AND b.account_id = r.account_id
        WHERE a.account_id IS NULL OR r.account_id NOT IN (SELECT unnest(moved_accounts))
        ORDER BY r.institution_id, r.account_id LIMIT 1;
        PERFORM refuse_posting(coalesce(wrong.rule, 'unknown_account'), format(
            'the new postings of account %s of institution %s do not follow from its books', wrong.account_id, wrong.institution_id));
    END IF;

    -- An account's run is its day's sums when it lies within one day; only the others are summed by day again.
    EXECUTE $q$
        INSERT INTO account_day AS d (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units,
            first_seq, last_seq, balance_minor_units)
        SELECT institution_id, account_id, first_day, debits, credits, first_seq, last_seq, closing
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS r(
            institution_id, account_id, first_day, last_day, debits, credits, first_seq, last_seq, closing)
        WHERE first_day = last_day
        ON CONFLICT (institution_id, account_id, booking_date) DO UPDATE SET
            debits_minor_units = d.debits_minor_units + excluded.debits_minor_units,
            credits_minor_units = d.credits_minor_units + excluded.credits_minor_units,
            last_seq = excluded.last_seq, balance_minor_units = excluded.balance_minor_units $q$
    USING r_institution, r_account, r_first_day, r_last_day, r_debits, r_credits, r_first, r_last, r_closing;
    IF r_first_day <> r_last_day THEN
        EXECUTE $q$
            INSERT INTO account_day AS d (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units,
                first_seq, last_seq, balance_minor_units)
            SELECT institution_id, account_id, booking_date, sum(debit), sum(credit), min(seq), max(seq),
                (array_agg(balance ORDER BY seq DESC))[1]
            FROM (
                SELECT institution_id, debit_account_id AS account_id, booking_date, amount_minor_units AS debit, 0 AS credit,
                    debit_seq AS seq, debit_balance_minor_units AS balance
                FROM new_transfers
                UNION ALL
                SELECT institution_id, credit_account_id, booking_date, 0, amount_minor_units, credit_seq,
                    credit_balance_minor_units FROM new_transfers
            ) AS leg
            JOIN unnest($1, $2, $3, $4) AS r(institution_id, account_id, first_day, last_day)
                USING (institution_id, account_id)
            WHERE r.first_day <> r.last_day
            GROUP BY institution_id, account_id, booking_date
            ORDER BY institution_id, account_id, booking_date
            ON CONFLICT (institution_id, account_id, booking_date) DO UPDATE SET
                debits_minor_units = d.debits_minor_units + excluded.debits_minor_units,
                credits_minor_units = d.credits_minor_units + excluded.credits_minor_units,
                last_seq = excluded.last_seq, balance_minor_units = excluded.balance_minor_units $q$
        USING r_institution, r_account, r_first_day, r_last_day;
    END IF;
    RETURN NULL;
END $$
"""

#: As migration 0002 has it, and besides: an account with reserved money cannot close.
CLOSE_ACCOUNT = """
CREATE OR REPLACE FUNCTION ledger_guard_closing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    held record;
    last_day date;
BEGIN
    SELECT * INTO held FROM account_balance
        WHERE institution_id = NEW.institution_id AND account_id = NEW.account_id FOR UPDATE;
    IF held.balance_minor_units <> 0 THEN
        PERFORM refuse_posting('closing_with_balance', format(
            'account %s of institution %s holds %s minor units; move them before closing it',
            NEW.account_id, NEW.institution_id, held.balance_minor_units));
    ELSIF held.pending_debits_minor_units <> 0 OR held.pending_credits_minor_units <> 0 THEN
        PERFORM refuse_posting('closing_with_pending', format(
            'account %s of institution %s has pending transfers; post or void them before closing it',
            NEW.account_id, NEW.institution_id));
    END IF;
    SELECT max(booking_date) INTO last_day FROM account_day
        WHERE institution_id = NEW.institution_id AND account_id = NEW.account_id;
    IF last_day >= NEW.closed_on THEN
        PERFORM refuse_posting('closing_before_posting', format(
            'account %s of institution %s was posted to on %s; it cannot close on %s',
            NEW.account_id, NEW.institution_id, last_day, NEW.closed_on));
    END IF;
    RETURN NULL;
END $$
"""

#: Reserves: both accounts exist, are open and hold the currency, and what stays available is not below the floor.
GUARD_PENDING = """
CREATE FUNCTION ledger_guard_pending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM journal_head WHERE institution_id IN (SELECT institution_id FROM new_pending)
        ORDER BY institution_id FOR UPDATE;
    SELECT n.pending_id, CASE WHEN a.account_id IS NULL THEN 'unknown_account' WHEN a.currency <> n.currency THEN 'currency'
            ELSE 'closed_account' END AS rule
        INTO wrong
        FROM (SELECT *, debit_account_id AS side FROM new_pending UNION ALL SELECT *, credit_account_id FROM new_pending) AS n
        LEFT JOIN account a ON a.institution_id = n.institution_id AND a.account_id = n.side
        LEFT JOIN account_closing c ON c.institution_id = n.institution_id AND c.account_id = n.side
        WHERE a.account_id IS NULL OR a.currency <> n.currency OR n.booking_date < a.opened_on OR c.closed_on <= n.booking_date
        LIMIT 1;
    IF FOUND THEN
        PERFORM refuse_posting(wrong.rule, format('pending transfer %s does not fit its accounts', wrong.pending_id));
    END IF;
    UPDATE account_balance b SET pending_debits_minor_units = b.pending_debits_minor_units + s.debits,
            pending_credits_minor_units = b.pending_credits_minor_units + s.credits
        FROM (
            SELECT institution_id, account_id, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits FROM (
                SELECT institution_id, debit_account_id AS account_id, amount_minor_units AS debit, 0 AS credit FROM new_pending
                UNION ALL SELECT institution_id, credit_account_id, 0, amount_minor_units FROM new_pending
            ) AS leg GROUP BY 1, 2
        ) AS s WHERE b.institution_id = s.institution_id AND b.account_id = s.account_id;
    SELECT n.pending_id, a.account_id INTO wrong
        FROM (SELECT *, debit_account_id AS side FROM new_pending UNION ALL SELECT *, credit_account_id FROM new_pending) AS n
        JOIN account a ON a.institution_id = n.institution_id AND a.account_id = n.side
        JOIN account_balance b ON b.institution_id = n.institution_id AND b.account_id = n.side
        WHERE CASE a.normal_side WHEN 'DEBIT' THEN b.balance_minor_units - b.pending_credits_minor_units
            ELSE -b.balance_minor_units - b.pending_debits_minor_units END < a.floor_minor_units
        LIMIT 1;
    IF FOUND THEN
        PERFORM refuse_posting('below_floor', format(
            'pending transfer %s would reserve more than account %s has available', wrong.pending_id, wrong.account_id));
    END IF;
    RETURN NULL;
END $$
"""

#: Frees what was reserved. Whether it was posted as it says is asked at commit, when its transfer must be there.
GUARD_RESOLUTION = """
CREATE FUNCTION ledger_guard_resolution() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
BEGIN
    PERFORM FROM journal_head WHERE institution_id IN (SELECT institution_id FROM new_resolutions)
        ORDER BY institution_id FOR UPDATE;
    SELECT n.pending_id, CASE n.outcome WHEN 'expired' THEN 'pending_not_expired' ELSE 'pending_expired' END AS rule INTO wrong
        FROM new_resolutions n
        JOIN pending_transfer p ON p.institution_id = n.institution_id AND p.pending_id = n.pending_id
        WHERE CASE n.outcome WHEN 'expired' THEN p.expires_on IS NULL OR p.expires_on >= n.resolved_on
            WHEN 'posted' THEN p.expires_on < n.resolved_on ELSE false END
        LIMIT 1;
    IF FOUND THEN
        PERFORM refuse_posting(wrong.rule, format('pending transfer %s cannot be resolved so on that day', wrong.pending_id));
    END IF;
    UPDATE account_balance b SET pending_debits_minor_units = b.pending_debits_minor_units - s.debits,
            pending_credits_minor_units = b.pending_credits_minor_units - s.credits
        FROM (
            SELECT institution_id, account_id, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits FROM (
                SELECT p.institution_id, p.debit_account_id AS account_id, p.amount_minor_units AS debit, 0 AS credit
                FROM new_resolutions n JOIN pending_transfer p ON p.institution_id = n.institution_id AND p.pending_id = n.pending_id
                UNION ALL
                SELECT p.institution_id, p.credit_account_id, 0, p.amount_minor_units
                FROM new_resolutions n JOIN pending_transfer p ON p.institution_id = n.institution_id AND p.pending_id = n.pending_id
            ) AS leg GROUP BY 1, 2
        ) AS s WHERE b.institution_id = s.institution_id AND b.account_id = s.account_id;
    RETURN NULL;
END $$
"""

REQUIRE_POSTED = """
CREATE FUNCTION ledger_require_posted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM pending_transfer p JOIN transfer t ON t.institution_id = p.institution_id
            AND t.debit_account_id = p.debit_account_id AND t.credit_account_id = p.credit_account_id
            AND t.currency = p.currency AND t.amount_minor_units <= p.amount_minor_units
        WHERE p.institution_id = NEW.institution_id AND p.pending_id = NEW.pending_id
            AND t.transfer_id = NEW.transfer_id AND t.booking_date = NEW.resolved_on;
    IF NOT FOUND THEN
        PERFORM refuse_posting('resolution_mismatch', format(
            'transfer %s does not post pending transfer %s: other accounts, currency or day, or more than was reserved',
            NEW.transfer_id, NEW.pending_id));
    END IF;
    RETURN NULL;
END $$
"""

GUARD_CORRECTION = """
CREATE FUNCTION ledger_guard_correction() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM transfer n JOIN transfer o ON o.institution_id = n.institution_id
        WHERE n.institution_id = NEW.institution_id AND n.transfer_id = NEW.transfer_id AND o.transfer_id = NEW.corrects
            AND (o.batch_id, o.line) < (n.batch_id, n.line);
    IF NOT FOUND THEN
        PERFORM refuse_posting('correction_mismatch', format(
            'transfer %s does not come after transfer %s, which it should correct', NEW.transfer_id, NEW.corrects));
    END IF;
    RETURN NULL;
END $$
"""

GUARD_PERIOD = """
CREATE FUNCTION ledger_guard_period() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head record;
    before record;
BEGIN
    -- Posting holds this lock too: nothing is on its way into the month while it closes.
    SELECT * INTO head FROM journal_head WHERE institution_id = NEW.institution_id FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse_posting('unknown_account', format('institution %s has no accounts', NEW.institution_id));
    END IF;
    SELECT * INTO before FROM period_event WHERE institution_id = NEW.institution_id AND month = NEW.month
        ORDER BY event_no DESC LIMIT 1;
    NEW.event_no := coalesce(before.event_no, 0) + 1;
    NEW.last_batch_id := head.last_batch_id;
    IF NEW.event = 'closed' AND before.event = 'closed' THEN
        PERFORM refuse_posting('period_closed', format('%s is closed already', to_char(NEW.month, 'YYYY-MM')));
    ELSIF NEW.event = 'reopen_prepared' AND before.event IS DISTINCT FROM 'closed' THEN
        PERFORM refuse_posting('period_not_closed', format('%s is not closed, or its reopening is prepared already',
            to_char(NEW.month, 'YYYY-MM')));
    ELSIF NEW.event = 'reopened' AND (before.event IS DISTINCT FROM 'reopen_prepared' OR before.actor <> NEW.prepared_by) THEN
        PERFORM refuse_posting('reopening_not_prepared', format('nobody has prepared the reopening of %s',
            to_char(NEW.month, 'YYYY-MM')));
    END IF;
    RETURN NEW;
END $$
"""

KEEP_PERIOD = """
CREATE FUNCTION ledger_keep_period() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO period_balance (institution_id, month, event_no, account_id, balance_minor_units)
        SELECT NEW.institution_id, NEW.month, NEW.event_no, b.account_id, b.units
        FROM balances_as_of((NEW.month + interval '1 month - 1 day')::date, NEW.institution_id) AS b ORDER BY b.account_id;
    RETURN NULL;
END $$
"""

GUARD_SNAPSHOT = """
CREATE FUNCTION ledger_guard_snapshot() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head record;
BEGIN
    SELECT * INTO head FROM journal_head WHERE institution_id = NEW.institution_id FOR UPDATE;
    IF NOT FOUND OR head.written_batch_id <> head.last_batch_id THEN
        PERFORM refuse_posting('snapshot', format('institution %s has no finished batch to keep balances of', NEW.institution_id));
    END IF;
    NEW.batch_id := head.last_batch_id;
    RETURN NEW;
END $$
"""

KEEP_SNAPSHOT = """
CREATE FUNCTION ledger_keep_snapshot() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO balance_snapshot (institution_id, batch_id, account_id, last_seq, balance_minor_units)
        SELECT institution_id, NEW.batch_id, account_id, last_seq, balance_minor_units FROM account_balance
        WHERE institution_id = NEW.institution_id AND last_seq > 0 ORDER BY account_id;
    RETURN NULL;
END $$
"""

#: Recording time is the database's and never runs backwards within an institution's chain, even when its clock does:
#: what was known at an instant stays the same for ever. Fires after stamp_digest (by name), and repeats it then.
RECORD_IN_ORDER = f"""
CREATE FUNCTION ledger_record_in_order() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
{_CANONICAL_RENDERING} AS $$
DECLARE
    before timestamptz;
BEGIN
    SELECT recorded_at INTO before FROM posting_batch WHERE institution_id = NEW.institution_id AND batch_id = NEW.batch_id - 1;
    IF before >= NEW.recorded_at THEN
        NEW.recorded_at := before + interval '1 microsecond';
        NEW.row_digest := NULL;
        NEW.row_digest := sha256(convert_to('v1' || rtrim(NEW::text, ',)'), 'UTF8'));
    END IF;
    RETURN NEW;
END $$
"""

#: Balances of all accounts through a business day. An account whose postings came in the order of their days needs one row.
BALANCES_AS_OF = """
CREATE FUNCTION balances_as_of(through_day date, of_institution integer DEFAULT NULL)
RETURNS TABLE (institution_id integer, account_id bigint, units bigint) LANGUAGE sql STABLE AS $$
    SELECT b.institution_id, b.account_id, d.balance_minor_units FROM account_balance b
    CROSS JOIN LATERAL (
        SELECT balance_minor_units FROM account_day d
        WHERE d.institution_id = b.institution_id AND d.account_id = b.account_id AND d.booking_date <= through_day
        ORDER BY d.booking_date DESC LIMIT 1) AS d
    WHERE b.first_late_seq IS NULL AND b.last_seq > 0 AND (of_institution IS NULL OR b.institution_id = of_institution)
    UNION ALL
    SELECT b.institution_id, b.account_id, d.units FROM account_balance b
    CROSS JOIN LATERAL (
        SELECT sum(debits_minor_units - credits_minor_units)::bigint AS units FROM account_day d
        WHERE d.institution_id = b.institution_id AND d.account_id = b.account_id AND d.booking_date <= through_day
        HAVING count(*) > 0) AS d
    WHERE b.first_late_seq IS NOT NULL AND (of_institution IS NULL OR b.institution_id = of_institution)
$$
"""

KNOWN_BATCH = """
CREATE FUNCTION known_batch(of_institution integer, at_instant timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT batch_id FROM posting_batch WHERE institution_id = of_institution AND recorded_at <= at_instant
        ORDER BY recorded_at DESC, batch_id DESC LIMIT 1), 0)
$$
"""

#: One account's balance (debits minus credits) through a business day, as known through a batch; null means all.
#: Batches come in the order of an account's posting numbers, so the newest posting known is found by halving. Below
#: first_late_seq days come in that order too, and the running balance before the next day's first posting is the answer;
#: from there on whole days are summed, and only days that go on after the newest known posting are looked into.
BALANCE_AT = """
CREATE FUNCTION balance_at(of_institution integer, of_account bigint, through_day date, through_batch bigint)
RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    now_is record;
    known bigint;
    high bigint;
    middle bigint;
    found bigint;
    units bigint;
BEGIN
    SELECT last_seq, balance_minor_units, first_late_seq INTO now_is FROM account_balance
        WHERE institution_id = of_institution AND account_id = of_account;
    known := coalesce(now_is.last_seq, 0);
    IF through_batch IS NOT NULL THEN
        high := known;
        known := 0;
        WHILE known < high LOOP
            middle := (known + high + 1) / 2;
            SELECT batch_id INTO found FROM (
                SELECT batch_id FROM transfer WHERE institution_id = of_institution AND debit_account_id = of_account
                    AND debit_seq = middle
                UNION ALL
                SELECT batch_id FROM transfer WHERE institution_id = of_institution AND credit_account_id = of_account
                    AND credit_seq = middle
            ) AS posting;
            IF found <= through_batch THEN
                known := middle;
            ELSE
                high := middle - 1;
            END IF;
        END LOOP;
    END IF;
    IF known = 0 THEN
        RETURN 0;
    END IF;
    IF through_day IS NOT NULL AND (now_is.first_late_seq IS NULL OR known < now_is.first_late_seq) THEN
        SELECT first_seq - 1 INTO found FROM account_day
            WHERE institution_id = of_institution AND account_id = of_account AND booking_date > through_day
                AND first_seq <= known
            ORDER BY booking_date LIMIT 1;
        known := coalesce(found, known);
    ELSIF through_day IS NOT NULL THEN
        SELECT coalesce(sum(CASE WHEN d.last_seq <= known THEN d.debits_minor_units - d.credits_minor_units ELSE (
                SELECT coalesce(sum(delta), 0) FROM (
                    SELECT amount_minor_units AS delta FROM transfer WHERE institution_id = of_institution
                        AND debit_account_id = of_account AND debit_seq BETWEEN d.first_seq AND known
                        AND booking_date = d.booking_date
                    UNION ALL
                    SELECT -amount_minor_units FROM transfer WHERE institution_id = of_institution
                        AND credit_account_id = of_account AND credit_seq BETWEEN d.first_seq AND known
                        AND booking_date = d.booking_date) AS posting) END), 0) INTO units
            FROM account_day d
            WHERE institution_id = of_institution AND account_id = of_account AND booking_date <= through_day
                AND first_seq <= known;
        RETURN units;
    END IF;
    IF known = now_is.last_seq THEN
        RETURN now_is.balance_minor_units;
    END IF;
    SELECT balance INTO units FROM (
        SELECT debit_balance_minor_units AS balance FROM transfer WHERE institution_id = of_institution
            AND debit_account_id = of_account AND debit_seq = known
        UNION ALL
        SELECT credit_balance_minor_units FROM transfer WHERE institution_id = of_institution
            AND credit_account_id = of_account AND credit_seq = known) AS posting;
    RETURN coalesce(units, 0);
END $$
"""

NEW_FUNCTIONS = (
    GUARD_PENDING, GUARD_RESOLUTION, REQUIRE_POSTED, GUARD_CORRECTION, BALANCES_AS_OF, KNOWN_BATCH, BALANCE_AT, GUARD_PERIOD,
    KEEP_PERIOD, GUARD_SNAPSHOT, KEEP_SNAPSHOT, RECORD_IN_ORDER,
)  # fmt: skip

#: Table, trigger, when, function. Triggers of one kind fire in the order of their names: guards before ``stamp_digest``.
TRIGGERS = (
    (
        "pending_transfer",
        "pending_transfer_guard",
        "AFTER INSERT ON pending_transfer REFERENCING NEW TABLE AS new_pending FOR EACH STATEMENT",
        "ledger_guard_pending",
    ),
    (
        "pending_resolution",
        "pending_resolution_guard",
        "AFTER INSERT ON pending_resolution REFERENCING NEW TABLE AS new_resolutions FOR EACH STATEMENT",
        "ledger_guard_resolution",
    ),
    ("correction", "correction_guard", "AFTER INSERT ON correction FOR EACH ROW", "ledger_guard_correction"),
    ("period_event", "period_event_guard", "BEFORE INSERT ON period_event FOR EACH ROW", "ledger_guard_period"),
    (
        "period_event",
        "period_event_keep",
        "AFTER INSERT ON period_event FOR EACH ROW WHEN (NEW.event = 'closed')",
        "ledger_keep_period",
    ),
    (
        "period_balance",
        "period_balance_guard",
        "BEFORE INSERT ON period_balance FOR EACH STATEMENT",
        "ledger_guard_projection",  # only what a closing keeps is a period's balance
    ),
    (
        "balance_snapshot_taken",
        "balance_snapshot_taken_guard",
        "BEFORE INSERT ON balance_snapshot_taken FOR EACH ROW",
        "ledger_guard_snapshot",
    ),
    (
        "balance_snapshot_taken",
        "balance_snapshot_taken_keep",
        "AFTER INSERT ON balance_snapshot_taken FOR EACH ROW",
        "ledger_keep_snapshot",
    ),
    (
        "balance_snapshot",
        "balance_snapshot_guard",
        "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON balance_snapshot FOR EACH STATEMENT",
        "ledger_guard_projection",
    ),
    (
        "posting_batch",
        "posting_batch_stamp_digest_in_order",
        "BEFORE INSERT ON posting_batch FOR EACH ROW",
        "ledger_record_in_order",
    ),
)

#: What the new columns hold for postings written before there were any.
FILL = (
    """
    CREATE TEMPORARY TABLE filled_leg ON COMMIT DROP AS
    SELECT institution_id, account_id, seq, booking_date, balance,
        max(booking_date) OVER (PARTITION BY institution_id, account_id ORDER BY seq) AS newest_day
    FROM (
        SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, booking_date,
            debit_balance_minor_units AS balance FROM transfer
        UNION ALL
        SELECT institution_id, credit_account_id, credit_seq, booking_date, credit_balance_minor_units FROM transfer
    ) AS leg
    """,
    """
    UPDATE account_day d SET first_seq = l.first_seq, last_seq = l.last_seq, balance_minor_units = l.balance
    FROM (
        SELECT institution_id, account_id, booking_date, min(seq) AS first_seq, max(seq) AS last_seq,
            (array_agg(balance ORDER BY seq DESC))[1] AS balance
        FROM filled_leg GROUP BY 1, 2, 3
    ) AS l
    WHERE d.institution_id = l.institution_id AND d.account_id = l.account_id AND d.booking_date = l.booking_date
    """,
    """
    UPDATE account_balance b SET last_booking_date = l.newest_day, first_late_seq = l.first_late_seq
    FROM (
        SELECT institution_id, account_id, max(newest_day) AS newest_day,
            min(seq) FILTER (WHERE booking_date < newest_day) AS first_late_seq
        FROM filled_leg GROUP BY 1, 2
    ) AS l
    WHERE b.institution_id = l.institution_id AND b.account_id = l.account_id
    """,
)


def upgrade() -> None:
    """Add the columns and fill them, then the tables, the functions and the triggers that call them."""
    _add_columns()
    _create_tables()
    op.execute(CLOSED_PERIOD)
    for function in (GUARD_TRANSFER, CLOSE_ACCOUNT, *NEW_FUNCTIONS):
        op.execute(sa.text(function.replace(":", "\\:")))
    for table in HISTORY:
        for statement in append_only_ddl(table):
            op.execute(statement)
    for table, name, when, function in TRIGGERS:
        op.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
    op.execute(
        """CREATE CONSTRAINT TRIGGER pending_resolution_posted AFTER INSERT ON pending_resolution
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.outcome = 'posted')
            EXECUTE FUNCTION ledger_require_posted()"""
    )
    op.execute("ALTER TABLE pending_resolution ENABLE ALWAYS TRIGGER pending_resolution_posted")


def downgrade() -> None:
    """Undo everything; only for an empty development database."""
    ledger = importlib.import_module("migrations.versions.0002_ledger")
    op.execute("DROP TRIGGER posting_batch_stamp_digest_in_order ON posting_batch")
    op.execute("DROP VIEW closed_period")
    for table in ("balance_snapshot", *reversed(HISTORY)):
        op.drop_table(table)
    for function in (ledger.GUARD_TRANSFER, ledger.CLOSE_ACCOUNT):
        op.execute(sa.text(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(":", "\\:")))
    for function in reversed(NEW_FUNCTIONS):
        op.execute(f"DROP FUNCTION {function.split('CREATE FUNCTION ')[1].split('(')[0]}")
    op.drop_index(op.f("ix_posting_batch_institution_id_recorded_at_batch_id"), "posting_batch")
    for column in ("balance_minor_units", "last_seq", "first_seq"):
        op.drop_column("account_day", column)
    for column in ("first_late_seq", "last_booking_date", "pending_credits_minor_units", "pending_debits_minor_units"):
        op.drop_column("account_balance", column)


def _add_columns() -> None:
    for side in ("debits", "credits"):
        op.add_column(
            "account_balance",
            sa.Column(
                f"pending_{side}_minor_units",
                sa.BigInteger(),
                server_default="0",
                nullable=False,
                comment=f"{side} reserved by pending transfers, minor units",
            ),
        )
    op.add_column(
        "account_balance",
        sa.Column("last_booking_date", sa.Date(), comment="latest business day it was posted to; null before the first posting"),
    )
    op.add_column(
        "account_balance",
        sa.Column(
            "first_late_seq",
            sa.BigInteger(),
            comment="its postings with a smaller number are in the order of their days; null when all are",
        ),
    )
    op.create_check_constraint(
        op.f("ck_account_balance_pending_not_negative"),
        "account_balance",
        "pending_debits_minor_units >= 0 AND pending_credits_minor_units >= 0",
    )
    for name, comment in (
        ("first_seq", "number of the first posting recorded for that day"),
        ("last_seq", "number of the newest posting recorded for that day"),
        ("balance_minor_units", "debits minus credits of the account right after that posting"),
    ):
        op.add_column("account_day", sa.Column(name, sa.BigInteger(), comment=comment))
    # Projections move only with their transfers; this once they are derived from them by the migration instead.
    for table in ("account_day", "account_balance"):
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_guard")
    for statement in FILL:
        op.execute(statement)
    for table in ("account_day", "account_balance"):
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_guard")
    for name in ("first_seq", "last_seq", "balance_minor_units"):
        op.alter_column("account_day", name, nullable=False)
    op.create_index(
        op.f("ix_posting_batch_institution_id_recorded_at_batch_id"),
        "posting_batch",
        ["institution_id", "recorded_at", "batch_id"],
        unique=False,
    )


def _create_tables() -> None:
    op.create_table(
        "pending_transfer",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("pending_id", sa.Uuid(), nullable=False, comment="deterministic id of the source event: the idempotency key"),
        sa.Column("debit_account_id", sa.BigInteger(), nullable=False, comment="account that will be debited"),
        sa.Column("credit_account_id", sa.BigInteger(), nullable=False, comment="account that will be credited"),
        sa.Column(
            "amount_minor_units", sa.BigInteger(), nullable=False, comment="the most that can be posted, minor units, above 0"
        ),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code, that of both accounts"),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="business day it was reserved on"),
        sa.Column(
            "expires_on",
            sa.Date(),
            nullable=True,
            comment="last business day on which it can be posted; null when it waits for ever",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="name of the event"),
        sa.Column("source_kind", sa.Text(), nullable=False, comment="kind of the source event"),
        sa.Column("source_ref", sa.Text(), nullable=False, comment="key of the source event"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who or which job reserved it"),
        sa.Column("rule_version", sa.Text(), nullable=False, comment="version of the rules the decision was made by"),
        sa.Column(
            "pending_at", sa.DateTime(timezone=True), nullable=False, comment="instant of reserving as the caller gave it, UTC"
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_pending_transfer_amount_above_zero")),
        sa.CheckConstraint("debit_account_id <> credit_account_id", name=op.f("ck_pending_transfer_two_accounts")),
        sa.CheckConstraint("expires_on >= booking_date", name=op.f("ck_pending_transfer_expires_after_booking")),
        sa.ForeignKeyConstraint(
            ["institution_id", "credit_account_id"],
            ["account.institution_id", "account.account_id"],
            name=op.f("fk_pending_transfer_institution_id_credit_account_id_account"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "debit_account_id"],
            ["account.institution_id", "account.account_id"],
            name=op.f("fk_pending_transfer_institution_id_debit_account_id_account"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "pending_id", name=op.f("pk_pending_transfer")),
        comment="money reserved for a transfer that is posted, voided or expires later; floors count it at once",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_pending_transfer_institution_id_expires_on"), "pending_transfer", ["institution_id", "expires_on"], unique=False
    )
    op.create_table(
        "pending_resolution",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("pending_id", sa.Uuid(), nullable=False, comment="the pending transfer, resolved at most once"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="posted, voided or expired"),
        sa.Column(
            "transfer_id",
            sa.Uuid(),
            nullable=True,
            comment="the transfer that posted it, maybe for less; null when voided or expired",
        ),
        sa.Column(
            "resolved_on", sa.Date(), nullable=False, comment="business day of the resolution; booking date of that transfer"
        ),
        sa.Column("actor", sa.Text(), nullable=False, comment="who or which job resolved it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "(outcome = 'posted') = (transfer_id IS NOT NULL)", name=op.f("ck_pending_resolution_transfer_when_posted")
        ),
        sa.CheckConstraint("outcome IN ('posted', 'voided', 'expired')", name=op.f("ck_pending_resolution_outcome")),
        sa.ForeignKeyConstraint(
            ["institution_id", "pending_id"],
            ["pending_transfer.institution_id", "pending_transfer.pending_id"],
            name=op.f("fk_pending_resolution_institution_id_pending_id_pending_transfer"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "transfer_id"],
            ["transfer.institution_id", "transfer.transfer_id"],
            name=op.f("fk_pending_resolution_institution_id_transfer_id_transfer"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("institution_id", "pending_id", name=op.f("pk_pending_resolution")),
        sa.UniqueConstraint("institution_id", "transfer_id", name=op.f("uq_pending_resolution_institution_id_transfer_id")),
        comment="how a pending transfer ended; what was not posted of it is free again",
        info={"append_only": True},
    )
    op.create_table(
        "correction",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("transfer_id", sa.Uuid(), nullable=False, comment="the transfer that says it right"),
        sa.Column("corrects", sa.Uuid(), nullable=False, comment="the transfer that was wrong, or is missing something"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint("transfer_id <> corrects", name=op.f("ck_correction_two_transfers")),
        sa.ForeignKeyConstraint(
            ["institution_id", "corrects"],
            ["transfer.institution_id", "transfer.transfer_id"],
            name=op.f("fk_correction_institution_id_corrects_transfer"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "transfer_id"],
            ["transfer.institution_id", "transfer.transfer_id"],
            name=op.f("fk_correction_institution_id_transfer_id_transfer"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "transfer_id", name=op.f("pk_correction")),
        comment="that a transfer belongs, as corrected, to the day of another; a reversal says so by itself",
        info={"append_only": True},
    )
    op.create_index(op.f("ix_correction_institution_id_corrects"), "correction", ["institution_id", "corrects"], unique=False)
    op.create_table(
        "period_event",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="1, 2, 3 ... without a gap in each month of an institution"),
        sa.Column("event", sa.Text(), nullable=False, comment="closed, reopen_prepared, or reopened by another person"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who"),
        sa.Column("prepared_by", sa.Text(), nullable=True, comment="who prepared the reopening that this event approves"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="instant as the caller gave it, UTC"),
        sa.Column(
            "last_batch_id", sa.BigInteger(), nullable=False, comment="newest batch of the institution then, filled in by trigger"
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.CheckConstraint(
            "(event = 'reopened') = (prepared_by IS NOT NULL)", name=op.f("ck_period_event_prepared_by_when_reopened")
        ),
        sa.CheckConstraint("event IN ('closed', 'reopen_prepared', 'reopened')", name=op.f("ck_period_event_event")),
        sa.CheckConstraint("EXTRACT(day FROM month) = 1", name=op.f("ck_period_event_first_day_of_month")),
        sa.CheckConstraint("event_no > 0", name=op.f("ck_period_event_event_no")),
        sa.CheckConstraint("prepared_by <> actor", name=op.f("ck_period_event_reopener_is_not_preparer")),
        sa.PrimaryKeyConstraint("institution_id", "month", "event_no", name=op.f("pk_period_event")),
        comment="closing and reopening of months; nothing is booked into a closed one",
        info={"append_only": True},
    )
    op.create_table(
        "period_balance",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="the closing"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account"),
        sa.Column(
            "balance_minor_units", sa.BigInteger(), nullable=False, comment="debits minus credits at the month's end, as closed"
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "month", "event_no"],
            ["period_event.institution_id", "period_event.month", "period_event.event_no"],
            name=op.f("fk_period_balance_institution_id_month_event_no_period_event"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "month", "event_no", "account_id", name=op.f("pk_period_balance")),
        comment="the trial balance a month was closed with: what was first reported, whatever is corrected later",
        info={"append_only": True},
    )
    op.create_table(
        "balance_snapshot_taken",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column(
            "batch_id", sa.BigInteger(), nullable=False, comment="the newest batch when it was taken, filled in by trigger"
        ),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="when this row was written, stamped by trigger",
        ),
        sa.Column(
            "row_digest",
            sa.LargeBinary(),
            server_default="",
            nullable=False,
            comment="SHA-256 of all other columns, stamped by trigger",
        ),
        sa.PrimaryKeyConstraint("institution_id", "batch_id", name=op.f("pk_balance_snapshot_taken")),
        comment="that all balances after a batch were kept, as a start for balances known at an earlier instant",
        info={"append_only": True},
    )
    op.create_table(
        "balance_snapshot",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("batch_id", sa.BigInteger(), nullable=False, comment="the newest batch it counts"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account"),
        sa.Column("last_seq", sa.BigInteger(), nullable=False, comment="number of its newest posting then"),
        sa.Column(
            "balance_minor_units", sa.BigInteger(), nullable=False, comment="debits minus credits after that batch, minor units"
        ),
        sa.PrimaryKeyConstraint("institution_id", "batch_id", "account_id", name=op.f("pk_balance_snapshot")),
        comment="balances of all accounts after some batches",
        info={"projection": "sums of transfer through a batch, written only by the trigger of balance_snapshot_taken"},
    )
