"""Is the schema the one the migrations give? Every table, rule and guard as the server holds it, one line of text each.

Triggers and constraints hold the evidence only as long as nobody replaces them. Whoever owns the tables can: disable a
trigger, give its function another body, hang a WHEN (false) on it, drop a CHECK, add a RULE. So what the server's own catalogue
says is compared, object by object, with ``catalogue.json``, which ``python -m migrations.check --write`` makes from an empty
database brought to head and ``python -m migrations.check`` holds equal to it.

Texts are the server's own, in a canonical session, and read the same on PostgreSQL 15 to 18; only views are rendered differently
by different majors, so a view that reads differently is judged by a temporary view made from the expected text.
Looked at: the tables named in ``catalogue.json`` with their partitions, heirs and sequences, everything on them, views and
functions of that name, operators and casts that could stand in for the server's own, and the trap against changes of the schema
(``schema_trap``). What else shares the server or the database (other schemas, extensions, other tables) is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage.append_only import canonical_session_sql
from storage.partition_catalogue import partition_faults
from storage.schema_trap import FUNCTION, trap

EXPECTED_FILE = Path(__file__).with_name("catalogue.json")

#: Kinds in which an object no migration made is a fault: it could change or bypass what the books do.
_NO_STRANGERS = ("column", "constraint", "index", "trigger", "rule", "policy", "grants", "function", "heir", "asleep")

#: Kinds of which the migrations make none: whoever made one changes what a guard's own text means, or could.
_NEVER_MADE = ("operator", "cast", "creator")


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """One object that is not what the migrations give: its kind (table, trigger, function ...), its name, what is wrong."""

    kind: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.what}"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the migrations give: their newest revision, and the text of every object by "kind name"."""

    revision: str
    objects: Mapping[str, str]
    #: By table: the objects of any one of its partitions (``partition_catalogue``).
    partitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@cache
def expected() -> Expected:
    """The catalogue of an empty database at head, as ``catalogue.json`` holds it."""
    stored = json.loads(EXPECTED_FILE.read_text(encoding="utf-8"))
    return Expected(stored["revision"], stored["objects"], stored["partitions"])


