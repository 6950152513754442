"""What a delivered statement must satisfy before its lines count. Pure: what is known of the account is an argument.

Source of the checks: DOMAIN.md 2.5 (statement file contract). A statement continues the chain of its account when it opens
with the previous closing balance and carries the next number; the chain never has a gap.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from bank_adapters.model import (
    Direction,
    Finding,
    LineStatus,
    Severity,
    Statement,
    StatementFileReading,
    StatementKind,
    StatementLine,
)
from money import Money
from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.model import AccountDirectory, CustodyAccountRef, StatementFigures
from reconciliation.reasons import Reason, ReasonCode, because

_FIELD, _ROW = "\x1f", "\x1e"

#: Findings of the readers that mean: the figures inside the file do not add up.
_BREAK_CODES = ("balance_identity", "running_balance", "control_")


@dataclass(frozen=True, slots=True)
class Link:
    """A statement's place in the chain of its account; balances in minor units."""

    business_date: date
    sequence: str | None
    opening: int
    closing: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a statement, and the discrepancy kind it is named by, where it has one. ``difference``: minor units."""

    kind: DiscrepancyKind | None
    reason: Reason
    difference: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a statement may count now. ``fault`` says what is wrong when not; ``waits`` whether time may mend it."""

    counts: bool
    waits: bool = False
    fault: Fault | None = None

    @property
    def kind(self) -> DiscrepancyKind | None:
        """The discrepancy kind of what is wrong."""
        return self.fault.kind if self.fault is not None else None


def booked_lines(statement: Statement) -> list[StatementLine]:
    """The lines that count, oldest first: booked, and of an amount that moves something."""
    return [line for line in statement.lines_in_booking_order if line.status is LineStatus.BOOKED and line.amount.minor_units > 0]


def settled(statement: Statement) -> Statement:
    """The statement with its booked lines only, oldest first and in memory: each of the questions of intake walks them again."""
    return replace(statement, lines=tuple(booked_lines(statement)), newest_first=False, closing_date=business_date_of(statement))


def figures_of(statement: Statement, lines: Sequence[StatementLine]) -> StatementFigures:
    """Counts, sums and balances of a statement and its booked lines."""
    currencies = {line.amount.currency for line in lines}
    amounts = {way: [line.amount.minor_units for line in lines if line.direction is way] for way in (Direction.IN, Direction.OUT)}
    sums = {way: sum(units) if len(currencies) <= 1 else None for way, units in amounts.items()}
    balances = [balance.currency for balance in (statement.opening_balance, statement.closing_balance) if balance is not None]
    return StatementFigures(
        currency=next(iter([*sorted(currencies), *balances]), None),
        in_count=len(amounts[Direction.IN]),
        in_minor_units=sums[Direction.IN],
        out_count=len(amounts[Direction.OUT]),
        out_minor_units=sums[Direction.OUT],
        opening=statement.opening_balance,
        closing=statement.closing_balance,
    )


def business_date_of(statement: Statement) -> date | None:
    """The day a statement closes: its closing date, else its latest booking date."""
    if statement.closing_date is not None:
        return statement.closing_date
    return max((line.booking_date for line in statement.lines if line.booking_date is not None), default=None)


def content_digest(reading: StatementFileReading) -> bytes | None:
    """SHA-256 of what a file says of balances and lines, whatever its name, format, encoding or line ends.

    None when no statement could be read, so unreadable files never count as the same.
    """
    if not reading.statements:
        return None
    rows = []
    for statement in reading.statements:
        rows.append(
            _FIELD.join(
                (
                    str(statement.kind),
                    plain_account(statement.account or ""),
                    str(business_date_of(statement)),
                    _amount(statement.opening_balance),
                    _amount(statement.closing_balance),
                )
            )
        )
        rows += [
            _FIELD.join(
                (
                    str(line.booking_date),
                    str(line.direction),
                    _amount(line.amount),
                    str(line.status),
                    normal_text(line.bank_reference or line.description or ""),
                )
            )
            for line in statement.lines_in_booking_order
        ]
    return hashlib.sha256(_ROW.join(rows).encode()).digest()


