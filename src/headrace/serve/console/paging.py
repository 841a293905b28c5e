"""A long list in parts, the part asked for in the address."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """at: from 1. start, stop: rows of it."""

    at: int
    parts: int
    start: int
    stop: int


def part(asked: str, rows: int, at_once: int) -> Part:
    """What can't be read is the first part, what lies beyond the end the last."""
    parts = max(-(-rows // at_once), 1)
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 12 else 1
    at = min(max(number, 1), parts)
    return Part(at, parts, (at - 1) * at_once, min(at * at_once, rows))
