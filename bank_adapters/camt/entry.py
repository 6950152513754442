"""One Ntry element: amounts at entry level, references and parties from its details. Elements are told by local name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from lxml.etree import _Element as Element

from bank_adapters.amounts import AmountTooFine, AmountUnreadable, exponent_or_two, parse_decimal_amount
from bank_adapters.dates import DateUnreadable, read_iso
from bank_adapters.findings import Findings
from bank_adapters.model import Direction, LineStatus
from bank_adapters.mt940.fields import NO_CURRENCY
from bank_adapters.packing import PackedLine, pack_time
from bank_adapters.profile import ReversalSign
from bank_adapters.references import meaningful, reference_set
from bank_adapters.xml_lines import line_of
from money import Money
from money.amount import AmountRefused

DIRECTIONS = {"CRDT": Direction.IN, "DBIT": Direction.OUT}
_IN, _BOOKED = Direction.IN, LineStatus.BOOKED
NOT_BOOKED = {"PDNG": LineStatus.PENDING, "FUTR": LineStatus.PENDING, "INFO": LineStatus.INFORMATION}


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return _LOCAL[element.tag]


class _LocalNames(dict[object, str]):
    """Few names, many elements: each name is cut once. Comments have no name."""

    def __missing__(self, tag: object) -> str:
        name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
        if len(self) < _MOST_NAMES:
            self[tag] = name
        return name


_MOST_NAMES = 4096
_LOCAL = _LocalNames()


def parts_of(element: Element) -> dict[str, Element]:
    """The first child of each local name: one walk instead of one for every child asked for."""
    if len(element) == 1:
        (only,) = element
        return {_LOCAL[only.tag]: only}
    found: dict[str, Element] = {}
    for each in element:
        found.setdefault(_LOCAL[each.tag], each)
    return found


def child(element: Element | None, *path: str) -> Element | None:
    """The first descendant along ``path`` of local names."""
    for name in path:
        if element is None:
            return None
        for each in element:
            if _LOCAL[each.tag] == name:
                element = each
                break
        else:
            return None
    return element


def text_of(element: Element | None, *path: str) -> str | None:
    """Stripped text of the first descendant along ``path``, None when absent or empty."""
    found = child(element, *path)
    if found is None or found.text is None:
        return None
    return found.text.strip() or None


@dataclass(slots=True)
class ReadAmount:
    """An Amt element read: minor units (never negative) and its currency."""

    minor_units: int
    currency: str

    def money(self, direction: Direction = Direction.IN) -> Money:
        return Money(self.minor_units if direction is Direction.IN else -self.minor_units, self.currency)


def read_amount(element: Element | None, fallback_currency: str | None, findings: Findings, owner: Element) -> ReadAmount | None:
    """An Amt with its Ccy, or None with a finding. Negative amounts do not exist in ISO 20022."""
    if element is None:
        findings.add("amount_missing", line=line_of(owner), field="Amt")
        return None
    text = (element.text or "").strip()
    currency = element.get("Ccy") or fallback_currency or NO_CURRENCY
    try:
        exponent = exponent_or_two(currency)
    except AmountRefused:
        findings.add("currency_unknown", line=line_of(element), field="Amt/@Ccy", excerpt=currency)
        return None
    try:
        if not text.startswith("-"):
            return ReadAmount(parse_decimal_amount(text, exponent), currency)
    except AmountTooFine:
        findings.add("amount_decimals", line=line_of(element), field="Amt", excerpt=text, currency=currency)
        return None
    except AmountUnreadable:
        pass
    findings.add("amount_unreadable", line=line_of(element), field="Amt", excerpt=text)
    return None


def read_direction(element: Element, findings: Findings) -> Direction | None:
    """CdtDbtInd of an entry or balance, or None with a finding."""
    return _direction(text_of(element, "CdtDbtInd"), element, findings)


def _direction(text: str | None, owner: Element, findings: Findings) -> Direction | None:
    direction = DIRECTIONS.get(text or "")
    if direction is None:
        findings.add("direction_unreadable", line=line_of(owner), field="CdtDbtInd", excerpt=text or "")
    return direction


def read_day(holder: Element | None, findings: Findings, zone: ZoneInfo, field: str) -> tuple[date | None, datetime | None]:
    """Dt or DtTm inside ``holder``: the date as written, and the instant (naive times are the bank's zone)."""
    if holder is None:
        return None, None
    text = day_text(holder)
    if text is None:
        findings.add("date_unreadable", line=line_of(holder), field=field, excerpt="")
        return None, None
    try:
        read, instant = read_iso(text)
    except DateUnreadable:
        findings.add("date_unreadable", line=line_of(holder), field=field, excerpt=text)
        return None, None
    if read.clamped:
        findings.add("date_clamped", line=line_of(holder), field=field, excerpt=text, date=read.day)
    if instant is not None and instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return read.day, instant


def day_text(holder: Element) -> str | None:
    """Dt, else DtTm inside ``holder``, else its own text."""
    text = None
    for each in holder:
        name = _LOCAL[each.tag]
        if name == "Dt" and (text := plain(each)):
            break
        if name == "DtTm":
            text = text or plain(each)
    return text or plain(holder)


def status_text(element: Element) -> str | None:
    """What Sts says, in the element itself or, since version 8, inside Cd or Prtry."""
    return plain(element) or text_of(element, "Cd") or text_of(element, "Prtry")


def parted(entry: Element) -> tuple[dict[str, Element], list[Element]]:
    """The first child of an Ntry by each local name, and every TxDtls of all its NtryDtls."""
    parts: dict[str, Element] = {}
    details: list[Element] = []
    for each in entry:
        name = _LOCAL[each.tag]
        if name == "NtryDtls":
            details.extend(detail for detail in each if _LOCAL[detail.tag] == "TxDtls")
        else:
            parts.setdefault(name, each)
    return parts, details


def read_entry(
    entry: Element, currency: str | None, findings: Findings, zone: ZoneInfo, reversal_sign: ReversalSign
) -> PackedLine | None:
    """The statement line of one Ntry, or None with findings when amount or direction cannot be read."""
    parts, details = parted(entry)
    amount = read_amount(parts.get("Amt"), currency, findings, entry)
    if amount is not None and currency is not None and amount.currency != currency:
        counter = child(parts.get("AmtDtls"), "CntrValAmt", "Amt")
        if counter is not None and counter.get("Ccy") == currency:  # the bank's own conversion into the account's currency
            amount = read_amount(counter, currency, findings, entry)
    direction = _direction(plain(parts.get("CdtDbtInd")), entry, findings)
    reversal = _is_reversal(parts.get("RvslInd"), findings)
    booking_date, booked_at = read_day(parts.get("BookgDt"), findings, zone, "BookgDt")
    value_date, _ = read_day(parts.get("ValDt"), findings, zone, "ValDt")
    status = _status(parts.get("Sts"), findings)
    if amount is None or direction is None:
        return None
    if reversal and reversal_sign is ReversalSign.INVERTED:
        direction = Direction.OUT if direction is Direction.IN else Direction.IN
    if not amount.minor_units:
        findings.add("amount_zero", line=line_of(entry), field="Amt")
    bank_reference = meaningful(plain(parts.get("AcctSvcrRef")))
    facts = details_of(details) if details else NO_DETAILS
    if len(details) == 1 and facts.other_direction(direction) and not reversal:
        findings.add("detail_direction", line=line_of(entry), field="TxDtls/CdtDbtInd")
    description = facts.description or plain(parts.get("AddtlNtryInf"))
    from_payer = (direction is _IN) != reversal
    if booking_date is None and status is _BOOKED:
        booking_date = value_date
    return (
        booking_date and booking_date.toordinal(), value_date and value_date.toordinal(), direction._value_, amount.minor_units,
        amount.currency, status._value_, line_of(entry) or 0, bank_reference, facts.end_to_end_reference,
        reference_set((bank_reference, *facts.references, plain(parts.get("NtryRef"))), description),
        facts.name_in if from_payer else facts.name_out, facts.account_in if from_payer else facts.account_out, description,
        reversal, transaction_code(parts.get("BkTxCd")), None, None, booked_at and pack_time(booked_at), None, None,
    )  # fmt: skip


def plain(element: Element | None) -> str | None:
    """Stripped text of an element, None when absent or empty."""
    return (element.text or "").strip() or None if element is not None else None


def _is_reversal(element: Element | None, findings: Findings) -> bool:
    text = plain(element)
    if text in (None, "false", "0"):
        return False
    if text not in ("true", "1"):
        findings.add("field_unreadable", line=line_of(element), field="RvslInd",
                     name="RvslInd", excerpt=text or "")  # fmt: skip
    return True


def _status(element: Element | None, findings: Findings) -> LineStatus:
    """BOOK is booked, PDNG and FUTR are expected, INFO moves nothing; without a status an entry is booked.

    Banks that leave the status out mean booked.
    """
    if element is None:
        return LineStatus.BOOKED
    text = status_text(element)
    if text is None or text == "BOOK":
        return _BOOKED
    if text not in NOT_BOOKED:
        findings.add("status_unknown", line=line_of(element), field="Sts", excerpt=text)
    return NOT_BOOKED.get(text, LineStatus.PENDING)


def transaction_code(element: Element | None) -> str | None:
    """BkTxCd: the bank's own code, or domain, family and sub-family joined by dashes."""
    if element is None:
        return None
    parts = parts_of(element)
    if proprietary := text_of(parts.get("Prtry"), "Cd"):
        return proprietary
    if (domain := parts.get("Domn")) is None:
        return None
    domains = parts_of(domain)
    code, family = plain(domains.get("Cd")), domains.get("Fmly")
    if family is None:
        return code
    families = parts_of(family)
    return "-".join(filter(None, (code, plain(families.get("Cd")), plain(families.get("SubFmlyCd"))))) or None


@dataclass(slots=True)
class _Details:
    end_to_end_reference: str | None = None
    references: tuple[str | None, ...] = ()
    name_in: str | None = None  # who paid, when money came in
    account_in: str | None = None
    name_out: str | None = None  # who was paid, when money went out
    account_out: str | None = None
    description: str | None = None
    indicator: str | None = None

    def other_direction(self, direction: Direction) -> bool:
        return self.indicator is not None and DIRECTIONS.get(self.indicator) not in (None, direction)


NO_DETAILS = _Details()


def details_of(details: list[Element]) -> _Details:
    """References of every TxDtls; parties and end-to-end reference only when there is one (a batch has many)."""
    references: list[str | None] = []
    texts: list[str] = []
    end_to_end = indicator = None
    parties: dict[str, str | None] = {}
    for detail in details:
        pieces: list[str] = []
        for part in detail:
            name = _LOCAL[part.tag]
            if name == "Refs":
                for each in part:
                    kind, value = _LOCAL[each.tag], plain(each)
                    if kind == "Prtry":
                        value = text_of(each, "Ref")
                    if kind == "EndToEndId":
                        end_to_end = meaningful(value)
                    references.append(value)
            elif name == "RltdPties" and len(details) == 1:
                parties = _parties(part)
            elif name == "RmtInf":
                _remittance(part, pieces, references)
            elif name == "CdtDbtInd":
                indicator = plain(part)
            elif name == "AddtlTxInf" and not pieces and (information := plain(part)):
                pieces.append(information)
        texts.append("".join(pieces).strip())
    one = len(details) == 1
    return _Details(
        end_to_end_reference=end_to_end if one else None,
        references=(end_to_end if one else None, *references),
        name_in=parties.get("Dbtr") or parties.get("UltmtDbtr"),
        account_in=parties.get("DbtrAcct"),
        name_out=parties.get("Cdtr") or parties.get("UltmtCdtr"),
        account_out=parties.get("CdtrAcct"),
        description=" | ".join(filter(None, texts)) or None,
        indicator=indicator if one else None,
    )


def _parties(element: Element) -> dict[str, str | None]:
    """Names by role (v8 puts them into Pty or Agt) and accounts by role (IBAN or Othr)."""
    found: dict[str, str | None] = {}
    for each in element:
        role = local(each)
        parts = parts_of(each)
        if role.endswith("Acct"):
            found[role] = text_of(parts.get("Id"), "IBAN") or text_of(parts.get("Id"), "Othr", "Id")
        else:
            name = plain(parts.get("Nm")) or text_of(parts.get("Pty"), "Nm")
            found[role] = name or text_of(parts.get("Agt"), "FinInstnId", "Nm")
    return found


def _remittance(element: Element, texts: list[str], references: list[str | None]) -> None:
    """Unstructured lines are pieces of one text, joined as they are; structured references are tokens."""
    for each in element:
        name = local(each)
        if name == "Ustrd":
            texts.append(each.text or "")
        elif name == "Strd":
            references.append(text_of(each, "CdtrRefInf", "Ref") or text_of(each, "CdtrRefInf", "CdtrRef"))
            references.append(text_of(each, "RfrdDocInf", "Nb"))
            if not texts and (information := text_of(each, "AddtlRmtInf")):
                texts.append(information)
