# ruff: noqa: E501 - a table of wordings, one a line
"""Why a statement of a file counts, waits or does not: a code and its facts, told in English and in Chinese.

The code and the facts are made where the facts are known and kept in the books, so both languages can be told at any time from
what was stored. Facts are text as people read it: amounts as decimals, days as dates, numbers, codes; never words of a language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bank_adapters.model import Finding
from wording import Said


class ReasonCode(StrEnum):
    """What can be said about a statement; the words are in ``WORDS``, or in the facts where they are another's (``TOLD``)."""

    TOLD = "told"  # a finding of the reader, or a proof that does not fit: made in both languages elsewhere
    KEPT_IN_ENGLISH = "kept_in_english"  # stored before codes were: the English sentence is all there is
    # whose account
    ACCOUNT_ELSEWHERE = "account_elsewhere"
    ACCOUNT_NOT_FILED = "account_not_filed"
    # wrong in itself
    NO_BALANCES = "no_balances"
    NO_DAY = "no_day"
    OTHER_CURRENCY = "other_currency"
    LINE_WITHOUT_DAY = "line_without_day"
    FIGURES_DO_NOT_ADD_UP = "figures_do_not_add_up"
    RUNNING_BALANCE = "running_balance"
    READER_REFUSED = "reader_refused"
    DAY_TO_COME = "day_to_come"
    CORRECTED_FILE_WANTED = "corrected_file_wanted"
    # its place in the chain
    OPENS_OTHERWISE_THAN_BOOKS = "opens_otherwise_than_books"
    OPENS_OTHERWISE = "opens_otherwise"
    DAYS_BETWEEN_MISSING = "days_between_missing"
    NUMBER_MISSING = "number_missing"
    NUMBERS_MISSING = "numbers_missing"
    NUMBERS_RUN_BACKWARDS = "numbers_run_backwards"
    DAY_COUNTED_ALREADY = "day_counted_already"
    NOTHING_TO_REPLACE = "nothing_to_replace"
    LATE_OPENS_OTHERWISE = "late_opens_otherwise"
    LATE_CLOSES_OTHERWISE = "late_closes_otherwise"
    LATE_NUMBER = "late_number"
    LATE_LINES = "late_lines"
    RESTATES_WHAT_COUNTS = "restates_what_counts"
    RESTATES_WHAT_WAITS = "restates_what_waits"
    # an export that tells again what counts
    ABSORBED = "absorbed"
    OVERLAP_OPENING = "overlap_opening"
    OVERLAP_LEAVES_OUT = "overlap_leaves_out"
    OVERLAP_ADDS = "overlap_adds"
    OVERLAP_TOLD_OTHERWISE = "overlap_told_otherwise"
    OVERLAP_AMBIGUOUS = "overlap_ambiguous"
    # said before, or never counting
    REPORTED_LINE_BY_LINE = "reported_line_by_line"
    NOTHING_MOVED_AS_REPORTED = "nothing_moved_as_reported"
    REPORTED_BY_WHAT_WAITS = "reported_by_what_waits"
    SAME_STATEMENT = "same_statement"
    SAME_BYTES = "same_bytes"
    SAME_CONTENT = "same_content"
    INTRADAY = "intraday"
    NOTIFICATION = "notification"
    # held back
    HELD_BACK = "held_back"
    TURNED_DOWN = "turned_down"
    LET_THROUGH = "let_through"
    LET_THROUGH_IN_VAIN = "let_through_in_vain"
    OVERTAKEN = "overtaken"


_CORRECTED = Said("ask the bank for a corrected file and receive that", "请向银行索取更正后的文件再接收")
_C = ReasonCode

