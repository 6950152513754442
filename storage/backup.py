"""Backup and restore: one consistent copy of the books in a file, and books made from it that are proved before they count.

A backup is what one database snapshot holds: tables, triggers, policies and grants by ``pg_dump``, and beside it the roles those
grants name, the number of rows of every table, and for every table of evidence one root over all its row digests.

A restore is one transaction: roles, tables, rows, triggers, then the comparison with the manifest, then whatever proof
the caller wants, then COMMIT. However it ends before that, the database is as empty as it was.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

from storage import backup_roles
from storage.backup_file import BackupRefused, new_backup, open_dump, read_manifest
from storage.postgres_binaries import Binaries, find_binaries, server_user
from storage.roles import create_roles
from storage.schema_trap import FUNCTION as TRAP
from storage.schema_trap import set_trap
from storage.verification import evidence_tables

if TYPE_CHECKING:
    import psycopg


class BooksNotEmpty(BackupRefused):
    """There is something in the database that a restore would have to overwrite."""


FORMAT = "prepaid-escrow backup 1"
_PIECE = 1 << 20

#: Told of progress: what is being done, how much of it is done, and of how much (0: nobody knows).
Progress = Callable[[str, int, int], None]
#: What a stranger can compare with something kept elsewhere (newest seal, newest checkpoint), by name, in JSON's types.
Anchors = Callable[[Connection], Mapping[str, Any]]


def back_up(
    engine: Engine, path: Path, *, revision: str, made_at: datetime, made_by: str, anchors: Anchors, progress: Progress
) -> Mapping[str, Any]:
    """Write a backup of everything committed so far to ``path``; its manifest. Others may go on writing meanwhile.

    Raises BackupRefused: the file exists, no fitting pg_dump is there, or the server ended the work.
    """
    with new_backup(path) as backup, engine.connect() as opened:
        connection = opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        major = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10000
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "revision": revision,
            "made_at": made_at.isoformat(),
            "made_by": made_by,
            "database": engine.url.database,
            "server_major": major,
            "server_version": connection.exec_driver_sql("SHOW server_version").scalar_one(),
            "tables": table_contents(connection, progress),
            "anchors": dict(anchors(connection)),
            "owners": backup_roles.owners(connection),
            "roles": backup_roles.roles(connection),
            "database_grants": backup_roles.database_grants(connection),
            "settings": backup_roles.settings(connection),
        }
        _dump(engine, snapshot, _programs(major), _Listener(_sizes(connection), progress), backup.write)
        backup.finish(manifest)
        return manifest


def table_contents(connection: Connection, progress: Progress) -> dict[str, dict[str, Any]]:
    """Rows of every table of the books, and for evidence one root over all row digests, as a seal computes it."""
    names = connection.execute(
        text(
            """
            SELECT c.relname::text FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
            """
        )
    )
    tables = list(names.scalars())
    evidence = {table.name for table in evidence_tables(connection)}
    found: dict[str, dict[str, Any]] = {}
    for done, name in enumerate(tables, 1):
        if name in evidence:
            row = connection.execute(
                text(
                    f"""
                    SELECT coalesce(sum(n), 0), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY bucket), ''::bytea)) FROM (
                        SELECT get_byte(row_digest, 0) AS bucket, count(*) AS n,
                            sha256(string_agg(row_digest, ''::bytea ORDER BY row_digest)) AS digest
                        FROM public."{name}" GROUP BY 1
                    ) AS buckets
                    """
                )
            ).one()
            found[name] = {"rows": int(row[0]), "root": bytes(row[1]).hex()}
        else:
            found[name] = {"rows": connection.execute(text(f'SELECT count(*) FROM public."{name}"')).scalar_one(), "root": None}
        progress("counting", done, len(tables))
    return found


def read_backup(path: Path, progress: Progress) -> dict[str, Any]:
    """The manifest of a backup whose every byte is as it was written. Raises BackupRefused."""
    size, seen = path.stat().st_size, 0

    def told(count: int) -> None:
        nonlocal seen
        seen += count
        progress("checking the file", seen, size)

    manifest = read_manifest(path, told)
    if manifest.get("format") != FORMAT:
        raise BackupRefused(f"{path} is of format {manifest.get('format')!r}, this program reads {FORMAT!r}; use a newer program")
    return manifest


def restore(
    engine: Engine,
    path: Path,
    manifest: Mapping[str, Any],
    *,
    anchors: Anchors,
    prove: Callable[[Connection], None],
    progress: Progress,
) -> Sequence[str]:
    """Make books of a backup in an empty database: the names of roles made on the way.

    ``prove`` is called in the transaction of the restore, after what is there was found equal to the manifest; what it
    raises undoes everything. Raises BackupRefused, also when the database is not empty.
    """
    import psycopg

    with engine.connect() as connection:
        _require_empty(connection)
        major = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10000
        if major < manifest["server_major"]:
            raise BackupRefused(
                f"the backup was made on PostgreSQL {manifest['server_major']}, this server is {major}; use one as new as that"
            )
        programs = _programs(max(major, manifest["server_major"]))
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        try:
            create_roles(connection)
            made = backup_roles.make_missing_roles(driver, manifest["roles"])
            flags = ["--no-owner"] if len(manifest["owners"]) == 1 else []
            if not flags:
                backup_roles.let_owners_create(driver, manifest["owners"])
            progress("making tables", 0, 0)
            _run_script(driver, programs, path, ["--section=pre-data", *flags])
            _load_rows(driver, programs, path, sum(table["rows"] for table in manifest["tables"].values()), progress)
            progress("making indexes, keys and triggers", 0, 0)
            _run_script(driver, programs, path, ["--section=post-data", *flags])
            driver.execute("RESET ALL")
            backup_roles.grant_database(driver, manifest["database_grants"], manifest["settings"])
            progress("gathering statistics", 0, 0)
            driver.execute("ANALYZE")
            set_trap(connection)  # where the connected user may; the dump's own is left out
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            raise BackupRefused(f"the backup could not be loaded: {said}; nothing was changed") from error
        _require_equal(manifest, table_contents(connection, progress), anchors(connection))
        prove(connection)
        connection.commit()
        return made


def _require_empty(connection: Connection) -> None:
    # The lock a migration takes as well: neither runs beside a restore.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('alembic_version', 0))"))
    found = connection.execute(
        text(
            """
            SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            """
        )
    ).scalar_one()
    if found:
        raise BooksNotEmpty(f"these books are not empty: they hold {found} tables, views and sequences")


def _require_equal(manifest: Mapping[str, Any], tables: Mapping[str, Any], anchors: Mapping[str, Any]) -> None:
    for told, found, what in ((manifest["tables"], tables, "table"), (manifest["anchors"], anchors, "the")):
        for name in sorted(told.keys() | found.keys()):
            if told.get(name) != found.get(name):
                raise BackupRefused(
                    f"{what} {name} is not what the manifest says: {found.get(name)} instead of {told.get(name)}; "
                    "nothing was changed"
                )


def _programs(major: int) -> Binaries:
    """pg_dump and pg_restore at least as new as the server. Raises EmbeddedServerRefused, BackupRefused."""
    user = server_user()
    found = find_binaries(user)
    if found.major < major:
        found = find_binaries(user, major)
    if not found.program("pg_dump").exists() or not found.program("pg_restore").exists():
        raise BackupRefused(f"{found.folder} has no pg_dump and pg_restore; set PG_BIN to a folder that has them")
    return found


def _sizes(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        text(
            """
            SELECT format('%I.%I', n.nspname, c.relname), pg_table_size(c.oid) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind = 'r'
            """
        )
    )
    return {name: int(size) for name, size in rows}


_DUMPING = re.compile(r'dumping contents of table "([^"]+)"')


@dataclass(slots=True)
class _Listener:
    """Hears what pg_dump says of its progress, and keeps its last words."""

    sizes: Mapping[str, int]
    progress: Progress
    said: list[str] = field(default_factory=list)

    def listen(self, stderr: IO[bytes]) -> None:
        total, done, current = sum(self.sizes.values()), 0, 0
        for line in stderr:
            spoken = line.decode("utf-8", "replace").strip()
            self.said.append(spoken)
            del self.said[:-20]
            if found := _DUMPING.search(spoken):
                done, current = done + current, self.sizes.get(found[1], 0)
                self.progress("copying", done, total)
        self.progress("copying", total, total)

    @property
    def last_words(self) -> str:
        return " | ".join([line for line in self.said if "error" in line] or self.said[-3:])


def _dump(engine: Engine, snapshot: str, programs: Binaries, listener: _Listener, write: Callable[[bytes], None]) -> None:
    # The password goes through the environment: arguments can be read by every user of the machine.
    address = engine.url._replace(drivername="postgresql", password=None).render_as_string()
    secret = {"PGPASSWORD": str(engine.url.password)} if engine.url.password else {}
    command = [
        str(programs.program("pg_dump")), "--format=custom", "--verbose", "--no-password", f"--snapshot={snapshot}",
        "--lock-wait-timeout=60s", f"--dbname={address}",
    ]  # fmt: skip
    environment = {**os.environ, **secret, "LC_ALL": "C"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018  both are pipes
        ear = threading.Thread(target=listener.listen, args=(process.stderr,))
        ear.start()
        try:
            while piece := process.stdout.read(_PIECE):
                write(piece)
        except BaseException:
            process.kill()
            raise
        finally:
            ear.join()
    if process.returncode != 0:
        raise BackupRefused(f"pg_dump ended with {process.returncode}: {listener.last_words}; no backup was written")


def _restore_program(programs: Binaries, descriptor: int, stderr: IO[bytes], flags: Sequence[str]) -> subprocess.Popen[bytes]:
    # Where the other server kept a table (an old month on another disk) says nothing of this one.
    output = [] if "--list" in flags else ["--file=-", "--no-tablespaces"]
    command = [str(programs.program("pg_restore")), *output, *flags]
    return subprocess.Popen(command, stdin=descriptor, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, "LC_ALL": "C"})


def _lines(programs: Binaries, path: Path, flags: Sequence[str]) -> Iterator[bytes]:
    """What pg_restore prints of a part of the dump, line by line: SQL, or with ``--list`` the entries."""
    with open_dump(path) as descriptor, tempfile.TemporaryFile() as stderr:
        with _restore_program(programs, descriptor, stderr, flags) as process:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            try:
                yield from process.stdout
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            stderr.seek(0)
            said = " | ".join(stderr.read().decode("utf-8", "replace").strip().splitlines()[-3:])
            raise BackupRefused(f"pg_restore ended with {process.returncode}: {said}; nothing was changed")


def _is_for_psql(line: bytes) -> bool:
    r"""Lines that are not SQL (\restrict), and a setting servers before PostgreSQL 17 do not know."""
    return line.startswith((b"\\restrict", b"\\unrestrict", b"SET transaction_timeout"))


def _run_script(driver: psycopg.Connection[Any], programs: Binaries, path: Path, flags: Sequence[str]) -> None:
    """Run definitions in one go. None of them holds rows, so nothing needs to be told apart.

    The trap against changes of the schema is left out: it belongs to a superuser of the other server; one of this makes it.
    """
    entries = [
        line
        for line in _lines(programs, path, ["--list", *flags])
        if b" EVENT TRIGGER " not in line and TRAP.encode() not in line
    ]
    with tempfile.NamedTemporaryFile() as wanted:
        wanted.write(b"".join(entries))
        wanted.flush()
        script = _lines(programs, path, [f"--use-list={wanted.name}", *flags])
        driver.execute(b"".join(line for line in script if not _is_for_psql(line)))


def _load_rows(driver: psycopg.Connection[Any], programs: Binaries, path: Path, total: int, progress: Progress) -> None:
    """Rows by COPY, sequences by their statements: in this section a line outside COPY is a whole statement or a comment."""
    done = 0
    lines = _lines(programs, path, ["--section=data"])
    for line in lines:
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            with driver.cursor() as cursor, cursor.copy(line.rstrip(b";\n")) as copy:
                pending: list[bytes] = []
                size = 0
                for row in lines:
                    if row == b"\\.\n":
                        break
                    pending.append(row)
                    size += len(row)
                    done += 1
                    if size > _PIECE:
                        copy.write(b"".join(pending))
                        pending, size = [], 0
                        progress("loading rows", done, total)
                copy.write(b"".join(pending))
            progress("loading rows", done, total)
        elif line.strip() and not line.startswith(b"--") and not _is_for_psql(line):
            driver.execute(line)
