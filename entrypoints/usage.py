"""How the program answers wrong usage and a full stop: one sentence with the same beginning, and what may be given instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

#: Typer's own UsageError, the parent of BadParameter, wherever this version of Typer keeps it.
_UsageError: Any = typer.BadParameter.__bases__[0]

#: Exit code of a program ended by Ctrl-C (128 + SIGINT).
INTERRUPTED = 130

_BAD_DAY = re.compile(r"('[^']*') does not match the formats? '%Y-%m-%d'\.?")


class Program(TyperGroup):
    """The program's group of commands: what Typer would show in a box of its own is said as every other refusal is."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; wrong usage ends with code 2, Ctrl-C with 130. Other exceptions are the caller's."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name or "escrow", complete_var, False, windows_expand_args, **extra)
        except _UsageError as problem:
            told = wrong_usage(problem)
            typer.echo(told, err=True)
            raise SystemExit(2) from None
        except (typer.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        if code == INTERRUPTED:
            typer.echo(
                "stopped: what was reported above as done is kept whole, the piece at work left nothing behind; "
                "run the same command again, it goes on from there",
                err=True,
            )
        raise SystemExit(code if isinstance(code, int) else 0)


def wrong_usage(problem: Any) -> str:
    """The sentence for a usage error: what is wrong, then the commands there are or the help to ask for."""
    context = problem.ctx
    if type(problem).__name__ == "NoArgsIsHelpError":  # a group named alone: Typer has printed its help
        return f"error: name a command, such as: {context.command_path} {_first_command(context)}"
    said = (
        _BAD_DAY.sub(r"\1 is not a date such as 2026-03-02 (year-month-day)", problem.format_message())
        .replace("Value error, ", "")
        .rstrip(".")
    )
    if context is None:
        return f"error: {said}; see: escrow --help"
    commands = getattr(context.command, "commands", None)
    if commands and said.startswith(("No such command", "Missing command")):
        return f"error: {said}\ncommands of {context.command_path}: {', '.join(commands)}"
    return f"error: {said}; see: {context.command_path} --help"


def _first_command(context: Any) -> str:
    return next(iter(getattr(context.command, "commands", {})), "--help")
