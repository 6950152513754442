"""From any id a report prints down to its source, and back up: figure, transfers, event, file and line; who, by which rule.

``explanation_ids.find`` says what an id names, ``explain`` what is recorded of it: what it rests on (orders, confirmations, bank
lines, each with the SHA-256 of its file and the line in it), the transfers, and what follows (accounts, items, discrepancies).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, CursorResult, RowMapping, text

from ledger.model import transfer_id
from money import Money
from reports.explanation_facts import FACTS, LINKS, PERSONAL
from reports.explanation_ids import Named

#: A section names no more things than this, and says how many there are.
MOST_NAMED = 50
MASKED = "(masked)"

_SUFFIX = "_minor_units"


@dataclass(frozen=True, slots=True)
class Thing:
    """One recorded thing and its facts by name; amounts are ``Money``. ``masked``: facts that were kept back."""

    kind: str
    identity: str
    facts: Mapping[str, Any]
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """``rests_on``, ``transfers`` or ``leads_to``; ``more`` things are not named."""

    name: str
    things: tuple[Thing, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """A thing with its sections. A kind with history (a class-hour, say) has several entries in ``asked``, oldest first."""

    named: Named
    asked: tuple[Thing, ...]
    sections: tuple[Section, ...]

    @property
    def masked(self) -> bool:
        """Whether something was kept back."""
        return any(one.masked for one in (*self.asked, *(one for section in self.sections for one in section.things)))


def explain(conn: Connection, named: Named, *, personal: bool = False) -> Explanation:
    """Everything recorded about a thing. ``personal``: with what names payers, else that is masked."""
    reader = _Reader(conn, named.institution_id, personal)
    asked, (rests_on, transfers, leads_to) = (
        reader.of(named.kind, [named.identity]),
        _SECTIONS[named.kind](reader, named.identity),
    )
    return Explanation(
        named,
        tuple(asked),
        (
            reader.section("rests_on", rests_on, without=named),
            reader.section("transfers", [("transfer", one) for one in transfers], without=named),
            reader.section("leads_to", leads_to, without=named),
        ),
    )


#: What a bank may ask about: what it said, what is in doubt about it, what it was told to pay.
BANK_KINDS = ("line", "discrepancy", "instruction")


def explain_to_bank(conn: Connection, named: Named) -> Explanation:
    """What a bank may know of one of its own things: its lines and what is in doubt about them, without the books' side.

    Asked in a bank's session, which sees the bank's own accounts. What names payers is masked, as for everybody.
    """
    reader = _Reader(conn, named.institution_id, personal=False)
    rests_on, leads_to = _OF_BANK[named.kind](reader, named.identity)
    return Explanation(
        named,
        tuple(reader.of(named.kind, [named.identity])),
        (reader.section("rests_on", rests_on, without=named), reader.section("leads_to", leads_to, without=named)),
    )


#: Things to name, as (kind, id).
_Ids = Sequence[tuple[str, str]]
_Parts = tuple[_Ids, Sequence[str], _Ids]


@dataclass(slots=True)
class _Reader:
    """Reads things of one institution."""

    conn: Connection
    institution_id: int
    personal: bool
    known: dict[tuple[str, str], list[Thing]] = field(default_factory=dict)

    def of(self, kind: str, ids: Iterable[str]) -> list[Thing]:
        """Things of a kind by id, in the question's order."""
        wanted = sorted({one for one in ids if (kind, one) not in self.known})
        if wanted:
            for one in wanted:
                self.known[kind, one] = []
            for row in self._rows(FACTS[kind], wanted).mappings():
                thing = self._thing(kind, row)
                key = str(thing.facts["number"]) if kind == "account" else thing.identity
                self.known.setdefault((kind, key), []).append(thing)
        return [thing for one in dict.fromkeys(ids) for thing in self.known[kind, one]]

    def ids(self, link: str, ids: Iterable[str]) -> list[str]:
        """Ids linked to those of ``ids``."""
        wanted = list(dict.fromkeys(ids))
        return [row[0] for row in self._rows(LINKS[link], wanted)] if wanted else []

    def _rows(self, question: str, ids: Sequence[str]) -> CursorResult[Any]:
        return self.conn.execute(text(question), {"institution": self.institution_id, "ids": list(ids)})

    def _thing(self, kind: str, row: RowMapping) -> Thing:
        masked = tuple(name for name in PERSONAL.get(kind, ()) if row.get(name) and not self.personal)
        facts: dict[str, Any] = {}
        for name, value in row.items():
            if name == "thing" or value is None or value == "":
                continue
            if name.endswith(_SUFFIX):
                facts[name.removesuffix(_SUFFIX)] = Money(int(value), row["currency"])
            elif name != "currency":
                facts[name] = MASKED if name in masked else value
        return Thing(kind, str(row["thing"]), facts, masked)

    def section(self, name: str, wanted: _Ids, *, without: Named) -> Section:
        """The things of a section, each once and without the one that was asked for."""
        keys = [one for one in dict.fromkeys(wanted) if one != (without.kind, without.identity)]
        shown = keys[:MOST_NAMED]
        for kind in {kind for kind, _ in shown}:
            self.of(kind, [identity for one, identity in shown if one == kind])
        things = [thing for kind, identity in shown for thing in self.known[kind, identity]]
        return Section(name, tuple(things), len(keys) - len(shown))

    def sources(self, transfers: Sequence[str]) -> _Ids:
        """What the events of transfers rest on, down to files and lines."""
        found: list[tuple[str, str]] = []
        for one in self.of("transfer", transfers[:MOST_NAMED]):
            kind, _, ref = str(one.facts["source"]).partition("/")
            found += self._source(one, kind, ref)
        return found

    def _source(self, one: Thing, kind: str, ref: str) -> _Ids:
        match kind:
            case "order":
                return [("order", ref)]
            case "release":
                return [("class_hour", ref), ("order", ref.rpartition("#")[0])]
            case "refund":
                order = [("order", str(request.facts["order"])) for request in self.of("refund_request", [ref])]
                return [("refund_request", ref), *order]
            case "disbursement":
                return [("instruction", ref)]
            case "bank_line":
                return [("line", ref), *[("match", found) for found in self.ids("matches of lines", [ref])]]
            case "opening_balance":
                return [("opening_balance", one.identity)]
            case "settled_item":
                return [("item", ref), *self.sources([ref])]
            case _ if "reverses" in one.facts:
                undone = str(one.facts["reverses"])
                return [("transfer", undone), *self.sources([undone])]
            case _:
                return []

    def transfers_of_lines(self, lines: Sequence[str]) -> list[str]:
        """The journal entries of bank lines: their ids follow from the line, one for each leg."""
        found = []
        for line in self.of("line", lines[:MOST_NAMED]):
            legs = len(self.ids("items of matches", self.ids("matches of lines", [line.identity]))) + _MORE_LEGS
            day = line.facts["booking_date"]
            wanted = [str(transfer_id(self.institution_id, day, "bank_line", line.identity, leg)) for leg in range(1, legs + 1)]
            found += [one.identity for one in self.of("transfer", wanted)]
        return found

    def upwards(self, transfers: Sequence[str]) -> _Ids:
        """What rests on transfers: the items they opened or cleared, the accounts whose figures they make, the batches."""
        few = transfers[:MOST_NAMED]
        reversals = [
            ("transfer", str(one.facts["reversed_by"])) for one in self.of("transfer", few) if "reversed_by" in one.facts
        ]
        items = [("item", one) for one in self.ids("items of transfers", few)]
        accounts = [("account", one) for one in self.ids("accounts of transfers", few)]
        return [*reversals, *items, *accounts, *[("batch", one) for one in self.ids("batches of transfers", few)]]

    def doubts(self, *, lines: Sequence[str] = (), items: Sequence[str] = ()) -> _Ids:
        """The discrepancies that name lines or items."""
        found = [*self.ids("discrepancies of lines", lines), *self.ids("discrepancies of items", items)]
        return [("discrepancy", one) for one in found]


