"""Doing a transaction again that the server ended for no fault of its own, and never one that may have been committed.

Two transactions can wait for each other in a circle (both have written open items and both need a month of the journal that is
not there yet); the server then ends one of them. What it ends is undone whole, so the act is done again from its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

_Result = TypeVar("_Result")

#: How often a transaction is tried, and how long the first pause is; each next one is twice as long.
TRIES, PAUSE_SECONDS = 4, 0.1

#: SQLSTATEs of a transaction the server ended because of others: serialization failure, deadlock, a lock not had in time.
_LOST_RACE = ("40001", "40P01", "55P03")

#: SQLSTATEs of a server that is going or coming; besides those of class 08, and none when the connection just broke.
_SERVER_GONE = ("57P01", "57P02", "57P03")


def lost_race(error: BaseException) -> bool:
    """Whether the server ended and undid this transaction because of others, so that it may succeed later."""
    return _state(error) in _LOST_RACE


def connection_lost(error: BaseException) -> bool:
    """Whether server or connection went away: what was not being committed is undone, a commit may have happened or not."""
    state = _state(error)
    if state is None:
        return isinstance(error, DBAPIError | psycopg.OperationalError) and isinstance(
            getattr(error, "orig", error), psycopg.OperationalError
        )
    return state in _SERVER_GONE or state.startswith("08")


def _state(error: BaseException) -> str | None:
    original = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None)
    return state if isinstance(state, str) else None


def committed(
    engine: Engine, act: Callable[[Connection], _Result], *, tries: int = TRIES, pause_seconds: float = PAUSE_SECONDS
) -> _Result:
    """What ``act`` gives when done in a transaction that was committed.

    It is done again, from its beginning in a new transaction, when the server ended it because of others, or the connection was
    lost before the commit was asked for: then surely nothing of it was kept. A connection lost during the commit is raised, since
    nobody can know. Whatever else ``act`` raises is raised at once.
    """
    for left in range(tries - 1, -1, -1):
        committing = False
        try:
            with engine.connect() as connection:
                result = act(connection)
                committing = True
                connection.commit()
        except (DBAPIError, psycopg.Error) as error:  # COPY speaks to the driver itself
            gone = connection_lost(error)
            if not left or not (lost_race(error) or (gone and not committing)):
                raise
            if gone:
                with suppress(Exception):
                    engine.dispose()
        else:
            return result
        time.sleep(pause_seconds)
        pause_seconds *= 2
    raise AssertionError("unreachable: the last try returns or raises")
