"""Questions about posting numbers look into the months the numbers lie in, and no others.

A posting's number says nothing of its month, so every probe asked every partition: with 60 months of journal a balance as known at an
instant took ten times what it took with six. Days follow from numbers, though: a posting is in a run of late ones, whose day is kept,
or on the newest day its account had been posted to by then. Deployed beside the old program, which calls the same functions.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op

revision = "0030_asked_by_months"
down_revision = "0029_late_statement"
branch_labels = None
depends_on = None

#: Months as numbers, to halve between them.
MONTH_NUMBER = """
CREATE FUNCTION month_number(day date) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT extract(year FROM day)::integer * 12 + extract(month FROM day)::integer - 1
$$
"""
MONTH_OF_NUMBER = """
CREATE FUNCTION month_of_number(number integer) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT make_date(number / 12, number % 12 + 1, 1)
$$
"""

#: Month of the newest day an account had been posted to when it got a posting; null before its first. Days whose first posting came
#: late have none that came in order, so they are passed over; the newest day of all always came in order.
NEWEST_MONTH_AT = """
CREATE FUNCTION newest_month_at(of_institution integer, of_account bigint, at_seq bigint) RETURNS date
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    low integer;
    high integer;
    middle integer;
    day record;
BEGIN
    SELECT month_number(min(booking_date)), month_number(max(booking_date)) INTO low, high FROM account_day
        WHERE institution_id = of_institution AND account_id = of_account;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT first_seq, booking_date INTO day FROM account_day d
            WHERE institution_id = of_institution AND account_id = of_account AND booking_date >= month_of_number(middle)
                AND NOT EXISTS (
                    SELECT FROM account_late l WHERE l.institution_id = of_institution AND l.account_id = of_account
                        AND l.first_seq = d.first_seq)
            ORDER BY booking_date LIMIT 1;
        IF day.first_seq <= at_seq THEN
            low := month_number(day.booking_date);
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN month_of_number(low);
END $$
"""

#: Month of a posting that came late; null when it did not.
LATE_MONTH = """
CREATE FUNCTION late_month(of_institution integer, of_account bigint, of_seq bigint) RETURNS date LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN last_seq >= of_seq THEN month_of_number(month_number(booking_date)) END FROM (
        SELECT last_seq, booking_date FROM account_late
        WHERE institution_id = of_institution AND account_id = of_account AND first_seq <= of_seq
        ORDER BY first_seq DESC LIMIT 1) AS run
