"""Settings the server gives sessions by itself: of a database or of a login, kept until somebody takes them back.

A session chooses its own settings for as long as it lasts, and the guards hold whatever it chooses. One that is kept
(``ALTER DATABASE ... SET``, ``ALTER ROLE ... SET``) reaches the sessions of everybody else: it can put foreign keys to sleep,
name another schema first, let the server forget what it said was committed, or show a person another jurisdiction. Any login
may keep settings for itself.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from storage.program_login import PROGRAM_LOGIN
from storage.roles import Role

#: What none of the books' sessions may be given from outside; and every ``escrow.`` setting, which says what a person sees.
#: (A login of an auditor's own may keep ``escrow.jurisdictions``: docs/operating.md.)
_REFUSED = (
    "default_transaction_read_only", "event_triggers", "fsync", "ignore_checksum_failure", "local_preload_libraries", "role",
    "row_security", "search_path", "session_preload_libraries", "session_replication_role", "standard_conforming_strings",
    "synchronous_commit", "transform_null_equals", "zero_damaged_pages",
)  # fmt: skip


def kept_settings_at_fault(connection: Connection) -> list[str]:
    """Settings kept for sessions of these books that weaken what guards them, one sentence each, with what takes them back."""
    asked = {"roles": list(Role), "login": PROGRAM_LOGIN, "refused": list(_REFUSED)}
    return [
        f"{row.whose} keeps the setting {row.setting} for {row.sessions}; an administrator of the server must run: "
        f"ALTER {row.reset} RESET {row.name}"
        for row in connection.execute(_KEPT, asked)
    ]


#: Of a database (any role), of a role (any database, or this one), or of all roles. Roles: those of the books, and logins
#: that can become one of them.
_KEPT = text(
    """
    WITH kept AS (
        SELECT s.setdatabase AS of_database, s.setrole AS of_role, c.setting, split_part(c.setting, '=', 1) AS name
        FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c (setting)
        WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
    )
    SELECT k.name, k.setting,
        coalesce(r.rolname::text, CASE k.of_database WHEN 0 THEN 'every role' ELSE current_database()::text END) AS whose,
        CASE WHEN r.rolname IS NULL THEN 'everybody''s sessions' ELSE 'its sessions' END AS sessions,
        CASE WHEN k.of_role = 0 AND k.of_database <> 0 THEN format('DATABASE %I', current_database())
            ELSE concat_ws(' IN DATABASE ', 'ROLE ' || coalesce(quote_ident(r.rolname), 'ALL'),
                CASE WHEN k.of_database <> 0 THEN quote_ident(current_database()) END)
        END AS reset
    FROM kept k LEFT JOIN pg_roles r ON r.oid = k.of_role
    WHERE (k.of_role = 0 OR EXISTS (
            SELECT FROM pg_roles g WHERE g.rolname = ANY (CAST(:roles AS text[])) AND pg_has_role(k.of_role, g.oid, 'MEMBER')))
        AND (lower(k.name) = ANY (CAST(:refused AS text[]))
            OR k.name ILIKE 'escrow.%' AND (k.of_role = 0 OR r.rolname = :login OR r.rolname = ANY (CAST(:roles AS text[]))))
    ORDER BY whose, k.setting
    """
)
