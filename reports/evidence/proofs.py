"""Small proofs that others check offline: an entry, a balance, a transfer, or two checkpoints of one log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from ledger.checkpoint import LiabilitiesEntry, parse_entry
from ledger.checkpoints import StoredCheckpoint, batch_leaves, entry_leaves, last_checkpoint
from ledger.evidence_keys import CheckpointRefused, recorded_keys
from ledger.liabilities import liabilities, liability_leaves
from ledger.sum_tree import sum_proof, sum_root
from ledger.tree import WholeTree
from reports.evidence.verify import BALANCE_PROOF, CONSISTENCY_PROOF, TRANSFER_PROOF, canonical_json

_DAY_ZERO = date(2000, 1, 1)

#: What leaf v1 covers, without the date.
_TRANSFER = """
    institution_id, transfer_id, batch_id, line, debit_account_id, credit_account_id, amount_minor_units, currency, reason,
    source_kind, source_ref, reverses, debit_seq, debit_balance_minor_units, credit_seq, credit_balance_minor_units
"""


class NothingToProve(LookupError):
    """What should be proved is not in the books, or not under a checkpoint yet."""


def hexes(hashes: Sequence[bytes]) -> list[str]:
    """Hashes as proofs show them."""
    return [one.hex() for one in hashes]


def balance_proof(conn: Connection, order_id: str, as_of: date, *, secret: bytes) -> str:
    """That the money held for an order is in its custody account's signed total, seen by nobody else. JSON.

    As of the newest checkpoint of business days through ``as_of``. Raises NothingToProve, or CheckpointRefused when the
    secret is not the one the checkpoint was made with.
    """
    point = checkpoint_through(conn, as_of)
    account = conn.execute(
        text("""
            SELECT institution_id, custody_account_id, currency FROM account
            WHERE kind = 'prepayment_held' AND subject = :order ORDER BY institution_id LIMIT 2
        """),
        {"order": order_id},
    ).all()
    if len(account) != 1:
        what = "is of several institutions" if account else "is not in these books"
        raise NothingToProve(f"order {order_id} {what}; check the number")
    ((institution_id, custody, currency),) = account
    number, body = liabilities_entry(conn, point, custody, currency)
    entry = parse_entry(body)
    if not isinstance(entry, LiabilitiesEntry):
        raise NothingToProve(f"checkpoint {point.checkpoint_no} states no liabilities of the account of order {order_id}")
    owed = liabilities(conn, institution_id, entry.log_size, custody_account_id=custody).get((custody, currency), [])
    leaves = liability_leaves(owed, secret, custody, entry.log_size)
    nodes = [leaf for leaf, _, _, _ in leaves]
    if sum_root(nodes) != entry.root:
        raise CheckpointRefused(
            f"the liabilities of checkpoint {point.checkpoint_no} do not follow from these books and this secret; run: escrow "
            "ledger verify, and set ESCROW_KEYS to the folder the checkpoint was made with"
        )
    index = next(
        (at for at, (_, kind, subject, _) in enumerate(leaves) if (kind, subject) == ("prepayment_held", order_id)), None
    )
    if index is None:
        raise NothingToProve(f"nothing is held for order {order_id} after the checkpoint of {point.business_date}")
    leaf, kind, subject, nonce = leaves[index]
    return canonical_json(
        {
            "format": BALANCE_PROOF,
            "kind": kind,
            "subject": subject,
            "amount_minor_units": leaf.minor_units,
            "currency": currency,
            "nonce": nonce.hex(),
            "index": index,
            "siblings": [[node.digest.hex(), node.minor_units] for node in sum_proof(nodes, index)],
            "entry": _entry(conn, point, number, body),
            "checkpoint": str(point.whole_note),
            "keys": [str(one.key) for one in recorded_keys(conn)],
        }
    )


def transfer_proof(conn: Connection, transfer_id: UUID, as_of: date) -> str:
    """That a transfer is in its institution's log under the newest checkpoint through ``as_of``. JSON. Raises NothingToProve."""
    point = checkpoint_through(conn, as_of)
    row = (
        conn.execute(text(f"SELECT {_TRANSFER}, booking_date FROM transfer WHERE transfer_id = :id"), {"id": transfer_id})
        .mappings()
        .first()
    )
    if row is None:
        raise NothingToProve(f"there is no transfer {transfer_id}; escrow ledger journal lists them")
    entry_row = conn.execute(
        text("""
            SELECT entry_no, body, log_size FROM checkpoint_entry
            WHERE institution_id = :institution AND checkpoint_no = :no AND custody_account_id IS NULL
        """),
        {"institution": row["institution_id"], "no": point.checkpoint_no},
    ).one_or_none()
    if entry_row is None or entry_row.log_size < row["batch_id"]:
        raise NothingToProve(
            f"transfer {transfer_id} is newer than the checkpoint of {point.business_date}; the next one covers it"
        )
    key = {"institution": row["institution_id"], "batch": row["batch_id"]}
    header = conn.execute(
        text("""
            SELECT transfer_count, total_minor_units, row_digest FROM posting_batch
            WHERE institution_id = :institution AND batch_id = :batch
        """),
        key,
    ).one()
    leaves = [
        bytes(leaf)
        for leaf in conn.execute(
            text("SELECT leaf FROM transfer WHERE institution_id = :institution AND batch_id = :batch ORDER BY line"), key
        ).scalars()
    ]
    log = WholeTree(list(batch_leaves(conn, row["institution_id"], through=entry_row.log_size)))
    told = {
        **{name: value for name, value in row.items() if name != "booking_date"},
        "transfer_id": str(row["transfer_id"]),
        "reverses": str(row["reverses"]) if row["reverses"] else None,
        "booking_day": (row["booking_date"] - _DAY_ZERO).days,
    }
    return canonical_json(
        {
            "format": TRANSFER_PROOF,
            "transfer": told,
            "batch_path": hexes(WholeTree(leaves).inclusion(row["line"] - 1)),
            "batch": {
                "batch_id": row["batch_id"],
                "transfer_count": header.transfer_count,
                "total_minor_units": header.total_minor_units,
                "row_digest": bytes(header.row_digest).hex(),
            },
            "log_path": hexes(log.inclusion(row["batch_id"] - 1)),
            "entry": _entry(conn, point, entry_row.entry_no, entry_row.body),
            "checkpoint": str(point.whole_note),
            "keys": [str(one.key) for one in recorded_keys(conn)],
        }
    )


