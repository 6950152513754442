"""camt.052/053/054 rules, each as one small document."""

from __future__ import annotations

from datetime import date

import pytest

from bank_adapters.model import Direction, LineStatus, Severity, StatementFileReading, StatementKind
from bank_adapters.profile import Profile, ProfileFormat, ReversalSign
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()


def balance(code: str, amount: str, day: str = "2026-03-02", sign: str = "CRDT", currency: str = "CNY") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy='{currency}'>{amount}</Amt>"
        f"<CdtDbtInd>{sign}</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def entry(
    amount: str = "5.00", sign: str = "CRDT", inner: str = "", status: str = "<Sts>BOOK</Sts>", currency: str = "CNY"
) -> str:
    return (
        f"<Ntry><Amt Ccy='{currency}'>{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{status}"
        f"<BookgDt><Dt>2026-03-02</Dt></BookgDt>{inner}</Ntry>"
    )


def document(
    *parts: str, opening: str = "0.00", closing: str = "5.00", head: str = "", version: str = "053.001.02", root: str = "BkToCstmrStmt",
    stmt: str = "Stmt",
) -> str:  # fmt: skip
    balances = balance("OPBD", opening, "2026-03-01") + balance("CLBD", closing) if stmt == "Stmt" else ""
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.{version}'>\n<{root}>"
        f"<GrpHdr><MsgId>M</MsgId></GrpHdr>\n<{stmt}><Id>S1</Id>{head}<ElctrncSeqNb>9</ElctrncSeqNb>"
        f"<Acct><Id><Othr><Id>110200</Id></Othr></Id><Ccy>CNY</Ccy></Acct>{balances}\n{''.join(parts)}\n</{stmt}></{root}></Document>"
    )


def read(text: str, profiles: tuple[Profile, ...] = ()) -> StatementFileReading:
    return read_statement_file(text.encode(), "file.xml", profiles)


def codes(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings]


@pytest.mark.parametrize("version", [f"053.001.{number:02d}" for number in range(1, 15)])
def test_every_version_is_read_by_local_names(version: str) -> None:
    assert read(document(entry(), version=version)).accepted


def test_no_namespace_a_prefix_and_an_envelope_are_read_alike() -> None:
    plain = document(entry())
    bare = plain.replace(" xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'", "")
    inner = plain.split("\n", 1)[1]
    envelope = f"<BizMsgEnvlp xmlns='urn:x'><AppHdr><Id>H</Id></AppHdr>{inner}</BizMsgEnvlp>"
    prefixed = plain.replace("<Document xmlns=", "<Document xmlns:d=")
    for name in ("Stmt", "Ntry", "BkToCstmrStmt", "Bal", "Amt", "Acct", "Id"):
        prefixed = prefixed.replace(f"<{name}>", f"<d:{name}>").replace(f"</{name}>", f"</d:{name}>")
        prefixed = prefixed.replace(f"<{name} ", f"<d:{name} ")
    expected = read(plain).statements[0].lines[0].amount
    for text in (bare, envelope, prefixed):
        reading = read(text)
        assert reading.accepted
        assert reading.statements[0].lines[0].amount == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [("<Sts>BOOK</Sts>", LineStatus.BOOKED), ("<Sts><Cd>BOOK</Cd></Sts>", LineStatus.BOOKED), ("", LineStatus.BOOKED),
     ("<Sts>PDNG</Sts>", LineStatus.PENDING), ("<Sts><Cd>INFO</Cd></Sts>", LineStatus.INFORMATION), ("<Sts>FUTR</Sts>", LineStatus.PENDING)],
)  # fmt: skip
def test_only_booked_entries_touch_the_balance_and_a_missing_status_is_booked(status: str, expected: LineStatus) -> None:
    reading = read(document(entry(status=status), closing="5.00" if expected is LineStatus.BOOKED else "0.00"))
    assert reading.statements[0].lines[0].status is expected
    assert reading.accepted


