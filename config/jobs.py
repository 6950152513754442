"""When the scheduler runs each job, from config/jobs.yaml."""

from __future__ import annotations

from datetime import time
from pathlib import Path

from config.loading import CONFIG_FOLDER, load_section


def load_job_times(path: Path = CONFIG_FOLDER / "jobs.yaml") -> tuple[tuple[str, time, bool, bool], ...]:
    """(job, local time in Shanghai, for the previous day?, every calendar day?) in the order of the file.

    Raises ConfigRefused naming the file and the key.
    """
    top = load_section(path)
    rows: list[tuple[str, time, bool, bool]] = []
    for section in top.sections("jobs"):
        name, at = section.text("job"), section.text("at")
        try:
            local = time.fromisoformat(at)
        except ValueError:
            raise section.refuse("at", f'{at!r} is not a time of day such as "17:00"') from None
        for_day = section.choice("for", ("same_day", "previous_day"))
        days = section.choice("days", ("working", "every"))
        section.finish()
        rows.append((name, local, for_day == "previous_day", days == "every"))
    top.finish()
    return tuple(rows)