#: A line's entry has a leg for each item, and these for what a channel kept back and for suspense.
_MORE_LEGS = 4


def _of_transfers(reader: _Reader, transfers: Sequence[str]) -> _Parts:
    items = reader.ids("items of transfers", transfers[:MOST_NAMED])
    return reader.sources(transfers), transfers, [*reader.upwards(transfers), *reader.doubts(items=items)]


def _of_transfer(reader: _Reader, identity: str) -> _Parts:
    return _of_transfers(reader, reader.ids("entry of transfers", [identity]))


def _of_batch(reader: _Reader, identity: str) -> _Parts:
    return _of_transfers(reader, reader.ids("transfers of batches", [identity]))


def _of_order(reader: _Reader, identity: str) -> _Parts:
    transfers, items = reader.ids("transfers of orders", [identity]), reader.ids("items of orders", [identity])
    hours = [("class_hour", one) for one in reader.ids("class_hours of orders", [identity])]
    requests = [("refund_request", one) for one in reader.ids("refund_requests of orders", [identity])]
    matches = reader.ids("matches of items", items)
    lines = [("line", one) for one in reader.ids("lines of matches", matches)]
    rests_on = [*lines, *[("match", one) for one in matches], *requests, *hours]
    return rests_on, transfers, [*reader.doubts(items=items), *reader.upwards(transfers)]


