"""Columns that the tables of this package share, each with its meaning and unit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, DateTime, Integer, Text


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


def one_of(column: str, words: list[str]) -> CheckConstraint:
    """A column admits these words only."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=f"{column}_known")
