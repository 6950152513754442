"""A bank reads where its own instructions stand, in its own session.

Whether an instruction is paid the books say: reading it needs the ledger, which is closed to banks. The function runs with the
rights of the tables' owner and answers for the bank of the session alone; only the role of banks may call it. Deployed beside the
old program, which goes on reading this as the poster.
"""

from __future__ import annotations

from alembic import op

revision = "0028_bank_instruction_states"
down_revision = "0027_terms_and_decisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the function; its owner and its grants are derived at the end of the upgrade (``privileges``)."""
    op.execute(
        """
        CREATE FUNCTION instruction_states_of_bank(wanted text[]) RETURNS SETOF instruction_state
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
            SELECT s.* FROM instruction_state s
            WHERE s.instruction_file_id IN (
                SELECT f.instruction_file_id FROM instruction_file f WHERE f.bank_code = current_setting('escrow.bank', true))
              AND (wanted IS NULL OR s.reference = ANY (wanted))
        $$
        """
    )
    op.execute(
        "COMMENT ON FUNCTION instruction_states_of_bank(text[]) IS"
        " 'what became of the instructions that went out to the bank of this session; of these references, null for all'"
    )


def downgrade() -> None:
    """Only for an empty development database."""
    op.execute("DROP FUNCTION instruction_states_of_bank(text[])")
