"""Payment channels, read from config/channels.yaml."""

from __future__ import annotations

from pathlib import Path

from config.loading import CONFIG_FOLDER, load_section
from escrow.channel import Channel

LONGEST_LAG_DAYS = 60


def load_channels(path: Path = CONFIG_FOLDER / "channels.yaml") -> dict[str, Channel]:
    """Every channel by its code, in the order of the file. Raises ConfigRefused naming the file and the key."""
    top = load_section(path)
    found: dict[str, Channel] = {}
    for section in top.sections("channels"):
        one = Channel(
            channel=section.text("channel"),
            name_en=section.text("name_en"),
            name_zh=section.text("name_zh"),
            settlement_lag_days=section.integer("settlement_lag_days", most=LONGEST_LAG_DAYS),
            window_days=section.integer("window_days", most=LONGEST_LAG_DAYS),
        )
        section.finish()
        if one.channel in found:
            raise section.refuse("channel", f"{one.channel} is listed twice")
        found[one.channel] = one
    top.finish()
    return found
