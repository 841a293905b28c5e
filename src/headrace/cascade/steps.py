"""What each stage made of the items of a page: the ranks and scores that reasons and explanations are told from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from headrace.contracts.requests import Candidates, Float32, Int32


class Step(NamedTuple):
    """What a stage made of an item: its score, and its rank (from 1) among the `of` items the stage gave a score."""

    stage: str
    score: float
    rank: int
    of: int


def steps_of(recalled: Candidates, scored: Mapping[str, Candidates], row: int, items: Sequence[int]) -> list[list[Step]]:
    """Of each item, every stage that gave it a score, in order: the retrievers that proposed it, then the scorers."""
    made: list[list[Step]] = [[] for _ in items]
    wanted = np.array(items, np.int32)
    stages = list(recalled.scores)
    if stages:
        proposed = np.stack([scores[row] for scores in recalled.scores.values()])
        _tell(made, wanted, stages, recalled.items[row], proposed)
    for stage, found in scored.items():
        _tell(made, wanted, [stage], found.items[row], found.scores[stage][row][None])
    return made


def _tell(made: list[list[Step]], wanted: Int32, stages: Sequence[str], items: Int32, scores: Float32) -> None:
    """scores [stages, K] of the items [K], NaN where a stage gave none."""
    which, place = np.nonzero(wanted[:, None] == items)
    theirs = scores[:, place]  # [stages, found]
    ahead = (scores[:, None, :] > theirs[:, :, None]).sum(2).tolist()
    of = (~np.isnan(scores)).sum(1).tolist()
    given = theirs.tolist()
    for column, item in enumerate(which.tolist()):
        for row, stage in enumerate(stages):
            score = given[row][column]
            if score == score:  # no NaN
                made[item].append(Step(stage, score, ahead[row][column] + 1, of[row]))
