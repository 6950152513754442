"""What posting accepts, refuses and leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, text

from ledger.encoding import merkle_root
from ledger.model import Clearing, PostingRefused, RefusalCode, Side, transfer_id
from ledger.store import (
    AccountRefused,
    account_ids,
    account_statement,
    balance,
    close_account,
    find_account,
    journal,
    open_items,
    post,
    reverse,
    trial_balance,
    verify,
)
from money import Money
from tests.ledger.conftest import DAY, NOW, Desk

CASH, HELD_A, TRANSIT = ("custody_cash", ""), ("prepayment_held", "A"), ("receipts_in_transit", "wechat")


def codes(outcome_or_error: object) -> list[RefusalCode]:
    refused = outcome_or_error.refusals if isinstance(outcome_or_error, PostingRefused) else outcome_or_error.refused  # type: ignore[attr-defined]
    return [refusal.code for refusal in refused]


def test_posting_the_same_call_twice_changes_nothing(desk: Desk) -> None:
    transfer, item = desk.paid("A", 500)
    first = desk.post(transfer, open_items=[item])
    before = trial_balance(desk.conn)
    second = desk.post(transfer, open_items=[item])

    assert (first.posted, first.batch_id, first.batches) == ((transfer.transfer_id,), 1, ((7, 1),))
    assert (second.posted, second.already_posted, second.batch_id, second.posted_at) == ((), (transfer.transfer_id,), None, None)
    assert trial_balance(desk.conn) == before


def test_the_same_id_with_any_other_content_is_refused_by_name(desk: Desk) -> None:
    transfer, item = desk.paid("A", 500)
    desk.post(transfer, open_items=[item])
    for other in (
        replace(transfer, amount=Money(501)),
        replace(transfer, debit_account_id=desk.ids[CASH]),
        replace(transfer, booking_date=DAY + timedelta(days=1)),
        replace(transfer, reason="something_else"),
        replace(transfer, source_ref="B"),
    ):
        assert codes(desk.post(other, on_refusal="report")) == [RefusalCode.EXISTS_WITH_OTHER_CONTENT]
    other_item = desk.post(transfer, open_items=[replace(item, due_date=DAY + timedelta(days=9))], on_refusal="report")
    assert codes(other_item) == [RefusalCode.EXISTS_WITH_OTHER_CONTENT]


def test_a_call_that_holds_one_id_twice_counts_it_once_and_refuses_another_content(desk: Desk) -> None:
    desk.open_orders("A")
    one = desk.transfer(CASH, HELD_A, 5, "x")
    outcome = desk.post(one, one, replace(one, amount=Money(6)), on_refusal="report")

    assert outcome.posted == (one.transfer_id,)
    assert codes(outcome) == [RefusalCode.EXISTS_WITH_OTHER_CONTENT]
    assert balance(desk.conn, desk.ids[HELD_A]) == Money(5)


def test_each_refusal_has_its_name_and_precedence(desk: Desk) -> None:
    desk.open_orders("A", "closed")
    desk.open_orders("dollars", currency="USD")
    closed = desk.ids["prepayment_held", "closed"]
    close_account(desk.conn, institution_id=7, account_id=closed, closed_on=DAY, actor="t", reason="r")
    good = desk.transfer(CASH, HELD_A, 100, "good")
    cases = {
        RefusalCode.ZERO_AMOUNT: replace(good, amount=Money(0), credit_account_id=good.debit_account_id),
        RefusalCode.OUT_OF_CALENDAR: replace(good, booking_date=date(2100, 1, 1), credit_account_id=good.debit_account_id),
        RefusalCode.ID_OF_OTHER_MONTH: replace(good, booking_date=date(2025, 4, 3), credit_account_id=good.debit_account_id),
        RefusalCode.SAME_ACCOUNT: replace(good, debit_account_id=999, credit_account_id=999),
        RefusalCode.UNKNOWN_ACCOUNT: replace(good, credit_account_id=999),
        RefusalCode.CLOSED_ACCOUNT: replace(good, credit_account_id=closed),
        RefusalCode.CURRENCY: replace(good, credit_account_id=desk.ids["prepayment_held", "dollars"]),
        RefusalCode.UNKNOWN_ORIGINAL: replace(good, reverses=transfer_id(7, DAY, "no", "such")),
        RefusalCode.BELOW_FLOOR: replace(good, debit_account_id=desk.ids[HELD_A], credit_account_id=desk.ids[CASH]),
    }
    for code, transfer in cases.items():
        assert codes(desk.post(transfer, on_refusal="report")) == [code]
        with pytest.raises(PostingRefused, match=str(code)):
            desk.post(transfer)
    before_opening = desk.post(desk.transfer(CASH, HELD_A, 100, "good", day=date(2024, 12, 31)), on_refusal="report")
    assert codes(before_opening) == [RefusalCode.CLOSED_ACCOUNT]
    assert trial_balance(desk.conn) == []
    assert desk.post(good).posted == (good.transfer_id,)


def test_a_balance_too_large_to_store_is_refused_by_name(desk: Desk) -> None:
    desk.open_orders("A")
    desk.post(desk.transfer(CASH, HELD_A, 2**63 - 1, "all there is"))
    assert codes(desk.post(desk.transfer(CASH, HELD_A, 1, "one more"), on_refusal="report")) == [RefusalCode.OVERFLOW]
    assert verify(desk.conn) == []


def test_raise_posts_nothing_of_the_call(desk: Desk) -> None:
    desk.open_orders("A")
    with pytest.raises(PostingRefused):
        desk.post(desk.transfer(CASH, HELD_A, 100, "good"), desk.transfer(HELD_A, CASH, 101, "too much"))
    assert trial_balance(desk.conn) == []


def test_a_journal_entry_is_posted_whole_or_not_at_all(desk: Desk) -> None:
    desk.open_orders("A")
    legs = [
        desk.transfer(CASH, HELD_A, 100, "entry", leg=1),
        desk.transfer(CASH, HELD_A, 0, "entry", leg=2),
        desk.transfer(CASH, HELD_A, 100, "entry", leg=3),
    ]
    outcome = desk.post(*legs, desk.transfer(CASH, HELD_A, 7, "other"), on_refusal="report")

    assert codes(outcome) == [RefusalCode.LINKED_REFUSED, RefusalCode.ZERO_AMOUNT, RefusalCode.LINKED_REFUSED]
    assert balance(desk.conn, desk.ids[HELD_A]) == Money(7)


def test_a_dip_below_the_floor_inside_a_batch_is_refused_although_the_end_would_be_above(desk: Desk) -> None:
    desk.open_orders("A")
    take, give = desk.transfer(HELD_A, CASH, 50, "take"), desk.transfer(CASH, HELD_A, 50, "give")
    assert codes(desk.post(take, give, on_refusal="report")) == [RefusalCode.BELOW_FLOOR]
    assert desk.post(take).posted == (take.transfer_id,)


def test_without_the_refused_entry_later_ones_are_judged_as_if_it_had_never_been(desk: Desk) -> None:
    """The refused entry would have paid 100 into A first: what relied on that is refused, what fits without it is posted."""
    desk.open_orders("A", "B")
    held_b = ("prepayment_held", "B")
    desk.post(desk.transfer(CASH, HELD_A, 30, "start"))
    outcome = desk.post(
        desk.transfer(CASH, HELD_A, 100, "bad", leg=1),
        desk.transfer(held_b, CASH, 1, "bad", leg=2),
        desk.transfer(HELD_A, CASH, 31, "relies on it"),
        desk.transfer(HELD_A, CASH, 30, "fits"),
        on_refusal="report",
    )
    assert codes(outcome) == [RefusalCode.LINKED_REFUSED, RefusalCode.BELOW_FLOOR, RefusalCode.BELOW_FLOOR]
    assert balance(desk.conn, desk.ids[HELD_A]) == Money(0)


def test_an_open_item_is_cleared_once_and_only_by_its_own_amount(desk: Desk) -> None:
    paid, item = desk.paid("A", 500)
    desk.post(paid, open_items=[item])
    short, short_clearing = desk.received("A-short", 499, item)
    right, clearing = desk.received("A", 500, item)
    again, again_clearing = desk.received("A-again", 500, item)
    unknown = Clearing(7, transfer_id(7, DAY, "no", "item"), right.transfer_id)

    assert codes(desk.post(short, clearings=[short_clearing], on_refusal="report")) == [RefusalCode.CLEARING_MISMATCH]
    assert codes(desk.post(right, clearings=[unknown], on_refusal="report")) == [RefusalCode.UNKNOWN_ITEM]
    assert open_items(desk.conn) == [item]
    assert desk.post(right, clearings=[clearing]).posted == (right.transfer_id,)
    assert desk.post(right, clearings=[clearing]).already_posted == (right.transfer_id,)
    assert codes(desk.post(again, clearings=[again_clearing], on_refusal="report")) == [RefusalCode.ALREADY_CLEARED]
    assert open_items(desk.conn) == []


def test_two_clearings_of_one_item_in_one_call_leave_the_first(desk: Desk) -> None:
    paid, item = desk.paid("A", 500)
    first, first_clearing = desk.received("one", 500, item)
    second, second_clearing = desk.received("two", 500, item)
    outcome = desk.post(paid, first, second, open_items=[item], clearings=[first_clearing, second_clearing], on_refusal="report")
    assert codes(outcome) == [RefusalCode.ALREADY_CLEARED]
    assert outcome.posted == (paid.transfer_id, first.transfer_id)


def test_an_open_item_must_fit_its_transfer(desk: Desk) -> None:
    paid, item = desk.paid("A", 500)
    for wrong in (
        replace(item, amount=Money(499)),
        replace(item, direction="OUT"),
        replace(item, account_id=desk.ids[CASH]),
        replace(item, booking_date=DAY + timedelta(days=1)),
        replace(item, custody_account_id=71),
    ):
        assert codes(desk.post(paid, open_items=[wrong], on_refusal="report")) == [RefusalCode.OPEN_ITEM_MISMATCH]
    with pytest.raises(ValueError, match="not in the call"):
        desk.post(desk.transfer(CASH, HELD_A, 1, "x"), open_items=[item])


def test_open_items_as_of_a_day_are_those_booked_and_not_yet_cleared_by_it(desk: Desk) -> None:
    later = DAY + timedelta(days=2)
    paid, item = desk.paid("A", 500)
    receipt, clearing = desk.received("A", 500, item, day=later)
    desk.post(paid, receipt, open_items=[item], clearings=[clearing])

    found = {day: open_items(desk.conn, custody_account_id=70, as_of=DAY + timedelta(days=day)) for day in (-1, 0, 1, 2)}
    assert found == {-1: [], 0: [item], 1: [item], 2: []}


def test_a_reversal_undoes_an_order_and_its_open_item(desk: Desk) -> None:
    paid, item = desk.paid("A", 500)
    desk.post(paid, open_items=[item])
    undo = {"now": NOW, "booking_date": DAY + timedelta(days=1), "actor": "t", "reason": "cancelled", "rule_version": "1"}
    outcome = reverse(desk.conn, 7, [paid.transfer_id], **undo)

    assert len(outcome.posted) == 1
    assert (balance(desk.conn, desk.ids[HELD_A]), open_items(desk.conn)) == (Money(0), [])
    assert reverse(desk.conn, 7, [paid.transfer_id], **undo).already_posted == outcome.posted
    with pytest.raises(PostingRefused, match=r"already_cleared|already_reversed"):
        reverse(desk.conn, 7, [paid.transfer_id], **{**undo, "booking_date": DAY + timedelta(days=2)})
    with pytest.raises(PostingRefused, match="unknown_original"):
        reverse(desk.conn, 7, [transfer_id(7, DAY, "no", "such")], **undo)
    assert verify(desk.conn) == []


def test_reversing_a_clearing_puts_the_money_back_in_transit_as_a_new_item(desk: Desk) -> None:
    paid, item = desk.paid("A", 500)
    receipt, clearing = desk.received("A", 500, item)
    desk.post(paid, receipt, open_items=[item], clearings=[clearing])
    undo = {"now": NOW, "booking_date": DAY, "actor": "t", "reason": "wrong line", "rule_version": "1"}
    with pytest.raises(PostingRefused, match="already_cleared"):
        reverse(desk.conn, 7, [paid.transfer_id], **undo)
    reverse(desk.conn, 7, [receipt.transfer_id], **undo)

    (again,) = open_items(desk.conn)
    assert (again.amount, again.direction, again.original_item_id) == (Money(500), "IN", item.item_id)
    assert verify(desk.conn) == []


def test_a_mirror_of_another_amount_and_a_second_reversal_are_refused(desk: Desk) -> None:
    desk.open_orders("A")
    original = desk.transfer(CASH, HELD_A, 100, "x")
    mirror = replace(desk.transfer(HELD_A, CASH, 100, "undo"), reverses=original.transfer_id)
    second = replace(desk.transfer(HELD_A, CASH, 100, "undo again"), reverses=original.transfer_id)
    outcome = desk.post(original, replace(mirror, amount=Money(99)), on_refusal="report")
    assert codes(outcome) == [RefusalCode.REVERSAL_MISMATCH]
    assert codes(desk.post(mirror, second, on_refusal="report")) == [RefusalCode.ALREADY_REVERSED]


def test_a_statement_pages_through_every_posting_with_its_running_balance(desk: Desk) -> None:
    desk.open_orders("A")
    amounts = [5, 7, 11, 13, 17]
    for number, fen in enumerate(amounts):
        desk.post(desk.transfer(CASH, HELD_A, fen, f"n{number}"))
    first = account_statement(desk.conn, desk.ids[HELD_A], limit=3)
    rest = account_statement(desk.conn, desk.ids[HELD_A], after=first[-1].seq, limit=3)

    assert [line.seq for line in first + rest] == [1, 2, 3, 4, 5]
    assert [line.balance.minor_units for line in first + rest] == [5, 12, 23, 36, 53]
    assert {line.side for line in first} == {Side.CREDIT}
    assert first[0].actor == "tester"


def test_the_journal_leads_every_transfer_to_its_batch_and_pages_by_key(desk: Desk) -> None:
    desk.story()
    lines = journal(desk.conn, limit=None)
    assert [(line.batch_id, line.line, line.source_kind) for line in lines] == [
        (1, 1, "order"), (1, 2, "order"), (2, 1, "receipt"), (2, 2, "release"),
    ]  # fmt: skip
    assert journal(desk.conn, after=(7, 1, 2), limit=1) == lines[2:3]
    assert [line.source_ref for line in journal(desk.conn, source_kind="release")] == ["A#1"]
    assert {(line.actor, line.rule_version) for line in lines} == {("tester", "rules-1")}


def test_balances_as_known_at_an_instant_leave_out_what_was_posted_later(desk: Desk) -> None:
    desk.open_orders("A")
    held = desk.ids[HELD_A]
    desk.post(desk.transfer(CASH, HELD_A, 100, "first"), now=NOW)
    between = desk.conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    # What the caller says about the time does not move what was known when.
    desk.post(desk.transfer(CASH, HELD_A, 10, "back-dated", day=DAY - timedelta(days=1)), now=NOW - timedelta(days=9))

    assert balance(desk.conn, held, as_of=DAY - timedelta(days=1)) == Money(10)
    assert balance(desk.conn, held, as_of=DAY - timedelta(days=1), known_at=between) == Money(0)
    assert balance(desk.conn, held, known_at=between) == Money(100)
    assert balance(desk.conn, held, known_at=NOW) == Money(0)
    known = trial_balance(desk.conn, known_at=between, by="kind")
    assert {row.kind: row.balance for row in known} == {"custody_cash": Money(100), "prepayment_held": Money(100)}


def test_several_institutions_in_one_call_get_a_batch_each(connection: Connection) -> None:
    one, two = Desk(connection), Desk(connection, institution=8, custody_account=80)
    one.open_orders("A")
    two.open_orders("A")
    transfers = [one.transfer(CASH, HELD_A, 5, "x"), two.transfer(CASH, HELD_A, 6, "x")]
    outcome = post(connection, transfers, now=NOW, actor="t", reason="r", rule_version="1")
    assert outcome.batches == ((7, 1), (8, 1))
    foreign = replace(
        transfers[0], credit_account_id=two.ids[HELD_A], source_ref="y", transfer_id=transfer_id(7, DAY, "test", "y")
    )
    assert codes(one.post(foreign, on_refusal="report")) == [RefusalCode.UNKNOWN_ACCOUNT]
    assert verify(connection) == []


def test_pages_of_the_journal_go_on_from_one_institution_to_the_next(connection: Connection) -> None:
    desks = [
        Desk(connection),
        Desk(connection, institution=8, custody_account=80),
        Desk(connection, institution=9, custody_account=90),
    ]
    transfers = []
    for number, desk in enumerate(desks):
        desk.open_orders("A")
        for batch in range(number):  # institution 7 has no batch at all
            made = [
                desk.transfer(CASH, HELD_A, 1 + batch, f"{batch}.{line}", day=DAY + timedelta(days=batch)) for line in range(3)
            ]
            desk.post(*made)
            transfers += made
    whole = journal(connection, limit=None)
    assert [line.transfer_id for line in whole] == [t.transfer_id for t in transfers]
    page, paged = journal(connection, limit=2), []
    while page:
        paged += page
        page = journal(connection, limit=2, after=(page[-1].institution_id, page[-1].batch_id, page[-1].line))
    assert paged == whole
    assert journal(connection, institution_ids=[7, 8], limit=None) == whole[:3]
    assert journal(connection, institution_ids=[7, 8], institution_id=9) == []
    assert journal(connection, custody_account_id=90, from_=DAY + timedelta(days=1), limit=None) == whole[-3:]
    assert journal(connection, source_ref="0.1", limit=None) == [whole[1], whole[4]]


def test_the_server_holds_a_long_batch_in_memory_until_the_transaction_ends(books: Engine) -> None:
    with books.connect() as conn:
        desk = Desk(conn)
        desk.open_orders("A")
        conn.commit()
        usual = conn.execute(text("SHOW work_mem")).scalar_one()
        desk.post(*(desk.transfer(CASH, HELD_A, 1, f"n{number}") for number in range(4_200)))
        assert conn.execute(text("SELECT pg_size_bytes(current_setting('work_mem'))")).scalar_one() == max(4_200 * 1024, 0)
        conn.commit()
        assert conn.execute(text("SHOW work_mem")).scalar_one() == usual
        conn.execute(text("SET work_mem = '1GB'"))
        desk.post(*(desk.transfer(CASH, HELD_A, 1, f"more{number}") for number in range(4_200)))
        assert conn.execute(text("SHOW work_mem")).scalar_one() == "1GB"


def test_accounts_open_once_and_keep_their_currency(desk: Desk) -> None:
    desk.open_orders("A")
    first = desk.ids[HELD_A]
    desk.open_orders("A")
    assert desk.ids[HELD_A] == first
    assert account_ids(desk.conn, institution_id=7, custody_account_id=70, kind="prepayment_held") == {HELD_A: first}
    assert find_account(desk.conn, first).code == "70:prepayment_held:A"
    with pytest.raises(AccountRefused, match="holds CNY"):
        desk.open_orders("A", currency="USD")
    with pytest.raises(AccountRefused, match="needs a subject"):
        desk.open_orders("")
    with pytest.raises(LookupError, match="no account 12345"):
        find_account(desk.conn, 12345)


def test_a_naive_instant_and_items_without_transfers_are_programming_errors(desk: Desk) -> None:
    paid, item = desk.paid("A", 1)
    with pytest.raises(ValueError, match="no time zone"):
        desk.post(paid, now=datetime(2025, 3, 3))
    with pytest.raises(ValueError, match="need the transfers"):
        desk.post(open_items=[item])


def test_free_text_of_any_kind_survives_and_keeps_its_leaf(desk: Desk) -> None:
    """Backslashes, tabs, line breaks, separators and Chinese go through COPY and through both computations of the leaf."""
    desk.open_orders("A")
    refs = ["\\x41", "a\tb\nc\rd", "|:|5:x|", "课时\\.", "\\N", "NULL", "'\"", " "]
    desk.post(*[desk.transfer(CASH, HELD_A, 1, ref, reason="课\\时") for ref in refs])
    assert [line.source_ref for line in journal(desk.conn)] == refs
    assert verify(desk.conn) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13, 64, 100])
def test_the_database_computes_the_same_merkle_root(desk: Desk, size: int) -> None:
    leaves = [bytes([n]) * 32 for n in range(size)]
    assert desk.conn.execute(text("SELECT merkle_root(:leaves)"), {"leaves": leaves}).scalar_one() == merkle_root(leaves)


def test_the_merkle_root_is_that_of_rfc_6962() -> None:
    """Test vector of the RFC's own tree: root of the first three and seven of certificate-transparency's reference leaves."""
    import hashlib

    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [hashlib.sha256(b"\0" + bytes.fromhex(data)).digest() for data in inputs]
    roots = {size: merkle_root(leaves[:size]).hex() for size in (1, 2, 3, 8)}
    assert roots == {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
