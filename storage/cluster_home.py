"""Where an embedded cluster, its password, its locks and its socket live."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from storage.errors import EmbeddedServerRefused
from storage.postgres_binaries import ServerUser, root_folder

#: sun_path of a Unix socket holds 108 bytes including the closing zero; PostgreSQL's socket name takes some of them.
LONGEST_SOCKET_PATH = 107
#: Names the socket only: no port is opened.
PORT = 5432
_SOCKET_NAME = f".s.PGSQL.{PORT}"

_POINTER = "location"
_OWNER = "data_folder"


@dataclass(frozen=True, slots=True)
class ClusterHome:
    """The places of one embedded cluster.

    ``private`` lies in the data folder and belongs to the caller: password and locks. ``folder`` holds the cluster and
    belongs to whoever the server user can reach; it is ``private`` itself unless root keeps the data folder private.
    """

    data_folder: Path
    private: Path
    folder: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def log(self) -> Path:
        return self.cluster / "server.log"

    @property
    def password_file(self) -> Path:
        return self.private / "password"

    @property
    def start_lock(self) -> Path:
        return start_lock(self.private)

    @property
    def users_lock(self) -> Path:
        return self.private / "users.lock"


def private_folder(data_folder: Path) -> Path:
    """Make the caller's own folder in a data folder: its locks must exist before anything else is decided.

    Raises EmbeddedServerRefused when the data folder cannot be used.
    """
    data_folder = Path(os.path.abspath(data_folder))
    private = data_folder / "postgres"
    try:
        private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedServerRefused(
            f"the data folder {data_folder} cannot be made: {error.strerror}; choose another with ESCROW_DATA"
        ) from error
    if not os.access(private, os.W_OK | os.X_OK):
        raise EmbeddedServerRefused(
            f"the data folder {data_folder} cannot be written by this user; choose another with ESCROW_DATA"
        )
    return private.resolve()


def holds_a_cluster(data_folder: Path) -> bool:
    """Whether an embedded cluster was ever made for a data folder. Asks only; makes nothing."""
    private = Path(os.path.abspath(data_folder)) / "postgres"
    return (private / "cluster").exists() or (private / _POINTER).exists()


def start_lock(private: Path) -> Path:
    """Held alone by whoever prepares, starts or stops the server."""
    return private / "start.lock"


def locate(private: Path, user: ServerUser) -> ClusterHome:
    """Decide where the cluster lives, or follow the earlier decision. The caller holds the start lock.

    Raises EmbeddedServerRefused when the place is gone, unreachable or another data folder's.
    """
    return ClusterHome(private.parent, private, _cluster_folder(private.parent, private, user))


def _cluster_folder(data_folder: Path, private: Path, user: ServerUser) -> Path:
    pointer = private / _POINTER
    if not pointer.exists() and ((private / "cluster").exists() or user.reaches(private)):
        if not user.reaches(private):
            raise EmbeddedServerRefused(
                f"the server user {user.name} can no longer enter {private}; give its parent folders back their "
                "mode (chmod o+x), or run as the folder's owner"
            )
        return private
    if pointer.exists():
        return _follow(pointer, data_folder)
    key = hashlib.sha256(os.fsencode(data_folder)).hexdigest()[:16]
    folder = root_folder(key)
    if (folder / _OWNER).exists():
        # The data folder that pointed here was deleted. Books are never deleted or opened by a guess: they step aside.
        kept = folder.with_name(f"{key}-kept-{folder.stat().st_mtime_ns}")
        folder.rename(kept)
        folder = root_folder(key)
    write_private(folder / _OWNER, f"{data_folder}\n")
    write_private(pointer, f"{folder}\n")
    return folder


def _follow(pointer: Path, data_folder: Path) -> Path:
    folder = Path(pointer.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n"))
    owner_file = folder / _OWNER
    if not owner_file.exists():
        raise EmbeddedServerRefused(
            f"{pointer} says the database is in {folder}, which is not there; restore it from its backup, "
            "or choose another data folder with ESCROW_DATA"
        )
    owner = Path(owner_file.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n"))
    if owner != data_folder:
        if (owner / "postgres" / _POINTER).exists():
            raise EmbeddedServerRefused(
                f"{data_folder} looks like a copy of {owner}: both name the database in {folder}. "
                f"Delete {data_folder / 'postgres'} to begin with an empty database there"
            )
        write_private(owner_file, f"{data_folder}\n")  # the data folder was moved
    return folder


def socket_folder(home: ClusterHome, user: ServerUser) -> Path:
    """The folder for the server's socket: beside the cluster, or a short private one when that path will not do."""
    beside = home.folder / "socket"
    length = len(os.fsencode(beside / _SOCKET_NAME))
    # Commas, quotes and spaces mean something in the server's setting, so such a path is not used either.
    if length <= LONGEST_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9_./+@=-]+", str(beside)):
        beside.mkdir(mode=0o700, exist_ok=True)
        user.own(beside)
        return beside
    uid = os.geteuid() if user.uid is None else user.uid
    key = hashlib.sha256(os.fsencode(home.folder)).hexdigest()[:16]
    for parent in (Path("/tmp"), Path(tempfile.gettempdir())):  # noqa: S108 - a socket path must be short
        short = parent / f"prepaid-escrow-{uid}-{key}"
        try:
            short.mkdir(mode=0o700, exist_ok=True)
            user.own(short)
            found = short.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and stat.S_IMODE(found.st_mode) == 0o700:
            return short
    raise EmbeddedServerRefused(
        f"the path {beside} is too long or too special for a socket and no folder of our own can be made in /tmp; "
        "choose a shorter data folder with ESCROW_DATA"
    )


def write_private(path: Path, text: str) -> None:
    """Write a file readable by its owner only, whole or not at all, and on disk before returning."""
    unfinished = path.with_name(path.name + ".unfinished")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
