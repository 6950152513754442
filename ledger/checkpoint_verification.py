"""Do the signed checkpoints still tell of these books? Everything below each signature is derived again.

A past that was rewritten with all its digests (transfers, leaves, batch roots, row digests, even the seals) contradicts the
checkpoints signed before: the key that could sign others is not in the database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from sqlalchemy import Connection, text

from ledger.checkpoint import (
    LIABILITY_KINDS,
    EntryRefused,
    InstitutionEntry,
    LiabilitiesEntry,
    TableRows,
    entry_leaf,
    parse_checkpoint,
    parse_entry,
)
from ledger.checkpoints import StoredCheckpoint, batch_leaves, checkpoints
from ledger.evidence_keys import recorded_keys
from ledger.liabilities import liabilities, liability_leaves
from ledger.model import Fault
from ledger.recorded_rows import rows_recorded
from ledger.signed_note import ED25519, NoteRefused, check_signature
from ledger.sum_tree import sum_root
from ledger.tree import Frontier, ProofRefused


def verify(conn: Connection, *, secret: bytes | None = None) -> list[Fault]:
    """Every way in which the books contradict a checkpoint, in the order of checkpoints.

    With the ``secret`` that blinds liabilities the newest sum tree of each custody account is built again leaf by leaf;
    without it their totals are derived from the journal, and the trees' roots are taken as signed.
    """
    stored = checkpoints(conn)
    if not stored:
        return []
    entries = _entries(conn)
    found = _wrong_signatures(conn, stored) + _wrong_log(stored, entries)
    states = [(no, entry) for no, _, entry in entries if isinstance(entry, InstitutionEntry)]
    owed = [(no, entry) for no, _, entry in entries if isinstance(entry, LiabilitiesEntry)]
    found += _wrong_institution_logs(conn, states)
    found += _wrong_rows(conn, stored, states)
    found += _wrong_totals(conn, owed)
    if secret is not None:
        found += _wrong_sum_trees(conn, [each for each in owed if each[0] == stored[-1].checkpoint_no], secret)
    return found


Numbered = tuple[int, str, InstitutionEntry | LiabilitiesEntry | None]


def _fault(checkpoint_no: int, what: str) -> Fault:
    return Fault("checkpoint", f"checkpoint_no={checkpoint_no}", what)


def _entries(conn: Connection) -> list[Numbered]:
    """Every entry in log order: (checkpoint, its text, what it says or None)."""
    found: list[Numbered] = []
    for number, body in conn.execute(text("SELECT checkpoint_no, body FROM checkpoint_entry ORDER BY entry_no")):
        try:
            found.append((number, body, parse_entry(body)))
        except (EntryRefused, ProofRefused):
            found.append((number, body, None))
    return found


def _wrong_signatures(conn: Connection, stored: Sequence[StoredCheckpoint]) -> list[Fault]:
    keys = recorded_keys(conn)
    seals = {seq: bytes(digest) for seq, digest in conn.execute(text("SELECT seq, digest FROM evidence_seal"))}
    found = []
    for one in stored:
        for number, signature in enumerate((*one.note.signatures, *one.cosignatures)):
            by = next((key for key in keys if signature.is_by(key.key)), None)
            try:
                if by is None:
                    found.append(_fault(one.checkpoint_no, f"it is signed by {signature.name}, a key nobody recorded"))
                    continue
                check_signature(one.note.text, signature, by.key)
            except NoteRefused as refused:
                found.append(_fault(one.checkpoint_no, str(refused)))
                continue
            if not by.valid_on(one.business_date):
                found.append(_fault(one.checkpoint_no, f"the key {signature.name} did not sign for {one.business_date}"))
            if number == 0 and by.key.kind != ED25519:
                found.append(_fault(one.checkpoint_no, "it bears no signature of the log itself"))
        try:
            said = parse_checkpoint(one.note.text)
        except EntryRefused as refused:
            found.append(_fault(one.checkpoint_no, str(refused)))
            continue
        if (said.tree_size, said.root, said.business_date, said.seal_seq) != (
            one.tree_size, one.root, one.business_date, one.seal_seq,
        ):  # fmt: skip
            found.append(_fault(one.checkpoint_no, "its columns are not what its note says"))
        if seals.get(one.seal_seq) != said.seal_digest:
            found.append(_fault(one.checkpoint_no, f"seal {one.seal_seq} has another digest than was signed"))
    return found


def _wrong_log(stored: Sequence[StoredCheckpoint], entries: Sequence[Numbered]) -> list[Fault]:
    """Checkpoints whose entries do not lead to the signed root; the numbers must follow each other."""
    found: list[Fault] = []
    log, before = Frontier(), 0
    for one in stored:
        if one.checkpoint_no != before + 1:
            found.append(_fault(one.checkpoint_no, f"checkpoint {before + 1} before it was removed"))
        own = entries[log.size : one.tree_size]
        log.extend(entry_leaf(body) for _, body, _ in own)
        if log.size != one.tree_size or log.root() != one.root or any(number != one.checkpoint_no for number, _, _ in own):
            found.append(_fault(one.checkpoint_no, "its entries are not those that were signed"))
            break
        if log.to_bytes() != one.frontier:
            found.append(_fault(one.checkpoint_no, "its frontier is not that of its entries"))
        found += [_fault(one.checkpoint_no, "an entry is not in its canonical form") for _, _, entry in own if entry is None]
        before = one.checkpoint_no
    else:
        if len(entries) > log.size:
            found.append(Fault("checkpoint_entry", f"entry_no={log.size}", "no checkpoint signs it"))
    return found


def _wrong_institution_logs(conn: Connection, states: Iterable[tuple[int, InstitutionEntry]]) -> list[Fault]:
    """Institutions whose batches are not those whose log was signed."""
    by_institution: dict[int, list[tuple[int, InstitutionEntry]]] = defaultdict(list)
    for number, entry in states:
        by_institution[entry.institution_id].append((number, entry))
    found = []
    for institution_id, signed in sorted(by_institution.items()):
        log = Frontier()
        for number, entry in signed:
            if entry.log_size < log.size:
                found.append(_fault(number, f"the log of institution {institution_id} became shorter"))
                break
            log.extend(batch_leaves(conn, institution_id, after=log.size, through=entry.log_size))
            if log.size != entry.log_size:
                missing = entry.log_size - log.size
                found.append(
                    _fault(number, f"{missing} of {entry.log_size} signed batches of institution {institution_id} are gone")
                )
                break
            if log.root() != entry.log_root:
                found.append(
                    _fault(number, f"the {log.size} batches of institution {institution_id} are not those whose root was signed")
                )
                break
    return found


def _wrong_rows(
    conn: Connection, stored: Sequence[StoredCheckpoint], states: Iterable[tuple[int, InstitutionEntry]]
) -> list[Fault]:
    """Evidence about institutions that is not what was signed, table by table."""
    actual = rows_recorded(conn, [one.cut for one in stored])
    window = {one.checkpoint_no: position for position, one in enumerate(stored)}
    found = []
    for number, entry in states:
        is_now = actual.pop((window.get(number, -1), entry.institution_id), {})
        for table in sorted({*entry.tables, *is_now}):
            signed, now = entry.tables.get(table), is_now.get(table)
            if signed != now:
                found.append(_fault(number, _other_rows(table, entry.institution_id, signed, now)))
    for (position, institution_id), tables in sorted(actual.items()):
        if position < len(stored):
            names = ", ".join(sorted(tables))
            found.append(
                _fault(
                    stored[position].checkpoint_no, f"it does not know institution {institution_id}, which has rows in {names}"
                )
            )
    return found


def _other_rows(table: str, institution_id: int, signed: TableRows | None, now: TableRows | None) -> str:
    before, after = signed.row_count if signed else 0, now.row_count if now else 0
    what = f"{table} of institution {institution_id}: "
    if before == after:
        return f"{what}a row among {before} signed ones changed"
    return f"{what}{before} rows were signed, {after} are there"


def _wrong_totals(conn: Connection, owed: Iterable[tuple[int, LiabilitiesEntry]]) -> list[Fault]:
    """Liabilities whose signed total does not follow from the journal: sums of all postings through the signed batch."""
    moved = conn.execute(
        text("""
            SELECT t.institution_id, a.custody_account_id, a.currency, t.batch_id, sum(t.owed)::bigint
            FROM (
                SELECT institution_id, batch_id, credit_account_id AS account_id, amount_minor_units AS owed FROM transfer
                UNION ALL
                SELECT institution_id, batch_id, debit_account_id, -amount_minor_units FROM transfer
            ) AS t
            JOIN account a ON a.institution_id = t.institution_id AND a.account_id = t.account_id
            WHERE a.kind = ANY(:kinds) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        """),
        {"kinds": list(LIABILITY_KINDS)},
    )
    by_account: dict[tuple[int, int, str], list[tuple[int, int]]] = defaultdict(list)
    for institution_id, custody, currency, batch_id, amount in moved:
        by_account[institution_id, custody, currency].append((batch_id, amount))
    running = {
        account: list(zip((batch for batch, _ in steps), accumulate(amount for _, amount in steps), strict=True))
        for account, steps in by_account.items()
    }
    found = []
    for number, entry in owed:
        steps = running.get((entry.institution_id, entry.custody_account_id, entry.currency), [])
        total = next((sum_ for batch, sum_ in reversed(steps) if batch <= entry.log_size), 0)
        if total != entry.root.minor_units:
            found.append(
                _fault(
                    number,
                    f"custody account {entry.custody_account_id} owed {entry.root.minor_units} minor units when it was signed; "
                    f"its postings through batch {entry.log_size} now sum to {total}",
                )
            )
    return found


def _wrong_sum_trees(conn: Connection, owed: Iterable[tuple[int, LiabilitiesEntry]], secret: bytes) -> list[Fault]:
    found = []
    for number, entry in owed:
        per_account = liabilities(conn, entry.institution_id, entry.log_size, custody_account_id=entry.custody_account_id)
        theirs = per_account.get((entry.custody_account_id, entry.currency), [])
        leaves = liability_leaves(theirs, secret, entry.custody_account_id, entry.log_size)
        if sum_root([leaf for leaf, _, _, _ in leaves]) != entry.root or len(leaves) != entry.account_count:
            found.append(
                _fault(
                    number,
                    f"what custody account {entry.custody_account_id} owes to each is not what was signed, "
                    "or the secret is another",
                )
            )
    return found
