"""A scorer whose users' states were worked out beforehand, as it is served: looked up, else kept, else worked out.

    stored      by a digest of what is read of the user      `cascade.user_sides`, memory-mapped
    kept        the state of whoever asks, if what is read is as it was
    made        by the scorer, through ONNX Runtime where it has a file; kept from then on

Each is held against what this very request reads, so an event that just came is in the answer. Cost: a digest of the row, and
O(log users); of the scorer nothing while a history stands still.
"""

from collections.abc import Callable
from typing import Any

import torch

from headrace.cascade.user_sides import StoredSides, read_keys
from headrace.contracts.batch import Batch, Field
from headrace.contracts.seams import Outputs, State
from headrace.serve.scorers.kept_states import WHO, KeptStates


class LookedUp:
    """A `Scorer`. built: one with `precomputed`. served: it as it scores. count: told "stored", "kept" or "made" of each row."""

    def __init__(self, stage: str, built: Any, served: Any, stored: StoredSides, kept: KeptStates, count: Callable[[str], None]):
        self.stage, self.served, self.stored, self.kept, self.count = stage, served, stored, kept, count
        self._reads = built.schema
        self.schema = {**built.schema, WHO: Field("int64", ("rows",))}
        self.candidate_schema = built.candidate_schema

    def user(self, batch: Batch) -> State:
        read = {name: batch[name] for name in self._reads}
        keys = read_keys(read, self._reads)
        rows = zip(self.stored.rows(keys).tolist(), keys.tolist(), batch[WHO].tolist(), strict=True)
        states = [self._state(place, key, who, read, row) for row, (place, key, who) in enumerate(rows)]
        return states[0] if len(states) == 1 else {name: torch.cat([one[name] for one in states]) for name in states[0]}

    def score(self, state: State, candidates: Batch) -> Outputs:
        outputs: Outputs = self.served.score(state, candidates)
        return outputs

    def _state(self, place: int, key: list[int], who: int, read: Batch, row: int) -> State:
        if place >= 0:
            self.count("stored")
            return self.stored.of(slice(place, place + 1))
        held: tuple[list[int], State] | None = self.kept.get(self.stage, who) if who else None
        if held is not None and held[0] == key:
            self.count("kept")
            return held[1]
        self.count("made")
        state: State = self.served.user({name: values[row : row + 1] for name, values in read.items()})
        if who:
            self.kept.put(self.stage, who, (key, state), sum(one.nbytes for one in state.values()))
        return state
