"""Bank profiles from YAML: one file a layout under ``bank_profiles/``, read strictly.

An unknown key, a value of the wrong type, a missing key or a second profile with the same id is refused by file and key:
a typo in a column name must not become a column that is silently ignored.
"""

from __future__ import annotations

import codecs
import dataclasses
import re
import types
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bank_adapters.dates import DATE_FORMATS
from bank_adapters.findings import LENIENCIES
from bank_adapters.profile import (
    DirectionRule,
    Fact,
    Footer,
    FooterTotals,
    Profile,
    ProfileFormat,
    ReversalSign,
    TableLayout,
    normalised_label,
)
from config.loading import ConfigRefused, load_mapping

PROFILE_FOLDER = Path(str(files("config"))) / "bank_profiles"


def load_profiles(folder: Path = PROFILE_FOLDER) -> tuple[Profile, ...]:
    """Every bank profile of ``folder`` in order of id. Raises ConfigRefused naming file and key."""
    profiles: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.yaml")):
        profile = _read(path)
        if profile.id in profiles:
            raise ConfigRefused(path.name, "id", f"another file already holds a profile called {profile.id!r}")
        profiles[profile.id] = profile
    return tuple(profiles[key] for key in sorted(profiles))


def load_profile(path: Path) -> Profile:
    """One profile from a file anywhere. Raises ConfigRefused naming file and key."""
    return _read(path)


