"""``escrow match``: the matcher on two files, without a database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

_SHOWN_FINDINGS = 20

#: Every column the readers know (``reconciliation.matching.files``; a test holds both lists to them). Names stand here because
#: ``--help`` answers without pandas.
_BANK_COLUMNS_HELP = (
    "CSV or Parquet. Needed: line_id, account, direction, amount, booking_date (or value_date). Also: currency, value_date, "
    "references, counterparty_name, counterparty_account, description, bank_reference, transaction_code"
)
_BOOK_COLUMNS_HELP = (
    "CSV or Parquet. Needed: item_id, account, direction, amount, due_date. Also: currency, references, counterparty_name, "
    "counterparty_account, group_key, expected_fee, kind, original_item_id"
)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""

    @app.command(
        epilog="Example: escrow match --bank-lines bank.csv --book-lines book.parquet --out result/",
    )
    def match(  # noqa: PLR0917 - the command line is the signature
        bank_lines: Annotated[Path, typer.Option(help=_BANK_COLUMNS_HELP)],
        book_lines: Annotated[Path, typer.Option(help=_BOOK_COLUMNS_HELP)],
        out: Annotated[Path, typer.Option(help="Folder for matches.csv, discrepancies.csv, findings.csv, summary.json")],
        rules: Annotated[Path | None, typer.Option(help="Rules file; the program's own when left out")] = None,
        as_of: Annotated[
            datetime | None,
            typer.Option(formats=["%Y-%m-%d"], help="Day up to which lines were received; each account's latest otherwise"),
        ] = None,
        workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes; the result is the same")] = 1,
        as_json: Annotated[bool, typer.Option("--json", help="Print summary.json on standard output")] = False,
    ) -> None:
        """Compare bank lines with book lines and name every difference. Exit 1 when something is outstanding.

        CSV files are UTF-8 with a first line of column names, in any order; others are ignored.

        direction: IN or OUT of the custody account. currency: CNY when left out.

        amount, expected_fee: decimals without sign, 1234.56. Dates: 2025-03-04.

        references: several in one cell are joined by |. group_key: the settlement it came in.

        expected_fee: what the channel keeps back. original_item_id: the item this one reverses.

        kind: receipt, disbursement, refund, or another kind of the rules file's windows.
        """
        from config.loading import ConfigRefused
        from config.matching import load_matching_rules
        from reconciliation.matching import FrameRefused
        from reconciliation.matching.files import (
            MatchFileRefused,
            read_bank_lines,
            read_book_lines,
            write_outcome,
        )
        from reconciliation.matching.workers import match_in_workers

        try:
            loaded = load_matching_rules(rules)
            bank, book = read_bank_lines(bank_lines), read_book_lines(book_lines)
            day = as_of.date() if as_of else None
            outcome = match_in_workers(bank.frame, book.frame, loaded, workers, day)
            summary = write_outcome(out, outcome, bank, book, {"as_of": day.isoformat() if day else None})
        except (ConfigRefused, MatchFileRefused, FrameRefused) as refused:
            typer.echo(f"error: {refused}", err=True)
            raise typer.Exit(1) from None
        except OSError as error:
            typer.echo(f"error: cannot write to {out}: {error.strerror}; choose another --out", err=True)
            raise typer.Exit(1) from None
        findings = (*bank.findings, *book.findings)
        for one in findings[:_SHOWN_FINDINGS]:
            typer.echo(f"{one.file}:{one.line}: {one.field or 'row'} {one.reason}; row left out", err=True)
        if len(findings) > _SHOWN_FINDINGS:
            typer.echo(f"... and {len(findings) - _SHOWN_FINDINGS} more, all in {out / 'findings.csv'}", err=True)
        if as_json:
            typer.echo((out / "summary.json").read_text(encoding="utf-8"), nl=False)
        else:
            _print(summary, out)
        counts = summary["counts"]
        raise typer.Exit(1 if findings or counts["discrepancies"] or counts["matches_suggested"] else 0)


def _print(summary: dict[str, dict[str, int]], out: Path) -> None:
    counts = summary["counts"]
    typer.echo(
        f"{counts['bank_lines']:,} bank lines, {counts['book_lines']:,} book lines: "
        f"{counts['matches_confirmed']:,} matches confirmed, {counts['matches_suggested']:,} suggested, "
        f"{counts['carried_in_time']:,} items still in time"
    )
    for kind, count in summary["discrepancies_by_kind"].items():
        typer.echo(f"  {kind:<22}{count:>9,}")
    typer.echo(f"output hash {summary['output_hash']}\nwritten to {out}")
