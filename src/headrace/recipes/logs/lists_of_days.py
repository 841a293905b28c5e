"""Candidate lists put together and cut: days one after the other, some of their candidates."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.contracts.lists import CandidateLists
from headrace.contracts.requests import Bool, Candidates, History, Int64, Requests
from headrace.contracts.rng import rng


def columns(lists: CandidateLists, places: Int64) -> CandidateLists:
    """The lists with only these of their candidates, places [R, C]. For lists of one task without pseudo-labels."""

    def at(values: Any) -> Any:
        return np.take_along_axis(values, places, 1)

    some = lists.candidates
    candidates = Candidates(
        at(some.items), {name: at(of) for name, of in some.scores.items()}, {name: at(of) for name, of in some.features.items()}
    )
    return CandidateLists(lists.requests, candidates, at(lists.label), None if lists.known is None else at(lists.known))


def with_some_unshown(lists: CandidateLists, most: int, seed: int, *, besides: Bool | None = None) -> CandidateLists:
    """What was shown, and a draw of at most so many of the others, the same for every arm. besides [R, C]: kept as well."""
    assert lists.known is not None
    always = lists.known if besides is None else lists.known | besides
    first = always + rng(seed, "some unshown").random(always.shape)
    width = min(int(always.sum(1).max(initial=0)) + most, first.shape[1])
    return columns(lists, np.sort(np.argsort(-first, axis=1, kind="stable")[:, :width], axis=1))


def joined(lists: Sequence[CandidateLists]) -> CandidateLists:
    """One list after the other, of equal width and tasks, without pseudo-labels."""
    known = [one.known for one in lists if one.known is not None]
    tasks = {task: np.concatenate([one.tasks[task] for one in lists]) for task in lists[0].tasks}
    return CandidateLists(
        all_requests([one.requests for one in lists]), all_candidates([one.candidates for one in lists]),
        np.concatenate([one.label for one in lists]), np.concatenate(known) if known else None, tasks,
    )  # fmt: skip


def all_candidates(parts: Sequence[Candidates]) -> Candidates:
    scores, features = (
        {name: np.concatenate([of[name] for of in every]) for name in every[0]}
        for every in ([one.scores for one in parts], [one.features for one in parts])
    )
    return Candidates(np.concatenate([one.items for one in parts]), scores, features)


def all_requests(parts: Sequence[Requests]) -> Requests:
    lengths = np.concatenate([one.history.lengths for one in parts])
    history = History(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([one.history.items for one in parts]),
        np.concatenate([one.history.at_us for one in parts]),
    )
    features = {name: np.concatenate([one.features[name] for one in parts]) for name in parts[0].features}
    return Requests(
        np.concatenate([one.ids for one in parts]), np.concatenate([one.users for one in parts]),
        np.concatenate([one.at_us for one in parts]), history, features,
    )  # fmt: skip
