"""A sample of the long run of damaged files (tests/fuzz/damage.py); the long run is ``make fuzz``."""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path

import pytest

from config.profiles import load_profiles

ROOT = Path(os.environ.get("ESCROW_CORPUS") or Path(__file__).resolve().parents[2].parent / "shared" / "corpus")
FOLDERS = sorted(path for path in ROOT.iterdir() if path.is_dir()) if ROOT.is_dir() else []
PROFILES = load_profiles()

_spec = importlib.util.spec_from_file_location("damage", Path(__file__).parents[1] / "fuzz" / "damage.py")
assert _spec is not None
assert _spec.loader is not None
damage = importlib.util.module_from_spec(_spec)
sys.modules["damage"] = damage
_spec.loader.exec_module(damage)


@pytest.mark.skipif(not FOLDERS, reason=f"the corpus of sample files is not at {ROOT} (set ESCROW_CORPUS)")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_damaged_files_give_findings_and_lose_no_line_unseen(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.stat().st_size)
    contents = [path.read_bytes() for path in files]
    for path, data in list(zip(files, contents, strict=True))[:12]:
        found = damage.check(path.name, data, contents, PROFILES, random.Random(path.name), 6)
        assert [(each.how, each.what) for each in found] == []
