"""Large files are read by column where they are ordinary and line by line elsewhere: both lanes say the same of every file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bank_adapters.camt.reader import read_camt
from bank_adapters.delimited.claims import Header, find_header
from bank_adapters.delimited.reading import read_table
from bank_adapters.delimited.rows import head_of, text_rows
from bank_adapters.findings import Findings
from bank_adapters.line_store import LineStore
from bank_adapters.model import Finding, Statement
from bank_adapters.mt940.reader import read_mt940
from bank_adapters.packing import PackedColumns
from bank_adapters.profile import (
    Column,
    ColumnField,
    DirectionRule,
    Fact,
    Footer,
    FooterTotals,
    LabelledFact,
    Quoting,
    ReversalSign,
    TableLayout,
)
from bank_adapters.reading import read_statement_file
from bank_adapters.text_lines import Lines
from benchmarks.statement_files import WRITERS
from config.profiles import load_profiles

NEVER = 10**9


@pytest.fixture
def by_column(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines each block read by column has."""
    counts: list[int] = []
    append_columns = LineStore.append_columns

    def counted(self: LineStore, count: int, columns: PackedColumns) -> None:
        counts.append(count)
        append_columns(self, count, columns)

    monkeypatch.setattr(LineStore, "append_columns", counted)
    return counts


ROWS = 6_000


@pytest.mark.parametrize(("kind", "share"), [("mt940", 0.99), ("camt", 0.97), ("delimited", 0.99)])
def test_nearly_all_lines_of_an_ordinary_file_are_read_by_column(
    kind: str, share: float, by_column: list[int], tmp_path: Path
) -> None:
    WRITERS[kind](tmp_path / kind, ROWS)
    assert read_statement_file(tmp_path / kind, kind, load_profiles()).accepted
    assert sum(by_column) >= share * ROWS


def in_pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


# -- MT940 -------------------------------------------------------------------------------------------------------------

SUBFIELD = st.sampled_from([
    "?00TRANSFER", "?20EREF+ORD-0000012345", "?20EREF+NONREF", "?21SVWZ+course fee", "?21SVWZ+fee REF00012345678", "?22KREF+K1",
    "?23MREF+mandate 7", "?20plain text", "?20a+b", "?20BIC+X", "?21xEREF+", "?31622200000000012345", "?38DE02120300000000202051",
    "?32Payer", "?33 & Sons", "?32", "?61more", "?32P?ayer", "?", "?99other",
])  # fmt: skip
LAYOUTS = st.sampled_from([
    ["?00TRANSFER", "?20EREF+ORD-0000012345", "?21SVWZ+course fee", "?31622200000000012345", "?32Payer"],
    ["?00TRANSFER", "?20EREF+ORD-0000054321", "?21SVWZ+other fee", "?31622200000000054321", "?32Payee"],
])  # fmt: skip
DETAILS = st.one_of(
    st.builds(lambda parts: "166" + "".join(parts), LAYOUTS | st.lists(SUBFIELD, min_size=1, max_size=6)),
    st.builds(lambda parts: "166" + "".join(parts).replace("?", "^"), LAYOUTS),
    st.sampled_from(["", " ", "text", "/EREF/E1/REMI/fee of June/", "166", " 166?00x?20y", "166?2", "x" * 70]),
)
FURTHER = st.lists(st.sampled_from(["more text", "?21SVWZ+x", "0TRANSFER", " indented", "-", "", "\x1a", "x\x00", "{x", "XXX", "\u3000", "12:30:00"]), max_size=2)  # fmt: skip
REFERENCES = st.sampled_from(
    ["ORD-0000012345//BK000000012345", "NONREF", "NONREF//B1", "A/B//", "same00000000//same00000000", ""]
)
MOVEMENT = st.builds(
    lambda days, mark, amount, code, references, below, details, more: "\n".join(
        [f":61:{days}{mark}{amount}{code}{references}", *below, *([] if details is None else [f":86:{details}"]), *more]
    ),
    st.sampled_from(["2601010101", "260101", "2512310102", "260230", "2602280230", "260101    ", "26010"]),
    st.sampled_from(["C", "D", "RC", "RD", "CR", "EC", "Q"]),
    st.sampled_from(["79,19", "1,00", "100,", "0,00", "1,001", "1.000,00", "12345678901234567,00", ",50"]),
    st.sampled_from(["NTRF", "SBNK", "N123", "N 12", ""]),
    REFERENCES, FURTHER, st.none() | DETAILS, FURTHER,
)  # fmt: skip
ORDINARY = st.builds(
    lambda mark, cents, parts: f":61:2601010101{mark}79,{cents:02d}NTRFORD-0000012345//BK000000012345\n:86:166{''.join(parts)}",
    st.sampled_from(["C", "D"]), st.integers(0, 99), LAYOUTS,
)  # fmt: skip
BETWEEN = st.sampled_from(
    [":86:stray", ":64:C260131CNY1,00", ":62F:C260131CNY1,00", "-", ":20:NEXT\n:25:2\n:28C:2\n:60F:C260131CNY1,00", "??", ""]
)
RUN = st.lists(ORDINARY, min_size=2, max_size=6).map("\n".join)
MT940 = st.lists(RUN | RUN | MOVEMENT | MOVEMENT | BETWEEN, min_size=2, max_size=12)


