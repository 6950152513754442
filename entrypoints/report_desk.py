"""Where a report is asked for and handed over: who asks, what they may see, and in which form they take it away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from reports.report_table import Fact, Language, ReportTable
    from supervision.rights import Principal

CsvFile = Annotated[
    str | None,
    typer.Option("--csv", metavar="FILE", help="Write the whole report as CSV; - for standard output.", dir_okay=False),
]
XlsxFile = Annotated[
    Path | None, typer.Option("--xlsx", metavar="FILE", help="Write the whole report as an Excel workbook.", dir_okay=False)
]


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """One asking. Everything is read in one snapshot; ``institution_ids`` is None for a person who may see all."""

    engine: Engine
    connection: Connection
    principal: Principal
    institution_ids: tuple[int, ...] | None
    now: datetime

    def require_custody_account(self, custody_account_id: int) -> None:
        """Refuse an account outside the person's jurisdiction. Raises NotAllowed."""
        from entrypoints.acting import require_in_scope

        require_in_scope(self.connection, self.principal, custody_account_id)

    def facts(self, *, as_of: date | None, known_at: datetime | None) -> tuple[Fact, ...]:
        """The lines above a report."""
        from reports.report_table import standard_facts

        return standard_facts(
            as_of=as_of,
            known_at=known_at,
            scope=self.principal.jurisdiction,
            printed_by=f"{self.principal.user} ({self.principal.role})",
            printed_at=self.now,
        )

    def hand_over(
        self, make: Callable[[], ReportTable], *, csv_file: str | None, xlsx_file: Path | None, language: Language
    ) -> bool:
        """Write the files asked for and say what they hold; False when none was. ``make`` is called once for each file.

        That they were taken away stands in the audit log before the first byte is written.
        """
        from reports.tabular import write_report_csv
        from reports.workbook import write_workbook

        if csv_file is None and xlsx_file is None:
            return False
        report = make()
        record_export(
            self.engine,
            self.principal,
            self.now,
            report.key,
            {"csv": csv_file, "xlsx": str(xlsx_file) if xlsx_file else None, **{fact.key: fact.value for fact in report.facts}},
        )
        if csv_file == "-":
            write_report_csv(report, sys.stdout)
        elif csv_file is not None:
            rows = write_report_csv(report, Path(csv_file))
            typer.echo(f"{csv_file}: {rows:,} rows")
        if xlsx_file is not None:
            (written,) = write_workbook(xlsx_file, [make()], language=language)
            sheets = f" on {len(written.sheets)} sheets" if len(written.sheets) > 1 else ""
            typer.echo(f"{xlsx_file}: {written.rows:,} rows{sheets}", err=csv_file == "-")
        return True

    def show(self, table: ReportTable, language: Language) -> None:
        """Print the columns that fit a screen."""
        from rich.table import Table

        from entrypoints.screen import screen
        from reports.report_table import ColumnType, cell_for_people

        shown = [(place, column) for place, column in enumerate(table.columns) if column.on_screen]
        about = ", ".join(f"{fact.label(language)} {fact.value}" for fact in table.facts if fact.value not in {"now", "all"})
        drawn = Table(title=table.title(language), caption=about, caption_justify="left")
        for _, column in shown:
            number = column.type in {ColumnType.MONEY, ColumnType.INTEGER}
            drawn.add_column(
                column.title(language), justify="right" if number else "left", no_wrap=column.type is ColumnType.MONEY
            )
        for row in table.rows:
            drawn.add_row(*(_plain(cell_for_people(row[place])) for place, _ in shown))
        drawn.add_section()
        for row in table.totals:
            drawn.add_row(*(_plain(cell_for_people(row[place])) for place, _ in shown), style="bold")
        screen().print(drawn)


def _plain(text: str) -> str:
    """Text from outside is not markup."""
    from rich.markup import escape

    return escape(text)


@contextmanager
def report_desk(settings: Settings, *, export: bool = False) -> Iterator[ReportDesk]:
    """A desk on books at head, in one read-only snapshot. Raises NotAllowed for a person without the right.

    ``export``: the report leaves as a file, for which a named person needs another right than for reading.
    """
    from entrypoints.acting import acting_principal, institutions_in_scope, reading_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from supervision.rights import Right

    principal = acting_principal(settings, Right.EXPORT if export and settings.user else Right.READ_LEDGER)
    with open_books(settings, session=reading_session(principal)) as engine, engine.connect() as opened:
        connection = opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield ReportDesk(engine, connection, principal, institutions_in_scope(connection, principal), utc_now())


def record_export(engine: Engine, principal: Principal, now: datetime, what: str, details: Mapping[str, Any]) -> None:
    """Write down who takes which report away, in a transaction of its own."""
    from storage import audit

    with engine.begin() as connection:
        audit.record(
            connection,
            now=now,
            actor=principal.user,
            role=principal.role,
            act="cli:report:exported",
            object_kind="report",
            object_id=what,
            details={key: value for key, value in details.items() if value is not None},
        )
