# ruff: noqa: E501 - a table of wordings, one a line
"""Findings of a file: one table of everything that can be said, in English and Chinese, and the collector.

All findings of a file are collected; only a flood of the same one is cut short (``MOST_OF_ONE_CODE`` a statement), and the
cut is said. Excerpts are masked: long numbers keep their last four digits.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from bank_adapters.model import Finding, Severity
from money.amount import exponent_of, format_minor_units

#: Findings of one code shown for one statement; the rest are counted in a last one.
MOST_OF_ONE_CODE = 100
EXCERPT_LENGTH = 80

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

#: code -> (severity, English, Chinese). ``{names}`` are the facts given when the finding is made.
CATALOGUE: dict[str, tuple[Severity, str, str]] = {
    # the file
    "file_unreadable": (E, "the file cannot be read: {reason}", "文件无法读取：{reason}"),
    "file_empty": (E, "the file is empty", "文件为空"),
    "file_too_large": (E, "the file has {size} bytes; at most {limit} are read", "文件有 {size} 字节，超过上限 {limit}"),
    "no_adapter": (E, "no format claims this file; looked for {looked_for}", "没有任何格式认领此文件；已查找 {looked_for}"),
    "two_adapters": (E, "more than one profile claims this file: {names}; name one with --profile", "多个版式同时认领此文件：{names}；请用 --profile 指定"),
    "unknown_profile": (E, "there is no profile {name}; known are {names}", "没有名为 {name} 的版式；现有 {names}"),
    "wrong_profile": (E, "profile {name} does not fit this file: {reason}", "版式 {name} 与此文件不符：{reason}"),
    "not_supported": (E, "this looks like {format}, which is not read yet", "此文件像是 {format}，目前尚不支持"),
    "archive_refused": (E, "the archive cannot be read: {reason}", "压缩文件无法读取：{reason}"),
    "archive_empty": (E, "the archive holds no file", "压缩文件中没有文件"),
    "member_ignored": (N, "{name} is not read: the profile says that it repeats what others hold", "{name} 未读取：版式声明其内容与其他文件重复"),
    "nested_archive": (E, "an archive inside an archive is not opened", "不打开嵌套的压缩文件"),
    "limit_reached": (E, "reading it takes more {what} than {limit}; the file is refused", "解析所需{what}超过上限，文件被拒收：{limit}"),
    "undecodable": (E, "the bytes are not text in {encodings}", "字节不是 {encodings} 编码的文本"),
    "encoding_guessed": (N, "read as {encoding}: not UTF-8 and no mark says which", "按 {encoding} 解码：不是 UTF-8，也没有编码标记"),
    "internal_error": (E, "the reader failed ({reason}); the file is refused", "解析程序出错（{reason}），文件被拒收"),
    "line_too_long": (E, "a line is longer than {limit} characters", "单行超过 {limit} 个字符"),
    "too_many_lines": (E, "more than {limit} lines or rows", "行数超过 {limit}"),
    "no_statement": (E, "the file holds no statement", "文件中没有对账单"),
    "unknown_content": (E, "this belongs to nothing the format knows: {excerpt}", "无法识别的内容：{excerpt}"),
    "nul_bytes": (E, "the file holds NUL bytes", "文件含有空字节"),
    "more_findings": (E, "{count} more findings '{code}' are not shown", "另有 {count} 条“{code}”未列出"),
    "more_remarks": (N, "{count} more findings '{code}' are not shown", "另有 {count} 条“{code}”未列出"),
    # any statement
    "truncated": (E, "the statement is cut short: {reason}", "对账单不完整：{reason}"),
    "opening_missing": (E, "no opening balance", "缺少期初余额"),
    "closing_missing": (E, "no closing balance: the statement is cut short or a fragment", "缺少期末余额：对账单被截断或只是片段"),
    "account_missing": (E, "no account number", "缺少账号"),
    "account_unknown": (W, "the file does not say which account it is for", "文件未注明账号"),
    "fact_missing": (E, "{name} is missing; this bank always sends it", "缺少 {name}，该行文件应当都有"),
    "fact_unreadable": (E, "{name} cannot be read: {excerpt}", "{name} 无法识别：{excerpt}"),
    "fact_repeated": (E, "{name} is given again with another value: {excerpt}", "{name} 重复出现且内容不同：{excerpt}"),
    "currency_missing": (E, "no currency is stated", "未注明币种"),
    "currency_unknown": (E, "{excerpt} is not a currency", "{excerpt} 不是币种"),
    "currency_differs": (E, "currency {found}, but the statement is in {expected}", "币种为 {found}，而对账单币种为 {expected}"),
    "pending_currency_differs": (W, "a pending line is in {found}, the account in {expected}", "未入账明细币种为 {found}，账户币种为 {expected}"),
    "balance_identity": (
        E,
        "opening {opening} + in {ins} - out {outs} = {computed}, but the closing balance says {closing} (difference {difference})",
        "期初 {opening} + 收入 {ins} - 支出 {outs} = {computed}，与期末余额 {closing} 不符（差额 {difference}）",
    ),
    "running_balance": (
        E,
        "running balance {found}; the line before and this amount make {expected}",
        "余额为 {found}，按上一笔余额与本笔金额应为 {expected}",
    ),
    "running_balance_unreadable": (E, "running balance cannot be read: {excerpt}", "余额无法识别：{excerpt}"),
    "running_balance_end": (E, "the last running balance is {found}, the closing balance {expected}", "末笔余额 {found} 与期末余额 {expected} 不符"),
    "order_undecided": (W, "the running balances fit neither order of the rows", "按任何顺序余额都不衔接"),
    "control_count": (E, "{what}: the file declares {declared}, {found} were read", "{what}：文件声明 {declared}，实际读到 {found}"),
    "head_count": (
        W,
        "the head of the file counts {declared} rows, {found} are here: rows were left out, or the file is cut",
        "文件头称共 {declared} 笔，实际 {found} 笔：有未列出的记录，或文件不完整",
    ),
    "control_total": (E, "{what}: the file declares {declared}, {found} was read", "{what}：文件声明 {declared}，实际为 {found}"),
    "control_below_floor": (
        W,
        "{what}: declared {declared}, read {found}; lines below the floor limit {floor} are not sent",
        "{what}：声明 {declared}，实际 {found}；低于起报金额 {floor} 的明细不发送",
    ),
    "amount_unreadable": (E, "amount cannot be read: {excerpt}", "金额无法识别：{excerpt}"),
    "amount_decimals": (E, "{excerpt} has more decimals than {currency} has minor units", "{excerpt} 的小数位超过币种 {currency} 的最小单位"),
    "amount_missing": (E, "no amount", "缺少金额"),
    "amount_zero": (N, "a line of amount zero", "金额为零的明细"),
    "line_unreadable": (E, "this is no statement line: {excerpt}", "不是有效的明细行：{excerpt}"),
    "date_unreadable": (E, "date cannot be read: {excerpt}", "日期无法识别：{excerpt}"),
    "date_clamped": (W, "{excerpt} is no day of the calendar; read as {date}", "{excerpt} 不是有效日期，按 {date} 处理"),
    "date_missing": (W, "the line has no booking date", "明细缺少记账日期"),
    "date_order": (W, "the closing date {closing} is before the opening date {opening}", "期末日期 {closing} 早于期初日期 {opening}"),
    "direction_unreadable": (E, "the mark does not say in or out: {excerpt}", "借贷方向无法识别：{excerpt}"),
    "balance_repeated": (E, "a second {name} in one statement", "同一对账单出现第二个{name}"),
    "balance_other_currency": (W, "a further {name} in {currency} is not used", "另有币种 {currency} 的{name}，未采用"),
    "balance_derived": (N, "balances are taken from the running balances; the file states none", "余额取自逐笔余额，文件未单独声明"),
    # pages
    "page_missing": (E, "page {page} of statement {sequence} is missing", "对账单 {sequence} 缺少第 {page} 页"),
    "page_chain": (E, "page {page} opens with {opening}, the page before closed with {closing}", "第 {page} 页期初 {opening} 与上页期末 {closing} 不符"),
    "page_refused": (E, "another page of this statement is refused", "本对账单的另一页被拒收"),
    "page_unnumbered": (W, "interim balances, but pages are not numbered one after another", "有中间余额，但页码不连续"),
    "copy": (W, "the bank marks this as a copy ({indicator})", "银行标注为副本（{indicator}）"),
    # tables
    "unclosed_quote": (E, "a quotation mark is never closed; the cell runs over many lines", "引号未闭合，单元格跨越多行"),
    "short_row": (E, "{found} cells, the header has {expected}", "本行 {found} 个单元格，表头有 {expected} 个"),
    "short_row_allowed": (W, "{found} cells, the header has {expected}; missing ones read as empty", "本行 {found} 个单元格，表头有 {expected} 个，缺少的按空处理"),
    "long_row": (E, "cells beyond the header: {excerpt}", "超出表头的单元格：{excerpt}"),
    "both_columns": (E, "an amount in both columns", "收入与支出两栏都有金额"),
    "footer_missing": (E, "the footer {name} is missing: the file is cut short", "缺少 {name} 行：文件被截断"),
    "after_footer": (E, "a row after the footer: {excerpt}", "合计行之后仍有内容：{excerpt}"),
    "float_reference": (E, "a reference kept as a number lost digits: {excerpt}", "编号以数值存储，位数已丢失：{excerpt}"),
    "more_sheets": (E, "a second sheet with content is not read: {name}", "另有含内容的工作表未读取：{name}"),
    "same_sheet": (N, "a second sheet repeats the first and is not read: {name}", "第二个工作表与第一个内容相同，未读取：{name}"),
    "sheet_unreadable": (E, "the spreadsheet cannot be read: {reason}", "电子表格无法读取：{reason}"),
    # xml
    "doctype": (E, "the XML holds a DOCTYPE, which is refused", "XML 含有 DOCTYPE，拒收"),
    "xml_broken": (E, "the XML is broken: {reason}", "XML 不完整或有误：{reason}"),
    "xml_too_deep": (E, "elements are nested deeper than {limit}", "XML 嵌套超过 {limit} 层"),
    "field_missing": (E, "{name} is missing", "缺少 {name}"),
    "field_unreadable": (E, "{name} cannot be read: {excerpt}", "{name} 无法识别：{excerpt}"),
    "status_unknown": (W, "status {excerpt} is taken as pending", "状态 {excerpt} 按未入账处理"),
    "detail_direction": (W, "a detail says the other direction than its entry", "明细方向与分录方向不同"),
    # records: BAI2 and the fixed-width formats
    "record_order": (E, "record {record} cannot stand here", "记录 {record} 位置不对"),
    "record_width": (E, "the record has {found} characters, the format has {expected}", "记录长度为 {found}，格式要求 {expected}"),
    "account_differs": (E, "the record is of {found}, the statement of {expected}", "本记录属于 {found}，对账单属于 {expected}"),
    "part_missing": (W, "the trailer says that another part follows, and none does", "结尾记录声明后面还有部分，但文件到此为止"),
    "sign_zero": (E, "sign 0 is none of the standard's; read as credit", "符号 0 不在标准之内，按贷方处理"),
    "bank_differs": (E, "the record is of bank {found}, the statement of {expected}", "本记录属于银行 {found}，对账单属于 {expected}"),
    "closing_account_differs": (E, "the closing balance is of account {found}, the statement of {expected}", "期末余额属于账户 {found}，对账单属于 {expected}"),
    "record_count": (E, "the end record counts {declared} records, {found} stand there: equivalents or itself are counted otherwise", "结束记录声明 {declared} 条，实际 {found} 条：等值记录或自身的计数方式不同"),
    "report_only": (W, "no opening or no closing ledger balance: read as a report that closes no day", "缺少期初或期末账面余额：按不结日的中间报告处理"),
    "non_monetary": (N, "a record that moves no money is not a line", "不涉及资金的记录，不作为明细"),
    "group_not_data": (E, "group status {status} deletes or tests data; it is no statement", "组状态 {status} 为删除或测试，不是对账单"),
    "group_correction": (W, "the bank marks this group as a correction of data sent before", "银行标注本组为对此前数据的更正"),
    # ofx and qif
    "qif_profile": (E, "a QIF file states neither currency nor order of dates: load a profile of format qif", "QIF 文件不含币种与日期顺序，须提供 qif 版式"),
    "section_skipped": (N, "this section holds no movements of an account and is not read: {excerpt}", "该部分不是账户明细，未读取：{excerpt}"),
    "bank_error": (E, "the bank answers with status {status}: {excerpt}", "银行返回错误状态 {status}：{excerpt}"),
    "investment_skipped": (N, "an investment statement is not read", "投资账户对账单不读取"),
    "correction": (E, "{action} of the earlier transaction {excerpt}: to be applied by hand", "对此前交易 {excerpt} 的 {action}，须人工处理"),
    "reference_repeated": (W, "reference {excerpt} stands on two lines", "编号 {excerpt} 出现在两笔明细上"),
    "opening_derived": (N, "the opening balance is the ledger balance less the lines; the file states none", "期初余额由账面余额减去明细得出，文件未声明"),
    # mt940
    "field_order": (E, "field {tag} cannot stand here", "字段 {tag} 位置不对"),
    "no_end_mark": (E, "the message block is never closed", "报文块未结束"),
    "wrapped_field": (W, "field {tag} runs over a line break and was joined", "字段 {tag} 跨行，已合并"),
    "trailing_text": (W, "text after the amount is not used: {excerpt}", "金额之后的文字未采用：{excerpt}"),
}  # fmt: skip

#: Errors a profile may lower to warnings (``leniencies``): departures a bank is known for, which leave the balance identity to
#: prove the money. Nothing that says an amount, a date, a direction or a balance is wrong can be lowered.
LENIENCIES = frozenset({
    "sign_zero", "bank_differs", "closing_account_differs", "record_count", "control_count", "control_total", "no_end_mark",
    "footer_missing",
})  # fmt: skip

#: Account and card numbers, phone numbers, IBANs. Dates, amounts and line numbers stay readable.
_LONG_NUMBER = re.compile(r"[0-9]{11,}|\b[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}\b", re.ASCII)


def masked(text: str, length: int = EXCERPT_LENGTH) -> str:
    """``text`` on one line, cut to ``length``, long numbers masked but for their last four digits."""

    def hide(found: re.Match[str]) -> str:
        return "*" * (len(found[0]) - 4) + found[0][-4:]

    text = "".join(char if char.isprintable() else "\u00b7" for char in text[: length * 2])
    text = _LONG_NUMBER.sub(hide, text)
    return text if len(text) <= length else text[: length - 1] + "\u2026"


@dataclass(slots=True)
class Findings:
    """Collects findings of one file. ``statement`` is the index new findings belong to."""

    items: list[Finding] = field(default_factory=list)
    statement: int | None = None
    refused: set[int | None] = field(default_factory=set)
    lenient: frozenset[str] = frozenset()  # of LENIENCIES, what the profile in use lowers
    _counts: Counter[tuple[int | None, str]] = field(default_factory=Counter)

    def add(
        self,
        code: str,
        *,
        line: int | None = None,
        field: str | None = None,
        excerpt: str | None = None,
        offset: int | None = None,
        severity: Severity | None = None,
        **facts: object,
    ) -> None:
        """Add finding ``code``; ``facts`` fill its wording. ``excerpt`` is masked here."""
        default, english, chinese = CATALOGUE[code]
        severity = severity or default
        if severity is Severity.ERROR and code in self.lenient:
            severity = Severity.WARNING
        if severity is Severity.ERROR:
            self.refused.add(self.statement)
        key = (self.statement, code)
        self._counts[key] += 1
        if self._counts[key] > MOST_OF_ONE_CODE:
            return
        shown = None if excerpt is None else masked(excerpt)
        named = {"excerpt": shown, **facts}
        chinese_named = {name: named.get(f"{name}_zh", value) for name, value in named.items()}
        self.items.append(
            Finding(
                severity,
                code,
                english.format(**named),
                self.statement,
                line,
                offset,
                field,
                shown,
                chinese.format(**chinese_named),
            )
        )

    def errors_in(self, statement: int | None) -> bool:
        return statement in self.refused

    def finished(self) -> tuple[Finding, ...]:
        """All findings in the order of the file, with a count of those a flood cut off."""
        items = list(self.items)
        for (statement, code), count in self._counts.items():
            if count > MOST_OF_ONE_CODE:
                severity = CATALOGUE[code][0]
                name = "more_findings" if severity is Severity.ERROR else "more_remarks"
                _, english, chinese = CATALOGUE[name]
                facts = {"count": count - MOST_OF_ONE_CODE, "code": code}
                items.append(Finding(severity, name, english.format(**facts), statement, message_zh=chinese.format(**facts)))
        return tuple(sorted(items, key=lambda item: (item.line is None, item.line or 0)))


def amount_text(minor_units: int, currency: str | None) -> str:
    """An amount for a message: decimal text in the currency's decimals."""
    return format_minor_units(minor_units, exponent_of(currency) if currency else 2)
