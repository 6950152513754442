"""OFX statements of bank and card accounts. Investment statements are named and passed over.

The format declares no counts and no opening balance. The ledger balance is the closing balance only when it is of the last day
of the list (DTASOF = DTEND); the opening balance is then derived from it, and the chain to the statement before proves it.
Otherwise the file is a report that closes no day. Cut files are told by what is not closed: </OFX> and </BANKTRANLIST>.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, parse_point_amount
from bank_adapters.checks import run_checks
from bank_adapters.dates import DateUnreadable, read_date
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.limits import MAX_XML_DEPTH
from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.mt940.fields import NO_CURRENCY
from bank_adapters.ofx.tokens import Kind, Token, tokens
from bank_adapters.references import meaningful, reference_set
from money import Money
from money.amount import AmountRefused, exponent_of

_STATEMENTS = frozenset({"STMTRS", "CCSTMTRS"})
_WITHIN_A_TRANSACTION = frozenset({"CURRENCY", "BANKACCTTO", "CCACCTTO", "PAYEE"})
#: Elements that only a transaction has: outside of one, its opening tag was lost.
_TRANSACTIONS = frozenset({"STMTTRN", "STMTTRNP"})  # booked; expected, in a list of its own since 2.1.1
_OF_A_TRANSACTION = frozenset({"TRNTYPE", "DTPOSTED", "TRNAMT", "FITID"})
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_SIGN = re.compile(r"([+-]?)\s*(.*)", re.DOTALL)
_COMMA_DECIMALS = re.compile(r"[0-9]{1,18},[0-9]{0,17}", re.ASCII)
_DOT_GROUPS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{1,17}", re.ASCII)
_COMMA_GROUPS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]{1,17}", re.ASCII)
_MOMENT = re.compile(r"([0-9]{8})(?:[0-9]{2,6})?(?:[.:][0-9]{1,6})?\s*(?:\[[^\]]{1,20}\]?)?", re.ASCII)

Values = dict[str, tuple[str, int]]  # element -> text and line


def read_ofx(pieces: Iterable[str], findings: Findings) -> tuple[Statement, ...]:
    """Bank and card statements of an OFX text, given in pieces."""
    reader = _Reader(findings)
    last = 1
    for token in tokens(pieces):
        reader.take(token)
        last = token.line
    reader.end_of_file(last)
    findings.statement = None
    if not reader.drafts and not findings.refused:
        findings.add("no_statement", line=1, field="STMTRS")
    return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(reader.drafts))


def parse_ofx_amount(text: str, exponent: int) -> int:
    """Sign, digits, a point or a comma before the decimals; groups of three only beside the other mark.

    Raises AmountUnreadable.
    """
    found = _SIGN.fullmatch(text.strip())
    sign, digits = (found[1], found[2]) if found else ("", "")
    if "," not in digits and digits[:1].isdigit() and digits.count(".") < 2:
        pass  # as nearly all are
    elif _COMMA_GROUPS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif _DOT_GROUPS.fullmatch(digits):
        digits = digits.replace(".", "").replace(",", ".")
    elif _COMMA_DECIMALS.fullmatch(digits):
        digits = digits.replace(",", ".")
    elif digits[:1] in (".", ",") and digits[1:].isdigit():
        digits = f"0.{digits[1:]}"
    elif digits[:1] in ("+", "-"):
        raise AmountUnreadable("two signs")
    units = parse_point_amount(digits, exponent)
    return -units if sign == "-" else units


class _Reader:
    """State of one file: the open aggregates and what their elements said."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.drafts: list[StatementDraft] = []
        self.draft: StatementDraft | None = None
        self.stack: list[Token] = []
        self.open_names: Counter[str] = Counter()
        self.values: dict[str, Values] = {}  # aggregate -> its elements; of the statement and its parts
        self.transaction: Values | None = None
        self.opened = ""  # as which of _TRANSACTIONS it was opened
        self.status: Values = {}
        self.pending: list[tuple[Values, int]] = []
        self.ended = False
        self.fitids: set[str] = set()

    def take(self, token: Token) -> None:
        """Take one token."""
        if token.kind is Kind.ELEMENT:
            self._element(token)
        elif token.kind is Kind.OPEN:
            self._open(token)
        else:
            self._close(token)

    def end_of_file(self, line: int) -> None:
        if self.draft is not None:
            self.findings.add("truncated", line=line, field="STMTRS", reason="the statement is not closed")
            self._finish()
        self.findings.statement = None
        if not self.ended:
            self.findings.add("truncated", line=line, field="OFX", reason="</OFX> is missing")

    # -- tokens ------------------------------------------------------------------------------------------------------

    def _element(self, token: Token) -> None:
        _, name, text, line = token
        place = self.stack[-1].name if self.stack else ""
        if self.transaction is not None:
            if place in _TRANSACTIONS:
                self.transaction.setdefault(name, (text, line))
            elif place in _WITHIN_A_TRANSACTION:
                self.transaction.setdefault(f"{place}/{name}", (text, line))
        elif self.draft is not None:
            if name in _OF_A_TRANSACTION:
                self.findings.add("unknown_content", line=line, field=name, excerpt=f"<{name}>{text}")
            self.values.setdefault(place, {}).setdefault(name, (text, line))
        elif place == "STATUS":
            self.status.setdefault(name, (text, line))

    def _open(self, token: Token) -> None:
        name = token.name
        if name in _STATEMENTS:
            if self.draft is not None:
                self.findings.add("truncated", line=token.line, field=name, reason="another statement begins before it is closed")
                self._finish()
            self.draft = StatementDraft(line=token.line)
            self.findings.statement = len(self.drafts)
            self.values, self.pending, self.fitids = {}, [], set()
        elif name == "OFX":
            self.ended = False
        elif name == "INVSTMTRS":
            self.findings.add("investment_skipped", line=token.line, field=name)
        elif name == "STATUS":
            self.status = {}
        elif name in _TRANSACTIONS and self.draft is not None:
            if self.transaction is not None:
                self._lost_end(self.opened, token.line)
                self._transaction_read()
            self.transaction, self.opened = {}, name
        if len(self.stack) < MAX_XML_DEPTH:
            self.stack.append(token)
            self.open_names[name] += 1
        else:
            self.findings.add("xml_too_deep", line=token.line, field=name, limit=MAX_XML_DEPTH)

    def _close(self, token: Token) -> None:
        name = token.name
        if name == "OFX":
            self.ended = True
        at = len(self.stack) - 1
        if not any(self.open_names[each] for each in (_STATEMENTS if name in _STATEMENTS else (name,))):
            at = -1  # nothing to look for
        while at >= 0 and not _same(self.stack[at].name, name):
            at -= 1
        if at < 0:
            self.findings.add("record_order", line=token.line, field=name, record=f"</{name}>")
            return
        for unclosed in reversed(self.stack[at + 1 :]):
            if unclosed.name in ("BANKTRANLIST", "BANKTRANLISTP", *_TRANSACTIONS, *_STATEMENTS):
                self._lost_end(unclosed.name, token.line)
                if unclosed.name in _TRANSACTIONS:
                    self._transaction_read()
        opened = self.stack[at]
        for each in self.stack[at:]:
            self.open_names[each.name] -= 1
        del self.stack[at:]
        if name in _TRANSACTIONS and self.transaction is not None:
            self._transaction_read(opened.line)
        elif name == "STATUS":
            self._status(token.line)
        elif opened.name in _STATEMENTS and self.draft is not None:
            self._finish()

    def _lost_end(self, name: str, line: int) -> None:
        self.findings.add("truncated", line=line, field=name, reason=f"</{name}> is missing")

    def _transaction_read(self, line: int = 0) -> None:
        if self.transaction is not None:
            at = line or min((at for _, at in self.transaction.values()), default=1)
            if self.pending or not self._currency_is_known():
                self.pending.append((self.transaction, at))
            else:
                self._line(self.transaction, at)
        self.transaction = None

    def _currency_is_known(self) -> bool:
        """CURDEF stands before the list, as the standard says: then a transaction is read at once and not kept."""
        draft = self.draft
        if draft is None:
            return False
        if draft.currency is None:
            code = (self.values.get("STMTRS") or self.values.get("CCSTMTRS") or {}).get("CURDEF", ("", 0))[0]
            draft.currency = code if _CURRENCY.fullmatch(code) else None
        return draft.currency is not None

    def _status(self, line: int) -> None:
        severity, _ = self.status.get("SEVERITY", ("", 0))
        if severity.upper() == "ERROR":
            code, at = self.status.get("CODE", ("?", line))
            message, _ = self.status.get("MESSAGE", ("", 0))
            self.findings.add("bank_error", line=at, field="STATUS", status=code, excerpt=message)

    # -- a statement -------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        draft = self.draft
        if draft is None:
            return
        self._transaction_read()
        account = self.values.get("BANKACCTFROM") or self.values.get("CCACCTFROM") or {}
        draft.account = account.get("ACCTID", ("", 0))[0] or None
        if draft.account is None:
            self.findings.add("account_missing", line=draft.line, field="ACCTID")
        draft.currency = draft.currency or self._currency()
        for values, line in self.pending:
            self._line(values, line)
        self._balances()
        run_checks(draft, self.findings)
        self.drafts.append(draft)
        self.draft = None
        self.findings.statement = None

    def _currency(self) -> str | None:
        """CURDEF; where a bank leaves it empty, the currency its transactions name."""
        draft_line = self.draft.line if self.draft else None
        stated = [values.get("CURRENCY/CURSYM", ("", 0)) for values, _ in self.pending]
        curdef = (self.values.get("STMTRS") or self.values.get("CCSTMTRS") or {}).get("CURDEF", ("", 0))
        code, line = next((each for each in (curdef, *stated) if each[0]), ("", draft_line))
        if not code:
            self.findings.add("currency_missing", line=draft_line, field="CURDEF")
            return None
        try:
            exponent_of(code)
        except AmountRefused:
            self.findings.add("currency_unknown", line=line, field="CURDEF", excerpt=code)
            return None
        return code

    def _line(self, values: Values, line: int) -> None:
        draft = self.draft
        if draft is None:
            return

        def text(name: str) -> str | None:
            return values.get(name, ("", 0))[0] or None

        currency = text("CURRENCY/CURSYM") or draft.currency or NO_CURRENCY
        units = self._amount(values.get("TRNAMT", ("", line)), currency, "TRNAMT")
        dated = "DTTRAN" if "DTTRAN" in values else "DTPOSTED"  # an expected one has no day of posting
        posted = self._day(values.get(dated, ("", line)), dated)
        available = values.get("DTAVAIL")
        value_date = self._day(available, "DTAVAIL") if available and available[0].strip("0") else None
        if text("CORRECTFITID"):
            self.findings.add(
                "correction", line=line, field="CORRECTFITID", action=text("CORRECTACTION") or "?", excerpt=text("CORRECTFITID")
            )
        if units is None or posted is None:
            return
        if not units:
            self.findings.add("amount_zero", line=line, field="TRNAMT")
        fitid = meaningful(text("FITID"))
        if fitid is not None:
            if fitid in self.fitids:
                self.findings.add("reference_repeated", line=line, field="FITID", excerpt=fitid)
            self.fitids.add(fitid)
        name = text("NAME") or text("PAYEE/NAME")
        memo = text("MEMO")
        draft.lines.append(
            StatementLine(
                booking_date=posted,
                value_date=value_date,
                direction=Direction.OUT if units < 0 else Direction.IN,
                amount=Money(abs(units), currency),
                status=LineStatus.PENDING if dated == "DTTRAN" else LineStatus.BOOKED,
                line=line,
                bank_reference=fitid,
                references=reference_set((fitid, text("REFNUM"), text("CHECKNUM"), text("SRVRTID")), memo or name),
                counterparty_name=name,
                counterparty_account=text("BANKACCTTO/ACCTID") or text("CCACCTTO/ACCTID"),
                description=memo or name,
                transaction_code=text("TRNTYPE"),
                source="\n".join(f"<{element}>{value}" for element, (value, _) in values.items()),
            )
        )

    def _balances(self) -> None:
        """The ledger balance closes the statement when it is of the list's last day; the opening balance follows from it."""
        draft = self.draft
        if draft is None:
            return
        period, ledger = self.values.get("BANKTRANLIST", {}), self.values.get("LEDGERBAL", {})
        start, end = period.get("DTSTART", ("", 0)), period.get("DTEND", ("", 0))
        draft.opening_date = self._day(start, "DTSTART") if start[0].strip("0") else None
        draft.closing_date = self._day(end, "DTEND") if end[0].strip("0") else None
        draft.kind = StatementKind.INTRADAY
        if any(value for value, _ in ledger.values()):  # a template left empty says nothing
            line = next(iter(ledger.values()))[1]
            units = self._amount(ledger.get("BALAMT", ("", line)), draft.currency or NO_CURRENCY, "LEDGERBAL")
            as_of = self._day(ledger.get("DTASOF", ("", line)), "DTASOF")
            if units is not None and as_of is not None and as_of == draft.closing_date and self._same_currency():
                draft.kind = StatementKind.STATEMENT
                draft.closing_balance, draft.closing_line = Money(units, draft.currency or NO_CURRENCY), line
                moved = draft.tally.booked.in_total - draft.tally.booked.out_total
                draft.opening_balance = Money(units - moved, draft.currency or NO_CURRENCY)
                self.findings.add("opening_derived", line=line, field="LEDGERBAL")
                return
        self.findings.add("report_only", line=draft.line, field="LEDGERBAL")

    def _same_currency(self) -> bool:
        return self.draft is not None and self.draft.tally.currencies <= {self.draft.currency or NO_CURRENCY}

    # -- single values -----------------------------------------------------------------------------------------------

    def _amount(self, given: tuple[str, int], currency: str, field: str) -> int | None:
        text, line = given
        if not text.strip():
            self.findings.add("amount_missing", line=line, field=field)
            return None
        try:
            return parse_ofx_amount(text, exponent_or_two(currency))
        except AmountTooFine:
            self.findings.add("amount_decimals", line=line, field=field, excerpt=text, currency=currency)
        except AmountUnreadable:
            self.findings.add("amount_unreadable", line=line, field=field, excerpt=text)
        except AmountRefused:
            self.findings.add("currency_unknown", line=line, field=field, excerpt=currency)
        return None

    def _day(self, given: tuple[str, int], field: str) -> date | None:
        """The calendar date as written: zones are not converted, no bank means another day than it prints."""
        text, line = given
        found = _MOMENT.fullmatch(text.strip())
        try:
            if found is not None:
                read = read_date(found[1], ("YYYYMMDD",))
                if read.clamped:
                    self.findings.add("date_clamped", line=line, field=field, excerpt=text, date=read.day)
                return read.day
        except DateUnreadable:
            pass
        self.findings.add("date_unreadable", line=line, field=field, excerpt=text)
        return None


def _same(opened: str, closed: str) -> bool:
    """Some banks close a card statement with the tag of a bank statement."""
    return opened == closed or {opened, closed} == _STATEMENTS
