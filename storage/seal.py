"""Seals: fixed points over all evidence, so that a row changed, removed or slipped in later shows.

A seal covers, for each append-only table, the rows recorded since the seal before (``previous cut <= recorded_at <
cut``): their number and one root over their digests. Seals are chained. Whoever keeps a seal's digest outside this
database (printed on a daily certificate) can tell even when the whole tail of the chain was rewritten.

Root of a set of rows: SHA-256 over the concatenated bucket digests, where a bucket is all row digests that share their
first byte, in order, and its digest is SHA-256 over them concatenated; empty buckets are left out. (One concatenation
of everything would end at 1 GB.)
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from storage import audit
from storage.errors import StorageRefused
from storage.verification import WrongRow, evidence_tables

FIRST_PREVIOUS_DIGEST = bytes(32)
_LOCK_NOT_AVAILABLE = "55P03"


#: The act under which the making of a seal stands in the audit log.
SEALED = "storage:seal:made"


class SealRefused(StorageRefused):
    """Evidence could not be sealed now."""


@dataclass(frozen=True, slots=True)
class SealMember:
    """What a seal says about one table: how many rows it covers and their root."""

    row_count: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """One fixed point. ``cut`` is the database's own clock; ``digest`` is what to keep outside."""

    seq: int
    cut: datetime
    previous_digest: bytes
    members: Mapping[str, SealMember]
    digest: bytes


def seal_digest(
    seq: int, sealed_at: datetime | None, cut: datetime, previous_digest: bytes, members: Mapping[str, SealMember]
) -> bytes:
    """The digest of a seal, as anyone can recompute it: lines of text, tables by name, then SHA-256.

    Version 2 covers ``sealed_at``; without it this is version 1, by which the first seals were made.
    """
    lines = [
        *([f"v1 seal {seq}"] if sealed_at is None else [f"v2 seal {seq}", f"sealed_at {instant_text(sealed_at)}"]),
        f"cut {instant_text(cut)}",
        f"previous {previous_digest.hex()}",
    ]
    lines += [f"{table} {member.row_count} {member.root.hex()}" for table, member in sorted(members.items())]
    return hashlib.sha256("\n".join(lines).encode()).digest()


def instant_text(moment: datetime) -> str:
    """An instant as a seal's digest writes it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def seal_evidence(connection: Connection, now: datetime, *, patience_seconds: float = 60.0, actor: str = "system") -> Seal:
    """Seal everything recorded since the last seal, in the surrounding transaction.

    Writers wait while it counts. Its making stands in the audit log, so that the newest seal is missed too.
    Raises SealRefused when other sessions' unfinished writes do not end in time.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('evidence_seal', 0))"))
    tables = [table.name for table in evidence_tables(connection)]
    _wait_for_writers(connection, tables, patience_seconds)
    last = connection.execute(text("SELECT seq, cut, digest FROM evidence_seal ORDER BY seq DESC LIMIT 1")).one_or_none()
    seq, previous_cut, previous = (last.seq + 1, last.cut, bytes(last.digest)) if last else (1, None, FIRST_PREVIOUS_DIGEST)
    cut = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    if previous_cut is not None and cut <= previous_cut:
        raise SealRefused(
            f"the server's clock ({cut}) is not past the last seal's cut ({previous_cut}); set the clock and try again"
        )
    members = {}
    for table in tables:
        rows = connection.execute(
            text(
                f"""
                SELECT sum(n), sha256(coalesce(string_agg(digest, ''::bytea ORDER BY bucket), ''::bytea)) FROM (
                    SELECT get_byte(row_digest, 0) AS bucket, count(*) AS n,
                           sha256(string_agg(row_digest, ''::bytea ORDER BY row_digest)) AS digest
                    FROM "{table}"
                    WHERE recorded_at < :cut AND recorded_at >= coalesce(CAST(:previous AS timestamptz), '-infinity')
                    GROUP BY 1
                ) AS buckets
                """
            ),
            {"cut": cut, "previous": previous_cut},
        ).one()
        members[table] = SealMember(int(rows[0] or 0), bytes(rows[1]))
    digest = seal_digest(seq, now, cut, previous, members)
    connection.execute(
        text(
            "INSERT INTO evidence_seal (seq, sealed_at, cut, previous_digest, digest) "
            "VALUES (:seq, :now, :cut, :previous, :digest)"
        ),
        {"seq": seq, "now": now, "cut": cut, "previous": previous, "digest": digest},
    )
    connection.execute(
        text("INSERT INTO evidence_seal_member (seq, table_name, row_count, root) VALUES (:seq, :table, :n, :root)"),
        [{"seq": seq, "table": name, "n": member.row_count, "root": member.root} for name, member in members.items()],
    )
    audit.record(
        connection,
        now=now,
        actor=actor,
        role="system",
        act=SEALED,
        object_kind="evidence_seal",
        object_id=str(seq),
        details={"digest": digest.hex()},
    )
    return Seal(seq, cut, previous, members, digest)


