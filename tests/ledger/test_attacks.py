"""Every way around the books that we know of, tried in SQL by the owner and by a role that was granted everything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ledger.store import close_account, verify
from ledger.tables import transfer as transfer_table
from tests.ledger.conftest import DAY, NOW, Desk


@pytest.fixture(params=["owner", "application"])
def attacked(request: pytest.FixtureRequest, desk: Desk) -> Iterator[Desk]:
    """Books with a story in them, and a session that is the owner's or that of a role granted all privileges on all tables."""
    desk.story()
    desk.open_orders("Z")
    close_account(
        desk.conn,
        institution_id=desk.institution,
        account_id=desk.ids["prepayment_held", "Z"],
        closed_on=date(2025, 4, 1),
        actor="tester",
        reason="withdrawn",
    )
    if request.param == "application":
        desk.conn.execute(text("CREATE ROLE attacker BYPASSRLS"))
        desk.conn.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO attacker"))
    desk.conn.execute(text("SELECT ledger_add_month('2024-12-01')"))
    desk.conn.commit()
    if request.param == "application":
        desk.conn.execute(text("SET ROLE attacker"))
        desk.conn.commit()
    yield desk
    desk.conn.rollback()
    desk.conn.execute(text("RESET ROLE"))
    if request.param == "application":  # roles belong to the server, not to the database of one test
        desk.conn.execute(text("DROP OWNED BY attacker"))
        desk.conn.execute(text("DROP ROLE attacker"))
    desk.conn.commit()


def refusal(conn: Connection, *statements: str, commit: bool = True, **values: Any) -> str:
    """Run statements and commit; the name of the rule that refused them. Afterwards the books still verify."""
    with pytest.raises(DBAPIError) as caught:  # noqa: PT012  any of the statements, or the commit, may be what is refused
        for statement in statements:
            conn.execute(text(statement), values)
        if commit:
            conn.commit()
    conn.rollback()
    role = conn.execute(text("SELECT current_user")).scalar_one()
    conn.execute(text("RESET ROLE"))
    assert verify(conn) == []
    conn.commit()
    conn.execute(text(f"SET ROLE {role}"))
    conn.commit()
    error: Any = caught.value.orig
    return error.diag.constraint_name or f"{error.sqlstate} {error.diag.message_primary}"


def raw_transfer(desk: Desk, *, rightful_leaf: bool = True, **changes: Any) -> dict[str, Any]:
    """The columns of a transfer that would be the rightful next one: cash received for order B. Changed as asked."""
    head = desk.conn.execute(text("SELECT last_batch_id FROM journal_head WHERE institution_id = :i"), {"i": desk.institution})
    cash, transit = desk.ids["custody_cash", ""], desk.ids["receipts_in_transit", "wechat"]
    state = {
        row.account_id: row
        for row in desk.conn.execute(text("SELECT account_id, last_seq, balance_minor_units AS balance FROM account_balance"))
    }
    day = changes.get("booking_date", DAY)
    given = desk.transfer(("custody_cash", ""), ("receipts_in_transit", "wechat"), 20_000, "raw", day=day)
    row: dict[str, Any] = {
        "institution_id": desk.institution,
        "transfer_id": given.transfer_id,
        "batch_id": head.scalar_one() + 1,
        "line": 1,
        "debit_account_id": cash,
        "credit_account_id": transit,
        "amount_minor_units": 20_000,
        "currency": "CNY",
        "booking_date": DAY,
        "reason": "raw",
        "source_kind": "test",
        "source_ref": "raw",
        "reverses": None,
        "debit_seq": state[cash].last_seq + 1,
        "debit_balance_minor_units": state[cash].balance + 20_000,
        "credit_seq": state[transit].last_seq + 1,
        "credit_balance_minor_units": state[transit].balance - 20_000,
        **changes,
    }
    row["leaf"] = leaf_by_hand(row) if rightful_leaf else bytes(32)
    return row


