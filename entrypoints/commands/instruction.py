"""``escrow instruction``: what the banks were told to pay, what they answered, and how a rejected one's money goes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.reading import Lang, Language

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from escrow.instruction_events import AnswerFileReceipt
    from escrow.instructions import Instruction
    from supervision.rights import Principal

instruction_app = typer.Typer(
    name="instruction",
    help="What banks were told to pay, what they answered, and how a rejected payment's money goes back.",
    no_args_is_help=True,
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Bank = Annotated[str | None, typer.Option("--bank", metavar="BANK", help="Only this bank: its code or sender id.")]
_Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="The reference, as escrow instruction list shows it.")]
_Account = Annotated[str | None, typer.Option("--account", help="Account number, when two institutions use one reference.")]
_Day = Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Business day.")]


def register(app: typer.Typer) -> None:
    """Add ``instruction`` to the program."""
    app.add_typer(instruction_app)


@instruction_app.command("acknowledge", epilog="Example: escrow instruction acknowledge --sender ISB pain002-20260302.xml")
def acknowledge(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The bank's answers: pain.002, or a table.")],
    sender: Annotated[str, typer.Option(help="The bank that answers: its code or sender id (config/banks.yaml).")],
    lang: Lang = Language.EN,
    as_json: _Json = False,
) -> None:
    """Take in what a bank answers to instructions: accepted, rejected with its reason, or pending.

    The bytes are kept whatever follows; the same file again records nothing twice. Exit 1 when anything in it was refused.
    """
    from bank_adapters.bank_answers import MOST_ANSWER_BYTES
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from escrow.instruction_events import receive_answers
    from supervision.rights import Right, require_bank

    settings = read_settings()
    principal = acting_principal(settings, Right.ANSWER_INSTRUCTION)
    bank = _bank_code(sender, "--sender")
    require_bank(principal, bank)
    contents = []
    for path in files:
        with path.open("rb") as stream:
            contents.append((path.name, stream.read(MOST_ANSWER_BYTES + 1)))
    refused = False
    with open_books(settings) as engine:
        for name, data in contents:
            with engine.begin() as connection:
                told: dict[str, Any] = {"bank_code": bank, "actor": principal.user, "role": principal.role, "now": utc_now()}
                receipt = receive_answers(connection, data, name, **told)
            refused = refused or receipt.refused
            _show_receipt(receipt, lang, as_json=as_json)
    raise typer.Exit(1 if refused else 0)


@instruction_app.command("list", epilog="Example: escrow instruction list --bank NRB --state rejected --json")
def list_instructions(
    bank: _Bank = None,
    state: Annotated[list[str] | None, typer.Option("--state", help="Only this state; may be repeated.")] = None,
    lang: Lang = Language.EN,
    as_json: _Json = False,
) -> None:
    """Instructions by day, bank and reference, with where each stands."""
    from rich.table import Table

    from entrypoints.screen import screen
    from escrow.instructions import InstructionState
    from money import Money
    from reports.wording import word

    known = [str(one) for one in InstructionState]
    if state and (wrong := [one for one in state if one not in known]):
        raise typer.BadParameter(f"{wrong[0]!r} is no state; there are: {', '.join(known)}", param_hint="--state")
    with _reading() as (connection, principal):
        states = [InstructionState(one) for one in state] if state else None
        found = _seen(connection, principal, bank_code=_bank_code(bank, "--bank") if bank else None, states=states)
    table = Table(*(word(name, lang) for name in ("reference", "bank", "account", "day", "amount", "state", "reason")))
    for one in found:
        if as_json:
            typer.echo(json.dumps(_as_json(one), ensure_ascii=False))
            continue
        amount = Money(one.amount_minor_units, one.currency).grouped
        reason = " ".join(filter(None, (one.reason_code, one.reason)))
        day, said = str(one.instruction_date), word(str(one.state), lang)
        table.add_row(one.reference, one.bank_code, one.account_number, day, amount, said, reason)
    if not as_json:
        screen().print(table if found else word("no instructions", lang))


@instruction_app.command("show", epilog="Example: escrow instruction show DI2026030200000001")
def show(reference: _Reference, account: _Account = None, lang: Lang = Language.EN, as_json: _Json = False) -> None:
    """One instruction: what was told, every answer and act since, and what comes next."""
    from calendars import BUSINESS_TIME_ZONE
    from escrow.instructions import events_of, find_instruction
    from money import Money
    from reports.wording import word

    with _reading() as (connection, principal):
        inside = _inside(connection, principal)
        as_bank = principal.bank_code is not None
        one = find_instruction(connection, reference, account=account, seen=inside, as_bank=as_bank)
        events = events_of(connection, one)
    if as_json:
        told = [{**_plain(event), "event_at": event.event_at.isoformat()} for event in events]
        typer.echo(json.dumps({**_as_json(one), "events": told}, ensure_ascii=False))
        return
    amount = Money(one.amount_minor_units, one.currency).grouped
    typer.echo(f"{one.reference}  {word(one.kind, lang)}  {amount} {one.currency}  {word(str(one.state), lang)}")
    typer.echo(f"  {one.bank_code} {one.account_number} -> {one.beneficiary_name}  {one.instruction_date}  {one.file}")
    for event in events:
        at = f"{event.event_at.astimezone(BUSINESS_TIME_ZONE):%Y-%m-%d %H:%M}"
        why = " ".join(filter(None, (event.reason_code, event.reason, event.answer_file and f"({event.answer_file})")))
        typer.echo(f"  {at}  {word(event.event, lang)}  {event.actor}  {why}".rstrip())
    typer.echo(word(_NEXT[str(one.state)], lang).replace("REFERENCE", one.reference))


#: What to do next, by state; the Chinese stands in reports/wording.py.
_NEXT = {
    "unanswered": "next: ask the bank: escrow instruction query",
    "pending": "next: ask the bank: escrow instruction query",
    "accepted": "next: the bank's statement must show it",
    "rejected": "next: escrow --as USER instruction return REFERENCE --prepare --reason WHY",
    "return_prepared": "next, another person: escrow --as USER instruction return REFERENCE --approve",
    "returned": "nothing is to be done: its money went back",
    "paid": "nothing is to be done: the bank's statement shows it",
    "came_back": "next: the bank took it back; resolve it: escrow discrepancy list --open",
}


@instruction_app.command("query", epilog="Example: escrow instruction query --date 2026-03-05 --write")
def query(
    day: _Day = None,
    bank: _Bank = None,
    write: Annotated[bool, typer.Option("--write", help="Write each bank's query file into its outbox and record it.")] = False,
    lang: Lang = Language.EN,
    as_json: _Json = False,
) -> None:
    """Instructions whose fate is unknown for longer than the bank may take: what to ask. They are never instructed again.

    Exit 1 while there are any.
    """
    from config.banks import load_banks
    from config.calendars import load_calendar
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import business_day
    from escrow.instruction_events import record_queries
    from escrow.instructions import overdue_answers
    from jobs.outbox import place_query
    from money import Money
    from reports.wording import word
    from supervision.rights import Right

    banks = load_banks()
    right = Right.ANSWER_INSTRUCTION if write else Right.READ_INSTRUCTION
    with _reading(right, write=write) as (connection, principal):
        as_of = business_day(connection, day)
        inside = _inside(connection, principal)
        days = {one.bank_code: one.answer_within_working_days for one in banks.values()}
        code = _bank_code(bank, "--bank") if bank else None
        as_bank = principal.bank_code is not None and not write
        late = overdue_answers(connection, as_of, calendar=load_calendar(), days_of_bank=days, bank_code=code, as_bank=as_bank)
        late = [(one, waited) for one, waited in late if inside(one)]
        for asked in sorted({one.bank_code for one, _ in late}) if write else ():
            about = [one for one, _ in late if one.bank_code == asked]
            path = place_query(_outbox() / asked, asked, as_of, about)
            who: dict[str, Any] = {"actor": principal.user, "role": principal.role, "now": utc_now()}
            record_queries(connection, about, file_name=path.name, **who)
            typer.echo(f"{path}", err=as_json)
    for one, waited in late:
        if as_json:
            typer.echo(json.dumps({**_as_json(one), "working_days": waited}, ensure_ascii=False))
        else:
            amount = Money(one.amount_minor_units, one.currency).grouped
            waiting = word("working days", lang)
            typer.echo(f"{one.bank_code} {one.reference} {amount} {word(str(one.state), lang)} {waited} {waiting}")
    if not late and not as_json:
        typer.echo(word("no instruction waits for an answer", lang))
    raise typer.Exit(1 if late else 0)


@instruction_app.command("return", epilog="Example: escrow --as li.approve instruction return DI2026030200000001 --approve")
def return_money(  # noqa: PLR0917 - the command line is the signature
    reference: _Reference,
    account: _Account = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Propose it (first person).")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Do it (second person).")] = False,
    decline: Annotated[bool, typer.Option("--decline", help="Turn the proposal down.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; needed with --prepare and --decline.")] = "",
    day: _Day = None,
    lang: Lang = Language.EN,
) -> None:
    """Put a rejected instruction's money back: a disbursement to the institution's payable, a refund to the prepayment held.

    One person proposes, another approves: had the bank paid after all, the money could leave twice.
    """
    from entrypoints.clock import utc_now
    from escrow.instruction_events import approve_return, decline_return, prepare_return
    from escrow.instructions import find_instruction
    from storage.roles import become_person, become_poster
    from supervision.rights import Right

    if prepare + approve + decline != 1:
        raise typer.BadParameter("give one of --prepare, --approve and --decline", param_hint="--prepare")
    with _reading(Right.PREPARE_RETURN if prepare else Right.APPROVE_RETURN) as (connection, principal):
        one = find_instruction(connection, reference, account=account, seen=_inside(connection, principal))
        booked_on = _booking_day(connection, day, one.instruction_date)
        (become_poster if approve else become_person)(connection)  # approving posts; the decision itself is told by the person
        who: dict[str, Any] = {"actor": principal.user, "role": principal.role, "now": utc_now()}
        if prepare:
            prepare_return(connection, one, reason=reason, **who)
        elif decline:
            decline_return(connection, one, reason=reason, **who)
        else:
            approve_return(connection, one, booking_date=booked_on, **who)
    command = f"escrow --as USER instruction return {reference} --approve"
    then = (
        "what is payable again is instructed on the next working day, what was to be refunded waits for the payer's next request"
    )
    done = {
        "prepare": (
            f"the money of {reference} stays in transit until another person runs: {command}",
            f"{reference} 的资金仍在途，须由另一人复核：{command}",
        ),
        "decline": (
            f"the proposal is turned down; the money of {reference} stays in transit",
            f"申请已驳回；{reference} 的资金仍在途",
        ),
        "approve": (
            f"the money of {reference} went back; {then}",
            f"{reference} 的资金已退回；应拨付的于下一工作日重新发出指令，应退费的等待付款人再次申请",
        ),
    }
    typer.echo(done["prepare" if prepare else "decline" if decline else "approve"][lang is Language.ZH])


@instruction_app.command("keygen", epilog="Example: escrow --as platform instruction keygen > instructions.pub")
def keygen(
    show_only: Annotated[bool, typer.Option("--show", help="Print the public key there is; make none.")] = False,
    with_sm2: Annotated[bool, typer.Option("--sm2", help="Make an SM2 key (GB/T 32918) instead of Ed25519.")] = False,
) -> None:
    """Make the key that signs instruction files, and print its public half for the banks."""
    from entrypoints.acting import acting_principal
    from entrypoints.settings import read_settings
    from jobs.instruction_key import InstructionKeyRefused, make_instruction_key, public_key_text, read_instruction_key
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.CONFIGURE)
    key = read_instruction_key(settings.keys) if show_only else make_instruction_key(settings.keys, with_sm2=with_sm2)
    if key is None:
        raise InstructionKeyRefused(f"{settings.keys} has no key for instructions; make one: escrow instruction keygen")
    typer.echo(public_key_text(key), nl=False)


def _booking_day(connection: Connection, given: datetime | None, instructed_on: date) -> date:
    """The day given, or the newest reconciled one; never before the instruction."""
    from entrypoints.commands.day_argument import business_day

    try:
        return max(business_day(connection, given), instructed_on) if given is None else given.date()
    except LookupError:
        return instructed_on


@contextmanager
def _reading(right: str = "instruction.read", *, write: bool = False) -> Iterator[tuple[Connection, Principal]]:
    """A connection for one command and who acts: reading in the person's or the bank's own session."""
    from entrypoints.acting import acting_principal, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings

    settings = read_settings()
    principal = acting_principal(settings, right)
    session = None if write else reading_session(principal)
    with open_books(settings, session=session) as engine, engine.begin() as connection:
        yield connection, principal


def _inside(connection: Connection, principal: Principal) -> Callable[[Instruction], bool]:
    """Whether an instruction lies in the principal's scope: a bank's own, a jurisdiction's own."""
    from entrypoints.commands.reading import readable_accounts

    accounts = {ref.custody_account_id for ref in readable_accounts(connection, principal)}
    return lambda one: one.custody_account_id in accounts


