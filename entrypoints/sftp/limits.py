"""What one bank, one connection and one address may take of the server, and how failed logins are slowed down."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from bank_adapters.bank_answers import MOST_ANSWER_BYTES
from bank_adapters.detached import MOST_PROOF_BYTES
from jobs.collect import LARGEST_STATEMENT_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that hold for every bank alike. Sizes in bytes, times in seconds."""

    statement_bytes: int = LARGEST_STATEMENT_BYTES
    answer_bytes: int = MOST_ANSWER_BYTES
    proof_bytes: int = MOST_PROOF_BYTES
    waiting_files: int = 2_000  # files of one bank that were not collected yet, in one folder
    waiting_bytes: int = 4_000_000_000
    bytes_a_day: int = 4_000_000_000  # what one bank may upload in a business day, thrown away uploads too
    slow_seconds: float = 60.0  # how long an upload is watched at a time
    fewest_bytes_a_second: int = 1_000  # an upload that brings less on average over ``slow_seconds`` ends its connection
    connections_of_a_bank: int = 4
    sessions_of_a_connection: int = 10  # one after another or at once
    connections: int = 100  # of everybody, logged in or not
    open_files_of_a_bank: int = 16
    login_seconds: float = 30.0
    idle_seconds: float = 300.0
    key_attempts: int = 12  # questions about keys in one connection; a key is asked about twice
    failed_logins: int = 5  # from one address within ``failure_window_seconds``; then it is not served for as long
    failure_window_seconds: float = 600.0
    stop_seconds: float = 20.0  # how long uploads at work may go on once the server is told to stop


@dataclass(slots=True)
class DayTotals:
    """How many bytes each bank has uploaded on the business day at hand."""

    limits: Limits
    today: Callable[[], date]
    day: date = date.min
    bytes_of: Counter[str] = field(default_factory=Counter)

    def begin(self, bytes_of: Mapping[str, int]) -> None:
        """Begin with what came earlier today: a server that starts again forgets nothing."""
        self.day, self.bytes_of = self.today(), Counter(bytes_of)

    def take(self, bank_code: str, count: int) -> bool:
        """Count bytes of a bank; False when the day's are used up."""
        if (today := self.today()) != self.day:
            self.day, self.bytes_of = today, Counter()
        self.bytes_of[bank_code] += count
        return self.bytes_of[bank_code] <= self.limits.bytes_a_day


_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class FailedLogins:
    """Failed logins of each address, by a clock that never runs backwards."""

    limits: Limits
    clock: Callable[[], float]
    times: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, address: str) -> int:
        """Count one more; returns how many this address has within the window."""
        found = self._recent(address)
        found.append(self.clock())
        self.times[address] = found
        while len(self.times) > _MOST_ADDRESSES:
            del self.times[next(iter(self.times))]
        return len(found)

    def blocked(self, address: str) -> bool:
        """Whether the address is not served for now."""
        return len(self._recent(address)) >= self.limits.failed_logins

    def _recent(self, address: str) -> deque[float]:
        found = self.times.pop(address, None) or deque(maxlen=self.limits.failed_logins)
        since = self.clock() - self.limits.failure_window_seconds
        while found and found[0] < since:
            found.popleft()
        if found:
            self.times[address] = found  # the newest stand last
        return found
