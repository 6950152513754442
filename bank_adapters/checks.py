"""What is checked at the end of every statement, whatever its format. The list CHECKS reads as a table of contents.

Each check takes the draft and the collector and adds findings; none changes a figure. The balance identity is the judge of
every question of sign: figures are never mended to satisfy it.
"""

from __future__ import annotations

from itertools import accumulate, islice
from operator import eq

from bank_adapters.draft import ControlTotals, Declared, StatementDraft, signed_units
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus
from bank_adapters.packing import PackedColumns, rows_of

_BOOKED, _IN, _OUT = LineStatus.BOOKED.value, Direction.IN.value, Direction.OUT.value


def check_dates(draft: StatementDraft, findings: Findings) -> None:
    """The closing date is not before the opening date."""
    if draft.opening_date and draft.closing_date and draft.closing_date < draft.opening_date:
        findings.add(
            "date_order", line=draft.closing_line, field="closing_date",
            opening=draft.opening_date, closing=draft.closing_date,
        )  # fmt: skip


def check_currencies(draft: StatementDraft, findings: Findings) -> None:
    """Booked lines and both balances are in the statement's currency."""
    currency = draft.currency
    if currency is None:
        return
    for amount, line in ((draft.opening_balance, draft.opening_line), (draft.closing_balance, draft.closing_line)):
        if amount is not None and amount.currency != currency:
            findings.add("currency_differs", line=line, field="currency", found=amount.currency, expected=currency)
    if draft.tally.currencies <= {currency}:
        return
    for each in draft.lines:
        if each.amount.currency != currency:
            code = "currency_differs" if each.status is LineStatus.BOOKED else "pending_currency_differs"
            findings.add(code, line=each.line, field="currency", found=each.amount.currency, expected=currency)


def check_balance_identity(draft: StatementDraft, findings: Findings) -> None:
    """Opening balance + booked lines in - booked lines out = closing balance."""
    opening, closing = draft.opening_balance, draft.closing_balance
    if opening is None or closing is None or opening.currency != closing.currency:
        return
    if draft.opening_finer or draft.closing_finer or draft.tally.finer:
        return  # refused already: no sum of whole minor units can be held against them
    currency, booked = opening.currency, draft.tally.booked
    if not draft.tally.booked_currencies <= {currency}:
        return  # check_currencies has refused it; a sum over two currencies means nothing
    computed = opening.minor_units + booked.in_total - booked.out_total
    if computed != closing.minor_units:
        findings.add(
            "balance_identity", line=draft.closing_line or draft.line, field="closing_balance",
            opening=opening.plain, ins=amount_text(booked.in_total, currency), outs=amount_text(booked.out_total, currency),
            computed=amount_text(computed, currency), closing=closing.plain,
            difference=amount_text(closing.minor_units - computed, currency),
        )  # fmt: skip


def check_control_totals(draft: StatementDraft, findings: Findings) -> None:
    """Declared counts and sums equal those read."""
    totals = draft.totals
    declared_figures = [(name, declared) for name, declared in _declared(totals) if declared is not None]
    if not declared_figures:
        return
    tally = draft.tally
    figures = (tally.booked.plus(tally.other)).by_side(totals.by_booked_side)
    booked = tally.booked.by_side(totals.by_booked_side)
    if all(declared.value == booked[name] for name, declared in declared_figures):
        return  # banks count pending lines or leave them out; either way, but one way
    for name, declared in declared_figures:
        if declared.value == figures[name]:
            continue
        english, chinese = _WORDS[name]
        if totals.floor_minor_units and declared.value > figures[name]:
            findings.add(
                "control_below_floor", line=declared.line, field=name, what=english, what_zh=chinese, declared=declared.value,
                found=figures[name], floor=amount_text(totals.floor_minor_units, draft.currency),
            )  # fmt: skip
        elif name.endswith("_count"):
            findings.add(
                "control_count", line=declared.line, field=name, what=english, what_zh=chinese,
                declared=declared.value, found=figures[name],
            )  # fmt: skip
        else:
            findings.add(
                "control_total", line=declared.line, field=name, what=english, what_zh=chinese,
                declared=amount_text(declared.value, draft.currency), found=amount_text(figures[name], draft.currency),
            )  # fmt: skip


