"""Acts about instructions: take in the bank's answers, ask about those that have none, and put a rejected one's money back.

What a bank says is recorded, never edited; the last answer counts, and what a bank line shows outweighs it. Nothing here
instructs again: after its money went back by two people, the next day's instruction or the payer's next request carries it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, text

from bank_adapters.answer_file import read_answer_file
from bank_adapters.bank_answers import Answer, AnswerFile, AnswerFinding, BankAnswer
from bank_adapters.payment_initiation import references_by_block
from escrow.answer_tables import instruction_answer_file, instruction_event
from escrow.instructions import Instruction, InstructionRefused, InstructionState, instructions
from escrow.staging import take_turn
from ledger.store import reverse
from money import Money
from storage import audit
from storage.roles import deciding


class AnswerOutcome(StrEnum):
    """What became of one answer of a file."""

    RECORDED = "recorded"
    REPEATED = "repeated"  # it says what was known before
    REFUSED = "refused"  # it fits no instruction, or contradicts what is known


@dataclass(frozen=True, slots=True)
class AnswerReceipt:
    """One answer and what became of it, with the reason in both languages when it was refused."""

    reference: str
    answer: Answer
    outcome: AnswerOutcome
    line: int | None
    why: str = ""
    why_zh: str = ""


@dataclass(frozen=True, slots=True)
class AnswerFileReceipt:
    """What became of a file of answers. ``repeated``: the same bytes were taken in before, and nothing was recorded again."""

    file_name: str
    sha256: str
    format: str
    answers: tuple[AnswerReceipt, ...]
    findings: tuple[AnswerFinding, ...]
    repeated: bool = False

    @property
    def refused(self) -> bool:
        """Whether anything in the file could not be used."""
        return bool(self.findings) or any(one.outcome is AnswerOutcome.REFUSED for one in self.answers)


def receive_answers(
    conn: Connection, data: bytes, name: str, *, bank_code: str, now: datetime, actor: str, role: str = "system"
) -> AnswerFileReceipt:
    """Keep a bank's file of answers and record each answer it gives to an instruction of ours.

    A file with findings is kept and not used at all. Otherwise each answer stands by itself: one that fits no instruction of
    this bank, states another amount, or contradicts what is known is refused by name, the others are recorded.
    """
    take_turn(conn)
    digest = hashlib.sha256(data).digest()
    read = read_answer_file(data)
    known = conn.scalar(
        text("SELECT 1 FROM instruction_answer_file WHERE sha256 = :digest AND bank_code = :bank AND answer_count > 0"),
        {"digest": digest, "bank": bank_code},
    )
    if known is not None:
        return AnswerFileReceipt(name, digest.hex(), read.format, (), (), repeated=True)
    judged = [] if read.refused else _judge(conn, read, bank_code)
    recorded = [(one, said) for one, said, receipt in judged if receipt.outcome is AnswerOutcome.RECORDED and one is not None]
    receipts = tuple(receipt for _, _, receipt in judged)
    said_wrong = [_sentence(one.line, one.message) for one in read.findings]
    said_wrong += [_sentence(one.line, f"{one.reference}: {one.why}") for one in receipts if one.outcome is AnswerOutcome.REFUSED]
    file_id: int = conn.execute(
        insert(instruction_answer_file)
        .values(
            bank_code=bank_code,
            file_name=name,
            sha256=digest,
            content=data,
            format=read.format,
            bank_message_id=read.bank_message_id,
            answer_count=len(recorded),
            findings=said_wrong,
            received_by=actor,
            received_at=now,
        )
        .returning(instruction_answer_file.c.instruction_answer_file_id)
    ).scalar_one()
    for one, said in recorded:
        _add(
            conn,
            one,
            str(said.answer),
            now=now,
            actor=actor,
            reason=said.reason or None,
            reason_code=said.reason_code or None,
            bank_reference=said.bank_reference or None,
            instruction_answer_file_id=file_id,
            answer_line=said.line,
        )
    _audit(conn, "answers_received", name, now=now, actor=actor, role=role, details={
        "bank_code": bank_code, "sha256": digest.hex(), "recorded": len(recorded), "refused": said_wrong[:20],
    })  # fmt: skip
    return AnswerFileReceipt(name, digest.hex(), read.format, receipts, read.findings)


_Judged = tuple[Instruction | None, BankAnswer, AnswerReceipt]


def _judge(conn: Connection, read: AnswerFile, bank_code: str) -> list[_Judged]:
    """Every answer with the instruction it is about; a transaction's own outweighs its block's, and that its file's."""
    named = {one.reference for one in read.answers if one.reference}
    files = {one.file for one in read.answers if one.file}
    found = instructions(conn, bank_code=bank_code, references=named)
    ours = instructions(conn, bank_code=bank_code, files=files)
    by_reference = {(one.institution_id, one.reference): one for one in (*found, *ours)}
    judged: list[_Judged] = []
    for said in read.answers:
        about = [one for one in by_reference.values() if _is_about(one, said)]
        if said.reference:
            judged.append(_judge_one(said, about))
            continue
        if said.block:
            inside = _block(conn, said)
            about = [one for one in about if one.reference in inside]
        about = [one for one in about if one.reference not in named]
        if not about and not named:
            judged.append((None, said, _refused(said, *_nothing(said))))
        judged += [_judge_one(said, [one]) for one in about]
    return _said_once(judged)


