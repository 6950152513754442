"""Take in what banks answer to instructions: ``inbox/<BANK>/answers/`` -> its ``accepted/`` or ``refused/``, with a receipt."""

from __future__ import annotations

import json
from datetime import datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from bank_adapters.bank_answers import MOST_ANSWER_BYTES
from escrow.instruction_events import AnswerFileReceipt, AnswerOutcome, receive_answers
from jobs.drop_folder import ACCEPTED, ANSWERS, REFUSED, Collected, FileOutcome, move_with_receipt, shown_name, waiting_files
from jobs.settings import JobSettings
from storage.trying_again import committed


def collect_answers(connection: sa.Connection, settings: JobSettings, now: datetime) -> Collected:
    """Every waiting file of answers with its outcome, and what could not be read or moved with the reason.

    Each file is taken in by a transaction of its own and moved once that is certain, as statement files are.
    """
    done = Collected()
    for bank_code in sorted(settings.banks):
        folder = settings.inbox / bank_code
        (folder / ANSWERS).mkdir(parents=True, exist_ok=True)
        for path in waiting_files(folder, ANSWERS):
            name = f"{bank_code}/{ANSWERS}/{shown_name(path.name)}"
            done.take(name, partial(_collect_one, connection.engine, path, bank_code, settings, now))
    return done


def _collect_one(engine: sa.Engine, path: Path, bank_code: str, settings: JobSettings, now: datetime) -> FileOutcome:
    with path.open("rb") as stream:
        data = stream.read(MOST_ANSWER_BYTES + 1)
    receipt = committed(
        engine,
        partial(receive_answers, data=data, name=shown_name(path.name), bank_code=bank_code, now=now, actor=settings.actor),
    )
    folder = path.parent / (REFUSED if receipt.refused else ACCEPTED)
    move_with_receipt(path, folder, answer_receipt_text(receipt), receipt.sha256)
    refused = [one for one in receipt.answers if one.outcome is AnswerOutcome.REFUSED]
    return FileOutcome(
        REFUSED if receipt.refused else "repeated" if receipt.repeated else "recorded",
        [*(one.message for one in receipt.findings), *(f"{one.reference}: {one.why}" for one in refused)],
        [*(one.message_zh for one in receipt.findings), *(f"{one.reference}: {one.why_zh}" for one in refused)],
    )


def answer_receipt_text(receipt: AnswerFileReceipt) -> bytes:
    """What the bank may read of the fate of its answers, as JSON in English and Chinese."""
    recorded = sum(one.outcome is not AnswerOutcome.REFUSED for one in receipt.answers)
    refused = len(receipt.answers) - recorded
    body = {
        "file": receipt.file_name,
        "sha256": receipt.sha256,
        "format": receipt.format,
        "refused": receipt.refused,
        "summary_en": "taken in before" if receipt.repeated else f"answers taken: {recorded}, refused: {refused}",
        "summary_zh": "此前已接收" if receipt.repeated else f"采用 {recorded} 条，拒收 {refused} 条",
        "answers": [
            {"reference": one.reference, "answer": str(one.answer), "outcome": str(one.outcome), "line": one.line,
             "why": one.why, "why_zh": one.why_zh}
            for one in receipt.answers
        ],
        "findings": [{"line": one.line, "message": one.message, "message_zh": one.message_zh} for one in receipt.findings],
    }  # fmt: skip
    return (json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode()
