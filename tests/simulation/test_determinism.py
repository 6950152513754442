"""The same seed gives the same folder, whatever the process; another seed another one."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from simulation import write_district
from tests.simulation.conftest import known_profiles, make_district

_DIGEST = """
import sys
from pathlib import Path
from config.calendars import load_calendar
from config.profiles import load_profiles
from simulation import simulate, write_district
from simulation.terms import default_terms
district = simulate(seed=9, institutions=5, orders=300, days=12, terms=default_terms(load_calendar()), defects="heavy")
write_district(district, Path(sys.argv[1]), {each.id: each for each in load_profiles()})
"""


def digest_of(folder: Path) -> str:
    digest = sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def test_same_seed_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    digests = []
    for hash_seed in ("0", "4711"):
        folder = tmp_path / hash_seed
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        subprocess.run([sys.executable, "-c", _DIGEST, str(folder)], check=True, env=environment, cwd=Path(__file__).parents[2])
        digests.append(digest_of(folder))
    assert digests[0] == digests[1]


def test_another_seed_makes_another_district(tmp_path: Path) -> None:
    write_district(make_district(1), tmp_path / "1", known_profiles())
    write_district(make_district(2), tmp_path / "2", known_profiles())
    for name in ("inputs/institutions.csv", "answer-key/defects.csv", "answer-key/expected_releases.csv"):
        assert (tmp_path / "1" / name).read_bytes() != (tmp_path / "2" / name).read_bytes()


def test_defects_change_neither_what_is_sold_nor_by_whom() -> None:
    plain, heavy = make_district(3, "none"), make_district(3, "heavy")
    assert plain.institutions == heavy.institutions
    sold = {each.order_id: (each.payer_token, each.amount, each.paid_on) for each in plain.reported}
    told = {each.order_id: (each.payer_token, each.amount, each.paid_on) for each in heavy.reported}
    both = sold.keys() & told.keys()
    assert len(both) > 0.97 * len(sold)
    assert all(sold[each] == told[each] for each in both)
