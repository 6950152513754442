"""A file held back lies in the bank's held/ until people have decided, and then follows their decision with a new receipt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bank_adapters.model import Statement, StatementKind
from bank_adapters.writing.mt940 import write_mt940
from entrypoints.bootstrap import job_settings
from entrypoints.settings import read_settings
from jobs.collect import collect_statements
from jobs.directory import account_directory
from jobs.settings import JobSettings
from money import Money
from reconciliation.model import Gate
from reconciliation.quarantine import Desk, approve, prepare, reject
from reconciliation.quarantine_store import held
from reconciliation.resolving import Actor
from tests.escrow.conftest import District

DAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 6, 12, tzinfo=UTC)
ACCOUNT = "6222000000000001"
FIRST, SECOND = Actor("zhang.prepare", "supervisor"), Actor("li.approve", "approver")


def a_statement(day: date = DAY, number: int = 1, opening: int = 0, closing: int = 0) -> Statement:
    balances = Money(opening), day, Money(closing), day
    return Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", f"S{number}", str(number), *balances, (), True)


@dataclass
class Place:
    """A bank's drop folder, and two people who decide."""

    books: Engine
    settings: JobSettings

    @property
    def folder(self) -> Path:
        return self.settings.inbox / "SWB"

    def drop(self, name: str, *statements: Statement, wrong_digest: bool = True) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if wrong_digest:
            (self.folder / f"{name}.sha256").write_text("0" * 64)
        (self.folder / name).write_bytes(write_mt940(list(statements)))

    def collect(self) -> dict[str, str]:
        with self.books.connect() as connection:
            files: Sequence[Mapping[str, str]] = collect_statements(connection, DAY, self.settings, NOW)["files"]
        return {one["file"]: one["outcome"] for one in files}

    def lies(self, folder: str) -> list[str]:
        where = self.folder / folder
        return sorted(path.name for path in where.iterdir()) if where.is_dir() else []

    def receipt(self, folder: str, name: str = "a.sta") -> dict[str, object]:
        told: dict[str, object] = json.loads((self.folder / folder / f"{name}.receipt.json").read_text())
        return told

    def numbers(self) -> list[int]:
        with self.books.connect() as connection:
            return [one.quarantine_id for one in held(connection)]

    def decide(self, number: int, *, release: bool) -> None:
        with self.books.begin() as connection:
            desks = [Desk(account_directory(connection), self.settings.profiles, who, NOW) for who in (FIRST, SECOND)]
            if release:
                prepare(connection, [number], tuple(Gate), desks[0], reason="the bank confirmed by letter")
                approve(connection, number, tuple(Gate), desks[1])
            else:
                reject(connection, number, desks[1], reason="the bank knows nothing of it")


@pytest.fixture
def place(books: Engine, tmp_path: Path) -> Place:
    with books.begin() as connection:
        District(connection).found(1, bank_code="SWB", account_number=ACCOUNT, opened_on="2026-03-02")
    return Place(books, replace(job_settings(read_settings(), "test"), inbox=tmp_path / "inbox"))


ALL = ["a.sta", "a.sta.receipt.json", "a.sta.sha256"]


def test_what_people_may_release_lies_in_held_with_a_receipt_that_says_what_happens_next(place: Place) -> None:
    place.drop("a.sta", a_statement())
    assert place.collect() == {"SWB/a.sta": "held"}
    assert (place.lies("held"), place.lies("refused")) == (ALL, [])
    receipt = place.receipt("held")
    assert receipt["state"] == "held"
    assert receipt["summary_zh"] == "读到 1 份对账单，拒收 0 份，隔离 1 份"
    assert "moves to accepted/ or refused/" in str(receipt["next_en"])
    assert "移至 accepted/ 或 refused/" in str(receipt["next_zh"])
    assert place.collect() == {}, "nothing is decided yet, and nothing is said again"


