"""Instruction files prove themselves: what was written comes back, and any change is refused."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bank_adapters.instructions import (
    InstructionFile,
    InstructionFileRefused,
    InstructionKind,
    PaymentOrder,
    read_instruction_csv,
    write_instruction_csv,
)
from bank_adapters.writing import WritingRefused
from money import Money

texts = st.text("=+-@'\",;张三AB1 ", max_size=30).filter(lambda text: text == text.strip())
orders = st.lists(
    st.builds(
        PaymentOrder,
        st.uuids().map(str),
        texts.filter(bool),
        st.integers(1, 10**14).map(Money),
        texts,
        texts.filter(bool),
        texts,
        texts,
    ),
    max_size=6,
    unique_by=lambda order: order.end_to_end_reference,
)
files = st.builds(
    InstructionFile,
    st.sampled_from(["NRB", "=X"]),
    st.sampled_from(InstructionKind),
    st.dates(),
    st.integers(1, 999),
    orders.map(tuple),
)


def a_file() -> InstructionFile:
    order = PaymentOrder("D-1", "6010", Money(123456), "=HYPERLINK(1)", "6222", "NRB", "release 2026-03")
    return InstructionFile("NRB", "disbursement", date(2026, 3, 2), 1, (order,))


@given(files)
def test_what_was_written_comes_back(file: InstructionFile) -> None:
    assert read_instruction_csv(write_instruction_csv(file)) == file


@given(files)
def test_no_cell_runs_as_a_formula(file: InstructionFile) -> None:
    for row in csv.reader(io.StringIO(write_instruction_csv(file).decode())):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


@given(st.data())
def test_any_changed_byte_is_refused(data: st.DataObject) -> None:
    whole = bytearray(write_instruction_csv(a_file()))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InstructionFileRefused):
        read_instruction_csv(bytes(whole))


@given(st.integers(0, len(write_instruction_csv(a_file())) - 1))
def test_any_cut_is_refused(at: int) -> None:
    with pytest.raises(InstructionFileRefused):
        read_instruction_csv(write_instruction_csv(a_file())[:at])


def test_header_and_trailer_carry_count_and_total() -> None:
    lines = write_instruction_csv(a_file()).decode().splitlines()
    assert lines[0] == "H,NRB,disbursement,2026-03-02,1,1,CNY,1234.56"
    assert lines[-1].startswith("T,1,1234.56,")
    assert len(lines[-1].rsplit(",", 1)[1]) == 64


def test_an_order_of_nothing_and_two_orders_with_one_reference_are_refused() -> None:
    with pytest.raises(WritingRefused):
        PaymentOrder("D-1", "6010", Money(0), "A", "1", "B", "p")
    order = a_file().orders[0]
    with pytest.raises(WritingRefused):
        InstructionFile("NRB", "refund", date(2026, 3, 2), 1, (order, order))
