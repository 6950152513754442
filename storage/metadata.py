"""The one catalogue of tables: every package's ``tables.py`` declares its tables on ``metadata``."""

from __future__ import annotations

from sqlalchemy import MetaData

#: Names are predictable, so a violated constraint can be recognised by name and a migration can drop it by name.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)
