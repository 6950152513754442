"""``escrow simulate``: write a district's input files and, apart from them, the answer key."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bank_adapters.profile import Profile
    from simulation import District, Written
    from simulation.terms import DistrictTerms


class DefectProfile(StrEnum):
    """How many defects a district's files have; what each profile holds: simulation.defects."""

    NONE = "none"
    STANDARD = "standard"
    HEAVY = "heavy"


_EXAMPLES = """
Make a simulated district: institutions, orders, class-hours, refund requests, channel settlements and bank statements in
the banks' own layouts, and apart from them the answer key (what a perfect engine would find).

The same seed and options give the same bytes. Profiles of defects: none, standard, heavy.

[bold]Examples[/bold]

  escrow simulate --seed 7 --out district

  escrow simulate --seed 7 --institutions 12 --orders 8000 --days 30 --defects heavy --out district --force --json
"""


def register(app: typer.Typer) -> None:
    """Add ``escrow simulate`` to the program."""
    app.command("simulate", help=_EXAMPLES)(simulate_district)


def simulate_district(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; must be empty or not exist.")],
    seed: Annotated[int, typer.Option("--seed", help="Any whole number; the same seed makes the same district.")] = 1,
    institutions: Annotated[int, typer.Option("--institutions", min=1, help="Institutions, each with one custody account.")] = 8,
    orders: Annotated[int, typer.Option("--orders", min=0, help="Orders paid within the span.")] = 4000,
    days: Annotated[int, typer.Option("--days", min=1, help="Working days; the weekend days between are simulated too.")] = 20,
    defects: Annotated[DefectProfile, typer.Option("--defects", help="Profile of defects.")] = DefectProfile.STANDARD,
    start: Annotated[
        datetime | None, typer.Option("--start", formats=["%Y-%m-%d"], help="First day. [default: 2026-03-02]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace inputs/ and answer-key/ in a folder that is not empty.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON instead of text.")] = False,
) -> None:
    """Simulate and write; exit code 1 with one sentence when the arguments describe no district."""
    from config.loading import ConfigRefused
    from config.profiles import load_profiles
    from simulation import DEFAULT_START, SimulationRefused, simulate, write_district

    first_day: date = start.date() if start else DEFAULT_START
    try:
        district = simulate(
            seed=seed,
            institutions=institutions,
            orders=orders,
            days=days,
            terms=terms_from_config(first_day),
            defects=defects.value,
            start=first_day,
        )
        profiles = {each.id: each for each in load_profiles()}
        written = _write_with_progress(district, out, profiles, force=force, quiet=as_json, write=write_district)
    except (SimulationRefused, ConfigRefused) as refused:
        typer.echo(f"error: {refused}", err=True)
        raise typer.Exit(1) from None
    except OSError as problem:
        typer.echo(
            f"error: cannot write {problem.filename or out}: {problem.strerror}; choose another folder for --out",
            err=True,
        )
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_summary(district, written), ensure_ascii=False, indent=2))
    else:
        _tell(district, written)


def terms_from_config(first_day: date) -> DistrictTerms:
    """The world a district is simulated in, from the house's own configuration: calendar, banks, channels, windows, policies.

    Figures only; what follows from them the simulation works out by its own arithmetic. Policies are those of ``first_day``.
    """
    from config.banks import load_banks
    from config.calendars import load_calendar
    from config.channels import load_channels
    from config.matching import load_matching_rules
    from config.policies import load_policies
    from simulation.terms import DEFAULT_JURISDICTIONS, BankTerms, ChannelTerms, DistrictTerms, JurisdictionTerms, WindowTerms

    rules = load_matching_rules()
    policies = load_policies()
    receipt, payment = rules.window("receipt"), rules.window("disbursement")
    in_force = [(each, policies.policy_for(each.code, first_day)) for each in DEFAULT_JURISDICTIONS]
    return DistrictTerms(
        calendar=load_calendar(),
        banks=tuple(BankTerms(each.bank_code, each.name_zh, each.profile) for each in load_banks().values()),
        channels=tuple(ChannelTerms(each.channel, each.settlement_lag_days) for each in load_channels().values()),
        jurisdictions=tuple(
            JurisdictionTerms(each.code, each.city, each.division, policy.release.deemed_after_working_days)
            for each, policy in in_force
        ),
        receipt_window=WindowTerms(receipt.days, receipt.working_days),
        payment_window=WindowTerms(payment.days, payment.working_days),
        refund_silence=in_force[0][1].refund.deemed_agreed_after_working_days,
    )


