"""The acts of escrow, one function each; every one runs inside the caller's transaction and is safe to repeat.

Imports: ``import_institutions``, ``import_orders``, ``import_class_hours``, ``import_refund_requests``,
``import_channel_settlements``, ``import_opening_balances``.

The day: ``fund_cleared_receipts`` (or ``mark_funded``), ``deem_confirmations``, ``release_due``,
``approve_refunds``, ``prepare_disbursements``. By hand: ``place_hold``, ``prepare_hold_lift``, ``approve_hold_lift``.
"""

from __future__ import annotations

from escrow.confirmations import deem_confirmations
from escrow.disbursements import DisbursementReport, prepare_disbursements
from escrow.funding import fund_cleared_receipts, mark_funded
from escrow.holds import approve_hold_lift, place_hold, prepare_hold_lift
from escrow.import_channel_settlements import import_channel_settlements
from escrow.import_class_hours import import_class_hours
from escrow.import_institutions import import_institutions
from escrow.import_opening_balances import import_opening_balances
from escrow.import_orders import import_orders
from escrow.import_refund_requests import import_refund_requests
from escrow.import_report import ImportFinding, ImportReport
from escrow.refunds import RefundReport, approve_refunds
from escrow.releases import ReleaseReport, release_due

__all__ = [
    "DisbursementReport",
    "ImportFinding",
    "ImportReport",
    "RefundReport",
    "ReleaseReport",
    "approve_hold_lift",
    "approve_refunds",
    "deem_confirmations",
    "fund_cleared_receipts",
    "import_channel_settlements",
    "import_class_hours",
    "import_institutions",
    "import_opening_balances",
    "import_orders",
    "import_refund_requests",
    "mark_funded",
    "place_hold",
    "prepare_disbursements",
    "prepare_hold_lift",
    "release_due",
]
