"""The one strict YAML loader: every file of this folder is read through it.

A setting that is misspelt, repeated, of the wrong type or left over is refused with the file and the key named: what
moves money must not be guessed. Values are text, whole numbers, truth values, dates, lists and sections; a YAML float is
refused wherever it stands.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

#: Where the product's own settings lie.
CONFIG_FOLDER = Path(__file__).resolve().parent

#: A settings file is written by people; anything longer is a mistake (or an attack) and is not read.
LARGEST_CONFIG_BYTES = 1_000_000


class ConfigRefused(ValueError):
    """A settings file cannot be used; the message names the file, the key and, where it is known, the line."""

    def __init__(self, file: str, key: str, what: str, line: int | None = None) -> None:
        self.file = file
        self.key = key
        self.line = line
        where = f" (line {line})" if line is not None else ""
        super().__init__(f"{file}: {key}: {what}{where}" if key else f"{file}: {what}{where}")


class _Placed(dict[Hashable, Any]):
    """A mapping of the file that knows on which line (from 1) each of its keys stands, and itself."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[Hashable, int] = {}


class _StrictLoader(yaml.SafeLoader):
    """YAML without repeated keys and without floats (``1e3`` and ``1.10`` are how amounts get lost)."""


def _mapping_without_repeats(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    found = _Placed(node.start_mark.line + 1)
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} appears twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
        found.lines[key] = key_node.start_mark.line + 1
    return found


def _no_float(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    raise yaml.constructor.ConstructorError(
        None, None, f"{node.value} is a fraction; write it between quotes, or in whole units", node.start_mark
    )


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _no_float)


