"""Profiles are read strictly: a mistake in one is refused by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from bank_adapters.profile import normalised_label
from config.loading import ConfigRefused
from config.profiles import PROFILE_FOLDER, load_profiles

HARBOUR = (PROFILE_FOLDER / "harbour.yaml").read_text(encoding="utf-8")


def test_the_shipped_profiles_are_all_there() -> None:
    assert [profile.id for profile in load_profiles()] == [
        "abc", "alipay-fund", "alipay-personal", "alipay-trade", "bai2", "boc", "bocom", "camt053", "ccb", "cfonb120", "cmb", "coda", "dayend", "harbour", "icbc", "lotus", "mt940", "norma43", "north-river", "ofx", "psbc", "spdb", "unionpay", "wechat-fund",
        "wechat-personal", "wechat-trade", "wechat-trade-success",
    ]  # fmt: skip


def test_no_two_shipped_profiles_can_claim_the_same_header() -> None:
    tables = [profile for profile in load_profiles() if profile.table is not None]
    for one in tables:
        for other in tables:
            if one is other or one.table is None or other.table is None:
                continue
            required = {normalised_label(column.name) for column in one.table.columns if not column.optional}
            known = {normalised_label(name) for column in other.table.columns for name in column.names}
            needed = {normalised_label(column.name) for column in other.table.columns if not column.optional}
            every = {normalised_label(name) for column in one.table.columns for name in column.names}
            assert required - known or needed - every, f"{one.id} and {other.id}"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("direction: signed", "direction: signed\n  colour: red", "table.colour"),
        ("version: 1", "version: one", "version"),
        ("direction: signed", "direction: sideways", "table.direction"),
        ("field: amount}", "field: amout}", "table.columns[4].field"),
        ("id: harbour\n", "", "id"),
        ("direction: signed", "direction: two_columns", "table.columns"),
        ("{name: txn_time,", "{name: txn_date,", "table.columns"),
        ("version: 1", "version: 1\nversion: 2", "version"),
        ("format: table", "format: mt940", "table"),
        ("{label: account, fact: account}", "{label: account, fact: account, note: x}", "table.preamble[0].note"),
        ('reversal_marks: ["Y"]', "reversal_marks: Y", "table.reversal_marks"),
    ],
)
def test_a_mistake_is_refused_naming_file_and_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in HARBOUR
    (tmp_path / "harbour.yaml").write_text(HARBOUR.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigRefused) as refused:
        load_profiles(tmp_path)
    assert "harbour.yaml" in str(refused.value)
    assert key in str(refused.value)


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(HARBOUR, encoding="utf-8")
    with pytest.raises(ConfigRefused, match=r"two\.yaml.*harbour"):
        load_profiles(tmp_path)
