"""What an insider changes by hand, with every trigger switched off, is found and named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ledger.archive_tables import journal_archive
from ledger.model import PendingTransfer, transfer_id
from ledger.pending import post_pending, reserve
from ledger.pending_tables import pending_resolution, pending_transfer
from ledger.period import close_period, keep_balances
from ledger.period_tables import (
    balance_snapshot,
    balance_snapshot_taken,
    correction,
    period_balance,
    period_event,
)
from ledger.store import close_account, correct, examine, verify
from ledger.tables import (
    account,
    account_balance,
    account_closing,
    account_day,
    account_late,
    batch_months,
    journal_head,
    journal_month,
    open_item,
    open_item_clearing,
    posting_batch,
    reversal,
    transfer,
)
from ledger.verification import GUARDS
from money import Money
from storage.verification import rows_with_wrong_digest
from tests.ledger.conftest import DAY, Desk

TABLES = (
    account,
    account_closing,
    account_balance,
    account_day,
    journal_head,
    posting_batch,
    transfer,
    open_item,
    open_item_clearing,
)

MORE_TABLES = (
    account_late,
    reversal,
    batch_months,
    journal_month,
    journal_archive,
    pending_transfer,
    pending_resolution,
    correction,
    period_event,
    period_balance,
    balance_snapshot_taken,
    balance_snapshot,
)

#: Another value of each type; where a CHECK allows few values, the other one.
OTHER = {
    "normal_side": "CASE normal_side WHEN 'DEBIT' THEN 'CREDIT' ELSE 'DEBIT' END",
    "direction": "CASE direction WHEN 'IN' THEN 'OUT' ELSE 'IN' END",
    "currency": "'USD'",
    "floor_minor_units": "-coalesce(floor_minor_units, 0) - 1",
    "encoding": "'v2'",
    "last_booking_date": "coalesce(last_booking_date, date '2025-01-01') + 1",
}
OTHER_BY_TYPE = {
    "integer": "coalesce({0}, 0) + 1000",  # not another row's key
    "bigint": "coalesce({0}, 0) + 1000",
    "text": "coalesce({0}, '') || 'x'",
    "ARRAY": "{0} || '{{x}}'",
    "boolean": "NOT {0}",
    "date": "{0} + 1",
    "uuid": "'0023e900-0000-0000-0000-000000000001'::uuid",  # of the same month: a row cannot move to another partition
    "bytea": "sha256({0})",
    "timestamp with time zone": "{0} + interval '1 second'",
}


@pytest.fixture
def told(desk: Desk) -> Desk:
    """Books in which every ledger table has rows."""
    desk.story()
    desk.open_orders("Z")
    close_account(
        desk.conn,
        institution_id=7,
        account_id=desk.ids["prepayment_held", "Z"],
        closed_on=date(2025, 4, 1),
        actor="t",
        reason="r",
    )
    desk.conn.commit()
    return desk


def with_triggers_off(conn: Connection) -> None:
    """As an owner who cleans up after himself: the guards are back on before anyone looks, so only the rows can tell."""
    for table in TABLES:
        conn.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER ALL"))


def triggers_back_on(conn: Connection) -> None:
    for table in TABLES:
        conn.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER ALL"))
    for table_name, trigger in GUARDS:
        conn.execute(text(f"ALTER TABLE {table_name} ENABLE ALWAYS TRIGGER {trigger}"))


def named(conn: Connection) -> list[str]:
    """Every fault the books and the rows' digests show, as one line each."""
    found = [f"{fault.table} {fault.row} {fault.what}" for fault in verify(conn)]
    return found + [str(row) for row in rows_with_wrong_digest(conn)]


def key_values(conn: Connection, table: Any) -> list[str]:
    """The identifying part of the row at hand: its last key column (dates and numbers as text)."""
    columns = [column.name for column in table.primary_key.columns]
    row = conn.execute(
        text(f"SELECT {', '.join(columns)} FROM {table.name} WHERE ctid = (SELECT min(ctid) FROM {table.name})")
    ).one()
    return [str(value) for value in row]


def test_untouched_books_verify_and_say_what_was_looked_at(told: Desk) -> None:
    checks = examine(told.conn)
    assert named(told.conn) == []
    rows = {check.name: check.rows for check in checks}
    assert rows["leaf of every transfer"] == 4
    assert rows["number and running balance of every posting"] == 8
    assert all(check.wrong == 0 for check in checks)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_change_of_any_column_of_any_row_is_found_and_the_row_named(told: Desk, table: Any) -> None:
    conn = told.conn
    types = dict(
        conn.execute(
            text("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = :t"), {"t": table.name}
        ).all()  # type: ignore[arg-type]
    )
    assert set(types) == set(table.columns.keys())
    for column, kind in types.items():
        with_triggers_off(conn)
        if column == "encoding":
            conn.execute(text("ALTER TABLE posting_batch DROP CONSTRAINT ck_posting_batch_encoding"))
        if column == "floor_minor_units":
            conn.execute(text("ALTER TABLE account DROP CONSTRAINT ck_account_floor_not_above_zero"))
        if table is account and column == "account_id":
            conn.execute(text("ALTER TABLE account ALTER account_id DROP IDENTITY"))
        before = key_values(conn, table)
        other = OTHER.get(column) or OTHER_BY_TYPE[kind].format(column)
        changed = conn.execute(
            text(f"UPDATE {table.name} SET {column} = {other} WHERE ctid = (SELECT min(ctid) FROM {table.name})")
        )
        assert changed.rowcount == 1
        triggers_back_on(conn)
        found = named(conn)
        assert any(line.startswith(table.name) and before[-1] in line for line in found) or (
            column in table.primary_key.columns and found
        ), (column, found)
        conn.rollback()


