"""Every id a report prints leads down to the line of a file that says so, and back up to the transfers it became."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, text

from money import Money
from reports.explanation import MASKED, Explanation, Thing, explain
from reports.explanation_facts import FACTS, LINKS
from reports.explanation_ids import find
from reports.wording import word
from storage.embedded import embedded_server
from tests.reports.evidence.conftest import Told


@pytest.fixture(scope="module")
def books(told: Told) -> Iterator[Connection]:
    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as connection:
            yield connection
        engine.dispose()


@pytest.fixture(scope="module")
def files(told: Told, books: Connection) -> dict[str, list[bytes]]:
    """Every file the district's people and banks delivered, by the SHA-256 of its bytes: its lines."""
    delivered = [path.read_bytes() for path in (told.data / "demo" / "district" / "inputs").rglob("*") if path.is_file()]
    delivered += [
        bytes(content) for content in books.scalars(text("SELECT content FROM statement_file WHERE content IS NOT NULL"))
    ]
    return {hashlib.sha256(one).hexdigest(): one.splitlines() for one in delivered}


def explained(books: Connection, identity: str, *, personal: bool = True) -> Explanation:
    return explain(books, find(books, identity), personal=personal)


def things(explanation: Explanation, section: str) -> list[Thing]:
    (found,) = [one for one in explanation.sections if one.name == section]
    assert found.more == 0
    return list(found.things)


def column(books: Connection, question: str) -> list[str]:
    found = [str(value) for value in books.scalars(text(question))]
    assert found, question
    return found


#: Kinds of source event that rest on a line of a file, and what of the thing that line must hold.
def said_by_its_file(one: Thing, files: dict[str, list[bytes]]) -> bool:
    line = files[one.facts["file_sha256"]][one.facts["file_line"] - 1]
    if one.kind == "class_hour":
        order, _, number = one.identity.partition("#")
        return order.encode() in line and f",{number},{one.facts['event']}".encode() in line
    return str(one.facts.get("bank_reference") or one.identity).encode() in line


def test_every_transfer_leads_to_a_line_that_says_so_and_that_line_back_to_it(
    books: Connection, files: dict[str, list[bytes]]
) -> None:
    kinds = set()
    for at in column(books, "SELECT institution_id || '.' || batch_id || '.' || line FROM transfer"):
        told = explained(books, at)
        (transfer,) = told.asked
        kind = transfer.facts["source"].split("/")[0]
        kinds.add(kind)
        assert {"actor", "rule_version", "amount"} <= set(transfer.facts)
        read = [one for one in things(told, "rests_on") if "file_line" in one.facts and one.kind != "line"]
        read += [one for one in things(told, "rests_on") if one.kind == "line" and one.facts["file_sha256"] in files]
        assert any(said_by_its_file(one, files) for one in read) or kind == "disbursement", (at, kind, read)
        assert f"{told.named.institution_id}.{at.split('.')[1]}" in [
            one.identity for one in things(told, "leads_to") if one.kind == "batch"
        ]
        for one in read[:1]:
            back = explained(books, one.identity)
            known = [each.identity for each in things(back, "transfers")]
            assert transfer.identity in known, (at, one)
    assert {"order", "release", "bank_line", "disbursement"} <= kinds


def test_every_order_line_match_and_discrepancy_says_what_it_rests_on(books: Connection, files: dict[str, list[bytes]]) -> None:
    for order in column(books, "SELECT order_id FROM orders"):
        (asked,) = explained(books, order).asked
        assert said_by_its_file(asked, files)
    for line in column(books, "SELECT line_id FROM statement_line"):
        told = explained(books, line[:12])
        assert said_by_its_file(told.asked[0], files)
        consumed = [one for one in things(told, "rests_on") if one.kind == "match"]
        doubted = [one for one in things(told, "leads_to") if one.kind == "discrepancy"]
        assert consumed or doubted, line
    for match in column(books, "SELECT match_id FROM match"):
        assert {"line", "item", "order"} & {one.kind for one in things(explained(books, match), "rests_on")}
    for identity, lines in books.execute(text("SELECT discrepancy_id, line_ids FROM discrepancy")).all():
        told = explained(books, identity)
        assert {one.identity for one in things(told, "rests_on") if one.kind == "line"} == set(lines)
        assert things(told, "leads_to")[0].facts["event"] == "opened"


