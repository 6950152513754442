"""Sessions end with the term of the person behind them, and approvals are told by the person, on another person's proposal only.

Deployed beside the old program: that one sets no term and approves as the poster, which goes on working. The policies that ask these
questions are derived for every table at the end of the upgrade (``privileges``).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027_terms_and_decisions"
down_revision = "0026_posting_in_one_pass"
branch_labels = None
depends_on = None

#: Nothing set: no term. The clock is the server's, so a session that stays open sees nothing after its term.
WITHIN_TERM = """
CREATE FUNCTION within_term() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT statement_timestamp() >= coalesce(nullif(current_setting('escrow.from', true), '')::timestamptz, '-infinity')
        AND statement_timestamp() < coalesce(nullif(current_setting('escrow.until', true), '')::timestamptz, 'infinity')
$$
"""

#: The newest event is the proposal named, and who decides is another than who made it. They see everything, whoever asks: a policy
#: of a table cannot ask the table itself.
_ASKED = "proposal integer, preparer text, decider text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER"
DECISIONS = {
    "resolution_of_another(integer, text, integer, text, text)": f"""
        CREATE FUNCTION resolution_of_another(institution integer, discrepancy text, {_ASKED} AS $$
            SELECT preparer <> decider AND coalesce((
                SELECT (e.event_no, e.event, e.actor) = (proposal, 'prepared', preparer) FROM discrepancy_event e
                WHERE e.institution_id = institution AND e.discrepancy_id = discrepancy ORDER BY e.event_no DESC LIMIT 1), false)
        $$
    """,
    "release_of_another(bigint, integer, text, text)": f"""
        CREATE FUNCTION release_of_another(quarantined bigint, {_ASKED} AS $$
            SELECT preparer <> decider AND coalesce((
                SELECT (e.event_no, e.event, e.actor) = (proposal, 'prepared', preparer) FROM quarantine_event e
                WHERE e.quarantine_id = quarantined ORDER BY e.event_no DESC LIMIT 1), false)
        $$
    """,
    "return_of_another(integer, text, integer, text, text)": f"""
        CREATE FUNCTION return_of_another(institution integer, of_reference text, {_ASKED} AS $$
            SELECT preparer <> decider AND coalesce((
                SELECT (e.event_no, e.event, e.actor) = (proposal, 'return_prepared', preparer) FROM instruction_event e
                WHERE e.institution_id = institution AND e.reference = of_reference ORDER BY e.event_no DESC LIMIT 1), false)
        $$
    """,
}


def upgrade() -> None:
    """Create what the policies ask."""
    for function in (WITHIN_TERM, *DECISIONS.values()):
        op.execute(sa.text(function.replace(":", "\\:")))


def downgrade() -> None:
    """Only for an empty development database."""
    for policy, table in op.get_bind().exec_driver_sql(
        "SELECT policyname, tablename FROM pg_policies WHERE schemaname = 'public'"
    ):
        op.execute(f"DROP POLICY {policy} ON {table}")
    for function in ("within_term()", *DECISIONS):
        op.execute(f"DROP FUNCTION {function}")
