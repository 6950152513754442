"""What the quarantine asks of and writes to the database: what is held back, who proposed and decided what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

from bank_adapters.model import Statement
from reconciliation.intake import business_date_of
from reconciliation.model import CustodyAccountRef, Gate
from reconciliation.reasons import Reason, ReasonCode, because, from_store, to_store
from reconciliation.versions import statement_digest


class QuarantineState(StrEnum):
    """Where something held back stands, derived from its events."""

    HELD = "held"
    PREPARED = "prepared"  # one person proposed to let it through
    RELEASED = "released"  # another person approved
    REJECTED = "rejected"
    OVERTAKEN = "overtaken"  # another file said the same and counts


#: States in which two persons may still decide; what was turned down by mistake may be proposed again.
UNDECIDED = (QuarantineState.HELD, QuarantineState.PREPARED, QuarantineState.REJECTED)


@dataclass(frozen=True, slots=True)
class Held:
    """A statement held back, as it stands. ``held_account_id``: the custody account it would count for, where one is known.

    ``prepared_by``, ``proposal_reason``, ``together_with`` and ``plan_digest`` are those of the newest proposal.
    """

    quarantine_id: int
    statement_file_id: int
    position_in_file: int
    gate: Gate
    account: str | None
    held_account_id: int | None
    business_date: date | None
    reasons: tuple[Reason, ...]
    held_at: datetime
    file_name: str
    sender_bank: str
    state: QuarantineState
    last_event_no: int
    acted_by: str | None
    acted_at: datetime | None
    said: str | None
    prepared_by: str | None
    proposal_reason: str | None
    together_with: tuple[int, ...]
    plan_digest: bytes | None


@dataclass(frozen=True, slots=True)
class QuarantineEvent:
    """One thing that happened to something held back."""

    event_no: int
    event: str
    event_at: datetime
    actor: str
    reason: str
    prepared_by: str | None


def held(
    conn: Connection,
    *,
    quarantine_ids: Sequence[int] | None = None,
    states: Sequence[QuarantineState] | None = None,
    held_account_id: int | None = None,
    statement_file_id: int | None = None,
    digest: bytes | None = None,
    gate: Gate | None = None,
) -> list[Held]:
    """What is or was held back, oldest first."""
    rows = conn.execute(
        text(
            """
            SELECT quarantine_id, statement_file_id, position_in_file, gate, account, held_account_id, business_date, reasons,
                told, held_at, file_name, sender_bank, state, last_event_no, acted_by, acted_at, said, prepared_by,
                proposal_reason, together_with, plan_digest
            FROM quarantine_state
            WHERE (CAST(:ids AS bigint[]) IS NULL OR quarantine_id = ANY (:ids))
              AND (CAST(:states AS text[]) IS NULL OR state = ANY (:states))
              AND (CAST(:account AS bigint) IS NULL OR held_account_id = :account)
              AND (CAST(:file AS bigint) IS NULL OR statement_file_id = :file)
              AND (CAST(:digest AS bytea) IS NULL OR statement_digest = :digest)
              AND (CAST(:gate AS text) IS NULL OR gate = :gate)
            ORDER BY quarantine_id
            """
        ),
        {
            "ids": list(quarantine_ids) if quarantine_ids is not None else None,
            "states": [str(state) for state in states] if states is not None else None,
            "account": held_account_id,
            "file": statement_file_id,
            "digest": digest,
            "gate": str(gate) if gate is not None else None,
        },
    )
    return [_held(dict(row)) for row in rows.mappings()]


def _held(facts: dict[str, Any]) -> Held:
    digest = facts["plan_digest"]
    read = {
        "gate": Gate(facts["gate"]),
        "state": QuarantineState(facts["state"]),
        "reasons": from_store(facts.pop("told"), facts["reasons"]),
        "together_with": tuple(facts["together_with"] or ()),
        "plan_digest": bytes(digest) if digest is not None else None,
    }
    return Held(**(facts | read))


def waits_for_two(one: Held) -> Reason:
    """What two persons may do about a statement that is held back, or that somebody has turned it down."""
    number = one.quarantine_id
    if one.state is QuarantineState.REJECTED:
        return because(ReasonCode.TURNED_DOWN, number=number, by=one.acted_by, why=one.said)
    return because(ReasonCode.HELD_BACK, number=number, file=one.statement_file_id)


def find_held(conn: Connection, quarantine_id: int) -> Held:
    """What is held back under a number. Raises LookupError."""
    found = held(conn, quarantine_ids=[quarantine_id])
    if not found:
        raise LookupError(f"nothing is held back under {quarantine_id}; escrow statement quarantine shows what is")
    return found[0]


def released(conn: Connection, one: Statement, gate: Gate) -> bool:
    """Whether two persons have let a statement that says just this through the gate."""
    return bool(held(conn, digest=statement_digest(one), gate=gate, states=[QuarantineState.RELEASED]))


def number_released(conn: Connection, ref: CustodyAccountRef, day: date) -> bool:
    """Whether two persons have let a statement of the account and day count although its number does not follow."""
    return bool(
        conn.execute(
            text(
                """
                SELECT EXISTS (SELECT FROM quarantine_state
                    WHERE held_account_id = :account AND business_date = :day AND gate = 'sequence' AND state = 'released')
                """
            ),
            {"account": ref.custody_account_id, "day": day},
        ).scalar_one()
    )


def hold_back(
    conn: Connection,
    one: Statement,
    gate: Gate,
    *,
    file_id: int,
    position: int,
    ref: CustodyAccountRef | None,
    reasons: Sequence[Reason],
    now: datetime,
) -> Held:
    """Hold a statement back; a statement that says just the same is held once, whatever file brings it again."""
    digest = statement_digest(one)
    before = held(conn, digest=digest, gate=gate, states=[one for one in QuarantineState if one is not QuarantineState.RELEASED])
    if before:
        return before[-1]
    opening, closing = one.opening_balance, one.closing_balance
    number = conn.execute(
        text(
            """
            INSERT INTO quarantined_statement (statement_file_id, position_in_file, gate, account, held_account_id, business_date,
                statement_digest, opening_minor_units, closing_minor_units, reasons, told, held_at)
            VALUES (:file, :position, :gate, :account, :held_account, :day, :digest, :opening, :closing, :reasons,
                CAST(:told AS jsonb), :now)
            RETURNING quarantine_id
            """
        ),
        {
            "file": file_id,
            "position": position,
            "gate": str(gate),
            "account": one.account,
            "held_account": ref.custody_account_id if ref else None,
            "day": business_date_of(one),
            "digest": digest,
            "opening": opening.minor_units if opening is not None else None,
            "closing": closing.minor_units if closing is not None else None,
            "reasons": [reason.en for reason in reasons],
            "told": json.dumps(to_store(reasons), ensure_ascii=False),
            "now": now,
        },
    ).scalar_one()
    return find_held(conn, int(number))


def add_event(conn: Connection, one: Held, event: str, *, actor: str, now: datetime, reason: str, **facts: Any) -> int:
    """Add one event after the last; returns its number. Two at once: the second fails on the primary key."""
    number = one.last_event_no + 1
    conn.execute(
        text(
            """
            INSERT INTO quarantine_event (quarantine_id, event_no, statement_file_id, event, event_at, actor, reason,
                prepared_event_no, prepared_by, together_with, plan_digest)
            VALUES (:id, :number, :file, :event, :now, :actor, :reason, :prepared_event_no, :prepared_by,
                CAST(:together_with AS bigint[]), :plan_digest)
            """
        ),
        {
            "id": one.quarantine_id,
            "number": number,
            "file": one.statement_file_id,
            "event": event,
            "now": now,
            "actor": actor,
            "reason": reason,
            **{name: facts.get(name) for name in ("prepared_event_no", "prepared_by", "together_with", "plan_digest")},
        },
    )
    return number


def events_of(conn: Connection, quarantine_id: int) -> list[QuarantineEvent]:
    """The history of something held back, oldest first."""
    rows = conn.execute(
        text(
            "SELECT event_no, event, event_at, actor, reason, prepared_by FROM quarantine_event"
            " WHERE quarantine_id = :id ORDER BY event_no"
        ),
        {"id": quarantine_id},
    )
    return [QuarantineEvent(*row) for row in rows]


#: What verification asks of the quarantine: (table, SQL selecting row and what).
QUESTIONS: Sequence[tuple[str, str]] = (
    (
        "quarantined_statement",
        """
        SELECT 'quarantine ' || q.quarantine_id, 'no reading of its file held this statement back'
        FROM quarantined_statement q
        WHERE NOT EXISTS (
            SELECT FROM statement_file_reading r CROSS JOIN LATERAL jsonb_array_elements(r.statements) AS one
            WHERE r.statement_file_id = q.statement_file_id AND CAST(one ->> 'index' AS integer) = q.position_in_file
                AND one ->> 'outcome' IN ('quarantined', 'waiting'))
        """,
    ),
    (
        "quarantine_event",
        """
        SELECT 'quarantine ' || quarantine_id || ', event ' || event_no, 'its history has a gap before it'
        FROM (SELECT *, row_number() OVER (PARTITION BY quarantine_id ORDER BY event_no) AS place
            FROM quarantine_event) AS history
        WHERE event_no <> place
        """,
    ),
)
