"""The platform's and the channels' files, as docs/file-formats.md describes them: CSV in UTF-8 with a header.

Per calendar day and kind at most one file; a file exists when it has rows. Orders files may carry rows that must be
refused, each entered into the key with its line and field.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import groupby

from simulation.defects import BadRow
from simulation.district import District
from simulation.events import Order
from simulation.people import between, digits, pick

INSTITUTION_COLUMNS = (
    "institution_code", "name", "jurisdiction_code", "bank_code", "account_number", "account_name", "currency", "opened_on",
    "beneficiary_name", "beneficiary_account", "beneficiary_bank",
)  # fmt: skip
ORDER_COLUMNS = (
    "institution_code", "account_number", "order_id", "payer_token", "student_token", "course_name", "class_hours", "amount",
    "currency", "channel", "channel_reference", "paid_at", "course_starts_on", "course_ends_on",
)  # fmt: skip
CLASS_HOUR_COLUMNS = ("institution_code", "order_id", "class_hour_no", "event", "event_at", "reported_by")
REFUND_REQUEST_COLUMNS = (
    "institution_code", "refund_request_id", "order_id", "requested_at", "institution_response", "responded_at", "reason",
    "payee_name", "payee_account",
)  # fmt: skip
SETTLEMENT_COLUMNS = (
    "channel", "settlement_batch", "settled_on", "institution_code", "account_number", "order_id", "channel_reference",
    "gross", "fee", "net",
)  # fmt: skip

Row = Sequence[object]


def decimal(amount: int) -> str:
    """Fen as decimal yuan: 268000 -> 2680.00, -5 -> -0.05."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def table(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """CSV in UTF-8: header, then rows, lines ended by LF."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def input_files(district: District) -> tuple[dict[str, bytes], tuple[BadRow, ...]]:
    """Every input file but the statements by its path relative to ``inputs/``, and the rows that must be refused."""
    files = {"institutions.csv": table(INSTITUTION_COLUMNS, _institutions(district))}
    orders, bad = _orders(district)
    files.update(orders)
    files.update(_class_hours(district))
    files.update(_refund_requests(district))
    files.update(_settlements(district))
    return files, bad


def _institutions(district: District) -> Iterable[Row]:
    for each in district.institutions:
        yield (
            each.institution_code, each.name, each.jurisdiction_code, each.bank_code, each.account_number, each.account_name,
            "CNY", each.opened_on, each.beneficiary_name, each.beneficiary_account, each.beneficiary_bank,
        )  # fmt: skip


def _order_row(district: District, order: Order) -> list[str]:
    school = district.institutions[order.institution_no]
    return [
        school.institution_code, school.account_number, order.order_id, order.payer_token, order.student_token, order.course_name,
        str(order.class_hours), decimal(order.amount), "CNY", order.channel, order.channel_reference, order.paid_at.isoformat(),
        order.course_starts_on.isoformat(), order.course_ends_on.isoformat(),
    ]  # fmt: skip


def _orders(district: District) -> tuple[dict[str, bytes], tuple[BadRow, ...]]:
    files: dict[str, bytes] = {}
    bad: list[BadRow] = []
    spoiler = _Spoiler(random.Random(f"{district.seed}/bad rows"), district)
    for day, orders in groupby(district.reported, key=lambda each: each.paid_on):
        path = f"orders/{day.isoformat()}.csv"
        rows = [_order_row(district, each) for each in orders]
        bad.extend(spoiler.spoil(path, day, rows))
        files[path] = table(ORDER_COLUMNS, rows)
    return files, tuple(sorted(bad, key=lambda each: (each.file, each.line)))


class _Spoiler:
    """Adds rows that must be refused. No money moves for them, so refusing them is all that can be right."""

    def __init__(self, rng: random.Random, district: District) -> None:
        self.rng = rng
        days = sorted({each.paid_on for each in district.reported})
        self.wanted: dict[date, int] = {}
        for _ in range(district.bad_rows):
            day = pick(rng, days)
            self.wanted[day] = self.wanted.get(day, 0) + 1
        self.serial = 800000
        self.turn = 0

    def spoil(self, path: str, day: date, rows: list[list[str]]) -> list[BadRow]:
        """Insert the day's bad rows among ``rows`` (not before the first) and say where they stand."""
        added: list[tuple[list[str], str, str]] = []
        for _ in range(self.wanted.get(day, 0)):
            model = list(pick(self.rng, rows))
            field, change, why = _SPOILED[self.turn % len(_SPOILED)]
            self.turn += 1
            if field != "order_id":
                self.serial += 1
                model[ORDER_COLUMNS.index("order_id")] = f"OD{day:%Y%m%d}{self.serial:06d}"
                model[ORDER_COLUMNS.index("student_token")] = f"S{digits(self.rng, 12)}"
            spoiled = dict(zip(ORDER_COLUMNS, model, strict=True))
            change(spoiled)
            added.append((list(spoiled.values()), field, why))
        for row, _, _ in added:
            # a repeated order id must stand below the order it repeats
            first = next((at + 1 for at, each in enumerate(rows) if each[2] == row[2]), 1)
            rows.insert(between(self.rng, first, len(rows)), row)
        # By identity: one order repeated twice with the same other amount makes two rows that are equal in every character.
        place = {id(row): at + 2 for at, row in enumerate(rows)}
        return [BadRow(path, place[id(row)], field, row[2], why) for row, field, why in added]


