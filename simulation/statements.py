"""Every custody account's statement of every calendar day, as files of its bank's layout, with chained balances.

A defective statement file is made here, and enters the key here. The right file of a broken one follows a day later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby

from bank_adapters.model import Direction, LineStatus, Statement, StatementKind, StatementLine
from bank_adapters.profile import Profile, ProfileFormat
from bank_adapters.writing import write_camt053, write_delimited, write_mt940
from money import Money
from simulation.defects import Defect, DefectKind, StatementFate
from simulation.district import District
from simulation.events import BankMovement, Institution
from simulation.sales import instant
from simulation.span import SimulationRefused

_K = DefectKind
_ENDINGS = {ProfileFormat.MT940: "sta", ProfileFormat.CAMT: "xml", ProfileFormat.TABLE: "csv"}
_BREAK = 12345  # fen by which a broken balance is off
_WRITTEN_AT = 23 * 3600 + 45 * 60


@dataclass(frozen=True, slots=True)
class StatementFile:
    """One file a bank delivers on ``delivered_on``; ``path`` is relative to ``inputs/``."""

    institution_no: int
    statement_date: date
    delivered_on: date
    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AccountDay:
    """The bank's truth of one account and day, in fen.

    ``delivered_on`` is when it can be read: a sound file of it, and of all days before, is there; None when never.
    """

    institution_no: int
    day: date
    opening: int
    money_in: int
    money_out: int
    closing: int
    lines: int
    delivered_on: date | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """All statement files of a district, the truth behind them, and the defects of the files themselves."""

    files: tuple[StatementFile, ...]
    account_days: tuple[AccountDay, ...]
    defects: tuple[Defect, ...]
    path_of: Mapping[tuple[int, date], str]


def deliver(district: District, profiles: Mapping[str, Profile]) -> Delivery:
    """Write the statements. Raises SimulationRefused for a bank whose profile is not among ``profiles``."""
    files: list[StatementFile] = []
    account_days: list[AccountDay] = []
    defects: list[Defect] = []
    path_of: dict[tuple[int, date], str] = {}
    booked: dict[tuple[int, date], list[BankMovement]] = {
        key: list(lines) for key, lines in groupby(district.movements, key=lambda each: (each.institution_no, each.booking_date))
    }
    for school in district.institutions:
        profile = profiles.get(school.profile)
        if profile is None:
            raise SimulationRefused(
                f"bank {school.bank_code} needs the profile {school.profile!r}; known are {', '.join(sorted(profiles))}"
            )
        balance = 0
        for sequence, day in enumerate(district.span.days, start=1):
            key = (school.institution_no, day)
            fate = district.statement_fates.get(key)
            lines = booked.get(key, [])
            statement = _statement(school, day, sequence, balance, lines)
            made = _Made(district, school, day, statement, profile)
            made.deliver(fate)
            files.extend(made.files)
            defects.extend(made.defects)
            path_of[key] = made.files[-1].path if made.files else ""
            moved_in = sum(line.amount for line in lines if line.direction is Direction.IN)
            moved_out = sum(line.amount for line in lines if line.direction is Direction.OUT)
            closing = balance + moved_in - moved_out
            delivered_on = district.visible_on.get(key, day)
            account_days.append(
                AccountDay(school.institution_no, day, balance, moved_in, moved_out, closing, len(lines), delivered_on)
            )
            balance = closing
    return Delivery(tuple(files), tuple(account_days), tuple(defects), path_of)


def _statement(school: Institution, day: date, sequence: int, opening: int, movements: list[BankMovement]) -> Statement:
    """The sound statement of one day; ``movements`` in order of booking."""
    lines: list[StatementLine] = []
    balance = opening
    for number, each in enumerate(movements, start=1):
        balance += each.signed
        lines.append(
            StatementLine(
                booking_date=day,
                value_date=day,
                direction=each.direction,
                amount=Money(each.amount),
                status=LineStatus.BOOKED,
                line=number,
                bank_reference=each.bank_reference,
                end_to_end_reference=each.end_to_end_reference,
                counterparty_name=each.counterparty_name,
                counterparty_account=each.counterparty_account,
                description=each.description,
                transaction_code=each.transaction_code,
                running_balance=Money(balance),
                booked_at=each.booked_at,
            )
        )
    return Statement(
        kind=StatementKind.STATEMENT,
        account=school.account_number,
        currency="CNY",
        statement_id=f"{school.account_number[-8:]}{day:%y%m%d}",
        sequence=str(sequence),
        opening_balance=Money(opening),
        opening_date=day,
        closing_balance=Money(balance),
        closing_date=day,
        lines=tuple(lines),
        accepted=True,
        account_name=school.account_name,
    )


def _moved(statement: Statement, by: int, *, closing_only: bool) -> Statement:
    """The statement with its closing balance, or all of its balances, off by ``by`` fen."""
    shift = Money(by)
    if statement.opening_balance is None or statement.closing_balance is None:
        raise AssertionError("a simulated statement has both balances")
    closing = statement.closing_balance + shift
    if closing_only:
        return replace(statement, closing_balance=closing)
    lines = tuple(
        replace(line, running_balance=line.running_balance + shift) if line.running_balance is not None else line
        for line in statement.lines
    )
    return replace(statement, opening_balance=statement.opening_balance + shift, closing_balance=closing, lines=lines)


def tomorrow_of(day: date) -> date:
    """The calendar day after."""
    return day + timedelta(days=1)


class _Made:
    """The files one account-day leads to; the last one is the one a sound reading comes from."""

    def __init__(self, district: District, school: Institution, day: date, statement: Statement, profile: Profile) -> None:
        self.district, self.school, self.day, self.statement, self.profile = district, school, day, statement, profile
        self.tomorrow = tomorrow_of(day)
        self.files: list[StatementFile] = []
        self.defects: list[Defect] = []

    def write(self, statement: Statement) -> bytes:
        if self.profile.format is ProfileFormat.MT940:
            return write_mt940([statement])
        if self.profile.format is ProfileFormat.CAMT:
            return write_camt053([statement], instant(self.day, _WRITTEN_AT))
        return write_delimited(statement, self.profile)

    def add(self, content: bytes, delivered_on: date, ending: str = "") -> None:
        path = self.path_of(self.day, delivered_on, ending)
        self.files.append(StatementFile(self.school.institution_no, self.day, delivered_on, path, content))

    def path_of(self, day: date, delivered_on: date, ending: str = "") -> str:
        """Where the file of a day lies, relative to ``inputs/``."""
        name = f"{self.school.account_number}_{day:%Y%m%d}{ending}.{_ENDINGS[self.profile.format]}"
        return f"statements/{self.school.bank_code}/{delivered_on.isoformat()}/{name}"

    def name(self, kind: DefectKind, on: date, difference: int, sentence: str, also: tuple[DefectKind, ...] = ()) -> None:
        who = f"{self.school.account_number} ({self.school.bank_code})"
        self.defects.append(
            Defect(
                defect_id="",
                kind=kind,
                institution_no=self.school.institution_no,
                business_date=on,
                amount=abs(difference),
                difference=difference,
                references=(self.statement.statement_id or "",),
                bank_references=(),
                resolvable=True,
                also_expected=also,
                money_from=None,
                sentence=sentence.replace("ACCOUNT", who),
                files=tuple(each.path for each in self.files),
            )
        )

    def deliver(self, fate: StatementFate | None) -> None:
        sound, day, tomorrow = self.write(self.statement), self.day, self.tomorrow
        if fate is StatementFate.NEVER:
            self.name(_K.STATEMENT_MISSING, day, 0, f"The statement of ACCOUNT for {day} was never delivered.")
        elif fate is StatementFate.LATE_FILE:
            self.add(sound, tomorrow)
            self.name(_K.STATEMENT_MISSING, day, 0, f"The statement of ACCOUNT for {day} was delivered on {tomorrow} only.")
        elif fate is StatementFate.OVERTAKEN:
            self._overtaken(sound)
        elif fate in (StatementFate.CONTINUITY, StatementFate.BALANCE):
            self._broken(fate, sound)
        else:
            self.add(sound, day)
            if fate is not None:
                self._again(fate, sound)

    def _overtaken(self, sound: bytes) -> None:
        """The next day's file comes first; neither can count before this one is there."""
        number, after = self.statement.sequence, tomorrow_of(self.tomorrow)
        self.add(sound, after)
        late = f"The statement of ACCOUNT for {self.day} (number {number}) was delivered on {after} only, after the next one."
        self.name(_K.STATEMENT_MISSING, self.day, 0, late)
        gap = f"The statement of ACCOUNT for {self.tomorrow} arrived before number {number}, which was delivered on {after}."
        self.name(_K.STATEMENT_GAP, self.tomorrow, 0, gap, (_K.STATEMENT_MISSING,))
        next_one = self.path_of(self.tomorrow, self.tomorrow)
        self.defects[-1] = replace(self.defects[-1], files=(next_one, *self.defects[-1].files))

    def _broken(self, fate: StatementFate, sound: bytes) -> None:
        balance = fate is StatementFate.BALANCE
        broken = self.write(_moved(self.statement, _BREAK, closing_only=balance))
        self.add(broken, self.day)
        self.add(sound, self.tomorrow, "_r2")
        follows = f"the right file followed on {self.tomorrow}"
        if balance:
            kind, text = (
                _K.BALANCE_BREAK,
                f"The statement of ACCOUNT for {self.day} does not add up to its closing balance; {follows}.",
            )
        else:
            kind, text = (
                _K.CONTINUITY_BREAK,
                f"The statement of ACCOUNT for {self.day} opens elsewhere than the day before closed; {follows}.",
            )
        self.name(kind, self.day, _BREAK, text, (_K.STATEMENT_MISSING,))

    def _again(self, fate: StatementFate, sound: bytes) -> None:
        if fate is StatementFate.SAME_BYTES:
            self.add(sound, self.tomorrow)
            how = "again under the same name"
        elif fate is StatementFate.OTHER_NAME:
            self.add(sound, self.tomorrow, "_copy")
            how = "again under another name"
        else:
            self.add(reencoded(sound, self.profile), self.tomorrow, "_utf8")
            how = "again in another encoding"
        self.name(
            _K.DUPLICATE_FILE,
            self.tomorrow,
            0,
            f"The statement of ACCOUNT for {self.day} was delivered {how} on {self.tomorrow}.",
        )
        self.files.reverse()  # the first delivery is the one that counts


def reencoded(content: bytes, profile: Profile) -> bytes:
    """The same statement in other bytes: UTF-8 with a byte order mark for text of another encoding, else without one or
    with other line ends, as gateways leave files behind.
    """
    if profile.format is ProfileFormat.MT940:
        return content.replace(b"\r\n", b"\n")
    if profile.format is ProfileFormat.CAMT:
        return content.replace(b"><", b">\n<")
    if content.startswith(b"\xef\xbb\xbf"):
        return content[3:]
    encoding = profile.encodings[0] if profile.encodings else "utf-8"
    return content.decode(encoding).encode("utf-8-sig")
