"""The generation's cascade as it is served: components with an exporter through ONNX Runtime, the others as they are.

Exported files are artifacts beside the components they come from, so they are made once. Scores agree with eager torch to 1e-5; a
server's own answers are the same each time.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headrace.artifacts.store import Artifact, Draft
from headrace.build.graph import Graph
from headrace.cascade.cascade import Cascade
from headrace.cascade.pipeline import Pipeline
from headrace.contracts.batch import Batch
from headrace.contracts.errors import HeadraceError
from headrace.contracts.explaining import Summarising
from headrace.contracts.requests import Allowed, Candidates, Requests
from headrace.contracts.seams import Outputs, State
from headrace.data.rank_inputs import Arrays, user_arrays
from headrace.encode.nearest import Nearest
from headrace.encode.optional import optional
from headrace.nn.topk import top_k
from headrace.serve.scorers.export import (
    REVISION,
    check_equal,
    export_score,
    export_sequence,
    export_towers,
    export_user,
    has_index,
    is_scorer,
    is_sequence,
    is_towers,
    some_batch,
    some_sequences,
)

log = logging.getLogger(__name__)

SEQUENCE, TOWERS, USER, SCORE = "sequence.onnx", "towers.onnx", "user.onnx", "score.onnx"
_IN_FILE = "state."  # before a state's names in a file

Wrap = Callable[[str, Any, Any], Any]
"""(stage, a scorer as it was built, as it is served) -> what serves."""


class SequenceSession:
    """A `Retriever`: what `SASRec.retrieve` does, its scores, or what its index is asked with, through ONNX Runtime."""

    def __init__(self, model: Any, path: Path, stage: str):
        self.nearest: Nearest | None = model.nearest if has_index(model) else None
        self.session, self.stage, self.seed, self.length = _session(path), stage, model.seed, model.config.length
        self.withdrawn = ~model.available.numpy()

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        lengths = np.minimum(requests.history.lengths, self.length)
        past = requests.history.last(max(int(lengths.max(initial=0)), 1))  # what is behind the newest item is never read
        past = np.where(past < len(self.withdrawn), past, 0)
        known = np.asarray((past > 0).any(1))
        if self.nearest is not None:
            ends = np.maximum(lengths - 1, 0)  # of a row without a past, which says nothing
            (queries,) = self.session.run(None, {"items": past.astype(np.int64), "ends": ends})
            return self.nearest.propose(queries, k, allowed, self.stage, known)
        if known.all():
            (scores,) = self.session.run(None, {"items": past.astype(np.int64), "ends": lengths - 1})
        else:
            scores = np.full((len(requests), len(self.withdrawn)), -np.inf, np.float32)
            if known.any():
                (scores[known],) = self.session.run(None, {"items": past[known].astype(np.int64), "ends": lengths[known] - 1})
        np.copyto(scores, -np.inf, where=self.withdrawn)
        return top_k(allowed.mask(scores), k, self.stage, seed=self.seed)


class TowerSession:
    """A `Retriever`: what `TwoTower.retrieve` does, its scores, or what its index is asked with, through ONNX Runtime."""

    def __init__(self, model: Any, path: Path, stage: str):
        self.nearest: Nearest | None = model.nearest if has_index(model) else None
        self.session, self.stage, self.seed, self.schema = _session(path), stage, model.seed, model.schema
        self.withdrawn = ~model.available.numpy()

    def retrieve(self, requests: Requests, k: int, allowed: Allowed) -> Candidates:
        (scores,) = self.session.run(None, user_arrays(requests, self.schema))
        if self.nearest is not None:
            return self.nearest.propose(scores, k, allowed, self.stage)
        np.copyto(scores, -np.inf, where=self.withdrawn)
        return top_k(allowed.mask(scores), k, self.stage, seed=self.seed)


class ScorerSessions:
    """A `Scorer` of two sessions: the user's side once a request, the candidates'. built: the one they were made from, where it
    has more to say of a user than a state; others are not held in memory twice."""

    def __init__(self, scorer: Any, folder: Path):
        self.built = scorer if isinstance(scorer, Summarising) else None
        self.schema, self.candidate_schema = scorer.schema, scorer.candidate_schema
        self._user, self._score = _session(folder / USER), _session(folder / SCORE)
        self._reads = {one.name for one in self._score.get_inputs()}  # what a model does not read is not in its file
        self._state = [one.name.removeprefix(_IN_FILE) for one in self._user.get_outputs()]
        self._wants = {one.name for one in self._user.get_inputs()}

    def user(self, batch: Batch) -> State:
        return {name: torch.from_numpy(values) for name, values in self._user_side(_arrays(batch)).items()}

    def score(self, state: State, candidates: Batch) -> Outputs:
        return Outputs({"score": torch.from_numpy(self._logits(_arrays(state), _arrays(candidates)))})

    def array_logits(self, user: Arrays, candidates: Arrays) -> Arrays:
        """`user` and `score` of arrays: an answer's are so small that tensors of them would be a cost of their own."""
        return {"score": self._logits(self._user_side(user), candidates)}

    def _user_side(self, user: Arrays) -> Arrays:
        found = self._user.run(None, {name: values for name, values in user.items() if name in self._wants})
        return dict(zip(self._state, found, strict=True))

    def _logits(self, state: Arrays, candidates: Arrays) -> NDArray[Any]:
        given = {**{_IN_FILE + name: values for name, values in state.items()}, **candidates}
        (logits,) = self._score.run(None, {name: values for name, values in given.items() if name in self._reads})
        found: NDArray[Any] = logits
        return found


