"""The long run of damaged files: ``python tests/fuzz/damage.py FOLDER --times 200``. A sample of it runs in every test run.

Every file of the folder is damaged by flipped bytes, cuts and splices with other files. Whatever comes out must be findings:
never an exception, never more than two seconds or 150 MB, and never an accepted file that silently has fewer lines than it declares.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bank_adapters.model import StatementFileReading
from bank_adapters.profile import Profile
from bank_adapters.reading import read_statement_file
from bank_adapters.worker import ReadingWorker
from config.profiles import load_profiles

SECONDS = 2.0
MEGABYTES = 150
#: Nothing in these says how many statements a file holds, so a cut between two whole ones is a whole file.
UNCOUNTED = frozenset({"cfonb120", "mt940", "mt942", "camt", "ofx", "delimited"})
#: Findings that say how many lines are missing.
TOLD = frozenset({"head_count"})


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise broken by one damaged file."""

    name: str
    how: str
    what: str
    data: bytes


def damaged(data: bytes, others: Sequence[bytes], chance: random.Random, times: int) -> Iterator[tuple[str, bytes]]:
    """``times`` damaged copies, a third of each kind."""
    for number in range(times):
        kind = ("flip", "cut", "splice")[number % 3]
        at = chance.randrange(len(data) + 1)
        if kind == "flip":
            copy = bytearray(data)
            for _ in range(chance.choice((1, 1, 2, 8))):
                copy[chance.randrange(len(data))] = chance.randrange(256)
            yield kind, bytes(copy)
        elif kind == "cut":
            yield kind, data[:at]
        else:
            other = chance.choice(others) if others else data
            start = chance.randrange(len(other) + 1)
            yield kind, data[:at] + other[start : start + chance.randrange(1, 4_000)] + data[chance.randrange(len(data) + 1) :]


def lines_of(reading: StatementFileReading) -> int:
    return sum(len(statement.lines) for statement in reading.statements)


def check(
    name: str, data: bytes, others: Sequence[bytes], profiles: Sequence[Profile], chance: random.Random, times: int
) -> list[Broken]:
    """What went wrong with damaged copies of one file; empty when every promise was kept."""
    found: list[Broken] = []
    whole = read_statement_file(data, name, profiles)
    if whole.format == "xls":  # its reader is a foreign library that may end the process: as the intake does, in a worker
        return _check_in_worker(name, data, others, profiles, chance, times)
    for how, copy in damaged(data, others, chance, times):
        started = time.process_time()
        try:
            reading = read_statement_file(copy, name, profiles)
        except BaseException as problem:  # noqa: BLE001 - that nothing is raised is what is tested
            found.append(Broken(name, how, f"raised {type(problem).__name__}: {problem}", copy))
            continue
        took = time.process_time() - started
        codes = {finding.code for finding in reading.findings}
        if codes & {"internal_error", "limit_reached"}:
            found.append(Broken(name, how, ", ".join(sorted(codes & {"internal_error", "limit_reached"})), copy))
        if took > SECONDS:
            found.append(Broken(name, how, f"took {took:.1f} s", copy))
        if how == "cut" and reading.accepted and lines_of(reading) < lines_of(whole):
            kept = reading.statements == whole.statements[: len(reading.statements)]
            if not ((reading.format in UNCOUNTED and kept) or codes & TOLD or _declares_nothing(reading, whole, profiles)):
                found.append(Broken(name, how, f"accepted with {lines_of(reading)} of {lines_of(whole)} lines", copy))
    return found


def _declares_nothing(reading: StatementFileReading, whole: StatementFileReading, profiles: Sequence[Profile]) -> bool:
    """Whether what was read begins the whole file and nothing in it could say that more should follow.

    A table without footers, summary and facts that must be there ends wherever it is cut. MT940 ends with its closing balance:
    where it proves the lines before it, lines behind it in the same message are the whole file's fault, which is refused for them.
    """
    lines = [line for statement in reading.statements for line in statement.lines]
    same = [line for statement in whole.statements for line in statement.lines][: len(lines)]
    if lines and lines[-1].amount == same[-1].amount and lines[-1].running_balance == same[-1].running_balance:
        lines[-1] = same[-1]  # the cut may have gone through its last text
    if lines != same:
        return False
    if reading.format in {"mt940", "mt942"}:
        return not whole.accepted
    layout = next((profile.table for profile in profiles if profile.id == reading.profile), None)
    return layout is not None and not (layout.footers or layout.summary or layout.required_facts)


def _check_in_worker(
    name: str, data: bytes, others: Sequence[bytes], profiles: Sequence[Profile], chance: random.Random, times: int
) -> list[Broken]:
    worker = ReadingWorker(profiles)
    found: list[Broken] = []
    try:
        for how, copy in damaged(data, others, chance, times):
            codes = {finding.code for finding in worker.read(copy, name).findings}
            if "internal_error" in codes:
                found.append(Broken(name, how, "internal_error", copy))
    finally:
        worker.close()
    return found


def main() -> int:
    """Exits 1 when a promise was broken; broken files are written beside the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=None, help="folder for files that broke a promise")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.is_file() and path.suffix not in (".yaml", ".md", ".py"))
    contents = [path.read_bytes() for path in files]
    profiles = load_profiles()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, hard))  # a reading that takes all memory must not take the machine
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    broken: list[Broken] = []
    for path, data in zip(files, contents, strict=True):
        chance = random.Random(f"{given.seed}/{path.name}")
        if data:
            broken += check(path.name, data, contents, profiles, chance, given.times)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for number, each in enumerate(broken):
        print(f"{each.name}: {each.how}: {each.what}")
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
            (given.keep / f"{number:04d}-{each.name[-40:]}").write_bytes(each.data)
    print(f"{len(files)} files, {given.times} damaged copies each: {len(broken)} broken promises; memory grew {grown:.0f} MB")
    return 1 if broken or grown > MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
