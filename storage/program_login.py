"""The login the program works with on the embedded server: it can become the roles of daily work and nothing else.

The cluster's own user is a superuser, whom no guard and no trap stops. It makes databases, upgrades, backs up and restores;
every other command connects as ``escrow_program``, so that not even text smuggled into a statement can go back to more.
On a server of one's own, its administrator decides the same by the memberships of the login in ESCROW_DATABASE_URL.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage.roles import Role

if TYPE_CHECKING:
    from sqlalchemy import URL

PROGRAM_LOGIN = "escrow_program"

#: What daily work is done as. Not among them: who owns tables, who migrates, who owns the projections.
DAILY_ROLES = (Role.POSTER, Role.PERSON, Role.SUPERVISOR, Role.BANK, Role.AUDITOR)

_PURPOSE = "the program at its daily work on the embedded server; works as one of the daily roles, by itself it may do nothing"
#: Another command made or granted the same at the same time.
_MADE_MEANWHILE = {"42710", "23505", "XX000"}
_ATTEMPTS = 5


def program_url(owner: URL) -> URL:
    """The embedded server's address for daily work, from its owner's. The password follows from the owner's, never back."""
    return owner.set(username=PROGRAM_LOGIN, password=_password(owner))


def _password(owner: URL) -> str:
    return hashlib.sha256(f"{PROGRAM_LOGIN}:{owner.password}".encode()).hexdigest()


def ensure_program_login(connection: Connection) -> None:
    """Make the login, or give it what it lacks, as the embedded server's owner; nothing is executed when nothing is missing.

    Commits. Books restored from another server may have brought the login without its password.
    """
    for attempt in range(_ATTEMPTS):
        try:
            for statement in _missing(connection):
                connection.exec_driver_sql(statement)
            connection.commit()
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "sqlstate", None) not in _MADE_MEANWHILE or attempt + 1 == _ATTEMPTS:
                raise
        else:
            return


def _missing(connection: Connection) -> list[str]:
    login = connection.execute(_LOGIN, {"name": PROGRAM_LOGIN}).one_or_none()
    statements = []
    whole = login is not None and login.complete and _opens(login.kept, _password(connection.engine.url))
    if not whole:
        verifier = _verifier(connection)  # so that no password stands in a statement the server may log
    if login is None:
        statements += [
            f"CREATE ROLE {PROGRAM_LOGIN} LOGIN NOINHERIT PASSWORD '{verifier}'",
            f"COMMENT ON ROLE {PROGRAM_LOGIN} IS '{_PURPOSE}'",
        ]
    elif not whole:
        statements.append(f"ALTER ROLE {PROGRAM_LOGIN} LOGIN NOINHERIT PASSWORD '{verifier}'")
    held = set(connection.scalars(_HELD, {"name": PROGRAM_LOGIN}))
    statements += [f"GRANT {role} TO {PROGRAM_LOGIN}" for role in DAILY_ROLES if role not in held]
    # A login may keep settings for itself: a session of it could so choose for all that come later. None are meant to be kept.
    return statements + list(connection.scalars(_SETTINGS_KEPT, {"name": PROGRAM_LOGIN}))


def _opens(kept: str, password: str) -> bool:
    """Whether the kept verifier (RFC 5803) is this password's. Any login may give itself another, which would lock work out.

    One of more rounds than five digits is nobody's of ours: it would only make every command wait.
    """
    found = _SCRAM.fullmatch(kept)
    if found is None:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(found["salt"]), int(found["rounds"]))
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), base64.b64decode(found["stored"]))


def _verifier(connection: Connection) -> str:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  the only driver of the project
    password = _password(connection.engine.url).encode()
    return driver.pgconn.encrypt_password(password, PROGRAM_LOGIN.encode(), b"scram-sha-256").decode()


def login_at_fault(connection: Connection) -> list[str]:
    """What the login can do beyond daily work, one sentence each; nothing where there is no such login."""
    row = connection.execute(_POWERS, {"name": PROGRAM_LOGIN, "daily": list(DAILY_ROLES)}).one_or_none()
    if row is None:
        return []
    powers = {
        "a superuser": row.rolsuper,
        "able to make roles": row.rolcreaterole,
        "able to make databases": row.rolcreatedb,
        "able to replicate": row.rolreplication,
        "outside row-level security": row.rolbypassrls,
        f"a member of {row.beyond}": row.beyond,
    }
    return [f"{PROGRAM_LOGIN} is {power}" for power, has in powers.items() if has]


_LOGIN = text(
    "SELECT rolcanlogin AND NOT rolinherit AND rolpassword IS NOT NULL AS complete, coalesce(rolpassword, '') AS kept "
    "FROM pg_authid WHERE rolname = :name"
)
_SCRAM = re.compile(r"SCRAM-SHA-256\$(?P<rounds>[0-9]{1,5}):(?P<salt>[\w+/=]+)\$(?P<stored>[\w+/=]+):[\w+/=]+", re.ASCII)
_SETTINGS_KEPT = text(
    """
    SELECT concat_ws(' IN DATABASE ', format('ALTER ROLE %I', r.rolname), quote_ident(d.datname)) || ' RESET ALL'
    FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE r.rolname = :name ORDER BY 1
    """
)
_HELD = text(
    """
    SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
    WHERE r.rolname = :name
    """
)
_POWERS = text(
    """
    SELECT r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
        (SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
         WHERE m.member = r.oid AND g.rolname <> ALL (:daily)) AS beyond
    FROM pg_roles r WHERE r.rolname = :name
    """
)
