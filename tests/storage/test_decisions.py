"""A person approves only the newest proposal, another's, within the own jurisdictions; the database itself refuses the rest."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage.roles import Role, become_poster, deciding
from tests.escrow.conftest import District

PREPARED, DECIDED = "zhang.prepare", "li.approve"


@pytest.fixture
def proposed(connection: Connection) -> Connection:
    """A discrepancy of an institution in Hangzhou with a proposal, an older proposal turned down before it; the scope is Hangzhou."""
    district = District(connection)
    district.found(1, jurisdiction="330100")
    district.found(2, jurisdiction="110000")
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("discrepancy", "discrepancy_event"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    connection.execute(
        text("""
            INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor, act,
                prepared_event_no, prepared_by, row_digest, reason)
            VALUES (1, 'd', 1, 'opened', now(), '2025-03-05', 'system', NULL, NULL, NULL, '', 'x'),
                (1, 'd', 2, 'prepared', now(), '2025-03-05', :prepared, 'book_bank_charge', NULL, NULL, '', 'x'),
                (1, 'd', 3, 'rejected', now(), '2025-03-05', :decided, NULL, 2, :prepared, '', 'x'),
                (1, 'd', 4, 'prepared', now(), '2025-03-05', :prepared, 'book_bank_charge', NULL, NULL, '', 'x')
        """),
        {"prepared": PREPARED, "decided": DECIDED},
    )
    connection.execute(text("SELECT set_config('escrow.jurisdictions', '330100', true)"))
    return connection


def approve(connection: Connection, *, no: int = 5, proposal: int = 4, preparer: str = PREPARED, actor: str = DECIDED) -> str:
    attempt = connection.begin_nested()
    try:
        connection.execute(text(f"SET LOCAL ROLE {Role.PERSON}"))
        connection.execute(
            text("""
                INSERT INTO discrepancy_event (institution_id, discrepancy_id, event_no, event, event_at, business_date, actor,
                    prepared_event_no, prepared_by, row_digest)
                VALUES (1, 'd', :no, 'approved', now(), :day, :actor, :proposal, :preparer, '')
            """),
            {"no": no, "day": date(2025, 3, 6), "actor": actor, "proposal": proposal, "preparer": preparer},
        )
    except DBAPIError as error:
        return str(error.orig)
    finally:
        attempt.rollback()
    return ""


def test_the_newest_proposal_of_another_is_approved(proposed: Connection) -> None:
    assert approve(proposed) == ""


@pytest.mark.parametrize(
    "otherwise",
    [
        {"actor": PREPARED},  # the own proposal
        {"proposal": 2},  # one that was turned down
        {"preparer": "somebody.else"},  # said to be another's
        {"proposal": 1, "preparer": "system"},  # no proposal at all
        {"proposal": 99},
    ],
)
def test_anything_else_is_not(proposed: Connection, otherwise: dict[str, object]) -> None:
    assert "row-level security" in approve(proposed, **otherwise)  # type: ignore[arg-type]


def test_nobody_approves_in_another_jurisdiction(proposed: Connection) -> None:
    proposed.execute(text("SELECT set_config('escrow.jurisdictions', '110000', true)"))

    assert "row-level security" in approve(proposed)


def test_a_month_is_closed_within_the_own_jurisdictions_only(proposed: Connection) -> None:
    close = "INSERT INTO period_event (institution_id, month, event, actor, reason, event_at) VALUES ({}, '2025-01-01', 'closed', 'x', 'x', now())"
    proposed.execute(text("SET LOCAL session_replication_role = origin"))
    proposed.execute(text(f"SET LOCAL ROLE {Role.PERSON}"))
    for institution, refused in ((1, False), (2, True)):
        attempt = proposed.begin_nested()
        try:
            proposed.execute(text(close.format(institution)))
            said = ""
        except DBAPIError as error:
            said = str(error.orig)
        attempt.rollback()
        assert ("row-level security" in said) is refused, (institution, said)


def test_a_session_decides_as_the_person_and_goes_on_as_what_it_was(connection: Connection) -> None:
    def role() -> str:
        return str(connection.scalar(text("SELECT current_user")))

    become_poster(connection)
    with deciding(connection):
        assert role() == Role.POSTER, "no scope is set: a job decides nothing for a person"
    connection.execute(text("SELECT set_config('escrow.jurisdictions', '330100', true)"))
    with deciding(connection):
        assert role() == Role.PERSON
    assert role() == Role.POSTER
