"""What banks answer to instructions, told as stories: rejections give money back by two people, silence never pays twice."""

from __future__ import annotations

from datetime import date

import pytest
from psycopg.errors import RestrictViolation
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bank_adapters.answer_file import read_answer_file
from bank_adapters.instruction_layout import InstructionFormat, InstructionLayout
from bank_adapters.payment_initiation import Initiator
from escrow import handlers
from escrow.instruction_events import (
    AnswerFileReceipt,
    approve_return,
    decline_return,
    prepare_return,
    receive_answers,
    record_queries,
)
from escrow.instructions import Instruction, InstructionRefused, events_of, find_instruction, instructions, overdue_answers
from ledger.model import Clearing, Transfer, transfer_id
from ledger.store import post, reverse
from money import Money
from tests.bank_adapters.test_bank_answers import REASON, group, pain002, transaction
from tests.escrow.conftest import CALENDAR, POLICIES, District

DISBURSED, REFUNDED = "DI2025030500000001", "RFR1"
DAY = date(2025, 3, 5)
PAIN = {"NRB": InstructionLayout(InstructionFormat.PAIN001, initiator=Initiator("platform", "北江银行"))}


@pytest.fixture
def told(school: District) -> District:
    """On 5 March the bank was told to pay 100.00 to the institution and 1000.00 back to the payer of another order."""
    for order in ("ORD1", "ORD2"):
        school.paid(order)
        school.bank_shows(order)
    school.taught("ORD1", 1, "2025-03-05")
    school.confirmed("ORD1", 1, "2025-03-05")
    school.asks_refund("R1", "ORD2", "2025-03-05", agreed_on="2025-03-05")
    school.released("2025-03-05")
    school.refunded("2025-03-05")
    school.instructed("2025-03-05")
    return school


def answered(district: District, data: bytes | str, bank: str = "NRB") -> AnswerFileReceipt:
    given = data if isinstance(data, bytes) else data.encode()
    return receive_answers(district.conn, given, "answers", bank_code=bank, now=district.now, actor="bank.north")


def the(district: District, reference: str) -> Instruction:
    return find_instruction(district.conn, reference)


def balance(district: District, kind: str) -> int:
    found: int = district.conn.execute(
        text("SELECT coalesce(sum(b.balance_minor_units), 0)::bigint FROM account a JOIN account_balance b"
             " USING (institution_id, account_id) WHERE a.kind = :kind"),
        {"kind": kind},
    ).scalar_one()  # fmt: skip
    return -found


def put_back(district: District, reference: str, on: date = date(2025, 3, 6)) -> None:
    who = {"now": district.now, "role": "test"}
    prepare_return(district.conn, the(district, reference), reason="账号错误", actor="zhang", **who)
    approve_return(district.conn, the(district, reference), booking_date=on, actor="li", **who)


def bank_line(district: District, one: Instruction, on: date) -> Transfer:
    """The statement shows the payment left: disbursements (refunds) in transit against cash."""
    accounts = dict(
        district.conn.execute(
            text("SELECT kind, account_id FROM account WHERE custody_account_id = :a AND subject = ''"),
            {"a": one.custody_account_id},
        ).all()
    )
    moved = Transfer(
        transfer_id(one.institution_id, on, "bank_line", one.reference), one.institution_id,
        accounts["disbursements_in_transit"], accounts["custody_cash"], Money(one.amount_minor_units), on,
        "payment_matched", "bank_line", one.reference,
    )  # fmt: skip
    told = {"now": district.now, "actor": "test", "reason": "match", "rule_version": "test"}
    post(district.conn, [moved], clearings=[Clearing(one.institution_id, one.item_id, moved.transfer_id)], **told)
    return moved


def test_an_instruction_without_an_answer_is_unknown(told):
    assert {one.reference: one.state for one in instructions(told.conn)} == {DISBURSED: "unanswered", REFUNDED: "unanswered"}


