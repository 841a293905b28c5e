"""A ranker of several tasks that learns nothing but how often each of them happens."""

import numpy as np
import torch

from headrace.contracts.batch import Field
from headrace.contracts.config import config
from headrace.contracts.seams import Outputs
from headrace.data.rank_inputs import list_schema


@config
class RatesConfig:
    pass


class Rates:
    """Each task's share of positives, as a logit; a popular item's is a little higher, so that there is an order."""

    Config, revision, needs, probabilities = RatesConfig, 1, ("candidate_lists",), True

    def __init__(self, config, *, seed=0):
        self.schema, self.candidate_schema = {"history": Field("int64", ("rows", 1))}, list_schema(3)

    def of_tasks(self, tasks):
        self.tasks = list(tasks)

    def fit(self, interactions, artifacts):
        tasks = artifacts["candidate_lists"].tasks
        self.of_tasks(tasks)
        self.rates = np.array([np.nanmean(label) for label in tasks.values()])

    def arrays(self):
        names = np.frombuffer("\n".join(self.tasks).encode(), np.uint8)
        return {"rates": self.rates, "names": names}

    @classmethod
    def from_arrays(cls, config, arrays):
        made = cls(config)
        made.of_tasks(arrays["names"].tobytes().decode().split("\n"))
        made.rates = arrays["rates"]
        return made

    def user(self, batch):
        return {}

    def score(self, state, candidates):
        rate = torch.logit(torch.from_numpy(self.rates))
        tilt = candidates["retrieval"][..., 1] * 0.1
        return Outputs({name: rate[at] + tilt for at, name in enumerate(self.tasks)})
