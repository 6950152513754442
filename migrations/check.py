"""Does the migrated schema say what the code says? ``python -m migrations.check`` upgrades an empty database and compares."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Float, MetaData, Table, text

from migrations import runner
from migrations.schema import load_all_tables
from storage.append_only import append_only_tables
from storage.catalogue import expected, live_catalogue, live_partitions, schema_faults, write_expected
from storage.partition_catalogue import SAMPLE_MONTH, marked
from storage.verification import unprotected_tables


def differences(connection: Connection) -> list[str]:
    """Every way in which a database at head differs from the tables the code declares, one sentence each."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    metadata = load_all_tables()
    partitions = set(connection.scalars(text("SELECT relname::text FROM pg_class WHERE relispartition")))

    def is_whole(name: str | None, kind: str, _parents: object) -> bool:
        """A partition is compared with the others of its table, by ``storage.catalogue``."""
        return kind != "table" or name not in partitions

    def is_declared(thing: Any, _name: str | None, kind: str, reflected: bool, _other: object) -> bool:
        """A foreign key to a partitioned table is kept once more for each partition."""
        copied = reflected and kind == "foreign_key_constraint"
        return not copied or thing.elements[0].target_fullname.partition(".")[0] not in partitions

    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "target_metadata": metadata,
            "include_name": is_whole,
            "include_object": is_declared,
        },
    )
    found = [f"schema and code differ: {change}" for change in compare_metadata(context, metadata)]
    found += _constraint_differences(connection, metadata)
    found += unprotected_tables(connection, [table.name for table in append_only_tables(metadata)])
    found += _catalogue_differences(connection)
    for table in metadata.sorted_tables:
        if bool(table.info.get("append_only")) == bool(table.info.get("projection")):
            found.append(f"{table.name} must be either APPEND_ONLY or a projection(...) with its reason")
        if table.info.get("append_only"):
            found += _evidence_differences(table)
    return found


def _catalogue_differences(connection: Connection) -> list[str]:
    """What ``escrow ledger verify`` would find wrong with a schema made by the migrations as they are now."""
    advice = "run: python -m migrations.check --write, and read what changed in storage/catalogue.json"
    found = [f"{fault}; {advice}" for fault in schema_faults(connection)]
    if (measure := expected()).revision != runner.head_revision():
        found.append(f"storage/catalogue.json is of {measure.revision}, head is {runner.head_revision()}; {advice}")
    return found


def _evidence_differences(table: Table) -> list[str]:
    """What keeps an append-only table's rows from being digested as storage.append_only says."""
    own_digest = table.info.get("row_digest")
    wanted = {own_digest} if own_digest else {"row_digest", "recorded_at"}
    found = [f"{table.name} is append-only and has no column {name}" for name in sorted(wanted - set(table.columns.keys()))]
    for column in table.columns:
        if column.computed is not None:
            found.append(f"{table.name}.{column.name} is computed after its row's digest was stamped; compute it in a view")
        if isinstance(column.type, Float):
            found.append(f"{table.name}.{column.name} is a float, which has no one text form and no place near an amount")
    return found


def _constraint_differences(connection: Connection, metadata: MetaData) -> list[str]:
    """CHECK constraints by name and rule, which Alembic does not compare: a scratch copy made by the code is the measure."""
    question = text(
        """
        SELECT format('%s.%s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        WHERE c.relnamespace = to_regnamespace(:schema) AND k.contype IN ('c', 'u', 'p', 'f') AND k.conparentid = 0
            AND NOT c.relispartition
        """
    )
    migrated = set(connection.scalars(question, {"schema": "public"}))
    with connection.begin_nested() as scratch:
        connection.execute(text("CREATE SCHEMA as_declared"))
        connection.execute(text("SET LOCAL search_path = as_declared, public"))
        metadata.create_all(connection, checkfirst=False)
        declared = set(connection.scalars(question, {"schema": "as_declared"}))
        connection.execute(text("SET LOCAL search_path = public"))
        scratch.rollback()
    migrated = {line for line in migrated if not line.startswith("alembic_version.")}
    return [f"only the migrations have {line}" for line in sorted(migrated - declared)] + [
        f"only the code has {line}" for line in sorted(declared - migrated)
    ]


def _one_partition(connection: Connection) -> dict[str, dict[str, str]]:
    """By partitioned table: what one partition has, read from a month that is made for it and taken back."""
    with connection.begin_nested() as scratch:
        connection.execute(text("SELECT ledger_add_month(:month)"), {"month": SAMPLE_MONTH})
        found = {
            table: marked(name, objects)
            for table, partitions in live_partitions(connection).items()
            for name, objects in partitions.items()
        }
        scratch.rollback()
    return found


def main(write: bool = False) -> int:
    """Check a throw-away database, after writing ``storage/catalogue.json`` anew from it if so told; 0 when all agree."""
    from storage.engine import DatabaseSettings, open_engine

    with tempfile.TemporaryDirectory(prefix="escrow-migrations-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with open_engine(DatabaseSettings(Path(folder), durable=False)) as engine, engine.connect() as connection:
            runner.upgrade(connection)
            if write:
                write_expected(runner.head_revision(), live_catalogue(connection), _one_partition(connection))
                expected.cache_clear()
            found = differences(connection)
    for line in found:
        print(line)
    if not found:
        print(f"migrations: an empty database upgrades to {runner.head_revision()}, and head equals the code's tables")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(write="--write" in sys.argv[1:]))
