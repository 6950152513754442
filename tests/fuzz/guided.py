"""Coverage-guided fuzzing of one reader: ``python tests/fuzz/guided.py mt940 CORPUS_FOLDER OUT_FOLDER -max_total_time=600``.

New inputs are written to OUT_FOLDER. The fuzzer writes to the first folder it is given, so the samples must never come first.

Needs ``pip install atheris`` (not a dependency: it has wheels for few machines). Instruments the readers, starts from sample
files and keeps inputs that reach new code; an exception, ``internal_error`` or a hang stops it and leaves the input behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["bank_adapters"]):
    from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()


def one_input(data: bytes) -> None:
    """The promise: findings, whatever the bytes."""
    reading = read_statement_file(data, "INN26030288ZM_1", PROFILES)
    codes = {finding.code for finding in reading.findings}
    if "internal_error" in codes:
        raise RuntimeError("internal_error")
    if not reading.accepted and not any(finding.severity == "error" for finding in reading.findings):
        raise RuntimeError("refused without an error")


if __name__ == "__main__":
    samples, out = Path(sys.argv[2]) / sys.argv[1], Path(sys.argv[3]) / sys.argv[1]
    if out.resolve() == samples.resolve() or samples.resolve() in out.resolve().parents:
        sys.exit("OUT_FOLDER must not be among the samples: the fuzzer writes there")
    out.mkdir(parents=True, exist_ok=True)
    given = [str(out), str(samples), f"-artifact_prefix={out}/", "-timeout=2", "-rss_limit_mb=600", *sys.argv[4:]]
    atheris.Setup([sys.argv[0], *given], one_input)
    atheris.Fuzz()
