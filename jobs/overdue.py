"""Name the statements that have not come by their deadline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from jobs.collect import collect_statements
from jobs.directory import account_directory
from jobs.settings import JobSettings
from reconciliation.overdue import notice_overdue


def name_overdue(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:
    """For every account, each day through ``as_of`` whose deadline has passed by ``now`` and for which nothing counts.

    All in the job's own transaction: a process killed half-way has named none, and the next run names them all. Accounts are
    locked in the order of their numbers. What lies in the drop folders is received first: a bank that delivered in time is not
    called late because nobody had looked.
    """
    collected = collect_statements(connection, as_of, settings, now)
    accounts = sorted(account_directory(connection).values(), key=lambda ref: ref.custody_account_id)
    overdue: list[str] = []
    opened = 0
    for ref in accounts:
        if ref.opened_on > as_of:
            continue
        days, new = notice_overdue(
            connection,
            ref,
            as_of,
            rules=settings.statement_rules,
            calendar=settings.calendar,
            now=now,
            actor=settings.actor,
        )
        overdue += [f"{ref.account_number} {one.day}" for one in days]
        opened += len(new)
    return {
        **collected,
        "statements_overdue": overdue,
        "discrepancies_opened": opened,
        "outstanding": bool(overdue) or collected["outstanding"],
    }
