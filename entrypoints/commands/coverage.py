"""``escrow ledger coverage``: is the money there, account by account?"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer


def add_coverage(ledger_app: typer.Typer) -> None:
    """Add the command to the ledger's commands."""
    ledger_app.command("coverage", epilog="Example: escrow ledger coverage --as-of 2026-03-20")(coverage_command)


def coverage_command(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Business day; the newest reconciled one when left out.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Account number; all accounts when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per account and line.")] = False,
) -> None:
    """Compare what each custody account must hold with what the bank says it holds. Exit 1 on a shortfall.

    A surplus at one account never covers another. Strict counts bank cash alone; covered also counts receipts proven to be
    on their way and still in time.
    """
    from rich.table import Table

    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.commands.day_argument import business_day, chosen_accounts
    from entrypoints.screen import screen
    from entrypoints.settings import read_settings
    from money import exponent_of, format_minor_units
    from reports.coverage import coverage
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.READ_LEDGER)
    with open_books(settings) as engine, engine.connect() as connection:
        day = business_day(connection, as_of)
        rows = coverage(connection, day, chosen_accounts(connection, account))
    if as_json:
        for row in rows:
            exponent = exponent_of(row.coverage.currency)
            typer.echo(
                json.dumps(
                    {
                        "account": row.account_number,
                        "bank": row.bank_code,
                        "as_of": day.isoformat(),
                        "currency": row.coverage.currency,
                        "closing_date": row.coverage.closing_date.isoformat() if row.coverage.closing_date else None,
                        **{name: format_minor_units(units, exponent) for name, units in row.parts.items()},
                        "covered": row.coverage.covered,
                    },
                    ensure_ascii=False,
                )
            )
    else:
        table = Table(title=f"Coverage at the end of {day}")
        for name in ("account", "bank"):
            table.add_column(name)
        for name in ("must be there", "bank balance", "strict", "proven in transit", "surplus"):
            table.add_column(name, justify="right")
        table.add_column("")
        for row in rows:
            one = row.coverage
            figures = (one.requirement, one.bank_closing, one.strict_surplus, one.proven_in_transit, one.surplus)
            shown = [format_minor_units(units, exponent_of(one.currency), grouped=True) for units in figures]
            mark = "[green]covered[/green]" if one.covered else "[bold red]SHORT[/bold red]"
            table.add_row(row.account_number, row.bank_code, *shown, mark)
        screen().print(table)
    if any(not row.coverage.covered for row in rows):
        raise typer.Exit(1)
