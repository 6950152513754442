"""`escrow match` on generated files whose key is made first, by a generator that knows nothing of the engine.

Events happen, each is written into one or both files with its defect, and what must be said of it is noted in the same breath.
Nothing wrong may be confirmed, what can be resolved must be found, every defect named with kind, members and both figures,
and what nobody can decide must be called AMBIGUOUS.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entrypoints.cli import app

START = date(2025, 3, 3)
BANK_COLUMNS = [
    "line_id",
    "account",
    "currency",
    "direction",
    "amount",
    "booking_date",
    "value_date",
    "references",
    "counterparty_name",
    "description",
]
BOOK_COLUMNS = [
    "item_id",
    "account",
    "currency",
    "direction",
    "amount",
    "due_date",
    "references",
    "group_key",
    "expected_fee",
    "kind",
    "original_item_id",
]
Named = tuple[str, frozenset[str], int, int]


@dataclass
class Files:
    """Both files as they grow, and the key: matches as sets of member ids, defects as (kind, members, amount, difference)."""

    rng: random.Random
    bank: list[dict[str, str]] = field(default_factory=list)
    book: list[dict[str, str]] = field(default_factory=list)
    matches: set[frozenset[str]] = field(default_factory=set)
    defects: set[Named] = field(default_factory=set)
    serial: int = 0
    amounts: set[int] = field(default_factory=set)

    def fresh(self) -> int:
        self.serial += 1
        return self.serial

    def amount(self) -> int:
        """Of the price list, so that amounts repeat."""
        return self.rng.choice([19900, 29900, 49900, 99900, 268000, 499900])

    def own_amount(self) -> int:
        """One no other movement has: for money without a reference, which must not fit an order by chance."""
        amount = self.rng.randrange(1_000_000, 9_000_000)
        return amount if amount not in self.amounts and not self.amounts.add(amount) else self.own_amount()  # type: ignore[func-returns-value]

    def day(self) -> date:
        return START + timedelta(days=self.rng.randrange(10))

    def account(self) -> str:
        return self.rng.choice(["A1", "A2", "A3"])

    def line(self, account: str, signed: int, on: date, reference: str = "", **more: str) -> str:
        name = f"L{self.fresh():06d}"
        self.bank.append(
            _row(BANK_COLUMNS, line_id=name, account=account, signed=signed, booking_date=on, references=reference) | more
        )
        return name

    def item(self, account: str, signed: int, on: date, reference: str = "", **more: str) -> str:
        name = f"I{self.fresh():06d}"
        self.book.append(
            _row(BOOK_COLUMNS, item_id=name, account=account, signed=signed, due_date=on, references=reference) | more
        )
        return name

    def named(self, kind: str, members: list[str], amount: int, difference: int) -> None:
        self.defects.add((kind, frozenset(members), amount, difference))


def _row(columns: list[str], *, account: str, signed: int, **cells: object) -> dict[str, str]:
    row = dict.fromkeys(columns, "") | {name: str(cell) for name, cell in cells.items()}
    way = "IN" if signed > 0 else "OUT"
    return row | {
        "account": account,
        "currency": "CNY",
        "direction": way,
        "amount": f"{abs(signed) // 100}.{abs(signed) % 100:02d}",
    }


def written(rng: random.Random, reference: str) -> dict[str, str]:
    """The same reference as some bank would write it."""
    ways: list[Callable[[str], str]] = [
        str,
        str.lower,
        lambda r: f"{r[:3]}-{r[3:7]} {r[7:]}",
        lambda r: "".join(chr(ord(c) + 0xFEE0) for c in r),
        lambda r: f"NOTPROVIDED|{r}|0000000",
    ]
    if rng.random() < 0.2:
        return {"references": "NOTPROVIDED", "description": f"学费 {reference} 谢谢"}
    return {"references": rng.choice(ways)(reference)}


def plain(f: Files) -> None:
    account, signed, on = f.account(), f.amount() * f.rng.choice([1, 1, -1]), f.day()
    reference = f"ORD{f.fresh():08d}"
    item = f.item(account, signed, on, reference)
    line = f.line(account, signed, on + timedelta(days=f.rng.randrange(3)), **written(f.rng, reference))
    f.matches.add(frozenset({item, line}))


def lines_of_one_item(f: Files) -> None:
    account, amount, on, reference = f.account(), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    parts = [amount // 3, amount // 5]
    parts.append(amount - sum(parts))
    item = f.item(account, amount, on, reference)
    lines = [f.line(account, part, on + timedelta(days=n), reference) for n, part in enumerate(parts)]
    f.matches.add(frozenset({item, *lines}))


def items_of_one_line(f: Files) -> None:
    account, on = f.account(), f.day()
    amounts = [f.amount() for _ in range(f.rng.randrange(2, 6))]
    references = [f"ORD{f.fresh():08d}" for _ in amounts]
    items = [f.item(account, amount, on, reference) for amount, reference in zip(amounts, references, strict=True)]
    f.matches.add(frozenset({f.line(account, sum(amounts), on, "|".join(references)), *items}))


def batch(f: Files, kept: int = 0, *, comes: bool = True) -> None:
    account, on, number = f.account(), f.day(), f"WX{f.fresh():010d}"
    amounts = [f.amount() for _ in range(f.rng.randrange(2, 9))]
    items = [
        f.item(account, amount, on, f"ORD{f.fresh():08d}", group_key=number, expected_fee=f"{amount // 200 / 100:.2f}")
        for amount in amounts
    ]
    agreed = sum(amounts) - sum(amount // 200 for amount in amounts)
    if not comes:
        f.named("MISSING_IN_BANK", items, sum(amounts), -sum(amounts))
        return
    line = f.line(account, agreed - kept, on, number)
    if kept:
        f.named("FEE_VARIANCE", [line, *items], agreed - kept, -kept)
    else:
        f.matches.add(frozenset({line, *items}))


def other_amount(f: Files) -> None:
    account, sign, amount, on, reference = f.account(), f.rng.choice([1, -1]), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    off = f.rng.choice([1, -1, 10000, -990])
    members = [f.item(account, sign * amount, on, reference), f.line(account, sign * (amount + off), on, reference)]
    f.named("AMOUNT_MISMATCH", members, amount + off, sign * off)


def other_direction(f: Files) -> None:
    account, sign, amount, on, reference = f.account(), f.rng.choice([1, -1]), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    members = [f.item(account, sign * amount, on, reference), f.line(account, -sign * amount, on, reference)]
    f.named("DIRECTION_MISMATCH", members, amount, -2 * sign * amount)


def too_late(f: Files) -> None:
    account, amount, on, reference = f.account(), f.amount(), START, f"ORD{f.fresh():08d}"
    members = [f.item(account, amount, on, reference), f.line(account, amount, on + timedelta(days=9), reference)]
    f.named("LATE", members, amount, 0)


def booked_again(f: Files) -> None:
    account, sign, amount, on, reference = f.account(), f.rng.choice([1, -1]), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    item = f.item(account, sign * amount, on, reference)
    first, again = (f.line(account, sign * amount, on + timedelta(days=n), reference) for n in (0, 1))
    f.matches.add(frozenset({item, first}))
    f.named("DUPLICATE_BANK", [again, item], amount, sign * amount)


def reported_again(f: Files) -> None:
    account, amount, on, paid = f.account(), f.amount(), f.day(), f"WX{f.fresh():010d}"
    orders = [f"ORD{f.fresh():08d}" for _ in range(2)]
    items = [f.item(account, amount, on, f"{order}|{paid}") for order in orders]
    f.matches.add(frozenset({f.line(account, amount, on, orders[1]), items[1]}))
    f.named("DUPLICATE_LEDGER", items, amount, -amount)


def twins(f: Files) -> None:
    account, amount, on, paid = f.account(), f.amount(), f.day(), f"WX{f.fresh():010d}"
    items = [f.item(account, amount, on, f"ORD{f.fresh():08d}|{paid}") for _ in range(2)]
    lines = [f.line(account, amount, on, paid) for _ in range(2)]
    f.named("AMBIGUOUS", [*items, *lines], 2 * amount, 0)


def missing(f: Files) -> None:
    sign, amount = f.rng.choice([1, -1]), f.amount()
    f.named("MISSING_IN_BANK", [f.item(f.account(), sign * amount, START, f"ORD{f.fresh():08d}")], amount, -sign * amount)


def unreported(f: Files) -> None:
    sign, amount = f.rng.choice([1, -1]), f.amount()
    f.named("MISSING_IN_LEDGER", [f.line(f.account(), sign * amount, f.day(), f"ORD{f.fresh():08d}")], amount, sign * amount)


def stray(f: Files) -> None:
    sign, amount = f.rng.choice([1, -1]), f.own_amount()
    kind = "UNIDENTIFIED_RECEIPT" if sign > 0 else "UNEXPLAINED_PAYMENT"
    f.named(kind, [f.line(f.account(), sign * amount, f.day(), "", description="跨行转账")], amount, sign * amount)


def refunded(f: Files) -> None:
    """A part goes back under the number of its payment; the books point at the original."""
    account, amount, on, reference = f.account(), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    item, line = f.item(account, amount, on, reference), f.line(account, amount, on, reference)
    back = f.item(account, -(amount // 2), on, f"RF{f.fresh():08d}", original_item_id=item, kind="refund")
    out = f.line(account, -(amount // 2), on + timedelta(days=1), reference)
    f.matches |= {frozenset({item, line}), frozenset({back, out})}


def returned(f: Files) -> None:
    account, amount, on, reference = f.account(), f.amount(), f.day(), f"ORD{f.fresh():08d}"
    item, out = f.item(account, -amount, on, reference), f.line(account, -amount, on, reference)
    back = f.line(account, amount, on + timedelta(days=1), reference, description="退汇")
    f.matches.add(frozenset({item, out}))
    f.named("RETURNED", [back, item], amount, amount)


EVENTS: dict[Callable[[Files], None], int] = {
    plain: 120, lines_of_one_item: 8, items_of_one_line: 8, batch: 10, other_amount: 8, other_direction: 6, too_late: 6,
    booked_again: 6, reported_again: 6, twins: 5, missing: 6, unreported: 6, stray: 6, refunded: 6, returned: 5,
    lambda f: batch(f, kept=f.rng.randrange(1, 60)): 4,
    lambda f: batch(f, comes=False): 3,
}  # fmt: skip


def made(seed: int) -> Files:
    files = Files(random.Random(seed))
    for event, times in EVENTS.items():
        for _ in range(times):
            event(files)
    for account in ("A1", "A2", "A3"):  # the bank reports every account up to the same day, long after everything is due
        name = f"ORD{files.fresh():08d}"
        last = START + timedelta(days=40)
        files.matches.add(frozenset({files.item(account, 100, last, name), files.line(account, 100, last, name)}))
    files.rng.shuffle(files.bank)
    files.rng.shuffle(files.book)
    return files


def _write(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)


def _fen(text: str) -> int:
    return int(text.replace(".", ""))


@pytest.mark.parametrize("seed", [3, 1789, 60211])
def test_generated_files_are_matched_and_named_as_they_were_made(seed: int, tmp_path: Path) -> None:
    files = made(seed)
    _write(tmp_path / "bank.csv", BANK_COLUMNS, files.bank)
    _write(tmp_path / "book.csv", BOOK_COLUMNS, files.book)
    out = tmp_path / "out"
    arguments = ["--bank-lines", str(tmp_path / "bank.csv"), "--book-lines", str(tmp_path / "book.csv"), "--out", str(out)]
    result = CliRunner().invoke(app, ["match", *arguments])
    assert result.exit_code in {0, 1}, result.output
    confirmed: dict[str, set[str]] = defaultdict(set)
    with (out / "matches.csv").open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            if row["status"] == "confirmed":
                confirmed[row["match_id"]].add(row["member_id"])
    with (out / "discrepancies.csv").open(encoding="utf-8", newline="") as rows:
        named = {
            (row["kind"], frozenset(row["member_ids"].split("|")), _fen(row["amount"]), _fen(row["difference"]))
            for row in csv.DictReader(rows)
        }
    found = {frozenset(members) for members in confirmed.values()}
    assert found - files.matches == set(), "nothing wrong is confirmed"
    assert files.matches - found == set(), "what can be resolved is found"
    assert named - files.defects == set(), "nothing is named that did not happen"
    assert files.defects - named == set(), "everything that happened is named with its figures and members"
