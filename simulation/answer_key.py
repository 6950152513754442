"""The answer key: what a perfect engine would find, kept apart from the inputs. File schemas: simulation/docs.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from simulation.defects import BadRow, Defect, StatementFate, Trap
from simulation.district import District, with_paths
from simulation.input_files import decimal, table
from simulation.statements import AccountDay, Delivery

MATCH_COLUMNS = (
    "bank_code", "account_number", "booking_date", "bank_reference", "direction", "amount", "purpose", "end_to_end_reference",
    "book_references", "certainty", "readable_on",
)  # fmt: skip
RELEASE_COLUMNS = ("institution_code", "order_id", "class_hour_no", "instalment_no", "amount", "released_on", "basis")
DISBURSEMENT_COLUMNS = ("institution_code", "instruction_id", "account_number", "amount", "instructed_on", "executed_on")
REFUND_COLUMNS = (
    "institution_code", "refund_request_id", "order_id", "amount", "approved_on", "instructed_on", "executed_on", "basis",
)  # fmt: skip
BALANCE_COLUMNS = (
    "bank_code", "account_number", "date", "opening", "in", "out", "closing", "lines", "delivered_on", "held", "payable",
    "in_transit_in", "in_transit_out", "unidentified", "surplus", "coverage", "clean",
)  # fmt: skip
DEFECT_COLUMNS = (
    "defect_id", "kind", "institution_code", "bank_code", "account_number", "business_date", "amount", "difference", "references",
    "bank_references", "resolvable", "also_expected", "files", "sentence",
)  # fmt: skip
TRAP_COLUMNS = ("trap", "institution_code", "bank_code", "account_number", "business_date", "amount", "references", "sentence")
FINDING_COLUMNS = ("file", "line", "field", "order_id", "sentence")
FILE_COLUMNS = ("file", "sha256", "bytes")


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
        if defect.money_from is not None and defect.kind != "BANK_INTEREST":
            known = dirty_from.get(defect.institution_no, defect.money_from)
            dirty_from[defect.institution_no] = min(known, defect.money_from)
    totals: dict[int, dict[str, int]] = {}
    covered: dict[tuple[int, date], CoverageDay] = {}
    for each in account_days:
        key = (each.institution_no, each.day)
        total = totals.setdefault(each.institution_no, dict.fromkeys(_Moves.NAMES, 0))
        for name in _Moves.NAMES:
            total[name] += moves.by_day[name].get(key, 0)
        surplus = each.closing + total["in_transit_in"] - total["in_transit_out"] - total["held"] - total["payable"] - total["unidentified"]
        sound = district.statement_fates.get(key) in (None, *_HARMLESS)
        clean = sound and each.day < dirty_from.get(each.institution_no, date.max)
        covered[key] = CoverageDay(
            total["held"], total["payable"], total["in_transit_in"], total["in_transit_out"], total["unidentified"], surplus, clean
        )
    return covered


_HARMLESS = (StatementFate.SAME_BYTES, StatementFate.OTHER_NAME, StatementFate.OTHER_ENCODING)


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
            if line.direction == "IN":
                self._unidentified(line.institution_no, line.booking_date, line.amount, line.purpose, line.end_to_end_reference, reported, seen, line.description)

    def _unidentified(self, here: int, day: date, amount: int, purpose: str, reference: str | None, reported: set[str], seen: set[str], text: str) -> None:
        """Receipts that belong to no reported order, and the second booking of one that does."""
        if purpose == "stray" and text != "结息":
            self.add("unidentified", here, day, amount)
        elif purpose == "order" and reference is not None and reference.startswith("OD"):
            if reference not in reported or reference in seen:
                self.add("unidentified", here, day, amount)
            seen.add(reference)

    def add(self, name: str, institution_no: int, day: date | None, amount: int) -> None:
        if day is not None:
            moves = self.by_day[name]
            moves[institution_no, day] = moves.get((institution_no, day), 0) + amount


def complete_defects(district: District, delivery: Delivery) -> tuple[Defect, ...]:
    """All defects in order of day, account and kind, with their ids and the files they show in."""
    order_file = {each.order_id: f"orders/{each.paid_on.isoformat()}.csv" for each in district.reported}
    settlement_file = {
        each.settlement_batch: f"channel-settlements/{each.channel}-{each.settled_on.isoformat()}.csv" for each in district.settlements
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


def key_files(district: District, key: AnswerKey, digests: Mapping[str, tuple[str, int]]) -> dict[str, bytes]:
    """The key as files by name; ``digests`` gives SHA-256 and size of every input file by path."""
    schools = district.institutions
    defects = [_defect_row(district, each) for each in key.defects]
    visible = district.visible_on
    return {
        "district.json": _json(_summary(district, key)),
        "defects.csv": table(DEFECT_COLUMNS, (list(each.values()) for each in defects)),
        "defects.jsonl": b"".join(_line(each) for each in map(_as_lists, defects)),
        "traps.csv": table(
            TRAP_COLUMNS,
            (
                (each.trap, schools[each.institution_no].institution_code, schools[each.institution_no].bank_code,
                 schools[each.institution_no].account_number, each.business_date, decimal(each.amount), "|".join(each.references), each.sentence)
                for each in key.traps
            ),
        ),
        "expected_import_findings.csv": table(
            FINDING_COLUMNS, ((each.file, each.line, each.field, each.order_id, each.sentence) for each in key.bad_rows)
        ),
        "expected_matches.csv": table(
            MATCH_COLUMNS,
            (
                (schools[each.institution_no].bank_code, schools[each.institution_no].account_number, each.booking_date,
                 each.bank_reference, each.direction.value, decimal(each.amount), each.purpose, each.end_to_end_reference,
                 "|".join(each.book_references), each.certainty,
                 visible.get((each.institution_no, each.booking_date), each.booking_date) or "")
                for each in district.movements
                if each.certainty != "never"
            ),
        ),
        "expected_releases.csv": table(
            RELEASE_COLUMNS,
            (
                (schools[each.institution_no].institution_code, each.order_id, each.class_hour_no, each.instalment_no,
                 decimal(each.amount), each.released_on, each.basis)
                for each in district.releases
            ),
        ),
        "expected_disbursements.csv": table(
            DISBURSEMENT_COLUMNS,
            (
                (schools[each.institution_no].institution_code, each.instruction_id, schools[each.institution_no].account_number,
                 decimal(each.amount), each.instructed_on, each.executed_on or "")
                for each in district.disbursements
            ),
        ),
        "expected_refunds.csv": table(
            REFUND_COLUMNS,
            (
                (schools[each.institution_no].institution_code, each.refund_request_id, each.order_id, decimal(each.amount),
                 each.approved_on, each.instructed_on or "", each.executed_on or "", each.basis)
                for each in district.refunds
            ),
        ),
        "expected_balances.csv": table(BALANCE_COLUMNS, (_balance_row(district, key, each) for each in key.account_days)),
        "files.csv": table(FILE_COLUMNS, ((path, *digests[path]) for path in sorted(digests))),
    }  # fmt: skip


def _balance_row(district: District, key: AnswerKey, each: AccountDay) -> list[object]:
    school, cover = district.institutions[each.institution_no], key.coverage[each.institution_no, each.day]
    amounts = (cover.held, cover.payable, cover.in_transit_in, cover.in_transit_out, cover.unidentified, cover.surplus)
    return [
        school.bank_code, school.account_number, each.day, decimal(each.opening), decimal(each.money_in), decimal(each.money_out),
        decimal(each.closing), each.lines, each.delivered_on or "", *map(decimal, amounts),
        "yes" if cover.covered else "no", "yes" if cover.clean else "no",
    ]  # fmt: skip


def _defect_row(district: District, each: Defect) -> dict[str, str]:
    school = district.institutions[each.institution_no]
    values = (
        each.defect_id, each.kind.value, school.institution_code, school.bank_code, school.account_number,
        each.business_date.isoformat(), decimal(each.amount), decimal(each.difference), "|".join(each.references),
        "|".join(each.bank_references), "yes" if each.resolvable else "no", "|".join(each.also_expected), "|".join(each.files),
        each.sentence,
    )  # fmt: skip
    return dict(zip(DEFECT_COLUMNS, values, strict=True))


def _as_lists(row: Mapping[str, str]) -> dict[str, object]:
    several = ("references", "bank_references", "also_expected", "files")
    return {name: value.split("|") if name in several and value else [] if name in several else value for name, value in row.items()}


def _summary(district: District, key: AnswerKey) -> dict[str, object]:
    kinds: dict[str, int] = {}
    for defect in key.defects:
        kinds[defect.kind.value] = kinds.get(defect.kind.value, 0) + 1
    closings = {each.institution_no: each.closing for each in key.account_days}
    return {
        "seed": district.seed,
        "defect_profile": district.profile,
        "first_day": district.span.start.isoformat(),
        "last_day": district.span.end.isoformat(),
        "calendar_days": len(district.span.days),
        "working_days": len(district.span.working),
        "institutions": [
            {
                "institution_code": each.institution_code, "name": each.name, "jurisdiction_code": each.jurisdiction_code,
                "bank_code": each.bank_code, "profile": each.profile, "account_number": each.account_number,
                "closing_balance": decimal(closings[each.institution_no]),
            }
            for each in district.institutions
        ],
        "counts": {
            "orders": len(district.reported),
            "class_hour_events": len(district.class_hour_events),
            "refund_requests": len(district.refund_requests),
            "settlements": len(district.settlements),
            "bank_lines": len(district.movements),
            "releases": len(district.releases),
            "disbursements": len(district.disbursements),
            "refunds": len(district.refunds),
            "traps": len(key.traps),
            "bad_rows": len(key.bad_rows),
            "defects": len(key.defects),
        },
        "amounts": {
            "paid": decimal(sum(each.amount for each in district.reported)),
            "released": decimal(sum(each.amount for each in district.releases)),
            "refunded": decimal(sum(each.amount for each in district.refunds)),
            "closing_balances": decimal(sum(closings.values())),
        },
        "defects_by_kind": dict(sorted(kinds.items())),
    }  # fmt: skip


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8")


def _line(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8")


def digest_of(content: bytes) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes, as files.csv lists them."""
    return sha256(content).hexdigest(), len(content)