def leaf_by_hand(row: dict[str, Any]) -> bytes:
    """Leaf v1 from its description in docs.md alone, so that neither the program's code nor the database's is asked."""
    fields = []
    for name, value in row.items():
        if name == "booking_date":
            fields.append(str((value - date(2000, 1, 1)).days))
        elif name in ("reason", "source_kind", "source_ref"):
            fields.append(f"{len(value.encode())}:{value}")
        else:
            fields.append("-" if value is None else str(value))
    return hashlib.sha256(b"\0" + "|".join(["v1", *fields]).encode()).digest()


def insert_sql(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})"


HEADER = """INSERT INTO posting_batch (institution_id, batch_id, encoding, transfer_count, total_minor_units, actor, reason,
    rule_version, posted_at) VALUES (:institution_id, :batch_id, 'v1', {count}, {total}, 'attacker', 'attack', 'none', now())"""


def attack(desk: Desk, *, header: str = HEADER.format(count=1, total=20_000), **changes: Any) -> str:
    row = raw_transfer(desk, **changes)
    return refusal(desk.conn, insert_sql("transfer", row), header, **row)


def test_a_rightful_transfer_written_by_hand_is_accepted(attacked: Desk) -> None:
    """Else the attacks below could fail for another reason than the one they are about."""
    row = raw_transfer(attacked)
    for statement in (insert_sql("transfer", row), HEADER.format(count=1, total=20_000)):
        attacked.conn.execute(text(statement), row)
    attacked.conn.execute(text(insert_clearing(attacked)), {"by": row["transfer_id"], "on": DAY})
    attacked.conn.commit()
    attacked.conn.execute(text("RESET ROLE"))
    assert verify(attacked.conn) == []


def test_an_amount_of_zero_or_less_is_refused(attacked: Desk) -> None:
    assert attack(attacked, amount_minor_units=0) == "ck_transfer_amount_above_zero"


def test_a_transfer_to_the_same_account_is_refused(attacked: Desk) -> None:
    assert attack(attacked, credit_account_id=attacked.ids["custody_cash", ""]) == "ck_transfer_two_accounts"


def test_an_unbalanced_transfer_cannot_be_written_down(attacked: Desk) -> None:
    """There is no second amount to give: one that the balances do not follow is refused."""
    assert attack(attacked, amount_minor_units=19_999) == "ledger_wrong_running_balance"


FORGERIES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"debit_seq": 9}, "ledger_skipped_seq"),
    ({"credit_seq": 9}, "ledger_skipped_seq"),
    ({"debit_balance_minor_units": 1}, "ledger_wrong_running_balance"),
    ({"credit_balance_minor_units": 1}, "ledger_wrong_running_balance"),
    ({"debit_account_id": 999_999}, "ledger_unknown_account"),
    ({"institution_id": 8}, "ledger_unknown_account"),
    ({"currency": "USD"}, "ledger_currency"),
    ({"booking_date": date(2024, 12, 31)}, "ledger_closed_account"),
    ({"batch_id": 2, "line": 3}, "ledger_batch_out_of_order"),
    ({"batch_id": 4}, "ledger_batch_out_of_order"),
    ({"rightful_leaf": False}, "ledger_wrong_leaf"),
    ({"line": 2}, "ledger_batch_lines"),
    ({"header": HEADER.format(count=2, total=20_000)}, "ledger_batch_count"),
    ({"header": HEADER.format(count=1, total=20_001)}, "ledger_batch_total"),
    ({"header": "SELECT 1"}, "ledger_batch_without_header"),
)


def test_a_forged_transfer_is_refused_by_name(attacked: Desk) -> None:
    for changes, rule in FORGERIES:
        assert attack(attacked, **changes) == rule, changes


def test_a_header_with_a_false_digest_is_refused(attacked: Desk) -> None:
    for column, rule in (("root", "ledger_batch_root"), ("previous_digest", "ledger_batch_chain")):
        header = (
            HEADER.format(count=1, total=20_000)
            .replace("posted_at)", f"posted_at, {column})")
            .replace("now())", "now(), sha256('x'))")
        )
        assert attack(attacked, header=header) == rule


