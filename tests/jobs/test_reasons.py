"""Every reason in a bank's receipt stands in Chinese too."""

from __future__ import annotations

import inspect
import re
from datetime import date

import pytest

from bank_adapters.model import Finding, Severity
from jobs.reasons import reasons_in_chinese
from reconciliation import intake
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.intake import Link, find_account, judge
from reconciliation.model import Receipt, StatementOutcome, StatementReceipt

DAY = date(2026, 3, 2)
LINK = Link(DAY, "7", 100, 250)


def told(*reasons: str, kind: str | None = None, findings: tuple[Finding, ...] = ()) -> list[str]:
    one = StatementReceipt(0, "1", DAY, StatementOutcome.REFUSED, reasons, kind)
    return reasons_in_chinese(Receipt(1, "a.sta", "0" * 64, "mt940", None, (one,), findings), one)


@pytest.mark.parametrize(
    ("last", "one", "figures"),
    [
        (None, LINK, ["1.00", "5.00"]),
        (LINK, Link(DAY, "8", 250, 300), ["2026-03-02"]),
        (LINK, Link(date(2026, 3, 3), "8", 200, 300), ["2.00", "2.50"]),
        (LINK, Link(date(2026, 3, 3), "10", 250, 300), ["10", "7"]),
        (LINK, Link(date(2026, 3, 3), "5", 250, 300), ["5", "7", "2026-03-02"]),
        (Link(DAY, None, 100, 250), Link(date(2026, 3, 5), None, 200, 300), ["2.00", "2.50", "2026-03-02", "2026-03-05"]),
    ],
)
def test_what_the_chain_says_is_told_with_its_figures(last: Link | None, one: Link, figures: list[str]) -> None:
    verdict = judge(last, one, books_cash=500, currency="CNY")
    (chinese,) = told(verdict.reason)
    assert verdict.reason not in chinese
    for figure in figures:
        assert figure in chinese


def test_whose_account_it_is() -> None:
    _, unknown = find_account({}, "NRB", "6222")
    (chinese,) = told(unknown)
    assert chinese.startswith("账户 6222 未登记")


def test_a_finding_keeps_its_own_wording() -> None:
    finding = Finding(Severity.ERROR, "balance_identity", "it is wrong", message_zh="余额不符")
    assert told("it is wrong", findings=(finding,)) == ["余额不符"]


def test_a_sentence_nobody_foresaw_is_told_by_its_kind() -> None:
    kind = DiscrepancyKind.STATEMENT_GAP
    assert told("something new", kind=str(kind)) == [f"{kind.title_zh}：something new"]
    assert told("something new") == ["未计入：something new"]


def test_the_sentences_of_the_intake_about_one_statement_are_all_known() -> None:
    """The texts as they stand in the code, figures put in: none may fall back."""
    source = inspect.getsource(intake.faults_of)
    texts = [re.sub(r"\{[^{}]*\}", "1", text) for text in re.findall(r'\(None, f?"([^"]+)"\)', source)]
    texts += ["opening plus lines is not closing; -1.00 is unexplained; x", "line 3: running balance 1.00, computed 2.00; x"]
    assert len(texts) >= 5
    assert [text for text in texts if "未计入" in told(text)[0]] == []
