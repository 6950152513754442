"""Everything a job is told: policy, chart, calendar, folders and who acts. Built once in entrypoints/bootstrap.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bank_adapters.profile import Profile
    from calendars import WorkingCalendar
    from config.banks import Bank
    from escrow.channel import Channel
    from escrow.policy import PolicyBook
    from ledger.chart import Chart
    from reconciliation.matching.rules import MatchingRules
    from reconciliation.statement_calendar import StatementRules


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Configuration a job may read; nothing here changes during a run.

    ``inbox`` and ``outbox`` are the drop folders of the banks: ``inbox/<BANK>/`` holds statement files to receive,
    ``outbox/<BANK>/`` the instruction files to execute.
    ``archive`` holds months of the journal, each written ``archive_after_days`` after it was closed.
    ``keys`` holds the files that sign checkpoints. ``actor`` is the user the journal names.
    """

    chart: Chart
    policies: PolicyBook
    calendar: WorkingCalendar
    banks: Mapping[str, Bank]
    profiles: tuple[Profile, ...]
    channels: Mapping[str, Channel]
    rules: MatchingRules
    statement_rules: StatementRules
    inbox: Path
    outbox: Path
    archive: Path
    archive_after_days: int
    keys: Path
    actor: str
