"""Candidate lists of impressions, and a teacher that knows a number for every item."""

from dataclasses import replace

import numpy as np

from headrace.contracts.rng import rng
from headrace.testing.examples import some_lists


def some_impressions(n=24, k=6):
    """About a third of the candidates were shown; of the fifth request none, of the sixth all."""
    lists = some_lists(n, k=k)
    known = (rng(0, "shown").random(lists.label.shape) < 0.35) & lists.candidates.there
    known[4], known[5] = False, lists.candidates.there[5]
    return replace(lists, known=known, label=lists.label * known)


class Teacher:
    """Item i's probability is i / 40, whoever asks; what its heads say lies `apart` on either side of the logit."""

    def __init__(self, apart=0.0):
        self.apart = apart

    def __call__(self, requests, candidates):
        return np.where(candidates.there, candidates.items / 40, np.nan).astype(np.float32)

    def heads(self, requests, candidates):
        p = self(requests, candidates)
        logit = np.log(p / (1 - p))
        return {"first": logit + self.apart * candidates.items, "second": logit - self.apart * candidates.items}
