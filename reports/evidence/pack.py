"""An evidence pack: everything recorded about one custody account's institution through a checkpoint, and how it is proved.

The pack begins with the batch after the newest checkpoint before ``from`` and ends with the newest checkpoint through ``to``.
Transfers are those of that period; evidence of other tables is complete from the beginning, so that none can be left
out: each checkpoint signs how many rows of each table were recorded, and the digest of all their digests.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from config.loading import CONFIG_FOLDER
from escrow.institution import CustodyAccount
from ledger.checkpoints import StoredCheckpoint, checkpoints, entry_leaves, last_checkpoint
from ledger.evidence_keys import CheckpointRefused, recorded_keys
from ledger.recorded_rows import links_to_shared_tables
from ledger.signed_note import Note, PrivateKey
from ledger.tree import WholeTree
from money import exponent_of
from reports.evidence import verify
from reports.evidence.brought_forward import told_seals
from reports.evidence.pack_tables import STEPS_AFTER, Period, Progress, dump_tables
from reports.evidence.proofs import NothingToProve, hexes
from reports.evidence.sealed_zip import write_sealed_zip
from reports.evidence.tables import DumpedTable
from reports.evidence.workbook import write_workbook

_HERE = Path(__file__).parent

#: Run when a pack is given to Python as a program: ``python3 pack.zip``.
_MAIN = b"import sys\n\nfrom verify import main\n\nsys.exit(main())\n"


def _nobody_waits(_what: str, _done: int, _of: int) -> None:
    """Where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written. ``digest``: SHA-256 of all bytes before the seal, as the seal says."""

    path: Path
    digest: str
    transfers: int
    rows: int
    first: date
    closing: StoredCheckpoint
    size_bytes: int


def write_pack(
    conn: Connection,
    account: CustodyAccount,
    first: date,
    last: date,
    out: Path,
    *,
    key: PrivateKey,
    secret: bytes,
    personal: bool,
    progress: Progress = _nobody_waits,
) -> Packed:
    """Write the pack and seal it with the log's key. ``personal``: with names, accounts and the banks' files unmasked.

    ``progress`` is told what is being written, how many steps are done, and of how many.

    Raises NothingToProve without a checkpoint in the period, CheckpointRefused for another key or secret than the books'.
    """
    if all(one.key != key.public_key for one in recorded_keys(conn)):
        raise CheckpointRefused(f"the key of {key.name} is not recorded in these books; set ESCROW_KEYS to the folder of theirs")
    period = _period(conn, account.institution_id, first, last)
    with tempfile.TemporaryDirectory(prefix="escrow-pack-") as scratch:
        folder = Path(scratch)
        (folder / "tables").mkdir()
        tables = dump_tables(conn, account, period, folder / "tables", secret=secret, personal=personal, progress=progress)
        steps = len(tables) + STEPS_AFTER
        progress("proofs", len(tables), steps)
        members: dict[str, Path | bytes] = {f"tables/{name}.csv": table.path for name, table in tables.items()}
        members |= _statement_bytes(conn, account, period) if personal else {}
        members |= _proofs(conn, account.institution_id, period)
        members["seals.json"] = verify.canonical_json(told_seals(conn, period.closing.seal_seq)).encode()
        members |= _rules()
        members |= {"verify.py": _HERE / "verify.py", "README.txt": _HERE / "README.txt", "__main__.py": _MAIN}
        manifest = _manifest(conn, account, period, tables)
        progress("journals and workbook", len(tables) + 1, steps)
        members |= _books(folder, manifest)
        progress("sealing", len(tables) + 2, steps)
        manifest["members"] = {name: _digest(content) for name, content in sorted(members.items())}
        written = verify.canonical_json(manifest).encode()
        members["manifest.json"] = written

        def seal(content_digest: str) -> Note:
            said = (
                f"{verify.PACK_FORMAT}\naccount {account.account_number}\nfrom {first} to {last}\n"
                f"checkpoint {period.closing.checkpoint_no}\nmanifest {hashlib.sha256(written).hexdigest()}\n"
                f"content {content_digest}\n"
            )
            return Note(said, (key.sign(said),))

        digest = write_sealed_zip(out, members, seal)
    rows = sum(table.rows for table in tables.values())
    return Packed(out, digest, tables["transfer"].rows, rows, first, period.closing, out.stat().st_size)


def _period(conn: Connection, institution_id: int, first: date, last: date) -> Period:
    closing = last_checkpoint(conn, through=last)
    if closing is None or closing.business_date < first:
        raise NothingToProve(
            f"there is no checkpoint from {first} to {last}; a business day ends with one: escrow run-day DATE, and escrow "
            "evidence checkpoint list shows them"
        )
    before = [one for one in checkpoints(conn, through=last) if one.business_date < first]
    opening = before[-1] if before else None
    states = conn.execute(
        text("SELECT checkpoint_no, log_size FROM checkpoint_entry WHERE institution_id = :id AND custody_account_id IS NULL"),
        {"id": institution_id},
    )
    sizes = {row.checkpoint_no: row.log_size for row in states}
    if closing.checkpoint_no not in sizes:
        raise NothingToProve(f"the checkpoint of {closing.business_date} does not know this institution yet; pack a later day")
    return Period(
        first, last, opening, closing, sizes.get(opening.checkpoint_no, 0) if opening else 0, sizes[closing.checkpoint_no]
    )


def _statement_bytes(conn: Connection, account: CustodyAccount, period: Period) -> dict[str, Path | bytes]:
    """The banks' files as received, named by their SHA-256."""
    rows = conn.execute(
        text("""
            SELECT DISTINCT encode(f.sha256, 'hex') AS name, f.content
            FROM statement_file f
            WHERE f.content IS NOT NULL AND f.statement_file_id IN (
                SELECT statement_file_id FROM statement WHERE institution_id = :institution AND recorded_at < :cut
                UNION SELECT statement_file_id FROM discrepancy WHERE institution_id = :institution AND recorded_at < :cut)
        """),
        {"institution": account.institution_id, "cut": period.closing.cut},
    )
    return {f"statements/{row.name}": bytes(row.content) for row in rows}


