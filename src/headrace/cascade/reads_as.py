"""A user in words, as the stage reads them that scores last and reads words at all (`Summarising`): for explanations alone.

    said_of(cascade.scorings, requests)         [R] sentences, "" where there is nothing to say
    reads_as(pipeline, "u91")                   of a user as of the end of the log

Cost: what the scorer takes to say it; one that writes a sentence itself takes a step of its decoder a token. No answer needs it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.cascade.pipeline import Pipeline
from headrace.cascade.scoring import Scoring
from headrace.contracts.explaining import Summarising
from headrace.contracts.requests import Requests
from headrace.data.consent import Impersonal


def said_of(scorings: Sequence[Scoring], requests: Requests) -> list[str]:
    for one in reversed(scorings):
        scorer = built_of(one.scorer)
        if isinstance(scorer, Summarising):
            return [" ".join(said.split()) for said in scorer.summaries_of(requests)]
    return [""] * len(requests)


def reads_as(pipeline: Pipeline, user_id: str) -> str:
    """ "" also for who is not known, or does not consent to personalisation by their last word."""
    number = pipeline.log.users.encode([user_id])
    if not number[0] or Impersonal(pipeline.tables.path).holds(user_id, 2**62):
        return ""
    scorings = [pipeline.scoring(stage) for stage in pipeline.scoring_stages]
    return said_of(scorings, pipeline.requests_of(number, np.array([pipeline.cuts.last_us + 1])))[0]


def built_of(scorer: Any) -> Any:
    """The scorer as it was built, where it is served through another: one that knows what it was `built` from, or `served` by."""
    behind = getattr(scorer, "built", None) or getattr(scorer, "served", None)
    return scorer if behind is None else built_of(behind)
