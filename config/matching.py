"""Loads config/matching_rules.yaml into ``MatchingRules``; refuses unknown keys and patterns that do not compile."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from config.loading import CONFIG_FOLDER, ConfigRefused, Section, parse_section
from reconciliation.matching.references import normalise_text
from reconciliation.matching.rules import MatchingRules, Window


def load_matching_rules(path: Path | None = None) -> MatchingRules:
    """Read the rules from ``path``, or the ones that come with the program.

    ``version`` becomes ``<declared version>+<digest of the file>``, so an edited file never passes for another version.
    Raises ConfigRefused with file and key.
    """
    source = path or CONFIG_FOLDER / "matching_rules.yaml"
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise ConfigRefused(str(source), "", f"cannot be read ({error.strerror})") from None
    top = parse_section(raw, source.name)
    references, texts = top.section("references"), top.section("texts")
    rules = MatchingRules(
        version=f"{top.text('version')}+{hashlib.sha256(raw).hexdigest()[:8]}",
        windows=_windows(top.section("windows")),
        placeholders=frozenset(normalise_text(text) for text in references.texts("placeholders")),
        shortest_reference=references.integer("shortest", least=4, most=35),
        early_days=top.integer("early_days", most=366),
        shared_by_at_most=references.integer("shared_by_at_most", least=1),
        candidates_at_most=top.integer("candidates_at_most"),
        largest_fee_basis_points=top.integer("largest_fee_basis_points", most=10_000),
        our_references=_any_of(references, "ours"),
        reversal=_any_of(texts, "reversal"),
        interest=_any_of(texts, "interest"),
        charge=_any_of(texts, "charge"),
    )
    for section in (top, references, texts):
        section.finish()
    return rules


def _windows(section: Section) -> dict[str, Window]:
    windows: dict[str, Window] = {}
    for kind, values in section.each():
        windows[kind] = Window(values.integer("days", most=366), values.integer("working_days", most=250))
        values.finish()
    if "default" not in windows:
        raise section.refuse("default", "is missing: it is the window of kinds that have none of their own")
    return windows


def _any_of(section: Section, key: str) -> re.Pattern[str]:
    patterns = section.texts(key)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise section.refuse(key, f"{pattern!r} is not a pattern: {error}") from None
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)", re.IGNORECASE)
