"""``escrow statement versions`` and ``absorbed``: what was kept of a day's statements, and which lines were reported before."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from entrypoints.commands.reading import Lang, Language, readable_accounts
from entrypoints.commands.statement_quarantine import reading_books

_AsUser = Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER).")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
_Account = Annotated[str, typer.Option(help="Account number.")]
_Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Business day.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module to ``escrow statement``."""
    for name, command in (("versions", versions), ("absorbed", absorbed)):
        example = f"Example: escrow statement {name} --account 6222000000000017 --date 2026-03-03"
        app.command(name, epilog=example)(command)


def versions(
    account: _Account,
    date: _Day,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """Every version of the statement of a day, oldest first: its file, its balances, who put it in force."""
    from money import Money
    from reconciliation.version_store import versions_of_day
    from reconciliation.wording import lines_counted

    with reading_books(as_user) as (connection, principal, _):
        (ref,) = readable_accounts(connection, principal, account)
        found = versions_of_day(connection, ref, date.date())
    for row in found:
        balances = [Money(int(row[name]), ref.currency) for name in ("opening_minor_units", "closing_minor_units")]
        if as_json:
            body = {
                "version": row["version"],
                "file": row["file_name"],
                "opening": balances[0].plain,
                "closing": balances[1].plain,
                "lines": row["line_count"],
                "lines_absorbed": row["absorbed_count"] or 0,
                "prepared_by": row["prepared_by"],
                "approved_by": row["approved_by"],
                "quarantine_id": row["quarantine_id"],
            }
            typer.echo(json.dumps(body, ensure_ascii=False))
            continue
        who = f"{row['prepared_by']} + {row['approved_by']}" if row["approved_by"] else ""
        counts = lines_counted(row["line_count"], row["absorbed_count"]).text(lang)
        typer.echo(
            f"第 {row['version']} 版：{row['file_name']}，期初 {balances[0].grouped}，期末 {balances[1].grouped}，{counts} {who}"
            if lang is Language.ZH
            else f"version {row['version']}: {row['file_name']}, opening {balances[0].grouped}, closing {balances[1].grouped}, "
            f"{counts} {who}"
        )
    if not found:
        said = (
            f"{ref.account_number} {date:%Y-%m-%d} 没有留存的对账单；已收到的见：escrow statement list"
            if lang is Language.ZH
            else f"no statement of {ref.account_number} for {date:%Y-%m-%d} was kept; escrow statement list shows which came"
        )
        typer.echo(said, err=True)
    raise typer.Exit(0 if found else 1)


def absorbed(
    account: _Account,
    date: _Day,
    lang: Lang = Language.EN,
    as_user: _AsUser = None,
    as_json: _Json = False,
) -> None:
    """The lines of a day's export that were reported before: where each stands in it, and where it was reported first."""
    from money import Money
    from reconciliation.overlap_store import absorbed_lines
    from reconciliation.wording import absorbed_line, nothing_absorbed

    with reading_books(as_user) as (connection, principal, _):
        (ref,) = readable_accounts(connection, principal, account)
        found = absorbed_lines(connection, ref, date.date())
    for row in found:
        amount = Money(int(row["amount_minor_units"]), ref.currency)
        if as_json:
            body = {name: row[name] for name in ("file_name", "file_line", "line_id", "direction", "bank_reference")}
            body |= {"amount": amount.plain, "booking_date": str(row["booking_date"]), "reported_in": row["reported_in"]}
            body |= {"reported_line": row["reported_line"], "reported_for": str(row["reported_for"])}
            typer.echo(json.dumps(body, ensure_ascii=False))
            continue
        typer.echo(absorbed_line(row, amount).text(lang))
    if not found:
        typer.echo(nothing_absorbed(ref.account_number, date.date()).text(lang), err=True)
    raise typer.Exit(0 if found else 1)