def test_a_rejected_disbursement_goes_back_to_the_institutions_payable_and_is_paid_the_next_day(told):
    receipt = answered(told, f"reference,status,reason\n{DISBURSED},rejected,account closed\n")
    assert not receipt.refused
    assert the(told, DISBURSED).state == "rejected"
    assert (balance(told, "payable_to_institution"), balance(told, "disbursements_in_transit")) == (0, 10_000)

    put_back(told, DISBURSED)

    assert the(told, DISBURSED).state == "returned"
    assert (balance(told, "payable_to_institution"), balance(told, "disbursements_in_transit")) == (10_000, 0)
    assert told.instructed("2025-03-06").disbursed_minor_units == 10_000
    assert the(told, "DI2025030600000001").state == "unanswered"


def test_a_rejected_refund_is_held_again_and_a_new_request_returns_it(told):
    answered(told, f"reference,status,reason\n{REFUNDED},rejected,name does not fit\n")

    put_back(told, REFUNDED)

    assert told.position("ORD2").held_minor_units == 100_000
    assert told.instructed("2025-03-06").refunds == 0, "the same refund is never instructed again"
    told.asks_refund("R2", "ORD2", "2025-03-07", agreed_on="2025-03-07")
    told.refunded("2025-03-07")
    assert told.instructed("2025-03-07").refunded_minor_units == 100_000


def test_putting_money_back_takes_a_rejection_and_two_people(told):
    who = {"now": told.now, "role": "test"}
    with pytest.raises(InstructionRefused, match="is unanswered; only what the bank has rejected goes back. Ask the bank"):
        prepare_return(told.conn, the(told, DISBURSED), reason="x", actor="zhang", **who)
    answered(told, f"reference,status\n{DISBURSED},rejected\n")
    with pytest.raises(InstructionRefused, match="nobody has proposed"):
        approve_return(told.conn, the(told, DISBURSED), booking_date=DAY, actor="li", **who)
    prepare_return(told.conn, the(told, DISBURSED), reason="closed account", actor="zhang", **who)
    with pytest.raises(InstructionRefused, match="another person must approve"):
        approve_return(told.conn, the(told, DISBURSED), booking_date=DAY, actor="zhang", **who)

    decline_return(told.conn, the(told, DISBURSED), reason="ask the bank first", actor="li", **who)

    assert the(told, DISBURSED).state == "rejected"
    prepare_return(told.conn, the(told, DISBURSED), reason="the bank confirms", actor="zhang", **who)
    approve_return(told.conn, the(told, DISBURSED), booking_date=DAY, actor="li", **who)
    assert [one.event for one in events_of(told.conn, the(told, DISBURSED))] == [
        "rejected", "return_prepared", "return_declined", "return_prepared", "returned",
    ]  # fmt: skip
    audited = (
        told.conn.execute(text("SELECT act FROM audit_event WHERE object_kind = 'instruction' ORDER BY seq")).scalars().all()
    )
    assert audited[-1] == "escrow:instruction:returned"


@pytest.mark.parametrize("reference", [DISBURSED, REFUNDED])
def test_the_database_itself_refuses_to_undo_what_the_bank_has_not_rejected(told, reference):
    # Otherwise a time-out, undone by hand, would be instructed again under a new number and paid twice.
    one = the(told, reference)
    undo = {"now": told.now, "booking_date": DAY, "actor": "li", "reason": "never shown", "rule_version": "test"}
    with pytest.raises(RestrictViolation, match=f"undoing instruction {reference} refused"), told.conn.begin_nested():
        reverse(told.conn, one.institution_id, [one.item_id], **undo)

    answered(told, f"reference,status\n{reference},rejected\n")
    reverse(told.conn, one.institution_id, [one.item_id], **undo)
    assert the(told, reference).state == "returned"


