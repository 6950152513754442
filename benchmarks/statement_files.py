"""Statement files of any size with known counts and sums, written line by line so that the generator needs no memory either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from money.amount import format_minor_units

_FIRST_DAY = date(2026, 1, 1)
_DAYS = 28
_OPENING = 100_000_000_00
ACCOUNT = "6217001234567890123"


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of the generated account; ``units`` is signed, ``balance`` what the account holds after it."""

    number: int
    day: date
    units: int
    balance: int

    @property
    def reference(self) -> str:
        return f"BK{self.number:012d}"

    @property
    def end_to_end(self) -> str:
        return f"ORD-{self.number:010d}"


@dataclass(frozen=True, slots=True)
class Truth:
    """What a reader must find: number of lines, sums in and out, both balances, in minor units."""

    lines: int
    total_in: int
    total_out: int
    opening: int
    closing: int


def entries(rows: int) -> Iterator[Entry]:
    """``rows`` movements, the same for every format and every call."""
    balance = _OPENING
    for number in range(1, rows + 1):
        units = 1_00 + (number * 7919) % 5_000_00
        units = -units if number % 3 == 0 else units
        balance += units
        yield Entry(number, _FIRST_DAY + timedelta(days=number * _DAYS // (rows + 1)), units, balance)


def truth_of(rows: int) -> Truth:
    """Sums of ``entries(rows)``."""
    total_in = total_out = 0
    closing = _OPENING
    for entry in entries(rows):
        if entry.units > 0:
            total_in += entry.units
        else:
            total_out -= entry.units
        closing = entry.balance
    return Truth(rows, total_in, total_out, _OPENING, closing)


def _plain(units: int) -> str:
    return format_minor_units(units)


def write_mt940(path: Path, rows: int) -> None:
    """One statement with structured :86: in the German way."""
    truth = truth_of(rows)
    last = _FIRST_DAY + timedelta(days=_DAYS - 1)
    with path.open("w", encoding="ascii", newline="\r\n") as file:
        file.write(f":20:BENCH\n:25:{ACCOUNT}\n:28C:1/1\n:60F:C{_FIRST_DAY:%y%m%d}CNY{_swift(truth.opening)}\n")
        for entry in entries(rows):
            mark = "C" if entry.units > 0 else "D"
            file.write(
                f":61:{entry.day:%y%m%d}{entry.day:%m%d}{mark}{_swift(abs(entry.units))}NTRF{entry.end_to_end}//{entry.reference}\n"
                f":86:166?00TRANSFER?20EREF+{entry.end_to_end}?21SVWZ+course fee no {entry.number}"
                f"?30BKCHCNBJ?31{6222000000000000000 + entry.number}?32Payer {entry.number}\n"
            )
        file.write(f":62F:C{last:%y%m%d}CNY{_swift(truth.closing)}\n-\n")


def _swift(units: int) -> str:
    return _plain(units).replace(".", ",")


def write_camt053(path: Path, rows: int) -> None:
    """One camt.053.001.08 statement with control totals and one detail an entry."""
    truth = truth_of(rows)
    last = _FIRST_DAY + timedelta(days=_DAYS - 1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(
            '<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">'
            "<BkToCstmrStmt>\n<GrpHdr><MsgId>BENCH</MsgId><CreDtTm>2026-01-29T01:00:00+08:00</CreDtTm></GrpHdr>\n"
            "<Stmt><Id>BENCH</Id><ElctrncSeqNb>1</ElctrncSeqNb><CreDtTm>2026-01-29T01:00:00+08:00</CreDtTm>\n"
            f"<Acct><Id><Othr><Id>{ACCOUNT}</Id></Othr></Id><Ccy>CNY</Ccy></Acct>\n"
            + _balance("OPBD", truth.opening, _FIRST_DAY)
            + _balance("CLBD", truth.closing, last)
            + f"<TxsSummry><TtlNtries><NbOfNtries>{rows}</NbOfNtries></TtlNtries>"
            f"<TtlCdtNtries><Sum>{_plain(truth.total_in)}</Sum></TtlCdtNtries>"
            f"<TtlDbtNtries><Sum>{_plain(truth.total_out)}</Sum></TtlDbtNtries></TxsSummry>\n"
        )
        for entry in entries(rows):
            party = "Dbtr" if entry.units > 0 else "Cdtr"
            file.write(
                f'<Ntry><NtryRef>{entry.number}</NtryRef><Amt Ccy="CNY">{_plain(abs(entry.units))}</Amt>'
                f"<CdtDbtInd>{'CRDT' if entry.units > 0 else 'DBIT'}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>"
                f"<BookgDt><Dt>{entry.day}</Dt></BookgDt><ValDt><Dt>{entry.day}</Dt></ValDt>"
                f"<AcctSvcrRef>{entry.reference}</AcctSvcrRef>"
                "<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT</SubFmlyCd></Fmly></Domn></BkTxCd>\n"
                f"<NtryDtls><TxDtls><Refs><EndToEndId>{entry.end_to_end}</EndToEndId></Refs>"
                f"<RltdPties><{party}><Pty><Nm>Payer {entry.number}</Nm></Pty></{party}><{party}Acct><Id><Othr><Id>"
                f"{6222000000000000000 + entry.number}</Id></Othr></Id></{party}Acct></RltdPties>"
                f"<RmtInf><Ustrd>course fee no {entry.number}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>\n"
            )
        file.write("</Stmt></BkToCstmrStmt></Document>\n")


def _balance(code: str, units: int, day: date) -> str:
    return (
        f'<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">{_plain(units)}</Amt>'
        f"<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>\n"
    )


def write_delimited(path: Path, rows: int) -> None:
    """The layout of the shipped profile ``harbour``: one signed column, running balances, control figures above."""
    truth = truth_of(rows)
    last = _FIRST_DAY + timedelta(days=_DAYS - 1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(
            f"account,{ACCOUNT}\naccount_name,Bench School\ncurrency,CNY\nstatement_number,BENCH\nsequence,1\n"
            f"opening_date,{_FIRST_DAY}\nstatement_date,{last}\nentries,{rows}\n"
            f"opening_balance,{_plain(truth.opening)}\nclosing_balance,{_plain(truth.closing)}\n"
            "txn_date,txn_time,value_date,bank_ref,amount,currency,balance,counterparty,counterparty_account,end_to_end_id,"
            "reversal,narrative\n"
        )
        for entry in entries(rows):
            file.write(
                f"{entry.day},{entry.number % 24:02d}:{entry.number % 60:02d}:00,{entry.day},{entry.reference},"
                f"{_plain(entry.units)},CNY,{_plain(entry.balance)},Payer {entry.number},{6222000000000000000 + entry.number},"
                f"{entry.end_to_end},,course fee no {entry.number}\n"
            )


WRITERS = {"mt940": write_mt940, "camt": write_camt053, "delimited": write_delimited}
