"""Real statement files against independently read facts. A sample whose own figures do not add up must be refused."""

from __future__ import annotations

import os
import random
import re
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from bank_adapters.model import Direction, LineStatus, Severity, Statement, StatementFileReading
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

ROOT = Path(os.environ.get("ESCROW_CORPUS") or Path(__file__).resolve().parents[2].parent / "shared" / "corpus")
MANIFEST = ROOT / "expected.yaml"
FIXED_WIDTH = ("coda", "cfonb120", "n43")
WALLETS = ("alipay_personal", "wechat_personal")
OWN_FORMATS = ("mt940", "mt942", "camt", "cn_csv", "cn_xls", "bai2", *FIXED_WIDTH, "ofx", *WALLETS)


def entries(*formats: str) -> list[dict[str, Any]]:
    """Manifest entries of these formats; empty when the corpus is absent."""
    if not MANIFEST.is_file():
        return []
    manifest = yaml.load(MANIFEST.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [entry for entry in manifest if entry["format"] in formats]


def number(text: object) -> Decimal:
    return Decimal(str(text).replace(",", ""))


PROFILES = load_profiles()
ENTRIES = entries(*OWN_FORMATS)
pytestmark = pytest.mark.skipif(not MANIFEST.is_file(), reason=f"the corpus of sample files is not at {ROOT} (set ESCROW_CORPUS)")

#: The sample repeats :25: with other content; which one is the account is the finding, not a fact.
REPEATS_ITS_ACCOUNT = "sepa_snippet_broken.sta"


def ids(entry: dict[str, Any]) -> str:
    return f"{entry['format']}-{entry['file'].rsplit('/', 1)[-1].split('__', 2)[-1]}"


def read(entry: dict[str, Any]) -> StatementFileReading:
    return read_statement_file((ROOT / entry["file"]).read_bytes(), entry["file"], PROFILES)


def sums(reading: StatementFileReading) -> tuple[Decimal, Decimal]:
    return moved(*reading.statements)


def moved(*statements: Statement) -> tuple[Decimal, Decimal]:
    """What came in and what went out."""
    lines = [line for statement in statements for line in statement.lines]
    return (
        sum((Decimal(line.exact_amount) for line in lines if line.direction is Direction.IN), Decimal(0)),
        sum((Decimal(line.exact_amount) for line in lines if line.direction is Direction.OUT), Decimal(0)),
    )


def day(text: str | None) -> date | None:
    """A date of the manifest; impossible days (30 February) are clamped to the month's end, as the reader must."""
    if text is None:
        return None
    year, month, number_of_day = (int(part) for part in text[:10].split("-"))
    while True:
        try:
            return date(year, month, number_of_day)
        except ValueError:
            number_of_day -= 1


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_a_file_is_read_or_refused_as_its_facts_say(entry: dict[str, Any]) -> None:
    expected = entry["expected"]
    reading = read(entry)
    errors = [finding for finding in reading.findings if finding.severity is Severity.ERROR]
    assert reading.accepted == (not errors)
    assert all(finding.line or finding.offset for finding in errors)
    if expected["outcome"] in ("reject", "fragment", "integrity_problem", "no_statement"):
        assert not reading.accepted
        return
    stated = expected.get("statements", [])
    if expected.get("all_balanced") is True:
        assert reading.accepted
    if any(statement.get("balanced") is False or statement.get("balanced_book") is False for statement in stated):
        assert not reading.accepted
        assert {"balance_identity", "currency_differs", "amount_decimals"} & {finding.code for finding in errors}


@pytest.mark.parametrize("entry", ENTRIES, ids=ids)
def test_every_line_is_counted_and_summed_by_its_effect(entry: dict[str, Any]) -> None:
    expected = entry["expected"]
    reading = read(entry)
    if "n_statements" in expected and expected["outcome"] == "statements":
        assert len(reading.statements) == expected["n_statements"]
    if expected.get("n_entries") is None or (entry["format"] == "ofx" and expected["outcome"] == "reject"):
        return
    assert sum(len(statement.lines) for statement in reading.statements) == expected["n_entries"]
    incoming, outgoing = sums(reading)
    if "sum_credits" in expected:
        assert (incoming, outgoing) == (number(expected["sum_credits"]), number(expected["sum_debits"]))


def pairs() -> list[Any]:
    return [
        pytest.param(entry, index, id=f"{ids(entry)}-{index}")
        for entry in ENTRIES
        if entry["expected"]["outcome"] == "statements"
        for index, facts in enumerate(entry["expected"].get("statements", []))
        if facts.get("kind") != "INVSTMTRS"  # not read, and said so
    ]


@pytest.mark.parametrize(("entry", "index"), pairs())
def test_a_statement_has_the_stated_account_balances_dates_and_sums(entry: dict[str, Any], index: int) -> None:
    facts = entry["expected"]["statements"][index]
    statement = read(entry).statements[index]
    if facts["account"] is not None and REPEATS_ITS_ACCOUNT not in entry["file"]:
        assert statement.account == facts["account"]
    if facts.get("currency"):
        assert statement.currency == facts["currency"]
    balances = (
        ("opening", statement.opening_balance, statement.opening_finer),
        ("closing", statement.closing_balance, statement.closing_finer),
    )
    for name, balance, finer in () if entry["format"] == "ofx" else balances:
        found = None if balance is None else Decimal(finer or balance.plain)
        assert found == (None if facts.get(name) is None else number(facts[name]))
    if "opening_date" in facts:
        assert statement.opening_date == day(facts["opening_date"])
    if entry["format"] == "ofx":
        assert statement.closing_date == (plain_day(facts["dtend"][:8]) if facts["dtend"] else None)
    else:
        assert statement.closing_date == day(facts.get("closing_date") or facts.get("period_end"))
    assert len(statement.lines) == facts["n_entries"]
    if entry["format"] == "camt":
        camt_facts(statement, facts)
    elif entry["format"] == "ofx":
        ofx_facts(statement, facts)
    elif entry["format"] in FIXED_WIDTH:
        fixed_width_facts(statement, facts)
    else:
        mt940_facts(statement, facts)


def mt940_facts(statement: Statement, facts: dict[str, Any]) -> None:
    if "balanced" in facts:  # pages of one statement stand or fall together, so only "refused" is certain of one page
        assert statement.accepted is False or facts["balanced"] is True
    if facts["reference_20"] is not None:
        assert statement.statement_id == facts["reference_20"]
    if facts["statement_number"]:
        assert (statement.sequence or "") == facts["statement_number"].split("/")[0]
    assert {mark_of(line) for line in statement.lines} == set(facts["marks"])
    if not statement.lines:
        return
    assert statement.lines[0].value_date == day(facts["first_value_date"])
    assert statement.lines[-1].value_date == day(facts["last_value_date"])
    first, line = facts["first_entry"], statement.lines[0]
    assert Decimal(line.amount.plain) == number(first["amount"])
    assert mark_of(line) == first["mark"]
    assert (line.transaction_code or "") == (first["type"] or "").strip()
    customer, _, bank = first["customer_ref_raw"].partition("//")
    assert line.bank_reference == (bank if bank not in ("", "NONREF") else None)
    if customer not in ("", "NONREF", "EREF", "KREF+", "N"):
        assert customer in line.references
    entry_date = first["entry_date_mmdd"]
    if entry_date and entry_date.strip():
        assert f"{line.booking_date:%m%d}" == entry_date
    else:
        assert line.booking_date == line.value_date


def mark_of(line: Any) -> str:
    side = "C" if (line.direction is Direction.IN) != line.reversal else "D"
    return f"R{side}" if line.reversal else side


def camt_facts(statement: Statement, facts: dict[str, Any]) -> None:
    assert {"Stmt": "statement", "Rpt": "intraday", "Ntfctn": "notification"}[facts["kind"]] == statement.kind.value
    assert statement.statement_id == facts["id"]
    assert statement.sequence == (facts["electronic_seq"] or facts["legal_seq"])
    assert statement.page == (None if facts["page"] is None else int(facts["page"]))
    booked = facts["status_counts"].get("BOOK", 0)
    assert sum(line.status is LineStatus.BOOKED for line in statement.lines) == booked
    assert sum(line.reversal for line in statement.lines) == facts["n_reversals"]
    assert {line.amount.currency for line in statement.lines} == set(facts["entry_currencies"])
    if statement.lines:
        assert statement.lines[0].bank_reference == facts["first_entry_acct_svcr_ref"]
        if facts["first_booking_date"]:
            assert statement.lines[0].booking_date == day(facts["first_booking_date"])
            assert statement.lines[-1].booking_date == day(facts["last_booking_date"])


TABLES = [entry for entry in ENTRIES if entry["format"] in ("cn_csv", "cn_xls")]


@pytest.mark.parametrize("entry", TABLES, ids=ids)
def test_a_chinese_export_has_the_stated_dates_order_and_first_and_last_rows(entry: dict[str, Any]) -> None:
    expected = entry["expected"]
    reading = read(entry)
    (statement,) = reading.statements
    days = [line.booking_date for line in statement.lines if line.booking_date]
    assert len(days) == len(statement.lines)
    assert (min(days), max(days)) == (plain_day(expected["min_date"]), plain_day(expected["max_date"]))
    for facts, line in ((expected["first_entry"], statement.lines[0]), (expected["last_entry"], statement.lines[-1])):
        assert line.booking_date == plain_day(facts["date"])
        amount = number(facts["amount"])
        assert Decimal(line.amount.plain) == abs(amount)
        if amount:
            assert line.direction is (Direction.OUT if amount < 0 else Direction.IN)
        if "yyyy" in facts.get("balance", "y"):
            assert line.running_balance is None
        else:
            assert line.running_balance is not None
            assert Decimal(line.running_balance.plain) == number(facts["balance"])
        if "counterparty" in facts:
            assert line.counterparty_name == facts["counterparty"]
        if "time" in facts:
            assert line.booked_at is None or f"{line.booked_at:%H:%M:%S}" == facts["time"]
    if "account" in expected:
        assert statement.account == expected["account"]
    if "order" in expected:
        assert statement.newest_first
    for name in ("opening", "closing"):
        if name in expected:
            assert Decimal(getattr(statement, f"{name}_balance").plain) == number(expected[name])
    if expected.get("balance_chain_ok") == "16/16":
        assert reading.accepted


@pytest.mark.parametrize("entry", entries("bai2"), ids=ids)
def test_a_bai2_file_has_the_stated_accounts_ledgers_and_transactions(entry: dict[str, Any]) -> None:
    statements = read(entry).statements
    assert len(statements) == len(entry["expected"]["accounts"])
    for facts, statement in zip(entry["expected"]["accounts"], statements, strict=True):
        assert statement.account == facts["account"]
        assert statement.currency == facts["currency"].removesuffix("(default)")
        assert statement.closing_date == day(f"20{facts['as_of'][:2]}-{facts['as_of'][2:4]}-{facts['as_of'][4:]}")
        for balance, name in (
            (statement.opening_balance, "opening_ledger_010"),
            (statement.closing_balance, "closing_ledger_015"),
        ):
            assert (None if balance is None else Decimal(balance.plain)) == (None if facts[name] is None else number(facts[name]))
        assert len(statement.lines) == facts["n_entries"]
        assert moved(statement) == (number(facts["sum_credits"]), number(facts["sum_debits"]))
        if first := facts["first_entry"]:
            line = statement.lines[0]
            assert (line.amount.minor_units, line.transaction_code) == (first["amount"], first["code"])
            assert (line.bank_reference or "") == first["bank_ref"]
            assert not first["cust_ref"] or first["cust_ref"] in line.references


def fixed_width_facts(statement: Statement, facts: dict[str, Any]) -> None:
    assert moved(statement) == (number(facts["sum_credits"]), number(facts["sum_debits"]))
    assert not facts.get("statement_number") or statement.sequence == facts["statement_number"]
    first = facts["first_entry"]
    line = statement.lines[0]
    assert line.booking_date == day(first.get("entry_date") or first.get("booking_date"))
    assert line.value_date == day(first["value_date"])
    amount = number(first["amount"])
    assert (Decimal(line.exact_amount), line.direction) == (abs(amount), Direction.OUT if amount < 0 else Direction.IN)
    days = (line.booking_date, statement.lines[-1].booking_date)
    assert days == (
        day(facts.get("first_entry_date") or facts["first_booking_date"]),
        day(facts.get("last_entry_date") or facts["last_booking_date"]),
    )
    if "holder" in facts:
        assert (statement.account_name or "") == facts["holder"].strip()
    for code in (first.get("code"), first.get("op_code")):
        assert not code or line.transaction_code == code
    for reference in (first.get("bank_ref"), first.get("ref2"), first.get("reference")):
        assert not reference or reference in line.references
    for text in (first.get("label"), *first.get("conc", ())):
        assert not text or " ".join(text.split()) in (line.description or "")


def ofx_facts(statement: Statement, facts: dict[str, Any]) -> None:
    assert statement.opening_date == (plain_day(facts["dtstart"]) if facts["dtstart"] else None)
    if statement.closing_balance is not None:
        assert Decimal(statement.closing_balance.plain) == number(facts["ledger_balance"])
        assert facts["ledger_date"][:8] == facts["dtend"][:8]
    else:
        assert statement.kind.value == "intraday"
    if first := facts["first_entry"]:
        line = statement.lines[0]
        amount = number(first["amount"])
        assert (Decimal(line.amount.plain), line.direction) == (abs(amount), Direction.OUT if amount < 0 else Direction.IN)
        assert line.booking_date == plain_day(first["dtposted"][:8])
        assert (line.bank_reference or "", line.transaction_code) == (first["fitid"], first["trntype"])
        assert moved(statement) == (number(facts["sum_credits"]), number(facts["sum_debits"]))


RECORD_FORMATS = entries("bai2", *FIXED_WIDTH, "ofx")


@pytest.mark.parametrize("entry", RECORD_FORMATS, ids=ids)
def test_no_damage_to_a_file_raises_and_no_cut_loses_lines_unseen(entry: dict[str, Any]) -> None:
    data = (ROOT / entry["file"]).read_bytes()
    chance = random.Random(entry["file"])
    base = read_statement_file(data, entry["file"], PROFILES)
    count = sum(len(statement.lines) for statement in base.statements)
    for _ in range(20):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] = chance.randrange(256)
        again = read_statement_file(bytes(damaged), entry["file"], PROFILES)
        assert "internal_error" not in {finding.code for finding in again.findings}
        cut = read_statement_file(data[: chance.randrange(len(data))], entry["file"], PROFILES)
        assert "internal_error" not in {finding.code for finding in cut.findings}
        if entry["format"] == "cfonb120":  # nothing in it says how many statements a file has
            assert not cut.accepted or cut.statements == base.statements[: len(cut.statements)]
        else:
            assert not cut.accepted or sum(len(statement.lines) for statement in cut.statements) == count


