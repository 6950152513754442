"""``escrow profile``: which bank profiles there are, and what they make of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bank_adapters.explaining import Explanation
    from bank_adapters.profile import Profile

profile_app = typer.Typer(
    help=(
        "Bank profiles: the layouts of statement files.\n\n"
        "Examples:\n\n"
        "  escrow profile list\n\n"
        "  escrow profile test export.csv\n\n"
        "  escrow profile test export.csv --with my-bank.yaml"
    ),
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.add_typer(profile_app, name="profile")


def _profiles(extra: Path | None) -> tuple[Profile, ...]:
    """The shipped profiles, and one more from ``extra``. Exits 2 when one cannot be used."""
    from config.loading import ConfigRefused
    from config.profiles import load_profile, load_profiles

    try:
        return (*load_profiles(), *([load_profile(extra)] if extra is not None else []))
    except ConfigRefused as problem:
        typer.echo(f"This profile cannot be used: {problem}", err=True)
        raise typer.Exit(2) from problem


@profile_app.command("list")
def list_profiles(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Name every profile, its format and its title.

    Example: escrow profile list --json
    """
    profiles = _profiles(None)
    if as_json:
        typer.echo(json.dumps([{"id": each.id, "format": each.format.value, "title": each.title} for each in profiles]))
        return
    for each in profiles:
        typer.echo(f"{each.id:22} {each.format.value:10} {each.title}")


@profile_app.command("test")
def explain_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A statement file of the bank.", exists=True, dir_okay=False)],
    extra: Annotated[Path | None, typer.Option("--with", help="A profile being written, read beside the shipped ones.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which profile reads FILE and why, what each column is taken for, and what to write where none does.

    Exit code 0: one profile or format reads the file; 1: none does, and the answer proposes a profile.

    Example: escrow profile test export.csv --with my-bank.yaml
    """
    import dataclasses

    from bank_adapters.explaining import explain
    from bank_adapters.worker import read_isolated

    profiles = _profiles(extra)
    reading = read_isolated(file, file.name, profiles)
    seen = explain(file, profiles)
    unclaimed = reading.profile is None and not reading.statements
    if as_json:
        content = {
            "file": str(file), "format": reading.format, "profile": reading.profile, "encoding": reading.encoding,
            "accepted": reading.accepted, "lines": sum(len(one.lines) for one in reading.statements),
            "findings": [{"severity": each.severity.value, "code": each.code, "line": each.line, "message": each.message}
                         for each in reading.findings],
            "table": dataclasses.asdict(seen) if seen.header_line is not None else None,
        }  # fmt: skip
        typer.echo(json.dumps(content, ensure_ascii=False))
        raise typer.Exit(1 if unclaimed else 0)
    _print_reading(reading.format, reading.profile, reading.encoding, reading.accepted)
    for number, statement in enumerate(reading.statements, 1):
        typer.echo(
            f"  statement {number}: account {statement.account or '-'}, {len(statement.lines)} lines, opening "
            f"{statement.opening_balance or '-'}, closing {statement.closing_balance or '-'}, "
            f"{'accepted' if statement.accepted else 'REFUSED'}"
        )
    for finding in reading.findings:
        typer.echo(f"  {finding.severity.value}, line {finding.line or '-'}: {finding.message}")
    if seen.header_line is not None and (unclaimed or reading.profile == seen.profile):
        _print_table(seen)
    elif unclaimed:
        typer.echo("No table was found in it. The table of a new bank: docs/howto/add-a-bank.md; anything else: ask its sender.")
    raise typer.Exit(1 if unclaimed else 0)


def _print_reading(format_: str, profile: str | None, encoding: str | None, accepted: bool) -> None:
    if format_ == "unknown":
        typer.echo("No format and no profile reads this file.")
        return
    by = f"profile {profile}" if profile else "no profile"
    typer.echo(f"Read as {format_} by {by}, encoding {encoding or '-'}: {'accepted' if accepted else 'REFUSED'}")


def _print_table(seen: Explanation) -> None:
    typer.echo(
        f"\nHeader in line {seen.header_line}; {seen.rows} rows below it were looked at; cells parted by {seen.delimiter!r}."
    )
    for column in seen.columns:
        meaning = column.field or "not used"
        typer.echo(f"  {column.header}: {meaning}; {column.filled} filled{', such as ' + column.sample if column.sample else ''}")
    for near in seen.nearest:
        typer.echo(f"\nProfile {near.profile} knows {near.known} of these columns.")
        if near.missing:
            typer.echo(f"  it also needs: {', '.join(near.missing)}")
        if near.unknown:
            typer.echo(f"  it does not know: {', '.join(near.unknown)}")
    if seen.proposal:
        typer.echo("\nTo read it, write a profile (docs/howto/add-a-bank.md). A start, to be checked:\n")
        typer.echo(seen.proposal)
