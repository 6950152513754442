"""``escrow statement quarantine|show|versions|replace|release|reject``: what is held back, and what two people decide."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.quarantine_shown import file_of, held_json, restatement_json, show_refused, show_restatement
from entrypoints.commands.reading import Lang, Language, readable_accounts

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciliation.quarantine import Desk
    from reconciliation.quarantine_store import Held
    from supervision.rights import Principal, Right

_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Number = Annotated[int, typer.Argument(metavar="ID", help="Its number, as escrow statement quarantine shows it.")]
_Numbers = Annotated[list[int], typer.Argument(metavar="ID...", help="Numbers, as escrow statement quarantine shows them.")]
_Prepare = Annotated[bool, typer.Option("--prepare", help="Propose it (first person).")]
_Approve = Annotated[bool, typer.Option("--approve", help="Approve it (another person).")]
_Reason = Annotated[str, typer.Option("--reason", help="Why; kept for the auditors.")]

#: Days back in which refused files are shown beside what is held back.
DAYS_SHOWN = 30


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to ``escrow statement``."""
    for name, command, example in (
        ("quarantine", list_quarantine, "Example: escrow statement quarantine --all --lang zh"),
        ("show", show, "Example: escrow statement show 3"),
        ("replace", replace, 'Example: escrow --as zhang.prepare statement replace 3 --prepare --reason "letter of the bank"'),
        ("release", release, 'Example: escrow --as zhang.prepare statement release 4 --prepare --reason "the bank confirmed"'),
        ("reject", reject, 'Example: escrow --as li.approve statement reject 4 --reason "the bank withdrew it"'),
    ):
        app.command(name, epilog=example)(command)


