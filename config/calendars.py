"""Working-day calendars, read from config/calendars/."""

from __future__ import annotations

from pathlib import Path

from calendars import WorkingCalendar
from config.loading import CONFIG_FOLDER, load_section

SATURDAY = 5


def load_calendar(name: str = "china", folder: Path = CONFIG_FOLDER) -> WorkingCalendar:
    """The working days of config/calendars/<name>.yaml (source: the State Council's yearly notices).

    Raises ConfigRefused: a holiday that is no weekday, a make-up day that is no weekend day, or a date given twice or outside
    the span is a slip of the pen that would move money on the wrong day.
    """
    section = load_section(folder / "calendars" / f"{name}.yaml")
    calendar = WorkingCalendar(
        name=section.text("name"),
        covered_from=section.day("covered_from"),
        covered_to=section.day("covered_to"),
        holidays=frozenset(section.days("holidays")),
        makeup_days=frozenset(section.days("makeup_days")),
    )
    for key, days, weekend in (("holidays", section.days("holidays"), False), ("makeup_days", section.days("makeup_days"), True)):
        seen = set()
        for day in days:
            if not calendar.covered_from <= day <= calendar.covered_to:
                raise section.refuse(key, f"{day} is outside {calendar.covered_from} to {calendar.covered_to}")
            if (day.weekday() >= SATURDAY) != weekend:
                kept = "a make-up day is a weekend day" if weekend else "a holiday listed here is a weekday"
                raise section.refuse(key, f"{day} is a {day:%A}; {kept}")
            if day in seen:
                raise section.refuse(key, f"{day} is given twice")
            seen.add(day)
    section.finish()
    return calendar
