"""Files of channels and of an authority's interface: layouts of FORMATS.md and DOMAIN.md 2.2 and 2.6, written here by hand."""

from __future__ import annotations

from datetime import date

import pytest

from bank_adapters.fixed_width.unionpay import FIELDS
from bank_adapters.model import Direction, LineStatus, StatementFileReading
from bank_adapters.reading import read_statement_file
from config.profiles import load_profiles

PROFILES = load_profiles()


def read(text: str | bytes, name: str = "f", encoding: str = "utf-8") -> StatementFileReading:
    return read_statement_file(text if isinstance(text, bytes) else text.encode(encoding), name, PROFILES)


def errors(reading: StatementFileReading) -> list[str]:
    return [finding.code for finding in reading.findings if finding.severity == "error"]


def moved(reading: StatementFileReading) -> list[tuple[Direction, str]]:
    return [(line.direction, line.amount.plain) for statement in reading.statements for line in statement.lines]


# -- the authority's day-end file --------------------------------------------------------------------------------------


def day_end(*records: tuple[str, str, str, str], total: str | None = None, count: int | None = None) -> str:
    amount = total if total is not None else f"{sum(int(each[2].replace('.', '')) for each in records) / 100:.2f}"
    rows = [f"{len(records) if count is None else count!s:<6}|{amount:<20}|"]
    for code, mark, money, account in records:
        rows.append(
            f"{code}|{'B' + code:<14}|{mark}|{money:<20}|{account:<30}|{'P' + code + money:<16}|{'K' + code + money:<30}|"
            f"{'001':<30}|{'7':<30}|2026-03-02|"
        )
    return "\r\n".join(rows) + "\r\n"


def test_a_day_end_file_is_a_report_for_each_account_with_both_serials() -> None:
    reading = read(
        day_end(("2001", "1", "100.00", "62170001"), ("2101", "2", "40.50", "62170001"), ("2011", "2", "5.00", "62170002"))
    )
    assert (reading.format, reading.accepted) == ("dayend", True)
    first, second = reading.statements
    assert (first.account, second.account, first.kind.value) == ("62170001", "62170002", "intraday")
    assert [(line.direction, line.amount.plain, line.reversal) for line in (*first.lines, *second.lines)] == [
        (Direction.IN, "100.00", False), (Direction.OUT, "40.50", False), (Direction.OUT, "5.00", True),
    ]  # fmt: skip
    assert first.lines[0].bank_reference == "K2001100.00"
    assert first.lines[0].end_to_end_reference == "P2001100.00"
    assert first.lines[0].booking_date == date(2026, 3, 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (day_end(("2001", "1", "100.00", "1"), total="99.99"), "control_total"),
        (day_end(("2001", "1", "100.00", "1"), count=2), "control_count"),
        (day_end(("2001", "1", "10000", "1"), total="100.00"), "amount_unreadable"),  # fen or yuan: not to be guessed
        (day_end(("2001", "1", "1.005", "1"), total="1.00"), "amount_decimals"),
        (day_end(("2001", "1", "1.00", "")), "account_missing"),
        (day_end(("2001", "1", "1.00", "1")).replace("2026-03-02", "2026-13-02"), "date_unreadable"),
        (day_end(("2001", "1", "1.00", "1"), ("2001", "1", "1.00", "1"))[:-20], "record_width"),
        ("0     |0                |\r\n", "no_statement"),  # as written in the wild, widths broken: nothing happened
    ],
)
def test_what_is_wrong_with_a_day_end_file_is_named(text: str, code: str) -> None:
    reading = read(text)
    assert reading.format == "dayend"
    assert code in errors(reading)


# -- UnionPay ----------------------------------------------------------------------------------------------------------


def unionpay(**given: str) -> str:
    base = {
        "code": "R01", "agent": "48021000", "sender": "00049992", "trace": "123456", "time": "0302101112", "account": "622200****1234",
        "amount": "000000010000", "category": "8299", "fee": "D000000000060", "settled": "C000000010000", "net": "C000000009940",
        "query": "260302101112123456", "order": "ORD0001", "merchant": "898110282990001", "short_name": "某某培训学校",
        "split": "C000000000000",
    }  # fmt: skip
    values = base | given
    cells = []
    for name, width in FIELDS:
        raw = values.get(name, "").encode("gb18030")
        cells.append(raw + b" " * (width - len(raw)))
    return b" ".join(cells).decode("gb18030")


def test_a_unionpay_record_moves_its_net_and_takes_the_year_from_the_files_name() -> None:
    rows = [
        unionpay(),
        unionpay(code="R22", settled="D000000005000", fee="C000000000030", net="D000000004970", time="0301235959"),
    ]
    reading = read(("\r\n".join(rows) + "\r\n").encode("gb18030"), "INN26030288ZM_898110282990001")
    assert (reading.format, reading.accepted, reading.encoding) == ("unionpay", True, "gb18030")
    (statement,) = reading.statements
    assert statement.account == "898110282990001"
    assert moved(reading) == [(Direction.IN, "99.40"), (Direction.OUT, "49.70")]
    assert [line.booking_date for line in statement.lines] == [date(2026, 3, 2), date(2026, 3, 1)]
    assert statement.lines[0].description == "某某培训学校"
    assert "ORD0001" in statement.lines[0].references


