"""What waits is counted once, in the bucket of its working days, as of any day and as it was known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, text

from config.calendars import load_calendar
from money import Money
from reports.ageing import BUCKETS, AgeingLine, ageing, ageing_table, bucket_name, bucket_of, what_waits
from tests.escrow.conftest import District

CALENDAR = load_calendar()


@pytest.fixture
def district(connection: Connection) -> District:
    """Two orders paid on Monday 3 March 2025; two class-hours taught on Thursday, one of them disputed the day after."""
    told = District(connection, now=datetime(2025, 3, 10, 1, 0, tzinfo=UTC))
    told.found()
    told.paid("ORD1")
    told.paid("ORD2", amount="60.00")
    told.taught("ORD1", [1, 2], "2025-03-06")
    told.reported("ORD1", 2, "disputed", "2025-03-07")
    return told


def found(district: District, as_of: str, **asked: object) -> dict[tuple[str, str], AgeingLine]:
    lines = ageing(district.conn, CALENDAR, as_of=date.fromisoformat(as_of), **asked)  # type: ignore[arg-type]
    by_key = {(line.what, bucket_name(line.bucket, "en")): line for line in lines}
    assert len(by_key) == len(lines)
    return by_key


def test_every_bucket_follows_the_one_before_without_a_gap() -> None:
    assert BUCKETS[0][0] == 0
    for (_, last), (first, _) in pairwise(BUCKETS):
        assert first == (last or 0) + 1
    assert [bucket_name(bucket_of(days), "en") for days in (0, 1, 2, 10, 60, 61, 900)] == [
        "0-1", "0-1", "2-3", "6-10", "21-60", "over 60", "over 60",
    ]  # fmt: skip


def test_prepayments_receipts_and_class_hours_age_by_working_days(district: District) -> None:
    """From Thursday 6 March to Monday 10 March are two working days, from Monday 3 March five."""
    lines = found(district, "2025-03-10")
    held = lines["prepayment held", "4-5"]
    assert (held.count, held.amount, held.oldest, held.oldest_id) == (2, Money(106_000), date(2025, 3, 3), "ORD1")
    open_hour, disputed = lines["class-hour not released", "2-3"], lines["class-hour disputed", "2-3"]
    assert (open_hour.count, open_hour.oldest_id, disputed.count, disputed.oldest_id) == (1, "ORD1#1", 1, "ORD1#2")
    receipts = [line for (what, _), line in lines.items() if what == "receipt"]
    assert sum(line.count for line in receipts) == 2
    assert sum(line.amount.minor_units for line in receipts if line.amount) == 106_000


def test_what_waits_is_told_in_the_reader_s_language(district: District) -> None:
    lines = ageing(district.conn, CALENDAR, as_of=date(2025, 3, 10))
    told = {line.what: what_waits(line.what, "zh") for line in lines}

    assert told == {
        "prepayment held": "预收费托管余额", "class-hour not released": "课时未拨付", "class-hour disputed": "课时有异议",
        "receipt": "收款",
    }  # fmt: skip
    assert {row[1] for row in ageing_table(lines, "zh").rows} == set(told.values())
    assert {row[1] for row in ageing_table(lines, "en").rows} == set(told)
    assert what_waits("discrepancy BANK_CHARGE", "zh") == "差错 BANK_CHARGE"


def test_as_of_an_earlier_day_only_what_was_there_then_waits(district: District) -> None:
    assert found(district, "2025-03-02") == {}
    assert ("class-hour not released", "0-1") not in found(district, "2025-03-05")
    on_the_day = found(district, "2025-03-06")
    # The dispute came the day after.
    assert on_the_day["class-hour not released", "0-1"].count == 2
    assert ("receipt", "not due") in found(district, "2025-03-03")


def test_what_was_not_recorded_yet_is_not_known(district: District) -> None:
    """By the database's own clock: the second order is recorded after the first, the class-hours after both."""
    first, second = district.conn.execute(text("SELECT recorded_at FROM posting_batch ORDER BY batch_id")).scalars()
    assert found(district, "2025-03-10", known_at=first - timedelta(microseconds=1)) == {}
    known = found(district, "2025-03-10", known_at=first)
    assert {what for what, _ in known} == {"receipt", "prepayment held"}
    assert known["prepayment held", "4-5"].amount == Money(100_000)
    assert found(district, "2025-03-10", known_at=second)["prepayment held", "4-5"].amount == Money(106_000)
    newest = district.conn.execute(text("SELECT max(recorded_at) FROM class_hour_event")).scalar_one()
    assert found(district, "2025-03-10", known_at=newest) == found(district, "2025-03-10")


def test_other_jurisdictions_and_accounts_are_left_out(district: District) -> None:
    assert found(district, "2025-03-10", institution_ids=()) == {}
    assert found(district, "2025-03-10", custody_account_id=999) == {}
    assert found(district, "2025-03-10", institution_ids=(1,)) == found(district, "2025-03-10")


def test_each_row_names_its_oldest_member(district: District) -> None:
    lines = ageing(district.conn, CALENDAR, as_of=date(2025, 3, 10))
    rows = list(ageing_table(lines, "zh").json_rows())
    assert len(rows) == len(lines)
    assert all(row["oldest_id"] and row["oldest"] for row in rows)
    assert {row["working_days"] for row in rows} >= {"2-3 日", "4-5 日"}
