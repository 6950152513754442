"""A signed-off day opens again by itself when the bank or a run says something new about it (DESIGN.md 3).

The sign-off is not erased: one more event stands after it, with the reason in both languages; two people sign the day off again.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Connection, text

from storage import audit
from wording import Said


def supersede(
    conn: Connection, institution_id: int, custody_account_id: int, since: date, *, reason: Said, now: datetime, actor: str
) -> list[date]:
    """Open every signed-off day of an account from ``since`` on again; returns those days, oldest first.

    Later days fall with it: a day is signed off only when everything received through it is (DESIGN.md invariant 11).
    """
    days: list[date] = list(
        conn.execute(
            text(
                """
                INSERT INTO sign_off_event (institution_id, custody_account_id, business_date, event_no, event, event_at, actor,
                    run_id, reason)
                SELECT institution_id, custody_account_id, business_date, event_no + 1, 'superseded', :now, :actor, NULL, :reason
                FROM sign_off_state
                WHERE institution_id = :institution AND custody_account_id = :account AND business_date >= :since
                  AND state = 'signed_off'
                RETURNING business_date
                """
            ),
            {
                "institution": institution_id,
                "account": custody_account_id,
                "since": since,
                "now": now,
                "actor": actor,
                "reason": f"{reason.en} / {reason.zh}",
            },
        ).scalars()
    )
    for day in sorted(days):
        audit.record(
            conn,
            now=now,
            actor=actor,
            role="system",
            act="reconciliation:sign_off:superseded",
            object_kind="sign_off",
            object_id=f"{custody_account_id}/{day}",
            details={"business_date": day, "reason": reason.en},
        )
    return sorted(days)
