"""How the demonstration looks: a table a day, the comparison with the key, and what to try next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from entrypoints.demonstration.story import DayTold
from money import format_minor_units
from simulation.scoring import Score, Tally

#: Faults printed in full; the rest is counted.
_FAULTS_SHOWN = 10


def days_table(days: Iterable[DayTold]) -> Table:
    """A line for every calendar day: what came, what matched, what did not, and whether the money is there."""
    table = Table(
        title="The district day by day", caption="Amounts in CNY. Weekend days are compared as well; no instruction leaves then."
    )
    for heading, right in (
        ("day", False), ("orders", True), ("statements", True), ("lines", True), ("matched", True),
        ("discrepancies named", False), ("released", True), ("paid out", True), ("covered", True),
    ):  # fmt: skip
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "discrepancies named")
    for one in days:
        named = ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in one.discrepancies.items())
        covered = Text(
            f"{one.accounts_covered}/{one.accounts}", style="green" if one.accounts_covered == one.accounts else "bold red"
        )
        table.add_row(
            f"{one.day:%Y-%m-%d %a}",
            str(one.orders),
            str(one.statement_files),
            str(one.bank_lines),
            str(one.matched),
            named or "-",
            format_minor_units(one.released, grouped=True) if one.released else "-",
            format_minor_units(one.disbursed, grouped=True) if one.disbursed else "-",
            covered,
            style="" if one.working_day else "dim",
        )
    return table


def score_table(score: Score) -> Group:
    """The engine beside the answer key: expected, right, wrong, missed, invented, and the money of what is not right."""
    table = Table(title="Held against the answer key (written by the simulation, not read by the engine)")
    for heading in ("", "expected", "right", "wrong", "missed", "invented", "money at fault"):
        table.add_column(heading, justify="left" if not heading else "right")
    for tally in score.tallies:
        _add(table, tally, bold=True)
    for kind in sorted(score.by_kind):
        _add(table, score.by_kind[kind], indent=2)
    faults = [text for tally in score.tallies for text in tally.details]
    more = [Text(f"  - {text}") for text in faults[:_FAULTS_SHOWN]]
    if len(faults) > _FAULTS_SHOWN:
        more.append(Text(f"  ... and {len(faults) - _FAULTS_SHOWN} more"))
    verdict = (
        Text("Every defect of the key is named with its kind and amount; no wrong match.", style="bold green")
        if score.perfect
        else Text("The engine and the answer key differ:", style="bold red")
    )
    return Group(table, verdict, *more)


def _add(table: Table, tally: Tally, *, bold: bool = False, indent: int = 0) -> None:
    faults = tally.wrong + tally.missed + tally.invented
    table.add_row(
        " " * indent + tally.name,
        *(str(value) if value else "-" for value in (tally.expected, tally.right, tally.wrong, tally.missed, tally.invented)),
        format_minor_units(tally.money, grouped=True) if tally.money else "-",
        style="red" if faults else ("bold" if bold else "dim"),
    )


def closing_panel(certificates: Sequence[Path], commands: Sequence[tuple[str, str]]) -> Panel:
    """Where the certificate lies and what to try next."""
    lines = [Text("")]
    if certificates:
        lines += [
            Text("Open the daily certificate in a browser:", style="bold"),
            Text(f"  {certificates[0]}", style="cyan"),
            Text(""),
        ]
    lines.append(Text("Try next:", style="bold"))
    width = max(len(command) for command, meaning in commands if meaning)
    for command, meaning in commands:
        lines.append(Text.assemble(("  " + command.ljust(width + 2), "cyan"), meaning))
    return Panel(Group(*lines), title="Done", expand=False)


def show(console: Console, *parts: object) -> None:
    """Print parts with a blank line between them."""
    for part in parts:
        console.print(part)
        console.print()
