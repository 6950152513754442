"""``escrow ledger archive|archives``: closed months of the journal as files that prove themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrypoints.commands.period import AsJson, Month

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ledger.archive import Archive

#: Exit code when an archive is not what was recorded.
DOES_NOT_VERIFY = 3


def add_archive(ledger_app: typer.Typer) -> None:
    """Add the commands to the ledger's commands."""
    ledger_app.command("archive", epilog="Example: escrow --as zhang.prepare ledger archive 2025-03 --out journal-2025-03.jsonl")(
        archive_command
    )
    ledger_app.command("archives", epilog="Example: escrow ledger archives --check /archive")(archives_command)


def archive_command(
    month: Month,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write; must not exist.", dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Write a closed month of the whole journal to a file, prove it there, and record its digest.

    The month must be closed at every institution that booked in it, and wholly under a signed checkpoint. It stays in the books,
    which refer to its transfers for ever. Anybody checks the file without them: escrow evidence verify FILE --key log.pub
    """
    from entrypoints.acting import acting_principal, institutions_in_scope, whole_books_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.settings import read_settings
    from jobs.archiving import archive_month
    from ledger.archive import ArchiveRefused
    from ledger.checkpoints import last_checkpoint
    from storage.roles import become_poster
    from supervision.rights import NotAllowed, Right
    from wording import Said

    settings, now = read_settings(), utc_now()
    principal = acting_principal(settings, Right.CLOSE_PERIOD)
    with open_books(settings, session=whole_books_session()) as engine, engine.begin() as connection:
        if institutions_in_scope(connection, principal) is not None:
            raise NotAllowed(
                Said(
                    f"{principal.user} supervises a part of the institutions; an archive holds the month of all of them",
                    f"{principal.user} 只监管部分机构，而归档包含全部机构的当月账目",
                )
            )
        point = last_checkpoint(connection)
        if point is None:
            raise ArchiveRefused("there is no checkpoint yet; a business day ends with one: escrow run-day DATE")
        become_poster(connection)
        archive = archive_month(connection, month, point, out, now=now, actor=principal.user, role=principal.role)
    if as_json:
        typer.echo(json.dumps(_as_json(archive), ensure_ascii=False))
        return
    typer.echo(
        f"{out}: {archive.transfer_count:,} transfers of {month:%Y-%m}, {archive.file_bytes:,} bytes, edition {archive.edition}"
    )
    typer.echo(f"proved under checkpoint {archive.checkpoint_no}; SHA-256 {archive.file_sha256.hex()}")
    typer.echo(f"check it anywhere: escrow evidence verify {out} --key log.pub")


def archives_command(
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FOLDER", help="Prove the newest file of each month, which lies there.", file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The archived months. With --check, exit 3 when a file is missing, changed or proves something else."""
    from entrypoints.acting import acting_principal, whole_books_session
    from entrypoints.bootstrap import open_books
    from entrypoints.settings import read_settings
    from ledger.archive import archives
    from supervision.rights import Right

    settings = read_settings()
    acting_principal(settings, Right.READ_LEDGER)
    with open_books(settings, session=whole_books_session()) as engine, engine.connect() as connection:
        found = archives(connection)
        newest = {one.month: one for one in found}
        said = {month: _check(connection, one, check) for month, one in newest.items()} if check else {}
    if as_json:
        rows = [_as_json(one) | ({"check": said[one.month]} if said and newest[one.month] is one else {}) for one in found]
        typer.echo(json.dumps({"archives": rows}, ensure_ascii=False))
    else:
        for one in found:
            state = f"{one.later:,} transfers booked since: archive it again" if one.later else ""
            if said and newest[one.month] is one:
                state = "; ".join(part for part in (said[one.month], state) if part)
            told = f"{one.month:%Y-%m}  edition {one.edition}  {one.transfer_count:>10,} transfers  {one.file_name}"
            typer.echo(f"{told}  {state}".rstrip())
        if not found:
            typer.echo("no month is archived; the first: escrow ledger archive MONTH --out FILE")
    if any(verdict != "proved" for verdict in said.values()):
        raise typer.Exit(DOES_NOT_VERIFY)


def _check(connection: Connection, archive: Archive, folder: Path) -> str:
    """Whether the file of an archive lies in the folder, byte by byte as recorded, and proves what was recorded."""
    import hashlib

    from ledger.evidence_keys import recorded_keys
    from reports.evidence.verify import Broken, Key, verify_file

    file = folder / archive.file_name
    if not file.is_file():
        return f"{file} is missing; bring it back from where archives are kept, or archive the month again"
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").digest() != archive.file_sha256:
            return f"{file} was changed: its SHA-256 is not the one recorded; keep it as it is and bring back the right one"
    try:
        proved = verify_file(str(file), [Key(str(one.key)) for one in recorded_keys(connection)])
    except Broken as broken:
        return f"{file} does not prove itself: {broken}"
    right = (f"{archive.month:%Y-%m}", archive.transfer_count, archive.leaves.hex())
    return (
        "proved"
        if (proved["month"], proved["transfers"], proved["leaves"]) == right
        else f"{file} is the archive of something else"
    )


def _as_json(archive: Archive) -> dict[str, Any]:
    return {
        "month": f"{archive.month:%Y-%m}",
        "edition": archive.edition,
        "checkpoint": archive.checkpoint_no,
        "transfers": archive.transfer_count,
        "leaves": archive.leaves.hex(),
        "file": archive.file_name,
        "sha256": archive.file_sha256.hex(),
        "bytes": archive.file_bytes,
        "booked_since": archive.later,
        "actor": archive.actor,
    }
