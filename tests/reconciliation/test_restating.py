"""Stories of restated statements: proposed, compared line by line, put in force by two people, and everything that follows."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from bank_adapters.model import Direction, LineStatus, Statement, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from ledger.store import verify as ledger_verify
from money import Money
from reconciliation.discrepancy import Act
from reconciliation.discrepancy_store import records
from reconciliation.model import Gate
from reconciliation.quarantine import QuarantineRefused, approve, prepare, reject
from reconciliation.resolving import Actor, ResolutionRefused, approve_resolution, prepare_resolution
from reconciliation.sign_off import SignOffRefused, approve_sign_off, prepare_sign_off, sign_off_of
from reconciliation.verification import verify
from reconciliation.versions import Change, compare
from storage.verification import rows_with_wrong_digest, rows_without_parents
from tests.reconciliation.conftest import MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT
FIRST, SECOND = "zhang.prepare", "li.approve"


def proposed(town: Town, statement: Statement, name: str = "restated.sta") -> int:
    """The bank restates a day; returns our number of the proposal."""
    receipt = town.deliver(statement, name=name)
    (one,) = receipt.statements
    assert (str(one.outcome), one.kind) == ("quarantined", "RESTATED"), one
    assert one.quarantine_id is not None
    return one.quarantine_id


def cash(town: Town) -> int:
    """Custody cash in the books, in fen."""
    found = town.query(
        "SELECT balance_minor_units FROM account JOIN account_balance USING (institution_id, account_id) WHERE kind = 'custody_cash'"
    )
    return int(str(found[0][0]))


def balance_of(town: Town, kind: str) -> int:
    found = town.query(
        "SELECT coalesce(sum(balance_minor_units), 0) FROM account JOIN account_balance USING (institution_id, account_id) "
        f"WHERE kind = '{kind}'"
    )
    return abs(int(str(found[0][0])))


def open_kinds(town: Town) -> set[str]:
    return {str(row[0]) for row in town.query("SELECT kind FROM discrepancy_state WHERE state IN ('open', 'prepared')")}


def nothing_is_wrong(town: Town) -> bool:
    with town.engine.connect() as conn:
        assert verify(conn) == []
        assert ledger_verify(conn) == []
        assert list(rows_with_wrong_digest(conn)) == []
        assert list(rows_without_parents(conn)) == []
    return True


def sign(town: Town, day: date) -> None:
    with town.engine.begin() as conn:
        prepare_sign_off(conn, town.ref, day, by=Actor(FIRST, "supervisor"), calendar=town.calendar, now=town.now())
    with town.engine.begin() as conn:
        approve_sign_off(conn, town.ref, day, by=Actor(SECOND, "approver"), calendar=town.calendar, now=town.now())


def state_of(town: Town, day: date) -> str:
    with town.engine.connect() as conn:
        return sign_off_of(conn, town.ref, day).state


def refusal(conn: Connection, attack: str) -> str:
    """What the database answers to an attack; empty when it lets it happen."""
    try:
        conn.execute(text(attack))
    except DBAPIError as error:
        return str(error.orig)
    return ""


def resolve(town: Town, kind: str, act: Act, *items: UUID) -> None:
    with town.engine.begin() as conn:
        (one,) = [each for each in records(conn, kinds=[kind]) if each.state in ("open", "prepared")]
        identity = one.discrepancy.discrepancy_id
        prepare_resolution(conn, identity, act, by=Actor(FIRST, "supervisor"), now=town.now(), reason="asked", item_ids=items)
        approve_resolution(conn, identity, by=Actor(SECOND, "approver"), now=town.now())


def test_a_restated_statement_posts_nothing_until_two_people_put_it_in_force(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.order("ORD20250002", 70_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"), (IN, 60_000, "ORD20250002"))
    assert "AMOUNT_MISMATCH" in open_kinds(town)
    before = town.query("SELECT count(*) FROM transfer")

    number = proposed(
        town, town.restate(TUESDAY, (IN, 50_000, "ORD20250001"), (IN, 70_000, "ORD20250002"), opening=0, sequence=1)
    )

    assert town.query("SELECT count(*) FROM transfer") == before
    assert town.query("SELECT count(*) FROM statement") == [(1,)]
    assert "RESTATED" in open_kinds(town)

    town.release(number)
    town.balance = 120_000
    assert town.query("SELECT version, prepared_by, approved_by FROM statement_version") == [(2, FIRST, SECOND)]
    assert town.query("SELECT count(*) FROM statement_line_kept") == [(1,)], "the line the bank repeats keeps its identity"
    assert cash(town) == 50_000, "its posting stands; the changed line waits for the run"

    town.reconcile(TUESDAY)

    assert cash(town) == 120_000 == town.balance
    assert open_kinds(town) == set()
    assert nothing_is_wrong(town)


def test_a_matched_line_that_changes_is_taken_back_and_compared_anew(town: Town) -> None:
    item = town.order("ORD20250001", 50_000, MONDAY)
    kept = town.order("ORD20250002", 70_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"), (IN, 70_000, "ORD20250002"))
    matches = dict(town.query("SELECT item_id, match_id FROM match_book_item"))
    assert cash(town) == 120_000

    number = proposed(
        town, town.restate(TUESDAY, (IN, 49_000, "ORD20250001"), (IN, 70_000, "ORD20250002"), opening=0, sequence=1)
    )
    town.release(number)

    assert cash(town) == 70_000
    assert town.query("SELECT match_id FROM match_undone") == [(matches[item],)]
    assert town.query("SELECT original_item_id FROM open_item WHERE original_item_id IS NOT NULL") == [(item,)], "open again"
    result = town.reconcile(TUESDAY)
    assert open_kinds(town) == {"AMOUNT_MISMATCH", "COVERAGE_SHORTFALL"}, result.opened
    assert town.query(f"SELECT count(*) FROM match_undone WHERE match_id = '{matches[kept]}'") == [(0,)]
    town.balance = 119_000
    resolve(town, "AMOUNT_MISMATCH", Act.POST_TO_SUSPENSE)
    town.reconcile(TUESDAY)
    assert cash(town) == 119_000
    assert nothing_is_wrong(town)


def test_a_line_that_is_gone_leaves_its_order_unpaid_and_a_new_one_pays_it(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"))
    town.release(proposed(town, town.restate(TUESDAY, opening=0, sequence=1)))
    town.balance = 0
    town.reconcile(TUESDAY)
    assert (cash(town), balance_of(town, "receipts_in_transit")) == (0, 50_000)

    town.day(WEDNESDAY, (IN, 50_000, "ORD20250001"))

    assert (cash(town), balance_of(town, "receipts_in_transit")) == (50_000, 0)
    assert nothing_is_wrong(town)


def test_the_old_version_stays_and_the_same_bytes_are_the_same_proposal(town: Town) -> None:
    town.day(TUESDAY, (IN, 500, ""))
    data = write_mt940([town.restate(TUESDAY, (IN, 600, ""), opening=0, sequence=1)])
    first = town.deliver_bytes(data, "a.sta").statements[0]
    again = town.deliver_bytes(data, "b.sta").statements[0]

    assert first.quarantine_id == again.quarantine_id
    assert town.query("SELECT count(*) FROM quarantined_statement") == [(1,)]
    assert town.query("SELECT count(*) FROM discrepancy WHERE kind = 'RESTATED'") == [(1,)]
    assert first.quarantine_id is not None
    town.release(first.quarantine_id)
    assert [str(one.outcome) for one in town.deliver_bytes(data, "c.sta").statements] == ["duplicate"]
    lines = town.query("SELECT statement_id, amount_minor_units FROM statement_line ORDER BY statement_id")
    assert [row[1] for row in lines] == [500, 600], "the old line is not touched"
    assert town.query("SELECT amount_minor_units FROM line_in_force") == [(600,)]
    assert nothing_is_wrong(town)


def test_a_bank_may_go_back_to_what_it_said_first(town: Town) -> None:
    original = town.statement(TUESDAY, (IN, 500, ""))
    data = write_mt940([original])
    town.deliver_bytes(data, "a.sta")
    other = town.restate(TUESDAY, (IN, 600, ""), opening=0, sequence=1)
    town.release(proposed(town, other))

    back = town.deliver_bytes(data, "again.sta").statements[0]

    assert str(back.outcome) == "quarantined", "the first version is in force no longer, so its bytes say something new"
    assert back.quarantine_id is not None
    town.release(back.quarantine_id)
    assert town.query("SELECT version FROM statement_in_force") == [(3,)]
    assert town.query("SELECT amount_minor_units FROM line_in_force") == [(500,)]
    town.release(proposed(town, other, "other.sta"))
    assert town.query("SELECT version FROM statement_in_force") == [(4,)]
    town.reconcile(TUESDAY)
    assert nothing_is_wrong(town)


def test_one_person_alone_replaces_nothing_in_the_program_or_in_the_database(town: Town) -> None:
    town.day(TUESDAY, (IN, 500, ""))
    number = proposed(town, town.restate(TUESDAY, (IN, 600, ""), opening=0, sequence=1))
    with town.engine.begin() as conn:
        prepare(conn, [number], [Gate.RESTATED], town.desk(FIRST), reason="the bank wrote to us")
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="another person must approve"):
        approve(conn, number, [Gate.RESTATED], town.desk(FIRST))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="proposed it already"):
        prepare(conn, [number], [Gate.RESTATED], town.desk(SECOND), reason="me too")

    event = (
        "INSERT INTO quarantine_event (quarantine_id, event_no, statement_file_id, event, event_at, actor, reason,"
        " prepared_event_no, prepared_by, plan_digest) SELECT quarantine_id, 2, statement_file_id, 'approved', now(), {actor},"
        " 'x', {proposal}, {by}, {digest} FROM quarantine_event WHERE event_no = 1"
    )
    version = (
        "INSERT INTO statement_version (institution_id, statement_id, custody_account_id, business_date, first_statement_id,"
        " version, replaces_statement_id, quarantine_id, approved_event_no, approval, prepared_by, approved_by)"
        " SELECT institution_id, statement_id, custody_account_id, business_date, 1, 2, 1, 1, 1, {approval}, {by}, {actor}"
        " FROM statement"
    )
    attacks = {
        "the proposer approves": event.format(actor="actor", proposal=1, by="actor", digest="plan_digest"),
        "a proposer is made up": event.format(actor="'li.approve'", proposal=1, by="'wang'", digest="plan_digest"),
        "a proposal is made up": event.format(actor="'li.approve'", proposal=7, by="actor", digest="plan_digest"),
        "something else is approved": event.format(actor="'li.approve'", proposal=1, by="actor", digest="sha256('x')"),
        "no proposal is named": event.format(actor="'li.approve'", proposal="NULL", by="NULL", digest="plan_digest"),
        "a version by a proposal": version.format(approval="'prepared'", by="'zhang.prepare'", actor="'li.approve'"),
        "a version without approval": version.format(approval="'approved'", by="'zhang.prepare'", actor="'li.approve'"),
        "a version by one person": version.format(approval="'approved'", by="'zhang.prepare'", actor="'zhang.prepare'"),
    }
    for name, attack in attacks.items():
        with town.engine.connect() as conn:
            refused = refusal(conn, attack)
        assert refused, name
    assert town.query("SELECT count(*) FROM statement_version") == [(0,)]


@pytest.mark.parametrize(
    "table", ["quarantined_statement", "quarantine_event", "statement_version", "statement_line_kept", "match_undone"]
)
def test_what_was_decided_is_never_changed_or_removed(town: Town, table: str) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"), (IN, 70_000, ""))
    town.release(proposed(town, town.restate(TUESDAY, (IN, 49_000, "ORD20250001"), (IN, 70_000, ""), opening=0, sequence=1)))
    assert town.query(f"SELECT count(*) > 0 FROM {table}") == [(True,)]
    for attack in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"UPDATE {table} SET row_digest = row_digest"):
        with town.engine.connect() as conn, pytest.raises(DBAPIError, match="refused"):
            conn.execute(text(attack))


def test_rejecting_is_an_act_with_a_reason_and_leaves_everything_as_it_was(town: Town) -> None:
    town.day(TUESDAY, (IN, 500, ""))
    number = proposed(town, town.restate(TUESDAY, (IN, 600, ""), opening=0, sequence=1))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="--reason"):
        reject(conn, number, town.desk(SECOND), reason=" ")
    with town.engine.begin() as conn:
        assert reject(conn, number, town.desk(SECOND), reason="the bank withdrew it").state == "rejected"
    assert town.query("SELECT count(*) FROM statement_version") == [(0,)]
    assert "RESTATED" in open_kinds(town), "that the bank said two things is still to be explained by two people"
    again = town.deliver(town.restate(TUESDAY, (IN, 600, ""), opening=0, sequence=1), name="again.sta").statements[0]
    assert again.quarantine_id == number
    assert "turned down by li.approve (the bank withdrew it)" in again.reasons[-1].en
    assert town.query("SELECT act, actor FROM audit_event WHERE act LIKE 'intake:quarantine:%%'") == [
        ("intake:quarantine:rejected", SECOND)
    ]
    assert nothing_is_wrong(town)
    town.release(number)
    assert town.query("SELECT version FROM statement_in_force") == [(2,)], "what was turned down by mistake may be proposed again"


def test_a_new_version_must_fit_its_neighbours_and_both_may_be_replaced_at_once(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"))
    town.day(WEDNESDAY, (IN, 1_000, ""))
    first = proposed(town, town.restate(TUESDAY, (IN, 49_000, "ORD20250001"), opening=0, sequence=1))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="2025-03-05 opens with 500.00; ask the bank"):
        prepare(conn, [first], [Gate.RESTATED], town.desk(FIRST), reason="x")
    second = proposed(town, town.restate(WEDNESDAY, (IN, 1_000, ""), opening=49_000, sequence=2), "b.sta")
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="2025-03-04 closes with 500.00"):
        prepare(conn, [second], [Gate.RESTATED], town.desk(FIRST), reason="x")

    town.release(first, second)

    assert town.query("SELECT link, version FROM statement_in_force ORDER BY link") == [(1, 2), (2, 2)]
    assert town.query("SELECT count(*) FROM statement_line_kept") == [(1,)], "Wednesday's line is the same"
    town.reconcile(WEDNESDAY)
    resolve(town, "AMOUNT_MISMATCH", Act.POST_TO_SUSPENSE)
    resolve(town, "UNIDENTIFIED_RECEIPT", Act.POST_TO_SUSPENSE)
    assert cash(town) == 50_000
    town.balance = 50_000
    assert town.day(THURSDAY).changed, "the next statement continues the version in force"
    assert nothing_is_wrong(town)


def test_what_the_account_began_with_cannot_be_restated(town: Town) -> None:
    town.day(TUESDAY, (IN, 500, ""))
    number = proposed(town, town.restate(TUESDAY, (IN, 400, ""), opening=100, sequence=1))
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match=r"the account began with 0.00"):
        prepare(conn, [number], [Gate.RESTATED], town.desk(FIRST), reason="x")


def test_signed_days_are_superseded_and_signed_again_after_a_new_run(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"))
    town.day(WEDNESDAY)
    sign(town, TUESDAY)
    sign(town, WEDNESDAY)

    number = proposed(town, town.restate(TUESDAY, (IN, 50_000, "ORD20250001", "a note"), opening=0, sequence=1))

    assert (state_of(town, TUESDAY), state_of(town, WEDNESDAY)) == ("open", "open")
    with pytest.raises(SignOffRefused, match="RESTATED"):
        sign(town, TUESDAY)
    town.release(number)
    with pytest.raises(SignOffRefused, match="data came after the last run"):
        sign(town, TUESDAY)
    town.reconcile(TUESDAY)
    sign(town, TUESDAY)
    with pytest.raises(SignOffRefused, match="data came after the last run"):
        sign(town, WEDNESDAY)
    town.reconcile(WEDNESDAY)
    sign(town, WEDNESDAY)
    assert cash(town) == 50_000
    assert nothing_is_wrong(town)


def test_a_days_sign_off_falls_on_approval_too_when_it_was_signed_in_between(town: Town) -> None:
    town.day(TUESDAY)
    number = proposed(town, town.restate(TUESDAY, (IN, 5_00, "", "found later"), opening=0, sequence=1))
    resolve(town, "RESTATED", Act.EXPLAIN)
    sign(town, TUESDAY)
    town.release(number)
    assert state_of(town, TUESDAY) == "open"
    why = town.query("SELECT reason FROM sign_off_event WHERE event = 'superseded' ORDER BY event_no DESC LIMIT 1")
    assert "the bank restated 2025-03-04" in str(why[0][0])
    assert "银行重报" in str(why[0][0])


def test_a_match_of_several_lines_falls_as_a_whole_and_is_found_again(town: Town) -> None:
    """The bank paid one order in two lines on two days; the second is restated, so the first is compared anew as well."""
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 20_000, "ORD20250001"), (IN, 30_000, "ORD20250001"))
    assert cash(town) == 50_000
    assert len(town.query("SELECT * FROM match_bank_line")) == 2

    restated = town.restate(
        TUESDAY, (IN, 20_000, "ORD20250001"), (IN, 30_000, "ORD20250001", "from the parents"), opening=0, sequence=1
    )
    town.release(proposed(town, restated))

    assert cash(town) == 0
    town.reconcile(TUESDAY)
    assert cash(town) == 50_000
    assert open_kinds(town) == set()
    assert nothing_is_wrong(town)


def test_lines_of_another_day_in_a_fallen_match_are_opened_again_in_their_own_statement(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.deliver(town.statement(TUESDAY, (IN, 20_000, "ORD20250001"), (IN, 700, "")))
    town.deliver(town.statement(WEDNESDAY, (IN, 30_000, "ORD20250001")))
    town.reconcile(WEDNESDAY)
    assert town.query("SELECT count(*) FROM match_bank_line") == [(2,)], "one match over two days"
    restated = town.restate(WEDNESDAY, (IN, 30_000, "ORD20250001", "from the parents"), opening=20_700, sequence=2)
    town.release(proposed(town, restated))
    assert town.query("SELECT link, version FROM statement_in_force ORDER BY link") == [(1, 2), (2, 2)]
    assert town.query("SELECT again FROM statement WHERE again IS NOT NULL") == [(2,)]
    assert cash(town) == 0
    town.reconcile(WEDNESDAY)
    assert cash(town) == 50_000
    assert nothing_is_wrong(town)


def test_a_payment_and_its_return_fall_together_or_not_at_all(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"))
    town.disbursement("DI2025030400000017", 20_000, TUESDAY, "ORD20250001")
    town.day(WEDNESDAY, (OUT, 20_000, "DI2025030400000017"))
    assert cash(town) == 30_000
    returned = dataclasses.replace(town.statement(THURSDAY, (IN, 20_000, "DI2025030400000017", "RETURN")))
    returned = dataclasses.replace(returned, lines=tuple(dataclasses.replace(one, reversal=False) for one in returned.lines))
    town.deliver(returned)
    town.reconcile(THURSDAY)
    assert open_kinds(town) & {"RETURNED", "DIRECTION_MISMATCH"} == {"RETURNED"}
    resolve(town, "RETURNED", Act.REVERSE)
    assert cash(town) == 50_000

    without = town.restate(WEDNESDAY, opening=50_000, sequence=2)
    number = proposed(town, without, "w.sta")
    later = proposed(town, town.restate(THURSDAY, opening=50_000, sequence=3), "t.sta")
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="would then return nothing"):
        prepare(conn, [number], [Gate.RESTATED], town.desk(FIRST), reason="x")
    town.release(number, later)
    town.reconcile(THURSDAY)
    assert cash(town) == 50_000
    assert balance_of(town, "disbursements_in_transit") == 20_000
    assert nothing_is_wrong(town)


def test_a_return_alone_may_be_restated_away(town: Town) -> None:
    town.order("ORD20250001", 50_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"))
    town.disbursement("DI2025030400000017", 20_000, TUESDAY, "ORD20250001")
    town.day(WEDNESDAY, (OUT, 20_000, "DI2025030400000017"))
    town.day(THURSDAY, (IN, 20_000, "DI2025030400000017", "RETURN"))
    resolve(town, "RETURNED", Act.REVERSE)
    assert (cash(town), balance_of(town, "disbursements_in_transit")) == (50_000, 20_000)

    town.release(proposed(town, town.restate(THURSDAY, opening=30_000, sequence=3)))

    assert (cash(town), balance_of(town, "disbursements_in_transit")) == (30_000, 0)
    town.reconcile(THURSDAY)
    assert open_kinds(town) == set()
    assert nothing_is_wrong(town)


def test_money_settled_out_of_suspense_since_stands_against_it_with_what_to_do(town: Town) -> None:
    town.day(TUESDAY, (IN, 50_000, "", "who is this"))
    resolve(town, "UNIDENTIFIED_RECEIPT", Act.POST_TO_SUSPENSE)
    item = town.order("ORD20250001", 50_000, MONDAY)
    for day in range(5, 22):
        if town.calendar.is_working_day(MONDAY.replace(day=day)):
            town.deliver(town.statement(MONDAY.replace(day=day)))
    town.reconcile(MONDAY.replace(day=21))
    resolve(town, "MISSING_IN_BANK", Act.SETTLE_FROM_SUSPENSE, item)
    number = proposed(town, town.restate(TUESDAY, (IN, 50_000, "", "Zhang"), opening=0, sequence=1))
    with town.engine.begin() as conn:
        prepare(conn, [number], [Gate.RESTATED], town.desk(FIRST), reason="x")
    with pytest.raises(QuarantineRefused, match="settled out of suspense"), town.engine.begin() as conn:
        approve(conn, number, [Gate.RESTATED], town.desk(SECOND))
    assert town.query("SELECT count(*) FROM statement_version") == [(0,)]


def test_approval_falls_when_what_it_would_change_is_no_longer_what_was_proposed(town: Town) -> None:
    item = town.order("ORD20250001", 50_000, MONDAY)
    town.deliver(town.statement(TUESDAY, (IN, 50_000, "ORD20250001")))
    number = proposed(town, town.restate(TUESDAY, (IN, 49_000, "ORD20250001"), opening=0, sequence=1))
    with town.engine.begin() as conn:
        prepare(conn, [number], [Gate.RESTATED], town.desk(FIRST), reason="x")
    town.reconcile(TUESDAY)  # now the old line is matched, and replacing it would undo that
    assert town.query("SELECT item_id FROM match_book_item") == [(item,)]
    with town.engine.begin() as conn, pytest.raises(QuarantineRefused, match="no longer what zhang.prepare proposed"):
        approve(conn, number, [Gate.RESTATED], town.desk(SECOND))
    town.release(number)
    assert cash(town) == 0


def test_a_discrepancy_about_a_line_that_is_gone_closes_and_cannot_be_resolved(town: Town) -> None:
    town.day(TUESDAY, (IN, 50_000, ""))
    with town.engine.begin() as conn:
        (one,) = records(conn, kinds=["UNIDENTIFIED_RECEIPT"])
        identity = one.discrepancy.discrepancy_id
        prepare_resolution(conn, identity, Act.POST_TO_SUSPENSE, by=Actor(FIRST, "supervisor"), now=town.now(), reason="asked")
    town.release(proposed(town, town.restate(TUESDAY, opening=0, sequence=1)))
    assert open_kinds(town) == set()
    with town.engine.begin() as conn, pytest.raises(ResolutionRefused, match="cleared"):
        approve_resolution(conn, identity, by=Actor(SECOND, "approver"), now=town.now())


def test_a_statement_that_waits_may_be_restated_before_it_counts(town: Town) -> None:
    monday, tuesday = town.statement(MONDAY, (IN, 500, "")), town.statement(TUESDAY, (IN, 100, ""))
    town.deliver(tuesday)
    number = proposed(town, town.restate(TUESDAY, (IN, 200, ""), opening=500, sequence=2))
    town.release(number)
    town.deliver(monday)
    assert town.query("SELECT amount_minor_units FROM line_in_force ORDER BY link") == [(500,), (200,)]
    assert nothing_is_wrong(town)


def test_a_day_without_statement_has_nothing_to_replace_and_is_refused_for_good(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.deliver(town.statement(WEDNESDAY, (IN, 1, "")))
    late = town.restate(TUESDAY, (IN, 7, ""), opening=500, sequence=2)
    receipt = town.deliver(late, name="late.sta")
    assert [(str(each.outcome), each.kind) for each in receipt.statements] == [("refused", "RESTATED")]
    assert "no statement for 2025-03-04 itself counts" in receipt.statements[0].reasons[-1].en


def a_line(amount: int, reference: str, text_: str = "") -> StatementLine:
    return StatementLine(
        TUESDAY, TUESDAY, IN, Money(amount), LineStatus.BOOKED, 1, bank_reference=reference or None, description=text_ or None
    )


LINES = st.lists(
    st.builds(a_line, st.integers(1, 3), st.sampled_from(["", "A", "B"]), st.sampled_from(["", "x", "y"])), max_size=8
)


@given(LINES, LINES)
def test_every_line_of_both_versions_stands_in_the_comparison_once(old: list[StatementLine], new: list[StatementLine]) -> None:
    found = compare(1, old, new)
    assert sorted(one.old for one in found if one.old is not None) == list(range(len(old)))
    assert [one.new for one in found if one.new is not None] == list(range(len(new)))
    assert all((one.change is Change.CHANGED) == bool(one.fields) for one in found)
    same = sum((Counter(old_line for old_line in old) & Counter(new)).values())
    assert sum(one.change is Change.UNCHANGED for one in found) == same, "what is the same is never told as changed"


def test_a_comparison_names_the_fields_that_differ() -> None:
    old = [a_line(100, "A", "fee"), a_line(200, "B"), a_line(300, "")]
    new = [a_line(250, "B"), a_line(100, "A", "other fee")]
    assert [(one.change, one.old, one.new, [each.field for each in one.fields]) for one in compare(1, old, new)] == [
        (Change.CHANGED, 1, 0, ["amount"]),
        (Change.CHANGED, 0, 1, ["description"]),
        (Change.REMOVED, 2, None, []),
    ]
