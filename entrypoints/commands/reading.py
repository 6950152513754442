"""What reading commands share: the language they answer in, and whose accounts the acting person may see."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciliation.model import CustodyAccountRef
    from supervision.rights import Principal


LANGUAGE_VARIABLE = "ESCROW_LANG"


class Language(StrEnum):
    """Language of what people read."""

    EN = "en"
    ZH = "zh"


_at_work: list[Language] = []


def _keep(chosen: Language) -> Language:
    _at_work[:] = [chosen]
    return chosen


def language_at_work() -> str:
    """The language the command at work was told to answer in: refusals are told by the outermost fence (``entrypoints.cli``)."""
    return _at_work[0].value if _at_work else os.environ.get(LANGUAGE_VARIABLE, Language.EN.value)


Lang = Annotated[
    Language,
    typer.Option(
        "--lang", envvar=LANGUAGE_VARIABLE, callback=_keep, show_envvar=False,
        help=f"Language of headings, names and sentences (else {LANGUAGE_VARIABLE}, else en).",
    ),
]  # fmt: skip


def readable_accounts(connection: Connection, principal: Principal, number: str | None = None) -> list[CustodyAccountRef]:
    """The custody accounts the principal may see: a bank's own, a jurisdiction's own; all of them or the one of ``number``.

    Says on standard error that there are more. Raises LookupError (no such account), NotAllowed (not in the scope).
    """
    from config.policies import load_policies
    from entrypoints.commands.day_argument import chosen_accounts
    from escrow.store import custody_accounts
    from supervision.rights import NotAllowed, require_bank, require_jurisdiction
    from wording import Said

    wanted = chosen_accounts(connection, number)
    if principal.jurisdiction is None and principal.bank_code is None:
        return wanted
    policies = load_policies()
    places = {one.custody_account_id: one.jurisdiction_code for one in custody_accounts(connection)}
    seen = []
    for ref in wanted:
        try:
            require_bank(principal, ref.bank_code)
            require_jurisdiction(principal, [one.code for one in policies.lineage(places[ref.custody_account_id])])
        except NotAllowed as refused:
            if number is not None:
                raise NotAllowed(
                    Said(
                        f"custody account {ref.account_number}: {refused}; escrow ledger coverage lists your own; "
                        "for this one act as another (--as USER)",
                        f"资金账户 {ref.account_number}：{refused.text('zh')}；本人可见的账户：escrow ledger coverage；"
                        "本账户请换用户办理（--as USER）",
                    )
                ) from None
        else:
            seen.append(ref)
    if len(seen) < len(wanted):
        scope = f"bank {principal.bank_code}" if principal.bank_code else f"jurisdiction {principal.jurisdiction}"
        typer.echo(f"{len(seen)} of {len(wanted)} custody accounts: those of {scope}, as {principal.user} may see", err=True)
    return seen


def require_all_accounts(connection: Connection, principal: Principal, what: str) -> None:
    """Refuse what covers all books to somebody who sees some of them. Raises NotAllowed."""
    from entrypoints.commands.day_argument import chosen_accounts
    from supervision.rights import NotAllowed
    from wording import Said

    seen = readable_accounts(connection, principal)
    if len(seen) < len(chosen_accounts(connection, None)):
        numbers = ", ".join(ref.account_number for ref in seen[:5]) or "none"
        raise NotAllowed(
            Said(
                f"{what} covers all custody accounts, and {principal.user} sees some only ({numbers}); "
                "name one with --account where the command takes it, or ask somebody who supervises all (--as USER)",
                f"{what} 涵盖全部资金账户，而 {principal.user} 只能查看其中部分（{numbers}）；"
                "请用 --account 指明一个（如命令支持），或由监管全部账户的用户办理（--as USER）",
            )
        )
