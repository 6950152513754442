"""Behind the digests stand facts: each is checked for itself, as if somebody had every key and rewrote everything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reports.evidence.verify import Broken, Key, Pack, Replay, row_digest, sized
from tests.reports.evidence.conftest import Told

Row = dict[str, Any]
Change = Callable[[list[Row]], list[Row]]


class Altered(Pack):
    """A pack whose tables say something else; digests of rows and tables are taken as rewritten too."""

    def __init__(self, whole: Pack, changes: dict[str, Change]) -> None:
        vars(self).update(vars(whole))
        self.changes = changes

    def rows(self, table: str) -> Iterator[tuple[int, Any]]:
        columns = self.manifest["tables"][table]["columns"]
        rows = [dict(zip(columns, cells, strict=True)) for _, cells in super().rows(table)]
        for number, row in enumerate(self.changes.get(table, lambda unchanged: unchanged)(rows), start=2):
            yield number, [row[column] for column in columns]


@pytest.fixture(scope="module")
def whole(told: Told) -> Iterator[Pack]:
    pack = Pack(str(told.pack), [Key(told.log_key)])
    yield pack
    pack.close()


def first_broken(whole: Pack, changes: dict[str, Change]) -> str:
    """The first fact that does not hold, apart from digests of rows and what shows the same figures again."""
    replay = Replay(Altered(whole, changes))
    for step in ("evidence_rows", "workbook"):  # the workbook shows statements: it would be named before the fact itself
        setattr(replay, step, lambda: None)
    with pytest.raises(Broken) as broken:
        replay.run()
    return str(broken.value)


def every(**values: Any) -> Change:
    return lambda rows: [{**row, **values} for row in rows]


def first(**values: Callable[[Any], Any]) -> Change:
    def change(rows: list[Row]) -> list[Row]:
        return [{**rows[0], **{name: act(rows[0][name]) for name, act in values.items()}}, *rows[1:]]

    return change


def twice(rows: list[Row]) -> list[Row]:
    return [rows[0], *rows]


def without_first(rows: list[Row]) -> list[Row]:
    return rows[1:]


def more(amount: str) -> str:
    return str(int(amount) + 1)


def where(condition: Callable[[Row], bool], **values: Any) -> Change:
    return lambda rows: [{**row, **values} if condition(row) else row for row in rows]


def disputed(rows: list[Row]) -> list[Row]:
    return [*rows, *({**row, "event": "disputed"} for row in rows if row["event"] == "taught")]


def same_person(rows: list[Row]) -> list[Row]:
    return [{**row, "actor": row["prepared_by"]} if row["event"] == "approved" else row for row in rows]


def other_preparer(rows: list[Row]) -> list[Row]:
    return [{**row, "prepared_by": "somebody"} if row["event"] == "approved" else row for row in rows]


FACTS: dict[str, tuple[dict[str, Change], str]] = {
    "released before it was taught": (
        {"class_hour_event": where(lambda row: row["event"] == "taught", event_on="2030-01-01")}, "before it was taught"),
    "released before it was confirmed": (
        {"class_hour_event": where(lambda row: "confirmed" in row["event"], event_on="2030-01-01")}, "before it was confirmed"),
    "released without a confirmation": (
        {"class_hour_event": lambda rows: [row for row in rows if "confirmed" not in row["event"]]}, "before it was confirmed"),
    "released before the bank showed the money": ({"funding": every(funded_on="2030-01-01")}, "before the bank had shown the money"),
    "released while disputed": ({"class_hour_event": disputed}, "it is disputed"),
    "released twice": ({"release": twice}, "this class-hour was released before"),
    "released more than the transfer": ({"release": first(amount_minor_units=more)}, "moves another amount"),
    "released out of nothing": ({"release": first(transfer_id=lambda _: "no-such")}, "is not in the books"),
    "paid less than was held": ({"prepayment": first(amount_minor_units=more)}, "is not held"),
    "an order without its money": ({"prepayment": first(receipt_item_id=lambda _: "no-such")}, "is not in the books"),
    "a bank line's amount": ({"statement_line": first(amount_minor_units=more)}, "its lines sum to"),
    "a bank line left out": ({"statement_line": without_first}, "statement"),
    "a bank line twice": ({"statement_line": twice}, "this line stands here twice"),
    "a closing balance": ({"statement": first(closing_minor_units=more)}, "opening balance plus lines is not its closing balance"),
    "a statement that does not continue": (
        {"statement": first(closing_minor_units=more, opening_minor_units=more)}, "the one before closed with"),
    "a statement left out": ({"statement_counted": without_first}, "statement 1 of the account should stand here"),
    "a bank line consumed twice": ({"match_bank_line": twice}, "it is consumed a second time"),
    "a book item consumed twice": ({"match_book_item": twice}, "it is consumed a second time"),
    "a match of another amount": ({"match_bank_line": first(amount_minor_units=more)}, "its match or its amount"),
    "an item cleared twice": ({"open_item_clearing": twice}, "it is cleared twice"),
    "a day approved by who prepared it": ({"sign_off_event": same_person}, "approved what"),
    "a day nobody prepared": ({"sign_off_event": other_preparer}, "did not prepare it"),
    "a signed-off day the bank contradicts": (
        {"reconciliation_run": lambda rows: [
            {**row, "ledger_cash_minor_units": more(row["ledger_cash_minor_units"])} for row in rows]}, "the bank has"),
    "a day signed off on another day's run": ({"sign_off_event": every(run_id="0")}, "is not one of that day"),
    "what is owed to one": ({"liabilities": first(amount_minor_units=more)}, "the account holds another amount"),
    "one to whom something is owed left out": ({"liabilities": without_first}, "liabilities are here"),
    "a balance": ({"balances": first(closing_minor_units=more)}, "opening and transfers give"),
    "an account of another currency": ({"account": first(currency=lambda _: "USD")}, "of another currency"),
    "an account that may not be overdrawn": ({"account": every(floor_minor_units="1000000000000")}, "falls below its floor"),
    "a batch out of order": ({"posting_batch": lambda rows: [rows[1], rows[0], *rows[2:]]}, "batch 1 should stand here"),
    "a batch's header": ({"posting_batch": first(transfer_count=more)}, "do not lead to the root of the institution's log"),
}  # fmt: skip


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_that_does_not_hold_is_named(whole: Pack, fact: str) -> None:
    changes, expected = FACTS[fact]

    assert expected in first_broken(whole, changes)


def releafed(row: Row) -> Row:
    """The transfer with the leaf its columns demand."""
    from datetime import date

    days = (date.fromisoformat(row["booking_date"]) - date(2000, 1, 1)).days
    parts = (
        "\0v1", row["institution_id"], row["transfer_id"], row["batch_id"], row["line"], row["debit_account_id"],
        row["credit_account_id"], row["amount_minor_units"], row["currency"], days, sized(row["reason"]), sized(row["source_kind"]),
        sized(row["source_ref"]), row["reverses"] or "-", row["debit_seq"], row["debit_balance_minor_units"], row["credit_seq"],
        row["credit_balance_minor_units"],
    )  # fmt: skip
    return {**row, "leaf": "\\x" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda row: {**row, "debit_balance_minor_units": more(row["debit_balance_minor_units"])}, "after it, not"),
        (lambda row: {**row, "credit_seq": more(row["credit_seq"])}, "should stand here"),
        (lambda row: {**row, "line": "2"}, "batch 1, line 1 should stand here"),
        (lambda row: {**row, "amount_minor_units": "0"}, "it moves nothing"),
        (lambda row: {**row, "debit_account_id": "0"}, "is unknown"),
        (lambda row: {**row, "reason": "another"}, "do not lead to the root in its header"),
    ],
)
def test_a_transfer_whose_leaf_was_rewritten_still_has_to_continue_the_books(
    whole: Pack, change: Callable[[Row], Row], expected: str
) -> None:
    assert expected in first_broken(whole, {"transfer": lambda rows: [releafed(change(rows[0])), *rows[1:]]})


def test_row_digests_are_those_of_the_database(whole: Pack) -> None:
    """Every table of the pack, awkward values among them, in the verifier's own reading of PostgreSQL's row text."""
    seen = 0
    for table, said in whole.manifest["tables"].items():
        if "row_digest" in said["columns"] and not said["masked"] and not said["members"]:
            at = said["columns"].index("row_digest")
            for _, cells in whole.rows(table):
                assert "\\x" + row_digest(cells, at).hex() == cells[at], table
                seen += 1
    assert seen > 200
