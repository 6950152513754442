"""Coverage-guided fuzzing of one reader: ``python tests/fuzz/guided.py mt940 CORPUS_FOLDER -max_total_time=600``.

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
    folder = str(Path(sys.argv[2]) / sys.argv[1])
    atheris.Setup([sys.argv[0], folder, "-timeout=2", "-rss_limit_mb=600", *sys.argv[3:]], one_input)
    atheris.Fuzz()
