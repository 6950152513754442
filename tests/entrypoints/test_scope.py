"""A supervisor acts within the own jurisdiction's subtree, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from config.roles import load_roster
from entrypoints.acting import in_scope, require_in_scope
from entrypoints.commands.reading import readable_accounts, require_all_accounts
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


def test_everybody_reads_the_own_accounts_and_is_told_that_there_are_more(
    connection: Connection, accounts: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    hangzhou = ROSTER.principal("wang.hangzhou")

    assert [ref.custody_account_id for ref in readable_accounts(connection, hangzhou)] == [accounts["330100"]]
    assert "1 of 2 custody accounts: those of jurisdiction 330100, as wang.hangzhou may see" in capsys.readouterr().err
    with pytest.raises(NotAllowed, match="supervises 330100, which does not contain 110000"):
        readable_accounts(connection, hangzhou, str(accounts["110000"]))
    for reader in ("system", "auditor.wu"):
        assert len(readable_accounts(connection, ROSTER.principal(reader))) == len(accounts)
    assert capsys.readouterr().err == ""


def test_a_bank_reads_the_accounts_it_keeps(connection: Connection, accounts: dict[str, int]) -> None:
    of_bank = {ref.custody_account_id: ref.bank_code for ref in readable_accounts(connection, ROSTER.principal("system"))}
    for bank in (*sorted(set(of_bank.values())), "NONE"):
        operator = replace(ROSTER.principal("bank.north"), bank_code=bank)
        expected = [number for number, kept_by in of_bank.items() if kept_by == bank]
        assert [ref.custody_account_id for ref in readable_accounts(connection, operator)] == expected


def test_what_covers_all_books_is_refused_to_somebody_who_sees_some(connection: Connection, accounts: dict[str, int]) -> None:
    require_all_accounts(connection, ROSTER.principal("auditor.wu"), "the journal")
    with pytest.raises(NotAllowed, match="the journal covers all custody accounts, and wang.hangzhou sees some only"):
        require_all_accounts(connection, ROSTER.principal("wang.hangzhou"), "the journal")
