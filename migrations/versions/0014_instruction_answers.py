"""What banks answer to instructions, and how a rejected one's money goes back.

New tables, views and guards only; an older program keeps working beside it, but the guard of the journal refuses it the undoing of an
instruction the bank has not rejected.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0014_instruction_answers"
down_revision = "0013_settle_from_suspense"
branch_labels = None
depends_on = None

VIEWS = (
    """
    CREATE VIEW instruction AS
    SELECT d.institution_id, d.instruction_id AS reference, 'disbursement' AS kind, d.instruction_id,
           NULL::text AS refund_request_id, d.custody_account_id, d.instruction_date, d.amount_minor_units, d.beneficiary_name,
           d.beneficiary_account, d.transfer_id AS item_id, d.instruction_file_id
    FROM disbursement_instruction d
    UNION ALL
    SELECT i.institution_id, 'RF' || i.refund_request_id, 'refund', NULL, i.refund_request_id, p.custody_account_id,
           i.instruction_date, f.amount_minor_units, f.payee_name, f.payee_account, f.transfer_id, i.instruction_file_id
    FROM refund_instruction i
    JOIN refund f ON f.institution_id = i.institution_id AND f.refund_request_id = i.refund_request_id
    JOIN prepayment p ON p.institution_id = f.institution_id AND p.order_id = f.order_id
    """,
    "COMMENT ON VIEW instruction IS 'every order to a bank to pay: disbursements and refunds under the reference the bank repeats'",
    """
    CREATE VIEW instruction_state AS
    SELECT i.*, a.event AS answer, a.event_at AS answered_at, a.reason_code, a.reason, a.bank_reference,
           CASE
               WHEN k.item_id IS NOT NULL AND t.reverses IS NOT NULL THEN 'returned'
               WHEN k.item_id IS NOT NULL THEN 'paid'
               WHEN standing.depth > 0 THEN 'came_back'
               WHEN a.event = 'rejected' AND p.event = 'return_prepared' THEN 'return_prepared'
               ELSE coalesce(a.event, 'unanswered')
           END AS state,
           k.cleared_on AS settled_on, p.event_no AS last_event_no
    FROM instruction i
    CROSS JOIN LATERAL (
        WITH RECURSIVE chain (item_id, depth) AS (
            SELECT i.item_id, 0
            UNION ALL
            SELECT r.transfer_id, c.depth + 1
            FROM chain c
            JOIN open_item_clearing k ON k.institution_id = i.institution_id AND k.item_id = c.item_id
            JOIN transfer r ON r.institution_id = i.institution_id AND r.reverses = k.clearing_transfer_id
        )
        SELECT chain.item_id, chain.depth FROM chain ORDER BY chain.depth DESC LIMIT 1
    ) standing
    LEFT JOIN open_item_clearing k ON k.institution_id = i.institution_id AND k.item_id = standing.item_id
    LEFT JOIN transfer t ON t.institution_id = k.institution_id AND t.transfer_id = k.clearing_transfer_id
    LEFT JOIN LATERAL (
        SELECT e.event, e.event_at, e.reason_code, e.reason, e.bank_reference FROM instruction_event e
        WHERE e.institution_id = i.institution_id AND e.reference = i.reference
            AND e.event IN ('accepted', 'rejected', 'pending')
        ORDER BY e.event_no DESC LIMIT 1
    ) a ON true
    LEFT JOIN LATERAL (
        SELECT e.event, e.event_no FROM instruction_event e
        WHERE e.institution_id = i.institution_id AND e.reference = i.reference ORDER BY e.event_no DESC LIMIT 1
    ) p ON true
    """,
    """COMMENT ON VIEW instruction_state IS
       'what became of each instruction: by the books first (paid, came back, returned), else by the bank''s last answer'""",
)

GUARDS = (
    """
    CREATE FUNCTION refuse_contradicting_answer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        last record;
        answer text;
        why text;
    BEGIN
        SELECT event_no, event INTO last FROM instruction_event e
        WHERE e.institution_id = NEW.institution_id AND e.reference = NEW.reference ORDER BY event_no DESC LIMIT 1;
        SELECT event INTO answer FROM instruction_event e
        WHERE e.institution_id = NEW.institution_id AND e.reference = NEW.reference
            AND e.event IN ('accepted', 'rejected', 'pending') ORDER BY event_no DESC LIMIT 1;
        IF NEW.event_no <> coalesce(last.event_no, 0) + 1 THEN
            why := format('event %s does not follow event %s', NEW.event_no, coalesce(last.event_no, 0));
        ELSIF last.event = 'returned' THEN
            why := 'its money went back; nothing can be said of it any more';
        ELSIF NEW.event IN ('accepted', 'pending') AND answer = 'rejected' THEN
            why := 'the bank has rejected it';
        ELSIF NEW.event = 'return_prepared' AND (answer IS DISTINCT FROM 'rejected' OR last.event = 'return_prepared') THEN
            why := 'only what the bank has rejected goes back, proposed once';
        ELSIF NEW.event IN ('returned', 'return_declined')
            AND (last.event <> 'return_prepared' OR NEW.prepared_event_no <> last.event_no) THEN
            why := 'it decides on a proposal that is not the last event';
        ELSIF NEW.event = 'returned' AND NOT EXISTS (
            SELECT FROM instruction i JOIN transfer t ON t.institution_id = i.institution_id AND t.reverses = i.item_id
            WHERE i.institution_id = NEW.institution_id AND i.reference = NEW.reference AND t.transfer_id = NEW.transfer_id) THEN
            why := 'its transfer does not put the instruction''s money back';
        END IF;
        IF why IS NOT NULL THEN
            RAISE EXCEPTION '% of instruction % refused: %', NEW.event, NEW.reference, why
                USING ERRCODE = 'restrict_violation', TABLE = 'instruction_event';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER instruction_event_guard BEFORE INSERT ON instruction_event
        FOR EACH ROW EXECUTE FUNCTION refuse_contradicting_answer()
    """,
    # No answer means unknown: money that may have left must not be free to be paid again. What a bank line showed out and back
    # (its item was cleared once) may be undone, and so may what the bank has rejected.
    """
    CREATE FUNCTION refuse_undoing_unrejected_instruction() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        wrong record;
    BEGIN
        SELECT i.reference INTO wrong
        FROM new_transfer n
        CROSS JOIN LATERAL (
            SELECT d.instruction_id AS reference FROM disbursement_instruction d
            WHERE d.institution_id = n.institution_id AND d.transfer_id = n.reverses
            UNION ALL
            SELECT 'RF' || f.refund_request_id FROM refund f
            JOIN refund_instruction r ON r.institution_id = f.institution_id AND r.refund_request_id = f.refund_request_id
            WHERE f.institution_id = n.institution_id AND f.transfer_id = n.reverses
        ) i
        WHERE n.reverses IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM open_item_clearing k WHERE k.institution_id = n.institution_id AND k.item_id = n.reverses)
            AND NOT EXISTS (
                SELECT FROM instruction_event e
                WHERE e.institution_id = n.institution_id AND e.reference = i.reference AND e.event = 'rejected')
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'undoing instruction % refused: the bank was told to pay and has not rejected it', wrong.reference
                USING ERRCODE = 'restrict_violation', TABLE = 'transfer',
                      HINT = 'Ask the bank what became of it: escrow instruction query. Its answer is taken in by escrow instruction acknowledge.';
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER transfer_keeps_instructions AFTER INSERT ON transfer
        REFERENCING NEW TABLE AS new_transfer FOR EACH STATEMENT EXECUTE FUNCTION refuse_undoing_unrejected_instruction()
    """,
)

TABLES = ("instruction_answer_file", "instruction_event")


def upgrade() -> None:
    """Create tables, then views, then guards."""
    _create_tables()
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)
    for statement in (*VIEWS, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything again; only for an empty development database."""
    op.execute("DROP TRIGGER transfer_keeps_instructions ON transfer")
    op.execute("DROP FUNCTION refuse_undoing_unrejected_instruction()")
    op.execute("DROP VIEW instruction_state")
    op.execute("DROP VIEW instruction")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_contradicting_answer()")
    op.drop_index("ix_refund_transfer", table_name="refund")
    op.drop_index("ix_disbursement_instruction_transfer", table_name="disbursement_instruction")