class Section:
    """A mapping of a settings file whose keys are asked for by name and type; ``finish`` refuses what nobody asked for."""

    def __init__(self, file: str, key: str, values: dict[str, Any]) -> None:
        self.file = file
        self.key = key
        self._values = values
        self._asked: set[str] = set()

    def _at(self, key: str) -> str:
        return f"{self.key}.{key}" if self.key else key

    def refuse(self, key: str, what: str) -> ConfigRefused:
        """The refusal of one key of this section, to be raised by the caller."""
        placed = self._values if isinstance(self._values, _Placed) else None
        line = placed.lines.get(key, placed.line) if placed is not None else None
        return ConfigRefused(self.file, self._at(key), what, line)

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def keys(self) -> tuple[str, ...]:
        """Names of all keys present, in the order of the file."""
        return tuple(self._values)

    def _value(self, key: str) -> Any:
        self._asked.add(key)
        value = self._values.get(key)
        if value is None:
            raise self.refuse(key, "is missing")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Text that is not blank. ``000000`` without quotes is a number to YAML, and is refused with that hint."""
        if default is not None and key not in self:
            self._asked.add(key)
            return default
        value = self._value(key)
        if not isinstance(value, str):
            raise self.refuse(key, f"{value!r} is not text; put it between quotes")
        if not value.strip():
            raise self.refuse(key, "is blank")
        return value

    def integer(self, key: str, default: int | None = None, *, least: int = 0, most: int | None = None) -> int:
        """A whole number from ``least`` to ``most``."""
        if default is not None and key not in self:
            self._asked.add(key)
            return default
        value = self._value(key)
        if type(value) is not int:
            raise self.refuse(key, f"{value!r} is not a whole number")
        if value < least or (most is not None and value > most):
            upper = f" to {most}" if most is not None else " or more"
            raise self.refuse(key, f"{value} is not allowed; it must be {least}{upper}")
        return value

    def truth(self, key: str, default: bool | None = None) -> bool:
        """``true`` or ``false``."""
        if default is not None and key not in self:
            self._asked.add(key)
            return default
        value = self._value(key)
        if type(value) is not bool:
            raise self.refuse(key, f"{value!r} is neither true nor false")
        return value

    def day(self, key: str) -> date:
        """A calendar date, written 2025-03-01."""
        return _as_day(self, key, self._value(key))

    def days(self, key: str) -> tuple[date, ...]:
        """A list of dates; lists within the list (one a month, say) are joined."""
        found: list[date] = []
        for value in self._list(key):
            found.extend(_as_day(self, key, one) for one in (value if isinstance(value, list) else [value]))
        return tuple(found)

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """One of the allowed words."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.refuse(key, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def _list(self, key: str) -> list[Any]:
        value = self._value(key)
        if not isinstance(value, list):
            raise self.refuse(key, "is not a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        values = self._list(key)
        for value in values:
            if not isinstance(value, str) or not value.strip():
                raise self.refuse(key, f"{value!r} is not text; put it between quotes")
        return tuple(values)

    def section(self, key: str) -> Section:
        """The mapping under ``key``."""
        return _as_section(self.file, self._at(key), self._value(key))

    def section_or_empty(self, key: str) -> Section:
        """The mapping under ``key``, or an empty one when it is left out."""
        if key not in self:
            self._asked.add(key)
            return Section(self.file, self._at(key), {})
        return self.section(key)

    def sections(self, key: str) -> tuple[Section, ...]:
        """The mappings listed under ``key``."""
        return tuple(_as_section(self.file, f"{self._at(key)}[{n}]", one) for n, one in enumerate(self._list(key)))

    def each(self) -> Iterator[tuple[str, Section]]:
        """Every key with the mapping under it, where keys are names of things rather than settings."""
        for key in self._values:
            yield key, self.section(key)

    def finish(self) -> None:
        """Refuse keys nobody asked for. Raises ConfigRefused with the nearest thing to do: remove or correct the key."""
        left = [key for key in self._values if key not in self._asked]
        if left:
            known = ", ".join(sorted(self._asked))
            raise self.refuse(left[0], f"is not a known key here; known are: {known}")


def _as_day(section: Section, key: str, value: Any) -> date:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise section.refuse(key, f"{value!r} is not a date such as 2025-03-01")
    return value


def _as_section(file: str, key: str, value: Any) -> Section:
    return Section(file, key, _as_mapping(file, key, value))


def _as_mapping(file: str, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigRefused(file, key, "is not a mapping of keys to values")
    for name in value:
        if not isinstance(name, str):
            raise ConfigRefused(file, key, f"the key {name!r} is not text; put it between quotes")
    return value


def load_section(path: Path) -> Section:
    """Read a settings file whose top is a mapping. Raises ConfigRefused naming the file, and the line where YAML is broken."""
    return parse_section(read_settings_bytes(path), path.name)


def load_mapping(path: Path) -> dict[str, Any]:
    """Read a settings file as the mapping it is, for a reader that checks the keys itself. Raises as load_section does."""
    return _parse(read_settings_bytes(path), path.name)


def read_settings_bytes(path: Path) -> bytes:
    """The bytes of a settings file, for a reader that also needs their digest. Raises ConfigRefused."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigRefused(str(path), "", f"cannot be read ({error.strerror})") from None
    if len(raw) > LARGEST_CONFIG_BYTES:
        raise ConfigRefused(path.name, "", f"is longer than {LARGEST_CONFIG_BYTES} bytes")
    return raw


def parse_section(raw: bytes, name: str) -> Section:
    """Read settings from bytes; ``name`` is how refusals call them. See load_section."""
    return Section(name, "", _parse(raw, name))


def _parse(raw: bytes, name: str) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader made stricter
    except UnicodeDecodeError as error:
        raise ConfigRefused(name, "", f"is not UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        raise ConfigRefused(name, where, str(error.problem or error.context)) from None
    except (yaml.YAMLError, ValueError) as error:  # an unprintable character; an impossible date such as 2025-02-30
        raise ConfigRefused(name, "", " ".join(str(error).split())) from None
    return _as_mapping(name, "", document)
