"""The act of reconciling one custody account up to one business day, in one database transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy import Connection

from calendars import WorkingCalendar
from ledger.store import account_ids, balance, post
from money import Money
from reconciliation import run_store, sides
from reconciliation.coverage import coverage_of
from reconciliation.discrepancy import Discrepancy, DiscrepancyKind, DiscrepancyState
from reconciliation.discrepancy_store import clear_condition, clear_explained, condition_id, record_found, records
from reconciliation.entries import Entry, Item
from reconciliation.intake_store import lock_account
from reconciliation.matching import MatchingRules, Outcome, Rule, match_day_by_day, output_hash
from reconciliation.matching.outcome import DISCREPANCY_COLUMNS, MATCH_COLUMNS, of_account, rows_of, suggestions
from reconciliation.model import CustodyAccountRef, RunResult, SettlementItem
from reconciliation.receiving import count_waiting
from reconciliation.sides import books_of, lines_of
from reconciliation.statement_calendar import StatementRules, is_owed
from reconciliation.superseding import supersede
from reconciliation.wording import another_outcome

_TIMING = str(DiscrepancyKind.TIMING)


def reconcile(
    conn: Connection,
    account: CustodyAccountRef,
    business_date: date,
    *,
    rules: MatchingRules,
    calendar: WorkingCalendar,
    now: datetime,
    actor: str,
    settlements: Sequence[SettlementItem] = (),
    statement_rules: StatementRules | None = None,
) -> RunResult:
    """Compare what the bank reported through ``business_date`` with what is in transit, post what is proven, name the rest.

    Proven matches post in the ledger on the line's booking date and clear their items; everything else becomes a
    discrepancy, found again under the same id or cleared when later data explains it. Running twice changes nothing.
    ``settlements``: which items the channels settle together. ``statement_rules``: for which days a statement is owed; each
    working day without them. Raises PostingRefused when the books refuse a match.
    """
    (result,) = reconcile_accounts(
        conn,
        [account],
        business_date,
        rules=rules,
        calendar=calendar,
        now=now,
        actor=actor,
        settlements={account.custody_account_id: settlements},
        statement_rules=statement_rules,
    )
    return result


def reconcile_accounts(
    conn: Connection,
    accounts: Sequence[CustodyAccountRef],
    business_date: date,
    *,
    rules: MatchingRules,
    calendar: WorkingCalendar,
    now: datetime,
    actor: str,
    settlements: Mapping[int, Sequence[SettlementItem]],
    statement_rules: StatementRules | None = None,
) -> list[RunResult]:
    """``reconcile`` for several accounts with one comparison; the results are those of one account after the other.

    ``settlements`` by custody account. Days the runs so far have not seen are compared one after the other, so several days at
    once give what a run a day would have given. Nothing crosses an account in the matcher, so comparing them together saves time
    and changes nothing. Accounts are locked in the order of their numbers.
    """
    runs = []
    for account in sorted(accounts, key=lambda ref: ref.custody_account_id):
        lock_account(conn, account)
        count_waiting(conn, account, now=now, actor=actor)
        told = settlements.get(account.custody_account_id, ())
        lines = sides.open_bank_lines(conn, account, business_date)
        items = sides.book_items(conn, account, business_date, rules, calendar, settlements=told)
        runs.append(_Run(conn, account, business_date, rules, calendar, now, actor, lines, items, statement_rules))
    if not runs:
        return []
    outcome = match_day_by_day(
        pd.concat([run.lines for run in runs], ignore_index=True),
        pd.concat([run.items for run in runs], ignore_index=True),
        rules,
        business_date,
        known_through={str(run.ref.custody_account_id): run_store.known_through(conn, run.ref) for run in runs},
    )
    return [run.run(of_account(outcome, str(run.ref.custody_account_id), set(run.lines["line_id"]))) for run in runs]


@dataclass(slots=True)
class _Run:
    conn: Connection
    ref: CustodyAccountRef
    day: date
    rules: MatchingRules
    calendar: WorkingCalendar
    now: datetime
    actor: str
    lines: pd.DataFrame
    items: pd.DataFrame
    statement_rules: StatementRules | None

    def run(self, outcome: Outcome) -> RunResult:
        """Post and record what the comparison found for this account."""
        conn, ref, lines, items = self.conn, self.ref, self.lines, self.items
        self._post(outcome, lines, items)
        newest = run_store.counted_statements(conn, ref, self.day)
        statement = newest[0] if newest else None
        still_open = lines[~lines["line_id"].isin(set(outcome.confirmed["member_id"]))]
        cash = self._ledger_cash()
        found = self._discrepancies(outcome, lines, items, still_open=still_open, statement=statement, cash=cash)
        rows = self._rows(outcome, found)
        digest = output_hash(outcome.confirmed, rows)
        before = run_store.latest_run(conn, ref, self.day)
        facts: dict[str, Any] = {
            "business_date": self.day,
            "rules_version": self.rules.version,
            "output_hash": digest,
            "statement_id": statement.statement_id if statement else None,
            "opening_minor_units": self._opening(statement),
            "closing_minor_units": statement.closing if statement else None,
            "ledger_cash_minor_units": cash,
            "open_lines_minor_units": sides.signed_sum(still_open),
        }
        changed = (
            before is None
            or not outcome.confirmed.empty
            or self._differs(before, facts, rows)
            or run_store.restated_since(conn, ref, self.day, before.run_id)
        )
        opened: list[Discrepancy] = []
        cleared: list[str] = []
        if changed:
            facts |= {"input_digest": sides.input_digest(lines, items, self.day), "ran_at": self.now, "actor": self.actor}
            run_id = run_store.insert_run(conn, ref, facts)
            run_store.insert_matches(
                conn, ref, outcome.confirmed, run_id=run_id, rules_version=self.rules.version, actor=self.actor
            )
            new, again = record_found(conn, found, now=self.now, business_date=self.day, actor=self.actor, run_id=run_id)
            opened = new + again
            run_store.insert_run_discrepancies(conn, ref, run_id, rows, suggestions(outcome))
            cleared = self._clear(found, run_id)
            reason = another_outcome(self.day, run_id)
            ids = (ref.institution_id, ref.custody_account_id)
            supersede(conn, *ids, self.day, reason=reason, now=self.now, actor=self.actor)
        else:
            assert before is not None  # noqa: S101  changed is true without an earlier run
            run_id = before.run_id
        standing = records(
            conn,
            custody_account_id=ref.custody_account_id,
            states=[DiscrepancyState.OPEN, DiscrepancyState.PREPARED],
            since_until=self.day,
        )
        return RunResult(
            account=ref,
            business_date=self.day,
            run_id=run_id,
            changed=changed,
            statement_received=statement is not None and statement.business_date == self.day,
            bank_lines=len(lines),
            matches=int(outcome.confirmed["match_id"].nunique()),
            cleared=tuple(run_store.cleared_by_runs(conn, ref, self.day)),
            opened=tuple(opened),
            auto_cleared=tuple(cleared),
            open_discrepancies=len(standing),
            closing=Money(statement.closing, ref.currency) if statement else None,
            ledger_cash=Money(cash, ref.currency),
            output_hash=digest if changed or before is None else before.output_hash,
        )

    def _differs(self, before: run_store.RunRecord, facts: dict[str, Any], rows: pd.DataFrame) -> bool:
        """Whether this pass, which matched nothing, saw anything the newest run of the day did not."""
        same = (
            before.rules_version == facts["rules_version"]
            and before.statement_id == facts["statement_id"]
            and before.ledger_cash == facts["ledger_cash_minor_units"]
            and before.open_lines == facts["open_lines_minor_units"]
        )
        stored = run_store.stored_outcome(self.conn, self.ref.institution_id, before.run_id)[1]
        return not same or output_hash(stored.iloc[:0].reindex(columns=list(MATCH_COLUMNS)), stored) != output_hash(
            stored.iloc[:0].reindex(columns=list(MATCH_COLUMNS)), rows
        )

    def _post(self, outcome: Outcome, lines: pd.DataFrame, items: pd.DataFrame) -> None:
        confirmed = outcome.confirmed
        if confirmed.empty:
            return
        books = books_of(self.conn, self.ref)
        by_line = lines_of(lines)
        by_item = {
            row.item_id: Item(UUID(row.item_id), int(row.account_id), int(row.amount), row.direction)
            for row in rows_of(items[items["item_id"].isin(set(confirmed["member_id"]))])
        }
        entry = Entry()
        for _, members in confirmed.groupby("match_id", sort=True):
            rule = members["rule"].iloc[0]
            bank = [by_line[one] for one in members.loc[members["side"] == "bank", "member_id"]]
            if rule == str(Rule.REVERSAL_PAIR):
                forth, back = sorted(bank, key=lambda one: (one.booking_date, by_line[one.line_id].position))
                entry.extend(books.reversal_pair(forth, back))
                continue
            book = [by_item[one] for one in members.loc[members["side"] == "book", "member_id"]]
            reason = "receipt_matched" if bank[0].direction == "IN" else "payment_matched"
            entry.extend(books.clear(bank[0], book, reason) if len(bank) == 1 else books.clear_in_parts(bank, book, reason))
        post(
            self.conn,
            entry.transfers,
            now=self.now,
            actor=self.actor,
            reason=f"bank lines of {self.ref.account_number} matched through {self.day}",
            rule_version=self.rules.version,
            clearings=entry.clearings,
        )

    def _ledger_cash(self) -> int:
        account = account_ids(
            self.conn,
            institution_id=self.ref.institution_id,
            custody_account_id=self.ref.custody_account_id,
            kind="custody_cash",
        ).get(("custody_cash", ""))
        return balance(self.conn, account, as_of=self.day).minor_units if account is not None else 0

    def _opening(self, statement: run_store.StatementSummary | None) -> int | None:
        if statement is None:
            return None
        return statement.opening if statement.business_date == self.day else statement.closing

    def _discrepancies(
        self,
        outcome: Outcome,
        lines: pd.DataFrame,
        items: pd.DataFrame,
        *,
        still_open: pd.DataFrame,
        statement: run_store.StatementSummary | None,
        cash: int,
    ) -> list[Discrepancy]:
        found = self._of_lines_and_items(outcome, lines, items)
        found += self._missing_statement(statement)
        if statement is not None:
            found += self._cash_difference(statement, still_open, cash)
            found += self._shortfall(statement, found, still_open)
        return found

    def _of_lines_and_items(self, outcome: Outcome, lines: pd.DataFrame, items: pd.DataFrame) -> list[Discrepancy]:
        line_day = dict(zip(lines["line_id"], lines["business_date"], strict=True))
        item_day = dict(zip(items["item_id"], items["window_until"], strict=True))
        booked = dict(zip(items["item_id"], items["booking_date"], strict=True))
        found = []
        for row in rows_of(outcome.discrepancies):
            if row.kind == _TIMING:
                continue
            line_ids = tuple(row.line_ids.split("|")) if row.line_ids else ()
            item_ids = tuple(row.item_ids.split("|")) if row.item_ids else ()
            if row.kind == str(DiscrepancyKind.DUPLICATE_LEDGER):
                since = max(booked[item] for item in item_ids)
            elif line_ids:
                since = min(line_day[line] for line in line_ids)
            else:
                since = max(item_day[item] for item in item_ids) + timedelta(days=1)
            found.append(
                Discrepancy(
                    row.discrepancy_id,
                    self.ref.institution_id,
                    self.ref.custody_account_id,
                    DiscrepancyKind(row.kind),
                    since,
                    row.currency,
                    int(row.amount),
                    int(row.difference),
                    line_ids,
                    item_ids,
                    row.explanation,
                )
            )
        return found

    def _condition(self, kind: DiscrepancyKind, key: str, difference: int, explanation: str) -> Discrepancy:
        return Discrepancy(
            condition_id(kind, self.ref, key),
            self.ref.institution_id,
            self.ref.custody_account_id,
            kind,
            self.day,
            self.ref.currency,
            abs(difference),
            difference,
            (),
            (),
            explanation,
        )

    def _missing_statement(self, statement: run_store.StatementSummary | None) -> list[Discrepancy]:
        received = statement is not None and statement.business_date == self.day
        owed = self.calendar.is_working_day(self.day)  # also refuses a day past the calendar
        if self.statement_rules is not None:
            owed = is_owed(self.statement_rules, self.calendar, self.ref, self.day)
        if received or self.day < self.ref.opened_on or not owed:
            return []
        last = f"the last one is for {statement.business_date}" if statement else "none has come yet"
        text = f"no statement of {self.ref.account_number} for {self.day} counts; {last}"
        return [self._condition(DiscrepancyKind.STATEMENT_MISSING, str(self.day), 0, text)]

    def _cash_difference(self, statement: run_store.StatementSummary, still_open: pd.DataFrame, cash: int) -> list[Discrepancy]:
        waiting = sides.signed_sum(still_open)
        difference = statement.closing - waiting - cash
        if not difference:
            return []
        shown = [Money(units, self.ref.currency).plain for units in (statement.closing, waiting, cash, difference)]
        text = f"bank closing {shown[0]} less open lines {shown[1]} is not the books' cash {shown[2]}: {shown[3]} has no line"
        return [self._condition(DiscrepancyKind.CASH_DIFFERENCE, f"cash/{difference}", difference, text)]

    def _shortfall(
        self, statement: run_store.StatementSummary, found: Sequence[Discrepancy], still_open: pd.DataFrame
    ) -> list[Discrepancy]:
        covered = coverage_of(self.conn, self.ref, self.day, self.rules, self.calendar, found=found, lines=still_open)
        if covered.covered:
            return []
        shown = [
            Money(units, self.ref.currency).plain
            for units in (covered.shortfall, statement.closing, covered.proven_in_transit, covered.requirement)
        ]
        text = f"{shown[0]} is missing: bank {shown[1]} and in transit {shown[2]} against {shown[3]} owed"
        key = f"coverage/{covered.shortfall}"
        return [self._condition(DiscrepancyKind.COVERAGE_SHORTFALL, key, -covered.shortfall, text)]

    def _rows(self, outcome: Outcome, found: Sequence[Discrepancy]) -> pd.DataFrame:
        """All that is open as rows (outcome.DISCREPANCY_COLUMNS): the matcher's findings and the conditions."""
        conditions = [one for one in found if not one.line_ids and not one.item_ids]
        rows = outcome.discrepancies[outcome.discrepancies["kind"] != _TIMING]
        extra = pd.DataFrame(
            [
                (
                    one.discrepancy_id,
                    str(one.kind),
                    str(one.custody_account_id),
                    one.currency,
                    "bank" if one.kind is DiscrepancyKind.STATEMENT_MISSING else "both",
                    "",
                    "",
                    one.amount_minor_units,
                    one.difference_minor_units,
                    one.explanation,
                )
                for one in conditions
            ],
            columns=list(DISCREPANCY_COLUMNS),
        )
        return pd.concat([rows.astype("object"), extra.astype("object")], ignore_index=True)

    def _clear(self, found: Sequence[Discrepancy], run_id: int) -> list[str]:
        cleared = clear_explained(
            self.conn,
            self.ref,
            {one.discrepancy_id for one in found},
            now=self.now,
            business_date=self.day,
            actor=self.actor,
            run_id=run_id,
        )
        for one in records(
            self.conn,
            custody_account_id=self.ref.custody_account_id,
            kinds=[str(DiscrepancyKind.STATEMENT_MISSING)],
            states=[DiscrepancyState.OPEN],
            since_until=self.day - timedelta(days=1),
        ):
            later = run_store.counted_statements(self.conn, self.ref, self.day)
            if later and later[0].business_date > one.discrepancy.since:
                reason = f"the statement for {later[0].business_date} continues the balance; nothing moved on the missing day"
                clear_condition(
                    self.conn,
                    one.discrepancy.discrepancy_id,
                    now=self.now,
                    business_date=self.day,
                    actor=self.actor,
                    reason=reason,
                )
                cleared.append(one.discrepancy.discrepancy_id)
        return cleared
