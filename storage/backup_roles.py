"""What a dump of one database leaves out, because the server keeps it: roles, grants on the database itself, settings of both.

Passwords are never read and never written: whoever restores on another server gives login roles theirs anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from storage.backup_file import BackupRefused


def owners(connection: Connection) -> list[str]:
    """Every role that owns something in schema public."""
    return list(
        connection.execute(
            text(
                """
                SELECT DISTINCT pg_get_userbyid(o)::text FROM (
                    SELECT relowner AS o FROM pg_class WHERE relnamespace = 'public'::regnamespace
                    UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                        AND prorettype <> 'event_trigger'::regtype
                ) AS owned ORDER BY 1
                """
            )
        ).scalars()
    )


_NAMED_ROLES = """
    SELECT DISTINCT r.oid FROM pg_roles r JOIN pg_shdepend s ON s.refobjid = r.oid AND s.refclassid = 'pg_authid'::regclass
    WHERE (s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        OR (s.classid = 'pg_database'::regclass AND s.objid = (SELECT oid FROM pg_database WHERE datname = current_database())))
        AND r.rolname !~ '^pg_'
"""


def roles(connection: Connection) -> list[dict[str, Any]]:
    """Every role the database's owners, grants and policies name, with its attributes and the roles it is a member of."""
    rows = connection.execute(
        text(
            f"""
            WITH named AS ({_NAMED_ROLES})
            SELECT r.rolname::text AS name, r.rolcanlogin AS login, r.rolinherit AS inherit, r.rolbypassrls AS bypassrls,
                r.rolsuper AS superuser, coalesce(shobj_description(r.oid, 'pg_authid'), '') AS comment,
                coalesce((SELECT array_agg(DISTINCT g.rolname::text) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                    WHERE m.member = r.oid AND (g.oid IN (SELECT oid FROM named) OR g.rolname ~ '^pg_')), '{{}}') AS member_of
            FROM pg_roles r WHERE r.oid IN (SELECT oid FROM named) ORDER BY r.rolname
            """
        )
    ).mappings()
    return [{**row, "member_of": sorted(row["member_of"])} for row in rows]


def database_grants(connection: Connection) -> list[dict[str, Any]]:
    """Who may do what with the database itself, when that is not the default; an empty list is the default."""
    rows = connection.execute(
        text(
            """
            SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
                a.privilege_type AS privilege, a.is_grantable AS grantable
            FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) AS a
            WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1, 2
            """
        )
    ).mappings()
    return [dict(row) for row in rows]


def settings(connection: Connection) -> list[dict[str, Any]]:
    """Settings fixed for this database, or for a role in it (name=value)."""
    rows = connection.execute(
        text(
            """
            SELECT CASE s.setrole WHEN 0 THEN NULL ELSE pg_get_userbyid(s.setrole)::text END AS role, s.setconfig AS config
            FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database() ORDER BY 1
            """
        )
    )
    return [{"role": role, "config": list(config)} for role, config in rows]


def make_missing_roles(driver: psycopg.Connection[Any], wanted: Sequence[Mapping[str, Any]]) -> list[str]:
    """Make the roles a backup names and this server lacks; their names. Roles that are there stay as they are.

    A superuser of the other server comes back as an ordinary role without login: the grants that name it need it, nobody else.
    Raises BackupRefused when the connected role may not make roles.
    """
    have = {name for (name,) in driver.execute("SELECT rolname::text FROM pg_roles")}
    missing = [role for role in wanted if role["name"] not in have]
    names = [str(role["name"]) for role in missing]
    (may,) = driver.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone() or (False,)
    if missing and not may:
        raise BackupRefused(
            f"the backup's grants name roles this server does not have, and the connected user may not make them: "
            f"{', '.join(names)}; let an administrator CREATE ROLE them, then restore again"
        )
    for role in missing:
        plain = role["superuser"]
        attributes = ["LOGIN" if role["login"] and not plain else "NOLOGIN", "INHERIT" if role["inherit"] else "NOINHERIT"]
        if role["bypassrls"] and not plain:
            attributes.append("BYPASSRLS")
        name = sql.Identifier(role["name"])
        driver.execute(sql.SQL("CREATE ROLE {} ").format(name) + sql.SQL(" ").join(sql.SQL(word) for word in attributes))
        if role["comment"]:
            driver.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(name, sql.Literal(role["comment"])))
    for role in missing:
        for group in role["member_of"]:
            driver.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role["name"])))
    return names


def let_owners_create(driver: psycopg.Connection[Any], names: Sequence[str]) -> None:
    """Let the owners of the tables have tables: to whom a session that is no superuser hands one must be able to make one."""
    listed = sql.SQL(", ").join(sql.Identifier(name) for name in names)
    driver.execute(sql.SQL("GRANT USAGE, CREATE ON SCHEMA public TO {}").format(listed))


def grant_database(
    driver: psycopg.Connection[Any], grants: Sequence[Mapping[str, Any]], configured: Sequence[Mapping[str, Any]]
) -> None:
    """Give the database itself the grants and settings it had; with none recorded it keeps the server's default."""
    name = sql.Identifier(driver.info.dbname)
    if grants:
        driver.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for grant in grants:
        to = sql.SQL("PUBLIC") if grant["grantee"] == "PUBLIC" else sql.Identifier(grant["grantee"])
        option = sql.SQL(" WITH GRANT OPTION" if grant["grantable"] else "")
        driver.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(grant["privilege"]), name, to) + option)
    for one in configured:
        whose = sql.SQL("DATABASE {}").format(name)
        if one["role"]:
            whose = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(one["role"]), name)
        for setting in one["config"]:
            key, _, value = setting.partition("=")
            driver.execute(sql.SQL("ALTER {} SET {} TO {}").format(whose, sql.Identifier(key), sql.Literal(value)))