def list_quarantine(
    everything: Annotated[bool, typer.Option("--all", help="Decided ones and, of the last 30 days, refused ones too.")] = False,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """What is held back and why, with the command that comes next. Exit 1 when anything waits for a decision.

    --all adds what was refused for good: wrong in itself, so that nobody can let it through.
    """
    from entrypoints.clock import utc_now
    from reconciliation.quarantine import refused_for_good
    from reconciliation.quarantine_store import QuarantineState, held
    from reconciliation.quarantine_wording import GATE_TITLES, STATE_TITLES, next_step

    waiting = (QuarantineState.HELD, QuarantineState.PREPARED)
    with reading_books(as_user) as (connection, principal, numbers):
        found = [one for one in held(connection, states=None if everything else waiting) if _may_see(one, principal, numbers)]
        today = utc_now().date()
        first = today - timedelta(days=DAYS_SHOWN)
        refused = [
            one
            for one in (refused_for_good(connection, first, today) if everything else [])
            if principal.bank_code is not None or one.held_account_id is None or one.held_account_id in numbers
        ]
    for one in found:
        if as_json:
            typer.echo(json.dumps(held_json(one), ensure_ascii=False))
            continue
        typer.echo(f"{one.quarantine_id}: {one.account or '?'} {one.business_date or '?'}, {file_of(one)}")
        typer.echo(f"  {STATE_TITLES[one.state].text(lang)}: {GATE_TITLES[one.gate].text(lang)}")
        for reason in one.reasons:
            typer.echo(f"    {reason.text(lang)}")
        typer.echo(f"  {next_step(one).text(lang)}")
    for each in refused:
        show_refused(each, lang, as_json=as_json)
    if not found and not refused and not as_json:
        typer.echo("没有被隔离的对账单" if lang is Language.ZH else "nothing is held back")
    raise typer.Exit(1 if any(one.state in waiting for one in found) else 0)


def show(number: _Number, lang: Lang = Language.EN, as_user: _AsUser = None, as_json: _Json = False) -> None:
    """One statement held back: why, what it would change line by line, its history, and the command that comes next."""
    from reconciliation.model import Gate
    from reconciliation.quarantine import account_of
    from reconciliation.quarantine_store import events_of, find_held
    from reconciliation.quarantine_wording import GATE_TITLES, STATE_TITLES, next_step, nothing_to_replace
    from reconciliation.restating import plan_for, restatement_of
    from reconciliation.wording import clock

    with reading_books(as_user) as (connection, principal, numbers):
        one = find_held(connection, number)
        _require(one, principal, numbers)
        events = events_of(connection, number)
        restatement, plan = None, None
        if one.gate is Gate.RESTATED and one.state in _UNDECIDED:
            desk = _desk(connection, principal)
            restatement = restatement_of(connection, account_of(one, desk), one, desk.profiles)
            # A bank sees what it said; what rests on it in the books is not the bank's to see.
            if restatement is not None and principal.bank_code is None:
                plan = plan_for(connection, account_of(one, desk), [restatement])
    if as_json:
        body = held_json(one) | {
            "history": [
                {"event": each.event, "at": each.event_at.isoformat(), "by": each.actor, "reason": each.reason} for each in events
            ],
            **(restatement_json(restatement, plan) if restatement is not None else {}),
        }
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    typer.echo(f"{one.quarantine_id}: {one.account or '?'} {one.business_date or '?'}, {file_of(one)}")
    typer.echo(f"{STATE_TITLES[one.state].text(lang)}: {GATE_TITLES[one.gate].text(lang)}")
    for reason in one.reasons:
        typer.echo(f"  {reason.text(lang)}")
    if restatement is not None:
        show_restatement(restatement, plan, lang)
    elif one.gate is Gate.RESTATED and one.state in _UNDECIDED:
        typer.echo(f"  {nothing_to_replace(one).text(lang)}")
    for each in events:
        typer.echo(f"{clock(each.event_at)} {each.event} {each.actor}: {each.reason}")
    typer.echo(next_step(one).text(lang))


_UNDECIDED = ("held", "prepared", "rejected")


def replace(
    numbers: _Numbers,
    *,
    prepare: _Prepare = False,
    approve: _Approve = False,
    reason: _Reason = "",
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Put a restated statement in the place of the version in force: one person proposes, another approves.

    Several versions of one account are replaced at once, so that their balances follow each other. The old version stays; matches
    of lines that changed are undone and their postings reversed; the days open again and are compared anew.
    """
    from reconciliation.model import Gate

    _two_people(numbers, [Gate.RESTATED], prepare, approve, reason, lang, as_user, as_json=as_json)


def release(
    numbers: _Numbers,
    *,
    prepare: _Prepare = False,
    approve: _Approve = False,
    reason: _Reason = "",
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Let statements through a gate that two people may overrule: one proposes, another approves.

    A statement let through goes on exactly as if it had passed. What is wrong in itself is never let through.
    """
    from reconciliation.model import Gate

    gates = [gate for gate in Gate if gate is not Gate.RESTATED]
    _two_people(numbers, gates, prepare, approve, reason, lang, as_user, as_json=as_json)


def reject(
    number: _Number, reason: _Reason = "", lang: Lang = Language.EN, as_user: _AsUser = None, as_json: _Json = False
) -> None:
    """Turn down what is held back, proposed or not, with a reason. What counts stays as it is."""
    from reconciliation.quarantine import reject as reject_held
    from supervision.rights import Right

    with _acting(as_user, (Right.PREPARE_QUARANTINE, Right.APPROVE_QUARANTINE), [number], lang) as (connection, desk):
        one = reject_held(connection, number, desk, reason=reason)
    if as_json:
        typer.echo(json.dumps(held_json(one), ensure_ascii=False))
        return
    explain = "escrow discrepancy list --open --kind RESTATED"
    typer.echo(
        f"{number} 已退回；如有重报差错，仍须由两人说明：{explain}"
        if lang is Language.ZH
        else f"{number} is turned down; that the bank said two things is explained by two people: {explain}"
    )


def _two_people(  # noqa: PLR0917 - the command line is the signature
    numbers: Sequence[int],
    gates: Sequence[Any],
    prepare: bool,
    approve: bool,
    reason: str,
    lang: Language,
    as_user: str | None,
    *,
    as_json: bool,
) -> None:
    from reconciliation import quarantine
    from reconciliation.quarantine_wording import next_step
    from reports.wording import word
    from supervision.rights import Right

    if prepare == approve:
        said = "say --prepare --reason WHY (first person) or --approve (second person)"
        raise typer.BadParameter(said, param_hint="--prepare")
    right = Right.PREPARE_QUARANTINE if prepare else Right.APPROVE_QUARANTINE
    with _acting(as_user, (right,), numbers, lang, posts=approve) as (connection, desk):
        if prepare:
            found = quarantine.prepare(connection, numbers, gates, desk, reason=reason)
            done = []
        else:
            found = []
            done = [one for number in _firsts(connection, numbers) for one in quarantine.approve(connection, number, gates, desk)]
    for one in found:
        typer.echo(
            json.dumps(held_json(one), ensure_ascii=False) if as_json else f"{one.quarantine_id}: {next_step(one).text(lang)}"
        )
    for each in done:
        if as_json:
            body = held_json(each.held) | {"outcome": str(each.outcome), "outcome_reasons": [why.en for why in each.reasons]}
            typer.echo(json.dumps(body, ensure_ascii=False))
            continue
        typer.echo(f"{each.held.quarantine_id}: {word(str(each.outcome), lang)}")
        for why in each.reasons:
            typer.echo(f"  {why.text(lang)}")
        if each.held.business_date:
            following = f"escrow run-day {each.held.business_date}"
            typer.echo(f"  下一步：{following}" if lang is Language.ZH else f"  next: {following}")


def _firsts(connection: Connection, numbers: Sequence[int]) -> list[int]:
    """One number of each proposal: approving it approves all that was proposed with it."""
    from reconciliation.quarantine_store import held

    known: set[int] = set()
    found = []
    together = {one.quarantine_id: one.together_with for one in held(connection, quarantine_ids=list(numbers))}
    for number in numbers:
        if number not in known:
            found.append(number)
        known |= set(together.get(number, ()))
    return found


@contextmanager
def reading_books(as_user: str | None) -> Iterator[tuple[Connection, Principal, set[int]]]:
    """A connection that sees what the person may see, who the person is, and the numbers of the person's custody accounts."""
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings

    settings = read_settings(user=as_user)
    principal = acting_principal(settings)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as connection:
        yield connection, principal, {ref.custody_account_id for ref in readable_accounts(connection, principal)}


@contextmanager
def _acting(
    as_user: str | None, rights: Sequence[Right], numbers: Sequence[int], lang: Language, *, posts: bool = False
) -> Iterator[tuple[Connection, Desk]]:
    """A transaction of a person who holds one of the rights and may see what is decided about; a refusal ends with 1.

    ``posts``: what is decided may move money, which is the poster's work.
    """
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from reconciliation.quarantine import QuarantineRefused
    from reconciliation.quarantine_store import find_held
    from storage.roles import become_person, become_poster

    settings = read_settings(user=as_user)
    principal = acting_principal(settings)
    if not any(right in principal.rights for right in rights):
        principal = acting_principal(settings, rights[-1])
    try:
        with open_books(settings, session=reading_session(principal)) as engine, engine.begin() as connection:
            seen = {ref.custody_account_id for ref in readable_accounts(connection, principal)}
            for number in numbers:
                _require(find_held(connection, number), principal, seen)
            (become_poster if posts else become_person)(connection)
            yield connection, _desk(connection, principal)
    except QuarantineRefused as refused:
        for said in refused.reasons:
            typer.echo(said.text(lang), err=True)
        raise typer.Exit(1) from None


def _desk(connection: Connection, principal: Principal) -> Desk:
    from config.profiles import load_profiles
    from entrypoints.clock import utc_now
    from jobs.directory import account_directory
    from reconciliation.quarantine import Desk
    from reconciliation.resolving import Actor

    return Desk(account_directory(connection), load_profiles(), Actor(principal.user, principal.role), utc_now())


def _may_see(one: Held, principal: Principal, numbers: set[int]) -> bool:
    """A bank sees what it delivered, anybody else what is about an account in the own scope."""
    return one.sender_bank == principal.bank_code if principal.bank_code is not None else one.held_account_id in numbers


def _require(one: Held, principal: Principal, numbers: set[int]) -> None:
    from supervision.rights import NotAllowed
    from wording import Said

    if not _may_see(one, principal, numbers):
        raise NotAllowed(
            Said(
                f"quarantine {one.quarantine_id} is about an account that {principal.user} may not see; "
                "escrow statement quarantine shows your own",
                f"待核 {one.quarantine_id} 涉及的账户 {principal.user} 无权查看；本人可见的：escrow statement quarantine",
            )
        )