def plain_day(text: str) -> date:
    digits = "".join(char for char in text.split(maxsplit=1)[0] if char.isdigit())
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))


WALLET_DIRECTIONS = {"收入": Direction.IN, "支出": Direction.OUT, "不计收支": Direction.NONE, "/": Direction.NONE}


@pytest.mark.parametrize("entry", entries(*WALLETS), ids=ids)
def test_a_wallet_export_counts_what_moved_and_lists_what_did_not(entry: dict[str, Any]) -> None:
    expected = entry["expected"]
    reading = read(entry)
    assert reading.accepted
    assert (reading.encoding or reading.format) == expected["encoding"]
    (statement,) = reading.statements
    assert (statement.kind.value, statement.line) == ("intraday", expected["header_line"])
    assert statement.account == expected.get("account")
    neutral = [line for line in statement.lines if line.direction is Direction.NONE]
    assert len(neutral) == expected["neutral_rows"]
    assert sum(Decimal(line.amount.plain) for line in neutral) == number(expected["neutral_sum"])
    assert all(line.status is LineStatus.INFORMATION for line in neutral)
    moments = [f"{line.booked_at:%Y-%m-%d %H:%M:%S}" for line in statement.lines if line.booked_at]
    assert (min(moments), max(moments)) == (expected["min_date"], expected["max_date"])
    if "closed_rows" in expected:
        closed = [line for line in statement.lines if "交易关闭" in (line.source or "")]
        assert len(closed) == expected["closed_rows"]
        assert all(line.status is LineStatus.INFORMATION for line in closed)
    for facts, line in ((expected["first_entry"], statement.lines[0]), (expected["last_entry"], statement.lines[-1])):
        assert f"{line.booked_at:%Y-%m-%d %H:%M:%S}" == facts["date"]
        assert line.direction is WALLET_DIRECTIONS[facts["direction"]]
        assert Decimal(line.amount.plain) == number(facts["gross"]) == abs(number(facts["amount"]))
        assert line.bank_reference == facts["order"].strip()
        assert facts["status"] in (line.source or "")
        assert facts.get("type", line.transaction_code) == line.transaction_code


