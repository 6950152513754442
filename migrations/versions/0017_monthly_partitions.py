"""``transfer`` divided by months, the history as one partition, without a row of it being written again.

A transfer's id begins with its booking day, so the table is divided by ranges of ids and its primary key stays the idempotency
key and what foreign keys point at. The table of old becomes the partition ``transfer_through_YYYY_MM``; later months are added by
``ledger_add_month``, ahead by a job, else by the first posting that needs one.

What was unique over the whole table besides the key, and is so still: numbers of postings, because each run of them continues
``account_balance.last_seq`` under its row's lock; lines of a batch, counted where the batch is written (one statement a batch);
originals of reversals, asked by the same trigger under the lock of the institution's head. Indexes hold it within each partition.
"""

from __future__ import annotations

import importlib
from datetime import date

import sqlalchemy as sa
from alembic import op

from migrations.runner import UpgradeRefused
from storage.append_only import drop_append_only_ddl

revision = "0017_monthly_partitions"
down_revision = "0016_person_role"
branch_labels = None
depends_on = None

#: Ids of a business day begin with its number, so this is the least of them.
FIRST_ID = """
CREATE FUNCTION first_transfer_id(day date) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(day - date '2000-01-01'), 6, '0') || repeat('0', 26))::uuid
$$
"""

#: Partitions are written only through their table, whose triggers prove what comes in; this one fires for nothing else.
REFUSE_DIRECT = """
CREATE FUNCTION ledger_refuse_direct() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse_posting('not_through_transfer', format('%s into %s: write to transfer, which proves what is written',
        TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$
"""

#: What a partition has of its own, whichever months it holds.
GUARD_PARTITION = """
CREATE FUNCTION ledger_guard_partition(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER %I BEFORE INSERT ON %I FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_direct()',
        name || '_refuse_direct', name);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', name, name || '_refuse_direct');
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()',
        name || '_refuse_truncate', name);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', name, name || '_refuse_truncate');
END $$
"""

#: Whether a month has a partition: one of its own, or that of the history before there were any.
HAS_MONTH = """
CREATE FUNCTION ledger_has_month(of_month date) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND i.inhparent = 'public.transfer'::regclass
            AND (c.relname = 'transfer_' || to_char(of_month, 'YYYY_MM')
                OR c.relname >= 'transfer_through_' || to_char(of_month, 'YYYY_MM') AND c.relname < 'transfer_through_a'))
$$
"""

#: Built aside and attached, so that nobody who reads or posts waits longer than its keys take; safe to repeat and at once.
ADD_MONTH = """
CREATE FUNCTION ledger_add_month(of_month date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT SET lock_timeout = '5s' AS $$
DECLARE
    first date := date_trunc('month', of_month::timestamp)::date;
    next date := (first + interval '1 month')::date;
    name text := 'transfer_' || to_char(first, 'YYYY_MM');
BEGIN
    IF first < '2000-01-01' OR first >= '2100-01-01' THEN
        PERFORM refuse_posting('out_of_calendar', format('%s is not within 2000 to 2099', to_char(first, 'YYYY-MM')));
    ELSIF ledger_has_month(first) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger_add_month', 0));
    IF ledger_has_month(first) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE transfer INCLUDING COMMENTS INCLUDING CONSTRAINTS INCLUDING DEFAULTS)', name);
    EXECUTE format($q$
        ALTER TABLE %1$I ADD CONSTRAINT pk_%1$s PRIMARY KEY (institution_id, transfer_id),
            ADD CONSTRAINT uq_%1$s_line UNIQUE (institution_id, batch_id, line),
            ADD CONSTRAINT uq_%1$s_debit UNIQUE (institution_id, debit_account_id, debit_seq),
            ADD CONSTRAINT uq_%1$s_credit UNIQUE (institution_id, credit_account_id, credit_seq),
            ADD CONSTRAINT ck_%1$s_booked CHECK (booking_date >= %2$L AND booking_date < %3$L)
        $q$, name, first, next);
    EXECUTE format('CREATE UNIQUE INDEX uq_%1$s_reverses ON %1$I (institution_id, reverses) WHERE reverses IS NOT NULL', name);
    EXECUTE format('COMMENT ON TABLE %I IS %L', name, 'transfers booked in ' || to_char(first, 'YYYY-MM'));
    PERFORM ledger_guard_partition(name);
    EXECUTE format('ALTER TABLE transfer ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, first_transfer_id(first), first_transfer_id(next));
    RETURN true;
END $$
"""

