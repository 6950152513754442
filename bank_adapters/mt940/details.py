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

GERMAN = re.compile(r"\s?([0-9]{3})([?>~<^\x1e])(?=[0-9]{2})", re.ASCII)
SUBFIELDS = {f"{number:02d}": "" for number in range(100)}  # what a subfield is for, by its number; '' is nothing of ours
SUBFIELDS |= {"00": "label", "31": "account", "38": "iban", "32": "name", "33": "name"}
SUBFIELDS |= {f"{number}": "purpose" for number in (*range(20, 30), *range(60, 64))}
SPREAD = frozenset({"purpose", "name"})  # over several subfields; of the others the last counts
SEPA_KEYS = frozenset({
    "EREF", "KREF", "MREF", "CRED", "DEBT", "SVWZ", "ABWA", "ABWE", "COAM", "OAMT", "IBAN", "PURP",
})  # fmt: skip
_KEYWORDS = (
    "TRTP|EREF|REMI|BENM|ORDP|NAME|IBAN|BBAN|BIC|ISDT|MARF|CSID|PREF|KREF|TRCD|RTRN|CNTP|PURP|ULTC|ULTD|SVCL|ACCW|ADDR|"
    "UDTR|UCRD|OCMT|CHGS|IACC|TXID|INID|EXCH|ULTB|CHG1|CHG2|SUM|ID"
)
_DUTCH = re.compile(rf"/({_KEYWORDS})/")


def read_details(first: str, more: Sequence[str]) -> Details:
    """Interpret the lines of :86: (all :86: of one :61: together)."""
    if found := GERMAN.match(first):
        return _german(found, "".join((first, *more)) if more else first)
    if not more and not first.strip():
        return NOTHING
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
    code, mark = found.groups()
    taken: dict[str, str] = {}
    use = ""
    for piece in text[found.end() :].split(mark):
        if (number := piece[:2]) in SUBFIELDS:
            use = SUBFIELDS[number]
            taken[use] = taken[use] + piece[2:] if use in SPREAD and use in taken else piece[2:]
        else:  # the mark stands in the text of a subfield
            taken[use] += mark + piece
    take = taken.get
    keyed = _sepa_keys(take("purpose", ""))
    get = keyed.get
    kept, mandate = get("KREF"), get("MREF")
    return Details(
        get("SVWZ") or keyed[""] or take("label", "").strip() or None,
        take("name", "").strip() or None,
        take("iban", "").strip() or take("account", "").strip() or None,
        meaningful(get("EREF")),
        tuple(filter(None, (kept, mandate))) if kept or mandate else (),
        code,
    )


def _sepa_keys(text: str) -> dict[str, str]:
    """``EREF+.. SVWZ+..`` as a mapping, the first of each key; text before the first key under ''."""
    if "+" not in text:
        return {"": text.strip()}
    keyed: dict[str, str] = {}
    key, *pieces = "", *text.split("+")
    value = ""
    for piece in pieces[:-1]:
        width = 4 if piece[-4:] in SEPA_KEYS else 3 if piece[-3:] == "BIC" else 0
        if not width:
            value += piece + "+"
            continue
        keyed.setdefault(key, (value + piece[:-width]).strip())
        key, value = piece[-width:], ""
    keyed.setdefault(key, (value + pieces[-1]).strip())
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
