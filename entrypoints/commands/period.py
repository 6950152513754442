"""``escrow ledger close-period|reopen-period|period``: closing months, and what was first reported beside what is right now."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.reading import Lang, Language
from wording import Said

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ledger.corrected import CorrectedRow


def add_periods(ledger_app: typer.Typer) -> None:
    """Add the commands to the ledger's commands."""
    ledger_app.command("close-period", epilog="Example: escrow --as zhang.prepare ledger close-period 2025-03")(close_command)
    ledger_app.command(
        "reopen-period",
        epilog="Example: escrow --as zhang.prepare ledger reopen-period 2025-03 --institution CODE --prepare --reason WHY",
    )(reopen_command)
    ledger_app.command("period", epilog="Example: escrow ledger period 2025-03 --by-account")(period_command)


def _month(value: str) -> date:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", value, re.ASCII) or value.startswith("0000"):
        raise typer.BadParameter(f"{value!r} is not a month such as 2025-03")
    return date(int(value[:4]), int(value[5:]), 1)


Month = Annotated[date, typer.Argument(parser=_month, metavar="MONTH", help="The month, such as 2025-03.")]
Institution = Annotated[
    str | None,
    typer.Option("--institution", metavar="CODE", help="One institution by its code; all in your scope when left out."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def close_command(
    month: Month,
    institution: Institution = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the closing.")] = "month over",
    lang: Lang = Language.EN,
    as_json: AsJson = False,
) -> None:
    """Close a month: nothing more is booked in it, and the balances it closes with are kept as first reported.

    Institutions whose month is closed already are left as they are. A mistake found later is corrected in an open month.
    """
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from ledger.period import close_period, closed_months
    from storage.audit import record
    from storage.roles import become_person
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.CLOSE_PERIOD)
    closed = []
    with open_books(settings, session=reading_session(principal)) as engine, engine.begin() as connection:
        wanted = _institutions(connection, institution)
        become_person(connection)
        for institution_id, code in wanted:
            if month in closed_months(connection, institution_id):
                continue
            event = close_period(connection, institution_id, month, now=utc_now(), actor=principal.user, reason=reason)
            closed.append({"institution": code, "month": f"{month:%Y-%m}", "last_batch": event.last_batch_id})
        if closed:
            record(
                connection,
                now=utc_now(),
                actor=principal.user,
                role=principal.role,
                act="cli:period:closed",
                object_kind="month",
                object_id=f"{month:%Y-%m}",
                details={"institutions": [one["institution"] for one in closed], "reason": reason},
            )
    if as_json:
        typer.echo(json.dumps({"closed": closed, "already_closed": len(wanted) - len(closed)}))
    else:
        new, before = len(closed), len(wanted) - len(closed)
        said = Said(
            f"{month:%Y-%m}: closed at {new} institutions, was closed at {before}",
            f"{month:%Y-%m}：{new} 家机构结账，{before} 家此前已结账",
        )
        typer.echo(said.text(lang))


def reopen_command(  # noqa: PLR0917 - the command line is the signature
    month: Month,
    institution: Annotated[str, typer.Option("--institution", metavar="CODE", help="Institution by its code.")],
    prepare: Annotated[bool, typer.Option("--prepare", help="Propose to reopen it (first person).")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Reopen it (second person).")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --prepare.")] = "",
    lang: Lang = Language.EN,
) -> None:
    """Reopen a closed month: one person prepares, another approves. It stays closed until then."""
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from ledger.period import prepare_reopening, reopen_period
    from storage.audit import record
    from storage.roles import become_person
    from supervision.rights import Right

    if prepare == approve:
        raise typer.BadParameter("give either --prepare or --approve", param_hint="--prepare")
    if prepare and not reason.strip():
        raise typer.BadParameter("say why with --reason", param_hint="--reason")
    settings = read_settings()
    principal = acting_principal(settings, Right.PREPARE_REOPENING if prepare else Right.APPROVE_REOPENING)
    act = prepare_reopening if prepare else reopen_period
    with open_books(settings, session=reading_session(principal)) as engine, engine.begin() as connection:
        ((institution_id, code),) = _institutions(connection, institution)
        become_person(connection)
        act(connection, institution_id, month, now=utc_now(), actor=principal.user, reason=reason or "approved")
        record(
            connection,
            now=utc_now(),
            actor=principal.user,
            role=principal.role,
            act="cli:period:reopening_prepared" if prepare else "cli:period:reopened",
            object_kind="month",
            object_id=f"{month:%Y-%m}",
            details={"institution": code, "reason": reason},
        )
    command = f"escrow --as USER ledger reopen-period {month:%Y-%m} --institution {code} --approve"
    said = (
        Said(
            f"{month:%Y-%m} stays closed at {code} until another person runs: {command}",
            f"{code} 的 {month:%Y-%m} 仍为已结账，直至另一人执行：{command}",
        )
        if prepare
        else Said(
            f"{month:%Y-%m} is open again at {code}; close it again when the correction stands",
            f"{code} 的 {month:%Y-%m} 已重新打开；更正入账后请再次结账",
        )
    )
    typer.echo(said.text(lang))


