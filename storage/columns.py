"""Columns that tables of all packages share, each with its meaning and unit, so that each is declared in one way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, Integer, LargeBinary, Text


def text_column(name: str, comment: str, *, nullable: bool = False) -> Column[str]:
    """Plain text."""
    return Column(name, Text, nullable=nullable, comment=comment)


def amount_column(name: str, comment: str, *, nullable: bool = False) -> Column[int]:
    """An amount in minor units (fen)."""
    return Column(name, BigInteger, nullable=nullable, comment=f"{comment}, in minor units (fen)")


def day_column(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """A business day, Asia/Shanghai."""
    return Column(name, Date, nullable=nullable, comment=f"{comment} (business day, Asia/Shanghai)")


def instant_column(name: str, comment: str, *, nullable: bool = False) -> Column[Any]:
    """An instant in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable, comment=f"{comment} (UTC instant)")


def institution_column() -> Column[int]:
    """The institution whose data a row is; it leads every key."""
    return Column("institution_id", Integer, nullable=False, comment="the institution whose data this is")


def account_column() -> Column[int]:
    """The custody account a row is about."""
    return Column("custody_account_id", BigInteger, nullable=False, comment="the real bank account")


def number_column(name: str, comment: str, *, nullable: bool = False) -> Column[int]:
    """A number of ours that may grow without bound."""
    return Column(name, BigInteger, nullable=nullable, comment=comment)


def one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    """A column admits these words only."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")


def source_columns() -> tuple[Column[Any], Column[Any]]:
    """The file, by its digest, and the line in it that a row was read from."""
    return (
        Column("source_file_sha256", LargeBinary, nullable=False, comment="SHA-256 of the file this row was read from"),
        Column("source_line", Integer, nullable=False, comment="1-based line of that file"),
    )
