"""Banks' answers to instructions: pain.002 of any version and tables; what cannot be read exactly is refused, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_adapters.answer_file import read_answer_file
from bank_adapters.bank_answers import Answer
from money import Money


def pain002(body: str, version: str = "10") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.{version}">'
        f"<CstmrPmtStsRpt><GrpHdr><MsgId>B1</MsgId><CreDtTm>2026-03-02T10:00:00</CreDtTm></GrpHdr>{body}</CstmrPmtStsRpt></Document>"
    ).encode()


def group(status: str = "", file: str = "ISB-refund-20260302-01") -> str:
    said = f"<GrpSts>{status}</GrpSts>" if status else ""
    return f"<OrgnlGrpInfAndSts><OrgnlMsgId>{file}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>{said}</OrgnlGrpInfAndSts>"


def transaction(status: str, reason: str = "", reference: str = "RFR1", amount: str = "") -> str:
    amount = f'<OrgnlTxRef><Amt><InstdAmt Ccy="CNY">{amount}</InstdAmt></Amt></OrgnlTxRef>' if amount else ""
    return (
        "<OrgnlPmtInfAndSts><OrgnlPmtInfId>ISB-refund-20260302-01-1</OrgnlPmtInfId><TxInfAndSts>"
        f"<OrgnlEndToEndId>{reference}</OrgnlEndToEndId><TxSts>{status}</TxSts>{reason}<AcctSvcrRef>BK9</AcctSvcrRef>{amount}"
        "</TxInfAndSts></OrgnlPmtInfAndSts>"
    )


REASON = "<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>账户已销户</AddtlInf></StsRsnInf>"


@pytest.mark.parametrize("version", ["03", "09", "10", "12", "14"])
def test_a_rejection_is_read_with_its_reason_in_every_version(version: str) -> None:
    read = read_answer_file(pain002(group() + transaction("RJCT", REASON, amount="1000.00"), version))

    (one,) = read.answers
    assert (read.format, read.bank_message_id, read.findings) == ("pain.002", "B1", ())
    assert (one.answer, one.reference, one.file) == (Answer.REJECTED, "RFR1", "ISB-refund-20260302-01")
    assert (one.reason_code, one.reason, one.bank_reference, one.amount) == ("AC04", "账户已销户", "BK9", Money(100_000))


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("ACSC", Answer.ACCEPTED), ("ACSP", Answer.ACCEPTED), ("ACCP", Answer.ACCEPTED), ("ACWC", Answer.ACCEPTED),
        ("RCVD", Answer.PENDING), ("PDNG", Answer.PENDING), ("ACTC", Answer.PENDING),
        ("RJCT", Answer.REJECTED), ("CANC", Answer.REJECTED),
    ],
)  # fmt: skip
def test_a_status_means_what_the_standard_says(status: str, means: Answer) -> None:
    (one,) = read_answer_file(pain002(group() + transaction(status))).answers

    assert one.answer is means


def test_a_status_of_the_whole_file_or_of_a_block_is_told_as_such() -> None:
    block = "<OrgnlPmtInfAndSts><OrgnlPmtInfId>P-1</OrgnlPmtInfId><PmtInfSts>ACCP</PmtInfSts></OrgnlPmtInfAndSts>"

    whole, part = read_answer_file(pain002(group("RJCT") + block)).answers

    assert (whole.answer, whole.reference, whole.block) == (Answer.REJECTED, "", "")
    assert (part.answer, part.reference, part.block) == (Answer.ACCEPTED, "", "P-1")


def test_each_answer_and_each_fault_is_named_with_its_line() -> None:
    blocks = [transaction("ACSC", reference="RF1"), transaction("WHAT", reference="RF2"), transaction("RJCT", amount="1..0")]
    lines = pain002(group() + "".join(f"\n<!-- one -->\n{block}" for block in blocks)).decode().replace("<TxSts>", "\n<TxSts>")

    read = read_answer_file(lines.encode())

    assert [(one.reference, one.line) for one in read.answers] == [("RF1", 3)]
    assert [(finding.line, finding.message.split(":")[0]) for finding in read.findings] == [
        (6, "TxSts 'WHAT' is not a known status"), (10, "InstdAmt '1..0'"),
    ]  # fmt: skip


def test_lines_are_true_in_a_file_of_more_than_65535_of_them() -> None:
    far = pain002(group() + "\n" * 70_000 + transaction("ACSC") + "\n" + transaction("WHAT", reference="RF2"))

    read = read_answer_file(far)

    assert [one.line for one in read.answers] == [70_001]
    assert [finding.line for finding in read.findings] == [70_002]


@pytest.mark.parametrize(("amount", "fen"), [(".50", 50), ("10.", 1000), ("10.00000", 1000)])
def test_an_amount_is_read_in_every_way_xml_schema_lets_it_be_written(amount: str, fen: int) -> None:
    (one,) = read_answer_file(pain002(group() + transaction("RJCT", amount=amount))).answers

    assert one.amount == Money(fen)


def test_partly_accepted_says_nothing_of_what_is_not_listed() -> None:
    (one,) = read_answer_file(pain002(group("PART") + transaction("RJCT"))).answers

    assert one.reference == "RFR1"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pain002(group() + transaction("WHAT")), "not a known status"),
        (pain002(transaction("RJCT")), "which file of ours"),
        (pain002(group() + transaction("RJCT", reference="")), "without OrgnlEndToEndId"),
        (pain002(group() + transaction("RJCT", amount="10.001")), "InstdAmt"),
        (pain002(group("PART")), "says nothing of any payment"),
        (pain002(group())[:-30], "broken XML"),
        (b'<!DOCTYPE d [<!ENTITY x "RJCT">]>' + pain002(group() + transaction("RJCT")), "DOCTYPE"),
        (b"<Document/>", "no payment status report"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "not a table"),
        (b"reference,status\nRF1,maybe\n", "is none of"),
        (b"reference,status,taken back\nRF1,accepted,yes\n", "unknown or repeated headings taken back"),
        (b"reference,reason\nRF1,x\n", "headings"),
        (b"reference,status\n,accepted\n", "no reference"),
        (b"reference,status\nRF1\n", "1 cells under 2 headings"),
        (b"reference,status\n", "holds no answer"),
        (b"reference,status,amount\nRF1,accepted,1.234\n", "amount"),
        (b'reference,status\n"RF1,accepted\n', "not a table"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_with_the_reason(data: bytes, says: str) -> None:
    read = read_answer_file(data)

    assert read.refused
    assert any(says in finding.message for finding in read.findings), read.findings
    assert all(finding.message_zh for finding in read.findings)


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ","), ("gb18030", "|"), ("gb18030", "\t")])
def test_a_chinese_table_is_read_whatever_its_encoding_and_separator(encoding: str, delimiter: str) -> None:
    rows = (
        ("业务编号", "状态", "失败原因", "金额"),
        ("DI2026030200000001", "交易成功", "", "1234.56"),
        ("RF2", "失败", "户名不符", ""),
        ("RF3", "处理中", "", ""),
    )

    read = read_answer_file("\r\n".join(delimiter.join(row) for row in rows).encode(encoding))

    assert [(one.reference, one.answer, one.reason) for one in read.answers] == [
        ("DI2026030200000001", Answer.ACCEPTED, ""), ("RF2", Answer.REJECTED, "户名不符"), ("RF3", Answer.PENDING, ""),
    ]  # fmt: skip
    assert read.answers[0].amount == Money(123456)
    assert [one.line for one in read.answers] == [2, 3, 4]


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_raise_or_accept_silently(data: bytes) -> None:
    read = read_answer_file(data)

    assert read.answers or read.findings


@given(st.integers(0, 5000), st.integers(0, 255))
def test_a_flipped_byte_never_makes_an_answer_of_another_kind(place: int, byte: int) -> None:
    sound = pain002(group() + transaction("RJCT", REASON))
    place %= len(sound)
    read = read_answer_file(sound[:place] + bytes([byte]) + sound[place + 1 :])

    assert read.refused or all(one.answer is Answer.REJECTED for one in read.answers)
