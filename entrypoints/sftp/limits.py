"""What one bank, one connection and one address may take of the server, and how failed logins are slowed down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

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
