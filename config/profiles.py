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

import yaml

from bank_adapters.profile import DirectionRule, Profile, ProfileFormat, TableLayout
from config.errors import ConfigRefused

PROFILE_FOLDER = Path(str(files("config"))) / "bank_profiles"


def load_profiles(folder: Path = PROFILE_FOLDER) -> tuple[Profile, ...]:
    """Every bank profile of ``folder`` in order of id. Raises ConfigRefused naming file and key."""
    profiles: dict[str, Profile] = {}
    for path in sorted(folder.glob("*.yaml")):
        profile = _read(path)
        if profile.id in profiles:
            raise ConfigRefused(f"{path.name}: id: another file already holds a profile called {profile.id!r}")
        profiles[profile.id] = profile
    return tuple(profiles[key] for key in sorted(profiles))


def _read(path: Path) -> Profile:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ConfigRefused(f"{path.name}: is not readable YAML: {problem}") from problem
    profile: Profile = _decode(content, Profile, path.name, "")
    _check(profile, path.name)
    return profile


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice (YAML would keep the last one silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} is written twice ({node.start_mark})")
        return super().construct_mapping(node, deep)


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
            raise ConfigRefused(f"{file}: {key}: {value!r} is not one of {', '.join(allowed)}")
        return kind(value)
    if type(value) is not kind:
        raise ConfigRefused(f"{file}: {key}: must be {kind.__name__}, not {type(value).__name__} ({value!r})")
    return value


def _decode_tuple(value: Any, arguments: tuple[Any, ...], file: str, key: str) -> tuple[Any, ...]:
    if isinstance(value, dict) and get_origin(arguments[0]) is tuple:  # a mapping of names, kept as pairs
        return tuple((_decode(name, str, file, key), _decode(code, str, file, key)) for name, code in value.items())
    if not isinstance(value, list):
        raise ConfigRefused(f"{file}: {key}: must be a list, not {type(value).__name__} ({value!r})")
    return tuple(_decode(each, arguments[0], file, f"{key}[{position}]") for position, each in enumerate(value))


def _decode_dataclass(value: Any, kind: Any, file: str, key: str) -> Any:
    if not isinstance(value, dict):
        raise ConfigRefused(f"{file}: {key or 'the file'}: must be a mapping, not {type(value).__name__}")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    place = f"{key}." if key else ""
    for name in value:
        if name not in fields:
            raise ConfigRefused(f"{file}: {place}{name}: unknown key; known are {', '.join(fields)}")
    for name, each in fields.items():
        required = each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ConfigRefused(f"{file}: {place}{name}: is missing")
    hints = _hints(kind)
    return kind(**{name: _decode(each, hints[name], file, f"{place}{name}") for name, each in value.items()})


def _check(profile: Profile, file: str) -> None:
    """What types cannot say: a table needs the columns its direction rule reads."""
    if (profile.format is ProfileFormat.TABLE) != (profile.table is not None):
        raise ConfigRefused(f"{file}: table: must be given exactly when format is table")
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
            raise ConfigRefused(f"{file}: table.in_marks: and out_marks must be given with direction mark")
    names = [name for column in table.columns for name in column.names]
    for name in names:
        if names.count(name) > 1:
            raise ConfigRefused(f"{file}: table.columns: {name!r} is named twice")


def _demand(table: TableLayout, file: str, wanted: Iterable[str], *, any_of: bool = False) -> None:
    held = {column.field.value for column in table.columns if column.field}
    missing = sorted(set(wanted) - held)
    if missing and not (any_of and len(missing) < len(set(wanted))):
        raise ConfigRefused(f"{file}: table.columns: no column has field {' or '.join(missing)}")