@given(MT940, st.sampled_from(["CNY", "JPY"]), st.sampled_from([7, 300, 2_000, 9_000]))
@example(["\n".join(f":61:2601010101C1,00NTRFA\n:86:166?20x?32{name}" for name in ("P", "P?ayer", "P", "P"))], "CNY", 99)
def test_ordinary_movements_of_mt940_say_the_same_by_column(parts: list[str], currency: str, size: int) -> None:
    head = f":20:X\n:25:1\n:28C:1\n:60F:C260101{currency}100,00"
    text = "\n".join([head, *parts, f":62F:C260131{currency}100,00", "-", ""])

    def read(shortest_run: int) -> tuple[Any, tuple[Finding, ...]]:
        findings = Findings()
        return read_mt940(in_pieces(text, size), findings, shortest_run), findings.finished()

    assert read(1) == read(NEVER)


def test_a_movement_that_is_not_ordinary_is_read_among_thousands_that_are(by_column: list[int], tmp_path: Path) -> None:
    WRITERS["mt940"](tmp_path / "x", 4_000)
    text = (tmp_path / "x").read_text(encoding="ascii")
    movements = text.split(":61:")
    movements[2_000] = movements[2_000].replace("2601", "2613", 1)  # no month of the year
    movements[3_000] = movements[3_000].replace(":86:", "supplement\n:86:", 1)
    reading = read_statement_file(":61:".join(movements).encode(), "x", load_profiles())
    (statement,) = reading.statements
    assert [(each.code, each.line) for each in reading.findings][:1] == [("date_unreadable", 2 * 2_000 + 3)]
    assert (len(statement.lines), sum(by_column) > 3_500) == (3_999, True)
    supplemented: Statement = statement
    assert (supplemented.lines[2_998].description or "").endswith(" supplement")
    assert supplemented.lines[-1].line == 2 * 4_000 + 4  # one line more than two a movement


# -- camt --------------------------------------------------------------------------------------------------------------


