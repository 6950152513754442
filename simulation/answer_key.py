"""The answer key as values: every defect with the files it shows in, and the coverage of every account and day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from bank_adapters.model import Direction
from simulation.defects import BadRow, Defect, DefectKind, Trap
from simulation.district import District, with_paths
from simulation.events import BankMovement
from simulation.statements import AccountDay, Delivery


@dataclass(frozen=True, slots=True)
class CoverageDay:
    """What one account owes and has at the end of one day, in fen.

    ``held``: reported prepayments neither released nor refunded. ``payable``: released, not yet instructed. ``in_transit_in``:
    reported paid, not arrived and still in time. ``in_transit_out``: instructed, not yet left. ``unidentified``: arrived for
    nobody. ``surplus`` = closing + in_transit_in - in_transit_out - held - payable - unidentified: 0 where nothing went wrong.
    ``clean``: no defect of money has touched the account and the day's own statement is sound and in time.
    """

    held: int
    payable: int
    in_transit_in: int
    in_transit_out: int
    unidentified: int
    surplus: int
    clean: bool

    @property
    def covered(self) -> bool:
        """Whether the account holds at least what is owed out of it."""
        return self.surplus >= 0


def coverage_of(district: District, account_days: Iterable[AccountDay]) -> dict[tuple[int, date], CoverageDay]:
    """The coverage of every account and day, added up from the truth alone."""
    moves = _Moves(district)
    dirty_from: dict[int, date] = {}
    for defect in district.defects:
        if defect.money_from is not None and defect.kind is not DefectKind.BANK_INTEREST:
            known = dirty_from.get(defect.institution_no, defect.money_from)
            dirty_from[defect.institution_no] = min(known, defect.money_from)
    totals: dict[int, dict[str, int]] = {}
    covered: dict[tuple[int, date], CoverageDay] = {}
    for each in account_days:
        key = (each.institution_no, each.day)
        total = totals.setdefault(each.institution_no, dict.fromkeys(_Moves.NAMES, 0))
        for name in _Moves.NAMES:
            total[name] += moves.by_day[name].get(key, 0)
        surplus = (
            each.closing
            + total["in_transit_in"]
            - total["in_transit_out"]
            - total["held"]
            - total["payable"]
            - total["unidentified"]
        )
        sound = district.visible_on.get(key, each.day) == each.day
        clean = sound and each.day < dirty_from.get(each.institution_no, date.max)
        covered[key] = CoverageDay(
            total["held"],
            total["payable"],
            total["in_transit_in"],
            total["in_transit_out"],
            total["unidentified"],
            surplus,
            clean,
        )
    return covered


class _Moves:
    """What each event adds to each total, by account and day."""

    NAMES = ("held", "payable", "in_transit_in", "in_transit_out", "unidentified")

    def __init__(self, district: District) -> None:
        self.by_day: dict[str, dict[tuple[int, date], int]] = {name: {} for name in self.NAMES}
        reported = {each.order_id for each in district.reported}
        for order in district.reported:
            here = order.institution_no
            self.add("held", here, order.paid_on, order.amount)
            self.add("in_transit_in", here, order.paid_on, order.amount)
            in_time = district.last_in_time[order.order_id]
            arrived = district.arrived.get(order.order_id, date.max)
            past = date.fromordinal(in_time.toordinal() + 1)
            self.add("in_transit_in", here, min(arrived, past), -order.amount)
        for release in district.releases:
            self.add("held", release.institution_no, release.released_on, -release.amount)
            self.add("payable", release.institution_no, release.released_on, release.amount)
        for each in district.disbursements:
            self.add("payable", each.institution_no, each.instructed_on, -each.amount)
            self.add("in_transit_out", each.institution_no, each.instructed_on, each.amount)
            self.add("in_transit_out", each.institution_no, district.paid_out.get(each.instruction_id), -each.amount)
        for refund in district.refunds:
            self.add("held", refund.institution_no, refund.approved_on, -refund.amount)
            self.add("in_transit_out", refund.institution_no, refund.approved_on, refund.amount)
            self.add("in_transit_out", refund.institution_no, refund.executed_on, -refund.amount)
        seen: set[str] = set()
        for line in district.movements:
            if line.direction is Direction.IN and _is_nobodys(line, reported, seen):
                self.add("unidentified", line.institution_no, line.booking_date, line.amount)

    def add(self, name: str, institution_no: int, day: date | None, amount: int) -> None:
        if day is not None:
            moves = self.by_day[name]
            moves[institution_no, day] = moves.get((institution_no, day), 0) + amount


def _is_nobodys(line: BankMovement, reported: set[str], seen: set[str]) -> bool:
    """Whether a receipt belongs to no reported order, or is the second booking of one that does."""
    reference = line.end_to_end_reference
    if line.purpose != "order" or reference is None:
        return line.purpose == "stray"
    again = reference in seen
    if reference.startswith("OD"):  # twins come under their slip's number, and each belongs to one of the two
        seen.add(reference)
        return again or reference not in reported
    return False


def complete_defects(district: District, delivery: Delivery) -> tuple[Defect, ...]:
    """All defects in order of day, account and kind, with their ids and the files they show in."""
    order_file = {each.order_id: f"orders/{each.paid_on.isoformat()}.csv" for each in district.reported}
    settlement_file = {
        each.settlement_batch: f"channel-settlements/{each.channel}-{each.settled_on.isoformat()}.csv"
        for each in district.settlements
    }
    drafts: list[tuple[Defect, tuple[str, ...]]] = []
    for number, defect in enumerate(district.defects):
        paths = [delivery.path_of[key] for key in district.shown_on.get(number, ())]
        paths += [order_file[each] for each in defect.references if each in order_file]
        paths += [settlement_file[each] for each in defect.references if each in settlement_file]
        drafts.append((defect, tuple(dict.fromkeys(path for path in paths if path))))
    drafts += [(defect, defect.files) for defect in delivery.defects]
    drafts.sort(key=lambda each: (each[0].business_date, each[0].institution_no, each[0].kind, each[0].sentence))
    return tuple(with_paths(defect, number, files) for number, (defect, files) in enumerate(drafts, start=1))


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Everything the key's files say, still as values."""

    defects: tuple[Defect, ...]
    traps: tuple[Trap, ...]
    bad_rows: tuple[BadRow, ...]
    account_days: tuple[AccountDay, ...]
    coverage: Mapping[tuple[int, date], CoverageDay]


def answer_key(district: District, delivery: Delivery, bad_rows: tuple[BadRow, ...]) -> AnswerKey:
    """The key of a district whose statements are written."""
    coverage = coverage_of(district, delivery.account_days)
    return AnswerKey(complete_defects(district, delivery), district.traps, bad_rows, delivery.account_days, coverage)
