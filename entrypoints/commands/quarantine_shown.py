"""How ``escrow statement`` shows what is held back and what a new version would change, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from entrypoints.commands.reading import Language

if TYPE_CHECKING:
    from reconciliation.quarantine import RefusedForGood
    from reconciliation.quarantine_store import Held
    from reconciliation.restating import Plan, Restatement


def show_refused(one: RefusedForGood, lang: Language, *, as_json: bool) -> None:
    """A statement nobody can let through."""
    from reconciliation.reasons import in_both

    if as_json:
        body = {
            "statement_file_id": one.statement_file_id,
            "file": one.file_name,
            "bank": one.sender_bank,
            "account": one.account,
            "date": str(one.business_date) if one.business_date else None,
            "state": "refused",
            "may_be_released": False,
            **in_both(one.reasons),
        }
        typer.echo(json.dumps(body, ensure_ascii=False))
        return
    typer.echo(f"-: {one.account or '?'} {one.business_date or '?'}, {one.file_name} ({one.sender_bank})")
    typer.echo(
        "  已拒收，不得放行：文件本身有误，只能由银行更正后重送"
        if lang is Language.ZH
        else "  refused, and never let through: it is wrong in itself; only a corrected file of the bank mends it"
    )
    for reason in one.reasons:
        typer.echo(f"    {reason.text(lang)}")


def show_restatement(one: Restatement, plan: Plan | None, lang: Language) -> None:
    """A proposed version beside the one in force, line by line, and what replacing it would undo."""
    from rich.table import Table

    from entrypoints.screen import screen
    from money import Money
    from reconciliation.intake import booked_lines
    from reports.wording import word

    currency = one.proposed.currency or "CNY"
    closing = [Money(units, currency).grouped for units in (one.in_force.closing, one.closing)]
    typer.echo(
        f"现行第 {one.in_force.version} 版（{one.in_force.file_name}）期末 {closing[0]}，新版本期末 {closing[1]}"
        if lang is Language.ZH
        else f"in force: version {one.in_force.version} ({one.in_force.file_name}), closing {closing[0]}; proposed: {closing[1]}"
    )
    new = booked_lines(one.proposed)
    table = Table()
    for name in ("change", "booked", "amount", "reference", "what differs"):
        table.add_column(word(name, lang), justify="right" if name == "amount" else "left")
    for each in one.changes:
        line = new[each.new] if each.new is not None else one.old_lines[each.old or 0].line
        sign = "" if line.direction == "IN" else "-"
        differs = "; ".join(f"{word(f.field, lang)}: {f.before or '-'} -> {f.after or '-'}" for f in each.fields)
        table.add_row(
            word(str(each.change), lang),
            str(line.booking_date),
            sign + line.amount.grouped,
            line.bank_reference or line.description or "",
            differs,
        )
    screen().print(table)
    if plan is None:
        return
    undone, again = len(plan.matches), sum(len(lines) for lines in plan.opened_again.values())
    typer.echo(
        f"替换后：撤销勾对 {undone} 组，冲销分录 {len(plan.bookings)} 笔，重新打开其他流水 {again} 笔；之后须重新对账"
        if lang is Language.ZH
        else f"replacing it undoes {undone} matches, reverses {len(plan.bookings)} transfers and opens {again} other lines "
        "again; the next run compares them anew"
    )
    for said in plan.obstacles:
        typer.echo(f"  {said.text(lang)}")


def restatement_json(one: Restatement, plan: Plan | None) -> dict[str, Any]:
    """The same for programs; amounts as decimal text."""
    from money import Money
    from reconciliation.intake import booked_lines

    new, currency = booked_lines(one.proposed), one.proposed.currency or "CNY"
    lines = []
    for each in one.changes:
        line = new[each.new] if each.new is not None else one.old_lines[each.old or 0].line
        lines.append(
            {
                "change": str(each.change),
                "line_id": one.old_lines[each.old].line_id if each.old is not None else None,
                "booking_date": str(line.booking_date),
                "direction": str(line.direction),
                "amount": line.amount.plain,
                "bank_reference": line.bank_reference,
                "description": line.description,
                "fields": [{"field": f.field, "before": f.before, "after": f.after} for f in each.fields],
            }
        )
    told: dict[str, Any] = {
        "version_in_force": one.in_force.version,
        "file_in_force": one.in_force.file_name,
        "closing_in_force": Money(one.in_force.closing, currency).plain,
        "closing_proposed": Money(one.closing, currency).plain,
        "lines": lines,
    }
    if plan is not None:
        told |= {
            "undone_matches": [match.match_id for match in plan.matches],
            "reversed_transfers": [str(booking.transfer_id) for booking in plan.bookings],
            "opened_again": sorted(line for ids in plan.opened_again.values() for line in ids),
            "obstacles": [said.en for said in plan.obstacles],
        }
    return told


def file_of(one: Held) -> str:
    """The file something held back came in."""
    return f"{one.file_name} ({one.sender_bank}, file {one.statement_file_id})"


def held_json(one: Held) -> dict[str, Any]:
    """Something held back, for programs."""
    from reconciliation.quarantine_wording import GATE_TITLES
    from reconciliation.reasons import in_both

    return {
        "quarantine_id": one.quarantine_id,
        "state": str(one.state),
        "may_be_released": True,
        "gate": str(one.gate),
        "gate_en": GATE_TITLES[one.gate].en,
        "gate_zh": GATE_TITLES[one.gate].zh,
        "account": one.account,
        "date": str(one.business_date) if one.business_date else None,
        "file": one.file_name,
        "statement_file_id": one.statement_file_id,
        "bank": one.sender_bank,
        "held_at": one.held_at.isoformat(),
        **in_both(one.reasons),
        "prepared_by": one.prepared_by,
        "acted_by": one.acted_by,
        "reason": one.said,
    }
