"""Tables of the books. What keeps them true is in migrations/versions/0002_ledger.py (triggers) and ledger/verification.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
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
from sqlalchemy.dialects.postgresql import ARRAY

from storage.append_only import APPEND_ONLY, evidence_columns, projection
from storage.metadata import metadata

account = Table(
    "account",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column(
        "account_id", BigInteger, Identity(always=True), nullable=False, comment="number of the account, unique in the database"
    ),
    Column("custody_account_id", BigInteger, nullable=False, comment="the real bank account these books are about"),
    Column("kind", Text, nullable=False, comment="kind in the chart of accounts"),
    Column("subject", Text, nullable=False, comment="order id or channel that tells accounts of a kind apart, else empty"),
    Column("normal_side", Text, nullable=False, comment="side on which the balance is positive: DEBIT or CREDIT"),
    Column("currency", Text, nullable=False, comment="ISO 4217 code"),
    Column("floor_minor_units", BigInteger, comment="lowest balance on the normal side, minor units; null for none"),
    Column("in_transit", Boolean, nullable=False, comment="whether its open items are the book side of reconciliation"),
    Column("opened_on", Date, nullable=False, comment="first business day it can be posted to"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "account_id"),
    UniqueConstraint("institution_id", "custody_account_id", "kind", "subject"),
    CheckConstraint("normal_side IN ('DEBIT', 'CREDIT')", name="normal_side"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("floor_minor_units <= 0", name="floor_not_above_zero"),
    Index(None, "account_id"),
    info=APPEND_ONLY,
    comment="accounts of the books; closing one is a row in account_closing",
)

account_closing = Table(
    "account_closing",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("account_id", BigInteger, nullable=False, comment="the account that closes"),
    Column("closed_on", Date, nullable=False, comment="first business day on which it cannot be posted to"),
    Column("actor", Text, nullable=False, comment="who closed it"),
    Column("reason", Text, nullable=False, comment="why"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "account_id"),
    ForeignKeyConstraint(["institution_id", "account_id"], ["account.institution_id", "account.account_id"]),
    info=APPEND_ONLY,
    comment="that an account is closed; only an account whose balance is zero can be",
)

account_balance = Table(
    "account_balance",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("account_id", BigInteger, nullable=False, comment="the account"),
    Column("last_seq", BigInteger, nullable=False, comment="number of its last posting; 0 before the first"),
    Column(
        "balance_minor_units", BigInteger, nullable=False, comment="debits minus credits, minor units (so all accounts sum to 0)"
    ),
    Column(
        "pending_debits_minor_units",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="debits reserved by pending transfers, minor units",
    ),
    Column(
        "pending_credits_minor_units",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="credits reserved by pending transfers, minor units",
    ),
    Column("last_booking_date", Date, comment="latest business day it was posted to; null before the first posting"),
    Column(
        "first_late_seq",
        BigInteger,
        comment="its postings with a smaller number are in the order of their days; null when all are",
    ),
    PrimaryKeyConstraint("institution_id", "account_id"),
    ForeignKeyConstraint(["institution_id", "account_id"], ["account.institution_id", "account.account_id"]),
    CheckConstraint("last_seq >= 0", name="last_seq"),
    CheckConstraint("pending_debits_minor_units >= 0 AND pending_credits_minor_units >= 0", name="pending_not_negative"),
    info=projection(
        "the last running balance of transfer and the sums of unresolved pending_transfer, "
        "moved only by the triggers that check them"
    ),
    comment="balance of every account now",
    # Room on each page keeps the update of a hot row on the page it is on (heap-only tuple), out of the index.
    postgresql_with={"fillfactor": 50},
)

account_day = Table(
    "account_day",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("account_id", BigInteger, nullable=False, comment="the account"),
    Column("booking_date", Date, nullable=False, comment="business day"),
    Column("debits_minor_units", BigInteger, nullable=False, comment="sum of its debits of that day, minor units"),
    Column("credits_minor_units", BigInteger, nullable=False, comment="sum of its credits of that day, minor units"),
    Column("first_seq", BigInteger, nullable=False, comment="number of the first posting recorded for that day"),
    Column("last_seq", BigInteger, nullable=False, comment="number of the newest posting recorded for that day"),
    Column(
        "balance_minor_units", BigInteger, nullable=False, comment="debits minus credits of the account right after that posting"
    ),
    PrimaryKeyConstraint("institution_id", "account_id", "booking_date"),
    CheckConstraint("debits_minor_units >= 0 AND credits_minor_units >= 0", name="sums_not_negative"),
    info=projection("sums of transfer by account and booking date, moved only by the trigger that checks new transfers"),
    comment="what each account moved on each business day; balances as of a date are sums of these",
    postgresql_with={"fillfactor": 70},
)

account_late = Table(
    "account_late",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("account_id", BigInteger, nullable=False, comment="the account"),
    Column("first_seq", BigInteger, nullable=False, comment="number of the first posting of the run"),
    Column("last_seq", BigInteger, nullable=False, comment="number of its last posting; all are of one batch"),
    Column("booking_date", Date, nullable=False, comment="business day of them all"),
    Column("units_minor_units", BigInteger, nullable=False, comment="their debits minus credits, minor units"),
    PrimaryKeyConstraint("institution_id", "account_id", "first_seq"),
    CheckConstraint("first_seq <= last_seq", name="order"),
    info=projection("runs of late postings of transfer, written only by the trigger that checks new transfers"),
    comment="postings booked on a day before one the account had been posted to already, in runs",
)

reversal = Table(
    "reversal",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("original_id", Uuid, nullable=False, comment="the transfer that is undone, at most once"),
    Column("reversal_id", Uuid, nullable=False, comment="the transfer that undoes it"),
    PrimaryKeyConstraint("institution_id", "original_id"),
    info=projection("the reversals of transfer, written only by the trigger that checks new transfers"),
    comment="which transfer reverses which, over all months of the journal",
)

batch_months = Table(
    "batch_months",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("first_batch_id", BigInteger, nullable=False, comment="the first batch of the run"),
    Column("months", ARRAY(Date), nullable=False, comment="first days of the months its transfers lie in, by ids and bookings"),
    PrimaryKeyConstraint("institution_id", "first_batch_id"),
    info=projection("the months of transfer by batch, written only by the trigger that checks new transfers"),
    comment="months that an institution's batches lie in, from a batch on until the next row",
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("last_batch_id", BigInteger, nullable=False, comment="the newest batch with a header; 0 before the first"),
    Column("last_digest", LargeBinary, nullable=False, comment="row digest of that batch; 32 zero bytes before the first"),
    Column(
        "written_batch_id", BigInteger, nullable=False, comment="the newest batch with transfers; equals last_batch_id at commit"
    ),
    Column("written_count", BigInteger, comment="number of transfers of the batch written last; null before the first"),
    Column("written_minor_units", BigInteger, comment="sum of their amounts over all currencies, minor units"),
    Column("written_root", LargeBinary, comment="Merkle root over their leaves; the batch's header must say the same"),
    PrimaryKeyConstraint("institution_id"),
    info=projection("the newest posting_batch of each institution; posting locks this row, so an institution's batches queue up"),
    comment="where an institution's chain of batches ends",
)

posting_batch = Table(
    "posting_batch",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("batch_id", BigInteger, nullable=False, comment="1, 2, 3 ... without a gap in each institution"),
    Column("encoding", Text, nullable=False, comment="canonical encoding of the leaves"),
    Column("transfer_count", BigInteger, nullable=False, comment="number of its transfers"),
    Column(
        "total_minor_units",
        BigInteger,
        nullable=False,
        comment="sum of its amounts over all currencies, minor units (a check total)",
    ),
    Column("root", LargeBinary, nullable=False, comment="Merkle root (RFC 6962) over the leaves of its transfers in line order"),
    Column("previous_digest", LargeBinary, nullable=False, comment="row digest of the batch before; 32 zero bytes for batch 1"),
    Column("actor", Text, nullable=False, comment="who or which job posted it"),
    Column("reason", Text, nullable=False, comment="why"),
    Column("rule_version", Text, nullable=False, comment="version of the rules the decision was made by"),
    Column("posted_at", DateTime(timezone=True), nullable=False, comment="instant of posting, UTC"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "batch_id"),
    CheckConstraint("batch_id > 0", name="batch_id"),
    CheckConstraint("encoding = 'v1'", name="encoding"),
    CheckConstraint("transfer_count > 0", name="transfer_count"),
    CheckConstraint("total_minor_units > 0", name="total"),
    CheckConstraint("octet_length(root) = 32 AND octet_length(previous_digest) = 32", name="digests"),
    Index(None, "institution_id", "posted_at"),
    Index(None, "institution_id", "recorded_at", "batch_id"),
    info=APPEND_ONLY,
    comment="transfers written together: who, why, by which rules, and the seal over them",
)

transfer = Table(
    "transfer",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("transfer_id", Uuid, nullable=False, comment="deterministic id of the source event: the idempotency key"),
    Column("batch_id", BigInteger, nullable=False, comment="the batch it was written in"),
    Column("line", Integer, nullable=False, comment="its place in the batch: 1, 2, 3 ..."),
    Column("debit_account_id", BigInteger, nullable=False, comment="account debited"),
    Column("credit_account_id", BigInteger, nullable=False, comment="account credited"),
    Column("amount_minor_units", BigInteger, nullable=False, comment="amount, minor units, above 0"),
    Column("currency", Text, nullable=False, comment="ISO 4217 code, that of both accounts"),
    Column("booking_date", Date, nullable=False, comment="business day it counts for"),
    Column("reason", Text, nullable=False, comment="name of the event: order_paid, receipt_matched, class_hour_released ..."),
    Column("source_kind", Text, nullable=False, comment="kind of the source event; with source_ref it names the journal entry"),
    Column("source_ref", Text, nullable=False, comment="key of the source event"),
    Column("reverses", Uuid, comment="the transfer this one undoes"),
    Column(
        "debit_seq",
        BigInteger,
        nullable=False,
        comment="number of this posting in the debited account: 1, 2, 3 ... over both sides",
    ),
    Column(
        "debit_balance_minor_units", BigInteger, nullable=False, comment="debits minus credits of the debited account after it"
    ),
    Column("credit_seq", BigInteger, nullable=False, comment="number of this posting in the credited account"),
    Column(
        "credit_balance_minor_units", BigInteger, nullable=False, comment="debits minus credits of the credited account after it"
    ),
    Column("leaf", LargeBinary, nullable=False, comment="SHA-256 over every other column in the batch's encoding"),
    PrimaryKeyConstraint("institution_id", "transfer_id"),
    CheckConstraint("amount_minor_units > 0", name="amount_above_zero"),
    CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
    CheckConstraint("line > 0", name="line"),
    # One partition a month of the booking day, with which an id begins (``ledger.months``). Numbers of postings and
    # lines of a batch are unique by an index within each partition, and over all of them by transfer_guard; originals of
    # reversals by the key of reversal.
    # The accounts and the batch have no foreign keys here: two set-based triggers check them for a whole batch at once,
    # where foreign keys would ask three questions for every row. The leaf is this table's row digest.
    info={**APPEND_ONLY, "row_digest": "leaf"},
    comment="the journal: one debit account, one credit account, one positive amount, so it always balances",
    postgresql_partition_by="RANGE (transfer_id)",
)

journal_month = Table(
    "journal_month",
    metadata,
    Column("partition_name", Text, nullable=False, comment="the partition of transfer: its month is in its name"),
    *evidence_columns(),
    PrimaryKeyConstraint("partition_name"),
    info=APPEND_ONLY,
    comment="months of the journal that were made; each must be there",
)

open_item = Table(
    "open_item",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("item_id", Uuid, nullable=False, comment="id of the transfer that put the money in transit"),
    Column("custody_account_id", BigInteger, nullable=False, comment="the real bank account it should arrive at or leave"),
    Column("account_id", BigInteger, nullable=False, comment="the in-transit account"),
    Column("kind", Text, nullable=False, comment="receipt, disbursement, refund ..."),
    Column("direction", Text, nullable=False, comment="IN: should come into the custody account; OUT: should leave it"),
    Column("amount_minor_units", BigInteger, nullable=False, comment="amount, minor units, above 0"),
    Column("currency", Text, nullable=False, comment="ISO 4217 code"),
    Column("booking_date", Date, nullable=False, comment="business day it went into transit"),
    Column("due_date", Date, nullable=False, comment="business day the bank should show it"),
    Column("item_references", ARRAY(Text), nullable=False, comment="strings a bank line may carry"),
    Column("group_key", Text, comment="settlement batch whose items arrive as one bank line"),
    Column("expected_fee_minor_units", BigInteger, nullable=False, comment="what the channel keeps back, minor units"),
    Column("counterparty_name", Text, comment="who pays or is paid"),
    Column("counterparty_account", Text, comment="their bank account"),
    Column("original_item_id", Uuid, comment="the item this one is about again, after its clearing was reversed or returned"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "item_id"),
    ForeignKeyConstraint(["institution_id", "item_id"], ["transfer.institution_id", "transfer.transfer_id"]),
    ForeignKeyConstraint(["institution_id", "original_item_id"], ["open_item.institution_id", "open_item.item_id"]),
    CheckConstraint("direction IN ('IN', 'OUT')", name="direction"),
    CheckConstraint("amount_minor_units > 0", name="amount_above_zero"),
    CheckConstraint("expected_fee_minor_units >= 0", name="expected_fee"),
    Index(None, "institution_id", "custody_account_id", "booking_date"),
    info=APPEND_ONLY,
    comment="money in transit that a bank line should clear: the book side of reconciliation",
)

open_item_clearing = Table(
    "open_item_clearing",
    metadata,
    Column("institution_id", Integer, nullable=False, comment="whose books"),
    Column("item_id", Uuid, nullable=False, comment="the open item, cleared at most once"),
    Column("clearing_transfer_id", Uuid, nullable=False, comment="the transfer that took it out of transit"),
    Column("cleared_on", Date, nullable=False, comment="booking date of that transfer"),
    *evidence_columns(),
    PrimaryKeyConstraint("institution_id", "item_id"),
    UniqueConstraint("institution_id", "clearing_transfer_id"),
    ForeignKeyConstraint(["institution_id", "item_id"], ["open_item.institution_id", "open_item.item_id"]),
    ForeignKeyConstraint(["institution_id", "clearing_transfer_id"], ["transfer.institution_id", "transfer.transfer_id"]),
    info=APPEND_ONLY,
    comment="that an open item is no longer open, and by which transfer",
)
