"""The trap against changes of the schema: an event trigger by which the server refuses DDL to whoever owns the books.

Triggers and constraints hold against everybody but the owner of the tables, who may switch them off, drop them or take a
month out of the journal. This refuses it to him: whoever has the owner's power (over the tables, or over schema public) and
is no superuser changes the schema only as a member of ``escrow_migrator`` who holds the lock of a migration. That role is for
migrations, and ``ledger_add_month`` runs as it. Temporary tables and views remain free, and who has no power over the books
is not looked at.

An event trigger can be made by a superuser only, and so can be removed or switched off by one only. On the embedded server
every upgrade makes it; on another server an administrator runs ``installation_statements`` once (``escrow db trap``). The
function belongs to that superuser: one that the owner could replace would run his text in the administrator's sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from storage.program_login import PROGRAM_LOGIN
from storage.roles import Role

FUNCTION = "refuse_schema_change"

#: By name: the event each is fired at.
TRIGGERS = {
    f"{FUNCTION}_start": "ddl_command_start",
    f"{FUNCTION}_end": "ddl_command_end",
    f"{FUNCTION}_drop": "sql_drop",
}

#: What every migration and restore holds, and who adds a month to the journal holds shared.
MIGRATION_LOCK = "hashtextextended('alembic_version', 0)"

_SETTINGS = "search_path=pg_catalog, pg_temp"

#: A command whose object is known only when it is done: it may be temporary.
_BODY = f"""
DECLARE
    maybe_temporary CONSTANT boolean := tg_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW',
        'CREATE INDEX', 'DROP TABLE', 'DROP VIEW', 'DROP INDEX');
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RETURN;
    END IF;
    -- Who neither owns the books nor their schema is stopped by having no right to them.
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid IN (
            to_regclass('public.transfer'), to_regclass('public.account_balance'), to_regclass('public.audit_event'))
            AND pg_has_role(current_user, c.relowner, 'USAGE'))
        AND NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 'public' AND pg_has_role(current_user, n.nspowner, 'USAGE'))
    THEN
        RETURN;
    END IF;
    IF pg_has_role(current_user, to_regrole('{Role.MIGRATOR}'), 'USAGE') AND EXISTS (
        SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.granted AND l.objsubid = 1
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (l.classid::bigint << 32) | l.objid::bigint = {MIGRATION_LOCK})
    THEN
        RETURN;
    END IF;
    IF maybe_temporary AND tg_event = 'ddl_command_start' THEN
        RETURN;
    ELSIF maybe_temporary AND tg_event = 'ddl_command_end' THEN
        IF NOT EXISTS (
            SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.schema_name IS DISTINCT FROM 'pg_temp'
                OR EXISTS (SELECT FROM pg_inherits i WHERE c.classid = 'pg_class'::regclass AND i.inhrelid = c.objid))
        THEN
            RETURN;
        END IF;
    ELSIF maybe_temporary THEN
        IF NOT EXISTS (
            SELECT FROM pg_event_trigger_dropped_objects() d
            WHERE NOT d.is_temporary AND (d.original OR d.classid = 'pg_class'::regclass))
        THEN
            RETURN;
        END IF;
    END IF;
    RAISE EXCEPTION '% by % refused: the schema of the books changes by migrations only', tg_tag, current_user
        USING ERRCODE = 'insufficient_privilege', CONSTRAINT = 'schema_trap',
            HINT = 'Run escrow db upgrade; for anything else an administrator of the server must act.';
END
"""


@dataclass(frozen=True, slots=True)
class Trap:
    """Whether the trap is there. ``wrong``: what is amiss with it, one sentence each; empty and not ``set``: nothing of it is."""

    set: bool
    made_by_us: bool
    wrong: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be: a trap half there or changed; none at all where the session's login could have made it."""
        if self.set or not self.made_by_us:
            return self.wrong
        return self.wrong or ("it is missing; run: escrow db upgrade",)


