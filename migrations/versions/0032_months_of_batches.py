"""Which months of the journal an institution's batches lie in: what a page of the whole journal needs to know to ask no others.

A page is some batches in their order, and a batch says nothing of its months, so a page asked them all: 45 ms in a new session with 66
months, 6 ms with two. Now the guard of transfers notes the batches from which on the months are others; nearly all are of the same
months as the batch before them. Deployed beside the old program, which goes on asking all months.
"""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0032_months_of_batches"
down_revision = "0031_reversals"
branch_labels = None
depends_on = None

#: Month an id lies in. Ids of the time before the journal was divided may be of another month than their booking day.
MONTH_OF_ID = """
CREATE FUNCTION month_of_transfer_id(id uuid) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT date_trunc('month', (date '2000-01-01' + ('x' || left(id::text, 6))::bit(24)::integer)::timestamp)::date
$$
"""

#: The months of every batch, by booking days and by ids: where one differs from the batch before it, a row begins.
MONTHS_OF_BATCHES = """
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
"""

#: What migration 0031's guard says, and what it says now (each found exactly once).
_GUARD_CHANGES = (
    ("    reversed bigint;\n", "    reversed bigint;\n    batch_in date[];\n"),
    (
        "        UPDATE journal_head SET written_batch_id = batch.first_id, written_count = batch.size,\n",
        """        batch_in := ARRAY[date_trunc('month', batch.first_day::timestamp)::date];
        IF batch.last_day >= batch_in[1] + interval '1 month' THEN
            EXECUTE $q$
                SELECT array_agg(DISTINCT date_trunc('month', booking_date::timestamp)::date) FROM new_transfers
                WHERE institution_id = $1 $q$ INTO batch_in USING batch.institution_id;
        END IF;
        IF batch_in IS DISTINCT FROM (
            SELECT m.months FROM batch_months m WHERE m.institution_id = batch.institution_id
            ORDER BY m.first_batch_id DESC LIMIT 1) THEN
            INSERT INTO batch_months (institution_id, first_batch_id, months)
            VALUES (batch.institution_id, batch.first_id, batch_in);
        END IF;
        UPDATE journal_head SET written_batch_id = batch.first_id, written_count = batch.size,
""",
    ),
)


def guard_transfer() -> str:
    """The guard of migration 0031 with the changes above."""
    source: str = importlib.import_module("migrations.versions.0031_reversals").guard_transfer()
    for old, new in _GUARD_CHANGES:
        if source.count(old) != 1:
            raise RuntimeError(f"the guard of migration 0031 has not exactly one {old!r}")
        source = source.replace(old, new)
    return source


def upgrade() -> None:
    """Create and fill the table while nobody posts (readers go on), then replace what writes it."""
    op.execute("LOCK TABLE transfer IN SHARE MODE")
    op.execute(sa.text(MONTH_OF_ID.replace(":", "\\:")))
    op.create_table(
        "batch_months",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="whose books"),
        sa.Column("first_batch_id", sa.BigInteger(), nullable=False, comment="the first batch of the run"),
        sa.Column(
            "months",
            ARRAY(sa.Date()),
            nullable=False,
            comment="first days of the months its transfers lie in, by ids and bookings",
        ),
        sa.PrimaryKeyConstraint("institution_id", "first_batch_id", name=op.f("pk_batch_months")),
        comment="months that an institution's batches lie in, from a batch on until the next row",
        info={"projection": "the months of transfer by batch, written only by the trigger that checks new transfers"},
    )
    op.execute(f"INSERT INTO batch_months (institution_id, first_batch_id, months) {MONTHS_OF_BATCHES}".replace(":", "\\:"))
    op.execute(
        "CREATE TRIGGER batch_months_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON batch_months"
        " FOR EACH STATEMENT EXECUTE FUNCTION ledger_guard_projection()"
    )
    op.execute("ALTER TABLE batch_months ENABLE ALWAYS TRIGGER batch_months_guard")
    op.execute(sa.text(guard_transfer().replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    before: str = importlib.import_module("migrations.versions.0031_reversals").guard_transfer()
    op.execute(sa.text(before.replace(":", "\\:")))
    op.drop_table("batch_months")
    op.execute("DROP FUNCTION month_of_transfer_id")
