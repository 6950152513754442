"""What a bank sees: its own drop folders under names of their own. Pure paths and names; files are opened in ``files``.

/incoming   statement files and their proofs: write            inbox/<BANK>/
/accepted   what was taken, each with its receipt: read        inbox/<BANK>/accepted/
/refused    what was not, each with its receipt: read          inbox/<BANK>/refused/
/held       what people still decide about, with its receipt: read          inbox/<BANK>/held/
/answers    answers to instructions: write; below it accepted and refused: read
/outbox     instruction files to fetch: read                   outbox/<BANK>/
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from bank_adapters.detached import PROOF_ENDINGS
from entrypoints.sftp.limits import Limits
from jobs.drop_folder import ACCEPTED, ANSWERS, HELD, OWN_FOLDERS, RECEIPT_ENDING, REFUSED, UNFINISHED_ENDINGS

#: Room for the endings the program adds: a digest, ``.receipt.json``, the name of an upload at work.
MOST_NAME_BYTES = 180


class Use(Enum):
    """What a bank may do with the files of a folder."""

    DELIVER = auto()
    READ = auto()


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder a bank sees: where it lies, what for, and how large a delivered file may be."""

    shown: str
    path: Path
    use: Use
    largest: int = 0
    folders: tuple[str, ...] = ()  # folders shown inside it


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a bank, understood: the root (no folder), a folder (no name), or a file in a folder."""

    folder: Folder | None
    name: str = ""


class NoSuchPlace(Exception):
    """The path leads nowhere a bank can see."""


class NameRefused(ValueError):
    """A file may not be delivered under this name; the message says why."""


class BankFolders:
    """The folders of one bank."""

    def __init__(self, bank_code: str, inbox: Path, outbox: Path, limits: Limits) -> None:
        own = inbox / bank_code
        self.bank_code = bank_code
        self.limits = limits
        self.folders: Mapping[str, Folder] = {
            one.shown: one
            for one in (
                Folder("/incoming", own, Use.DELIVER, limits.statement_bytes),
                Folder("/accepted", own / ACCEPTED, Use.READ),
                Folder("/refused", own / REFUSED, Use.READ),
                Folder("/held", own / HELD, Use.READ),
                Folder("/answers", own / ANSWERS, Use.DELIVER, limits.answer_bytes, (ACCEPTED, REFUSED)),
                Folder("/answers/accepted", own / ANSWERS / ACCEPTED, Use.READ),
                Folder("/answers/refused", own / ANSWERS / REFUSED, Use.READ),
                Folder("/outbox", outbox / bank_code, Use.READ),
            )
        }

    def make(self) -> None:
        """Make the folders that are not there, so that a bank sees where things will be."""
        for folder in self.folders.values():
            folder.path.mkdir(parents=True, exist_ok=True)

    def top(self) -> tuple[str, ...]:
        """The names in the root."""
        return tuple(shown[1:] for shown in self.folders if shown.count("/") == 1)

    def place(self, path: bytes) -> Place:
        """Where a path leads; ``..`` goes up inside what is shown and never out of it. Raises NoSuchPlace."""
        shown = shown_path(path)
        if shown == "/":
            return Place(None)
        if shown in self.folders:
            return Place(self.folders[shown])
        parent, name = posixpath.split(shown)
        folder = self.folders.get(parent)
        if folder is None or not _plain(name):
            raise NoSuchPlace(shown)
        return Place(folder, name)


def shown_path(path: bytes) -> str:
    """The path from the bank's root, without ``.``, ``..`` and doubled slashes. Raises NoSuchPlace for bytes that are no text."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        raise NoSuchPlace(repr(path)) from None
    return posixpath.normpath("/" + text.lstrip("/"))


def _plain(name: str) -> bool:
    return name.isprintable() and not name.startswith(".") and "\\" not in name


def refuse_name(name: str) -> None:
    """Raise NameRefused unless a file may be delivered under this name."""
    if not _plain(name) or name != name.strip():
        raise NameRefused("a name has printable characters, does not begin with a dot or a blank, and has no backslash")
    if len(name.encode()) > MOST_NAME_BYTES:
        raise NameRefused(f"a name has at most {MOST_NAME_BYTES} bytes")
    if name in OWN_FOLDERS or name.endswith(RECEIPT_ENDING):
        raise NameRefused(f"{name} is a name of ours; give the file another one")


def unfinished(name: str) -> bool:
    """Whether a file of this name is left alone until the bank renames it."""
    return name.endswith(UNFINISHED_ENDINGS)


def largest_of(folder: Folder, name: str, limits: Limits) -> int:
    """How many bytes a file delivered under this name may have."""
    base = name
    while unfinished(base):
        base = base[: base.rindex(".")]
    return limits.proof_bytes if base.endswith(tuple(PROOF_ENDINGS)) else folder.largest
