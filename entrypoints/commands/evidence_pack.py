"""``escrow evidence pack|verify|balance-proof|transfer-proof|consistency-proof``: what strangers check offline."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])]
Out = Annotated[Path, typer.Option("--out", help="File to write.", dir_okay=False)]


def register(group: typer.Typer) -> None:
    """Add these commands to ``escrow evidence``."""
    for name, command in (
        ("pack", pack),
        ("verify", verify),
        ("balance-proof", balance_proof),
        ("transfer-proof", transfer_proof),
        ("consistency-proof", consistency_proof),
    ):
        group.command(name)(command)


def pack(
    *,
    account: Annotated[str, typer.Option("--account", help="Custody account by its number.")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First business day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last business day.")],
    out: Out,
    personal: Annotated[
        bool, typer.Option("--with-personal-data", help="Names, accounts and the banks' files unmasked (auditors only).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for another program.")] = False,
) -> None:
    """Write everything recorded about a custody account's institution, with the proofs, as one sealed zip.

    It ends with the newest checkpoint of the period. Whoever gets it runs: python3 verify.py PACK.zip --key log.pub

    Example: escrow evidence pack --account 6030000217546157985 --from 2026-03-02 --to 2026-03-31 --out pack.zip
    """
    import json as json_text

    from entrypoints.acting import acting_principal, require_in_scope, whole_books_session
    from entrypoints.bootstrap import open_books
    from entrypoints.clock import utc_now
    from entrypoints.commands.day_argument import chosen_accounts
    from entrypoints.progress_bar import progress_bar
    from entrypoints.settings import read_settings
    from escrow.store import custody_accounts
    from jobs.signing_keys import signing_keys
    from reports.evidence.pack import write_pack
    from storage import audit
    from supervision.rights import Right

    if first > last:
        raise typer.BadParameter(f"{first:%Y-%m-%d} is after {last:%Y-%m-%d}", param_hint="--from")
    settings = read_settings()
    principal = acting_principal(settings, Right.EXPORT if settings.user else Right.READ_LEDGER)
    if personal:
        acting_principal(settings, Right.EXPORT_PERSONAL)
    keys = signing_keys(settings.keys)
    with open_books(settings, session=whole_books_session()) as engine, engine.begin() as connection:
        (ref,) = chosen_accounts(connection, account)
        require_in_scope(connection, principal, ref.custody_account_id)
        (about,) = [one for one in custody_accounts(connection) if one.custody_account_id == ref.custody_account_id]
        with progress_bar() as progress:
            packed = write_pack(
                connection,
                about,
                first.date(),
                last.date(),
                out,
                key=keys.key,
                secret=keys.secret,
                personal=personal,
                progress=progress,
            )
        details = {
            "from": first.date(), "to": last.date(), "checkpoint": packed.closing.checkpoint_no, "digest": packed.digest,
            "personal_data": personal,
        }  # fmt: skip
        audit.record(
            connection,
            now=utc_now(),
            actor=principal.user,
            role=principal.role,
            act="cli:evidence_pack:exported",
            object_kind="custody_account",
            object_id=about.account_number,
            details=details,
        )
    if json:
        told = {
            "file": str(packed.path), "bytes": packed.size_bytes, "content_sha256": packed.digest, "transfers": packed.transfers,
            "rows": packed.rows, "checkpoint": packed.closing.checkpoint_no,
            "business_date": packed.closing.business_date.isoformat(), "personal_data": personal,
        }  # fmt: skip
        typer.echo(json_text.dumps(told, ensure_ascii=False))
        return
    typer.echo(
        f"{packed.path}: {packed.size_bytes:,} bytes, {packed.transfers:,} transfers, {packed.rows:,} rows, through checkpoint "
        f"{packed.closing.checkpoint_no} of {packed.closing.business_date}"
    )
    typer.echo(f"check it: escrow evidence verify {packed.path}, or without this program: python3 {packed.path}")


def verify(
    file: Annotated[Path, typer.Argument(help="Evidence pack (.zip) or proof (.json).", exists=True, dir_okay=False)],
    key: Annotated[list[str] | None, typer.Option("--key", help="A public key you trust, or a file with some.")] = None,
    lang: Annotated[str | None, typer.Option("--lang", help="zh or en (default: both).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for another program.")] = False,
) -> None:
    """Check a pack or a proof offline; exit 3 names the first fact that does not hold. Needs no database.

    The program uses its own verifier and says when the one inside the pack is another.

    Example: escrow evidence verify pack.zip --key log.pub
    """
    from reports.evidence.pack import other_verifier
    from reports.evidence.verify import main

    if lang not in {None, "zh", "en"}:
        raise typer.BadParameter(f"{lang!r} is not zh or en", param_hint="--lang")
    arguments = [str(file), *(part for one in key or () for part in ("--key", one))]
    arguments += (["--lang", lang] if lang else []) + (["--json"] if json else [])
    code = main(arguments)
    if code == 0 and other_verifier(file):
        typer.echo(
            "note: the verifier inside the pack is not this program's; this verdict is by this program's own. Pack again to "
            "give others the same",
            err=True,
        )
    raise typer.Exit(code)


def balance_proof(
    *,
    order: Annotated[str, typer.Option("--order", help="The order whose held money is proved.")],
    out: Out,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Business day (default: the newest checkpoint).")
    ] = None,
) -> None:
    """A small file with which a family or a bank checks that its balance is in the signed total, seeing nobody else's.

    Example: escrow evidence balance-proof --order ORD-000017 --as-of 2026-03-31 --out ORD-000017.json
    """
    from datetime import date

    from sqlalchemy import text

    from entrypoints.acting import acting_on_books, require_in_scope
    from jobs.signing_keys import signing_keys
    from reports.evidence.proofs import balance_proof as proof_of
    from supervision.rights import Right

    with acting_on_books(Right.READ_LEDGER) as (connection, settings, principal):
        custody = connection.scalar(
            text("SELECT min(custody_account_id) FROM account WHERE kind = 'prepayment_held' AND subject = :order"),
            {"order": order},
        )
        if custody is not None:
            require_in_scope(connection, principal, custody)
        proof = proof_of(connection, order, as_of.date() if as_of else date.max, secret=signing_keys(settings.keys).secret)
    _written(out, proof)


def transfer_proof(
    transfer: Annotated[str, typer.Argument(help="Id of the transfer.")],
    out: Out,
    as_of: Annotated[
        datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Business day (default: the newest checkpoint).")
    ] = None,
) -> None:
    """Prove that a transfer is in its batch, in its institution's log, and under a signed checkpoint.

    Example: escrow evidence transfer-proof 2490f0ba-... --out transfer.json
    """
    from datetime import date
    from uuid import UUID

    from sqlalchemy import text

    from entrypoints.acting import acting_on_books, require_in_scope
    from reports.evidence.proofs import transfer_proof as proof_of
    from supervision.rights import Right

    try:
        identity = UUID(transfer)
    except ValueError:
        raise typer.BadParameter(f"{transfer!r} is not the id of a transfer", param_hint="TRANSFER") from None
    with acting_on_books(Right.READ_LEDGER) as (connection, _, principal):
        custody = connection.scalar(
            text("""
                SELECT a.custody_account_id FROM transfer t
                JOIN account a ON a.institution_id = t.institution_id AND a.account_id = t.debit_account_id
                WHERE t.transfer_id = :id
            """),
            {"id": identity},
        )
        if custody is not None:
            require_in_scope(connection, principal, custody)
        proof = proof_of(connection, identity, as_of.date() if as_of else date.max)
    _written(out, proof)


def consistency_proof(
    first: Annotated[int, typer.Argument(help="Number of the earlier checkpoint.")],
    second: Annotated[int, typer.Argument(help="Number of the later checkpoint.")],
    out: Out,
) -> None:
    """Prove that a later checkpoint's log only continues an earlier one's: nothing signed before was changed.

    Example: escrow evidence consistency-proof 3 12 --out 3-12.json
    """
    from entrypoints.acting import acting_on_books
    from ledger.checkpoints import checkpoint_by_no
    from reports.evidence.proofs import consistency_proof_between
    from supervision.rights import Right

    if first > second:
        raise typer.BadParameter(f"{first} is after {second}", param_hint="FIRST")
    with acting_on_books(Right.READ_LEDGER) as (connection, _, _):
        proof = consistency_proof_between(connection, checkpoint_by_no(connection, first), checkpoint_by_no(connection, second))
    _written(out, proof)


def _written(out: Path, proof: str) -> None:
    out.write_text(proof, encoding="utf-8", newline="\n")
    typer.echo(f"{out}: {len(proof.encode()):,} bytes; check it: escrow evidence verify {out} --key LOG_PUBLIC_KEY")