def _amount(money: Money | None) -> str:
    return f"{money.currency}{money.minor_units}" if money is not None else "-"


def normal_text(text: str) -> str:
    """Text as identities compare it: NFKC, upper case, without spaces."""
    return "".join(unicodedata.normalize("NFKC", text).upper().split())


def plain_account(account: str) -> str:
    """An account number without spaces and hyphens."""
    return account.replace(" ", "").replace("-", "").upper()


def find_account(
    directory: AccountDirectory, sender_bank: str, account: str, *, any_sender: bool = False
) -> CustodyAccountRef | Reason:
    """The custody account a file means, or why the sender may not deliver it.

    SWIFT formats may put the bank's code before the number (``BANK/ACCOUNT``); both forms are looked for. ``any_sender``: whoever
    delivers it, when one bank alone keeps an account of that number.
    """
    forms = [plain_account(account)]
    if "/" in account:
        forms.append(plain_account(account.rsplit("/", 1)[1]))
    by_bank: dict[str, dict[str, CustodyAccountRef]] = {}
    for (bank, number), ref in directory.items():
        by_bank.setdefault(plain_account(number), {})[bank] = ref
    for form in forms:
        banks = by_bank.get(form, {})
        if sender_bank in banks:
            return banks[sender_bank]
        if any_sender and len(banks) == 1:
            return next(iter(banks.values()))
        if banks:
            return because(ReasonCode.ACCOUNT_ELSEWHERE, account=account, banks=" / ".join(sorted(banks)), sender=sender_bank)
    return because(ReasonCode.ACCOUNT_NOT_FILED, account=account)


def account_delivered(directory: AccountDirectory, sender_bank: str, account: str) -> CustodyAccountRef | None:
    """The custody account a file means, None when the sender may not deliver it."""
    found = find_account(directory, sender_bank, account)
    return None if isinstance(found, Reason) else found


def faults_of(statement: Statement, ref: CustodyAccountRef) -> list[Fault]:
    """What is wrong inside a statement whatever came before it: currency, balances, dates, sums, running balances."""
    opening, closing = statement.opening_balance, statement.closing_balance
    if opening is None or closing is None:
        return [Fault(None, because(ReasonCode.NO_BALANCES))]
    if business_date_of(statement) is None:
        return [Fault(None, because(ReasonCode.NO_DAY))]
    lines = booked_lines(statement)
    currencies = {opening.currency, closing.currency, *(line.amount.currency for line in lines)}
    if currencies != {ref.currency}:
        return [Fault(None, because(ReasonCode.OTHER_CURRENCY, currency=ref.currency, found=" / ".join(sorted(currencies))))]
    if any(line.booking_date is None for line in lines):
        return [Fault(None, because(ReasonCode.LINE_WITHOUT_DAY))]
    found: list[Fault] = []
    moved = sum(_signed(line) for line in lines)
    if opening.minor_units + moved != closing.minor_units:
        off = Money(closing.minor_units - opening.minor_units - moved, ref.currency)
        found.append(Fault(DiscrepancyKind.BALANCE_BREAK, because(ReasonCode.FIGURES_DO_NOT_ADD_UP, off=off.plain)))
    balance = opening.minor_units
    for line in lines:
        balance += _signed(line)
        if line.running_balance is not None and line.running_balance.minor_units != balance:
            shown, computed = line.running_balance.plain, Money(balance, ref.currency).plain
            reason = because(ReasonCode.RUNNING_BALANCE, line=line.line, shown=shown, computed=computed)
            found.append(Fault(DiscrepancyKind.BALANCE_BREAK, reason))
            break
    return found


