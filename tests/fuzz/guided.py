"""Coverage-guided fuzzing of one reader: ``python tests/fuzz/guided.py bai2 SAMPLES OUT -max_total_time=600``.

The first word is the folder of SAMPLES to begin with and says what is fuzzed: ``answers`` (what banks answer to instructions),
``xlsx`` (XML parts of a workbook, packed into a whole one), ``xls`` (the sheet library in a process forked for each input, our
readers here), ``xls-worker`` and ``xlsx-raw`` (in the reading process, as the intake does it), anything else by
``read_statement_file``. Inputs of a text are kept below ``LONGEST`` characters: long ones cost time and reach nothing new. New inputs are written to OUT/NAME; the fuzzer writes to the first folder it is
given, so the samples never come first.

Needs ``pip install atheris`` (not a dependency: it has wheels for few machines). Instruments the readers, starts from sample
files and keeps inputs that reach new code; an exception, ``internal_error``, a reading of more than two seconds or a refusal
without a reason stops it and leaves the input behind. What runs found is told in ``docs/fuzzing.md``.
"""

from __future__ import annotations

import io
import marshal
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["bank_adapters"]):
    from bank_adapters import document
    from bank_adapters.answer_file import read_answer_file
    from bank_adapters.delimited import sheets
    from bank_adapters.delimited.rows import Row
    from bank_adapters.delimited.sheets import Sheet, SheetRefused, sheets_of
    from bank_adapters.model import StatementFileReading
    from bank_adapters.reading import read_statement_file
    from bank_adapters.worker import read_isolated
from config.profiles import load_profiles

SECONDS = 2.0
LONGEST = 4096
PROFILES = load_profiles()
NAME = "INN26030288ZM_1"  # UnionPay files have their year in it


def _kept(reading: StatementFileReading, broken: frozenset[str] = frozenset({"internal_error", "limit_reached"})) -> None:
    """The promise: findings, whatever the bytes."""
    if codes := {finding.code for finding in reading.findings} & broken:
        raise RuntimeError(", ".join(sorted(codes)))
    if not reading.accepted and not any(finding.severity == "error" for finding in reading.findings):
        raise RuntimeError("refused without an error")
    for statement in reading.statements:
        for line in statement.lines:  # also what was put into a temporary file comes back
            if line.amount.minor_units < 0:
                raise RuntimeError("a negative amount")


def one_file(data: bytes) -> None:
    _kept(read_statement_file(data, NAME, PROFILES))


def one_file_in_the_worker(data: bytes) -> None:
    """The worker may be ended for what a library takes (``limit_reached``); nothing else may happen."""
    _kept(read_isolated(data, NAME, PROFILES), frozenset({"internal_error"}))


#: Damage easily makes a sheet of millions of empty cells, which are allowed and take a second: here they are passed over.
_MOST_CELLS = 20_000
_LIBRARY_BYTES = 64 << 20
_LIBRARY_SECONDS = 0.02


_LIBRARY: list[_Library] = []


def one_xls(data: bytes) -> None:
    """The library may end its process for what a damaged file makes it take. A worker that dies takes 0.3 s to replace, and libFuzzer
    keeps such inputs as new and breeds from them; a fork takes a few milliseconds. What the library read goes to our readers here.
    """
    if not data.startswith(b"\xd0\xcf\x11\xe0"):
        return  # text, which has its own targets
    found = _LIBRARY[0].sheets(data)
    if found is not None:
        vars(document)["sheets_of"] = lambda _data, _kind: found
        one_file(data)


class _Library:
    """The sheet library in a process that forks for each input. Of the fuzzer itself nothing can be forked: it has threads."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--library"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def sheets(self, data: bytes) -> list[Sheet] | None:
        """What the library finds, None when it refuses the file or ends its process."""
        into, out = self.process.stdin, self.process.stdout
        assert into is not None
        assert out is not None
        into.write(len(data).to_bytes(4, "big") + data)
        into.flush()
        answer = out.read(int.from_bytes(out.read(4), "big"))
        return [Sheet(name, [Row(*row) for row in rows]) for name, rows in marshal.loads(answer)] if answer else None


def serve() -> None:
    """Fork for each file and answer with its sheets."""
    into, out = sys.stdin.buffer, sys.stdout.buffer
    vars(sheets)["MAX_CELLS"] = _MOST_CELLS
    while head := into.read(4):
        data = into.read(int.from_bytes(head, "big"))
        with tempfile.TemporaryFile() as answer:
            child = os.fork()
            if not child:
                _answer(data, answer.fileno())
            os.waitpid(child, 0)
            answer.seek(0)
            found = answer.read()
        out.write(len(found).to_bytes(4, "big") + found)
        out.flush()


def _answer(data: bytes, answer: int) -> NoReturn:
    try:
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + _LIBRARY_BYTES, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_REAL, _LIBRARY_SECONDS)  # ends the process: the library may go round in a ring
        found = [(sheet.name, [(row.line, row.cells) for row in sheet.rows]) for sheet in sheets_of(data, "xls")]
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(answer, marshal.dumps(found))
    except SheetRefused:
        pass
    finally:
        os._exit(0)


def one_answer(data: bytes) -> None:
    answers = read_answer_file(data)
    if not answers.answers and not answers.findings:
        raise RuntimeError("neither answers nor findings")


_SHEET = "xl/worksheets/sheet1.xml"
_PARTS = {
    "[Content_Types].xml": '<?xml version="1.0" encoding="UTF-8"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
    'Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="s" sheetId="1" '
    'r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
}


def one_sheet(data: bytes) -> None:
    """``data`` as the XML of the only sheet: bytes damaged inside a zip seldom get past its checksums."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as book:
        for name, text in _PARTS.items():
            book.writestr(name, text)
        book.writestr(_SHEET, data)
    one_file(packed.getvalue())


_TARGETS = {
    "answers": one_answer, "xls": one_xls, "xls-worker": one_file_in_the_worker, "xlsx-raw": one_file_in_the_worker, "xlsx": one_sheet,
}  # fmt: skip
#: Their samples are containers, whose parts lie far behind each other.
_LONG = frozenset({"xls", "xls-worker", "xlsx-raw", "archives"})


def _timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Two seconds of the processor, not of the clock: the machine may be busy with other things."""

    def timed(data: bytes) -> None:
        started = time.process_time()
        target(data)
        if (took := time.process_time() - started) > SECONDS:
            raise RuntimeError(f"took {took:.1f} s")

    return timed


if __name__ == "__main__":
    if sys.argv[1] == "--library":
        serve()
        sys.exit()
    if sys.argv[1] == "xls":
        _LIBRARY.append(_Library())
    samples, out = Path(sys.argv[2]) / sys.argv[1], Path(sys.argv[3]) / sys.argv[1]
    if out.resolve() == samples.resolve() or samples.resolve() in out.resolve().parents:
        sys.exit("OUT must not be among the samples: the fuzzer writes there")
    out.mkdir(parents=True, exist_ok=True)
    given = [str(out), str(samples), f"-artifact_prefix={out}/", "-timeout=30", "-rss_limit_mb=600"]
    given += [*([] if sys.argv[1] in _LONG else [f"-max_len={LONGEST}"]), *sys.argv[4:]]  # what is given last counts
    atheris.Setup([sys.argv[0], *given], _timed(_TARGETS.get(sys.argv[1], one_file)))
    atheris.Fuzz()
