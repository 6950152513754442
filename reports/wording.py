"""The words of tables for people, in English and in Chinese: one place for both. Sentences stand in reconciliation/wording.py."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

#: English heading or word -> Chinese. A word that is not here is the same in both.
_ZH = {
    "account": "账户",
    "accounts": "账户数",
    "act": "处理方式",
    "actor": "操作人",
    "approved": "复核通过",
    "assigned": "指派",
    "auto_cleared": "自动消除",
    "age": "账龄（工作日）",
    "amount": "金额",
    "as known at": "截至记录时点",
    "as of": "截至",
    "at": "位置",
    "balance": "余额",
    "bank": "银行",
    "bank balance": "银行余额",
    "bank less books": "银行减账面",
    "bank line": "银行流水",
    "book item": "账面未达项",
    "booked": "记账日",
    "books' cash": "账面存款",
    "by": "操作人",
    "closing": "期末余额",
    "code": "代码",
    "closing balance": "期末余额",
    "Coverage at the end of": "资金覆盖，日终",
    "commented": "备注",
    "covered": "已覆盖",
    "credit": "贷方",
    "debit": "借方",
    "debits equal credits": "借贷平衡",
    "DEBITS DO NOT EQUAL CREDITS; run: escrow ledger verify": "借贷不平；请执行：escrow ledger verify",
    "difference": "差额",
    "disbursement": "拨付",
    "due": "应达日",
    "event": "事项",
    "hold": "冻结编号",
    "id": "编号",
    "Journal": "日记账",
    "kind": "类别",
    "line": "行",
    "lines": "流水",
    "missing": "未收到",
    "must be there": "应有资金",
    "named": "已具名差异",
    "no": "否",
    "no.": "序号",
    "no discrepancies": "无差错",
    "no holds in force": "无有效冻结",
    "NO STATEMENT": "无对账单",
    "now": "当前",
    "number": "编号",
    "open": "未决",
    "opened": "发现",
    "opening balance": "期初余额",
    "other account": "对方账户",
    "owner": "经办",
    "prepared": "待复核",
    "proven in transit": "已证实在途",
    "reason": "原因",
    "receipt": "收款",
    "refund": "退费",
    "rejected": "退回",
    "reopened": "重新出现",
    "received": "已收到",
    "Reconciliation of": "对账情况",
    "resolved": "已处理",
    "cleared": "已解释",
    "SHORT": "缺口",
    "sign-off": "签核",
    "signed off": "已签核",
    "since": "起始日",
    "since (Shanghai)": "起始时间（上海）",
    "state": "状态",
    "statement": "对账单",
    "stops": "停止",
    "strict": "严格口径",
    "superseded": "签核已失效",
    "surplus": "结余",
    "the beginning": "开始",
    "to": "至",
    "total": "合计",
    "Trial balance": "试算平衡表",
    "unexplained": "无名差额",
    "what": "对象",
    "would post": "拟记账",
    "yes": "是",
    # instructions to banks (escrow instruction)
    "came_back": "已退回在途",
    "returned": "资金已退回",
    "return_prepared": "退回待复核",
    "return_declined": "退回被驳回",
    "unanswered": "未答复",
    "pending": "处理中",
    "accepted": "已受理",
    "paid": "已付",
    "queried": "已查询",
    "recorded": "已记录",
    "repeated": "重复",
    "refused": "拒收",
    "reference": "编号",
    "day": "日期",
    "no instructions": "无指令",
    "working days": "个工作日",
    "no instruction waits for an answer": "无待答复的指令",
    "taken in before; nothing is recorded twice": "此前已接收，不重复记录",
    "next: ask the bank: escrow instruction query": "下一步：向银行查询：escrow instruction query",
    "next: the bank's statement must show it": "下一步：等待银行对账单出现该笔",
    "next: escrow --as USER instruction return REFERENCE --prepare --reason WHY": (
        "下一步：escrow --as USER instruction return REFERENCE --prepare --reason 原因"
    ),
    "next, another person: escrow --as USER instruction return REFERENCE --approve": (
        "下一步，由另一人复核：escrow --as USER instruction return REFERENCE --approve"
    ),
    "nothing is to be done: its money went back": "无需处理：资金已退回",
    "nothing is to be done: the bank's statement shows it": "无需处理：对账单已显示付款",
    "next: the bank took it back; resolve it: escrow discrepancy list --open": (
        "下一步：银行已退回付款，请处理差错：escrow discrepancy list --open"
    ),
}


def word(english: str, language: str) -> str:
    """A heading or word in the language asked for."""
    return _ZH.get(english, english) if language == "zh" else english


def item_titles(kind: str) -> tuple[str, str]:
    """The name of a kind of item in transit, English and Chinese."""
    return kind, word(kind, "zh")
