"""What an id names: a transfer, a batch, an order, a class-hour, a refund request, an instruction, a bank line, a match, a
discrepancy. Looked up in what the session may see, so that another jurisdiction's or bank's things are not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

_SHORTEST_PREFIX = 6


@dataclass(frozen=True, slots=True)
class Named:
    """What an id names: a thing of one kind in one institution's books."""

    kind: str
    identity: str
    institution_id: int
    custody_account_id: int | None

    def __str__(self) -> str:
        return f"{self.kind}/{self.identity}"


_PREFIXED = "starts_with({0}, lower(:id)) AND length(:id) >= " + str(_SHORTEST_PREFIX)


def _in_own_books(table: str, column: str) -> str:
    """A thing of one table by its number there."""
    return f"""
        SELECT o.institution_id, o.{column}, o.custody_account_id FROM {table} o
        WHERE o.institution_id IN (SELECT institution_id FROM institution) AND o.{column} = :id
    """


#: How an id of each kind looks, and whose it is. ``:id`` is what was asked for.
_FIND: Mapping[str, tuple[re.Pattern[str], str]] = {
    "transfer": (
        re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
        """
        SELECT t.institution_id, t.transfer_id::text, a.custody_account_id FROM transfer t
        JOIN account a ON a.institution_id = t.institution_id AND a.account_id = t.debit_account_id
        WHERE t.institution_id IN (SELECT h.institution_id FROM journal_head h) AND t.transfer_id = CAST(:id AS uuid)
        """,
    ),
    "transfer at": (
        re.compile(r"\d{1,9}\.\d{1,15}\.\d{1,9}"),
        """
        SELECT t.institution_id, t.transfer_id::text, a.custody_account_id FROM transfer t
        JOIN account a ON a.institution_id = t.institution_id AND a.account_id = t.debit_account_id
        WHERE t.institution_id = split_part(:id, '.', 1)::integer AND t.batch_id = split_part(:id, '.', 2)::bigint
            AND t.line = split_part(:id, '.', 3)::integer
        """,
    ),
    "batch": (
        re.compile(r"\d{1,9}\.\d{1,15}"),
        """
        SELECT b.institution_id, b.institution_id || '.' || b.batch_id, NULL FROM posting_batch b
        WHERE b.institution_id = split_part(:id, '.', 1)::integer AND b.batch_id = split_part(:id, '.', 2)::bigint
        """,
    ),
    "order": (re.compile(r".+"), _in_own_books("orders", "order_id")),
    "class_hour": (
        re.compile(r".+#\d{1,9}"),
        """
        SELECT DISTINCT p.institution_id, :id, p.custody_account_id FROM prepayment p JOIN class_hour_event e
            USING (institution_id, order_id)
        WHERE p.institution_id IN (SELECT institution_id FROM institution)
            AND p.order_id = left(:id, length(:id) - strpos(reverse(:id), '#'))
            AND e.class_hour_no = split_part(:id, '#', -1)::integer
        """,
    ),
    "refund_request": (
        re.compile(r".+"),
        """
        SELECT q.institution_id, q.refund_request_id, o.custody_account_id FROM refund_request q
        JOIN orders o USING (institution_id, order_id)
        WHERE q.institution_id IN (SELECT institution_id FROM institution)
            AND (q.refund_request_id = :id OR 'RF' || q.refund_request_id = :id)
        """,
    ),
    "instruction": (re.compile(r".+"), _in_own_books("disbursement_instruction", "instruction_id")),
    "line": (
        re.compile(r"[0-9a-fA-F]+"),
        f"SELECT institution_id, line_id, custody_account_id FROM statement_line WHERE {_PREFIXED.format('line_id')}",
    ),
    "match": (
        re.compile(r"[0-9a-fA-F]+"),
        f"SELECT institution_id, match_id, custody_account_id FROM match WHERE {_PREFIXED.format('match_id')}",
    ),
    "discrepancy": (
        re.compile(r"[0-9a-fA-F]+"),
        f"SELECT institution_id, discrepancy_id, custody_account_id FROM discrepancy WHERE {_PREFIXED.format('discrepancy_id')}",
    ),
}
#: Kinds of source events (``transfer.source_kind``) and what else people call a kind.
_ALSO = {
    "bank_line": "line", "release": "class_hour", "refund": "refund_request", "disbursement": "instruction",
    "settled_item": "transfer", "item": "transfer", "opening_balance": "transfer",
}  # fmt: skip
KINDS = tuple(kind for kind in _FIND if kind != "transfer at")
_MOST_FOUND = 4
_FORMS = (
    "a transfer (its id, or 1.12.3), a batch (1.12), an order, a class-hour (ORDER#3), a refund request, an instruction, or the "
    "first 6 or more characters of a bank line, a match or a discrepancy"
)


def find(conn: Connection, asked: str, *, institution_id: int | None = None, kinds: Collection[str] = KINDS) -> Named:
    """What ``asked`` names: an id as reports print it, or its beginning where it is a digest; ``KIND/ID`` tells kinds apart.

    ``kinds``: those looked among. Raises LookupError: nothing, or several things, each named.
    """
    wanted, _, rest = asked.partition("/")
    kind = _ALSO.get(wanted, wanted)
    given = kind in KINDS and bool(rest)
    looked_for, identity = (([kind] if kind in kinds else []), rest) if given else (list(kinds), asked)
    found: list[Named] = []
    for key, (form, question) in _FIND.items():
        told = key.split(maxsplit=1)[0]
        if told not in looked_for or not form.fullmatch(identity):
            continue
        rows = conn.execute(text(f"{question} LIMIT {_MOST_FOUND}"), {"id": identity})
        found += [Named(told, row[1], row[0], row[2]) for row in rows if institution_id in (None, row[0])]
    exact = [one for one in found if one.identity == identity] or found
    if not exact:
        raise LookupError(
            f"nothing is called {asked!r} in the books you may see; ids are those that reports print: {_FORMS} "
            "(escrow ledger journal, escrow discrepancy list)"
        )
    if len(exact) > 1:
        several = ", ".join(f"{one} of institution {one.institution_id}" for one in exact[: _MOST_FOUND - 1])
        raise LookupError(f"{asked!r} names several: {several}; give more of the id, KIND/ID, or --institution NUMBER")
    return exact[0]
