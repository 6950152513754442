"""The :86: field in its dialects: German subfields (``166?00..?20..``), Dutch keywords (``/EREF/../REMI/..``), ``:NS:``, text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bank_adapters.references import meaningful

#: A line at least this long was broken because it was full, perhaps inside a word: joined without a blank.
FULL_LINE = 60


@dataclass(slots=True)
class Details:
    """What :86: says of one movement."""

    description: str | None = None
    name: str | None = None
    account: str | None = None
    end_to_end_reference: str | None = None
    references: tuple[str, ...] = ()
    transaction_code: str | None = None


NOTHING = Details()

_GERMAN = re.compile(r"\s?([0-9]{3})([?>~<^\x1e])(?=[0-9]{2})", re.ASCII)
_SUBFIELDS = {mark: re.compile(re.escape(mark) + r"([0-9]{2})", re.ASCII) for mark in "?>~<^\x1e"}
_SEPA = re.compile(r"(EREF|KREF|MREF|CRED|DEBT|SVWZ|ABWA|ABWE|COAM|OAMT|IBAN|BIC|PURP)\+")
_KEYWORDS = (
    "TRTP|EREF|REMI|BENM|ORDP|NAME|IBAN|BBAN|BIC|ISDT|MARF|CSID|PREF|KREF|TRCD|RTRN|CNTP|PURP|ULTC|ULTD|SVCL|ACCW|ADDR|"
    "UDTR|UCRD|OCMT|CHGS|IACC|TXID|INID|EXCH|ULTB|CHG1|CHG2|SUM|ID"
)
_DUTCH = re.compile(rf"/({_KEYWORDS})/")


def read_details(first: str, more: Sequence[str]) -> Details:
    """Interpret the lines of :86: (all :86: of one :61: together)."""
    if not first.strip() and not more:
        return NOTHING
    if found := _GERMAN.match(first):
        return _german(found, "".join((first, *more)))
    text = joined(first, more)
    if text.startswith("/"):
        pieces = _DUTCH.split(text)
        if len(pieces) > 1:
            return _dutch(pieces)
    text = text.strip()
    return Details(description=text or None)


def joined(first: str, more: Sequence[str]) -> str:
    """Lines as one text: full lines are joined as they are, shorter ones with a blank."""
    if not more:
        return first
    parts, last = [first], first
    for line in more:
        if not line.strip():
            continue
        if len(last) < FULL_LINE and last and not last.endswith(" "):
            parts.append(" ")
        parts.append(line)
        last = line
    return "".join(parts)


def _german(found: re.Match[str], text: str) -> Details:
    """Code, then subfields of separator and two digits; a hard line break may stand inside a subfield's mark."""
    pieces = _SUBFIELDS[found[2]].split(text[found.end() - 1 :])
    purpose: list[str] = []
    name: list[str] = []
    account = iban = label = None
    for number, value in zip(pieces[1::2], pieces[2::2], strict=False):
        if "20" <= number <= "29" or "60" <= number <= "63":
            purpose.append(value)
        elif number in ("32", "33"):
            name.append(value)
        elif number == "31":
            account = value.strip()
        elif number == "38":
            iban = value.strip()
        elif number == "00":
            label = value.strip()
    keyed = _sepa_keys("".join(purpose))
    return Details(
        description=keyed.get("SVWZ") or keyed.get("") or label or None,
        name="".join(name).strip() or None,
        account=iban or account or None,
        end_to_end_reference=meaningful(keyed.get("EREF")),
        references=tuple(keyed[key] for key in ("KREF", "MREF") if keyed.get(key)),
        transaction_code=found[1],
    )


def _sepa_keys(text: str) -> dict[str, str]:
    """``EREF+.. SVWZ+..`` as a mapping; text before the first key under ''."""
    pieces = _SEPA.split(text)
    keyed = {"": pieces[0].strip()}
    for key, value in zip(pieces[1::2], pieces[2::2], strict=True):
        keyed.setdefault(key, value.strip())
    return keyed


def _dutch(pieces: list[str]) -> Details:
    """``/KEY/value`` pairs, split; a key may come twice (``/REMI/``), its values are joined."""
    values: dict[str, str] = {}
    for key, given in zip(pieces[1::2], pieces[2::2], strict=True):
        value = given.strip() if key == "CNTP" else given.strip().strip("/")
        if key == "REMI" and value and values.get(key):
            values[key] += f" {value}"
        elif value and key not in values:
            values[key] = value
    get = values.get
    name, account = get("NAME"), get("IBAN") or get("BBAN")
    if counterparty := get("CNTP"):  # /CNTP/account/BIC/name/city/
        parts = counterparty.split("/")
        account = account or parts[0] or None
        name = name or (parts[2] if len(parts) > 2 else None) or None
    remittance = get("REMI", "").removeprefix("USTD//").removeprefix("STRD/CUR/")
    return Details(
        remittance or get("TRTP"),
        name,
        account,
        meaningful(get("EREF")),
        tuple(values[key] for key in _OTHER_REFERENCES if key in values),
        get("TRCD"),
    )


_OTHER_REFERENCES = ("PREF", "KREF", "MARF", "TXID", "INID")
_NS_LINE = re.compile(r"([0-9]{2})(.*)", re.ASCII)


def read_ns(first: str, more: Sequence[str]) -> Details:
    """:NS: lines after a :61: (German "Nummer und Satz"): 01-14 purpose, 15-16 name, 17 text, 33 bank, 34 account."""
    purpose: list[str] = []
    name: list[str] = []
    account = None
    for line in (first, *more):
        found = _NS_LINE.match(line)
        if found is None:
            continue
        number, value = found[1], found[2].strip()
        if "01" <= number <= "14":
            purpose.append(value)
        elif number in ("15", "16"):
            name.append(value)
        elif number == "34":
            account = value
    return Details(" ".join(filter(None, purpose)) or None, " ".join(filter(None, name)) or None, account)
