"""camt.053.001.08 bank-to-customer statements (ISO 20022), with the TxsSummry control totals.

Carried: everything of the nouns but running balances and the order newest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from xml.sax.saxutils import escape

from bank_adapters.model import Direction, LineStatus, Statement, StatementLine
from bank_adapters.writing.refusal import WritingRefused, closed_statement, single_line
from money import Money

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
REMITTANCE_WIDTH = 140  # Max140Text of RmtInf/Ustrd


def write_camt053(statements: Iterable[Statement], created_at: datetime) -> bytes:
    """One camt.053 document, UTF-8. ``created_at`` is aware. Raises WritingRefused for what it cannot carry."""
    if created_at.tzinfo is None:
        raise WritingRefused("created_at needs a time zone")
    stamp = created_at.isoformat(timespec="seconds")
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<Document xmlns="{NAMESPACE}"><BkToCstmrStmt>\n',
        f"<GrpHdr><MsgId>M{created_at:%Y%m%d%H%M%S}</MsgId><CreDtTm>{stamp}</CreDtTm></GrpHdr>\n",
    ]
    for statement in statements:
        _statement(statement, stamp, parts)
    parts.append("</BkToCstmrStmt></Document>\n")
    return "".join(parts).encode("utf-8")


def _text(tag: str, value: str | None) -> str:
    """``<tag>value</tag>``, or nothing without a value."""
    value = single_line(value, tag)
    if any(char in "\ufffe\uffff" for char in value):
        raise WritingRefused(f"{tag} {value!r} holds a character XML forbids")
    return f"<{tag}>{escape(value)}</{tag}>" if value else ""


def _indicator(direction: Direction) -> str:
    return "CRDT" if direction is Direction.IN else "DBIT"


def _balance(code: str, amount: Money, day: date) -> str:
    direction = Direction.OUT if amount.minor_units < 0 else Direction.IN
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{amount.currency}">{abs(amount).plain}</Amt><CdtDbtInd>{_indicator(direction)}</CdtDbtInd>'
        f"<Dt><Dt>{day.isoformat()}</Dt></Dt></Bal>\n"
    )


def _statement(statement: Statement, stamp: str, parts: list[str]) -> None:
    opening, closing = closed_statement(statement, "camt.053")
    if statement.opening_date is None or statement.closing_date is None:
        raise WritingRefused("a camt.053 statement needs the dates of both balances")
    parts.append(f"<Stmt>{_text('Id', statement.statement_id)}")
    if statement.page is not None:
        last = "true" if statement.last_page else "false"
        parts.append(f"<StmtPgntn><PgNb>{statement.page}</PgNb><LastPgInd>{last}</LastPgInd></StmtPgntn>")
    parts.append(f"{_text('ElctrncSeqNb', statement.sequence)}<CreDtTm>{stamp}</CreDtTm>\n")
    parts.append(f"<Acct><Id><Othr>{_text('Id', statement.account)}</Othr></Id>{_text('Ccy', statement.currency)}")
    parts.append(f"{_text('Nm', statement.account_name)}</Acct>\n")
    parts.append(_balance("OPBD", opening, statement.opening_date))
    parts.append(_balance("CLBD", closing, statement.closing_date))
    parts.append(_totals(statement, opening.currency))
    parts.extend(map(_entry, statement.lines_in_booking_order))
    parts.append("</Stmt>\n")


def _totals(statement: Statement, currency: str) -> str:
    text = f"<TxsSummry><TtlNtries><NbOfNtries>{len(statement.lines)}</NbOfNtries></TtlNtries>"
    for tag, direction in (("TtlCdtNtries", Direction.IN), ("TtlDbtNtries", Direction.OUT)):
        amounts = [line.amount.minor_units for line in statement.lines if line.direction is direction]
        total = Money(sum(amounts), currency).plain
        text += f"<{tag}><NbOfNtries>{len(amounts)}</NbOfNtries><Sum>{total}</Sum></{tag}>"
    return text + "</TxsSummry>\n"


def _entry(line: StatementLine) -> str:
    booked = f"<DtTm>{line.booked_at.isoformat()}</DtTm>" if line.booked_at else f"<Dt>{line.booking_date}</Dt>"
    value = f"<ValDt><Dt>{line.value_date}</Dt></ValDt>" if line.value_date else ""
    status = "BOOK" if line.status is LineStatus.BOOKED else "PDNG"
    code = _text("Cd", line.transaction_code)
    return (
        f'<Ntry><Amt Ccy="{line.amount.currency}">{line.amount.plain}</Amt>'
        f"<CdtDbtInd>{_indicator(line.direction)}</CdtDbtInd>{'<RvslInd>true</RvslInd>' if line.reversal else ''}"
        f"<Sts><Cd>{status}</Cd></Sts><BookgDt>{booked}</BookgDt>{value}{_text('AcctSvcrRef', line.bank_reference)}"
        f"<BkTxCd>{f'<Prtry>{code}</Prtry>' if code else ''}</BkTxCd>"
        f"<NtryDtls><TxDtls>{_details(line)}</TxDtls></NtryDtls></Ntry>\n"
    )


def _details(line: StatementLine) -> str:
    reference = _text("EndToEndId", line.end_to_end_reference)
    text = f"<Refs>{reference}</Refs>" if reference else ""
    # a reversal names the parties of what it undoes: who paid in stays the debtor when the money goes back
    party = "Dbtr" if (line.direction is Direction.IN) != line.reversal else "Cdtr"
    parties = ""
    if line.counterparty_name:
        parties += f"<{party}><Pty>{_text('Nm', line.counterparty_name)}</Pty></{party}>"
    if line.counterparty_account:
        account = _text("Id", line.counterparty_account)
        parties += f"<{party}Acct><Id><Othr>{account}</Othr></Id></{party}Acct>"
    if parties:
        text += f"<RltdPties>{parties}</RltdPties>"
    description = single_line(line.description, "description")
    if description:
        lines = [description[at : at + REMITTANCE_WIDTH] for at in range(0, len(description), REMITTANCE_WIDTH)]
        text += "<RmtInf>" + "".join(f"<Ustrd>{escape(each)}</Ustrd>" for each in lines) + "</RmtInf>"
    return text
