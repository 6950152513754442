"""Who a session is to the database: group roles with the least that suffices, and the scope of the person behind it.

The roles are NOLOGIN and belong to the server, not to one database; ``create_roles`` makes those that are missing. A login is
made a member of some of them (``GRANT escrow_auditor TO wu``); the program connects with its own login and puts itself into one
role for each command (``Session``). Which role may do what on which table is derived in one place, ``migrations.privileges``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage.errors import StorageRefused


class Role(StrEnum):
    """The group roles of the books."""

    OWNER = "escrow_owner"
    MIGRATOR = "escrow_migrator"
    BOOKS = "escrow_books"
    POSTER = "escrow_poster"
    PERSON = "escrow_person"
    SUPERVISOR = "escrow_supervisor"
    BANK = "escrow_bank"
    AUDITOR = "escrow_auditor"


#: What each is for, kept as the role's comment. Nobody is ever put into BOOKS: it owns the projections and what moves them, so
#: that not even a session of the tables' owner can move a balance by hand.
PURPOSES = {
    Role.OWNER: "owns the tables of the books; its own session can change no row and no table of them",
    Role.MIGRATOR: "changes the schema, as migrations under their lock; ledger_add_month runs as it",
    Role.BOOKS: "owns the projections of the books and the guards that move them; no session works as this role",
    Role.POSTER: "writes the books: adds evidence, never changes it; every guard holds for it",
    Role.PERSON: "adds what people decide without moving money, within escrow.jurisdictions: holds, sign-offs, proposals",
    Role.SUPERVISOR: "reads what lies in the jurisdictions of escrow.jurisdictions",
    Role.BANK: "takes in statements of the bank in escrow.bank and reads what concerns its accounts",
    Role.AUDITOR: "reads what lies in the jurisdictions of escrow.jurisdictions, * for everything; writes to the audit log only",
}

#: The poster decides over all institutions and writes by COPY, which PostgreSQL refuses under row-level security.
_ATTRIBUTES = {Role.POSTER: "BYPASSRLS"}

#: Groups that are themselves members of another: what changes a table must own it.
MEMBER_OF = {Role.MIGRATOR: Role.OWNER}

#: In ``Session.jurisdictions``: every institution.
EVERYWHERE: tuple[str, ...] = ("*",)

_INSUFFICIENT_PRIVILEGE = "42501"


class RolesRefused(StorageRefused):
    """The server's user may not make or use the roles of the books."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a session works as.

    ``jurisdictions`` scope supervisors and auditors, ``bank`` scopes a bank: nothing given, nothing seen.
    """

    role: Role
    jurisdictions: tuple[str, ...] = ()
    bank: str | None = None
    #: The first instant at which the session sees anything, and the first at which it no longer does (aware).
    starts: datetime | None = None
    ends: datetime | None = None

    def options(self) -> list[str]:
        """The settings a session starts with, as libpq passes them; RESET returns to them."""
        given = {
            "role": str(self.role),
            "escrow.jurisdictions": ",".join(self.jurisdictions),
            "escrow.bank": self.bank or "",
            "escrow.from": self.starts.isoformat() if self.starts else "",
            "escrow.until": self.ends.isoformat() if self.ends else "",
        }
        return [f"-c {name}={_escaped(value)}" for name, value in given.items() if value]


def _escaped(value: str) -> str:
    return "".join("\\" + sign if sign in "\\ '" else sign for sign in value)


def creation_sql(login: str, missing: list[Role] | None = None) -> str:
    """What an administrator runs once for a login that may not do it itself."""
    made = [f"CREATE ROLE {role} NOLOGIN {_ATTRIBUTES.get(role, '')}".rstrip() for role in (Role if missing is None else missing)]
    groups = [f"GRANT {group} TO {member}" for member, group in MEMBER_OF.items()]
    return "; ".join([*made, *groups, f'GRANT {", ".join(Role)} TO "{login}"']) + ";"


def create_roles(connection: Connection) -> None:
    """Make the roles that are missing on this server and put the session's login into all of them.

    Other databases of the server share them, and several may be migrated at once: whoever comes second finds them made. Nothing
    is executed when nothing is missing. Raises RolesRefused with the statements an administrator must run.
    """
    login: str = connection.execute(text("SELECT session_user")).scalar_one()
    made = set(connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:names)"), {"names": list(Role)}))
    missing = [role for role in Role if role not in made]
    attempt = connection.begin_nested()
    try:
        for role in missing:
            connection.execute(
                text(
                    f"""
                    DO $$ BEGIN
                        CREATE ROLE {role} NOLOGIN {_ATTRIBUTES.get(role, "")};
                        COMMENT ON ROLE {role} IS '{PURPOSES[role].replace("'", "''")}';
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
                    END $$
                    """
                )
            )
        for member, group in MEMBER_OF.items():
            if not connection.execute(_IS_MEMBER, {"member": member, "group": group}).scalar_one():
                connection.execute(text(f"GRANT {group} TO {member}"))
        for name in _not_a_member(connection):
            connection.execute(text(f'GRANT {name} TO "{login}"'))
    except DBAPIError as error:
        attempt.rollback()
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise RolesRefused(
            f"the server's user {login} may not make the roles of the books; let an administrator of the server run once: "
            f"{creation_sql(login, missing)} Then run: escrow db upgrade"
        ) from error
    attempt.commit()


_IS_MEMBER = text("SELECT pg_has_role(CAST(:member AS name), CAST(:group AS name), 'USAGE')")


def _not_a_member(connection: Connection) -> list[str]:
    """Roles the session's login cannot put itself into. A superuser can into every one."""
    how = (
        "SET"
        if connection.execute(text("SELECT current_setting('server_version_num')::int >= 160000")).scalar_one()
        else "MEMBER"
    )
    return list(
        connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:names) AND NOT pg_has_role(session_user, oid, :how)"),
            {"names": list(Role), "how": how},
        )
    )


