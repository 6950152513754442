"""Sentences about what is held back, in English and Chinese, each with the command that comes next."""

from __future__ import annotations

from datetime import date

from money import Money
from reconciliation.model import Gate
from reconciliation.quarantine_store import Held, QuarantineState
from reconciliation.wording import clock
from wording import Said

GATE_TITLES: dict[Gate, Said] = {
    Gate.RESTATED: Said("other content for a day already received", "重报对账单"),
    Gate.SEQUENCE: Said("its number does not follow", "编号不连续"),
    Gate.UNPROVED: Said("not proved by digest, signature or manifest", "摘要、签名或清单不符"),
    Gate.WRONG_SENDER: Said("delivered by another bank than keeps the account", "报送行与开户行不符"),
}

STATE_TITLES: dict[QuarantineState, Said] = {
    QuarantineState.HELD: Said("held back", "已隔离"),
    QuarantineState.PREPARED: Said("waits for a second person", "待复核"),
    QuarantineState.RELEASED: Said("let through", "已放行"),
    QuarantineState.REJECTED: Said("turned down", "已退回"),
    QuarantineState.OVERTAKEN: Said("another file said the same and counts", "已由其他文件取代"),
}


def verb_of(gate: Gate) -> str:
    """The command that lets a statement through a gate."""
    return "replace" if gate is Gate.RESTATED else "release"


def next_step(one: Held) -> Said:
    """The command that comes next for something held back."""
    number, verb = one.quarantine_id, verb_of(one.gate)
    if one.state is QuarantineState.PREPARED:
        command = (
            f"escrow --as USER statement {verb} {number} --approve | escrow --as USER statement reject {number} --reason WHY"
        )
        return Said(
            f"{one.prepared_by} proposed to let it through ({one.proposal_reason}); another person decides: {command}",
            f"{one.prepared_by} 已提出放行（{one.proposal_reason}），须由他人决定：{command}",
        )
    if one.state in (QuarantineState.RELEASED, QuarantineState.OVERTAKEN):
        return Said("nothing is left to do", "无需再办")
    command = (
        f"escrow --as USER statement {verb} {number} --prepare --reason WHY"
        f" | escrow --as USER statement reject {number} --reason WHY"
    )
    return Said(f"two people let it through, or one turns it down: {command}", f"由两人放行，或由一人退回：{command}")


def _command(one: Held, step: str) -> str:
    """The command of one step of letting it through."""
    return f"escrow --as USER statement {verb_of(one.gate)} {one.quarantine_id} {step}"


_PREPARE = "--prepare --reason WHY"


# Why an act on something held back is refused.


def another_command(one: Held) -> Said:
    """The other of the two commands lets it through."""
    command = _command(one, _PREPARE)
    return Said(
        f"quarantine {one.quarantine_id} is held back because: {GATE_TITLES[one.gate].en}; the command for it: {command}",
        f"隔离编号 {one.quarantine_id} 的原因：{GATE_TITLES[one.gate].zh}；应执行：{command}",
    )


def decided_already(one: Held) -> Said:
    """Nothing is left to decide."""
    return Said(
        f"quarantine {one.quarantine_id} is {STATE_TITLES[one.state].en}"
        + (f" since {clock(one.acted_at)} by {one.acted_by}" if one.acted_at else "")
        + f"; nothing is left to do. Its history: escrow statement show {one.quarantine_id}",
        f"隔离编号 {one.quarantine_id} {STATE_TITLES[one.state].zh}，无需再办；历史见：escrow statement show {one.quarantine_id}",
    )


def proposed_already(one: Held) -> Said:
    """One person has proposed it; a second is awaited."""
    command = _command(one, "--approve")
    return Said(
        f"{one.prepared_by} has proposed it already ({one.proposal_reason}); another person approves: {command}",
        f"{one.prepared_by} 已提出（{one.proposal_reason}）；须由他人复核：{command}",
    )


def nobody_proposed(one: Held) -> Said:
    """There is no proposal to approve."""
    command = _command(one, _PREPARE)
    return Said(f"nobody has proposed it; first: {command}", f"尚无人提出；请先执行：{command}")


def same_person_releases(one: Held, user: str) -> Said:
    """The proposer tries to approve."""
    command = _command(one, "--approve")
    return Said(
        f"{user} proposed it; another person must approve, with the role approver: {command}",
        f"{user} 是提出人；须由另一位复核人执行：{command}",
    )


def changed_since(one: Held) -> Said:
    """What it would do is not what was proposed."""
    command = _command(one, _PREPARE)
    return Said(
        f"what it would change is no longer what {one.prepared_by} proposed; look at it again and propose it anew: {command}",
        f"其影响已与 {one.prepared_by} 提出时不同；请重新查看并提出：{command}",
    )


def reason_wanted() -> Said:
    """An act without a reason."""
    return Said("say why with --reason WHY; it is kept for the auditors", "须说明原因：--reason 原因")


