"""The policy book, read from config/jurisdictions/: one file a jurisdiction, named by its code."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from config.loading import CONFIG_FOLDER, ConfigRefused, Section, load_section
from escrow.policy import BreachAction, Jurisdiction, OutstandingScope, PolicyBook, PolicyNotInForce, PolicyVersion
from escrow.schedule import ReleaseMode, Tranche, check_tranches
from money import AmountRefused, parse_minor_units

_Word = TypeVar("_Word", OutstandingScope, BreachAction)

CODE_LENGTH = 6
LONGEST_SILENCE = 250  # working days in a year: a longer one is a slip of the pen
MOST_CLASS_HOURS = 10_000
MOST_MONTHS = 120


def load_policies(folder: Path = CONFIG_FOLDER / "jurisdictions") -> PolicyBook:
    """All jurisdictions and their dated rules; the book's version is a digest of the files.

    Raises ConfigRefused naming the file and the key; a parent that does not exist and a circle of parents are refused too.
    """
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigRefused(str(folder), "", "holds no jurisdiction (*.yaml)")
    digest = hashlib.sha256()
    jurisdictions = []
    for path in files:
        jurisdictions.append(_jurisdiction(load_section(path), path.stem))
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    try:
        return PolicyBook(jurisdictions, version=f"policies-{digest.hexdigest()[:16]}")
    except (PolicyNotInForce, ValueError) as error:
        raise ConfigRefused(str(folder), "parent", str(error)) from None


def _jurisdiction(top: Section, stem: str) -> Jurisdiction:
    code = top.text("code")
    if len(code) != CODE_LENGTH or not code.isdecimal():
        raise top.refuse("code", f"{code!r} is not a code of six digits (GB/T 2260)")
    if code != stem:
        raise top.refuse("code", f"{code} stands in the file of {stem}")
    versions = tuple(_version(section) for section in top.sections("versions"))
    for earlier, later in pairwise(versions):
        if earlier.in_force_from >= later.in_force_from:
            raise top.refuse("versions", f"{later.in_force_from} does not come after {earlier.in_force_from}; oldest first")
    found = Jurisdiction(
        code=code,
        name_en=top.text("name_en"),
        name_zh=top.text("name_zh"),
        parent=top.text("parent") if "parent" in top else None,
        versions=versions,
    )
    top.finish()
    return found


def _version(section: Section) -> PolicyVersion:
    section.text("source")  # every rule says where it comes from; the text itself is for people
    release, confirmation = section.section_or_empty("release"), section.section_or_empty("confirmation")
    refund, charging = section.section_or_empty("refund"), section.section_or_empty("charging")
    mode = ReleaseMode(release.choice("mode", tuple(ReleaseMode))) if "mode" in release else None
    tranches = tuple(_tranche(one) for one in release.sections("tranches")) if "tranches" in release else None
    if (mode is ReleaseMode.TRANCHES) != bool(tranches):
        raise release.refuse("tranches", "belong to the mode 'tranches', and it needs them")
    try:
        check_tranches(tranches or ())
    except ValueError as error:
        raise release.refuse("tranches", str(error)) from None
    found = PolicyVersion(
        in_force_from=section.day("in_force_from"),
        mode=mode,
        tranches=tranches,
        deemed_after_working_days=_whole(confirmation, "deemed_after_working_days", LONGEST_SILENCE),
        deemed_agreed_after_working_days=_whole(refund, "deemed_agreed_after_working_days", LONGEST_SILENCE),
        period_months=_whole(charging, "period_months", MOST_MONTHS),
        class_hours=_whole(charging, "class_hours", MOST_CLASS_HOURS),
        amount_minor_units=_amount(charging, "amount"),
        earliest_months_ahead=_whole(charging, "earliest_months_ahead", MOST_MONTHS),
        outstanding_scope=_word(charging, "outstanding_scope", OutstandingScope),
        breach=_word(charging, "breach", BreachAction),
        outstanding_breach=_word(charging, "outstanding_breach", BreachAction),
    )
    for one in (release, confirmation, refund, charging, section):
        one.finish()
    return found


def _tranche(section: Section) -> Tranche:
    after = section.text("after")
    numerator, _, denominator = after.partition("/")
    if not (numerator.isdecimal() and denominator.isdecimal()):
        raise section.refuse("after", f'{after!r} is not a share of the class-hours such as "1/3"')
    try:
        found = Tranche(int(numerator), int(denominator), section.integer("cumulative_percent", least=1, most=100))
    except ValueError as error:
        raise section.refuse("after", str(error)) from None
    section.finish()
    return found


def _whole(section: Section, key: str, most: int) -> int | None:
    return section.integer(key, least=1, most=most) if key in section else None


def _amount(section: Section, key: str) -> int | None:
    if key not in section:
        return None
    try:
        units = parse_minor_units(section.text(key), 2)
    except AmountRefused as error:
        raise section.refuse(key, str(error)) from None
    if units <= 0:
        raise section.refuse(key, "must be above zero")
    return units


def _word(section: Section, key: str, words: type[_Word]) -> _Word | None:
    return words(section.choice(key, tuple(words))) if key in section else None