def _said_once(judged: list[_Judged]) -> list[_Judged]:
    """A file that says two things of one instruction says nothing of it; the same thing twice counts once."""
    said_of: defaultdict[tuple[int, str], list[Answer]] = defaultdict(list)
    for one, said, _ in judged:
        if one is not None:
            said_of[one.institution_id, one.reference].append(said.answer)
    found: list[_Judged] = []
    seen: set[tuple[int, str]] = set()
    for one, said, receipt in judged:
        key = (one.institution_id, one.reference) if one is not None else None
        if one is None or key is None:
            found.append((one, said, receipt))
        elif len(set(said_of[key])) > 1:
            found.append(
                (None, said, _refused(said, "the file answers it twice, differently", "同一文件答复不一致", one.reference))
            )
        elif key in seen:
            found.append((one, said, AnswerReceipt(one.reference, said.answer, AnswerOutcome.REPEATED, said.line)))
        else:
            seen.add(key)
            found.append((one, said, receipt))
    return found


def _is_about(one: Instruction, said: BankAnswer) -> bool:
    return (not said.reference or one.reference == said.reference) and (not said.file or _stem(one.file) == said.file)


def _stem(file_name: str) -> str:
    return file_name.rsplit(".", 1)[0]


def _block(conn: Connection, said: BankAnswer) -> Collection[str]:
    content = conn.scalar(text("SELECT content FROM instruction_file WHERE file_name = :name"), {"name": f"{said.file}.xml"})
    return references_by_block(bytes(content)).get(said.block, ()) if content is not None else ()


def _nothing(said: BankAnswer) -> tuple[str, str]:
    what = said.reference or said.block or said.file
    where = f" in {said.file}" if said.file and what != said.file else ""
    return (
        f"this bank has no instruction {what}{where}; check the reference, or ask which file it answers",
        f"该行没有指令 {what}{'（' + said.file + '）' if where else ''}；请核对业务编号与指令文件",
    )


