"""Where an independent parser reads a sample file, it agrees with ours, or docs/independent-parsers.md says why not."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("ESCROW_CORPUS") or Path(__file__).resolve().parents[2].parent / "shared" / "corpus")
PAGE = Path(__file__).parents[2] / "docs" / "independent-parsers.md"


@pytest.mark.skipif(not ROOT.is_dir(), reason=f"the corpus of sample files is not at {ROOT} (set ESCROW_CORPUS)")
def test_every_difference_is_explained_on_its_page() -> None:
    spec = importlib.util.spec_from_file_location("oracles_compare", Path(__file__).parents[1] / "oracles" / "compare.py")
    assert spec is not None
    assert spec.loader is not None
    oracles = importlib.util.module_from_spec(spec)
    sys.modules["oracles_compare"] = oracles
    spec.loader.exec_module(oracles)
    compared = oracles.compare(ROOT)
    page = PAGE.read_text(encoding="utf-8")
    assert len(compared) > 100
    for each in compared:
        assert each.agrees or f"| {each.file} | {each.parser} |" in page, each
    differing = [each for each in compared if each.theirs is not None and not each.agrees]
    assert {(each.parser, oracles.reason(each)) for each in differing} <= {
        ("mt-940", "signs a reversal (RC, RD) by its letter, not by its effect"),
        ("pycamt", "takes the amount of the details (TxDtls), which may be in another currency, for the entry's"),
    }
