"""Bank profiles from YAML: one file a layout under ``bank_profiles/``, read strictly.

An unknown key, a value of the wrong type, a missing key or a second profile with the same id is refused by file and key:
a typo in a column name must not become a column that is silently ignored.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from bank_adapters.profile import DirectionRule, Profile, ProfileFormat, TableLayout
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


def _check(profile: Profile, file: str) -> None:
    """What types cannot say: a table needs the columns its direction rule reads."""
    if (profile.format is ProfileFormat.TABLE) != (profile.table is not None):
        raise ConfigRefused(file, "table", "must be given exactly when format is table")
    if profile.table is None:
        return
    table = profile.table
    _demand(table, file, {"booking_date", "booked_at"}, any_of=True)
    if table.direction is DirectionRule.TWO_COLUMNS:
        _demand(table, file, {"amount_in", "amount_out"})
    else:
        _demand(table, file, {"amount"})
    if table.direction is DirectionRule.MARK:
        _demand(table, file, {"mark"})
        if not table.in_marks or not table.out_marks:
            raise ConfigRefused(file, "table.in_marks", "and out_marks must be given with direction mark")
    names = [name for column in table.columns for name in column.names]
    for name in names:
        if names.count(name) > 1:
            raise ConfigRefused(file, "table.columns", f"{name!r} is named twice")


def _demand(table: TableLayout, file: str, wanted: Iterable[str], *, any_of: bool = False) -> None:
    held = {column.field.value for column in table.columns if column.field}
    missing = sorted(set(wanted) - held)
    if missing and not (any_of and len(missing) < len(set(wanted))):
        raise ConfigRefused(file, "table.columns", f"no column has field {' or '.join(missing)}")
