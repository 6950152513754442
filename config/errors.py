"""What is wrong with configuration, said by file and key."""

from __future__ import annotations


class ConfigRefused(ValueError):
    """A configuration file does not say what it must; the message names the file and the key."""