def outside_period(statement: Statement, number: int, day: date, counted_to: date | None) -> list[Finding]:
    """A warning for each booked line dated after the statement's day, or on a day an earlier statement has covered.

    ``counted_to`` is the last day that counted before it. DOMAIN.md 2.5: flagged, not refused; the money did move.
    """
    first = counted_to + timedelta(days=1) if counted_to is not None and counted_to < day else None
    if first is None and counted_to is None:
        first = statement.opening_date
    found = []
    for line in booked_lines(statement):
        booked = line.booking_date
        if booked is None or (booked <= day and (first is None or booked >= first)):
            continue
        period = f"{first} to {day}" if first is not None and first != day else f"{day}"
        found.append(
            Finding(
                Severity.WARNING,
                "line_outside_period",
                f"the line is booked on {booked}, outside the statement's period ({period}); it counts, ask the bank why",
                statement=number,
                line=line.line,
                field="booking_date",
                message_zh=f"明细记账日 {booked} 不在对账单期间（{period}）内；仍予计入，请向银行查询原因",
            )
        )
    return found


def balance_off_by(statement: Statement) -> int:
    """Closing less opening less the sum of the booked lines, in minor units; 0 without balances or in mixed currencies."""
    opening, closing, lines = statement.opening_balance, statement.closing_balance, booked_lines(statement)
    if opening is None or closing is None:
        return 0
    if {opening.currency, closing.currency, *(line.amount.currency for line in lines)} != {opening.currency}:
        return 0
    return closing.minor_units - opening.minor_units - sum(_signed(line) for line in lines)


def _signed(line: StatementLine) -> int:
    units = line.amount.minor_units
    return units if line.direction is Direction.IN else -units


def is_balance_break(code: str) -> bool:
    """Whether a reader's finding says that the file's own figures do not add up."""
    return code.startswith(_BREAK_CODES)


def counts_at_all(statement: Statement) -> bool:
    """Whether this kind of report has booked balances that can be chained; intraday reports and advices have not."""
    return statement.kind is StatementKind.STATEMENT


def judge(last: Link | None, one: Link, *, books_cash: int, currency: str, gap_explained: bool = False) -> Verdict:
    """Whether ``one`` continues the chain that ends with ``last`` (None: nothing counts yet).

    The first statement must open with what the books hold. By number when both carry one; otherwise by balance, and then
    a day in between that has not come keeps a statement waiting rather than breaking the chain. ``gap_explained``: two people
    have accepted that a number was never used; then balances that follow each other are enough.
    """
    opening = Money(one.opening, currency).plain
    if last is None:
        if one.opening == books_cash:
            return Verdict(counts=True)
        books = Money(books_cash, currency).plain
        reason = because(ReasonCode.OPENS_OTHERWISE_THAN_BOOKS, opening=opening, books=books)
        fault = Fault(DiscrepancyKind.STATEMENT_GAP, reason, one.opening - books_cash)
        return Verdict(counts=False, waits=True, fault=fault)
    if one.business_date <= last.business_date:
        reason = because(ReasonCode.DAY_COUNTED_ALREADY, day=one.business_date, last=last.business_date)
        return Verdict(counts=False, fault=Fault(DiscrepancyKind.RESTATED, reason))
    explained = gap_explained and one.opening == last.closing
    if (back := _backwards(last, one)) and not explained:
        return Verdict(counts=False, fault=Fault(DiscrepancyKind.STATEMENT_GAP, back))
    if (gap := _missing_numbers(last, one)) and not explained:
        return Verdict(counts=False, waits=True, fault=Fault(DiscrepancyKind.STATEMENT_GAP, gap))
    if one.opening == last.closing:
        return Verdict(counts=True)
    difference, closing = one.opening - last.closing, Money(last.closing, currency).plain
    numbered = _number(one) is not None and _number(last) is not None
    if not numbered and one.business_date > last.business_date + timedelta(days=1):
        before, day = last.business_date, one.business_date
        reason = because(ReasonCode.DAYS_BETWEEN_MISSING, opening=opening, closing=closing, before=before, day=day)
        return Verdict(counts=False, waits=True, fault=Fault(DiscrepancyKind.STATEMENT_GAP, reason, difference))
    reason = because(ReasonCode.OPENS_OTHERWISE, opening=opening, closing=closing)
    return Verdict(counts=False, fault=Fault(DiscrepancyKind.CONTINUITY_BREAK, reason, difference))


