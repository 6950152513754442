"""What banks do on the server, in the audit log: logins, deliveries, fetches, and what was refused or broken off.

Keys are named by their fingerprint, files by their SHA-256 and a name whose long numbers are masked; contents never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

from bank_adapters.findings import masked
from storage import audit


@dataclass(frozen=True, slots=True)
class Event:
    """One act of a bank. ``about`` is a path as the bank sees it, or the bank itself for logins."""

    bank_code: str
    act: str
    about: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


#: Acts whose ``bytes`` a bank has sent us.
_UPLOADS = ("sftp:file:uploaded", "sftp:upload:broken_off", "sftp:upload:refused")


class Trail:
    """Writes events; each stands or falls with ``meanwhile``, an act of the file system that must not happen unrecorded."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self.engine = engine
        self.clock = clock

    def uploaded_since(self, instant: datetime) -> dict[str, int]:
        """Bytes each bank has uploaded since then, as recorded."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    """
                    SELECT substr(actor, 6) AS bank, sum(CAST(details ->> 'bytes' AS bigint)) FROM audit_event
                    WHERE act = ANY (:acts) AND at >= :instant GROUP BY 1
                    """
                ),
                {"acts": list(_UPLOADS), "instant": instant},
            )
            return {bank: int(total or 0) for bank, total in rows}

    def record(self, event: Event, meanwhile: Callable[[], None] | None = None) -> None:
        with self.engine.begin() as connection:
            audit.record(
                connection,
                now=self.clock(),
                actor=f"bank:{event.bank_code}",
                role="bank",
                act=f"sftp:{event.act}",
                object_kind="file" if event.about else "bank",
                object_id=masked(f"{event.bank_code}{event.about}", 400),
                details=event.details,
            )
            if meanwhile is not None:
                meanwhile()
