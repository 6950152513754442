"""The real clock: read here and nowhere below, so that every run can be repeated with the time it had."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)
