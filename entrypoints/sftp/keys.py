"""The public keys banks log in with, one file a bank, and the server's own key.

``<books>/sftp/authorized_keys/<BANK>`` holds one OpenSSH public key a line; ``#`` begins a remark. The file is read at each
login, so a key added or taken away holds from the next one on: two keys side by side are how a bank changes its key.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

import asyncssh
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from jobs.outbox import place_file
from jobs.signing_keys import write_private_file

HOST_KEY_FILE = "sftp_host.key"
_MOST_KEYS = 10
_MOST_BYTES = 64_000
_FEWEST_RSA_BITS = 2048
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


class KeyRefused(ValueError):
    """A key, or a file of keys, that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BankKey:
    """One key of a bank. ``line`` is as it stands in the file."""

    key: asyncssh.SSHKey
    line: str

    @property
    def fingerprint(self) -> str:
        return self.key.get_fingerprint()

    @property
    def remark(self) -> str:
        return self.key.get_comment() or ""


def parse_key(text: str) -> BankKey:
    """One OpenSSH public key. Raises KeyRefused for options, weak or foreign kinds, private keys and whatever else."""
    line = text.strip()
    if line.split(" ", 1)[0] not in _KINDS:
        raise KeyRefused(f"a line must begin with one of {', '.join(_KINDS)}; options before the key are not read")
    try:
        key = asyncssh.import_public_key(line)
    except (asyncssh.KeyImportError, ValueError) as problem:
        raise KeyRefused(f"this is no public key in OpenSSH form ({problem})") from None
    if key.get_algorithm() == "ssh-rsa":
        inner = load_der_public_key(key.export_public_key("pkcs8-der"))
        if isinstance(inner, RSAPublicKey) and inner.key_size < _FEWEST_RSA_BITS:
            raise KeyRefused(f"an RSA key needs at least {_FEWEST_RSA_BITS} bits; Ed25519 is better: ssh-keygen -t ed25519")
    return BankKey(key, line)


def keys_of(folder: Path, bank_code: str) -> list[BankKey]:
    """The keys a bank may log in with; none without a file. Raises KeyRefused for a wrong line or a file others may write."""
    path = folder / bank_code
    try:
        told = path.lstat()
    except FileNotFoundError:
        return []
    if not stat.S_ISREG(told.st_mode) or told.st_mode & 0o022 or told.st_size > _MOST_BYTES:
        raise KeyRefused(f"{path} must be a file that only its owner may write: chmod 600 {path}")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(parse_key(line))
            except KeyRefused as problem:
                raise KeyRefused(f"{path}, line {number}: {problem}") from None
    if len(found) > _MOST_KEYS:
        raise KeyRefused(f"{path} holds more than {_MOST_KEYS} keys; take away the ones no longer used")
    return found


def add_key(folder: Path, bank_code: str, text: str) -> BankKey:
    """Let a bank log in with one more key. Raises KeyRefused, also when it is there or belongs to another bank."""
    new = parse_key(text)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for other in sorted(folder.iterdir()):
        if other.is_file() and any(one.key == new.key for one in keys_of(folder, other.name)):
            raise KeyRefused(f"{new.fingerprint} is a key of {other.name} already; each bank needs keys of its own")
    _write(folder, bank_code, [*keys_of(folder, bank_code), new])
    return new


def remove_key(folder: Path, bank_code: str, fingerprint: str) -> None:
    """Take a key away; it holds from the next login on. Raises KeyRefused when the bank has no such key."""
    known = keys_of(folder, bank_code)
    kept = [one for one in known if one.fingerprint != fingerprint]
    if len(kept) == len(known):
        raise KeyRefused(f"{bank_code} has no key {fingerprint}; escrow sftp keys lists them")
    _write(folder, bank_code, kept)


def _write(folder: Path, bank_code: str, keys: list[BankKey]) -> None:
    (folder / f".{bank_code}.new").unlink(missing_ok=True)
    place_file(folder, f".{bank_code}.new", "".join(f"{one.line}\n" for one in keys).encode())
    (folder / f".{bank_code}.new").chmod(0o600)
    (folder / f".{bank_code}.new").rename(folder / bank_code)


def host_key(path: Path) -> asyncssh.SSHKey:
    """The server's own key, made at the first use. Raises KeyRefused when others may read it or it is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = asyncssh.generate_private_key("ssh-ed25519", comment="prepaid-escrow sftp")
        write_private_file(path, made.export_private_key().decode("ascii"))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyRefused(f"{path} can be read by others; make it yours alone: chmod 600 {path}")
    try:
        return asyncssh.read_private_key(path)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as problem:
        raise KeyRefused(f"{path} is no private key without passphrase ({problem}); restore it from its backup") from None
