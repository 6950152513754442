"""One document (a file, or a file inside an archive): exactly one reader or profile must claim it, told by its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from bank_adapters.bai2.reader import read_bai2
from bank_adapters.bai2.records import is_bai2
from bank_adapters.camt.reader import has_doctype, is_camt, read_camt, refuse_doctype
from bank_adapters.dayend import is_day_end, read_day_end
from bank_adapters.decoding import Text, Undecodable, decode
from bank_adapters.delimited.claims import Header, NearMiss, find_header
from bank_adapters.delimited.markup import markup_kind, markup_sheets
from bank_adapters.delimited.reading import read_table
from bank_adapters.delimited.rows import Row, head_of, text_rows
from bank_adapters.delimited.sheets import Sheet, SheetRefused, sheet_kind, sheets_of
from bank_adapters.findings import Findings
from bank_adapters.fixed_width.cfonb120 import is_cfonb120, read_cfonb120
from bank_adapters.fixed_width.coda import is_coda, read_coda
from bank_adapters.fixed_width.norma43 import is_norma43, read_norma43
from bank_adapters.fixed_width.unionpay import is_unionpay, read_unionpay
from bank_adapters.limits import MAX_HEADER_ROW, MAX_LINE_CHARACTERS, MAX_LINES, MAX_MARKUP_CHARACTERS
from bank_adapters.model import Statement, StatementLine
from bank_adapters.mt940.reader import read_mt940
from bank_adapters.mt940.scanner import is_mt940
from bank_adapters.ofx.reader import read_ofx
from bank_adapters.ofx.tokens import is_ofx
from bank_adapters.profile import Profile, ProfileFormat, Quoting, ReversalSign, TableLayout
from bank_adapters.qif import is_qif, read_qif
from bank_adapters.sources import Source
from bank_adapters.text_lines import Lines

#: Formats told by their first bytes that are not read, so that the finding can name them.
_KNOWN_UNREAD = ((b"%PDF", "PDF"), (b"Rar!", "a RAR archive"), (b"7z\xbc\xaf", "a 7z archive"))
_MARKUP = frozenset({"camt", "ofx"})  # needs no line ends


@dataclass(frozen=True, slots=True)
class Claim:
    """A reader (and profile) that takes the document, with the header it found for a table."""

    name: str
    format: str
    profile: Profile | None
    header: Header | None = None
    rows: Sequence[Row] = ()


class Document:
    """One reading: what the document turned out to be. ``read`` may raise on a defect of ours; the caller sees to that."""

    def __init__(
        self, source: Source, name: str, profiles: Sequence[Profile], profile_id: str | None, findings: Findings
    ) -> None:
        self.source = source
        self.name = name
        self.profiles = profiles
        self.profile_id = profile_id
        self.findings = findings
        self.format = "unknown"
        self.profile: str | None = None
        self.encoding: str | None = None
        self.near_misses: dict[str, NearMiss] = {}

    def read(self) -> tuple[Statement, ...]:
        """Every statement of the document."""
        head = self.source.head(4096)
        if not head.strip() and not self.source.whole().strip():
            self.findings.add("file_empty", line=1)
            return ()
        chosen = [profile for profile in self.profiles if self.profile_id in (None, profile.id)]
        if kind := sheet_kind(head, self.source):
            self.format = kind
            return self._sheets(lambda: sheets_of(self.source.whole(), kind), chosen)
        return self._text(chosen)

    # -- sheets ------------------------------------------------------------------------------------------------------

    def _sheets(self, read: Callable[[], list[Sheet]], profiles: list[Profile]) -> tuple[Statement, ...]:
        kind = self.format
        try:
            sheets = read()
        except SheetRefused as problem:
            self.findings.add("sheet_unreadable", line=1, reason=str(problem))
            return ()
        rows = sheets[0].rows if sheets else []
        claims = [
            Claim(profile.id, kind, profile, header, rows)
            for profile in profiles
            if profile.table is not None
            and profile.table.decimal == "."  # what is a number in a sheet has a point, and text looks like it
            and (header := self._header(rows, profile.id, profile.table)) is not None
        ]
        claim = self._only(claims)
        if claim is None or claim.profile is None or claim.header is None:
            return ()
        statements = self._table(claim, rows, self.findings, ends_with_line_break=True)
        for sheet in sheets[1:]:
            self._further_sheet(sheet, claim, statements)
        return statements

    def _further_sheet(self, sheet: Sheet, claim: Claim, first: tuple[Statement, ...]) -> None:
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
        encodings = profiles[0].encodings if self.profile_id is not None and profiles else ()
        try:
            text = decode(self.source, encodings)
        except Undecodable as problem:
            self.findings.add("undecodable", line=1, encodings=str(problem))
            return ()
        self.encoding = text.encoding
        if not text.head.strip("\x00 \n\t"):
            if "\x00" in text.head:
                self.findings.add("nul_bytes", line=1, offset=0)
            else:  # a byte order mark and nothing behind it
                self.findings.add("file_empty", line=1)
            return ()
        if kind := markup_kind(text.head):
            self.format = kind
            self._note_encoding(text)
            if text.characters > MAX_MARKUP_CHARACTERS:
                self.findings.add("sheet_unreadable", line=1, reason=f"more than {MAX_MARKUP_CHARACTERS} characters of markup")
                return ()
            return self._sheets(lambda: markup_sheets(text.whole(), kind), profiles)
        if text.line_breaks > MAX_LINES:
            self.findings.add("too_many_lines", line=MAX_LINES, limit=MAX_LINES)
            return ()
        claims = self._text_claims(text.head, profiles)
        if text.long_line is not None and not any(claim.format in _MARKUP for claim in claims):
            self.findings.add("line_too_long", line=text.long_line, limit=MAX_LINE_CHARACTERS)
            return ()
        claim = self._only(claims)
        if claim is None:
            return ()
        self._note_encoding(text)
        return self._read_by(claim, text)

    def _read_by(self, claim: Claim, text: Text) -> tuple[Statement, ...]:
        findings, profile = self.findings, claim.profile
        if claim.format == "mt940":
            self.format, statements = read_mt940(text.pieces(), findings)
            return statements
        if claim.format == "camt":
            if has_doctype(text.head):
                refuse_doctype(text.head, findings)
                return ()
            return read_camt(text.pieces(), findings, profile.reversal_sign if profile else ReversalSign.ISO)
        if claim.format == "ofx":
            return read_ofx(text.pieces(), findings)
        if claim.format == "qif":
            if profile is None or profile.qif is None:
                findings.add("qif_profile", line=1, field="profile")
                return ()
            return read_qif(text.lines(), findings, profile.qif)
        if claim.format == "unionpay":
            return read_unionpay(text.lines(), findings, self.name)
        if read := _READ_BY.get(claim.format):
            return read(text.lines(), findings)
        if text.nul_line is not None:
            findings.add("nul_bytes", line=text.nul_line)
            return ()
        if profile is None or profile.table is None:
            return ()
        lines = Lines(text.pieces())
        rows = text_rows(lines, profile.table.delimiter, findings, profile.table.quoting)
        return self._table(claim, rows, findings, ends_with_line_break=text.ends_with_line_break, lines=lines)

    def _note_encoding(self, text: Text) -> None:
        if text.guessed:
            self.findings.add("encoding_guessed", line=text.foreign_line or 1, encoding=text.encoding)

    def _text_claims(self, head: str, profiles: list[Profile]) -> list[Claim]:
        claims: list[Claim] = []
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
                heads[parting] = head_of(text_rows(Lines([head]), parting[0], None, parting[1]), MAX_HEADER_ROW)
            header = self._header(heads[parting], profile.id, profile.table)
            if header is not None:
                claims.append(Claim(profile.id, "delimited", profile, header, heads[parting]))
        return claims

    # -- tables ------------------------------------------------------------------------------------------------------

    def _header(self, rows: Sequence[Row], profile_id: str, layout: TableLayout) -> Header | None:
        found = find_header(rows, layout)
        if isinstance(found, Header):
            return found
        self.near_misses[profile_id] = found
        return None

    def _table(
        self, claim: Claim, rows: Iterable[Row], findings: Findings, *, ends_with_line_break: bool, lines: Lines | None = None
    ) -> tuple[Statement, ...]:
        """The statement of a table's rows; ``lines`` are those a text's rows are read from."""
        if claim.profile is None or claim.profile.table is None or claim.header is None:
            return ()
        header_row = claim.rows[claim.header.index]
        every: Iterator[Row] = iter(rows)
        before: list[Row] = []
        for row in islice(every, 2 * MAX_HEADER_ROW + 1):
            if row is header_row or (lines is not None and row.line == header_row.line):  # rows of a page may share a line
                break
            before.append(row)
        else:
            every, lines = chain(before, every), None
            before = []
        statement = read_table(
            every, before, header_row, claim.header, layout=claim.profile.table, findings=findings,
            ends_with_line_break=ends_with_line_break, lines=lines,
        )  # fmt: skip
        return (statement,)

    # -- exactly one -------------------------------------------------------------------------------------------------

    def _only(self, claims: list[Claim]) -> Claim | None:
        if len(claims) == 1:
            claim = claims[0]
            self.format = claim.format
            self.profile = claim.profile.id if claim.profile else None
            self.findings.lenient = frozenset(claim.profile.leniencies) if claim.profile else frozenset()
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
        start = self.source.head(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        unread = next((name for magic, name in _KNOWN_UNREAD if start.startswith(magic)), None)
        if unread:
            self.format = unread.lower() if unread.isalnum() else self.format
            self.findings.add("not_supported", line=1, format=unread)
            return
        tables = sorted(profile.id for profile in self.profiles if profile.table is not None)
        looked_for = (
            "MT940/MT942/MT950 (:20: .. :62F:), camt.052/053/054 (BkToCstmr..), BAI2 (01,..), OFX, QIF, CODA, CFONB120, "
            "Norma 43, day-end files (count|amount|), UnionPay"
        )
        looked_for += ", tables " + (", ".join(tables) or "(none)")
        if nearest and nearest[1].known > 2:
            looked_for += f"; nearest is {nearest[0]} ({nearest[1].reason}); escrow profile test shows what each column would be"
        self.findings.add("no_adapter", line=1, field="format", looked_for=looked_for)


def _movements(statements: tuple[Statement, ...]) -> list[StatementLine]:
    """The lines as what they say, without where they stand and how they are written."""
    return [replace(line, line=0, source=None) for statement in statements for line in statement.lines]


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
    ProfileFormat.DAY_END: is_day_end,
    ProfileFormat.UNIONPAY: is_unionpay,
}
#: Readers that need no more than the lines.
_READ_BY: dict[str, Callable[[Iterable[str], Findings], tuple[Statement, ...]]] = {
    ProfileFormat.BAI2.value: read_bai2,
    ProfileFormat.CODA.value: read_coda,
    ProfileFormat.CFONB120.value: read_cfonb120,
    ProfileFormat.NORMA43.value: read_norma43,
    ProfileFormat.DAY_END.value: read_day_end,
}


def _claims_of(name: str, profiles: list[Profile]) -> list[Claim]:
    """One claim a profile of this format; the reader itself when no profile is loaded for it."""
    return [Claim(profile.id, name, profile) for profile in profiles] or [Claim(name, name, None)]