def test_a_batch_is_one_movement_whatever_its_details_sum_to() -> None:
    details = "".join(
        f"<TxDtls><Refs><EndToEndId>E{number}</EndToEndId></Refs><Amt Ccy='CNY'>4.00</Amt></TxDtls>" for number in (1, 2)
    )
    reading = read(document(entry(inner=f"<NtryDtls>{details}</NtryDtls>")))
    (line,) = reading.statements[0].lines
    assert line.amount.minor_units == 500
    assert line.references == ("E1", "E2")
    assert line.end_to_end_reference is None
    assert reading.accepted


def test_the_indicator_of_a_reversal_is_its_own_direction_unless_the_profile_says_inverted() -> None:
    text = document(entry(sign="DBIT", inner="<RvslInd>true</RvslInd>"), opening="5.00", closing="0.00")
    (line,) = read(text).statements[0].lines
    assert (line.direction, line.reversal) == (Direction.OUT, True)
    inverted = Profile(id="x", version=1, title="x", format=ProfileFormat.CAMT, reversal_sign=ReversalSign.INVERTED)
    reading = read(text, (inverted,))
    assert reading.statements[0].lines[0].direction is Direction.IN
    assert codes(reading) == ["balance_identity"]


def test_prcd_opens_where_opbd_is_missing_and_other_types_are_left_alone() -> None:
    text = (
        document(entry()).replace("OPBD", "PRCD").replace("<Ntry>", balance("CLAV", "99.00") + balance("ITBD", "7.00") + "<Ntry>")
    )
    reading = read(text)
    assert reading.accepted
    assert reading.statements[0].opening_balance is not None
    assert reading.statements[0].opening_balance.minor_units == 0


def test_names_and_accounts_of_version_2_and_8_are_found_by_direction() -> None:
    for name in ("<Nm>Payer</Nm>", "<Pty><Nm>Payer</Nm></Pty>"):
        parties = (
            f"<RltdPties><Dbtr>{name}</Dbtr><DbtrAcct><Id><IBAN>NL1</IBAN></Id></DbtrAcct><Cdtr><Nm>Us</Nm></Cdtr></RltdPties>"
        )
        inner = f"<NtryDtls><TxDtls>{parties}</TxDtls></NtryDtls>"
        (incoming,) = read(document(entry(inner=inner))).statements[0].lines
        assert (incoming.counterparty_name, incoming.counterparty_account) == ("Payer", "NL1")
        (outgoing,) = read(document(entry(sign="DBIT", inner=inner), closing="-5.00")).statements[0].lines
        assert outgoing.counterparty_name == "Us"


def test_references_and_remittance_are_gathered_without_placeholders_and_invented_blanks() -> None:
    inner = (
        "<AcctSvcrRef>B1</AcctSvcrRef><NtryDtls><TxDtls><Refs><InstrId>I1</InstrId><EndToEndId>NOTPROVIDED</EndToEndId></Refs>"
        "<RmtInf><Ustrd>order 20260</Ustrd><Ustrd>302-17</Ustrd><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf>"
        "</TxDtls></NtryDtls>"
    )
    (line,) = read(document(entry(inner=inner))).statements[0].lines
    assert line.description == "order 20260302-17"
    assert line.references == ("B1", "I1", "RF18", "20260302-17")
    assert line.end_to_end_reference is None


@pytest.mark.parametrize(
    "amount", ["12..34", "NaN", "INF", "1e3", "-5.00", "-.50", "--5", "+", ".", "+.", "5,00", "", "1 000.00", "５.00", ".５"]
)
def test_a_garbled_amount_is_a_finding_with_its_line_and_no_guess(amount: str) -> None:
    reading = read(document(entry(amount=amount)))
    assert not reading.accepted
    assert any(finding.code == "amount_unreadable" and finding.line == 5 for finding in reading.findings)


