"""Tables of the books, and the triggers that let nothing into them that does not follow from what is there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

from storage.append_only import append_only_ddl

revision = "0002_ledger"
down_revision = "0001_foundation"
branch_labels = None
depends_on = None

HISTORY = ("account", "account_closing", "posting_batch", "transfer", "open_item", "open_item_clearing")
PROJECTIONS = ("account_balance", "account_day", "journal_head")

#: Leaf v1 of a transfer: SHA-256 of a zero byte (RFC 6962: a leaf, not a node) and the columns in table order as text.
#: Whole numbers in decimal, dates as days since 2000-01-01, null as '-', free text after its length in bytes: no two rows
#: share a text, and no session setting (time zone, date style) changes it. The cast of text to bytea reads backslashes
#: as escapes, so they are doubled first; convert_to() would do, but is not immutable, so PostgreSQL would not inline it.
TRANSFER_LEAF = r"""
CREATE FUNCTION transfer_leaf_v1(
    institution_id integer, transfer_id uuid, batch_id bigint, line integer, debit_account_id bigint,
    credit_account_id bigint, amount_minor_units bigint, currency text, booking_date date, reason text, source_kind text,
    source_ref text, reverses uuid, debit_seq bigint, debit_balance_minor_units bigint, credit_seq bigint,
    credit_balance_minor_units bigint
) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(decode('00', 'hex') || replace(
        'v1|' || institution_id::text || '|' || transfer_id::text || '|' || batch_id::text || '|' || line::text
        || '|' || debit_account_id::text || '|' || credit_account_id::text || '|' || amount_minor_units::text
        || '|' || currency || '|' || (booking_date - date '2000-01-01')::text
        || '|' || octet_length(reason)::text || ':' || reason
        || '|' || octet_length(source_kind)::text || ':' || source_kind
        || '|' || octet_length(source_ref)::text || ':' || source_ref
        || '|' || coalesce(reverses::text, '-') || '|' || debit_seq::text || '|' || debit_balance_minor_units::text
        || '|' || credit_seq::text || '|' || credit_balance_minor_units::text,
        '\', '\\')::bytea)
$$
"""

#: Merkle tree hash of RFC 6962 section 2.1, from the bottom up: pairs are hashed with a leading 0x01, an odd last node
#: goes up as it is (never doubled). Null for no leaves. A custom plan would freeze the array into the query as one flat
#: constant, where finding an element walks all before it: 17 s instead of 0.1 s for 100,000 leaves.
MERKLE_ROOT = """
CREATE FUNCTION merkle_root(leaves bytea[]) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    nodes bytea[] := leaves;
    size integer := cardinality(leaves);
BEGIN
    WHILE size > 1 LOOP
        nodes := ARRAY(
            SELECT CASE WHEN k < size THEN sha256(decode('01', 'hex') || nodes[k] || nodes[k + 1]) ELSE nodes[k] END
            FROM generate_series(1, size, 2) AS k ORDER BY k
        );
        size := cardinality(nodes);
    END LOOP;
    RETURN nodes[1];
END $$
"""

#: One way to refuse: a check violation whose constraint name says which rule was broken.
REFUSE = """
CREATE FUNCTION refuse_posting(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', rule, message USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_' || rule;
END $$
"""

OPEN_ACCOUNT = """
CREATE FUNCTION ledger_start_account() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO journal_head (institution_id, last_batch_id, last_digest, written_batch_id)
        SELECT DISTINCT institution_id, 0, decode(repeat('00', 32), 'hex'), 0 FROM new_accounts
        ON CONFLICT DO NOTHING;
    INSERT INTO account_balance (institution_id, account_id, last_seq, balance_minor_units)
        SELECT institution_id, account_id, 0, 0 FROM new_accounts ORDER BY institution_id, account_id;
    RETURN NULL;
END $$
"""

CLOSE_ACCOUNT = """
CREATE FUNCTION ledger_guard_closing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    left_over bigint;
    last_day date;
BEGIN
    SELECT balance_minor_units INTO left_over FROM account_balance
        WHERE institution_id = NEW.institution_id AND account_id = NEW.account_id FOR UPDATE;
    IF left_over <> 0 THEN
        PERFORM refuse_posting('closing_with_balance', format(
            'account %s of institution %s holds %s minor units; move them before closing it',
            NEW.account_id, NEW.institution_id, left_over));
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

#: What proves a set of new transfers, all at once. The statements over the transition table are built with EXECUTE because
#: a cached plan made for one row would be kept for a hundred thousand; the runs travel in arrays because the planner
#: sees an array's length, but knows nothing of a transition table's columns.
GUARD_TRANSFER = r"""
CREATE FUNCTION ledger_guard_transfer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
    batch record;
    head record;
    runs integer;
    moved integer;
    r_institution integer[]; r_account bigint[]; r_first bigint[]; r_last bigint[]; r_opening bigint[]; r_closing bigint[];
    r_lowest bigint[]; r_highest bigint[]; r_chained boolean[]; r_currency text[]; r_first_day date[]; r_last_day date[]; r_size bigint[];
    r_debits bigint[]; r_credits bigint[];
    moved_accounts bigint[];
BEGIN
    FOR batch IN EXECUTE
        'SELECT institution_id, min(batch_id) AS first_id, max(batch_id) AS last_id FROM new_transfers GROUP BY 1 ORDER BY 1'
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
            array_agg(debits), array_agg(credits)
        FROM (
            SELECT institution_id, account_id, min(seq) AS first_seq, max(seq) AS last_seq,
                min(balance - delta) FILTER (WHERE previous_seq IS NULL) AS opening,
                (min(balance - delta) FILTER (WHERE previous_seq IS NULL) + sum(delta))::bigint AS closing,
                min(balance) AS lowest, max(balance) AS highest,
                bool_and(previous_seq IS NULL OR (seq = previous_seq + 1 AND balance = previous_balance + delta)) AS chained,
                CASE WHEN min(currency) = max(currency) THEN min(currency) ELSE '' END AS currency,
                min(booking_date) AS first_day, max(booking_date) AS last_day, count(*) AS size,
                sum(greatest(delta, 0))::bigint AS debits, sum(greatest(-delta, 0))::bigint AS credits
            FROM (
                SELECT *, lag(seq) OVER run AS previous_seq, lag(balance) OVER run AS previous_balance
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
        r_first_day, r_last_day, r_size, r_debits, r_credits;

    EXECUTE $q$
        WITH moved AS (
            UPDATE account_balance b SET last_seq = r.last_seq, balance_minor_units = r.closing
            FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS r(
                institution_id, account_id, first_seq, last_seq, opening, closing, lowest, highest, chained, currency,
                first_day, last_day)
            JOIN account a ON a.institution_id = r.institution_id AND a.account_id = r.account_id
            WHERE b.institution_id = r.institution_id AND b.account_id = r.account_id
                AND r.chained AND b.last_seq = r.first_seq - 1 AND b.balance_minor_units = r.opening
                AND a.currency = r.currency AND a.opened_on <= r.first_day
                AND (a.floor_minor_units IS NULL
                    OR CASE a.normal_side WHEN 'DEBIT' THEN r.lowest ELSE -r.highest END >= a.floor_minor_units)
                AND NOT EXISTS (
                    SELECT FROM account_closing c
                    WHERE c.institution_id = r.institution_id AND c.account_id = r.account_id AND c.closed_on <= r.last_day)
            RETURNING b.account_id)
        SELECT count(*), array_agg(account_id) FROM moved $q$
    INTO moved, moved_accounts
    USING r_institution, r_account, r_first, r_last, r_opening, r_closing, r_lowest, r_highest, r_chained, r_currency,
        r_first_day, r_last_day;

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
        INSERT INTO account_day AS d (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units)
        SELECT institution_id, account_id, first_day, debits, credits
        FROM unnest($1, $2, $3, $4, $5, $6) AS r(institution_id, account_id, first_day, last_day, debits, credits)
        WHERE first_day = last_day
        ON CONFLICT (institution_id, account_id, booking_date) DO UPDATE SET
            debits_minor_units = d.debits_minor_units + excluded.debits_minor_units,
            credits_minor_units = d.credits_minor_units + excluded.credits_minor_units $q$
    USING r_institution, r_account, r_first_day, r_last_day, r_debits, r_credits;
    IF r_first_day <> r_last_day THEN
        EXECUTE $q$
            INSERT INTO account_day AS d (institution_id, account_id, booking_date, debits_minor_units, credits_minor_units)
            SELECT institution_id, account_id, booking_date, sum(debit), sum(credit)
            FROM (
                SELECT institution_id, debit_account_id AS account_id, booking_date, amount_minor_units AS debit, 0 AS credit
                FROM new_transfers
                UNION ALL
                SELECT institution_id, credit_account_id, booking_date, 0, amount_minor_units FROM new_transfers
            ) AS leg
            JOIN unnest($1, $2, $3, $4) AS r(institution_id, account_id, first_day, last_day)
                USING (institution_id, account_id)
            WHERE r.first_day <> r.last_day
            GROUP BY institution_id, account_id, booking_date
            ORDER BY institution_id, account_id, booking_date
            ON CONFLICT (institution_id, account_id, booking_date) DO UPDATE SET
                debits_minor_units = d.debits_minor_units + excluded.debits_minor_units,
                credits_minor_units = d.credits_minor_units + excluded.credits_minor_units $q$
        USING r_institution, r_account, r_first_day, r_last_day;
    END IF;
    RETURN NULL;
END $$
"""

#: A header is written after its transfers and seals them: it is checked against them, and no transfer can follow it.
SEAL_BATCH = r"""
CREATE FUNCTION ledger_seal_batch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head record;
    written record;
    root bytea;
BEGIN
    SELECT * INTO head FROM journal_head WHERE institution_id = NEW.institution_id FOR UPDATE;
    IF NOT FOUND OR NEW.batch_id <> head.last_batch_id + 1 THEN
        PERFORM refuse_posting('batch_out_of_order', format(
            'the next batch of institution %s is %s, not %s', NEW.institution_id, head.last_batch_id + 1, NEW.batch_id));
    END IF;
    SELECT count(*) AS size, coalesce(sum(amount_minor_units), 0) AS total, max(line) AS last_line,
            array_agg(leaf ORDER BY line) AS leaves
        INTO written FROM transfer WHERE institution_id = NEW.institution_id AND batch_id = NEW.batch_id;
    IF written.size <> NEW.transfer_count OR written.size = 0 THEN
        PERFORM refuse_posting('batch_count', format('batch %s of institution %s has %s transfers, its header says %s',
            NEW.batch_id, NEW.institution_id, written.size, NEW.transfer_count));
    ELSIF written.last_line <> written.size THEN
        PERFORM refuse_posting('batch_lines', format('the lines of batch %s of institution %s are not 1 to %s',
            NEW.batch_id, NEW.institution_id, written.size));
    ELSIF written.total <> NEW.total_minor_units THEN
        PERFORM refuse_posting('batch_total', format('batch %s of institution %s sums to %s, its header says %s',
            NEW.batch_id, NEW.institution_id, written.total, NEW.total_minor_units));
    END IF;
    root := merkle_root(written.leaves);
    IF NEW.root IS NULL THEN
        NEW.root := root;
    ELSIF NEW.root <> root THEN
        PERFORM refuse_posting('batch_root', format('the root of batch %s of institution %s is not that of its transfers',
            NEW.batch_id, NEW.institution_id));
    END IF;
    IF NEW.previous_digest IS NULL THEN
        NEW.previous_digest := head.last_digest;
    ELSIF NEW.previous_digest <> head.last_digest THEN
        PERFORM refuse_posting('batch_chain', format('batch %s of institution %s does not follow the batch before it',
            NEW.batch_id, NEW.institution_id));
    END IF;
    RETURN NEW;
END $$
"""

MOVE_HEAD = """
CREATE FUNCTION ledger_move_head() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE journal_head SET last_batch_id = NEW.batch_id, last_digest = NEW.row_digest WHERE institution_id = NEW.institution_id;
    RETURN NULL;
END $$
"""

#: Asked at commit, once for every institution posted to.
REQUIRE_HEADER = """
CREATE FUNCTION ledger_require_header() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    head record;
BEGIN
    SELECT * INTO head FROM journal_head WHERE institution_id = NEW.institution_id;
    IF head.written_batch_id <> head.last_batch_id THEN
        PERFORM refuse_posting('batch_without_header', format('batch %s of institution %s has transfers but no header',
            head.written_batch_id, NEW.institution_id));
    END IF;
    RETURN NULL;
END $$
"""

#: A projection of the books moves only from inside the triggers that check what moves it.
GUARD_PROJECTION = """
CREATE FUNCTION ledger_guard_projection() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') OR pg_trigger_depth() < 2 THEN
        PERFORM refuse_posting('projection', format('%s of %s: it follows from the transfers and moves only with them',
            TG_OP, TG_TABLE_NAME));
    END IF;
    RETURN NULL;
END $$
"""

GUARD_OPEN_ITEM = """
CREATE FUNCTION ledger_guard_open_item() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong uuid;
BEGIN
    EXECUTE $q$
        SELECT i.item_id FROM new_items i
        LEFT JOIN transfer t ON t.institution_id = i.institution_id AND t.transfer_id = i.item_id
        LEFT JOIN account a ON a.institution_id = i.institution_id AND a.account_id = i.account_id
        WHERE (t.amount_minor_units = i.amount_minor_units AND t.currency = i.currency AND t.booking_date = i.booking_date
            AND a.in_transit AND a.custody_account_id = i.custody_account_id
            AND i.account_id = CASE i.direction WHEN 'IN' THEN t.debit_account_id ELSE t.credit_account_id END) IS NOT TRUE
        LIMIT 1 $q$ INTO wrong;
    IF wrong IS NOT NULL THEN
        PERFORM refuse_posting('open_item_mismatch', format('open item %s is not what its transfer put in transit', wrong));
    END IF;
    RETURN NULL;
END $$
"""

GUARD_CLEARING = """
CREATE FUNCTION ledger_guard_clearing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong uuid;
BEGIN
    EXECUTE $q$
        SELECT c.item_id FROM new_clearings c
        LEFT JOIN open_item i ON i.institution_id = c.institution_id AND i.item_id = c.item_id
        LEFT JOIN transfer t ON t.institution_id = c.institution_id AND t.transfer_id = c.clearing_transfer_id
        WHERE (t.amount_minor_units = i.amount_minor_units AND t.currency = i.currency AND t.booking_date = c.cleared_on
            AND i.account_id = CASE i.direction WHEN 'IN' THEN t.credit_account_id ELSE t.debit_account_id END) IS NOT TRUE
        LIMIT 1 $q$ INTO wrong;
    IF wrong IS NOT NULL THEN
        PERFORM refuse_posting('clearing_mismatch', format(
            'the transfer that should clear item %s has another amount, account, side or date', wrong));
    END IF;
    RETURN NULL;
END $$
"""

FUNCTIONS = (
    TRANSFER_LEAF, MERKLE_ROOT, REFUSE, OPEN_ACCOUNT, CLOSE_ACCOUNT, GUARD_TRANSFER, SEAL_BATCH, MOVE_HEAD, REQUIRE_HEADER,
    GUARD_PROJECTION, GUARD_OPEN_ITEM, GUARD_CLEARING,
)  # fmt: skip

#: Name, table, rest. Triggers of one kind fire in the order of their names: ``seal`` comes before ``stamp_digest``.
TRIGGERS = (
    ("account_start", "AFTER INSERT ON account REFERENCING NEW TABLE AS new_accounts FOR EACH STATEMENT", "ledger_start_account"),
    ("account_closing_guard", "AFTER INSERT ON account_closing FOR EACH ROW", "ledger_guard_closing"),
    (
        "transfer_guard",
        "AFTER INSERT ON transfer REFERENCING NEW TABLE AS new_transfers FOR EACH STATEMENT",
        "ledger_guard_transfer",
    ),
    ("posting_batch_seal", "BEFORE INSERT ON posting_batch FOR EACH ROW", "ledger_seal_batch"),
    ("posting_batch_head", "AFTER INSERT ON posting_batch FOR EACH ROW", "ledger_move_head"),
    (
        "open_item_guard",
        "AFTER INSERT ON open_item REFERENCING NEW TABLE AS new_items FOR EACH STATEMENT",
        "ledger_guard_open_item",
    ),
    (
        "open_item_clearing_guard",
        "AFTER INSERT ON open_item_clearing REFERENCING NEW TABLE AS new_clearings FOR EACH STATEMENT",
        "ledger_guard_clearing",
    ),
)

VIEWS = (
    """
    CREATE VIEW posting AS
    SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, 'DEBIT' AS side, amount_minor_units, currency,
        debit_balance_minor_units AS balance_minor_units, credit_account_id AS counter_account_id, transfer_id, batch_id, line,
        booking_date, reason, source_kind, source_ref, reverses
    FROM transfer
    UNION ALL
    SELECT institution_id, credit_account_id, credit_seq, 'CREDIT', amount_minor_units, currency,
        credit_balance_minor_units, debit_account_id, transfer_id, batch_id, line,
        booking_date, reason, source_kind, source_ref, reverses
    FROM transfer
    """,
    """
    CREATE VIEW journal_entry AS
    SELECT institution_id, source_kind, source_ref, min(booking_date) AS booking_date, min(batch_id) AS first_batch_id,
        count(*) AS transfer_count, sum(amount_minor_units) AS total_minor_units, min(currency) AS currency
    FROM transfer GROUP BY institution_id, source_kind, source_ref
    """,
    """
    CREATE VIEW trial_balance AS
    SELECT a.institution_id, a.custody_account_id, a.account_id, a.kind, a.subject, a.normal_side, a.currency, b.last_seq,
        greatest(b.balance_minor_units, 0) AS debit_minor_units, greatest(-b.balance_minor_units, 0) AS credit_minor_units
    FROM account a JOIN account_balance b ON b.institution_id = a.institution_id AND b.account_id = a.account_id
    """,
    """
    CREATE VIEW account_statement AS
    SELECT p.institution_id, p.account_id, p.seq, p.booking_date, b.posted_at, p.side, p.amount_minor_units, p.currency,
        CASE a.normal_side WHEN 'DEBIT' THEN p.balance_minor_units ELSE -p.balance_minor_units END AS balance_minor_units,
        p.counter_account_id, p.reason, p.source_kind, p.source_ref, p.transfer_id, p.batch_id, p.line, b.actor, b.rule_version
    FROM posting p
    JOIN account a ON a.institution_id = p.institution_id AND a.account_id = p.account_id
    JOIN posting_batch b ON b.institution_id = p.institution_id AND b.batch_id = p.batch_id
    """,
)
VIEW_NAMES = ("posting", "journal_entry", "trial_balance", "account_statement")


def _guard_ddl() -> list[str]:
    """Triggers that also hold for a session with ``session_replication_role = replica``; history's are append_only_ddl's."""
    statements = []
    for name, when, function in TRIGGERS:
        table = when.split(" ON ")[1].split()[0]
        statements += [
            f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
        ]
    for table in PROJECTIONS:
        statements += [
            f"""CREATE TRIGGER {table}_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_projection()""",
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_guard",
        ]
    return [
        *statements,
        """CREATE CONSTRAINT TRIGGER journal_head_header AFTER INSERT OR UPDATE ON journal_head
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_require_header()""",
        "ALTER TABLE journal_head ENABLE ALWAYS TRIGGER journal_head_header",
    ]


def upgrade() -> None:
    """Create the tables, then the functions, then the triggers that call them, then the views."""
    _create_tables()
    for function in FUNCTIONS:
        op.execute(sa.text(function.replace(":", "\\:")))
    for table in HISTORY:
        for statement in append_only_ddl(table):
            # A transfer's digest is its leaf, which transfer_guard checks for a whole batch at once.
            if "transfer_stamp_digest" not in statement:
                op.execute(statement)
    for statement in (*_guard_ddl(), *VIEWS):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    for view in reversed(VIEW_NAMES):
        op.execute(f"DROP VIEW {view}")
    for table in (
        "open_item_clearing",
        "open_item",
        "transfer",
        "posting_batch",
        *reversed(PROJECTIONS),
        "account_closing",
        "account",
    ):
        op.drop_table(table)
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function.split('CREATE FUNCTION ')[1].split('(')[0]}")


def _create_tables() -> None:
    op.create_table(
        "account",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column(
            "account_id",
            sa.BigInteger(),
            sa.Identity(always=True),
            nullable=False,
            comment="number of the account, unique in the database",
        ),
        sa.Column("custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account these books are about"),
        sa.Column("kind", sa.Text(), nullable=False, comment="kind in the chart of accounts"),
        sa.Column(
            "subject", sa.Text(), nullable=False, comment="order id or channel that tells accounts of a kind apart, else empty"
        ),
        sa.Column("normal_side", sa.Text(), nullable=False, comment="side on which the balance is positive: DEBIT or CREDIT"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column(
            "floor_minor_units",
            sa.BigInteger(),
            nullable=True,
            comment="lowest balance on the normal side, minor units; null for none",
        ),
        sa.Column(
            "in_transit", sa.Boolean(), nullable=False, comment="whether its open items are the book side of reconciliation"
        ),
        sa.Column("opened_on", sa.Date(), nullable=False, comment="first business day it can be posted to"),
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
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_account_currency")),
        sa.CheckConstraint("normal_side IN ('DEBIT', 'CREDIT')", name=op.f("ck_account_normal_side")),
        sa.CheckConstraint("floor_minor_units <= 0", name=op.f("ck_account_floor_not_above_zero")),
        sa.PrimaryKeyConstraint("institution_id", "account_id", name=op.f("pk_account")),
        sa.UniqueConstraint(
            "institution_id",
            "custody_account_id",
            "kind",
            "subject",
            name=op.f("uq_account_institution_id_custody_account_id_kind_subject"),
        ),
        comment="accounts of the books; closing one is a row in account_closing",
        info={"append_only": True},
    )
    op.create_index(op.f("ix_account_account_id"), "account", ["account_id"], unique=False)
    op.create_table(
        "account_closing",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account that closes"),
        sa.Column("closed_on", sa.Date(), nullable=False, comment="first business day on which it cannot be posted to"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who closed it"),
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
        sa.ForeignKeyConstraint(
            ["institution_id", "account_id"],
            ["account.institution_id", "account.account_id"],
            name=op.f("fk_account_closing_institution_id_account_id_account"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "account_id", name=op.f("pk_account_closing")),
        comment="that an account is closed; only an account whose balance is zero can be",
        info={"append_only": True},
    )
    op.create_table(
        "account_balance",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account"),
        sa.Column("last_seq", sa.BigInteger(), nullable=False, comment="number of its last posting; 0 before the first"),
        sa.Column(
            "balance_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="debits minus credits, minor units (so all accounts sum to 0)",
        ),
        sa.CheckConstraint("last_seq >= 0", name=op.f("ck_account_balance_last_seq")),
        sa.ForeignKeyConstraint(
            ["institution_id", "account_id"],
            ["account.institution_id", "account.account_id"],
            name=op.f("fk_account_balance_institution_id_account_id_account"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "account_id", name=op.f("pk_account_balance")),
        comment="balance of every account now",
        info={"projection": "the last running balance of transfer, moved only by the trigger that checks new transfers"},
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "account_day",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account"),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="business day"),
        sa.Column("debits_minor_units", sa.BigInteger(), nullable=False, comment="sum of its debits of that day, minor units"),
        sa.Column("credits_minor_units", sa.BigInteger(), nullable=False, comment="sum of its credits of that day, minor units"),
        sa.CheckConstraint("debits_minor_units >= 0 AND credits_minor_units >= 0", name=op.f("ck_account_day_sums_not_negative")),
        sa.PrimaryKeyConstraint("institution_id", "account_id", "booking_date", name=op.f("pk_account_day")),
        comment="what each account moved on each business day; balances as of a date are sums of these",
        info={"projection": "sums of transfer by account and booking date, moved only by the trigger that checks new transfers"},
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "journal_head",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("last_batch_id", sa.BigInteger(), nullable=False, comment="the newest batch with a header; 0 before the first"),
        sa.Column(
            "last_digest", sa.LargeBinary(), nullable=False, comment="row digest of that batch; 32 zero bytes before the first"
        ),
        sa.Column(
            "written_batch_id",
            sa.BigInteger(),
            nullable=False,
            comment="the newest batch with transfers; equals last_batch_id at commit",
        ),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_journal_head")),
        comment="where an institution's chain of batches ends",
        info={
            "projection": "the newest posting_batch of each institution; posting locks this row, so an institution's batches queue up"
        },
    )
    op.create_table(
        "posting_batch",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("batch_id", sa.BigInteger(), nullable=False, comment="1, 2, 3 ... without a gap in each institution"),
        sa.Column("encoding", sa.Text(), nullable=False, comment="canonical encoding of the leaves"),
        sa.Column("transfer_count", sa.BigInteger(), nullable=False, comment="number of its transfers"),
        sa.Column(
            "total_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="sum of its amounts over all currencies, minor units (a check total)",
        ),
        sa.Column(
            "root",
            sa.LargeBinary(),
            nullable=False,
            comment="Merkle root (RFC 6962) over the leaves of its transfers in line order",
        ),
        sa.Column(
            "previous_digest",
            sa.LargeBinary(),
            nullable=False,
            comment="row digest of the batch before; 32 zero bytes for batch 1",
        ),
        sa.Column("actor", sa.Text(), nullable=False, comment="who or which job posted it"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.Column("rule_version", sa.Text(), nullable=False, comment="version of the rules the decision was made by"),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False, comment="instant of posting, UTC"),
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
        sa.CheckConstraint("encoding = 'v1'", name=op.f("ck_posting_batch_encoding")),
        sa.CheckConstraint("batch_id > 0", name=op.f("ck_posting_batch_batch_id")),
        sa.CheckConstraint(
            "octet_length(root) = 32 AND octet_length(previous_digest) = 32", name=op.f("ck_posting_batch_digests")
        ),
        sa.CheckConstraint("total_minor_units > 0", name=op.f("ck_posting_batch_total")),
        sa.CheckConstraint("transfer_count > 0", name=op.f("ck_posting_batch_transfer_count")),
        sa.PrimaryKeyConstraint("institution_id", "batch_id", name=op.f("pk_posting_batch")),
        comment="transfers written together: who, why, by which rules, and the seal over them",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_posting_batch_institution_id_posted_at"), "posting_batch", ["institution_id", "posted_at"], unique=False
    )
    op.create_table(
        "transfer",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("transfer_id", sa.Uuid(), nullable=False, comment="deterministic id of the source event: the idempotency key"),
        sa.Column("batch_id", sa.BigInteger(), nullable=False, comment="the batch it was written in"),
        sa.Column("line", sa.Integer(), nullable=False, comment="its place in the batch: 1, 2, 3 ..."),
        sa.Column("debit_account_id", sa.BigInteger(), nullable=False, comment="account debited"),
        sa.Column("credit_account_id", sa.BigInteger(), nullable=False, comment="account credited"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="amount, minor units, above 0"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code, that of both accounts"),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="business day it counts for"),
        sa.Column(
            "reason", sa.Text(), nullable=False, comment="name of the event: order_paid, receipt_matched, class_hour_released ..."
        ),
        sa.Column(
            "source_kind",
            sa.Text(),
            nullable=False,
            comment="kind of the source event; with source_ref it names the journal entry",
        ),
        sa.Column("source_ref", sa.Text(), nullable=False, comment="key of the source event"),
        sa.Column("reverses", sa.Uuid(), nullable=True, comment="the transfer this one undoes"),
        sa.Column(
            "debit_seq",
            sa.BigInteger(),
            nullable=False,
            comment="number of this posting in the debited account: 1, 2, 3 ... over both sides",
        ),
        sa.Column(
            "debit_balance_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="debits minus credits of the debited account after it",
        ),
        sa.Column("credit_seq", sa.BigInteger(), nullable=False, comment="number of this posting in the credited account"),
        sa.Column(
            "credit_balance_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="debits minus credits of the credited account after it",
        ),
        sa.Column("leaf", sa.LargeBinary(), nullable=False, comment="SHA-256 over every other column in the batch's encoding"),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_transfer_amount_above_zero")),
        sa.CheckConstraint("debit_account_id <> credit_account_id", name=op.f("ck_transfer_two_accounts")),
        sa.CheckConstraint("line > 0", name=op.f("ck_transfer_line")),
        sa.PrimaryKeyConstraint("institution_id", "transfer_id", name=op.f("pk_transfer")),
        sa.UniqueConstraint("institution_id", "batch_id", "line", name=op.f("uq_transfer_institution_id_batch_id_line")),
        sa.UniqueConstraint(
            "institution_id",
            "credit_account_id",
            "credit_seq",
            name=op.f("uq_transfer_institution_id_credit_account_id_credit_seq"),
        ),
        sa.UniqueConstraint(
            "institution_id", "debit_account_id", "debit_seq", name=op.f("uq_transfer_institution_id_debit_account_id_debit_seq")
        ),
        comment="the journal: one debit account, one credit account, one positive amount, so it always balances",
        info={"append_only": True, "row_digest": "leaf"},
    )
    op.create_index(
        "uq_transfer_reverses",
        "transfer",
        ["institution_id", "reverses"],
        unique=True,
        postgresql_where=sa.text("reverses IS NOT NULL"),
    )
    op.create_table(
        "open_item",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("item_id", sa.Uuid(), nullable=False, comment="id of the transfer that put the money in transit"),
        sa.Column(
            "custody_account_id", sa.BigInteger(), nullable=False, comment="the real bank account it should arrive at or leave"
        ),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the in-transit account"),
        sa.Column("kind", sa.Text(), nullable=False, comment="receipt, disbursement, refund ..."),
        sa.Column(
            "direction", sa.Text(), nullable=False, comment="IN: should come into the custody account; OUT: should leave it"
        ),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="amount, minor units, above 0"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="business day it went into transit"),
        sa.Column("due_date", sa.Date(), nullable=False, comment="business day the bank should show it"),
        sa.Column("item_references", postgresql.ARRAY(Text()), nullable=False, comment="strings a bank line may carry"),
        sa.Column("group_key", sa.Text(), nullable=True, comment="settlement batch whose items arrive as one bank line"),
        sa.Column(
            "expected_fee_minor_units", sa.BigInteger(), nullable=False, comment="what the channel keeps back, minor units"
        ),
        sa.Column("counterparty_name", sa.Text(), nullable=True, comment="who pays or is paid"),
        sa.Column("counterparty_account", sa.Text(), nullable=True, comment="their bank account"),
        sa.Column(
            "original_item_id",
            sa.Uuid(),
            nullable=True,
            comment="the item this one is about again, after its clearing was reversed or returned",
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
        sa.CheckConstraint("direction IN ('IN', 'OUT')", name=op.f("ck_open_item_direction")),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_open_item_amount_above_zero")),
        sa.CheckConstraint("expected_fee_minor_units >= 0", name=op.f("ck_open_item_expected_fee")),
        sa.ForeignKeyConstraint(
            ["institution_id", "item_id"],
            ["transfer.institution_id", "transfer.transfer_id"],
            name=op.f("fk_open_item_institution_id_item_id_transfer"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "original_item_id"],
            ["open_item.institution_id", "open_item.item_id"],
            name=op.f("fk_open_item_institution_id_original_item_id_open_item"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "item_id", name=op.f("pk_open_item")),
        comment="money in transit that a bank line should clear: the book side of reconciliation",
        info={"append_only": True},
    )
    op.create_index(
        op.f("ix_open_item_institution_id_custody_account_id_booking_date"),
        "open_item",
        ["institution_id", "custody_account_id", "booking_date"],
        unique=False,
    )
    op.create_table(
        "open_item_clearing",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("item_id", sa.Uuid(), nullable=False, comment="the open item, cleared at most once"),
        sa.Column("clearing_transfer_id", sa.Uuid(), nullable=False, comment="the transfer that took it out of transit"),
        sa.Column("cleared_on", sa.Date(), nullable=False, comment="booking date of that transfer"),
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
            ["institution_id", "clearing_transfer_id"],
            ["transfer.institution_id", "transfer.transfer_id"],
            name=op.f("fk_open_item_clearing_institution_id_clearing_transfer_id_transfer"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "item_id"],
            ["open_item.institution_id", "open_item.item_id"],
            name=op.f("fk_open_item_clearing_institution_id_item_id_open_item"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "item_id", name=op.f("pk_open_item_clearing")),
        sa.UniqueConstraint(
            "institution_id", "clearing_transfer_id", name=op.f("uq_open_item_clearing_institution_id_clearing_transfer_id")
        ),
        comment="that an open item is no longer open, and by which transfer",
        info={"append_only": True},
    )
