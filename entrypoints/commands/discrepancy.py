"""``escrow discrepancy``: see what could not be explained, work on it, close it by two persons."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands import discrepancy_acts
from entrypoints.commands.discrepancy_acts import AsUser, Id, Json, echo_legs, legs_json
from entrypoints.commands.reading import Lang, Language, readable_accounts
from reconciliation.discrepancy import DiscrepancyKind

if TYPE_CHECKING:
    from reconciliation.discrepancy import DiscrepancyRecord

discrepancy_app = typer.Typer(
    name="discrepancy", help="Differences no rule could explain: see them, work on them, close them.", no_args_is_help=True
)


class StateFilter(StrEnum):
    """Which states a list shows."""

    OPEN = "open"
    PREPARED = "prepared"
    RESOLVED = "resolved"
    CLEARED = "cleared"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    discrepancy_acts.add_to(discrepancy_app)
    app.add_typer(discrepancy_app)


@discrepancy_app.command("list", epilog="Example: escrow discrepancy list --open --kind AMOUNT_MISMATCH")
def list_discrepancies(  # noqa: PLR0917 - the command line is the signature
    date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only those that date from this day.")] = None,
    account: Annotated[str | None, typer.Option(help="Account number.")] = None,
    kind: Annotated[list[DiscrepancyKind] | None, typer.Option(help="Only this kind; may be repeated.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those not closed yet.")] = False,
    state: Annotated[StateFilter | None, typer.Option(help="Only this state.")] = None,
    lang: Lang = Language.EN,
    as_user: AsUser = None,
    as_json: Json = False,
) -> None:
    """List discrepancies by account and day, oldest first. Exit 1 when any of those listed is open; show says what to do."""
    from rich.table import Table

    from config.calendars import load_calendar
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from money import Money
    from reconciliation.discrepancy import DiscrepancyState
    from reconciliation.discrepancy_store import records
    from reconciliation.resolution_posting import latest_day
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_DISCREPANCY)
    standing = [DiscrepancyState.OPEN, DiscrepancyState.PREPARED]
    states = [DiscrepancyState(state)] if state else standing if only_open else None
    calendar = load_calendar()
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        refs = {ref.custody_account_id: ref for ref in readable_accounts(connection, principal, account)}
        found = [
            one
            for one in records(
                connection,
                kinds=[str(one) for one in kind] if kind else None,
                states=states,
                on=date.date() if date else None,
            )
            if one.discrepancy.custody_account_id in refs
        ]
        until = {one.discrepancy.custody_account_id: latest_day(connection, one) for one in found}
    table = Table()
    for name in ("id", "account", "since", "kind", "amount", "difference", "age", "state", "owner"):
        table.add_column(word(name, lang), justify="right" if name in ("amount", "difference", "age") else "left")
    for one in found:
        what = one.discrepancy
        end = one.state_on if one.state not in standing else until[what.custody_account_id]
        age = calendar.working_days_between(what.since, end)
        if as_json:
            typer.echo(json.dumps(_as_json(one, refs[what.custody_account_id].account_number, age), ensure_ascii=False))
            continue
        amounts = [Money(units, what.currency).grouped for units in (what.amount_minor_units, what.difference_minor_units)]
        number = refs[what.custody_account_id].account_number
        kind_shown = what.kind.title_zh if lang is Language.ZH else str(what.kind)
        table.add_row(
            what.discrepancy_id[:8],
            number,
            str(what.since),
            kind_shown,
            *amounts,
            str(age),
            word(one.state, lang),
            one.owner or "",
        )
    if not as_json:
        screen().print(table if found else word("no discrepancies", lang))
        if found:
            typer.echo(word(f"what each is and how it may be closed: escrow discrepancy show {_short(found[0])}", lang))
    raise typer.Exit(1 if any(one.state in standing for one in found) else 0)


def _short(one: DiscrepancyRecord) -> str:
    return one.discrepancy.discrepancy_id[:8]


def _as_json(one: DiscrepancyRecord, account: str, age: int) -> dict[str, Any]:
    from money import Money

    what = one.discrepancy
    return {
        "id": what.discrepancy_id,
        "account": account,
        "since": what.since.isoformat(),
        "kind": str(what.kind),
        "title_en": what.kind.title_en,
        "title_zh": what.kind.title_zh,
        "currency": what.currency,
        "amount": Money(what.amount_minor_units, what.currency).plain,
        "difference": Money(what.difference_minor_units, what.currency).plain,
        "age_working_days": age,
        "state": str(one.state),
        "owner": one.owner,
        "act": str(one.act) if one.act else None,
        "prepared_by": one.prepared_by,
        "line_ids": list(what.line_ids),
        "item_ids": list(what.item_ids),
        "explanation": what.explanation,
    }


@discrepancy_app.command("show", epilog="Example: escrow discrepancy show 3f9a01 --lang zh")
def show(
    identity: Id,
    personal: Annotated[
        bool, typer.Option("--personal", help="Show what names payers too (--json); who looked is written into the audit log.")
    ] = False,
    lang: Lang = Language.EN,
    as_user: AsUser = None,
    as_json: Json = False,
) -> None:
    """One discrepancy: what it is, its evidence down to the line of the bank's file, its history, what can be done.

    What names payers is masked: --personal shows it to a person with the right to see it.
    """
    from config.calendars import load_calendar
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.personal_data import record_reading
    from entrypoints.settings import read_settings
    from reconciliation import wording
    from reconciliation.discrepancy import ACTS_BY_KIND, DiscrepancyState
    from reconciliation.discrepancy_store import events_of, find_record
    from reconciliation.evidence import evidence_of
    from reconciliation.resolution_posting import latest_day, preview
    from reports.wording import word
    from supervision.rights import Right

    settings = read_settings(user=as_user)
    principal = acting_principal(settings, Right.READ_DISCREPANCY)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        one = find_record(connection, identity)
        custody = str(one.discrepancy.custody_account_id)
        (ref,) = readable_accounts(connection, principal, custody)
        of_bank = principal.bank_code is not None  # a bank sees its own lines, not the supervisor's books
        if personal:
            about = one.discrepancy
            command = "escrow discrepancy show"
            record_reading(
                engine, principal, utc_now(), "discrepancy", about.discrepancy_id,
                institution_id=about.institution_id, command=command,
            )  # fmt: skip
        evidence = evidence_of(connection, one.discrepancy, books=not of_bank, personal=personal)
        events = events_of(connection, one.discrepancy.institution_id, one.discrepancy.discrepancy_id)
        standing = one.state in (DiscrepancyState.OPEN, DiscrepancyState.PREPARED)
        until = latest_day(connection, one) if standing else one.state_on
        age = load_calendar().working_days_between(one.discrepancy.since, until)
        legs = preview(connection, one, one.proposal.act, one.proposal.item_ids) if one.proposal and not of_bank else []
    body = _as_json(one, ref.account_number, age)
    body["evidence"] = evidence
    body["history"] = [
        {
            "event": str(e.event),
            "at": e.event_at.isoformat(),
            "actor": e.actor,
            "act": e.act,
            "owner": e.owner,
            "reason": e.reason,
        }
        for e in events
    ]
    body["possible_acts"] = sorted(str(act) for act in ACTS_BY_KIND[one.discrepancy.kind])
    body["entry"] = legs_json(legs)
    if as_json:
        typer.echo(json.dumps(body, ensure_ascii=False, default=str))
        return
    _echo_what(one, body, lang)
    for line in evidence["lines"]:
        typer.echo(
            f"  {word('bank line', lang)} {line['line_id'][:8]}: {line['direction']} {line['amount']} "
            f"{word('booked', lang)} {line['booking_date']}, "
            f"{line['file']} {word('line', lang)} {line['file_line']}, sha256 {line['sha256'][:16]}..."
        )
    for item in evidence["items"]:
        typer.echo(
            f"  {word('book item', lang)} {item['item_id']}: {word(item['kind'], lang)} {item['direction']} {item['amount']} "
            f"{word('due', lang)} {item['due_date']}, "
            f"{item['source']}" + (f" ({word('cleared', lang)})" if item["cleared"] else "")
        )
    for event in events:
        extra = " ".join(part for part in (event.act, event.owner and f"to {event.owner}", event.reason) if part)
        typer.echo(f"  {wording.clock(event.event_at)} {word(event.event, lang)}: {event.actor} {extra}".rstrip())
    echo_legs(legs, lang)
    typer.echo(wording.discrepancy_standing(one).text(lang))


def _echo_what(one: DiscrepancyRecord, body: dict[str, Any], lang: str) -> None:
    """What it is, in one language; the kind's name in both, because files and letters use either."""
    from reconciliation import wording
    from reports.wording import word

    typer.echo(f"{body['id']}\n{body['kind']}: {body['title_en']} {body['title_zh']}")
    facts = (
        ("account", body["account"]),
        ("since", body["since"]),
        ("age", body["age_working_days"]),
        ("state", word(body["state"], lang)),
        ("owner", one.owner or "-"),
        ("amount", f"{body['amount']} {body['currency']}"),
        ("bank less books", body["difference"]),
    )
    typer.echo(", ".join(f"{word(name, lang)} {value}" for name, value in facts))
    typer.echo(wording.explanation(one.discrepancy, lang))
