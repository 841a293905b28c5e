"""The words of questions, beside their answers: a table of the same file, for people who look at what a model was asked.

    questions    number -> key of the answer, model and chat as they were sent (zlib of JSON)

A cache needs none of it: answers are found by their fingerprints. So words are bounded, the newest 10,000 questions of a file
with 10,000 letters of each message, and may go at any time: with their answers, or all at once where somebody was erased, since a
question does not say whom it is about.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from headrace.contracts.chat import Chat
from headrace.contracts.errors import ArtifactError

MOST = 10_000
_LETTERS = 10_000
_FILES = ("answers.sqlite", "anchors.sqlite")


def files_below(folder: Path) -> list[Path]:
    """Caches of answers, wherever they lie below it."""
    return [path for name in _FILES for path in sorted(folder.rglob(name))]


def question_of(model_id: str, chat: Chat) -> bytes:
    said = [[message.role, _cut(message.content)] for message in chat]
    return zlib.compress(json.dumps([model_id, said]).encode(), 1)


def read_question(kept: bytes | None) -> tuple[str, list[tuple[str, str]]]:
    """(model, [(role, words)]); nothing where they are not kept."""
    if not kept:
        return "", []
    model, said = json.loads(zlib.decompress(kept))
    return str(model), [(str(role), str(content).encode("utf-8", "replace").decode()) for role, content in said]


def make_table(database: sqlite3.Connection) -> None:
    database.execute(
        "CREATE TABLE IF NOT EXISTS questions "
        "(number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE NOT NULL, asked BLOB NOT NULL)"
    )


def write(database: sqlite3.Connection, asked: Iterable[tuple[bytes, bytes]]) -> None:
    """asked: (key, question). The oldest beyond MOST go."""
    database.executemany("INSERT OR REPLACE INTO questions (key, asked) VALUES (?, ?)", asked)
    database.execute("DELETE FROM questions WHERE number <= (SELECT max(number) FROM questions) - ?", [MOST])


def forget_words(folder: Path) -> int:
    """Of every cache below the folder, to the last byte; how many questions they were. After an erasure."""
    return sum(map(_forgotten, files_below(folder)))


def _forgotten(path: Path) -> int:
    try:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as database:
            if not has_words(database):
                return 0
            gone = database.execute("DELETE FROM questions").rowcount
            if gone:
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone
    except sqlite3.Error as error:
        raise ArtifactError(f"{path}: the words of its questions can't be deleted ({error}). Delete the file by hand.") from None


def has_words(database: Any) -> bool:
    """A file of an earlier version has none."""
    return bool(database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'questions'").fetchone()[0])


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}... ({len(text):,} letters)"
