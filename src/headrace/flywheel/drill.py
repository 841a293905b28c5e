"""A release that is broken on purpose, to see that the gates hold: its ranker's order is turned round.

    headrace fly shop.toml --generations 5 --drill 3

A drill is never promoted. If every gate lets it through, the report says that the gates are too weak.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.scoring import Scoring
from headrace.contracts.batch import Batch
from headrace.contracts.seams import Outputs, Scorer, State


class Reversed(nn.Module):
    """A scorer whose best are the other's worst."""

    def __init__(self, scorer: Any):
        super().__init__()
        self.scorer: Scorer = scorer
        self.schema, self.candidate_schema = scorer.schema, scorer.candidate_schema
        self.probabilities = bool(getattr(scorer, "probabilities", False))

    def user(self, batch: Batch) -> State:
        return self.scorer.user(batch)

    def score(self, state: State, candidates: Batch) -> Outputs:
        outputs = self.scorer.score(state, candidates)
        logits: Mapping[str, Any] = {task: -values for task, values in outputs.logits.items()}
        return replace(outputs, logits=logits)


class Drill(Pipeline):
    """The pipeline of a sound plan that opens with its ranker turned round."""

    def scoring(self, stage: str) -> Scoring:
        sound = super().scoring(stage)
        return replace(sound, scorer=Reversed(sound.scorer).eval()) if stage == "rank" else sound
