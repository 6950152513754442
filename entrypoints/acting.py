"""The user a command acts as: ``--as USER``, else ESCROW_USER, else the ``system`` user (imports and jobs only)."""

from __future__ import annotations

from entrypoints.settings import Settings
from supervision.rights import Principal, Right, require


def acting_principal(settings: Settings, right: Right | str | None = None) -> Principal:
    """The acting principal, refused with NotAllowed when it is unknown or lacks ``right``."""
    from config.roles import load_roster

    roster = load_roster()
    principal = roster.principal(settings.user or "system")
    if right is not None:
        require(principal, right, roster=roster)
    return principal
