"""The columns that tables of this package share, so that each is declared and commented in one way."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, Integer, LargeBinary, Text


def amount(name: str, comment: str) -> Column[int]:
    """An amount in whole minor units (fen)."""
    return Column(name, BigInteger, nullable=False, comment=f"{comment}, in minor units (fen)")


def text(name: str, comment: str, *, nullable: bool = False) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=nullable, comment=comment)


def instant(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """An instant, UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=f"{comment} (UTC instant)")


def day(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """A business day, Asia/Shanghai."""
    return Column(name, Date, nullable=nullable, comment=f"{comment} (business day, Asia/Shanghai)")


def institution_key() -> Column[int]:
    """Whose data a row is; it leads every key."""
    return Column("institution_id", Integer, nullable=False, comment="the institution whose data this is")


def source() -> tuple[Column[Any], Column[Any]]:
    """The file, by its digest, and the line in it that a row was read from."""
    return (
        Column("source_file_sha256", LargeBinary, nullable=False, comment="SHA-256 of the file this row was read from"),
        Column("source_line", Integer, nullable=False, comment="1-based line of that file"),
    )


def one_of(column: str, *words: str) -> CheckConstraint:
    """A text is one of these words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")
