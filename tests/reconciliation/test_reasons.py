"""Every reason that can be given for what became of a statement is told in English and in Chinese, from what the books keep."""

from __future__ import annotations

import ast
import json
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

import reconciliation
from bank_adapters.model import Direction
from bank_adapters.writing.mt940 import write_mt940
from jobs.receipts import receipt_text
from reconciliation.quarantine import refused_for_good
from reconciliation.quarantine_store import held
from reconciliation.reasons import WORDS, Reason, ReasonCode, because, from_store, to_store, told
from tests.reconciliation.conftest import MONDAY, TUESDAY

if TYPE_CHECKING:
    from tests.reconciliation.conftest import Town

MADE_ELSEWHERE = (ReasonCode.TOLD, ReasonCode.KEPT_IN_ENGLISH)
OURS = [code for code in ReasonCode if code not in MADE_ELSEWHERE]
#: What may stand in Latin letters in a Chinese sentence: facts, commands and the code of a kind.
NOT_WORDS = re.compile(r"\{\w+\}|escrow [a-z-]+ [a-z-]+( FILE)?|escrow parse FILE|--sender|STATEMENT_GAP")


def names(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


def reasons_made() -> list[tuple[str, ReasonCode, set[str]]]:
    """Every ``because(ReasonCode.X, fact=...)`` of the package: where, which codes, which facts."""
    found = []
    for path in sorted(Path(reconciliation.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "because":
                codes = [one.attr for one in ast.walk(node.args[0]) if isinstance(one, ast.Attribute)]
                given = {one.arg or "" for one in node.keywords}
                codes = codes or ["RESTATES_WHAT_WAITS", "RESTATES_WHAT_COUNTS"]  # chosen before, see taking._chain
                found += [(f"{path.name}:{node.lineno}", ReasonCode[code], given) for code in codes]
    return found


def test_every_code_is_made_somewhere_with_just_the_facts_its_sentences_name() -> None:
    made = reasons_made()
    assert {code for _, code, _ in made} | {ReasonCode.TOLD} == set(ReasonCode)
    assert [where for where, code, given in made if given != names(WORDS[code].en) | names(WORDS[code].zh)] == []


@pytest.mark.parametrize("code", OURS)
def test_both_languages_tell_the_same_facts_and_chinese_is_chinese(code: ReasonCode) -> None:
    words = WORDS[code]
    assert names(words.en) >= names(words.zh)
    assert names(words.en) - names(words.zh) <= {"number"}, "a number may be said once less"
    assert re.search("[\u4e00-\u9fff]", words.zh)
    assert re.findall("[A-Za-z]+", NOT_WORDS.sub("", words.zh)) == []
    assert re.search("[\u4e00-\u9fff]", words.en) is None


@pytest.mark.parametrize("code", OURS)
def test_a_reason_kept_and_read_again_says_the_same(code: ReasonCode) -> None:
    one = because(code, **dict.fromkeys(names(WORDS[code].en), "{7}"))
    (again,) = from_store(json.loads(json.dumps(to_store([one]))), [one.en])
    assert (again, again.en, again.zh) == (one, one.en, one.zh)
    assert "{7}" in one.zh or not names(WORDS[code].zh), "a fact with braces is text, not a fact of its own"


def test_what_was_stored_before_codes_were_stays_readable() -> None:
    (old,) = from_store(None, ["it is number 9"])
    assert (old.en, old.zh) == ("it is number 9", "（仅存英文）it is number 9")
    assert told("wrong", None).zh == "（仅存英文）wrong"
    assert told("wrong", "有误").zh == "有误"


def chinese(reasons: tuple[Reason, ...]) -> list[str]:
    return [one.zh for one in reasons]


def test_the_receipt_and_the_quarantine_tell_chinese_from_what_was_kept(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (Direction.IN, 500, "")))
    receipt = town.deliver(town.restate(MONDAY, (Direction.IN, 600, ""), opening=0, sequence=1), name="r.sta")
    (shown,) = json.loads(receipt_text(receipt))["statements"]
    assert shown["reasons_zh"][0] == "2025-03-03 的另一份内容不同的对账单已先到并已计入；请银行确认以哪份为准"
    assert len(shown["reasons_zh"]) == len(shown["reasons"]) == 2
    with town.engine.connect() as conn:
        (one,) = held(conn)
    assert chinese(one.reasons) == shown["reasons_zh"][:1]


def test_what_was_refused_for_good_is_told_in_chinese_also_when_nothing_could_be_read(town: Town) -> None:
    broken = write_mt940([town.statement(MONDAY, (Direction.IN, 500, ""))]).replace(b"C250303CNY5,00", b"C250303CNY6,00")
    town.deliver_bytes(broken, "broken.sta")
    town.deliver_bytes(b"nothing at all", "junk.txt")
    with town.engine.connect() as conn:
        found = {one.file_name: one.reasons for one in refused_for_good(conn, MONDAY, MONDAY.replace(day=31))}
    assert set(found) == {"broken.sta", "junk.txt"}
    for reasons in found.values():
        assert reasons
        assert not any("仅存英文" in said for said in chinese(reasons))


def test_a_row_written_by_the_program_before_is_told_in_english(town: Town) -> None:
    town.deliver(town.statement(MONDAY, (Direction.IN, 500, "")))
    town.deliver(town.statement(TUESDAY, (Direction.IN, 1, "")), sender="NRB")
    copied = (
        "INSERT INTO quarantined_statement (statement_file_id, position_in_file, gate, account, held_account_id, business_date,"
        " statement_digest, reasons, held_at) SELECT statement_file_id, position_in_file, 'unproved', account, held_account_id,"
        " business_date, statement_digest, ARRAY['its digest does not fit'], held_at FROM quarantined_statement"
    )
    with town.engine.begin() as conn:
        conn.execute(text(copied))
        new, old = held(conn)
    assert chinese(new.reasons)[0].startswith("账户 6222000000000017 开立在")
    assert [one.en for one in old.reasons] == ["its digest does not fit"]
