"""What people read of the books: coverage only where a statement says so, accounts by code, sums of several accounts' books."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from bank_adapters.model import Direction
from jobs.verifying import CHECKS, facts_looked_at
from reconciliation.discrepancy import TITLES, Act, Discrepancy, DiscrepancyKind
from reconciliation.wording import ACT_TITLES, explanation
from reports.coverage import coverage
from reports.wording import word
from tests.reconciliation.conftest import FRIDAY, MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town, town

__all__ = ["town"]


@pytest.fixture
def paid(town: Town) -> Town:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (Direction.IN, 120000, "ORD20250001"))
    return town


def known(town: Town, day: object) -> bool:
    with town.engine.connect() as conn:
        (row,) = coverage(conn, day, [town.ref])  # type: ignore[arg-type]
    return row.known


def test_a_day_is_known_by_its_statement_or_by_one_that_continues_it(paid: Town) -> None:
    assert known(paid, TUESDAY)
    assert not known(paid, WEDNESDAY)
    assert not known(paid, THURSDAY)
    paid.day(THURSDAY)
    assert known(paid, WEDNESDAY), "Thursday's statement opens with Tuesday's balance"
    paid.day(FRIDAY)
    assert known(paid, FRIDAY.replace(day=8)), "nobody works on Saturday"
    assert not known(paid, FRIDAY.replace(day=10))


def test_every_check_says_how_much_it_looked_at(paid: Town) -> None:
    with paid.engine.connect() as conn:
        looked_at = facts_looked_at(conn)

        def rows(*tables: str) -> int:
            return sum(int(conn.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()) for table in tables)

        lines = rows("statement_line", "statement", "statement_file")
        events = rows("audit_event")
    assert set(looked_at) == set(CHECKS)
    assert all(count > 0 for name, count in looked_at.items() if name != "escrow")
    assert looked_at["reconciliation"] >= lines
    assert looked_at["chain of the audit log"] >= events


@pytest.mark.parametrize("kind", DiscrepancyKind, ids=str)
def test_every_kind_is_explained_in_chinese_with_its_figures(kind: DiscrepancyKind) -> None:
    one = Discrepancy("a" * 32, 1, 17, kind, TUESDAY, "CNY", 12345, -67, (), (), "in English")
    said = explanation(one, "zh")
    assert not any("a" <= letter <= "z" for letter in said)
    assert "123.45" in said or "-0.67" in said or "2025-03-04" in said
    assert explanation(one, "en") == "in English"
    assert kind in TITLES


def test_every_act_and_heading_has_both_languages() -> None:
    assert set(ACT_TITLES) == set(Act)
    for english in ("account", "debit", "named", "unexplained", "sign-off", "open", "superseded", "Trial balance"):
        assert word(english, "zh") != english
        assert word(english, "en") == english
