"""Roles: what a session may see, how the poster locks evidence, and projections that only the books' own role moves.

Deployed beside the old program: that one connects as the server's user, who owns or inherits everything, and goes on. Roles, owners,
grants and policies themselves are not here: they are derived for every table at the end of each upgrade (``privileges``).
"""

from __future__ import annotations

from alembic import op

from storage.append_only import LOCK_EVIDENCE_DDL

revision = "0009_roles"
down_revision = "0008_opening_balance"
branch_labels = None
depends_on = None

#: Asked once a statement: a policy compares with ``IN (SELECT unnest(...))``, which is hashed. Unset settings mean nothing is seen.
_SCOPE = "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp"
SCOPE = (
    f"""
    CREATE FUNCTION institutions_in_scope() RETURNS integer[] {_SCOPE} AS $$
        SELECT array_agg(institution_id) FROM institution
        WHERE jurisdiction_code = ANY (string_to_array(current_setting('escrow.jurisdictions', true), ','))
    $$
    """,
    f"""
    CREATE FUNCTION banks_in_scope() RETURNS text[] {_SCOPE} AS $$
        SELECT array_agg(DISTINCT bank_code) FROM custody_account WHERE institution_id = ANY (institutions_in_scope())
    $$
    """,
    f"""
    CREATE FUNCTION accounts_of_bank() RETURNS bigint[] {_SCOPE} AS $$
        SELECT array_agg(custody_account_id) FROM custody_account WHERE bank_code = current_setting('escrow.bank', true)
    $$
    """,
    f"""
    CREATE FUNCTION institutions_of_bank() RETURNS integer[] {_SCOPE} AS $$
        SELECT array_agg(DISTINCT institution_id) FROM custody_account WHERE bank_code = current_setting('escrow.bank', true)
    $$
    """,
    # The same bytes are kept once, whichever bank sent them first: a bank learns the number, not what is in the file.
    f"""
    CREATE FUNCTION first_arrival_of(digest bytea) RETURNS bigint {_SCOPE} AS $$
        SELECT statement_file_id FROM statement_file WHERE sha256 = digest AND content IS NOT NULL
    $$
    """,
)

#: The depth of triggers alone is no proof: anybody's trigger on a table of his own is as deep. Whoever moves a projection runs as
#: the role the books' guards run as, which no session works as.
GUARD_PROJECTION = """
CREATE OR REPLACE FUNCTION ledger_guard_projection() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'TRUNCATE') OR pg_trigger_depth() < 2 OR current_user <> 'escrow_books' THEN
        PERFORM refuse_posting('projection', format('%s of %s: it follows from the transfers and moves only with them',
            TG_OP, TG_TABLE_NAME));
    END IF;
    RETURN NULL;
END $$
"""

#: They judge what is there, not what the session may see of it.
SEE_EVERYTHING = ("link_audit_event", "refuse_unearned_release")


def upgrade() -> None:
    """Create the questions policies ask, then let guards judge by role."""
    op.execute(LOCK_EVIDENCE_DDL)
    for statement in (*SCOPE, GUARD_PROJECTION):
        op.execute(statement)
    for function in SEE_EVERYTHING:
        op.execute(f"ALTER FUNCTION {function}() SECURITY DEFINER")


def downgrade() -> None:
    """Only for an empty development database; the roles stay, other databases of the server may use them."""
    for function in SEE_EVERYTHING:
        op.execute(f"ALTER FUNCTION {function}() SECURITY INVOKER")
    for policy, table in op.get_bind().exec_driver_sql(
        "SELECT policyname, tablename FROM pg_policies WHERE schemaname = 'public'"
    ):
        op.execute(f"DROP POLICY {policy} ON {table}")
    for function in (
        "first_arrival_of(bytea)", "institutions_of_bank()", "accounts_of_bank()", "banks_in_scope()", "institutions_in_scope()",
        "lock_evidence(text[])",
    ):  # fmt: skip
        op.execute(f"DROP FUNCTION {function}")
