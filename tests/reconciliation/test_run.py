"""Stories of the day's reconciliation: what is proven posts, what is not is named, and running again changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, InternalError, ProgrammingError

from bank_adapters.model import Direction
from ledger.model import transfer_id
from ledger.store import balance
from money import Money
from reconciliation.discrepancy import Act, DiscrepancyKind, DiscrepancyRecord, DiscrepancyState
from reconciliation.discrepancy_store import records
from reconciliation.model import ClearedItem, RunResult, SettlementItem
from reconciliation.resolving import (
    Actor,
    ResolutionRefused,
    SamePerson,
    approve_resolution,
    assign,
    prepare_resolution,
    preview,
    reject_resolution,
)
from reconciliation.verification import verify
from tests.reconciliation.conftest import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT
ZHANG, LI = Actor("zhang.prepare", "supervisor"), Actor("li.approve", "approver")


def found(town: Town, *kinds: DiscrepancyKind, state: DiscrepancyState = DiscrepancyState.OPEN) -> list[DiscrepancyRecord]:
    with town.engine.connect() as conn:
        return records(conn, states=[state], kinds=[str(kind) for kind in kinds] or None)


def kinds_and_amounts(result: RunResult) -> set[tuple[str, int]]:
    return {
        (str(one.kind), one.amount_minor_units) for one in result.opened if one.kind is not DiscrepancyKind.COVERAGE_SHORTFALL
    }


def books_balance(town: Town, kind: str, subject: str = "") -> int:
    with town.engine.connect() as conn:
        return balance(conn, town.accounts[kind, subject]).minor_units


def resolve(town: Town, one: DiscrepancyRecord, act: Act, *items: UUID) -> tuple[ClearedItem, ...]:
    identity = one.discrepancy.discrepancy_id
    with town.engine.begin() as conn:
        prepare_resolution(conn, identity, act, by=ZHANG, now=town.now(), reason="story", item_ids=items)
    with town.engine.begin() as conn:
        _, cleared = approve_resolution(conn, identity, by=LI, now=town.now())
    return cleared


def nothing_is_wrong(town: Town) -> bool:
    with town.engine.connect() as conn:
        return verify(conn) == []


def test_a_paid_order_waits_in_transit_and_is_cleared_by_the_line_that_names_it(town: Town) -> None:
    item = town.order("ORD20250001", 120000, MONDAY)
    quiet = town.day(MONDAY)
    assert (quiet.matches, quiet.opened, quiet.ledger_cash.minor_units) == (0, (), 0)

    result = town.day(TUESDAY, (IN, 120000, "ORD20250001"))

    assert [one.item_id for one in result.cleared] == [item]
    assert result.opened == ()
    assert books_balance(town, "custody_cash") == 120000
    assert books_balance(town, "receipts_in_transit", "bank_transfer") == 0
    assert nothing_is_wrong(town)


def test_running_twice_changes_nothing_at_all(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    first = town.day(TUESDAY, (IN, 120000, "ORD20250001"), (IN, 500, ""), (OUT, 800, ""))
    tables = ("transfer", "match", "match_bank_line", "discrepancy", "discrepancy_event", "reconciliation_run", "run_discrepancy")
    before = [town.query(f"SELECT count(*) FROM {table}") for table in tables]

    second = town.reconcile(TUESDAY)

    assert not second.changed
    assert second.output_hash == first.output_hash
    assert [town.query(f"SELECT count(*) FROM {table}") for table in tables] == before
    assert second.cleared == first.cleared


@pytest.mark.parametrize(
    ("line", "kind", "difference"),
    [
        ((IN, 119000, "ORD20250001"), DiscrepancyKind.AMOUNT_MISMATCH, -1000),
        ((OUT, 120000, "ORD20250001"), DiscrepancyKind.DIRECTION_MISMATCH, -240000),
        ((IN, 777, ""), DiscrepancyKind.UNIDENTIFIED_RECEIPT, 777),
        ((OUT, 777, ""), DiscrepancyKind.UNEXPLAINED_PAYMENT, -777),
        ((IN, 888, "ORD20250099"), DiscrepancyKind.MISSING_IN_LEDGER, 888),
        ((IN, 12, "", "结息"), DiscrepancyKind.BANK_INTEREST, 12),
        ((OUT, 10, "", "账户管理费"), DiscrepancyKind.BANK_CHARGE, -10),
    ],
)
def test_what_is_not_proven_is_named_by_its_kind_and_amount(
    town: Town, line: tuple[Direction, int, str], kind: DiscrepancyKind, difference: int
) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    result = town.day(TUESDAY, line)

    assert result.matches == 0
    assert kinds_and_amounts(result) == {(str(kind), line[1])}
    (one,) = (d for d in result.opened if d.kind is kind)
    assert one.difference_minor_units == difference
    assert one.since == TUESDAY
    assert nothing_is_wrong(town)


def test_a_second_line_of_one_reference_is_a_duplicate_also_on_a_later_day(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    assert town.day(TUESDAY, (IN, 120000, "ORD20250001")).opened == ()

    result = town.day(WEDNESDAY, (IN, 120000, "ORD20250001"))

    assert kinds_and_amounts(result) == {("DUPLICATE_BANK", 120000)}


def test_a_late_receipt_is_named_not_matched_and_accepted_only_by_two_persons(town: Town) -> None:
    item = town.order("ORD20250001", 120000, MONDAY)
    for day in (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY):
        town.day(day)
    late = town.day(MONDAY.replace(day=11), (IN, 120000, "ORD20250001"))
    assert ("LATE", 120000) in kinds_and_amounts(late)
    (one,) = found(town, DiscrepancyKind.LATE)

    resolve(town, one, Act.ACCEPT_LATE)

    assert books_balance(town, "receipts_in_transit", "bank_transfer") == 0
    assert town.query("SELECT item_id FROM match_book_item") == [(item,)]
    after = town.reconcile(MONDAY.replace(day=11))
    assert after.open_discrepancies == 0
    assert nothing_is_wrong(town)


def test_an_item_the_bank_never_shows_is_carried_in_its_time_and_missing_afterwards(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    for day in (TUESDAY, WEDNESDAY, THURSDAY, FRIDAY):
        assert town.day(day).opened == (), "within its window an item is carried, not a discrepancy"

    result = town.day(MONDAY.replace(day=10))

    assert kinds_and_amounts(result) == {("MISSING_IN_BANK", 120000)}
    assert {str(one.kind) for one in result.opened} == {"MISSING_IN_BANK", "COVERAGE_SHORTFALL"}
    (one,) = found(town, DiscrepancyKind.MISSING_IN_BANK)
    resolve(town, one, Act.REVERSE)
    assert books_balance(town, "prepayment_held", "ORD20250001") == 0
    assert town.reconcile(MONDAY.replace(day=10)).open_discrepancies == 0


def test_a_settlement_batch_is_matched_by_its_total_and_its_fee_is_the_institutions(town: Town) -> None:
    items = [town.order(f"ORD2025000{n}", 100000, MONDAY) for n in (1, 2, 3)]
    town.settlements = [SettlementItem(item, "WX20250304", 600) for item in items]

    result = town.day(TUESDAY, (IN, 298200, "WX20250304"))

    assert {one.item_id for one in result.cleared} == set(items)
    assert kinds_and_amounts(result) == set()
    assert books_balance(town, "fee_receivable") == 1800
    assert books_balance(town, "custody_cash") == 298200
    assert nothing_is_wrong(town)


def test_an_unexpected_fee_is_named_with_its_amount_and_charged_to_the_institution(town: Town) -> None:
    for number in (1, 2):
        item = town.order(f"ORD2025000{number}", 100000, MONDAY)
        town.settlements.append(SettlementItem(item, "WX20250304"))
    result = town.day(TUESDAY, (IN, 198800, "WX20250304"))
    assert kinds_and_amounts(result) == {("FEE_VARIANCE", 198800)}
    (one,) = found(town, DiscrepancyKind.FEE_VARIANCE)
    assert one.discrepancy.difference_minor_units == -1200

    resolve(town, one, Act.CHARGE_FEE_TO_INSTITUTION)

    assert books_balance(town, "fee_receivable") == 1200
    assert books_balance(town, "custody_cash") == 198800
    assert books_balance(town, "receipts_in_transit", "bank_transfer") == 0
    assert nothing_is_wrong(town)


def test_a_returned_disbursement_is_reversed_and_its_item_opens_again(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"))
    town.disbursement("DI2025030400000017", 50000, TUESDAY, "ORD20250001")
    town.day(WEDNESDAY, (OUT, 50000, "DI2025030400000017"))
    assert books_balance(town, "disbursements_in_transit") == 0

    result = town.day(THURSDAY, (IN, 50000, "DI2025030400000017", "退汇"))
    assert kinds_and_amounts(result) == {("RETURNED", 50000)}
    (one,) = found(town, DiscrepancyKind.RETURNED)
    resolve(town, one, Act.REVERSE)

    assert books_balance(town, "disbursements_in_transit") == 50000
    assert books_balance(town, "custody_cash") == 120000
    assert town.reconcile(THURSDAY).open_discrepancies == 0
    again = town.day(FRIDAY, (OUT, 50000, "DI2025030400000017"))
    assert (again.matches, again.opened) == (1, ())
    assert nothing_is_wrong(town)


def test_a_receipt_the_bank_took_back_is_reversed_twice_and_leaves_nothing(town: Town) -> None:
    """First the clearing (the money is on its way again), then, when it never comes again, the booking of the order."""
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"))
    town.day(WEDNESDAY, (OUT, 120000, "ORD20250001", "冲正"))
    (taken_back,) = found(town, DiscrepancyKind.RETURNED)
    resolve(town, taken_back, Act.REVERSE)
    assert (books_balance(town, "custody_cash"), books_balance(town, "receipts_in_transit", "bank_transfer")) == (0, 120000)

    for day in range(6, 22):
        if town.calendar.is_working_day(MONDAY.replace(day=day)):
            town.day(MONDAY.replace(day=day))
    (missing,) = found(town, DiscrepancyKind.MISSING_IN_BANK)
    with town.engine.connect() as conn:
        legs = preview(conn, missing, Act.REVERSE, [UUID(item) for item in missing.discrepancy.item_ids])
    assert [(leg.debit, leg.amount) for leg in legs] == [("prepayment_held:ORD20250001", Money(120000))]
    resolve(town, missing, Act.REVERSE)

    for kind, subject in (("custody_cash", ""), ("receipts_in_transit", "bank_transfer"), ("prepayment_held", "ORD20250001")):
        assert books_balance(town, kind, subject) == 0, kind
    assert town.reconcile(MONDAY.replace(day=21)).open_discrepancies == 0
    assert nothing_is_wrong(town)


def test_an_act_that_is_not_possible_names_state_person_and_the_next_command(town: Town) -> None:
    town.day(TUESDAY, (IN, 700, ""))
    (one,) = found(town, DiscrepancyKind.UNIDENTIFIED_RECEIPT)
    identity, short = one.discrepancy.discrepancy_id, one.discrepancy.discrepancy_id[:8]

    def prepare() -> None:
        with town.engine.begin() as conn:
            prepare_resolution(conn, identity, Act.POST_TO_SUSPENSE, by=ZHANG, now=town.now(), reason="payer unknown")

    def approve(by: Actor = LI) -> None:
        with town.engine.begin() as conn:
            approve_resolution(conn, identity, by=by, now=town.now())

    with pytest.raises(ResolutionRefused, match=f"is open and nobody.*discrepancy resolve {short} --act claim_from_bank"):
        approve()
    prepare()
    with pytest.raises(ResolutionRefused, match=rf"prepared: zhang.* proposed post_to_suspense.*discrepancy approve {short}"):
        prepare()
    with pytest.raises(SamePerson, match=f"another person must approve it: escrow --as USER discrepancy approve {short}"):
        approve(ZHANG)
    approve()
    with pytest.raises(
        ResolutionRefused, match=r"is resolved: post_to_suspense, prepared by zhang.*, approved by li.*nothing is left"
    ):
        approve()


@pytest.mark.parametrize(("came", "short"), [(119999, 1), (120000, 0), (120001, 0)])
def test_the_first_missing_fen_is_told_the_day_it_is_missing_though_the_receipt_is_still_in_time(
    town: Town, came: int, short: int
) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.order("ORD20250002", 50000, MONDAY)
    town.day(TUESDAY, (IN, came, "ORD20250001"))
    told = [one.discrepancy.amount_minor_units for one in found(town, DiscrepancyKind.COVERAGE_SHORTFALL)]
    assert told == ([short] if short else [])


def test_money_nobody_can_name_goes_to_suspense(town: Town) -> None:
    town.day(TUESDAY, (IN, 700, ""), (OUT, 300, ""))
    for one in found(town, DiscrepancyKind.UNIDENTIFIED_RECEIPT, DiscrepancyKind.UNEXPLAINED_PAYMENT):
        resolve(town, one, Act.POST_TO_SUSPENSE)
    assert books_balance(town, "unidentified_receipts") == 700
    assert books_balance(town, "unexplained_payments") == 300
    assert books_balance(town, "custody_cash") == 400
    assert nothing_is_wrong(town)


def test_money_in_suspense_turns_out_to_be_that_of_an_order_reported_later(town: Town) -> None:
    """A receipt nobody could name; days later the platform reports its order, and the item is settled out of suspense."""
    town.day(TUESDAY, (IN, 120000, ""))
    (unknown,) = found(town, DiscrepancyKind.UNIDENTIFIED_RECEIPT)
    resolve(town, unknown, Act.POST_TO_SUSPENSE)
    town.order("ORD20250001", 120000, MONDAY)
    town.order("ORD20250002", 5000, MONDAY)
    for day in range(5, 22):
        if town.calendar.is_working_day(MONDAY.replace(day=day)):
            town.day(MONDAY.replace(day=day))
    missing = {one.discrepancy.amount_minor_units: one for one in found(town, DiscrepancyKind.MISSING_IN_BANK)}

    cleared = resolve(town, missing[120000], Act.SETTLE_FROM_SUSPENSE)

    assert [str(one.item_id) for one in cleared] == list(missing[120000].discrepancy.item_ids)
    assert books_balance(town, "unidentified_receipts") == 0
    assert books_balance(town, "receipts_in_transit", "bank_transfer") == 5000
    assert books_balance(town, "custody_cash") == 120000
    with pytest.raises(ResolutionRefused, match="suspense does not hold that much.*discrepancy reject"):
        resolve(town, missing[5000], Act.SETTLE_FROM_SUSPENSE)
    assert nothing_is_wrong(town)


def test_a_payment_without_instruction_turns_out_to_be_a_disbursement(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"), (OUT, 50000, ""))
    (unknown,) = found(town, DiscrepancyKind.UNEXPLAINED_PAYMENT)
    resolve(town, unknown, Act.POST_TO_SUSPENSE)
    town.disbursement("DI2025030400000017", 50000, TUESDAY, "ORD20250001")
    for day in range(5, 22):
        if town.calendar.is_working_day(MONDAY.replace(day=day)):
            town.day(MONDAY.replace(day=day))
    (missing,) = found(town, DiscrepancyKind.MISSING_IN_BANK)

    resolve(town, missing, Act.SETTLE_FROM_SUSPENSE)

    assert books_balance(town, "unexplained_payments") == 0
    assert books_balance(town, "disbursements_in_transit") == 0
    assert town.reconcile(MONDAY.replace(day=21)).open_discrepancies == 0
    assert nothing_is_wrong(town)


def test_a_discrepancy_keeps_its_identity_and_owner_and_clears_when_the_order_is_reported(town: Town) -> None:
    town.order("ORD20250001", 100, MONDAY)
    town.day(TUESDAY, (IN, 888, "ORD20250099"))
    (one,) = found(town, DiscrepancyKind.MISSING_IN_LEDGER)
    with town.engine.begin() as conn:
        assign(conn, one.discrepancy.discrepancy_id, "zhang.prepare", by=LI, now=town.now())
    town.day(WEDNESDAY)
    assert [r.owner for r in found(town, DiscrepancyKind.MISSING_IN_LEDGER)] == ["zhang.prepare"]

    town.order("ORD20250099", 888, MONDAY)
    result = town.reconcile(WEDNESDAY)

    assert result.auto_cleared == (one.discrepancy.discrepancy_id,)
    assert result.matches == 1


def test_the_preparer_cannot_approve_and_a_rejection_opens_it_again(town: Town) -> None:
    town.day(TUESDAY, (IN, 700, ""))
    (one,) = found(town, DiscrepancyKind.UNIDENTIFIED_RECEIPT)
    identity = one.discrepancy.discrepancy_id
    with town.engine.begin() as conn:
        _, legs = prepare_resolution(conn, identity, Act.POST_TO_SUSPENSE, by=ZHANG, now=town.now(), reason="asked around")
    assert [(leg.debit, leg.credit, leg.amount.minor_units) for leg in legs] == [("custody_cash", "unidentified_receipts", 700)]
    with town.engine.begin() as conn, pytest.raises(SamePerson, match="another person"):
        approve_resolution(conn, identity, by=Actor("zhang.prepare", "approver"), now=town.now())
    with town.engine.begin() as conn:
        rejected = reject_resolution(conn, identity, by=LI, now=town.now(), reason="ask the bank first")
    assert rejected.state is DiscrepancyState.OPEN
    assert books_balance(town, "custody_cash") == 0
    with town.engine.begin() as conn, pytest.raises(ResolutionRefused, match="no resolution for UNIDENTIFIED_RECEIPT"):
        prepare_resolution(conn, identity, Act.BOOK_BANK_CHARGE, by=ZHANG, now=town.now(), reason="x")


def test_a_missing_statement_is_named_and_cleared_by_its_arrival(town: Town) -> None:
    town.day(MONDAY)
    result = town.reconcile(TUESDAY)
    assert {str(one.kind) for one in result.opened} == {"STATEMENT_MISSING"}

    town.deliver(town.statement(TUESDAY))

    assert found(town) == []


def test_cash_in_the_books_that_no_line_explains_is_named(town: Town) -> None:
    town.day(MONDAY)
    with town.engine.begin() as conn:
        cash, suspense = town.accounts["custody_cash", ""], town.accounts["unidentified_receipts", ""]
        identity = transfer_id(town.ref.institution_id, TUESDAY, "manual", "1")
        town._post(conn, town._transfer(identity, cash, suspense, 5, TUESDAY, "by hand", "manual", "1"), None)
    result = town.day(TUESDAY)
    assert ("CASH_DIFFERENCE", 5) in kinds_and_amounts(result)
    assert [one.discrepancy.difference_minor_units for one in found(town, DiscrepancyKind.CASH_DIFFERENCE)] == [-5]


def test_a_crash_in_the_middle_leaves_nothing_half_done(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.deliver(town.statement(TUESDAY, (IN, 120000, "ORD20250001")))

    def stop(*_args: object, **_kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reconciliation.run_store.insert_run_discrepancies", stop)
    with pytest.raises(KeyboardInterrupt):
        town.reconcile(TUESDAY)
    monkeypatch.undo()
    assert town.query("SELECT count(*) FROM reconciliation_run") == [(0,)]
    assert books_balance(town, "custody_cash") == 0
    assert town.reconcile(TUESDAY).matches == 1


ATTACKS: dict[str, str] = {
    "consume a line twice": "INSERT INTO match_bank_line (institution_id, line_id, match_id, amount_minor_units)"
    " SELECT institution_id, line_id, match_id, amount_minor_units FROM match_bank_line LIMIT 1",
    "consume an item twice": "INSERT INTO match_book_item (institution_id, item_id, match_id, amount_minor_units)"
    " SELECT institution_id, item_id, match_id, amount_minor_units FROM match_book_item LIMIT 1",
    "edit a line": "UPDATE statement_line SET amount_minor_units = 1",
    "edit the bytes": "UPDATE statement_file SET content = 'x'",
    "drop a discrepancy": "DELETE FROM discrepancy",
    "empty the history": "TRUNCATE discrepancy_event",
    "approve oneself": "INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date,"
    " actor, prepared_event_no, prepared_by) SELECT institution_id, discrepancy_id, event_no + 1, 'approved', now(),"
    " business_date, actor, event_no, actor FROM discrepancy_event WHERE event = 'prepared'",
    "approve in another's name": "INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at,"
    " business_date, actor, prepared_event_no, prepared_by) SELECT institution_id, discrepancy_id, event_no + 1, 'approved', now(),"
    " business_date, actor, event_no, 'somebody.else' FROM discrepancy_event WHERE event = 'prepared'",
    "sign off alone": "INSERT INTO sign_off_event (institution_id, custody_account_id, business_date, event_no, event, event_at, actor,"
    " run_id, prepared_event_no, prepared_by) VALUES (1, 17, '2025-03-04', 2, 'approved', now(), 'zhang', 1, 1, 'zhang')",
    "break the chain": "INSERT INTO statement_counted (institution_id, statement_id, custody_account_id, business_date, link,"
    " previous_link) SELECT institution_id, statement_id, custody_account_id, '2025-04-01', 9, 8 FROM statement LIMIT 1",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_database_itself_refuses(town: Town, attack: str) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"), (IN, 700, ""))
    (one,) = found(town, DiscrepancyKind.UNIDENTIFIED_RECEIPT)
    with town.engine.begin() as conn:
        prepare_resolution(conn, one.discrepancy.discrepancy_id, Act.POST_TO_SUSPENSE, by=ZHANG, now=town.now(), reason="x")
    refused = (IntegrityError, InternalError, ProgrammingError)
    with pytest.raises(refused), town.engine.begin() as conn:
        conn.execute(text(ATTACKS[attack]))


FORGERIES: dict[str, tuple[str, str, str]] = {
    "a byte of a file": (
        "statement_file",
        "UPDATE statement_file SET sha256 = decode(repeat('00', 32), 'hex')",
        "statement_file",
    ),
    "a line's amount": (
        "statement_line",
        "UPDATE statement_line SET amount_minor_units = 119999 WHERE direction = 'IN'",
        "statement",
    ),
    "a match's member": ("match_book_item", "DELETE FROM match_book_item", "match"),
    "a run's result": ("run_discrepancy", "UPDATE run_discrepancy SET explanation = 'nothing'", "reconciliation_run"),
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_verification_names_what_the_owner_of_the_database_has_changed(town: Town, forgery: str) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"), (OUT, 700, ""))
    table, change, named = FORGERIES[forgery]
    with town.engine.begin() as conn:
        conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        conn.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_statement_file_sha256_is_of_content"))
        conn.execute(text(change))
    with town.engine.connect() as conn:
        faults = verify(conn)
    assert named in {fault.table for fault in faults}, faults


def test_the_same_line_can_be_told_apart_from_its_twin(town: Town, tables: Callable[[str], int]) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 500, ""), (IN, 500, ""))
    assert tables("statement_line") == 2


@pytest.fixture
def tables(town: Town) -> Callable[[str], int]:
    def count(table: str) -> int:
        ((number,),) = town.query(f"SELECT count(*) FROM {table}")
        assert isinstance(number, int)
        return number

    return count


def test_a_number_the_bank_never_used_counts_once_two_people_have_explained_it(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.sequence += 1
    town.deliver(town.statement(TUESDAY, (IN, 300, "")))
    town.reconcile(TUESDAY)
    (gap,) = found(town, DiscrepancyKind.STATEMENT_GAP)
    assert town.query("SELECT count(*) FROM statement_counted") == [(1,)], "until then it waits"

    resolve(town, gap, Act.EXPLAIN)
    town.reconcile(TUESDAY)

    assert town.query("SELECT count(*) FROM statement_counted") == [(2,)]


def test_an_explained_gap_does_not_let_a_broken_balance_pass(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (IN, 500, "")))
    town.sequence += 1
    town.deliver(town.statement(TUESDAY, (IN, 300, ""), opening=400))
    town.reconcile(TUESDAY)
    (gap,) = found(town, DiscrepancyKind.STATEMENT_GAP)

    resolve(town, gap, Act.EXPLAIN)
    town.reconcile(TUESDAY)

    assert town.query("SELECT count(*) FROM statement_counted") == [(1,)]
