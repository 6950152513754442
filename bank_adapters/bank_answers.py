"""What a bank answers to our payment instructions: accepted, rejected with the reason, or pending.

Nouns only; ``answer_file`` reads them from what a bank sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from money import Money

#: An answer to a day's instructions is a thousandth of it.
MOST_ANSWER_BYTES = 20_000_000


class Answer(StrEnum):
    """What a bank says of one instruction."""

    ACCEPTED = "accepted"  # it has been or will be executed
    REJECTED = "rejected"  # it will not be executed
    PENDING = "pending"  # received; nothing decided yet


@dataclass(frozen=True, slots=True)
class BankAnswer:
    """One answer. ``file`` is the name of our instruction file without its ending ('' when not said); ``reference`` our
    end-to-end reference ('' when it is about the whole ``block`` or the whole file). ``amount`` as the bank repeats it.
    """

    answer: Answer
    reference: str
    file: str = ""
    block: str = ""
    reason_code: str = ""
    reason: str = ""
    bank_reference: str = ""
    amount: Money | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerFinding:
    """Why a file of answers cannot be used."""

    line: int | None
    message: str
    message_zh: str


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """What was read. ``bank_message_id`` is the bank's own number of the message, '' in a table."""

    format: str
    bank_message_id: str
    answers: tuple[BankAnswer, ...]
    findings: tuple[AnswerFinding, ...]

    @property
    def refused(self) -> bool:
        return bool(self.findings)


def refused_file(form: str, line: int | None, message: str, message_zh: str) -> AnswerFile:
    """A file that says nothing usable, with the reason."""
    return AnswerFile(form, "", (), (AnswerFinding(line, message, message_zh),))
