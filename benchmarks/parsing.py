"""Reading statement files beside peers in the same run: mt-940, an lxml iterparse sketch, csv.reader.

Every figure is of a process of its own, in processor seconds, so that neither what ran before nor what else runs decides it.
Counts and sums of every reader are asserted against the generator's truth before anything is printed, and every line of ours is
held against the movement it was written from, field by field, the text it stands in included. A peer that is not installed is
skipped, and said so.

Reading ends where a reader has read and checked every row and keeps its values: csv.reader hands out texts, mt-940 objects; ours
keeps columns. Making a ``StatementLine`` of every row, as the intake does, is measured behind it and stated beside it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.statement_files import WRITERS, entries, truth_of

if TYPE_CHECKING:
    from bank_adapters.model import Statement

#: format -> the peer it is measured against, the module the peer needs, and the ratio of speeds it is to reach.
PEERS = {
    "mt940": ("mt-940", "mt940", "8"),
    "camt": ("lxml iterparse sketch", "lxml", "1.3"),
    "delimited": ("csv.reader", "csv", "0.5"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One reader over one file: lines, processor seconds, and megabytes above the interpreter with its imports.

    ``handing_out`` are the further seconds of making an object of every line, None where reading makes them.
    """

    what: str
    lines: int
    seconds: float
    megabytes: float
    handing_out: float | None = None

    @property
    def per_second(self) -> float:
        return self.lines / self.seconds


@dataclass(frozen=True, slots=True)
class ParsingFigures:
    """A format: ours, the peer's (None when it is not installed), and the ratio that is asked for."""

    format: str
    bytes: int
    ours: Measured
    peer: Measured | None
    peer_name: str
    goal: str


def measure_parsing(rows: int) -> list[ParsingFigures]:
    """Write a file of each format, read it by ours and by the peer. Raises AssertionError when a reader is wrong."""
    found: list[ParsingFigures] = []
    with tempfile.TemporaryDirectory(prefix="escrow-bench-") as folder:
        for kind, write in WRITERS.items():
            path = Path(folder) / kind
            write(path, rows)
            name, module, goal = PEERS[kind]
            peer = _apart(f"peer-{kind}", path, rows) if importlib.util.find_spec(module) else None
            found.append(ParsingFigures(kind, path.stat().st_size, _apart("ours", path, rows), peer, name, goal))
            path.unlink()
    return found


