"""Caches of answers as they lie in a folder, read without being changed: which there are, and a part of what they hold.

    kept(folder)  ->  files         one.rows("tea", "", 0, 50)  ->  answers whose text has the words, with what was asked

A cache is opened read-only, also while another process writes to it. Looking for words passes over every answer of a file.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.contracts.chat import Usage
from headrace.contracts.errors import ArtifactError
from headrace.llm.cache import APPLICATION, CHECKSUM, FORMAT
from headrace.llm.questions import files_below, has_words, read_question

_SAID = f"CAST(substr(answer, {CHECKSUM + 1}) AS TEXT)"
_STATUS = f"coalesce(json_extract({_SAID}, '$.status'), 'scored')"


@dataclass(frozen=True)
class Kept:
    """key: the fingerprint of the question, in hex. text: as it was said. why: what was wrong with it, "" where nothing was.
    status "scored": how likely given continuations were, and no text. asked: (role, words) of the question and model: whom it was
    asked, both empty where the words are not kept."""

    key: str
    text: str
    status: str
    why: str
    took: Usage
    model: str = ""
    asked: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class KeptFile:
    path: Path

    def count(self, words: str = "", status: str = "") -> int:
        where, likes = _having(words, status)
        with self._open() as database:
            return int(database.execute(f"SELECT count(*) FROM answers{where}", likes).fetchone()[0])

    def spent(self) -> Usage:
        """On all answers of the file, in all runs."""
        sums = ", ".join(f"total(json_extract(said, '$.usage[{place}]'))" for place in range(4))
        with self._open() as database:
            calls, prompt, completion, cost = database.execute(
                f"SELECT {sums} FROM (SELECT {_SAID} AS said FROM answers)"
            ).fetchone()
        return Usage(calls=int(calls), prompt_tokens=int(prompt), completion_tokens=int(completion), cost=cost)

    def statuses(self) -> dict[str, int]:
        """How many of each, the commonest first."""
        with self._open() as database:
            counted = f"SELECT {_STATUS} AS status, count(*) FROM answers GROUP BY status ORDER BY 2 DESC"
            return {str(status): int(count) for status, count in database.execute(counted)}

    def words_kept(self) -> int:
        """Questions whose words are there."""
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM questions").fetchone()[0]) if has_words(database) else 0

    def parsed(self, most: int) -> list[dict[str, Any]]:
        """What could be read of answers, of so many at most."""
        with self._open() as database:
            found = database.execute(
                f"SELECT json_extract({_SAID}, '$.parsed') FROM answers WHERE {_STATUS} = 'parsed' LIMIT ?", [most]
            )
            return [read for (text,) in found if text and isinstance(read := json.loads(text), dict)]

    def rows(self, words: str, status: str, start: int, stop: int) -> list[Kept]:
        """In the order of their keys, which is no order of time."""
        where, likes = _having(words, status)
        with self._open() as database:
            asked = "(SELECT asked FROM questions WHERE questions.key = answers.key)" if has_words(database) else "NULL"
            found = database.execute(
                f"SELECT key, {_SAID}, {asked} FROM answers{where} ORDER BY key LIMIT ? OFFSET ?", [*likes, stop - start, start]
            ).fetchall()
            return [_read(key, json.loads(said), read_question(question)) for key, said, question in found]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro", uri=True, timeout=5)) as database:
                marks = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
                if marks != [APPLICATION, FORMAT]:
                    raise ArtifactError(f"{self.path}: no cache of answers of format {FORMAT}, which this version reads.")
                yield database
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{self.path}: can't be read as a cache of answers ({error}).") from None


def kept(folder: Path) -> list[KeptFile]:
    """answers.sqlite and anchors.sqlite, wherever they lie below the folder."""
    return [KeptFile(path) for path in files_below(folder)]


def _having(words: str, status: str) -> tuple[str, Sequence[str]]:
    """Every word somewhere in the answer, in any case of a-z. status: "" for any."""
    likes = [f"%{''.join(f'!{letter}' if letter in '!%_' else letter for letter in word)}%" for word in words.split()[:20]]
    has = f"json_extract({_SAID}, '$.text') LIKE ? ESCAPE '!'"
    conditions = [*[has] * len(likes), *[f"{_STATUS} = ?"] * bool(status)]
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), [*likes, *[status] * bool(status)]


def _read(key: bytes, row: dict[str, Any], question: tuple[str, Sequence[tuple[str, str]]]) -> Kept:
    if "log_prob" in row:
        told = ", ".join(f"{value:.4g}" for value in row["log_prob"])
        return Kept(key.hex(), f"log-probabilities: {told}", "scored", "", Usage(), *question)
    calls, prompt, completion, cost = row.get("usage", (0, 0, 0, 0.0))
    took = Usage(calls=calls, prompt_tokens=prompt, completion_tokens=completion, cost=cost)
    return Kept(key.hex(), _whole(row["text"]), str(row["status"]), _whole(row["reason"]), took, *question)


def _whole(text: str) -> str:
    """A model may end in half a character, which no page can hold."""
    return text.encode("utf-8", "replace").decode()
