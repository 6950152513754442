"""Which role may do what: derived for every table from what the table declares, in this one place.

Applied at the end of every upgrade that changed something, so a new table falls under it without a line in its migration;
``migrations.check`` compares grants, policies and owners with ``storage/catalogue.json``. In short:

- everybody's default is nothing: no role has UPDATE, DELETE or TRUNCATE of evidence, and PUBLIC has nothing;
- the poster adds rows to evidence; tables that the books' guards keep it can only lock; work state (job_run) it may write;
- auditor and supervisor read every table, within ``escrow.jurisdictions``;
- a person's act that moves no money adds to the tables of PERSON_WRITES, within ``escrow.jurisdictions``;
- a bank reads, within ``escrow.bank``, the tables of BANK_READS and adds to those of BANK_WRITES;
- what each of them may tell of in tables that tell of many things is in MAY_TELL; what is about all institutions at once
  (ABOUT_EVERYBODY) is read by those who see everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, MetaData, Table, text

from storage.roles import Role

#: What a bank's own delivery touches, and what it may look at.
BANK_WRITES = (
    "statement_file", "statement_file_reading", "statement", "statement_line", "statement_counted", "discrepancy",
    "discrepancy_event", "sign_off_event", "audit_event", "quarantined_statement", "statement_overlap",
    "statement_line_absorbed",
)  # fmt: skip
BANK_READS = (
    "institution", "custody_account", "account", "account_balance", "instruction_file", "discrepancy_state", "statement_file",
    "statement_file_reading", "statement", "statement_line", "statement_counted", "discrepancy", "discrepancy_event",
    "sign_off_event", "sign_off_state", "run_discrepancy", "reconciliation_run", "disbursement_instruction", "refund_instruction",
    "instruction_answer_file", "instruction_event", "alembic_version",
    "quarantined_statement", "quarantine_event", "quarantine_state", "statement_version", "statement_line_kept",
    "statement_in_force", "line_in_force", "statement_overdue", "statement_overlap", "statement_line_absorbed",
)  # fmt: skip

#: Whose an instruction is says the file it went out in: an institution may keep accounts at several banks.
_IN_OWN_FILE = "instruction_file_id IN (SELECT f.instruction_file_id FROM instruction_file f)"
OWN_OF_BANK = {
    # An institution may keep accounts at several banks, and a balance tells of its account alone whose it is.
    "account_balance": "(institution_id, account_id) IN (SELECT a.institution_id, a.account_id FROM account a)",
    "disbursement_instruction": _IN_OWN_FILE,
    "refund_instruction": _IN_OWN_FILE,
    "instruction_event": (
        "EXISTS (SELECT FROM disbursement_instruction d WHERE d.institution_id = instruction_event.institution_id "
        "AND d.instruction_id = instruction_event.instruction_id) OR EXISTS (SELECT FROM refund_instruction r "
        "WHERE r.institution_id = instruction_event.institution_id AND r.refund_request_id = instruction_event.refund_request_id)"
    ),
}

#: Evidence that other roles than the poster add to.
AUDITOR_WRITES = ("audit_event",)

#: What people decide. What follows from it in the books is the poster's, because those are written by COPY.
PERSON_WRITES = (
    "hold", "hold_lift_proposal", "hold_lift", "discrepancy_event", "sign_off_event", "quarantine_event", "period_event",
    "instruction_event", "audit_event",
)  # fmt: skip

_READERS = (Role.SUPERVISOR, Role.AUDITOR)
_SCOPED = (*_READERS, Role.PERSON)

#: What a role may tell of, in a table that tells of more: a file of a bank opens discrepancies, it approves none.
MAY_TELL: dict[str, dict[Role, str]] = {
    "discrepancy_event": {
        Role.BANK: "event IN ('opened', 'reopened', 'auto_cleared')",
        Role.PERSON: "event IN ('assigned', 'commented', 'prepared', 'rejected')",
    },
    "sign_off_event": {Role.BANK: "event = 'superseded'", Role.PERSON: "event <> 'superseded'"},
    "quarantine_event": {Role.PERSON: "event IN ('prepared', 'rejected')"},
    "instruction_event": {Role.PERSON: "event IN ('return_prepared', 'return_declined')"},
    "audit_event": {
        Role.BANK: "act ~ '^(intake:|escrow:instruction:|reconciliation:sign_off:superseded$|cli:)'",
        Role.PERSON: "act ~ '^(escrow:hold:|escrow:instruction:return|reconciliation:|intake:quarantine:|cli:period:)'",
        Role.SUPERVISOR: "act ~ '^cli:'",
        Role.AUDITOR: "act ~ '^cli:'",
    },
}

#: What a person approves, besides: the newest proposal, when another made it.
MAY_APPROVE = {
    "discrepancy_event": (
        "event = 'approved' AND resolution_of_another(institution_id, discrepancy_id, prepared_event_no, prepared_by, actor)"
    ),
    "quarantine_event": "event = 'approved' AND release_of_another(quarantine_id, prepared_event_no, prepared_by, actor)",
    "instruction_event": (
        "event = 'returned' AND return_of_another(institution_id, reference, prepared_event_no, prepared_by, actor)"
    ),
}

#: Without an institution of their own, but telling of institutions: only who sees everything reads them.
ABOUT_EVERYBODY = ("audit_event", "import_report", "import_finding")

_EVERYWHERE = "(SELECT current_setting('escrow.jurisdictions', true)) = '*'"
_OWN_BANK = "(SELECT current_setting('escrow.bank', true))"


def apply_privileges(connection: Connection, metadata: MetaData) -> None:
    """Give every object of the books its owner, its grants and its policies; safe to repeat."""
    connection.execute(text("SELECT set_config('search_path', 'pg_catalog, public, pg_temp', true)"))
    kept = set(connection.scalars(text(_KEPT_BY_GUARDS)))
    statements = [
        f"GRANT USAGE ON SCHEMA public TO {', '.join(Role)}",
        f"GRANT CREATE ON SCHEMA public TO {Role.OWNER}, {Role.BOOKS}",
    ]
    for table in metadata.sorted_tables:
        if connection.scalar(text("SELECT to_regclass('public.' || :name)"), {"name": table.name}) is None:
            continue
        statements += _table_ddl(table, kept_by_guards=table.name in kept)
    statements += list(
        connection.scalars(text(_PARTITIONS), {"owner": Role.OWNER, "others": [r for r in Role if r != Role.OWNER]})
    )
    for view, materialized in connection.execute(text(_VIEWS)).all():
        statements += _view_ddl(view, materialized)
    statements += [
        f"REVOKE ALL ON alembic_version FROM PUBLIC, {', '.join(Role)}",
        f"ALTER TABLE alembic_version OWNER TO {Role.OWNER}",
        f"GRANT SELECT ON alembic_version TO {Role.POSTER}, {Role.PERSON}, {Role.SUPERVISOR}, {Role.BANK}, {Role.AUDITOR}",
    ]
    roles = {"owner": Role.OWNER, "books": Role.BOOKS, "poster": Role.POSTER, "migrator": Role.MIGRATOR, "bank": Role.BANK}
    statements += list(connection.scalars(text(_FUNCTIONS), roles))
    _execute(connection, statements)
    # On the way to head it may not be there yet.
    if connection.scalar(text("SELECT to_regprocedure('within_term()')")) is not None:
        _execute(connection, _terms(connection.scalars(text(_FENCED)).all()))
        for decided, rule in MAY_APPROVE.items():
            _execute(connection, _limits(decided, {Role.PERSON: f"{MAY_TELL[decided][Role.PERSON]} OR {rule}"}))
    connection.execute(text("RESET search_path"))


def _execute(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.execute(text(statement.replace(":", "\\:")))


def _table_ddl(table: Table, *, kept_by_guards: bool) -> list[str]:
    name = table.name
    evidence = bool(table.info.get("append_only"))
    owner = Role.BOOKS if kept_by_guards and not evidence else Role.OWNER
    found = [
        f"ALTER TABLE {name} OWNER TO {owner}",
        f"REVOKE ALL ON {name} FROM PUBLIC, {', '.join(r for r in Role if r != owner)}",
    ]
    everyone = [Role.POSTER, *_SCOPED]
    found.append(f"GRANT SELECT ON {name} TO {', '.join(everyone)}")
    other_owner = Role.OWNER if owner == Role.BOOKS else Role.BOOKS
    found.append(f"GRANT SELECT ON {name} TO {other_owner}")
    if kept_by_guards:
        # A row can be locked by who may update one of its columns; what keeps it from being updated is its guard.
        found.append(f"GRANT UPDATE ({next(iter(table.primary_key.columns)).name}) ON {name} TO {Role.POSTER}")
        if evidence:
            found.append(f"GRANT INSERT ON {name} TO {Role.BOOKS}")
    elif evidence:
        found.append(f"GRANT INSERT ON {name} TO {Role.POSTER}")
    else:
        found.append(f"GRANT INSERT, UPDATE, DELETE ON {name} TO {Role.POSTER}")
    if name in AUDITOR_WRITES:
        found.append(f"GRANT INSERT ON {name} TO {', '.join(_READERS)}")
    if name in PERSON_WRITES:
        found.append(f"GRANT INSERT ON {name} TO {Role.PERSON}")
    if name in BANK_READS:
        found.append(f"GRANT SELECT ON {name} TO {Role.BANK}")
    if name in BANK_WRITES:
        found.append(f"GRANT INSERT ON {name} TO {Role.BANK}")
    return found + _policies(table, owner)


def _policies(table: Table, owner: Role) -> list[str]:
    """Row-level security of a table that says whose it is; the others (seals, job runs, ...) hold no institution's data."""
    name, columns = table.name, table.columns.keys()
    limits = _limits(name)
    if name in ABOUT_EVERYBODY:
        return _everybodys(name, owner) + limits
    if "institution_id" in columns:
        place = "institution_id IN (SELECT unnest(institutions_in_scope()))"
    elif "sender_bank" in columns or "bank_code" in columns:
        bank = "sender_bank" if "sender_bank" in columns else "bank_code"
        place = f"{bank} IN (SELECT unnest(banks_in_scope()))"
    elif "statement_file_id" in columns:
        place = "statement_file_id IN (SELECT f.statement_file_id FROM statement_file f)"
    else:
        return []
    if name in OWN_OF_BANK:
        own = OWN_OF_BANK[name]
    elif "custody_account_id" in columns:
        own = "custody_account_id IN (SELECT unnest(accounts_of_bank()))"
    elif "discrepancy_id" in columns:  # an institution may have accounts at other banks
        own = "(institution_id, discrepancy_id) IN (SELECT d.institution_id, d.discrepancy_id FROM discrepancy d)"
    elif "institution_id" in columns:
        own = "institution_id IN (SELECT unnest(institutions_of_bank()))"
    elif "sender_bank" in columns or "bank_code" in columns:
        own = f"{'sender_bank' if 'sender_bank' in columns else 'bank_code'} = {_OWN_BANK}"
    else:
        own = place
    wanted = {
        "scope_of_person": f"TO {', '.join(_SCOPED)} USING ({_EVERYWHERE} OR {place})",
        "scope_of_bank": f"TO {Role.BANK} USING ({own})",
        "scope_of_books": f"TO {Role.OWNER if owner == Role.BOOKS else Role.BOOKS} USING (true)",
    }
    found = [f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"]
    for policy, rule in wanted.items():
        found += _policy(name, policy, rule)
    return found + limits


def _policy(table: str, policy: str, rule: str) -> list[str]:
    return [f"DROP POLICY IF EXISTS {policy} ON {table}", f"CREATE POLICY {policy} ON {table} {rule}"]


def _everybodys(table: str, owner: Role) -> list[str]:
    """Read by who sees everything; added to by those with a grant, each within MAY_TELL."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        *_policy(table, "scope_of_person", f"FOR SELECT TO {', '.join(_SCOPED)} USING ({_EVERYWHERE})"),
        *_policy(table, "adding", f"FOR INSERT TO {', '.join((*_SCOPED, Role.BANK))} WITH CHECK (true)"),
        *_policy(table, "scope_of_books", f"TO {Role.OWNER if owner == Role.BOOKS else Role.BOOKS} USING (true)"),
    ]


def _terms(tables: Iterable[str]) -> list[str]:
    """A session started for a person with a term (config/roles.yaml) sees and adds nothing outside it."""
    rule = f"AS RESTRICTIVE TO {', '.join((*_SCOPED, Role.BANK))} USING ((SELECT within_term()))"
    return [statement for table in tables for statement in _policy(table, "within_term", rule)]


def _limits(table: str, rules: Mapping[Role, str] | None = None) -> list[str]:
    """Restrictive policies: rows of other kinds are refused to the role, whatever its scope."""
    found = []
    for role, rule in (MAY_TELL.get(table, {}) if rules is None else rules).items():
        found += _policy(
            table, f"told_by_{role.removeprefix('escrow_')}", f"AS RESTRICTIVE FOR INSERT TO {role} WITH CHECK ({rule})"
        )
    return found


def _view_ddl(view: str, materialized: bool) -> list[str]:
    kind = "MATERIALIZED VIEW" if materialized else "VIEW"
    found = [
        f"ALTER {kind} {view} OWNER TO {Role.OWNER}",
        f"REVOKE ALL ON {view} FROM PUBLIC, {', '.join(r for r in Role if r != Role.OWNER)}",
        f"GRANT SELECT ON {view} TO {', '.join((Role.POSTER, Role.BOOKS, *_SCOPED))}",
    ]
    if not materialized:  # else a view would show its reader what its owner may see
        found.append(f"ALTER VIEW {view} SET (security_invoker = true)")
    if view in BANK_READS:
        found.append(f"GRANT SELECT ON {view} TO {Role.BANK}")
    return found


#: Tables that policies fence.
_FENCED = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relrowsecurity AND NOT relispartition ORDER BY 1
"""

#: Tables whose rows only the guards of the books may move.
_KEPT_BY_GUARDS = """
    SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relnamespace = 'public'::regnamespace AND p.proname = 'ledger_guard_projection'
"""

#: Partitions are read and written through their table alone: nobody but the owner has any right to them, and no row of theirs is
#: filtered twice.
_PARTITIONS = """
    SELECT format(s.statement, c.relname, array_to_string(CAST(:others AS text[]), ', '),
        CAST(:owner AS text))
    FROM pg_class c CROSS JOIN LATERAL (
        VALUES (1, 'ALTER TABLE %1$I OWNER TO %3$s'), (2, 'REVOKE ALL ON %1$I FROM PUBLIC, %2$s'),
            (3, 'ALTER TABLE %1$I DISABLE ROW LEVEL SECURITY')
        UNION ALL SELECT 4, format('DROP POLICY %I ON %%1$I', p.polname) FROM pg_policy p WHERE p.polrelid = c.oid
    ) AS s (place, statement)
    WHERE c.relispartition AND c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname, s.place
"""

_VIEWS = """
    SELECT c.relname::text, c.relkind = 'm' FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm') AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1
"""

#: Guards that run with their owner's rights belong to the books, what adds a month to the role that may change the schema, every
#: other function to the owner of the tables (the trap itself to the superuser who made it); what a trigger
#: calls nobody may hang on a table of his own; and a function finds its names where its migration put them, whatever search
#: path and temporary tables the session brings. (An SQL function to be inlined may have no settings, and needs none: it is
#: planned under its caller's.)
_FUNCTIONS = """
    SELECT format(s.statement, p.oid::regprocedure,
        CASE WHEN p.prosecdef AND p.prorettype = 'trigger'::regtype THEN :books
            WHEN p.proname = 'ledger_add_month' THEN :migrator ELSE :owner END)
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    CROSS JOIN LATERAL (VALUES
        (1, 'ALTER FUNCTION %1$s SET search_path = pg_catalog, public, pg_temp', l.lanname = 'plpgsql' OR p.prosecdef),
        (2, 'ALTER FUNCTION %1$s OWNER TO %2$s', true),
        (3, 'REVOKE ALL ON FUNCTION %1$s FROM PUBLIC',
            p.prorettype = 'trigger'::regtype
            OR p.proname IN ('lock_evidence', 'ledger_add_month', 'ledger_guard_partition', 'instruction_states_of_bank')),
        (4, 'GRANT EXECUTE ON FUNCTION %1$s TO ' || :poster, p.proname IN ('lock_evidence', 'ledger_add_month')),
        (5, 'GRANT EXECUTE ON FUNCTION %1$s TO ' || :bank, p.proname = 'instruction_states_of_bank')
    ) AS s (place, statement, applies)
    WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype <> 'event_trigger'::regtype AND s.applies AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
    ORDER BY p.oid::regprocedure::text, s.place
"""
