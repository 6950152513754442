"""A pack of an account whose bank sent overlapping exports: what was absorbed is proved, and no byte of what says so can change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Engine

from escrow.institution import CustodyAccount
from ledger.checkpoints import take_checkpoint
from ledger.evidence_keys import record_key
from reports.evidence.pack import write_pack
from reports.evidence.verify import Broken, Pack, Replay, verify_file
from storage.seal import seal_evidence
from tests.ledger.test_checkpoints import KEY, SECRET
from tests.reconciliation.conftest import MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town, town
from tests.reconciliation.test_overlap import WEEK, Bank, deliver
from tests.reports.evidence.test_facts import Change, every, first_broken, without_first
from tests.reports.evidence.test_restated_pack import TRUSTED, OneByte

__all__ = ["town"]  # a fixture

OF_OVERLAPS = ("statement_overlap", "statement_line_absorbed")
FALSE_FACTS: dict[str, tuple[dict[str, Change], str]] = {
    "another declared opening": (
        {"statement_overlap": every(declared_opening_minor_units="77")}, "do not lead to where its new lines begin",
    ),
    "fewer lines repeated": ({"statement_overlap": every(absorbed_count="1")}, "its repeated lines are 2"),
    "a repeated line left out": ({"statement_line_absorbed": without_first}, "its repeated lines are 1"),
    "a repeated line nobody reported": (
        {"statement_line_absorbed": every(line_id="999")}, "no other statement has reported this line",
    ),
    "lines repeated by no export": ({"statement_overlap": lambda _: []}, "no export says that it repeats these lines"),
}  # fmt: skip


@pytest.fixture
def packed(town: Town, books: Engine, tmp_path: Path) -> Path:
    """Monday, then Monday and Tuesday, then Tuesday and Wednesday."""
    bank = Bank(WEEK)
    for first, last in ((MONDAY, MONDAY), (MONDAY, TUESDAY), (TUESDAY, WEDNESDAY)):
        deliver(town, bank.days(first, last))
    town.reconcile(WEDNESDAY)
    account = CustodyAccount(
        1, "INST1", "Sunrise", "330100", 17, town.ref.bank_code, town.ref.account_number, "Sunrise Custody", "CNY", date(2025, 3, 1),
        "Sunrise", "1", "Bank",
    )  # fmt: skip
    with books.begin() as conn:
        record_key(conn, KEY.public_key, party="operator", valid_from=date(2025, 1, 1), actor="test")
        seal_evidence(conn, town.now())
        taken = take_checkpoint(conn, THURSDAY, key=KEY, secret=SECRET, rules_version="rules-1", now=town.now(), actor="test")
        assert taken is not None
        write_pack(conn, account, MONDAY, THURSDAY, tmp_path / "pack.zip", key=KEY, secret=SECRET, personal=False)
    return tmp_path / "pack.zip"


@pytest.fixture
def opened(packed: Path) -> Iterator[Pack]:
    pack = Pack(str(packed), TRUSTED)
    yield pack
    pack.close()


def test_what_was_absorbed_is_proved_and_nothing_else_can_be_told(packed: Path, opened: Pack) -> None:
    summary = verify_file(str(packed), TRUSTED)

    assert (summary["statements"], summary["bank_lines"]) == (3, 6)
    otherwise = {
        what: told for what, (changes, said) in FALSE_FACTS.items() if said not in (told := first_broken(opened, changes))
    }
    assert otherwise == {}


def test_no_byte_of_what_says_which_lines_were_absorbed_can_change(opened: Pack) -> None:
    known = Replay(opened)
    known.checkpoints()
    known.entries()
    unnoticed = []
    for table in OF_OVERLAPS:
        member = f"tables/{table}.csv"
        for at in range(len(opened.whole(member))):
            replay = Replay(OneByte(opened, member, at))
            replay.points, replay.states, replay.closing = known.points, known.states, known.closing
            try:
                replay.evidence_rows()
            except (Broken, KeyError, ValueError, TypeError, IndexError):  # as verify_file takes them
                continue
            unnoticed.append((table, at))

    assert unnoticed == []