def test_the_database_itself_refuses_a_second_instruction_of_a_refund_and_two_a_day_of_an_account(told):
    again = (
        "INSERT INTO disbursement_instruction (institution_id, instruction_id, custody_account_id, instruction_date,"
        " amount_minor_units, beneficiary_name, beneficiary_account, beneficiary_bank, transfer_id, instruction_file_id)"
        " SELECT institution_id, 'DI-AGAIN', custody_account_id, instruction_date, amount_minor_units, beneficiary_name,"
        " beneficiary_account, beneficiary_bank, transfer_id, instruction_file_id FROM disbursement_instruction"
    )
    refund = "INSERT INTO refund_instruction SELECT institution_id, refund_request_id, DATE '2025-03-07', instruction_file_id FROM refund_instruction"
    for statement in (refund, again):
        with pytest.raises(IntegrityError), told.conn.begin_nested():
            told.conn.execute(text(statement))


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([("return_prepared", {"reason": "x"})], "only what the bank has rejected"),
        (
            [("queried", {}), ("return_declined", {"reason": "x", "prepared_event_no": 1, "prepared_by": "zhang"})],
            "not the last event",
        ),
    ],
)
def test_the_database_itself_refuses_events_that_skip_a_step(told, events, says):
    with pytest.raises(DBAPIError, match=says), told.conn.begin_nested():
        _insert_events(told, events)


def _insert_events(told, events):
    for number, (event, facts) in enumerate(events, 1):
        values = {"reason": None, "prepared_event_no": None, "prepared_by": None} | facts
        told.conn.execute(
            text(
                "INSERT INTO instruction_event (institution_id, reference, event_no, instruction_id, event, event_at, actor, reason,"
                " prepared_event_no, prepared_by) VALUES (:i, :r, :n, :r, :e, now(), 'zhang', :reason, :prepared_event_no, :prepared_by)"
            ),
            {"i": told.institution_id(), "r": DISBURSED, "n": number, "e": event, **values},
        )


def test_the_same_file_again_records_nothing_and_a_changed_mind_is_refused(told):
    file = f"reference,status\n{DISBURSED},rejected\n"
    answered(told, file)
    assert answered(told, file).repeated

    later = answered(told, f"reference,status,bank_reference\n{DISBURSED},accepted,B7\n")

    assert later.refused
    assert later.answers[0].why == "the bank has rejected it before; ask which is right"
    assert the(told, DISBURSED).state == "rejected"
    assert told.count("instruction_answer_file") == 2, "every file is kept, also one that was refused"


def test_accepted_may_still_become_rejected_and_an_older_message_changes_nothing(told):
    for status in ("pending", "accepted", "pending", "rejected"):
        answered(told, f"reference,status,reason\n{DISBURSED},{status},{status}\n")

    assert [one.event for one in events_of(told.conn, the(told, DISBURSED))] == ["pending", "accepted", "rejected"]


@pytest.mark.parametrize(
    ("data", "bank", "says"),
    [
        ("reference,status\nDI9,accepted\n", "NRB", "this bank has no instruction DI9"),
        (f"reference,status\n{DISBURSED},accepted\n", "LCB", "this bank has no instruction"),
        (f"reference,status,file\n{DISBURSED},accepted,NRB-refund-20250305-01\n", "NRB", "in NRB-refund-20250305-01"),
        (f"reference,status,amount\n{DISBURSED},accepted,100.01\n", "NRB", "it names CNY 100.01"),
        (f"reference,status\n{DISBURSED},accepted\n{DISBURSED},rejected\n", "NRB", "answers it twice"),
    ],
)
def test_an_answer_that_fits_no_instruction_is_refused_by_name(told, data, bank, says):
    receipt = answered(told, data, bank)

    assert receipt.refused
    assert any(says in one.why and one.why_zh for one in receipt.answers), receipt.answers
    assert {one.state for one in instructions(told.conn)} == {"unanswered"}


def test_one_wrong_answer_does_not_take_its_neighbours_down(told):
    receipt = answered(told, f"reference,status\nDI9,accepted\n{REFUNDED},accepted\n")

    assert [str(one.outcome) for one in receipt.answers] == ["refused", "recorded"]
    assert the(told, REFUNDED).state == "accepted"