def one_account_at_once(numbers: list[int]) -> Said:
    """Several proposals of different accounts or gates."""
    shown = " ".join(str(one) for one in numbers)
    return Said(
        f"{shown} are not versions of one account's statements; give those of one account at once, others one by one",
        f"{shown} 不属于同一账户的重报对账单；请按账户分别执行",
    )


def no_account(one: Held) -> Said:
    """The account it is for is not filed, or no longer kept where it was."""
    return Said(
        f"account {one.account} is not filed as a custody account; import the institution first, then receive the file again",
        f"账户 {one.account} 未登记为监管账户；请先导入机构，再重新接收文件",
    )


def nothing_to_replace(one: Held) -> Said:
    """No statement of its day counts or waits any more."""
    return Said(
        f"no statement for {one.business_date} counts or waits that it could replace; receive the file again",
        f"{one.business_date} 没有可被替换的对账单；请重新接收文件",
    )


# Why a version cannot be put in the place of another.

_BOTH = "escrow --as USER statement replace ID ID --prepare --reason WHY"
_BOTH_ZH = "escrow --as USER statement replace ID ID --prepare --reason 原因"


def opens_otherwise(day: date, shown: Money, expected: Money, before: date | None) -> Said:
    """Its opening is not the closing before it."""
    if before is None:
        return Said(
            f"the new version for {day} opens with {shown.plain}, the account began with {expected.plain}; what it began with "
            "is proved and cannot be restated: ask the bank for a version that opens with it",
            f"{day} 的新版本期初为 {shown.plain}，账户期初余额 {expected.plain} 已经证明，不得重报；请向银行索取期初一致的版本",
        )
    return _does_not_follow(day, before, Said("opens", "期初"), shown, Said("closes", "期末"), expected)


def closes_otherwise(day: date, shown: Money, expected: Money, after: date) -> Said:
    """Its closing is not the opening after it."""
    return _does_not_follow(day, after, Said("closes", "期末"), shown, Said("opens", "期初"), expected)


def _does_not_follow(  # noqa: PLR0917 - two balances and what they are called
    day: date, neighbour: date, mine: Said, shown: Money, its: Said, expected: Money
) -> Said:
    return Said(
        f"the new version for {day} {mine.en} with {shown.plain}, the statement in force for {neighbour} {its.en} with "
        f"{expected.plain}; ask the bank for a new version of {neighbour} too and replace both at once: {_BOTH}",
        f"{day} 的新版本{mine.zh}为 {shown.plain}，{neighbour} 现行对账单{its.zh}为 {expected.plain}；"
        f"请向银行索取 {neighbour} 的新版本，并一起替换：{_BOTH_ZH}",
    )


def restated_twice(day: date) -> Said:
    """Two proposals for one day."""
    return Said(
        f"two of them are versions for {day}; give one, and turn the other down: "
        "escrow --as USER statement reject ID --reason WHY",
        f"其中两份都是 {day} 的版本；请只选一份，并退回另一份：escrow --as USER statement reject ID --reason 原因",
    )


def reversed_since(amount: Money, day: date) -> Said:
    """What a match of it posted was given back by another line of the bank."""
    return Said(
        f"a movement of {amount.plain} that it takes away was returned by a line of {day}, which would then return nothing; "
        f"ask the bank for a new version of {day} too and replace both at once: {_BOTH}",
        f"其中取消的一笔 {amount.plain} 已由 {day} 的流水退回；请向银行索取 {day} 的新版本，并一起替换：{_BOTH_ZH}",
    )


def month_closed(day: date) -> Said:
    """A reversal would be booked in a closed month."""
    month = f"{day:%Y-%m}"
    command = f"escrow --as USER ledger reopen-period {month} --prepare --reason WHY"
    return Said(
        f"what it takes away was booked on {day}, and {month} is closed; two people reopen the month first: {command}",
        f"所取消的分录记于 {day}，而 {month} 已结账；请先由两人重开该月：{command}",
    )


def money_moved_on(why: str) -> Said:
    """The money of a line that falls was disposed of since."""
    return Said(
        f"money of a line it takes away was settled out of suspense or otherwise used since ({why}); have that made good first, "
        "or turn the version down: escrow --as USER statement reject ID --reason WHY",
        f"所取消流水的资金其后已被使用（{why}）；请先补回，或退回该版本：escrow --as USER statement reject ID --reason 原因",
    )


def came_again(why: str) -> Said:
    """An item that a falling match had opened again was cleared since."""
    return Said(
        f"what a line it takes away had opened again was cleared by a later line ({why}); ask the bank for a new version of that "
        f"later day too and replace both at once: {_BOTH}",
        f"所取消流水重新打开的项目其后已由另一笔流水核销（{why}）；请向银行索取该日的新版本，并一起替换：{_BOTH_ZH}",
    )


def restated_by_two(day: date, prepared_by: str, approved_by: str) -> Said:
    """Why a sign-off counts no longer and a match has fallen."""
    return Said(
        f"the bank restated {day}; the new version was proposed by {prepared_by} and approved by {approved_by}",
        f"银行重报 {day} 的对账单；新版本由 {prepared_by} 提出，{approved_by} 复核",
    )
