"""Take payers' requests to have the untaught rest back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from calendars import business_date
from escrow.import_layouts import REFUND_REQUESTS, ReadRow, read_file
from escrow.import_orders import FUTURE_DAYS
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.staging import copy_rows, stage, take_turn

_FACTS = """
    SELECT s.line, i.institution_id, o.paid_at, known.content_digest
    FROM staged_request s
    LEFT JOIN institution i ON i.institution_code = s.institution_code
    LEFT JOIN orders o ON o.institution_id = i.institution_id AND o.order_id = s.order_id
    LEFT JOIN refund_request known ON known.institution_id = i.institution_id AND known.refund_request_id = s.refund_request_id
"""
_COLUMNS = (
    "institution_id", "refund_request_id", "order_id", "requested_at", "requested_on", "institution_response", "responded_at",
    "responded_on", "reason", "payee_name", "payee_account", "content_digest", "source_file_sha256", "source_line",
)  # fmt: skip


def import_refund_requests(
    conn: Connection, data: bytes, name: str, *, now: datetime, actor: str, role: str = "system", progress: Progress | None = None
) -> ImportReport:
    """Import a file of refund requests; ``approve_refunds`` decides them when they are agreed or deemed agreed."""
    take_turn(conn)
    reading = read_file(data, REFUND_REQUESTS, progress)
    verdicts = Verdicts(reading, REFUND_REQUESTS)
    stage(
        conn,
        "staged_request",
        {"line": "integer", "institution_code": "text", "refund_request_id": "text", "order_id": "text"},
        (
            (row.line, row.values["institution_code"], row.values["refund_request_id"], row.values["order_id"])
            for row in reading.rows
        ),
    )
    known: dict[int, Any] = {found.line: found for found in conn.execute(text(_FACTS))}
    latest = business_date(now) + timedelta(days=FUTURE_DAYS)
    accepted = []
    for row in reading.rows:
        found = known[row.line]
        if found.content_digest is not None:
            verdicts.known_before(row, found.content_digest)
            continue
        faults = _faults(row, found)
        if business_date(row.values["requested_at"]) > latest:
            faults.append(("requested_at", "in_the_future", "the request has not come yet"))
        for fault in faults:
            verdicts.refuse(row, *fault)
        if not faults:
            accepted.append((found.institution_id, row))
            verdicts.accepted.append(row)
    copy_rows(conn, "refund_request", _COLUMNS, (_columns_of(*one, reading.sha256) for one in accepted))
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


def _faults(row: ReadRow, found: Any) -> list[tuple[str, str, str]]:
    values = row.values
    if found.institution_id is None:
        code = values["institution_code"]
        return [("institution_code", "unknown_institution", f"no institution {code}; import institutions first")]
    if found.paid_at is None:
        return [("order_id", "unknown_order", f"no order {values['order_id']} of this institution; import it first")]
    faults = []
    responded_at = values["responded_at"]
    if values["requested_at"] < found.paid_at:
        faults.append(("requested_at", "before_paid", "the order was paid later than this"))
    if (values["institution_response"] == "agreed") != (responded_at is not None):
        faults.append(("responded_at", "response_without_date", "agreed needs responded_at, silent must leave it empty"))
    elif responded_at is not None and responded_at < values["requested_at"]:
        faults.append(("responded_at", "dates_out_of_order", "the institution answered before it was asked"))
    return faults


def _columns_of(institution_id: int, row: ReadRow, sha256: bytes) -> tuple[Any, ...]:
    values = row.values
    responded_at = values["responded_at"]
    return (
        institution_id, values["refund_request_id"], values["order_id"], values["requested_at"],
        business_date(values["requested_at"]), values["institution_response"], responded_at,
        business_date(responded_at) if responded_at is not None else None, values["reason"], values["payee_name"],
        values["payee_account"], row.digest, sha256, row.line,
    )  # fmt: skip
