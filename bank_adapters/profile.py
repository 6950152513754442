"""What one bank's layout looks like, as data: a profile names columns, signs, dates and totals; readers obey it.

Nouns only. ``config.profiles.load_profiles`` reads them from YAML; a reader never looks for configuration itself.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache


class ProfileFormat(StrEnum):
    """Which reader a profile belongs to."""

    MT940 = "mt940"  # SWIFT MT940, MT942, MT950
    CAMT = "camt"  # ISO 20022 camt.052, camt.053, camt.054
    BAI2 = "bai2"  # cash management balance reporting, version 2
    OFX = "ofx"  # OFX and QFX, 1.x and 2.x
    QIF = "qif"  # Quicken's exchange format: a profile must state currency and order of dates
    CODA = "coda"  # Febelfin CODA, version 2
    CFONB120 = "cfonb120"  # French account statement of 120 columns
    NORMA43 = "norma43"  # Spanish account statement, AEB booklet 43
    DAY_END = "dayend"  # day-end file of a supervising authority's interface
    UNIONPAY = "unionpay"  # settlement detail of UnionPay, fixed width in bytes
    TABLE = "table"  # delimited text, .xls and .xlsx: the same columns in either wrapping


class ReversalSign(StrEnum):
    """What the direction of a camt entry with RvslInd=true means."""

    ISO = "iso"  # the direction of this entry, as the standard says
    INVERTED = "inverted"  # the direction of the original entry, as some German exports write it


class DateOrder(StrEnum):
    """In which order a date's figures stand."""

    DMY = "DMY"
    MDY = "MDY"
    YMD = "YMD"


class ColumnField(StrEnum):
    """What a column of a table holds. A column without a field is known to the profile but not used."""

    BOOKING_DATE = "booking_date"
    BOOKING_TIME = "booking_time"
    BOOKED_AT = "booked_at"  # date and time in one cell
    VALUE_DATE = "value_date"
    AMOUNT = "amount"  # with rule mark (unsigned, or negative for a reversal) or signed
    AMOUNT_IN = "amount_in"  # rule two_columns
    AMOUNT_OUT = "amount_out"  # rule two_columns
    MARK = "mark"  # rule mark: 借 or 贷
    REVERSAL_MARK = "reversal_mark"  # a cell that says the row undoes another
    CURRENCY = "currency"
    RUNNING_BALANCE = "running_balance"
    BANK_REFERENCE = "bank_reference"
    END_TO_END_REFERENCE = "end_to_end_reference"
    REFERENCE = "reference"  # another token a matcher may use
    COUNTERPARTY_NAME = "counterparty_name"
    COUNTERPARTY_ACCOUNT = "counterparty_account"
    DESCRIPTION = "description"  # several such columns are joined
    TRANSACTION_CODE = "transaction_code"
    STATUS = "status"  # of the row: see TableLayout.pending_statuses and information_statuses
    FEE = "fee"  # rule net: what the channel keeps


class Fact(StrEnum):
    """What a labelled cell above or below the table says about the whole statement."""

    ACCOUNT = "account"
    ACCOUNT_NAME = "account_name"
    CURRENCY = "currency"
    STATEMENT_ID = "statement_id"
    SEQUENCE = "sequence"
    OPENING_DATE = "opening_date"
    CLOSING_DATE = "closing_date"
    PERIOD = "period"  # two dates in one cell
    OPENING_BALANCE = "opening_balance"
    CLOSING_BALANCE = "closing_balance"
    LINE_COUNT = "line_count"
    IN_COUNT = "in_count"
    OUT_COUNT = "out_count"
    IN_TOTAL = "in_total"
    OUT_TOTAL = "out_total"
    GROSS_TOTAL = "gross_total"  # rule net: sum of the column amount_in
    REFUND_TOTAL = "refund_total"  # rule net: sum of the column amount_out
    FEE_TOTAL = "fee_total"  # rule net: sum of the column fee
    IGNORED = "ignored"


class DirectionRule(StrEnum):
    """How a row says which way the money moved."""

    MARK = "mark"  # a column with 借 or 贷; a negative amount is a reversal (红字) and moves the other way
    MARK_ALONE = "mark_alone"  # the column alone says it; the sign of the amount says nothing (Alipay refunds: either)
    MARK_PREFIX = "mark_prefix"  # as mark, told by how a text begins (消费, 退货)
    TWO_COLUMNS = "two_columns"  # one column of amounts in, one of amounts out; negative is a reversal
    SIGNED_COLUMNS = "signed_columns"  # as two_columns, amounts out are written negative; positive ones are reversals
    SIGNED = "signed"  # one column, negative is money out
    SPENDING = "spending"  # one column, positive is money out: statements of cards
    NET = "net"  # amount_in less amount_out less fee, in one row: settlement files of channels


