"""Payment channels: how a payer's money travels to the custody account. Pure nouns; data from config/channels.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to pay.

    ``settlement_lag_days``: calendar days from the payment to its arrival at the bank. ``window_days``: calendar days after
    that before money not yet seen counts as missing.
    """

    channel: str
    name_en: str
    name_zh: str
    settlement_lag_days: int
    window_days: int

    def due_date(self, paid_on: date) -> date:
        """The day the bank should show money paid on the business day ``paid_on``."""
        return paid_on + timedelta(days=self.settlement_lag_days)