_WORDS = {
    "line_count": ("number of lines", "总笔数"),
    "in_count": ("number of lines in", "收入笔数"),
    "out_count": ("number of lines out", "支出笔数"),
    "in_total": ("sum of lines in", "收入合计"),
    "out_total": ("sum of lines out", "支出合计"),
    "net_total": ("net sum of lines", "净额"),
    "gross_total": ("sum of all lines", "收支总额"),
}


def _declared(totals: ControlTotals) -> tuple[tuple[str, Declared | None], ...]:
    return (
        ("line_count", totals.line_count),
        ("in_count", totals.in_count),
        ("out_count", totals.out_count),
        ("in_total", totals.in_total),
        ("out_total", totals.out_total),
        ("net_total", totals.net_total),
        ("gross_total", totals.gross_total),
    )


def check_running_balances(draft: StatementDraft, findings: Findings) -> None:
    """Every running balance follows from the one before it; the ends meet the statement's balances."""
    if not draft.tally.running_balances:
        return
    before = draft.opening_balance.minor_units if draft.opening_balance else None
    chain = draft.chain
    if chain is not None and before == chain.before:
        _check_end(draft, findings, (chain.line, chain.balance), chain.currency)
    else:
        _follow(draft, findings, before)


def _follow(draft: StatementDraft, findings: Findings, before: int | None) -> None:
    """Walk over all lines from the oldest."""
    last: tuple[int, int | None] | None = None  # line and balance of the last booked line
    currency = ""
    for count, figures in draft.lines.figures(newest_first=draft.newest_first):
        _, _, _, numbers, balances, currencies = figures
        if before is not None and _chained(before, count, figures):
            before, currency, last = balances[-1], currencies[-1], (numbers[-1], balances[-1])
            continue
        for way, moved, booked, number, found, of in rows_of(count, figures):
            if booked != _BOOKED:
                continue
            last = number, found
            if found is None:
                before = None  # the chain cannot be followed over a gap; the balance identity still holds the statement
                continue
            currency = of
            if before is not None:
                expected = before + signed_units(way, moved)
                if found != expected:
                    findings.add(
                        "running_balance", line=number, field="running_balance",
                        found=amount_text(found, of), expected=amount_text(expected, draft.currency),
                    )  # fmt: skip
            before = found
    _check_end(draft, findings, last, currency)


def _check_end(draft: StatementDraft, findings: Findings, last: tuple[int, int | None] | None, currency: str) -> None:
    if last is None or last[1] is None or draft.closing_balance is None:
        return
    if last[1] != draft.closing_balance.minor_units:
        findings.add(
            "running_balance_end", line=last[0], field="closing_balance",
            found=amount_text(last[1], currency), expected=draft.closing_balance.plain,
        )  # fmt: skip


def _chained(before: int, count: int, figures: PackedColumns) -> bool:
    """Whether all these lines are booked and every running balance follows from the one before."""
    direction, units, status, _, balances, _ = figures
    if status.count(_BOOKED) != len(status) or len(balances) != count or None in balances:
        return False
    if len(direction) != count or len(units) != count:
        return False
    moved = [each if way == _IN else -each if way == _OUT else 0 for way, each in zip(direction, units, strict=True)]
    return all(map(eq, balances, islice(accumulate(moved, initial=before), 1, None)))


CHECKS = (
    check_dates,
    check_currencies,
    check_balance_identity,
    check_control_totals,
    check_running_balances,
)


def run_checks(draft: StatementDraft, findings: Findings) -> None:
    """Run every check; ``findings.statement`` is the statement's index."""
    for check in CHECKS:
        check(draft, findings)
