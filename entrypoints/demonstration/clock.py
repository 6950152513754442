"""The clock of the demonstration: it stands at six in the evening of the day being told and runs on from there."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta

from calendars import start_of_business_date

_EVENING = timedelta(hours=18)


class StoryClock:
    """Called like the real clock. The simulated district lives in its own days, so its acts are dated in them; instants never
    run backwards.
    """

    def __init__(self) -> None:
        self._evening: datetime | None = None
        self._started = 0.0

    def set_day(self, day: date) -> None:
        """Let it be the evening of ``day``."""
        self._evening = start_of_business_date(day) + _EVENING
        self._started = time.monotonic()

    def __call__(self) -> datetime:
        if self._evening is None:
            raise RuntimeError("the story has no day yet")
        return self._evening + timedelta(seconds=time.monotonic() - self._started)
