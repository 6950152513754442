"""A past that was rewritten with all its digests contradicts what was signed, and the fact is named."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

import ledger.verification
from jobs.signing_keys import KEY_FILE, keys_for_signing, make_keys, read_signing_keys, rotate_keys
from ledger.checkpoint import EntryRefused, LiabilitiesEntry, parse_checkpoint, parse_entry
from ledger.checkpoint_verification import verify
from ledger.checkpoints import (
    CheckpointRefused,
    StoredCheckpoint,
    add_cosignature,
    batch_leaves,
    checkpoints,
    entry_leaves,
    take_checkpoint,
)
from ledger.evidence_keys import record_key, recorded_keys, retire_key
from ledger.liabilities import liabilities
from ledger.signed_note import COSIGNATURE, ED25519, NoteRefused, PrivateKey, signers
from ledger.tree import WholeTree, check_consistency, tree_root
from storage.append_only import canonical_session_sql, row_digest_sql
from storage.seal import seal_evidence
from storage.verification import evidence_tables, rows_with_wrong_digest
from tests.ledger.conftest import DAY, NOW, Desk

KEY = PrivateKey("escrow.example/log", ED25519, b"\x01" * 32)
BANK = PrivateKey("bank.example/nrb", COSIGNATURE, b"\x02" * 32)
SECRET = b"s" * 32


@dataclass
class Log:
    """Books whose days end with a seal and a checkpoint."""

    desk: Desk

    @property
    def conn(self) -> Connection:
        return self.desk.conn

    def close(self, day: date = DAY) -> StoredCheckpoint | None:
        seal_evidence(self.conn, NOW)
        return take_checkpoint(self.conn, day, key=KEY, secret=SECRET, rules_version="rules-1", now=NOW, actor="test")

    def closed(self, day: date = DAY) -> StoredCheckpoint:
        taken = self.close(day)
        assert taken is not None
        return taken

    def whats(self) -> list[str]:
        return [fault.what for fault in verify(self.conn, secret=SECRET)]


@pytest.fixture
def log(desk: Desk) -> Log:
    """Two checkpoints: after two batches, and after one more."""
    record_key(desk.conn, KEY.public_key, party="operator", valid_from=date(2025, 1, 1), actor="test")
    made = Log(desk)
    desk.story()
    made.closed()
    paid, item = desk.paid("C", 5_000)
    desk.post(paid, open_items=[item])
    made.closed(date(2025, 3, 4))
    return made


def test_the_log_says_what_the_books_hold(log: Log) -> None:
    first, second = checkpoints(log.conn)
    bodies = log.conn.execute(text("SELECT body FROM checkpoint_entry ORDER BY entry_no")).scalars().all()
    entries = [parse_entry(body) for body in bodies]

    assert log.whats() == []
    assert (first.tree_size, second.tree_size) == (2, 4)
    assert [entry.log_size for entry in entries] == [2, 2, 3, 3]
    owed = [entry.root.minor_units for entry in entries if isinstance(entry, LiabilitiesEntry)]
    assert owed == [30_000, 35_000]  # A and B paid 30,000 fen, a release only moves what is owed; then C paid 5,000
    assert signers(second.note, [KEY.public_key]) == [KEY.public_key]
    said = parse_checkpoint(second.note.text)
    assert (said.origin, said.tree_size, said.business_date, said.rules_version) == (KEY.name, 4, date(2025, 3, 4), "rules-1")


def test_two_checkpoints_are_provably_one_log(log: Log) -> None:
    first, second = checkpoints(log.conn)
    leaves = entry_leaves(log.conn, second.tree_size)

    check_consistency(first.tree_size, second.tree_size, first.root, second.root, WholeTree(leaves).consistency(first.tree_size))


def test_the_institutions_log_is_the_tree_over_its_batches(log: Log) -> None:
    entry = parse_entry(log.conn.execute(text("SELECT body FROM checkpoint_entry WHERE entry_no = 2")).scalar_one())

    assert not isinstance(entry, LiabilitiesEntry)
    assert entry.log_root == tree_root(batch_leaves(log.conn, log.desk.institution, through=3))
    assert entry.tables["posting_batch"].row_count == 1


def test_nothing_new_makes_no_checkpoint(log: Log) -> None:
    again = take_checkpoint(log.conn, date(2025, 3, 4), key=KEY, secret=SECRET, rules_version="r", now=NOW, actor="test")
    earlier = log.close(date(2025, 3, 3))

    assert again is None
    assert earlier is None


def test_balances_after_an_earlier_batch_are_those_of_then(log: Log) -> None:
    then = liabilities(log.conn, log.desk.institution, 1)[log.desk.custody_account, "CNY"]

    assert {(one.kind, one.subject): one.minor_units for one in then} == {
        ("prepayment_held", "A"): 10_000,
        ("prepayment_held", "B"): 20_000,
    }


def restamp(conn: Connection, table: str, where: str = "true") -> None:
    """As someone would who owns the database and knows every rule: the row digests follow the rewritten rows."""
    for statement in canonical_session_sql():
        conn.execute(text(statement))
    (found,) = [one for one in evidence_tables(conn) if one.name == table]
    conn.execute(text(f"UPDATE {table} SET row_digest = {row_digest_sql(found.columns)} WHERE {where}"))


def rewrite_an_amount(conn: Connection) -> None:
    """Order C always paid 4,000 fen instead of 5,000: transfer, leaf, batch, digests, balances, open item."""
    for table, column in (("transfer", "debit_balance_minor_units"), ("transfer", "amount_minor_units")):
        conn.execute(text(f"UPDATE {table} SET {column} = {column} - 1000 WHERE batch_id = 3"))
    conn.execute(text("UPDATE transfer SET credit_balance_minor_units = credit_balance_minor_units + 1000 WHERE batch_id = 3"))
    conn.execute(
        text("""
            UPDATE transfer SET leaf = transfer_leaf_v1(institution_id, transfer_id, batch_id, line, debit_account_id,
                credit_account_id, amount_minor_units, currency, booking_date, reason, source_kind, source_ref, reverses,
                debit_seq, debit_balance_minor_units, credit_seq, credit_balance_minor_units) WHERE batch_id = 3
        """)
    )
    conn.execute(
        text("""
            UPDATE posting_batch SET total_minor_units = total_minor_units - 1000,
                root = merkle_root(ARRAY(SELECT leaf FROM transfer WHERE batch_id = 3 ORDER BY line)) WHERE batch_id = 3
        """)
    )
    restamp(conn, "posting_batch", "batch_id = 3")
    conn.execute(
        text("""
            UPDATE journal_head SET last_digest = b.row_digest, written_minor_units = b.total_minor_units, written_root = b.root
            FROM posting_batch b WHERE b.batch_id = 3
        """)
    )
    conn.execute(text("UPDATE open_item SET amount_minor_units = 4000 WHERE amount_minor_units = 5000"))
    restamp(conn, "open_item")
    conn.execute(
        text("""
            UPDATE account_balance b SET balance_minor_units = p.balance FROM (
                SELECT DISTINCT ON (account_id) account_id, balance FROM (
                    SELECT debit_account_id AS account_id, debit_seq AS seq, debit_balance_minor_units AS balance FROM transfer
                    UNION ALL SELECT credit_account_id, credit_seq, credit_balance_minor_units FROM transfer) AS legs
                ORDER BY account_id, seq DESC) AS p WHERE p.account_id = b.account_id
        """)
    )
    conn.execute(
        text("""
            UPDATE account_day d SET debits_minor_units = p.debits, credits_minor_units = p.credits, balance_minor_units = p.balance
            FROM (
                SELECT account_id, booking_date, sum(debit) AS debits, sum(credit) AS credits,
                    (array_agg(balance ORDER BY seq DESC))[1] AS balance
                FROM (
                    SELECT debit_account_id AS account_id, booking_date, amount_minor_units AS debit, 0 AS credit,
                        debit_seq AS seq, debit_balance_minor_units AS balance FROM transfer
                    UNION ALL SELECT credit_account_id, booking_date, 0, amount_minor_units,
                        credit_seq, credit_balance_minor_units FROM transfer) AS legs
                GROUP BY 1, 2) AS p WHERE p.account_id = d.account_id AND p.booking_date = d.booking_date
        """)
    )


def test_a_past_rewritten_with_all_its_digests_contradicts_the_checkpoint(log: Log) -> None:
    log.conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    log.conn.execute(text("SET session_replication_role = replica"))
    for table in ("transfer", "posting_batch", "open_item", "account_balance", "account_day", "journal_head"):
        log.conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))

    rewrite_an_amount(log.conn)

    # The books agree with themselves (the triggers switched off apart): only what was signed tells.
    assert [fault for fault in ledger.verification.verify(log.conn) if not fault.table.startswith("pg_")] == []
    assert rows_with_wrong_digest(log.conn) == []
    whats = log.whats()
    assert "the 3 batches of institution 7 are not those whose root was signed" in whats
    assert any("custody account 70 owed 35000 minor units when it was signed" in what for what in whats)
    assert "posting_batch of institution 7: a row among 1 signed ones changed" in whats


def _update(table: str, change: str) -> Callable[[Connection], None]:
    def act(conn: Connection) -> None:
        conn.execute(text("SET session_replication_role = replica"))
        conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        assert conn.execute(text(change)).rowcount >= 1
        conn.execute(text("SET session_replication_role = origin"))

    return act


ATTACKS = {
    "an entry's text": (
        _update("checkpoint_entry", "UPDATE checkpoint_entry SET body = replace(body, 'log 3', 'log 2') WHERE entry_no = 2"),
        "its entries are not those that were signed",
    ),
    "the newest checkpoint removed": (
        _update("checkpoint", "DELETE FROM checkpoint WHERE checkpoint_no = 2"),
        "no checkpoint signs it",
    ),
    "the first checkpoint removed": (
        _update("checkpoint", "DELETE FROM checkpoint WHERE checkpoint_no = 1"),
        "checkpoint 1 before it was removed",
    ),
    "the note": (
        _update("checkpoint", "UPDATE checkpoint SET note = replace(note, '2025-03-04', '2025-03-05') WHERE checkpoint_no = 2"),
        "is wrong",
    ),
    "the stored root": (
        _update("checkpoint", "UPDATE checkpoint SET root = sha256(root) WHERE checkpoint_no = 2"),
        "its columns are not what its note says",
    ),
    "another key under the name": (
        _update("evidence_key", "DELETE FROM evidence_key"),
        "a key nobody recorded",
    ),
    "a sealed day's digest": (
        _update("evidence_seal", "UPDATE evidence_seal SET digest = sha256(digest) WHERE seq = 2"),
        "seal 2 has another digest than was signed",
    ),
    "an account closed behind the books' back": (
        _update("open_item", "UPDATE open_item SET row_digest = sha256(row_digest) WHERE amount_minor_units = 20000"),
        "open_item of institution 7: a row among 2 signed ones changed",
    ),
    "a row removed": (
        _update("open_item_clearing", "DELETE FROM open_item_clearing"),
        "open_item_clearing of institution 7: 1 rows were signed, 0 are there",
    ),
    "a batch removed": (
        _update("posting_batch", "DELETE FROM posting_batch WHERE batch_id = 3"),
        "1 of 3 signed batches of institution 7 are gone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_changed_by_hand_is_named(log: Log, attack: str) -> None:
    act, expected = ATTACKS[attack]

    act(log.conn)

    assert any(expected in what for what in log.whats()), log.whats()


def test_a_log_that_was_changed_is_not_signed_again(log: Log) -> None:
    _update("checkpoint", "UPDATE checkpoint SET frontier = sha256(frontier) WHERE checkpoint_no = 2")(log.conn)
    log.desk.post(log.desk.transfer(("custody_cash", ""), ("unidentified_receipts", ""), 5, "x"))

    with pytest.raises(CheckpointRefused, match="was changed after it was signed"):
        log.close(date(2025, 3, 5))


def test_checkpoints_themselves_are_evidence(log: Log) -> None:
    for change in ("UPDATE checkpoint SET actor = 'x'", "DELETE FROM checkpoint_entry", "TRUNCATE checkpoint_cosignature"):
        with pytest.raises(Exception, match="its rows are evidence"), log.conn.begin_nested():
            log.conn.execute(text(change))


# -- keys and counter-signatures ---------------------------------------------------------------------------------------
def test_a_counter_signature_is_kept_once_and_checked(log: Log) -> None:
    record_key(log.conn, BANK.public_key, party="NRB", valid_from=DAY, actor="test")
    first, second = checkpoints(log.conn)
    given = BANK.cosign(second.note.text, 1_741_000_000)

    with pytest.raises(NoteRefused, match="is wrong"):
        add_cosignature(log.conn, first.checkpoint_no, given, actor="test")
    assert add_cosignature(log.conn, second.checkpoint_no, given, actor="test").party == "NRB"
    add_cosignature(log.conn, second.checkpoint_no, given, actor="test")

    whole = checkpoints(log.conn)[1].whole_note
    assert signers(whole, [KEY.public_key, BANK.public_key]) == [KEY.public_key, BANK.public_key]
    assert log.whats() == []


def test_counter_signatures_of_strangers_and_of_the_log_itself_are_refused(log: Log) -> None:
    note = checkpoints(log.conn)[1].note

    for given in (BANK.cosign(note.text, 5), note.signatures[0]):
        with pytest.raises(CheckpointRefused, match="no counter-signing key"):
            add_cosignature(log.conn, 2, given, actor="test")


def test_a_bent_counter_signature_in_the_database_is_named(log: Log) -> None:
    record_key(log.conn, BANK.public_key, party="NRB", valid_from=DAY, actor="test")
    add_cosignature(log.conn, 2, BANK.cosign(checkpoints(log.conn)[1].note.text, 1), actor="test")
    _update("checkpoint_cosignature", "UPDATE checkpoint_cosignature SET signature = set_byte(signature, 70, 1)")(log.conn)

    assert any("the signature of bank.example/nrb" in what for what in log.whats())


def test_a_retired_key_signs_no_more_and_what_it_signed_stays(log: Log) -> None:
    retire_key(log.conn, KEY.public_key, retired_on=date(2025, 3, 5), actor="test", reason="rotation")
    log.desk.post(log.desk.transfer(("custody_cash", ""), ("unidentified_receipts", ""), 5, "x"))

    with pytest.raises(CheckpointRefused, match="does not sign for 2025-03-05"):
        log.close(date(2025, 3, 5))
    assert log.whats() == []
    with pytest.raises(CheckpointRefused, match="was retired"):
        retire_key(log.conn, KEY.public_key, retired_on=date(2025, 3, 5), actor="test", reason="again")


def test_a_log_keeps_its_name(log: Log) -> None:
    with pytest.raises(CheckpointRefused, match="must bear the same name"):
        record_key(log.conn, replace(KEY.public_key, name="other.example"), party="x", valid_from=DAY, actor="test")


def test_key_files_are_made_once_readable_by_their_owner_only_and_never_replaced_silently(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = keys_for_signing(desk.conn, folder, day=DAY, actor="test")

    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert keys_for_signing(desk.conn, folder, day=DAY, actor="test") == made
    with pytest.raises(CheckpointRefused, match="--rotate"):
        make_keys(desk.conn, folder, name="a.example", party="x", day=DAY, actor="test")

    (folder / KEY_FILE).chmod(0o640)
    with pytest.raises(CheckpointRefused, match="can be read by others"):
        read_signing_keys(folder)
    (folder / KEY_FILE).unlink()
    with pytest.raises(CheckpointRefused, match="is missing, but these books have a signing key"):
        keys_for_signing(desk.conn, folder, day=DAY, actor="test")


def test_rotation_keeps_the_name_and_retires_the_old_key(desk: Desk, tmp_path: Path) -> None:
    old = keys_for_signing(desk.conn, tmp_path, day=DAY, actor="test")
    new = rotate_keys(desk.conn, tmp_path, day=date(2025, 4, 1), actor="test", reason="yearly")

    assert new.key.name == old.key.name
    assert new.key != old.key
    assert new.secret == old.secret  # proofs of earlier days must stay possible
    assert read_signing_keys(tmp_path) == new
    by_key = {one.key: one for one in recorded_keys(desk.conn)}
    assert by_key[old.key.public_key].retired_on == by_key[new.key.public_key].valid_from == date(2025, 4, 1)


def test_the_database_refuses_a_key_whose_id_does_not_follow_from_it(desk: Desk) -> None:
    with pytest.raises(Exception, match="key_id_follows_from_key"):
        desk.conn.execute(
            text(
                "INSERT INTO evidence_key (key_name, key_id, signature_type, public_key, party, valid_from, actor) "
                "VALUES ('a', '\\x00000000', 1, :public, 'p', '2025-01-01', 'a')"
            ),
            {"public": b"k" * 32},
        )


@pytest.mark.parametrize("body", ["", "institution v1 7\nlog 02 " + "0" * 64 + "\n", "institution v1 7\nlog 2 " + "0" * 64, "x"])
def test_a_text_in_another_form_is_no_entry(body: str) -> None:
    with pytest.raises(EntryRefused):
        parse_entry(body)
