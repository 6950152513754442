"""How much of a prepayment goes back to the payer. Pure arithmetic in whole fen."""

from __future__ import annotations

from escrow.schedule import ReleaseSchedule


def refundable(schedule: ReleaseSchedule, *, released_hours: int, reserved_hours: int, refunded_minor_units: int) -> int:
    """Fen to refund now: the unreleased rest.

    The instalments of ``reserved_hours`` stay: class-hours taught whose confirmation or dispute is still open. A class-hour
    whose dispute was upheld is neither released nor reserved, so its money goes back.
    """
    return schedule.unreleased_after(released_hours, reserved_hours, refunded_minor_units)


def refund_with_gift(*, paid_minor_units: int, gift_minor_units: int, consumed_minor_units: int) -> int:
    """Fen to refund when the institution added a gift to the payment (法释〔2025〕4号, draft-stage write-up, V2).

    What was consumed counts at the share of it that was paid for: paid 3000.00 + gift 1000.00, consumed 3594.00 deducts
    2695.50 and refunds 304.50. A broken fen is the payer's.
    """
    if paid_minor_units <= 0 or gift_minor_units < 0 or consumed_minor_units < 0:
        raise ValueError("paid must be above zero, gift and consumed zero or more")
    deducted = consumed_minor_units * paid_minor_units // (paid_minor_units + gift_minor_units)
    return max(0, paid_minor_units - deducted)
