"""The matcher, on lines read back from the banks' files and items as the books would hold them, against the answer key.

Nothing wrong may be confirmed, every injected difference of money must be named with its kind and amount, and what nobody
can decide must be called AMBIGUOUS. Differences of the files themselves are for the intake and not tried here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest

from bank_adapters.model import StatementLine
from bank_adapters.reading import read_statement_file
from config.matching import load_matching_rules
from reconciliation.matching import match_frames
from simulation import District, Written
from simulation.defects import StatementFate
from simulation.found import NAMELESS
from simulation.key_reading import read_key
from simulation.scoring import STATEMENT_KINDS, Found, FoundDiscrepancy, FoundMatch, score
from simulation.statements import deliver
from tests.simulation.conftest import SEEDS, known_profiles

Made = Callable[..., tuple[District, Written]]


@dataclass
class Sides:
    """Both sides of a whole span, with what each id stands for."""

    bank: list[dict[str, Any]]
    book: list[dict[str, Any]]
    lines: dict[str, tuple[str, StatementLine]]
    references: dict[str, tuple[str, ...]]


def sides_of(district: District) -> Sides:
    sides = Sides([], [], {}, {})
    profiles = list(known_profiles().values())
    done: set[tuple[int, date]] = set()
    for file in deliver(district, known_profiles()).files:
        spot = (file.institution_no, file.statement_date)
        broken = district.statement_fates.get(spot) in (StatementFate.CONTINUITY, StatementFate.BALANCE)
        if spot in done or (broken and file.delivered_on == file.statement_date):
            continue
        done.add(spot)
        (statement,) = read_statement_file(file.content, file.path, profiles).statements
        for position, line in enumerate(statement.lines_in_booking_order):
            line_id = f"{statement.account}-{statement.closing_date}-{position:04d}"
            sides.lines[line_id] = (str(statement.account), line)
            sides.bank.append(
                {
                    "line_id": line_id, "account": statement.account, "currency": "CNY", "direction": line.direction.value,
                    "amount": line.amount.minor_units, "booking_date": line.booking_date, "references": "|".join(line.references),
                    "description": line.description or "", "transaction_code": line.transaction_code or "",
                    "bank_reference": line.bank_reference or "", "position": position,
                }
            )  # fmt: skip
    batch_of = {order_id: each.settlement_batch for each in district.settlements for order_id in each.order_ids}
    terms = district.terms

    def expect(name: str, number: int, direction: str, amount: int, due: date, *more: str, kind: str, batch: str = "") -> None:
        window = terms.receipt_window if kind == "receipt" else terms.payment_window
        sides.references[name] = (name, *more, *([batch] if batch else []))
        sides.book.append(
            {
                "item_id": name, "account": district.institutions[number].account_number, "currency": "CNY", "direction": direction,
                "amount": amount, "due_date": due, "references": "|".join((name, *more)), "kind": kind, "group_key": batch,
                "window_until": terms.last_day(due, window),
            }
        )  # fmt: skip

    for order in district.reported:
        due, batch = order.paid_on + timedelta(days=1), batch_of.get(order.order_id, "")
        expect(
            order.order_id, order.institution_no, "IN", order.amount, due, order.channel_reference, kind="receipt", batch=batch
        )
    for each in district.disbursements:
        expect(each.instruction_id, each.institution_no, "OUT", each.amount, each.instructed_on, kind="disbursement")
    for refund in district.refunds:
        if refund.instructed_on is not None:
            name = f"RF{refund.refund_request_id}"
            expect(name, refund.institution_no, "OUT", refund.amount, refund.instructed_on, kind="refund")
    return sides


def found_by_the_matcher(sides: Sides, last_day: date) -> Found:
    outcome = match_frames(pd.DataFrame(sides.bank), pd.DataFrame(sides.book), load_matching_rules(), last_day)
    matches: list[FoundMatch] = []
    for _, members in outcome.confirmed.groupby("match_id"):
        items = tuple(members.loc[members["side"] == "book", "member_id"])
        for line_id in members.loc[members["side"] == "bank", "member_id"]:
            account, line = sides.lines[line_id]
            assert line.booking_date is not None
            matches.append(FoundMatch(account, line.booking_date, line.bank_reference or "", line.amount.minor_units, items))
    discrepancies: list[FoundDiscrepancy] = []
    for row in outcome.discrepancies.itertuples():
        lines = [sides.lines[line_id][1] for line_id in _parts(row.line_ids)]
        references = [reference for line in lines for reference in line.references]
        references += [reference for item_id in _parts(row.item_ids) for reference in sides.references[item_id]]
        discrepancies.append(
            FoundDiscrepancy(
                row.kind,
                row.account,
                last_day,
                int(row.amount),
                int(row.difference),
                tuple(line.bank_reference or NAMELESS for line in lines),
                tuple(_parts(row.item_ids)),
                tuple(references),
            )
        )
    return Found(matches, discrepancies)


def _parts(text: str) -> Sequence[str]:
    return [part for part in text.split("|") if part]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_wrong_is_confirmed_and_every_difference_of_money_is_named(written: Made, seed: int) -> None:
    district, out = written(seed)
    whole = read_key(out.folder / "answer-key")
    of_money = [each for each in whole.defects if each.kind not in STATEMENT_KINDS]
    # One comparison at the end of the span names everything on its last day.
    key = replace(whole, defects=tuple(replace(each, business_date=district.span.end) for each in of_money))
    result = score(key, found_by_the_matcher(sides_of(district), district.span.end))
    for tally in result.tallies:
        assert tally.perfect, (tally.name, tally.details[:5])
        assert tally.right == tally.expected > 0
    assert result.confusion == {}