def consistency_proof_between(conn: Connection, first: StoredCheckpoint, second: StoredCheckpoint) -> str:
    """That the later checkpoint's log begins with the earlier one's. JSON."""
    tree = WholeTree(entry_leaves(conn, second.tree_size))
    return canonical_json(
        {
            "format": CONSISTENCY_PROOF,
            "first": str(first.whole_note),
            "second": str(second.whole_note),
            "path": hexes(tree.consistency(first.tree_size)),
            "keys": [str(one.key) for one in recorded_keys(conn)],
        }
    )


def checkpoint_through(conn: Connection, as_of: date) -> StoredCheckpoint:
    """The newest checkpoint of business days through a day. Raises NothingToProve when there is none."""
    point = last_checkpoint(conn, through=as_of)
    if point is None:
        raise NothingToProve(f"there is no checkpoint of {as_of} or before; a business day ends with one: escrow run-day DATE")
    return point


def liabilities_entry(conn: Connection, point: StoredCheckpoint, custody_account_id: int, currency: str) -> tuple[int, str]:
    """Number and text of the entry that states what a custody account owes. Raises NothingToProve."""
    rows = conn.execute(
        text("""
            SELECT entry_no, body FROM checkpoint_entry
            WHERE checkpoint_no = :no AND custody_account_id = :custody AND body LIKE :currency ORDER BY entry_no
        """),
        {"no": point.checkpoint_no, "custody": custody_account_id, "currency": f"%\ncurrency {currency}\n%"},
    ).all()
    if not rows:
        raise NothingToProve(f"the checkpoint of {point.business_date} does not know custody account {custody_account_id} yet")
    return rows[0].entry_no, rows[0].body


def _entry(conn: Connection, point: StoredCheckpoint, entry_no: int, body: str) -> dict[str, Any]:
    path = WholeTree(entry_leaves(conn, point.tree_size)).inclusion(entry_no)
    return {"entry_no": entry_no, "body": body, "path": hexes(path)}