#: The header is checked against what the guard of transfers saw being written for it: one statement a batch.
SEAL_BATCH = r"""
CREATE OR REPLACE FUNCTION ledger_seal_batch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS $$
DECLARE
    head record;
    written bigint;
BEGIN
    SELECT * INTO head FROM journal_head WHERE institution_id = NEW.institution_id FOR UPDATE;
    IF NOT FOUND OR NEW.batch_id <> head.last_batch_id + 1 THEN
        PERFORM refuse_posting('batch_out_of_order', format(
            'the next batch of institution %s is %s, not %s', NEW.institution_id, head.last_batch_id + 1, NEW.batch_id));
    END IF;
    written := CASE head.written_batch_id WHEN NEW.batch_id THEN head.written_count ELSE 0 END;
    IF written <> NEW.transfer_count OR written = 0 THEN
        PERFORM refuse_posting('batch_count', format('batch %s of institution %s has %s transfers, its header says %s',
            NEW.batch_id, NEW.institution_id, written, NEW.transfer_count));
    ELSIF head.written_minor_units <> NEW.total_minor_units THEN
        PERFORM refuse_posting('batch_total', format('batch %s of institution %s sums to %s, its header says %s',
            NEW.batch_id, NEW.institution_id, head.written_minor_units, NEW.total_minor_units));
    END IF;
    IF NEW.root IS NULL THEN
        NEW.root := head.written_root;
    ELSIF NEW.root <> head.written_root THEN
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

#: What migration 0011's guard says, and what it says now (each found exactly once).
_GUARD_CHANGES = (
    (
        """            max(booking_date) AS last_day FROM new_transfers GROUP BY 1 ORDER BY 1'""",
        """            max(booking_date) AS last_day, count(*) AS size, sum(amount_minor_units)::bigint AS total,
            min(line) AS first_line, max(line) AS last_line, count(DISTINCT line) AS lines,
            array_agg(leaf ORDER BY line) AS leaves, bool_or(reverses IS NOT NULL) AS reversing
        FROM new_transfers GROUP BY 1 ORDER BY 1'""",
    ),
    (
        "        -- Whether a closed month lies",
        """        -- One statement a batch: what its header is checked against is what was seen here, over all partitions at once.
        IF head.written_batch_id = batch.first_id THEN
            PERFORM refuse_posting('batch_in_pieces', format('batch %s of institution %s is written in more than one statement',
                batch.first_id, batch.institution_id));
        ELSIF batch.first_line <> 1 OR batch.last_line <> batch.size OR batch.lines <> batch.size THEN
            PERFORM refuse_posting('batch_lines', format('the lines of batch %s of institution %s are not 1 to %s',
                batch.first_id, batch.institution_id, batch.size));
        END IF;
        reversing := reversing OR batch.reversing;
        -- Whether a closed month lies""",
    ),
    (
        "UPDATE journal_head SET written_batch_id = batch.first_id WHERE",
        """UPDATE journal_head SET written_batch_id = batch.first_id, written_count = batch.size,
            written_minor_units = batch.total, written_root = merkle_root(batch.leaves) WHERE""",
    ),
    ("    moved_accounts bigint[];\n", "    moved_accounts bigint[];\n    reversing boolean := false;\n"),
    (
        """    EXECUTE $q$
        SELECT n.transfer_id, n.reverses FROM new_transfers n
        LEFT JOIN transfer o""",
        """    IF reversing THEN
    EXECUTE $q$
        SELECT n.transfer_id, n.reverses FROM new_transfers n
        LEFT JOIN transfer o""",
    ),
    (
        """            'transfer %s is not the mirror of a transfer %s', wrong.transfer_id, wrong.reverses));
    END IF;
""",
        """            'transfer %s is not the mirror of a transfer %s', wrong.transfer_id, wrong.reverses));
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
""",
    ),
)

