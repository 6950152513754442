"""Roles keep maker and checker apart, and a refusal says who could."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loading import ConfigRefused
from config.roles import load_roster
from supervision.rights import NotAllowed, Right, require, require_bank, require_jurisdiction

ROSTER = load_roster()
MAKER_CHECKER = [
    (Right.PREPARE_DISCREPANCY, Right.APPROVE_DISCREPANCY),
    (Right.PREPARE_SIGN_OFF, Right.APPROVE_SIGN_OFF),
    (Right.PREPARE_HOLD_LIFT, Right.APPROVE_HOLD_LIFT),
]


@pytest.mark.parametrize(("maker", "checker"), MAKER_CHECKER)
def test_no_role_both_prepares_and_approves(maker: Right, checker: Right) -> None:
    for role, rights in ROSTER.rights_of_role.items():
        assert not {maker, checker} <= rights, role


def test_every_right_is_held_by_some_role() -> None:
    assert set(Right) == set().union(*ROSTER.rights_of_role.values())


def test_an_auditor_only_reads() -> None:
    reads = {
        Right.READ_LEDGER,
        Right.READ_DISCREPANCY,
        Right.READ_INSTRUCTION,
        Right.READ_PERSONAL,
        Right.EXPORT,
        Right.EXPORT_PERSONAL,
    }
    assert ROSTER.principal("auditor.wu").rights == reads


def test_a_refusal_names_the_roles_that_may() -> None:
    with pytest.raises(NotAllowed, match="auditor.wu .* may not do signoff.approve; a user with role approver can"):
        require(ROSTER.principal("auditor.wu"), "signoff.approve", roster=ROSTER)


def test_an_unknown_user_is_told_the_known_ones() -> None:
    with pytest.raises(NotAllowed, match="no user 'nobody'.*zhang.prepare"):
        ROSTER.principal("nobody")


def test_a_bank_acts_for_itself_only() -> None:
    north = ROSTER.principal("bank.north")
    require_bank(north, "NRB")
    with pytest.raises(NotAllowed, match="NRB only"):
        require_bank(north, "LCB")


def test_a_city_supervises_its_own_subtree() -> None:
    hangzhou = ROSTER.principal("wang.hangzhou")
    require_jurisdiction(hangzhou, ["330100", "330000", "000000"])
    with pytest.raises(NotAllowed, match="330100"):
        require_jurisdiction(hangzhou, ["110000", "000000"])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("roles: {a: [fly]}\nusers: {}", "fly"),
        ("roles: {a: [ledger.read]}\nusers: {x: {role: b}}", "'b' is not one of a"),
        ("roles: {a: [ledger.read]}\nusers: {x: {role: a, rights: all}}", "rights"),
    ],
)
def test_a_mistake_in_the_roster_is_named(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "roles.yaml"
    file.write_text(text)
    with pytest.raises(ConfigRefused, match=where):
        load_roster(file)
