"""The user a command acts as: ``--as USER``, else ESCROW_USER, else the ``system`` user (imports and jobs only)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from entrypoints.settings import Settings, read_settings
from supervision.rights import NotAllowed, OutsideTerm, Principal, Right, require, require_jurisdiction, require_term
from wording import Said

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from storage.roles import Session


def acting_principal(settings: Settings, right: Right | str | None = None) -> Principal:
    """The acting principal, refused with NotAllowed when it is unknown, outside its term or lacks ``right``.

    A try outside the term is written into the audit log.
    """
    from calendars import BUSINESS_TIME_ZONE
    from config.roles import load_roster
    from entrypoints.clock import utc_now

    roster = load_roster()
    principal = roster.principal(settings.user or "system")
    now = utc_now()
    try:
        require_term(principal, now.astimezone(BUSINESS_TIME_ZONE).date())
    except OutsideTerm as refused:
        _write_down(settings, principal, refused, now)
        raise
    if right is not None:
        require(principal, right, roster=roster)
    return principal


def _write_down(settings: Settings, principal: Principal, refused: OutsideTerm, now: datetime) -> None:
    """Tell the audit log of a try outside a term. The refusal stands also where there are no books to write it into."""
    from entrypoints.bootstrap import open_books
    from storage.audit import record
    from storage.errors import StorageRefused

    try:
        with open_books(settings, session=whole_books_session()) as engine, engine.begin() as connection:
            record(
                connection,
                now=now,
                actor=principal.user,
                role=principal.role,
                act="cli:access:refused",
                object_kind="user",
                object_id=principal.user,
                details={"why": str(refused)},
            )
    except StorageRefused:
        return


def _term(principal: Principal) -> tuple[datetime | None, datetime | None]:
    """The first instant of a principal's term, and the first after it."""
    from calendars import BUSINESS_TIME_ZONE

    def begins(day: date) -> datetime:
        return datetime.combine(day, time.min, BUSINESS_TIME_ZONE)

    first, last = principal.first_day, principal.last_day
    return (begins(first) if first else None), (begins(last + timedelta(days=1)) if last else None)


def reading_session(principal: Principal) -> Session:
    """How a person's session reads: as the role of a bank, a supervisor or an auditor, and only what lies in the person's scope.

    The second fence, in the database; the first is ``require_in_scope`` and the rights. Who has no jurisdiction and no bank (the
    system, the platform's operator) reads as an auditor of everything.
    """
    from storage.roles import EVERYWHERE, Role, Session

    starts, ends = _term(principal)
    if principal.bank_code is not None:
        return Session(Role.BANK, bank=principal.bank_code, starts=starts, ends=ends)
    if principal.jurisdiction is None:
        return Session(Role.AUDITOR, EVERYWHERE, starts=starts, ends=ends)
    from config.policies import load_policies

    policies = load_policies()
    if len(policies.lineage(principal.jurisdiction)) == 1:
        inside = EVERYWHERE
    else:
        inside = tuple(
            code for code in policies.jurisdictions if principal.jurisdiction in [one.code for one in policies.lineage(code)]
        )
    role = Role.AUDITOR if principal.role == "auditor" else Role.SUPERVISOR
    return Session(role, inside, starts=starts, ends=ends)


def whole_books_session() -> Session:
    """How a session reads that must see everything, whoever asks: what is proved of a part proves nothing."""
    from storage.roles import EVERYWHERE, Role, Session

    return Session(Role.AUDITOR, EVERYWHERE)


@contextmanager
def acting_on_books(right: Right | str, *, write: bool = False) -> Iterator[tuple[Connection, Settings, Principal]]:
    """A connection to the books, for a user with that right; what is written is kept when the block ends well.

    The checkpoint log is one for all institutions, so the session sees all of it;
    what is shown of one account is refused by scope.
    """
    from entrypoints.bootstrap import open_books

    settings = read_settings()
    principal = acting_principal(settings, right)
    session = None if write else whole_books_session()
    with open_books(settings, session=session) as engine, engine.connect() as connection, connection.begin() as transaction:
        yield connection, settings, principal
        if not write:
            transaction.rollback()


def require_in_scope(connection: Connection, principal: Principal, custody_account_id: int) -> None:
    """Refuse a supervisor whose jurisdiction does not contain the custody account's institution. Raises NotAllowed."""
    if principal.jurisdiction is None:
        return
    from config.policies import load_policies
    from escrow.store import custody_accounts

    places = {one.jurisdiction_code for one in custody_accounts(connection) if one.custody_account_id == custody_account_id}
    if not places:  # the second fence hides it
        raise NotAllowed(lies_elsewhere(principal, Said("this custody account", "该资金账户")))
    (place,) = places
    require_jurisdiction(principal, [one.code for one in load_policies().lineage(place)])


def lies_elsewhere(principal: Principal, what: Said) -> Said:
    """Why a supervisor may not see or touch ``what``."""
    return Said(
        f"{principal.user} supervises {principal.jurisdiction}, and {what.en} lies elsewhere",
        f"{principal.user} 的监管辖区为 {principal.jurisdiction}，{what.zh}不在其内",
    )


def in_scope(connection: Connection, principal: Principal, custody_account_id: int) -> bool:
    """Whether the principal supervises the custody account; see require_in_scope."""
    try:
        require_in_scope(connection, principal, custody_account_id)
    except NotAllowed:
        return False
    return True


def institutions_in_scope(connection: Connection, principal: Principal) -> tuple[int, ...] | None:
    """The institutions whose books the principal supervises; None when that is all of them, also those to come."""
    if principal.jurisdiction is None:
        return None
    from sqlalchemy import text

    from config.policies import load_policies

    policies = load_policies()
    places = connection.execute(text("SELECT institution_id, jurisdiction_code FROM institution ORDER BY institution_id")).all()
    inside = {
        code: principal.jurisdiction in [one.code for one in policies.lineage(code)] for code in {place for _, place in places}
    }
    return None if all(inside.values()) else tuple(number for number, code in places if inside[code])