def _read(path: Path) -> Profile:
    content = load_mapping(path)
    profile: Profile = _decode(content, Profile, path.name, "")
    _check(profile, path.name)
    return profile


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(value: Any, kind: Any, file: str, key: str) -> Any:
    """``value`` of a YAML file as ``kind``: dataclass, enum, tuple, optional or plain scalar."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _decode(value, inner, file, key)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_dataclass(value, kind, file, key)
    if origin is tuple:
        return _decode_tuple(value, arguments, file, key)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        allowed = [member.value for member in kind]
        if value not in allowed:
            raise ConfigRefused(file, key, f"{value!r} is not one of {', '.join(allowed)}")
        return kind(value)
    if type(value) is not kind:
        raise ConfigRefused(file, key, f"must be {kind.__name__}, not {type(value).__name__} ({value!r})")
    return value


def _decode_tuple(value: Any, arguments: tuple[Any, ...], file: str, key: str) -> tuple[Any, ...]:
    if isinstance(value, dict) and get_origin(arguments[0]) is tuple:  # a mapping of names, kept as pairs
        return tuple((_decode(name, str, file, key), _decode(code, str, file, key)) for name, code in value.items())
    if not isinstance(value, list):
        raise ConfigRefused(file, key, f"must be a list, not {type(value).__name__} ({value!r})")
    return tuple(_decode(each, arguments[0], file, f"{key}[{position}]") for position, each in enumerate(value))


def _decode_dataclass(value: Any, kind: Any, file: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise ConfigRefused(file, key, f"must be a mapping, not {type(value).__name__}")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    place = f"{key}." if key else ""
    for name in value:
        if name not in fields:
            raise ConfigRefused(file, f"{place}{name}", f"unknown key; known are {', '.join(fields)}")
    for name, each in fields.items():
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ConfigRefused(file, f"{place}{name}", "is missing")
    hints = _hints(kind)
    return kind(**{name: _decode(each, hints[name], file, f"{place}{name}") for name, each in value.items()})


#: The section each format needs beside the keys every profile has.
_SECTIONS = {"table": ProfileFormat.TABLE, "qif": ProfileFormat.QIF}
_MARK_RULES = (DirectionRule.MARK, DirectionRule.MARK_ALONE, DirectionRule.MARK_PREFIX)
_COLUMN_RULES = (DirectionRule.TWO_COLUMNS, DirectionRule.SIGNED_COLUMNS)


def _check(profile: Profile, file: str) -> None:
    """What types cannot say: every section its format needs and no other, known encodings, a table that can be read."""
    for section, format_ in _SECTIONS.items():
        if (profile.format is format_) != (getattr(profile, section) is not None):
            raise ConfigRefused(file, section, f"must be given exactly when format is {format_}")
    if profile.reversal_sign is not ReversalSign.ISO and profile.format is not ProfileFormat.CAMT:
        raise ConfigRefused(file, "reversal_sign", "belongs to profiles of format camt only")
    for code in profile.leniencies:
        if code not in LENIENCIES:
            raise ConfigRefused(
                file, "leniencies", f"{code!r} cannot be lowered; those that can are {', '.join(sorted(LENIENCIES))}"
            )
    for name in profile.encodings:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ConfigRefused(file, "encodings", f"{name!r} is no encoding; write gb18030, cp1252, latin-1 ..") from None
    if profile.table is not None:
        _check_table(profile.table, file)


def _check_table(table: TableLayout, file: str) -> None:
    """Its direction rule's columns and marks, its dates, a delimiter of one character, footers that can be read."""
    _demand(table, file, {"booking_date", "booked_at"}, any_of=True)
    if table.direction in _COLUMN_RULES:
        _demand(table, file, {"amount_in", "amount_out"})
    elif table.direction is DirectionRule.NET:
        _demand(table, file, {"amount_in", "fee"})
    else:
        _demand(table, file, {"amount"})
    if table.direction in _MARK_RULES:
        _demand(table, file, {"mark"})
        if not table.in_marks or not table.out_marks:
            raise ConfigRefused(file, "table.in_marks", f"and out_marks must be given with direction {table.direction}")
    elif table.neutral_marks:
        raise ConfigRefused(file, "table.neutral_marks", "need a direction rule that reads a mark")
    if table.pending_statuses or table.information_statuses:
        _demand(table, file, {"status"})
    if table.reversal_marks:
        _demand(table, file, {"reversal_mark"})
    if len(table.delimiter) != 1:
        raise ConfigRefused(file, "table.delimiter", f"{table.delimiter!r} is not one character")
    if table.decimal not in (".", ","):
        raise ConfigRefused(file, "table.decimal", f"{table.decimal!r} is neither a point nor a comma")
    if table.thousands == table.decimal or table.thousands not in ("", ",", ".", " ", "'"):
        raise ConfigRefused(
            file, "table.thousands", f"{table.thousands!r} cannot stand between thousands; write ',' '.' ' ' \"'\" or ''"
        )
    if len({name[:2] for name in table.date_formats} & {"DD", "MM"}) > 1:
        raise ConfigRefused(file, "table.date_formats", "days first and months first cannot be told apart")
    for each in table.date_formats:
        if each not in DATE_FORMATS:
            raise ConfigRefused(file, "table.date_formats", f"{each!r} is not one of {', '.join(DATE_FORMATS)}")
    try:
        ZoneInfo(table.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigRefused(file, "table.time_zone", f"{table.time_zone!r} is no time zone such as Asia/Shanghai") from None
    _no_repeats([normalised_label(name) for column in table.columns for name in column.names], file, "table.columns")
    _no_repeats([normalised_label(label) for fact in table.preamble for label in fact.labels], file, "table.preamble")
    for footer in table.footers:
        _check_footer(footer, file)


def _check_footer(footer: Footer, file: str) -> None:
    place = f"table.footers[{footer.starts_with}]"
    if (footer.totals is FooterTotals.SENTENCE) != (footer.pattern is not None):
        raise ConfigRefused(file, place, "pattern must be given exactly when totals is sentence")
    if footer.totals is FooterTotals.LABELLED and not footer.facts:
        raise ConfigRefused(file, place, "facts must be given when totals is labelled")
    if footer.pattern is None:
        return
    try:
        groups = re.compile(footer.pattern).groupindex
    except re.error as problem:
        raise ConfigRefused(file, f"{place}.pattern", f"is no regular expression: {problem}") from None
    known = {fact.value for fact in Fact}
    if not groups or set(groups) - known:
        raise ConfigRefused(
            file, f"{place}.pattern", f"must name facts as (?P<in_count>..); known are {', '.join(sorted(known))}"
        )


def _no_repeats(names: list[str], file: str, key: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ConfigRefused(file, key, f"{name!r} is named twice")


def _demand(table: TableLayout, file: str, wanted: Iterable[str], *, any_of: bool = False) -> None:
    held = {column.field.value for column in table.columns if column.field}
    missing = sorted(set(wanted) - held)
    if missing and not (any_of and len(missing) < len(set(wanted))):
        raise ConfigRefused(file, "table.columns", f"no column has field {' or '.join(missing)}")
