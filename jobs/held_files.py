"""Files held back leave ``held/`` when people have decided: to ``accepted/`` or ``refused/``, with a new receipt.

The decision stands in the books; here the bank's folders follow it. Doing it twice, or after a kill half-way, ends the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from jobs import wording as say
from jobs.drop_folder import HELD, RECEIPT_ENDING, REFUSED, Collected, FileOutcome, move_with_receipt, shown_name
from jobs.drop_folder import waiting_files as files_in
from jobs.receipts import file_outcome, receipt_text
from jobs.settings import JobSettings
from reconciliation.standing import file_number, let_through_after_all, receipt_now, statements_now


def follow_decisions(engine: sa.Engine, bank_code: str, settings: JobSettings, done: Collected) -> None:
    """Move each file of a bank that people have decided about, and name it with its outcome."""
    own = settings.inbox / bank_code
    with engine.connect() as connection:
        for path in [*_held(own), *_turned_down_first(connection, own, bank_code)]:
            name = f"{bank_code}/{path.parent.name}/{shown_name(path.name)}"
            number = _number(connection, path, bank_code)
            if number is None:
                done.passed_over.append(say.of_thing(name, say.not_ours(path.parent.name)))
            elif _leaves(connection, number, path):
                done.take(name, partial(_move, connection, path, own, number, settings))
    _sweep(own / HELD)


def _held(own: Path) -> Iterator[Path]:
    return (path for path in files_in(own, HELD) if not path.name.endswith(RECEIPT_ENDING))


def _turned_down_first(connection: sa.Connection, own: Path, bank_code: str) -> Iterator[Path]:
    """Files in ``refused/`` that somebody turned down and two people have let through since."""
    for name, sha256 in let_through_after_all(connection, bank_code):
        plain = own / REFUSED / name
        for path in (plain, plain.with_name(f"{plain.stem}.{sha256.hex()[:12]}{plain.suffix}")):
            if path.is_file() and not path.is_symlink() and hashlib.sha256(path.read_bytes()).digest() == sha256:
                yield path


def _number(connection: sa.Connection, path: Path, bank_code: str) -> int | None:
    return file_number(connection, hashlib.sha256(path.read_bytes()).digest(), bank_code, shown_name(path.name))


def _leaves(connection: sa.Connection, number: int, path: Path) -> bool:
    """Whether a file stands elsewhere than where it lies; cheap, since most of what is held waits for days."""
    statements = statements_now(connection, number)
    if any(one.held_back for one in statements):
        return False
    return path.parent.name == HELD or not any(one.refused for one in statements)


def _move(connection: sa.Connection, path: Path, own: Path, number: int, settings: JobSettings) -> FileOutcome:
    receipt = receipt_now(connection, number, settings.profiles)
    move_with_receipt(path, own / receipt.folder, receipt_text(receipt), receipt.sha256)
    path.with_name(path.name + RECEIPT_ENDING).unlink(missing_ok=True)
    return file_outcome(receipt)


def _sweep(folder: Path) -> None:
    """Take away receipts whose file has left: a process was killed between the two."""
    if folder.is_dir():
        for receipt in folder.glob(f"*{RECEIPT_ENDING}"):
            if not receipt.with_name(receipt.name.removesuffix(RECEIPT_ENDING)).exists():
                receipt.unlink(missing_ok=True)
