"""The matcher's files: both sides from CSV or Parquet (``escrow match``), the outcome as CSV and JSON.

Every cell is read as text, so ``000123`` stays a reference and no amount passes through a float. Rows that cannot be
used become findings with file, line and field; the others are compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from money import MINOR_UNIT_EXPONENTS
from reconciliation.matching.outcome import Outcome
from reconciliation.matching.render import decimal_column

BANK_COLUMNS = (
    "line_id", "account", "currency", "direction", "amount", "booking_date", "value_date", "references",
    "counterparty_name", "counterparty_account", "description", "bank_reference", "transaction_code",
)  # fmt: skip
BOOK_COLUMNS = (
    "item_id", "account", "currency", "direction", "amount", "due_date", "references", "counterparty_name",
    "counterparty_account", "group_key", "expected_fee", "kind", "original_item_id",
)  # fmt: skip

#: Any amount of so many digits, decimals included, fits 64 bits.
_MOST_DIGITS = 18
_FORMULA = r"^(?:[=+@\t\r]|-[^0-9.]|-$)"


class MatchFileRefused(ValueError):
    """A file cannot be compared at all; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class RowFinding:
    """Why a row was left out: 1-based line in the file (record number in Parquet), field, reason."""

    file: str
    line: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side as read: the frame match_frames takes, what was left out, and the SHA-256 of the file."""

    frame: pd.DataFrame
    findings: tuple[RowFinding, ...]
    sha256: str


def read_bank_lines(path: Path) -> Side:
    """Bank lines (BANK_COLUMNS; line_id, account, direction, amount and a date are needed). Raises MatchFileRefused."""
    return _Reader(path, BANK_COLUMNS, "line_id", ("booking_date", "value_date")).read()


def read_book_lines(path: Path) -> Side:
    """Book items (BOOK_COLUMNS; item_id, account, direction, amount, due_date are needed). Raises MatchFileRefused."""
    return _Reader(path, BOOK_COLUMNS, "item_id", ("due_date",)).read()


class _Reader:
    """Reads one side, collecting findings; ``good`` marks the rows still in."""

    def __init__(self, path: Path, columns: tuple[str, ...], identity: str, dates: tuple[str, ...]) -> None:
        self.path = path
        self.columns = columns
        self.identity = identity
        self.dates = dates
        self.findings: list[RowFinding] = []

    def read(self) -> Side:
        try:
            sha256 = hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise MatchFileRefused(f"{self.path} cannot be read: {error.strerror}; check the path") from error
        table = self._parquet() if self.path.suffix.lower() in (".parquet", ".pq") else self._csv()
        needed = (self.identity, "account", "direction", "amount")
        missing = [name for name in needed if name not in table]
        if missing or not any(name in table for name in self.dates):
            missing += [] if any(name in table for name in self.dates) else [self.dates[0]]
            raise MatchFileRefused(
                f"{self.path}: columns are missing: {', '.join(missing)}; known columns: {', '.join(self.columns)}"
            )
        self.good = np.ones(len(table), dtype=bool)
        frame = self._checked(table)
        return Side(frame[self.good].drop(columns="_line").reset_index(drop=True), self._sorted_findings(), sha256)

    def _sorted_findings(self) -> tuple[RowFinding, ...]:
        return tuple(sorted(self.findings, key=lambda found: (found.line, found.field, found.reason)))

    def _csv(self) -> pd.DataFrame:
        invalid: list[tuple[int, str]] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            if row.text.strip():
                invalid.append((row.number or 0, f"has {row.actual_columns} fields, the header has {row.expected_columns}"))
            else:
                invalid.append((row.number or 0, ""))
            return "skip"

        try:
            with self.path.open(encoding="utf-8-sig") as opened:
                header = opened.readline()
            names: Any = pd.read_csv(self.path, nrows=0, dtype=str, encoding="utf-8-sig").columns if header.strip() else []
            table = pa_csv.read_csv(
                self.path,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=1 << 24),
                parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip, ignore_empty_lines=False),
                convert_options=pa_csv.ConvertOptions(
                    column_types={str(name): pa.string() for name in names}, strings_can_be_null=False
                ),
            )
        except UnicodeDecodeError as error:
            raise MatchFileRefused(f"{self.path} is not UTF-8 (byte {error.start}); save it as UTF-8") from error
        except (pa.ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise MatchFileRefused(
                f"{self.path} is not a CSV file with a header line ({error}); its columns are listed by: escrow match --help"
            ) from error
        skipped = {number for number, _ in invalid}
        lines = np.arange(2, table.num_rows + len(skipped) + 2)
        lines = lines[~np.isin(lines, sorted(skipped))][: table.num_rows]
        self.findings += [RowFinding(str(self.path), number, "", why) for number, why in invalid if why]
        return self._known(table, lines)

    def _parquet(self) -> pd.DataFrame:
        try:
            table = pa_parquet.read_table(self.path)
        except pa.ArrowInvalid as error:
            raise MatchFileRefused(f"{self.path} is not a Parquet file: {error}") from error
        columns = {}
        for name in table.column_names:
            column = table.column(name)
            kind = column.type
            if pa.types.is_floating(kind) and name in ("amount", "expected_fee"):
                raise MatchFileRefused(f"{self.path}: {name} is a float, which loses fen; store it as text or decimal")
            if pa.types.is_list(kind) or pa.types.is_large_list(kind):
                column = pc.binary_join(column.cast(pa.list_(pa.string())), "|")
            columns[name] = column.cast(pa.string())
        return self._known(pa.table(columns), np.arange(1, table.num_rows + 1))

    def _known(self, table: pa.Table, lines: np.ndarray) -> pd.DataFrame:
        wanted = [name for name in self.columns if name in table.column_names]
        frame: pd.DataFrame = table.select(wanted).to_pandas()
        for name in wanted:
            frame[name] = frame[name].fillna("").astype("str").str.strip()
        frame["_line"] = lines
        return frame

    def _refuse(self, table: pd.DataFrame, bad: np.ndarray, field: str, reason: str) -> None:
        bad = bad & self.good
        for line in table["_line"].to_numpy()[bad].tolist():
            self.findings.append(RowFinding(str(self.path), int(line), field, reason))
        self.good &= ~bad

    def _checked(self, table: pd.DataFrame) -> pd.DataFrame:
        frame = table.copy()
        self._refuse(frame, (frame[self.identity] == "").to_numpy(), self.identity, "is blank")
        self._refuse(frame, (frame["account"] == "").to_numpy(), "account", "is blank")
        again = pd.Series(self.good) & frame[self.identity].where(pd.Series(self.good)).duplicated()
        self._refuse(frame, again.to_numpy(dtype=bool), self.identity, "appears on an earlier line already")
        frame["direction"] = frame["direction"].str.upper()
        self._refuse(frame, ~frame["direction"].isin(["IN", "OUT"]).to_numpy(), "direction", "is neither IN nor OUT")
        frame["currency"] = frame["currency"].str.upper() if "currency" in frame else "CNY"
        wrong = ~frame["currency"].str.fullmatch("[A-Z]{3}").to_numpy(dtype=bool)
        self._refuse(frame, wrong, "currency", "is not a three-letter code such as CNY")
        frame["amount"] = self._amount(frame, "amount", least=1)
        if "expected_fee" in frame:
            frame["expected_fee"] = self._amount(frame, "expected_fee", least=0)
        for name in ("booking_date", "value_date", "due_date"):
            if name in frame:
                frame[name] = self._date(frame, name)
        first = self.dates[0]
        if first not in frame:
            frame[first] = frame[self.dates[-1]]
        if len(self.dates) > 1 and self.dates[1] in frame:
            frame[first] = frame[first].fillna(frame[self.dates[1]])
        self._refuse(frame, frame[first].isna().to_numpy(), first, "is blank")
        return frame

    def _amount(self, frame: pd.DataFrame, name: str, *, least: int) -> pd.Series:
        """Decimal text as Int64 minor units of each row's currency; what cannot be read is refused."""
        if frame.empty:
            return pd.Series(dtype="Int64")
        text = frame[name].where(frame[name] != "", "0" if least == 0 else "")
        plain = text.str.fullmatch(rf"[+]?[0-9]{{1,{_MOST_DIGITS}}}(\.[0-9]*)?").to_numpy(dtype=bool)
        self._refuse(frame, ~plain, name, "is not a positive decimal amount such as 1234.56 (the direction carries the sign)")
        text = text.where(plain, "0").str.lstrip("+")
        parts = text.str.partition(".")
        decimals = parts[2].str.rstrip("0")
        units = np.zeros(len(frame), dtype=np.int64)
        exponents = frame["currency"].map(lambda code: MINOR_UNIT_EXPONENTS.get(code, 2)).to_numpy()
        self._refuse(frame, decimals.str.len().to_numpy() > exponents, name, "has more decimals than its currency")
        long = parts[0].str.len().to_numpy() + exponents > _MOST_DIGITS
        self._refuse(frame, long, name, "is larger than any amount the books can hold")
        whole = parts[0].where(~long, "0")
        for exponent in np.unique(exponents):
            rows = exponents == exponent
            digits = whole[rows] + decimals[rows].str.slice(0, int(exponent)).str.pad(int(exponent), "right", "0")
            units[rows] = digits.astype("int64").to_numpy()
        self._refuse(frame, units < least, name, "is not above zero")
        return pd.Series(units, index=frame.index, dtype="Int64")

    def _date(self, frame: pd.DataFrame, name: str) -> pd.Series:
        text = frame[name]
        day = text.str.extract(r"^([0-9]{4}-?[0-9]{2}-?[0-9]{2})(?:[T ].*)?$", expand=False).str.replace("-", "")
        parsed = pd.to_datetime(day, format="%Y%m%d", errors="coerce")
        self._refuse(frame, (parsed.isna() & (text != "")).to_numpy(), name, "is not a date such as 2025-03-04")
        return parsed