def test_small_files_are_read_quickly() -> None:
    started = time.perf_counter()
    for entry in ENTRIES:
        read(entry)
    assert time.perf_counter() - started < 0.05 * len(ENTRIES)


COPIES = [("utf-8", "\r"), ("utf-8", "\r\n"), ("utf-8-sig", "\n"), ("utf-16", "\r\n"), ("utf-16-le", "\r"), ("gb18030", "\r\n")]


@pytest.mark.parametrize(("encoding", "line_end"), COPIES)
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if not entry["file"].endswith((".xls", ".xlsx"))], ids=ids)
def test_re_encoded_copies_give_the_same_answer(entry: dict[str, Any], encoding: str, line_end: str) -> None:
    data = (ROOT / entry["file"]).read_bytes()
    base = read_statement_file(data, entry["file"], PROFILES)
    if base.encoding not in ("utf-8", "utf-8-sig"):
        pytest.skip(f"the sample is in {base.encoding}: another encoding of it is another text")
    text = data.decode("utf-8-sig")
    if encoding == "gb18030" and any("\x80" <= char < "\u2e80" or char == "\ufffd" for char in text):
        pytest.skip("a Western or damaged text is not one a Chinese bank would send in GB18030")
    copy = line_end.join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).encode(encoding)
    again = read_statement_file(copy, entry["file"], PROFILES)
    assert again.statements == base.statements
    assert again.accepted == base.accepted
    kept = [finding for finding in again.findings if finding.code != "encoding_guessed"]
    assert kept == [finding for finding in base.findings if finding.code != "encoding_guessed"]


@pytest.mark.parametrize("version", range(1, 14))
@pytest.mark.parametrize("entry", entries("camt"), ids=ids)
def test_a_camt_file_says_the_same_under_the_namespace_of_each_version(entry: dict[str, Any], version: int) -> None:
    data = (ROOT / entry["file"]).read_bytes()
    base = read_statement_file(data, entry["file"], PROFILES)
    copy, changed = re.subn(rb"(camt\.05[234])\.001\.\d\d", rb"\g<1>.001.%02d" % version, data)
    assert changed, "the sample names its version"
    again = read_statement_file(copy, entry["file"], PROFILES)
    assert (again.accepted, again.profile, again.statements) == (base.accepted, base.profile, base.statements)
    assert [(one.code, one.line, one.field) for one in again.findings] == [
        (one.code, one.line, one.field) for one in base.findings
    ]
