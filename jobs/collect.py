"""Receive what lies in the banks' drop folders: ``inbox/<BANK>/`` -> ``accepted/`` or ``refused/``, with a receipt beside it.

The bytes are committed before the file is moved, so a process killed in between finds the same bytes again, recognises
them, and only finishes the move: nothing is lost, nothing counts twice.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bank_adapters.detached import MOST_PROOF_BYTES, PROOF_ENDINGS, ProofKind
from bank_adapters.model import Severity
from jobs.directory import account_directory
from jobs.outbox import place_file
from jobs.receipts import receipt_text, unread_receipt
from jobs.settings import JobSettings
from reconciliation.model import Receipt
from reconciliation.receiving import receive_statement_file

#: A statement file larger than this is refused unread; banks' daily files are a thousandth of it.
LARGEST_STATEMENT_BYTES = 200_000_000

#: Endings of files still being written by the bank's transfer program.
UNFINISHED_ENDINGS = (".part", ".tmp", ".filepart")


#: The outcome of a file of which a statement was refused, or nothing could be read.
REFUSED = "refused"
#: Folders the program itself makes in a bank's inbox.
ANSWERS = "answers"
OWN_FOLDERS = ("accepted", "refused", ANSWERS)


def waiting_files(inbox: Path, bank_code: str) -> list[Path]:
    """Files the bank has finished delivering, by name. Links and folders are left alone; ``passed_over`` names them."""
    folder = inbox / bank_code
    if not folder.is_dir():
        return []
    found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    return sorted(
        path for path in found if not path.name.startswith(".") and not path.name.endswith((*UNFINISHED_ENDINGS, *PROOF_ENDINGS))
    )


def beside(path: Path) -> dict[str, Path]:
    """The digests, signature and manifest delivered with a file, by ending: ``FILE.csv.sig``; a manifest also as ``FILE.ok``."""
    found: dict[str, Path] = {}
    for ending, kind in PROOF_ENDINGS.items():
        names = [path.name + ending] + ([path.stem + ending] if kind is ProofKind.MANIFEST else [])
        for name in names:
            one = path.with_name(name)
            if ending not in found and one != path and one.is_file() and not one.is_symlink():
                found[ending] = one
    return found


def read_beside(found: Mapping[str, Path]) -> dict[str, bytes]:
    """The bytes of what lies beside a file, each bounded: what is longer proves nothing and is refused as unreadable."""
    contents = {}
    for ending, path in found.items():
        with path.open("rb") as stream:
            contents[ending] = stream.read(MOST_PROOF_BYTES)
    return contents


def _belongs_to_nothing(entry: Path) -> bool:
    """Whether a digest, signature or manifest lies without its file."""
    ending = next(ending for ending in PROOF_ENDINGS if entry.name.endswith(ending))
    base = entry.name.removesuffix(ending)
    if entry.with_name(base).is_file():
        return False
    named = (each for each in entry.parent.iterdir() if each.is_file() and not each.name.endswith(tuple(PROOF_ENDINGS)))
    return PROOF_ENDINGS[ending] is not ProofKind.MANIFEST or not any(each.stem == base for each in named)


def passed_over(inbox: Path, bank_codes: Collection[str]) -> list[str]:
    """What lies in the inbox and is not received, each with the reason and what to do: nothing is passed over silently."""
    found: list[str] = []
    if not inbox.is_dir():
        return found
    for entry in sorted(os.scandir(inbox), key=lambda one: one.name):
        name = shown_name(entry.name)
        if not entry.is_dir(follow_symlinks=False):
            found.append(f"{name}: lies in no bank's folder; move it into {inbox}/BANK/ ({', '.join(sorted(bank_codes))})")
        elif entry.name not in bank_codes:
            found.append(f"{name}/: no bank has this code; rename it to one of {', '.join(sorted(bank_codes))}")
        else:
            found += [
                f"{name}/{shown_name(each.name)}: {why}"
                for each in sorted(os.scandir(entry.path), key=lambda one: one.name)
                if (why := _why_not_received(each))
            ]
    return found


def _why_not_received(entry: os.DirEntry[str]) -> str:
    """Why a thing in a bank's own folder is not received; '' when it is, or is the program's own."""
    if entry.is_symlink():
        return "is a link; put the file itself there"
    if entry.is_dir():
        return "" if entry.name in OWN_FOLDERS else "is a folder; move the files in it up"
    if not entry.is_file():
        return "is not a regular file; remove it"
    if entry.name.endswith(tuple(PROOF_ENDINGS)):
        return "belongs to no file here; deliver its file, or remove it" if _belongs_to_nothing(Path(entry.path)) else ""
    if entry.name.endswith(UNFINISHED_ENDINGS):
        return "is still being written; it is received once it is renamed"
    if entry.name.startswith("."):
        return "is a hidden file; rename it if it is a statement"
    return ""


def shown_name(name: str) -> str:
    """A file name as text, also when its bytes are none."""
    return name.encode("utf-8", "backslashreplace").decode()


def collect_statements(connection: sa.Connection, as_of: date, settings: JobSettings, now: datetime) -> Mapping[str, Any]:  # noqa: ARG001 - a job's shape
    """Receive every waiting file of every bank; each file with its outcome, and what was passed over with the reason.

    Each file is received in a transaction of its own on a second connection: one bad file holds up nobody, and what is
    moved out of the inbox is certain to be stored.
    """
    files = []
    for bank_code in settings.banks:
        (settings.inbox / bank_code).mkdir(parents=True, exist_ok=True)  # where to drop files is there to be seen
    over = passed_over(settings.inbox, settings.banks)
    for bank_code in sorted(settings.banks):
        for path in waiting_files(settings.inbox, bank_code):
            name = f"{bank_code}/{shown_name(path.name)}"
            missing = settings.banks[bank_code].proofs.missing(dict.fromkeys(beside(path), b""))
            if missing:
                over.append(f"{name}: its {' and '.join(missing)} has not come; it is received once that lies beside it")
                continue
            try:
                outcome, reasons = _collect_one(connection.engine, path, bank_code, settings, now)
            except OSError as failure:
                over.append(f"{name}: {failure.strerror or failure}; give this user the right to read and move it, and run again")
                continue
            files.append({"file": name, "outcome": outcome, "reasons": list(reasons)})
    refused = sum(one["outcome"] == REFUSED for one in files)
    return {
        "files_accepted": len(files) - refused,
        "files_refused": refused,
        "files": files,
        "passed_over": over,
        "outstanding": bool(refused),
    }


def delivered_at(path: Path, now: datetime) -> datetime:
    """When the last of a file and what lies beside it was put there, by the system's own record (ctime), which no sender sets."""
    changed = max(one.stat().st_ctime for one in (path, *beside(path).values()))
    return min(now, datetime.fromtimestamp(changed, UTC))


