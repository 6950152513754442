"""What a simulated district is told about the world: calendar, banks, channels, jurisdictions, waiting times.

Everything is an argument, so that the caller may hand over the house's own configuration; the figures below are those of
DOMAIN.md and docs of the engine, written down a second time because the simulation must not read the engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from calendars import CalendarNotCovered, WorkingCalendar


@dataclass(frozen=True, slots=True)
class BankTerms:
    """A bank that keeps custody accounts and the layout (profile id) of its statement files."""

    bank_code: str
    name: str
    profile: str


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """A way to pay; ``lag_days`` are the calendar days from payment to arrival, which make the due date."""

    channel: str
    lag_days: int


@dataclass(frozen=True, slots=True)
class WindowTerms:
    """How long after its due date a movement is still carried: the later of so many calendar and so many working days.
    On the day after, it is missing, or late if it then arrives.
    """

    days: int
    working_days: int


@dataclass(frozen=True, slots=True)
class JurisdictionTerms:
    """A city: its division code, the district code its institutions register under, its silence rule in working days."""

    code: str
    city: str
    division: str
    deemed_after: int


@dataclass(frozen=True, slots=True)
class DistrictTerms:
    """All of it. ``receipt_window`` is for payers' money coming in, ``payment_window`` for disbursements leaving;
    ``refund_silence`` the working days after which an institution's silence agrees to a refund.
    """

    calendar: WorkingCalendar
    banks: tuple[BankTerms, ...]
    channels: tuple[ChannelTerms, ...]
    jurisdictions: tuple[JurisdictionTerms, ...]
    receipt_window: WindowTerms = WindowTerms(3, 2)
    payment_window: WindowTerms = WindowTerms(3, 3)
    refund_silence: int = 5

    def channel(self, name: str) -> ChannelTerms:
        """The terms of one channel. Raises KeyError."""
        for each in self.channels:
            if each.channel == name:
                return each
        raise KeyError(name)

    def last_day(self, due: date, window: WindowTerms) -> date:
        """The last day on which what was due on ``due`` is in time; calendar days alone past the calendar's end."""
        by_days = due + timedelta(days=window.days)
        try:
            return max(by_days, self.calendar.add_working_days(due, window.working_days))
        except CalendarNotCovered:
            return by_days


DEFAULT_BANKS = (
    BankTerms("NRB", "北江银行", "north-river"),
    BankTerms("LCB", "莲花商业银行", "lotus"),
    BankTerms("HBB", "海港银行", "harbour"),
    BankTerms("SWB", "环通银行", "mt940"),
    BankTerms("ISB", "标准银行", "camt053"),
)
DEFAULT_CHANNELS = (
    ChannelTerms("wechat", 1),
    ChannelTerms("alipay", 1),
    ChannelTerms("bank_transfer", 1),
)
DEFAULT_JURISDICTIONS = (
    JurisdictionTerms("330100", "杭州", "330106", 7),
    JurisdictionTerms("110000", "北京", "110108", 15),
    JurisdictionTerms("510100", "成都", "510104", 15),
)


def default_terms(
    calendar: WorkingCalendar,
    banks: Sequence[BankTerms] = DEFAULT_BANKS,
    channels: Sequence[ChannelTerms] = DEFAULT_CHANNELS,
) -> DistrictTerms:
    """The usual district: five banks with five layouts, three channels, three jurisdictions."""
    return DistrictTerms(calendar, tuple(banks), tuple(channels), DEFAULT_JURISDICTIONS)
