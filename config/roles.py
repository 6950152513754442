"""Roles, rights and users from config/roles.yaml."""

from __future__ import annotations

from pathlib import Path

from config.loading import CONFIG_FOLDER, ConfigRefused, load_section
from supervision.rights import Principal, Right, Roster

#: The role whose users have a term (DESIGN.md 7).
_AUDITOR = "auditor"


def load_roster(path: Path = CONFIG_FOLDER / "roles.yaml") -> Roster:
    """All roles and users. Raises ConfigRefused for an unknown right, role or key, naming it."""
    top = load_section(path)
    roles_section, users_section = top.section("roles"), top.section("users")
    top.finish()
    known = {right.value for right in Right}
    roles: dict[str, frozenset[Right]] = {}
    for name in roles_section.keys():  # noqa: SIM118 - a Section, not a dict
        wanted = roles_section.texts(name)
        for right in wanted:
            if right not in known:
                raise ConfigRefused(
                    path.name, f"roles.{name}", f"{right!r} is not a right; known are: {', '.join(sorted(known))}"
                )
        roles[name] = frozenset(Right(right) for right in wanted)
    users: dict[str, Principal] = {}
    for name, section in users_section.each():
        role = section.choice("role", tuple(roles))
        first = section.day("from") if "from" in section else None
        last = section.day("until") if "until" in section else None
        if role == _AUDITOR and (first is None or last is None):
            raise section.refuse("from" if first is None else "until", "is missing; an auditor looks for a time: give both days")
        if first is not None and last is not None and last < first:
            raise section.refuse("until", f"{last} lies before {first}")
        users[name] = Principal(
            user=name,
            role=role,
            rights=roles[role],
            jurisdiction=section.text("jurisdiction") if "jurisdiction" in section else None,
            bank_code=section.text("bank") if "bank" in section else None,
            first_day=first,
            last_day=last,
        )
        section.finish()
    return Roster(roles, users)