def _write_with_progress(
    district: District, out: Path, profiles: Mapping[str, Profile], *, force: bool, quiet: bool, write: Callable[..., Written]
) -> Written:
    """Write the files under a progress bar on stderr, where there is a terminal to show it on."""
    if quiet or not sys.stderr.isatty():
        return write(district, out, profiles, replace=force)
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("Writing files"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("files", total=None)
        return write(
            district, out, profiles, replace=force, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )


def _summary(district: District, written: Written) -> dict[str, object]:
    kinds = Counter(each.kind.value for each in written.key.defects)
    return {
        "folder": str(written.folder),
        "seed": district.seed,
        "defect_profile": district.profile,
        "first_day": district.span.start.isoformat(),
        "last_day": district.span.end.isoformat(),
        "calendar_days": len(district.span.days),
        "working_days": len(district.span.working),
        "institutions": len(district.institutions),
        "banks": len({each.bank_code for each in district.institutions}),
        "orders": len(district.reported),
        "class_hour_events": len(district.class_hour_events),
        "refund_requests": len(district.refund_requests),
        "bank_lines": len(district.movements),
        "statement_files": written.statement_files,
        "input_files": written.input_files,
        "input_bytes": written.input_bytes,
        "traps": len(written.key.traps),
        "bad_rows": len(written.key.bad_rows),
        "defects": len(written.key.defects),
        "defects_by_kind": dict(sorted(kinds.items())),
    }


def _tell(district: District, written: Written) -> None:
    facts = _summary(district, written)
    typer.echo(
        f"Simulated seed {district.seed}: {facts['institutions']} institutions at {facts['banks']} banks, "
        f"{facts['orders']} orders, {facts['class_hour_events']} class-hour events, {facts['bank_lines']} bank lines; "
        f"{district.span.start} to {district.span.end} ({facts['working_days']} working days of {facts['calendar_days']})."
    )
    typer.echo(
        f"  {written.folder}/inputs      {facts['input_files']} files, {written.input_bytes / 1_000_000:.1f} MB, "
        f"{facts['statement_files']} of them statements"
    )
    typer.echo(
        f"  {written.folder}/answer-key  {facts['defects']} defects, {facts['traps']} traps, {facts['bad_rows']} rows to refuse; "
        "see district.json, defects.csv"
    )
    kinds = Counter(each.kind.value for each in written.key.defects)
    for kind, count in sorted(kinds.items()):
        typer.echo(f"    {count:4d}  {kind}")
    typer.echo("Next (books of their own, so that nothing else is touched):")
    for command in _next_commands(written.folder, district.span.start):
        typer.echo(f"  {command}")
    typer.echo(f"  escrow demo --seed {district.seed}   # all days at once, held against the answer key")


def _next_commands(folder: Path, first_day: date) -> list[str]:
    """The district's first day, command by command, as a new user would take it in."""
    inputs = folder / "inputs"
    program = "escrow --books district"
    commands = [f"{program} import institutions {inputs}/institutions.csv"]
    for kind in ("orders", "class-hours", "refund-requests", "channel-settlements"):
        files = sorted((inputs / kind).glob(f"*{first_day}.csv"))
        if files:
            commands.append(f"{program} import {kind} {' '.join(map(str, files))}")
    deliveries = sorted(inputs.glob(f"statements/*/{first_day}"))
    commands += [f"{program} statement receive --sender {each.parent.name} {each}/*" for each in deliveries]
    parsed = next((path for path in sorted(inputs.glob(f"statements/*/{first_day}/*"))), None)
    looked = [f"escrow parse {parsed}"] if parsed is not None else []
    return [*looked, *commands, f"{program} run-day {first_day}", f"{program} reconciliation show --date {first_day}"]
