"""The tables of one evidence pack: which rows of which table belong to it, its balances and its liabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from escrow.institution import CustodyAccount
from ledger.checkpoint import LiabilitiesEntry, parse_entry
from ledger.checkpoints import StoredCheckpoint
from ledger.evidence_keys import CheckpointRefused
from ledger.liabilities import liabilities, liability_leaves
from ledger.model import Side
from ledger.recorded_rows import links_to_shared_tables
from ledger.sum_tree import sum_root
from reports.evidence.brought_forward import write_audit_chain, write_openings
from reports.evidence.tables import PACK_TABLES, DumpedTable, dump_table, existing_tables, write_table
from reports.plain_text import account_name

#: Told of progress: what is being written, how many steps are done, and of how many.
Progress = Callable[[str, int, int], None]

#: Steps after the tables: proofs, journals and workbook, the sealed file.
STEPS_AFTER = 3


@dataclass(frozen=True, slots=True)
class Period:
    """Which batches of the institution's log a pack covers: those after ``opening`` and through ``closing``."""

    first: date
    last: date
    opening: StoredCheckpoint | None
    closing: StoredCheckpoint
    opening_batch: int
    closing_batch: int


def dump_tables(
    conn: Connection,
    account: CustodyAccount,
    period: Period,
    folder: Path,
    *,
    secret: bytes,
    personal: bool,
    progress: Progress,
) -> dict[str, DumpedTable]:
    """Every table of the pack, written to ``folder``: name -> what was written. Raises CheckpointRefused for another secret."""
    institution, cut = account.institution_id, period.closing.cut.isoformat()
    about = f"institution_id = {institution} AND recorded_at < '{cut}'"
    found: dict[str, DumpedTable] = {}
    names = existing_tables(conn, PACK_TABLES)
    for name in names:
        progress(name, len(found), len(names) + STEPS_AFTER)
        found[name] = dump_table(conn, name, about, folder / f"{name}.csv", personal=personal)
    progress("transfer", len(found), len(names) + STEPS_AFTER)
    batches = f"institution_id = {institution} AND batch_id > {period.opening_batch} AND batch_id <= {period.closing_batch}"
    found["transfer"] = dump_table(conn, "transfer", batches, folder / "transfer.csv", personal=personal)
    for shared, condition in _shared(conn, set(found), about).items():
        found[shared] = dump_table(conn, shared, condition, folder / f"{shared}.csv", personal=personal)
    audited = _audited(account, about)
    found["audit_event"] = dump_table(conn, "audit_event", audited, folder / "audit_event.csv", personal=personal)
    progress("balances", len(names) + 1, len(names) + STEPS_AFTER)
    found["balances"], numbers = _balances(conn, period, institution, cut, folder / "balances.csv")
    if period.opening_batch:
        found["opening"] = write_openings(conn, institution, numbers, folder / "opening.csv")
    found["audit_chain"] = write_audit_chain(conn, period.closing.seal_seq, folder / "audit_chain.csv")
    found["liabilities"] = _liabilities(conn, account, period, folder / "liabilities.csv", secret)
    return found


def _shared(conn: Connection, own: set[str], about: str) -> dict[str, str]:
    """Which rows of tables shared by institutions this one's evidence refers to: table -> condition."""
    found: dict[str, str] = {}
    for table, column, shared, key in links_to_shared_tables(conn):
        if table in own:
            condition = f'"{key}" IN (SELECT "{column}" FROM "{table}" WHERE {about})'
            found[shared] = f"{found[shared]} OR {condition}" if shared in found else condition
    return found


