"""What people are told of resolving discrepancies, in both languages: why it is refused, what was done, what comes next."""

from __future__ import annotations

from uuid import UUID

from money import Money
from reconciliation.discrepancy import Act, Discrepancy, DiscrepancyRecord
from reconciliation.wording import ACT_TITLES, resolve_command
from wording import Said


def _named(one: Discrepancy) -> Said:
    short = one.discrepancy_id[:8]
    return Said(f"{one.kind} {short}", f"差错 {short}（{one.kind.title_zh}）")


def no_resolution(act: Act, record: DiscrepancyRecord) -> Said:
    """The act is none of those its kind admits."""
    kind, next_step = record.discrepancy.kind, resolve_command(record)
    return Said(
        f"{act} is no resolution for {kind}; {next_step.en}",
        f"“{ACT_TITLES[act].zh}”不适用于“{kind.title_zh}”；{next_step.zh}",
    )


def reason_wanted() -> Said:
    """Nobody said why."""
    return Said("a resolution needs a reason: say why with --reason WHY", "处理须注明原因：--reason 原因")


def rejection_reason_wanted() -> Said:
    """Nobody said why it is turned down."""
    return Said("a rejection needs a reason: say why with --reason WHY", "退回须注明原因：--reason 原因")


def same_person(one: Discrepancy, act: Act, user: str) -> Said:
    """Who proposed it may not approve it."""
    short = one.discrepancy_id[:8]
    command = f"escrow --as USER discrepancy approve {short}"
    return Said(
        f"{user} prepared this resolution of {short} ({act}); another person must approve it: {command}",
        f"{user} 是差错 {short} 处理方案（{ACT_TITLES[act].zh}）的编制人；须由另一人复核：{command}",
    )


def not_about_a_line(record: DiscrepancyRecord) -> Said:
    """The act needs a bank line, and there is none."""
    named, next_step = _named(record.discrepancy), resolve_command(record)
    return Said(
        f"{named} is not about a bank line, and this act needs one; {next_step.en}",
        f"{named.zh}不涉及银行流水，而该处理方式需要流水；{next_step.zh}",
    )


def line_restated(one: Discrepancy) -> Said:
    """The bank has said something else about a line since."""
    named, command = _named(one), f"escrow run-day {one.since}"
    return Said(
        f"the bank has restated a line of {named}; compare the day again first: {command}",
        f"银行已更正{named.zh}中的流水；请先重新对账：{command}",
    )


def items_wanted() -> Said:
    """No open items of the account were named."""
    return Said(
        "name the open items of this account to match with (--item ID); escrow discrepancy show lists some",
        "请用 --item ID 指明本账户要勾对的未达项；escrow discrepancy show 会列出",
    )


def item_cleared(item: UUID, one: Discrepancy) -> Said:
    """An item is used up already."""
    command = f"escrow discrepancy show {one.discrepancy_id[:8]}"
    return Said(
        f"item {item} is cleared already; it cannot be matched or reversed again. Other items of the account: {command}",
        f"未达项 {item} 已核销，不能再次勾对或冲销。本账户其他未达项：{command}",
    )


def totals_differ(total: Money, line: Money) -> Said:
    """Items and line do not come to the same."""
    return Said(
        f"the items come to {total.plain}, the line is {line.plain}; they must be equal: name others with --item ID",
        f"所选未达项合计 {total.plain}，流水金额 {line.plain}，须相等；请用 --item ID 另选",
    )


def nothing_to_reverse(record: DiscrepancyRecord) -> Said:
    """It names no item of the books."""
    named, next_step = _named(record.discrepancy), resolve_command(record)
    return Said(
        f"{named} names no book item that could be reversed; give another act: {next_step.en}",
        f"{named.zh}没有可冲销的账面项目；请改用其他处理方式：{next_step.zh}",
    )


def came_back_otherwise() -> Said:
    """What came back is not the amount that was paid."""
    return Said("what came back is not what was paid; post it to suspense instead", "退回金额与付出金额不符；请改为挂账")


def paid_in_parts() -> Said:
    """One line cannot undo a payment of several parts."""
    return Said(
        "what came back was paid in parts, which one line cannot undo; post it to suspense instead",
        "原付款分笔支付，单笔流水不能冲销；请改为挂账",
    )


def money_gone(one: Discrepancy, why: str) -> Said:
    """The booking cannot be undone, because its money was used."""
    turn_down = f"escrow --as USER discrepancy reject {one.discrepancy_id[:8]} --reason WHY"
    return Said(
        f"the money was released or refunded in part, so its booking cannot be undone ({why}); "
        f"have it made good first, or turn this down: {turn_down}",
        f"该款已部分释放或退费，入账不能冲销（{why}）；请先补足，或退回本方案：{turn_down}",
    )


