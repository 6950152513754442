"""Where a transfer comes from, down to the line of the file it was read from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

#: (institution_id, source_kind, source_ref): names a journal entry and its source event.
SourceKey = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """The line of a delivered file that a source event was read from; ``sha256`` (hex) is that of the file's bytes.

    ``about`` names the record it became: an order, a class-hour, a refund request, a bank line, an instruction file.
    ``file_name`` is None where only the digest of the file is kept, ``line`` is None for a whole file.
    """

    about: str
    sha256: str
    line: int | None
    file_name: str | None


def sources_of(conn: Connection, keys: Iterable[SourceKey]) -> Mapping[SourceKey, Source]:
    """The sources of journal entries. One without a file (a deemed confirmation, an adjustment) is left out."""
    by_kind: dict[str, set[SourceKey]] = defaultdict(set)
    for key in keys:
        by_kind[key[1]].add(key)
    found: dict[SourceKey, Source] = {}
    for kind, wanted in by_kind.items():
        if kind not in _QUESTIONS:
            continue
        institutions, refs = zip(*((institution, ref) for institution, _, ref in wanted), strict=True)
        for row in conn.execute(
            text(f"SELECT w.institution_id, w.ref, s.* FROM {_WANTED} {_QUESTIONS[kind]}"),
            {"institutions": list(institutions), "refs": list(refs)},
        ):
            found[row.institution_id, kind, row.ref] = Source(row.about, row.sha256.hex(), row.line, row.file_name)
    return found


_WANTED = "unnest(CAST(:institutions AS integer[]), CAST(:refs AS text[])) AS w(institution_id, ref)"

#: By source kind: the source ``s`` of what ``w`` asks for.
_QUESTIONS = {
    "order": """
        JOIN LATERAL (
            SELECT 'order ' || o.order_id AS about, o.source_file_sha256 AS sha256, o.source_line AS line, NULL AS file_name
            FROM orders o WHERE o.institution_id = w.institution_id AND o.order_id = w.ref
        ) s ON true
    """,
    # A release is the class-hour <order>#<number>, allowed by one event about it.
    "release": """
        JOIN LATERAL (
            SELECT 'class-hour ' || w.ref || ' ' || e.event AS about, e.source_file_sha256 AS sha256, e.source_line AS line,
                NULL AS file_name
            FROM release r JOIN class_hour_event e ON e.institution_id = r.institution_id AND e.order_id = r.order_id
                AND e.class_hour_no = r.class_hour_no
                AND e.event = CASE r.basis WHEN 'payer' THEN r.confirmation_event ELSE 'taught' END
            WHERE r.institution_id = w.institution_id AND e.source_file_sha256 IS NOT NULL
                AND r.order_id = left(w.ref, length(w.ref) - position('#' IN reverse(w.ref)))
                AND r.class_hour_no::text = right(w.ref, position('#' IN reverse(w.ref)) - 1)
        ) s ON true
    """,
    "refund": """
        JOIN LATERAL (
            SELECT 'refund request ' || q.refund_request_id AS about, q.source_file_sha256 AS sha256, q.source_line AS line,
                NULL AS file_name
            FROM refund_request q WHERE q.institution_id = w.institution_id AND q.refund_request_id = w.ref
        ) s ON true
    """,
    "disbursement": """
        JOIN LATERAL (
            SELECT 'instruction ' || d.instruction_id AS about, f.sha256, NULL::integer AS line, f.file_name
            FROM disbursement_instruction d JOIN instruction_file f USING (instruction_file_id)
            WHERE d.institution_id = w.institution_id AND d.instruction_id = w.ref
        ) s ON true
    """,
    "bank_line": """
        JOIN LATERAL (
            SELECT 'bank line ' || l.line_id AS about, f.sha256, l.file_line AS line, f.file_name
            FROM statement_line l JOIN statement t USING (institution_id, statement_id)
            JOIN statement_file f USING (statement_file_id)
            WHERE l.institution_id = w.institution_id AND l.line_id = w.ref
        ) s ON true
    """,
}