def test_a_unionpay_file_of_new_years_day_holds_records_of_the_old_year() -> None:
    reading = read(unionpay(time="1231230500"), "INN26010188ZM_1", "gb18030")
    assert reading.statements[0].lines[0].booking_date == date(2025, 12, 31)


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        (unionpay(net="C000000009941"), "INN26030288ZM_1", "control_total"),
        (unionpay(net="X000000009940"), "INN26030288ZM_1", "amount_unreadable"),
        (unionpay(), "settlement.txt", "date_unreadable"),
        (unionpay()[:300], "INN26030288ZM_1", "record_width"),
    ],
)
def test_what_is_wrong_with_a_unionpay_file_is_named(text: str, name: str, code: str) -> None:
    reading = read(text, name, "gb18030")
    assert code in errors(reading)


# -- WeChat Pay --------------------------------------------------------------------------------------------------------

FUND_HEADER = "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"
FUND_ROWS = (
    "`2026-03-02 09:00:01,`4200001,`10001,`交易,`交易,`收入,`100.00,`1100.00,`system,`结算总金额 100.00 元, 含优惠,`ORD-1\r\n"
    "`2026-03-02 09:00:01,`4200001,`10002,`扣除交易手续费,`扣除交易手续费,`支出,`0.60,`1099.40,`system,`,`\r\n"
)
FUND_SUMMARY = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\r\n`2.0,`1.0,`100.00,`1.0,`0.60\r\n"


def test_a_wechat_fund_bill_has_balances_and_cells_with_commas() -> None:
    reading = read(f"\ufeff{FUND_HEADER}\r\n{FUND_ROWS}{FUND_SUMMARY}")
    assert (reading.profile, reading.accepted) == ("wechat-fund", True)
    (statement,) = reading.statements
    assert (statement.opening_balance.plain, statement.closing_balance.plain) == ("1000.00", "1099.40")  # type: ignore[union-attr]
    assert moved(reading) == [(Direction.IN, "100.00"), (Direction.OUT, "0.60")]
    assert "含优惠" in (statement.lines[0].description or "")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("`1.0,`100.00", "`1.0,`100.01", "control_total"),
        ("`2.0", "`3.0", "control_count"),
        (FUND_SUMMARY, "", "footer_missing"),
        ("`1099.40", "`1099.41", "running_balance"),
        ("`0.60\r\n", "`0.60\r\n`one more,`row\r\n", "after_footer"),
    ],
)
def test_a_wechat_fund_bill_is_held_against_its_summary_and_its_balances(old: str, new: str, code: str) -> None:
    assert code in errors(read(f"{FUND_HEADER}\r\n{FUND_ROWS}{FUND_SUMMARY}".replace(old, new)))


TRADE_HEADER = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,"
    "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
TRADE_ROWS = (
    "`2026-03-02 09:00:01,`wx1,`1900,`0,`,`4200001,`ORD-1,`oA,`JSAPI,`SUCCESS,`OTHERS,`CNY,`100.00,`0.00,`0,`0,`0.00,`0.00,`,`,"
    '`课程 "数学", 第一期,`,`0.60000,`0.60%,`100.00,`0.00,`\r\n'
    "`2026-03-02 10:00:01,`wx1,`1900,`0,`,`4200001,`ORD-1,`oA,`JSAPI,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5000001,`RF-1,`40.00,`0.00,"
    "`ORIGINAL,`PROCESSING,`课程,`,`-0.24000,`0.60%,`0.00,`40.00,`\r\n"
    "`2026-03-02 11:00:01,`wx1,`1900,`0,`,`4200009,`ORD-9,`oB,`MICROPAY,`REVOKED,`OTHERS,`CNY,`7.00,`0.00,`0,`0,`0.00,`0.00,`,`,"
    "`课程,`,`0.00000,`0.60%,`7.00,`0.00,`\r\n"
)
TRADE_SUMMARY = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n"
    "`3.0,`107.00,`40.00,`0.00,`0.36000,`107.00,`40.00\r\n"
)


def test_a_wechat_trade_bill_moves_the_net_of_each_row() -> None:
    reading = read(f"{TRADE_HEADER}\r\n{TRADE_ROWS}{TRADE_SUMMARY}")
    assert (reading.profile, reading.accepted) == ("wechat-trade", True)
    assert moved(reading)[:2] == [(Direction.IN, "99.40"), (Direction.OUT, "39.76")]
    lines = reading.statements[0].lines
    assert lines[2].status is LineStatus.INFORMATION  # revoked: nothing was paid
    assert lines[0].end_to_end_reference == "ORD-1"
    assert '"数学", 第一期' in (lines[0].description or "")
    assert "5000001" in lines[1].references