def either(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


AMOUNT = either(*['<Amt Ccy="CNY">80.19</Amt>', '<Amt Ccy="CNY"> 1234.50\n</Amt>'] * 3, '<Amt Ccy="CNY">0.00</Amt>',
                '<Amt Ccy="CNY">-1.00</Amt>', '<Amt Ccy="EUR">80.19</Amt>', '<Amt Ccy="CNY">1.001</Amt>', '<Amt Ccy="CNY">7</Amt>',
                "<Amt>1.00</Amt>", "<Amt Ccy='CNY'>1.00</Amt>", "")  # fmt: skip
WAY = either(*["<CdtDbtInd>CRDT</CdtDbtInd>", "<CdtDbtInd>DBIT</CdtDbtInd>"] * 3, "<CdtDbtInd>X</CdtDbtInd>", "<CdtDbtInd/>", "")
REVERSAL = either("", "", "<RvslInd>true</RvslInd>", "<RvslInd>0</RvslInd>", "<RvslInd>maybe</RvslInd>", "<RvslInd></RvslInd>")
STATUS = either("<Sts><Cd>BOOK</Cd></Sts>", "<Sts>BOOK</Sts>", "<Sts>PDNG</Sts>", "<Sts>\n<Cd>INFO</Cd></Sts>", "<Sts>x<Cd>BOOK</Cd></Sts>",
                "<Sts><Cd>NEW</Cd></Sts>", "<Sts><Prtry>FUTR</Prtry></Sts>", "<Sts/>", "")  # fmt: skip
BOOKED = either("<BookgDt><Dt>2026-01-05</Dt></BookgDt>", "<BookgDt><DtTm>2026-01-05T10:00:00</DtTm></BookgDt>",
                "<BookgDt><DtTm>2026-01-05T10:00:00.5+02:00</DtTm><Dt>2026-01-06</Dt></BookgDt>", "<BookgDt>2026-01-05</BookgDt>",
                "<BookgDt><Dt>2026-02-30</Dt></BookgDt>", "<BookgDt><Dt>soon</Dt></BookgDt>", "<BookgDt/>", "")  # fmt: skip
VALUED = either("<ValDt><Dt>2026-01-05</Dt></ValDt>", "<ValDt><Dt>2026-01-07</Dt></ValDt>", "")
OWN = either("<AcctSvcrRef>BK000000000001</AcctSvcrRef>", "<AcctSvcrRef> NONREF</AcctSvcrRef>", "<AcctSvcrRef/>", "<x:AcctSvcrRef>1</x:AcctSvcrRef>", "")  # fmt: skip
CODE = either("<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>",
              "<BkTxCd><Prtry><Cd>A-B</Cd></Prtry></BkTxCd>", "<BkTxCd><Domn><Cd>PMNT</Cd></Domn></BkTxCd>", "")  # fmt: skip
REFS = either("<Refs><EndToEndId>ORD-0000000001</EndToEndId></Refs>", "<Refs><MsgId>M1</MsgId><EndToEndId>NOTPROVIDED</EndToEndId></Refs>",
              "<Refs><Prtry><Tp>x</Tp><Ref>R-12345678</Ref></Prtry><InstrId>I</InstrId></Refs>", "<Refs><EndToEndId>A&amp;B</EndToEndId></Refs>", "")  # fmt: skip
PARTIES = either("<RltdPties><Dbtr><Nm>Payer</Nm></Dbtr><DbtrAcct><Id><IBAN>DE02</IBAN></Id></DbtrAcct><Cdtr><Pty><Nm>Us</Nm></Pty></Cdtr></RltdPties>",
                 "<RltdPties><UltmtDbtr><Nm>Ultimate</Nm></UltmtDbtr><CdtrAcct><Id><Othr><Id>622</Id></Othr></Id></CdtrAcct></RltdPties>",
                 "<RltdPties><Dbtr><Nm/></Dbtr></RltdPties>", "")  # fmt: skip
TEXT = either("<RmtInf><Ustrd>course fee</Ustrd></RmtInf>", "<RmtInf><Ustrd>fee REF00012345678 </Ustrd><Ustrd> more</Ustrd></RmtInf>",
              "<RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf><AddtlRmtInf>note</AddtlRmtInf></Strd></RmtInf>",
              "<AddtlTxInf>info</AddtlTxInf>", "<RmtInf><Ustrd>a > b</Ustrd></RmtInf>", "<RmtInf><Ustrd> </Ustrd></RmtInf>",
              "<RmtInf><Ustrd><![CDATA[<Ntry>]]></Ustrd></RmtInf>", "<RmtInf><Ustrd>\x01</Ustrd></RmtInf>", "")  # fmt: skip
INDICATED = either("", "", "<CdtDbtInd>CRDT</CdtDbtInd>", "<CdtDbtInd>?</CdtDbtInd>")
DETAIL = st.builds(lambda *parts: f"<TxDtls>{''.join(parts)}</TxDtls>", REFS, INDICATED, PARTIES, TEXT)
DETAILED = st.lists(DETAIL, max_size=2).map(lambda details: f"<NtryDtls>{''.join(details)}</NtryDtls>" if details else "")
END = either(*["</Ntry>"] * 9, "<AddtlNtryInf>added</AddtlNtryInf>\n</Ntry>", "<Ntry></Ntry></Ntry>", "")
TAIL = either(*["\n"] * 9, "", "text", "<!-- a comment with <Ntry></Ntry> -->", "<?pi x?>", "<Other><Ntry></Ntry></Other>")
CAMT_ENTRY = st.builds(
    lambda number, *parts: f"<Ntry><NtryRef>{number}</NtryRef>" + "".join(parts),
    either("1", "12345678", "N"), AMOUNT, WAY, REVERSAL, STATUS, BOOKED, VALUED, OWN, CODE, DETAILED, END, TAIL,
)  # fmt: skip
PLAIN_ENTRY = st.builds(
    lambda units, way, status, booked, valued, code, details: (
        f'<Ntry><Amt Ccy="CNY">{units}.00</Amt>{way}<Sts><Cd>{status}</Cd></Sts>{booked}{valued}<AcctSvcrRef>BK{units:012}</AcctSvcrRef>'
        f"{code}<NtryDtls>{details}</NtryDtls></Ntry>\n"
    ),
    st.integers(1, 999), either("<CdtDbtInd>CRDT</CdtDbtInd>", "<CdtDbtInd>DBIT</CdtDbtInd>"), either("BOOK", "PDNG"),
    either("<BookgDt><Dt>2026-01-05</Dt></BookgDt>", "<BookgDt><DtTm>2026-01-05T10:00:00</DtTm></BookgDt>"), VALUED, CODE,
    st.builds(lambda *parts: f"<TxDtls>{''.join(parts)}</TxDtls>",
              either("<Refs><EndToEndId>ORD-0000000001</EndToEndId></Refs>", "<Refs><MsgId>M1</MsgId></Refs>"),
              either("<RltdPties><Dbtr><Nm>Payer</Nm></Dbtr></RltdPties>", ""), either("<RmtInf><Ustrd>course fee</Ustrd></RmtInf>", "")),
)  # fmt: skip
CAMT_RUN = st.lists(PLAIN_ENTRY, min_size=2, max_size=6).map("".join)
STATEMENT_END = (
    "</Stmt><Stmt><Acct><Id><IBAN>DE02</IBAN></Id></Acct>"
    '<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>'
)
CAMT = st.lists(CAMT_RUN | CAMT_RUN | CAMT_RUN | CAMT_ENTRY | st.just(STATEMENT_END), min_size=2, max_size=10)


@given(CAMT, st.sampled_from(ReversalSign), st.sampled_from([7, 300, 2_000, 9_000]))
def test_ordinary_entries_of_camt_say_the_same_by_column(parts: list[str], sign: ReversalSign, size: int) -> None:
    text = (
        '<?xml version="1.0"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>\n<Stmt><Id>1</Id>\n'
        "<Acct><Id><Othr><Id>1</Id></Othr></Id><Ccy>CNY</Ccy></Acct>" + "".join(parts) + "</Stmt></BkToCstmrStmt></Document>\n"
    )

    def read(shortest_run: int) -> tuple[Any, tuple[Finding, ...]]:
        findings = Findings()
        return read_camt(in_pieces(text, size), findings, sign, shortest_run=shortest_run), findings.finished()

    assert read(1) == read(NEVER)


def test_entries_are_not_cut_out_of_what_only_looks_like_them(by_column: list[int], tmp_path: Path) -> None:
    WRITERS["camt"](tmp_path / "x", 600)
    text = (tmp_path / "x").read_text(encoding="utf-8")
    commented = text.replace("<Ntry><NtryRef>300<", "<!-- off <Ntry><NtryRef>300<").replace(
        "<Ntry><NtryRef>310<", "--><Ntry><NtryRef>310<"
    )
    (statement,) = read_statement_file(commented.encode(), "x", load_profiles()).statements
    assert len(statement.lines) == 590
    moved = text.replace("<Ntry><NtryRef>300<", "<Held><Ntry><NtryRef>300<").replace(
        "<Ntry><NtryRef>310<", "</Held><Ntry><NtryRef>310<"
    )
    (statement,) = read_statement_file(moved.encode(), "x", load_profiles()).statements
    assert len(statement.lines) == 590
    assert by_column


# -- delimited ---------------------------------------------------------------------------------------------------------

FIELDS = (
    ColumnField.BOOKING_DATE, ColumnField.BOOKING_TIME, ColumnField.VALUE_DATE, ColumnField.AMOUNT, ColumnField.AMOUNT_IN,
    ColumnField.AMOUNT_OUT, ColumnField.MARK, ColumnField.CURRENCY, ColumnField.RUNNING_BALANCE, ColumnField.BANK_REFERENCE,
    ColumnField.REFERENCE, ColumnField.REFERENCE, ColumnField.STATUS, ColumnField.REVERSAL_MARK, ColumnField.DESCRIPTION,
    ColumnField.DESCRIPTION, None,
)  # fmt: skip
USUAL = (
    ["2026-01-05", "2026-01-06"], ["10:00:00", "10:01", ""], ["2026-01-05", ""], ["80.19", "-1.00", "12.50"], ["80.19", "0.00", ""],
    ["", "", "0.00", "5.00"], ["C", "D"], ["CNY"], ["100.00", "180.19"], ["BK000000000001", "NONREF", ""], ["R1", "REF00012345678", ""],
    ["", "R2"], ["done", "waiting"], [""], ["course fee", "fee REF00099999999", ""], ["", "more"], ["x", ""],
)  # fmt: skip
ODD = (
    "", " ", "-", "--", "\u2014", "'80.19", "'", "\u3000x\u3000", "80", "1,234.56", "+7.00", "-0.00", "1.001", "\u00a580.19", "80.19 ", "none",
    "EUR", "JPY", "\u4eba\u6c11\u5e01", "2026-02-30", "20260105", "2026-01-05 11:00:00", "25:00", "void", "N", "Y", "1.2E+15", 'a"b', "\x85", "\t",
    "Total", "9Total", "1_000.00", "\u0661\u0662.00", "1e3", "99999999999999999.00",
)  # fmt: skip
USUAL_ROW = st.tuples(*map(st.sampled_from, USUAL)).map(list)
ODD_ROW = st.tuples(
    USUAL_ROW, st.lists(st.tuples(st.integers(0, len(USUAL) - 1), st.sampled_from(ODD)), min_size=1, max_size=2)
).map(lambda drawn: [dict(drawn[1]).get(index, cell) for index, cell in enumerate(drawn[0])])
QUOTED_ROW = USUAL_ROW.map(lambda row: [f'"{cell}"' for cell in row])
LINE = st.one_of(
    st.lists(USUAL_ROW, min_size=2, max_size=8).map(lambda rows: "\n".join(map(",".join, rows))),
    st.lists(USUAL_ROW, min_size=2, max_size=8).map(lambda rows: "\n".join(map(",".join, rows))),
    (USUAL_ROW | ODD_ROW | QUOTED_ROW).map(",".join),
    st.sampled_from(
        ["", ",,,", "2026-01-05", '"', 'a,"b\nc",d', ",".join([*["x"] * len(USUAL), "beyond"]), "Total,1.00", "x,'y'"]
    ),
)
LAYOUT = st.builds(
    lambda direction, quoting, footed, thousands, signs: TableLayout(
        columns=tuple(Column(name=f"c{index}", field=field) for index, field in enumerate(FIELDS)),
        direction=direction, quoting=quoting, in_marks=("C",), out_marks=("D",), neutral_marks=("N",), pending_statuses=("waiting",),
        information_statuses=("void",), reversal_marks=("Y",), empty_cells=("none", "--"), thousands=thousands, amount_signs=signs,
        footers=(Footer(starts_with="Total", totals=FooterTotals.NONE), Footer(starts_with="x", totals=FooterTotals.LABELLED)) if footed else (),
        preamble=(LabelledFact(label="account", fact=Fact.ACCOUNT),),
    ),
    st.sampled_from(DirectionRule), st.sampled_from([Quoting.STRICT, Quoting.LOOSE]), st.booleans(), st.sampled_from([",", ""]),
    st.sampled_from([(), ("\u00a5",)]),
)  # fmt: skip


USUAL_LINE = ",".join(column[0] for column in USUAL)
ANY_LAYOUT = TableLayout(
    columns=tuple(Column(name=f"c{index}", field=field) for index, field in enumerate(FIELDS)), direction=DirectionRule.SIGNED
)


@example(parts=[*[USUAL_LINE] * 2, "", *[USUAL_LINE] * 2, '"'], layout=ANY_LAYOUT, size=40, ended=False)
@given(st.lists(LINE, min_size=1, max_size=10), LAYOUT, st.sampled_from([40, 500, 4_000]), st.booleans())
def test_ordinary_rows_of_a_table_say_the_same_by_column(parts: list[str], layout: TableLayout, size: int, ended: bool) -> None:
    head = ",".join(f"c{index}" for index in range(len(FIELDS)))
    text = "\n".join([head, *parts]) + ("\n" if ended else "")
    header = find_header(head_of(text_rows(Lines([head]), ",", None), 1), layout)
    assert isinstance(header, Header)

    def read(shortest_block: int) -> tuple[Statement, tuple[Finding, ...]]:
        findings, lines = Findings(), Lines(in_pieces(text, size))
        rows = text_rows(lines, ",", findings, layout.quoting)
        header_row = next(rows)
        statement = read_table(
            rows, [], header_row, header, layout=layout, findings=findings, ends_with_line_break=ended, lines=lines,
            shortest_block=shortest_block,
        )  # fmt: skip
        return statement, findings.finished()

    assert read(1) == read(NEVER)


MOMENT_FIELDS = (
    ColumnField.BOOKED_AT,
    ColumnField.AMOUNT,
    ColumnField.RUNNING_BALANCE,
    ColumnField.VALUE_DATE,
    ColumnField.DESCRIPTION,
)
MOMENT = st.sampled_from([
    *["2026-01-05 10:00:00", "2026-01-06 23:59", "2026-01-05 103000"] * 4, "2026-01-05", "", " 2026-01-05 10:00:00 ", "\t2026-01-05 10:00:00",
    "2026-01-05  10:00:00", "10:00:00 2026-01-05", "'2026-01-05 10:00:00", "2026-01-05 '10:00:00", "-- 10:00", "2026-01-05 -", "2026-02-30 10:00",
    "2026-01-05 25:00", "x", "2026-01-05\u300010:00", "2026-01-05 10:00:00 x", "20260105 10:00:00", "2026/1/5 9:00:00",
])  # fmt: skip
MOMENT_ROW = st.tuples(
    MOMENT, st.sampled_from(["1.00", "-2.50", ""]), st.sampled_from(["1.00", "-1.50", ""]), MOMENT, st.just("x")
)


@given(st.lists(MOMENT_ROW, min_size=1, max_size=9), st.sampled_from([60, 4_000]))
def test_day_and_time_in_one_cell_say_the_same_by_column(rows: list[tuple[str, ...]], size: int) -> None:
    layout = TableLayout(
        columns=tuple(Column(name=f"c{index}", field=field) for index, field in enumerate(MOMENT_FIELDS)),
        direction=DirectionRule.SIGNED,
    )
    lines = [",".join(row) for row in rows]
    one, two = (_read_table(lines, layout, size, shortest_block) for shortest_block in (1, NEVER))
    assert one == two


def _read_table(rows: list[str], layout: TableLayout, size: int, shortest_block: int) -> tuple[Statement, tuple[Finding, ...]]:
    head = ",".join(column.name for column in layout.columns)
    findings, lines = Findings(), Lines(in_pieces("\n".join([head, *rows, ""]), size))
    header = find_header(head_of(text_rows(Lines([head]), ",", None), 1), layout)
    assert isinstance(header, Header)
    table_rows = text_rows(lines, ",", findings, layout.quoting)
    header_row = next(table_rows)
    statement = read_table(
        table_rows, [], header_row, header, layout=layout, findings=findings, ends_with_line_break=True, lines=lines,
        shortest_block=shortest_block,
    )  # fmt: skip
    return statement, findings.finished()


CHAINED = TableLayout(
    columns=tuple(
        Column(name=field.value, field=field)
        for field in (ColumnField.BOOKING_DATE, ColumnField.AMOUNT, ColumnField.RUNNING_BALANCE, ColumnField.STATUS)
    ),
    direction=DirectionRule.SIGNED,
    pending_statuses=("waiting",),
)


@given(
    st.lists(st.integers(-9_999, 9_999).filter(bool), min_size=4, max_size=12),
    st.integers(0, 99),
    st.sampled_from([0, 1, -7]),
    st.booleans(),
    st.sampled_from([1, 4, NEVER]),
)
def test_a_balance_that_does_not_follow_is_found_wherever_it_stands(
    moved: list[int], at: int, off: int, backwards: bool, shortest_block: int
) -> None:
    balance, rows = 100_000, []
    for number, units in enumerate(moved):
        balance += units
        shown = balance + (off if number == at % (len(moved) - 2) + 1 else 0)
        day = f"2026-01-{5 + (number == len(moved) - 1):02}"
        rows.append(
            f"{day},{'-' if units < 0 else ''}{abs(units) // 100}.{abs(units) % 100:02},{shown // 100}.{shown % 100:02},done"
        )
    statement, findings = _read_table(rows[::-1] if backwards else rows, CHAINED, 200, shortest_block)
    broken = [each.line for each in findings if each.code == "running_balance"]
    assert bool(broken) == bool(off)
    if not off:
        assert statement.opening_balance is not None
        assert (statement.opening_balance.minor_units, statement.closing_balance) == (
            100_000,
            statement.lines_in_booking_order[-1].running_balance,
        )
