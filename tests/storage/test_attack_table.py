"""Every attack of the table is tried; docs/attacks.md says what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from escrow.hold import HoldScope
from jobs.verifying import faults_in_books
from storage.seal import seal_evidence
from tests.escrow.conftest import District
from tests.storage.attacks import ATTACKS, FORGED, HISTORY, LEDGER, NAMED, REFUSED, SESSIONS, SUPERUSER, TRAP, Attack, document
from tests.storage.role_table import DOCUMENT, HEAD, role_table
from tests.storage.test_roles import a_row_in_every_table


@pytest.fixture
def lived(connection: Connection) -> Connection:
    """Books with an order paid, seen at the bank, taught and released in part, one unfunded, a hold and a seal."""
    district = District(connection)
    district.found(1)
    district.paid("ORD1")
    district.paid("ORD2")
    district.bank_shows("ORD1")
    district.taught("ORD1", [1, 2, 3], "2025-03-05")
    district.confirmed("ORD1", [1, 2], "2025-03-05")
    district.released("2025-03-05")
    district.hold(HoldScope.ORDER, order_id="ORD2")
    seal_evidence(connection, datetime(2026, 6, 1, 22, 0, tzinfo=UTC))
    connection.commit()
    assert [str(fault) for fault in faults_in_books(connection)] == []
    return connection


def _try(connection: Connection, attack: Attack) -> str:
    """What the database said to an attack; else, for one that is to be named, everything verify names."""
    trial = connection.begin_nested()
    try:
        if attack.role != SUPERUSER:
            connection.execute(text(f"SET LOCAL ROLE {attack.role}"))
        for statement in attack.sql.split(";\n"):
            connection.execute(text(statement.replace(":", "\\:")))
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        connection.execute(text("RESET ROLE"))
        if attack.result == REFUSED:
            return "(done)"
        return "\n".join(f"{fault.table} {fault.row}: {fault.what}" for fault in faults_in_books(connection))
    except DBAPIError as error:
        refusal: Any = error.orig
        return f"{'' if attack.result == REFUSED else 'REFUSED '}{refusal} [{refusal.diag.constraint_name}]"
    finally:
        trial.rollback()


def test_every_role_reads_and_adds_what_the_table_says(connection: Connection) -> None:
    a_row_in_every_table(connection)

    assert DOCUMENT.read_text(encoding="utf-8").endswith(role_table(connection)), "run: python -m tests.storage.role_table"


@pytest.mark.parametrize(
    "attacks", [HISTORY, LEDGER, TRAP, FORGED, SESSIONS], ids=["history", "ledger", "trap", "forged", "sessions"]
)
def test_every_attack_ends_as_the_table_says(lived: Connection, attacks: tuple[Attack, ...]) -> None:
    """The weakened schema is tried in test_catalogue, one after the other as here."""
    otherwise = [(one.what, one.role, said[-300:]) for one in attacks if one.words not in (said := _try(lived, one))]

    assert otherwise == []
    assert faults_in_books(lived) == []


def test_the_table_in_docs_is_what_the_suite_tries() -> None:
    written = Path("docs/attacks.md").read_text(encoding="utf-8")

    assert written.startswith(document() + HEAD), "run: python -m tests.storage.role_table"
    assert {one.result for one in ATTACKS} == {REFUSED, NAMED}
