"""Group commit: many callers who want a few transfers posted now share one transaction, and each gets its own outcome.

A commit costs a write to disk whatever it holds, and a hot account's row can change hands only at a commit; so callers who
each commit for themselves queue behind each other's disk writes. Here they queue in memory instead: one worker takes what
has gathered, posts it as one batch per institution, commits once, and hands out the outcomes. While one group commits, the next
gathers. After a group of several the worker lets those it has just answered come back before it starts the next, for as long
as they keep coming: otherwise callers fall into two halves that wait for each other's commits. A lone caller waits for nobody.

A caller hears of success only after the commit. A refused caller takes no other down. When the connection is lost or the
database asks for another try, the group is posted again: ids are idempotency keys, so what had been committed unheard counts
as ``already_posted`` and nothing is posted twice.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Condition, Thread
from types import TracebackType
from typing import Literal, Self

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from ledger.links import Attachments
from ledger.model import PostingCall, PostingOutcome, PostingRefused
from ledger.writing import post_calls
from storage.trying_again import connection_lost, lost_race

#: Callers that come one after the other in less than this are taken together, for at most so long.
_GAP_SECONDS, _GATHERING_SECONDS = 0.001, 0.008


class QueueFull(RuntimeError):
    """So many callers wait already that this one was turned away; nothing of it was posted. It may try again."""


class GroupCommitClosed(RuntimeError):
    """The worker has stopped; nothing of this call was posted."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    call: PostingCall
    #: Who, why, by which rules: callers who share these share a batch; all share the transaction.
    header: tuple[str, str, str]
    now: datetime
    future: Future[PostingOutcome]


class GroupCommit:
    """Posts for many threads over one connection of ``engine``. Use it as a context manager, or ``close`` it.

    ``most_waiting``: callers that may wait; one more is turned away (QueueFull). ``most_together``: transfers a transaction takes
    unless one caller alone brings more. ``tries``: how often a group is tried when the connection is lost or the database asks
    for another try; between tries it waits ``pause_seconds``, doubled each time.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        most_waiting: int = 10_000,
        most_together: int = 1_000,
        tries: int = 8,
        pause_seconds: float = 0.05,
    ) -> None:
        self._engine = engine
        self._most_waiting = most_waiting
        self._most_together = most_together
        self._tries = tries
        self._pause_seconds = pause_seconds
        self._waiting: deque[_Waiting] = deque()
        self._changed = Condition()
        self._closing = False
        #: Callers in the group before: alone, or with others who may come back together.
        self._last_size = 0
        #: Commits made, and calls they held: how well callers gather.
        self.commits = 0
        self.calls = 0
        self._worker = Thread(target=self._run, name="group-commit", daemon=True)
        self._worker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def post(
        self,
        call: PostingCall,
        *,
        now: datetime,
        actor: str,
        reason: str,
        rule_version: str,
        on_refusal: Literal["raise", "report"] = "raise",
    ) -> PostingOutcome:
        """Post a call and wait until it is committed; like ``ledger.store.post``, in a transaction shared with other callers.

        With ``on_refusal='raise'`` the call is posted whole or PostingRefused is raised. Raises QueueFull, GroupCommitClosed,
        ValueError for a call that contradicts itself, and the database's error when it does not come back within the tries:
        then whether it was posted is unknown, and the same call may be given again.
        """
        whole = on_refusal == "raise"
        outcome = self.submit(call, now=now, actor=actor, reason=reason, rule_version=rule_version, whole=whole).result()
        if on_refusal == "raise" and outcome.refused:
            raise PostingRefused(outcome.refused)
        return outcome

    def submit(
        self, call: PostingCall, *, now: datetime, actor: str, reason: str, rule_version: str, whole: bool = True
    ) -> Future[PostingOutcome]:
        """The same without waiting: the future's result is the outcome, whose refusals are not raised."""
        if now.tzinfo is None:
            raise ValueError(f"the instant of posting {now} has no time zone")
        # A call that contradicts itself is its caller's fault alone, so it is found before it joins the others.
        Attachments.of(call.transfers, call.open_items, call.clearings, call.resolutions, call.corrections)
        whole_call = PostingCall(
            call.transfers, call.open_items, call.clearings, call.resolutions, call.corrections, whole=whole or call.whole
        )
        future: Future[PostingOutcome] = Future()
        with self._changed:
            if self._closing:
                raise GroupCommitClosed("posting has stopped; give the call to the next process")
            if len(self._waiting) >= self._most_waiting:
                raise QueueFull(f"{self._most_waiting} callers wait already; try again later")
            self._waiting.append(_Waiting(whole_call, (actor, reason, rule_version), now, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Post what waits, then stop. Callers that come later are turned away."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._worker.join()

    # --- The worker's thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (group := self._take()) is not None:
            if group:  # empty when those who waited gave up
                self._settle(group)

    def _take(self) -> list[_Waiting] | None:
        """Whoever has gathered, in the order of coming; None when closing and nobody waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            if self._last_size > 1:
                self._gather()
            group: list[_Waiting] = []
            room = self._most_together
            while self._waiting and (not group or len(self._waiting[0].call.transfers) <= room):
                one = self._waiting.popleft()
                if one.future.set_running_or_notify_cancel():
                    group.append(one)
                    room -= len(one.call.transfers)
            self._last_size = len(group)
            return group

    def _gather(self) -> None:
        """Wait while callers keep coming, until a group is full or the gathering has taken long enough. Holds the lock."""
        end = time.monotonic() + _GATHERING_SECONDS
        there = 0
        while there < len(self._waiting) < self._most_together and not self._closing and time.monotonic() < end:
            there = len(self._waiting)
            self._changed.wait(_GAP_SECONDS)

    def _settle(self, group: list[_Waiting]) -> None:
        try:
            outcomes = self._again_and_again(lambda: self._post_together(group))
        except Exception as error:  # noqa: BLE001  whatever it was, it belongs to a caller
            if len(group) == 1:
                group[0].future.set_exception(error)
                return
            # One of them brings the others down, and nothing was posted: each for itself, so only the guilty one hears of it.
            for one in group:
                self._settle([one])
            return
        self.calls += len(group)
        for one, outcome in zip(group, outcomes, strict=True):
            one.future.set_result(outcome)

    def _post_together(self, group: list[_Waiting]) -> list[PostingOutcome]:
        by_header: dict[tuple[str, str, str], list[int]] = {}
        for place, one in enumerate(group):
            by_header.setdefault(one.header, []).append(place)
        outcomes: dict[int, PostingOutcome] = {}
        with self._engine.begin() as conn:
            for (actor, reason, rule_version), places in by_header.items():
                posted = post_calls(
                    conn,
                    [group[place].call for place in places],
                    now=max(group[place].now for place in places),
                    actor=actor,
                    reason=reason,
                    rule_version=rule_version,
                )
                outcomes.update(zip(places, posted, strict=True))
        self.commits += 1
        return [outcomes[place] for place in range(len(group))]

    def _again_and_again(self, attempt: Callable[[], list[PostingOutcome]]) -> list[PostingOutcome]:
        """Try until it is known to be committed; raise what is no failure of the connection or of timing at once."""
        pause = self._pause_seconds
        for left in range(self._tries - 1, -1, -1):
            try:
                return attempt()
            except (DBAPIError, psycopg.Error) as error:  # COPY speaks to the driver itself
                if not left or not (lost_race(error) or connection_lost(error)):
                    raise
                with suppress(Exception):
                    self._engine.dispose()
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable: the last try returns or raises")
