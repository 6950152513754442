"""What people are told of holds, in English and in Chinese: why one is refused, what was done, what comes next."""

from __future__ import annotations

from wording import Said

_LIST = "escrow hold list"


def names_one_thing(scope: str) -> Said:
    """The hold names more, or something else, than its scope."""
    what = {"order": "订单", "class_hour": "订单与课时", "custody_account": "资金账户"}.get(scope, scope)
    return Said(f"a hold of scope {scope} names its {scope.replace('_', ' ')} and nothing else", f"该类冻结须且只须指明{what}")


def reason_wanted() -> Said:
    """Nobody said why."""
    return Said("a hold needs a reason: say why with --reason WHY", "冻结须注明原因：--reason 原因")


def stops_nothing() -> Said:
    """Neither releases nor refunds would stop."""
    return Said(
        "a hold stops releases, refunds or both; this one would stop nothing", "冻结须停止释放、退费或两者；本次两者均未停止"
    )


def no_order(institution_id: int, order_id: str) -> Said:
    """The institution has no such order."""
    return Said(f"institution {institution_id} has no order {order_id}", f"机构 {institution_id} 没有订单 {order_id}")


def no_class_hour(order_id: str, hours: int, given: int) -> Said:
    """The order has fewer class-hours."""
    return Said(
        f"order {order_id} has {hours} class-hours; give --class-hour 1 to {hours}, not {given}",
        f"订单 {order_id} 共 {hours} 课时；--class-hour 须为 1 至 {hours}，而不是 {given}",
    )


def no_account(institution_id: int, custody_account_id: int | None) -> Said:
    """The institution has no such custody account."""
    return Said(
        f"institution {institution_id} has no custody account {custody_account_id}",
        f"机构 {institution_id} 没有资金账户 {custody_account_id}",
    )


def lifting_reason_wanted() -> Said:
    """Nobody said why it is lifted."""
    return Said("lifting a hold needs a reason: say why with --reason WHY", "解除冻结须注明原因：--reason 原因")


def another_must_approve(hold_id: int, actor: str) -> Said:
    """Who proposed to lift it may not approve."""
    command = f"escrow --as USER hold lift {hold_id} --approve"
    return Said(
        f"hold {hold_id} cannot be lifted: {actor} prepared it, another person must approve: {command}",
        f"冻结 {hold_id} 不能解除：{actor} 是申请人，须由另一人复核：{command}",
    )


def nobody_proposed(hold_id: int) -> Said:
    """Nobody has proposed to lift it."""
    command = f"escrow --as USER hold lift {hold_id} --prepare --reason WHY"
    return Said(
        f"hold {hold_id} cannot be lifted: somebody must first propose to lift it: {command}",
        f"冻结 {hold_id} 不能解除：须先有人申请：{command}",
    )


def not_in_force(hold_id: int, institution_id: int | None = None) -> Said:
    """There is no such hold, or it was lifted."""
    if institution_id is None:
        return Said(f"no hold {hold_id} is in force; {_LIST} shows those that are", f"冻结 {hold_id} 未生效；有效冻结见：{_LIST}")
    return Said(
        f"institution {institution_id} has no hold {hold_id} in force; those that are: {_LIST}",
        f"机构 {institution_id} 没有有效的冻结 {hold_id}；有效冻结见：{_LIST}",
    )


def which_order(order_id: str, found: int) -> Said:
    """No order, or several, are called so."""
    command = "escrow ledger trial-balance --by account"
    return Said(
        f"{found or 'no'} orders are called {order_id!r}; give the order id as it was imported: "
        f"{command} shows them as prepayment_held:ORDER",
        f"名为 {order_id} 的订单有 {found} 个；请给出导入时的订单号：{command} 以 prepayment_held:订单号 列出",
    )


# What an act has done, and what comes next.


def placed(hold_id: int) -> Said:
    """A hold is in force."""
    command = f"escrow --as USER hold lift {hold_id} --prepare --reason WHY"
    return Said(f"hold {hold_id} is in force; to lift it: {command}", f"冻结 {hold_id} 已生效；解除：{command}")


def lift_proposed(hold_id: int) -> Said:
    """Its lifting waits for a second person."""
    command = f"escrow --as USER hold lift {hold_id} --approve"
    return Said(
        f"hold {hold_id} stays in force until another person runs: {command}",
        f"冻结 {hold_id} 继续有效，直至另一人执行：{command}",
    )


def lifted(hold_id: int) -> Said:
    """A hold is lifted."""
    return Said(f"hold {hold_id} is lifted", f"冻结 {hold_id} 已解除")