def _proofs(conn: Connection, institution_id: int, period: Period) -> dict[str, Path | bytes]:
    """Every checkpoint through the closing one, the institution's entries in them, and how all lead to the closing root."""
    tree = WholeTree(entry_leaves(conn, period.closing.tree_size))
    points = checkpoints(conn, through=period.closing.business_date)
    points = [one for one in points if one.checkpoint_no <= period.closing.checkpoint_no]
    seals = conn.execute(
        text("SELECT seq, to_char(cut AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') AS cut FROM evidence_seal")
    )
    cuts = {row.seq: row.cut for row in seals}
    told, before = [], 0
    for one in points:
        told.append(
            {
                "checkpoint": one.checkpoint_no,
                "cut": cuts[one.seal_seq],
                "consistency": hexes(tree.consistency(before, one.tree_size)) if before else [],
            }
        )
        before = one.tree_size
    entries = [
        {"entry_no": number, "checkpoint": checkpoint, "body": body, "path": hexes(tree.inclusion(number))}
        for number, checkpoint, body in conn.execute(
            text("""
                SELECT entry_no, checkpoint_no, body FROM checkpoint_entry
                WHERE institution_id = :institution AND entry_no < :size ORDER BY entry_no
            """),
            {"institution": institution_id, "size": period.closing.tree_size},
        )
    ]
    keys = [
        {
            "key": str(one.key), "party": one.party, "valid_from": one.valid_from.isoformat(),
            "retired_on": one.retired_on.isoformat() if one.retired_on else None,
        }
        for one in recorded_keys(conn)
    ]  # fmt: skip
    notes: dict[str, Path | bytes] = {f"checkpoints/{one.checkpoint_no:06d}.note": str(one.whole_note).encode() for one in points}
    return notes | {
        "proofs.json": verify.canonical_json({"checkpoints": told, "entries": entries}).encode(),
        "keys.json": verify.canonical_json(keys).encode(),
    }


