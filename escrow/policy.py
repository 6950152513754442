"""What a jurisdiction prescribes, from which day: release, refund and charging rules, inherited from the parent.

Pure nouns. The numbers are data (config/jurisdictions/), never constants of the code: they differ by place and change
by date.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import TypeVar

from escrow.schedule import ReleaseMode, Tranche

_Rule = TypeVar("_Rule")


class PolicyNotInForce(LookupError):
    """No rules are in force for this jurisdiction on this day; add them to config/jurisdictions/."""


class BreachAction(StrEnum):
    """What an import does with an order that breaks a charging limit."""

    REFUSE = "refuse"  # the order is not taken; its money stays with the payer
    FLAG = "flag"  # the order is taken and the breach is reported: the money has been charged already and must be guarded


class OutstandingScope(StrEnum):
    """Over which orders of one student at one institution the outstanding cap is counted."""

    COURSE = "course"  # orders of the same course name
    INSTITUTION = "institution"  # all orders of the student at the institution


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    """When a prepayment becomes the institution's.

    ``tranches`` is empty unless mode is TRANCHES. A payer silent for ``deemed_after_working_days`` working days after the
    class-hour was taught is deemed to confirm it.
    """

    mode: ReleaseMode
    tranches: tuple[Tranche, ...]
    deemed_after_working_days: int


@dataclass(frozen=True, slots=True)
class RefundPolicy:
    """An institution silent for ``deemed_agreed_after_working_days`` working days after the request is deemed to agree."""

    deemed_agreed_after_working_days: int


@dataclass(frozen=True, slots=True)
class ChargingLimits:
    """The most an institution may take at once. ``amount_minor_units`` is in fen.

    ``period_months``: calendar months a charge may span. ``earliest_months_ahead``: how long before the course starts it may
    be charged. The same hours and amount cap what a student has outstanding over ``outstanding_scope``, so that two contracts
    on one day do not defeat the limit.
    """

    period_months: int
    class_hours: int
    amount_minor_units: int
    earliest_months_ahead: int
    outstanding_scope: OutstandingScope
    breach: BreachAction
    outstanding_breach: BreachAction


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules in force for one jurisdiction on one day. ``version`` names every dated text that contributed."""

    jurisdiction_code: str
    version: str
    release: ReleasePolicy
    refund: RefundPolicy
    limits: ChargingLimits


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One dated text of one jurisdiction: only what it says itself; None leaves the parent's rule in force.

    A later version of the same jurisdiction replaces its earlier one as a whole.
    """

    in_force_from: date
    mode: ReleaseMode | None = None
    tranches: tuple[Tranche, ...] | None = None
    deemed_after_working_days: int | None = None
    deemed_agreed_after_working_days: int | None = None
    period_months: int | None = None
    class_hours: int | None = None
    amount_minor_units: int | None = None
    earliest_months_ahead: int | None = None
    outstanding_scope: OutstandingScope | None = None
    breach: BreachAction | None = None
    outstanding_breach: BreachAction | None = None


_RULES = tuple(one.name for one in fields(PolicyVersion) if one.name != "in_force_from")


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """A place with rules: a GB/T 2260 code of six digits (000000 the whole country), and whose rules it inherits."""

    code: str
    name_en: str
    name_zh: str
    parent: str | None
    versions: tuple[PolicyVersion, ...]


class PolicyBook:
    """All jurisdictions and their dated rules. ``version`` identifies the whole book and goes into postings as rule version."""

    def __init__(self, jurisdictions: Iterable[Jurisdiction], version: str) -> None:
        self.version = version
        self._jurisdictions: dict[str, Jurisdiction] = {one.code: one for one in jurisdictions}
        self._resolved: dict[tuple[str, date], Policy] = {}
        for one in self._jurisdictions.values():
            self.lineage(one.code)

    @property
    def jurisdictions(self) -> Mapping[str, Jurisdiction]:
        """Every jurisdiction by code."""
        return self._jurisdictions

    def __contains__(self, code: object) -> bool:
        return code in self._jurisdictions

    def lineage(self, code: str) -> tuple[Jurisdiction, ...]:
        """The jurisdiction and its ancestors, nearest first.

        Raises PolicyNotInForce for an unknown code, ValueError for a loop.
        """
        found: list[Jurisdiction] = []
        following: str | None = code
        while following is not None:
            one = self._jurisdictions.get(following)
            if one is None:
                raise PolicyNotInForce(f"jurisdiction {following} is not known; add config/jurisdictions/{following}.yaml")
            if one in found:
                raise ValueError(f"jurisdiction {code} inherits from itself")
            found.append(one)
            following = one.parent
        return tuple(found)

    def policy_for(self, jurisdiction_code: str, day: date) -> Policy:
        """The rules in force at the place on the day, each inherited from the nearest ancestor that says something.

        Raises PolicyNotInForce when the place is unknown or no text in force on that day settles some rule.
        """
        key = (jurisdiction_code, day)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(jurisdiction_code, day)
        return self._resolved[key]

    def _resolve(self, code: str, day: date) -> Policy:
        merged = PolicyVersion(in_force_from=day)
        contributed: list[str] = []
        for place in self.lineage(code):
            dates = [one.in_force_from for one in place.versions]
            at = bisect_right(dates, day)
            if at == 0:
                continue
            text = place.versions[at - 1]
            contributed.append(f"{place.code}@{text.in_force_from}")
            missing = [one for one in _RULES if getattr(merged, one) is None and not _belongs_to_nearer(one, merged)]
            merged = replace(merged, **{one: getattr(text, one) for one in missing})

        def settled(value: _Rule | None, what: str) -> _Rule:
            if value is None:
                raise PolicyNotInForce(f"no text in force at {code} on {day} settles {what}")
            return value

        mode = settled(merged.mode, "release.mode")
        return Policy(
            jurisdiction_code=code,
            version=" < ".join(contributed),
            release=ReleasePolicy(
                mode=mode,
                tranches=(merged.tranches or ()) if mode is ReleaseMode.TRANCHES else (),
                deemed_after_working_days=settled(merged.deemed_after_working_days, "confirmation.deemed_after_working_days"),
            ),
            refund=RefundPolicy(settled(merged.deemed_agreed_after_working_days, "refund.deemed_agreed_after_working_days")),
            limits=ChargingLimits(
                period_months=settled(merged.period_months, "charging.period_months"),
                class_hours=settled(merged.class_hours, "charging.class_hours"),
                amount_minor_units=settled(merged.amount_minor_units, "charging.amount"),
                earliest_months_ahead=settled(merged.earliest_months_ahead, "charging.earliest_months_ahead"),
                outstanding_scope=settled(merged.outstanding_scope, "charging.outstanding_scope"),
                breach=settled(merged.breach, "charging.breach"),
                outstanding_breach=settled(merged.outstanding_breach, "charging.outstanding_breach"),
            ),
        )


def _belongs_to_nearer(name: str, merged: PolicyVersion) -> bool:
    """Tranches go with the mode: a place that sets a mode takes no tranches from above."""
    return name == "tranches" and merged.mode is not None
