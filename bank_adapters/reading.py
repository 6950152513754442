"""The one way in: a bank's file becomes statements and findings. Never raises, whatever the bytes.

A zip or gzip is opened and each file inside it read for itself: one that cannot be read becomes a refused statement without
lines, so it does not take the others down and cannot be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bank_adapters.archives import ArchiveRefused, Member, archive_kind, members_of
from bank_adapters.delimited.sheets import sheet_kind
from bank_adapters.document import Document
from bank_adapters.draft import StatementDraft
from bank_adapters.findings import Findings
from bank_adapters.limits import MAX_FILE_BYTES
from bank_adapters.model import Finding, Statement, StatementFileReading
from bank_adapters.profile import Profile
from bank_adapters.sources import Source


def read_statement_file(
    data: bytes | Path,
    name: str,
    profiles: Sequence[Profile],
    profile_id: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> StatementFileReading:
    """Read ``data`` by the one reader or profile that claims it, or by the profile ``profile_id``.

    Given a path, the file is never held whole unless its format needs that (sheets, archives). ``name`` is a label; only
    UnionPay files have their year in it. ``progress`` is told now and then how many bytes were read; text is read twice, once to
    find its encoding. All findings come together; ``accepted`` is true when every statement and the file
    passed.
    """
    findings = Findings()
    try:
        source = Source(data, progress)
        if source.size > MAX_FILE_BYTES:
            findings.add("file_too_large", size=source.size, limit=MAX_FILE_BYTES, offset=MAX_FILE_BYTES)
        elif profile_id is not None and profile_id not in {profile.id for profile in profiles}:
            names = ", ".join(profile.id for profile in profiles) or "none"
            findings.add("unknown_profile", field="profile", name=profile_id, names=names)
        else:
            head = source.head(4096)
            kind = None if sheet_kind(head, source) else archive_kind(head)
            if kind is None:
                return _document(source, name, profiles, profile_id)
            return _archive(source, kind, name, profiles, profile_id)
    except OSError as problem:
        findings.add("file_unreadable", field="file", reason=problem.strerror or str(problem))
        return StatementFileReading("unknown", None, None, accepted=False, statements=(), findings=findings.finished())
    except Exception as problem:  # noqa: BLE001 - the promise is "never raises": a defect of ours must not take the intake down
        findings.add("internal_error", reason=type(problem).__name__)
    size = len(data) if isinstance(data, bytes) else source.size
    return StatementFileReading(
        "unknown", None, None, accepted=False, statements=(), findings=findings.finished(), facts={"size": str(size)}
    )


def _document(source: Source, name: str, profiles: Sequence[Profile], profile_id: str | None) -> StatementFileReading:
    findings = Findings()
    document = Document(source, name, profiles, profile_id, findings)
    try:
        statements = document.read()
    except MemoryError:
        findings.statement = None
        findings.add("limit_reached", what="memory", what_zh="内存", limit="the memory this process may use")
        statements = ()
    except Exception as problem:  # noqa: BLE001 - as above
        findings.statement = None
        findings.add("internal_error", reason=type(problem).__name__)
        statements = ()
    return StatementFileReading(
        format=document.format,
        profile=document.profile,
        encoding=document.encoding,
        accepted=not findings.refused and bool(statements) and all(statement.accepted for statement in statements),
        statements=statements,
        findings=findings.finished(),
        facts={"size": str(source.size)},
    )


@dataclass(slots=True)
class _Joined:
    """Readings of the files of one archive, put together."""

    statements: list[Statement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    formats: dict[str, None] = field(default_factory=dict)
    profiles: dict[str | None, None] = field(default_factory=dict)
    encodings: dict[str | None, None] = field(default_factory=dict)
    members: int = 0

    def add(self, member: Member, reading: StatementFileReading) -> None:
        first = len(self.statements)
        self.statements += reading.statements or (StatementDraft(line=1).finished(accepted=False),)
        of_the_file = None if reading.statements else first  # findings of a file without statements belong to its stand-in
        for finding in reading.findings:
            index = of_the_file if finding.statement is None else first + finding.statement
            self.findings.append(replace(finding, statement=index, member=member.name or None))
        self.formats[reading.format] = None
        self.profiles[reading.profile] = None
        self.encodings[reading.encoding] = None
        self.members += 1


def _archive(source: Source, kind: str, name: str, profiles: Sequence[Profile], profile_id: str | None) -> StatementFileReading:
    findings, joined = Findings(), _Joined()
    ignored = tuple(part for profile in profiles if profile_id in (None, profile.id) for part in profile.ignored_members)
    try:
        for member in members_of(source.whole(), kind):
            if any(part in member.name for part in ignored):
                findings.add("member_ignored", name=member.name)
                continue
            if archive_kind(member.data) and not sheet_kind(member.data[:4096], Source(member.data)):
                inner = Findings()
                inner.add("nested_archive", line=1)
                refused = StatementFileReading("zip", None, None, accepted=False, statements=(), findings=inner.finished())
                joined.add(member, refused)
                continue
            joined.add(member, _document(Source(member.data), member.name or name, profiles, profile_id))
        if not joined.members:
            findings.add("archive_empty", line=1)
    except ArchiveRefused as problem:
        findings.add("archive_refused", line=1, reason=str(problem))
    return StatementFileReading(
        format=next(iter(joined.formats)) if len(joined.formats) == 1 else kind,
        profile=next(iter(joined.profiles)) if len(joined.profiles) == 1 else None,
        encoding=next(iter(joined.encodings)) if len(joined.encodings) == 1 else None,
        accepted=not findings.refused and bool(joined.statements) and all(one.accepted for one in joined.statements),
        statements=tuple(joined.statements),
        findings=(*findings.finished(), *joined.findings),
        facts={"size": str(source.size), "archive": kind, "members": str(joined.members)},
    )
