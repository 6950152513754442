"""Exports that begin before the end of what counts: what was reported before is absorbed line by line, the rest counts once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.camt053 import write_camt053
from bank_adapters.writing.delimited import write_delimited
from bank_adapters.writing.mt940 import write_mt940
from config.profiles import load_profiles
from money import Money
from reconciliation.arrivals import arrivals
from reconciliation.intake_store import waiting_statements
from reconciliation.model import Arrival, Gate, Receipt, StatementReceipt
from reconciliation.resolving import Actor
from reconciliation.sign_off import approve_sign_off, prepare_sign_off, sign_off_of
from reconciliation.verification import verify
from reconciliation.version_store import versions_of_day
from tests.reconciliation.conftest import FRIDAY, MONDAY, NUMBER, THURSDAY, TUESDAY, WEDNESDAY, Town

IN, OUT = Direction.IN, Direction.OUT


class Bank:
    """A bank that keeps one account truly and exports any stretch of it, as often as it likes."""

    def __init__(self, movements: list[tuple[date, int, str]]) -> None:
        """``movements``: (day, fen with sign, reference or, after a tilde, text only), oldest first."""
        self.truth = [_line(*one) for one in movements]

    def __repr__(self) -> str:
        return f"Bank({[self.fact(place) for place in range(len(self.truth))]})"

    def balance(self, before: int) -> int:
        return sum(_units(line) for line in self.truth[:before])

    def fact(self, place: int) -> tuple[object, ...]:
        return fact_of(self.truth[place])

    def day(self, place: int) -> date:
        found = self.truth[place].booking_date
        assert found is not None
        return found

    def place_of(self, balance: int) -> int:
        """The place with a balance, where no other has it."""
        return next(place for place in range(len(self.truth) + 1) if self.balance(place) == balance)

    def export(self, start: int, end: int, day: date, *, sequence: str | None = None) -> Statement:
        """The movements from place to place, as of a day."""
        lines = tuple(replace(line, line=number) for number, line in enumerate(self.truth[start:end], 1))
        first = lines[0].booking_date if lines else day
        return Statement(
            kind=StatementKind.STATEMENT, account=NUMBER, currency="CNY", statement_id=f"E{start}-{end}", sequence=sequence,
            opening_balance=Money(self.balance(start)), opening_date=first, closing_balance=Money(self.balance(end)),
            closing_date=day, lines=lines, accepted=True, account_name="Sunrise Custody",
        )  # fmt: skip

    def days(self, first: date, last: date) -> Statement:
        """The movements of whole days."""
        places = [place for place, line in enumerate(self.truth) if line.booking_date and first <= line.booking_date <= last]
        start = places[0] if places else sum(1 for line in self.truth if line.booking_date and line.booking_date < first)
        return self.export(start, start + len(places), last)


def _line(day: date, units: int, name: str) -> StatementLine:
    reference = None if name.startswith("~") else name
    way = IN if units > 0 else OUT
    return StatementLine(
        day, day, way, Money(abs(units)), LineStatus.BOOKED, 1, bank_reference=reference, references=(name,) if reference else (),
        description=name.removeprefix("~"), end_to_end_reference=None,
    )  # fmt: skip


def fact_of(line: StatementLine) -> tuple[object, ...]:
    """A line as ``counted`` tells it: day, fen with sign, reference or text."""
    return line.booking_date, _units(line), line.bank_reference or f"~{line.description}"


def _units(line: StatementLine) -> int:
    return line.amount.minor_units if line.direction is IN else -line.amount.minor_units


def deliver(town: Town, one: Statement, name: str = "") -> StatementReceipt:
    """As camt.053, which needs no number; under another name each time, since bytes differ in their time of making."""
    (receipt,) = receive(town, one, name).statements
    return receipt


def receive(town: Town, one: Statement, name: str = "") -> Receipt:
    return town.deliver_bytes(write_camt053([one], town.now()), name or f"{town.ticks}.xml")


def told(receipt: StatementReceipt) -> tuple[str, str | None]:
    return str(receipt.outcome), receipt.kind


def english(receipt: StatementReceipt) -> str:
    return "; ".join(reason.en for reason in receipt.reasons)


def counted(town: Town) -> Counter[tuple[object, ...]]:
    """Lines that count: day, fen with sign, reference or text."""
    return Counter(
        town.query(
            "SELECT booking_date, CASE direction WHEN 'IN' THEN amount_minor_units ELSE -amount_minor_units END,"
            " coalesce(bank_reference, '~' || description) FROM line_in_force"
        )
    )


def true(bank: Bank, end: int | None = None) -> Counter[tuple[object, ...]]:
    return Counter(bank.fact(place) for place in range(len(bank.truth) if end is None else end))


def closing(town: Town) -> object:
    return town.query(
        "SELECT s.closing_minor_units FROM statement_in_force f JOIN statement s USING (institution_id, statement_id)"
        " ORDER BY f.business_date DESC LIMIT 1"
    )[0][0]


def faults(town: Town) -> list[str]:
    with town.engine.connect() as conn:
        return [f"{one.table}: {one.row}: {one.what}" for one in verify(conn)]


WEEK = [
    (MONDAY, 500, "A1"), (MONDAY, 700, "A2"), (TUESDAY, -200, "B1"), (TUESDAY, 50, "~rent"), (TUESDAY, 50, "~rent"),
    (WEDNESDAY, 900, "C1"), (THURSDAY, -100, "D1"), (FRIDAY, 11, "E1"),
]  # fmt: skip


@pytest.fixture
def bank() -> Bank:
    return Bank(WEEK)


def write(one: Statement, name: str) -> bytes:
    """A table as a bank's profile lays it out, with the bank's balance after each line."""
    balance = one.opening_balance.minor_units if one.opening_balance else 0
    lines = []
    for line in one.lines:
        balance += _units(line)
        lines.append(replace(line, running_balance=Money(balance)))
    profile = next(each for each in load_profiles() if each.id == name)
    return write_delimited(replace(one, lines=tuple(lines)), profile)


def states(town: Town) -> set[tuple[object, ...]]:
    return set(town.query("SELECT kind, state FROM discrepancy_state WHERE kind <> 'DUPLICATE_FILE'"))


def test_an_export_over_two_days_adds_only_what_is_new(town: Town, bank: Bank) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))

    receipt = deliver(town, bank.days(MONDAY, TUESDAY))

    assert (*told(receipt), receipt.line_count, receipt.lines_absorbed) == ("counted", None, 5, 2)
    assert english(receipt) == "2 of its 5 lines were reported before (file 1) and are absorbed, 3 are new and count"
    assert receipt.reasons[0].zh == "5 笔明细中 2 笔此前已报送（文件 1），不重复计入；新增 3 笔，予以计入"
    assert counted(town) == true(bank, 5)
    assert closing(town) == bank.balance(5)
    assert town.query("SELECT opening_minor_units, closing_minor_units, line_count FROM statement ORDER BY 1") == [
        (0, 1200, 2), (1200, 1100, 3),
    ]  # fmt: skip
    repeated = town.query(
        "SELECT a.position, l.bank_reference, s.statement_file_id FROM statement_line_absorbed a"
        " JOIN statement_line l USING (institution_id, line_id) JOIN statement s ON s.statement_id = l.statement_id ORDER BY 1"
    )
    assert repeated == [(0, "A1", 1), (1, "A2", 1)], "each names the line that counts"
    assert faults(town) == []


@pytest.mark.parametrize("name", ["ccb", "psbc", "spdb", "north-river", "lotus", "harbour"])
def test_tables_of_banks_are_absorbed_in_their_own_layout(town: Town, bank: Bank, name: str) -> None:
    """With running balances only (ccb, psbc, spdb), newest first (lotus), with facts and numbers (north-river, lotus, harbour)."""
    first, second = bank.days(MONDAY, TUESDAY), bank.days(TUESDAY, THURSDAY)
    for number, one in enumerate((first, second), 1):
        receipt = town.deliver_bytes(write(replace(one, sequence=str(number)), name), f"{name}-{number}.csv")
        assert [str(each.outcome) for each in receipt.statements] == ["counted"], receipt

    assert receipt.statements[0].lines_absorbed == 3, "the two rents are two, and both were reported"
    assert counted(town).total() == 7
    assert closing(town) == bank.balance(7)
    assert faults(town) == []


def test_of_three_equal_lines_where_two_count_one_is_new(town: Town) -> None:
    bank = Bank([(MONDAY, 50, "~rent")] * 3 + [(TUESDAY, 1, "B")])
    deliver(town, bank.export(0, 2, MONDAY))

    receipt = deliver(town, bank.export(0, 4, TUESDAY))

    assert english(receipt) == "2 of its 4 lines were reported before (file 1) and are absorbed, 2 are new and count"
    assert counted(town) == true(bank)
    assert faults(town) == []


def test_an_export_made_at_midday_is_continued_and_its_day_opens_again(town: Town) -> None:
    bank = Bank([(MONDAY, 500, "ORD20250001"), *WEEK[1:]])
    town.order("ORD20250001", 500, MONDAY)
    deliver(town, bank.export(0, 1, MONDAY))
    town.reconcile(MONDAY)
    with town.engine.begin() as conn:
        by = Actor("zhang.prepare", "supervisor")
        prepare_sign_off(conn, town.ref, MONDAY, by=by, calendar=town.calendar, now=town.now())
    with town.engine.begin() as conn:
        approve_sign_off(conn, town.ref, MONDAY, by=Actor("li.approve", "approver"), calendar=town.calendar, now=town.now())

    receipt = receive(town, bank.days(MONDAY, TUESDAY))

    assert english(receipt.statements[0]).endswith(
        "1 of its 5 lines were reported before (file 1) and are absorbed, 4 are new and count"
    )
    assert [one.code for one in receipt.findings if one.code == "line_outside_period"] == [], "Monday's afternoon was to come"
    with town.engine.connect() as conn:
        assert sign_off_of(conn, town.ref, MONDAY).state == "open"
    late = deliver(town, bank.days(MONDAY, MONDAY))
    assert told(late) == ("duplicate", "DUPLICATE_FILE"), "the whole Monday, all of it reported by now"
    assert faults(town) == []


def test_what_was_absorbed_is_matched_once_and_booked_once(town: Town) -> None:
    town.order("ORD20250001", 500, MONDAY)
    town.order("ORD20250002", 900, TUESDAY)
    bank = Bank([(MONDAY, 500, "ORD20250001"), (TUESDAY, 900, "ORD20250002")])
    deliver(town, bank.days(MONDAY, MONDAY))
    assert town.reconcile(MONDAY).matches == 1
    deliver(town, bank.days(MONDAY, TUESDAY))

    run = town.reconcile(TUESDAY)

    assert (run.matches, run.bank_lines, run.open_discrepancies) == (1, 1, 0)
    assert (run.closing, run.ledger_cash) == (Money(1400), Money(1400))
    assert faults(town) == []


def test_a_week_after_its_days_and_a_day_after_its_week_say_nothing_new(town: Town, bank: Bank) -> None:
    for day in (MONDAY, TUESDAY):
        deliver(town, bank.days(day, day))
    week = deliver(town, bank.days(MONDAY, TUESDAY))
    assert told(week) == ("duplicate", "DUPLICATE_FILE")
    assert english(week) == "all its 5 lines were reported before (file 1, 2), line by line; nothing counts twice"
    assert week.reasons[0].zh == "其 5 笔明细此前均已逐笔报送（文件 1, 2），不重复计入"

    deliver(town, bank.days(WEDNESDAY, FRIDAY))
    for day in (WEDNESDAY, THURSDAY, FRIDAY):
        assert told(deliver(town, bank.days(day, day))) == ("duplicate", "DUPLICATE_FILE"), day
    assert counted(town) == true(bank)
    assert states(town) == set()
    assert faults(town) == []


def test_a_day_without_movements_inside_a_longer_export_says_nothing_new(town: Town) -> None:
    bank = Bank([(MONDAY, 500, "A"), (WEDNESDAY, 70, "C")])
    deliver(town, bank.days(MONDAY, WEDNESDAY))

    assert told(deliver(town, bank.export(1, 1, TUESDAY))) == ("duplicate", "DUPLICATE_FILE")
    assert told(deliver(town, bank.export(1, 1, WEDNESDAY)))[0] == "quarantined", "Wednesday had a movement"
    assert faults(town) == []


def test_an_export_that_reaches_further_without_a_new_line_proves_a_day_without_movements(town: Town, bank: Bank) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))

    receipt = deliver(town, bank.export(0, 2, TUESDAY))

    assert (told(receipt), receipt.lines_absorbed) == (("counted", None), 2)
    assert town.query("SELECT max(business_date) FROM statement_in_force") == [(TUESDAY,)]
    assert counted(town) == true(bank, 2)
    assert faults(town) == []


def test_what_waits_is_absorbed_when_an_export_fills_the_gap_before_it(town: Town, bank: Bank) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))
    early = deliver(town, bank.days(WEDNESDAY, THURSDAY))
    assert told(early) == ("waiting", "STATEMENT_GAP")

    assert told(deliver(town, bank.days(MONDAY, WEDNESDAY))) == ("counted", None)

    assert counted(town) == true(bank, 7)
    assert town.query("SELECT absorbed_count, waited_as IS NOT NULL FROM statement_overlap ORDER BY 1") == [(1, True), (2, False)]
    with town.engine.connect() as conn:
        assert waiting_statements(conn, town.ref) == []
        assert set(arrivals(conn, town.ref, MONDAY, FRIDAY).values()) == {Arrival.COUNTED}
    assert states(town) == {("STATEMENT_GAP", "cleared")}
    assert faults(town) == []


def test_of_two_that_wait_for_one_day_the_longer_one_tells_the_shorter(town: Town, bank: Bank) -> None:
    assert told(deliver(town, bank.days(THURSDAY, FRIDAY)))[0] == "waiting"
    assert told(deliver(town, bank.days(WEDNESDAY, FRIDAY)))[0] == "waiting", "it tells more, and nothing else"
    again = deliver(town, bank.days(FRIDAY, FRIDAY))
    assert (told(again)[0], english(again)) == (
        "duplicate", "all its 1 lines are in file 1, which waits to be counted; nothing is new",
    )  # fmt: skip
    other = replace(bank.days(FRIDAY, FRIDAY), lines=(), closing_balance=Money(bank.balance(7)))
    assert told(deliver(town, other)) == ("quarantined", "RESTATED")

    deliver(town, bank.days(MONDAY, TUESDAY))

    assert counted(town) == true(bank)
    assert faults(town) == []


def test_statements_of_one_file_may_overlap_each_other(town: Town, bank: Bank) -> None:
    both = [replace(bank.days(MONDAY, TUESDAY), sequence="1"), replace(bank.days(TUESDAY, THURSDAY), sequence="2")]

    receipt = town.deliver_bytes(write_mt940(both), "both.sta")

    assert [(str(one.outcome), one.lines_absorbed) for one in receipt.statements] == [("counted", 0), ("counted", 3)]
    assert counted(town).total() == 7
    assert closing(town) == bank.balance(7)
    assert faults(town) == []


def test_a_skipped_day_does_not_keep_an_export_from_being_absorbed(town: Town) -> None:
    bank = Bank([(MONDAY, 500, "A"), (WEDNESDAY, 70, "C"), (THURSDAY, 5, "D")])
    deliver(town, bank.days(MONDAY, MONDAY))
    deliver(town, bank.days(WEDNESDAY, WEDNESDAY))

    assert deliver(town, bank.days(MONDAY, THURSDAY)).lines_absorbed == 2
    assert counted(town) == true(bank)
    assert faults(town) == []


def false(one: Statement, lines: list[StatementLine], opening: int | None = None) -> Statement:
    """An export whose own figures agree, with other lines."""
    begin = opening if opening is not None else (one.opening_balance or Money(0)).minor_units
    after = begin + sum(map(_units, lines))
    return replace(one, lines=tuple(lines), opening_balance=Money(begin), closing_balance=Money(after))


def leaving_out(lines: list[StatementLine]) -> list[StatementLine]:
    return [lines[0], *lines[2:]]


def adding(lines: list[StatementLine]) -> list[StatementLine]:
    return [_line(MONDAY, 3, "NEW"), *lines]


def renaming(lines: list[StatementLine]) -> list[StatementLine]:
    return [replace(lines[0], bank_reference="OTHER"), *lines[1:]]


CONTRADICTIONS = {
    "leaves a line out": (leaving_out, 0, "1 lines that count since 2025-03-03 are not in it: 2025-03-03 +7.00 A2"),
    "adds a line to a closed day": (
        adding, 0, "1 lines of it are booked before 2025-03-04, in days that statements have closed without them: 2025-03-03 +0.03 NEW",
    ),
    "tells a line otherwise": (renaming, 0, "1 lines that count since 2025-03-03 are told in it with another reference or text"),
    "opens otherwise": (list, 77, "it opens with 0.77, which is nowhere the balance since then (at the beginning of 2025-03-03 it was 0.00)"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_an_export_that_contradicts_what_counts_is_refused_by_name(town: Town, bank: Bank, case: str) -> None:
    change, opening, says = CONTRADICTIONS[case]
    deliver(town, bank.days(MONDAY, TUESDAY))
    export = bank.days(MONDAY, WEDNESDAY)

    receipt = deliver(town, false(export, change(list(export.lines)), opening))

    kind = "CONTINUITY_BREAK" if opening else "RESTATED"
    assert told(receipt) == ("refused", kind)
    assert says in english(receipt)
    assert all(reason.zh for reason in receipt.reasons)
    assert counted(town) == true(bank, 5), "nothing of it counts"
    assert states(town) == {(kind, "open")}

    assert told(deliver(town, export))[0] == "counted"
    assert states(town) == {(kind, "cleared")}, "the right export closes it"
    assert faults(town) == []


def test_another_text_for_a_reference_in_the_same_layout_is_refused(town: Town, bank: Bank) -> None:
    one, two = bank.days(MONDAY, TUESDAY), bank.days(MONDAY, WEDNESDAY)
    town.deliver_bytes(write(replace(one, sequence="1"), "north-river"), "1.csv")
    lines = [replace(two.lines[0], description="somebody else's"), *two.lines[1:]]

    (receipt,) = town.deliver_bytes(write(replace(two, sequence="2", lines=tuple(lines)), "north-river"), "2.csv").statements

    assert told(receipt) == ("refused", "RESTATED")
    assert "2025-03-03 +5.00 A1; whether they are the same movements cannot be proved" in english(receipt)


def test_another_format_is_absorbed_where_references_agree_and_refused_where_only_amounts_do(town: Town, bank: Bank) -> None:
    with_references = Bank([one for one in WEEK if not one[2].startswith("~")])
    town.deliver_bytes(write(replace(with_references.days(MONDAY, TUESDAY), sequence="1"), "north-river"), "1.csv")
    assert deliver(town, with_references.days(MONDAY, WEDNESDAY)).lines_absorbed == 3, "camt.053 after CSV"
    assert counted(town) == true(with_references, 4)
    assert faults(town) == []


def test_another_format_that_tells_other_references_is_refused(town: Town, bank: Bank) -> None:
    town.deliver_bytes(write(bank.days(MONDAY, TUESDAY), "ccb"), "1.csv")  # a layout without references: texts tell lines apart
    before = counted(town)

    receipt = deliver(town, bank.days(MONDAY, WEDNESDAY))

    assert told(receipt) == ("refused", "RESTATED")
    assert "are told in it with another reference or text" in english(receipt)
    assert counted(town) == before


def test_where_two_readings_fit_lines_without_a_reference_are_not_guessed_at(town: Town) -> None:
    bank = Bank([(MONDAY, 50, "~in"), (MONDAY, -50, "~out"), (TUESDAY, 1, "B")])
    deliver(town, bank.days(MONDAY, MONDAY))

    receipt = deliver(town, bank.days(MONDAY, TUESDAY))

    assert told(receipt) == ("refused", "RESTATED")
    assert "it opens with 0.00, which was the balance more than once through 2025-03-03" in english(receipt)
    assert counted(town) == true(bank, 2)
    assert deliver(town, bank.days(TUESDAY, TUESDAY)).outcome == "counted", "what begins after it counts"
    assert faults(town) == []


def test_with_references_an_export_over_a_day_that_came_to_nothing_is_absorbed(town: Town) -> None:
    bank = Bank([(MONDAY, 50, "A"), (MONDAY, -50, "B"), (TUESDAY, 1, "C")])
    deliver(town, bank.days(MONDAY, MONDAY))

    receipt = deliver(town, bank.days(MONDAY, TUESDAY))

    assert receipt.lines_absorbed == 2, "it opens with the last closing, and yet nothing counts twice"
    assert counted(town) == true(bank)
    assert faults(town) == []


def test_a_number_that_does_not_follow_is_left_to_two_people_and_then_absorbed(town: Town, bank: Bank) -> None:
    town.deliver_bytes(write_mt940([replace(bank.days(MONDAY, MONDAY), sequence="1")]), "1.sta")
    (held,) = town.deliver_bytes(write_mt940([replace(bank.days(MONDAY, TUESDAY), sequence="5")]), "5.sta").statements
    assert told(held) == ("quarantined", "STATEMENT_GAP")
    assert counted(town).total() == 2
    assert held.quarantine_id is not None

    town.release(held.quarantine_id, gates=[Gate.SEQUENCE])

    assert counted(town).total() == 5
    assert closing(town) == bank.balance(5)
    assert faults(town) == []


def test_a_new_version_of_a_day_that_was_absorbed_in_part_is_compared_with_what_is_new_in_it(town: Town, bank: Bank) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))
    deliver(town, bank.days(MONDAY, TUESDAY))
    tuesday = bank.days(TUESDAY, TUESDAY)
    held = deliver(town, false(tuesday, [*tuesday.lines, _line(TUESDAY, 4, "MORE")]))
    assert told(held) == ("quarantined", "RESTATED")
    assert held.quarantine_id is not None

    town.release(held.quarantine_id, gates=[Gate.RESTATED])

    assert counted(town) == true(bank, 5) + Counter([(TUESDAY, 4, "MORE")])
    with town.engine.connect() as conn:
        versions = [
            (one["version"], one["line_count"], one["absorbed_count"]) for one in versions_of_day(conn, town.ref, TUESDAY)
        ]
    assert versions == [(1, 3, 2), (2, 4, None)]
    assert faults(town) == []


FORBIDDEN = {
    "an absorbed line is changed": ("UPDATE statement_line_absorbed SET position = 7", "append-only|refused"),
    "an absorbed line goes": ("DELETE FROM statement_line_absorbed", "append-only|refused"),
    "an export declares another opening": ("UPDATE statement_overlap SET declared_opening_minor_units = 1", "append-only|refused"),
    "a line is absorbed afterwards": (
        """
        INSERT INTO statement_line_absorbed (institution_id, statement_id, position, line_id, custody_account_id, file_line)
        SELECT institution_id, (SELECT max(statement_id) FROM statement_overlap), 9, line_id, custody_account_id, 9
        FROM statement_line WHERE bank_reference = 'B1'
        """,
        "do not lead from its declared opening to its new lines",
    ),
    "what counts becomes an overlap": (
        """
        INSERT INTO statement_overlap (institution_id, statement_id, custody_account_id, declared_opening_minor_units,
            absorbed_count, absorbed_in_minor_units, absorbed_out_minor_units)
        SELECT institution_id, min(statement_id), 17, 0, 0, 0, 0 FROM statement GROUP BY 1
        """,
        "it counts already",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", FORBIDDEN)
def test_the_database_itself_keeps_what_was_absorbed(town: Town, bank: Bank, attack: str) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))
    deliver(town, bank.days(MONDAY, TUESDAY))
    act, says = FORBIDDEN[attack]
    with town.engine.begin() as conn, pytest.raises(DBAPIError, match=says):
        conn.execute(text(act))


@pytest.mark.parametrize(("opening", "lines"), [(0, ["A1"]), (-700, ["A1", "A2"])])
def test_the_database_itself_adds_up_what_is_repeated(town: Town, bank: Bank, opening: int, lines: list[str]) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))
    with town.engine.connect() as conn:
        with pytest.raises(DBAPIError, match="they do not lead from its declared opening to its new lines"):
            _overlap_by_hand(conn, opening, lines)
        conn.rollback()


def test_the_database_itself_lets_no_export_count_that_leaves_out_what_counts(town: Town) -> None:
    bank = Bank([(MONDAY, 500, "A1"), (MONDAY, 30, "A2"), (MONDAY, -30, "A3")])
    deliver(town, bank.days(MONDAY, MONDAY))
    with town.engine.connect() as conn:
        with pytest.raises(DBAPIError, match="it repeats 1 lines, of them 1 count, and 3 count since where it begins"):
            _overlap_by_hand(conn, 0, ["A1"])
        conn.rollback()


def _overlap_by_hand(conn: Connection, opening: int, lines: list[str]) -> None:
    """Write an export of Tuesday without new lines that repeats some of Monday's, and let it count."""
    conn.execute(
        text(
            """
            INSERT INTO statement (institution_id, custody_account_id, statement_file_id, position_in_file, business_date,
                currency, opening_minor_units, closing_minor_units, line_count, in_minor_units, out_minor_units)
            SELECT institution_id, custody_account_id, statement_file_id, 9, DATE '2025-03-04', currency, closing_minor_units,
                closing_minor_units, 0, 0, 0 FROM statement LIMIT 1
            """
        )
    )
    conn.execute(
        text(
            """
            INSERT INTO statement_overlap (institution_id, statement_id, custody_account_id, declared_opening_minor_units,
                absorbed_count, absorbed_in_minor_units, absorbed_out_minor_units)
            SELECT 1, (SELECT statement_id FROM statement WHERE position_in_file = 9), 17, :opening, count(*),
                coalesce(sum(amount_minor_units) FILTER (WHERE direction = 'IN'), 0),
                coalesce(sum(amount_minor_units) FILTER (WHERE direction = 'OUT'), 0)
            FROM statement_line WHERE bank_reference = ANY (:lines)
            """
        ),
        {"opening": opening, "lines": lines},
    )
    conn.execute(
        text(
            """
            INSERT INTO statement_line_absorbed (institution_id, statement_id, position, line_id, custody_account_id, file_line)
            SELECT 1, (SELECT statement_id FROM statement WHERE position_in_file = 9), position, line_id, 17, 1
            FROM statement_line WHERE bank_reference = ANY (:lines)
            """
        ),
        {"lines": lines},
    )
    conn.execute(
        text(
            """
            INSERT INTO statement_counted (institution_id, statement_id, custody_account_id, business_date, link, previous_link)
            SELECT institution_id, statement_id, custody_account_id, business_date, 2, 1 FROM statement WHERE position_in_file = 9
            """
        )
    )


FORGED = {
    "what an export declares": ("UPDATE statement_overlap SET declared_opening_minor_units = 1", "statement_overlap"),
    "how much it repeats": ("UPDATE statement_overlap SET absorbed_count = 1", "statement_overlap"),
    "a repeated line taken away": ("DELETE FROM statement_line_absorbed WHERE position = 0", "statement_overlap"),
    "a repeated line that was never reported before": (
        """
        UPDATE statement_line_absorbed SET line_id = (SELECT line_id FROM statement_line WHERE bank_reference = 'B1')
        WHERE position = 0
        """,
        "statement_line_absorbed",
    ),
    "a place in the export": ("UPDATE statement_line_absorbed SET position = 4 WHERE position = 0", "statement_overlap"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_verification_names_what_the_owner_of_the_database_has_changed(town: Town, bank: Bank, forgery: str) -> None:
    deliver(town, bank.days(MONDAY, MONDAY))
    deliver(town, bank.days(MONDAY, TUESDAY))
    change, named = FORGED[forgery]
    with town.engine.begin() as conn:
        for table in ("statement_overlap", "statement_line_absorbed"):
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        conn.execute(text(change))
    assert named in {one.split(":")[0] for one in faults(town)}
