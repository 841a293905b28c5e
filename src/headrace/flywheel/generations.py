"""Which generation is live, which were before it, and how each came to be: a small ledger beside a run's store.

    RUN/generations/0003.json    one generation: its artifact's key, its parent, its plan, what the gates said. Never changed
    RUN/live.json                every promotion and rollback so far; the last of them says which is live

`live.json` is replaced whole by a rename, so a reader (a server that is starting, a process after a power cut) sees the ledger
before a move or after it, never half of one. Moves are made one process at a time.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from headrace.artifacts.atomic import place
from headrace.artifacts.store import Store
from headrace.contracts.errors import ArtifactError, ConfigError

KIND = "generation"


@dataclass(frozen=True)
class Generation:
    """number: from 1, in the order made. key: of the artifact. parent: the number that was live when it was made, 0 for none.

    plan: what opens it again (see `cascade.run`). verdict: `gates.panel.Verdict.as_dict`, empty before the gates were asked.
    """

    number: int
    key: str
    parent: int
    made: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    verdict: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Move:
    """to: the number that was live after it."""

    what: Literal["promote", "rollback"]
    to: int
    at: str
    why: str


class Generations:
    """The ledger of one run folder."""

    def __init__(self, run: Path):
        self.run, self.store = run, Store(run / "store")

    def all(self) -> list[Generation]:
        return [self._read(path) for path in sorted((self.run / "generations").glob("[0-9]*.json"))]

    def get(self, number: int) -> Generation:
        path = self._path(number)
        if not path.is_file():
            known = [one.number for one in self.all()]
            have = (
                f"It has {known[0]} to {known[-1]}." if known else "It has none: headrace build or headrace fly makes the first."
            )
            raise ConfigError(f"{self.run}: there is no generation {number}. {have}")
        return self._read(path)

    def add(self, key: str, *, plan: Mapping[str, Any] | None = None, verdict: Mapping[str, Any] | None = None) -> Generation:
        """The next number for an artifact in the store. The same key, plan and verdict again is the record that is there."""
        with self._one_at_a_time():
            known = self.all()
            for one in known:
                if one.key == key and dict(one.verdict) == dict(verdict or {}):
                    return one
            number = known[-1].number + 1 if known else 1
            made = Generation(number, key, self.live_number, _now(), dict(plan or {}), dict(verdict or {}))
            place(self._path(number), json.dumps(asdict(made), indent=1, default=str))
        return made

    @property
    def moves(self) -> list[Move]:
        path = self.run / "live.json"
        if not path.is_file():
            return []
        try:
            return [Move(**move) for move in json.loads(path.read_text())["moves"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{path}: not a ledger of promotions ({error}). Restore it from a copy, or delete it and promote again."
            ) from None

    @property
    def live_number(self) -> int:
        """0: none is live."""
        stack = self._stack()
        return stack[-1] if stack else 0

    @property
    def live(self) -> Generation | None:
        return self.get(self.live_number) if self.live_number else None

    def promote(self, number: int, why: str, *, over: int | None = None) -> Generation:
        """Make it live. over: the number that must be live now, so that a verdict against another one is not acted on."""
        with self._one_at_a_time():
            chosen = self.get(number)
            if over is not None and over != self.live_number:
                raise ConfigError(
                    f"{self.run}: generation {number} was judged against {over}, and {self.live_number} is live. Judge it again."
                )
            if number == self.live_number:
                return chosen
            self.check(chosen)
            self._write([*self.moves, Move("promote", number, _now(), why)])
        return chosen

    def rollback(self, why: str) -> Generation:
        """Back to what was live before the last promotion."""
        with self._one_at_a_time():
            stack = self._stack()
            if len(stack) < 2:
                raise ConfigError(
                    f"{self.run}: generation {stack[-1]} has no predecessor to go back to." if stack
                    else f"{self.run}: no generation is live, so there is nothing to roll back."
                )  # fmt: skip
            before = self.get(stack[-2])
            self.check(before)
            self._write([*self.moves, Move("rollback", before.number, _now(), why)])
        return before

    def left(self, number: int) -> str:
        """Why it was rolled back from when it was live last; empty where it was not."""
        stack, why = [], dict[int, str]()
        for move in self.moves:
            if move.what == "promote":
                stack.append(move.to)
                why.pop(move.to, None)
            else:
                why[stack.pop()] = move.why
        return why.get(number, "")

    def _stack(self) -> list[int]:
        """Generations that a rollback would go through, the live one last."""
        stack: list[int] = []
        for move in self.moves:
            if move.what == "promote":
                stack.append(move.to)
            else:
                stack.pop()
        return stack

    def check(self, chosen: Generation) -> None:
        """Every byte that would serve is there and is what was written."""
        artifact = self.store.find(KIND, chosen.key)
        if artifact is None:
            raise ArtifactError(
                f"{self.run}: generation {chosen.number} is not in the store (it was erased or removed). Build again."
            )
        made_from = {one.key: one for one in self.store.manifests()}
        for name, key in artifact.manifest.parents.items():
            if key not in made_from or self.store.find(made_from[key].kind, key) is None:
                raise ArtifactError(f"{self.run}: generation {chosen.number} lacks its {name}. Build again.")

    def _one_at_a_time(self) -> AbstractContextManager[None]:
        return self.store.locked("generations")

    def _write(self, moves: list[Move]) -> None:
        place(self.run / "live.json", json.dumps({"live": moves[-1].to, "moves": [asdict(move) for move in moves]}, indent=1))

    def _path(self, number: int) -> Path:
        return self.run / "generations" / f"{number:04d}.json"

    def _read(self, path: Path) -> Generation:
        try:
            return Generation(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{path}: not a generation's record ({error}). Restore it from a copy.") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
