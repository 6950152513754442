"""Refusals are told in the language of --lang or ESCROW_LANG, with the commands that take what stands in the way out of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.escrow.conftest import District

ACTS = (
    (("--as", "auditor.wu", "hold", "place", "--order", "OD1", "--reason", "x"), "无权执行", "may not do"),
    (
        ("--as", "zhang.prepare", "hold", "place", "--order", "OD1", "--reason", "x"),
        "名为 OD1 的订单有 0 个",
        "no orders are called",
    ),
    (("--as", "zhang.prepare", "hold", "lift", "7", "--prepare", "--reason", "x"), "冻结 7 未生效", "no hold 7 is in force"),
    (("--as", "zhang.prepare", "ledger", "close-period", "2999-01"), "尚未结束", "is not over"),
    (("--as", "nobody", "discrepancy", "list"), "没有用户", "no user 'nobody'"),
)


@pytest.fixture
def district(books: Engine) -> Engine:
    """An institution with its accounts."""
    with books.begin() as connection:
        District(connection).found(1)
    return books


def run(books_url: str, folder: Path, *words: str, lang: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"ESCROW_DATABASE_URL": books_url, "ESCROW_DATA": str(folder), "PATH": "", "PYTHONIOENCODING": "utf-8"}
    if lang:
        environment["ESCROW_LANG"] = lang
    command = [sys.executable, "-m", "entrypoints.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)


@pytest.mark.parametrize(("words", "zh", "en"), ACTS)
def test_a_refusal_speaks_the_language_it_was_asked_in(
    district: Engine, books_url: str, tmp_path: Path, words: tuple[str, ...], zh: str, en: str
) -> None:
    assert district

    in_chinese = run(books_url, tmp_path, *words, lang="zh")
    in_english = run(books_url, tmp_path, *words)

    assert (in_chinese.returncode, in_english.returncode) == (1, 1)
    assert in_chinese.stderr.startswith("错误：")
    assert zh in in_chinese.stderr
    assert in_english.stderr.startswith("error: ")
    assert en in in_english.stderr
    assert not re.search("[\u4e00-\u9fff]", in_english.stderr)


def test_the_option_before_or_behind_the_command_wins_over_the_environment(
    district: Engine, books_url: str, tmp_path: Path
) -> None:
    assert district
    lift = ("--as", "zhang.prepare", "hold", "lift", "7", "--prepare", "--reason", "x")

    for words, lang in ((("--lang", "zh", *lift), None), ((*lift, "--lang", "zh"), None), ((*lift, "--lang", "zh"), "en")):
        assert run(books_url, tmp_path, *words, lang=lang).stderr.startswith("错误：冻结 7 未生效"), words


def test_a_language_nobody_speaks_is_wrong_usage(books_url: str, tmp_path: Path) -> None:
    answer = run(books_url, tmp_path, "hold", "list", lang="fr")

    assert answer.returncode == 2
    assert "'fr' is not one of 'en', 'zh'" in answer.stderr