def _judge_one(said: BankAnswer, about: list[Instruction]) -> _Judged:
    if not about:
        return None, said, _refused(said, *_nothing(said))
    one = about[0]
    if len(about) > 1:
        names = ", ".join(sorted(_stem(each.file) for each in about))
        return None, said, _refused(
            said, f"{len(about)} instructions have this reference; say which file is answered: {names}",
            f"有 {len(about)} 条指令使用此编号；请注明指令文件：{names}",
        )  # fmt: skip
    amount = Money(one.amount_minor_units, one.currency)
    if said.amount is not None and said.amount != amount:
        return None, said, _refused(
            said, f"it names {said.amount}, the instruction is {amount}", f"回执金额 {said.amount}，指令 {amount}", one.reference
        )  # fmt: skip
    why = _contradiction(one, said.answer)
    if why is not None:
        return None, said, _refused(said, *why, one.reference)
    rank = (Answer.PENDING, Answer.ACCEPTED, Answer.REJECTED)
    if one.answer is not None and rank.index(said.answer) <= rank.index(Answer(one.answer)):
        return one, said, AnswerReceipt(one.reference, said.answer, AnswerOutcome.REPEATED, said.line)
    return one, said, AnswerReceipt(one.reference, said.answer, AnswerOutcome.RECORDED, said.line)


def _contradiction(one: Instruction, answer: Answer) -> tuple[str, str] | None:
    """Why an answer cannot be true beside what is known, None when it can. A statement outweighs an answer, a rejection stays."""
    rejected = answer is Answer.REJECTED
    if one.state is InstructionState.PAID and rejected:
        return (
            f"the statement of {one.settled_on} shows it paid; ask the bank",
            f"{one.settled_on} 对账单显示已付；请与银行核实",
        )
    if one.state is InstructionState.RETURNED and not rejected:
        return ("its money went back in the books; stop the payment with the bank", "资金已退回；请联系银行停止支付")
    if one.answer == Answer.REJECTED and not rejected:
        return ("the bank has rejected it before; ask which is right", "银行此前已拒绝；请与银行核实")
    return None


def _refused(said: BankAnswer, why: str, why_zh: str, reference: str = "") -> AnswerReceipt:
    shown = reference or said.reference or said.block or said.file
    return AnswerReceipt(shown, said.answer, AnswerOutcome.REFUSED, said.line, why, why_zh)


def _sentence(line: int | None, message: str) -> str:
    return f"line {line}: {message}" if line else message


def record_queries(
    conn: Connection, asked: Iterable[Instruction], *, now: datetime, actor: str, role: str, file_name: str
) -> None:
    """Record that the bank was asked what became of these instructions."""
    take_turn(conn)
    references = []
    for one in asked:
        _add(conn, one, "queried", now=now, actor=actor, reason=file_name)
        references.append(one.reference)
    _audit(conn, "queried", file_name, now=now, actor=actor, role=role, details={"references": references[:100]})


def prepare_return(conn: Connection, one: Instruction, *, reason: str, now: datetime, actor: str, role: str) -> None:
    """Propose to put a rejected instruction's money back. Raises InstructionRefused."""
    take_turn(conn)
    one = _again(conn, one)
    if not reason.strip():
        raise InstructionRefused("putting money back needs a reason: say why with --reason WHY")
    if one.state is not InstructionState.REJECTED:
        raise InstructionRefused(f"{one.reference} is {one.state}; only what the bank has rejected goes back. {_advice(one)}")
    with deciding(conn):
        _add(conn, one, "return_prepared", now=now, actor=actor, reason=reason)
        _audit(conn, "return_prepared", one.reference, now=now, actor=actor, role=role, details=_told(one, reason))


