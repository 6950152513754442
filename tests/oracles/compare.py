"""Independent parsers over the sample files, and where they differ from ours: ``python tests/oracles/compare.py CORPUS``.

Prints the table of docs/independent-parsers.md. The parsers are test dependencies; none is shipped. What is compared is the
number of lines and their sums in and out over the whole file, in the file's own decimals.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bank_adapters.model import Direction
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

_ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-f]+")


Answer = tuple[int, Decimal, Decimal]  # lines, in, out


@dataclass(frozen=True, slots=True)
class Compared:
    """One file: what each parser answered, or why it did not."""

    file: str
    parser: str
    ours: Answer
    theirs: Answer | None
    refusal: str

    @property
    def agrees(self) -> bool:
        return self.theirs == self.ours


def _summed(amounts: list[Decimal]) -> Answer:
    ins = sum((each for each in amounts if each > 0), Decimal(0))
    return len(amounts), ins, -sum((each for each in amounts if each < 0), Decimal(0))


def _mt940(data: bytes) -> Answer:
    import mt940

    return _summed([each.data["amount"].amount for each in mt940.parse(data)])


def _bai2(data: bytes) -> Answer:
    from bai2 import bai2  # type: ignore[import-untyped]

    amounts: list[Decimal] = []
    for group in bai2.parse_from_string(data.decode("latin-1")).children:
        for account in group.children:
            for each in account.children:
                value = Decimal(each.amount or 0).scaleb(-2)
                amounts.append(-value if each.type_code.transaction.name == "debit" else value)
    return _summed(amounts)


def _coda(data: bytes) -> Answer:
    from coda import CODA  # type: ignore[import-untyped]

    amounts = [move.amount for each in CODA(io.StringIO(data.decode("latin-1"))).statements for move in each.moves
               if move.detail_sequence == "0000"]  # fmt: skip
    return _summed([Decimal(each) for each in amounts])


def _norma43(data: bytes) -> Answer:
    from aeb43 import AEB43  # type: ignore[import-untyped]

    return _summed(
        [Decimal(each.amount) for account in AEB43(io.StringIO(data.decode("latin-1"))).accounts for each in account.transactions]
    )


def _ofx(data: bytes) -> Answer:
    from ofxparse import OfxParser  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = OfxParser.parse(io.BytesIO(data))
    accounts = [account for account in read.accounts if hasattr(account.statement, "transactions")]
    return _summed(
        [Decimal(each.amount) for account in accounts for each in account.statement.transactions if hasattr(each, "amount")]
    )


def _camt(data: bytes) -> Answer:
    from pycamt.parser import Camt053Parser

    read = Camt053Parser(data).get_transactions()
    return _summed([Decimal(each["Amount"]) * (1 if each["CreditDebitIndicator"] == "CRDT" else -1) for each in read])


def _cfonb120(data: bytes) -> Answer:
    from cfonb import StatementReader  # type: ignore[import-untyped]

    filled = "\n".join(line for line in data.decode("latin-1").splitlines() if line.strip())  # it takes an empty line for a fault
    read = StatementReader().parse(io.StringIO(filled))
    return _summed([Decimal(str(line.amount)) for each in read for line in each.lines])


PARSERS: dict[str, tuple[str, Callable[[bytes], Answer]]] = {
    "mt940": ("mt-940", _mt940), "mt942": ("mt-940", _mt940), "bai2": ("bai2", _bai2), "coda": ("febelfin-coda", _coda),
    "n43": ("aeb43", _norma43), "ofx": ("ofxparse", _ofx), "camt": ("pycamt", _camt), "cfonb120": ("python-cfonb", _cfonb120),
}  # fmt: skip


def ours(data: bytes, name: str) -> Answer:
    """Our lines by their effect, refused files too: what could be read is shown."""
    lines = [line for one in read_statement_file(data, name, load_profiles()).statements for line in one.lines]
    amounts = [Decimal(line.exact_amount) * (1 if line.direction is Direction.IN else -1) for line in lines]
    count, ins, outs = _summed(amounts)
    return count, ins, outs


def compare(corpus: Path) -> list[Compared]:
    """Every file an independent parser exists for."""
    found: list[Compared] = []
    for folder, (parser, read) in PARSERS.items():
        for path in sorted((corpus / folder).iterdir()):
            data = path.read_bytes()
            theirs, refusal = None, ""
            try:
                theirs = read(data)
            except Exception as problem:  # noqa: BLE001 - foreign parsers raise anything
                refusal = f"{type(problem).__name__}: {_ADDRESS.sub('', ' '.join(str(problem).split()))[:60]}"
            found.append(Compared(f"{folder}/{path.name.split('__', 1)[-1]}", parser, ours(data, path.name), theirs, refusal))
    return found


def reason(one: Compared) -> str:
    """Why the two differ, told by the differences themselves."""
    if one.theirs is None:
        return f"does not read it ({one.refusal})" if one.refusal else "gives nothing"
    count, ins, outs = one.ours
    their_count, their_ins, their_outs = one.theirs
    if their_count == count and their_ins + outs == ins + their_outs and their_ins != ins:
        return "same net, other sides"
    if their_count == count and their_ins + their_outs == ins + outs:
        return "signs a reversal (RC, RD) by its letter, not by its effect"
    if their_count < count:
        return f"loses {count - their_count} of {count} lines without an error"
    if their_count > count:
        return f"reads {their_count - count} more lines; ours refuses them by name or takes them for details"
    if one.parser == "pycamt":
        return "takes the amount of the details (TxDtls), which may be in another currency, for the entry's"
    return "other amounts"


def table(compared: list[Compared]) -> str:
    """The page, in Markdown."""
    lines = [
        "# Independent parsers over the sample files", "",
        "Made by `python tests/oracles/compare.py CORPUS`; a test holds it against what the parsers say today. Compared are the number",
        "of lines and their sums in and out. Ours are those of `expected.yaml`, which was read independently of both.",
        "For the exports of Chinese banks and wallets (folders cn_csv, cn_xls, alipay_personal, wechat_personal) no independent parser was",
        "found that can be installed from the registry of Python packages: there the independently read facts stand alone.", "",
        "| parser | files | agree | do not read | differ |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for parser in dict.fromkeys(each.parser for each in compared):
        mine = [each for each in compared if each.parser == parser]
        agree, unread = sum(each.agrees for each in mine), sum(each.theirs is None for each in mine)
        lines.append(f"| {parser} | {len(mine)} | {agree} | {unread} | {len(mine) - agree - unread} |")
    lines += ["", "| file | parser | ours: lines, in, out | theirs | why |", "|---|---|---|---|---|"]
    for each in compared:
        if not each.agrees:
            theirs = ", ".join(map(str, each.theirs)) if each.theirs else "-"
            why = reason(each).replace("|", "/").replace("<", "(").replace(">", ")")
            lines.append(f"| {each.file} | {each.parser} | {', '.join(map(str, each.ours))} | {theirs} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # foreign parsers print what they do not understand
    sys.stdout.write(table(compare(Path(sys.argv[1]))))
