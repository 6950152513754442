"""Tables of what banks answer to instructions, and of what people do about it. Both are append-only."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from storage.append_only import APPEND_ONLY, evidence_columns
from storage.columns import instant_column, institution_column, one_of, text_column
from storage.metadata import metadata

instruction_answer_file = Table(
    "instruction_answer_file",
    metadata,
    Column("instruction_answer_file_id", Integer, Identity(always=True), nullable=False, comment="our own number of the file"),
    text_column("bank_code", "the bank that answers"),
    text_column("file_name", "name under which it came"),
    Column("sha256", LargeBinary, nullable=False, comment="SHA-256 of content"),
    Column("content", LargeBinary, nullable=False, comment="the bytes as received"),
    text_column("format", "pain.002 or csv"),
    text_column("bank_message_id", "the bank's own number of the message; empty in a table"),
    Column("answer_count", Integer, nullable=False, comment="answers recorded from it"),
    Column("findings", ARRAY(Text), nullable=False, comment="what in it could not be used, and why"),
    text_column("received_by", "who delivered it"),
    instant_column("received_at", "when"),
    *evidence_columns(),
    PrimaryKeyConstraint("instruction_answer_file_id"),
    CheckConstraint("sha256 = sha256(content)", name="sha256_of_content"),
    CheckConstraint("answer_count >= 0", name="answer_count_not_negative"),
    Index("ix_instruction_answer_file_sha256", "sha256"),
    info=APPEND_ONLY,
    comment="what banks answered to our instructions, byte for byte",
)

instruction_event = Table(
    "instruction_event",
    metadata,
    institution_column(),
    text_column("reference", "the end-to-end reference of the instruction"),
    Column("event_no", Integer, nullable=False, comment="1, 2, 3 ... within the instruction"),
    text_column("instruction_id", "the disbursement instruction, when it is one", nullable=True),
    text_column("refund_request_id", "the refund instructed, when it is one", nullable=True),
    text_column("event", "accepted, rejected, pending (the bank's answers), queried, return_prepared, return_declined, returned"),
    instant_column("event_at", "when"),
    text_column("actor", "who delivered the answer, or who acted"),
    text_column("reason", "the bank's reason, or the person's", nullable=True),
    text_column("reason_code", "the bank's code of the reason", nullable=True),
    text_column("bank_reference", "the bank's own number of the payment", nullable=True),
    Column("instruction_answer_file_id", Integer, nullable=True, comment="the file that holds the answer"),
    Column("answer_line", Integer, nullable=True, comment="1-based line of that file"),
    Column("prepared_event_no", Integer, nullable=True, comment="the proposal decided on"),
    text_column("prepared_by", "who proposed it", nullable=True),
    Column("transfer_id", Uuid, nullable=True, comment="the reversal that put the money back (returned)"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "reference", "event_no"),
    UniqueConstraint("institution_id", "reference", "event_no", "actor"),
    ForeignKeyConstraint(
        ["institution_id", "instruction_id"],
        ["disbursement_instruction.institution_id", "disbursement_instruction.instruction_id"],
        name="fk_instruction_event_disbursement",
    ),
    ForeignKeyConstraint(
        ["institution_id", "refund_request_id"],
        ["refund_instruction.institution_id", "refund_instruction.refund_request_id"],
        name="fk_instruction_event_refund",
    ),
    ForeignKeyConstraint(
        ["instruction_answer_file_id"],
        ["instruction_answer_file.instruction_answer_file_id"],
        name="fk_instruction_event_answer_file",
    ),
    ForeignKeyConstraint(
        ["institution_id", "reference", "prepared_event_no", "prepared_by"],
        [
            "instruction_event.institution_id",
            "instruction_event.reference",
            "instruction_event.event_no",
            "instruction_event.actor",
        ],
        name="fk_instruction_event_prepared_by_its_actor",
    ),
    one_of("event", ["accepted", "rejected", "pending", "queried", "return_prepared", "return_declined", "returned"]),
    CheckConstraint("(instruction_id IS NULL) <> (refund_request_id IS NULL)", name="about_one_instruction"),
    CheckConstraint("reference = coalesce(instruction_id, 'RF' || refund_request_id)", name="reference_of_instruction"),
    CheckConstraint(
        "(event IN ('accepted', 'rejected', 'pending')) = (instruction_answer_file_id IS NOT NULL)", name="answer_from_a_file"
    ),
    CheckConstraint(
        "event NOT IN ('return_prepared', 'return_declined') OR btrim(coalesce(reason, '')) <> ''", name="reason_given"
    ),
    CheckConstraint(
        "(event IN ('returned', 'return_declined')) = (prepared_event_no IS NOT NULL AND prepared_by IS NOT NULL)",
        name="decides_on_a_proposal",
    ),
    CheckConstraint("prepared_event_no IS NULL OR prepared_event_no < event_no", name="after_its_proposal"),
    CheckConstraint("event <> 'returned' OR prepared_by <> actor", name="two_persons"),
    CheckConstraint("(event = 'returned') = (transfer_id IS NOT NULL)", name="returned_by_a_transfer"),
    CheckConstraint("event_no >= 1", name="event_no_from_one"),
    info=APPEND_ONLY,
    comment="what banks answered to each instruction, and how a rejected one's money went back",
)