@pytest.mark.parametrize(
    ("amount", "fen"), [(".50", 50), ("+.5", 50), ("0.5", 50), ("5.", 500), ("+5.00", 500), ("005", 500), (".05000", 5)]
)
@pytest.mark.parametrize("entries", [1, 200])
def test_every_way_xml_schema_lets_a_decimal_be_written_is_read(amount: str, fen: int, entries: int) -> None:
    closing = f"{fen * entries // 100}.{fen * entries % 100:02}"

    reading = read(document(*[entry(amount=amount)] * entries, closing=closing))

    assert reading.accepted, reading.findings
    assert {line.amount.minor_units for line in reading.statements[0].lines} == {fen}


@pytest.mark.parametrize(("amount", "accepted"), [("5.00000", True), ("000000000005", True), ("5.001", False)])
def test_further_decimals_must_be_zeros(amount: str, accepted: bool) -> None:
    reading = read(document(entry(amount=amount)))
    assert reading.accepted is accepted
    assert ("amount_decimals" in codes(reading)) is not accepted


def test_another_currency_uses_the_banks_own_conversion_or_is_refused() -> None:
    converted = entry("1.00", currency="USD", inner="<AmtDtls><CntrValAmt><Amt Ccy='CNY'>5.00</Amt></CntrValAmt></AmtDtls>")
    assert read(document(converted)).accepted
    assert "currency_differs" in codes(read(document(entry("1.00", currency="USD"))))


@pytest.mark.parametrize(
    "totals",
    [
        "<TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries>",
        "<TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>6.00</Sum></TtlCdtNtries>",
        "<TtlDbtNtries><NbOfNtries>1</NbOfNtries></TtlDbtNtries>",
        "<TtlNtries><TtlNetNtry><Amt>5.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TtlNetNtry></TtlNtries>",
    ],
)
def test_wrong_control_totals_are_refused(totals: str) -> None:
    good = (
        "<TtlNtries><NbOfNtries>1</NbOfNtries></TtlNtries><TtlCdtNtries><NbOfNtries>1</NbOfNtries><Sum>5.0</Sum></TtlCdtNtries>"
    )
    assert read(document(f"<TxsSummry>{good}</TxsSummry>", entry())).accepted
    assert not read(document(f"<TxsSummry>{totals}</TxsSummry>", entry())).accepted


def test_a_page_without_the_page_before_it_is_refused() -> None:
    page = "<StmtPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"
    assert "page_missing" in codes(read(document(entry(), head=page)))
    assert read(document(entry(), head=page.replace("2", "1"))).accepted


def test_dates_are_taken_as_written_never_converted() -> None:
    text = document(entry()).replace("<BookgDt><Dt>2026-03-02</Dt>", "<BookgDt><DtTm>2026-03-02T23:59:00-05:00</DtTm>")
    (line,) = read(text).statements[0].lines
    assert line.booking_date == date(2026, 3, 2)
    assert line.booked_at is not None
    assert line.booked_at.isoformat() == "2026-03-02T23:59:00-05:00"
    zoned = document(entry()).replace("<BookgDt><Dt>2026-03-02</Dt>", "<BookgDt><Dt>2026-03-02+02:00</Dt>")
    assert read(zoned).statements[0].lines[0].booking_date == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("version", "root", "stmt", "kind"),
    [("052.001.02", "BkToCstmrAcctRpt", "Rpt", StatementKind.INTRADAY), ("052.001.01", "BkToCstmrAcctRptV01", "Rpt", StatementKind.INTRADAY),
     ("054.001.08", "BkToCstmrDbtCdtNtfctn", "Ntfctn", StatementKind.NOTIFICATION)],
)  # fmt: skip
def test_reports_and_notifications_need_no_balances(version: str, root: str, stmt: str, kind: StatementKind) -> None:
    reading = read(document(entry(), version=version, root=root, stmt=stmt))
    assert reading.accepted
    assert reading.statements[0].kind is kind