def _set(name: str, value: str) -> Callable[[dict[str, str]], None]:
    def change(row: dict[str, str]) -> None:
        row[name] = value

    return change


def _wrong_check_character(row: dict[str, str]) -> None:
    code = row["institution_code"]
    row["institution_code"] = code[:-1] + ("0" if code[-1] != "0" else "1")


def _without_offset(row: dict[str, str]) -> None:
    row["paid_at"] = row["paid_at"].removesuffix("+08:00")


def _another_amount(row: dict[str, str]) -> None:
    row["amount"] = decimal(int(row["amount"].replace(".", "")) - 100)


#: (field, how it is spoiled, why it must be refused), used in turn.
_SPOILED: tuple[tuple[str, Callable[[dict[str, str]], None], str], ...] = (
    ("amount", _set("amount", "12,80"), "The amount is not a decimal number of yuan."),
    ("class_hours", _set("class_hours", "0"), "An order has at least one class-hour."),
    ("paid_at", _without_offset, "The time of payment has no offset."),
    ("institution_code", _wrong_check_character, "The check character of the institution's code is wrong."),
    ("order_id", _another_amount, "The order id was reported before with another amount."),
    ("channel", _set("channel", "cash"), "No such channel."),
    ("amount", _set("amount", "-100.00"), "An amount paid is above zero."),
    ("currency", _set("currency", "EURO"), "Not a currency code."),
    ("class_hours", _set("class_hours", "zwölf"), "Not a whole number."),
    ("amount", _set("amount", "99.999"), "A yuan has no thousandths."),
)


def _class_hours(district: District) -> dict[str, bytes]:
    code_of = [each.institution_code for each in district.institutions]
    return {
        f"class-hours/{day.isoformat()}.csv": table(
            CLASS_HOUR_COLUMNS,
            (
                (
                    code_of[each.institution_no],
                    each.order_id,
                    each.class_hour_no,
                    each.event,
                    each.event_at.isoformat(),
                    each.reported_by,
                )
                for each in events
            ),
        )
        for day, events in groupby(district.class_hour_events, key=lambda each: each.event_on)
    }


def _refund_requests(district: District) -> dict[str, bytes]:
    def rows(day: date) -> Iterable[Row]:
        for each in district.refund_requests:
            if each.reported_on == day:
                answer = "silent" if each.responded_at is None else "agreed"
                responded_at = each.responded_at.isoformat() if each.responded_at else ""
                code = district.institutions[each.institution_no].institution_code
                yield (
                    code, each.refund_request_id, each.order_id, each.requested_at.isoformat(), answer, responded_at,
                    each.reason, each.payee_name, each.payee_account,
                )  # fmt: skip

    days = sorted({each.reported_on for each in district.refund_requests})
    return {f"refund-requests/{day.isoformat()}.csv": table(REFUND_REQUEST_COLUMNS, rows(day)) for day in days}


def _settlements(district: District) -> dict[str, bytes]:
    orders = {each.order_id: each for each in district.reported}
    rows: dict[tuple[str, date], list[Row]] = {}
    for batch in district.settlements:
        school = district.institutions[batch.institution_no]
        for order_id in batch.order_ids:
            order = orders[order_id]
            amount = decimal(order.amount)
            row = (
                batch.channel, batch.settlement_batch, batch.settled_on, school.institution_code, school.account_number,
                order_id, order.channel_reference, amount, "0.00", amount,
            )  # fmt: skip
            rows.setdefault((batch.channel, batch.settled_on), []).append(row)
    return {
        f"channel-settlements/{channel}-{day.isoformat()}.csv": table(SETTLEMENT_COLUMNS, listed)
        for (channel, day), listed in sorted(rows.items())
    }