$$
"""

#: Batch and running balance of a posting whose month is known: its range of ids leaves one partition to look into.
POSTING_IN = """
CREATE FUNCTION posting_in(of_month date, of_institution integer, of_account bigint, of_seq bigint,
    OUT batch_id bigint, OUT balance bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    first uuid := first_transfer_id(of_month);
    next uuid := first_transfer_id((of_month + interval '1 month')::date);
BEGIN
    SELECT t.batch_id, t.debit_balance_minor_units INTO batch_id, balance FROM transfer t
        WHERE t.institution_id = of_institution AND t.debit_account_id = of_account AND t.debit_seq = of_seq
            AND t.transfer_id >= first AND t.transfer_id < next;
    IF NOT FOUND THEN
        SELECT t.batch_id, t.credit_balance_minor_units INTO batch_id, balance FROM transfer t
            WHERE t.institution_id = of_institution AND t.credit_account_id = of_account AND t.credit_seq = of_seq
                AND t.transfer_id >= first AND t.transfer_id < next;
    END IF;
END $$
"""

#: The transfer that reverses another one, but for one that is just being written. It can lie in any month, so all are asked; but they
#: are planned for once a session.
REVERSAL_OF = """
CREATE FUNCTION reversal_of(of_institution integer, original uuid, but uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN (SELECT transfer_id FROM transfer WHERE institution_id = of_institution AND reverses = original
        AND transfer_id IS DISTINCT FROM but LIMIT 1);
END $$
"""

#: As migration 0019 has it, but what was known is looked for by months first, then by numbers within one.
BALANCE_AT = """
CREATE OR REPLACE FUNCTION balance_at(of_institution integer, of_account bigint, through_day date, through_batch bigint)
RETURNS bigint LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    now_is record;
    day record;
    known bigint;
    high bigint;
    middle bigint;
    found bigint;
    units bigint;
    late bigint := 0;
    low_month integer;
    high_month integer;
    middle_month integer;
    newest_month date;
BEGIN
    SELECT last_seq, balance_minor_units, first_late_seq INTO now_is FROM account_balance
        WHERE institution_id = of_institution AND account_id = of_account;
    known := coalesce(now_is.last_seq, 0);
    IF through_batch IS NOT NULL AND known > 0 THEN
        high := known;
        known := 0;
        SELECT month_number(min(booking_date)), month_number(max(booking_date)) INTO low_month, high_month FROM account_day
            WHERE institution_id = of_institution AND account_id = of_account;
        WHILE low_month <= high_month LOOP
            middle_month := (low_month + high_month + 1) / 2;
            SELECT first_seq, booking_date INTO day FROM account_day d
                WHERE institution_id = of_institution AND account_id = of_account
                    AND booking_date >= month_of_number(middle_month)
                    AND NOT EXISTS (
                        SELECT FROM account_late l WHERE l.institution_id = of_institution AND l.account_id = of_account
                            AND l.first_seq = d.first_seq)
                ORDER BY booking_date LIMIT 1;
            IF day.first_seq > high THEN  -- of a month that is known to be too late
                high_month := middle_month - 1;
            ELSIF (posting_in(month_of_number(month_number(day.booking_date)), of_institution, of_account, day.first_seq)).batch_id
                <= through_batch THEN
                known := day.first_seq;
                low_month := month_number(day.booking_date) + 1;
            ELSE
                high := day.first_seq - 1;
                high_month := middle_month - 1;
            END IF;
        END LOOP;
        IF known = 0 THEN
            RETURN 0;
        END IF;
        -- From here to the first posting of a later month all are of the month of this one, but for late ones.
        newest_month := month_of_number(low_month - 1);
        WHILE known < high LOOP
            middle := (known + high + 1) / 2;
            SELECT batch_id INTO found FROM posting_in(
                CASE WHEN now_is.first_late_seq <= middle THEN coalesce(late_month(of_institution, of_account, middle), newest_month)
                    ELSE newest_month END,
                of_institution, of_account, middle);
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
            newest_month := NULL;
        END IF;
    END IF;
    IF known = 0 THEN
        RETURN late;
    ELSIF known = now_is.last_seq THEN
        RETURN now_is.balance_minor_units + late;
    END IF;
    SELECT balance INTO units FROM posting_in(
        coalesce(late_month(of_institution, of_account, known), newest_month, newest_month_at(of_institution, of_account, known)),
        of_institution, of_account, known);
    RETURN coalesce(units, 0) + late;
END $$
"""

#: What migration 0026's guard says, and what it says now (each found exactly once). A batch of one day knows its late runs already;
#: and an original lies in the month its id says.
_GUARD_CHANGES = (
    (
        "    late_after date[];\n",
        """    late_after date[];
    late_institutions integer[];
    late_first bigint[];
    late_last bigint[];
    late_units bigint[];
    first_original uuid;
    last_original uuid;
""",
    ),
    (
        "            RETURNING b.institution_id, b.account_id, b.first_late_seq\n",
        """            RETURNING b.institution_id, b.account_id, b.first_late_seq, r.first_seq, r.last_seq,
                r.closing - r.opening AS units
""",
    ),
    (
        "            late.accounts, late.after\n",
        "            late.accounts, late.after, late.institutions, late.first, late.last, late.units\n",
    ),
    (
        "array_agg(before.last_booking_date) AS after\n",
        """array_agg(before.last_booking_date) AS after,
                array_agg(m.institution_id) AS institutions, array_agg(m.first_seq) AS first, array_agg(m.last_seq) AS last,
                array_agg(m.units) AS units
""",
    ),
    (
        "    INTO runs, moved, moved_accounts, late_accounts, late_after;\n",
        """    INTO runs, moved, moved_accounts, late_accounts, late_after, late_institutions, late_first, late_last, late_units;
""",
    ),
    (
        """    IF late_accounts IS NOT NULL THEN
        EXECUTE $q$
""",
        """    IF late_accounts IS NOT NULL AND NOT several_days THEN
        INSERT INTO account_late AS l (institution_id, account_id, first_seq, last_seq, booking_date, units_minor_units)
        SELECT r.institution_id, r.account_id, r.first_seq, r.last_seq, first_day, r.units
        FROM unnest(late_institutions, late_accounts, late_first, late_last, late_units, late_after)
            AS r(institution_id, account_id, first_seq, last_seq, units, newest_day)
        WHERE r.newest_day > first_day;
    ELSIF late_accounts IS NOT NULL THEN
        EXECUTE $q$
""",
    ),
    ("    reversing boolean := false;\n", "    reversing bigint := 0;\n"),
    ("bool_or(reverses IS NOT NULL) AS reversing", "count(reverses) AS reversing"),
    ("reversing := reversing OR batch.reversing", "reversing := reversing + batch.reversing"),
    ("    IF reversing THEN\n", "    IF reversing > 0 THEN\n"),
    (
        """        EXECUTE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            JOIN transfer o ON""",
        """        EXECUTE CASE WHEN reversing <= 20 THEN $q$
            SELECT transfer_id, reverses FROM new_transfers
            WHERE reverses IS NOT NULL AND reversal_of(institution_id, reverses, transfer_id) IS NOT NULL LIMIT 1 $q$
        ELSE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            JOIN transfer o ON""",
    ),
    (
        "AND o.reverses = n.reverses AND o.transfer_id <> n.transfer_id\n            LIMIT 1 $q$ INTO wrong;",
        "AND o.reverses = n.reverses AND o.transfer_id <> n.transfer_id\n            LIMIT 1 $q$ END INTO wrong;",
    ),
    (
        """        EXECUTE $q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            LEFT JOIN transfer o""",
        """        EXECUTE 'SELECT min(reverses::text)::uuid, max(reverses::text)::uuid FROM new_transfers'
            INTO first_original, last_original;
        EXECUTE format($q$
            SELECT n.transfer_id, n.reverses FROM new_transfers n
            LEFT JOIN transfer o""",
    ),
    (
        """                AND o.amount_minor_units = n.amount_minor_units
            WHERE n.reverses IS NOT NULL AND o.transfer_id IS NULL
            LIMIT 1 $q$ INTO wrong;
""",
        """                AND o.amount_minor_units = n.amount_minor_units AND o.transfer_id BETWEEN %L AND %L
            WHERE n.reverses IS NOT NULL AND o.transfer_id IS NULL
            LIMIT 1 $q$, first_original, last_original) INTO wrong;
""",
    ),
)

NEW_FUNCTIONS = (MONTH_NUMBER, MONTH_OF_NUMBER, NEWEST_MONTH_AT, LATE_MONTH, POSTING_IN, REVERSAL_OF)


def guard_transfer() -> str:
    """The guard of migration 0026 with the changes above."""
    source: str = importlib.import_module("migrations.versions.0026_posting_in_one_pass").GUARD_TRANSFER
    for old, new in _GUARD_CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"the guard of migration 0026 has not exactly one {old!r}")
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Create what finds months, then replace what asks."""
    for function in (*NEW_FUNCTIONS, BALANCE_AT, guard_transfer()):
        op.execute(sa.text(function.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    balance_at: str = importlib.import_module("migrations.versions.0019_late_postings").BALANCE_AT
    guard: str = importlib.import_module("migrations.versions.0026_posting_in_one_pass").GUARD_TRANSFER
    for function in (balance_at, guard):
        op.execute(sa.text(function.replace(":", "\\:")))
    for function in ("reversal_of", "posting_in", "late_month", "newest_month_at", "month_of_number", "month_number"):
        op.execute(f"DROP FUNCTION {function}")