class FooterTotals(StrEnum):
    """Where the totals of a footer row stand."""

    NONE = "none"  # a remark, no totals
    LABELLED = "labelled"  # label and value in cells: 借方金额：1,234.00
    IN_COLUMNS = "in_columns"  # under the amount columns they add up
    SENTENCE = "sentence"  # within a sentence: Footer.pattern names the facts


class Quoting(StrEnum):
    """How cells of delimited text are kept apart."""

    STRICT = "strict"  # RFC 4180; text behind a closing quotation mark is refused
    LOOSE = "loose"  # text behind a closing quotation mark belongs to the cell ("4200..."<TAB>): WeChat exports
    BACKTICK = "backtick"  # every cell below the header begins with a backtick, and only ",`" parts cells: WeChat Pay bills


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column the profile knows: its header ``name`` and ``aliases``; ``optional`` ones may be missing."""

    name: str
    field: ColumnField | None = None
    aliases: tuple[str, ...] = ()
    optional: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFact:
    """A label and what its value means."""

    label: str
    fact: Fact
    aliases: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return (self.label, *self.aliases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """A row below the table, known by how its first non-empty cell begins.

    ``pattern`` (totals: sentence) is a regular expression whose group names are facts: ``(?P<in_count>[0-9]+)笔``.
    """

    starts_with: str
    totals: FooterTotals = FooterTotals.NONE
    facts: tuple[LabelledFact, ...] = ()
    pattern: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    """One bank's table.

    ``required_facts`` must be present, else the file is refused: they protect a bank that always sends them from a
    file cut short. ``short_rows`` allows rows whose trailing cells are missing (some exports leave them out).
    ``time_zone`` is what the bank's clock shows; ``title`` a first line the writer adds and the reader may check.
    ``neutral_marks`` say that a row moves nothing (不计收支); rows whose status is one of ``information_statuses``
    (交易关闭) move nothing either, those of ``pending_statuses`` not yet. ``report``: the file has no balances and closes no
    day. ``remarks`` are beginnings of rows above the table that say nothing of the account. ``amount_signs`` (¥) may stand
    before an amount.
    ``summary`` names the columns of a second header below the table, whose one row of totals follows. ``decimal`` stands before
    the decimals, ``thousands`` between groups of three (``1.234,56``, ``1'234.56``); with a decimal comma only text is read, as
    the numbers of a spreadsheet always have a point.
    """

    columns: tuple[Column, ...]
    direction: DirectionRule
    delimiter: str = ","
    title: str | None = None
    in_marks: tuple[str, ...] = ()
    out_marks: tuple[str, ...] = ()
    neutral_marks: tuple[str, ...] = ()
    pending_statuses: tuple[str, ...] = ()
    information_statuses: tuple[str, ...] = ()
    reversal_marks: tuple[str, ...] = ()
    date_formats: tuple[str, ...] = ("YYYY-MM-DD",)
    time_zone: str = "Asia/Shanghai"
    decimal: str = "."
    thousands: str = ","
    currency: str = "CNY"
    currency_names: tuple[tuple[str, str], ...] = (("人民币", "CNY"),)
    empty_cells: tuple[str, ...] = ()
    amount_signs: tuple[str, ...] = ()
    quoting: Quoting = Quoting.STRICT
    report: bool = False
    remarks: tuple[str, ...] = ()
    summary: tuple[LabelledFact, ...] = ()
    preamble: tuple[LabelledFact, ...] = ()
    required_facts: tuple[Fact, ...] = ()
    footers: tuple[Footer, ...] = ()
    footer_required: bool = False
    newest_first: bool = False
    short_rows: bool = False
    write_grouped: bool = False
    write_bom: bool = False

    @property
    def usual_marks(self) -> bool:
        """A point before the decimals; a comma or nothing between groups of three."""
        return self.decimal == "." and self.thousands in ("", ",")

    def column_of(self, wanted: ColumnField) -> Column | None:
        """The first column that holds ``wanted``, or None."""
        return next((column for column in self.columns if column.field is wanted), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QifLayout:
    """What a QIF file leaves out: the currency of its amounts and the order of its dates."""

    currency: str
    date_order: DateOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One bank layout under a stable id. ``encodings`` are tried in order after a BOM and strict UTF-8."""

    id: str
    version: int
    title: str
    format: ProfileFormat
    encodings: tuple[str, ...] = ()
    reversal_sign: ReversalSign = ReversalSign.ISO
    table: TableLayout | None = field(default=None)
    qif: QifLayout | None = field(default=None)
    leniencies: tuple[str, ...] = ()  # findings.LENIENCIES that are warnings in this bank's files, where others are refused
    ignored_members: tuple[str, ...] = ()  # what names of an archive's files hold that repeat others (汇总) and are not read


_BLANKS = re.compile(r"[\s\u3000\ufeff]+")


@lru_cache(maxsize=8192)
def normalised_label(text: str) -> str:
    """A header or label as compared: NFKC (full-width brackets and letters become ASCII), no blanks, no colon at the end."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", text)).rstrip(":").lower()