def test_a_wechat_refund_that_failed_moved_nothing() -> None:
    reading = read(f"{TRADE_HEADER}\r\n{TRADE_ROWS}{TRADE_SUMMARY}".replace("PROCESSING", "FAIL"))
    assert reading.accepted
    assert [line.status for line in reading.statements[0].lines] == [
        LineStatus.BOOKED, LineStatus.INFORMATION, LineStatus.INFORMATION
    ]  # fmt: skip


@pytest.mark.parametrize("old", ["`107.00,`40.00,`0.00,`0.36000", "`3.0"])
def test_a_wechat_trade_bill_is_held_against_its_summary(old: str) -> None:
    new = {"`3.0": "`4.0"}.get(old, "`107.00,`40.00,`0.00,`0.37000")
    assert set(errors(read(f"{TRADE_HEADER}\r\n{TRADE_ROWS}{TRADE_SUMMARY.replace(old, new)}"))) & {
        "control_total",
        "control_count",
    }


# -- Alipay ------------------------------------------------------------------------------------------------------------

ALIPAY_TRADE = (
    "#支付宝业务明细查询\r\n#账号：[20881234567890120156]\r\n#起始日期：[2026年03月02日 00:00:00]   终止日期：[2026年03月03日 00:00:00]\r\n"
    "#-----------------------------------------业务明细列表----------------------------------------\r\n"
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,"
    "支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,"
    "服务费（元）,分润（元）,备注\r\n"
    "2026030222001\t,ORD-1\t,交易    ,课程,2026-03-02 09:00:00,2026-03-02 09:00:05,,,,,*芳(138****0000),100.00,100.00,0,0,0,0,0,,0,0,\t,"
    "-0.60,0,\r\n"
    "2026030222001\t,ORD-1\t,退款    ,课程,2026-03-02 09:00:00,2026-03-02 12:00:05,,,,,*芳(138****0000),{refund},{refund},0,0,0,0,0,,0,0,"
    "RF-1\t,0.24,0,\r\n"
    "#-----------------------------------------业务明细列表结束------------------------------------\r\n"
    "#交易合计：1笔，商家实收共100.00元，商家优惠共0.00元\r\n#退款合计：1笔，商家实收退款共{refund}元，商家优惠退款共0.00元\r\n"
    "#导出时间：[2026年03月03日 10:00:00]\r\n"
)


@pytest.mark.parametrize("refund", ["-40.00", "40.00"])
def test_an_alipay_refund_is_money_out_whatever_its_sign(refund: str) -> None:
    reading = read(ALIPAY_TRADE.format(refund=refund), "20881234_20260302_业务明细.csv", "gb18030")
    assert (reading.profile, reading.accepted, reading.encoding) == ("alipay-trade", True, "gb18030")
    assert moved(reading) == [(Direction.IN, "100.00"), (Direction.OUT, "40.00")]
    (statement,) = reading.statements
    assert (statement.account, statement.opening_date) == ("20881234567890120156", date(2026, 3, 2))
    assert statement.lines[0].bank_reference == "2026030222001"


@pytest.mark.parametrize(("old", "new"), [("交易合计：1笔", "交易合计：2笔"), ("商家实收共100.00", "商家实收共100.01")])
def test_an_alipay_bill_is_held_against_its_sentences(old: str, new: str) -> None:
    reading = read(ALIPAY_TRADE.format(refund="40.00").replace(old, new), encoding="gb18030")
    assert set(errors(reading)) & {"control_total", "control_count"}


def test_an_alipay_fund_bill_runs_backwards_with_balances() -> None:
    text = (
        "#支付宝账务明细查询\r\n#账号：[20881234567890120156]\r\n#-----账务明细列表-----\r\n"
        "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注\r\n"
        "90002\t,2026\t,ORD-1\t,课程,2026-03-02 12:00:05,138****0000,0.00,-40.00,1060.00,支付宝,交易退款,\r\n"
        "90001\t,2026\t,ORD-1\t,课程,2026-03-02 09:00:05,138****0000,100.00,0.00,1100.00,支付宝,在线支付,\r\n"
        "#-----账务明细列表结束-----\r\n#支出合计：1笔，共-40.00元\r\n#收入合计：1笔，共100.00元\r\n#导出时间：[2026年03月03日]\r\n"
    )
    reading = read(text, encoding="gb18030")
    assert (reading.profile, reading.accepted) == ("alipay-fund", True)
    (statement,) = reading.statements
    assert statement.newest_first
    assert (statement.opening_balance.plain, statement.closing_balance.plain) == ("1000.00", "1060.00")  # type: ignore[union-attr]
    assert moved(reading) == [(Direction.OUT, "40.00"), (Direction.IN, "100.00")]
