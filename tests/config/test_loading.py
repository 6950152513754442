"""Settings files: what is misspelt, repeated or of the wrong type is refused with the file and the key."""

from __future__ import annotations

import re
from datetime import date

import pytest

from config.loading import ConfigRefused, load_section, parse_section


def read_all(text: str, use) -> None:
    section = parse_section(text.encode(), "some.yaml")
    use(section)
    section.finish()


def refusal(text: str, use) -> str:
    with pytest.raises(ConfigRefused) as refused:
        read_all(text, use)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "use", "says"),
    [
        ("a: 1\na: 2", lambda s: s.integer("a"), "some.yaml: line 2: the key 'a' appears twice"),
        ("a: 1.5", lambda s: s.integer("a"), "some.yaml: line 1: 1.5 is a fraction"),
        ("a: 1\nbb: 2", lambda s: s.integer("a"), "some.yaml: bb: is not a known key here; known are: a"),
        ("b: 1", lambda s: s.integer("a"), "some.yaml: a: is missing"),
        ("a: x", lambda s: s.integer("a"), "some.yaml: a: 'x' is not a whole number"),
        ("a: true", lambda s: s.integer("a"), "some.yaml: a: True is not a whole number"),
        ("a: -1", lambda s: s.integer("a"), "some.yaml: a: -1 is not allowed"),
        ("a: 11", lambda s: s.integer("a", most=10), "some.yaml: a: 11 is not allowed; it must be 0 to 10"),
        ("a: 000000", lambda s: s.text("a"), "some.yaml: a: 0 is not text; put it between quotes"),
        ("a: ' '", lambda s: s.text("a"), "some.yaml: a: is blank"),
        ("a: 1", lambda s: s.truth("a"), "some.yaml: a: 1 is neither true nor false"),
        ("a: 2025-02-30", lambda s: s.day("a"), "some.yaml: day is out of range for month"),
        ("a: 2025-02-03T10:00:00", lambda s: s.day("a"), "is not a date such as 2025-03-01"),
        ("a: x", lambda s: s.choice("a", ("y", "z")), "some.yaml: a: 'x' is not one of y, z"),
        ("a: 1", lambda s: s.section("a"), "some.yaml: a: is not a mapping"),
        ("a: [{b: 1}, 2]", lambda s: s.sections("a"), "some.yaml: a[1]: is not a mapping"),
        ("a: [{b: 1}]", lambda s: s.sections("a")[0].finish(), "some.yaml: a[0].b: is not a known key here"),
        ("a: {1: 2}", lambda s: s.section("a"), "some.yaml: a: the key 1 is not text"),
        ("a: [", lambda s: s, "some.yaml: line 1:"),
        ("- a", lambda s: s, "some.yaml: is not a mapping"),
        ("", lambda s: s, "some.yaml: is not a mapping"),
        ("a: !!python/object/apply:os.system [x]", lambda s: s, "some.yaml: line 1:"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(text, use, says):
    assert says in refusal(text, use)


def test_what_is_right_is_read_in_its_type():
    section = parse_section(b"a: x\nb: 3\nc: true\nd: 2025-03-01\ne: [[2025-03-01], 2025-03-02]\nf: [p, q]", "some.yaml")

    assert (section.text("a"), section.integer("b"), section.truth("c"), section.day("d")) == ("x", 3, True, date(2025, 3, 1))
    assert (section.days("e"), section.texts("f")) == ((date(2025, 3, 1), date(2025, 3, 2)), ("p", "q"))
    assert (section.text("g", "default"), section.integer("h", 0), section.truth("i", default=False)) == ("default", 0, False)
    section.finish()


def test_a_file_that_is_not_there_or_not_utf8_is_named(tmp_path):
    with pytest.raises(ConfigRefused, match=re.escape("none.yaml: cannot be read")):
        load_section(tmp_path / "none.yaml")
    (tmp_path / "gbk.yaml").write_bytes("a: 中文".encode("gb18030"))
    with pytest.raises(ConfigRefused, match=re.escape("gbk.yaml: is not UTF-8")):
        load_section(tmp_path / "gbk.yaml")
