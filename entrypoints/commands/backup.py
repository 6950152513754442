"""``escrow db backup`` and ``escrow db restore``: one file that holds the books, and books made from it that are proved first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from entrypoints.settings import Settings
    from supervision.rights import Principal

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
#: Exit code when what was restored does not verify.
DOES_NOT_VERIFY = 3


def add_backup(database: typer.Typer) -> None:
    """Add the commands to the database's commands."""
    database.command("backup", epilog="Example: [bold]escrow db backup --out books-2026-03-31.backup[/bold]")(backup_command)
    database.command("restore", epilog="Example: [bold]escrow --books restored db restore books-2026-03-31.backup[/bold]")(
        restore_command
    )


def backup_command(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write; must not exist.", dir_okay=False)],
    as_json: AsJson = False,
) -> None:
    """Write everything the books hold at this moment to one file, while others go on working.

    The file says what is in it (tables, rows, roots of the evidence, newest seal), and a changed byte anywhere in it is found.
    Keep the printed digest of the newest seal elsewhere: it tells one day that a restored book is the one backed up.
    """
    from entrypoints.acting import acting_principal
    from entrypoints.clock import utc_now
    from entrypoints.progress_bar import progress_bar
    from entrypoints.report_desk import record_export
    from entrypoints.settings import read_settings
    from migrations import runner
    from storage.backup import back_up
    from storage.backup_file import BackupRefused
    from storage.engine import open_engine

    settings = read_settings()
    principal, now = acting_principal(settings), utc_now()
    # Not only at head: the moment before an upgrade is when a backup is wanted.
    with open_engine(settings.database, make=False) as engine, progress_bar() as progress:
        with engine.connect() as connection:
            revision = runner.current_revision(connection)
        if revision is None:
            raise BackupRefused("there is nothing to back up: this database has no schema yet; run: escrow db upgrade")
        if not out.exists():
            record_export(engine, principal, now, "backup", {"file": str(out)})
        manifest = back_up(
            engine, out, revision=revision, made_at=now, made_by=principal.user, anchors=_anchors, progress=progress
        )
    if as_json:
        typer.echo(json.dumps({"file": str(out), "bytes": out.stat().st_size, **manifest}, ensure_ascii=False))
        return
    rows = sum(table["rows"] for table in manifest["tables"].values())
    typer.echo(f"{out}: {rows:,} rows of {len(manifest['tables'])} tables, {out.stat().st_size:,} bytes")
    typer.echo(f"newest seal: {_seal(manifest)}")
    typer.echo(f"try it: escrow --books restored db restore {out}")


