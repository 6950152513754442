"""ISO 20022 pain.002, CustomerPaymentStatusReport, of every version: told by local names, as camt is.

An answer stands at one of three places, and the nearest to the transaction counts: transaction (``TxInfAndSts``), payment
information block (``OrgnlPmtInfAndSts``), whole file (``OrgnlGrpInfAndSts``). A partial status of a block or file says nothing of
a transaction that is not listed.
"""

from __future__ import annotations

from lxml import etree
from lxml.etree import _Element as Element

from bank_adapters.amounts import AmountUnreadable, exponent_or_two, parse_decimal_amount
from bank_adapters.bank_answers import Answer, AnswerFile, AnswerFinding, BankAnswer, refused_file
from bank_adapters.xml_lines import line_of
from money import Money
from money.amount import AmountRefused

#: ExternalPaymentTransactionStatus1Code and its group forms. Technical acceptance (ACTC) proves receipt, not execution.
_STATUSES = {
    **dict.fromkeys(("ACCP", "ACSP", "ACSC", "ACWC", "ACCC", "ACWP", "ACFC", "ACPD"), Answer.ACCEPTED),
    **dict.fromkeys(("RCVD", "PDNG", "ACTC", "PATC"), Answer.PENDING),
    **dict.fromkeys(("RJCT", "CANC"), Answer.REJECTED),
}
_PARTIAL = frozenset({"PART"})

#: The reasons banks give most, from ExternalStatusReason1Code.
REASONS = {
    "AC01": "account number is wrong", "AC04": "account is closed", "AC06": "account is blocked", "AG01": "not allowed here",
    "AM04": "not enough money", "AM05": "duplicate", "BE01": "name does not fit the account", "CUST": "stopped by the customer",
    "DUPL": "duplicate", "FF01": "the file's format is wrong", "MS03": "no reason given", "RC01": "bank number is wrong",
}  # fmt: skip


def read_pain002(data: bytes) -> AnswerFile:
    """The answers of a message; never raises. A DOCTYPE is refused: entities could hide a status."""
    if b"<!DOCTYPE" in data[:4096].upper():
        return refused_file("pain.002", 1, "a DOCTYPE is refused", "拒收带 DOCTYPE 的文件")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as problem:
        return refused_file("pain.002", getattr(problem, "lineno", None), f"broken XML: {problem}", f"XML 已损坏：{problem}")
    report = next((one for one in root.iter("{*}CstmrPmtStsRpt")), None)
    if report is None:
        return refused_file(
            "pain.002", 1, "no payment status report (CstmrPmtStsRpt) in it", "文件中没有支付状态报告（CstmrPmtStsRpt）"
        )
    reader = _Reader()
    reader.read(report)
    if not reader.answers and not reader.findings:
        reader.findings.append(AnswerFinding(None, "the message says nothing of any payment", "报文没有任何支付状态"))
    message_id = _text(report, "GrpHdr/MsgId")
    return AnswerFile("pain.002", message_id, tuple(reader.answers), tuple(reader.findings))


class _Reader:
    def __init__(self) -> None:
        self.answers: list[BankAnswer] = []
        self.findings: list[AnswerFinding] = []

    def read(self, report: Element) -> None:
        group = report.find("{*}OrgnlGrpInfAndSts")
        file = _text(group, "OrgnlMsgId") if group is not None else ""
        if group is None or not file:
            self._find(
                report, "it does not say which file of ours it answers (OrgnlMsgId)", "未注明答复的是哪个指令文件（OrgnlMsgId）"
            )
            return
        self._answer(group, "GrpSts", file=file)
        for block in report.iterfind("{*}OrgnlPmtInfAndSts"):
            block_id = _text(block, "OrgnlPmtInfId")
            if not block_id and _text(block, "PmtInfSts"):
                self._find(block, "a block's status without OrgnlPmtInfId", "批次状态缺少 OrgnlPmtInfId")
                continue
            self._answer(block, "PmtInfSts", file=file, block=block_id)
            for one in block.iterfind("{*}TxInfAndSts"):
                reference = _text(one, "OrgnlEndToEndId")
                if not reference or not _text(one, "TxSts"):
                    self._find(one, "a transaction without OrgnlEndToEndId or TxSts", "交易缺少 OrgnlEndToEndId 或 TxSts")
                    continue
                self._answer(one, "TxSts", file=file, block=block_id, reference=reference)

    def _answer(self, element: Element, status_field: str, *, file: str, block: str = "", reference: str = "") -> None:
        status = _text(element, status_field)
        if not status or status in _PARTIAL:
            return
        if status not in _STATUSES:
            self._find(element, f"{status_field} {status!r} is not a known status", f"{status_field} “{status}”不是已知状态")
            return
        amount = None
        told = element.find("{*}OrgnlTxRef/{*}Amt/{*}InstdAmt")
        if told is not None:
            currency = told.get("Ccy", "")
            try:
                amount = Money(parse_decimal_amount((told.text or "").strip(), exponent_or_two(currency)), currency)
            except (AmountUnreadable, AmountRefused) as problem:
                self._find(told, f"InstdAmt {told.text!r}: {problem}", f"金额无法识别：{told.text}")
                return
        reasons = element.findall("{*}StsRsnInf")
        codes = [code for one in reasons if (code := _text(one, "Rsn/Cd") or _text(one, "Rsn/Prtry"))]
        said = [(line.text or "").strip() for one in reasons for line in one.iterfind("{*}AddtlInf")]
        self.answers.append(
            BankAnswer(
                answer=_STATUSES[status],
                reference=reference,
                file=file,
                block=block,
                reason_code=" ".join(codes),
                reason=" ".join(filter(None, said)) or "; ".join(REASONS[code] for code in codes if code in REASONS),
                bank_reference=_text(element, "AcctSvcrRef"),
                amount=amount,
                line=line_of(element),
            )
        )

    def _find(self, element: Element, message: str, message_zh: str) -> None:
        self.findings.append(AnswerFinding(line_of(element), message, message_zh))


def _text(element: Element, path: str) -> str:
    return (element.findtext("/".join(f"{{*}}{step}" for step in path.split("/"))) or "").strip()
