"""The release schedule in closed form: which part of a prepayment is the institution's after n released class-hours.

Cumulative rounding in whole fen: an instalment is a difference of two cumulative amounts, so instalments always sum to the
prepayment exactly and nothing is over-released on the way (4999.00 over 48 hours, rounded hour by hour, would give away
20 fen). Nothing is stored for class-hours that have not happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

#: Shares of tranches are whole percents; the last one must reach this.
WHOLE_PERCENT = 100


class ReleaseMode(StrEnum):
    """How the released part follows the teaching."""

    PER_CLASS_HOUR = "per_class_hour"  # in exact proportion, hour by hour (一课一消)
    TRANCHES = "tranches"  # in steps, e.g. 30 % after a third, 60 % after two thirds, all at the end
    ORDER_COMPLETE = "order_complete"  # all at once after the last class-hour


@dataclass(frozen=True, slots=True, order=True)
class Tranche:
    """After ``after_numerator``/``after_denominator`` of the class-hours, ``cumulative_percent`` of the money is released."""

    after_numerator: int
    after_denominator: int
    cumulative_percent: int

    def __post_init__(self) -> None:
        if not 0 < self.after_numerator <= self.after_denominator:
            raise ValueError(f"a tranche is due after a share of the class-hours between 0 and 1, not {self.after_text}")
        if not 0 < self.cumulative_percent <= WHOLE_PERCENT:
            raise ValueError(f"a tranche reaches 1 to 100 percent, not {self.cumulative_percent}")

    @property
    def after_text(self) -> str:
        return f"{self.after_numerator}/{self.after_denominator}"

    def reached(self, released_hours: int, class_hours: int) -> bool:
        """Whether the share of class-hours has been released."""
        return released_hours * self.after_denominator >= self.after_numerator * class_hours


def tranches_text(tranches: tuple[Tranche, ...]) -> str:
    """Tranches as stored with a prepayment: ``1/3:30,2/3:60,1/1:100``; empty text for none."""
    return ",".join(f"{one.after_text}:{one.cumulative_percent}" for one in tranches)


def parse_tranches(text: str) -> tuple[Tranche, ...]:
    """Read ``1/3:30,2/3:60,1/1:100``. Raises ValueError when it is not such a text, not ascending, or does not end at 100."""
    found = []
    for part in text.split(",") if text else []:
        share, _, percent = part.partition(":")
        numerator, _, denominator = share.partition("/")
        if not (numerator.isdecimal() and denominator.isdecimal() and percent.isdecimal()):
            raise ValueError(f"{part!r} is not a tranche such as 1/3:30")
        found.append(Tranche(int(numerator), int(denominator), int(percent)))
    check_tranches(tuple(found))
    return tuple(found)


def check_tranches(tranches: tuple[Tranche, ...]) -> None:
    """Raises ValueError unless shares and percents both rise and the last tranche pays all at the end."""
    for earlier, later in pairwise(tranches):
        rises = earlier.after_numerator * later.after_denominator < later.after_numerator * earlier.after_denominator
        if not rises or earlier.cumulative_percent >= later.cumulative_percent:
            raise ValueError(f"tranche {later.after_text}:{later.cumulative_percent} does not come after the one before it")
    if tranches:
        last = tranches[-1]
        if last.cumulative_percent != WHOLE_PERCENT or last.after_numerator != last.after_denominator:
            raise ValueError("the last tranche must be all (100 percent) after all class-hours (1/1)")


@dataclass(frozen=True, slots=True)
class ReleaseSchedule:
    """How ``total_minor_units`` (fen) is released over ``class_hours`` hours. Raises ValueError when it cannot be."""

    total_minor_units: int
    class_hours: int
    mode: ReleaseMode = ReleaseMode.PER_CLASS_HOUR
    tranches: tuple[Tranche, ...] = ()

    def __post_init__(self) -> None:
        if self.total_minor_units <= 0 or self.class_hours <= 0:
            raise ValueError("a schedule needs an amount and class-hours above zero")
        if (self.mode is ReleaseMode.TRANCHES) != bool(self.tranches):
            raise ValueError("tranches belong to the mode 'tranches', and it needs them")

    def cumulative(self, released_hours: int) -> int:
        """Fen released in all once ``released_hours`` class-hours are released; 0 for none, the total for all of them."""
        if not 0 <= released_hours <= self.class_hours:
            raise ValueError(f"{released_hours} is not a number of class-hours from 0 to {self.class_hours}")
        if self.mode is ReleaseMode.PER_CLASS_HOUR:
            return self.total_minor_units * released_hours // self.class_hours
        if self.mode is ReleaseMode.ORDER_COMPLETE:
            return self.total_minor_units if released_hours == self.class_hours else 0
        reached = [one.cumulative_percent for one in self.tranches if one.reached(released_hours, self.class_hours)]
        percent = max(reached, default=0)
        return self.total_minor_units * percent // WHOLE_PERCENT

    def instalment(self, instalment_no: int) -> int:
        """Fen of the ``instalment_no``-th released class-hour (1-based); may be 0."""
        if not 1 <= instalment_no <= self.class_hours:
            raise ValueError(f"{instalment_no} is not an instalment from 1 to {self.class_hours}")
        return self.cumulative(instalment_no) - self.cumulative(instalment_no - 1)

    def unreleased_after(self, released_hours: int, reserved_hours: int, refunded_minor_units: int = 0) -> int:
        """Fen that may go back to the payer: all but what is released, what is reserved for taught hours, and earlier refunds."""
        kept = self.cumulative(min(released_hours + reserved_hours, self.class_hours))
        return max(0, self.total_minor_units - kept - refunded_minor_units)