#: code -> the sentence; ``{names}`` are its facts.
WORDS: Mapping[ReasonCode, Said] = {
    _C.TOLD: Said("{en}", "{zh}"),
    _C.KEPT_IN_ENGLISH: Said("{en}", "（仅存英文）{en}"),
    _C.ACCOUNT_ELSEWHERE: Said(
        "account {account} is kept by {banks}; {sender} may not deliver them; correct the sender (--sender, or the inbox folder), "
        "or ask who sent it",
        "账户 {account} 开立在 {banks}，{sender} 无权报送；请更正报送行（--sender 或收件目录），或查明由谁送来",
    ),
    _C.ACCOUNT_NOT_FILED: Said(
        "account {account} is not filed as a custody account; import the institution first, then receive this file again",
        "账户 {account} 未登记为监管账户；请先导入机构，再接收本文件",
    ),
    _C.NO_BALANCES: Said(
        "a statement without opening and closing balance cannot be proved complete; ask the bank for one with both",
        "缺少期初或期末余额，无法证明完整；请向银行索取含两者的对账单",
    ),
    _C.NO_DAY: Said(
        "no closing date and no line says which day it is for; ask the bank for a file with its date",
        "没有期末日期，明细也未说明属于哪一天；请向银行索取带日期的文件",
    ),
    _C.OTHER_CURRENCY: Said(
        f"the account is kept in {{currency}}, the statement in {{found}}; {_CORRECTED.en}",
        f"账户币种为 {{currency}}，对账单为 {{found}}；{_CORRECTED.zh}",
    ),
    _C.LINE_WITHOUT_DAY: Said(
        f"a booked line has no booking date; {_CORRECTED.en}", f"有已记账明细缺少记账日期；{_CORRECTED.zh}"
    ),
    _C.FIGURES_DO_NOT_ADD_UP: Said(
        f"opening plus lines is not closing; {{off}} is unexplained; {_CORRECTED.en}",
        f"期初余额加明细不等于期末余额，差额 {{off}}；{_CORRECTED.zh}",
    ),
    _C.RUNNING_BALANCE: Said(
        f"line {{line}}: running balance {{shown}}, computed {{computed}}; {_CORRECTED.en}",
        f"第 {{line}} 行余额为 {{shown}}，计算应为 {{computed}}；{_CORRECTED.zh}",
    ),
    _C.READER_REFUSED: Said(
        "its reader refused it; look into it with: escrow parse FILE", "解析时被拒收；原因可查看：escrow parse FILE"
    ),
    _C.DAY_TO_COME: Said(
        "it is for {day}, which has not come (today is {today}); ask the bank for the right file",
        "对账单日期 {day} 尚未到来（今天是 {today}）；请向银行索取正确的文件",
    ),
    _C.CORRECTED_FILE_WANTED: Said(
        f"{_CORRECTED.en}; of this one the bytes are kept, nothing counts", f"{_CORRECTED.zh}；本文件仅留存原文，均不计入"
    ),
    _C.OPENS_OTHERWISE_THAN_BOOKS: Said(
        "it opens with {opening}, the books hold {books}: ask the bank for the statements before it, or, if it is the first "
        "under supervision, prove its opening balance: escrow import opening-balances FILE",
        "期初余额 {opening} 与账面 {books} 不符；请向银行补要之前的对账单；如为纳入监管后的首份，请证明其期初余额："
        "escrow import opening-balances FILE",
    ),
    _C.OPENS_OTHERWISE: Said(
        f"it opens with {{opening}}, the previous one closed with {{closing}}; ask the bank which of the two is wrong: {_CORRECTED.en}",
        f"期初余额 {{opening}} 与上一份期末余额 {{closing}} 不符；请银行确认哪份有误：{_CORRECTED.zh}",
    ),
    _C.DAYS_BETWEEN_MISSING: Said(
        "it opens with {opening}, the previous one closed with {closing}; ask the bank for the statement between {before} and {day}",
        "期初余额 {opening}，上一份期末余额 {closing}；请银行补送 {before} 至 {day} 之间的对账单",
    ),
    _C.NUMBER_MISSING: Said(
        "it is number {number}, the last that counts is {last}: number {missing} is missing; ask the bank for what is missing, this "
        "one then counts by itself (if the bank never used the number, two people resolve the STATEMENT_GAP discrepancy)",
        "编号为 {number}，最近已计入的是 {last}，缺 {missing} 号；请银行补送，补齐后自动计入（如银行从未使用该编号，由两人处理差错 STATEMENT_GAP）",
    ),
    _C.NUMBERS_MISSING: Said(
        "it is number {number}, the last that counts is {last}: numbers {first} to {missing} are missing; ask the bank for what is "
        "missing, this one then counts by itself (if the bank never used the number, two people resolve the STATEMENT_GAP "
        "discrepancy)",
        "编号为 {number}，最近已计入的是 {last}，缺 {first} 至 {missing} 号；请银行补送，补齐后自动计入"
        "（如银行从未使用这些编号，由两人处理差错 STATEMENT_GAP）",
    ),
    _C.NUMBERS_RUN_BACKWARDS: Said(
        "it is number {number} for {day}, but number {last} for {before} counts already: the numbers run backwards; ask the bank for "
        "number {wanted}, or, if it corrects an earlier day, for a file dated that day (if the bank began its numbers anew, two "
        "people resolve the STATEMENT_GAP discrepancy, then receive this file again)",
        "编号 {number}（{day}）小于已计入的编号 {last}（{before}），编号倒退；请向银行索取编号 {wanted} 的对账单；如为更正之前某日，"
        "请索取该日日期的文件（如银行已重新编号，由两人处理差错 STATEMENT_GAP 后再接收本文件）",
    ),
    _C.DAY_COUNTED_ALREADY: Said(
        "it is for {day}, but statements count through {last} already; ask the bank which is right: what counts stays until two "
        "people put another version in its place",
        "对账单日期 {day}，但截至 {last} 的对账单已计入；请银行确认以哪份为准：已计入的保持有效，直至由两人以另一版本替换",
    ),
    _C.NOTHING_TO_REPLACE: Said(
        "no statement for {day} itself counts that it could replace; ask the bank for a file of a later day that carries its lines",
        "{day} 没有已计入、可被替换的对账单；请银行以后续日期的文件报送其明细",
    ),
    _C.LATE_OPENS_OTHERWISE: Said(
        "it comes after the statement for {after} and opens with {opening}, where the balance was {closing}; ask the bank which is right",
        "晚于 {after} 的对账单到达，期初余额 {opening}，而当时余额为 {closing}；请银行确认以哪份为准",
    ),
    _C.LATE_CLOSES_OTHERWISE: Said(
        "it comes after the statement for {after}, which counts and opens with {opening}, and closes with {closing}; ask the bank which "
        "is right",
        "晚于 {after} 的对账单到达，期末余额 {closing}，而该日已计入的对账单期初余额为 {opening}；请银行确认以哪份为准",
    ),
    _C.LATE_NUMBER: Said(
        "it comes after the statement for {after}; its balances fit between its neighbours, its number {number} does not fit between "
        "theirs ({numbers})",
        "晚于 {after} 的对账单到达；余额与前后衔接，但编号 {number} 不在前后编号（{numbers}）之间",
    ),
    _C.LATE_LINES: Said(
        "it comes after the statement for {after}; {count} of its lines were reported by the statement for {reported} already and would "
        "count twice; ask the bank which of the two is right",
        "晚于 {after} 的对账单到达；其中 {count} 笔明细已由 {reported} 的对账单报送，将重复计入；请银行确认以哪份为准",
    ),
    _C.RESTATES_WHAT_COUNTS: Said(
        "another statement for {day} with other content came before and counts; ask the bank which is right",
        "{day} 的另一份内容不同的对账单已先到并已计入；请银行确认以哪份为准",
    ),
    _C.RESTATES_WHAT_WAITS: Said(
        "another statement for {day} with other content came before and waits to be counted; ask the bank which is right",
        "{day} 的另一份内容不同的对账单已先到并在等待计入；请银行确认以哪份为准",
    ),
    _C.ABSORBED: Said(
        "{repeated} of its {count} lines were reported before (file {files}) and are absorbed, {new} are new and count",
        "{count} 笔明细中 {repeated} 笔此前已报送（文件 {files}），不重复计入；新增 {new} 笔，予以计入",
    ),
    _C.OVERLAP_OPENING: Said(
        "its lines begin on {first}, and statements count through {last} already; it opens with {opening}, which is nowhere the balance "
        "since then (at the beginning of {first} it was {expected}); ask the bank for an export that begins with a day",
        "其明细自 {first} 起，而截至 {last} 的对账单已计入；期初余额 {opening} 与该日起任一时点的余额均不符（{first} 日初余额为 {expected}）；"
        "请向银行索取自某日日初起的文件",
    ),
    _C.OVERLAP_LEAVES_OUT: Said(
        "{count} lines that count since {day} are not in it: {lines}; ask the bank which is right; what counts stays",
        "{day} 起已计入的 {count} 笔明细不在其中：{lines}；请银行确认以哪份为准；已计入的保持有效",
    ),
    _C.OVERLAP_ADDS: Said(
        "{count} lines of it are booked before {day}, in days that statements have closed without them: {lines}; ask the bank which is "
        "right; what counts stays",
        "其中 {count} 笔记账日在 {day} 之前，而这些日期的对账单已无此明细并已结清：{lines}；请银行确认以哪份为准；已计入的保持有效",
    ),
    _C.OVERLAP_TOLD_OTHERWISE: Said(
        "{count} lines that count since {day} are told in it with another reference or text: {lines}; whether they are the same movements "
        "cannot be proved; ask the bank for an export in the layout they came in, or one that begins after what counts",
        "{day} 起已计入的 {count} 笔明细在其中的流水号或文字不同：{lines}；无法证明为同一笔；请向银行索取与原报送相同格式的文件，"
        "或自已计入之后开始的文件",
    ),
    _C.OVERLAP_AMBIGUOUS: Said(
        "it opens with {opening}, which was the balance more than once through {last}, and its lines fit after either: which of them were "
        "reported before cannot be proved; ask the bank for an export that begins a day earlier, or after {last}",
        "期初余额 {opening} 在截至 {last} 的期间内不止一次出现，其明细均可衔接，无法证明哪些已报送；"
        "请向银行索取早一日开始、或自 {last} 之后开始的文件",
    ),
    _C.REPORTED_LINE_BY_LINE: Said(
        "all its {count} lines were reported before (file {files}), line by line; nothing counts twice",
        "其 {count} 笔明细此前均已逐笔报送（文件 {files}），不重复计入",
    ),
    _C.NOTHING_MOVED_AS_REPORTED: Said(
        "it tells no line, and what counts has none on that day either and the same balance; nothing is new",
        "其中没有明细，已计入的对账单当日亦无明细且余额相同；没有新内容",
    ),
    _C.REPORTED_BY_WHAT_WAITS: Said(
        "all its {count} lines are in file {file}, which waits to be counted; nothing is new",
        "其 {count} 笔明细均在等待计入的文件 {file} 中；没有新内容",
    ),
    _C.SAME_STATEMENT: Said(
        "file {file} brought the same statement; nothing counts twice", "文件 {file} 已送达同一份对账单，不重复计入"
    ),
    _C.SAME_BYTES: Said(
        "the same bytes came before as file {file}; nothing counts twice", "相同文件此前已作为文件 {file} 接收，不重复计入"
    ),
    _C.SAME_CONTENT: Said(
        "the same content under another name or encoding came before as file {file}; nothing counts twice",
        "相同内容此前已以其他名称或编码作为文件 {file} 接收，不重复计入",
    ),
    _C.INTRADAY: Said("an intraday report has no booked balances; it never counts", "日间报表没有记账余额，不计入"),
    _C.NOTIFICATION: Said(
        "an advice of single movements has no booked balances; it never counts", "收付款通知没有记账余额，不计入"
    ),
    _C.HELD_BACK: Said(
        "it is held back as quarantine {number} (file {file}); two people decide: escrow statement show {number}",
        "已隔离（编号 {number}，文件 {file}），须由两人决定：escrow statement show {number}",
    ),
    _C.TURNED_DOWN: Said(
        "it is held back as quarantine {number} and was turned down by {by} ({why}); what it says: escrow statement show {number}",
        "已隔离（编号 {number}），{by} 已退回（{why}）；内容见：escrow statement show {number}",
    ),
    _C.LET_THROUGH: Said(
        "it was held back as quarantine {number}, and two people let it through", "曾隔离（编号 {number}），已由两人放行"
    ),
    _C.LET_THROUGH_IN_VAIN: Said(
        "two people let it through (quarantine {number}), but what counts by then stands against it; ask the bank for a statement "
        "that follows what counts: escrow statement list",
        "已由两人放行（隔离编号 {number}），但与已计入的对账单不衔接；请银行报送衔接的对账单：escrow statement list",
    ),
    _C.OVERTAKEN: Said(
        "another file said the same and counts; nothing is decided about quarantine {number} any more",
        "另一文件内容相同并已计入；隔离编号 {number} 无需再决定",
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: its code and its facts, by the names they have in ``WORDS``."""

    code: ReasonCode
    facts: Mapping[str, str]

    @property
    def said(self) -> Said:
        """The sentence in both languages."""
        words = WORDS[self.code]
        return Said(words.en.format_map(self.facts), words.zh.format_map(self.facts))

    @property
    def en(self) -> str:
        """The sentence in English."""
        return self.said.en

    @property
    def zh(self) -> str:
        """The sentence in Chinese."""
        return self.said.zh

    def text(self, language: str) -> str:
        """The sentence in ``zh`` or, for any other language, in English."""
        return self.said.text(language)


def because(code: ReasonCode, **facts: object) -> Reason:
    """A reason of this code; its facts as people read them."""
    return Reason(code, {name: str(fact) for name, fact in facts.items()})


def told(en: str, zh: str | None) -> Reason:
    """A sentence made elsewhere in both languages; without Chinese it stands in English, and says so."""
    return because(ReasonCode.TOLD, en=en, zh=zh) if zh else because(ReasonCode.KEPT_IN_ENGLISH, en=en)


def of_finding(found: Finding) -> Reason:
    """What a reader found."""
    return told(found.message, found.message_zh)


def to_store(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Reasons as the books keep them, for JSON."""
    return [{"code": str(one.code), "facts": dict(one.facts)} for one in reasons]


def from_store(stored: Sequence[Mapping[str, Any]] | None, english: Sequence[str] | None) -> tuple[Reason, ...]:
    """Reasons as kept; ``english``: their sentences, which are all there is of those stored before codes were."""
    if stored is None:
        return tuple(because(ReasonCode.KEPT_IN_ENGLISH, en=one) for one in english or ())
    return tuple(Reason(ReasonCode(one["code"]), one["facts"]) for one in stored)


def in_both(reasons: Iterable[Reason]) -> dict[str, list[str]]:
    """Reasons for a program that shows them to people: the same list in each language."""
    said = [one.said for one in reasons]
    return {"reasons": [one.en for one in said], "reasons_zh": [one.zh for one in said]}
