"""Looking at what names payers: who may, and that each look stands in the audit log before anything is shown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from supervision.rights import Principal


def record_reading(engine: Engine, principal: Principal, now: datetime, kind: str, identity: str, **details: Any) -> None:
    """Write down who looks at personal data of what, in a transaction of its own. Raises NotAllowed without the right."""
    from config.roles import load_roster
    from storage import audit
    from supervision.rights import Right, require

    require(principal, Right.READ_PERSONAL, roster=load_roster())
    with engine.begin() as connection:
        audit.record(
            connection,
            now=now,
            actor=principal.user,
            role=principal.role,
            act="cli:personal_data:read",
            object_kind=kind,
            object_id=identity,
            details=details,
        )