def test_a_copy_is_remarked() -> None:
    assert codes(read(document(entry(), head="<CpyDplctInd>DUPL</CpyDplctInd>"))) == ["copy"]


def test_a_truncated_document_is_refused_and_what_was_read_is_shown() -> None:
    text = document(entry(), entry())
    reading = read(text[: text.rindex("<Ntry>") + 20])
    assert not reading.accepted
    assert {"truncated", "xml_broken"} <= set(codes(reading))
    assert len(reading.statements[0].lines) == 1


def test_a_declared_encoding_may_lie() -> None:
    text = document(entry(inner="<AddtlNtryInf>学费 Überweisung</AddtlNtryInf>")).replace("UTF-8", "ISO-8859-1")
    assert read(text).statements[0].lines[0].description == "学费 Überweisung"
    sixteen = read_statement_file(text.encode("utf-16"), "x", ())
    assert sixteen.statements == read(text).statements


DOCTYPES = {
    "external entity": "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>",
    "external subset": "<!DOCTYPE x SYSTEM 'http://127.0.0.1:9/x.dtd'>",
    "billion laughs": "<!DOCTYPE x [<!ENTITY a 'lol'>" + "".join(
        f"<!ENTITY {new} '{('&' + old + ';') * 10}'>" for old, new in zip("abcdefghi", "bcdefghij", strict=True)) + "]>",
    "behind comments": "<!-- one --><?pi two?>\n<!-- three\n--><!DOCTYPE x>",
    "lower case": "<!doctype x>",
}  # fmt: skip


@pytest.mark.parametrize("doctype", DOCTYPES.values(), ids=DOCTYPES.keys())
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_outright(doctype: str, encoding: str) -> None:
    text = document(entry(inner="<AddtlNtryInf>&j;</AddtlNtryInf>")).replace("\n<Document", f"\n{doctype}\n<Document")
    reading = read_statement_file(text.encode(encoding), "x", PROFILES)
    assert [finding.code for finding in reading.findings if finding.severity is Severity.ERROR] == ["doctype"]
    assert reading.statements == ()


def test_elements_nested_without_end_are_refused() -> None:
    reading = read(document("<a>" * 20_000 + "</a>" * 20_000, entry()))
    assert "xml_too_deep" in codes(reading)
    assert not reading.accepted


def test_a_document_without_statement_is_refused_with_a_place() -> None:
    reading = read("<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.02'><BkToCstmrStmt/></Document>")
    assert [(finding.code, finding.line) for finding in reading.findings] == [("no_statement", 1)]


def test_a_bad_statement_leaves_its_neighbour_accepted() -> None:
    text = document(entry())
    start, end = text.index("<Stmt>"), text.index("</Stmt>") + len("</Stmt>")
    bad = text[start:end].replace("5.00</Amt>", "6.00</Amt>", 1)
    reading = read(text[:end] + bad.replace("S1", "S2") + text[end:])
    assert [each.accepted for each in reading.statements] == [True, False]


def test_the_sum_of_all_entries_is_held_too() -> None:
    def declared(total: str) -> str:
        return f"<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries><Sum>{total}</Sum></TtlNtries></TxsSummry>"

    entries = (entry("8.00"), entry("3.00", "DBIT"))
    assert read(document(declared("11.00"), *entries)).accepted
    assert codes(read(document(declared("5.00"), *entries))) == ["control_total"]


def test_the_pieces_of_one_payment_in_a_batch_are_joined_and_its_payments_kept_apart() -> None:
    first = "<TxDtls><RmtInf><Ustrd>order ORD-</Ustrd><Ustrd>17</Ustrd></RmtInf></TxDtls>"
    second = "<TxDtls><AddtlTxInf>fee of March</AddtlTxInf></TxDtls>"
    (line,) = read(document(entry(inner=f"<NtryDtls>{first}{second}</NtryDtls>"))).statements[0].lines
    assert line.description == "order ORD-17 | fee of March"
