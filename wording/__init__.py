"""What the program says to people: one sentence in English and in Chinese, and the refusal that carries such sentences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence in both languages. As text it is the English one."""

    en: str
    zh: str

    def __str__(self) -> str:
        return self.en

    def text(self, language: str) -> str:
        """The sentence in ``zh`` or, for any other language, in English."""
        return self.zh if language == "zh" else self.en


class Refused(ValueError):
    """Something cannot be done now; ``reasons`` names every reason with what to do about it. As text it is English."""

    def __init__(self, *reasons: Said) -> None:
        self.reasons = reasons
        super().__init__("; ".join(one.en for one in reasons))

    def text(self, language: str) -> str:
        """All reasons in ``zh`` or, for any other language, in English."""
        return ("；" if language == "zh" else "; ").join(one.text(language) for one in self.reasons)
