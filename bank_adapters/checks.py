"""What is checked at the end of every statement, whatever its format. The list CHECKS reads as a table of contents.

Each check takes the draft and the collector and adds findings; none changes a figure. The balance identity is the judge of
every question of sign: figures are never mended to satisfy it.
"""

from __future__ import annotations

from bank_adapters.draft import ControlTotals, Declared, StatementDraft, signed
from bank_adapters.findings import Findings, amount_text
from bank_adapters.model import Direction, LineStatus, StatementLine


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
    for each in draft.lines:
        if each.amount.currency != currency:
            code = "currency_differs" if each.status is LineStatus.BOOKED else "pending_currency_differs"
            findings.add(code, line=each.line, field="currency", found=each.amount.currency, expected=currency)


def check_balance_identity(draft: StatementDraft, findings: Findings) -> None:
    """Opening balance + booked lines in - booked lines out = closing balance."""
    opening, closing = draft.opening_balance, draft.closing_balance
    if opening is None or closing is None or opening.currency != closing.currency:
        return
    if draft.opening_finer or draft.closing_finer:
        return  # refused already: no sum of whole minor units can be held against them
    currency = opening.currency
    ins = outs = 0
    for line in draft.lines:
        if line.status is not LineStatus.BOOKED:
            continue
        if line.finer:
            return
        if line.amount.currency != currency:
            return  # check_currencies has refused it; a sum over two currencies means nothing
        if line.direction is Direction.IN:
            ins += line.amount.minor_units
        elif line.direction is Direction.OUT:
            outs += line.amount.minor_units
    computed = opening.minor_units + ins - outs
    if computed != closing.minor_units:
        findings.add(
            "balance_identity", line=draft.closing_line or draft.line, field="closing_balance",
            opening=opening.plain, ins=amount_text(ins, currency), outs=amount_text(outs, currency),
            computed=amount_text(computed, currency), closing=closing.plain,
            difference=amount_text(closing.minor_units - computed, currency),
        )  # fmt: skip


def check_control_totals(draft: StatementDraft, findings: Findings) -> None:
    """Declared counts and sums equal those read."""
    totals = draft.totals
    declared_figures = [(name, declared) for name, declared in _declared(totals) if declared is not None]
    if not declared_figures:
        return
    figures = _figures(draft.lines, totals)
    booked_lines = [line for line in draft.lines if line.status is LineStatus.BOOKED]
    booked = figures if len(booked_lines) == len(draft.lines) else _figures(booked_lines, totals)
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
}


def _declared(totals: ControlTotals) -> tuple[tuple[str, Declared | None], ...]:
    return (
        ("line_count", totals.line_count),
        ("in_count", totals.in_count),
        ("out_count", totals.out_count),
        ("in_total", totals.in_total),
        ("out_total", totals.out_total),
        ("net_total", totals.net_total),
    )


def _figures(lines: list[StatementLine], totals: ControlTotals) -> dict[str, int]:
    in_count = in_total = out_count = out_total = 0
    by_booked_side = totals.by_booked_side
    for line in lines:
        if line.direction is Direction.NONE:
            continue
        units = line.amount.minor_units
        is_in = line.direction is Direction.IN
        if by_booked_side and line.reversal:
            is_in, units = not is_in, -units
        if is_in:
            in_count += 1
            in_total += units
        else:
            out_count += 1
            out_total += units
    return {
        "line_count": len(lines), "in_count": in_count, "out_count": out_count,
        "in_total": in_total, "out_total": out_total, "net_total": in_total - out_total,
    }  # fmt: skip


def check_running_balances(draft: StatementDraft, findings: Findings) -> None:
    """Every running balance follows from the one before it; the ends meet the statement's balances."""
    lines = [line for line in draft.lines if line.status is LineStatus.BOOKED]
    if draft.newest_first:
        lines.reverse()
    before = draft.opening_balance.minor_units if draft.opening_balance else None
    for line in lines:
        if line.running_balance is None:
            before = None  # the chain cannot be followed over a gap; the balance identity still holds the statement
            continue
        found = line.running_balance.minor_units
        if before is not None:
            expected = before + signed(line)
            if found != expected:
                findings.add(
                    "running_balance", line=line.line, field="running_balance",
                    found=line.running_balance.plain, expected=amount_text(expected, draft.currency),
                )  # fmt: skip
        before = found
    last = lines[-1].running_balance if lines else None
    if last is not None and draft.closing_balance is not None and last.minor_units != draft.closing_balance.minor_units:
        findings.add(
            "running_balance_end", line=lines[-1].line, field="closing_balance",
            found=last.plain, expected=draft.closing_balance.plain,
        )  # fmt: skip


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
