"""A pack of an account whose bank restated a day twice: which version is in force is proved, and no byte of what says so can change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from escrow.institution import CustodyAccount
from ledger.checkpoints import take_checkpoint
from ledger.evidence_keys import record_key
from reports.evidence.pack import write_pack
from reports.evidence.verify import Broken, Key, Pack, Replay, verify_file
from storage.seal import seal_evidence
from tests.ledger.test_checkpoints import KEY, SECRET
from tests.reconciliation.conftest import MONDAY, THURSDAY, TUESDAY, WEDNESDAY, Town, town
from tests.reconciliation.test_restating import IN, proposed
from tests.reports.evidence.test_facts import Change, every, first_broken, without_first

__all__ = ["town"]  # a fixture

TRUSTED = [Key(str(KEY.public_key))]
#: What says which lines count, besides the statements' own lines.
OF_VERSIONS = ("statement_version", "statement_line_kept", "match_undone")
FALSE_FACTS: dict[str, tuple[dict[str, Change], str]] = {
    "approved by who prepared it": ({"statement_version": every(approved_by="zhang.prepare")}, "approved what they prepared"),
    "the version between is left out": ({"statement_version": without_first}, "it does not replace the version before it"),
    "both replace the first": (
        {"statement_version": lambda rows: [{**row, "replaces_statement_id": row["first_statement_id"]} for row in rows]},
        "it does not replace the version before it",
    ),
    "a number passed over": (
        {"statement_version": lambda rows: [{**row, "version": str(int(row["version"]) + 1)} for row in rows]},
        "version 2 should stand here",
    ),
    "in the other order": (
        {"statement_version": lambda rows: [{**row, "version": {"2": "3", "3": "2"}[row["version"]]} for row in rows]},
        "it does not replace the version before it",
    ),
    "of a statement that is not there": ({"statement_version": every(first_statement_id="999")}, "it does not replace the version before it"),
    "the newest is not a statement": (
        {"statement_version": lambda rows: [*rows[:-1], {**rows[-1], "statement_id": "999"}]},
        "is not a statement of this account",
    ),
    "no version was put in force": ({"statement_version": lambda _: []}, "it opens with 70000, the one before closed with 120000"),
    "a kept line left out": ({"statement_line_kept": without_first}, "its lines sum to"),
    "a kept line nobody brought": ({"statement_line_kept": every(line_id="999")}, "no statement before it has this line"),
    "a match that was undone stands": ({"match_undone": lambda _: []}, "matched and not in force"),
    "a match nobody made is undone": (
        {"match_undone": lambda rows: [*rows, {**rows[0], "match_id": "00000000-0000-0000-0000-000000000000"}]},
        "was never made",
    ),
    "a match is undone twice": ({"match_undone": lambda rows: [*rows, rows[0]]}, "it is undone twice"),
    "another day's": ({"statement_version": every(business_date="2025-03-06")}, "is of another account or day"),
}  # fmt: skip


@pytest.fixture
def packed(town: Town, books: Engine, tmp_path: Path) -> Path:
    """Tuesday's statement is restated twice (an amount changes, a line goes), Wednesday's follows; two packs' worth of evidence."""
    town.order("ORD20250001", 50_000, MONDAY)
    town.order("ORD20250002", 70_000, MONDAY)
    town.day(TUESDAY, (IN, 50_000, "ORD20250001"), (IN, 70_000, "ORD20250002"))
    town.release(
        proposed(town, town.restate(TUESDAY, (IN, 49_000, "ORD20250001"), (IN, 70_000, "ORD20250002"), opening=0, sequence=1))
    )
    town.release(proposed(town, town.restate(TUESDAY, (IN, 70_000, "ORD20250002"), opening=0, sequence=1), "again.sta"))
    town.balance = 70_000
    town.reconcile(TUESDAY)
    town.day(WEDNESDAY, (IN, 50_000, "ORD20250001"))
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


def test_the_version_in_force_counts_and_no_other_can_be_told_to(packed: Path, opened: Pack) -> None:
    summary = verify_file(str(packed), TRUSTED)

    # The second restating gives its line another reference, so four lines of Tuesday and one of Wednesday are kept.
    assert (summary["statements"], summary["bank_lines"], summary["matches"]) == (4, 5, 4)
    otherwise = {
        what: told for what, (changes, said) in FALSE_FACTS.items() if said not in (told := first_broken(opened, changes))
    }
    assert otherwise == {}


class OneByte(Pack):
    """A pack one byte of one member of which is another, everything sealed as if it had been so."""

    def __init__(self, whole: Pack, member: str, at: int) -> None:
        vars(self).update(vars(whole))
        content = bytearray(whole.whole(member))
        content[at] ^= 1
        self.member, self.content = member, bytes(content)

    def lines(self, name: str) -> Any:
        if name != self.member:
            return super().lines(name)
        return io.TextIOWrapper(io.BytesIO(self.content), encoding="utf-8", newline="")


def test_no_byte_of_what_says_which_version_counts_can_change(opened: Pack) -> None:
    """Also for who can seal the pack and write its manifest anew: every row is bound by what the checkpoint signs."""
    known = Replay(opened)
    known.checkpoints()
    known.entries()
    unnoticed = []
    for table in (*OF_VERSIONS, "statement", "statement_counted"):
        member = f"tables/{table}.csv"
        size = len(opened.whole(member))
        assert size > 150, "a table without a row says nothing"
        for at in range(0, size, 1 if table in OF_VERSIONS else 5):
            replay = Replay(OneByte(opened, member, at))
            replay.points, replay.states, replay.closing = known.points, known.states, known.closing
            try:
                replay.evidence_rows()
            except (Broken, KeyError, ValueError, TypeError, IndexError):  # as verify_file takes them
                continue
            unnoticed.append((table, at))

    assert unnoticed == []
