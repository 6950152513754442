"""Districts for the tests: small, made once a seed and profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from bank_adapters.profile import Profile
from config.calendars import load_calendar
from config.profiles import load_profiles
from simulation import District, Written, simulate, write_district
from simulation.terms import default_terms

SEEDS = (1, 2, 3, 4, 5)


@cache
def known_profiles() -> Mapping[str, Profile]:
    return {each.id: each for each in load_profiles()}


@cache
def make_district(seed: int, defects: str = "heavy", orders: int = 900, days: int = 20, institutions: int = 6) -> District:
    return simulate(
        seed=seed, institutions=institutions, orders=orders, days=days, terms=default_terms(load_calendar()), defects=defects
    )


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[District, Written]]:
    """``written(seed, defects)``: the district and the folder it was written to; once a session."""
    made: dict[tuple[int, str], tuple[District, Written]] = {}

    def of(seed: int, defects: str = "heavy") -> tuple[District, Written]:
        if (seed, defects) not in made:
            district = make_district(seed, defects)
            folder: Path = tmp_path_factory.mktemp("district") / f"{seed}-{defects}"
            made[seed, defects] = district, write_district(district, folder, known_profiles())
        return made[seed, defects]

    return of
