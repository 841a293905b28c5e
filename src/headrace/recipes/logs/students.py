"""Pre-rankers and the rankers that teach them, trained on a log of exposure, and what they say of its pairs.

All are trained alike: the trainer, the epochs at most, and the impressions of the day after the window that stop it, by their log
loss. What differs is the lists, and what a labeler says of candidates nobody saw.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from headrace.build.components import component_class
from headrace.cascade.pseudo_labels import Teacher
from headrace.cascade.validation import value_of_ranker
from headrace.contracts.config import parse
from headrace.contracts.interactions import Interactions
from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Float64
from headrace.methods.prerank import PSEUDO_LABELERS
from headrace.methods.prerank.two_tower import TwoTower
from headrace.methods.rank.dcnv2 import DCNv2
from headrace.nn.seeded import seeded
from headrace.recipes.logs.exposure import Exposure, Truths
from headrace.train.trainer import train

Settings = Mapping[str, Any]


class Lived(Protocol):
    """A log to train on: what was known beforehand, lists that stop training, and what scorers need beside the interactions."""

    @property
    def interactions(self) -> Interactions: ...
    @property
    def held(self) -> CandidateLists: ...
    def artifacts(self, lists: CandidateLists) -> dict[str, Any]: ...


def trained(
    kind: Any, settings: Settings, log: Lived, lists: CandidateLists, seed: int, *, more: Mapping[str, Any] | None = None
) -> Any:
    """kind: a `ListScorer`. settings: over its own defaults. more: artifacts that it needs beside."""
    config = parse(kind.Config, settings, where="students")
    artifacts, held = {**log.artifacts(replace(lists, tasks={})), **(more or {})}, replace(log.held, tasks={})
    with seeded(seed, "students", kind.__name__):
        scorer: Any = kind(config, seed=seed)
        learned = scorer.learn(log.interactions, artifacts)
    train(learned, config.train, seed=seed, validate=lambda: value_of_ranker(scorer, held), artifacts=artifacts)
    return scorer


def student(settings: Settings, log: Exposure, lists: CandidateLists, seed: int) -> Any:
    """Reads a user's history and an item, apart."""
    return trained(TwoTower, {"loss": "pointwise", **settings}, log, lists, seed)


def ranker(settings: Settings, log: Exposure, lists: CandidateLists, seed: int) -> Any:
    """Reads the pair too, and so how stage 1 scored it."""
    return trained(DCNv2, {"loss": "pointwise", **settings}, log, lists, seed)


def labelled(name: str, settings: Settings, lists: CandidateLists, artifacts: Mapping[str, Any], seed: int) -> CandidateLists:
    """The lists with what the labeler of this name says of those nobody saw."""
    kind = component_class(name, PSEUDO_LABELERS, "students")
    labeler: Any = kind(parse(kind.Config, settings, where=name), seed=seed)
    labeler.fit(lists, artifacts)
    return replace(lists, pseudo=labeler.label(lists.requests, lists.unshown))


def predicted(scorer: Any, truths: Truths) -> Float64:
    """Probabilities [R, C]."""
    said = Teacher(scorer)(truths.requests, truths.candidates)
    return np.where(truths.candidates.there, said, 0).astype(np.float64)