def _rules() -> dict[str, Path | bytes]:
    """The policies with their dates, the calendar and the matching rules, as the program reads them."""
    found: dict[str, Path | bytes] = {
        f"policies/{path.name}": path for path in sorted((CONFIG_FOLDER / "jurisdictions").glob("*.yaml"))
    }
    found |= {f"calendars/{path.name}": path for path in sorted((CONFIG_FOLDER / "calendars").glob("*.yaml"))}
    return found | {"matching_rules.yaml": CONFIG_FOLDER / "matching_rules.yaml"}


def _manifest(conn: Connection, account: CustodyAccount, period: Period, tables: Mapping[str, DumpedTable]) -> dict[str, Any]:
    currencies = conn.execute(
        text("SELECT DISTINCT currency FROM account WHERE institution_id = :id"), {"id": account.institution_id}
    ).scalars()
    digest = hashlib.sha256()
    for path in sorted((CONFIG_FOLDER / "jurisdictions").glob("*.yaml")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    rules = period.closing.note.text.splitlines()[5].split(" ")
    return {
        "format": verify.PACK_FORMAT,
        "encodings": {"transfer leaf": "v1", "batch leaf": "v1", "row digest": "v1", "entry": "v1", "liability": "v1"},
        "account": {
            "number": account.account_number, "bank": account.bank_code, "custody_account_id": account.custody_account_id,
        },
        "institution": {
            "institution_id": account.institution_id, "code": account.institution_code, "name": account.institution_name,
            "jurisdiction": account.jurisdiction_code,
        },
        "from": period.first.isoformat(), "to": period.last.isoformat(),
        "opening_checkpoint": period.opening.checkpoint_no if period.opening else None,
        "opening_batch": period.opening_batch,
        "closing_checkpoint": period.closing.checkpoint_no,
        "exponents": {currency: exponent_of(currency) for currency in sorted(currencies)},
        "links": [link for link in links_to_shared_tables(conn) if link[0] in tables],
        "policies_are_those_signed": f"policies-{digest.hexdigest()[:16]}" in rules,
        "tables": {name: table.told for name, table in sorted(tables.items())},
        "members": {},
    }  # fmt: skip


def _books(folder: Path, manifest: dict[str, Any]) -> dict[str, Path | bytes]:
    """Journals and workbook, written from the tables by the very functions the verifier compares them with."""
    replay = verify.Replay(_Unpacked(folder, manifest))
    replay.opening_batch = manifest["opening_batch"]
    replay.read_accounts()
    for account_id, (_, _, closing) in replay.said_balances.items():
        replay.accounts[account_id].balance = closing
    found: dict[str, Path | bytes] = {}
    for name, lines in (("books.journal", verify.hledger_lines), ("books.beancount", verify.beancount_lines)):
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines(replay.books(), replay.moves, manifest["exponents"]))
        found[name] = folder / name
    write_workbook(folder / "workbook.xlsx", verify.workbook_sheets(replay))
    return found | {"workbook.xlsx": folder / "workbook.xlsx"}


def other_verifier(path: Path) -> bool:
    """Whether a pack carries another verifier than this program's own."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "verify.py" in archive.namelist() and archive.read("verify.py") != (_HERE / "verify.py").read_bytes()


class _Unpacked(verify.Pack):
    """The tables of a pack that is being written."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        """``folder`` holds what will be the members; nothing is sealed yet, so nothing is checked."""
        self.folder, self.manifest = folder, manifest

    def lines(self, name: str) -> Any:
        return (self.folder / name).open(encoding="utf-8", newline="")


def _digest(content: Path | bytes) -> dict[str, Any]:
    if isinstance(content, bytes):
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    with content.open("rb") as stream:
        return {"sha256": hashlib.file_digest(stream, "sha256").hexdigest(), "bytes": content.stat().st_size}
