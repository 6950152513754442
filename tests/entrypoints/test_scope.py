"""A supervisor acts within the own jurisdiction's subtree, and nowhere else."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from config.roles import load_roster
from entrypoints.acting import in_scope, require_in_scope
from supervision.rights import NotAllowed
from tests.escrow.conftest import District

ROSTER = load_roster()


@pytest.fixture
def accounts(connection: Connection) -> dict[str, int]:
    """A custody account in Hangzhou (330100) and one in Beijing (110000)."""
    district = District(connection)
    district.found(1, jurisdiction="330100")
    district.found(2, jurisdiction="110000")
    rows = connection.execute(
        text("SELECT i.jurisdiction_code, a.custody_account_id FROM custody_account a JOIN institution i USING (institution_id)")
    )
    return dict(tuple(row) for row in rows)


def test_a_city_supervises_its_own_accounts_and_no_others(connection: Connection, accounts: dict[str, int]) -> None:
    hangzhou = ROSTER.principal("wang.hangzhou")

    assert in_scope(connection, hangzhou, accounts["330100"])
    assert not in_scope(connection, hangzhou, accounts["110000"])
    with pytest.raises(NotAllowed, match="supervises 330100, which does not contain 110000"):
        require_in_scope(connection, hangzhou, accounts["110000"])


def test_the_country_contains_every_city(connection: Connection, accounts: dict[str, int]) -> None:
    assert all(in_scope(connection, ROSTER.principal("zhang.prepare"), number) for number in accounts.values())
