"""camt.052, camt.053 and camt.054 of every version: told by local names, read in one pass, memory freed entry by entry.

A DOCTYPE is refused outright: a parser told not to resolve entities would drop them silently and leave a field empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from zoneinfo import ZoneInfo

from lxml import etree
from lxml.etree import _Element as Element

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, is_currency, parse_decimal_amount
from bank_adapters.camt.documents import ROOT, OneRoot
from bank_adapters.camt.entry import child, local, read_amount, read_day, read_direction, read_entry, text_of
from bank_adapters.camt.ordinary import Ordinary, Run
from bank_adapters.camt.pages import check_pages
from bank_adapters.checks import run_checks
from bank_adapters.draft import Declared, StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.limits import MAX_XML_DEPTH
from bank_adapters.model import Severity, Statement, StatementKind
from bank_adapters.profile import ReversalSign
from bank_adapters.xml_lines import line_of
from money import Money

_KINDS = {"Stmt": StatementKind.STATEMENT, "Rpt": StatementKind.INTRADAY, "Ntfctn": StatementKind.NOTIFICATION}
_PAGINATION = frozenset({"StmtPgntn", "RptPgntn", "NtfctnPgntn"})
# (?>..): a comment is never tried longer than to its first end mark; else n comments could be told apart in 2^n ways.
_PROLOG = re.compile(r"\A\ufeff?\s*(?:(?><\?.*?\?>|<!--.*?-->)\s*)*+<!DOCTYPE", re.DOTALL | re.IGNORECASE)
_ReadBalance = tuple[Money, date | None, int | None]
#: Fewer ordinary entries in a row are left to the parser.
SHORTEST_RUN = 4
_USUAL_DEPTH = 32  # of an entry; deeper ones are left to the parser, which knows how deep is too deep
DEFAULT_ZONE = ZoneInfo("Asia/Shanghai")


def has_doctype(head: str) -> bool:
    """Whether the prolog of an XML text declares a document type."""
    return bool(_PROLOG.match(head))


def is_camt(head: str) -> bool:
    """Whether the head of a text is a bank-to-customer message, whatever its version and envelope."""
    return head.lstrip("\ufeff \t\r\n").startswith("<") and ("BkToCstmr" in head or "camt.05" in head)


def read_camt(
    pieces: Iterable[str],
    findings: Findings,
    reversal_sign: ReversalSign = ReversalSign.ISO,
    zone: ZoneInfo = DEFAULT_ZONE,
    shortest_run: int = SHORTEST_RUN,
) -> tuple[Statement, ...]:
    """Statements, reports and notifications of an XML text, given in pieces.

    Statements finished before a break in the XML are kept.
    """
    ordinary = Ordinary(reversal_sign, zone, shortest_run)
    source = OneRoot(pieces, ordinary)
    reader = _Reader(findings, reversal_sign, zone, ordinary)
    root: Element | None = None
    tags = [f"{{*}}{name}" for name in (*_KINDS, "Ntry", ordinary.element)]
    try:
        for event, element in etree.iterparse(
            source, events=("start", "end"), tag=tags, encoding="utf-8", resolve_entities=False, no_network=True,
            load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
        ):  # fmt: skip
            if event == "start":
                if root is None:
                    root = element.getroottree().getroot()
                reader.start(element)
            else:
                reader.end(element)
        reader.stray_text(root)
    except etree.XMLSyntaxError as problem:
        reader.broken(problem)
    findings.statement = None
    if not reader.statements and not findings.refused:
        findings.add("no_statement", line=1, field="Stmt")
    check_pages(reader.statements, findings)
    return _accepted(reader.statements, findings)


def refuse_doctype(head: str, findings: Findings) -> None:
    """Say where the document type is declared."""
    findings.add("doctype", line=1 + head[: head.upper().find("<!DOCTYPE")].count("\n"), field="DOCTYPE")


def _accepted(drafts: list[StatementDraft], findings: Findings) -> tuple[Statement, ...]:
    return tuple(draft.finished(accepted=not findings.errors_in(index)) for index, draft in enumerate(drafts))


class _Reader:
    """State of one document: the statement being read."""

    def __init__(self, findings: Findings, reversal_sign: ReversalSign, zone: ZoneInfo, ordinary: Ordinary) -> None:
        self.findings = findings
        self.ordinary = ordinary
        self.reversal_sign = reversal_sign
        self.zone = zone
        self.statements: list[StatementDraft] = []
        self.draft: StatementDraft | None = None
        self.root: Element | None = None
        self.balances: list[tuple[str, Element]] = []
        self.by_name: dict[str, Callable[[Element], None]] = {
            "Bal": self._balance, "Acct": self._account, "TxsSummry": self._totals,
            "Id": self._id, "ElctrncSeqNb": self._sequence, "LglSeqNb": self._sequence, "CpyDplctInd": self._copy,
            **dict.fromkeys(_PAGINATION, self._page),
        }  # fmt: skip

    def start(self, element: Element) -> None:
        if self.draft is None and (name := local(element)) in _KINDS and _is_message(element.getparent()):
            self.draft = StatementDraft(kind=_KINDS[name], line=line_of(element))
            self.root = element
            self.findings.statement = len(self.statements)
            self.balances = []

    def end(self, element: Element) -> None:
        if element is self.root:
            self._sweep(element)
            self._finish()
            _forget(element)
            return
        name = local(element)
        run = self.ordinary.runs.popleft() if name == self.ordinary.element else None
        if self.root is None or element.getparent() is not self.root:
            return  # what stands elsewhere is no entry of the statement
        if run is not None or name == "Ntry":
            if element.getprevious() is not None:
                self._sweep(element)
            if run is not None:
                self._run(run)
            else:
                self._entry(element)
                self._let_cut(element)
            element.clear()

    def _sweep(self, until: Element) -> None:
        """Read what stands in the statement before ``until`` (or all of it) and free it."""
        if self.root is None:
            return
        while len(self.root) and self.root[0] is not until:
            each = self.root[0]
            read = self.by_name.get(local(each))
            if read is not None:
                read(each)
            del self.root[0]

    def broken(self, problem: etree.XMLSyntaxError) -> None:
        """The XML ends or breaks here: what was read of the open statement is shown, and refused."""
        line = problem.lineno or 1
        code = "xml_too_deep" if "depth" in str(problem).lower() else "xml_broken"
        reason = str(problem.msg).split(", line", maxsplit=1)[0]
        if reason.endswith(f" and {ROOT}"):
            reason = "the document is not closed"
        if self.draft is not None:
            self.findings.add("truncated", line=line, reason=reason)
            if self.root is not None:
                self._sweep(self.root)
            self._finish()
        self.findings.statement = None
        self.findings.add(code, line=line, field="XML", reason=reason, limit=MAX_XML_DEPTH)

    def stray_text(self, root: Element | None) -> None:
        """Text between or behind documents belongs to nothing."""
        for text, after in [] if root is None else [(root.text, root), *((each.tail, each) for each in root)]:
            if text and text.strip():
                self.findings.add("unknown_content", line=line_of(after), field="XML", excerpt=text.strip())

    # -- parts of a statement ----------------------------------------------------------------------------------------

    @property
    def _draft(self) -> StatementDraft:
        if self.draft is None:
            raise RuntimeError("no statement is open")  # the callers see to it that one is
        return self.draft

    def _id(self, element: Element) -> None:
        self._draft.statement_id = (element.text or "").strip() or None

    def _sequence(self, element: Element) -> None:
        """ElctrncSeqNb comes first in the schema; LglSeqNb stands in where it is missing."""
        if self._draft.sequence is None:
            self._draft.sequence = (element.text or "").strip() or None

    def _copy(self, element: Element) -> None:
        self.findings.add("copy", line=line_of(element), field="CpyDplctInd", indicator=(element.text or "").strip())

    def _page(self, element: Element) -> None:
        number, last = text_of(element, "PgNb"), text_of(element, "LastPgInd")
        if number and number.isascii() and number.isdigit() and len(number) < 9:
            self._draft.page = int(number)
        else:
            self.findings.add("field_unreadable", line=line_of(element), field="PgNb", name="PgNb", excerpt=number or "")
        self._draft.last_page = last in ("true", "1")

    def _account(self, element: Element) -> None:
        draft = self._draft
        draft.account = text_of(element, "Id", "IBAN") or text_of(element, "Id", "Othr", "Id") or _v1_account(element)
        draft.currency = text_of(element, "Ccy")
        if draft.currency is not None and not is_currency(draft.currency):
            self.findings.add("currency_unknown", line=line_of(element), field="Ccy", excerpt=draft.currency)
            draft.currency = None
        draft.account_name = text_of(element, "Nm") or text_of(element, "Ownr", "Nm")

    def _balance(self, element: Element) -> None:
        code = text_of(element, "Tp", "CdOrPrtry", "Cd") or text_of(element, "Tp", "Cd") or ""
        self.balances.append((code, element))
        if self._draft.currency is None:
            self._draft.currency = _currency_of(element)

    def _entry(self, element: Element) -> None:
        draft = self._draft
        if draft.currency is None:
            draft.currency = _currency_of(element)
        line = read_entry(element, draft.currency, self.findings, self.zone, self.reversal_sign)
        if line is None:
            return
        if line[0] is None:
            self.findings.add("date_missing", line=line[6], field="BookgDt")
        draft.lines.append_packed(line)

    def _let_cut(self, entry: Element) -> None:
        """Behind a statement's first entry further ones may be cut out, as its currency is known now; see ``camt.ordinary``."""
        if self.ordinary.currency is None and sum(1 for _ in entry.iterancestors()) < _USUAL_DEPTH:
            self.ordinary.currency = self._draft.currency

    def _run(self, run: Run) -> None:
        """Entries that were cut out. Those of a statement in another currency, behind the one they were cut for, are parsed."""
        draft = self._draft
        if draft.currency == run.currency:
            draft.lines.append_columns(len(run.entries), run.columns)
            return
        for each in run.entries:
            text = "\n" * (each.line - 1) + f"<Ntry>{each.text}"
            self._entry(etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True)))

    def _totals(self, element: Element) -> None:
        totals = self._draft.totals
        totals.line_count = self._count(child(element, "TtlNtries"))
        for name, count, total in (("TtlCdtNtries", "in_count", "in_total"), ("TtlDbtNtries", "out_count", "out_total")):
            part = child(element, name)
            setattr(totals, count, self._count(part))
            setattr(totals, total, self._sum(child(part, "Sum")))
        overall = child(element, "TtlNtries")
        totals.gross_total = self._sum(child(overall, "Sum"))
        net = child(overall, "TtlNetNtry")
        amount = self._sum(child(net, "Amt") if net is not None else child(overall, "TtlNetNtryAmt"))
        indicator = text_of(net, "CdtDbtInd") if net is not None else text_of(overall, "CdtDbtInd")
        if amount is not None and indicator in ("CRDT", "DBIT"):
            amount.value = amount.value if indicator == "CRDT" else -amount.value
            totals.net_total = amount

    def _count(self, part: Element | None) -> Declared | None:
        text = text_of(part, "NbOfNtries")
        if part is None or text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            self.findings.add("field_unreadable", line=line_of(part), field="NbOfNtries", name="NbOfNtries", excerpt=text)
            return None
        return Declared(int(text), line_of(part))

    def _sum(self, element: Element | None) -> Declared | None:
        if element is None:
            return None
        text = (element.text or "").strip()
        try:
            return Declared(parse_decimal_amount(text, exponent_or_two(self._draft.currency)), line_of(element))
        except AmountUnreadable:
            self.findings.add("field_unreadable", line=line_of(element), field="Sum", name="Sum", excerpt=text)
            return None

    # -- the end of a statement --------------------------------------------------------------------------------------

    def _finish(self) -> None:
        draft = self._draft
        self._choose_balances()
        if draft.account is None:
            severity = Severity.ERROR if draft.kind is StatementKind.STATEMENT else Severity.WARNING
            self.findings.add("account_missing", line=draft.line, field="Acct", severity=severity)
        if draft.kind is StatementKind.STATEMENT:
            if draft.opening_balance is None and (draft.page or 1) == 1:  # a later page may leave it out
                self.findings.add("opening_missing", line=draft.line, field="Bal/OPBD")
            if draft.closing_balance is None and (draft.page is None or draft.last_page):  # an earlier page may leave it out
                self.findings.add("closing_missing", line=draft.line, field="Bal/CLBD")
            self._check_page()
        run_checks(draft, self.findings)
        self.statements.append(draft)
        self.draft = self.root = None
        self.ordinary.currency = None
        self.findings.statement = None

    def _check_page(self) -> None:
        """A page is not a statement: the page before must stand in the same file, and the last must come."""
        draft = self._draft
        if draft.page is None:
            return
        before = next(
            (
                each
                for each in reversed(self.statements)
                if (each.account, each.statement_id) == (draft.account, draft.statement_id)
            ),
            None,
        )
        if draft.page > 1 and (before is None or before.page != draft.page - 1):
            sequence = draft.sequence or draft.statement_id or "?"
            self.findings.add("page_missing", line=draft.line, field="PgNb", page=draft.page - 1, sequence=sequence)
        elif (
            before is not None
            and before.closing_balance
            and draft.opening_balance
            and (before.closing_balance != draft.opening_balance)
        ):
            self.findings.add(
                "page_chain", line=draft.line, field="PgNb", page=draft.page,
                opening=draft.opening_balance.plain, closing=before.closing_balance.plain,
            )  # fmt: skip

    def _choose_balances(self) -> None:
        """Opening is OPBD, else PRCD; closing is CLBD; the account's currency only; earliest opening, latest closing."""
        draft = self._draft
        opening = self._balances_of("OPBD") or self._balances_of("PRCD")
        closing = self._balances_of("CLBD")
        if opening:
            draft.opening_balance, draft.opening_date, draft.opening_line = min(opening, key=_by_date)
        if closing:
            draft.closing_balance, draft.closing_date, draft.closing_line = max(closing, key=_by_date)

    def _balances_of(self, code: str) -> list[_ReadBalance]:
        """Balances of this type in the account's currency; failing these, in another (which check_currencies refuses)."""
        found: list[_ReadBalance] = []
        foreign: list[_ReadBalance] = []
        for each, element in self.balances:
            if each != code:
                continue
            amount = read_amount(child(element, "Amt"), self._draft.currency, self.findings, element)
            direction = read_direction(element, self.findings)
            day, _ = read_day(child(element, "Dt"), self.findings, self.zone, "Bal/Dt")
            if amount is None or direction is None:
                continue
            same = self._draft.currency in (None, amount.currency)
            (found if same else foreign).append((amount.money(direction), day, line_of(element)))
        if found:
            for money, _, line in foreign:
                self.findings.add("balance_other_currency", line=line, field=f"Bal/{code}", name=code, currency=money.currency)
        return found or foreign


def _by_date(balance: _ReadBalance) -> date:
    return balance[1] or date.min


def _is_message(parent: Element | None) -> bool:
    return parent is not None and local(parent).startswith("BkToCstmr")


def _currency_of(element: Element) -> str | None:
    """The currency of the amount in a balance or an entry; one that is none is named where the amount itself is read."""
    amount = child(element, "Amt")
    currency = amount.get("Ccy") if amount is not None else None
    return currency if currency is not None and is_currency(currency) else None


def _v1_account(element: Element) -> str | None:
    """Version 1 had other names for an account's number."""
    return text_of(element, "Id", "BBAN") or text_of(element, "Id", "PrtryAcct", "Id") or text_of(element, "Id", "UPIC")


def _forget(element: Element) -> None:
    """Free what was read: the element's content and everything before it under the same parent."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]
