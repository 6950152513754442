"""Stories of the quarantine: what two people may let through goes on as if it had passed, and what is wrong in itself never does."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bank_adapters.model import Direction
from bank_adapters.writing.mt940 import write_mt940
from config.profiles import load_profiles
from reconciliation.arrivals import arrivals
from reconciliation.model import Arrival, Gate, Receipt
from reconciliation.quarantine import QuarantineRefused, approve, prepare, refused_for_good, reject
from reconciliation.quarantine_store import find_held, held
from reconciliation.receiving import receive_statement_file
from reconciliation.verification import verify
from storage.append_only import append_only_tables
from storage.metadata import metadata
from tests.reconciliation.conftest import MONDAY, TUESDAY, WEDNESDAY, Town

IN = Direction.IN
FIRST, SECOND = "zhang.prepare", "li.approve"
OTHERS = [gate for gate in Gate if gate is not Gate.RESTATED]


def deliver(town: Town, data: bytes, name: str, *, sender: str = "SWB", digest: str = "") -> Receipt:
    with town.engine.begin() as conn:
        return receive_statement_file(
            conn,
            data,
            name,
            sender_bank=sender,
            directory={(town.ref.bank_code, town.ref.account_number): town.ref},
            profiles=load_profiles(),
            now=town.now(),
            actor="bank.circle",
            beside={".sha256": digest.encode()} if digest else {},
        )


def number_of(receipt: Receipt) -> int:
    (one,) = receipt.statements
    assert one.quarantine_id is not None, one
    return one.quarantine_id


def gate_of(town: Town, number: int) -> tuple[str, str]:
    with town.engine.connect() as conn:
        one = find_held(conn, number)
    return str(one.gate), str(one.state)


def counted(town: Town) -> list[object]:
    return [row[0] for row in town.query("SELECT business_date FROM statement_counted ORDER BY link")]


def test_a_file_whose_digest_does_not_fit_is_held_and_counts_when_two_people_let_it_through(town: Town) -> None:
    town.order("ORD20250001", 500, MONDAY)
    data = write_mt940([town.statement(TUESDAY, (IN, 500, "ORD20250001"))])
    receipt = deliver(town, data, "a.sta", digest="0" * 64)
    assert [str(one.outcome) for one in receipt.statements] == ["quarantined"]
    assert "it was altered or cut" in receipt.statements[0].reasons[0].en
    number = number_of(receipt)
    assert (counted(town), gate_of(town, number)) == ([], ("unproved", "held"))
    with town.engine.connect() as conn:
        assert arrivals(conn, town.ref, MONDAY, WEDNESDAY) == {TUESDAY: Arrival.QUARANTINED}

    (done,) = town.release(number)

    assert (str(done.outcome), counted(town), gate_of(town, number)[1]) == ("counted", [TUESDAY], "released")
    assert town.reconcile(TUESDAY).matches == 1, "it goes on exactly as if it had passed"
    again = deliver(town, data, "b.sta", digest="0" * 64)
    assert [str(one.outcome) for one in again.statements] == ["duplicate"], "and the same again is the same"
    with town.engine.connect() as conn:
        assert verify(conn) == []


def test_a_file_of_another_bank_is_held_and_the_right_sender_overtakes_it(town: Town) -> None:
    data = write_mt940([town.statement(MONDAY, (IN, 500, ""))])
    number = number_of(deliver(town, data, "a.sta", sender="NRB"))
    assert gate_of(town, number) == ("wrong_sender", "held")

    town.deliver_bytes(data, "b.sta")

    assert (counted(town), gate_of(town, number)) == ([MONDAY], ("wrong_sender", "overtaken"))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="another file said the same"):
        prepare(conn, [number], OTHERS, town.desk(FIRST), reason="x")


def test_a_file_of_another_bank_may_be_let_through(town: Town) -> None:
    number = number_of(deliver(town, write_mt940([town.statement(MONDAY, (IN, 500, ""))]), "a.sta", sender="NRB"))
    (done,) = town.release(number)
    assert (str(done.outcome), counted(town)) == ("counted", [MONDAY])
    assert town.query("SELECT sender_bank FROM statement_file") == [("NRB",)], "who sent it stays on record"


def test_every_gate_is_overruled_by_itself(town: Town) -> None:
    data = write_mt940([town.statement(MONDAY, (IN, 500, ""))])
    first = number_of(deliver(town, data, "a.sta", sender="NRB", digest="0" * 64))
    assert gate_of(town, first) == ("unproved", "held")
    (done,) = town.release(first)
    assert (str(done.outcome), counted(town)) == ("quarantined", [])
    with town.engine.connect() as conn:
        (second,) = held(conn, gate=Gate.WRONG_SENDER)
    assert str(town.release(second.quarantine_id)[0].outcome) == "counted"


def test_a_number_the_bank_skipped_may_be_let_through_before_anything_else_comes(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.sequence = 7
    waiting = town.deliver(town.statement(TUESDAY, (IN, 100, "")))
    assert [str(one.outcome) for one in waiting.statements] == ["waiting"]
    number = number_of(waiting)
    assert gate_of(town, number) == ("sequence", "held")
    (done,) = town.release(number)
    assert (str(done.outcome), counted(town)) == ("counted", [MONDAY, TUESDAY])
    with town.engine.connect() as conn:
        assert verify(conn) == []


def test_numbers_that_run_backwards_are_let_through_without_receiving_the_file_again(town: Town) -> None:
    town.sequence = 8
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.sequence = 2
    number = number_of(town.deliver(town.statement(TUESDAY, (IN, 100, ""))))
    assert str(town.release(number)[0].outcome) == "counted"
    assert counted(town) == [MONDAY, TUESDAY]


def test_a_statement_whose_balance_does_not_follow_is_held_by_no_gate(town: Town) -> None:
    """Two people cannot let through what is wrong in itself: money without a line, an unreadable file, another currency."""
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    missing = town.statement(TUESDAY, (IN, 100, ""))
    town.deliver(town.statement(WEDNESDAY, (IN, 1, "")), name="early.sta")
    broken = write_mt940([missing]).replace(b"C250304CNY6,00", b"C250304CNY7,00")
    assert town.deliver_bytes(broken, "broken.sta").statements[0].quarantine_id is None
    town.deliver_bytes(b"nothing at all", "junk.txt")
    with town.engine.connect() as conn:
        assert held(conn) == []
        found = {one.file_name: one.reasons for one in refused_for_good(conn, MONDAY, MONDAY.replace(day=31))}
    assert set(found) == {"broken.sta", "junk.txt"}
    assert all(found.values()), "each says why"


def test_one_person_alone_lets_nothing_through(town: Town) -> None:
    number = number_of(deliver(town, write_mt940([town.statement(MONDAY)]), "a.sta", digest="0" * 64))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="nobody has proposed it"):
        approve(conn, number, OTHERS, town.desk(SECOND))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="say why"):
        prepare(conn, [number], OTHERS, town.desk(FIRST), reason="")
    with town.engine.begin() as conn:
        prepare(conn, [number], OTHERS, town.desk(FIRST), reason="the bank told us by telephone")
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="another person must approve"):
        approve(conn, number, OTHERS, town.desk(FIRST))
    with town.engine.connect() as conn, pytest.raises(DBAPIError, match="approver_is_not_preparer"):
        conn.execute(
            text(
                "INSERT INTO quarantine_event (quarantine_id, event_no, statement_file_id, event, event_at, actor, reason,"
                " prepared_event_no, prepared_by, plan_digest) SELECT quarantine_id, 2, statement_file_id, 'approved', now(),"
                " actor, 'x', 1, actor, plan_digest FROM quarantine_event"
            )
        )
    assert counted(town) == []


def test_what_is_turned_down_counts_nothing_and_says_so(town: Town) -> None:
    data = write_mt940([town.statement(MONDAY)])
    number = number_of(deliver(town, data, "a.sta", digest="0" * 64))
    with town.engine.begin() as conn:
        prepare(conn, [number], OTHERS, town.desk(FIRST), reason="the bank told us by telephone")
    with town.engine.begin() as conn:
        reject(conn, number, town.desk(SECOND), reason="the bank knows nothing of it")
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="nobody has proposed it"):
        approve(conn, number, OTHERS, town.desk(SECOND))
    with town.engine.connect() as conn:
        assert arrivals(conn, town.ref, MONDAY, MONDAY) == {MONDAY: Arrival.REFUSED}
        assert verify(conn) == []
    proved = deliver(town, data, "b.sta", digest=hashlib.sha256(data).hexdigest())
    assert [str(one.outcome) for one in proved.statements] == ["counted"], "with the right digest it needs nobody"


def test_a_restated_statement_is_replaced_not_released(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    number = number_of(town.deliver(town.restate(MONDAY, (IN, 600, ""), opening=0, sequence=1), name="r.sta"))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match=f"statement replace {number} --prepare"):
        prepare(conn, [number], OTHERS, town.desk(FIRST), reason="x")


def test_an_account_that_is_not_filed_is_refused_until_it_is(town: Town) -> None:
    receipt = town.deliver_bytes(write_mt940([town.statement(MONDAY)]).replace(b":25:6222000000000017", b":25:999"), "s.sta")
    assert [(str(one.outcome), one.quarantine_id) for one in receipt.statements] == [("refused", None)]


def test_every_table_of_the_quarantine_is_evidence(town: Town) -> None:
    names = {table.name for table in append_only_tables(metadata)}
    assert {"quarantined_statement", "quarantine_event", "statement_version", "statement_line_kept", "match_undone"} <= names
    assert town.query("SELECT count(*) FROM quarantined_statement") == [(0,)]