_CHECKS = (
    ("amount_above_zero", "amount_minor_units > 0"),
    ("line", "line > 0"),
    ("two_accounts", "debit_account_id <> credit_account_id"),
)

_COMMENT = "the journal: one debit account, one credit account, one positive amount, so it always balances"

_UNIQUE = (
    ("institution_id", "batch_id", "line"),
    ("institution_id", "debit_account_id", "debit_seq"),
    ("institution_id", "credit_account_id", "credit_seq"),
)

_TRIGGERS = (
    ("transfer_guard", "new_transfers", "ledger_guard_transfer"),
    ("transfer_keeps_instructions", "new_transfer", "refuse_undoing_unrejected_instruction"),
)

_MONTHS_AHEAD = 3

_COLUMNS = (
    ("written_count", sa.BigInteger(), "number of transfers of the batch written last; null before the first"),
    ("written_minor_units", sa.BigInteger(), "sum of their amounts over all currencies, minor units"),
    ("written_root", sa.LargeBinary(), "Merkle root over their leaves; the batch's header must say the same"),
)


def guard_transfer() -> str:
    """The guard of migration 0011 with the changes above."""
    source: str = importlib.import_module("migrations.versions.0011_posting").GUARD_TRANSFER
    for old, new in _GUARD_CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"the guard of migration 0011 has not exactly one {old!r}")
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Divide the table: the old one becomes a partition, views and foreign keys turn to the new one, nothing is copied."""
    conn = op.get_bind()
    # All that is turned below, at once and first: who waits for one of them holds none of the others.
    op.execute("LOCK TABLE transfer, open_item, open_item_clearing, pending_resolution, correction IN ACCESS EXCLUSIVE MODE")
    for function in (FIRST_ID, REFUSE_DIRECT, GUARD_PARTITION, HAS_MONTH, ADD_MONTH):
        _create_function(function)
    for name, kind, comment in _COLUMNS:
        op.add_column("journal_head", sa.Column(name, kind, comment=comment))
    views = _views_of_transfer(conn)
    last = conn.execute(sa.text(_LAST_MONTH)).scalar_one()
    foreign_keys = _foreign_keys(conn)
    for table, name, _ in foreign_keys:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for trigger, _, _ in _TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON transfer")
    for statement in drop_append_only_ddl("transfer"):
        op.execute(statement)
    # Another name that no month has, until the new table has taken this one.
    op.execute("ALTER TABLE transfer RENAME TO transfer_undivided")
    op.execute("ALTER TABLE transfer_undivided RENAME CONSTRAINT pk_transfer TO pk_transfer_undivided")
    _create_partitioned()
    for name, definition in views:
        op.execute(sa.text(f"CREATE OR REPLACE VIEW {name} AS {definition}".replace(":", "\\:")))
    if last is None:
        op.drop_table("transfer_undivided")
    else:
        _attach_history(last)
    for table, name, definition in foreign_keys:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition} NOT VALID")
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
    for function in (guard_transfer(), SEAL_BATCH):
        _create_function(function)


#: The last month that an id or a booking date of the history lies in; null when there is none.
_LAST_MONTH = """
    SELECT date_trunc('month', greatest(
        max(booking_date), date '2000-01-01' + max(('x' || left(transfer_id::text, 6))::bit(24)::integer))::timestamp)::date
    FROM transfer