# A closing that vanishes leaves nothing of the books in disorder; the daily seal over all evidence misses it (storage.seal).
@pytest.mark.parametrize("table", [table for table in TABLES if table is not account_closing], ids=lambda table: table.name)
def test_a_row_removed_by_hand_is_missed(told: Desk, table: Any) -> None:
    conn = told.conn
    with_triggers_off(conn)
    conn.execute(text(f"DELETE FROM {table.name} WHERE ctid = (SELECT min(ctid) FROM {table.name})"))
    triggers_back_on(conn)
    assert named(conn) != []
    conn.rollback()


def test_recomputing_the_leaf_too_is_still_seen_in_the_batch_root_and_the_chain(told: Desk) -> None:
    conn = told.conn
    with_triggers_off(conn)
    conn.execute(text("UPDATE transfer SET reason = 'forged' WHERE batch_id = 1 AND line = 1"))
    conn.execute(
        text(
            "UPDATE transfer SET leaf = transfer_leaf_v1(institution_id, transfer_id, batch_id, line, debit_account_id,"
            " credit_account_id, amount_minor_units, currency, booking_date, reason, source_kind, source_ref, reverses, debit_seq,"
            " debit_balance_minor_units, credit_seq, credit_balance_minor_units)"
        )
    )
    triggers_back_on(conn)
    assert any("posting_batch institution 7, batch 1" in line for line in named(conn))

    with_triggers_off(conn)
    conn.execute(
        text(
            "UPDATE posting_batch b SET root = (SELECT merkle_root(array_agg(leaf ORDER BY line)) FROM transfer t"
            " WHERE t.batch_id = b.batch_id), row_digest = sha256('anything new')"
        )
    )
    triggers_back_on(conn)
    assert any(fault.table == "posting_batch" and fault.row == "institution 7, batch 2" for fault in verify(conn))


def test_an_amount_moved_consistently_in_one_transfer_breaks_the_accounts_history(told: Desk) -> None:
    """The amount, both running balances and the leaf are changed together: the next posting of the account no longer follows."""
    conn = told.conn
    with_triggers_off(conn)
    conn.execute(
        text(
            "UPDATE transfer SET amount_minor_units = amount_minor_units + 1, debit_balance_minor_units ="
            " debit_balance_minor_units + 1, credit_balance_minor_units = credit_balance_minor_units - 1 WHERE batch_id = 1 AND line = 1"
        )
    )
    triggers_back_on(conn)
    second = conn.execute(text("SELECT transfer_id FROM transfer WHERE batch_id = 1 AND line = 2")).scalar_one()
    assert any(str(second) in line and "its history gives" in line for line in named(conn))


def test_a_batch_removed_with_all_it_held_is_missed(told: Desk) -> None:
    conn = told.conn
    with_triggers_off(conn)
    conn.execute(text("DELETE FROM transfer WHERE batch_id = 1"))
    conn.execute(text("DELETE FROM posting_batch WHERE batch_id = 1"))
    triggers_back_on(conn)
    assert "posting_batch institution 7, batch 2 batch 1 is missing" in named(conn)


def test_a_guard_that_is_switched_off_or_removed_is_named(told: Desk) -> None:
    conn = told.conn
    conn.execute(text("ALTER TABLE transfer DISABLE TRIGGER transfer_guard"))
    conn.execute(text("ALTER TABLE account_balance ENABLE TRIGGER account_balance_guard"))  # asleep in a replica's session
    conn.execute(text("DROP TRIGGER journal_head_header ON journal_head"))
    assert {(fault.row, fault.what) for fault in verify(conn)} == {
        ("table transfer, trigger transfer_guard", "it is switched off"),
        ("table account_balance, trigger account_balance_guard", "it is switched off"),
        ("table journal_head, trigger journal_head_header", "it is missing"),
    }


def test_every_trigger_of_the_ledger_tables_is_among_the_guards(told: Desk) -> None:
    """Else verify would not notice one switched off. The digest stamps are storage's to watch."""
    existing = told.conn.execute(
        text(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname NOT LIKE '%stamp_digest'"
            " AND tgrelid::regclass::text = ANY (:tables)"
        ),
        {"tables": [table.name for table in (*TABLES, *MORE_TABLES)]},
    ).all()
    assert {tuple(row) for row in existing} == set(GUARDS)


