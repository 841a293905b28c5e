"""Conversations as a reader gets them: turns by number, both ends kept whole and the middle left out where they are too long.

    [0] user: I'm looking for a hotel.
    [... 12 turns left out ...]
    [13] user: No, I said the north!

How satisfied somebody was mostly shows in what they say last, so the end gets two thirds of the room and the last turn is always
there. A turn longer than half of the room loses its own middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from headrace.contracts.errors import DataError

ROLES = ("system", "user", "assistant", "tool")
_END = 2 / 3


@dataclass(frozen=True)
class Turn:
    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True)
class Conversation:
    """A turn's number is its place in `turns`."""

    id: str
    turns: tuple[Turn, ...]

    @property
    def user_turns(self) -> list[int]:
        return [place for place, turn in enumerate(self.turns) if turn.role == "user"]


def conversations(turns: pl.DataFrame) -> list[Conversation]:
    """From a `turns` table, in the order in which they first stand there, their turns by index."""
    unknown = turns.filter(~pl.col("role").is_in(ROLES))
    if len(unknown):
        row = unknown.row(0, named=True)
        raise DataError(
            f'turns: conversation "{row["conversation_id"]}", index {row["index"]}: role "{row["role"]}", '
            f"expected one of {', '.join(ROLES)}."
        )
    ordered = turns.sort("index", maintain_order=True).group_by("conversation_id", maintain_order=True)
    found = {
        str(key): Conversation(str(key), tuple(Turn(role, content) for role, content in rows.select("role", "content").rows()))
        for (key,), rows in ordered
    }
    return [found[key] for key in turns["conversation_id"].unique(maintain_order=True)]


def transcript(conversation: Conversation, most_characters: int = 6000) -> str:
    """most_characters: a little more is written where something is left out, which is said in its place."""
    lines = [
        f"[{place}] {turn.role}: {_shortened(turn.content, most_characters // 2)}"
        for place, turn in enumerate(conversation.turns)
    ]
    if sum(map(len, lines)) + len(lines) <= most_characters:
        return "\n".join(lines)
    last = _fitting(lines[::-1], most_characters * _END, least=1)
    first = _fitting(lines[: len(lines) - last], most_characters - sum(map(len, lines[len(lines) - last :])) - last)
    left = len(lines) - first - last
    gap = [f"[... {left} turn{'s' if left > 1 else ''} left out ...]"] if left else []
    return "\n".join([*lines[:first], *gap, *lines[len(lines) - last :]])


def _fitting(lines: Sequence[str], room: float, least: int = 0) -> int:
    """How many of the lines, from the first on, fit."""
    used = 0.0
    for count, line in enumerate(lines):
        used += len(line) + 1
        if used > room:
            return max(count, least)
    return len(lines)


def _shortened(text: str, most: int) -> str:
    """One line; the ends kept."""
    flat = " ".join(text.split())
    if len(flat) <= most:
        return flat
    return f"{flat[: most // 3]} [...] {flat[-(most - most // 3) :]}"