def _apart(what: str, path: Path, rows: int) -> Measured:
    """Run one reader in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parsing", what, str(path), str(rows)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{what} over {path.name}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}")
    return Measured(what, rows, *json.loads(done.stdout))


# -- in the process apart ----------------------------------------------------------------------------------------------

Totals = tuple[int, int, int]  # lines, minor units in, minor units out


def _ours(path: Path, kept: list[Statement] | None = None) -> Callable[[], Totals]:
    from bank_adapters.line_store import LineStore
    from bank_adapters.reading import read_statement_file
    from bank_adapters.tally import Tally
    from config.profiles import load_profiles

    profiles = load_profiles()
    kept = [] if kept is None else kept

    def read() -> Totals:
        reading = read_statement_file(path, path.name, profiles)
        if not reading.accepted:
            raise AssertionError(f"refused: {reading.findings[0].message}")
        (statement,) = reading.statements
        kept.append(statement)
        lines = statement.lines
        tally = lines.tally if isinstance(lines, LineStore) else Tally()
        if not isinstance(lines, LineStore):
            for line in lines:
                tally.add(line)
        return tally.booked.lines, tally.booked.in_total, tally.booked.out_total

    return read


def _mt940(path: Path) -> Callable[[], Totals]:
    import mt940

    def read() -> Totals:
        units = [int(each.data["amount"].amount.scaleb(2)) for each in mt940.parse(str(path))]
        return len(units), sum(each for each in units if each > 0), -sum(each for each in units if each < 0)

    return read


def _lxml(path: Path) -> Callable[[], Totals]:
    """Eight fields of every entry, nothing checked, nothing kept: the least a reader can do."""
    from lxml import etree

    space = "{urn:iso:std:iso:20022:tech:xsd:camt.053.001.08}"
    detail = f"{space}NtryDtls/{space}TxDtls/"
    paths = [
        f"{space}Sts/{space}Cd", f"{space}BookgDt/{space}Dt", f"{space}ValDt/{space}Dt", f"{space}AcctSvcrRef",
        f"{detail}{space}Refs/{space}EndToEndId", f"{detail}{space}RmtInf/{space}Ustrd",
    ]  # fmt: skip

    def read() -> Totals:
        lines = total_in = total_out = 0
        for _, entry in etree.iterparse(str(path), tag=f"{space}Ntry"):
            units = int((entry.findtext(f"{space}Amt") or "").replace(".", ""))
            for each in paths:
                entry.findtext(each)
            if entry.findtext(f"{space}CdtDbtInd") == "CRDT":
                total_in += units
            else:
                total_out += units
            lines += 1
            entry.clear()
            parent = entry.getparent()
            while parent is not None and entry.getprevious() is not None:
                del parent[0]
        return lines, total_in, total_out

    return read


def _csv(path: Path) -> Callable[[], Totals]:
    """Cells, and the amount as a whole number."""
    import csv

    def read() -> Totals:
        lines = total_in = total_out = 0
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if len(row) > 2 and row[0][:1] == "2":
                    units = int(row[4].replace(".", ""))
                    lines += 1
                    if units > 0:
                        total_in += units
                    else:
                        total_out -= units
        return lines, total_in, total_out

    return read


def _prove(statement: Statement, path: Path) -> None:
    """Hold every line against the movement it was written from. Raises AssertionError."""
    truth = truth_of(len(statement.lines))
    delimited, mt940 = path.name == "delimited", path.name == "mt940"
    with path.open(encoding="utf-8") as file:
        texts = (text.rstrip("\n") for text in islice(file, 11 if delimited else 4 if mt940 else 0, None, 2 if mt940 else 1))
        for entry, line in zip(entries(truth.lines), statement.lines, strict=True):
            true = (
                abs(entry.units), "IN" if entry.units > 0 else "OUT", entry.day, entry.day, entry.reference, entry.end_to_end,
                f"Payer {entry.number}", str(6222000000000000000 + entry.number), f"course fee no {entry.number}",
                entry.balance if delimited else None, next(texts).removeprefix(":61:") if delimited or mt940 else None,
            )  # fmt: skip
            balance = line.running_balance
            found = (
                line.amount.minor_units, line.direction, line.booking_date, line.value_date, line.bank_reference,
                line.end_to_end_reference, line.counterparty_name, line.counterparty_account, line.description,
                balance.minor_units if balance else None, line.source,
            )  # fmt: skip
            if found != true or not {entry.reference, entry.end_to_end} <= set(line.references):
                raise AssertionError(f"line {line.line} was read as {found}, true is {true}")
    ends = tuple(each.minor_units if each else None for each in (statement.opening_balance, statement.closing_balance))
    if ends != (truth.opening, truth.closing):
        raise AssertionError(f"balances were read as {ends}, true are {(truth.opening, truth.closing)}")


_READERS = {"peer-mt940": _mt940, "peer-camt": _lxml, "peer-delimited": _csv}


def _peak_megabytes() -> float:
    """Of this process alone; getrusage counts what the parent held when it started this one."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure one reader over one file and print seconds and megabytes."""
    what, name, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    kept: list[Statement] = []
    read = _ours(name, kept) if what == "ours" else _READERS[what](name)
    before = _peak_megabytes()
    started = time.process_time()
    totals = read()
    seconds = time.process_time() - started
    grown = _peak_megabytes() - before
    truth = truth_of(rows)
    if totals != (truth.lines, truth.total_in, truth.total_out):
        raise AssertionError(f"{what} read {totals}, true is {(truth.lines, truth.total_in, truth.total_out)}")
    handing_out = None
    for statement in kept:
        started = time.process_time()
        for _ in statement.lines:
            pass
        handing_out = time.process_time() - started
        _prove(statement, name)
    sys.stdout.write(json.dumps([seconds, grown, handing_out]))


if __name__ == "__main__":
    main()
