"""The banks' drop folders: what lies in them, what lies beside a file, and how a file leaves, with its receipt.

``inbox/<BANK>/`` -> ``accepted/``, ``refused/``, or ``held/`` until people have decided. Files leave by an atomic rename,
after their receipt is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bank_adapters.archives import visible_name
from bank_adapters.detached import MOST_PROOF_BYTES, PROOF_ENDINGS, ProofKind
from jobs import wording as say
from jobs.outbox import place_file
from wording import Said

#: Endings of files still being written by the bank's transfer program.
UNFINISHED_ENDINGS = (".part", ".tmp", ".filepart")
#: What is put beside a file that was collected.
RECEIPT_ENDING = ".receipt.json"

#: Folders the program itself makes in a bank's inbox, and the outcome of the files that lie in them.
ACCEPTED = "accepted"
REFUSED = "refused"  # a statement was refused, or nothing could be read
HELD = "held"  # a statement is held back, and people have not decided
ANSWERS = "answers"
OWN_FOLDERS = (ACCEPTED, REFUSED, HELD, ANSWERS)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of a file in a word, and why in both languages where that needs saying."""

    outcome: str
    reasons: Sequence[str] = ()
    reasons_zh: Sequence[str] = ()


@dataclass(slots=True)
class Collected:
    """What collecting has come to: each file with its outcome, and what was passed over with the reason."""

    files: list[dict[str, Any]] = field(default_factory=list)
    passed_over: list[Said] = field(default_factory=list)

    def take(self, name: str, act: Callable[[], FileOutcome]) -> None:
        """Take in one file by ``act``; one that cannot be read or moved holds up nobody and is named."""
        try:
            told = act()
        except OSError as failure:
            self.passed_over.append(say.of_thing(name, say.cannot_be_read(failure.strerror or str(failure))))
            return
        self.files.append(
            {"file": name, "outcome": told.outcome, "reasons": list(told.reasons), "reasons_zh": list(told.reasons_zh)}
        )

    def count(self, outcome: str) -> int:
        """How many files had this outcome."""
        return sum(one["outcome"] == outcome for one in self.files)


def waiting_files(inbox: Path, bank_code: str) -> list[Path]:
    """Files the bank has finished delivering, by name. Links and folders are left alone; ``passed_over`` names them."""
    folder = inbox / bank_code
    if not folder.is_dir():
        return []
    found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    endings = (*UNFINISHED_ENDINGS, *PROOF_ENDINGS)
    return sorted(path for path in found if not path.name.startswith(".") and not path.name.endswith(endings))


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


def passed_over(inbox: Path, bank_codes: Collection[str]) -> list[Said]:
    """What lies in the inbox and is not received, each with the reason and what to do: nothing is passed over silently."""
    found: list[Said] = []
    if not inbox.is_dir():
        return found
    for entry in sorted(os.scandir(inbox), key=lambda one: one.name):
        name = shown_name(entry.name)
        if not entry.is_dir(follow_symlinks=False):
            found.append(say.in_no_banks_folder(name, inbox, bank_codes))
        elif entry.name not in bank_codes:
            found.append(say.no_such_bank(name, bank_codes))
        else:
            found += [
                say.of_thing(f"{name}/{shown_name(each.name)}", why)
                for each in sorted(os.scandir(entry.path), key=lambda one: one.name)
                if (why := _why_not_received(each))
            ]
    return found


def _why_not_received(entry: os.DirEntry[str]) -> Said | None:
    """Why a thing in a bank's own folder is not received; None when it is, or is the program's own."""
    if entry.is_symlink():
        return say.LINK
    if entry.is_dir():
        return None if entry.name in OWN_FOLDERS else say.FOLDER
    if not entry.is_file():
        return say.NOT_REGULAR
    if entry.name.endswith(tuple(PROOF_ENDINGS)):
        return say.PROOF_ALONE if _belongs_to_nothing(Path(entry.path)) else None
    if entry.name.endswith(UNFINISHED_ENDINGS):
        return say.UNFINISHED
    return say.HIDDEN if entry.name.startswith(".") else None


def shown_name(name: str) -> str:
    """A file name as text, also when its bytes are none or it holds what nobody sees."""
    return visible_name(name)


def move_with_receipt(path: Path, folder: Path, receipt: bytes, digest: str = "") -> None:
    """Put the receipt, and what lies beside the file, where the file goes, then move the file. A name taken by another file gets
    its digest added. Until the file itself is moved nothing is taken away, so a process killed in between begins again.
    """
    folder.mkdir(exist_ok=True)
    name = path.name
    if (folder / name).exists():
        name = f"{path.stem}.{digest[:12] or path.stat().st_mtime_ns}{path.suffix}"
    (folder / f"{name}{RECEIPT_ENDING}").unlink(missing_ok=True)
    place_file(folder, f"{name}{RECEIPT_ENDING}", receipt)
    proofs = beside(path)
    for ending, one in proofs.items():
        (folder / f"{name}{ending}").unlink(missing_ok=True)
        place_file(folder, f"{name}{ending}", one.read_bytes())
    path.rename(folder / name)
    for one in proofs.values():
        one.unlink(missing_ok=True)
