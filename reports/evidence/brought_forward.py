"""What a pack shows of what it leaves out: balances brought forward, each with its proof, and events of the audit log as digests.

A pack of later days holds no transfers of the days before. What an account held then stands in its last posting before, a
transfer whose leaf is in a batch of the signed log; and no posting is left out when the accounts' numbers of postings add up to
two for each transfer of those batches.

The audit log tells of everybody. A pack holds the events about its institution, and of all others the digests: seal by seal they
are as many as were sealed and lead to the root that was, and each checkpoint signs its seal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from ledger.tree import WholeTree
from reports.evidence.tables import DumpedTable, write_table
from storage.seal import SealMember, instant_text, seal_digest

_LEAF = (
    "batch_id", "line", "transfer_id", "debit_account_id", "credit_account_id", "amount_minor_units", "currency", "booking_day",
    "reason", "source_kind", "source_ref", "reverses", "debit_seq", "debit_balance_minor_units", "credit_seq",
    "credit_balance_minor_units",
)  # fmt: skip

_LAST_POSTINGS = """
    SELECT w.account_id, t.batch_id, t.line, t.transfer_id::text, t.debit_account_id, t.credit_account_id, t.amount_minor_units,
        t.currency, t.booking_date - date '2000-01-01' AS booking_day, t.reason, t.source_kind, t.source_ref,
        coalesce(t.reverses::text, '-') AS reverses, t.debit_seq, t.debit_balance_minor_units, t.credit_seq,
        t.credit_balance_minor_units
    FROM unnest(CAST(:accounts AS bigint[]), CAST(:numbers AS bigint[])) AS w (account_id, number)
    JOIN transfer t ON t.institution_id = :institution AND t.{side}_account_id = w.account_id AND t.{side}_seq = w.number
"""
_LEAVES = """
    SELECT batch_id, leaf FROM transfer WHERE institution_id = :institution AND batch_id = ANY (:batches) ORDER BY batch_id, line
"""
#: Batches whose leaves are asked for at once.
_TOGETHER = 500


def write_openings(conn: Connection, institution: int, numbers: Sequence[tuple[int, int]], out: Path) -> DumpedTable:
    """Of each account with postings before the period (account, their number): the last of them, and its path in its batch."""
    posted = [(account, number) for account, number in numbers if number]
    given = {"institution": institution, "accounts": [one for one, _ in posted], "numbers": [one for _, one in posted]}
    found: list[Any] = []
    for side in ("debit", "credit"):
        found += conn.execute(text(_LAST_POSTINGS.format(side=side)), given).all()
    found.sort(key=lambda row: (row.batch_id, row.line, row.account_id))
    return write_table(out, ["account_id", *_LEAF, "path"], _with_paths(conn, institution, found))


def _with_paths(conn: Connection, institution: int, found: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    batches = sorted({row.batch_id for row in found})
    rows = iter(groupby(found, key=lambda row: row.batch_id))
    for start in range(0, len(batches), _TOGETHER):
        given = {"institution": institution, "batches": batches[start : start + _TOGETHER]}
        for batch, leaves in groupby(conn.execute(text(_LEAVES), given), key=lambda row: row.batch_id):
            tree = WholeTree([bytes(one.leaf) for one in leaves])
            asked, here = next(rows)
            if asked != batch:
                raise LookupError(f"batch {asked} of institution {institution} has no transfers; run: escrow ledger verify")
            for row in here:
                path = " ".join(one.hex() for one in tree.inclusion(row.line - 1))
                yield (*row, path)


def write_audit_chain(conn: Connection, last_seal: int, out: Path) -> DumpedTable:
    """The digest of every event of the audit log through a seal, with the seal that covers it; of no event its content."""
    rows = conn.execute(
        text("""
            SELECT a.seq, (SELECT min(s.seq) FROM evidence_seal s WHERE s.cut > a.recorded_at) AS seal,
                encode(a.row_digest, 'hex')
            FROM audit_event a WHERE a.recorded_at < (SELECT cut FROM evidence_seal WHERE seq = :seal) ORDER BY a.seq
        """),
        {"seal": last_seal},
    )
    return write_table(out, ["seq", "seal", "digest"], (tuple(row) for row in rows))


def told_seals(conn: Connection, last_seal: int) -> list[dict[str, Any]]:
    """Every seal through one, as its digest is made: instants, the seal before, rows and root of each table."""
    members: dict[int, dict[str, SealMember]] = {}
    given = {"seal": last_seal}
    rows = conn.execute(text("SELECT seq, table_name, row_count, root FROM evidence_seal_member WHERE seq <= :seal"), given)
    for row in rows:
        members.setdefault(row.seq, {})[row.table_name] = SealMember(row.row_count, bytes(row.root))
    told = []
    for seal in conn.execute(
        text("SELECT seq, sealed_at, cut, previous_digest, digest FROM evidence_seal WHERE seq <= :seal ORDER BY seq"),
        {"seal": last_seal},
    ):
        own = members.get(seal.seq, {})
        second = seal_digest(seal.seq, seal.sealed_at, seal.cut, bytes(seal.previous_digest), own) == bytes(seal.digest)
        told.append(
            {
                "seal": seal.seq,
                "sealed_at": instant_text(seal.sealed_at) if second else None,  # seals of version 1 do not cover it
                "cut": instant_text(seal.cut),
                "tables": {table: [one.row_count, one.root.hex()] for table, one in sorted(own.items())},
            }
        )
    return told
