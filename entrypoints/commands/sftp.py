"""``escrow sftp``: the server at which banks deliver and fetch files, and the keys they log in with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from entrypoints.commands.reading import Lang, Language

if TYPE_CHECKING:
    from entrypoints.settings import Settings

sftp_app = typer.Typer(
    name="sftp",
    help="The server at which banks deliver files and fetch receipts and instructions; each sees its own folders only.",
    no_args_is_help=True,
)

_Bank = Annotated[str, typer.Option("--bank", metavar="BANK", help="The bank's code (config/banks.yaml).")]


def register(app: typer.Typer) -> None:
    """Add ``sftp`` to the program."""
    app.add_typer(sftp_app)


@sftp_app.command("serve", epilog="Example: escrow sftp serve --host 0.0.0.0 --port 2222")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 2222,
    host_key: Annotated[
        Path | None, typer.Option("--host-key", metavar="FILE", help="The server's private key (else made in the key folder).")
    ] = None,
    idle_seconds: Annotated[int, typer.Option(min=10, max=3600, help="End a connection after so long without a request.")] = 300,
) -> None:
    """Serve the banks' drop folders until stopped (Ctrl-C or SIGTERM; uploads at work may end first).

    A bank logs in as its code with a public key (escrow sftp add-key); there are no passwords. It writes to /incoming and
    /answers and reads /accepted, /refused, /held and /outbox. What it delivers is taken in by escrow run-day or the scheduler.
    """
    import asyncio
    import signal
    import time
    from dataclasses import replace

    from config.banks import load_banks
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from entrypoints.sftp.connection import Desk
    from entrypoints.sftp.folders import BankFolders
    from entrypoints.sftp.keys import HOST_KEY_FILE
    from entrypoints.sftp.keys import host_key as read_host_key
    from entrypoints.sftp.limits import FailedLogins, Limits
    from entrypoints.sftp.server import serve as serve_desk
    from entrypoints.sftp.trail import Trail
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.RUN_JOB)
    key = read_host_key(host_key or settings.keys / HOST_KEY_FILE)
    limits = replace(Limits(), idle_seconds=float(idle_seconds))
    books = settings.data_folder / settings.books

    def ready(taken: int) -> None:
        typer.echo(f"serving banks by SFTP at {host} port {taken}, host key {key.get_fingerprint()}; stop with Ctrl-C")

    async def until_stopped(desk: Desk) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve_desk(desk, host, port, [key], stop=stop, ready=ready)

    with open_books(settings) as engine:
        desk = Desk(
            {code: BankFolders(code, books / "inbox", books / "outbox", limits) for code in load_banks()},
            _keys_folder(settings),
            limits,
            Trail(engine, utc_now),
            FailedLogins(limits, time.monotonic),
        )
        asyncio.run(until_stopped(desk))
    typer.echo("stopped; nothing half delivered is left")


@sftp_app.command("add-key", epilog="Example: escrow --as platform sftp add-key --bank NRB nrb-2026.pub")
def add_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The bank's public key in OpenSSH form (one line).")],
    bank: _Bank,
    lang: Lang = Language.EN,
) -> None:
    """Let a bank log in with one more public key; holds from the next login on, the server need not be restarted.

    Compare the fingerprint with the bank's by another way than the one the key came. To change a key, add the new one, let the
    bank use it, then take the old one away with escrow sftp remove-key.
    """
    from entrypoints.sftp.keys import add_key as add

    settings = _settings_of_the_operator(bank)
    new = add(_keys_folder(settings), bank, file.read_text(encoding="utf-8", errors="replace"))
    _remember(settings, bank, "key:added", new.fingerprint)
    made = f"{bank} 可使用此公钥登录：{new.fingerprint}" if lang is Language.ZH else f"{bank} may log in with {new.fingerprint}"
    typer.echo(made)


@sftp_app.command("remove-key", epilog="Example: escrow --as platform sftp remove-key --bank NRB SHA256:jq0...")
def remove_key(
    fingerprint: Annotated[str, typer.Argument(metavar="FINGERPRINT", help="As escrow sftp keys shows it.")],
    bank: _Bank,
    lang: Lang = Language.EN,
) -> None:
    """Take a key of a bank away; nobody logs in with it any more. Connections that are open stay until they end."""
    from entrypoints.sftp.keys import remove_key as remove

    settings = _settings_of_the_operator(bank)
    remove(_keys_folder(settings), bank, fingerprint)
    _remember(settings, bank, "key:removed", fingerprint)
    gone = (
        f"{bank} 不能再使用此公钥登录：{fingerprint}"
        if lang is Language.ZH
        else f"{bank} can no longer log in with {fingerprint}"
    )
    typer.echo(gone)


@sftp_app.command("keys", epilog="Example: escrow sftp keys --json")
def keys(
    lang: Lang = Language.EN, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False
) -> None:
    """Show with which keys each bank may log in. Exit 1 when a file of keys cannot be used."""
    from config.banks import load_banks
    from entrypoints.settings import read_settings
    from entrypoints.sftp.keys import KeyRefused, keys_of

    folder = _keys_folder(read_settings())
    found: list[dict[str, str]] = []
    wrong: list[str] = []
    for code in load_banks():
        try:
            found += [{"bank": code, "fingerprint": one.fingerprint, "remark": one.remark} for one in keys_of(folder, code)]
        except KeyRefused as problem:
            wrong.append(str(problem))
    if as_json:
        typer.echo(json.dumps({"keys": found, "wrong": wrong}, ensure_ascii=False, indent=2))
    else:
        for one in found:
            typer.echo(f"{one['bank']}  {one['fingerprint']}  {one['remark']}".rstrip())
        if not found:
            command = "escrow --as platform sftp add-key --bank BANK FILE"
            typer.echo(
                f"尚无银行可登录；添加公钥：{command}"
                if lang is Language.ZH
                else f"no bank can log in yet; give one a key: {command}"
            )
        for why in wrong:
            typer.echo(f"error: {why}", err=True)
    if wrong:
        raise typer.Exit(1)


def _keys_folder(settings: Settings) -> Path:
    return settings.data_folder / settings.books / "sftp" / "authorized_keys"


def _settings_of_the_operator(bank: str) -> Settings:
    from config.banks import load_banks
    from entrypoints.acting import acting_principal
    from entrypoints.settings import read_settings
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.CONFIGURE)
    known = load_banks()
    if bank not in known:
        raise LookupError(f"no bank has the code {bank}; known are {', '.join(known)}")
    return settings


def _remember(settings: Settings, bank: str, act: str, fingerprint: str) -> None:
    """Write into the audit log who changed the keys of a bank."""
    from entrypoints.acting import acting_principal
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from storage import audit

    principal = acting_principal(settings)
    with open_books(settings) as engine, engine.begin() as connection:
        audit.record(
            connection, now=utc_now(), actor=principal.user, role=principal.role, act=f"sftp:{act}", object_kind="bank",
            object_id=bank, details={"key": fingerprint},
        )  # fmt: skip
