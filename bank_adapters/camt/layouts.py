"""How entries are laid out: the same elements around other texts. A layout is looked at once and then known by its tags.

lxml parses it, and the functions of ``entry`` say which text each field is read from: they are given an entry whose texts are
tokens, and the token that comes out tells where a field stands. So no rule is written down twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from lxml import etree
from lxml.etree import _Element as Element

from bank_adapters.camt.entry import (
    NO_DETAILS,
    day_text,
    details_of,
    local,
    parted,
    plain,
    status_text,
    transaction_code,
)

#: The fields of ``Layout.pick``, then as many columns of references and of parts of the transaction code.
FIELDS = (
    "amount", "direction", "reversal", "status", "booking_date", "value_date", "bank_reference", "end_to_end_reference",
    "name_in", "account_in", "name_out", "account_out", "indicator", "description",
)  # fmt: skip
REFERENCES = 6
CODE_PARTS = 3

_TAG = re.compile(r'/?[A-Za-z0-9]+|[A-Za-z0-9]+/|Amt Ccy="[A-Z]{3}"', re.ASCII)
_TOKEN = re.compile("T([0-9]{4})T", re.ASCII)
_MOST_TEXTS = 400  # of one entry


class _Unusual(ValueError):
    """Entries of this layout are read one by one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the fields of an entry stand among its texts: the first stands behind ``<Ntry>``, one behind each further tag.

    Behind the last text one is put that is None, for the fields the layout does not have, and, where ``joined`` names several
    texts, these as one: the description.
    """

    currency: str
    pick: Callable[[Sequence[str | None]], tuple[str | None, ...]]
    between: Callable[[Sequence[str]], Sequence[str]]  # the texts that stand between elements
    joined: tuple[int, ...]


def layout_of(tags: Sequence[str]) -> Layout | None:
    """The layout of entries with these tags (``Amt Ccy="CNY"``, ``/Amt``, ..) between ``<Ntry>`` and ``</Ntry>``.

    None when they are not well-formed or when entries of this layout must be read one by one.
    """
    if len(tags) >= _MOST_TEXTS or not all(map(_TAG.fullmatch, tags)):
        return None
    texts = [f"T{index:04d}T" for index in range(len(tags) + 1)]
    try:
        leaves = {_index(each.text) for each in _entry(tags, texts).iter() if not len(each) and each.text}
        return _read(_entry(tags, [text if index in leaves else "" for index, text in enumerate(texts)]), leaves, len(texts))
    except (etree.XMLSyntaxError, _Unusual):
        return None


def _entry(tags: Sequence[str], texts: Sequence[str]) -> Element:
    """The entry of these tags and texts. Raises XMLSyntaxError."""
    body = "".join(f"<{tag}>{text}" for tag, text in zip(tags, texts[1:], strict=True))
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(f"<Ntry>{texts[0]}{body}</Ntry>", parser)


def _read(entry: Element, leaves: set[int], count: int) -> Layout:
    absent = count
    parts, details = parted(entry)
    amount, direction = parts.get("Amt"), plain(parts.get("CdtDbtInd"))
    if amount is None or plain(amount) is None or direction is None or len(details) > 1:
        raise _Unusual
    currency = amount.get("Ccy")
    facts = details_of(details) if details else NO_DETAILS
    status = parts.get("Sts")
    days: list[str | None] = []
    for name in ("BookgDt", "ValDt"):
        day = day_text(parts[name]) if name in parts else None
        if name in parts and day is None:
            raise _Unusual
        days.append(day)
    own = plain(parts.get("AcctSvcrRef"))
    references = [*facts.references, plain(parts.get("NtryRef"))]
    code = transaction_code(parts.get("BkTxCd"))
    codes = code.split("-") if code else []
    description = facts.description or plain(parts.get("AddtlNtryInf"))
    joined = tuple(int(each) for each in _TOKEN.findall(description or ""))
    if description != ("".join(f"T{each:04d}T" for each in joined) or None):
        raise _Unusual
    if len(joined) > 1 and not all(_is_unstructured(entry, each) for each in joined):
        raise _Unusual
    given = [each for each in references if each]
    if currency is None or len(given) > REFERENCES or len(codes) > CODE_PARTS:
        raise _Unusual
    fields = [
        plain(amount), direction, plain(parts.get("RvslInd")), status_text(status) if status is not None else None, *days, own,
        facts.end_to_end_reference, facts.name_in, facts.account_in, facts.name_out, facts.account_out, facts.indicator,
    ]  # fmt: skip
    places = [absent if each is None else _index(each) for each in fields]
    places.append(absent + 1 if len(joined) > 1 else joined[0] if joined else absent)
    for texts, width in ((given, REFERENCES), (codes, CODE_PARTS)):
        places += [_index(each) for each in texts] + [absent] * (width - len(texts))
    between = [index for index in range(count) if index not in leaves]
    return Layout(currency, itemgetter(*places), itemgetter(*between), joined if len(joined) > 1 else ())


def _index(token: str | None) -> int:
    found = _TOKEN.fullmatch(token or "")
    if found is None:
        raise _Unusual
    return int(found[1])


def _is_unstructured(entry: Element, index: int) -> bool:
    """Whether this text is one of Ustrd, whose texts are joined as they are."""
    return any(each.text == f"T{index:04d}T" and local(each) == "Ustrd" for each in entry.iter())
