"""``escrow explain``: from an id a report prints to its source, and back up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.reading import Lang, Language

if TYPE_CHECKING:
    from entrypoints.report_desk import ReportDesk
    from entrypoints.settings import Settings
    from reports.explanation import Explanation, Thing
    from reports.explanation_ids import Named
    from supervision.rights import Principal


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "explain",
        epilog="Examples: escrow explain ORD-1; escrow explain 1.12.3 --lang zh; escrow explain discrepancy/3f9a01 --json",
    )(explain_command)


def explain_command(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="As reports print it: a transfer (id, or 1.12.3), a batch (1.12), an order, a class-hour (ORDER#3), a refund "
            "request, an instruction; a bank line, match or discrepancy (its first 6 characters do). KIND/ID tells kinds apart.",
        ),
    ],
    institution: Annotated[
        int | None, typer.Option("--institution", metavar="NUMBER", help="Whose, when several have such an id.", min=1)
    ] = None,
    personal: Annotated[
        bool, typer.Option("--personal", help="Show what names payers too; who looked is written into the audit log.")
    ] = False,
    lang: Lang = Language.EN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What stands behind an id: what it rests on, its transfers, and what rests on it.

    Down to the order, confirmation or bank line with the SHA-256 of its file and the line in it; who did it, by which rules.
    """
    from entrypoints.acting import acting_principal
    from entrypoints.settings import read_settings
    from reports.explanation import as_json as in_json

    settings = read_settings()
    principal = acting_principal(settings)
    if principal.bank_code is not None:
        explanation = _explained_to_bank(settings, principal, identity, institution=institution, personal=personal)
    else:
        explanation = _explained(settings, identity, institution=institution, personal=personal)
    if as_json:
        typer.echo(json.dumps(in_json(explanation), ensure_ascii=False))
    else:
        _print(explanation, lang)


def _explained(settings: Settings, identity: str, *, institution: int | None, personal: bool) -> Explanation:
    from entrypoints.personal_data import record_reading
    from entrypoints.report_desk import report_desk
    from reports.explanation import explain
    from reports.explanation_ids import find

    with report_desk(settings) as desk:
        named = find(desk.connection, identity, institution_id=institution)
        _require_in_scope(desk, named)
        if personal:
            told = {"institution_id": named.institution_id, "command": "escrow explain"}
            record_reading(desk.engine, desk.principal, desk.now, named.kind, named.identity, **told)
        return explain(desk.connection, named, personal=personal)


def _require_in_scope(desk: ReportDesk, named: Named) -> None:
    """The first fence; the second, in the database, has hidden the thing already."""
    from entrypoints.acting import lies_elsewhere
    from supervision.rights import NotAllowed
    from wording import Said

    if named.custody_account_id is not None:
        desk.require_custody_account(named.custody_account_id)
    elif desk.institution_ids is not None and named.institution_id not in desk.institution_ids:
        raise NotAllowed(lies_elsewhere(desk.principal, Said(str(named), str(named))))


def _explained_to_bank(
    settings: Settings, principal: Principal, identity: str, *, institution: int | None, personal: bool
) -> Explanation:
    """What a bank may know of an id: lines, discrepancies and instructions of its own accounts, without the books.

    Whatever else it asks for is unknown to it, and that it asked stands in the audit log. Raises LookupError, NotAllowed.
    """
    from config.roles import load_roster
    from entrypoints.acting import reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from reports.explanation import BANK_KINDS, explain_to_bank
    from reports.explanation_ids import find
    from storage import audit
    from supervision.rights import Right, require

    roster = load_roster()
    for right in (Right.READ_DISCREPANCY, Right.READ_INSTRUCTION, *([Right.READ_PERSONAL] if personal else [])):
        require(principal, right, roster=roster)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        try:
            return explain_to_bank(connection, find(connection, identity, institution_id=institution, kinds=BANK_KINDS))
        except LookupError:
            with engine.begin() as telling:
                audit.record(
                    telling,
                    now=utc_now(),
                    actor=principal.user,
                    role=principal.role,
                    act="cli:explain:unknown",
                    object_kind="id",
                    object_id=identity[:200],
                    details={"bank": principal.bank_code},
                )
            raise


_TITLES = {
    "rests_on": ("rests on", "依据"),
    "transfers": ("transfers", "转账"),
    "leads_to": ("leads to", "去向"),
}


def _print(explanation: Explanation, lang: Language) -> None:
    from reports.wording import word

    for one in explanation.asked:
        typer.echo(_told(one, lang))
    for section in explanation.sections:
        if not section.things:
            continue
        typer.echo(f"\n{_TITLES[section.name][lang is Language.ZH]}:")
        for one in section.things:
            typer.echo("  " + _told(one, lang))
        if section.more:
            typer.echo(f"  ... {word('and more', lang)}: {section.more:,}")
    typer.echo("")
    for hint in _next(explanation, lang):
        typer.echo(hint)


def _told(one: Thing, lang: Language) -> str:
    from reports.wording import word

    kind = word(one.kind.replace("_", " "), lang)
    facts = ", ".join(f"{word(name.replace('_', ' '), lang)} {_shown(name, value, lang)}" for name, value in one.facts.items())
    return f"{kind} {one.identity}: {facts}"


def _shown(name: str, value: Any, lang: Language) -> str:
    from datetime import datetime

    from money import Money
    from reconciliation.wording import clock
    from reports.wording import word

    if isinstance(value, Money):
        return str(value)
    if isinstance(value, datetime):
        return clock(value)
    return word(str(value), lang) if name in {"event", "state", "kind", "direction"} else str(value)


def _next(explanation: Explanation, lang: Language) -> list[str]:
    """The way on: each thing named above is asked for in the same way, and figures by their reports."""
    from reports.wording import word

    found = [word("each id above: escrow explain ID; an account's figure: escrow ledger account ACCOUNT", lang)]
    transfers = [one for section in explanation.sections if section.name == "transfers" for one in section.things]
    if explanation.named.kind == "transfer" or transfers:
        proved = explanation.named.identity if explanation.named.kind == "transfer" else transfers[0].identity
        found.append(f"{word('its proof', lang)}: escrow evidence transfer-proof {proved} --out proof.json")
    if explanation.masked:
        found.append(word("what names payers is masked: --personal shows it and is written into the audit log", lang))
    return found
