"""The answer key as files: what a perfect engine would find, kept apart from the inputs. Schemas: simulation/docs.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256

from simulation.answer_key import AnswerKey
from simulation.defects import Defect, Trap
from simulation.district import District
from simulation.events import BankMovement
from simulation.input_files import Row, decimal, table
from simulation.statements import AccountDay

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
    "bank_references", "bank_members", "book_members", "resolvable", "also_expected", "files", "sentence",
)  # fmt: skip
TRAP_COLUMNS = ("trap", "institution_code", "bank_code", "account_number", "business_date", "amount", "references", "sentence")
FINDING_COLUMNS = ("file", "line", "field", "order_id", "sentence")
FILE_COLUMNS = ("file", "sha256", "bytes")

_LISTS = ("references", "bank_references", "bank_members", "book_members", "also_expected", "files")


def key_files(district: District, key: AnswerKey, digests: Mapping[str, tuple[str, int]]) -> dict[str, bytes]:
    """The key's files by name; ``digests`` gives SHA-256 and size of every input file by path."""
    defects = [dict(zip(DEFECT_COLUMNS, _defect(district, each), strict=True)) for each in key.defects]
    findings = ((each.file, each.line, each.field, each.order_id, each.sentence) for each in key.bad_rows)
    return {
        "district.json": _json(_summary(district, key)),
        "defects.csv": table(DEFECT_COLUMNS, (list(each.values()) for each in defects)),
        "defects.jsonl": b"".join(_json(_with_lists(each), indent=None) for each in defects),
        "traps.csv": table(TRAP_COLUMNS, (_trap(district, each) for each in key.traps)),
        "expected_import_findings.csv": table(FINDING_COLUMNS, findings),
        "expected_matches.csv": table(
            MATCH_COLUMNS, (_match(district, each) for each in district.movements if each.certainty != "never")
        ),
        "expected_releases.csv": table(RELEASE_COLUMNS, _releases(district)),
        "expected_disbursements.csv": table(DISBURSEMENT_COLUMNS, _disbursements(district)),
        "expected_refunds.csv": table(REFUND_COLUMNS, _refunds(district)),
        "expected_balances.csv": table(BALANCE_COLUMNS, (_balance(district, key, each) for each in key.account_days)),
        "files.csv": table(FILE_COLUMNS, ((path, *digests[path]) for path in sorted(digests))),
    }


def digest_of(content: bytes) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes, as files.csv lists them."""
    return sha256(content).hexdigest(), len(content)


def _match(district: District, each: BankMovement) -> Row:
    school = district.institutions[each.institution_no]
    readable_on = district.visible_on.get((each.institution_no, each.booking_date), each.booking_date)
    return (
        school.bank_code, school.account_number, each.booking_date, each.bank_reference, each.direction.value,
        decimal(each.amount), each.purpose, each.end_to_end_reference, "|".join(each.book_references), each.certainty,
        readable_on or "",
    )  # fmt: skip


def _releases(district: District) -> Iterable[Row]:
    for each in district.releases:
        code = district.institutions[each.institution_no].institution_code
        yield code, each.order_id, each.class_hour_no, each.instalment_no, decimal(each.amount), each.released_on, each.basis


def _disbursements(district: District) -> Iterable[Row]:
    for each in district.disbursements:
        school = district.institutions[each.institution_no]
        amount, executed_on = decimal(each.amount), each.executed_on or ""
        yield school.institution_code, each.instruction_id, school.account_number, amount, each.instructed_on, executed_on


def _refunds(district: District) -> Iterable[Row]:
    for each in district.refunds:
        code = district.institutions[each.institution_no].institution_code
        days = (each.approved_on, each.instructed_on or "", each.executed_on or "")
        yield code, each.refund_request_id, each.order_id, decimal(each.amount), *days, each.basis


def _balance(district: District, key: AnswerKey, each: AccountDay) -> Row:
    school, cover = district.institutions[each.institution_no], key.coverage[each.institution_no, each.day]
    movements = (each.opening, each.money_in, each.money_out, each.closing)
    owed = (cover.held, cover.payable, cover.in_transit_in, cover.in_transit_out, cover.unidentified, cover.surplus)
    return (
        school.bank_code, school.account_number, each.day, *map(decimal, movements), each.lines, each.delivered_on or "",
        *map(decimal, owed), "yes" if cover.covered else "no", "yes" if cover.clean else "no",
    )  # fmt: skip


def _defect(district: District, each: Defect) -> tuple[str, ...]:
    school = district.institutions[each.institution_no]
    return (
        each.defect_id, each.kind.value, school.institution_code, school.bank_code, school.account_number,
        each.business_date.isoformat(), decimal(each.amount), decimal(each.difference), "|".join(each.references),
        "|".join(each.bank_references), "|".join(each.bank_members), "|".join(each.book_members),
        "yes" if each.resolvable else "no", "|".join(each.also_expected), "|".join(each.files), each.sentence,
    )  # fmt: skip


def _with_lists(row: Mapping[str, str]) -> dict[str, str | list[str]]:
    return {name: [part for part in value.split("|") if part] if name in _LISTS else value for name, value in row.items()}


def _trap(district: District, each: Trap) -> Row:
    school = district.institutions[each.institution_no]
    return (
        each.trap, school.institution_code, school.bank_code, school.account_number, each.business_date, decimal(each.amount),
        "|".join(each.references), each.sentence,
    )  # fmt: skip


def _summary(district: District, key: AnswerKey) -> dict[str, object]:
    kinds = Counter(each.kind.value for each in key.defects)
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


def _json(value: object, indent: int | None = 2) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=indent) + "\n").encode("utf-8")
