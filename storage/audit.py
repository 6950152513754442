"""The audit log: who did what to what, when; each event holds the digest of the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from storage.verification import WrongRow


def record(
    connection: Connection,
    *,
    now: datetime,
    actor: str,
    role: str,
    act: str,
    object_kind: str,
    object_id: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add one event; it stands or falls with the surrounding database transaction.

    ``act`` reads ``source:subject:action``, such as ``console:refund:approved``. Amounts in ``details`` are whole minor
    units. Events are written one transaction at a time, so record last, shortly before COMMIT.
    Raises ValueError (naive ``now``), TypeError (a detail JSON cannot hold exactly).
    """
    if now.tzinfo is None:
        raise ValueError("an audit event needs a time with its zone")
    connection.execute(
        text(
            """
            INSERT INTO audit_event (at, actor, role, act, object_kind, object_id, details)
            VALUES (:at, :actor, :role, :act, :object_kind, :object_id, CAST(:details AS jsonb))
            """
        ),
        {
            "at": now,
            "actor": actor,
            "role": role,
            "act": act,
            "object_kind": object_kind,
            "object_id": object_id,
            "details": json.dumps(_exact(details or {}), ensure_ascii=False, allow_nan=False),
        },
    )


def _exact(value: Any) -> Any:
    """A value as JSON can hold it without loss; a float is refused, since it may be an amount."""
    match value:
        case None | bool() | int() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): _exact(item) for key, item in value.items()}
        case list() | tuple():
            return [_exact(item) for item in value]
        case set() | frozenset():
            return sorted(_exact(item) for item in value)
    raise TypeError(f"an audit detail cannot hold a {type(value).__name__}: {value!r}")


def verify_chain(connection: Connection) -> list[WrongRow]:
    """Every place where the log does not continue from the event before: an event was removed, added or put elsewhere.

    That the events themselves are unchanged is ``verification.rows_with_wrong_digest``; that the newest are all there
    follows from a later seal.
    """
    rows = connection.execute(
        text(
            """
            SELECT seq, before_seq, linked FROM (
                SELECT seq,
                       coalesce(lag(seq) OVER chain, 0) AS before_seq,
                       previous_digest = coalesce(lag(row_digest) OVER chain, decode(repeat('00', 32), 'hex')) AS linked
                FROM audit_event WINDOW chain AS (ORDER BY seq)
            ) AS events
            WHERE before_seq <> seq - 1 OR NOT linked ORDER BY seq
            """
        )
    )
    found = []
    for seq, before, _linked in rows:
        if before != seq - 1:
            missing = f"event {before + 1}" if before + 1 == seq - 1 else f"events {before + 1} to {seq - 1}"
            found.append(WrongRow("audit_event", f"seq={seq}", f"{missing} before it removed"))
        else:
            found.append(WrongRow("audit_event", f"seq={seq}", "does not follow from the event before it"))
    return found