def approve_return(conn: Connection, one: Instruction, *, booking_date: date, now: datetime, actor: str, role: str) -> None:
    """Put a rejected instruction's money back, as another person proposed: a disbursement to the institution's payable, a refund
    to the prepayment held. The reversal is booked on ``booking_date``. Raises InstructionRefused, PostingRefused.
    """
    take_turn(conn)
    one, proposal = _proposal(conn, one)
    if proposal.actor == actor:
        raise InstructionRefused(
            f"{actor} proposed to put the money of {one.reference} back; another person must approve: "
            f"escrow --as USER instruction return {one.reference} --approve"
        )
    if booking_date < one.instruction_date:
        raise InstructionRefused(f"{one.reference} was instructed on {one.instruction_date}; it cannot go back on {booking_date}")
    outcome = reverse(
        conn,
        one.institution_id,
        [one.item_id],
        now=now,
        booking_date=booking_date,
        actor=actor,
        reason="instruction_rejected",
        rule_version="by hand",
    )
    decided = {"prepared_event_no": proposal.event_no, "prepared_by": proposal.actor}
    with deciding(conn):
        _add(conn, one, "returned", now=now, actor=actor, transfer_id=outcome.posted[0], **decided)
        _audit(conn, "returned", one.reference, now=now, actor=actor, role=role, details=_told(one, proposal.reason))


def decline_return(conn: Connection, one: Instruction, *, reason: str, now: datetime, actor: str, role: str) -> None:
    """Turn a proposal down; the money stays in transit. Raises InstructionRefused."""
    take_turn(conn)
    one, proposal = _proposal(conn, one)
    if not reason.strip():
        raise InstructionRefused("turning a proposal down needs a reason: say why with --reason WHY")
    decided = {"prepared_event_no": proposal.event_no, "prepared_by": proposal.actor}
    with deciding(conn):
        _add(conn, one, "return_declined", now=now, actor=actor, reason=reason, **decided)
        _audit(conn, "return_declined", one.reference, now=now, actor=actor, role=role, details=_told(one, reason))


def _proposal(conn: Connection, one: Instruction) -> tuple[Instruction, Any]:
    one = _again(conn, one)
    if one.state is not InstructionState.RETURN_PREPARED:
        raise InstructionRefused(f"{one.reference} is {one.state}, and nobody has proposed to put its money back. {_advice(one)}")
    found = conn.execute(
        text("""
            SELECT event_no, actor, reason FROM instruction_event
            WHERE institution_id = :institution AND reference = :reference ORDER BY event_no DESC LIMIT 1
        """),
        {"institution": one.institution_id, "reference": one.reference},
    ).one()
    return one, found


def _again(conn: Connection, one: Instruction) -> Instruction:
    """The instruction as it stands now that nobody else is deciding about it."""
    (now,) = [each for each in instructions(conn, references=[one.reference]) if each.institution_id == one.institution_id]
    return now


def _advice(one: Instruction) -> str:
    if one.state is InstructionState.REJECTED:
        return f"First: escrow --as USER instruction return {one.reference} --prepare --reason WHY"
    if one.state in (InstructionState.UNANSWERED, InstructionState.PENDING, InstructionState.ACCEPTED):
        return "Ask the bank what became of it: escrow instruction query"
    return f"What happened: escrow instruction show {one.reference}"


def _add(conn: Connection, one: Instruction, event: str, *, now: datetime, actor: str, **facts: Any) -> None:
    number = conn.scalar(
        text("SELECT max(event_no) FROM instruction_event WHERE institution_id = :institution AND reference = :reference"),
        {"institution": one.institution_id, "reference": one.reference},
    )
    about: dict[str, Any] = {
        "instruction_id": one.instruction_id,
        "refund_request_id": one.refund_request_id,
        "reference": one.reference,
    }
    conn.execute(
        insert(instruction_event).values(
            institution_id=one.institution_id,
            event_no=(number or 0) + 1,
            event=event,
            event_at=now,
            actor=actor,
            **about,
            **facts,
        )
    )


def _told(one: Instruction, reason: str | None) -> dict[str, Any]:
    return {"kind": one.kind, "amount_minor_units": one.amount_minor_units, "reason": reason or ""}


def _audit(conn: Connection, what: str, object_id: str, *, now: datetime, actor: str, role: str, details: dict[str, Any]) -> None:
    audit.record(
        conn, now=now, actor=actor, role=role, act=f"escrow:instruction:{what}", object_kind="instruction", object_id=object_id,
        details=details,
    )  # fmt: skip
