"""Payment instructions as ISO 20022 pain.001.001.09, CustomerCreditTransferInitiationV09.

One payment information block (``PmtInf``) a custody account, since a block has one debtor account; each transaction is booked
by itself (``BtchBookg`` false), because reconciliation matches a bank line to one instruction by its end-to-end reference.
Texts longer than the standard's types are refused, never cut: a name that was cut is another name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree
from lxml.etree import _Element as Element

from bank_adapters.instructions import InstructionFile, PaymentOrder
from bank_adapters.writing.refusal import WritingRefused, single_line
from money import Money

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"

#: Lengths of the standard's types.
_ID, _ACCOUNT, _NAME, _UNSTRUCTURED = 35, 34, 140, 140
_MOST_CONTROL_SUM_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Initiator:
    """Who gives the instructions and who keeps the debited accounts, as the bank's agreement names them.

    ``agent_member_id``: the bank's number in its clearing system (in China the 12-digit CNAPS number); '' where the bank's
    name is enough.
    """

    name: str
    agent_name: str
    agent_member_id: str = ""


def write_pain001(file: InstructionFile, initiator: Initiator, created_at: datetime) -> bytes:
    """The file's bytes; ``created_at`` goes into the group header. Raises WritingRefused for what the message cannot carry."""
    if not file.orders:
        raise WritingRefused("a pain.001 message needs at least one payment order")
    document = etree.Element(f"{{{NAMESPACE}}}Document", nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # the stubs know no default namespace
    message = etree.SubElement(document, _tag("CstmrCdtTrfInitn"))
    header = etree.SubElement(message, _tag("GrpHdr"))
    _text(header, "MsgId", file.message_id, _ID)
    _text(header, "CreDtTm", created_at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"), _ID)
    _totals(header, file.orders)
    _text(etree.SubElement(header, _tag("InitgPty")), "Nm", initiator.name, _NAME)
    for number, (account, orders) in enumerate(_by_account(file).items(), 1):
        block = etree.SubElement(message, _tag("PmtInf"))
        _text(block, "PmtInfId", f"{file.message_id}-{number}", _ID)
        _payment_information(block, file, initiator, account, orders)
    body: bytes = etree.tostring(document, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return body


def references_by_block(content: bytes) -> Mapping[str, tuple[str, ...]]:
    """The end-to-end references of each payment information block of a message we wrote, by the block's id."""
    root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    return {
        block.findtext(_tag("PmtInfId")) or "": tuple(
            element.text or "" for element in block.iterfind(f"{_tag('CdtTrfTxInf')}/{_tag('PmtId')}/{_tag('EndToEndId')}")
        )
        for block in root.iter(_tag("PmtInf"))
    }


def _by_account(file: InstructionFile) -> dict[str, list[PaymentOrder]]:
    found: dict[str, list[PaymentOrder]] = {}
    for order in file.orders:
        found.setdefault(order.debit_account, []).append(order)
    return found


def _payment_information(
    block: Element, file: InstructionFile, initiator: Initiator, account: str, orders: list[PaymentOrder]
) -> None:
    _text(block, "PmtMtd", "TRF", _ID)
    _text(block, "BtchBookg", "false", _ID)
    _totals(block, tuple(orders))
    _text(etree.SubElement(block, _tag("ReqdExctnDt")), "Dt", file.business_date.isoformat(), _ID)
    debtor = etree.SubElement(block, _tag("Dbtr"))
    if orders[0].debit_account_name:
        _text(debtor, "Nm", orders[0].debit_account_name, _NAME)
    debit = _account(block, "DbtrAcct", account)
    _text(debit, "Ccy", file.currency, 3)
    agent = etree.SubElement(etree.SubElement(block, _tag("DbtrAgt")), _tag("FinInstnId"))
    if initiator.agent_member_id:
        _text(etree.SubElement(agent, _tag("ClrSysMmbId")), "MmbId", initiator.agent_member_id, _ID)
    _text(agent, "Nm", initiator.agent_name, _NAME)
    for order in orders:
        _transaction(block, order)


def _transaction(block: Element, order: PaymentOrder) -> None:
    one = etree.SubElement(block, _tag("CdtTrfTxInf"))
    _text(etree.SubElement(one, _tag("PmtId")), "EndToEndId", order.end_to_end_reference, _ID)
    amount = etree.SubElement(etree.SubElement(one, _tag("Amt")), _tag("InstdAmt"), Ccy=order.amount.currency)
    amount.text = order.amount.plain
    if order.beneficiary_bank:
        agent = etree.SubElement(etree.SubElement(one, _tag("CdtrAgt")), _tag("FinInstnId"))
        _text(agent, "Nm", order.beneficiary_bank, _NAME)
    _text(etree.SubElement(one, _tag("Cdtr")), "Nm", order.beneficiary_name, _NAME)
    _account(one, "CdtrAcct", order.beneficiary_account)
    if order.purpose:
        _text(etree.SubElement(one, _tag("RmtInf")), "Ustrd", order.purpose, _UNSTRUCTURED)


def _account(parent: Element, name: str, number: str) -> Element:
    account = etree.SubElement(parent, _tag(name))
    identity = etree.SubElement(etree.SubElement(account, _tag("Id")), _tag("Othr"))
    _text(identity, "Id", number, _ACCOUNT)
    return account


def _totals(parent: Element, orders: tuple[PaymentOrder, ...]) -> None:
    total = sum(order.amount.minor_units for order in orders)
    if len(str(total)) > _MOST_CONTROL_SUM_DIGITS:
        raise WritingRefused(f"the sum of {len(orders)} payment orders has more digits than a pain.001 control sum may have")
    _text(parent, "NbOfTxs", str(len(orders)), _ID)
    _text(parent, "CtrlSum", Money(total, orders[0].amount.currency).plain, _ID)


def _text(parent: Element, name: str, value: str, longest: int) -> None:
    text = single_line(value, name)
    if not text or len(text) > longest:
        raise WritingRefused(f"{name} {text!r} must have 1 to {longest} characters in a pain.001 message, not {len(text)}")
    try:
        etree.SubElement(parent, _tag(name)).text = text
    except ValueError as problem:
        raise WritingRefused(f"{name} {text!r} holds characters XML cannot carry") from problem


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
