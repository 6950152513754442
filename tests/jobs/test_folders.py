"""The banks' folders: files appear whole, are never overwritten, and leave with a receipt."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.drop_folder import waiting_files
from jobs.outbox import OutboxConflict, place_file


def test_a_file_is_placed_once_whatever_often_it_is_asked(tmp_path: Path) -> None:
    folder = tmp_path / "NRB"

    assert place_file(folder, "a.csv", b"one") is True
    assert place_file(folder, "a.csv", b"one") is False
    assert [path.name for path in folder.iterdir()] == ["a.csv"]


def test_other_bytes_under_a_known_name_are_refused_and_the_first_stay(tmp_path: Path) -> None:
    place_file(tmp_path, "a.csv", b"one")

    with pytest.raises(OutboxConflict, match="move it away"):
        place_file(tmp_path, "a.csv", b"two")

    assert (tmp_path / "a.csv").read_bytes() == b"one"


def test_files_still_being_written_links_and_folders_are_left_alone(tmp_path: Path) -> None:
    inbox = tmp_path / "NRB"
    (inbox / "accepted").mkdir(parents=True)
    for name in ("b.sta", "a.csv", ".hidden", "c.csv.part", "d.tmp"):
        (inbox / name).write_bytes(b"x")
    (inbox / "link.csv").symlink_to(tmp_path / "elsewhere.csv")

    assert [path.name for path in waiting_files(tmp_path, "NRB")] == ["a.csv", "b.sta"]
    assert waiting_files(tmp_path, "LCB") == []
