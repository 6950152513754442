"""Sentences and words of the statement calendar, in English and in Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from calendars import BUSINESS_TIME_ZONE
from reconciliation.discrepancy import DiscrepancyRecord, DiscrepancyState
from reconciliation.model import CustodyAccountRef
from reconciliation.statement_calendar import CalendarDay, DayState
from wording import Said

STATE_TITLES: dict[DayState, Said] = {
    DayState.NOT_DUE: Said("not due", "无需报送"),
    DayState.DUE: Said("due", "待报送"),
    DayState.RECEIVED: Said("received", "已收到"),
    DayState.WAITING: Said("waits for an earlier one", "等待前一份"),
    DayState.QUARANTINED: Said("held back", "已隔离"),
    DayState.REFUSED: Said("refused", "已拒收"),
    DayState.OVERDUE: Said("overdue", "逾期未报"),
    DayState.COVERED: Said("continued by a later one", "由后续对账单延续"),
}

#: One character a day in the tables; ``late`` is received after the deadline.
MARKS = {
    DayState.NOT_DUE: " ",
    DayState.DUE: "d",
    DayState.RECEIVED: "+",
    DayState.WAITING: "w",
    DayState.QUARANTINED: "q",
    DayState.REFUSED: "x",
    DayState.OVERDUE: "!",
    DayState.COVERED: "c",
}
LATE_MARK = "l"

LEGEND = Said(
    "+ received   l received late   d due   ! overdue   w waits for an earlier one   q held back   x refused   "
    "c continued by a later one",
    "+ 已收到   l 迟到   d 待报送   ! 逾期未报   w 等待前一份   q 已隔离   x 已拒收   c 由后续对账单延续",
)

WEEKDAYS = Said("Mon Tue Wed Thu Fri Sat Sun", "一 二 三 四 五 六 日")


def mark_of(one: CalendarDay) -> str:
    """The character of a day."""
    return LATE_MARK if one.state is DayState.RECEIVED and one.late_by is not None else MARKS[one.state]


def local(instant: datetime) -> str:
    """An instant in Shanghai, to the second where it has seconds: deadlines are judged to the second."""
    here = instant.astimezone(BUSINESS_TIME_ZONE)
    return f"{here:%Y-%m-%d %H:%M:%S}" if here.second else f"{here:%Y-%m-%d %H:%M}"


def duration(span: timedelta) -> Said:
    """How long: days and hours, hours and minutes, or seconds where it is less than a minute."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return Said(f"{days} d {hours} h", f"{days} 天 {hours} 小时")
    if hours:
        return Said(f"{hours} h {minutes} min", f"{hours} 小时 {minutes} 分")
    return Said(f"{minutes} min", f"{minutes} 分") if minutes else Said(f"{seconds} s", f"{seconds} 秒")


def told(ref: CustodyAccountRef, one: CalendarDay, now: datetime, missing: DiscrepancyRecord | None = None) -> Said | None:
    """What is to be said of a day of which a mark does not tell enough; None when nothing is. ``missing``: its discrepancy."""
    number, bank, day = ref.account_number, ref.bank_code, one.day
    if one.overdue and one.deadline is not None:
        span = duration(now - one.deadline)
        refused = one.state is DayState.REFUSED
        what = Said("what came was refused, bank", "来件已拒收，应重报，") if refused else Said("bank", "应")
        return Said(
            f"{number} {day}: overdue since {local(one.deadline)} (Shanghai), by {span.en}; {what.en} {bank} owes it: ask, "
            f"then: escrow statement receive FILE --sender {bank}{_see(missing).en}",
            f"{number} {day}：{what.zh}于 {local(one.deadline)}（上海）前报送，已逾期 {span.zh}；请向 {bank} 银行催要，"
            f"收到后执行：escrow statement receive FILE --sender {bank}{_see(missing).zh}",
        )
    if one.state is DayState.DUE:
        if one.deadline is None:
            return no_deadline(number, day)
        return Said(
            f"{number} {day}: due from bank {bank} until {local(one.deadline)} (Shanghai)",
            f"{number} {day}：{bank} 银行应于 {local(one.deadline)}（上海）前报送",
        )
    if one.state is DayState.RECEIVED and one.late_by is not None and one.came_at is not None:
        span = duration(one.late_by)
        return Said(
            f"{number} {day}: received late, at {local(one.came_at)} (Shanghai), {span.en} after the deadline",
            f"{number} {day}：迟到，{local(one.came_at)}（上海）收到，晚于时限 {span.zh}",
        )
    return None


def overdue_days(ref: CustodyAccountRef, days: Sequence[CalendarDay], now: datetime) -> Said:
    """Several days of one account are overdue: from which to which, how many, and for how long the oldest is."""
    number, bank, first, last = ref.account_number, ref.bank_code, days[0], days[-1]
    span = duration(now - first.deadline) if first.deadline is not None else Said("", "")
    return Said(
        f"{number} {first.day} to {last.day}: {len(days)} statements are overdue, the oldest by {span.en}; bank {bank} owes "
        f"them: ask, then: escrow statement receive FILE... --sender {bank}",
        f"{number} {first.day} 至 {last.day}：{len(days)} 份对账单逾期未报，最早一份已逾期 {span.zh}；请向 {bank} 银行催要，"
        f"收到后执行：escrow statement receive FILE... --sender {bank}",
    )


def _see(missing: DiscrepancyRecord | None) -> Said:
    if missing is None or missing.state not in (DiscrepancyState.OPEN, DiscrepancyState.PREPARED):
        return Said("", "")
    command = f"escrow discrepancy show {missing.discrepancy.discrepancy_id[:8]}"
    return Said(f" (STATEMENT_MISSING: {command})", f"（对账单缺失：{command}）")


def short(one: CalendarDay) -> Said:
    """A day in a cell of a table: its state, how late, or until when it is due."""
    title = STATE_TITLES[one.state]
    if one.state is DayState.RECEIVED and one.late_by is not None:
        span = duration(one.late_by)
        return Said(f"received {span.en} late", f"迟到 {span.zh}")
    if one.state is DayState.DUE and one.deadline is not None:
        return Said(f"due until {local(one.deadline)}", f"应于 {local(one.deadline)} 前报送")
    return title


def no_deadline(number: str, day: date) -> Said:
    """The holiday calendar ends before the deadline: nobody is called late by a guess."""
    return Said(
        f"{number} {day}: owed, but the holiday calendar ends before its deadline; add the year to config/calendars/",
        f"{number} {day}：应报送，但节假日日历未覆盖其时限；请在 config/calendars/ 中补充该年度",
    )


def nothing_owed(first: date, last: date) -> Said:
    """No bank owes anything in the days asked for."""
    return Said(f"nothing is owed for {first} to {last}", f"{first} 至 {last} 无应报送的对账单")
