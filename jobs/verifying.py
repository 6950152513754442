"""Everything the books can prove about themselves, asked in one place."""

from __future__ import annotations

import sqlalchemy as sa

import escrow.verification
import ledger.verification
import reconciliation.verification
from ledger.model import Fault
from storage.audit import verify_chain
from storage.seal import verify_seals
from storage.verification import rows_with_wrong_digest


def faults_in_books(connection: sa.Connection) -> list[Fault]:
    """Every fact that does not agree with the rest of the evidence, named by table and row; empty when the books verify.

    Rows against their own digests, rows against the seals, the audit chain, then what each package derives again.
    """
    evidence = [*rows_with_wrong_digest(connection), *verify_seals(connection), *verify_chain(connection)]
    return [
        *(Fault(wrong.table, wrong.key, wrong.what) for wrong in evidence),
        *ledger.verification.verify(connection),
        *escrow.verification.verify(connection),
        *reconciliation.verification.verify(connection),
    ]
