"""The ``escrow`` program: registers every command and turns refusals into messages that say what to do next."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from entrypoints.commands.reading import LANGUAGE_VARIABLE, Language, language_at_work
from entrypoints.usage import Program

#: One module a group of commands; each has ``register(app)``. Order is the order of ``escrow --help``.
COMMAND_MODULES = (
    "demo",
    "simulate",
    "parse",
    "profile",
    "imports",
    "statement",
    "run_day",
    "reconciliation",
    "discrepancy",
    "hold",
    "instruction",
    "match",
    "ledger",
    "explain",
    "export",
    "evidence",
    "database",
    "scheduler",
    "sftp",
    "bench",
)

app = typer.Typer(
    name="escrow",
    cls=Program,
    help="Guard prepaid tuition: ledger, class-hour release and bank reconciliation.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: escrow demo",
)


#: restrict_violation: what the books' own guards raise (migrations), with a sentence and often a hint.
_REFUSED_BY_A_GUARD = "23001"

#: Commands that leave a server's books alone, so that --data and --books mean what they say beside ESCROW_DATABASE_URL.
WITHOUT_A_SERVER = ("demo", "simulate", "parse", "profile", "match", "bench")


@app.callback()
def _global_options(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Data folder (else ESCROW_DATA, else ./var).")
    ] = None,
    books: Annotated[
        str | None, typer.Option("--books", metavar="NAME", help="Which books to open (else ESCROW_BOOKS, else escrow).")
    ] = None,
    user: Annotated[str | None, typer.Option("--as", metavar="USER", help="Who acts (else ESCROW_USER, else system).")] = None,
    lang: Annotated[Language | None, typer.Option("--lang", help="Language of answers (else ESCROW_LANG, else en).")] = None,
) -> None:
    if os.environ.get("ESCROW_DATABASE_URL") and context.invoked_subcommand not in WITHOUT_A_SERVER:
        given = [name for name, value in (("--data", data), ("--books", books)) if value]
        if given:
            raise typer.BadParameter(
                f"{' and '.join(given)} would open embedded books, but ESCROW_DATABASE_URL names a server's: "
                "unset ESCROW_DATABASE_URL for the embedded ones, or leave the option out for the server's"
            )
    # Commands read their settings from the environment (entrypoints/settings.py); the options given here win over it.
    told = {"ESCROW_DATA": data and str(data), "ESCROW_BOOKS": books, "ESCROW_USER": user, LANGUAGE_VARIABLE: lang}
    for name, value in told.items():
        if value:
            os.environ[name] = value


for _name in COMMAND_MODULES:
    importlib.import_module(f"entrypoints.commands.{_name}").register(app)


def main() -> None:
    """Run the program; a refusal becomes a message on stderr and exit code 1. Wrong usage and Ctrl-C: ``usage.Program``."""
    signal.signal(signal.SIGTERM, _end_in_order)
    try:
        app()
    except Exception as failure:  # the outermost fence: people get sentences, developers ESCROW_TRACEBACK=1
        if os.environ.get("ESCROW_TRACEBACK"):
            raise
        typer.echo(_sentence(failure), err=True)
        sys.exit(1)


def _end_in_order(signal_number: int, _frame: FrameType | None) -> None:
    """A polite stop from outside unwinds like any exit, so transactions roll back and the embedded server is stopped."""
    sys.exit(128 + signal_number)


def _sentence(failure: Exception) -> str:
    """What went wrong, for a person. Known refusals carry their own advice; anything else asks for a report."""
    from config.loading import ConfigRefused
    from ledger.model import PostingRefused
    from storage.errors import StorageRefused
    from wording import Refused

    if isinstance(failure, Refused):
        language = language_at_work()
        return f"{'错误：' if language == 'zh' else 'error: '}{failure.text(language)}"
    if isinstance(failure, UnicodeEncodeError) or "null byte" in str(failure) or "NUL" in str(failure).split():
        return "error: an argument or file name holds a NUL or bytes that are not UTF-8 text; type it again by hand"
    if isinstance(failure, OSError) and failure.strerror:
        where = f"{failure.filename}: " if failure.filename else ""
        return f"error: {where}{failure.strerror}; give a path that exists and may be used, or free it, and run the command again"
    refused: Any = getattr(failure, "orig", failure)  # SQLAlchemy's wrapping of what the driver said
    if getattr(refused, "sqlstate", None) == _REFUSED_BY_A_GUARD:
        said = refused.diag
        return f"error: the books refuse it: {said.message_primary}" + (f". {said.message_hint}" if said.message_hint else "")
    if not isinstance(failure, (KeyError, IndexError)) and isinstance(
        failure, (ConfigRefused, PostingRefused, StorageRefused, LookupError, ValueError, RuntimeError, OSError)
    ):
        return f"error: {failure}"
    return (
        f"error: {type(failure).__name__}: {str(failure).splitlines()[0] if str(failure) else ''}\n"
        "This is a fault of the program. Run the command again with ESCROW_TRACEBACK=1 and report what it prints."
    )


if __name__ == "__main__":
    main()