def _outcome(receipt: Receipt) -> tuple[str, Sequence[str]]:
    """What became of a file in a word, and why where that needs saying."""
    if not receipt.statements:
        return REFUSED, [finding.message for finding in receipt.findings if finding.severity is Severity.ERROR]
    reasons = [
        f"{one.account or '?'} {one.business_date or '?'}: {reason.en}" for one in receipt.statements for reason in one.reasons
    ]
    outcomes = ", ".join(sorted({str(one.outcome) for one in receipt.statements}))
    return (REFUSED if receipt.refused else outcomes), reasons


def _collect_one(
    engine: sa.Engine, path: Path, bank_code: str, settings: JobSettings, now: datetime
) -> tuple[str, Sequence[str]]:
    size = path.stat().st_size
    if size > LARGEST_STATEMENT_BYTES:
        move_with_receipt(path, "refused", unread_receipt(shown_name(path.name), size, LARGEST_STATEMENT_BYTES))
        return REFUSED, [f"{size:,} bytes are more than a statement file may have; ask the bank for one file a day"]
    data = path.read_bytes()
    proofs = read_beside(beside(path))
    with engine.begin() as own:
        receipt = receive_statement_file(
            own,
            data,
            shown_name(path.name),
            sender_bank=bank_code,
            directory=account_directory(own),
            profiles=settings.profiles,
            now=now,
            actor=settings.actor,
            beside=proofs,
            demand=settings.banks[bank_code].proofs,
            delivered_at=delivered_at(path, now),
        )
    move_with_receipt(path, "refused" if receipt.refused else "accepted", receipt_text(receipt), receipt.sha256)
    return _outcome(receipt)


def move_with_receipt(path: Path, where: str, receipt: bytes, digest: str = "") -> None:
    """Put the receipt, and what lies beside the file, where the file goes, then move the file. A name taken by another file gets
    its digest added. Until the file itself is moved nothing is taken away, so a process killed in between begins again.
    """
    folder = path.parent / where
    folder.mkdir(exist_ok=True)
    name = path.name
    if (folder / name).exists():
        name = f"{path.stem}.{digest[:12] or path.stat().st_mtime_ns}{path.suffix}"
    (folder / f"{name}.receipt.json").unlink(missing_ok=True)
    place_file(folder, f"{name}.receipt.json", receipt)
    proofs = beside(path)
    for ending, one in proofs.items():
        (folder / f"{name}{ending}").unlink(missing_ok=True)
        place_file(folder, f"{name}{ending}", one.read_bytes())
    path.rename(folder / name)
    for one in proofs.values():
        one.unlink(missing_ok=True)