def become_poster(connection: Connection) -> None:
    """Let the rest of this transaction post: what came before was looked up under the person's own scope."""
    connection.execute(text(f"SET LOCAL ROLE {Role.POSTER}"))


def become_person(connection: Connection) -> None:
    """Let the rest of this transaction write down what a person decides, within the person's scope; it can move no money."""
    connection.execute(text(f"SET LOCAL ROLE {Role.PERSON}"))


def within(connection: Connection, jurisdictions: tuple[str, ...]) -> None:
    """Let the rest of this transaction be about a person who supervises these jurisdictions: ``deciding`` then writes as one."""
    connection.execute(text("SELECT set_config('escrow.jurisdictions', :places, true)"), {"places": ",".join(jurisdictions)})


@contextmanager
def deciding(connection: Connection) -> Iterator[None]:
    """Within it, a session started for a person writes as that person; afterwards as what it was: the poster goes on with what
    follows. A session without a scope (a job, a test) stays what it is. A failure leaves the lesser role.
    """
    told = connection.execute(text("SELECT current_user, current_setting('escrow.jurisdictions', true)")).one()
    if not told[1]:
        yield
        return
    become_person(connection)
    yield
    connection.execute(text(f'SET LOCAL ROLE "{told[0]}"'))


def roles_at_fault(connection: Connection) -> list[str]:
    """Roles of the books that can do more than they should, or are missing, one sentence each."""
    rows = connection.execute(
        text(
            """
            SELECT w AS name, r.rolname IS NULL AS missing, r.rolsuper, r.rolcanlogin, r.rolcreaterole, r.rolcreatedb,
                r.rolreplication, r.rolbypassrls <> (w = :poster) AS bypass,
                (SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                 WHERE m.member = r.oid) AS belongs_to
            FROM unnest(CAST(:names AS text[])) AS w LEFT JOIN pg_roles r ON r.rolname = w ORDER BY 1
            """
        ),
        {"names": list(Role), "poster": str(Role.POSTER)},
    )
    found = []
    for row in rows:
        if row.missing:
            found.append(f"{row.name} is missing; run: escrow db upgrade")
            continue
        powers = {
            "a superuser": row.rolsuper,
            "able to log in": row.rolcanlogin,
            "able to make roles": row.rolcreaterole,
            "able to make databases": row.rolcreatedb,
            "able to replicate": row.rolreplication,
        }
        found += [f"{row.name} is {power}" for power, has in powers.items() if has]
        if row.bypass:
            found.append(f"{row.name} {'must bypass' if row.name == Role.POSTER else 'bypasses'} row-level security")
        group = MEMBER_OF.get(Role(row.name))
        if row.belongs_to not in {None, group}:
            found.append(f"{row.name} is a member of {row.belongs_to}")
        elif row.belongs_to != group:
            found.append(f"{row.name} is no member of {group}; run: escrow db upgrade")
    return found
