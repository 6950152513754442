"""docs/howto/add-a-bank.md followed to the letter, and what profiles may not say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bank_adapters.findings import CATALOGUE, LENIENCIES
from bank_adapters.model import Severity
from bank_adapters.reading import read_statement_file
from config.loading import ConfigRefused
from config.profiles import load_profile, load_profiles
from entrypoints.commands.profile import profile_app

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "add-a-bank.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "export.csv").write_text(block("csv"), encoding="utf-8")
    (tmp_path / "hill-bank.yaml").write_text(block("yaml"), encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(profile_app, ["test", *arguments])
    return result.exit_code, result.output


def test_the_page_works_as_it_says_and_a_bank_takes_fewer_than_forty_lines(folder: Path) -> None:
    assert len(block("yaml").splitlines()) < 40
    code, output = run(str(folder / "export.csv"))
    assert code == 1
    assert "记账日期: booking_date" in output
    assert "id: my-bank" in output
    code, output = run(str(folder / "export.csv"), "--with", str(folder / "hill-bank.yaml"))
    assert code == 0, output
    assert "profile hill-bank" in output
    assert "accepted" in output
    profile = load_profile(folder / "hill-bank.yaml")
    reading = read_statement_file((folder / "export.csv").read_bytes(), "export.csv", [profile])
    (statement,) = reading.statements
    assert (statement.account, statement.account_name, len(statement.lines)) == ("6222021234567890123", "某某培训学校", 2)
    exchanged = (
        block("yaml")
        .replace("in_marks: [贷]", "in_marks: [x]")
        .replace("out_marks: [借]", "out_marks: [贷]")
        .replace("[x]", "[借]")
    )
    (folder / "hill-bank.yaml").write_text(exchanged, encoding="utf-8")
    wrong = read_statement_file((folder / "export.csv").read_bytes(), "export.csv", [load_profile(folder / "hill-bank.yaml")])
    assert not wrong.accepted


def test_the_proposal_is_a_profile_that_loads_once_the_amount_is_named(folder: Path) -> None:
    code, output = run(str(folder / "export.csv"), "--json")
    assert code == 1
    proposal = json.loads(output)["table"]["proposal"]
    path = folder / "start.yaml"
    path.write_text(proposal, encoding="utf-8")
    with pytest.raises(ConfigRefused, match="no column has field amount"):
        load_profile(path)
    path.write_text(proposal.replace('{name: "发生额"}', '{name: "发生额", field: amount}'), encoding="utf-8")
    reading = read_statement_file((folder / "export.csv").read_bytes(), "e", [load_profile(path)])
    assert reading.profile == "my-bank"
    assert [line.amount.plain for line in reading.statements[0].lines][:2] == ["1000.00", "200.00"]
    assert not reading.accepted  # the totals below the table are still taken for rows, and named


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("format: table", "format: table\nleniencies: [balance_identity]", "leniencies"),
        ("format: table", "format: table\nencodings: [gbk18]", "encodings"),
        ("format: table", "format: table\nreversal_sign: inverted", "reversal_sign"),
        ("format: table", "format: table\nqif: {currency: CNY, date_order: YMD}", "qif"),
        ("in_marks: [贷]", "delimiter: ab\n  in_marks: [贷]", "delimiter"),
        ("in_marks: [贷]", "date_formats: [YY-MM-DD]\n  in_marks: [贷]", "date_formats"),
        ("in_marks: [贷]", "date_formats: [DD/MM/YYYY, MM/DD/YYYY]\n  in_marks: [贷]", "date_formats"),
        ("in_marks: [贷]", "thousands: '.'\n  in_marks: [贷]", "thousands"),
        ("in_marks: [贷]", "thousands: x\n  in_marks: [贷]", "thousands"),
        ("in_marks: [贷]", "decimal: ;\n  in_marks: [贷]", "decimal"),
        ("in_marks: [贷]", "time_zone: Asia/Nowhere\n  in_marks: [贷]", "time_zone"),
        ("in_marks: [贷]", "pending_statuses: [x]\n  in_marks: [贷]", "status"),
        ("{starts_with: 合计}", "{starts_with: 合计, totals: sentence}", "pattern"),
        ("{starts_with: 合计}", "{starts_with: 合计, totals: sentence, pattern: '(?P<nothing>x)'}", "pattern"),
        ("{starts_with: 合计}", "{starts_with: 合计, totals: sentence, pattern: '(x'}", "pattern"),
        ("{starts_with: 合计}", "{starts_with: 合计, totals: labelled}", "facts"),
        ("{label: 户名, fact", "{label: 账号, fact", "preamble"),
    ],
)
def test_a_profile_that_cannot_be_meant_is_refused_by_its_key(folder: Path, old: str, new: str, key: str) -> None:
    path = folder / "hill-bank.yaml"
    path.write_text(block("yaml").replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigRefused, match=key):
        load_profile(path)


def test_only_errors_that_leave_the_money_proved_can_be_lowered() -> None:
    for code in LENIENCIES:
        assert CATALOGUE[code][0] is Severity.ERROR
    assert not {code for code in LENIENCIES if code.startswith(("amount", "balance", "running", "date", "direction", "currency"))}


GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("file", "code"),
    [("overdrawn.n43", "record_count"), ("no-line-ends.cfo", "bank_differs"), ("globalised.cod", "closing_account_differs")],
)
def test_a_departure_is_an_error_unless_the_profile_names_it(file: str, code: str) -> None:
    text = (GOLDEN / file).read_text(encoding="latin-1")
    if file.endswith("n43"):
        at = text.index("\n88") + 1
        counted = int(text[at + 20 : at + 26])
        text = f"{text[: at + 20]}{counted + 1:06d}{text[at + 26 :]}"
    elif file.endswith("cod"):
        at = next(i for i in range(len(text)) if text[i - 1 : i + 1] == "\n8")
        text = text[: at + 4] + "X" + text[at + 5 :]
    else:
        at = text.rindex("07", 0, text.rindex("07") + 2)
        text = f"{text[: at + 2]}99999{text[at + 7 :]}"
    shipped = load_profiles()
    strict = read_statement_file(text.encode("latin-1"), "f", [])
    lenient = read_statement_file(text.encode("latin-1"), "f", shipped)
    assert [finding.severity for finding in strict.findings if finding.code == code] == [Severity.ERROR]
    assert [finding.severity for finding in lenient.findings if finding.code == code] == [Severity.WARNING]
    assert not strict.accepted


def test_the_answer_is_given_in_chinese_too(folder: Path) -> None:
    file = str(folder / "export.csv")
    ended, unknown = run(file, "--lang", "zh")
    assert (ended, unknown.splitlines()[0]) == (1, "没有任何格式或版式能读取此文件。")
    assert "如需读取，请编写版式" in unknown
    ended, read = run(file, "--with", str(folder / "hill-bank.yaml"), "--lang", "zh")
    assert ended == 0, read
    assert read.startswith("按 delimited 读取（版式 hill-bank）")
    assert "  对账单 1：账户 " in read
