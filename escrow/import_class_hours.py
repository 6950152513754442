"""Take reports about class-hours: taught, confirmed by the payer, disputed, and how disputes ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from calendars import business_date
from escrow.class_hour import REPORTED_EVENTS, ClassHourEvent, ClassHourFacts, judge_event
from escrow.import_layouts import CLASS_HOURS, ReadRow, read_file
from escrow.import_orders import FUTURE_DAYS
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.staging import copy_rows, stage, take_turn

_FACTS = """
    SELECT s.line, i.institution_id, p.order_id IS NOT NULL AS order_known, p.class_hours, p.opened_on, known.content_digest,
        r.order_id IS NOT NULL AS released,
        EXISTS (
            SELECT FROM refund f
            WHERE f.institution_id = p.institution_id AND f.order_id = p.order_id
                AND NOT EXISTS (
                    SELECT FROM reversal b WHERE b.institution_id = f.institution_id AND b.original_id = f.transfer_id)
        ) AS order_refunded
    FROM staged_event s
    LEFT JOIN institution i ON i.institution_code = s.institution_code
    LEFT JOIN prepayment p ON p.institution_id = i.institution_id AND p.order_id = s.order_id
    LEFT JOIN class_hour_event known ON known.institution_id = i.institution_id AND known.order_id = s.order_id
        AND known.class_hour_no = s.class_hour_no AND known.event = s.event
    LEFT JOIN release r ON r.institution_id = i.institution_id AND r.order_id = s.order_id
        AND r.class_hour_no = s.class_hour_no
"""
_HAPPENED = """
    SELECT e.institution_id, e.order_id, e.class_hour_no, e.event, e.event_at
    FROM class_hour_event e
    JOIN (
        SELECT DISTINCT i.institution_id, s.order_id, s.class_hour_no
        FROM staged_event s JOIN institution i USING (institution_code)
    ) asked USING (institution_id, order_id, class_hour_no)
"""
_COLUMNS = (
    "institution_id", "order_id", "class_hour_no", "event", "event_at", "event_on", "reported_by", "content_digest",
    "source_file_sha256", "source_line",
)  # fmt: skip


def import_class_hours(
    conn: Connection, data: bytes, name: str, *, now: datetime, actor: str, role: str = "system", progress: Progress | None = None
) -> ImportReport:
    """Import a file of class-hour events.

    A class-hour must be taught before it is confirmed or disputed (both may stand in one file, in any order), cannot be
    disputed once its money is released, and cannot be taught once the rest of its order was refunded.
    """
    take_turn(conn)
    reading = read_file(data, CLASS_HOURS, progress)
    verdicts = Verdicts(reading, CLASS_HOURS)
    accepted = _judge(conn, reading.rows, verdicts, now)
    copy_rows(
        conn,
        "class_hour_event",
        _COLUMNS,
        (
            (
                institution_id, row.values["order_id"], row.values["class_hour_no"], row.values["event"],
                row.values["event_at"], business_date(row.values["event_at"]), row.values["reported_by"], row.digest,
                reading.sha256, row.line,
            )
            for institution_id, row in accepted
        ),
    )  # fmt: skip
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


def _judge(conn: Connection, rows: list[ReadRow], verdicts: Verdicts, now: datetime) -> list[tuple[int, ReadRow]]:
    stage(
        conn,
        "staged_event",
        {"line": "integer", "institution_code": "text", "order_id": "text", "class_hour_no": "integer", "event": "text"},
        ((row.line, *(row.values[name] for name in CLASS_HOURS.key)) for row in rows),
    )
    known: dict[int, Any] = {found.line: found for found in conn.execute(text(_FACTS))}
    happened: dict[tuple[int, str, int], dict[str, datetime]] = {}
    for found in conn.execute(text(_HAPPENED)):
        happened.setdefault((found.institution_id, found.order_id, found.class_hour_no), {})[found.event] = found.event_at
    latest = business_date(now) + timedelta(days=FUTURE_DAYS)
    precedence = {event: number for number, event in enumerate(REPORTED_EVENTS)}
    # The two ways a dispute ends exclude each other: the earlier one counts, so they share one place in the order.
    precedence[ClassHourEvent.DISPUTE_UPHELD] = precedence[ClassHourEvent.DISPUTE_WITHDRAWN]
    accepted = []
    for row in sorted(rows, key=lambda one: (precedence[one.values["event"]], one.values["event_at"], one.line)):
        found, values = known[row.line], row.values
        if found.content_digest is not None:
            verdicts.known_before(row, found.content_digest)
        elif found.institution_id is None:
            code = values["institution_code"]
            verdicts.refuse(row, "institution_code", "unknown_institution", f"no institution {code}; import institutions first")
        elif not found.order_known:
            order_id = values["order_id"]
            verdicts.refuse(row, "order_id", "unknown_order", f"no order {order_id} of this institution; import it first")
        elif business_date(values["event_at"]) > latest:
            verdicts.refuse(row, "event_at", "in_the_future", f"{values['event_at'].isoformat()} has not come yet")
        elif business_date(values["event_at"]) < found.opened_on:
            verdicts.refuse(row, "event_at", "before_paid", f"the order was paid on {found.opened_on}, later than this")
        else:
            this_hour = happened.setdefault((found.institution_id, values["order_id"], values["class_hour_no"]), {})
            facts = ClassHourFacts(found.class_hours, this_hour, found.released, found.order_refunded)
            refused = judge_event(facts, values["class_hour_no"], values["event"], values["event_at"])
            if refused is not None:
                verdicts.refuse(row, "event", refused.code, refused.reason)
                continue
            this_hour[values["event"]] = values["event_at"]
            accepted.append((found.institution_id, row))
            verdicts.accepted.append(row)
    return accepted