def test_let_through_by_two_it_moves_to_accepted_with_a_new_receipt(place: Place) -> None:
    place.drop("a.sta", a_statement())
    place.collect()
    (number,) = place.numbers()
    place.decide(number, release=True)

    assert place.collect() == {"SWB/held/a.sta": "counted"}

    assert (place.lies("held"), place.lies("accepted")) == ([], ALL)
    receipt = place.receipt("accepted")
    (one,) = receipt["statements"]  # type: ignore[misc]
    assert (receipt["state"], one["outcome"], one["closing"]) == ("accepted", "counted", "0.00")
    assert one["reasons_zh"] == [f"曾隔离（编号 {number}），已由两人放行"]
    assert place.collect() == {}


def test_turned_down_it_moves_to_refused_and_let_through_after_all_it_follows(place: Place) -> None:
    place.drop("a.sta", a_statement())
    place.collect()
    (number,) = place.numbers()
    place.decide(number, release=False)
    assert place.collect() == {"SWB/held/a.sta": "refused"}
    assert (place.lies("held"), place.lies("refused")) == ([], ALL)
    assert "li.approve 已退回（the bank knows nothing of it）" in json.dumps(place.receipt("refused"), ensure_ascii=False)

    place.decide(number, release=True)

    assert place.collect() == {"SWB/refused/a.sta": "counted"}
    assert (place.lies("refused"), place.lies("accepted")) == ([], ALL)
    assert place.collect() == {}


def test_another_file_that_counts_takes_the_held_one_along(place: Place) -> None:
    place.drop("a.sta", a_statement())
    place.collect()
    place.drop("b.sta", a_statement(), wrong_digest=False)
    assert place.collect() == {"SWB/b.sta": "counted"}
    assert place.collect() == {"SWB/held/a.sta": "duplicate"}
    assert (place.lies("held"), "a.sta" in place.lies("accepted")) == ([], True)


def test_a_file_with_one_statement_refused_and_one_held_is_held_until_the_one_is_decided(place: Place) -> None:
    other = replace(a_statement(), account="999")
    place.drop("a.sta", a_statement(), other)
    assert place.collect() == {"SWB/a.sta": "held"}
    (number,) = place.numbers()
    place.decide(number, release=True)
    assert place.collect() == {"SWB/held/a.sta": "refused"}
    assert [one["outcome"] for one in place.receipt("refused")["statements"]] == ["counted", "refused"]  # type: ignore[attr-defined]


def test_let_through_when_it_no_longer_follows_it_is_refused_and_says_so(place: Place) -> None:
    place.drop("a.sta", a_statement(date(2026, 3, 3), 2, opening=500, closing=500))
    place.collect()
    (number,) = place.numbers()
    place.drop("b.sta", a_statement(), wrong_digest=False)
    place.collect()
    place.decide(number, release=True)
    assert place.collect() == {"SWB/held/a.sta": "refused"}
    assert "已由两人放行" in json.dumps(place.receipt("refused"), ensure_ascii=False)


def test_a_kill_between_the_new_receipt_and_the_move_changes_nothing_in_the_end(place: Place) -> None:
    place.drop("a.sta", a_statement())
    place.collect()
    (number,) = place.numbers()
    place.decide(number, release=True)
    (place.folder / "accepted").mkdir()
    (place.folder / "accepted" / "a.sta.receipt.json").write_text("half")
    (place.folder / "held" / "gone.sta.receipt.json").write_text("its file has left")

    place.collect()

    assert (place.lies("held"), place.lies("accepted")) == ([], ALL)
    assert place.receipt("accepted")["state"] == "accepted"


def test_a_file_somebody_put_into_held_is_named_and_left_alone(place: Place) -> None:
    (place.folder / "held").mkdir(parents=True)
    (place.folder / "held" / "x.sta").write_bytes(b"who knows")
    with place.books.connect() as connection:
        over = collect_statements(connection, DAY, place.settings, NOW)["passed_over"]
    assert over == ["SWB/held/x.sta: is no file we took in; move it out of held/"]
    assert place.lies("held") == ["x.sta"]
