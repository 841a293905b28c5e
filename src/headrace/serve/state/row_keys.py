"""The keys under which rows that wait for a file lie in the database. An erasure changes the key and destroys the one before.

    row = number of the key, text XOR the first bytes of SHAKE-256(key, number of the row)

A database keeps a deleted row's bytes in pages that it has not used again. Without their key they say nothing, at once and while
the server runs, so nothing has to be written anew for it but the few rows that wait. No row has another's number, and no two keys
are alike. The file, one `number key` a line, holds both keys while rows go from one to the next.
"""

import hashlib
import secrets
import struct
from pathlib import Path

from headrace.artifacts.atomic import place, settle

_HEAD = 8


class RowKeys:
    """path: of the file; made with a first key if it is not there. Another process may change it."""

    def __init__(self, path: Path):
        self.path, self._keys = path, dict[int, bytes]()
        if not path.is_file():
            self._write({1: secrets.token_bytes(32)})
        self._read()

    @property
    def newest(self) -> int:
        return max(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def another(self) -> int:
        """A new key, on disk beside those there are; its number."""
        self._read()
        number = self.newest + 1
        self._write({**self._keys, number: secrets.token_bytes(32)})
        return number

    def only(self, number: int) -> None:
        """What lies under any other key can't be read from here on."""
        self._write({number: self._key(number)})

    def sealed(self, key: int, row: bytes, text: bytes) -> bytes:
        return struct.pack(">Q", key) + _mixed(self._key(key), row, text)

    def opened(self, row: bytes, value: bytes) -> bytes:
        """KeyError: an erasure destroyed its key since the value was read. Rows of before there were keys are as they are."""
        if value.startswith(b"{"):
            return value
        (number,) = struct.unpack(">Q", value[:_HEAD])
        return _mixed(self._key(number), row, value[_HEAD:])

    def _key(self, number: int) -> bytes:
        if number not in self._keys:
            self._read()
        return self._keys[number]

    def _read(self) -> None:
        lines = [line.split() for line in self.path.read_text().splitlines()]
        self._keys = {int(number): bytes.fromhex(key) for number, key in lines}

    def _write(self, keys: dict[int, bytes]) -> None:
        place(self.path, "".join(f"{number} {key.hex()}\n" for number, key in keys.items()))
        settle(self.path.parent)
        self._keys = keys


def _mixed(key: bytes, row: bytes, text: bytes) -> bytes:
    stream = hashlib.shake_256(key + row).digest(len(text))
    mixed = int.from_bytes(text, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(len(text), "big")