def test_a_header_without_transfers_is_refused(attacked: Desk) -> None:
    values = {"institution_id": attacked.institution, "batch_id": 3}
    assert refusal(attacked.conn, HEADER.format(count=1, total=1), **values) == "ledger_batch_count"


def test_no_transfer_can_be_added_to_a_batch_that_has_its_header(attacked: Desk) -> None:
    first = raw_transfer(attacked)
    attacked.conn.execute(text(insert_sql("transfer", first)), first)
    attacked.conn.execute(text(HEADER.format(count=1, total=20_000)), first)
    late = raw_transfer(
        attacked,
        batch_id=3,
        line=2,
        transfer_id=attacked.transfer(("custody_cash", ""), ("bank_interest", ""), 1, "l").transfer_id,
    )
    assert refusal(attacked.conn, insert_sql("transfer", late), **late) == "ledger_batch_out_of_order"


def test_an_overdraft_by_raw_sql_is_refused(attacked: Desk) -> None:
    held = attacked.ids["prepayment_held", "A"]
    changes = {
        "debit_account_id": held,
        "credit_account_id": attacked.ids["bank_interest", ""],
        "amount_minor_units": 6_668,
        "debit_seq": 3,
        "debit_balance_minor_units": 1,
        "credit_seq": 1,
        "credit_balance_minor_units": -6_668,
    }
    assert attack(attacked, header=HEADER.format(count=1, total=6_668), **changes) == "ledger_below_floor"


def test_an_id_cannot_be_used_twice(attacked: Desk) -> None:
    posted = attacked.conn.execute(text("SELECT transfer_id FROM transfer LIMIT 1")).scalar_one()
    assert attack(attacked, transfer_id=posted) == "pk_transfer_2025_03"


def test_a_false_reversal_is_refused(attacked: Desk) -> None:
    posted = attacked.conn.execute(text("SELECT transfer_id FROM transfer LIMIT 1")).scalar_one()
    assert attack(attacked, reverses=posted) == "ledger_reversal_mismatch"


def sessions(conn: Connection) -> tuple[str, ...]:
    """What a session may pretend: nothing, or (the owner's only) to be a replica, where ordinary triggers sleep."""
    plain = "SELECT 1"
    return (
        (plain,)
        if conn.scalar(text("SELECT current_user")) == "attacker"
        else (plain, "SET LOCAL session_replication_role = replica")
    )


def test_history_refuses_update_delete_truncate_and_upsert(attacked: Desk) -> None:
    conn = attacked.conn
    for table, column in (
        ("account", "kind"),
        ("account_closing", "reason"),
        ("posting_batch", "reason"),
        ("transfer", "reason"),
        ("open_item", "kind"),
        ("open_item_clearing", "cleared_on"),
    ):
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
            f"""INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} LIMIT 1
                ON CONFLICT ON CONSTRAINT pk_{table} DO UPDATE SET {column} = excluded.{column}""",
        ):
            for session in sessions(conn):
                name = refusal(conn, session, statement)
                if "ON CONFLICT" in statement and table == "posting_batch":
                    assert name == "ledger_batch_out_of_order"  # its seal refuses before the conflict is seen
                else:
                    assert "its rows are evidence" in name, statement


def test_balances_cannot_be_touched_without_transfers(attacked: Desk) -> None:
    conn = attacked.conn
    for table, column in (
        ("account_balance", "balance_minor_units"),
        ("account_day", "debits_minor_units"),
        ("account_late", "units_minor_units"),
        ("journal_head", "last_batch_id"),
        ("reversal", "institution_id"),
        ("batch_months", "first_batch_id"),
    ):
        for statement in (
            f"UPDATE {table} SET {column} = {column} + 1",
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1 ON CONFLICT DO NOTHING",
        ):
            for session in sessions(conn):
                assert refusal(conn, session, statement) == "ledger_projection", statement


