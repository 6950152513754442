"""Simulated districts, lived through by the whole engine: strangers' programs accept the books and come to our balances, now and
as of three past dates; every report says the same as every other.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from config.chart import load_chart
from config.profiles import load_profiles
from entrypoints.bootstrap import job_settings
from entrypoints.commands.simulate import terms_from_config
from entrypoints.demonstration.clock import StoryClock
from entrypoints.demonstration.story import DistrictStory
from entrypoints.settings import Settings
from ledger.store import open_items, trial_balance
from money import Money
from reports.books_tables import BooksAsked, export_csv
from reports.general_ledger import general_ledger
from reports.journal import whole_journal, with_sources
from reports.plain_text import export_plain_text
from simulation import DEFAULT_START, simulate, write_district
from storage.embedded import EmbeddedServer
from tests.reports.peers import beancount_balances, hledger, hledger_balances, needs_hledger, ours

#: Drawn once; a red seed can be told again.
SEEDS = random.Random(20250331).sample(range(1, 100_000), 2)


@pytest.fixture(scope="module", params=SEEDS)
def lived(
    request: pytest.FixtureRequest, server: EmbeddedServer, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, list[date]]]:
    """Books of a small damaged district after all its days, and those days."""
    tmp_path, name = tmp_path_factory.mktemp("lived"), f"district_{request.param}"
    administration = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    books = create_engine(server.url(name), connect_args={"options": "-c timezone=UTC"})
    district = simulate(
        seed=request.param, institutions=2, orders=24, days=9, terms=terms_from_config(DEFAULT_START), defects="heavy",
        start=DEFAULT_START,
    )  # fmt: skip
    write_district(district, tmp_path / "district", {profile.id: profile for profile in load_profiles()}, replace=True)
    told = replace(job_settings(Settings(tmp_path, "books"), "system"), inbox=tmp_path / "inbox", outbox=tmp_path / "outbox")
    clock = StoryClock()
    story = DistrictStory(books, tmp_path / "district" / "inputs", told, clock)
    days = list(district.span.days)
    clock.set_day(days[0])
    story.open_institutions()
    for day in days:
        clock.set_day(day)
        story.tell(day)
    yield books, days
    books.dispose()
    with administration.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    administration.dispose()


def dates(days: list[date]) -> list[date | None]:
    """Now, and three past days."""
    return [None, *sorted(random.Random(len(days)).sample(days[:-1], 3))]


def test_beancount_accepts_a_district_and_comes_to_our_balances(lived: tuple[Engine, list[date]], tmp_path: Path) -> None:
    books, days = lived
    with books.connect() as connection:
        for as_of in dates(days):
            exported = export_plain_text(connection, tmp_path / str(as_of), "beancount", as_of=as_of)
            assert beancount_balances(exported.path) == (ours(connection, as_of), exported.transfers)


@needs_hledger
def test_hledger_accepts_a_district_and_comes_to_our_balances(lived: tuple[Engine, list[date]], tmp_path: Path) -> None:
    books, days = lived
    with books.connect() as connection:
        for as_of in dates(days):
            exported = export_plain_text(connection, tmp_path / str(as_of), "hledger", as_of=as_of)
            hledger(exported.path, "check", "--strict")
            assert hledger_balances(exported.path) == ours(connection, as_of)
            assert exported.transfers > 0


def test_every_report_of_a_district_says_the_same(lived: tuple[Engine, list[date]], tmp_path: Path) -> None:
    books, days = lived
    with books.connect() as connection:
        for as_of in dates(days):
            folder = tmp_path / str(as_of)
            written = dict(export_csv(connection, load_chart(), folder, BooksAsked(as_of=as_of)))
            assert written[folder / "journal.csv"] == len(list(whole_journal(connection, to=as_of)))
            closing = {line.account_id: line.closing for line in general_ledger(connection, to=as_of, period="whole")}
            balances = {row.account_id: row.balance for row in trial_balance(connection, as_of=as_of)}
            assert closing == balances
            with (folder / "open_items.csv").open(encoding="utf-8-sig", newline="") as stream:
                in_transit = sum(Money.parse(row["amount"]).minor_units for row in csv.DictReader(stream))
            assert in_transit == sum(item.amount.minor_units for item in open_items(connection, as_of=as_of))


def test_every_transfer_of_a_district_leads_to_the_line_of_a_file(lived: tuple[Engine, list[date]]) -> None:
    books, _ = lived
    with books.connect() as connection:
        lines = list(with_sources(connection, whole_journal(connection)))
    assert {line.source_kind for line, _ in lines} >= {"order", "release", "bank_line"}
    for line, source in lines:
        assert source is not None, f"{line.source_kind}/{line.source_ref}"
        assert len(source.sha256) == 64
        assert (source.line is None) == (line.source_kind == "disbursement")
