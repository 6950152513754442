"""What a comparison may fail to explain: the kinds of discrepancy, the acts that resolve them, the states between.

Nouns only. Kinds and their Chinese names follow the platform's taxonomy of differences (差错分类); a kind says what was
seen, never who is to blame. A discrepancy's state is derived from its events and stored nowhere.

**The two figures.** Every discrepancy of money carries ``amount`` and ``difference``, in minor units, by one convention:

- ``amount`` is the money of the named side, never negative: what its bank lines come to, or, where it names no bank line,
  what its book items come to.
- ``difference`` is the bank's effect less the books' expectation, IN positive and OUT negative: what the named lines did to
  the account, less what the named items that are still open expect of the bank (an item or batch less its agreed fee).

| kind | amount | difference |
|---|---|---|
| MISSING_IN_BANK, TIMING | the items (a batch once, all its open items) | - the items, whole: what never came has no fee |
| MISSING_IN_LEDGER, UNIDENTIFIED_RECEIPT, UNEXPLAINED_PAYMENT | the line | the line, signed |
| BANK_INTEREST, BANK_CHARGE | the line | the line, signed |
| RETURNED, DUPLICATE_BANK | the line (of copies: the later one) | the line, signed: its item expects nothing more |
| AMOUNT_MISMATCH | the line | line - expected |
| DIRECTION_MISMATCH | the line | line - expected: twice the amount, with the line's sign, where only the direction is wrong |
| FEE_VARIANCE | the line: what arrived | fee agreed - fee kept: below zero when too much was kept |
| LATE | the line | 0: the amounts agree |
| CURRENCY_MISMATCH | the line, in its own currency | 0: two currencies have no difference |
| DUPLICATE_LEDGER | the twins less one | - that, signed: what is expected too often, whether or not the one has come |
| AMBIGUOUS | all lines of the group | lines - items, 0 when only the pairing is open |
| STATEMENT_MISSING, STATEMENT_GAP, RESTATED, DUPLICATE_FILE | 0 | 0 |
| CONTINUITY_BREAK, BALANCE_BREAK, CASH_DIFFERENCE | the difference without its sign | bank's figure - expected figure |
| COVERAGE_SHORTFALL | what is missing | - what is missing |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from wording import Refused


class DiscrepancyKind(StrEnum):
    """What could not be explained. The value is the name other programs rely on."""

    MISSING_IN_BANK = "MISSING_IN_BANK"
    MISSING_IN_LEDGER = "MISSING_IN_LEDGER"
    UNIDENTIFIED_RECEIPT = "UNIDENTIFIED_RECEIPT"
    UNEXPLAINED_PAYMENT = "UNEXPLAINED_PAYMENT"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    DIRECTION_MISMATCH = "DIRECTION_MISMATCH"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    DUPLICATE_BANK = "DUPLICATE_BANK"
    DUPLICATE_LEDGER = "DUPLICATE_LEDGER"
    FEE_VARIANCE = "FEE_VARIANCE"
    TIMING = "TIMING"
    LATE = "LATE"
    AMBIGUOUS = "AMBIGUOUS"
    BANK_INTEREST = "BANK_INTEREST"
    BANK_CHARGE = "BANK_CHARGE"
    RETURNED = "RETURNED"
    STATEMENT_MISSING = "STATEMENT_MISSING"
    STATEMENT_GAP = "STATEMENT_GAP"
    CONTINUITY_BREAK = "CONTINUITY_BREAK"
    BALANCE_BREAK = "BALANCE_BREAK"
    RESTATED = "RESTATED"
    DUPLICATE_FILE = "DUPLICATE_FILE"
    CASH_DIFFERENCE = "CASH_DIFFERENCE"
    COVERAGE_SHORTFALL = "COVERAGE_SHORTFALL"

    @property
    def title_en(self) -> str:
        return TITLES[self][0]

    @property
    def title_zh(self) -> str:
        return TITLES[self][1]


TITLES: dict[DiscrepancyKind, tuple[str, str]] = {
    DiscrepancyKind.MISSING_IN_BANK: ("In the books, not at the bank", "银行漏单（短款）"),
    DiscrepancyKind.MISSING_IN_LEDGER: ("At the bank, not in the books", "平台漏单（长款）"),
    DiscrepancyKind.UNIDENTIFIED_RECEIPT: ("Receipt nobody can name", "不明来款"),
    DiscrepancyKind.UNEXPLAINED_PAYMENT: ("Payment without instruction", "无指令出账"),
    DiscrepancyKind.AMOUNT_MISMATCH: ("Same reference, other amount", "金额不符"),
    DiscrepancyKind.DIRECTION_MISMATCH: ("Same reference, other direction", "借贷方向不符"),
    DiscrepancyKind.CURRENCY_MISMATCH: ("Same reference, other currency", "币种不符"),
    DiscrepancyKind.DUPLICATE_BANK: ("Posted twice by the bank", "银行重复入账"),
    DiscrepancyKind.DUPLICATE_LEDGER: ("Twice in the books", "账务重复"),
    DiscrepancyKind.FEE_VARIANCE: ("Channel fee not as agreed", "手续费坐扣差异"),
    DiscrepancyKind.TIMING: ("Still within its time", "时点差（未达账项）"),
    DiscrepancyKind.LATE: ("Arrived after its window", "逾期到账"),
    DiscrepancyKind.AMBIGUOUS: ("More than one explanation", "无法唯一认定"),
    DiscrepancyKind.BANK_INTEREST: ("Bank interest", "结息"),
    DiscrepancyKind.BANK_CHARGE: ("Bank charge", "银行收费"),
    DiscrepancyKind.RETURNED: ("Returned or reversed by the bank", "退汇或冲正"),
    DiscrepancyKind.STATEMENT_MISSING: ("Statement not received", "对账单缺失"),
    DiscrepancyKind.STATEMENT_GAP: ("Gap in the statement sequence", "对账单断号"),
    DiscrepancyKind.CONTINUITY_BREAK: ("Opening is not the previous closing", "期初期末不衔接"),
    DiscrepancyKind.BALANCE_BREAK: ("Balances of the file do not add up", "余额滚算不平"),
    DiscrepancyKind.RESTATED: ("Other content for a day already received", "重报对账单"),
    DiscrepancyKind.DUPLICATE_FILE: ("The same statement file again", "重复文件"),
    DiscrepancyKind.CASH_DIFFERENCE: ("Books and bank balance differ", "账实不符"),
    DiscrepancyKind.COVERAGE_SHORTFALL: ("Custody cash does not cover what is owed", "监管资金缺口"),
}

#: Kinds that say a figure or a file is wrong, not a single line or item; they clear themselves when the figure is right.
CONDITION_KINDS = frozenset(
    {
        DiscrepancyKind.STATEMENT_MISSING,
        DiscrepancyKind.CASH_DIFFERENCE,
        DiscrepancyKind.COVERAGE_SHORTFALL,
    }
)


#: Kinds whose bank line belongs to nothing the books still expect: the whole line is the difference.
EXPECTING_NOTHING = frozenset(
    {
        DiscrepancyKind.MISSING_IN_LEDGER,
        DiscrepancyKind.UNIDENTIFIED_RECEIPT,
        DiscrepancyKind.UNEXPLAINED_PAYMENT,
        DiscrepancyKind.DUPLICATE_BANK,
        DiscrepancyKind.RETURNED,
        DiscrepancyKind.BANK_INTEREST,
        DiscrepancyKind.BANK_CHARGE,
    }
)


class Act(StrEnum):
    """How a discrepancy may be closed. Every act but ``explain`` posts a journal entry when it is approved."""

    POST_TO_SUSPENSE = "post_to_suspense"
    ACCEPT_LATE = "accept_late"
    MATCH_MANUALLY = "match_manually"
    REVERSE = "reverse"
    BOOK_BANK_INTEREST = "book_bank_interest"
    BOOK_BANK_CHARGE = "book_bank_charge"
    CLAIM_FROM_BANK = "claim_from_bank"
    CHARGE_FEE_TO_INSTITUTION = "charge_fee_to_institution"
    SETTLE_FROM_SUSPENSE = "settle_from_suspense"
    EXPLAIN = "explain"


_K = DiscrepancyKind
_SUSPENSE = frozenset({Act.POST_TO_SUSPENSE, Act.CLAIM_FROM_BANK, Act.MATCH_MANUALLY})

#: Which acts a kind admits. ``explain`` is only for kinds in which no bank line or book item stays open afterwards.
ACTS_BY_KIND: dict[DiscrepancyKind, frozenset[Act]] = {
    _K.MISSING_IN_BANK: frozenset({Act.REVERSE, Act.SETTLE_FROM_SUSPENSE}),
    _K.MISSING_IN_LEDGER: _SUSPENSE,
    _K.UNIDENTIFIED_RECEIPT: _SUSPENSE,
    _K.UNEXPLAINED_PAYMENT: _SUSPENSE,
    _K.AMOUNT_MISMATCH: _SUSPENSE,
    _K.DIRECTION_MISMATCH: _SUSPENSE,
    _K.CURRENCY_MISMATCH: frozenset({Act.POST_TO_SUSPENSE}),
    _K.DUPLICATE_BANK: frozenset({Act.CLAIM_FROM_BANK, Act.POST_TO_SUSPENSE}),
    _K.DUPLICATE_LEDGER: frozenset({Act.REVERSE}),
    _K.FEE_VARIANCE: frozenset({Act.CHARGE_FEE_TO_INSTITUTION, Act.CLAIM_FROM_BANK, Act.POST_TO_SUSPENSE}),
    _K.TIMING: frozenset(),
    _K.LATE: frozenset({Act.ACCEPT_LATE, Act.POST_TO_SUSPENSE}),
    _K.AMBIGUOUS: frozenset({Act.MATCH_MANUALLY, Act.POST_TO_SUSPENSE}),
    _K.BANK_INTEREST: frozenset({Act.BOOK_BANK_INTEREST, Act.POST_TO_SUSPENSE}),
    _K.BANK_CHARGE: frozenset({Act.BOOK_BANK_CHARGE, Act.CLAIM_FROM_BANK, Act.POST_TO_SUSPENSE}),
    _K.RETURNED: frozenset({Act.REVERSE, Act.POST_TO_SUSPENSE, Act.CLAIM_FROM_BANK}),
    _K.STATEMENT_MISSING: frozenset(),
    _K.STATEMENT_GAP: frozenset({Act.EXPLAIN}),
    _K.CONTINUITY_BREAK: frozenset({Act.EXPLAIN}),
    _K.BALANCE_BREAK: frozenset({Act.EXPLAIN}),
    _K.RESTATED: frozenset({Act.EXPLAIN}),
    _K.DUPLICATE_FILE: frozenset({Act.EXPLAIN}),
    _K.CASH_DIFFERENCE: frozenset(),
    _K.COVERAGE_SHORTFALL: frozenset({Act.EXPLAIN}),
}


class DiscrepancyState(StrEnum):
    """Where a discrepancy stands, derived from its events."""

    OPEN = "open"
    PREPARED = "prepared"  # a resolution waits for a second person
    RESOLVED = "resolved"  # approved; its journal entry is posted
    CLEARED = "cleared"  # a later run explained it


class EventKind(StrEnum):
    """What may happen to a discrepancy, in its append-only history."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    COMMENTED = "commented"
    PREPARED = "prepared"
    REJECTED = "rejected"
    APPROVED = "approved"
    AUTO_CLEARED = "auto_cleared"
    REOPENED = "reopened"  # found again after it had cleared