def _wait_for_writers(connection: Connection, tables: list[str], patience_seconds: float) -> None:
    """Lock every table against writers, all or none: waiting with half of them held could deadlock with a writer."""
    deadline = time.monotonic() + patience_seconds
    while True:
        attempt = connection.begin_nested()
        try:
            connection.execute(text("SELECT lock_evidence(:tables)"), {"tables": tables})
        except OperationalError as error:
            attempt.rollback()
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if time.monotonic() > deadline:
                raise SealRefused(
                    f"other sessions have been writing evidence for {patience_seconds:.0f} s without finishing; "
                    "try again when they have"
                ) from error
            time.sleep(0.05)
        else:
            attempt.commit()
            return


def verify_seals(connection: Connection) -> list[WrongRow]:
    """Every seal that does not hold: its chain, its own digest, or the rows it covers. One pass over each table."""
    seals = connection.execute(text("SELECT seq, sealed_at, cut, previous_digest, digest FROM evidence_seal ORDER BY seq")).all()
    witnessed = _seals_without_their_traces(connection)
    if not seals:
        return witnessed
    members: dict[int, dict[str, SealMember]] = {}
    for row in connection.execute(text("SELECT seq, table_name, row_count, root FROM evidence_seal_member")):
        members.setdefault(row.seq, {})[row.table_name] = SealMember(row.row_count, bytes(row.root))
    found = witnessed
    before_seq, before_digest = 0, FIRST_PREVIOUS_DIGEST
    oldest_version = 1  # a seal of version 1 never follows one of version 2
    for seal in seals:
        if seal.seq != before_seq + 1:
            found.append(WrongRow("evidence_seal", f"seq={seal.seq}", f"seal {before_seq + 1} before it was removed"))
        elif bytes(seal.previous_digest) != before_digest:
            found.append(WrongRow("evidence_seal", f"seq={seal.seq}", "it does not follow from the seal before it"))
        parts = (seal.cut, bytes(seal.previous_digest), members.get(seal.seq, {}))
        if seal_digest(seal.seq, seal.sealed_at, *parts) == bytes(seal.digest):
            oldest_version = 2
        elif oldest_version == 2 or seal_digest(seal.seq, None, *parts) != bytes(seal.digest):
            found.append(WrongRow("evidence_seal", f"seq={seal.seq}", "it or its members were changed"))
        before_seq, before_digest = seal.seq, bytes(seal.digest)
    cuts = [seal.cut for seal in seals]
    present = {table.name for table in evidence_tables(connection)}
    sealed = {name for tables in members.values() for name in tables}
    found += [WrongRow(name, "whole table", "it is sealed, and it is gone") for name in sorted(sealed - present)]
    for table in sorted(present):
        actual = {
            seals[position].seq: SealMember(int(count), bytes(root))
            for position, count, root in connection.execute(
                text(
                    f"""
                    SELECT position, sum(n), sha256(string_agg(digest, ''::bytea ORDER BY bucket)) FROM (
                        SELECT width_bucket(recorded_at, CAST(:cuts AS timestamptz[])) AS position,
                               get_byte(row_digest, 0) AS bucket, count(*) AS n,
                               sha256(string_agg(row_digest, ''::bytea ORDER BY row_digest)) AS digest
                        FROM "{table}" WHERE recorded_at < :last
                        GROUP BY 1, 2
                    ) AS buckets GROUP BY position
                    """
                ),
                {"cuts": cuts, "last": cuts[-1]},
            )
        }
        nothing = SealMember(0, hashlib.sha256().digest())
        for seal in seals:
            expected = members.get(seal.seq, {}).get(table, nothing)
            is_now = actual.get(seal.seq, nothing)
            if is_now != expected:
                found.append(WrongRow(table, f"rows of seal {seal.seq}", _what_happened(expected, is_now)))
    return found


def _seals_without_their_traces(connection: Connection) -> list[WrongRow]:
    """Seals whose removal leaves a trace: members nobody sealed, and seals the audit log tells of that are gone or other.

    The newest seal has no successor to miss it; the audit event of its making, itself in a chain, does.
    """
    orphans = connection.execute(
        text(
            """
            SELECT m.seq, count(*) FROM evidence_seal_member m LEFT JOIN evidence_seal s USING (seq)
            WHERE s.seq IS NULL GROUP BY m.seq ORDER BY m.seq
            """
        )
    )
    found = [WrongRow("evidence_seal", f"seq={seq}", f"it is gone; {count} of its members are left") for seq, count in orphans]
    told = connection.execute(
        text(
            """
            SELECT a.object_id, s.seq FROM audit_event a
            LEFT JOIN evidence_seal s ON s.seq::text = a.object_id AND encode(s.digest, 'hex') = a.details->>'digest'
            WHERE a.act = :act AND s.seq IS NULL ORDER BY a.seq
            """
        ),
        {"act": SEALED},
    )
    return found + [
        WrongRow("evidence_seal", f"seq={seq}", "the audit log tells of it, but it is gone or another") for seq, _ in told
    ]


def _what_happened(expected: SealMember, is_now: SealMember) -> str:
    if is_now.row_count < expected.row_count:
        return f"{expected.row_count - is_now.row_count} of {expected.row_count} sealed rows removed"
    if is_now.row_count > expected.row_count:
        return f"{is_now.row_count - expected.row_count} rows added to {expected.row_count} sealed ones"
    return f"a row among {expected.row_count} sealed ones changed"