def suspense_too_low(one: Discrepancy, account: str, why: str) -> Said:
    """Suspense does not hold what would be taken from it. ``account``: its code."""
    look, turn_down = (
        f"escrow ledger account {account}",
        f"escrow --as USER discrepancy reject {one.discrepancy_id[:8]} --reason WHY",
    )
    return Said(
        f"suspense does not hold that much ({why}); what it holds: {look}. Turn this down: {turn_down}",
        f"挂账余额不足（{why}）；余额见：{look}。退回本方案：{turn_down}",
    )


def other_twins(one: Discrepancy) -> Said:
    """What was named is none of the twins."""
    named, listed = _named(one), ", ".join(one.item_ids)
    return Said(f"{named} is about {listed}; reverse one of these", f"{named.zh}涉及 {listed}；请冲销其中之一")


def one_twin_stays(still_open: list[UUID]) -> Said:
    """All of them would be reversed."""
    listed = ", ".join(str(item) for item in still_open)
    return Said(
        f"one of the twins must stay: name which to reverse with --item ID (open: {listed})",
        f"重复项须保留一笔：请用 --item ID 指明冲销哪一笔（未核销：{listed}）",
    )


def no_line_left(item: UUID, amount: Money, lines: int) -> Said:
    """No line of a group has the item's amount."""
    return Said(
        f"no line is left for item {item} of {amount.plain}: the discrepancy has {lines} lines, "
        "and each takes one item of its own amount; name the right ones with --item ID",
        f"没有可对应未达项 {item}（{amount.plain}）的流水：该差错有 {lines} 笔流水，"
        "每笔只对应一个同额未达项；请用 --item ID 另选",
    )


def ways_differ(line: str, direction: str) -> Said:
    """A line and an item move money in different directions."""
    way = {"IN": "收入", "OUT": "支出"}.get(direction, direction)
    return Said(
        f"line {line} moves {direction}; all lines and items must move the same way",
        f"流水 {line} 为{way}；所有流水与未达项方向须一致",
    )


def fee_only(difference: Money) -> Said:
    """Something other than a channel's fee is missing."""
    return Said(
        f"the items differ from the lines by {difference.plain}; only a channel's fee may be missing from a receipt",
        f"未达项与流水相差 {difference.plain}；收款只允许少渠道手续费",
    )


# What an act has done, and what comes next.


def assigned(record: DiscrepancyRecord) -> Said:
    """Somebody owns it now."""
    one, short = record.discrepancy, record.discrepancy.discrepancy_id[:8]
    command = f"escrow discrepancy show {short}"
    return Said(
        f"{short} {one.kind}: owner is {record.owner}; next: {command}",
        f"{short} {one.kind.title_zh}：经办人为 {record.owner}；下一步：{command}",
    )


def noted(record: DiscrepancyRecord) -> Said:
    """A remark was added."""
    short = record.discrepancy.discrepancy_id[:8]
    return Said(f"{short}: noted", f"{short}：已备注")


def proposed(record: DiscrepancyRecord, act: Act) -> Said:
    """A resolution waits for a second person."""
    one, short = record.discrepancy, record.discrepancy.discrepancy_id[:8]
    command = f"escrow --as USER discrepancy approve {short}"
    return Said(
        f"{short} {one.kind}: {act} proposed; another person approves: {command}",
        f"{short} {one.kind.title_zh}：已提出“{ACT_TITLES[act].zh}”；须由另一人复核：{command}",
    )


def approved(record: DiscrepancyRecord, cleared: int) -> Said:
    """A resolution was posted; ``cleared``: the items it used up."""
    one, short = record.discrepancy, record.discrepancy.discrepancy_id[:8]
    command = "escrow discrepancy list --open"
    act_zh = ACT_TITLES[record.act].zh if record.act else ""
    return Said(
        f"{short} {one.kind}: {record.act} approved; {cleared} items cleared, the account reconciled again. "
        f"What is left: {command}",
        f"{short} {one.kind.title_zh}：“{act_zh}”复核通过；核销 {cleared} 项，该账户已重新对账。尚未处理的：{command}",
    )


def turned_down(record: DiscrepancyRecord) -> Said:
    """A resolution was rejected."""
    one, short, next_step = record.discrepancy, record.discrepancy.discrepancy_id[:8], resolve_command(record)
    return Said(
        f"{short} {one.kind}: proposal rejected; it is open again; {next_step.en}",
        f"{short} {one.kind.title_zh}：方案已退回，差错重新未结；{next_step.zh}",
    )
