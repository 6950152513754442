"""Questions about instructions to the banks: what was told, what the bank answered, what the books have seen since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from calendars import WorkingCalendar


class InstructionState(StrEnum):
    """What became of an instruction. The first two come from the bank's statements and outweigh any answer."""

    PAID = "paid"  # a bank line shows it left
    CAME_BACK = "came_back"  # a bank line showed it left, another took that back (冲正, 退票): in transit again
    RETURNED = "returned"  # its money went back in the books
    RETURN_PREPARED = "return_prepared"  # rejected; somebody proposed to put its money back
    REJECTED = "rejected"  # the bank will not execute it; its money is still in transit
    ACCEPTED = "accepted"  # the bank has executed it or will
    PENDING = "pending"  # the bank has it and has not decided
    UNANSWERED = "unanswered"  # unknown: it may have been executed


#: States in which nobody knows yet whether the money left.
UNKNOWN = (InstructionState.UNANSWERED, InstructionState.PENDING, InstructionState.ACCEPTED)


class InstructionRefused(ValueError):
    """An act about an instruction cannot be done as asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One order to a bank and where it stands. ``file`` is the name of the instruction file, ``item_id`` the open item and
    transfer by which its money went in transit. Amount in fen.
    """

    institution_id: int
    reference: str
    kind: str
    instruction_id: str | None
    refund_request_id: str | None
    custody_account_id: int
    instruction_date: date
    amount_minor_units: int
    beneficiary_name: str
    beneficiary_account: str
    item_id: UUID
    state: InstructionState
    answer: str | None
    answered_at: datetime | None
    reason_code: str | None
    reason: str | None
    bank_reference: str | None
    settled_on: date | None
    last_event_no: int
    bank_code: str
    account_number: str
    currency: str
    file: str


@dataclass(frozen=True, slots=True)
class InstructionEvent:
    """One thing that happened to an instruction, as ``escrow instruction show`` tells it."""

    event_no: int
    event: str
    event_at: datetime
    actor: str
    reason: str | None
    reason_code: str | None
    bank_reference: str | None
    prepared_by: str | None
    answer_file: str | None
    answer_line: int | None


_FIELDS = """
    s.institution_id, s.reference, s.kind, s.instruction_id, s.refund_request_id, s.custody_account_id, s.instruction_date,
    s.amount_minor_units, s.beneficiary_name, s.beneficiary_account, s.item_id, s.state, s.answer, s.answered_at, s.reason_code,
    s.reason, s.bank_reference, s.settled_on, coalesce(s.last_event_no, 0), a.bank_code, a.account_number, a.currency, f.file_name
"""
#: Where each stands; a bank's session asks for its own through a function, since the books are closed to it.
_EVERYBODYS, _OF_BANK = "instruction_state", "instruction_states_of_bank(CAST(:references AS text[]))"
_FROM = """
    FROM {states} s
    JOIN custody_account a ON a.institution_id = s.institution_id AND a.custody_account_id = s.custody_account_id
    JOIN instruction_file f ON f.instruction_file_id = s.instruction_file_id
"""


def instructions(
    conn: Connection,
    *,
    bank_code: str | None = None,
    references: Collection[str] | None = None,
    files: Collection[str] | None = None,
    states: Collection[InstructionState] | None = None,
    until: date | None = None,
    as_bank: bool = False,
) -> list[Instruction]:
    """Instructions by day, bank and reference. ``files``: names without ending. ``until``: the last day of instruction.

    ``as_bank``: asked in a bank's session, which sees its own.
    """
    conditions: Mapping[str, tuple[str, Any]] = {
        "bank_code": ("a.bank_code = :bank_code", bank_code),
        "references": ("s.reference = ANY (:references)", None if references is None else list(references)),
        "files": ("regexp_replace(f.file_name, '[.][^.]*$', '') = ANY (:files)", None if files is None else list(files)),
        "states": ("s.state = ANY (:states)", None if states is None else [str(one) for one in states]),
        "until": ("s.instruction_date <= :until", until),
    }
    asked = {name: given for name, (_, given) in conditions.items() if given is not None}
    where = " AND ".join(conditions[name][0] for name in asked)
    order = "ORDER BY s.instruction_date, a.bank_code, s.reference, s.institution_id"
    source = _FROM.format(states=_OF_BANK if as_bank else _EVERYBODYS)
    given = asked | ({"references": asked.get("references")} if as_bank else {})
    rows = conn.execute(text(f"SELECT {_FIELDS} {source} {'WHERE ' + where if where else ''} {order}"), given)
    found: list[tuple[Any, ...]] = [(*row[:11], InstructionState(row[11]), *row[12:]) for row in rows]
    return [Instruction(*values) for values in found]


def find_instruction(
    conn: Connection,
    reference: str,
    *,
    account: str | None = None,
    seen: Callable[[Instruction], bool] = lambda _one: True,
    as_bank: bool = False,
) -> Instruction:
    """The instruction of that reference, out of ``account`` when two institutions use the same number.

    Raises LookupError (none, or several).
    """
    found = [
        one
        for one in instructions(conn, references=[reference], as_bank=as_bank)
        if seen(one) and (account is None or one.account_number == account)
    ]
    if not found:
        raise LookupError(f"no instruction {reference}; escrow instruction list shows them")
    if len(found) > 1:
        accounts = ", ".join(one.account_number for one in found)
        raise LookupError(
            f"{len(found)} instructions have the reference {reference}; name the account with --account: {accounts}"
        )
    return found[0]


def events_of(conn: Connection, one: Instruction) -> list[InstructionEvent]:
    """What happened to an instruction, oldest first."""
    rows = conn.execute(
        text("""
            SELECT e.event_no, e.event, e.event_at, e.actor, e.reason, e.reason_code, e.bank_reference, e.prepared_by,
                f.file_name, e.answer_line
            FROM instruction_event e LEFT JOIN instruction_answer_file f USING (instruction_answer_file_id)
            WHERE e.institution_id = :institution AND e.reference = :reference ORDER BY e.event_no
        """),
        {"institution": one.institution_id, "reference": one.reference},
    )
    return [InstructionEvent(*row) for row in rows]


def overdue_answers(
    conn: Connection,
    as_of: date,
    *,
    calendar: WorkingCalendar,
    days_of_bank: Mapping[str, int],
    bank_code: str | None = None,
    as_bank: bool = False,
) -> list[tuple[Instruction, int]]:
    """Instructions nobody knows the fate of for longer than the bank may take, with the working days since, oldest first.

    ``days_of_bank``: how many working days each bank has to answer. An accepted one has as many again to appear on a statement.
    Unknown never means failed: these are asked about, not instructed again.
    """
    found = []
    for one in instructions(conn, bank_code=bank_code, states=UNKNOWN, until=as_of, as_bank=as_bank):
        waited = calendar.working_days_between(one.instruction_date, as_of)
        allowed = days_of_bank.get(one.bank_code, 1) * (2 if one.state is InstructionState.ACCEPTED else 1)
        if waited > allowed:
            found.append((one, waited))
    return found
