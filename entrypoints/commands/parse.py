"""``escrow parse``: read statement files without a database."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bank_adapters.model import StatementFileReading

    Read = Callable[[Path, str, Callable[[int], None] | None], StatementFileReading]

#: Files at least this large are worth a progress bar.
LARGE_FILE_BYTES = 4 * 1024 * 1024
#: Lines of a statement shown to people; ``--json`` shows all.
LINES_SHOWN = 20


class Language(StrEnum):
    """Language of messages."""

    EN = "en"
    ZH = "zh"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to the program."""
    app.command(
        "parse",
        help=(
            "Read bank statement files and say what is in them and what is wrong; no database is needed.\n\n"
            "Exit code 0: every file accepted; 1: something refused; 2: wrong arguments.\n\n"
            "Examples:\n\n"
            "  escrow parse statement.sta\n\n"
            "  escrow parse --json --profile north-river 2026-03-02.csv | jq .accepted\n\n"
            "  escrow parse --lang zh *.xml"
        ),
    )(parse)


def parse(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Statement files of any format; zip and gzip too.")],
    profile: Annotated[
        str | None, typer.Option(help="Read every file by this profile instead of asking which claims it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file and line.")] = False,
    lang: Annotated[Language, typer.Option(help="Language of messages.")] = Language.EN,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Read without a worker process and its limits of memory and time: for own files.")
    ] = False,
) -> None:
    """Read ``files`` and print readings; exits 1 when one is refused, 2 for an unknown profile."""
    from bank_adapters.reading import read_statement_file
    from bank_adapters.worker import read_isolated
    from config.loading import ConfigRefused
    from config.profiles import load_profiles

    try:
        profiles = load_profiles()
    except ConfigRefused as problem:
        typer.echo(f"error: the bank profiles cannot be used: {problem}", err=True)
        raise typer.Exit(2) from problem
    if profile is not None and profile not in {each.id for each in profiles}:
        names = ", ".join(each.id for each in profiles)
        typer.echo(f"error: there is no profile {profile!r}; there are: {names}", err=True)
        raise typer.Exit(2)
    refused = False
    read = read_statement_file if in_process else read_isolated

    def read_one(path: Path, name: str, progress: Callable[[int], None] | None) -> StatementFileReading:
        return read(path, name, profiles, profile, progress)

    for file, reading in _readings(files, read_one):
        refused = refused or not reading.accepted
        if as_json:
            _print_json(reading, file, lang)
        else:
            _print_table(reading, file, lang)
    raise typer.Exit(1 if refused else 0)


def _checked(file: str) -> tuple[Path | None, str]:
    """The path of a file that can be read, or None and the reason why not."""
    path = Path(file)
    try:
        if path.is_dir():
            return None, "is a directory; name the files in it"
        if path.exists() and not path.is_file():
            return None, "is not a regular file"
        with path.open("rb"):
            return path, ""
    except FileNotFoundError:
        return None, "does not exist; check the name"
    except PermissionError:
        return None, "may not be read by this user; check its permissions"
    except (OSError, ValueError) as problem:
        return None, str(getattr(problem, "strerror", None) or problem)


