"""Small samples with the answer beside each. The answers are reasoned, not copied: each file says why in its first lines.

``python tests/bank_adapters/test_golden.py NAME`` writes the full answer of a new sample beside it, to be cut down to what
matters, checked by hand and given its reasons; it never overwrites.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bank_adapters.presenting import presented
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

FOLDER = Path(__file__).parent / "golden"
SUFFIX = ".expected.yaml"
SAMPLES = sorted(path for path in FOLDER.iterdir() if not path.name.endswith(SUFFIX))


def answer(path: Path) -> dict[str, Any]:
    full = presented(read_statement_file(path.read_bytes(), path.name, load_profiles()), path.name)
    full["findings"] = [[each["severity"], each["code"], each["line"]] for each in full["findings"]]
    return full


def held_against(expected: Any, found: Any, place: str) -> None:
    """Every stated fact is found; lists have the stated length."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in found, f"{place}.{key}"
            held_against(value, found[key], f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), f"{place}: {found}"
        for number, (one, other) in enumerate(zip(expected, found, strict=True)):
            held_against(one, other, f"{place}[{number}]")
    else:
        assert found == expected, place


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_read_as_reasoned(path: Path) -> None:
    expected = yaml.safe_load((FOLDER / (path.name + SUFFIX)).read_text(encoding="utf-8"))
    held_against(expected, answer(path), path.name)


def test_every_answer_has_its_sample() -> None:
    assert sorted(path.name + SUFFIX for path in SAMPLES) == sorted(path.name for path in FOLDER.glob("*" + SUFFIX))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        target = FOLDER / (name + SUFFIX)
        if target.exists():
            sys.exit(f"{target} is there already; take it away first if it is to be reasoned anew")
        target.write_text(yaml.safe_dump(answer(FOLDER / name), allow_unicode=True, sort_keys=False), encoding="utf-8")
