"""States of all users worked out beforehand, for scorers whose state hangs on what is read of a user, not on when they ask.

    sides = user_sides(pipeline, "rank", scorer)      # an artifact; None where the scorer isn't `precomputed`
    stored = StoredSides(sides)
    stored.rows(read_keys(batch))                     # places in `stored.states`, -1 for what is not there

A row is found by a digest of exactly what `user` reads (the schema's fields), so a user whose history has moved on since finds
none and is worked out: what is stored is never out of date, it only stops being found.
Shapes: keys [N, 2] uint64, ascending; states name -> [N, ...], memory-mapped. Cost: `user` of every user once, in parts; a
look-up is O(log N). Left out are users without a history and those who refuse to be personalised for; rows alike are one.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.batch import Batch, Schema
from headrace.contracts.requests import Int32, Int64
from headrace.contracts.seams import State
from headrace.data.consent import Impersonal
from headrace.data.rank_inputs import user_batch

_AT_ONCE = 512
REVISION = 1

Keys = NDArray[np.uint64]


def user_sides(pipeline: Pipeline, stage: str, scorer: Any, graph: Graph | None = None) -> Artifact | None:
    """As of the end of the log. stage: "prerank" or "rank". scorer: the generation's, in evaluation mode. graph: the pipeline's
    if None."""
    if not getattr(scorer, "precomputed", False):
        return None
    graph = graph or pipeline.graph

    def make(draft: Draft) -> None:
        users, end = _users(pipeline), pipeline.cuts.last_us + 1
        keys, parts = list[Keys](), list[dict[str, NDArray[Any]]]()
        for start in range(0, len(users), _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            batch = user_batch(pipeline.requests_of(some, np.full(len(some), end)), scorer.schema)
            with torch.inference_mode():
                state = scorer.user(batch)
            keys.append(read_keys(batch, scorer.schema))
            parts.append({name: values.numpy() for name, values in state.items()})
            graph.progress(f"user states of {stage}", start + len(some), len(users))
        found, first = np.unique(np.concatenate([np.zeros((0, 2), np.uint64), *keys]), axis=0, return_index=True)
        np.save(draft.path / "keys.npy", found)
        nbytes = 0
        for name in parts[0] if parts else ():
            values = np.concatenate([part[name] for part in parts])[first]
            np.save(draft.path / f"state.{name}.npy", values)
            nbytes += values.nbytes
        draft.metrics = {"users": len(users), "states": len(found), "bytes": nbytes + found.nbytes}

    inputs = {"scorer": pipeline.scorer(stage), "tables": pipeline.tables, "histories": pipeline.histories}
    config = {"stage": stage, "end_us": pipeline.cuts.last_us}
    return graph.stage("user states", make, config=config, inputs=inputs, revision=REVISION, personal=True, name=stage)


class StoredSides:
    """Of an artifact of `user_sides`."""

    def __init__(self, artifact: Artifact):
        self.keys: Keys = np.load(artifact.path / "keys.npy", mmap_mode="r", allow_pickle=False)
        names = sorted(path.name.removeprefix("state.").removesuffix(".npy") for path in artifact.path.glob("state.*.npy"))
        self.states = {
            name: np.load(artifact.path / f"state.{name}.npy", mmap_mode="r", allow_pickle=False) for name in names
        }  # fmt: skip

    def rows(self, keys: Keys) -> Int64:
        """[R]: where each stands, -1 where it is not there."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.keys[:, 0], keys[:, 0])  # two digests that share these 64 bits: the second is worked out
        place = np.minimum(place, len(self.keys) - 1)
        return np.where((self.keys[place] == keys).all(1), place, -1)

    def of(self, rows: slice) -> State:
        return {name: torch.from_numpy(np.array(values[rows])) for name, values in self.states.items()}


def read_keys(batch: Batch, schema: Schema) -> Keys:
    """[R, 2]: a digest of what is read in each row."""
    fields = [batch[name].numpy() for name in schema]
    rows = [b"".join(np.ascontiguousarray(values[row]).tobytes() for values in fields) for row in range(len(fields[0]))]
    digests = b"".join(blake2b(row, digest_size=16).digest() for row in rows)
    return np.frombuffer(digests, np.uint64).reshape(-1, 2)


def sides_told(artifact: Artifact) -> Mapping[str, Any]:
    """For the report."""
    metrics = artifact.manifest.metrics
    said = f"{metrics['states']:,} of {metrics['users']:,} users with a history, {metrics['bytes']:,} bytes"
    return {"worked out beforehand": said}


def _users(pipeline: Pipeline) -> Int32:
    """Who has a history and may be personalised for; the last word counts."""
    lengths, refusing = pipeline.log.store.events.lengths, Impersonal(pipeline.tables.path)
    users = np.flatnonzero(lengths).astype(np.int32)
    users = users[users > 0]
    may = [not refusing.holds(str(name), 2**62) for name in pipeline.log.users.decode(users)]
    return users[np.array(may, np.bool_)]