def installation_statements() -> list[str]:
    """What a superuser runs in the database of the books, once and after an update that changes it; safe to repeat."""
    return [
        *(f"DROP EVENT TRIGGER IF EXISTS {name}" for name in TRIGGERS),
        f"""CREATE OR REPLACE FUNCTION public.{FUNCTION}() RETURNS event_trigger LANGUAGE plpgsql
        SET search_path = pg_catalog, pg_temp AS $${_BODY}$$""",
        f"ALTER FUNCTION public.{FUNCTION}() OWNER TO CURRENT_USER",
        f"REVOKE ALL ON FUNCTION public.{FUNCTION}() FROM PUBLIC",
        *(f"CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION public.{FUNCTION}()" for name, event in TRIGGERS.items()),
        *(f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS" for name in TRIGGERS),
    ]


def set_trap(connection: Connection) -> bool:
    """Make the trap, or make it right again; whether that was needed and the session's user may (a superuser may)."""
    if trap(connection).set or not _is_superuser(connection, "current_user"):
        return False
    for statement in installation_statements():
        connection.execute(text(statement.replace(":", "\\:")))
    return True


def trap(connection: Connection) -> Trap:
    """What of the trap is there, as the server's own catalogue says."""
    found = connection.execute(text(_TRIGGERS_THERE), {"names": list(TRIGGERS), "function": FUNCTION}).all()
    there = {row.name: row for row in found}
    function = connection.execute(text(_FUNCTION_THERE), {"function": FUNCTION}).one_or_none()
    wrong = []
    for name, event in TRIGGERS.items():
        if (row := there.get(name)) is None:
            wrong.append(f"event trigger {name} is missing")
        elif row.enabled != "A":
            wrong.append(f"event trigger {name} is {'switched off' if row.enabled == 'D' else 'asleep for some sessions'}")
        elif (row.event, row.tags, row.function) != (event, None, FUNCTION) or not row.superuser:
            wrong.append(f"event trigger {name} is not the one an upgrade makes")
    if function is None:
        wrong.append(f"function {FUNCTION}() is missing")
    elif (function.body, function.settings, function.definer) != (_BODY, [_SETTINGS], False):
        wrong.append(f"the body or the settings of function {FUNCTION}() are not those of this program; run: escrow db trap")
    elif not function.superuser:
        wrong.append(f"function {FUNCTION}() belongs to {function.owner}, who is no superuser and could change it")
    never_made = not there and function is None
    return Trap(not wrong, _makes_it(connection), () if never_made else tuple(wrong))


def _makes_it(connection: Connection) -> bool:
    """Whether upgrades by this program make the trap: its login is a superuser, or that of the embedded server."""
    login: str = connection.execute(text("SELECT session_user")).scalar_one()
    return login == PROGRAM_LOGIN or _is_superuser(connection, "session_user")


def _is_superuser(connection: Connection, whose: str) -> bool:
    question = f"SELECT rolsuper FROM pg_roles WHERE rolname = {whose}"
    return bool(connection.execute(text(question)).scalar_one())


_TRIGGERS_THERE = """
    SELECT e.evtname::text AS name, e.evtevent::text AS event, e.evtenabled::text AS enabled, e.evttags AS tags,
        CASE p.pronamespace WHEN 'public'::regnamespace THEN p.proname::text END AS function, r.rolsuper AS superuser
    FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_roles r ON r.oid = e.evtowner
    WHERE e.evtname = ANY (:names) OR p.proname = :function AND p.pronamespace = 'public'::regnamespace
"""

_FUNCTION_THERE = """
    SELECT p.prosrc AS body, p.proconfig AS settings, p.prosecdef AS definer, r.rolname::text AS owner, r.rolsuper AS superuser
    FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
    WHERE p.pronamespace = 'public'::regnamespace AND p.proname = :function AND p.pronargs = 0
"""
