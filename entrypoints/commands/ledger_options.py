"""What the commands that read the books take: days, instants, accounts, language; and how an account is found by its name."""

from __future__ import annotations

from datetime import date, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from entrypoints.report_desk import ReportDesk


def day_given(value: str) -> date:
    """A day as typed. Raises BadParameter."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not a date such as 2026-03-27") from None


def _instant(value: str) -> datetime:
    from calendars import BUSINESS_TIME_ZONE

    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is not an instant such as 2026-03-27T18:00+08:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=BUSINESS_TIME_ZONE)


AsOf = Annotated[
    date | None,
    typer.Option("--as-of", parser=day_given, metavar="DATE", help="Balances through this business day; else everything."),
]
KnownAt = Annotated[
    datetime | None,
    typer.Option(
        "--known-at", parser=_instant, metavar="INSTANT", help="Only what was posted by then (Shanghai time if no offset)."
    ),
]
CustodyAccount = Annotated[
    str | None, typer.Option("--account", metavar="CUSTODY", help="One custody account: the bank's number of it, or ours.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: Larger than any number the books give out.
LARGEST_NUMBER = 2**62

From = Annotated[date | None, typer.Option("--from", parser=day_given, metavar="DATE", help="First booking date.")]
To = Annotated[
    date | None, typer.Option("--to", "--as-of", parser=day_given, metavar="DATE", help="Only what is booked through this day.")
]


def custody_account_asked(desk: ReportDesk, wanted: str | None) -> int | None:
    """Our number of the custody account asked for, which the person must supervise. Raises LookupError and NotAllowed."""
    if wanted is None:
        return None
    found = custody_account_id(desk.connection, wanted)
    desk.require_custody_account(found)
    return found


def options_again(given: dict[str, object]) -> str:
    """Options as one would type them again; what was not given is left out."""
    import shlex

    def said(value: object) -> str:
        return shlex.quote(value.isoformat() if isinstance(value, date) else str(value))

    return "".join(f" {name} {said(value)}" for name, value in given.items() if value is not None)


def in_order(first: date | None, last: date | None) -> None:
    """Refuse a period that ends before it begins, as wrong usage."""
    if first is not None and last is not None and first > last:
        raise typer.BadParameter(f"{first} is after {last}", param_hint="--from")


def custody_account_id(conn: Connection, wanted: str) -> int:
    """Our number of a custody account, given by the bank's number of it or by ours. Raises LookupError."""
    from sqlalchemy import or_, select

    from escrow.tables import custody_account

    by_number = custody_account.c.account_number == wanted
    numeric = wanted.isascii() and wanted.isdecimal() and len(wanted) <= 9
    found = conn.execute(
        select(custody_account.c.custody_account_id, by_number).where(
            or_(by_number, custody_account.c.custody_account_id == int(wanted)) if numeric else by_number
        )
    ).all()
    exact = [row[0] for row in found if row[1]] or [row[0] for row in found]
    if len(exact) != 1:
        known = (
            conn.execute(select(custody_account.c.account_number).order_by(custody_account.c.account_number).limit(5))
            .scalars()
            .all()
        )
        what = "is kept by more than one bank; give our own number" if exact else "is not a custody account of these books"
        raise LookupError(f"{wanted} {what}" + (f"; there are, for example: {', '.join(known)}" if known and not exact else ""))
    return int(exact[0])


def ledger_account_id(conn: Connection, wanted: str) -> int:
    """Number of an account given by number or as CUSTODY:KIND[:SUBJECT]. Raises LookupError."""
    from ledger.store import accounts, find_account

    custody, kind, subject = (*wanted.split(":", 2), "", "")[:3]
    if not kind:
        if not (wanted.isascii() and wanted.isdecimal()):
            raise LookupError(
                f"{wanted!r} is neither an account's number nor CUSTODY:KIND[:SUBJECT], such as 1:prepayment_held:ORDER. {_CODES}"
            )
        if int(wanted) > LARGEST_NUMBER:
            raise LookupError(f"there is no account {wanted}. {_CODES}")
        try:
            return find_account(conn, int(wanted)).account_id
        except LookupError:
            raise LookupError(f"there is no account {wanted}. {_CODES}") from None
    ours = custody.isascii() and custody.isdecimal() and len(custody) <= 9
    known = accounts(conn, custody_account_id=int(custody)) if ours else []
    known = known or accounts(conn, custody_account_id=custody_account_id(conn, custody))
    for account in known:
        if (account.kind, account.subject) == (kind, subject):
            return account.account_id
    code = f"{known[0].custody_account_id if known else custody}:{kind}" + (f":{subject}" if subject else "")
    near = get_close_matches(code, [account.code for account in known], n=5, cutoff=0.5)
    near = near or sorted({account.code for account in known if not account.subject})
    raise LookupError(f"there is no account {code}; the nearest are: {', '.join(near)}. {_CODES}")


#: Which codes there are, and where they are listed.
_CODES = (
    "Codes: custody_cash, payable_to_institution and the like stand alone; prepayment_held takes the order, "
    "receipts_in_transit the channel. escrow ledger trial-balance --by account lists them"
)
