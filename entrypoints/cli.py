"""The ``escrow`` program: registers every command and turns refusals into messages that say what to do next."""

from __future__ import annotations

import importlib
import sys

import typer

#: One module a group of commands; each has ``register(app)``. Order is the order of ``escrow --help``.
COMMAND_MODULES = (
    "demo",
    "simulate",
    "parse",
    "database",
    "imports",
    "statement",
    "run_day",
    "match",
    "reconciliation",
    "discrepancy",
    "ledger",
    "export",
    "bench",
    "scheduler",
)

app = typer.Typer(
    name="escrow",
    help="Guard prepaid tuition: ledger, class-hour release and bank reconciliation.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name in COMMAND_MODULES:
    importlib.import_module(f"entrypoints.commands.{_name}").register(app)


def main() -> None:
    """Run the program; a refusal becomes one line on stderr and exit code 1."""
    sys.exit(app(standalone_mode=True))
