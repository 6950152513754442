"""Until when each bank's statements must have come, from config/statement_calendar.yaml."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from datetime import time
from itertools import pairwise
from pathlib import Path

from config.loading import CONFIG_FOLDER, Section, parse_section, read_settings_bytes
from reconciliation.statement_calendar import Cadence, RuleVersion, StatementRules

#: More is a slip of the pen: a statement that comes a month later reconciles nothing.
LONGEST_DEADLINE = 23  # working days

_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", re.ASCII)


def load_statement_rules(banks: Collection[str], path: Path = CONFIG_FOLDER / "statement_calendar.yaml") -> StatementRules:
    """The deadlines of everybody, of banks (codes in ``banks``) and of accounts; the version is a digest of the file.

    Raises ConfigRefused naming file, line and key: an unknown key or bank, a time that is none, versions that overlap or stand
    out of order, a rule for everybody that leaves something open.
    """
    raw = read_settings_bytes(path)
    top = parse_section(raw, path.name)
    everybody = _everybody(top)
    by_bank: dict[str, tuple[RuleVersion, ...]] = {}
    by_account: dict[tuple[str, str], tuple[RuleVersion, ...]] = {}
    level = top.section_or_empty("banks")
    for bank in tuple(level.keys()):
        by_bank[_known(level, bank, bank, banks)] = _versions(level, bank)
    level.finish()
    level = top.section_or_empty("accounts")
    for name in tuple(level.keys()):
        bank, slash, number = name.partition("/")
        if not slash or not number or number != number.strip().replace(" ", ""):
            raise level.refuse(name, f"{name!r} does not name an account; write BANK/NUMBER, the number without spaces")
        by_account[_known(level, name, bank, banks), number] = _versions(level, name)
    level.finish()
    top.finish()
    version = f"statement-calendar-{hashlib.sha256(raw).hexdigest()[:16]}"
    return StatementRules(version, everybody, by_bank, by_account)


def _everybody(top: Section) -> tuple[RuleVersion, ...]:
    """The versions for everybody, in which nothing is left open: there is no level above to say it."""
    found = _versions(top, "everybody")
    if not found:
        raise top.refuse("everybody", "has no version; say at least from which day on which cadence and deadline hold")
    for one, section in zip(found, top.sections("everybody"), strict=True):
        if None in (one.cadence, one.after_working_days, one.at):
            raise section.refuse("deadline", "a rule for everybody says cadence, deadline.at and deadline.after_working_days")
        if one.in_force_until is not None:
            raise section.refuse("in_force_until", "a rule for everybody stands until the next one; add that instead")
    return found


def _known(level: Section, key: str, bank: str, banks: Collection[str]) -> str:
    if bank not in banks:
        raise level.refuse(key, f"there is no bank {bank!r}; banks are {', '.join(sorted(banks))} (config/banks.yaml)")
    return bank


def _versions(level: Section, key: str) -> tuple[RuleVersion, ...]:
    sections = level.sections(key)
    found = tuple(_version(section) for section in sections)
    for (earlier, later), section in zip(pairwise(found), sections[1:], strict=True):
        if earlier.in_force_from >= later.in_force_from:
            raise section.refuse(
                "in_force_from", f"{later.in_force_from} does not come after {earlier.in_force_from}; write the oldest first"
            )
        if earlier.in_force_until is not None and earlier.in_force_until >= later.in_force_from:
            raise section.refuse(
                "in_force_from",
                f"{later.in_force_from} overlaps the version before it, in force until {earlier.in_force_until}; "
                "end that one a day earlier, or leave its in_force_until out",
            )
    return found


def _version(section: Section) -> RuleVersion:
    section.text("source")  # every rule says where it comes from; the text itself is for people
    deadline = section.section_or_empty("deadline")
    found = RuleVersion(
        in_force_from=section.day("in_force_from"),
        in_force_until=section.day("in_force_until") if "in_force_until" in section else None,
        cadence=Cadence(section.choice("cadence", tuple(Cadence))) if "cadence" in section else None,
        after_working_days=deadline.integer("after_working_days", least=1, most=LONGEST_DEADLINE)
        if "after_working_days" in deadline
        else None,
        at=_time(deadline) if "at" in deadline else None,
    )
    if found.in_force_until is not None and found.in_force_until < found.in_force_from:
        raise section.refuse(
            "in_force_until", f"{found.in_force_until} lies before in_force_from; give a later day or leave it out"
        )
    deadline.finish()
    section.finish()
    return found


def _time(deadline: Section) -> time:
    told = deadline.text("at")
    if not _TIME.fullmatch(told):
        raise deadline.refuse("at", f'{told!r} is not a time of day; write it between quotes, such as "09:30"')
    return time.fromisoformat(told)
