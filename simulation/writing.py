"""Writes a district to a folder: ``inputs/`` as the world would deliver them, ``answer-key/`` apart from them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bank_adapters.profile import Profile
from simulation.answer_key import AnswerKey, answer_key
from simulation.district import District
from simulation.input_files import input_files
from simulation.key_files import digest_of, key_files
from simulation.span import SimulationRefused
from simulation.statements import deliver

INPUTS, ANSWER_KEY = "inputs", "answer-key"


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the folder now."""

    folder: Path
    input_files: int
    input_bytes: int
    statement_files: int
    key: AnswerKey


def write_district(
    district: District,
    out: Path,
    profiles: Mapping[str, Profile],
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write all files under ``out``. The same district gives the same bytes.

    ``progress`` is called with (files written, files in all). Raises SimulationRefused when ``out`` is a file, or a folder
    with anything in it and not ``replace``; with ``replace`` only what a simulation writes is removed first.
    """
    if out.exists() and not out.is_dir():
        raise SimulationRefused(f"{out} is a file; name a folder that is empty or does not exist")
    if out.is_dir() and any(out.iterdir()):
        if not replace:
            raise SimulationRefused(
                f"{out} is not empty; name another folder, or add --force to replace what a simulation wrote there"
            )
        for name in (INPUTS, ANSWER_KEY):
            if (out / name).is_dir():
                shutil.rmtree(out / name)
    delivery = deliver(district, profiles)
    files, bad_rows = input_files(district)
    files.update({each.path: each.content for each in delivery.files})
    key = answer_key(district, delivery, bad_rows)
    digests = {path: digest_of(content) for path, content in files.items()}
    every = {f"{INPUTS}/{path}": content for path, content in files.items()}
    every.update({f"{ANSWER_KEY}/{name}": content for name, content in key_files(district, key, digests).items()})
    for number, (path, content) in enumerate(every.items(), start=1):
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if progress is not None:
            progress(number, len(every))
    return Written(out, len(files), sum(map(len, files.values())), len(delivery.files), key)
