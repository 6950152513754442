"""What became of an import file: counted, every fault named, and kept as evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from escrow.import_layouts import Layout, Reading, ReadRow, other_content
from escrow.import_reading import ImportFinding
from escrow.staging import copy_rows
from escrow.tables import import_report
from storage import audit

__all__ = ["ImportFinding", "ImportReport", "Verdicts"]

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """``rows`` = ``accepted`` + ``repeated`` + ``refused``. ``sha256`` is the file's, in hex. Findings in line order.

    A file that could not be read at all has no rows and at least one finding.
    """

    file: str
    kind: str
    sha256: str
    rows: int
    accepted: int
    repeated: int
    refused: int
    findings: tuple[ImportFinding, ...]

    @property
    def file_refused(self) -> bool:
        """Whether nothing of the file could be read as rows."""
        return self.rows == 0 and not self.all_taken

    @property
    def all_taken(self) -> bool:
        """Whether nothing was refused (flagged rows are taken)."""
        return not any(finding.refused for finding in self.findings)


class Verdicts:
    """Collects, row by row, what becomes of the rows of one file."""

    def __init__(self, reading: Reading, layout: Layout) -> None:
        self.reading = reading
        self.layout = layout
        self.accepted: list[ReadRow] = []
        self.repeated = reading.repeated
        self.findings = list(reading.findings)
        self.refused_lines = set(reading.refused_lines)

    def refuse(self, row: ReadRow, field: str, code: str, reason: str) -> None:
        self.findings.append(ImportFinding(row.line, field, code, reason, subject=row.key))
        self.refused_lines.add(row.line)

    def flag(self, row: ReadRow, field: str, code: str, reason: str) -> None:
        self.findings.append(ImportFinding(row.line, field, code, reason, refused=False, subject=row.key))

    def known_before(self, row: ReadRow, digest: bytes) -> None:
        """The key is known: the same content is a repeat, any other is refused by name."""
        if digest == row.digest:
            self.repeated += 1
        else:
            self.findings.append(other_content(row, self.layout, "taken before"))
            self.refused_lines.add(row.line)

    def record(self, conn: Connection, data: bytes, name: str, *, now: datetime, actor: str, role: str) -> ImportReport:
        """Count, and write the report with its findings to the database and that it was imported to the audit log."""
        findings = sorted(self.findings, key=lambda each: (each.line, each.field, each.code))
        report = ImportReport(
            file=name,
            kind=self.layout.kind,
            sha256=self.reading.sha256.hex(),
            rows=self.reading.row_count,
            accepted=len(self.accepted),
            repeated=self.repeated,
            refused=len(self.refused_lines),
            findings=tuple(findings),
        )
        report_id = conn.execute(
            insert(import_report)
            .values(
                kind=report.kind,
                file_name=name,
                sha256=self.reading.sha256,
                byte_count=len(data),
                actor=actor,
                imported_at=now,
                row_count=report.rows,
                accepted_count=report.accepted,
                repeated_count=report.repeated,
                refused_count=report.refused,
            )
            .returning(import_report.c.import_report_id)
        ).scalar_one()
        _keep_findings(conn, report_id, findings)
        audit.record(
            conn,
            now=now,
            actor=actor,
            role=role,
            act=f"escrow:import:{report.kind}",
            object_kind="import_report",
            object_id=str(report_id),
            details={
                "file_name": _storable(name),
                "sha256": report.sha256,
                "accepted": report.accepted,
                "repeated": report.repeated,
                "refused": report.refused,
            },
        )
        return report


def _keep_findings(conn: Connection, report_id: int, findings: Sequence[ImportFinding]) -> None:
    copy_rows(
        conn,
        "import_finding",
        ("import_report_id", "finding_no", "line", "field", "code", "reason", "refused", "subject"),
        (
            (report_id, number, each.line, _storable(each.field), each.code, _storable(each.reason), each.refused,
             [_storable(one) for one in each.subject])
            for number, each in enumerate(findings, start=1)
        ),
    )  # fmt: skip


def _storable(value: str) -> str:
    """Text as the database can hold it: a JSON file may carry NULs and halves of characters."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
