"""Tables, views and guards of the escrow package: what is promised to payers and institutions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.append_only import append_only_ddl, evidence_columns

revision = "0003_escrow"
down_revision = "0002_ledger"
branch_labels = None
depends_on = None

VIEWS = (
    """
    CREATE VIEW hold_in_force AS
    SELECT h.institution_id, h.hold_id, h.scope, h.order_id, h.class_hour_no, h.custody_account_id,
           h.stops_release, h.stops_refund, h.reason, h.placed_by, h.placed_at
    FROM hold h
    WHERE NOT EXISTS (
        SELECT FROM hold_lift l WHERE l.institution_id = h.institution_id AND l.hold_id = h.hold_id
    )
    """,
    "COMMENT ON VIEW hold_in_force IS 'holds no two persons have lifted yet'",
    """
    CREATE VIEW class_hour_state AS
    SELECT e.institution_id, e.order_id, e.class_hour_no,
           min(e.event_on) FILTER (WHERE e.event = 'taught') AS taught_on,
           min(e.event_on) FILTER (WHERE e.event = 'confirmed') AS confirmed_on,
           min(e.event_on) FILTER (WHERE e.event = 'deemed_confirmed') AS deemed_on,
           bool_or(e.event = 'disputed') AND NOT bool_or(e.event = 'dispute_withdrawn') AS disputed,
           bool_or(e.event = 'dispute_upheld') AS upheld,
           min(e.event_on) FILTER (WHERE e.event = 'dispute_withdrawn') AS dispute_withdrawn_on
    FROM class_hour_event e
    GROUP BY e.institution_id, e.order_id, e.class_hour_no
    """,
    "COMMENT ON VIEW class_hour_state IS 'what became of each class-hour; an upheld dispute stays a dispute'",
    """
    CREATE VIEW order_position AS
    SELECT p.institution_id, p.order_id, p.custody_account_id, p.held_account_id,
           CASE WHEN v.transfer_id IS NULL THEN p.amount_minor_units ELSE 0 END AS paid_minor_units,
           (coalesce(r.amount, 0))::bigint AS released_minor_units,
           (coalesce(f.amount, 0))::bigint AS refunded_minor_units,
           (CASE WHEN v.transfer_id IS NULL THEN p.amount_minor_units ELSE 0 END
               - coalesce(r.amount, 0) - coalesce(f.amount, 0))::bigint AS held_minor_units,
           p.class_hours,
           coalesce(r.hours, 0)::integer AS released_hours,
           u.funded_on,
           v.transfer_id IS NOT NULL AS voided
    FROM prepayment p
    LEFT JOIN funding u ON u.institution_id = p.institution_id AND u.order_id = p.order_id
    LEFT JOIN transfer v ON v.institution_id = p.institution_id AND v.reverses = p.receipt_item_id
    LEFT JOIN (
        SELECT institution_id, order_id, sum(amount_minor_units) AS amount, count(*) AS hours
        FROM release GROUP BY institution_id, order_id
    ) r ON r.institution_id = p.institution_id AND r.order_id = p.order_id
    LEFT JOIN (
        SELECT g.institution_id, g.order_id, sum(g.amount_minor_units) AS amount
        FROM refund g
        WHERE NOT EXISTS (
            SELECT FROM transfer b WHERE b.institution_id = g.institution_id AND b.reverses = g.transfer_id)
        GROUP BY g.institution_id, g.order_id
    ) f ON f.institution_id = p.institution_id AND f.order_id = p.order_id
    """,
    """COMMENT ON VIEW order_position IS
       'paid = held + released + refunded of every order (invariant 4); a reversed payment or refund counts as never made'""",
    """
    CREATE VIEW receipt_taken_back AS
    WITH RECURSIVE chain AS (
        SELECT i.institution_id, i.original_item_id AS item_id
        FROM open_item i
        WHERE i.kind = 'receipt' AND i.original_item_id IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM open_item_clearing c WHERE c.institution_id = i.institution_id AND c.item_id = i.item_id)
        UNION
        SELECT i.institution_id, i.original_item_id
        FROM chain c JOIN open_item i USING (institution_id, item_id)
        WHERE i.original_item_id IS NOT NULL
    )
    SELECT institution_id, item_id FROM chain
    """,
    "COMMENT ON VIEW receipt_taken_back IS 'receipts the bank showed and took back: their money is on its way again'",
)

#: The last line of defence behind escrow/releases.py: the foreign keys of release already demand funding and a confirmation.
GUARDS = (
    """
    CREATE FUNCTION refuse_unearned_release() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        early record;
    BEGIN
        SELECT n.order_id, n.class_hour_no INTO early
        FROM new_release n
        JOIN class_hour_event e ON e.institution_id = n.institution_id AND e.order_id = n.order_id
            AND e.class_hour_no = n.class_hour_no AND e.event = 'disputed'
        WHERE NOT EXISTS (
            SELECT FROM class_hour_event w
            WHERE w.institution_id = n.institution_id AND w.order_id = n.order_id
                AND w.class_hour_no = n.class_hour_no AND w.event = 'dispute_withdrawn')
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'release of class-hour % of order % refused: it is disputed', early.class_hour_no, early.order_id
                USING ERRCODE = 'restrict_violation', TABLE = 'release';
        END IF;
        SELECT n.order_id, n.class_hour_no, h.hold_id INTO early
        FROM new_release n
        JOIN hold_in_force h ON h.institution_id = n.institution_id AND h.stops_release
        JOIN prepayment p ON p.institution_id = n.institution_id AND p.order_id = n.order_id
        WHERE h.custody_account_id = p.custody_account_id
           OR (h.order_id = n.order_id AND coalesce(h.class_hour_no, n.class_hour_no) = n.class_hour_no)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'release of class-hour % of order % refused: hold % stops it',
                early.class_hour_no, early.order_id, early.hold_id
                USING ERRCODE = 'restrict_violation', TABLE = 'release';
        END IF;
        SELECT n.order_id, n.class_hour_no INTO early
        FROM new_release n
        LEFT JOIN class_hour_event e ON e.institution_id = n.institution_id AND e.order_id = n.order_id
            AND e.class_hour_no = n.class_hour_no AND e.event = 'taught'
        WHERE e.event_on IS NULL OR e.event_on > n.released_on
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'release of class-hour % of order % refused: not yet taught', early.class_hour_no, early.order_id
                USING ERRCODE = 'restrict_violation', TABLE = 'release';
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER release_refuse_unearned AFTER INSERT ON release
        REFERENCING NEW TABLE AS new_release FOR EACH STATEMENT EXECUTE FUNCTION refuse_unearned_release()
    """,
)


def upgrade() -> None:
    """Create tables, then views, then the guard of releases."""
    _create_tables()
    for table in TABLES:
        for statement in append_only_ddl(table):
            op.execute(statement)
    for statement in (*VIEWS, *GUARDS):
        op.execute(statement)


def downgrade() -> None:
    """Drop everything again; refuses nothing, so only for an empty development database."""
    for view in ("receipt_taken_back", "order_position", "class_hour_state", "hold_in_force"):
        op.execute(f"DROP VIEW {view}")
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_unearned_release()")


TABLES = (
    "institution",
    "custody_account",
    "orders",
    "prepayment",
    "funding",
    "class_hour_event",
    "release",
    "refund_request",
    "refund",
    "hold",
    "hold_lift_proposal",
    "hold_lift",
    "instruction_file",
    "disbursement_instruction",
    "refund_instruction",
    "channel_settlement",
    "channel_settlement_item",
    "import_report",
    "import_finding",
)


def _create_tables() -> None:
    op.create_table(
        "institution",
        sa.Column(
            "institution_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="our own number for the institution"
        ),
        sa.Column(
            "institution_code", sa.Text(), nullable=False, comment="unified social credit code (GB 32100-2015), 18 characters"
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="registered name"),
        sa.Column("jurisdiction_code", sa.Text(), nullable=False, comment="whose rules apply: GB/T 2260 code of six digits"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint("institution_code ~ '^[0-9A-HJ-NPQRTUWXY]{18}$'", name=op.f("ck_institution_institution_code_form")),
        sa.CheckConstraint("jurisdiction_code ~ '^[0-9]{6}$'", name=op.f("ck_institution_jurisdiction_code_form")),
        sa.PrimaryKeyConstraint("institution_id", name=op.f("pk_institution")),
        sa.UniqueConstraint("institution_code", name=op.f("uq_institution_institution_code")),
        comment="who teaches and earns the money",
    )
    op.create_table(
        "custody_account",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "custody_account_id",
            sa.Integer(),
            sa.Identity(always=True),
            nullable=False,
            comment="our own number for the bank account",
        ),
        sa.Column("bank_code", sa.Text(), nullable=False, comment="the bank that keeps the account (config/banks.yaml)"),
        sa.Column("account_number", sa.Text(), nullable=False, comment="the bank's number of the account"),
        sa.Column("account_name", sa.Text(), nullable=False, comment="name on the account"),
        sa.Column("currency", sa.Text(), nullable=False, comment="ISO 4217 code"),
        sa.Column(
            "opened_on", sa.Date(), nullable=False, comment="first day the account may be used (business day, Asia/Shanghai)"
        ),
        sa.Column(
            "beneficiary_name",
            sa.Text(),
            nullable=False,
            comment="who is paid what has been released: the institution's own basic account",
        ),
        sa.Column("beneficiary_account", sa.Text(), nullable=False, comment="number of that account"),
        sa.Column("beneficiary_bank", sa.Text(), nullable=False, comment="bank of that account"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_custody_account_currency_form")),
        sa.ForeignKeyConstraint(
            ["institution_id"], ["institution.institution_id"], name=op.f("fk_custody_account_institution_id_institution")
        ),
        sa.PrimaryKeyConstraint("institution_id", "custody_account_id", name=op.f("pk_custody_account")),
        sa.UniqueConstraint("bank_code", "account_number", name=op.f("uq_custody_account_bank_code_account_number")),
        sa.UniqueConstraint("custody_account_id", name=op.f("uq_custody_account_custody_account_id")),
        sa.UniqueConstraint("institution_id", "account_number", name=op.f("uq_custody_account_institution_id_account_number")),
        comment="the real bank account where held money sits",
    )
    op.create_table(
        "orders",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the platform's number of the order"),
        sa.Column("custody_account_id", sa.Integer(), nullable=False, comment="where the money must arrive"),
        sa.Column("payer_token", sa.Text(), nullable=False, comment="stands for the payer; no name is kept here"),
        sa.Column("student_token", sa.Text(), nullable=False, comment="stands for the student; no name is kept here"),
        sa.Column("course_name", sa.Text(), nullable=False, comment="what is taught"),
        sa.Column("class_hours", sa.Integer(), nullable=False, comment="class-hours sold"),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="what the payer paid, in minor units (fen)"),
        sa.Column("channel", sa.Text(), nullable=False, comment="payment channel (config/channels.yaml)"),
        sa.Column("channel_reference", sa.Text(), nullable=False, comment="the channel's own number of the payment"),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False, comment="when the payer paid (UTC instant)"),
        sa.Column("course_starts_on", sa.Date(), nullable=False, comment="first day of teaching (business day, Asia/Shanghai)"),
        sa.Column("course_ends_on", sa.Date(), nullable=False, comment="last day of teaching (business day, Asia/Shanghai)"),
        sa.Column(
            "content_digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the row as given: tells a repeat from a contradiction",
        ),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_orders_amount_positive")),
        sa.CheckConstraint("class_hours > 0", name=op.f("ck_orders_class_hours_positive")),
        sa.CheckConstraint("course_ends_on >= course_starts_on", name=op.f("ck_orders_course_days_in_order")),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id"],
            ["custody_account.institution_id", "custody_account.custody_account_id"],
            name=op.f("fk_orders_institution_id_custody_account_id_custody_account"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", name=op.f("pk_orders")),
        comment="the platform's sales of class-hours to payers",
    )
    op.create_index("ix_orders_student", "orders", ["institution_id", "student_token"], unique=False)
    op.create_table(
        "prepayment",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order it was taken for"),
        sa.Column("custody_account_id", sa.Integer(), nullable=False, comment="where the money must arrive"),
        sa.Column("held_account_id", sa.BigInteger(), nullable=False, comment="ledger account prepayment_held of this order"),
        sa.Column(
            "receipt_item_id", sa.Uuid(), nullable=False, comment="open item (and transfer) of the money on its way to the bank"
        ),
        sa.Column("amount_minor_units", sa.BigInteger(), nullable=False, comment="what was paid, in minor units (fen)"),
        sa.Column("class_hours", sa.Integer(), nullable=False, comment="class-hours it is spread over"),
        sa.Column("jurisdiction_code", sa.Text(), nullable=False, comment="whose rules apply"),
        sa.Column("policy_version", sa.Text(), nullable=False, comment="the rules in force when it was paid"),
        sa.Column("release_mode", sa.Text(), nullable=False, comment="how it is released, fixed when it was paid"),
        sa.Column(
            "release_tranches",
            sa.Text(),
            nullable=False,
            comment="share:percent steps of mode tranches, such as 1/3:30,2/3:60,1/1:100; else empty",
        ),
        sa.Column("opened_on", sa.Date(), nullable=False, comment="when it was paid (business day, Asia/Shanghai)"),
        *evidence_columns(),
        sa.CheckConstraint(
            "(release_mode = 'tranches') = (release_tranches <> '')", name=op.f("ck_prepayment_tranches_with_mode")
        ),
        sa.CheckConstraint(
            "release_mode IN ('per_class_hour', 'tranches', 'order_complete')", name=op.f("ck_prepayment_release_mode_known")
        ),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_prepayment_amount_positive")),
        sa.CheckConstraint("class_hours > 0", name=op.f("ck_prepayment_class_hours_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["orders.institution_id", "orders.order_id"],
            name=op.f("fk_prepayment_institution_id_order_id_orders"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", name=op.f("pk_prepayment")),
        sa.UniqueConstraint("institution_id", "receipt_item_id", name=op.f("uq_prepayment_institution_id_receipt_item_id")),
        comment="money taken for an order before the teaching, and the rules it was taken under",
    )
    op.create_table(
        "funding",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order whose money the bank has shown"),
        sa.Column(
            "funded_on", sa.Date(), nullable=False, comment="when the bank's line was matched (business day, Asia/Shanghai)"
        ),
        sa.Column("transfer_id", sa.Uuid(), nullable=False, comment="the transfer that cleared the receipt"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["prepayment.institution_id", "prepayment.order_id"],
            name=op.f("fk_funding_institution_id_order_id_prepayment"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", name=op.f("pk_funding")),
        comment="prepayments whose money was seen at the bank: only these are released or refunded",
    )
    op.create_table(
        "class_hour_event",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("class_hour_no", sa.Integer(), nullable=False, comment="which class-hour of the order, 1-based"),
        sa.Column("event", sa.Text(), nullable=False, comment="what happened to the class-hour"),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False, comment="when it happened (UTC instant)"),
        sa.Column("event_on", sa.Date(), nullable=False, comment="the day it happened (business day, Asia/Shanghai)"),
        sa.Column(
            "reported_by", sa.Text(), nullable=False, comment="who reported it; 'system' for a confirmation deemed from silence"
        ),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the row as given"),
        sa.Column(
            "source_file_sha256",
            sa.LargeBinary(),
            nullable=True,
            comment="SHA-256 of the file it was read from; null when deemed",
        ),
        sa.Column("source_line", sa.Integer(), nullable=True, comment="1-based line of that file; null when deemed"),
        *evidence_columns(),
        sa.CheckConstraint(
            "(event = 'deemed_confirmed') = (reported_by = 'system')", name=op.f("ck_class_hour_event_deemed_by_system")
        ),
        sa.CheckConstraint(
            "(event = 'deemed_confirmed') = (source_line IS NULL)", name=op.f("ck_class_hour_event_deemed_has_no_source")
        ),
        sa.CheckConstraint(
            "event IN ('taught', 'confirmed', 'deemed_confirmed', 'disputed', 'dispute_withdrawn', 'dispute_upheld')",
            name=op.f("ck_class_hour_event_event_known"),
        ),
        sa.CheckConstraint("(source_file_sha256 IS NULL) = (source_line IS NULL)", name=op.f("ck_class_hour_event_source_whole")),
        sa.CheckConstraint("class_hour_no > 0", name=op.f("ck_class_hour_event_class_hour_no_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["prepayment.institution_id", "prepayment.order_id"],
            name=op.f("fk_class_hour_event_institution_id_order_id_prepayment"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", "class_hour_no", "event", name=op.f("pk_class_hour_event")),
        comment="what happened to each class-hour; each thing happens at most once",
    )
    op.create_table(
        "release",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("class_hour_no", sa.Integer(), nullable=False, comment="the class-hour released"),
        sa.Column(
            "instalment_no", sa.Integer(), nullable=False, comment="how many class-hours of the order are released with this one"
        ),
        sa.Column(
            "amount_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="the instalment by the closed form; may be 0, in minor units (fen)",
        ),
        sa.Column(
            "transfer_id",
            sa.Uuid(),
            nullable=True,
            comment="the transfer to the institution's payable; null when the instalment is 0",
        ),
        sa.Column("released_on", sa.Date(), nullable=False, comment="booking date (business day, Asia/Shanghai)"),
        sa.Column("basis", sa.Text(), nullable=False, comment="confirmed by the payer, or deemed from silence"),
        sa.Column("confirmation_event", sa.Text(), nullable=False, comment="the class_hour_event that allows it"),
        *evidence_columns(),
        sa.CheckConstraint(
            "(basis, confirmation_event) IN (('payer', 'confirmed'), ('deemed', 'deemed_confirmed'))",
            name=op.f("ck_release_basis_with_confirmation"),
        ),
        sa.CheckConstraint("(amount_minor_units = 0) = (transfer_id IS NULL)", name=op.f("ck_release_transfer_with_amount")),
        sa.CheckConstraint("amount_minor_units >= 0", name=op.f("ck_release_amount_not_negative")),
        sa.CheckConstraint("instalment_no > 0", name=op.f("ck_release_instalment_no_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id", "class_hour_no", "confirmation_event"],
            [
                "class_hour_event.institution_id",
                "class_hour_event.order_id",
                "class_hour_event.class_hour_no",
                "class_hour_event.event",
            ],
            name="fk_release_confirmation_class_hour_event",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["funding.institution_id", "funding.order_id"],
            name=op.f("fk_release_institution_id_order_id_funding"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", "class_hour_no", name=op.f("pk_release")),
        sa.UniqueConstraint(
            "institution_id", "order_id", "instalment_no", name=op.f("uq_release_institution_id_order_id_instalment_no")
        ),
        comment="class-hours whose money ceased to be the payer's",
    )
    op.create_index("ix_release_released_on", "release", ["released_on"], unique=False)
    op.create_table(
        "refund_request",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("refund_request_id", sa.Text(), nullable=False, comment="the platform's number of the request"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False, comment="when the payer asked (UTC instant)"),
        sa.Column("requested_on", sa.Date(), nullable=False, comment="the day the payer asked (business day, Asia/Shanghai)"),
        sa.Column("institution_response", sa.Text(), nullable=False, comment="agreed, or silent so far"),
        sa.Column("responded_at", sa.DateTime(timezone=True), nullable=True, comment="when the institution agreed (UTC instant)"),
        sa.Column(
            "responded_on", sa.Date(), nullable=True, comment="the day the institution agreed (business day, Asia/Shanghai)"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="the payer's reason"),
        sa.Column("payee_name", sa.Text(), nullable=False, comment="who gets the money back"),
        sa.Column("payee_account", sa.Text(), nullable=False, comment="the account it goes back to"),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the row as given"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint(
            "(institution_response = 'agreed') = (responded_at IS NOT NULL) AND (responded_at IS NULL) = (responded_on IS NULL)",
            name=op.f("ck_refund_request_response_dated"),
        ),
        sa.CheckConstraint(
            "institution_response IN ('agreed', 'silent')", name=op.f("ck_refund_request_institution_response_known")
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["prepayment.institution_id", "prepayment.order_id"],
            name=op.f("fk_refund_request_institution_id_order_id_prepayment"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "refund_request_id", name=op.f("pk_refund_request")),
        sa.UniqueConstraint(
            "institution_id",
            "refund_request_id",
            "order_id",
            name=op.f("uq_refund_request_institution_id_refund_request_id_order_id"),
        ),
        comment="payers' requests for what is not yet taught",
    )
    op.create_index("ix_refund_request_order", "refund_request", ["institution_id", "order_id"], unique=False)
    op.create_table(
        "refund",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("refund_request_id", sa.Text(), nullable=False, comment="the request it answers"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column(
            "amount_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="what goes back to the payer; 0 when nothing is left, in minor units (fen)",
        ),
        sa.Column(
            "transfer_id", sa.Uuid(), nullable=True, comment="the transfer to refunds in transit; null when the amount is 0"
        ),
        sa.Column("approved_on", sa.Date(), nullable=False, comment="booking date (business day, Asia/Shanghai)"),
        sa.Column("basis", sa.Text(), nullable=False, comment="agreed by the institution, or deemed from its silence"),
        sa.Column("released_hours", sa.Integer(), nullable=False, comment="class-hours released when it was approved"),
        sa.Column(
            "reserved_hours",
            sa.Integer(),
            nullable=False,
            comment="class-hours taught but not yet settled, whose instalments stay reserved",
        ),
        sa.Column("payee_name", sa.Text(), nullable=False, comment="who gets the money back"),
        sa.Column("payee_account", sa.Text(), nullable=False, comment="the account it goes back to"),
        *evidence_columns(),
        sa.CheckConstraint("basis IN ('agreed', 'deemed')", name=op.f("ck_refund_basis_known")),
        sa.CheckConstraint("(amount_minor_units = 0) = (transfer_id IS NULL)", name=op.f("ck_refund_transfer_with_amount")),
        sa.CheckConstraint("amount_minor_units >= 0", name=op.f("ck_refund_amount_not_negative")),
        sa.CheckConstraint("released_hours >= 0 AND reserved_hours >= 0", name=op.f("ck_refund_hours_not_negative")),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["funding.institution_id", "funding.order_id"],
            name=op.f("fk_refund_institution_id_order_id_funding"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "refund_request_id", "order_id"],
            ["refund_request.institution_id", "refund_request.refund_request_id", "refund_request.order_id"],
            name="fk_refund_request",
        ),
        sa.PrimaryKeyConstraint("institution_id", "refund_request_id", name=op.f("pk_refund")),
        comment="unreleased money returned to payers",
    )
    op.create_index("ix_refund_order", "refund", ["institution_id", "order_id"], unique=False)
    op.create_table(
        "hold",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("hold_id", sa.BigInteger(), sa.Identity(always=True), nullable=False, comment="our own number of the hold"),
        sa.Column(
            "scope",
            sa.Text(),
            nullable=False,
            comment="what is stopped: one order, one class-hour, or everything of a custody account",
        ),
        sa.Column("order_id", sa.Text(), nullable=True, comment="the order, for scopes order and class_hour"),
        sa.Column("class_hour_no", sa.Integer(), nullable=True, comment="the class-hour, for scope class_hour"),
        sa.Column("custody_account_id", sa.Integer(), nullable=True, comment="the account, for scope custody_account"),
        sa.Column(
            "stops_release",
            sa.Boolean(),
            nullable=False,
            comment="whether releases (and disbursements of an account) are stopped",
        ),
        sa.Column("stops_refund", sa.Boolean(), nullable=False, comment="whether refunds are stopped"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why"),
        sa.Column("placed_by", sa.Text(), nullable=False, comment="who placed it"),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False, comment="when it was placed (UTC instant)"),
        *evidence_columns(),
        sa.CheckConstraint("(scope = 'class_hour') = (class_hour_no IS NOT NULL)", name=op.f("ck_hold_class_hour_named")),
        sa.CheckConstraint(
            "(scope = 'custody_account') = (custody_account_id IS NOT NULL) AND (order_id IS NULL) = (scope = 'custody_account')",
            name=op.f("ck_hold_scope_names_its_object"),
        ),
        sa.CheckConstraint("btrim(reason) <> ''", name=op.f("ck_hold_reason_given")),
        sa.CheckConstraint("scope IN ('order', 'class_hour', 'custody_account')", name=op.f("ck_hold_scope_known")),
        sa.CheckConstraint("stops_release OR stops_refund", name=op.f("ck_hold_stops_something")),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id"],
            ["custody_account.institution_id", "custody_account.custody_account_id"],
            name=op.f("fk_hold_institution_id_custody_account_id_custody_account"),
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["prepayment.institution_id", "prepayment.order_id"],
            name=op.f("fk_hold_institution_id_order_id_prepayment"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "hold_id", name=op.f("pk_hold")),
        comment="stops on release or refund, with reason and author",
    )
    op.create_table(
        "hold_lift_proposal",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("hold_id", sa.BigInteger(), nullable=False, comment="the hold to be lifted"),
        sa.Column("prepared_by", sa.Text(), nullable=False, comment="who proposes to lift it"),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False, comment="when it was proposed (UTC instant)"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it may be lifted"),
        *evidence_columns(),
        sa.CheckConstraint("btrim(reason) <> ''", name=op.f("ck_hold_lift_proposal_reason_given")),
        sa.ForeignKeyConstraint(
            ["institution_id", "hold_id"],
            ["hold.institution_id", "hold.hold_id"],
            name=op.f("fk_hold_lift_proposal_institution_id_hold_id_hold"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "hold_id", "prepared_by", name=op.f("pk_hold_lift_proposal")),
        comment="proposals to lift a hold, waiting for a second person",
    )
    op.create_table(
        "hold_lift",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("hold_id", sa.BigInteger(), nullable=False, comment="the hold that is lifted"),
        sa.Column("prepared_by", sa.Text(), nullable=False, comment="who proposed it"),
        sa.Column("approved_by", sa.Text(), nullable=False, comment="who approved it: another person"),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False, comment="when it was lifted (UTC instant)"),
        *evidence_columns(),
        sa.CheckConstraint("prepared_by <> approved_by", name=op.f("ck_hold_lift_two_persons")),
        sa.ForeignKeyConstraint(
            ["institution_id", "hold_id", "prepared_by"],
            ["hold_lift_proposal.institution_id", "hold_lift_proposal.hold_id", "hold_lift_proposal.prepared_by"],
            name="fk_hold_lift_proposal",
        ),
        sa.PrimaryKeyConstraint("institution_id", "hold_id", name=op.f("pk_hold_lift")),
        comment="holds that two persons have lifted",
    )
    op.create_table(
        "instruction_file",
        sa.Column(
            "instruction_file_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="our own number of the file"
        ),
        sa.Column("bank_code", sa.Text(), nullable=False, comment="the bank it is for"),
        sa.Column("kind", sa.Text(), nullable=False, comment="what it orders: disbursements or refunds"),
        sa.Column(
            "business_date", sa.Date(), nullable=False, comment="the day of its instructions (business day, Asia/Shanghai)"
        ),
        sa.Column("sequence", sa.Integer(), nullable=False, comment="1 for the first file of that bank, kind and day"),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name under which the bank gets it"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of content"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="the bytes as sent"),
        sa.Column("order_count", sa.Integer(), nullable=False, comment="payment orders in it"),
        sa.Column("total_minor_units", sa.BigInteger(), nullable=False, comment="their sum, in minor units (fen)"),
        *evidence_columns(),
        sa.CheckConstraint("kind IN ('disbursement', 'refund')", name=op.f("ck_instruction_file_kind_known")),
        sa.CheckConstraint("order_count > 0", name=op.f("ck_instruction_file_order_count_positive")),
        sa.CheckConstraint("sequence > 0", name=op.f("ck_instruction_file_sequence_positive")),
        sa.CheckConstraint("sha256 = sha256(content)", name=op.f("ck_instruction_file_sha256_of_content")),
        sa.CheckConstraint("total_minor_units > 0", name=op.f("ck_instruction_file_total_positive")),
        sa.PrimaryKeyConstraint("instruction_file_id", name=op.f("pk_instruction_file")),
        sa.UniqueConstraint(
            "bank_code",
            "kind",
            "business_date",
            "sequence",
            name=op.f("uq_instruction_file_bank_code_kind_business_date_sequence"),
        ),
        sa.UniqueConstraint("file_name", name=op.f("uq_instruction_file_file_name")),
        comment="what the banks were told to pay, byte for byte",
    )
    op.create_table(
        "disbursement_instruction",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column(
            "instruction_id",
            sa.Text(),
            nullable=False,
            comment="the number the bank repeats: DI, the day, the last eight digits of the account",
        ),
        sa.Column("custody_account_id", sa.Integer(), nullable=False, comment="where the money leaves"),
        sa.Column("instruction_date", sa.Date(), nullable=False, comment="booking date (business day, Asia/Shanghai)"),
        sa.Column(
            "amount_minor_units",
            sa.BigInteger(),
            nullable=False,
            comment="all that was payable to the institution, in minor units (fen)",
        ),
        sa.Column("beneficiary_name", sa.Text(), nullable=False, comment="who is paid"),
        sa.Column("beneficiary_account", sa.Text(), nullable=False, comment="the account that is paid"),
        sa.Column("beneficiary_bank", sa.Text(), nullable=False, comment="its bank"),
        sa.Column("transfer_id", sa.Uuid(), nullable=False, comment="the transfer to disbursements in transit"),
        sa.Column("instruction_file_id", sa.Integer(), nullable=False, comment="the file that carries it"),
        *evidence_columns(),
        sa.CheckConstraint("amount_minor_units > 0", name=op.f("ck_disbursement_instruction_amount_positive")),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id"],
            ["custody_account.institution_id", "custody_account.custody_account_id"],
            name=op.f("fk_disbursement_instruction_institution_id_custody_account_id_custody_account"),
        ),
        sa.ForeignKeyConstraint(
            ["instruction_file_id"],
            ["instruction_file.instruction_file_id"],
            name=op.f("fk_disbursement_instruction_instruction_file_id_instruction_file"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "instruction_id", name=op.f("pk_disbursement_instruction")),
        sa.UniqueConstraint(
            "institution_id",
            "custody_account_id",
            "instruction_date",
            name=op.f("uq_disbursement_instruction_institution_id_custody_account_id_instruction_date"),
        ),
        comment="our orders to the banks to pay released money out",
    )
    op.create_table(
        "refund_instruction",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("refund_request_id", sa.Text(), nullable=False, comment="the refund"),
        sa.Column("instruction_date", sa.Date(), nullable=False, comment="the day of the file (business day, Asia/Shanghai)"),
        sa.Column("instruction_file_id", sa.Integer(), nullable=False, comment="the file that carries it"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["institution_id", "refund_request_id"],
            ["refund.institution_id", "refund.refund_request_id"],
            name=op.f("fk_refund_instruction_institution_id_refund_request_id_refund"),
        ),
        sa.ForeignKeyConstraint(
            ["instruction_file_id"],
            ["instruction_file.instruction_file_id"],
            name=op.f("fk_refund_instruction_instruction_file_id_instruction_file"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "refund_request_id", name=op.f("pk_refund_instruction")),
        comment="our orders to the banks to pay refunds",
    )
    op.create_table(
        "channel_settlement",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("custody_account_id", sa.Integer(), nullable=False, comment="where the channel pays"),
        sa.Column("channel", sa.Text(), nullable=False, comment="the payment channel"),
        sa.Column(
            "settlement_batch",
            sa.Text(),
            nullable=False,
            comment="the channel's number of the batch, which arrives as one bank line",
        ),
        sa.Column("settled_on", sa.Date(), nullable=False, comment="the day the channel pays (business day, Asia/Shanghai)"),
        sa.Column("gross_minor_units", sa.BigInteger(), nullable=False, comment="what payers paid, in minor units (fen)"),
        sa.Column(
            "fee_minor_units", sa.BigInteger(), nullable=False, comment="what the channel keeps back, in minor units (fen)"
        ),
        sa.Column("net_minor_units", sa.BigInteger(), nullable=False, comment="what arrives, in minor units (fen)"),
        sa.Column("item_count", sa.Integer(), nullable=False, comment="orders in the batch"),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of all rows of the batch"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint("fee_minor_units >= 0", name=op.f("ck_channel_settlement_fee_not_negative")),
        sa.CheckConstraint("gross_minor_units > 0", name=op.f("ck_channel_settlement_gross_positive")),
        sa.CheckConstraint("item_count > 0", name=op.f("ck_channel_settlement_item_count_positive")),
        sa.CheckConstraint(
            "net_minor_units = gross_minor_units - fee_minor_units", name=op.f("ck_channel_settlement_net_is_gross_less_fee")
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id"],
            ["custody_account.institution_id", "custody_account.custody_account_id"],
            name=op.f("fk_channel_settlement_institution_id_custody_account_id_custody_account"),
        ),
        sa.PrimaryKeyConstraint(
            "institution_id", "custody_account_id", "channel", "settlement_batch", name=op.f("pk_channel_settlement")
        ),
        comment="settlement batches of payment channels, as the channels report them",
    )
    op.create_table(
        "channel_settlement_item",
        sa.Column("institution_id", sa.Integer(), nullable=False, comment="the institution whose data this is"),
        sa.Column("order_id", sa.Text(), nullable=False, comment="the order"),
        sa.Column("custody_account_id", sa.Integer(), nullable=False, comment="where the channel pays"),
        sa.Column("channel", sa.Text(), nullable=False, comment="the payment channel"),
        sa.Column("settlement_batch", sa.Text(), nullable=False, comment="the batch the order is settled in"),
        sa.Column("channel_reference", sa.Text(), nullable=False, comment="the channel's own number of the payment"),
        sa.Column("gross_minor_units", sa.BigInteger(), nullable=False, comment="what the payer paid, in minor units (fen)"),
        sa.Column(
            "fee_minor_units", sa.BigInteger(), nullable=False, comment="what the channel keeps back, in minor units (fen)"
        ),
        sa.Column("net_minor_units", sa.BigInteger(), nullable=False, comment="what arrives, in minor units (fen)"),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False, comment="SHA-256 of the row as given"),
        sa.Column("source_file_sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file this row was read from"),
        sa.Column("source_line", sa.Integer(), nullable=False, comment="1-based line of that file"),
        *evidence_columns(),
        sa.CheckConstraint("fee_minor_units >= 0", name=op.f("ck_channel_settlement_item_fee_not_negative")),
        sa.CheckConstraint("gross_minor_units > 0", name=op.f("ck_channel_settlement_item_gross_positive")),
        sa.CheckConstraint(
            "net_minor_units = gross_minor_units - fee_minor_units", name=op.f("ck_channel_settlement_item_net_is_gross_less_fee")
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "custody_account_id", "channel", "settlement_batch"],
            [
                "channel_settlement.institution_id",
                "channel_settlement.custody_account_id",
                "channel_settlement.channel",
                "channel_settlement.settlement_batch",
            ],
            name="fk_channel_settlement_item_batch",
        ),
        sa.ForeignKeyConstraint(
            ["institution_id", "order_id"],
            ["prepayment.institution_id", "prepayment.order_id"],
            name=op.f("fk_channel_settlement_item_institution_id_order_id_prepayment"),
        ),
        sa.PrimaryKeyConstraint("institution_id", "order_id", name=op.f("pk_channel_settlement_item")),
        comment="which orders a settlement batch pays for",
    )
    op.create_index(
        "ix_channel_settlement_item_batch",
        "channel_settlement_item",
        ["institution_id", "custody_account_id", "channel", "settlement_batch"],
        unique=False,
    )
    op.create_table(
        "import_report",
        sa.Column(
            "import_report_id", sa.Integer(), sa.Identity(always=True), nullable=False, comment="our own number of the import"
        ),
        sa.Column("kind", sa.Text(), nullable=False, comment="what was imported"),
        sa.Column("file_name", sa.Text(), nullable=False, comment="name of the file as given"),
        sa.Column("sha256", sa.LargeBinary(), nullable=False, comment="SHA-256 of the file"),
        sa.Column("byte_count", sa.BigInteger(), nullable=False, comment="its length"),
        sa.Column("actor", sa.Text(), nullable=False, comment="who imported it"),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False, comment="when (UTC instant)"),
        sa.Column("row_count", sa.Integer(), nullable=False, comment="data rows read"),
        sa.Column("accepted_count", sa.Integer(), nullable=False, comment="rows taken"),
        sa.Column("repeated_count", sa.Integer(), nullable=False, comment="rows taken before with the same content"),
        sa.Column("refused_count", sa.Integer(), nullable=False, comment="rows refused, each with a finding"),
        *evidence_columns(),
        sa.CheckConstraint(
            "kind IN ('institutions', 'orders', 'class-hours', 'refund-requests', 'channel-settlements')",
            name=op.f("ck_import_report_kind_known"),
        ),
        sa.CheckConstraint(
            "row_count = accepted_count + repeated_count + refused_count", name=op.f("ck_import_report_rows_accounted_for")
        ),
        sa.PrimaryKeyConstraint("import_report_id", name=op.f("pk_import_report")),
        comment="every import tried, and what became of its rows; the file itself stays with its sender",
    )
    op.create_table(
        "import_finding",
        sa.Column("import_report_id", sa.Integer(), nullable=False, comment="the import"),
        sa.Column("finding_no", sa.Integer(), nullable=False, comment="1-based"),
        sa.Column("line", sa.Integer(), nullable=False, comment="1-based line of the file; 0 for the file as a whole"),
        sa.Column("field", sa.Text(), nullable=False, comment="the column concerned; empty for the whole row"),
        sa.Column("code", sa.Text(), nullable=False, comment="what kind of fault"),
        sa.Column("reason", sa.Text(), nullable=False, comment="what is wrong, in a sentence"),
        sa.Column("refused", sa.Boolean(), nullable=False, comment="whether the row was refused, or taken and flagged"),
        sa.Column("subject", sa.ARRAY(sa.Text()), nullable=False, comment="the row's own key, as far as it could be read"),
        *evidence_columns(),
        sa.ForeignKeyConstraint(
            ["import_report_id"],
            ["import_report.import_report_id"],
            name=op.f("fk_import_finding_import_report_id_import_report"),
        ),
        sa.PrimaryKeyConstraint("import_report_id", "finding_no", name=op.f("pk_import_finding")),
        comment="what was wrong with imported rows, kept so that a refused payment never vanishes",
    )
