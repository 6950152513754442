"""``escrow evidence``: the keys, checkpoints and counter-signatures behind which nobody can tell another past."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

evidence_app = typer.Typer(
    name="evidence",
    help=(
        "Signed checkpoints, proofs and packs that others verify without trusting us.\n\n"
        "Examples:\n\n"
        "  escrow evidence checkpoint list\n\n"
        "  escrow evidence pack --account 6030000217546157985 --from 2026-03-02 --to 2026-03-31 --out pack.zip\n\n"
        "  escrow evidence verify pack.zip --key log.pub"
    ),
    no_args_is_help=True,
)
checkpoint_app = typer.Typer(
    name="checkpoint", help="Checkpoints: what was signed, and who counter-signed it.", no_args_is_help=True
)
evidence_app.add_typer(checkpoint_app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for another program.")]
_Day = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First business day (default: today).")]


def register(app: typer.Typer) -> None:
    """Add the group to the program."""
    from entrypoints.commands import evidence_pack

    evidence_pack.register(evidence_app)
    app.add_typer(evidence_app)


# -- keys --------------------------------------------------------------------------------------------------------------
@evidence_app.command("keygen")
def keygen(
    *,
    name: Annotated[str | None, typer.Option(help="Name of the key, like an address: funds.example.gov/checkpoints.")] = None,
    party: Annotated[str, typer.Option(help="Whose key it is.")] = "operator",
    cosigner: Annotated[
        Path | None, typer.Option(help="Make a counter-signing key in this file instead; needs no database.", dir_okay=False)
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Replace the key that signs checkpoints.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is replaced.")] = "rotation",
    day: _Day = None,
) -> None:
    """Make the key that signs checkpoints, or a counter-signing key for a bank or an authority.

    The private key stays in a file only you may read; give the printed public key to everybody who checks.

    Example: escrow --as platform evidence keygen --name funds.hangzhou.example/checkpoints

    Example: escrow evidence keygen --cosigner bank.key --name bank.example/nrb
    """
    from calendars import business_date
    from entrypoints.acting import acting_on_books
    from entrypoints.clock import utc_now
    from jobs.signing_keys import DEFAULT_NAME, KEY_FILE, make_keys, rotate_keys, write_private_file
    from ledger.signed_note import COSIGNATURE, new_key
    from supervision.rights import Right

    if cosigner is not None:
        if name is None:
            raise typer.BadParameter("a counter-signing key needs a name: --name bank.example/nrb", param_hint="--name")
        key = new_key(name, COSIGNATURE)
        write_private_file(cosigner, key.written())
        typer.echo(f"private key: {cosigner} (keep it to yourself)", err=True)
        typer.echo(str(key.public_key))
        typer.echo("give the public key above to the operator, who runs: escrow evidence key-add KEY --party NAME", err=True)
        return
    first = day.date() if day else business_date(utc_now())
    with acting_on_books(Right.CONFIGURE, write=True) as (connection, settings, principal):
        if rotate:
            made = rotate_keys(connection, settings.keys, day=first, actor=principal.user, reason=reason)
        else:
            made = make_keys(connection, settings.keys, name=name or DEFAULT_NAME, party=party, day=first, actor=principal.user)
    typer.echo(f"private key: {settings.keys / KEY_FILE}; back the folder up apart from the database", err=True)
    typer.echo(str(made.key.public_key))
    typer.echo("publish the public key above: who verifies passes it as --key", err=True)


@evidence_app.command("keys")
def keys(json: Json = False) -> None:
    """The public keys whose signatures count, and the days they sign for.

    Example: escrow evidence keys --json
    """
    import json as json_text

    from rich.table import Table

    from entrypoints.acting import acting_on_books
    from entrypoints.screen import screen
    from ledger.evidence_keys import recorded_keys
    from ledger.signed_note import ED25519
    from supervision.rights import Right

    with acting_on_books(Right.READ_LEDGER) as (connection, _, _):
        known = recorded_keys(connection)
    if json:
        rows = [
            {
                "key": str(one.key), "party": one.party, "signs": _what_it_signs(one.key.kind == ED25519),
                "valid_from": one.valid_from.isoformat(), "retired_on": one.retired_on and one.retired_on.isoformat(),
            }
            for one in known
        ]  # fmt: skip
        typer.echo(json_text.dumps(rows, ensure_ascii=False))
        return
    table = Table("party", "signs", "from", "retired", "public key", title="Keys")
    for one in known:
        table.add_row(
            one.party, _what_it_signs(one.key.kind == ED25519), str(one.valid_from), str(one.retired_on or "-"), str(one.key)
        )
    screen().print(table)


def _what_it_signs(log: bool) -> str:
    return "checkpoints" if log else "counter-signatures"


@evidence_app.command("key-add")
def key_add(
    key: Annotated[str, typer.Argument(help="The public key, as keygen printed it, or a file that holds it.")],
    party: Annotated[str, typer.Option(help="Whose key it is: a bank's code, an authority's name.")],
    day: _Day = None,
) -> None:
    """Record another party's public key, so that its counter-signatures are taken in.

    Example: escrow --as platform evidence key-add bank.pub --party NRB
    """
    from calendars import business_date
    from entrypoints.acting import acting_on_books
    from entrypoints.clock import utc_now
    from ledger.evidence_keys import record_key
    from supervision.rights import Right

    public = _public_key(key)
    first = day.date() if day else business_date(utc_now())
    with acting_on_books(Right.CONFIGURE, write=True) as (connection, _, principal):
        record_key(connection, public, party=party, valid_from=first, actor=principal.user)
    typer.echo(f"recorded the key {public.name} ({public.key_id.hex()}) of {party}, valid from {first}")


@evidence_app.command("key-retire")
def key_retire(
    key: Annotated[str, typer.Argument(help="The public key, or a file that holds it.")],
    reason: Annotated[str, typer.Option(help="Why: rotation, loss, disclosure.")],
    day: _Day = None,
) -> None:
    """Let another party's key sign no more from a business day on; what it signed before stays valid.

    Example: escrow --as platform evidence key-retire bank.pub --reason loss --from 2026-04-01
    """
    from calendars import business_date
    from entrypoints.acting import acting_on_books
    from entrypoints.clock import utc_now
    from ledger.evidence_keys import retire_key
    from supervision.rights import Right

    public = _public_key(key)
    first = day.date() if day else business_date(utc_now())
    with acting_on_books(Right.CONFIGURE, write=True) as (connection, _, principal):
        retire_key(connection, public, retired_on=first, actor=principal.user, reason=reason)
    typer.echo(f"the key {public.name} ({public.key_id.hex()}) signs no more from {first}")


def _public_key(given: str) -> Any:
    from ledger.signed_note import parse_public_key

    path = Path(given)
    return parse_public_key(path.read_text(encoding="utf-8") if path.is_file() else given)


# -- checkpoints -------------------------------------------------------------------------------------------------------
@checkpoint_app.command("list")
def list_checkpoints(json: Json = False) -> None:
    """Every checkpoint with its day, size, root and signers.

    Example: escrow evidence checkpoint list
    """
    import json as json_text

    from rich.table import Table

    from entrypoints.acting import acting_on_books
    from entrypoints.screen import screen
    from ledger.checkpoints import checkpoints
    from supervision.rights import Right

    with acting_on_books(Right.READ_LEDGER) as (connection, _, _):
        found = checkpoints(connection)
    if json:
        rows = [
            {
                "checkpoint": one.checkpoint_no, "business_date": one.business_date.isoformat(), "tree_size": one.tree_size,
                "root": one.root.hex(), "seal": one.seal_seq,
                "signed_by": [signature.name for signature in one.whole_note.signatures],
            }
            for one in found
        ]  # fmt: skip
        typer.echo(json_text.dumps(rows, ensure_ascii=False))
        return
    table = Table("no", "business day", "entries", "root", "signed by", title="Checkpoints")
    for one in found:
        names = ", ".join(signature.name for signature in one.whole_note.signatures)
        table.add_row(str(one.checkpoint_no), str(one.business_date), str(one.tree_size), one.root.hex()[:16], names)
    screen().print(table)
    if not found:
        typer.echo("there is no checkpoint yet; a business day ends with one: escrow run-day DATE", err=True)


@checkpoint_app.command("show")
def show_checkpoint(
    number: Annotated[int | None, typer.Argument(help="Number of the checkpoint (default: the newest).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the note to this file.", dir_okay=False)] = None,
    json: Json = False,
) -> None:
    """The signed note of a checkpoint, as others counter-sign and keep it (c2sp.org/tlog-checkpoint).

    Example: escrow evidence checkpoint show 12 --out 12.note
    """
    import json as json_text

    from entrypoints.acting import acting_on_books
    from ledger.checkpoints import checkpoint_by_no, last_checkpoint
    from ledger.evidence_keys import CheckpointRefused
    from supervision.rights import Right

    with acting_on_books(Right.READ_LEDGER) as (connection, _, _):
        found = last_checkpoint(connection) if number is None else checkpoint_by_no(connection, number)
    if found is None:
        raise CheckpointRefused("there is no checkpoint yet; a business day ends with one: escrow run-day DATE")
    note = str(found.whole_note)
    if out is not None:
        out.write_text(note, encoding="utf-8", newline="\n")
        typer.echo(f"{out}: checkpoint {found.checkpoint_no} of {found.business_date}", err=True)
    elif json:
        typer.echo(json_text.dumps({"checkpoint": found.checkpoint_no, "note": note}, ensure_ascii=False))
    else:
        typer.echo(note, nl=False)


@evidence_app.command("cosign")
def cosign(
    note: Annotated[Path, typer.Argument(help="The note of a checkpoint.", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(help="File of your counter-signing key.", exists=True, dir_okay=False)],
    log_key: Annotated[str, typer.Option(help="The log's public key, or a file that holds it: what you check before signing.")],
    out: Annotated[Path | None, typer.Option(help="Write the signature line to this file.", dir_okay=False)] = None,
) -> None:
    """Counter-sign a checkpoint with your own key (c2sp.org/tlog-cosignature); needs no database.

    The signature says that you saw this state at this time. Keep the note: two notes that contradict each other prove a
    rewritten past.

    Example: escrow evidence cosign 12.note --key bank.key --log-key log.pub --out 12.cosignature
    """
    from entrypoints.clock import utc_now
    from jobs.signing_keys import read_private_file
    from ledger.checkpoint import parse_checkpoint
    from ledger.signed_note import NoteRefused, parse_note, parse_private_key, signers

    read = parse_note(note.read_text(encoding="utf-8"))
    said = parse_checkpoint(read.text)
    log = _public_key(log_key)
    if not signers(read, [log]):
        raise NoteRefused(f"{note} is not signed by {log.name}; do not counter-sign it, and ask the operator")
    line = parse_private_key(read_private_file(key)).cosign(read.text, int(utc_now().timestamp())).line
    if out is None:
        typer.echo(line, nl=False)
        return
    out.write_text(line, encoding="utf-8", newline="\n")
    typer.echo(f"{out}: counter-signature of the checkpoint of {said.business_date} over {said.tree_size} entries", err=True)


@checkpoint_app.command("import-cosignature")
def import_cosignature(
    number: Annotated[int, typer.Argument(help="Number of the checkpoint.")],
    file: Annotated[Path, typer.Argument(help="Signature line, or a whole counter-signed note.", exists=True, dir_okay=False)],
) -> None:
    """Take in a counter-signature another party gave under a checkpoint.

    Example: escrow evidence checkpoint import-cosignature 12 12.cosignature
    """
    from entrypoints.acting import acting_on_books
    from ledger.checkpoints import add_cosignature
    from ledger.evidence_keys import CheckpointRefused
    from ledger.signed_note import parse_note, parse_signatures
    from supervision.rights import Right

    content = file.read_text(encoding="utf-8")
    given = parse_signatures(content) if content.startswith("— ") else parse_note(content).signatures
    with acting_on_books(Right.RUN_JOB, write=True) as (connection, _, principal):
        taken = []
        for signature in given:
            try:
                taken.append(add_cosignature(connection, number, signature, actor=principal.user))
            except CheckpointRefused:
                if len(given) == 1:
                    raise
        if not taken:
            raise CheckpointRefused(f"{file} holds no counter-signature by a recorded key; see: escrow evidence keys")
    for one in taken:
        typer.echo(f"checkpoint {number} is counter-signed by {one.party} ({one.key.name})")
