"""Coverage-guided fuzzing of one reader: ``python tests/fuzz/guided.py bai2 SAMPLES OUT -max_total_time=600``.

The first word is the folder of SAMPLES to begin with and says what is fuzzed: ``answers`` (what banks answer to instructions),
``xlsx`` (XML parts of a workbook, packed into a whole one), ``xls`` and ``xlsx-raw`` (in the reading process, as the intake does
it), anything else by ``read_statement_file``. New inputs are written to OUT/NAME; the fuzzer writes to the first folder it is
given, so the samples never come first.

Needs ``pip install atheris`` (not a dependency: it has wheels for few machines). Instruments the readers, starts from sample
files and keeps inputs that reach new code; an exception, ``internal_error``, a reading of more than two seconds or a refusal
without a reason stops it and leaves the input behind. What runs found is told in ``docs/fuzzing.md``.
"""

from __future__ import annotations

import io
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["bank_adapters"]):
    from bank_adapters.bank_answers import read_answer_file
    from bank_adapters.model import StatementFileReading
    from bank_adapters.reading import read_statement_file
    from bank_adapters.worker import read_isolated
from config.profiles import load_profiles

SECONDS = 2.0
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


_TARGETS = {"answers": one_answer, "xls": one_file_in_the_worker, "xlsx-raw": one_file_in_the_worker, "xlsx": one_sheet}


def _timed(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Two seconds of the processor, not of the clock: the machine may be busy with other things."""

    def timed(data: bytes) -> None:
        started = time.process_time()
        target(data)
        if (took := time.process_time() - started) > SECONDS:
            raise RuntimeError(f"took {took:.1f} s")

    return timed


if __name__ == "__main__":
    samples, out = Path(sys.argv[2]) / sys.argv[1], Path(sys.argv[3]) / sys.argv[1]
    if out.resolve() == samples.resolve() or samples.resolve() in out.resolve().parents:
        sys.exit("OUT must not be among the samples: the fuzzer writes there")
    out.mkdir(parents=True, exist_ok=True)
    given = [str(out), str(samples), f"-artifact_prefix={out}/", "-timeout=30", "-rss_limit_mb=600", *sys.argv[4:]]
    atheris.Setup([sys.argv[0], *given], _timed(_TARGETS.get(sys.argv[1], one_file)))
    atheris.Fuzz()
