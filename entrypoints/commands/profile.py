"""``escrow profile``: which bank profiles there are, and what they make of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.reading import Lang, Language

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


def _say(lang: Language, en: str, zh: str) -> None:
    typer.echo(zh if lang is Language.ZH else en)


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
    lang: Lang = Language.EN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which profile reads FILE and why, what each column is taken for, and what to write where none does.

    Exit code 0: one profile or format reads the file; 1: none does, and the answer proposes a profile.

    Example: escrow profile test export.csv --with my-bank.yaml
    """
    import dataclasses

    from bank_adapters.explaining import explain
    from bank_adapters.worker import read_isolated
    from reports.wording import word

    profiles = _profiles(extra)
    reading = read_isolated(file, file.name, profiles)
    seen = explain(file, profiles)
    unclaimed = reading.profile is None and not reading.statements
    if as_json:
        content = {
            "file": str(file), "format": reading.format, "profile": reading.profile, "encoding": reading.encoding,
            "accepted": reading.accepted, "lines": sum(len(one.lines) for one in reading.statements),
            "findings": [{"severity": each.severity.value, "code": each.code, "line": each.line, "message": each.message,
                          "message_zh": each.message_zh}
                         for each in reading.findings],
            "table": dataclasses.asdict(seen) if seen.header_line is not None else None,
        }  # fmt: skip
        typer.echo(json.dumps(content, ensure_ascii=False))
        raise typer.Exit(1 if unclaimed else 0)
    _print_reading(reading.format, reading.profile, reading.encoding, lang, accepted=reading.accepted)
    for number, statement in enumerate(reading.statements, 1):
        opening, closing = statement.opening_balance or "-", statement.closing_balance or "-"
        account, count = statement.account or "-", len(statement.lines)
        outcome = ("accepted", "通过") if statement.accepted else ("REFUSED", "拒收")
        _say(
            lang,
            f"  statement {number}: account {account}, {count} lines, opening {opening}, closing {closing}, {outcome[0]}",
            f"  对账单 {number}：账户 {account}，{count} 笔，期初 {opening}，期末 {closing}，{outcome[1]}",
        )
    for finding in reading.findings:
        where, severity = finding.line or "-", finding.severity.value
        _say(
            lang,
            f"  {severity}, line {where}: {finding.message}",
            f"  {word(severity, 'zh')}，第 {where} 行：{finding.message_zh or finding.message}",
        )
    if seen.header_line is not None and (unclaimed or reading.profile == seen.profile):
        _print_table(seen, lang)
    elif unclaimed:
        _say(
            lang,
            "No table was found in it. The table of a new bank: docs/howto/add-a-bank.md; anything else: ask its sender.",
            "文件中没有表格。新银行的表格见 docs/howto/add-a-bank.md；其他情况请询问送文件的人。",
        )
    raise typer.Exit(1 if unclaimed else 0)


def _print_reading(format_: str, profile: str | None, encoding: str | None, lang: Language, *, accepted: bool) -> None:
    if format_ == "unknown":
        _say(lang, "No format and no profile reads this file.", "没有任何格式或版式能读取此文件。")
        return
    by, by_zh = (f"profile {profile}", f"版式 {profile}") if profile else ("no profile", "不用版式")
    _say(
        lang,
        f"Read as {format_} by {by}, encoding {encoding or '-'}: {'accepted' if accepted else 'REFUSED'}",
        f"按 {format_} 读取（{by_zh}），编码 {encoding or '-'}：{'通过' if accepted else '拒收'}",
    )


def _print_table(seen: Explanation, lang: Language) -> None:
    _say(
        lang,
        f"\nHeader in line {seen.header_line}; {seen.rows} rows below it were looked at; cells parted by {seen.delimiter!r}.",
        f"\n表头在第 {seen.header_line} 行；查看了其下 {seen.rows} 行；分隔符 {seen.delimiter!r}。",
    )
    for column in seen.columns:
        such_as, such_as_zh = (f", such as {column.sample}", f"，例如 {column.sample}") if column.sample else ("", "")
        _say(
            lang,
            f"  {column.header}: {column.field or 'not used'}; {column.filled} filled{such_as}",
            f"  {column.header}：{column.field or '未使用'}；{column.filled} 格有值{such_as_zh}",
        )
    for near in seen.nearest:
        _say(
            lang,
            f"\nProfile {near.profile} knows {near.known} of these columns.",
            f"\n版式 {near.profile} 认识其中 {near.known} 列。",
        )
        if near.missing:
            _say(lang, f"  it also needs: {', '.join(near.missing)}", f"  还需要：{'、'.join(near.missing)}")
        if near.unknown:
            _say(lang, f"  it does not know: {', '.join(near.unknown)}", f"  不认识：{'、'.join(near.unknown)}")
    if seen.proposal:
        _say(
            lang,
            "\nTo read it, write a profile (docs/howto/add-a-bank.md). A start, to be checked:\n",
            "\n如需读取，请编写版式（docs/howto/add-a-bank.md）。以下为初稿，请核对：\n",
        )
        typer.echo(seen.proposal)
