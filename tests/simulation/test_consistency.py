"""Whatever the seed: the books of the banks chain, money is conserved, the key is complete, every defect shows in the files."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from bank_adapters.model import Direction
from bank_adapters.reading import read_statement_file
from simulation import District, Written, write_district
from simulation.defects import DefectKind, StatementFate
from simulation.key_reading import read_key
from simulation.uscc import is_valid
from tests.simulation.conftest import SEEDS, known_profiles, make_district

Made = Callable[..., tuple[District, Written]]

STATEMENT_KINDS = {"STATEMENT_MISSING", "STATEMENT_GAP", "CONTINUITY_BREAK", "BALANCE_BREAK", "DUPLICATE_FILE"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def fen(text: str) -> int:
    whole, _, fraction = text.partition(".")
    assert len(fraction) == 2
    return int(whole + fraction)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_defects_every_account_holds_exactly_what_is_owed_every_day(seed: int) -> None:
    from simulation.answer_key import coverage_of
    from simulation.statements import deliver

    district = make_district(seed, "none")
    delivery = deliver(district, known_profiles())
    assert not district.defects
    assert not delivery.defects
    coverage = coverage_of(district, delivery.account_days)
    assert len(coverage) == len(district.institutions) * len(district.span.days)
    assert {each.surplus for each in coverage.values()} == {0}
    assert all(each.clean for each in coverage.values())
    assert min(each.held for each in coverage.values()) >= 0


@pytest.mark.parametrize("seed", SEEDS)
def test_balances_chain_over_every_calendar_day_and_agree_with_the_sound_files(written: Made, seed: int) -> None:
    district, out = written(seed)
    balances = rows(out.folder / "answer-key/expected_balances.csv")
    by_account: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in balances:
        by_account[row["account_number"]].append(row)
    assert set(by_account) == {each.account_number for each in district.institutions}
    truth = {}
    for of_account in by_account.values():
        assert [row["date"] for row in of_account] == [day.isoformat() for day in district.span.days]
        closing = 0
        for row in of_account:
            assert fen(row["opening"]) == closing
            closing = fen(row["opening"]) + fen(row["in"]) - fen(row["out"])
            assert fen(row["closing"]) == closing
            assert closing >= 0
            truth[row["account_number"], row["date"]] = row
    accepted = Counter[tuple[str, str]]()
    for path in sorted((out.folder / "inputs/statements").rglob("*.*")):
        reading = read_statement_file(path.read_bytes(), path.name, list(known_profiles().values()))
        (statement,) = reading.statements
        row = truth[str(statement.account), str(statement.closing_date)]
        assert statement.opening_balance is not None
        assert statement.closing_balance is not None
        agrees = (statement.opening_balance.plain, statement.closing_balance.plain) == (row["opening"], row["closing"])
        if reading.accepted and agrees:
            accepted[row["account_number"], row["date"]] += 1
            money = sum(line.amount.minor_units * (1 if line.direction is Direction.IN else -1) for line in statement.lines)
            assert money == fen(row["in"]) - fen(row["out"])
            assert len(statement.lines) == int(row["lines"])
    undelivered = {spot for spot, row in truth.items() if not row["delivered_on"]}
    assert set(accepted) == set(truth) - undelivered
    assert len(undelivered) == 2  # the profile's two statements that never come


@pytest.mark.parametrize("seed", SEEDS)
def test_money_is_conserved(written: Made, seed: int) -> None:
    district, out = written(seed)
    by_order: dict[str, int] = defaultdict(int)
    for release in district.releases:
        by_order[release.order_id] += release.amount
    for refund in district.refunds:
        by_order[refund.order_id] += refund.amount
    paid = {each.order_id: each.amount for each in district.reported}
    assert all(amount <= paid[order_id] for order_id, amount in by_order.items())
    released, instructed = Counter[int](), Counter[int]()
    for release in district.releases:
        released[release.institution_no] += release.amount
    for each in district.disbursements:
        instructed[each.institution_no] += each.amount
        assert each.amount > 0
        assert each.instructed_on in district.span.working
        assert each.executed_on is None or (each.executed_on > each.instructed_on and each.executed_on in district.span.working)
    # what is not yet instructed was released after the last worked day; the span ends on a worked day
    assert released == instructed
    last = [row for row in rows(out.folder / "answer-key/expected_balances.csv") if row["date"] == district.span.end.isoformat()]
    moved = sum(line.signed for line in district.movements)
    assert sum(fen(row["closing"]) for row in last) == moved


@pytest.mark.parametrize("seed", SEEDS)
def test_every_defect_shows_in_the_files_it_names(written: Made, seed: int) -> None:
    _, out = written(seed)
    texts: dict[str, str] = {}
    for path in (out.folder / "inputs").rglob("*.*"):
        content = path.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("gb18030")
        texts[path.relative_to(out.folder / "inputs").as_posix()] = "".join(text.split())
    kinds = Counter[str]()
    instructed = {row["instruction_id"] for row in rows(out.folder / "answer-key/expected_disbursements.csv")}
    for defect in rows(out.folder / "answer-key/defects.csv"):
        kinds[defect["kind"]] += 1
        files = [each for each in defect["files"].split("|") if each]
        if not files:  # what never came shows nowhere: a statement, or the payment of an instruction the engine itself makes
            assert defect["kind"] == "STATEMENT_MISSING" or defect["references"] in instructed, defect
            continue
        together = "".join(texts[each] for each in files)
        if defect["kind"] not in STATEMENT_KINDS:
            for reference in (*defect["references"].split("|"), *defect["bank_references"].split("|")):
                assert reference in together, (defect["defect_id"], reference)
    assert set(kinds) == {each.value for each in DefectKind} - {"RESTATED"}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_defect_takes_away_is_not_in_the_files(written: Made, seed: int) -> None:
    """A payment that never arrived must stand in no statement, an order the platform lost in no orders file."""
    district, out = written(seed)
    statements = {line.end_to_end_reference for line in district.movements}
    reported = {each.order_id for each in district.reported}
    for defect in rows(out.folder / "answer-key/defects.csv"):
        references = defect["references"].split("|")
        if defect["kind"] == "MISSING_IN_BANK":
            assert not statements & set(references), defect
        if defect["kind"] == "MISSING_IN_LEDGER":
            assert not reported & set(references), defect


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_statement_breaks_only_what_its_kind_says(written: Made, seed: int) -> None:
    district, out = written(seed)
    key = read_key(out.folder / "answer-key")
    profiles = list(known_profiles().values())
    spots = {
        (district.institutions[number].account_number, day): fate for (number, day), fate in district.statement_fates.items()
    }
    seen: set[tuple[str, object]] = set()
    for path in sorted((out.folder / "inputs/statements").rglob("*.*")):
        reading = read_statement_file(path.read_bytes(), path.name, profiles)
        (statement,) = reading.statements
        spot = (str(statement.account), statement.closing_date)
        fate, first = spots.get(spot), spot not in seen  # type: ignore[call-overload]
        seen.add(spot)
        delivered_on = path.parent.name
        late = delivered_on != str(statement.closing_date)
        truth = key.balances[spot]  # type: ignore[index]
        assert statement.opening_balance is not None
        opening = statement.opening_balance.minor_units
        if fate is StatementFate.BALANCE and not late:
            assert not reading.accepted
        elif fate is StatementFate.CONTINUITY and not late:
            assert reading.accepted
            assert opening != truth.opening
        else:
            assert reading.accepted
            assert opening == truth.opening
            expected_late = fate in (StatementFate.LATE_FILE, StatementFate.OVERTAKEN) or not first or "_r2" in path.name
            assert late == (fate is not None and expected_late)


@pytest.mark.parametrize("seed", SEEDS)
def test_fates_never_overlap(written: Made, seed: int) -> None:
    """No order is in two defects, and none in a defect is taught or refunded: nobody's later act can change the truth."""
    district, out = written(seed)
    concerned = Counter[str]()
    orders = {each.order_id for each in district.reported}
    for defect in rows(out.folder / "answer-key/defects.csv"):
        concerned.update(orders & set(defect["references"].split("|")))
    assert set(concerned.values()) == {1}
    assert not concerned.keys() & {each.order_id for each in district.class_hour_events}
    assert not concerned.keys() & {each.order_id for each in district.refund_requests}
    faulty = set(district.statement_fates)
    for defect in out.key.defects:
        if defect.kind.value not in STATEMENT_KINDS and defect.kind is not DefectKind.MISSING_IN_BANK:
            shown = [
                (line.institution_no, line.booking_date)
                for line in district.movements
                if line.bank_reference in defect.bank_references
            ]
            assert not faulty & set(shown), defect