def test_an_instruction_rests_on_its_file_and_a_batch_on_all_it_posted(books: Connection) -> None:
    for instruction, digest, amount in books.execute(
        text(
            "SELECT instruction_id, encode(f.sha256, 'hex'), amount_minor_units FROM disbursement_instruction "
            "JOIN instruction_file f USING (instruction_file_id)"
        )
    ).all():
        (asked,) = explained(books, instruction).asked
        assert (asked.facts["file_sha256"], asked.facts["amount"]) == (digest, Money(amount))
    for at, count in books.execute(
        text("SELECT institution_id || '.' || batch_id, transfer_count FROM posting_batch WHERE transfer_count <= 50")
    ).all():
        assert len(things(explained(books, at), "transfers")) == count


def test_every_fact_has_a_name_in_both_languages(books: Connection) -> None:
    empty = {"institution": 0, "ids": []}
    names = {name for question in FACTS.values() for name in books.execute(text(question), empty).keys()}  # noqa: SIM118
    shown = {name.removesuffix("_minor_units").replace("_", " ") for name in names - {"thing", "currency"}}
    assert {name for name in shown if word(name, "zh") == name} == set()
    for question in LINKS.values():
        assert list(books.scalars(text(question), empty)) == []


def test_what_is_not_there_or_several_is_said(books: Connection) -> None:
    with pytest.raises(LookupError, match="nothing is called 'NOPE'.*escrow ledger journal"):
        find(books, "NOPE")
    with pytest.raises(LookupError, match="nothing is called"):
        find(books, "abc")
    (shared,) = column(books, "SELECT min(order_id) FROM orders")
    assert find(books, f"order/{shared}") == find(books, shared)
    with pytest.raises(LookupError):
        find(books, f"match/{shared}")


def test_what_names_payers_is_masked_until_somebody_says_who_looks(told: Told, books: Connection) -> None:
    (line,) = column(books, "SELECT min(line_id) FROM statement_line WHERE counterparty_name IS NOT NULL")
    named = books.scalar(text("SELECT counterparty_name FROM statement_line WHERE line_id = :line"), {"line": line})
    masked = told.escrow("explain", line, "--json")
    (recorded,) = json.loads(masked.stdout)["recorded"]
    assert recorded["counterparty_name"] == MASKED
    assert named not in masked.stdout

    refused = told.escrow("explain", line, "--personal")
    assert refused.returncode == 1
    assert "may not do ledger.read_personal; a user with role approver or auditor or supervisor can" in refused.stderr
    looks = text("SELECT actor, object_id FROM audit_event WHERE act = 'cli:personal_data:read' ORDER BY seq")
    books.rollback()
    assert books.execute(looks).all() == []

    shown = told.escrow("explain", line[:10], "--personal", user="zhang.prepare")
    assert named in shown.stdout, shown.stderr
    books.rollback()
    assert [tuple(row) for row in books.execute(looks)] == [("zhang.prepare", line)]


def test_a_city_is_not_told_of_another_city_and_chinese_is_spoken(told: Told, books: Connection) -> None:
    of_place = dict(
        tuple(row)
        for row in books.execute(
            text("SELECT i.jurisdiction_code, min(o.order_id) FROM orders o JOIN institution i USING (institution_id) GROUP BY 1")
        )
    )
    assert len(of_place) == 2
    for place, order in of_place.items():
        asked = told.escrow("explain", order, "--lang", "zh", user="wang.hangzhou")
        assert asked.returncode == (0 if place == "330100" else 1), asked.stderr
        assert ("文件 SHA-256" in asked.stdout) == (place == "330100")
        assert ("nothing is called" in asked.stderr) == (place != "330100")
