"""All tables of the house, gathered for Alembic and for the tests that walk them."""

from __future__ import annotations

import importlib

from sqlalchemy import MetaData

from storage.metadata import metadata

#: Every module that declares tables, lowest layer first.
TABLE_MODULES = (
    "storage.tables",
    "ledger.tables",
    "ledger.checkpoint_tables",
    "ledger.pending_tables",
    "ledger.period_tables",
    "ledger.archive_tables",
    "escrow.tables",
    "escrow.answer_tables",
    "reconciliation.tables",
    "reconciliation.discrepancy_tables",
    "reconciliation.quarantine_tables",
    "reconciliation.version_tables",
    "reconciliation.overdue_tables",
    "reconciliation.overlap_tables",
    "jobs.tables",
)


def load_all_tables() -> MetaData:
    """Import every module that declares tables and return the metadata they declare them on."""
    for name in TABLE_MODULES:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    return metadata