def _create_tables() -> None:
    op.create_table(
        "instruction_answer_file",
        sa.Column(
            "instruction_answer_file_id",
            sa.Integer(),
            sa.Identity(always=True),
            nullable=False,
            comment="our own number of the file",
        ),
        sa.Column("bank_code", sa.Text(), nullable=False, comment="the bank that answers"),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name under which it came"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of content"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="the bytes as received"),
        sa.Column("format", sa.Text(), nullable=False, comment="pain.002 or csv"),
        sa.Column("bank_message_id", sa.Text(), nullable=False, comment="the bank's own number of the message; empty in a table"),
        sa.Column("answer_count", sa.Integer(), nullable=False, comment="answers recorded from it"),
        sa.Column("findings", sa.ARRAY(sa.Text()), nullable=False, comment="what in it could not be used, and why"),
        sa.Column("received_by", sa.Text(), nullable=False, comment="who delivered it"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        *evidence_columns(),
        sa.CheckConstraint("answer_count >= 0", name=op.f("ck_instruction_answer_file_answer_count_not_negative")),
        sa.CheckConstraint("sha256 = sha256(content)", name=op.f("ck_instruction_answer_file_sha256_of_content")),
        sa.PrimaryKeyConstraint("instruction_answer_file_id", name=op.f("pk_instruction_answer_file")),
        comment="what banks answered to our instructions, byte for byte",
    )
    op.create_index("ix_instruction_answer_file_sha256", "instruction_answer_file", ["sha256"], unique=False)
    op.create_table(
        "instruction_event",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("reference", sa.Text(), nullable=False, comment="the end-to-end reference of the instruction"),
        sa.Column("event_no", sa.Integer(), nullable=False, comment="1, 2, 3 ... within the instruction"),
        sa.Column("instruction_id", sa.Text(), nullable=True, comment="the disbursement instruction, when it is one"),
        sa.Column("refund_request_id", sa.Text(), nullable=True, comment="the refund instructed, when it is one"),
        sa.Column(
            "event",
            sa.Text(),
            nullable=False,
            comment="accepted, rejected, pending (the bank's answers), queried, return_prepared, return_declined, returned",
        ),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who delivered the answer, or who acted"),
        sa.Column("reason", sa.Text(), nullable=True, comment="the bank's reason, or the person's"),
        sa.Column("reason_code", sa.Text(), nullable=True, comment="the bank's code of the reason"),
        sa.Column("bank_reference", sa.Text(), nullable=True, comment="the bank's own number of the payment"),
        sa.Column("instruction_answer_file_id", sa.Integer(), nullable=True, comment="the file that holds the answer"),
        sa.Column("answer_line", sa.Integer(), nullable=True, comment="1-based line of that file"),
        sa.Column("prepared_event_no", sa.Integer(), nullable=True, comment="the proposal decided on"),
        sa.Column("prepared_by", sa.Text(), nullable=True, comment="who proposed it"),
        sa.Column("transfer_id", sa.Uuid(), nullable=True, comment="the reversal that put the money back (returned)"),
        *evidence_columns(),
        sa.CheckConstraint(
            "(event = 'returned') = (transfer_id IS NOT NULL)", name=op.f("ck_instruction_event_returned_by_a_transfer")
        ),
        sa.CheckConstraint(
            "(event IN ('accepted', 'rejected', 'pending')) = (instruction_answer_file_id IS NOT NULL)",
            name=op.f("ck_instruction_event_answer_from_a_file"),
        ),
        sa.CheckConstraint(
            "(event IN ('returned', 'return_declined')) = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)",
            name=op.f("ck_instruction_event_decides_on_a_proposal"),
        ),
        sa.CheckConstraint("event <> 'returned' OR prepared_by <> actor", name=op.f("ck_instruction_event_two_persons")),
        sa.CheckConstraint(
            "event IN ('accepted', 'rejected', 'pending', 'queried', 'return_prepared', 'return_declined', 'returned')",
            name=op.f("ck_instruction_event_event_known"),
        ),
        sa.CheckConstraint(
            "event NOT IN ('return_prepared', 'return_declined') OR btrim(coalesce(reason, '')) <> ''",
            name=op.f("ck_instruction_event_reason_given"),
        ),
        sa.CheckConstraint(
            "reference = coalesce(instruction_id, 'RF' || refund_request_id)",
            name=op.f("ck_instruction_event_reference_of_instruction"),
        ),
        sa.CheckConstraint(
            "(instruction_id IS NULL) <> (refund_request_id IS NULL)", name=op.f("ck_instruction_event_about_one_instruction")
        ),
        sa.CheckConstraint("event_no >= 1", name=op.f("ck_instruction_event_event_no_from_one")),
        sa.CheckConstraint(
            "prepared_event_no IS NULL OR prepared_event_no < event_no", name=op.f("ck_instruction_event_after_its_proposal")
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "instruction_id"],
            ["disbursement_instruction.institution_id", "disbursement_instruction.instruction_id"],
            name="fk_instruction_event_disbursement",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "reference", "prepared_event_no", "prepared_by"],
            [
                "instruction_event.institution_id",
                "instruction_event.reference",
                "instruction_event.event_no",
                "instruction_event.actor",
            ],
            name="fk_instruction_event_prepared_by_its_actor",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "refund_request_id"],
            ["refund_instruction.institution_id", "refund_instruction.refund_request_id"],
            name="fk_instruction_event_refund",
        ),
        sa.ForeignKeyConstraint(
            ["instruction_answer_file_id"],
            ["instruction_answer_file.instruction_answer_file_id"],
            name="fk_instruction_event_answer_file",
        ),
        sa.PrimaryKeyConstraint("institution_id", "reference", "event_no", name=op.f("pk_instruction_event")),
        sa.UniqueConstraint(
            "institution_id",
            "reference",
            "event_no",
            "actor",
            name=op.f("uq_instruction_event_institution_id_reference_event_no_actor"),
        ),
        comment="what banks answered to each instruction, and how a rejected one's money went back",
    )
    op.create_index(
        "ix_disbursement_instruction_transfer", "disbursement_instruction", ["institution_id", "transfer_id"], unique=False
    )
    op.create_index("ix_refund_transfer", "refund", ["institution_id", "transfer_id"], unique=False)