def _of_event(kind: str) -> Any:
    def parts(reader: _Reader, identity: str) -> _Parts:
        return _of_transfers(reader, reader.ids(f"transfers of {kind}s", [identity]))

    return parts


def _of_line(reader: _Reader, identity: str) -> _Parts:
    transfers, matches = reader.transfers_of_lines([identity]), reader.ids("matches of lines", [identity])
    items = reader.ids("items of matches", matches)
    rests_on = [*[("match", one) for one in matches], *[("item", one) for one in items], *reader.sources(items)]
    return rests_on, transfers, [*reader.doubts(lines=[identity]), *reader.upwards(transfers)]


def _of_match(reader: _Reader, identity: str) -> _Parts:
    lines, items = reader.ids("lines of matches", [identity]), reader.ids("items of matches", [identity])
    transfers = reader.transfers_of_lines(lines)
    rests_on = [*[("line", one) for one in lines], *[("item", one) for one in items], *reader.sources(items)]
    return rests_on, transfers, [*reader.doubts(lines=lines, items=items), *reader.upwards(transfers)]


def _of_discrepancy(reader: _Reader, identity: str) -> _Parts:
    lines, items = reader.ids("lines of discrepancies", [identity]), reader.ids("items of discrepancies", [identity])
    transfers = [*reader.transfers_of_lines(lines), *reader.ids("transfers that clear items", items)]
    rests_on = [*[("line", one) for one in lines], *[("item", one) for one in items], *reader.sources(items)]
    matches = [("match", one) for one in reader.ids("matches of lines", lines)]
    return rests_on, transfers, [("event", identity), *matches, *reader.upwards(transfers)]


_OF_BANK: Mapping[str, Callable[[_Reader, str], tuple[_Ids, _Ids]]] = {
    "line": lambda reader, one: ([], reader.doubts(lines=[one])),
    "discrepancy": lambda reader, one: (
        [("line", line) for line in reader.ids("lines of discrepancies", [one])],
        [("event", one)],
    ),
    "instruction": lambda _reader, _one: ([], []),
}
_SECTIONS: Mapping[str, Any] = {
    "transfer": _of_transfer,
    "batch": _of_batch,
    "order": _of_order,
    "class_hour": _of_event("class_hour"),
    "refund_request": _of_event("refund_request"),
    "instruction": _of_event("instruction"),
    "line": _of_line,
    "match": _of_match,
    "discrepancy": _of_discrepancy,
}


def as_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as ``--json`` prints it: amounts as decimal text with their currency beside them."""
    return {
        "kind": explanation.named.kind,
        "id": explanation.named.identity,
        "institution_id": explanation.named.institution_id,
        "custody_account_id": explanation.named.custody_account_id,
        "recorded": [_thing_as_json(one) for one in explanation.asked],
        **{
            section.name: {"things": [_thing_as_json(one) for one in section.things], "more": section.more}
            for section in explanation.sections
        },
    }


def _thing_as_json(one: Thing) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, value in one.facts.items():
        if isinstance(value, Money):
            facts |= {name: value.plain, "currency": value.currency}
        elif isinstance(value, UUID):
            facts[name] = str(value)
        else:
            facts[name] = value.isoformat() if hasattr(value, "isoformat") else value
    return {"kind": one.kind, "id": one.identity, **facts}