def _seen(connection: Connection, principal: Principal, **which: Any) -> list[Instruction]:
    from escrow.instructions import instructions

    inside = _inside(connection, principal)
    return [one for one in instructions(connection, as_bank=principal.bank_code is not None, **which) if inside(one)]


def _bank_code(given: str, option: str) -> str:
    """The code of the bank of that code or sender id."""
    from config.banks import load_banks

    banks = load_banks()
    found = next((one.bank_code for one in banks.values() if given in (one.bank_code, one.sender_id)), None)
    if found is None:
        known = ", ".join(f"{one.bank_code} ({one.sender_id})" for one in banks.values())
        raise typer.BadParameter(f"no bank {given!r}; there are: {known} (config/banks.yaml)", param_hint=option)
    return found


def _outbox() -> Path:
    from entrypoints.settings import read_settings

    settings = read_settings()
    return settings.data_folder / settings.books / "outbox"


def _plain(noun: Any) -> dict[str, Any]:
    return {field.name: getattr(noun, field.name) for field in fields(noun)}


def _as_json(one: Instruction) -> dict[str, Any]:
    from money import Money

    wanted = (
        "reference", "kind", "state", "bank_code", "account_number", "currency", "file", "beneficiary_name", "reason_code",
        "reason", "bank_reference",
    )  # fmt: skip
    facts = {name: getattr(one, name) for name in wanted}
    days = {"instruction_date": str(one.instruction_date), "settled_on": str(one.settled_on) if one.settled_on else None}
    return {**facts, "amount": Money(one.amount_minor_units, one.currency).plain, **days}


def _show_receipt(receipt: AnswerFileReceipt, lang: Language, *, as_json: bool) -> None:
    from reports.wording import word

    if as_json:
        told = {**_plain(receipt), "refused": receipt.refused}
        told["answers"] = [_plain(one) for one in receipt.answers]
        told["findings"] = [_plain(one) for one in receipt.findings]
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(f"{receipt.file_name}: {receipt.format}, sha256 {receipt.sha256[:16]}...")
    if receipt.repeated:
        typer.echo(f"  {word('taken in before; nothing is recorded twice', lang)}")
    for finding in receipt.findings:
        said = finding.message_zh if lang is Language.ZH else finding.message
        typer.echo(f"  {word('refused', lang)}: {f'{finding.line}: ' if finding.line else ''}{said}")
    for one in receipt.answers:
        why = one.why_zh if lang is Language.ZH else one.why
        outcome = word(str(one.outcome), lang)
        typer.echo(f"  {one.reference}: {word(str(one.answer), lang)}, {outcome}{': ' if why else ''}{why}")
