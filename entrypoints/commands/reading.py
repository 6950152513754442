"""What reading commands share: the language they answer in, and whose accounts the acting person may see."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciliation.model import CustodyAccountRef
    from supervision.rights import Principal


class Language(StrEnum):
    """Language of what people read."""

    EN = "en"
    ZH = "zh"


Lang = Annotated[Language, typer.Option("--lang", help="Language of headings, names and sentences.")]


def readable_accounts(connection: Connection, principal: Principal, number: str | None = None) -> list[CustodyAccountRef]:
    """The custody accounts the principal may see: a bank's own, a jurisdiction's own; all of them or the one of ``number``.

    Says on standard error that there are more. Raises LookupError (no such account), NotAllowed (not in the scope).
    """
    from config.policies import load_policies
    from entrypoints.commands.day_argument import chosen_accounts
    from escrow.store import custody_accounts
    from supervision.rights import NotAllowed, require_bank, require_jurisdiction

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
                advice = "escrow ledger coverage lists your own; for this one act as another (--as USER)"
                raise NotAllowed(f"custody account {ref.account_number}: {refused}; {advice}") from None
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

    seen = readable_accounts(connection, principal)
    if len(seen) < len(chosen_accounts(connection, None)):
        numbers = ", ".join(ref.account_number for ref in seen[:5]) or "none"
        raise NotAllowed(
            f"{what} covers all custody accounts, and {principal.user} sees some only ({numbers}); "
            "name one with --account where the command takes it, or ask somebody who supervises all (--as USER)"
        )
