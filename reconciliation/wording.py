"""What reconciliation tells people, in English and in Chinese: every sentence stands here, once, in both.

A reason says what stands in the way and the command that takes it away, with the ids and dates at hand. An explanation in
Chinese follows from a discrepancy's kind and figures; the English one was stored when it was found and is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from calendars import BUSINESS_TIME_ZONE
from money import Money
from reconciliation.discrepancy import ACTS_BY_KIND, Act, Discrepancy, DiscrepancyKind, DiscrepancyRecord, DiscrepancyState
from reconciliation.model import CustodyAccountRef
from wording import Said


def clock(instant: datetime | None) -> str:
    """An instant as people here read it: Asia/Shanghai, to the minute, and saying so."""
    return f"{instant.astimezone(BUSINESS_TIME_ZONE):%Y-%m-%d %H:%M} (Shanghai)" if instant else ""


def sign_off_command(ref: CustodyAccountRef, day: date, step: str) -> str:
    """The command of one step of a sign-off: ``prepare`` or ``approve``."""
    return f"escrow --as USER reconciliation sign-off --date {day} --account {ref.account_number} --{step}"


def reopen_command(ref: CustodyAccountRef, day: date, step: str) -> str:
    """The command of one step of a reopening."""
    return f"escrow --as USER reconciliation reopen --date {day} --account {ref.account_number} --{step}"


# Why a day may not be signed off now.


def future_day(day: date, today: date) -> Said:
    """The day has not come."""
    return Said(
        f"{day} is in the future (today is {today}); give a day that is over",
        f"{day} 尚未到来（今天是 {today}）；请指定已结束的业务日",
    )


def statement_missing(ref: CustodyAccountRef, day: date, last: date | None) -> Said:
    """No statement of a working day counts; ``last`` is the day of the newest that does."""
    return Said(
        f"the statement for {day} has not been received"
        + (f" (the last is for {last})" if last else "")
        + f"; ask bank {ref.bank_code} for it, then: escrow statement receive FILE --sender {ref.bank_code}"
        f" and: escrow run-day {day}",
        f"尚未收到 {day} 的对账单"
        + (f"（最近一份为 {last}）" if last else "")
        + f"；请向 {ref.bank_code} 银行索取，收到后执行：escrow statement receive FILE --sender {ref.bank_code}，"
        f"再执行：escrow run-day {day}",
    )


def statement_waits(ref: CustodyAccountRef, day: date) -> Said:
    """A statement is kept, but one before it has not come."""
    return Said(
        f"the statement for {day} waits for one that comes before it; ask bank {ref.bank_code} for the earlier one",
        f"{day} 的对账单在等待其前一份；请向 {ref.bank_code} 银行索取前一份对账单",
    )


def never_reconciled(day: date) -> Said:
    """No run of the day exists."""
    return Said(f"{day} has not been reconciled; run: escrow run-day {day}", f"{day} 尚未对账；请执行：escrow run-day {day}")


def run_outdated(day: date) -> Said:
    """The newest run does not know everything."""
    return Said(
        f"data came after the last run of {day}; run it again: escrow run-day {day}",
        f"{day} 最近一次对账之后又有新数据；请重新执行：escrow run-day {day}",
    )


def earlier_day_not_signed(ref: CustodyAccountRef, day: date, state: str) -> Said:
    """Another day comes first; ``state`` is where its sign-off stands."""
    if state == "prepared":
        return Said(
            f"{day} comes before it and waits for approval; days are signed off in order: "
            f"{sign_off_command(ref, day, 'approve')}",
            f"在前的业务日 {day} 待复核；须按日期顺序签核：{sign_off_command(ref, day, 'approve')}",
        )
    return Said(
        f"{day} comes before it and is not signed off; days are signed off in order: {sign_off_command(ref, day, 'prepare')}",
        f"在前的业务日 {day} 尚未签核；须按日期顺序签核：{sign_off_command(ref, day, 'prepare')}",
    )


def discrepancy_open(one: Discrepancy, state: DiscrepancyState, prepared_by: str | None) -> Said:
    """A difference is not explained, or its explanation not approved."""
    shown, short = Money(one.amount_minor_units, one.currency), one.discrepancy_id[:8]
    if state is DiscrepancyState.PREPARED:
        return Said(
            f"{one.kind} {shown} of {one.since} is open: {prepared_by} proposed a resolution; another person approves: "
            f"escrow --as USER discrepancy approve {short}",
            f"{one.since} {one.kind.title_zh} {shown} 未结：{prepared_by} 已提出处理方案，须由他人复核："
            f"escrow --as USER discrepancy approve {short}",
        )
    return Said(
        f"{one.kind} {shown} of {one.since} is open; see what can be done: escrow discrepancy show {short}",
        f"{one.since} {one.kind.title_zh} {shown} 未结；可用处理方式见：escrow discrepancy show {short}",
    )


# Why an act on a day's sign-off is refused.


def prepared_already(ref: CustodyAccountRef, day: date, by: str | None, at: datetime | None) -> Said:
    """One person has proposed it; a second is awaited."""
    command = sign_off_command(ref, day, "approve")
    return Said(
        f"it was prepared by {by} on {clock(at)} already; another person approves: {command}",
        f"{by} 已于 {clock(at)} 编制；须由他人复核：{command}",
    )


def signed_already(ref: CustodyAccountRef, day: date, prepared_by: str | None, by: str | None, at: datetime | None) -> Said:
    """Two persons have signed it off."""
    command = f"{reopen_command(ref, day, 'prepare')} --reason WHY"
    who_en, who_zh = (f" (prepared by {prepared_by})", f"（编制：{prepared_by}）") if prepared_by else ("", "")
    return Said(
        f"it was signed off by {by}{who_en} on {clock(at)} already; nothing is left to do. To open it again: {command}",
        f"{by} 已于 {clock(at)} 签核{who_zh}，无需再办。如需重新打开：{command}",
    )


def reopening_waits(ref: CustodyAccountRef, day: date, by: str | None, why: str | None) -> Said:
    """It is signed off, and somebody has proposed to reopen it."""
    command = reopen_command(ref, day, "approve")
    return Said(
        f"it is signed off, and {by} has proposed to reopen it ({why}); another person approves that: {command}",
        f"该日已签核，{by} 已申请重新打开（{why}）；须由他人复核：{command}",
    )


def nobody_prepared(ref: CustodyAccountRef, day: date, superseded: str | None) -> Said:
    """There is nothing to approve; ``superseded`` says why an earlier sign-off counts no longer."""
    command = sign_off_command(ref, day, "prepare")
    why_en, why_zh = (
        (f" since its sign-off was superseded ({superseded})", f"（原签核已失效：{superseded}）") if superseded else ("", "")
    )
    return Said(f"nobody has prepared it{why_en}; first: {command}", f"尚无人编制{why_zh}；请先执行：{command}")


def same_person(ref: CustodyAccountRef, day: date, by: str) -> Said:
    """The preparer tries to approve."""
    command = sign_off_command(ref, day, "approve")
    return Said(
        f"{by} prepared it; another person must approve, with the role approver: {command}",
        f"{by} 是编制人；须由另一位复核人执行：{command}",
    )


def reconciled_after(ref: CustodyAccountRef, day: date, by: str | None) -> Said:
    """What was prepared is not the newest run."""
    command = sign_off_command(ref, day, "prepare")
    return Said(
        f"it was reconciled again after {by} prepared it; prepare it again: {command}",
        f"{by} 编制之后又重新对账；请重新编制：{command}",
    )


def not_signed_off(ref: CustodyAccountRef, day: date) -> Said:
    """There is nothing to reopen."""
    command = f"escrow reconciliation show --date {day} --account {ref.account_number}"
    return Said(
        f"only a day that is signed off can be reopened; where it stands: {command}",
        f"只有已签核的业务日才能重新打开；当前状态见：{command}",
    )


def reopening_needs_reason() -> Said:
    """A reopening without a reason."""
    return Said("reopening needs a reason (--reason WHY)", "重新打开须说明原因（--reason 原因）")


def no_reopening_proposed(ref: CustodyAccountRef, day: date) -> Said:
    """There is no proposal to approve."""
    command = f"{reopen_command(ref, day, 'prepare')} --reason WHY"
    return Said(f"nobody has proposed to reopen it; first: {command}", f"尚无人申请重新打开；请先执行：{command}")


def same_person_reopens(ref: CustodyAccountRef, day: date, by: str) -> Said:
    """The proposer of a reopening tries to approve it."""
    command = reopen_command(ref, day, "approve")
    return Said(f"{by} proposed it; another person must approve: {command}", f"{by} 是申请人；须由另一位复核人执行：{command}")


# Why an act on a discrepancy is refused.


def discrepancy_standing(record: DiscrepancyRecord) -> Said:
    """Where a discrepancy stands, who brought it there, and the command that is possible now."""
    short, kind = record.discrepancy.discrepancy_id[:8], record.discrepancy.kind
    proposal = record.proposal
    if proposal is not None:
        commands = f"escrow --as USER discrepancy approve {short} | escrow --as USER discrepancy reject {short} --reason WHY"
        return Said(
            f"discrepancy {short} ({kind}) is prepared: {proposal.prepared_by} proposed {proposal.act} ({proposal.reason}); "
            f"another person approves or rejects: {commands}",
            f"差错 {short}（{kind.title_zh}）待复核：{proposal.prepared_by} 提出“{ACT_TITLES[proposal.act].zh}”"
            f"（{proposal.reason}）；须由他人复核或退回：{commands}",
        )
    if record.state is DiscrepancyState.RESOLVED and record.act is not None:
        return Said(
            f"discrepancy {short} ({kind}) is resolved: {record.act}, prepared by {record.prepared_by}, approved by "
            f"{record.acted_by} on {record.state_on}; nothing is left to do. Its history: escrow discrepancy show {short}",
            f"差错 {short}（{kind.title_zh}）已处理：{ACT_TITLES[record.act].zh}，编制 {record.prepared_by}，"
            f"复核 {record.acted_by}，{record.state_on}；无需再办。历史见：escrow discrepancy show {short}",
        )
    if record.state is DiscrepancyState.CLEARED:
        return Said(
            f"discrepancy {short} ({kind}) is cleared since {record.state_on} ({record.reason}); nothing is left to do. "
            f"Its history: escrow discrepancy show {short}",
            f"差错 {short}（{kind.title_zh}）已于 {record.state_on} 由后续数据解释；无需再办。"
            f"历史见：escrow discrepancy show {short}",
        )
    return Said(
        f"discrepancy {short} ({kind}) is open and nobody has proposed how to close it; {resolve_command(record).en}",
        f"差错 {short}（{kind.title_zh}）未结，尚无处理方案；{resolve_command(record).zh}",
    )


def resolve_command(record: DiscrepancyRecord) -> Said:
    """How an open discrepancy may be closed: the command, with the acts its kind admits."""
    short, acts = record.discrepancy.discrepancy_id[:8], "|".join(sorted(ACTS_BY_KIND[record.discrepancy.kind]))
    if not acts:
        return Said("it clears by itself when the data is right", "数据更正后自动消除")
    command = f"escrow --as USER discrepancy resolve {short} --act {acts} --reason WHY"
    return Said(f"propose one: {command}", f"提出处理方案：{command}")


# What comes next.


def superseded(why: str | None) -> Said:
    """An earlier sign-off counts no longer; ``why`` carries when and for what."""
    return Said(f"its sign-off was superseded on {why}; two people sign it off again", f"原签核已失效（{why}）；须由两人重新签核")


def may_be_prepared(ref: CustodyAccountRef, day: date) -> Said:
    """Nothing stands against a sign-off."""
    command = sign_off_command(ref, day, "prepare")
    return Said(f"nothing stands against its sign-off; next: {command}", f"无未决事项，可以编制签核：{command}")


def more_reasons(ref: CustodyAccountRef, count: int) -> Said:
    """Reasons that are not listed."""
    command = f"escrow discrepancy list --open --account {ref.account_number}"
    return Said(f"and {count} more reasons: {command}", f"另有 {count} 项：{command}")


# Why a sign-off counts no longer.


def found_afterwards(one: Discrepancy) -> Said:
    """A discrepancy that dates from a signed-off day was found."""
    short = one.discrepancy_id[:8]
    return Said(
        f"{one.kind} of {one.since} was found: discrepancy {short}", f"发现 {one.since} 的差错（{one.kind.title_zh}）：{short}"
    )


def statement_afterwards(day: date, file_id: int, outcome: str) -> Said:
    """The bank said something new about a signed-off day."""
    return Said(f"a statement for {day} came afterwards: file {file_id}, {outcome}", f"其后又收到 {day} 的对账单：文件 {file_id}")


def lines_counted(new: int, absorbed: int | None) -> Said:
    """How many lines of a statement count, and how many further ones its export repeats."""
    if absorbed is None:
        return Said(f"{new} lines", f"{new} 笔")
    return Said(
        f"{new} lines of {new + absorbed} ({absorbed} were reported before and absorbed)",
        f"{new + absorbed} 笔中计入 {new} 笔（其余 {absorbed} 笔此前已报送）",
    )


def absorbed_line(row: Mapping[str, Any], amount: Money) -> Said:
    """One line of an export that was reported before, and where."""
    moved = f"{'+' if row['direction'] == 'IN' else '-'}{amount.grouped}"
    reference = f" {row['bank_reference']}" if row["bank_reference"] else ""
    return Said(
        f"{row['file_name']} line {row['file_line']}: {row['booking_date']} {moved}{reference}, reported for "
        f"{row['reported_for']} in {row['reported_in']} line {row['reported_line']}",
        f"{row['file_name']} 第 {row['file_line']} 行：{row['booking_date']} {moved}{reference}，已在 {row['reported_for']} 的 "
        f"{row['reported_in']} 第 {row['reported_line']} 行报送",
    )


def nothing_absorbed(account: str, day: date) -> Said:
    """No export of a day repeats what counts."""
    return Said(
        f"no statement of {account} for {day} repeats lines reported before; escrow statement versions shows what was kept",
        f"{account} {day} 的对账单没有重复此前已报送的明细；留存的对账单见：escrow statement versions",
    )


def another_outcome(day: date, run_id: int) -> Said:
    """A later run of a signed-off day found something else."""
    return Said(f"{day} was reconciled again with another outcome: run {run_id}", f"{day} 重新对账，结果不同：对账批次 {run_id}")


def earlier_reopened(day: date, why: str | None) -> Said:
    """Two persons have reopened a day before it."""
    return Said(f"{day}, which comes before it, was reopened: {why}", f"在前的业务日 {day} 已重新打开：{why}")


# What a discrepancy is about, in Chinese.

_K = DiscrepancyKind
_EXPLANATION_ZH: dict[DiscrepancyKind, str] = {
    _K.MISSING_IN_BANK: "账面应有 {amount}，时限已过，银行流水中未见",
    _K.MISSING_IN_LEDGER: "银行流水 {amount} 带有平台参考号，账面无对应记录",
    _K.UNIDENTIFIED_RECEIPT: "银行收款 {amount}，无法认定付款人或订单",
    _K.UNEXPLAINED_PAYMENT: "银行付款 {amount}，无对应的拨付或退费指令",
    _K.AMOUNT_MISMATCH: "参考号相同，银行与账面金额相差 {difference}（涉及 {amount}）",
    _K.DIRECTION_MISMATCH: "参考号相同，借贷方向相反（{amount}）",
    _K.CURRENCY_MISMATCH: "参考号相同，币种不同（{amount}）",
    _K.DUPLICATE_BANK: "银行对同一笔业务重复入账 {amount}",
    _K.DUPLICATE_LEDGER: "账面对同一笔业务重复记录 {amount}",
    _K.FEE_VARIANCE: "渠道结算金额与约定手续费相差 {difference}（涉及 {amount}）",
    _K.TIMING: "{amount} 尚在到账时限之内",
    _K.LATE: "{amount} 在到账时限之后到账",
    _K.AMBIGUOUS: "{amount} 有不止一种可能的对应关系，须由人认定",
    _K.BANK_INTEREST: "银行结息 {amount}",
    _K.BANK_CHARGE: "银行收费 {amount}",
    _K.RETURNED: "银行退汇或冲正 {amount}",
    _K.STATEMENT_MISSING: "未收到 {since} 的对账单",
    _K.STATEMENT_GAP: "{since} 的对账单与前一份之间有缺号或缺日，差额 {difference}",
    _K.CONTINUITY_BREAK: "{since} 对账单的期初余额与上期期末余额相差 {difference}",
    _K.BALANCE_BREAK: "{since} 对账单自身的余额滚算不平，相差 {difference}",
    _K.RESTATED: "{since} 已有对账单，又收到内容不同的一份；由两人决定以哪一份为准",
    _K.DUPLICATE_FILE: "{since} 的对账单再次收到，未重复计入",
    _K.CASH_DIFFERENCE: "银行期末余额减未认定流水后，与账面托管存款相差 {difference}",
    _K.COVERAGE_SHORTFALL: "托管资金不足以覆盖应付款项，缺口 {amount}",
}

#: How a discrepancy was or is to be closed, for people.
ACT_TITLES: dict[Act, Said] = {
    Act.POST_TO_SUSPENSE: Said("post to suspense", "挂账"),
    Act.ACCEPT_LATE: Said("accept late", "认可逾期到账"),
    Act.MATCH_MANUALLY: Said("match by hand", "人工勾对"),
    Act.REVERSE: Said("reverse", "冲销"),
    Act.BOOK_BANK_INTEREST: Said("book bank interest", "登记结息"),
    Act.BOOK_BANK_CHARGE: Said("book bank charge", "登记银行收费"),
    Act.CLAIM_FROM_BANK: Said("claim from bank", "向银行追回"),
    Act.CHARGE_FEE_TO_INSTITUTION: Said("charge fee to institution", "手续费由机构补足"),
    Act.SETTLE_FROM_SUSPENSE: Said("settle from suspense", "以暂收暂付款项核销"),
    Act.EXPLAIN: Said("explain", "说明"),
}


def explanation(one: Discrepancy, language: str) -> str:
    """What a discrepancy is about: the stored English sentence, or the Chinese one of its kind with its figures."""
    if language != "zh":
        return one.explanation
    return _EXPLANATION_ZH[one.kind].format(
        amount=Money(one.amount_minor_units, one.currency),
        difference=Money(one.difference_minor_units, one.currency),
        since=one.since,
    )
