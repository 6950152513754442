"""Imports: every bad row named with line and reason, good rows kept, nothing twice."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as database_event
from sqlalchemy import text

from escrow import import_reading, store
from escrow.class_hour import REPORTED_EVENTS
from escrow.import_layouts import CLASS_HOURS, LAYOUTS, ORDERS, read_file


def found(report) -> list[tuple[int, str, str]]:
    return [(finding.line, finding.field, finding.code) for finding in report.findings]


def as_csv(rows: list[dict], **options) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), **options)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


def test_good_rows_are_kept_and_every_bad_one_is_named(school):
    rows = [
        school.order_row("OK1"),
        school.order_row("BAD1", amount="10.005"),
        school.order_row("BAD2", amount="1e3"),
        school.order_row("BAD3", amount="0.00"),
        school.order_row("BAD4", amount="-5.00"),
        school.order_row("BAD5", paid_at="2025-03-03T10:00:00"),
        school.order_row("BAD6", course_starts_on="2025-02-30"),
        school.order_row("BAD7", currency="USD"),
        school.order_row("BAD8", channel="cash"),
        school.order_row("BAD9", account_number="6222999999999999"),
        school.order_row("BAD10", class_hours="0"),
        school.order_row("BAD11") | {"order_id": "BAD 11"},
        school.order_row("BAD12", course_name=""),
        school.order_row(
            "BAD13", course_starts_on="2025-05-01", course_ends_on="2025-04-01", paid_at="2025-04-20T10:00:00+08:00"
        ),
        school.order_row("BAD14", paid_at="2023-12-31T23:00:00+08:00"),
        school.order_row(
            "BAD15", paid_at="2026-06-03T10:00:00+08:00", course_starts_on="2026-06-05", course_ends_on="2026-07-05"
        ),
        school.order_row("OK2", course_name="=HYPERLINK(1)"),
    ]

    report = school.import_orders(as_csv(rows))

    assert (report.rows, report.accepted, report.refused) == (17, 2, 15)
    assert found(report) == [
        (3, "amount", "bad_amount"),
        (4, "amount", "bad_amount"),
        (5, "amount", "bad_amount"),
        (6, "amount", "bad_amount"),
        (7, "paid_at", "bad_instant"),
        (8, "course_starts_on", "bad_date"),
        (9, "currency", "currency"),
        (10, "channel", "unknown_channel"),
        (11, "account_number", "unknown_account"),
        (12, "class_hours", "bad_number"),
        (13, "order_id", "bad_identifier"),
        (14, "course_name", "missing"),
        (15, "course_ends_on", "dates_out_of_order"),
        (16, "paid_at", "account_not_open"),
        (17, "paid_at", "in_the_future"),
    ]
    kept = school.conn.execute(
        text("SELECT course_name, source_line, source_file_sha256 FROM orders WHERE order_id = 'OK2'")
    ).one()
    assert kept.course_name == "=HYPERLINK(1)"  # text that looks like a formula stays the text it is
    assert (kept.source_line, kept.source_file_sha256.hex()) == (18, report.sha256)


def test_an_unknown_institution_is_named(school):
    report = school.import_orders([school.order_row("ORD1", number=2)])

    assert found(report) == [(1, "institution_code", "unknown_institution")]


def test_the_same_file_again_changes_nothing(school):
    rows = [school.order_row(f"ORD{n}") for n in range(5)]
    first = school.import_orders(rows)
    before = [school.count(table) for table in ("orders", "prepayment", "transfer", "open_item")]

    second = school.import_orders(as_csv(rows))  # the same rows in another format

    assert (first.accepted, second.accepted, second.repeated, second.refused) == (5, 0, 5, 0)
    assert before == [school.count(table) for table in ("orders", "prepayment", "transfer", "open_item")]


def test_a_second_payment_of_an_order_is_refused_by_name_and_the_first_stays(school):
    school.paid("ORD1", amount="1000.00")
    same_file = [
        school.order_row("ORD2"),
        school.order_row("ORD2"),
        school.order_row("ORD2", channel_reference="other"),
    ]

    later = school.import_orders([school.order_row("ORD1", channel_reference="4200099", amount="1000.00")])
    together = school.import_orders(same_file)

    assert found(later) == [(1, "order_id", "other_content")]
    assert "ORD1" in later.findings[0].reason
    assert (together.accepted, together.repeated, found(together)) == (1, 1, [(3, "order_id", "other_content")])
    assert school.count("orders") == 2
    kept = school.conn.execute(text("SELECT reason, subject FROM import_finding ORDER BY import_report_id")).first()
    assert kept.subject[1] == "ORD1"


def test_each_broken_limit_has_its_own_code(school):
    # Test vector 6, through a file: 61 hours; 5000.01 yuan; 3 months and a day; 32 days ahead.
    report = school.import_orders(
        [
            school.order_row("A", class_hours="61"),
            school.order_row("B", amount="5000.01"),
            school.order_row("C", course_starts_on="2025-03-05", course_ends_on="2025-06-06"),
            school.order_row("D", course_starts_on="2025-04-04", course_ends_on="2025-05-04"),
        ]
    )

    assert [finding.code for finding in report.findings] == [
        "P02_class_hours_over_limit",
        "P03_amount_over_limit",
        "P01_period_over_limit",
        "P04_charged_too_early",
    ]


def test_a_second_contract_on_the_same_day_does_not_defeat_the_limit(school):
    # Test vector 7.
    rows = [
        school.order_row("B", student_token="S1", class_hours="40", paid_at="2025-03-03T12:00:00+08:00"),
        school.order_row("A", student_token="S1", class_hours="40", paid_at="2025-03-03T13:00:00+08:00"),
        school.order_row("C", student_token="S1", class_hours="20", paid_at="2025-03-03T14:00:00+08:00"),
        school.order_row("D", student_token="S1", class_hours="40", course_name="围棋"),
        school.order_row("E", student_token="S2", class_hours="40"),
    ]

    report = school.import_orders(rows)
    after = school.import_orders([school.order_row("F", student_token="S1", class_hours="1")])

    assert found(report) == [(2, "class_hours", "P05_outstanding_over_limit")]  # the later payment, and only it
    assert found(after) == [(1, "class_hours", "P05_outstanding_over_limit")]


def test_taught_class_hours_make_room_under_the_outstanding_cap(school):
    school.paid("A", student_token="S1", class_hours="60")
    refused = school.import_orders([school.order_row("B", student_token="S1", class_hours="5")])
    school.taught("A", [1, 2, 3, 4, 5], "2025-03-05")
    taken = school.import_orders([school.order_row("B", student_token="S1", class_hours="5")])

    assert (refused.refused, taken.accepted) == (1, 1)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(school, seed):
    rng = random.Random(seed)
    number = school.count("import_report")
    rows = [
        school.order_row(
            f"N{number}-{n}", student_token=f"S{number}-{n % 4}", class_hours="25", paid_at=f"2025-03-03T{10 + n}:00:00+08:00"
        )
        for n in range(12)
    ]
    shuffled = rng.sample(rows, len(rows))
    in_order = {row["order_id"] for row in rows[:8]}  # two of 25 hours fit under 60, the third of each student does not

    report = school.import_orders(shuffled)

    assert report.accepted == 8
    taken = school.conn.execute(text("SELECT order_id FROM orders WHERE order_id LIKE :p"), {"p": f"N{number}-%"}).scalars().all()
    assert set(taken) == in_order


# -- files that are no files -----------------------------------------------------------------------------------------------
def refused_whole(school, data: bytes) -> list[tuple[int, str, str]]:
    report = school.import_orders(data)
    assert (report.rows, report.accepted, report.all_taken) == (0, 0, False)
    return found(report)


def test_a_file_that_cannot_be_read_at_all_says_why(school, monkeypatch):
    header = ",".join(ORDERS.columns).encode()
    assert refused_whole(school, b"") == [(0, "", "file_empty")]
    assert refused_whole(school, b"\n \n") == [(0, "", "file_empty")]
    assert refused_whole(school, header.decode().encode("utf-16")) == [(0, "", "not_utf8")]
    assert refused_whole(school, header + b",note\n") == [(1, "note", "unknown_column")]
    assert refused_whole(school, header.replace(b"amount,", b"") + b"\n") == [(1, "amount", "missing_column")]
    assert refused_whole(school, header + b",order_id\n") == [(1, "order_id", "repeated_column")]
    monkeypatch.setattr(import_reading, "LARGEST_FILE_BYTES", 10)
    assert refused_whole(school, header) == [(0, "", "file_too_large")]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"{1:F01BANKCNBJAXXX0000000000}{4:\n:20:X\n", "escrow statement receive FILE --sender BANK"),
        (b"<?xml version='1.0'?><Document/>", "escrow statement receive FILE --sender BANK"),
        (b"PK\x03\x04....", "save the sheet as CSV"),
        (b"[{}]", "one object a line"),
        (b"\x00\x01\x02\x03", "CSV (UTF-8) with a header line"),
        (b"account;order;amount\n1;2;3\n", "save the file with commas"),
        ("交易日期,借方,贷方\n".encode(), "this does not look like a file of orders"),
        (",".join(CLASS_HOURS.columns).encode() + b"\n", "take it with: escrow import class-hours FILE"),
        (json.dumps(dict.fromkeys(CLASS_HOURS.columns, "x")).encode() + b"\n", "take it with: escrow import class-hours FILE"),
    ],
)
def test_the_wrong_kind_of_file_is_one_finding_that_says_what_to_do(school, data, told):
    report = school.import_orders(data * 3)

    (only,) = report.findings
    assert told in only.reason
    assert (report.file_refused, only.refused) == (True, True)


def test_too_many_rows_are_refused(school, monkeypatch):
    monkeypatch.setattr(import_reading, "MOST_ROWS", 2)
    rows = [school.order_row(f"O{n}") for n in range(3)]

    assert refused_whole(school, school.lines(rows)) == [(3, "", "too_many_rows")]


def test_one_broken_line_spoils_no_other(school):
    good = [as_csv([school.order_row(f"OK{n}")]).split(b"\r\n")[1] for n in range(2)]
    header = as_csv([school.order_row()]).split(b"\r\n")[0]
    broken = [
        good[0] + b",more",
        b'"' + good[0],
        good[0].replace("书法".encode(), "书法".encode("gb18030")),
        good[0].replace(b"payer", b"pa\0yer"),
        good[0].replace("书法".encode(), "书\u202e法".encode()),
        good[0] + b"x" * 20_000,
    ]
    data = b"\xef\xbb\xbf" + b"\r\n".join([header, good[0], b"", *broken, good[1], b""])

    report = school.import_orders(data)

    assert (report.rows, report.accepted) == (8, 2)
    assert [(line, code) for line, _, code in found(report)] == [
        (4, "ragged_row"),
        (5, "broken_quotes"),
        (6, "not_utf8"),
        (7, "nul_byte"),
        (8, "control_character"),
        (9, "line_too_long"),
    ]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"order_id": 1.5}', "not_text"),
        (b'{"order_id": NaN}', "not_text"),
        (b'{"order_id": true}', "not_text"),
        (b'{"order_id": ["a"]}', "not_text"),
        (b'{"order_id": "a", "order_id": "b"}', "repeated_column"),
        (b'{"no_such": "a"}', "unknown_column"),
        (b'{"order_id": "a"}', "missing_column"),
        (b"{", "not_json"),
        (b"[1]", "not_json"),
        (b"[" * 5000, "not_json"),
    ],
)
def test_a_json_line_that_is_no_row_is_named(line, code):
    reading = read_file(b'{"order_id": 1.5}\n' + line, ORDERS)

    assert [finding.code for finding in reading.findings] == ["not_text", code]


def test_half_a_character_in_json_is_refused_and_can_be_reported(school):
    row = json.dumps(school.order_row()).replace("payer-ORD1", "\\ud800").encode()

    assert found(school.import_orders(row)) == [(1, "payer_token", "bad_identifier")]


# -- the other files -------------------------------------------------------------------------------------------------------
def test_institutions_are_taken_once_and_open_their_accounts_books(district):
    rows = [
        district.institution_row(1),
        district.institution_row(2),
        district.institution_row(1, account_number="6222000000999999"),
    ]
    first = district.import_institutions(rows)
    second = district.import_institutions(rows)

    assert (first.accepted, second.repeated, district.count("institution"), district.count("custody_account")) == (3, 3, 2, 3)
    kinds = district.conn.execute(text("SELECT count(*) FROM account GROUP BY custody_account_id")).scalars().all()
    assert kinds == [13, 13, 13]  # ten kinds of their own, and receipts in transit of three channels
    assert [account.bank_code for account in store.custody_accounts(district.conn, bank_code="NRB")] == ["NRB"] * 3


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"bank_code": "XXX"}, ("bank_code", "unknown_bank")),
        ({"jurisdiction_code": "999999"}, ("jurisdiction_code", "unknown_jurisdiction")),
        ({"currency": "USD"}, ("currency", "currency")),
        ({"institution_code": "913301060000000011"}, ("institution_code", "bad_institution_code")),
        ({"beneficiary_account": "6222 1234"}, ("beneficiary_account", "bad_account_number")),
    ],
)
def test_an_institution_that_cannot_be_is_named(district, changes, finding):
    report = district.import_institutions([district.institution_row() | changes])

    assert [(one.field, one.code) for one in report.findings] == [finding]


def test_what_is_known_of_an_institution_is_not_changed_by_a_file(school):
    other_beneficiary = school.import_institutions([school.institution_row(beneficiary_account="9559999999999999")])
    other_name = school.import_institutions([school.institution_row(account_number="6222000000777777", name="别名")])
    others_account = school.import_institutions([school.institution_row(2, account_number="6222000000000001")])
    same_ending = school.import_institutions([school.institution_row(1, account_number="9999000000000001")])

    assert [one.findings[0].code for one in (other_beneficiary, other_name, others_account, same_ending)] == [
        "other_content",
        "other_content",
        "account_of_another",
        "same_ending",
    ]


def test_class_hours_in_any_order_of_rows_and_files_end_the_same(school):
    school.paid("A")
    school.paid("B")
    events = [
        (1, "taught", "2025-03-05"),
        (1, "disputed", "2025-03-06"),
        (1, "dispute_withdrawn", "2025-03-07"),
        (1, "confirmed", "2025-03-08"),
    ]
    one_file = [school.event_row("A", hour, event, on) for hour, event, on in reversed(events)]

    assert school.import_class_hours(one_file).accepted == 4
    for hour, event, on in events:
        assert school.import_class_hours([school.event_row("B", hour, event, on)]).accepted == 1


def test_class_hour_reports_that_cannot_be_true_are_named(school):
    school.paid("A", class_hours="10")
    school.taught("A", [1, 2, 3], "2025-03-05")
    school.reported("A", 2, "disputed", "2025-03-06")
    school.reported("A", 3, "disputed", "2025-03-06")
    school.reported("A", 3, "dispute_upheld", "2025-03-07")
    rows = [
        school.event_row("A", 11, "taught", "2025-03-06"),
        school.event_row("A", 4, "confirmed", "2025-03-06"),
        school.event_row("A", 1, "confirmed", "2025-03-04"),
        school.event_row("A", 2, "confirmed", "2025-03-07"),
        school.event_row("A", 1, "dispute_upheld", "2025-03-07"),
        school.event_row("A", 3, "dispute_withdrawn", "2025-03-08"),
        school.event_row("A", 5, "taught", "2025-03-02"),
        school.event_row("A", 5, "taught", "2026-06-05"),
        school.event_row("A", 1, "taught", "2025-03-06"),
        school.event_row("NONE", 1, "taught", "2025-03-06"),
        school.event_row("A", 1, "deemed_confirmed", "2025-03-06"),
        school.event_row("A", 1, "taught", "2025-03-05")
        | {"event_at": school.event_row("A", 1, "taught", "2025-03-05")["event_at"]},
    ]

    report = school.import_class_hours(rows)

    assert {(finding.line, finding.code) for finding in report.findings} == {
        (1, "class_hour_not_sold"),
        (2, "not_taught"),
        (3, "before_taught"),
        (4, "disputed"),
        (5, "not_disputed"),
        (6, "dispute_settled"),
        (7, "before_paid"),
        (8, "other_content"),
        (9, "other_content"),
        (10, "unknown_order"),
        (11, "unknown_event"),
        (12, "other_content"),
    }


def test_a_class_hour_cannot_be_disputed_once_its_money_is_released(school):
    school.paid("A")
    school.bank_shows("A")
    school.taught("A", 1, "2025-03-05")
    school.confirmed("A", 1, "2025-03-05")
    school.released("2025-03-05")

    report = school.import_class_hours([school.event_row("A", 1, "disputed", "2025-03-06")])

    assert [finding.code for finding in report.findings] == ["already_released"]


def test_refund_requests_that_cannot_be_are_named(school):
    school.paid("A")
    good = school.request_row("R1", "A", "2025-03-05", agreed_on="2025-03-06")
    report = school.import_refund_requests(
        [
            good,
            school.request_row("R2", "A", "2025-03-01"),
            good | {"refund_request_id": "R3", "responded_at": None},
            good | {"refund_request_id": "R4", "responded_at": "2025-03-04T10:00:00+08:00"},
            good | {"refund_request_id": "R5", "order_id": "NONE"},
            good | {"refund_request_id": "R6", "institution_response": "no"},
        ]
    )

    assert [(finding.line, finding.code) for finding in report.findings] == [
        (2, "before_paid"),
        (3, "response_without_date"),
        (4, "dates_out_of_order"),
        (5, "unknown_order"),
        (6, "unknown_response"),
    ]
    assert school.import_refund_requests([good]).repeated == 1
    assert school.import_refund_requests([good | {"reason": "other"}]).findings[0].code == "other_content"


def settlement_row(school, order_id: str, **changes) -> dict:
    order = school.order_row(order_id)
    return {
        "channel": "wechat",
        "settlement_batch": "WX20250304",
        "settled_on": "2025-03-04",
        "institution_code": order["institution_code"],
        "account_number": order["account_number"],
        "order_id": order_id,
        "channel_reference": order["channel_reference"],
        "gross": "1000.00",
        "fee": "0.00",
        "net": "1000.00",
    } | changes


def test_a_settlement_batch_says_which_orders_arrive_as_one_bank_line(school):
    for order_id in ("A", "B"):
        school.paid(order_id)
    rows = [settlement_row(school, "A", fee="6.00", net="994.00"), settlement_row(school, "B")]

    assert school.import_settlements(rows).accepted == 2
    assert school.import_settlements(rows).repeated == 2
    (batch,) = store.settlement_batches(school.conn)
    assert (batch.gross_minor_units, batch.fee_minor_units, batch.net_minor_units, batch.item_count) == (200_000, 600, 199_400, 2)
    account_id = batch.custody_account_id
    receipts = store.settled_receipts(school.conn, custody_account_id=account_id)
    assert [(one.order_id, one.settlement_batch, one.fee_minor_units) for one in receipts] == [
        ("A", "WX20250304", 600),
        ("B", "WX20250304", 0),
    ]

    school.bank_shows("A")
    assert [one.order_id for one in store.settled_receipts(school.conn, custody_account_id=account_id)] == ["B"]


def test_a_batch_counts_with_the_rows_we_cannot_take_and_never_changes(school):
    for order_id in ("A", "B", "C"):
        school.paid(order_id)
    rows = [
        settlement_row(school, "A"),
        settlement_row(school, "A", channel_reference="second-payment"),
        settlement_row(school, "B", gross="999.00", net="999.00"),
        settlement_row(school, "UNKNOWN"),
        settlement_row(school, "C", net="999.00"),
    ]

    report = school.import_settlements(rows)
    later = school.import_settlements([settlement_row(school, "C")])

    assert [(finding.line, finding.code) for finding in report.findings] == [
        (2, "other_payment"),
        (3, "other_amount"),
        (4, "unknown_order"),
        (5, "net_differs"),
    ]
    (batch,) = store.settlement_batches(school.conn)
    assert (batch.item_count, batch.gross_minor_units) == (4, 399_900)
    assert [finding.code for finding in later.findings] == ["batch_other_content"]


def test_a_thousand_orders_take_as_many_statements_as_ten(school):
    statements = []
    database_event.listen(school.conn.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    rows = [school.order_row(f"ORD{n}") for n in range(10)]
    school.import_orders(rows)
    few = len(statements)
    statements.clear()
    rows = [school.order_row(f"MORE{n}") for n in range(1000)]
    school.import_orders(rows)

    assert len(statements) == few


def test_the_documentation_names_every_file_column_and_event():
    told = (Path(__file__).resolve().parents[2] / "docs" / "file-formats.md").read_text(encoding="utf-8")

    for layout in LAYOUTS.values():
        assert f"## {layout.kind}" in told
        for name in (*layout.columns, *REPORTED_EVENTS):
            assert re.search(rf"[`, ]{name}[`, ]", told), name