def judge_late(
    previous: Link | None, one: Link, following: Link, *, currency: str, number_explained: bool = False
) -> Fault | None:
    """What keeps a statement out of its place between two that count; None when it fits.

    It opens with the closing before it and closes with the opening after it, so on balance nothing moved on its day; its number,
    where there are numbers, lies between theirs. ``previous`` None: the chain begins after it. ``number_explained``: two people
    have let its number through.
    """
    before = previous.closing if previous is not None else following.opening
    after = following.business_date
    opening, closing = Money(one.opening, currency).plain, Money(one.closing, currency).plain
    if one.opening != before:
        was = Money(before, currency).plain
        reason = because(ReasonCode.LATE_OPENS_OTHERWISE, after=after, opening=opening, closing=was)
        return Fault(DiscrepancyKind.RESTATED, reason)
    if one.closing != following.opening:
        then = Money(following.opening, currency).plain
        reason = because(ReasonCode.LATE_CLOSES_OTHERWISE, after=after, closing=closing, opening=then)
        return Fault(DiscrepancyKind.RESTATED, reason)
    wrong = (previous is not None and _backwards(previous, one) is not None) or _backwards(one, following) is not None
    if wrong and not number_explained:
        numbers = " - ".join("?" if link is None else link.sequence or "?" for link in (previous, following))
        reason = because(ReasonCode.LATE_NUMBER, after=after, number=one.sequence or "", numbers=numbers)
        return Fault(DiscrepancyKind.STATEMENT_GAP, reason)
    return None


def _number(link: Link) -> int | None:
    text = (link.sequence or "").strip()
    head = text.split("/")[0]
    return int(head) if head.isascii() and head.isdigit() else None


def _missing_numbers(last: Link, one: Link) -> Reason | None:
    """Which numbers between the two are missing; None when none is or numbers are not given."""
    before, now = _number(last), _number(one)
    if before is None or now is None or now <= before + 1:
        return None
    if now == before + 2:
        return because(ReasonCode.NUMBER_MISSING, number=now, last=before, missing=before + 1)
    return because(ReasonCode.NUMBERS_MISSING, number=now, last=before, first=before + 1, missing=now - 1)


def _backwards(last: Link, one: Link) -> Reason | None:
    """Why a later day may not carry a number that is not higher; None when it is. Numbering may restart each year.

    Waiting would not mend it: no statement to come makes the number right.
    """
    before, now = _number(last), _number(one)
    if before is None or now is None or now > before:
        return None
    if one.business_date.year > last.business_date.year and now in (0, 1):
        return None
    return because(
        ReasonCode.NUMBERS_RUN_BACKWARDS,
        number=now,
        day=one.business_date,
        last=before,
        before=last.business_date,
        wanted=before + 1,
    )


def line_identities(custody_account_id: int, lines: Sequence[StatementLine], before: Mapping[str, int]) -> list[tuple[str, int]]:
    """The identity of each line and its ordinal among lines of the same content.

    Content is account, booking date, direction, amount, and the bank's reference or, without one, its text. Two equal lines
    are two movements: ``before`` says how many of each content the account has already (key: content_key).
    """
    seen: Counter[str] = Counter(before)
    found = []
    for line in lines:
        key = content_key(custody_account_id, line)
        seen[key] += 1
        found.append((hashlib.sha256(f"{key}{_FIELD}{seen[key]}".encode()).hexdigest()[:32], seen[key]))
    return found


def content_key(custody_account_id: int, line: StatementLine) -> str:
    """The content of a line as its identity sees it."""
    reference = normal_text(line.bank_reference or "")
    text = reference or normal_text(f"{line.counterparty_account or ''}{line.description or ''}")
    return _FIELD.join(
        (
            str(custody_account_id),
            str(line.booking_date),
            str(line.direction),
            str(line.amount.minor_units),
            line.amount.currency,
            "ref" if reference else "text",
            text,
        )
    )
