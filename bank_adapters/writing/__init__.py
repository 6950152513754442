"""Statements rendered as banks send them: MT940, camt.053 and delimited text. Pure: nouns in, bytes out."""

from bank_adapters.writing.camt053 import write_camt053
from bank_adapters.writing.delimited import write_delimited
from bank_adapters.writing.mt940 import write_mt940
from bank_adapters.writing.refusal import WritingRefused

__all__ = ["WritingRefused", "write_camt053", "write_delimited", "write_mt940"]
