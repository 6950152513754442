"""What jobs tell people, in English and in Chinese: their titles, the words of their results, why a file was passed over."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from wording import Said

#: By name of the job, what it does.
TITLES = {
    "collect": Said("receive statement files from the banks' drop folders", "接收各银行投递的对账单文件"),
    "reconcile": Said("compare bank side and book side; mark receipts funded", "银行与账面逐笔核对，确认到账"),
    "overdue": Said("name the statements that have not come by their deadline", "列出逾期未到的对账单"),
    "confirm": Said("deem confirmed what payers left unanswered", "家长逾期未答复的视同确认"),
    "expire": Said("free what pending transfers reserved past their last day", "解除已过期的待定转账占用"),
    "release": Said("release confirmed class-hours of funded orders", "释放已到账订单中已确认的课时"),
    "refund": Said("approve refunds agreed or deemed agreed", "审批已同意或视同同意的退费"),
    "disburse": Said("instruct the banks to pay out and to return", "向银行发出拨付与退费指令"),
    "send": Said("write instruction files to the banks' outgoing folders", "把指令文件放入各银行的发件夹"),
    "age": Said("count open discrepancies and their age", "统计未结差错及账龄"),
    "keep": Said("keep the day's balances for later questions what was known", "保存当日余额以备追溯查询"),
    "extend": Said("add the coming months to the journal", "为日记账预建后续月份"),
    "seal": Said("seal the evidence recorded since the last seal", "封存上次封存以来的证据"),
    "checkpoint": Said("sign where every journal and all evidence stand", "对日记账与证据的现状签名"),
    "archive": Said("write months closed long enough to files that prove themselves", "将结账已久的月份写成可自证的文件"),
    "verify": Said("derive every balance, digest and chain again", "重新推导全部余额、摘要与链"),
}

#: The figures of a job's result, as people read them.
_FIGURES_ZH = {
    "accounts": "账户数",
    "amount": "金额",
    "archived": "已归档",
    "bank_lines": "银行流水",
    "checkpoint": "检查点",
    "class_hours": "课时",
    "deemed_confirmed": "视同确认",
    "digest": "摘要",
    "disbursed": "拨付金额",
    "disbursements": "拨付",
    "discrepancies_cleared": "差错消除",
    "discrepancies_opened": "新增差错",
    "empty": "无可退金额",
    "entries": "记录数",
    "expired": "已过期",
    "faults": "不符",
    "files_accepted": "接收文件",
    "files_held": "待核文件",
    "files_placed": "放置文件",
    "files_refused": "拒收文件",
    "institutions": "机构",
    "matches": "匹配",
    "months_added": "新增月份",
    "note": "说明",
    "oldest_age_working_days": "最长账龄（工作日）",
    "on_hold": "冻结",
    "open_discrepancies": "未结差错",
    "orders_funded": "到账订单",
    "refunded": "退费金额",
    "refunds": "退费",
    "root": "根",
    "seal": "封存",
    "statements_missing": "缺少对账单",
    "statements_overdue": "逾期对账单",
    "unwritable": "无法写出",
    "waiting": "待归档",
    "withheld": "未释放",
    # why something is withheld
    "disputed": "有争议",
    "unconfirmed": "未确认",
    "unfunded": "未到账",
    "voided": "已作废",
}


def figure(name: str, language: str) -> str:
    """The name of a figure, or of a reason money was withheld, without its unit."""
    return _FIGURES_ZH.get(name, name) if language == "zh" else name.replace("_", " ")


def in_no_banks_folder(name: str, inbox: Path, bank_codes: Collection[str]) -> Said:
    """A file lies in the inbox itself."""
    codes = ", ".join(sorted(bank_codes))
    return Said(
        f"{name}: lies in no bank's folder; move it into {inbox}/BANK/ ({codes})",
        f"{name}：不在任何银行的文件夹内；请移入 {inbox}/银行代码/（{codes}）",
    )


def no_such_bank(name: str, bank_codes: Collection[str]) -> Said:
    """A folder of the inbox is no bank's."""
    codes = ", ".join(sorted(bank_codes))
    return Said(
        f"{name}/: no bank has this code; rename it to one of {codes}", f"{name}/：没有该代码的银行；请改名为其中之一：{codes}"
    )


def of_thing(name: str, why: Said) -> Said:
    """``why`` the thing of that name was passed over."""
    return Said(f"{name}: {why.en}", f"{name}：{why.zh}")


def cannot_be_read(why: str) -> Said:
    """The system lets nobody read or move it."""
    return Said(
        f"{why}; give this user the right to read and move it, and run again", f"{why}；请授予本用户读取与移动的权限后重试"
    )


def proof_missing(kinds: Collection[str]) -> Said:
    """What must lie beside it has not come."""
    listed = " and ".join(kinds)
    return Said(f"its {listed} has not come; it is received once that lies beside it", f"缺少随附的 {listed}；送达后即接收")


def not_ours(folder: str) -> Said:
    """Somebody put it where only the program puts files."""
    return Said(f"is no file we took in; move it out of {folder}/", f"不是本系统接收的文件；请移出 {folder}/")


LINK = Said("is a link; put the file itself there", "是链接；请放入文件本身")
FOLDER = Said("is a folder; move the files in it up", "是文件夹；请把其中的文件移到上一级")
NOT_REGULAR = Said("is not a regular file; remove it", "不是普通文件；请移除")
PROOF_ALONE = Said("belongs to no file here; deliver its file, or remove it", "没有对应的文件；请送达其文件，或移除")
UNFINISHED = Said("is still being written; it is received once it is renamed", "尚未写完；改名后即接收")
HIDDEN = Said("is a hidden file; rename it if it is a statement", "是隐藏文件；若为对账单请改名")
