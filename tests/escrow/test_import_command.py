"""``escrow import`` as a person uses it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from entrypoints.cli import app


@pytest.fixture
def escrow(books_url, monkeypatch):
    monkeypatch.setenv("ESCROW_DATABASE_URL", books_url)
    monkeypatch.delenv("ESCROW_USER", raising=False)
    return lambda *arguments, **options: CliRunner().invoke(app, ["import", *map(str, arguments)], **options)


def test_a_district_is_imported_from_files(escrow, district, tmp_path):
    institutions, orders = tmp_path / "institutions.jsonl", tmp_path / "orders.jsonl"
    institutions.write_bytes(district.lines([district.institution_row()]))
    orders.write_bytes(district.lines([district.order_row("A"), district.order_row("B", amount="1.005")]))

    first = escrow("institutions", institutions)
    second = escrow("orders", orders)
    third = escrow("orders", "--json", orders)

    assert (first.exit_code, first.output) == (0, "institutions.jsonl: 1 rows: 1 taken, 0 known already, 0 refused\n")
    assert second.exit_code == 1
    assert "2     amount  bad_amount  '1.005' has more than 2 decimals" in second.output
    told = json.loads(third.output)
    assert (told["rows"], told["accepted"], told["repeated"], told["refused"]) == (2, 0, 1, 1)
    assert told["findings"][0]["subject"][1] == "B"


def test_standard_input_is_taken(escrow, district):
    result = escrow("institutions", "-", input=district.lines([district.institution_row()]))

    assert result.exit_code == 0, result.output


def test_a_file_that_is_not_there_is_a_mistake_of_usage_and_takes_nothing(escrow, district, tmp_path):
    there = tmp_path / "institutions.jsonl"
    there.write_bytes(district.lines([district.institution_row()]))

    result = escrow("institutions", there, tmp_path / "none.csv")

    assert result.exit_code == 2
    assert "none.csv cannot be read" in result.output
    assert district.count("institution") == 0


def test_somebody_without_the_right_takes_nothing(escrow, district, tmp_path, monkeypatch):
    there = tmp_path / "institutions.jsonl"
    there.write_bytes(district.lines([district.institution_row()]))
    monkeypatch.setenv("ESCROW_USER", "auditor.wu")

    result = escrow("institutions", there)

    assert result.exit_code == 1
    assert district.count("institution") == 0


def test_help_has_an_example_for_every_kind(escrow):
    for kind in ("institutions", "orders", "class-hours", "refund-requests", "channel-settlements"):
        assert f"escrow import {kind}" in escrow(kind, "--help", env={"COLUMNS": "200"}).output


def test_a_file_of_another_kind_is_refused_in_one_sentence_without_a_line_number_it_has_not(escrow, district, tmp_path):
    empty, hours = tmp_path / "empty.csv", tmp_path / "hours.csv"
    empty.write_bytes(b"")
    hours.write_bytes(b"institution_code,order_id,class_hour_no,event,event_at,reported_by\n")

    first, second = escrow("orders", empty), escrow("orders", hours)
    told = json.loads(escrow("orders", "--json", empty).output)

    assert first.output.splitlines() == [
        "empty.csv: refused, nothing of it was taken",
        "  the file is empty; send at least its header line [file_empty]",
    ]
    assert "line 1: this is a file of class-hours; take it with: escrow import class-hours FILE" in second.output
    assert (first.exit_code, second.exit_code, told["findings"][0]["line"]) == (1, 1, None)
