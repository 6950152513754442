"""In the database a bank reads the instructions that went out to it and what it answered, and nobody else's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, text

from escrow.instruction_events import receive_answers
from storage.roles import Role, Session
from tests.escrow.conftest import District
from tests.storage.test_roles import refused, working_as

TABLES = ("disbursement_instruction", "refund_instruction", "instruction_file", "instruction_answer_file", "instruction_event")
ANSWERS = "reference,status,reason\n{},accepted,\n"
NOW = datetime(2025, 3, 6, 1, 0, tzinfo=UTC)


@pytest.fixture
def told(connection: Connection) -> Connection:
    """Both banks were told to pay an institution and to give a payer money back; both answered to the first."""
    district = District(connection)
    for number, bank in ((1, "NRB"), (2, "HBB")):
        district.found(number, bank_code=bank)
        for order in (f"ORD{number}1", f"ORD{number}2"):
            district.paid(order, number)
            district.bank_shows(order)
        district.taught(f"ORD{number}1", 1, "2025-03-05")
        district.confirmed(f"ORD{number}1", 1, "2025-03-05")
        district.asks_refund(f"R{number}", f"ORD{number}2", "2025-03-05", agreed_on="2025-03-05")
    district.released("2025-03-05")
    district.refunded("2025-03-05")
    district.instructed("2025-03-05")
    rows = connection.execute(
        text(
            "SELECT d.instruction_id, f.bank_code FROM disbursement_instruction d JOIN instruction_file f USING (instruction_file_id)"
        )
    )
    for reference, bank in rows.all():
        taken = receive_answers(
            connection, ANSWERS.format(reference).encode(), f"{bank}.csv", bank_code=bank, now=NOW, actor="bank"
        )
        assert not taken.refused, taken
    return connection


def banks_seen(connection: Connection) -> dict[str, set[str]]:
    """The banks of the rows a session reads, by table."""
    joined = {
        "disbursement_instruction": "SELECT f.bank_code FROM disbursement_instruction i JOIN instruction_file f USING (instruction_file_id)",
        "refund_instruction": "SELECT f.bank_code FROM refund_instruction i JOIN instruction_file f USING (instruction_file_id)",
        "instruction_file": "SELECT bank_code FROM instruction_file",
        "instruction_answer_file": "SELECT bank_code FROM instruction_answer_file",
        "instruction_event": "SELECT f.bank_code FROM instruction_event e JOIN instruction_answer_file f USING (instruction_answer_file_id)",
    }
    return {table: set(connection.scalars(text(joined[table]))) for table in TABLES}


def counts(connection: Connection) -> list[int]:
    return [connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in TABLES]


@pytest.mark.parametrize("bank", ["NRB", "HBB"])
def test_a_bank_reads_its_own_instructions_and_answers(told: Connection, bank: str) -> None:
    everything = counts(told)
    with working_as(told, Session(Role.BANK, bank=bank)):
        assert banks_seen(told) == {table: {bank} for table in TABLES}
        own = counts(told)
    assert [2 * count for count in own] == everything
    assert min(own) > 0


def test_a_session_without_a_bank_or_of_another_one_reads_none(told: Connection) -> None:
    for session in (Session(Role.BANK), Session(Role.BANK, bank="ISB"), Session(Role.BANK, bank="NRB' OR true --")):
        with working_as(told, session):
            assert counts(told) == [0] * len(TABLES)


def test_whose_an_instruction_is_says_its_file_and_not_the_institution(told: Connection) -> None:
    """An institution with accounts at two banks: neither reads what the other was told."""
    told.execute(text("SET LOCAL session_replication_role = replica"))
    told.execute(text("ALTER TABLE custody_account DISABLE TRIGGER ALL"))
    told.execute(
        text(
            "UPDATE custody_account SET institution_id = (SELECT min(institution_id) FROM custody_account) WHERE bank_code = 'HBB'"
        )
    )
    with working_as(told, Session(Role.BANK, bank="HBB")):
        assert banks_seen(told)["instruction_event"] == {"HBB"}
        assert banks_seen(told)["refund_instruction"] == {"HBB"}
        assert counts(told)[-1] == 1


def test_a_bank_reads_where_its_own_instructions_stand_and_not_the_books_behind_it(told: Connection) -> None:
    asked = text(
        "SELECT f.bank_code, s.state FROM instruction_states_of_bank(NULL) s JOIN instruction_file f USING (instruction_file_id)"
    )
    with working_as(told, Session(Role.BANK, bank="NRB")):
        assert sorted(map(tuple, told.execute(asked))) == [("NRB", "accepted"), ("NRB", "unanswered")]
        for books in ("instruction_state", "transfer", "open_item", "open_item_clearing", "refund", "prepayment"):
            assert "permission denied" in refused(told, f"SELECT * FROM {books}")
    with working_as(told, Session(Role.BANK)):
        assert told.execute(asked).all() == []
    for role in (Role.SUPERVISOR, Role.AUDITOR, Role.POSTER, Role.PERSON):
        with working_as(told, Session(role, ("*",), bank="NRB")):
            assert "permission denied" in refused(told, "SELECT * FROM instruction_states_of_bank(NULL)")


def test_a_bank_adds_and_changes_none(told: Connection) -> None:
    with working_as(told, Session(Role.BANK, bank="NRB")):
        for table in TABLES:
            assert "permission denied" in refused(told, f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table}")
            assert "permission denied" in refused(told, f"DELETE FROM {table}")
        assert "permission denied" in refused(told, "SELECT * FROM refund")
