"""Is every partition what its table's partitions are? Any number of months is compared with the text of one.

``catalogue.json`` holds, for each partitioned table, every object of one partition with the marks below in place of its name
and its month. A partition's own texts, marked alike, must equal them. ``<table>_YYYY_MM`` holds one month;
``<table>_through_YYYY_MM`` is the table of the time before it was divided and differs in the ways of ``_HISTORY``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date

NAME, FIRST, NEXT, FIRST_ID, NEXT_ID = "<name>", "<first day>", "<next day>", "<first id>", "<next id>"

#: A month that holds nothing, whose partition ``migrations.check`` reads the texts from.
SAMPLE_MONTH = date(2000, 2, 1)

_NAME = re.compile(r"(?P<table>\w+?)_(?P<history>through_)?(?P<year>\d{4})_(?P<month>0[1-9]|1[0-2])")
_EPOCH = date(2000, 1, 1).toordinal()

_BOOKED = "date_trunc('month'::text, (booking_date)::timestamp without time zone)"

#: What the partition of the time before has in other words: every month until its own, and rows of old that keep their ids.
_HISTORY = {
    f"bound {NAME}": f"FOR VALUES FROM (MINVALUE) TO ('{NEXT_ID}')",
    f"constraint {NAME}.ck_{NAME}_booked": f"CHECK ((booking_date < '{NEXT}'::date))",
    f"constraint {NAME}.ck_{NAME}_new_ids": (
        f"CHECK (((transfer_id >= first_transfer_id(({_BOOKED})::date))"
        f" AND (transfer_id < first_transfer_id((({_BOOKED} + '1 mon'::interval))::date)))) NOT VALID (not validated)"
    ),
}


def marked(name: str, objects: Mapping[str, str]) -> dict[str, str]:
    """The objects of one partition with marks in place of its name and month; as they are when the name tells no month."""
    found = _NAME.fullmatch(name)
    if found is None:
        return dict(objects)
    first = date(int(found["year"]), int(found["month"]), 1)
    after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    marks = {name: NAME, _first_id(first): FIRST_ID, _first_id(after): NEXT_ID, str(first): FIRST, str(after): NEXT}

    def mark(said: str) -> str:
        for what, sign in marks.items():
            said = said.replace(what, sign)
        return said

    return {mark(key): mark(definition) for key, definition in objects.items()}


def partition_faults(
    table: str, right: Mapping[str, str], partitions: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """(kind, name, what is wrong) of each object of a table's partitions that is missing, changed or unknown."""
    for name, objects in sorted(partitions.items()):
        found = _NAME.fullmatch(name)
        if found is None or found["table"] != table:
            yield "partition", name, f"no migration made it, and its name tells no month of {table}"
            continue
        wanted = {**right, **_HISTORY} if found["history"] else right
        live = marked(name, objects)
        for key in sorted(wanted.keys() | live.keys()):
            kind, _, what = key.partition(" ")
            place = what.replace(NAME, name)
            if key not in live:
                yield kind, place, "it is missing"
            elif key not in wanted:
                yield kind, place, f"no migration made it: {live[key]}"
            elif live[key] != wanted[key]:
                yield kind, place, f"it is: {live[key]}; the migrations give: {wanted[key]}"


def _first_id(day: date) -> str:
    """The least id of a business day: ids begin with the number of days since 2000-01-01."""
    digits = f"{day.toordinal() - _EPOCH:06x}"
    return f"{digits}00-0000-0000-0000-000000000000"