def _audited(account: CustodyAccount, about: str) -> str:
    """Which events of the audit log are about the institution: its discrepancies, sign-offs, holds and packs."""
    accounts = f"SELECT {{}} FROM custody_account WHERE {about}"
    cut = about.partition(" AND ")[2]
    return f"""{cut} AND CASE object_kind
        WHEN 'discrepancy' THEN object_id IN (SELECT discrepancy_id FROM discrepancy WHERE {about})
        WHEN 'sign_off' THEN split_part(object_id, '/', 1) IN ({accounts.format("custody_account_id::text")})
        WHEN 'hold' THEN split_part(object_id, '/', 1) = '{account.institution_id}'
        WHEN 'custody_account' THEN object_id IN ({accounts.format("account_number")}) END"""


_BALANCES = """
    WITH leg AS (
        SELECT debit_account_id AS account_id, batch_id, amount_minor_units AS moved FROM transfer
        WHERE institution_id = :institution AND batch_id > :opening
        UNION ALL
        SELECT credit_account_id, batch_id, -amount_minor_units FROM transfer
        WHERE institution_id = :institution AND batch_id > :opening
    ), newer AS (
        SELECT account_id, count(*) AS all_postings, sum(moved) AS all_moved,
            count(*) FILTER (WHERE batch_id > :closing) AS later_postings,
            coalesce(sum(moved) FILTER (WHERE batch_id > :closing), 0) AS later_moved
        FROM leg GROUP BY account_id
    )
    SELECT a.account_id, a.normal_side, a.custody_account_id, a.kind, a.subject,
        b.last_seq - coalesce(n.all_postings, 0), b.balance_minor_units - coalesce(n.all_moved, 0),
        b.last_seq - coalesce(n.later_postings, 0), b.balance_minor_units - coalesce(n.later_moved, 0)
    FROM account a JOIN account_balance b USING (institution_id, account_id) LEFT JOIN newer n ON n.account_id = a.account_id
    WHERE a.institution_id = :institution AND a.recorded_at < CAST(:cut AS timestamptz) ORDER BY a.account_id
"""


def _balances(
    conn: Connection, period: Period, institution: int, cut: str, path: Path
) -> tuple[DumpedTable, list[tuple[int, int]]]:
    """Every account's name in the journals, its balance and number of postings at both ends of the period; then each account's
    number before it.
    """
    columns = ["account_id", "name", "opening_seq", "opening_minor_units", "closing_seq", "closing_minor_units"]
    rows = conn.execute(
        text(_BALANCES),
        {"institution": institution, "opening": period.opening_batch, "closing": period.closing_batch, "cut": cut},
    ).all()
    named = ((row[0], account_name(Side(row[1]), *row[2:5]), *row[5:]) for row in rows)
    return write_table(path, columns, named), [(row[0], row[5]) for row in rows]


def _liabilities(conn: Connection, account: CustodyAccount, period: Period, path: Path, secret: bytes) -> DumpedTable:
    """What the custody account owes to each, with the nonce of each leaf, in tree order. Raises CheckpointRefused."""
    columns = ["currency", "kind", "subject", "amount_minor_units", "nonce"]
    rows: list[tuple[Any, ...]] = []
    owed = liabilities(conn, account.institution_id, period.closing_batch, custody_account_id=account.custody_account_id)
    for body in conn.execute(
        text("SELECT body FROM checkpoint_entry WHERE checkpoint_no = :no AND custody_account_id = :custody ORDER BY entry_no"),
        {"no": period.closing.checkpoint_no, "custody": account.custody_account_id},
    ).scalars():
        entry = parse_entry(body)
        if not isinstance(entry, LiabilitiesEntry):
            continue
        theirs = owed.get((account.custody_account_id, entry.currency), [])
        leaves = liability_leaves(theirs, secret, account.custody_account_id, entry.log_size)
        if sum_root([leaf for leaf, _, _, _ in leaves]) != entry.root:
            raise CheckpointRefused(
                f"what custody account {account.account_number} owes does not follow from these books and this secret; run: "
                "escrow ledger verify, and set ESCROW_KEYS to the folder the checkpoint was made with"
            )
        rows += [(entry.currency, kind, subject, leaf.minor_units, nonce.hex()) for leaf, kind, subject, nonce in leaves]
    return write_table(path, columns, rows)