def period_command(
    month: Month,
    institution: Institution = None,
    by_account: Annotated[bool, typer.Option("--by-account", help="A row for each account instead of each kind.")] = False,
    as_json: AsJson = False,
) -> None:
    """A closed month as it was first reported beside as it is corrected now; exit 1 when they differ."""
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from ledger.corrected import compare_period
    from supervision.rights import Right

    settings = read_settings()
    principal = acting_principal(settings, Right.READ_LEDGER)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        wanted = None if institution is None else [one for one, _ in _institutions(connection, institution)]
        rows = compare_period(connection, month, institution_ids=wanted, by="account" if by_account else "kind")
    if as_json:
        typer.echo(json.dumps({"month": f"{month:%Y-%m}", "rows": [_as_json(row) for row in rows]}, ensure_ascii=False))
    else:
        _print(rows, month)
    if any(row.difference for row in rows):
        raise typer.Exit(1)


def _institutions(connection: Connection, code: str | None) -> list[tuple[int, str]]:
    """Number and code of the institutions a session may see that have books. Raises LookupError."""
    from sqlalchemy import select

    from escrow.tables import institution
    from ledger.tables import journal_head

    query = (
        select(institution.c.institution_id, institution.c.institution_code)
        .where(institution.c.institution_id.in_(select(journal_head.c.institution_id)))
        .order_by(institution.c.institution_id)
    )
    if code is not None:
        query = query.where(institution.c.institution_code == code)
    found = [(row[0], row[1]) for row in connection.execute(query)]
    if not found:
        raise LookupError(
            "no institution of your scope has books" if code is None else f"no institution {code} with books is in your scope"
        )
    return found


def _as_json(row: CorrectedRow) -> dict[str, str | int | None]:
    return {
        "account_id": row.row.account_id,
        "kind": row.row.kind,
        "subject": row.row.subject,
        "currency": row.first_reported.currency,
        "first_reported": row.first_reported.plain,
        "as_corrected": row.as_corrected.plain,
        "difference": row.difference.plain,
    }


def _print(rows: list[CorrectedRow], month: date) -> None:
    from rich.table import Table

    from entrypoints.screen import screen

    table = Table("account", title=f"{month:%Y-%m} at its end, on the normal side")
    for name in ("as first reported", "as corrected", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        name = f"{row.row.custody_account_id}:{row.row.kind}" if row.row.account_id else row.row.kind
        name += f":{row.row.subject}" if row.row.subject else ""
        difference = str(row.difference) if row.difference else ""
        table.add_row(name, str(row.first_reported), str(row.as_corrected), difference)
    screen().print(table)