"""

_VIEWS = """
    SELECT DISTINCT c.oid, c.relname, coalesce('WITH (' || array_to_string(c.reloptions, ', ') || ')', ''),
        pg_get_viewdef(c.oid)
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_class c ON c.oid = r.ev_class
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'transfer'::regclass AND c.relkind = 'v' ORDER BY c.oid
"""


def _views_of_transfer(conn: sa.Connection) -> list[tuple[str, str]]:
    """Views that name the table, with their texts: a view follows its table's renaming, so they are told the name again."""
    return [(f"{name} {options}".strip(), definition) for _, name, options, definition in conn.execute(sa.text(_VIEWS))]


def _foreign_keys(conn: sa.Connection) -> list[tuple[str, str, str]]:
    """Foreign keys that lead to the table: where they are, their names and texts."""
    rows = conn.execute(
        sa.text(
            """
            SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE contype = 'f' AND confrelid = 'transfer'::regclass ORDER BY 1, 2
            """
        )
    )
    return [(table, name, definition) for table, name, definition in rows]


def _create_function(source: str) -> None:
    op.execute(sa.text(source.replace(":", "\\:")))


def _create_partitioned() -> None:
    op.execute(
        f"""
        CREATE TABLE transfer (LIKE transfer_undivided INCLUDING COMMENTS INCLUDING DEFAULTS,
            CONSTRAINT pk_transfer PRIMARY KEY (institution_id, transfer_id),
            {", ".join(f"CONSTRAINT ck_transfer_{name} CHECK ({rule})" for name, rule in _CHECKS)})
        PARTITION BY RANGE (transfer_id)
        """
    )
    op.execute(f"COMMENT ON TABLE transfer IS '{_COMMENT}'")
    for statement in _guard_ddl():
        op.execute(statement)


def _guard_ddl() -> list[str]:
    """The triggers of the whole journal; each also holds for a session with ``session_replication_role = replica``."""
    made = {
        trigger: f"AFTER INSERT ON transfer REFERENCING NEW TABLE AS {new_rows} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        for trigger, new_rows, function in _TRIGGERS
    }
    made["transfer_refuse_change"] = "BEFORE UPDATE OR DELETE ON transfer FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    made["transfer_refuse_truncate"] = "BEFORE TRUNCATE ON transfer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    return [
        *(f"CREATE TRIGGER {trigger} {what}" for trigger, what in made.items()),
        *(f"ALTER TABLE transfer ENABLE ALWAYS TRIGGER {trigger}" for trigger in made),
    ]


