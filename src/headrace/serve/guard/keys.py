"""API keys in RUN/keys.json (mode 0600): a key's secret is said once, when it is made, and only its sha256 is kept.

    hr_PREFIX_SECRET        8 hexadecimal digits to find it by, 256 random bits

A secret is drawn, not chosen, so a plain hash is enough: there is nothing to guess through. Whoever holds the file can let nobody
in with it.
"""

import fcntl
import hmac
import json
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from headrace.artifacts.atomic import place
from headrace.contracts.errors import ConfigError, listed, nearest
from headrace.serve.guard.scopes import SCOPES

FILE = "keys.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Key:
    name: str
    prefix: str
    sha256: str
    scopes: tuple[str, ...]
    made: str


def read_keys(path: Path) -> dict[str, Key]:
    """By prefix."""
    try:
        rows = json.loads(path.read_text())["keys"]
        found = [Key(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = type(error).__name__  # an error's text may quote the file
        raise ConfigError(f"{path}: can't be read as keys ({why}). Delete it and make keys anew: headrace keys add.") from None
    return {one.prefix: one for one in found}


def add_key(run: Path, name: str, scopes: Sequence[str]) -> str:
    """Its secret, which is nowhere else."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r:.80} can't be a key's name: letters, digits, . _ and -, at most 64.")
    for one in scopes:
        if one not in SCOPES:
            raise ConfigError(f'--scope: "{one}" is no scope.{nearest(one, SCOPES)} Scopes: {listed(SCOPES)}.')
    if not scopes:
        raise ConfigError(f"--scope: a key without a scope opens nothing. Scopes: {listed(SCOPES)}.")
    with _Changing(run) as keys:
        if any(one.name == name for one in keys.values()):
            raise ConfigError(f"{run / FILE}: a key {name} is there already. Revoke it first, or choose another name.")
        prefix = next(one for one in iter(lambda: secrets.token_hex(4), "") if one not in keys)
        secret = f"hr_{prefix}_{secrets.token_urlsafe(32)}"
        ordered = tuple(one for one in SCOPES if one in scopes)
        keys[prefix] = Key(name, prefix, _hash(secret), ordered, datetime.now(UTC).isoformat(timespec="seconds"))
    return secret


def revoke_key(run: Path, name: str) -> None:
    with _Changing(run) as keys:
        prefix = next((one.prefix for one in keys.values() if one.name == name), None)
        if prefix is None:
            names = [one.name for one in keys.values()]
            raise ConfigError(f"{run / FILE}: no key is named {name}.{nearest(name, names)} Keys: {listed(names) or 'none'}.")
        del keys[prefix]


class KeyRing:
    """The file's keys, read again when it has changed: whoever is revoked is out with their next request.

    closed: keys are asked for. A ring stays closed once it was, also when its last key or its file goes.
    """

    def __init__(self, path: Path):
        self.path, self.keys, self.closed, self.trouble = path, dict[str, Key](), False, ""
        self._mark: tuple[int, ...] | None = None
        self.look()

    def look(self) -> None:
        """Cost: one stat. What can't be read lets nobody in."""
        mark = self._marked()
        if mark == self._mark:
            return
        self._mark, self.trouble = mark, ""
        self.closed = self.closed or mark is not None
        try:
            self.keys = {} if mark is None else read_keys(self.path)
        except ConfigError as error:
            self.keys, self.trouble = {}, str(error)

    def holder(self, secret: str) -> Key | None:
        """Compared in constant time, an unknown prefix too."""
        self.look()
        _, _, rest = secret.partition("_")
        found = self.keys.get(rest.partition("_")[0])
        same = hmac.compare_digest(_hash(secret), found.sha256 if found else _hash(""))
        return found if found is not None and same else None

    def _marked(self) -> tuple[int, ...] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class _Changing:
    """The keys to change, written when the block ends well; one who changes them at a time."""

    def __init__(self, run: Path):
        if not run.is_dir():
            raise ConfigError(f"{run}: there is no such run. Build one first: headrace build PLAN --out {run}.")
        self.path = run / FILE
        try:
            self._lock = (run / ".keys.lock").open("a")
        except OSError as error:
            raise ConfigError(f"{run}: can't be written ({error.strerror}): chown or chmod it for user {os.getuid()}.") from None

    def __enter__(self) -> dict[str, Key]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._keys = read_keys(self.path) if self.path.exists() else {}
        return self._keys

    def __exit__(self, kind: object, *_: object) -> None:
        with self._lock:
            if kind is None:
                place(self.path, json.dumps({"keys": [asdict(one) for one in self._keys.values()]}, indent=1))


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