def accelerated(pipeline: Pipeline, runtime: str, wrap: Wrap = lambda stage, built, served: served) -> Cascade:
    """runtime: "onnx" or "torch"."""
    cascade, through = pipeline.cascade(), runtime == "onnx"
    if through:
        cascade.retrievers = {name: _retriever(pipeline, name, one) for name, one in cascade.retrievers.items()}
    cascade.scorings = [
        replace(one, scorer=wrap(one.stage, one.scorer, _scorer(pipeline, one.stage, one.scorer) if through else one.scorer))
        for one in cascade.scorings
    ]
    return cascade


def _retriever(pipeline: Pipeline, name: str, retriever: Any) -> Any:
    if is_sequence(retriever):
        return _sequence(pipeline, name, retriever)
    return _towers(pipeline, name, retriever) if is_towers(retriever) else retriever


def _towers(pipeline: Pipeline, name: str, retriever: Any) -> Any:
    def make(folder: Path) -> None:
        export_towers(retriever, folder / TOWERS)
        batch = some_batch(retriever.schema)
        eager = retriever.user(batch)
        if not has_index(retriever):
            eager = eager @ retriever.item(torch.arange(len(retriever.available))).T
        check_equal(eager, _session(folder / TOWERS).run(None, _arrays(batch))[0])

    found = _exported(pipeline, pipeline.retriever(name, final=True), make)
    return TowerSession(retriever, found.path / TOWERS, name) if found.manifest.metrics["usable"] else retriever


def _sequence(pipeline: Pipeline, name: str, retriever: Any) -> Any:
    def make(folder: Path) -> None:
        export_sequence(retriever, folder / SEQUENCE)
        items, ends = (values.numpy() for values in some_sequences(retriever.config.length))
        eager = retriever.hidden(torch.from_numpy(items))[np.arange(len(items)), ends]
        if not has_index(retriever):
            eager = retriever.logits(eager)
        check_equal(eager, _session(folder / SEQUENCE).run(None, {"items": items, "ends": ends})[0])

    found = _exported(pipeline, pipeline.retriever(name, final=True), make)
    return SequenceSession(retriever, found.path / SEQUENCE, name) if found.manifest.metrics["usable"] else retriever


def _scorer(pipeline: Pipeline, stage: str, scorer: Any) -> Any:
    if not is_scorer(scorer):
        return scorer

    def make(folder: Path) -> None:
        export_user(scorer, folder / USER)
        export_score(scorer, folder / SCORE)
        batch, candidates = some_batch(scorer.schema), some_batch(scorer.candidate_schema)
        eager, sessions = scorer.score(scorer.user(batch), candidates), ScorerSessions(scorer, folder)
        check_equal(next(iter(eager.logits.values())), sessions.score(sessions.user(batch), candidates).logits["score"].numpy())

    found = _exported(pipeline, pipeline.scorer(stage), make)
    return ScorerSessions(scorer, found.path) if found.manifest.metrics["usable"] else scorer


def _exported(pipeline: Pipeline, component: Artifact, make: Callable[[Path], None]) -> Artifact:
    """A file that can't be made, or that does not compute what its component does, is remembered as of no use."""

    def attempt(draft: Draft) -> None:
        try:
            with torch.inference_mode():
                make(draft.path)
            draft.metrics = {"usable": True}
        except HeadraceError:
            raise
        except Exception as error:  # a plugin's module may do anything, and tracing it may fail in any way
            log.warning("%s runs in torch: it can't be exported (%s)", component.path, error)
            draft.metrics = {"usable": False}

    graph = Graph(pipeline.graph.store)  # also where the pipeline may make nothing: these are the server's own
    return graph.stage("onnx", attempt, config={}, inputs={"component": component}, revision=REVISION, personal=True)


def _arrays(batch: Batch) -> dict[str, Any]:
    return {name: values.numpy() for name, values in batch.items()}


def _session(path: Path) -> Any:
    runtime: Any = optional("onnxruntime", package="onnxruntime", extra="serve", purpose="Serving")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised, and said by us
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
