"""Wires what commands need: the books, opened and known to have the schema this program expects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from entrypoints.settings import Settings
from storage.errors import StorageRefused

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from jobs.settings import JobSettings
    from storage.roles import Session


class SchemaNotAtHead(StorageRefused):
    """The database was made by another version of this program."""


@contextmanager
def open_books(settings: Settings, *, make: bool = False, session: Session | None = None) -> Iterator[Engine]:
    """An engine on books at head, whose sessions work as ``session`` says; by default as the poster, who adds evidence and can
    change none (``entrypoints.acting`` gives the session of a person who reads).

    Embedded books that do not exist are refused, so that a mistyped name or folder is never answered with empty ones;
    ``make`` makes them (docs/decisions.md says which commands may).

    Raises SchemaNotAtHead, and what ``storage.engine.open_engine`` raises: all are ``StorageRefused``, with a message
    that says what to do next.
    """
    from sqlalchemy import text

    from migrations import runner
    from storage.engine import engine_as, open_engine
    from storage.program_login import ensure_program_login
    from storage.roles import Role, Session

    with open_engine(settings.database, make=make) as engine:
        with engine.connect() as connection:
            current = runner.current_revision(connection)
            head = runner.head_revision()
            if current is None and connection.scalar(text("SELECT to_regclass('public.transfer')")) is not None:
                raise SchemaNotAtHead(
                    "these books hold evidence but no revision: the table alembic_version was emptied by hand; "
                    "restore it from a backup before anything else is run"
                )
            if current is None and settings.database_url is None and make:
                connection.rollback()
                runner.upgrade(connection)
            elif current != head:
                what = "has no schema yet" if current is None else f"has the schema of revision {current}"
                raise SchemaNotAtHead(f"this database {what}, the program expects {head}; run: escrow db upgrade")
            if settings.database_url is None:
                ensure_program_login(connection)
        engine.dispose()
        with engine_as(engine, settings.database, session or Session(Role.POSTER)) as limited:
            yield limited


def job_settings(settings: Settings, actor: str) -> JobSettings:
    """All configuration a job is told, read once. Raises ConfigRefused naming file and key."""
    from config.archive import load_archive_days
    from config.banks import load_banks
    from config.calendars import load_calendar
    from config.channels import load_channels
    from config.chart import load_chart
    from config.matching import load_matching_rules
    from config.policies import load_policies
    from config.profiles import load_profiles
    from config.statement_calendar import load_statement_rules
    from jobs.settings import JobSettings

    banks = load_banks()
    return JobSettings(
        chart=load_chart(),
        policies=load_policies(),
        calendar=load_calendar(),
        banks=banks,
        profiles=load_profiles(),
        channels=load_channels(),
        rules=load_matching_rules(),
        statement_rules=load_statement_rules(banks),
        inbox=settings.data_folder / settings.books / "inbox",
        outbox=settings.data_folder / settings.books / "outbox",
        archive=settings.data_folder / settings.books / "archive",
        archive_after_days=load_archive_days(),
        keys=settings.keys,
        actor=actor,
    )