def _attach_history(last: date) -> None:
    """Make the old table the partition of everything through its last month: names, bound and guards, no row.

    Its rows keep their ids (a pending transfer that was posted kept the id of the day it was reserved on), so that each id
    lies in the month of its booking date is asked of new rows only.
    """
    conn = op.get_bind()
    if not conn.execute(sa.text("SELECT CAST(:last AS date) < '2099-12-01'"), {"last": last}).scalar_one():
        raise UpgradeRefused(
            f"the journal holds a transfer that is booked, or whose id says it is booked, in or after {last:%Y-%m}; "
            "the books have months through 2099. Look for it with: SELECT * FROM transfer ORDER BY transfer_id DESC LIMIT 1"
        )
    name, bound = f"transfer_through_{last:%Y_%m}", "first_transfer_id"
    next_day, next_id = conn.execute(
        sa.text(f"SELECT day, {bound}(day) FROM (SELECT (CAST(:last AS date) + interval '1 month')::date) AS n (day)"),
        {"last": last},
    ).one()
    for old, new in (
        ("pk_transfer_undivided", f"pk_{name}"),
        ("uq_transfer_institution_id_batch_id_line", f"uq_{name}_line"),
        ("uq_transfer_institution_id_debit_account_id_debit_seq", f"uq_{name}_debit"),
        ("uq_transfer_institution_id_credit_account_id_credit_seq", f"uq_{name}_credit"),
    ):
        op.execute(f"ALTER TABLE transfer_undivided RENAME CONSTRAINT {old} TO {new}")
    op.execute(f"ALTER INDEX uq_transfer_reverses RENAME TO uq_{name}_reverses")
    op.execute(f"ALTER TABLE transfer_undivided RENAME TO {name}")
    op.execute(f"COMMENT ON TABLE {name} IS 'transfers through {last:%Y-%m}, posted before the journal was divided by months'")
    for rule, condition in (
        ("booked", f"booking_date < '{next_day}'"),
        ("id_below", f"transfer_id < '{next_id}'"),
    ):
        op.execute(f"ALTER TABLE {name} ADD CONSTRAINT ck_{name}_{rule} CHECK ({condition}) NOT VALID")
        op.execute(f"ALTER TABLE {name} VALIDATE CONSTRAINT ck_{name}_{rule}")
    op.execute(
        f"""
        ALTER TABLE {name} ADD CONSTRAINT ck_{name}_new_ids CHECK (
            transfer_id >= first_transfer_id(date_trunc('month', booking_date::timestamp)::date)
            AND transfer_id < first_transfer_id((date_trunc('month', booking_date::timestamp) + interval '1 month')::date)) NOT VALID
        """
    )
    op.execute(sa.text("SELECT ledger_guard_partition(:name)").bindparams(name=name))
    op.execute(f"ALTER TABLE transfer ATTACH PARTITION {name} FOR VALUES FROM (MINVALUE) TO ('{next_id}')")
    # The program of old, which adds no months, may go on beside this one meanwhile.
    for number in range(_MONTHS_AHEAD):
        op.execute(
            sa.text("SELECT ledger_add_month(CAST(:day + :n * interval '1 month' AS date))").bindparams(day=next_day, n=number)
        )
    # What the bound says now need not be said twice.
    op.execute(f"ALTER TABLE {name} DROP CONSTRAINT ck_{name}_id_below")


def downgrade() -> None:
    """One plain table again; only for an empty development database."""
    conn = op.get_bind()
    views = _views_of_transfer(conn)
    foreign_keys = _foreign_keys(conn)
    for table, name, _ in foreign_keys:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    op.execute("ALTER TABLE transfer RENAME TO transfer_divided")
    op.execute("ALTER TABLE transfer_divided RENAME CONSTRAINT pk_transfer TO pk_transfer_divided")
    op.execute(
        f"""
        CREATE TABLE transfer (LIKE transfer_divided INCLUDING COMMENTS INCLUDING DEFAULTS,
            CONSTRAINT pk_transfer PRIMARY KEY (institution_id, transfer_id),
            {", ".join(f"CONSTRAINT uq_transfer_{'_'.join(columns)} UNIQUE ({', '.join(columns)})" for columns in _UNIQUE)},
            {", ".join(f"CONSTRAINT ck_transfer_{name} CHECK ({rule})" for name, rule in _CHECKS)})
        """
    )
    op.execute(f"COMMENT ON TABLE transfer IS '{_COMMENT}'")
    for name, definition in views:
        op.execute(sa.text(f"CREATE OR REPLACE VIEW {name} AS {definition}".replace(":", "\\:")))
    op.drop_table("transfer_divided")
    op.execute("CREATE UNIQUE INDEX uq_transfer_reverses ON transfer (institution_id, reverses) WHERE reverses IS NOT NULL")
    for statement in _guard_ddl():
        op.execute(statement)
    for table, name, definition in foreign_keys:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for name, module in (("GUARD_TRANSFER", "0011_posting"), ("SEAL_BATCH", "0002_ledger")):
        source: str = getattr(importlib.import_module(f"migrations.versions.{module}"), name)
        _create_function(source.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    for column, _, _ in _COLUMNS:
        op.drop_column("journal_head", column)
    for function in (
        "ledger_add_month",
        "ledger_has_month",
        "ledger_guard_partition",
        "ledger_refuse_direct",
        "first_transfer_id",
    ):
        op.execute(f"DROP FUNCTION {function}")
