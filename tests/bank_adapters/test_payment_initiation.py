"""pain.001 as the standard's own schema has it, and the tables of banks: nothing cut, nothing guessed, totals that add up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.resources import files as package_files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bank_adapters.instruction_layout import InstructionFormat, InstructionLayout, why_unwritable, write_instructions
from bank_adapters.instructions import InstructionFile, InstructionKind, PaymentOrder
from bank_adapters.payment_initiation import NAMESPACE, Initiator, references_by_block, write_pain001
from bank_adapters.writing import WritingRefused
from config.banks import load_banks
from config.instruction_tables import load_table_forms
from config.loading import ConfigRefused
from money import Money

#: The published schema comes with the test dependency ``sepaxml``; it is not ours to hand on.
SCHEMA = etree.XMLSchema(etree.fromstring((package_files("sepaxml") / "schemas" / "pain.001.001.09.xsd").read_bytes()))
NOW = datetime(2026, 3, 2, 8, 30, 15, 999, tzinfo=UTC)
INITIATOR = Initiator("预付费资金监管平台", "标准银行", "102100099996")
PAIN = InstructionLayout(InstructionFormat.PAIN001, initiator=INITIATOR)

texts = st.text("张三AB1 -+=.,&<>'\"", min_size=1, max_size=40).filter(lambda text: text == text.strip())
orders = st.lists(
    st.builds(
        PaymentOrder,
        st.uuids().map(lambda one: one.hex),
        st.sampled_from(["6010000000000001", "6010000000000002", "6010000000000003"]),
        st.integers(1, 10**14).map(Money),
        texts,
        st.text("0123456789", min_size=8, max_size=34),
        st.one_of(st.just(""), texts),
        st.one_of(st.just(""), texts),
        st.one_of(st.just(""), texts),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda order: order.end_to_end_reference,
)
files = st.builds(
    InstructionFile,
    st.just("ISB"),
    st.sampled_from(InstructionKind),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.integers(1, 999),
    orders.map(tuple),
)


def order(**changes: object) -> PaymentOrder:
    facts: dict[str, object] = {
        "end_to_end_reference": "DI2026030200000001", "debit_account": "6010", "amount": Money(123456),
        "beneficiary_name": "晨光培训", "beneficiary_account": "6222", "beneficiary_bank": "北江银行", "purpose": "release",
        "debit_account_name": "晨光培训预收费资金托管专户",
    }  # fmt: skip
    return PaymentOrder(**(facts | changes))  # type: ignore[arg-type]


def found(content: bytes, path: str) -> list[str]:
    return etree.fromstring(content).xpath(path, namespaces={"p": NAMESPACE})


@given(files)
def test_every_file_is_valid_by_the_published_schema(file: InstructionFile) -> None:
    document = etree.fromstring(write_pain001(file, INITIATOR, NOW))

    assert SCHEMA.validate(document), SCHEMA.error_log.last_error


@given(files)
def test_every_order_stands_once_with_its_amount_under_its_own_account(file: InstructionFile) -> None:
    content = write_pain001(file, INITIATOR, NOW)

    told = []
    for block in found(content, "//p:PmtInf"):
        inside = lambda path, block=block: block.xpath(path, namespaces={"p": NAMESPACE})  # noqa: E731
        (account,) = inside("p:DbtrAcct/p:Id/p:Othr/p:Id/text()")
        amounts = inside("p:CdtTrfTxInf/p:Amt/p:InstdAmt/text()")
        references = inside("p:CdtTrfTxInf/p:PmtId/p:EndToEndId/text()")
        told += [(account, *pair) for pair in zip(references, amounts, strict=True)]
        total = sum(Money.parse(one, "CNY").minor_units for one in amounts)
        assert inside("p:NbOfTxs/text()") == [str(len(amounts))]
        assert inside("p:CtrlSum/text()") == [Money(total).plain]
    assert sorted(told) == sorted((one.debit_account, one.end_to_end_reference, one.amount.plain) for one in file.orders)
    assert found(content, "//p:GrpHdr/p:CtrlSum/text()") == [file.total.plain]
    assert found(content, "//p:GrpHdr/p:NbOfTxs/text()") == [str(len(file.orders))]
    by_block = references_by_block(content)
    assert sorted(one for block in by_block.values() for one in block) == sorted(one.end_to_end_reference for one in file.orders)


def test_a_file_says_who_pays_when_and_that_each_payment_is_booked_alone() -> None:
    file = InstructionFile("ISB", "refund", date(2026, 3, 2), 3, (order(),))
    content = write_pain001(file, INITIATOR, NOW)

    assert found(content, "//p:MsgId/text()") == ["ISB-refund-20260302-03"]
    assert found(content, "//p:CreDtTm/text()") == ["2026-03-02T08:30:15Z"]
    assert found(content, "//p:ReqdExctnDt/p:Dt/text()") == ["2026-03-02"]
    assert found(content, "//p:BtchBookg/text()") == ["false"]
    assert found(content, "//p:DbtrAgt//p:MmbId/text()") == ["102100099996"]
    assert found(content, "//p:InstdAmt/@Ccy") == ["CNY"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"end_to_end_reference": "R" * 36}, "EndToEndId"),
        ({"beneficiary_name": "名" * 141}, "Nm"),
        ({"beneficiary_account": "6" * 35}, "Id"),
        ({"purpose": "x" * 141}, "Ustrd"),
        ({"beneficiary_name": "two\nlines"}, "one line"),
        ({"beneficiary_name": "￿"}, "XML cannot carry"),
    ],
)
def test_what_the_message_cannot_carry_is_refused_not_cut(changes: dict[str, object], says: str) -> None:
    one = order(**changes)

    with pytest.raises(WritingRefused, match=says):
        write_pain001(InstructionFile("ISB", "refund", date(2026, 3, 2), 1, (one,)), INITIATOR, NOW)
    assert says in (why_unwritable(one, PAIN, NOW) or "")


def test_a_banks_own_table_has_its_columns_its_encoding_and_its_summary() -> None:
    layout = load_banks()["HBB"].instructions
    file = InstructionFile(
        "HBB", "disbursement", date(2026, 3, 2), 1, (order(), order(end_to_end_reference="DI2", amount=Money(5)))
    )

    lines = write_instructions(file, layout, NOW).decode("gb18030").split("\r\n")

    assert lines == [
        "HBB-disbursement-20260302-01|20260302|2|123461",
        "序号|业务编号|付款账号|收款账号|收款户名|收款行|金额|币种|用途",
        "1|DI2026030200000001|6010|6222|晨光培训|北江银行|123456|CNY|release",
        "2|DI2|6010|6222|晨光培训|北江银行|5|CNY|release",
        "",
    ]  # fmt: skip


def test_a_table_refuses_what_a_spreadsheet_would_run() -> None:
    layout = load_banks()["HBB"].instructions

    assert "formula" in (why_unwritable(order(beneficiary_name="=HYPERLINK(1)"), layout, NOW) or "")
    assert why_unwritable(order(), layout, NOW) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('delimiter: "||"', "not one character"),
        ("encoding: nonsense", "not an encoding"),
        ("summary: [weather]", "'weather' is not one of"),
        ("colour: red", "not a known key"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_file_and_key(tmp_path, line: str, says: str) -> None:
    columns = "".join(f"  - {{name: {n}, field: {n}}}\n" for n in ("reference", "debit_account", "amount", "beneficiary_account"))
    (tmp_path / "t.yaml").write_text(f"id: t\n{line}\ncolumns:\n{columns}", encoding="utf-8")

    with pytest.raises(ConfigRefused, match=rf"t\.yaml.*{says}"):
        load_table_forms(tmp_path)
