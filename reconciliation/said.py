"""One sentence for people, in English and in Chinese."""

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
