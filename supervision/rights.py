"""Who may do what: roles, rights and the people who hold them (DESIGN.md 7; DOMAIN.md 5.1).

Maker-checker itself is enforced by the database (CHECK approved_by <> prepared_by); rights decide who may try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from wording import Refused, Said


class Right(StrEnum):
    """Acts a role may be allowed. The value is the word used in config/roles.yaml and in messages."""

    IMPORT_ORDERS = "orders.import"  # institutions, orders, class-hours, refund requests, channel settlements
    RECEIVE_STATEMENT = "statement.receive"
    RUN_RECONCILIATION = "reconciliation.run"
    RUN_JOB = "job.run"
    READ_DISCREPANCY = "discrepancy.read"  # a bank's operators: those of the bank's own accounts
    ASSIGN_DISCREPANCY = "discrepancy.assign"
    PREPARE_DISCREPANCY = "discrepancy.prepare"
    APPROVE_DISCREPANCY = "discrepancy.approve"
    PREPARE_SIGN_OFF = "signoff.prepare"
    APPROVE_SIGN_OFF = "signoff.approve"
    REOPEN_DAY = "signoff.reopen"
    PREPARE_QUARANTINE = "quarantine.prepare"  # to let through, replace or turn down a statement that is held back
    APPROVE_QUARANTINE = "quarantine.approve"
    PLACE_HOLD = "hold.place"
    PREPARE_HOLD_LIFT = "hold.prepare"
    APPROVE_HOLD_LIFT = "hold.approve"
    CLOSE_PERIOD = "period.close"
    PREPARE_REOPENING = "period.prepare"
    APPROVE_REOPENING = "period.approve"
    ANSWER_INSTRUCTION = "instruction.acknowledge"  # take in what a bank answers, and ask it
    READ_INSTRUCTION = "instruction.read"
    PREPARE_RETURN = "instruction.prepare"  # of a rejected instruction's money
    APPROVE_RETURN = "instruction.approve"
    READ_LEDGER = "ledger.read"
    READ_PERSONAL = "ledger.read_personal"  # what names payers, one thing at a time; each look is written into the audit log
    EXPORT = "ledger.export"
    EXPORT_PERSONAL = "ledger.export_personal"  # names and accounts of payers in an evidence pack, the banks' files as received
    CONFIGURE = "configuration.change"


@dataclass(frozen=True, slots=True)
class Principal:
    """The person or program acting. ``jurisdiction`` scopes supervisors, ``bank_code`` scopes bank operators.

    ``first_day`` and ``last_day`` (business days, both included) are the person's term; None: no end on that side.
    """

    user: str
    role: str
    rights: frozenset[Right]
    jurisdiction: str | None = None
    bank_code: str | None = None
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """All roles with their rights, and all known users (config/roles.yaml)."""

    rights_of_role: Mapping[str, frozenset[Right]]
    principals: Mapping[str, Principal]

    def principal(self, user: str) -> Principal:
        """The principal of that name. Raises NotAllowed for an unknown user."""
        try:
            return self.principals[user]
        except KeyError:
            known = ", ".join(sorted(self.principals))
            raise NotAllowed(
                Said(
                    f"no user {user!r}; known users: {known} (config/roles.yaml)",
                    f"没有用户 {user!r}；已登记的用户：{known}（config/roles.yaml）",
                )
            ) from None


class NotAllowed(Refused):
    """The acting user lacks the right, or the thing lies outside the user's scope."""


class OutsideTerm(NotAllowed):
    """The acting user's term has not begun, or is over."""


def require_term(principal: Principal, today: date) -> None:
    """Refuse outside the principal's term; ``today`` is a business day. Raises OutsideTerm."""
    who = f"{principal.user} ({principal.role})"
    if principal.first_day is not None and today < principal.first_day:
        raise OutsideTerm(
            Said(
                f"{who} may act from {principal.first_day} on; today is {today}",
                f"{who} 自 {principal.first_day} 起方可操作；今天是 {today}",
            )
        )
    if principal.last_day is not None and today > principal.last_day:
        setting = f"users.{principal.user}.until (config/roles.yaml)"
        raise OutsideTerm(
            Said(
                f"{who} could act through {principal.last_day}; today is {today}. Whoever renews the mandate sets {setting}",
                f"{who} 的授权已于 {principal.last_day} 到期；今天是 {today}。续期请设置 {setting}",
            )
        )


def require(principal: Principal, right: Right | str, *, roster: Roster | None = None) -> None:
    """Refuse unless the principal holds the right. Raises NotAllowed, naming the roles that do hold it."""
    wanted = Right(right)
    if wanted in principal.rights:
        return
    holders = sorted(role for role, rights in roster.rights_of_role.items() if wanted in rights) if roster else []
    advice = f"a user with role {' or '.join(holders)} can (--as USER)" if holders else "act as another user (--as USER)"
    advice_zh = f"可由以下角色的用户办理：{'、'.join(holders)}（--as USER）" if holders else "请换用户办理（--as USER）"
    raise NotAllowed(
        Said(
            f"{principal.user} ({principal.role}) may not do {wanted.value}; {advice}",
            f"{principal.user}（{principal.role}）无权执行 {wanted.value}；{advice_zh}",
        )
    )


def require_bank(principal: Principal, bank_code: str) -> None:
    """Refuse a bank operator acting for another bank. Raises NotAllowed."""
    if principal.bank_code is not None and principal.bank_code != bank_code:
        raise NotAllowed(
            Said(
                f"{principal.user} acts for bank {principal.bank_code} only, not for {bank_code}",
                f"{principal.user} 只代表银行 {principal.bank_code}，不能代表 {bank_code}",
            )
        )


def require_jurisdiction(principal: Principal, lineage: Iterable[str]) -> None:
    """Refuse a supervisor outside its jurisdiction subtree.

    ``lineage`` is the object's own jurisdiction followed by its parents up to the country. Raises NotAllowed.
    """
    codes = list(lineage)
    if principal.jurisdiction is not None and principal.jurisdiction not in codes:
        where = codes[0] if codes else "?"
        raise NotAllowed(
            Said(
                f"{principal.user} supervises {principal.jurisdiction}, which does not contain {where}",
                f"{principal.user} 的监管辖区为 {principal.jurisdiction}，不包含 {where}",
            )
        )
