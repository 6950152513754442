"""A heavily damaged district lived through day by day on a real database: escrow must come to the key's releases, refunds,
disbursements and refused rows. Matching is not tried here: the days on which money is seen come from the key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from escrow import handlers
from simulation import District, Written
from simulation.key_reading import read_key
from simulation.scoring import Found, FoundFinding, FoundPayment, score
from tests.escrow.conftest import CHANNELS
from tests.escrow.conftest import District as Books

Made = Callable[..., tuple[District, Written]]


@pytest.mark.parametrize("seed", [3])
def test_escrow_comes_to_the_same_releases_refunds_disbursements_and_refusals(
    written: Made, connection: Connection, seed: int
) -> None:
    district, out = written(seed)
    books = Books(connection)
    inputs = out.folder / "inputs"
    assert books.import_institutions((inputs / "institutions.csv").read_bytes()).all_taken
    seen: dict[date, list[str]] = defaultdict(list)
    key = read_key(out.folder / "answer-key")
    for (_, booked, _), match in key.matches.items():
        if match.readable and match.book_references[0].startswith("OD"):
            first = match.book_references[0]
            number = next(each.institution_no for each in district.reported if each.order_id == first)
            seen[district.visible_on.get((number, booked)) or booked].extend(match.book_references)
    findings: list[FoundFinding] = []
    for day in district.span.days:
        books.now = datetime.combine(day, time(15, 50), UTC)
        findings += _import_day(books, inputs, day)
        if seen[day]:
            books.bank_shows(*dict.fromkeys(seen[day]), on=day.isoformat())
        books.deemed(day.isoformat())
        books.released(day.isoformat())
        books.refunded(day.isoformat())
        books.instructed(day.isoformat())
    assert books.faults() == []
    result = score(
        key,
        Found(
            [],
            [],
            releases=_paid(connection, "SELECT order_id || '#' || class_hour_no, amount_minor_units, released_on FROM release"),
            refunds=_paid(
                connection, "SELECT refund_request_id, amount_minor_units, approved_on FROM refund WHERE amount_minor_units > 0"
            ),
            disbursements=_paid(
                connection, "SELECT instruction_id, amount_minor_units, instruction_date FROM disbursement_instruction"
            ),
            findings=findings,
        ),
    )
    for tally in result.others:
        assert tally.perfect, (tally.name, tally.details[:5])
        assert tally.right == tally.expected > 0


def _import_day(books: Books, folder: Path, day: date) -> list[FoundFinding]:
    found: list[FoundFinding] = []
    path = folder / f"orders/{day}.csv"
    if path.exists():
        report = books.import_orders(path.read_bytes(), path.name)
        found = [FoundFinding(f"orders/{day}.csv", each.line, each.field) for each in report.findings]
    for path in sorted(folder.glob(f"channel-settlements/*-{day}.csv")):
        report = handlers.import_channel_settlements(
            books.conn, path.read_bytes(), path.name, channels=CHANNELS, now=books.now, actor="platform"
        )
        assert report.all_taken, report.findings
    path = folder / f"class-hours/{day}.csv"
    if path.exists():
        report = books.import_class_hours(path.read_bytes())
        assert report.all_taken, report.findings
    path = folder / f"refund-requests/{day}.csv"
    if path.exists():
        report = handlers.import_refund_requests(books.conn, path.read_bytes(), path.name, now=books.now, actor="platform")
        assert report.all_taken, report.findings
    return found


def _paid(connection: Connection, query: str) -> list[FoundPayment]:
    return [FoundPayment(*row) for row in connection.execute(text(query))]