#: What is changed by hand -> the table whose check names it. The books: March closed with 100 fen, a reservation posted in part,
#: a correction, kept balances.
TAMPERED = {
    "DELETE FROM journal_month WHERE partition_name = 'transfer_2025_03'": "journal_month",
    "UPDATE journal_month SET partition_name = 'transfer_2026_03' WHERE partition_name = 'transfer_2025_03'": "journal_month",
    "DELETE FROM batch_months WHERE first_batch_id = 1": "batch_months",
    "UPDATE batch_months SET months = months || date '2025-07-01'": "batch_months",
    "INSERT INTO batch_months SELECT institution_id, 1000, '{2025-09-01}' FROM journal_head": "batch_months",
    "DELETE FROM reversal": "reversal",
    "UPDATE reversal SET reversal_id = original_id": "reversal",
    "INSERT INTO reversal SELECT institution_id, reversal_id, original_id FROM reversal": "reversal",
    "UPDATE pending_resolution SET resolved_on = resolved_on + 1": "pending_resolution",
    "UPDATE pending_transfer SET amount_minor_units = amount_minor_units - 9": "pending_resolution",
    "UPDATE account_balance SET pending_debits_minor_units = pending_debits_minor_units + 1": "account_balance",
    "UPDATE correction SET (transfer_id, corrects) = (corrects, transfer_id)": "correction",
    "UPDATE period_event SET last_batch_id = 0": "transfer",
    "UPDATE period_event SET event = 'reopen_prepared'": "period_event",
    "UPDATE period_balance SET balance_minor_units = balance_minor_units + 1": "period_balance",
    "DELETE FROM period_balance": "period_balance",
    "UPDATE balance_snapshot SET balance_minor_units = balance_minor_units + 1": "balance_snapshot",
    "UPDATE balance_snapshot SET last_seq = last_seq - 1": "balance_snapshot",
    "DELETE FROM balance_snapshot": "balance_snapshot",
}


@pytest.mark.parametrize("statement", TAMPERED)
def test_what_is_changed_about_time_is_named(desk: Desk, statement: str) -> None:
    desk.open_orders("A")
    cash, held = ("custody_cash", ""), ("prepayment_held", "A")
    wrong = desk.transfer(cash, held, 100, "march")
    desk.post(wrong)
    by = {"now": datetime(2025, 4, 2, tzinfo=UTC), "actor": "t", "rule_version": "1"}
    close_period(desk.conn, 7, DAY, now=by["now"], actor="t", reason="r")  # type: ignore[arg-type]
    april = date(2025, 4, 2)
    right = desk.transfer(cash, held, 90, "right", day=april)
    correct(desk.conn, 7, wrong.transfer_id, [right], booking_date=april, reason="r", **by)  # type: ignore[arg-type]
    one = PendingTransfer(
        transfer_id(7, april, "p", "1"), 7, desk.ids[held], desk.ids[cash], Money(20), april, april, "r", "p", "1"
    )
    reserve(desk.conn, [one], **by)  # type: ignore[arg-type]
    post_pending(desk.conn, 7, one.pending_id, amount=Money(15), booking_date=april, reason="r", **by)  # type: ignore[arg-type]
    keep_balances(desk.conn)
    desk.conn.commit()
    assert verify(desk.conn) == []
    for table in (*TABLES, *MORE_TABLES):
        desk.conn.execute(text(f"ALTER TABLE {table.name} DISABLE TRIGGER ALL"))
    assert desk.conn.execute(text(statement)).rowcount > 0
    for table in MORE_TABLES:
        desk.conn.execute(text(f"ALTER TABLE {table.name} ENABLE TRIGGER ALL"))
    triggers_back_on(desk.conn)
    assert TAMPERED[statement] in {fault.table for fault in verify(desk.conn)}


def test_money_in_transit_without_an_open_item_is_named(desk: Desk) -> None:
    paid, _ = desk.paid("A", 500)
    desk.post(paid)
    (fault,) = verify(desk.conn)
    assert fault.what == "receipts_in_transit:wechat holds 500 minor units in transit, its open items are 0"
    assert fault.row == f"institution 7, account {desk.ids['receipts_in_transit', 'wechat']}"


def test_a_posting_outside_an_accounts_life_is_named(told: Desk) -> None:
    conn = told.conn
    with_triggers_off(conn)
    conn.execute(
        text(
            "INSERT INTO account_closing (institution_id, account_id, closed_on, actor, reason, row_digest) VALUES (7, :a, :d, 'x', 'y', '')"
        ),
        {"a": told.ids["prepayment_held", "A"], "d": DAY - timedelta(days=1)},
    )
    triggers_back_on(conn)
    assert any("was not open on 2025-03-03" in line for line in named(conn))
