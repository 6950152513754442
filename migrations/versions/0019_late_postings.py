"""What was booked late, in runs; so a balance as of a day and as known at an instant costs no more after back-dated postings.

Until now a day that was booked to again later was looked through from its first posting on: half a million postings of a busy
account for one that came a year late. Late postings are few; kept by themselves, they are added to the running balance of
those that came in the order of their days.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

revision = "0019_late_postings"
down_revision = "0018_bank_reads_instructions"
branch_labels = None
depends_on = None

#: What migration 0017's guard says, and what it says now (each found exactly once).
_GUARD_CHANGES = (
    ("    moved_accounts bigint[];\n", "    moved_accounts bigint[];\n    late_accounts bigint[];\n"),
    (
        """            RETURNING b.account_id)
        SELECT count(*), array_agg(account_id) FROM moved $q$
    INTO moved, moved_accounts
""",
        """            RETURNING b.account_id, b.first_late_seq)
        SELECT count(*), array_agg(account_id), array_agg(account_id) FILTER (WHERE first_late_seq IS NOT NULL) FROM moved $q$
    INTO moved, moved_accounts, late_accounts
""",
    ),
    (
        "    -- An account's run is its day's sums when",
        """    -- Before account_day moves: its newest day is still the newest one before this batch. Nearly no account was ever posted to late.
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
                    LEFT JOIN (
                        SELECT b.account_id, (
                            SELECT d.booking_date FROM account_day d
                            WHERE d.institution_id = b.institution_id AND d.account_id = b.account_id
                            ORDER BY d.booking_date DESC LIMIT 1) AS day
                        FROM account_balance b JOIN account a USING (institution_id, account_id) WHERE a.account_id = ANY ($1)
                    ) AS before USING (account_id)
                ) AS leg
                WHERE booking_date < newest_day
            ) AS late
            GROUP BY institution_id, account_id, booking_date, run
            ORDER BY institution_id, account_id, min(seq) $q$
        USING late_accounts;
    END IF;

    -- An account's run is its day's sums when""",
    ),
)

#: As migration 0011 has it, and besides: late postings are added to the balance of those that came in the order of their days, and
#: what was known is looked for by days first, so that one month of the journal is asked at a time.
BALANCE_AT = """
CREATE OR REPLACE FUNCTION balance_at(of_institution integer, of_account bigint, through_day date, through_batch bigint)
RETURNS bigint LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    now_is record;
    known bigint;
    high bigint;
    middle bigint;
    found bigint;
    units bigint;
    late bigint := 0;
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
    IF through_day IS NOT NULL AND now_is.first_late_seq <= known AND through_batch IS NULL THEN
        -- All that is known: as many rows as it has days, however often it was posted to late.
        SELECT coalesce(sum(debits_minor_units - credits_minor_units), 0) INTO units FROM account_day
            WHERE institution_id = of_institution AND account_id = of_account AND booking_date <= through_day;
        RETURN units;
    ELSIF through_day IS NOT NULL THEN
        -- Up to the first posting that came in the order of its day and is of a later one, all are of days through this one; after
        -- it, only late ones are. A day whose first posting was late has none that came in order.
        SELECT d.first_seq - 1 INTO found FROM account_day d
            WHERE d.institution_id = of_institution AND d.account_id = of_account AND d.booking_date > through_day
                AND NOT EXISTS (
                    SELECT FROM account_late l WHERE l.institution_id = of_institution AND l.account_id = of_account
                        AND l.first_seq = d.first_seq)
            ORDER BY d.booking_date LIMIT 1;
        IF found < known THEN
            SELECT coalesce(sum(units_minor_units), 0) INTO late FROM account_late
                WHERE institution_id = of_institution AND account_id = of_account AND first_seq > found AND first_seq <= known
                    AND booking_date <= through_day;
            known := found;
        END IF;
    END IF;
    IF known = 0 THEN
        RETURN late;
    ELSIF known = now_is.last_seq THEN
        RETURN now_is.balance_minor_units + late;
    END IF;
    SELECT balance INTO units FROM (
        SELECT debit_balance_minor_units AS balance FROM transfer WHERE institution_id = of_institution
            AND debit_account_id = of_account AND debit_seq = known
        UNION ALL
        SELECT credit_balance_minor_units FROM transfer WHERE institution_id = of_institution
            AND credit_account_id = of_account AND credit_seq = known) AS posting;
    RETURN coalesce(units, 0) + late;
END $$
"""

#: What the new table holds for postings written before there was it.
FILL = """
    INSERT INTO account_late (institution_id, account_id, first_seq, last_seq, booking_date, units_minor_units)
    SELECT institution_id, account_id, min(seq), max(seq), booking_date, sum(delta)
    FROM (
        SELECT *, seq - row_number() OVER (PARTITION BY institution_id, account_id, batch_id, booking_date ORDER BY seq) AS run
        FROM (
            SELECT leg.*, max(booking_date) OVER (PARTITION BY institution_id, account_id ORDER BY seq) AS newest_day
            FROM (
                SELECT institution_id, debit_account_id AS account_id, debit_seq AS seq, amount_minor_units AS delta, booking_date,
                    batch_id FROM transfer
                UNION ALL
                SELECT institution_id, credit_account_id, credit_seq, -amount_minor_units, booking_date, batch_id FROM transfer
            ) AS leg
            JOIN account_balance b USING (institution_id, account_id) WHERE b.first_late_seq IS NOT NULL
        ) AS leg
        WHERE booking_date < newest_day
    ) AS late
    GROUP BY institution_id, account_id, batch_id, booking_date, run
"""


def guard_transfer() -> str:
    """The guard of migration 0017 with the changes above."""
    source: str = importlib.import_module("migrations.versions.0017_monthly_partitions").guard_transfer()
    for old, new in _GUARD_CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"the guard of migration 0017 has not exactly one {old!r}")
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Create and fill the table, then the functions that move and read it."""
    op.create_table(
        "account_late",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="the account"),
        sa.Column("first_seq", sa.BigInteger(), nullable=False, comment="number of the first posting of the run"),
        sa.Column("last_seq", sa.BigInteger(), nullable=False, comment="number of its last posting; all are of one batch"),
        sa.Column("booking_date", sa.Date(), nullable=False, comment="business day of them all"),
        sa.Column("units_minor_units", sa.BigInteger(), nullable=False, comment="their debits minus credits, minor units"),
        sa.CheckConstraint("first_seq <= last_seq", name=op.f("ck_account_late_order")),
        sa.PrimaryKeyConstraint("institution_id", "account_id", "first_seq", name=op.f("pk_account_late")),
        comment="postings booked on a day before one the account had been posted to already, in runs",
        info={"projection": "runs of late postings of transfer, written only by the trigger that checks new transfers"},
    )
    op.execute(FILL)
    op.execute(
        "CREATE TRIGGER account_late_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON account_late"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_projection()"
    )
    op.execute("ALTER TABLE account_late ENABLE ALWAYS TRIGGER account_late_guard")
    for function in (guard_transfer(), BALANCE_AT):
        op.execute(sa.text(function.replace(":", "\\:")))


def downgrade() -> None:
    """Undo everything; only for an empty development database."""
    before: str = importlib.import_module("migrations.versions.0017_monthly_partitions").guard_transfer()
    posting = importlib.import_module("migrations.versions.0011_posting")
    for function in (before, posting.BALANCE_AT.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")):
        op.execute(sa.text(function.replace(":", "\\:")))
    op.drop_table("account_late")
