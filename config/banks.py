"""The banks that keep custody accounts, read from config/banks.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path

from bank_adapters.detached import NOTHING_DEMANDED, ProofDemand, ProofKind
from bank_adapters.instruction_layout import SELF_PROVING, InstructionFormat, InstructionLayout, TableForm
from bank_adapters.payment_initiation import Initiator
from config.instruction_tables import load_table_forms
from config.loading import CONFIG_FOLDER, Section, load_section


@dataclass(frozen=True, slots=True)
class Bank:
    """A bank: its code in our books, the layout (profile id) of its statements and the name it delivers files under.

    ``business_day_cut``: local time in Shanghai after which the bank books on its next business day. ``instructions``: in which
    form it takes payment instructions; ``answer_within_working_days``: after how many working days without an answer it is asked.
    ``proofs``: what it must deliver beside each statement file.
    """

    bank_code: str
    name_en: str
    name_zh: str
    profile: str
    sender_id: str
    business_day_cut: time
    instructions: InstructionLayout = SELF_PROVING
    answer_within_working_days: int = 1
    proofs: ProofDemand = NOTHING_DEMANDED


def load_banks(path: Path = CONFIG_FOLDER / "banks.yaml") -> dict[str, Bank]:
    """Every bank by its code, in the order of the file. Raises ConfigRefused naming the file and the key."""
    top = load_section(path)
    forms = load_table_forms()
    found: dict[str, Bank] = {}
    for section in top.sections("banks"):
        cut = section.text("business_day_cut")
        try:
            business_day_cut = time.fromisoformat(cut)
        except ValueError:
            raise section.refuse("business_day_cut", f'{cut!r} is not a time of day such as "23:00"') from None
        one = Bank(
            bank_code=section.text("bank_code"),
            name_en=section.text("name_en"),
            name_zh=section.text("name_zh"),
            profile=section.text("profile"),
            sender_id=section.text("sender_id"),
            business_day_cut=business_day_cut,
            instructions=_layout(section, forms),
            proofs=_proofs(section),
            answer_within_working_days=section.integer("answer_within_working_days", 1, least=0, most=30),
        )
        section.finish()
        if one.bank_code in found:
            raise section.refuse("bank_code", f"{one.bank_code} is listed twice")
        if any(one.sender_id == other.sender_id for other in found.values()):
            raise section.refuse("sender_id", f"{one.sender_id} already belongs to another bank")
        found[one.bank_code] = one
    top.finish()
    return found


def _proofs(section: Section) -> ProofDemand:
    """What the bank must deliver beside its files: the key ``proofs`` as config/banks.yaml explains it."""
    told = section.section_or_empty("proofs")
    required = told.texts("required") if "required" in told else ()
    for word in required:
        if word not in tuple(ProofKind):
            raise told.refuse("required", f"{word!r} is not one of {', '.join(ProofKind)}")
    key = told.text("public_key") if "public_key" in told else ""
    try:
        demand = ProofDemand(frozenset(ProofKind(word) for word in required), key)
    except ValueError as problem:
        raise told.refuse("public_key", str(problem)) from None
    told.finish()
    return demand


def _layout(section: Section, forms: Mapping[str, TableForm]) -> InstructionLayout:
    """The form of a bank's instruction files: the key ``instructions`` as config/banks.yaml explains it."""
    told = section.section_or_empty("instructions")
    kind = InstructionFormat(told.choice("format", tuple(InstructionFormat), InstructionFormat.CSV))
    if kind is InstructionFormat.PAIN001:
        member = told.text("agent_member_id") if "agent_member_id" in told else ""
        layout = InstructionLayout(kind, initiator=Initiator(told.text("initiator"), section.text("name_zh"), member))
    elif kind is InstructionFormat.TABLE:
        layout = InstructionLayout(kind, table=forms[told.choice("table", tuple(forms))])
    else:
        layout = SELF_PROVING
    told.finish()
    return layout
