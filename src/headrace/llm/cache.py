"""Answers kept by what was asked, in one SQLite file.

    key = sha256 of (model id, messages, schema, sampling, format of the prompt)   ->   the answer as JSON, with its checksum

Two processes may share a file. Rows are written in batches, each one transaction: a killed process loses the batch that it had
not written yet, and nothing before. `durable` writes each row by itself and waits for the disk: what was paid for is there after
a kill and after a power cut. A file of another format is refused by name, a damaged one too. What was asked is
kept beside it in words, for people (`questions`).
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, Self

from headrace.contracts.chat import Usage
from headrace.contracts.errors import ArtifactError
from headrace.llm import questions

FORMAT = 1
APPLICATION = 0x48524143  # "HRAC", by which `file` and we know our own
_BATCH = 256
CHECKSUM = 8
_READ_AT_ONCE = 500  # below SQLite's limit on parameters, in all its versions


class Answers(Protocol):
    """Where answers are kept, here or in another process."""

    def get_many(self, keys: Iterable[bytes]) -> Mapping[bytes, Mapping[str, Any]]: ...
    def put(self, key: bytes, answer: Mapping[str, Any], question: bytes = b"") -> None: ...
    def flush(self) -> None: ...


class AnswerCache:
    """path: the file; made with its folder where there is none. hits, misses: since it was opened.

    durable: a row is on the disk when `put` returns, which takes milliseconds; else in batches, and no later than `flush`.
    """

    def __init__(self, path: Path, *, durable: bool = False):
        self.path, self.durable, self.hits, self.misses = path, durable, 0, 0
        self._looked_up: set[bytes] = set()
        self._waiting: dict[bytes, bytes] = {}
        self._asked: dict[bytes, bytes] = {}
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Completions may come from a backend's threads; the lock lets in one at a time.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=60)
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        try:
            self._opened()
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise self._damaged(error) from None
        except ArtifactError:
            self._database.close()
            raise

    def get_many(self, keys: Iterable[bytes]) -> dict[bytes, Mapping[str, Any]]:
        """Those that are there."""
        found: dict[bytes, Mapping[str, Any]] = {}
        asked = 0
        with self._lock:
            for part in _parts(keys, _READ_AT_ONCE):
                asked += len(part)
                self._looked_up.update(part)
                found |= {key: self._read(key, self._waiting[key]) for key in part if key in self._waiting}
                marks = ",".join("?" * len(part))
                try:
                    rows = self._database.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", part).fetchall()
                except sqlite3.DatabaseError as error:
                    raise self._damaged(error) from None
                found |= {key: self._read(key, answer) for key, answer in rows}
        self.hits += len(found)
        self.misses += asked - len(found)
        return found

    def put(self, key: bytes, answer: Mapping[str, Any], question: bytes = b"") -> None:
        """question: its words, by `questions.question_of`; b"": they are not kept."""
        text = json.dumps(answer, separators=(",", ":")).encode()
        with self._lock:
            self._waiting[key] = _checksum(key, text) + text
            if question:
                self._asked[key] = question
        if self.durable or len(self._waiting) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            if not self._waiting:
                return
            try:
                with self._database:  # commits, or rolls back
                    self._database.execute("BEGIN IMMEDIATE")
                    self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", list(self._waiting.items()))
                    questions.write(self._database, list(self._asked.items()))
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None
            self._waiting.clear()
            self._asked.clear()

    def only_looked_up(self) -> int:
        """Forgets whatever was not asked for since it was opened, to the last byte; how many answers those were. What they took
        is no longer in `spent`."""
        self.flush()
        with self._lock:
            try:
                with self._database:
                    self._database.execute("BEGIN IMMEDIATE")
                    self._database.execute("CREATE TEMP TABLE wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
                    self._database.executemany("INSERT INTO wanted VALUES (?)", ((key,) for key in self._looked_up))
                    gone = self._database.execute("DELETE FROM answers WHERE key NOT IN (SELECT key FROM wanted)").rowcount
                    self._database.execute("DELETE FROM questions WHERE key NOT IN (SELECT key FROM wanted)")
                    self._database.execute("DROP TABLE wanted")
                self._database.execute("VACUUM")  # deleted rows stay in the file until its pages are used again
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.DatabaseError as error:
                raise self._damaged(error) from None
        return gone

    def close(self) -> None:
        self.flush()
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rows(self) -> int:
        with self._lock:
            stored: int = self._database.execute("SELECT count(*) FROM answers").fetchone()[0]
            return stored + len(self._waiting)

    def spent(self) -> Usage:
        """What the completions that are kept took when they were asked, in all runs that wrote here."""
        self.flush()
        sums = ", ".join(f"total(json_extract(said, '$.usage[{place}]'))" for place in range(4))
        text = f"SELECT CAST(substr(answer, {CHECKSUM + 1}) AS TEXT) AS said FROM answers"
        with self._lock:
            calls, prompt, completion, cost = self._database.execute(f"SELECT {sums} FROM ({text})").fetchone()
        return Usage(calls=int(calls), prompt_tokens=int(prompt), completion_tokens=int(completion), cost=cost)

    def _opened(self) -> None:
        said = self._database.execute
        with self._database:
            said("BEGIN IMMEDIATE")
            mark, version = said("PRAGMA application_id").fetchone()[0], said("PRAGMA user_version").fetchone()[0]
            if not said("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                said(f"PRAGMA application_id = {APPLICATION}")
                said(f"PRAGMA user_version = {FORMAT}")
                said("CREATE TABLE answers (key BLOB PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID")
            elif mark != APPLICATION:
                raise ArtifactError(f"{self.path}: a database, but no cache of answers. Choose another file.")
            elif version != FORMAT:
                raise ArtifactError(
                    f"{self.path}: a cache of format {version}, this version reads {FORMAT}. Choose another file, or "
                    f"open it with the version that wrote it."
                )
            questions.make_table(self._database)
        said("PRAGMA journal_mode = WAL")
        said(f"PRAGMA synchronous = {'FULL' if self.durable else 'NORMAL'}")

    def _read(self, key: bytes, answer: bytes) -> Mapping[str, Any]:
        checksum, text = answer[:CHECKSUM], answer[CHECKSUM:]
        if checksum != _checksum(key, text):
            raise ArtifactError(f"{self.path}: the answer {key.hex()} is damaged. Delete the file: asking fills it again.")
        read: Mapping[str, Any] = json.loads(text)
        return read

    def _damaged(self, error: sqlite3.Error) -> ArtifactError:
        return ArtifactError(
            f"{self.path}: can't be used as a cache of answers ({error}). If it is damaged, delete it: asking fills it again."
        )


def _parts(keys: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    left = iter(keys)
    while part := list(islice(left, size)):
        yield part


def _checksum(key: bytes, text: bytes) -> bytes:
    return blake2b(text, digest_size=CHECKSUM, key=key).digest()