@pytest.mark.parametrize("seed", SEEDS)
def test_every_file_is_listed_with_its_digest_and_nothing_else_stands_there(written: Made, seed: int) -> None:
    _, out = written(seed)
    listed = {row["file"]: row["sha256"] for row in rows(out.folder / "answer-key/files.csv")}
    found = {
        path.relative_to(out.folder / "inputs").as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in (out.folder / "inputs").rglob("*")
        if path.is_file()
    }
    assert listed == found


@pytest.mark.parametrize("seed", SEEDS)
def test_bad_rows_stand_where_the_key_says_and_all_other_rows_are_sound(written: Made, seed: int) -> None:
    district, out = written(seed)
    expected = {(row["file"], int(row["line"])): row for row in rows(out.folder / "answer-key/expected_import_findings.csv")}
    assert len(expected) == 30
    sound: list[str] = []
    for path in sorted((out.folder / "inputs/orders").glob("*.csv")):
        for line, row in enumerate(rows(path), start=2):
            finding = expected.get((f"orders/{path.name}", line))
            if finding is None:
                sound.append(row["order_id"])
                assert is_valid(row["institution_code"])
                assert 0 < fen(row["amount"]) <= 500000
                assert 1 <= int(row["class_hours"]) <= 60
                assert row["paid_at"].endswith("+08:00")
                assert row["paid_at"][:10] == path.stem
            else:
                assert finding["order_id"] == row["order_id"]
                if finding["field"] == "order_id":  # the id was reported before, further up or in an earlier file
                    assert row["order_id"] in sound
    assert sorted(sound) == sorted(each.order_id for each in district.reported)


