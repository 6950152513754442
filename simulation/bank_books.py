"""The banks' own books as they are written: lines with bank references, settlement batches, entries of the answer key."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from typing import NamedTuple

from bank_adapters.model import Direction
from simulation.defects import Defect, DefectKind, Trap
from simulation.events import BankMovement, Institution, SettlementBatch
from simulation.found import NAMELESS
from simulation.people import between
from simulation.sales import instant
from simulation.span import Span
from simulation.terms import DistrictTerms

HOUR = 3600


class Party(NamedTuple):
    """The other side of a movement, as the bank shows it."""

    name: str | None
    account: str | None


class Line(NamedTuple):
    """What a bank is about to post. ``opens`` .. ``shuts`` are the hours of the day it may be posted in; equal ones mean the
    full hour exactly. ``settles`` are the book references it truly settles; ``certainty`` is explained at BankMovement.
    """

    institution_no: int
    day: date
    direction: Direction
    amount: int
    reference: str | None
    party: Party
    text: str
    purpose: str
    settles: tuple[str, ...] = ()
    certainty: str = "never"
    code: str = "NTRF"
    opens: int = 9
    shuts: int = 17
    nameless: bool = False


@dataclass(slots=True)
class BankBooks:
    """Everything the banks posted so far, and what the key says about it.

    ``arrived`` maps an order id to the day its money was truly booked; ``paid_out`` an instruction id to the day it left.
    ``shown_on`` gives the account-days whose statements show a defect, by its position in ``defects``: files have names only
    once they are written.
    """

    institutions: tuple[Institution, ...]
    span: Span
    terms: DistrictTerms
    rng: random.Random
    movements: list[BankMovement] = field(default_factory=list)
    settlements: list[SettlementBatch] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    traps: list[Trap] = field(default_factory=list)
    arrived: dict[str, date] = field(default_factory=dict)
    paid_out: dict[str, date] = field(default_factory=dict)
    shown_on: dict[int, tuple[tuple[int, date], ...]] = field(default_factory=dict)
    serials: dict[tuple[int, date], int] = field(default_factory=dict)

    def post(self, line: Line) -> BankMovement | None:
        """Post one line under the bank's next reference, unless its day lies past the span."""
        if line.day > self.span.end:
            return None
        key = (line.institution_no, line.day)
        serial = self.serials[key] = self.serials.get(key, 0) + 1
        bank = self.institutions[line.institution_no].bank_code
        movement = BankMovement(
            institution_no=line.institution_no,
            booking_date=line.day,
            booked_at=instant(line.day, between(self.rng, line.opens * HOUR, line.shuts * HOUR - 1)),
            direction=line.direction,
            amount=line.amount,
            bank_reference=None if line.nameless else f"{bank}{line.day:%y%m%d}{line.institution_no % 1000:03d}{serial:04d}",
            end_to_end_reference=line.reference,
            counterparty_name=line.party.name,
            counterparty_account=line.party.account,
            description=line.text,
            transaction_code=line.code,
            purpose=line.purpose,
            book_references=line.settles,
            certainty=line.certainty,
        )
        self.movements.append(movement)
        return movement

    def enter(
        self,
        kind: DefectKind,
        institution_no: int,
        seen_on: date,
        *,
        amount: int,
        difference: int,
        sentence: str,
        references: Iterable[str] = (),
        lines: Iterable[BankMovement | None] = (),
        items: Iterable[str] = (),
        context: Iterable[BankMovement | None] = (),
        also: tuple[DefectKind, ...] = (),
        money_from: date | None = None,
        resolvable: bool = True,
    ) -> None:
        """Enter one defect into the key; ids are given when all defects are known.

        ``lines`` and ``items`` are what it is about; ``context`` are lines one should look at as well.
        """
        own = [line for line in lines if line is not None]
        booked = own + [line for line in context if line is not None]
        self.shown_on[len(self.defects)] = tuple((line.institution_no, line.booking_date) for line in booked)
        self.defects.append(
            Defect(
                defect_id="",
                kind=kind,
                institution_no=institution_no,
                business_date=seen_on,
                amount=amount,
                difference=difference,
                references=tuple(references),
                bank_references=tuple(line.bank_reference for line in booked if line.bank_reference),
                resolvable=resolvable,
                also_expected=also,
                money_from=money_from or seen_on,
                sentence=sentence,
                bank_members=tuple(line.bank_reference or NAMELESS for line in own),
                book_members=tuple(items),
            )
        )

    def closings(self, institution_no: int) -> list[int]:
        """The account's closing balance of every day of the span, in fen, with all lines posted so far."""
        moved = dict.fromkeys(self.span.days, 0)
        for line in self.movements:
            if line.institution_no == institution_no:
                moved[line.booking_date] += line.signed
        return list(accumulate(moved.values()))


def yuan(amount: int) -> str:
    """Fen as people read them: 268000 -> CNY 2,680.00."""
    return f"CNY {amount // 100:,}.{amount % 100:02d}"
