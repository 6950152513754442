"""The daily certificate says every figure a supervisor signs, needs nothing outside itself, and runs nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import Engine

from bank_adapters.model import Direction
from config.matching import load_matching_rules
from reconciliation.resolving import Actor
from reconciliation.sign_off import approve_sign_off, prepare_sign_off
from reports.certificate import Certificate, certificate, render
from tests.reconciliation.conftest import MONDAY, TUESDAY, WEDNESDAY, Town
from tests.reconciliation.conftest import town as town  # noqa: PLC0414 - the fixture of reconciliation's stories

IN, OUT = Direction.IN, Direction.OUT
VOID = {"meta", "br", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Text, tags and whether every tag is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def made(town: Town, day: object = TUESDAY) -> Certificate:
    with town.engine.connect() as conn:
        return certificate(
            conn,
            town.ref,
            day,
            rules=load_matching_rules(),
            calendar=town.calendar,
            now=town.now(),  # type: ignore[arg-type]
        )


@pytest.fixture
def busy(town: Town, books: Engine) -> Town:
    assert books is town.engine
    town.order("ORD20250001", 120000, MONDAY)
    town.order("ORD20250002", 130000, TUESDAY)
    town.day(MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"), (IN, 777, "", "<script>alert(1)</script>"))
    return town


def test_an_open_day_is_clearly_not_signed_off_and_says_why(busy: Town) -> None:
    page = Page(render(made(busy)))
    assert "Not signed off 未签核" in page.text
    assert "UNIDENTIFIED_RECEIPT CNY 7.77 of 2025-03-04 is open" in page.text
    assert "Signed off 已签核" not in page.text
    assert page.open == []


def test_every_figure_stands_on_the_page(busy: Town) -> None:
    one = made(busy)
    text = Page(render(one)).text
    assert (one.opening, one.total_in, one.total_out, one.closing) == (0, 120777, 0, 120777)
    assert (one.ledger_cash, one.open_lines, one.unexplained) == (120000, 777, 0)
    assert one.coverage.held == 250000
    assert one.coverage.requirement == 250777
    assert one.coverage.proven_in_transit == 130000
    assert one.coverage.strict_surplus == -130000
    assert one.coverage.surplus == 0
    assert one.run is not None
    assert one.statement is not None
    for shown in ("1,207.77", "1,200.00", "2,500.00", "2,507.77", "1,300.00", "-1,300.00", "ORD20250002"):
        assert shown in text
    for evidence in (one.run.output_hash, one.run.rules_version, one.statement.sha256):
        assert evidence in text
    assert [item.reference for item in one.receipts] == ["ORD20250002"]


def test_nothing_comes_from_outside_and_nothing_from_outside_runs(busy: Town) -> None:
    source = render(made(busy))
    page = Page(source)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if {"src", "href", "onclick", "onload"} & attrs.keys()]
    assert not re.search(r"(?:https?:)?//|@import|url\(", source)


def test_what_institutions_and_banks_write_is_escaped(busy: Town) -> None:
    busy.order("ORD<b>20250003</b>", 100, TUESDAY)
    source = render(made(busy))
    assert "ORD&lt;b&gt;20250003&lt;/b&gt;" in source
    assert "<b>20250003" not in source


def test_a_signed_off_day_names_both_persons(town: Town) -> None:
    town.order("ORD20250001", 120000, MONDAY)
    town.day(TUESDAY, (IN, 120000, "ORD20250001"))
    with town.engine.begin() as conn:
        by = Actor("zhang.prepare", "supervisor")
        prepare_sign_off(conn, town.ref, TUESDAY, by=by, calendar=town.calendar, now=town.now())
    assert "Prepared, waits for a second person" in render(made(town))
    with town.engine.begin() as conn:
        by = Actor("li.approve", "approver")
        approve_sign_off(conn, town.ref, TUESDAY, by=by, calendar=town.calendar, now=town.now())
    text = Page(render(made(town))).text
    assert "Signed off 已签核" in text
    assert "Prepared by 编制人 zhang.prepare" in text
    assert "Approved by 复核人 li.approve" in text


def test_a_day_without_statement_carries_balances_forward_and_says_so(busy: Town) -> None:
    one = made(busy, WEDNESDAY)
    assert (one.opening, one.closing, one.total_in) == (120777, 120777, 0)
    text = Page(render(one)).text
    assert "No statement of this day counts" in text
    assert "the statement for 2025-03-05 has not been received" in text


def test_the_same_books_and_moment_give_the_same_page(busy: Town) -> None:
    one = made(busy)
    assert render(one) == render(one)
