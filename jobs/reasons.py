"""Why a statement did not count, in Chinese: what ``reconciliation`` says in English is for the log and the desk as well.

A reason that is a finding of the reader has its Chinese wording with it. The intake's own sentences are told here by how they are
made; one this page does not know is told by the kind of its discrepancy, so a receipt never leaves its reader without a reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reconciliation.discrepancy import DiscrepancyKind
from reconciliation.model import Receipt, StatementReceipt

_MONEY, _DAY = r"(-?[0-9][0-9.,]*)", r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
_ADVICE = "请向银行索取更正后的文件再接收"
#: How the intake's sentences begin, and what they mean. Figures and days are taken over.
_SENTENCES: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.DOTALL), meaning)
    for pattern, meaning in (
        (r"account (.*?) is kept by (.*?); (.*?) may not deliver", "账户 {0} 开立在 {1}，{2} 无权报送"),
        (r"account (.*?) is not filed", "账户 {0} 未登记为监管账户；请先导入机构再接收本文件"),
        (r"a statement without opening and closing balance", "缺少期初或期末余额，无法证明完整；请向银行索取含两者的对账单"),
        (r"no closing date and no line says", "没有期末日期，明细也未说明属于哪一天；请向银行索取带日期的文件"),
        (r"the account is kept in (\S+), the statement in (.*?);", "账户币种为 {0}，对账单为 {1}；" + _ADVICE),
        (r"a booked line has no booking date", "有已记账明细缺少记账日期；" + _ADVICE),
        (rf"opening plus lines is not closing; {_MONEY} is", "期初余额加明细不等于期末余额，差额 {0}；" + _ADVICE),
        (rf"line (\d+): running balance {_MONEY}, computed {_MONEY};", "第 {0} 行余额为 {1}，计算应为 {2}；" + _ADVICE),
        (r"its reader refused it", "解析时被拒收；可用 escrow parse 查看原因"),
        (rf"it is for {_DAY}, which has not come", "对账单日期 {0} 尚未到来；请向银行索取正确的文件"),
        (r"ask the bank for a corrected file and receive that; of this one", _ADVICE + "；本文件仅留存原文，均不计入"),
        (r"a report of kind (\S+) has no booked balances", "此类报表（{0}）没有记账余额，不计入"),
        (r"file (\d+) brought the same statement", "文件 {0} 已送达同一份对账单，不重复计入"),
        (r"the same (.*?) came before as file (\d+)", "相同内容此前已作为文件 {1} 接收，不重复计入"),
        (rf"another statement for {_DAY} with other content", "{0} 的另一份内容不同的对账单已先到并在等待；请银行确认以哪份为准"),
        (
            rf"it opens with {_MONEY}, the books hold {_MONEY}",
            "期初余额 {0} 与账面 {1} 不符；请补送之前的对账单，或证明首份对账单的期初余额",
        ),
        (
            rf"it is for {_DAY}, but statements count through {_DAY}",
            "对账单日期 {0}，但截至 {1} 的对账单已计入；请银行确认，以后续日期的明细更正",
        ),
        (
            rf"it is number (\d+) for {_DAY}, but number (\d+) for {_DAY}",
            "编号 {0}（{1}）小于已计入的编号 {2}（{3}），编号倒退；请银行核实",
        ),
        (
            r"it is number (\d+), the last that counts is (\d+)",
            "编号为 {0}，最近已计入的是 {1}，中间缺号；请银行补送，补齐后自动计入",
        ),
        (
            rf"it opens with {_MONEY}, the previous one closed with {_MONEY}; ask .*? between {_DAY} and {_DAY}",
            "期初余额 {0}，上一份期末余额 {1}；请银行补送 {2} 至 {3} 之间的对账单",
        ),
        (
            rf"it opens with {_MONEY}, the previous one closed with {_MONEY}",
            "期初余额 {0} 与上一份期末余额 {1} 不符；请银行确认哪份有误并更正",
        ),
    )
)


def reasons_in_chinese(receipt: Receipt, one: StatementReceipt) -> list[str]:
    """The statement's reasons in Chinese, one for each English one and in the same order."""
    of_findings = {found.message: found.message_zh for found in receipt.findings if found.message_zh}
    return [_chinese(reason, of_findings, one.kind) for reason in one.reasons]


def _chinese(reason: str, of_findings: Mapping[str, str], kind: str | None) -> str:
    if reason in of_findings:
        return of_findings[reason]
    for pattern, meaning in _SENTENCES:
        if found := pattern.match(reason):
            return meaning.format(*found.groups())
    title = DiscrepancyKind(kind).title_zh if kind in tuple(DiscrepancyKind) else "未计入"
    return f"{title}：{reason}"