#: The state each event leaves behind; assignment and comment leave it as it was.
STATE_AFTER: dict[EventKind, DiscrepancyState] = {
    EventKind.OPENED: DiscrepancyState.OPEN,
    EventKind.PREPARED: DiscrepancyState.PREPARED,
    EventKind.REJECTED: DiscrepancyState.OPEN,
    EventKind.APPROVED: DiscrepancyState.RESOLVED,
    EventKind.AUTO_CLEARED: DiscrepancyState.CLEARED,
    EventKind.REOPENED: DiscrepancyState.OPEN,
}


class ResolutionRefused(Refused):
    """This act cannot be taken on this discrepancy now; the reasons say why and what is possible."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference a run could not explain.

    ``amount`` and ``difference`` (module docstring) are minor units of ``currency``; ``since`` is the business day it dates
    from; ``line_ids`` and ``item_ids`` are the evidence on either side.
    """

    discrepancy_id: str
    institution_id: int
    custody_account_id: int
    kind: DiscrepancyKind
    since: date
    currency: str
    amount_minor_units: int
    difference_minor_units: int
    line_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A prepared resolution waiting for a second person."""

    event_no: int
    act: Act
    item_ids: tuple[UUID, ...]
    prepared_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class DiscrepancyRecord:
    """A discrepancy as it stands: what it is, its state, owner, the waiting proposal and when its state last changed."""

    discrepancy: Discrepancy
    state: DiscrepancyState
    owner: str | None
    proposal: Proposal | None
    last_event_no: int
    state_on: date
    act: Act | None
    acted_by: str | None
    prepared_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class DiscrepancyEvent:
    """One thing that happened to a discrepancy."""

    event_no: int
    event: EventKind
    event_at: datetime
    actor: str
    owner: str | None
    act: str | None
    reason: str | None
    prepared_by: str | None