def insert_clearing(desk: Desk, order: str = "B") -> str:
    return f"""INSERT INTO open_item_clearing (institution_id, item_id, clearing_transfer_id, cleared_on)
        SELECT institution_id, item_id, :by, :on FROM open_item WHERE '{order}' = ANY (item_references)"""


def test_an_item_cannot_be_cleared_twice_nor_by_another_amount(attacked: Desk) -> None:
    receipt = attacked.conn.execute(text("SELECT transfer_id FROM transfer WHERE source_kind = 'receipt'")).scalar_one()
    again = refusal(attacked.conn, insert_clearing(attacked, "A"), by=receipt, on=DAY)
    other_item = refusal(attacked.conn, insert_clearing(attacked, "B"), by=receipt, on=DAY)

    assert (again, other_item) == ("pk_open_item_clearing", "uq_open_item_clearing_institution_id_clearing_transfer_id")
    row = raw_transfer(attacked, amount_minor_units=19_999, debit_balance_minor_units=29_999, credit_balance_minor_units=1)
    statements = (insert_sql("transfer", row), HEADER.format(count=1, total=19_999), insert_clearing(attacked))
    assert refusal(attacked.conn, *statements, by=row["transfer_id"], on=DAY, **row) == "ledger_clearing_mismatch"


def test_an_open_item_must_be_what_its_transfer_put_in_transit(attacked: Desk) -> None:
    row = raw_transfer(
        attacked,
        debit_account_id=attacked.ids["receipts_in_transit", "wechat"],
        credit_account_id=attacked.ids["bank_interest", ""],
        debit_seq=4,
        debit_balance_minor_units=40_000,
        credit_seq=1,
        credit_balance_minor_units=-20_000,
    )
    rightful = {
        "custody_account_id": "70",
        "amount_minor_units": "20000",
        "direction": "'IN'",
        "booking_date": "DATE '2025-03-03'",
        "currency": "'CNY'",
    }
    for column, other in (
        ("custody_account_id", "71"),
        ("amount_minor_units", "1"),
        ("direction", "'OUT'"),
        ("booking_date", "DATE '2025-03-04'"),
        ("currency", "'USD'"),
    ):
        values = {**rightful, column: other}
        item = f"""INSERT INTO open_item (institution_id, item_id, account_id, kind, due_date, item_references,
            expected_fee_minor_units, {", ".join(values)}) VALUES (:institution_id, :transfer_id, :debit_account_id, 'receipt',
            '2025-03-04', '{{}}', 0, {", ".join(values.values())})"""
        statements = (insert_sql("transfer", row), HEADER.format(count=1, total=20_000), item)
        assert refusal(attacked.conn, *statements, **row) == "ledger_open_item_mismatch", column


def test_an_account_with_a_balance_or_later_postings_cannot_be_closed(attacked: Desk) -> None:
    close = (
        "INSERT INTO account_closing (institution_id, account_id, closed_on, actor, reason) VALUES (7, :account, :on, 'x', 'y')"
    )
    held = refusal(attacked.conn, close, account=attacked.ids["prepayment_held", "A"], on=date(2025, 4, 1))
    assert held == "ledger_closing_with_balance"


def test_every_column_of_a_transfer_is_under_its_leaf(attacked: Desk) -> None:
    """Another value in any column gives another leaf."""
    row = raw_transfer(attacked)
    for column in set(transfer_table.columns.keys()) - {"leaf"}:
        value = row[column]
        other = {int: lambda v: v + 1, str: lambda v: v + "x", date: lambda v: date(2025, 3, 4)}.get(
            type(value), lambda _: NOW.date()
        )(value)
        if column in ("transfer_id", "reverses"):
            other = UUID(int=1)
        assert raw_transfer(attacked, **{column: other})["leaf"] != row["leaf"], column