@pytest.mark.parametrize("seed", SEEDS)
def test_class_hours_follow_the_order_of_life(seed: int) -> None:
    """Taught before answered, only within the course, never after a refund request; at most once each."""
    district = make_district(seed)
    orders = {each.order_id: each for each in district.reported}
    requested = {each.order_id: each.requested_at for each in district.refund_requests}
    told: dict[tuple[str, int], list[str]] = defaultdict(list)
    for each in district.class_hour_events:
        order, events = orders[each.order_id], told[each.order_id, each.class_hour_no]
        events.append(each.event)
        assert 1 <= each.class_hour_no <= order.class_hours
        if each.event == "taught":
            assert order.course_starts_on <= each.event_on <= order.course_ends_on
            assert each.order_id not in requested or each.event_at < requested[each.order_id]
            arrived = district.arrived[each.order_id]
            assert each.event_on >= arrived
    lives = {tuple(events) for events in told.values()}
    assert lives <= {
        ("taught",),
        ("taught", "confirmed"),
        ("taught", "disputed"),
        ("taught", "disputed", "dispute_withdrawn"),
        ("taught", "disputed", "dispute_withdrawn", "confirmed"),
        ("taught", "disputed", "dispute_upheld"),
    }
    assert len(lives) >= 5
    assert {"agreed", "deemed"} <= {each.basis for each in make_district(1, "none").refunds}
    assert {"payer", "deemed"} == {each.basis for each in district.releases}


def test_what_is_paid_after_the_cut_is_settled_within_its_window() -> None:
    district = make_district(2)
    orders = {each.order_id: each for each in district.reported}
    after_cut = [trap for trap in district.traps if trap.trap == "CUT_OFF"]
    assert after_cut
    for trap in after_cut:
        order = orders[trap.references[0]]
        assert (order.paid_at.hour, order.paid_at.minute) >= (23, 30)
        assert district.arrived[order.order_id] == order.paid_on + timedelta(days=2) <= district.last_in_time[order.order_id]


def test_split_and_merged_payments_come_to_exactly_what_their_orders_cost() -> None:
    district = make_district(2)
    cost = {each.order_id: each.amount for each in district.reported}
    for trap in (trap for trap in district.traps if trap.trap != "CUT_OFF"):
        orders = [reference for reference in trap.references if reference in cost]
        lines = [each for each in district.movements if set(each.book_references) == set(orders)]
        assert sum(each.amount for each in lines) == sum(cost[order] for order in orders) == trap.amount
        assert len(lines) == (1 if trap.trap == "MERGED" else 2), trap
    assert {trap.trap for trap in district.traps} == {"CUT_OFF", "IN_PARTS", "MERGED"}


@pytest.mark.parametrize(("seed", "orders", "days"), [(1, 3, 2), (17, 1, 1)])
def test_in_the_smallest_district_every_refused_row_has_a_line_of_its_own(
    seed: int, orders: int, days: int, tmp_path: Path
) -> None:
    """One order repeated again and again with the same other amount: equal rows, each refused."""
    district = make_district(seed, "heavy", orders=orders, days=days, institutions=1)
    write_district(district, tmp_path / "small", known_profiles())
    spots = [(row["file"], row["line"]) for row in rows(tmp_path / "small/answer-key/expected_import_findings.csv")]
    assert len(spots) == len(set(spots)) == 30
