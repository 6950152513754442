"""What a benchmark measured, and the error that says it measured something wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class BenchmarkWrong(AssertionError):
    """The result of a benchmarked run is not right, so its speed means nothing."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``rows`` transfers in ``seconds``; ``what`` says how."""

    what: str
    rows: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        return {"what": self.what, "rows": self.rows, "seconds": round(self.seconds, 4), "per_second": round(self.per_second, 1)}


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio of this run beside what the design asks: at least, or at most when ``most``."""

    what: str
    reached: float
    goal: float
    most: bool = False

    @property
    def met(self) -> bool:
        return self.reached <= self.goal if self.most else self.reached >= self.goal

    def as_json(self) -> dict[str, Any]:
        """Figures for ``--json``."""
        bound = "at_most" if self.most else "at_least"
        return {"what": self.what, "reached": round(self.reached, 3), bound: self.goal, "met": self.met}


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