def write_outcome(out: Path, outcome: Outcome, bank: Side, book: Side, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write matches.csv, discrepancies.csv, findings.csv and summary.json into the folder ``out``; returns the summary."""
    out.mkdir(parents=True, exist_ok=True)
    matches = outcome.matches.copy()
    facts_of_members = _facts_of_members(matches, bank, book)
    currency = facts_of_members["currency"]
    matches["amount"] = decimal_column(matches["amount"], currency)
    matches["rules_version"] = outcome.rules_version
    found = outcome.discrepancies.copy()
    found["member_ids"] = found["line_ids"].str.cat(found["item_ids"], sep="|").str.strip("|")
    for name in ("amount", "difference"):
        found[name] = decimal_column(found[name], found["currency"])
    columns = ["kind", "side", "member_ids", "amount", "difference", "explanation", "discrepancy_id", "account", "currency"]
    findings = pd.DataFrame(
        [(one.file, str(one.line), one.field, one.reason) for one in (*bank.findings, *book.findings)],
        columns=["file", "line", "field", "reason"],
    ).astype("str")
    _write_csv(out / "matches.csv", matches)
    _write_csv(out / "discrepancies.csv", found[columns])
    _write_csv(out / "findings.csv", findings)
    summary = {**facts, **_summary(outcome, bank, book, facts_of_members)}
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return summary


def _facts_of_members(matches: pd.DataFrame, bank: Side, book: Side) -> pd.DataFrame:
    """Currency and direction of each member row of ``matches``."""
    facts = pd.DataFrame({"currency": "CNY", "direction": "IN"}, index=matches.index, dtype="str")
    on_bank = (matches["side"] == "bank").to_numpy(dtype=bool)
    for rows, frame, identity in ((on_bank, bank.frame, "line_id"), (~on_bank, book.frame, "item_id")):
        at = pd.Index(frame[identity]).get_indexer(matches["member_id"][rows])
        for name in ("currency", "direction"):
            facts.loc[rows, name] = frame[name].iloc[at].to_numpy()
    return facts


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    """CSV that a spreadsheet cannot take for formulas: such text gets a leading apostrophe."""
    safe = {}
    for name in frame:
        column = frame[name].astype("str")
        risky = column.str.contains(_FORMULA, regex=True).to_numpy(dtype=bool)
        safe[str(name)] = pa.array(column.where(~risky, "'" + column) if risky.any() else column, type=pa.string())
    pa_csv.write_csv(pa.table(safe), path, pa_csv.WriteOptions(quoting_style="needed"))


def _summary(outcome: Outcome, bank: Side, book: Side, members: pd.DataFrame) -> dict[str, Any]:
    matches, found = outcome.confirmed, outcome.discrepancies
    kinds = found["kind"].value_counts().sort_index()
    timing = int(kinds.get("TIMING", 0))
    count_of_side = matches["side"].value_counts()
    key = ["currency", "direction"]
    sums = []
    for side, frame in (("bank", bank.frame), ("book", book.frame)):
        of_side = matches[matches["side"] == side]
        matched = of_side["amount"].groupby([members.loc[of_side.index, name] for name in key]).sum()
        totals: dict[Any, Any] = frame.groupby(key)["amount"].sum().sort_index().to_dict()
        for (currency, direction), total in totals.items():
            took = int(matched.get((currency, direction), 0))
            amounts = pd.Series([int(total), took, int(total) - took], dtype="Int64")
            texts = decimal_column(amounts, pd.Series([currency] * 3)).tolist()
            sums.append(
                {"side": side, "currency": currency, "direction": direction}
                | dict(zip(("total", "matched", "open"), texts, strict=True))
            )
    return {
        "counts": {
            "bank_lines": len(bank.frame),
            "book_lines": len(book.frame),
            "matches_confirmed": int(matches["match_id"].nunique()),
            "matches_suggested": int((outcome.matches["status"] == "suggested").sum() // 2),
            "bank_lines_matched": int(count_of_side.get("bank", 0)),
            "book_lines_matched": int(count_of_side.get("book", 0)),
            "discrepancies": int(kinds.sum()) - timing,
            "carried_in_time": timing,
            "rows_left_out": len(bank.findings) + len(book.findings),
        },
        "discrepancies_by_kind": {str(kind): int(count) for kind, count in kinds.items() if kind != "TIMING"},
        "matches_by_rule": {str(k): int(v) for k, v in matches.groupby("rule")["match_id"].nunique().sort_index().items()},
        "sums": sums,
        "rules_version": outcome.rules_version,
        "input_sha256": {"bank_lines": bank.sha256, "book_lines": book.sha256},
        "output_hash": outcome.output_hash,
    }
