"""Archived months of the journal: a file each, and what the books say it must hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl

revision = "0021_journal_archive"
down_revision = "0020_bank_discrepancies"
branch_labels = None
depends_on = None

#: Every month's transfers under a checkpoint: what an archive of it says, derived again.
ARCHIVED_MONTH = """
CREATE FUNCTION archived_month(of_month date, under_checkpoint bigint, OUT transfer_count bigint, OUT leaves bytea)
LANGUAGE sql STABLE AS $$
    SELECT count(*), sha256(coalesce(string_agg(t.leaf, ''::bytea ORDER BY t.institution_id, t.batch_id, t.line), ''::bytea))
    FROM checkpoint_entry e JOIN transfer t ON t.institution_id = e.institution_id AND t.batch_id <= e.log_size
    WHERE e.checkpoint_no = under_checkpoint AND e.custody_account_id IS NULL
        AND t.booking_date >= of_month AND t.booking_date < (of_month + interval '1 month')::date
$$
"""

#: Only a month that is closed wherever something is booked in it, wholly under the checkpoint, and as it says.
GUARD_ARCHIVE = """
CREATE FUNCTION ledger_guard_archive() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    wrong record;
    month_is record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('journal_archive', 0));
    NEW.edition := coalesce((SELECT max(edition) FROM journal_archive WHERE month = NEW.month), 0) + 1;
    SELECT t.institution_id, p.month AS closed, max(t.batch_id) > coalesce(max(e.log_size), 0) AS newer INTO wrong
    FROM transfer t
    LEFT JOIN closed_period p ON p.institution_id = t.institution_id AND p.month = NEW.month
    LEFT JOIN checkpoint_entry e ON e.institution_id = t.institution_id AND e.checkpoint_no = NEW.checkpoint_no
        AND e.custody_account_id IS NULL
    WHERE t.booking_date >= NEW.month AND t.booking_date < (NEW.month + interval '1 month')::date
    GROUP BY t.institution_id, p.month
    HAVING p.month IS NULL OR max(t.batch_id) > coalesce(max(e.log_size), 0)
    ORDER BY t.institution_id LIMIT 1;
    IF wrong.institution_id IS NOT NULL THEN
        PERFORM refuse_posting(CASE WHEN wrong.closed IS NULL THEN 'archive_of_open_month' ELSE 'archive_not_signed' END, format(
            CASE WHEN wrong.closed IS NULL THEN '%s is not closed at institution %s'
                ELSE '%s has transfers at institution %s that no checkpoint covers yet' END,
            to_char(NEW.month, 'YYYY-MM'), wrong.institution_id));
    END IF;
    SELECT * INTO month_is FROM archived_month(NEW.month, NEW.checkpoint_no);
    IF month_is.transfer_count <> NEW.transfer_count OR month_is.leaves <> NEW.leaves THEN
        PERFORM refuse_posting('archive_content', format('%s holds %s transfers, its archive %s, or others than those',
            to_char(NEW.month, 'YYYY-MM'), month_is.transfer_count, NEW.transfer_count));
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    """Create the table and its guards; no other is touched."""
    op.create_table(
        "journal_archive",
        sa.Column("month", sa.Date(), nullable=False, comment="first day of the month the transfers are booked in"),
        sa.Column(
            "edition", sa.Integer(), nullable=False, comment="1, 2, 3 ... of the month, filled in by trigger; the newest counts"
        ),
        sa.Column(
            "checkpoint_no", sa.BigInteger(), nullable=False, comment="the checkpoint under which each transfer of it is proved"
        ),
        sa.Column(
            "transfer_count",
            sa.BigInteger(),
            nullable=False,
            comment="transfers booked in the month, in batches the checkpoint covers",
        ),
        sa.Column("leaves", sa.LargeBinary(), nullable=False, comment="SHA-256 over their leaves by institution, batch and line"),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name of the file when it was written"),
        sa.Column("file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file"),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False, comment="its length in bytes"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who archived it"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False, comment="the caller's now (UTC instant)"),
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
        sa.CheckConstraint("EXTRACT(day FROM month) = 1", name=op.f("ck_journal_archive_first_day_of_month")),
        sa.CheckConstraint("edition > 0 AND transfer_count >= 0 AND file_bytes > 0", name=op.f("ck_journal_archive_numbers")),
        sa.CheckConstraint(
            "octet_length(leaves) = 32 AND octet_length(file_sha256) = 32", name=op.f("ck_journal_archive_digests")
        ),
        sa.ForeignKeyConstraint(
            ["checkpoint_no"], ["checkpoint.checkpoint_no"], name=op.f("fk_journal_archive_checkpoint_no_checkpoint")
        ),
        sa.PrimaryKeyConstraint("month", "edition", name=op.f("pk_journal_archive")),
        comment="closed months of the journal that were written to a file and proved there",
    )
    for function in (ARCHIVED_MONTH, GUARD_ARCHIVE):
        op.execute(sa.text(function.replace(":", "\\:")))
    for statement in append_only_ddl("journal_archive"):
        op.execute(statement)
    # Before the digest is stamped: triggers of one kind fire in the order of their names.
    op.execute(
        "CREATE TRIGGER journal_archive_guard BEFORE INSERT ON journal_archive FOR EACH ROW EXECUTE FUNCTION ledger_guard_archive()"
    )
    op.execute("ALTER TABLE journal_archive ENABLE ALWAYS TRIGGER journal_archive_guard")


def downgrade() -> None:
    """Only for an empty development database."""
    op.drop_table("journal_archive")
    op.execute("DROP FUNCTION ledger_guard_archive")
    op.execute("DROP FUNCTION archived_month")