def test_two_institutions_with_one_reference_need_the_file_named(district):
    for number in (1, 2):
        district.found(number, account_number=f"{number}00000001")
        order = district.paid(f"ORD{number}", number, account_number=f"{number}00000001")
        district.bank_shows(order)
        district.taught(order, 1, "2025-03-05")
        district.confirmed(order, 1, "2025-03-05")
    district.released("2025-03-05")
    district.instructed("2025-03-05")

    vague = answered(district, f"reference,status\n{DISBURSED},rejected\n")
    exact = answered(district, f"reference,status,file\n{DISBURSED},rejected,NRB-disbursement-20250305-02\n")

    assert "2 instructions have this reference" in vague.answers[0].why
    assert not exact.refused
    assert sorted(one.state for one in instructions(district.conn)) == ["rejected", "unanswered"]


def test_pain_002_answers_a_pain_001_file_by_transaction_by_block_and_as_a_whole(told):
    told.paid("ORD3")
    told.bank_shows("ORD3", on="2025-03-06")
    told.asks_refund("R3", "ORD3", "2025-03-06", agreed_on="2025-03-06")
    told.refunded("2025-03-06")
    handlers.prepare_disbursements(told.conn, date(2025, 3, 6), policies=POLICIES, calendar=CALENDAR, now=told.now, layouts=PAIN)
    file = "NRB-refund-20250306-01"
    block = f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>{file}-1</OrgnlPmtInfId><PmtInfSts>ACCP</PmtInfSts></OrgnlPmtInfAndSts>"
    wrong_block = block.replace("-01-1<", "-01-7<")
    assert read_answer_file(pain002(group(file=file) + block)).findings == ()

    assert answered(told, pain002(group(file=file) + wrong_block)).refused
    assert the(told, "RFR3").state == "unanswered"
    assert not answered(told, pain002(group(file=file) + block)).refused
    assert the(told, "RFR3").state == "accepted"
    assert not answered(told, pain002(group("ACSP", file=file) + transaction("RJCT", REASON, "RFR3", "1000.00"))).refused
    assert the(told, "RFR3").state == "rejected"
    assert the(told, "RFR3").reason == "账户已销户"


def test_a_whole_file_rejected_rejects_every_instruction_in_it(told):
    receipt = answered(told, pain002(group("RJCT", file="NRB-disbursement-20250305-01")))

    assert [one.reference for one in receipt.answers] == [DISBURSED]
    assert {one.reference: one.state for one in instructions(told.conn)} == {DISBURSED: "rejected", REFUNDED: "unanswered"}


def test_a_statement_outweighs_an_answer_and_a_line_taken_back_shows_as_such(told):
    one = the(told, DISBURSED)
    line = bank_line(told, one, date(2025, 3, 6))
    assert the(told, DISBURSED).state == "paid"
    receipt = answered(told, f"reference,status\n{DISBURSED},rejected\n")
    assert receipt.answers[0].why == "the statement of 2025-03-06 shows it paid; ask the bank"

    # 冲正: the bank takes the payment back the next day; its money is in transit again, and may be undone now.
    undo = {"now": told.now, "booking_date": date(2025, 3, 7), "actor": "li", "reason": "returned", "rule_version": "test"}
    reverse(told.conn, one.institution_id, [line.transfer_id], **undo)

    assert the(told, DISBURSED).state == "came_back"
    assert balance(told, "disbursements_in_transit") == 10_000


def test_who_does_not_answer_in_time_is_asked_and_nothing_is_instructed_again(told):
    late = lambda on: [one.reference for one, _ in overdue_answers(told.conn, on, calendar=CALENDAR, days_of_bank={"NRB": 1})]  # noqa: E731
    assert late(date(2025, 3, 6)) == []  # one working day may pass
    assert late(date(2025, 3, 7)) == [DISBURSED, REFUNDED]
    answered(told, f"reference,status\n{DISBURSED},rejected\n{REFUNDED},accepted\n")
    assert late(date(2025, 3, 7)) == [], "accepted has as long again to appear on a statement"
    assert late(date(2025, 3, 10)) == [REFUNDED]

    record_queries(told.conn, [the(told, REFUNDED)], now=told.now, actor="zhang", role="supervisor", file_name="q")

    assert [one.event for one in events_of(told.conn, the(told, REFUNDED))] == ["accepted", "queried"]
    assert told.instructed("2025-03-10").files == ()
