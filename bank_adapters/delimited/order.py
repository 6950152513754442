"""In which order a table's rows stand, and the balances its running balances tell."""

from __future__ import annotations

from bank_adapters.draft import StatementDraft, signed
from bank_adapters.findings import Findings
from bank_adapters.model import LineStatus, StatementLine
from money import Money


def decide_order(draft: StatementDraft, findings: Findings, *, newest_first: bool, whole: bool) -> None:
    """Oldest first or newest first: whichever the running balances chain in; then what the ends of the chain tell.

    ``newest_first`` is what the profile says where neither balances nor dates tell; ``whole`` that no row was refused.
    """
    lines = [line for line in draft.lines if line.status is LineStatus.BOOKED]
    chained = bool(lines) and whole and all(line.running_balance is not None for line in lines)
    forwards = backwards = 0
    if chained:
        balances = [line.running_balance.minor_units for line in lines if line.running_balance is not None]
        moves = [signed(line) for line in lines]
        forwards = sum(balances[n] != balances[n - 1] + moves[n] for n in range(1, len(lines)))
        backwards = sum(balances[n - 1] != balances[n] + moves[n - 1] for n in range(1, len(lines)))
    by_dates = _newest_first_by_dates(draft.lines)
    if chained and forwards != backwards:
        draft.newest_first = backwards < forwards
    else:
        draft.newest_first = newest_first if by_dates is None else by_dates
        if chained and forwards and by_dates is None:
            findings.add("order_undecided", line=lines[0].line, field="running_balance")
    if chained and not min(forwards, backwards):
        _balances_from(draft, lines[::-1] if draft.newest_first else lines, findings)


def _balances_from(draft: StatementDraft, ordered: list[StatementLine], findings: Findings) -> None:
    """Opening and closing balance out of an intact chain, where the file states none."""
    derived = False
    if (first := ordered[0]).running_balance is not None and draft.opening_balance is None:
        draft.opening_balance = Money(first.running_balance.minor_units - signed(first), first.amount.currency)
        draft.opening_date = draft.opening_date or first.booking_date
        derived = True
    if (last := ordered[-1]).running_balance is not None and draft.closing_balance is None:
        draft.closing_balance, draft.closing_line = last.running_balance, last.line
        draft.closing_date = draft.closing_date or last.booking_date
        derived = True
    if derived:
        findings.add("balance_derived", line=draft.line, field="running_balance")


def _newest_first_by_dates(lines: list[StatementLine]) -> bool | None:
    """What the first and last moments say of the order, None when they say nothing."""
    moments = [(line.booking_date, line.booked_at) for line in lines if line.booking_date]
    if not moments:
        return None
    (first, first_at), (last, last_at) = moments[0], moments[-1]
    if first != last and first is not None and last is not None:
        return first > last
    if first_at is not None and last_at is not None and first_at != last_at:
        return first_at > last_at
    return None
