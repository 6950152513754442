"""Take institutions and their custody accounts, and open the accounts' books."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from escrow.disbursement import instruction_ending
from escrow.import_layouts import INSTITUTIONS, ReadRow, content_digest, read_file
from escrow.import_report import ImportReport, Progress, Verdicts
from escrow.staging import stage, take_turn
from ledger.accounts import open_accounts
from ledger.chart import Chart
from ledger.model import AccountScope, NewAccount

_CURRENCIES = ("CNY",)


def import_institutions(
    conn: Connection,
    data: bytes,
    name: str,
    *,
    chart: Chart,
    banks: Container[str],
    jurisdictions: Container[str],
    channels: Iterable[str],
    now: datetime,
    actor: str,
    role: str = "system",
    progress: Progress | None = None,
) -> ImportReport:
    """Import a file of institutions (one row a custody account): new ones are added, known ones must be the same.

    ``banks``, ``jurisdictions`` and ``channels`` are the known codes. Opens the books of every new account. Good rows are
    taken, bad ones are findings; a change of beneficiary or name is refused here as other content: two persons decide it.
    """
    take_turn(conn)
    reading = read_file(data, INSTITUTIONS, progress)
    verdicts = Verdicts(reading, INSTITUTIONS)
    known = _Known(conn, reading.rows)
    for row in reading.rows:
        if not _sound(row, verdicts, banks, jurisdictions):
            continue
        existing = known.account.get(row.key)
        if existing is not None:
            verdicts.known_before(row, existing)
            continue
        if clash := known.clash(row):
            verdicts.refuse(row, *clash)
            continue
        known.add(row)
        verdicts.accepted.append(row)
    _write(conn, verdicts.accepted, reading.sha256, chart, sorted(channels))
    return verdicts.record(conn, data, name, now=now, actor=actor, role=role)


def _sound(row: ReadRow, verdicts: Verdicts, banks: Container[str], jurisdictions: Container[str]) -> bool:
    faults = []
    if row.values["bank_code"] not in banks:
        faults.append(
            (
                "bank_code",
                "unknown_bank",
                f"{row.values['bank_code']} is not in config/banks.yaml; correct the code, or add the bank there",
            )
        )
    if row.values["jurisdiction_code"] not in jurisdictions:
        code = row.values["jurisdiction_code"]
        faults.append(
            ("jurisdiction_code", "unknown_jurisdiction", f"{code} is not in config/jurisdictions/; correct it, or add it there")
        )
    if row.values["currency"] not in _CURRENCIES:
        faults.append(("currency", "currency", f"custody accounts are kept in {', '.join(_CURRENCIES)}"))
    for fault in faults:
        verdicts.refuse(row, *fault)
    return not faults


class _Known:
    """Institutions and accounts in the database and, as they are accepted, of this file."""

    def __init__(self, conn: Connection, rows: list[ReadRow]) -> None:
        self.account: dict[tuple[str, ...], bytes] = {}
        self._institution: dict[str, tuple[str, str]] = {}
        self._owner: dict[tuple[str, str], str] = {}
        stage(
            conn,
            "staged_institution",
            {"institution_code": "text", "bank_code": "text", "account_number": "text"},
            ((row.values["institution_code"], row.values["bank_code"], row.values["account_number"]) for row in rows),
        )
        found: Iterable[Any] = conn.execute(
            text("""
                SELECT i.institution_code, i.name, i.jurisdiction_code, a.*
                FROM institution i LEFT JOIN custody_account a USING (institution_id)
                WHERE EXISTS (
                    SELECT FROM staged_institution s
                    WHERE s.institution_code = i.institution_code
                       OR (s.bank_code = a.bank_code AND s.account_number = a.account_number))
            """)
        )
        for row in found:
            self._institution[row.institution_code] = (row.name, row.jurisdiction_code)
            if row.account_number is not None:
                self._owner[row.bank_code, row.account_number] = row.institution_code
                values = [getattr(row, column) for column in INSTITUTIONS.columns]
                self.account[row.institution_code, row.account_number] = content_digest(values)

    def clash(self, row: ReadRow) -> tuple[str, str, str] | None:
        """Why the new account contradicts what is known, as (field, code, reason)."""
        values = row.values
        owner = self._owner.get((values["bank_code"], values["account_number"]))
        if owner is not None:
            return (
                "account_number",
                "account_of_another",
                f"account {values['account_number']} belongs to institution {owner}; ask the bank whose it is",
            )
        ending = instruction_ending(values["account_number"])
        for code, number in self.account:
            if code == values["institution_code"] and instruction_ending(number) == ending:
                reason = (
                    f"account {number} of the institution ends in the same eight digits, which name its instructions; "
                    "open another account at the bank"
                )
                return "account_number", "same_ending", reason
        known = self._institution.get(values["institution_code"])
        if known is not None and known != (values["name"], values["jurisdiction_code"]):
            return (
                "name",
                "other_content",
                f"the institution is known as {known[0]} in {known[1]}; the first stays, write it the same way",
            )
        return None

    def add(self, row: ReadRow) -> None:
        values = row.values
        self.account[row.key] = row.digest
        self._institution[values["institution_code"]] = (values["name"], values["jurisdiction_code"])
        self._owner[values["bank_code"], values["account_number"]] = values["institution_code"]


def _write(conn: Connection, rows: list[ReadRow], sha256: bytes, chart: Chart, channels: list[str]) -> None:
    if not rows:
        return
    columns = {name: "text" for name in INSTITUTIONS.columns if name != "opened_on"} | {"opened_on": "date", "line": "integer"}
    stage(
        conn,
        "staged_institution",
        columns,
        (tuple(row.line if name == "line" else row.values[name] for name in columns) for row in rows),
    )
    conn.execute(
        text("""
            INSERT INTO institution (institution_code, name, jurisdiction_code, source_file_sha256, source_line)
            SELECT DISTINCT ON (institution_code) institution_code, name, jurisdiction_code, :sha256, line
            FROM staged_institution ORDER BY institution_code, line
            ON CONFLICT (institution_code) DO NOTHING
        """),
        {"sha256": sha256},
    )
    opened: Iterable[Any] = conn.execute(
        text("""
            INSERT INTO custody_account (institution_id, bank_code, account_number, account_name, currency, opened_on,
                beneficiary_name, beneficiary_account, beneficiary_bank, source_file_sha256, source_line)
            SELECT i.institution_id, s.bank_code, s.account_number, s.account_name, s.currency, s.opened_on,
                s.beneficiary_name, s.beneficiary_account, s.beneficiary_bank, :sha256, s.line
            FROM staged_institution s JOIN institution i USING (institution_code)
            ORDER BY s.institution_code, s.account_number
            RETURNING institution_id, custody_account_id, currency, opened_on
        """),
        {"sha256": sha256},
    )
    subjects = {AccountScope.CUSTODY_ACCOUNT: [""], AccountScope.CHANNEL: channels}
    open_accounts(
        conn,
        chart,
        [
            NewAccount(row.institution_id, row.custody_account_id, kind.kind, subject, row.currency, row.opened_on)
            for row in opened
            for kind in chart.kinds
            for subject in subjects.get(kind.scope, ())
        ],
    )