def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.", exists=True, dir_okay=False)],
    expect_seal: Annotated[
        str | None,
        typer.Option("--expect-seal", metavar="DIGEST", help="Digest of the newest seal as kept elsewhere; refuse another one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make books of a backup where there are none, and prove them before they count.

    All or nothing: the file is checked byte by byte, loaded, compared with its manifest table by table, and everything
    escrow ledger verify looks at is verified; only then is it committed. Exit 3: it does not verify, and nothing was kept.
    """
    from entrypoints.acting import acting_principal
    from entrypoints.clock import utc_now
    from entrypoints.progress_bar import progress_bar
    from entrypoints.settings import read_settings
    from migrations import runner
    from storage.backup import read_backup, restore
    from storage.backup_file import BackupRefused

    settings = read_settings()
    principal, now = acting_principal(settings), utc_now()
    with progress_bar() as progress:
        manifest = read_backup(file, progress)
        seal = manifest["anchors"]["newest seal"]
        if expect_seal is not None and (seal is None or seal["digest"] != expect_seal.lower()):
            raise BackupRefused(f"the newest seal of {file} is {_seal(manifest)}, not {expect_seal}; it is another backup")
        revision, head = str(manifest["revision"]), runner.head_revision()
        if revision not in runner.known_revisions():
            raise BackupRefused(f"{file} is of revision {revision}, which this program does not know; use a newer program")
        faults: list[Any] = []
        with _books_for(settings) as engine:
            try:
                proof = _Proof(manifest, principal, now, head, faults)
                made = restore(engine, file, manifest, anchors=_anchors, prove=proof, progress=progress)
            except _DoesNotVerifyError:
                _tell_faults(faults)
                raise typer.Exit(DOES_NOT_VERIFY) from None
            if revision != head:
                with engine.connect() as connection:
                    runner.upgrade(connection)
                    connection.commit()
                    _require_verified(connection)
    if as_json:
        typer.echo(
            json.dumps(
                {"verified": True, "revision": head, "roles_made": list(made), **manifest}, ensure_ascii=False, default=str
            )
        )
        return
    rows = sum(table["rows"] for table in manifest["tables"].values())
    typer.echo(f"restored and verified: {rows:,} rows of {len(manifest['tables'])} tables, made {manifest['made_at']}")
    typer.echo(f"newest seal: {_seal(manifest)}; compare it with the digest on the newest daily certificate")
    typer.echo(_checkpoints(manifest))
    if made:
        typer.echo(f"roles made, login roles without a password: {', '.join(made)}")
    if revision != head:
        typer.echo(f"upgraded from {revision} to {head}, and verified again")


class _DoesNotVerifyError(Exception):
    """Ends the transaction of a restore whose books do not verify."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """Verifies what was loaded and writes down who loaded it, in the transaction of the restore."""

    manifest: dict[str, Any]
    principal: Principal
    now: datetime
    head: str
    faults: list[Any]

    def __call__(self, connection: Connection) -> None:
        from jobs.verifying import faults_in_books
        from storage import audit
        from storage.seal import verify_seals
        from storage.verification import rows_with_wrong_digest

        if self.manifest["revision"] == self.head:
            self.faults.extend(faults_in_books(connection))
        else:  # what can be asked of books of any revision; the rest is asked after the upgrade
            self.faults.extend([*rows_with_wrong_digest(connection), *verify_seals(connection), *audit.verify_chain(connection)])
        if self.faults:
            raise _DoesNotVerifyError
        audit.record(
            connection,
            now=self.now,
            actor=self.principal.user,
            role=self.principal.role,
            act="cli:backup:restored",
            object_kind="backup",
            object_id=self.manifest["dump_sha256"],
            details={"made_at": self.manifest["made_at"], "revision": self.manifest["revision"]},
        )


def _require_verified(connection: Connection) -> None:
    """Prove books of an older revision whole, now that they are at head; faults are named, the books stay to be looked at."""
    from jobs.verifying import faults_in_books

    faults = faults_in_books(connection)
    if not faults:
        return
    for fault in faults[:100]:
        typer.echo(f"{fault.table}: {fault.row}: {fault.what}")
    typer.echo(
        f"NOT VERIFIED: {len(faults)} faults after the upgrade; do not work with these books, compare with an older backup"
    )
    raise typer.Exit(DOES_NOT_VERIFY)


def _checkpoints(manifest: Mapping[str, Any]) -> str:
    newest = manifest["anchors"].get("newest checkpoint")
    if newest is None:
        return "checkpoints: none was signed yet"
    return (
        f"checkpoints: 1 to {newest['checkpoint_no']} continue each other and the books agree with them; root of the newest: "
        f"{newest['root']}; compare it with a pack or a counter-signature kept elsewhere"
    )


@contextmanager
def _books_for(settings: Settings) -> Iterator[Any]:
    """The database to restore into. An embedded one that did not exist is taken away again when the restore fails."""
    from storage.backup import BooksNotEmpty
    from storage.engine import drop_embedded_database, open_engine

    there = _exist(settings)
    try:
        with open_engine(settings.database, make=True) as engine:
            try:
                yield engine
            except BooksNotEmpty as refused:
                if settings.database_url:
                    where = "create an empty database and name it in ESCROW_DATABASE_URL"
                else:
                    where = "give the name of new ones: escrow --books restored db restore FILE"
                raise BooksNotEmpty(f"{refused}. A restore never overwrites; {where}") from None
    except BaseException:
        if not there:
            drop_embedded_database(settings.database)
        raise


def _exist(settings: Settings) -> bool:
    from storage.engine import open_engine
    from storage.errors import BooksNotThere

    try:
        with open_engine(settings.database, make=False):
            return True
    except BooksNotThere:
        return False


def _tell_faults(faults: list[Any]) -> None:
    for fault in faults[:100]:
        key = getattr(fault, "row", None) or getattr(fault, "key", "")
        typer.echo(f"{fault.table}: {key}: {fault.what}")
    typer.echo(f"NOT VERIFIED: {len(faults)} faults; nothing was restored. The books were like this when they were backed up: "
               "compare with an older backup and the evidence packs")  # fmt: skip


def _anchors(connection: Connection) -> dict[str, Any]:
    """The newest seal and the newest checkpoint, which certificates, evidence packs and counter-signers keep outside."""
    from sqlalchemy import text

    seal = connection.execute(text("SELECT seq, digest FROM public.evidence_seal ORDER BY seq DESC LIMIT 1")).one_or_none()
    found: dict[str, Any] = {"newest seal": seal and {"seq": seal.seq, "digest": bytes(seal.digest).hex()}}
    # Books of an older revision know no checkpoints yet.
    if connection.scalar(text("SELECT to_regclass('public.checkpoint')")) is not None:
        newest = text("SELECT checkpoint_no, tree_size, root FROM public.checkpoint ORDER BY checkpoint_no DESC LIMIT 1")
        one = connection.execute(newest).one_or_none()
        found["newest checkpoint"] = one and {
            "checkpoint_no": one.checkpoint_no,
            "tree_size": one.tree_size,
            "root": bytes(one.root).hex(),
        }
    return found


def _seal(manifest: Mapping[str, Any]) -> str:
    seal = manifest["anchors"]["newest seal"]
    return f"{seal['seq']}, digest {seal['digest']}" if seal else "none: nothing was sealed yet"
