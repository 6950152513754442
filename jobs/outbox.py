"""Write instruction files to the banks' drop folders: whole or not at all, and never other bytes under a known name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import date
from itertools import count
from pathlib import Path

from bank_adapters.detached import DigestKind, digest_file
from bank_adapters.instruction_query import Question, write_query
from escrow.instructions import Instruction
from money import Money


class OutboxConflict(FileExistsError):
    """A file of this name with other content lies in the outbox; somebody changed it. Move it away and run again."""


def place_file(folder: Path, name: str, content: bytes) -> bool:
    """Put ``content`` at ``folder/name`` by an atomic rename; False when the same bytes are there already.

    Raises OutboxConflict when the file exists with other bytes: what a bank may have fetched is never overwritten.
    """
    target = folder / name
    if target.exists():
        if hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest():
            return False
        raise OutboxConflict(f"{target} exists with other content; move it away, ask who changed it, and run the job again")
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{name}.part"
    with part.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.rename(target)
    return True


def place_query(folder: Path, bank_code: str, as_of: date, about: Sequence[Instruction]) -> Path:
    """Put the question what became of instructions into a bank's outbox, after its digests; the next free number of the day."""
    content = write_query(
        Question(one.file.rsplit(".", 1)[0], one.reference, Money(one.amount_minor_units, one.currency)) for one in about
    )
    for number in count(1):
        name = f"{bank_code}-query-{as_of:%Y%m%d}-{number:02d}.csv"
        try:
            for kind in DigestKind:
                place_file(folder, f"{name}.{kind}", digest_file(content, name, kind))
            place_file(folder, name, content)
        except OutboxConflict:
            continue
        return folder / name
    raise AssertionError("unreachable: numbers do not end")
