"""Reading in a worker: the same answers, and a finding instead of a dead process when a file takes too much."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest

from bank_adapters.reading import read_statement_file
from bank_adapters.worker import Limits, ReadingWorker, read_isolated
from benchmarks.statement_files import write_mt940
from config.profiles import load_profiles

PROFILES = load_profiles()
GOLDEN = sorted(path for path in (Path(__file__).parent / "golden").iterdir() if path.suffix != ".yaml")


def test_a_worker_says_what_a_reading_here_says() -> None:
    for path in GOLDEN:
        data = path.read_bytes()
        here = read_statement_file(data, path.name, PROFILES)
        assert read_isolated(data, path.name, PROFILES) == here
        assert read_isolated(path, path.name, PROFILES) == here


def test_lines_of_a_long_statement_are_handed_over(tmp_path: Path) -> None:
    path = tmp_path / "long.sta"
    write_mt940(path, 6_500)
    reading = read_isolated(path, "long.sta", PROFILES)
    assert reading.accepted
    assert reading.statements == read_statement_file(path, "long.sta", PROFILES).statements


@pytest.mark.parametrize(
    ("limits", "rows", "what"),
    [
        (Limits(memory_bytes=4 * 1024 * 1024), 60_000, "memory"),
        (Limits(cpu_seconds=1), 700_000, "processor time"),
        (Limits(clock_seconds=0.3), 100_000, "time"),
    ],
)
def test_a_file_that_takes_too_much_is_a_finding_and_the_next_one_is_read(
    limits: Limits, rows: int, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.sta"
    write_mt940(path, rows)
    worker = ReadingWorker(PROFILES, limits)
    try:
        reading = worker.read(path, "large.sta")
        (finding,) = reading.findings
        assert (reading.accepted, finding.code) == (False, "limit_reached")
        assert what in finding.message
        worker.limits = dataclasses.replace(limits, clock_seconds=60)
        small = GOLDEN[0].read_bytes()
        if what != "memory":  # a worker allowed four megabytes reads nothing else either
            assert worker.read(small, "small") == read_statement_file(small, "small", PROFILES)
    finally:
        worker.close()


def test_a_worker_that_dies_is_replaced() -> None:
    worker = ReadingWorker(PROFILES)
    try:
        data = GOLDEN[0].read_bytes()
        first = worker.read(data, "a")
        process = worker._process
        assert process is not None
        os.kill(process.pid, 9)
        process.wait()
        assert worker.read(data, "a") == first
    finally:
        worker.close()


def test_a_warm_worker_costs_little() -> None:
    data = GOLDEN[0].read_bytes()
    read_isolated(data, "a", PROFILES)
    started = time.process_time()
    for _ in range(20):
        read_isolated(data, "a", PROFILES)
    assert time.process_time() - started < 1
