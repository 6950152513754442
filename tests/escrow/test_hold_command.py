"""Holds from the command line: one person stops the money, two lift the stop, and every act is in the audit log."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from tests.escrow.conftest import District


@pytest.fixture
def url(books: Engine, books_url: str) -> str:
    with books.begin() as connection:
        district = District(connection)
        district.found()
        district.paid("ORD1")
    return books_url


def run(url: str, user: str, *arguments: str) -> Result:
    from entrypoints.cli import app

    return CliRunner().invoke(app, ["--as", user, "hold", *arguments], env={"ESCROW_DATABASE_URL": url})


def holds(url: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run(url, "li.approve", "list", "--json").stdout.splitlines()]


def test_one_person_places_a_hold_and_two_lift_it(url: str, books: Engine) -> None:
    assert run(url, "zhang.prepare", "place", "--order", "ORD1", "--reason", "complaint 17").exit_code == 0
    (placed,) = holds(url)
    assert (placed["order_id"], placed["stops_release"], placed["stops_refund"]) == ("ORD1", True, False)
    number = str(placed["hold"])

    assert run(url, "zhang.prepare", "lift", number, "--prepare", "--reason", "withdrawn").exit_code == 0
    assert len(holds(url)) == 1, "a proposal lifts nothing"
    assert run(url, "li.approve", "lift", number, "--approve").exit_code == 0

    assert holds(url) == []
    with books.connect() as connection:
        acts = connection.execute(text("SELECT actor, act FROM audit_event WHERE object_kind = 'hold' ORDER BY seq")).all()
    assert [tuple(row) for row in acts] == [
        ("zhang.prepare", "escrow:hold:placed"),
        ("zhang.prepare", "escrow:hold:lift_prepared"),
        ("li.approve", "escrow:hold:lifted"),
    ]


def test_who_may_not_approve_is_told_who_may(url: str) -> None:
    run(url, "zhang.prepare", "place", "--order", "ORD1", "--reason", "complaint 17")
    number = str(holds(url)[0]["hold"])
    run(url, "zhang.prepare", "lift", number, "--prepare", "--reason", "withdrawn")

    refused = run(url, "zhang.prepare", "lift", number, "--approve")

    assert refused.exit_code != 0
    assert "a user with role approver can" in str(refused.exception)
    assert len(holds(url)) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("place", "--order", "NOWHERE", "--reason", "x"), "no orders are called 'NOWHERE'"),
        (("place", "--order", "ORD1", "--class-hour", "11", "--reason", "x"), "give --class-hour 1 to 10, not 11"),
        (("place", "--order", "ORD1", "--reason", " "), "a hold needs a reason"),
        (("lift", "99", "--prepare", "--reason", "x"), "no hold 99 is in force"),
    ],
)
def test_what_cannot_be_held_or_lifted_is_said(url: str, arguments: tuple[str, ...], says: str) -> None:
    refused = run(url, "zhang.prepare", *arguments)

    assert refused.exit_code != 0
    assert says in str(refused.exception)


def test_a_hold_names_an_order_or_an_account_not_both_and_not_neither(url: str) -> None:
    assert run(url, "zhang.prepare", "place", "--reason", "x").exit_code == 2
    assert run(url, "zhang.prepare", "place", "--order", "ORD1", "--account", "6222", "--reason", "x").exit_code == 2
