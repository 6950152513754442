"""The chart of accounts: which kinds of account a custody account's books hold. Data comes from config."""

from __future__ import annotations

from dataclasses import dataclass, field

from ledger.model import AccountKind, AccountScope


class UnknownKind(LookupError):
    """The chart of accounts has no such kind of account."""


@dataclass(frozen=True)
class Chart:
    """The kinds of account, in the order reports show them. Raises ValueError when a kind is given twice."""

    kinds: tuple[AccountKind, ...]
    _by_name: dict[str, AccountKind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {kind.kind: kind for kind in self.kinds}
        if len(by_name) != len(self.kinds):
            raise ValueError("the chart of accounts names a kind twice")
        object.__setattr__(self, "_by_name", by_name)

    def kind(self, name: str) -> AccountKind:
        """The kind of that name. Raises UnknownKind."""
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownKind(f"the chart of accounts has no kind {name!r}; it has {', '.join(self._by_name)}") from None

    def of_scope(self, scope: AccountScope) -> tuple[AccountKind, ...]:
        """The kinds of one scope, in chart order."""
        return tuple(kind for kind in self.kinds if kind.scope is scope)

    def position(self, name: str) -> int:
        """Where reports show the kind; kinds the chart no longer has come last."""
        return next((n for n, kind in enumerate(self.kinds) if kind.kind == name), len(self.kinds))
