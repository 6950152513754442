"""Everything the books can prove about themselves: the one list of checks that commands, jobs and the demonstration ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import sqlalchemy as sa

import escrow.tables
import escrow.verification
import ledger.checkpoint_verification
import ledger.verification
import reconciliation.discrepancy_tables
import reconciliation.overlap_tables
import reconciliation.quarantine_tables
import reconciliation.tables
import reconciliation.verification
import reconciliation.version_tables
import storage.tables
from ledger.model import Fault
from storage.append_only import append_only_tables
from storage.audit import verify_chain
from storage.catalogue import schema_faults
from storage.kept_settings import kept_settings_at_fault
from storage.metadata import metadata
from storage.program_login import login_at_fault
from storage.roles import roles_at_fault
from storage.seal import verify_seals
from storage.verification import WrongRow, rows_with_wrong_digest, rows_without_parents, unprotected_tables


def _named(found: Sequence[WrongRow]) -> list[Fault]:
    return [Fault(wrong.table, wrong.key, wrong.what) for wrong in found]


def _unprotected(connection: sa.Connection) -> list[Fault]:
    return [Fault("pg_trigger", sentence.split(maxsplit=1)[0], sentence) for sentence in unprotected_tables(connection)]


def _schema(connection: sa.Connection) -> list[Fault]:
    found = [Fault(f"schema: {fault.kind}", fault.name, fault.what) for fault in schema_faults(connection)]
    powers = roles_at_fault(connection) + login_at_fault(connection)
    found += [Fault("schema: role", said.split(maxsplit=1)[0], said) for said in powers]
    return found + [Fault("schema: setting", said.partition(" keeps ")[0], said) for said in kept_settings_at_fault(connection)]


#: What is checked besides the ledger's own questions (``ledger.verification.examine``), by name, in order.
CHECKS: Mapping[str, Callable[[sa.Connection], Sequence[Fault]]] = {
    "digest of every row of evidence": lambda connection: _named(rows_with_wrong_digest(connection)),
    "every reference leads to a row": lambda connection: _named(rows_without_parents(connection)),
    "evidence is protected from change": _unprotected,
    "every table, rule and guard is as the migrations made it": _schema,
    "seals over all evidence": lambda connection: _named(verify_seals(connection)),
    "checkpoints": ledger.checkpoint_verification.verify,
    "chain of the audit log": lambda connection: _named(verify_chain(connection)),
    "escrow": escrow.verification.verify,
    "reconciliation": reconciliation.verification.verify,
}


def facts_looked_at(connection: sa.Connection) -> dict[str, int]:
    """How many facts each of CHECKS looks at, by name: rows of evidence, or tables where it asks about those."""
    evidence = append_only_tables(metadata)
    rows = {table.name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()) for table in evidence}

    def of(*modules: ModuleType) -> int:
        own = {table.name for module in modules for table in vars(module).values() if isinstance(table, sa.Table)}
        return sum(count for name, count in rows.items() if name in own)

    everything = sum(rows.values())
    known = {
        "digest of every row of evidence": everything,
        "evidence is protected from change": len(evidence),
        "seals over all evidence": everything,
        "chain of the audit log": of(storage.tables),
        "escrow": of(escrow.tables),
        "reconciliation": of(
            reconciliation.tables,
            reconciliation.discrepancy_tables,
            reconciliation.quarantine_tables,
            reconciliation.version_tables,
            reconciliation.overlap_tables,
        ),
    }
    return {name: known.get(name, len(metadata.tables)) for name in CHECKS}


def faults_in_books(connection: sa.Connection) -> list[Fault]:
    """Every fact that does not agree with the rest of the evidence, named by table and row; empty when the books verify."""
    found = list(ledger.verification.verify(connection))
    for check in CHECKS.values():
        found += check(connection)
    return found
