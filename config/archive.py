"""When closed months are archived, from config/archive.yaml."""

from __future__ import annotations

from pathlib import Path

from config.loading import CONFIG_FOLDER, load_section

#: Ten years: whoever gives more means something else.
_MOST_DAYS = 3660


def load_archive_days(path: Path = CONFIG_FOLDER / "archive.yaml") -> int:
    """How many calendar days after a month was closed everywhere it is archived. Raises ConfigRefused."""
    top = load_section(path)
    days = top.integer("after_days_closed", most=_MOST_DAYS)
    top.finish()
    return days
