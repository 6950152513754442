"""Pages of one camt statement: joined, they must be balanced, and they stand or fall together."""

from __future__ import annotations

from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import StatementKind


def check_pages(drafts: list[StatementDraft], findings: Findings) -> None:
    """The balance identity over pages that leave balances out, the last page, and pages refused with another."""
    groups: dict[tuple[str | None, str | None], list[int]] = {}
    for index, draft in enumerate(drafts):
        if draft.page is not None and draft.kind is StatementKind.STATEMENT:
            groups.setdefault((draft.account, draft.statement_id), []).append(index)
    for indexes in groups.values():
        pages = [drafts[index] for index in indexes]
        if len(pages) > 1 or pages[0].closing_balance is None:
            _check_joined(pages, indexes[-1], findings)
        if any(findings.errors_in(index) for index in indexes):
            for index in indexes:
                if not findings.errors_in(index):
                    findings.statement = index
                    findings.add("page_refused", line=drafts[index].line)
    findings.statement = None


def _check_joined(pages: list[StatementDraft], last_index: int, findings: Findings) -> None:
    last = pages[-1]
    findings.statement = last_index
    if not last.last_page and last.closing_balance is None:
        sequence = last.sequence or last.statement_id or "?"
        findings.add("page_missing", line=last.line, field="LastPgInd", page=(last.page or 0) + 1, sequence=sequence)
        return
    if all(page.opening_balance is not None and page.closing_balance is not None for page in pages):
        return  # each page was held against its own balances, and the chain of pages too
    opening, closing = pages[0].opening_balance, last.closing_balance
    if opening is None or closing is None or opening.currency != closing.currency:
        return
    currency = opening.currency
    ins = sum(page.tally.booked.in_total for page in pages)
    outs = sum(page.tally.booked.out_total for page in pages)
    computed = opening.minor_units + ins - outs
    if computed != closing.minor_units:
        findings.add(
            "balance_identity", line=last.closing_line or last.line, field="closing_balance", opening=opening.plain,
            ins=amount_text(ins, currency), outs=amount_text(outs, currency), computed=amount_text(computed, currency),
            closing=closing.plain, difference=amount_text(closing.minor_units - computed, currency),
        )  # fmt: skip