def write_expected(
    revision: str, objects: Mapping[str, str], partitions: Mapping[str, Mapping[str, str]], file: Path = EXPECTED_FILE
) -> None:
    """Write ``catalogue.json``: one line an object, sorted, so that a migration's effect is read in its diff."""
    stored = {
        "revision": revision,
        "objects": dict(sorted(objects.items())),
        "partitions": {table: dict(sorted(one.items())) for table, one in sorted(partitions.items())},
    }
    file.write_text(json.dumps(stored, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def live_catalogue(connection: Connection) -> dict[str, str]:
    """Every object of schema public by "kind name", in canonical text. Sets the transaction's search path and rendering."""
    for statement in (*canonical_session_sql(), "SET LOCAL search_path = pg_catalog, public, pg_temp"):
        connection.execute(text(statement))
    return {f"{kind} {name}": definition for kind, name, definition in connection.execute(text(_LIVE), {"partitions": False})}


def live_partitions(connection: Connection) -> dict[str, dict[str, dict[str, str]]]:
    """Every object of every partition: by table, by partition, by "kind name". Sets search path and rendering likewise."""
    for statement in (*canonical_session_sql(), "SET LOCAL search_path = pg_catalog, public, pg_temp"):
        connection.execute(text(statement))
    tables: dict[str, str] = dict(connection.execute(text(_TABLE_OF_PARTITION)).all())
    found: dict[str, dict[str, dict[str, str]]] = {}
    for kind, name, definition in connection.execute(text(_LIVE), {"partitions": True}):
        partition = name.partition(".")[0]
        if partition in tables:
            found.setdefault(tables[partition], {}).setdefault(partition, {})[f"{kind} {name}"] = definition
    return found


def schema_faults(connection: Connection, measure: Expected | None = None) -> list[SchemaFault]:
    """Every object that is missing, changed or unknown, by kind and name; empty when the schema is what the migrations give."""
    measure = measure or expected()
    path = connection.execute(text("SELECT current_setting('search_path')")).scalar_one()
    live = live_catalogue(connection)
    tables = {name for kind, name in map(_split, measure.objects) if kind == "table"}
    gone = {name for name in tables if f"table {name}" not in live}
    known = tables | {name.partition("(")[0] for kind, name in map(_split, measure.objects) if kind in {"function", "sequence"}}
    found = []
    for key in sorted(measure.objects.keys() | live.keys()):
        kind, name = _split(key)
        right, now = measure.objects.get(key), live.get(key)
        if now == right or (kind != "table" and name.partition(".")[0] in gone):
            continue
        if now is None:
            found.append(SchemaFault(kind, name, "it is missing"))
        elif right is not None:
            if kind != "view" or not _same_view(connection, right, now):
                found.append(SchemaFault(kind, name, _changed(kind, right, now)))
        elif kind in _NEVER_MADE or (kind in _NO_STRANGERS and name.partition("." if kind != "function" else "(")[0] in known):
            found.append(SchemaFault(kind, name, f"no migration made it: {now}"))
    for table, partitions in live_partitions(connection).items():
        if table in tables:
            found += [SchemaFault(*fault) for fault in partition_faults(table, measure.partitions.get(table, {}), partitions)]
    found += [
        SchemaFault(
            "partition", name, f"it is detached from {table}, or about to be: what it holds or should take in is not read there"
        )
        for name, table in connection.execute(text(_DETACHED), {"tables": sorted(measure.partitions)})
    ]
    found += [SchemaFault("trap", FUNCTION, what) for what in trap(connection).faults]
    connection.execute(text("SELECT set_config('search_path', :path, true)"), {"path": path})
    return found


def _split(key: str) -> tuple[str, str]:
    kind, _, name = key.partition(" ")
    return kind, name


def _changed(kind: str, right: str, now: str) -> str:
    if kind == "function":
        return "its body or its settings are not those the migrations give it"
    if kind == "trigger" and now.partition(" ")[2] == right.partition(" ")[2]:
        return f"it fires {now.partition(' ')[0]}, not {right.partition(' ')[0]}"
    return f"it is: {now}; the migrations give: {right}"


def _same_view(connection: Connection, right: str, now: str) -> bool:
    """Whether this server writes the expected text of a view as it writes the view that is there."""
    options, _, query = right.partition("\n")
    if options != now.partition("\n")[0]:
        return False
    attempt = connection.begin_nested()
    try:
        connection.execute(text("CREATE TEMPORARY VIEW view_as_expected AS " + query.replace(":", "\\:")))
        rendered = connection.execute(text("SELECT pg_get_viewdef('pg_temp.view_as_expected'::regclass)")).scalar_one()
    except DBAPIError:
        return False  # it names a table or column that is no longer there
    finally:
        attempt.rollback()
    return bool(rendered == now.partition("\n")[2])


#: One SELECT (kind, name, definition). ``ours`` are the tables and views of schema public that no extension brought, or the
#: partitions among them: those have no lines of their own, but are compared with what one of them has (``partition_catalogue``).
_LIVE = r"""
WITH ours AS (
    SELECT c.* FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relispartition = :partitions
        AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
acl AS (
    SELECT 'grants' AS kind, owner, relname AS name, a.grantee, a.privilege_type, a.is_grantable, '' AS what
    FROM (SELECT c.relname::text, c.relowner AS owner, c.relacl FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            AND c.relispartition = :partitions) AS c
    CROSS JOIN aclexplode(c.relacl) AS a
    UNION ALL
    SELECT 'grants', c.relowner, c.relname::text, a.grantee, a.privilege_type, a.is_grantable, '(' || t.attname || ')'
    FROM ours c JOIN pg_attribute t ON t.attrelid = c.oid AND t.attacl IS NOT NULL CROSS JOIN aclexplode(t.attacl) AS a
)
SELECT CASE WHEN relkind IN ('v', 'm') THEN 'view' ELSE 'table' END AS kind, relname::text AS name,
    CASE WHEN relkind IN ('v', 'm') THEN concat_ws(' ', CASE relkind WHEN 'm' THEN 'materialized' END, 'options',
            coalesce(array_to_string(reloptions, ','), 'none')) || E'\n' || pg_get_viewdef(oid)
        ELSE concat_ws(', ', CASE relkind WHEN 'r' THEN 'ordinary' WHEN 'p' THEN 'partitioned' ELSE 'foreign' END,
            CASE relpersistence WHEN 'p' THEN NULL ELSE 'unlogged' END,
            CASE WHEN relrowsecurity THEN 'row security' END, CASE WHEN relforcerowsecurity THEN 'forced' END,
            'owned by ' || relowner::regrole) END AS definition
FROM ours
UNION ALL
SELECT 'bound', relname, pg_get_expr(relpartbound, oid) FROM ours WHERE relispartition
UNION ALL
SELECT 'heir', p.relname || '.' || c.relname, 'a table that inherits from it'
FROM pg_inherits i JOIN ours p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid WHERE NOT c.relispartition
UNION ALL
SELECT 'column', c.relname || '.' || a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'NOT NULL' END,
    CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY' WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
    CASE a.attgenerated WHEN '' THEN 'DEFAULT ' ELSE 'GENERATED ' END || pg_get_expr(d.adbin, d.adrelid))
FROM ours c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'constraint', c.relname || '.' || k.conname,
    pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' (not validated)' END
FROM ours c JOIN pg_constraint k ON k.conrelid = c.oid
WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 OR k.contype IN ('c', 'p', 'u') AND c.relispartition
UNION ALL
SELECT 'index', c.relname || '.' || i.relname,
    pg_get_indexdef(x.indexrelid) || CASE WHEN x.indisvalid AND x.indisready AND x.indislive THEN '' ELSE ' (not valid)' END
FROM ours c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid
UNION ALL
SELECT 'trigger', c.relname || '.' || t.tgname,
    CASE t.tgenabled WHEN 'A' THEN 'always ' WHEN 'O' THEN 'unless-replica ' WHEN 'R' THEN 'replica-only ' ELSE 'never ' END
    || pg_get_triggerdef(t.oid) || CASE n.nspname WHEN 'public' THEN '' ELSE ' of schema ' || n.nspname END
FROM ours c JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
UNION ALL
-- The triggers by which the server itself keeps foreign keys: a superuser can switch these off as well.
SELECT 'asleep', c.relname || '.' || coalesce(k.conname, t.tgname), 'its foreign key is not enforced: ' || string_agg(
    t.tgenabled::text || ' ' || p.proname, ', ' ORDER BY p.proname)
FROM ours c JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgisinternal AND t.tgenabled <> 'O'
JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'pg_catalog'::regnamespace
LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint
GROUP BY c.relname, coalesce(k.conname, t.tgname)
UNION ALL
SELECT 'rule', c.relname || '.' || r.rulename, r.ev_enabled::text || ' ' || pg_get_ruledef(r.oid)
FROM ours c JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', c.relname || '.' || p.polname, concat_ws(' ', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
    CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END,
    'TO', (SELECT string_agg(CASE m.oid WHEN 0 THEN 'PUBLIC' ELSE m.oid::regrole::text END, ', '
        ORDER BY CASE m.oid WHEN 0 THEN 'PUBLIC' ELSE m.oid::regrole::text END) FROM unnest(p.polroles) AS m (oid)),
    'USING', pg_get_expr(p.polqual, p.polrelid), 'WITH CHECK', pg_get_expr(p.polwithcheck, p.polrelid))
FROM ours c JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'grants', name, string_agg(said, '; ' ORDER BY said)
FROM (
    SELECT name, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END || ': '
        || string_agg(privilege_type || what || CASE WHEN is_grantable THEN ' (may grant)' ELSE '' END, ', '
            ORDER BY privilege_type || what) AS said
    FROM acl WHERE grantee <> owner GROUP BY name, grantee
) AS g GROUP BY name
UNION ALL
SELECT 'function', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', concat_ws(' ',
    CASE p.prokind WHEN 'f' THEN NULL ELSE p.prokind::text END, 'returns', pg_get_function_result(p.oid), 'language', l.lanname,
    CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END, 'parallel ' || p.proparallel::text,
    CASE WHEN p.proisstrict THEN 'strict' END, CASE WHEN p.prosecdef THEN 'security definer' END,
    CASE WHEN p.proleakproof THEN 'leakproof' END,
    'owned by ' || p.proowner::regrole,
    (SELECT 'executed by ' || string_agg(CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ' ORDER BY
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
        FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee <> p.proowner),
    'set ' || array_to_string(p.proconfig, '; '), 'body', encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex'))
FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace = 'public'::regnamespace AND p.proname <> 'refuse_schema_change' AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT 'sequence', c.relname, concat_ws(' ', format_type(s.seqtypid, NULL), 'from', s.seqstart, 'by', s.seqincrement, 'within',
    s.seqmin, 'to', s.seqmax, CASE WHEN s.seqcycle THEN 'and round again' END)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid AND c.relnamespace = 'public'::regnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('i', 'a')
JOIN ours o ON o.oid = d.refobjid
UNION ALL
-- Between the server's own types, where a guard means its own: an operator in public that fits better would be taken.
SELECT 'operator', o.oid::regoperator::text, 'it runs ' || o.oprcode::regprocedure
FROM pg_operator o WHERE o.oprnamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_type t WHERE t.oid IN (o.oprleft, o.oprright) AND t.typnamespace <> 'pg_catalog'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')
UNION ALL
SELECT 'cast', format_type(k.castsource, NULL) || ' as ' || format_type(k.casttarget, NULL), 'in context ' || k.castcontext::text
FROM pg_cast k WHERE k.oid >= 16384 AND NOT EXISTS (
    SELECT FROM pg_type t WHERE t.oid IN (k.castsource, k.casttarget) AND t.typnamespace <> 'pg_catalog'::regnamespace)
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass AND d.objid = k.oid AND d.deptype = 'e')
UNION ALL
-- Who may make things beside the books could make such an operator.
SELECT 'creator', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, 'it may make objects in schema public'
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND (a.grantee = 0 OR a.grantee::regrole::text IN (
    'escrow_poster', 'escrow_person', 'escrow_supervisor', 'escrow_bank', 'escrow_auditor', 'escrow_program'))
"""

#: (partition, table).
_TABLE_OF_PARTITION = """
SELECT c.relname::text, pg_partition_root(c.oid)::regclass::text FROM pg_class c
WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""

#: (table that is named like a month of another one and is none, or is being detached; that other table).
_DETACHED = """
SELECT c.relname::text, t.name FROM unnest(CAST(:tables AS text[])) AS t(name)
JOIN pg_class c ON c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    AND c.relname ~ ('^' || t.name || '_(through_)?[0-9]{4}_[0-9]{2}$')
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = to_regclass('public.' || quote_ident(t.name))
WHERE i.inhrelid IS NULL OR i.inhdetachpending ORDER BY 1
"""
