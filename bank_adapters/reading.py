"""The one way in: bytes of a bank's file become statements and findings. Never raises, whatever the bytes.

Exactly one reader or profile must claim a file. What claims is decided by the bytes, never by the name or its suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bank_adapters.bai2.reader import read_bai2
from bank_adapters.bai2.records import is_bai2
from bank_adapters.camt.reader import has_doctype, is_camt, read_camt
from bank_adapters.decoding import Decoded, Undecodable, decode
from bank_adapters.delimited.claims import Header, NearMiss, find_header
from bank_adapters.delimited.rows import Row, Sheet, SheetRefused, head_of, sheet_kind, sheets_of, text_rows
from bank_adapters.delimited.table import read_table
from bank_adapters.findings import Findings
from bank_adapters.fixed_width.cfonb120 import is_cfonb120, read_cfonb120
from bank_adapters.fixed_width.coda import is_coda, read_coda
from bank_adapters.fixed_width.norma43 import is_norma43, read_norma43
from bank_adapters.limits import MAX_FILE_BYTES, MAX_HEADER_ROW, MAX_LINE_CHARACTERS, MAX_LINES, SNIFFED_BYTES
from bank_adapters.model import Statement, StatementFileReading, StatementLine
from bank_adapters.mt940.reader import read_mt940
from bank_adapters.mt940.scanner import is_mt940
from bank_adapters.ofx.reader import read_ofx
from bank_adapters.ofx.tokens import is_ofx
from bank_adapters.profile import Profile, ProfileFormat, Quoting, ReversalSign, TableLayout
from bank_adapters.qif import is_qif, read_qif

#: Formats told by their first bytes that are not read (yet), so that the finding can name them.
_KNOWN_UNREAD = (
    (b"%PDF", "PDF"), (b"\x1f\x8b", "a gzip archive"), (b"PK\x03\x04", "a zip archive"), (b"Rar!", "a RAR archive"),
)  # fmt: skip


def read_statement_file(
    data: bytes, name: str, profiles: Sequence[Profile], profile_id: str | None = None
) -> StatementFileReading:
    """Read ``data`` by the one reader or profile that claims it, or by the profile ``profile_id``.

    ``name`` is a label only. All findings come together; ``accepted`` is true when every statement and the file passed.
    """
    findings = Findings()
    run = _Run(data, name, profiles, profile_id, findings)
    try:
        statements = run.read()
    except Exception as problem:  # noqa: BLE001 - the promise is "never raises": a defect of ours must not take the intake down
        findings.statement = None
        findings.add("internal_error", reason=type(problem).__name__)
        statements = ()
    accepted = not findings.refused and bool(statements) and all(statement.accepted for statement in statements)
    return StatementFileReading(
        format=run.format,
        profile=run.profile,
        encoding=run.encoding,
        accepted=accepted,
        statements=statements,
        findings=findings.finished(),
        facts={"size": str(len(data))},
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    """A reader (and profile) that takes the file, with the header it found for a table."""

    name: str
    format: str
    profile: Profile | None
    header: Header | None = None
    rows: Sequence[Row] = ()


class _Run:
    """One reading: what the file turned out to be."""

    def __init__(self, data: bytes, name: str, profiles: Sequence[Profile], profile_id: str | None, findings: Findings) -> None:
        self.data = data
        self.name = name
        self.profiles = profiles
        self.profile_id = profile_id
        self.findings = findings
        self.format = "unknown"
        self.profile: str | None = None
        self.encoding: str | None = None
        self.near_misses: dict[str, NearMiss] = {}

    def read(self) -> tuple[Statement, ...]:
        if not self.data.strip():
            self.findings.add("file_empty", line=1)
            return ()
        if len(self.data) > MAX_FILE_BYTES:
            self.findings.add("file_too_large", size=len(self.data), limit=MAX_FILE_BYTES, offset=MAX_FILE_BYTES)
            return ()
        chosen = self._chosen_profiles()
        if chosen is None:
            return ()
        if kind := sheet_kind(self.data):
            return self._sheet(kind, chosen)
        return self._text(chosen)

    def _chosen_profiles(self) -> list[Profile] | None:
        if self.profile_id is None:
            return list(self.profiles)
        chosen = [profile for profile in self.profiles if profile.id == self.profile_id]
        if not chosen:
            names = ", ".join(profile.id for profile in self.profiles) or "none"
            self.findings.add("unknown_profile", field="profile", name=self.profile_id, names=names)
            return None
        return chosen

    # -- spreadsheets ------------------------------------------------------------------------------------------------

    def _sheet(self, kind: str, profiles: list[Profile]) -> tuple[Statement, ...]:
        self.format = kind
        try:
            sheets = sheets_of(self.data, kind)
        except SheetRefused as problem:
            self.findings.add("sheet_unreadable", line=1, reason=str(problem))
            return ()
        rows = sheets[0].rows if sheets else []
        claims = [
            _Claim(profile.id, kind, profile, header, rows)
            for profile in profiles
            if profile.table is not None and (header := self._header(rows, profile.id, profile.table)) is not None
        ]
        claim = self._only(claims)
        if claim is None or claim.profile is None or claim.header is None:
            return ()
        statements = self._table(claim, rows, self.findings, ends_with_line_break=True)
        for sheet in sheets[1:]:
            self._further_sheet(sheet, claim, statements)
        return statements

    def _further_sheet(self, sheet: Sheet, claim: _Claim, first: tuple[Statement, ...]) -> None:
        """A further sheet may hold movements that would be lost; only one that says the same once more is harmless."""
        layout = claim.profile.table if claim.profile else None
        header = find_header(sheet.rows, layout) if layout else None
        if isinstance(header, Header):
            repeated = replace(claim, header=header, rows=sheet.rows)
            again = self._table(repeated, sheet.rows, Findings(), ends_with_line_break=True)
            if _movements(again) == _movements(first):
                self.findings.add("same_sheet", line=sheet.rows[0].line, name=sheet.name)
                return
        self.findings.add("more_sheets", line=sheet.rows[0].line, name=sheet.name)

    # -- text --------------------------------------------------------------------------------------------------------

    def _text(self, profiles: list[Profile]) -> tuple[Statement, ...]:
        if b"\x00" in self.data[:SNIFFED_BYTES] and self.data.count(0) == len(self.data):
            self.findings.add("nul_bytes", line=1, offset=0)
            return ()
        encodings = profiles[0].encodings if self.profile_id is not None else ()
        try:
            decoded = decode(self.data, encodings)
        except Undecodable as problem:
            self.findings.add("undecodable", line=1, encodings=str(problem))
            return ()
        self.encoding = decoded.encoding
        text = decoded.text.removeprefix("\ufeff")
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        if not self._bounded(text):
            return ()
        claim = self._only(self._text_claims(text, profiles))
        if claim is None:
            return ()
        self._note_encoding(decoded, text)
        if claim.format == "mt940":
            self.format, statements = read_mt940(text, self.findings)
            return statements
        if claim.format == "camt":
            return read_camt(text, self.findings, claim.profile.reversal_sign if claim.profile else ReversalSign.ISO)
        if claim.format == "qif":
            if claim.profile is None or claim.profile.qif is None:
                self.findings.add("qif_profile", line=1, field="profile")
                return ()
            return read_qif(text, self.findings, claim.profile.qif)
        if read := _READ_BY.get(claim.format):
            return read(text, self.findings)
        if "\x00" in text:
            self.findings.add("nul_bytes", line=1 + text[: text.index("\x00")].count("\n"))
            return ()
        if claim.profile is None or claim.profile.table is None:
            return ()
        layout = claim.profile.table
        rows = list(text_rows(text, layout.delimiter, self.findings, layout.quoting))
        return self._table(claim, rows, self.findings, ends_with_line_break=text.endswith("\n"))

    def _bounded(self, text: str) -> bool:
        if text.count("\n") > MAX_LINES:
            self.findings.add("too_many_lines", line=MAX_LINES, limit=MAX_LINES)
            return False
        start = _long_line(text)
        if start is not None and not text.lstrip().startswith(("<", "OFXHEADER")):  # markup needs no line ends
            self.findings.add("line_too_long", line=1 + text.count("\n", 0, start), limit=MAX_LINE_CHARACTERS)
            return False
        return True

    def _note_encoding(self, decoded: Decoded, text: str) -> None:
        if decoded.guessed:
            line = next((n for n, each in enumerate(text.split("\n"), 1) if not each.isascii()), 1)
            self.findings.add("encoding_guessed", line=line, encoding=decoded.encoding)

    def _text_claims(self, text: str, profiles: list[Profile]) -> list[_Claim]:
        head = text[:SNIFFED_BYTES]
        claims: list[_Claim] = []
        by_format = {kind: [profile for profile in profiles if profile.format is kind] for kind in ProfileFormat}
        free = self.profile_id is None
        for kind, claimed_by in _CLAIMED_BY.items():
            if (by_format[kind] or free) and claimed_by(head):
                claims += _claims_of(kind.value, by_format[kind])
        heads: dict[tuple[str, Quoting], Sequence[Row]] = {}
        for profile in by_format[ProfileFormat.TABLE]:
            if profile.table is None:
                continue
            parting = (profile.table.delimiter, profile.table.quoting)
            if parting not in heads:
                heads[parting] = head_of(text_rows(head, parting[0], None, parting[1]), MAX_HEADER_ROW)
            header = self._header(heads[parting], profile.id, profile.table)
            if header is not None:
                claims.append(_Claim(profile.id, "delimited", profile, header, heads[parting]))
        return claims

    # -- tables ------------------------------------------------------------------------------------------------------

    def _header(self, rows: Sequence[Row], profile_id: str, layout: TableLayout) -> Header | None:
        found = find_header(rows, layout)
        if isinstance(found, Header):
            return found
        self.near_misses[profile_id] = found
        return None

    def _table(self, claim: _Claim, rows: list[Row], findings: Findings, *, ends_with_line_break: bool) -> tuple[Statement, ...]:
        if claim.profile is None or claim.profile.table is None or claim.header is None:
            return ()
        header_row = claim.rows[claim.header.index]
        at = next(index for index, row in enumerate(rows) if row.line == header_row.line)
        statement = read_table(
            rows[at + 1 :], rows[:at], header_row, claim.header, layout=claim.profile.table,
            findings=findings, ends_with_line_break=ends_with_line_break,
        )  # fmt: skip
        return (statement,)

    # -- exactly one -------------------------------------------------------------------------------------------------

    def _only(self, claims: list[_Claim]) -> _Claim | None:
        if len(claims) == 1:
            claim = claims[0]
            self.format = claim.format
            self.profile = claim.profile.id if claim.profile else None
            return claim
        if claims:
            self.findings.add("two_adapters", line=1, field="profile", names=", ".join(claim.name for claim in claims))
        else:
            self._nobody()
        return None

    def _nobody(self) -> None:
        nearest = max(self.near_misses.items(), key=lambda item: item[1].known, default=None)
        if self.profile_id is not None:
            reason = nearest[1].reason if nearest else "its format was not found"
            self.findings.add("wrong_profile", line=1, field="profile", name=self.profile_id, reason=reason)
            return
        start = self.data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
        unread = next((name for magic, name in _KNOWN_UNREAD if start.startswith(magic)), None)
        if unread:
            self.format = unread.lower() if unread.isalnum() else self.format
            self.findings.add("not_supported", line=1, format=unread)
            return
        tables = sorted(profile.id for profile in self.profiles if profile.table is not None)
        looked_for = (
            "MT940/MT942 (:20: .. :62F:), camt.052/053/054 (BkToCstmr..), BAI2 (01,..), OFX, QIF, CODA, CFONB120, Norma 43"
        )
        looked_for += ", tables " + (", ".join(tables) or "(none)")
        if nearest and nearest[1].known > 2:
            looked_for += f"; nearest is {nearest[0]} ({nearest[1].reason})"
        self.findings.add("no_adapter", line=1, field="format", looked_for=looked_for)


def _movements(statements: tuple[Statement, ...]) -> list[StatementLine]:
    """The lines as what they say, without where they stand and how they are written."""
    return [replace(line, line=0, source=None) for statement in statements for line in statement.lines]


def _long_line(text: str) -> int | None:
    """Where a line longer than allowed begins; looks at one line end in a million characters, not at every line."""
    start = 0
    while start + MAX_LINE_CHARACTERS < len(text):
        end = text.rfind("\n", start, start + MAX_LINE_CHARACTERS + 1)
        if end < 0:
            return start
        start = end + 1
    return None


def _is_camt_or_doctype(head: str) -> bool:
    """A document type is claimed, to be refused by name; web pages have one too."""
    return is_camt(head) or (has_doctype(head) and "<!DOCTYPE html" not in head)


#: How each standard is told by the head of a text; tables are told by their profiles.
_CLAIMED_BY: dict[ProfileFormat, Callable[[str], bool]] = {
    ProfileFormat.MT940: is_mt940,
    ProfileFormat.CAMT: _is_camt_or_doctype,
    ProfileFormat.BAI2: is_bai2,
    ProfileFormat.OFX: is_ofx,
    ProfileFormat.QIF: is_qif,
    ProfileFormat.CODA: is_coda,
    ProfileFormat.CFONB120: is_cfonb120,
    ProfileFormat.NORMA43: is_norma43,
}
#: Readers that need no more than the text.
_READ_BY: dict[str, Callable[[str, Findings], tuple[Statement, ...]]] = {
    ProfileFormat.BAI2.value: read_bai2,
    ProfileFormat.OFX.value: read_ofx,
    ProfileFormat.CODA.value: read_coda,
    ProfileFormat.CFONB120.value: read_cfonb120,
    ProfileFormat.NORMA43.value: read_norma43,
}


def _claims_of(name: str, profiles: list[Profile]) -> list[_Claim]:
    """One claim a profile of this format; the reader itself when no profile is loaded for it."""
    return [_Claim(profile.id, name, profile) for profile in profiles] or [_Claim(name, name, None)]
