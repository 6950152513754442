"""Class-hours: what happens to them and what of it allows what. Pure nouns."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ClassHourEvent(StrEnum):
    """What happened to a class-hour. Each happens at most once to one class-hour.

    taught -> confirmed | deemed_confirmed | disputed; disputed -> dispute_withdrawn | dispute_upheld.
    """

    TAUGHT = "taught"  # the institution says it was given
    CONFIRMED = "confirmed"  # the payer says so too
    DEEMED_CONFIRMED = "deemed_confirmed"  # the payer stayed silent past the policy's working days; never in a file
    DISPUTED = "disputed"  # the payer says it was not: nothing is released until this is settled
    DISPUTE_WITHDRAWN = "dispute_withdrawn"  # the payer takes that back: the class-hour is as before
    DISPUTE_UPHELD = "dispute_upheld"  # the payer was right: never released, its money is the payer's again


#: Events a file may report, in the order in which one makes the next possible.
REPORTED_EVENTS = ("taught", "disputed", "dispute_withdrawn", "dispute_upheld", "confirmed")


@dataclass(slots=True)
class ClassHourFacts:
    """What is known of one class-hour when new reports about it are judged. Instants by event; None: not happened."""

    class_hours_sold: int
    happened: dict[str, datetime] = field(default_factory=dict)
    released: bool = False
    order_refunded: bool = False


@dataclass(frozen=True, slots=True)
class EventRefused:
    """Why a report about a class-hour is refused."""

    code: str
    reason: str


def judge_event(facts: ClassHourFacts, class_hour_no: int, event: str, event_at: datetime) -> EventRefused | None:
    """Whether the report may be taken; None when it may. Reports of one file are judged in the order of REPORTED_EVENTS.

    The answer depends on when things happened, never on the order in which they were reported.
    """
    taught_at = facts.happened.get(ClassHourEvent.TAUGHT)
    disputed_at = facts.happened.get(ClassHourEvent.DISPUTED)
    withdrawn_at = facts.happened.get(ClassHourEvent.DISPUTE_WITHDRAWN)
    if class_hour_no > facts.class_hours_sold:
        return EventRefused("class_hour_not_sold", f"the order has {facts.class_hours_sold} class-hours, not {class_hour_no}")
    if event == ClassHourEvent.TAUGHT:
        if facts.order_refunded:
            return EventRefused("order_refunded", "the rest of the order has been refunded; no further class-hour can be taught")
        return None
    if taught_at is None:
        return EventRefused("not_taught", f"class-hour {class_hour_no} is not reported as taught")
    if event_at < taught_at:
        return EventRefused("before_taught", f"class-hour {class_hour_no} was taught later than this")
    if event == ClassHourEvent.DISPUTED:
        return EventRefused("already_released", "the class-hour's money has been released") if facts.released else None
    if event in (ClassHourEvent.DISPUTE_WITHDRAWN, ClassHourEvent.DISPUTE_UPHELD):
        return _judge_settlement(facts, event, event_at, disputed_at)
    if disputed_at is not None and disputed_at <= event_at and (withdrawn_at is None or event_at < withdrawn_at):
        return EventRefused("disputed", "the class-hour is disputed; the dispute must be withdrawn first")
    return None


def _judge_settlement(facts: ClassHourFacts, event: str, event_at: datetime, disputed_at: datetime | None) -> EventRefused | None:
    if disputed_at is None:
        return EventRefused("not_disputed", "the class-hour is not disputed")
    if event_at < disputed_at:
        return EventRefused("before_disputed", "the class-hour was disputed later than this")
    other = ClassHourEvent.DISPUTE_UPHELD if event == ClassHourEvent.DISPUTE_WITHDRAWN else ClassHourEvent.DISPUTE_WITHDRAWN
    if other in facts.happened:
        return EventRefused("dispute_settled", f"the dispute has already ended ({other.value})")
    return None