def _readings(files: list[str], read: Read) -> Iterator[tuple[str, StatementFileReading]]:
    """Each file with its reading; on a terminal a bar that moves with the bytes read, when there are many."""
    sizes = [Path(file).stat().st_size if _is_file(file) else 0 for file in files]
    if not sys.stderr.isatty() or sum(sizes) < LARGE_FILE_BYTES:
        for file in files:
            path, reason = _checked(file)
            yield file, read(path, file, None) if path is not None else _unreadable(reason)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=sum(sizes))
        done = 0
        for file, size in zip(files, sizes, strict=True):
            progress.update(task, description=Path(file).name)
            path, reason = _checked(file)

            def moved(count: int, start: int = done, most: int = size) -> None:
                progress.update(task, completed=start + min(count // 2, most))  # every byte is read twice

            yield file, read(path, file, moved) if path is not None else _unreadable(reason)
            done += size
            progress.update(task, completed=done)


def _is_file(file: str) -> bool:
    try:
        return Path(file).is_file()
    except (OSError, ValueError):
        return False


def _unreadable(reason: str) -> StatementFileReading:
    """A reading that says why there is none."""
    from bank_adapters.findings import Findings
    from bank_adapters.model import StatementFileReading

    findings = Findings()
    findings.add("file_unreadable", field="file", reason=reason)
    return StatementFileReading("unknown", None, None, False, (), findings.finished())


def _print_json(reading: StatementFileReading, file: str, lang: Language) -> None:
    from bank_adapters.presenting import presented_pieces

    # surrogates of an undecodable file name must not stop the line from being written
    for piece in presented_pieces(reading, file, chinese=lang is Language.ZH):
        sys.stdout.buffer.write(piece.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


# ruff: noqa: E501 - a table of words
_WORDS = {
    Language.EN: {
        "accepted": "accepted", "refused": "REFUSED", "statement": "Statement", "account": "account", "opening": "opening",
        "closing": "closing", "line": "line", "booked": "booked", "in": "in", "out": "out", "balance": "balance",
        "counterparty": "counterparty", "reference": "reference", "more": "and {count} more lines; --json shows all",
        "severity": "severity", "where": "where", "what": "what is wrong", "file": "file", "lines": "lines",
        "next": "Next: ask its sender for a right one, or see what each part of it was taken for: escrow profile test {file}",
    },
    Language.ZH: {
        "accepted": "通过", "refused": "拒收", "statement": "对账单", "account": "账号", "opening": "期初", "closing": "期末",
        "line": "行", "booked": "记账日", "in": "收入", "out": "支出", "balance": "余额", "counterparty": "对方", "reference": "参考号",
        "more": "另有 {count} 笔，--json 显示全部", "severity": "级别", "where": "位置", "what": "问题", "file": "文件", "lines": "笔",
        "next": "下一步：请发送方更正后重发；或查看各部分如何识别：escrow profile test {file}",
    },
}  # fmt: skip


def _print_table(reading: StatementFileReading, file: str, lang: Language) -> None:
    from rich.table import Table
    from rich.text import Text

    from bank_adapters.model import Direction, Severity
    from entrypoints.screen import screen

    words = _WORDS[lang]
    console = screen()
    verdict = Text(words["accepted"], "bold green") if reading.accepted else Text(words["refused"], "bold red")
    form = " / ".join(filter(None, (reading.format, reading.profile, reading.encoding)))
    console.print(Text.assemble((file, "bold"), "  ", verdict, f"  {form}"))
    for number, statement in enumerate(reading.statements, 1):
        opening = f"{statement.opening_balance or '-'} ({statement.opening_date or '-'})"
        closing = f"{statement.closing_balance or '-'} ({statement.closing_date or '-'})"
        title = (
            f"{words['statement']} {number}: {statement.statement_id or '-'} #{statement.sequence or '-'}, {words['account']} "
            f"{statement.account or '-'}, {words['opening']} {opening}, {words['closing']} {closing}, "
            f"{len(statement.lines)} {words['lines']}, {words['accepted'] if statement.accepted else words['refused']}"
        )
        table = Table(title=Text(title), title_justify="left", title_style="")
        table.add_column(words["line"], justify="right")
        table.add_column(words["booked"])
        table.add_column(words["in"], justify="right")
        table.add_column(words["out"], justify="right")
        table.add_column(words["balance"], justify="right")
        table.add_column(words["counterparty"])
        table.add_column(words["reference"])
        for line in statement.lines[:LINES_SHOWN]:
            amount = line.exact_amount + (" R" if line.reversal else "")
            moved_in = f"({amount})" if line.direction is Direction.NONE else amount if line.direction is Direction.IN else ""
            table.add_row(
                str(line.line), str(line.booking_date or "-"),
                moved_in, amount if line.direction is Direction.OUT else "",
                line.running_balance.plain if line.running_balance else "", Text(line.counterparty_name or ""),
                Text(line.end_to_end_reference or line.bank_reference or ""),
            )  # fmt: skip
        console.print(table)
        if len(statement.lines) > LINES_SHOWN:
            console.print("  " + words["more"].format(count=len(statement.lines) - LINES_SHOWN))
    if reading.findings:
        table = Table()
        for heading in ("severity", "where", "what"):
            table.add_column(words[heading])
        styles = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
        for finding in reading.findings:
            place = f"{words['line']} {finding.line}" if finding.line else words["file"]
            message = (finding.message_zh if lang is Language.ZH else None) or finding.message
            where = f"{place} {finding.field or ''}".strip() if finding.field != "file" else place
            table.add_row(Text(finding.severity.value, styles[finding.severity]), Text(where), Text(message))
        console.print(table)
    if not reading.accepted and not any(finding.code == "file_unreadable" for finding in reading.findings):
        console.print(Text(words["next"].format(file=shlex.quote(file))))
