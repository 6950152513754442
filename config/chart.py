"""The chart of accounts from chart_of_accounts.yaml."""

from __future__ import annotations

from pathlib import Path

from config.loading import CONFIG_FOLDER, ConfigRefused, load_section
from ledger.chart import Chart
from ledger.model import AccountKind, AccountScope, Side

CHART_FILE = CONFIG_FOLDER / "chart_of_accounts.yaml"


def load_chart(path: Path = CHART_FILE) -> Chart:
    """The chart of accounts. Raises ConfigRefused naming file and key."""
    top = load_section(path)
    kinds = []
    for section in top.sections("kinds"):
        floor = section.integer("floor", least=0, most=0) if "floor" in section else None
        kinds.append(
            AccountKind(
                kind=section.text("kind"),
                normal_side=Side(section.choice("normal_side", tuple(Side))),
                scope=AccountScope(section.choice("scope", tuple(AccountScope))),
                floor=floor,
                in_transit=section.truth("in_transit", default=False),
                name_en=section.text("name_en"),
                name_zh=section.text("name_zh"),
            )
        )
        section.finish()
    top.finish()
    try:
        return Chart(tuple(kinds))
    except ValueError as twice:
        raise ConfigRefused(path.name, "kinds", str(twice)) from twice
