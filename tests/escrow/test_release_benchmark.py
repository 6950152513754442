"""The benchmark of a day's release measures only what it has proved, and large days are written in parts."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from benchmarks.rates import BenchmarkWrong
from benchmarks.release import CLASS_HOURS, ReleaseSettings, measure_release
from escrow import releases
from tests.escrow.conftest import BANKS, CHANNELS, CHART, POLICIES

TOLD = ReleaseSettings(CHART, BANKS, CHANNELS, POLICIES)


def test_a_days_release_is_proved_before_its_speed_is_told(books: Engine) -> None:
    figures = measure_release(books, TOLD, prepayments=7, hours_each=3)

    assert figures.as_json()["class_hours_due"] == 21
    assert figures.as_json()["class_hours_sold"] == 7 * CLASS_HOURS
    (goal,) = figures.goals
    assert goal.reached == pytest.approx(figures.release.per_second / figures.batch.per_second)


def test_a_release_that_forgets_a_fen_has_no_speed(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    right = releases._instalment

    def one_too_few(total: int, hours: int, mode: str, tranches: str, number: int) -> int:
        return right(total, hours, mode, tranches, number) - (number == 2)

    monkeypatch.setattr(releases, "_instalment", one_too_few)

    with pytest.raises(BenchmarkWrong, match="closed form"):
        measure_release(books, TOLD, prepayments=3, hours_each=3)


def test_a_day_larger_than_a_part_is_released_whole_and_only_once(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "_WRITTEN_AT_ONCE", 4)
    monkeypatch.setattr(releases, "_READ_AT_ONCE", 3)

    measure_release(books, TOLD, prepayments=5, hours_each=3)

    with books.connect() as connection:
        batches = connection.execute(
            text("SELECT count(DISTINCT batch_id), count(*) FROM transfer WHERE source_kind = 'release'")
        ).one()
    assert tuple(batches) == (4, 15), "four parts of at most four class-hours, one batch each"
