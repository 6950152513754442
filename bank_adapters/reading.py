"""The one way in: bytes of a bank's file become statements and findings. Never raises, whatever the bytes."""

from __future__ import annotations

from collections.abc import Sequence

from bank_adapters.model import StatementFileReading
from bank_adapters.profile import Profile


def read_statement_file(
    data: bytes, name: str, profiles: Sequence[Profile], profile_id: str | None = None
) -> StatementFileReading:
    """Read ``data`` by the one adapter or profile that claims it, or by ``profile_id``."""
    raise NotImplementedError(f"reading {name}: {len(data)} bytes by {len(profiles)} profiles ({profile_id})")
